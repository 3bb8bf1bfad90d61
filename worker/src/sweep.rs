//! After a crash: a worker adopts nothing that it left behind. It removes its containers, then hands over what it has
//! of their logs, and gives back their leases.
//!
//! In this order, for the run may start elsewhere as soon as its lease is given back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use tokio::time::Instant;
use tracing::{info, warn};
use tstr_shared::ids::RunnerId;
use tstr_shared::logs::LogSeal;
use tstr_shared::run::Reason;

use crate::control::{ControlError, ControlPlane, Release};
use crate::engine::Engine;
use crate::run::{Leftover, Uploader, empty_seal};

/// How long the log of an attempt may take: somebody waits to repeat it.
const HANDOVER: Duration = Duration::from_secs(20);
/// How long the engine is asked to remove what was left behind: the guard of the killed worker may be about it as well, and
/// a container whose making was broken off is not to be had at once.
const REMOVAL: Duration = Duration::from_secs(30);
/// How soon it is asked again.
const REMOVE_AGAIN: Duration = Duration::from_secs(1);
/// How many are handed over at the same time.
const AT_ONCE: usize = 8;

/// Removes every container and volume that a worker of this id made.
///
/// # Errors
///
/// Fails when one cannot be removed for half a minute: it might still execute a run that others hold by now.
pub(crate) async fn remove_containers(engine: &dyn Engine, worker: RunnerId) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let names =
            engine.made_by(worker).await.context("cannot look for containers of an earlier run of this worker")?;
        let mut failure = None;
        for name in &names {
            warn!(container = name, "{name} was left behind by an earlier run of this worker: removing it");
            if let Err(error) = engine.remove(name).await {
                failure = Some((name, error));
            }
        }
        match failure {
            None => return Ok(()),
            Some((name, error)) if began.elapsed() >= REMOVAL => {
                let what = format!("cannot remove {name}, left behind by an earlier run");
                return Err(anyhow::Error::from(error).context(what));
            }
            Some((name, error)) => warn!(container = name, error = %error, "{name} is not removed yet: {error}"),
        }
        tokio::time::sleep(REMOVE_AGAIN).await;
    }
}

/// Gives back the leases whose spools were left behind; their containers are gone. Returns how many may have been
/// running.
pub(crate) async fn give_back_leases(control: &Arc<dyn ControlPlane>, spool_dir: &Path) -> anyhow::Result<u32> {
    let leftovers = Leftover::find(spool_dir).with_context(|| format!("cannot read {}", spool_dir.display()))?;
    let crashed = leftovers.iter().filter(|left| left.may_have_run).count();
    let all = futures_util::stream::iter(&leftovers);
    all.for_each_concurrent(AT_ONCE, |left| give_back(control, left)).await;
    Ok(u32::try_from(crashed).unwrap_or(u32::MAX))
}

async fn give_back(control: &Arc<dyn ControlPlane>, left: &Leftover) {
    let run = left.fence.run_id;
    let seal = match tokio::time::timeout(HANDOVER, hand_over_log(control, left)).await {
        Ok(Ok(seal)) => Ok(seal),
        Ok(Err(error @ (ControlError::LeaseLost(_) | ControlError::Unauthenticated(_)))) => Err(error),
        Ok(Err(error)) => {
            warn!(run.id = %run, error = %error, "the log of run {run} could not be handed over after the crash: {error}");
            Ok(LogSeal { incomplete: true, ..empty_seal() })
        }
        Err(_) => {
            warn!(run.id = %run, "the log of run {run} could not be handed over in time after the crash");
            Ok(LogSeal { incomplete: true, ..empty_seal() })
        }
    };
    let released = match seal {
        Ok(seal) => {
            let reason = left.may_have_run.then_some(Reason::WorkerCrash);
            let message = "the worker crashed and was started again".to_owned();
            control.release(left.fence, &Release { reason, message, seal }).await
        }
        Err(error) => Err(error),
    };
    match released {
        Ok(()) => info!(run.id = %run, "run {run} was left behind by an earlier run of this worker: given back"),
        Err(error) => info!(run.id = %run, error = %error, "run {run}, left behind earlier, is not ours any more"),
    }
    if let Err(error) = std::fs::remove_file(&left.path) {
        warn!(path = %left.path.display(), error = %error, "cannot remove {}: {error}", left.path.display());
    }
}

