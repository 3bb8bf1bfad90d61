//! `DataService`: reads of namespaces, tests, runs, logs and runners.

use std::time::Duration;

use tonic::Code;
use tstr_proto::v1 as pb;
use tstr_shared::error::ErrorCode;
use tstr_shared::logs::Stream::{Stderr, Stdout};
use tstr_shared::permission::Scope;
use tstr_shared::run::RunResult;
use tstr_shared::summary::Summary;
use tstr_tests::worker::Worker;
use tstr_tests::{Stack, factory};

use super::{Peer, refused};

const NS: &str = "default";

#[tokio::test]
async fn artifacts_come_in_pieces_with_what_they_are_first() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let run_id = admin.trigger("a").await.remove(0);
    let fence = worker.running().await;
    let large = "0123456789".repeat(300_000);
    worker.leave(fence, &[("large.txt", &large), ("empty", "")]).await;
    worker.finish(fence, RunResult::Pass).await.unwrap();
    let mut data = Peer::admin(&stack).await.data();
    let get = |path: &str, offset, length| pb::GetArtifactRequest {
        run_id: run_id.clone(),
        attempt: 0,
        path: path.into(),
        offset,
        length,
    };
    for (path, offset, length, expected) in [
        ("large.txt", 0, None, large.as_str()),
        ("large.txt", 2_999_995, None, "56789"),
        ("large.txt", 1_000_001, Some(4), "1234"),
        ("large.txt", 2_999_999, Some(u64::MAX), "9"),
        ("large.txt", 3_000_000, None, ""),
        ("large.txt", u64::MAX, None, ""),
        ("empty", 0, None, ""),
    ] {
        let mut pieces = data.get_artifact(get(path, offset, length)).await.unwrap().into_inner();
        let first = pieces.message().await.unwrap().unwrap();
        let artifact = first.artifact.clone().unwrap();
        assert_eq!((artifact.path.as_str(), artifact.sha256.len()), (path, 64));
        let (mut read, mut next) = (Vec::new(), Some(first));
        while let Some(piece) = next {
            assert!(piece.data.len() <= 1 << 20, "{}", piece.data.len());
            read.extend_from_slice(&piece.data);
            next = pieces.message().await.unwrap();
        }
        assert!(read == expected.as_bytes(), "{path} from {offset}: {} bytes", read.len());
    }
    refused(data.get_artifact(get("none", 0, None)).await, Code::NotFound, ErrorCode::NotFound);
    refused(data.get_artifact(get("../x", 0, None)).await, Code::NotFound, ErrorCode::NotFound);
    let problem = refused(data.get_artifact(get("", 0, None)).await, Code::InvalidArgument, ErrorCode::Invalid);
    assert_eq!(problem.errors[0].pointer, "/path");
}

#[tokio::test]
async fn namespaces_and_tests_are_listed_in_pages_and_read() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    stack.namespace("team-a").await;
    for (name, team) in [("a", "x"), ("b", "y"), ("c", "x")] {
        admin.register(&factory::with(factory::test(name), "/labels/team", team.into())).await;
    }
    admin.register(&factory::with(factory::test("daily"), "/cron_schedule", "@daily".into())).await;
    let mut data = Peer::admin(&stack).await.data();

    let listed = data.list_namespaces(pb::ListNamespacesRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.namespaces.iter().map(|ns| ns.name.as_str()).collect::<Vec<_>>(), ["default", "team-a"]);
    let read = data.get_namespace(pb::GetNamespaceRequest { namespace: NS.into() }).await.unwrap().into_inner();
    assert_eq!(read.namespace.unwrap().tests, 4);

    let list = pb::ListTestsRequest {
        namespace: NS.into(),
        page_size: 1,
        labels: [("team".into(), "x".into())].into(),
        ..Default::default()
    };
    let first = data.list_tests(list.clone()).await.unwrap().into_inner();
    let next = pb::ListTestsRequest { page_token: first.next_page_token.clone(), ..list.clone() };
    let second = data.list_tests(next).await.unwrap().into_inner();
    let names = |page: &pb::ListTestsResponse| {
        page.tests.iter().map(|test| test.spec.as_ref().unwrap().name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&first), names(&second), second.next_page_token.as_str()),
        (vec!["a".into()], vec!["c".into()], "")
    );
    let other = pb::ListTestsRequest { page_token: first.next_page_token, labels: Default::default(), ..list };
    refused(data.list_tests(other).await, Code::InvalidArgument, ErrorCode::Malformed);

    let get = pb::GetTestRequest { namespace: NS.into(), test: first.tests[0].id.clone() };
    assert_eq!(data.get_test(get).await.unwrap().into_inner().test.as_ref(), Some(&first.tests[0]));
    let schedule = |test: &str, count| pb::GetTestScheduleRequest { namespace: NS.into(), test: test.into(), count };
    let told = data.get_test_schedule(schedule("daily", 0)).await.unwrap().into_inner();
    assert_eq!((told.time_zone.as_str(), told.paused, told.upcoming.len()), ("UTC", false, 10));
    assert_eq!(data.get_test_schedule(schedule("daily", 5000)).await.unwrap().into_inner().upcoming.len(), 100);
    refused(data.get_test_schedule(schedule("a", 1)).await, Code::FailedPrecondition, ErrorCode::Conflict);
}

