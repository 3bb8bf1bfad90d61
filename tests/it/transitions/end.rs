//! How runs end: T5 and T8 to T12.

use serde_json::json;
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunId;
use tstr_shared::lease::LeaseState;
use tstr_shared::logs::{LogOffsets, LogSeal, LogStatus, Stream, StreamSeal};
use tstr_shared::permission::Scope;
use tstr_shared::run::{Outcome, Reason, RunResult, RunState, TriggerRun};
use tstr_tests::contract::{default, outcome};
use tstr_tests::{Lab, factory};

use super::{last_event, last_step};

#[tokio::test]
async fn t5_every_result_of_the_owner_is_recorded_as_reported() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    for result in RunResult::ALL {
        let run = lab.run_of(&[]).await;
        let fence = worker.started().await;
        let report =
            Outcome { message: Some("so it was".into()), image_digest: Some("sha256:1".into()), ..outcome(*result) };
        assert_eq!(worker.finish_with(fence, report.clone(), LogSeal::default()).await, Ok(None));
        let seen = lab.get(run).await;
        assert_eq!(
            (seen.state, seen.result, seen.reason, seen.exit_code),
            (RunState::Finished, Some(*result), report.reason, report.exit_code)
        );
        assert_eq!((seen.message, seen.image_digest, seen.flaky), (report.message.clone(), report.image_digest, false));
        let attempt = &seen.attempts[0];
        assert_eq!(
            (attempt.result, attempt.exit_code, attempt.runner_name.as_str()),
            (Some(*result), report.exit_code, "w")
        );
        assert_eq!((attempt.started_at, attempt.ended_at), (seen.started_at, seen.finished_at));
        let event = last_event(&lab, run).await;
        assert_eq!(
            (event["result"].as_str(), event["lease_id"].as_str()),
            (Some(result.word()), Some(&*fence.lease_id.to_string()))
        );
        assert!(event["actor"].as_str().unwrap().starts_with(&format!("runner:{}", worker.id)));
        assert_eq!(lab.path(run).await, "QLRF");
    }
    lab.check().await;
}

#[tokio::test]
async fn t5_a_result_is_accepted_after_the_lease_expired_and_before_it_is_reaped() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[]).await;
    let fence = worker.started().await;
    lab.lapse(run).await;
    worker.finish(fence, RunResult::Pass).await.unwrap();
    assert_eq!(lab.reap().await, 0);
    assert_eq!(lab.get(run).await.result, Some(RunResult::Pass));
}

#[tokio::test]
async fn t5_only_an_error_can_be_reported_of_a_run_that_was_not_started() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[("/retry/on_fail", json!(3))]).await;
    let fence = worker.one().await;
    let before = lab.rows(run).await;
    for result in [RunResult::Pass, RunResult::Fail, RunResult::TimedOut, RunResult::Cancelled] {
        assert_eq!(worker.finish(fence, result).await, Err(ErrorCode::Conflict), "{result}");
    }
    assert_eq!(lab.rows(run).await, before);
    let report = Outcome { reason: Some(Reason::ImageNotFound), ..outcome(RunResult::Error) };
    worker.finish_with(fence, report, LogSeal::default()).await.unwrap();
    assert_eq!(last_step(&lab, run).await, json!(["leased", "finished", 1, "error", "image_not_found"]));
    lab.check().await;
}

#[tokio::test]
async fn t5_a_repeated_report_is_answered_alike_and_another_one_refused() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[]).await;
    let fence = worker.started().await;
    worker.finish(fence, RunResult::Fail).await.unwrap();
    let before = lab.rows(run).await;
    worker.finish(fence, RunResult::Fail).await.unwrap();
    let refused =
        worker.ops.finish_run(&worker.caller, worker.id, fence, outcome(RunResult::Pass), LogSeal::default()).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::LeaseLost);
    assert!(refused.message().contains("fail"), "the stored result is named: {}", refused.message());
    assert_eq!(worker.release(fence, None).await, Err(ErrorCode::LeaseLost));
    assert_eq!(lab.rows(run).await, before);
}

