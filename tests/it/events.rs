//! Streams of events: what is told, to whom, in which order, from where on again, and how they end.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row as _;
use tonic::Request;
use tstr_api::ops::events::Subscription;
use tstr_api::turns;
use tstr_proto::v1 as pb;
use tstr_shared::event::EventKind;
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::Scope;
use tstr_shared::run::RunResult;
use tstr_tests::events::{Heard, Listener};
use tstr_tests::worker::Worker;
use tstr_tests::{Ctl, Person, Stack, eventually, factory};

use crate::grpc::Peer;
use crate::http::TESTS;

const EVENTS: &str = "/api/v1/events";

/// A test with so many cells times four.
fn wide(name: &str, fours: usize) -> Value {
    let values: Vec<String> = (0..fours).map(|i| format!("c{i}")).collect();
    factory::with(factory::test(name), "/matrix", json!({"labels": {"cell": values, "side": ["a", "b", "c", "d"]}}))
}

/// What was written of runs, in the order that streams tell it in.
async fn written(stack: &Stack) -> Vec<(String, String)> {
    let mut conn = stack.db.connect().await;
    let rows = sqlx::query("SELECT run_id::text AS run, state_to FROM run_event ORDER BY txid, id");
    let rows = rows.fetch_all(&mut conn).await.unwrap();
    rows.iter().map(|row| (row.get("run"), row.get("state_to"))).collect()
}

fn told(heard: &[Heard]) -> Vec<(String, String)> {
    let of_runs = heard.iter().filter(|one| one.data.get("run").is_some());
    let text = |one: &Heard, field: &str| one.data[field].as_str().unwrap().to_owned();
    of_runs.map(|one| (text(one, "run"), text(one, "state"))).collect()
}

async fn take(listener: &mut Listener, count: usize) -> Vec<Heard> {
    let mut heard = Vec::new();
    while heard.len() < count {
        heard.push(listener.next().await.expect("the stream goes on"));
    }
    heard
}

#[tokio::test]
async fn the_life_of_a_run_is_told_as_it_happens_and_to_nobody_else() {
    let stack = Stack::start().await;
    stack.namespace("shop").await;
    let worker = Worker::register(&stack, 0, "w").await;
    let admin = stack.admin();
    admin.put(&format!("{TESTS}/a"), &factory::test("a")).await.expect(201);
    let mut elsewhere = Listener::at(&admin, "shop", "runs,queue", None).await;
    elsewhere.until("ready").await;
    let mut listener = Listener::at(&admin, "default", "runs", None).await;
    let ready = listener.next().await.unwrap();
    assert_eq!((ready.kind.as_str(), ready.id.is_some()), ("ready", true));
    assert!(listener.retry.is_some_and(|ms| (1000..=4000).contains(&ms)), "{:?}", listener.retry);
    let run = admin.trigger("a").await.remove(0);
    let began = Instant::now();
    let queued = listener.next().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(queued.kind, "run.queued");
    assert_eq!((queued.data["run"].as_str(), queued.data["namespace"].as_str()), (Some(run.as_str()), Some("default")));
    assert_eq!((queued.data["test_name"].as_str(), queued.data["state"].as_str()), (Some("a"), Some("queued")));
    assert!(queued.data.get("result").is_none() && queued.data.get("attempt").is_none(), "{}", queued.data);
    let fence = worker.running().await;
    worker.finish(fence, RunResult::Fail).await.unwrap();
    let heard = take(&mut listener, 3).await;
    let kinds: Vec<&str> = heard.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(kinds, ["run.leased", "run.started", "run.finished"]);
    assert_eq!((heard[2].data["result"].as_str(), heard[2].data["attempt"].as_u64()), (Some("fail"), Some(1)));
    let run = admin.trigger("a").await.remove(0);
    admin.send(admin.request(Method::POST, &format!("/api/v1/runs/{run}/cancel"))).await;
    listener.until("run.cancelled").await;
    // Where nothing has happened nothing was told.
    admin.put("/api/v1/namespaces/shop/tests/b", &factory::test("b")).await.expect(201);
    admin.trigger_in("shop", "b").await;
    let heard = take(&mut elsewhere, 2).await;
    let mut kinds: Vec<&str> = heard.iter().map(|one| one.kind.as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["queue.changed", "run.queued"]);
    assert!(heard.iter().all(|one| one.data["namespace"] == "shop"), "{heard:?}");
}

