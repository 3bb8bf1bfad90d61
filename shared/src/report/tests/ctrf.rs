//! CTRF as its specification has it, and as older reporters wrote it.

use super::*;
use crate::report::{Attachment, Excerpt};

fn with(tests: &str) -> Got {
    ctrf(&format!(
        r#"{{"reportFormat":"CTRF","specVersion":"1.0.0","results":{{"tool":{{"name":"t"}},"tests":[{tests}]}}}}"#
    ))
}

fn only(fields: &str) -> Case {
    let mut got = with(&format!(r#"{{"name":"n","status":"passed","duration":1,{fields}}}"#)).clean();
    got.cases.remove(0)
}

#[test]
fn a_whole_report_is_read() {
    let got = ctrf(
        r#"{"reportFormat":"CTRF","specVersion":"1.0.0","generatedBy":"x","timestamp":"2024-01-01T00:00:00Z","results":{
        "tool":{"name":"playwright","version":"1.40"},
        "summary":{"tests":5,"passed":1,"failed":1,"skipped":1,"pending":1,"other":1,"start":1706828654274,"stop":1706828655782},
        "environment":{"reportName":"nightly","appName":"a","buildNumber":7,"extra":{"deep":[1]}},
        "tests":[
          {"name":"1","status":"passed","duration":801,"suite":["a.ts","group"],"filePath":"a.ts","line":3},
          {"name":"2","status":"failed","duration":20.4,"message":"no","trace":"at x","rawStatus":"timedOut"},
          {"name":"3","status":"skipped","duration":0,"message":"why"},
          {"name":"4","status":"pending","duration":0},
          {"name":"5","status":"other","duration":0,"rawStatus":"interrupted"}
        ]}}"#,
    );
    assert_eq!(got.codes(), [NoteCode::Ignored], "{:?}", got.notes);
    use CaseStatus::{Error, Fail, Pass, Skip};
    assert_eq!(got.outcomes(), [("1", Pass), ("2", Fail), ("3", Skip), ("4", Skip), ("5", Error)]);
    assert_eq!(
        (got.report.producer.as_deref(), got.report.name.as_deref()),
        (Some("playwright 1.40"), Some("nightly"))
    );
    assert_eq!((got.report.duration_ms, got.report.complete), (Some(1508), true));
    let first = got.case("1");
    assert_eq!(
        (suite_of(first).as_str(), first.key.file.as_deref(), first.line, first.duration_ms),
        ("a.ts/group", Some("a.ts"), Some(3), Some(801))
    );
    let second = got.case("2");
    assert_eq!(
        (second.findings()[0].message.as_deref(), second.findings()[0].text.clone()),
        (Some("no"), Some(Excerpt::from("at x")))
    );
    assert_eq!((second.duration_ms, second.properties[0].value.as_str()), (Some(20), "timedOut"));
    assert_eq!(got.case("5").findings()[0].kind.as_deref(), Some("interrupted"));
}

#[test]
fn attempts_come_before_the_last_one() {
    let case = only(
        r#""retries":1,"flaky":true,"retryAttempts":[{"attempt":1,"status":"failed","duration":5,"message":"no","trace":"at x","stdout":["a","b"],
           "attachments":[{"name":"s","contentType":"image/png","path":"s.png"}]}]"#,
    );
    assert_eq!((case.flaky, statuses(&case.attempts)), (true, vec![CaseStatus::Fail, CaseStatus::Pass]));
    assert_eq!((case.attempts[0].stdout.clone(), case.attempts[0].duration_ms), (Some("a\nb".into()), Some(5)));
    let attachment =
        Attachment { path: "s.png".into(), name: Some("s".into()), content_type: Some("image/png".into()) };
    assert_eq!(case.attachments, [attachment]);
}

