//! Summaries: how the runs of a namespace went, over time, and by test, runner and label.
//!
//! A summary is read from sums by the hour and by the day (UTC), so it costs the same whatever the number of runs. Runs
//! stand in the interval for which they were scheduled, once they have finished.

use std::fmt;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::error::Invalid;
use crate::ids::{RunnerId, TestId};
use crate::run::words;

/// The most intervals of a summary.
pub const MAX_INTERVALS: i64 = 1000;
/// The most tests, and the most runners, of a summary; the worst come first.
pub const MAX_TESTS: usize = 100;
/// The most label values of a summary; the worst come first.
pub const MAX_LABELS: usize = 200;
/// How far back a summary goes unless it is said.
pub const DEFAULT_DAYS: i64 = 7;

words!(
    /// The length of the intervals of a summary; they begin in UTC.
    Interval {
        /// Hours.
        Hour = "hour",
        /// Days.
        Day = "day",
        /// Weeks that begin on Monday (ISO 8601).
        Week = "week",
    }
);

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

impl Interval {
    /// Returns how many seconds it has.
    pub fn secs(self) -> i64 {
        match self {
            Self::Hour => HOUR,
            Self::Day => DAY,
            Self::Week => WEEK,
        }
    }

    /// Returns the beginning of the interval that an instant is in.
    pub fn floor(self, at: DateTime<Utc>) -> DateTime<Utc> {
        // 1970 began on a Thursday.
        let monday = if self == Self::Week { 3 * DAY } else { 0 };
        let secs = (at.timestamp() + monday).div_euclid(self.secs()) * self.secs() - monday;
        DateTime::from_timestamp(secs, 0).unwrap_or(at)
    }

    /// Returns the first beginning of an interval that is not before an instant.
    pub fn ceil(self, at: DateTime<Utc>) -> DateTime<Utc> {
        let floor = self.floor(at);
        if floor == at { at } else { floor.checked_add_signed(Duration::seconds(self.secs())).unwrap_or(at) }
    }
}

/// Which runs a summary is of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SummaryFilter {
    /// Runs scheduled from the interval of this instant on; the last seven days unless it is given.
    pub scheduled_after: Option<DateTime<Utc>>,
    /// Runs scheduled up to the end of the interval that this instant is in; now unless it is given.
    pub scheduled_before: Option<DateTime<Utc>>,
    /// How long the intervals are; a day unless it is given.
    pub interval: Option<Interval>,
    /// The runs of this test only: its id or its name.
    pub test: Option<String>,
}

/// Which time a summary is of: whole intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// How long the intervals are.
    pub interval: Interval,
    /// When the first begins.
    pub from: DateTime<Utc>,
    /// When the last ends.
    pub to: DateTime<Utc>,
}

impl SummaryFilter {
    /// Returns the time that is asked for, of whole intervals.
    ///
    /// # Errors
    ///
    /// Refuses an end that is not behind the beginning, and more than [`MAX_INTERVALS`] intervals; by the name of the parameter.
    pub fn span(&self, now: DateTime<Utc>) -> Result<Span, Invalid> {
        let interval = self.interval.unwrap_or(Interval::Day);
        let before = self.scheduled_before.unwrap_or(now);
        let back = before.checked_sub_signed(Duration::days(DEFAULT_DAYS)).unwrap_or(before);
        let after = self.scheduled_after.unwrap_or(back);
        if after >= before {
            let place = if self.scheduled_before.is_some() { "scheduled_before" } else { "scheduled_after" };
            return Err(Invalid::one(place, "scheduled_before must be later than scheduled_after"));
        }
        let span = Span { interval, from: interval.floor(after), to: interval.ceil(before) };
        if span.count() > MAX_INTERVALS {
            let detail = format!(
                "at most {MAX_INTERVALS} intervals are told, these are {}: take longer ones or less time",
                span.count()
            );
            return Err(Invalid::one("interval", detail));
        }
        Ok(span)
    }
}

impl Span {
    /// Returns how many intervals it has.
    pub fn count(&self) -> i64 {
        (self.to - self.from).num_seconds() / self.interval.secs()
    }

    /// Returns when each interval begins.
    pub fn starts(&self) -> impl Iterator<Item = DateTime<Utc>> + use<> {
        let Self { interval, from, .. } = *self;
        (0..self.count()).map(move |nth| from + Duration::seconds(nth * interval.secs()))
    }
}

/// How many runs ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunCounts {
    /// How many have finished.
    pub runs: u64,
    /// How many passed.
    pub pass: u64,
    /// How many failed.
    pub fail: u64,
    /// How many ended with an error of tstr or of the infrastructure.
    pub error: u64,
    /// How many took longer than their test allows.
    pub timed_out: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// How many of those that passed did so after an attempt that failed.
    pub flaky: u64,
    /// How many attempts they had.
    pub attempts: u64,
}

/// How durations are spread. Quantiles are off by at most 1/64, and exact below 64 ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Spread {
    /// How many there are.
    pub count: u64,
    /// Their mean, in milliseconds.
    pub mean_ms: u64,
    /// What half of them do not exceed, in milliseconds.
    pub p50_ms: u64,
    /// What 95 of 100 do not exceed, in milliseconds.
    pub p95_ms: u64,
}

