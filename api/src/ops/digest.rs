//! The digest: each run that has ended is taken in once, whoever ended it and whichever replica looks.
//!
//! One batch is one transaction: the rows that told of the ends are removed with it, so nothing is taken in twice or
//! forgotten, and everything that is learnt of ended runs is of the same ones. Consumers get the batch in the order of the
//! ends, and are called one after another; a failure of one is a failure of the batch, which is then tried again.

use tstr_shared::ids::RunId;

use super::{Ops, cells, rollups};
use crate::auth::access::{Access, System};
use crate::error::Result;
use crate::store;

/// How many runs a batch takes in at most. Each reads some rows by their keys, so a batch is done within a second.
pub const BATCH: i32 = 4000;

impl Ops {
    /// Takes in runs that have ended; returns how many. None while another replica is at it.
    pub async fn digest(&self, access: &Access<System>) -> Result<usize> {
        let mut tx = self.db().begin().await?;
        let taken = store::digest::take(&mut tx, access, BATCH).await?;
        if taken.is_empty() {
            // What there is to be kept: the mark, after a restore.
            tx.commit().await?;
            return Ok(0);
        }
        let ended = store::digest::read(&mut tx, access, &taken).await?;
        if ended.len() < taken.len() {
            let first = taken.iter().find(|id| ended.iter().all(|run| run.run_id.0 != **id)).map(|id| RunId(*id));
            let lost = taken.len() - ended.len();
            tracing::warn!(lost, ?first, "{lost} runs were removed before they were taken in");
        }
        rollups::add(&mut tx, access, &ended).await?;
        cells::add(&mut tx, access, &ended).await?;
        tx.commit().await?;
        Ok(taken.len())
    }
}