#[test]
fn a_list_of_all_attempts_holds_the_last_one() {
    let case = only(r#""retries":1,"retryAttempts":[{"attempt":1,"status":"failed"},{"attempt":2,"status":"passed"}]"#);
    assert_eq!((case.flaky, statuses(&case.attempts)), (true, vec![CaseStatus::Fail, CaseStatus::Pass]));
}

#[test]
fn a_test_that_comes_again_is_no_retry_because_retries_have_a_field() {
    let row = |status: &str| format!(r#"{{"name":"n","filePath":"f","status":"{status}","duration":1}}"#);
    let got = with(&[row("failed"), row("passed")].join(","));
    assert_eq!((got.cases[1].repeat, got.cases[1].flaky), (Repeat::Ambiguous, false));
}

#[test]
fn flaky_is_strict() {
    assert!(only(r#""flaky":true,"retries":2"#).flaky);
    let got = with(r#"{"name":"n","status":"failed","duration":1,"flaky":true}"#);
    assert_eq!((got.cases[0].flaky, got.codes()), (false, vec![NoteCode::BadStatus]));
}

#[test]
fn an_explicit_id_is_the_identity_and_an_old_one_is_not() {
    let case = only(r#""testId":"T-1","id":"0b1c0d1e-0000-4000-8000-000000000000""#);
    assert_eq!(case.key.test_id.as_deref(), Some("T-1"));
    assert_eq!(case.properties[0].name, "id");
    assert_eq!(only(r#""id":"a""#).id, only(r#""id":"b""#).id);
}

#[test]
fn simple_fields_become_properties_and_others_are_noted_once() {
    let case = only(
        r#""tags":["ui","slow"],"labels":{"priority":1},"parameters":{"user":"x"},"browser":"chrome","extra":{"owner":"me"},"type":"e2e""#,
    );
    let properties: Vec<_> = case.properties.iter().map(|p| (p.name.as_str(), p.value.as_str())).collect();
    let expected = [
        ("tag", "ui"),
        ("tag", "slow"),
        ("label.priority", "1"),
        ("parameter.user", "x"),
        ("browser", "chrome"),
        ("extra.owner", "me"),
        ("type", "e2e"),
    ];
    assert_eq!(properties, expected);
    let got = with(&[r#"{"name":"n","status":"passed","duration":1,"steps":[{"name":"s","status":"passed"}],"extra":{"deep":{"x":1}}}"#; 3].join(","));
    assert_eq!(got.report.notes[&NoteCode::Ignored], 2, "{:?}", got.notes);
}

#[test]
fn old_reports_are_read() {
    let got = ctrf(
        r#"{"results":{"tool":{"name":"jest"},"summary":{"tests":1,"passed":1,"failed":0,"pending":0,"skipped":0,"other":0,"start":1,"stop":2},
        "tests":[{"name":"n","status":"passed","duration":801,"suite":"a > b","flake":true,"retry":1}]}}"#,
    )
    .clean();
    assert_eq!((suite_of(&got.cases[0]).as_str(), got.cases[0].flaky), ("a > b", true));
}

#[test]
fn what_is_not_as_it_should_be_breaks_nothing_else() {
    let got = with(
        r#"1,"x",null,[{"name":"no"}],{"name":"a","status":"odd","duration":"x"},{"status":"passed","duration":-1},
           {"name":{"x":1},"status":3,"duration":null,"suite":{"a":1},"retryAttempts":"x","stdout":5,"attachments":[1],"retries":"many"},{"name":"z","status":"passed","duration":"12"}"#,
    );
    assert_eq!(got.cases.len(), 4, "{got:#?}");
    assert_eq!(got.case("a").status, CaseStatus::Error);
    assert_eq!(got.case("z").duration_ms, Some(12));
    assert_eq!(got.report.notes[&NoteCode::BadStatus], 6);
    assert!(got.report.complete);
}

#[test]
fn counts_are_reconciled() {
    let got = ctrf(
        r#"{"results":{"tests":[{"name":"n","status":"passed","duration":1}],"summary":{"tests":2,"passed":1,"failed":0,"skipped":0,"pending":1,"other":0}}}"#,
    );
    assert_eq!(got.codes(), [NoteCode::CountMismatch, NoteCode::CountMismatch]);
}

#[test]
fn what_is_no_report_is_said() {
    for (text, code) in [
        ("{}", NoteCode::NotAReport),
        ("[]", NoteCode::NotAReport),
        ("1", NoteCode::NotAReport),
        ("", NoteCode::Truncated),
        ("<x>", NoteCode::Malformed),
        (r#"{"results":{"tests":[]}} x"#, NoteCode::Malformed),
        (r#"{"reportFormat":"other","results":{"tests":[]}}"#, NoteCode::NotAReport),
    ] {
        let got = ctrf(text);
        assert!(got.codes().contains(&code), "{text}: {got:?}");
    }
}

#[test]
fn a_file_that_breaks_off_gives_the_cases_until_there() {
    let text =
        r#"{"results":{"tests":[{"name":"a","status":"passed","duration":1},{"name":"b","status":"passed","dura"#;
    let got = ctrf(text);
    assert_eq!(got.outcomes(), [("a", CaseStatus::Pass), ("b", CaseStatus::Error)]);
    assert_eq!((got.codes(), got.report.complete), (vec![NoteCode::Unfinished, NoteCode::Truncated], false));
}

#[test]
fn half_a_surrogate_pair_breaks_nothing() {
    let got = with(r#"{"name":"\ud83d x","status":"passed","duration":1}"#).clean();
    assert_eq!(got.cases[0].key.name, "\u{fffd} x");
}

#[test]
fn our_own_field_cannot_make_a_pass_of_a_failure() {
    let got = with(
        r#"{"name":"n","status":"failed","duration":1,"extra":{"tstr":"{\"status\":\"pass\",\"classname\":\"c\"}"}}"#,
    )
    .clean();
    assert_eq!((got.cases[0].status, got.cases[0].key.classname.as_deref()), (CaseStatus::Fail, Some("c")));
}
