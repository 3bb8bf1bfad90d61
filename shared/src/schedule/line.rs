//! A crontab line on a wall clock: which dates and times of day it names, zones and gaps apart.
//!
//! The `cron` crate finds the times; this file makes it a standard crontab: five fields, `@` words, days that are
//! counted within their month, and two restricted day fields that add up instead of narrowing each other.
//! What happens where a zone's wall clock jumps is left to [`super::Schedule`].

use std::str::FromStr;

use chrono::{Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime};

use super::counted::CountedDay;
use super::field::{CronField, Values};
use super::spread::Places;
use super::{LAST_YEAR, ScheduleError};

/// The five fields of a line and the searches they stand for.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) minute: Values,
    pub(super) hour: Values,
    pub(super) day_of_month: Values,
    pub(super) month: Values,
    pub(super) day_of_week: Values,
    search: cron::Schedule,
    /// Present when both day fields are restricted and a search can name their days.
    or_search: Option<cron::Schedule>,
    /// Both day fields are restricted: a day matches by either of them.
    either_day: bool,
}

/// A word of the line and the column where it begins, counted from 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) column: usize,
}

impl Line {
    /// Reads the five fields or the one `@` word in `words`; `spec` is the whole line, for messages, and `places` is
    /// where an `H` falls.
    pub(super) fn parse(spec: &str, words: &[Word<'_>], places: Places) -> Result<Self, ScheduleError> {
        let expanded;
        let words = match words {
            [first, rest @ ..] if first.text.starts_with('@') => {
                expanded = split(expand(first.text, rest)?);
                &expanded
            }
            words => words,
        };
        let &[minute, hour, day_of_month, month, day_of_week] = words else {
            return Err(match words.len() {
                0 => ScheduleError::Empty,
                found => ScheduleError::FieldCount { spec: spec.to_owned(), found },
            });
        };
        let read = |field, word: Word<'_>| Values::parse(field, word.text, word.column, places);
        let minute = read(CronField::Minute, minute)?;
        let hour = read(CronField::Hour, hour)?;
        let day_of_month = read(CronField::DayOfMonth, day_of_month)?;
        let month = read(CronField::Month, month)?;
        let day_of_week = read(CronField::DayOfWeek, day_of_week)?;

        let search = |dom: &str, dow: &str| {
            let (minute, hour, month) = (minute.to_crate(), hour.to_crate(), month.to_crate());
            let line = format!("0 {minute} {hour} {dom} {month} {dow}");
            cron::Schedule::from_str(&line)
                .map_err(|error| ScheduleError::Refused { spec: spec.to_owned(), reason: error.to_string() })
        };
        let either_day = !day_of_month.leads_with_star() && !day_of_week.leads_with_star();
        let (search, or_search) = if counts_days(&day_of_month, &day_of_week) {
            (search("*", "*")?, None)
        } else {
            let (dom, dow) = (day_of_month.to_crate(), day_of_week.to_crate());
            if either_day { (search(&dom, "*")?, Some(search("*", &dow)?)) } else { (search(&dom, &dow)?, None) }
        };
        Ok(Self { minute, hour, day_of_month, month, day_of_week, search, or_search, either_day })
    }

    /// True when the line names times of day, rather than every so many minutes or hours.
    pub(super) fn is_fixed_time(&self) -> bool {
        !self.minute.is_elapsed() && !self.hour.is_elapsed()
    }

    /// True when the id of a test decides a part of the line.
    pub(super) fn spreads(&self) -> bool {
        let fields = [&self.minute, &self.hour, &self.day_of_month, &self.month, &self.day_of_week];
        fields.into_iter().any(Values::spreads)
    }

    /// True when it depends on the place of an `H` how often the line names a day at all.
    pub(super) fn may_miss_days(&self) -> bool {
        let (month_days, weekdays) = (&self.day_of_month, &self.day_of_week);
        let has_fifth = weekdays.counted().iter().any(|day| matches!(day, CountedDay::Nth { nth: 5, .. }));
        let has_late_days_only = month_days.counted().is_empty() && month_days.iter().all(|day| day > 28);
        (self.month.spreads() || weekdays.spreads())
            && (has_fifth || !month_days.is_all() && (!self.either_day || has_late_days_only))
    }

    /// True when a day matches by either of the two day fields.
    pub(super) fn matches_either_day(&self) -> bool {
        self.either_day
    }

    /// Returns the first wall time strictly after `wall` that the line names, up to the year 2100.
    pub(super) fn next_after(&self, wall: NaiveDateTime) -> Option<NaiveDateTime> {
        let first = next_of(&self.search, wall);
        if counts_days(&self.day_of_month, &self.day_of_week) {
            return self.on_named_day(first?);
        }
        let second = self.or_search.as_ref().and_then(|search| next_of(search, wall));
        first.into_iter().chain(second).min()
    }

    /// Returns `found`, a time on any day of the months, or the first time on a later day that the line names.
    fn on_named_day(&self, found: NaiveDateTime) -> Option<NaiveDateTime> {
        if self.names_day(found.date()) {
            return Some(found);
        }
        let mut later = found.date().iter_days().skip(1).take_while(|day| day.year() <= LAST_YEAR + 1);
        let day = later.find(|day| self.names_day(*day))?;
        next_of(&self.search, day.and_time(NaiveTime::MIN) - Duration::seconds(1))
    }

    /// True when the line names the day, whatever the time.
    fn names_day(&self, day: NaiveDate) -> bool {
        let counts = |field: &Values| field.counted().iter().any(|counted| counted.is_on(day));
        let by_date = || self.day_of_month.has(day.day()) || counts(&self.day_of_month);
        let by_weekday = || self.day_of_week.has(day.weekday().num_days_from_sunday()) || counts(&self.day_of_week);
        self.month.has(day.month())
            && if self.either_day { by_date() || by_weekday() } else { by_date() && by_weekday() }
    }
}

/// True when there are days that the `cron` crate knows no words for: it then searches on all days.
fn counts_days(day_of_month: &Values, day_of_week: &Values) -> bool {
    !(day_of_month.counted().is_empty() && day_of_week.counted().is_empty())
}

/// Returns the first time strictly after `wall` that a search finds.
fn next_of(search: &cron::Schedule, wall: NaiveDateTime) -> Option<NaiveDateTime> {
    // The crate searches in UTC, a wall clock that never jumps: at a jump it would skip days, run
    // twice, and answer out of order.
    search.after(&wall.and_utc()).next().map(|at| at.naive_utc())
}

/// Cuts a line at its blanks.
pub(super) fn split(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::with_capacity(6);
    let mut column = 1;
    for text in line.split(|sign: char| sign.is_ascii_whitespace()) {
        if !text.is_empty() {
            words.push(Word { text, column });
        }
        column += text.chars().count() + 1;
    }
    words
}

/// Puts the words of a line together with single blanks.
pub(super) fn joined(words: &[Word<'_>]) -> String {
    words.iter().map(|word| word.text).collect::<Vec<_>>().join(" ")
}

/// True when an `H` stands in a field of the line, which may have a time zone before it.
pub(super) fn names_spread(line: &str) -> bool {
    let words = split(line);
    let fields = words.len().saturating_sub(5);
    words[fields..].iter().any(|word| word.text.split(',').any(|item| item.starts_with(['H', 'h'])))
}

/// Returns the five fields that an `@` word stands for.
fn expand(shortcut: &str, rest: &[Word<'_>]) -> Result<&'static str, ScheduleError> {
    let refuse = |reason| Err(ScheduleError::Shortcut { word: shortcut.to_owned(), reason });
    let fields = match shortcut.to_ascii_lowercase().as_str() {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@every" => {
            return refuse("is not supported, write for example */5 * * * * for every 5 minutes");
        }
        "@reboot" => return refuse("is not supported, a schedule follows the clock only"),
        _ => {
            return refuse("is not one of @hourly @daily @midnight @weekly @monthly @yearly @annually");
        }
    };
    match rest {
        [] => Ok(fields),
        [_, ..] => refuse("stands for all five fields, nothing may follow it"),
    }
}
