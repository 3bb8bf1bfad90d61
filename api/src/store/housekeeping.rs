//! What keeps the tables in order: partitions, and the record of sweeps.

use std::time::Duration;

use chrono::NaiveDate;

use super::Conn;
use super::claims::interval;
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};

/// Makes the partitions of these days where they are missing.
pub async fn ensure_partitions(conn: &mut Conn, first: NaiveDate, last: NaiveDate) -> Result<i32> {
    let made = sqlx::query_scalar!(r#"SELECT ensure_partitions($1, $2) AS "made!""#, first, last);
    Ok(made.fetch_one(conn).await?)
}

/// What the record of sweeps says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// Another replica sweeps now, or did just now.
    NotNow,
    /// It is our turn.
    Go,
    /// Nobody has swept for longer than was asked, or the clock was put back: there was an outage.
    AfterOutage,
}

/// Takes the turn to sweep until the transaction ends, and notes it.
pub async fn begin_sweep(
    conn: &mut Conn,
    _: &Access<System>,
    name: &str,
    every: Duration,
    outage: Duration,
) -> Result<Sweep> {
    let row = sqlx::query!(
        r#"WITH before AS (
               SELECT name, clock_timestamp() - at AS since FROM sweep WHERE name = $1 FOR UPDATE SKIP LOCKED)
           UPDATE sweep s SET at = clock_timestamp()
           FROM before b
           WHERE s.name = b.name AND (b.since >= $2::interval OR b.since < interval '-1 s')
           RETURNING (b.since > $3::interval OR b.since < interval '-1 s') AS "outage!""#,
        name,
        interval(every.mul_f64(0.9)),
        interval(outage)
    );
    Ok(match row.fetch_optional(conn).await? {
        None => Sweep::NotNow,
        Some(row) if row.outage => Sweep::AfterOutage,
        Some(_) => Sweep::Go,
    })
}

/// Takes the right to hold a sweep up, which nobody has again for `quiet`; tells whether it was free.
pub async fn take_brake(conn: &mut Conn, _: &Access<System>, quiet: Duration) -> Result<bool> {
    let taken = sqlx::query_scalar!(
        r#"INSERT INTO sweep (name) VALUES ('brake')
           ON CONFLICT (name) DO UPDATE SET at = clock_timestamp()
           WHERE sweep.at < clock_timestamp() - $1::interval
           RETURNING true AS "taken!""#,
        interval(quiet)
    );
    Ok(taken.fetch_optional(conn).await?.is_some())
}

/// Grants every lease a full life from now: after an outage nobody could have renewed them.
///
/// Runs that went beyond their time meanwhile get twice as much, so that a worker that was lost is found out first:
/// its run is tried again instead of being timed out for what was not its doing.
pub async fn grant_amnesty(conn: &mut Conn, _: &Access<System>, ttl: Duration) -> Result<u64> {
    let done = sqlx::query!(
        r#"UPDATE lease l
           SET expires_at = greatest(l.expires_at, clock_timestamp() + $1::interval),
               hard_deadline = CASE WHEN l.started_at IS NOT NULL
                                    THEN greatest(l.hard_deadline, clock_timestamp() + $2::interval) END
           FROM (SELECT run_id FROM lease ORDER BY run_id FOR NO KEY UPDATE) held
           WHERE l.run_id = held.run_id"#,
        interval(ttl),
        interval(ttl * 2)
    );
    Ok(done.execute(conn).await?.rows_affected())
}

/// Returns the database's clock.
pub async fn now(conn: &mut Conn) -> Result<chrono::DateTime<chrono::Utc>> {
    Ok(sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(conn).await?)
}

/// What slows a database down before anybody notices.
#[derive(Debug, Clone, Copy)]
pub struct Vitals {
    /// The database's clock, in milliseconds since 1970.
    pub now_ms: i64,
    /// How long ago the oldest snapshot was taken that is still in use, in seconds: dead rows since then stay.
    pub oldest_snapshot_secs: f64,
    /// Bytes of the write-ahead log that a replication slot holds back.
    pub retained_wal_bytes: i64,
    /// How full the queue of notifications is, from 0 to 1.
    pub notifications: f64,
    /// Rows of the queue that were claimed and are not cleaned up yet, as far as PostgreSQL has counted.
    pub dead_rows: i64,
    /// How many placement classes there are, as far as PostgreSQL has counted.
    pub classes: i64,
}

/// Reads the vitals. Transactions of other roles are seen only by members of `pg_read_all_stats`.
pub async fn vitals(conn: &mut Conn, _: &Access<System>) -> Result<Vitals> {
    let read = sqlx::query_as!(
        Vitals,
        r#"SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS "now_ms!",
                  coalesce((SELECT extract(epoch FROM clock_timestamp() - min(xact_start)) FROM pg_stat_activity
                            WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()), 0)::float8
                      AS "oldest_snapshot_secs!",
                  coalesce((SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) FROM pg_replication_slots), 0)::bigint
                      AS "retained_wal_bytes!",
                  pg_notification_queue_usage() AS "notifications!",
                  coalesce(pg_stat_get_dead_tuples('ready'::regclass), 0) AS "dead_rows!",
                  (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'class'::regclass) AS "classes!""#
    );
    Ok(read.fetch_one(conn).await?)
}

