//! The schedule against two others: a walk over every minute that shares no code with it, and `croner`.
//!
//! The walk asks a zone only what its wall clock shows at an instant, never the way back, and derives P9
//! from what it saw. It takes the days of a month by counting them. `croner` counts a line as fixed-time only without lists in minute and hour, and loses
//! times of a gap that ends on another day, so it gets lines and zones without either.

use chrono::{DateTime, Datelike, Duration, NaiveDateTime, TimeZone, Timelike, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};

use self::specs::{Dialect, Dice, by_hand, is_for_croner};
use super::super::*;

mod nightly;
mod specs;

/// Zones whose clocks jump in unusual ways: by half an hour, at midnight, over a day, twice in a month.
const ZONES: [Tz; 14] = [
    Tz::UTC,
    Tz::America__New_York,
    Tz::America__St_Johns,
    Tz::America__Santiago,
    Tz::America__Scoresbysund,
    Tz::Europe__Berlin,
    Tz::Europe__Dublin,
    Tz::Africa__Cairo,
    Tz::Africa__Casablanca,
    Tz::Asia__Tehran,
    Tz::Asia__Kathmandu,
    Tz::Antarctica__Troll,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Apia,
];

/// The values of the five fields, read without the parser under test.
struct Plain {
    sets: [Vec<bool>; 5],
    last_day: bool,
    /// Sunday is 0 or 7.
    last_weekdays: Vec<usize>,
    nth_weekdays: Vec<(usize, usize)>,
    days_add_up: bool,
    is_fixed: bool,
}

impl Plain {
    fn read(spec: &str) -> Self {
        let fields: Vec<&str> = spec.split(' ').collect();
        let limits = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
        let mut sets = [const { Vec::new() }; 5];
        let (mut last_day, mut last_weekdays, mut nth_weekdays) = (false, Vec::new(), Vec::new());
        for ((set, field), (low, high)) in sets.iter_mut().zip(&fields).zip(limits) {
            *set = vec![false; 60];
            for item in field.split(',') {
                if item == "L" {
                    last_day = true;
                    continue;
                }
                if let Some(weekday) = item.strip_suffix('L') {
                    last_weekdays.push(number(weekday));
                    continue;
                }
                if let Some((weekday, nth)) = item.split_once('#') {
                    nth_weekdays.push((number(weekday), number(nth)));
                    continue;
                }
                let (range, step) = item.split_once('/').unwrap_or((item, "1"));
                let (first, last) = match range.split_once('-') {
                    Some((first, last)) => (number(first), number(last)),
                    None if range == "*" => (low, high),
                    None => (number(range), number(range)),
                };
                let mut value = first;
                while value <= last {
                    set[value] = true;
                    value += number(step);
                }
            }
        }
        let restricted = |field: &str| !field.starts_with('*');
        let is_plain = |field: &str| !field.contains(['*', '/']);
        Self {
            days_add_up: restricted(fields[2]) && restricted(fields[4]),
            is_fixed: is_plain(fields[0]) && is_plain(fields[1]),
            sets,
            last_day,
            last_weekdays,
            nth_weekdays,
        }
    }

    fn names(&self, wall: NaiveDateTime) -> bool {
        let has = |field: usize, value: u32| self.sets[field][value as usize];
        let sunday = wall.weekday().num_days_from_sunday();
        let month_of_day_after = |days| (wall.date() + Duration::days(days)).month();
        let is_weekday = |weekday: usize| weekday % 7 == sunday as usize;
        let is_last = month_of_day_after(7) != wall.month();
        let nth = (0..wall.day()).step_by(7).count();
        let weekday = has(4, sunday)
            || sunday == 0 && has(4, 7)
            || is_last && self.last_weekdays.iter().any(|weekday| is_weekday(*weekday))
            || self.nth_weekdays.iter().any(|(weekday, wanted)| is_weekday(*weekday) && *wanted == nth);
        let day = has(2, wall.day()) || self.last_day && month_of_day_after(1) != wall.month();
        let date = if self.days_add_up { day || weekday } else { day && weekday };
        has(0, wall.minute()) && has(1, wall.hour()) && date && has(3, wall.month())
    }
}

