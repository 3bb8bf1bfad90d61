//! Lists that are read from a streaming standby, and everything that is not.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tstr_api::config::LeaseProfile;
use tstr_api::server::Running;
use tstr_api::{Config, server};
use tstr_tests::postgres::{Postgres, Stop};
use tstr_tests::process::{command, make_dir, run};
use tstr_tests::{Person, eventually, factory};

const TESTS: &str = "/api/v1/namespaces/default/tests";

/// A primary, a standby, and a replica of the API that reads lists from it while it is at most 3 s behind.
struct World {
    primary: Postgres,
    standby: Postgres,
    replica: Running,
    admin: Person,
}

impl World {
    async fn start() -> Self {
        let (primary, standby, dir) = tokio::task::spawn_blocking(|| {
            let primary = Postgres::start();
            let standby = primary.standby();
            (primary, standby, make_dir("s"))
        })
        .await
        .unwrap();
        execute(&primary.dsn("postgres"), "CREATE DATABASE tstr").await;
        let token_file = dir.join("admin.token");
        let mut config = Config::new(primary.dsn("tstr"), dir.join("key"));
        config.json_addr = "127.0.0.1:0".parse().unwrap();
        config.grpc_addr = config.json_addr;
        config.bootstrap_token_file = Some(token_file.clone());
        config.lease_times = LeaseProfile::Test;
        config.pg_replica_dsn = Some(standby.dsn("tstr"));
        config.pg_replica_lag_secs = 3;
        let replica = server::start(config).await.unwrap();
        let token = std::fs::read_to_string(token_file).unwrap().trim().to_owned();
        let admin = Person::new(format!("http://{}", replica.json_addr()), Some(token));
        Self { primary, standby, replica, admin }
    }

    /// Reads a metric; absent before it is first told.
    async fn metric(&self, name: &str) -> f64 {
        let text = self.admin.get("/metrics").await.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    async fn until_usable(&self, usable: bool) {
        let wanted = if usable { 1.0 } else { 0.0 };
        eventually(&format!("usable: {usable}"), Duration::from_secs(20), async || {
            (self.metric("tstr_pg_replica_usable").await == wanted).then_some(())
        })
        .await;
    }

    async fn names(&self) -> Vec<String> {
        let listed = self.admin.get(TESTS).await.expect(200);
        let names = listed["items"].as_array().unwrap().iter().map(|test| test["name"].as_str().unwrap().to_owned());
        names.collect()
    }

    /// How many lists the standby has answered.
    async fn read_there(&self) -> f64 {
        self.metric("tstr_list_reads_total{from=\"replica\"}").await
    }
}

async fn execute(dsn: &str, statement: &str) {
    let mut conn = PgConnection::connect(dsn).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut conn).await.unwrap();
}

async fn pause(standby: &Postgres) {
    let mut conn = PgConnection::connect(&standby.dsn("postgres")).await.unwrap();
    sqlx::query("SELECT pg_wal_replay_pause()").execute(&mut conn).await.unwrap();
    eventually("replay is paused", Duration::from_secs(10), async || {
        let state: String =
            sqlx::query_scalar("SELECT pg_get_wal_replay_pause_state()").fetch_one(&mut conn).await.unwrap();
        (state == "paused").then_some(())
    })
    .await;
}

