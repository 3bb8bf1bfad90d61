//! Faults of workers and of the network between them and the API: partition, kill, freeze.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tstr_proto::v1 as pb;
use tstr_shared::error::ErrorCode;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::balancer::Weather;
use tstr_tests::checker::boot_nanos;
use tstr_tests::{eventually, factory};
use uuid::Uuid;

use crate::load;
use crate::wire::Wire;

/// When a container whose worker is heard of no more is dead: self-fence and grace, and a little for a busy machine;
/// less than the 6 s that its lease lives.
const DEAD_AFTER: f64 = 4.0 + 1.0 + 0.9;

/// Returns how long after a moment something of an attempt was seen last, in seconds.
pub fn outlived(arena: &Arena, run: Uuid, attempt: i16, moment: i64) -> f64 {
    let last = arena.last_seen(run, attempt).expect("its container was seen");
    (last - moment) as f64 / 1e9
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_08_a_partition_between_a_worker_and_the_api_hands_its_runs_over() {
    let arena = Arena::start(Plan::short(2, 2)).await;
    // What is taken over is short, what is partitioned is still at it.
    arena.driver.register(&factory::witness("t", "[ $TSTR_ATTEMPT -ge 2 ] || sleep 8")).await;
    let made = load::trigger(&arena.driver, "t", 4, Duration::ZERO).await.unwrap();
    arena.running(4).await;
    let held = arena
        .value("SELECT jsonb_agg(l.run_id) FROM lease l JOIN runner w ON w.id = l.runner_id WHERE w.name = 'w1'")
        .await;
    let held: Vec<Uuid> = serde_json::from_value(held).unwrap();
    assert!(held.len() == 2 && made.runs.len() == 4, "two on each worker: {held:?}");
    for run in &held {
        eventually("its container is seen", Duration::from_secs(10), async || arena.last_seen(*run, 1)).await;
    }
    arena.posts[0].link.set_weather(Weather::PARTITION);
    let cut = boot_nanos();
    tokio::time::sleep(Duration::from_secs(12)).await;
    arena.posts[0].link.set_weather(Weather::default());
    arena.settle(Duration::from_secs(60)).await;
    for run in held {
        let (story, lived) = (arena.story(run).await, outlived(&arena, run, 1, cut));
        assert!(lived < DEAD_AFTER, "its container lived on for {lived:.2} s");
        assert_eq!((&story["result"], &story["attempt"]), (&json!("pass"), &json!(2)), "{story}");
        assert_eq!(story["attempts"][0]["reason"], "lost_worker", "{story}");
    }
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_04_a_worker_is_killed_in_the_middle_of_runs() {
    let mut arena = Arena::start(Plan::short(2, 2)).await;
    arena.driver.register(&factory::witness("t", "[ $TSTR_ATTEMPT -ge 2 ] || sleep 25")).await;
    arena.driver.register(&factory::witness("other", "sleep 1")).await;
    let run = arena.driver.trigger("t", "the one").await;
    let holder = arena.held_by(run).await;
    eventually("its container is seen", Duration::from_secs(10), async || arena.last_seen(run, 1)).await;
    let load = load::trigger(&arena.driver, "other", 6, Duration::from_millis(300));
    arena.posts[holder].kill();
    let (killed, wall) = (boot_nanos(), arena.value("SELECT to_jsonb(extract(epoch FROM clock_timestamp()))").await);
    load.await.unwrap();
    arena.settle(Duration::from_secs(60)).await;
    let story = arena.story(run).await;
    assert_eq!((&story["result"], &story["attempt"]), (&json!("pass"), &json!(2)), "{story}");
    assert_eq!(story["attempts"][0]["reason"], "lost_worker", "{story}");
    let found_out = story["attempts"][0]["ended"].as_f64().unwrap() - wall.as_f64().unwrap();
    assert!(found_out <= 8.0, "the loss was found out after {found_out:.2} s");
    // The guard ends what its worker cannot end any more.
    let lived = outlived(&arena, run, 1, killed);
    assert!(lived < DEAD_AFTER, "its container lived on for {lived:.2} s");
    // Started again, the worker sweeps what it left behind.
    arena.posts[holder].start_again().await;
    let admin = arena.admin();
    arena.posts[holder].runner().registered_at(&admin).await;
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_05_a_worker_that_was_frozen_comes_back_as_a_zombie() {
    let mut arena = Arena::start(Plan::short(2, 1)).await;
    arena.driver.register(&factory::witness("t", "echo begun; [ $TSTR_ATTEMPT -ge 2 ] || sleep 25")).await;
    let run = arena.driver.trigger("t", "the one").await;
    let holder = arena.held_by(run).await;
    eventually("its container is seen", Duration::from_secs(10), async || arena.last_seen(run, 1)).await;
    let lease = arena.value(&format!("SELECT to_jsonb(l) FROM lease l WHERE run_id = '{run}'")).await;
    arena.posts[holder].runner().process.signal(Signal::STOP);
    let frozen = Instant::now();
    tokio::time::sleep(Duration::from_secs(15)).await;
    arena.posts[holder].runner().process.signal(Signal::CONT);
    eprintln!("frozen for {:.1} s", frozen.elapsed().as_secs_f64());
    // Whatever is said with the old fence from now on is refused.
    let runner = lease["runner_id"].as_str().unwrap().parse().unwrap();
    let grpc = format!("http://{}", arena.replicas[0].as_ref().unwrap().grpc);
    let wire = Wire::new(&grpc, &arena.posts[holder].token, runner);
    let fence =
        pb::Fence { run_id: run.to_string(), attempt: 1, lease_id: lease["lease_id"].as_str().unwrap().to_owned() };
    let late = async || {
        let lost = Err(Some(ErrorCode::LeaseLost));
        assert_eq!(wire.beat(&fence).await, Ok(pb::LeaseState::Gone), "a late heartbeat");
        assert_eq!(wire.append(&fence, &[(9, 0, b"late")]).await.map(drop), lost, "late output");
        assert_eq!(wire.finish(&fence, pb::RunResult::Fail, b"late").await.map(drop), lost, "a late result");
        assert_eq!(wire.start(&fence).await, lost, "a late start");
    };
    late().await;
    arena.remember().await;
    arena.settle(Duration::from_secs(60)).await;
    late().await;
    let story = arena.story(run).await;
    assert_eq!((&story["result"], &story["attempt"]), (&json!("pass"), &json!(2)), "{story}");
    assert_eq!(story["attempts"].as_array().unwrap().len(), 2, "{story}");
    arena.finish(Duration::from_secs(10)).await;
}
