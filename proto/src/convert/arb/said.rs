//! What runs say about themselves, and how two of them differ.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use tstr_shared::analysis::diff::{DiffLine, Hunk, LineChange, LogDiff, ValueChange};
use tstr_shared::compare::{
    ArtifactChange, CaseEnd, CaseKind, CasesComparison, ComparedCase, ComparedRun, Comparison, DataChange,
    DifferingCases, FileChange, FileContent, LogComparison, MetricChange, NumberChange, Numbers,
};
use tstr_shared::output::{AttemptOutput, Metric, Output, OutputNote, OutputSource};
use tstr_shared::report::CaseKey;
use tstr_shared::results::CaseCounts;
use tstr_shared::run::RunResult;

use super::{blob, id, one_of};

pub(crate) fn data() -> impl Strategy<Value = BTreeMap<String, serde_json::Value>> {
    let value = prop_oneof![
        any::<i64>().prop_map(serde_json::Value::from),
        "\\PC{0,9}".prop_map(serde_json::Value::from),
        vec(any::<bool>(), 0..3).prop_map(serde_json::Value::from),
    ];
    btree_map("[a-z_]{1,5}", value, 0..4)
}

pub(crate) fn output_note() -> impl Strategy<Value = OutputNote> {
    (option::of(one_of(OutputSource::ALL)), "\\PC{0,9}", option::of(any::<u64>()))
        .prop_map(|(source, message, line)| OutputNote { source, message, line })
}

fn metric() -> impl Strategy<Value = Metric> {
    let word = || "[a-z ]{1,5}";
    (word(), btree_map(word(), word(), 0..3), word(), any::<i32>()).prop_map(|(measurement, tags, field, value)| {
        Metric { measurement, tags, field, value: f64::from(value) / 8.0 }
    })
}

pub(crate) fn attempt_output() -> impl Strategy<Value = AttemptOutput> {
    let summary = (option::of("\\PC{0,9}"), any::<bool>());
    (any::<u16>(), data(), vec(metric(), 0..3), summary, vec(output_note(), 0..3)).prop_map(
        |(attempt, data, metrics, (summary, summary_cut), notes)| AttemptOutput {
            attempt,
            output: Output { data, metrics, summary, summary_cut, notes },
        },
    )
}

fn value_change() -> impl Strategy<Value = ValueChange> {
    let value =
        || option::of(prop_oneof![Just(serde_json::Value::Null), any::<i32>().prop_map(serde_json::Value::from)]);
    ("(/[a-z~1]{0,4}){0,3}", value(), value()).prop_map(|(pointer, before, after)| ValueChange {
        pointer,
        before,
        after,
    })
}

fn numbers() -> impl Strategy<Value = Numbers> {
    let number = || option::of(any::<i32>().prop_map(|number| f64::from(number) / 4.0));
    (number(), number(), number(), number()).prop_map(|(before, after, delta, ratio)| Numbers {
        before,
        after,
        delta,
        ratio,
    })
}

fn compared_run() -> impl Strategy<Value = ComparedRun> {
    (id(), "\\PC{0,9}", any::<u16>(), option::of(one_of(RunResult::ALL)), option::of(any::<i32>())).prop_map(
        |(id, test_name, attempt, result, exit_code)| ComparedRun { id, test_name, attempt, result, exit_code },
    )
}

fn log_comparison() -> impl Strategy<Value = LogComparison> {
    let line = (one_of(LineChange::ALL), "\\PC{0,9}").prop_map(|(change, text)| DiffLine { change, text });
    let hunk = (any::<(u32, u32)>(), vec(line, 0..3)).prop_map(|((before_line, after_line), lines)| Hunk {
        before_line,
        after_line,
        lines,
    });
    (vec(hunk, 0..3), any::<[u32; 6]>(), any::<(u64, u64)>()).prop_map(|(hunks, counts, skipped)| {
        let [same, removed, added, before_cut, after_cut, hidden] = counts;
        let (before_skipped_bytes, after_skipped_bytes) = skipped;
        let diff = LogDiff { hunks, same, removed, added, before_cut, after_cut, hidden };
        LogComparison { diff, before_skipped_bytes, after_skipped_bytes }
    })
}

fn cases() -> impl Strategy<Value = CasesComparison> {
    let key = (vec("\\PC{0,5}", 0..3), option::of("\\PC{1,5}"), "\\PC{0,9}")
        .prop_map(|(suite, classname, name)| CaseKey { suite, classname, name, file: None, test_id: None });
    let end = || option::of(one_of(CaseEnd::ALL));
    let ms = || option::of(any::<u32>().prop_map(u64::from));
    let case = (id(), key, end(), end(), ms(), ms()).prop_map(|(case_id, key, before, after, before_ms, after_ms)| {
        ComparedCase { case_id, key, before, after, before_ms, after_ms }
    });
    let some = (vec(case, 0..3), any::<u32>()).prop_map(|(items, more)| DifferingCases { items, more: more.into() });
    let counts = option::of(any::<u32>().prop_map(|cases| CaseCounts { cases: cases.into(), ..CaseCounts::default() }));
    (counts, vec(some, 5)).prop_map(|(after, kinds)| {
        let mut compared = CasesComparison { after, ..CasesComparison::default() };
        for (kind, cases) in CaseKind::ALL.iter().zip(kinds) {
            *compared.of_kind(*kind) = cases;
        }
        compared
    })
}

pub(crate) fn comparison() -> impl Strategy<Value = Comparison> {
    let changes = || vec(value_change(), 0..3);
    let data = (value_change(), numbers()).prop_map(|(value, numbers)| DataChange {
        value,
        delta: numbers.delta,
        ratio: numbers.ratio,
    });
    let duration = ("[a-z]{1,5}", numbers()).prop_map(|(name, numbers)| NumberChange { name, numbers });
    let metric = (metric(), numbers()).prop_map(|(metric, numbers)| MetricChange {
        measurement: metric.measurement,
        tags: metric.tags,
        field: metric.field,
        numbers,
    });
    let content = || option::of(blob().prop_map(|blob| FileContent { bytes: blob.bytes, sha256: blob.sha256 }));
    let file = ("\\PC{0,9}", one_of(FileChange::ALL), content(), content())
        .prop_map(|(path, change, before, after)| ArtifactChange { path, change, before, after });
    let said = (vec(duration, 0..3), vec(data, 0..3), vec(metric, 0..3));
    let left =
        (vec(file, 0..3), any::<u32>(), option::of(log_comparison()), option::of(cases()), vec("\\PC{0,9}", 0..3));
    ((compared_run(), compared_run()), (changes(), changes(), changes(), changes()), said, left).prop_map(
        |((before, after), (config, env, labels, surroundings), said, left)| {
            let (durations, data, metrics) = said;
            let (artifacts, same_artifacts, log, cases, notes) = left;
            Comparison {
                before,
                after,
                config,
                env,
                labels,
                surroundings,
                durations,
                data,
                metrics,
                artifacts,
                same_artifacts,
                cases,
                log,
                notes,
            }
        },
    )
}