#[tokio::test]
async fn t5_reports_that_arrive_at_once_are_all_answered_and_recorded_once() {
    let lab = Lab::start_with(2).await;
    let worker = lab.worker("w").await;
    for _ in 0..5 {
        let run = lab.run_of(&[]).await;
        let fence = worker.started().await;
        let reports: Vec<_> = (0..6)
            .map(|i| {
                let worker = tstr_tests::contract::Worker { ops: lab.replica(i % 2).clone(), ..worker.clone() };
                tokio::spawn(async move { worker.finish(fence, RunResult::Pass).await })
            })
            .collect();
        for report in reports {
            assert_eq!(report.await.unwrap(), Ok(()));
        }
        assert_eq!(lab.path(run).await, "QLRF");
    }
    lab.check().await;
}

#[tokio::test]
async fn t5_the_end_waits_for_the_log_unless_it_is_said_to_be_incomplete() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let seal = LogSeal { stdout: StreamSeal { bytes: 6, ..StreamSeal::default() }, ..LogSeal::default() };
    let run = lab.run_of(&[]).await;
    let fence = worker.started().await;
    worker.append(fence, 0, Stream::Stdout, 0, "abc").await.unwrap();
    let before = lab.rows(run).await;
    let missing = worker.finish_with(fence, outcome(RunResult::Pass), seal.clone()).await.unwrap();
    assert_eq!(missing, Some(LogOffsets { next_seq: 1, stdout: 3, stderr: 0 }));
    assert_eq!(lab.rows(run).await, before);
    worker.append(fence, 1, Stream::Stdout, 3, "def").await.unwrap();
    assert_eq!(worker.finish_with(fence, outcome(RunResult::Pass), seal.clone()).await, Ok(None));
    let log = lab.get(run).await.log;
    assert_eq!((log.status, log.bytes, log.dropped_bytes), (LogStatus::Complete, 6, 0));

    let run = lab.run_of(&[]).await;
    let fence = worker.started().await;
    worker.append(fence, 0, Stream::Stdout, 0, "abc").await.unwrap();
    let lost = LogSeal { incomplete: true, ..seal };
    assert_eq!(worker.finish_with(fence, outcome(RunResult::Pass), lost).await, Ok(None));
    let log = lab.get(run).await.log;
    assert_eq!((log.status, log.bytes, log.dropped_bytes), (LogStatus::Incomplete, 3, 3), "stored and dropped add up");
    lab.check().await;
}

#[tokio::test]
async fn t9_a_run_that_waits_is_cancelled_at_once() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let (queued, leased) = (lab.run_of(&[]).await, lab.run_of(&[]).await);
    let first = worker.one().await;
    assert_eq!(first.run_id, queued);
    worker.release(first, None).await.unwrap();
    let (first, second) = (worker.one().await, worker.one().await);
    worker.release(first, None).await.unwrap();
    assert_eq!((first.run_id, second.run_id), (queued, leased));
    lab.test(factory::test("later")).await;
    let later =
        TriggerRun { not_before: Some(chrono::Utc::now() + chrono::Duration::hours(1)), ..TriggerRun::default() };
    let delayed = lab.ops().trigger(&lab.admin, &default(), "later", later, None).await.unwrap().runs[0].id;
    for (run, from, attempt) in [(queued, "queued", 2), (delayed, "queued", 0), (leased, "leased", 1)] {
        let seen = lab.cancel(run).await.unwrap();
        assert_eq!((seen.state, seen.result, seen.reason), (RunState::Finished, Some(RunResult::Cancelled), None));
        assert_eq!(last_step(&lab, run).await, json!([from, "finished", attempt, "cancelled", null]));
        assert_eq!(last_event(&lab, run).await["actor"], lab.admin.actor());
        assert_eq!(lab.cancel(run).await, Err(ErrorCode::Conflict));
    }
    assert_eq!(worker.beat(&[second]).await, [LeaseState::Gone]);
    assert_eq!(worker.start(second).await, Err(ErrorCode::LeaseLost));
    assert!(worker.claim(5).await.is_empty());
    lab.check().await;
}

