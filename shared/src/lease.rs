//! Leases: the right of one runner to execute one run for a limited time, and the fence that proves it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::artifacts::ReportMode;
use crate::ids::{LeaseId, RunId};
use crate::labels::Labels;
use crate::namespace::Namespace;
use crate::testdef::RunConfig;

/// What proves that a write comes from the holder of the current lease; compared by equality.
///
/// The attempt number alone would not do: a database that lost its last commits can hand the same number out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The run.
    pub run_id: RunId,
    /// The attempt, from 1.
    pub attempt: u16,
    /// 128 random bits, new for each attempt.
    pub lease_id: LeaseId,
}

/// The durations that both sides of a lease go by. The server hands them to a worker when it registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// How often a worker sends a heartbeat.
    pub heartbeat: Duration,
    /// How long a lease lives after the database recorded it or its last heartbeat.
    pub ttl: Duration,
    /// When a worker stops trusting its lease, counted from the moment it *sent* the last heartbeat that was answered.
    pub self_fence: Duration,
    /// How long a fenced container may take from SIGTERM to SIGKILL.
    pub fence_grace: Duration,
    /// How long after its expiry a lease is given up by the reaper.
    pub reap_after: Duration,
    /// How often the reaper looks.
    pub reap_every: Duration,
}

impl LeaseTimes {
    /// The times of ordinary operation: a lost worker is replaced within 67 s.
    pub const DEFAULT: Self = Self {
        heartbeat: Duration::from_secs(10),
        ttl: Duration::from_secs(60),
        self_fence: Duration::from_secs(45),
        fence_grace: Duration::from_secs(10),
        reap_after: Duration::from_secs(5),
        reap_every: Duration::from_secs(2),
    };

    /// Short times for tests: a lost worker is replaced within 7.5 s.
    pub const TEST: Self = Self {
        heartbeat: Duration::from_secs(1),
        ttl: Duration::from_secs(6),
        self_fence: Duration::from_secs(4),
        fence_grace: Duration::from_secs(1),
        reap_after: Duration::from_secs(1),
        reap_every: Duration::from_millis(500),
    };

    /// Tells whether a worker that keeps these times has ended its container before the lease can be given to another.
    pub fn is_safe(&self) -> bool {
        self.heartbeat < self.self_fence && self.self_fence + self.fence_grace < self.ttl && !self.reap_every.is_zero()
    }
}

/// What a worker is told when it is given a run.
#[derive(Debug, Clone, PartialEq)]
pub struct LeasedRun {
    /// Proves the lease.
    pub fence: Fence,
    /// How much longer the lease lives.
    pub ttl: Duration,
    /// The run's namespace.
    pub namespace: Namespace,
    /// The name of the run's test.
    pub test_name: String,
    /// The run's cell of the matrix.
    pub cell: Labels,
    /// The run's labels.
    pub labels: Labels,
    /// What to execute.
    pub run_config: RunConfig,
    /// How many bytes of log are kept of this attempt.
    pub log_limit_bytes: u64,
    /// How many of them are for the end of the log, when it passes the limit; none on an older server.
    pub log_tail_bytes: u64,
    /// How many bytes of files are kept of this attempt; none on an older server.
    pub artifact_limit_bytes: u64,
    /// Which files are kept beside those in the folder for artifacts: patterns ([`crate::artifacts::ArtifactPattern`]).
    pub artifact_paths: Vec<String>,
    /// Whether its end is ruled on by the test reports among them; `none` on an older server.
    pub report: ReportMode,
}

/// What a heartbeat says about one lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// The lease holds.
    Held,
    /// The lease holds; the run is to be cancelled.
    CancelRequested,
    /// The lease is lost: end the container, report nothing.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sets_of_times_end_the_container_before_the_lease_ends() {
        assert!(LeaseTimes::DEFAULT.is_safe() && LeaseTimes::TEST.is_safe());
    }

    #[test]
    fn the_promised_detection_times_hold() {
        let bound = |t: LeaseTimes| t.ttl + t.reap_after + t.reap_every;
        assert_eq!(bound(LeaseTimes::DEFAULT), Duration::from_secs(67));
        assert_eq!(bound(LeaseTimes::TEST), Duration::from_millis(7500));
    }
}