#[tokio::test]
async fn a_stream_goes_on_at_another_replica_and_nothing_is_lost_or_told_twice() {
    let mut stack = Stack::start_with(2, |_| {}).await;
    let worker = Worker::register(&stack, 1, "w").await;
    let admin = stack.admin();
    admin.put(&format!("{TESTS}/a"), &factory::test("a")).await.expect(201);
    let (mut heard, mut last) = (Vec::new(), None::<String>);
    // Each time somebody listens elsewhere, and breaks off in the middle of what happens.
    for round in 0..6 {
        let there = admin.at(stack.url(round % 2));
        let mut listener = Listener::at(&there, "default", "runs", last.as_deref()).await;
        listener.until("ready").await;
        if last.is_none() {
            last.clone_from(&listener.last);
        }
        for _ in 0..2 {
            admin.trigger("a").await;
            let fence = worker.running().await;
            worker.finish(fence, RunResult::Pass).await.unwrap();
        }
        heard.extend(take(&mut listener, 3).await);
        last = listener.last.clone().or(last);
    }
    // And comes back after a restart.
    stack.stop_replica(0).await;
    let there = admin.at(stack.url(0));
    let mut listener = Listener::at(&there, "default", "runs", last.as_deref()).await;
    let all = written(&stack).await;
    assert_eq!(all.len(), 6 * 2 * 4);
    while told(&heard).len() < all.len() {
        heard.push(listener.next().await.expect("the stream goes on"));
    }
    assert_eq!(told(&heard), all);
    let ids: Vec<(i64, i64)> = heard.iter().filter_map(|one| one.id.as_deref()).map(place).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}

