//! When a test is due: a crontab line in a time zone, and what happens to instants that were missed.
//!
//! A line has the five standard fields, or is one of `@hourly @daily @midnight @weekly @monthly @yearly
//! @annually`; `CRON_TZ=Europe/Paris ` or `TZ=Europe/Paris ` may stand before it. When both day fields are
//! restricted (neither begins with `*`), a day matches by either of them. Ranges do not wrap.
//!
//! Some days are counted within their month: `L` in the day of the month is its last day, and in the day of the week
//! `FRIL` or `5L` is its last Friday, `TUE#3` or `2#3` its third Tuesday. A month that has no fifth one has no `TUE#5`.
//! They may stand in a list with other days, and count as restricting their field.
//!
//! `H` stands for a value that the id of the test decides: `H` alone for one of the field's range, `H(a-b)` for one
//! from a to b, `H/n` for every nth from one below n, `H(a-b)/n` for both. In the day of the month it reaches from 1 to
//! 28. It spreads tests over the hour or the night, stays where it is, and is not a `*`: `H H * * *` is a fixed time.
//!
//! Where a zone's wall clock jumps, the promise P9 holds:
//!
//! - A **fixed-time** line (no `*` and no step in minute and hour, such as `30 2 * * *`) runs once for
//!   times that a jump forward leaves out, at the first instant after the gap. A time that happens twice
//!   runs the first time only.
//! - Every **other** line (such as `*/15 * * * *`) follows the time that really passes: it runs in both
//!   passes of a repeated hour, and nothing is made up for a gap.
//!
//! Everything here is pure: time comes from the caller, zones from the tables of `chrono-tz`. Answers end
//! with the year 2099, as these tables do.

mod counted;
mod due;
mod error;
mod field;
mod line;
mod spread;
mod words;

#[cfg(test)]
mod tests;

use chrono::{DateTime, Datelike, Duration, MappedLocalTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};
use serde::{Deserialize, Serialize};

pub use due::{CatchUp, Due, MAX_MISSED, MAX_RUNS};
pub use error::ScheduleError;
pub use field::CronField;
use line::{Line, Word};
use spread::Places;

use crate::ids::TestId;

/// The longest crontab line, in characters, with its time zone prefix.
pub const MAX_SPEC_CHARS: usize = 128;
/// The version of the time zone tables, such as `2025b`.
pub const ZONE_TABLES: &str = chrono_tz::IANA_TZDB_VERSION;

/// The zone tables say nothing about later years.
const LAST_YEAR: i32 = 2099;
/// A line must have an instant in any five calendar years in a row.
const MAX_PAUSE_YEARS: i32 = 5;
/// The calendar repeats after 28 years; looking at one full turn makes the answer independent of today.
/// These years lie ahead of the last changes of law that the time zone tables know.
const CALENDAR_TURN: std::ops::Range<i32> = 2025..2053;

/// A parsed crontab line in a time zone.
///
/// Whoever has the same line, zone and [`ZONE_TABLES`] computes the same instants.
///
/// ```
/// use tstr_shared::schedule::Schedule;
///
/// let nightly = Schedule::parse("30 2 * * MON-FRI", Some("America/Toronto"))?;
/// assert_eq!(nightly.describe(), "at 02:30 on Monday to Friday (America/Toronto)");
///
/// let friday = "2026-01-02T12:00:00Z".parse()?;
/// let next = nightly.next_after(friday).expect("the line has instants until 2099");
/// assert_eq!(next.to_rfc3339(), "2026-01-05T07:30:00+00:00");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Schedule {
    spec: String,
    time_zone: Tz,
    line: Line,
    jumps: Jumps,
}

/// What a line does where the wall clock of its zone jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Jumps {
    /// Each named time once: the first of two, and after the gap when it is left out.
    Once,
    /// Whenever the wall clock shows a named time.
    AsShown,
}

/// What a crontab line means before its test is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The line in plain English.
    pub description: String,
    /// The line has no `H`, so its instants are known already.
    pub is_decided: bool,
}

