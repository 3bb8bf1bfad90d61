//! From a test to runs in the queue: the road that triggers, retries and the schedule share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::{MatrixId, RunId, TestId};
use tstr_shared::labels::Labels;
use tstr_shared::run::Trigger;
use tstr_shared::testdef::{NewTestDef, Priority};

use super::Ops;
use super::admission::{Gates, Plan};
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store::queue::{ConfigBody, Enqueues, NewConfig, NewRun, Place};
use crate::store::{self, Conn, Quota};

/// What the runs of a cell of a test share, however many of them there are: made once, and never copied.
#[derive(Debug)]
pub(super) struct Cell {
    /// What it is called in the set.
    pub cell: Labels,
    /// What places its runs.
    labels: Labels,
    class: [u8; 16],
    config: NewConfig,
    /// What its runs pass.
    gates: Gates,
}

impl Cell {
    /// Puts together what the runs of a cell have: the test's labels and those of the cell, overridden by `labels`.
    pub(super) fn new(test: &Arc<NewTestDef>, cell: Labels, labels: &Labels, gates: Gates) -> Result<Arc<Self>> {
        let labels = test.labels.merged(&cell).merged(labels);
        let config = NewConfig::of(test, cell.clone())?;
        Ok(Arc::new(Self { cell, class: labels.hash16(), labels, config, gates }))
    }

    /// Returns what its runs execute.
    pub(super) fn body(&self) -> Result<ConfigBody> {
        self.config.body()
    }

    /// Interns what its runs share; returns the keys of their class and their configuration.
    pub(super) async fn intern<P: Enqueues>(
        &self,
        conn: &mut Conn,
        access: &Access<P>,
        ns_id: i32,
    ) -> Result<(i32, i64)> {
        let key = (ns_id, self.class);
        let classes = store::queue::intern_classes(conn, access, &[(key, &self.labels)].into()).await?;
        let configs = store::queue::intern_configs(conn, access, &[&self.config]).await?;
        let found = classes.get(&key).copied().zip(configs.get(&self.config.hash()).copied());
        found.ok_or_else(|| Error::internal(anyhow::anyhow!("an interned row is missing")))
    }

    /// Returns what places its runs.
    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }
}

/// A run before its class and configuration are interned.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub id: RunId,
    pub ns_id: i32,
    pub test_id: TestId,
    pub matrix_id: MatrixId,
    pub cell: Arc<Cell>,
    pub priority: Priority,
    pub queue_secs: i32,
    pub trigger: Trigger,
    pub scheduled_at: DateTime<Utc>,
    pub due: Option<DateTime<Utc>>,
}

/// What became of runs that were to be put into the queue.
#[derive(Debug, Default)]
pub(super) struct Enqueued {
    /// Those that were made.
    pub made: Vec<RunId>,
    /// Sets that were refused, and why.
    pub refused: BTreeMap<MatrixId, String>,
    /// Runs that ended because they may not wait any more, new ones among them.
    pub dropped: BTreeSet<RunId>,
    /// Other runs are to be cancelled for them.
    pub ordered: bool,
    /// The first place in each lane of those that can be claimed now.
    pub places: Vec<Place>,
}

impl Ops {
    /// Interns what the runs share and puts them into the queue, as far as their gates let them.
    pub(super) async fn enqueue<P: Enqueues>(
        &self,
        conn: &mut Conn,
        access: &Access<P>,
        planned: Vec<Planned>,
    ) -> Result<Enqueued> {
        if planned.is_empty() {
            return Ok(Enqueued::default());
        }
        // Each cell once, by where it lies in memory: its runs share it.
        let cells: BTreeMap<usize, (i32, &Cell)> =
            planned.iter().map(|run| (Arc::as_ptr(&run.cell).addr(), (run.ns_id, &*run.cell))).collect();
        let classes = cells.values().map(|(ns_id, cell)| ((*ns_id, cell.class), &cell.labels)).collect();
        let class_ids = store::queue::intern_classes(conn, access, &classes).await?;
        let configs: Vec<&NewConfig> = cells.values().map(|(_, cell)| &cell.config).collect();
        let config_ids = store::queue::intern_configs(conn, access, &configs).await?;
        let missing = || Error::internal(anyhow::anyhow!("an interned row is missing"));
        let mut runs = Vec::with_capacity(planned.len());
        for run in &planned {
            let new = NewRun {
                id: run.id,
                ns_id: run.ns_id,
                test_id: run.test_id,
                matrix_id: run.matrix_id,
                class_id: *class_ids.get(&(run.ns_id, run.cell.class)).ok_or_else(missing)?,
                config_id: *config_ids.get(&run.cell.config.hash()).ok_or_else(missing)?,
                priority: run.priority,
                queue_secs: run.queue_secs,
                trigger: run.trigger,
                scheduled_at: run.scheduled_at,
                due: run.due,
                gated: !run.cell.gates.is_open(),
            };
            runs.push((new, run.cell.gates.clone()));
        }
        self.put(conn, access, runs).await
    }

