//! `RunnerService` over the wire: each call once, and what somebody else's fence, runner or claim is worth.

use tonic::Code;
use tstr_proto::convert::time;
use tstr_proto::v1 as pb;
use tstr_shared::error::ErrorCode;
use tstr_shared::permission::Scope;
use tstr_tests::{Stack, factory};
use uuid::Uuid;

use super::{Peer, refused};

fn register(name: &str) -> pb::RegisterRunnerRequest {
    pb::RegisterRunnerRequest { id: Uuid::new_v4().to_string(), name: name.into(), slots: 2, ..Default::default() }
}

fn claim(runner_id: &str) -> pb::ClaimRunsRequest {
    pb::ClaimRunsRequest {
        runner_id: runner_id.into(),
        max: 1,
        wait_ms: 5000,
        claim_id: Uuid::new_v4().to_string(),
        only_repeat: false,
        first: false,
    }
}

fn chunk(seq: u32, offset: u64, data: &[u8]) -> pb::LogChunk {
    let stream = pb::Stream::Stdout.into();
    pb::LogChunk { seq, stream, offset, reported_at: Some(time(chrono::Utc::now())), data: data.to_vec(), cut: 0 }
}

fn finish(runner_id: &str, fence: &pb::Fence, bytes: u64) -> pb::FinishRunRequest {
    let outcome = pb::Outcome { result: pb::RunResult::Pass.into(), exit_code: Some(0), ..Default::default() };
    let seal = |bytes| Some(pb::StreamSeal { bytes, dropped_bytes: 0, sha256: vec![0; 32] });
    let seal = pb::LogSeal { stdout: seal(bytes), stderr: seal(0), incomplete: false };
    pb::FinishRunRequest {
        runner_id: runner_id.into(),
        fence: Some(fence.clone()),
        outcome: Some(outcome),
        seal: Some(seal),
    }
}

