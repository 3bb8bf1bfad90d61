//! Runs whose results were made elsewhere: stored as ones that have ended.

use chrono::{DateTime, Utc};
use tstr_shared::ids::{MatrixId, RunId, TestId};
use tstr_shared::permission::RunsWrite;
use tstr_shared::run::{Outcome, Trigger};
use tstr_shared::testdef::Priority;

use super::Conn;
use super::artifacts::Of;
use crate::auth::access::Access;
use crate::error::Result;

/// A run that has ended before it is stored.
#[derive(Debug)]
pub struct EndedElsewhere {
    /// Its id.
    pub id: RunId,
    /// Its namespace.
    pub ns_id: i32,
    /// Its test.
    pub test_id: TestId,
    /// The set that it is alone in.
    pub matrix_id: MatrixId,
    /// Its placement class.
    pub class_id: i32,
    /// What it would execute.
    pub config_id: i64,
    /// Its priority.
    pub priority: Priority,
    /// How long it could have waited.
    pub queue_secs: i32,
    /// The instant that its id says.
    pub scheduled_at: DateTime<Utc>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// How it ended.
    pub outcome: Outcome,
}

/// Returns for how many days the namespace of the access keeps runs.
pub async fn runs_days(conn: &mut Conn, access: &Access<RunsWrite>) -> Result<i32> {
    let days = sqlx::query_scalar!("SELECT runs_days FROM namespace WHERE id = $1", access.namespace());
    Ok(days.fetch_one(conn).await?)
}

/// Returns how long the cases of an attempt took together, in milliseconds.
pub async fn took(conn: &mut Conn, _: &Access<RunsWrite>, of: Of) -> Result<i64> {
    let took = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(duration_ms), 0)::bigint AS "took!" FROM report_case WHERE run_id = $1 AND attempt = $2"#,
        of.run.0,
        of.attempt as i16
    );
    Ok(took.fetch_one(conn).await?)
}

/// Stores a run with its end: it was queued and finished by the caller, has one attempt, and never a runner.
pub async fn insert(conn: &mut Conn, access: &Access<RunsWrite>, run: &EndedElsewhere) -> Result<()> {
    let outcome = &run.outcome;
    sqlx::query!(
        r#"WITH made AS (
               INSERT INTO run (id, ns_id, test_id, matrix_id, class_id, config_id, priority, seq, queue_secs, trigger,
                                scheduled_at, created_by)
               VALUES ($1, $2, $3, $4, $5, $6, $7, nextval('ready_seq'), $8, $9, $10, $11)
               RETURNING id, ns_id
           ),
           counted AS (
               INSERT INTO usage_delta (ns_id, day, runs, log_bytes) SELECT ns_id, id_day(id), 1, 0 FROM made
           ),
           ended AS (
               INSERT INTO run_end (run_id, ns_id, test_id, class_id, finished_at, attempt, result, reason, message, flaky,
                                    image_digest, started_at, log_status, log_bytes, log_dropped)
               VALUES ($1, $2, $3, $5, $12, 1, $13, $14, $15, false, $16, $17, 'complete', 0, 0)
               RETURNING run_id
           ),
           noticed AS (
               INSERT INTO undigested (run_id) SELECT run_id FROM ended
           )
           INSERT INTO run_event (run_id, state_from, state_to, attempt, result, reason, actor)
           VALUES ($1, NULL, 'queued', 0, NULL, NULL, $11), ($1, 'queued', 'finished', 1, $13, $14, $11)"#,
        run.id.0,
        run.ns_id,
        run.test_id.0,
        run.matrix_id.0,
        run.class_id,
        run.config_id,
        run.priority as i16,
        run.queue_secs,
        Trigger::Upload.word(),
        run.scheduled_at,
        access.actor(),
        run.finished_at,
        outcome.result.word(),
        outcome.reason.map(|reason| reason.word()),
        outcome.message,
        outcome.image_digest,
        run.started_at
    )
    .execute(conn)
    .await?;
    Ok(())
}
