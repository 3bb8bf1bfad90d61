//! JSON and gRPC are two tongues of one mouth: the same object field by field, the same refusal word by word.

use std::fmt::Debug;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tonic::Status;
use tstr_proto::status::decode;
use tstr_proto::v1 as pb;
use tstr_shared::artifacts::{ArtifactList, ArtifactNote, NoteWhy};
use tstr_shared::compare::Comparison;
use tstr_shared::error::Problem;
use tstr_shared::ledger::LedgerEntry;
use tstr_shared::logs::Stream::{Stderr, Stdout};
use tstr_shared::namespace::NamespaceInfo;
use tstr_shared::output::AttemptOutput;
use tstr_shared::permission::Scope;
use tstr_shared::run::{Run, RunEvent, RunResult};
use tstr_shared::runner::Runner;
use tstr_shared::testdef::{TestDef, TestSchedule, TestVersion};
use tstr_shared::token::{Identity, Token};
use tstr_tests::people::Answer;
use tstr_tests::worker::Worker;
use tstr_tests::{Stack, eventually, factory};

use super::{Peer, create, spec, trigger};

const NS: &str = "default";

/// Compares what JSON answered with the domain value of what gRPC answered.
#[track_caller]
fn agree<T: DeserializeOwned + Serialize + PartialEq + Debug>(json: Value, message: T) {
    assert_eq!(serde_json::to_value(&message).unwrap(), json);
    assert_eq!(serde_json::from_value::<T>(json).unwrap(), message);
}

