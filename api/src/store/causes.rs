//! Rows that speak for a cause: the recent runs of cells, the newest failures, and runs counted by their cells.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use tstr_shared::analysis::history::Moment;
use tstr_shared::analysis::window::Window;
use tstr_shared::causes::{FailedCase, MOST_DETAILS, MOST_FAILURES, MOST_RUNS};
use tstr_shared::ids::{RunId, TestId};
use tstr_shared::labels::Labels;
use tstr_shared::permission::TestsRead;
use tstr_shared::report::{CaseId, CaseStatus};
use tstr_shared::run::{Reason, RunResult};
use uuid::Uuid;

use super::packing::Packed;
use super::{Conn, key_of};
use crate::auth::access::Access;
use crate::error::Result;

/// How many cells are looked at: those that ran last.
const MOST_CELLS: i64 = 1000;
/// In how many runs failures are looked for: the newest.
const MOST_SEARCHED: i64 = 20_000;
/// How many bytes of packed details are read.
const MOST_BYTES: i64 = 16 << 20;

/// Reads the recent runs of the cells of a test, or of one of them.
pub async fn windows(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    test: TestId,
    cell: Option<&Labels>,
) -> Result<Vec<(Labels, Window)>> {
    let rows = sqlx::query!(
        r#"SELECT c.labels AS "labels: Json<Labels>", w.runs
           FROM cell c JOIN cell_window w ON w.cell_id = c.id
           WHERE c.test_id = $1 AND c.ns_id = ANY($2) AND ($3::jsonb IS NULL OR c.labels = $3)
           ORDER BY c.last_at DESC NULLS LAST, c.id
           LIMIT $4"#,
        test.0,
        access.namespaces(),
        cell.map(|cell| serde_json::json!(cell)),
        MOST_CELLS
    );
    let mut cells: Vec<(Labels, Window)> =
        rows.fetch_all(conn).await?.into_iter().map(|row| (row.labels.0, Window::from_bytes(&row.runs))).collect();
    cells.sort_by_key(|(cell, _)| cell.text());
    Ok(cells)
}

/// A failure: a case that failed, or a run that failed without one.
#[derive(Debug)]
pub struct FailureRow {
    /// The run.
    pub moment: Moment,
    /// Its cell.
    pub cell: Labels,
    /// How the run ended.
    pub result: RunResult,
    /// What was said of the run.
    pub run_message: Option<String>,
    /// The exit code of the run.
    pub exit_code: Option<i32>,
    /// The case, and how it ended.
    pub case: Option<(CaseId, CaseStatus)>,
    /// The first words of why it failed.
    pub message: Option<String>,
    /// The rest; read of the newest only.
    pub detail: Option<Packed>,
}

