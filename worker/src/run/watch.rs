//! Watches a running container until it has ended: the first of its own end, the timeout, a cancel, the loss of the
//! lease and the worker's shutdown decides what becomes of the run.
//!
//! To stop a container is to send SIGTERM and, after a grace, SIGKILL. A lost lease overrules every other reason and
//! takes its own, short grace: by the time another worker may have the run, ours must be dead.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tracing::{info, warn};

use super::output::Output;
use super::result::Exit;
use crate::control::Backoff;
use crate::engine::{Engine, EngineError, Kill, Phase, Processes};
use crate::lease::{Lease, Signal};
use crate::stops::Stops;

/// The most that a test's own grace counts when the worker stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// How long a killed container may take to be seen dead.
const BURIAL: Duration = Duration::from_secs(30);
/// How long the engine may take to send a signal.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How long the engine may take to tell where a container stands.
const ASK_PATIENCE: Duration = Duration::from_secs(5);
/// How long the engine may be away before the container counts as lost: enough for a service to be started again.
const OUTAGE: Duration = Duration::from_secs(30);
/// The same when the container has ended already.
const OUTAGE_AT_END: Duration = Duration::from_secs(5);
/// How long a container may take to be seen dead after its output ended.
const AFTER_OUTPUT: Duration = Duration::from_secs(1);
/// A container ends this much after its output, at the most (measured: 4 ms); a later end means that the output broke
/// off before.
const OUTPUT_LAG: TimeDelta = TimeDelta::milliseconds(100);

/// Why a container is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Its time is up.
    Timeout,
    /// Somebody cancelled the run.
    Cancel,
    /// The run may be another worker's now: nothing may be reported.
    LeaseLost,
    /// The worker stops.
    Shutdown,
}

/// How watching ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The container has ended.
    Exited(Exit),
    /// The engine lost it.
    Lost(String),
}

/// A container that runs.
pub(crate) struct Watched<'a> {
    pub(crate) engine: &'a dyn Engine,
    pub(crate) name: &'a str,
    pub(crate) processes: Option<Processes>,
    pub(crate) lease: &'a Lease,
    pub(crate) stops: &'a Stops,
    pub(crate) timeout: Duration,
    pub(crate) grace: Duration,
    /// How often the engine is asked unprompted.
    pub(crate) look_every: Duration,
}

