//! What runs without being asked: each loop says which use case, and how often.
//!
//! Loops hold no state that matters: any replica may run any of them at any time, and a wake-up that is lost is made
//! up for by the next turn. All are looked after in one way ([`supervised`]): a failure is logged and counted
//! (`tstr_loop_failures_total`) and the loop goes on; a panic ends one turn, not the loop.

mod listener;
#[cfg(feature = "test-support")]
pub mod turns;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::access::Access;
use crate::error::Result;
use crate::ops::events::hub;
use crate::ops::{Ops, memory, skips};

/// How many batches of a schedule a replica makes at once: while PostgreSQL writes one, the next is thought out.
const SCHEDULERS: usize = 2;
/// How soon a scheduler looks again for tests that are due while others have them all in hand.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How often it is looked for free slots that runs wait for all the same.
const GATES_EVERY: Duration = Duration::from_secs(30);

/// How often it is looked for runs and logs whose time is over, and how soon again where something was left.
const RETENTION_EVERY: Duration = Duration::from_secs(600);
const RETENTION_AGAIN: Duration = Duration::from_secs(60);
/// How often it is looked for contents of artifacts that nobody needs any more.
const BLOBS_EVERY: Duration = Duration::from_secs(600);
/// How often it is looked for what is remembered and not used, and for how long it must not have been.
const FORGET_EVERY: Duration = Duration::from_secs(600);
/// How often it is looked whether there is room for more runs.
const STORAGE_EVERY: Duration = Duration::from_secs(30);

/// How often it is looked for what slows the queue down.
const VITALS_EVERY: Duration = Duration::from_secs(15);

/// How often the pulse of the connections is felt, and how soon again while nothing is felt.
const PULSE_EVERY: Duration = Duration::from_secs(5);
const PULSE_AGAIN: Duration = Duration::from_secs(1);

/// What follows a turn of a loop.
enum Next {
    /// There is more to do at once.
    Now,
    /// The next turn comes after the loop's usual time.
    Later,
    /// The next turn comes after this time, at most the loop's usual one.
    Within(Duration),
    /// The next turn comes after this time or the loop's usual one, whichever is longer.
    Rest(Duration),
    /// The next turn comes when cancels are ordered, or after the loop's usual time.
    Asked,
}

