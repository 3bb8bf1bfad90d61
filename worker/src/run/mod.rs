//! One run, from the claim to its result: the order of the steps, and the cleanup that none of them can skip.
//!
//! Before the permission to start (T3) nothing has been executed, so whatever goes wrong gives the lease back or ends
//! the run as an error. After it the container's end decides; when nobody knows that end the attempt is lost. Where a
//! lease goes back, the container is dead by then: the next worker may have the run the moment it does.

mod artifacts;
mod logs;
mod output;
mod prepare;
mod report;
mod reports;
mod result;
mod result_data;
mod watch;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};
use tstr_shared::ids::RunnerId;
use tstr_shared::lease::{Fence, LeasedRun};
use tstr_shared::output::ResultData;
use tstr_shared::run::{Outcome, Reason};
use tstr_shared::testdef::Pull;

use crate::config::LimitsMode;
use crate::control::{ControlError, ControlPlane};
use crate::engine::{ContainerSpec, Engine, EngineError, Image, Processes};
use crate::guard::Guard;
use crate::health::{Health, Sign};
use crate::lease::{Lease, LeaseBook, Signal};
use crate::stops::Stops;
use crate::verdict::Verdict;
use logs::Recorder;
pub(crate) use logs::{Leftover, Uploader, empty_seal};
use output::Output;
pub(crate) use prepare::container_name;
use report::Log;
use watch::{End, Stop, Watched};

/// How many containers are made and started at the same time; more of them would only wait for each other.
pub(crate) const PARALLEL_STARTS: usize = 8;
/// How long output may still arrive after the container's end.
const LAST_OUTPUT: Duration = Duration::from_secs(10);
/// How long after timeout and grace the API ends a run by itself (T11).
const BACKSTOP: Duration = Duration::from_secs(60);
/// The same when its end is not known, and somebody waits to repeat it.
const LATE_OUTPUT: Duration = Duration::from_secs(2);
/// How long one try to remove a container may take.
const REMOVAL: Duration = Duration::from_secs(30);
/// How long a container that was killed may take to be dead.
const LAST_BREATH: Duration = Duration::from_secs(5);

/// What all attempts of a worker share.
pub(crate) struct Shared {
    pub(crate) id: RunnerId,
    pub(crate) control: Arc<dyn ControlPlane>,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) guard: Guard,
    pub(crate) health: Health,
    pub(crate) book: Arc<LeaseBook>,
    pub(crate) spool_dir: PathBuf,
    pub(crate) starts: Semaphore,
    pub(crate) stops: Stops,
    pub(crate) tracker: TaskTracker,
    pub(crate) limits: LimitsMode,
    pub(crate) verdict: Verdict,
}

impl Shared {
    /// Notes what the API said about a lease, or about the worker, to whoever it concerns.
    pub(crate) fn listener(&self) -> Listener {
        Listener { book: Arc::clone(&self.book), verdict: self.verdict.clone() }
    }

    /// Notes that the API refuses the worker.
    pub(crate) fn refuse(&self, error: &ControlError) {
        self.verdict.speak(error.to_string());
    }
}

/// Passes on what a call heard beside its answer.
pub(crate) struct Listener {
    book: Arc<LeaseBook>,
    verdict: Verdict,
}

impl Listener {
    pub(crate) fn heard(&self, fence: Fence, error: &ControlError) {
        match error {
            ControlError::LeaseLost(_) => self.book.lose(fence),
            ControlError::Unauthenticated(_) => {
                self.verdict.speak(error.to_string());
            }
            ControlError::Refused { .. } | ControlError::Unavailable(_) => {}
        }
    }
}

/// What becomes of an attempt.
#[derive(Debug)]
enum Ending {
    /// It has a result.
    Finished(Outcome),
    /// Nothing was started: another worker may take the run.
    Returned(String),
    /// The same, for this machine failed.
    Unfit(String),
    /// Something was started, and nobody knows how it ended.
    Lost(Reason, String),
    /// The run belongs to somebody else: nothing may be said about it.
    Abandoned(String),
}

