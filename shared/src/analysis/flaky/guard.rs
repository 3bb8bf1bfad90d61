//! Which runs say nothing of flakiness: those that failed nearly as a whole, and those whose control failed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Invalid;
use crate::run::words;

words!(
    /// Why a trial is kept out.
    Exclusion {
        /// Nearly everything failed with it: it counts for a break and not for flakiness.
        MassFailure = "mass_failure",
        /// The control failed: the infrastructure was broken, and it counts for nothing.
        ControlFailed = "control_failed",
    }
);

words!(
    /// What the control test of the runners said at the time.
    Control {
        /// It passed.
        Passed = "passed",
        /// It failed.
        Failed = "failed",
        /// There is none.
        Absent = "absent",
    }
);

/// From which share of failures on a run is kept out of flakiness.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Guard {
    /// The share of failures among what was executed, 0 to 1.
    pub share: f64,
    /// Below so many executed the share says nothing: of one case that fails, all have failed.
    pub min_sample: u64,
}

impl Default for Guard {
    fn default() -> Self {
        Self { share: 0.8, min_sample: 5 }
    }
}

impl Guard {
    /// Judges a run by what was executed with it, skipped ones left out: the cases of its report, or, for a test
    /// without cases, the runs that ended on the same runners at the same time.
    pub fn judge(&self, failed: u64, executed: u64, control: Control) -> Option<Exclusion> {
        if control == Control::Failed {
            return Some(Exclusion::ControlFailed);
        }
        let enough = executed > 0 && executed >= self.min_sample;
        (enough && failed.min(executed) as f64 >= self.share * executed as f64).then_some(Exclusion::MassFailure)
    }

    /// Checks the share.
    pub fn validate(&self) -> Result<(), Invalid> {
        match self.share > 0.0 && self.share <= 1.0 {
            true => Ok(()),
            false => Err(Invalid::one("/share", "the share must be above 0 and at most 1")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_fifths_of_the_failures_are_too_many_and_less_are_not() {
        let guard = Guard::default();
        assert_eq!(guard.judge(8, 10, Control::Absent), Some(Exclusion::MassFailure));
        assert_eq!(guard.judge(79, 100, Control::Passed), None);
        assert_eq!(guard.judge(0, 0, Control::Passed), None);
        // One case that fails alone is no outage.
        assert_eq!(guard.judge(1, 1, Control::Passed), None);
        // More failures than trials is not a reason to panic or to look away.
        assert_eq!(guard.judge(u64::MAX, 5, Control::Absent), Some(Exclusion::MassFailure));
    }

    #[test]
    fn a_failed_control_outweighs_everything() {
        assert_eq!(Guard::default().judge(0, 100, Control::Failed), Some(Exclusion::ControlFailed));
        assert_eq!(Guard::default().judge(100, 100, Control::Failed), Some(Exclusion::ControlFailed));
    }

    #[test]
    fn a_share_that_is_no_number_never_excludes_and_is_refused() {
        let guard = Guard { share: f64::NAN, min_sample: 0 };
        assert_eq!(guard.judge(10, 10, Control::Absent), None);
        assert!(guard.validate().is_err() && Guard { share: 0.0, ..guard }.validate().is_err());
        assert!(Guard::default().validate().is_ok());
    }
}
