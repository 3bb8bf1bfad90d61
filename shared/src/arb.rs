//! Generators for property tests of this crate and of those that use it.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use crate::artifacts::{Artifacts, ReportMode};
use crate::concurrency::{Concurrency, ConcurrencyPolicy, Overflow};
use crate::duration::Seconds;
use crate::labels::Labels;
use crate::matrix::{Axes, Matrix};
use crate::report::{Case, CaseAttempt, CaseKey, CaseStatus, Excerpt, Finding, Property};
use crate::schedule::CatchUp;
use crate::selector::SelectorSources;
use crate::size::Bytes;
use crate::testdef::{Command, Limits, Network, NewTestDef, Priority, Pull, Resources, Retry, RunConfig};

fn key() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]", "[a-z0-9]{1,8}", "[a-z]{1,4}[./_-][a-z]{1,4}"]
}

/// Labels that are valid; small alphabets, so that keys and values often meet.
pub fn labels() -> impl Strategy<Value = Labels> {
    btree_map(key(), prop_oneof!["[xy]{0,2}", "\\PC{0,12}"], 0..4).prop_map(Labels)
}

/// Selectors that are valid.
pub fn selectors() -> impl Strategy<Value = SelectorSources> {
    let pattern = || prop_oneof![Just(".*".to_owned()), "[xy]{0,2}", Just("x|y".to_owned()), Just("x.*".to_owned())];
    let accept = btree_map(prop_oneof![Just("*".to_owned()), key()], pattern(), 0..4);
    let reject: BoxedStrategy<BTreeMap<String, String>> = btree_map(key(), pattern(), 0..3).boxed();
    (accept, reject).prop_map(|(accept, reject)| SelectorSources { accept, reject })
}

/// Matrices, valid or not.
pub fn matrix() -> impl Strategy<Value = Matrix> {
    let small = || btree_map("[a-c]", "[x-z]", 1..3).prop_map(Labels);
    let axes = vec(("[a-c]", vec("[x-z]", 0..4)), 0..4).prop_map(Axes);
    let limits = (option::of(0..300u32), any::<bool>(), vec(small(), 0..2));
    (axes, vec(small(), 0..4), vec(small(), 0..3), limits).prop_map(
        |(labels, include, exclude, (max_parallel, fail_fast, soft_fail))| Matrix {
            labels,
            include,
            exclude,
            max_parallel,
            fail_fast,
            soft_fail,
        },
    )
}

/// Concurrencies, valid or not.
pub fn concurrency() -> impl Strategy<Value = Concurrency> {
    use ConcurrencyPolicy::{Allow, Forbid, Queue, Replace};
    let policy = prop_oneof![Just(Allow), Just(Forbid), Just(Queue), Just(Replace)];
    let overflow = option::of(prop_oneof![Just(Overflow::Oldest), Just(Overflow::Newest)]);
    (policy, option::of("[a-z ]{1,4}"), option::of(0..1100u32), option::of(0..1100u32), overflow)
        .prop_map(|(policy, group, limit, depth, overflow)| Concurrency { policy, group, limit, depth, overflow })
}

/// Run configurations, valid or not.
pub fn run_config() -> impl Strategy<Value = RunConfig> {
    let text = || "\\PC{0,16}";
    let limits = (any::<u64>(), 0.01f64..64.0, any::<u32>());
    let words = (
        prop_oneof![Just(Network::None), Just(Network::Outbound)],
        prop_oneof![Just(Pull::Missing), Just(Pull::Always), Just(Pull::Never)],
    );
    (
        prop_oneof![Just("alpine:3".to_owned()), "\\PC{0,16}".boxed()],
        vec("\\PC{1,16}", 0..3),
        vec(text(), 0..3),
        btree_map("[A-Z_]{1,6}", text(), 0..3),
        (any::<u32>(), any::<u32>()),
        limits,
        words,
    )
        .prop_map(
            |(container_image, command, args, env, (timeout, grace), (memory, cpus, pids), (network, pull))| {
                RunConfig {
                    container_image,
                    command: Command(command),
                    args,
                    env: Labels(env),
                    timeout: Seconds(timeout),
                    grace: Seconds(grace),
                    resources: Resources { memory: Bytes(memory), cpus, pids },
                    network,
                    pull,
                }
            },
        )
}

/// Artifacts that a test names, valid or not.
pub fn artifacts() -> impl Strategy<Value = Artifacts> {
    let report = prop_oneof![Just(ReportMode::Auto), Just(ReportMode::Required), Just(ReportMode::None)];
    let patterns = || vec(prop_oneof!["/w/[a-z*?]{1,6}", "\\PC{0,8}"], 0..3);
    (patterns(), report, patterns(), vec("[a-z+]{1,6}", 0..3))
        .prop_map(|(paths, report, reports, volatile)| Artifacts { paths, report, reports, volatile })
}

