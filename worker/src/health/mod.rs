//! Whether this machine is fit to take runs: room on the disk for their logs, and an engine that does not break them.
//!
//! A machine that is not fit takes nothing new, says so, and looks again; what it has goes on.

mod breaker;
mod disk;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{error, info, warn};
use tstr_shared::lease::Fence;
use tstr_shared::runner::Unfit;

use crate::clock::Clock;
pub(crate) use breaker::Sign;
use breaker::{Breaker, Change, LOSSES, Permit};
pub(crate) use disk::Disk;

/// How often the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The fitness of the machine.
#[derive(Debug)]
pub(crate) struct Health {
    breaker: Mutex<Breaker<Fence>>,
    disk: Disk,
    /// The disk was low when it was last looked at.
    low: Mutex<bool>,
    clock: Clock,
    changed: Notify,
}

impl Health {
    /// Makes the fitness of a machine on which this worker crashed while it had `crashed` runs.
    pub(crate) fn new(disk: Disk, clock: Clock, crashed: u32) -> Self {
        let breaker = Mutex::new(Breaker::new(crashed));
        Self { breaker, disk, low: Mutex::default(), clock, changed: Notify::new() }
    }

    /// Waits until runs may be taken; returns how many, if not as many as there are slots.
    pub(crate) async fn is_fit(&self) -> Option<u32> {
        loop {
            match self.permit() {
                Some(Permit::All) => return None,
                Some(Permit::One) => return Some(1),
                Some(Permit::NotBefore(_) | Permit::Probing) | None => self.pause().await,
            }
        }
    }

    /// Waits until no runs may be taken.
    pub(crate) async fn is_unfit(&self) {
        while matches!(self.permit(), Some(Permit::All | Permit::One)) {
            self.pause().await;
        }
    }

    /// Says why nothing new is taken now; `None` while runs are taken.
    pub(crate) fn unfit(&self) -> Option<Unfit> {
        match self.is_disk_low() {
            true => Some(Unfit::DiskLow),
            false => lock(&self.breaker).is_open(self.clock.now()).then_some(Unfit::Breaker),
        }
    }

    /// Waits until that is another reason than `known`, or none.
    pub(crate) async fn is_other_than(&self, known: Option<Unfit>) {
        while self.unfit() == known {
            self.pause().await;
        }
    }

    /// Notes that a run was taken.
    pub(crate) fn taken(&self, fence: Fence) {
        lock(&self.breaker).taken(fence);
    }

    /// Notes how a run went.
    pub(crate) fn ended(&self, fence: Fence, sign: Sign) {
        match lock(&self.breaker).ended(fence, sign, self.clock.now(), crate::control::random_fraction()) {
            Some(Change::Opened(pause)) => {
                let secs = pause.as_secs();
                error!(
                    pause_secs = secs,
                    "this machine broke the last runs ({LOSSES} or more in a row): nothing is taken for {secs} s, then one run is tried"
                );
            }
            Some(Change::Closed) => info!("a run went well again: runs are taken as before"),
            None => {}
        }
        self.changed.notify_waiters();
    }

    /// Looks at the disk, then at the breaker; `None` while the disk is low.
    fn permit(&self) -> Option<Permit> {
        if self.is_disk_low() { None } else { Some(lock(&self.breaker).permit(self.clock.now())) }
    }

    fn is_disk_low(&self) -> bool {
        // A disk that cannot be looked at is no reason to take nothing.
        let Ok(room) = self.disk.room() else { return false };
        let mut known = lock(&self.low);
        if std::mem::replace(&mut *known, room.is_low()) != room.is_low() {
            let (free, least) = (room.free >> 20, room.least >> 20);
            if room.is_low() {
                warn!(
                    free_bytes = room.free,
                    least_bytes = room.least,
                    "disk_low: {free} MiB are free where {least} MiB have to be; nothing is taken until there is room"
                );
            } else {
                info!(free_bytes = room.free, "there is room on the disk again: runs are taken as before");
            }
        }
        room.is_low()
    }

    async fn pause(&self) {
        let changed = self.changed.notified();
        let _ = tokio::time::timeout(LOOK_EVERY, changed).await;
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
