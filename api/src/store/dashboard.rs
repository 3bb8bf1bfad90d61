//! What is told of a namespace at one look, from rows that are kept up to date with each run that ends.

use chrono::{DateTime, Utc};
use tstr_shared::analysis::flaky::Status;
use tstr_shared::analysis::window::Window;
use tstr_shared::ids::{RunId, TestId};
use tstr_shared::permission::{RunsRead, TestsRead};
use tstr_shared::run::RunResult;

use super::Conn;
use crate::auth::access::Access;
use crate::error::Result;

/// How many cells that are not well are looked at.
const MOST_CELLS: i64 = 5000;

/// A cell of a test that fails or is flaky.
#[derive(Debug)]
pub struct Unwell {
    /// The test.
    pub test_id: TestId,
    /// Its name.
    pub name: String,
    /// Healthy, flaky or broken.
    pub status: Status,
    /// Since when.
    pub changed_at: Option<DateTime<Utc>>,
    /// Its latest run, and how that ended.
    pub last: Option<(RunId, RunResult)>,
    /// Its recent runs, where the latest failed.
    pub window: Option<Window>,
}

/// Counts the tests of the namespace.
pub async fn count_tests(conn: &mut Conn, access: &Access<TestsRead>) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM test WHERE ns_id = $1 AND deleted_at IS NULL"#,
        access.namespace()
    );
    Ok(count.fetch_one(conn).await?)
}

/// Reads the cells of the namespace whose latest run failed, or that are flaky.
pub async fn unwell(conn: &mut Conn, access: &Access<TestsRead>) -> Result<Vec<Unwell>> {
    let rows = sqlx::query!(
        r#"SELECT t.id AS "test_id: TestId", t.name, c.status AS "status: Status", c.changed_at, c.last_run AS "last_run: RunId",
                  c.last_result AS "last_result: RunResult", w.runs AS "runs?"
           FROM cell c
           JOIN test t ON t.id = c.test_id AND t.deleted_at IS NULL
           LEFT JOIN cell_window w ON w.cell_id = c.id AND c.last_result IN ('fail', 'error', 'timed_out', 'cancelled')
           WHERE c.ns_id = $1 AND (c.last_result IN ('fail', 'error', 'timed_out', 'cancelled') OR c.status = 'flaky')
           ORDER BY c.last_at DESC NULLS LAST
           LIMIT $2"#,
        access.namespace(),
        MOST_CELLS
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| Unwell {
        test_id: row.test_id,
        name: row.name,
        status: row.status,
        changed_at: row.changed_at,
        last: row.last_run.zip(row.last_result),
        window: row.runs.map(|runs| Window::from_bytes(&runs)),
    });
    Ok(rows.collect())
}

/// How long the runs of a test took, in two times.
#[derive(Debug)]
pub struct Pace {
    /// The test.
    pub test_id: TestId,
    /// Its name.
    pub name: String,
    /// How many runs in the last two days.
    pub runs: i64,
    /// How long they took on average, in milliseconds.
    pub mean_ms: i64,
    /// The same of the two weeks before.
    pub before_ms: i64,
}

/// Reads the tests that took longer in the last two days than in the two weeks before, by a factor and by so many milliseconds;
/// those of which there are enough runs to say so.
pub async fn slower(conn: &mut Conn, access: &Access<TestsRead>, factor: f64, least_ms: i64) -> Result<Vec<Pace>> {
    let rows = sqlx::query_as!(
        Pace,
        r#"WITH sums AS MATERIALIZED (
               SELECT key, sum(runs) FILTER (WHERE is_new) AS runs, sum(ms) FILTER (WHERE is_new) AS ms,
                      sum(runs) FILTER (WHERE NOT is_new) AS runs_before, sum(ms) FILTER (WHERE NOT is_new) AS ms_before
               FROM (SELECT key, pass + fail + timed_out AS runs, duration_ms AS ms,
                            at >= date_trunc('day', now(), 'UTC') - interval '1 day' AS is_new
                     FROM rollup
                     WHERE ns_id = $1 AND dim = 1 AND grain = 1
                       AND at >= date_trunc('day', now(), 'UTC') - interval '15 days') days
               GROUP BY key)
           SELECT t.id AS "test_id: TestId", t.name, s.runs::bigint AS "runs!", (s.ms / nullif(s.runs, 0))::bigint AS "mean_ms!",
                  (s.ms_before / nullif(s.runs_before, 0))::bigint AS "before_ms!"
           FROM sums s JOIN test t ON t.id = s.key::uuid AND t.deleted_at IS NULL
           WHERE s.runs >= 5 AND s.runs_before >= 10
             AND s.ms / nullif(s.runs, 0) >= $2::float8::numeric * (s.ms_before / nullif(s.runs_before, 0))
             AND s.ms / nullif(s.runs, 0) >= s.ms_before / nullif(s.runs_before, 0) + $3::bigint
           ORDER BY s.ms / nullif(s.runs, 0) / greatest(s.ms_before / nullif(s.runs_before, 0), 1) DESC, t.name"#,
        access.namespace(),
        factor,
        least_ms
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Counts the runs of the namespace that runners hold.
pub async fn held(conn: &mut Conn, access: &Access<RunsRead>) -> Result<i64> {
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM lease WHERE ns_id = $1"#, access.namespace());
    Ok(count.fetch_one(conn).await?)
}
