//! Logs as they are written: append-only pieces, checked against the place where the stored log ends.

use std::collections::HashMap;

use tstr_shared::ids::{LeaseId, RunId};
use tstr_shared::lease::Fence;
use tstr_shared::logs::{LogChunk, LogOffsets, Stream};
use tstr_shared::permission::RunsExecute;
use uuid::Uuid;

use super::Conn;
use super::claims::{LeaseColumns, OwnLease};
use super::error::is_taken;
use super::packing::{Packed, unpack};
use crate::auth::access::{Access, System};
use crate::error::Result;

/// Sets the locks of reports apart from those of others.
const LOCKS: u64 = 0x7473_7472_6c6f_6773;

/// How far the log of a live attempt is stored, and how far it may go.
#[derive(Debug, Clone)]
pub struct LogEnd {
    /// Where the next pieces belong.
    pub offsets: LogOffsets,
    /// The most bytes of both streams together.
    pub limit: u64,
    /// What is stored of the standard output.
    pub stdout: StreamEnd,
    /// What is stored of the standard error.
    pub stderr: StreamEnd,
    /// The timeline of the database that holds all of it. On another one, which a standby opened that took over or a
    /// backup that was restored, the last pieces may be missing. Absent when there is nothing to miss.
    pub timeline: Option<String>,
}

impl LogEnd {
    /// Returns the end of a log that nothing was written to.
    pub fn empty(limit: u64) -> Self {
        let (stdout, stderr) = (StreamEnd::default(), StreamEnd::default());
        Self { offsets: LogOffsets::default(), limit, stdout, stderr, timeline: None }
    }