/// Reads the newest failures of a test, the newest first; one more than are grouped when there are more.
pub async fn failures(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    test: TestId,
    since: DateTime<Utc>,
) -> Result<Vec<FailureRow>> {
    // The limit inside of the lateral join lets every run be looked up by the index of failed cases.
    let rows = sqlx::query!(
        r#"SELECT f.run_id AS "run_id!: RunId", f.finished_at AS "finished_at!", f.result AS "result!: RunResult",
                  f.run_message AS "run_message?", f.exit_code AS "exit_code?", f.case_id AS "case_id?: CaseId",
                  f.status AS "status?: CaseStatus", f.message AS "message?", f.raw_bytes AS "raw_bytes?",
                  coalesce(k.labels, (SELECT (g.body -> 'cell')::jsonb FROM run r JOIN config g ON g.id = r.config_id
                                      WHERE r.id = f.run_id)) AS "cell: Json<Labels>",
                  CASE WHEN count(f.detail) OVER newest <= $5
                            AND sum(coalesce(octet_length(f.detail), 0)) OVER newest <= $6 THEN f.detail END AS "detail?"
           FROM (SELECT e.run_id, e.finished_at, e.result, e.message AS run_message, e.exit_code, c.case_id, c.cell_id,
                        c.status, c.message, c.detail, c.raw_bytes, c.report, c.place
                 FROM (SELECT run_id, attempt, finished_at, result, message, exit_code FROM run_end
                       WHERE test_id = $1 AND ns_id = ANY($2) AND finished_at >= $3 AND result <> 'cancelled'
                       ORDER BY finished_at DESC, run_id DESC LIMIT $7) e
                 LEFT JOIN LATERAL (
                     SELECT case_id, cell_id, status, message, detail, raw_bytes, report, place FROM report_case
                     WHERE run_id = e.run_id AND attempt = e.attempt AND status IN ('fail', 'error')
                     ORDER BY report, place LIMIT $4) c ON true
                 WHERE c.case_id IS NOT NULL OR e.result <> 'pass'
                 ORDER BY e.finished_at DESC, e.run_id DESC, c.report, c.place
                 LIMIT $4) f
           LEFT JOIN cell k ON k.id = f.cell_id
           WINDOW newest AS (ORDER BY f.finished_at DESC, f.run_id DESC, f.report, f.place ROWS UNBOUNDED PRECEDING)
           ORDER BY f.finished_at DESC, f.run_id DESC, f.report, f.place"#,
        test.0,
        access.namespaces(),
        since,
        i64::from(MOST_FAILURES) + 1,
        i64::from(MOST_DETAILS),
        MOST_BYTES,
        MOST_SEARCHED
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| FailureRow {
        moment: Moment { at: row.finished_at, run_id: row.run_id },
        cell: row.cell.map(|cell| cell.0).unwrap_or_default(),
        result: row.result,
        run_message: row.run_message,
        exit_code: row.exit_code,
        case: row.case_id.zip(row.status),
        message: row.message,
        detail: row.detail.map(|body| Packed { body, raw_bytes: row.raw_bytes }),
    });
    Ok(rows.collect())
}

/// Reads the keys of cases of a test.
pub async fn keys(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    test: TestId,
    cases: &[CaseId],
) -> Result<Vec<FailedCase>> {
    let ids: Vec<Uuid> = cases.iter().map(|case| case.0).collect();
    let rows = sqlx::query!(
        r#"SELECT case_id AS "case_id: CaseId", suite AS "suite: Json<Vec<String>>", classname, name, file, own_id
           FROM case_key WHERE case_id = ANY($1) AND test_id = $2 AND ns_id = ANY($3)"#,
        &ids,
        test.0,
        access.namespaces()
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| FailedCase {
        case_id: row.case_id,
        key: key_of(row.suite, row.classname, row.name, row.file, row.own_id),
    });
    Ok(rows.collect())
}

/// Runs of a cell that ended the same way.
#[derive(Debug)]
pub struct EndedAlike {
    /// The cell.
    pub cell: Labels,
    /// How they ended.
    pub result: RunResult,
    /// Why.
    pub reason: Option<Reason>,
    /// They are among those that are left out.
    pub left_out: bool,
    /// How many.
    pub runs: u64,
}

/// Counts the newest runs of a test by their cells and ends.
pub async fn ended_alike(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    test: TestId,
    since: DateTime<Utc>,
    left_out: &[RunId],
) -> Result<Vec<EndedAlike>> {
    // The limit inside of the lateral join lets every run be looked up by its id, however many there are in all.
    let rows = sqlx::query!(
        r#"SELECT g.body -> 'cell' AS "cell!: Json<Labels>", n.result AS "result!: RunResult", n.reason AS "reason: Reason",
                  n.left_out AS "left_out!", n.runs AS "runs!"
           FROM (SELECT r.config_id, e.result, e.reason, e.run_id = ANY($4::uuid[]) AS left_out, count(*) AS runs
                 FROM (SELECT run_id, result, reason FROM run_end
                       WHERE test_id = $1 AND ns_id = ANY($2) AND finished_at >= $3
                       ORDER BY finished_at DESC, run_id DESC LIMIT $5) e
                 CROSS JOIN LATERAL (SELECT config_id FROM run WHERE id = e.run_id LIMIT 1) r
                 GROUP BY 1, 2, 3, 4) n
           JOIN config g ON g.id = n.config_id"#,
        test.0,
        access.namespaces(),
        since,
        &left_out.iter().map(|run| run.0).collect::<Vec<_>>(),
        i64::from(MOST_RUNS)
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| EndedAlike {
        cell: row.cell.0,
        result: row.result,
        reason: row.reason,
        left_out: row.left_out,
        runs: row.runs.unsigned_abs(),
    });
    Ok(rows.collect())
}
