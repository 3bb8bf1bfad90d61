//! Summaries: read from the sums, whatever the number of runs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::{DateTime, Duration, Utc};
use tstr_shared::analysis::quantile::{Adder, Sign, Sketch};
use tstr_shared::error::Invalid;
use tstr_shared::ids::{RunnerId, TestId};
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::RunsRead;
use tstr_shared::summary::{
    Figures, Interval, MAX_LABELS, MAX_TESTS, RunCounts, Span, Spread, Summary, SummaryFilter, SummaryInterval,
    SummaryLabel, SummaryRunner, SummaryTest,
};
use uuid::Uuid;

use super::Ops;
use super::rollups::HOURS_DAYS;
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store::digest::Freshness;
use crate::store::rollups::{Counted, Dim, Grain, Piece, Sums};
use crate::store::{self, Conn};

impl Ops {
    /// Says how the runs of a namespace went.
    pub async fn get_summary(&self, caller: &Caller, ns: &Namespace, filter: SummaryFilter) -> Result<Summary> {
        let access = self.enter::<RunsRead>(caller, ns).await?;
        let (access, filter) = (&access, &filter);
        self.read(|mut tx| async move {
            // All of it is of one instant.
            store::rollups::begin_reading(&mut tx).await?;
            let fresh = store::digest::freshness(&mut tx, access).await?;
            let span = filter.span(fresh.now)?;
            check_kept(span, fresh.now)?;
            let summary = match &filter.test {
                Some(test) => of_test(&mut tx, access, span, fresh, test).await?,
                None => of_all(&mut tx, access, span, fresh).await?,
            };
            tx.commit().await?;
            Ok(summary)
        })
        .await
    }
}

/// Refuses hours that are not kept any more: they would look as if nothing had been executed.
fn check_kept(span: Span, now: DateTime<Utc>) -> Result<()> {
    if span.interval == Interval::Hour && span.from < now - Duration::days(HOURS_DAYS.into()) {
        let sentence = format!("sums of hours are kept for {HOURS_DAYS} days: ask for days, or for later hours");
        return Err(Invalid::one("interval", sentence).into());
    }
    Ok(())
}

async fn of_all(conn: &mut Conn, access: &Access<RunsRead>, span: Span, fresh: Freshness) -> Result<Summary> {
    let piece = Piece { sign: Sign::Plus, grain: grain_of(span), from: span.from, to: span.to };
    let sums = store::rollups::of_all(conn, access, piece).await?;
    let (intervals, totals) = intervals(span, sums);
    let pieces = pieces(span, fresh.now, store::rollups::quarters_since(conn, access).await?);
    let tests = store::rollups::by_key(conn, access, Dim::Test, &pieces, MAX_TESTS).await?;
    let runners = store::rollups::by_key(conn, access, Dim::Runner, &pieces, MAX_TESTS).await?;
    let labels = store::rollups::by_key(conn, access, Dim::Label, &pieces, MAX_LABELS).await?;
    Ok(Summary {
        tests_more: more(&tests),
        runners_more: more(&runners),
        labels_more: more(&labels),
        tests: tests_of(conn, access, &pieces, tests).await?,
        runners: runners_of(conn, access, span, fresh.now, runners).await?,
        labels: labels.into_iter().filter_map(label).collect(),
        ..summary(span, fresh, totals, intervals)
    })
}

async fn of_test(
    conn: &mut Conn,
    access: &Access<RunsRead>,
    span: Span,
    fresh: Freshness,
    test: &str,
) -> Result<Summary> {
    let found = store::testdefs::find_any(conn, access, test).await?;
    let (id, name) = found.ok_or_else(|| Error::not_found("test"))?;
    let times: Vec<DateTime<Utc>> = match span.interval {
        Interval::Hour | Interval::Day => span.starts().collect(),
        Interval::Week => Span { interval: Interval::Day, ..span }.starts().collect(),
    };
    let sums = store::rollups::of_test(conn, access, id, grain_of(span), &times).await?;
    let (intervals, totals) = intervals(span, sums);
    let tests = match totals.counts.runs {
        0 => Vec::new(),
        _ => vec![SummaryTest { test_id: id, test_name: name, figures: totals }],
    };
    Ok(Summary { tests, ..summary(span, fresh, totals, intervals) })
}

