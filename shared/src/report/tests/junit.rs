//! The rows of the table of what JUnit XML means, one after the other.

use super::*;
use crate::report::{Attachment, Excerpt, Hint, NoteLevel, Property};

fn only(inside: &str) -> Case {
    let mut got = junit(&format!("<testsuites><testsuite name='s'>{inside}</testsuite></testsuites>")).clean();
    assert_eq!(got.cases.len(), 1, "{got:#?}");
    got.cases.remove(0)
}

fn attribute(attributes: &str) -> Got {
    junit(&format!("<testsuite name='s'><testcase name='n' classname='c' {attributes}/></testsuite>"))
}

#[test]
fn classname_and_name_are_the_identity() {
    let case = only("<testcase classname='c' name='n'/>");
    assert_eq!(
        (case.key.classname.as_deref(), case.key.name.as_str(), suite_of(&case).as_str()),
        (Some("c"), "n", "s")
    );
    let id = |inside: &str| only(inside).id;
    assert_ne!(id("<testcase classname='c' name='n'/>"), id("<testcase classname='d' name='n'/>"));
    assert_ne!(id("<testcase classname='c' name='n'/>"), id("<testcase classname='c' name='m'/>"));
}

#[test]
fn a_classname_may_be_absent_and_a_name_may_not() {
    assert_eq!(only("<testcase name='n'/>").key.classname, None);
    let got = junit("<testsuite><testcase classname='c'/></testsuite>");
    assert_eq!((got.cases.len(), got.codes()), (1, vec![NoteCode::NoName]));
}

#[test]
fn nested_suites_and_a_file_without_classname_are_the_identity() {
    let text = "<testsuites name='ignored'><testsuite name='a' file='f.js'><testsuite name='b'><testcase name='n'/></testsuite>\
                <testsuite><testcase name='n' file='g.js'/></testsuite></testsuite></testsuites>";
    let got = junit(text).clean();
    assert_eq!(got.cases.iter().map(suite_of).collect::<Vec<_>>(), ["a/b", "a"]);
    assert_eq!(got.cases[0].key.file.as_deref(), Some("f.js"), "the suite's file");
    assert_eq!(got.cases[1].key.file.as_deref(), Some("g.js"));
    assert_eq!(got.suites.iter().map(|suite| suite.path.join("/")).collect::<Vec<_>>(), ["a/b", "a", "a"]);
    assert_eq!(got.report.name.as_deref(), Some("ignored"));
    let without =
        junit("<testsuite name='a'><testcase name='n' file='x'/><testcase name='n' file='y'/></testsuite>").clean();
    assert_ne!(without.cases[0].id, without.cases[1].id);
}

#[test]
fn a_bare_suite_is_a_report_and_so_are_cases_without_suite() {
    assert_eq!(junit("<testsuite name='s'><testcase name='n'/></testsuite>").clean().cases.len(), 1);
    assert_eq!(junit("<testsuites><testcase name='n'/></testsuites>").clean().cases[0].key.suite, Vec::<String>::new());
    assert_eq!(
        junit("<j:testsuites xmlns:j='u'><j:testsuite><j:testcase name='n'/></j:testsuite></j:testsuites>")
            .clean()
            .cases
            .len(),
        1
    );
}

#[test]
fn line_and_assertions_are_kept_and_no_identity() {
    let case = only("<testcase name='n' line='12' assertions='3'/>");
    assert_eq!((case.line, case.assertions), (Some(12), Some(3)));
    assert_eq!(case.id, only("<testcase name='n' line='13'/>").id);
}

#[test]
fn times_are_read_as_they_are_written() {
    for (time, ms) in [("1.5", Some(1500)), ("1E-07", Some(0)), ("1,234.5", Some(1_234_500)), ("", None)] {
        let got = attribute(&format!("time='{time}'")).clean();
        assert_eq!(got.cases[0].duration_ms, ms, "{time}");
    }
}

