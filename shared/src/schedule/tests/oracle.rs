//! The schedule against two others: a walk over every minute that shares no code with it, and `croner`.
//!
//! The walk asks a zone only what its wall clock shows at an instant, never the way back, and derives P9
//! from what it saw. `croner` counts a line as fixed-time only without lists in minute and hour, and loses
//! times of a gap that ends on another day, so it gets lines and zones without either.

use chrono::{DateTime, Datelike, Duration, NaiveDateTime, TimeZone, Timelike, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::super::*;

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

/// Lines that name times of day, with lists and ranges, around the hours at which clocks jump.
const FIXED: [&str; 18] = [
    "30 2 * * *",
    "0 0 * * *",
    "0 3 * * *",
    "15 2 * * *",
    "59 23 * * *",
    "1 0 * * *",
    "0,30 2 * * *",
    "0,15,45 0,1,2,3 * * *",
    "0-59 2 * * *",
    "30 0-23 * * *",
    "0 0,12 * * *",
    "45 1 * * 0",
    "30 2 * * 7",
    "30 0 * * 5",
    "0 9 * * 5",
    "30 2 1,8,31 * 0",
    "5 0 1 * *",
    "30 23 */2 * 1-5",
];

/// Lines that follow the time that passes.
const OTHERS: [&str; 18] = [
    "* * * * *",
    "*/15 * * * *",
    "*/7 * * * *",
    "0 * * * *",
    "30 * * * *",
    "0-59/20 * * * *",
    "0 */2 * * *",
    "30 1-23/2 * * *",
    "*/30 2 * * *",
    "*/10 1,2 * * *",
    "50-59/3 0-3 * * *",
    "* 0 * * *",
    "*/20 1 * * 0",
    "* 2 1-7 * 0",
    "*/15 23 */3 * *",
    "7 */5 29 2-11/3 1-5",
    "10,20,*/30 3 * 3,10 *",
    "0 0-23/1 * * 6,7",
];

/// The values of the five fields, read without the parser under test.
struct Plain {
    sets: [Vec<bool>; 5],
    days_add_up: bool,
    is_fixed: bool,
}

impl Plain {
    fn read(spec: &str) -> Self {
        let fields: Vec<&str> = spec.split(' ').collect();
        let limits = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
        let mut sets = [const { Vec::new() }; 5];
        for ((set, field), (low, high)) in sets.iter_mut().zip(&fields).zip(limits) {
            *set = vec![false; 60];
            for item in field.split(',') {
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
        }
    }

    fn names(&self, wall: NaiveDateTime) -> bool {
        let has = |field: usize, value: u32| self.sets[field][value as usize];
        let sunday = wall.weekday().num_days_from_sunday();
        let weekday = has(4, sunday) || sunday == 0 && has(4, 7);
        let day = has(2, wall.day());
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
    let mut at = start(years.start);
    while at < start(years.end) {
        let next = at + Duration::hours(12);
        if offset(at) != offset(next) {
            jumps.push(at + Duration::hours(6));
        }
        at = next;
    }
    jumps
}

/// Compares all instants between 32 hours before and after `middle` with the walk.
fn compare_with_walk(zone: Tz, middle: DateTime<Utc>, specs: &[&str]) {
    let start = middle - Duration::hours(32);
    let minutes = minutes(zone, start, 64 * 60);
    let end = start + Duration::minutes(64 * 60 - 1);
    for spec in specs {
        let schedule = Schedule::parse(spec, Some(zone.name())).expect("the oracle's line is valid");
        let expected = walk(&Plain::read(spec), &minutes);
        // The walk knows of repeated times only when it has seen the first ones.
        let sure = start + Duration::hours(4);
        let mut at = sure;
        for expected in expected.into_iter().filter(|at| *at > sure) {
            let next = schedule.next_after(at).filter(|next| *next <= end);
            assert_eq!(next, Some(expected), "{spec} in {zone} after {at}");
            at = expected;
        }
        let more = schedule.next_after(at).filter(|next| *next <= end);
        assert_eq!(more, None, "{spec} in {zone} after {at}");
    }
}

#[test]
fn the_walk_agrees_around_the_jumps_of_unusual_zones() {
    let lines: Vec<&str> = FIXED.into_iter().chain(OTHERS).collect();
    let mut turn = 0;
    for zone in ZONES {
        // Apia left out a day in 2011 and has not changed its clock since 2021.
        let years = if zone == Tz::Pacific__Apia { 2010..2013 } else { 2024..2027 };
        for middle in jumps(zone, years) {
            // Each jump sees every fourth line; all lines see jumps of all kinds.
            let lines: Vec<&str> = lines.iter().copied().skip(turn % 4).step_by(4).collect();
            compare_with_walk(zone, middle, &lines);
            turn += 1;
        }
    }
    assert!(turn > 50, "only {turn} jumps were found");
}

#[test]
fn the_walk_agrees_on_quiet_days() {
    let lines: Vec<&str> = FIXED.into_iter().chain(OTHERS).collect();
    for (zone, middle) in [(Tz::UTC, "2028-02-29T12:00:00Z"), (Tz::Asia__Kathmandu, "2026-12-31T12:00:00Z")] {
        compare_with_walk(zone, middle.parse().expect("an instant"), &lines);
    }
}

#[test]
#[ignore = "minutes long: every jump of every zone from 1973 to 2037"]
fn the_walk_agrees_around_every_jump_of_every_zone() {
    let lines: Vec<&str> = FIXED.into_iter().chain(OTHERS).collect();
    for zone in TZ_VARIANTS {
        // Until 1972, Liberia's clock was off by seconds, which a walk by minutes cannot see.
        for middle in jumps(zone, 1973..2038) {
            compare_with_walk(zone, middle, &lines);
        }
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
    let is_single = |spec: &&str| {
        let mut fields = spec.split(' ');
        let fields = [fields.next(), fields.next()];
        fields.iter().flatten().all(|field| !field.contains([',', '-']))
    };
    // croner lets only a bare `*` narrow the other day field.
    let is_vixie = |spec: &&str| !spec.contains("*/2 * 1-5");
    let fixed = FIXED.into_iter().filter(is_single);
    let lines: Vec<&str> = fixed
        .chain(OTHERS)
        .chain(["@hourly", "@daily", "@weekly", "@monthly", "@yearly"])
        .chain(["0 12 13 * FRI", "30 6 * jan-MAR,Dec mon-Fri", "0 0 * * FRI-SUN"])
        .filter(is_vixie)
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
