//! Requests that last: followed logs through attempts and revocations, and many requests on few connections.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::json;
use tstr_api::ops::logs::LogQuery;
use tstr_shared::error::ErrorCode;
use tstr_shared::logs::Stream::Stdout;
use tstr_shared::permission::Scope;
use tstr_shared::run::RunResult;
use tstr_tests::worker::Worker;
use tstr_tests::{Stack, factory};

use super::TESTS;

/// How many pieces each log has: more than one read fetches, and not a multiple of it.
const PIECES: usize = 37;

#[tokio::test]
async fn a_slow_reader_follows_through_all_attempts_though_the_run_has_long_finished() {
    let stack = Stack::start().await;
    let worker = Worker::register(&stack, 0, "w").await;
    let (admin, ops) = (stack.admin(), stack.replica(0).ops());
    let body = factory::with(factory::test("a"), "/retry", json!({"on_fail": 2}));
    admin.put(&format!("{TESTS}/a"), &body).await;
    let run = admin.trigger("a").await.remove(0).parse().unwrap();
    let caller = ops.authenticate(stack.admin_token()).await.unwrap();
    let query = LogQuery { follow: true, ..LogQuery::default() };
    let mut log = pin!(ops.read_logs(&caller, run, query).await.unwrap());
    let mut told = String::new();
    for attempt in 1..=3 {
        let fence = worker.running().await;
        let lines: Vec<String> = (0..PIECES).map(|i| format!("{attempt}.{i}\n")).collect();
        worker.write(fence, &lines.iter().map(|line| (Stdout, line.as_bytes())).collect::<Vec<_>>()).await;
        if attempt == 1 {
            told.push_str(std::str::from_utf8(&log.next().await.unwrap().unwrap().data).unwrap());
        }
        let result = if attempt == 3 { RunResult::Pass } else { RunResult::Fail };
        worker.finish(fence, result).await.unwrap();
    }
    while let Some(piece) = log.next().await {
        told.push_str(std::str::from_utf8(&piece.unwrap().data).unwrap());
    }
    let all: String = (1..=3).flat_map(|attempt| (0..PIECES).map(move |i| format!("{attempt}.{i}\n"))).collect();
    assert_eq!(told, all);
}

#[tokio::test]
async fn a_revoked_token_follows_no_log_and_waits_for_no_run() {
    let stack = Stack::start_with(2, |_| {}).await;
    let worker = Worker::register(&stack, 1, "w").await;
    let admin = stack.admin();
    admin.put(&format!("{TESTS}/a"), &factory::test("a")).await;
    let run = admin.trigger("a").await.remove(0);
    let fence = worker.running().await;
    worker.write(fence, &[(Stdout, b"before")]).await;
    let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Data], &[".*"])).await.expect(201);
    let reader = admin.with_token(issued["token"].as_str().map(str::to_owned));
    let request = reader.request(Method::GET, &format!("/api/v1/runs/{run}/logs?follow=true"));
    let mut log = request.send().await.unwrap().bytes_stream();
    assert!(log.next().await.unwrap().is_ok());
    // Revoked on the other replica: this one hears of it within five seconds.
    let elsewhere = admin.at(stack.url(1));
    let id = issued["record"]["id"].as_str().unwrap();
    elsewhere.send(elsewhere.request(Method::DELETE, &format!("/api/v1/tokens/{id}"))).await.expect(200);
    let rest = async { while log.next().await.is_some_and(|piece| piece.is_ok()) {} };
    tokio::time::timeout(Duration::from_secs(5), rest).await.expect("the log is cut off");
    worker.finish(fence, RunResult::Pass).await.unwrap();
}

#[tokio::test]
async fn a_worker_whose_token_is_revoked_waits_for_no_more_runs() {
    let stack = Stack::start().await;
    let worker = Worker::register(&stack, 0, "w").await;
    let admin = stack.admin();
    let waiting = {
        let worker = worker.clone();
        tokio::spawn(async move { worker.claim_code(Duration::from_secs(30)).await })
    };
    let id = worker.caller.token_id();
    admin.send(admin.request(Method::DELETE, &format!("/api/v1/tokens/{id}"))).await.expect(200);
    admin.put(&format!("{TESTS}/a"), &factory::test("a")).await;
    admin.trigger("a").await;
    let refused = tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("it is answered").unwrap();
    assert_eq!(refused, Err(ErrorCode::Unauthenticated));
}

#[tokio::test]
async fn more_triggers_at_once_than_there_are_connections_all_go_through() {
    let stack = Stack::start_with(1, |config| config.pg_connections = 5).await;
    let admin = stack.admin();
    admin.put(&format!("{TESTS}/a"), &factory::test("a")).await.expect(201);
    // Long enough for the list of namespaces to grow old under them more than once.
    let until = tokio::time::Instant::now() + Duration::from_secs(5);
    let mut people = tokio::task::JoinSet::new();
    for _ in 0..24 {
        let admin = admin.clone();
        people.spawn(async move {
            let mut count = 0;
            while tokio::time::Instant::now() < until {
                count += admin.trigger("a").await.len();
            }
            count
        });
    }
    let triggered: usize = people.join_all().await.into_iter().sum();
    let mut listed = stack.db.connect().await;
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM run").fetch_one(&mut listed).await.unwrap();
    assert_eq!(stored, triggered as i64);
}
