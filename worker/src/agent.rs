//! The worker's own life: it registers, sends heartbeats, claims runs while a slot is free, and drains.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use tstr_shared::error::ErrorCode;
use tstr_shared::lease::LeasedRun;
use tstr_shared::runner::NewRunner;
use uuid::Uuid;

use crate::control::{Backoff, Claim, ControlError, Release};
use crate::run::{self, Shared, empty_seal};

/// How long the API may wait before it answers a claim with nothing.
const CLAIM_WAIT: Duration = Duration::from_secs(20);
/// How long the last question about a claim may take when the worker stops.
const LAST_CLAIM: Duration = Duration::from_secs(5);
/// How long to leave an API alone that refuses a claim.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// The longest that a heartbeat may take.
const BEAT_PATIENCE: Duration = Duration::from_secs(5);

/// A registered worker.
pub(crate) struct Agent {
    pub(crate) shared: Arc<Shared>,
    pub(crate) me: NewRunner,
    /// Every attempt is a task of this tracker.
    pub(crate) attempts: TaskTracker,
}

impl Agent {
    /// Works until the worker was told to stop and everything it had is done with.
    pub(crate) async fn work(self) {
        let (pause, paused) = watch::channel(false);
        let over = CancellationToken::new();
        let all = async {
            self.claim_runs(paused).await;
            // No more attempts begin; those that go on are waited for.
            self.attempts.close();
            self.attempts.wait().await;
            self.shared.tracker.close();
            self.shared.tracker.wait().await;
            over.cancel();
        };
        let beats = async {
            tokio::select! {
                () = self.send_heartbeats(&pause) => {}
                () = over.cancelled() => {}
            }
        };
        let judged = async {
            tokio::select! {
                reason = self.shared.verdict.heard() => {
                    // Whoever may not speak may not act either: what runs is ended, and nothing is said about it.
                    tracing::error!(error = reason, "the worker cannot go on: {reason}");
                    self.shared.stops.drain();
                    self.shared.book.lose_all();
                }
                () = over.cancelled() => {}
            }
        };
        tokio::join!(all, beats, judged);
    }

    /// Claims runs and begins their attempts until the worker drains.
    async fn claim_runs(&self, mut paused: watch::Receiver<bool>) {
        let slots = Arc::new(Semaphore::new(usize::from(self.me.slots)));
        loop {
            let free = tokio::select! {
                biased;
                () = self.shared.stops.draining() => return,
                free = free_slots(&slots, &mut paused) => free,
            };
            let most = tokio::select! {
                biased;
                () = self.shared.stops.draining() => return,
                most = self.shared.health.is_fit() => most,
            };
            let wanted = u32::try_from(free.num_permits()).unwrap_or(u32::MAX);
            let claim = Claim {
                runner_id: self.shared.id,
                max: most.map_or(wanted, |most| most.min(wanted)),
                wait: CLAIM_WAIT,
                id: Uuid::new_v4(),
                only_repeat: false,
            };
            // Before the call, for that is the earliest moment at which the leases can have been given.
            let asked_at = self.shared.book.now();
            let claimed = tokio::select! {
                biased;
                () = self.shared.stops.draining() => {
                    self.give_back(claim).await;
                    return;
                }
                () = self.shared.health.is_unfit() => {
                    self.give_back(claim).await;
                    continue;
                }
                claimed = self.shared.control.claim(claim) => claimed,
            };
            match claimed {
                Ok(runs) => self.begin(runs, asked_at, free),
                Err(error @ ControlError::Unauthenticated(_)) => self.shared.refuse(&error),
                Err(error) => {
                    warn!(error = %error, "no runs can be claimed: {error}");
                    self.shared.book.hurry();
                    tokio::select! {
                        () = tokio::time::sleep(REFUSED_PAUSE) => {}
                        () = self.shared.stops.draining() => {}
                    }
                }
            }
        }
    }

