//! From a test to runs in the queue: the road that triggers, retries and the schedule share.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::{MatrixId, RunId, TestId};
use tstr_shared::labels::Labels;
use tstr_shared::run::Trigger;
use tstr_shared::testdef::{NewTestDef, Priority};

use super::Ops;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store::queue::{ConfigBody, Enqueues, NewConfig, NewRun, Place};
use crate::store::{self, Conn, Quota};

/// A run before its class and configuration are interned.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub id: RunId,
    pub ns_id: i32,
    pub test_id: TestId,
    pub matrix_id: MatrixId,
    pub labels: Labels,
    pub body: ConfigBody,
    pub priority: Priority,
    pub queue_secs: i32,
    pub trigger: Trigger,
    pub scheduled_at: DateTime<Utc>,
    pub due: Option<DateTime<Utc>>,
}

/// Returns what a cell of a test executes.
pub(super) fn config_of(def: &NewTestDef, cell: &Labels) -> ConfigBody {
    ConfigBody {
        test_name: def.name.clone(),
        cell: cell.clone(),
        annotations: def.annotations.clone(),
        run_config: def.run_config.clone(),
        retry: def.retry,
        at_most_once: def.at_most_once,
        log_limit: def.limits.log.0,
    }
}

impl Ops {
    /// Interns what the runs share and puts them into the queue; returns those that are new, and the first place in each
    /// lane of those that can be claimed now.
    pub(super) async fn enqueue<P: Enqueues>(
        &self,
        conn: &mut Conn,
        access: &Access<P>,
        planned: Vec<Planned>,
    ) -> Result<(Vec<RunId>, Vec<Place>)> {
        if planned.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let mut classes = BTreeMap::new();
        let mut configs = Vec::with_capacity(planned.len());
        for run in &planned {
            classes.insert((run.ns_id, run.labels.hash16()), run.labels.clone());
            let text = serde_json::to_vec(&run.body).map_err(Error::internal)?;
            configs.push(NewConfig { hash: Sha256::digest(&text).to_vec(), body: run.body.clone() });
        }
        let class_ids = store::queue::intern_classes(conn, access, &classes).await?;
        let config_ids = store::queue::intern_configs(conn, access, &configs).await?;
        let missing = || Error::internal(anyhow::anyhow!("an interned row is missing"));
        let mut runs = Vec::with_capacity(planned.len());
        for (run, config) in planned.into_iter().zip(configs) {
            let class_id = *class_ids.get(&(run.ns_id, run.labels.hash16())).ok_or_else(missing)?;
            runs.push(NewRun {
                id: run.id,
                ns_id: run.ns_id,
                test_id: run.test_id,
                matrix_id: run.matrix_id,
                class_id,
                config_id: *config_ids.get(&config.hash).ok_or_else(missing)?,
                priority: run.priority,
                queue_secs: run.queue_secs,
                trigger: run.trigger,
                scheduled_at: run.scheduled_at,
                due: run.due,
            });
        }
        let made = store::queue::enqueue(conn, access, &runs).await?;
        let delayed: HashSet<RunId> = runs.iter().filter(|run| run.due.is_some()).map(|run| run.id).collect();
        let ready = made.iter().filter(|run| !delayed.contains(&run.id)).map(|run| run.place);
        Ok((made.iter().map(|run| run.id).collect(), firsts(ready)))
    }

    /// Refuses when the namespace may not have this many more waiting runs. Holds the quota's lock until the end of the
    /// transaction, so that no two requests count the same room.
    pub(super) async fn check_queue_quota<P: Enqueues>(
        &self,
        conn: &mut Conn,
        access: &Access<P>,
        ns_id: i32,
        more: usize,
    ) -> Result<()> {
        let rows = self.namespace_rows(false).await?;
        let Some(cap) = rows.iter().find(|row| row.reference.id == ns_id).and_then(|row| row.quotas.max_queued) else {
            return Ok(());
        };
        store::lock_quota(conn, Quota::Queued, ns_id).await?;
        let queued = store::queue::count_queued(conn, access, ns_id, i64::from(cap) + 1).await?;
        if queued + more as i64 > i64::from(cap) {
            let sentence = format!("the namespace has {queued} waiting runs of at most {cap}; {more} more do not fit");
            return Err(
                Error::new(ErrorCode::QuotaExceeded, sentence).with_retry_after(std::time::Duration::from_secs(10))
            );
        }
        Ok(())
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