/// An instant that is still to come, as people want to read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Upcoming {
    /// The instant.
    pub at: DateTime<Utc>,
    /// The instant in the schedule's time zone, RFC 3339.
    pub local: String,
    /// What a jump of the wall clock does to this instant, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Schedule {
    /// Parses a crontab line without `H`; the zone is that of the line's prefix, else `time_zone`, else UTC.
    ///
    /// # Errors
    ///
    /// Refuses a line longer than [`MAX_SPEC_CHARS`], one that is no crontab line, one that never happens or
    /// can pause for five years, a zone that is not an IANA name, and two different zones.
    pub fn parse(spec: &str, time_zone: Option<&str>) -> Result<Self, ScheduleError> {
        Self::parse_at(spec, time_zone, Places::None)
    }

    /// Parses the crontab line of a test, whose id decides where `H` falls.
    ///
    /// # Errors
    ///
    /// As [`Schedule::parse`].
    pub fn parse_for(test: TestId, spec: &str, time_zone: Option<&str>) -> Result<Self, ScheduleError> {
        Self::parse_at(spec, time_zone, Places::of(test))
    }

    /// Checks a crontab line whose test is not known yet, and says in plain English what it means.
    ///
    /// # Errors
    ///
    /// As [`Schedule::parse`]; refuses too a line that for some place of its `H` hardly ever happens.
    pub fn check(spec: &str, time_zone: Option<&str>) -> Result<Checked, ScheduleError> {
        let schedule = Self::parse_at(spec, time_zone, Places::At([0; 5]));
        if schedule.as_ref().is_ok_and(|schedule| !schedule.line.spreads()) {
            return schedule.map(|schedule| Checked { description: schedule.describe(), is_decided: true });
        }
        let unplaceable = || ScheduleError::Unplaceable { spec: line::joined(&line::split(spec)) };
        let schedule = match schedule {
            Err(ScheduleError::Never { .. } | ScheduleError::TooRare { .. }) if line::names_spread(spec) => {
                return Err(unplaceable());
            }
            other => other?,
        };
        if schedule.line.may_miss_days() {
            for places in Places::all_months_and_weekdays() {
                Self::parse_at(spec, time_zone, places).map_err(|_| unplaceable())?;
            }
        }
        Ok(Checked { description: words::undecided(&schedule.spec, schedule.time_zone), is_decided: false })
    }

    fn parse_at(spec: &str, time_zone: Option<&str>, places: Places) -> Result<Self, ScheduleError> {
        let length = spec.chars().count();
        if length > MAX_SPEC_CHARS {
            return Err(ScheduleError::TooLong { length });
        }
        let words = line::split(spec);
        let (prefix, fields) = split_prefix(&words)?;
        let beside = time_zone.map(parse_zone).transpose()?;
        let time_zone = match (prefix, beside) {
            (Some(prefix), Some(time_zone)) if prefix != time_zone => {
                return Err(ScheduleError::ZoneConflict { prefix, time_zone });
            }
            (Some(zone), _) | (None, Some(zone)) => zone,
            (None, None) => Tz::UTC,
        };
        let spec = line::joined(&words);
        let line = Line::parse(&spec, fields, places)?;
        let jumps = if line.is_fixed_time() { Jumps::Once } else { Jumps::AsShown };
        let schedule = Self { spec, time_zone, line, jumps };
        schedule.refuse_long_pauses()?;
        Ok(schedule)
    }

    /// Returns the line as it was given, with single blanks.
    #[must_use]
    pub fn spec(&self) -> &str {
        &self.spec
    }

    /// Returns the time zone in which the line is read.
    #[must_use]
    pub fn time_zone(&self) -> Tz {
        self.time_zone
    }

    /// Returns the first instant strictly after `t`, or `None` when there is none up to the year 2099.
    ///
    /// A later `t` never gives an earlier answer.
    #[must_use]
    pub fn next_after(&self, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // The crate's calendar begins in 1970; far outside of it, chrono would overflow.
        let t = t.max(DateTime::UNIX_EPOCH - Duration::days(2));
        if t.year() > LAST_YEAR {
            return None;
        }
        let next = match self.jumps {
            Jumps::Once => self.next_once(t),
            Jumps::AsShown => self.next_as_shown(t),
        };
        next.filter(|next| next.year() <= LAST_YEAR)
    }

    /// Returns the next `count` instants after `after`, with a note wherever the wall clock jumps.
    #[must_use]
    pub fn upcoming(&self, after: DateTime<Utc>, count: usize) -> Vec<Upcoming> {
        let mut upcoming = Vec::new();
        let mut previous = after;
        while upcoming.len() < count
            && let Some(at) = self.next_after(previous)
        {
            upcoming.push(self.upcoming_at(previous, at));
            previous = at;
        }
        upcoming
    }

    /// Tells of one instant, with a note on what the wall clock did since `previous`.
    fn upcoming_at(&self, previous: DateTime<Utc>, at: DateTime<Utc>) -> Upcoming {
        Upcoming { at, local: at.with_timezone(&self.time_zone).to_rfc3339(), note: self.note(previous, at) }
    }

    /// Returns the schedule in plain English, such as `every 5 minutes` or `at 02:30 on Monday (America/Toronto)`.
    #[must_use]
    pub fn describe(&self) -> String {
        words::describe(&self.line, self.time_zone)
    }

    /// Returns the time from the instant `t` to the following one.
    #[must_use]
    pub fn period_at(&self, t: DateTime<Utc>) -> Option<Duration> {
        self.next_after(t).map(|next| next - t)
    }

    /// The next instant when each named time runs once.
    ///
    /// Named times in ascending order give instants in ascending order, so the first instant after `t` is
    /// the answer, and named times that the wall clock has passed by `t` need no second look.
    fn next_once(&self, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut wall = self.wall(t);
        loop {
            wall = self.line.next_after(wall)?;
            let at = match self.time_zone.from_local_datetime(&wall) {
                MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => Some(at),
                // All times in one gap share its end, and so run once together.
                MappedLocalTime::None => GapInfo::new(&wall, &self.time_zone).and_then(|gap| gap.end),
            };
            if let Some(at) = at
                && at > t
            {
                return Some(at.to_utc());
            }
        }
    }

    /// The next instant when the line runs whenever the wall clock shows a named time.
    fn next_as_shown(&self, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let again = self.next_in_second_pass(t);
        let mut wall = self.wall(t);
        while let Some(next) = self.line.next_after(wall) {
            wall = next;
            let at = match self.time_zone.from_local_datetime(&wall) {
                MappedLocalTime::Single(at) => at,
                MappedLocalTime::Ambiguous(first, second) => {
                    if first > t {
                        first
                    } else {
                        second
                    }
                }
                MappedLocalTime::None => continue,
            };
            return again.into_iter().chain([at.to_utc()]).min();
        }
        again
    }

    /// While `t` is in the first pass of a repeated hour: the next instant for which the clock goes back.
    ///
    /// Only those times matter that the clock has passed by `t`; the later ones have a first pass to come.
    fn next_in_second_pass(&self, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let passed = self.wall(t);
        let MappedLocalTime::Ambiguous(first, second) = self.time_zone.from_local_datetime(&passed) else {
            return None;
        };
        if second <= t {
            return None;
        }
        let mut wall = passed - (second - first);
        loop {
            wall = self.line.next_after(wall).filter(|wall| *wall <= passed)?;
            if let MappedLocalTime::Ambiguous(_, at) = self.time_zone.from_local_datetime(&wall) {
                return Some(at.to_utc());
            }
        }
    }

    /// What the wall clock of the zone shows at `t`.
    fn wall(&self, t: DateTime<Utc>) -> NaiveDateTime {
        t.with_timezone(&self.time_zone).naive_local()
    }

    /// Says what a jump of the wall clock does to the instant `at` or to times between it and `previous`.
    fn note(&self, previous: DateTime<Utc>, at: DateTime<Utc>) -> Option<String> {
        let shown = self.wall(at);
        let mut left_out: Option<(NaiveDateTime, NaiveDateTime)> = None;
        let mut wall = self.wall(previous);
        while let Some(next) = self.line.next_after(wall).filter(|next| *next < shown) {
            wall = next;
            if self.time_zone.from_local_datetime(&wall).earliest().is_none() {
                left_out = Some((left_out.map_or(wall, |(first, _)| first), wall));
            }
        }
        match (left_out, self.time_zone.from_local_datetime(&shown)) {
            (Some((first, last)), _) => {
                let instead = (self.jumps == Jumps::Once).then_some(shown);
                Some(words::left_out(first, last, instead))
            }
            (None, MappedLocalTime::Ambiguous(first, _)) => Some(match self.jumps {
                Jumps::Once => words::repeated(shown, "runs the first time only"),
                Jumps::AsShown if first == at => words::repeated(shown, "this is the first time"),
                Jumps::AsShown => words::repeated(shown, "this is the second time"),
            }),
            (None, MappedLocalTime::Single(_) | MappedLocalTime::None) => None,
        }
    }

    /// Refuses a line without an instant, or with none during five years of the calendar's turn.
    fn refuse_long_pauses(&self) -> Result<(), ScheduleError> {
        let mut year = CALENDAR_TURN.start;
        while year < CALENDAR_TURN.end {
            let start = Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).earliest();
            let next = start.and_then(|start| self.next_after(start - Duration::seconds(1)));
            let Some(found) = next.map(|next| next.year()) else {
                return Err(ScheduleError::Never { spec: self.spec.clone() });
            };
            if found - year >= MAX_PAUSE_YEARS {
                return Err(ScheduleError::TooRare { spec: self.spec.clone() });
            }
            year = found + 1;
        }
        Ok(())
    }
}

/// Takes the time zone prefix off the words of a line.
fn split_prefix<'a, 'b>(words: &'a [Word<'b>]) -> Result<(Option<Tz>, &'a [Word<'b>]), ScheduleError> {
    let Some((first, fields)) = words.split_first() else {
        return Ok((None, words));
    };
    let name = first.text.strip_prefix("CRON_TZ=").or_else(|| first.text.strip_prefix("TZ="));
    match name {
        Some(name) => match name.parse() {
            Ok(zone) => Ok((Some(zone), fields)),
            Err(_) => Err(ScheduleError::UnknownPrefixZone { name: name.to_owned() }),
        },
        None => Ok((None, words)),
    }
}

fn parse_zone(name: &str) -> Result<Tz, ScheduleError> {
    name.parse().map_err(|_| ScheduleError::UnknownZone { name: name.chars().take(64).collect() })
}
