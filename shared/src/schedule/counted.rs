//! Days that are counted within their month: `L` is the last one, `5L` the last Friday, `5#2` the second Friday.
//!
//! Guarantees: what looks like one of these and is none is refused with a reason of its own. How such a day goes
//! together with the other days of its field, and with the other day field, is left to [`super::field`] and
//! [`super::line`].

use chrono::{Datelike, NaiveDate};

use super::field::{CronField, is_number, parse_value};

/// The last number that may stand behind `#`: no month has a weekday six times.
const MOST_WEEKDAYS: u8 = 5;

/// A day that depends on the length of its month, or on the weekday on which it begins.
///
/// The order is that in which people read them: the second Tuesday before the last Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CountedDay {
    /// `5#2`: the nth of its kind; a month that has no fifth one is passed over.
    Nth {
        /// From 1 to 5.
        nth: u8,
        /// Sunday is 0.
        weekday: u8,
    },
    /// `5L`: the last of its kind.
    LastWeekday {
        /// Sunday is 0.
        weekday: u8,
    },
    /// `L`.
    Last,
}

impl CountedDay {
    /// Reads an entry of a field; `None` when it does not look like such a day. The error is the reason, in words.
    pub(super) fn parse(field: CronField, item: &str) -> Option<Result<Self, String>> {
        if let Some((day, nth)) = item.split_once('#') {
            return Some(Self::parse_nth(field, day, nth));
        }
        if item.starts_with(['L', 'l']) && (item.len() == 1 || item[1..].starts_with(['-', '/'])) {
            return Some(Self::parse_last(field, &item[1..]));
        }
        let day = item.strip_suffix(['L', 'l'])?;
        // A range that ends with `L` is meant to end with the last day, or with the last Friday.
        let end = day.rsplit(['-', '/']).next().unwrap_or(day);
        let is_day = is_number(end) || parse_value(CronField::DayOfWeek, end).is_ok();
        is_day.then(|| Self::parse_last_weekday(field, day))
    }

    fn parse_nth(field: CronField, day: &str, nth: &str) -> Result<Self, String> {
        if field != CronField::DayOfWeek {
            return Err(
                "# stands behind a day of the week, such as TUE#3 for the third Tuesday of the month".to_owned()
            );
        }
        let weekday = weekday('#', day, "TUE#3 for the third Tuesday of the month")?;
        let nth = nth.parse().ok().filter(|number| is_number(nth) && (1..=MOST_WEEKDAYS).contains(number));
        let nth = nth.ok_or_else(|| format!("what stands behind # is not a number from 1 to {MOST_WEEKDAYS}"))?;
        Ok(Self::Nth { nth, weekday })
    }

    fn parse_last(field: CronField, rest: &str) -> Result<Self, String> {
        match (field, rest) {
            (CronField::DayOfMonth, "") => Ok(Self::Last),
            (CronField::DayOfMonth, _) => Err("L stands alone, for the last day of the month".to_owned()),
            (CronField::DayOfWeek, _) => {
                Err("L stands behind a day of the week, such as FRIL for the last Friday of the month".to_owned())
            }
            (CronField::Minute | CronField::Hour | CronField::Month, _) => Err(only_days()),
        }
    }

    fn parse_last_weekday(field: CronField, day: &str) -> Result<Self, String> {
        match field {
            CronField::DayOfWeek => {
                let weekday = weekday('L', day, "FRIL for the last Friday of the month")?;
                Ok(Self::LastWeekday { weekday })
            }
            CronField::DayOfMonth => Err("L stands alone, for the last day of the month".to_owned()),
            CronField::Minute | CronField::Hour | CronField::Month => Err(only_days()),
        }
    }

    /// True when `date` is this day of its month.
    pub(super) fn is_on(self, date: NaiveDate) -> bool {
        let is_weekday = |weekday| date.weekday().num_days_from_sunday() == u32::from(weekday);
        let left = u32::from(date.num_days_in_month()) - date.day();
        match self {
            Self::Last => left == 0,
            Self::LastWeekday { weekday } => left < 7 && is_weekday(weekday),
            Self::Nth { nth, weekday } => date.day().div_ceil(7) == u32::from(nth) && is_weekday(weekday),
        }
    }
}

/// Reads the weekday before `sign`; Sunday is 0.
fn weekday(sign: char, text: &str, example: &str) -> Result<u8, String> {
    if text.is_empty() || text.contains(['*', '-', '/']) {
        return Err(format!("{sign} stands behind one day of the week, such as {example}"));
    }
    parse_value(CronField::DayOfWeek, text).map(|day| day % 7)
}

fn only_days() -> String {
    "L stands in the two day fields only".to_owned()
}
