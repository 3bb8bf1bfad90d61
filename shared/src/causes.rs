//! What speaks for a cause: what changed between the last pass and the first failure, which failures are the same, which
//! label carries them, and since when it takes longer.
//!
//! Pure: rows come in, data and a sentence about it come out. None of it is a verdict.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::analysis::change_point::{self, ChangePoint, change_points};
use crate::analysis::explain_labels::{self, CellCounts, Claim, LabelFinding, LabelReport, LabelValue, explain};
use crate::analysis::fingerprint::{FailureText, Fingerprint, Fingerprinter, MAX_EXAMPLE};
use crate::analysis::flaky::Exclusion;
use crate::analysis::history::Moment;
use crate::analysis::window::Window;
use crate::analysis::{Observed, diff::ValueChange};
use crate::compare::Comparison;
use crate::error::Invalid;
use crate::labels::Labels;
use crate::report::{CaseId, CaseKey};

/// How many days are looked back at most.
pub const MAX_DAYS: u32 = 90;
/// How many days are looked back unless it is said.
pub const DEFAULT_DAYS: u32 = 14;
/// How many failures are grouped at most: the newest.
pub const MOST_FAILURES: u32 = 5000;
/// Of how many failures all that was reported is read: the newest.
pub const MOST_DETAILS: u32 = 500;
/// How many groups are told.
pub const MOST_GROUPS: usize = 200;
/// How many cases of a group are named.
pub const CASES_OF_GROUP: usize = 10;
/// How many runs are counted by their labels: the newest.
pub const MOST_RUNS: u32 = 5000;
/// How many changes a sentence names.
const NAMED: usize = 5;

/// Checks how many days are looked back.
///
/// # Errors
/// It is none of 1 to [`MAX_DAYS`].
pub fn check_days(days: u32) -> Result<(), Invalid> {
    match days {
        1..=MAX_DAYS => Ok(()),
        _ => Err(Invalid::one("/days", format!("{days} is not from 1 to {MAX_DAYS}"))),
    }
}

/// What changed between the last pass and the first failure after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WhatChanged {
    /// The cell of the matrix; empty for a test without one.
    pub cell: Labels,
    /// The run that passed last.
    pub last_pass: Moment,
    /// The first run that failed after it.
    pub first_fail: Moment,
    /// What of the test and of its surroundings changed between them, in a sentence.
    pub sentence: String,
    /// How the two runs differ.
    pub comparison: Comparison,
}

/// Finds, among the recent runs of a cell, the last pass and the first failure after it. Runs on a runner that its control
/// says is broken are passed over.
pub fn turn(window: &Window) -> Option<(Moment, Moment)> {
    let runs = || window.entries().iter().filter(|entry| entry.excluded != Some(Exclusion::ControlFailed));
    let moment = |entry: &crate::analysis::window::Entry| Moment { at: entry.at, run_id: entry.run_id };
    let last_pass = moment(runs().rfind(|entry| entry.observed == Some(Observed::Pass))?);
    let mut fails = runs().filter(|entry| entry.observed == Some(Observed::Fail)).map(moment);
    Some((last_pass, fails.find(|fail| *fail > last_pass)?))
}

/// Says what of a test and of its surroundings changed. What follows from a failure (durations, files, output) is left out.
pub fn changed_sentence(found: &Comparison) -> String {
    let named = |part: &str, changes: &[ValueChange]| -> Vec<String> {
        changes.iter().map(|change| format!("{part}{}", change.pointer).trim_start_matches('/').to_owned()).collect()
    };
    let around = |change: &ValueChange| match change.pointer.as_str() {
        "/image_digest" => "the image digest".to_owned(),
        "/runner_name" => "the runner".to_owned(),
        "/version" => "the version of the runner".to_owned(),
        "/engine" => "the container engine".to_owned(),
        "/platform" => "the platform".to_owned(),
        other => other.trim_start_matches('/').to_owned(),
    };
    let mut parts: Vec<String> = found.surroundings.iter().map(around).collect();
    parts.sort_by_key(|part| part != "the image digest");
    parts.extend(named("", &found.config));
    parts.extend(named("env", &found.env));
    parts.extend(named("labels", &found.labels));
    if parts.is_empty() {
        return "nothing that tstr knows of changed".to_owned();
    }
    if parts.len() > NAMED {
        let more = parts.len() - NAMED;
        parts.truncate(NAMED);
        parts.push(format!("{more} more"));
    }
    format!("{} changed", and(&parts))
}

fn and(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The failures of a test, grouped by what they say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailureGroups {
    /// Failures since then are grouped.
    pub since: DateTime<Utc>,
    /// How many failures were looked at: failed cases, and failed runs without one.
    pub failures: u64,
    /// There are more: the newest 5000 were looked at.
    pub more_failures: bool,
    /// The groups, that which was seen last first, at most 200.
    pub groups: Vec<FailureGroup>,
    /// How many more groups there are.
    pub more_groups: u64,
}

/// Failures that are the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailureGroup {
    /// Their fingerprint: 32 hexadecimal digits.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub fingerprint: Fingerprint,
    /// What the newest of them says.
    pub message: String,
    /// The cases that failed so, at most 10; none when runs without failed cases did.
    pub cases: Vec<FailedCase>,
    /// How many cases failed so.
    pub case_count: u64,
    /// The cells of the matrix in which it was seen.
    pub cells: Vec<Labels>,
    /// How many runs failed so.
    pub runs: u64,
    /// How many failures there are.
    pub occurrences: u64,
    /// The first run of them.
    pub first_seen: Moment,
    /// The last run of them.
    pub last_seen: Moment,
}

