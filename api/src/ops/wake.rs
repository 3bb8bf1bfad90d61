//! Who is woken when something happens: here at once, on other replicas by a debounced notification.
//!
//! Waking is a courtesy: everybody who waits also looks by itself after a while, and a lost wake-up costs at most that
//! while, never a run. No transaction that writes runs sends NOTIFY, because that would serialise commits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, broadcast};
use tstr_shared::ids::RunId;

use crate::store::queue::Place;

/// The channel on which replicas notify each other.
pub const CHANNEL: &str = "tstr_wake";
/// The most lanes and runs in one notification; NOTIFY carries 8000 bytes.
const MAX_LANES: usize = 60;
const MAX_RUNS: usize = 120;

/// What happened, as it stands in a notification.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// Which replica says it; it has heard of it already.
    pub from: u64,
    /// Lanes that got runs, each with the first place of one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lanes: BTreeMap<i32, i64>,
    /// Runs that changed their state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunId>,
    /// A token was revoked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
    /// A runner takes runs again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub runners: bool,
    /// There were more lanes than a notification holds: look at all of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// What wakes those who wait. Cheap to clone.
#[derive(Clone)]
pub struct Wake(Arc<Inner>);

struct Inner {
    me: u64,
    runs: broadcast::Sender<RunId>,
    logs: broadcast::Sender<RunId>,
    outbox: Mutex<News>,
    filled: Notify,
}

impl News {
    /// Returns from where on lanes have runs.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.lanes.iter().map(|(lane, seq)| Place { lane: *lane, seq: *seq })
    }
}

impl Default for Wake {
    fn default() -> Self {
        let (half, _) = uuid::Uuid::new_v4().as_u64_pair();
        Self(Arc::new(Inner {
            me: half,
            runs: broadcast::Sender::new(1024),
            logs: broadcast::Sender::new(1024),
            outbox: Mutex::default(),
            filled: Notify::new(),
        }))
    }
}

impl Wake {
    /// Runs became ready from these places on.
    pub fn places(&self, places: impl IntoIterator<Item = Place>) {
        self.post(|news| {
            for place in places {
                news.lanes.entry(place.lane).and_modify(|seq| *seq = place.seq.min(*seq)).or_insert(place.seq);
            }
        });
    }

    /// A runner takes runs again.
    pub fn runners(&self) {
        self.post(|news| news.runners = true);
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
            if outbox.lanes.len() > MAX_LANES {
                outbox.more = true;
                outbox.lanes.clear();
            }
            // Who waits for one of them looks by itself.
            outbox.runs.truncate(MAX_RUNS);
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
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lane: i32, seq: i64) -> Place {
        Place { lane, seq }
    }

    #[tokio::test]
    async fn news_is_gathered_and_our_own_is_not_heard_twice() {
        let (here, there) = (Wake::default(), Wake::default());
        here.places([at(4, 7), at(8, 1)]);
        here.places([at(4, 5), at(8, 3)]);
        let news = here.next_news().await;
        assert_eq!(news.places().collect::<Vec<_>>(), [at(4, 5), at(8, 1)]);
        assert!(!here.hear(&news) && there.hear(&news));
    }

    #[tokio::test]
    async fn a_flood_becomes_one_notification_that_fits() {
        let wake = Wake::default();
        wake.places((0..10_000).map(|lane| at(lane, i64::MAX)));
        let news = wake.next_news().await;
        assert!(news.more && serde_json::to_string(&news).unwrap().len() < 8000);
        wake.places((0..MAX_LANES as i32).map(|lane| at(i32::MAX - lane, i64::MAX)));
        wake.runs((0..MAX_RUNS).map(|i| RunId(uuid::Uuid::from_u128(i as u128))));
        assert!(serde_json::to_string(&wake.next_news().await).unwrap().len() < 8000);
    }
}
