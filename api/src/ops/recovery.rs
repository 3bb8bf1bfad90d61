//! Recovery: leases that ran out, runs that waited too long, and the upkeep of the tables.

use std::time::Duration;

use tstr_shared::error::ErrorCode;

use super::Ops;
use super::enqueue::firsts;
use crate::auth::access::{Access, System};
use crate::error::Result;
use crate::store;
use crate::store::claims::Lapsed;
use crate::store::ends::{Close, Kind};
use crate::store::housekeeping::Sweep;
use crate::store::queue::Place;

/// How many leases one sweep ends at most.
const REAP_BATCH: i64 = 200;
/// How many waiting runs one step of the walk looks at.
const WALK_STEP: i64 = 20_000;
/// How many delayed runs are moved at once.
const MOVE_BATCH: i64 = 500;
/// How long the ledger of the schedules is kept.
const LEDGER_DAYS: i32 = 90;
/// How many rows one statement of the upkeep deletes, and how many of them one turn makes.
const FORGET_BATCH: i64 = 10_000;
const FORGET_STEPS: usize = 1_000;
/// How many sweeps must be missing for it to count as an outage.
const OUTAGE_SWEEPS: u32 = 5;
/// As many leases may run out at once without giving cause to doubt ourselves, or three in ten if that is more.
const BRAKE_FLOOR: usize = 10;

impl Ops {
    /// Ends leases that ran out (T6, T7, T8) and runs that went beyond their time (T11); returns how many.
    ///
    /// Any replica may sweep, one at a time. After an outage, when nobody could have renewed a lease, every lease is
    /// granted a full life first; also, once, when so many run out together that the fault may be ours.
    pub async fn reap(&self, access: &Access<System>) -> Result<usize> {
        let times = self.0.times;
        let mut tx = self.db().begin().await?;
        let outage = times.reap_every * OUTAGE_SWEEPS;
        match store::housekeeping::begin_sweep(&mut tx, access, "reaper", times.reap_every, outage).await? {
            Sweep::NotNow => return Ok(0),
            Sweep::AfterOutage => {
                let leases = store::housekeeping::grant_amnesty(&mut tx, access, times.ttl).await?;
                tx.commit().await?;
                tracing::warn!(leases, "no replica swept for a while; {leases} leases are granted a full life");
                return Ok(0);
            }
            Sweep::Go => {}
        }
        let lapsed = store::claims::lapsed(&mut tx, access, times.reap_after, REAP_BATCH).await?;
        if lapsed.iter().filter(|lease| !lease.past_hard_deadline).count() > BRAKE_FLOOR
            && self.brake(&mut tx, access).await?
        {
            tx.commit().await?;
            return Ok(0);
        }
        // The sweep is on record before anything is ended: one lease that cannot be ended must not look like an outage.
        tx.commit().await?;
        let (mut lapsed, mut all) = (lapsed, 0);
        loop {
            let ended = self.end_lapsed(access, &lapsed).await?;
            all += ended;
            // Many were lost together: the next ones need not wait for the next sweep.
            if (lapsed.len() as i64) < REAP_BATCH || ended == 0 {
                return Ok(all);
            }
            let mut conn = self.db().acquire().await?;
            lapsed = store::claims::lapsed(&mut conn, access, times.reap_after, REAP_BATCH).await?;
        }
    }

    /// Ends these leases and tells who waits; returns how many were ended. One that cannot be ended holds up no other.
    async fn end_lapsed(&self, access: &Access<System>, lapsed: &[Lapsed]) -> Result<usize> {
        match self.try_end_lapsed(access, lapsed).await {
            Err(error) if error.code() != ErrorCode::Unavailable && lapsed.len() > 1 => {}
            tried => return tried,
        }
        let mut ended = 0;
        for one in lapsed.chunks(1) {
            match self.try_end_lapsed(access, one).await {
                Ok(count) => ended += count,
                Err(error) if error.code() == ErrorCode::Unavailable => return Err(error),
                Err(error) => tracing::error!("a lease that ran out cannot be ended: {error}"),
            }
        }
        Ok(ended)
    }

    async fn try_end_lapsed(&self, access: &Access<System>, lapsed: &[Lapsed]) -> Result<usize> {
        let mut tx = self.db().begin().await?;
        // What is being stored of their logs at this moment is counted.
        store::logs::wait_for_appends(&mut tx, access, lapsed.iter().map(|lease| lease.fence.lease_id)).await?;
        let mut namespaces: Vec<i32> = lapsed.iter().map(|lease| lease.ns_id).collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        let closes: Vec<Close> = lapsed
            .iter()
            .map(|lease| Close::new(lease.fence, if lease.past_hard_deadline { Kind::Backstop } else { Kind::Expired }))
            .collect();
        let closed = match closes.is_empty() {
            true => Vec::new(),
            false => store::ends::reap(&mut tx, access, &closes, &namespaces, self.0.times.reap_after).await?,
        };
        tx.commit().await?;
        for one in &closed {
            let what = one.result.map_or("waits again", |result| result.word());
            tracing::warn!(run.id = %one.run_id, "the lease of run {} ran out: {what}", one.run_id);
        }
        self.announce_closed(&closed);
        Ok(closed.len())
    }

    /// Holds a sweep up that would end an unlikely share of all leases; once, and the next one goes through.
    async fn brake(&self, conn: &mut store::Conn, access: &Access<System>) -> Result<bool> {
        let times = self.0.times;
        let (lapsed, all) = store::claims::count_lapsed(conn, access, times.reap_after).await?;
        if lapsed * 10 <= all * 3 || !store::housekeeping::take_brake(conn, access, times.ttl * 2).await? {
            return Ok(false);
        }
        store::housekeeping::grant_amnesty(conn, access, times.ttl).await?;
        metrics::counter!("tstr_reaper_brakes_total").increment(1);
        tracing::error!(
            lapsed,
            leases = all,
            "{lapsed} of {all} leases ran out together; they are granted a full life, once"
        );
        Ok(true)
    }

