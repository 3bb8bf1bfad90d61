//! pgbouncer in transaction mode, with far fewer connections to PostgreSQL than replicas and requests want.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::Value;
use tstr_api::server;
use tstr_shared::permission::Scope;
use tstr_shared::run::RunResult;
use tstr_tests::checker::{self, Evidence};
use tstr_tests::pgbouncer::Pgbouncer;
use tstr_tests::worker::Worker;
use tstr_tests::{Person, Stack, eventually, factory};

/// How many runs go through the pooler, and by how many workers.
const RUNS: usize = 240;
const WORKERS: usize = 6;
/// Connections to PostgreSQL for each of the three purposes; the two replicas have 40.
const SERVERS: u32 = 2;

/// Two replicas behind a pooler, with a way past it or without.
async fn pooled(direct: bool) -> (Pgbouncer, Stack) {
    let mut pooler = None;
    let stack = Stack::start_with(2, |config| {
        let front = Pgbouncer::start(&config.pg_dsn, SERVERS);
        config.pg_direct_dsn = direct.then(|| config.pg_dsn.clone());
        config.pg_dsn = front.dsn();
        config.pg_pooled = true;
        pooler = Some(front);
    })
    .await;
    (pooler.expect("it was started"), stack)
}

/// Takes runs until all are done: claims, starts, logs, beats, finishes.
async fn work(worker: Worker, done: &tokio::sync::Semaphore) -> usize {
    let mut count = 0;
    while done.available_permits() < RUNS {
        for run in worker.claim_within(4, Duration::from_millis(500)).await {
            worker.start(run.fence).await.unwrap();
            assert_eq!(worker.beat(&[run.fence]).await, [tstr_shared::lease::LeaseState::Held]);
            worker.finish(run.fence, RunResult::Pass).await.unwrap();
            done.add_permits(1);
            count += 1;
        }
    }
    count
}

/// Makes runs on both replicas at once and lets workers of both execute them; checks every invariant.
async fn live_through_many_runs(stack: &Stack) {
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let done = tokio::sync::Semaphore::new(0);
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        workers.push(Worker::register(stack, number % 2, &format!("w{number}")).await);
    }
    let trigger = |number: usize| {
        let there = admin.at(stack.url(number % 2));
        async move { there.trigger("a").await.remove(0) }
    };
    let (ids, counts) = tokio::join!(
        // As many at once as are answered before the pools give up waiting.
        futures_util::stream::iter(0..RUNS).map(trigger).buffered(24).collect::<Vec<_>>(),
        futures_util::future::join_all(workers.into_iter().map(|worker| work(worker, &done)))
    );
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), RUNS);
    assert_eq!(counts.iter().sum::<usize>(), RUNS, "each worker had its share: {counts:?}");
    assert!(counts.iter().all(|count| *count > 0), "each worker had its share: {counts:?}");
    for id in &ids {
        let run = admin.run(id).await;
        assert_eq!((run["result"].as_str(), run["attempt"].as_i64()), (Some("pass"), Some(1)), "{run}");
    }
    checker::check(&mut stack.db.connect().await, &Evidence::default()).await;
}

async fn numbers(stack: &Stack, query: &str) -> Vec<i64> {
    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query.replace("DB", "datname = current_database()")));
    query.fetch_all(&mut stack.db.connect().await).await.unwrap()
}

