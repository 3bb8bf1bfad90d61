//! How each monitor reads the history. What it may look at is decided once, in [`History`].

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Exclusion, MAX_RUNS, Monitor, MonitorChange, MonitorFigures, MonitorFinding, MonitorState, Recovery, Resolution,
    Trial,
};
use super::{Rule, Status, in_order};
use crate::analysis::Observed;
use crate::ids::RunId;

/// The trials of one test or case, in order, with what may count for what.
pub(super) struct History<'a> {
    /// Not skipped, and the control did not fail: what counts for a break.
    counted: Vec<&'a Trial>,
    /// Of these, what the guard lets through: what counts for flakiness.
    fair: Vec<&'a Trial>,
    /// Of these, what neither a break nor the subject explains: what counts for rates and transitions.
    unexplained: Vec<&'a Trial>,
    excluded: u32,
}

impl<'a> History<'a> {
    pub(super) fn new(recent: &'a [Trial], break_length: Option<u32>) -> Self {
        let mut counted = in_order(recent);
        counted.retain(|one| one.observed != Observed::Skip);
        let executed = counted.len();
        counted.retain(|one| one.excluded != Some(Exclusion::ControlFailed));
        let fair: Vec<_> = counted.iter().copied().filter(|one| one.excluded.is_none()).collect();
        let mut explained = breaks(&counted, break_length);
        explained.extend(of_bad_subjects(&fair));
        let unexplained = fair.iter().copied().filter(|one| !explained.contains(&one.run_id)).collect();
        let excluded = count(executed - fair.len());
        Self { counted, fair, unexplained, excluded }
    }
}

/// Returns the runs that belong to as many failures in a row as make a break, and those of a row that still goes on: it
/// may become one, and is judged when it has or when the next pass has ended it.
fn breaks(counted: &[&Trial], length: Option<u32>) -> BTreeSet<RunId> {
    let Some(length) = length else { return BTreeSet::new() };
    let newest = counted.last().map(|last| last.run_id);
    let rows = counted.chunk_by(|one, next| one.observed == next.observed);
    let is_break = |row: &&[&Trial]| {
        let goes_on = row.last().map(|last| last.run_id) == newest;
        failed(row[0]) && (row.len() >= length as usize || goes_on)
    };
    rows.filter(is_break).flatten().map(|one| one.run_id).collect()
}

/// Returns the failures of subject versions that were executed more than once and never passed: the subject is to blame.
fn of_bad_subjects(fair: &[&Trial]) -> BTreeSet<RunId> {
    let mut by_subject: BTreeMap<&str, Vec<&Trial>> = BTreeMap::new();
    for one in fair {
        if let Some(subject) = one.subject.as_deref() {
            by_subject.entry(subject).or_default().push(one);
        }
    }
    let bad = by_subject.into_values().filter(|of| of.len() > 1 && of.iter().all(|one| failed(one)));
    bad.flatten().map(|one| one.run_id).collect()
}

/// Returns how often a pass was followed by a failure, divided by the window, which is fixed even if there are fewer
/// results; skipped ones are passed over.
///
/// `PPFFF` scores 0.2, `PFPFF` 0.4 and `PF` 0.2 over a window of 5; a window of 0 scores 0. (Buildkite, whose examples
/// these are, says that turns from failing to passing count as well, but its examples do not count them; counting one
/// direction, a failure that is mended scores once.)
pub fn transition_score(results: &[Observed], window: u32) -> f64 {
    let executed: Vec<Observed> = results.iter().copied().filter(|result| *result != Observed::Skip).collect();
    let newest = &executed[executed.len().saturating_sub(window as usize)..];
    let transitions = newest.windows(2).filter(|pair| begins_to_fail(pair[0], pair[1])).count();
    if window == 0 { 0.0 } else { transitions as f64 / f64::from(window) }
}

fn begins_to_fail(one: Observed, next: Observed) -> bool {
    one == Observed::Pass && next == Observed::Fail
}

