//! Brings a worker up, and down again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use tstr_shared::ids::RunnerId;
use tstr_shared::runner::{NewRunner, RunnerAbout};

use crate::agent::Agent;
use crate::clock::Clock;
use crate::config::{self, Config, LimitsMode};
use crate::control::{ControlError, ControlPlane, GrpcControl};
use crate::engine::podman::Podman;
use crate::engine::{Engine, EngineAbout};
use crate::guard::{Guard, Keeper};
use crate::health::{Disk, Health};
use crate::identity::Identity;
use crate::lease::LeaseBook;
use crate::podman_home::{PodmanHome, PodmanService};
use crate::run::{PARALLEL_STARTS, Shared};
use crate::stops::Stops;
use crate::sweep;
use crate::verdict::Verdict;

/// How long stopping may take beyond the drain: ending containers, last reports, cleaning up.
const LAST_STEPS: Duration = Duration::from_secs(60);

/// A worker at work.
///
/// It is to be ended by [`Running::stop`]; a drop only tells it to stop at once and waits for nothing.
#[derive(Debug)]
pub struct Running {
    id: RunnerId,
    stops: Stops,
    verdict: Verdict,
    drain_timeout: Duration,
    work: JoinHandle<()>,
    guard: Option<Keeper>,
    service: Option<PodmanService>,
    _identity: Identity,
}

/// Where containers are executed.
struct Place {
    engine: Arc<dyn Engine>,
    service: Option<PodmanService>,
    /// Containers are processes of this machine, which somebody has to guard.
    has_processes: bool,
}

/// Brings a worker up: takes its data directory, finds Podman or starts one, removes what an earlier run left behind,
/// and registers. Waits for an API that is not there yet.
///
/// # Errors
///
/// Fails on a configuration that cannot work, without a usable Podman, with `--limits require` where limits cannot be
/// enforced, and when the API refuses the token or the name.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    config.check()?;
    let data_dir = config::absolute(&config.data_dir);
    let identity = Identity::take(&data_dir)?;
    let (socket, service) = match config.podman_socket.clone() {
        Some(socket) => (socket, None),
        None => {
            let usual = config::runtime_dir().map(|dir| dir.join("podman/podman.sock"));
            match usual {
                Some(usual) if Podman::answers_at(&usual).await => (usual, None),
                _ => {
                    let home = PodmanHome::prepare_for(&data_dir, config.allow_root)?;
                    let service = home.serve().await?;
                    (service.socket().to_owned(), Some(service))
                }
            }
        }
    };
    info!(socket = %socket.display(), "using Podman at {}", socket.display());
    let engine = Podman::new(socket).pull_within(config.pull_timeout.duration());
    bring_up(config, identity, Place { engine: Arc::new(engine), service, has_processes: true }).await
}

/// Brings a worker up on any engine.
///
/// # Errors
///
/// As [`start`] does.
#[cfg(any(test, feature = "test-support"))]
pub async fn start_with_engine(config: Config, engine: Arc<dyn Engine>) -> anyhow::Result<Running> {
    config.check()?;
    let identity = Identity::take(&config::absolute(&config.data_dir))?;
    bring_up(config, identity, Place { engine, service: None, has_processes: false }).await
}

