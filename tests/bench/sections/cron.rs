//! Replicas that share a schedule: how fast they work off an instant, and that each instant makes its run once, also when
//! a replica is killed meanwhile.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use tstr_tests::factory;

use super::Found;
use super::enqueue::{clone_test, fall_due};
use crate::Bench;
use crate::api::Api;
use crate::goals::{Bound, Goal};
use crate::samples::median;
use crate::table::{Table, count, whole};

/// How long after the instant a replica is killed.
const KILLED_AFTER: Duration = Duration::from_millis(150);

/// Measures.
pub async fn run(bench: &Bench) -> Result<Found> {
    let (server, plan) = (&bench.server, &bench.plan);
    let first = Api::start(server, "cron").await?;
    let mut conn = server.connect("cron").await?;
    let test = factory::with(factory::test("tick-0"), "/cron_schedule", json!("0 0 1 1 *"));
    let test = factory::with(test, "/concurrency", json!({"policy": "allow"}));
    clone_test(&first, &mut conn, &test, "tick", plan.cron_tests).await?;
    let tests = i64::from(plan.cron_tests);
    let mut others = Vec::new();
    let (mut alone, mut together, mut wrong) = (Vec::new(), Vec::new(), 0);
    fall_due(&mut conn, "tick").await?;
    for _ in 0..plan.rounds {
        let (at, took) = fall_due(&mut conn, "tick").await?;
        alone.push(tests as f64 / took.as_secs_f64());
        wrong += faults(&mut conn, at, tests).await?;
    }
    while others.len() + 1 < plan.replicas {
        others.push(first.replica(server, "cron").await?);
    }
    for _ in 0..plan.rounds {
        let (at, took) = fall_due(&mut conn, "tick").await?;
        together.push(tests as f64 / took.as_secs_f64());
        wrong += faults(&mut conn, at, tests).await?;
    }
    let mut killed = 0;
    for _ in 0..plan.rounds.min(plan.replicas.saturating_sub(1)) {
        // Not before it is at work: the instant is two seconds ahead.
        let (victim, mut own) = (others.pop().context("a replica")?, server.connect("cron").await?);
        let kill = async {
            at_work(&mut own).await?;
            tokio::time::sleep(KILLED_AFTER).await;
            victim.kill();
            anyhow::Ok(())
        };
        let (due, ()) = tokio::try_join!(fall_due(&mut conn, "tick"), kill)?;
        wrong += faults(&mut conn, due.0, tests).await?;
        killed += 1;
    }
    for api in others {
        api.stop()?;
    }
    first.stop()?;
    drop(conn);
    server.drop_database("cron").await?;
    let mut table = Table::new(
        "A schedule that replicas share",
        &format!(
            "{} tests of one cell are due at each instant; {killed} replicas were killed in the midst of one. Wrong: instants of a \
             test without their run or ledger line, or with more than one.",
            whole(u64::from(plan.cron_tests))
        ),
        &["replicas", "instants/s", "wrong"],
    );
    let (one, all) = (median(alone.into_iter()), median(together.into_iter()));
    table.row(vec!["1".into(), count(one), "–".into()]);
    table.row(vec![plan.replicas.to_string(), count(all), wrong.to_string()]);
    let goals = vec![
        Goal::figure(
            "10",
            format!("{} schedules, {} replicas", whole(u64::from(plan.cron_tests)), plan.replicas),
            Bound::AtLeast(10_000.0),
            all,
            "ticks/s",
        ),
        Goal::figure(
            "10",
            format!("duplicates and losses, {killed} replicas killed by KILL"),
            Bound::AtMost(0.0),
            wrong as f64,
            "ticks",
        ),
    ];
    Ok(Found { text: table.into_text(), goals })
}

/// Waits until an instant has come.
async fn at_work(conn: &mut PgConnection) -> Result<()> {
    let mut due = false;
    while !due {
        tokio::time::sleep(Duration::from_millis(5)).await;
        due = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM schedule WHERE next_at <= clock_timestamp())")
            .fetch_one(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Counts the tests whose instant has not exactly one run and one line in the ledger that says so.
async fn faults(conn: &mut PgConnection, at: DateTime<Utc>, tests: i64) -> Result<i64> {
    const COUNT: &str = "
        SELECT count(*) FROM test t
        CROSS JOIN LATERAL (
            SELECT count(*) AS n FROM run r WHERE r.test_id = t.id AND r.scheduled_at = $1
              AND r.id >= id_floor($1) AND r.id < id_floor($1 + interval '1 millisecond')
        ) r
        CROSS JOIN LATERAL (
            SELECT count(*) AS n FROM ledger l WHERE l.test_id = t.id AND l.scheduled_for = $1 AND l.outcome = 'ran'
        ) l
        WHERE t.name LIKE 'tick-%' AND NOT (r.n = 1 AND l.n = 1)";
    let all: i64 =
        sqlx::query_scalar("SELECT count(*) FROM test WHERE name LIKE 'tick-%'").fetch_one(&mut *conn).await?;
    ensure!(all == tests, "there are {all} tests");
    Ok(sqlx::query_scalar(COUNT).bind(at).fetch_one(conn).await?)
}
