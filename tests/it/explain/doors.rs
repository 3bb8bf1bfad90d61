//! The same through both doors, and what is not understood.

use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;
use tstr_proto::v1 as pb;
use tstr_shared::error::ErrorCode;
use tstr_shared::explain::{Explanation, QueueClass};
use tstr_shared::permission::Scope;
use tstr_shared::run::RunResult;
use tstr_tests::worker::Worker;
use tstr_tests::{Ctl, Stack, factory};

use crate::grpc::{Peer, refused};
use crate::http::{NOBODY, TESTS, foreigner};

const QUEUE: &str = "/api/v1/namespaces/default/queue";

/// Takes out what changes from one look to the next.
fn still(mut value: Value) -> Value {
    value["as_of"] = json!("2026-01-01T00:00:00Z");
    for runner in value.pointer_mut("/waiting/runners").and_then(Value::as_array_mut).into_iter().flatten() {
        runner["last_seen_at"] = json!("2026-01-01T00:00:00Z");
    }
    value
}

#[tokio::test]
async fn json_and_grpc_explain_alike() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let matrix = json!({"labels": {"region": ["nyc", "fra"]}});
    admin.register(&factory::with(factory::test("a"), "/matrix", matrix)).await;
    let accept = [("region".to_owned(), "nyc".to_owned())].into();
    let only = tstr_shared::selector::SelectorSources { accept, ..Default::default() };
    let worker = Worker::register_for(&stack, 0, "w", &[".*"], only).await;
    let [nyc, fra] = <[String; 2]>::try_from(admin.trigger("a").await).unwrap();
    worker.running().await;
    let [ended, waits] = <[String; 2]>::try_from(admin.trigger("a").await).unwrap();
    worker.finish(worker.running().await, RunResult::Fail).await.unwrap();
    let mut data = Peer::admin(&stack).await.data();
    for (run, state) in [(&nyc, "running"), (&fra, "queued"), (&ended, "finished"), (&waits, "queued")] {
        let told = admin.get(&format!("/api/v1/runs/{run}/explain")).await.expect(200);
        assert_eq!((told["run_id"].as_str(), told["state"].as_str()), (Some(run.as_str()), Some(state)));
        let message = data.explain_run(pb::ExplainRunRequest { run_id: run.clone() }).await.unwrap().into_inner();
        let message = serde_json::to_value(Explanation::try_from(message).unwrap()).unwrap();
        assert_eq!(still(message), still(told.clone()));
        let typed: Explanation = serde_json::from_value(told.clone()).unwrap();
        assert_eq!(serde_json::to_value(typed).unwrap(), told);
    }
    let told = admin.get(&format!("/api/v1/runs/{fra}/explain")).await.expect(200);
    assert_eq!(told["reasons"][0]["why"], "no_runner_could");
    assert_eq!(told["waiting"]["runners"][0]["verdict"], "not_accepted");
    assert_eq!(told["waiting"]["runners"][0]["sentence"], "it does not accept region=fra (accept region=nyc)");

    let listed = admin.get(QUEUE).await.expect(200);
    let request = pb::ListQueueRequest { namespace: "default".into(), ..Default::default() };
    let message = data.list_queue(request).await.unwrap().into_inner();
    let classes: Vec<QueueClass> = message.classes.into_iter().map(|class| class.try_into().unwrap()).collect();
    assert_eq!(serde_json::to_value(classes).unwrap(), listed["items"]);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&listed["items"][0]["labels"], &listed["items"][0]["depth"]),
        (&json!({"region": "fra"}), &json!({"count": 2, "more": false}))
    );
    assert_eq!(listed["items"][0]["stranded"]["why"], "no_runner_could");
}