fn number(text: &str) -> usize {
    text.parse().expect("the oracle's lines hold plain numbers")
}

/// One minute of real time and what the wall clock shows then.
type Minute = (DateTime<Utc>, NaiveDateTime);

fn minutes(zone: Tz, from: DateTime<Utc>, count: i64) -> Vec<Minute> {
    (0..count)
        .map(|minute| {
            let at = from + Duration::minutes(minute);
            (at, at.with_timezone(&zone).naive_local())
        })
        .collect()
}

/// P9, minute by minute.
fn walk(line: &Plain, minutes: &[Minute]) -> Vec<DateTime<Utc>> {
    let mut instants = Vec::new();
    let mut latest_shown = minutes[0].1 - Duration::minutes(1);
    for &(at, wall) in minutes {
        let is_first_time = wall > latest_shown;
        let mut runs = line.names(wall) && (is_first_time || !line.is_fixed);
        if is_first_time {
            let mut skipped = latest_shown + Duration::minutes(1);
            while line.is_fixed && skipped < wall {
                runs |= line.names(skipped);
                skipped += Duration::minutes(1);
            }
            latest_shown = wall;
        }
        if runs {
            instants.push(at);
        }
    }
    instants
}

/// The middle of each half day in which the clock of a zone jumps.
fn jumps(zone: Tz, years: std::ops::Range<i32>) -> Vec<DateTime<Utc>> {
    let start = |year| Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).earliest();
    let start = |year| start(year).expect("a year begins");
    let offset = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local() - at.naive_utc();
    let mut jumps = Vec::new();
    let (mut at, end) = (start(years.start), start(years.end));
    let mut before = offset(at);
    while at < end {
        let next = at + Duration::hours(12);
        let after = offset(next);
        if before != after {
            jumps.push(at + Duration::hours(6));
        }
        (at, before) = (next, after);
    }
    jumps
}

/// Compares all instants between 32 hours before and after `middle` with the walk; returns how many there were.
fn compare_with_walk<'a>(zone: Tz, middle: DateTime<Utc>, specs: impl Iterator<Item = &'a str>) -> usize {
    let start = middle - Duration::hours(32);
    let minutes = minutes(zone, start, 64 * 60);
    let end = start + Duration::minutes(64 * 60 - 1);
    let mut compared = 0;
    for spec in specs {
        let schedule = match Schedule::parse(spec, Some(zone.name())) {
            Ok(schedule) => schedule,
            // A line may name only times that the clock of this zone leaves out.
            Err(ScheduleError::Never { .. } | ScheduleError::TooRare { .. }) => continue,
            Err(error) => panic!("{spec} in {zone}: {error}"),
        };
        let expected = walk(&Plain::read(spec), &minutes);
        // The walk knows of repeated times only when it has seen the first ones.
        let sure = start + Duration::hours(4);
        let mut at = sure;
        for expected in expected.into_iter().filter(|at| *at > sure) {
            let next = schedule.next_after(at).filter(|next| *next <= end);
            assert_eq!(next, Some(expected), "{spec} in {zone} after {at}");
            at = expected;
            compared += 1;
        }
        let more = schedule.next_after(at).filter(|next| *next <= end);
        assert_eq!(more, None, "{spec} in {zone} after {at}");
    }
    compared
}

#[test]
fn the_walk_agrees_around_the_jumps_of_unusual_zones() {
    let by_hand: Vec<String> = by_hand().collect();
    let made = Dice::seeded(37).lines(Dialect::Full, 240);
    let (mut turn, mut compared) = (0, 0);
    for zone in ZONES {
        // Apia left out a day in 2011 and has not changed its clock since 2021.
        let years = if zone == Tz::Pacific__Apia { 2010..2013 } else { 2024..2027 };
        for middle in jumps(zone, years) {
            // Each jump sees a part of the lines; all lines see several jumps, those by hand jumps of all kinds.
            let lines = by_hand.iter().skip(turn % 4).step_by(4).chain(made.iter().skip(turn % 12).step_by(12));
            compared += compare_with_walk(zone, middle, lines.map(String::as_str));
            turn += 1;
        }
    }
    assert!(turn > 50, "only {turn} jumps were found");
    assert!(compared > 50_000, "only {compared} instants were compared");
}

