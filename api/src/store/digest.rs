//! Runs that have ended and were not taken in yet: which there are, and what is to be known of each.
//!
//! A row of `undigested` is written by the statement that writes the end. Whoever takes rows out holds the digest's lock until
//! its transaction ends, so that there is one at a time, and all of it happens or none.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use tstr_shared::ids::{RunId, RunnerId, TestId};
use tstr_shared::labels::Labels;
use tstr_shared::results::CaseCounts;
use tstr_shared::run::{Reason, RunResult};
use uuid::Uuid;

use super::Conn;
use crate::auth::access::{Access, System};
use crate::error::Result;

/// A run that has ended, with what is summed up and learnt of it.
#[derive(Debug, Clone)]
pub struct EndedRun {
    /// The run.
    pub run_id: RunId,
    /// Its namespace.
    pub ns_id: i32,
    /// Its test.
    pub test_id: TestId,
    /// Its configuration.
    pub config_id: i64,
    /// Its placement class.
    pub class_id: i32,
    /// The labels of that class.
    pub labels: Arc<Labels>,
    /// For when it was scheduled.
    pub scheduled_at: DateTime<Utc>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its latest attempt was leased.
    pub leased_at: Option<DateTime<Utc>>,
    /// When the container of its latest attempt was permitted to start.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// How it ended.
    pub result: RunResult,
    /// Why it ended so, where the result alone does not say it.
    pub reason: Option<Reason>,
    /// It passed after an attempt that failed.
    pub flaky: bool,
    /// The number of the latest attempt; 0 without one.
    pub attempt: i16,
    /// The runner of the latest attempt.
    pub runner_id: Option<RunnerId>,
    /// The digest of the image that ran.
    pub image_digest: Option<String>,
    /// The container's exit code.
    pub exit_code: Option<i32>,
    /// How many cases the reports of its latest attempt have.
    pub cases: Option<CaseCounts>,
    /// Every attempt, in order.
    pub attempts: Vec<Held>,
}

/// How long a runner held a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The runner.
    pub runner_id: RunnerId,
    /// From when.
    pub leased_at: DateTime<Utc>,
    /// To when.
    pub ended_at: DateTime<Utc>,
}

/// Takes up to `most` ended runs out, in a transaction; none while another is at it. The commit does not wait for the disk: what is
/// lost with a crash is there again to be taken.
pub async fn take(conn: &mut Conn, _: &Access<System>, most: i32) -> Result<Vec<Uuid>> {
    let taken = sqlx::query_scalar!(
        r#"SELECT run_id AS "run_id!"
           FROM set_config('synchronous_commit', 'off', true), take_undigested($1) AS run_id"#,
        most
    );
    Ok(taken.fetch_all(conn).await?)
}

/// Takes runs out without any more ado.
pub async fn leave_out(conn: &mut Conn, _: &Access<System>, runs: &[Uuid]) -> Result<()> {
    sqlx::query!("DELETE FROM undigested WHERE run_id = ANY($1)", runs).execute(conn).await?;
    Ok(())
}

