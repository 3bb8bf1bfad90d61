//! What removes runs, logs and artifacts whose time is over, and the count of what is stored.
//!
//! A day goes as a whole, by dropping its partitions, where no namespace keeps anything of it; else rows go in batches. All
//! removals are made by one replica at a time ([`take_turn`]), each in a short transaction of its own; runs of a day are
//! pinned and removed under one lock, so that none is pinned that is just being removed.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use tstr_shared::ids::{RunId, lowest_at};
use tstr_shared::namespace::Retention;
use tstr_shared::permission::RunsWrite;
use uuid::Uuid;

use super::Conn;
use crate::auth::access::{Access, System};
use crate::error::Result;

/// So many days a class or configuration may be used without its row saying so. What is older than this and one more
/// day before the oldest day with runs is used by none of them.
pub(super) const FRESH_DAYS: i32 = 30;

/// Takes the turn to remove things until the transaction ends; tells whether it was free.
pub async fn take_turn(conn: &mut Conn, _: &Access<System>) -> Result<bool> {
    let taken = sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock(7478111, 3) AS "taken!""#);
    Ok(taken.fetch_one(conn).await?)
}

/// How long a namespace keeps things.
#[derive(Debug, Clone, Copy)]
pub struct Keeping {
    /// The namespace.
    pub ns_id: i32,
    /// Its days.
    pub retention: Retention,
}

struct KeepingRow {
    id: i32,
    runs_days: i32,
    logs_days: i32,
}

impl KeepingRow {
    fn keeping(self) -> Keeping {
        Keeping { ns_id: self.id, retention: Retention { runs_days: self.runs_days, logs_days: self.logs_days } }
    }
}

/// Reads how long each namespace keeps things.
pub async fn keepings(conn: &mut Conn, _: &Access<System>) -> Result<Vec<Keeping>> {
    let rows = sqlx::query_as!(KeepingRow, "SELECT id, runs_days, logs_days FROM namespace").fetch_all(conn).await?;
    Ok(rows.into_iter().map(KeepingRow::keeping).collect())
}

/// Reads how long each namespace keeps things, and holds it so until the transaction ends.
pub async fn hold_keepings(conn: &mut Conn, _: &Access<System>) -> Result<Vec<Keeping>> {
    let rows = sqlx::query_as!(KeepingRow, "SELECT id, runs_days, logs_days FROM namespace ORDER BY id FOR SHARE");
    Ok(rows.fetch_all(conn).await?.into_iter().map(KeepingRow::keeping).collect())
}

/// Lists the days that have a partition of runs, the oldest first.
pub async fn days(conn: &mut Conn, _: &Access<System>) -> Result<Vec<NaiveDate>> {
    let days = sqlx::query_scalar!(
        r#"SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS "day!"
           FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
           WHERE i.inhparent = 'run'::regclass
           ORDER BY 1"#
    );
    Ok(days.fetch_all(conn).await?)
}

/// Returns those of these namespaces that have runs of a day.
pub async fn with_runs(conn: &mut Conn, _: &Access<System>, day: NaiveDate, namespaces: &[i32]) -> Result<Vec<i32>> {
    let (low, high) = ids_of(day);
    let found = sqlx::query_scalar!(
        r#"SELECT n AS "ns_id!" FROM unnest($1::int[]) n
           WHERE EXISTS (SELECT FROM run WHERE ns_id = n AND id >= $2 AND id < $3)"#,
        namespaces,
        low,
        high
    );
    Ok(found.fetch_all(conn).await?)
}