impl Watched<'_> {
    /// Watches until the end; also tells why the container was stopped, if it was.
    pub(crate) async fn until_end(&self, output: &mut Output) -> (End, Option<Stop>) {
        let timeout = tokio::time::sleep(self.timeout);
        let search = Search { engine: self.engine, name: self.name, processes: self.processes };
        let end = search.end(output, self.look_every);
        tokio::pin!(timeout, end);
        let (mut stopped, mut known) = (None, Signal::Held);
        let mut kills = Kills::default();
        let mut shut_down = false;
        loop {
            let why = tokio::select! {
                // First, so that a container that has ended by itself is never said to have been stopped.
                biased;
                end = &mut end => return (end, stopped),
                signal = self.lease.graver_than(known) => {
                    known = signal;
                    if signal == Signal::Lost { Stop::LeaseLost } else { Stop::Cancel }
                }
                () = self.lease.untrusted(), if stopped != Some(Stop::LeaseLost) => {
                    warn!(container = self.name, "the lease of {} can no longer be trusted: the API was not heard of", self.name);
                    Stop::LeaseLost
                }
                () = self.stops.stopping(), if !shut_down => {
                    shut_down = true;
                    Stop::Shutdown
                }
                () = &mut timeout, if stopped.is_none() => Stop::Timeout,
                () = kills.due() => {
                    if kills.count == 0 {
                        info!(container = self.name, "{} did not end within its grace: killing it", self.name);
                    }
                    if !self.kill_again(&mut kills).await {
                        return (End::Lost("the container could not be killed".into()), stopped);
                    }
                    continue;
                }
            };
            if self.overrules(why, &mut stopped) {
                info!(container = self.name, why = ?why, "stopping {}: {}", self.name, in_words(why));
                kills.at_the_latest(Instant::now() + self.grace_of(why));
                self.send(Kill::Term).await;
            } else {
                // A container in its grace gets less of it.
                kills.at_the_latest(Instant::now() + self.grace_of(why));
            }
        }
    }

    /// Notes why the container is stopped; tells whether it has to be told so.
    fn overrules(&self, why: Stop, stopped: &mut Option<Stop>) -> bool {
        match (why, *stopped) {
            (Stop::LeaseLost, before) => {
                // No heartbeat may mention this lease again: it would keep alive what we are about to end.
                self.lease.forget();
                *stopped = Some(Stop::LeaseLost);
                before.is_none()
            }
            (_, None) => {
                *stopped = Some(why);
                true
            }
            (_, Some(_)) => false,
        }
    }

    fn grace_of(&self, why: Stop) -> Duration {
        match why {
            Stop::Timeout | Stop::Cancel => self.grace,
            Stop::LeaseLost => self.lease.times().fence_grace,
            Stop::Shutdown => self.grace.min(SHUTDOWN_GRACE),
        }
    }

    /// Sends SIGKILL; tells whether there is still hope that it helps.
    async fn kill_again(&self, kills: &mut Kills) -> bool {
        self.send(Kill::Kill).await;
        kills.count += 1;
        let since = *kills.since.get_or_insert_with(Instant::now);
        kills.next = Some(Instant::now() + BURIAL / 6);
        since.elapsed() < BURIAL
    }

    /// Sends a signal: to the container's process where it is known, for that needs nobody else.
    async fn send(&self, kill: Kill) {
        let signal = match kill {
            Kill::Term => rustix::process::Signal::TERM,
            Kill::Kill => rustix::process::Signal::KILL,
        };
        if self.processes.is_some_and(|processes| processes.init.signal(signal).is_ok()) {
            return;
        }
        let sent = tokio::time::timeout(KILL_PATIENCE, self.engine.kill(self.name, kill)).await;
        let sent = sent.unwrap_or_else(|_| Err(no_answer(KILL_PATIENCE)));
        if let Err(error) = sent {
            warn!(container = self.name, error = %error, "cannot send {kill:?} to {}: {error}", self.name);
        }
    }
}

fn no_answer(within: Duration) -> EngineError {
    EngineError::Unreachable(format!("no answer within {within:?}"))
}

/// When SIGKILL is due.
#[derive(Debug, Default)]
struct Kills {
    next: Option<Instant>,
    since: Option<Instant>,
    count: u32,
}