#[tokio::test]
async fn t9_a_cancel_races_with_claims_and_starts_and_one_of_them_wins() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    for _ in 0..30 {
        let run = lab.run_of(&[]).await;
        let racer = worker.clone();
        let racing = tokio::spawn(async move {
            let Some(leased) = racer.claim(1).await.pop() else { return false };
            racer.start(leased.fence).await.is_ok()
        });
        let cancelled = lab.cancel(run).await.unwrap();
        let started = racing.await.unwrap();
        match cancelled.state {
            RunState::Finished => assert!(!started, "a cancelled run was started"),
            RunState::Running => assert!(started && cancelled.cancel_requested),
            RunState::Queued | RunState::Leased => panic!("a cancel ends the run or asks its runner"),
        }
        if started {
            let fence = tstr_shared::lease::Fence { run_id: run, attempt: 1, lease_id: lease_id(&lab, run).await };
            worker.finish(fence, RunResult::Cancelled).await.unwrap();
        }
    }
    lab.check().await;
}

async fn lease_id(lab: &Lab, run: RunId) -> tstr_shared::ids::LeaseId {
    let id = lab.value("SELECT to_jsonb(lease_id) FROM lease WHERE run_id = $1", run).await;
    id.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn t9_and_t10_a_foreign_run_is_not_found_and_a_reader_may_not_cancel() {
    let lab = Lab::start().await;
    let run = lab.run_of(&[]).await;
    for (scope, namespace, code) in [
        (Scope::Control, "other", ErrorCode::NotFound),
        (Scope::Data, "default", ErrorCode::Forbidden),
        (Scope::Runner, "default", ErrorCode::Forbidden),
    ] {
        let who = lab.caller(&[scope], &[namespace]);
        assert_eq!(lab.ops().cancel_run(&who, run).await.unwrap_err().code(), code);
    }
    assert_eq!(lab.get(run).await.state, RunState::Queued);
}

#[tokio::test]
async fn t10_a_running_run_is_cancelled_by_its_owner_and_never_retried() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    for (result, reported) in [(RunResult::Cancelled, RunResult::Cancelled), (RunResult::Fail, RunResult::Fail)] {
        let run = lab.run_of(&[("/retry/on_fail", json!(3))]).await;
        let fence = worker.started().await;
        let seen = lab.cancel(run).await.unwrap();
        assert_eq!((seen.state, seen.cancel_requested, seen.result), (RunState::Running, true, None));
        let asked = "SELECT to_jsonb(cancel_requested_at) FROM lease WHERE run_id = $1";
        let since = lab.value(asked, run).await;
        lab.cancel(run).await.unwrap();
        assert_eq!(lab.value(asked, run).await, since, "asked again, it was asked for at the same time");
        worker.finish(fence, reported).await.unwrap();
        // A container that had exited before the cancel reached it has its own result; it is final all the same.
        assert_eq!(lab.get(run).await.result, Some(result));
        assert_eq!(lab.path(run).await, "QLRF");
    }
    lab.check().await;
}

#[tokio::test]
async fn t10_a_cancelled_run_whose_owner_is_lost_ends_cancelled() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[("/retry/on_infrastructure", json!(4))]).await;
    worker.started().await;
    lab.cancel(run).await.unwrap();
    lab.lapse(run).await;
    assert_eq!(lab.reap().await, 1);
    assert_eq!(last_step(&lab, run).await, json!(["running", "finished", 1, "cancelled", "lost_worker"]));

    // The same when the owner itself reports the loss.
    let run = lab.run_of(&[("/retry/on_infrastructure", json!(4))]).await;
    let fence = worker.started().await;
    lab.cancel(run).await.unwrap();
    worker.release(fence, Some(Reason::RuntimeLost)).await.unwrap();
    assert_eq!(last_step(&lab, run).await, json!(["running", "finished", 1, "cancelled", "runtime_lost"]));
    lab.check().await;
}