#[tokio::test]
async fn runs_are_listed_by_filter_read_and_waited_for() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let done = admin.trigger("a").await.remove(0);
    worker.finish(worker.running().await, RunResult::Fail).await.unwrap();
    let live = admin.trigger("a").await.remove(0);
    let fence = worker.running().await;
    let mut data = Peer::admin(&stack).await.data();

    let list = |change: fn(&mut pb::ListRunsRequest)| {
        let mut request = pb::ListRunsRequest { namespace: NS.into(), ..Default::default() };
        change(&mut request);
        request
    };
    for (request, expected) in [
        (list(|_| {}), vec![&live, &done]),
        (list(|r| r.states = vec![pb::RunState::Running.into()]), vec![&live]),
        (list(|r| r.results = vec![pb::RunResult::Fail.into(), pb::RunResult::Pass.into()]), vec![&done]),
        (list(|r| r.test = "nobody".into()), vec![]),
        (list(|r| r.page_size = 1), vec![&live]),
        (list(|r| r.finished_before = Some(at(0))), vec![]),
        (list(|r| r.started_after = Some(at(0))), vec![&live, &done]),
    ] {
        let listed = data.list_runs(request.clone()).await.unwrap().into_inner();
        assert_eq!(listed.runs.iter().map(|run| &run.id).collect::<Vec<_>>(), expected, "{request:?}");
    }
    for (request, pointer) in [
        (list(|r| r.states = vec![1, 9]), "/states/1"),
        (list(|r| r.results = vec![0]), "/results/0"),
        (list(|r| r.runner_id = "w".into()), "/runner_id"),
        (list(|r| r.test = "a b".into()), "/test"),
        (list(|r| r.labels = [("a b".into(), String::new())].into()), "/labels/a b"),
        (list(|r| r.page_size = -1), "/page_size"),
        (list(|r| r.scheduled_after = Some(at(i64::MAX))), "/scheduled_after"),
    ] {
        let problem = refused(data.list_runs(request).await, Code::InvalidArgument, ErrorCode::Invalid);
        assert_eq!(problem.errors[0].pointer, pointer);
    }

    let get = |wait_ms| pb::GetRunRequest { run_id: live.clone(), wait_ms };
    let waiting = {
        let (mut data, get) = (data.clone(), get(30_000));
        tokio::spawn(async move { data.get_run(get).await.unwrap().into_inner().run.unwrap() })
    };
    assert_eq!(data.get_run(get(1)).await.unwrap().into_inner().run.unwrap().state(), pb::RunState::Running);
    worker.finish(fence, RunResult::Pass).await.unwrap();
    let waited =
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it is answered at the end").unwrap();
    assert_eq!((waited.result(), waited.attempts.len()), (pb::RunResult::Pass, 1));
    let events = data.list_run_events(pb::ListRunEventsRequest { run_id: live }).await.unwrap().into_inner().events;
    assert_eq!(
        events.iter().map(|event| event.to()).collect::<Vec<_>>(),
        [pb::RunState::Queued, pb::RunState::Leased, pb::RunState::Running, pb::RunState::Finished]
    );
}