#[test]
fn the_walk_agrees_on_quiet_days() {
    let lines: Vec<String> = by_hand().chain(Dice::seeded(38).lines(Dialect::Full, 200)).collect();
    for (zone, middle) in [
        (Tz::UTC, "2028-02-29T12:00:00Z"),
        (Tz::UTC, "2027-02-28T12:00:00Z"),
        (Tz::Asia__Kathmandu, "2026-12-31T12:00:00Z"),
    ] {
        let middle = middle.parse().expect("an instant");
        let compared = compare_with_walk(zone, middle, lines.iter().map(String::as_str));
        assert!(compared > 10_000, "only {compared} instants were compared");
    }
}

/// Compares the next `steps` instants with croner's; returns how many were compared.
fn compare_with_croner(spec: &str, zone: Tz, from: DateTime<Utc>, steps: usize) -> usize {
    let croner: croner::Cron = spec.parse().expect("croner reads the line");
    let schedule = Schedule::parse(spec, Some(zone.name())).expect("the oracle's line is valid");
    let mut at = from;
    for _ in 0..steps {
        let expected = croner
            .find_next_occurrence(&at.with_timezone(&zone), false)
            .expect("croner finds the next instant")
            .to_utc();
        assert_eq!(schedule.next_after(at), Some(expected), "{spec} in {zone} after {at}");
        at = expected;
    }
    steps
}

#[test]
fn croner_agrees() {
    let lines: Vec<String> = by_hand()
        .filter(|line| is_for_croner(line))
        .chain(["@hourly", "@daily", "@weekly", "@monthly", "@yearly"].map(str::to_owned))
        .chain(["0 12 13 * FRI", "30 6 * jan-MAR,Dec mon-Fri", "0 0 * * FRI-SUN"].map(str::to_owned))
        .chain(["0 12 13,l * friL", "30 6 * jan-MAR,Dec tue#3,SUN#5"].map(str::to_owned))
        .collect();
    let mut compared = 0;
    for zone in ZONES.into_iter().filter(|zone| *zone != Tz::Pacific__Apia) {
        for (index, spec) in lines.iter().enumerate() {
            let year = 2024 + i32::try_from(index % 6).expect("a small number");
            let from = Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).earliest().expect("a year begins");
            compared += compare_with_croner(spec, zone, from, 40);
            for middle in jumps(zone, year..year + 1) {
                compared += compare_with_croner(spec, zone, middle - Duration::hours(8), 40);
            }
        }
    }
    assert!(compared > 30_000, "only {compared} instants were compared");
}

#[test]
fn croner_agrees_on_lines_that_a_seed_makes() {
    let mut dice = Dice::seeded(39);
    let lines = dice.lines(Dialect::Croner, 400);
    let zones: Vec<Tz> = ZONES.into_iter().filter(|zone| *zone != Tz::Pacific__Apia).collect();
    let mut compared = 0;
    for (turn, spec) in lines.iter().enumerate() {
        // Each line is read in a zone whose clock jumps in some unusual way, and in any.
        let any = TZ_VARIANTS[dice.below(TZ_VARIANTS.len())];
        for zone in [zones[turn % zones.len()], any] {
            let year = 2023 + i32::try_from(dice.below(12)).expect("a small number");
            let from = Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).earliest().expect("a year begins");
            compared += compare_with_croner(spec, zone, from, 25);
            for middle in jumps(zone, year..year + 1) {
                compared += compare_with_croner(spec, zone, middle - Duration::hours(30), 25);
            }
        }
    }
    assert!(compared > 30_000, "only {compared} instants were compared");
}