    /// Returns what is stored of a stream.
    pub fn of(&self, stream: Stream) -> &StreamEnd {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    /// Returns what is stored of a stream, to go on from it.
    pub fn of_mut(&mut self, stream: Stream) -> &mut StreamEnd {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// Returns how many bytes are stored of both streams.
    pub fn stored(&self) -> u64 {
        self.stdout.stored + self.stderr.stored
    }
}

/// What is stored of one stream of a live attempt.
#[derive(Debug, Clone, Default)]
pub struct StreamEnd {
    /// How many bytes are stored.
    pub stored: u64,
    /// Where the stream was cut, and how many bytes were taken out.
    pub cut: Option<(u64, u64)>,
    /// The state of SHA-256 over the stored bytes; absent when there are none, or when an earlier release stored the last.
    pub sha256_state: Option<Vec<u8>>,
}

impl StreamEnd {
    fn of(next: Option<i64>, cut_at: Option<i64>, cut_bytes: Option<i64>, sha256_state: Option<Vec<u8>>) -> Self {
        let cut = cut_at.zip(cut_bytes).map(|(at, bytes)| (at.unsigned_abs(), bytes.unsigned_abs()));
        let stored = next.unwrap_or_default().unsigned_abs() - cut.map_or(0, |(_, bytes)| bytes);
        Self { stored, cut, sha256_state }
    }
}

/// A piece that is to be stored.
#[derive(Debug)]
pub struct NewPiece {
    /// The piece, without its bytes.
    pub chunk: LogChunk,
    /// Its bytes as they are stored.
    pub packed: Packed,
    /// How many stored bytes of both streams come before it.
    pub place: u64,
    /// Where its stream was cut before it, and how many bytes were taken out.
    pub cut: Option<(u64, u64)>,
    /// The state of SHA-256 over its stream up to its end; needed of the last piece of each stream.
    pub sha256_state: Option<Vec<u8>>,
}

/// Waits until nobody stores anything of the logs of these leases, and keeps it so until the transaction ends.
pub async fn wait_for_appends(
    conn: &mut Conn,
    _: &Access<System>,
    leases: impl Iterator<Item = LeaseId>,
) -> Result<()> {
    lock_reports(conn, leases.map(|lease| lease.0)).await
}

async fn lock_reports(conn: &mut Conn, leases: impl Iterator<Item = Uuid>) -> Result<()> {
    // In one order for everybody, so that two that hold several wait and do not deadlock.
    let mut keys: Vec<i64> = leases.map(report_key).collect();
    keys.sort_unstable();
    keys.dedup();
    sqlx::query!("SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) k", &keys).execute(conn).await?;
    Ok(())
}

fn report_key(lease: Uuid) -> i64 {
    (lease.as_u64_pair().0 ^ LOCKS) as i64
}

/// Holds leases so that they cannot end before the transaction does, and reads where their logs end. Those whose fence is
/// not current, or whose runner is not the caller's, do not come back.
///
/// Reports of one attempt wait for each other: a repeat that overtakes a slow first try must see what that one did.
/// The lock is not the row's, because heartbeats must not wait for a log.
pub async fn hold_ends(
    conn: &mut Conn,
    access: &Access<RunsExecute>,
    leases: &[OwnLease],
) -> Result<HashMap<Fence, LogEnd>> {
    let of = LeaseColumns::of(leases);
    lock_reports(conn, of.leases.iter().copied()).await?;
    let rows = sqlx::query!(
        r#"SELECT l.run_id AS "run_id: RunId", l.attempt, l.lease_id AS "lease_id: LeaseId", c.log_limit,
                  coalesce((SELECT k.seq + 1 FROM log_chunk k WHERE k.run_id = l.run_id AND k.attempt = l.attempt
                            ORDER BY k.seq DESC LIMIT 1), 0) AS "next_seq!",
                  o.next AS "stdout?", o.cut_at AS "stdout_cut_at?", o.cut_bytes AS "stdout_cut_bytes?",
                  o.sha256_state AS "stdout_state?",
                  e.next AS "stderr?", e.cut_at AS "stderr_cut_at?", e.cut_bytes AS "stderr_cut_bytes?",
                  e.sha256_state AS "stderr_state?", left(pg_walfile_name(pg_current_wal_lsn()), 8) AS "timeline!"
           FROM unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::uuid[], $5::uuid[])
                AS a(run_id, attempt, lease_id, runner_id, token_id)
           CROSS JOIN LATERAL (
               SELECT l.run_id, l.attempt, l.lease_id, l.config_id FROM lease l
               WHERE l.run_id = a.run_id AND l.attempt = a.attempt AND l.lease_id = a.lease_id
                 AND l.runner_id = a.runner_id AND l.ns_id = ANY($6)
               FOR KEY SHARE) l
           CROSS JOIN LATERAL (
               SELECT log_limit FROM config WHERE id = coalesce(l.config_id, config_of(l.run_id)) OFFSET 0) c
           LEFT JOIN LATERAL (
               SELECT k.start + coalesce(k.raw_bytes, octet_length(k.body)) AS next, k.cut_at, k.cut_bytes, k.sha256_state
               FROM log_chunk k WHERE k.run_id = l.run_id AND k.attempt = l.attempt AND k.stream = 1
               ORDER BY k.start DESC LIMIT 1) o ON true
           LEFT JOIN LATERAL (
               SELECT k.start + coalesce(k.raw_bytes, octet_length(k.body)) AS next, k.cut_at, k.cut_bytes, k.sha256_state
               FROM log_chunk k WHERE k.run_id = l.run_id AND k.attempt = l.attempt AND k.stream = 2
               ORDER BY k.start DESC LIMIT 1) e ON true
           WHERE EXISTS (SELECT 1 FROM runner w WHERE w.id = a.runner_id AND w.token_id = a.token_id)"#,
        &of.runs,
        &of.attempts,
        &of.leases,
        &of.runners,
        &of.tokens,
        access.namespaces()
    );
    let rows = rows.fetch_all(conn).await?.into_iter();
    Ok(rows
        .map(|row| {
            let (run_id, attempt, lease_id) = (row.run_id, row.attempt.unsigned_abs(), row.lease_id);
            let offsets = LogOffsets {
                next_seq: row.next_seq.unsigned_abs(),
                stdout: row.stdout.unwrap_or_default().unsigned_abs(),
                stderr: row.stderr.unwrap_or_default().unsigned_abs(),
            };
            let end = LogEnd {
                offsets,
                limit: row.log_limit.unsigned_abs(),
                stdout: StreamEnd::of(row.stdout, row.stdout_cut_at, row.stdout_cut_bytes, row.stdout_state),
                stderr: StreamEnd::of(row.stderr, row.stderr_cut_at, row.stderr_cut_bytes, row.stderr_state),
                timeline: Some(row.timeline),
            };
            (Fence { run_id, attempt, lease_id }, end)
        })
        .collect())
}

/// Holds one lease, as [`hold_ends`] does.
pub async fn hold_end(conn: &mut Conn, access: &Access<RunsExecute>, lease: &OwnLease) -> Result<Option<LogEnd>> {
    Ok(hold_ends(conn, access, std::slice::from_ref(lease)).await?.remove(&lease.fence))
}

/// Appends pieces to where a log ends, or is believed to end: after [`hold_end`] in its transaction, or by this one statement
/// as a transaction of its own. `timeline` is that of the database that a belief is about, where it is about any piece.
/// Returns the timeline that they are stored on; nothing when they are not: the lease is not the caller's any more, the log
/// goes on already, or the database is on another timeline.
///
/// No piece that is stored is read. The lock of reports comes first, and then the lease, as in [`hold_ends`].
pub async fn append(
    conn: &mut Conn,
    access: &Access<RunsExecute>,
    lease: &OwnLease,
    pieces: &[NewPiece],
    timeline: Option<&str>,
) -> Result<Option<String>> {
    fn column<'a, T>(pieces: &'a [NewPiece], of: impl Fn(&'a NewPiece) -> T) -> Vec<T> {
        pieces.iter().map(of).collect()
    }
    let fence = lease.fence;
    let stored = sqlx::query_scalar!(
        r#"WITH held AS MATERIALIZED (
               SELECT l.run_id, locked.timeline
               FROM (SELECT $1::uuid AS run_id, left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline,
                            pg_advisory_xact_lock($13) OFFSET 0) locked
               CROSS JOIN LATERAL (
                   SELECT l.run_id FROM lease l
                   WHERE l.run_id = locked.run_id AND l.attempt = $2 AND l.lease_id = $14 AND l.runner_id = $15
                     AND l.ns_id = ANY($16)
                   FOR KEY SHARE) l
               WHERE EXISTS (SELECT 1 FROM runner w WHERE w.id = $15 AND w.token_id = $17)
                 AND locked.timeline = coalesce($18, locked.timeline)
           ),
           stored AS (
               INSERT INTO log_chunk (run_id, attempt, seq, stream, start, reported_at, body, raw_bytes, place, cut_at,
                                      cut_bytes, sha256_state)
               SELECT h.run_id, $2, u.seq, u.stream, u.start, u.reported_at, u.body, u.raw_bytes, u.place, u.cut_at,
                      u.cut_bytes, u.sha256_state
               FROM held h
               CROSS JOIN unnest($3::int[], $4::smallint[], $5::bigint[], $6::timestamptz[], $7::bytea[], $8::int[],
                                 $9::bigint[], $10::bigint[], $11::bigint[], $12::bytea[])
                    AS u(seq, stream, start, reported_at, body, raw_bytes, place, cut_at, cut_bytes, sha256_state)
           )
           SELECT timeline AS "timeline!" FROM held"#,
        fence.run_id.0,
        fence.attempt as i16,
        &column(pieces, |piece| piece.chunk.seq as i32),
        &column(pieces, |piece| piece.chunk.stream as i16),
        &column(pieces, |piece| piece.chunk.offset as i64),
        &column(pieces, |piece| piece.chunk.reported_at),
        &column(pieces, |piece| piece.packed.body.as_slice()) as &[&[u8]],
        &column(pieces, |piece| piece.packed.raw_bytes) as &[Option<i32>],
        &column(pieces, |piece| piece.place as i64),
        &column(pieces, |piece| piece.cut.map(|(at, _)| at as i64)) as &[Option<i64>],
        &column(pieces, |piece| piece.cut.map(|(_, bytes)| bytes as i64)) as &[Option<i64>],
        &column(pieces, |piece| piece.sha256_state.as_deref()) as &[Option<&[u8]>],
        report_key(fence.lease_id.0),
        fence.lease_id.0,
        lease.runner.0,
        access.namespaces(),
        lease.token.0,
        timeline,
    );
    match stored.fetch_optional(conn).await {
        Ok(timeline) => Ok(timeline),
        Err(error) if is_taken(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Tells whether a piece is stored exactly as given.
pub async fn is_stored(conn: &mut Conn, _: &Access<RunsExecute>, fence: Fence, chunk: &LogChunk) -> Result<bool> {
    let stored = sqlx::query!(
        r#"SELECT body, raw_bytes FROM log_chunk
           WHERE run_id = $1 AND attempt = $2 AND seq = $3 AND stream = $4 AND start = $5
             AND CASE WHEN cut_at + cut_bytes = start THEN cut_bytes ELSE 0 END = $6"#,
        fence.run_id.0,
        fence.attempt as i16,
        chunk.seq as i32,
        chunk.stream as i16,
        chunk.offset as i64,
        chunk.cut as i64
    );
    match stored.fetch_optional(conn).await? {
        Some(row) => Ok(unpack(row.body, row.raw_bytes)? == chunk.data),
        None => Ok(false),
    }
}