#[tokio::test]
async fn a_run_goes_over_the_wire_from_claim_to_result() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::with(factory::test("a"), "/run_config/env/A", "1".into())).await;
    let mut runner = Peer::of(&stack, &[Scope::Runner], &["default"]).await.runner();
    let about = pb::RunnerAbout { version: "1.2.3".into(), ..Default::default() };
    let wish = pb::RegisterRunnerRequest { about: Some(about), ..register("w") };
    let registered = runner.register_runner(wish.clone()).await.unwrap().into_inner();
    assert_eq!((&registered.id, registered.namespaces.as_slice()), (&wish.id, &["default".to_owned()][..]));
    let times = registered.times.unwrap();
    assert!(
        0 < times.heartbeat_ms && times.heartbeat_ms < times.self_fence_ms && times.self_fence_ms < times.ttl_ms,
        "{times:?}"
    );
    assert_eq!(admin.get(&format!("/api/v1/runners/{}", wish.id)).await.expect(200)["about"]["version"], "1.2.3");
    // Nothing there: the answer is empty. A repeat of a claim gets what the first try was given.
    let nothing = pb::ClaimRunsRequest { wait_ms: 0, ..claim(&wish.id) };
    assert!(runner.claim_runs(nothing).await.unwrap().into_inner().runs.is_empty());
    let id = admin.trigger("a").await.remove(0);
    let asked = claim(&wish.id);
    let leased = runner.claim_runs(asked.clone()).await.unwrap().into_inner().runs.remove(0);
    let again = runner.claim_runs(asked).await.unwrap().into_inner().runs.remove(0);
    let fence = leased.fence.clone().unwrap();
    assert_eq!((&again.fence.unwrap(), &fence.run_id, fence.attempt), (&fence, &id, 1));
    assert_eq!(
        (leased.test_name.as_str(), leased.run_config.unwrap().env["A"].as_str(), leased.log_limit_bytes),
        ("a", "1", 64 << 20)
    );

    let start = pb::StartRunRequest { runner_id: wish.id.clone(), fence: Some(fence.clone()) };
    let started = runner.start_run(start.clone()).await.unwrap().into_inner();
    assert_eq!(runner.start_run(start).await.unwrap().into_inner(), started);
    let beat = pb::HeartbeatRequest {
        unfit: String::new(),
        runner_id: wish.id.clone(),
        fences: vec![fence.clone(), pb::Fence { attempt: 9, ..fence.clone() }],
    };
    let told = runner.heartbeat(beat).await.unwrap().into_inner();
    let states: Vec<_> = told.leases.iter().map(|lease| lease.state()).collect();
    assert_eq!((states.as_slice(), told.draining), (&[pb::LeaseState::Held, pb::LeaseState::Gone][..], false));

    let append = |chunks| pb::AppendLogsRequest { runner_id: wish.id.clone(), fence: Some(fence.clone()), chunks };
    let first = append(vec![chunk(0, 0, b"one"), chunk(1, 3, b"two")]);
    for _ in 0..2 {
        let next = runner.append_logs(first.clone()).await.unwrap().into_inner().next.unwrap();
        assert_eq!((next.next_seq, next.stdout, next.stderr), (2, 6, 0));
    }
    let gap = runner.append_logs(append(vec![chunk(5, 99, b"late")])).await.unwrap().into_inner().next.unwrap();
    assert_eq!((gap.next_seq, gap.stdout), (2, 6));
    refused(runner.append_logs(append(vec![chunk(0, 0, b"ONE")])).await, Code::FailedPrecondition, ErrorCode::Conflict);
    let impossible =
        refused(runner.finish_run(finish(&wish.id, &fence, u64::MAX)).await, Code::InvalidArgument, ErrorCode::Invalid);
    assert_eq!(impossible.errors[0].pointer, "/seal/stdout/bytes");
    // A log that is shorter than its seal is asked for first.
    let missing = runner.finish_run(finish(&wish.id, &fence, 9)).await.unwrap().into_inner().missing_from.unwrap();
    assert_eq!((missing.next_seq, missing.stdout), (2, 6));
    runner.append_logs(append(vec![chunk(2, 6, b"end")])).await.unwrap();
    for _ in 0..2 {
        assert_eq!(runner.finish_run(finish(&wish.id, &fence, 9)).await.unwrap().into_inner().missing_from, None);
    }
    let run = admin.run(&id).await;
    assert_eq!(
        (run["result"].as_str(), run["log"]["bytes"].as_u64(), run["log"]["status"].as_str()),
        (Some("pass"), Some(9), Some("complete"))
    );
    refused(runner.append_logs(append(vec![chunk(3, 9, b"x")])).await, Code::FailedPrecondition, ErrorCode::LeaseLost);
}