/// Holds the digest up until the transaction ends: nobody takes runs out or changes the sums meanwhile. Tells whether it came
/// to that; the transaction is over where the digest took too long.
pub async fn hold<P>(conn: &mut Conn, _: &Access<P>) -> Result<bool> {
    match sqlx::query!("SELECT pg_advisory_xact_lock(7478111, 5)").execute(conn).await {
        Ok(_) => Ok(true),
        Err(error) if super::error::is_lock_timeout(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// When everything that had ended was taken in.
#[derive(Debug, Clone, Copy)]
pub struct Freshness {
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// The end of the run that waits for longest, if any waits.
    pub behind: Option<DateTime<Utc>>,
}

/// Tells how far what was taken in is behind.
pub async fn freshness<P>(conn: &mut Conn, _: &Access<P>) -> Result<Freshness> {
    let row = sqlx::query!(
        r#"SELECT clock_timestamp() AS "now!", u.run_id IS NOT NULL AS "waits!", e.finished_at AS "finished_at?"
           FROM (SELECT) one
           LEFT JOIN LATERAL (SELECT run_id FROM undigested_runs(1) AS run_id) u ON true
           LEFT JOIN LATERAL (SELECT finished_at FROM run_end WHERE run_id = u.run_id OFFSET 0) e ON true"#
    );
    let row = row.fetch_one(conn).await?;
    Ok(Freshness { now: row.now, behind: row.waits.then(|| row.finished_at.unwrap_or(row.now)) })
}

/// Reads what is to be known of ended runs, in the order of their ends. One that retention has removed is left out.
pub async fn read<P>(conn: &mut Conn, _: &Access<P>, runs: &[Uuid]) -> Result<Vec<EndedRun>> {
    // Rows are looked up one by one: a join that was planned while the tables were empty would read all of them.
    let rows = sqlx::query!(
        r#"SELECT e.run_id AS "run_id: RunId", e.ns_id, e.test_id AS "test_id: TestId", r.config_id, e.class_id,
                  r.scheduled_at, r.created_at, e.leased_at, e.started_at, e.finished_at, e.result AS "result: RunResult",
                  e.reason AS "reason: Reason", e.flaky, e.attempt, e.runner_id AS "runner_id: RunnerId", e.image_digest,
                  e.exit_code,
                  CASE WHEN e.artifact_files > 0 OR r.trigger = 'upload' THEN cases_of(e.run_id, e.attempt) END
                      AS "cases: Json<CaseCounts>"
           FROM unnest($1::uuid[]) AS u(id)
           CROSS JOIN LATERAL (
               SELECT run_id, ns_id, test_id, class_id, leased_at, started_at, finished_at, result, reason, flaky, attempt,
                      runner_id, image_digest, exit_code, artifact_files
               FROM run_end WHERE run_id = u.id OFFSET 0) e
           CROSS JOIN LATERAL (SELECT config_id, scheduled_at, created_at, trigger FROM run WHERE id = u.id OFFSET 0) r
           ORDER BY e.finished_at, e.run_id"#,
        runs
    );
    let rows = rows.fetch_all(&mut *conn).await?;
    let classes: Vec<i32> = rows.iter().map(|row| row.class_id).collect();
    let labels = labels(conn, classes).await?;
    // Of most runs the end says all that there is to say of their only attempt.
    let again = rows.iter().filter(|row| row.attempt > 1 || row.attempt == 1 && row.leased_at.is_none());
    let mut attempts = attempts(conn, &again.map(|row| row.run_id.0).collect::<Vec<_>>()).await?;
    let mut ended = Vec::with_capacity(rows.len());
    for row in rows {
        let only = match (row.runner_id, row.leased_at) {
            (Some(runner_id), Some(leased_at)) => vec![Held { runner_id, leased_at, ended_at: row.finished_at }],
            _ => Vec::new(),
        };
        ended.push(EndedRun {
            attempts: attempts.remove(&row.run_id).unwrap_or(only),
            labels: labels.get(&row.class_id).cloned().unwrap_or_default(),
            run_id: row.run_id,
            ns_id: row.ns_id,
            test_id: row.test_id,
            config_id: row.config_id,
            class_id: row.class_id,
            scheduled_at: row.scheduled_at,
            created_at: row.created_at,
            leased_at: row.leased_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            result: row.result,
            reason: row.reason,
            flaky: row.flaky,
            attempt: row.attempt,
            runner_id: row.runner_id,
            image_digest: row.image_digest,
            exit_code: row.exit_code,
            cases: row.cases.map(|cases| cases.0),
        });
    }
    Ok(ended)
}

async fn labels(conn: &mut Conn, mut classes: Vec<i32>) -> Result<HashMap<i32, Arc<Labels>>> {
    classes.sort_unstable();
    classes.dedup();
    let rows = sqlx::query!(
        r#"SELECT c.id, c.labels AS "labels: Json<Labels>"
           FROM unnest($1::int[]) AS u(id)
           CROSS JOIN LATERAL (SELECT id, labels FROM class WHERE id = u.id OFFSET 0) c"#,
        &classes
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.id, Arc::new(row.labels.0))).collect())
}

async fn attempts(conn: &mut Conn, runs: &[Uuid]) -> Result<HashMap<RunId, Vec<Held>>> {
    let mut found: HashMap<RunId, Vec<Held>> = HashMap::new();
    if runs.is_empty() {
        return Ok(found);
    }
    let rows = sqlx::query!(
        r#"SELECT u.id AS "run_id!: RunId", a.runner_id AS "runner_id: RunnerId", a.leased_at, a.ended_at
           FROM unnest($1::uuid[]) AS u(id)
           CROSS JOIN LATERAL (
               SELECT attempt, runner_id, leased_at, ended_at FROM attempt WHERE run_id = u.id OFFSET 0) a
           ORDER BY u.id, a.attempt"#,
        runs
    );
    for row in rows.fetch_all(conn).await? {
        let held = Held { runner_id: row.runner_id, leased_at: row.leased_at, ended_at: row.ended_at };
        found.entry(row.run_id).or_default().push(held);
    }
    Ok(found)
}

/// Tells whether a run that has ended was not taken in yet.
pub async fn is_undigested<P>(conn: &mut Conn, _: &Access<P>, run: RunId) -> Result<bool> {
    let waits = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM undigested WHERE run_id = $1) AS "waits!""#, run.0);
    Ok(waits.fetch_one(conn).await?)
}
