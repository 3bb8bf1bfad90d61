//! New, fixed, still failing, missing, removed: what became of each case from run to run, and since when.
//!
//! [`CaseMemory`] is what is kept of one case in one cell between runs, a few words for each; [`CaseMemory::after`]
//! carries it over one run and says where the case stands. [`follow`] does so for all cases of a cell in one pass over
//! two lists in the order of their keys, so that neither the history nor the report must be held in memory.
//!
//! The runs of a cell are told in the order of their ends ([`Moment`]); one that is not later than what is remembered is
//! refused, and the memory has to be built again from the runs in their order.
//!
//! Skipping says nothing: a case that failed, was skipped and fails again is still failing. Being absent says little:
//! it is `missing` at first and `removed` when [`ABSENCES_TO_REMOVE`] complete reports in a row lack it.

use std::cmp::Ordering;
use std::fmt;
use std::iter::Peekable;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Observed;
use crate::ids::RunId;
use crate::run::words;

words!(
    /// Where a case stands after a run.
    Standing {
        /// It fails, and passed before or was never seen.
        New = "new",
        /// It fails, as it did before.
        StillFailing = "still_failing",
        /// It passes and failed before.
        Fixed = "fixed",
        /// It passes, as it did before or for the first time.
        Passing = "passing",
        /// It was there and was not executed.
        Skipped = "skipped",
        /// It should be there and is not.
        Missing = "missing",
        /// It has not been there for several complete reports.
        Removed = "removed",
    }
);

/// So many complete reports in a row without the case make it a removed one.
pub const ABSENCES_TO_REMOVE: u32 = 3;

/// A run in the order of its cell's history: by its end, then by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Moment {
    /// When the run ended.
    pub at: DateTime<Utc>,
    /// The run.
    pub run_id: RunId,
}

words!(
    /// What the absence of a case from a run's report means.
    Coverage {
        /// The report is whole and everything was asked for: what is not in it was not there.
        Complete = "complete",
        /// The report broke off, or there is none: what is not in it is missing.
        Broken = "broken",
        /// Only some cases were asked for (failed ones again, say): absence means nothing.
        Partial = "partial",
    }
);

/// Since when something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Since {
    /// The first run of which it holds.
    pub first: Moment,
    /// In how many runs it was seen to hold, the first one included.
    pub runs: u32,
}

impl Since {
    fn start(moment: Moment) -> Self {
        Self { first: moment, runs: 1 }
    }

    fn again(self) -> Self {
        Self { runs: self.runs.saturating_add(1), ..self }
    }

    /// Returns for how many whole days it has held at an instant; 0 before it began.
    pub fn days(&self, now: DateTime<Utc>) -> u32 {
        u32::try_from(now.signed_duration_since(self.first.at).num_days()).unwrap_or(0)
    }
}

/// What is remembered of one case in one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaseMemory {
    /// The run that it was first seen in.
    pub first_seen: Moment,
    /// The run that it was last seen in.
    pub last_seen: Moment,
    /// The run that was told last, whether the case was in it or not.
    pub told: Moment,
    /// What it said when it was last executed; absent when it never was.
    pub verdict: Option<Verdict>,
    /// Since when it is absent, over reports that should have it.
    pub absent: Option<Since>,
    /// How many of these absences, up to now, were in complete reports in a row.
    pub complete_absences: u32,
    /// The run that it last passed in.
    pub last_pass: Option<Moment>,
    /// The run that it last failed in.
    pub last_fail: Option<Moment>,
}

/// What a case says, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Verdict {
    /// It fails; otherwise it passes.
    pub fails: bool,
    /// Since when.
    pub since: Since,
}

/// Where a case stands after a run, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Told {
    /// Where it stands.
    pub standing: Standing,
    /// Since when it passes, fails or is absent: for a fixed case the run that passed. Absent for a case that was only
    /// ever skipped.
    pub since: Option<Since>,
    /// Since when it had failed, for a fixed case.
    pub failed_since: Option<Since>,
}

/// A run that is not later than what is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the run {} is not later than what is remembered", .late.run_id)]
pub struct OutOfOrder {
    /// The run.
    pub late: Moment,
}

impl CaseMemory {
    /// Begins the memory of a case with the first run that has it.
    pub fn begin(moment: Moment, observed: Observed) -> (Self, Told) {
        let memory = Self {
            first_seen: moment,
            last_seen: moment,
            told: moment,
            verdict: None,
            absent: None,
            complete_absences: 0,
            last_pass: None,
            last_fail: None,
        };
        memory.seen(moment, observed)
    }

    /// Carries the memory over one run: what the case said in it, or `None` when its report lacks the case. Answers
    /// nothing when only some cases were asked for and this one was not among them.
    ///
    /// Errors: [`OutOfOrder`] when the run is not later than the last one that was told.
    pub fn after(
        self,
        moment: Moment,
        observed: Option<Observed>,
        coverage: Coverage,
    ) -> Result<(Self, Option<Told>), OutOfOrder> {
        if moment <= self.told {
            return Err(OutOfOrder { late: moment });
        }
        let memory = Self { told: moment, ..self };
        let (memory, told) = match observed {
            // A case that comes back after it was removed starts over.
            Some(observed) if memory.is_removed() => Self { verdict: None, ..memory }.seen(moment, observed),
            Some(observed) => memory.seen(moment, observed),
            None if coverage == Coverage::Partial => return Ok((memory, None)),
            None => memory.absent(moment, coverage),
        };
        Ok((memory, Some(told)))
    }

