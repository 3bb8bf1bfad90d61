//! Runs and attempts: their states, how they may follow each other, and how they end.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::artifacts::ArtifactSummary;
use crate::error::Invalid;
use crate::ids::{MatrixId, RunId, RunnerId, TestId};
use crate::labels::Labels;
use crate::logs::LogSummary;
use crate::namespace::Namespace;
use crate::output::OutputNote;
use crate::results::CaseCounts;
use crate::testdef::{Priority, RunConfig};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "db", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word that stands in JSON, in the database and on the wire.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Finds the one of a word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(word: &str) -> Result<Self, String> {
                Self::from_word(word).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|one| one.word()).collect();
                    format!("'{word}' is none of {}", known.join(", "))
                })
            }
        }
    };
}
pub(crate) use words;

words!(
    /// Where a run stands.
    RunState {
        /// It waits for a runner, for its time, or for a retry.
        Queued = "queued",
        /// A runner holds a lease and prepares it; no container has started.
        Leased = "leased",
        /// A container was permitted to start.
        Running = "running",
        /// It has a result; nothing changes any more.
        Finished = "finished",
    }
);

words!(
    /// How a run or an attempt ended.
    RunResult {
        /// The container exited 0.
        Pass = "pass",
        /// The container exited with another code.
        Fail = "fail",
        /// tstr or the infrastructure failed; `reason` says how.
        Error = "error",
        /// The container did not end within the test's timeout.
        TimedOut = "timed_out",
        /// Somebody cancelled it.
        Cancelled = "cancelled",
    }
);

words!(
    /// Why a run ended as it did, where the result alone does not say it; a closed list.
    Reason {
        /// The image is not there and could not be pulled.
        ImageNotFound = "image_not_found",
        /// The engine could not create or start the container.
        StartFailed = "start_failed",
        /// The runner refuses the configuration.
        PolicyRejected = "policy_rejected",
        /// The kernel ended the container for its use of memory.
        OomKilled = "oom_killed",
        /// The engine lost the container while it ran.
        RuntimeLost = "runtime_lost",
        /// The worker crashed and found the attempt when it started again.
        WorkerCrash = "worker_crash",
        /// The runner's disk is full.
        DiskFull = "disk_full",
        /// The worker was not heard of until its lease was over.
        LostWorker = "lost_worker",
        /// Five leases ended without the container being started.
        NeverStarted = "never_started",
        /// The worker went on beyond timeout and grace; the server ended it.
        ServerBackstop = "server_backstop",
        /// No runner took it before its queue deadline.
        QueueExpired = "queue_expired",
        /// A report is required, and there is none that can be read as a whole.
        ReportInvalid = "report_invalid",
    }
);

words!(
    /// What made a run.
    Trigger {
        /// The test's schedule.
        Schedule = "schedule",
        /// A person or a program.
        Manual = "manual",
        /// A retry of a finished run.
        Retry = "retry",
        /// Results that were made elsewhere and uploaded: it never waited, and no runner had it.
        Upload = "upload",
    }
);

impl RunState {
    /// Tells whether a run in this state may go to `next` (the transitions T1 to T13 of `docs/run-lifecycle.md`).
    pub fn may_become(self, next: RunState) -> bool {
        use RunState::{Finished, Leased, Queued, Running};
        matches!(
            (self, next),
            (Queued, Leased | Finished) | (Leased, Running | Queued | Finished) | (Running, Queued | Finished)
        )
    }
}

impl Reason {
    /// Tells whether the fault lies with the infrastructure, so that another attempt is due without the test's doing.
    pub fn is_infrastructure_loss(self) -> bool {
        matches!(self, Self::RuntimeLost | Self::WorkerCrash | Self::DiskFull | Self::LostWorker)
    }
}

/// So many leases that ended before the container was started end the run with `never_started`.
pub const MAX_RELEASES: i16 = 5;

/// How an attempt ended, as its worker reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The result.
    pub result: RunResult,
    /// Why, where the result alone does not say it.
    pub reason: Option<Reason>,
    /// A sentence for people, for instance the engine's error.
    pub message: Option<String>,
    /// The container's exit code.
    pub exit_code: Option<i32>,
    /// The digest of the image that ran.
    pub image_digest: Option<String>,
}

