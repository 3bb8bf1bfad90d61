//! Who is woken when something happens: here at once, on other replicas by a debounced notification.
//!
//! Waking is a courtesy: everybody who waits also looks by itself after a while, and a lost wake-up costs at most that
//! while, never a run. No transaction that writes runs sends NOTIFY, because that would serialise commits.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, broadcast, watch};
use tstr_shared::ids::RunId;

/// The channel on which replicas notify each other.
pub const CHANNEL: &str = "tstr_wake";
/// The most lanes or runs in one notification; NOTIFY carries 8000 bytes.
const MAX_ITEMS: usize = 150;

/// What happened, as it stands in a notification.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// Which replica says it; it has heard of it already.
    pub from: u64,
    /// Lanes that got runs.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lanes: BTreeSet<i32>,
    /// Runs that changed their state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunId>,
    /// A token was revoked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
    /// There was more than a notification holds: look at everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// What wakes those who wait. Cheap to clone.
#[derive(Clone)]
pub struct Wake(Arc<Inner>);

struct Inner {
    me: u64,
    ready: watch::Sender<u64>,
    runs: broadcast::Sender<RunId>,
    logs: broadcast::Sender<RunId>,
    outbox: Mutex<News>,
    filled: Notify,
}

impl Default for Wake {
    fn default() -> Self {
        let (half, _) = uuid::Uuid::new_v4().as_u64_pair();
        Self(Arc::new(Inner {
            me: half,
            ready: watch::Sender::new(0),
            runs: broadcast::Sender::new(1024),
            logs: broadcast::Sender::new(1024),
            outbox: Mutex::default(),
            filled: Notify::new(),
        }))
    }
}

impl Wake {
    /// Runs became ready in these lanes.
    pub fn lanes(&self, lanes: impl IntoIterator<Item = i32>) {
        self.claimers();
        self.post(|news| news.lanes.extend(lanes));
    }

    /// Wakes those who wait to claim, here only.
    pub fn claimers(&self) {
        self.0.ready.send_modify(|version| *version += 1);
    }

    /// These runs changed their state.
    pub fn runs(&self, runs: impl IntoIterator<Item = RunId>) {
        let runs: Vec<RunId> = runs.into_iter().collect();
        self.runs_here(&runs);
        self.post(|news| news.runs.extend(runs));
    }

    fn runs_here(&self, runs: &[RunId]) {
        for run in runs {
            // An error says that nobody waits.
            let _ = self.0.runs.send(*run);
            let _ = self.0.logs.send(*run);
        }
    }

    /// The log of this run grew; told here only, readers elsewhere look by themselves.
    pub fn log(&self, run: RunId) {
        let _ = self.0.logs.send(run);
    }

    /// A token was revoked.
    pub fn revoked(&self) {
        self.post(|news| news.revoked = true);
    }

    /// Returns what changes when runs become ready.
    pub fn watch_ready(&self) -> watch::Receiver<u64> {
        self.0.ready.subscribe()
    }

    /// Returns the runs that change their state from now on.
    pub fn watch_runs(&self) -> broadcast::Receiver<RunId> {
        self.0.runs.subscribe()
    }

    /// Returns the runs whose log grows, or that change their state, from now on.
    pub fn watch_logs(&self) -> broadcast::Receiver<RunId> {
        self.0.logs.subscribe()
    }

    fn post(&self, add: impl FnOnce(&mut News)) {
        if let Ok(mut outbox) = self.0.outbox.lock() {
            add(&mut outbox);
            if outbox.lanes.len() > MAX_ITEMS || outbox.runs.len() > MAX_ITEMS {
                outbox.more = true;
                outbox.lanes.clear();
                outbox.runs.clear();
            }
        }
        self.0.filled.notify_one();
    }

    /// Waits until there is news for the other replicas, and takes it.
    pub async fn next_news(&self) -> News {
        loop {
            self.0.filled.notified().await;
            let Ok(mut outbox) = self.0.outbox.lock() else { continue };
            let news = std::mem::take(&mut *outbox);
            if news != News::default() {
                return News { from: self.0.me, ..news };
            }
        }
    }

    /// Passes news of another replica on to those who wait here; returns `false` for our own.
    pub fn hear(&self, news: &News) -> bool {
        if news.from == self.0.me {
            return false;
        }
        self.runs_here(&news.runs);
        if news.more || !news.lanes.is_empty() {
            self.claimers();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn news_is_gathered_and_our_own_is_not_heard_twice() {
        let (here, there) = (Wake::default(), Wake::default());
        here.lanes([4, 8]);
        here.lanes([4]);
        let news = here.next_news().await;
        assert_eq!(news.lanes, BTreeSet::from([4, 8]));
        assert!(!here.hear(&news) && there.hear(&news));
    }

    #[tokio::test]
    async fn a_flood_becomes_one_notification_that_fits() {
        let wake = Wake::default();
        wake.lanes(0..10_000);
        let news = wake.next_news().await;
        assert!(news.more && serde_json::to_string(&news).unwrap().len() < 8000);
        wake.lanes(0..MAX_ITEMS as i32);
        wake.runs((0..MAX_ITEMS).map(|i| RunId(uuid::Uuid::from_u128(i as u128))));
        assert!(serde_json::to_string(&wake.next_news().await).unwrap().len() < 8000);
    }
}
