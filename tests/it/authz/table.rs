//! The table: each operation of both APIs, what it needs, and one valid request for it.
//!
//! Adding an operation means adding a row here; without it `every_operation_has_a_row` fails.

use prost::Message;
use serde_json::{Value, json};
use tstr_proto::convert::structure;
use tstr_proto::v1 as pb;
use tstr_tests::factory;
use uuid::Uuid;

use super::world::{ARTIFACT, Need, Target};

/// How an operation comes to concern a namespace; decides what a caller reads who does not see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It concerns none.
    Global,
    /// It lists what the caller sees: the rest is left out.
    Listed,
    /// The namespace stands in the address: not found, and then the scope is looked at.
    Named,
    /// The id of a thing stands in the address: the scope is looked at, and then not found.
    Object,
    /// The caller wishes for something in a namespace: forbidden, whether it exists or not.
    Wished,
    /// The fence of a lease: lost, whether there ever was one.
    Fenced,
}

/// One operation.
pub struct Row {
    /// Its id in the OpenAPI document.
    pub operation: Option<&'static str>,
    /// Its name in gRPC.
    pub rpc: Option<&'static str>,
    /// The permission that it needs.
    pub permission: &'static str,
    pub reach: Reach,
    /// What must be there for it to succeed.
    pub need: Need,
    /// The body in JSON.
    pub json: fn(&Target) -> Option<Value>,
    /// The message in gRPC.
    pub grpc: fn(&Target) -> Vec<u8>,
}

fn nothing(_: &Target) -> Option<Value> {
    None
}

fn row(
    names: (&'static str, &'static str),
    permission: &'static str,
    reach: Reach,
    need: Need,
    json: fn(&Target) -> Option<Value>,
    grpc: fn(&Target) -> Vec<u8>,
) -> Row {
    let given = |name: &'static str| Some(name).filter(|name| !name.is_empty());
    Row { operation: given(names.0), rpc: given(names.1), permission, reach, need, json, grpc }
}

fn page<M: Message + Default>() -> Vec<u8> {
    M::default().encode_to_vec()
}

fn spec(name: &str) -> Option<pb::TestSpec> {
    let run_config = pb::RunConfig { container_image: "localhost/none:1".into(), ..Default::default() };
    Some(pb::TestSpec { name: name.into(), run_config: Some(run_config), ..Default::default() })
}

/// The content of the artifact that is its own path.
fn content() -> pb::Blob {
    let blob = tstr_tests::contract::blob(ARTIFACT.as_bytes());
    pb::Blob { sha256: blob.sha256.0.to_vec(), bytes: blob.bytes }
}

/// A test report in JSON.
fn report() -> Value {
    json!({"reportFormat": "CTRF", "specVersion": "1.0.0", "results": {
        "tool": {"name": "t"}, "tests": [{"name": "one", "status": "passed", "duration": 5}],
        "summary": {"tests": 1, "passed": 1, "failed": 0, "skipped": 0, "pending": 0, "other": 0, "start": 0, "stop": 1},
    }})
}

fn fence(t: &Target) -> Option<pb::Fence> {
    Some(t.fence.into())
}

