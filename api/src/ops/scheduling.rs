//! The schedule: every instant makes its runs once, whichever replica gets there first, and has its line in the ledger.
//!
//! One transaction locks tests that are due, inserts the runs of their instants, writes what became of each instant and
//! moves the tests on. The ids of the runs are derived from test, instant and cell, so even a second sweep over the same
//! instant could add nothing. However many tests are due, a transaction makes a bounded number of statements and runs,
//! so that what it holds, the gates and the quotas, is soon free again; an instant of a test is never cut.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use chrono::{DateTime, Duration, NaiveDate, Utc};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::{MatrixId, RunId, TestId};
use tstr_shared::labels::Labels;
use tstr_shared::ledger::{LedgerOutcome, LedgerReason};
use tstr_shared::run::Trigger;
use tstr_shared::schedule::{CatchUp, Due, Schedule};
use tstr_shared::testdef::NewTestDef;

use super::Ops;
use super::enqueue::{Cell, Enqueued, Planned, QueueRoom};
use super::gates::gates_of;
use crate::auth::access::{Access, System};
use crate::error::Result;
use crate::store::ledger::NewEntry;
use crate::store::schedules::DueTest;
use crate::store::{self, Conn};

/// How many runs and lines of the ledger one transaction makes, unless a single instant makes more.
const ROWS_AT_ONCE: usize = 1_000;
/// How many tests one transaction takes, and how many bytes their documents have together.
const TESTS_AT_ONCE: usize = 1_000;
const BYTES_AT_ONCE: i64 = 8 << 20;
/// Days that ended longer ago than this may be dropped: nothing is kept for less than a day after its own.
const SETTLED: Duration = Duration::days(1);
/// So many missed instants of a test have an entry of their own in the ledger; those before them share one.
const MISSED_ALONE: usize = 100;

/// How many tests the next transaction locks: as many as will make it full, if they are like those before them. What it
/// locks beyond that is left for the next one, and what it does not lock costs another one.
#[derive(Debug)]
pub(super) struct Pace(AtomicUsize);

impl Default for Pace {
    fn default() -> Self {
        Self(AtomicUsize::new(100))
    }
}

impl Pace {
    fn tests(&self) -> i64 {
        i64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
    }

    fn note(&self, tests: usize, rows: usize) {
        let full = (tests * ROWS_AT_ONCE).div_ceil(rows.max(1));
        self.0.store(full.clamp(10, TESTS_AT_ONCE), Ordering::Relaxed);
    }
}

/// A test that is taken, with what its schedule says.
struct Taken {
    test: DueTest,
    plan: Plan,
    due: Due,
    deadline: Duration,
}