const LISTENING: &str = "SELECT count(*) FROM pg_stat_activity WHERE DB AND query LIKE 'LISTEN%'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_share_six_connections_through_a_pooler_and_hear_each_other_past_it() {
    let (_pooler, stack) = pooled(true).await;
    assert_eq!(numbers(&stack, LISTENING).await, [2], "one connection of each replica listens");
    live_through_many_runs(&stack).await;
    // Three purposes of two connections, two that listen, and the one that asks.
    let all = numbers(&stack, "SELECT count(*) FROM pg_stat_activity WHERE DB").await[0];
    assert!(all <= i64::from(SERVERS) * 3 + 3, "{all} connections");
    // Woken by a notification: the look that each replica takes by itself comes up to a second later.
    let admin = stack.admin();
    let mut waits = Vec::new();
    for number in 0..5 {
        let worker = Worker::register(&stack, 1, &format!("late{number}")).await;
        let waiting = tokio::spawn(async move { worker.claim_within(1, Duration::from_secs(20)).await.len() });
        tokio::time::sleep(Duration::from_millis(150)).await;
        let asked = Instant::now();
        admin.trigger("a").await;
        assert_eq!(waiting.await.unwrap(), 1);
        waits.push(asked.elapsed());
    }
    waits.sort();
    assert!(waits[1] < Duration::from_millis(400), "woken after {waits:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_way_past_the_pooler_replicas_find_by_looking_what_others_do() {
    let (mut pooler, stack) = pooled(false).await;
    assert_eq!(numbers(&stack, LISTENING).await, [0]);
    live_through_many_runs(&stack).await;
    let (admin, there) = (stack.admin(), stack.admin().at(stack.url(1)));
    // A claim that waits on the other replica.
    let worker = Worker::register(&stack, 1, "late").await;
    let claiming = worker.clone();
    let waiting = tokio::spawn(async move { claiming.claim_within(1, Duration::from_secs(20)).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let asked = Instant::now();
    let id = admin.trigger("a").await.remove(0);
    let run = waiting.await.unwrap().pop().expect("it was found");
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    // Somebody who waits on one replica for an end on the other.
    worker.start(run.fence).await.unwrap();
    let request = admin.request(Method::GET, &format!("/api/v1/runs/{id}")).header("Prefer", "wait=20");
    let (ended, finished) = tokio::join!(admin.send(request), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        worker.finish(run.fence, RunResult::Fail).await
    });
    finished.unwrap();
    assert_eq!(ended.expect(200)["result"], "fail");
    // A token that is revoked on one replica is refused by the other within 5 s.
    let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Data], &["default"])).await.expect(201);
    let reader = there.with_token(issued["token"].as_str().map(str::to_owned));
    reader.get("/api/v1/identity").await.expect(200);
    let id = issued["record"]["id"].as_str().unwrap().to_owned();
    assert!(admin.delete(&format!("/api/v1/tokens/{id}")).await.status.is_success());
    eventually("the other replica refuses it", Duration::from_secs(5), async || {
        (reader.get("/api/v1/identity").await.status == 401).then_some(())
    })
    .await;
    // A pooler that ends and comes back costs a repeat.
    pooler.process().kill();
    drop(pooler);
    let refused = admin.get("/api/v1/namespaces/default/tests").await;
    let problem = refused.refused(503, "unavailable");
    assert_eq!((&problem["retryable"], refused.header("retry-after")), (&Value::Bool(true), "1"));
}

/// Why a replica does not start.
async fn refusal(stack: &Stack, pooled: bool, change: impl FnOnce(String) -> String) -> String {
    let front = Pgbouncer::start_with(&stack.db.dsn(), SERVERS, change);
    let mut config = tstr_api::Config::new(front.dsn(), stack.key_file());
    config.json_addr = "127.0.0.1:0".parse().unwrap();
    config.grpc_addr = config.json_addr;
    config.no_migrate = true;
    config.pg_pooled = pooled;
    let error = server::start(config).await.err().expect("it is refused");
    format!("{error:#}")
}

#[tokio::test]
async fn a_pooler_that_would_mix_clients_up_is_refused_and_told_what_is_missing() {
    let stack = Stack::start().await;
    let unprepared = |ini: String| ini.replace("max_prepared_statements = 200", "max_prepared_statements = 0");
    // As pgbouncer before 1.21 is.
    let unnamed = refusal(&stack, true, unprepared).await;
    let unset = refusal(&stack, true, |ini| ini.replace("SET enable_sort = off", "SET enable_sort = on")).await;
    let missing = refusal(&stack, true, |ini| ini.replace("\ntstr_beat ", "\nother ")).await;
    let plain = refusal(&stack, false, |ini| ini).await;
    let silent = "ignore_startup_parameters = options, extra_float_digits\n";
    let silent = refusal(&stack, false, |ini| ini + silent).await;
    assert!(unnamed.contains("1.21") && unnamed.contains("max_prepared_statements"), "{unnamed}");
    assert!(unset.contains("tstr_claim") && unset.contains("enable_sort=off"), "{unset}");
    assert!(!unset.contains("enable_seqscan"), "{unset}");
    assert!(missing.contains("tstr_beat"), "{missing}");
    assert!(plain.contains("unsupported startup parameter"), "{plain}");
    assert!(silent.contains("--pg-pooled"), "{silent}");
    // And PostgreSQL itself is no pooler.
    let mut config = tstr_api::Config::new(stack.db.dsn(), stack.key_file());
    (config.pg_pooled, config.no_migrate) = (true, true);
    let straight = format!("{:#}", server::start(config).await.err().expect("it is refused"));
    assert!(straight.contains("under our names"), "{straight}");
    let served = Person::new(stack.url(0), None).get("/readyz").await;
    served.expect(200);
}