/// Tests, valid or not.
pub fn test() -> impl Strategy<Value = NewTestDef> {
    let schedule = (
        option::of(prop_oneof![Just("*/5 * * * *".to_owned()), "\\PC{0,12}".boxed()]),
        option::of(prop_oneof![Just("America/Toronto".to_owned()), "[A-Za-z/]{0,12}".boxed()]),
        prop_oneof![Just(CatchUp::None), Just(CatchUp::Last), Just(CatchUp::All)],
        option::of(any::<u32>().prop_map(Seconds)),
    );
    let rest = (option::of(any::<u32>()), any::<(u8, u8)>(), any::<(u64, u64)>(), any::<(bool, bool)>(), 0usize..4);
    let rest = (rest, option::of(concurrency()), artifacts());
    ("[A-Za-z0-9._-]{1,12}", labels(), labels(), run_config(), option::of(matrix()), schedule, rest).prop_map(
        |(
            name,
            labels,
            annotations,
            run_config,
            matrix,
            (cron_schedule, time_zone, catch_up, start_deadline),
            rest,
        )| {
            let (rest, concurrency, artifacts) = rest;
            let (queue_deadline, (on_fail, on_infrastructure), (log, kept), (at_most_once, paused), priority) = rest;
            NewTestDef {
                name,
                labels,
                annotations,
                run_config,
                matrix,
                cron_schedule,
                time_zone,
                catch_up,
                start_deadline,
                queue_deadline: queue_deadline.map(Seconds),
                concurrency,
                retry: Retry { on_fail, on_infrastructure },
                limits: Limits { log: Bytes(log), artifacts: Bytes(kept) },
                artifacts,
                at_most_once,
                priority: Priority::ALL[priority],
                paused,
            }
        },
    )
}

/// A text that is clean, without space around it: what a reader makes of any text.
fn report_text() -> impl Strategy<Value = String> {
    let any = prop_oneof![
        "[a-z]{1,6}",
        "[a-zA-Z0-9 _.,:;#{}<>&\"'\\\\/\\[\\]()=|-]{1,16}",
        "\\PC{1,8}",
        "[a-c \n\t#x-]{1,10}",
    ];
    any.prop_filter_map("nothing is left of it", |text| {
        let clean = crate::report::clean(&text).trim().to_owned();
        (!clean.is_empty()).then_some(clean)
    })
}

fn report_excerpt() -> impl Strategy<Value = Excerpt> {
    // Not every format keeps space at the ends of lines.
    vec("[!-~é]([ -~é]{0,12}[!-~é])?", 1..4).prop_map(|lines| {
        let text = crate::report::clean(&lines.join("\n")).into_owned();
        Excerpt { text, cut_bytes: 0 }
    })
}

fn finding(status: CaseStatus) -> impl Strategy<Value = Finding> {
    let words = (option::of(report_text()), option::of(report_text()), option::of(report_excerpt()));
    words.prop_filter_map("it says nothing", move |(message, kind, text)| {
        let says = message.is_some() || kind.is_some() || text.is_some();
        says.then_some(Finding { status, message, kind, text })
    })
}

fn case_attempt(status: CaseStatus) -> impl Strategy<Value = CaseAttempt> {
    let most = match status {
        CaseStatus::Pass => 0,
        CaseStatus::Skip => 1,
        CaseStatus::Fail | CaseStatus::Error => 3,
    };
    let rest = (option::of(0..10_000_000u64), vec(finding(status), 0..=most));
    rest.prop_map(move |(duration_ms, findings)| CaseAttempt { duration_ms, findings, ..CaseAttempt::new(status) })
}

/// Cases of reports, as readers hand them over: attempts before the last one failed.
pub fn report_case() -> impl Strategy<Value = Case> {
    let key = (
        vec(report_text(), 0..3),
        option::of(report_text()),
        report_text(),
        option::of(report_text()),
        option::of(report_text()),
    )
        .prop_map(|(suite, classname, name, file, test_id)| CaseKey { suite, classname, name, file, test_id });
    let failed = prop_oneof![Just(CaseStatus::Fail), Just(CaseStatus::Error)].prop_flat_map(case_attempt);
    let last = (0..4usize).prop_flat_map(|status| case_attempt(CaseStatus::ALL[status]));
    let numbers = (option::of(any::<u32>()), option::of(any::<u64>()), any::<(bool, bool)>());
    let outputs = (option::of(report_excerpt()), option::of(report_excerpt()));
    let properties = btree_map("p[a-z]{1,6}", report_text(), 0..3);
    (key, vec(failed, 0..3), last, numbers, outputs, properties).prop_map(
        |(key, mut attempts, last, (line, assertions, (flaky, disabled)), (stdout, stderr), properties)| {
            let (status, duration_ms) = (last.status, last.duration_ms);
            let flaky = status == CaseStatus::Pass && (flaky || !attempts.is_empty());
            attempts.push(last);
            let properties = properties.into_iter().map(|(name, value)| Property { name, value }).collect();
            Case {
                flaky,
                disabled: disabled && status == CaseStatus::Skip,
                duration_ms,
                attempts,
                properties,
                line,
                assertions,
                stdout,
                stderr,
                ..Case::new(key, status)
            }
        },
    )
}