#[test]
fn broken_numbers_are_noted_with_their_place_and_break_nothing() {
    for attributes in ["time='-1'", "time='many'", "line='x'", "assertions='-3'"] {
        let got = attribute(attributes);
        assert_eq!((got.codes(), got.cases.len()), (vec![NoteCode::BadNumber], 1), "{attributes}");
        assert_eq!((got.cases[0].duration_ms, got.cases[0].status), (None, CaseStatus::Pass));
        assert_eq!((got.notes[0].line, got.notes[0].byte), (Some(1), Some(20)));
    }
    let got = junit("<testsuite tests='many'>\n\n<testcase name='n' time='x'/>\n</testsuite>");
    assert_eq!(got.notes.iter().map(|note| note.line).collect::<Vec<_>>(), [Some(1), Some(3)]);
}

#[test]
fn a_case_without_children_passed() {
    let case = only("<testcase name='n'> </testcase>");
    assert_eq!((case.status, statuses(&case.attempts)), (CaseStatus::Pass, vec![CaseStatus::Pass]));
}

#[test]
fn failure_error_and_skipped_are_the_status_with_all_they_say() {
    for (element, status) in
        [("failure", CaseStatus::Fail), ("error", CaseStatus::Error), ("skipped", CaseStatus::Skip)]
    {
        let case = only(&format!(
            "<testcase name='n' time='2'><{element} message='m&lt;&#10;x' type='t'>\n\n  at <![CDATA[a<b>]]>&amp;\n </{element}></testcase>"
        ));
        let finding = &case.findings()[0];
        assert_eq!((case.status, finding.status), (status, status));
        assert_eq!((finding.message.as_deref(), finding.kind.as_deref()), (Some("m<\nx"), Some("t")));
        assert_eq!(finding.text, Some(Excerpt::from("  at a<b>&")));
        assert_eq!(case.attempts[0].duration_ms, Some(2000));
    }
}

#[test]
fn every_failure_of_a_case_is_kept_and_the_worst_is_the_status() {
    let case = only(
        "<testcase name='n'><skipped/><failure message='1'/><failure message='2'/><error message='3'/></testcase>",
    );
    let messages: Vec<_> = case.findings().iter().map(|finding| finding.message.as_deref()).collect();
    assert_eq!((case.status, messages), (CaseStatus::Error, vec![None, Some("1"), Some("2"), Some("3")]));
}

#[test]
fn attributes_tell_the_status_where_no_child_does() {
    for (attributes, status, disabled) in [
        ("status='run' result='completed'", CaseStatus::Pass, false),
        ("status='notrun' result='suppressed'", CaseStatus::Skip, true),
        ("status='run' result='skipped'", CaseStatus::Skip, false),
        ("status='passed'", CaseStatus::Pass, false),
    ] {
        let got = attribute(attributes).clean();
        assert_eq!((got.cases[0].status, got.cases[0].disabled), (status, disabled), "{attributes}");
    }
    let got = attribute("status='failed'");
    assert_eq!((got.cases[0].status, got.codes()), (CaseStatus::Fail, vec![NoteCode::BadStatus]));
    let unknown = attribute("status='strange'").clean();
    assert_eq!(unknown.cases[0].properties, [Property { name: "@status".into(), value: "strange".into() }]);
}

#[test]
fn flaky_attempts_come_before_a_pass() {
    let case = only(
        "<testcase name='n' time='3'><flakyFailure message='1' type='t' time='1'>x<stackTrace>at y</stackTrace><system-out>o</system-out>\
         <system-err>e</system-err></flakyFailure><flakyError message='2'><system-out>[[ATTACHMENT|a.png]]</system-out></flakyError><system-out>last</system-out></testcase>",
    );
    assert_eq!((case.status, case.flaky), (CaseStatus::Pass, true));
    assert_eq!(statuses(&case.attempts), [CaseStatus::Fail, CaseStatus::Error, CaseStatus::Pass]);
    let first = &case.attempts[0];
    assert_eq!(
        (first.duration_ms, first.stdout.clone(), first.stderr.clone()),
        (Some(1000), Some("o".into()), Some("e".into()))
    );
    assert_eq!(first.findings[0].text, Some("xat y".into()));
    assert_eq!(case.attachments[0].path, "a.png");
    assert_eq!((case.stdout.clone(), case.attempts[2].duration_ms), (Some("last".into()), Some(3000)));
}

