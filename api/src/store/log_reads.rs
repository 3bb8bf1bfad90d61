//! Logs as they are read: forwards from a place, backwards from the end, and where a place is.
//!
//! Nothing here reads more of a log than it answers. A place is found by a search in the index, whatever the length of
//! the log; a stream that wrote little is read by its own index, whatever the other one wrote.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tstr_shared::ids::RunId;
use tstr_shared::logs::Stream;
use tstr_shared::permission::RunsRead;

use super::Conn;
use super::packing::unpack;
use crate::auth::access::Access;
use crate::error::Result;

/// A stored piece.
#[derive(Debug)]
pub struct StoredChunk {
    /// Its number within the attempt.
    pub seq: i32,
    /// Its stream.
    pub stream: Stream,
    /// How many bytes of the stream come before it, those that were cut out included.
    pub start: i64,
    /// When the worker read it.
    pub reported_at: DateTime<Utc>,
    /// How many bytes of the stream right before it were cut out.
    pub cut: Option<u64>,
    /// Its bytes.
    pub body: Bytes,
}

/// A piece as it stands in its row.
struct Row {
    seq: i32,
    stream: Stream,
    start: i64,
    reported_at: DateTime<Utc>,
    cut: Option<i64>,
    body: Vec<u8>,
    raw_bytes: Option<i32>,
}

impl Row {
    fn unpacked(self) -> Result<StoredChunk> {
        Ok(StoredChunk {
            seq: self.seq,
            stream: self.stream,
            start: self.start,
            reported_at: self.reported_at,
            cut: self.cut.map(i64::unsigned_abs),
            body: unpack(self.body, self.raw_bytes)?,
        })
    }
}

/// An attempt of a run whose log is read. Made only for a run that the access covers.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// The run.
    pub run: RunId,
    /// The attempt.
    pub attempt: u16,
}

/// Where reading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onward {
    /// Behind the piece with this number, with the pieces of one stream or of both.
    Seq(i32, Option<Stream>),
    /// With the first piece of one stream that begins at this byte of it or behind.
    Start(Stream, i64),
}

/// Reads pieces onwards, in the order of arrival.
pub async fn read(
    conn: &mut Conn,
    _: &Access<RunsRead>,
    log: Log,
    from: Onward,
    limit: i64,
) -> Result<Vec<StoredChunk>> {
    let rows = match from {
        Onward::Seq(after, stream) => {
            sqlx::query_as!(
                Row,
                r#"SELECT seq, stream AS "stream: Stream", start, reported_at, body, raw_bytes,
                          CASE WHEN cut_at + cut_bytes = start THEN cut_bytes END AS cut
                   FROM log_chunk
                   WHERE run_id = $1 AND attempt = $2 AND seq > $3 AND ($4::smallint IS NULL OR stream = $4)
                   ORDER BY seq
                   LIMIT $5"#,
                log.run.0,
                log.attempt as i16,
                after,
                stream.map(|stream| stream as i16),
                limit
            )
            .fetch_all(conn)
            .await?
        }
        Onward::Start(stream, start) => {
            sqlx::query_as!(
                Row,
                r#"SELECT seq, stream AS "stream: Stream", start, reported_at, body, raw_bytes,
                          CASE WHEN cut_at + cut_bytes = start THEN cut_bytes END AS cut
                   FROM log_chunk
                   WHERE run_id = $1 AND attempt = $2 AND stream = $3 AND start >= $4
                   ORDER BY start
                   LIMIT $5"#,
                log.run.0,
                log.attempt as i16,
                stream as i16,
                start,
                limit
            )
            .fetch_all(conn)
            .await?
        }
    };
    rows.into_iter().map(Row::unpacked).collect()
}

