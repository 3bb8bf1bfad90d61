//! The cases of a test over its latest runs, looked up one by one: what it costs grows with what is shown, and not with the
//! runs that are kept, the cases that the test has or those of other tests.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use tstr_shared::analysis::flaky::Status;
use tstr_shared::analysis::history::Standing;
use tstr_shared::analysis::window::Window;
use tstr_shared::explain::Counted;
use tstr_shared::grid::{GridCase, GridRun};
use tstr_shared::ids::{RunId, TestId};
use tstr_shared::labels::Labels;
use tstr_shared::permission::TestsRead;
use tstr_shared::report::{CaseId, CaseStatus};
use tstr_shared::run::RunResult;
use uuid::Uuid;

use super::{Conn, custom_plans, key_of};
use crate::auth::access::Access;
use crate::error::Result;

/// The most cells whose runs are looked at: those that were executed last.
const MOST_CELLS: i64 = 256;
/// The most cases of cells that are looked at for those that took longest, and counted.
const MOST_STATES: i64 = 50_000;
/// Where a case stands, the worst first.
const STANDINGS: [Standing; 7] = [
    Standing::New,
    Standing::StillFailing,
    Standing::Missing,
    Standing::Fixed,
    Standing::Passing,
    Standing::Skipped,
    Standing::Removed,
];

/// A run of a cell.
#[derive(Debug, Clone)]
pub struct Column {
    /// The cell.
    pub cell_id: i32,
    /// The run.
    pub run: GridRun,
}

/// Reads the latest runs of a test, the newest last: of one cell if it is given.
pub async fn columns(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    test: TestId,
    cell: Option<&Labels>,
    limit: usize,
) -> Result<Vec<Column>> {
    custom_plans(conn).await?;
    let rows = sqlx::query!(
        r#"SELECT c.id, c.labels AS "labels: Json<Labels>", w.runs AS "runs!"
           FROM (SELECT id, labels FROM cell
                 WHERE test_id = $1 AND ns_id = ANY($2) AND ($3::jsonb IS NULL OR labels = $3)
                 ORDER BY last_at DESC NULLS LAST, id LIMIT $4) c
           CROSS JOIN LATERAL (SELECT runs FROM cell_window WHERE cell_id = c.id OFFSET 0) w"#,
        test.0,
        access.namespaces(),
        cell.map(|cell| serde_json::json!(cell)),
        MOST_CELLS
    );
    let mut recent = Vec::new();
    for row in rows.fetch_all(&mut *conn).await? {
        let runs = Window::from_bytes(&row.runs);
        let cell = Arc::new(row.labels.0);
        recent.extend(runs.entries().iter().map(|entry| (entry.at, entry.run_id, row.id, Arc::clone(&cell))));
    }
    recent.sort_unstable_by_key(|one| (one.0, one.1));
    recent.drain(..recent.len().saturating_sub(limit));
    // What retention has removed is still remembered of its cell.
    let ids: Vec<Uuid> = recent.iter().map(|(_, run, ..)| run.0).collect();
    let ends = sqlx::query!(
        r#"SELECT run_id AS "run_id: RunId", attempt, finished_at, result AS "result: RunResult", flaky
           FROM run_end WHERE run_id = ANY($1)"#,
        &ids
    );
    let ends = ends.fetch_all(conn).await?;
    let mut ends: HashMap<RunId, _> = ends.into_iter().map(|end| (end.run_id, end)).collect();
    let columns = recent.into_iter().filter_map(|(_, run_id, cell_id, cell)| {
        let end = ends.remove(&run_id)?;
        let attempt = end.attempt.unsigned_abs();
        let (finished_at, result, flaky, cell) = (end.finished_at, end.result, end.flaky, Labels::clone(&cell));
        Some(Column { cell_id, run: GridRun { run_id, cell, attempt, finished_at, result, flaky } })
    });
    Ok(columns.collect())
}

/// The parts of columns, as statements take them.
struct Parts {
    runs: Vec<Uuid>,
    attempts: Vec<i16>,
    cells: Vec<i32>,
}

impl Parts {
    fn of(columns: &[Column]) -> Self {
        Self {
            runs: columns.iter().map(|column| column.run.run_id.0).collect(),
            attempts: columns.iter().map(|column| column.run.attempt as i16).collect(),
            cells: columns.iter().map(|column| column.cell_id).collect(),
        }
    }

    /// The first and the last of the runs, so that only the partitions of their days are planned for.
    fn bounds(&self) -> (Option<Uuid>, Option<Uuid>) {
        (self.runs.iter().min().copied(), self.runs.iter().max().copied())
    }
}

/// Finds the cases that failed in these runs, those first that failed last.
pub async fn failed(conn: &mut Conn, _: &Access<TestsRead>, columns: &[Column], limit: i64) -> Result<Vec<CaseId>> {
    custom_plans(conn).await?;
    let parts = Parts::of(columns);
    let (first, last) = parts.bounds();
    let ids = sqlx::query_scalar!(
        r#"SELECT f.case_id AS "case!: CaseId"
           FROM unnest($1::uuid[], $2::smallint[]) WITH ORDINALITY AS u(run_id, attempt, nth)
           CROSS JOIN LATERAL (
               SELECT r.case_id FROM report_case r
               WHERE r.run_id = u.run_id AND r.attempt = u.attempt AND r.status IN ('fail', 'error')
                 AND r.run_id BETWEEN $3 AND $4
               ORDER BY r.report, r.place LIMIT $5) f
           GROUP BY f.case_id
           ORDER BY max(u.nth) DESC, f.case_id
           LIMIT $5"#,
        &parts.runs,
        &parts.attempts,
        first,
        last,
        limit
    );
    Ok(ids.fetch_all(conn).await?)
}

