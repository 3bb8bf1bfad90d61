//! What goes out comes back in; what cannot be read names its field.

use std::fmt::Debug;

use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use prost::Message;
use serde_json::json;
use tstr_shared::results::Upload;
use tstr_shared::run::{Retried, RetriedMatrix, Run, RunEvent, RunFilter, RunResult, RunState, TriggerRun, Triggered};
use tstr_shared::schedule::Upcoming;
use tstr_shared::testdef::{Applied, Change, FieldChange, NewTestDef, Priority, Resources, Retry, TestSchedule};
use tstr_shared::token::NewToken;

use super::*;
use crate::v1 as pb;

/// Sends a value through the bytes of its message.
fn sent<M: Message + Default + From<D>, D: TryFrom<M, Error: Debug>>(value: D) -> D {
    let bytes = M::from(value).encode_to_vec();
    D::try_from(M::decode(bytes.as_slice()).unwrap()).unwrap()
}

macro_rules! come_back {
    ($($name:ident: $message:ident;)+) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(64))]
            $(
                #[test]
                fn $name(value in arb::$name()) {
                    prop_assert_eq!(&sent::<pb::$message, _>(value.clone()), &value);
                }
            )+
        }
    };
}

mod round_trip {
    use super::*;

    come_back! {
        run_config: RunConfig;
        new_test: TestSpec;
        test: Test;
        test_version: TestVersion;
        run: Run;
        attempt: Attempt;
        event: RunEvent;
        news: Event;
        ledger_entry: LedgerEntry;
        outcome: Outcome;
        fence: Fence;
        lease_times: LeaseTimes;
        leased_run: LeasedRun;
        case_result: CaseResult;
        chunk: LogChunk;
        offsets: LogOffsets;
        seal: LogSeal;
        new_runner: RegisterRunnerRequest;
        runner: Runner;
        new_token: IssueTokenRequest;
        token: Token;
        issued: IssueTokenResponse;
        identity: GetIdentityResponse;
        session_code: SessionCode;
        quotas: Quotas;
        new_namespace: CreateNamespaceRequest;
        namespace_info: Namespace;
        explanation: ExplainRunResponse;
        queue_class: QueueClass;
        summary_filter: GetSummaryRequest;
        summary_of_runs: GetSummaryResponse;
        rebuilt: RebuildSummaryResponse;
        blob: Blob;
        collected_file: CollectedFile;
        artifact_note: ArtifactNote;
        artifact_list: ListArtifactsResponse;
        attempt_output: GetRunOutputResponse;
        comparison: CompareRunsResponse;
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn uploads(
            (cell, labels) in (tstr_shared::arb::labels(), tstr_shared::arb::labels()),
            (started_at, finished_at) in (option::of(arb::instant()), option::of(arb::instant())),
            (name, revision) in (option::of("[a-z.]{1,9}"), option::of("\\PC{1,9}")),
            result in option::of(proptest::sample::select(RunResult::ALL)),
        ) {
            let upload = Upload { cell, labels, result, name, started_at, finished_at, revision };
            prop_assert_eq!(&sent::<pb::UploadResultsRequest, _>(upload.clone()), &upload);
        }

        #[test]
        fn retries(run in arb::run(), other in arb::run(), warning in "\\PC{0,9}") {
            let (matrix_id, warnings) = (run.matrix_id, vec![warning]);
            let retried = Retried { run: run.clone(), warnings: warnings.clone() };
            prop_assert_eq!(&sent::<pb::RetryRunResponse, _>(retried.clone()), &retried);
            let set = RetriedMatrix { made: Triggered { matrix_id, runs: vec![run, other] }, warnings };
            prop_assert_eq!(&sent::<pb::RetryMatrixResponse, _>(set.clone()), &set);
        }
    }

    #[test]
    fn applied() {
        let change = |before, after| FieldChange { pointer: "/paused".into(), before, after };
        let value = Applied {
            change: Change::Updated,
            dry_run: true,
            diff: vec![change(None, Some(json!({"a": [1, 2.5, null]}))), change(Some(json!(null)), None)],
            warnings: vec!["w".into()],
            test: None,
            upcoming: vec![Upcoming { at: DateTime::UNIX_EPOCH, local: "1970".into(), note: Some("n".into()) }],
        };
        assert_eq!(sent::<pb::ApplyTestResponse, _>(value.clone()), value);
    }

    #[test]
    fn schedule() {
        let upcoming = |note| Upcoming { at: DateTime::UNIX_EPOCH, local: "1970".into(), note };
        let value = TestSchedule {
            description: "daily".into(),
            time_zone: "UTC".into(),
            paused: true,
            upcoming: vec![upcoming(None), upcoming(Some("n".into()))],
        };
        assert_eq!(sent::<pb::GetTestScheduleResponse, _>(value.clone()), value);
    }

    proptest! {
        #[test]
        fn instants(at in arb::instant()) {
            prop_assert_eq!(super::instant("/at", Some(time(at))), Ok(at));
        }
    }
}

fn spec() -> pb::TestSpec {
    let run_config = pb::RunConfig { container_image: "alpine".into(), ..Default::default() };
    pb::TestSpec { name: "a".into(), run_config: Some(run_config), ..Default::default() }
}

fn place<D: Debug>(read: Result<D, Invalid>) -> String {
    read.unwrap_err().errors.swap_remove(0).pointer
}

