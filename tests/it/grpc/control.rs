//! `ControlService`: writes of tests, runs and runners.

use serde_json::json;
use tonic::Code;
use tstr_proto::convert::structure;
use tstr_proto::v1 as pb;
use tstr_shared::error::ErrorCode;
use tstr_shared::permission::Scope;
use tstr_shared::run::RunResult;
use tstr_tests::Stack;
use tstr_tests::worker::Worker;

use super::{Peer, create, refused, spec, trigger};

const NS: &str = "default";

#[tokio::test]
async fn a_test_is_created_applied_patched_paused_and_deleted() {
    let stack = Stack::start().await;
    let mut control = Peer::admin(&stack).await.control();
    let daily = pb::TestSpec { cron_schedule: Some("@daily".into()), ..spec("a") };
    let keyed = pb::CreateTestRequest { idempotency_key: "once".into(), ..create(daily.clone()) };
    let made = control.create_test(keyed.clone()).await.unwrap().into_inner();
    assert_eq!(control.create_test(keyed).await.unwrap().into_inner(), made);
    let test = made.test.unwrap();
    assert_eq!((test.version, test.namespace.as_str(), test.next_run_at.is_some()), (1, NS, true));
    assert_eq!(test.spec.as_ref().unwrap().run_config.as_ref().unwrap().timeout_secs, 600);
    assert_eq!(made.warnings.len(), 1);

    let apply = |spec, dry_run, if_version| pb::ApplyTestRequest {
        namespace: NS.into(),
        spec: Some(spec),
        dry_run,
        if_version,
    };
    let other = pb::TestSpec { priority: pb::Priority::High.into(), ..daily };
    let foretold = control.apply_test(apply(other.clone(), true, None)).await.unwrap().into_inner();
    assert_eq!(
        (foretold.change.as_str(), foretold.dry_run, foretold.diff[0].pointer.as_str()),
        ("updated", true, "/priority")
    );
    let applied = control.apply_test(apply(other.clone(), false, Some(1))).await.unwrap().into_inner();
    assert_eq!((applied.change.as_str(), applied.test.unwrap().version), ("updated", 2));
    let late = control.apply_test(apply(other, false, Some(1))).await;
    refused(late, Code::FailedPrecondition, ErrorCode::PreconditionFailed);

    let patch = |patch: serde_json::Value, if_version| {
        let patch = Some(structure(patch.as_object().unwrap().clone()));
        pb::PatchTestRequest { namespace: NS.into(), test: "a".into(), patch, if_version }
    };
    let patched =
        control.patch_test(patch(json!({"labels": {"tier": "1"}}), Some(2))).await.unwrap().into_inner().test.unwrap();
    assert_eq!((patched.version, patched.spec.unwrap().labels["tier"].as_str()), (3, "1"));
    let late = control.patch_test(patch(json!({"paused": true}), Some(2))).await;
    refused(late, Code::FailedPrecondition, ErrorCode::PreconditionFailed);
    let wrong = control.patch_test(patch(json!({"retry": {"on_fail": 11}}), None)).await;
    assert_eq!(refused(wrong, Code::InvalidArgument, ErrorCode::Invalid).errors[0].pointer, "/retry/on_fail");

    let pause = pb::PauseTestRequest { namespace: NS.into(), test: test.id.clone() };
    let paused = control.pause_test(pause).await.unwrap().into_inner().test.unwrap();
    assert_eq!((paused.spec.unwrap().paused, paused.next_run_at), (true, None));
    let resume = pb::ResumeTestRequest { namespace: NS.into(), test: "a".into() };
    assert_eq!(control.resume_test(resume).await.unwrap().into_inner().test.unwrap().next_run_at, test.next_run_at);

    let delete = |if_version| pb::DeleteTestRequest { namespace: NS.into(), test: "a".into(), if_version };
    refused(control.delete_test(delete(Some(1))).await, Code::FailedPrecondition, ErrorCode::PreconditionFailed);
    control.delete_test(delete(Some(5))).await.unwrap();
    refused(control.delete_test(delete(None)).await, Code::NotFound, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_run_is_triggered_cancelled_and_retried() {
    let stack = Stack::start().await;
    let mut control = Peer::admin(&stack).await.control();
    control.create_test(create(spec("a"))).await.unwrap();
    let keyed = pb::TriggerRunRequest {
        idempotency_key: "once".into(),
        env: [("A".into(), "1".into())].into(),
        ..trigger("a")
    };
    let made = control.trigger_run(keyed.clone()).await.unwrap().into_inner();
    assert_eq!(control.trigger_run(keyed.clone()).await.unwrap().into_inner(), made);
    let other = pb::TriggerRunRequest { priority: pb::Priority::Low.into(), ..keyed };
    refused(control.trigger_run(other).await, Code::InvalidArgument, ErrorCode::IdempotencyMismatch);
    let run = &made.runs[0];
    assert_eq!((made.runs.len(), run.state(), run.trigger.as_str()), (1, pb::RunState::Queued, "manual"));
    assert_eq!((&run.matrix_id, run.run_config.as_ref().unwrap().env["A"].as_str()), (&made.matrix_id, "1"));

    let retry = pb::RetryRunRequest { run_id: run.id.clone(), ..Default::default() };
    refused(control.retry_run(retry.clone()).await, Code::FailedPrecondition, ErrorCode::Conflict);
    let cancel = pb::CancelRunRequest { run_id: run.id.clone() };
    let cancelled = control.cancel_run(cancel.clone()).await.unwrap().into_inner().run.unwrap();
    assert_eq!((cancelled.state(), cancelled.result()), (pb::RunState::Finished, pb::RunResult::Cancelled));
    refused(control.cancel_run(cancel).await, Code::FailedPrecondition, ErrorCode::Conflict);
    let again = control.retry_run(retry).await.unwrap().into_inner().run.unwrap();
    assert_eq!((again.trigger.as_str(), again.state(), &again.test_id), ("retry", pb::RunState::Queued, &run.test_id));
    // A worker of the other transport is given what was asked for over this one.
    let worker = Worker::register(&stack, 0, "w").await;
    worker.finish(worker.running().await, RunResult::Pass).await.unwrap();
    assert_eq!(stack.admin().run(&again.id).await["result"], "pass");
    // A quota that is used up says when to come back.
    stack.admin().patch("/api/v1/namespaces/default", &json!({"quotas": {"max_queued": 0}})).await.expect(200);
    let full = control.trigger_run(trigger("a")).await;
    let pushback = full
        .as_ref()
        .unwrap_err()
        .metadata()
        .get("grpc-retry-pushback-ms")
        .map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(pushback.as_deref(), Some("10000"));
    assert!(refused(full, Code::ResourceExhausted, ErrorCode::QuotaExceeded).retryable);
}

#[tokio::test]
async fn a_runner_is_drained_and_resumed() {
    let stack = Stack::start().await;
    let mut control = Peer::admin(&stack).await.control();
    let worker = Worker::register(&stack, 0, "w").await;
    let runner_id = worker.id.to_string();
    let drained =
        control.drain_runner(pb::DrainRunnerRequest { runner_id: runner_id.clone() }).await.unwrap().into_inner();
    assert_eq!(drained.runner.map(|runner| (runner.draining, runner.state)), Some((true, "draining".into())));
    let resumed = control.resume_runner(pb::ResumeRunnerRequest { runner_id }).await.unwrap().into_inner();
    assert_eq!(resumed.runner.map(|runner| (runner.draining, runner.state)), Some((false, "live".into())));
}

#[tokio::test]
async fn an_invalid_write_names_its_fault() {
    let stack = Stack::start().await;
    let mut control = Peer::admin(&stack).await.control();
    control.create_test(create(spec("a"))).await.unwrap();
    let config = |change: fn(&mut pb::RunConfig)| {
        let mut new = spec("b");
        change(new.run_config.as_mut().unwrap());
        new
    };
    for (new, pointer) in [
        (pb::TestSpec { name: "a b".into(), ..spec("b") }, "/name"),
        (pb::TestSpec { run_config: None, ..spec("b") }, "/run_config"),
        (config(|config| config.network = 77), "/run_config/network"),
        (config(|config| config.timeout_secs = 90_000), "/run_config/timeout"),
        (config(|config| config.container_image = "-x".into()), "/run_config/container_image"),
        (pb::TestSpec { cron_schedule: Some("x".into()), ..spec("b") }, "/cron_schedule"),
        (pb::TestSpec { priority: 9, ..spec("b") }, "/priority"),
        (pb::TestSpec { retry: Some(pb::Retry { on_fail: 300, on_infrastructure: 0 }), ..spec("b") }, "/retry/on_fail"),
    ] {
        let problem = refused(control.create_test(create(new)).await, Code::InvalidArgument, ErrorCode::Invalid);
        assert_eq!(problem.errors[0].pointer, pointer, "{problem:?}");
    }
    let absent = pb::CreateTestRequest { spec: None, ..create(spec("b")) };
    let problem = refused(control.create_test(absent).await, Code::InvalidArgument, ErrorCode::Invalid);
    assert_eq!(problem.errors[0].pointer, "/spec");
    let unnamed = pb::TriggerRunRequest { namespace: String::new(), ..trigger("a") };
    assert_eq!(
        refused(control.trigger_run(unnamed).await, Code::InvalidArgument, ErrorCode::Invalid).errors[0].pointer,
        "/namespace"
    );
    let key = pb::CreateTestRequest { idempotency_key: "k y".into(), ..create(spec("b")) };
    refused(control.create_test(key).await, Code::InvalidArgument, ErrorCode::Malformed);
    refused(control.create_test(create(spec("a"))).await, Code::FailedPrecondition, ErrorCode::Conflict);
    assert_eq!(
        stack.admin().get("/api/v1/namespaces/default/tests").await.expect(200)["items"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn a_reader_writes_nothing_and_a_foreigner_finds_nothing() {
    let stack = Stack::start().await;
    let mut admin = Peer::admin(&stack).await.control();
    admin.create_test(create(spec("a"))).await.unwrap();
    let run_id = admin.trigger_run(trigger("a")).await.unwrap().into_inner().runs[0].id.clone();
    let runner_id = Worker::register_for(&stack, 0, "w", &["default"], Default::default()).await.id.to_string();
    for (scopes, namespace, code, word) in [
        (&[Scope::Data][..], "default", Code::PermissionDenied, ErrorCode::Forbidden),
        (&[Scope::Control, Scope::Admin], "elsewhere", Code::NotFound, ErrorCode::NotFound),
    ] {
        let mut control = Peer::of(&stack, scopes, &[namespace]).await.control();
        let (ns, test) = (String::from(NS), String::from("a"));
        refused(control.create_test(create(spec("b"))).await, code, word);
        let apply = pb::ApplyTestRequest { namespace: ns.clone(), spec: Some(spec("a")), ..Default::default() };
        refused(control.apply_test(apply).await, code, word);
        let patch = pb::PatchTestRequest {
            namespace: ns.clone(),
            test: test.clone(),
            patch: Some(Default::default()),
            if_version: None,
        };
        refused(control.patch_test(patch).await, code, word);
        refused(
            control
                .delete_test(pb::DeleteTestRequest { namespace: ns.clone(), test: test.clone(), if_version: None })
                .await,
            code,
            word,
        );
        refused(
            control.pause_test(pb::PauseTestRequest { namespace: ns.clone(), test: test.clone() }).await,
            code,
            word,
        );
        refused(control.resume_test(pb::ResumeTestRequest { namespace: ns, test }).await, code, word);
        refused(control.trigger_run(trigger("a")).await, code, word);
        refused(control.cancel_run(pb::CancelRunRequest { run_id: run_id.clone() }).await, code, word);
        refused(
            control.retry_run(pb::RetryRunRequest { run_id: run_id.clone(), ..Default::default() }).await,
            code,
            word,
        );
        refused(control.keep_run(pb::KeepRunRequest { run_id: run_id.clone(), note: None }).await, code, word);
        refused(control.unkeep_run(pb::UnkeepRunRequest { run_id: run_id.clone() }).await, code, word);
        refused(control.drain_runner(pb::DrainRunnerRequest { runner_id: runner_id.clone() }).await, code, word);
        refused(control.resume_runner(pb::ResumeRunnerRequest { runner_id: runner_id.clone() }).await, code, word);
    }
    let mut anonymous = Peer::connect(&stack, 0, None).await.control();
    refused(anonymous.trigger_run(trigger("a")).await, Code::Unauthenticated, ErrorCode::Unauthenticated);
    assert_eq!(stack.admin().run(&run_id).await["state"], "queued");
}

#[tokio::test]
async fn a_run_is_pinned_with_a_note_and_listed() {
    let stack = Stack::start().await;
    let peer = Peer::admin(&stack).await;
    let (mut control, mut data) = (peer.control(), peer.data());
    control.create_test(create(spec("a"))).await.unwrap();
    let run_id = control.trigger_run(trigger("a")).await.unwrap().into_inner().runs[0].id.clone();
    let keep = |note: &str| pb::KeepRunRequest { run_id: run_id.clone(), note: Some(note.into()) };
    let long = refused(control.keep_run(keep(&"x".repeat(501))).await, Code::InvalidArgument, ErrorCode::Invalid);
    assert_eq!(long.errors[0].pointer, "/note");
    let kept = control.keep_run(keep("why")).await.unwrap().into_inner().run.unwrap().kept.unwrap();
    assert_eq!(kept.note, "why");
    let mut listed = async |kept| {
        let list = pb::ListRunsRequest { namespace: NS.into(), kept, ..Default::default() };
        data.list_runs(list).await.unwrap().into_inner().runs.len()
    };
    assert_eq!((listed(Some(true)).await, listed(Some(false)).await, listed(None).await), (1, 0, 1));
    let unkeep = pb::UnkeepRunRequest { run_id: run_id.clone() };
    assert_eq!(control.unkeep_run(unkeep).await.unwrap().into_inner().run.unwrap().kept, None);
}
