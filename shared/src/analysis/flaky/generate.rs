//! Histories whose truth is known, to measure how often the monitors err.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Control, Exclusion, Guard, Trial};
use crate::analysis::Observed;
use crate::analysis::random::SplitMix64;
use crate::ids::RunId;

/// What is true of a history. Positions count trials from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Truth {
    /// It fails only on bad versions of its subject, which are this share of the versions.
    Healthy {
        /// The share of bad versions.
        bad_versions: f64,
    },
    /// Every attempt fails with this probability, whatever the subject.
    Flaky {
        /// The probability.
        fails: f64,
    },
    /// It passes until a change breaks it for good.
    BrokenSince {
        /// The first trial that fails.
        from: usize,
    },
    /// It is broken for a while and then mended.
    Mended {
        /// The first trial that fails.
        from: usize,
        /// The first one that passes again.
        to: usize,
    },
    /// It was flaky and is not any more.
    Recovered {
        /// The probability that an attempt failed.
        fails: f64,
        /// From here on it passes.
        from: usize,
    },
    /// The infrastructure makes attempts of everything fail for a while.
    Outage {
        /// The first trial in the outage.
        from: usize,
        /// The first one after it.
        to: usize,
        /// The probability that an attempt fails in the outage.
        fails: f64,
        /// What the control says in the outage.
        control: Control,
    },
}

/// How a history comes about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// What is true of it.
    pub truth: Truth,
    /// How many trials it has.
    pub trials: usize,
    /// Seconds between two trials.
    pub every_secs: u32,
    /// How often an attempt that failed is tried again.
    pub retries: u16,
    /// How many trials in a row have one version of the subject; 0: the subject is not known.
    pub per_version: usize,
}

/// The instant at which every generated history starts.
pub const START: DateTime<Utc> = DateTime::from_timestamp(1_767_225_600, 0).expect("2026-01-01 is an instant");

/// Makes the history of a seed.
pub fn history(plan: &Plan, seed: u64) -> Vec<Trial> {
    let mut random = SplitMix64::new(seed);
    let mut bad_version = false;
    (0..plan.trials)
        .map(|index| {
            let new_version = plan.per_version == 0 || index % plan.per_version == 0;
            let (fails, excluded) = match plan.truth {
                Truth::Healthy { bad_versions } => {
                    if new_version {
                        bad_version = random.chance(bad_versions);
                    }
                    (f64::from(u8::from(bad_version)), None)
                }
                Truth::Flaky { fails } => (fails, None),
                Truth::BrokenSince { from } => (f64::from(u8::from(index >= from)), None),
                Truth::Mended { from, to } => (f64::from(u8::from((from..to).contains(&index))), None),
                Truth::Recovered { fails, from } => (if index < from { fails } else { 0.0 }, None),
                Truth::Outage { from, to, fails, control } if (from..to).contains(&index) => {
                    (fails, outage(fails, control, &mut random))
                }
                Truth::Outage { .. } => (0.0, None),
            };
            let attempts = usize::from(plan.retries) + 1;
            let failures = (0..attempts).take_while(|_| random.chance(fails)).count();
            let observed = if failures == attempts { Observed::Fail } else { Observed::Pass };
            let failed_attempts = failures.min(usize::from(plan.retries)) as u16;
            let at = START + TimeDelta::seconds(index as i64 * i64::from(plan.every_secs));
            Trial {
                run_id: RunId::at(at, u128::from(random.next_u64())),
                at,
                observed,
                failed_attempts,
                subject: (plan.per_version > 0).then(|| format!("sha256:{:04}", index / plan.per_version)),
                excluded,
            }
        })
        .collect()
}

/// Judges the run by what forty other cases did in the same outage.
fn outage(fails: f64, control: Control, random: &mut SplitMix64) -> Option<Exclusion> {
    let failed = (0..40).filter(|_| random.chance(fails)).count() as u64;
    Guard::default().judge(failed, 40, control)
}
