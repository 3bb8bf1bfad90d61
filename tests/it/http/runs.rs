//! Runs: trigger, wait, retry, events; who may and who sees nothing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;
use tstr_shared::permission::Scope;
use tstr_shared::run::RunResult;
use tstr_tests::worker::Worker;
use tstr_tests::{Stack, factory};

use super::{NOBODY, RUNS, TESTS, each, foreigner, with_header};

#[tokio::test]
async fn a_trigger_makes_one_run_for_each_cell_in_their_order() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let axes = json!({"region": ["sfo", "nyc"], "net": ["a", "b"]});
    let test = factory::with(factory::with(factory::test("a"), "/matrix/labels", axes), "/labels/tier", json!("1"));
    let made = admin.register(&test).await;
    let test_id = made["id"].clone();
    let answer = admin.send(admin.request(Method::POST, &format!("{TESTS}/a/runs"))).await;
    let triggered = answer.expect(201);
    let runs = triggered["runs"].as_array().unwrap();
    let cells: Vec<_> = runs.iter().map(|run| run["cell"].clone()).collect();
    let cell = |region: &str, net: &str| json!({"net": net, "region": region});
    assert_eq!(cells, [cell("sfo", "a"), cell("sfo", "b"), cell("nyc", "a"), cell("nyc", "b")]);
    for run in runs {
        assert_eq!(
            (&run["matrix_id"], &run["test_id"], &run["state"]),
            (&triggered["matrix_id"], &test_id, &json!("queued"))
        );
        assert_eq!(
            (&run["trigger"], &run["attempt"], &run["labels"]["tier"]),
            (&json!("manual"), &json!(0), &json!("1"))
        );
        assert!(run.get("result").is_none() && run.get("attempts").is_none());
        assert_eq!(&admin.run(run["id"].as_str().unwrap()).await, run);
    }
    let listed = admin.get(answer.header("location")).await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 4);
    // A part of the matrix, and a single run, which has an address of its own.
    let part = admin.post(&format!("{TESTS}/a/runs"), &json!({"matrix": {"net": "b"}})).await.expect(201);
    assert_eq!(part["runs"].as_array().unwrap().len(), 2);
    let one = admin.post(&format!("{TESTS}/a/runs"), &json!({"matrix": {"net": "b", "region": "nyc"}})).await;
    assert_eq!(one.header("location"), format!("/api/v1/runs/{}", one.expect(201)["runs"][0]["id"].as_str().unwrap()));
}

#[tokio::test]
async fn a_trigger_overrides_labels_variables_and_priority_for_its_runs_only() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let test = factory::with(factory::test("a"), "/labels", json!({"region": "nyc", "type": "e2e"}));
    admin.register(&factory::with(test, "/run_config/env", json!({"A": "1", "B": "1"}))).await;
    let body = json!({"labels": {"region": "fra"}, "env": {"B": "2", "C": "2"}, "priority": "urgent"});
    let triggered = admin.post(&format!("{TESTS}/a/runs"), &body).await.expect(201);
    let run = &triggered["runs"][0];
    assert_eq!(run["labels"], json!({"region": "fra", "type": "e2e"}));
    assert_eq!(
        (&run["run_config"]["env"], &run["priority"]),
        (&json!({"A": "1", "B": "2", "C": "2"}), &json!("urgent"))
    );
    let test = admin.get(&format!("{TESTS}/a")).await.expect(200);
    assert_eq!(
        (&test["labels"]["region"], &test["run_config"]["env"], &test["version"]),
        (&json!("nyc"), &json!({"A": "1", "B": "1"}), &json!(1))
    );
    // The urgent ones are claimed before an older one.
    let plain = admin.trigger("a").await.remove(0);
    admin.post(&format!("{TESTS}/a/runs"), &json!({"priority": "urgent"})).await.expect(201);
    let worker = Worker::register(&stack, 0, "w").await;
    let mut order = Vec::new();
    for _ in 0..3 {
        order.push(worker.next().await.fence.run_id.to_string());
    }
    assert_eq!(order.iter().position(|id| *id == plain), Some(2));
}

