//! What claimed runs execute: configurations never change, so a replica reads each of them once, as long as the database
//! is on the same timeline.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::anyhow;
use tstr_shared::ids::RunnerId;
use tstr_shared::lease::LeasedRun;
use tstr_shared::permission::RunsExecute;
use uuid::Uuid;

use super::Ops;
use super::placement::Candidates;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store;
use crate::store::claims::Claimed;
use crate::store::queue::ConfigBody;

/// How many bytes of configurations a generation has, by their length as text; in memory they take two or three times as
/// much.
const GENERATION: usize = 8 << 20;

/// The configurations that are known, by their keys.
#[derive(Debug, Default)]
pub(super) struct KnownConfigs(Mutex<Shelf>);

/// What was used since the last change of generations, and what only before.
#[derive(Debug, Default)]
struct Shelf {
    young: HashMap<i64, Known>,
    old: HashMap<i64, Known>,
    /// Of the young.
    bytes: usize,
}

type Known = (Arc<ConfigBody>, usize);

impl Shelf {
    fn find(&mut self, id: i64) -> Option<Arc<ConfigBody>> {
        if let Some((config, _)) = self.young.get(&id) {
            return Some(config.clone());
        }
        let (config, bytes) = self.old.remove(&id)?;
        self.add(id, (config.clone(), bytes));
        Some(config)
    }

    fn add(&mut self, id: i64, known: Known) {
        if self.bytes + known.1 > GENERATION {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        let bytes = known.1;
        if self.young.insert(id, known).is_none() {
            self.bytes += bytes;
        }
    }
}

impl KnownConfigs {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets all of them: their keys may belong to others now.
    pub(super) fn forget_all(&self) {
        *self.shelf() = Shelf::default();
    }

    /// Returns those of the configurations that are known.
    fn find(&self, ids: impl Iterator<Item = i64>) -> HashMap<i64, Arc<ConfigBody>> {
        let mut shelf = self.shelf();
        ids.filter_map(|id| Some((id, shelf.find(id)?))).collect()
    }

    /// Remembers one; what was used longest ago is forgotten when it would be too much.
    fn add(&self, id: i64, config: Arc<ConfigBody>, bytes: usize) {
        self.shelf().add(id, (config, bytes));
    }
}

/// A claimed run, as its runner is told of it.
pub(super) struct Handed {
    /// The run.
    pub run: LeasedRun,
    /// Who has it.
    pub runner: RunnerId,
    /// The claim that it was given to.
    pub claim_id: Uuid,
}

impl Ops {
    /// Puts together what runners are told of the runs that a claim gave them.
    ///
    /// When it fails, the runs are leased all the same: a claim that is repeated finds them.
    pub(super) async fn hand_out(
        &self,
        access: &Access<RunsExecute>,
        timeline: &str,
        from: &Candidates,
        claimed: Vec<Claimed>,
    ) -> Result<Vec<Handed>> {
        let wanted: HashSet<i64> = claimed.iter().map(|one| one.config_id).collect();
        let mut known = self.0.configs.find(wanted.iter().copied());
        let missing: Vec<i64> = wanted.into_iter().filter(|id| !known.contains_key(id)).collect();
        if !missing.is_empty() {
            let read = match self.read_configs(access, &missing).await {
                Ok(read) => read,
                // The runs are leased already: it is worth another try.
                Err(_) => self.read_configs(access, &missing).await?,
            };
            for (id, config, bytes) in read {
                let config = Arc::new(config);
                self.remember(timeline, || self.0.configs.add(id, config.clone(), bytes));
                known.insert(id, config);
            }
        }
        let handed = claimed.into_iter().map(|one| {
            let config = known.get(&one.config_id).zip(from.class_of(one.lane));
            let (config, class) = config.ok_or_else(|| {
                Error::internal(anyhow!("the run {} has no configuration, or no class", one.fence.run_id))
            })?;
            let config = ConfigBody::clone(config);
            let run = store::claims::leased(one.fence, one.ttl, &class.namespace, class.labels.clone(), config)?;
            Ok(Handed { run, runner: one.runner, claim_id: one.claim_id })
        });
        handed.collect()
    }

    async fn read_configs(&self, access: &Access<RunsExecute>, ids: &[i64]) -> Result<Vec<(i64, ConfigBody, usize)>> {
        let mut conn = self.0.pools.claim.acquire().await?;
        store::claims::configs(&mut conn, access, ids).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str) -> Arc<ConfigBody> {
        let body = serde_json::json!({
            "test_name": name, "cell": {}, "annotations": {}, "run_config": {"container_image": "a"},
            "retry": {}, "at_most_once": false, "log_limit": 1
        });
        Arc::new(serde_json::from_value(body).unwrap())
    }

    #[test]
    fn what_is_known_is_found_and_the_memory_is_bounded() {
        let known = KnownConfigs::default();
        let found = |ids: &[i64]| {
            let mut found: Vec<i64> = known.find(ids.iter().copied()).into_keys().collect();
            found.sort_unstable();
            found
        };
        known.add(1, config("a"), 10);
        known.add(1, config("a"), 10);
        assert_eq!(known.shelf().bytes, 10, "it is there once");
        assert_eq!(found(&[1, 2]), [1]);
        known.add(2, config("b"), GENERATION - 10);
        assert_eq!(found(&[1, 2]), [1, 2]);
        known.add(3, config("c"), 20);
        assert_eq!(found(&[1, 3]), [1, 3], "a generation ago they were used");
        assert_eq!(known.shelf().bytes, 30);
        known.add(4, config("d"), GENERATION - 30);
        known.add(5, config("e"), 1);
        assert_eq!(found(&[1, 2, 3, 4, 5]), [1, 3, 4, 5], "the second was not used any more");
        known.forget_all();
        assert!(found(&[1, 2, 3, 4, 5]).is_empty());
    }
}