#[tokio::test]
async fn json_and_grpc_tell_the_same_of_the_same_object() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    // A test in which nothing is a default, run with everything that can happen to a run.
    let everything = json!({
        "name": "everything", "labels": {"type": "e2e"}, "annotations": {"owner": "ü"},
        "run_config": {
            "container_image": "localhost/none:1", "command": ["/bin/run", "-x"], "args": ["--a", ""], "env": {"A": "ü=1"},
            "timeout": "15m", "grace": "0s", "resources": {"memory": "64MiB", "cpus": 0.5, "pids": 10}, "network": "outbound", "pull": "always"
        },
        "matrix": {"labels": {"zone": ["b", "a"], "arch": ["x"]}, "include": [{"zone": "c"}], "exclude": [{"zone": "a"}],
                   "max_parallel": 2, "fail_fast": true, "soft_fail": [{"zone": "c"}]},
        "concurrency": {"policy": "queue", "group": "g", "limit": 5, "depth": 2, "overflow": "newest"},
        "cron_schedule": "*/5 1 * * 1-5", "time_zone": "America/Toronto", "catch_up": "all", "start_deadline": "1h",
        "queue_deadline": "2h", "retry": {"on_fail": 1, "on_infrastructure": 0}, "limits": {"log": "1MiB", "artifacts": "2MiB"},
        "artifacts": {"paths": ["/tstr/out/*.xml"], "report": "required"},
        "at_most_once": true, "priority": "high", "paused": false
    });
    admin.register(&everything).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let [run, waiting] = <[String; 2]>::try_from(admin.trigger("everything").await).unwrap();
    for result in [RunResult::Fail, RunResult::Pass] {
        let fence = worker.running().await;
        worker.write(fence, &[(Stdout, b"out"), (Stderr, b"err")]).await;
        worker.leave(fence, &[("out/a.xml", "<a/>"), ("b.txt", "text")]).await;
        let mut note = ArtifactNote::new(NoteWhy::TooLarge).with_detail("why");
        note.add("core", 1 << 40);
        worker.record_with(fence, &[("out/a.xml", "<a/>"), ("b.txt", "text")], vec![note]).await.unwrap();
        worker.say(fence, &crate::outputs::something("said")).await.unwrap();
        worker.finish(fence, result).await.unwrap();
    }
    // The first run may not be the first claimed.
    let (done, other) = if admin.run(&run).await["state"] == "finished" { (run, waiting) } else { (waiting, run) };
    let issued = admin
        .post("/api/v1/tokens", &factory::token(&[Scope::Data, Scope::Control], &["default", "x-.*"]))
        .await
        .expect(201);
    let token = issued["record"]["id"].as_str().unwrap().to_owned();
    admin.delete(&format!("/api/v1/tokens/{token}")).await.expect(200);

    admin.post(&format!("/api/v1/runs/{done}/keep"), &serde_json::json!({"note": "why"})).await.expect(200);

    let peer = Peer::admin(&stack).await;
    let (mut data, mut admins) = (peer.data(), peer.admins());
    let tests = format!("/api/v1/namespaces/{NS}/tests");
    let json_of = async |path: &str| admin.get(path).await.expect(200);

    let message = data
        .get_test(pb::GetTestRequest { namespace: NS.into(), test: "everything".into() })
        .await
        .unwrap()
        .into_inner();
    agree(json_of(&format!("{tests}/everything")).await, TestDef::try_from(message.test.unwrap()).unwrap());
    let schedule = pb::GetTestScheduleRequest { namespace: NS.into(), test: "everything".into(), count: 3 };
    let message = data.get_test_schedule(schedule).await.unwrap().into_inner();
    agree(json_of(&format!("{tests}/everything/schedule?count=3")).await, TestSchedule::try_from(message).unwrap());
    let statement =
        "INSERT INTO ledger (test_id, scheduled_for, ns_id, outcome, reason, late_ms, matrix_id, runs, until, instants)
                     SELECT id, timestamptz '2026-01-01', ns_id, 'ran', NULL, 5, id, 2, NULL::timestamptz, 1 FROM test UNION ALL
                     SELECT id, timestamptz '2026-01-02', ns_id, 'missed', 'deadline', NULL, NULL, 0, timestamptz '2026-01-03', 9 FROM test";
    sqlx::query(statement).execute(&mut stack.db.connect().await).await.unwrap();
    let ledger = pb::ListLedgerRequest { namespace: NS.into(), test: "everything".into(), ..Default::default() };
    let message = data.list_ledger(ledger).await.unwrap().into_inner();
    let entries: Vec<LedgerEntry> = message.entries.into_iter().map(|entry| entry.try_into().unwrap()).collect();
    assert_eq!(entries.len(), 2);
    agree(json_of(&format!("{tests}/everything/ledger")).await["items"].clone(), entries);
    let asked = pb::GetTestVersionRequest { namespace: NS.into(), test: "everything".into(), version: 1 };
    let message = data.get_test_version(asked).await.unwrap().into_inner();
    let version = TestVersion::try_from(message.version.unwrap()).unwrap();
    agree(json_of(&format!("{tests}/everything/versions/1")).await, version);
    let asked = pb::ListTestVersionsRequest { namespace: NS.into(), test: "everything".into(), ..Default::default() };
    let message = data.list_test_versions(asked).await.unwrap().into_inner();
    let versions: Vec<TestVersion> = message.versions.into_iter().map(|one| one.try_into().unwrap()).collect();
    agree(json_of(&format!("{tests}/everything/versions")).await["items"].clone(), versions);
    for id in [&done, &other] {
        let message = data.get_run(pb::GetRunRequest { run_id: id.clone(), wait_ms: 0 }).await.unwrap().into_inner();
        agree(json_of(&format!("/api/v1/runs/{id}")).await, Run::try_from(message.run.unwrap()).unwrap());
        let message = data.list_run_events(pb::ListRunEventsRequest { run_id: id.clone() }).await.unwrap().into_inner();
        let events: Vec<RunEvent> = message.events.into_iter().map(|event| event.try_into().unwrap()).collect();
        agree(json_of(&format!("/api/v1/runs/{id}/events")).await["items"].clone(), events);
    }
    let message =
        data.list_runs(pb::ListRunsRequest { namespace: NS.into(), ..Default::default() }).await.unwrap().into_inner();
    let runs: Vec<Run> = message.runs.into_iter().map(|run| run.try_into().unwrap()).collect();
    agree(json_of(&format!("/api/v1/namespaces/{NS}/runs")).await["items"].clone(), runs);
    for (attempt, query) in [(0, ""), (1, "?attempt=1")] {
        let asked = pb::ListArtifactsRequest { run_id: done.clone(), attempt };
        let message = data.list_artifacts(asked).await.unwrap().into_inner();
        agree(
            json_of(&format!("/api/v1/runs/{done}/artifacts{query}")).await,
            ArtifactList::try_from(message).unwrap(),
        );
    }
    for (attempt, query) in [(0, ""), (1, "?attempt=1")] {
        let asked = pb::GetRunOutputRequest { run_id: done.clone(), attempt };
        let message = data.get_run_output(asked).await.unwrap().into_inner();
        agree(json_of(&format!("/api/v1/runs/{done}/output{query}")).await, AttemptOutput::try_from(message).unwrap());
    }
    let asked = pb::CompareRunsRequest { run_id: done.clone(), other_run_id: other.clone() };
    let message = data.compare_runs(asked).await.unwrap().into_inner();
    agree(json_of(&format!("/api/v1/runs/{done}/compare/{other}")).await, Comparison::try_from(message).unwrap());
    let message = data.get_namespace(pb::GetNamespaceRequest { namespace: NS.into() }).await.unwrap().into_inner();
    agree(
        json_of(&format!("/api/v1/namespaces/{NS}")).await,
        NamespaceInfo::try_from(message.namespace.unwrap()).unwrap(),
    );
    let message = admins.get_token(pb::GetTokenRequest { id: token.clone() }).await.unwrap().into_inner();
    agree(json_of(&format!("/api/v1/tokens/{token}")).await, Token::try_from(message.token.unwrap()).unwrap());
    // When they were last heard of is noted by and by.
    eventually("runner and identity stand still", Duration::from_secs(10), async || {
        let paths = [format!("/api/v1/runners/{}", worker.id), "/api/v1/identity".to_owned()];
        let before = [json_of(&paths[0]).await, json_of(&paths[1]).await];
        let runner =
            data.get_runner(pb::GetRunnerRequest { runner_id: worker.id.to_string() }).await.unwrap().into_inner();
        let identity = peer.identity().get_identity(pb::GetIdentityRequest {}).await.unwrap().into_inner();
        if before != [json_of(&paths[0]).await, json_of(&paths[1]).await] {
            return None;
        }
        let [seen, me] = before;
        agree(seen, Runner::try_from(runner.runner.unwrap()).unwrap());
        agree(me, Identity::try_from(identity).unwrap());
        Some(())
    })
    .await;

    let mut pieces =
        data.read_logs(pb::ReadLogsRequest { run_id: done.clone(), ..Default::default() }).await.unwrap().into_inner();
    let log = admin.get(&format!("/api/v1/runs/{done}/logs")).await.text();
    let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    while let Some(piece) = pieces.message().await.unwrap() {
        let line = lines.next().expect("as many lines as pieces");
        assert_eq!(
            (line["seq"].as_u64(), line["data"].as_str().map(str::as_bytes)),
            (Some(piece.seq.into()), Some(piece.data.as_slice()))
        );
        let at: chrono::DateTime<chrono::Utc> = line["time"].as_str().unwrap().parse().unwrap();
        assert_eq!(tstr_proto::convert::time(at), piece.time.unwrap());
    }
    assert_eq!(lines.next(), None);
}

