//! Files that mean harm, or that fell apart: nothing panics, time and memory stay bounded, and something is said.

use std::io::{BufReader, Cursor, Read};

use proptest::collection::vec;
use proptest::prelude::*;

use super::round_trip::write;
use super::*;
use crate::arb::report_case;
use crate::report::limits::{MAX_CASE_TEXT, MAX_MESSAGE, MAX_NAME, MAX_NOTES, MAX_SUITES, MAX_TEXT};

const MIB: u64 = 1 << 20;
const FORMATS: [Format; 3] = [Format::Junit, Format::Ctrf, Format::Tap];

/// Reads `head`, then `size` bytes of `piece` again and again, then `tail`, without ever having them all.
fn endless(head: &str, piece: &str, size: u64, tail: &str) -> impl BufRead {
    struct Again(Vec<u8>, usize);
    impl Read for Again {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            for byte in &mut *into {
                *byte = self.0[self.1];
                self.1 = (self.1 + 1) % self.0.len();
            }
            Ok(into.len())
        }
    }
    let middle = Again(piece.as_bytes().to_vec(), 0).take(size);
    let (head, tail) = (Cursor::new(head.as_bytes().to_vec()), Cursor::new(tail.as_bytes().to_vec()));
    BufReader::with_capacity(64 << 10, head.chain(middle).chain(tail))
}

/// The most memory that the process ever had. Each test is a process of its own under nextest.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Expects that no case is larger than is promised, and that not everything is said a thousand times.
fn bounded(got: &Got) {
    let size = |text: &Option<crate::report::Excerpt>| text.as_ref().map_or(0, |text| text.text.len());
    for case in &got.cases {
        let mut texts = size(&case.stdout) + size(&case.stderr);
        for attempt in &case.attempts {
            texts += size(&attempt.stdout) + size(&attempt.stderr);
            for finding in &attempt.findings {
                assert!(finding.message.as_ref().is_none_or(|message| message.len() <= MAX_MESSAGE));
                assert!(size(&finding.text) <= MAX_CASE_TEXT);
                texts += size(&finding.text);
            }
        }
        assert!(texts <= 2 * MAX_CASE_TEXT, "{texts}");
        assert!(case.key.name.len() <= MAX_NAME && !case.attempts.is_empty());
    }
    for code in NoteCode::ALL {
        assert!(got.codes().iter().filter(|it| *it == code).count() as u64 <= MAX_NOTES);
    }
    let all = got.report.notes.values().sum::<u64>();
    assert!(got.notes.len() as u64 <= all);
}

#[test]
fn entities_are_never_expanded() {
    let bomb = "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol2 '&lol;&lol;&lol;&lol;'><!ENTITY x SYSTEM 'file:///etc/passwd'>]>\
                <testsuite><testcase name='n'><failure message='&lol2;'>&lol2;&x;</failure></testcase></testsuite>";
    let got = junit(bomb);
    assert_eq!(got.cases[0].findings()[0].text, Some("&lol2;&x;".into()));
    assert_eq!(got.report.notes.keys().copied().collect::<Vec<_>>(), [NoteCode::Entity, NoteCode::Doctype]);
}

#[test]
fn depth_is_bounded() {
    let deep = junit(&"<testsuite>".repeat(100_000));
    assert!(deep.codes().contains(&NoteCode::TooDeep) && !deep.report.complete);
    let other = junit(&format!("<testsuite><testcase name='n'>{}", "<x>".repeat(100_000)));
    assert_eq!(other.outcomes(), [("n", CaseStatus::Error)]);
    let json = ctrf(&format!(
        r#"{{"results":{{"tests":[{{"name":"n","status":"passed","duration":1,"extra":{}"#,
        "[".repeat(100_000)
    ));
    assert!(json.codes().contains(&NoteCode::TooDeep), "{:?}", json.notes);
    assert_eq!(json.outcomes(), [("n", CaseStatus::Error)]);
    let lines: String = (0..200).map(|depth| format!("{}ok 1 - x\n", " ".repeat(4 * depth))).collect();
    let deep = tap(&lines);
    assert!(deep.codes().contains(&NoteCode::TooDeep) && deep.cases.len() <= 64);
}