fn place(id: &str) -> (i64, i64) {
    let mut numbers = id.split('-').map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[tokio::test]
async fn whoever_cannot_be_told_what_was_missed_is_told_so() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.put(&format!("{TESTS}/a"), &wide("a", 64)).await.expect(201);
    let mut listener = Listener::at(&admin, "default", "runs", None).await;
    let first = listener.until("ready").await.id.unwrap();
    let (txid, id) = place(&first);
    let old = format!("{txid}-{id}-{}", chrono::Utc::now().timestamp() - 24 * 3600 - 60);
    let ahead = format!("{}-0-{}", txid + 1_000_000, chrono::Utc::now().timestamp());
    drop(listener);
    for _ in 0..4 {
        admin.trigger("a").await;
    }
    for (last, reason) in [(old.as_str(), "too_old"), (&ahead, "unknown"), ("nonsense", "unknown")] {
        let mut again = Listener::at(&admin, "default", "runs", Some(last)).await;
        let reset = again.next().await.unwrap();
        assert_eq!((reset.kind.as_str(), reset.data["reason"].as_str()), ("reset", Some(reason)), "{last}");
        assert!(reset.id.is_some(), "the stream goes on from here");
    }
    // While this replica has not yet come to them itself, they are told of as they come.
    eventually("too many were missed", Duration::from_secs(10), async || {
        let mut again = Listener::at(&admin, "default", "runs", Some(&first)).await;
        let reset = again.next().await.unwrap();
        (reset.data["reason"].as_str() == Some("too_many")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_lasts_holds_up_what_is_told_in_order_and_not_that_there_is_something() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.put(&format!("{TESTS}/a"), &wide("a", 64)).await.expect(201);
    let mut listener = Listener::at(&admin, "default", "runs", None).await;
    listener.until("ready").await;
    let mut conn = stack.db.connect().await;
    sqlx::raw_sql("BEGIN; SELECT pg_current_xact_id()").execute(&mut conn).await.unwrap();
    for _ in 0..3 {
        admin.trigger("a").await;
    }
    let hint = listener.next_or_hint().await.unwrap();
    assert_eq!((hint.kind.as_str(), hint.id), ("run.many", None), "look, there is something");
    let told = stack.admin().get("/metrics").await.text();
    let age = told.lines().find_map(|line| line.strip_prefix("tstr_event_horizon_age_seconds "));
    assert!(age.is_some_and(|age| age.parse::<f64>().unwrap() >= 1.0), "{age:?}");
    sqlx::raw_sql("COMMIT").execute(&mut conn).await.unwrap();
    // All come at once then, and are too many to be told one by one.
    let many = loop {
        let heard = listener.next().await.unwrap();
        assert_eq!(heard.kind, "run.many");
        if heard.id.is_some() {
            break heard;
        }
    };
    admin.put(&format!("{TESTS}/b"), &factory::test("b")).await.expect(201);
    let run = admin.trigger("b").await.remove(0);
    let queued = listener.until("run.queued").await;
    assert_eq!(queued.data["run"], run);
    assert!(place(&queued.id.unwrap()) > place(&many.id.unwrap()));
}

#[tokio::test]
async fn tests_and_runners_are_told_of_when_there_is_something_to_see() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.put(&format!("{TESTS}/a"), &factory::test("a")).await.expect(201);
    let mut tests = Listener::at(&admin, "default", "tests", None).await;
    let mut runners = Listener::at(&admin, "default", "runners", None).await;
    tests.until("ready").await;
    runners.until("ready").await;
    // The first look is what later ones are compared with; it comes with the first turn of the loop.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let came = runners.until("runner.state_changed").await;
    let id = worker.id.to_string();
    assert_eq!((came.data["runner"].as_str(), came.data["runner_state"].as_str()), (Some(id.as_str()), Some("live")));
    admin.send(admin.request(Method::POST, &format!("/api/v1/runners/{id}/drain"))).await.expect(200);
    assert_eq!(runners.until("runner.state_changed").await.data["runner_state"], "draining");
    admin.send(admin.request(Method::POST, &format!("/api/v1/runners/{id}/resume"))).await.expect(200);
    admin.trigger("a").await;
    let fence = worker.running().await;
    worker.finish(fence, RunResult::Fail).await.unwrap();
    let told = loop {
        // The first look also tells of what was registered shortly before, without a name.
        let told = tests.until("test.state_changed").await;
        if told.data.get("test").is_some() {
            break told;
        }
    };
    assert_eq!(told.data["test_name"], "a");
    let states = admin.get("/api/v1/namespaces/default/states").await.expect(200);
    assert_eq!(states["items"][0]["cells"][0]["strip"], "f", "it is summed up when it is told");
    // It fails until it is broken.
    for _ in 0..3 {
        admin.trigger("a").await;
        let fence = worker.running().await;
        worker.finish(fence, RunResult::Fail).await.unwrap();
    }
    assert_eq!(tests.until("test.flaky_changed").await.data["test_name"], "a");
    let states = admin.get("/api/v1/namespaces/default/states").await.expect(200);
    assert_eq!(states["items"][0]["status"], "broken");
    admin.put(&format!("{TESTS}/b"), &factory::test("b")).await.expect(201);
    let told = loop {
        let told = tests.until("test.state_changed").await;
        if told.data.get("test").is_none() {
            break told;
        }
    };
    assert_eq!(told.data["namespace"], "default", "all of them");
    // Who goes on is told to look at what has no number.
    let mut all = Listener::at(&admin, "default", "", None).await;
    let last = all.until("ready").await.id;
    let mut again = Listener::at(&admin, "default", "", last.as_deref()).await;
    let mut kinds: Vec<String> = take(&mut again, 4).await.into_iter().map(|one| one.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["queue.changed", "ready", "runner.state_changed", "test.state_changed"]);
}

#[tokio::test]
async fn a_runner_that_is_gone_is_lost_unless_it_was_drained() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let (stays, leaves) = (Worker::register(&stack, 0, "stays").await, Worker::register(&stack, 0, "leaves").await);
    let drain = format!("/api/v1/runners/{}/drain", leaves.id);
    admin.send(admin.request(Method::POST, &drain)).await.expect(200);
    let mut listener = Listener::at(&admin, "default", "runners", None).await;
    listener.until("ready").await;
    // The first look is what later ones are compared with.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut conn = stack.db.connect().await;
    let gone = "UPDATE runner SET last_seen_at = now() - interval '1 hour'";
    sqlx::query(gone).execute(&mut conn).await.unwrap();
    let heard = take(&mut listener, 3).await;
    let of = |worker: &Worker| -> Vec<&str> {
        let id = worker.id.to_string();
        heard.iter().filter(|one| one.data["runner"] == *id).map(|one| one.kind.as_str()).collect()
    };
    assert_eq!((of(&stays), of(&leaves)), (vec!["runner.state_changed", "runner.lost"], vec!["runner.state_changed"]));
}

#[tokio::test]
async fn a_stream_on_which_nothing_is_told_says_how_far_it_has_come() {
    let stack = Stack::start().await;
    stack.namespace("shop").await;
    let admin = stack.admin();
    admin.put(&format!("{TESTS}/a"), &wide("a", 64)).await.expect(201);
    // About something of which nothing is told meanwhile.
    let mut listener = Listener::at(&admin, "shop", "runners", None).await;
    let first = listener.until("ready").await.id.unwrap();
    for _ in 0..5 {
        admin.trigger("a").await;
    }
    let placed = loop {
        let placed = listener.until_placed().await;
        if place(&placed) > place(&first) {
            break placed;
        }
    };
    // From there on it goes on as from the id of an event.
    let mut again = Listener::at(&admin, "shop", "runs", Some(&placed)).await;
    assert_eq!(again.until("ready").await.id, None);
    // gRPC says the same by an event.
    let peer = Peer::connect(&stack, 0, Some(stack.admin_token())).await;
    let watch =
        pb::WatchEventsRequest { namespace: "shop".into(), topics: vec!["runners".into()], ..Default::default() };
    let mut events = peer.data().watch_events(Request::new(watch)).await.unwrap().into_inner();
    assert_eq!(events.message().await.unwrap().unwrap().event, "ready");
    for _ in 0..5 {
        admin.trigger("a").await;
    }
    let here = events.message().await.unwrap().unwrap();
    assert_eq!((here.event.as_str(), place(&here.id) > place(&placed)), ("here", true));
}

#[tokio::test]
async fn a_token_has_so_many_streams_and_no_more() {
    let stack = Stack::start().await;
    let ops = stack.replica(0).ops();
    let caller = ops.authenticate(stack.admin_token()).await.unwrap();
    let namespace = Namespace::parse("default").unwrap();
    let mut open = Vec::new();
    for _ in 0..200 {
        let wanted = Subscription { namespace: namespace.clone(), topics: Vec::new(), last: None };
        open.push(ops.subscribe(&caller, wanted).await.unwrap());
    }
    let ask = async |person: &Person| person.get(&format!("{EVENTS}?namespace=default")).await;
    let refused = ask(&stack.admin()).await;
    assert!(!refused.header("retry-after").is_empty());
    refused.refused(429, "quota_exceeded");
    let peer = Peer::connect(&stack, 0, Some(stack.admin_token())).await;
    let watch = || pb::WatchEventsRequest { namespace: "default".into(), ..Default::default() };
    let refused = peer.data().watch_events(Request::new(watch())).await.err().unwrap();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    // Others are not concerned, and a stream that ends makes room.
    let reader = stack.person(&[Scope::Data], &["default"]).await;
    Listener::at(&reader, "default", "", None).await.until("ready").await;
    open.pop();
    peer.data().watch_events(Request::new(watch())).await.unwrap();
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_with_its_session() {
    let stack = Stack::start_with(2, |_| {}).await;
    let admin = stack.admin();
    let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Data], &[".*"])).await.expect(201);
    let reader = admin.at(stack.url(1)).with_token(issued["token"].as_str().map(str::to_owned));
    let mut by_token = Listener::at(&reader, "default", "runs", None).await;
    let nobody = reader.with_token(None);
    let signed_in = nobody.post("/api/v1/session", &json!({"token": issued["token"]})).await;
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    let request = nobody.request(Method::GET, &format!("{EVENTS}?namespace=default")).header("cookie", &cookie);
    let mut by_session = Listener::open(request).await;
    by_token.until("ready").await;
    by_session.until("ready").await;
    let id = issued["record"]["id"].as_str().unwrap();
    admin.delete(&format!("/api/v1/tokens/{id}")).await.expect(200);
    let ended = async { (by_token.rest().await, by_session.rest().await) };
    tokio::time::timeout(Duration::from_secs(6), ended).await.expect("both end");
    reader.get(&format!("{EVENTS}?namespace=default")).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn open_streams_do_not_hold_up_a_stop() {
    let mut stack = Stack::start().await;
    let admin = stack.admin();
    let mut listeners = Vec::new();
    for _ in 0..10 {
        let mut listener = Listener::at(&admin, "default", "runs", None).await;
        listener.until("ready").await;
        listeners.push(listener);
    }
    let began = Instant::now();
    stack.stop_replica(0).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for mut listener in listeners {
        assert_eq!(listener.rest().await, []);
    }
}

