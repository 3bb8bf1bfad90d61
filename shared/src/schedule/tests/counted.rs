//! `L` and `#`: which days they are, what they go together with, how they are told, and what is refused.

use chrono::{Datelike, NaiveDate};

use super::*;

/// The next dates on which a line runs.
fn dates(spec: &str, after: &str, count: usize) -> Vec<String> {
    let upcoming = parse(spec, "UTC").upcoming(instant(after), count);
    upcoming.into_iter().map(|next| next.at.date_naive().to_string()).collect()
}

/// The days of the years 2024 to 2051, one whole turn of the calendar.
fn calendar() -> impl Iterator<Item = NaiveDate> {
    let first = NaiveDate::from_ymd_opt(2024, 1, 1).expect("a date");
    first.iter_days().take_while(|day| day.year() < 2052)
}

/// Asserts that a line runs on exactly the days that `is_named` picks from the calendar.
fn assert_days(spec: &str, is_named: impl Fn(NaiveDate) -> bool) {
    let schedule = parse(spec, "UTC");
    let mut at = instant("2023-12-31T23:59:59Z");
    for day in calendar().filter(|day| is_named(*day)) {
        at = schedule.next_after(at).expect("there is a next instant");
        assert_eq!(at.date_naive(), day, "{spec}");
    }
    let next = schedule.next_after(at).map(|next| next.year());
    assert!(next.is_some_and(|year| year >= 2052), "{spec}: {next:?} after {at}");
}

/// The days of the month of `day` that have its weekday.
fn same_weekdays(day: NaiveDate) -> Vec<u32> {
    let first = day.with_day(1).expect("each month has a first day");
    first
        .iter_days()
        .take_while(|other| other.month() == day.month())
        .filter(|other| other.weekday() == day.weekday())
        .map(|other| other.day())
        .collect()
}

#[test]
fn l_is_the_last_day_of_each_month() {
    assert_eq!(
        dates("0 0 L * *", "2027-12-31T12:00:00Z", 5),
        ["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30", "2028-05-31"]
    );
    assert_days("0 0 L * *", |day| day.succ_opt().is_some_and(|next| next.month() != day.month()));
    assert_eq!(dates("0 0 l 2 *", "2026-01-01T00:00:00Z", 3), ["2026-02-28", "2027-02-28", "2028-02-29"]);
}

#[test]
fn every_weekday_has_its_place_in_the_month() {
    for weekday in 0..7 {
        let is_weekday = |day: NaiveDate| day.weekday().num_days_from_sunday() == weekday;
        assert_days(&format!("0 0 * * {weekday}L"), |day| {
            is_weekday(day) && same_weekdays(day).last() == Some(&day.day())
        });
        for nth in 1..=5 {
            assert_days(&format!("0 0 * * {weekday}#{nth}"), |day| {
                is_weekday(day) && same_weekdays(day).get(nth - 1) == Some(&day.day())
            });
        }
    }
}

#[test]
fn a_month_without_a_fifth_weekday_is_passed_over() {
    assert_eq!(
        dates("0 0 * * FRI#5", "2026-01-01T00:00:00Z", 4),
        ["2026-01-30", "2026-05-29", "2026-07-31", "2026-10-30"]
    );
    assert_eq!(dates("0 0 * * FRIL", "2026-01-31T00:00:00Z", 2), ["2026-02-27", "2026-03-27"]);
}

#[test]
fn names_and_numbers_of_counted_days_mean_the_same() {
    for (left, right) in [
        ("0 0 * * 5L", "0 0 * * friL"),
        ("0 0 * * 7L", "0 0 * * 0l"),
        ("0 0 * * SUN#2", "0 0 * * 7#2"),
        ("0 0 * * 2#3", "0 0 * * tue#3"),
        ("0 0 * * 1#1,1#2,1#3,1#4,1#5", "0 0 * * MON"),
        ("0 0 * * MON,1#2", "0 0 * * MON"),
        ("0 0 * * 1#1,1#1", "0 0 * * 1#1"),
        // The first seven days hold each weekday once, and so do the last.
        ("0 0 * * 0#1", "0 0 1-7 * */7"),
        ("0 0 * 1 7L", "0 0 25-31 1 */7"),
    ] {
        assert_same(left, right);
    }
}