/// What is told of runs together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Figures {
    /// How many ended how.
    pub counts: RunCounts,
    /// How long they waited for a runner the first time; absent where none was ever leased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Spread>,
    /// How long their last containers ran; absent where none was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Spread>,
}

/// An interval of a summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SummaryInterval {
    /// When it begins.
    pub start: DateTime<Utc>,
    /// The runs that were scheduled in it.
    pub figures: Figures,
}

/// A test in a summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SummaryTest {
    /// The test.
    pub test_id: TestId,
    /// Its name now, or its last one where it was deleted.
    pub test_name: String,
    /// Its runs.
    pub figures: Figures,
}

/// A runner in a summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SummaryRunner {
    /// The runner.
    pub runner_id: RunnerId,
    /// Its name.
    pub runner_name: String,
    /// How many runs it executes at once.
    pub slots: u16,
    /// The runs that ended on it.
    pub counts: RunCounts,
    /// How long runs of this namespace held its slots, all attempts counted, in milliseconds.
    pub busy_ms: u64,
    /// Which part of the time of all its slots that is, from the beginning of the summary to its end or to now.
    pub utilisation: f64,
}

/// A label in a summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SummaryLabel {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// The runs that have it.
    pub counts: RunCounts,
}

/// How the runs of a namespace went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Summary {
    /// How long the intervals are.
    pub interval: Interval,
    /// When the first interval begins.
    pub from: DateTime<Utc>,
    /// When the last interval ends.
    pub to: DateTime<Utc>,
    /// Runs that finished before this instant are counted.
    pub as_of: DateTime<Utc>,
    /// No run that has finished is missing.
    pub is_current: bool,
    /// All runs of the whole time.
    pub totals: Figures,
    /// Every interval, the earliest first, those without a run as well.
    pub intervals: Vec<SummaryInterval>,
    /// The tests, those with most failures, errors and timeouts first; at most 100.
    pub tests: Vec<SummaryTest>,
    /// How many more tests have runs.
    pub tests_more: u64,
    /// The runners, the busiest first; at most 100. None where the summary is of one test.
    pub runners: Vec<SummaryRunner>,
    /// How many more runners have runs.
    pub runners_more: u64,
    /// The label values, those with most failures, errors and timeouts first; at most 200. None where the summary is of one
    /// test.
    pub labels: Vec<SummaryLabel>,
    /// How many more label values have runs.
    pub labels_more: u64,
}

/// From where on the sums are to be counted anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RebuildSummary {
    /// From the hour of this instant on: the `next` of the answer before. From the first run on unless it is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
}

/// What a call to rebuild the sums has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rebuilt {
    /// How many days were finished: those of which all runs are still there.
    pub days: u64,
    /// How many runs were counted.
    pub runs: u64,
    /// From where on to go on, with another call; absent when everything is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn intervals_begin_in_utc_and_weeks_on_monday() {
        let now = at("2026-03-01T10:20:30.5Z");
        for (interval, floor, ceil) in [
            (Interval::Hour, "2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"),
            (Interval::Day, "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
            (Interval::Week, "2026-02-23T00:00:00Z", "2026-03-02T00:00:00Z"),
        ] {
            assert_eq!((interval.floor(now), interval.ceil(now)), (at(floor), at(ceil)));
            assert_eq!((interval.floor(at(floor)), interval.ceil(at(floor))), (at(floor), at(floor)));
        }
        assert_eq!(Interval::Week.floor(at("1969-12-28T23:00:00Z")), at("1969-12-22T00:00:00Z"));
        assert_eq!(Interval::Week.floor(at("1970-01-01T00:00:00Z")), at("1969-12-29T00:00:00Z"));
    }

    #[test]
    fn a_span_has_whole_intervals() {
        let now = at("2026-03-01T10:20:30Z");
        let span = SummaryFilter::default().span(now).unwrap();
        assert_eq!((span.from, span.to, span.count()), (at("2026-02-22T00:00:00Z"), at("2026-03-02T00:00:00Z"), 8));
        assert_eq!(span.starts().last(), Some(at("2026-03-01T00:00:00Z")));
    }

    #[test]
    fn what_cannot_be_told_names_its_field() {
        let now = at("2026-03-01T10:20:30Z");
        let place = |filter: SummaryFilter| filter.span(now).unwrap_err().errors[0].pointer.clone();
        let asked = SummaryFilter::default();
        assert_eq!(place(SummaryFilter { scheduled_after: Some(now), ..asked.clone() }), "scheduled_after");
        let (after, before) = (Some(now), Some(now));
        assert_eq!(
            place(SummaryFilter { scheduled_after: after, scheduled_before: before, ..asked.clone() }),
            "scheduled_before"
        );
        let long = SummaryFilter {
            scheduled_after: Some(now - Duration::days(60)),
            interval: Some(Interval::Hour),
            ..asked.clone()
        };
        assert_eq!(place(long.clone()), "interval");
        assert_eq!(SummaryFilter { interval: Some(Interval::Day), ..long }.span(now).unwrap().count(), 61);
        let all = SummaryFilter {
            scheduled_after: Some(DateTime::<Utc>::MIN_UTC),
            scheduled_before: Some(DateTime::<Utc>::MAX_UTC),
            interval: Some(Interval::Week),
            ..asked
        };
        assert_eq!(place(all), "interval");
    }
}
