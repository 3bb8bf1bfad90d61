//! Cancels that the server orders itself: written in the transaction of their cause, carried out after it.
//!
//! Apart from their cause, because it holds the locks of gates, and whoever holds one must not wait for a lease.

use std::collections::BTreeMap;

use tstr_shared::ids::{LeaseId, RunId};
use tstr_shared::lease::Fence;

use super::Conn;
use super::queue::Enqueues;
use crate::auth::access::{Access, System};
use crate::error::Result;

/// Orders that runs are cancelled, each for its reason.
pub async fn add<P: Enqueues>(conn: &mut Conn, access: &Access<P>, runs: &BTreeMap<RunId, String>) -> Result<()> {
    sqlx::query!(
        r#"INSERT INTO cancel_order (run_id, actor, message)
           SELECT run_id, $3, message FROM unnest($1::uuid[], $2::text[]) AS u(run_id, message)
           ORDER BY run_id
           ON CONFLICT (run_id) DO NOTHING"#,
        &runs.keys().map(|run| run.0).collect::<Vec<_>>(),
        &runs.values().cloned().collect::<Vec<_>>(),
        access.actor()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A run that is to be cancelled.
#[derive(Debug)]
pub struct Order {
    /// The run.
    pub run_id: RunId,
    /// Its namespace.
    pub ns_id: i32,
    /// Who ordered it.
    pub actor: String,
    /// Why.
    pub message: String,
    /// Where the run stands.
    pub stands: Stands,
}

/// Where a run stands that is to be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// It waits.
    Waiting,
    /// It is leased and not started.
    Leased(Fence),
    /// It runs.
    Running,
    /// It has ended.
    Ended,
}

/// Reads orders. They are not locked: carrying one out twice does nothing, and who writes orders must not wait for it.
pub async fn read(conn: &mut Conn, _: &Access<System>, limit: i64) -> Result<Vec<Order>> {
    let rows = sqlx::query!(
        r#"SELECT o.run_id AS "run_id: RunId", r.ns_id AS "ns_id!", o.actor, o.message, l.attempt AS "attempt?",
                  l.lease_id AS "lease_id?: LeaseId", l.started_at IS NOT NULL AS "started!",
                  e.run_id IS NOT NULL AS "ended!"
           FROM cancel_order o
           CROSS JOIN LATERAL (SELECT ns_id FROM run WHERE id = o.run_id OFFSET 0) r
           LEFT JOIN lease l ON l.run_id = o.run_id
           LEFT JOIN run_end e ON e.run_id = o.run_id
           ORDER BY o.run_id
           LIMIT $1"#,
        limit
    );
    let orders = rows.fetch_all(conn).await?.into_iter().map(|row| Order {
        run_id: row.run_id,
        ns_id: row.ns_id,
        actor: row.actor,
        message: row.message,
        stands: match (row.ended, row.attempt, row.lease_id) {
            (true, _, _) => Stands::Ended,
            (false, Some(_), Some(_)) if row.started => Stands::Running,
            (false, Some(attempt), Some(lease_id)) => {
                Stands::Leased(Fence { run_id: row.run_id, attempt: attempt.unsigned_abs(), lease_id })
            }
            (false, _, _) => Stands::Waiting,
        },
    });
    Ok(orders.collect())
}

/// Asks for the cancelling of runs that run (T10); returns those that do.
pub async fn request_cancel(conn: &mut Conn, _: &Access<System>, orders: &[&Order]) -> Result<Vec<RunId>> {
    let asked = sqlx::query_scalar!(
        r#"WITH asked AS (
               SELECT l.run_id, a.actor, a.message
               FROM lease l JOIN unnest($1::uuid[], $2::text[], $3::text[]) AS a(run_id, actor, message) USING (run_id)
               WHERE l.started_at IS NOT NULL
               ORDER BY l.run_id
               FOR UPDATE OF l)
           UPDATE lease l
           SET cancel_note = CASE WHEN l.cancel_requested_at IS NULL THEN a.message ELSE l.cancel_note END,
               cancel_requested_at = coalesce(l.cancel_requested_at, clock_timestamp()),
               cancelled_by = coalesce(l.cancelled_by, a.actor)
           FROM asked a WHERE l.run_id = a.run_id
           RETURNING l.run_id AS "run_id: RunId""#,
        &orders.iter().map(|order| order.run_id.0).collect::<Vec<_>>(),
        &orders.iter().map(|order| order.actor.clone()).collect::<Vec<_>>(),
        &orders.iter().map(|order| order.message.clone()).collect::<Vec<_>>(),
    );
    Ok(asked.fetch_all(conn).await?)
}

/// Forgets orders that were carried out. In a statement of its own, after the commit of what they asked for.
pub async fn forget(conn: &mut Conn, _: &Access<System>, runs: &[RunId]) -> Result<()> {
    sqlx::query!("DELETE FROM cancel_order WHERE run_id = ANY($1)", &super::queue::uuids(runs)).execute(conn).await?;
    Ok(())
}
