//! What results say when they are looked at together: flaky or broken, new or old, since when, where and why.
//!
//! Every function here is pure, total and deterministic: no clock, no input or output, no panic on empty input or on
//! numbers that are none, the same answer for the same question on every machine. Where chance is needed (permutation
//! tests, generated histories) the caller gives the seed. Each file names the paper, the book or the standard that it
//! follows; the statistics are checked against values of SciPy, statsmodels and NumPy (`reference/reference.py`
//! computes them, `reference/reference.json` has them).
//!
//! Answers are data before they are sentences, so that they can be stored and explained later.

pub mod change_point;
pub mod diff;
pub mod explain_labels;
pub mod fingerprint;
pub mod flaky;
pub mod history;
pub mod mask;
pub mod quantile;
pub mod quarantine;
pub mod random;
pub mod stats;
pub mod window;

#[cfg(test)]
mod reference;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::run::{Reason, RunResult, words};

words!(
    /// What one trial of a test or of a case says about it.
    Observed {
        /// It passed.
        Pass = "pass",
        /// It failed.
        Fail = "fail",
        /// It was there and was not executed.
        Skip = "skip",
    }
);

impl Observed {
    /// Returns what a run says about its test: nothing when it was cancelled, or when the fault is not the test's.
    ///
    /// A test that was killed for its use of memory or that took too long has failed; one whose image could not be
    /// pulled has not been executed.
    pub fn of_run(result: RunResult, reason: Option<Reason>) -> Option<Self> {
        match (result, reason) {
            (RunResult::Pass, _) => Some(Self::Pass),
            (RunResult::Fail | RunResult::TimedOut, _) | (RunResult::Error, Some(Reason::OomKilled)) => {
                Some(Self::Fail)
            }
            (RunResult::Error | RunResult::Cancelled, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infrastructure_says_nothing_about_a_test() {
        for reason in Reason::ALL.iter().filter(|reason| reason.is_infrastructure_loss()) {
            assert_eq!(Observed::of_run(RunResult::Error, Some(*reason)), None, "{reason}");
        }
        assert_eq!(Observed::of_run(RunResult::Cancelled, None), None);
        assert_eq!(Observed::of_run(RunResult::Error, Some(Reason::OomKilled)), Some(Observed::Fail));
        assert_eq!(Observed::of_run(RunResult::TimedOut, None), Some(Observed::Fail));
    }
}
