//! I7: the bytes that are stored are those that the worker sealed.

use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Violation;

/// An ended attempt and what it says of one stream.
type Sealed = (Uuid, i16, i16, i64, Option<Vec<u8>>);

pub(super) async fn violations(conn: &mut PgConnection) -> Vec<Violation> {
    let sealed: Vec<Sealed> = sqlx::query_as(
        "SELECT run_id, attempt, s.stream, s.bytes, s.hash FROM attempt a
         CROSS JOIN LATERAL (VALUES (1::smallint, a.stdout_bytes, a.stdout_sha256), (2::smallint, a.stderr_bytes, a.stderr_sha256))
              AS s(stream, bytes, hash)
         WHERE a.log_status IN ('complete', 'truncated') ORDER BY run_id, attempt, s.stream",
    )
    .fetch_all(&mut *conn)
    .await
    .expect("read the seals");
    let (mut lengths, mut hashes) = (Vec::new(), Vec::new());
    for (run, attempt, stream, bytes, hash) in sealed {
        let (length, digest) = stored(conn, run, attempt, stream).await;
        let which = format!("run {run}, attempt {attempt}, stream {stream}");
        if length != bytes {
            lengths.push(format!("{which}: {length} bytes are stored of {bytes}"));
        }
        // Attempts that ended before they had a container, and workers of tests that seal nothing, have zeros.
        let is_sealed = hash.as_ref().is_some_and(|hash| hash.iter().any(|byte| *byte != 0));
        if is_sealed && hash.as_deref() != Some(digest.as_slice()) {
            hashes.push(format!("{which}: the {length} bytes that are stored have another hash"));
        }
    }
    let claims = [
        ("I7", "a complete log has all bytes of its seal", lengths),
        ("I7", "a complete log has the hash of its seal", hashes),
    ];
    let broken = claims.into_iter().filter(|(_, _, rows)| !rows.is_empty());
    broken.map(|(invariant, claim, rows)| Violation::new(invariant, claim, rows)).collect()
}

/// Lists the attempts that have ended.
///
/// # Panics
///
/// Fails when they cannot be read.
pub async fn attempts(conn: &mut PgConnection) -> Vec<(Uuid, i16)> {
    let ended = sqlx::query_as("SELECT run_id, attempt FROM attempt ORDER BY run_id, attempt");
    ended.fetch_all(conn).await.expect("read the attempts")
}

/// Returns the stored pieces of a stream (1 the standard output, 2 the standard error): where each begins among the bytes
/// that the container wrote, and its bytes.
///
/// # Panics
///
/// Fails when they cannot be read.
pub async fn pieces(conn: &mut PgConnection, run: Uuid, attempt: i16, stream: i16) -> Vec<(usize, Vec<u8>)> {
    let rows: Vec<(i64, Vec<u8>, Option<i32>)> = sqlx::query_as(
        "SELECT start, body, raw_bytes FROM log_chunk WHERE run_id = $1 AND attempt = $2 AND stream = $3 ORDER BY start",
    )
    .bind(run)
    .bind(attempt)
    .bind(stream)
    .fetch_all(conn)
    .await
    .expect("read a log");
    let piece = |(start, body, raw_bytes)| (usize::try_from(start).expect("a place"), unpacked(body, raw_bytes));
    rows.into_iter().map(|(start, body, raw_bytes): (i64, _, _)| piece((start, body, raw_bytes))).collect()
}

/// Reads a stream piece by piece, for it may be large.
async fn stored(conn: &mut PgConnection, run: Uuid, attempt: i16, stream: i16) -> (i64, Vec<u8>) {
    let (mut length, mut hash, mut after) = (0, Sha256::new(), -1);
    loop {
        let pieces: Vec<(i32, Vec<u8>, Option<i32>)> = sqlx::query_as(
            "SELECT seq, body, raw_bytes FROM log_chunk WHERE run_id = $1 AND attempt = $2 AND stream = $3 AND seq > $4
             ORDER BY seq LIMIT 64",
        )
        .bind(run)
        .bind(attempt)
        .bind(stream)
        .bind(after)
        .fetch_all(&mut *conn)
        .await
        .expect("read a log");
        let Some((last, _, _)) = pieces.last() else { return (length, hash.finalize().to_vec()) };
        after = *last;
        for (_, body, raw_bytes) in pieces {
            let body = unpacked(body, raw_bytes);
            length += body.len() as i64;
            hash.update(body);
        }
    }
}

/// Returns the bytes of a stored piece. A frame that is none, or that holds another number of bytes, is none of them.
pub(super) fn unpacked(body: Vec<u8>, raw_bytes: Option<i32>) -> Vec<u8> {
    match raw_bytes {
        None => body,
        Some(length) => {
            let bytes = zstd::bulk::decompress(&body, length as usize).unwrap_or_default();
            if bytes.len() == length as usize { bytes } else { Vec::new() }
        }
    }
}
