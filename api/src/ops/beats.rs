//! Heartbeats: a runner says that it lives and which leases it has, and hears which of them it still holds.
//!
//! Most runners have nothing to do most of the time, and there may be ten thousand of them. So heartbeats wait a moment for
//! each other, and all that come to a replica within that moment are answered by the same few statements.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tstr_shared::error::Invalid;
use tstr_shared::ids::RunnerId;
use tstr_shared::lease::{Fence, LeaseState};
use tstr_shared::permission::RunsExecute;
use tstr_shared::runner::Unfit;

use super::Ops;
use super::combine::together_or_alone;
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store;
use crate::store::beats::{OwnRunner, Renewal, Standing};
use crate::store::claims::OwnLease;
use crate::store::ends::{Close, Kind};

/// What a heartbeat answers.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// For each lease that was asked about: whether it holds, and how much longer.
    pub leases: Vec<(Fence, LeaseState, Duration)>,
    /// Take no more runs.
    pub draining: bool,
}

/// A heartbeat that waits for its answer.
#[derive(Clone)]
pub(super) struct Beat {
    access: Arc<Access<RunsExecute>>,
    from: OwnRunner,
    fences: Vec<Fence>,
    unfit: Option<Unfit>,
}

/// How long the first heartbeat waits for others.
pub(super) const GATHER: Duration = Duration::from_millis(100);
/// How many heartbeats are answered together at most.
pub(super) const MOST: usize = 256;
/// How long those that are answered wait until leases that nobody knows of are given back.
const GIVE_BACK: Duration = Duration::from_millis(200);
/// The most leases in one heartbeat.
const MAX_FENCES: usize = 1024;

impl Ops {
    /// Extends leases; says of each whether it holds, and whether its run is to be cancelled. Notes why the runner takes
    /// nothing new.
    pub async fn heartbeat(
        &self,
        caller: &Caller,
        runner: RunnerId,
        fences: Vec<Fence>,
        unfit: Option<Unfit>,
    ) -> Result<Heartbeat> {
        let access = Arc::new(self.reach::<RunsExecute>(caller).await?);
        if fences.len() > MAX_FENCES {
            return Err(Invalid::one("/fences", format!("at most {MAX_FENCES} leases in one heartbeat")).into());
        }
        let from = OwnRunner { runner, token: caller.token_id() };
        let beat = Beat { access, from, fences, unfit };
        let (ops, combiner) = (self.clone(), self.0.beats.of(beat.access.namespaces()));
        let together = combiner.call(beat.clone(), move |batch| ops.clone().beat_batch(batch)).await?;
        match together {
            Some(answer) => Ok(answer),
            // A lease of this runner was in the hands of somebody else. Others do not wait for that.
            None => match self.try_beat_batch(std::slice::from_ref(&beat), true).await?.pop() {
                Some(answer) => answer?.ok_or_else(|| Error::internal(anyhow::anyhow!("a heartbeat has no answer"))),
                None => Err(Error::internal(anyhow::anyhow!("a heartbeat has no answer"))),
            },
        }
    }

    async fn beat_batch(self, batch: Vec<Beat>) -> Vec<Result<Option<Heartbeat>>> {
        together_or_alone(&batch, |part| self.try_beat_batch(part, false).boxed()).await
    }

