//! `H`: inside of its range, always the same, and evenly spread.

use std::collections::BTreeSet;

use chrono::Timelike;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::ids::TestId;

fn id(number: u128) -> TestId {
    TestId(Uuid::from_u128(number))
}

fn of(test: TestId, spec: &str) -> Schedule {
    Schedule::parse_for(test, spec, None).unwrap_or_else(|error| panic!("{spec}: {error}"))
}

fn refused(spec: &str) -> String {
    let told = Schedule::check(spec, None).expect_err(spec).to_string();
    let parsed = Schedule::parse_for(id(7), spec, None).map(|schedule| schedule.describe());
    assert_eq!(parsed.unwrap_err().to_string(), told, "{spec}: the check says what parsing says");
    told
}

/// The first instant of 2027.
fn first(schedule: &Schedule) -> NaiveDateTime {
    schedule.next_after(instant("2026-12-31T23:59:59Z")).expect("an instant").naive_utc()
}

#[test]
fn the_places_of_an_id_are_for_ever() {
    // A change here moves the tests of everybody who upgrades.
    let test = id(0x0198_f7a0_0000_7000_8000_0000_0000_0001);
    let words = |spec: &str| of(test, spec).describe();
    assert_eq!(
        ["H * * * *", "H H * * *", "H/15 * * * *", "H H(0-7) H H H"].map(words),
        [
            "at minute 52 of every hour",
            "at 17:52 every day (UTC)",
            "at minutes 7, 22, 37 and 52 of every hour",
            "at 01:52 on day 19 of August and also on Sunday in August (UTC)",
        ]
    );
}

#[test]
fn lines_without_h_do_not_depend_on_the_test() {
    for spec in ["@hourly", "@daily", "@weekly", "*/5 * * * *", "30 2 * * MON"] {
        let schedule = parse(spec, "UTC");
        let after = instant("2026-03-01T00:00:00Z");
        for test in 0..20 {
            assert_eq!(of(id(test), spec).upcoming(after, 5), schedule.upcoming(after, 5), "{spec}");
        }
        let checked = Schedule::check(spec, None).unwrap();
        assert_eq!((checked.description, checked.is_decided), (schedule.describe(), true));
    }
}

