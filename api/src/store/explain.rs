//! Looks at what waits, for people; nothing here changes anything or takes a lock.
//!
//! Counts end at a limit, so that a deep queue costs a look no more than a shallow one does.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use tstr_shared::ids::{RunId, RunnerId};
use tstr_shared::labels::Labels;
use tstr_shared::permission::RunsRead;
use tstr_shared::testdef::Priority;

use super::Conn;
use crate::auth::access::Access;
use crate::error::Result;

/// Lets all that the transaction reads be of one moment: a run that moves on meanwhile is seen where it was.
pub async fn of_one_moment(conn: &mut Conn) -> Result<()> {
    sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(conn).await?;
    Ok(())
}

/// What the queue knows of a run that waits.
#[derive(Debug)]
pub struct WaitingRow {
    /// When it may be taken, while it waits for its time.
    pub due: Option<DateTime<Utc>>,
    /// Its queue deadline, where that is set.
    pub deadline: Option<DateTime<Utc>>,
    /// How many runs with the same labels come before it, looked for up to the limit; absent where it stands in no
    /// line.
    pub ahead: Option<i64>,
    /// How many runs of its namespace runners hold.
    pub running: i64,
    /// How many they may hold.
    pub max_running: Option<i32>,
    /// It waits for a slot of its concurrency group, or of its cell: how many hold one.
    pub group_held: Option<i64>,
    /// How many may.
    pub group_slots: Option<i16>,
    /// The name of the group; absent for a cell.
    pub group_name: Option<String>,
    /// It waits for a slot of its matrix: how many hold one.
    pub matrix_held: Option<i64>,
    /// How many may.
    pub max_parallel: Option<i16>,
}

/// Reads where a run stands in the queue, and counts up to `limit` runs before it.
pub async fn waiting(conn: &mut Conn, access: &Access<RunsRead>, run: RunId, limit: i64) -> Result<Option<WaitingRow>> {
    let row = sqlx::query_as!(
        WaitingRow,
        r#"SELECT coalesce(d.due, p.due) AS "due?",
                  coalesce(q.expires_at, d.due + make_interval(secs => d.queue_secs), p.expires_at) AS "deadline?",
                  CASE WHEN q.run_id IS NOT NULL THEN (
                      SELECT count(*) FROM (
                          SELECT 1 FROM ready b
                          WHERE b.lane >= r.class_id * 4 AND b.lane < r.class_id * 4 + r.priority
                          UNION ALL
                          SELECT 1 FROM ready b
                          WHERE b.lane = r.class_id * 4 + r.priority AND b.seq < r.seq
                          LIMIT $3) AS before_it)
                  END AS "ahead?",
                  (SELECT count(*) FROM lease l WHERE l.ns_id = r.ns_id) AS "running!",
                  n.max_running,
                  CASE WHEN p.due IS NULL AND p.group_slot IS NULL AND p.group_key IS NOT NULL THEN (
                      SELECT count(*) FROM gated h WHERE h.group_key = p.group_key AND h.group_slot IS NOT NULL)
                  END AS "group_held?",
                  g.slots AS "group_slots?", g.name AS "group_name?",
                  CASE WHEN p.due IS NULL AND p.matrix_slot IS NULL AND p.max_parallel IS NOT NULL THEN (
                      SELECT count(*) FROM gated h WHERE h.matrix_id = p.matrix_id AND h.matrix_slot IS NOT NULL)
                  END AS "matrix_held?",
                  p.max_parallel AS "max_parallel?"
           FROM run r
           JOIN namespace n ON n.id = r.ns_id
           LEFT JOIN ready q ON q.lane = r.class_id * 4 + r.priority AND q.seq = r.seq AND q.run_id = r.id
           LEFT JOIN delayed d ON d.run_id = r.id
           LEFT JOIN gated p ON p.run_id = r.id AND p.parked
           LEFT JOIN gate g ON g.key = p.group_key
           WHERE r.id = $1 AND r.ns_id = ANY($2)"#,
        run.0,
        access.namespaces(),
        limit
    );
    Ok(row.fetch_optional(conn).await?)
}

