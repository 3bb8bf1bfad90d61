//! Schedules in plain English: what a line says, and what a jump of the wall clock does to it.
//!
//! Descriptions are for reading only. They name every value of a line and no other, but the same meaning
//! written differently may be described in the same words.

use std::fmt;

use chrono::NaiveDateTime;
use chrono_tz::Tz;

use super::counted::CountedDay;
use super::line::Line;

/// Up to this many times of day are listed one by one.
const LISTED_TIMES: usize = 6;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// From Monday to Sunday, as people read a week.
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// How often a weekday has come in a month.
const ORDINALS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

/// Describes a line; the zone is left out where it does not matter.
pub(super) fn describe(line: &Line, zone: Tz) -> String {
    let times = times(line);
    let days = days(line);
    match (times.starts_with("at"), days.is_empty()) {
        (_, true) if line.hour.is_all() => times,
        (true, true) => format!("{times} every day ({zone})"),
        (true, false) if days.starts_with("in") => format!("{times} every day {days} ({zone})"),
        (false, true) => format!("{times} ({zone})"),
        (_, false) => format!("{times} {days} ({zone})"),
    }
}

/// Describes a line with an `H` whose test has no id yet.
pub(super) fn undecided(spec: &str, zone: Tz) -> String {
    format!("{spec} ({zone}); the place of H is decided when the test is registered")
}

/// Says that the named times from `first` to `last` fall into a gap, and at which time they run `instead`.
pub(super) fn left_out(first: NaiveDateTime, last: NaiveDateTime, instead: Option<NaiveDateTime>) -> String {
    let (start, end, day) = (clock(first), clock(last), date(last));
    let is_one = first == last;
    let missing = if is_one {
        format!("{start} does not exist on {day}")
    } else if first.date() == last.date() {
        format!("{start} to {end} do not exist on {day}")
    } else {
        format!("{start} on {} to {end} on {day} do not exist", date(first))
    };
    let Some(instead) = instead else {
        return format!("{missing} and {} left out", if is_one { "is" } else { "are" });
    };
    let once = if is_one { "" } else { " once" };
    let at = clock(instead);
    if instead.date() == last.date() {
        format!("{missing}; runs{once} at {at}")
    } else {
        format!("{missing}; runs{once} at {at} on {}", date(instead))
    }
}

/// Says that the wall clock shows `shown` twice, and `what` follows from that.
pub(super) fn repeated(shown: NaiveDateTime, what: &str) -> String {
    format!("{} happens twice on {}; {what}", clock(shown), date(shown))
}

fn clock(wall: NaiveDateTime) -> String {
    wall.format("%H:%M").to_string()
}

fn date(wall: NaiveDateTime) -> String {
    wall.format("%-d %b %Y").to_string()
}

/// The times of day, such as «every 5 minutes», «at 02:30» or «every hour from 09:00 to 17:00».
fn times(line: &Line) -> String {
    let minutes: Vec<u8> = line.minute.iter().collect();
    let hours: Vec<u8> = line.hour.iter().collect();
    let every_minutes = every(&minutes, 60, "minute", "hour");
    if line.hour.is_all() {
        return match (every_minutes, minutes.as_slice()) {
            (Some(every_minutes), _) => every_minutes,
            (None, [0]) => "every hour".to_owned(),
            (None, _) => format!("at {} of every hour", numbered("minute", &minutes)),
        };
    }
    if let &[minute] = minutes.as_slice()
        && line.hour.is_elapsed()
        && hours.len() > 2
        && let Some(every_hours) = every(&hours, 24, "hour", "day")
    {
        return match minute {
            0 => every_hours,
            minute => format!("{every_hours}, at minute {minute}"),
        };
    }
    let times: Vec<String> =
        hours.iter().flat_map(|hour| minutes.iter().map(move |minute| format!("{hour:02}:{minute:02}"))).collect();
    if times.len() <= LISTED_TIMES {
        return format!("at {}", listed(&times, "and"));
    }
    let every = match minutes.as_slice() {
        [_] => Some("every hour".to_owned()),
        _ => every_minutes,
    };
    match (every, runs(&hours).as_slice(), times.as_slice()) {
        (Some(every), [_], [first, .., last]) => format!("{every} from {first} to {last}"),
        (Some(every), _, _) if minutes.len() > 1 => {
            format!("{every} in {}", numbered("hour", &hours))
        }
        _ => {
            let minutes = numbered("minute", &minutes);
            format!("at {minutes} in {}", numbered("hour", &hours))
        }
    }
}

