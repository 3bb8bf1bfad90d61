//! Summaries: read from the sums, whatever the number of runs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::{DateTime, Duration, Utc};
use tstr_shared::analysis::quantile::{Adder, Sign, Sketch};
use tstr_shared::ids::{RunnerId, TestId};
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::RunsRead;
use tstr_shared::summary::{
    Figures, Interval, MAX_LABELS, MAX_TESTS, RunCounts, Span, Spread, Summary, SummaryFilter, SummaryInterval,
    SummaryLabel, SummaryRunner, SummaryTest,
};
use uuid::Uuid;

use super::Ops;
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

async fn of_all(conn: &mut Conn, access: &Access<RunsRead>, span: Span, fresh: Freshness) -> Result<Summary> {
    let piece = Piece { sign: Sign::Plus, grain: grain_of(span), from: span.from, to: span.to };
    let sums = store::rollups::of_all(conn, access, piece).await?;
    let (intervals, totals) = intervals(span, sums);
    let pieces = pieces(span, fresh.now);
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

/// Cuts a time into few sums: whole days, and the hours that are missing from them or that they have too many.
fn pieces(span: Span, now: DateTime<Utc>) -> Vec<Piece> {
    let piece = |sign, grain, from, to| Piece { sign, grain, from, to };
    // What is left of today lies ahead, and nothing is scheduled for it yet that has finished.
    let to = if span.to >= Interval::Hour.ceil(now) { span.to.max(Interval::Day.ceil(now)) } else { span.to };
    let (mut first, mut last) = (Interval::Day.ceil(span.from), Interval::Day.floor(to));
    if first > last {
        return vec![piece(Sign::Plus, Grain::Hour, span.from, span.to)];
    }
    let mut hours = Vec::new();
    let half = Duration::hours(12);
    if first - span.from <= half {
        hours.push(piece(Sign::Plus, Grain::Hour, span.from, first));
    } else {
        first = Interval::Day.floor(span.from);
        hours.push(piece(Sign::Minus, Grain::Hour, first, span.from));
    }
    if to - last <= half {
        hours.push(piece(Sign::Plus, Grain::Hour, last, to));
    } else {
        last = Interval::Day.ceil(to);
        hours.push(piece(Sign::Minus, Grain::Hour, to, last));
    }
    hours.push(piece(Sign::Plus, Grain::Day, first, last));
    hours.retain(|piece| piece.from < piece.to);
    hours
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

    /// The pieces as `+d 2026-03-02T00 2026-03-04T00`.
    fn cut(interval: Interval, from: &str, to: &str, now: &str) -> Vec<String> {
        let text = |piece: Piece| {
            let sign = if piece.sign == Sign::Plus { '+' } else { '-' };
            let grain = if piece.grain == Grain::Day { 'd' } else { 'h' };
            format!("{sign}{grain} {} {}", piece.from.format("%dT%H"), piece.to.format("%dT%H"))
        };
        pieces(Span { interval, from: at(from), to: at(to) }, at(now)).into_iter().map(text).collect()
    }

    #[test]
    fn a_time_is_cut_into_days_and_the_hours_around_them() {
        let later = "2026-03-09T00:00:00Z";
        let cut = |from: &str, to: &str| {
            let day = |text: &str| format!("2026-03-{text}:00:00Z");
            cut(Interval::Hour, &day(from), &day(to), later)
        };
        assert_eq!(cut("01T22", "04T05"), ["+h 01T22 02T00", "+h 04T00 04T05", "+d 02T00 04T00"]);
        assert_eq!(cut("02T00", "04T00"), ["+d 02T00 04T00"]);
        assert_eq!(cut("04T00", "04T05"), ["+h 04T00 04T05"]);
        assert_eq!(cut("01T20", "01T23"), ["+h 01T20 01T23"]);
        // Where most of a day is asked for, what is not is taken away.
        assert_eq!(cut("01T05", "04T20"), ["-h 01T00 01T05", "-h 04T20 05T00", "+d 01T00 05T00"]);
        assert_eq!(cut("01T12", "04T12"), ["+h 01T12 02T00", "+h 04T00 04T12", "+d 02T00 04T00"]);
        assert_eq!(cut("01T05", "02T00"), ["-h 01T00 01T05", "+d 01T00 02T00"]);
    }

    #[test]
    fn of_today_the_whole_day_is_read() {
        let (from, to, now) = ("2026-03-03T00:00:00Z", "2026-03-04T05:00:00Z", "2026-03-04T04:30:00Z");
        assert_eq!(cut(Interval::Hour, from, to, now), ["+d 03T00 05T00"]);
        assert_eq!(cut(Interval::Hour, "2026-03-04T01:00:00Z", to, now), ["-h 04T00 04T01", "+d 04T00 05T00"]);
        assert_eq!(cut(Interval::Hour, "2026-03-04T01:00:00Z", "2026-03-04T03:00:00Z", now), ["+h 04T01 04T03"]);
    }
}
