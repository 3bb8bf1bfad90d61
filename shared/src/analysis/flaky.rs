//! Healthy, flaky or broken: what the history of one test or one case in one cell says, and why.
//!
//! Three signals speak of flakiness: a run that passed after a failed attempt (as CTRF, nextest and Surefire define
//! "flaky"), a pass and a failure of the same subject version, and a result that flips or fails too often over a
//! window. A fourth speaks of a break: failures in a row. Each is watched by a [`Monitor`], which activates and
//! resolves by itself, with hysteresis; the most severe active monitor gives the [`Status`] (the scheme of Trunk's and
//! Datadog's flaky-test monitors). Three rules keep the signals apart:
//!
//! - **Guard.** A run in which nearly everything failed, or whose control failed, says nothing of flakiness
//!   ([`Guard`]); with a failed control it says nothing at all.
//! - **Broken is not flaky.** Failures in a row that made a break are explained by it, and those of a subject version
//!   that was executed more than once and never passed are explained by the subject. Both are taken out of the windows
//!   of the rate and of the transitions; otherwise a break that was mended would read as flaky until it has left the
//!   windows (the trap of allure3 #200). Failures in a row that still go on wait for the verdict.
//! - **A passing retry is a signal by itself**, whatever the final results look like (the trap of allure2 #910).
//!
//! [`assess`] looks at the recent trials and at what was said before; it does not depend on the order in which
//! they are given, and trials that are given twice count once, so a late or repeated event does no harm.
//! Everything it decides comes back as data ([`MonitorFinding`]): which monitor, which runs, which figures.

#[cfg(any(test, feature = "arbitrary"))]
pub mod generate;
mod guard;
mod monitor;
mod rules;

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Observed;
use crate::ids::RunId;
use crate::run::words;

pub use guard::{Control, Exclusion, Guard};
pub use monitor::transition_score;
pub use rules::{Monitor, Recovery, Rule, Rules};

words!(
    /// What a test or a case is, the least severe first.
    Status {
        /// No monitor is active.
        Healthy = "healthy",
        /// It passes and fails without a reason that lies in its subject.
        Flaky = "flaky",
        /// It fails.
        Broken = "broken",
    }
);

words!(
    /// How an evaluation changed a monitor.
    MonitorChange {
        /// It became active.
        Activated = "activated",
        /// It is no longer active.
        Resolved = "resolved",
    }
);

words!(
    /// Why a monitor resolved.
    Resolution {
        /// The figure fell to the lower threshold.
        Below = "below",
        /// Enough time or enough clean trials went by without a signal.
        Recovered = "recovered",
        /// It was not executed for so long that nothing can be said.
        Stale = "stale",
    }
);

/// One trial of a test or of a case, in one cell: a run, with all its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The run.
    pub run_id: RunId,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// What its last attempt says that the infrastructure did not end.
    pub observed: Observed,
    /// How many attempts before the last one failed by the test's own doing.
    pub failed_attempts: u16,
    /// What was tested: image digest and, where it is declared, revision; absent when the subject cannot be known (it
    /// is remote and has no revision).
    pub subject: Option<String>,
    /// Why the guard keeps it out of flakiness.
    pub excluded: Option<Exclusion>,
}

/// What is kept of a monitor between evaluations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MonitorState {
    /// The monitor's name.
    pub monitor: String,
    /// Whether it is active.
    pub active: bool,
    /// Since when it is, or is not.
    pub since: DateTime<Utc>,
    /// When the latest signal came, for the monitors that wait for signals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_signal_at: Option<DateTime<Utc>>,
}

/// The figures that a monitor decided by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MonitorFigures {
    /// Trials that it looked at.
    pub trials: u32,
    /// How many of them passed.
    pub passes: u32,
    /// How many of them failed.
    pub failures: u32,
    /// How often a pass was followed by a failure.
    pub transitions: u32,
    /// Signals: passing retries, or contradictions about one subject.
    pub signals: u32,
    /// Clean passes since the latest signal.
    pub clean: u32,
    /// Trials that the guard kept out.
    pub excluded: u32,
    /// Failures that a break or the subject explains and that were therefore kept out of rates and transitions.
    pub explained: u32,
    /// What is compared with the thresholds: a rate, a score, failures in a row, or clean passes since the latest signal.
    pub value: f64,
    /// The value from which it activates.
    pub activate: f64,
    /// The value at which it resolves.
    pub resolve: f64,
}

