//! A database that has gone back: what replicas remember of it is about rows that may be others now.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use tstr_api::ops::claims::Claim;
use tstr_shared::lease::LeasedRun;
use tstr_shared::run::RunResult;
use tstr_tests::postgres::{Postgres, Stop};
use tstr_tests::worker::Worker;
use tstr_tests::{Stack, eventually, factory};

/// Lets the keys of all configurations and classes belong to something else.
const SWAP: &str = "UPDATE config SET body = jsonb_set(body::jsonb, '{test_name}', '\"other\"')::json;
                    UPDATE class SET labels = '{\"region\": \"other\"}'";

async fn execute(worker: &Worker, run: LeasedRun) -> (String, String) {
    worker.start(run.fence).await.unwrap();
    worker.finish(run.fence, RunResult::Pass).await.unwrap();
    (run.test_name, run.labels.get("region").unwrap().to_owned())
}

/// Claims a run, as often as it takes.
async fn claimed(worker: &Worker) -> LeasedRun {
    eventually("a run is given", Duration::from_secs(30), async || {
        let claim = Claim {
            runner_id: worker.id,
            max: 1,
            wait: Duration::from_secs(2),
            claim_id: uuid::Uuid::new_v4(),
            only_repeat: false,
            first: true,
        };
        worker.ops.claim(&worker.caller, claim).await.ok()?.pop()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_another_timeline_nothing_is_given_by_what_is_remembered_of_the_one_before() {
    let mut pg = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    PgConnection::connect(&pg.dsn("postgres")).await.unwrap().execute("CREATE DATABASE tstr").await.unwrap();
    let stack = Stack::start_with(1, |config| {
        config.pg_dsn = pg.dsn("tstr");
        config.no_migrate = false;
    })
    .await;
    let admin = stack.admin();
    admin.register(&factory::with(factory::test("a"), "/labels", json!({"region": "nyc"}))).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let known = ("a".to_owned(), "nyc".to_owned());
    admin.trigger("a").await;
    assert_eq!(execute(&worker, claimed(&worker).await).await, known);

    PgConnection::connect(&pg.dsn("tstr")).await.unwrap().execute(SWAP).await.unwrap();
    admin.trigger("a").await;
    assert_eq!(execute(&worker, claimed(&worker).await).await, known, "rows that never change are not read again");

    let pg = tokio::task::spawn_blocking(move || {
        pg.stop(Stop::Fast);
        pg.start_forked();
        pg
    })
    .await
    .unwrap();
    eventually("runs are made again", Duration::from_secs(30), async || {
        let made = admin.post("/api/v1/namespaces/default/tests/a/runs", &json!({})).await;
        (made.status == 201).then_some(())
    })
    .await;
    let found = execute(&worker, claimed(&worker).await).await;
    assert_eq!(found, ("other".to_owned(), "other".to_owned()), "they are read again");
    drop((stack, pg));
}
