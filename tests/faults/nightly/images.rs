//! Images that arrive slowly or never, and workers that die while they wait for one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::eventually;
use tstr_tests::factory::{with, witness};
use tstr_tests::registry::Registry;

use crate::load;

/// A witness whose image has to be pulled, and which may not lose a single attempt that has begun.
fn pulled(name: &str, registry: &Registry, tag: &str) -> Value {
    let test = with(witness(name, "true"), "/run_config/container_image", json!(registry.image(tag)));
    with(with(test, "/run_config/pull", json!("missing")), "/retry", json!({"on_infrastructure": 0}))
}

/// A world whose workers trust a registry.
async fn trusting(registries: &[&Registry], flags: &[&str]) -> Arena {
    let mut arena = Arena::prepare(Plan::short(2, 1)).await;
    let addresses: Vec<_> = registries.iter().map(|registry| registry.addr).collect();
    for post in &mut arena.posts {
        post.site.trust_registries(&addresses);
        post.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
    }
    arena.start_workers().await;
    arena
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_07_a_worker_that_is_killed_before_the_start_costs_the_run_nothing() {
    let registry = Registry::dripping().await;
    let mut arena = trusting(&[&registry], &[]).await;
    arena.driver.register(&pulled("t", &registry, "1")).await;
    let run = arena.driver.trigger("t", "the one").await;
    let holder = arena.prepared_by(run).await;
    eventually("the image is on its way", Duration::from_secs(20), async || {
        (registry.asked_for("blobs") > 0).then_some(())
    })
    .await;
    arena.posts[holder].kill();
    registry.open();
    arena.settle(Duration::from_secs(40)).await;
    let story = arena.story(run).await;
    assert_eq!((&story["result"], &story["attempt"]), (&json!("pass"), &json!(2)), "{story}");
    // Nothing was executed, so nothing failed: the test allows no loss, and this was none.
    assert_eq!(story["attempts"][0]["result"], Value::Null, "{story}");
    assert_eq!(arena.last_seen(run, 1), None, "nothing of the first attempt ever ran");
    let back =
        format!("run_event WHERE run_id = '{run}' AND attempt = 1 AND state_from = 'leased' AND state_to = 'queued'");
    assert_eq!(arena.count(&back).await, 1, "the lease went back (T6)");
    arena.posts[holder].start_again().await;
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_34_an_image_that_is_slow_keeps_its_lease_and_one_that_never_comes_ends_the_run() {
    let (slow, endless) = (Registry::dripping().await, Registry::dripping().await);
    let arena = trusting(&[&slow, &endless], &["--pull-timeout", "15s"]).await;
    arena.driver.register(&pulled("slow", &slow, "1")).await;
    arena.driver.register(&pulled("endless", &endless, "1")).await;
    let (began, patient) = (Instant::now(), arena.driver.trigger("slow", "slow").await);
    let vain = arena.driver.trigger("endless", "endless").await;
    arena.prepared_by(patient).await;
    let held = arena.prepared_by(vain).await;
    for registry in [&slow, &endless] {
        eventually("the image is on its way", Duration::from_secs(8), async || {
            (registry.asked_for("blobs") > 0).then_some(())
        })
        .await;
    }
    let leases =
        "SELECT jsonb_agg(jsonb_build_array(run_id, attempt, lease_id, started_at) ORDER BY run_id) FROM lease";
    let before = arena.value(leases).await;
    // Longer than the six seconds that a lease lives without heartbeats, and twice that for the one that never comes.
    tokio::time::sleep(Duration::from_secs(9).saturating_sub(began.elapsed())).await;
    let until = "SELECT to_jsonb(min(extract(epoch FROM expires_at - clock_timestamp()))) FROM lease";
    assert_eq!(arena.value(leases).await, before, "the same leases of the same attempts, and nothing has started");
    let left = arena.value(until).await.as_f64().unwrap();
    assert!(left > 3.0, "heartbeats renew a lease while its image comes: it would end in {left:.1} s");
    slow.open();
    tokio::time::sleep(Duration::from_millis(13_500).saturating_sub(began.elapsed())).await;
    let kept = format!("lease WHERE run_id = '{vain}' AND attempt = 1 AND started_at IS NULL");
    assert_eq!(arena.count(&kept).await, 1, "a worker is patient as long as it was told to be");
    arena.settle(Duration::from_secs(40)).await;
    let took = began.elapsed();
    let (story, other) = (arena.story(patient).await, arena.story(vain).await);
    assert_eq!((&story["result"], &story["attempt"]), (&json!("pass"), &json!(1)), "{story}");
    assert_eq!((&other["result"], &other["reason"]), (&json!("error"), &json!("image_not_found")), "{other}");
    assert_eq!(other["attempt"], 1, "a second try would wait as long: {other}");
    assert_eq!(arena.last_seen(vain, 1), None, "nothing of it ever ran");
    let told = arena.admin().get(&format!("/api/v1/runs/{vain}/explain")).await.expect(200);
    assert!(told["summary"].as_str().unwrap().contains("did not arrive within 15s"), "{told}");
    assert!(took > Duration::from_secs(15) && took < Duration::from_secs(22), "given up after {took:?}");
    // Whoever waited in vain is free for others, and is not counted as broken: nobody of its engine is.
    arena.driver.register(&witness("next", "true")).await;
    load::trigger(&arena.driver, "next", 6, Duration::ZERO).await.unwrap();
    arena.settle(Duration::from_secs(20)).await;
    let name = format!("w{}", held + 1);
    let next = format!("attempt a JOIN runner w ON w.id = a.runner_id WHERE a.result = 'pass' AND w.name = '{name}'");
    assert!(arena.count(&next).await > 0, "{name} takes runs again");
    arena.finish(Duration::from_secs(10)).await;
}