/// One lease of a run and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Attempt {
    /// The number, from 1.
    pub attempt: u16,
    /// The runner that held the lease.
    pub runner_id: RunnerId,
    /// That runner's name.
    pub runner_name: String,
    /// When the lease was given.
    pub leased_at: DateTime<Utc>,
    /// When the container was permitted to start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When the attempt ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended; absent while it is live, and when the lease was given back before the container started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RunResult>,
    /// Why it ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The container's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The digest of the image that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// The attempt's log.
    pub log: LogSummary,
    /// The files that the attempt left behind.
    #[serde(default)]
    pub artifacts: ArtifactSummary,
}

/// One requested execution of one cell of a test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Run {
    /// Names the run.
    pub id: RunId,
    /// The namespace of its test.
    pub namespace: Namespace,
    /// The test.
    pub test_id: TestId,
    /// The test's name when the run was made.
    pub test_name: String,
    /// Names the set of runs that were made together.
    pub matrix_id: MatrixId,
    /// The cell of the matrix; empty without a matrix.
    pub cell: Labels,
    /// What decides placement: the test's labels, the cell's, the trigger's.
    pub labels: Labels,
    /// The test's annotations when the run was made.
    pub annotations: Labels,
    /// What is executed, as it was when the run was made.
    pub run_config: RunConfig,
    /// Where the run stands.
    pub state: RunState,
    /// How it ended; absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RunResult>,
    /// Why it ended so, where the result alone does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// A sentence for people about the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The container's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// It passed after an attempt that failed.
    pub flaky: bool,
    /// Cancelling was asked for; the runner has still to end the container.
    pub cancel_requested: bool,
    /// The number of the latest attempt; 0 before the first.
    pub attempt: u16,
    /// Every attempt so far. Lists leave this out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// The runner of the latest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_id: Option<RunnerId>,
    /// That runner's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_name: Option<String>,
    /// The digest of the image that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// Its place among the waiting runs of the namespace.
    pub priority: Priority,
    /// What made it.
    pub trigger: Trigger,
    /// The instant it was made for: of the schedule, or of the trigger.
    pub scheduled_at: DateTime<Utc>,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
    /// When the latest lease was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased_at: Option<DateTime<Utc>>,
    /// When the container of the latest attempt was permitted to start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
    /// The log of the latest attempt.
    pub log: LogSummary,
    /// The files that the latest attempt left behind.
    #[serde(default)]
    pub artifacts: ArtifactSummary,
    /// How many cases the reports of the latest attempt have; absent when no report was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cases: Option<CaseCounts>,
    /// The result data of the latest attempt: values under their keys. Lists leave this out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub result_data: BTreeMap<String, serde_json::Value>,
    /// What of the latest attempt's result data, metrics and summary was not understood or not kept. Lists leave this out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_notes: Vec<OutputNote>,
    /// Who pinned it, and why; absent when retention may remove it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
}

/// That a run was pinned: retention leaves it alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Kept {
    /// When it was pinned.
    pub at: DateTime<Utc>,
    /// Who pinned it: `token:<id>`.
    pub by: String,
    /// What it is kept for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A request to pin a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct KeepRun {
    /// What it is kept for, at most 500 characters; without it an earlier note stays.
    #[cfg_attr(feature = "schema", schemars(length(max = 500)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl KeepRun {
    /// The most characters of a note.
    pub const MAX_NOTE: usize = 500;

    /// Checks the note.
    pub fn validate(&self) -> Result<(), Invalid> {
        match &self.note {
            Some(note) if note.chars().count() > Self::MAX_NOTE => {
                Err(Invalid::one("/note", format!("a note has at most {} characters", Self::MAX_NOTE)))
            }
            _ => Ok(()),
        }
    }
}

/// A request to run a test now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TriggerRun {
    /// Labels that override those of the test and of the cell.
    pub labels: Labels,
    /// Environment variables that override those of the test.
    pub env: Labels,
    /// Only the cells that have all of these labels.
    pub matrix: Labels,
    /// Overrides the test's priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Not before this instant, at most a year ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
}