/// Executes a run; returns when everything that was made for it is gone and its end is reported.
pub(crate) async fn execute(shared: Arc<Shared>, run: LeasedRun, lease: Lease) {
    let (id, attempt) = (run.fence.run_id, run.fence.attempt);
    info!(run.id = %id, run.attempt = attempt, test = run.test_name, namespace = %run.namespace, "run {id} was taken, attempt {attempt}");
    let name = prepare::container_name(run.fence);
    let mut left = Left::default();
    let steps = Steps { shared: &shared, run: &run, lease: &lease, name: &name };
    let ending = AssertUnwindSafe(steps.take(&mut left)).catch_unwind().await.unwrap_or_else(|_| {
        error!(run.id = %id, "executing run {id} failed in a way that was not thought of");
        Ending::Lost(Reason::WorkerCrash, "the worker failed while it executed the run".into())
    });
    let Left { mut log, processes, ended, records } = left;
    shared.health.ended(run.fence, sign(&ending, &shared.stops));
    let report = report::Report { shared: &shared, lease: &lease };
    match ending {
        Ending::Finished(outcome) => {
            let said = outcome.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            info!(run.id = %id, run.attempt = attempt, result = %outcome.result, exit_code = outcome.exit_code, "run {id} ended: {}{said}", outcome.result);
            // Of what was never started there is nothing to take.
            let (mut said, mut taken) = (None, None);
            if ended {
                let until = result_data::taken_until(log.as_ref());
                (said, taken) = tokio::join!(
                    result_data::collect(&shared, &lease, &name, until, records),
                    artifacts::collect(&shared, &run, &lease, &name, &mut log),
                );
            }
            let said = match said {
                Some(said) => result_data::put_together(run.fence, said, taken.as_ref()).await,
                None => None,
            };
            let reported = async {
                let until = result_data::handed_over_until(log.as_ref());
                let said = async {
                    if let Some(said) = &said {
                        result_data::hand_over(&shared, &lease, said, until).await;
                    }
                };
                let left = async {
                    match taken {
                        Some(taken) => artifacts::hand_over(&shared, &lease, taken, &mut log).await,
                        None => false,
                    }
                };
                let ((), may_have_reports) = tokio::join!(said, left);
                let plain = outcome.clone();
                let outcome = match ended {
                    true => reports::ruled(&shared, &run, &lease, outcome, may_have_reports, log.as_ref()).await,
                    false => outcome,
                };
                report.finish(outcome, plain, log).await;
            };
            // The container has ended, so its removal need not hold up the result.
            tokio::join!(reported, remove(&shared, &name));
        }
        Ending::Returned(why) | Ending::Unfit(why) => {
            info!(run.id = %id, run.attempt = attempt, "run {id} goes back, its container was not started: {why}");
            // What was not started may be removed at leisure.
            tokio::join!(report.release(None, why, log), remove(&shared, &name));
        }
        Ending::Lost(reason, why) => {
            warn!(run.id = %id, run.attempt = attempt, reason = %reason, "attempt {attempt} of run {id} is lost ({reason}): {why}");
            if end(processes).await {
                // Dead is enough for the next worker; an engine that does not answer is not waited for.
                tokio::join!(report.release(Some(reason), why, log), remove(&shared, &name));
            } else if remove(&shared, &name).await {
                report.release(Some(reason), why, log).await;
            } else {
                // It may still run, so no other worker may have the run yet: no heartbeat mentions the lease from here
                // on, and it runs out.
                lease.forget();
            }
        }
        Ending::Abandoned(why) => {
            warn!(run.id = %id, run.attempt = attempt, "run {id} is somebody else's now, nothing is reported: {why}");
            end(processes).await;
            remove(&shared, &name).await;
        }
    }
    // Whoever still lives now is left to the guard.
    if processes.is_none_or(|processes| !processes.init.is_alive()) {
        shared.guard.free(&name).await;
    }
}

/// Tells what the end of an attempt says about this machine.
fn sign(ending: &Ending, stops: &Stops) -> Sign {
    match ending {
        Ending::Finished(outcome) if outcome.exit_code.is_some() => Sign::Good,
        Ending::Unfit(_) => Sign::Bad,
        Ending::Lost(..) if !stops.is_stopping() => Sign::Bad,
        Ending::Finished(_) | Ending::Lost(..) | Ending::Returned(_) | Ending::Abandoned(_) => Sign::None,
    }
}