/// Tells whether a day has nothing at all, not even runs that are pinned.
pub async fn is_empty(conn: &mut Conn, _: &Access<System>, day: NaiveDate) -> Result<bool> {
    let (low, high) = ids_of(day);
    let found =
        sqlx::query_scalar!(r#"SELECT NOT EXISTS (SELECT FROM run WHERE id >= $1 AND id < $2) AS "empty!""#, low, high);
    Ok(found.fetch_one(conn).await?)
}

/// Of these namespaces, those that have logs of a day to be removed as of the day `today`. Call after [`fold_usage`].
pub async fn unswept(
    conn: &mut Conn,
    _: &Access<System>,
    day: NaiveDate,
    namespaces: &[i32],
    today: NaiveDate,
) -> Result<Vec<i32>> {
    let found = sqlx::query_scalar!(
        r#"SELECT ns_id FROM usage
           WHERE day = $1 AND ns_id = ANY($2) AND NOT logs_swept AND (logs_again IS NULL OR logs_again <= $3)
           ORDER BY ns_id"#,
        day,
        namespaces,
        today
    );
    Ok(found.fetch_all(conn).await?)
}

/// Notes that the logs of a day of a namespace begin to be removed.
pub async fn note_removal(conn: &mut Conn, _: &Access<System>, day: NaiveDate, ns_id: i32) -> Result<()> {
    sqlx::query!(
        r#"UPDATE usage SET logs_removed_at = clock_timestamp()
           WHERE day = $1 AND ns_id = $2 AND logs_removed_at IS NULL"#,
        day,
        ns_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that nothing is left to be removed of the logs of a day of a namespace; before the day `again`, where there is one.
pub async fn note_swept(
    conn: &mut Conn,
    _: &Access<System>,
    day: NaiveDate,
    ns_id: i32,
    again: Option<NaiveDate>,
) -> Result<()> {
    sqlx::query!(
        "UPDATE usage SET logs_swept = $3::date IS NULL, logs_again = $3 WHERE day = $1 AND ns_id = $2",
        day,
        ns_id,
        again
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What is dropped of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Runs and all that belongs to them.
    Runs,
    /// Their logs and artifacts alone.
    Logs,
}

/// What became of a day that was to be dropped. Where rows are to be removed one by one, or somebody is in the way, the
/// transaction is to be rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is gone, but for what is pinned or ended late.
    Dropped,
    /// Nothing of it is over but what is gone already.
    Kept,
    /// A run of it has not finished, or many ended late.
    Unfinished,
    /// Somebody uses the tables for longer than others may be made to wait.
    Busy,
}

/// The `statement_timeout` of what drops a day, and a little more.
const DROP_LIMIT: Duration = Duration::from_secs(605);

/// Drops a day as of the day `today`; runs that are pinned, or ended so late that their own time is not over, are carried
/// over.
pub async fn drop_day(
    conn: &mut Conn,
    _: &Access<System>,
    day: NaiveDate,
    part: Part,
    today: NaiveDate,
) -> Result<Fate> {
    // It looks through all runs of the day, and has its own limits for what others wait for.
    sqlx::query!("SELECT set_config('statement_timeout', '10min', true)").fetch_one(&mut *conn).await?;
    conn.set_limit(DROP_LIMIT);
    let done = sqlx::query_scalar!(r#"SELECT drop_day($1, $2, $3) AS "done!""#, day, part == Part::Logs, today);
    match done.fetch_one(conn).await {
        Ok(done) => Ok(match done.as_str() {
            "dropped" => Fate::Dropped,
            "kept" => Fate::Kept,
            "unfinished" => Fate::Unfinished,
            _ => Fate::Busy,
        }),
        Err(error) if super::error::is_lock_timeout(&error) => Ok(Fate::Busy),
        Err(error) => Err(error.into()),
    }
}

/// How much one batch does.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// So many runs are looked at.
    pub runs: i64,
    /// About so many bytes of logs are removed.
    pub bytes: i64,
}

/// What a batch has removed.
#[derive(Debug, Clone, Copy)]
pub struct Pruned {
    /// So many runs, or runs with a log.
    pub removed: i64,
    /// So many runs have not finished.
    pub open: i64,
    /// So many runs ended so late that their own time is not over.
    pub late: i64,
    /// The next batch goes on behind this run.
    pub last: RunId,
}

/// What is over: a part of a day, of a namespace that keeps it for so many days, as of the day `today`.
#[derive(Debug, Clone, Copy)]
pub struct Over {
    /// The day.
    pub day: NaiveDate,
    /// Runs, or only their logs.
    pub part: Part,
    /// The namespace.
    pub ns_id: i32,
    /// How many days it keeps this part after the run's end.
    pub days: i32,
    /// The day that it is.
    pub today: NaiveDate,
}

/// Removes what is over, behind a run; `None` when there is nothing behind it.
pub async fn prune(
    conn: &mut Conn,
    _: &Access<System>,
    over: Over,
    behind: RunId,
    most: Most,
) -> Result<Option<Pruned>> {
    let Over { day, part, ns_id, days, today } = over;
    // In a statement before, so that the next one sees everything that was pinned under this lock.
    sqlx::query!("SELECT lock_day($1, true), set_config('tstr.retention', 'on', true)", day)
        .fetch_one(&mut *conn)
        .await?;
    let (low, high) = ids_of(day);
    macro_rules! pruned {
        ($file:literal) => {{
            let row = sqlx::query_file!($file, ns_id, low, high, behind.0, most.runs, most.bytes, days, today);
            let row = row.fetch_optional(conn).await?;
            row.map(|row| Pruned { removed: row.removed, open: row.open, late: row.late, last: row.id })
        }};
    }
    Ok(match part {
        Part::Runs => pruned!("src/store/sql/prune_runs.sql"),
        Part::Logs => pruned!("src/store/sql/prune_logs.sql"),
    })
}

/// Adds up what was stored and removed since; tells how many changes there were.
pub async fn fold_usage(conn: &mut Conn, _: &Access<System>, wait: bool) -> Result<i64> {
    Ok(sqlx::query_scalar!(r#"SELECT fold_usage($1) AS "folded!""#, wait).fetch_one(conn).await?)
}

/// What a namespace has stored.
#[derive(Debug)]
pub struct Stored {
    /// The namespace.
    pub namespace: String,
    /// Bytes of its logs.
    pub log_bytes: i64,
    /// Bytes of its artifacts.
    pub artifact_bytes: i64,
}

/// Reads how many bytes each namespace has stored.
pub async fn stored(conn: &mut Conn, _: &Access<System>) -> Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        Stored,
        r#"SELECT n.name AS namespace, coalesce(sum(u.log_bytes), 0)::bigint AS "log_bytes!",
                  coalesce(sum(u.artifact_bytes), 0)::bigint AS "artifact_bytes!"
           FROM namespace n LEFT JOIN usage u ON u.ns_id = n.id
           GROUP BY n.id"#
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Tells whether a day has runs that are not pinned.
pub async fn has_unpinned(conn: &mut Conn, _: &Access<System>, day: NaiveDate) -> Result<bool> {
    let (low, high) = ids_of(day);
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM run r
                          WHERE r.id >= $1 AND r.id < $2 AND NOT EXISTS (SELECT FROM keep k WHERE k.run_id = r.id))
                  AS "found!""#,
        low,
        high
    );
    Ok(found.fetch_one(conn).await?)
}

/// Removes classes and configurations that no run uses any more, at most `limit` of each; returns how many. `oldest` is the
/// oldest day with runs that are not pinned.
///
/// A run is never older than its day, and whoever makes it first brings the rows that it uses up to date, to within
/// [`FRESH_DAYS`] and under a lock of the row.
pub async fn forget_unused(conn: &mut Conn, _: &Access<System>, oldest: NaiveDate, limit: i64) -> Result<u64> {
    let configs = sqlx::query!(
        r#"DELETE FROM config
           WHERE used_on < $1::date - $2::int - 1
             AND id IN (
               SELECT c.id FROM config c
               WHERE c.used_on < $1::date - $2::int - 1
                 -- Runs that are, or were, pinned are older.
                 AND NOT EXISTS (SELECT FROM run r
                                 WHERE r.id < id_floor($1::date::timestamp AT TIME ZONE 'UTC') AND r.config_id = c.id)
               LIMIT $3)"#,
        oldest,
        FRESH_DAYS,
        limit
    );
    let configs = configs.execute(&mut *conn).await?.rows_affected();
    let classes = sqlx::query!(
        r#"DELETE FROM class
           WHERE used_on < $1::date - $2::int - 1
             AND id IN (
               SELECT c.id FROM class c
               WHERE c.used_on < $1::date - $2::int - 1
                 AND NOT EXISTS (SELECT FROM run r
                                 WHERE r.id < id_floor($1::date::timestamp AT TIME ZONE 'UTC') AND r.class_id = c.id)
               LIMIT $3)"#,
        oldest,
        FRESH_DAYS,
        limit
    );
    Ok(configs + classes.execute(conn).await?.rows_affected())
}

/// Notes that a run is made of a class and a configuration that are known from another one.
pub async fn touch(conn: &mut Conn, _: &Access<RunsWrite>, class_id: i32, config_id: i64) -> Result<()> {
    sqlx::query!(
        r#"WITH touched AS (
               UPDATE class SET used_on = (now() AT TIME ZONE 'UTC')::date
               WHERE id = $1 AND used_on < (now() AT TIME ZONE 'UTC')::date - $3::int
           )
           UPDATE config SET used_on = (now() AT TIME ZONE 'UTC')::date
           WHERE id = $2 AND used_on < (now() AT TIME ZONE 'UTC')::date - $3::int"#,
        class_id,
        config_id,
        FRESH_DAYS
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns how many bytes the database takes on its disk.
pub async fn database_bytes(conn: &mut Conn, _: &Access<System>) -> Result<i64> {
    let bytes = sqlx::query_scalar!(r#"SELECT pg_database_size(current_database()) AS "bytes!""#);
    Ok(bytes.fetch_one(conn).await?)
}

/// The ids of the runs of a day: from, and before.
fn ids_of(day: NaiveDate) -> (Uuid, Uuid) {
    let floor =
        |day: NaiveDate| lowest_at(DateTime::<Utc>::from_naive_utc_and_offset(day.and_time(NaiveTime::MIN), Utc));
    (floor(day), floor(day.succ_opt().unwrap_or(NaiveDate::MAX)))
}
