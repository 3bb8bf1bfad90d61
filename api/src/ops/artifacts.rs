//! Artifacts: recorded by workers, listed and read by people.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tstr_shared::artifacts::{Artifact, ArtifactList, ArtifactPath, Collected, ContentHash};
use tstr_shared::error::{ErrorCode, Invalid};
use tstr_shared::ids::{RunId, RunnerId};
use tstr_shared::lease::Fence;
use tstr_shared::permission::{RunsExecute, RunsRead};
use tstr_shared::size::Bytes as Size;
use uuid::Uuid;

use super::logs::attempt_of;
use super::{Ops, own_lease};
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store;
use crate::store::artifacts::Of;
use crate::store::blobs::{BlobKey, StoredBlob};

/// A file that may be read.
#[derive(Debug, Clone)]
pub struct Opened {
    /// What it is.
    pub artifact: Artifact,
    /// The attempt that it is of.
    pub attempt: u16,
    key: BlobKey,
}

impl Ops {
    /// Records which files an attempt has left behind, in place of what was recorded before. The contents must be stored.
    /// Tells whether some of them may be test reports.
    pub async fn record_artifacts(
        &self,
        caller: &Caller,
        runner: RunnerId,
        fence: Fence,
        collected: Collected,
    ) -> Result<bool> {
        let access = self.reach::<RunsExecute>(caller).await?;
        collected.validate()?;
        let lease = own_lease(caller, &access, runner, fence);
        let mut tx = self.db().begin().await?;
        let recording = store::artifacts::note_on_lease(&mut tx, &access, &lease, &collected).await?;
        let recording = recording.ok_or_else(Error::lease_lost)?;
        if collected.bytes() > recording.limit {
            let sentence = format!("the artifacts of an attempt of this run have at most {}", Size(recording.limit));
            return Err(Error::new(ErrorCode::TooLarge, sentence));
        }
        let mut hashes: Vec<ContentHash> = collected.files.iter().map(|file| file.blob.sha256).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let held = match hashes.is_empty() {
            true => Vec::new(),
            false => store::blobs::hold(&mut tx, &access, recording.ns_id, &hashes, fence.run_id).await?,
        };
        let keys = keys_of(&collected, &held)?;
        if recording.is_again {
            store::artifacts::forget(&mut tx, &access, fence).await?;
        }
        store::artifacts::record(&mut tx, &access, fence, &collected, &keys).await?;
        tx.commit().await?;
        Ok(collected.files.iter().any(|file| recording.artifacts.may_be_report(&file.path)))
    }

    /// Lists the artifacts of an attempt, the latest without one.
    pub async fn list_artifacts(&self, caller: &Caller, run: RunId, attempt: Option<u16>) -> Result<ArtifactList> {
        let access = self.reach::<RunsRead>(caller).await?;
        let of = self.attempt_of(&access, run, attempt).await?;
        let mut conn = self.db().acquire().await?;
        let items = store::artifacts::list(&mut conn, &access, of).await?;
        let notes = store::artifacts::notes(&mut conn, &access, of).await?;
        if items.is_empty() {
            refuse_removed(&mut conn, &access, of).await?;
        }
        let bytes = items.iter().map(|artifact| artifact.bytes).sum();
        let files = u32::try_from(items.len()).unwrap_or(u32::MAX);
        Ok(ArtifactList { attempt: of.attempt, files, bytes, items, notes })
    }

    /// Finds an artifact of an attempt, of the latest without one.
    pub async fn open_artifact(
        &self,
        caller: &Caller,
        run: RunId,
        attempt: Option<u16>,
        path: &ArtifactPath,
    ) -> Result<Opened> {
        let access = self.reach::<RunsRead>(caller).await?;
        let of = self.attempt_of(&access, run, attempt).await?;
        let mut conn = self.db().acquire().await?;
        match store::artifacts::find(&mut conn, &access, of, path).await? {
            Some((artifact, key)) => Ok(Opened { artifact, attempt: of.attempt, key }),
            None => {
                refuse_removed(&mut conn, &access, of).await?;
                Err(Error::not_found("artifact"))
            }
        }
    }

    /// Reads a part of an artifact.
    pub async fn read_artifact(
        &self,
        caller: &Caller,
        opened: &Opened,
        part: Range<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let object = opened.key.object();
        let Some(pieces) = self.objects()?.read(&object, part).await? else {
            tracing::error!("the object {object} is not in the store of artifacts, although the database says so");
            let access = self.reach::<RunsRead>(caller).await?;
            store::blobs::note_lost(&mut self.db().acquire().await?, &access, opened.key).await?;
            let sentence = "the bytes of this artifact are lost: the store of artifacts does not have them any more";
            return Err(Error::new(ErrorCode::NotFound, sentence));
        };
        let (ops, caller) = (self.clone(), caller.clone());
        Ok(pieces.map(move |piece| ops.still_holds(&caller).and(piece)))
    }

    async fn attempt_of(&self, access: &Access<RunsRead>, run: RunId, attempt: Option<u16>) -> Result<Of> {
        let head = self.head(access, run).await?;
        Ok(Of { run, attempt: attempt_of(&head, attempt)? })
    }
}

/// Refuses what retention has removed: it must not be taken for an attempt that left nothing behind.
async fn refuse_removed(conn: &mut store::Conn, access: &Access<RunsRead>, of: Of) -> Result<()> {
    match store::artifacts::removed_at(conn, access, of).await? {
        Some(at) => {
            let sentence = format!("the artifacts were removed by retention on {}", at.date_naive());
            Err(Error::new(ErrorCode::Expired, sentence))
        }
        None => Ok(()),
    }
}

/// Returns the keys of the contents of files, in the order of the files.
fn keys_of(collected: &Collected, held: &[StoredBlob]) -> Result<Vec<Uuid>> {
    let stored: HashMap<ContentHash, &StoredBlob> = held.iter().map(|one| (one.blob.sha256, one)).collect();
    let mut keys = Vec::with_capacity(collected.files.len());
    let (mut invalid, mut missing) = (Invalid::default(), 0);
    for (i, file) in collected.files.iter().enumerate() {
        match stored.get(&file.blob.sha256) {
            Some(one) if one.blob == file.blob => keys.push(one.key),
            Some(one) => {
                invalid.add(format!("/files/{i}/blob/bytes"), format!("the content has {} bytes", one.blob.bytes));
            }
            None => missing += 1,
        }
    }
    invalid.into_result()?;
    match missing {
        0 => Ok(keys),
        _ => Err(Error::conflict(format!(
            "the contents of {missing} files are not stored; find out which, and send them"
        ))),
    }
}
