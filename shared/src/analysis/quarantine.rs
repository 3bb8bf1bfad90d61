//! Quarantine: when the failure of a run is excused because all that failed is muted.
//!
//! The rule fails safe. A failed run becomes a pass only if the whole report was read, at least one case failed, every
//! failed case is muted by an entry that is in force, and nothing failed beside the cases. Whatever is not known (the
//! list of mutes first of all) counts against it. An entry needs an owner, a reason and an end; one that lacks them
//! mutes nothing, even if it was stored.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::error::Invalid;
use crate::report::{CaseId, CaseKey};
use crate::run::{RunResult, words};

words!(
    /// What quarantine does with a case.
    Mode {
        /// It is executed and recorded, and its failure does not fail the run.
        Mute = "mute",
        /// It is not executed, where the test can be told so; if it is executed and fails, it fails the run.
        Skip = "skip",
    }
);

/// The longest time that a case can be in quarantine without being renewed.
pub const MAX_DAYS: i64 = 180;
/// The most entries of a test, those that have ended included.
pub const MAX_ENTRIES: usize = 1000;
/// The most characters of an owner.
pub const MAX_OWNER: usize = 200;
/// The most characters of a reason.
pub const MAX_REASON: usize = 1000;

/// An entry of the quarantine list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Entry<K> {
    /// The case.
    pub case: K,
    /// What is done with it.
    pub mode: Mode,
    /// Who looks after it.
    pub owner: String,
    /// Why it is in quarantine.
    pub reason: String,
    /// Since when.
    pub from: DateTime<Utc>,
    /// Until when (exclusive).
    pub until: DateTime<Utc>,
}

impl<K> Entry<K> {
    /// Checks owner, reason and end.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        for (pointer, text, most) in [("/owner", &self.owner, MAX_OWNER), ("/reason", &self.reason, MAX_REASON)] {
            if text.trim().is_empty() {
                invalid.add(pointer, "quarantine needs an owner and a reason");
            } else if text.chars().count() > most {
                invalid.add(pointer, format!("at most {most} characters"));
            }
        }
        let length = self.until.signed_duration_since(self.from);
        if length <= TimeDelta::zero() || length > TimeDelta::days(MAX_DAYS) {
            invalid.add("/until", format!("quarantine ends after it begins, and within {MAX_DAYS} days"));
        }
        invalid.into_result()
    }

    /// Tells whether it holds at an instant; one that is not valid never does.
    pub fn is_in_force(&self, now: DateTime<Utc>) -> bool {
        self.from <= now && now < self.until && self.validate().is_ok()
    }
}

/// A request to put a case in quarantine; it replaces an entry that the case has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PutQuarantine {
    /// What is done with it; `mute` unless said.
    #[serde(default = "mute")]
    pub mode: Mode,
    /// Who looks after it, at most 200 characters.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 200)))]
    pub owner: String,
    /// Why it is in quarantine, at most 1000 characters.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1000)))]
    pub reason: String,
    /// Until when (exclusive), at most 180 days ahead; or `days`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// For how many days from now, 1 to 180; or `until`.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 180)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

fn mute() -> Mode {
    Mode::Mute
}

impl PutQuarantine {
    /// Makes the entry of a case that begins `now`.
    pub fn entry<K>(self, case: K, now: DateTime<Utc>) -> Result<Entry<K>, Invalid> {
        let mut invalid = Invalid::default();
        let until = match (self.until, self.days) {
            (Some(until), None) => until,
            (None, Some(days)) if (1..=MAX_DAYS).contains(&days.into()) => now + TimeDelta::days(days.into()),
            (None, Some(days)) => {
                invalid.add("/days", format!("{days} is not from 1 to {MAX_DAYS}"));
                now + TimeDelta::days(1)
            }
            (Some(_), Some(_)) => {
                invalid.add("/days", "say until or days, not both");
                now + TimeDelta::days(1)
            }
            (None, None) => {
                invalid.add("/until", "say until when, or for how many days");
                now + TimeDelta::days(1)
            }
        };
        let entry = Entry { case, mode: self.mode, owner: self.owner, reason: self.reason, from: now, until };
        if let Err(part) = entry.validate() {
            invalid.add_all("", part);
        }
        invalid.into_result()?;
        Ok(entry)
    }
}

/// A case in quarantine, or one that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QuarantineEntry {
    /// The case.
    pub case_id: CaseId,
    /// The parts of its identity.
    pub key: CaseKey,
    /// What is done with it.
    pub mode: Mode,
    /// Who looks after it.
    pub owner: String,
    /// Why it is in quarantine.
    pub reason: String,
    /// Since when.
    pub from: DateTime<Utc>,
    /// Until when (exclusive).
    pub until: DateTime<Utc>,
    /// Who put it there: `token:<id>`.
    pub created_by: String,
    /// It holds now; an entry that has ended stays in the list until it is removed.
    pub in_force: bool,
}

