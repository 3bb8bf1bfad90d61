//! Why a run waits or ended as it did, what waits in a namespace, and which cells of a test no runner takes.
//!
//! What is told of runners is what lists of runners tell: those that serve a namespace which the caller sees.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tstr_shared::explain::{
    Because, Counted, Explanation, Gate, LeaseStory, MAX_COUNT, MAX_RUNNERS, PriorityDepth, QueueClass, QueueFacts,
    RunnerVerdict, Verdict, VerdictCount, Waiting, Why, ended_words, why_no_runner, why_waiting,
};
use tstr_shared::ids::RunId;
use tstr_shared::labels::Labels;
use tstr_shared::namespace::{Namespace, NamespacePatterns};
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::permission::{RunnersRead, RunsRead, TestsWrite};
use tstr_shared::run::{Run, RunState};
use tstr_shared::runner::{Runner, RunnerState};
use tstr_shared::selector::{Misfit, SelectorSources, Selectors, check_placement};
use tstr_shared::testdef::NewTestDef;

use super::{Ops, runs};
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store::explain::{Aside, LaneRow};
use crate::store::{self, Conn};

/// The largest page of a queue: each of its items is counted.
const MAX_CLASSES: u32 = 100;
/// How many runs that wait for their time, and how many that wait behind a gate, are looked at.
const MAX_ASIDE: i64 = 10_000;
/// How many cells that no runner takes are warned of one by one.
const MAX_WARNINGS: usize = 10;
/// After so many sets of selectors somebody else gets a turn.
const SETS_AT_ONCE: usize = 64;

impl Ops {
    /// Says why a run waits, what it does, or why it ended as it did.
    pub async fn explain_run(&self, caller: &Caller, run: RunId) -> Result<Explanation> {
        let access = self.reach::<RunsRead>(caller).await?;
        let fleet_access = self.reach::<RunnersRead>(caller).await?;
        let names = self.names_of(&fleet_access).await?;
        let mut tx = self.db().begin().await?;
        store::explain::of_one_moment(&mut tx).await?;
        let found = runs::read(&mut tx, &access, run).await?;
        let now = store::housekeeping::now(&mut tx).await?;
        let explanation = Explanation::of(&found, now);
        Ok(match found.state {
            RunState::Queued => {
                let fleet = Fleet::read(&mut tx, &fleet_access, &names).await?;
                explain_waiting(&mut tx, &access, &found, &fleet, explanation).await?
            }
            RunState::Leased | RunState::Running => explain_lease(&mut tx, &access, run, explanation).await?,
            RunState::Finished => {
                let events = store::runs::events(&mut tx, &access, run).await?;
                let by = events.last().map(|event| event.actor.as_str());
                explanation.because(vec![Because::new(Why::Ended, ended_words(&found, by))])
            }
        })
    }

    /// Lists what waits in a namespace, by the labels that decide who can take it.
    pub async fn list_queue(&self, caller: &Caller, ns: &Namespace, page: PageRequest) -> Result<Page<QueueClass>> {
        let access = self.enter::<RunsRead>(caller, ns).await?;
        let fleet_access = self.enter::<RunnersRead>(caller, ns).await?;
        let asked = ("queue", ns);
        let after = self.0.cursor_key.read::<i32>(&page, &asked)?.unwrap_or_default();
        let limit = page.limit().min(MAX_CLASSES);
        let (seen, seen_fleet) = (&access, &fleet_access);
        let (classes, count) = (i64::from(limit) + 1, i64::from(MAX_COUNT) + 1);
        let read = self.read(|mut tx| async move {
            store::explain::of_one_moment(&mut tx).await?;
            let (aside, more_aside) = store::explain::aside(&mut tx, seen, MAX_ASIDE).await?;
            let also: Vec<i32> = aside.keys().copied().collect();
            let rows = store::explain::lanes(&mut tx, seen, after, &also, classes, count).await?;
            let fleet = Fleet::read(&mut tx, seen_fleet, &[ns.to_string()]).await?;
            Ok((rows, aside, more_aside, fleet))
        });
        let (rows, aside, more_aside, fleet) = read.await?;
        let listed = rows.chunk_by(|left, right| left.class_id == right.class_id).filter_map(|lanes| {
            let first = lanes.first()?;
            let aside = aside.get(&first.class_id).copied().unwrap_or_default();
            Some((first.class_id, queue_class(lanes, aside, more_aside, &fleet.judge(ns, &first.labels), ns)))
        });
        let listed = self.0.cursor_key.page(listed.collect(), limit, &asked, |(class, _)| *class)?;
        Ok(listed.map(|(_, class)| class))
    }
}

