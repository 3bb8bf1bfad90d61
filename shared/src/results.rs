//! Results by cases: which reports were read of an attempt, what they say, and what that makes of its outcome.
//!
//! The container's exit code is the first word about an attempt, its reports the last: a failed case fails it although the
//! container exited 0, and only when every failed case is muted a failure is excused ([`quarantine`](crate::analysis::quarantine)).

mod upload;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::analysis::quarantine::{self, Entry, Ruling};
use crate::artifacts::ReportMode;
use crate::ids::RunId;
use crate::report::{Case, CaseId, CaseKey, CaseStatus, Counts, Declared, Format, Note, NoteCode, NoteLevel, Report};
use crate::run::{Outcome, Reason, RunResult};

pub use upload::{MAX_REVISION, MAX_UPLOAD, Upload};

/// The most reports that are read of an attempt.
pub const MAX_REPORTS: usize = 500;
/// The most notes that are kept of a report; the rest is counted.
pub const MAX_NOTES_KEPT: usize = 100;
/// What a container finds the cases in that failed before, when it is to run them alone: JSON, an array of [`NamedCase`].
pub const FAILED_CASES: &str = "TSTR_FAILED_CASES";
/// What a container finds the cases in that it is not to run: JSON, an array of [`NamedCase`].
pub const SKIP_CASES: &str = "TSTR_SKIP_CASES";
/// The most bytes of either.
pub const MAX_NAMED_CASES: usize = 64 * 1024;
/// How the message of a container begins that exited 0, and failed by its cases.
pub const EXITED_WELL: &str = "the container exited 0, but ";
/// The most characters of a case's message in lists.
pub const MAX_FIRST_WORDS: usize = 500;

/// How many cases there are of each kind. Every case is in exactly one of the first four behind `cases`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct CaseCounts {
    /// All cases.
    pub cases: u64,
    /// Cases that passed.
    pub passed: u64,
    /// Cases that failed.
    pub failed: u64,
    /// Cases with errors.
    pub errors: u64,
    /// Cases that were skipped or are disabled.
    pub skipped: u64,
    /// Cases that passed after an attempt that failed; they are among those that passed.
    pub flaky: u64,
    /// Failed cases and cases with errors that are muted; they are counted above as well.
    pub muted: u64,
}

impl CaseCounts {
    /// Counts so many cases of a kind.
    pub fn add(&mut self, status: CaseStatus, flaky: bool, muted: bool, count: u64) {
        self.cases += count;
        *match status {
            CaseStatus::Pass => &mut self.passed,
            CaseStatus::Fail => &mut self.failed,
            CaseStatus::Error => &mut self.errors,
            CaseStatus::Skip => &mut self.skipped,
        } += count;
        self.flaky += if flaky { count } else { 0 };
        self.muted += if muted && status.is_failure() { count } else { 0 };
    }
}

/// A report that was read of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReadReport {
    /// Its path among the artifacts, or the name that it was uploaded under.
    pub path: String,
    /// Its format.
    pub format: Format,
    /// The name that it gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tool that wrote it, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<String>,
    /// How long all of it took, in milliseconds, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The counts that it declares.
    pub declared: Declared,
    /// The cases that were read.
    pub counted: Counts,
    /// Cases beyond the limit: counted, and not kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cases_over_limit: u64,
    /// It was read to its end, and nothing is wrong with it as a whole.
    pub valid: bool,
    /// What was wrong with it or is not kept of it, the first of each kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// How many notes there are of each kind, those that are not listed included.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub note_counts: BTreeMap<NoteCode, u64>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl ReadReport {
    /// Puts together what was read of the report at a path.
    pub fn new(path: String, report: Report, notes: Vec<Note>) -> Self {
        Self {
            path,
            format: report.format,
            valid: !report.has_errors(),
            name: report.name,
            producer: report.producer,
            duration_ms: report.duration_ms,
            declared: report.declared,
            counted: report.counted,
            cases_over_limit: report.cases_over_limit,
            notes,
            note_counts: report.notes,
        }
    }

    /// Returns how many errors it tells of that are no case's: a suite that failed, a run that was given up, a plan that
    /// was not kept.
    pub fn suite_errors(&self) -> u64 {
        let codes = [NoteCode::SuiteFailed, NoteCode::BailOut, NoteCode::PlanMismatch];
        codes.iter().filter_map(|code| self.note_counts.get(code)).sum()
    }

    /// Tells whether all of it was read, whatever it says.
    pub fn is_whole(&self) -> bool {
        let own = [NoteCode::SuiteFailed, NoteCode::BailOut, NoteCode::PlanMismatch];
        let cut = |code: &NoteCode| code.level() == NoteLevel::Error && !own.contains(code);
        self.cases_over_limit == 0 && !self.note_counts.keys().any(cut)
    }
}