    /// Puts interned runs into the queue, as far as their gates let them.
    pub(super) async fn put<P: Enqueues>(
        &self,
        conn: &mut Conn,
        access: &Access<P>,
        runs: Vec<(NewRun, Gates)>,
    ) -> Result<Enqueued> {
        let approach = self.approach(conn, access, &runs).await?;
        let (new, gates): (Vec<NewRun>, Vec<Gates>) =
            runs.into_iter().filter(|(run, _)| !approach.plan.refused.contains_key(&run.matrix_id)).unzip();
        let made = store::queue::enqueue(conn, access, &new).await?;
        let made: BTreeMap<RunId, Place> = made.into_iter().map(|run| (run.id, run.place)).collect();
        // Runs that were there already keep their places; the decision is made without them.
        let here: Vec<(&NewRun, &Gates)> =
            new.iter().zip(&gates).filter(|(run, _)| made.contains_key(&run.id)).collect();
        let Plan { places, dropped, cancelled, .. } = match here.len() == new.len() {
            true => approach.plan.clone(),
            false => approach.again(&here),
        };
        let at = |run: &NewRun| made.get(&run.id).copied();
        let mut ready: Vec<Place> =
            here.iter().filter(|(run, _)| !run.gated && run.due.is_none()).filter_map(|(run, _)| at(run)).collect();
        let placed: Vec<_> = here
            .iter()
            .filter(|(run, _)| run.gated)
            .filter_map(|(run, gates)| {
                let place = places.get(&run.id).copied().unwrap_or_default();
                Some(super::gates::placed(run, gates, place, at(run)?))
            })
            .collect();
        if !placed.is_empty() {
            ready.extend(store::gates::settle(conn, access, &placed).await?);
        }
        let dropped = match dropped.is_empty() {
            true => BTreeSet::new(),
            false => store::gates::drop_parked(conn, access, &dropped).await?.into_iter().collect(),
        };
        if !cancelled.is_empty() {
            store::orders::add(conn, access, &cancelled).await?;
        }
        Ok(Enqueued {
            made: made.into_keys().collect(),
            refused: approach.plan.refused,
            dropped,
            ordered: !cancelled.is_empty(),
            places: firsts(ready),
        })
    }

    /// Returns how many more runs of the namespace may wait, `None` when there is no quota. Holds the lock of the quota of
    /// waiting runs until the end of the transaction, so that no two requests count the same room.
    pub(super) async fn queue_room<P: Enqueues>(
        &self,
        conn: &mut Conn,
        access: &Access<P>,
        ns_id: i32,
    ) -> Result<Option<QueueRoom>> {
        let rows = self.namespace_rows(false).await?;
        let Some(quotas) = rows.iter().find(|row| row.reference.id == ns_id).map(|row| row.quotas) else {
            return Ok(None);
        };
        let bytes = match quotas.max_bytes {
            Some(cap) => Some((store::namespaces::stored_bytes(conn, access, ns_id).await?, cap)),
            None => None,
        };
        let runs = match quotas.max_queued.map(i64::from) {
            Some(cap) => {
                store::lock_quota(conn, Quota::Queued, ns_id).await?;
                Some((store::queue::count_queued(conn, access, ns_id, cap + 1).await?, cap))
            }
            None => None,
        };
        Ok((bytes.is_some() || runs.is_some()).then_some(QueueRoom { runs, bytes }))
    }

    /// Refuses when the server has no room for more runs, or the namespace may not have this many more.
    pub(super) async fn check_room<P: Enqueues>(
        &self,
        conn: &mut Conn,
        access: &Access<P>,
        ns_id: i32,
        more: usize,
    ) -> Result<()> {
        self.check_storage()?;
        match self.queue_room(conn, access, ns_id).await? {
            Some(mut room) => room.take(more),
            None => Ok(()),
        }
    }

    /// Tells those who wait what became of new runs.
    pub(super) fn announce_enqueued(&self, enqueued: Enqueued) {
        self.announce(&enqueued.made, enqueued.places);
        self.0.wake.runs(enqueued.dropped);
        if enqueued.ordered {
            self.0.orders.notify_one();
        }
    }

    /// Tells those who wait that runs became ready.
    pub(super) fn announce(&self, runs: &[RunId], places: Vec<Place>) {
        self.announce_places(places);
        self.0.wake.runs(runs.iter().copied());
    }

    /// Tells claims, here and on other replicas, from where on lanes have runs now.
    pub(super) fn announce_places(&self, places: Vec<Place>) {
        if places.is_empty() {
            return;
        }
        self.0.placement.add(places.iter().copied());
        self.look_everywhere();
        self.0.wake.places(places);
    }
}

/// Returns the first place of each lane.
pub(super) fn firsts(places: impl IntoIterator<Item = Place>) -> Vec<Place> {
    let mut first: BTreeMap<i32, i64> = BTreeMap::new();
    for place in places {
        first.entry(place.lane).and_modify(|seq| *seq = place.seq.min(*seq)).or_insert(place.seq);
    }
    first.into_iter().map(|(lane, seq)| Place { lane, seq }).collect()
}

/// How many runs of a namespace wait and how many bytes of logs and artifacts it has stored, each with the most, where there
/// is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueRoom {
    runs: Option<(i64, i64)>,
    bytes: Option<(i64, i64)>,
}

impl QueueRoom {
    /// Takes room for more runs, or refuses.
    pub(super) fn take(&mut self, more: usize) -> Result<()> {
        let refuse = |sentence, after| {
            let error = Error::new(ErrorCode::QuotaExceeded, sentence);
            Err(error.with_retry_after(std::time::Duration::from_secs(after)))
        };
        if let Some((stored, cap)) = self.bytes
            && stored >= cap
        {
            let sentence =
                format!("the namespace has {stored} bytes of logs and artifacts stored of at most {cap} (max_bytes)");
            return refuse(sentence, 60);
        }
        if let Some((queued, cap)) = &mut self.runs {
            if *queued + more as i64 > *cap {
                let sentence =
                    format!("the namespace has {queued} waiting runs of at most {cap}; {more} more do not fit");
                return refuse(sentence, 10);
            }
            *queued += more as i64;
        }
        Ok(())
    }
}
