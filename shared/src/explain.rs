//! Why a run waits, or why it ended as it did; and what waits in a namespace.
//!
//! Every answer has a word for programs and a sentence for people. The words are closed lists; the sentences may change.

mod sentences;
mod waiting;

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{RunId, RunnerId};
use crate::labels::Labels;
use crate::namespace::Namespace;
use crate::run::{Attempt, Reason, Run, RunResult, RunState, words};
use crate::runner::{Runner, RunnerState, Unfit};
use crate::selector::Misfit;
use crate::testdef::Priority;

pub use sentences::{attempt_words, ended_words};
pub use waiting::{Gate, QueueFacts, why_no_runner, why_waiting};

/// How many runners an explanation lists at most; the counts are over all.
pub const MAX_RUNNERS: usize = 100;
/// Up to how many runs are counted one by one.
pub const MAX_COUNT: u32 = 1000;

words!(
    /// What keeps a run from being taken, or what it does instead.
    Why {
        /// It was put off until an instant.
        NotBefore = "not_before",
        /// An attempt was lost; the next one waits for its time.
        Backoff = "backoff",
        /// Other runs of its concurrency group hold all the places of the group.
        Concurrency = "concurrency",
        /// Other cells of its matrix hold all the places that `max_parallel` gives.
        MaxParallel = "max_parallel",
        /// No runner that takes runs of the namespace has ever registered.
        NoRunner = "no_runner",
        /// No known runner could ever take it.
        NoRunnerCould = "no_runner_could",
        /// Runners could take it, but none of them is live and takes new runs.
        NoLiveRunner = "no_live_runner",
        /// The namespace has as many runs running as its quota allows.
        NamespaceCap = "namespace_cap",
        /// Every live runner that could take it is full.
        AtCapacity = "at_capacity",
        /// Other runs come before it.
        Line = "line",
        /// Nothing keeps it; the next claim of a runner takes it.
        Ready = "ready",
        /// A runner prepares it.
        Preparing = "preparing",
        /// Its container runs.
        Executing = "executing",
        /// Cancelling was asked for; its runner has still to end the container.
        Cancelling = "cancelling",
        /// Its lease ran out; it is about to be taken back.
        LeaseOver = "lease_over",
        /// It has ended.
        Ended = "ended",
    }
);

words!(
    /// The first thing that keeps a runner from taking a run.
    Verdict {
        /// Nothing does.
        CouldTake = "could_take",
        /// Its token does not cover the namespace.
        Namespace = "namespace",
        /// A reject selector matches a label.
        Rejected = "rejected",
        /// No accept selector matches a label.
        NotAccepted = "not_accepted",
        /// It was not heard of lately.
        NotLive = "not_live",
        /// It finishes what it has and takes nothing new.
        Draining = "draining",
        /// The disk that it keeps logs on has too little room.
        DiskLow = "disk_low",
        /// Its machine broke several runs in a row; one is tried now and then.
        Breaker = "breaker",
        /// All its slots are used.
        AtCapacity = "at_capacity",
    }
);

/// A number of things that were counted up to a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Counted {
    /// How many there are, or were counted.
    pub count: u32,
    /// There are more than were counted.
    pub more: bool,
}

/// One reason for where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Because {
    /// The reason, as a word.
    pub why: Why,
    /// The reason, for people.
    pub sentence: String,
    /// Until when it holds, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// How many there are of what is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<Counted>,
    /// How many there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The concurrency group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

impl Because {
    /// Makes a reason.
    pub fn new(why: Why, sentence: impl Into<String>) -> Self {
        Self { why, sentence: sentence.into(), until: None, count: None, limit: None, group: None }
    }

    /// Adds until when it holds.
    pub fn until(self, until: DateTime<Utc>) -> Self {
        Self { until: Some(until), ..self }
    }

    /// Adds how many there are, of how many there may be.
    pub fn counted(self, count: Counted, limit: Option<u32>) -> Self {
        Self { count: Some(count), limit, ..self }
    }

    /// Adds the concurrency group.
    pub fn in_group(self, group: impl Into<String>) -> Self {
        Self { group: Some(group.into()), ..self }
    }
}

