//! What runs were made of, to make others like them.

use sqlx::types::Json;
use tstr_shared::ids::{MatrixId, RunId, TestId, lowest_at};
use tstr_shared::labels::Labels;
use tstr_shared::permission::RunsWrite;
use tstr_shared::report::CaseId;
use tstr_shared::results::NamedCase;
use tstr_shared::run::RunResult;
use tstr_shared::testdef::Priority;

use super::queue::ConfigBody;
use super::{Conn, key_of};
use crate::auth::access::Access;
use crate::error::Result;

/// A run, as far as another is made like it.
#[derive(Debug, Clone)]
pub struct Source {
    /// The run.
    pub run_id: RunId,
    /// Its test.
    pub test_id: TestId,
    /// Its namespace.
    pub ns_id: i32,
    /// Its placement class.
    pub class_id: i32,
    /// What it executed.
    pub config_id: i64,
    /// Its cell.
    pub cell: Labels,
    /// Its priority.
    pub priority: Priority,
    /// How long it could wait.
    pub queue_secs: i32,
    /// The number of its latest attempt; 0 without one.
    pub attempt: u16,
    /// How it ended; absent while it has not.
    pub result: Option<RunResult>,
}

struct SourceRow {
    run_id: RunId,
    test_id: TestId,
    ns_id: i32,
    class_id: i32,
    config_id: i64,
    cell: Json<Labels>,
    priority: Priority,
    queue_secs: i32,
    attempt: i16,
    result: Option<RunResult>,
}

impl From<SourceRow> for Source {
    fn from(row: SourceRow) -> Self {
        Self {
            run_id: row.run_id,
            test_id: row.test_id,
            ns_id: row.ns_id,
            class_id: row.class_id,
            config_id: row.config_id,
            cell: row.cell.0,
            priority: row.priority,
            queue_secs: row.queue_secs,
            attempt: row.attempt.unsigned_abs(),
            result: row.result,
        }
    }
}

/// Reads a run.
pub async fn source(conn: &mut Conn, access: &Access<RunsWrite>, run: RunId) -> Result<Option<Source>> {
    let row = sqlx::query_as!(
        SourceRow,
        r#"SELECT r.id AS "run_id: RunId", r.test_id AS "test_id: TestId", r.ns_id, r.class_id, r.config_id,
                  (c.body->'cell')::jsonb AS "cell!: Json<Labels>", r.priority AS "priority: Priority", r.queue_secs,
                  coalesce(e.attempt, 0::smallint) AS "attempt!", e.result AS "result?: RunResult"
           FROM run r
           JOIN config c ON c.id = r.config_id
           LEFT JOIN run_end e ON e.run_id = r.id
           WHERE r.id = $1 AND r.ns_id = ANY($2)"#,
        run.0,
        access.namespaces()
    );
    Ok(row.fetch_optional(conn).await?.map(Into::into))
}

/// Reads the runs that were made together, in the order of their ids.
pub async fn of_matrix(conn: &mut Conn, access: &Access<RunsWrite>, matrix: MatrixId) -> Result<Vec<Source>> {
    // The runs of a matrix share the milliseconds in their ids.
    let (from, to) = (lowest_at(matrix.time()), lowest_at(matrix.time() + chrono::Duration::milliseconds(1)));
    let rows = sqlx::query_as!(
        SourceRow,
        r#"SELECT r.id AS "run_id: RunId", r.test_id AS "test_id: TestId", r.ns_id, r.class_id, r.config_id,
                  (c.body->'cell')::jsonb AS "cell!: Json<Labels>", r.priority AS "priority: Priority", r.queue_secs,
                  coalesce(e.attempt, 0::smallint) AS "attempt!", e.result AS "result?: RunResult"
           FROM run r
           JOIN config c ON c.id = r.config_id
           LEFT JOIN run_end e ON e.run_id = r.id
           WHERE r.matrix_id = $1 AND r.id >= $2 AND r.id < $3 AND r.ns_id = ANY($4)
           ORDER BY r.id"#,
        matrix.0,
        from,
        to,
        access.namespaces()
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(Into::into).collect())
}

/// Reads what a run executed.
pub async fn config(conn: &mut Conn, access: &Access<RunsWrite>, run: RunId) -> Result<ConfigBody> {
    let body = sqlx::query_scalar!(
        r#"SELECT c.body AS "body: Json<ConfigBody>" FROM run r JOIN config c ON c.id = r.config_id
           WHERE r.id = $1 AND r.ns_id = ANY($2)"#,
        run.0,
        access.namespaces()
    );
    Ok(body.fetch_one(conn).await?.0)
}

/// Reads which cases of an attempt failed, each once, in the order of its reports, up to so many.
pub async fn failed_cases(
    conn: &mut Conn,
    access: &Access<RunsWrite>,
    of: super::artifacts::Of,
    limit: i64,
) -> Result<Vec<NamedCase>> {
    let rows = sqlx::query!(
        r#"SELECT k.case_id AS "case_id: CaseId", k.suite AS "suite: Json<Vec<String>>", k.classname, k.name, k.file, k.own_id
           FROM (SELECT case_id, min(report) AS report, min(place) AS place FROM report_case
                 WHERE run_id = $1 AND attempt = $2 AND status IN ('fail', 'error')
                 GROUP BY case_id
                 ORDER BY min(report), min(place), case_id
                 LIMIT $4) f
           JOIN case_key k ON k.case_id = f.case_id
           WHERE k.ns_id = ANY($3)
           ORDER BY f.report, f.place, f.case_id"#,
        of.run.0,
        of.attempt as i16,
        access.namespaces(),
        limit
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| NamedCase {
        id: row.case_id,
        key: key_of(row.suite, row.classname, row.name, row.file, row.own_id),
    });
    Ok(rows.collect())
}
