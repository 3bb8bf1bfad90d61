//! Contents of artifacts: which of them are stored, and which are removed because nobody needs them any more.
//!
//! See docs/adr/0013-artifacts-by-content.md.

use chrono::{Days, NaiveDate};
use tstr_shared::artifacts::{Blob, ContentHash, MAX_FILES};
use tstr_shared::error::Invalid;
use tstr_shared::ids::RunnerId;
use tstr_shared::lease::Fence;
use tstr_shared::permission::RunsExecute;
use uuid::Uuid;

use super::{Ops, own_lease};
use crate::auth::Caller;
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};
use crate::objects::Objects;
use crate::store;
use crate::store::blobs::{BlobKey, UNUSED_DAYS};

/// How many contents one step of the walk looks at, and how many steps a turn makes.
const WALK_STEP: i64 = 2_000;
const WALK_STEPS: usize = 50;
/// How many objects are removed before their rows are.
const REMOVE_BATCH: i64 = 200;

/// What a turn over the contents has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Contents that nobody needs, and that are not found any more.
    pub hidden: u64,
    /// Objects that were removed.
    pub removed: u64,
    /// Objects that could not be; the next turn tries again.
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

    /// Removes contents that no file has and that were last used two days ago or before, and uploads that came to no end.
    /// The day is the database's unless a test says another.
    pub async fn sweep_blobs(&self, access: &Access<System>, today: Option<NaiveDate>) -> Result<Swept> {
        let mut swept = Swept::default();
        let Some(objects) = self.0.objects.get() else { return Ok(swept) };
        let mut conn = self.db().acquire().await?;
        let today = match today {
            Some(today) => today,
            None => store::housekeeping::now(&mut conn).await?.date_naive(),
        };
        let before = today - Days::new(UNUSED_DAYS);
        let mut place = self.0.blob_walk.lock().map(|place| *place).unwrap_or_default();
        for _ in 0..WALK_STEPS {
            let walk = store::blobs::hide_unused(&mut conn, access, place, before, WALK_STEP).await?;
            swept.hidden += walk.hidden;
            place = walk.onward.unwrap_or_default();
            if walk.onward.is_none() || self.0.closing.is_cancelled() {
                break;
            }
        }
        if let Ok(mut known) = self.0.blob_walk.lock() {
            *known = place;
        }
        drop(conn);
        let mut behind = Uuid::nil();
        while !self.0.closing.is_cancelled() {
            // The store may be slow, and others need the connection meanwhile.
            let keys = {
                let mut conn = self.db().acquire().await?;
                store::blobs::unfound(&mut conn, access, before, behind, REMOVE_BATCH).await?
            };
            let Some(last) = keys.last() else { break };
            behind = last.key;
            let mut gone = Vec::with_capacity(keys.len());
            for key in &keys {
                match objects.remove(&key.object()).await {
                    Ok(()) => gone.push(key.key),
                    Err(error) => {
                        swept.failed += 1;
                        tracing::warn!("the object {} cannot be removed now: {error}", key.object());
                    }
                }
            }
            let mut conn = self.db().acquire().await?;
            swept.removed += store::blobs::forget(&mut conn, access, &gone).await?;
        }
        if swept != Swept::default() {
            let Swept { hidden, removed, failed } = swept;
            tracing::info!(hidden, removed, failed, "{removed} contents of artifacts that nobody needs are removed");
        }
        Ok(swept)
    }
}
