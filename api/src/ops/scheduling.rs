//! The schedule: every instant makes its runs once, whichever replica gets there first, and has its line in the ledger.
//!
//! One transaction locks tests that are due, inserts the runs of their instants, writes what became of each instant and
//! moves the tests on. The ids of the runs are derived from test, instant and cell, so even a second sweep over the same
//! instant could add nothing. However many tests are due, a transaction makes a bounded number of statements and runs.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use chrono::{DateTime, Duration, Utc};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::{MatrixId, RunId, TestId};
use tstr_shared::labels::Labels;
use tstr_shared::ledger::{LedgerOutcome, LedgerReason};
use tstr_shared::run::Trigger;
use tstr_shared::schedule::{CatchUp, Due, Schedule};
use tstr_shared::testdef::NewTestDef;

use super::Ops;
use super::enqueue::{Enqueued, Planned, QueueRoom, config_of};
use super::gates::gates_of;
use crate::auth::access::{Access, System};
use crate::error::Result;
use crate::store::ledger::NewEntry;
use crate::store::schedules::DueTest;
use crate::store::{self, Conn};

/// How many tests one transaction takes.
const BATCH: i64 = 200;
/// A transaction takes no further test once it has so many runs; what it left is due still.
const RUNS_AT_ONCE: usize = 10_000;
/// So many missed instants of a test have an entry of their own in the ledger; those before them share one.
const MISSED_ALONE: usize = 100;

/// What one transaction is going to do.
#[derive(Default)]
struct Batch {
    planned: Vec<Planned>,
    /// Instants of which runs are planned: what becomes of them is known when the gates have spoken.
    instants: Vec<Instant>,
    entries: Vec<NewEntry>,
    next: Vec<(TestId, Option<DateTime<Utc>>)>,
    /// What may still wait in a namespace that has a quota.
    rooms: BTreeMap<i32, Option<QueueRoom>>,
}

/// An instant with planned runs.
struct Instant {
    test_id: TestId,
    ns_id: i32,
    at: DateTime<Utc>,
    runs: Vec<RunId>,
}

impl Ops {
    /// Makes the runs of tests that are due; returns how many tests it took.
    pub async fn enqueue_due(&self, access: &Access<System>) -> Result<usize> {
        let mut tx = self.db().begin().await?;
        let mut due = store::schedules::lock_due(&mut tx, access, BATCH).await?;
        if due.is_empty() {
            return Ok(0);
        }
        // Quotas are locked in this order by every replica.
        due.sort_by_key(|test| test.ns_id);
        let mut batch = Batch::default();
        for test in &due {
            if batch.planned.len() >= RUNS_AT_ONCE {
                break;
            }
            match read(test) {
                Ok(plan) => self.plan_instants(&mut tx, access, test, &plan, &mut batch).await?,
                // One broken test must not hold up the others: it leaves the schedule until it is changed. A failure of
                // the database never gets here: it ends the sweep, and the next one tries again.
                Err(fault) => {
                    tracing::error!(test.id = %test.id, "test {} leaves the schedule: {fault:#}", test.id);
                    let outcome = (LedgerOutcome::Skipped, Some(LedgerReason::Unreadable));
                    batch.entries.push(entry(test.id, test.ns_id, test.next_at, outcome));
                    batch.next.push((test.id, None));
                }
            }
        }
        let times: BTreeSet<DateTime<Utc>> = batch.planned.iter().map(|run| run.scheduled_at).collect();
        self.ensure_days(&times.into_iter().collect::<Vec<_>>()).await?;
        let enqueued = self.enqueue(&mut tx, access, batch.planned).await?;
        batch.entries.extend(batch.instants.iter().map(|instant| became_of(instant, &enqueued)));
        let late = store::ledger::write(&mut tx, access, &batch.entries).await?;
        store::schedules::advance(&mut tx, access, &batch.next).await?;
        tx.commit().await?;
        let (tests, runs) = (batch.next.len(), enqueued.made.len());
        tracing::debug!(tests, runs, "{tests} tests were due, {runs} runs made");
        self.announce_enqueued(enqueued);
        let lateness = metrics::histogram!("tstr_schedule_lateness_seconds");
        // A clock that was set back has made it early; that is not late.
        late.into_iter().for_each(|ms| lateness.record(ms.max(0) as f64 / 1000.0));
        Ok(tests)
    }