/// The days, such as «on Monday», «on 29 February» or «on day 1 of the month»; empty for every day.
fn days(line: &Line) -> String {
    let days: Vec<u8> = line.day_of_month.iter().collect();
    let months: Vec<u8> = line.month.iter().collect();
    // Sunday is 0 in a line and last in a week.
    let mut weekdays: Vec<u8> = line.day_of_week.iter().map(|day| (day + 6) % 7).collect();
    weekdays.sort_unstable();

    let (in_months, of_months) = if line.month.is_all() {
        (String::new(), "the month".to_owned())
    } else {
        let months = named(&months, month_name, "and");
        (format!(" in {months}"), months)
    };
    let mut weekdays = names(&weekdays, |day| WEEKDAYS[usize::from(day)]);
    weekdays.extend(line.day_of_week.counted().iter().map(|day| counted(*day)));
    let weekdays = |last_word| listed(&weekdays, last_word);
    let has_last = !line.day_of_month.counted().is_empty();
    let either = line.matches_either_day();
    match (line.day_of_month.is_all(), line.day_of_week.is_all()) {
        (true, true) => in_months.trim_start().to_owned(),
        // One of two fields is enough, and this one always matches.
        (true, false) | (false, true) if either => in_months.trim_start().to_owned(),
        (true, false) => format!("on {}{in_months}", weekdays("and")),
        (false, true) => match (days.as_slice(), months.as_slice()) {
            (&[day], &[month]) if !has_last => format!("on {day} {}", month_name(month)),
            _ => days_of(&of_months, &days, has_last),
        },
        (false, false) => {
            let days = days_of(&of_months, &days, has_last);
            if either {
                format!("{days} and also on {}{in_months}", weekdays("and"))
            } else {
                format!("{days} if that is {}", weekdays("or"))
            }
        }
    }
}

fn month_name(month: u8) -> &'static str {
    MONTHS[usize::from(month) - 1]
}

/// Says «the third Tuesday of the month».
fn counted(day: CountedDay) -> String {
    let name = |weekday: u8| WEEKDAYS[usize::from((weekday + 6) % 7)];
    match day {
        CountedDay::Nth { nth, weekday } => {
            format!("the {} {} of the month", ORDINALS[usize::from(nth) - 1], name(weekday))
        }
        CountedDay::LastWeekday { weekday } => format!("the last {} of the month", name(weekday)),
        CountedDay::Last => "the last day of the month".to_owned(),
    }
}

fn days_of(months: &str, days: &[u8], has_last: bool) -> String {
    if has_last {
        let days = if days.is_empty() { String::new() } else { format!("{} and ", numbered("day", days)) };
        return format!("on {days}the last day of {months}");
    }
    if let [first, second, _, _, ..] = *days
        && second - first > 1
        && days.iter().copied().eq((first..=31).step_by(usize::from(second - first)))
    {
        let nth = match second - first {
            2 => "2nd".to_owned(),
            3 => "3rd".to_owned(),
            n => format!("{n}th"),
        };
        return format!("on every {nth} day of {months} from day {first}");
    }
    format!("on {} of {months}", numbered("day", days))
}

/// Says «every n units» when the values are evenly spread from 0 over all `size` units of the larger `whole`.
fn every(values: &[u8], size: u8, unit: &str, whole: &str) -> Option<String> {
    let &[0, step, ..] = values else {
        return None;
    };
    if !values.iter().copied().eq((0..size).step_by(usize::from(step))) {
        return None;
    }
    match (step, size % step) {
        (1, _) => Some(format!("every {unit}")),
        (step, 0) => Some(format!("every {step} {unit}s")),
        (step, _) if values.len() > 2 => Some(format!("every {step} {unit}s, counted anew each {whole}")),
        (_, _) => None,
    }
}

/// Lists numbers behind their unit: «minute 5», «hours 2, 4 and 9 to 17».
fn numbered(unit: &str, values: &[u8]) -> String {
    let plural = if values.len() == 1 { "" } else { "s" };
    format!("{unit}{plural} {}", named(values, |value| value, "and"))
}

/// Lists values by name.
fn named<N: fmt::Display>(values: &[u8], name: impl Fn(u8) -> N, last_word: &str) -> String {
    listed(&names(values, name), last_word)
}

/// Names values; three or more in a row become «first to last».
fn names<N: fmt::Display>(values: &[u8], name: impl Fn(u8) -> N) -> Vec<String> {
    let mut names = Vec::new();
    for (first, last) in runs(values) {
        match last - first {
            0 => names.push(name(first).to_string()),
            1 => names.extend([name(first).to_string(), name(last).to_string()]),
            _ => names.push(format!("{} to {}", name(first), name(last))),
        }
    }
    names
}

/// Cuts ascending values where a number is missing.
fn runs(values: &[u8]) -> Vec<(u8, u8)> {
    values
        .chunk_by(|left, right| left + 1 == *right)
        .filter_map(|run| run.first().copied().zip(run.last().copied()))
        .collect()
}

fn listed(words: &[String], last_word: &str) -> String {
    match words {
        [] => String::new(),
        [word] => word.clone(),
        [words @ .., last] => format!("{} {last_word} {last}", words.join(", ")),
    }
}
