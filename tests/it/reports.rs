//! Test reports on a real PostgreSQL: found among artifacts, read into cases, ruled by, and written again.

use futures_util::TryStreamExt;
use serde_json::{Value, json};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::{RunId, TestId};
use tstr_shared::lease::Fence;
use tstr_shared::page::PageRequest;
use tstr_shared::report::{CaseStatus, Event, Format, NoteCode, ReadOptions, read};
use tstr_shared::results::{CaseCounts, CaseFilter, CaseResult, Results};
use tstr_shared::run::{Reason, RetryRun, RunResult};
use tstr_tests::Lab;
use tstr_tests::contract::{Worker, outcome};

/// A report with a case of each kind.
pub const JUNIT: &str = r#"<testsuites name="all">
  <testsuite name="shop" tests="5" failures="1" errors="1" skipped="1">
    <testcase classname="Cart" name="adds" time="0.25"/>
    <testcase classname="Cart" name="removes" time="1.5"><failure message="expected 1" type="Assert">at line 3</failure></testcase>
    <testcase classname="Cart" name="crashes"><error message="boom"/><system-out>last words</system-out></testcase>
    <testcase classname="Cart" name="waits"><skipped message="later"/></testcase>
    <testcase classname="Cart" name="wobbles"><flakyFailure message="first try"/></testcase>
  </testsuite>
</testsuites>"#;
pub const GOOD: &str =
    r#"<testsuite name="s"><testcase classname="C" name="a"/><testcase classname="C" name="b"/></testsuite>"#;

/// Makes a run of a test with this part of its definition; returns it running.
pub async fn running(lab: &Lab, worker: &Worker, parts: &[(&str, Value)]) -> Fence {
    let run = lab.run_of(parts).await;
    let fence = worker.started().await;
    assert_eq!(fence.run_id, run);
    fence
}

pub async fn results(lab: &Lab, run: RunId) -> Results {
    lab.ops().results(&lab.admin, run, None).await.unwrap()
}

pub async fn cases(lab: &Lab, run: RunId, filter: CaseFilter) -> Vec<CaseResult> {
    let page = PageRequest { size: 1000, token: String::new() };
    let page = lab.ops().list_run_cases(&lab.admin, run, filter, page).await.unwrap();
    assert!(page.next_page_token.is_none());
    page.items
}

pub fn names(cases: &[CaseResult]) -> Vec<&str> {
    cases.iter().map(|case| case.key.name.as_str()).collect()
}

async fn exported(lab: &Lab, run: RunId, format: Format) -> String {
    let pieces = lab.ops().export_report(&lab.admin, run, None, format).await.unwrap();
    let pieces: Vec<_> = pieces.try_collect().await.unwrap();
    String::from_utf8(pieces.concat()).unwrap()
}