/// How many rows lists hold: runs, classes of the queue, instants.
async fn lengths(world: &World) -> [usize; 2] {
    let mut lengths = [0; 2];
    for (length, list) in lengths.iter_mut().zip(["runs", "queue"]) {
        let listed = world.admin.get(&format!("/api/v1/namespaces/default/{list}")).await.expect(200);
        *length = listed["items"].as_array().unwrap().len();
    }
    lengths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_come_from_the_standby_while_it_is_near_and_everything_else_from_the_primary() {
    let world = World::start().await;
    let admin = &world.admin;
    admin.register(&factory::test("a")).await;
    admin.register(&factory::test("b")).await;
    world.until_usable(true).await;
    eventually("the standby has both", Duration::from_secs(10), async || {
        (world.names().await == ["a", "b"]).then_some(())
    })
    .await;
    assert!(world.read_there().await > 0.0);
    let second_page = {
        let page = admin.get(&format!("{TESTS}?page_size=1")).await.expect(200);
        format!("{TESTS}?page_size=1&page_token={}", page["next_page_token"].as_str().unwrap())
    };

    // It stands still: lists show what was, everything else what is.
    pause(&world.standby).await;
    admin.register(&factory::test("c")).await;
    let run = admin.trigger("c").await.remove(0);
    assert_eq!(world.names().await, ["a", "b"], "the standby has answered");
    assert_eq!(lengths(&world).await, [0, 0]);
    assert_eq!(admin.run(&run).await["state"], "queued");
    admin.get(&format!("{TESTS}/c")).await.expect(200);
    // A list of something that the standby does not know yet is asked of the primary.
    assert_eq!(admin.get(&format!("{TESTS}/c/ledger")).await.expect(200)["items"], json!([]));
    let warned = admin.put(&format!("{TESTS}/c"), &factory::test("c")).await;
    assert!(warned.status.is_success(), "what decides sees the newest: {}", warned.text());

    // Further behind than 3 s it is asked no more; a page token goes on where the other's page has ended.
    eventually("the primary answers", Duration::from_secs(10), async || {
        (world.names().await == ["a", "b", "c"]).then_some(())
    })
    .await;
    world.until_usable(false).await;
    assert!(world.metric("tstr_pg_replica_lag_seconds").await > 2.9);
    assert_eq!(lengths(&world).await, [1, 1]);
    let at_primary = admin.get(&second_page).await.expect(200);
    assert_eq!(at_primary["items"][0]["name"], "b");

    execute(&world.standby.dsn("postgres"), "SELECT pg_wal_replay_resume()").await;
    world.until_usable(true).await;
    let before = world.read_there().await;
    let third = format!("{TESTS}?page_size=1&page_token={}", at_primary["next_page_token"].as_str().unwrap());
    assert_eq!(admin.get(&third).await.expect(200)["items"][0]["name"], "c");
    assert_eq!(world.names().await, ["a", "b", "c"]);
    assert!(world.read_there().await >= before + 2.0, "the standby answers again");
    world.replica.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_ends_or_goes_its_own_way_is_missed_by_nobody() {
    let world = World::start().await;
    world.admin.register(&factory::test("a")).await;
    world.until_usable(true).await;
    // It ends as a crash would end it: no request notices.
    world.standby.stop(Stop::Immediate);
    for _ in 0..20 {
        assert_eq!(world.names().await, ["a"]);
    }
    world.until_usable(false).await;
    world.standby.start_again();
    world.until_usable(true).await;
    let before = world.read_there().await;
    assert_eq!(world.names().await, ["a"]);
    assert!(world.read_there().await > before);

    // Made a primary of its own, it is a copy no more.
    world.standby.promote();
    world.until_usable(false).await;
    world.admin.register(&factory::test("b")).await;
    assert_eq!(world.names().await, ["a", "b"]);
    let written: Value = {
        let mut conn = PgConnection::connect(&world.standby.dsn("tstr")).await.unwrap();
        sqlx::query_scalar("SELECT to_jsonb(count(*)) FROM test").fetch_one(&mut conn).await.unwrap()
    };
    assert_eq!(written, json!(1), "nothing was ever written there");

    // It writes on, and is made a standby again: at a place that its primary has not reached yet, but of another history.
    execute(&world.standby.dsn("tstr"), "CREATE TABLE own AS SELECT generate_series(1, 100000) AS n").await;
    world.standby.stop(Stop::Fast);
    run(command("/bin/touch").arg(world.standby.socket_dir().join("standby.signal")));
    world.standby.start_again();
    let ahead = "SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() > $1::pg_lsn";
    let primary: String = sqlx::query_scalar("SELECT pg_current_wal_lsn()::text")
        .fetch_one(&mut PgConnection::connect(&world.primary.dsn("tstr")).await.unwrap())
        .await
        .unwrap();
    let mut conn = PgConnection::connect(&world.standby.dsn("tstr")).await.unwrap();
    let is_ahead: bool = sqlx::query_scalar(ahead).bind(primary).fetch_one(&mut conn).await.unwrap();
    assert!(is_ahead, "it has more than its primary");
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(world.metric("tstr_pg_replica_usable").await, 0.0);
        assert_eq!(world.names().await, ["a", "b"]);
    }
    world.replica.stop().await.unwrap();
    world.primary.stop(Stop::Fast);
}
