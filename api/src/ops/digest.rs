//! The digest: each run that has ended is taken in once, whoever ended it and whichever replica looks.
//!
//! One batch is one transaction: the rows that told of the ends are removed with it, so nothing is taken in twice or
//! forgotten, and everything that is learnt of ended runs is of the same ones. Consumers get the batch in the order of the
//! ends, and are called one after another; a failure of one is a failure of the batch, which is then tried again. A run that
//! cannot be taken in must not hold up all others: batches get smaller until it stands alone, and then it is left out.

use std::sync::atomic::{AtomicUsize, Ordering};

use tstr_shared::ids::RunId;
use uuid::Uuid;

use super::{Ops, cells, rollups};
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};
use crate::store::{self, Conn};

/// How many runs a batch takes in at most. Each reads some rows by their keys, so a batch is done within a second.
pub const BATCH: usize = 4000;

/// How many runs the next batch takes in.
pub(super) struct Batch(AtomicUsize);

impl Default for Batch {
    fn default() -> Self {
        Self(AtomicUsize::new(BATCH))
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digested {
    /// How many runs were taken in or left out.
    pub runs: usize,
    /// There may be more.
    pub more: bool,
}

impl Ops {
    /// Takes in runs that have ended. None while another replica is at it.
    pub async fn digest(&self, access: &Access<System>) -> Result<Digested> {
        let size = &self.0.digest_batch.0;
        let most = size.load(Ordering::Relaxed);
        let mut taken = Vec::new();
        match self.digest_batch(access, most, &mut taken).await {
            Ok(()) => {
                size.store((most * 2).min(BATCH), Ordering::Relaxed);
                Ok(Digested { runs: taken.len(), more: taken.len() >= most })
            }
            Err(error) if !store::error::is_of_data(&error) => Err(error),
            Err(error) if most > 1 => {
                size.store(most / 2, Ordering::Relaxed);
                tracing::warn!("of {most} ended runs some cannot be taken in, looking for them: {error}");
                Ok(Digested { runs: 0, more: true })
            }
            Err(error) => {
                self.leave_out(access, &taken, &error).await?;
                Ok(Digested { runs: taken.len(), more: true })
            }
        }
    }

    async fn digest_batch(&self, access: &Access<System>, most: usize, taken: &mut Vec<Uuid>) -> Result<()> {
        let mut tx = self.db().begin().await?;
        *taken = store::digest::take(&mut tx, access, most as i32).await?;
        // Where nothing was taken there is something to be kept: the mark, after a restore.
        let learnt = if taken.is_empty() { Ok(()) } else { learn(&mut tx, access, taken).await };
        if learnt.is_ok() {
            return Ok(tx.commit().await?);
        }
        // At once, for the next batch is not to find the digest held.
        let rolled_back = tx.rollback().await;
        if let Err(error) = rolled_back {
            tracing::debug!("the digest's lock goes with its connection: {error}");
        }
        learnt
    }

    /// Takes runs out of those that wait, without learning anything of them.
    async fn leave_out(&self, access: &Access<System>, runs: &[Uuid], error: &Error) -> Result<()> {
        let mut conn = self.db().acquire().await?;
        store::digest::leave_out(&mut conn, access, runs).await?;
        for run in runs {
            metrics::counter!("tstr_runs_left_out_total").increment(1);
            tracing::error!(run.id = %run, "run {run} stands in no sum and in no history of its cell, it cannot be taken in: {error}");
        }
        Ok(())
    }
}

/// Learns what there is to be learnt of ended runs.
async fn learn(conn: &mut Conn, access: &Access<System>, taken: &[Uuid]) -> Result<()> {
    let ended = store::digest::read(conn, access, taken).await?;
    if ended.len() < taken.len() {
        let first = taken.iter().find(|id| ended.iter().all(|run| run.run_id.0 != **id)).map(|id| RunId(*id));
        let lost = taken.len() - ended.len();
        tracing::warn!(lost, ?first, "{lost} runs were removed before they were taken in");
    }
    rollups::add(conn, access, &ended).await?;
    cells::add(conn, access, &ended).await
}