    fn begin(&self, runs: Vec<LeasedRun>, asked_at: Duration, mut free: OwnedSemaphorePermit) {
        for run in runs {
            let Some(slot) = free.split(1) else {
                // The API gave more than was asked for; what no heartbeat mentions it takes back.
                warn!(run.id = %run.fence.run_id, "the API handed out more runs than there are slots");
                break;
            };
            let lease = self.shared.book.enter(run.fence, asked_at);
            self.shared.health.taken(run.fence);
            let shared = Arc::clone(&self.shared);
            self.attempts.spawn(async move {
                run::execute(shared, run, lease).await;
                drop(slot);
            });
        }
        // What was claimed is mentioned soon, so that a lost answer shows soon.
        self.shared.book.hurry();
    }

    /// Asks once more about a claim that was dropped, and gives back what it got: else these runs would wait for the
    /// end of their leases.
    async fn give_back(&self, claim: Claim) {
        let again = Claim { wait: Duration::ZERO, only_repeat: true, ..claim };
        let given_back = async {
            let Ok(runs) = self.shared.control.claim(again).await else { return };
            for run in runs {
                let message = "the worker takes nothing new".to_owned();
                let release = Release { reason: None, message, seal: empty_seal() };
                if let Err(error) = self.shared.control.release(run.fence, &release).await {
                    warn!(run.id = %run.fence.run_id, error = %error, "run {} cannot be given back: {error}", run.fence.run_id);
                }
            }
        };
        let _ = tokio::time::timeout(LAST_CLAIM, given_back).await;
    }

    /// Sends heartbeats for ever; they also tell the API that the runner is there.
    async fn send_heartbeats(&self, pause: &watch::Sender<bool>) {
        let (shared, every) = (&self.shared, self.shared.book.times().heartbeat);
        let mut backoff = Backoff::urgent();
        loop {
            let fences = shared.book.fences();
            let asked_at = shared.book.now();
            let unfit = shared.health.unfit();
            match shared.control.heartbeat(&fences, unfit, every.min(BEAT_PATIENCE)).await {
                Ok(beat) => {
                    if backoff.tries() > 0 {
                        info!("the API answers heartbeats again");
                    }
                    backoff = Backoff::urgent();
                    shared.book.answered(asked_at, &beat.leases);
                    let trusts = shared.book.trusts().into_iter();
                    shared.guard.extend(trusts.map(|(fence, until)| (run::container_name(fence), until)).collect());
                    if pause.send_if_modified(|known| std::mem::replace(known, beat.draining) != beat.draining) {
                        info!(
                            draining = beat.draining,
                            "{}",
                            if beat.draining {
                                "the runner was told to drain: it takes nothing new"
                            } else {
                                "the runner takes runs again"
                            }
                        );
                    }
                    tokio::select! {
                        () = tokio::time::sleep(every) => {}
                        () = shared.book.hurried() => {}
                        () = shared.health.is_other_than(unfit) => {}
                    }
                    continue;
                }
                Err(error @ ControlError::Unauthenticated(_)) => {
                    shared.refuse(&error);
                    return std::future::pending().await;
                }
                Err(ControlError::Refused { code: Some(ErrorCode::NotFound), message }) => {
                    warn!(error = message, "the API does not know this runner any more, registering again: {message}");
                    if let Err(error) = shared.control.register(&self.me).await {
                        warn!(error = %error, "the runner cannot be registered again: {error}");
                    }
                }
                Err(error) => {
                    if backoff.tries() == 0 {
                        warn!(error = %error, leases = fences.len(), "a heartbeat was not answered, trying again: {error}");
                    }
                }
            }
            backoff.wait().await;
        }
    }
}

/// Waits for a free slot while the runner is not paused; returns all that are free.
async fn free_slots(slots: &Arc<Semaphore>, paused: &mut watch::Receiver<bool>) -> OwnedSemaphorePermit {
    loop {
        if paused.wait_for(|paused| !*paused).await.is_err() {
            return std::future::pending().await;
        }
        let Ok(mut free) = Arc::clone(slots).acquire_owned().await else { return std::future::pending().await };
        if *paused.borrow() {
            continue;
        }
        if let Ok(more) =
            Arc::clone(slots).try_acquire_many_owned(u32::try_from(slots.available_permits()).unwrap_or(0))
        {
            free.merge(more);
        }
        return free;
    }
}
