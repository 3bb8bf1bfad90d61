//! Artifacts: the files of attempts, as they are recorded and read.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use tstr_shared::artifacts::{Artifact, ArtifactNote, ArtifactPath, Artifacts, Collected, media_type};
use tstr_shared::ids::RunId;
use tstr_shared::lease::Fence;
use tstr_shared::permission::{RunsExecute, RunsRead};
use uuid::Uuid;

use super::Conn;
use super::blobs::{BlobKey, hash};
use super::claims::OwnLease;
use super::queue::ConfigBody;
use crate::auth::access::Access;
use crate::error::{Error, Result};

/// A lease whose artifacts are recorded.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Its namespace.
    pub ns_id: i32,
    /// How many bytes of files are kept of the attempt.
    pub limit: u64,
    /// Which of them are reports.
    pub artifacts: Artifacts,
    /// Something was recorded of it before.
    pub is_again: bool,
}

/// Notes on a lease what is recorded of its artifacts, which holds it until the transaction ends; `None` when its fence is
/// not current, or its runner is not the caller's.
pub async fn note_on_lease(
    conn: &mut Conn,
    access: &Access<RunsExecute>,
    lease: &OwnLease,
    collected: &Collected,
) -> Result<Option<Recording>> {
    let noted = sqlx::query!(
        r#"WITH before AS MATERIALIZED (
               SELECT l.run_id, l.artifact_files FROM lease l
               WHERE l.run_id = $1 AND l.attempt = $2 AND l.lease_id = $3 AND l.runner_id = $4 AND l.ns_id = ANY($5)
                 AND EXISTS (SELECT 1 FROM runner w WHERE w.id = $4 AND w.token_id = $6)
               FOR NO KEY UPDATE OF l
           )
           UPDATE lease l
           SET artifact_files = $7, artifact_bytes = $8
           FROM before
           WHERE l.run_id = before.run_id
           RETURNING l.ns_id, coalesce(l.config_id, config_of(l.run_id)) AS "config_id!",
                     before.artifact_files IS NOT NULL AS "is_again!""#,
        lease.fence.run_id.0,
        lease.fence.attempt as i16,
        lease.fence.lease_id.0,
        lease.runner.0,
        access.namespaces(),
        lease.token.0,
        i32::try_from(collected.files.len()).unwrap_or(i32::MAX),
        i64::try_from(collected.bytes()).unwrap_or(i64::MAX)
    );
    let Some(noted) = noted.fetch_optional(&mut *conn).await? else { return Ok(None) };
    let body = config_of(conn, noted.config_id).await?;
    let (limit, artifacts) = (body.artifact_limit, body.artifacts);
    Ok(Some(Recording { ns_id: noted.ns_id, limit, artifacts, is_again: noted.is_again }))
}

/// Reads how many bytes of files are kept of an attempt with this configuration.
pub(super) async fn limit_of(conn: &mut Conn, config_id: i64) -> Result<u64> {
    Ok(config_of(conn, config_id).await?.artifact_limit)
}

