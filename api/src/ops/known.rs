//! Runners that a replica has heard of: who they are, without asking the database each time.
//!
//! What is kept here may be out of date. So it only decides where a claim waits; the statements that give, start and
//! end leases look at the runner's row themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tstr_shared::ids::{RunnerId, TokenId};
use tstr_shared::permission::RunsExecute;

use super::Ops;
use super::placement::Signature;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store;

/// How long what is known of a runner is trusted.
const FRESH: Duration = Duration::from_secs(60);
/// How many runners are kept in mind.
const MAX_KNOWN: usize = 100_000;

/// A runner, as it registered.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// The token that it registered with.
    pub token: Option<TokenId>,
    /// When it registered.
    pub registered_at: DateTime<Utc>,
    /// What it takes.
    pub signature: Arc<Signature>,
    read_at: Instant,
}

/// The runners that are known.
#[derive(Debug, Default)]
pub(super) struct KnownRunners(Mutex<HashMap<RunnerId, Known>>);

impl KnownRunners {
    fn map(&self) -> MutexGuard<'_, HashMap<RunnerId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that what is known of a runner is as it registered last; else it is forgotten.
    pub(super) fn confirm(&self, id: RunnerId, token: TokenId, registered_at: DateTime<Utc>) {
        let mut map = self.map();
        match map.get_mut(&id) {
            Some(known) if known.registered_at == registered_at && known.token == Some(token) => {
                known.read_at = Instant::now();
            }
            Some(_) => {
                map.remove(&id);
            }
            None => {}
        }
    }

    /// Forgets a runner; the next call asks the database.
    pub(super) fn forget(&self, id: RunnerId) {
        self.map().remove(&id);
    }

    /// Forgets the runners that nothing was read of for so long; they are asked for again when they come back.
    pub(super) fn forget_idle(&self, since: Duration) {
        self.map().retain(|_, one| one.read_at.elapsed() < since);
    }

    /// Returns how many are known.
    pub(super) fn count(&self) -> usize {
        self.map().len()
    }
}

impl Ops {
    /// Returns a runner that belongs to the caller's token.
    pub(super) async fn own_runner(&self, access: &Access<RunsExecute>, id: RunnerId) -> Result<Known> {
        let known = self.0.runners.map().get(&id).cloned();
        if let Some(known) = known
            && known.token == access.token_id()
            && known.read_at.elapsed() < FRESH
        {
            return Ok(known);
        }
        let read = {
            let mut conn = self.0.pools.claim.acquire().await?;
            store::runners::selectors(&mut conn, access, id).await?
        };
        let read = read.ok_or_else(|| Error::not_found("runner"))?;
        let signature = self.0.placement.signature(&read)?;
        let (token, registered_at) = (access.token_id(), read.registered_at);
        let known = Known { token, registered_at, signature, read_at: Instant::now() };
        let mut map = self.0.runners.map();
        if map.len() >= MAX_KNOWN {
            map.retain(|_, one| one.read_at.elapsed() < FRESH);
        }
        map.insert(id, known.clone());
        Ok(known)
    }
}
