//! Each policy, for triggers, retries, the schedule and runs that were put off.

use std::time::Duration;

use chrono::Utc;
use serde_json::json;
use tstr_api::turns;
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunId;
use tstr_shared::lease::LeaseState;
use tstr_shared::run::{RetryRun, RunResult, RunState, TriggerRun};
use tstr_tests::contract::default;
use tstr_tests::{Lab, Stack, eventually, factory};

use super::{claimable, in_group, limited, pass_one, run_once, trigger, why_cancelled};

#[tokio::test]
async fn without_a_concurrency_triggered_runs_are_not_limited() {
    let lab = Lab::start().await;
    lab.test(factory::test("free")).await;
    lab.test(limited("allowed", json!({"policy": "allow"}))).await;
    for test in ["free", "allowed", "free", "allowed"] {
        run_once(&lab, test).await;
    }
    assert_eq!(claimable(&lab).await.len(), 4);
}

#[tokio::test]
async fn a_queue_lets_runs_in_one_after_the_other_and_the_new_one_takes_the_place_of_the_one_that_waits() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.test(limited("t", json!({"policy": "queue"}))).await;
    let (first, second, third) = (run_once(&lab, "t").await, run_once(&lab, "t").await, run_once(&lab, "t").await);
    assert_eq!(claimable(&lab).await, [first]);
    assert_eq!(lab.get(third).await.state, RunState::Queued);
    assert!(why_cancelled(&lab, second).await.contains(&third.to_string()));
    assert_eq!(lab.path(second).await, "QF");
    lab.check().await;
    pass_one(&lab, &worker, first).await;
    pass_one(&lab, &worker, third).await;
    lab.check().await;
}

#[tokio::test]
async fn depth_and_overflow_say_how_many_wait_and_which_is_dropped() {
    let lab = Lab::start().await;
    lab.test(limited("newest", json!({"policy": "queue", "depth": 2, "overflow": "newest"}))).await;
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(run_once(&lab, "newest").await);
    }
    assert!(why_cancelled(&lab, runs[3]).await.contains("2 of this test and cell wait already"));
    assert_eq!(lab.get(runs[2]).await.state, RunState::Queued);
    lab.test(limited("none", json!({"policy": "queue", "depth": 0, "limit": 2}))).await;
    let runs = [run_once(&lab, "none").await, run_once(&lab, "none").await, run_once(&lab, "none").await];
    assert!(why_cancelled(&lab, runs[2]).await.contains("none may wait"));
    assert_eq!(claimable(&lab).await.len(), 3);
    lab.check().await;
}

#[tokio::test]
async fn forbid_refuses_triggers_and_retries_while_a_run_has_not_ended() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.test(limited("t", json!({"policy": "forbid"}))).await;
    let first = run_once(&lab, "t").await;
    assert_eq!(trigger(&lab, "t").await, Err(ErrorCode::ConcurrencyForbidden));
    let fence = worker.started().await;
    assert_eq!(trigger(&lab, "t").await, Err(ErrorCode::ConcurrencyForbidden));
    // A lease that ran out and was not reaped yet may still have a container.
    lab.lapse(first).await;
    assert_eq!(trigger(&lab, "t").await, Err(ErrorCode::ConcurrencyForbidden));
    worker.finish(fence, RunResult::Fail).await.unwrap();
    let second = run_once(&lab, "t").await;
    let retry =
        async || lab.ops().retry_run(&lab.admin, first, RetryRun::default(), None).await.map(|made| made.run.id);
    assert_eq!(retry().await.unwrap_err().code(), ErrorCode::ConcurrencyForbidden);
    lab.cancel(second).await.unwrap();
    let third = retry().await.unwrap();
    assert_eq!(claimable(&lab).await, [third]);
    assert_eq!(trigger(&lab, "t").await, Err(ErrorCode::ConcurrencyForbidden));
    lab.check().await;
}

