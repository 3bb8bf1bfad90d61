//! The quotas of a namespace hold, also when many come at once on several replicas.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use serde_json::json;
use tstr_shared::run::RunResult;
use tstr_tests::worker::Worker;
use tstr_tests::{Stack, factory};

const TESTS: &str = "/api/v1/namespaces/small/tests";
const RUNS: &str = "/api/v1/namespaces/small/runs?page_size=1000";

async fn small(stack: &Stack, quotas: serde_json::Value) {
    let admin = stack.admin();
    admin.post("/api/v1/namespaces", &json!({"name": "small", "quotas": quotas})).await.expect(201);
    admin.post(TESTS, &factory::test("a")).await.expect(201);
}

#[tokio::test]
async fn what_does_not_fit_into_the_queue_is_refused_whole_and_stores_nothing() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    small(&stack, json!({"max_queued": 3})).await;
    admin.post(TESTS, &factory::with(factory::test("pair"), "/matrix/labels/i", json!(["1", "2"]))).await.expect(201);
    admin.trigger_in("small", "a").await;
    let first = admin.trigger_in("small", "pair").await.remove(0);
    for test in ["a", "pair"] {
        let refused = admin.post(&format!("{TESTS}/{test}/runs"), &json!({})).await;
        assert_eq!(refused.header("retry-after"), "10");
        assert_eq!(refused.refused(429, "quota_exceeded")["retryable"], true);
    }
    assert_eq!(admin.get(RUNS).await.expect(200)["items"].as_array().unwrap().len(), 3);
    // What was put off waits too.
    let later = json!({"not_before": chrono::Utc::now() + chrono::Duration::hours(1)});
    admin.post(&format!("{TESTS}/a/runs"), &later).await.refused(429, "quota_exceeded");
    // A run that ends makes room for one, not for two.
    admin.post(&format!("/api/v1/runs/{first}/cancel"), &json!({})).await.expect(202);
    admin.post(&format!("{TESTS}/pair/runs"), &json!({})).await.refused(429, "quota_exceeded");
    admin.trigger_in("small", "a").await;
    // A retry counts like any other run; with no limit nothing is refused.
    admin.post(&format!("/api/v1/runs/{first}/retry"), &json!({})).await.refused(429, "quota_exceeded");
    admin.patch("/api/v1/namespaces/small", &json!({"quotas": {"max_queued": null}})).await.expect(200);
    assert_eq!(admin.post(&format!("/api/v1/runs/{first}/retry"), &json!({})).await.status, 201);
    // The quota of one namespace is none of another's.
    admin.patch("/api/v1/namespaces/small", &json!({"quotas": {"max_queued": 0}})).await.expect(200);
    admin.post(&format!("{TESTS}/a/runs"), &json!({})).await.refused(429, "quota_exceeded");
    admin.register(&factory::test("a")).await;
    admin.trigger("a").await;
}