#[test]
fn without_a_test_h_has_no_place_and_the_check_says_so() {
    assert_eq!(refusal("H * * * *"), r#"minute field "H", column 1: H needs a test, whose id decides its place"#);
    let checked = Schedule::check("H  3 * * *", Some("Europe/Paris")).unwrap();
    assert_eq!(checked.description, "H 3 * * * (Europe/Paris); the place of H is decided when the test is registered");
    assert!(!checked.is_decided);
    assert!(!Schedule::check("TZ=Europe/Paris h/15 * * * *", None).unwrap().is_decided);
}

#[test]
fn a_fault_of_an_h_is_named_with_its_column() {
    for (spec, message) in [
        ("H( * * * *", r#"minute field "H(", column 1: the bracket behind H is not closed"#),
        ("1,H() * * * *", r#"minute field "1,H()", column 3: H takes a range in its brackets, such as H(0-29)"#),
        ("H(5) * * * *", r#"minute field "H(5)", column 1: H takes a range in its brackets, such as H(0-29)"#),
        ("H(0-60) * * * *", r#"minute field "H(0-60)", column 1: 60 is not between 0 and 59"#),
        ("0 h(9-5) * * *", r#"hour field "h(9-5)", column 3: the range 9-5 behind H runs backwards"#),
        (
            "0 0 H(1-31) * *",
            r#"day-of-month field "H(1-31)", column 5: H reaches up to day 28, the last that every month has"#,
        ),
        ("H5 * * * *", r#"minute field "H5", column 1: H stands alone, or as H(0-29), H/15 or H(0-29)/15"#),
        ("HOURLY * * * *", r#"minute field "HOURLY", column 1: H stands alone, or as H(0-29), H/15 or H(0-29)/15"#),
        ("H(0-9)-5 * * * *", r#"minute field "H(0-9)-5", column 1: H stands alone, or as H(0-29), H/15 or H(0-29)/15"#),
        ("H/ * * * *", r#"minute field "H/", column 1: the step is missing"#),
        ("H/0 * * * *", r#"minute field "H/0", column 1: the step 0 is not between 1 and 59"#),
        ("H/60 * * * *", r#"minute field "H/60", column 1: the step 60 is not between 1 and 59"#),
        ("H(0-9)/11 * * * *", r#"minute field "H(0-9)/11", column 1: the step 11 is larger than the range 0-9"#),
        ("0 0 H/29 * *", r#"day-of-month field "H/29", column 5: the step 29 is larger than the range 1-28"#),
    ] {
        assert_eq!(refused(spec), message);
    }
}

#[test]
fn a_line_that_for_some_place_of_h_hardly_ever_happens_is_refused_for_all() {
    for spec in ["0 0 31 H *", "0 0 30 H(2-3) *", "0 0 30 H(2-2) *", "0 0 */31 H H"] {
        let told = Schedule::check(spec, None).unwrap_err().to_string();
        let words = "never happens, or hardly ever, where H falls on some of its values";
        assert_eq!(told, format!("the cron line {spec:?} {words}"));
    }
    // These happen wherever H falls.
    for spec in [
        "0 0 28 H *",
        "0 0 H H H",
        "H H 31 * H",
        "0 0 31 H(7-8) *",
        "H H * H H",
        "0 0 */2 H *",
        "H H(1-3)/2 H/9 H/4 H(MON-FRI)",
    ] {
        Schedule::check(spec, None).unwrap_or_else(|error| panic!("{spec}: {error}"));
        for test in 0..100 {
            of(id(test), spec);
        }
    }
}

#[test]
fn h_is_a_fixed_time_and_a_step_of_h_follows_the_clock() {
    // 02:00 to 03:00 does not exist on 8 March 2026 in New York.
    let zone = Some("America/New_York");
    let test =
        (0..).map(id).find(|test| first(&of(*test, "H * * * *")).minute() == 30).expect("some test falls on half past");
    let fixed = Schedule::parse_for(test, "H 2 * * *", zone).unwrap();
    let notes: Vec<_> =
        fixed.upcoming(instant("2026-03-07T12:00:00Z"), 1).into_iter().filter_map(|at| at.note).collect();
    assert_eq!(notes, ["02:30 does not exist on 8 Mar 2026; runs at 03:00"]);
    let stepped = Schedule::parse_for(test, "H/20 2 * * *", zone).unwrap();
    let next = stepped.upcoming(instant("2026-03-07T12:00:00Z"), 1).remove(0);
    assert!(next.local.starts_with("2026-03-09T02:"), "{next:?}");
}

#[test]
fn ten_thousand_tests_are_spread_evenly_and_minute_and_hour_do_not_go_together() {
    const TESTS: u32 = 10_000;
    // Ids as they are drawn: they differ in their time and in what is random.
    let tests: Vec<TestId> = (0..TESTS)
        .map(|n| {
            let at = instant("2026-01-01T00:00:00Z") + Duration::milliseconds(i64::from(n) * 7);
            TestId::at(at, u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        })
        .collect();
    let chi_square = |counts: &[u32]| {
        let expected = f64::from(TESTS) / counts.len() as f64;
        counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum::<f64>()
    };
    let spread = |what: &str, places: usize, place: &dyn Fn(Places) -> usize| {
        let mut counts = vec![0; places];
        tests.iter().for_each(|test| counts[place(Places::of(*test))] += 1);
        let (found, degrees) = (chi_square(&counts), places as f64 - 1.0);
        // Five standard deviations above the mean of the distribution.
        assert!(found < degrees + 5.0 * (2.0 * degrees).sqrt(), "{what}: {found} of {degrees} degrees: {counts:?}");
    };
    let at = |places: Places, field, width| usize::from(places.within(field, width).expect("a place"));
    spread("H * * * *", 60, &|places| at(places, CronField::Minute, 60));
    spread("0 H * * *", 24, &|places| at(places, CronField::Hour, 24));
    spread("0 0 H * *", 28, &|places| at(places, CronField::DayOfMonth, 28));
    spread("0 0 1 H *", 12, &|places| at(places, CronField::Month, 12));
    spread("0 0 * * H", 7, &|places| at(places, CronField::DayOfWeek, 7));
    spread("H/15 * * * *", 15, &|places| at(places, CronField::Minute, 15));
    spread("0 H(0-7) * * *", 8, &|places| at(places, CronField::Hour, 8));
    spread("minute and hour", 576, &|places| at(places, CronField::Minute, 24) * 24 + at(places, CronField::Hour, 24));
    spread("hour and weekday", 168, &|places| {
        at(places, CronField::Hour, 24) * 7 + at(places, CronField::DayOfWeek, 7)
    });
}

/// A field, its range for H, and what an instant has there.
type Field = (usize, u8, u8, fn(NaiveDateTime) -> u32);

fn fields() -> impl Strategy<Value = Field> {
    let fields: [Field; 5] = [
        (0, 0, 59, |at| at.minute()),
        (1, 0, 23, |at| at.hour()),
        (2, 1, 28, |at| at.day()),
        (3, 1, 12, |at| at.month()),
        (4, 0, 6, |at| at.weekday().num_days_from_sunday()),
    ];
    prop::sample::select(fields.to_vec())
}

/// A line that has this in one field, and every value in those before it.
fn line(field: usize, text: &str) -> String {
    // What stands before the field is fixed so that its values are easy to walk; what comes behind is every value.
    let mut words = ["0", "0", "*", "*", "*"].map(str::to_owned);
    if field == 3 {
        words[2] = "1".to_owned();
    }
    for word in words.iter_mut().skip(field + 1) {
        *word = "*".to_owned();
    }
    words[field] = text.to_owned();
    words.join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn an_h_is_one_value_of_its_range(
        test in any::<u128>(),
        (field, low, high, value) in fields(),
        ends in any::<(u8, u8)>(),
        is_ranged in any::<bool>(),
    ) {
        let span = high - low + 1;
        let (a, b) = (low + ends.0 % span, low + ends.1 % span);
        let (from, to) = (a.min(b), a.max(b));
        let (text, from, to) =
            if is_ranged { (format!("H({from}-{to})"), from, to) } else { ("H".to_owned(), low, high) };
        let schedule = of(id(test), &line(field, &text));
        let upcoming = schedule.upcoming(instant("2026-12-31T23:59:59Z"), 40);
        let values: BTreeSet<u32> = upcoming.iter().map(|one| value(one.at.naive_utc())).collect();
        prop_assert_eq!(values.len(), 1);
        prop_assert!(values.iter().all(|found| (u32::from(from)..=u32::from(to)).contains(found)), "{:?}", values);
        // The same test has the same place, under whatever name; the check accepts the line.
        prop_assert_eq!(of(id(test), &line(field, &text)).upcoming(instant("2026-12-31T23:59:59Z"), 40), upcoming);
        prop_assert!(!Schedule::check(&line(field, &text), None).unwrap().is_decided);
    }

    #[test]
    fn a_step_of_h_begins_below_the_step_and_goes_on_to_the_end_of_the_range(
        test in any::<u128>(),
        (field, low, high, value) in fields(),
        ends in any::<(u8, u8)>(),
        step in any::<u8>(),
        is_ranged in any::<bool>(),
    ) {
        let span = high - low + 1;
        let (a, b) = (low + ends.0 % span, low + ends.1 % span);
        let (from, to) = if is_ranged { (a.min(b), a.max(b)) } else { (low, high) };
        let largest = (to - from + 1).min(if field < 2 { high } else { span });
        let step = 1 + step % largest.max(1);
        let text = if is_ranged { format!("H({from}-{to})/{step}") } else { format!("H/{step}") };
        let schedule = of(id(test), &line(field, &text));
        let mut found = BTreeSet::new();
        let mut at = instant("2026-12-31T23:59:59Z");
        let end = instant("2028-01-01T00:00:00Z");
        // A year of days at most, and a day of minutes.
        for _ in 0..400 {
            at = schedule.next_after(at).unwrap();
            if at >= end {
                break;
            }
            found.insert(value(at.naive_utc()));
        }
        let offset = found.first().copied().unwrap() - u32::from(from);
        prop_assert!(offset < u32::from(step), "{} begins at {}", text, offset);
        let expected: BTreeSet<u32> =
            (u32::from(from) + offset..=u32::from(to)).step_by(usize::from(step)).collect();
        prop_assert_eq!(found, expected, "{}", text);
    }
}