/// What is known of the report of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report<'r, K> {
    /// It was read.
    Read {
        /// The cases that failed.
        failed: &'r [K],
        /// Errors beside the cases: of a suite, of its set-up, a plan that was not kept, a bail-out.
        suite_errors: u32,
        /// All of it was read: nothing was cut off by a limit and no record was refused.
        whole: bool,
    },
    /// There was none, or it could not be read.
    Unread,
}

words!(
    /// Why the failure of a run was excused, or was not.
    Ruling {
        /// All that failed is muted: it passes.
        Excused = "excused",
        /// It did not fail.
        NotFailed = "not_failed",
        /// It ended by an error, a timeout or a cancellation, which no case answers for.
        NotByCases = "not_by_cases",
        /// The container was ended by a signal, so that the report may not be all.
        Signalled = "signalled",
        /// There is no report, or it could not be read.
        ReportUnread = "report_unread",
        /// The report was not read as a whole.
        ReportCut = "report_cut",
        /// There are errors beside the cases.
        SuiteError = "suite_error",
        /// No case failed, so that the failure has another cause.
        NoCaseFailed = "no_case_failed",
        /// A case failed that is not muted.
        NotMuted = "not_muted",
    }
);

/// What the rule says of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Judgement<K> {
    /// The result that counts.
    pub result: RunResult,
    /// Why.
    pub ruling: Ruling,
    /// The failed cases that are muted, whatever the ruling; empty when that is not known.
    pub muted: Vec<K>,
    /// The failed cases that are not.
    pub not_muted: Vec<K>,
}

/// Exit codes beyond this one say by which signal a container was ended (128 and the number of the signal).
const SIGNALLED: std::ops::RangeInclusive<i32> = 129..=159;

/// Judges a run by its result, its exit code, its report and the quarantine list at `now`.
///
/// The list is one that was just read: where it cannot be read there is no judgement, and the container's own end counts.
/// A run whose container exited 0 although cases failed has failed by its cases, and is judged like the others: pass
/// `RunResult::Fail`. A case that is on the list twice is muted if one of the entries that are in force mutes it.
pub fn judge<K: Ord + Clone>(
    result: RunResult,
    exit_code: Option<i32>,
    report: &Report<'_, K>,
    list: &[Entry<K>],
    now: DateTime<Utc>,
) -> Judgement<K> {
    let failed: &[K] = match report {
        Report::Read { failed, .. } => failed,
        Report::Unread => &[],
    };
    let in_force = list.iter().filter(|entry| entry.mode == Mode::Mute && entry.is_in_force(now));
    let muting: BTreeSet<&K> = in_force.map(|entry| &entry.case).collect();
    let (muted, not_muted): (Vec<K>, Vec<K>) = failed.iter().cloned().partition(|case| muting.contains(case));
    let ruling = ruling(result, exit_code, report, not_muted.is_empty());
    let result = if ruling == Ruling::Excused { RunResult::Pass } else { result };
    Judgement { result, ruling, muted, not_muted }
}

