//! What becomes of a container when its worker, its monitor or its engine is killed or frozen, on real Podman.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tstr_api::config::LeaseProfile;
use tstr_shared::lease::LeaseTimes;
use tstr_shared::permission::Scope;
use tstr_tests::balancer::Balancer;
use tstr_tests::process::{Seen, uptime};
use tstr_tests::runner::{Runner, Site};
use tstr_tests::{Stack, eventually, factory};

use crate::podman::{finished, log, run, trigger, until_state};

/// What a busy machine may add to any promise.
const SLACK: Duration = Duration::from_secs(2);

/// A test whose first attempt runs on, and whose later ones end at once.
fn lasting(name: &str) -> Value {
    factory::script(name, "echo begun $TSTR_ATTEMPT; [ $TSTR_ATTEMPT = 2 ] || exec sleep 600")
}

/// A test that is not executed again when the infrastructure loses it.
fn once(test: Value) -> Value {
    factory::with(test, "/retry/on_infrastructure", json!(0))
}

async fn until_dead(what: &str, process: Seen, within: Duration) -> f64 {
    eventually(&format!("{what} is dead"), within, async || (!process.is_alive()).then(uptime)).await
}

async fn guard_of(runner: &Runner) -> Seen {
    eventually("the worker has a guard", Duration::from_secs(20), async || runner.guard()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_workers_container_is_dead_in_time_although_no_worker_comes_back() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let site = Site::prepare(&stack, "doomed").await;
    let mut doomed = site.start(&stack.grpc_url(0), &["--slots", "1"]).await;
    doomed.registered(&stack).await;
    let id =
        trigger(&admin, once(factory::script("deaf", "trap '' TERM; echo begun; while :; do sleep 1; done"))).await;
    until_state(&admin, &id, "running").await;
    eventually("it began", Duration::from_secs(10), async || (log(&admin, &id, "").await == b"begun\n").then_some(()))
        .await;
    let (init, monitor) = doomed.container();

    // A guard that is killed is replaced, and the next one knows what it knew.
    let first = guard_of(&doomed).await;
    assert!(first.leads_its_session(), "what ends the worker's group must not end the guard");
    first.signal(Signal::KILL);
    let guard = eventually("another guard is there", Duration::from_secs(10), async || {
        doomed.guard().filter(|guard| *guard != first)
    })
    .await;
    eventually("it is ready", Duration::from_secs(10), async || guard.leads_its_session().then_some(())).await;
    assert!(guard.own_memory() < 8 << 20, "{} bytes for a guard", guard.own_memory());
    tokio::time::sleep(Duration::from_millis(1500)).await;

    doomed.process.kill();
    let times = LeaseTimes::TEST;
    until_dead("the container", init, times.self_fence + times.fence_grace + SLACK).await;
    until_dead("its monitor", monitor, Duration::from_secs(20)).await;
    until_dead("the guard", guard, Duration::from_secs(5)).await;
    assert!(doomed.process.log_text().contains("tstr guard: the worker was not heard of in time, killed: tstr-"));
    let seen = finished(&admin, &id).await;
    assert_eq!((seen["result"].as_str(), seen["reason"].as_str()), (Some("error"), Some("lost_worker")), "{seen}");

    // What is left of its Podman is swept by the next worker, which leaves nothing.
    let mut again = site.start(&stack.grpc_url(0), &["--slots", "1"]).await;
    again.registered(&stack).await;
    let guard = guard_of(&again).await;
    assert!(again.containers().is_empty());
    let status = again.process.terminate(Duration::from_secs(60));
    assert!(status.success() && !guard.is_alive(), "{status}: {}", again.process.log_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_workers_container_is_dead_before_the_next_attempt_begins() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let frozen = Runner::start(&stack, "frozen", &["--slots", "1"]).await;
    let witness = "read up rest </proc/uptime; echo S $TSTR_ATTEMPT $up; [ $TSTR_ATTEMPT = 2 ] || exec sleep 600";
    let id = trigger(&admin, factory::script("witness", witness)).await;
    until_state(&admin, &id, "running").await;
    let begun = eventually("it began", Duration::from_secs(10), async || {
        let text = String::from_utf8(log(&admin, &id, "").await).unwrap();
        text.ends_with('\n').then_some(text)
    })
    .await;
    assert!(begun.starts_with("S 1 "), "{begun}");
    let (init, _) = frozen.container();
    let other = Runner::start(&stack, "other", &["--slots", "1"]).await;

    let since = Instant::now();
    frozen.process.signal(Signal::STOP);
    let times = LeaseTimes::TEST;
    let dead_at = until_dead("the container", init, times.self_fence + times.fence_grace + SLACK).await;
    tokio::time::sleep_until((since + Duration::from_secs(15)).into()).await;
    frozen.process.signal(Signal::CONT);

    let seen = finished(&admin, &id).await;
    assert_eq!((seen["result"].as_str(), seen["attempt"].as_i64()), (Some("pass"), Some(2)), "{seen}");
    assert_eq!(seen["attempts"][0]["reason"], "lost_worker", "{seen}");
    assert_eq!(seen["attempts"][0]["result"], "error", "{seen}");
    let text = String::from_utf8(log(&admin, &id, "").await).unwrap();
    let began: f64 = text.trim().strip_prefix("S 2 ").expect("the second attempt's line").parse().unwrap();
    assert!(dead_at < began, "attempt 1 was dead at {dead_at}, attempt 2 began at {began}");
    // What it says of the first attempt now changes nothing, and it goes on.
    eventually("it notices what happened", Duration::from_secs(20), async || {
        let text = frozen.process.log_text();
        ["its guard ended the container", "is somebody else's now"].iter().any(|said| text.contains(said)).then_some(())
    })
    .await;
    eventually("nothing is left", Duration::from_secs(20), async || frozen.containers().is_empty().then_some(())).await;
    assert_eq!(run(&admin, &id).await["attempts"], seen["attempts"]);
    drop(other);
    let next = trigger(&admin, factory::script("next", "echo fine")).await;
    assert_eq!(finished(&admin, &next).await["runner_name"], "frozen");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_guard_has_killed_is_no_failure_of_the_test() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Runner::start(&stack, "w1", &["--slots", "1"]).await;
    let id = trigger(&admin, once(lasting("long"))).await;
    until_state(&admin, &id, "running").await;
    let (init, _) = worker.container();
    worker.process.signal(Signal::STOP);
    until_dead("the container", init, Duration::from_secs(10)).await;
    // It wakes while the server still takes its word.
    worker.process.signal(Signal::CONT);
    let seen = finished(&admin, &id).await;
    assert_eq!(seen["result"], "error", "{seen}");
    assert!(["runtime_lost", "lost_worker"].contains(&seen["reason"].as_str().unwrap()), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_starts_again_hands_over_the_log_and_reports_its_crash() {
    // With the long times, so that nothing but the report can end the attempt this soon.
    let stack = Stack::start_with(1, |config| config.lease_times = LeaseProfile::Default).await;
    let admin = stack.admin();
    let upstream = stack.replica(0).grpc_addr();
    let grpc = Balancer::start(vec![upstream]).await;
    let site = Site::with_token("w1", &stack.token(&[Scope::Runner], &[".*"]).await);
    let url = format!("http://{}", grpc.addr);
    let mut worker = site.start(&url, &["--slots", "1"]).await;
    worker.registered(&stack).await;
    let script = "echo early; sleep 4; echo late; exec sleep 600";
    let id = trigger(&admin, once(factory::script("crash", script))).await;
    eventually("the first line arrives", Duration::from_secs(60), async || {
        (log(&admin, &id, "").await == b"early\n").then_some(())
    })
    .await;
    let (init, _) = worker.container();
    grpc.cut();
    let spool = worker.dir.join("spool");
    eventually("the last line is spooled", Duration::from_secs(20), async || {
        let spooled = std::fs::read_dir(&spool).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        spooled.flatten().collect::<Vec<u8>>().windows(5).any(|part| part == b"late\n").then_some(())
    })
    .await;
    worker.process.kill();
    grpc.set(vec![upstream]);
    assert_eq!(log(&admin, &id, "").await, b"early\n");

    let since = Instant::now();
    let worker = site.start(&url, &["--slots", "1"]).await;
    let seen = finished(&admin, &id).await;
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}: not before the lease ran out", since.elapsed());
    assert_eq!((seen["result"].as_str(), seen["reason"].as_str()), (Some("error"), Some("worker_crash")), "{seen}");
    assert_eq!(log(&admin, &id, "").await, b"early\nlate\n");
    assert_eq!(seen["log"]["status"], "incomplete", "{seen}");
    assert!(!init.is_alive());
    worker.cleaned_up().await;
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_monitor_is_reported_at_once() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Runner::start(&stack, "w1", &["--slots", "1"]).await;
    let id = trigger(&admin, once(lasting("long"))).await;
    until_state(&admin, &id, "running").await;
    let (init, monitor) = worker.container();
    let since = Instant::now();
    monitor.signal(Signal::KILL);
    let seen = finished(&admin, &id).await;
    let bound = LeaseTimes::TEST.heartbeat + Duration::from_secs(5);
    assert!(since.elapsed() < bound, "{:?}", since.elapsed());
    assert_eq!((seen["result"].as_str(), seen["reason"].as_str()), (Some("error"), Some("runtime_lost")), "{seen}");
    assert!(!init.is_alive());
    worker.cleaned_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_hangs_does_not_hang_the_worker() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Runner::start(&stack, "w1", &["--slots", "1"]).await;
    let id = trigger(&admin, once(lasting("long"))).await;
    until_state(&admin, &id, "running").await;
    let (init, monitor) = worker.container();
    let service = worker.podman_service();
    service.signal(Signal::STOP);
    // With the monitor the container is lost, and that is seen, done and said without the engine.
    monitor.signal(Signal::KILL);
    let since = Instant::now();
    let seen = finished(&admin, &id).await;
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    assert_eq!((seen["result"].as_str(), seen["reason"].as_str()), (Some("error"), Some("runtime_lost")), "{seen}");
    assert!(!init.is_alive());
    service.signal(Signal::CONT);
    eventually("it is cleaned up", Duration::from_secs(60), async || worker.containers().is_empty().then_some(()))
        .await;
    let next = trigger(&admin, factory::script("next", "echo fine")).await;
    assert_eq!(finished(&admin, &next).await["result"], "pass");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_room_on_its_disk_takes_nothing_and_says_so() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Runner::start(&stack, "full", &["--slots", "1", "--min-free", "1048576GiB"]).await;
    let id = trigger(&admin, factory::script("quick", "echo fine")).await;
    eventually("it says so", Duration::from_secs(20), async || {
        worker.process.log_text().contains("disk_low").then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(run(&admin, &id).await["state"], "queued");
    let listed = admin.get("/api/v1/namespaces/default/runners").await.expect(200);
    assert_eq!((&listed["items"][0]["state"], &listed["items"][0]["unfit"]), (&"live".into(), &"disk_low".into()));
    let told = admin.get(&format!("/api/v1/runs/{id}/explain")).await.expect(200);
    assert_eq!(told["reasons"][0]["why"], "no_live_runner", "{told}");
    assert!(told["summary"].as_str().unwrap().contains("1 is not fit: disk_low"), "{told}");
    let roomy = Runner::start(&stack, "roomy", &["--slots", "1"]).await;
    assert_eq!(finished(&admin, &id).await["runner_name"], "roomy");
    drop(roomy);
}
