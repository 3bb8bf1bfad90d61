//! Generators of the domain values that only travel and have none in `tstr_shared::arb`.
//!
//! They leave out what the wire cannot tell apart: empty texts from absent ones, and the 0 that means a default.

mod news;
mod said;
mod summaries;

use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tstr_shared::arb;
use tstr_shared::artifacts::{
    Artifact, ArtifactList, ArtifactNote, ArtifactPath, ArtifactSummary, Blob, CollectedFile, ContentHash, NoteWhy,
    ReportMode,
};
use tstr_shared::duration::Seconds;
use tstr_shared::explain::{
    AttemptStory, Because, Counted, Explanation, LeaseStory, PriorityDepth, QueueClass, RunnerVerdict, Verdict,
    VerdictCount, Waiting, Why,
};
use tstr_shared::lease::{Fence, LeaseTimes, LeasedRun};
use tstr_shared::ledger::{LedgerEntry, LedgerOutcome, LedgerReason};
use tstr_shared::logs::{LogChunk, LogCut, LogOffsets, LogSeal, LogStatus, LogSummary, Stream, StreamSeal};
use tstr_shared::namespace::{Namespace, NamespaceInfo, NewNamespace, Quotas, Retention, Usage};
use tstr_shared::permission::Scope;
use tstr_shared::report::{CaseId, CaseKey, CaseStatus};
use tstr_shared::results::{CaseCounts, CaseResult};
use tstr_shared::run::{Attempt, Kept, Outcome, Reason, Run, RunEvent, RunResult, RunState, Trigger};
use tstr_shared::runner::{NewRunner, Runner, RunnerAbout, RunnerState, Unfit};
use tstr_shared::testdef::{NewTestDef, Priority, RunConfig, TestDef, TestVersion};
use tstr_shared::token::{Identity, IssuedToken, NewToken, Token};
use uuid::Uuid;

pub(super) use self::news::{news, session_code};
pub(super) use self::said::{attempt_output, comparison};
use self::said::{data, output_note};
use super::SECONDS;

pub(super) use summaries::{rebuilt, summary_filter, summary_of_runs};

pub(super) fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    (SECONDS, 0..1_000_000_000u32).prop_map(|(seconds, nanos)| DateTime::from_timestamp(seconds, nanos).unwrap())
}

pub(super) fn run_config() -> impl Strategy<Value = RunConfig> {
    arb::run_config().prop_map(|mut config| {
        config.timeout.0 = config.timeout.0.max(1);
        config.resources.memory.0 = config.resources.memory.0.max(1);
        config.resources.pids = config.resources.pids.max(1);
        config
    })
}

pub(super) fn new_test() -> impl Strategy<Value = NewTestDef> {
    (arb::test(), run_config()).prop_map(|(mut test, run_config)| {
        test.limits.log.0 = test.limits.log.0.max(1);
        NewTestDef { run_config, ..test }
    })
}

pub(super) fn test_version() -> impl Strategy<Value = TestVersion> {
    (any::<i32>(), instant(), said(), option::of(new_test()))
        .prop_map(|(version, changed_at, changed_by, spec)| TestVersion { version, changed_at, changed_by, spec })
}

pub(super) fn test() -> impl Strategy<Value = TestDef> {
    (id(), namespace(), any::<i32>(), instant(), instant(), option::of(instant()), new_test()).prop_map(
        |(id, namespace, version, created_at, updated_at, next_run_at, spec)| TestDef {
            id,
            namespace,
            version,
            created_at,
            updated_at,
            next_run_at,
            spec,
        },
    )
}

fn id<T: From<Uuid> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    any::<u128>().prop_map(|bits| Uuid::from_u128(bits).into())
}

fn namespace() -> impl Strategy<Value = Namespace> {
    "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?".prop_map(|name| Namespace::parse(&name).unwrap())
}

fn said() -> impl Strategy<Value = Option<String>> {
    option::of("\\PC{1,12}")
}

fn one_of<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    proptest::sample::select(all)
}

fn log() -> impl Strategy<Value = LogSummary> {
    let all = &[LogStatus::Open, LogStatus::Complete, LogStatus::Truncated, LogStatus::Incomplete];
    let cut = (one_of(&Stream::ALL), any::<u64>(), any::<u64>());
    let cut = cut.prop_map(|(stream, offset, bytes)| LogCut { stream, offset, bytes });
    (one_of(all), any::<u64>(), any::<u64>(), vec(cut, 0..3), said(), option::of(instant())).prop_map(
        |(status, bytes, dropped_bytes, cuts, message, removed_at)| LogSummary {
            status,
            bytes,
            dropped_bytes,
            removed_at,
            cuts,
            message,
        },
    )
}