#[tokio::test]
async fn a_forbidden_trigger_is_answered_with_409_and_leaves_no_run() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&limited("t", json!({"policy": "forbid"}))).await;
    let run = admin.trigger("t").await.remove(0);
    let refused = admin.post("/api/v1/namespaces/default/tests/t/runs", &json!({})).await;
    let problem = refused.refused(409, "concurrency_forbidden");
    assert!(problem["detail"].as_str().unwrap().contains(&run), "{problem}");
    assert_eq!(problem["retryable"], false);
    let runs = admin.get("/api/v1/namespaces/default/runs").await.expect(200);
    assert_eq!(runs["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn replace_cancels_what_waits_at_once_and_asks_what_runs_to_end() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.test(limited("t", json!({"policy": "replace"}))).await;
    let first = run_once(&lab, "t").await;
    let fence = worker.started().await;
    let second = run_once(&lab, "t").await;
    assert_eq!(lab.carry_out_orders().await, 1);
    assert_eq!(worker.beat(&[fence]).await, [LeaseState::CancelRequested]);
    let third = run_once(&lab, "t").await;
    assert_eq!(lab.carry_out_orders().await, 0, "it is being cancelled already");
    assert!(why_cancelled(&lab, second).await.contains(&third.to_string()));
    assert!(claimable(&lab).await.is_empty(), "the container may still run");
    worker.finish(fence, RunResult::Cancelled).await.unwrap();
    assert!(why_cancelled(&lab, first).await.contains(&second.to_string()));
    // Leased and not started, or not even claimed: it ends at once, and the next one is let in.
    assert_eq!(worker.one().await.run_id, third);
    let fourth = run_once(&lab, "t").await;
    assert_eq!(lab.carry_out_orders().await, 1);
    assert!(why_cancelled(&lab, third).await.contains(&fourth.to_string()));
    let fifth = run_once(&lab, "t").await;
    assert_eq!(lab.carry_out_orders().await, 1);
    assert!(why_cancelled(&lab, fourth).await.contains(&fifth.to_string()));
    pass_one(&lab, &worker, fifth).await;
    lab.check().await;
}

#[tokio::test]
async fn a_replaced_run_is_cancelled_without_anybody_asking() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&limited("t", json!({"policy": "replace"}))).await;
    let (first, second) = (admin.trigger("t").await.remove(0), admin.trigger("t").await.remove(0));
    let ended = async || Some(admin.run(&first).await).filter(|run| run["state"] == "finished");
    let run = eventually("the first run ends", Duration::from_secs(10), ended).await;
    assert_eq!(run["result"], "cancelled");
    let worker = tstr_tests::worker::Worker::register(&stack, 0, "w").await;
    assert_eq!(worker.next().await.fence.run_id.to_string(), second);
}

#[tokio::test]
async fn a_group_is_shared_by_tests_of_one_namespace_whatever_the_case_of_its_name() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.test(in_group("a", "queue", 1)).await;
    lab.test(limited("b", json!({"policy": "queue", "group": "SHOP"}))).await;
    lab.test(limited("c", json!({"policy": "forbid", "group": "shop"}))).await;
    let (first, second) = (run_once(&lab, "a").await, run_once(&lab, "b").await);
    assert_eq!(trigger(&lab, "c").await, Err(ErrorCode::ConcurrencyForbidden));
    assert_eq!(claimable(&lab).await, [first]);
    // Another namespace has a group of its own.
    lab.namespace("other").await;
    let other = tstr_shared::namespace::Namespace::parse("other").unwrap();
    let new = serde_json::from_value(in_group("a", "forbid", 1)).unwrap();
    lab.ops().create_test(&lab.admin, &other, new, None).await.unwrap();
    lab.ops().trigger(&lab.admin, &other, "a", TriggerRun::default(), None).await.unwrap();
    assert_eq!(claimable(&lab).await.len(), 2);
    let fences = worker.claim(2).await;
    let fence = fences.iter().find(|leased| leased.fence.run_id == first).unwrap().fence;
    worker.start(fence).await.unwrap();
    worker.finish(fence, RunResult::Fail).await.unwrap();
    assert_eq!(claimable(&lab).await, [second]);
    lab.check().await;
}

