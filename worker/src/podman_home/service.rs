//! `podman system service`, kept alive by a thread of its own.
//!
//! The service is told to end when its parent does (`setpriv --pdeathsig`). To the kernel the parent is the *thread*
//! that started it, so that thread does nothing else and lives as long as the service.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::{PodmanHome, processes};
use crate::engine::podman::Podman;

/// How long a service may take to answer; the first start makes the storage.
const BIRTH: Duration = Duration::from_secs(60);
/// How long it may take to end.
const DEATH: Duration = Duration::from_secs(10);
/// How long cleaners of containers may take to end by themselves.
const LEFTOVERS: Duration = Duration::from_secs(5);
/// How long removing containers that are left may take.
const REMOVAL: Duration = Duration::from_secs(30);
/// A service that ends sooner than this after its start is not started again for ever.
const HEALTHY: Duration = Duration::from_secs(30);
/// How often in a row a service may end that soon.
const MAX_FALLS: u32 = 3;
/// How long what is left of it may take to end, by itself and after each signal.
const LINGER: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(50);

/// A running service. Started again when it ends by itself; ended when this is dropped.
#[derive(Debug)]
pub struct PodmanService {
    home: PodmanHome,
    state: Arc<Mutex<State>>,
    /// Why the service cannot be kept alive.
    fault: watch::Receiver<Option<String>>,
    keeper: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// The service's process, for as long as it has not been collected: only then the number is surely its.
    pid: Option<Pid>,
    stopping: bool,
}

impl PodmanService {
    pub(super) async fn start(home: PodmanHome) -> anyhow::Result<Self> {
        let socket = home.socket();
        let state = Arc::new(Mutex::new(State::default()));
        let (fault, seen) = watch::channel(None);
        let keeper = std::thread::Builder::new()
            .name("podman-service".into())
            .spawn({
                let (home, state) = (home.clone(), Arc::clone(&state));
                move || keep(&home, &state, &fault)
            })
            .context("cannot start a thread for the Podman service")?;
        let mut service = Self { home, state, fault: seen, keeper: Some(keeper) };
        let answered = async {
            while !Podman::answers_at(&socket).await {
                tokio::time::sleep(STEP).await;
            }
        };
        tokio::select! {
            answered = tokio::time::timeout(BIRTH, answered) => match answered {
                Ok(()) => {
                    info!(socket = %socket.display(), "a Podman service was started at {}", socket.display());
                    Ok(service)
                }
                Err(_) => Err(anyhow!("the Podman service did not answer within {BIRTH:?}: {}", last_words(&service.home))),
            },
            error = service.failed() => Err(error),
        }
    }

    /// Returns where it listens.
    pub fn socket(&self) -> PathBuf {
        self.home.socket()
    }

    /// Waits until the service cannot be kept alive; says why.
    pub async fn failed(&mut self) -> anyhow::Error {
        match self.fault.wait_for(Option::is_some).await {
            Ok(fault) => anyhow!("{}", fault.as_deref().unwrap_or_default()),
            Err(_) => std::future::pending().await,
        }
    }