/// Sends what the server does not have yet of a log; returns what is to be said about the whole of it.
async fn hand_over_log(control: &Arc<dyn ControlPlane>, left: &Leftover) -> Result<LogSeal, ControlError> {
    let path = left.path.display();
    let opened = tokio::task::spawn_blocking({
        let left = left.clone();
        move || left.open()
    });
    let broken = |why: &dyn std::fmt::Display| ControlError::Refused { code: None, message: format!("{path}: {why}") };
    let (reader, seal) = opened.await.map_err(|fault| broken(&fault))?.map_err(|error| broken(&error))?;
    // Nothing is sent with this: it asks how far the server has it.
    let stored = control.append_logs(left.fence, &[]).await?;
    let mut uploader = Uploader::new(Arc::clone(control), left.fence, reader);
    uploader.go_to(stored).await;
    uploader.send_all().await?;
    Ok(seal)
}

#[cfg(test)]
mod tests {
    use tstr_shared::ids::{LeaseId, RunId};
    use tstr_shared::lease::Fence;
    use tstr_shared::logs::Stream;
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

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_removed_at_once_is_removed_later_and_not_left_for_ever() {
        let mine = RunnerId(Uuid::now_v7());
        let engine = FakeEngine::new();
        engine.leave_behind("tstr-a-1", mine);
        engine.refuse_removals(20);
        remove_containers(&engine, mine).await.unwrap();
        assert!(engine.containers().is_empty());
        engine.leave_behind("tstr-b-1", mine);
        engine.refuse_removals(100);
        let error = remove_containers(&engine, mine).await.unwrap_err();
        assert!(format!("{error:#}").contains("cannot remove tstr-b-1"), "{error:#}");
    }

    #[tokio::test]
    async fn a_crashed_attempt_is_given_back_as_what_it_was() {
        let (dir, fake) = (tempfile::tempdir().unwrap(), Arc::new(FakeControl::new()));
        let control: Arc<dyn ControlPlane> = fake.clone();
        let fence = |attempt| Fence { run_id: RunId(Uuid::now_v7()), attempt, lease_id: LeaseId(Uuid::new_v4()) };
        let (leased, running) = (fence(1), fence(2));
        for (fence, word) in [(leased, "leased"), (running, "running")] {
            let name = format!("{}.{}.{}.{word}", fence.run_id, fence.attempt, fence.lease_id);
            std::fs::write(dir.path().join(name), "half a chunk").unwrap();
        }
        assert_eq!(give_back_leases(&control, dir.path()).await.unwrap(), 1);
        assert_eq!(fake.released(leased).unwrap().reason, None);
        assert_eq!(fake.released(running).unwrap().reason, Some(Reason::WorkerCrash));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    /// A spool as a worker leaves it: three chunks, and a part of a fourth.
    fn spool(dir: &Path, fence: Fence) {
        let mut bytes = Vec::new();
        for text in ["one\n", "two\n", "three\n", "four\n"] {
            bytes.push(Stream::Stdout as u8);
            bytes.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
            bytes.extend_from_slice(&0i64.to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.pop();
        let name = format!("{}.{}.{}.running", fence.run_id, fence.attempt, fence.lease_id);
        std::fs::write(dir.join(name), bytes).unwrap();
    }

    #[tokio::test]
    async fn the_rest_of_a_log_is_handed_over_before_its_lease_is_given_back() {
        let (dir, fake) = (tempfile::tempdir().unwrap(), Arc::new(FakeControl::new()));
        let control: Arc<dyn ControlPlane> = fake.clone();
        let fence = Fence { run_id: RunId(Uuid::now_v7()), attempt: 1, lease_id: LeaseId(Uuid::new_v4()) };
        spool(dir.path(), fence);
        // The server has the first chunk already.
        let first = Leftover::find(dir.path()).unwrap().remove(0).open().unwrap().0.next(1).await.unwrap();
        fake.append_logs(fence, &first).await.unwrap();
        give_back_leases(&control, dir.path()).await.unwrap();
        assert_eq!(fake.log(fence, Stream::Stdout), b"one\ntwo\nthree\n");
        let release = fake.released(fence).unwrap();
        assert_eq!((release.seal.stdout.bytes, release.seal.incomplete), (14, true));
    }

    #[tokio::test]
    async fn a_lost_lease_costs_the_spool() {
        let (dir, fake) = (tempfile::tempdir().unwrap(), Arc::new(FakeControl::new()));
        let control: Arc<dyn ControlPlane> = fake.clone();
        let fence = Fence { run_id: RunId(Uuid::now_v7()), attempt: 1, lease_id: LeaseId(Uuid::new_v4()) };
        spool(dir.path(), fence);
        fake.take_lease_away(fence);
        give_back_leases(&control, dir.path()).await.unwrap();
        assert!(fake.released(fence).is_none() && fake.log(fence, Stream::Stdout).is_empty());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