/// Reads the last pieces before the one with the number `before`, the last first; of one stream or of both.
pub async fn read_back(
    conn: &mut Conn,
    _: &Access<RunsRead>,
    log: Log,
    before: i32,
    limit: i64,
) -> Result<Vec<StoredChunk>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT seq, stream AS "stream: Stream", start, reported_at, body, raw_bytes,
                  CASE WHEN cut_at + cut_bytes = start THEN cut_bytes END AS cut
           FROM log_chunk
           WHERE run_id = $1 AND attempt = $2 AND seq < $3
           ORDER BY seq DESC
           LIMIT $4"#,
        log.run.0,
        log.attempt as i16,
        before,
        limit
    );
    rows.fetch_all(conn).await?.into_iter().map(Row::unpacked).collect()
}

/// Reads the last pieces of a stream that begin before the byte `before` of it, the last first.
pub async fn read_stream_back(
    conn: &mut Conn,
    _: &Access<RunsRead>,
    log: Log,
    stream: Stream,
    before: i64,
    limit: i64,
) -> Result<Vec<StoredChunk>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT seq, stream AS "stream: Stream", start, reported_at, body, raw_bytes,
                  CASE WHEN cut_at + cut_bytes = start THEN cut_bytes END AS cut
           FROM log_chunk
           WHERE run_id = $1 AND attempt = $2 AND stream = $3 AND start < $4
           ORDER BY start DESC
           LIMIT $5"#,
        log.run.0,
        log.attempt as i16,
        stream as i16,
        before,
        limit
    );
    rows.fetch_all(conn).await?.into_iter().map(Row::unpacked).collect()
}

/// Returns how many bytes are stored of a stream, or of both; says it from their last pieces.
pub async fn size(conn: &mut Conn, _: &Access<RunsRead>, log: Log, stream: Option<Stream>) -> Result<u64> {
    let size = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(last.stored), 0)::bigint AS "size!"
           FROM (VALUES (1::smallint), (2)) AS s(stream)
           CROSS JOIN LATERAL (
               SELECT k.start + coalesce(k.raw_bytes, octet_length(k.body)) - coalesce(k.cut_bytes, 0) AS stored
               FROM log_chunk k
               WHERE k.run_id = $1 AND k.attempt = $2 AND k.stream = s.stream
               ORDER BY k.start DESC
               LIMIT 1) last
           WHERE $3::smallint IS NULL OR s.stream = $3"#,
        log.run.0,
        log.attempt as i16,
        stream.map(|stream| stream as i16)
    );
    Ok(size.fetch_one(conn).await?.unsigned_abs())
}

/// Finds the piece that holds a stored byte of both streams in the order of arrival, or of one stream; also returns how
/// many stored bytes come before the piece.
pub async fn find(
    conn: &mut Conn,
    _: &Access<RunsRead>,
    log: Log,
    stream: Option<Stream>,
    byte: u64,
) -> Result<Option<(Onward, u64)>> {
    let byte = i64::try_from(byte).unwrap_or(i64::MAX);
    let Some(stream) = stream else {
        let found = sqlx::query_file!("src/store/sql/find_in_log.sql", log.run.0, log.attempt as i16, byte);
        let found = found.fetch_optional(conn).await?;
        return Ok(found.map(|row| (Onward::Seq(row.seq - 1, None), row.place.unsigned_abs())));
    };
    // A byte behind the cut stands so much farther on in the stream.
    let found = sqlx::query!(
        r#"SELECT k.start, k.start - coalesce(k.cut_bytes, 0) AS "place!"
           FROM log_chunk k
           WHERE k.run_id = $1 AND k.attempt = $2 AND k.stream = $3
             AND k.start <= $4 + coalesce((
                 SELECT CASE WHEN l.cut_at <= $4 THEN l.cut_bytes END
                 FROM log_chunk l
                 WHERE l.run_id = $1 AND l.attempt = $2 AND l.stream = $3
                 ORDER BY l.start DESC
                 LIMIT 1), 0)
           ORDER BY k.start DESC
           LIMIT 1"#,
        log.run.0,
        log.attempt as i16,
        stream as i16,
        byte
    );
    let found = found.fetch_optional(conn).await?;
    Ok(found.map(|row| (Onward::Start(stream, row.start), row.place.unsigned_abs())))
}