    /// Tells whether several complete reports in a row lacked the case.
    pub fn is_removed(&self) -> bool {
        self.complete_absences >= ABSENCES_TO_REMOVE
    }

    fn seen(mut self, moment: Moment, observed: Observed) -> (Self, Told) {
        (self.last_seen, self.absent, self.complete_absences) = (moment, None, 0);
        let fails = match observed {
            Observed::Skip => {
                let since = self.verdict.map(|verdict| verdict.since);
                return (self, Told { standing: Standing::Skipped, since, failed_since: None });
            }
            Observed::Pass => false,
            Observed::Fail => true,
        };
        *(if fails { &mut self.last_fail } else { &mut self.last_pass }) = Some(moment);
        let before = self.verdict;
        let since = match before {
            Some(verdict) if verdict.fails == fails => verdict.since.again(),
            Some(_) | None => Since::start(moment),
        };
        self.verdict = Some(Verdict { fails, since });
        let failed_before = before.filter(|verdict| verdict.fails).map(|verdict| verdict.since);
        let (standing, failed_since) = match (fails, failed_before) {
            (true, None) => (Standing::New, None),
            (true, Some(_)) => (Standing::StillFailing, None),
            (false, Some(since)) => (Standing::Fixed, Some(since)),
            (false, None) => (Standing::Passing, None),
        };
        (self, Told { standing, since: Some(since), failed_since })
    }

    fn absent(mut self, moment: Moment, coverage: Coverage) -> (Self, Told) {
        let since = self.absent.map_or(Since::start(moment), Since::again);
        self.absent = Some(since);
        self.complete_absences = match coverage {
            Coverage::Complete => self.complete_absences.saturating_add(1),
            // A removed case does not come back because a report broke off.
            Coverage::Broken if self.is_removed() => self.complete_absences,
            Coverage::Broken | Coverage::Partial => 0,
        };
        let standing = if self.is_removed() { Standing::Removed } else { Standing::Missing };
        (self, Told { standing, since: Some(since), failed_since: None })
    }
}

/// A case after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed<K> {
    /// Names the case.
    pub case: K,
    /// What is to be remembered.
    pub memory: CaseMemory,
    /// Where it stands; absent when the run says nothing of it.
    pub told: Option<Told>,
}

/// Carries all cases of a cell over one run, in one pass and without holding them.
///
/// `before` is what was remembered and `now` the report of the run, both in ascending order of their keys; the answers
/// come in that order. A key that comes twice in the report counts once, as the worse of the two. Items that break the
/// order are not lost, but those cases may be told as missing and begun again.
pub fn follow<K: Ord>(
    before: impl IntoIterator<Item = (K, CaseMemory)>,
    now: impl IntoIterator<Item = (K, Observed)>,
    moment: Moment,
    coverage: Coverage,
) -> impl Iterator<Item = Result<Followed<K>, OutOfOrder>> {
    Follow { before: before.into_iter().peekable(), now: now.into_iter().peekable(), moment, coverage }
}

struct Follow<B: Iterator, N: Iterator> {
    before: Peekable<B>,
    now: Peekable<N>,
    moment: Moment,
    coverage: Coverage,
}

impl<K, B, N> Iterator for Follow<B, N>
where
    K: Ord,
    B: Iterator<Item = (K, CaseMemory)>,
    N: Iterator<Item = (K, Observed)>,
{
    type Item = Result<Followed<K>, OutOfOrder>;

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.before.peek(), self.now.peek()) {
            (Some((before, _)), Some((now, _))) => before.cmp(now),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        let remembered = if order.is_gt() { None } else { self.before.next() };
        let mut reported = if order.is_lt() { None } else { self.now.next() };
        if let Some((case, observed)) = &mut reported {
            while let Some((_, twin)) = self.now.next_if(|(next, _)| next == case) {
                *observed = worse(*observed, twin);
            }
        }
        let observed = reported.as_ref().map(|(_, observed)| *observed);
        match (remembered, reported) {
            (Some((case, memory)), _) => {
                let after = memory.after(self.moment, observed, self.coverage);
                Some(after.map(|(memory, told)| Followed { case, memory, told }))
            }
            (None, Some((case, observed))) => {
                let (memory, told) = CaseMemory::begin(self.moment, observed);
                Some(Ok(Followed { case, memory, told: Some(told) }))
            }
            (None, None) => None,
        }
    }
}

fn worse(one: Observed, other: Observed) -> Observed {
    match (one, other) {
        (Observed::Fail, _) | (_, Observed::Fail) => Observed::Fail,
        (Observed::Pass, _) | (_, Observed::Pass) => Observed::Pass,
        (Observed::Skip, Observed::Skip) => Observed::Skip,
    }
}

#[cfg(test)]
mod tests;
