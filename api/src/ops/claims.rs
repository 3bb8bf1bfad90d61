//! What a worker asks: claim runs, start them, keep their leases, and end them.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use tokio::time::Instant;
use tstr_shared::error::{ErrorCode, Invalid};
use tstr_shared::ids::{RunId, RunnerId};
use tstr_shared::lease::{Fence, LeasedRun};
use tstr_shared::logs::{LogOffsets, LogSeal};
use tstr_shared::permission::RunsExecute;
use tstr_shared::run::{Outcome, Reason, RunResult};
use uuid::Uuid;

use super::Ops;
use super::combine::together_or_alone;
use super::enqueue::firsts;
use super::own_lease;
use super::seals;
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store;
use crate::store::claims::{Asker, OwnLease};
use crate::store::ends::{Close, Closed, Kind};
use crate::store::queue::Place;

/// A worker's wish for runs.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// The runner.
    pub runner_id: RunnerId,
    /// How many runs at most.
    pub max: u16,
    /// How long to wait when there is none.
    pub wait: Duration,
    /// Names the wish; a repeat with the same name gets what the first try was given.
    pub claim_id: Uuid,
    /// Give only what the first try was given, and nothing new.
    pub only_repeat: bool,
    /// This is the first try: nothing needs to be looked for that an earlier one was given.
    pub first: bool,
}

/// Why a lease is given back.
#[derive(Debug, Clone, Default)]
pub struct Release {
    /// Absent: the container was not started. Else what the infrastructure did to it.
    pub reason: Option<Reason>,
    /// A sentence for people.
    pub message: Option<String>,
    /// What is known of the log.
    pub seal: LogSeal,
}

/// The longest wait of a claim.
pub const MAX_CLAIM_WAIT: Duration = Duration::from_secs(30);
impl Ops {
    /// Gives up to `max` runs to a runner; waits when there is none.
    pub async fn claim(&self, caller: &Caller, req: Claim) -> Result<Vec<LeasedRun>> {
        let access = self.reach::<RunsExecute>(caller).await?;
        if !(1..=1024).contains(&req.max) {
            return Err(Invalid::one("/max", format!("{} is not from 1 to 1024", req.max)).into());
        }
        self.still_holds(caller)?;
        let deadline = Instant::now() + req.wait.min(MAX_CLAIM_WAIT);
        let known = self.own_runner(&access, req.runner_id).await?;
        self.saw_runner(req.runner_id);
        let asker = Asker {
            runner: req.runner_id,
            token: caller.token_id(),
            registered_at: known.registered_at,
            claim_id: req.claim_id,
            want: usize::from(req.max),
            actor: access.actor().to_owned(),
        };
        let mut seat = self.wait_at_desk(caller, access, &known.signature, asker, req.first);
        if !req.first {
            // Before all else: what an earlier try was given. One that is just being served tells the seat.
            let access = self.reach::<RunsExecute>(caller).await?;
            let mut conn = self.0.pools.claim.acquire().await?;
            let mut held = store::claims::held_by_claim(&mut conn, &access, req.runner_id, req.claim_id).await?;
            self.0.skips.name_in(&mut held);
            if !held.is_empty() || req.only_repeat {
                return Ok(held);
            }
            drop(conn);
            self.look_for(&seat);
        }
        let answer = tokio::select! {
            biased;
            answer = &mut seat.answer => answer,
            _ = self.0.closing.run_until_cancelled(tokio::time::sleep_until(deadline)) => {
                self.wait_no_longer(&seat);
                (&mut seat.answer).await
            }
        };
        let mut runs = answer.map_err(|_| Error::unavailable(anyhow::anyhow!("a desk was given up")))??;
        self.0.skips.name_in(&mut runs);
        self.0.ends.begin(&runs);
        Ok(runs)
    }

    pub(super) fn saw_runner(&self, id: RunnerId) {
        if let Ok(mut seen) = self.0.seen.lock() {
            seen.runners.insert(id);
        }
    }

    /// Permits the start of a run's container. The answer is the permission; repeated, it is the same.
    pub async fn start_run(&self, caller: &Caller, runner: RunnerId, fence: Fence) -> Result<DateTime<Utc>> {
        let access = self.reach::<RunsExecute>(caller).await?;
        self.own_runner(&access, runner).await?;
        let lease = own_lease(caller, &access, runner, fence);
        let (ops, combiner) = (self.clone(), self.0.starts.of(access.namespaces()));
        combiner.call((access, lease), move |batch| ops.clone().start_batch(batch)).await
    }

