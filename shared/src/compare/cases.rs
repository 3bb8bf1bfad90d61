//! The cases of two runs side by side.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::report::{CaseId, CaseKey};
use crate::results::CaseCounts;
use crate::run::words;

/// How many cases of each kind are told.
pub const MOST_CASES: u32 = 200;
/// A duration that changed by no more than this many milliseconds is not told.
pub const MIN_CHANGE_MS: u32 = 100;
/// A duration that changed by no more than this share of what it was is not told.
pub const MIN_CHANGE: f64 = 0.5;

/// How the cases of two runs differ. A case may be of several kinds: one that is only in the other run and fails there is
/// among `new` and among `added`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CasesComparison {
    /// How many cases the one run has; absent when it has no report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<CaseCounts>,
    /// How many cases the other run has; absent when it has no report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<CaseCounts>,
    /// Cases that failed in the other run and not in the one.
    pub new: DifferingCases,
    /// Cases that failed in the one run and passed in the other.
    pub fixed: DifferingCases,
    /// Cases that only the other run has.
    pub added: DifferingCases,
    /// Cases that only the one run has.
    pub removed: DifferingCases,
    /// Cases that both executed and that took longer or shorter by more than 50 % and 100 ms, the largest change first.
    pub durations: DifferingCases,
}

/// Cases that differ in one way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DifferingCases {
    /// At most 200 of them.
    pub items: Vec<ComparedCase>,
    /// How many more there are.
    pub more: u64,
}

words!(
    /// How a case ended in a run, all places of its reports taken together.
    CaseEnd {
        /// It passed.
        Pass = "pass",
        /// It failed or had an error, at least once.
        Fail = "fail",
        /// It was not executed.
        Skip = "skip",
    }
);

/// A case in both runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ComparedCase {
    /// The case.
    pub case_id: CaseId,
    /// The parts of its identity.
    pub key: CaseKey,
    /// How it ended in the one run; absent when it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<CaseEnd>,
    /// How it ended in the other run; absent when it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<CaseEnd>,
    /// How long it took in the one run, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_ms: Option<u64>,
    /// How long it took in the other run, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
}

words!(
    /// In which way cases differ.
    CaseKind {
        /// It failed in the other run and not in the one.
        New = "new",
        /// It failed in the one run and passed in the other.
        Fixed = "fixed",
        /// Only the other run has it.
        Added = "added",
        /// Only the one run has it.
        Removed = "removed",
        /// It took longer or shorter.
        Duration = "duration",
    }
);

impl CasesComparison {
    /// Returns the place for the cases of a kind.
    pub fn of_kind(&mut self, kind: CaseKind) -> &mut DifferingCases {
        match kind {
            CaseKind::New => &mut self.new,
            CaseKind::Fixed => &mut self.fixed,
            CaseKind::Added => &mut self.added,
            CaseKind::Removed => &mut self.removed,
            CaseKind::Duration => &mut self.durations,
        }
    }
}
