//! Cases that are not to be run: named to the containers of their tests.
//!
//! A claim asks the database for nothing more than it did: what is to be skipped is read every few seconds, for all tests at
//! once, and put into what a runner is told. So an entry takes effect, and ends, up to [`EVERY`] late. A case that should have
//! been skipped and is run all the same counts like any other.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tstr_shared::lease::LeasedRun;
use tstr_shared::results::{NamedCase, SKIP_CASES, name_first};

use super::Ops;
use crate::auth::access::{Access, System};
use crate::error::Result;
use crate::store;

/// How often it is read what is to be skipped.
pub const EVERY: Duration = Duration::from_secs(5);

/// By namespace and test, what its containers are told.
type Texts = HashMap<String, HashMap<String, String>>;

/// The tests that have cases to be skipped, as they were read last.
#[derive(Debug, Default)]
pub(super) struct KnownSkips(RwLock<Arc<Texts>>);

impl KnownSkips {
    fn set(&self, texts: Texts) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(texts);
    }

    /// Adds to runs what they are not to execute.
    pub(super) fn name_in(&self, runs: &mut [LeasedRun]) {
        let texts = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if texts.is_empty() {
            return;
        }
        for run in runs {
            let of_test = texts.get(run.namespace.as_str()).and_then(|tests| tests.get(&run.test_name));
            if let Some(text) = of_test {
                run.run_config.env.0.insert(SKIP_CASES.to_owned(), text.clone());
            }
        }
    }
}

impl Ops {
    /// Reads what is to be skipped now.
    pub async fn refresh_skips(&self, access: &Access<System>) -> Result<()> {
        let mut conn = self.db().acquire().await?;
        let skips = store::quarantine::skips(&mut conn, access).await?;
        let mut texts = Texts::new();
        for one in skips.chunk_by(|a, b| (&a.namespace, &a.test_name) == (&b.namespace, &b.test_name)) {
            let cases: Vec<NamedCase> = one.iter().map(|skip| skip.case.clone()).collect();
            if let Some(first) = one.first() {
                let (text, named) = name_first(&cases);
                if named < cases.len() {
                    tracing::debug!(test = first.test_name, "of {} cases to be skipped {named} are named", cases.len());
                }
                texts.entry(first.namespace.clone()).or_default().insert(first.test_name.clone(), text);
            }
        }
        self.0.skips.set(texts);
        Ok(())
    }
}