#[tokio::test]
async fn artifacts_go_over_the_wire_and_a_fault_is_told_by_its_place() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let mut runner = Peer::of(&stack, &[Scope::Runner], &["default"]).await.runner();
    let wish = register("w");
    runner.register_runner(wish.clone()).await.unwrap();
    let id = admin.trigger("a").await.remove(0);
    let leased = runner.claim_runs(claim(&wish.id)).await.unwrap().into_inner().runs.remove(0);
    assert_eq!((leased.artifact_limit_bytes, leased.artifact_paths.len()), (256 << 20, 0));
    let (runner_id, fence) = (wish.id.clone(), leased.fence);
    let blob = |content: &[u8]| {
        let blob = tstr_tests::contract::blob(content);
        pb::Blob { sha256: blob.sha256.0.to_vec(), bytes: blob.bytes }
    };
    let find = |blobs| pb::FindBlobsRequest { runner_id: runner_id.clone(), fence: fence.clone(), blobs };
    let missing = runner.find_blobs(find(vec![blob(b"abc"), blob(b"")])).await.unwrap().into_inner().missing;
    assert_eq!(missing.len(), 2);
    let first = |content: &[u8], data: &[u8]| pb::PutBlobRequest {
        runner_id: runner_id.clone(),
        fence: fence.clone(),
        blob: Some(blob(content)),
        data: data.to_vec(),
    };
    let more = |data: &[u8]| pb::PutBlobRequest { data: data.to_vec(), ..Default::default() };
    let send = |messages: Vec<pb::PutBlobRequest>| tokio_stream::iter(messages);
    for _ in 0..2 {
        runner.put_blob(send(vec![first(b"abc", b"a"), more(b"b"), more(b"c")])).await.unwrap();
    }
    runner.put_blob(send(vec![first(b"", b"")])).await.unwrap();
    let refusal = runner.put_blob(send(vec![])).await;
    refused(refusal, Code::InvalidArgument, ErrorCode::Malformed);
    let wrong = runner.put_blob(send(vec![first(b"abcd", b"abc")])).await;
    assert_eq!(refused(wrong, Code::InvalidArgument, ErrorCode::Invalid).errors[0].pointer, "/blob");
    let nameless = pb::PutBlobRequest { blob: None, ..first(b"", b"") };
    let problem = refused(runner.put_blob(send(vec![nameless])).await, Code::InvalidArgument, ErrorCode::Invalid);
    assert_eq!(problem.errors[0].pointer, "/blob");
    let short = pb::Blob { sha256: vec![0; 31], bytes: 1 };
    let problem = refused(runner.find_blobs(find(vec![short])).await, Code::InvalidArgument, ErrorCode::Invalid);
    assert_eq!(problem.errors[0].pointer, "/blobs/0/sha256");

    let file = |path: &str, content: &[u8]| pb::CollectedFile { path: path.into(), blob: Some(blob(content)) };
    let record = |files| pb::RecordArtifactsRequest {
        runner_id: runner_id.clone(),
        fence: fence.clone(),
        files,
        notes: Vec::new(),
    };
    for (bad, place) in
        [("../x", "/files/1/path"), ("/x", "/files/1/path"), ("a//b", "/files/1/path"), ("", "/files/1/path")]
    {
        let bad = runner.record_artifacts(record(vec![file("a", b"abc"), file(bad, b"abc")])).await;
        assert_eq!(refused(bad, Code::InvalidArgument, ErrorCode::Invalid).errors[0].pointer, place);
    }
    let unknown = runner.record_artifacts(record(vec![file("a", b"unknown")])).await;
    refused(unknown, Code::FailedPrecondition, ErrorCode::Conflict);
    runner.record_artifacts(record(vec![file("a", b"abc"), file("e", b"")])).await.unwrap();
    let listed = admin.get(&format!("/api/v1/runs/{id}/artifacts")).await.expect(200);
    assert_eq!((&listed["files"], &listed["bytes"], &listed["attempt"]), (&2.into(), &3.into(), &1.into()));
    assert_eq!(admin.get(&format!("/api/v1/runs/{id}/artifacts/a")).await.text(), "abc");
}

#[tokio::test]
async fn a_lease_is_given_back_and_the_run_waits_again() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let mut runner = Peer::of(&stack, &[Scope::Runner], &["default"]).await.runner();
    let wish = register("w");
    runner.register_runner(wish.clone()).await.unwrap();
    let id = admin.trigger("a").await.remove(0);
    let fence = runner.claim_runs(claim(&wish.id)).await.unwrap().into_inner().runs.remove(0).fence;
    let release = |reason: &str| pb::ReleaseRunRequest {
        runner_id: wish.id.clone(),
        fence: fence.clone(),
        reason: reason.into(),
        ..Default::default()
    };
    for reason in ["tired", "oom_killed"] {
        let problem = refused(runner.release_run(release(reason)).await, Code::InvalidArgument, ErrorCode::Invalid);
        assert_eq!(problem.errors[0].pointer, "/reason");
    }
    for _ in 0..2 {
        runner.release_run(release("")).await.unwrap();
    }
    assert_eq!(admin.run(&id).await["state"], "queued");
    let again = runner.claim_runs(claim(&wish.id)).await.unwrap().into_inner().runs.remove(0).fence.unwrap();
    assert_eq!((again.run_id, again.attempt), (id, 2));
}