pub(super) fn outcome() -> impl Strategy<Value = Outcome> {
    (one_of(RunResult::ALL), option::of(one_of(Reason::ALL)), said(), option::of(any::<i32>()), said()).prop_map(
        |(result, reason, message, exit_code, image_digest)| Outcome {
            result,
            reason,
            message,
            exit_code,
            image_digest,
        },
    )
}

pub(super) fn attempt() -> impl Strategy<Value = Attempt> {
    let times = (instant(), option::of(instant()), option::of(instant()));
    let kept = (log(), summary());
    (any::<u16>(), id(), "\\PC{0,9}", times, option::of(outcome()), kept).prop_map(
        |(attempt, runner_id, runner_name, (leased_at, started_at, ended_at), outcome, (log, artifacts))| Attempt {
            attempt,
            runner_id,
            runner_name,
            leased_at,
            started_at,
            ended_at,
            result: outcome.as_ref().map(|outcome| outcome.result),
            reason: outcome.as_ref().and_then(|outcome| outcome.reason),
            message: outcome.as_ref().and_then(|outcome| outcome.message.clone()),
            exit_code: outcome.as_ref().and_then(|outcome| outcome.exit_code),
            image_digest: outcome.and_then(|outcome| outcome.image_digest),
            log,
            artifacts,
        },
    )
}

pub(super) fn run() -> impl Strategy<Value = Run> {
    let names = (id(), namespace(), id(), "\\PC{0,9}", id());
    let labels = (arb::labels(), arb::labels(), arb::labels());
    let words = (one_of(RunState::ALL), one_of(&Priority::ALL), one_of(Trigger::ALL), any::<(bool, bool, u16)>());
    let times = (instant(), instant(), option::of(instant()), option::of(instant()), option::of(instant()));
    let left = (log(), summary(), option::of(case_counts()), data(), vec(output_note(), 0..3));
    let latest = (option::of(id()), said(), option::of(outcome()), vec(attempt(), 0..3), left, option::of(kept()));
    (names, labels, run_config(), words, times, latest).prop_map(|(names, labels, run_config, words, times, latest)| {
        let (id, namespace, test_id, test_name, matrix_id) = names;
        let (cell, labels, annotations) = labels;
        let (state, priority, trigger, (flaky, cancel_requested, attempt)) = words;
        let (scheduled_at, created_at, leased_at, started_at, finished_at) = times;
        let (runner_id, runner_name, outcome, attempts, (log, artifacts, cases, result_data, output_notes), kept) =
            latest;
        Run {
            id,
            namespace,
            test_id,
            test_name,
            matrix_id,
            cell,
            labels,
            annotations,
            run_config,
            state,
            result: outcome.as_ref().map(|outcome| outcome.result),
            reason: outcome.as_ref().and_then(|outcome| outcome.reason),
            message: outcome.as_ref().and_then(|outcome| outcome.message.clone()),
            exit_code: outcome.as_ref().and_then(|outcome| outcome.exit_code),
            flaky,
            cancel_requested,
            attempt,
            attempts,
            runner_id,
            runner_name,
            image_digest: outcome.and_then(|outcome| outcome.image_digest),
            priority,
            trigger,
            scheduled_at,
            created_at,
            leased_at,
            started_at,
            finished_at,
            log,
            artifacts,
            cases,
            result_data,
            output_notes,
            kept,
        }
    })
}

fn case_counts() -> impl Strategy<Value = CaseCounts> {
    any::<[u64; 7]>().prop_map(|[cases, passed, failed, errors, skipped, flaky, muted]| CaseCounts {
        cases,
        passed,
        failed,
        errors,
        skipped,
        flaky,
        muted,
    })
}

fn text_of_case() -> impl Strategy<Value = Option<String>> {
    option::of("\\PC{1,9}")
}

pub(super) fn case_result() -> impl Strategy<Value = CaseResult> {
    let key = (vec("\\PC{0,9}", 0..3), text_of_case(), "\\PC{0,9}", text_of_case(), text_of_case());
    let place = (any::<u128>(), any::<u16>(), any::<u32>(), any::<u32>());
    let told = (one_of(&CaseStatus::ALL), any::<(bool, bool, u16)>(), option::of(any::<u64>()), text_of_case());
    (key, place, told).prop_map(|(key, (id, report, place, ordinal), told)| {
        let (suite, classname, name, file, test_id) = key;
        let (status, (flaky, muted, failed_attempts), duration_ms, message) = told;
        CaseResult {
            case_id: CaseId(Uuid::from_u128(id)),
            key: CaseKey { suite, classname, name, file, test_id },
            report,
            place,
            ordinal,
            status,
            flaky,
            muted,
            failed_attempts,
            duration_ms,
            message,
        }
    })
}