/// The lease of a run.
#[derive(Debug)]
pub struct LeaseRow {
    /// The runner that holds it.
    pub runner_id: RunnerId,
    /// That runner's name.
    pub runner_name: Option<String>,
    /// The number of the attempt.
    pub attempt: i16,
    /// When it was given.
    pub leased_at: DateTime<Utc>,
    /// When the container was permitted to start.
    pub started_at: Option<DateTime<Utc>>,
    /// When it runs out.
    pub expires_at: DateTime<Utc>,
    /// When the server ends the run.
    pub hard_deadline: Option<DateTime<Utc>>,
    /// When cancelling was asked for.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// Who asked for it.
    pub cancelled_by: Option<String>,
}

/// Reads the lease of a run.
pub async fn lease(conn: &mut Conn, access: &Access<RunsRead>, run: RunId) -> Result<Option<LeaseRow>> {
    let row = sqlx::query_as!(
        LeaseRow,
        r#"SELECT l.runner_id AS "runner_id: RunnerId", w.name AS "runner_name?", l.attempt, l.leased_at, l.started_at,
                  l.expires_at, l.hard_deadline, l.cancel_requested_at, l.cancelled_by
           FROM lease l
           LEFT JOIN runner w ON w.id = l.runner_id
           WHERE l.run_id = $1 AND l.ns_id = ANY($2)"#,
        run.0,
        access.namespaces()
    );
    Ok(row.fetch_optional(conn).await?)
}

/// The runs of a class that wait and are in no lane.
#[derive(Debug, Clone, Copy, Default)]
pub struct Aside {
    /// How many wait for their time.
    pub delayed: i64,
    /// When the next of these may be taken.
    pub next_due: Option<DateTime<Utc>>,
    /// How many wait for a slot of a gate.
    pub gated: i64,
}

/// Reads which classes of the namespace have runs that wait for their time or behind a gate, from at most `limit` of
/// either place; tells whether there are more.
pub async fn aside(conn: &mut Conn, access: &Access<RunsRead>, limit: i64) -> Result<(HashMap<i32, Aside>, bool)> {
    let rows = sqlx::query!(
        r#"SELECT x.lane / 4 AS "class_id!", count(*) AS "count!",
                  count(*) FILTER (WHERE x.due IS NOT NULL) AS "delayed!", min(x.due) AS "next_due?"
           FROM (
               (SELECT d.lane, d.due
                FROM delayed d JOIN class c ON c.id = d.lane / 4
                WHERE c.ns_id = $1
                LIMIT $2)
               UNION ALL
               (SELECT g.lane, g.due FROM gated g WHERE g.ns_id = $1 AND g.parked LIMIT $2)
           ) AS x
           GROUP BY 1"#,
        access.namespace(),
        limit
    );
    let rows = rows.fetch_all(conn).await?;
    let total: i64 = rows.iter().map(|row| row.count).sum();
    let by_class = rows.into_iter().map(|row| {
        let aside = Aside { delayed: row.delayed, next_due: row.next_due, gated: row.count - row.delayed };
        (row.class_id, aside)
    });
    Ok((by_class.collect(), total >= limit))
}

/// The waiting runs of one class and priority.
#[derive(Debug)]
pub struct LaneRow {
    /// The class.
    pub class_id: i32,
    /// Its labels.
    pub labels: Labels,
    /// The priority; absent for a class of which nothing can be taken now.
    pub priority: Option<Priority>,
    /// How many runs, looked for up to the limit.
    pub depth: i64,
    /// Since when the first of them could be taken.
    pub oldest: Option<DateTime<Utc>>,
}

/// Reads the lanes of the classes of the namespace behind `after` that have waiting runs or are among `also`, at most
/// `classes` of them; counts up to `limit` runs in each lane.
pub async fn lanes(
    conn: &mut Conn,
    access: &Access<RunsRead>,
    after: i32,
    also: &[i32],
    classes: i64,
    limit: i64,
) -> Result<Vec<LaneRow>> {
    let rows = sqlx::query_file!("src/store/sql/queue.sql", access.namespace(), after, also, classes, limit);
    Ok(rows
        .fetch_all(conn)
        .await?
        .into_iter()
        .map(|row| LaneRow {
            class_id: row.class_id,
            labels: row.labels.0,
            priority: row.priority,
            depth: row.depth,
            oldest: row.oldest,
        })
        .collect())
}