#[test]
fn counted_days_stand_in_lists_with_others() {
    assert_eq!(
        dates("0 0 15,L * *", "2026-02-01T00:00:00Z", 4),
        ["2026-02-15", "2026-02-28", "2026-03-15", "2026-03-31"]
    );
    // In a leap year the 29th is the last day, and runs once.
    assert_eq!(dates("0 0 29,L 2 *", "2027-01-01T00:00:00Z", 3), ["2027-02-28", "2028-02-29", "2029-02-28"]);
    assert_eq!(
        dates("0 0 * * WED,MON#1,FRIL", "2026-06-20T00:00:00Z", 5),
        ["2026-06-24", "2026-06-26", "2026-07-01", "2026-07-06", "2026-07-08"]
    );
}

#[test]
fn counted_days_restrict_their_field() {
    // Both fields are restricted: either is enough.
    assert_eq!(
        dates("0 0 L * TUE#3", "2026-01-01T00:00:00Z", 4),
        ["2026-01-20", "2026-01-31", "2026-02-17", "2026-02-28"]
    );
    assert_eq!(
        dates("0 0 13 * FRIL", "2026-01-01T00:00:00Z", 4),
        ["2026-01-13", "2026-01-30", "2026-02-13", "2026-02-27"]
    );
    // One begins with a star: both are needed.
    assert_eq!(
        dates("0 0 */2 * FRIL", "2026-01-01T00:00:00Z", 4),
        ["2026-02-27", "2026-03-27", "2026-05-29", "2026-07-31"]
    );
    assert_eq!(
        dates("0 0 L * */2", "2026-01-01T00:00:00Z", 4),
        ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]
    );
    assert_eq!(dates("0 0 L * */6", "2026-03-01T00:00:00Z", 2), ["2026-05-31", "2026-10-31"]);
    // A star that is not the first entry does not.
    assert_same("0 0 L,* * MON#1", "0 0 * * *");
}

#[test]
fn counted_days_follow_the_clock_of_their_zone() {
    // The clock jumps on the second Sunday of March and on the first of November.
    let zone = "America/New_York";
    assert_eq!(
        locals("30 2 * * SUN#2", zone, "2026-03-01T00:00:00Z", 2),
        ["2026-03-08T03:00:00-04:00", "2026-04-12T02:30:00-04:00"]
    );
    assert_eq!(
        notes("30 2 * * SUN#2", zone, "2026-03-01T00:00:00Z", 1),
        [Some("02:30 does not exist on 8 Mar 2026; runs at 03:00".to_owned())]
    );
    assert_eq!(
        locals("*/30 1 * 11 0#1", zone, "2026-06-01T00:00:00Z", 4),
        [
            "2026-11-01T01:00:00-04:00",
            "2026-11-01T01:30:00-04:00",
            "2026-11-01T01:00:00-05:00",
            "2026-11-01T01:30:00-05:00",
        ]
    );
    // The last day of a month is the zone's, which is 14 hours ahead.
    assert_eq!(locals("0 9 L * *", "Pacific/Kiritimati", "2026-02-27T18:30:00Z", 1), ["2026-02-28T09:00:00+14:00"]);
    // Samoa had no 30 December 2011, the last Friday of its month: it runs when that is over.
    assert_eq!(locals("0 9 * * FRIL", "Pacific/Apia", "2011-12-01T00:00:00Z", 1), ["2011-12-31T00:00:00+14:00"]);
}

#[test]
fn counted_days_end_with_the_calendar() {
    for spec in ["0 0 L * *", "0 0 * * THUL", "0 0 * * 4#5"] {
        let schedule = parse(spec, "UTC");
        assert_eq!(schedule.next_after(instant("2099-12-31T00:00:00Z")), None, "{spec}");
        assert!(schedule.next_after(DateTime::<Utc>::MIN_UTC).is_some(), "{spec}");
    }
}

#[test]
fn a_counted_day_that_hardly_ever_comes_is_refused() {
    for (spec, end) in [
        // 29 February is a Monday once in 28 years.
        ("0 0 * 2 MON#5", "can pause for five years or longer"),
        ("0 0 L 2 */7", "can pause for five years or longer"),
    ] {
        assert_eq!(refusal(spec), format!("the cron line {spec:?} {end}"));
    }
    parse("0 0 * 2 MON#4", "UTC");
    parse("0 0 L 2 SAT", "UTC");
}

#[test]
fn where_h_decides_the_month_a_fifth_weekday_is_refused() {
    let told = Schedule::check("0 0 * H MON#5", None).expect_err("H may fall on February").to_string();
    assert_eq!(
        told,
        r#"the cron line "0 0 * H MON#5" never happens, or hardly ever, where H falls on some of its values"#
    );
    for spec in ["0 0 * H(3-12) MON#4", "H H L H *", "0 0 L H MON#5", "H H * * FRIL"] {
        let checked = Schedule::check(spec, None).unwrap_or_else(|error| panic!("{spec}: {error}"));
        assert!(!checked.is_decided);
    }
}

