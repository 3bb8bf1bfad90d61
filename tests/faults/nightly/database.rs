//! Databases that are away for long, and copies of them that wake up elsewhere.

use std::time::Duration;

use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tstr_proto::v1 as pb;
use tstr_shared::permission::Scope;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::checker::{self, Evidence};
use tstr_tests::postgres::{Stop, bin_dir};
use tstr_tests::process::{command, make_dir, run};
use tstr_tests::replica::{Replica, token_file};
use tstr_tests::{Person, eventually, factory};
use uuid::Uuid;

use crate::load;
use crate::wire::Wire;

/// How many connections a replica opens at the most, and how many replicas there are.
const POOL: i64 = 20;
const REPLICAS: i64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_13_a_database_that_is_away_for_ninety_seconds_costs_attempts_and_no_run() {
    let mut arena = Arena::start(Plan::ordinary(2, 2)).await;
    arena.driver.register(&factory::witness("t", "[ $TSTR_ATTEMPT -ge 2 ] || sleep 75")).await;
    load::trigger(&arena.driver, "t", 4, Duration::ZERO).await.unwrap();
    arena.running(4).await;
    arena.remember().await;
    arena.pg.stop(Stop::Fast);
    // Meanwhile every container is ended: nobody can say whose the runs are.
    tokio::time::sleep(Duration::from_secs(90)).await;
    arena.pg.start_again();
    let mut most = 0;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        most = most.max(arena.count("pg_stat_activity WHERE application_name = 'tstr-api'").await);
    }
    // One more for each replica listens.
    assert!(most <= (POOL + 1) * REPLICAS, "{most} connections came back at once");
    arena.settle(Duration::from_secs(180)).await;
    assert_eq!(arena.count("run_end WHERE result = 'pass' AND attempt = 2").await, 4);
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_47_a_copy_that_was_taken_under_load_is_whole_and_fences_the_old_workers() {
    let arena = Arena::start(Plan::short(2, 2)).await;
    arena.driver.register(&factory::witness("t", "for i in 1 2 3 4; do echo $i; sleep 0.5; done")).await;
    let load = load::trigger(&arena.driver, "t", 30, Duration::from_millis(150));
    arena.running(3).await;
    let (dump, socket) = (make_dir("d").join("dump"), arena.pg.socket_dir().to_owned());
    let tool = |name: &str| {
        let mut tool = command(bin_dir().join(name));
        tool.arg("-h").arg(&socket).args(["-U", "postgres"]);
        tool
    };
    run(tool("pg_dump").args(["-Fc", "-f"]).arg(&dump).arg("tstr"));
    run(tool("createdb").arg("copy"));
    run(tool("pg_restore").args(["--exit-on-error", "-d", "copy"]).arg(&dump));

    // The copy wakes up with replicas of its own; nobody of the old world works for it.
    let dir = make_dir("c");
    std::fs::copy(arena.key_file(), dir.join("key")).unwrap();
    let key = std::fs::metadata(arena.key_file()).unwrap();
    let (uid, gid) = (std::os::unix::fs::MetadataExt::uid(&key), std::os::unix::fs::MetadataExt::gid(&key));
    std::os::unix::fs::chown(dir.join("key"), Some(uid), Some(gid)).unwrap();
    std::fs::copy(arena.token_file(), token_file(&dir)).unwrap();
    std::os::unix::fs::chown(token_file(&dir), Some(uid), Some(gid)).unwrap();
    let dsn = arena.pg.dsn("copy");
    let mut conn = PgConnection::connect(&dsn).await.unwrap();
    let leases: Vec<Value> = sqlx::query_scalar("SELECT to_jsonb(l) FROM lease l").fetch_all(&mut conn).await.unwrap();
    assert!(!leases.is_empty(), "the copy was taken while runs were leased");
    let replica = Replica::start_on(&dsn, &dir, "test").await;
    let admin = Person::new(format!("http://{}", replica.json), Some(arena.token().to_owned()));
    let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Runner], &[".*"])).await.expect(201);
    let grpc = format!("http://{}", replica.grpc);
    let wire = Wire::new(&grpc, issued["token"].as_str().unwrap(), Uuid::new_v4());
    wire.register("heir", 10).await.unwrap();
    eventually("the copy comes to rest", Duration::from_secs(60), async || {
        for fence in wire.claim(10, 200).await.unwrap() {
            wire.start(&fence).await.unwrap();
            assert_eq!(wire.finish(&fence, pb::RunResult::Pass, b"").await, Ok(true));
        }
        let live =
            "SELECT (SELECT count(*) FROM ready) + (SELECT count(*) FROM delayed) + (SELECT count(*) FROM lease)";
        let live: i64 = sqlx::query_scalar(live).fetch_one(&mut conn).await.unwrap();
        (live == 0).then_some(())
    })
    .await;
    // Whoever held a lease when the copy was taken holds none of the copy's.
    for lease in leases {
        let runner: Uuid = lease["runner_id"].as_str().unwrap().parse().unwrap();
        let names = ["w1", "w2"];
        let name: String = sqlx::query_scalar("SELECT name FROM runner WHERE id = $1")
            .bind(runner)
            .fetch_one(&mut conn)
            .await
            .unwrap();
        let post = names.iter().position(|one| *one == name).unwrap();
        let old = Wire::new(&grpc, &arena.posts[post].token, runner);
        let fence = pb::Fence {
            run_id: lease["run_id"].as_str().unwrap().to_owned(),
            attempt: u32::try_from(lease["attempt"].as_u64().unwrap()).unwrap(),
            lease_id: lease["lease_id"].as_str().unwrap().to_owned(),
        };
        assert_eq!(old.beat(&fence).await, Ok(pb::LeaseState::Gone));
        assert!(old.finish(&fence, pb::RunResult::Fail, b"").await.is_err());
    }
    // What worked for the copy has no containers that could bear witness.
    let unseen = "UPDATE config SET body = jsonb_set(body::jsonb, '{run_config,env,WITNESS}', '\"0\"')::json";
    sqlx::query(unseen).execute(&mut conn).await.unwrap();
    let evidence = Evidence { leftovers: Some(Vec::new()), ..Evidence::default() };
    checker::check(&mut conn, &evidence).await;
    drop(replica);
    load.await.unwrap();
    arena.finish(Duration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_17_a_transaction_that_lasts_and_fifty_thousand_dead_rows_do_not_slow_claims_down() {
    const WAITING: usize = 4 * 16 * 16;
    const TURNS: usize = 50;
    let arena = Arena::start(Plan::ordinary(0, 0)).await;
    let none = serde_json::json!({"quotas": {"max_running": null}});
    arena.admin().patch("/api/v1/namespaces/default", &none).await.expect(200);
    let values: Vec<String> = (0..16).map(|number| number.to_string()).collect();
    let axes = serde_json::json!({"a": values, "b": values});
    arena.driver.register(&factory::with(factory::test("t"), "/matrix/labels", axes)).await;
    for part in 0..4 {
        arena.driver.trigger("t", &format!("part-{part}")).await;
    }
    assert_eq!(arena.count("ready").await, WAITING as i64);
    // Somebody looks, and forgets to go: what dies from now on cannot be cleaned up.
    let mut pin = arena.connect().await;
    sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ").execute(&mut pin).await.unwrap();
    sqlx::query("SELECT count(*) FROM ready").execute(&mut pin).await.unwrap();
    let mut churn = arena.connect().await;
    for _ in 0..TURNS {
        let mut turn = churn.begin().await.unwrap();
        for step in [
            "CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM ready",
            "DELETE FROM ready",
            "INSERT INTO ready SELECT * FROM kept",
        ] {
            sqlx::query(step).execute(&mut *turn).await.unwrap();
        }
        turn.commit().await.unwrap();
    }
    sqlx::query("VACUUM ready").execute(&mut churn).await.unwrap();
    let dead = arena.value("SELECT to_jsonb(n_dead_tup) FROM pg_stat_user_tables WHERE relname = 'ready'").await;
    assert!(dead.as_i64().unwrap() >= (WAITING * TURNS) as i64, "{dead} rows are dead");
    let issued = arena.admin().post("/api/v1/tokens", &factory::token(&[Scope::Runner], &[".*"])).await.expect(201);
    let grpc = format!("http://{}", arena.replicas[0].as_ref().unwrap().grpc);
    let wire = Wire::new(&grpc, issued["token"].as_str().unwrap(), Uuid::new_v4());
    wire.register("w", 1000).await.unwrap();
    let (mut took, mut fences) = (Vec::new(), Vec::new());
    for _ in 0..300 {
        let began = std::time::Instant::now();
        fences.extend(wire.claim(1, 1000).await.unwrap());
        took.push(began.elapsed());
    }
    took.sort();
    let (median, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    eprintln!("{dead} dead rows; a claim took {median:.1?}, p99 {p99:.1?}");
    assert_eq!(fences.len(), 300);
    assert!(p99 < Duration::from_millis(50), "a claim took {median:?}, p99 {p99:?}");
    sqlx::query("ROLLBACK").execute(&mut pin).await.unwrap();
    // A worker has no more than its slots.
    while !fences.is_empty() {
        for fence in fences.drain(..) {
            wire.start(&fence).await.unwrap();
            assert_eq!(wire.finish(&fence, pb::RunResult::Pass, b"").await, Ok(true));
        }
        fences.extend(wire.claim(100, 500).await.unwrap());
    }
    arena.finish(Duration::from_secs(20)).await;
}
