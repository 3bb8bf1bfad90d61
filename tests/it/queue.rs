//! The queue through its use cases: claims, fences, heartbeats, recovery.

use std::time::Duration;

use tstr_shared::error::ErrorCode;
use tstr_shared::lease::LeaseState;
use tstr_shared::run::RunResult;
use tstr_tests::worker::Worker;
use tstr_tests::{Stack, eventually, factory};

#[tokio::test]
async fn a_run_goes_from_trigger_to_result() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Worker::register(&stack, 0, "w1").await;
    admin.register(&factory::test("a")).await;
    let ids = admin.trigger("a").await;
    let run = worker.next().await;
    assert_eq!(run.fence.run_id.to_string(), ids[0]);
    worker.start(run.fence).await.unwrap();
    assert_eq!(admin.get(&format!("/api/v1/runs/{}", ids[0])).await.expect(200)["state"], "running");
    worker.finish(run.fence, RunResult::Pass).await.unwrap();
    let seen = admin.get(&format!("/api/v1/runs/{}", ids[0])).await.expect(200);
    assert_eq!(
        (seen["state"].as_str(), seen["result"].as_str(), seen["attempt"].as_i64()),
        (Some("finished"), Some("pass"), Some(1))
    );
    // Repeated, the report is answered alike; another one is refused.
    worker.finish(run.fence, RunResult::Pass).await.unwrap();
    assert_eq!(worker.finish(run.fence, RunResult::Fail).await, Err(ErrorCode::LeaseLost));
    let events = admin.get(&format!("/api/v1/runs/{}/events", ids[0])).await.expect(200);
    let states: Vec<_> = events["items"].as_array().unwrap().iter().map(|e| e["to"].as_str().unwrap()).collect();
    assert_eq!(states, ["queued", "leased", "running", "finished"]);
}

#[tokio::test]
async fn a_run_whose_place_does_not_say_what_it_executes_is_claimed_like_any_other() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Worker::register(&stack, 0, "w1").await;
    let test = factory::with(factory::test("a"), "/run_config/args", serde_json::json!(["one", "two"]));
    admin.register(&test).await;
    admin.trigger("a").await;
    let first = worker.next().await;
    admin.trigger("a").await;
    // As the release before this one puts it there.
    let mut conn = stack.db.connect().await;
    sqlx::query("UPDATE ready SET config_id = NULL").execute(&mut conn).await.unwrap();
    let second = worker.next().await;
    assert_eq!(first.run_config.args, ["one", "two"]);
    assert_eq!((second.run_config, second.log_limit_bytes), (first.run_config, first.log_limit_bytes));
}

#[tokio::test]
async fn a_waiting_claim_is_woken_on_every_replica() {
    let stack = Stack::start_with(2, |_| {}).await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    for replica in 0..2 {
        let worker = Worker::register(&stack, replica, &format!("w{replica}")).await;
        let waiting = tokio::spawn(async move { worker.claim_within(1, Duration::from_secs(20)).await.len() });
        tokio::time::sleep(Duration::from_millis(200)).await;
        admin.trigger("a").await;
        let claimed = tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("it is woken").unwrap();
        assert_eq!(claimed, 1);
    }
}

#[tokio::test]
async fn a_lost_worker_loses_its_lease_and_its_late_report_is_refused() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let (lost, other) = (Worker::register(&stack, 0, "lost").await, Worker::register(&stack, 0, "other").await);
    admin.register(&factory::test("a")).await;
    let ids = admin.trigger("a").await;
    let run = lost.next().await;
    lost.start(run.fence).await.unwrap();
    // 6 s of life, 1 s more for the reaper, then a backoff of 10 s before the next attempt.
    let again = eventually("another worker gets the run", Duration::from_secs(30), async || {
        other.claim_within(1, Duration::from_secs(1)).await.pop()
    })
    .await;
    assert_eq!(again.fence.attempt, 2);
    assert_eq!(lost.finish(run.fence, RunResult::Pass).await, Err(ErrorCode::LeaseLost));
    assert_eq!(lost.beat(&[run.fence]).await, [LeaseState::Gone]);
    other.start(again.fence).await.unwrap();
    other.finish(again.fence, RunResult::Fail).await.unwrap();
    let seen = admin.get(&format!("/api/v1/runs/{}", ids[0])).await.expect(200);
    assert_eq!((seen["result"].as_str(), seen["attempt"].as_i64()), (Some("fail"), Some(2)));
    assert_eq!(seen["attempts"][0]["reason"], "lost_worker");
}

#[tokio::test]
async fn releases_are_free_but_not_endless() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Worker::register(&stack, 0, "w").await;
    admin.register(&factory::test("a")).await;
    let ids = admin.trigger("a").await;
    for _ in 0..5 {
        let run = worker.next().await;
        worker.release(run.fence, None).await.unwrap();
    }
    let seen = admin.get(&format!("/api/v1/runs/{}", ids[0])).await.expect(200);
    assert_eq!((seen["result"].as_str(), seen["reason"].as_str()), (Some("error"), Some("never_started")));
}