    /// Answers heartbeats; nothing where a lease of a runner is in the hands of somebody else, unless it is `patient`.
    async fn try_beat_batch(&self, batch: &[Beat], patient: bool) -> Result<Vec<Result<Option<Heartbeat>>>> {
        let Some(access) = batch.first().map(|beat| &*beat.access) else { return Ok(Vec::new()) };
        let times = self.0.times;
        let mut conn = self.0.pools.beat.acquire().await?;
        let askers: Vec<OwnRunner> = batch.iter().map(|beat| beat.from).collect();
        let mut known: HashMap<OwnRunner, Standing> = store::beats::standing(&mut conn, access, &askers).await?;
        for (from, standing) in &known {
            self.saw_runner(from.runner);
            self.0.runners.confirm(from.runner, from.token, standing.registered_at);
        }
        let theirs: Vec<&Beat> = batch.iter().filter(|beat| known.contains_key(&beat.from)).collect();
        for beat in &theirs {
            if let Some(standing) = known.get_mut(&beat.from).filter(|standing| standing.unfit != beat.unfit) {
                store::runners::set_unfit(&mut conn, &beat.access, beat.from.runner, beat.unfit).await?;
                standing.unfit = beat.unfit;
            }
        }
        let listed: Vec<(RunnerId, Fence)> =
            theirs.iter().flat_map(|beat| beat.fences.iter().map(|fence| (beat.from.runner, *fence))).collect();
        let held: HashMap<(RunnerId, Fence), Renewal> = match listed.is_empty() {
            true => HashMap::new(),
            false => store::beats::renew(&mut conn, access, &listed, times.ttl, patient).await?,
        };
        // The answer to a claim was lost: nobody knows of these leases, and nothing has started.
        let runners: HashSet<RunnerId> = theirs.iter().map(|beat| beat.from.runner).collect();
        let runners: Vec<RunnerId> = runners.into_iter().collect();
        let lost = match runners.is_empty() {
            true => Vec::new(),
            false => {
                store::beats::unlisted_before_start(&mut conn, access, &runners, &listed, times.heartbeat * 3).await?
            }
        };
        drop(conn);
        if !lost.is_empty() {
            let beats: Vec<Beat> = theirs.iter().map(|beat| (*beat).clone()).collect();
            let giving = tokio::spawn(self.clone().give_back(beats, lost));
            // Whoever else is answered does not wait for it for long; it goes on by itself.
            let _ = tokio::time::timeout(GIVE_BACK, giving).await;
        }
        let answer = |beat: &Beat| {
            let standing = known.get(&beat.from).ok_or_else(|| Error::not_found("runner"))?;
            let renewals = beat.fences.iter().map(|fence| (*fence, held.get(&(beat.from.runner, *fence)).copied()));
            let mut leases = Vec::with_capacity(beat.fences.len());
            for (fence, renewal) in renewals {
                leases.push(match renewal {
                    None => (fence, LeaseState::Gone, Duration::ZERO),
                    Some(Renewal::Extended(true)) => (fence, LeaseState::CancelRequested, times.ttl),
                    Some(Renewal::Extended(false)) => (fence, LeaseState::Held, times.ttl),
                    Some(Renewal::Busy) => return Ok(None),
                });
            }
            Ok(Some(Heartbeat { leases, draining: standing.draining }))
        };
        Ok(batch.iter().map(answer).collect())
    }

    /// Puts leases that their runners do not know of back into the queue, each in the name of its runner. Where it fails, the
    /// next heartbeats find them again.
    async fn give_back(self, beats: Vec<Beat>, lost: Vec<(RunnerId, Fence)>) {
        if let Err(error) = self.try_give_back(&beats, lost).await {
            tracing::warn!("leases that their runners do not know of were not given back: {error}");
        }
    }

    async fn try_give_back(&self, beats: &[Beat], lost: Vec<(RunnerId, Fence)>) -> Result<()> {
        let Some(access) = beats.first().map(|beat| &*beat.access) else { return Ok(()) };
        let actors: HashMap<RunnerId, &Beat> = beats.iter().map(|beat| (beat.from.runner, beat)).collect();
        let close = |(runner, fence): (RunnerId, Fence)| {
            let beat = actors.get(&runner)?;
            let actor = format!("runner:{runner} {}", beat.access.actor());
            let lease = OwnLease { fence, runner, token: beat.from.token, actor };
            Some(Close::new(fence, Kind::Release).asked_by(&lease))
        };
        let closes: Vec<Close> = lost.into_iter().filter_map(close).collect();
        // Not on a connection for heartbeats: what ends a lease is not to be undone by a crash.
        let mut tx = self.db().begin().await?;
        let closed = store::ends::close(&mut tx, access, &closes).await?;
        tx.commit().await?;
        self.announce_closed(&closed);
        Ok(())
    }
}