fn summary() -> impl Strategy<Value = ArtifactSummary> {
    (any::<u32>(), any::<u64>(), option::of(instant())).prop_map(|(files, bytes, removed_at)| ArtifactSummary {
        files,
        bytes,
        removed_at,
    })
}

pub(super) fn blob() -> impl Strategy<Value = Blob> {
    any::<([u8; 32], u64)>().prop_map(|(sha256, bytes)| Blob { sha256: ContentHash(sha256), bytes })
}

fn path() -> impl Strategy<Value = ArtifactPath> {
    "[a-z]{1,3}(/[a-z\u{e4} .]{1,3}x){0,3}".prop_map(|text| ArtifactPath::parse(&text).unwrap())
}

pub(super) fn collected_file() -> impl Strategy<Value = CollectedFile> {
    (path(), blob()).prop_map(|(path, blob)| CollectedFile { path, blob })
}

pub(super) fn artifact_note() -> impl Strategy<Value = ArtifactNote> {
    (one_of(NoteWhy::ALL), any::<(u64, u64)>(), vec("\\PC{0,9}", 0..3), said())
        .prop_map(|(why, (files, bytes), paths, detail)| ArtifactNote { why, files, bytes, paths, detail })
}

fn artifact() -> impl Strategy<Value = Artifact> {
    (path(), blob(), "\\PC{0,9}").prop_map(|(path, blob, media_type)| Artifact {
        path,
        bytes: blob.bytes,
        sha256: blob.sha256,
        media_type,
    })
}

pub(super) fn artifact_list() -> impl Strategy<Value = ArtifactList> {
    (any::<(u16, u32, u64)>(), vec(artifact(), 0..3), vec(artifact_note(), 0..3))
        .prop_map(|((attempt, files, bytes), items, notes)| ArtifactList { attempt, files, bytes, items, notes })
}

fn kept() -> impl Strategy<Value = Kept> {
    (instant(), "\\PC{0,9}", said()).prop_map(|(at, by, note)| Kept { at, by, note })
}

pub(super) fn event() -> impl Strategy<Value = RunEvent> {
    let ends = (option::of(one_of(RunResult::ALL)), option::of(one_of(Reason::ALL)));
    let states = (option::of(one_of(RunState::ALL)), one_of(RunState::ALL));
    (any::<i64>(), instant(), states, any::<u16>(), ends, "\\PC{0,9}").prop_map(
        |(id, at, (from, to), attempt, (result, reason), actor)| RunEvent {
            id,
            at,
            from,
            to,
            attempt,
            result,
            reason,
            actor,
        },
    )
}

pub(super) fn ledger_entry() -> impl Strategy<Value = LedgerEntry> {
    let words = (one_of(LedgerOutcome::ALL), option::of(one_of(LedgerReason::ALL)));
    let counts = (option::of(any::<i64>()), any::<u32>(), any::<u32>());
    (instant(), words, counts, option::of(id()), option::of(instant()), instant()).prop_map(
        |(scheduled_for, (outcome, reason), (late_ms, runs, instants), matrix_id, until, noted_at)| LedgerEntry {
            scheduled_for,
            outcome,
            reason,
            late_ms,
            matrix_id,
            runs,
            until,
            instants,
            noted_at,
        },
    )
}

pub(super) fn fence() -> impl Strategy<Value = Fence> {
    (id(), any::<u16>(), id()).prop_map(|(run_id, attempt, lease_id)| Fence { run_id, attempt, lease_id })
}

fn duration() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_millis)
}

pub(super) fn lease_times() -> impl Strategy<Value = LeaseTimes> {
    (duration(), duration(), duration(), duration()).prop_map(|(heartbeat, ttl, self_fence, fence_grace)| LeaseTimes {
        heartbeat,
        ttl,
        self_fence,
        fence_grace,
        ..LeaseTimes::DEFAULT
    })
}

pub(super) fn leased_run() -> impl Strategy<Value = LeasedRun> {
    let report = prop_oneof![Just(ReportMode::Auto), Just(ReportMode::Required), Just(ReportMode::None)];
    let limits = (any::<(u64, u64, u64)>(), vec("\\PC{0,9}", 0..3), report);
    (fence(), duration(), namespace(), "\\PC{0,9}", arb::labels(), arb::labels(), run_config(), limits).prop_map(
        |(fence, ttl, namespace, test_name, cell, labels, run_config, (limits, artifact_paths, report))| {
            let (log_limit_bytes, log_tail_bytes, artifact_limit_bytes) = limits;
            LeasedRun {
                fence,
                ttl,
                namespace,
                test_name,
                cell,
                labels,
                run_config,
                log_limit_bytes,
                log_tail_bytes,
                artifact_limit_bytes,
                artifact_paths,
                report,
            }
        },
    )
}

