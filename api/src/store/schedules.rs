//! Schedules: which tests are due, and when they are due next.

use chrono::{DateTime, NaiveDate, Utc};
use tstr_shared::ids::TestId;
use tstr_shared::permission::{TestsRead, TestsWrite};

use super::Conn;
use crate::auth::access::{Access, System};
use crate::error::Result;

/// A test whose instant has come.
#[derive(Debug)]
pub struct DueTest {
    /// The test.
    pub id: TestId,
    /// The namespace of the test.
    pub ns_id: i32,
    /// The instant that is due.
    pub next_at: DateTime<Utc>,
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// The test as it was registered, unread: a document that cannot be read concerns this test only.
    pub doc: String,
}

/// Sets the next instant of a test, or takes it off the schedule.
pub async fn set_next(conn: &mut Conn, _: &Access<TestsWrite>, id: TestId, next: Option<DateTime<Utc>>) -> Result<()> {
    match next {
        Some(next) => {
            sqlx::query!(
                r#"INSERT INTO schedule (test_id, next_at) VALUES ($1, $2)
                   ON CONFLICT (test_id) DO UPDATE SET next_at = EXCLUDED.next_at"#,
                id.0,
                next
            )
            .execute(conn)
            .await?
        }
        None => sqlx::query!("DELETE FROM schedule WHERE test_id = $1", id.0).execute(conn).await?,
    };
    Ok(())
}

/// Holds the place of a test on the schedule until the transaction ends, and returns it.
pub async fn hold(conn: &mut Conn, _: &Access<TestsWrite>, id: TestId) -> Result<Option<DateTime<Utc>>> {
    let held = sqlx::query_scalar!("SELECT next_at FROM schedule WHERE test_id = $1 FOR UPDATE", id.0);
    Ok(held.fetch_optional(conn).await?)
}

/// Takes a test that is paused off the schedule, and keeps from which instant on the ledger has nothing of it.
pub async fn pause(conn: &mut Conn, _: &Access<TestsWrite>, id: TestId, since: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"WITH gone AS (DELETE FROM schedule WHERE test_id = $1)
           INSERT INTO paused_schedule (test_id, since) VALUES ($1, $2)
           ON CONFLICT (test_id) DO UPDATE SET since = EXCLUDED.since"#,
        id.0,
        since
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets that a test is paused; returns from which instant on the ledger has nothing of it.
pub async fn unpause(conn: &mut Conn, _: &Access<TestsWrite>, id: TestId) -> Result<Option<DateTime<Utc>>> {
    let since = sqlx::query_scalar!("DELETE FROM paused_schedule WHERE test_id = $1 RETURNING since", id.0);
    Ok(since.fetch_optional(conn).await?)
}

/// Moves tests on after their due instants have been enqueued, in the same transaction; those without a next instant
/// leave the schedule. Their rows are locked already.
pub async fn advance(conn: &mut Conn, _: &Access<System>, next: &[(TestId, Option<DateTime<Utc>>)]) -> Result<()> {
    sqlx::query!(
        r#"WITH given AS (
               SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) AS u(test_id, next_at)),
           gone AS (
               DELETE FROM schedule s USING given g WHERE s.test_id = g.test_id AND g.next_at IS NULL)
           UPDATE schedule s SET next_at = g.next_at
           FROM given g
           WHERE s.test_id = g.test_id AND g.next_at IS NOT NULL"#,
        &next.iter().map(|(id, _)| id.0).collect::<Vec<_>>(),
        &next.iter().map(|(_, at)| *at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks up to `limit` tests whose instant has come, after `since`, and reads the first of them: as many as have `bytes` of
/// documents together, and one more. Those that another transaction works on are passed over.
pub async fn lock_due(
    conn: &mut Conn,
    _: &Access<System>,
    since: DateTime<Utc>,
    limit: i64,
    bytes: i64,
) -> Result<Vec<DueTest>> {
    let rows = sqlx::query_as!(
        DueTest,
        r#"WITH due AS MATERIALIZED (
               SELECT s.test_id, s.next_at
               FROM schedule s
               WHERE s.next_at >= $1 AND s.next_at <= (SELECT clock_timestamp())
               ORDER BY s.next_at
               LIMIT $2
               FOR UPDATE SKIP LOCKED),
           read AS (
               SELECT d.test_id, d.next_at, t.ns_id, t.doc,
                      sum(octet_length(t.doc)) OVER (ORDER BY d.next_at, d.test_id) - octet_length(t.doc) AS before
               FROM due d
               CROSS JOIN LATERAL (SELECT ns_id, doc::text AS doc FROM test WHERE id = d.test_id OFFSET 0) t)
           SELECT test_id AS "id: TestId", ns_id, next_at, clock_timestamp() AS "now!", doc AS "doc!"
           FROM read
           WHERE before < $3
           ORDER BY next_at, test_id"#,
        since,
        limit,
        bytes
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Holds a day of the past so that its runs can be made, until the transaction ends; tells whether that is possible. It is
/// not while the day is being dropped.
pub async fn hold_day<P>(conn: &mut Conn, _: &Access<P>, day: NaiveDate) -> Result<bool> {
    let held = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock_shared(7478115, $1::date - date '1970-01-01') AS "held!""#,
        day
    );
    Ok(held.fetch_one(conn).await?)
}

/// Returns how long until the next instant of any test, in seconds; negative when one is due.
pub async fn seconds_to_next(conn: &mut Conn, _: &Access<System>) -> Result<Option<f64>> {
    let wait = sqlx::query_scalar!("SELECT extract(epoch FROM min(next_at) - clock_timestamp())::float8 FROM schedule");
    Ok(wait.fetch_one(conn).await?)
}

/// Lists the tests of the namespace that have a schedule, by their names, behind one: id, name and document, unread.
pub async fn scheduled(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<(TestId, String, String)>> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: TestId", name, doc::text AS "doc!" FROM test
           WHERE ns_id = $1 AND deleted_at IS NULL AND ($2::text IS NULL OR name > $2)
             AND doc ->> 'cron_schedule' IS NOT NULL
           ORDER BY name
           LIMIT $3"#,
        access.namespace(),
        after,
        limit
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.id, row.name, row.doc)).collect())
}