async fn explain_waiting(
    conn: &mut Conn,
    access: &Access<RunsRead>,
    run: &Run,
    fleet: &Fleet,
    explanation: Explanation,
) -> Result<Explanation> {
    let row = store::explain::waiting(conn, access, run.id, i64::from(MAX_COUNT) + 1).await?;
    let row = row.ok_or_else(|| Error::not_found("run"))?;
    let mut runners = fleet.judge(&run.namespace, &run.labels);
    let counts = counts_of(&runners);
    let unsigned = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    let gate =
        |(held, slots): (i64, i16), group| Gate { held: unsigned(held), slots: unsigned(i64::from(slots)), group };
    let facts = QueueFacts {
        due: row.due,
        attempts: run.attempt,
        ahead: row.ahead.map(|found| Counted::up_to(MAX_COUNT, found)),
        running: unsigned(row.running),
        max_running: row.max_running.map(|limit| unsigned(i64::from(limit))),
        group: row.group_held.zip(row.group_slots).map(|full| gate(full, row.group_name)),
        matrix: row.matrix_held.zip(row.max_parallel).map(|full| gate(full, None)),
        counts: counts.clone(),
    };
    let reasons = why_waiting(&facts, &run.namespace, explanation.as_of);
    // Those that were heard of last come first as they are; what is gone stands behind what is there.
    runners.sort_by_key(|runner| runner.state == RunnerState::Offline);
    runners.truncate(MAX_RUNNERS);
    let since = run.attempts.iter().filter_map(|attempt| attempt.ended_at).max().unwrap_or(run.created_at);
    let waiting = Waiting { since, deadline: row.deadline, ahead: facts.ahead, counts, runners };
    Ok(Explanation { waiting: Some(waiting), ..explanation }.because(reasons))
}

async fn explain_lease(
    conn: &mut Conn,
    access: &Access<RunsRead>,
    run: RunId,
    explanation: Explanation,
) -> Result<Explanation> {
    let row = store::explain::lease(conn, access, run).await?.ok_or_else(|| Error::not_found("run"))?;
    let lease = LeaseStory {
        runner_id: row.runner_id,
        runner_name: row.runner_name.unwrap_or_default(),
        attempt: row.attempt.unsigned_abs(),
        leased_at: row.leased_at,
        started_at: row.started_at,
        expires_at: row.expires_at,
        hard_deadline: row.hard_deadline,
        cancel_requested_at: row.cancel_requested_at,
    };
    let reasons = lease.reasons(row.cancelled_by.as_deref(), explanation.as_of);
    Ok(Explanation { lease: Some(lease), ..explanation }.because(reasons))
}

/// Counts verdicts, the commonest first.
fn counts_of(runners: &[RunnerVerdict]) -> Vec<VerdictCount> {
    let mut counts: HashMap<(Verdict, Option<String>), u32> = HashMap::new();
    for runner in runners {
        *counts.entry((runner.verdict, runner.key.clone())).or_default() += 1;
    }
    let counts = counts.into_iter().map(|((verdict, key), runners)| VerdictCount { verdict, key, runners });
    let mut counts: Vec<VerdictCount> = counts.collect();
    counts.sort_by(|a, b| (b.runners, a.verdict, &a.key).cmp(&(a.runners, b.verdict, &b.key)));
    counts
}

fn queue_class(
    lanes: &[LaneRow],
    aside: Aside,
    more_aside: bool,
    runners: &[RunnerVerdict],
    ns: &Namespace,
) -> QueueClass {
    let priorities: Vec<PriorityDepth> = lanes
        .iter()
        .filter_map(|lane| {
            let depth = Counted::up_to(MAX_COUNT, lane.depth);
            Some(PriorityDepth { priority: lane.priority?, depth, oldest: lane.oldest? })
        })
        .collect();
    let counts = counts_of(runners);
    let count = |wanted: &dyn Fn(Verdict) -> bool| {
        counts.iter().filter(|count| wanted(count.verdict)).map(|count| count.runners).sum::<u32>()
    };
    let looked_at = |count| Counted { count: u32::try_from(count).unwrap_or(u32::MAX), more: more_aside };
    QueueClass {
        labels: lanes.first().map(|lane| lane.labels.clone()).unwrap_or_default(),
        depth: priorities.iter().fold(Counted::default(), |sum, lane| sum.plus(lane.depth)),
        oldest: priorities.iter().map(|lane| lane.oldest).min(),
        priorities,
        delayed: looked_at(aside.delayed),
        next_due: aside.next_due,
        gated: looked_at(aside.gated),
        live_runners: count(&|verdict| matches!(verdict, Verdict::CouldTake | Verdict::AtCapacity)),
        known_runners: count(&Verdict::is_passing),
        stranded: why_no_runner(&counts, ns),
    }
}