    /// Ends the service and every process that Podman left around.
    ///
    /// # Errors
    ///
    /// Fails when something is left.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        tokio::task::spawn_blocking(move || self.end()).await.context("ending the Podman service failed")?
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let Some(keeper) = self.keeper.take() else { return Ok(()) };
        let signal = |signal| {
            let mut state = lock(&self.state);
            state.stopping = true;
            if let Some(pid) = state.pid {
                let _ = kill_process(pid, signal);
            }
        };
        self.end_containers();
        signal(Signal::TERM);
        let until = Instant::now() + DEATH;
        while !keeper.is_finished() && Instant::now() < until {
            std::thread::sleep(STEP);
        }
        if !keeper.is_finished() {
            warn!("the Podman service did not end when it was told to: killing it");
            signal(Signal::KILL);
        }
        let kept = keeper.join();
        processes::end_pause_process(&self.home.run);
        let _ = fs::remove_file(self.home.socket());
        if kept.is_err() {
            return Err(anyhow!("the thread that kept the Podman service failed"));
        }
        // The service that started itself anew inside its user namespace may outlive the one that we know.
        let mut left = processes::naming(&self.home.run);
        for signal in [None, Some(Signal::TERM), Some(Signal::KILL)] {
            for pid in left.iter().filter(|_| signal.is_some()) {
                let _ = kill_process(*pid, signal.unwrap_or(Signal::TERM));
            }
            let until = Instant::now() + LINGER;
            while !left.is_empty() && Instant::now() < until {
                std::thread::sleep(STEP);
                left = processes::naming(&self.home.run);
            }
        }
        if left.is_empty() { Ok(()) } else { Err(anyhow!("{} processes of Podman could not be ended", left.len())) }
    }

    /// Waits for cleaners of containers, which would bring the pause process back; ends containers that are left.
    fn end_containers(&self) {
        let containers = self.home.run.join("containers");
        let gone = |patience: Duration| {
            let until = Instant::now() + patience;
            loop {
                if processes::naming(&containers).is_empty() {
                    return true;
                }
                if Instant::now() > until {
                    return false;
                }
                std::thread::sleep(STEP);
            }
        };
        if gone(LEFTOVERS) {
            return;
        }
        warn!("containers are left in the Podman of {}: removing them", self.home.dir.display());
        let removed = self
            .home
            .command()
            .args(["rm", "--all", "--force", "--time", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .and_then(|mut child| wait_within(&mut child, REMOVAL));
        debug!(?removed, "podman rm --all");
        if !gone(LEFTOVERS) {
            for pid in processes::naming(&containers) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

impl Drop for PodmanService {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            warn!(error = %error, "the Podman service could not be ended: {error}");
        }
    }
}

/// Runs the service until it is to stop, or does not stay up.
fn keep(home: &PodmanHome, state: &Mutex<State>, fault: &watch::Sender<Option<String>>) {
    let mut falls = 0;
    loop {
        let born = Instant::now();
        let said = match live(home, state) {
            Ok(Some(said)) => said,
            Ok(None) => return,
            Err(error) => format!("{error:#}"),
        };
        falls = if born.elapsed() < HEALTHY { falls + 1 } else { 1 };
        let words = last_words(home);
        if falls >= MAX_FALLS {
            fault.send_replace(Some(format!("the Podman service does not stay up ({said}): {words}")));
            return;
        }
        warn!("the Podman service ended by itself ({said}), starting it again: {words}");
    }
}

/// Lives one life of the service; returns how it ended, `None` when it was told to.
fn live(home: &PodmanHome, state: &Mutex<State>) -> anyhow::Result<Option<String>> {
    let log = fs::File::create(log_file(home)).context("cannot write the Podman service's log")?;
    // Any command leaves the process behind that holds the user namespace open. Without it the service would be two
    // processes, and the inner one may outlive us: only the outer is told of our death.
    if !rustix::process::geteuid().is_root() {
        let mut first = bound_to_us(home);
        first.args(["unshare", "true"]).stderr(log.try_clone().context("cannot write the Podman service's log")?);
        match run(state, &mut first)? {
            Some(status) if !status.success() => return Ok(Some(format!("no user namespace, {status}"))),
            Some(_) => {}
            None => return Ok(None),
        }
    }
    let socket = home.socket();
    // One that was killed leaves its socket, and the next would refuse to listen there.
    let _ = fs::remove_file(&socket);
    let mut url = std::ffi::OsString::from("unix://");
    url.push(&socket);
    let mut service = bound_to_us(home);
    service.args(["system", "service", "--time=0"]).arg(url).stderr(log);
    Ok(run(state, &mut service)?.map(|status| status.to_string()))
}

/// Returns a `podman` command that is told to end when the thread that starts it does.
fn bound_to_us(home: &PodmanHome) -> Command {
    let mut command = home.program("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(home.command().get_program());
    // A group of its own: Ctrl-C on a terminal must not end the service while runs still write through it.
    command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
    command
}

/// Runs a command to its end, in reach of who wants to end it; `None` when the end was asked for.
fn run(state: &Mutex<State>, command: &mut Command) -> anyhow::Result<Option<ExitStatus>> {
    let mut child = {
        let mut state = lock(state);
        if state.stopping {
            return Ok(None);
        }
        let child = command.spawn().context("cannot start Podman")?;
        state.pid = Pid::from_raw(child.id().cast_signed());
        child
    };
    wait_uncollected(&child);
    let mut state = lock(state);
    state.pid = None;
    let status = child.wait().context("cannot wait for Podman")?;
    Ok((!state.stopping).then_some(status))
}

/// Waits for the end of a child; kills it when it takes longer.
fn wait_within(child: &mut Child, limit: Duration) -> std::io::Result<ExitStatus> {
    let until = Instant::now() + limit;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(STEP);
    }
    child.kill()?;
    child.wait()
}

/// Waits until a child has ended, and leaves it uncollected, so that its number stays its own.
fn wait_uncollected(child: &Child) {
    let Some(pid) = Pid::from_raw(child.id().cast_signed()) else { return };
    while matches!(
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT),
        Err(rustix::io::Errno::INTR)
    ) {}
}

fn log_file(home: &PodmanHome) -> PathBuf {
    home.dir.join("service.log")
}

/// Returns the end of what the service wrote.
fn last_words(home: &PodmanHome) -> String {
    let read = |path: &Path| -> std::io::Result<String> {
        let mut file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(1000)))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).trim().replace('\n', "; "))
    };
    match read(&log_file(home)) {
        Ok(text) if !text.is_empty() => text,
        _ => "it said nothing".into(),
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