#[tokio::test]
async fn the_runner_the_fence_and_the_claim_of_another_token_are_worth_nothing() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    stack.namespace("elsewhere").await;
    let secret = factory::with(factory::test("a"), "/run_config/env/SECRET", "canary".into());
    admin.register(&secret).await;
    let id = admin.trigger("a").await.remove(0);
    let mut owner = Peer::of(&stack, &[Scope::Runner], &["default"]).await.runner();
    let mine = register("mine");
    owner.register_runner(mine.clone()).await.unwrap();
    let asked = claim(&mine.id);
    let fence = owner.claim_runs(asked.clone()).await.unwrap().into_inner().runs.remove(0).fence.unwrap();
    // Neither a token of another namespace nor one of the same.
    for namespace in ["elsewhere", "default"] {
        let mut thief = Peer::of(&stack, &[Scope::Runner], &[namespace]).await.runner();
        let own = register(&format!("thief-{namespace}"));
        thief.register_runner(own.clone()).await.unwrap();
        let repeated = thief.claim_runs(asked.clone()).await;
        refused(repeated, Code::NotFound, ErrorCode::NotFound);
        let takeover = pb::RegisterRunnerRequest { id: mine.id.clone(), ..register("thief") };
        refused(thief.register_runner(takeover).await, Code::FailedPrecondition, ErrorCode::Conflict);
        refused(thief.register_runner(register("mine")).await, Code::FailedPrecondition, ErrorCode::Conflict);
        for (runner_id, code, word) in
            [(&mine.id, Code::NotFound, ErrorCode::NotFound), (&own.id, Code::FailedPrecondition, ErrorCode::LeaseLost)]
        {
            let (runner_id, fence) = (runner_id.clone(), Some(fence.clone()));
            refused(
                thief.start_run(pb::StartRunRequest { runner_id: runner_id.clone(), fence: fence.clone() }).await,
                code,
                word,
            );
            refused(thief.finish_run(finish(&runner_id, fence.as_ref().unwrap(), 0)).await, code, word);
            refused(
                thief.release_run(pb::ReleaseRunRequest { runner_id, fence, ..Default::default() }).await,
                code,
                word,
            );
        }
        for runner_id in [&mine.id, &own.id] {
            let chunks = vec![chunk(0, 0, b"forged")];
            let append = pb::AppendLogsRequest { runner_id: runner_id.clone(), fence: Some(fence.clone()), chunks };
            assert!(thief.append_logs(append).await.is_err());
        }
        let beat = |runner_id: &str| pb::HeartbeatRequest {
            runner_id: runner_id.into(),
            fences: vec![fence.clone()],
            unfit: String::new(),
        };
        refused(thief.heartbeat(beat(&mine.id)).await, Code::NotFound, ErrorCode::NotFound);
        let told = thief.heartbeat(beat(&own.id)).await.unwrap().into_inner();
        assert_eq!(told.leases[0].state(), pb::LeaseState::Gone);
    }
    owner.start_run(pb::StartRunRequest { runner_id: mine.id.clone(), fence: Some(fence.clone()) }).await.unwrap();
    owner.finish_run(finish(&mine.id, &fence, 0)).await.unwrap();
    assert_eq!(admin.run(&id).await["result"], "pass");
}

#[tokio::test]
async fn a_runner_takes_no_run_of_a_namespace_that_only_resembles_its_own() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    for ns in ["prod", "prod-evil"] {
        stack.namespace(ns).await;
        admin.post(&format!("/api/v1/namespaces/{ns}/tests"), &factory::test("a")).await.expect(201);
        admin.trigger_in(ns, "a").await;
    }
    let mut runner = Peer::of(&stack, &[Scope::Runner], &["prod"]).await.runner();
    let wish = register("w");
    runner.register_runner(wish.clone()).await.unwrap();
    let many = |wait_ms| pb::ClaimRunsRequest { max: 10, wait_ms, ..claim(&wish.id) };
    let runs = runner.claim_runs(many(5000)).await.unwrap().into_inner().runs;
    assert_eq!(runs.iter().map(|run| run.namespace.as_str()).collect::<Vec<_>>(), ["prod"]);
    assert!(runner.claim_runs(many(100)).await.unwrap().into_inner().runs.is_empty());
}

