//! The memory of cases: carried over each run of a cell in the order of their ends, so that a person reads what a run changed and
//! since when, and not only what failed.
//!
//! One run is one transaction, and one replica is at it at a time. A run that ended earlier than the last that was told (it was
//! uploaded later, say) lets the memory of its cell begin anew from the runs that are on record.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tstr_shared::analysis::Observed;
use tstr_shared::analysis::flaky::{Exclusion, MonitorState, Rules, Status, Trial, assess};
use tstr_shared::analysis::history::{CaseMemory, Coverage, Moment, Standing};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunId;
use tstr_shared::report::CaseId;

use super::Ops;
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};
use crate::store;
use crate::store::Conn;
use crate::store::memory::{After, Judged, Pair, Untold};

/// How many cases are read and written at once.
const PAGE: i64 = 10_000;
/// Of how many cases of a run it is asked whether they are flaky: of more, nobody reads it.
const MOST_JUDGED: usize = 500;
/// How many runs of a cell are told again at most.
pub const MOST_RUNS: i64 = 200;
/// How many results of cases are told again at most: all other cells wait meanwhile.
const MOST_RESULTS: i64 = 1_000_000;
/// How often a run is tried.
const MOST_FAILURES: u32 = 5;

/// How often one run after another could not be told.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<(Option<RunId>, u32)>);

impl Failures {
    /// Counts a failure; tells whether the run has failed often enough to be left alone.
    fn fails_too_often(&self, run: RunId) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = if known.0 == Some(run) { known.1 + 1 } else { 1 };
        *known = (Some(run), times);
        times >= MOST_FAILURES
    }
}