/// What a monitor saw: whether it should be active (`None`: as it was), and by what.
struct Sight<'a> {
    active: Option<bool>,
    resolution: Option<Resolution>,
    figures: MonitorFigures,
    last_signal_at: Option<DateTime<Utc>>,
    /// What speaks for it, oldest first.
    evidence: Vec<&'a Trial>,
}

pub(super) fn evaluate(
    monitor: &Monitor,
    history: &History<'_>,
    before: Option<&MonitorState>,
    now: DateTime<Utc>,
) -> MonitorFinding {
    let was_active = before.is_some_and(|state| state.active);
    let mut sight = match monitor.rule {
        Rule::Retry(recovery) => {
            let signals = history.fair.iter().copied().filter(|one| passed_by_retry(one)).collect();
            by_signals(&history.fair, signals, recovery, before, now)
        }
        Rule::SameSubject(recovery) => by_signals(&history.fair, contradictions(&history.fair), recovery, before, now),
        Rule::Transitions { window, activate, resolve, stale_secs } => {
            let seen = newest(&history.unexplained, window);
            let results: Vec<_> = seen.iter().map(|one| one.observed).collect();
            let mut figures = figures(seen);
            (figures.value, figures.activate, figures.resolve) =
                (transition_score(&results, window), activate, resolve);
            let flips = seen.windows(2).filter(|pair| begins_to_fail(pair[0].observed, pair[1].observed));
            by_threshold(
                figures,
                flips.map(|pair| pair[1]).collect(),
                true,
                is_stale(&history.counted, stale_secs, now),
            )
        }
        Rule::FailureRate { window_secs, window, min_sample, activate, resolve, stale_secs } => {
            let all = if monitor.marks == Status::Broken { &history.counted } else { &history.unexplained };
            let from = all.partition_point(|one| one.at < before_by(now, window_secs));
            let seen = newest(&all[from..], window);
            let mut figures = figures(seen);
            figures.value = f64::from(figures.failures) / f64::from(figures.trials.max(1));
            (figures.activate, figures.resolve) = (activate, resolve);
            let failures = seen.iter().copied().filter(|one| failed(one)).collect();
            let enough = figures.trials >= min_sample;
            by_threshold(figures, failures, enough, is_stale(&history.counted, stale_secs, now))
        }
        Rule::FailuresInRow { activate, resolve } => in_a_row(&history.counted, activate, resolve),
    };
    sight.figures.excluded = history.excluded;
    sight.figures.explained = count(history.fair.len() - history.unexplained.len());
    let active = sight.active.unwrap_or(was_active);
    let change = match (was_active, active) {
        (false, true) => Some(MonitorChange::Activated),
        (true, false) => Some(MonitorChange::Resolved),
        (true, true) | (false, false) => None,
    };
    let since = before.filter(|_| change.is_none()).map_or(now, |state| state.since);
    MonitorFinding {
        monitor: monitor.name.clone(),
        marks: monitor.marks,
        dry_run: monitor.dry_run,
        state: MonitorState { monitor: monitor.name.clone(), active, since, last_signal_at: sight.last_signal_at },
        change,
        resolution: sight.resolution.filter(|_| change == Some(MonitorChange::Resolved)),
        figures: sight.figures,
        runs: sight.evidence.iter().rev().take(MAX_RUNS).map(|one| one.run_id).collect(),
    }
}

/// Active from a signal on until enough time or enough clean passes have followed it.
fn by_signals<'a>(
    seen: &[&'a Trial],
    signals: Vec<&'a Trial>,
    recovery: Recovery,
    before: Option<&MonitorState>,
    now: DateTime<Utc>,
) -> Sight<'a> {
    // A signal may lie further back than what was given.
    let last = signals.last().map(|one| one.at).max(before.and_then(|state| state.last_signal_at));
    // Signals are never clean; those that share the instant of the last one may stand after it.
    let is_clean = |one: &&&Trial| one.observed == Observed::Pass && one.failed_attempts == 0;
    let since = seen.iter().filter(|one| last.is_some_and(|last| one.at > last));
    let clean = count(since.filter(is_clean).count());
    let in_time = last.is_some_and(|last| last > before_by(now, recovery.clean_secs));
    let active = in_time && clean < recovery.clean_trials;
    let resolution = if clean > 0 { Resolution::Recovered } else { Resolution::Stale };
    let resolve = f64::from(recovery.clean_trials);
    let figures =
        MonitorFigures { signals: count(signals.len()), clean, value: f64::from(clean), resolve, ..figures(seen) };
    Sight { active: Some(active), resolution: Some(resolution), figures, last_signal_at: last, evidence: signals }
}