/// A case that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailedCase {
    /// The case.
    pub case_id: CaseId,
    /// The parts of its identity.
    pub key: CaseKey,
}

/// A failure, as it is grouped.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The run.
    pub moment: Moment,
    /// Its cell.
    pub cell: Labels,
    /// The case; none where the run failed without one.
    pub case: Option<CaseId>,
    /// The first words of what was said.
    pub message: String,
    /// All that was said, where it was read.
    pub said: Option<Said>,
}

/// All that was said of a failure.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// The type of the error.
    pub kind: String,
    /// The message.
    pub message: String,
    /// The stack trace.
    pub trace: String,
}

/// Failures that are the same, with the ids of the cases that are named.
#[derive(Debug)]
pub struct Grouped {
    /// The group, its cases not filled in.
    pub group: FailureGroup,
    /// The cases that are named.
    pub cases: Vec<CaseId>,
}

/// Groups failures, the newest first given, and returns them in the order in which they are told.
///
/// Each is let go before the next is taken, so that all that was said of them need not be in memory at once.
///
/// A failure of which only the first words are known joins the group of the newest one that says the same and of which all is.
pub fn group(printer: &Fingerprinter, failures: impl IntoIterator<Item = Failure>) -> Vec<Grouped> {
    struct Open {
        grouped: Grouped,
        cases: BTreeSet<CaseId>,
        cells: BTreeMap<String, Labels>,
        runs: BTreeSet<crate::ids::RunId>,
    }
    let mut whole: HashMap<Fingerprint, Fingerprint> = HashMap::new();
    let mut groups: BTreeMap<Fingerprint, Open> = BTreeMap::new();
    for failure in failures {
        let short = printer.print(&FailureText { message: &failure.message, ..FailureText::default() }).fingerprint;
        let fingerprint = match &failure.said {
            Some(said) => {
                let text = FailureText { kind: &said.kind, message: &said.message, trace: &said.trace };
                let long = printer.print(&text).fingerprint;
                whole.entry(short).or_insert(long);
                long
            }
            None => whole.get(&short).copied().unwrap_or(short),
        };
        let told = match &failure.said {
            Some(said) if !said.message.trim().is_empty() => &said.message,
            Some(_) | None => &failure.message,
        };
        let open = groups.entry(fingerprint).or_insert_with(|| {
            let group = FailureGroup {
                fingerprint,
                message: told.chars().take(MAX_EXAMPLE).collect(),
                cases: Vec::new(),
                case_count: 0,
                cells: Vec::new(),
                runs: 0,
                occurrences: 0,
                first_seen: failure.moment,
                last_seen: failure.moment,
            };
            let grouped = Grouped { group, cases: Vec::new() };
            Open { grouped, cases: BTreeSet::new(), cells: BTreeMap::new(), runs: BTreeSet::new() }
        });
        let group = &mut open.grouped.group;
        group.first_seen = group.first_seen.min(failure.moment);
        group.last_seen = group.last_seen.max(failure.moment);
        group.occurrences += 1;
        open.runs.insert(failure.moment.run_id);
        open.cells.entry(failure.cell.text()).or_insert(failure.cell);
        if let Some(case) = failure.case
            && open.cases.insert(case)
            && open.grouped.cases.len() < CASES_OF_GROUP
        {
            open.grouped.cases.push(case);
        }
    }
    let close = |open: Open| {
        let mut grouped = open.grouped;
        grouped.group.case_count = open.cases.len() as u64;
        grouped.group.runs = open.runs.len() as u64;
        grouped.group.cells = open.cells.into_values().collect();
        grouped
    };
    let mut groups: Vec<Grouped> = groups.into_values().map(close).collect();
    groups.sort_by_key(|grouped| std::cmp::Reverse((grouped.group.last_seen, grouped.group.runs)));
    groups
}

/// Returns what is said of a run that failed without a failed case. Exit codes are written in letters too, since a fingerprint
/// knows no numbers.
pub fn said_of_run(message: Option<&str>, exit_code: Option<i32>, result: &str) -> (String, Said) {
    let words = match (message.filter(|text| !text.trim().is_empty()), exit_code) {
        (Some(text), _) => text.to_owned(),
        (None, Some(code)) => format!("{result}, exit code {code}"),
        (None, None) => result.to_owned(),
    };
    let letters: String =
        exit_code.unwrap_or_default().to_string().bytes().map(|b| char::from(b'a' + b % 16)).collect();
    let said = Said { kind: format!("run {result} {letters}"), message: words.clone(), trace: String::new() };
    (words, said)
}

