//! Sums of finished runs: what a run adds to which, how they are kept, and how they are counted anew.
//!
//! A run counts in the hour, the six hours and the day for which it was scheduled: for all runs of its namespace, for its test, for each of its
//! labels, and for the runner of its last attempt. How long it held slots counts for the runner of each attempt.

use std::collections::BTreeMap;
use std::time::Instant;

use chrono::{DateTime, Duration, NaiveDate, NaiveTime, Utc};
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::NamespacesWrite;
use tstr_shared::run::RunResult;
use tstr_shared::summary::{Interval, RebuildSummary, Rebuilt};

use super::Ops;
use crate::auth::Caller;
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};
use crate::store::digest::EndedRun;
use crate::store::rollups::{Dim, Grain};
pub use crate::store::rollups::{Key, Sums};
use crate::store::{self, Conn, Tx};

/// What is added up from hours.
const ADDED_UP: [Grain; 2] = [Grain::Quarter, Grain::Day];
/// For how many days sums of hours and of six hours are kept; those of days stay.
pub(super) const HOURS_DAYS: i32 = 400;
/// How many runs are read at once for a rebuild.
const READ: usize = 4000;
/// How often a rebuild waits for the digest, a second and a half each time.
const PATIENCE: usize = 10;
/// For how long one call goes on: nobody waits for an answer for longer than half a minute.
const ONE_CALL: std::time::Duration = std::time::Duration::from_secs(10);

/// Adds ended runs to the sums, in the transaction that has taken them out.
pub(super) async fn add(conn: &mut Conn, access: &Access<System>, ended: &[EndedRun]) -> Result<()> {
    store::rollups::add(conn, access, summed(ended)).await
}

/// Sums ended runs up by the hour, by six hours and by the day.
pub fn summed(ended: &[EndedRun]) -> BTreeMap<Key, Sums> {
    let mut hours: BTreeMap<Key, Sums> = BTreeMap::new();
    for run in ended {
        count(&mut hours, run);
    }
    let mut all: BTreeMap<Key, Sums> = BTreeMap::new();
    for (key, sums) in &hours {
        for grain in ADDED_UP {
            let longer = Key { grain, at: grain.floor(key.at), ..key.clone() };
            all.entry(longer).or_default().add(sums);
        }
    }
    all.extend(hours);
    all
}

/// Counts a run wherever it counts.
fn count(hours: &mut BTreeMap<Key, Sums>, run: &EndedRun) {
    // The id says for when it was scheduled, to the millisecond, and so a rebuild finds the runs of an hour by their ids.
    let at = Interval::Hour.floor(run.run_id.time());
    let of = |dim, key| Key { ns_id: run.ns_id, dim, grain: Grain::Hour, at, key };
    let sums = sums(run);
    let labels = run.labels.0.iter().map(|(key, value)| of(Dim::Label, format!("{key}={value}")));
    let keys = [of(Dim::All, String::new()), of(Dim::Test, run.test_id.to_string())].into_iter().chain(labels);
    for key in keys {
        hours.entry(key).or_default().add(&sums);
    }
    if let Some(runner) = run.runner_id {
        let sums = Sums { busy_ms: 0, ..sums };
        hours.entry(of(Dim::Runner, runner.to_string())).or_default().add(&sums);
    }
    for held in &run.attempts {
        let of_runner = hours.entry(of(Dim::Runner, held.runner_id.to_string())).or_default();
        of_runner.busy_ms += millis(held.leased_at, held.ended_at);
    }
}

/// What a run adds.
fn sums(run: &EndedRun) -> Sums {
    let is = |result| i64::from(run.result == result);
    let mut sums = Sums {
        pass: is(RunResult::Pass),
        fail: is(RunResult::Fail),
        error: is(RunResult::Error),
        timed_out: is(RunResult::TimedOut),
        cancelled: is(RunResult::Cancelled),
        flaky: i64::from(run.flaky),
        attempts: run.attempt.into(),
        busy_ms: run.attempts.iter().map(|held| millis(held.leased_at, held.ended_at)).sum(),
        ..Sums::default()
    };
    if let Some(first) = run.attempts.first() {
        // A run of an instant that was caught up with waits from when it was made.
        sums.wait_ms = millis(run.created_at.max(run.scheduled_at), first.leased_at);
        sums.waits.record(sums.wait_ms.unsigned_abs());
    }
    if let Some(started_at) = run.started_at {
        sums.duration_ms = millis(started_at, run.finished_at);
        sums.durations.record(sums.duration_ms.unsigned_abs());
    }
    sums
}

