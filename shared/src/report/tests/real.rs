//! What real frameworks wrote, against what they printed: the reports of tests/data/reports, which scripts/reports
//! writes, hold the cases that the framework told people of, and come through every format of ours.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use serde::Deserialize;

use super::round_trip::write;
use super::*;
use crate::report::{CaseId, DETECT_BYTES, ReportKind, detect, sniff};

/// What a framework printed, as tests/reports/counts.py has read it.
#[derive(Deserialize)]
struct Expected {
    version: String,
    reports: Vec<Told>,
}

/// What was printed of the run that wrote a report, or several that belong together.
#[derive(Deserialize)]
struct Told {
    files: Vec<String>,
    format: Format,
    /// By the words of [`told_of`].
    counts: BTreeMap<String, u64>,
    /// Name and status of every case, if they were printed; `*` is a name that was not.
    cases: Option<Vec<(String, CaseStatus)>>,
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/reports"))
}

/// Every stored report with the name of its tool.
fn stored() -> Vec<(String, Expected)> {
    let mut tools = Vec::new();
    for entry in std::fs::read_dir(root()).expect("tests/data/reports can be read") {
        let path = entry.unwrap().path();
        let text =
            std::fs::read_to_string(path.join("expected.json")).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let expected = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        tools.push((path.file_name().unwrap().to_string_lossy().into_owned(), expected));
    }
    tools.sort_by(|(a, _), (b, _)| a.cmp(b));
    tools
}

fn bytes_of(tool: &str, file: &str) -> Vec<u8> {
    std::fs::read(root().join(tool).join(file)).unwrap()
}

/// The cases with their retries taken over, as they are stored: those that are told apart keep an ordinal of their own.
fn absorbed(cases: Vec<Case>) -> Vec<Case> {
    let mut all: Vec<Case> = Vec::new();
    let mut places: HashMap<(CaseId, u32), usize> = HashMap::new();
    for case in cases {
        match places.get(&(case.id, case.ordinal)) {
            Some(&place) => {
                assert_eq!(case.repeat, Repeat::Retry, "{case:#?}");
                all[place].absorb(case);
            }
            None => {
                places.insert((case.id, case.ordinal), all.len());
                all.push(case);
            }
        }
    }
    all
}

/// The count that a word of expected.json stands for.
fn told_of(word: &str, cases: &[Case], reports: &[Report]) -> u64 {
    let of = |is: &dyn Fn(&Case) -> bool| cases.iter().filter(|case| is(case)).count() as u64;
    let read = |count: &dyn Fn(&Report) -> u64| reports.iter().map(count).sum();
    let todo = || read(&|report| report.notes.get(&NoteCode::Todo).copied().unwrap_or(0));
    match word {
        "cases" => cases.len() as u64,
        "passed" => of(&|case| case.status == CaseStatus::Pass),
        "failed" => of(&|case| case.status.is_failure()),
        "errors" => of(&|case| case.status == CaseStatus::Error),
        "skipped" => of(&|case| case.status == CaseStatus::Skip),
        "disabled" => of(&|case| case.disabled),
        "flaky" => of(&|case| case.flaky),
        // Each try of each case, as a framework counts that writes them as cases.
        "attempts" => read(&|report| report.counted.cases),
        "failed_attempts" => read(&|report| report.counted.failed + report.counted.errors),
        "passed_or_todo" => of(&|case| case.status == CaseStatus::Pass) + todo(),
        other => panic!("there is no count {other}"),
    }
}

/// What is the same in every format.
fn essence(case: &Case) -> impl Ord + std::fmt::Debug + use<> {
    (case.id, case.ordinal, case.status, case.flaky, case.disabled)
}

#[test]
fn real_reports_hold_what_the_framework_printed() {
    let mut wrong = Vec::new();
    let mut files = 0;
    for (tool, expected) in stored() {
        assert!(!expected.version.is_empty(), "{tool}");
        for told in &expected.reports {
            let got: Vec<Got> = told
                .files
                .iter()
                .map(|file| read_from(told.format, &bytes_of(&tool, file)[..], Limits::default()))
                .collect();
            files += got.len();
            let reports: Vec<Report> = got.iter().map(|got| got.report.clone()).collect();
            let cases: Vec<Case> = got.into_iter().flat_map(|got| absorbed(got.cases)).collect();
            for (word, &count) in &told.counts {
                let read = told_of(word, &cases, &reports);
                if read != count {
                    wrong.push(format!("{tool} {:?}: {count} {word} were printed, and {read} are read", told.files));
                }
            }
            let mut missing = Vec::new();
            let mut more: Vec<_> = cases.iter().map(|case| (case.key.name.as_str(), simple(case.status))).collect();
            for (name, status) in told.cases.iter().flatten() {
                let wanted = (name.as_str(), simple(*status));
                match more.iter().position(|it| *it == wanted || (name == "*" && it.1 == wanted.1)) {
                    Some(at) => drop(more.swap_remove(at)),
                    None => missing.push(wanted),
                }
            }
            if told.cases.is_some()
                && !(missing.is_empty() && (more.is_empty() || told.counts.contains_key("disabled")))
            {
                wrong.push(format!(
                    "{tool} {:?}: printed and not read: {missing:?}; read and not printed: {more:?}",
                    told.files
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(files >= 20, "only {files} reports are stored");
}

/// Failures and errors are one: frameworks tell them apart by rules of their own, or not at all.
fn simple(status: CaseStatus) -> CaseStatus {
    if status.is_failure() { CaseStatus::Fail } else { status }
}

#[test]
fn real_reports_are_known_by_name_and_by_their_beginning() {
    for (tool, expected) in stored() {
        for told in &expected.reports {
            for file in &told.files {
                let bytes = bytes_of(&tool, file);
                let head = &bytes[..bytes.len().min(DETECT_BYTES)];
                assert_eq!(sniff(head), Some(told.format), "{tool} {file}");
                let name = file.replace("report.json", "ctrf-report.json");
                assert_eq!(detect(&name, head), Some(ReportKind::Cases(told.format)), "{tool} {file}");
            }
        }
    }
}

#[test]
fn real_reports_come_through_every_format() {
    for (tool, expected) in stored() {
        for (file, format) in expected.reports.iter().flat_map(|told| told.files.iter().map(|file| (file, told.format)))
        {
            let cases = absorbed(read_from(format, &bytes_of(&tool, file)[..], Limits::default()).cases);
            for format in [Format::Junit, Format::Ctrf, Format::Tap, Format::JsonLines] {
                let bytes = write(format, &cases);
                let read = match format {
                    Format::JsonLines => std::str::from_utf8(&bytes)
                        .unwrap()
                        .lines()
                        .map(|line| match serde_json::from_str(line) {
                            Ok(Event::Case(case)) => *case,
                            other => panic!("{tool} {file}: {other:?}"),
                        })
                        .collect(),
                    Format::Junit | Format::Ctrf | Format::Tap => {
                        let got = read_from(format, &bytes[..], Limits::default());
                        assert!(got.report.complete, "{tool} {file} {format:?}: {:#?}", got.notes);
                        got.cases
                    }
                };
                let (mut read, mut had): (Vec<_>, Vec<_>) =
                    (read.iter().map(essence).collect(), cases.iter().map(essence).collect());
                read.sort();
                had.sort();
                assert_eq!(read, had, "{tool} {file} {format:?}");
            }
        }
    }
}
