//! A database that has gone back: what replicas remember of it is about rows that may be others now.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use tstr_api::ops::claims::Claim;
use tstr_shared::lease::LeasedRun;
use tstr_shared::run::RunResult;
use tstr_tests::postgres::{Postgres, Stop};
use tstr_tests::worker::Worker;
use tstr_tests::{Person, Stack, eventually, factory};

const NAMESPACES: [&str; 2] = ["default", "other"];

/// Lets the keys of all configurations and classes belong to something else.
const SWAP: &str = "UPDATE config SET body = jsonb_set(body::jsonb, '{test_name}', '\"other\"')::json;
                    UPDATE class SET labels = '{\"region\": \"other\"}'";

async fn execute(worker: &Worker, run: LeasedRun) -> (String, String) {
    worker.start(run.fence).await.unwrap();
    worker.finish(run.fence, RunResult::Pass).await.unwrap();
    (run.test_name, run.labels.get("region").unwrap().to_owned())
}

/// Claims and executes a run of each of the two namespaces, as often as it takes.
async fn both(worker: &Worker) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while found.len() < 2 {
        let runs = eventually("runs are given", Duration::from_secs(30), async || {
            let claim = Claim {
                runner_id: worker.id,
                max: 2,
                wait: Duration::from_secs(2),
                claim_id: uuid::Uuid::new_v4(),
                only_repeat: false,
                first: true,
            };
            worker.ops.claim(&worker.caller, claim).await.ok().filter(|runs| !runs.is_empty())
        });
        for run in runs.await {
            found.push(execute(worker, run).await);
        }
    }
    found
}

/// Makes a run in each of the two namespaces, as often as it takes.
async fn trigger(admin: &Person) {
    for namespace in NAMESPACES {
        eventually("a run is made", Duration::from_secs(30), async || {
            let made = admin.post(&format!("/api/v1/namespaces/{namespace}/tests/a/runs"), &json!({})).await;
            (made.status == 201).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_another_timeline_nothing_is_given_by_what_is_remembered_of_the_one_before() {
    let pg = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    PgConnection::connect(&pg.dsn("postgres")).await.unwrap().execute("CREATE DATABASE tstr").await.unwrap();
    let stack = Stack::start_with(1, |config| {
        config.pg_dsn = pg.dsn("tstr");
        config.no_migrate = false;
    })
    .await;
    let admin = stack.admin();
    stack.namespace(NAMESPACES[1]).await;
    for namespace in NAMESPACES {
        let test = factory::with(factory::test("a"), "/labels", json!({"region": "nyc"}));
        admin.post(&format!("/api/v1/namespaces/{namespace}/tests"), &test).await.expect(201);
    }
    let worker = Worker::register(&stack, 0, "w").await;
    let known = vec![("a".to_owned(), "nyc".to_owned()); 2];
    trigger(&admin).await;
    assert_eq!(both(&worker).await, known);

    PgConnection::connect(&pg.dsn("tstr")).await.unwrap().execute(SWAP).await.unwrap();
    trigger(&admin).await;
    assert_eq!(both(&worker).await, known, "rows that never change are not read again");

    let pg = tokio::task::spawn_blocking(move || {
        let mut pg = pg;
        pg.stop(Stop::Fast);
        pg.start_forked();
        pg
    })
    .await
    .unwrap();
    trigger(&admin).await;
    let anew = vec![("other".to_owned(), "other".to_owned()); 2];
    assert_eq!(both(&worker).await, anew, "they are read again");
    drop((stack, pg));
}