/// What the reports of an attempt say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Results {
    /// The attempt.
    pub attempt: u16,
    /// The reports, in the order of their paths.
    pub reports: Vec<ReadReport>,
    /// How many cases they have together; absent when no report was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cases: Option<CaseCounts>,
    /// Why the failure of the attempt is excused by its muted cases, or is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruling: Option<Ruling>,
    /// Files that could be reports and were not read, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<UnreadReport>,
    /// Only some cases were asked for: those that had failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// A file that could be a report and was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UnreadReport {
    /// Its path among the artifacts.
    pub path: String,
    /// Why it was not read.
    pub why: String,
}

/// A case of an attempt, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaseResult {
    /// The case.
    pub case_id: CaseId,
    /// The parts of its identity.
    pub key: CaseKey,
    /// The report that it stands in, from 0, and its place there, from 0.
    pub report: u16,
    /// Its place in the report, from 0.
    pub place: u32,
    /// 1, or 2, 3, … for cases that share their identity without being retries of each other.
    pub ordinal: u32,
    /// How it ended.
    pub status: CaseStatus,
    /// It passed after an attempt that failed.
    pub flaky: bool,
    /// It is muted: its failure did not count.
    pub muted: bool,
    /// How many attempts before the last one failed.
    pub failed_attempts: u16,
    /// How long it took in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The first words of why it failed or was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A case as it is named to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedCase {
    /// The case.
    pub id: CaseId,
    /// The parts of its identity: `suite`, `classname`, `name`, `file`, `test_id`.
    #[serde(flatten)]
    pub key: CaseKey,
}

/// Names cases to a container: all of them as JSON, or none when they take more than [`MAX_NAMED_CASES`] bytes.
pub fn name_all(cases: &[NamedCase]) -> Option<String> {
    let (text, named) = name_first(cases);
    (named == cases.len()).then_some(text)
}

/// Names cases to a container, the first that take at most [`MAX_NAMED_CASES`] bytes; and says how many these are.
pub fn name_first(cases: &[NamedCase]) -> (String, usize) {
    let mut text = String::from("[");
    for (n, case) in cases.iter().enumerate() {
        // A case is made of texts, which always serialise.
        let one = serde_json::to_string(case).unwrap_or_default();
        if text.len() + one.len() + 2 > MAX_NAMED_CASES {
            text.push(']');
            return (text, n);
        }
        if n > 0 {
            text.push(',');
        }
        text.push_str(&one);
    }
    text.push(']');
    (text, cases.len())
}

/// Which cases of an attempt are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaseFilter {
    /// The attempt; the latest unless said.
    pub attempt: Option<u16>,
    /// Only cases that ended so.
    pub statuses: Vec<CaseStatus>,
    /// Only cases whose name, classname, file or suite contains this text, whatever its case.
    pub text: Option<String>,
    /// Only flaky ones, or only others.
    pub flaky: Option<bool>,
}

/// A case of an attempt with all that its report says of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaseDetail {
    /// The run.
    pub run_id: RunId,
    /// The attempt.
    pub attempt: u16,
    /// The report's path.
    pub report: String,
    /// It is muted: its failure did not count.
    pub muted: bool,
    /// The case.
    pub case: Case,
}

