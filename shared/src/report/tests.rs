//! What the readers make of reports, and the writers of cases.

mod ctrf;
mod dialects;
mod hostile;
mod junit;
mod real;
mod round_trip;
mod schema;
mod tap;

use std::io::BufRead;
use std::ops::ControlFlow;

use uuid::Uuid;

use super::limits::{MAX_CASE_TEXT, MAX_PROPERTIES};
use super::{
    Case, CaseAttempt, CaseKey, CaseStatus, Event, Excerpt, Finding, Format, Limits, Note, NoteCode, Property,
    ReadOptions, Repeat, Report, Suite, read,
};
use crate::ids::TestId;

/// The test that every report here belongs to.
const TEST: TestId = TestId(Uuid::from_u128(7));

/// Everything that came out of a report.
#[derive(Debug)]
struct Got {
    cases: Vec<Case>,
    suites: Vec<Suite>,
    notes: Vec<Note>,
    report: Report,
}

fn read_from(format: Format, input: impl BufRead, limits: Limits) -> Got {
    let options = ReadOptions { limits, ..ReadOptions::new(TEST) };
    let (mut cases, mut suites, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let report = read(format, input, &options, &mut |event| {
        match event {
            Event::Case(case) => cases.push(*case),
            Event::Suite(suite) => suites.push(*suite),
            Event::Note(note) => notes.push(note),
        }
        ControlFlow::Continue(())
    });
    Got { cases, suites, notes, report: report.unwrap() }
}

fn junit(text: &str) -> Got {
    read_from(Format::Junit, text.as_bytes(), Limits::default())
}

fn ctrf(text: &str) -> Got {
    read_from(Format::Ctrf, text.as_bytes(), Limits::default())
}

fn tap(text: &str) -> Got {
    read_from(Format::Tap, text.as_bytes(), Limits::default())
}

impl Got {
    fn codes(&self) -> Vec<NoteCode> {
        self.notes.iter().map(|note| note.code).collect()
    }

    fn case(&self, name: &str) -> &Case {
        self.cases.iter().find(|case| case.key.name == name).unwrap_or_else(|| panic!("no case {name}: {self:#?}"))
    }

    /// Name and status of every case.
    fn outcomes(&self) -> Vec<(&str, CaseStatus)> {
        self.cases.iter().map(|case| (case.key.name.as_str(), case.status)).collect()
    }

    /// Expects a report about which there is nothing to say.
    fn clean(self) -> Self {
        assert!(self.notes.is_empty() && self.report.complete, "{:#?} {:#?}", self.notes, self.report);
        self
    }
}

fn statuses(attempts: &[CaseAttempt]) -> Vec<CaseStatus> {
    attempts.iter().map(|attempt| attempt.status).collect()
}

fn suite_of(case: &Case) -> String {
    case.key.suite.join("/")
}

#[test]
fn a_sink_can_stop_a_reader() {
    let case = r#"{"name":"a","status":"passed","duration":1}"#;
    for (format, text) in [
        (Format::Junit, format!("<testsuite>{}</testsuite>", "<testcase name='a'/>".repeat(9))),
        (Format::Ctrf, format!(r#"{{"results":{{"tests":[{}]}}}}"#, [case; 9].join(","))),
        (Format::Tap, "ok\n".repeat(9)),
    ] {
        let mut seen = 0;
        let report = read(format, text.as_bytes(), &ReadOptions::new(TEST), &mut |event| {
            seen += i32::from(matches!(event, Event::Case(_)));
            if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let report = report.unwrap();
        assert_eq!((seen, report.complete), (3, false), "{format:?}");
    }
}

#[test]
fn a_failing_input_is_the_only_failure() {
    struct Fails;
    impl std::io::Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("disk"))
        }
    }
    for format in [Format::Junit, Format::Ctrf, Format::Tap] {
        let input = std::io::BufReader::new(std::io::Read::chain(&b"<testsuite>"[..], Fails));
        let outcome = read(format, input, &ReadOptions::new(TEST), &mut |_| ControlFlow::Continue(()));
        assert_eq!(outcome.unwrap_err().to_string(), "disk", "{format:?}");
    }
}

#[test]
fn json_lines_are_not_read_as_a_report() {
    let got = read_from(Format::JsonLines, &b"{}"[..], Limits::default());
    assert_eq!((got.codes(), got.report.complete), (vec![NoteCode::NotAReport], false));
}

#[test]
fn a_case_with_all_its_retries_is_not_larger_than_a_case_may_be() {
    let long = |text: &str| Some(Excerpt::from(text.repeat(250 << 10).as_str()));
    let mut attempt = CaseAttempt { stdout: long("o"), stderr: long("e"), ..CaseAttempt::new(CaseStatus::Fail) };
    let words = "w".repeat(16 << 10);
    attempt.findings =
        vec![Finding { text: long("t"), kind: Some(words.clone()), ..Finding::new(CaseStatus::Fail, words) }; 2];
    let property = Property { name: "p".into(), value: "v".into() };
    let key = CaseKey { name: "n".into(), ..CaseKey::default() };
    let one = Case { attempts: vec![attempt], properties: vec![property; 150], ..Case::new(key, CaseStatus::Fail) };
    let mut case = one.clone();
    for _ in 0..60 {
        case.absorb(one.clone());
    }
    assert_eq!((case.attempts.len(), case.properties.len()), (61, MAX_PROPERTIES));
    let findings = || case.attempts.iter().flat_map(|attempt| &attempt.findings);
    let excerpts: Vec<&Excerpt> = findings()
        .map(|finding| &finding.text)
        .chain(case.attempts.iter().flat_map(|attempt| [&attempt.stdout, &attempt.stderr]))
        .flatten()
        .collect();
    let kept: u64 = excerpts.iter().map(|excerpt| excerpt.text.len() as u64).sum();
    let cut: u64 = excerpts.iter().map(|excerpt| excerpt.cut_bytes).sum();
    assert_eq!((kept, kept + cut), (MAX_CASE_TEXT as u64, 61 * 4 * (250 << 10)));
    let words: usize =
        findings().flat_map(|finding| [&finding.message, &finding.kind]).flatten().map(String::len).sum();
    assert_eq!(words, MAX_CASE_TEXT);
}

#[test]
fn retries_that_come_as_cases_are_absorbed() {
    let mut got = junit("<testsuite name='s'><testcase classname='c' name='n' time='1'><failure message='no'/></testcase><testcase classname='c' name='n' time='2'/></testsuite>").clean();
    let retry = got.cases.pop().unwrap();
    let mut case = got.cases.pop().unwrap();
    assert_eq!((case.repeat, retry.repeat, retry.ordinal, retry.flaky), (Repeat::First, Repeat::Retry, 1, true));
    case.absorb(retry);
    assert_eq!((case.status, case.flaky, case.duration_ms), (CaseStatus::Pass, true, Some(2000)));
    assert_eq!(statuses(&case.attempts), [CaseStatus::Fail, CaseStatus::Pass]);
    assert_eq!(got.report.counted.retries, 1);
}
