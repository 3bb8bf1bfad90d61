//! Contents of artifacts: which are stored, under which key, and which nobody needs any more.
//!
//! A row of `blob` is there before its object and goes after it. While `stored_at` is null nobody finds the content: it is
//! being uploaded, its object is gone, or it is hidden (`hidden_on`) and removed some days later. Whoever says that a file
//! has a content holds the row against its removal until that is committed, so nothing that a file needs is taken away.
//!
//! Rows of several contents are locked in the order of their keys, each in its final mode at once.

use chrono::NaiveDate;
use tstr_shared::artifacts::{Blob, ContentHash};
use tstr_shared::ids::RunId;
use tstr_shared::permission::{RunsExecute, RunsRead};
use uuid::Uuid;

use super::Conn;
use super::artifacts::limit_of;
use super::claims::{OwnLease, interval};
use super::error::is_taken;
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};

/// How long the owner of a lease has to report from the moment at which it began to collect.
const COLLECTING: std::time::Duration = std::time::Duration::from_secs(15 * 60);
/// A content may be hidden so many days after it was last used.
pub const UNUSED_DAYS: i32 = 2;
/// Its object may be removed so many days after it was hidden, which are more than one whole day.
pub const HIDDEN_DAYS: i32 = 2;
/// How long an object is left to the replica that began to remove it.
const REMOVING: std::time::Duration = std::time::Duration::from_secs(5 * 60);
/// What an upload counts at least, so that many small ones come to an end as well.
const LEAST_COUNTED: u64 = 16 << 10;

/// Names the object of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobKey {
    /// Names the upload.
    pub key: Uuid,
    /// The namespace.
    pub ns_id: i32,
    /// The content.
    pub sha256: ContentHash,
}

/// Reads a hash as the database has it.
pub(super) fn hash(bytes: &[u8]) -> Result<ContentHash> {
    let hash = <[u8; 32]>::try_from(bytes);
    hash.map(ContentHash).map_err(|_| Error::internal(anyhow::anyhow!("a hash has not 32 bytes")))
}

/// A lease that contents are uploaded for.
#[derive(Debug, Clone, Copy)]
pub struct Uploading {
    /// Its namespace.
    pub ns_id: i32,
    /// How many bytes of files are kept of the attempt.
    pub limit: u64,
}

/// Finds out for which lease contents are uploaded; `None` when its fence is not current, or its runner is not the caller's.
pub async fn uploading(conn: &mut Conn, access: &Access<RunsExecute>, lease: &OwnLease) -> Result<Option<Uploading>> {
    let found = sqlx::query!(
        r#"SELECT l.ns_id, coalesce(l.config_id, config_of(l.run_id)) AS "config_id!"
           FROM lease l
           WHERE l.run_id = $1 AND l.attempt = $2 AND l.lease_id = $3 AND l.runner_id = $4 AND l.ns_id = ANY($5)
             AND EXISTS (SELECT 1 FROM runner w WHERE w.id = $4 AND w.token_id = $6)"#,
        lease.fence.run_id.0,
        lease.fence.attempt as i16,
        lease.fence.lease_id.0,
        lease.runner.0,
        access.namespaces(),
        lease.token.0
    );
    let Some(found) = found.fetch_optional(&mut *conn).await? else { return Ok(None) };
    let limit = limit_of(conn, found.config_id).await?;
    Ok(Some(Uploading { ns_id: found.ns_id, limit }))
}

/// Notes, once, that the artifacts of an attempt are being collected, and gives it the time for that. Returns the namespace of
/// the lease; `None` as [`uploading`] does.
pub async fn begin_collecting(conn: &mut Conn, access: &Access<RunsExecute>, lease: &OwnLease) -> Result<Option<i32>> {
    let found = sqlx::query_scalar!(
        r#"UPDATE lease l
           SET collecting_at = coalesce(l.collecting_at, clock_timestamp()),
               hard_deadline = CASE WHEN l.started_at IS NOT NULL
                                    THEN greatest(l.hard_deadline,
                                                  coalesce(l.collecting_at, clock_timestamp()) + $7::interval) END
           WHERE l.run_id = $1 AND l.attempt = $2 AND l.lease_id = $3 AND l.runner_id = $4 AND l.ns_id = ANY($5)
             AND EXISTS (SELECT 1 FROM runner w WHERE w.id = $4 AND w.token_id = $6)
           RETURNING l.ns_id"#,
        lease.fence.run_id.0,
        lease.fence.attempt as i16,
        lease.fence.lease_id.0,
        lease.runner.0,
        access.namespaces(),
        lease.token.0,
        interval(COLLECTING)
    );
    Ok(found.fetch_optional(conn).await?)
}

/// A content that is stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredBlob {
    /// Names its object.
    pub key: Uuid,
    /// The content.
    pub blob: Blob,
}

