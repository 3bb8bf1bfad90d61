//! Retention: runs and logs go when their time is over, days as a whole where that is possible; and runs that are pinned
//! stay.
//!
//! Any replica may take a turn, and each step of it is a transaction of its own that only one replica makes at a time. A
//! turn that is cut short is gone on with by the next. See docs/adr/0007-retention-drops-days.md.

use std::ops::AddAssign;

use chrono::{Duration, NaiveDate};
use tstr_shared::ids::RunId;
use tstr_shared::permission::RunsWrite;
use tstr_shared::run::{KeepRun, Run};
use uuid::Uuid;

use super::{Ops, runs};
use crate::auth::Caller;
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};
use crate::store;
use crate::store::retention::{Fate, Keeping, Most, Over, Part};

/// How much one transaction removes where rows are deleted.
const BATCH: Most = Most { runs: 500, bytes: 64 << 20 };
/// How many such transactions that remove something follow each other for a day and namespace in a turn.
const STEPS: usize = 2_000;
/// How many classes and configurations one statement forgets.
const FORGET_BATCH: i64 = 10_000;

/// What a turn has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retained {
    /// Days of which runs, or logs, were dropped as a whole.
    pub days: usize,
    /// Runs that were deleted, and runs whose log was, where others of their day stay.
    pub runs: u64,
    /// Classes and configurations that no run used any more.
    pub unused: u64,
    /// Others used the tables, or another replica is at it: what comes later is left for the next turn as well.
    pub is_held_up: bool,
    /// A day had more to remove than one turn does.
    pub has_more: bool,
}

impl AddAssign for Retained {
    fn add_assign(&mut self, other: Self) {
        self.days += other.days;
        self.runs += other.runs;
        self.unused += other.unused;
        self.is_held_up |= other.is_held_up;
        self.has_more |= other.has_more;
    }
}

/// What a step came to.
enum Step {
    Done(Retained),
    /// A run of the day has not finished, or many ended late: the day cannot go as a whole.
    Unfinished,
}

impl Ops {
    /// Pins a run: retention leaves it alone, with its attempts, events and logs.
    pub async fn keep_run(&self, caller: &Caller, run: RunId, keep: KeepRun) -> Result<Run> {
        let access = self.reach::<RunsWrite>(caller).await?;
        keep.validate()?;
        let mut tx = self.db().begin().await?;
        if !store::keeps::pin(&mut tx, &access, run, keep.note.as_deref()).await? {
            return Err(Error::not_found("run"));
        }
        let found = runs::read(&mut tx, &access, run).await?;
        tx.commit().await?;
        Ok(found)
    }

    /// Lets retention remove a run again.
    pub async fn unkeep_run(&self, caller: &Caller, run: RunId) -> Result<Run> {
        let access = self.reach::<RunsWrite>(caller).await?;
        let mut tx = self.db().begin().await?;
        store::keeps::unpin(&mut tx, &access, run).await?;
        let found = runs::read(&mut tx, &access, run).await?;
        tx.commit().await?;
        Ok(found)
    }

    /// Removes what is over on this day, which is the database's unless a test says another.
    pub async fn retain(&self, access: &Access<System>, today: Option<NaiveDate>) -> Result<Retained> {
        let (today, keepings, days) = {
            let mut conn = self.db().acquire().await?;
            let now = store::housekeeping::now(&mut conn).await?.date_naive();
            store::retention::fold_usage(&mut conn, access, true).await?;
            let keepings = store::retention::keepings(&mut conn, access).await?;
            (today.unwrap_or(now), keepings, store::retention::days(&mut conn, access).await?)
        };
        let mut done = Retained::default();
        let mut oldest = None;
        for (day, part) in days.into_iter().flat_map(|day| [(day, Part::Runs), (day, Part::Logs)]) {
            done += self.retain_day(access, day, part, &keepings, today).await?;
            if done.is_held_up {
                // What holds up one day holds up the next, and everybody who works has to wait a little for each try.
                break;
            }
            if oldest.is_none() && part == Part::Runs {
                let mut conn = self.db().acquire().await?;
                oldest = store::retention::has_unpinned(&mut conn, access, day).await?.then_some(day);
            }
        }
        if !done.is_held_up && !done.has_more {
            done.unused = self.forget_unused(access, oldest.unwrap_or(today)).await?;
        }
        if done != Retained::default() {
            let Retained { days, runs, unused, is_held_up, has_more } = done;
            tracing::info!(
                days,
                runs,
                unused,
                is_held_up,
                has_more,
                "retention dropped {days} days and removed {runs} runs or logs"
            );
        }
        Ok(done)
    }

    /// Forgets classes and configurations that were last used long before the oldest day with runs that are not pinned.
    async fn forget_unused(&self, access: &Access<System>, oldest: NaiveDate) -> Result<u64> {
        let (mut conn, mut all) = (self.db().acquire().await?, 0);
        for _ in 0..STEPS {
            match store::retention::forget_unused(&mut conn, access, oldest, FORGET_BATCH).await? {
                0 => break,
                forgotten => all += forgotten,
            }
        }
        Ok(all)
    }