/// What a monitor says after an evaluation, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MonitorFinding {
    /// The monitor's name.
    pub monitor: String,
    /// The status that it gives while it is active.
    pub marks: Status,
    /// It only labels: its status has no consequences.
    pub dry_run: bool,
    /// What is kept until the next evaluation.
    pub state: MonitorState,
    /// How the evaluation changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<MonitorChange>,
    /// Why it resolved, when it just did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// The figures.
    pub figures: MonitorFigures,
    /// The runs that speak for it, the newest first, at most [`MAX_RUNS`].
    pub runs: Vec<RunId>,
}

/// How many runs a finding names at most.
pub const MAX_RUNS: usize = 20;

/// What all monitors together say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Assessment {
    /// The status, with its consequences: that of the most severe active monitor that is not in a dry run.
    pub status: Status,
    /// The status that is shown: that of the most severe active monitor.
    pub label: Status,
    /// What each monitor says, in the order of the rules.
    pub findings: Vec<MonitorFinding>,
}

impl Assessment {
    /// Returns what is to be kept until the next evaluation.
    pub fn states(&self) -> Vec<MonitorState> {
        self.findings.iter().map(|finding| finding.state.clone()).collect()
    }
}

impl MonitorFinding {
    /// Returns the finding as a sentence for people.
    pub fn sentence(&self) -> String {
        let MonitorFigures { trials, passes, failures, transitions, signals, clean, value, .. } = self.figures;
        let seen = format!("{failures} failures and {passes} passes in {trials} trials");
        let figure =
            format!("{value:.3}, active from {:.3}, over at {:.3}", self.figures.activate, self.figures.resolve);
        let is = match (self.state.active, self.resolution) {
            (true, _) => format!("says {}", self.marks),
            (false, Some(Resolution::Stale)) => "has no recent trials to go by".to_owned(),
            (false, _) => format!("does not say {}", self.marks),
        };
        let signals = format!("{signals} signals, {clean} clean passes since the latest, {transitions} transitions");
        format!("{} {is}: {seen}; {signals}; {figure}", self.monitor)
    }
}

/// Evaluates every monitor on the recent trials of one test or case in one cell.
///
/// `recent` should reach back as far as [`Rules::reach`] says; with less, monitors resolve later than they could.
/// `before` is what [`Assessment::states`] returned last, or nothing. `now` is the instant of the evaluation.
/// The time is `O(n log n)` in the number of trials.
pub fn assess(rules: &Rules, recent: &[Trial], before: &[MonitorState], now: DateTime<Utc>) -> Assessment {
    let history = monitor::History::new(recent, rules.break_length());
    let findings: Vec<MonitorFinding> = rules
        .monitors
        .iter()
        .map(|monitor| {
            let state = before.iter().find(|state| state.monitor == monitor.name);
            monitor::evaluate(monitor, &history, state, now)
        })
        .collect();
    let worst = |dry_runs: bool| {
        let active = findings.iter().filter(|finding| finding.state.active && (dry_runs || !finding.dry_run));
        active.map(|finding| finding.marks).max().unwrap_or(Status::Healthy)
    };
    Assessment { status: worst(false), label: worst(true), findings }
}

/// Sorts trials by time and keeps one of each run: the last that was given.
fn in_order(trials: &[Trial]) -> Vec<&Trial> {
    let by_run: BTreeMap<RunId, &Trial> = trials.iter().map(|one| (one.run_id, one)).collect();
    let mut ordered: Vec<&Trial> = by_run.into_values().collect();
    ordered.sort_by_key(|one| (one.at, one.run_id));
    ordered
}

#[cfg(test)]
mod tests;
