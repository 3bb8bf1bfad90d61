//! A crontab line on a wall clock: which dates and times of day it names, zones and gaps apart.
//!
//! The `cron` crate finds the times; this file makes it a standard crontab: five fields, `@` words, and
//! two restricted day fields that add up instead of narrowing each other.
//! What happens where a zone's wall clock jumps is left to [`super::Schedule`].

use std::str::FromStr;

use chrono::NaiveDateTime;

use super::ScheduleError;
use super::field::{CronField, Values};
use super::spread::Places;

/// The five fields of a line and the searches they stand for.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) minute: Values,
    pub(super) hour: Values,
    pub(super) day_of_month: Values,
    pub(super) month: Values,
    pub(super) day_of_week: Values,
    search: cron::Schedule,
    /// Present when both day fields are restricted: a day then matches by either of them.
    or_search: Option<cron::Schedule>,
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
        let (dom, dow) = (day_of_month.to_crate(), day_of_week.to_crate());
        let either = !day_of_month.leads_with_star() && !day_of_week.leads_with_star();
        let (search, or_search) =
            if either { (search(&dom, "*")?, Some(search("*", &dow)?)) } else { (search(&dom, &dow)?, None) };
        Ok(Self { minute, hour, day_of_month, month, day_of_week, search, or_search })
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
        (self.month.spreads() || self.day_of_week.spreads())
            && !self.day_of_month.is_all()
            && (self.or_search.is_none() || self.day_of_month.iter().all(|day| day > 28))
    }

    /// True when a day matches by either of the two day fields.
    pub(super) fn matches_either_day(&self) -> bool {
        self.or_search.is_some()
    }

    /// Returns the first wall time strictly after `wall` that the line names, up to the year 2100.
    pub(super) fn next_after(&self, wall: NaiveDateTime) -> Option<NaiveDateTime> {
        // The crate searches in UTC, a wall clock that never jumps: at a jump it would skip days, run
        // twice, and answer out of order.
        let wall = wall.and_utc();
        let next = |search: &cron::Schedule| search.after(&wall).next();
        let first = next(&self.search);
        let second = self.or_search.as_ref().and_then(next);
        let earliest = first.into_iter().chain(second).min()?;
        Some(earliest.naive_utc())
    }
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