/// Finds those of these contents that are stored for a namespace, and notes that they are used.
pub async fn find(
    conn: &mut Conn,
    _: &Access<RunsExecute>,
    ns_id: i32,
    hashes: &[ContentHash],
) -> Result<Vec<StoredBlob>> {
    let hashes: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.0.to_vec()).collect();
    // In the order of the keys, so that two that name the same contents wait and do not deadlock. One that is being removed
    // at this moment is looked at again, and not found.
    sqlx::query!(
        r#"UPDATE blob b SET used_on = (now() AT TIME ZONE 'UTC')::date
           FROM (SELECT key FROM blob
                 WHERE ns_id = $1 AND sha256 = ANY($2) AND stored_at IS NOT NULL
                   AND used_on < (now() AT TIME ZONE 'UTC')::date
                 ORDER BY key
                 FOR NO KEY UPDATE) stale
           WHERE b.key = stale.key"#,
        ns_id,
        &hashes
    )
    .execute(&mut *conn)
    .await?;
    let rows = sqlx::query!(
        "SELECT key, sha256, bytes FROM blob WHERE ns_id = $1 AND sha256 = ANY($2) AND stored_at IS NOT NULL",
        ns_id,
        &hashes
    );
    rows.fetch_all(conn).await?.into_iter().map(|row| stored(row.key, &row.sha256, row.bytes)).collect()
}

fn stored(key: Uuid, sha256: &[u8], bytes: i64) -> Result<StoredBlob> {
    Ok(StoredBlob { key, blob: Blob { sha256: hash(sha256)?, bytes: bytes.unsigned_abs() } })
}

/// Finds those of these contents that are stored for a namespace, notes that they are used, and holds them against removal
/// until the transaction ends: files of this run are to have them.
///
/// They are used today, and the run must never be younger than that, whatever clock it was made by: whether a file has a
/// content is looked up among runs until the day of its last use.
pub async fn hold(
    conn: &mut Conn,
    _: &Access<RunsExecute>,
    ns_id: i32,
    hashes: &[ContentHash],
    run: RunId,
) -> Result<Vec<StoredBlob>> {
    let hashes: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.0.to_vec()).collect();
    // Where one is to be changed all are locked as if they were: who shared them first, and asked for more then, would wait
    // for another one that shares them too and does the same.
    sqlx::query!(
        r#"WITH held AS MATERIALIZED (
               SELECT key FROM blob
               WHERE ns_id = $1 AND sha256 = ANY($2) AND stored_at IS NOT NULL
                 AND EXISTS (SELECT FROM blob
                             WHERE ns_id = $1 AND sha256 = ANY($2) AND stored_at IS NOT NULL
                               AND used_on < greatest((now() AT TIME ZONE 'UTC')::date, id_day($3)))
               ORDER BY key
               FOR NO KEY UPDATE
           )
           UPDATE blob b SET used_on = greatest((now() AT TIME ZONE 'UTC')::date, id_day($3))
           FROM held
           WHERE b.key = held.key AND b.used_on < greatest((now() AT TIME ZONE 'UTC')::date, id_day($3))"#,
        ns_id,
        &hashes,
        run.0
    )
    .execute(&mut *conn)
    .await?;
    let rows = sqlx::query!(
        r#"SELECT key, sha256, bytes FROM blob
           WHERE ns_id = $1 AND sha256 = ANY($2) AND stored_at IS NOT NULL
           ORDER BY key
           FOR SHARE"#,
        ns_id,
        &hashes
    );
    rows.fetch_all(conn).await?.into_iter().map(|row| stored(row.key, &row.sha256, row.bytes)).collect()
}

/// Makes the row of an upload, before its object, and counts its bytes on the lease; `None` when they would be more than
/// `most` with those that were uploaded before, or the lease is gone.
pub async fn begin_upload(
    conn: &mut Conn,
    _: &Access<RunsExecute>,
    lease: &OwnLease,
    blob: Blob,
    most: u64,
) -> Result<Option<BlobKey>> {
    let key = Uuid::new_v4();
    let made = sqlx::query_scalar!(
        r#"WITH room AS (
               UPDATE lease l SET uploaded_bytes = coalesce(l.uploaded_bytes, 0) + $6
               WHERE l.run_id = $1 AND l.attempt = $2 AND l.lease_id = $3
                 AND coalesce(l.uploaded_bytes, 0) + $6 <= $7
               RETURNING l.ns_id
           )
           INSERT INTO blob (key, ns_id, sha256, bytes)
           SELECT $4, ns_id, $5, $8 FROM room
           RETURNING ns_id"#,
        lease.fence.run_id.0,
        lease.fence.attempt as i16,
        lease.fence.lease_id.0,
        key,
        blob.sha256.0.as_slice(),
        signed(blob.bytes.max(LEAST_COUNTED)),
        signed(most),
        signed(blob.bytes)
    );
    let made = made.fetch_optional(conn).await?;
    Ok(made.map(|ns_id| BlobKey { key, ns_id, sha256: blob.sha256 }))
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// What became of an upload at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It is the one that is found from now on.
    Found,
    /// Another of the same content was faster.
    Second,
    /// It took so long that it was swept.
    Swept,
}

