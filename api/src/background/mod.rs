//! What runs without being asked: each loop says which use case, and how often.
//!
//! Loops hold no state that matters: any replica may run any of them at any time, and a wake-up that is lost is made
//! up for by the next turn. A failure is logged and the loop goes on; a panic ends one turn, not the loop.

mod listener;
#[cfg(feature = "test-support")]
pub mod turns;

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::access::Access;
use crate::error::Result;
use crate::ops::Ops;

/// How often it is looked for free slots that runs wait for all the same.
const GATES_EVERY: Duration = Duration::from_secs(30);

/// How often it is looked for runs and logs whose time is over, and how soon again where something was left.
const RETENTION_EVERY: Duration = Duration::from_secs(600);
const RETENTION_AGAIN: Duration = Duration::from_secs(60);
/// How often it is looked for contents of artifacts that nobody needs any more.
const BLOBS_EVERY: Duration = Duration::from_secs(600);
/// How often it is looked whether there is room for more runs.
const STORAGE_EVERY: Duration = Duration::from_secs(30);

/// What follows a turn of a loop.
enum Next {
    /// There is more to do at once.
    Now,
    /// The next turn comes after the loop's usual time.
    Later,
    /// The next turn comes after this time, at most the loop's usual one.
    Within(Duration),
    /// The next turn comes when cancels are ordered, or after the loop's usual time.
    Asked,
}

/// Starts all loops of a replica; they end when `stop` is cancelled.
pub fn start(ops: &Ops, tracker: &TaskTracker, stop: &CancellationToken, no_scheduler: bool) {
    let spawn = Spawner { ops, tracker, stop };
    if !no_scheduler {
        spawn.every("scheduler", Duration::from_secs(1), async |ops| {
            let access = Access::system("scheduler");
            if ops.enqueue_due(&access).await? > 0 {
                return Ok(Next::Now);
            }
            Ok(ops.until_next_instant(&access).await?.map_or(Next::Later, Next::Within))
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
    spawn.every("storage", STORAGE_EVERY, async |ops| {
        ops.look_at_storage(&Access::system("storage")).await?;
        Ok(Next::Later)
    });
    spawn.every("lanes", Duration::from_secs(1), async |ops| {
        let begun = Instant::now();
        ops.refresh_lanes(&Access::system("lanes")).await?;
        // At most one part in a hundred of a connection's time, however many lanes there are; but what nobody was told of
        // is found within seconds also where everything is slow.
        tokio::time::sleep((begun.elapsed() * 100).min(Duration::from_secs(8))).await;
        Ok(Next::Later)
    });
    spawn.every("idle lanes", Duration::from_secs(600), async |ops| {
        ops.forget_idle_lanes();
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
    spawn.every("standby", Duration::from_secs(1), async |ops| {
        ops.watch_standby(&Access::system("standby")).await?;
        Ok(Next::Later)
    });
    expiry(&spawn);
    listener::start(ops, tracker, stop);
}

/// The walk over the queue that ends what waited too long.
fn expiry(spawn: &Spawner<'_>) {
    let (ops, stop) = (spawn.ops.clone(), spawn.stop.clone());
    spawn.tracker.spawn(async move {
        let mut place = None;
        while !pause(&stop, Duration::from_secs(2)).await {
            match ops.expire_step(&Access::system("reaper"), place).await {
                Ok((next, _)) => place = next,
                Err(error) => tracing::warn!("expiry: {error}"),
            }
        }
    });
}

struct Spawner<'a> {
    ops: &'a Ops,
    tracker: &'a TaskTracker,
    stop: &'a CancellationToken,
}

impl Spawner<'_> {
    fn every<F, T>(&self, name: &'static str, every: Duration, turn: F)
    where
        F: Fn(Ops) -> T + Send + 'static,
        T: Future<Output = Result<Next>> + Send + 'static,
    {
        let (ops, stop, tracker) = (self.ops.clone(), self.stop.clone(), self.tracker.clone());
        self.tracker.spawn(async move {
            loop {
                // A task of its own, so that a panic ends this turn and not the loop. It is not aborted by a stop: a
                // turn is one short transaction.
                let next = match tracker.spawn(turn(ops.clone())).await {
                    Ok(Ok(next)) => next,
                    Ok(Err(error)) => {
                        metrics::counter!("tstr_loop_failures_total", "loop" => name).increment(1);
                        tracing::warn!(loop_name = name, "{name}: {error}");
                        Next::Later
                    }
                    Err(panic) => {
                        metrics::counter!("tstr_loop_failures_total", "loop" => name).increment(1);
                        tracing::error!(loop_name = name, "{name} panicked: {panic}");
                        Next::Later
                    }
                };
                if matches!(next, Next::Asked) {
                    let asked = tokio::time::timeout(jittered(every), ops.orders_come());
                    if stop.run_until_cancelled(asked).await.is_none() {
                        return;
                    }
                    continue;
                }
                let wait = match next {
                    Next::Now => Duration::ZERO,
                    Next::Later | Next::Asked => jittered(every),
                    Next::Within(wait) => wait.min(jittered(every)),
                };
                if pause(&stop, wait).await {
                    return;
                }
            }
        });
    }
}

/// Waits; tells whether it is time to stop.
async fn pause(stop: &CancellationToken, wait: Duration) -> bool {
    stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none()
}

/// Spreads the turns of replicas that were started together: a tenth more or less.
fn jittered(every: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_bytes()[0];
    every.mul_f64(0.9 + f64::from(random) / 255.0 * 0.2)
}
