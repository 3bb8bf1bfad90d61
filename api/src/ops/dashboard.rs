//! How a namespace is, at one look.
//!
//! What it costs grows with the tests that are there, and all who have the page open ask for it with every change. So one of them
//! looks at a time, for all who have asked by then, and between two looks there is a rest: however many look and however much happens,
//! it takes a tenth of the time of a connection. Nobody is shown what was found before he asked, for no other event may come by which
//! his page would ask again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tstr_shared::analysis::flaky::Status;
use tstr_shared::dashboard::{
    Dashboard, FailingTest, FlakyTest, FleetVerdict, MOST_NAMED, QueueVerdict, SLOWER_FACTOR, SLOWER_MS, SlowerTest,
    TestVerdicts, failing_since, is_failure, is_new,
};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::TestId;
use tstr_shared::namespace::Namespace;
use tstr_shared::page::PageRequest;
use tstr_shared::permission::{RunnersRead, RunsRead, TestsRead};
use tstr_shared::runner::RunnerState;

use super::Ops;
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store;
use crate::store::dashboard::Unwell;

/// The most classes and runners that are looked at.
const MOST: u32 = 1000;
/// How much longer than a look the rest after it is, and how long at most.
const REST: u32 = 4;
const LONGEST_REST: Duration = Duration::from_secs(1);

/// What was found last, by namespace.
#[derive(Default)]
pub(super) struct Boards(Mutex<HashMap<i32, Arc<tokio::sync::Mutex<Board>>>>);

#[derive(Default)]
struct Board {
    /// What was found, by a look that began then.
    found: Option<(Instant, Dashboard)>,
    /// When it could not be found out the last time.
    failed_at: Option<Instant>,
    not_before: Option<Instant>,
}

impl Boards {
    fn of(&self, ns_id: i32) -> Arc<tokio::sync::Mutex<Board>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(ns_id).or_default().clone()
    }
}

impl Ops {
    /// Says how a namespace is: what fails, what is flaky or slower, what waits, and who executes.
    pub async fn dashboard(&self, caller: &Caller, ns: &Namespace) -> Result<Dashboard> {
        let tests = self.enter::<TestsRead>(caller, ns).await?;
        let runs = self.enter::<RunsRead>(caller, ns).await?;
        self.enter::<RunnersRead>(caller, ns).await?;
        let asked = Instant::now();
        let board = self.0.boards.of(tests.namespace());
        // Whoever has it looks. What is seen does not depend on who it is: all may see the namespace.
        let mut board = board.lock().await;
        if let Some((_, found)) = board.found.as_ref().filter(|(began, _)| *began >= asked) {
            return Ok(found.clone());
        }
        // Nobody waits for as many failures as there were people before him.
        if board.failed_at.is_some_and(|at| at >= asked) {
            return Err(Error::unavailable(anyhow::anyhow!("it could not be looked how the namespace is")));
        }
        if let Some(at) = board.not_before {
            tokio::time::sleep_until(at.into()).await;
        }
        let began = Instant::now();
        let found = self.look_at_all(caller, ns, (&tests, &runs)).await;
        // What this caller may not, others may.
        let concerns_all = |error: &Error| matches!(error.code(), ErrorCode::Internal | ErrorCode::Unavailable);
        let found = found.inspect_err(|error| {
            if concerns_all(error) {
                board.failed_at = Some(Instant::now());
            }
        })?;
        let rest = began.elapsed().saturating_mul(REST).min(LONGEST_REST);
        board.not_before = Some(Instant::now() + rest);
        board.found = Some((began, found.clone()));
        Ok(found)
    }