/// What the recent runs of a test say of causes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestAnalysis {
    /// Runs that ended since then are looked at.
    pub since: DateTime<Utc>,
    /// Which labels carry the failures.
    pub labels: LabelAnalysis,
    /// Since when runs that pass take longer or shorter, cell by cell.
    pub durations: Vec<CellDurations>,
}

/// Which labels of the matrix carry the failures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LabelAnalysis {
    /// How many runs say nothing of the test and are left out: cancelled, ended by the infrastructure, or failed on a runner
    /// whose control failed.
    pub left_out: u64,
    /// On either side of a comparison there must be so many runs.
    pub min_sample: u64,
    /// What is known of each value; `trials` are the runs that were counted, at most the newest 5000.
    pub report: LabelReport,
    /// That in a sentence.
    pub sentence: String,
}

/// How long the passing runs of a cell took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CellDurations {
    /// The cell of the matrix; empty for a test without one.
    pub cell: Labels,
    /// How many runs passed, of the last 100.
    pub runs: u32,
    /// So many are needed.
    pub min_runs: u32,
    /// Where the durations changed, the oldest first.
    pub changes: Vec<DurationChange>,
    /// That in a sentence.
    pub sentence: String,
}

/// Where durations changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DurationChange {
    /// The first run after the change.
    pub since: Moment,
    /// By how much, and how surely; its `index` counts the runs that passed.
    #[serde(flatten)]
    pub change: ChangePoint,
}

/// Finds the labels that carry the failures.
pub fn analyse_labels(cells: &[CellCounts], left_out: u64) -> LabelAnalysis {
    let demands = explain_labels::Demands::default();
    let report = explain(cells, &demands);
    let sentence = labels_sentence(&report, demands.min_sample);
    LabelAnalysis { left_out, min_sample: demands.min_sample, report, sentence }
}

fn labels_sentence(report: &LabelReport, min_sample: u64) -> String {
    if report.values.iter().all(|value| value.table.without() == 0) && report.trials >= 2 * min_sample {
        return "all runs have the same labels, so none can explain their failures".to_owned();
    }
    if report.tested == 0 {
        return format!(
            "not enough runs: of {} runs no label value has {min_sample} with it and {min_sample} without it",
            report.trials
        );
    }
    if report.failed == 0 {
        return format!("none of {} runs failed", report.trials);
    }
    let carries = |finding: &&LabelFinding| finding.claim == Claim::Carries;
    let pairs = report.pairs.iter().filter(carries);
    let singles = report.values.iter().filter(carries).filter(|value| value.through.is_none());
    let words: Vec<String> = pairs.chain(singles).take(NAMED).map(finding_words).collect();
    match words.is_empty() {
        true => format!("no label carries the {} failures of {} runs", report.failed, report.trials),
        false => words.join("; "),
    }
}

fn finding_words(finding: &LabelFinding) -> String {
    let word = |label: &LabelValue| format!("{}={}", label.key, label.value);
    let table = &finding.table;
    let labels = finding.labels.iter().map(word).collect::<Vec<_>>().join(" with ");
    let same: Vec<String> = finding.same_cells.iter().map(word).collect();
    let same = if same.is_empty() { String::new() } else { format!(" (or {}, in the same cells)", and(&same)) };
    let (with, without) = (table.with(), table.without());
    let (failed, others) = (table.failed_with, table.failed_without);
    format!(
        "{labels}{same} carries the failures: {failed} of {with} runs failed with it, {others} of {without} without it"
    )
}

/// Finds since when the passing runs of a cell take longer or shorter.
pub fn analyse_durations(cell: Labels, window: &Window, since: DateTime<Utc>) -> CellDurations {
    let demands = change_point::Demands::default();
    let passed = window
        .entries()
        .iter()
        .filter(|entry| entry.at >= since && entry.excluded.is_none() && entry.observed == Some(Observed::Pass));
    let (moments, durations): (Vec<Moment>, Vec<f64>) = passed
        .filter_map(|entry| Some((Moment { at: entry.at, run_id: entry.run_id }, f64::from(entry.duration_ms?))))
        .unzip();
    let found = change_points(&durations, &demands);
    let changes: Vec<DurationChange> = found
        .into_iter()
        .filter_map(|change| Some(DurationChange { since: *moments.get(change.index)?, change }))
        .collect();
    let (runs, min_runs) = (moments.len() as u32, 2 * demands.min_segment);
    let sentence = match changes.last() {
        _ if runs < min_runs => format!("not enough runs: {runs} passed, {min_runs} are needed"),
        None => format!("no change over {runs} runs that passed"),
        Some(last) => {
            let word = if last.change.is_regression() { "slower" } else { "faster" };
            let (before, after) = (last.change.before.median_ms, last.change.after.median_ms);
            let at = last.since.at.format("%Y-%m-%dT%H:%M:%SZ");
            format!("{word} since {at}: {before:.0} ms before, {after:.0} ms after (median)")
        }
    };
    CellDurations { cell, runs, min_runs, changes, sentence }
}

#[cfg(test)]
mod tests;
