//! Summaries of a million and of ten million runs, beside a GROUP BY over the runs themselves; and how fast ended runs are
//! taken in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tokio::time::Instant;
use tstr_api::ops::rollups;
use tstr_api::store::digest::{EndedRun, Held};
use tstr_api::store::rollups::{Key, Sums};
use tstr_shared::ids::{RunId, RunnerId, TestId};
use tstr_shared::labels::Labels;
use tstr_shared::run::RunResult;
use tstr_tests::{Person, factory};
use uuid::Uuid;

use super::Found;
use super::enqueue::clone_test;
use crate::Bench;
use crate::api::Api;
use crate::goals::{Bound, Goal};
use crate::samples::median;
use crate::table::{Table, count, millis, ratio, whole};

/// How many tests the runs are of, and how many runners they ran on.
const TESTS: u32 = 200;
const RUNNERS: u64 = 20;
/// Over how many days the runs are spread.
const DAYS: i64 = 7;
/// How many synthetic runs are summed up at once.
const PART: u64 = 100_000;
/// What is asked for.
const ASKED: &str = "/api/v1/namespaces/default/summary?interval=hour";
/// The most that a summary may take, in milliseconds.
const MOST_MS: f64 = 10.0;

/// What a number of runs gave, in milliseconds.
struct Asked {
    runs: u64,
    p50: f64,
    p99: f64,
    from_noon: f64,
    by_test: f64,
}

/// Measures.
pub async fn run(bench: &Bench) -> Result<Found> {
    let plan = &bench.plan;
    let [few, many] = plan.summed;
    let api = Api::start(&bench.server, "summary").await?;
    let mut conn = bench.server.connect("summary").await?;
    let test = factory::with(factory::test("summed-0"), "/cron_schedule", serde_json::json!("0 0 1 1 *"));
    clone_test(&api, &mut conn, &test, "summed", TESTS).await?;
    // They are never due, and no instant that a client may be told.
    sqlx::query("DELETE FROM schedule").execute(&mut conn).await?;
    let tests: Vec<TestId> = sqlx::query_scalar("SELECT id FROM test WHERE name LIKE 'summed-%' ORDER BY id")
        .fetch_all(&mut conn)
        .await?
        .into_iter()
        .map(TestId)
        .collect();
    bench.say(&format!("summary: {few} runs that ended"));
    fill(&mut conn, few).await?;
    let begun = Instant::now();
    wait_for_digest(&mut conn).await?;
    let taken_in_per_s = few as f64 / begun.elapsed().as_secs_f64();
    sqlx::query("VACUUM (ANALYZE) run, run_end, rollup, undigested").execute(&mut conn).await?;
    let small = ask(api.admin(), few, plan.asked).await?;
    bench.say("summary: the same from the runs");
    let (grouped, counted) = group(&mut conn, plan.rounds).await?;
    ensure!(counted == few, "{counted} runs were grouped, and there are {few}");

    bench.say(&format!("summary: {many} runs in all, the others summed up here"));
    let begun = Instant::now();
    let mut all = BTreeMap::<Key, Sums>::new();
    let ns_id: i32 = sqlx::query_scalar("SELECT id FROM namespace WHERE name = 'default'").fetch_one(&mut conn).await?;
    for part in 0..(many - few) / PART {
        let ended: Vec<EndedRun> = (0..PART).map(|n| ended(&tests, ns_id, part * PART + n)).collect();
        for (key, sums) in rollups::summed(&ended) {
            all.entry(key).or_default().add(&sums);
        }
    }
    let summed_up_per_s = (many - few) as f64 / begun.elapsed().as_secs_f64();
    tstr_api::turns::add_sums(&crate::api::use_cases(&bench.server, "summary").await?, all).await?;
    sqlx::query("VACUUM (ANALYZE) rollup").execute(&mut conn).await?;
    let large = ask(api.admin(), many, plan.asked).await?;
    let (rows, bytes): (i64, i64) =
        sqlx::query_as("SELECT count(*), pg_total_relation_size('rollup') FROM rollup").fetch_one(&mut conn).await?;
    let noticed_us = notice(&mut conn).await?;
    api.stop()?;
    drop(conn);
    bench.server.drop_database("summary").await?;

    let mut table = Table::new(
        "Summaries",
        &format!(
            "Seven days by hour of {TESTS} tests, over HTTP, {} requests one after another; {} rows of sums in {} MB. The runs \
             beyond {} are summed up by the code of the digest without rows of their own. GROUP BY: the same counts and \
             percentiles from the runs.",
            plan.asked,
            whole(rows.unsigned_abs()),
            count(bytes as f64 / 1e6),
            whole(few)
        ),
        &["runs", "p50 ms", "p99 ms", "p50 ms from a noon on", "p50 ms of one test", "GROUP BY ms", "GROUP BY / p50"],
    );
    for (asked, grouped) in [(&small, Some(grouped)), (&large, None)] {
        table.row(vec![
            whole(asked.runs),
            millis(asked.p50),
            millis(asked.p99),
            millis(asked.from_noon),
            millis(asked.by_test),
            grouped.map_or("–".into(), millis),
            grouped.map_or("–".into(), |ms| ratio(ms / asked.p50)),
        ]);
    }
    let mut digest = Table::new(
        "Ended runs",
        "Taken in: read, summed up and written by the loop of one replica. Noticed: what the outbox adds to an end, 64 of \
         them in a statement.",
        &["taken in per s", "summed up per s", "noticed µs"],
    );
    digest.row(vec![count(taken_in_per_s), count(summed_up_per_s), format!("{noticed_us:.2}")]);
    let goals = vec![
        Goal::figure("summary", "p50 of seven days by hour", Bound::AtMost(MOST_MS), small.p50.max(large.p50), "ms"),
        Goal::figure(
            "summary",
            "the same from a noon on",
            Bound::AtMost(MOST_MS),
            small.from_noon.max(large.from_noon),
            "ms",
        ),
        Goal::ratio(
            "summary",
            format!("flat in runs: p50 of {} by that of {}", whole(many), whole(few)),
            Bound::AtMost(1.2),
            large.p50 / small.p50,
        ),
    ];
    Ok(Found { text: [table, digest].map(Table::into_text).join("\n"), goals })
}