    async fn look_at_all(
        &self,
        caller: &Caller,
        ns: &Namespace,
        (access, runs): (&Access<TestsRead>, &Access<RunsRead>),
    ) -> Result<Dashboard> {
        let read = self.read(|mut tx| async move {
            let total = store::dashboard::count_tests(&mut tx, access).await?;
            let unwell = store::dashboard::unwell(&mut tx, access).await?;
            let (factor, ms) = (SLOWER_FACTOR, SLOWER_MS as i64);
            let slower = store::dashboard::slower(&mut tx, access, factor, ms).await?;
            let held = store::dashboard::held(&mut tx, runs).await?;
            Ok((total, unwell, slower, held, store::housekeeping::now(&mut tx).await?))
        });
        let (total, unwell, slower, held, now) = read.await?;
        let (failing, flaky) = (failing(&unwell), flaky(&unwell));
        let mut newly: Vec<FailingTest> = failing.values().filter(|test| is_new(test.since, now)).cloned().collect();
        newly.sort_by(|a, b| (b.since, &a.name).cmp(&(a.since, &b.name)));
        let mut flaky: Vec<FlakyTest> = flaky.into_values().collect();
        flaky.sort_by(|a, b| (b.since, &a.name).cmp(&(a.since, &b.name)));
        let verdicts = TestVerdicts {
            total: total.unsigned_abs(),
            failing: failing.len() as u64,
            newly_failing: newly.len() as u64,
            flaky: flaky.len() as u64,
            slower: slower.len() as u64,
        };
        newly.truncate(MOST_NAMED);
        flaky.truncate(MOST_NAMED);
        let slower = slower.into_iter().take(MOST_NAMED).map(|pace| SlowerTest {
            test_id: pace.test_id,
            name: pace.name,
            mean_ms: pace.mean_ms.unsigned_abs(),
            before_ms: pace.before_ms.unsigned_abs(),
            runs: pace.runs.unsigned_abs(),
        });
        Ok(Dashboard {
            as_of: now,
            tests: verdicts,
            newly_failing: newly,
            flaky,
            slower: slower.collect(),
            queue: QueueVerdict { held: held.unsigned_abs(), ..self.queue_verdict(caller, ns).await? },
            runners: self.fleet_verdict(caller, ns).await?,
        })
    }

    async fn queue_verdict(&self, caller: &Caller, ns: &Namespace) -> Result<QueueVerdict> {
        let page = self.list_queue(caller, ns, PageRequest { size: MOST, token: String::new() }).await?;
        let mut verdict = QueueVerdict::default();
        for class in &page.items {
            verdict.depth = verdict.depth.plus(class.depth);
            verdict.oldest = [verdict.oldest, class.oldest].into_iter().flatten().min();
            verdict.stranded += u64::from(class.stranded.is_some());
        }
        verdict.depth.more |= page.next_page_token.is_some();
        Ok(verdict)
    }

    async fn fleet_verdict(&self, caller: &Caller, ns: &Namespace) -> Result<FleetVerdict> {
        let page = self.list_runners(caller, Some(ns), PageRequest { size: MOST, token: String::new() }).await?;
        let mut verdict = FleetVerdict { total: page.items.len() as u64, ..FleetVerdict::default() };
        for runner in page.items.iter().filter(|runner| runner.state != RunnerState::Offline) {
            verdict.online += 1;
            verdict.draining += u64::from(runner.state == RunnerState::Draining);
            verdict.slots += u64::from(runner.slots);
            verdict.slots_used += u64::from(runner.slots_used);
        }
        Ok(verdict)
    }
}

/// Finds the tests that fail, each by the cell that fails for longest.
fn failing(unwell: &[Unwell]) -> BTreeMap<TestId, FailingTest> {
    let mut failing: BTreeMap<TestId, FailingTest> = BTreeMap::new();
    for cell in unwell {
        let window = cell.window.as_ref();
        let Some(since) = window.and_then(failing_since) else { continue };
        // A run that was cancelled since is not what people want to see.
        let last = window.and_then(|window| window.entries().iter().rev().find(|entry| is_failure(entry.result)));
        let Some((run, result)) = last.map(|entry| (entry.run_id, entry.result)).or(cell.last) else { continue };
        let fresh = || FailingTest { test_id: cell.test_id, name: cell.name.clone(), since, run, result, cells: 0 };
        let test = failing.entry(cell.test_id).or_insert_with(fresh);
        test.since = test.since.min(since);
        test.cells += 1;
    }
    failing
}

/// Finds the tests that are flaky.
fn flaky(unwell: &[Unwell]) -> BTreeMap<TestId, FlakyTest> {
    let mut flaky: BTreeMap<TestId, FlakyTest> = BTreeMap::new();
    for cell in unwell.iter().filter(|cell| cell.status == Status::Flaky) {
        let fresh = || FlakyTest { test_id: cell.test_id, name: cell.name.clone(), since: None, cells: 0 };
        let test = flaky.entry(cell.test_id).or_insert_with(fresh);
        test.since = test.since.max(cell.changed_at);
        test.cells += 1;
    }
    flaky
}