fn at(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

#[tokio::test]
async fn a_log_is_streamed_in_part_and_followed_to_its_end() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let run_id = admin.trigger("a").await.remove(0);
    let fence = worker.running().await;
    worker.write(fence, &[(Stdout, b"one"), (Stderr, b"\xff"), (Stdout, b"two")]).await;
    let data = Peer::admin(&stack).await.data();
    let read = async |request: pb::ReadLogsRequest| {
        let mut pieces = data.clone().read_logs(request).await.unwrap().into_inner();
        let mut seen = Vec::new();
        while let Some(piece) = pieces.message().await.unwrap() {
            assert!(piece.time.is_some());
            seen.push((piece.seq, piece.stream(), piece.data));
        }
        seen
    };
    let whole = vec![
        (0, pb::Stream::Stdout, b"one".to_vec()),
        (1, pb::Stream::Stderr, b"\xff".to_vec()),
        (2, pb::Stream::Stdout, b"two".to_vec()),
    ];
    let ask = pb::ReadLogsRequest { run_id: run_id.clone(), ..Default::default() };
    assert_eq!(read(ask.clone()).await, whole);
    assert_eq!(read(pb::ReadLogsRequest { stream: pb::Stream::Stderr.into(), ..ask.clone() }).await, whole[1..2]);
    assert_eq!(read(pb::ReadLogsRequest { after: Some(0), limit: 1, attempt: 1, ..ask.clone() }).await, whole[1..2]);

    assert_eq!(read(pb::ReadLogsRequest { tail: Some(1), ..ask.clone() }).await, [&whole[..1], &whole[2..]].concat());
    assert_eq!(read(pb::ReadLogsRequest { tail: Some(0), ..ask.clone() }).await, Vec::new());
    for (wrong, place) in [
        (pb::ReadLogsRequest { tail: Some(10_001), ..ask.clone() }, "/tail"),
        (pb::ReadLogsRequest { tail: Some(1), after: Some(0), ..ask.clone() }, "tail"),
    ] {
        let refusal = refused(data.clone().read_logs(wrong).await, Code::InvalidArgument, ErrorCode::Invalid);
        assert_eq!(refusal.errors[0].pointer, place);
    }

    let mut following =
        data.clone().read_logs(pb::ReadLogsRequest { follow: true, ..ask.clone() }).await.unwrap().into_inner();
    for seq in 0..3 {
        assert_eq!(following.message().await.unwrap().unwrap().seq, seq);
    }
    worker.write(fence, &[(Stderr, b"end")]).await;
    assert_eq!(following.message().await.unwrap().unwrap().data, b"end");
    worker.finish(fence, RunResult::Pass).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(10), following.message()).await.expect("it ends with the run");
    assert_eq!(end.unwrap(), None);
    let wrong = pb::ReadLogsRequest { attempt: 70_000, ..ask };
    assert_eq!(
        refused(data.clone().read_logs(wrong).await, Code::InvalidArgument, ErrorCode::Invalid).errors[0].pointer,
        "/attempt"
    );
}

