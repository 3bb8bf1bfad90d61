//! The ledger of schedules: what became of every instant.

use chrono::{DateTime, Utc};
use tstr_shared::ids::{MatrixId, TestId};
use tstr_shared::ledger::{LedgerEntry, LedgerOutcome, LedgerReason};
use tstr_shared::permission::{TestsRead, TestsWrite};
use uuid::Uuid;

use super::Conn;
use crate::auth::access::{Access, System};
use crate::error::Result;

/// An instant, or a stretch of them, on its way into the ledger.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// The test.
    pub test_id: TestId,
    /// Its namespace.
    pub ns_id: i32,
    /// The instant; of a stretch the first.
    pub scheduled_for: DateTime<Utc>,
    /// What became of it, and why unless it ran.
    pub outcome: (LedgerOutcome, Option<LedgerReason>),
    /// The runs that were made, and how many.
    pub made: Option<(MatrixId, u32)>,
    /// The last instant of a stretch, and how many it has.
    pub stretch: Option<(DateTime<Utc>, u32)>,
}

/// Permissions under which lines of the ledger are written: by the schedule, or by a change of a test.
pub trait WritesLedger {}
impl WritesLedger for System {}
impl WritesLedger for TestsWrite {}

/// Writes what became of instants; what is written already stays. Returns how late those were that ran, in milliseconds.
pub async fn write<P: WritesLedger>(conn: &mut Conn, _: &Access<P>, entries: &[NewEntry]) -> Result<Vec<i64>> {
    let column = |read: &dyn Fn(&NewEntry) -> i32| entries.iter().map(read).collect::<Vec<_>>();
    let written = sqlx::query_scalar!(
        r#"INSERT INTO ledger (test_id, scheduled_for, ns_id, outcome, reason, late_ms, matrix_id, runs, until, instants)
           SELECT test_id, scheduled_for, ns_id, outcome, reason,
                  CASE WHEN outcome <> 'missed' AND reason IS DISTINCT FROM 'paused'
                       THEN (extract(epoch FROM clock_timestamp() - scheduled_for) * 1000)::bigint END,
                  matrix_id, runs, until, instants
           FROM unnest($1::uuid[], $2::timestamptz[], $3::int[], $4::text[], $5::text[], $6::uuid[], $7::int[],
                       $8::timestamptz[], $9::int[])
                AS u(test_id, scheduled_for, ns_id, outcome, reason, matrix_id, runs, until, instants)
           ON CONFLICT (test_id, scheduled_for) DO NOTHING
           RETURNING CASE WHEN outcome = 'ran' THEN late_ms END"#,
        &entries.iter().map(|entry| entry.test_id.0).collect::<Vec<_>>(),
        &entries.iter().map(|entry| entry.scheduled_for).collect::<Vec<_>>(),
        &column(&|entry| entry.ns_id),
        &entries.iter().map(|entry| entry.outcome.0.word().to_owned()).collect::<Vec<_>>(),
        &entries.iter().map(|entry| entry.outcome.1.map(|reason| reason.word().to_owned())).collect::<Vec<_>>()
            as &[Option<String>],
        &entries.iter().map(|entry| entry.made.map(|made| made.0.0)).collect::<Vec<_>>() as &[Option<Uuid>],
        &column(&|entry| entry.made.map_or(0, |made| made.1 as i32)),
        &entries.iter().map(|entry| entry.stretch.map(|stretch| stretch.0)).collect::<Vec<_>>()
            as &[Option<DateTime<Utc>>],
        &column(&|entry| entry.stretch.map_or(1, |stretch| stretch.1 as i32)),
    );
    Ok(written.fetch_all(conn).await?.into_iter().flatten().collect())
}

/// Lists the ledger of a test, the newest instant first, behind `before`.
pub async fn list(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    test: TestId,
    before: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<Vec<LedgerEntry>> {
    let rows = sqlx::query!(
        r#"SELECT scheduled_for, outcome AS "outcome: LedgerOutcome", reason AS "reason: LedgerReason", late_ms,
                  matrix_id AS "matrix_id: MatrixId", runs, until, instants, noted_at
           FROM ledger
           WHERE test_id = $1 AND ns_id = ANY($2) AND ($3::timestamptz IS NULL OR scheduled_for < $3)
           ORDER BY scheduled_for DESC
           LIMIT $4"#,
        test.0,
        access.namespaces(),
        before,
        limit
    );
    let entries = rows.fetch_all(conn).await?.into_iter().map(|row| LedgerEntry {
        scheduled_for: row.scheduled_for,
        outcome: row.outcome,
        reason: row.reason,
        late_ms: row.late_ms,
        matrix_id: row.matrix_id,
        runs: row.runs.unsigned_abs(),
        until: row.until,
        instants: row.instants.unsigned_abs(),
        noted_at: row.noted_at,
    });
    Ok(entries.collect())
}

/// Forgets entries that were written more than `days` ago, at most `limit` of them; returns how many.
pub async fn prune(conn: &mut Conn, _: &Access<System>, days: i32, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        r#"DELETE FROM ledger
           WHERE (test_id, scheduled_for) IN (
               SELECT test_id, scheduled_for FROM ledger
               WHERE noted_at < clock_timestamp() - make_interval(days => $1)
               LIMIT $2)"#,
        days,
        limit
    );
    Ok(done.execute(conn).await?.rows_affected())
}
