//! TAP 13 and 14.

use super::*;

#[test]
fn points_are_cases() {
    let got = tap("TAP version 14\n1..4\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP why\nok\n").clean();
    use CaseStatus::{Fail, Pass, Skip};
    assert_eq!(got.outcomes(), [("a", Pass), ("b", Fail), ("c", Skip), ("#4", Pass)]);
    assert_eq!(got.case("c").findings()[0].message.as_deref(), Some("why"));
}

#[test]
fn a_failing_point_that_is_to_be_done_does_not_count() {
    let got = tap("1..2\nnot ok 1 - a # TODO later\nok 2 - b # TODO\n");
    assert_eq!(got.outcomes(), [("a", CaseStatus::Skip), ("b", CaseStatus::Pass)]);
    assert_eq!(got.case("a").findings()[0].message.as_deref(), Some("TODO later"));
    assert_eq!((got.codes(), got.report.complete, got.report.has_errors()), (vec![NoteCode::Todo; 2], true, false));
}

#[test]
fn yaml_blocks_say_more() {
    let got = tap(
        "TAP version 13\nnot ok 1 - a\n  ---\n  duration_ms: 12.4\n  failureType: 'testCodeFailure'\n  location: '/app/a.js:3:1'\n  error: 'no ''x'''\n  \
         stack: |-\n    at x\n      at y\n  ...\n# and a comment\nok 2 - b\n  ---\n  duration_ms: 1\n  ...\n1..2\n",
    )
    .clean();
    let finding = &got.case("a").findings()[0];
    assert_eq!((finding.message.as_deref(), finding.kind.as_deref()), (Some("no 'x'"), Some("testCodeFailure")));
    let text = finding.text.clone().unwrap().text;
    assert!(text.contains("    at y") && text.ends_with("and a comment"), "{text}");
    assert_eq!((got.case("a").duration_ms, got.case("b").duration_ms), (Some(12), Some(1)));
    assert_eq!((got.case("a").key.file.clone(), got.case("a").properties[0].value.as_str()), (None, "/app/a.js:3:1"));
}

#[test]
fn subtests_of_node_are_suites() {
    let got = tap(
        "TAP version 13\n# Subtest: suite\n    # Subtest: one\n    ok 1 - one\n      ---\n      duration_ms: 5\n      ...\n    # Subtest: inner\n        \
         # Subtest: two\n        not ok 1 - two\n          ---\n          error: 'no'\n          ...\n        1..1\n    not ok 2 - inner\n      ---\n      \
         failureType: 'subtestsFailed'\n      ...\n    1..2\nnot ok 1 - suite\n  ---\n  type: 'suite'\n  ...\n# Subtest: top\nok 2 - top\n1..2\n# tests 3\n# pass 2\n",
    )
    .clean();
    let found: Vec<_> = got.cases.iter().map(|case| (suite_of(case), case.key.name.clone(), case.status)).collect();
    let row = |suite: &str, name: &str, status| (suite.to_owned(), name.to_owned(), status);
    assert_eq!(
        found,
        [
            row("suite", "one", CaseStatus::Pass),
            row("suite/inner", "two", CaseStatus::Fail),
            row("", "top", CaseStatus::Pass)
        ]
    );
    assert_eq!(got.case("one").duration_ms, Some(5));
    assert_eq!(got.suites.iter().map(|suite| suite.path.join("/")).collect::<Vec<_>>(), ["suite/inner", "suite"]);
}

#[test]
fn subtests_of_perl_name_themselves_and_others_are_numbered() {
    let got =
        tap("    # Subtest: a\n    ok 1 - x\n    1..1\nok 1 - a\n    ok 1 - y\n    1..1\nok 2 - b\n1..2\n").clean();
    assert_eq!(got.cases.iter().map(suite_of).collect::<Vec<_>>(), ["a", "#2"]);
}

#[test]
fn subtests_in_braces_are_suites() {
    let got = tap("TAP version 13\nok 1 - a # time=3ms {\n    ok 1 - x\n    ok 2 - deep {\n        ok 1 - y\n        1..1\n    }\n    1..2\n}\n1..1\n").clean();
    assert_eq!(
        got.cases.iter().map(|case| format!("{}:{}", suite_of(case), case.key.name)).collect::<Vec<_>>(),
        ["a:x", "a/deep:y"]
    );
}

#[test]
fn a_subtest_that_says_more_than_its_points_is_a_case() {
    let failed = tap("# Subtest: a\n    ok 1 - x\n    1..1\nnot ok 1 - a\n1..1\n").clean();
    assert_eq!(failed.outcomes(), [("x", CaseStatus::Pass), ("a", CaseStatus::Fail)]);
    let empty = tap("# Subtest: a\n    1..0 # SKIP no\nok 1 - a # SKIP no\n1..1\n").clean();
    assert_eq!(empty.outcomes(), [("a", CaseStatus::Skip)]);
}

#[test]
fn bailing_out_is_an_error_and_keeps_what_was_before() {
    let got = tap("1..3\nok 1 - a\n    ok 1 - deep\n    Bail out! fire\nok 2 - b\n");
    assert_eq!(got.codes(), [NoteCode::BailOut]);
    assert_eq!((got.cases.len(), got.report.has_errors(), got.report.complete), (2, true, false));
}

#[test]
fn plans_that_do_not_fit_are_errors() {
    for text in
        ["1..3\nok 1\n", "1..1\nok 1\nok 2\n", "ok 1\n", "1..1\nok 1\n1..1\n", "    ok 1\n    1..2\nok 1 - a\n1..1\n"]
    {
        let got = tap(text);
        assert!(got.codes().contains(&NoteCode::PlanMismatch) && got.report.has_errors(), "{text}: {got:?}");
    }
    let nothing = tap("1..0 # SKIP no network\n");
    assert_eq!((nothing.codes(), nothing.report.complete), (vec![NoteCode::Ignored], true));
    assert!(nothing.notes[0].message.contains("no network"));
}

#[test]
fn numbers_out_of_order_are_noted() {
    let got = tap("1..2\nok 2 - a\nok 1 - b\n");
    assert_eq!((got.codes(), got.cases.len()), (vec![NoteCode::BadNumber; 2], 2));
}

#[test]
fn lines_that_are_no_tap_are_counted() {
    let got = tap("hello\n{\n  }\n1..1\n  ok but indented by two\nok 1 - a\n  ---\n  never: ended\n");
    assert_eq!(got.outcomes(), [("a", CaseStatus::Pass)]);
    assert!(got.report.notes.contains_key(&NoteCode::Truncated));
    let note = got.notes.iter().find(|note| note.code == NoteCode::Ignored).unwrap();
    assert_eq!((note.message.as_str(), note.line), ("4 lines are no TAP, and are not kept", Some(1)));
    let unended = tap("1..2\nok 1 - a\n  ---\n  x: 1\nok 2 - b\n");
    assert_eq!((unended.cases.len(), unended.codes()), (2, vec![NoteCode::BadMarkup]));
}

#[test]
fn what_is_no_report_is_said() {
    for text in ["", "hello\nworld\n"] {
        let got = tap(text);
        assert!(got.codes().contains(&NoteCode::NotAReport) && !got.report.complete, "{text}");
    }
}

#[test]
fn line_ends_of_windows_and_reports_behind_each_other_are_read() {
    let got = tap("TAP version 13\r\nok 1 - a\r\n1..1\r\nTAP version 13\r\n1..1\r\nok 1 - b\r\n").clean();
    assert_eq!(got.outcomes(), [("a", CaseStatus::Pass), ("b", CaseStatus::Pass)]);
}
