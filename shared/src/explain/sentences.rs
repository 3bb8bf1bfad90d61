//! The sentences about ends, attempts and runners. They are for people; programs go by the words.

use chrono::{DateTime, SecondsFormat, Utc};

use super::{Because, LeaseStory, Verdict, Why};
use crate::run::{Attempt, Reason, Run, RunResult, RunState};
use crate::runner::Runner;
use crate::selector::Misfit;

/// Shows an instant, to the second.
pub(super) fn at(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Shows a number of things.
pub(super) fn some(count: u32, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Begins the sentence that stands for the whole explanation.
pub(super) fn summary(state: RunState, first: &str) -> String {
    match state {
        RunState::Queued => format!("it waits: {first}"),
        RunState::Leased | RunState::Running | RunState::Finished => first.to_owned(),
    }
}

/// Says what keeps a runner from taking a run.
pub(super) fn verdict_words(runner: &Runner, verdict: Verdict, fits: &Result<(), Misfit>) -> String {
    let slots = format!("{}/{} slots", runner.slots_used, runner.slots);
    match (fits, verdict) {
        (Err(misfit), _) => misfit.to_string(),
        (Ok(()), Verdict::NotLive) => format!("it is not live: last heard of at {}", at(runner.last_seen_at)),
        (Ok(()), Verdict::Draining) => "it is draining: it takes nothing new".to_owned(),
        (Ok(()), Verdict::DiskLow) => "it is not fit (disk_low): its disk has too little room for logs".to_owned(),
        (Ok(()), Verdict::Breaker) => {
            "it is not fit (breaker): its machine broke several runs in a row; one is tried now and then".to_owned()
        }
        (Ok(()), Verdict::AtCapacity) => format!("it is at capacity: {slots} used"),
        (Ok(()), Verdict::CouldTake | Verdict::Namespace | Verdict::Rejected | Verdict::NotAccepted) => {
            format!("it could take it: {slots} used")
        }
    }
}

impl LeaseStory {
    /// Says what a run does under this lease, the weightiest first. `by` is who asked for its cancelling.
    pub fn reasons(&self, by: Option<&str>, now: DateTime<Utc>) -> Vec<Because> {
        let (on, attempt, mut reasons) = (&self.runner_name, self.attempt, Vec::new());
        if self.expires_at < now {
            let sentence =
                format!("the lease of {on} ran out at {}; it is about to be taken back", at(self.expires_at));
            reasons.push(Because::new(Why::LeaseOver, sentence));
        }
        if let Some(asked_at) = self.cancel_requested_at {
            let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
            let sentence =
                format!("cancelling was asked for{by} at {}; {on} has still to end the container", at(asked_at));
            reasons.push(Because::new(Why::Cancelling, sentence));
        }
        reasons.push(match self.started_at {
            Some(started_at) => {
                let sentence = format!("its container runs on {on} since {}, in attempt {attempt}", at(started_at));
                Because::new(Why::Executing, sentence)
            }
            None => {
                let since = at(self.leased_at);
                let sentence =
                    format!("{on} prepares it since {since}, for attempt {attempt}; no container has started");
                Because::new(Why::Preparing, sentence)
            }
        });
        reasons
    }
}

/// Says what a reason means; `image` is the run's.
fn reason_words(reason: Reason, image: Option<&str>) -> String {
    let words = match reason {
        Reason::ImageNotFound => {
            let image = image.map(|image| format!(" {image}")).unwrap_or_default();
            return format!("the image{image} is not there and could not be pulled");
        }
        Reason::StartFailed => "the container could not be created or started, or its command is not there",
        Reason::PolicyRejected => "the runner refuses the configuration",
        Reason::OomKilled => "the kernel ended the container for its use of memory",
        Reason::RuntimeLost => "the engine lost the container, or the worker was stopped before it ended",
        Reason::WorkerCrash => "the worker crashed, and found the attempt when it started again",
        Reason::DiskFull => "the runner's disk is full",
        Reason::LostWorker => "the worker was not heard of until its lease was over",
        Reason::NeverStarted => "five leases ended without the container being started",
        Reason::ServerBackstop => "the worker went on beyond timeout and grace, so the server ended it",
        Reason::QueueExpired => "no runner took it before its queue deadline",
        Reason::ReportInvalid => "a test report is required, and there is none that could be read as a whole",
    };
    words.to_owned()
}

/// Says how long something took: `3.2s`, `15m`, `2h5m`.
fn took(from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    let millis = (to - from).num_milliseconds().max(0);
    match millis / 1000 {
        0..60 => format!("{}.{}s", millis / 1000, millis % 1000 / 100),
        secs @ 60..3600 => format!("{}m{}s", secs / 60, secs % 60),
        secs => format!("{}h{}m", secs / 3600, secs % 3600 / 60),
    }
}

/// Says why a run ended as it did. `by` is who made its last event.
pub fn ended_words(run: &Run, by: Option<&str>) -> String {
    let attempt = if run.attempt > 1 { format!(" in attempt {}", run.attempt) } else { String::new() };
    let code = run.exit_code.map(|code| format!("the container exited with {code}"));
    let why = run.reason.map(|reason| reason_words(reason, Some(&run.run_config.container_image)));
    let sentence = match run.result {
        None => "it has ended".to_owned(),
        Some(RunResult::Pass) if run.flaky => format!("it passed{attempt}, after an attempt that did not"),
        Some(RunResult::Pass) => format!("it passed{attempt}: the container exited with 0"),
        Some(RunResult::Fail) => {
            let why = why.or(code).unwrap_or_else(|| "the container did not exit with 0".to_owned());
            format!("it failed{attempt}: {why}")
        }
        Some(RunResult::TimedOut) => {
            let timeout = run.run_config.timeout;
            let why = why.unwrap_or_else(|| format!("the container did not end within its timeout of {timeout}"));
            format!("it timed out{attempt}: {why}")
        }
        Some(RunResult::Cancelled) => {
            let when =
                if run.started_at.is_some() { "while its container ran" } else { "before its container started" };
            // A cancel of a running container is asked for by a token and reported by the runner.
            let by = by.filter(|by| by.starts_with("token:")).map(|by| format!(" by {by}")).unwrap_or_default();
            format!("it was cancelled{by} {when}")
        }
        Some(RunResult::Error) => {
            let why = why.or(code).unwrap_or_else(|| "its runner did not say why".to_owned());
            format!("it ended with an error{attempt}: {why}")
        }
    };
    match run.message.as_deref().map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => format!("{sentence} ({message})"),
        None => sentence,
    }
}

/// Says what became of an attempt.
pub fn attempt_words(attempt: &Attempt) -> String {
    let on = &attempt.runner_name;
    let why = attempt.reason.map(|reason| reason_words(reason, None));
    let Some(ended_at) = attempt.ended_at else {
        return match attempt.started_at {
            Some(started_at) => format!("its container runs on {on} since {}", at(started_at)),
            None => format!("{on} prepares it since {}", at(attempt.leased_at)),
        };
    };
    let after = match attempt.started_at {
        Some(started_at) => format!(" after {}", took(started_at, ended_at)),
        None => " before its container started".to_owned(),
    };
    let code = attempt
        .exit_code
        .map_or_else(|| "the container ended".to_owned(), |code| format!("the container exited with {code}"));
    let sentence = match attempt.result {
        None => {
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            format!("{on} gave it back before its container started{why}")
        }
        Some(RunResult::Pass) => format!("it passed on {on}{after}: {code}"),
        Some(RunResult::Fail) => format!("it failed on {on}{after}: {}", why.unwrap_or(code)),
        Some(RunResult::TimedOut) => {
            let why = why.unwrap_or_else(|| "the container did not end within its timeout".to_owned());
            format!("it timed out on {on}{after}: {why}")
        }
        Some(RunResult::Cancelled) => format!("it was cancelled on {on}{after}"),
        Some(RunResult::Error) => {
            let why = why.unwrap_or_else(|| "its runner did not say why".to_owned());
            format!("an error ended it on {on}{after}: {why}")
        }
    };
    match attempt.message.as_deref().map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => format!("{sentence} ({message})"),
        None => sentence,
    }
}
