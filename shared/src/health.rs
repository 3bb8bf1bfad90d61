//! What is remembered between runs: which tests and cases are healthy, flaky or broken, and since when a case fails.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::analysis::flaky::{MonitorFinding, Status};
use crate::analysis::history::{Moment, Since, Standing};
use crate::ids::{RunId, TestId};
use crate::labels::Labels;
use crate::report::{CaseId, CaseKey, CaseStatus};
use crate::run::RunResult;

/// A cell of a test, as its latest runs show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CellState {
    /// The cell of the matrix; empty for a test without one.
    pub cell: Labels,
    /// How its latest runs ended, the newest last, at most 60: `p` pass, `r` pass after an attempt that failed, `f` fail,
    /// `e` error, `t` timed out, `c` cancelled.
    pub strip: String,
    /// Healthy, flaky or broken.
    pub status: Status,
    /// The same with the monitors that only label.
    pub label: Status,
    /// Since when it has this status; absent while it was never anything but healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<DateTime<Utc>>,
    /// What each monitor says, by which figures and which runs; empty while there is nothing to say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<MonitorFinding>,
    /// The run that ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<RunId>,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<DateTime<Utc>>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_result: Option<RunResult>,
}

/// A test of a namespace, as its latest runs show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestState {
    /// The test.
    pub test_id: TestId,
    /// Its name.
    pub name: String,
    /// That of its worst cell; one that was not executed for seven days before the last run of the test does not count.
    pub status: Status,
    /// When a run of it ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<DateTime<Utc>>,
    /// Its cells that have runs, without what the monitors say.
    pub cells: Vec<CellStrip>,
}

/// For how long a cell is not executed while others are until it is taken to be in the matrix no more.
const GONE_AFTER: TimeDelta = TimeDelta::days(7);

impl TestState {
    /// Takes in its cells, by when each was executed last, and says how the test is: like the worst of them. One that has left the
    /// matrix, as one that was not executed for seven days before the last run of the test, says nothing of it any more.
    pub fn take(&mut self, cells: Vec<(CellStrip, Option<DateTime<Utc>>)>) {
        self.last_at = cells.iter().filter_map(|(_, at)| *at).max();
        let is_there = |at: Option<DateTime<Utc>>| at.zip(self.last_at).is_none_or(|(at, last)| last - at < GONE_AFTER);
        let statuses = cells.iter().filter(|(_, at)| is_there(*at)).map(|(cell, _)| cell.status);
        self.status = statuses.max().unwrap_or(Status::Healthy);
        self.cells = cells.into_iter().map(|(cell, _)| cell).collect();
    }
}

/// A cell of a test in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CellStrip {
    /// The cell of the matrix.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub cell: Labels,
    /// How its latest runs ended, the newest last.
    pub strip: String,
    /// Healthy, flaky or broken.
    pub status: Status,
}

/// A case of a test in a cell, as its latest runs show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaseState {
    /// The case.
    pub case_id: CaseId,
    /// The parts of its identity.
    pub key: CaseKey,
    /// The cell of the matrix.
    pub cell: Labels,
    /// Where it stands after the latest run.
    pub standing: Standing,
    /// Since when it passes or fails; absent for one that was never executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
    /// Since when it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<Since>,
    /// The first run that had it.
    pub first_seen: Moment,
    /// The latest run that had it.
    pub last_seen: Moment,
    /// The run that it passed in last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pass: Option<Moment>,
    /// The run that it failed in last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fail: Option<Moment>,
    /// How long it took when it was executed last, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Healthy, flaky or broken.
    pub status: Status,
    /// Since when it has this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<DateTime<Utc>>,
    /// What each monitor says; empty while there is nothing to say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<MonitorFinding>,
}

/// Which cases of a test are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateFilter {
    /// Only in this cell.
    pub cell: Option<Labels>,
    /// Only those that stand so.
    pub standings: Vec<Standing>,
    /// Only those of this status.
    pub statuses: Vec<Status>,
    /// Only cases whose name, classname, file or suite contains this text, whatever its case.
    pub text: Option<String>,
    /// Those first that took longest, instead of by their ids.
    pub slowest: bool,
}

/// What became of a case by a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaseChange {
    /// The case.
    pub case_id: CaseId,
    /// The parts of its identity.
    pub key: CaseKey,
    /// Where it stands after the run.
    pub standing: Standing,
    /// Since which run that holds, and in how many runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
    /// For whole days, at the end of the run.
    pub days: u32,
    /// Since when it had failed, for one that is mended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_since: Option<Since>,
}

/// What a run changed among the cases of its cell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunChanges {
    /// It is known; a run that has just ended is looked at within seconds.
    pub told: bool,
    /// How many cases are of each standing, those that pass left out.
    pub new: u64,
    /// Cases that failed before and still do.
    pub still_failing: u64,
    /// Cases that failed before and pass.
    pub fixed: u64,
    /// Cases that should be there and are not.
    pub missing: u64,
    /// Cases that are taken for removed with this run.
    pub removed: u64,
    /// The cases, at most 1000, the worst first.
    pub items: Vec<CaseChange>,
}

/// A run in the history of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaseRun {
    /// The run.
    pub run_id: RunId,
    /// Its cell.
    pub cell: Labels,
    /// The attempt that counts.
    pub attempt: u16,
    /// When the run ended.
    pub finished_at: DateTime<Utc>,
    /// How the case ended.
    pub status: CaseStatus,
    /// It passed after an attempt that failed.
    pub flaky: bool,
    /// Its failure did not count.
    pub muted: bool,
    /// How long it took in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The first words of why it failed or was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The digest of the image that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_like_the_worst_of_the_cells_that_are_still_executed() {
        let now: DateTime<Utc> = "2026-03-09T00:00:00Z".parse().unwrap();
        let cell = |status, days: Option<i64>| {
            let strip = CellStrip { cell: Labels::default(), strip: String::new(), status };
            (strip, days.map(|days| now - TimeDelta::days(days)))
        };
        let of = |cells: Vec<(CellStrip, Option<DateTime<Utc>>)>| {
            let (test_id, name) = (TestId(uuid::Uuid::nil()), "t".to_owned());
            let mut test = TestState { test_id, name, status: Status::Healthy, last_at: None, cells: Vec::new() };
            test.take(cells);
            (test.status, test.last_at, test.cells.len())
        };
        assert_eq!(of(vec![]), (Status::Healthy, None, 0));
        assert_eq!(of(vec![cell(Status::Broken, None)]), (Status::Broken, None, 1));
        let last = Some(now - TimeDelta::days(1));
        let (healthy, flaky) = (cell(Status::Healthy, Some(1)), cell(Status::Flaky, Some(2)));
        let broken = |days| cell(Status::Broken, Some(days));
        assert_eq!(of(vec![healthy.clone(), flaky.clone(), broken(7)]), (Status::Broken, last, 3));
        assert_eq!(of(vec![healthy, flaky, broken(8)]), (Status::Flaky, last, 3));
        // Where nothing is executed any more, it stays as it was.
        assert_eq!(of(vec![broken(30)]).0, Status::Broken);
    }
}
