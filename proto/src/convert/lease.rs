//! Leases: what a worker is given, and what proves its writes.

use std::time::Duration;

use tstr_shared::artifacts::ReportMode;
use tstr_shared::error::Invalid;
use tstr_shared::lease::{Fence, LeaseTimes, LeasedRun};

use super::{id, labels, map, millis, namespace, narrow, number, required_part, word};
use crate::v1 as pb;

impl From<Fence> for pb::Fence {
    fn from(fence: Fence) -> Self {
        Self { run_id: fence.run_id.to_string(), attempt: fence.attempt.into(), lease_id: fence.lease_id.to_string() }
    }
}

impl TryFrom<pb::Fence> for Fence {
    type Error = Invalid;
    fn try_from(message: pb::Fence) -> Result<Self, Invalid> {
        Ok(Self {
            run_id: id("/run_id", &message.run_id)?,
            attempt: narrow("/attempt", message.attempt)?,
            lease_id: id("/lease_id", &message.lease_id)?,
        })
    }
}

impl From<LeaseTimes> for pb::LeaseTimes {
    fn from(times: LeaseTimes) -> Self {
        Self {
            heartbeat_ms: millis(times.heartbeat),
            ttl_ms: millis(times.ttl),
            self_fence_ms: millis(times.self_fence),
            fence_grace_ms: millis(times.fence_grace),
        }
    }
}

impl From<pb::LeaseTimes> for LeaseTimes {
    /// Reads the worker's times; those of the reaper do not travel and are the ordinary ones.
    fn from(message: pb::LeaseTimes) -> Self {
        Self {
            heartbeat: Duration::from_millis(message.heartbeat_ms),
            ttl: Duration::from_millis(message.ttl_ms),
            self_fence: Duration::from_millis(message.self_fence_ms),
            fence_grace: Duration::from_millis(message.fence_grace_ms),
            ..Self::DEFAULT
        }
    }
}

impl From<LeasedRun> for pb::LeasedRun {
    fn from(run: LeasedRun) -> Self {
        Self {
            fence: Some(run.fence.into()),
            ttl_ms: millis(run.ttl),
            namespace: run.namespace.to_string(),
            test_name: run.test_name,
            cell: map(run.cell),
            labels: map(run.labels),
            run_config: Some(run.run_config.into()),
            log_limit_bytes: run.log_limit_bytes,
            log_tail_bytes: run.log_tail_bytes,
            artifact_limit_bytes: run.artifact_limit_bytes,
            artifact_paths: run.artifact_paths,
            report: number(run.report),
        }
    }
}

impl TryFrom<pb::LeasedRun> for LeasedRun {
    type Error = Invalid;
    fn try_from(message: pb::LeasedRun) -> Result<Self, Invalid> {
        Ok(Self {
            fence: required_part("/fence", message.fence)?,
            ttl: Duration::from_millis(message.ttl_ms),
            namespace: namespace("/namespace", &message.namespace)?,
            test_name: message.test_name,
            cell: labels(message.cell),
            labels: labels(message.labels),
            run_config: required_part("/run_config", message.run_config)?,
            log_limit_bytes: message.log_limit_bytes,
            log_tail_bytes: message.log_tail_bytes,
            artifact_limit_bytes: message.artifact_limit_bytes,
            artifact_paths: message.artifact_paths,
            report: word("/report", message.report)?.unwrap_or(ReportMode::None),
        })
    }
}