#[tokio::test]
async fn what_is_not_there_not_understood_or_not_allowed_is_refused() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let run = admin.trigger("a").await.remove(0);
    let path = format!("/api/v1/runs/{run}/explain");
    for bad in [NOBODY, "x", "%00"] {
        admin.get(&format!("/api/v1/runs/{bad}/explain")).await.refused(404, "not_found");
    }
    admin.get("/api/v1/namespaces/nowhere/queue").await.refused(404, "not_found");
    assert_eq!(admin.get(&format!("{path}?verbose=1")).await.faults(), ["verbose"]);
    assert_eq!(admin.get(&format!("{QUEUE}?state=queued")).await.faults(), ["state"]);
    assert_eq!(admin.get(&format!("{QUEUE}?page_size=x")).await.faults(), ["page_size"]);
    admin.get(&format!("{QUEUE}?page_token=x")).await.refused(400, "malformed");
    for address in [path.as_str(), QUEUE] {
        admin.send(admin.request(Method::POST, address)).await.refused(405, "method_not_allowed");
        stack.anonymous().get(address).await.refused(401, "unauthenticated");
        foreigner_of(&stack).await.get(address).await.refused(404, "not_found");
        let runner = stack.person(&[Scope::Runner], &[".*"]).await;
        runner.get(address).await.refused(403, "forbidden");
        let reader = stack.person(&[Scope::Data], &["default"]).await;
        reader.get(address).await.expect(200);
    }
    let mut data = Peer::admin(&stack).await.data();
    let explain = |run_id: &str| pb::ExplainRunRequest { run_id: run_id.to_owned() };
    refused(data.explain_run(explain("x")).await, Code::NotFound, ErrorCode::NotFound);
    let unnamed = refused(data.explain_run(explain("")).await, Code::InvalidArgument, ErrorCode::Invalid);
    assert_eq!(unnamed.errors[0].pointer, "/run_id");
    let list = |page_size| pb::ListQueueRequest { namespace: "default".into(), page_size, ..Default::default() };
    let negative = refused(data.list_queue(list(-1)).await, Code::InvalidArgument, ErrorCode::Invalid);
    assert_eq!(negative.errors[0].pointer, "/page_size");
}

async fn foreigner_of(stack: &Stack) -> tstr_tests::Person {
    match stack.admin().get("/api/v1/namespaces/elsewhere").await.status.as_u16() {
        404 => foreigner(stack).await,
        _ => stack.person(&[Scope::Admin, Scope::Control, Scope::Data], &["elsewhere"]).await,
    }
}

#[tokio::test]
async fn a_registration_names_no_runner_of_other_namespaces() {
    let stack = Stack::start().await;
    stack.namespace("team").await;
    Worker::register_for(&stack, 0, "of-team", &["team"], Default::default()).await;
    let own = stack.person(&[Scope::Control], &["default"]).await;
    let made = own.post(TESTS, &factory::with(factory::test("a"), "/labels/region", json!("nyc"))).await.expect(201);
    assert_eq!(
        made["warnings"],
        json!(["no runner that takes runs of the namespace default has registered yet; runs will wait"])
    );
    let reject = [("region".to_owned(), "nyc".to_owned())].into();
    let only = tstr_shared::selector::SelectorSources { reject, ..Default::default() };
    Worker::register_for(&stack, 0, "of-default", &["default"], only).await;
    let made = own.post(TESTS, &factory::with(factory::test("b"), "/labels/region", json!("nyc"))).await.expect(201);
    let words = "no known runner takes runs with the labels of this test; \
                 the nearest is of-default: it rejects region=nyc (reject region=nyc)";
    assert_eq!(made["warnings"], json!([words]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_tells_what_the_api_does() {
    let stack = Stack::start().await;
    let (admin, ctl) = (stack.admin(), Ctl::of(&stack));
    let empty = ctl.run("queue");
    assert_eq!((empty.done(), empty.err.as_str()), ("", "nothing waits in the namespace default\n"));
    let body = factory::with(factory::test("a"), "/labels/region", json!("fra"));
    admin.register(&factory::with(body, "/cron_schedule", json!("H 3 * * *"))).await;
    let accept = [("region".to_owned(), "nyc".to_owned())].into();
    let only = tstr_shared::selector::SelectorSources { accept, ..Default::default() };
    Worker::register_for(&stack, 0, "w", &["default"], only).await;
    let run = admin.trigger("a").await.remove(0);
    for line in ["run explain", "queue --why"] {
        let told = ctl.run(&format!("{line} {run}"));
        let words = "the only known runner could never take it: 1 does not accept the label region";
        assert!(told.done().contains(&format!("\nWHY\tit waits: {words}\n")), "{told:?}");
        assert!(told.out.contains("\nRUNNER\tw: it does not accept region=fra (accept region=nyc)\n"), "{told:?}");
    }
    let queue = ctl.run("queue");
    assert!(queue.done().starts_with("region=fra\t1\t0\t0\t20") && queue.out.contains("\t0/0\tthe only"), "{queue:?}");
    ctl.answers_as_the_api("queue", &admin, QUEUE).await;
    assert!(ctl.run(&format!("run explain {NOBODY}")).refused(3).contains("run not found"));
    let (next, schedule) = (ctl.run("schedule next a --count 3"), ctl.run("test schedule a --count 3"));
    assert_eq!((next.done(), next.out.lines().count()), (schedule.done(), 3));
    assert!(next.err.starts_with("at 03:") && next.err.contains(" every day (UTC)"), "{next:?}");
}
