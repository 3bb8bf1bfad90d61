//! What is written is read again: identities, statuses, counts and flakiness, in every format.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::arb::report_case;
use crate::report::{Counts, Finding, Header, Volatile, Writer};

/// Gives every case the identity that it has in [`TEST`], and leaves out those that repeat one.
fn distinct(cases: Vec<Case>) -> Vec<Case> {
    let mut seen = HashSet::new();
    let cases = cases.into_iter().map(|case| Case { id: case.key.id(TEST, &Volatile::default()), ..case });
    cases.filter(|case| seen.insert(case.id)).collect()
}

fn counts(cases: &[Case]) -> Counts {
    let mut counts = Counts::default();
    cases.iter().for_each(|case| counts.add(case));
    counts
}

pub(super) fn write(format: Format, cases: &[Case]) -> Vec<u8> {
    let header = Header { name: "a <report>".into(), started_ms: 1_000, ended_ms: 3_500, totals: Some(counts(cases)) };
    let mut writer = Writer::new(format, Vec::new(), &header).unwrap();
    cases.iter().for_each(|case| writer.case(case).unwrap());
    writer.finish().unwrap()
}

/// What every format keeps of a case.
fn essence(case: &Case) -> impl PartialEq + std::fmt::Debug + use<> {
    let attempts = statuses(&case.attempts);
    (
        (case.id, case.key.clone(), case.ordinal, case.repeat),
        (case.status, case.flaky, case.disabled, attempts),
        (case.duration_ms, case.line, case.assertions),
        (case.findings().first().and_then(|finding| finding.message.clone())),
    )
}

fn same_after(format: Format, cases: &[Case]) -> Got {
    let bytes = write(format, cases);
    let shown = String::from_utf8(bytes.clone()).unwrap();
    let got = read_from(format, &bytes[..], Limits::default());
    assert!(got.report.complete && got.notes.is_empty(), "{:#?}\n{shown}", got.notes);
    let (read, written): (Vec<_>, Vec<_>) =
        (got.cases.iter().map(essence).collect(), cases.iter().map(essence).collect());
    assert_eq!(read, written, "{shown}");
    assert_eq!(got.report.counted, counts(cases));
    got
}