/// When a run was scheduled: spread over the days, but for two hours, so that none is too old when it is asked for.
fn at(n: u64) -> DateTime<Utc> {
    let whole = DAYS as u64 * 86_400_000 - 7_200_000;
    let back = n.wrapping_mul(2_654_435_761) % whole;
    Utc::now() - chrono::Duration::milliseconds(back.cast_signed() + 60_000)
}

/// A run that is in no table.
fn ended(tests: &[TestId], ns_id: i32, n: u64) -> EndedRun {
    let scheduled_at = at(n);
    let random = u128::from(n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let leased_at = scheduled_at + chrono::Duration::milliseconds((n % 997).cast_signed());
    let finished_at = leased_at + chrono::Duration::milliseconds((n.wrapping_mul(48_271) % 90_000).cast_signed() + 200);
    let runner_id = RunnerId(Uuid::from_u128(u128::from(n % RUNNERS) + 1));
    let result = match n % 50 {
        0 => RunResult::Fail,
        1 => RunResult::Error,
        2 => RunResult::TimedOut,
        _ => RunResult::Pass,
    };
    EndedRun {
        run_id: RunId::at(scheduled_at, random),
        ns_id,
        test_id: tests[(n % tests.len() as u64) as usize],
        config_id: 1,
        class_id: 1,
        labels: Arc::new(Labels([("region".to_owned(), (n % 5).to_string())].into())),
        scheduled_at,
        created_at: scheduled_at,
        leased_at: Some(leased_at),
        started_at: Some(leased_at),
        finished_at,
        result,
        reason: None,
        flaky: n % 97 == 3,
        attempt: 1,
        runner_id: Some(runner_id),
        image_digest: None,
        cases: None,
        exit_code: None,
        attempts: vec![Held { runner_id, leased_at, ended_at: finished_at }],
    }
}

/// Makes so many runs that ended, and were not taken in, by SQL.
async fn fill(conn: &mut PgConnection, runs: u64) -> Result<()> {
    const STATEMENTS: [&str; 6] = [
        "INSERT INTO class (ns_id, labels, labels_hash)
         SELECT n.id, jsonb_build_object('region', g::text), decode(md5(g::text), 'hex')
         FROM namespace n, generate_series(0, 4) g WHERE n.name = 'default'",
        "SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date - 8, (now() AT TIME ZONE 'UTC')::date)",
        "CREATE TEMPORARY TABLE made AS
         SELECT n, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || left(md5(n::text), 20))::uuid AS id, at,
                t.ids[n % cardinality(t.ids) + 1] AS test_id, c.ids[n % 5 + 1] AS class_id, m.id AS ns_id,
                at + make_interval(secs => (n % 997) / 1000.0) AS leased_at,
                at + make_interval(secs => (n % 997 + n * 48271 % 90000 + 200) / 1000.0) AS finished_at
         FROM generate_series(1, $1::bigint) n
         CROSS JOIN LATERAL (
             SELECT date_trunc('milliseconds', now() - interval '1 min' - make_interval(secs => (n * 2654435761 % 597600000) / 1000.0)) AS at) a
         CROSS JOIN (SELECT array_agg(id ORDER BY id) AS ids FROM test WHERE name LIKE 'summed-%') t
         CROSS JOIN (SELECT array_agg(id ORDER BY id) AS ids FROM class WHERE labels ? 'region') c
         CROSS JOIN (SELECT id FROM namespace WHERE name = 'default') m",
        "INSERT INTO run (id, ns_id, test_id, matrix_id, class_id, config_id, priority, seq, queue_secs, trigger, scheduled_at,
                          created_at, created_by)
         SELECT id, ns_id, test_id, id, class_id, 1, 2, n, 60, 'schedule', at, at, 'bench' FROM made",
        "INSERT INTO run_end (run_id, ns_id, test_id, class_id, finished_at, attempt, result, flaky, log_status, log_bytes,
                              log_dropped, runner_id, leased_at, started_at)
         SELECT id, ns_id, test_id, class_id, finished_at, 1,
                CASE n % 50 WHEN 0 THEN 'fail' WHEN 1 THEN 'error' WHEN 2 THEN 'timed_out' ELSE 'pass' END, n % 97 = 3,
                'complete', 0, 0, lpad(to_hex(n % 20 + 1), 32, '0')::uuid, leased_at, leased_at
         FROM made",
        "INSERT INTO undigested (run_id) SELECT id FROM made",
    ];
    for statement in STATEMENTS {
        let query = sqlx::query(statement);
        let query = if statement.contains("$1") { query.bind(runs.cast_signed()) } else { query };
        query.execute(&mut *conn).await.with_context(|| statement.to_owned())?;
    }
    Ok(())
}