#[tokio::test]
async fn runners_are_listed_for_one_namespace_or_all_that_are_seen() {
    let stack = Stack::start().await;
    stack.namespace("team-a").await;
    let here = Worker::register_for(&stack, 0, "here", &[NS], Default::default()).await;
    Worker::register_for(&stack, 0, "there", &["team-a"], Default::default()).await;
    let mut data = Peer::admin(&stack).await.data();
    let names = async |data: &mut tstr_proto::v1::data_service_client::DataServiceClient<_>, namespace: &str| {
        let request = pb::ListRunnersRequest { namespace: namespace.into(), ..Default::default() };
        let mut names: Vec<_> =
            data.list_runners(request).await.unwrap().into_inner().runners.into_iter().map(|r| r.name).collect();
        names.sort();
        names
    };
    assert_eq!(names(&mut data, NS).await, ["here"]);
    assert_eq!(names(&mut data, "").await, ["here", "there"]);
    let mut local = Peer::of(&stack, &[Scope::Data], &["team-a"]).await.data();
    assert_eq!(names(&mut local, "").await, ["there"]);
    let get = pb::GetRunnerRequest { runner_id: here.id.to_string() };
    let runner = data.get_runner(get.clone()).await.unwrap().into_inner().runner.unwrap();
    assert_eq!((runner.state.as_str(), runner.slots, runner.namespaces.as_slice()), ("live", 10, &[NS.to_owned()][..]));
    refused(local.get_runner(get).await, Code::NotFound, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_runner_reads_nothing_and_a_foreigner_finds_nothing() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let run_id = admin.trigger("a").await.remove(0);
    let runner_id = Worker::register_for(&stack, 0, "w", &[NS], Default::default()).await.id.to_string();
    for (scope, namespace, code, word) in [
        (Scope::Runner, NS, Code::PermissionDenied, ErrorCode::Forbidden),
        (Scope::Data, "elsewhere", Code::NotFound, ErrorCode::NotFound),
    ] {
        let mut data = Peer::of(&stack, &[scope], &[namespace]).await.data();
        let (ns, test) = (String::from(NS), String::from("a"));
        refused(data.get_namespace(pb::GetNamespaceRequest { namespace: ns.clone() }).await, code, word);
        refused(
            data.list_tests(pb::ListTestsRequest { namespace: ns.clone(), ..Default::default() }).await,
            code,
            word,
        );
        refused(data.get_test(pb::GetTestRequest { namespace: ns.clone(), test: test.clone() }).await, code, word);
        refused(
            data.get_test_schedule(pb::GetTestScheduleRequest { namespace: ns.clone(), test, count: 1 }).await,
            code,
            word,
        );
        refused(data.list_runs(pb::ListRunsRequest { namespace: ns.clone(), ..Default::default() }).await, code, word);
        for wait_ms in [0, 20_000] {
            refused(data.get_run(pb::GetRunRequest { run_id: run_id.clone(), wait_ms }).await, code, word);
        }
        refused(data.list_run_events(pb::ListRunEventsRequest { run_id: run_id.clone() }).await, code, word);
        refused(
            data.read_logs(pb::ReadLogsRequest { run_id: run_id.clone(), follow: true, ..Default::default() }).await,
            code,
            word,
        );
        refused(data.list_runners(pb::ListRunnersRequest { namespace: ns, ..Default::default() }).await, code, word);
        refused(data.get_runner(pb::GetRunnerRequest { runner_id: runner_id.clone() }).await, code, word);
    }
    let mut anonymous = Peer::connect(&stack, 0, None).await.data();
    let get = pb::GetRunRequest { run_id, wait_ms: 0 };
    refused(anonymous.get_run(get.clone()).await, Code::Unauthenticated, ErrorCode::Unauthenticated);
    let mut data = Peer::admin(&stack).await.data();
    refused(
        data.get_run(pb::GetRunRequest { run_id: "x".into(), ..get.clone() }).await,
        Code::NotFound,
        ErrorCode::NotFound,
    );
    let unnamed = refused(
        data.get_run(pb::GetRunRequest { run_id: String::new(), ..get }).await,
        Code::InvalidArgument,
        ErrorCode::Invalid,
    );
    assert_eq!(unnamed.errors[0].pointer, "/run_id");
}

#[tokio::test]
async fn a_summary_says_what_it_says_in_json_and_is_counted_anew() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let worker = Worker::register(&stack, 0, "w").await;
    admin.trigger("a").await;
    let fence = worker.running().await;
    worker.finish(fence, RunResult::Fail).await.unwrap();
    let peer = Peer::admin(&stack).await;
    let (mut data, mut admins) = (peer.data(), peer.admins());
    let asked = || pb::GetSummaryRequest {
        namespace: NS.into(),
        interval: pb::Interval::Hour.into(),
        test: "a".into(),
        ..Default::default()
    };
    let told = tstr_tests::eventually("the run is counted", Duration::from_secs(10), async || {
        let told = data.clone().get_summary(asked()).await.unwrap().into_inner();
        told.is_current.then(|| Summary::try_from(told).unwrap()).filter(|told| told.totals.counts.runs == 1)
    });
    let told = told.await;
    let path = format!("/api/v1/namespaces/{NS}/summary?interval=hour&test=a");
    let json: Summary = admin.get(&path).await.json();
    // Each is of its own instant.
    assert_eq!(told.totals, json.totals);
    assert_eq!((told.interval, told.tests), (json.interval, json.tests));

    let bad = pb::GetSummaryRequest { interval: 9, ..asked() };
    let problem = refused(data.get_summary(bad).await, Code::InvalidArgument, ErrorCode::Invalid);
    assert_eq!(problem.errors[0].pointer, "/interval");
    let bad = pb::GetSummaryRequest { test: "a b".into(), ..asked() };
    let problem = refused(data.get_summary(bad).await, Code::InvalidArgument, ErrorCode::Invalid);
    assert_eq!(problem.errors[0].pointer, "/test");
    let rebuilt = admins.rebuild_summary(pb::RebuildSummaryRequest { namespace: NS.into(), from: None }).await.unwrap();
    assert_eq!((rebuilt.get_ref().runs, rebuilt.get_ref().next), (1, None));
}