proptest! {
    #[test]
    fn junit_keeps_cases(cases in vec(report_case(), 0..8)) {
        let cases = distinct(cases);
        let got = same_after(Format::Junit, &cases);
        for (read, written) in got.cases.iter().zip(&cases) {
            prop_assert_eq!((&read.stdout, &read.stderr, &read.properties), (&written.stdout, &written.stderr, &written.properties));
            let last = |case: &Case| case.attempts.last().cloned();
            if written.attempts.len() == 1 {
                let findings = |case: &Case| last(case).map(|attempt| attempt.findings);
                // A failure without a word is written as an element without a word.
                if !findings(written).unwrap().is_empty() {
                    prop_assert_eq!(findings(read), findings(written));
                }
            }
        }
        prop_assert_eq!(got.report.declared.tests, Some(cases.len() as u64));
        prop_assert_eq!(got.report.duration_ms, Some(2_500));
    }

    #[test]
    fn ctrf_keeps_cases_and_obeys_the_schema(cases in vec(report_case(), 0..8)) {
        let cases = distinct(cases);
        let got = same_after(Format::Ctrf, &cases);
        for (read, written) in got.cases.iter().zip(&cases) {
            prop_assert_eq!(&read.attempts.last().unwrap().findings, &written.attempts.last().unwrap().findings);
            prop_assert_eq!((&read.stdout, &read.stderr), (&written.stdout, &written.stderr));
        }
        schema::check(&serde_json::from_slice(&write(Format::Ctrf, &cases)).unwrap());
    }

    #[test]
    fn tap_keeps_cases(cases in vec(report_case(), 0..8)) {
        same_after(Format::Tap, &distinct(cases));
    }

    #[test]
    fn json_lines_keep_everything(cases in vec(report_case(), 0..4)) {
        let bytes = write(Format::JsonLines, &cases);
        let lines = String::from_utf8(bytes).unwrap();
        let read: Vec<Event> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let written: Vec<Event> = cases.into_iter().map(|case| Event::Case(Box::new(case))).collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn a_report_survives_every_format_in_turn(cases in vec(report_case(), 0..5)) {
        let mut cases = distinct(cases);
        let before: Vec<_> = cases.iter().map(essence).collect();
        for format in [Format::Junit, Format::Tap, Format::Ctrf, Format::Junit] {
            cases = same_after(format, &cases).cases;
        }
        prop_assert_eq!(cases.iter().map(essence).collect::<Vec<_>>(), before);
    }
}

#[test]
fn repeated_cases_are_written_as_they_were_read() {
    use Repeat::{Ambiguous, First, Retry};
    let failed = "<testcase classname='c' name='n'><failure/></testcase>";
    let passed = "<testcase classname='c' name='n'/>";
    for (text, repeats) in [
        (format!("<testsuite name='s'>{failed}{passed}{passed}</testsuite>"), vec![First, Retry, Ambiguous]),
        (
            format!(
                "<testsuites><testsuite name='s'>{failed}</testsuite><testsuite name='s'>{passed}</testsuite></testsuites>"
            ),
            vec![First, Ambiguous],
        ),
    ] {
        let got = junit(&text);
        assert_eq!(got.cases.iter().map(|case| case.repeat).collect::<Vec<_>>(), repeats);
        let again = read_from(Format::Junit, &write(Format::Junit, &got.cases)[..], Limits::default());
        assert_eq!(
            again.cases.iter().map(essence).collect::<Vec<_>>(),
            got.cases.iter().map(essence).collect::<Vec<_>>()
        );
    }
}

#[test]
fn suites_are_nested_and_opened_again() {
    let case = |suite: &[&str], name: &str| {
        let key = crate::report::CaseKey {
            suite: suite.iter().map(|&s| s.into()).collect(),
            name: name.into(),
            ..Default::default()
        };
        Case::new(key, CaseStatus::Pass)
    };
    let cases =
        distinct(vec![case(&["a"], "1"), case(&["a", "b"], "2"), case(&["a"], "3"), case(&[], "4"), case(&["a"], "5")]);
    for format in [Format::Junit, Format::Ctrf, Format::Tap] {
        same_after(format, &cases);
    }
    let text = String::from_utf8(write(Format::Tap, &cases)).unwrap();
    let expected = "TAP version 14\n# Subtest: a\n    ok 1 - 1\n    # Subtest: b\n        ok 1 - 2\n        1..1\n    ok 2 - b\n    \
                    ok 3 - 3\n    1..3\nok 1 - a\nok 2 - 4\n# Subtest: a\n    ok 1 - 5\n    1..1\nok 3 - a\n1..3\n";
    assert_eq!(text, expected);
}

#[test]
fn texts_keep_their_indentation() {
    for text in ["  at x\n    at y", "E  x\n\n    at y", "...", "---", "# SKIP", "text: |"] {
        let mut case = Case::new(crate::report::CaseKey { name: "n".into(), ..Default::default() }, CaseStatus::Fail);
        let finding = Finding { text: Some(text.into()), ..Finding::new(CaseStatus::Fail, "m") };
        case.attempts[0].findings.push(finding);
        for format in [Format::Junit, Format::Ctrf, Format::Tap] {
            let got = same_after(format, &distinct(vec![case.clone()]));
            assert_eq!(got.cases[0].findings(), case.findings(), "{format:?}");
        }
    }
}

#[test]
fn names_that_look_like_syntax_come_through() {
    for name in [
        "a # SKIP b",
        "- x",
        "waits in 5ms",
        "{",
        "x {",
        "a\\#b",
        "# Subtest: x",
        "]]>",
        "a\nb\tc",
        "ok 1",
        "  ",
        "\"",
        "&amp;",
        "\\",
    ] {
        let key = crate::report::CaseKey {
            suite: vec![name.trim().into()],
            classname: Some("c".into()),
            name: name.trim().into(),
            ..Default::default()
        };
        if key.name.is_empty() {
            continue;
        }
        let cases = distinct(vec![Case::new(key, CaseStatus::Fail)]);
        for format in [Format::Junit, Format::Ctrf, Format::Tap] {
            same_after(format, &cases);
        }
    }
}
