//! What heartbeats read and write, for many runners at once.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tstr_shared::ids::{LeaseId, RunId, RunnerId, TokenId};
use tstr_shared::lease::Fence;
use tstr_shared::permission::RunsExecute;
use tstr_shared::runner::Unfit;

use super::Conn;
use super::claims::interval;
use crate::auth::access::Access;
use crate::error::Result;

/// A runner, and the token that it speaks with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnRunner {
    /// The runner.
    pub runner: RunnerId,
    /// The token.
    pub token: TokenId,
}

/// How a runner stands.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// It is to take no more runs.
    pub draining: bool,
    /// Why it takes nothing new.
    pub unfit: Option<Unfit>,
    /// When it registered.
    pub registered_at: DateTime<Utc>,
}

/// Reads how runners stand. Those that do not belong to their token do not come back.
pub async fn standing(
    conn: &mut Conn,
    _: &Access<RunsExecute>,
    runners: &[OwnRunner],
) -> Result<HashMap<OwnRunner, Standing>> {
    let rows = sqlx::query!(
        r#"SELECT a.id AS "id!: RunnerId", a.token_id AS "token_id!: TokenId", w.draining, w.unfit AS "unfit: Unfit",
                  w.registered_at
           FROM unnest($1::uuid[], $2::uuid[]) AS a(id, token_id)
           CROSS JOIN LATERAL (
               SELECT draining, unfit, registered_at FROM runner WHERE id = a.id AND token_id = a.token_id OFFSET 0) w"#,
        &runners.iter().map(|one| one.runner.0).collect::<Vec<_>>(),
        &runners.iter().map(|one| one.token.0).collect::<Vec<_>>(),
    );
    Ok(rows
        .fetch_all(conn)
        .await?
        .into_iter()
        .map(|row| {
            let standing = Standing { draining: row.draining, unfit: row.unfit, registered_at: row.registered_at };
            (OwnRunner { runner: row.id, token: row.token_id }, standing)
        })
        .collect())
}

/// What became of a lease that was to be extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It was extended; whether a cancel was asked for.
    Extended(bool),
    /// Somebody else has it in hands, who starts or ends it: whether it is extended is to be asked again, with patience.
    Busy,
}

/// Extends leases of runners (T4); returns those that are still held. Unless it is `patient` it waits for nobody.
pub async fn renew(
    conn: &mut Conn,
    access: &Access<RunsExecute>,
    leases: &[(RunnerId, Fence)],
    ttl: Duration,
    patient: bool,
) -> Result<HashMap<(RunnerId, Fence), Renewal>> {
    // In one order for everybody, so that two that extend, start or end several wait for each other and do not deadlock.
    let rows = sqlx::query!(
        r#"WITH theirs AS MATERIALIZED (
               SELECT l.run_id, l.attempt, l.lease_id, l.runner_id FROM lease l
               JOIN unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::uuid[]) AS f(run_id, attempt, lease_id, runner_id)
                 ON l.run_id = f.run_id AND l.attempt = f.attempt AND l.lease_id = f.lease_id
                    AND l.runner_id = f.runner_id
               WHERE l.ns_id = ANY($5)),
           waited AS MATERIALIZED (
               SELECT l.run_id FROM lease l JOIN theirs t ON t.run_id = l.run_id AND t.lease_id = l.lease_id
               WHERE $7
               ORDER BY l.run_id
               FOR NO KEY UPDATE OF l),
           taken AS MATERIALIZED (
               SELECT l.run_id FROM lease l JOIN theirs t ON t.run_id = l.run_id AND t.lease_id = l.lease_id
               WHERE NOT $7
               ORDER BY l.run_id
               FOR NO KEY UPDATE OF l SKIP LOCKED),
           extended AS (
               UPDATE lease l SET expires_at = clock_timestamp() + $6
               WHERE l.run_id = ANY(ARRAY(SELECT run_id FROM waited UNION ALL SELECT run_id FROM taken))
               RETURNING l.run_id, l.cancel_requested_at IS NOT NULL AS cancelled)
           SELECT t.run_id AS "run_id!: RunId", t.attempt AS "attempt!", t.lease_id AS "lease_id!: LeaseId",
                  t.runner_id AS "runner_id!: RunnerId", e.cancelled AS "cancelled?"
           FROM theirs t
           LEFT JOIN extended e ON e.run_id = t.run_id
           WHERE e.run_id IS NOT NULL OR NOT $7"#,
        &leases.iter().map(|(_, fence)| fence.run_id.0).collect::<Vec<_>>(),
        &leases.iter().map(|(_, fence)| fence.attempt as i16).collect::<Vec<_>>(),
        &leases.iter().map(|(_, fence)| fence.lease_id.0).collect::<Vec<_>>(),
        &leases.iter().map(|(runner, _)| runner.0).collect::<Vec<_>>(),
        access.namespaces(),
        interval(ttl),
        patient,
    );
    let fence = |run_id, attempt: i16, lease_id| Fence { run_id, attempt: attempt.unsigned_abs(), lease_id };
    Ok(rows
        .fetch_all(conn)
        .await?
        .into_iter()
        .map(|row| {
            let renewal = row.cancelled.map_or(Renewal::Busy, Renewal::Extended);
            ((row.runner_id, fence(row.run_id, row.attempt, row.lease_id)), renewal)
        })
        .collect())
}

/// Finds leases of live runners that these do not know of: their claim's answer was lost before the start.
pub async fn unlisted_before_start(
    conn: &mut Conn,
    access: &Access<RunsExecute>,
    runners: &[RunnerId],
    listed: &[(RunnerId, Fence)],
    older_than: Duration,
) -> Result<Vec<(RunnerId, Fence)>> {
    let rows = sqlx::query!(
        r#"SELECT runner_id AS "runner_id: RunnerId", run_id AS "run_id: RunId", attempt, lease_id AS "lease_id: LeaseId"
           FROM lease
           WHERE runner_id = ANY($1) AND ns_id = ANY($2) AND started_at IS NULL
             AND leased_at < clock_timestamp() - $3::interval AND NOT run_id = ANY($4)"#,
        &runners.iter().map(|runner| runner.0).collect::<Vec<_>>(),
        access.namespaces(),
        interval(older_than),
        &listed.iter().map(|(_, fence)| fence.run_id.0).collect::<Vec<_>>(),
    );
    let fence = |run_id, attempt: i16, lease_id| Fence { run_id, attempt: attempt.unsigned_abs(), lease_id };
    Ok(rows
        .fetch_all(conn)
        .await?
        .into_iter()
        .map(|row| (row.runner_id, fence(row.run_id, row.attempt, row.lease_id)))
        .collect())
}
