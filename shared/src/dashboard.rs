//! How a namespace is, at one look: what fails, what is flaky, what became slower, what waits, and who executes.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::analysis::window::Window;
use crate::explain::Counted;
use crate::ids::{RunId, TestId};
use crate::run::RunResult;

/// The most tests that are named of each kind.
pub const MOST_NAMED: usize = 10;
/// From which factor on a test is told to be slower than it was.
pub const SLOWER_FACTOR: f64 = 1.5;
/// From how many milliseconds more on.
pub const SLOWER_MS: u64 = 1000;

/// How many tests are how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestVerdicts {
    /// How many tests there are.
    pub total: u64,
    /// In how many the latest run of a cell failed, errored or timed out.
    pub failing: u64,
    /// How many of these began to fail within the last 24 hours.
    pub newly_failing: u64,
    /// How many are flaky in a cell.
    pub flaky: u64,
    /// How many took longer in the last two days than in the two weeks before: half as long again, and by a second.
    pub slower: u64,
}

/// A test that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailingTest {
    /// The test.
    pub test_id: TestId,
    /// Its name.
    pub name: String,
    /// Since when it fails: the end of the first run of those that failed one after another.
    pub since: DateTime<Utc>,
    /// The latest run that failed.
    pub run: RunId,
    /// How that ended.
    pub result: RunResult,
    /// In how many cells it fails.
    pub cells: u64,
}

/// A test that is flaky.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FlakyTest {
    /// The test.
    pub test_id: TestId,
    /// Its name.
    pub name: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// In how many cells.
    pub cells: u64,
}

/// A test that takes longer than it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SlowerTest {
    /// The test.
    pub test_id: TestId,
    /// Its name.
    pub name: String,
    /// What a run took on average in the last two days, in milliseconds.
    pub mean_ms: u64,
    /// And in the two weeks before.
    pub before_ms: u64,
    /// Of how many runs in the last two days.
    pub runs: u64,
}

/// What waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QueueVerdict {
    /// How many runs could be taken now.
    pub depth: Counted,
    /// Since when the first of them could be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<DateTime<Utc>>,
    /// How many runs are held by runners.
    pub held: u64,
    /// How many placement classes have runs that no runner takes.
    pub stranded: u64,
}

/// Who executes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FleetVerdict {
    /// How many runners serve the namespace.
    pub total: u64,
    /// How many of them are there, also those that drain.
    pub online: u64,
    /// How many of these take nothing new.
    pub draining: u64,
    /// How many runs those that are there can execute at once.
    pub slots: u64,
    /// How many they execute.
    pub slots_used: u64,
}

/// How a namespace is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Dashboard {
    /// When it was looked.
    pub as_of: DateTime<Utc>,
    /// How many tests are how.
    pub tests: TestVerdicts,
    /// Those that began to fail within the last 24 hours, the latest first; at most 10.
    pub newly_failing: Vec<FailingTest>,
    /// Those that are flaky, the latest first; at most 10.
    pub flaky: Vec<FlakyTest>,
    /// Those that became slower, the worst first; at most 10.
    pub slower: Vec<SlowerTest>,
    /// What waits.
    pub queue: QueueVerdict,
    /// Who executes.
    pub runners: FleetVerdict,
}

impl Dashboard {
    /// Says it in a sentence.
    pub fn sentence(&self) -> String {
        let TestVerdicts { total, failing, newly_failing, .. } = self.tests;
        let (queue, runners) = (&self.queue, &self.runners);
        let new = if newly_failing > 0 { format!(", {newly_failing} newly since yesterday") } else { String::new() };
        let more = if queue.depth.more { "+" } else { "" };
        let oldest = queue.oldest.map(|since| format!(", oldest {} s", (self.as_of - since).num_seconds().max(0)));
        format!(
            "{failing} of {total} tests failing{new}; queue {}{more}{}; {} of {} runners online",
            queue.depth.count,
            oldest.unwrap_or_default(),
            runners.online,
            runners.total
        )
    }
}

/// Whether a result says that a test fails.
pub fn is_failure(result: RunResult) -> bool {
    match result {
        RunResult::Fail | RunResult::Error | RunResult::TimedOut => true,
        RunResult::Pass | RunResult::Cancelled => false,
    }
}

/// Returns since when the latest runs of a cell fail one after another, if the latest did; one that was cancelled says
/// nothing.
pub fn failing_since(window: &Window) -> Option<DateTime<Utc>> {
    let told = window.entries().iter().rev().filter(|entry| entry.result != RunResult::Cancelled);
    told.take_while(|entry| is_failure(entry.result)).last().map(|entry| entry.at)
}

/// Tells whether something that began then is new.
pub fn is_new(since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    since > now - Duration::hours(24)
}

/// Tells whether a test takes longer than it did, by the means of both times in milliseconds.
pub fn is_slower(mean_ms: u64, before_ms: u64) -> bool {
    mean_ms >= before_ms + SLOWER_MS && mean_ms as f64 >= before_ms as f64 * SLOWER_FACTOR
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::window::Entry;

    fn at(hour: u32) -> DateTime<Utc> {
        format!("2026-03-01T{hour:02}:00:00Z").parse().unwrap()
    }

    fn window(results: &[RunResult]) -> Window {
        let mut window = Window::default();
        for (hour, result) in (0..).zip(results) {
            let run_id = RunId(uuid::Uuid::from_u128(u128::from(hour) + 1));
            let (observed, duration_ms, subject, excluded) = (None, None, None, None);
            let result = *result;
            window.add(Entry {
                at: at(hour),
                run_id,
                result,
                observed,
                failed_attempts: 0,
                duration_ms,
                subject,
                excluded,
            });
        }
        window
    }

    #[test]
    fn a_test_fails_since_the_first_of_its_latest_failures() {
        use RunResult::{Cancelled, Error, Fail, Pass, TimedOut};
        assert_eq!(failing_since(&window(&[Fail, Pass, Fail, Error, TimedOut])), Some(at(2)));
        assert_eq!(failing_since(&window(&[Pass, Fail, Cancelled])), Some(at(1)));
        assert_eq!(failing_since(&window(&[Fail, Fail])), Some(at(0)));
        assert_eq!(failing_since(&window(&[Fail, Pass])), None);
        assert_eq!(failing_since(&window(&[])), None);
    }

    #[test]
    fn slower_is_half_as_long_again_and_by_a_second() {
        assert!(is_slower(3000, 2000) && is_slower(1001, 0));
        assert!(!is_slower(2900, 2000) && !is_slower(90, 10) && !is_slower(1000, 2000));
    }

    #[test]
    fn a_namespace_is_told_in_a_sentence() {
        let mut board = Dashboard {
            as_of: at(12),
            tests: TestVerdicts { total: 214, failing: 3, newly_failing: 2, ..TestVerdicts::default() },
            newly_failing: Vec::new(),
            flaky: Vec::new(),
            slower: Vec::new(),
            queue: QueueVerdict {
                depth: Counted { count: 4, more: false },
                oldest: Some(at(12) - Duration::seconds(12)),
                ..QueueVerdict::default()
            },
            runners: FleetVerdict { total: 7, online: 6, ..FleetVerdict::default() },
        };
        assert_eq!(
            board.sentence(),
            "3 of 214 tests failing, 2 newly since yesterday; queue 4, oldest 12 s; 6 of 7 runners online"
        );
        (board.tests.newly_failing, board.queue) = (0, QueueVerdict::default());
        assert_eq!(board.sentence(), "3 of 214 tests failing; queue 0; 6 of 7 runners online");
    }
}