    /// Looks at the next stretch of the queue and ends runs that waited beyond their deadline (T12).
    pub async fn expire_step(&self, access: &Access<System>, from: Option<Place>) -> Result<(Option<Place>, usize)> {
        let from = from.unwrap_or(Place { lane: i32::MIN, seq: i64::MIN });
        let mut tx = self.0.pools.claim.begin().await?;
        let (next, ended, follows) = store::queue::expire_walk(&mut tx, access, from, WALK_STEP).await?;
        tx.commit().await?;
        self.announce(&ended, firsts(follows.places));
        if follows.ordered {
            self.0.orders.notify_one();
        }
        // What is parked is no part of the walk; it is looked at where the walk ends.
        let parked = if next.is_none() { self.expire_parked(access).await? } else { 0 };
        Ok((next, ended.len() + parked))
    }

    /// Moves delayed runs whose time has come to where they can be claimed.
    pub async fn move_due(&self, access: &Access<System>) -> Result<usize> {
        // Whatever becomes of those that meet gates, others are not to wait for it.
        let opened = self.open_due(access).await;
        let mut conn = self.0.pools.claim.acquire().await?;
        let places = store::queue::move_due(&mut conn, access, MOVE_BATCH).await?;
        drop(conn);
        let count = places.len();
        self.announce_places(firsts(places));
        Ok(count + opened?)
    }

    /// Looks from where on each lane has runs, and who holds how many leases; claims look when there is anything new.
    pub async fn refresh_lanes(&self, access: &Access<System>) -> Result<()> {
        let before = self.0.placement.now();
        let mut conn = self.0.pools.claim.acquire().await?;
        let held = store::claims::held_by_namespace(&mut conn, access).await?;
        self.0.placement.set_held(held.into_iter().collect());
        let heads = store::queue::heads(&mut conn, access).await?;
        drop(conn);
        self.0.placement.found_only(&heads, before);
        if self.0.placement.add_missed(heads) {
            self.look_everywhere();
        }
        Ok(())
    }

    /// Forgets what this replica remembers of labels that no run has any more, and of runners that were not heard of here
    /// for `since`.
    pub fn forget_idle(&self, since: Duration) {
        self.0.runners.forget_idle(since);
        self.0.placement.forget_idle();
    }

    /// Returns how many runners, sets of runners and desks this replica remembers.
    pub fn remembered(&self) -> [usize; 3] {
        [self.0.runners.count(), self.0.placement.signatures(), self.0.desks.count()]
    }

    /// Takes in news of another replica; tells whether it is not our own.
    pub fn hear(&self, news: &super::wake::News) -> bool {
        if !self.0.wake.hear(news) {
            return false;
        }
        self.0.placement.add(news.places());
        if news.runners {
            self.look_for_resumed();
        } else if !news.lanes.is_empty() {
            self.look_everywhere();
        }
        true
    }

    /// Sends news to the other replicas.
    pub async fn tell(&self, access: &Access<System>, news: &super::wake::News) -> Result<()> {
        let text = serde_json::to_string(news).map_err(crate::error::Error::internal)?;
        let mut conn = self.0.pools.beat.acquire().await?;
        store::housekeeping::notify(&mut conn, access, super::wake::CHANNEL, &text).await
    }

    /// Makes the partitions of the coming days, and forgets old idempotency keys, empty gates, old instants, old sums of
    /// hours, old outages, what deleted tests were, and cases that are not seen any more.
    pub async fn keep_house(&self, access: &Access<System>) -> Result<()> {
        let mut conn = self.db().acquire().await?;
        let today = store::housekeeping::now(&mut conn).await?.date_naive();
        let days = |n| chrono::Duration::days(n);
        store::housekeeping::ensure_partitions(&mut conn, today - days(1), today + days(7)).await?;
        if let Ok(mut known) = self.0.days.lock() {
            known.extend((-1..=7).map(|n| today + days(n)));
        }
        let forgotten = store::idempotency::forget_old(&mut conn, access).await?;
        // Nobody who holds a connection waits for another of the same pool.
        drop(conn);
        for _ in 0..FORGET_STEPS {
            let mut tx = self.db().begin().await?;
            let gates = store::gates::forget_empty(&mut tx, access, FORGET_BATCH).await?;
            let instants = store::ledger::prune(&mut tx, access, LEDGER_DAYS, FORGET_BATCH).await?;
            let sums = store::rollups::prune(&mut tx, access, super::rollups::HOURS_DAYS, FORGET_BATCH).await?;
            let versions = store::versions::forget(&mut tx, access, FORGET_BATCH).await?;
            let outages = store::outages::prune(&mut tx, access, super::outages::OUTAGE_DAYS, FORGET_BATCH).await?;
            tx.commit().await?;
            if gates + instants + sums + versions + outages == 0 {
                break;
            }
        }
        for _ in 0..FORGET_STEPS {
            let mut tx = self.db().begin().await?;
            let cases = store::memory::forget(&mut tx, access, FORGET_BATCH).await?;
            let cells = super::cells::judge_stale(&mut tx, access, FORGET_BATCH).await?;
            tx.commit().await?;
            if cases + cells == 0 {
                break;
            }
        }
        tracing::debug!(forgotten, "partitions are made up to {}", today + days(7));
        Ok(())
    }

    /// How long the reaper waits between two looks.
    pub fn reap_every(&self) -> Duration {
        self.0.times.reap_every
    }
}
