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

/// How many bytes of configurations are remembered, by their length as text.
const MOST_BYTES: usize = 32 << 20;

/// The configurations that are known, by their keys.
#[derive(Debug, Default)]
pub(super) struct KnownConfigs(Mutex<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    configs: HashMap<i64, Arc<ConfigBody>>,
    bytes: usize,
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
        let shelf = self.shelf();
        ids.filter_map(|id| Some((id, shelf.configs.get(&id)?.clone()))).collect()
    }

    /// Remembers one; what was known before is forgotten when it would be too much.
    fn add(&self, id: i64, config: Arc<ConfigBody>, bytes: usize) {
        let mut shelf = self.shelf();
        if shelf.bytes + bytes > MOST_BYTES {
            *shelf = Shelf::default();
        }
        if shelf.configs.insert(id, config).is_none() {
            shelf.bytes += bytes;
        }
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
        from: &Candidates,
        claimed: Vec<Claimed>,
    ) -> Result<Vec<Handed>> {
        let wanted: HashSet<i64> = claimed.iter().map(|one| one.config_id).collect();
        let mut known = self.0.configs.find(wanted.iter().copied());
        let missing: Vec<i64> = wanted.into_iter().filter(|id| !known.contains_key(id)).collect();
        if !missing.is_empty() {
            let mut conn = self.0.pools.claim.acquire().await?;
            for (id, config, bytes) in store::claims::configs(&mut conn, access, &missing).await? {
                let config = Arc::new(config);
                self.0.configs.add(id, config.clone(), bytes);
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
        known.add(1, config("a"), 10);
        known.add(1, config("a"), 10);
        assert_eq!(known.shelf().bytes, 10, "it is there once");
        assert_eq!(known.find([1, 2].into_iter()).into_keys().collect::<Vec<_>>(), [1]);
        known.add(2, config("b"), MOST_BYTES - 10);
        assert_eq!(known.find([1, 2].into_iter()).len(), 2);
        known.add(3, config("c"), 1);
        assert_eq!(known.find([1, 2, 3].into_iter()).into_keys().collect::<Vec<_>>(), [3]);
        assert_eq!(known.shelf().bytes, 1);
    }
}