/// What keeps one runner from taking a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunnerVerdict {
    /// The runner.
    pub runner_id: RunnerId,
    /// Its name.
    pub runner_name: String,
    /// Whether it can be given runs.
    pub state: RunnerState,
    /// The first thing that keeps it from taking the run, as a word.
    pub verdict: Verdict,
    /// The same for people.
    pub sentence: String,
    /// The label that does not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The value of that label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The pattern that rejects the label or does not accept it; absent where no selector is for its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// How many runs it holds now.
    pub slots_used: u16,
    /// How many runs it executes at once.
    pub slots: u16,
    /// When it was last heard of.
    pub last_seen_at: DateTime<Utc>,
}

impl RunnerVerdict {
    /// Judges a runner: what never changes first, then whether it is there, then whether it has room.
    pub fn of(runner: &Runner, fits: &Result<(), Misfit>) -> Self {
        let verdict = match (fits, runner.state) {
            (Err(Misfit::Namespace { .. }), _) => Verdict::Namespace,
            (Err(Misfit::Rejected { .. }), _) => Verdict::Rejected,
            (Err(Misfit::NotAccepted { .. }), _) => Verdict::NotAccepted,
            (Ok(()), RunnerState::Offline) => Verdict::NotLive,
            (Ok(()), RunnerState::Draining) => Verdict::Draining,
            (Ok(()), RunnerState::Live) if runner.unfit == Some(Unfit::DiskLow) => Verdict::DiskLow,
            (Ok(()), RunnerState::Live) if runner.unfit == Some(Unfit::Breaker) => Verdict::Breaker,
            (Ok(()), RunnerState::Live) if runner.slots_used >= runner.slots => Verdict::AtCapacity,
            (Ok(()), RunnerState::Live) => Verdict::CouldTake,
        };
        let (key, value, pattern) = match fits {
            Err(Misfit::Rejected { key, value, pattern }) => (Some(key), Some(value), Some(pattern.clone())),
            Err(Misfit::NotAccepted { key, value, pattern }) => (Some(key), Some(value), pattern.clone()),
            Err(Misfit::Namespace { .. }) | Ok(()) => (None, None, None),
        };
        Self {
            runner_id: runner.id,
            runner_name: runner.name.clone(),
            state: runner.state,
            verdict,
            sentence: sentences::verdict_words(runner, verdict, fits),
            key: key.cloned(),
            value: value.cloned(),
            pattern,
            slots_used: runner.slots_used,
            slots: runner.slots,
            last_seen_at: runner.last_seen_at,
        }
    }
}

impl Verdict {
    /// Tells whether the runner could take the run at another time, as it is registered now.
    pub fn is_passing(self) -> bool {
        match self {
            Self::CouldTake | Self::NotLive | Self::Draining | Self::DiskLow | Self::Breaker | Self::AtCapacity => true,
            Self::Namespace | Self::Rejected | Self::NotAccepted => false,
        }
    }
}

/// How many runners there are of one verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerdictCount {
    /// The verdict.
    pub verdict: Verdict,
    /// The label that does not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How many runners.
    pub runners: u32,
}

/// What is known of a run that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Waiting {
    /// Since when: it was made, or its last attempt ended.
    pub since: DateTime<Utc>,
    /// When it ends with `queue_expired` if nobody has taken it by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DateTime<Utc>>,
    /// How many runs with the same labels come before it; absent while it waits for its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Counted>,
    /// How many of the runners that the caller sees there are of each verdict.
    pub counts: Vec<VerdictCount>,
    /// What keeps each runner from taking it; live ones first, at most 100.
    pub runners: Vec<RunnerVerdict>,
}

/// What is known of the lease of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LeaseStory {
    /// The runner that holds it.
    pub runner_id: RunnerId,
    /// That runner's name.
    pub runner_name: String,
    /// The number of the attempt.
    pub attempt: u16,
    /// When it was given.
    pub leased_at: DateTime<Utc>,
    /// When the container was permitted to start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it runs out, unless its runner sends a heartbeat before.
    pub expires_at: DateTime<Utc>,
    /// When the server ends the run if its runner has not reported by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard_deadline: Option<DateTime<Utc>>,
    /// When cancelling was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_requested_at: Option<DateTime<Utc>>,
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AttemptStory {
    /// The number, from 1.
    pub attempt: u16,
    /// The runner.
    pub runner_name: String,
    /// How it ended; absent while it goes on, and when the lease was given back before the container started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RunResult>,
    /// Why it ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What happened, for people.
    pub sentence: String,
}

