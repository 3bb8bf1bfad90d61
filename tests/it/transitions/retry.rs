//! Test retries: T13.

use futures_util::TryStreamExt;
use serde_json::json;
use tstr_api::ops::logs::LogQuery;
use tstr_shared::error::ErrorCode;
use tstr_shared::logs::{LogSeal, Stream};
use tstr_shared::run::{Outcome, Reason, RunResult, RunState};
use tstr_tests::Lab;
use tstr_tests::contract::outcome;

use super::last_step;

#[tokio::test]
async fn t13_a_failed_attempt_is_followed_by_another_and_the_last_one_decides() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    // What the attempts give, what the run has in the end, and whether it is flaky.
    let (pass, fail, late, error) = (RunResult::Pass, RunResult::Fail, RunResult::TimedOut, RunResult::Error);
    for (attempts, result, flaky) in [
        (vec![pass], pass, false),
        (vec![fail, pass], pass, true),
        (vec![late, fail, pass], pass, true),
        (vec![fail, late, fail], fail, false),
        (vec![fail, fail, late], late, false),
        (vec![fail, error], error, false),
    ] {
        let run = lab.run_of(&[("/retry/on_fail", json!(2))]).await;
        for (i, attempt) in attempts.iter().enumerate() {
            let fence = worker.started().await;
            assert_eq!((fence.run_id, usize::from(fence.attempt)), (run, i + 1), "it waits without a backoff");
            worker.finish(fence, *attempt).await.unwrap();
            if i + 1 < attempts.len() {
                assert_eq!(last_step(&lab, run).await, json!(["running", "queued", i + 1, null, null]));
                assert_eq!(worker.finish(fence, *attempt).await, Ok(()), "repeated, it is answered alike");
                assert_eq!(worker.finish(fence, RunResult::Cancelled).await, Err(ErrorCode::LeaseLost));
            }
        }
        let seen = lab.get(run).await;
        assert_eq!((seen.state, seen.result, seen.flaky), (RunState::Finished, Some(result), flaky), "{attempts:?}");
        assert_eq!(seen.attempts.iter().map(|attempt| attempt.result.unwrap()).collect::<Vec<_>>(), attempts);
    }
    lab.check().await;
}

#[tokio::test]
async fn t13_counts_apart_from_losses_and_releases() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[("/retry", json!({"on_fail": 1, "on_infrastructure": 1}))]).await;
    worker.release(worker.one().await, None).await.unwrap();
    worker.release(worker.started().await, Some(Reason::RuntimeLost)).await.unwrap();
    lab.sql("UPDATE delayed SET due = clock_timestamp() WHERE run_id = $1", run).await;
    lab.move_due().await;
    worker.finish(worker.started().await, RunResult::Fail).await.unwrap();
    worker.release(worker.one().await, None).await.unwrap();
    let counts = "SELECT to_jsonb(ARRAY[attempt, infra_losses, test_retries, releases]) FROM ready WHERE run_id = $1";
    assert_eq!(lab.value(counts, run).await, json!([4, 1, 1, 2]));
    worker.finish(worker.started().await, RunResult::Pass).await.unwrap();
    let seen = lab.get(run).await;
    assert_eq!((seen.result, seen.flaky, seen.attempt), (Some(RunResult::Pass), true, 5));
    assert_eq!(lab.path(run).await, "QLQLRQLRQLQLRF");
    lab.check().await;
}

#[tokio::test]
async fn t13_a_loss_alone_makes_no_run_flaky() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[]).await;
    worker.release(worker.started().await, Some(Reason::WorkerCrash)).await.unwrap();
    lab.sql("UPDATE delayed SET due = clock_timestamp() WHERE run_id = $1", run).await;
    lab.move_due().await;
    worker.finish(worker.started().await, RunResult::Pass).await.unwrap();
    let seen = lab.get(run).await;
    assert_eq!((seen.result, seen.flaky), (Some(RunResult::Pass), false));
}

#[tokio::test]
async fn t13_a_cancel_ends_the_retries() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    // While an attempt runs: its result is the last.
    let run = lab.run_of(&[("/retry/on_fail", json!(5))]).await;
    worker.finish(worker.started().await, RunResult::Fail).await.unwrap();
    let fence = worker.started().await;
    lab.cancel(run).await.unwrap();
    worker.finish(fence, RunResult::TimedOut).await.unwrap();
    assert_eq!(last_step(&lab, run).await, json!(["running", "finished", 2, "timed_out", null]));
    // While it waits for the next attempt: there is none.
    let run = lab.run_of(&[("/retry/on_fail", json!(5))]).await;
    worker.finish(worker.started().await, RunResult::Fail).await.unwrap();
    lab.cancel(run).await.unwrap();
    assert_eq!(last_step(&lab, run).await, json!(["queued", "finished", 1, "cancelled", null]));
    assert!(worker.claim(1).await.is_empty());
    lab.check().await;
}

#[tokio::test]
async fn t13_every_attempt_keeps_its_own_log_and_result() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[("/retry/on_fail", json!(1))]).await;
    for (text, result, code) in [("first try", RunResult::Fail, 7), ("second", RunResult::Pass, 0)] {
        let fence = worker.started().await;
        worker.append(fence, 0, Stream::Stdout, 0, text).await.unwrap();
        let report = Outcome { exit_code: Some(code), message: Some(text.into()), ..outcome(result) };
        worker.finish_with(fence, report, LogSeal::default()).await.unwrap();
    }
    let read = async |attempt: Option<u16>| {
        let query = LogQuery { attempt, ..LogQuery::default() };
        let pieces = lab.ops().read_logs(&lab.admin, run, query).await.unwrap();
        let pieces: Vec<_> = pieces.try_collect().await.unwrap();
        pieces.iter().map(|piece| String::from_utf8(piece.data.to_vec()).unwrap()).collect::<String>()
    };
    assert_eq!(
        (read(Some(1)).await.as_str(), read(Some(2)).await.as_str(), read(None).await.as_str()),
        ("first try", "second", "second")
    );
    let seen = lab.get(run).await;
    let kept: Vec<_> =
        seen.attempts.iter().map(|a| (a.exit_code.unwrap(), a.message.clone().unwrap(), a.log.bytes)).collect();
    assert_eq!(kept, [(7, "first try".to_owned(), 9), (0, "second".to_owned(), 6)]);
    lab.check().await;
}