#[tokio::test]
async fn a_reader_who_does_not_keep_up_is_told_so_and_cut_off() {
    let stack = Stack::start().await;
    let (admin, ops) = (stack.admin(), stack.replica(0).ops());
    admin.put(&format!("{TESTS}/a"), &factory::test("a")).await.expect(201);
    let caller = ops.authenticate(stack.admin_token()).await.unwrap();
    let subscribe = async || {
        let wanted = Subscription { namespace: Namespace::parse("default").unwrap(), topics: Vec::new(), last: None };
        Box::pin(ops.subscribe(&caller, wanted).await.unwrap())
    };
    let mut slow = subscribe().await;
    assert_eq!(slow.next().await.unwrap().event, EventKind::Ready);
    // Far more looks than are kept, for some find nothing while others write.
    for _ in 0..300 {
        admin.trigger("a").await;
        turns::tell_events(ops).await.unwrap();
    }
    let mut kinds = Vec::new();
    while let Some(event) = slow.next().await {
        kinds.push(event.event);
    }
    assert_eq!(kinds.last(), Some(&EventKind::Reset), "{kinds:?}");
    // Whoever comes after is not concerned.
    assert_eq!(subscribe().await.next().await.unwrap().event, EventKind::Ready);
}

#[tokio::test]
async fn what_is_not_to_be_heard_is_refused() {
    let stack = Stack::start().await;
    stack.namespace("shop").await;
    let reader = stack.person(&[Scope::Data], &["shop"]).await;
    let ask = async |person: &Person, query: &str| person.get(&format!("{EVENTS}?{query}")).await;
    ask(&reader, "namespace=default").await.refused(404, "not_found");
    ask(&reader, "namespace=nowhere").await.refused(404, "not_found");
    ask(&stack.anonymous(), "namespace=shop").await.refused(401, "unauthenticated");
    assert_eq!(ask(&reader, "namespace=shop&topics=runs,logs").await.faults(), ["topics"]);
    assert_eq!(ask(&reader, "topics=runs").await.faults(), ["namespace"]);
    assert_eq!(ask(&reader, "namespace=shop&token=x").await.faults(), ["token"]);
    let runner = stack.person(&[Scope::Runner], &[".*"]).await;
    ask(&runner, "namespace=shop").await.refused(403, "forbidden");
    let open = async || {
        let text = stack.admin().get("/metrics").await.text();
        let line = text.lines().find(|line| line.starts_with("tstr_event_streams ")).map(str::to_owned);
        line.expect("the gauge is there")
    };
    let before = open().await;
    let mut listener = Listener::at(&reader, "shop", "", None).await;
    listener.until("ready").await;
    assert_ne!(open().await, before);
}

