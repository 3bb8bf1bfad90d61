//! Workers that stand still with their whole machine, and runs that kill whoever executes them.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::factory::{with, witness};
use tstr_tests::{eventually, sightings};

use crate::load;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_06_a_machine_that_stood_still_has_no_say_afterwards() {
    let mut arena = Arena::start(Plan::short(2, 1)).await;
    arena.driver.register(&witness("t", "echo begun; [ $TSTR_ATTEMPT -ge 2 ] || { sleep 40; exit 7; }")).await;
    let run = arena.driver.trigger("t", "the one").await;
    let holder = arena.held_by(run).await;
    eventually("its container is seen", Duration::from_secs(10), async || arena.last_seen(run, 1)).await;
    // The container goes on, and nobody is left who could end it.
    let runner = arena.posts[holder].runner();
    let (_, monitor) = runner.container();
    let guard = runner.guard().expect("it has a guard");
    runner.process.signal(Signal::STOP);
    guard.signal(Signal::STOP);
    monitor.signal(Signal::STOP);
    arena.evidence.frozen.push((run, 1));
    arena.settle(Duration::from_secs(40)).await;
    let before = arena.story(run).await;
    assert_eq!((&before["result"], &before["attempt"]), (&json!("pass"), &json!(2)), "{before}");
    assert!(sightings::processes_of(run) > 0, "the old container has outlived its lease");
    arena.remember().await;
    monitor.signal(Signal::CONT);
    guard.signal(Signal::CONT);
    arena.posts[holder].runner().process.signal(Signal::CONT);
    let thawed = Instant::now();
    eventually("the old container is ended", Duration::from_secs(15), async || {
        (sightings::processes_of(run) == 0).then_some(())
    })
    .await;
    eprintln!("the old container was dead {:.1} s after the thaw", thawed.elapsed().as_secs_f64());
    assert_eq!(arena.story(run).await, before, "what it said after that changed nothing");
    // It works again.
    arena.driver.register(&witness("u", "sleep 2")).await;
    load::trigger(&arena.driver, "u", 4, Duration::ZERO).await.unwrap();
    arena.settle(Duration::from_secs(30)).await;
    let thawed =
        format!("attempt a JOIN runner w ON w.id = a.runner_id WHERE w.name = 'w{}' AND result = 'pass'", holder + 1);
    assert!(arena.count(&thawed).await > 0, "the thawed worker takes runs");
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_45_a_run_that_kills_its_worker_each_time_stops_when_its_attempts_are_used_up() {
    let mut arena = Arena::start(Plan::short(2, 2)).await;
    let poison = with(witness("poison", "sleep 30"), "/retry", json!({"on_infrastructure": 2}));
    arena.driver.register(&poison).await;
    // What happens to share a worker with it may be lost with it, more than once.
    let other = with(witness("other", "sleep 0.5"), "/retry", json!({"on_infrastructure": 4}));
    arena.driver.register(&other).await;
    let run = arena.driver.trigger("poison", "poison").await;
    let others = load::trigger(&arena.driver, "other", 20, Duration::from_millis(400));
    for attempt in 1..=3 {
        let holder = arena.held_by(run).await;
        eventually("its container is seen", Duration::from_secs(10), async || arena.last_seen(run, attempt)).await;
        arena.posts[holder].kill();
        arena.posts[holder].start_again().await;
        let over = format!("attempt WHERE run_id = '{run}' AND attempt = {attempt}");
        eventually("the attempt is over", Duration::from_secs(20), async || {
            (arena.count(&over).await == 1).then_some(())
        })
        .await;
    }
    let made = others.await.unwrap();
    arena.settle(Duration::from_secs(60)).await;
    let story = arena.story(run).await;
    assert_eq!((&story["result"], &story["attempt"]), (&json!("error"), &json!(3)), "{story}");
    let reason = story["reason"].as_str().unwrap();
    assert!(["worker_crash", "lost_worker"].contains(&reason), "{story}");
    let passed =
        arena.count("run_end e JOIN test t ON t.id = e.test_id WHERE t.name = 'other' AND e.result = 'pass'").await;
    assert!(passed >= made.runs.len() as i64, "the others go on: {passed} of {} passed", made.runs.len());
    arena.finish(Duration::from_secs(20)).await;
}