async fn wait_for_digest(conn: &mut PgConnection) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(600);
    while sqlx::query_scalar::<_, bool>("SELECT EXISTS (SELECT FROM undigested_runs(1))").fetch_one(&mut *conn).await? {
        ensure!(Instant::now() < deadline, "the runs were not taken in");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Asks for the summary again and again.
async fn ask(admin: &Person, runs: u64, times: u32) -> Result<Asked> {
    let told = admin.get(ASKED).await.expect(200);
    ensure!(told["totals"]["counts"]["runs"] == runs, "{} runs are told of {runs}", told["totals"]["counts"]["runs"]);
    ensure!(told["tests"].as_array().is_some_and(|tests| tests.len() == 100), "a hundred tests are told");
    let time = async |path: &str| {
        let mut took = Vec::new();
        for _ in 0..times {
            let begun = Instant::now();
            admin.get(path).await.expect(200);
            took.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        took.sort_by(f64::total_cmp);
        took
    };
    let all = time(ASKED).await;
    // Half a day is the furthest from sums of whole days.
    let noon = (Utc::now() - chrono::Duration::days(DAYS)).format("%Y-%m-%dT12:00:00Z");
    let from_noon = time(&format!("{ASKED}&scheduled_after={noon}")).await;
    let one = time(&format!("{ASKED}&test=summed-7")).await;
    let of = |took: &[f64], share: f64| took[((took.len() - 1) as f64 * share) as usize];
    Ok(Asked { runs, p50: of(&all, 0.5), p99: of(&all, 0.99), from_noon: of(&from_noon, 0.5), by_test: of(&one, 0.5) })
}

/// Counts the runs themselves; returns how long it takes, in milliseconds, and how many there are.
async fn group(conn: &mut PgConnection, rounds: usize) -> Result<(f64, u64)> {
    const GROUPS: [&str; 2] = [
        "SELECT date_trunc('hour', r.scheduled_at) AS of, count(*) AS runs, count(*) FILTER (WHERE e.result = 'pass') AS pass,
                count(*) FILTER (WHERE e.result = 'fail') AS fail, count(*) FILTER (WHERE e.flaky) AS flaky,
                percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY e.leased_at - r.created_at) AS waits,
                percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY e.finished_at - e.started_at) AS durations
         FROM run r JOIN run_end e ON e.run_id = r.id
         WHERE r.ns_id = (SELECT id FROM namespace WHERE name = 'default') AND r.scheduled_at > now() - interval '8 days'
         GROUP BY 1",
        "SELECT r.test_id AS of, count(*) AS runs, count(*) FILTER (WHERE e.result = 'pass') AS pass,
                count(*) FILTER (WHERE e.result = 'fail') AS fail, count(*) FILTER (WHERE e.flaky) AS flaky,
                percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY e.leased_at - r.created_at) AS waits,
                percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY e.finished_at - e.started_at) AS durations
         FROM run r JOIN run_end e ON e.run_id = r.id
         WHERE r.ns_id = (SELECT id FROM namespace WHERE name = 'default') AND r.scheduled_at > now() - interval '8 days'
         GROUP BY 1",
    ];
    let (mut took, mut runs) = (Vec::new(), 0);
    for _ in 0..rounds.min(3) {
        let begun = Instant::now();
        for query in GROUPS {
            let text = format!("SELECT coalesce(sum(runs), 0)::bigint FROM ({query}) g WHERE waits IS NOT NULL");
            let all: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(text)).fetch_one(&mut *conn).await?;
            runs = all.unsigned_abs();
        }
        took.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok((median(took.into_iter()), runs))
}

/// What a row of the outbox costs, in microseconds.
async fn notice(conn: &mut PgConnection) -> Result<f64> {
    const ROWS: u32 = 64;
    const TIMES: u32 = 1000;
    let mut took = [0.0; 2];
    for (way, into) in
        ["SELECT count(*) FROM made", "INSERT INTO undigested (run_id) SELECT id FROM made"].iter().enumerate()
    {
        let statement = format!(
            "WITH made AS MATERIALIZED (SELECT gen_random_uuid() AS id FROM generate_series(1, {ROWS})) {into}"
        );
        sqlx::query("BEGIN").execute(&mut *conn).await?;
        let begun = Instant::now();
        for _ in 0..TIMES {
            sqlx::query(sqlx::AssertSqlSafe(statement.clone())).execute(&mut *conn).await?;
        }
        took[way] = begun.elapsed().as_secs_f64() * 1e6;
        sqlx::query("ROLLBACK").execute(&mut *conn).await?;
    }
    Ok((took[1] - took[0]) / f64::from(ROWS * TIMES))
}
