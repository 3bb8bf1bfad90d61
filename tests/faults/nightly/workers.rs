//! Workers that stand still with their whole machine, and runs that kill whoever executes them.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::checker::boot_nanos;
use tstr_tests::ctl::Ctl;
use tstr_tests::factory::{with, witness};
use tstr_tests::{eventually, sightings};
use uuid::Uuid;

use crate::ci::workers::outlived;
use crate::load::{self, Dice};

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

/// Within this time the loss of a worker is found out, by default: what is left of a lease, 5 s, and a sweep of 2 s.
const FOUND_OUT: f64 = 67.0;
/// From SIGTERM to SIGKILL the guard of a killed worker gives a container so long, and a little for a busy machine.
const DEAD_AFTER: f64 = 10.0 + 0.9;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_04_the_loss_of_a_worker_is_found_out_within_the_time_of_ordinary_operation() {
    let mut dice = Dice::of(4);
    let mut arena = Arena::start(Plan::ordinary(2, 2)).await;
    let long = witness("t", "echo begun; [ $TSTR_ATTEMPT -ge 2 ] || sleep 200");
    arena.driver.register(&with(long, "/run_config/timeout", json!("5m"))).await;
    arena.driver.register(&witness("other", "sleep 1")).await;
    let run = arena.driver.trigger("t", "the one").await;
    let holder = arena.held_by(run).await;
    eventually("its container is seen", Duration::from_secs(10), async || arena.last_seen(run, 1)).await;
    // Anywhere between two heartbeats.
    tokio::time::sleep(dice.between(Duration::from_secs(1), Duration::from_secs(11))).await;
    let wall = arena.value("SELECT to_jsonb(extract(epoch FROM clock_timestamp()))").await.as_f64().unwrap();
    arena.posts[holder].kill();
    let killed = boot_nanos();
    // The other worker goes on meanwhile.
    load::trigger(&arena.driver, "other", 10, Duration::from_secs(2)).await.unwrap();
    arena.settle(Duration::from_secs(120)).await;
    let story = arena.story(run).await;
    assert_eq!((&story["result"], &story["attempt"]), (&json!("pass"), &json!(2)), "{story}");
    assert_eq!(story["attempts"][0]["reason"], "lost_worker", "{story}");
    assert_eq!(story["attempts"].as_array().unwrap().len(), 2, "{story}");
    assert_eq!(story["attempts"][1]["runner"], format!("w{}", 2 - holder), "the other worker has passed it: {story}");
    let back = format!("run_event WHERE run_id = '{run}' AND state_from = 'running' AND state_to = 'queued'");
    assert_eq!(arena.count(&back).await, 1, "it was queued again once");
    let found_out = story["attempts"][0]["ended"].as_f64().unwrap() - wall;
    let lived = outlived(&arena, run, 1, killed);
    eprintln!("the loss was found out after {found_out:.1} s; the container had lived on for {lived:.1} s");
    assert!(found_out <= FOUND_OUT, "the loss was found out after {found_out:.2} s");
    assert!(lived < DEAD_AFTER, "its container lived on for {lived:.2} s");
    assert_eq!(arena.count("run_end WHERE result <> 'pass'").await, 0);
    assert_eq!(arena.count("attempt WHERE attempt > 1").await, 1, "nothing else was lost");
    // Started again, the worker sweeps what it left behind.
    arena.posts[holder].start_again().await;
    let admin = arena.admin();
    arena.posts[holder].runner().registered_at(&admin).await;
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_45_a_worker_that_crashed_with_its_runs_takes_nothing_after_one_more_loss_until_a_run_goes_well() {
    let mut arena = Arena::start(Plan::short(1, 2)).await;
    let poison = with(witness("poison", "sleep 30"), "/retry", json!({"on_infrastructure": 0}));
    arena.driver.register(&poison).await;
    arena.driver.register(&witness("fragile", "[ $TSTR_ATTEMPT -ge 2 ] || sleep 30")).await;
    arena.driver.register(&witness("other", "true")).await;
    // Two runs take their worker with them.
    let poisoned = [arena.driver.trigger("poison", "a").await, arena.driver.trigger("poison", "b").await];
    arena.running(2).await;
    arena.posts[0].kill();
    arena.posts[0].start_again().await;
    arena.settle(Duration::from_secs(30)).await;
    for run in poisoned {
        let story = arena.story(run).await;
        assert_eq!((&story["result"], &story["attempt"]), (&json!("error"), &json!(1)), "{story}");
        assert_eq!(story["reason"], "worker_crash", "{story}");
    }
    arena.says_unfit(0, None).await;
    // They were two losses of this machine; the next one is the third in a row.
    let run = arena.driver.trigger("fragile", "fragile").await;
    arena.held_by(run).await;
    eventually("its container is seen", Duration::from_secs(10), async || arena.last_seen(run, 1)).await;
    let (_, monitor) = arena.posts[0].runner().container();
    monitor.signal(Signal::KILL);
    let waits = unfit_by_breaker(&arena, 0, "other").await;
    arena.settle(Duration::from_secs(60)).await;
    let story = arena.story(run).await;
    assert_eq!((&story["result"], &story["attempt"]), (&json!("pass"), &json!(2)), "{story}");
    assert_eq!(story["attempts"][0]["reason"], "runtime_lost", "{story}");
    let pause = format!(
        "SELECT to_jsonb(extract(epoch FROM min(next.leased_at) - max(lost.ended_at))) FROM attempt lost, attempt next
         WHERE lost.run_id = '{run}' AND lost.attempt = 1
           AND next.run_id IN ('{waits}', '{run}') AND (next.run_id, next.attempt) <> (lost.run_id, lost.attempt)"
    );
    let pause = arena.value(&pause).await.as_f64().unwrap();
    eprintln!("after the loss nothing was taken for {pause:.1} s");
    // About ten seconds: up to a fifth less, so that not all machines come back at once.
    assert!(pause > 7.0, "nothing was taken for {pause:.1} s only");
    fit_again(&arena, 0).await;
    arena.finish(Duration::from_secs(20)).await;
}

/// Waits until the breaker of the worker at a post is open, and fails unless people are told so in every way that there
/// is. Makes a run that waits for this, and returns it.
pub async fn unfit_by_breaker(arena: &Arena, post: usize, test: &str) -> Uuid {
    let ctl = Ctl::new(arena.json.url(), arena.token());
    arena.says_unfit(post, Some("breaker")).await;
    let (name, waits) = (format!("w{}", post + 1), arena.driver.trigger(test, "waits for the breaker").await);
    let told = arena.admin().get(&format!("/api/v1/runs/{waits}/explain")).await.expect(200);
    let runners = told["waiting"]["runners"].as_array().unwrap_or_else(|| panic!("it waits: {told}"));
    let mine = runners.iter().find(|one| one["runner_name"] == name.as_str());
    assert_eq!(mine.map(|one| &one["verdict"]), Some(&json!("breaker")), "{told}");
    let listed = ctl.run("runner list").done().to_owned();
    assert!(listed.lines().any(|line| line.starts_with(&format!("{name}\tnot fit: breaker\t"))), "{listed}");
    assert_eq!(ctl.run(&format!("runner get {name} -o json")).json()["unfit"], "breaker");
    waits
}

/// Waits until the worker at a post says that it is fit, and fails unless people are told so.
pub async fn fit_again(arena: &Arena, post: usize) {
    arena.says_unfit(post, None).await;
    let (name, ctl) = (format!("w{}", post + 1), Ctl::new(arena.json.url(), arena.token()));
    let listed = ctl.run("runner list").done().to_owned();
    assert!(listed.lines().any(|line| line.starts_with(&format!("{name}\tlive\t"))), "{listed}");
}
