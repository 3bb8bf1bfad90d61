//! Thousands of tests that are due at one instant: the scheduler beside `INSERT … SELECT` of the rows that it makes.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::time::Instant;
use tstr_tests::factory;

use super::Found;
use crate::Bench;
use crate::api::Api;
use crate::goals::{Bound, Goal};
use crate::samples::median;
use crate::server::{Server, backend_pid};
use crate::table::{Table, count, ratio, whole};

/// How many cells each test has.
const CELLS: u64 = 10;
/// How far ahead an instant is set, so that the scheduler waits for it.
const AHEAD: Duration = Duration::from_secs(2);
/// How often it is looked whether the scheduler is done.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What guards the runs of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing: `policy: allow`.
    Open,
    /// What every schedule has unless it says otherwise: one run at a time in each cell.
    Gated,
}

/// What a round of one kind gave.
struct Round {
    ours_per_s: f64,
    theirs_per_s: f64,
    ours_us: f64,
    theirs_us: f64,
    api_us: f64,
}

/// Measures.
pub async fn run(bench: &Bench) -> Result<Found> {
    let plan = &bench.plan;
    let api = Api::start(&bench.server, "enqueue").await?;
    let mut conn = bench.server.connect("enqueue").await?;
    let half = plan.due_tests / 2;
    for (kind, name) in [(Kind::Open, "open"), (Kind::Gated, "gated")] {
        register(&api, &mut conn, name, kind, half).await?;
    }
    for table in ["run", "ready", "run_event", "gated"] {
        let copy = format!("CREATE TABLE bench_{table} (LIKE {table} INCLUDING ALL)");
        sqlx::query(sqlx::AssertSqlSafe(copy)).execute(&mut conn).await?;
    }
    // Once for the configurations and gates, which the later instants find.
    let first = round(bench, &api, &mut conn, "open", half).await?;
    round(bench, &api, &mut conn, "gated", half).await?;
    let (mut open, mut gated) = (Vec::new(), Vec::new());
    for number in 0..plan.rounds {
        bench.say(&format!("enqueue, round {} of {}", number + 1, plan.rounds));
        for (name, rounds) in [("open", &mut open), ("gated", &mut gated)] {
            rounds.push(round(bench, &api, &mut conn, name, half).await?);
        }
    }
    api.stop()?;
    drop(conn);
    bench.server.drop_database("enqueue").await?;
    Ok(report(&first, &open, &gated, half))
}

/// Registers a test, and clones it until there are so many.
async fn register(api: &Api, conn: &mut PgConnection, name: &str, kind: Kind, tests: u32) -> Result<()> {
    let axis: Vec<String> = (0..CELLS).map(|n| n.to_string()).collect();
    let test = factory::with(factory::test(&format!("{name}-0")), "/cron_schedule", json!("0 0 1 1 *"));
    let test = factory::with(test, "/matrix", json!({"labels": {"n": axis}}));
    let test = match kind {
        Kind::Open => factory::with(test, "/concurrency", json!({"policy": "allow"})),
        Kind::Gated => test,
    };
    clone_test(api, conn, &test, name, tests).await
}

/// Registers a test that is on the schedule under the name `NAME-0`, and clones of it as `NAME-1` and so on.
pub async fn clone_test(api: &Api, conn: &mut PgConnection, test: &Value, name: &str, tests: u32) -> Result<()> {
    const CLONE: &str = "
        WITH first AS (SELECT * FROM test WHERE name = $1 || '-0'),
        made AS (
            INSERT INTO test (id, ns_id, name, doc)
            SELECT gen_random_uuid(), ns_id, $1 || '-' || n, (doc::jsonb || jsonb_build_object('name', $1 || '-' || n))::json
            FROM first, generate_series(1, $2 - 1) AS n
            RETURNING id
        )
        INSERT INTO schedule (test_id, next_at) SELECT id, 'infinity' FROM made";
    api.register(test).await;
    sqlx::query(CLONE).bind(name).bind(i32::try_from(tests)?).execute(&mut *conn).await?;
    sqlx::query("VACUUM (ANALYZE) test, schedule").execute(conn).await?;
    Ok(())
}