#[tokio::test]
async fn triggers_at_once_on_two_replicas_do_not_exceed_the_queue_together() {
    let stack = Stack::start_with(2, |_| {}).await;
    let admin = stack.admin();
    small(&stack, json!({"max_queued": 7})).await;
    let tries = (0..24).map(|i| {
        let person = admin.at(stack.url(i % 2));
        async move { person.post(&format!("{TESTS}/a/runs"), &json!({})).await }
    });
    let answers = futures_util::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 7);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        refused.refused(429, "quota_exceeded");
    }
    assert_eq!(admin.get(RUNS).await.expect(200)["items"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn claimers_on_two_replicas_never_hold_more_than_may_run() {
    const MAX_RUNNING: i64 = 3;
    let stack = Stack::start_with(2, |_| {}).await;
    let admin = stack.admin();
    small(&stack, json!({"max_running": MAX_RUNNING})).await;
    let axis: Vec<_> = (0..30).map(|i| i.to_string()).collect();
    admin.post(TESTS, &factory::with(factory::test("many"), "/matrix/labels/i", json!(axis))).await.expect(201);
    // What the database holds is looked at all the while.
    let (ended, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let watch = tokio::spawn({
        let (ended, most, mut conn) = (ended.clone(), most.clone(), stack.db.connect().await);
        async move {
            while !ended.load(Ordering::Relaxed) {
                let held: i64 = sqlx::query_scalar("SELECT count(*) FROM lease").fetch_one(&mut conn).await.unwrap();
                most.fetch_max(held, Ordering::Relaxed);
            }
        }
    });
    let mut workers = Vec::new();
    for i in 0..4 {
        workers.push(Worker::register(&stack, i % 2, &format!("w{i}")).await);
    }
    admin.trigger_in("small", "many").await;
    let done = Arc::new(AtomicI64::new(0));
    let tasks: Vec<_> = workers
        .into_iter()
        .map(|worker| {
            let done = done.clone();
            tokio::spawn(async move {
                while done.load(Ordering::Relaxed) < 30 {
                    for run in worker.claim_within(5, Duration::from_millis(500)).await {
                        worker.start(run.fence).await.unwrap();
                        worker.finish(run.fence, RunResult::Pass).await.unwrap();
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let all = futures_util::future::join_all(tasks);
    for task in tokio::time::timeout(Duration::from_secs(60), all).await.expect("all runs get their turn") {
        task.unwrap();
    }
    ended.store(true, Ordering::Relaxed);
    watch.await.unwrap();
    let most = most.load(Ordering::Relaxed);
    assert!((1..=MAX_RUNNING).contains(&most), "{most} ran at once");
    assert_eq!(admin.get(&format!("{RUNS}&result=pass")).await.expect(200)["items"].as_array().unwrap().len(), 30);
}

#[tokio::test]
async fn room_that_is_made_goes_to_a_claim_that_waits() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    small(&stack, json!({"max_running": 1})).await;
    let worker = Worker::register(&stack, 0, "w").await;
    for _ in 0..2 {
        admin.trigger_in("small", "a").await;
    }
    let held = worker.claim(5).await;
    assert_eq!(held.len(), 1);
    assert!(worker.claim(5).await.is_empty());
    let waiting = tokio::spawn({
        let worker = worker.clone();
        async move { worker.claim_within(5, Duration::from_secs(20)).await.len() }
    });
    worker.start(held[0].fence).await.unwrap();
    worker.finish(held[0].fence, RunResult::Pass).await.unwrap();
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it is woken").unwrap(), 1);
    // A raised quota is room, too.
    admin.trigger_in("small", "a").await;
    assert!(worker.claim(5).await.is_empty());
    admin.patch("/api/v1/namespaces/small", &json!({"quotas": {"max_running": 2}})).await.expect(200);
    assert_eq!(worker.claim_within(5, Duration::from_secs(10)).await.len(), 1);
}

#[tokio::test]
async fn labels_that_are_new_with_every_run_are_refused_before_they_fill_memories() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    small(&stack, json!({"max_queued": null})).await;
    admin.trigger_in("small", "a").await;
    let full = "INSERT INTO class (ns_id, labels_hash, labels)
                SELECT (SELECT id FROM namespace WHERE name = 'small'), decode(md5(n::text), 'hex'), '{}'
                FROM generate_series(2, $1) n";
    let most = tstr_api::store::queue::MAX_CLASSES;
    sqlx::query(full).bind(most).execute(&mut stack.db.connect().await).await.unwrap();
    let with_label = json!({"labels": {"commit": "0a1b2c"}});
    let refused = admin.post(&format!("{TESTS}/a/runs"), &with_label).await.refused(429, "quota_exceeded");
    assert!(refused["detail"].as_str().unwrap().contains("annotations"), "{refused}");
    // What places runs as others are placed goes on, and other namespaces are not touched.
    admin.trigger_in("small", "a").await;
    admin.register(&factory::test("a")).await;
    admin.post("/api/v1/namespaces/default/tests/a/runs", &with_label).await.expect(201);
}
