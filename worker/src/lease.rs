//! The leases that the worker holds: how long each may be trusted, and what its attempt has to hear.
//!
//! The trust in a lease counts from *before* the heartbeat that extended it was sent: a slow answer must not lengthen
//! it. An attempt that stops trusting its lease takes it out of the book, and no heartbeat mentions it again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tstr_shared::lease::{Fence, LeaseState, LeaseTimes};

use crate::clock::Clock;

/// What an attempt has to hear about its lease, in ascending order of gravity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Signal {
    /// The lease holds, as far as is known.
    Held,
    /// The run is to be cancelled.
    Cancel,
    /// The lease belongs to another, or to nobody.
    Lost,
}

/// All leases of the worker.
#[derive(Debug)]
pub(crate) struct LeaseBook {
    entries: Mutex<HashMap<Fence, Entry>>,
    clock: Clock,
    times: LeaseTimes,
    /// A heartbeat is wanted before the next is due.
    hurry: Notify,
}

#[derive(Debug)]
struct Entry {
    trusted_until: Duration,
    signal: watch::Sender<Signal>,
}

impl LeaseBook {
    pub(crate) fn new(clock: Clock, times: LeaseTimes) -> Arc<Self> {
        Arc::new(Self { entries: Mutex::default(), clock, times, hurry: Notify::new() })
    }

    pub(crate) fn times(&self) -> LeaseTimes {
        self.times
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Notes a lease that was asked for at `asked_at`.
    pub(crate) fn enter(self: &Arc<Self>, fence: Fence, asked_at: Duration) -> Lease {
        let (signal, heard) = watch::channel(Signal::Held);
        self.lock().insert(fence, Entry { trusted_until: asked_at + self.times.self_fence, signal });
        Lease { fence, book: Arc::clone(self), heard }
    }

    /// Returns the leases that a heartbeat is to mention.
    pub(crate) fn fences(&self) -> Vec<Fence> {
        let mut fences: Vec<_> = self.lock().keys().copied().collect();
        fences.sort_by_key(|fence| fence.run_id);
        fences
    }

    /// Returns how long each lease may be trusted.
    pub(crate) fn trusts(&self) -> Vec<(Fence, Duration)> {
        self.lock().iter().map(|(fence, entry)| (*fence, entry.trusted_until)).collect()
    }

    /// Notes what a heartbeat sent at `asked_at` was told.
    pub(crate) fn answered(&self, asked_at: Duration, leases: &[(Fence, LeaseState)]) {
        let mut entries = self.lock();
        for (fence, state) in leases {
            let Some(entry) = entries.get_mut(fence) else { continue };
            let signal = match state {
                LeaseState::Held => Signal::Held,
                LeaseState::CancelRequested => Signal::Cancel,
                LeaseState::Gone => Signal::Lost,
            };
            if signal < Signal::Lost {
                entry.trusted_until = entry.trusted_until.max(asked_at + self.times.self_fence);
            }
            entry.signal.send_if_modified(|known| {
                let graver = signal > *known;
                *known = signal.max(*known);
                // A renewed trust is news as well, to those who wait for it.
                graver || signal == Signal::Held
            });
        }
    }

    /// Notes that a lease is lost, from whichever call said so.
    pub(crate) fn lose(&self, fence: Fence) {
        if let Some(entry) = self.lock().get(&fence) {
            entry.signal.send_replace(Signal::Lost);
        }
    }

    /// Notes that all leases are lost: the worker may not speak to the API any more.
    pub(crate) fn lose_all(&self) {
        for entry in self.lock().values() {
            entry.signal.send_replace(Signal::Lost);
        }
    }

    /// Waits until somebody wants a heartbeat at once.
    pub(crate) async fn hurried(&self) {
        self.hurry.notified().await;
    }

    /// Asks for a heartbeat at once.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Fence, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One lease, held by its attempt; leaves the book when it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    fence: Fence,
    book: Arc<LeaseBook>,
    heard: watch::Receiver<Signal>,
}

impl Lease {
    pub(crate) fn fence(&self) -> Fence {
        self.fence
    }

    pub(crate) fn times(&self) -> LeaseTimes {
        self.book.times
    }

    /// Returns what was heard last.
    pub(crate) fn signal(&self) -> Signal {
        *self.heard.borrow()
    }