pub(super) fn chunk() -> impl Strategy<Value = LogChunk> {
    (any::<u32>(), one_of(&Stream::ALL), any::<(u64, u64)>(), instant(), vec(any::<u8>(), 0..9)).prop_map(
        |(seq, stream, (offset, cut), reported_at, data)| LogChunk { seq, stream, offset, cut, reported_at, data },
    )
}

pub(super) fn offsets() -> impl Strategy<Value = LogOffsets> {
    any::<(u32, u64, u64)>().prop_map(|(next_seq, stdout, stderr)| LogOffsets { next_seq, stdout, stderr })
}

pub(super) fn seal() -> impl Strategy<Value = LogSeal> {
    let stream = || {
        any::<(u64, u64, [u8; 32])>().prop_map(|(bytes, dropped_bytes, sha256)| StreamSeal {
            bytes,
            dropped_bytes,
            sha256,
        })
    };
    (stream(), stream(), any::<bool>()).prop_map(|(stdout, stderr, incomplete)| LogSeal { stdout, stderr, incomplete })
}

fn about() -> impl Strategy<Value = RunnerAbout> {
    ("\\PC{0,9}", "\\PC{0,9}", "\\PC{0,9}", vec("\\PC{0,9}", 0..3), said()).prop_map(
        |(version, engine, platform, limits_enforced, limits_note)| RunnerAbout {
            version,
            engine,
            platform,
            limits_enforced,
            limits_note,
        },
    )
}

pub(super) fn new_runner() -> impl Strategy<Value = NewRunner> {
    (id(), "\\PC{0,9}", arb::selectors(), any::<u16>(), about())
        .prop_map(|(id, name, selectors, slots, about)| NewRunner { id, name, selectors, slots, about })
}

pub(super) fn runner() -> impl Strategy<Value = Runner> {
    let states = &[RunnerState::Live, RunnerState::Draining, RunnerState::Offline];
    let rest = (one_of(states), any::<bool>(), vec("\\PC{0,9}", 0..3), any::<u16>(), instant(), instant());
    let unfit = option::of(one_of(Unfit::ALL));
    (new_runner(), rest, unfit).prop_map(|(new, rest, unfit)| {
        let (state, draining, namespaces, slots_used, registered_at, last_seen_at) = rest;
        Runner {
            id: new.id,
            name: new.name,
            state,
            draining,
            unfit,
            namespaces,
            accept: new.selectors.accept,
            reject: new.selectors.reject,
            slots: new.slots,
            slots_used,
            about: new.about,
            registered_at,
            last_seen_at,
        }
    })
}

pub(super) fn new_token() -> impl Strategy<Value = NewToken> {
    ("\\PC{0,9}", vec(one_of(&Scope::ALL), 0..4), vec("\\PC{0,9}", 0..3), 1..u32::MAX)
        .prop_map(|(name, scopes, namespaces, secs)| NewToken { name, scopes, namespaces, expires_in: Seconds(secs) })
}

pub(super) fn token() -> impl Strategy<Value = Token> {
    let times = (instant(), instant(), option::of(instant()), option::of(instant()));
    (id(), new_token(), option::of(id()), times).prop_map(
        |(id, new, issued_by, (created_at, expires_at, revoked_at, last_used_at))| Token {
            id,
            name: new.name,
            scopes: new.scopes,
            namespaces: new.namespaces,
            issued_by,
            created_at,
            expires_at,
            revoked_at,
            last_used_at,
        },
    )
}

pub(super) fn issued() -> impl Strategy<Value = IssuedToken> {
    ("\\PC{0,9}", token()).prop_map(|(token, record)| IssuedToken { token, record })
}

pub(super) fn identity() -> impl Strategy<Value = Identity> {
    (token(), vec("\\PC{0,9}", 0..3)).prop_map(|(token, namespaces)| Identity { token, namespaces })
}

pub(super) fn quotas() -> impl Strategy<Value = Quotas> {
    any::<(Option<i32>, Option<i32>, Option<i64>)>().prop_map(|(max_queued, max_running, max_bytes)| Quotas {
        max_queued,
        max_running,
        max_bytes,
    })
}