/// What is known of the cases of an attempt when its outcome is ruled on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// The reports that were read.
    pub reports: Vec<ReadReport>,
    /// Files that were not.
    pub unread: Vec<UnreadReport>,
    /// The cases that failed, each once.
    pub failed: Vec<CaseId>,
    /// How many cases there are.
    pub counts: CaseCounts,
}

/// What the reports make of an outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruled {
    /// The outcome that counts.
    pub outcome: Outcome,
    /// Why its failure is excused or not; absent without a report.
    pub ruling: Option<Ruling>,
}

/// Rules on an outcome by what the reports say.
///
/// Only a container that ended by itself is ruled on: an error, a timeout or a cancellation stays what it is. Where a
/// report is required and there is none, or one that cannot be read as a whole, the result is an error of the reason
/// `report_invalid`: nobody knows what was tested.
pub fn rule(outcome: Outcome, mode: ReportMode, told: &Told, list: &[Entry<CaseId>], now: DateTime<Utc>) -> Ruled {
    if !matches!(outcome.result, RunResult::Pass | RunResult::Fail) {
        return Ruled { outcome, ruling: (!told.reports.is_empty()).then_some(Ruling::NotByCases) };
    }
    if mode == ReportMode::Required
        && let Some(fault) = told.fault()
    {
        let invalid =
            Outcome { result: RunResult::Error, reason: Some(Reason::ReportInvalid), message: Some(fault), ..outcome };
        return Ruled { outcome: invalid, ruling: None };
    }
    if told.reports.is_empty() {
        return Ruled { outcome, ruling: None };
    }
    let suite_errors: u64 = told.reports.iter().map(ReadReport::suite_errors).sum();
    let whole = told.unread.is_empty() && told.reports.iter().all(ReadReport::is_whole);
    let exited_well = outcome.result == RunResult::Pass;
    let by_cases = !told.failed.is_empty() || suite_errors > 0;
    let result = if exited_well && by_cases { RunResult::Fail } else { outcome.result };
    let report = quarantine::Report::Read {
        failed: &told.failed,
        suite_errors: u32::try_from(suite_errors).unwrap_or(u32::MAX),
        whole,
    };
    let judged = quarantine::judge(result, outcome.exit_code, &report, list, now);
    let said = match (judged.ruling, exited_well && by_cases) {
        (Ruling::Excused, _) => Some(format!("{} failed, all of them muted", count(judged.muted.len() as u64, "case"))),
        (_, true) => Some(told.complaint(suite_errors)),
        (_, false) => None,
    };
    let outcome = Outcome { result: judged.result, message: said.or(outcome.message), ..outcome };
    Ruled { outcome, ruling: Some(judged.ruling) }
}

impl Told {
    /// Says what is wrong with the reports of an attempt that must have one.
    fn fault(&self) -> Option<String> {
        if let Some(unread) = self.unread.first() {
            return Some(format!("the report {} was not read: {}", unread.path, unread.why));
        }
        if self.reports.is_empty() {
            return Some("a report is required (artifacts.report), and none was found among the artifacts".into());
        }
        let bad = self.reports.iter().find(|report| !report.is_whole())?;
        let first = bad.notes.iter().find(|note| note.code.level() == NoteLevel::Error);
        let why = first.map_or("it has more cases than are kept", |note| note.message.as_str());
        Some(format!("the report {} is not whole: {why}", bad.path))
    }

    /// Says why an attempt has failed whose container exited 0.
    fn complaint(&self, suite_errors: u64) -> String {
        let CaseCounts { cases, failed, errors, .. } = self.counts;
        match (failed + errors, suite_errors) {
            (0, errors) => format!("{EXITED_WELL}its report tells of {}", count(errors, "error")),
            (bad, _) => format!("{EXITED_WELL}{bad} of {} failed", count(cases, "case")),
        }
    }
}

fn count(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests;