#[tokio::test]
async fn t11_a_run_beyond_timeout_and_grace_is_ended_by_the_server_even_if_heartbeats_go_on() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[("/retry/on_fail", json!(3))]).await;
    let fence = worker.started().await;
    worker.append(fence, 0, Stream::Stderr, 0, "still here").await.unwrap();
    assert_eq!(lab.reap().await, 0);
    lab.sql("UPDATE lease SET hard_deadline = clock_timestamp() - interval '1 ms' WHERE run_id = $1", run).await;
    assert_eq!(worker.beat(&[fence]).await, [LeaseState::Held]);
    assert_eq!(lab.reap().await, 1);
    assert_eq!(last_step(&lab, run).await, json!(["running", "finished", 1, "timed_out", "server_backstop"]));
    assert_eq!(last_event(&lab, run).await["actor"], "reaper");
    assert_eq!(worker.beat(&[fence]).await, [LeaseState::Gone]);
    assert_eq!(worker.finish(fence, RunResult::Pass).await, Err(ErrorCode::LeaseLost));
    let seen = lab.get(run).await;
    assert_eq!((seen.log.bytes, seen.log.status), (10, LogStatus::Incomplete));
    lab.check().await;
}

#[tokio::test]
async fn t12_a_run_that_waited_beyond_its_deadline_ends_with_queue_expired() {
    let lab = Lab::start().await;
    let late = lab.run_of(&[("/queue_deadline", json!("2h"))]).await;
    let fresh = lab.run_of(&[]).await;
    let left =
        "SELECT to_jsonb(round(extract(epoch FROM expires_at - clock_timestamp()) / 60)) FROM ready WHERE run_id = $1";
    assert_eq!((lab.value(left, late).await, lab.value(left, fresh).await), (json!(120), json!(1440)));
    assert_eq!(lab.expire().await, 0);
    lab.sql("UPDATE ready SET expires_at = clock_timestamp() - interval '1 ms' WHERE run_id = $1", late).await;
    assert_eq!(lab.expire().await, 1);
    assert_eq!(last_step(&lab, late).await, json!(["queued", "finished", 0, "error", "queue_expired"]));
    assert_eq!(lab.get(fresh).await.state, RunState::Queued);

    // What waits for its time does not wait for a runner yet.
    lab.test(factory::with(factory::test("later"), "/queue_deadline", json!("1s"))).await;
    let later =
        TriggerRun { not_before: Some(chrono::Utc::now() + chrono::Duration::hours(1)), ..TriggerRun::default() };
    let run = lab.ops().trigger(&lab.admin, &default(), "later", later, None).await.unwrap().runs[0].id;
    lab.sql("UPDATE delayed SET due = clock_timestamp() - interval '1 h' WHERE run_id = $1", run).await;
    assert_eq!((lab.expire().await, lab.move_due().await, lab.expire().await), (0, 1, 0));
    lab.check().await;
}

#[tokio::test]
async fn t5_a_report_that_cannot_be_stored_is_refused_and_takes_no_other_with_it() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let (bad, good) = (lab.run_of(&[]).await, lab.run_of(&[]).await);
    let (first, second) = (worker.started().await, worker.started().await);
    assert_eq!((first.run_id, second.run_id), (bad, good));
    let nul = Outcome { message: Some("a\0b".into()), ..outcome(RunResult::Fail) };
    let (refused, taken) =
        tokio::join!(worker.finish_with(first, nul, LogSeal::default()), worker.finish(second, RunResult::Pass));
    assert_eq!((refused, taken), (Err(ErrorCode::Invalid), Ok(())));
    worker.finish(first, RunResult::Fail).await.unwrap();
    assert_eq!(lab.get(bad).await.result, Some(RunResult::Fail));
    lab.check().await;
}