    async fn start_batch(self, batch: Vec<(Access<RunsExecute>, OwnLease)>) -> Vec<Result<DateTime<Utc>>> {
        let Some((access, _)) = batch.first() else { return Vec::new() };
        let leases: Vec<OwnLease> = batch.iter().map(|(_, lease)| lease.clone()).collect();
        let started = async {
            let mut conn = self.0.pools.claim.acquire().await?;
            store::claims::start(&mut conn, access, &leases).await
        };
        match started.await {
            Ok(started) => {
                self.0.wake.runs(started.keys().map(|fence| fence.run_id));
                leases.iter().map(|lease| started.get(&lease.fence).copied().ok_or_else(Error::lease_lost)).collect()
            }
            Err(error) => error.to_each(leases.len()),
        }
    }

    /// Records the outcome of an attempt, once. Answers where the log must go on when bytes of it are missing.
    pub async fn finish_run(
        &self,
        caller: &Caller,
        runner: RunnerId,
        fence: Fence,
        outcome: Outcome,
        seal: LogSeal,
    ) -> Result<Option<LogOffsets>> {
        let access = self.reach::<RunsExecute>(caller).await?;
        check_outcome(&outcome)?;
        seals::check(&seal)?;
        self.own_runner(&access, runner).await?;
        if contradicts(&outcome) {
            let mut conn = self.db().acquire().await?;
            if !store::reports::is_ruled(&mut conn, &access, fence, outcome.result).await? {
                let sentence = "without reports that say otherwise a pass has exit code 0, and a fail another";
                return Err(Invalid::one("/outcome/exit_code", sentence).into());
            }
        }
        self.0.ends.take(fence);
        let lease = own_lease(caller, &access, runner, fence);
        let (ops, combiner) = (self.clone(), self.0.finishes.of(access.namespaces()));
        combiner.call(Report { access, lease, outcome, seal }, move |batch| ops.clone().finish_batch(batch)).await
    }

    async fn finish_batch(self, batch: Vec<Report>) -> Vec<Result<Option<LogOffsets>>> {
        together_or_alone(&batch, |part| self.try_finish_batch(part).boxed()).await
    }

    /// Ends the leases of all reports in one transaction.
    async fn try_finish_batch(&self, batch: &[Report]) -> Result<Vec<Result<Option<LogOffsets>>>> {
        let Some(access) = batch.first().map(|report| &report.access) else { return Ok(Vec::new()) };
        let leases: Vec<OwnLease> = batch.iter().map(|report| report.lease.clone()).collect();
        let mut tx = self.db().begin().await?;
        let ends = store::logs::hold_ends(&mut tx, access, &leases).await?;
        let mut closes = Vec::with_capacity(batch.len());
        let mut asked = HashSet::new();
        let mut answers = Vec::with_capacity(batch.len());
        for report in batch {
            let fence = report.lease.fence;
            answers.push(match ends.get(&fence) {
                Some(end) if !report.seal.incomplete && seals::is_short(&report.seal, end) => {
                    Some(Ok(Some(end.offsets)))
                }
                // The same report twice in one batch: the second is answered like one that comes later.
                Some(end) if asked.insert(fence) => {
                    let close = Close::new(fence, Kind::Outcome).asked_by(&report.lease);
                    closes.push(seals::sealed(close.with_outcome(report.outcome.clone()), fence, &report.seal, end));
                    None
                }
                Some(_) | None => None,
            });
        }
        let closed = match closes.is_empty() {
            true => Vec::new(),
            false => store::ends::close(&mut tx, access, &closes).await?,
        };
        let done: HashSet<RunId> = closed.iter().map(|one| one.run_id).collect();
        let mut results = Vec::with_capacity(batch.len());
        for (report, answer) in batch.iter().zip(answers) {
            let fence = report.lease.fence;
            results.push(match answer {
                Some(answer) => answer,
                None if done.contains(&fence.run_id) && asked.remove(&fence) => Ok(None),
                None if ends.contains_key(&fence) && !done.contains(&fence.run_id) => {
                    Err(Error::conflict("the run was not started, so it has no such outcome"))
                }
                None => {
                    let (runner, outcome) = (report.lease.runner, &report.outcome);
                    match self.repeated_finish(&mut tx, &report.access, runner, fence, outcome).await {
                        // After a failure nothing of the transaction is kept, so nobody may be told that it was.
                        Err(error) if error.code() != ErrorCode::LeaseLost => return Err(error),
                        answer => answer.map(|()| None),
                    }
                }
            });
        }
        tx.commit().await?;
        self.announce_closed(&closed);
        Ok(results)
    }