/// The runs that one trigger made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Triggered {
    /// Names the set.
    pub matrix_id: MatrixId,
    /// The runs, one for each cell, in the order of the cells.
    pub runs: Vec<Run>,
}

/// How a run is made again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RetryRun {
    /// Name the cases that failed to the container, in `TSTR_FAILED_CASES`, so that it can run them alone.
    pub failed_cases: bool,
}

/// A run that was made like another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Retried {
    /// The new run.
    #[serde(flatten)]
    pub run: Run,
    /// What is not as it was asked for, for instance that there are too many failed cases to be named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// How runs that were made together are made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RetryMatrix {
    /// Only the cells whose latest run ended with `fail`, `error` or `timed_out`; with false all that have finished.
    pub only_failed: bool,
    /// Name the cases that failed to the containers, in `TSTR_FAILED_CASES`, so that they can run them alone.
    pub failed_cases: bool,
}

impl Default for RetryMatrix {
    fn default() -> Self {
        Self { only_failed: true, failed_cases: false }
    }
}

/// Runs that were made like others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RetriedMatrix {
    /// The new set.
    #[serde(flatten)]
    pub made: Triggered,
    /// What is not as it was asked for, for instance that there are too many failed cases to be named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One change of a run's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunEvent {
    /// Orders the events of a run.
    pub id: i64,
    /// When, by the database's clock.
    pub at: DateTime<Utc>,
    /// The state before; absent when the run was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<RunState>,
    /// The state after.
    pub to: RunState,
    /// The attempt it concerns; 0 before the first.
    pub attempt: u16,
    /// The result, on the last event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RunResult>,
    /// Why, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Who: `token:<id>`, `runner:<id>`, `scheduler` or `reaper`.
    pub actor: String,
}

/// Which runs a list holds; every condition that is given must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunFilter {
    /// Runs of this test: an id or a name.
    pub test: Option<String>,
    /// Runs whose latest attempt is on this runner.
    pub runner: Option<RunnerId>,
    /// Runs in one of these states.
    pub states: Vec<RunState>,
    /// Runs with one of these results.
    pub results: Vec<RunResult>,
    /// Runs that have all of these labels.
    pub labels: Labels,
    /// Runs that were made together.
    pub matrix_id: Option<MatrixId>,
    /// Runs that are pinned, or those that are not.
    pub kept: Option<bool>,
    /// Scheduled after (exclusive).
    pub scheduled_after: Option<DateTime<Utc>>,
    /// Scheduled before (exclusive).
    pub scheduled_before: Option<DateTime<Utc>>,
    /// Started after (exclusive).
    pub started_after: Option<DateTime<Utc>>,
    /// Started before (exclusive).
    pub started_before: Option<DateTime<Utc>>,
    /// Finished after (exclusive).
    pub finished_after: Option<DateTime<Utc>>,
    /// Finished before (exclusive).
    pub finished_before: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_run_never_moves_again() {
        assert!(RunState::ALL.iter().all(|next| !RunState::Finished.may_become(*next)));
    }

    #[test]
    fn every_state_leads_to_finished_and_none_to_itself() {
        for state in RunState::ALL {
            assert!(!state.may_become(*state));
            assert!(*state == RunState::Finished || state.may_become(RunState::Finished));
        }
    }

    #[test]
    fn a_note_is_counted_in_characters() {
        let kept = |note: String| KeepRun { note: Some(note) }.validate();
        assert!(kept("ä".repeat(KeepRun::MAX_NOTE)).is_ok());
        assert_eq!(kept("ä".repeat(KeepRun::MAX_NOTE + 1)).unwrap_err().errors[0].pointer, "/note");
    }

    #[test]
    fn words_in_json_are_the_words() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.word());
            assert_eq!(Reason::from_word(reason.word()), Some(*reason));
        }
        for result in RunResult::ALL {
            assert_eq!(serde_json::to_value(result).unwrap(), result.word());
        }
        assert!("passed".parse::<RunResult>().unwrap_err().contains("pass, fail"));
    }
}