impl From<&Attempt> for AttemptStory {
    fn from(attempt: &Attempt) -> Self {
        Self {
            attempt: attempt.attempt,
            runner_name: attempt.runner_name.clone(),
            result: attempt.result,
            reason: attempt.reason,
            sentence: attempt_words(attempt),
        }
    }
}

/// Why a run waits, what it does, or why it ended as it did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Explanation {
    /// The run.
    pub run_id: RunId,
    /// Its namespace.
    pub namespace: Namespace,
    /// The name of its test.
    pub test_name: String,
    /// The labels that decide its placement.
    pub labels: Labels,
    /// Where it stands.
    pub state: RunState,
    /// The instant that the explanation holds for, by the database's clock.
    pub as_of: DateTime<Utc>,
    /// All of it in a sentence.
    pub summary: String,
    /// The reasons, the weightiest first.
    pub reasons: Vec<Because>,
    /// While it waits: since when, how long, and what keeps each runner from taking it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// While a runner holds it: which, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseStory>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RunResult>,
    /// Why it ended so, where the result alone does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// A sentence about the end, from its runner or the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What became of each attempt.
    pub attempts: Vec<AttemptStory>,
}

impl Explanation {
    /// Begins an explanation from what a run says of itself.
    pub fn of(run: &Run, as_of: DateTime<Utc>) -> Self {
        Self {
            run_id: run.id,
            namespace: run.namespace.clone(),
            test_name: run.test_name.clone(),
            labels: run.labels.clone(),
            state: run.state,
            as_of,
            summary: String::new(),
            reasons: Vec::new(),
            waiting: None,
            lease: None,
            result: run.result,
            reason: run.reason,
            message: run.message.clone(),
            attempts: run.attempts.iter().map(AttemptStory::from).collect(),
        }
    }

    /// Adds the reasons; the first is the summary.
    pub fn because(mut self, reasons: Vec<Because>) -> Self {
        self.summary = match reasons.first() {
            Some(first) => sentences::summary(self.state, &first.sentence),
            None => sentences::summary(self.state, "it stands in no line at this moment"),
        };
        Self { reasons, ..self }
    }
}

/// How many runs of one priority wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PriorityDepth {
    /// The priority.
    pub priority: Priority,
    /// How many runs could be taken now.
    pub depth: Counted,
    /// Since when the run that is next could be taken.
    pub oldest: DateTime<Utc>,
}

/// The waiting runs of a namespace that have the same labels, which is to say the same runners.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QueueClass {
    /// The labels.
    pub labels: Labels,
    /// How many runs could be taken now, counted up to 1000 for each priority.
    pub depth: Counted,
    /// The same by priority, the most pressing first; those without a run are left out.
    pub priorities: Vec<PriorityDepth>,
    /// Since when the run that waits longest could be taken; absent when none can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<DateTime<Utc>>,
    /// How many more runs wait for their time: put off, or between two attempts.
    pub delayed: Counted,
    /// When the next of these may be taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due: Option<DateTime<Utc>>,
    /// How many more runs wait behind a gate: for a slot of their concurrency group, their cell or their matrix.
    #[serde(default)]
    pub gated: Counted,
    /// How many live runners take runs with these labels, full ones included.
    pub live_runners: u32,
    /// How many known runners, live or not, could.
    pub known_runners: u32,
    /// Why no live runner takes these runs; absent when one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stranded: Option<Because>,
}

impl Counted {
    /// Makes a count out of things that were looked for up to the limit and one more.
    pub fn up_to(limit: u32, found: i64) -> Self {
        let limit_found = i64::from(limit);
        Self { count: u32::try_from(found.clamp(0, limit_found)).unwrap_or(limit), more: found > limit_found }
    }

    /// Adds two counts.
    pub fn plus(self, other: Self) -> Self {
        Self { count: self.count.saturating_add(other.count), more: self.more || other.more }
    }

    /// Tells whether there is none.
    pub fn is_none(self) -> bool {
        self.count == 0 && !self.more
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count, if self.more { "+" } else { "" })
    }
}

#[cfg(test)]
mod tests;
