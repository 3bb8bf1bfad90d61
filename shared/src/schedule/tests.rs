//! What a line means, what is refused, and what happens where clocks jump; one claim each.

mod counted;
mod due;
mod oracle;
mod properties;
mod spread;

use chrono::{DateTime, Duration, Utc};

use super::*;

fn parse(spec: &str, zone: &str) -> Schedule {
    Schedule::parse(spec, Some(zone)).expect("the test's line is valid")
}

fn refusal(spec: &str) -> String {
    let error = Schedule::parse(spec, None).expect_err("the test's line is not valid");
    assert_eq!(error.field(), "cron_schedule", "{error}");
    error.to_string()
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().expect("the test's instant is valid")
}

/// The next local times after `after`.
fn locals(spec: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let upcoming = parse(spec, zone).upcoming(instant(after), count);
    upcoming.into_iter().map(|next| next.local).collect()
}

fn notes(spec: &str, zone: &str, after: &str, count: usize) -> Vec<Option<String>> {
    let upcoming = parse(spec, zone).upcoming(instant(after), count);
    upcoming.into_iter().map(|next| next.note).collect()
}

/// Asserts that two lines have the same instants, from now to the next leap day.
fn assert_same(left: &str, right: &str) {
    let after = instant("2026-03-01T00:00:00Z");
    let instants = |spec| {
        let upcoming = parse(spec, "UTC").upcoming(after, 40);
        upcoming.into_iter().map(|next| next.at).collect::<Vec<_>>()
    };
    assert_eq!(instants(left), instants(right), "{left} against {right}");
}

#[test]
fn shortcuts_stand_for_five_fields() {
    for (shortcut, fields) in [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * SUN"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@DAILY", "0 0 * * *"),
    ] {
        assert_same(shortcut, fields);
    }
}

#[test]
fn names_numbers_and_lists_mean_the_same() {
    for (left, right) in [
        ("0 0 * jan,Feb mon-FRI", "0 0 * 1,2 1-5"),
        ("0 0 * * 0", "0 0 * * 7"),
        ("0 0 * * FRI-SUN", "0 0 * * 0,5,6"),
        ("0 0 * * 5-7", "0 0 * * FRI,SAT,SUN"),
        ("0 0 * * 1-SAT", "0 0 * * 1,2,3,4,5,6"),
        ("0 0 * * SUN-TUE", "0 0 * * 0-2"),
        ("0 0 * * */2", "0 0 * * 0,2,4,6"),
        ("0 0 * * 0-7", "0 0 * * *"),
        ("0 0 * JAN-DEC/3 *", "0 0 * 1,4,7,10 *"),
        ("*/20 * * * *", "0,20,40 * * * *"),
        ("10-30/10 007 * * *", "10,20,30 7 * * *"),
        ("5,5,1-5,*/30 * * * *", "0,1,2,3,4,5,30 * * * *"),
    ] {
        assert_same(left, right);
    }
}

#[test]
fn weekday_one_is_monday() {
    assert_eq!(locals("0 0 * * 1", "UTC", "2026-01-01T00:00:00Z", 1), ["2026-01-05T00:00:00+00:00"]);
}

#[test]
fn two_restricted_day_fields_add_up() {
    assert_eq!(
        locals("0 0 13 * FRI", "UTC", "2026-01-01T00:00:00Z", 4),
        [
            "2026-01-02T00:00:00+00:00",
            "2026-01-09T00:00:00+00:00",
            "2026-01-13T00:00:00+00:00",
            "2026-01-16T00:00:00+00:00",
        ]
    );
    assert_same("0 0 1-31 * MON", "0 0 * * *");
    // One of them alone would never happen.
    assert_same("0 0 30 2 MON", "0 0 * 2 MON");
    assert_same("0 0 30 2 MONL", "0 0 * 2 MONL");
}

#[test]
fn a_day_field_with_a_leading_star_narrows_the_other() {
    assert_eq!(
        locals("0 0 */2 * MON", "UTC", "2026-01-01T00:00:00Z", 3),
        ["2026-01-05T00:00:00+00:00", "2026-01-19T00:00:00+00:00", "2026-02-09T00:00:00+00:00",]
    );
}

