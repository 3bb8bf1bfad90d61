//! What attempts say about themselves, on a real PostgreSQL: recorded by who holds the lease, read by who sees the run,
//! attempt by attempt, and gone with the run.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::json;
use tstr_api::turns;
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunId;
use tstr_shared::lease::Fence;
use tstr_shared::output::{
    AttemptOutput, MAX_OUTPUT_BYTES, MAX_SUMMARY_BYTES, Metric, Output, OutputNote, OutputSource,
};
use tstr_shared::permission::Scope;
use tstr_shared::run::{KeepRun, RunResult};
use tstr_tests::Lab;
use tstr_tests::contract::{Worker, forgeries};

/// Something of each kind.
pub(crate) fn something(word: &str) -> Output {
    let large = json!(9_007_199_254_740_993u64);
    Output {
        data: [("word".to_owned(), json!(word)), ("large".to_owned(), large), ("list".to_owned(), json!([1.5, null]))]
            .into(),
        metrics: vec![Metric {
            measurement: "requests".into(),
            tags: BTreeMap::from([("code".into(), "200".into())]),
            field: "count".into(),
            value: 0.1,
        }],
        summary: Some(format!("# {word}\n")),
        summary_cut: true,
        notes: vec![OutputNote { source: Some(OutputSource::Stderr), message: "no key".into(), line: Some(7) }],
    }
}

async fn running(lab: &Lab, worker: &Worker, changes: &[(&str, serde_json::Value)]) -> Fence {
    let run = lab.run_of(changes).await;
    let fence = worker.started().await;
    assert_eq!(fence.run_id, run);
    fence
}

async fn said(lab: &Lab, run: RunId, attempt: Option<u16>) -> AttemptOutput {
    lab.ops().run_output(&lab.admin, run, attempt).await.unwrap()
}

#[tokio::test]
async fn what_is_said_replaces_what_was_and_is_read_from_then_on() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker, &[]).await;
    let run = fence.run_id;
    assert_eq!(said(&lab, run, None).await, AttemptOutput { attempt: 1, output: Output::default() });
    worker.say(fence, &Output { data: [("old".to_owned(), json!(1))].into(), ..Output::default() }).await.unwrap();
    for _ in 0..2 {
        worker.say(fence, &something("new")).await.unwrap();
    }
    for ended in [false, true] {
        if ended {
            worker.finish(fence, RunResult::Pass).await.unwrap();
        }
        assert_eq!(said(&lab, run, None).await, AttemptOutput { attempt: 1, output: something("new") });
        let none = lab.ops().run_output(&lab.admin, run, Some(2)).await.unwrap_err();
        assert_eq!(none.code(), ErrorCode::NotFound);
        let seen = lab.get(run).await;
        assert_eq!((seen.result_data, seen.output_notes), (something("new").data, something("new").notes));
    }
    lab.check().await;
}

#[tokio::test]
async fn attempts_are_never_merged() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let first = running(&lab, &worker, &[("/retry/on_fail", json!(1))]).await;
    let run = first.run_id;
    worker.say(first, &something("first")).await.unwrap();
    worker.finish(first, RunResult::Fail).await.unwrap();
    lab.execute("UPDATE delayed SET due = clock_timestamp() - interval '1 s'").await.unwrap();
    lab.move_due().await;
    let second = worker.started().await;
    assert_eq!((second.run_id, second.attempt), (run, 2));
    assert!(lab.get(run).await.result_data.is_empty(), "the latest attempt has said nothing yet");
    worker
        .say(second, &Output { data: [("second".to_owned(), json!(true))].into(), ..Output::default() })
        .await
        .unwrap();
    worker.finish(second, RunResult::Pass).await.unwrap();
    assert_eq!(said(&lab, run, Some(1)).await.output, something("first"));
    assert_eq!(lab.get(run).await.result_data.into_keys().collect::<Vec<_>>(), ["second"]);
    for none in [0, 3, u16::MAX] {
        let refused = lab.ops().run_output(&lab.admin, run, Some(none)).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::NotFound, "there is no attempt {none}");
    }
}