fn summary(span: Span, fresh: Freshness, totals: Figures, intervals: Vec<SummaryInterval>) -> Summary {
    Summary {
        interval: span.interval,
        from: span.from,
        to: span.to,
        as_of: fresh.behind.unwrap_or(fresh.now),
        is_current: fresh.behind.is_none(),
        totals,
        intervals,
        tests: Vec::new(),
        tests_more: 0,
        runners: Vec::new(),
        runners_more: 0,
        labels: Vec::new(),
        labels_more: 0,
    }
}

/// Which sums make the intervals.
fn grain_of(span: Span) -> Grain {
    match span.interval {
        Interval::Hour => Grain::Hour,
        Interval::Day | Interval::Week => Grain::Day,
    }
}

/// Cuts a time into few sums: whole days, and the quarters and hours that are missing from them or that they have too many.
/// There are no quarters before `quarters_since`.
fn pieces(span: Span, now: DateTime<Utc>, quarters_since: DateTime<Utc>) -> Vec<Piece> {
    // What is left of today lies ahead, and nothing is scheduled for it yet that has finished.
    let to = if span.to >= Interval::Hour.ceil(now) { span.to.max(Interval::Day.ceil(now)) } else { span.to };
    let mut pieces = Vec::new();
    cut(Sign::Plus, Grain::Day, (span.from, to), quarters_since, &mut pieces);
    pieces
}

/// Cuts a time into whole ones of a grain, and what is left at either end into smaller ones: where that is more than a half,
/// the whole one is taken, and what is too much of it is taken away.
fn cut(
    sign: Sign,
    grain: Grain,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    quarters_since: DateTime<Utc>,
    pieces: &mut Vec<Piece>,
) {
    let smaller = match grain {
        Grain::Day => Grain::Quarter,
        Grain::Quarter => Grain::Hour,
        Grain::Hour => return pieces.push(Piece { sign, grain, from, to }),
    };
    let (mut first, mut last) = (grain.ceil(from), grain.floor(to));
    if first > last || grain == Grain::Quarter && from < quarters_since {
        return cut(sign, smaller, (from, to), quarters_since, pieces);
    }
    let half = grain.length() / 2;
    let away = if sign == Sign::Plus { Sign::Minus } else { Sign::Plus };
    if first - from > half {
        first -= grain.length();
        cut(away, smaller, (first, from), quarters_since, pieces);
    } else if from < first {
        cut(sign, smaller, (from, first), quarters_since, pieces);
    }
    if to - last > half {
        last += grain.length();
        cut(away, smaller, (to, last), quarters_since, pieces);
    } else if last < to {
        cut(sign, smaller, (last, to), quarters_since, pieces);
    }
    if first < last {
        pieces.push(Piece { sign, grain, from: first, to: last });
    }
}

/// Puts sums into the intervals that they are in; those without any are there as well.
fn intervals(span: Span, sums: Vec<(DateTime<Utc>, Sums)>) -> (Vec<SummaryInterval>, Figures) {
    let (mut total, mut by_start) = (Sums::default(), BTreeMap::<DateTime<Utc>, Sums>::new());
    let (mut waits, mut durations) = (Adder::default(), Adder::default());
    for (at, sums) in sums {
        total.count(&sums);
        waits.merge(&sums.waits);
        durations.merge(&sums.durations);
        match by_start.entry(span.interval.floor(at)) {
            Entry::Vacant(place) => _ = place.insert(sums),
            Entry::Occupied(mut there) => there.get_mut().add(&sums),
        }
    }
    (total.waits, total.durations) = (waits.sum(), durations.sum());
    let interval = |start| SummaryInterval { start, figures: by_start.get(&start).map(figures).unwrap_or_default() };
    (span.starts().map(interval).collect(), figures(&total))
}

