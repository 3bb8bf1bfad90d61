//! Container engines that die or hang under a worker.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::eventually;
use tstr_tests::factory::witness;
use uuid::Uuid;

/// A heartbeat, and the time that a monitor's death may take to be reported.
const REPORTED: Duration = Duration::from_secs(1 + 5);
/// How long an engine may be away; besides the last question to it, a pause before that, and a wait for late output.
const OUTAGE: Duration = Duration::from_secs(30 + 5 + 5 + 2);

/// Makes a run of which only the first attempt lasts; returns it once it is seen.
async fn lasting(arena: &Arena, mark: &str) -> (Uuid, usize) {
    let run = arena.driver.trigger("t", mark).await;
    let holder = arena.held_by(run).await;
    eventually("its container is seen", Duration::from_secs(10), async || arena.last_seen(run, 1)).await;
    (run, holder)
}

async fn attempt_ends(arena: &Arena, run: Uuid, within: Duration) -> Duration {
    let (since, over) = (Instant::now(), format!("attempt WHERE run_id = '{run}' AND attempt = 1"));
    eventually("the attempt is over", within, async || (arena.count(&over).await == 1).then_some(())).await;
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_35_an_engine_that_dies_or_hangs_costs_an_attempt_in_bounded_time() {
    let mut arena = Arena::start(Plan::short(2, 1)).await;
    arena.driver.register(&witness("t", "[ $TSTR_ATTEMPT -ge 2 ] || sleep 120")).await;
    arena.driver.register(&witness("short", "sleep 4")).await;

    // The service dies: the container does not notice.
    let run = arena.driver.trigger("short", "served anew").await;
    let holder = arena.held_by(run).await;
    eventually("its container is seen", Duration::from_secs(10), async || arena.last_seen(run, 1)).await;
    arena.posts[holder].runner().podman_service().signal(Signal::KILL);
    arena.settle(Duration::from_secs(30)).await;
    let story = arena.story(run).await;
    assert_eq!((&story["result"], &story["attempt"]), (&json!("pass"), &json!(1)), "{story}");

    // The monitor of a container dies: nobody will tell its end.
    let (run, holder) = lasting(&arena, "no monitor").await;
    let (init, monitor) = arena.posts[holder].runner().container();
    monitor.signal(Signal::KILL);
    let took = attempt_ends(&arena, run, REPORTED).await;
    assert!(!init.is_alive(), "the container is dead when its run may be somebody else's");
    arena.settle(Duration::from_secs(30)).await;
    let story = arena.story(run).await;
    assert_eq!((&story["result"], &story["attempt"]), (&json!("pass"), &json!(2)), "{story}");
    assert_eq!(story["attempts"][0]["reason"], "runtime_lost", "{story}");

    // The engine takes every question and answers none.
    let (run, holder) = lasting(&arena, "no answers").await;
    let service = arena.posts[holder].runner().podman_service();
    service.signal(Signal::STOP);
    let hung = attempt_ends(&arena, run, OUTAGE + REPORTED).await;
    eprintln!("reported after {took:.1?} without a monitor, after {hung:.1?} without answers");
    let live = arena.told_of(holder).await;
    assert_eq!(live["state"], "live", "its heartbeats go on: {live}");
    arena.settle(Duration::from_secs(30)).await;
    let story = arena.story(run).await;
    assert_eq!((&story["result"], &story["attempt"]), (&json!("pass"), &json!(2)), "{story}");
    assert_eq!(story["attempts"][0]["reason"], "runtime_lost", "{story}");
    assert_ne!(story["attempts"][0]["runner"], story["attempts"][1]["runner"], "{story}");
    service.signal(Signal::CONT);
    eventually("what hung is cleaned up", Duration::from_secs(60), async || {
        arena.posts[holder].runner().containers().is_empty().then_some(())
    })
    .await;
    arena.finish(Duration::from_secs(10)).await;
}
