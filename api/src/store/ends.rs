//! The ends of leases: T5 to T9, T11 and T13, each guarded by its fence, and what follows for the gates of the runs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use tstr_shared::ids::{LeaseId, RunId, RunnerId};
use tstr_shared::lease::Fence;
use tstr_shared::logs::{LogCut, LogSeal, LogStatus, LogSummary};
use tstr_shared::permission::{RunsExecute, RunsWrite};
use tstr_shared::run::{Outcome, Reason, RunResult};
use uuid::Uuid;

use super::Conn;
use super::claims::{OwnLease, interval};
use super::gates::Ended;
use super::queue::Place;
use crate::auth::access::{Access, System};
use crate::error::Result;

/// Who ends a lease, and why; `sql/close.sql` says what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The owner reports a result.
    Outcome,
    /// The owner gives the lease back.
    Release,
    /// Somebody cancels before the start.
    Cancelled,
    /// The reaper: the lease ran out.
    Expired,
    /// The reaper: timeout and grace ran out.
    Backstop,
}

/// What is told of a log beside its counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogDetail {
    /// Where it was cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<LogCut>,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl LogDetail {
    /// Returns what is told of a log.
    pub(super) fn summary(
        detail: Option<Json<Self>>,
        status: LogStatus,
        bytes: i64,
        dropped: i64,
        removed_at: Option<DateTime<Utc>>,
    ) -> LogSummary {
        let Self { cuts, message } = detail.map(|detail| detail.0).unwrap_or_default();
        let (bytes, dropped_bytes) = (bytes.unsigned_abs(), dropped.unsigned_abs());
        LogSummary { status, bytes, dropped_bytes, removed_at, cuts, message }
    }
}

/// One lease to end, as `sql/close.sql` reads it.
#[derive(Debug, Clone, Serialize)]
pub struct Close {
    run_id: RunId,
    attempt: u16,
    lease_id: LeaseId,
    runner_id: Option<RunnerId>,
    kind: Kind,
    result: Option<RunResult>,
    reason: Option<Reason>,
    message: Option<String>,
    exit_code: Option<i32>,
    image_digest: Option<String>,
    log_status: LogStatus,
    stdout_bytes: Option<u64>,
    stdout_dropped: Option<u64>,
    stdout_sha256: Option<String>,
    stderr_bytes: Option<u64>,
    stderr_dropped: Option<u64>,
    stderr_sha256: Option<String>,
    log_detail: Option<LogDetail>,
    /// Who ends it, where that differs from lease to lease.
    actor: Option<String>,
}

impl Close {
    /// Ends the lease of a fence for this cause; nothing is known of its log but what is stored.
    pub fn new(fence: Fence, kind: Kind) -> Self {
        Self {
            run_id: fence.run_id,
            attempt: fence.attempt,
            lease_id: fence.lease_id,
            runner_id: None,
            kind,
            result: None,
            reason: None,
            message: None,
            exit_code: None,
            image_digest: None,
            log_status: if kind == Kind::Cancelled { LogStatus::Complete } else { LogStatus::Incomplete },
            stdout_bytes: None,
            stdout_dropped: None,
            stdout_sha256: None,
            stderr_bytes: None,
            stderr_dropped: None,
            stderr_sha256: None,
            log_detail: None,
            actor: None,
        }
    }

    /// Ends it for the runner that owns it.
    pub fn by(mut self, runner: RunnerId) -> Self {
        self.runner_id = Some(runner);
        self
    }

    /// Ends it for the runner that asks.
    pub fn asked_by(self, lease: &OwnLease) -> Self {
        Self { actor: Some(lease.actor.clone()), ..self.by(lease.runner) }
    }

    /// Ends it in the name of who ordered it.
    pub fn ordered_by(self, actor: &str) -> Self {
        Self { actor: Some(actor.to_owned()), ..self }
    }

    /// Adds the outcome that the owner reports.
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.result = Some(outcome.result);
        self.reason = outcome.reason;
        self.message = outcome.message;
        self.exit_code = outcome.exit_code;
        self.image_digest = outcome.image_digest;
        self
    }

    /// Adds why the lease is given back.
    pub fn because(mut self, reason: Option<Reason>, message: Option<String>) -> Self {
        self.reason = reason;
        self.message = message;
        self
    }

    /// Adds what the owner says of the log.
    pub fn with_seal(mut self, seal: &LogSeal) -> Self {
        let hex = |bytes: &[u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        self.stdout_bytes = Some(seal.stdout.bytes);
        self.stdout_dropped = Some(seal.stdout.dropped_bytes);
        self.stdout_sha256 = Some(hex(&seal.stdout.sha256));
        self.stderr_bytes = Some(seal.stderr.bytes);
        self.stderr_dropped = Some(seal.stderr.dropped_bytes);
        self.stderr_sha256 = Some(hex(&seal.stderr.sha256));
        let dropped = seal.stdout.dropped_bytes + seal.stderr.dropped_bytes;
        self.log_status = match (seal.incomplete, dropped) {
            (true, _) => LogStatus::Incomplete,
            (false, 0) => LogStatus::Complete,
            (false, _) => LogStatus::Truncated,
        };
        self
    }

    /// Sets how many bytes are stored, where the owner could not hand all of them over.
    pub fn with_stored(mut self, stdout: u64, stderr: u64) -> Self {
        self.stdout_bytes = Some(stdout);
        self.stderr_bytes = Some(stderr);
        self
    }

    /// Adds what is told of the log beside its counts.
    pub fn with_detail(self, detail: LogDetail) -> Self {
        Self { log_detail: Some(detail), ..self }
    }
}