#[tokio::test]
async fn a_limit_that_is_raised_lets_in_who_waits_and_one_that_is_lowered_holds_back() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.test(limited("t", json!({"policy": "queue", "group": "g", "depth": 9}))).await;
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(run_once(&lab, "t").await);
    }
    let set = async |limit: u32| {
        let patch = json!({"concurrency": {"limit": limit}});
        lab.ops().patch_test(&lab.admin, &default(), "t", patch, None).await.unwrap();
    };
    set(3).await;
    assert_eq!(claimable(&lab).await, runs[..3]);
    lab.check().await;
    set(1).await;
    for run in &runs[..2] {
        lab.cancel(*run).await.unwrap();
    }
    assert_eq!(claimable(&lab).await, [runs[2]], "one is left, and one may be");
    pass_one(&lab, &worker, runs[2]).await;
    assert_eq!(claimable(&lab).await, [runs[3]]);
    lab.check().await;
}

/// Lets the schedule of the only test have an instant so many seconds ago.
async fn tick(lab: &Lab, secs_ago: u32) {
    let due = format!("UPDATE schedule SET next_at = clock_timestamp() - interval '{secs_ago} s'");
    assert_eq!(lab.execute(&due).await.unwrap(), 1);
    assert_eq!(turns::enqueue_due(lab.ops()).await.unwrap(), 1);
}

/// Returns the runs of the schedule, in the order of their instants.
async fn scheduled(lab: &Lab) -> Vec<RunId> {
    let query = "SELECT to_jsonb(coalesce(array_agg(id ORDER BY scheduled_at, seq), '{}')) FROM run
                 WHERE trigger = 'schedule' AND $1 IS NOT NULL";
    serde_json::from_value(lab.value(query, RunId(uuid::Uuid::nil())).await).unwrap()
}

#[tokio::test]
async fn scheduled_runs_wait_for_each_other_in_each_cell_and_triggered_ones_pass_by() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let body = factory::with(factory::test("t"), "/cron_schedule", json!("0 0 1 1 *"));
    lab.test(factory::with(body, "/matrix", json!({"labels": {"os": ["a", "b"]}}))).await;
    for secs in [50, 40, 30] {
        tick(&lab, secs).await;
    }
    let runs = scheduled(&lab).await;
    assert_eq!(runs.len(), 6);
    assert_eq!(claimable(&lab).await, runs[..2], "the first of each cell may run");
    for run in &runs[2..4] {
        let why = why_cancelled(&lab, *run).await;
        assert!(why.contains("replaced in the queue by run"), "{why}");
        assert_eq!(
            lab.value("SELECT to_jsonb(actor) FROM run_event WHERE run_id = $1 AND state_to = 'finished'", *run).await,
            "scheduler"
        );
    }
    lab.check().await;
    // Triggered runs are not limited by the default of the schedule.
    assert_eq!(trigger(&lab, "t").await.unwrap().len(), 2);
    assert_eq!(claimable(&lab).await.len(), 4);
    for leased in worker.claim(4).await {
        worker.start(leased.fence).await.unwrap();
        worker.finish(leased.fence, RunResult::Pass).await.unwrap();
    }
    assert_eq!(claimable(&lab).await, runs[4..], "the newest of each cell waited");
    lab.check().await;
}