impl Ops {
    /// Carries the memory of a cell over the run that ended first of those that were not told. Tells whether there was one.
    /// Where it comes late, at most so many runs are told again.
    pub async fn remember_run(&self, access: &Access<System>, most: i64) -> Result<bool> {
        let mut tx = self.db().begin().await?;
        let Some(run) = store::memory::take(&mut tx, access).await? else { return Ok(false) };
        match carry_over(&mut tx, access, &run, most).await {
            Ok(missing) => {
                tx.commit().await?;
                metrics::counter!("tstr_cases_missing_total").increment(missing);
            }
            // It would fail again, and hold up all others.
            Err(error) if error.code() == ErrorCode::Internal || self.0.untold.fails_too_often(run.run_id) => {
                let id = run.run_id;
                tracing::error!(run.id = %id, error = ?error, "what run {id} changed cannot be worked out");
                tx.rollback().await?;
                let mut conn = self.db().acquire().await?;
                store::memory::give_up(&mut conn, access, &run).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}

/// Carries the memory of a run's cell over it; where it comes late, over the latest runs of the cell, at most so many. Returns
/// how many cases are missing.
async fn carry_over(conn: &mut Conn, access: &Access<System>, run: &Untold, most: i64) -> Result<u64> {
    let Some(told) = store::memory::told(conn, access, run.cell_id).await? else { return Ok(0) };
    match told {
        Some(told) if told.run_id == run.run_id => Ok(0),
        Some(told) if told > run.moment() => {
            let again = store::retelling::begin(conn, access, run.run_id, run.cell_id, most, MOST_RESULTS).await?;
            let mut told = None;
            for (nth, one) in again.runs.iter().enumerate() {
                // What the oldest has changed is known from when it was told, and cannot be seen any more.
                let notes = nth > 0 || !again.is_cut;
                told = Some(tell(conn, access, one, told, notes).await?.0);
            }
            store::retelling::end(conn, access, run.cell_id, &again.late).await?;
            Ok(0)
        }
        told => Ok(tell(conn, access, run, told, true).await?.1),
    }
}

/// Carries the memory of a cell over a run; returns how far it goes now, and how many cases a run of all of them has not. What
/// the run changed is noted or left as it is.
async fn tell(
    conn: &mut Conn,
    access: &Access<System>,
    run: &Untold,
    told: Option<Moment>,
    notes: bool,
) -> Result<(Moment, u64)> {
    let coverage = store::memory::coverage(conn, access, run).await?;
    if notes {
        store::memory::forget_changes(conn, access, run.run_id).await?;
    }
    let (mut after, mut judged, mut missing) = (CaseId::NIL, 0, 0);
    loop {
        let pairs = store::memory::pairs(conn, access, run, told, after, PAGE).await?;
        let Some(last) = pairs.last() else { break };
        after = last.case;
        let is_last = (pairs.len() as i64) < PAGE;
        let mut cases = Vec::with_capacity(pairs.len());
        let mut asked: Vec<(usize, Pair)> = Vec::new();
        for pair in pairs {
            let (memory, told) = match (pair.memory, pair.observed) {
                (Some(memory), observed) => {
                    let (memory, told) = memory.after(run.moment(), observed, coverage).map_err(Error::internal)?;
                    // It was not asked for.
                    let Some(told) = told else { continue };
                    (memory, told)
                }
                (None, Some(observed)) => CaseMemory::begin(run.moment(), observed),
                (None, None) => continue,
            };
            let duration_ms = pair.duration_ms.filter(|_| pair.observed.is_some_and(|it| it != Observed::Skip));
            // What is not there any more is neither flaky nor broken.
            let is_gone = told.standing == Standing::Removed && pair.status != Status::Healthy;
            let gone = is_gone.then(|| Judged {
                status: Status::Healthy,
                label: Status::Healthy,
                changed_at: Some(run.finished_at),
                findings: Vec::new(),
            });
            cases.push(After { case: pair.case, memory, told, duration_ms, judged: gone });
            if judged < MOST_JUDGED && is_worth_a_look(&pair) {
                judged += 1;
                asked.push((cases.len() - 1, pair));
            }
        }
        missing += cases.iter().filter(|case| case.told.standing == Standing::Missing).count() as u64;
        judge(conn, access, run, &mut cases, asked).await?;
        store::memory::remember(conn, access, run.cell_id, &cases).await?;
        if notes {
            store::memory::note_changes(conn, access, run.run_id, &cases).await?;
        }
        if is_last {
            break;
        }
    }
    store::memory::set_told(conn, access, run.cell_id, run.moment()).await?;
    Ok((run.moment(), if coverage == Coverage::Complete { missing } else { 0 }))
}

/// Tells whether a monitor could say something: of a case that passes, and of which none did, none can.
fn is_worth_a_look(pair: &Pair) -> bool {
    let wobbles = pair.observed == Some(Observed::Fail) || pair.flaky;
    pair.observed.is_some() && (wobbles || pair.status != Status::Healthy || !pair.findings.is_empty())
}

/// Asks the monitors about cases.
async fn judge(
    conn: &mut Conn,
    access: &Access<System>,
    run: &Untold,
    cases: &mut [After],
    asked: Vec<(usize, Pair)>,
) -> Result<()> {
    if asked.is_empty() {
        return Ok(());
    }
    let rules = Rules::default();
    let ids: Vec<CaseId> = asked.iter().map(|(_, pair)| pair.case).collect();
    let most = i64::from(rules.reach().0);
    // What says nothing of the test says nothing of its cases.
    let mut cells = store::cells::changing(conn, access, &[run.cell_id]).await?;
    let window = cells.remove(&run.cell_id).unwrap_or_default().window;
    let excluded: HashMap<RunId, Exclusion> =
        window.entries().iter().filter_map(|entry| Some((entry.run_id, entry.excluded?))).collect();
    let mut trials: HashMap<CaseId, Vec<Trial>> = HashMap::new();
    for (case, trial) in store::memory::trials(conn, access, run.cell_id, &ids, run.moment(), most).await? {
        let excluded = excluded.get(&trial.run_id).copied().or(trial.excluded);
        trials.entry(case).or_default().push(Trial { excluded, ..trial });
    }
    for (index, pair) in asked {
        let states: Vec<MonitorState> = pair.findings.into_iter().map(|finding| finding.state).collect();
        let recent = trials.remove(&pair.case).unwrap_or_default();
        let assessed = assess(&rules, &recent, &states, run.finished_at);
        cases[index].judged = Some(Judged {
            changed_at: (assessed.status != pair.status).then_some(run.finished_at),
            status: assessed.status,
            label: assessed.label,
            findings: assessed.findings,
        });
    }
    Ok(())
}