#[test]
fn reruns_come_after_a_failure() {
    let case = only(
        "<testcase name='n'><failure message='1'/><rerunFailure message='2'/><rerunError message='3'/></testcase>",
    );
    assert_eq!((case.status, case.flaky), (CaseStatus::Error, false));
    assert_eq!(statuses(&case.attempts), [CaseStatus::Fail, CaseStatus::Fail, CaseStatus::Error]);
    let alone = only("<testcase name='n'><rerunFailure/></testcase>");
    assert_eq!((alone.status, alone.attempts.len()), (CaseStatus::Fail, 1));
}

#[test]
fn flaky_and_rerun_children_may_be_mixed() {
    let case = only("<testcase name='n'><rerunFailure/><flakyFailure/><failure/></testcase>");
    assert_eq!((case.status, case.attempts.len(), case.flaky), (CaseStatus::Fail, 3, false));
}

fn repeated(first: &str, second: &str, name: &str) -> Got {
    junit(&format!(
        "<testsuite name='s'><testcase {name}>{first}</testcase><testcase {name}>{second}</testcase></testsuite>"
    ))
}

#[test]
fn the_same_identity_again_is_a_retry_only_when_a_failure_passes_and_the_identity_is_full() {
    let full = "classname='c' name='n'";
    let retry = repeated("<failure/>", "", full).clean();
    assert_eq!((retry.cases[1].repeat, retry.cases[1].ordinal, retry.cases[1].flaky), (Repeat::Retry, 1, true));
    for (first, second, name) in [
        ("", "", full),
        ("", "<failure/>", full),
        ("<failure/>", "<failure/>", full),
        ("<skipped/>", "", full),
        ("<failure/>", "", "name='n'"),
    ] {
        let got = repeated(first, second, name);
        let case = &got.cases[1];
        assert_eq!((case.repeat, case.ordinal, case.flaky), (Repeat::Ambiguous, 2, false), "{first} {second} {name}");
        assert_eq!(got.codes(), [NoteCode::Ambiguous]);
        assert_eq!(got.report.counted.ambiguous, 1);
    }
}

#[test]
fn a_producer_that_is_known_to_repeat_writes_retries() {
    let text = "<testsuite name='p'><properties><property name='go.version' value='go1.22'/></properties>\
                <testcase name='T'><failure/></testcase><testcase name='T'><failure/></testcase><testcase name='T'/></testsuite>";
    let got = junit(text).clean();
    assert_eq!(
        got.cases.iter().map(|case| case.repeat).collect::<Vec<_>>(),
        [Repeat::First, Repeat::Retry, Repeat::Retry]
    );
    assert_eq!((got.report.counted.cases, got.report.counted.retries, got.report.counted.flaky), (3, 2, 1));
}

#[test]
fn properties_are_kept_with_what_their_names_mean() {
    let case = only(
        "<testcase name='n'><properties><property name='owner' value='me'/><property name='text'>of the <![CDATA[element]]></property>\
         <property name='attachment1' value='a/b.png'/><property name='step[passed]' value='open'/><property name='url:docs' value='http://x'/>\
         <property name='html:note' value='&lt;b>'/><property name='testId' value='T-1'/></properties></testcase>",
    );
    let hints: Vec<_> = case.properties.iter().map(|property| (property.hint(), property.value.as_str())).collect();
    assert_eq!(
        hints,
        [
            (Hint::Value, "me"),
            (Hint::Value, "of the element"),
            (Hint::Attachment, "a/b.png"),
            (Hint::Step(Some("passed")), "open"),
            (Hint::Url("docs"), "http://x"),
            (Hint::Html("note"), "<b>"),
        ]
    );
    assert_eq!(case.key.test_id.as_deref(), Some("T-1"));
    assert_eq!(case.attachments, [Attachment { path: "a/b.png".into(), name: None, content_type: None }]);
}

#[test]
fn properties_of_suites_and_reports_are_theirs() {
    let text = "<testsuites><properties><property name='a' value='1'/></properties><testsuite name='s' package='p' hostname='h' timestamp='2024-01-01T00:00:00'>\
                <properties><property name='b' value='2'/></properties><testcase name='n' group='g'/></testsuite></testsuites>";
    let got = junit(text).clean();
    let property = |name: &str, value: &str| Property { name: name.into(), value: value.into() };
    assert_eq!(got.report.properties, [property("a", "1")]);
    assert_eq!(got.suites[0].properties, [property("@package", "p"), property("b", "2")]);
    assert_eq!(
        (got.suites[0].hostname.as_deref(), got.suites[0].timestamp.as_deref()),
        (Some("h"), Some("2024-01-01T00:00:00"))
    );
    assert_eq!(got.cases[0].properties, [property("@group", "g")]);
}