impl Kills {
    fn at_the_latest(&mut self, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    async fn due(&self) {
        match self.next {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

fn in_words(why: Stop) -> &'static str {
    match why {
        Stop::Timeout => "its time is up",
        Stop::Cancel => "the run was cancelled",
        Stop::LeaseLost => "its lease is lost",
        Stop::Shutdown => "the worker stops",
    }
}

/// Finds out how a container ends.
struct Search<'a> {
    engine: &'a dyn Engine,
    name: &'a str,
    processes: Option<Processes>,
}

impl Search<'_> {
    /// Waits for the end.
    ///
    /// The container's output ends when it does, so that is what is waited for; its processes and the engine are looked
    /// at then, and now and then without that. Output that ends while the container goes on is a broken connection, and
    /// is taken up again.
    async fn end(&self, output: &mut Output, look_every: Duration) -> End {
        let (mut away, mut backoff, mut quiet_since) = (Away::default(), Backoff::default(), None);
        loop {
            if output.is_reading() {
                tokio::select! {
                    () = output.ended() => quiet_since = Some(Utc::now()),
                    () = tokio::time::sleep(look_every) => {}
                }
            }
            let (quiet, asked_at) = (!output.is_reading(), Instant::now());
            let phase = match self.phase().await {
                Ok(Phase::Running) if quiet => self.engine.wait(self.name, AFTER_OUTPUT).await,
                phase => phase,
            };
            match phase {
                Ok(Phase::Exited { code, oom_killed, at }) => {
                    if broke_off(quiet_since, at) {
                        let name = self.name;
                        warn!(container = name, "the output of {name} broke off before it ended; some of it is lost");
                        output.note_loss();
                    }
                    return End::Exited(Exit { code, oom_killed });
                }
                Ok(Phase::Orphaned) => return self.orphaned().await,
                Ok(Phase::Created) => {
                    return End::Lost("the container engine forgot that the container was started".into());
                }
                Ok(Phase::Running) if self.has_ended() => {
                    if away.is_over(asked_at, OUTAGE_AT_END) {
                        return End::Lost("the container has ended, and the container engine does not notice".into());
                    }
                    backoff.wait().await;
                }
                Ok(Phase::Running) => {
                    away = Away::default();
                    if quiet && !self.resume(output).await {
                        backoff.wait().await;
                    }
                }
                Err(EngineError::NotFound(_)) => return End::Lost("the container was removed by somebody else".into()),
                Err(error @ (EngineError::Refused(_) | EngineError::Unreachable(_))) => {
                    if self.has_lost_its_monitor() {
                        return self.orphaned().await;
                    }
                    if away.is_over(asked_at, if self.has_ended() { OUTAGE_AT_END } else { OUTAGE }) {
                        return End::Lost(error.to_string());
                    }
                    backoff.wait().await;
                }
            }
        }
    }

    async fn phase(&self) -> Result<Phase, EngineError> {
        let asked = tokio::time::timeout(ASK_PATIENCE, self.engine.phase(self.name)).await;
        asked.unwrap_or_else(|_| Err(no_answer(ASK_PATIENCE)))
    }

    /// Tells whether the container is known to have ended, whatever the engine says.
    fn has_ended(&self) -> bool {
        self.processes.is_some_and(|processes| !processes.init.is_alive())
    }

    fn has_lost_its_monitor(&self) -> bool {
        self.processes.is_some_and(|processes| !processes.monitor.is_alive() && processes.init.is_alive())
    }

    /// Ends a container whose end nobody will tell: the attempt is lost, and must not run on.
    async fn orphaned(&self) -> End {
        let by_process = |processes: Processes| processes.init.signal(rustix::process::Signal::KILL).is_ok();
        if !self.processes.is_some_and(by_process) {
            let _ = tokio::time::timeout(KILL_PATIENCE, self.engine.kill(self.name, Kill::Kill)).await;
        }
        End::Lost("the container's monitor (conmon) is gone".into())
    }

    /// Takes the output up again; tells whether that was possible.
    async fn resume(&self, output: &mut Output) -> bool {
        let name = self.name;
        output.note_loss();
        match self.engine.attach(name).await {
            Ok(frames) => {
                warn!(container = name, "the output of {name} broke off and was taken up again; some of it is lost");
                output.resume(frames);
                true
            }
            Err(error) => {
                warn!(container = name, error = %error, "the output of {name} is lost: {error}");
                false
            }
        }
    }
}

/// Since when the engine has been away.
#[derive(Debug, Default)]
struct Away(Option<Instant>);

impl Away {
    /// Notes that it was away at a moment; tells whether that has lasted too long.
    fn is_over(&mut self, at: Instant, most: Duration) -> bool {
        self.0.get_or_insert(at).elapsed() >= most
    }
}

/// Tells whether a container that ended at `end` can have written after its output did.
fn broke_off(output_end: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>) -> bool {
    matches!((output_end, end), (Some(output_end), Some(end)) if end - output_end > OUTPUT_LAG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_that_ended_before_its_container_did_broke_off() {
        let at = |millis| DateTime::from_timestamp_millis(millis);
        assert!(!broke_off(at(1000), at(972)), "the usual order");
        assert!(!broke_off(at(1000), at(1004)), "as late as was seen");
        assert!(broke_off(at(1000), at(1500)));
        assert!(!broke_off(None, at(1500)) && !broke_off(at(1000), None), "without knowledge no claim");
    }
}
