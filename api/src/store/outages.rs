//! Outages: when control tests failed on runners.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tstr_shared::ids::RunnerId;
use tstr_shared::outage::Outage;
use tstr_shared::permission::RunnersRead;

use super::Conn;
use crate::auth::access::{Access, System};
use crate::error::Result;

/// A runner, as the tests of a namespace see it.
pub type Seen = (i32, RunnerId);

/// Reads since when control tests fail, by namespace and runner; one that has not failed for a day is not believed any more.
pub async fn broken_runners(conn: &mut Conn, _: &Access<System>) -> Result<HashMap<Seen, DateTime<Utc>>> {
    let rows = sqlx::query!(
        r#"SELECT ns_id, runner_id AS "runner: RunnerId", since FROM control_failure
           WHERE failed_at > clock_timestamp() - interval '1 day'"#
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| ((row.ns_id, row.runner), row.since)).collect())
}

/// Notes that the control test of a namespace has failed on a runner: since then, unless it failed before.
pub async fn note_broken(
    conn: &mut Conn,
    _: &Access<System>,
    (ns_id, runner): Seen,
    since: DateTime<Utc>,
    at: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"WITH forgotten AS (
               DELETE FROM control_failure
               WHERE ns_id = $1 AND runner_id = $2 AND failed_at <= $4::timestamptz - interval '1 day'
               RETURNING since, failed_at)
           INSERT INTO outage (ns_id, runner_id, since, until)
           SELECT $1, $2, since, failed_at FROM forgotten WHERE since < $3::timestamptz
           ON CONFLICT DO NOTHING"#,
        ns_id,
        runner.0,
        since,
        at
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"INSERT INTO control_failure AS c (ns_id, runner_id, since, failed_at) VALUES ($1, $2, $3, $4)
           ON CONFLICT (ns_id, runner_id) DO UPDATE SET failed_at = greatest(c.failed_at, excluded.failed_at)"#,
        ns_id,
        runner.0,
        since,
        at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that it has passed.
pub async fn note_works(conn: &mut Conn, _: &Access<System>, (ns_id, runner): Seen, at: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"WITH ended AS (DELETE FROM control_failure WHERE ns_id = $1 AND runner_id = $2 RETURNING since)
           INSERT INTO outage (ns_id, runner_id, since, until)
           SELECT $1, $2, since, greatest(since, $3::timestamptz) FROM ended
           ON CONFLICT DO NOTHING"#,
        ns_id,
        runner.0,
        at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Lists the outages of a namespace behind one, of all runners or of one, the newest first. The name of a runner that is
/// not known any more is empty.
pub async fn list(
    conn: &mut Conn,
    access: &Access<RunnersRead>,
    runner: Option<RunnerId>,
    after: Option<(DateTime<Utc>, RunnerId)>,
    limit: i64,
) -> Result<Vec<Outage>> {
    let (since, behind) = after.unzip();
    let rows = sqlx::query!(
        r#"SELECT o.runner_id AS "runner_id!: RunnerId", coalesce(w.name, '') AS "runner_name!", o.since AS "since!", o.failed_at,
                  o.until
           FROM (SELECT runner_id, since, failed_at, NULL::timestamptz AS until FROM control_failure
                 WHERE ns_id = $1 AND failed_at > clock_timestamp() - interval '1 day'
                 UNION ALL
                 SELECT runner_id, since, NULL, failed_at FROM control_failure
                 WHERE ns_id = $1 AND failed_at <= clock_timestamp() - interval '1 day'
                 UNION ALL
                 SELECT runner_id, since, NULL, until FROM outage WHERE ns_id = $1) o
           LEFT JOIN runner w ON w.id = o.runner_id
           WHERE ($2::uuid IS NULL OR o.runner_id = $2)
             AND ($3::timestamptz IS NULL OR (o.since, o.runner_id) < ($3, $4::uuid))
           ORDER BY o.since DESC, o.runner_id DESC
           LIMIT $5"#,
        access.namespace(),
        runner.map(|id| id.0),
        since,
        behind.map(|id: RunnerId| id.0),
        limit
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| Outage {
        runner_id: row.runner_id,
        runner_name: row.runner_name,
        since: row.since,
        failed_at: row.failed_at,
        until: row.until,
    });
    Ok(rows.collect())
}

/// Removes those that ended more than so many days ago, at most `limit` of those that a pass has ended; returns how many.
pub async fn prune(conn: &mut Conn, _: &Access<System>, days: i32, limit: i64) -> Result<u64> {
    let forgotten = sqlx::query!(
        "DELETE FROM control_failure WHERE failed_at < clock_timestamp() - make_interval(days => $1)",
        days
    );
    let forgotten = forgotten.execute(&mut *conn).await?.rows_affected();
    let done = sqlx::query!(
        r#"DELETE FROM outage
           WHERE ctid = ANY(ARRAY(SELECT ctid FROM outage
                                  WHERE until < clock_timestamp() - make_interval(days => $1) LIMIT $2))"#,
        days,
        limit
    );
    Ok(forgotten + done.execute(conn).await?.rows_affected())
}