fn ruling<K>(result: RunResult, exit_code: Option<i32>, report: &Report<'_, K>, all_muted: bool) -> Ruling {
    match result {
        RunResult::Pass => return Ruling::NotFailed,
        RunResult::Error | RunResult::TimedOut | RunResult::Cancelled => return Ruling::NotByCases,
        RunResult::Fail => (),
    }
    // A process that crashes after it has written its report has failed beside its cases.
    if exit_code.is_none_or(|code| code < 0 || SIGNALLED.contains(&code)) {
        return Ruling::Signalled;
    }
    match report {
        Report::Unread => Ruling::ReportUnread,
        Report::Read { whole: false, .. } => Ruling::ReportCut,
        Report::Read { suite_errors: 1.., .. } => Ruling::SuiteError,
        Report::Read { failed: [], .. } => Ruling::NoCaseFailed,
        Report::Read { .. } if all_muted => Ruling::Excused,
        Report::Read { .. } => Ruling::NotMuted,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn entry(case: u8) -> Entry<u8> {
        let (owner, reason) = ("ada".to_owned(), "flaky since #12".to_owned());
        let (from, until) = (now() - TimeDelta::days(1), now() + TimeDelta::days(1));
        Entry { case, mode: Mode::Mute, owner, reason, from, until }
    }

    fn read(failed: &[u8]) -> Report<'_, u8> {
        Report::Read { failed, suite_errors: 0, whole: true }
    }

    fn ruled(exit_code: Option<i32>, report: Report<'_, u8>, list: &[Entry<u8>]) -> Ruling {
        judge(RunResult::Fail, exit_code, &report, list, now()).ruling
    }

    #[test]
    fn a_run_is_excused_only_when_every_failed_case_is_muted() {
        let list = [entry(1), entry(2)];
        let judged = judge(RunResult::Fail, Some(1), &read(&[1, 2]), &list, now());
        assert_eq!((judged.result, judged.ruling), (RunResult::Pass, Ruling::Excused));
        assert_eq!(judged.muted, [1, 2]);
        let judged = judge(RunResult::Fail, Some(1), &read(&[1, 3]), &list, now());
        assert_eq!((judged.result, judged.ruling), (RunResult::Fail, Ruling::NotMuted));
        assert_eq!((judged.muted, judged.not_muted), (vec![1], vec![3]));
        assert_eq!(ruled(Some(0), read(&[1]), &list), Ruling::Excused, "it failed by its case");
    }

    #[test]
    fn what_is_not_known_counts_against_it() {
        let list = [entry(1)];
        assert_eq!(ruled(Some(1), Report::Unread, &list), Ruling::ReportUnread);
        assert_eq!(ruled(Some(1), read(&[]), &list), Ruling::NoCaseFailed);
        let with = |suite_errors, whole| Report::Read { failed: &[1], suite_errors, whole };
        assert_eq!(ruled(Some(1), with(1, true), &list), Ruling::SuiteError);
        assert_eq!(ruled(Some(1), with(0, false), &list), Ruling::ReportCut);
        for exit_code in [None, Some(-1), Some(137), Some(139)] {
            assert_eq!(ruled(exit_code, read(&[1]), &list), Ruling::Signalled, "{exit_code:?}");
        }
    }

    #[test]
    fn only_failures_by_cases_are_excused() {
        let entries = [entry(1)];
        for result in RunResult::ALL {
            let judged = judge(*result, Some(1), &read(&[1]), &entries, now());
            assert_eq!(judged.ruling == Ruling::Excused, *result == RunResult::Fail, "{result}");
            assert!(judged.result == *result || *result == RunResult::Fail);
        }
    }

    #[test]
    fn entries_that_have_ended_or_lack_something_mute_nothing() {
        let bad = [
            Entry { until: now(), ..entry(1) },
            Entry { from: now() + TimeDelta::seconds(1), ..entry(1) },
            Entry { owner: " ".into(), ..entry(1) },
            Entry { reason: String::new(), ..entry(1) },
            Entry { until: now() + TimeDelta::days(MAX_DAYS), ..entry(1) },
            Entry { mode: Mode::Skip, ..entry(1) },
        ];
        for entry in &bad {
            assert_eq!(ruled(Some(1), read(&[1]), std::slice::from_ref(entry)), Ruling::NotMuted);
        }
        let until_the_last_moment = Entry { until: now() + TimeDelta::nanoseconds(1), ..entry(1) };
        assert_eq!(ruled(Some(1), read(&[1]), &[until_the_last_moment]), Ruling::Excused);
    }

    #[test]
    fn an_entry_says_what_it_lacks() {
        let nothing =
            Entry { owner: String::new(), reason: "x".repeat(MAX_REASON + 1), until: now(), from: now(), ..entry(1) };
        let pointers: Vec<_> = nothing.validate().unwrap_err().errors.into_iter().map(|error| error.pointer).collect();
        assert_eq!(pointers, ["/owner", "/reason", "/until"]);
    }

    #[test]
    fn a_request_says_until_when_in_one_way() {
        let request =
            |until, days| PutQuarantine { mode: Mode::Mute, owner: "ada".into(), reason: "flaky".into(), until, days };
        let made = |until, days| request(until, days).entry(1, now());
        let fault = |until, days| made(until, days).unwrap_err().errors.remove(0).pointer;
        let later = now() + TimeDelta::days(14);
        assert_eq!(made(None, Some(14)).unwrap().until, later);
        assert_eq!(
            made(Some(later), None).unwrap(),
            Entry { from: now(), until: later, reason: "flaky".into(), ..entry(1) }
        );
        assert_eq!(fault(Some(later), Some(14)), "/days");
        assert_eq!((fault(None, None).as_str(), fault(Some(now()), None).as_str()), ("/until", "/until"));
        for days in [0, 181, u32::MAX] {
            assert_eq!(fault(None, Some(days)), "/days");
        }
        let nobody = PutQuarantine { owner: " ".into(), ..request(None, None) };
        let faults: Vec<_> =
            nobody.entry(1, now()).unwrap_err().errors.into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(faults, ["/until", "/owner"]);
    }

    proptest! {
        /// The rule, said once more as a sentence.
        #[test]
        fn a_pass_was_earned(
            failed in proptest::collection::vec(0u8..4, 0..4),
            muted in proptest::collection::vec((0u8..4, any::<bool>()), 0..4),
            suite_errors in 0u32..2, whole: bool, parsed: bool, exit_code in 0i32..3,
        ) {
            let entry = |(case, valid): &(u8, bool)| Entry { until: now() + TimeDelta::days(i64::from(*valid)), ..entry(*case) };
            let entries: Vec<_> = muted.iter().map(entry).collect();
            let report = if parsed { Report::Read { failed: &failed, suite_errors, whole } } else { Report::Unread };
            let passes = judge(RunResult::Fail, Some(exit_code), &report, &entries, now()).result == RunResult::Pass;
            let earned = parsed && whole && suite_errors == 0 && !failed.is_empty()
                && failed.iter().all(|case| muted.contains(&(*case, true)));
            prop_assert_eq!(passes, earned);
        }
    }
}
