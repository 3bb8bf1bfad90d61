//! The monitors and their thresholds.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Status;
use crate::error::Invalid;

const DAY: u32 = 86_400;

/// The monitors of a namespace, a test or a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The monitors; their names differ.
    pub monitors: Vec<Monitor>,
}

/// One thing that is watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Monitor {
    /// Its name.
    pub name: String,
    /// The status that it gives while it is active.
    pub marks: Status,
    /// It only labels: new monitors can be tried without consequences.
    #[serde(default)]
    pub dry_run: bool,
    /// What it watches.
    pub rule: Rule,
}

/// When a monitor that waits for signals resolves: when either is reached without a new signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Recovery {
    /// Seconds without a signal.
    pub clean_secs: u32,
    /// Passes at the first attempt without a signal between them.
    pub clean_trials: u32,
}

/// What a monitor watches. Shares and scores are from 0 to 1; times are in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "watches", rename_all = "snake_case")]
pub enum Rule {
    /// Runs that passed after a failed attempt.
    Retry(Recovery),
    /// Passes and failures of the same subject version, in any order.
    SameSubject(Recovery),
    /// How often it begins to fail: transitions divided by the window ([`super::transition_score`]).
    Transitions {
        /// The newest so many trials.
        window: u32,
        /// The score from which it activates.
        activate: f64,
        /// The score at which it resolves.
        resolve: f64,
        /// It resolves when the newest trial is older than this.
        stale_secs: u32,
    },
    /// Which share of the trials fails.
    FailureRate {
        /// Trials of the last so many seconds …
        window_secs: u32,
        /// … and of these the newest so many.
        window: u32,
        /// Below so many trials it keeps the state that it has.
        min_sample: u32,
        /// The share from which it activates.
        activate: f64,
        /// The share at which it resolves.
        resolve: f64,
        /// It resolves when the newest trial is older than this.
        stale_secs: u32,
    },
    /// Failures in a row, for what must be green.
    FailuresInRow {
        /// The number from which it activates.
        activate: u32,
        /// The number of passes in a row at which it resolves.
        resolve: u32,
    },
}

impl Default for Recovery {
    fn default() -> Self {
        Self { clean_secs: 7 * DAY, clean_trials: 100 }
    }
}

impl Default for Rules {
    /// Returns the monitors that a namespace starts with; `tests.rs` prints how often they err on generated histories.
    fn default() -> Self {
        let monitor = |name: &str, marks, rule| Monitor { name: name.to_owned(), marks, dry_run: false, rule };
        let flips = Rule::Transitions { window: 20, activate: 0.1, resolve: 0.0, stale_secs: 7 * DAY };
        let rate = Rule::FailureRate {
            window_secs: 7 * DAY,
            window: 50,
            min_sample: 20,
            activate: 0.1,
            resolve: 0.02,
            stale_secs: 7 * DAY,
        };
        Self {
            monitors: vec![
                monitor("retry", Status::Flaky, Rule::Retry(Recovery::default())),
                monitor("same_subject", Status::Flaky, Rule::SameSubject(Recovery::default())),
                monitor("transitions", Status::Flaky, flips),
                monitor("failure_rate", Status::Flaky, rate),
                monitor("failures_in_row", Status::Broken, Rule::FailuresInRow { activate: 4, resolve: 1 }),
            ],
        }
    }
}

impl Rules {
    /// Returns how far back the trials should reach: so many of them, and so long.
    pub fn reach(&self) -> (u32, TimeDelta) {
        let reaches = self.monitors.iter().map(|monitor| match monitor.rule {
            Rule::Retry(recovery) | Rule::SameSubject(recovery) => (recovery.clean_trials, recovery.clean_secs),
            Rule::Transitions { window, stale_secs, .. } => (window, stale_secs),
            Rule::FailureRate { window, window_secs, stale_secs, .. } => (window, window_secs.max(stale_secs)),
            Rule::FailuresInRow { activate, resolve } => (activate.max(resolve), 0),
        });
        let (count, secs) = reaches.fold((0, 0), |(count, secs), (c, s)| (count.max(c), secs.max(s)));
        (count, TimeDelta::seconds(i64::from(secs)))
    }

    /// Returns how many failures in a row make a break that explains them: the least of any monitor that says
    /// `broken` and is not in a dry run.
    pub(super) fn break_length(&self) -> Option<u32> {
        let breaks = self.monitors.iter().filter_map(|monitor| match monitor.rule {
            Rule::FailuresInRow { activate, .. } if monitor.marks == Status::Broken && !monitor.dry_run => {
                Some(activate)
            }
            _ => None,
        });
        breaks.min()
    }

    /// Checks names and thresholds.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        for (index, monitor) in self.monitors.iter().enumerate() {
            let at = |field: &str| format!("/monitors/{index}/{field}");
            if monitor.name.is_empty() || self.monitors[..index].iter().any(|other| other.name == monitor.name) {
                invalid.add(at("name"), "a monitor needs a name that no other has");
            }
            if monitor.marks == Status::Healthy {
                invalid.add(at("marks"), "a monitor says flaky or broken");
            }
            if let Some(fault) = monitor.rule.fault() {
                invalid.add(at("rule"), fault);
            }
        }
        invalid.into_result()
    }
}

impl Rule {
    fn fault(&self) -> Option<&'static str> {
        // Written so that a number that is none fails.
        let ordered = |activate: f64, resolve: f64| 0.0 <= resolve && resolve < activate && activate <= 1.0;
        match *self {
            Self::Retry(recovery) | Self::SameSubject(recovery) => {
                let never = recovery.clean_secs == 0 || recovery.clean_trials == 0;
                never.then_some("a recovery needs at least one second and one trial")
            }
            Self::Transitions { window, activate, resolve, .. }
            | Self::FailureRate { window, activate, resolve, .. }
                if window == 0 || !ordered(activate, resolve) =>
            {
                Some("a window of at least 1, and 0 ≤ resolve < activate ≤ 1, are needed")
            }
            Self::FailureRate { window, min_sample, .. } if min_sample == 0 || min_sample > window => {
                Some("the minimum sample must be at least 1 and at most the window")
            }
            Self::FailuresInRow { activate: 0, .. } | Self::FailuresInRow { resolve: 0, .. } => {
                Some("numbers in a row are at least 1")
            }
            Self::Transitions { .. } | Self::FailureRate { .. } | Self::FailuresInRow { .. } => None,
        }
    }
}
