//! What ended runs make of their cells: strips, and whether a test is healthy, flaky or broken there.
//!
//! Called by the digest with each of its batches. A run that ends late finds its place among the others, and one that is told
//! again changes nothing.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use tstr_shared::analysis::Observed;
use tstr_shared::analysis::flaky::{Control, Guard, MonitorState, Rules, Status, assess};
use tstr_shared::analysis::window::{self, subject};
use tstr_shared::health::{CellState, TestState};
use tstr_shared::ids::TestId;
use tstr_shared::labels::Labels;
use tstr_shared::namespace::Namespace;
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::permission::TestsRead;
use tstr_shared::run::RunResult;

use super::Ops;
use crate::auth::Caller;
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};
use crate::store::cells::{Changed, Changing, Place};
use crate::store::digest::EndedRun;
use crate::store::memory::Untold;
use crate::store::outages::Seen;
use crate::store::{self, Conn};

/// For how long a test must not have been executed until its status is looked at again.
const STALE_DAYS: i32 = 7;
/// The most tests of one page of states: each is a few dozen bytes.
const MOST_STATES: u32 = 10_000;

/// Adds ended runs to their cells. They come in the order of their ends.
pub(super) async fn add(conn: &mut Conn, access: &Access<System>, ended: &[EndedRun]) -> Result<()> {
    let mut configs: Vec<i64> = ended.iter().map(|run| run.config_id).collect();
    configs.sort_unstable();
    configs.dedup();
    let places = store::cells::places(conn, access, &configs).await?;
    let mut cells: BTreeMap<(TestId, [u8; 16]), (i32, &Labels)> = BTreeMap::new();
    for run in ended {
        if let Some(place) = places.get(&run.config_id) {
            cells.entry((run.test_id, place.cell.hash16())).or_insert((run.ns_id, &place.cell));
        }
    }
    let asked: Vec<(i32, TestId, &Labels)> = cells.iter().map(|((test, _), (ns, cell))| (*ns, *test, *cell)).collect();
    let ids = store::cells::intern(conn, &asked).await?;
    let ids: HashMap<(TestId, [u8; 16]), i32> = cells.into_keys().zip(ids).collect();
    let mut all = store::cells::changing(conn, access, &ids.values().copied().collect::<Vec<_>>()).await?;
    let mut broken = store::outages::broken_runners(conn, access).await?;
    let mut untold = Vec::new();
    for run in ended {
        let Some(place) = places.get(&run.config_id) else { continue };
        let Some(&id) = ids.get(&(run.test_id, place.cell.hash16())) else { continue };
        let cell = all.entry(id).or_default();
        let observed = Observed::of_run(run.result, run.reason);
        if place.is_control {
            note_control(conn, access, run, observed, &mut broken).await?;
        }
        cell.window.add(entry(run, observed, place, &broken));
        // A run that says nothing of its test says nothing of its cases either.
        if observed.is_some() && (run.cases.is_some() || cell.has_cases) {
            cell.has_cases = true;
            untold.push(Untold { run_id: run.run_id, cell_id: id, attempt: run.attempt, finished_at: run.finished_at });
        }
    }
    let rules = Rules::default();
    let mut changed: Vec<Changed> = all.into_iter().map(|(id, cell)| judge(id, cell, &rules, None)).collect();
    changed.sort_unstable_by_key(|cell| cell.id);
    store::cells::change(conn, access, &changed).await?;
    store::memory::queue(conn, access, &untold).await
}

fn entry(
    run: &EndedRun,
    observed: Option<Observed>,
    place: &Place,
    broken: &HashMap<Seen, DateTime<Utc>>,
) -> window::Entry {
    let since = run.runner_id.and_then(|runner| broken.get(&(run.ns_id, runner)));
    let on_broken = since.is_some_and(|since| *since <= run.finished_at);
    // What a control test says of itself is not excused by itself.
    let control = if on_broken && !place.is_control { Control::Failed } else { Control::Absent };
    let cases = run.cases.unwrap_or_default();
    let took = run.started_at.map(|started| (run.finished_at - started).num_milliseconds());
    window::Entry {
        at: run.finished_at,
        run_id: run.run_id,
        result: run.result,
        observed,
        failed_attempts: u8::from(run.flaky),
        duration_ms: took.and_then(|ms| u32::try_from(ms).ok()),
        subject: store::cells::subject_of(run.image_digest.as_deref(), run.config_id, place.tells_subject)
            .map(|text| subject(&text)),
        excluded: Guard::default().judge(cases.failed + cases.errors, cases.cases - cases.skipped, control),
    }
}