    /// Returns how long until the next instant of any test.
    pub async fn until_next_instant(&self, access: &Access<System>) -> Result<Option<std::time::Duration>> {
        let mut conn = self.db().acquire().await?;
        let secs = store::schedules::seconds_to_next(&mut conn, access).await?;
        Ok(secs.map(|secs| std::time::Duration::from_secs_f64(secs.clamp(0.0, 3600.0))))
    }

    /// Plans the runs of the instants of a test that are due, and what the ledger says of the others.
    async fn plan_instants(
        &self,
        conn: &mut Conn,
        access: &Access<System>,
        test: &DueTest,
        plan: &Plan,
        batch: &mut Batch,
    ) -> Result<()> {
        let Plan { def, schedule, cells } = plan;
        let deadline = def.start_deadline_at(schedule, test.next_at);
        let due = schedule.due(test.next_at, test.now, def.catch_up, deadline);
        batch.entries.extend(missed(test, &due, def.catch_up, deadline));
        batch.next.push((test.id, due.next));
        if !due.instants.is_empty() && !batch.rooms.contains_key(&test.ns_id) {
            let room = self.queue_room(conn, access, test.ns_id).await?;
            batch.rooms.insert(test.ns_id, room);
        }
        let is_full = self.check_storage();
        for at in due.instants {
            if let Err(error) = &is_full {
                tracing::warn!(test.id = %test.id, "test {} makes no runs for {at}: {}", test.id, error.message());
                let outcome = (LedgerOutcome::Skipped, Some(LedgerReason::StorageFull));
                batch.entries.push(entry(test.id, test.ns_id, at, outcome));
                continue;
            }
            let room = batch.rooms.get_mut(&test.ns_id).and_then(Option::as_mut);
            if let Some(Err(error)) = room.map(|room| room.take(cells.len())) {
                if error.code() != ErrorCode::QuotaExceeded {
                    return Err(error);
                }
                tracing::warn!(test.id = %test.id, "test {} makes no runs for {at}: {}", test.id, error.message());
                let outcome = (LedgerOutcome::Skipped, Some(LedgerReason::Quota));
                batch.entries.push(entry(test.id, test.ns_id, at, outcome));
                continue;
            }
            let runs: Vec<Planned> = cells.iter().map(|cell| run_of(test, plan, cell, at)).collect();
            let ids = runs.iter().map(|run| run.id).collect();
            batch.instants.push(Instant { test_id: test.id, ns_id: test.ns_id, at, runs: ids });
            batch.planned.extend(runs);
        }
        Ok(())
    }
}

/// The run that a test owes for an instant and a cell.
fn run_of(test: &DueTest, plan: &Plan, cell: &Labels, at: DateTime<Utc>) -> Planned {
    let Plan { def, schedule, .. } = plan;
    let period = schedule.period_at(at).map_or(60, |period| period.num_seconds()).clamp(60, 24 * 3600) as i32;
    Planned {
        id: RunId::scheduled(test.id, at, cell),
        ns_id: test.ns_id,
        test_id: test.id,
        matrix_id: MatrixId::scheduled(test.id, at),
        labels: def.labels.merged(cell),
        body: config_of(def, cell),
        priority: def.priority,
        queue_secs: def.queue_deadline.map_or(period, |deadline| deadline.0 as i32),
        trigger: Trigger::Schedule,
        scheduled_at: at,
        due: None,
        gates: gates_of(def, test.ns_id, test.id, cell, Trigger::Schedule),
    }
}