async fn bring_up(config: Config, identity: Identity, place: Place) -> anyhow::Result<Running> {
    let Place { engine, service, has_processes } = place;
    let id = identity.id();
    let about = engine.about().await.context("Podman cannot be used")?;
    judge_limits(&config, &about)?;
    let (slots, note) = config.effective_slots(about.ceiling.map(|ceiling| ceiling / config.sharers.max(1)));
    if let Some(note) = note {
        warn!(slots, "{note}");
    }
    // Before anything is said to the API: what is still running here may be another worker's run by now.
    sweep::remove_containers(engine.as_ref(), id).await?;

    let me = NewRunner {
        id,
        name: config.runner_name(),
        selectors: config.selectors().map_err(anyhow::Error::msg)?,
        slots,
        about: RunnerAbout {
            version: env!("CARGO_PKG_VERSION").into(),
            engine: about.engine.clone(),
            platform: about.platform.clone(),
            limits_enforced: about.limits_enforced.clone(),
            limits_note: about.limits_note.clone(),
        },
    };
    let endpoint = config.endpoint().map_err(anyhow::Error::msg)?;
    let control: Arc<dyn ControlPlane> = Arc::new(GrpcControl::new(&endpoint, &config.token_file, id)?);
    let registration = control.register(&me).await.map_err(|error| refused(error, &me.name))?;
    if !registration.times.is_safe() {
        bail!("the API's lease times are not safe: a container could outlive its lease ({:?})", registration.times);
    }
    let spool_dir = identity.spool_dir()?;
    let crashed = sweep::give_back_leases(&control, &spool_dir).await?;
    let guard = match has_processes {
        true => Some(Keeper::start(&config.guard_program, registration.times.fence_grace).await?),
        false => None,
    };
    info!(
        runner.id = %id,
        runner.name = me.name,
        slots,
        engine = about.engine,
        "runner {} is registered for namespaces {} with {slots} slots",
        me.name,
        registration.namespaces.join(", ")
    );

    let (stops, verdict) = (Stops::default(), Verdict::default());
    let shared = Arc::new(Shared {
        id,
        control,
        engine,
        guard: guard.as_ref().map_or_else(Guard::none, Keeper::guard),
        health: Health::new(Disk::new(spool_dir.clone(), config.min_free), Clock::boottime(), crashed),
        book: LeaseBook::new(Clock::boottime(), registration.times),
        spool_dir,
        starts: Semaphore::new(PARALLEL_STARTS),
        stops: stops.clone(),
        tracker: TaskTracker::new(),
        limits: config.limits,
        verdict: verdict.clone(),
    });
    let agent = Agent { shared, me, attempts: TaskTracker::new() };
    let alarm = verdict.clone();
    let work = tokio::spawn(async move {
        if AssertUnwindSafe(agent.work()).catch_unwind().await.is_err() {
            alarm.speak("the worker failed in a way that was not thought of");
        }
    });
    let drain_timeout = config.drain_timeout.duration();
    Ok(Running { id, stops, verdict, drain_timeout, work, guard, service, _identity: identity })
}

impl Running {
    /// Returns the runner's id.
    pub fn runner_id(&self) -> RunnerId {
        self.id
    }

    /// Returns the handle by which a second request to stop cuts a drain short.
    pub fn stops(&self) -> Stops {
        self.stops.clone()
    }

    /// Stops: takes nothing new, lets runs end for as long as the drain may take, ends the others, reports, and takes
    /// its own Podman down.
    ///
    /// # Errors
    ///
    /// Fails when something may be left behind.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        info!(runner.id = %self.id, "the worker stops: it takes nothing new and lets runs end");
        self.stops.drain();
        let drained = tokio::select! {
            done = &mut self.work => Some(done),
            () = tokio::time::sleep(self.drain_timeout) => None,
            () = self.stops.stopping() => None,
        };
        let mut fault = None;
        match drained {
            Some(done) => done.context("the worker failed")?,
            None => {
                self.stops.stop_now();
                match tokio::time::timeout(LAST_STEPS, &mut self.work).await {
                    Ok(done) => done.context("the worker failed")?,
                    Err(_) => {
                        self.work.abort();
                        fault = Some("the worker did not come to its end; the next start cleans up");
                    }
                }
            }
        }
        if let Some(guard) = self.guard.take() {
            guard.stop().await;
        }
        if let Some(service) = self.service.take() {
            service.stop().await?;
        }
        match fault {
            Some(fault) => bail!(fault),
            None => {
                info!(runner.id = %self.id, "the worker has stopped");
                Ok(())
            }
        }
    }

    /// Waits until the worker cannot go on, for instance because its token is refused; says why. It is still to be
    /// stopped then.
    pub async fn failed(&mut self) -> anyhow::Error {
        let service = async {
            match &mut self.service {
                Some(service) => service.failed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            reason = self.verdict.heard() => anyhow::Error::msg(reason),
            error = service => error,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nobody is left to stop it: what runs is ended, as far as the runtime still lives.
        self.stops.stop_now();
    }
}

fn judge_limits(config: &Config, about: &EngineAbout) -> anyhow::Result<()> {
    let Some(note) = &about.limits_note else { return Ok(()) };
    match config.limits {
        LimitsMode::Require => bail!(
            "--limits require: this engine ({}) does not enforce all of {}; {note}",
            about.engine,
            config::limits_in_words()
        ),
        LimitsMode::Warn => warn!(engine = about.engine, "limits of containers are {note}"),
    }
    Ok(())
}

fn refused(error: ControlError, name: &str) -> anyhow::Error {
    // The API's own sentence says which: a name that a live runner holds, a token without the scope, and so on.
    anyhow!("the runner '{name}' cannot be registered: {error}")
}
