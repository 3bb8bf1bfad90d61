//! The end of runs: cancelled in every state, and what a finished run tells.

use serde_json::json;
use tstr_shared::lease::LeaseState;
use tstr_shared::logs::Stream;
use tstr_shared::run::RunResult;
use tstr_tests::worker::Worker;
use tstr_tests::{Person, Stack, factory};

use super::NOBODY;

async fn cancel(person: &Person, run: &str) -> tstr_tests::people::Answer {
    person.post(&format!("/api/v1/runs/{run}/cancel"), &json!({})).await
}

#[tokio::test]
async fn a_run_that_waits_is_cancelled_at_once() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let id = admin.trigger("a").await.remove(0);
    let run = cancel(&admin, &id).await.expect(202);
    assert_eq!((&run["state"], &run["result"], &run["attempt"]), (&json!("finished"), &json!("cancelled"), &json!(0)));
    assert_eq!((&run["log"]["status"], &run["cancel_requested"]), (&json!("complete"), &json!(false)));
    let me = admin.get("/api/v1/identity").await.expect(200)["token"]["id"].as_str().unwrap().to_owned();
    let events = admin.get(&format!("/api/v1/runs/{id}/events")).await.expect(200);
    assert_eq!(events["items"][1]["actor"], format!("token:{me}"));
    assert!(Worker::register(&stack, 0, "w").await.claim(1).await.is_empty());
    assert_eq!(cancel(&admin, &id).await.refused(409, "conflict")["detail"], "the run has finished already: cancelled");
    // One that was put off is no different.
    let later = json!({"not_before": chrono::Utc::now() + chrono::Duration::hours(1)});
    let put_off = admin.post(&format!("{}/a/runs", super::TESTS), &later).await.expect(201)["runs"][0]["id"].clone();
    assert_eq!(cancel(&admin, put_off.as_str().unwrap()).await.expect(202)["result"], "cancelled");
}

#[tokio::test]
async fn a_run_that_is_leased_and_not_started_is_cancelled_at_once_and_never_starts() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let id = admin.trigger("a").await.remove(0);
    let fence = worker.next().await.fence;
    assert_eq!(admin.run(&id).await["state"], "leased");
    let run = cancel(&admin, &id).await.expect(202);
    assert_eq!((&run["state"], &run["result"]), (&json!("finished"), &json!("cancelled")));
    assert!(worker.start(fence).await.is_err());
    assert_eq!(worker.beat(&[fence]).await, [LeaseState::Gone]);
}

#[tokio::test]
async fn a_run_that_runs_is_asked_to_end_and_its_worker_has_the_last_word() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let worker = Worker::register(&stack, 0, "w").await;
    for result in [RunResult::Cancelled, RunResult::Pass] {
        let id = admin.trigger("a").await.remove(0);
        let fence = worker.running().await;
        assert_eq!(worker.beat(&[fence]).await, [LeaseState::Held]);
        for _ in 0..2 {
            let run = cancel(&admin, &id).await.expect(202);
            assert_eq!((&run["state"], &run["cancel_requested"]), (&json!("running"), &json!(true)));
        }
        assert_eq!(worker.beat(&[fence]).await, [LeaseState::CancelRequested]);
        worker.finish(fence, result).await.unwrap();
        let run = admin.run(&id).await;
        assert_eq!((&run["state"], &run["result"]), (&json!("finished"), &json!(result.word())));
        cancel(&admin, &id).await.refused(409, "conflict");
    }
    cancel(&admin, NOBODY).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_finished_run_tells_of_its_attempts_and_their_logs() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::with(factory::test("a"), "/retry/on_fail", json!(1))).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let id = admin.trigger("a").await.remove(0);
    let first = worker.running().await;
    worker.write(first, &[(Stream::Stdout, b"one\n")]).await;
    let live = admin.run(&id).await;
    assert_eq!(
        (&live["log"]["status"], &live["log"]["bytes"], &live["attempts"][0]["attempt"]),
        (&json!("open"), &json!(4), &json!(1))
    );
    worker.finish(first, RunResult::Fail).await.unwrap();
    let second = worker.running().await;
    worker.write(second, &[(Stream::Stdout, b"two\n"), (Stream::Stderr, b"!")]).await;
    worker.finish(second, RunResult::Pass).await.unwrap();
    let run = admin.run(&id).await;
    assert_eq!((&run["result"], &run["flaky"], &run["attempt"]), (&json!("pass"), &json!(true), &json!(2)));
    assert_eq!(
        (&run["log"], run["runner_name"].as_str()),
        (&json!({"status": "complete", "bytes": 5, "dropped_bytes": 0}), Some("w"))
    );
    let attempts = run["attempts"].as_array().unwrap();
    let told: Vec<_> =
        attempts.iter().map(|one| (&one["attempt"], &one["result"], &one["exit_code"], &one["log"]["bytes"])).collect();
    assert_eq!(
        told,
        [(&json!(1), &json!("fail"), &json!(1), &json!(4)), (&json!(2), &json!("pass"), &json!(0), &json!(5))]
    );
    for at in ["scheduled_at", "created_at", "leased_at", "started_at", "finished_at"] {
        assert!(run[at].as_str().is_some_and(|at| at.ends_with('Z')), "{at} of {run}");
    }
    // Lists leave the attempts out.
    assert!(admin.get(super::RUNS).await.expect(200)["items"][0].get("attempts").is_none());
}