#[tokio::test]
async fn a_report_among_the_artifacts_is_read_and_its_failures_fail_the_run() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker, &[]).await;
    let run = fence.run_id;
    let files = [("out/TEST-shop.xml", JUNIT), ("coverage.xml", "<coverage/>"), ("notes.txt", "not ok 1")];
    let ruled = worker.end_with(fence, RunResult::Pass, &files).await;
    assert_eq!((ruled.result, ruled.reason, ruled.exit_code), (RunResult::Fail, None, Some(0)));
    assert_eq!(ruled.message.as_deref(), Some("the container exited 0, but 2 of 5 cases failed"));

    let found = lab.get(run).await;
    let counts = CaseCounts { cases: 5, passed: 2, failed: 1, errors: 1, skipped: 1, flaky: 1, muted: 0 };
    assert_eq!((found.result, found.cases), (Some(RunResult::Fail), Some(counts)));
    let results = results(&lab, run).await;
    assert_eq!((results.cases, results.reports.len(), results.unread.len()), (Some(counts), 1, 0));
    let report = &results.reports[0];
    assert_eq!((report.path.as_str(), report.format, report.valid), ("out/TEST-shop.xml", Format::Junit, true));
    assert!(report.notes.is_empty(), "{:?}", report.notes);

    let all = cases(&lab, run, CaseFilter::default()).await;
    assert_eq!(names(&all), ["adds", "removes", "crashes", "waits", "wobbles"]);
    assert_eq!(all[0].duration_ms, Some(250));
    assert_eq!((all[1].status, all[1].message.as_deref()), (CaseStatus::Fail, Some("expected 1")));
    assert_eq!((all[4].status, all[4].flaky, all[4].failed_attempts), (CaseStatus::Pass, true, 1));
    let failed = CaseFilter { statuses: vec![CaseStatus::Fail, CaseStatus::Error], ..CaseFilter::default() };
    assert_eq!(names(&cases(&lab, run, failed).await), ["removes", "crashes"]);
    let text = CaseFilter { text: Some("WOB".into()), ..CaseFilter::default() };
    assert_eq!(names(&cases(&lab, run, text).await), ["wobbles"]);
    let flaky = CaseFilter { flaky: Some(true), ..CaseFilter::default() };
    assert_eq!(names(&cases(&lab, run, flaky).await), ["wobbles"]);

    let details = lab.ops().get_run_case(&lab.admin, run, None, all[2].case_id).await.unwrap();
    assert_eq!((details.len(), details[0].report.as_str()), (1, "out/TEST-shop.xml"));
    assert_eq!(details[0].case.stdout.as_ref().unwrap().text, "last words");
    assert_eq!(details[0].case.findings()[0].message.as_deref(), Some("boom"));
    lab.check().await;
}

