//! What the web UI shows at one look: dashboard, timetable, saved views, series.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{Days, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use tstr_shared::permission::Scope;
use tstr_shared::run::RunResult;
use tstr_tests::worker::Worker;
use tstr_tests::{Person, Stack, eventually, factory};

use crate::http::TESTS;

const HERE: &str = "/api/v1/namespaces/default";

async fn ended(admin: &Person, worker: &Worker, test: &str, result: RunResult) {
    admin.trigger(test).await;
    let fence = worker.running().await;
    worker.finish(fence, result).await.unwrap();
}

async fn dashboard(admin: &Person) -> Value {
    admin.get(&format!("{HERE}/dashboard")).await.expect(200)
}

#[tokio::test]
async fn the_dashboard_says_what_fails_what_waits_and_who_executes() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let empty = dashboard(&admin).await;
    assert_eq!(empty["tests"], json!({"total": 0, "failing": 0, "newly_failing": 0, "flaky": 0, "slower": 0}));
    assert_eq!(empty["runners"]["total"], 0);
    let worker = Worker::register(&stack, 0, "w").await;
    for name in ["a", "b", "c"] {
        admin.put(&format!("{TESTS}/{name}"), &factory::test(name)).await.expect(201);
    }
    for (test, result) in
        [("a", RunResult::Pass), ("a", RunResult::Fail), ("a", RunResult::TimedOut), ("b", RunResult::Pass)]
    {
        ended(&admin, &worker, test, result).await;
    }
    let board = eventually("all is summed up", Duration::from_secs(10), async || {
        let board = dashboard(&admin).await;
        (board["tests"]["newly_failing"] == 1).then_some(board)
    })
    .await;
    assert_eq!((board["tests"]["total"].as_u64(), board["tests"]["failing"].as_u64()), (Some(3), Some(1)));
    let failing = &board["newly_failing"][0];
    assert_eq!((failing["name"].as_str(), failing["result"].as_str()), (Some("a"), Some("timed_out")), "{board}");
    assert!(failing["since"].as_str() < board["as_of"].as_str());
    // One is held, and two wait.
    for _ in 0..3 {
        admin.trigger("c").await;
    }
    worker.running().await;
    let board = dashboard(&admin).await;
    assert_eq!(
        (board["queue"]["depth"]["count"].as_u64(), board["queue"]["held"].as_u64()),
        (Some(2), Some(1)),
        "{board}"
    );
    assert!(board["queue"]["oldest"].is_string());
    assert_eq!((board["runners"]["online"].as_u64(), board["runners"]["slots_used"].as_u64()), (Some(1), Some(1)));
    // It passes again.
    let again = stack.person(&[Scope::Control], &["default"]).await;
    let waiting = admin.get(&format!("{HERE}/runs?state=queued")).await.expect(200);
    for run in waiting["items"].as_array().unwrap() {
        let path = format!("/api/v1/runs/{}/cancel", run["id"].as_str().unwrap());
        again.send(again.request(Method::POST, &path)).await;
    }
    ended(&admin, &worker, "a", RunResult::Pass).await;
    eventually("it fails no more", Duration::from_secs(10), async || {
        (dashboard(&admin).await["tests"]["failing"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn all_who_look_at_once_see_what_one_of_them_finds() {
    let stack = Stack::start().await;
    stack.namespace("shop").await;
    let (admin, reader) = (stack.admin(), stack.person(&[Scope::Data], &["default"]).await);
    let look = async |person: &Person| dashboard(person).await["as_of"].clone();
    let looks = futures_util::future::join_all((0..40).map(|n| look(if n % 2 == 0 { &admin } else { &reader }))).await;
    let found: BTreeSet<String> = looks.iter().map(|as_of| as_of.as_str().unwrap().to_owned()).collect();
    assert!(found.len() < 20, "forty looked by themselves: {found:?}");
    // Nobody is shown what was found before he asked.
    let (one, two) = (look(&admin).await, look(&reader).await);
    assert_ne!(one, two);
    // And nobody what is not his.
    reader.get("/api/v1/namespaces/shop/dashboard").await.refused(404, "not_found");
    stack.person(&[Scope::Runner], &[".*"]).await.get(&format!("{HERE}/dashboard")).await.refused(403, "forbidden");
    let shop = admin.get("/api/v1/namespaces/shop/dashboard").await.expect(200);
    assert_ne!(shop["as_of"], two);
}

#[tokio::test]
async fn a_test_that_takes_longer_than_it_did_is_named() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let mut ids = Vec::new();
    for name in ["slow", "same"] {
        let test = admin.put(&format!("{TESTS}/{name}"), &factory::test(name)).await.expect(201);
        ids.push(test["test"]["id"].as_str().unwrap().to_owned());
    }
    let mut conn = stack.db.connect().await;
    for (id, days, runs, ms) in [(0, 5, 20, 40_000), (0, 0, 10, 60_000), (1, 5, 20, 40_000), (1, 0, 10, 21_000)] {
        let sums =
            "INSERT INTO rollup SELECT id, 1, 1, date_trunc('day', now(), 'UTC') - make_interval(days => $1), $2, $3,
                           0, 0, 0, 0, 0, 0, 0, $4, 0, '', '' FROM namespace WHERE name = 'default'";
        let sums = sqlx::query(sums).bind(days).bind(&ids[id]).bind(i64::from(runs)).bind(i64::from(ms));
        sums.execute(&mut conn).await.unwrap();
    }
    let board = dashboard(&admin).await;
    assert_eq!(board["tests"]["slower"], 1, "{board}");
    let slower = &board["slower"][0];
    assert_eq!(
        (slower["name"].as_str(), slower["mean_ms"].as_u64(), slower["before_ms"].as_u64()),
        (Some("slow"), Some(6000), Some(2000))
    );
}

#[tokio::test]
async fn the_timetable_tells_the_week_page_by_page() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    for (name, line) in [("a", "0 6 * * *"), ("b", "30 * * * *"), ("c", "0 6 * * *")] {
        let test = factory::with(factory::test(name), "/cron_schedule", json!(line));
        admin.put(&format!("{TESTS}/{name}"), &test).await.expect(201);
    }
    admin.put(&format!("{TESTS}/d"), &factory::test("d")).await.expect(201);
    admin.send(admin.request(Method::POST, &format!("{TESTS}/c/pause"))).await;
    let tomorrow = Utc::now().date_naive() + Days::new(1);
    let at = |days, hour| format!("{}T{hour:02}:00:00Z", tomorrow + Days::new(days));
    let days = format!("from={}&to={}", at(0, 0), at(2, 0));
    let table = admin.get(&format!("{HERE}/timetable?{days}")).await.expect(200);
    let told: Vec<_> =
        table["items"].as_array().unwrap().iter().map(|one| (one["name"].as_str(), one["count"].as_u64())).collect();
    assert_eq!(told, [(Some("a"), Some(2)), (Some("b"), Some(48)), (Some("c"), Some(2))]);
    assert_eq!(table["items"][0]["instants"], json!([at(0, 6), at(1, 6)]));
    assert_eq!(table["items"][2]["paused"], true);
    assert_eq!((table["by_hour"].as_array().unwrap().len(), table["by_hour"][6].as_u64()), (48, Some(2)));
    assert_eq!((table["by_minute"][0].as_u64(), table["by_minute"][30].as_u64()), (Some(2), Some(48)));
    assert!(table.get("next_page_token").is_none());
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("{HERE}/timetable?{days}&page_size=1&page_token={token}")).await.expect(200);
        names.extend(page["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()));
        match page["next_page_token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(names, ["a", "b", "c"]);
    for (from, to) in [(at(6, 0), at(0, 0)), (at(0, 0), at(29, 0))] {
        assert_eq!(admin.get(&format!("{HERE}/timetable?from={from}&to={to}")).await.faults(), ["to"]);
    }
}

#[tokio::test]
async fn views_are_of_a_token_or_shared() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let reader = stack.person(&[Scope::Data], &["default"]).await;
    let other = stack.person(&[Scope::Data], &["default"]).await;
    let views = async |person: &Person| person.get(&format!("{HERE}/views")).await.expect(200)["items"].clone();
    let own = json!({"page": "tests", "query": "state=fail"});
    let saved = reader.put(&format!("{HERE}/views/my%20view"), &own).await.expect(200);
    assert_eq!((saved["name"].as_str(), saved["shared"].as_bool()), (Some("my view"), Some(false)));
    let shared = json!({"page": "runs", "query": "", "shared": true});
    reader.put(&format!("{HERE}/views/all"), &shared).await.refused(403, "forbidden");
    admin.put(&format!("{HERE}/views/all"), &shared).await.expect(200);
    let names = |listed: Value| -> Vec<String> {
        listed.as_array().unwrap().iter().map(|view| view["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(views(&reader).await), ["all", "my view"]);
    assert_eq!(names(views(&other).await), ["all"]);
    // Saved again it is replaced, also by one of another token of the same name, which is another one.
    reader.put(&format!("{HERE}/views/my%20view"), &json!({"page": "queue"})).await.expect(200);
    other.put(&format!("{HERE}/views/my%20view"), &own).await.expect(200);
    assert_eq!(views(&reader).await[1]["page"], "queue");
    reader.delete(&format!("{HERE}/views/all?shared=true")).await.refused(403, "forbidden");
    assert_eq!(reader.delete(&format!("{HERE}/views/my%20view")).await.status, 204);
    assert_eq!(reader.delete(&format!("{HERE}/views/my%20view")).await.status, 204);
    assert_eq!(names(views(&reader).await), ["all"]);
    assert_eq!(names(views(&other).await), ["all", "my view"]);
    assert_eq!(
        reader.put(&format!("{HERE}/views/x"), &json!({"page": "//evil", "query": "a#b"})).await.faults(),
        ["/page", "/query"]
    );
    for i in 0..100 {
        reader.put(&format!("{HERE}/views/v{i}"), &own).await.expect(200);
    }
    reader.put(&format!("{HERE}/views/one-more"), &own).await.refused(429, "quota_exceeded");
    reader.put(&format!("{HERE}/views/v7"), &own).await.expect(200);
}

#[tokio::test]
async fn numbers_of_runs_are_told_over_the_history_of_a_test() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Worker::register(&stack, 0, "w").await;
    let test = factory::with(factory::test("a"), "/matrix", json!({"labels": {"side": ["l", "r"]}}));
    admin.put(&format!("{TESTS}/a"), &test).await.expect(201);
    let mut conn = stack.db.connect().await;
    for round in 1..=2 {
        admin.trigger("a").await;
        for nth in 0..2 {
            let fence = worker.running().await;
            let data = json!({"ms": round * 10 + nth, "name": "x"});
            let said = "INSERT INTO output (run_id, attempt, data, metrics, notes, summary_cut) VALUES ($1, $2, $3, '[]', '[]', false)";
            let said = sqlx::query(said).bind(fence.run_id.0).bind(fence.attempt as i16).bind(data);
            said.execute(&mut conn).await.unwrap();
            worker.finish(fence, RunResult::Pass).await.unwrap();
        }
    }
    let series = admin.get(&format!("{TESTS}/a/series")).await.expect(200);
    assert_eq!(series["runs"].as_array().unwrap().len(), 4);
    assert_eq!(series["series"].as_array().unwrap().len(), 1, "{series}");
    assert_eq!(
        (series["series"][0]["name"].as_str(), &series["series"][0]["values"]),
        (Some("ms"), &json!([10.0, 11.0, 20.0, 21.0]))
    );
    let side = series["runs"][0]["cell"]["side"].as_str().unwrap();
    let one = admin.get(&format!("{TESTS}/a/series?cell=side%3D{side}&runs=1")).await.expect(200);
    assert_eq!((one["runs"].as_array().unwrap().len(), one["runs"][0]["cell"]["side"].as_str()), (1, Some(side)));
    admin.get(&format!("{TESTS}/nothing/series")).await.refused(404, "not_found");
}
