//! Numbers that the runs of a test handed over.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::types::Json;
use tstr_shared::ids::{RunId, TestId};
use tstr_shared::labels::Labels;
use tstr_shared::output::Metric;
use tstr_shared::permission::RunsRead;
use tstr_shared::run::RunResult;
use tstr_shared::series::{Handed, SeriesRun};

use super::Conn;
use crate::auth::access::Access;
use crate::error::Result;

/// How many ends are looked at for those of a cell.
const MOST_ENDS: i64 = 2000;

/// Reads what the latest runs of a test handed over, of one cell if it is given; the latest first.
pub async fn handed(
    conn: &mut Conn,
    access: &Access<RunsRead>,
    test: TestId,
    cell: Option<&Labels>,
    limit: i64,
) -> Result<Vec<Handed>> {
    // Rows are looked up one by one: a join that was planned while the tables were empty would read all of them.
    let rows = sqlx::query!(
        r#"SELECT e.run_id AS "run_id: RunId", e.finished_at, e.result AS "result: RunResult", e.started_at,
                  c.cell AS "cell!: Json<Labels>", o.data AS "data?: Json<BTreeMap<String, Value>>",
                  o.metrics AS "metrics?: Json<Vec<Metric>>"
           FROM (SELECT run_id, finished_at, result, started_at, attempt
                 FROM run_end WHERE test_id = $1 AND ns_id = ANY($2)
                 ORDER BY finished_at DESC LIMIT $5) e
           CROSS JOIN LATERAL (SELECT config_id FROM run WHERE id = e.run_id OFFSET 0) r
           CROSS JOIN LATERAL (SELECT (body -> 'cell')::jsonb AS cell FROM config WHERE id = r.config_id OFFSET 0) c
           LEFT JOIN LATERAL (SELECT data, metrics FROM output
                              WHERE run_id = e.run_id AND attempt = e.attempt OFFSET 0) o ON true
           WHERE $3::jsonb IS NULL OR c.cell = $3
           ORDER BY e.finished_at DESC
           LIMIT $4"#,
        test.0,
        access.namespaces(),
        cell.map(|cell| serde_json::json!(cell)),
        limit,
        if cell.is_some() { MOST_ENDS } else { limit }
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| Handed {
        run: SeriesRun {
            run_id: row.run_id,
            cell: row.cell.0,
            finished_at: row.finished_at,
            result: row.result,
            duration_ms: row
                .started_at
                .and_then(|started| u64::try_from((row.finished_at - started).num_milliseconds()).ok()),
        },
        data: row.data.map(|data| data.0).unwrap_or_default(),
        metrics: row.metrics.map(|metrics| metrics.0).unwrap_or_default(),
    });
    Ok(rows.collect())
}