    /// Removes what is over of the runs of a day, or of their logs.
    async fn retain_day(
        &self,
        access: &Access<System>,
        day: NaiveDate,
        part: Part,
        keepings: &[Keeping],
        today: NaiveDate,
    ) -> Result<Retained> {
        let (over, others): (Vec<&Keeping>, Vec<&Keeping>) =
            keepings.iter().partition(|keeping| is_over(keeping, day, part, today));
        let ids = |keepings: Vec<&Keeping>| keepings.into_iter().map(|keeping| keeping.ns_id).collect::<Vec<i32>>();
        let (over, others) = (ids(over), ids(others));
        if over.is_empty() {
            return Ok(Retained::default());
        }
        let mut conn = self.db().acquire().await?;
        let due = match part {
            Part::Runs if store::retention::is_empty(&mut conn, access, day).await? => {
                // A day without a run goes when no namespace could have any.
                if others.is_empty() { over } else { Vec::new() }
            }
            Part::Runs if !store::retention::has_unpinned(&mut conn, access, day).await? => Vec::new(),
            Part::Runs => store::retention::with_runs(&mut conn, access, day, &over).await?,
            Part::Logs => store::retention::unswept(&mut conn, access, day, &over, today).await?,
        };
        let is_whole = store::retention::with_runs(&mut conn, access, day, &others).await?.is_empty();
        drop(conn);
        if due.is_empty() {
            return Ok(Retained::default());
        }
        if is_whole && let Step::Done(done) = self.drop_day(access, day, part, today).await? {
            return Ok(done);
        }
        let mut done = Retained::default();
        for ns_id in due {
            done += self.prune(access, day, part, ns_id, today).await?;
            if done.is_held_up {
                break;
            }
        }
        Ok(done)
    }

    /// Drops the partitions of a day.
    async fn drop_day(&self, access: &Access<System>, day: NaiveDate, part: Part, today: NaiveDate) -> Result<Step> {
        let held_up = Step::Done(Retained { is_held_up: true, ..Retained::default() });
        let mut tx = self.db().begin().await?;
        if !store::retention::take_turn(&mut tx, access).await? {
            return Ok(held_up);
        }
        // Somebody may keep things longer since the turn began, or have made a namespace; from here on nobody does.
        let keepings = store::retention::hold_keepings(&mut tx, access).await?;
        let keeps: Vec<i32> =
            keepings.iter().filter(|one| !is_over(one, day, part, today)).map(|one| one.ns_id).collect();
        if !store::retention::with_runs(&mut tx, access, day, &keeps).await?.is_empty() {
            tx.rollback().await?;
            return Ok(Step::Done(Retained::default()));
        }
        let step = match store::retention::drop_day(&mut tx, access, day, part, today).await? {
            Fate::Dropped => {
                if part == Part::Runs {
                    let over: Vec<i32> =
                        keepings.iter().filter(|one| is_over(one, day, part, today)).map(|one| one.ns_id).collect();
                    store::rollups::note_removed(&mut tx, access, day, &over).await?;
                }
                tx.commit().await?;
                tracing::info!(%day, ?part, "the day {day} is dropped");
                return Ok(Step::Done(Retained { days: 1, ..Retained::default() }));
            }
            Fate::Kept => {
                tx.commit().await?;
                return Ok(Step::Done(Retained::default()));
            }
            Fate::Unfinished => Step::Unfinished,
            Fate::Busy => {
                tracing::info!(%day, "the tables are in use for long; the day {day} is dropped later");
                held_up
            }
        };
        // Now, and not when the connection is used next: what it holds is in the way of others.
        tx.rollback().await?;
        Ok(step)
    }

    /// Removes rows of a namespace in batches, where others of the day stay.
    async fn prune(
        &self,
        access: &Access<System>,
        day: NaiveDate,
        part: Part,
        ns_id: i32,
        today: NaiveDate,
    ) -> Result<Retained> {
        let (mut done, mut last, mut steps) = (Retained::default(), RunId(Uuid::nil()), 0);
        let (mut open, mut late) = (0, 0);
        while steps < STEPS {
            if self.0.closing.is_cancelled() {
                return Ok(Retained { is_held_up: true, ..done });
            }
            let mut tx = self.db().begin().await?;
            if !store::retention::take_turn(&mut tx, access).await? {
                return Ok(Retained { is_held_up: true, ..done });
            }
            // Somebody may keep things longer since the turn began.
            let keepings = store::retention::hold_keepings(&mut tx, access).await?;
            let Some(keeping) = keepings.iter().find(|one| one.ns_id == ns_id && is_over(one, day, part, today)) else {
                return Ok(done);
            };
            let over = Over { day, part, ns_id, days: days_of(keeping, part), today };
            if part == Part::Logs {
                store::retention::note_removal(&mut tx, access, day, ns_id).await?;
            }
            let batch = store::retention::prune(&mut tx, access, over, last, BATCH).await?;
            if batch.is_none() && part == Part::Logs && open == 0 {
                let again = (late > 0).then_some(today + Duration::days(1));
                store::retention::note_swept(&mut tx, access, day, ns_id, again).await?;
            }
            if part == Part::Runs && batch.is_some_and(|batch| batch.removed > 0) {
                store::rollups::note_removed(&mut tx, access, day, &[ns_id]).await?;
            }
            tx.commit().await?;
            let Some(batch) = batch else { return Ok(done) };
            last = batch.last;
            open += batch.open;
            late += batch.late;
            done.runs += batch.removed.unsigned_abs();
            steps += usize::from(batch.removed > 0);
        }
        Ok(Retained { has_more: true, ..done })
    }

    /// Adds up what was stored and removed, so that reading it stays cheap; tells how many changes there were.
    pub async fn fold_usage(&self, access: &Access<System>) -> Result<i64> {
        let mut conn = self.0.pools.beat.acquire().await?;
        store::retention::fold_usage(&mut conn, access, false).await
    }
}

/// Tells whether the time of a namespace is over for a day. The day itself is not over before the next one begins.
fn is_over(keeping: &Keeping, day: NaiveDate, part: Part, today: NaiveDate) -> bool {
    day + Duration::days(i64::from(days_of(keeping, part))) < today
}

/// For how many days a namespace keeps a part.
fn days_of(keeping: &Keeping, part: Part) -> i32 {
    match part {
        Part::Runs => keeping.retention.runs_days,
        Part::Logs => keeping.retention.logs_days,
    }
}