    /// The lease is gone: the same report as the one that ended it is answered like that one.
    async fn repeated_finish(
        &self,
        conn: &mut store::Conn,
        access: &Access<RunsExecute>,
        runner: RunnerId,
        fence: Fence,
        outcome: &Outcome,
    ) -> Result<()> {
        match store::claims::ended_attempt(conn, access, runner, fence).await? {
            Some(Some(result)) if result == outcome.result => Ok(()),
            Some(Some(result)) => {
                let sentence = format!("this attempt has ended already: {result}");
                Err(Error::new(ErrorCode::LeaseLost, sentence))
            }
            Some(None) | None => Err(Error::lease_lost()),
        }
    }

    /// Takes a lease back: before the start, or after the infrastructure lost the container.
    pub async fn release_run(&self, caller: &Caller, runner: RunnerId, fence: Fence, release: Release) -> Result<()> {
        let access = self.reach::<RunsExecute>(caller).await?;
        if release.reason.is_some_and(|reason| !reason.is_infrastructure_loss()) {
            return Err(Invalid::one("/reason", "a lease is given back for a loss of the infrastructure only").into());
        }
        seals::check(&release.seal)?;
        let mut invalid = Invalid::default();
        check_text(&mut invalid, "/message", release.message.as_deref(), 4096);
        invalid.into_result()?;
        self.own_runner(&access, runner).await?;
        self.0.ends.take(fence);
        let mut tx = self.db().begin().await?;
        let lease = own_lease(caller, &access, runner, fence);
        let Some(end) = store::logs::hold_end(&mut tx, &access, &lease).await? else {
            // A repeat finds its own end; anything else means the lease is lost.
            return match store::claims::ended_attempt(&mut tx, &access, runner, fence).await? {
                Some(None | Some(RunResult::Error)) => Ok(()),
                Some(Some(_)) | None => Err(Error::lease_lost()),
            };
        };
        let close = Close::new(fence, Kind::Release).asked_by(&lease).because(release.reason, release.message);
        let incomplete = release.seal.incomplete || seals::is_short(&release.seal, &end);
        let seal = LogSeal { incomplete, ..release.seal };
        let closed = store::ends::close(&mut tx, &access, &[seals::sealed(close, fence, &seal, &end)]).await?;
        if closed.is_empty() {
            return Err(Error::conflict("the container was started; say what became of it"));
        }
        tx.commit().await?;
        self.announce_closed(&closed);
        Ok(())
    }

    /// Tells those who wait what became of leases.
    pub(super) fn announce_closed(&self, closed: &[Closed]) {
        for ns_id in closed.iter().filter_map(|one| self.0.placement.namespace_of(one.lane)) {
            self.0.placement.count_held(ns_id, -1);
        }
        let again = closed.iter().filter(|one| one.ready).map(|one| Place { lane: one.lane, seq: one.seq });
        self.announce_places(firsts(again.chain(closed.iter().flat_map(|one| one.opened.iter().copied()))));
        self.0.wake.runs(closed.iter().map(|one| one.run_id));
        if closed.iter().any(|one| one.ordered) {
            self.0.orders.notify_one();
        }
        // A lease that ended may have made room under a quota.
        self.look_everywhere();
    }
}

/// The report of an attempt's end.
pub(super) struct Report {
    access: Access<RunsExecute>,
    lease: OwnLease,
    outcome: Outcome,
    seal: LogSeal,
}

fn check_outcome(outcome: &Outcome) -> Result<()> {
    let mut invalid = Invalid::default();
    if outcome.result == RunResult::Error && outcome.reason.is_none() {
        invalid.add("/outcome/reason", "an error needs a reason");
    }
    if matches!(outcome.result, RunResult::Pass | RunResult::Fail) && outcome.exit_code.is_none() {
        invalid.add("/outcome/exit_code", "a pass and a fail have an exit code");
    }
    check_text(&mut invalid, "/outcome/message", outcome.message.as_deref(), 4096);
    check_text(&mut invalid, "/outcome/image_digest", outcome.image_digest.as_deref(), 256);
    Ok(invalid.into_result()?)
}

/// Tells whether a result is another than the exit code says.
fn contradicts(outcome: &Outcome) -> bool {
    match outcome.result {
        RunResult::Pass => outcome.exit_code != Some(0),
        RunResult::Fail => outcome.exit_code == Some(0),
        RunResult::Error | RunResult::TimedOut | RunResult::Cancelled => false,
    }
}

/// Refuses a text that is too long, or that the database cannot hold.
fn check_text(invalid: &mut Invalid, field: &str, text: Option<&str>, most: usize) {
    let Some(text) = text else { return };
    if text.len() > most {
        invalid.add(field, format!("at most {most} bytes"));
    }
    if text.contains('\0') {
        invalid.add(field, "a text holds no NUL character");
    }
}
