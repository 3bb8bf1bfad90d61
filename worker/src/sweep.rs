//! After a crash: a worker adopts nothing that it left behind. It removes its containers, then gives back their
//! leases.
//!
//! In this order, for the run may start elsewhere as soon as its lease is given back.

use std::path::Path;

use anyhow::Context;
use tracing::{info, warn};
use tstr_shared::ids::RunnerId;
use tstr_shared::run::Reason;

use crate::control::{ControlPlane, Release};
use crate::engine::Engine;
use crate::run::{Leftover, empty_seal};

/// Removes every container and volume that a worker of this id made.
///
/// # Errors
///
/// Fails when one cannot be removed: it might still execute a run that others hold by now.
pub(crate) async fn remove_containers(engine: &dyn Engine, worker: RunnerId) -> anyhow::Result<()> {
    let names = engine.made_by(worker).await.context("cannot look for containers of an earlier run of this worker")?;
    for name in &names {
        warn!(container = name, "{name} was left behind by an earlier run of this worker: removing it");
        engine.remove(name).await.with_context(|| format!("cannot remove {name}, left behind by an earlier run"))?;
    }
    Ok(())
}

/// Gives back the leases whose spools were left behind; their containers are gone.
pub(crate) async fn give_back_leases(control: &dyn ControlPlane, spool_dir: &Path) -> anyhow::Result<()> {
    let leftovers = Leftover::find(spool_dir).with_context(|| format!("cannot read {}", spool_dir.display()))?;
    for left in leftovers {
        let run = left.fence.run_id;
        let mut seal = empty_seal();
        seal.incomplete = true;
        let release = Release {
            reason: left.may_have_run.then_some(Reason::WorkerCrash),
            message: "the worker crashed and was started again".into(),
            seal,
        };
        match control.release(left.fence, &release).await {
            Ok(()) => info!(run.id = %run, "run {run} was left behind by an earlier run of this worker: given back"),
            Err(error) => info!(run.id = %run, error = %error, "run {run}, left behind earlier, is not ours any more"),
        }
        if let Err(error) = std::fs::remove_file(&left.path) {
            warn!(path = %left.path.display(), error = %error, "cannot remove {}: {error}", left.path.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tstr_shared::ids::{LeaseId, RunId};
    use tstr_shared::lease::Fence;
    use uuid::Uuid;

    use super::*;
    use crate::control::fake::FakeControl;
    use crate::engine::fake::FakeEngine;

    #[tokio::test]
    async fn only_containers_of_this_worker_are_removed() {
        let (mine, other) = (RunnerId(Uuid::now_v7()), RunnerId(Uuid::now_v7()));
        let engine = FakeEngine::new();
        engine.leave_behind("tstr-a-1", mine);
        engine.leave_behind("tstr-b-1", other);
        remove_containers(&engine, mine).await.unwrap();
        assert_eq!(engine.containers(), ["tstr-b-1"]);
    }

    #[tokio::test]
    async fn a_crashed_attempt_is_given_back_as_what_it_was() {
        let (dir, control) = (tempfile::tempdir().unwrap(), Arc::new(FakeControl::new()));
        let fence = |attempt| Fence { run_id: RunId(Uuid::now_v7()), attempt, lease_id: LeaseId(Uuid::new_v4()) };
        let (leased, running) = (fence(1), fence(2));
        for (fence, word) in [(leased, "leased"), (running, "running")] {
            let name = format!("{}.{}.{}.{word}", fence.run_id, fence.attempt, fence.lease_id);
            std::fs::write(dir.path().join(name), "half a chunk").unwrap();
        }
        give_back_leases(control.as_ref(), dir.path()).await.unwrap();
        assert_eq!(control.released(leased).unwrap().reason, None);
        assert_eq!(control.released(running).unwrap().reason, Some(Reason::WorkerCrash));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
