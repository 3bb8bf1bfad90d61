//! Logs: append-only pieces, checked against the place where the stored log ends.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tstr_shared::ids::{RunId, RunnerId};
use tstr_shared::lease::Fence;
use tstr_shared::logs::{LogChunk, LogOffsets, Stream};
use tstr_shared::permission::{RunsExecute, RunsRead};

use super::Conn;
use crate::auth::access::Access;
use crate::error::Result;

/// How far the log of a live attempt is stored, and how far it may go.
#[derive(Debug, Clone, Copy)]
pub struct LogEnd {
    /// Where the next pieces belong.
    pub offsets: LogOffsets,
    /// The most bytes of both streams together.
    pub limit: u64,
}

/// Holds the lease of a fence so that it cannot end before the transaction does, and reads where its log ends;
/// `None` when the fence is not current, or its runner not the caller's.
///
/// Reports of one attempt wait for each other: a repeat that overtakes a slow first try must see what that one did.
/// The lock is not the row's, because heartbeats must not wait for a log.
pub async fn hold_end(
    conn: &mut Conn,
    access: &Access<RunsExecute>,
    runner: RunnerId,
    fence: Fence,
) -> Result<Option<LogEnd>> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 7478115))", fence.lease_id.to_string())
        .execute(&mut *conn)
        .await?;
    let row = sqlx::query!(
        r#"SELECT c.log_limit,
                  coalesce((SELECT k.seq + 1 FROM log_chunk k WHERE k.run_id = l.run_id AND k.attempt = l.attempt
                            ORDER BY k.seq DESC LIMIT 1), 0) AS "next_seq!",
                  coalesce((SELECT k.start + octet_length(k.body) FROM log_chunk k
                            WHERE k.run_id = l.run_id AND k.attempt = l.attempt AND k.stream = 1
                            ORDER BY k.start DESC LIMIT 1), 0) AS "stdout!",
                  coalesce((SELECT k.start + octet_length(k.body) FROM log_chunk k
                            WHERE k.run_id = l.run_id AND k.attempt = l.attempt AND k.stream = 2
                            ORDER BY k.start DESC LIMIT 1), 0) AS "stderr!"
           FROM lease l
           JOIN run r ON r.id = l.run_id
           JOIN config c ON c.id = r.config_id
           JOIN runner w ON w.id = l.runner_id
           WHERE l.run_id = $1 AND l.attempt = $2 AND l.lease_id = $3 AND l.runner_id = $4 AND l.ns_id = ANY($5)
             AND w.token_id = $6
           FOR KEY SHARE OF l"#,
        fence.run_id.0,
        fence.attempt as i16,
        fence.lease_id.0,
        runner.0,
        access.namespaces(),
        access.token_id().map(|id| id.0)
    );
    let row = row.fetch_optional(conn).await?;
    Ok(row.map(|row| LogEnd {
        offsets: LogOffsets {
            next_seq: row.next_seq.unsigned_abs(),
            stdout: row.stdout.unsigned_abs(),
            stderr: row.stderr.unsigned_abs(),
        },
        limit: row.log_limit.unsigned_abs(),
    }))
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
