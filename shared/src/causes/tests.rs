//! Tests of what speaks for a cause.

use uuid::Uuid;

use super::*;
use crate::analysis::window::Entry;
use crate::ids::RunId;
use crate::run::RunResult;

fn at(n: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(n * 60, 0).unwrap()
}

fn moment(n: i64) -> Moment {
    Moment { at: at(n), run_id: RunId(Uuid::from_u128(n.unsigned_abs().into())) }
}

/// A window of runs: `p` passes, `f` fails, `x` fails on a runner whose control failed, `e` says nothing.
fn window(strip: &str, duration: impl Fn(i64) -> u32) -> Window {
    let mut window = Window::default();
    for (n, letter) in (0i64..).zip(strip.chars()) {
        let (result, observed) = match letter {
            'p' => (RunResult::Pass, Some(Observed::Pass)),
            'e' => (RunResult::Error, None),
            _ => (RunResult::Fail, Some(Observed::Fail)),
        };
        let excluded = (letter == 'x').then_some(crate::analysis::flaky::Exclusion::ControlFailed);
        let Moment { at, run_id } = moment(n);
        let duration_ms = Some(duration(n));
        window.add(Entry { at, run_id, result, observed, failed_attempts: 0, duration_ms, subject: None, excluded });
    }
    window
}

#[test]
fn the_first_failure_after_the_last_pass_is_found() {
    let found = |strip| turn(&window(strip, |_| 1));
    assert_eq!(found("pfppeff"), Some((moment(3), moment(5))), "an error of the infrastructure is no failure");
    assert_eq!(found("pxf"), Some((moment(0), moment(2))), "a failure on a broken runner says nothing");
    for strip in ["", "fff", "pfp", "ppp", "px"] {
        assert_eq!(found(strip), None, "{strip}");
    }
}

fn failure(n: i64, case: Option<u128>, message: &str, trace: Option<&str>) -> Failure {
    let said = |trace: &str| Said { kind: String::new(), message: message.into(), trace: trace.into() };
    let case = case.map(|case| CaseId(Uuid::from_u128(case)));
    Failure { moment: moment(n), cell: Labels::default(), case, message: message.into(), said: trace.map(said) }
}

#[test]
fn failures_that_say_the_same_are_one_group_however_much_is_known_of_them() {
    let failures = vec![
        failure(9, Some(1), "other", None),
        failure(8, Some(1), "timeout after 30 s", Some("  at a.B.c(B.java:12)")),
        failure(7, Some(2), "timeout after 31 s", Some("  at a.B.c(B.java:14)")),
        failure(6, Some(1), "timeout after 5 s", None),
    ];
    let groups = group(&Fingerprinter::new(), failures);
    let told: Vec<_> = groups.iter().map(|one| (one.group.message.as_str(), one.group.occurrences)).collect();
    assert_eq!(told, [("other", 1), ("timeout after 30 s", 3)], "that which was seen last comes first");
    let group = &groups[1].group;
    assert_eq!((group.first_seen, group.last_seen, group.runs, group.case_count), (moment(6), moment(8), 3, 2));
}

#[test]
fn exit_codes_tell_failed_runs_apart() {
    let runs = [(9, 1), (8, 137), (7, 1)].map(|(n, code)| {
        let (message, said) = said_of_run(None, Some(code), "fail");
        Failure { moment: moment(n), cell: Labels::default(), case: None, message, said: Some(said) }
    });
    let groups = group(&Fingerprinter::new(), runs);
    let told: Vec<_> = groups.iter().map(|one| (one.group.message.as_str(), one.group.runs)).collect();
    assert_eq!(told, [("fail, exit code 1", 2), ("fail, exit code 137", 1)]);
}

fn counts(region: &str, os: &str, failed: u64, passed: u64) -> CellCounts {
    CellCounts { labels: [("region", region), ("os", os)].into_iter().collect(), failed, passed }
}

#[test]
fn the_label_that_carries_the_failures_is_named_and_too_few_runs_are_said_to_be() {
    let carried =
        [counts("nyc", "a", 0, 20), counts("nyc", "b", 1, 20), counts("sfo", "a", 15, 5), counts("sfo", "b", 14, 6)];
    let found = analyse_labels(&carried, 3);
    assert_eq!(found.sentence, "region=sfo carries the failures: 29 of 40 runs failed with it, 1 of 41 without it");
    assert_eq!((found.left_out, found.report.trials), (3, 81));
    let few = analyse_labels(&[counts("nyc", "a", 1, 1), counts("sfo", "a", 1, 1)], 0);
    assert_eq!(few.sentence, "not enough runs: of 4 runs no label value has 5 with it and 5 without it");
    let one = analyse_labels(&[counts("nyc", "a", 5, 15)], 0);
    assert_eq!(one.sentence, "all runs have the same labels, so none can explain their failures");
    assert_eq!(analyse_labels(&[counts("a", "a", 0, 9), counts("b", "b", 0, 9)], 0).sentence, "none of 18 runs failed");
}

#[test]
fn a_test_that_takes_longer_is_told_with_its_first_slow_run() {
    let strip = "p".repeat(40);
    let slower = window(&strip, |n| if n < 20 { 1000 + n as u32 } else { 1500 + n as u32 });
    let found = analyse_durations(Labels::default(), &slower, at(0));
    assert_eq!(found.changes[0].since, moment(20));
    assert!(found.sentence.starts_with("slower since 1970-01-01T00:20:00Z: 1010 ms before"), "{}", found.sentence);
    let short = analyse_durations(Labels::default(), &slower, at(31));
    assert_eq!(short.sentence, "not enough runs: 9 passed, 10 are needed");
    assert_eq!(analyse_durations(Labels::default(), &slower, at(21)).sentence, "no change over 19 runs that passed");
}

#[test]
fn days_have_limits() {
    for days in [0, 91, u32::MAX] {
        assert_eq!(check_days(days).unwrap_err().errors[0].pointer, "/days");
    }
    assert!(check_days(1).is_ok() && check_days(90).is_ok());
}
