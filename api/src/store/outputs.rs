//! What attempts said about themselves: result data, metrics, summaries.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::types::Json;
use tstr_shared::ids::RunId;
use tstr_shared::lease::Fence;
use tstr_shared::output::{Metric, Output, OutputNote};
use tstr_shared::permission::{RunsExecute, RunsRead};

use super::Conn;
use super::claims::OwnLease;
use crate::auth::access::Access;
use crate::error::Result;

/// Holds a lease until the transaction ends, so that its run does not end meanwhile; tells whether its fence is current, and
/// its runner the caller's. Heartbeats go on.
pub async fn hold_lease(conn: &mut Conn, access: &Access<RunsExecute>, lease: &OwnLease) -> Result<bool> {
    let held = sqlx::query_scalar!(
        r#"SELECT l.run_id FROM lease l
           WHERE l.run_id = $1 AND l.attempt = $2 AND l.lease_id = $3 AND l.runner_id = $4 AND l.ns_id = ANY($5)
             AND EXISTS (SELECT 1 FROM runner w WHERE w.id = $4 AND w.token_id = $6)
           FOR KEY SHARE OF l"#,
        lease.fence.run_id.0,
        lease.fence.attempt as i16,
        lease.fence.lease_id.0,
        lease.runner.0,
        access.namespaces(),
        lease.token.0
    );
    Ok(held.fetch_optional(conn).await?.is_some())
}

/// Puts what an attempt said in place of what was recorded before. Call after [`hold_lease`] in one transaction.
pub async fn replace(conn: &mut Conn, _: &Access<RunsExecute>, fence: Fence, output: &Output) -> Result<()> {
    sqlx::query!(
        r#"INSERT INTO output (run_id, attempt, data, metrics, notes, summary, summary_cut)
           VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT (run_id, attempt)
           DO UPDATE SET data = excluded.data, metrics = excluded.metrics, notes = excluded.notes,
                         summary = excluded.summary, summary_cut = excluded.summary_cut"#,
        fence.run_id.0,
        fence.attempt as i16,
        Json(&output.data) as _,
        Json(&output.metrics) as _,
        Json(&output.notes) as _,
        output.summary.as_deref(),
        output.summary_cut
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads what an attempt said; `None` when that is nothing. The caller has found the run by its access.
pub async fn get(conn: &mut Conn, _: &Access<RunsRead>, run: RunId, attempt: u16) -> Result<Option<Output>> {
    let row = sqlx::query!(
        r#"SELECT data AS "data: Json<BTreeMap<String, Value>>", metrics AS "metrics: Json<Vec<Metric>>",
                  notes AS "notes: Json<Vec<OutputNote>>", summary, summary_cut
           FROM output WHERE run_id = $1 AND attempt = $2"#,
        run.0,
        attempt as i16
    );
    let row = row.fetch_optional(conn).await?;
    Ok(row.map(|row| Output {
        data: row.data.0,
        metrics: row.metrics.0,
        summary: row.summary,
        summary_cut: row.summary_cut,
        notes: row.notes.0,
    }))
}

/// Reads the result data of an attempt, and the notes; both are empty when there are none. The caller has found the run by
/// its access.
pub async fn data(
    conn: &mut Conn,
    _: &Access<RunsRead>,
    run: RunId,
    attempt: u16,
) -> Result<(BTreeMap<String, Value>, Vec<OutputNote>)> {
    let row = sqlx::query!(
        r#"SELECT data AS "data: Json<BTreeMap<String, Value>>", notes AS "notes: Json<Vec<OutputNote>>"
           FROM output WHERE run_id = $1 AND attempt = $2"#,
        run.0,
        attempt as i16
    );
    let row = row.fetch_optional(conn).await?;
    Ok(row.map(|row| (row.data.0, row.notes.0)).unwrap_or_default())
}
