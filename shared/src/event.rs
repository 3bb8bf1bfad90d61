//! What a stream of events tells: that something changed, so that whoever shows it reads it anew.
//!
//! Events are thin: they name what changed and never carry what it is now. Changes of runs are numbered and come each once
//! and in order; `Last-Event-ID` brings those that were missed. The other kinds say only «look again» and have no number:
//! they come once at the beginning of a stream that goes on, and then with each change.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{RunId, RunnerId, TestId};
use crate::namespace::Namespace;
use crate::run::{RunResult, RunState, words};
use crate::runner::RunnerState;

/// For how many hours events of runs can be asked for again.
pub const REPLAY_HOURS: i64 = 24;

words!(
    /// What a stream of events is about.
    Topic {
        /// Runs that are made, begin and end.
        Runs = "runs",
        /// How tests are, from the runs that were summed up, and what they are.
        Tests = "tests",
        /// Runners that come, go, drain and resume.
        Runners = "runners",
        /// That what waits has changed.
        Queue = "queue",
    }
);

words!(
    /// Why a stream begins anew: everything that is shown has to be read again.
    ResetReason {
        /// The id is of another server, or of none.
        Unknown = "unknown",
        /// The id is older than 24 hours.
        TooOld = "too_old",
        /// More was missed than is told one by one.
        TooMany = "too_many",
        /// The reader did not keep up; the stream ends here.
        TooSlow = "too_slow",
        /// The database was put back to an earlier time.
        Restored = "restored",
    }
);

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)?) => {
        /// What an event says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum EventKind { $($(#[$doc])* #[serde(rename = $word)] $variant),+ }

        impl EventKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word that stands in `event:`.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

kinds! {
    /// The stream has begun: what happens from here on is told. Whoever did not go on from an id reads everything now.
    Ready = "ready",
    /// Something was missed: everything is to be read again. `reason` says why.
    Reset = "reset",
    /// Nothing is told, and the stream has come to this `id`: going on from there costs least. Among server-sent events it is a bare
    /// `id:`, which browsers note and do not show.
    Here = "here",
    /// A run waits: it was made, or waits for another attempt.
    RunQueued = "run.queued",
    /// A runner has taken a run.
    RunLeased = "run.leased",
    /// A container of a run has started.
    RunStarted = "run.started",
    /// A run has a result.
    RunFinished = "run.finished",
    /// A run was cancelled, and has ended by that.
    RunCancelled = "run.cancelled",
    /// Runs changed, more than are told one by one.
    RunMany = "run.many",
    /// A test is to be looked at again: its latest runs were summed up, or it was changed; without a test, all of them.
    TestStateChanged = "test.state_changed",
    /// A test became healthy, flaky or broken. `test.state_changed` comes with it.
    TestFlakyChanged = "test.flaky_changed",
    /// A runner came, went, drains or takes runs again; without a runner, all of them.
    RunnerStateChanged = "runner.state_changed",
    /// A runner has stopped saying that it is there, without having been drained. `runner.state_changed` comes with it.
    RunnerLost = "runner.lost",
    /// What waits has changed; at most once a second.
    QueueChanged = "queue.changed",
}

impl FromStr for EventKind {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|kind| kind.word() == word).copied();
        found.ok_or_else(|| format!("'{word}' is no kind of event"))
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// From where on a stream can go on; only of what is numbered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it says.
    pub event: EventKind,
    /// The namespace.
    pub namespace: Namespace,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The test, or that of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<TestId>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_name: Option<String>,
    /// The state that the run is in since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RunState>,
    /// The result of the run, if it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RunResult>,
    /// The attempt of the run; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u16>,
    /// The runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerId>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_name: Option<String>,
    /// The state that the runner is in since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_state: Option<RunnerState>,
    /// Why the stream begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ResetReason>,
}

impl Event {
    /// Makes an event about nothing in particular.
    pub fn new(event: EventKind, namespace: Namespace, at: DateTime<Utc>) -> Self {
        Self {
            id: None,
            event,
            namespace,
            at,
            run: None,
            test: None,
            test_name: None,
            state: None,
            result: None,
            attempt: None,
            runner: None,
            runner_name: None,
            runner_state: None,
            reason: None,
        }
    }
}

impl EventKind {
    /// Returns what a run that came into a state is told as.
    pub fn of_run(state: RunState, result: Option<RunResult>) -> Self {
        match (state, result) {
            (RunState::Queued, _) => Self::RunQueued,
            (RunState::Leased, _) => Self::RunLeased,
            (RunState::Running, _) => Self::RunStarted,
            (RunState::Finished, Some(RunResult::Cancelled)) => Self::RunCancelled,
            (RunState::Finished, _) => Self::RunFinished,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_of_letters_underscores_and_dots() {
        for kind in EventKind::ALL {
            assert!(kind.word().chars().all(|c| c.is_ascii_lowercase() || "_.".contains(c)), "{kind}");
            assert_eq!(kind.word().parse(), Ok(*kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
        assert!("run".parse::<EventKind>().is_err());
    }

    #[test]
    fn a_thin_event_says_no_more_than_it_has_to() {
        let event = Event::new(EventKind::QueueChanged, Namespace::parse("shop").unwrap(), DateTime::UNIX_EPOCH);
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(text, r#"{"event":"queue.changed","namespace":"shop","at":"1970-01-01T00:00:00Z"}"#);
    }
}