/// Returns the table.
#[rustfmt::skip]
pub fn table() -> Vec<Row> {
    use Need::{
        Artifact, Case, Finished, Lease, Matrix, Muted, Nothing, OwnRun, OwnTest, OwnToken, Run, Runner, Test, Token, Turned,
    };
    use Reach::{Fenced, Global, Listed, Named, Object, Wished};
    vec![
        row(("get_identity", "GetIdentity"), "identity:read", Global, Nothing, nothing, |_| page::<pb::GetIdentityRequest>()),
        row(("create_session_code", "CreateSessionCode"), "sessions:open", Global, Nothing, nothing,
            |_| page::<pb::CreateSessionCodeRequest>()),
        row(("watch_events", "WatchEvents"), "runs:read", Named, Nothing, nothing,
            |t| pb::WatchEventsRequest { namespace: t.namespace.clone(), ..Default::default() }.encode_to_vec()),
        row(("get_metrics", ""), "metrics:read", Global, Nothing, nothing, |_| Vec::new()),

        row(("list_namespaces", "ListNamespaces"), "namespaces:read", Listed, Nothing, nothing,
            |_| page::<pb::ListNamespacesRequest>()),
        row(("create_namespace", "CreateNamespace"), "namespaces:write", Wished, Nothing,
            |t| Some(json!({"name": t.wished})),
            |t| pb::CreateNamespaceRequest { name: t.wished.clone(), ..Default::default() }.encode_to_vec()),
        row(("get_namespace", "GetNamespace"), "namespaces:read", Named, Nothing, nothing,
            |t| pb::GetNamespaceRequest { namespace: t.namespace.clone() }.encode_to_vec()),
        row(("update_namespace", "UpdateNamespace"), "namespaces:write", Named, Nothing,
            |_| Some(json!({"quotas": {"max_queued": null, "max_running": null}})),
            |t| pb::UpdateNamespaceRequest {
                name: t.namespace.clone(), quotas: Some(pb::Quotas::default()), retention: None,
            }.encode_to_vec()),

        row(("get_dashboard", "GetDashboard"), "tests:read", Named, Nothing, nothing,
            |t| pb::GetDashboardRequest { namespace: t.namespace.clone() }.encode_to_vec()),
        row(("get_timetable", "GetTimetable"), "tests:read", Named, Nothing, nothing,
            |t| pb::GetTimetableRequest { namespace: t.namespace.clone(), ..Default::default() }.encode_to_vec()),
        row(("get_test_series", "GetTestSeries"), "runs:read", Named, Nothing, nothing,
            |t| pb::GetTestSeriesRequest { namespace: t.namespace.clone(), test: t.test.clone(), ..Default::default() }.encode_to_vec()),
        row(("get_test_grid", "GetTestGrid"), "tests:read", Named, Nothing, nothing,
            |t| pb::GetTestGridRequest { namespace: t.namespace.clone(), test: t.test.clone(), ..Default::default() }.encode_to_vec()),
        row(("list_views", "ListViews"), "tests:read", Named, Nothing, nothing,
            |t| pb::ListViewsRequest { namespace: t.namespace.clone() }.encode_to_vec()),
        row(("put_view", "PutView"), "views:write", Named, Nothing, |_| Some(json!({"page": "tests"})),
            |t| {
                let view = Some(structure([("page".to_owned(), Value::from("tests"))].into_iter().collect()));
                pb::PutViewRequest { namespace: t.namespace.clone(), name: t.fresh.clone(), view }.encode_to_vec()
            }),
        row(("delete_view", "DeleteView"), "views:write", Named, Nothing, nothing,
            |t| pb::DeleteViewRequest { namespace: t.namespace.clone(), name: t.fresh.clone(), shared: false }.encode_to_vec()),

        row(("list_tests", "ListTests"), "tests:read", Named, Nothing, nothing,
            |t| pb::ListTestsRequest { namespace: t.namespace.clone(), ..Default::default() }.encode_to_vec()),
        row(("create_test", "CreateTest"), "tests:write", Named, Nothing,
            |t| Some(factory::test(&t.fresh)),
            |t| pb::CreateTestRequest { namespace: t.namespace.clone(), spec: spec(&t.fresh), ..Default::default() }.encode_to_vec()),
        row(("get_test", "GetTest"), "tests:read", Named, Nothing, nothing,
            |t| pb::GetTestRequest { namespace: t.namespace.clone(), test: t.test.clone() }.encode_to_vec()),
        row(("apply_test", "ApplyTest"), "tests:write", Named, Test,
            |t| Some(factory::test(&t.test)),
            |t| pb::ApplyTestRequest { namespace: t.namespace.clone(), spec: spec(&t.test), ..Default::default() }.encode_to_vec()),
        row(("patch_test", "PatchTest"), "tests:write", Named, Test,
            |_| Some(json!({"priority": "low"})),
            |t| {
                let patch = Some(structure([("priority".to_owned(), "low".into())].into_iter().collect()));
                pb::PatchTestRequest { namespace: t.namespace.clone(), test: t.test.clone(), patch, if_version: None }.encode_to_vec()
            }),
        row(("delete_test", "DeleteTest"), "tests:write", Named, OwnTest, nothing,
            |t| pb::DeleteTestRequest { namespace: t.namespace.clone(), test: t.test.clone(), if_version: None }.encode_to_vec()),
        row(("pause_test", "PauseTest"), "tests:write", Named, Test, nothing,
            |t| pb::PauseTestRequest { namespace: t.namespace.clone(), test: t.test.clone() }.encode_to_vec()),
        row(("resume_test", "ResumeTest"), "tests:write", Named, Test, nothing,
            |t| pb::ResumeTestRequest { namespace: t.namespace.clone(), test: t.test.clone() }.encode_to_vec()),
        row(("get_test_schedule", "GetTestSchedule"), "tests:read", Named, Nothing, nothing,
            |t| pb::GetTestScheduleRequest { namespace: t.namespace.clone(), test: t.test.clone(), count: 1 }.encode_to_vec()),
        row(("list_test_versions", "ListTestVersions"), "tests:read", Named, Test, nothing,
            |t| pb::ListTestVersionsRequest { namespace: t.namespace.clone(), test: t.test.clone(), ..Default::default() }.encode_to_vec()),
        row(("get_test_version", "GetTestVersion"), "tests:read", Named, Test, nothing,
            |t| pb::GetTestVersionRequest { namespace: t.namespace.clone(), test: t.test.clone(), version: 1 }.encode_to_vec()),
        row(("list_ledger", "ListLedger"), "tests:read", Named, Nothing, nothing,
            |t| pb::ListLedgerRequest { namespace: t.namespace.clone(), test: t.test.clone(), ..Default::default() }.encode_to_vec()),

        row(("trigger_run", "TriggerRun"), "runs:write", Named, Nothing, nothing,
            |t| pb::TriggerRunRequest { namespace: t.namespace.clone(), test: t.test.clone(), ..Default::default() }.encode_to_vec()),
        row(("list_runs", "ListRuns"), "runs:read", Named, Nothing, nothing,
            |t| pb::ListRunsRequest { namespace: t.namespace.clone(), page_size: 1, ..Default::default() }.encode_to_vec()),
        row(("get_summary", "GetSummary"), "runs:read", Named, Nothing, nothing,
            |t| pb::GetSummaryRequest { namespace: t.namespace.clone(), ..Default::default() }.encode_to_vec()),
        row(("rebuild_summary", "RebuildSummary"), "namespaces:write", Named, Nothing, nothing,
            |t| pb::RebuildSummaryRequest { namespace: t.namespace.clone(), from: None }.encode_to_vec()),
        row(("get_run", "GetRun"), "runs:read", Object, Run, nothing,
            |t| pb::GetRunRequest { run_id: t.run.clone(), wait_ms: 0 }.encode_to_vec()),
        row(("cancel_run", "CancelRun"), "runs:write", Object, OwnRun, nothing,
            |t| pb::CancelRunRequest { run_id: t.run.clone() }.encode_to_vec()),
        row(("retry_run", "RetryRun"), "runs:write", Object, Finished, nothing,
            |t| pb::RetryRunRequest { run_id: t.run.clone(), ..Default::default() }.encode_to_vec()),
        row(("retry_matrix", "RetryMatrix"), "runs:write", Named, Matrix,
            |_| Some(json!({"only_failed": false})),
            |t| pb::RetryMatrixRequest {
                namespace: t.namespace.clone(), matrix_id: t.matrix.clone(), only_failed: Some(false), ..Default::default()
            }.encode_to_vec()),
        row(("keep_run", "KeepRun"), "runs:write", Object, Run, nothing,
            |t| pb::KeepRunRequest { run_id: t.run.clone(), note: None }.encode_to_vec()),
        row(("unkeep_run", "UnkeepRun"), "runs:write", Object, Run, nothing,
            |t| pb::UnkeepRunRequest { run_id: t.run.clone() }.encode_to_vec()),
        row(("list_run_events", "ListRunEvents"), "runs:read", Object, Run, nothing,
            |t| pb::ListRunEventsRequest { run_id: t.run.clone() }.encode_to_vec()),
        row(("explain_run", "ExplainRun"), "runs:read", Object, Run, nothing,
            |t| pb::ExplainRunRequest { run_id: t.run.clone() }.encode_to_vec()),
        row(("list_queue", "ListQueue"), "runs:read", Named, Nothing, nothing,
            |t| pb::ListQueueRequest { namespace: t.namespace.clone(), ..Default::default() }.encode_to_vec()),
        row(("get_run_logs", "ReadLogs"), "runs:read", Object, Run, nothing,
            |t| pb::ReadLogsRequest { run_id: t.run.clone(), ..Default::default() }.encode_to_vec()),

        row(("list_artifacts", "ListArtifacts"), "runs:read", Object, Run, nothing,
            |t| pb::ListArtifactsRequest { run_id: t.run.clone(), attempt: 0 }.encode_to_vec()),
        row(("get_artifact", "GetArtifact"), "runs:read", Object, Artifact, nothing,
            |t| pb::GetArtifactRequest { run_id: t.run.clone(), path: ARTIFACT.into(), ..Default::default() }.encode_to_vec()),

        row(("list_states", "ListStates"), "tests:read", Named, Nothing, nothing,
            |t| pb::ListStatesRequest { namespace: t.namespace.clone(), ..Default::default() }.encode_to_vec()),
        row(("list_test_cells", "ListTestCells"), "tests:read", Named, Nothing, nothing,
            |t| pb::ListTestCellsRequest { namespace: t.namespace.clone(), test: t.test.clone() }.encode_to_vec()),
        row(("list_cases", "ListCases"), "tests:read", Named, Nothing, nothing,
            |t| pb::ListCasesRequest { namespace: t.namespace.clone(), test: t.test.clone(), ..Default::default() }.encode_to_vec()),
        row(("get_case", "GetCase"), "tests:read", Named, Artifact, nothing,
            |t| pb::GetCaseRequest { namespace: t.namespace.clone(), test: t.test.clone(), case_id: t.case.clone() }.encode_to_vec()),
        row(("list_case_history", "ListCaseHistory"), "tests:read", Named, Artifact, nothing,
            |t| pb::ListCaseHistoryRequest {
                namespace: t.namespace.clone(), test: t.test.clone(), case_id: t.case.clone(), ..Default::default()
            }.encode_to_vec()),
        row(("get_run_changes", "GetRunChanges"), "runs:read", Object, Run, nothing,
            |t| pb::GetRunChangesRequest { run_id: t.run.clone() }.encode_to_vec()),
        row(("get_what_changed", "GetWhatChanged"), "tests:read", Named, Turned, nothing,
            |t| pb::GetWhatChangedRequest { namespace: t.namespace.clone(), test: t.test.clone(), ..Default::default() }.encode_to_vec()),
        row(("list_failure_groups", "ListFailureGroups"), "tests:read", Named, Nothing, nothing,
            |t| pb::ListFailureGroupsRequest { namespace: t.namespace.clone(), test: t.test.clone(), days: 0 }.encode_to_vec()),
        row(("analyse_test", "AnalyseTest"), "tests:read", Named, Nothing, nothing,
            |t| pb::AnalyseTestRequest { namespace: t.namespace.clone(), test: t.test.clone(), days: 0 }.encode_to_vec()),
        row(("get_results", "GetResults"), "runs:read", Object, Run, nothing,
            |t| pb::GetResultsRequest { run_id: t.run.clone(), attempt: 0 }.encode_to_vec()),
        row(("list_run_cases", "ListRunCases"), "runs:read", Object, Run, nothing,
            |t| pb::ListRunCasesRequest { run_id: t.run.clone(), ..Default::default() }.encode_to_vec()),
        row(("get_run_case", "GetRunCase"), "runs:read", Object, Artifact, nothing,
            |t| pb::GetRunCaseRequest { run_id: t.run.clone(), case_id: t.case.clone(), attempt: 0 }.encode_to_vec()),
        row(("export_report", "ExportReport"), "runs:read", Object, Artifact, nothing,
            |t| pb::ExportReportRequest { run_id: t.run.clone(), ..Default::default() }.encode_to_vec()),
        row(("upload_results", "UploadResults"), "runs:write", Named, Nothing,
            |_| Some(report()),
            |t| pb::UploadResultsRequest {
                namespace: t.namespace.clone(), test: t.test.clone(), data: report().to_string().into(), ..Default::default()
            }.encode_to_vec()),
        row(("list_quarantine", "ListQuarantine"), "tests:read", Named, Nothing, nothing,
            |t| pb::ListQuarantineRequest { namespace: t.namespace.clone(), test: t.test.clone(), ..Default::default() }.encode_to_vec()),
        row(("put_quarantine", "PutQuarantine"), "tests:write", Named, Case,
            |_| Some(json!({"owner": "a", "reason": "b", "days": 1})),
            |t| {
                let fields = [("owner", "a".into()), ("reason", "b".into()), ("days", 1.into())];
                let entry = Some(structure(fields.map(|(name, value): (&str, Value)| (name.to_owned(), value)).into_iter().collect()));
                let (namespace, test) = (t.namespace.clone(), t.test.clone());
                pb::PutQuarantineRequest { namespace, test, case_id: t.case.clone(), entry }.encode_to_vec()
            }),
        row(("delete_quarantine", "DeleteQuarantine"), "tests:write", Named, Muted, nothing,
            |t| pb::DeleteQuarantineRequest { namespace: t.namespace.clone(), test: t.test.clone(), case_id: t.case.clone() }.encode_to_vec()),
        row(("get_run_output", "GetRunOutput"), "runs:read", Object, Run, nothing,
            |t| pb::GetRunOutputRequest { run_id: t.run.clone(), attempt: 0 }.encode_to_vec()),

        row(("compare_runs", "CompareRuns"), "runs:read", Object, Run, nothing,
            |t| pb::CompareRunsRequest { run_id: t.run.clone(), other_run_id: t.run.clone() }.encode_to_vec()),

        row(("list_runners", "ListRunners"), "runners:read", Named, Nothing, nothing,
            |t| pb::ListRunnersRequest { namespace: t.namespace.clone(), ..Default::default() }.encode_to_vec()),
        row(("list_outages", "ListOutages"), "runners:read", Named, Nothing, nothing,
            |t| pb::ListOutagesRequest { namespace: t.namespace.clone(), ..Default::default() }.encode_to_vec()),
        row(("get_runner", "GetRunner"), "runners:read", Object, Runner, nothing,
            |t| pb::GetRunnerRequest { runner_id: t.runner.clone() }.encode_to_vec()),
        row(("drain_runner", "DrainRunner"), "runners:write", Object, Runner, nothing,
            |t| pb::DrainRunnerRequest { runner_id: t.runner.clone() }.encode_to_vec()),
        row(("resume_runner", "ResumeRunner"), "runners:write", Object, Runner, nothing,
            |t| pb::ResumeRunnerRequest { runner_id: t.runner.clone() }.encode_to_vec()),

        row(("list_tokens", "ListTokens"), "tokens:read", Listed, Token, nothing, |_| page::<pb::ListTokensRequest>()),
        row(("issue_token", "IssueToken"), "tokens:write", Wished, Nothing,
            |t| Some(json!({"name": "x", "scopes": ["data"], "namespaces": [t.namespace], "expires_in": "60s"})),
            |t| pb::IssueTokenRequest {
                name: "x".into(), scopes: vec![pb::Scope::Data.into()], namespaces: vec![t.namespace.clone()],
                expires_in_secs: 60, ..Default::default()
            }.encode_to_vec()),
        row(("get_token", "GetToken"), "tokens:read", Object, Token, nothing,
            |t| pb::GetTokenRequest { id: t.token.clone() }.encode_to_vec()),
        row(("revoke_token", "RevokeToken"), "tokens:write", Object, OwnToken, nothing,
            |t| pb::RevokeTokenRequest { id: t.token.clone() }.encode_to_vec()),

        row(("", "RegisterRunner"), "runs:execute", Global, Nothing, nothing,
            |t| pb::RegisterRunnerRequest {
                id: Uuid::new_v4().to_string(), name: t.fresh.clone(), slots: 1, ..Default::default()
            }.encode_to_vec()),
        row(("", "ClaimRuns"), "runs:execute", Object, Nothing, nothing,
            |t| pb::ClaimRunsRequest {
                runner_id: t.worker.clone(), max: 1, wait_ms: 0, claim_id: Uuid::new_v4().to_string(), only_repeat: false, first: false,
            }.encode_to_vec()),
        row(("", "Heartbeat"), "runs:execute", Object, Nothing, nothing,
            |t| pb::HeartbeatRequest { runner_id: t.worker.clone(), fences: Vec::new(), unfit: String::new() }.encode_to_vec()),
        row(("", "StartRun"), "runs:execute", Fenced, Lease, nothing,
            |t| pb::StartRunRequest { runner_id: t.own_worker.clone(), fence: fence(t) }.encode_to_vec()),
        row(("", "AppendLogs"), "runs:execute", Fenced, Lease, nothing,
            |t| {
                let reported_at = Some(tstr_proto::convert::time(chrono::Utc::now()));
                let chunk = pb::LogChunk { seq: 0, stream: pb::Stream::Stdout.into(), offset: 0, reported_at, data: vec![b'x'], cut: 0 };
                pb::AppendLogsRequest { runner_id: t.own_worker.clone(), fence: fence(t), chunks: vec![chunk] }.encode_to_vec()
            }),
        row(("", "FindBlobs"), "runs:execute", Fenced, Lease, nothing,
            |t| pb::FindBlobsRequest { runner_id: t.own_worker.clone(), fence: fence(t), blobs: vec![content()] }.encode_to_vec()),
        row(("", "PutBlob"), "runs:execute", Fenced, Lease, nothing,
            |t| pb::PutBlobRequest {
                runner_id: t.own_worker.clone(), fence: fence(t), blob: Some(content()), data: ARTIFACT.into(),
            }.encode_to_vec()),
        row(("", "RecordArtifacts"), "runs:execute", Fenced, Lease, nothing,
            |t| pb::RecordArtifactsRequest { runner_id: t.own_worker.clone(), fence: fence(t), ..Default::default() }.encode_to_vec()),
        row(("", "ReadReports"), "runs:execute", Fenced, Lease, nothing,
            |t| {
                let outcome = pb::Outcome { result: pb::RunResult::Pass.into(), exit_code: Some(0), ..Default::default() };
                pb::ReadReportsRequest { runner_id: t.own_worker.clone(), fence: fence(t), outcome: Some(outcome) }.encode_to_vec()
            }),
        row(("", "RecordOutput"), "runs:execute", Fenced, Lease, nothing,
            |t| pb::RecordOutputRequest { runner_id: t.own_worker.clone(), fence: fence(t), output: Some(pb::Output::default()) }.encode_to_vec()),
        row(("", "FinishRun"), "runs:execute", Fenced, Need::Started, nothing,
            |t| {
                let outcome = pb::Outcome { result: pb::RunResult::Pass.into(), exit_code: Some(0), ..Default::default() };
                let stream = Some(pb::StreamSeal { sha256: vec![0; 32], ..Default::default() });
                let seal = Some(pb::LogSeal { stdout: stream.clone(), stderr: stream, incomplete: false });
                pb::FinishRunRequest { runner_id: t.own_worker.clone(), fence: fence(t), outcome: Some(outcome), seal }.encode_to_vec()
            }),
        row(("", "ReleaseRun"), "runs:execute", Fenced, Lease, nothing,
            |t| pb::ReleaseRunRequest { runner_id: t.own_worker.clone(), fence: fence(t), ..Default::default() }.encode_to_vec()),
    ]
}