/// Kills a container by its first process, without the engine; tells whether it is dead.
async fn end(processes: Option<Processes>) -> bool {
    let Some(Processes { init, .. }) = processes else { return false };
    let until = Instant::now() + LAST_BREATH;
    while init.is_alive() {
        if let Err(error) = init.signal(rustix::process::Signal::KILL) {
            warn!(error = %error, "a container cannot be killed by its process: {error}");
            return false;
        }
        if Instant::now() > until {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

/// Removes an attempt's container and volume; tells whether they are gone. Safe when neither was made; no stop cuts it
/// short.
async fn remove(shared: &Shared, name: &str) -> bool {
    let mut pause = Duration::from_millis(500);
    for last in [false, false, false, true] {
        let removed = tokio::time::timeout(REMOVAL, shared.engine.remove(name)).await;
        match removed.unwrap_or_else(|_| Err(EngineError::Unreachable(format!("no answer within {REMOVAL:?}")))) {
            Ok(()) => return true,
            Err(error) if last => {
                error!(container = name, error = %error, "{name} could not be removed; the worker's next start tries again: {error}");
            }
            Err(error) => {
                warn!(container = name, error = %error, "{name} could not be removed, trying again: {error}");
                tokio::time::sleep(pause).await;
                pause *= 4;
            }
        }
    }
    false
}

/// What an attempt leaves behind, wherever it ends.
#[derive(Default)]
struct Left {
    log: Option<Log>,
    processes: Option<Processes>,
    /// Its container ran, and has ended.
    ended: bool,
    /// The records that were found in its output, by stream.
    records: [ResultData; 2],
}

/// The steps of one attempt.
struct Steps<'a> {
    shared: &'a Shared,
    run: &'a LeasedRun,
    lease: &'a Lease,
    name: &'a str,
}

impl Steps<'_> {
    /// Takes all steps. Leaves behind what there is by then wherever it ends.
    async fn take(&self, left: &mut Left) -> Ending {
        let image = match self.unless_called_off(self.image()).await {
            Ok(Ok(image)) => image,
            Ok(Err(ending)) | Err(ending) => return ending,
        };
        let mut ending = match self.unless_called_off(self.shared.starts.acquire()).await {
            Err(ending) => return ending,
            Ok(Err(_)) => return Ending::Returned("the worker stops".into()),
            Ok(Ok(turn)) => {
                let spec = prepare::container(self.run, &image, self.shared.id);
                let made = self.make(&spec, left).await;
                match made {
                    Err(ending) => return ending,
                    Ok(mut output) => {
                        let budget = self.run.run_config.timeout.duration() + self.run.run_config.grace.duration();
                        if let Some(log) = &mut left.log {
                            log.backstop_at(Instant::now() + budget + BACKSTOP);
                        }
                        let started = self.start(left.processes).await;
                        drop(turn);
                        let ending = match started {
                            Ok(()) => self.watch(&mut output, left.processes).await,
                            Err(ending) => Ran::Not(ending),
                        };
                        self.conclude(ending, output, left).await
                    }
                }
            }
        };
        if let Ending::Finished(outcome) = &mut ending {
            outcome.image_digest = image.digest;
        }
        ending
    }

    /// Does something that may be dropped, unless the run is called off meanwhile.
    async fn unless_called_off<T>(&self, step: impl Future<Output = T>) -> Result<T, Ending> {
        tokio::select! {
            biased;
            signal = self.lease.graver_than(Signal::Held) => Err(called_off_unstarted(signal)),
            () = self.shared.stops.draining() => Err(Ending::Returned("the worker stops".into())),
            done = step => Ok(done),
        }
    }

    /// Finds the image, and pulls it where that is wanted.
    async fn image(&self) -> Result<Image, Ending> {
        let (engine, config) = (&self.shared.engine, &self.run.run_config);
        let reference = config.container_image.as_str();
        let missing = |why: String| Ending::Finished(result::not_started(Reason::ImageNotFound, why));
        let here = engine.image(reference).await.map_err(|error| self.fault_before_start(&error))?;
        let wanted = match config.pull {
            Pull::Missing => here.is_none(),
            Pull::Always => true,
            Pull::Never => false,
        };
        if wanted && !prepare::is_local(reference) {
            info!(run.id = %self.run.fence.run_id, image = reference, "pulling {reference}");
            match engine.pull(reference).await {
                Ok(()) => {}
                Err(error @ EngineError::Unreachable(_)) => return Err(self.fault_before_start(&error)),
                Err(error) if error.is_disk_full() => return Err(self.fault_before_start(&error)),
                Err(error) => return Err(missing(format!("the image {reference} could not be pulled: {error}"))),
            }
        } else if let Some(image) = here {
            return Ok(image);
        }
        match engine.image(reference).await {
            Ok(Some(image)) => Ok(image),
            Ok(None) => Err(missing(format!("the runner does not have the image {reference}"))),
            Err(error) => Err(self.fault_before_start(&error)),
        }
    }

    /// Makes the container and reads its output from before its start. Not to be dropped half way: the engine would
    /// go on making what nobody knows of.
    async fn make(&self, spec: &ContainerSpec, left: &mut Left) -> Result<Output, Ending> {
        let engine = &self.shared.engine;
        let warnings = engine.create(spec).await.map_err(|error| self.fault_before_start(&error))?;
        for warning in &warnings {
            warn!(run.id = %self.run.fence.run_id, "podman warned about {}: {warning}", self.name);
        }
        if !warnings.is_empty() && self.shared.limits == LimitsMode::Require {
            let why = format!("the container engine does not enforce what was asked for: {}", warnings.join("; "));
            return Err(Ending::Finished(result::not_started(Reason::PolicyRejected, why)));
        }
        let (limit, tail) = (self.run.log_limit_bytes, self.run.log_tail_bytes);
        let (mut recorder, reader) = Recorder::create(&self.shared.spool_dir, self.run.fence, limit, tail).await;
        // Podman sets the container up here, so this is where a working directory is missed, for instance.
        let frames = engine.attach(self.name).await.map_err(|error| self.fault_before_start(&error))?;
        left.processes = engine.processes(self.name).await.map_err(|error| self.fault_before_start(&error))?;
        recorder.mark_running().await;
        left.log = Some(Log::open(self.shared, self.run.fence, reader));
        Ok(Output::read(&self.shared.tracker, recorder, frames))
    }

    /// Asks for the permission to start the container, and starts it.
    async fn start(&self, processes: Option<Processes>) -> Result<(), Ending> {
        let permission = tokio::select! {
            biased;
            signal = self.lease.graver_than(Signal::Held) => return Err(match signal {
                // Only what was permitted to start is asked to be cancelled: the permission's answer is late.
                Signal::Cancel => Ending::Finished(result::cancelled_before_start()),
                Signal::Held | Signal::Lost => called_off_unstarted(signal),
            }),
            // The permission may have been given, and its answer be lost: a reason is right in both cases.
            () = self.shared.stops.stopping() => {
                return Err(Ending::Lost(Reason::RuntimeLost, "the worker was stopped".into()));
            }
            permission = self.shared.control.start(self.run.fence) => permission,
        };
        match permission {
            Ok(()) => {}
            Err(ControlError::LeaseLost(why)) => return Err(Ending::Abandoned(why)),
            Err(error @ ControlError::Unauthenticated(_)) => {
                self.shared.refuse(&error);
                return Err(Ending::Abandoned(error.to_string()));
            }
            Err(error) => return Err(Ending::Returned(error.to_string())),
        }
        // The permission says that the lease held a moment ago, not for how long it may still be trusted.
        if !self.lease.trusted().await {
            return Err(Ending::Abandoned(
                "the API was not heard of since the container was permitted to start".into(),
            ));
        }
        match self.lease.signal() {
            Signal::Held => {}
            Signal::Cancel => return Err(Ending::Finished(result::cancelled_before_start())),
            Signal::Lost => return Err(Ending::Abandoned("the lease is lost".into())),
        }
        if let Some(processes) = processes {
            // From here on its end is certain, whatever becomes of this process.
            let until = self.lease.trusted_until().unwrap_or_default();
            let held = self.shared.guard.hold(self.name, processes.init, until).await;
            held.map_err(|why| Ending::Lost(Reason::RuntimeLost, why))?;
        }
        let started = tokio::select! {
            biased;
            started = self.shared.engine.start(self.name) => started,
            // The container is ended whether it was started by then or not.
            signal = self.lease.graver_than(Signal::Cancel) => {
                return Err(Ending::Abandoned(format!("the lease was lost while the container started ({signal:?})")));
            }
            () = self.lease.untrusted() => {
                return Err(Ending::Abandoned("the API was not heard of while the container started".into()));
            }
        };
        started.map_err(|error| match error {
            EngineError::Unreachable(_) => Ending::Lost(Reason::RuntimeLost, error.to_string()),
            EngineError::Refused(_) | EngineError::NotFound(_) if error.is_disk_full() => {
                Ending::Lost(Reason::DiskFull, error.to_string())
            }
            EngineError::Refused(_) | EngineError::NotFound(_) => {
                Ending::Finished(result::not_started(Reason::StartFailed, error.to_string()))
            }
        })
    }

    async fn watch(&self, output: &mut Output, processes: Option<Processes>) -> Ran {
        let config = &self.run.run_config;
        let watched = Watched {
            engine: self.shared.engine.as_ref(),
            name: self.name,
            processes,
            lease: self.lease,
            stops: &self.shared.stops,
            timeout: config.timeout.duration(),
            grace: config.grace.duration(),
            look_every: self.lease.times().heartbeat,
        };
        let (end, stopped) = watched.until_end(output).await;
        Ran::Until(end, stopped)
    }

    /// Ends the log, and decides what becomes of the attempt.
    async fn conclude(&self, ran: Ran, output: Output, left: &mut Left) -> Ending {
        if !matches!(ran, Ran::Until(End::Exited(_), _)) {
            // Nothing else may end the output.
            if !end(left.processes).await {
                remove(self.shared, self.name).await;
            } else if output.is_reading() {
                let _ = tokio::time::timeout(LATE_OUTPUT, self.shared.engine.remove(self.name)).await;
            }
        }
        // The guard knows best whether a container that has ended did so by itself.
        let is_dead = left.processes.is_some_and(|processes| !processes.init.is_alive());
        let killed = is_dead && self.shared.guard.free(self.name).await;
        let patience = if matches!(ran, Ran::Until(End::Exited(_), _)) { LAST_OUTPUT } else { LATE_OUTPUT };
        let mut recorder = output.close(patience).await;
        if matches!(ran, Ran::Until(End::Lost(_), _))
            && let Some(recorder) = &mut recorder
        {
            recorder.note_loss();
        }
        let stderr = recorder.as_ref().map(|recorder| recorder.stderr_head().to_vec()).unwrap_or_default();
        left.records = recorder.as_mut().map(Recorder::take_records).unwrap_or_default();
        if let Some(log) = &mut left.log {
            log.seal(recorder).await;
        }
        if killed {
            let why = "the worker stood still for too long, and its guard ended the container".to_owned();
            return Ending::Lost(Reason::RuntimeLost, why);
        }
        left.ended = matches!(ran, Ran::Until(End::Exited(_), _));
        match ran {
            Ran::Not(ending) => ending,
            Ran::Until(_, Some(Stop::LeaseLost)) => Ending::Abandoned("the lease was lost while it ran".into()),
            Ran::Until(_, Some(Stop::Shutdown)) => Ending::Lost(Reason::RuntimeLost, "the worker was stopped".into()),
            Ran::Until(End::Exited(exit), stopped) => Ending::Finished(result::outcome(exit, stopped, &stderr)),
            Ran::Until(End::Lost(why), _) => Ending::Lost(Reason::RuntimeLost, why),
        }
    }

    /// Tells what becomes of the run when the engine fails before anything was started.
    fn fault_before_start(&self, error: &EngineError) -> Ending {
        match error {
            // Not the test's doing, and perhaps not another runner's trouble.
            EngineError::Unreachable(_) => Ending::Unfit(error.to_string()),
            EngineError::Refused(_) | EngineError::NotFound(_) if error.is_disk_full() => {
                Ending::Unfit(error.to_string())
            }
            EngineError::Refused(_) | EngineError::NotFound(_) => {
                Ending::Finished(result::not_started(Reason::StartFailed, error.to_string()))
            }
        }
    }
}

/// Tells what becomes of a run that is called off before its start was asked for: it has no result of ours then, for
/// the API itself ends what it cancels so early.
fn called_off_unstarted(signal: Signal) -> Ending {
    match signal {
        Signal::Held | Signal::Cancel => Ending::Returned("the run was cancelled".into()),
        Signal::Lost => Ending::Abandoned("the lease is lost".into()),
    }
}

/// Whether a container was started, and how it ended.
enum Ran {
    Not(Ending),
    Until(End, Option<Stop>),
}

#[cfg(test)]
pub(crate) mod tests;