/// Lets the tests of a name be due at one instant; returns the instant and how long it took until none was due any more.
pub async fn fall_due(conn: &mut PgConnection, name: &str) -> Result<(DateTime<Utc>, Duration)> {
    const SET: &str = "
        UPDATE schedule s SET next_at = date_trunc('second', now()) + $2
        FROM test t WHERE t.id = s.test_id AND t.name LIKE $1 || '-%'
        RETURNING next_at";
    let at: Vec<DateTime<Utc>> = sqlx::query_scalar(SET).bind(name).bind(AHEAD).fetch_all(&mut *conn).await?;
    let at = *at.first().context("a test")?;
    let early = (at - Utc::now()).to_std().context("the instant is in the future")?;
    tokio::time::sleep(early).await;
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(300);
    loop {
        let due: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM schedule WHERE next_at <= $1)")
            .bind(at)
            .fetch_one(&mut *conn)
            .await?;
        if !due {
            return Ok((at, begun.elapsed()));
        }
        ensure!(Instant::now() < deadline, "the scheduler was not done within 300 s");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn round(bench: &Bench, api: &Api, conn: &mut PgConnection, name: &str, tests: u32) -> Result<Round> {
    let server = &bench.server;
    let ignored = [backend_pid(conn).await?];
    let (db, own) = (server.cpu_us(&ignored), api.cpu_us());
    let (at, took) = fall_due(conn, name).await?;
    let (ours_us, api_us) = (server.cpu_us(&ignored) - db, api.cpu_us() - own);
    let (rows, copied, theirs_us) = copy(server, conn, at).await?;
    let wanted = u64::from(tests) * CELLS;
    if rows != wanted {
        let told = "SELECT coalesce(jsonb_agg(t), '[]') FROM (
                        SELECT outcome, reason, count(*) FROM ledger WHERE scheduled_for = $1 GROUP BY 1, 2) t";
        let ledger: Value = sqlx::query_scalar(told).bind(at).fetch_one(&mut *conn).await?;
        bail!("{rows} runs were made where {wanted} should be; the ledger says {ledger}");
    }
    // As if all of them had run: the next instant is not held back, and the queue does not grow from round to round.
    for statement in ["DELETE FROM gated", "DELETE FROM ready", "VACUUM gated, ready, gate"] {
        sqlx::query(statement).execute(&mut *conn).await?;
    }
    let runs = rows as f64;
    Ok(Round {
        ours_per_s: runs / took.as_secs_f64(),
        theirs_per_s: runs / copied.as_secs_f64(),
        ours_us: ours_us / runs,
        theirs_us: theirs_us / runs,
        api_us: api_us / runs,
    })
}

/// Copies all rows of the runs of an instant into tables of the same shape, in one transaction; returns how many runs there
/// are, how long it took and how much processor time.
async fn copy(server: &Server, conn: &mut PgConnection, at: DateTime<Utc>) -> Result<(u64, Duration, f64)> {
    const COPY: &str = "
        WITH made AS MATERIALIZED (
            SELECT * FROM run WHERE id >= id_floor($1) AND id < id_floor($1 + interval '1 millisecond')
        ),
        runs AS (INSERT INTO bench_run SELECT * FROM made),
        waits AS (
            INSERT INTO bench_ready (lane, seq, run_id, expires_at, config_id)
            SELECT class_id * 4 + priority, seq, id, clock_timestamp() + make_interval(secs => queue_secs), config_id FROM made
        ),
        gates AS (
            INSERT INTO bench_gated (run_id, ns_id, matrix_id, group_key, group_slot, policy, depth, overflow, max_parallel,
                                     matrix_slot, lane, seq, due, expires_at)
            SELECT run_id, g.ns_id, g.matrix_id, group_key, group_slot, policy, depth, overflow, max_parallel, matrix_slot,
                   lane, g.seq, due, expires_at
            FROM gated g JOIN made m ON m.id = g.run_id
        )
        INSERT INTO bench_run_event (run_id, state_to, attempt, actor) SELECT id, 'queued', 0, created_by FROM made";
    let begun = Instant::now();
    let cpu = server.cpu_us(&[]);
    let rows = sqlx::query(COPY).bind(at).execute(&mut *conn).await?.rows_affected();
    let took = begun.elapsed();
    let used = server.cpu_us(&[]) - cpu;
    sqlx::query("DELETE FROM bench_gated").execute(conn).await?;
    Ok((rows, took, used))
}

fn report(first: &Round, open: &[Round], gated: &[Round], tests: u32) -> Found {
    let mut table = Table::new(
        "Tests that are due at once",
        &format!(
            "{} tests of {CELLS} cells at each instant; the scheduler of one replica against one `INSERT … SELECT` of the same \
             rows of `run`, `ready`, `run_event` and `gated`. The first instant also interns what the runs execute. Processor \
             time for each run.",
            whole(u64::from(tests))
        ),
        &["concurrency", "runs/s", "INSERT runs/s", "by INSERT", "PG µs", "INSERT PG µs", "API µs"],
    );
    let mut goals = Vec::new();
    for (name, rounds) in
        [("allow, first instant", std::slice::from_ref(first)), ("allow", open), ("as a schedule has it", gated)]
    {
        let of = |read: &dyn Fn(&Round) -> f64| median(rounds.iter().map(read));
        let by = of(&|round| round.ours_per_s / round.theirs_per_s);
        table.row(vec![
            name.into(),
            count(of(&|round| round.ours_per_s)),
            count(of(&|round| round.theirs_per_s)),
            ratio(by),
            count(of(&|round| round.ours_us)),
            count(of(&|round| round.theirs_us)),
            count(of(&|round| round.api_us)),
        ]);
        let what = format!("due tests by `INSERT … SELECT` of their rows, runs/s, concurrency {name}");
        goals.push(Goal::ratio("enqueue", what, Bound::AtLeast(0.5), by));
    }
    // That of a first instant is told, and is no goal.
    goals.remove(0);
    Found { text: table.into_text(), goals }
}
