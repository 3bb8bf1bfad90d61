//! What holds for any line, in any zone, at any time.

use proptest::prelude::*;

use super::*;

/// Entries of a field between two values, in every form the grammar has.
fn any_field(low: u8, high: u8) -> impl Strategy<Value = String> {
    let range = (low..=high).prop_flat_map(move |first| (Just(first), first..=high));
    let item = prop_oneof![
        3 => (low..=high).prop_map(|value| value.to_string()),
        1 => range.clone().prop_map(|(first, last)| format!("{first}-{last}")),
        1 => (range, 1..=high).prop_map(|((first, last), step)| format!("{first}-{last}/{step}")),
        1 => (1..=high).prop_map(|step| format!("*/{step}")),
    ];
    prop_oneof![
        1 => Just("*".to_owned()),
        2 => prop::collection::vec(item, 1..4).prop_map(|items| items.join(",")),
    ]
}

/// The same with days that are counted within their month.
fn any_days(low: u8, high: u8) -> impl Strategy<Value = String> {
    let counted = match high {
        31 => Just("L".to_owned()).boxed(),
        _ => prop_oneof![
            (0..=7_u8).prop_map(|weekday| format!("{weekday}L")),
            (0..=7_u8, 1..=5_u8).prop_map(|(weekday, nth)| format!("{weekday}#{nth}")),
        ]
        .boxed(),
    };
    prop_oneof![
        3 => any_field(low, high),
        1 => counted.clone(),
        1 => (any_field(low, high), counted).prop_map(|(days, counted)| format!("{days},{counted}")),
    ]
}

/// Lines in zones; those that hardly ever happen are left out.
fn any_schedule() -> impl Strategy<Value = Schedule> {
    let fields = (any_field(0, 59), any_field(0, 23), any_days(1, 31), any_field(1, 12), any_days(0, 7));
    let zone = prop::sample::select(&chrono_tz::TZ_VARIANTS[..]);
    (fields, zone).prop_filter_map("a line that may pause for long", |(fields, zone)| {
        let (minute, hour, dom, month, dow) = fields;
        let spec = format!("{minute} {hour} {dom} {month} {dow}");
        Schedule::parse(&spec, Some(zone.name())).ok()
    })
}

fn any_instant() -> impl Strategy<Value = DateTime<Utc>> {
    (0..4_000_000_000_i64, 0..2_u32)
        .prop_filter_map("out of range", |(secs, nanos)| DateTime::from_timestamp(secs, nanos))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn instants_strictly_ascend(schedule in any_schedule(), t in any_instant()) {
        let mut previous = t;
        for _ in 0..20 {
            let Some(next) = schedule.next_after(previous) else { break };
            prop_assert!(next > previous);
            // Any start between two instants gives the later one.
            let between = previous + (next - previous) / 3;
            prop_assert_eq!(schedule.next_after(between), Some(next));
            prop_assert_eq!(schedule.next_after(next - Duration::nanoseconds(1)), Some(next));
            previous = next;
        }
    }

    #[test]
    fn a_parsed_line_reads_back_the_same(schedule in any_schedule(), t in any_instant()) {
        let again = parse(schedule.spec(), schedule.time_zone().name());
        prop_assert_eq!(again.next_after(t), schedule.next_after(t));
        let words = schedule.describe();
        prop_assert!(!words.is_empty() && !words.contains("  ") && words == words.trim(), "{}", words);
    }

    #[test]
    fn no_text_panics(spec in "[-0-9*/,@?#HLWaeinorudwytJAN()h =TZ]{0,40}", zone in "\\PC{0,12}") {
        let _ = Schedule::parse(&spec, None);
        let _ = Schedule::parse("@daily", Some(&zone));
        let _ = Schedule::check(&spec, None);
    }

    #[test]
    fn each_instant_runs_or_is_missed(
        schedule in any_schedule(),
        next_at in any_instant(),
        away_mins in prop_oneof![0..300_i64, 0..50_000_i64],
        catch_up in prop::sample::select(&[CatchUp::None, CatchUp::Last, CatchUp::All][..]),
        deadline_mins in 0..3000_i64,
    ) {
        let now = next_at + Duration::seconds(away_mins * 60 + 7);
        let deadline = Duration::minutes(deadline_mins);
        let due = schedule.due(next_at, now, catch_up, deadline);

        let mut all = vec![next_at];
        while let Some(next) = schedule.next_after(all[all.len() - 1]).filter(|next| *next <= now) {
            all.push(next);
        }
        let is_now = |at: &DateTime<Utc>| now - *at < Duration::minutes(1);
        let runs: Vec<_> = all.iter().copied().enumerate().filter(|(index, at)| {
            let from_newest = all.len() - index;
            is_now(at) || now - *at <= deadline && match catch_up {
                CatchUp::None => false,
                CatchUp::Last => from_newest == 1,
                CatchUp::All => from_newest <= 100,
            }
        }).map(|(_, at)| at).collect();
        let missed = &all[..all.len() - runs.len()];
        let listed = &missed[missed.len().saturating_sub(1000)..];
        prop_assert_eq!(due.instants, runs);
        prop_assert_eq!(&due.missed[..], listed);
        prop_assert_eq!(due.missed_more, missed.len() > 1000);
        prop_assert_eq!(due.next, schedule.next_after(now));
    }

    #[test]
    fn the_preview_is_what_the_looks_at_the_schedule_run(
        schedule in any_schedule(),
        next_at in any_instant(),
        away_mins in prop_oneof![0..300_i64, 0..50_000_i64],
        catch_up in prop::sample::select(&[CatchUp::None, CatchUp::Last, CatchUp::All][..]),
        deadline_mins in 0..3000_i64,
    ) {
        let now = next_at + Duration::seconds(away_mins * 60 + 7);
        let deadline = Duration::minutes(deadline_mins);
        let preview: Vec<_> =
            schedule.preview(Some(next_at), now, catch_up, deadline, 8).into_iter().map(|one| one.at).collect();
        // The first look is now; each one after it comes when the next instant has come.
        let (mut ran, mut next, mut look_at) = (Vec::new(), Some(next_at), now);
        while ran.len() < 8 && let Some(at) = next {
            look_at = look_at.max(at);
            let due = schedule.due(at, look_at, catch_up, deadline);
            ran.extend(due.instants);
            next = due.next;
        }
        ran.truncate(8);
        prop_assert_eq!(preview, ran);
    }
}
