//! Contents of artifacts: which of them are stored, and which are removed because nobody needs them any more.
//!
//! See docs/adr/0013-artifacts-by-content.md.

use chrono::NaiveDate;
use futures_util::StreamExt;
use tstr_shared::artifacts::{Blob, ContentHash, MAX_FILES};
use tstr_shared::error::Invalid;
use tstr_shared::ids::RunnerId;
use tstr_shared::lease::Fence;
use tstr_shared::permission::RunsExecute;

use super::{Ops, own_lease};
use crate::auth::Caller;
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};
use crate::objects::Objects;
use crate::store;
use crate::store::blobs::BlobKey;

/// How many contents one step of the walk looks at, and how many steps a turn makes.
const WALK_STEP: i64 = 2_000;
const WALK_STEPS: usize = 50;
/// How many objects are removed before their rows are, and how many of them at the same time.
const REMOVE_BATCH: i64 = 64;
const REMOVE_AT_ONCE: usize = 8;
/// After so many objects in a row that could not be removed a turn ends: the store does not answer.
const STUBBORN: u32 = 5;

/// What a turn over the contents has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Contents that nobody needs, and that are not found any more.
    pub hidden: u64,
    /// Objects that were removed.
    pub removed: u64,
    /// Objects that could not be; a later turn tries again.
    pub failed: u64,
}

impl BlobKey {
    /// Returns the name of the object.
    pub(super) fn object(&self) -> String {
        format!("{}/{}-{}", self.ns_id, self.sha256, self.key)
    }
}

impl Ops {
    /// Says where artifacts are kept; without it they are refused. What was said first holds.
    pub fn keep_artifacts_in(&self, objects: Objects) {
        let _ = self.0.objects.set(objects);
    }

    /// Returns where artifacts are kept.
    pub(super) fn objects(&self) -> Result<&Objects> {
        let objects = self.0.objects.get();
        objects.ok_or_else(|| Error::conflict("this server keeps no artifacts: it was started without --artifacts-url"))
    }

    /// Says which of these contents are not stored for the namespace of a lease. Notes as well that the attempt's artifacts
    /// are being collected, which gives its worker more time to report.
    pub async fn find_blobs(
        &self,
        caller: &Caller,
        runner: RunnerId,
        fence: Fence,
        blobs: Vec<Blob>,
    ) -> Result<Vec<ContentHash>> {
        let access = self.reach::<RunsExecute>(caller).await?;
        if blobs.len() > MAX_FILES {
            return Err(Invalid::one("/blobs", format!("at most {MAX_FILES} contents in one call")).into());
        }
        let lease = own_lease(caller, &access, runner, fence);
        let mut conn = self.db().acquire().await?;
        let ns_id = store::blobs::begin_collecting(&mut conn, &access, &lease).await?.ok_or_else(Error::lease_lost)?;
        if blobs.is_empty() {
            return Ok(Vec::new());
        }
        self.objects()?;
        let hashes: Vec<ContentHash> = blobs.iter().map(|blob| blob.sha256).collect();
        let found = store::blobs::find(&mut conn, &access, ns_id, &hashes).await?;
        let is_missing = |blob: &&Blob| !found.iter().any(|stored| stored.blob == **blob);
        let mut missing: Vec<ContentHash> = blobs.iter().filter(is_missing).map(|blob| blob.sha256).collect();
        missing.sort_unstable();
        missing.dedup();
        Ok(missing)
    }

    /// Hides contents that no file has and that were last used two days ago or before, and uploads that came to no end, and
    /// removes what was hidden for more than a day. The day is the database's unless a test says another.
    pub async fn sweep_blobs(&self, access: &Access<System>, today: Option<NaiveDate>) -> Result<Swept> {
        let mut swept = Swept::default();
        let Some(objects) = self.0.objects.get() else { return Ok(swept) };
        let today = match today {
            Some(today) => today,
            None => store::housekeeping::now(&mut self.db().acquire().await?).await?.date_naive(),
        };
        swept.hidden = self.hide_blobs(access, today).await?;
        let mut in_a_row = 0;
        while in_a_row < STUBBORN && !self.0.closing.is_cancelled() {
            // The store may be slow, and others need the connection meanwhile.
            let keys = {
                let mut conn = self.db().acquire().await?;
                store::blobs::take_hidden(&mut conn, access, today, REMOVE_BATCH).await?
            };
            if keys.is_empty() {
                break;
            }
            let mut gone = Vec::with_capacity(keys.len());
            let mut removed = futures_util::stream::iter(keys)
                .map(async |key| (key, objects.remove(&key.object()).await))
                .buffer_unordered(REMOVE_AT_ONCE);
            while in_a_row < STUBBORN
                && let Some((key, outcome)) = removed.next().await
            {
                match outcome {
                    Ok(()) => {
                        in_a_row = 0;
                        gone.push(key.key);
                    }
                    Err(error) => {
                        in_a_row += 1;
                        swept.failed += 1;
                        tracing::warn!("the object {} cannot be removed now: {error}", key.object());
                    }
                }
            }
            drop(removed);
            let mut conn = self.db().acquire().await?;
            swept.removed += store::blobs::forget(&mut conn, access, &gone).await?;
        }
        if swept != Swept::default() {
            let Swept { hidden, removed, failed } = swept;
            tracing::info!(hidden, removed, failed, "{removed} contents of artifacts that nobody needs are removed");
        }
        Ok(swept)
    }

    /// Walks on over the contents, and hides those that nobody needs. While days are dropped the next turn goes on.
    async fn hide_blobs(&self, access: &Access<System>, today: NaiveDate) -> Result<u64> {
        let mut hidden = 0;
        let mut place = self.0.blob_walk.lock().map(|place| *place).unwrap_or_default();
        for _ in 0..WALK_STEPS {
            let mut tx = self.db().begin().await?;
            if self.0.closing.is_cancelled() || !store::retention::take_turn(&mut tx, access).await? {
                break;
            }
            let walk = store::blobs::hide_unused(&mut tx, access, place, today, WALK_STEP).await?;
            tx.commit().await?;
            hidden += walk.hidden;
            place = walk.onward.unwrap_or_default();
            if walk.onward.is_none() {
                break;
            }
        }
        if let Ok(mut known) = self.0.blob_walk.lock() {
            *known = place;
        }
        Ok(hidden)
    }
}
