//! Generators of summaries.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tstr_shared::summary::{
    Figures, Interval, Rebuilt, RunCounts, Spread, Summary, SummaryFilter, SummaryInterval, SummaryLabel,
    SummaryRunner, SummaryTest,
};

use super::{id, instant, one_of};

pub(in super::super) fn summary_filter() -> impl Strategy<Value = SummaryFilter> {
    (option::of(instant()), option::of(instant()), option::of(one_of(Interval::ALL)), option::of("[a-z]{1,9}"))
        .prop_map(|(scheduled_after, scheduled_before, interval, test)| SummaryFilter {
            scheduled_after,
            scheduled_before,
            interval,
            test,
        })
}

pub(in super::super) fn rebuilt() -> impl Strategy<Value = Rebuilt> {
    (any::<u64>(), any::<u64>(), option::of(instant())).prop_map(|(days, runs, next)| Rebuilt { days, runs, next })
}

fn run_counts() -> impl Strategy<Value = RunCounts> {
    any::<[u64; 8]>().prop_map(|[runs, pass, fail, error, timed_out, cancelled, flaky, attempts]| RunCounts {
        runs,
        pass,
        fail,
        error,
        timed_out,
        cancelled,
        flaky,
        attempts,
    })
}

fn figures() -> impl Strategy<Value = Figures> {
    let spread = || any::<[u64; 4]>();
    let spread = || spread().prop_map(|[count, mean_ms, p50_ms, p95_ms]| Spread { count, mean_ms, p50_ms, p95_ms });
    (run_counts(), option::of(spread()), option::of(spread())).prop_map(|(counts, wait, duration)| Figures {
        counts,
        wait,
        duration,
    })
}

pub(in super::super) fn summary_of_runs() -> impl Strategy<Value = Summary> {
    let interval = (instant(), figures()).prop_map(|(start, figures)| SummaryInterval { start, figures });
    let test = (id(), "\\PC{0,9}", figures());
    let test = test.prop_map(|(test_id, test_name, figures)| SummaryTest { test_id, test_name, figures });
    let runner = (id(), "\\PC{0,9}", any::<u16>(), run_counts(), any::<u64>(), 0.0..9.0f64).prop_map(
        |(runner_id, runner_name, slots, counts, busy_ms, utilisation)| SummaryRunner {
            runner_id,
            runner_name,
            slots,
            counts,
            busy_ms,
            utilisation,
        },
    );
    let label = ("[a-z]{1,4}", "\\PC{0,9}", run_counts());
    let label = label.prop_map(|(key, value, counts)| SummaryLabel { key, value, counts });
    let times = (one_of(Interval::ALL), instant(), instant(), instant(), any::<bool>(), figures());
    let lists = (vec(interval, 0..3), vec(test, 0..3), vec(runner, 0..3), vec(label, 0..3), any::<[u64; 3]>());
    (times, lists).prop_map(
        |((interval, from, to, as_of, is_current, totals), (intervals, tests, runners, labels, more))| Summary {
            interval,
            from,
            to,
            as_of,
            is_current,
            totals,
            intervals,
            tests,
            tests_more: more[0],
            runners,
            runners_more: more[1],
            labels,
            labels_more: more[2],
        },
    )
}
