//! The cases of a test over its latest runs: a row for each case, a column for each run.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::analysis::flaky::Status;
use crate::analysis::history::Standing;
use crate::explain::Counted;
use crate::ids::{RunId, TestId};
use crate::labels::Labels;
use crate::report::{CaseId, CaseKey, CaseStatus};
use crate::run::RunResult;

/// How many runs a grid has unless it is said, and at most.
pub const MOST_RUNS: u32 = 60;
/// How many cases a grid has unless it is said.
pub const CASES: u32 = 50;
/// The most cases.
pub const MOST_CASES: u32 = 200;

/// A run of a grid: one of its columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GridRun {
    /// The run.
    pub run_id: RunId,
    /// Its cell.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub cell: Labels,
    /// The attempt that counts.
    pub attempt: u16,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// How it ended.
    pub result: RunResult,
    /// It passed after an attempt that failed.
    pub flaky: bool,
}

/// A case of a grid: one of its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GridCase {
    /// The case.
    pub case_id: CaseId,
    /// The parts of its identity.
    pub key: CaseKey,
    /// How it ended in each of the runs, a letter for each, in their order: `p` pass, `r` pass after an attempt that failed,
    /// `f` fail, `e` error, `m` a failure that did not count, `s` skipped, `.` not in this run.
    pub strip: String,
    /// Where it stands: the worst of the cells of these runs. Absent while no run that has it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// Healthy, flaky or broken: the worst of these cells.
    pub status: Status,
    /// When a run ended that it failed in last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failed_at: Option<DateTime<Utc>>,
    /// How long it took when it was executed last, in milliseconds: the longest of these cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// The cases of a test over its latest runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestGrid {
    /// The test.
    pub test_id: TestId,
    /// Its latest runs, at most 60, the newest last.
    pub runs: Vec<GridRun>,
    /// Its cases in the cells of these runs, at most 200: those first that failed in the latest run, then those that failed
    /// longer ago, then those that took longest, then by their names; at last those that are removed.
    pub cases: Vec<GridCase>,
    /// How many cases there are in these cells.
    pub total: Counted,
}

impl TestGrid {
    /// Puts the cases into their order.
    pub fn order(&mut self) {
        self.cases.sort_by(|a, b| a.rank().cmp(&b.rank()));
    }
}

impl GridCase {
    fn rank(&self) -> impl Ord + use<'_> {
        let failed = Reverse(self.strip.rfind(['f', 'e', 'm']));
        let rest = (Reverse(self.last_failed_at), Reverse(self.duration_ms));
        (self.standing == Some(Standing::Removed), failed, rest, &self.key.name, self.case_id)
    }
}

/// What stands in a strip for a case that is not in a run.
pub const ABSENT: char = '.';

/// Returns the letter that stands for the end of a case in a run.
pub fn letter(status: CaseStatus, flaky: bool, muted: bool) -> char {
    match status {
        CaseStatus::Fail | CaseStatus::Error if muted => 'm',
        CaseStatus::Fail => 'f',
        CaseStatus::Error => 'e',
        CaseStatus::Pass if flaky => 'r',
        CaseStatus::Pass => 'p',
        CaseStatus::Skip => 's',
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn case(name: &str, strip: &str, days: Option<i64>, duration_ms: Option<u64>, standing: Standing) -> GridCase {
        let failed = |days| DateTime::from_timestamp(1_700_000_000 - days * 86_400, 0).unwrap();
        GridCase {
            case_id: CaseId(Uuid::nil()),
            key: CaseKey { suite: Vec::new(), classname: None, name: name.into(), file: None, test_id: None },
            strip: strip.into(),
            standing: Some(standing),
            status: Status::Healthy,
            last_failed_at: days.map(failed),
            duration_ms,
        }
    }

    #[test]
    fn what_failed_last_stands_first_and_what_is_gone_last() {
        let cases = vec![
            case("gone", "f..", Some(0), Some(99), Standing::Removed),
            case("b", "ppp", None, Some(5), Standing::Passing),
            case("a", "ppp", None, Some(5), Standing::Passing),
            case("no time", "sss", None, None, Standing::Skipped),
            case("slow", "ppp", None, Some(50), Standing::Passing),
            case("long ago", "ppp", Some(9), Some(1), Standing::Passing),
            case("before", "pfp", Some(1), Some(1), Standing::Fixed),
            case("now", "ppe", Some(0), Some(1), Standing::New),
            case("muted", "ppm", Some(1), Some(1), Standing::StillFailing),
        ];
        let (test_id, total) = (TestId(Uuid::nil()), Counted { count: 9, more: false });
        let mut grid = TestGrid { test_id, runs: Vec::new(), cases, total };
        grid.order();
        let names: Vec<_> = grid.cases.iter().map(|case| case.key.name.as_str()).collect();
        assert_eq!(names, ["now", "muted", "before", "long ago", "slow", "a", "b", "no time", "gone"]);
    }

    #[test]
    fn each_end_of_a_case_has_a_letter_of_its_own() {
        let mut letters = vec![ABSENT, letter(CaseStatus::Pass, true, false), letter(CaseStatus::Fail, false, true)];
        letters.extend(CaseStatus::ALL.map(|status| letter(status, false, false)));
        assert_eq!(letters.iter().collect::<String>(), ".rmpfes");
    }
}
