//! A large report; how tests are, all at once; and the history of one case among millions.

mod reports;

use anyhow::{Context, Result, ensure};
use sqlx::PgConnection;
use tokio::time::Instant;
use tstr_tests::{Person, factory};

use super::Found;
use super::enqueue::clone_test;
use crate::Bench;
use crate::api::Api;
use crate::goals::{Bound, Goal};
use crate::table::{Table, count, millis, ratio, whole};

/// Over how many days the runs are spread; fewer than are kept.
const DAYS: i64 = 85;
/// What a case that failed says about it, in bytes: a line, and a stack with which the report is as large as one may be (64 MiB).
const SHORT: usize = 1;
const LONG: usize = 4_750;
/// How many cases a run has.
const CASES: u64 = 1000;
/// The most that all tests of a page may take, in milliseconds.
const MOST_STATES_MS: f64 = 100.0;
/// The most that a history may take, in milliseconds.
const MOST_HISTORY_MS: f64 = 20.0;
/// How many MiB of memory a report may take.
const MOST_MIB: f64 = 128.0;

/// Measures.
pub async fn run(bench: &Bench) -> Result<Found> {
    let plan = &bench.plan;
    bench.say(&format!("cases: a report of {} cases", plan.reported_cases));
    let mut reported = Vec::new();
    for detail in [SHORT, LONG] {
        let api = Api::start(&bench.server, "reported").await?;
        reported.push(reports::measure(bench, "reported", plan.reported_cases, detail).await?);
        api.stop()?;
        bench.server.drop_database("reported").await?;
    }

    let api = Api::start(&bench.server, "cases").await?;
    let mut conn = bench.server.connect("cases").await?;
    bench.say(&format!("cases: {} tests with strips", plan.shown_tests));
    let test = factory::with(factory::test("shown-0"), "/cron_schedule", serde_json::json!("0 0 1 1 *"));
    clone_test(&api, &mut conn, &test, "shown", plan.shown_tests).await?;
    // They are never due.
    sqlx::query("DELETE FROM schedule").execute(&mut conn).await?;
    let strips = "INSERT INTO cell (ns_id, test_id, labels_hash, labels, strip, last_at, last_result)
                  SELECT ns_id, id, decode(md5(''), 'hex'), '{}', repeat('ppppppppfr', 6), now(), 'pass' FROM test WHERE name LIKE 'shown-%'";
    sqlx::query(strips).execute(&mut conn).await?;
    sqlx::query("VACUUM (ANALYZE) test, cell").execute(&mut conn).await?;
    let path = "/api/v1/namespaces/default/states?page_size=10000";
    let told = api.admin().get(path).await.expect(200);
    let tests =
        told["items"].as_array().map_or(0, |items| items.iter().filter(|one| one["cells"][0].is_object()).count());
    // The benchmark's own test stands among them and has no runs.
    ensure!(tests + 1 >= plan.shown_tests as usize, "{tests} tests are told of {}", plan.shown_tests);
    let states = ask(api.admin(), path, plan.asked.min(100)).await;

    bench.say(&format!("cases: {} rows of cases", plan.told_cases));
    let (test, case) = fill(&mut conn, plan.told_cases).await?;
    let path = format!("/api/v1/namespaces/default/tests/{test}/cases/{case}/history");
    let told = api.admin().get(&path).await.expect(200);
    ensure!(told["items"].as_array().is_some_and(|runs| runs.len() == 50), "fifty runs are told");
    let history = ask(api.admin(), &path, plan.asked).await;
    api.stop()?;
    drop(conn);
    bench.server.drop_database("cases").await?;

    let mut table = Table::new(
        "Tests and cases",
        &format!(
            "Over HTTP, one request after another. All tests: {} with strips of 60 runs, in one answer. A case: its latest 50 \
             runs, among {} rows of cases over {DAYS} days.",
            whole(plan.shown_tests.into()),
            whole(plan.told_cases)
        ),
        &["what", "p50 ms", "p99 ms"],
    );
    for (what, took) in [("all tests", states), ("history of a case", history)] {
        table.row(vec![what.into(), millis(took.0), millis(took.1)]);
    }
    let mut report = Table::new(
        "A report",
        &format!(
            "JUnit XML of {} cases, of which every twentieth failed, with a line about it and with a long stack: parsed alone, parsed \
             and stored as a worker asks for it, and COPY of the same rows into a copy of the table. Memory: the most that was \
             resident meanwhile, above what was before the report was made.",
            whole(plan.reported_cases)
        ),
        &["MB", "parsed s", "stored s", "COPY s", "stored / parsed", "stored / COPY", "memory MiB"],
    );
    for took in &reported {
        report.row(vec![
            count(took.bytes as f64 / 1e6),
            format!("{:.2}", took.parsed),
            format!("{:.2}", took.stored),
            format!("{:.2}", took.copied),
            ratio(took.stored / took.parsed),
            ratio(took.stored / took.copied),
            count(took.peak_mib),
        ]);
    }
    let peak_mib = reported.iter().map(|took| took.peak_mib).fold(0.0, f64::max);
    let goals = vec![
        Goal::figure("cases", "memory of the largest report", Bound::AtMost(MOST_MIB), peak_mib, "MiB"),
        Goal::figure("cases", "p50 of all tests with strips", Bound::AtMost(MOST_STATES_MS), states.0, "ms"),
        Goal::figure("cases", "p50 of the history of a case", Bound::AtMost(MOST_HISTORY_MS), history.0, "ms"),
    ];
    Ok(Found { text: [report, table].map(Table::into_text).join("\n"), goals })
}

