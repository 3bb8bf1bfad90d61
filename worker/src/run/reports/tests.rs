//! What is reported of a run with reports, against a scripted API.

use tstr_shared::artifacts::FOLDER;

use super::*;
use crate::engine::fake::{FakeEngine, Script};
use crate::run::tests::tar::Tar;
use crate::run::tests::{Bench, IMAGE, leased};

/// A container that exits with a code and leaves a file of this name.
fn leaves(name: &str, code: i32) -> Script {
    let mut script = Script::writes("x", code);
    let tar = Tar::default().entry("artifacts/", b'5').file(&format!("artifacts/{name}"), "<testsuite/>").end();
    script.archives.insert(FOLDER.into(), tar);
    script
}

fn ruling(result: RunResult) -> Outcome {
    Outcome { result, reason: None, message: Some("by its cases".into()), exit_code: Some(0), image_digest: None }
}

async fn ended(script: Script, mode: ReportMode, rules: Option<Result<Outcome, String>>) -> (Outcome, u32) {
    let bench = Bench::new(FakeEngine::new().with(IMAGE, script));
    if let Some(rules) = rules {
        bench.control.rules(rules);
    }
    let run = LeasedRun { report: mode, ..leased(IMAGE) };
    let outcome = bench.outcome(run).await.0;
    let read = bench.control.reports_read();
    bench.stop().await;
    (outcome, read)
}

#[tokio::test(start_paused = true)]
async fn what_the_reports_make_of_a_run_is_reported() {
    let failed = Some(Ok(ruling(RunResult::Fail)));
    let (outcome, read) = ended(leaves("junit.xml", 0), ReportMode::Auto, failed.clone()).await;
    assert_eq!((outcome.result, read), (RunResult::Fail, 1));
    assert_eq!(outcome.message.as_deref(), Some("by its cases"));
    assert!(outcome.image_digest.is_some(), "what the reports do not know is kept");
    // No file that could be one, no question.
    let (outcome, read) = ended(leaves("a.txt", 0), ReportMode::Auto, failed).await;
    assert_eq!((outcome.result, read), (RunResult::Pass, 0));
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_exit_code_counts_unless_a_report_is_required() {
    let away = || Some(Err("the store is away".to_owned()));
    let (outcome, _) = ended(leaves("junit.xml", 0), ReportMode::Auto, away()).await;
    assert_eq!(outcome.result, RunResult::Pass);
    assert!(outcome.message.unwrap().contains("the store is away"), "it is seen on the run");
    let (outcome, _) = ended(leaves("junit.xml", 1), ReportMode::Auto, away()).await;
    assert_eq!(outcome.result, RunResult::Fail);
    for code in [0, 1] {
        let (outcome, _) = ended(leaves("junit.xml", code), ReportMode::Required, away()).await;
        assert_eq!((outcome.result, outcome.reason), (RunResult::Error, Some(Reason::ReportInvalid)));
        assert!(outcome.message.unwrap().contains("the store is away"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_required_report_is_asked_for_where_no_file_was_left() {
    let script = Script::writes("x", 0);
    let missing = Outcome { reason: Some(Reason::ReportInvalid), ..ruling(RunResult::Error) };
    let (outcome, read) = ended(script, ReportMode::Required, Some(Ok(missing))).await;
    assert_eq!((outcome.result, read), (RunResult::Error, 1));
}