#[tokio::test]
async fn the_schedule_obeys_every_policy() {
    for (policy, claimable_after, cancelled) in [("allow", 3, 0), ("forbid", 1, 0), ("queue", 1, 1), ("replace", 0, 1)]
    {
        let lab = Lab::start().await;
        let body = factory::with(limited("t", json!({"policy": policy})), "/cron_schedule", json!("0 0 1 1 *"));
        lab.test(body).await;
        for secs in [50, 40, 30] {
            tick(&lab, secs).await;
        }
        assert_eq!(claimable(&lab).await.len(), claimable_after.max(1), "{policy}");
        lab.carry_out_orders().await;
        let mut ended = 0;
        let runs = scheduled(&lab).await;
        for run in &runs {
            ended += usize::from(lab.get(*run).await.result == Some(RunResult::Cancelled));
        }
        let expected = if policy == "forbid" { 1 } else { 3 };
        assert_eq!((runs.len(), ended), (expected, cancelled + usize::from(policy == "replace")), "{policy}");
        lab.check().await;
    }
}

#[tokio::test]
async fn all_missed_instants_run_one_after_the_other_when_the_test_asks_for_all() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let body = factory::with(factory::test("t"), "/cron_schedule", json!("* * * * *"));
    let body = factory::with(body, "/catch_up", json!("all"));
    lab.test(factory::with(body, "/start_deadline", json!("1h"))).await;
    tick(&lab, 600).await;
    let runs = scheduled(&lab).await;
    assert!((10..=12).contains(&runs.len()), "{}", runs.len());
    for run in runs {
        pass_one(&lab, &worker, run).await;
    }
    lab.check().await;
}

#[tokio::test]
async fn a_run_that_was_put_off_meets_its_gate_when_its_time_comes() {
    let lab = Lab::start().await;
    lab.test(limited("t", json!({"policy": "forbid"}))).await;
    let put_off = async || {
        let not_before = Some(Utc::now() + chrono::Duration::hours(1));
        let req = TriggerRun { not_before, ..TriggerRun::default() };
        lab.ops().trigger(&lab.admin, &default(), "t", req, None).await.unwrap().runs[0].id
    };
    let (early, late) = (put_off().await, put_off().await);
    let due = "UPDATE gated SET due = clock_timestamp() - interval '1 s' WHERE run_id = $1";
    let now = run_once(&lab, "t").await;
    assert_eq!(lab.move_due().await, 0);
    lab.cancel(now).await.unwrap();
    assert_eq!(lab.sql(due, early).await, 1);
    assert_eq!(lab.move_due().await, 1);
    assert_eq!(claimable(&lab).await, [early]);
    assert_eq!(lab.sql(due, late).await, 1);
    assert_eq!(lab.move_due().await, 1);
    assert!(why_cancelled(&lab, late).await.contains(&early.to_string()));
    lab.check().await;
}

#[tokio::test]
async fn parked_runs_count_as_waiting_are_listed_as_queued_and_expire() {
    let lab = Lab::start().await;
    lab.test(factory::with(limited("t", json!({"policy": "queue", "depth": 5})), "/queue_deadline", json!("60s")))
        .await;
    lab.quotas(Some(3), None).await;
    let (first, second, _third) = (run_once(&lab, "t").await, run_once(&lab, "t").await, run_once(&lab, "t").await);
    assert_eq!(trigger(&lab, "t").await, Err(ErrorCode::QuotaExceeded));
    let seen = lab.get(second).await;
    assert_eq!((seen.state, seen.attempt), (RunState::Queued, 0));
    let late = "UPDATE gated SET expires_at = clock_timestamp() - interval '1 s' WHERE run_id = $1";
    assert_eq!(lab.sql(late, second).await, 1);
    // The deadline of one that was let in is that of the queue.
    assert_eq!(lab.sql(late, first).await, 1);
    assert_eq!(lab.expire().await, 1);
    let expired = lab.get(second).await;
    assert_eq!(expired.reason, Some(tstr_shared::run::Reason::QueueExpired));
    assert_eq!((expired.result, lab.path(second).await.as_str()), (Some(RunResult::Error), "QF"));
    lab.check().await;
}