/// Starts all loops of a replica; they end when `stop` is cancelled.
pub fn start(ops: &Ops, tracker: &TaskTracker, stop: &CancellationToken, no_scheduler: bool) {
    let spawn = Spawner { ops, tracker, stop };
    for _ in 0..if no_scheduler { 0 } else { SCHEDULERS } {
        spawn.every("scheduler", Duration::from_secs(1), async |ops| {
            let access = Access::system("scheduler");
            if ops.enqueue_due(&access).await? > 0 {
                return Ok(Next::Now);
            }
            // What is due now is in the hands of another.
            let wait =
                ops.until_next_instant(&access).await?.map(|wait| if wait.is_zero() { LOOK_AGAIN } else { wait });
            Ok(wait.map_or(Next::Later, Next::Within))
        });
    }
    spawn.every("mover", Duration::from_millis(250), async |ops| {
        Ok(if ops.move_due(&Access::system("mover")).await? > 0 { Next::Now } else { Next::Later })
    });
    spawn.every("reaper", ops.reap_every(), async |ops| {
        ops.reap(&Access::system("reaper")).await?;
        Ok(Next::Later)
    });
    spawn.every("revocations", Duration::from_secs(2), async |ops| {
        ops.refresh_revoked(&Access::system("revocations")).await?;
        Ok(Next::Later)
    });
    spawn.every("seen", Duration::from_secs(1), async |ops| {
        ops.flush_seen(&Access::system("seen")).await?;
        Ok(Next::Later)
    });
    spawn.every("house", Duration::from_secs(3600), async |ops| {
        ops.keep_house(&Access::system("house")).await?;
        Ok(Next::Later)
    });
    spawn.every("retention", RETENTION_EVERY, async |ops| {
        let done = ops.retain(&Access::system("retention"), None).await?;
        Ok(if done.is_held_up || done.has_more { Next::Within(RETENTION_AGAIN) } else { Next::Later })
    });
    spawn.every("blobs", BLOBS_EVERY, async |ops| {
        ops.sweep_blobs(&Access::system("blobs"), None).await?;
        Ok(Next::Later)
    });
    spawn.every("usage", Duration::from_secs(5), async |ops| {
        ops.fold_usage(&Access::system("usage")).await?;
        Ok(Next::Later)
    });
    spawn.every("digest", Duration::from_secs(1), async |ops| {
        let digested = ops.digest(&Access::system("digest")).await?;
        Ok(if digested.more { Next::Now } else { Next::Later })
    });
    spawn.every("events", hub::EVERY, async |ops| {
        ops.tell_events(&Access::system("events")).await?;
        Ok(Next::Later)
    });
    spawn.every("memory", Duration::from_secs(1), async |ops| {
        let told = ops.remember_run(&Access::system("memory"), memory::MOST_RUNS).await?;
        Ok(if told { Next::Now } else { Next::Later })
    });
    spawn.every("skips", skips::EVERY, async |ops| {
        ops.refresh_skips(&Access::system("skips")).await?;
        Ok(Next::Later)
    });
    spawn.every("storage", STORAGE_EVERY, async |ops| {
        ops.look_at_storage(&Access::system("storage")).await?;
        Ok(Next::Later)
    });
    spawn.every("lanes", Duration::from_secs(1), async |ops| {
        let begun = Instant::now();
        ops.refresh_lanes(&Access::system("lanes")).await?;
        // At most one part in a hundred of a connection's time, however many lanes there are; but what nobody was told of
        // is found within seconds also where everything is slow.
        Ok(Next::Rest((begun.elapsed() * 100).min(Duration::from_secs(8))))
    });
    spawn.every("idle lanes", FORGET_EVERY, async |ops| {
        ops.forget_idle(FORGET_EVERY);
        Ok(Next::Later)
    });
    spawn.every("orders", Duration::from_secs(1), async |ops| {
        ops.carry_out_orders(&Access::system("orders")).await?;
        Ok(Next::Asked)
    });
    spawn.every("gates", GATES_EVERY, async |ops| {
        ops.sweep_gates(&Access::system("gates"), GATES_EVERY).await?;
        Ok(Next::Later)
    });
    spawn.every("vitals", VITALS_EVERY, async |ops| {
        ops.take_vitals(&Access::system("vitals")).await?;
        Ok(Next::Later)
    });
    spawn.every("pulse", PULSE_EVERY, async |ops| {
        let is_doubtful = ops.feel_pulse(&Access::system("pulse")).await?;
        Ok(if is_doubtful { Next::Within(PULSE_AGAIN) } else { Next::Later })
    });
    spawn.every("standby", Duration::from_secs(1), async |ops| {
        ops.watch_standby(&Access::system("standby")).await?;
        Ok(Next::Later)
    });
    // The walk over the queue that ends what waited too long; a turn is one stretch of it.
    let place = Arc::new(Mutex::new(None));
    spawn.every("expiry", Duration::from_secs(2), move |ops| {
        let place = place.clone();
        async move {
            let from = *place.lock().unwrap_or_else(PoisonError::into_inner);
            let (next, _) = ops.expire_step(&Access::system("reaper"), from).await?;
            *place.lock().unwrap_or_else(PoisonError::into_inner) = next;
            Ok(Next::Later)
        }
    });
    spawn.lasting("tell", listener::tell);
    spawn.lasting("listen", listener::listen);
}

/// How long a loop that lasts is left alone before it begins again.
const BEGIN_AGAIN: Duration = Duration::from_secs(1);

struct Spawner<'a> {
    ops: &'a Ops,
    tracker: &'a TaskTracker,
    stop: &'a CancellationToken,
}