/// What became of a lease that was ended.
#[derive(Debug, Clone)]
pub struct Closed {
    /// The run.
    pub run_id: RunId,
    /// The run's result; absent when it waits again.
    pub result: Option<RunResult>,
    /// Its lane.
    pub lane: i32,
    /// Its place in the lane.
    pub seq: i64,
    /// It can be claimed again now.
    pub ready: bool,
    /// Places of runs that were let in because slots became free; told once for all that were ended together.
    pub opened: Vec<Place>,
    /// Other runs are to be cancelled because of it; told once for all that were ended together.
    pub ordered: bool,
}

struct ClosedRow {
    run_id: RunId,
    result: Option<RunResult>,
    lane: i32,
    seq: i64,
    ready: bool,
    group_key: Option<Uuid>,
    matrix_key: Option<Uuid>,
    fails_siblings: bool,
}

/// Permissions under which leases may be ended.
pub trait Closes {}
impl Closes for RunsExecute {}
impl Closes for RunsWrite {}

/// How long to wait before an attempt after a loss: this, doubled with each attempt, at most five minutes.
pub const BACKOFF: Duration = Duration::from_secs(10);

/// Ends leases; those that do not come back were not ended. Call in a transaction: slots of gates are handed on.
pub async fn close<P: Closes>(conn: &mut Conn, access: &Access<P>, leases: &[Close]) -> Result<Vec<Closed>> {
    let by = leases.first().and_then(|lease| lease.runner_id);
    let actor = by.map_or_else(|| access.actor().to_owned(), |id| format!("runner:{id} {}", access.actor()));
    run_close(conn, access.namespaces(), &actor, leases, Duration::ZERO).await
}

/// Ends leases for the reaper; `reap_after` is how long after its expiry a lease is given up.
pub async fn reap(
    conn: &mut Conn,
    access: &Access<System>,
    leases: &[Close],
    namespaces: &[i32],
    reap_after: Duration,
) -> Result<Vec<Closed>> {
    run_close(conn, namespaces, access.actor(), leases, reap_after).await
}

/// Ends leases before the start because it was ordered, each in the name of who ordered it.
pub async fn close_ordered(
    conn: &mut Conn,
    access: &Access<System>,
    leases: &[Close],
    namespaces: &[i32],
) -> Result<Vec<Closed>> {
    run_close(conn, namespaces, access.actor(), leases, Duration::ZERO).await
}

async fn run_close(
    conn: &mut Conn,
    namespaces: &[i32],
    actor: &str,
    leases: &[Close],
    reap_after: Duration,
) -> Result<Vec<Closed>> {
    // In one order for all, so that two that end several leases wait and do not deadlock.
    let mut leases: Vec<&Close> = leases.iter().collect();
    leases.sort_by_key(|lease| lease.run_id);
    let closed = sqlx::query_file_as!(
        ClosedRow,
        "src/store/sql/close.sql",
        Json(leases) as _,
        namespaces,
        interval(reap_after),
        interval(BACKOFF),
        actor
    );
    let rows = closed.fetch_all(&mut *conn).await?;
    let ended: Vec<Ended> = rows
        .iter()
        .map(|row| Ended {
            run_id: row.run_id,
            group_key: row.group_key,
            matrix_key: row.matrix_key,
            fails_siblings: row.fails_siblings,
        })
        .collect();
    let follows = super::gates::after_end(conn, actor, &ended).await?;
    let closed = |row: ClosedRow| Closed {
        run_id: row.run_id,
        result: row.result,
        lane: row.lane,
        seq: row.seq,
        ready: row.ready,
        opened: Vec::new(),
        ordered: false,
    };
    let mut closed: Vec<Closed> = rows.into_iter().map(closed).collect();
    if let Some(first) = closed.first_mut() {
        (first.opened, first.ordered) = (follows.places, follows.ordered);
    }
    Ok(closed)
}