#[test]
fn a_text_as_long_as_the_file_is_cut() {
    for (head, piece, tail) in [
        ("<testsuite><testcase name='n'><failure>", "x", "</failure></testcase></testsuite>"),
        ("<testsuite><testcase name='n'><failure><![CDATA[", "x\n", "]]></failure></testcase></testsuite>"),
    ] {
        let got = read_from(Format::Junit, endless(head, piece, 63 * MIB, tail), Limits::default());
        let text = got.cases[0].findings()[0].text.clone().unwrap();
        assert!(
            text.text.len() <= MAX_TEXT && text.text.len() as u64 + text.cut_bytes >= 63 * MIB - 2,
            "{}",
            text.cut_bytes
        );
        assert_eq!((got.codes(), got.report.complete), (vec![NoteCode::Cut], true));
        bounded(&got);
    }
    assert!(peak_mib() < 64, "{} MiB", peak_mib());
}

#[test]
fn an_attribute_a_tag_and_a_comment_as_long_as_the_file_are_cut() {
    for (head, piece, tail) in [
        ("<testsuite><testcase name='n'><failure message='", "x", "'/></testcase></testsuite>"),
        ("<testsuite><testcase name='n' ", "a='b' ", "><failure/></testcase></testsuite>"),
        ("<testsuite><testcase name='n'><failure/><!--", "-x", "--></testcase></testsuite>"),
        ("<testsuite><testcase name='n'><failure/></testcase><testcase name='&", "a", ";'/></testsuite>"),
    ] {
        let got = read_from(Format::Junit, endless(head, piece, 20 * MIB, tail), Limits::default());
        assert_eq!(got.cases[0].status, CaseStatus::Fail, "{head}");
        assert!(got.report.complete, "{head}: {:?}", got.notes);
        bounded(&got);
    }
    assert!(peak_mib() < 64, "{} MiB", peak_mib());
}

