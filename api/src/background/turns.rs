//! Single turns of the loops, for tests that move the clock themselves and do not wait.

use std::collections::BTreeMap;

use crate::auth::access::Access;
use crate::error::Result;
use crate::ops::Ops;
use crate::ops::blobs::Swept;
use crate::ops::memory;
use crate::ops::retention::Retained;
use crate::ops::rollups::{Key, Sums};
use crate::ops::storage::Fill;
use crate::ops::vitals::Seen;

/// Ends leases that ran out and runs beyond their time; returns how many.
pub async fn reap(ops: &Ops) -> Result<usize> {
    ops.reap(&Access::system("reaper")).await
}

/// Moves delayed runs whose time has come to where they can be claimed; returns how many.
pub async fn move_due(ops: &Ops) -> Result<usize> {
    ops.move_due(&Access::system("mover")).await
}

/// Walks over the whole queue and ends runs that waited too long; returns how many.
pub async fn expire(ops: &Ops) -> Result<usize> {
    let (mut place, mut count) = (None, 0);
    loop {
        let (next, ended) = ops.expire_step(&Access::system("reaper"), place).await?;
        count += ended;
        if next.is_none() {
            return Ok(count);
        }
        place = next;
    }
}

/// Makes the runs of tests that are due; returns how many tests it took.
pub async fn enqueue_due(ops: &Ops) -> Result<usize> {
    ops.enqueue_due(&Access::system("scheduler")).await
}

/// Carries out the cancels that were ordered; returns how many.
pub async fn carry_out_orders(ops: &Ops) -> Result<usize> {
    ops.carry_out_orders(&Access::system("orders")).await
}

/// Looks for free slots that runs wait for all the same; returns how many runs it let in.
pub async fn sweep_gates(ops: &Ops) -> Result<usize> {
    ops.sweep_gates(&Access::system("gates"), std::time::Duration::ZERO).await
}

/// Looks which lanes have runs.
pub async fn refresh_lanes(ops: &Ops) -> Result<()> {
    ops.refresh_lanes(&Access::system("lanes")).await
}

/// Makes the partitions of the coming days.
pub async fn keep_house(ops: &Ops) -> Result<()> {
    ops.keep_house(&Access::system("house")).await
}

/// Removes the runs and logs whose time is over on this day.
pub async fn retain(ops: &Ops, today: chrono::NaiveDate) -> Result<Retained> {
    ops.retain(&Access::system("retention"), Some(today)).await
}

/// Removes the contents of artifacts that nobody needs any more on this day.
pub async fn sweep_blobs(ops: &Ops, today: chrono::NaiveDate) -> Result<Swept> {
    ops.sweep_blobs(&Access::system("blobs"), Some(today)).await
}

/// Adds up what was stored and removed.
pub async fn fold_usage(ops: &Ops) -> Result<i64> {
    ops.fold_usage(&Access::system("usage")).await
}

/// Takes in a batch of runs that have ended; returns how many. One that cannot be taken in gets smaller until it can.
pub async fn digest(ops: &Ops) -> Result<usize> {
    loop {
        let digested = ops.digest(&Access::system("digest")).await?;
        if digested.runs > 0 || !digested.more {
            return Ok(digested.runs);
        }
    }
}

/// Adds sums of runs that are nowhere, for measurements.
pub async fn add_sums(ops: &Ops, all: BTreeMap<Key, Sums>) -> Result<()> {
    ops.add_sums(&Access::system("digest"), all).await
}

/// Looks whether there is room for more runs.
pub async fn look_at_storage(ops: &Ops) -> Result<Fill> {
    ops.look_at_storage(&Access::system("storage")).await
}

/// Looks for what slows the queue down.
pub async fn take_vitals(ops: &Ops) -> Result<Seen> {
    ops.take_vitals(&Access::system("vitals")).await
}

/// Carries the memory of a cell over one run; tells whether there was one.
pub async fn remember_run(ops: &Ops) -> Result<bool> {
    ops.remember_run(&Access::system("memory"), memory::MOST_RUNS).await
}

/// The same; where the run comes late, at most so many runs are told again.
pub async fn remember_run_over(ops: &Ops, most: i64) -> Result<bool> {
    ops.remember_run(&Access::system("memory"), most).await
}

/// Reads which cases are not to be run.
pub async fn refresh_skips(ops: &Ops) -> Result<()> {
    ops.refresh_skips(&Access::system("skips")).await
}

/// Looks for what is new, and tells those who listen.
pub async fn tell_events(ops: &Ops) -> Result<()> {
    ops.tell_events(&Access::system("events")).await
}