/// Says which cells of a test no known runner takes, live or not, and what keeps the nearest from it.
pub(super) async fn warnings_of(
    conn: &mut Conn,
    access: &Access<TestsWrite>,
    ns: &Namespace,
    def: &NewTestDef,
) -> Result<Vec<String>> {
    // Only runners that serve the namespace: of others the caller may not be allowed to know.
    let fleet = Fleet::read(conn, access, &[ns.to_string()]).await?;
    if fleet.runners.is_empty() {
        return Ok(vec![format!("no runner that takes runs of the namespace {ns} has registered yet; runs will wait")]);
    }
    let cells = def.cells()?;
    let mut lost = Vec::new();
    for cell in &cells {
        if let Some((name, misfit)) = fleet.nearest(ns, &def.labels.merged(cell)) {
            lost.push((cell, format!("the nearest is {name}: {misfit}")));
        }
    }
    let mut warnings: Vec<String> = lost
        .iter()
        .take(MAX_WARNINGS)
        .map(|(cell, nearest)| match cell.is_empty() {
            true => format!("no known runner takes runs with the labels of this test; {nearest}"),
            false => format!("no known runner takes the cell {}; {nearest}", cell.text()),
        })
        .collect();
    if lost.len() > MAX_WARNINGS {
        warnings.push(format!("no known runner takes {} more cells", lost.len() - MAX_WARNINGS));
    }
    Ok(warnings)
}

/// The runners that may be told of, with their selectors compiled.
struct Fleet {
    runners: Vec<(Runner, Arc<Set>)>,
}

/// What decides placement of a runner; many runners have the same.
struct Set {
    namespaces: NamespacePatterns,
    selectors: Selectors,
}

impl Fleet {
    /// Reads the runners that serve one of these namespaces, those that were heard of last first.
    async fn read<P: store::runners::SeesFleet>(
        conn: &mut Conn,
        access: &Access<P>,
        namespaces: &[String],
    ) -> Result<Self> {
        let mut sets: HashMap<(Vec<String>, SelectorSources), Option<Arc<Set>>> = HashMap::new();
        let mut runners = Vec::new();
        for runner in store::runners::fleet(conn, access).await? {
            let sources = SelectorSources { accept: runner.accept.clone(), reject: runner.reject.clone() };
            let key = (runner.namespaces.clone(), sources);
            let set = match sets.get(&key) {
                Some(known) => known.clone(),
                None => {
                    let set = Set::compile(&key.0, &key.1).filter(|set| set.serves_any(namespaces)).map(Arc::new);
                    sets.insert(key, set.clone());
                    if sets.len().is_multiple_of(SETS_AT_ONCE) {
                        tokio::task::yield_now().await;
                    }
                    set
                }
            };
            runners.extend(set.map(|set| (runner, set)));
        }
        Ok(Self { runners })
    }

    /// Judges every runner.
    fn judge(&self, ns: &Namespace, labels: &Labels) -> Vec<RunnerVerdict> {
        let mut known: HashMap<*const Set, Result<(), Misfit>> = HashMap::new();
        let judged = self.runners.iter().map(|(runner, set)| {
            let fits = known.entry(Arc::as_ptr(set)).or_insert_with(|| set.fits(ns, labels));
            RunnerVerdict::of(runner, fits)
        });
        judged.collect()
    }

    /// Returns the runner that fits most of the labels, and what keeps it from taking them; `None` when one takes them.
    fn nearest(&self, ns: &Namespace, labels: &Labels) -> Option<(&str, Misfit)> {
        let mut nearest: Option<(usize, &str, Misfit)> = None;
        let mut seen: HashSet<*const Set> = HashSet::new();
        for (runner, set) in &self.runners {
            if !seen.insert(Arc::as_ptr(set)) {
                continue;
            }
            let misfit = set.fits(ns, labels).err()?;
            let fitting = set.selectors.fitting(labels);
            if nearest.as_ref().is_none_or(|(best, ..)| fitting > *best) {
                nearest = Some((fitting, &runner.name, misfit));
            }
        }
        nearest.map(|(_, name, misfit)| (name, misfit))
    }
}

impl Set {
    /// Compiles what a registration has checked; `None` for what does not compile all the same.
    fn compile(namespaces: &[String], selectors: &SelectorSources) -> Option<Self> {
        match (NamespacePatterns::parse(namespaces), Selectors::parse(selectors)) {
            (Ok(namespaces), Ok(selectors)) => Some(Self { namespaces, selectors }),
            _ => {
                tracing::warn!("the stored selectors of a runner do not parse; it is left out");
                None
            }
        }
    }

    fn serves_any(&self, namespaces: &[String]) -> bool {
        namespaces.iter().any(|namespace| self.namespaces.matches(namespace))
    }

    fn fits(&self, ns: &Namespace, labels: &Labels) -> Result<(), Misfit> {
        check_placement(&self.namespaces, &self.selectors, ns.as_str(), labels)
    }
}