#[tokio::test]
async fn json_and_grpc_refuse_alike() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    stack.namespace("empty").await;
    let run = admin.trigger("a").await.remove(0);
    admin.post(&format!("/api/v1/runs/{run}/cancel"), &json!({})).await.expect(202);
    let peer = Peer::admin(&stack).await;
    let (mut control, mut data, mut admins) = (peer.control(), peer.data(), peer.admins());
    let tests = format!("/api/v1/namespaces/{NS}/tests");

    let mut pairs: Vec<(&str, Answer, Status)> = Vec::new();
    let faulty = factory::with(
        factory::with(factory::test("a b"), "/run_config/timeout", json!("25h")),
        "/cron_schedule",
        json!("* * *"),
    );
    let mut faulty_spec = pb::TestSpec { cron_schedule: Some("* * *".into()), ..spec("a b") };
    faulty_spec.run_config.as_mut().unwrap().timeout_secs = 25 * 3600;
    pairs.push((
        "several faults",
        admin.post(&tests, &faulty).await,
        control.create_test(create(faulty_spec)).await.unwrap_err(),
    ));
    pairs.push((
        "a taken name",
        admin.post(&tests, &factory::test("a")).await,
        control.create_test(create(spec("a"))).await.unwrap_err(),
    ));
    let cancel = pb::CancelRunRequest { run_id: run.clone() };
    pairs.push((
        "a finished run",
        admin.post(&format!("/api/v1/runs/{run}/cancel"), &json!({})).await,
        control.cancel_run(cancel).await.unwrap_err(),
    ));
    let absent = pb::TriggerRunRequest { namespace: "nowhere".into(), ..trigger("a") };
    pairs.push((
        "no namespace",
        admin.post("/api/v1/namespaces/nowhere/tests/a/runs", &json!({})).await,
        control.trigger_run(absent).await.unwrap_err(),
    ));
    let wrong = pb::TriggerRunRequest { matrix: [("a".into(), "1".into())].into(), ..trigger("a") };
    pairs.push((
        "no cell",
        admin.post(&format!("{tests}/a/runs"), &json!({"matrix": {"a": "1"}})).await,
        control.trigger_run(wrong).await.unwrap_err(),
    ));
    let get = pb::GetTestRequest { namespace: NS.into(), test: "A B".into() };
    pairs.push(("no name", admin.get(&format!("{tests}/A%20B")).await, data.get_test(get).await.unwrap_err()));
    let list = pb::ListTestsRequest { namespace: NS.into(), page_token: "x".into(), ..Default::default() };
    pairs.push((
        "a page token",
        admin.get(&format!("{tests}?page_token=x")).await,
        data.list_tests(list).await.unwrap_err(),
    ));
    let token = pb::IssueTokenRequest {
        name: "x".into(),
        scopes: vec![pb::Scope::Data.into()],
        namespaces: vec!["(".into()],
        expires_in_secs: 60,
        ..Default::default()
    };
    let wish = json!({"name": "x", "scopes": ["data"], "namespaces": ["("]});
    pairs.push(("a pattern", admin.post("/api/v1/tokens", &wish).await, admins.issue_token(token).await.unwrap_err()));
    let delete = pb::DeleteTestRequest { namespace: NS.into(), test: "a".into(), if_version: Some(7) };
    let request = admin.request(reqwest::Method::DELETE, &format!("{tests}/a")).header("If-Match", "\"7\"");
    pairs.push(("a version", admin.send(request).await, control.delete_test(delete).await.unwrap_err()));
    let (reader, reading) = (stack.person(&[Scope::Data], &[NS]).await, Peer::of(&stack, &[Scope::Data], &[NS]).await);
    pairs.push((
        "a scope",
        reader.post(&tests, &factory::test("b")).await,
        reading.control().create_test(create(spec("b"))).await.unwrap_err(),
    ));
    let anonymous = Peer::connect(&stack, 0, Some("tstr_pat_x")).await;
    let bearer = tstr_tests::Person::new(stack.url(0), Some("tstr_pat_x".into()));
    pairs.push((
        "a token",
        bearer.get(&tests).await,
        anonymous.control().create_test(create(spec("b"))).await.unwrap_err(),
    ));

    for (what, answer, status) in pairs {
        let problem: Problem = answer.json();
        let told = decode(&status).unwrap_or_else(|| panic!("{what}: {status:?}"));
        assert_eq!(
            (told.code, &told.errors, told.retryable),
            (problem.code, &problem.errors, problem.retryable),
            "{what}"
        );
        assert_eq!(told.message, problem.detail, "{what}");
        let row = tstr_api::error::row(problem.code);
        assert_eq!((status.code(), answer.status.as_u16()), (row.grpc, row.http), "{what}");
    }
}