/// Notes what a control test says of its runner.
async fn note_control(
    conn: &mut Conn,
    access: &Access<System>,
    run: &EndedRun,
    observed: Option<Observed>,
    broken: &mut HashMap<Seen, DateTime<Utc>>,
) -> Result<()> {
    let Some(runner) = run.runner_id else { return Ok(()) };
    let seen = (run.ns_id, runner);
    // A control that could not even be executed says that the runner is broken.
    let works = match (run.result, observed) {
        (RunResult::Cancelled, _) => return Ok(()),
        (_, Some(Observed::Pass)) => true,
        (_, Some(Observed::Fail | Observed::Skip) | None) => false,
    };
    if works {
        if broken.remove(&seen).is_some() {
            store::outages::note_works(conn, access, seen, run.finished_at).await?;
        }
    } else {
        let since = *broken.entry(seen).or_insert(run.leased_at.unwrap_or(run.finished_at));
        store::outages::note_broken(conn, access, seen, since, run.finished_at).await?;
    }
    Ok(())
}

/// Judges a cell by its recent runs, at the end of the newest or later.
fn judge(id: i32, cell: Changing, rules: &Rules, later: Option<DateTime<Utc>>) -> Changed {
    let Changing { window, status, findings, .. } = cell;
    let before = status.unwrap_or(Status::Healthy);
    let at = window.newest().map(|entry| later.unwrap_or(entry.at));
    // Nearly all tests pass nearly always.
    let (now, Some(at)) = (before, at.filter(|_| !(window.is_clean() && findings.is_empty()))) else {
        return Changed { id, window, status: before, label: before, changed_at: None, findings };
    };
    let states: Vec<MonitorState> = findings.into_iter().map(|finding| finding.state).collect();
    let assessed = assess(rules, &window.trials(), &states, at);
    Changed {
        id,
        window,
        status: assessed.status,
        label: assessed.label,
        changed_at: (assessed.status != now).then_some(at),
        findings: assessed.findings,
    }
}

/// Judges cells again of which no run has ended for long: what monitors saw is not believed for ever. Returns how many.
pub(super) async fn judge_stale(conn: &mut Conn, access: &Access<System>, most: i64) -> Result<u64> {
    // Whoever takes in ends changes cells as well.
    if !store::digest::hold(conn, access).await? {
        return Ok(0);
    }
    let ids = store::cells::stale(conn, access, STALE_DAYS, most).await?;
    let now = store::housekeeping::now(conn).await?;
    let cells = store::cells::changing(conn, access, &ids).await?;
    let rules = Rules::default();
    let judged = cells.into_iter().map(|(id, cell)| judge(id, cell, &rules, Some(now)));
    let changed: Vec<Changed> = judged.filter(|cell| cell.changed_at.is_some()).collect();
    store::cells::change(conn, access, &changed).await?;
    Ok(changed.len() as u64)
}

impl Ops {
    /// Reads how the cells of a test are.
    pub async fn test_cells(&self, caller: &Caller, ns: &Namespace, test: &str) -> Result<Vec<CellState>> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let mut conn = self.db().acquire().await?;
        let test = store::testdefs::find(&mut conn, &access, test, false).await?;
        let test = test.ok_or_else(|| Error::not_found("test"))?;
        store::cells::of_test(&mut conn, &access, test.id).await
    }

    /// Lists how all tests of a namespace are, by their names, with strips of their latest runs.
    pub async fn list_states(&self, caller: &Caller, ns: &Namespace, page: PageRequest) -> Result<Page<TestState>> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let limit = if page.size == 0 { MOST_STATES } else { page.size.min(MOST_STATES) };
        let asked = format!("states {ns}");
        let after = self.0.cursor_key.read::<String>(&page, &asked)?;
        let listed = self.read(|mut tx| {
            let (access, after) = (&access, after.as_deref());
            async move { store::cells::list(&mut tx, access, after, limit.into()).await }
        });
        let (items, is_more) = listed.await?;
        let last = items.last().filter(|_| is_more);
        let next_page_token = last.map(|test| self.0.cursor_key.write(&test.name, &asked)).transpose()?;
        Ok(Page { items, next_page_token })
    }
}
