//! The ledger of a schedule: what became of every instant.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::MatrixId;
use crate::run::words;

words!(
    /// What became of an instant of a schedule.
    LedgerOutcome {
        /// Its runs were made.
        Ran = "ran",
        /// It was due in time, and no run of it was let in.
        Skipped = "skipped",
        /// No scheduler looked in time.
        Missed = "missed",
    }
);

words!(
    /// Why an instant did not run.
    LedgerReason {
        /// Runs of the test or of its group were under way, and its `concurrency` does not let more wait.
        Concurrency = "concurrency",
        /// The namespace may not have so many waiting runs, or so many bytes of logs.
        Quota = "quota",
        /// The server had no room for more runs.
        StorageFull = "storage_full",
        /// The test was paused.
        Paused = "paused",
        /// The stored test could not be read.
        Unreadable = "unreadable",
        /// It was later than the test's `start_deadline`.
        Deadline = "deadline",
        /// The test's `catch_up` does not ask for it.
        CatchUp = "catch_up",
    }
);

/// One instant of a schedule, or a stretch of those that were missed or passed while the test was paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LedgerEntry {
    /// The instant; of a stretch the first.
    pub scheduled_for: DateTime<Utc>,
    /// What became of it.
    pub outcome: LedgerOutcome,
    /// Why, unless it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<LedgerReason>,
    /// How late it was looked at, in milliseconds; of what was missed or paused nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_ms: Option<i64>,
    /// Names the runs that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix_id: Option<MatrixId>,
    /// How many runs it made.
    pub runs: u32,
    /// The last instant of a stretch: of more than 100 instants that were missed, or passed while the test was paused,
    /// the older ones stand in one entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// How many instants the entry stands for; of a very long stretch at least.
    pub instants: u32,
    /// When it was written.
    pub noted_at: DateTime<Utc>,
}