    /// Returns until when the lease may be trusted; `None` when it was given up.
    pub(crate) fn trusted_until(&self) -> Option<Duration> {
        self.book.lock().get(&self.fence).map(|entry| entry.trusted_until)
    }

    /// Returns how much longer the lease may be trusted; `None` when no more.
    pub(crate) fn trusted_for(&self) -> Option<Duration> {
        let until = self.trusted_until()?;
        until.checked_sub(self.book.now()).filter(|left| !left.is_zero())
    }

    /// Stops mentioning the lease in heartbeats, for good.
    pub(crate) fn forget(&self) {
        self.book.lock().remove(&self.fence);
    }

    /// Waits until there is something graver to hear than `known`.
    pub(crate) async fn graver_than(&self, known: Signal) -> Signal {
        let mut heard = self.heard.clone();
        let graver = heard.wait_for(|signal| *signal > known).await.map(|signal| *signal);
        match graver {
            Ok(signal) => signal,
            // Forgotten: nothing will ever be heard.
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits until the lease can no longer be trusted.
    ///
    /// Looks at the clock at least once a second: a suspended machine's timers stand still, its leases do not.
    pub(crate) async fn untrusted(&self) {
        while let Some(left) = self.trusted_for() {
            tokio::time::sleep(left.min(Duration::from_secs(1))).await;
        }
    }

    /// Waits until the lease is trusted, at most as long as an ordinary lease is trusted; tells whether it is.
    ///
    /// A claim may have waited at the server for longer than a lease is trusted; a heartbeat then has to say first
    /// that it holds.
    pub(crate) async fn trusted(&self) -> bool {
        let mut heard = self.heard.clone();
        let patience = tokio::time::sleep(self.book.times.self_fence);
        tokio::pin!(patience);
        loop {
            if self.trusted_for().is_some() {
                return true;
            }
            self.book.hurry();
            tokio::select! {
                changed = heard.changed() => if changed.is_err() || self.signal() == Signal::Lost { return false },
                () = &mut patience => return false,
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use tstr_shared::ids::{LeaseId, RunId};
    use uuid::Uuid;

    use super::*;

    fn fence() -> Fence {
        Fence { run_id: RunId(Uuid::now_v7()), attempt: 1, lease_id: LeaseId(Uuid::new_v4()) }
    }

    fn book() -> Arc<LeaseBook> {
        LeaseBook::new(Clock::tokio(), LeaseTimes::TEST)
    }

    #[tokio::test(start_paused = true)]
    async fn trust_counts_from_before_the_heartbeat_was_sent() {
        let book = book();
        let lease = book.enter(fence(), book.now());
        let asked_at = book.now() + Duration::from_secs(1);
        tokio::time::sleep(Duration::from_secs(3)).await;
        book.answered(asked_at, &[(lease.fence(), LeaseState::Held)]);
        assert_eq!(lease.trusted_for(), Some(Duration::from_secs(2)), "sent at 1, trusted until 1 + 4, now 3");
        tokio::time::timeout(Duration::from_millis(2001), lease.untrusted()).await.unwrap();
        assert_eq!(lease.trusted_for(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancel_is_heard_and_not_unheard() {
        let book = book();
        let lease = book.enter(fence(), book.now());
        book.answered(book.now(), &[(lease.fence(), LeaseState::CancelRequested)]);
        book.answered(book.now(), &[(lease.fence(), LeaseState::Held)]);
        assert_eq!(lease.graver_than(Signal::Held).await, Signal::Cancel);
        book.lose(lease.fence());
        assert_eq!(lease.graver_than(Signal::Cancel).await, Signal::Lost);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_whose_claim_waited_long_is_trusted_after_a_heartbeat() {
        let book = book();
        tokio::time::sleep(Duration::from_secs(20)).await;
        let lease = book.enter(fence(), Duration::ZERO);
        assert_eq!(lease.trusted_for(), None);
        let beat = async {
            book.hurried().await;
            book.answered(book.now(), &[(book.fences()[0], LeaseState::Held)]);
        };
        let (trusted, ()) = tokio::join!(lease.trusted(), beat);
        assert!(trusted);
    }

    #[tokio::test]
    async fn a_dropped_lease_is_not_mentioned_again() {
        let book = book();
        let lease = book.enter(fence(), book.now());
        assert_eq!(book.fences(), [lease.fence()]);
        drop(lease);
        assert!(book.fences().is_empty());
    }
}