#[tokio::test]
async fn only_who_holds_the_lease_says_something() {
    let lab = Lab::start().await;
    let (worker, other) = (lab.worker("w").await, lab.worker("other").await);
    let fence = running(&lab, &worker, &[]).await;
    worker.say(fence, &something("true")).await.unwrap();
    let before = lab.rows(fence.run_id).await;
    let stranger = worker.with(lab.caller(&[Scope::Runner], &[".*"]));
    let tries: Vec<_> = forgeries(fence).into_iter().map(|(what, forged)| (what, &worker, forged)).collect();
    for (what, who, fence) in
        tries.into_iter().chain([("another runner", &other, fence), ("another token", &stranger, fence)])
    {
        let refused = who.say(fence, &something("false")).await;
        assert!(matches!(refused, Err(ErrorCode::LeaseLost | ErrorCode::NotFound)), "{what}: {refused:?}");
    }
    assert_eq!(lab.rows(fence.run_id).await, before);
    worker.finish(fence, RunResult::Pass).await.unwrap();
    assert_eq!(worker.say(fence, &something("late")).await, Err(ErrorCode::LeaseLost));
    assert_eq!(said(&lab, fence.run_id, None).await.output, something("true"));
    // Who does not see the namespace does not see the run.
    let elsewhere = lab.caller(&[Scope::Data], &["elsewhere"]);
    let unseen = lab.ops().run_output(&elsewhere, fence.run_id, None).await.map_err(|error| error.code());
    assert_eq!(unseen, Err(ErrorCode::NotFound));
}

#[tokio::test]
async fn as_much_as_may_be_said_is_kept_and_more_is_refused() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker, &[]).await;
    let most = Output {
        data: [("k".to_owned(), json!("\"\n".repeat(MAX_OUTPUT_BYTES / 2 - 1)))].into(),
        summary: Some("\u{1}".repeat(MAX_SUMMARY_BYTES)),
        ..Output::default()
    };
    worker.say(fence, &most).await.unwrap();
    assert_eq!(said(&lab, fence.run_id, None).await.output, most);
    for (more, place) in [
        (Output { data: [("k".to_owned(), json!("x".repeat(MAX_OUTPUT_BYTES)))].into(), ..Output::default() }, "/data"),
        (Output { data: [("no key".to_owned(), json!(1))].into(), ..Output::default() }, "/data/no key"),
        (Output { summary: Some("x".repeat(MAX_SUMMARY_BYTES + 1)), ..Output::default() }, "/summary"),
    ] {
        let refused = lab.ops().record_output(&worker.caller, worker.id, fence, more).await.unwrap_err();
        assert_eq!((refused.code(), refused.errors()[0].pointer.as_str()), (ErrorCode::Invalid, place));
    }
    assert_eq!(said(&lab, fence.run_id, None).await.output, most);
}

#[tokio::test]
async fn what_was_said_stays_as_long_as_the_run() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let mut runs = Vec::new();
    for word in ["goes", "kept"] {
        let fence = running(&lab, &worker, &[]).await;
        worker.say(fence, &something(word)).await.unwrap();
        worker.finish(fence, RunResult::Pass).await.unwrap();
        runs.push(fence.run_id);
    }
    let (goes, kept) = (runs[0], runs[1]);
    lab.ops().keep_run(&lab.admin, kept, KeepRun::default()).await.unwrap();
    let after = |days: i64| -> DateTime<Utc> { goes.time() + chrono::Duration::days(days) };
    // The logs' time is over, and not the runs'.
    turns::retain(lab.ops(), after(31).date_naive()).await.unwrap();
    assert_eq!(said(&lab, goes, None).await.output, something("goes"));
    turns::retain(lab.ops(), after(4000).date_naive()).await.unwrap();
    let gone = lab.ops().run_output(&lab.admin, goes, None).await.map_err(|error| error.code());
    assert_eq!(gone, Err(ErrorCode::NotFound));
    assert_eq!(said(&lab, kept, None).await.output, something("kept"));
    lab.ops().unkeep_run(&lab.admin, kept).await.unwrap();
    turns::retain(lab.ops(), after(4000).date_naive()).await.unwrap();
    let left = lab.value("SELECT to_jsonb(count(*)) FROM output WHERE $1::uuid IS NOT NULL", kept).await;
    assert_eq!(left, json!(0));
    lab.check().await;
}