#[test]
fn attachments_in_outputs_are_linked() {
    let got = junit(
        "<testsuite><testcase name='n'><system-out>x [[ATTACHMENT|a.png]]\n[[ATTACHMENT| b.txt ]] [[ATTACHMENT|a.png]]</system-out></testcase>\
         <system-err>[[ATTACHMENT|suite.log]] [[ATTACHMENT|</system-err></testsuite>",
    )
    .clean();
    let paths = |list: &[Attachment]| list.iter().map(|attachment| attachment.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(&got.cases[0].attachments), ["a.png", "b.txt"]);
    assert_eq!(paths(&got.suites[0].attachments), ["suite.log"]);
}

#[test]
fn values_that_are_too_long_are_cut_and_said() {
    let long = "x".repeat(5000);
    let got = junit(&format!(
        "<testsuite><testcase name='n' group='{long}'><properties><property name='p' value='{long}'/></properties></testcase></testsuite>"
    ));
    assert_eq!(got.codes(), [NoteCode::Cut]);
    assert!(got.cases[0].properties.iter().all(|property| property.value.len() == 4096));
}

#[test]
fn outputs_are_kept_without_what_only_terminals_understand() {
    let case = only(
        "<testcase name='n&#27;[1m'><system-out>\n&#x1b;[31mred&#27;[0m\0\r\nend  \n</system-out><system-out>more</system-out><system-err>e</system-err></testcase>",
    );
    assert_eq!(
        (case.key.name.as_str(), case.stdout, case.stderr),
        ("n", Some("red\nend\nmore".into()), Some("e".into()))
    );
}

#[test]
fn counts_are_reconciled_and_disabled_is_not_skipped() {
    let text = "<testsuites tests='4' failures='1' disabled='1' errors='0'><testsuite name='s' tests='4' failures='1' disabled='1' skipped='1'>\
                <testcase name='1'/><testcase name='2'><failure/></testcase><testcase name='3' status='notrun'/><testcase name='4'><skipped/></testcase>\
                </testsuite></testsuites>";
    let got = junit(text).clean();
    let counted = got.report.counted;
    assert_eq!((counted.cases, counted.passed, counted.failed, counted.skipped, counted.disabled), (4, 1, 1, 1, 1));
    let wrong = junit(&text.replace("disabled='1'", "disabled='0'"));
    assert_eq!(wrong.codes(), [NoteCode::CountMismatch, NoteCode::CountMismatch]);
    assert!(wrong.notes[0].message.contains("0 disabled cases are declared, and 1 read"), "{:?}", wrong.notes);
    assert!(wrong.report.complete && !wrong.report.has_errors());
}

#[test]
fn a_suite_that_fails_outside_of_its_cases_is_an_error_of_the_report() {
    let got = junit("<testsuite name='s'><error message='no fixture'>trace</error><testcase name='n'/></testsuite>");
    assert_eq!((got.codes(), got.report.has_errors()), (vec![NoteCode::SuiteFailed], true));
    assert_eq!(got.suites[0].findings[0].message.as_deref(), Some("no fixture"));
}

#[test]
fn unknown_elements_are_noted_once_and_read_through() {
    let got = junit(
        "<testsuite><wrap><testcase name='1'><x/><failure>a<b>c</b></failure></testcase></wrap><x/><testcase name='2'/>stray</testsuite>",
    );
    assert_eq!(got.codes(), [NoteCode::Ignored; 4]);
    assert_eq!(got.outcomes(), [("1", CaseStatus::Fail), ("2", CaseStatus::Pass)]);
    assert_eq!(got.cases[0].findings()[0].text, Some("ac".into()));
}

#[test]
fn a_case_inside_of_a_case_is_not_lost() {
    let got = junit(
        "<testsuite name='s'><testcase name='out'><testcase name='in'><failure/></testcase></testcase></testsuite>",
    );
    assert_eq!(got.outcomes(), [("in", CaseStatus::Fail), ("out", CaseStatus::Pass)]);
}