#[tokio::test]
async fn grpc_tells_the_same() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.put(&format!("{TESTS}/a"), &factory::test("a")).await.expect(201);
    let peer = Peer::connect(&stack, 0, Some(stack.admin_token())).await;
    let watch =
        pb::WatchEventsRequest { namespace: "default".into(), topics: vec!["runs".into()], ..Default::default() };
    let mut events = peer.data().watch_events(Request::new(watch)).await.unwrap().into_inner();
    let ready = events.message().await.unwrap().unwrap();
    assert_eq!((ready.event.as_str(), ready.id.is_empty()), ("ready", false));
    let run = admin.trigger("a").await.remove(0);
    let queued = events.message().await.unwrap().unwrap();
    assert_eq!((queued.event.as_str(), queued.run_id.as_str()), ("run.queued", run.as_str()));
    assert_eq!(queued.state(), pb::RunState::Queued);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_tells_them_line_by_line() {
    let stack = Stack::start().await;
    let (admin, ctl) = (stack.admin(), Ctl::of(&stack));
    admin.put(&format!("{TESTS}/a"), &factory::test("a")).await.expect(201);
    let mut listener = Listener::at(&admin, "default", "runs", None).await;
    let id = listener.until("ready").await.id.unwrap();
    let runs = [admin.trigger("a").await.remove(0), admin.trigger("a").await.remove(0)];
    listener.until("run.queued").await;
    let said = ctl.run(&format!("events --topics runs --after {id} --limit 2 -o jsonl"));
    let told: Vec<Value> = said.done().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.iter().map(|one| one["run"].as_str().unwrap()).collect::<Vec<_>>(), runs);
    let said = ctl.run(&format!("events --topics runs --after {id} --limit 1"));
    assert!(said.done().contains(&format!("\trun.queued\ta\t{}", runs[0])), "{said:?}");
    let link = ctl.run("sign-in --ui http://ui.example/");
    assert!(link.done().starts_with("http://ui.example/signin#code=tstr_code_"), "{link:?}");
}

#[tokio::test]
async fn a_page_of_events_is_read_by_the_index_and_in_its_order() {
    let stack = Stack::start().await;
    let mut conn = stack.db.connect().await;
    // What `events_between` is set to, and what it asks.
    sqlx::raw_sql("SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off")
        .execute(&mut conn)
        .await
        .unwrap();
    let asked = "EXPLAIN SELECT e.txid, e.id FROM run_event e
                 WHERE e.txid >= '700' AND e.txid < '900000' AND (e.txid > '700' OR e.id > 3)
                 ORDER BY e.txid, e.id LIMIT 500";
    let rows = sqlx::query(asked).fetch_all(&mut conn).await.unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.get::<String, _>(0)).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("Incremental Sort") && plan.contains("_txid_idx"), "{plan}");
    assert!(
        !plan.contains("Seq Scan") && !plan.lines().any(|line| line.trim_start().starts_with("->  Sort")),
        "{plan}"
    );
}