/// Finds cases of the cells of these runs, those first that failed last, then those that took longest; and counts them.
pub async fn others(
    conn: &mut Conn,
    _: &Access<TestsRead>,
    columns: &[Column],
    limit: i64,
) -> Result<(Vec<CaseId>, Counted)> {
    let mut cells = Parts::of(columns).cells;
    cells.sort_unstable();
    cells.dedup();
    let rows = sqlx::query!(
        r#"SELECT c.case_id AS "case!: CaseId", count(*) OVER () AS "count!", (sum(c.seen) OVER ())::bigint AS "seen!"
           FROM (SELECT case_id, max(last_fail_at) AS failed_at, max(duration_ms) AS duration_ms,
                        bool_and(standing = 'removed') AS is_gone, count(*) AS seen
                 FROM (SELECT case_id, last_fail_at, duration_ms, standing FROM case_state
                       WHERE cell_id = ANY($1) LIMIT $2) s
                 GROUP BY case_id) c
           ORDER BY c.is_gone, c.failed_at DESC NULLS LAST, c.duration_ms DESC NULLS LAST, c.case_id
           LIMIT $3"#,
        &cells,
        MOST_STATES,
        limit
    );
    let rows = rows.fetch_all(conn).await?;
    let count = rows.first().map_or(0, |row| row.count as u32);
    let more = rows.first().is_some_and(|row| row.seen >= MOST_STATES);
    Ok((rows.into_iter().map(|row| row.case).collect(), Counted { count, more }))
}

/// Reads what is remembered of cases in the cells of these runs; their strips are left to fill.
pub async fn cases(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    test: TestId,
    columns: &[Column],
    cases: &[CaseId],
) -> Result<Vec<GridCase>> {
    let ids: Vec<Uuid> = cases.iter().map(|case| case.0).collect();
    let standings = STANDINGS.map(|standing| standing.word().to_owned());
    let statuses: Vec<String> = Status::ALL.iter().map(|status| status.word().to_owned()).collect();
    let rows = sqlx::query!(
        r#"SELECT k.case_id AS "case_id: CaseId", k.suite AS "suite: Json<Vec<String>>", k.classname, k.name, k.file, k.own_id,
                  s.standing, s.status, s.failed_at AS "failed_at?: DateTime<Utc>", s.duration_ms
           FROM case_key k
           CROSS JOIN LATERAL (
               SELECT min(array_position($5::text[], standing)) AS standing,
                      max(array_position($6::text[], status)) AS status, max(last_fail_at) AS failed_at,
                      max(duration_ms) AS duration_ms
               FROM case_state WHERE case_id = k.case_id AND cell_id = ANY($4)) s
           WHERE k.case_id = ANY($1) AND k.test_id = $2 AND k.ns_id = ANY($3)"#,
        &ids,
        test.0,
        access.namespaces(),
        &Parts::of(columns).cells,
        &standings[..],
        &statuses
    );
    let nth = |place: Option<i32>| place.and_then(|place| usize::try_from(place - 1).ok());
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| GridCase {
        case_id: row.case_id,
        key: key_of(row.suite, row.classname, row.name, row.file, row.own_id),
        strip: String::new(),
        standing: nth(row.standing).and_then(|nth| STANDINGS.get(nth)).copied(),
        status: nth(row.status).and_then(|nth| Status::ALL.get(nth)).copied().unwrap_or(Status::Healthy),
        last_failed_at: row.failed_at,
        duration_ms: row.duration_ms.map(i64::unsigned_abs),
    });
    Ok(rows.collect())
}

/// How a case ended in a run.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// The case.
    pub case: CaseId,
    /// The place of the run among those that were asked for.
    pub column: usize,
    /// How it ended.
    pub status: CaseStatus,
    /// It passed after an attempt that failed.
    pub flaky: bool,
    /// Its failure did not count.
    pub muted: bool,
}

/// Reads how cases ended in runs.
pub async fn marks(conn: &mut Conn, _: &Access<TestsRead>, columns: &[Column], cases: &[CaseId]) -> Result<Vec<Mark>> {
    custom_plans(conn).await?;
    let parts = Parts::of(columns);
    let (first, last) = parts.bounds();
    let ids: Vec<Uuid> = cases.iter().map(|case| case.0).collect();
    // Pair by pair: for all cases of a run at once the planner may take to reading the whole run.
    let rows = sqlx::query!(
        r#"SELECT k.case_id AS "case!: CaseId", u.nth AS "nth!", r.status AS "status!: CaseStatus", r.flaky AS "flaky!",
                  r.muted AS "muted!"
           FROM unnest($1::uuid[], $2::smallint[], $3::int[]) WITH ORDINALITY AS u(run_id, attempt, cell_id, nth)
           CROSS JOIN unnest($4::uuid[]) AS k(case_id)
           CROSS JOIN LATERAL (
               -- Of a run that has it several times the worst.
               SELECT r.status, r.flaky, r.muted FROM report_case r
               WHERE r.case_id = k.case_id AND r.cell_id = u.cell_id AND r.run_id = u.run_id AND r.attempt = u.attempt
                 AND r.run_id BETWEEN $5 AND $6
               ORDER BY r.status IN ('fail', 'error') DESC, r.report, r.place LIMIT 1) r"#,
        &parts.runs,
        &parts.attempts,
        &parts.cells,
        &ids,
        first,
        last
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| Mark {
        case: row.case,
        column: usize::try_from(row.nth - 1).unwrap_or_default(),
        status: row.status,
        flaky: row.flaky,
        muted: row.muted,
    });
    Ok(rows.collect())
}