#[test]
fn tags_that_do_not_match_are_matched_as_well_as_they_can_be() {
    let got = junit("<testsuite><testcase name='1'><failure></testcase></x><testcase name='2'/></testsuite>");
    assert_eq!(got.codes(), [NoteCode::BadMarkup, NoteCode::BadMarkup]);
    assert_eq!(got.outcomes(), [("1", CaseStatus::Fail), ("2", CaseStatus::Pass)]);
    let broken = junit("<testsuite><testcase name='1' time= a=b classname='c'/></testsuite>");
    assert_eq!((broken.cases.len(), broken.codes()), (1, vec![NoteCode::BadMarkup]));
}

#[test]
fn bare_ampersands_and_unknown_entities_stand_for_themselves() {
    let got = junit(
        "<testsuite><testcase name='a & b &nbsp; c'><failure message='m'>x & y &nbsp;</failure></testcase></testsuite>",
    );
    assert_eq!(got.cases[0].key.name, "a & b &nbsp; c");
    assert_eq!(got.cases[0].findings()[0].text, Some("x & y &nbsp;".into()));
    assert_eq!(got.codes(), [NoteCode::Entity, NoteCode::Entity]);
}

#[test]
fn several_reports_in_one_file_are_one() {
    let got = junit("<?xml version='1.0'?><testsuite name='a'><testcase name='1'/></testsuite>\n<?xml version='1.0'?><testsuite name='b'><testcase name='2'/></testsuite>").clean();
    assert_eq!(got.cases.iter().map(suite_of).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn encodings_are_decoded_and_what_is_no_text_is_replaced_and_said() {
    let text = "<?xml version=\"1.0\" encoding=\"UTF-16\"?><testsuite><testcase name=\"é\"/></testsuite>";
    for mark in [&b"\xff\xfe"[..], b""] {
        let bytes: Vec<u8> = mark.iter().copied().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(read_from(Format::Junit, &bytes[..], Limits::default()).clean().cases[0].key.name, "é");
    }
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><testsuite><testcase name='\xe9'/></testsuite>";
    assert_eq!(read_from(Format::Junit, &latin[..], Limits::default()).clean().cases[0].key.name, "é");
    let marked = "\u{feff}<testsuite><testcase name='n'/></testsuite>";
    assert_eq!(junit(marked).clean().cases.len(), 1);

    let broken =
        read_from(Format::Junit, &b"<testsuite>\n<testcase name='a\xff\xc3'/></testsuite>"[..], Limits::default());
    assert_eq!((broken.cases[0].key.name.as_str(), broken.codes()), ("a\u{fffd}\u{fffd}", vec![NoteCode::Encoding]));
    assert_eq!((broken.notes[0].line, broken.report.complete), (Some(2), true));
    let unseen = read_from(Format::Junit, &b"<!--\n\xff\n\n-->\n<testsuite/>"[..], Limits::default());
    assert_eq!(
        (unseen.codes(), unseen.notes[0].line),
        (vec![NoteCode::Encoding], Some(2)),
        "inside of what is not read"
    );
    for declared in ["UTF-16", "klingon"] {
        let wrong =
            junit(&format!("<?xml version='1.0' encoding='{declared}'?><testsuite><testcase name='é'/></testsuite>"));
        assert_eq!((wrong.cases[0].key.name.as_str(), wrong.codes()), ("é", vec![NoteCode::Encoding]), "{declared}");
    }
}

#[test]
fn what_is_no_report_is_said() {
    for text in ["", "   ", "<html><testsuite/></html>", "nothing", "<?xml version='1.0'?>"] {
        let got = junit(text);
        assert!(got.codes().contains(&NoteCode::NotAReport) && !got.report.complete, "{text}: {got:?}");
    }
}

#[test]
fn levels_say_how_bad_a_note_is() {
    assert_eq!(NoteCode::Truncated.level(), NoteLevel::Error);
    assert_eq!(NoteCode::CountMismatch.level(), NoteLevel::Warning);
    assert!(!junit("<testsuite tests='2'><testcase name='n'/></testsuite>").report.has_errors());
}