#[test]
fn a_fault_is_named_with_its_column() {
    for (spec, message) in [
        ("", "the cron line is empty, five fields are needed, such as */5 * * * *"),
        ("  \t", "the cron line is empty, five fields are needed, such as */5 * * * *"),
        ("TZ=UTC", "the cron line is empty, five fields are needed, such as */5 * * * *"),
        (
            "0 0  * *",
            r#"the cron line "0 0 * *" has 4 fields, five are needed: minute hour day-of-month month day-of-week"#,
        ),
        (
            "0 0 0 * * *",
            r#"the cron line "0 0 0 * * *" has 6 fields, five are needed: minute hour day-of-month month day-of-week; seconds and years are not supported"#,
        ),
        ("61 * * * *", r#"minute field "61", column 1: 61 is not between 0 and 59"#),
        (" 0  1,24 * * *", r#"hour field "1,24", column 7: 24 is not between 0 and 23"#),
        ("0 0 0 * *", r#"day-of-month field "0", column 5: 0 is not between 1 and 31"#),
        ("0 0 * 13 *", r#"month field "13", column 7: 13 is not between 1 and 12"#),
        ("0 0 * * 8", r#"day-of-week field "8", column 9: 8 is not between 0 and 7"#),
        (
            "TZ=UTC 0 0 * * x",
            r#"day-of-week field "x", column 16: "x" is neither a number nor one of the names SUN to SAT"#,
        ),
        (
            "0 0 * MAY-JUNE *",
            r#"month field "MAY-JUNE", column 7: "JUNE" is neither a number nor one of the names JAN to DEC"#,
        ),
        ("é 0 * * 8", r#"minute field "é", column 1: "é" is not a number"#),
        ("+5 0 * * *", r#"minute field "+5", column 1: "+5" is not a number"#),
        ("999999999999 0 * * *", r#"minute field "999999999999", column 1: 999999999999 is not between 0 and 59"#),
        ("1,,2 0 * * *", r#"minute field "1,,2", column 3: a value is missing"#),
        ("5- 0 * * *", r#"minute field "5-", column 1: a value is missing"#),
        ("1-2-3 0 * * *", r#"minute field "1-2-3", column 1: "2-3" is not a number"#),
        ("** 0 * * *", r#"minute field "**", column 1: "**" is not a number"#),
        ("0 22-2 * * *", r#"hour field "22-2", column 3: the range 22-2 runs backwards, write it as two: 22-23,0-2"#),
        (
            "0 0 * * FRI-MON",
            r#"day-of-week field "FRI-MON", column 9: the range FRI-MON runs backwards, write it as two: FRI-7,0-MON"#,
        ),
        ("*/0 * * * *", r#"minute field "*/0", column 1: the step 0 is not between 1 and 59"#),
        ("*/90 * * * *", r#"minute field "*/90", column 1: the step 90 is not between 1 and 59"#),
        ("*/ * * * *", r#"minute field "*/", column 1: the step is missing"#),
        ("*/5/2 * * * *", r#"minute field "*/5/2", column 1: the step "5/2" is not a number"#),
        ("5/15 * * * *", r#"minute field "5/15", column 1: a step needs * or a range, such as 5-59/15"#),
    ] {
        assert_eq!(refusal(spec), message);
    }
}

#[test]
fn the_advice_in_a_message_is_itself_valid() {
    for spec in ["0 22-23,0-2 * * *", "0 0 * * FRI-7,0-MON", "5-59/15 * * * *"] {
        parse(spec, "UTC");
    }
}

#[test]
fn extensions_of_other_crons_are_refused_by_name() {
    for (spec, message) in [
        ("0 0 15W * *", r#"day-of-month field "15W", column 5: W is not supported"#),
        ("0 0 1,LW * *", r#"day-of-month field "1,LW", column 7: W is not supported"#),
        ("0 0 ? * MON", r#"day-of-month field "?", column 5: ? is not supported, write *"#),
        ("@every 5m", r#""@every" is not supported, write for example */5 * * * * for every 5 minutes"#),
        ("@reboot", r#""@reboot" is not supported, a schedule follows the clock only"#),
        ("@daily 5", r#""@daily" stands for all five fields, nothing may follow it"#),
        ("@fortnightly", r#""@fortnightly" is not one of @hourly @daily @midnight @weekly @monthly @yearly @annually"#),
    ] {
        assert_eq!(refusal(spec), message);
    }
}

#[test]
fn a_line_of_128_characters_is_the_longest() {
    let padded = |length: usize| format!("0 0 * * *{}", " ".repeat(length - 9));
    assert!(Schedule::parse(&padded(128), None).is_ok());
    assert_eq!(refusal(&padded(129)), "the cron line has 129 characters, 128 are allowed");
}

#[test]
fn a_line_must_happen_in_any_five_years() {
    for (spec, message) in [
        ("0 0 30 2 *", r#"the cron line "0 0 30 2 *" never happens"#),
        ("0 0 31 4,6,9,11 *", r#"the cron line "0 0 31 4,6,9,11 *" never happens"#),
        // 1 January is a Sunday, but up to eleven years apart.
        ("0 0 1 1 */7", r#"the cron line "0 0 1 1 */7" can pause for five years or longer"#),
        ("0 0 29 2 */7", r#"the cron line "0 0 29 2 */7" can pause for five years or longer"#),
    ] {
        assert_eq!(refusal(spec), message);
    }
    parse("0 0 31 12 *", "UTC");
    parse("0 0 29,30 2 *", "UTC");
}

#[test]
fn a_line_that_a_zone_always_leaves_out_never_happens() {
    // Every 15 minutes of two o'clock on the second Sunday of March: exactly the gap.
    let spec = "*/15 2 8-14 3 */7";
    parse(spec, "UTC");
    let error = Schedule::parse(spec, Some("America/New_York"));
    assert!(matches!(error, Err(ScheduleError::Never { .. })), "{error:?}");
}

#[test]
fn leap_day_comes_every_four_years() {
    assert_eq!(
        locals("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 2),
        ["2028-02-29T00:00:00+00:00", "2032-02-29T00:00:00+00:00"]
    );
    let last = instant("2096-02-29T00:00:00Z");
    assert_eq!(parse("0 0 29 2 *", "UTC").next_after(last), None);
}

#[test]
fn the_zone_comes_from_the_prefix_or_from_beside_the_line() {
    let zone = |spec, zone| Schedule::parse(spec, zone).map(|schedule| schedule.time_zone());
    assert_eq!(zone("0 0 * * *", None), Ok(Tz::UTC));
    assert_eq!(zone("0 0 * * *", Some("Asia/Tokyo")), Ok(Tz::Asia__Tokyo));
    assert_eq!(zone("CRON_TZ=Asia/Tokyo 0 0 * * *", None), Ok(Tz::Asia__Tokyo));
    assert_eq!(zone("TZ=Asia/Tokyo @daily", Some("Asia/Tokyo")), Ok(Tz::Asia__Tokyo));

    let conflict = zone("TZ=Asia/Tokyo @daily", Some("UTC")).expect_err("two zones");
    assert_eq!(conflict.field(), "time_zone");
    assert_eq!(conflict.to_string(), "the cron line says Asia/Tokyo but the time zone says UTC, name only one of them");
}

#[test]
fn an_unknown_zone_is_blamed_on_the_field_that_names_it() {
    assert_eq!(
        refusal("TZ=Mars/Phobos 0 0 * * *"),
        r#"unknown time zone "Mars/Phobos", use an IANA name such as Europe/Paris"#
    );
    for (name, message) in [
        ("", r#"unknown time zone "", use an IANA name such as Europe/Paris"#),
        ("Local", r#"unknown time zone "Local", use an IANA name such as Europe/Paris"#),
        (" europe/paris", r#"unknown time zone " europe/paris", did you mean Europe/Paris"#),
    ] {
        let error = Schedule::parse("@daily", Some(name)).expect_err("no such zone");
        assert_eq!(error.field(), "time_zone");
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn the_line_is_kept_as_given_but_for_blanks() {
    let schedule = parse("  TZ=UTC\t0  2 * *\tMon ", "UTC");
    assert_eq!(schedule.spec(), "TZ=UTC 0 2 * * Mon");
    assert_eq!(parse(schedule.spec(), "UTC").spec(), schedule.spec());
}

#[test]
fn a_fixed_time_in_a_gap_runs_once_after_it() {
    let after = "2026-03-07T12:00:00Z";
    assert_eq!(
        locals("30 2 * * *", "America/New_York", after, 2),
        ["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"]
    );
    // Several times in one gap, also together with the first time after it, are one instant.
    for spec in ["0,15,30 2 * * *", "0-59 2 * * *", "0 2,3 * * *"] {
        let first = &locals(spec, "America/New_York", after, 1)[0];
        assert_eq!(first, "2026-03-08T03:00:00-04:00", "{spec}");
    }
    assert_eq!(locals("0 2,3 * * *", "America/New_York", after, 2)[1], "2026-03-09T02:00:00-04:00");
}

#[test]
fn a_repeated_fixed_time_runs_the_first_time() {
    assert_eq!(
        locals("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2),
        ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"]
    );
    // Also when the search begins in the second pass, before that wall time.
    let in_second_pass = "2026-11-01T06:10:00Z";
    assert_eq!(locals("30 1 * * *", "America/New_York", in_second_pass, 1), ["2026-11-02T01:30:00-05:00"]);
}

#[test]
fn other_lines_follow_the_time_that_passes() {
    assert_eq!(
        locals("*/30 * * * *", "America/New_York", "2026-11-01T04:30:00Z", 5),
        [
            "2026-11-01T01:00:00-04:00",
            "2026-11-01T01:30:00-04:00",
            "2026-11-01T01:00:00-05:00",
            "2026-11-01T01:30:00-05:00",
            "2026-11-01T02:00:00-05:00",
        ]
    );
    assert_eq!(
        locals("*/30 * * * *", "America/New_York", "2026-03-08T06:00:00Z", 3),
        ["2026-03-08T01:30:00-05:00", "2026-03-08T03:00:00-04:00", "2026-03-08T03:30:00-04:00",]
    );
    // A star or a step in either of the two fields is enough.
    for spec in ["30 */2 * * *", "*/30 2 * * *", "30 2-2/1 * * *"] {
        let first = &locals(spec, "America/New_York", "2026-03-08T06:00:00Z", 1)[0];
        assert_ne!(first, "2026-03-08T03:00:00-04:00", "{spec}");
    }
}

#[test]
fn only_the_second_pass_may_be_left() {
    // 01:50 is over, 01:10 will come again.
    assert_eq!(
        locals("*/10 1 1 11 *", "America/New_York", "2026-11-01T05:50:00Z", 2),
        ["2026-11-01T01:00:00-05:00", "2026-11-01T01:10:00-05:00"]
    );
}

#[test]
fn midnight_that_a_zone_leaves_out_runs_at_one() {
    for spec in ["0 0 * * *", "0 0 * * FRI", "30 0 26 4 *"] {
        let first = &locals(spec, "Africa/Cairo", "2024-04-25T12:00:00Z", 1)[0];
        assert_eq!(first, "2024-04-26T01:00:00+03:00", "{spec}");
    }
}

#[test]
fn half_an_hour_can_jump_too() {
    let zone = "Australia/Lord_Howe";
    assert_eq!(
        locals("15 2 * * *", zone, "2024-10-05T12:00:00Z", 2),
        ["2024-10-06T02:30:00+11:00", "2024-10-07T02:15:00+11:00"]
    );
    assert_eq!(
        locals("45 1 * * *", zone, "2024-04-06T12:00:00Z", 2),
        ["2024-04-07T01:45:00+11:00", "2024-04-08T01:45:00+10:30"]
    );
    assert_eq!(
        locals("*/15 1 * * *", zone, "2024-04-06T14:15:00Z", 4),
        [
            "2024-04-07T01:30:00+11:00",
            "2024-04-07T01:45:00+11:00",
            "2024-04-07T01:30:00+10:30",
            "2024-04-07T01:45:00+10:30",
        ]
    );
}

#[test]
fn a_day_that_a_zone_leaves_out_runs_once_after_it() {
    let zone = "Pacific/Apia";
    assert_eq!(
        locals("0 9 * * *", zone, "2011-12-29T18:00:00Z", 3),
        ["2011-12-29T09:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T09:00:00+14:00",]
    );
    // 30 December was the Friday that did not happen.
    assert_eq!(
        locals("0 9,17 * * FRI", zone, "2011-12-29T18:00:00Z", 2),
        ["2011-12-31T00:00:00+14:00", "2012-01-06T09:00:00+14:00"]
    );
    assert_eq!(
        locals("*/30 * * * *", zone, "2011-12-30T09:00:00Z", 2),
        ["2011-12-29T23:30:00-10:00", "2011-12-31T00:00:00+14:00"]
    );
}

#[test]
fn an_instant_is_strictly_after_also_by_a_nanosecond() {
    let schedule = parse("* * * * *", "UTC");
    let minute = instant("2026-01-01T00:01:00Z");
    let nanosecond = Duration::nanoseconds(1);
    assert_eq!(schedule.next_after(minute - nanosecond), Some(minute));
    let next = Some(minute + Duration::minutes(1));
    assert_eq!(schedule.next_after(minute), next);
    assert_eq!(schedule.next_after(minute + nanosecond), next);
}

#[test]
fn the_calendar_runs_from_1970_to_2099() {
    for zone in ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"] {
        for spec in ["0 0 * * *", "0 */12 * * *"] {
            let schedule = parse(spec, zone);
            let first = schedule.next_after(DateTime::<Utc>::MIN_UTC).expect("there is a first day");
            let first = first.with_timezone(&schedule.time_zone());
            assert_eq!(first.date_naive().to_string(), "1970-01-01", "{zone}");
            assert_eq!(schedule.next_after(DateTime::<Utc>::MAX_UTC), None);
            let last = schedule.next_after(instant("2099-12-30T23:59:59Z")).expect("there is a last day");
            assert_eq!(schedule.next_after(last + Duration::days(1)), None, "{zone}");
        }
    }
}

#[test]
fn a_period_is_the_way_to_the_following_instant() {
    let schedule = parse("0 9 * * MON-FRI", "Europe/Berlin");
    // From Friday to Monday, over the spring change: one hour less than three days.
    let friday = instant("2026-03-27T08:00:00Z");
    assert_eq!(schedule.period_at(friday), Some(Duration::hours(71)));
}

#[test]
fn notes_say_what_a_jump_does() {
    let zone = "Europe/Berlin";
    let (spring, autumn) = ("2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z");
    let note = |spec, after| notes(spec, zone, after, 1).remove(0);
    assert_eq!(note("30 2 * * *", spring).as_deref(), Some("02:30 does not exist on 29 Mar 2026; runs at 03:00"));
    assert_eq!(
        note("0,15,30 2 * * *", spring).as_deref(),
        Some("02:00 to 02:30 do not exist on 29 Mar 2026; runs once at 03:00")
    );
    assert_eq!(
        note("30 2 * * *", autumn).as_deref(),
        Some("02:30 happens twice on 25 Oct 2026; runs the first time only")
    );
    assert_eq!(note("30 2 * * *", "2026-06-01T00:00:00Z"), None);
    assert_eq!(
        notes("0 */2 * * *", zone, "2026-03-29T00:00:00Z", 2),
        [Some("02:00 does not exist on 29 Mar 2026 and is left out".to_owned()), None]
    );
    assert_eq!(
        notes("*/30 * * * *", zone, "2026-03-29T00:30:00Z", 1),
        [Some("02:00 to 02:30 do not exist on 29 Mar 2026 and are left out".to_owned())]
    );
    assert_eq!(
        notes("0 * * * *", zone, "2026-10-24T23:00:00Z", 3),
        [
            Some("02:00 happens twice on 25 Oct 2026; this is the first time".to_owned()),
            Some("02:00 happens twice on 25 Oct 2026; this is the second time".to_owned()),
            None,
        ]
    );
    assert_eq!(
        notes("0 9 * * *", "Pacific/Apia", "2011-12-30T00:00:00Z", 1),
        [Some("09:00 does not exist on 30 Dec 2011; runs at 00:00 on 31 Dec 2011".to_owned())]
    );
}

#[test]
fn a_schedule_can_be_read_in_words() {
    for (spec, zone, words) in [
        ("* * * * *", "UTC", "every minute"),
        ("*/5 * * * *", "Asia/Tokyo", "every 5 minutes"),
        ("*/7 * * * *", "UTC", "every 7 minutes, counted anew each hour"),
        ("*/45 * * * *", "UTC", "at minutes 0 and 45 of every hour"),
        ("0 * * * *", "UTC", "every hour"),
        ("30 * * * *", "UTC", "at minute 30 of every hour"),
        ("0-4,30 * * * *", "UTC", "at minutes 0 to 4 and 30 of every hour"),
        ("*/5 * * * SAT", "UTC", "every 5 minutes on Saturday (UTC)"),
        ("0 */2 * * *", "UTC", "every 2 hours (UTC)"),
        ("15 */5 * * *", "UTC", "every 5 hours, counted anew each day, at minute 15 (UTC)"),
        ("30 2 * * 1", "America/Toronto", "at 02:30 on Monday (America/Toronto)"),
        ("30 2 * * *", "America/Toronto", "at 02:30 every day (America/Toronto)"),
        ("0,30 9 * * *", "UTC", "at 09:00 and 09:30 every day (UTC)"),
        ("0 9 * * MON-FRI", "UTC", "at 09:00 on Monday to Friday (UTC)"),
        ("0 9 * * 0,1,3", "UTC", "at 09:00 on Monday, Wednesday and Sunday (UTC)"),
        ("0 9-17 * * *", "UTC", "every hour from 09:00 to 17:00 (UTC)"),
        ("*/10 9-17 * 6 *", "UTC", "every 10 minutes from 09:00 to 17:50 in June (UTC)"),
        ("*/10 9,17 * * *", "UTC", "every 10 minutes in hours 9 and 17 (UTC)"),
        ("* 9,17 * * *", "UTC", "every minute in hours 9 and 17 (UTC)"),
        ("1,2 1,3,5,7 * * *", "UTC", "at minutes 1 and 2 in hours 1, 3, 5 and 7 every day (UTC)"),
        ("0 0 1 * *", "UTC", "at 00:00 on day 1 of the month (UTC)"),
        ("0 0 1-7,15 4,5 *", "UTC", "at 00:00 on days 1 to 7 and 15 of April and May (UTC)"),
        ("0 0 */2 * *", "UTC", "at 00:00 on every 2nd day of the month from day 1 (UTC)"),
        ("0 0 29 2 *", "UTC", "at 00:00 on 29 February (UTC)"),
        ("0 0 * 6-8 *", "UTC", "at 00:00 every day in June to August (UTC)"),
        ("0 0 13 * FRI", "UTC", "at 00:00 on day 13 of the month and also on Friday (UTC)"),
        ("0 0 1-31 * FRI", "UTC", "at 00:00 every day (UTC)"),
        ("0 0 * 1 */6", "UTC", "at 00:00 on Saturday and Sunday in January (UTC)"),
        ("0 0 */10 1 MON", "UTC", "at 00:00 on every 10th day of January from day 1 if that is Monday (UTC)"),
        ("@yearly", "UTC", "at 00:00 on 1 January (UTC)"),
    ] {
        assert_eq!(parse(spec, zone).describe(), words, "{spec}");
    }
}