#[tokio::test]
async fn a_run_that_is_put_off_waits_for_its_time() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let at = Utc::now() + chrono::Duration::seconds(2);
    admin.post(&format!("{TESTS}/a/runs"), &json!({"not_before": at})).await.expect(201);
    assert!(worker.claim(1).await.is_empty());
    let run = worker.next().await;
    assert!(Utc::now() >= at, "claimed {} too early", at - Utc::now());
    assert_eq!(run.fence.attempt, 1);
}

#[tokio::test]
async fn an_invalid_trigger_names_its_fault_and_makes_no_run() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::with(factory::test("a"), "/matrix/labels/region", json!(["nyc"]))).await;
    let path = format!("{TESTS}/a/runs");
    let far = Utc::now() + chrono::Duration::days(400);
    for (body, pointer) in [
        (json!({"matrix": {"region": "fra"}}), "/matrix"),
        (json!({"labels": {"a b": "1"}}), "/labels/a b"),
        (json!({"labels": {"a": "x\u{0}"}}), "/labels/a"),
        (json!({"env": {"TSTR_RUN_ID": "1"}}), "/env/TSTR_RUN_ID"),
        (json!({"env": {"1A": "1"}}), "/env/1A"),
        (json!({"env": {"A": 1}}), "/env/A"),
        (json!({"priority": "asap"}), "/priority"),
        (json!({"not_before": far}), "/not_before"),
        (json!({"not_before": "tomorrow"}), "/not_before"),
        (json!({"result": "pass"}), "/result"),
        (json!({"namespace": "other"}), "/namespace"),
        (json!([]), ""),
    ] {
        assert_eq!(admin.post(&path, &body).await.faults(), [pointer], "{body}");
    }
    admin.post(&format!("{TESTS}/nobody/runs"), &json!({})).await.refused(404, "not_found");
    assert_eq!(admin.get(RUNS).await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn who_prefers_to_wait_is_answered_when_the_run_ends_on_whichever_replica() {
    let stack = Stack::start_with(2, |_| {}).await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let (path, fence) = {
        let id = admin.trigger("a").await.remove(0);
        (format!("/api/v1/runs/{id}"), worker.running().await)
    };
    let soon = with_header(&admin, Method::GET, &path, ("Prefer", "wait=1"), None).await;
    assert_eq!((soon.expect(200)["state"].as_str(), soon.header("preference-applied")), (Some("running"), "wait=1"));
    let asked = Instant::now();
    let waiting = [0, 1].map(|replica| {
        let (person, path) = (admin.at(stack.url(replica)), path.clone());
        tokio::spawn(async move {
            with_header(&person, Method::GET, &path, ("Prefer", "respond-async, wait=30"), None).await
        })
    });
    worker.finish(fence, RunResult::Pass).await.unwrap();
    for answer in waiting {
        let answer = answer.await.unwrap();
        assert_eq!(
            (answer.expect(200)["result"].as_str(), answer.header("preference-applied")),
            (Some("pass"), "wait=30")
        );
    }
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    // A wish beyond the limit is lowered, and nobody waits for a run that has ended.
    let long = with_header(&admin, Method::GET, &path, ("Prefer", "wait=100000"), None).await;
    assert_eq!((long.expect(200)["state"].as_str(), long.header("preference-applied")), (Some("finished"), "wait=30"));
    assert_eq!(admin.get(&path).await.header("preference-applied"), "");
}

#[tokio::test]
async fn the_events_of_a_run_tell_who_did_what_and_when() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let id = admin.trigger("a").await.remove(0);
    let fence = worker.running().await;
    worker.finish(fence, RunResult::Fail).await.unwrap();
    let events = admin.get(&format!("/api/v1/runs/{id}/events")).await.expect(200);
    let step = |event: &Value| (event.get("from").cloned(), event["to"].clone(), event["attempt"].as_i64().unwrap());
    let steps: Vec<_> = events["items"].as_array().unwrap().iter().map(step).collect();
    let expected = [
        (None, "queued", 0),
        (Some("queued"), "leased", 1),
        (Some("leased"), "running", 1),
        (Some("running"), "finished", 1),
    ];
    assert_eq!(steps, expected.map(|(from, to, attempt)| (from.map(Value::from), Value::from(to), attempt)));
    let actors = each(&events, "actor");
    let me = admin.get("/api/v1/identity").await.expect(200)["token"]["id"].as_str().unwrap().to_owned();
    assert_eq!(actors[0], format!("token:{me}"));
    assert!(actors[1..].iter().all(|actor| actor.starts_with(&format!("runner:{}", worker.id))), "{actors:?}");
    assert_eq!(events["items"][3]["result"], "fail");
    let times: Vec<DateTime<Utc>> = each(&events, "at").iter().map(|at| at.parse().unwrap()).collect();
    assert!(times.is_sorted());
    admin.get(&format!("/api/v1/runs/{NOBODY}/events")).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_retry_is_a_new_run_of_what_ran_and_not_of_what_the_test_has_become() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let test = factory::with(factory::test("a"), "/matrix/labels/region", json!(["nyc", "sfo"]));
    admin.register(&test).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let body = json!({"matrix": {"region": "sfo"}, "env": {"X": "1"}, "priority": "low"});
    let first = admin.post(&format!("{TESTS}/a/runs"), &body).await.expect(201)["runs"][0].clone();
    let retry = format!("/api/v1/runs/{}/retry", first["id"].as_str().unwrap());
    admin.post(&retry, &json!({})).await.refused(409, "conflict");
    let fence = worker.running().await;
    admin.post(&retry, &json!({})).await.refused(409, "conflict");
    worker.finish(fence, RunResult::Fail).await.unwrap();
    admin.delete(&format!("{TESTS}/a")).await.expect(204);

    let answer = admin.send(admin.request(Method::POST, &retry)).await;
    let again = answer.expect(201);
    assert_eq!(answer.header("location"), format!("/api/v1/runs/{}", again["id"].as_str().unwrap()));
    for field in ["test_id", "test_name", "cell", "labels", "run_config", "priority", "annotations", "namespace"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    assert_eq!((&again["trigger"], &again["state"], &again["attempt"]), (&json!("retry"), &json!("queued"), &json!(0)));
    assert_ne!(again["matrix_id"], first["matrix_id"]);
    assert_eq!(worker.next().await.run_config.env.get("X"), Some("1"));
    assert_eq!(admin.run(first["id"].as_str().unwrap()).await["result"], "fail");
    admin.post(&format!("/api/v1/runs/{NOBODY}/retry"), &json!({})).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_reader_reads_runs_and_starts_or_ends_none() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let run = format!("/api/v1/runs/{}", admin.trigger("a").await[0]);
    let reader = stack.person(&[Scope::Data], &["default"]).await;
    for path in [RUNS.to_owned(), run.clone(), format!("{run}/events"), format!("{run}/logs")] {
        assert_eq!(reader.get(&path).await.status, 200, "{path}");
    }
    for path in [format!("{TESTS}/a/runs"), format!("{run}/cancel"), format!("{run}/retry")] {
        let problem = reader.post(&path, &json!({})).await.refused(403, "forbidden");
        assert_eq!(problem["detail"], "runs:write needs a token with scope admin or control");
    }
    assert_eq!(reader.get(&run).await.expect(200)["state"], "queued");
}

#[tokio::test]
async fn the_runs_of_a_foreign_namespace_are_not_found() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let run = format!("/api/v1/runs/{}", admin.trigger("a").await[0]);
    let foreigner = foreigner(&stack).await;
    let answers = [
        foreigner.get(RUNS).await,
        foreigner.post(&format!("{TESTS}/a/runs"), &json!({})).await,
        foreigner.get(&run).await,
        with_header(&foreigner, Method::GET, &run, ("Prefer", "wait=20"), None).await,
        foreigner.get(&format!("{run}/events")).await,
        foreigner.get(&format!("{run}/logs")).await,
        foreigner.get(&format!("{run}/logs?follow=true")).await,
        foreigner.post(&format!("{run}/cancel"), &json!({})).await,
        foreigner.post(&format!("{run}/retry"), &json!({})).await,
    ];
    for answer in answers {
        answer.refused(404, "not_found");
    }
    for bad in ["xyz", "%00", NOBODY] {
        admin.get(&format!("/api/v1/runs/{bad}")).await.refused(404, "not_found");
    }
    assert_eq!(admin.get(&run).await.expect(200)["state"], "queued");
}