/// Tells whether the database answers and takes writes.
pub async fn check(conn: &mut Conn) -> Result<bool> {
    Ok(sqlx::query_scalar!(r#"SELECT NOT pg_is_in_recovery() AS "writable!""#).fetch_one(conn).await?)
}

/// Returns the name that PostgreSQL knows this very statement by. A pooler that keeps prepared statements for its clients
/// gives it another one than we did.
pub async fn own_name(conn: &mut Conn) -> Result<Option<String>> {
    let name = sqlx::query_scalar!(
        r#"SELECT name AS "name!" FROM pg_prepared_statements WHERE statement LIKE '%tstr asks for its own name%' LIMIT 1"#
    );
    Ok(name.fetch_optional(conn).await?)
}

/// Tells whether a statement that was prepared is gone, or is another: the connection behind the pooler has changed.
pub fn is_statement_mix_up(error: &Error) -> bool {
    let cause = error.source().and_then(|source| source.downcast_ref::<sqlx::Error>());
    let code = cause.and_then(sqlx::Error::as_database_error).and_then(|database| database.code());
    matches!(code.as_deref(), Some("26000" | "42P05"))
}

/// Returns those of these settings that have another value on this connection, each as it should be.
pub async fn differing(conn: &mut Conn, names: &[String], values: &[String]) -> Result<Vec<String>> {
    let differing = sqlx::query_scalar!(
        r#"SELECT w.name || '=' || w.value AS "setting!"
           FROM unnest($1::text[], $2::text[]) AS w(name, value)
           LEFT JOIN pg_settings s ON s.name = w.name
           WHERE s.setting IS DISTINCT FROM w.value
           ORDER BY 1"#,
        names,
        values
    );
    Ok(differing.fetch_all(conn).await?)
}

/// A place in the log of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPlace {
    /// Whose log it is.
    pub history: History,
    /// How many bytes of it there are.
    pub bytes: i64,
}

/// Which log it is: of which database, and which of its histories. A standby that is made a primary begins a history of
/// its own, whose number is higher by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// The identity of the database, which its copies share.
    pub system: i64,
    /// The number of the history.
    pub timeline: i32,
}

/// Returns how far the primary has written its log.
pub async fn written(conn: &mut Conn, _: &Access<System>) -> Result<LogPlace> {
    // The name of a file of the log begins with the number of the history.
    let row = sqlx::query!(
        r#"SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint AS "bytes!",
                  ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int AS "timeline!",
                  (SELECT system_identifier FROM pg_control_system()) AS "system!""#
    );
    let row = row.fetch_one(conn).await?;
    Ok(LogPlace { history: History { system: row.system, timeline: row.timeline }, bytes: row.bytes })
}

/// Returns how far a standby has replayed the log of its primary; `None` from a server that is no standby.
///
/// The history is the one that was on its disk when it looked last, so for some minutes after a change of primaries it is
/// still told as the one before.
pub async fn replayed(conn: &mut Conn, _: &Access<System>) -> Result<Option<LogPlace>> {
    let row = sqlx::query!(
        r#"SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint END AS bytes,
                  greatest((SELECT timeline_id FROM pg_control_checkpoint()),
                           (SELECT min_recovery_end_timeline FROM pg_control_recovery())) AS "timeline!",
                  (SELECT system_identifier FROM pg_control_system()) AS "system!""#
    );
    let row = row.fetch_one(conn).await?;
    let history = History { system: row.system, timeline: row.timeline };
    Ok(row.bytes.map(|bytes| LogPlace { history, bytes }))
}

/// Returns the timeline that the database is on: another one where a standby took over or a backup was restored.
pub async fn timeline(conn: &mut Conn) -> Result<String> {
    let timeline = sqlx::query_scalar!(r#"SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) AS "timeline!""#);
    Ok(timeline.fetch_one(conn).await?)
}

/// Sends a notification to all who listen.
pub async fn notify(conn: &mut Conn, _: &Access<System>, channel: &str, text: &str) -> Result<()> {
    sqlx::query!("SELECT pg_notify($1, $2)", channel, text).execute(conn).await?;
    Ok(())
}

/// Settings of the database that decide whether what was acknowledged is safe.
#[derive(Debug)]
pub struct Settings {
    /// The version as a number, for instance 150018.
    pub version: i32,
    /// Whether writes reach the disk.
    pub fsync: String,
    /// Whether a torn page can be repaired.
    pub full_page_writes: String,
    /// Whether a commit waits for the disk.
    pub synchronous_commit: String,
}

/// Reads the settings that durability depends on.
pub async fn settings(conn: &mut Conn) -> Result<Settings> {
    let settings = sqlx::query_as!(
        Settings,
        r#"SELECT current_setting('server_version_num')::int AS "version!", current_setting('fsync') AS "fsync!",
                  current_setting('full_page_writes') AS "full_page_writes!",
                  current_setting('synchronous_commit') AS "synchronous_commit!""#
    );
    Ok(settings.fetch_one(conn).await?)
}