impl Spawner<'_> {
    /// Takes turns, one after another.
    fn every<F, T>(&self, name: &'static str, every: Duration, turn: F)
    where
        F: Fn(Ops) -> T + Send + 'static,
        T: Future<Output = Result<Next>> + Send + 'static,
    {
        let (ops, asked) = (self.ops.clone(), self.ops.clone());
        let one = Loop { name, tracker: self.tracker.clone(), stop: self.stop.clone() };
        self.tracker.spawn(one.take_turns(
            every,
            move || turn(ops.clone()),
            move || {
                let ops = asked.clone();
                async move { ops.orders_come().await }
            },
        ));
    }

    /// Runs something that ends when it is told to stop, or when there is nothing for it to do; begins it again after a
    /// failure.
    fn lasting<F, T>(&self, name: &'static str, work: F)
    where
        F: Fn(Ops, CancellationToken) -> T + Send + 'static,
        T: Future<Output = Result<()>> + Send + 'static,
    {
        let (ops, stop) = (self.ops.clone(), self.stop.clone());
        let one = Loop { name, tracker: self.tracker.clone(), stop: self.stop.clone() };
        self.tracker.spawn(one.last(move || work(ops.clone(), stop.clone())));
    }
}

/// A loop and who looks after it.
struct Loop {
    name: &'static str,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Loop {
    async fn take_turns<T, A>(self, every: Duration, turn: impl Fn() -> T, asked: impl Fn() -> A)
    where
        T: Future<Output = Result<Next>> + Send + 'static,
        A: Future<Output = ()>,
    {
        loop {
            let next = self.supervised(turn()).await.unwrap_or(Next::Later);
            let wait = match next {
                Next::Asked => {
                    let asked = tokio::time::timeout(jittered(every), asked());
                    if self.stop.run_until_cancelled(asked).await.is_none() {
                        return;
                    }
                    continue;
                }
                Next::Now => Duration::ZERO,
                Next::Later => jittered(every),
                Next::Within(wait) => wait.min(jittered(every)),
                Next::Rest(rest) => rest.max(jittered(every)),
            };
            if pause(&self.stop, wait).await {
                return;
            }
        }
    }

    async fn last<T>(self, work: impl Fn() -> T)
    where
        T: Future<Output = Result<()>> + Send + 'static,
    {
        while self.supervised(work()).await.is_none() {
            if pause(&self.stop, BEGIN_AGAIN).await {
                return;
            }
        }
    }

    /// Waits for a turn; `None` when it has failed or panicked, which is logged and counted.
    async fn supervised<T: Send + 'static>(&self, turn: impl Future<Output = Result<T>> + Send + 'static) -> Option<T> {
        let name = self.name;
        // A task of its own, so that a panic ends this turn and not the loop. It is not aborted by a stop: a turn is one
        // short transaction, or ends by itself when it is told to stop.
        match self.tracker.spawn(turn).await {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(error)) => tracing::warn!(loop_name = name, "{name}: {error}"),
            Err(panic) => tracing::error!(loop_name = name, "{name} panicked: {panic}"),
        }
        metrics::counter!("tstr_loop_failures_total", "loop" => name).increment(1);
        None
    }
}

/// Waits; tells whether it is time to stop.
async fn pause(stop: &CancellationToken, wait: Duration) -> bool {
    stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none()
}

/// Spreads the turns of replicas that were started together: up to a fifth less, and never more, for what is promised counts
/// on them.
fn jittered(every: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_bytes()[0];
    every.mul_f64(0.8 + f64::from(random) / 255.0 * 0.2)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::error::Error;

    fn one(name: &'static str) -> Loop {
        Loop { name, tracker: TaskTracker::new(), stop: CancellationToken::new() }
    }

    /// What the first, the second and all later turns come to.
    async fn turn<T>(count: Arc<AtomicUsize>, good: T) -> Result<T> {
        match count.fetch_add(1, Ordering::Relaxed) {
            0 => panic!("as it should"),
            1 => Err(Error::conflict("as it should")),
            _ => Ok(good),
        }
    }

    /// Runs a loop of either kind until its third turn; returns how many failures were counted.
    fn failures<F: Future<Output = ()> + Send + 'static>(start: impl FnOnce(Loop, Arc<AtomicUsize>) -> F) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        metrics::with_local_recorder(&recorder, || {
            runtime.block_on(async {
                let (one, count) = (one("test"), Arc::new(AtomicUsize::new(0)));
                let stop = one.stop.clone();
                let running = tokio::spawn(start(one, count.clone()));
                while count.load(Ordering::Relaxed) < 3 {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                stop.cancel();
                running.await.unwrap();
            });
        });
        recorder.handle().render()
    }

    #[test]
    fn a_turn_that_panics_or_fails_is_counted_and_the_loop_goes_on_whatever_its_kind() {
        let turns = failures(|one, count| {
            one.take_turns(Duration::from_secs(1), move || turn(count.clone(), Next::Later), std::future::pending)
        });
        let lasting = failures(|one, count| one.last(move || turn(count.clone(), ())));
        for text in [turns, lasting] {
            assert!(text.contains("tstr_loop_failures_total{loop=\"test\"} 2"), "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_rests_stops_at_once() {
        let one = one("rests");
        let stop = one.stop.clone();
        let rests = || async { Ok(Next::Rest(Duration::from_secs(8))) };
        let running = tokio::spawn(one.take_turns(Duration::from_secs(1), rests, std::future::pending));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let asked = Instant::now();
        stop.cancel();
        running.await.unwrap();
        assert_eq!(asked.elapsed(), Duration::ZERO);
    }
}
