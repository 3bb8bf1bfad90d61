//! The timeline of the database: on another one, which a standby opened that took over or a backup was restored to, keys
//! that were given out before may be given out again, to others.

use std::sync::PoisonError;

use super::Ops;
use crate::error::Result;
use crate::store;

impl Ops {
    /// Returns the timeline that classes and configurations were read on.
    pub(super) fn timeline(&self) -> String {
        self.0.timeline.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Finds out which timeline the database is on, before anything is read of it that is remembered.
    pub(super) async fn learn_timeline(&self) -> Result<()> {
        if self.timeline().is_empty() {
            let found = store::housekeeping::timeline(&mut self.0.pools.claim.acquire().await?).await?;
            *self.0.timeline.lock().unwrap_or_else(PoisonError::into_inner) = found;
        }
        Ok(())
    }

    /// Forgets what was read on another timeline than this one. What waits is found by the next look at the queue.
    pub(super) fn forget_timeline(&self, now: &str) {
        let mut timeline = self.0.timeline.lock().unwrap_or_else(PoisonError::into_inner);
        if *timeline == now {
            return;
        }
        tracing::warn!("the database went from timeline {timeline} to {now}: what is known of its rows is read anew");
        self.0.placement.forget_all();
        self.0.configs.forget_all();
        now.clone_into(&mut timeline);
    }
}