#[test]
fn strings_and_lines_as_long_as_the_file_are_cut() {
    let head = r#"{"results":{"tests":[{"name":"n","status":"failed","duration":1,"trace":""#;
    let got = read_from(Format::Ctrf, endless(head, "x", 20 * MIB, r#""}]}}"#), Limits::default());
    let text = got.cases[0].findings()[0].text.clone().unwrap();
    assert_eq!(text.text.len() as u64 + text.cut_bytes, 20 * MIB);
    bounded(&got);
    let got = read_from(Format::Tap, endless("1..1\nnot ok 1 - ", "x", 20 * MIB, "\n"), Limits::default());
    assert_eq!(got.cases[0].key.name.len(), MAX_NAME, "cut, with its hash");
    let got = read_from(Format::Tap, endless("1..1\nnot ok 1 - a\n", "# comment\n", 5 * MIB, ""), Limits::default());
    bounded(&got);
    assert!(peak_mib() < 64, "{} MiB", peak_mib());
}

#[test]
fn many_small_things_in_one_case_are_counted() {
    for piece in [
        "<failure/>",
        "<rerunFailure/>",
        "<flakyError>x</flakyError>",
        "<system-out>x</system-out>",
        "<property name='a' value='b'/>",
        "<system-out>[[ATTACHMENT|a]]</system-out>",
    ] {
        let got = read_from(
            Format::Junit,
            endless(
                "<testsuite><testcase name='n'>",
                piece,
                100_000 / piece.len() as u64 * piece.len() as u64,
                "</testcase></testsuite>",
            ),
            Limits { case_text: 1000, ..Limits::default() },
        );
        assert_eq!(got.cases.len(), 1, "{piece}");
        assert!(
            got.cases[0].attempts.len() <= 100
                && got.cases[0].findings().len() <= 50
                && got.cases[0].properties.len() <= 200
        );
        bounded(&got);
        assert!(
            got.report.notes.contains_key(&NoteCode::TooMany) || got.report.notes.contains_key(&NoteCode::Cut),
            "{piece} {:?}",
            got.notes
        );
    }
    let inner = r#"{"attempt":1,"status":"failed","stdout":["x"]},"#.repeat(500);
    let tests = format!(
        r#"{{"name":"n","status":"passed","duration":1,"retryAttempts":[{}],"tags":[{}]}}"#,
        inner.trim_end_matches(','),
        ["1"; 500].join(",")
    );
    let got = ctrf(&format!(r#"{{"results":{{"tests":[{tests}]}}}}"#));
    assert!(got.cases[0].attempts.len() <= 101 && got.cases[0].properties.len() <= 200);
    assert!(got.report.notes.contains_key(&NoteCode::TooMany));
}

#[test]
fn attempts_with_long_texts_share_the_room_of_their_case() {
    let text = "x".repeat(MAX_TEXT + 1000);
    let retry = format!("<rerunFailure message='m'><stackTrace>{text}</stackTrace></rerunFailure>");
    let again = format!("<testcase name='n' classname='c'><failure>{text}</failure></testcase>");
    for (head, piece, count, tail) in [
        ("<testsuite><testcase name='n' classname='c'><failure/>", retry, 110, "</testcase></testsuite>"),
        ("<testsuite>", again, 60, "<testcase name='n' classname='c'/></testsuite>"),
    ] {
        let size = piece.len() as u64 * count;
        let got = read_from(Format::Junit, endless(head, &piece, size, tail), Limits::default());
        bounded(&got);
        let attempts: usize = got.cases.iter().map(|case| case.attempts.len()).sum();
        assert!(attempts >= 50, "{attempts} attempts of {} cases", got.cases.len());
        assert!(got.report.notes.contains_key(&NoteCode::Cut), "{:?}", got.codes());
        assert!(peak_mib() < 96, "{} MiB", peak_mib());
    }
}

#[test]
fn files_that_are_too_large_are_read_up_to_the_limit() {
    let limits = Limits { file_bytes: 10_000, ..Limits::default() };
    for (format, head, piece) in [
        (Format::Junit, "<testsuite>", "<testcase name='n' classname='c'/>"),
        (
            Format::Ctrf,
            r#"{"results":{"tests":[{"name":"n","status":"passed","duration":1}"#,
            r#",{"name":"n","status":"passed","duration":1}"#,
        ),
        (Format::Tap, "1..1000\n", "ok - n\n"),
    ] {
        let got = read_from(format, endless(head, piece, 20_000, ""), limits);
        assert!(got.cases.len() > 100 && !got.report.complete, "{format:?}");
        let errors = got
            .report
            .notes
            .keys()
            .filter(|code| code.level() == crate::report::NoteLevel::Error)
            .copied()
            .collect::<Vec<_>>();
        assert!(errors.contains(&NoteCode::TooLarge), "{errors:?}");
        assert!(!errors.contains(&NoteCode::Truncated) && !errors.contains(&NoteCode::Malformed), "{errors:?}");
    }
    let exact = junit("<testsuite><testcase name='n'/></testsuite>");
    let limits = Limits { file_bytes: 43, ..Limits::default() };
    let same = read_from(Format::Junit, &b"<testsuite><testcase name='n'/></testsuite>"[..], limits);
    assert_eq!(same.clean().cases, exact.cases, "as large as the limit is not too large");
}

#[test]
fn cases_past_the_limit_are_counted() {
    let limits = Limits { cases: 10, ..Limits::default() };
    let numbered: String = (0..25).map(|n| format!("<testcase name='{n}'/>")).collect();
    let got = read_from(Format::Junit, format!("<testsuite tests='25'>{numbered}</testsuite>").as_bytes(), limits);
    assert_eq!((got.cases.len(), got.report.counted.cases, got.report.cases_over_limit), (10, 10, 15));
    assert_eq!((got.codes(), got.report.has_errors()), (vec![NoteCode::TooManyCases], true));
}

#[test]
fn suites_past_the_limit_are_counted() {
    let got = read_from(
        Format::Junit,
        endless(
            "<testsuites>",
            "<testsuite/>",
            12 * 25_000,
            "<testsuite><testcase name='n'/></testsuite></testsuites>",
        ),
        Limits::default(),
    );
    assert_eq!((got.suites.len() as u64, got.report.suites, got.cases.len()), (MAX_SUITES, 25_001, 1));
    assert_eq!((got.codes(), got.report.complete), (vec![NoteCode::TooMany], true));
}

#[test]
fn as_many_cases_as_are_allowed_need_little_memory() {
    let mut count = 0;
    struct Numbered(u64, Vec<u8>, usize);
    impl Read for Numbered {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.2 == self.1.len() {
                self.1 = match self.0 {
                    0 => b"<testsuites><testsuite name='s'>".to_vec(),
                    n @ 1..=200_000 => {
                        format!("<testcase classname='some.class.of.tests' name='test_number_{n}' time='0.001'/>\n")
                            .into_bytes()
                    }
                    200_001 => b"</testsuite></testsuites>".to_vec(),
                    _ => return Ok(0),
                };
                (self.0, self.2) = (self.0 + 1, 0);
            }
            let length = into.len().min(self.1.len() - self.2);
            into[..length].copy_from_slice(&self.1[self.2..self.2 + length]);
            self.2 += length;
            Ok(length)
        }
    }
    let input = BufReader::new(Numbered(0, Vec::new(), 0));
    let report = read(Format::Junit, input, &ReadOptions::new(TEST), &mut |event| {
        count += u64::from(matches!(event, Event::Case(_)));
        ControlFlow::Continue(())
    });
    let report = report.unwrap();
    assert_eq!((count, report.complete, report.notes.is_empty()), (200_000, true, true));
    assert!(peak_mib() < 64, "{} MiB", peak_mib());
}

#[test]
fn a_file_that_breaks_off_anywhere_gives_the_cases_until_there() {
    let text = "<?xml version='1.0'?>\n<testsuites><testsuite name='s'><testcase name='1'/><testcase name='2'><failure message='m'>x &amp; y</failure></testcase>\
                <testcase name='3'/></testsuite></testsuites>";
    for end in 0..text.len() {
        let got = junit(&text[..end]);
        assert!(!got.report.complete && got.report.has_errors(), "{end}: {got:?}");
        assert!(got.cases.iter().all(|case| case.key.name != "2" || case.status.is_failure()), "{end}: {got:?}");
        let whole = text[..end].matches("/>").count() + text[..end].matches("</testcase>").count();
        assert!(got.cases.len() >= whole, "{end}");
    }
    let open = junit(&text[..text.find(" &amp;").unwrap()]);
    assert_eq!(open.outcomes(), [("1", CaseStatus::Pass), ("2", CaseStatus::Fail)]);
    assert_eq!(open.codes(), [NoteCode::Truncated, NoteCode::Unfinished]);
    assert_eq!(open.case("2").findings()[0].message.as_deref(), Some("m"));
}

#[test]
fn markup_that_is_none_does_not_swallow_the_file() {
    let got = read_from(
        Format::Junit,
        endless("<testsuite><testcase name='n'/><!-x", "<a>", 20 * MIB, ""),
        Limits::default(),
    );
    assert_eq!((got.cases.len(), got.report.complete), (1, false));
    assert!(got.codes().contains(&NoteCode::Malformed), "{:?}", got.notes);
    assert!(peak_mib() < 64, "{} MiB", peak_mib());
}

/// Damages bytes: takes some out, puts some in, copies some.
fn damage(mut bytes: Vec<u8>, wounds: &[(usize, u8, u8)]) -> Vec<u8> {
    for &(place, kind, byte) in wounds {
        if bytes.is_empty() {
            break;
        }
        let at = place % bytes.len();
        let end = (at + usize::from(byte % 16)).min(bytes.len());
        match kind % 5 {
            0 => bytes[at] = byte,
            1 => drop(bytes.drain(at..end)),
            2 => bytes.insert(at, byte),
            3 => {
                let copied = bytes[at..end].to_vec();
                let to = (place / 7) % (bytes.len() + 1);
                drop(bytes.splice(to..to, copied));
            }
            _ => bytes.truncate(at.max(bytes.len() / 2)),
        }
    }
    bytes
}

proptest! {
    #[test]
    fn any_bytes_are_borne_by_every_reader(bytes in vec(any::<u8>(), 0..400)) {
        for format in FORMATS {
            bounded(&read_from(format, &bytes[..], Limits::default()));
        }
    }

    #[test]
    fn pieces_of_syntax_are_borne_by_the_reader_of_junit(
        pieces in vec(prop_oneof![
            Just("<testsuites>"), Just("</testsuites>"), Just("<testsuite name='a'>"), Just("</testsuite>"), Just("<testcase name='n'>"),
            Just("<testcase/>"), Just("</testcase>"), Just("<failure>"), Just("</failure>"), Just("<rerunError>"), Just("<system-out>"),
            Just("</system-out>"), Just("<properties>"), Just("<property name='a'>"), Just("<![CDATA["), Just("]]>"), Just("<!--"), Just("-->"),
            Just("&"), Just("&#"), Just("&#27;[1m"), Just(";"), Just("\""), Just("'"), Just("<"), Just(">"), Just("="), Just(" x"), Just("é"),
        ], 0..40),
    ) {
        bounded(&junit(&pieces.concat()));
        bounded(&junit(&format!("<testsuite><testcase name='n'>{}", pieces.concat())));
    }

    #[test]
    fn pieces_of_syntax_are_borne_by_the_reader_of_ctrf(
        pieces in vec(prop_oneof![
            Just("{"), Just("}"), Just("["), Just("]"), Just(","), Just(":"), Just("\""), Just("\\ud83d"), Just("\\"), Just("1e999"), Just("-1"),
            Just("null"), Just("true"), Just("\"name\":"), Just("\"status\":\"failed\""), Just("\"duration\":"), Just("\"results\":{"),
            Just("\"tests\":["), Just("\"retryAttempts\":["), Just("\"suite\":"), Just("\"stdout\":["), Just("\"attachments\":[{"),
            Just("\"extra\":{\"tstr\":"), Just("\"x\""), Just("é"),
        ], 0..40),
    ) {
        bounded(&ctrf(&pieces.concat()));
        bounded(&ctrf(&format!("{{\"results\":{{\"tests\":[{{\"name\":\"n\",{}", pieces.concat())));
        bounded(&ctrf(&format!("{{\"results\":{{\"tests\":[{{\"name\":\"n\",{}}}]}}}}", pieces.join(","))));
    }

    #[test]
    fn pieces_of_syntax_are_borne_by_the_reader_of_tap(
        pieces in vec(prop_oneof![
            Just("ok"), Just("not ok"), Just(" 1"), Just(" - x"), Just("\n"), Just("    "), Just("  ---\n"), Just("  ...\n"), Just("# Subtest: a"),
            Just(" # SKIP"), Just(" # TODO"), Just("1..2"), Just(" {"), Just("}"), Just("Bail out!"), Just("TAP version 13"), Just("tstr: '{}'"),
            Just("\\"), Just("#"), Just("é"), Just("\r"), Just("a: |2-\n"),
        ], 0..40),
    ) {
        bounded(&tap(&pieces.concat()));
    }

    #[test]
    fn damaged_reports_are_borne(
        cases in vec(report_case(), 1..4), wounds in vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..6),
    ) {
        for format in FORMATS {
            let bytes = damage(write(format, &cases), &wounds);
            let got = read_from(format, &bytes[..], Limits { cases: 50, text: 500, case_text: 1000, ..Limits::default() });
            bounded(&got);
        }
    }

    #[test]
    fn how_the_bytes_come_does_not_matter(cases in vec(report_case(), 1..3), wounds in vec((any::<usize>(), any::<u8>(), any::<u8>()), 0..3), piece in 1usize..50) {
        for format in FORMATS {
            let bytes = damage(write(format, &cases), &wounds);
            let whole = read_from(format, &bytes[..], Limits::default());
            let pieces = read_from(format, BufReader::with_capacity(piece, &bytes[..]), Limits::default());
            prop_assert_eq!((whole.cases, whole.notes), (pieces.cases, pieces.notes));
        }
    }
}

#[test]
fn what_is_said_does_not_hang_on_how_far_was_looked_ahead() {
    let deep = "[".repeat(100);
    for (format, text) in [
        (Format::Junit, format!("<testsuite><testcase name='n'>{}<!DOCTYPE a>", "<x>".repeat(100))),
        (Format::Junit, format!("<testsuite><testcase name='n'/><!-x{}<!DOCTYPE a>", " ".repeat(100))),
        (Format::Ctrf, format!(r#"{{"results":{{"tests":[{{"name" "n"}}], "x": {deep}"#)),
        (Format::Ctrf, format!(r#"{{"results":{{"tests":[{{"name":"n"}}], "x": {deep}"#)),
        (Format::Tap, format!("1..1\nok\nBail out!\n{}", "# x\n".repeat(100))),
    ] {
        let limits = Limits { file_bytes: 300, ..Limits::default() };
        let whole = read_from(format, text.as_bytes(), limits);
        for piece in [1, 7, 50] {
            let pieces = read_from(format, BufReader::with_capacity(piece, text.as_bytes()), limits);
            assert_eq!((&whole.notes, &whole.report), (&pieces.notes, &pieces.report), "{text}");
        }
    }
}