#[test]
fn counted_days_can_be_read_in_words() {
    for (spec, words) in [
        ("0 0 L * *", "at 00:00 on the last day of the month (UTC)"),
        ("0 0 L 2 *", "at 00:00 on the last day of February (UTC)"),
        ("0 0 L 1,6 *", "at 00:00 on the last day of January and June (UTC)"),
        ("0 0 1,15,L * *", "at 00:00 on days 1 and 15 and the last day of the month (UTC)"),
        ("0 9 * * FRIL", "at 09:00 on the last Friday of the month (UTC)"),
        ("0 9 * * 2#3", "at 09:00 on the third Tuesday of the month (UTC)"),
        ("0 9 * 6 7#1", "at 09:00 on the first Sunday of the month in June (UTC)"),
        ("*/5 * * * MON#5", "every 5 minutes on the fifth Monday of the month (UTC)"),
        (
            "0 0 * * 5L,WED,4#2,1#2",
            "at 00:00 on Wednesday, the second Monday of the month, the second Thursday of the month and the last Friday of the month (UTC)",
        ),
        (
            "0 0 13,L * FRI#1",
            "at 00:00 on day 13 and the last day of the month and also on the first Friday of the month (UTC)",
        ),
        (
            "0 0 */2 1 MONL",
            "at 00:00 on every 2nd day of January from day 1 if that is the last Monday of the month (UTC)",
        ),
        ("0 0 L,* * MON#1", "at 00:00 every day (UTC)"),
    ] {
        assert_eq!(parse(spec, "UTC").describe(), words, "{spec}");
    }
}

#[test]
fn what_looks_like_a_counted_day_is_refused_with_its_reason_and_column() {
    let alone = "L stands alone, for the last day of the month";
    let behind = "L stands behind a day of the week, such as FRIL for the last Friday of the month";
    let one_last = "L stands behind one day of the week, such as FRIL for the last Friday of the month";
    let one_nth = "# stands behind one day of the week, such as TUE#3 for the third Tuesday of the month";
    let weekdays = "# stands behind a day of the week, such as TUE#3 for the third Tuesday of the month";
    let number = "what stands behind # is not a number from 1 to 5";
    let only_days = "L stands in the two day fields only";
    for (spec, field, text, column, reason) in [
        ("0 0 L-3 * *", "day-of-month", "L-3", 5, alone),
        ("0 0 1,L/2 * *", "day-of-month", "1,L/2", 7, alone),
        ("0 0 5L * *", "day-of-month", "5L", 5, alone),
        ("0 0 20-L * *", "day-of-month", "20-L", 5, alone),
        ("0 0 * * L", "day-of-week", "L", 9, behind),
        ("0 0 * * 1,L-2", "day-of-week", "1,L-2", 11, behind),
        ("0 0 * * MON-FRIL", "day-of-week", "MON-FRIL", 9, one_last),
        ("0 0 * * 1-5#2", "day-of-week", "1-5#2", 9, one_nth),
        ("0 0 * * *#2", "day-of-week", "*#2", 9, one_nth),
        ("0 0 * * #2", "day-of-week", "#2", 9, one_nth),
        ("0 0 * * MON#", "day-of-week", "MON#", 9, number),
        ("0 0 * * MON#0", "day-of-week", "MON#0", 9, number),
        ("0 0 * * 1,MON#6", "day-of-week", "1,MON#6", 11, number),
        ("0 0 * * MON#+1", "day-of-week", "MON#+1", 9, number),
        ("0 0 * * MON#L", "day-of-week", "MON#L", 9, number),
        ("0 0 * * MON#2/3", "day-of-week", "MON#2/3", 9, number),
        ("0 0 * * 8L", "day-of-week", "8L", 9, "8 is not between 0 and 7"),
        ("0 0 * * 9#2", "day-of-week", "9#2", 9, "9 is not between 0 and 7"),
        ("0 0 1#2 * *", "day-of-month", "1#2", 5, weekdays),
        ("L 0 * * *", "minute", "L", 1, only_days),
        ("0 5L * * *", "hour", "5L", 3, only_days),
        ("0 0 * L *", "month", "L", 7, only_days),
    ] {
        assert_eq!(refusal(spec), format!("{field} field {text:?}, column {column}: {reason}"));
    }
    // Months whose names end with the letter.
    parse("0 0 * JUL,APR-JUL *", "UTC");
}
