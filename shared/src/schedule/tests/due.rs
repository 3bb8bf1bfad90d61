//! Which instants run, which are missed, and that a long backlog is cut.

use super::*;

/// A look at a schedule with the policy under test; the answer as minutes of the day.
fn look(spec: &str, span: (&str, &str), catch_up: CatchUp, deadline_secs: i64) -> (Vec<String>, Vec<String>) {
    let (next_at, now) = (instant(span.0), instant(span.1));
    let due = parse(spec, "UTC").due(next_at, now, catch_up, Duration::seconds(deadline_secs));
    assert!(!due.missed_more);
    assert!(due.next.is_some_and(|next| next > now));
    let minutes = |instants: Vec<DateTime<Utc>>| instants.iter().map(|at| at.format("%H:%M").to_string()).collect();
    (minutes(due.instants), minutes(due.missed))
}

#[test]
fn what_is_due_now_always_runs() {
    for catch_up in [CatchUp::None, CatchUp::Last, CatchUp::All] {
        for (now, runs) in
            [("2026-01-01T10:00:00Z", true), ("2026-01-01T10:00:59.999Z", true), ("2026-01-01T10:01:00Z", false)]
        {
            let (instants, missed) = look("*/5 * * * *", ("2026-01-01T10:00:00Z", now), catch_up, 0);
            assert_eq!((instants.len(), missed.len()), (usize::from(runs), usize::from(!runs)), "{now}");
        }
    }
}

#[test]
fn nothing_runs_before_its_time() {
    let next_at = instant("2026-01-01T10:00:00Z");
    let hour = Duration::hours(1);
    let due = parse("0 * * * *", "UTC").due(next_at, next_at - hour, CatchUp::All, hour);
    let nothing = Due { instants: vec![], missed: vec![], missed_more: false, next: Some(next_at) };
    assert_eq!(due, nothing);
}

#[test]
fn the_policy_decides_over_missed_instants() {
    let down = ("2026-01-01T10:00:00Z", "2026-01-01T10:17:00Z");
    let back = ("2026-01-01T10:00:00Z", "2026-01-01T10:15:30Z");
    let hour = 3600;
    for (span, catch_up, deadline_secs, instants, missed) in [
        (down, CatchUp::None, hour, "", "10:00 10:05 10:10 10:15"),
        (down, CatchUp::Last, hour, "10:15", "10:00 10:05 10:10"),
        (down, CatchUp::All, hour, "10:00 10:05 10:10 10:15", ""),
        // Late by exactly the deadline still runs.
        (down, CatchUp::All, 12 * 60, "10:05 10:10 10:15", "10:00"),
        (down, CatchUp::Last, 119, "", "10:00 10:05 10:10 10:15"),
        (down, CatchUp::All, -1, "", "10:00 10:05 10:10 10:15"),
        // With an instant due now, that is the last one.
        (back, CatchUp::None, hour, "10:15", "10:00 10:05 10:10"),
        (back, CatchUp::Last, hour, "10:15", "10:00 10:05 10:10"),
        (back, CatchUp::All, 360, "10:10 10:15", "10:00 10:05"),
        (back, CatchUp::All, 0, "10:15", "10:00 10:05 10:10"),
    ] {
        let (runs, rest) = look("*/5 * * * *", span, catch_up, deadline_secs);
        assert_eq!((runs.join(" ").as_str(), rest.join(" ").as_str()), (instants, missed), "{catch_up:?}");
    }
}

#[test]
fn a_stored_instant_counts_although_the_line_has_changed() {
    let span = ("2026-01-01T10:02:00Z", "2026-01-01T10:05:10Z");
    let (instants, missed) = look("*/5 * * * *", span, CatchUp::All, 3600);
    assert_eq!((instants.join(" ").as_str(), missed.len()), ("10:02 10:05", 0));
}

#[test]
fn a_long_backlog_is_cut_to_its_newest_part() {
    let now = instant("2026-06-01T00:00:30Z");
    for (spec, years) in
        [("* * * * *", 5), ("*/7 * * * *", 50), ("* * * 1-2 *", 20), ("* 0 1 * *", 30), ("0 * * * *", 56)]
    {
        let schedule = parse(spec, "Europe/Berlin");
        let next_at = schedule.next_after(now - Duration::days(365 * years)).expect("there is one");
        let due = schedule.due(next_at, now, CatchUp::All, Duration::days(100_000));
        assert_eq!((due.instants.len(), due.missed.len(), due.missed_more), (100, 1000, true), "{spec}");
        // They follow each other without a gap, up to the instant that is still to come.
        let mut at = due.missed[0];
        for instant in due.missed.iter().chain(&due.instants) {
            assert_eq!(*instant, at, "{spec}");
            at = schedule.next_after(at).expect("there is one");
        }
        assert!(at > now);
        assert_eq!(due.next, Some(at), "{spec}");
    }
}