fn counts(sums: &Sums) -> RunCounts {
    // While the sums of a day are counted anew, its hours may say more than the day.
    let count = |sum: i64| sum.max(0).unsigned_abs();
    RunCounts {
        runs: count(sums.runs()),
        pass: count(sums.pass),
        fail: count(sums.fail),
        error: count(sums.error),
        timed_out: count(sums.timed_out),
        cancelled: count(sums.cancelled),
        flaky: count(sums.flaky),
        attempts: count(sums.attempts),
    }
}

fn figures(sums: &Sums) -> Figures {
    Figures {
        counts: counts(sums),
        wait: spread(&sums.waits, sums.wait_ms),
        duration: spread(&sums.durations, sums.duration_ms),
    }
}

fn spread(sketch: &Sketch, sum_ms: i64) -> Option<Spread> {
    let quantile = |q| sketch.quantile(q).map(|ms| ms.round() as u64);
    let count = sketch.count();
    Some(Spread {
        count,
        mean_ms: sum_ms.max(0).unsigned_abs().checked_div(count)?,
        p50_ms: quantile(0.5)?,
        p95_ms: quantile(0.95)?,
    })
}

fn more(counted: &[Counted]) -> u64 {
    counted.first().map_or(0, |first| first.keys.unsigned_abs().saturating_sub(counted.len() as u64))
}

async fn tests_of(
    conn: &mut Conn,
    access: &Access<RunsRead>,
    pieces: &[Piece],
    counted: Vec<Counted>,
) -> Result<Vec<SummaryTest>> {
    let keys: Vec<String> = counted.iter().map(|one| one.key.clone()).collect();
    let ids: Vec<Uuid> = keys.iter().filter_map(|key| key.parse().ok()).collect();
    let mut names = store::rollups::test_names(conn, access, &ids).await?;
    let mut sketches = store::rollups::sketches(conn, access, pieces, &keys).await?;
    let test = |one: Counted| {
        let (waits, durations) = sketches.remove(&one.key).unwrap_or_default();
        let test_id: TestId = one.key.parse().ok()?;
        let test_name = names.remove(&test_id.0).unwrap_or_default();
        Some(SummaryTest { test_id, test_name, figures: figures(&Sums { waits, durations, ..one.sums }) })
    };
    Ok(counted.into_iter().filter_map(test).collect())
}

async fn runners_of(
    conn: &mut Conn,
    access: &Access<RunsRead>,
    span: Span,
    now: DateTime<Utc>,
    counted: Vec<Counted>,
) -> Result<Vec<SummaryRunner>> {
    let ids: Vec<RunnerId> = counted.iter().filter_map(|one| one.key.parse().ok()).collect();
    let mut names = store::rollups::runner_names(conn, access, &ids).await?;
    let until = span.to.min(now).max(span.from + Duration::milliseconds(1));
    let whole = (until - span.from).num_milliseconds();
    let runner = |one: Counted| {
        let runner_id: RunnerId = one.key.parse().ok()?;
        let (runner_name, slots) = names.remove(&runner_id).unwrap_or_default();
        let slots = slots.unsigned_abs();
        let busy_ms = one.sums.busy_ms.max(0).unsigned_abs();
        let utilisation = if slots == 0 { 0.0 } else { busy_ms as f64 / (whole as f64 * f64::from(slots)) };
        Some(SummaryRunner { runner_id, runner_name, slots, counts: counts(&one.sums), busy_ms, utilisation })
    };
    Ok(counted.into_iter().filter_map(runner).collect())
}