/// What one transaction is going to do.
#[derive(Default)]
struct Batch {
    planned: Vec<Planned>,
    /// Instants of which runs are planned: what becomes of them is known when the gates have spoken.
    instants: Vec<Instant>,
    entries: Vec<NewEntry>,
    next: Vec<(TestId, Option<DateTime<Utc>>)>,
    /// How many tests are left for later, because a day of theirs is being dropped.
    left: usize,
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
    /// Makes the runs of tests that are due, as many as one transaction makes; returns how many tests it took.
    pub async fn enqueue_due(&self, access: &Access<System>) -> Result<usize> {
        let mut tx = self.db().begin().await?;
        let mut batch = Batch::default();
        let mut taken = self.take_due(&mut tx, access, DateTime::UNIX_EPOCH, &mut batch).await?;
        if batch.left > 0 && taken.is_empty() && batch.next.is_empty() {
            // What is due since longest makes runs of days that are being dropped. Others do not wait for that.
            taken = self.take_due(&mut tx, access, self.0.clock.now().now - SETTLED, &mut batch).await?;
        }
        if taken.is_empty() && batch.next.is_empty() {
            return Ok(0);
        }
        // Quotas are locked in this order by every replica.
        taken.sort_by_key(|one| one.test.ns_id);
        for one in taken {
            self.plan_instants(&mut tx, access, one, &mut batch).await?;
            // Others have something to do between two tests.
            tokio::task::yield_now().await;
        }
        let times: BTreeSet<DateTime<Utc>> = batch.planned.iter().map(|run| run.scheduled_at).collect();
        self.ensure_days(&times.into_iter().collect::<Vec<_>>()).await?;
        let enqueued = self.enqueue(&mut tx, access, batch.planned).await?;
        batch.entries.extend(batch.instants.iter().map(|instant| became_of(instant, &enqueued)));
        let late = store::ledger::write(&mut tx, access, &batch.entries).await?;
        store::schedules::advance(&mut tx, access, &batch.next).await?;
        tx.commit().await?;
        let (tests, runs) = (batch.next.len(), enqueued.made.len());
        self.0.pace.note(tests, runs.max(batch.entries.len()));
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

    /// Locks tests that are due and takes as many as one transaction does; not those that make runs of a day that is being
    /// dropped.
    async fn take_due(
        &self,
        conn: &mut Conn,
        access: &Access<System>,
        since: DateTime<Utc>,
        batch: &mut Batch,
    ) -> Result<Vec<Taken>> {
        let due = store::schedules::lock_due(conn, access, since, self.0.pace.tests(), BYTES_AT_ONCE).await?;
        let mut taken = Vec::new();
        let mut days: BTreeMap<NaiveDate, bool> = BTreeMap::new();
        for one in take(due, batch) {
            let settled = one.test.now - SETTLED;
            let mut can_be_made = true;
            for day in one.due.instants.iter().filter(|at| **at < settled).map(DateTime::date_naive) {
                can_be_made &= match days.get(&day) {
                    Some(held) => *held,
                    None => {
                        let held = store::schedules::hold_day(conn, access, day).await?;
                        days.insert(day, held);
                        held
                    }
                };
            }
            match can_be_made {
                true => taken.push(one),
                false => batch.left += 1,
            }
        }
        Ok(taken)
    }

    /// Plans the runs of the instants of a test that are due, and what the ledger says of the others.
    async fn plan_instants(
        &self,
        conn: &mut Conn,
        access: &Access<System>,
        taken: Taken,
        batch: &mut Batch,
    ) -> Result<()> {
        let Taken { test, plan, due, deadline } = taken;
        batch.entries.extend(missed(&test, &due, plan.def.catch_up, deadline));
        batch.next.push((test.id, due.next));
        if due.instants.is_empty() {
            return Ok(());
        }
        if let Entry::Vacant(place) = batch.rooms.entry(test.ns_id) {
            place.insert(self.queue_room(conn, access, test.ns_id).await?);
        }
        let is_full = self.check_storage();
        let mut shared: Option<Vec<Arc<Cell>>> = None;
        for at in due.instants {
            if let Err(error) = &is_full {
                tracing::warn!(test.id = %test.id, "test {} makes no runs for {at}: {}", test.id, error.message());
                let outcome = (LedgerOutcome::Skipped, Some(LedgerReason::StorageFull));
                batch.entries.push(entry(test.id, test.ns_id, at, outcome));
                continue;
            }
            let room = batch.rooms.get_mut(&test.ns_id).and_then(Option::as_mut);
            if let Some(Err(error)) = room.map(|room| room.take(plan.cells.len())) {
                if error.code() != ErrorCode::QuotaExceeded {
                    return Err(error);
                }
                tracing::warn!(test.id = %test.id, "test {} makes no runs for {at}: {}", test.id, error.message());
                let outcome = (LedgerOutcome::Skipped, Some(LedgerReason::Quota));
                batch.entries.push(entry(test.id, test.ns_id, at, outcome));
                continue;
            }
            // Not before they are needed, and once for all instants.
            let cells: &[Arc<Cell>] = match &shared {
                Some(cells) => cells,
                None => shared.insert(plan.shared_cells(&test)?),
            };
            let runs = runs_of(&test, &plan, cells, at);
            let ids = runs.iter().map(|run| run.id).collect();
            batch.instants.push(Instant { test_id: test.id, ns_id: test.ns_id, at, runs: ids });
            batch.planned.extend(runs);
        }
        Ok(())
    }
}

/// Takes tests in the order in which they became due, until there is enough to do; what is left of them is due still.
fn take(due: Vec<DueTest>, batch: &mut Batch) -> Vec<Taken> {
    let (mut taken, mut rows) = (Vec::new(), 0);
    for test in due {
        if rows >= ROWS_AT_ONCE {
            break;
        }
        let plan = match read(&test) {
            Ok(plan) => plan,
            // One broken test must not hold up the others: it leaves the schedule until it is changed. A failure of
            // the database never gets here: it ends the sweep, and the next one tries again.
            Err(fault) => {
                tracing::error!(test.id = %test.id, "test {} leaves the schedule: {fault:#}", test.id);
                let outcome = (LedgerOutcome::Skipped, Some(LedgerReason::Unreadable));
                batch.entries.push(entry(test.id, test.ns_id, test.next_at, outcome));
                batch.next.push((test.id, None));
                rows += 1;
                continue;
            }
        };
        let deadline = plan.def.start_deadline_at(&plan.schedule, test.next_at);
        let mut due = plan.schedule.due(test.next_at, test.now, plan.def.catch_up, deadline);
        let before = rows;
        rows += due.missed.len().min(MISSED_ALONE + 1);
        let fit = (ROWS_AT_ONCE.saturating_sub(rows) / plan.cells.len().max(1)).max(usize::from(before == 0));
        if fit < due.instants.len() {
            if fit == 0 {
                break;
            }
            // The others are looked at again as if the first of them had just become due.
            due.next = due.instants.get(fit).copied();
            due.instants.truncate(fit);
            rows = ROWS_AT_ONCE;
        } else {
            rows += due.instants.len() * plan.cells.len();
        }
        taken.push(Taken { test, plan, due, deadline });
    }
    taken
}

/// The runs that a test owes for an instant, one for each cell.
fn runs_of(test: &DueTest, plan: &Plan, cells: &[Arc<Cell>], at: DateTime<Utc>) -> Vec<Planned> {
    let Plan { def, schedule, .. } = plan;
    let period = schedule.period_at(at).map_or(60, |period| period.num_seconds()).clamp(60, 24 * 3600) as i32;
    let queue_secs = def.queue_deadline.map_or(period, |deadline| deadline.0 as i32);
    let matrix_id = MatrixId::scheduled(test.id, at);
    let run = |cell: &Arc<Cell>| Planned {
        id: RunId::scheduled(test.id, at, &cell.cell),
        ns_id: test.ns_id,
        test_id: test.id,
        matrix_id,
        cell: cell.clone(),
        priority: def.priority,
        queue_secs,
        trigger: Trigger::Schedule,
        scheduled_at: at,
        due: None,
    };
    cells.iter().map(run).collect()
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
    metrics::counter!("tstr_schedule_instants_missed_total").increment(count as u64);
    tracing::warn!(test.id = %test.id, missed = count, "{count} instants of test {} were missed, the last at {newest}", test.id);
    let reason = |at: DateTime<Utc>| match catch_up {
        CatchUp::Last | CatchUp::All if test.now - at > deadline => LedgerReason::Deadline,
        CatchUp::None | CatchUp::Last | CatchUp::All => LedgerReason::CatchUp,
    };
    let one = |at: DateTime<Utc>| entry(test.id, test.ns_id, at, (LedgerOutcome::Missed, Some(reason(at))));
    // What is not listed begins with the instant that was due first.
    listed(&due.missed, due.missed_more.then_some(test.next_at), one)
}

/// Says which instants of a schedule passed from `since` to `now` without runs, and what became of each.
pub(super) fn passed(
    (test_id, ns_id): (TestId, i32),
    schedule: &Schedule,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
    outcome: (LedgerOutcome, Option<LedgerReason>),
) -> Vec<NewEntry> {
    let first = schedule.next_after(since - Duration::nanoseconds(1)).filter(|first| *first <= now);
    let Some(first) = first else { return Vec::new() };
    let due = schedule.due(first, now, CatchUp::None, Duration::zero());
    // What is due just now was not to run either.
    let passed: Vec<DateTime<Utc>> = due.missed.into_iter().chain(due.instants).collect();
    listed(&passed, due.missed_more.then_some(first), |at| entry(test_id, ns_id, at, outcome))
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
    def: Arc<NewTestDef>,
    schedule: Schedule,
    cells: Vec<Labels>,
}

impl Plan {
    /// Returns what the runs of each cell share.
    fn shared_cells(&self, test: &DueTest) -> Result<Vec<Arc<Cell>>> {
        let none = Labels::default();
        let shared = |cell: &Labels| {
            let gates = gates_of(&self.def, test.ns_id, test.id, cell, Trigger::Schedule);
            Cell::new(&self.def, cell.clone(), &none, gates)
        };
        self.cells.iter().map(shared).collect()
    }
}

fn read(test: &DueTest) -> anyhow::Result<Plan> {
    let def: NewTestDef = serde_json::from_str(&test.doc)?;
    let schedule = def.schedule(test.id)?.context("a test on the schedule has none")?;
    let cells = def.cells()?;
    Ok(Plan { def: Arc::new(def), schedule, cells })
}