#[tokio::test]
async fn an_invalid_call_of_a_worker_names_its_fault_and_others_make_none() {
    let stack = Stack::start().await;
    let mut runner = Peer::of(&stack, &[Scope::Runner], &["default"]).await.runner();
    let own = register("w");
    runner.register_runner(own.clone()).await.unwrap();
    let accept = |key: &str, pattern: &str| [(key.to_owned(), pattern.to_owned())].into();
    for (wish, pointer) in [
        (pb::RegisterRunnerRequest { id: "x".into(), ..register("a") }, "/id"),
        (pb::RegisterRunnerRequest { slots: 0, ..register("a") }, "/slots"),
        (pb::RegisterRunnerRequest { slots: 1025, ..register("a") }, "/slots"),
        (pb::RegisterRunnerRequest { accept: accept("region", "("), ..register("a") }, "/accept/region"),
        (pb::RegisterRunnerRequest { reject: accept("region", &"x".repeat(257)), ..register("a") }, "/reject/region"),
        (pb::RegisterRunnerRequest { accept: accept("a b", "x"), ..register("a") }, "/accept/a b"),
        (register("a b"), "/name"),
    ] {
        let problem = refused(runner.register_runner(wish).await, Code::InvalidArgument, ErrorCode::Invalid);
        assert_eq!(problem.errors[0].pointer, pointer);
    }
    for (wish, pointer) in [
        (pb::ClaimRunsRequest { max: 0, ..claim(&own.id) }, "/max"),
        (pb::ClaimRunsRequest { max: 1025, ..claim(&own.id) }, "/max"),
        (pb::ClaimRunsRequest { claim_id: String::new(), ..claim(&own.id) }, "/claim_id"),
    ] {
        let problem = refused(runner.claim_runs(wish).await, Code::InvalidArgument, ErrorCode::Invalid);
        assert_eq!(problem.errors[0].pointer, pointer);
    }
    let fence = pb::Fence { run_id: own.id.clone(), attempt: 1, lease_id: own.id.clone() };
    let append = |chunks| pb::AppendLogsRequest { runner_id: own.id.clone(), fence: Some(fence.clone()), chunks };
    for (chunks, pointer) in [
        (vec![chunk(0, 0, b"")], "/chunks/0/data"),
        (vec![chunk(0, 0, &vec![0; (256 << 10) + 1])], "/chunks/0/data"),
        (vec![chunk(0, 0, b"a"), chunk(2, 1, b"b")], "/chunks/1/seq"),
        (vec![chunk(u32::MAX, 0, b"a")], "/chunks/0"),
    ] {
        let problem = refused(runner.append_logs(append(chunks)).await, Code::InvalidArgument, ErrorCode::Invalid);
        assert_eq!(problem.errors[0].pointer, pointer);
    }
    let mut outcome = finish(&own.id, &fence, 0);
    outcome.outcome.as_mut().unwrap().exit_code = Some(3);
    let problem = refused(runner.finish_run(outcome).await, Code::InvalidArgument, ErrorCode::Invalid);
    assert_eq!(problem.errors[0].pointer, "/outcome/exit_code");
    let absent = pb::StartRunRequest { runner_id: own.id.clone(), fence: None };
    assert_eq!(
        refused(runner.start_run(absent).await, Code::InvalidArgument, ErrorCode::Invalid).errors[0].pointer,
        "/fence"
    );
    refused(runner.claim_runs(claim(&Uuid::new_v4().to_string())).await, Code::NotFound, ErrorCode::NotFound);
    for scope in [Scope::Admin, Scope::Control, Scope::Data] {
        let mut other = Peer::of(&stack, &[scope], &[".*"]).await.runner();
        refused(other.register_runner(register("x")).await, Code::PermissionDenied, ErrorCode::Forbidden);
        refused(other.claim_runs(claim(&own.id)).await, Code::PermissionDenied, ErrorCode::Forbidden);
    }
}