fn label(one: Counted) -> Option<SummaryLabel> {
    let (key, value) = one.key.split_once('=')?;
    Some(SummaryLabel { key: key.to_owned(), value: value.to_owned(), counts: counts(&one.sums) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// The pieces as `+d 2026-03-02T00 2026-03-04T00`, in the order of their beginnings.
    fn cut(interval: Interval, from: &str, to: &str, now: &str, quarters: bool) -> Vec<String> {
        let text = |piece: Piece| {
            let sign = if piece.sign == Sign::Plus { '+' } else { '-' };
            let grain = match piece.grain {
                Grain::Hour => 'h',
                Grain::Quarter => 'q',
                Grain::Day => 'd',
            };
            format!("{sign}{grain} {} {}", piece.from.format("%dT%H"), piece.to.format("%dT%H"))
        };
        let since = if quarters { at(from) - Duration::days(2) } else { at(now) };
        let mut pieces = pieces(Span { interval, from: at(from), to: at(to) }, at(now), since);
        pieces.sort_by_key(|piece| piece.from);
        pieces.into_iter().map(text).collect()
    }

    #[test]
    fn a_time_is_cut_into_days_and_what_is_around_them() {
        let cut = |from: &str, to: &str| {
            let day = |text: &str| format!("2026-03-{text}:00:00Z");
            [true, false].map(|quarters| cut(Interval::Hour, &day(from), &day(to), "2026-03-09T00:00:00Z", quarters))
        };
        let both = |pieces: &[&'static str]| [pieces.to_vec(), pieces.to_vec()];
        assert_eq!(cut("01T22", "04T02"), both(&["+h 01T22 02T00", "+d 02T00 04T00", "+h 04T00 04T02"]));
        assert_eq!(cut("02T00", "04T00"), both(&["+d 02T00 04T00"]));
        assert_eq!(cut("01T20", "01T23"), both(&["+h 01T20 01T23"]));
        // Where most of a day is asked for, what is not is taken away.
        assert_eq!(cut("01T05", "04T20")[1], ["-h 01T00 01T05", "+d 01T00 05T00", "-h 04T20 05T00"]);
        assert_eq!(
            cut("01T05", "04T20")[0],
            ["-q 01T00 01T06", "+d 01T00 05T00", "+h 01T05 01T06", "+h 04T18 04T20", "-q 04T18 05T00"]
        );
        assert_eq!(cut("01T12", "04T12")[0], ["+q 01T12 02T00", "+d 02T00 04T00", "+q 04T00 04T12"]);
        assert_eq!(cut("01T12", "04T12")[1], ["+h 01T12 02T00", "+d 02T00 04T00", "+h 04T00 04T12"]);
    }

    #[test]
    fn of_today_the_whole_day_is_read() {
        let (from, to, now) = ("2026-03-03T00:00:00Z", "2026-03-04T05:00:00Z", "2026-03-04T04:30:00Z");
        let cut = |from, to| cut(Interval::Hour, from, to, now, true);
        assert_eq!(cut(from, to), ["+d 03T00 05T00"]);
        assert_eq!(cut("2026-03-04T01:00:00Z", to), ["-h 04T00 04T01", "+d 04T00 05T00"]);
        assert_eq!(cut("2026-03-04T01:00:00Z", "2026-03-04T03:00:00Z"), ["+h 04T01 04T03"]);
    }

    /// Every hour that is asked for counts once, no other does, and few sums are read for it.
    #[test]
    fn every_hour_counts_once() {
        let (begin, now) = (at("2026-03-02T00:00:00Z"), at("2026-03-20T00:00:00Z"));
        let hour = |n: i64| begin + Duration::hours(n);
        for (from, to) in (0..49).flat_map(|from| (from + 1..120).map(move |to| (from, to))) {
            for since in [-48, 24, 48, 480] {
                let span = Span { interval: Interval::Hour, from: hour(from), to: hour(to) };
                let (mut counted, mut read) = (vec![0; 144], 0);
                for piece in pieces(span, now, hour(since)) {
                    assert!(piece.grain != Grain::Quarter || piece.from >= hour(since), "{piece:?}");
                    assert_eq!((piece.grain.floor(piece.from), piece.grain.ceil(piece.to)), (piece.from, piece.to));
                    read += (piece.to - piece.from).num_hours() / piece.grain.length().num_hours();
                    for n in (piece.from - begin).num_hours()..(piece.to - begin).num_hours() {
                        counted[n as usize] += piece.sign as i32;
                    }
                }
                let expected: Vec<i32> = (0..144).map(|n| i32::from((from..to).contains(&n))).collect();
                assert_eq!(counted, expected, "from {from} to {to}, quarters since {since}");
                let most = if since < 0 { 10 } else { 24 };
                assert!(read <= (to - from) / 24 + most + 2, "{read} sums from {from} to {to}");
            }
        }
    }
}
