//! Logs: append-only pieces, checked against the place where the stored log ends.

use std::collections::HashMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tstr_shared::ids::{LeaseId, RunId};
use tstr_shared::lease::Fence;
use tstr_shared::logs::{LogChunk, LogOffsets, Stream};
use tstr_shared::permission::{RunsExecute, RunsRead};

use super::Conn;
use super::claims::{LeaseColumns, OwnLease};
use crate::auth::access::Access;
use crate::error::Result;

/// Sets the locks of reports apart from those of others.
const LOCKS: u64 = 0x7473_7472_6c6f_6773;

/// How far the log of a live attempt is stored, and how far it may go.
#[derive(Debug, Clone, Copy)]
pub struct LogEnd {
    /// Where the next pieces belong.
    pub offsets: LogOffsets,
    /// The most bytes of both streams together.
    pub limit: u64,
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
    // In one order for everybody, so that two that hold several wait and do not deadlock.
    let mut keys: Vec<i64> = of.leases.iter().map(|lease| (lease.as_u64_pair().0 ^ LOCKS) as i64).collect();
    keys.sort_unstable();
    keys.dedup();
    sqlx::query!("SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) k", &keys).execute(&mut *conn).await?;
    let rows = sqlx::query!(
        r#"SELECT l.run_id AS "run_id: RunId", l.attempt, l.lease_id AS "lease_id: LeaseId", c.log_limit,
                  coalesce((SELECT k.seq + 1 FROM log_chunk k WHERE k.run_id = l.run_id AND k.attempt = l.attempt
                            ORDER BY k.seq DESC LIMIT 1), 0) AS "next_seq!",
                  coalesce((SELECT k.start + octet_length(k.body) FROM log_chunk k
                            WHERE k.run_id = l.run_id AND k.attempt = l.attempt AND k.stream = 1
                            ORDER BY k.start DESC LIMIT 1), 0) AS "stdout!",
                  coalesce((SELECT k.start + octet_length(k.body) FROM log_chunk k
                            WHERE k.run_id = l.run_id AND k.attempt = l.attempt AND k.stream = 2
                            ORDER BY k.start DESC LIMIT 1), 0) AS "stderr!"
           FROM unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::uuid[], $5::uuid[])
                AS a(run_id, attempt, lease_id, runner_id, token_id)
           CROSS JOIN LATERAL (
               SELECT l.run_id, l.attempt, l.lease_id FROM lease l
               WHERE l.run_id = a.run_id AND l.attempt = a.attempt AND l.lease_id = a.lease_id
                 AND l.runner_id = a.runner_id AND l.ns_id = ANY($6)
               FOR KEY SHARE) l
           CROSS JOIN LATERAL (SELECT config_id FROM run WHERE id = l.run_id OFFSET 0) r
           CROSS JOIN LATERAL (SELECT log_limit FROM config WHERE id = r.config_id OFFSET 0) c
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
                stdout: row.stdout.unsigned_abs(),
                stderr: row.stderr.unsigned_abs(),
            };
            (Fence { run_id, attempt, lease_id }, LogEnd { offsets, limit: row.log_limit.unsigned_abs() })
        })
        .collect())
}

/// Holds one lease, as [`hold_ends`] does.
pub async fn hold_end(conn: &mut Conn, access: &Access<RunsExecute>, lease: &OwnLease) -> Result<Option<LogEnd>> {
    Ok(hold_ends(conn, access, std::slice::from_ref(lease)).await?.remove(&lease.fence))
}

/// Appends pieces. Call after [`hold_end`] in one transaction, with pieces that go on where the log ends.
pub async fn append(conn: &mut Conn, _: &Access<RunsExecute>, fence: Fence, chunks: &[LogChunk]) -> Result<()> {
    sqlx::query!(
        r#"INSERT INTO log_chunk (run_id, attempt, seq, stream, start, reported_at, body)
           SELECT $1, $2, u.seq, u.stream, u.start, u.reported_at, u.body
           FROM unnest($3::int[], $4::smallint[], $5::bigint[], $6::timestamptz[], $7::bytea[])
                AS u(seq, stream, start, reported_at, body)"#,
        fence.run_id.0,
        fence.attempt as i16,
        &chunks.iter().map(|chunk| chunk.seq as i32).collect::<Vec<_>>(),
        &chunks.iter().map(|chunk| chunk.stream as i16).collect::<Vec<_>>(),
        &chunks.iter().map(|chunk| chunk.offset as i64).collect::<Vec<_>>(),
        &chunks.iter().map(|chunk| chunk.reported_at).collect::<Vec<_>>(),
        &chunks.iter().map(|chunk| chunk.data.as_slice()).collect::<Vec<_>>() as &[&[u8]],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Tells whether a piece is stored exactly as given.
pub async fn is_stored(conn: &mut Conn, _: &Access<RunsExecute>, fence: Fence, chunk: &LogChunk) -> Result<bool> {
    let same = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT 1 FROM log_chunk
               WHERE run_id = $1 AND attempt = $2 AND seq = $3 AND stream = $4 AND start = $5 AND body = $6) AS "same!""#,
        fence.run_id.0,
        fence.attempt as i16,
        chunk.seq as i32,
        chunk.stream as i16,
        chunk.offset as i64,
        chunk.data.as_slice()
    );
    Ok(same.fetch_one(conn).await?)
}

/// A stored piece.
#[derive(Debug)]
pub struct StoredChunk {
    /// Its number within the attempt.
    pub seq: i32,
    /// Its stream.
    pub stream: Stream,
    /// When the worker read it.
    pub reported_at: DateTime<Utc>,
    /// Its bytes.
    pub body: Bytes,
}

/// Reads pieces of an attempt's log behind `after`, of one stream or of both. Call only for a run that the access covers.
pub async fn read(
    conn: &mut Conn,
    _: &Access<RunsRead>,
    run: RunId,
    attempt: u16,
    stream: Option<Stream>,
    after: i32,
    limit: i64,
) -> Result<Vec<StoredChunk>> {
    let rows = sqlx::query!(
        r#"SELECT seq, stream AS "stream: Stream", reported_at, body
           FROM log_chunk
           WHERE run_id = $1 AND attempt = $2 AND seq > $3 AND ($4::smallint IS NULL OR stream = $4)
           ORDER BY seq
           LIMIT $5"#,
        run.0,
        attempt as i16,
        after,
        stream.map(|stream| stream as i16),
        limit
    );
    let chunk = |seq, stream, reported_at, body: Vec<u8>| StoredChunk { seq, stream, reported_at, body: body.into() };
    Ok(rows
        .fetch_all(conn)
        .await?
        .into_iter()
        .map(|row| chunk(row.seq, row.stream, row.reported_at, row.body))
        .collect())
}

/// Returns the numbers and lengths of pieces behind `after`; lengths are read without the bytes.
pub async fn lengths(
    conn: &mut Conn,
    _: &Access<RunsRead>,
    run: RunId,
    attempt: u16,
    stream: Option<Stream>,
) -> Result<Vec<(i32, u64)>> {
    let rows = sqlx::query!(
        r#"SELECT seq, octet_length(body) AS "length!"
           FROM log_chunk
           WHERE run_id = $1 AND attempt = $2 AND ($3::smallint IS NULL OR stream = $3)
           ORDER BY seq"#,
        run.0,
        attempt as i16,
        stream.map(|stream| stream as i16)
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.seq, u64::from(row.length.unsigned_abs()))).collect())
}