#[tokio::test]
async fn pages_of_cases_hold_each_once_and_in_order() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker, &[]).await;
    let many: String = (0..25).map(|n| format!("<testcase classname='C' name='n{n:02}'/>")).collect();
    let files = [("b.xml", GOOD), ("a.xml", &*format!("<testsuite>{many}</testsuite>"))];
    worker.end_with(fence, RunResult::Pass, &files).await;
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = PageRequest { size: 4, token };
        let page = lab.ops().list_run_cases(&lab.admin, fence.run_id, CaseFilter::default(), page).await.unwrap();
        assert!(page.items.len() <= 4);
        seen.extend(page.items.into_iter().map(|case| (case.report, case.key.name)));
        let Some(next) = page.next_page_token else { break };
        token = next;
    }
    let mut expected: Vec<_> = (0..25).map(|n| (0, format!("n{n:02}"))).collect();
    expected.extend([(1, "a".to_owned()), (1, "b".to_owned())]);
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn every_format_is_read_and_every_format_written_again() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker, &[]).await;
    let ctrf = json!({"reportFormat": "CTRF", "specVersion": "1.0.0", "results": {
        "tool": {"name": "t"},
        "summary": {"tests": 2, "passed": 1, "failed": 1, "skipped": 0, "pending": 0, "other": 0, "start": 0, "stop": 1},
        "tests": [{"name": "one", "status": "passed", "duration": 5},
                  {"name": "two", "status": "failed", "duration": 7, "message": "no"}]}});
    let tap = "TAP version 14\n1..2\nok 1 - first\nnot ok 2 - second # TODO later\n";
    let files = [("a-ctrf.json", ctrf.to_string()), ("b.tap", tap.into()), ("c.xml", JUNIT.into())];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    worker.end_with(fence, RunResult::Fail, &files).await;
    let found = results(&lab, fence.run_id).await;
    let formats: Vec<Format> = found.reports.iter().map(|report| report.format).collect();
    assert_eq!(formats, [Format::Ctrf, Format::Tap, Format::Junit]);
    let all = cases(&lab, fence.run_id, CaseFilter::default()).await;
    assert_eq!(all.len(), 9);

    let test = lab.get(fence.run_id).await.test_id;
    for format in [Format::Junit, Format::Ctrf, Format::Tap] {
        let text = exported(&lab, fence.run_id, format).await;
        let mut again = Vec::new();
        let read = read(format, text.as_bytes(), &ReadOptions::new(TestId(test.0)), &mut |event| {
            if let Event::Case(case) = event {
                again.push((case.id, case.status, case.flaky));
            }
            std::ops::ControlFlow::Continue(())
        });
        assert!(read.unwrap().complete, "{format:?}: {text}");
        let expected: Vec<_> = all.iter().map(|case| (case.case_id, case.status, case.flaky)).collect();
        assert_eq!(again, expected, "{format:?}");
    }
    let lines = exported(&lab, fence.run_id, Format::JsonLines).await;
    assert_eq!(lines.lines().filter(|line| line.contains(r#""event":"case""#)).count(), 9, "{lines}");
}

#[tokio::test]
async fn a_report_that_is_required_must_be_there_and_be_whole() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let required = [("/artifacts", json!({"report": "required"}))];
    let torn = &GOOD[..GOOD.len() - 20];
    for (files, says) in [
        (vec![("a.txt", "x")], "none was found among the artifacts"),
        (vec![("a.xml", torn)], "the report a.xml is not whole"),
    ] {
        let fence = running(&lab, &worker, &required).await;
        let ruled = worker.end_with(fence, RunResult::Pass, &files).await;
        assert_eq!((ruled.result, ruled.reason), (RunResult::Error, Some(Reason::ReportInvalid)));
        assert!(ruled.message.as_ref().unwrap().contains(says), "{ruled:?}");
        assert_eq!(lab.get(fence.run_id).await.reason, Some(Reason::ReportInvalid));
    }
    let fence = running(&lab, &worker, &required).await;
    assert_eq!(worker.end_with(fence, RunResult::Pass, &[("a.xml", GOOD)]).await.result, RunResult::Pass);
    // Where none is required, what is torn is a warning, and what was read of it stays.
    let fence = running(&lab, &worker, &[]).await;
    assert_eq!(worker.end_with(fence, RunResult::Pass, &[("a.xml", torn)]).await.result, RunResult::Pass);
    let found = results(&lab, fence.run_id).await;
    assert!(!found.reports[0].valid && found.reports[0].note_counts.contains_key(&NoteCode::Truncated), "{found:?}");
    assert_eq!(found.cases.unwrap().cases, 1);
    lab.check().await;
}

#[tokio::test]
async fn patterns_say_which_files_are_reports_and_none_reads_none() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let named = [("/artifacts", json!({"reports": ["/tstr/artifacts/out/*.txt"]}))];
    let files = [("a.xml", GOOD), ("out/b.txt", JUNIT), ("out/c.txt", "prose")];
    let fence = running(&lab, &worker, &named).await;
    worker.end_with(fence, RunResult::Fail, &files).await;
    let found = results(&lab, fence.run_id).await;
    assert_eq!((found.reports.len(), found.reports[0].path.as_str()), (1, "out/b.txt"));
    assert_eq!(found.unread[0].path, "out/c.txt");
    let fence = running(&lab, &worker, &[("/artifacts", json!({"report": "none"}))]).await;
    let ruled = worker.end_with(fence, RunResult::Pass, &[("b.xml", JUNIT)]).await;
    assert_eq!(ruled.result, RunResult::Pass);
    assert_eq!(results(&lab, fence.run_id).await, Results { attempt: 1, ..Results::default() });
    assert!(lab.get(fence.run_id).await.cases.is_none());
}

#[tokio::test]
async fn volatile_parts_of_names_do_not_make_other_cases() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let mut fence = running(&lab, &worker, &[("/artifacts", json!({"volatile": ["port=[0-9]+"]}))]).await;
    let mut seen = Vec::new();
    for name in ["serves[port=8080]", "serves[port=9999]", "serves[8080]"] {
        let report = format!("<testsuite><testcase classname='C' name='{name}'/></testsuite>");
        worker.end_with(fence, RunResult::Pass, &[("a.xml", &report)]).await;
        seen.push(cases(&lab, fence.run_id, CaseFilter::default()).await[0].case_id);
        lab.ops().retry_run(&lab.admin, fence.run_id, RetryRun::default(), None).await.unwrap();
        fence = worker.started().await;
    }
    assert!(seen[0] == seen[1] && seen[1] != seen[2], "{seen:?}");
}