/// Active from the upper threshold on until the lower one is reached.
fn by_threshold(figures: MonitorFigures, evidence: Vec<&Trial>, enough: bool, stale: bool) -> Sight<'_> {
    let (active, resolution) = if stale {
        (Some(false), Some(Resolution::Stale))
    } else if enough && figures.value >= figures.activate {
        (Some(true), None)
    } else if enough && figures.value <= figures.resolve {
        (Some(false), Some(Resolution::Below))
    } else {
        (None, None)
    };
    Sight { active, resolution, figures, last_signal_at: None, evidence }
}

fn in_a_row<'a>(counted: &[&'a Trial], activate: u32, resolve: u32) -> Sight<'a> {
    let row = counted.chunk_by(|one, next| one.observed == next.observed).next_back().unwrap_or_default();
    let fails = row.first().is_some_and(|one| failed(one));
    let length = count(row.len());
    let (active, resolution) = match fails {
        true if length >= activate => (Some(true), None),
        false if length >= resolve => (Some(false), Some(Resolution::Below)),
        true | false => (None, None),
    };
    let figures = MonitorFigures {
        value: if fails { f64::from(length) } else { 0.0 },
        activate: f64::from(activate),
        resolve: 0.0,
        clean: if fails { 0 } else { length },
        ..figures(counted)
    };
    let evidence = if fails { row.to_vec() } else { Vec::new() };
    Sight { active, resolution, figures, last_signal_at: None, evidence }
}

/// Returns the trials that contradict an earlier one about the same subject version: a failure after a pass, and
/// the first pass after failures.
fn contradictions<'a>(fair: &[&'a Trial]) -> Vec<&'a Trial> {
    let mut has_passed: BTreeMap<&str, bool> = BTreeMap::new();
    let mut found = Vec::new();
    for one in fair {
        let Some(subject) = one.subject.as_deref() else { continue };
        let passes = one.observed == Observed::Pass;
        let before = has_passed.get(subject).copied();
        if before == Some(!passes) {
            found.push(*one);
        }
        has_passed.insert(subject, before.unwrap_or(false) || passes);
    }
    found
}

fn figures(seen: &[&Trial]) -> MonitorFigures {
    let failures = count(seen.iter().filter(|one| failed(one)).count());
    let trials = count(seen.len());
    let transitions = count(seen.windows(2).filter(|pair| begins_to_fail(pair[0].observed, pair[1].observed)).count());
    MonitorFigures { trials, failures, passes: trials - failures, transitions, ..MonitorFigures::default() }
}

fn newest<'s, 'a>(seen: &'s [&'a Trial], window: u32) -> &'s [&'a Trial] {
    &seen[seen.len().saturating_sub(window as usize)..]
}

fn is_stale(counted: &[&Trial], stale_secs: u32, now: DateTime<Utc>) -> bool {
    counted.last().is_none_or(|last| last.at < before_by(now, stale_secs))
}

/// Before the earliest instant there is nothing.
fn before_by(now: DateTime<Utc>, secs: u32) -> DateTime<Utc> {
    now.checked_sub_signed(TimeDelta::seconds(i64::from(secs))).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

fn passed_by_retry(one: &Trial) -> bool {
    one.observed == Observed::Pass && one.failed_attempts > 0
}

fn failed(one: &Trial) -> bool {
    one.observed == Observed::Fail
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