fn retention() -> impl Strategy<Value = Retention> {
    any::<(i32, i32)>().prop_map(|(runs_days, logs_days)| Retention { runs_days, logs_days })
}

pub(super) fn new_namespace() -> impl Strategy<Value = NewNamespace> {
    (namespace(), quotas(), retention()).prop_map(|(name, quotas, retention)| NewNamespace { name, quotas, retention })
}

pub(super) fn namespace_info() -> impl Strategy<Value = NamespaceInfo> {
    (namespace(), instant(), quotas(), retention(), any::<(i64, u64, u64, u64)>()).prop_map(
        |(name, created_at, quotas, retention, (tests, runs, log_bytes, artifact_bytes))| NamespaceInfo {
            name,
            created_at,
            quotas,
            retention,
            tests,
            usage: Usage { runs, log_bytes, artifact_bytes },
        },
    )
}

fn counted() -> impl Strategy<Value = Counted> {
    any::<(u32, bool)>().prop_map(|(count, more)| Counted { count, more })
}

fn because() -> impl Strategy<Value = Because> {
    let facts = (option::of(instant()), option::of(counted()), option::of(any::<u32>()), said());
    (one_of(Why::ALL), "\\PC{0,9}", facts).prop_map(|(why, sentence, (until, count, limit, group))| Because {
        why,
        sentence,
        until,
        count,
        limit,
        group,
    })
}

fn verdict() -> impl Strategy<Value = RunnerVerdict> {
    let any_text = || option::of("\\PC{0,9}");
    (runner(), one_of(Verdict::ALL), "\\PC{0,9}", any_text(), any_text(), any_text()).prop_map(
        |(runner, verdict, sentence, key, value, pattern)| RunnerVerdict {
            runner_id: runner.id,
            runner_name: runner.name,
            state: runner.state,
            verdict,
            sentence,
            key,
            value,
            pattern,
            slots_used: runner.slots_used,
            slots: runner.slots,
            last_seen_at: runner.last_seen_at,
        },
    )
}

fn waiting() -> impl Strategy<Value = Waiting> {
    let count = (one_of(Verdict::ALL), option::of("\\PC{0,9}"), any::<u32>());
    let count = count.prop_map(|(verdict, key, runners)| VerdictCount { verdict, key, runners });
    (instant(), option::of(instant()), option::of(counted()), vec(count, 0..3), vec(verdict(), 0..3))
        .prop_map(|(since, deadline, ahead, counts, runners)| Waiting { since, deadline, ahead, counts, runners })
}

fn lease() -> impl Strategy<Value = LeaseStory> {
    let times = (instant(), option::of(instant()), instant(), option::of(instant()), option::of(instant()));
    (id(), "\\PC{0,9}", any::<u16>(), times).prop_map(|(runner_id, runner_name, attempt, times)| {
        let (leased_at, started_at, expires_at, hard_deadline, cancel_requested_at) = times;
        LeaseStory {
            runner_id,
            runner_name,
            attempt,
            leased_at,
            started_at,
            expires_at,
            hard_deadline,
            cancel_requested_at,
        }
    })
}

pub(super) fn explanation() -> impl Strategy<Value = Explanation> {
    let story = (attempt(), "\\PC{0,9}").prop_map(|(attempt, sentence)| AttemptStory {
        attempt: attempt.attempt,
        runner_name: attempt.runner_name,
        result: attempt.result,
        reason: attempt.reason,
        sentence,
    });
    let parts = (vec(because(), 0..3), option::of(waiting()), option::of(lease()), vec(story, 0..3));
    (run(), instant(), "\\PC{0,9}", parts).prop_map(|(run, as_of, summary, (reasons, waiting, lease, attempts))| {
        Explanation { summary, reasons, waiting, lease, attempts, ..Explanation::of(&run, as_of) }
    })
}

pub(super) fn queue_class() -> impl Strategy<Value = QueueClass> {
    let depth = (one_of(&Priority::ALL), counted(), instant());
    let depth = depth.prop_map(|(priority, depth, oldest)| PriorityDepth { priority, depth, oldest });
    let later = (counted(), option::of(instant()), counted());
    let runners = (any::<(u32, u32)>(), option::of(because()));
    (arb::labels(), counted(), vec(depth, 0..4), option::of(instant()), later, runners).prop_map(
        |(labels, depth, priorities, oldest, (delayed, next_due, gated), ((live_runners, known_runners), stranded))| {
            QueueClass {
                labels,
                depth,
                priorities,
                oldest,
                delayed,
                next_due,
                gated,
                live_runners,
                known_runners,
                stranded,
            }
        },
    )
}
