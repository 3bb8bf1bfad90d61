//! What reports make of an outcome.

use chrono::TimeDelta;
use uuid::Uuid;

use super::*;
use crate::analysis::quarantine::{Entry, Mode};

fn now() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn outcome(result: RunResult, exit_code: i32) -> Outcome {
    Outcome { result, reason: None, message: None, exit_code: Some(exit_code), image_digest: None }
}

fn case(n: u128) -> CaseId {
    CaseId(Uuid::from_u128(n))
}

fn read(failed: u64, passed: u64) -> ReadReport {
    ReadReport {
        path: "a.xml".into(),
        format: Format::Junit,
        name: None,
        producer: None,
        duration_ms: None,
        declared: Declared::default(),
        counted: Counts { cases: failed + passed, passed, failed, ..Counts::default() },
        cases_over_limit: 0,
        valid: true,
        notes: Vec::new(),
        note_counts: BTreeMap::new(),
    }
}

fn told(failed: &[u128], passed: u64) -> Told {
    let counts = CaseCounts {
        cases: failed.len() as u64 + passed,
        passed,
        failed: failed.len() as u64,
        ..CaseCounts::default()
    };
    let failed: Vec<CaseId> = failed.iter().map(|n| case(*n)).collect();
    Told { reports: vec![read(failed.len() as u64, passed)], unread: Vec::new(), failed, counts }
}

fn muted(n: u128) -> Entry<CaseId> {
    Entry {
        case: case(n),
        mode: Mode::Mute,
        owner: "ada".into(),
        reason: "flaky".into(),
        from: now() - TimeDelta::days(1),
        until: now() + TimeDelta::days(1),
    }
}

fn ruled(
    outcome: Outcome,
    mode: ReportMode,
    told: &Told,
    list: &[Entry<CaseId>],
) -> (RunResult, Option<Reason>, String) {
    let Outcome { result, reason, message, .. } = rule(outcome, mode, told, list, now()).outcome;
    (result, reason, message.unwrap_or_default())
}

#[test]
fn a_failed_case_fails_a_container_that_exited_well() {
    let (result, reason, message) = ruled(outcome(RunResult::Pass, 0), ReportMode::Auto, &told(&[1, 2], 3), &[]);
    assert_eq!((result, reason), (RunResult::Fail, None));
    assert_eq!(message, "the container exited 0, but 2 of 5 cases failed");
    let passed = ruled(outcome(RunResult::Pass, 0), ReportMode::Auto, &told(&[], 3), &[]);
    assert_eq!(passed, (RunResult::Pass, None, String::new()));
}

#[test]
fn an_exit_code_counts_although_all_cases_passed() {
    let failed = ruled(outcome(RunResult::Fail, 3), ReportMode::Auto, &told(&[], 3), &[]);
    assert_eq!(failed.0, RunResult::Fail);
}

#[test]
fn muted_cases_excuse_a_failure_and_say_so() {
    let list = [muted(1), muted(2)];
    let (result, _, message) = ruled(outcome(RunResult::Fail, 1), ReportMode::Auto, &told(&[1, 2], 3), &list);
    assert_eq!((result, message.as_str()), (RunResult::Pass, "2 cases failed, all of them muted"));
    assert_eq!(ruled(outcome(RunResult::Fail, 1), ReportMode::Auto, &told(&[1, 3], 3), &list).0, RunResult::Fail);
    let unread = UnreadReport { path: "b.xml".into(), why: "too large".into() };
    let cut = Told { unread: vec![unread], ..told(&[1], 0) };
    assert_eq!(
        ruled(outcome(RunResult::Fail, 1), ReportMode::Auto, &cut, &list).0,
        RunResult::Fail,
        "not all is known"
    );
}

#[test]
fn a_required_report_must_be_there_and_whole() {
    let none = Told::default();
    let (result, reason, message) = ruled(outcome(RunResult::Pass, 0), ReportMode::Required, &none, &[]);
    assert_eq!((result, reason), (RunResult::Error, Some(Reason::ReportInvalid)));
    assert!(message.contains("none was found"), "{message}");
    assert_eq!(ruled(outcome(RunResult::Pass, 0), ReportMode::Auto, &none, &[]).0, RunResult::Pass);
    let mut torn = told(&[], 2);
    torn.reports[0].note_counts.insert(NoteCode::Truncated, 1);
    torn.reports[0].notes.push(Note { code: NoteCode::Truncated, message: "it ends".into(), line: None, byte: None });
    let (_, reason, message) = ruled(outcome(RunResult::Pass, 0), ReportMode::Required, &torn, &[]);
    assert_eq!((reason, message.as_str()), (Some(Reason::ReportInvalid), "the report a.xml is not whole: it ends"));
    assert_eq!(ruled(outcome(RunResult::Pass, 0), ReportMode::Auto, &torn, &[]).0, RunResult::Pass, "a warning only");
    let cancelled = ruled(outcome(RunResult::Cancelled, 137), ReportMode::Required, &none, &[]);
    assert_eq!(cancelled.0, RunResult::Cancelled);
}

#[test]
fn what_is_given_up_has_failed() {
    for code in [NoteCode::BailOut, NoteCode::PlanMismatch, NoteCode::SuiteFailed] {
        let mut given_up = told(&[], 2);
        given_up.reports[0].note_counts.insert(code, 1);
        let (result, _, message) = ruled(outcome(RunResult::Pass, 0), ReportMode::Required, &given_up, &[]);
        assert_eq!(
            (result, message.as_str()),
            (RunResult::Fail, "the container exited 0, but its report tells of 1 error")
        );
    }
}

#[test]
fn cases_are_counted_by_their_kind() {
    let mut counts = CaseCounts::default();
    counts.add(CaseStatus::Pass, true, false, 2);
    counts.add(CaseStatus::Fail, false, true, 3);
    counts.add(CaseStatus::Skip, false, true, 1);
    assert_eq!(counts, CaseCounts { cases: 6, passed: 2, failed: 3, skipped: 1, flaky: 2, muted: 3, errors: 0 });
}