/// Lets an upload be found.
pub async fn end_upload(conn: &mut Conn, _: &Access<RunsExecute>, key: BlobKey) -> Result<Ended> {
    let stored = sqlx::query!(
        r#"UPDATE blob SET stored_at = clock_timestamp()
           WHERE key = $1 AND stored_at IS NULL AND hidden_on IS NULL"#,
        key.key
    );
    match stored.execute(conn).await {
        Ok(done) if done.rows_affected() > 0 => Ok(Ended::Found),
        Ok(_) => Ok(Ended::Swept),
        Err(error) if is_taken(&error) => Ok(Ended::Second),
        Err(error) => Err(error.into()),
    }
}

/// Removes the row of an upload that is not found by anybody, after its object, and counts it on the lease no more.
pub async fn forget_upload(conn: &mut Conn, _: &Access<RunsExecute>, lease: &OwnLease, key: BlobKey) -> Result<()> {
    sqlx::query!(
        r#"WITH gone AS (DELETE FROM blob WHERE key = $4 AND stored_at IS NULL RETURNING bytes)
           UPDATE lease l SET uploaded_bytes = greatest(l.uploaded_bytes - greatest(gone.bytes, $5), 0)
           FROM gone
           WHERE l.run_id = $1 AND l.attempt = $2 AND l.lease_id = $3"#,
        lease.fence.run_id.0,
        lease.fence.attempt as i16,
        lease.fence.lease_id.0,
        key.key,
        signed(LEAST_COUNTED)
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that the object of a content is gone, so that the content is stored again when it is next left behind.
pub async fn note_lost(conn: &mut Conn, _: &Access<RunsRead>, key: BlobKey) -> Result<()> {
    sqlx::query!("UPDATE blob SET stored_at = NULL WHERE key = $1 AND stored_at IS NOT NULL", key.key)
        .execute(conn)
        .await?;
    Ok(())
}

/// What one step over the contents found.
#[derive(Debug)]
pub struct Walk {
    /// Where the walk goes on; `None` at its end.
    pub onward: Option<Uuid>,
    /// How many contents are not found any more from now on.
    pub hidden: u64,
}

/// Looks at the next `limit` contents behind `from`, and hides as of the day `today` those that no file has and that were
/// not used for [`UNUSED_DAYS`]. Of those that were never found nothing is to be waited for. Call in the turn to remove things:
/// a day that is dropped at the same time would have it wait.
pub async fn hide_unused(
    conn: &mut Conn,
    _: &Access<System>,
    from: Uuid,
    today: NaiveDate,
    limit: i64,
) -> Result<Walk> {
    let ends =
        sqlx::query_scalar!("SELECT key FROM blob WHERE key > $1 ORDER BY key OFFSET $2 LIMIT 1", from, limit - 1);
    let onward = ends.fetch_optional(&mut *conn).await?;
    // A row that somebody holds is being used. Whether a file has it is read before it is locked: who recorded one meanwhile
    // has changed the day of its last use, which is looked at again.
    let hidden = sqlx::query!(
        r#"WITH unused AS MATERIALIZED (
               SELECT key FROM blob
               WHERE key > $1 AND ($2::uuid IS NULL OR key <= $2)
                 AND hidden_on IS NULL AND used_on <= $3::date - $4::int
                 AND NOT is_blob_used(key, used_on)
               ORDER BY key
               FOR NO KEY UPDATE SKIP LOCKED
           )
           UPDATE blob b
           SET stored_at = NULL,
               hidden_on = CASE WHEN b.stored_at IS NULL THEN $3::date - $5::int ELSE $3 END
           FROM unused
           WHERE b.key = unused.key AND b.hidden_on IS NULL"#,
        from,
        onward,
        today,
        UNUSED_DAYS,
        HIDDEN_DAYS
    );
    Ok(Walk { onward, hidden: hidden.execute(conn).await?.rows_affected() })
}

/// Takes contents that have been hidden for [`HIDDEN_DAYS`], to remove their objects; other replicas leave these alone for a
/// while.
pub async fn take_hidden(conn: &mut Conn, _: &Access<System>, today: NaiveDate, limit: i64) -> Result<Vec<BlobKey>> {
    let rows = sqlx::query!(
        r#"WITH taken AS MATERIALIZED (
               SELECT key FROM blob
               WHERE hidden_on <= $1::date - $2::int
                 AND (tried_at IS NULL OR tried_at < clock_timestamp() - $3::interval)
               ORDER BY hidden_on, key
               LIMIT $4
               FOR NO KEY UPDATE SKIP LOCKED
           )
           UPDATE blob b SET tried_at = clock_timestamp()
           FROM taken
           WHERE b.key = taken.key
           RETURNING b.key, b.ns_id, b.sha256"#,
        today,
        HIDDEN_DAYS,
        interval(REMOVING),
        limit
    );
    let rows = rows.fetch_all(conn).await?.into_iter();
    rows.map(|row| Ok(BlobKey { key: row.key, ns_id: row.ns_id, sha256: hash(&row.sha256)? })).collect()
}

/// Removes rows whose objects are gone.
pub async fn forget(conn: &mut Conn, _: &Access<System>, keys: &[Uuid]) -> Result<u64> {
    let gone = sqlx::query!("DELETE FROM blob WHERE key = ANY($1) AND hidden_on IS NOT NULL", keys);
    Ok(gone.execute(conn).await?.rows_affected())
}