async fn config_of(conn: &mut Conn, config_id: i64) -> Result<ConfigBody> {
    let body = sqlx::query_scalar!(r#"SELECT body AS "body: Json<ConfigBody>" FROM config WHERE id = $1"#, config_id);
    Ok(body.fetch_one(conn).await?.0)
}

/// Removes the files of an attempt that were recorded before. It locks the partitions of all days, so it is for an attempt
/// that is recorded again.
pub async fn forget(conn: &mut Conn, _: &Access<RunsExecute>, fence: Fence) -> Result<()> {
    let (run, attempt) = (fence.run_id.0, fence.attempt as i16);
    sqlx::query!("DELETE FROM artifact WHERE run_id = $1 AND attempt = $2", run, attempt).execute(conn).await?;
    Ok(())
}

/// Records the files of an attempt; `blobs` are the keys of their contents, in the order of the files. Call after
/// [`note_on_lease`], and [`forget`] where it was recorded before, in one transaction.
pub async fn record(
    conn: &mut Conn,
    _: &Access<RunsExecute>,
    fence: Fence,
    collected: &Collected,
    blobs: &[Uuid],
) -> Result<()> {
    let (run, attempt) = (fence.run_id.0, fence.attempt as i16);
    if !collected.files.is_empty() {
        let files = &collected.files;
        sqlx::query!(
            r#"INSERT INTO artifact (run_id, attempt, path, blob, sha256, bytes, media_type)
               SELECT $1, $2, u.path, u.blob, u.sha256, u.bytes, u.media_type
               FROM unnest($3::text[], $4::uuid[], $5::bytea[], $6::bigint[], $7::text[])
                    AS u(path, blob, sha256, bytes, media_type)"#,
            run,
            attempt,
            &files.iter().map(|file| file.path.as_str().to_owned()).collect::<Vec<_>>(),
            blobs,
            &files.iter().map(|file| file.blob.sha256.0.to_vec()).collect::<Vec<_>>(),
            &files.iter().map(|file| file.blob.bytes as i64).collect::<Vec<_>>(),
            &files.iter().map(|file| media_type(file.path.name()).to_owned()).collect::<Vec<_>>(),
        )
        .execute(&mut *conn)
        .await?;
    }
    sqlx::query!(
        r#"INSERT INTO collected AS c (run_id, attempt, files, bytes, notes)
           VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (run_id, attempt)
           DO UPDATE SET files = excluded.files, bytes = excluded.bytes, notes = excluded.notes"#,
        run,
        attempt,
        i32::try_from(collected.files.len()).unwrap_or(i32::MAX),
        i64::try_from(collected.bytes()).unwrap_or(i64::MAX),
        Json(&collected.notes) as _
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An attempt of a run whose artifacts are read. Made only for a run that the access covers.
#[derive(Debug, Clone, Copy)]
pub struct Of {
    /// The run.
    pub run: RunId,
    /// The attempt.
    pub attempt: u16,
}

struct ArtifactRow {
    path: String,
    sha256: Vec<u8>,
    bytes: i64,
    media_type: String,
}

impl ArtifactRow {
    fn into_artifact(self) -> Result<Artifact> {
        Ok(Artifact {
            path: ArtifactPath::parse(&self.path).map_err(|fault| Error::internal(anyhow::anyhow!(fault)))?,
            bytes: self.bytes.unsigned_abs(),
            sha256: hash(&self.sha256)?,
            media_type: self.media_type,
        })
    }
}

/// Lists the files of an attempt by their paths.
pub async fn list(conn: &mut Conn, _: &Access<RunsRead>, of: Of) -> Result<Vec<Artifact>> {
    let rows = sqlx::query_as!(
        ArtifactRow,
        r#"SELECT path, sha256, bytes, media_type FROM artifact
           WHERE run_id = $1 AND attempt = $2
           ORDER BY path COLLATE "C""#,
        of.run.0,
        of.attempt as i16
    );
    rows.fetch_all(conn).await?.into_iter().map(ArtifactRow::into_artifact).collect()
}

/// Reads what is said of files of an attempt that were not kept.
pub async fn notes(conn: &mut Conn, _: &Access<RunsRead>, of: Of) -> Result<Vec<ArtifactNote>> {
    let notes = sqlx::query_scalar!(
        r#"SELECT notes AS "notes: Json<Vec<ArtifactNote>>" FROM collected WHERE run_id = $1 AND attempt = $2"#,
        of.run.0,
        of.attempt as i16
    );
    Ok(notes.fetch_optional(conn).await?.map(|notes| notes.0).unwrap_or_default())
}

/// Finds a file of an attempt, and the object that holds its content.
pub async fn find(
    conn: &mut Conn,
    access: &Access<RunsRead>,
    of: Of,
    path: &ArtifactPath,
) -> Result<Option<(Artifact, BlobKey)>> {
    let row = sqlx::query!(
        r#"SELECT a.sha256, a.bytes, a.media_type, b.key, b.ns_id
           FROM artifact a JOIN blob b ON b.key = a.blob
           WHERE a.run_id = $1 AND a.attempt = $2 AND a.path = $3 AND b.ns_id = ANY($4)"#,
        of.run.0,
        of.attempt as i16,
        path.as_str(),
        access.namespaces()
    );
    let Some(row) = row.fetch_optional(conn).await? else { return Ok(None) };
    let sha256 = hash(&row.sha256)?;
    let artifact = Artifact { path: path.clone(), bytes: row.bytes.unsigned_abs(), sha256, media_type: row.media_type };
    Ok(Some((artifact, BlobKey { key: row.key, ns_id: row.ns_id, sha256 })))
}

/// Says when retention removed the artifacts of an attempt; `None` while they are there, and where it never had any.
pub async fn removed_at(conn: &mut Conn, access: &Access<RunsRead>, of: Of) -> Result<Option<DateTime<Utc>>> {
    let removed = sqlx::query_scalar!(
        r#"SELECT u.logs_removed_at AS "at!"
           FROM run r
           JOIN usage u ON u.ns_id = r.ns_id AND u.day = id_day($1) AND u.logs_removed_at IS NOT NULL
           JOIN attempt a ON a.run_id = r.id AND a.attempt = $3
           WHERE r.id = $1 AND r.ns_id = ANY($2) AND a.artifact_files > 0 AND NOT has_collected($1, $3)"#,
        of.run.0,
        access.namespaces(),
        of.attempt as i16
    );
    Ok(removed.fetch_optional(conn).await?)
}