#[test]
fn what_a_message_leaves_out_has_the_defaults_of_json() {
    let minimal = json!({"name": "a", "run_config": {"container_image": "alpine"}});
    let expected: NewTestDef = serde_json::from_value(minimal).unwrap();
    assert_eq!(NewTestDef::try_from(spec()), Ok(expected));

    let minimal = json!({"name": "a", "scopes": [], "namespaces": []});
    let expected: NewToken = serde_json::from_value(minimal).unwrap();
    assert_eq!(NewToken::try_from(pb::IssueTokenRequest { name: "a".into(), ..Default::default() }), Ok(expected));

    let some = pb::Resources { cpus: 2.0, ..Default::default() };
    assert_eq!(Resources::from(some), Resources { cpus: 2.0, ..Default::default() });
}

#[test]
fn a_retry_that_is_given_is_taken_as_it_is() {
    let retry = Some(pb::Retry { on_fail: 2, on_infrastructure: 0 });
    let test = NewTestDef::try_from(pb::TestSpec { retry, ..spec() }).unwrap();
    assert_eq!(test.retry, Retry { on_fail: 2, on_infrastructure: 0 });
}

#[test]
fn a_trigger_without_a_priority_leaves_that_of_the_test() {
    let priority = |priority| TriggerRun::try_from(pb::TriggerRunRequest { priority, ..Default::default() });
    assert_eq!(priority(0).unwrap().priority, None);
    assert_eq!(priority(1).unwrap().priority, Some(Priority::Urgent));
    assert_eq!(place(priority(9)), "/priority");
}

#[test]
fn faults_name_the_field_of_the_message() {
    let read = |change: fn(&mut pb::TestSpec)| {
        let mut spec = spec();
        change(&mut spec);
        place(NewTestDef::try_from(spec))
    };
    assert_eq!(read(|spec| spec.run_config = None), "/run_config");
    assert_eq!(read(|spec| spec.run_config.as_mut().unwrap().network = 7), "/run_config/network");
    assert_eq!(read(|spec| spec.run_config.as_mut().unwrap().pull = -1), "/run_config/pull");
    assert_eq!(read(|spec| spec.catch_up = 4), "/catch_up");
    assert_eq!(read(|spec| spec.concurrency = Some(pb::Concurrency::default())), "/concurrency/policy");
    assert_eq!(read(|spec| spec.retry = Some(pb::Retry { on_fail: 256, on_infrastructure: 0 })), "/retry/on_fail");

    let filter = |change: fn(&mut pb::ListRunsRequest)| {
        let mut request = pb::ListRunsRequest::default();
        change(&mut request);
        RunFilter::try_from(request)
    };
    assert_eq!(filter(|request| request.states = vec![1, 4]).unwrap().states, [RunState::Queued, RunState::Finished]);
    assert_eq!(place(filter(|request| request.states = vec![1, 0])), "/states/1");
    assert_eq!(place(filter(|request| request.results = vec![6])), "/results/0");
    assert_eq!(place(filter(|request| request.runner_id = "x".into())), "/runner_id");
    let beyond = Some(Timestamp { seconds: i64::MAX, nanos: 0 });
    let request = pb::ListRunsRequest { started_after: beyond, ..Default::default() };
    assert_eq!(place(RunFilter::try_from(request)), "/started_after");

    assert_eq!(
        place(RunEvent::try_from(pb::RunEvent { at: Some(time(DateTime::UNIX_EPOCH)), ..Default::default() })),
        "/to"
    );
    assert_eq!(place(page(-1, String::new())), "/page_size");
    assert_eq!(place(id::<tstr_shared::ids::RunId>("/run_id", "")), "/run_id");
    let seal = pb::StreamSeal { sha256: vec![1], ..Default::default() };
    let seal = pb::LogSeal { stderr: Some(seal), ..Default::default() };
    assert_eq!(place(tstr_shared::logs::LogSeal::try_from(seal)), "/stderr/sha256");
}

#[test]
fn faults_of_a_list_carry_the_index() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let run = arb::run().new_tree(&mut runner).unwrap().current();
    let mut message = pb::Run::from(run);
    message.attempts = vec![pb::Attempt { runner_id: "x".into(), ..Default::default() }];
    assert_eq!(place(Run::try_from(message)), "/attempts/0/runner_id");
}

#[test]
fn timestamps_outside_of_the_calendar_are_refused() {
    for (seconds, nanos) in
        [(0, -1), (0, 1_000_000_000), (*SECONDS.end() + 1, 0), (*SECONDS.start() - 1, 0), (i64::MIN, 0)]
    {
        let stamp = Some(Timestamp { seconds, nanos });
        assert_eq!(place(optional_instant("/at", stamp)), "/at");
        assert_eq!(place(instant("/at", stamp)), "/at");
    }
    assert_eq!(place(instant("/at", None)), "/at");
    assert_eq!(optional_instant("/at", None), Ok(None));
}

#[test]
fn an_instant_beyond_the_calendar_still_goes_out() {
    for at in [DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC] {
        assert!(instant("/at", Some(time(at))).is_ok());
    }
    let leap = DateTime::from_timestamp(59, 1_500_000_000).unwrap();
    assert_eq!(time(leap), Timestamp { seconds: 59, nanos: 999_999_999 });
}