/// Asks again and again; returns the median and the 99th percentile in milliseconds.
async fn ask(admin: &Person, path: &str, times: u32) -> (f64, f64) {
    let mut took = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        admin.get(path).await.expect(200);
        took.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    let of = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    (of(0.5), of(0.99))
}

/// Makes runs with cases by SQL, so many rows of cases in all; returns the id of their test and that of a case.
async fn fill(conn: &mut PgConnection, rows: u64) -> Result<(String, String)> {
    const STATEMENTS: [&str; 5] = [
        "SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date - $1::int - 1, (now() AT TIME ZONE 'UTC')::date)",
        "CREATE TEMPORARY TABLE made AS
         SELECT n, at, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || left(md5(n::text), 19))::uuid AS id,
                c.id AS cell_id, c.ns_id, c.test_id
         FROM generate_series(1, $2::bigint) n
         CROSS JOIN LATERAL (
             SELECT date_trunc('milliseconds', now() - make_interval(secs => n * ($1::int * 86400.0 / $2::bigint))) AS at) a
         CROSS JOIN (SELECT id, ns_id, test_id FROM cell ORDER BY id LIMIT 1) c",
        "INSERT INTO run_end (run_id, ns_id, test_id, class_id, finished_at, attempt, result, flaky, log_status, log_bytes,
                              log_dropped, leased_at, started_at)
         SELECT id, ns_id, test_id, 1, at, 1, 'pass', false, 'complete', 0, 0, at, at FROM made",
        "INSERT INTO case_key (case_id, ns_id, test_id, suite, name)
         SELECT md5(k::text)::uuid, ns_id, test_id, '[]', 'case ' || k
         FROM generate_series(1, $3::bigint) k, (SELECT ns_id, test_id FROM cell ORDER BY id LIMIT 1) c",
        "INSERT INTO report_case (run_id, case_id, cell_id, attempt, report, place, ordinal, status, flaky, muted,
                                  failed_attempts, duration_ms)
         SELECT id, md5(k::text)::uuid, cell_id, 1, 0, k, 1, CASE WHEN (n + k) % 50 = 0 THEN 'fail' ELSE 'pass' END, false, false,
                0, k
         FROM made, generate_series(1, $3::bigint) k",
    ];
    for statement in STATEMENTS {
        let statement = ["$1", "$2", "$3"]
            .iter()
            .zip([DAYS, (rows / CASES).cast_signed(), CASES.cast_signed()])
            .fold(statement.to_owned(), |text, (name, value)| text.replace(name, &value.to_string()));
        let query = sqlx::query(sqlx::AssertSqlSafe(statement.clone()));
        query.execute(&mut *conn).await.with_context(|| statement)?;
    }
    sqlx::query("VACUUM (ANALYZE) run_end, report_case, case_key").execute(&mut *conn).await?;
    let told = "SELECT test_id::text, md5('7')::uuid::text FROM cell ORDER BY id LIMIT 1";
    Ok(sqlx::query_as(told).fetch_one(conn).await?)
}
