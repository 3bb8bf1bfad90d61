//! The timeline of the database: on another one, which a standby opened that took over or a backup was restored to, keys
//! that were given out before may be given out again, to others.

use std::sync::{MutexGuard, PoisonError};

use super::Ops;
use crate::error::Result;
use crate::store;

impl Ops {
    fn timeline(&self) -> MutexGuard<'_, String> {
        self.0.timeline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the timeline that is known; finds out which one the database is on, before anything of it is remembered.
    pub(super) async fn learn_timeline(&self) -> Result<String> {
        let known = self.timeline().clone();
        if !known.is_empty() {
            return Ok(known);
        }
        let found = store::housekeeping::timeline(&mut self.0.pools.claim.acquire().await?).await?;
        self.timeline().clone_from(&found);
        Ok(found)
    }

    /// Remembers what was read on a timeline, unless it is another one that is known now.
    pub(super) fn remember(&self, timeline: &str, add: impl FnOnce()) {
        let known = self.timeline();
        if *known == timeline {
            add();
        }
    }

    /// Forgets what was read on another timeline than this one. What waits is found by the next look at the queue.
    pub(super) fn forget_timeline(&self, now: &str) {
        let mut timeline = self.timeline();
        if *timeline == now {
            return;
        }
        tracing::warn!("the database went from timeline {timeline} to {now}: what is known of its rows is read anew");
        self.0.placement.forget_all();
        self.0.configs.forget_all();
        // The partitions of these days may not be there any more.
        self.0.days.lock().unwrap_or_else(PoisonError::into_inner).clear();
        now.clone_into(&mut timeline);
    }
}