fn entry(
    test_id: TestId,
    ns_id: i32,
    scheduled_for: DateTime<Utc>,
    outcome: (LedgerOutcome, Option<LedgerReason>),
) -> NewEntry {
    NewEntry { test_id, ns_id, scheduled_for, outcome, made: None, stretch: None }
}

/// Says what became of an instant with planned runs.
fn became_of(instant: &Instant, enqueued: &Enqueued) -> NewEntry {
    let Instant { test_id, ns_id, at, runs } = instant;
    let set = MatrixId::scheduled(*test_id, *at);
    let skipped = (LedgerOutcome::Skipped, Some(LedgerReason::Concurrency));
    if enqueued.refused.contains_key(&set) {
        return entry(*test_id, *ns_id, *at, skipped);
    }
    // A queue that was full dropped them all as they came.
    let outcome =
        if runs.iter().all(|run| enqueued.dropped.contains(run)) { skipped } else { (LedgerOutcome::Ran, None) };
    NewEntry { made: Some((set, runs.len() as u32)), ..entry(*test_id, *ns_id, *at, outcome) }
}

/// Says which instants were missed, and why: the newest each by itself, those before them as one stretch.
fn missed(test: &DueTest, due: &Due, catch_up: CatchUp, deadline: Duration) -> Vec<NewEntry> {
    let Some(newest) = due.missed.last() else { return Vec::new() };
    let count = due.missed.len();
    tracing::warn!(test.id = %test.id, missed = count, "{count} instants of test {} were missed, the last at {newest}", test.id);
    let reason = |at: DateTime<Utc>| match catch_up {
        CatchUp::Last | CatchUp::All if test.now - at > deadline => LedgerReason::Deadline,
        CatchUp::None | CatchUp::Last | CatchUp::All => LedgerReason::CatchUp,
    };
    let one = |at: DateTime<Utc>| entry(test.id, test.ns_id, at, (LedgerOutcome::Missed, Some(reason(at))));
    // What is not listed begins with the instant that was due first.
    listed(&due.missed, due.missed_more.then_some(test.next_at), one)
}

/// Says which instants passed from `since` to `now` while a test was paused: each is skipped.
pub(super) fn paused(
    (test_id, ns_id): (TestId, i32),
    schedule: &Schedule,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Vec<NewEntry> {
    let first = schedule.next_after(since - Duration::nanoseconds(1)).filter(|first| *first <= now);
    let Some(first) = first else { return Vec::new() };
    let due = schedule.due(first, now, CatchUp::None, Duration::zero());
    // What is due just now was not to run either.
    let passed: Vec<DateTime<Utc>> = due.missed.into_iter().chain(due.instants).collect();
    let skipped = (LedgerOutcome::Skipped, Some(LedgerReason::Paused));
    listed(&passed, due.missed_more.then_some(first), |at| entry(test_id, ns_id, at, skipped))
}

/// Makes the entries of instants: the newest each by itself, those before them as one stretch, which begins with `unlisted`
/// where there are older ones that are not among the instants.
fn listed(
    instants: &[DateTime<Utc>],
    unlisted: Option<DateTime<Utc>>,
    one: impl Fn(DateTime<Utc>) -> NewEntry,
) -> Vec<NewEntry> {
    let (older, alone) = instants.split_at(instants.len().saturating_sub(MISSED_ALONE));
    let stretch = older
        .last()
        .map(|last| NewEntry { stretch: Some((*last, older.len() as u32)), ..one(unlisted.unwrap_or(older[0])) });
    stretch.into_iter().chain(alone.iter().map(|at| one(*at))).collect()
}

/// What a stored test says of its instants.
struct Plan {
    def: NewTestDef,
    schedule: Schedule,
    cells: Vec<Labels>,
}

fn read(test: &DueTest) -> anyhow::Result<Plan> {
    let def: NewTestDef = serde_json::from_str(&test.doc)?;
    let schedule = def.schedule(test.id)?.context("a test on the schedule has none")?;
    let cells = def.cells()?;
    Ok(Plan { def, schedule, cells })
}