#[tokio::test]
async fn retries_that_come_as_cases_go_into_one_row_wherever_they_stand() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker, &[]).await;
    // So many that the retry comes in another batch than what it repeats.
    let others: String = (0..2500).map(|n| format!("<testcase classname='C' name='n{n}'/>")).collect();
    let report = format!(
        "<testsuite name='s'><testcase classname='C' name='x' file='f'><failure message='no'/></testcase>{others}\
         <testcase classname='C' name='x' file='f'/></testsuite>"
    );
    let ruled = worker.end_with(fence, RunResult::Pass, &[("a.xml", &report)]).await;
    assert_eq!(ruled.result, RunResult::Pass, "{ruled:?}");
    let text = CaseFilter { text: Some("x".into()), ..CaseFilter::default() };
    let found = cases(&lab, fence.run_id, text).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].status, found[0].flaky, found[0].failed_attempts), (CaseStatus::Pass, true, 1));
    let counts = results(&lab, fence.run_id).await.cases.unwrap();
    assert_eq!((counts.cases, counts.passed, counts.flaky, counts.failed), (2501, 2501, 1, 0));
}

#[tokio::test]
async fn reading_again_replaces_and_a_stale_fence_reads_nothing() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker, &[]).await;
    worker.leave(fence, &[("a.xml", JUNIT)]).await;
    for _ in 0..2 {
        worker.ruled(fence, outcome(RunResult::Pass)).await.unwrap();
        assert_eq!(cases(&lab, fence.run_id, CaseFilter::default()).await.len(), 5);
    }
    worker.leave(fence, &[("b.xml", GOOD)]).await;
    let (one, two) =
        tokio::join!(worker.ruled(fence, outcome(RunResult::Pass)), worker.ruled(fence, outcome(RunResult::Pass)));
    assert_eq!((one.unwrap().result, two.unwrap().result), (RunResult::Pass, RunResult::Pass));
    assert_eq!(names(&cases(&lab, fence.run_id, CaseFilter::default()).await), ["a", "b"]);
    worker.finish(fence, RunResult::Pass).await.unwrap();
    assert_eq!(worker.ruled(fence, outcome(RunResult::Fail)).await, Err(ErrorCode::LeaseLost));
    assert_eq!(cases(&lab, fence.run_id, CaseFilter::default()).await.len(), 2);
}

#[tokio::test]
async fn each_attempt_has_its_own_cases() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker, &[("/retry", json!({"on_fail": 1}))]).await;
    worker.end_with(fence, RunResult::Fail, &[("a.xml", JUNIT)]).await;
    let second = worker.started().await;
    assert_eq!((second.run_id, second.attempt), (fence.run_id, 2));
    worker.end_with(second, RunResult::Pass, &[("a.xml", GOOD)]).await;
    let run = lab.get(fence.run_id).await;
    assert!(run.flaky && run.result == Some(RunResult::Pass));
    assert_eq!(run.cases.unwrap().cases, 2);
    assert_eq!(names(&cases(&lab, run.id, CaseFilter::default()).await), ["a", "b"]);
    let first = CaseFilter { attempt: Some(1), ..CaseFilter::default() };
    assert_eq!(cases(&lab, run.id, first).await.len(), 5);
    lab.check().await;
}

#[tokio::test]
async fn a_run_without_reports_says_so() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker, &[]).await;
    worker.finish(fence, RunResult::Pass).await.unwrap();
    let run = fence.run_id;
    assert_eq!(results(&lab, run).await, Results { attempt: 1, ..Results::default() });
    assert!(cases(&lab, run, CaseFilter::default()).await.is_empty());
    let refused = lab.ops().export_report(&lab.admin, run, None, Format::Junit).await.map(drop);
    assert_eq!(refused.unwrap_err().code(), ErrorCode::NotFound);
    let nobody = lab.ops().results(&lab.admin, RunId(uuid::Uuid::now_v7()), None).await;
    assert_eq!(nobody.unwrap_err().code(), ErrorCode::NotFound);
}