/// How long it is from one to the other; nothing where a clock was put back.
fn millis(from: DateTime<Utc>, to: DateTime<Utc>) -> i64 {
    (to - from).num_milliseconds().max(0)
}

impl Ops {
    /// Counts the sums of a namespace anew, from the runs that are there, while others go on; as far as it comes in some seconds.
    ///
    /// An hour is one transaction: it holds the digest up, and the hour is right when it ends whatever was wrong before; with
    /// its last hour a day is. Days of which runs were removed, and those older than the sums of hours, keep what they have.
    pub async fn rebuild_summary(&self, caller: &Caller, ns: &Namespace, req: RebuildSummary) -> Result<Rebuilt> {
        let access = self.enter::<NamespacesWrite>(caller, ns).await?;
        let begun = Instant::now();
        let found = {
            let mut conn = self.db().acquire().await?;
            store::rollups::first_day(&mut conn, &access, HOURS_DAYS - 1).await?
        };
        let mut done = Rebuilt::default();
        let Some((first, today)) = found else { return Ok(done) };
        let midnight = |day: NaiveDate| DateTime::<Utc>::from_naive_utc_and_offset(day.and_time(NaiveTime::MIN), Utc);
        let end = midnight(today) + Duration::days(1);
        let mut hour = midnight(first).max(req.from.map_or(midnight(first), |from| Interval::Hour.floor(from)));
        while hour < end {
            if begun.elapsed() > ONE_CALL {
                done.next = Some(hour);
                break;
            }
            match self.rebuild_hour(&access, hour).await? {
                Some(runs) => {
                    done.runs += runs;
                    hour += Duration::hours(1);
                    done.days += u64::from(hour == Interval::Day.floor(hour));
                }
                None => hour = Interval::Day.floor(hour) + Duration::days(1),
            }
        }
        tracing::info!(
            days = done.days,
            runs = done.runs,
            "{} days of the summary of {ns} are counted anew",
            done.days
        );
        Ok(done)
    }

    /// Counts an hour anew; returns how many runs it has, `None` when runs of its day were removed.
    async fn rebuild_hour(&self, access: &Access<NamespacesWrite>, hour: DateTime<Utc>) -> Result<Option<u64>> {
        let mut tx = self.hold_digest(access).await?;
        if !store::rollups::hold_day(&mut tx, access, hour.date_naive()).await? {
            return Ok(None);
        }
        let end = hour + Duration::hours(1);
        let runs = store::rollups::taken_in(&mut tx, access, hour, end).await?;
        let mut sums = BTreeMap::new();
        for part in runs.chunks(READ) {
            for run in store::digest::read(&mut tx, access, part).await? {
                count(&mut sums, &run);
            }
        }
        store::rollups::replace(&mut tx, access, Grain::Hour, hour, &sums).await?;
        // With the last hour of a day, or of six hours, its others are right as well.
        for grain in ADDED_UP.into_iter().filter(|grain| end == grain.floor(end)) {
            let begin = grain.floor(hour);
            let sums = store::rollups::hours_of(&mut tx, access, grain, begin).await?;
            store::rollups::replace(&mut tx, access, grain, begin, &sums).await?;
        }
        tx.commit().await?;
        Ok(Some(runs.len() as u64))
    }

    /// Adds sums of runs that are nowhere, for measurements.
    #[cfg(feature = "test-support")]
    pub(crate) async fn add_sums(&self, access: &Access<System>, all: BTreeMap<Key, Sums>) -> Result<()> {
        let mut tx = self.db().begin().await?;
        store::digest::hold(&mut tx, access).await?;
        store::rollups::add(&mut tx, access, all).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Begins a transaction in which nobody else takes ended runs in.
    async fn hold_digest(&self, access: &Access<NamespacesWrite>) -> Result<Tx> {
        for _ in 1..PATIENCE {
            let mut tx = self.db().begin().await?;
            if store::digest::hold(&mut tx, access).await? {
                return Ok(tx);
            }
            tx.rollback().await?;
        }
        Err(Error::unavailable(anyhow::anyhow!("the digest was busy all the time")))
    }
}
