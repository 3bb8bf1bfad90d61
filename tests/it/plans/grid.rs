//! The grid of cases and runs: it costs what it shows, however many cases a run has and however long runs are kept.

use super::results::seed_results;
use super::*;

/// Makes one of the runs a huge one, and remembers its cases.
const HUGE: [&str; 4] = [
    "INSERT INTO report_case (run_id, case_id, cell_id, attempt, report, place, ordinal, status, flaky, muted, failed_attempts)
     SELECT (SELECT id FROM seeded WHERE n = 1), md5('case' || k)::uuid,
            (SELECT cell_id FROM report_case WHERE run_id = (SELECT id FROM seeded WHERE n = 1) LIMIT 1), 1, 0, k, 1,
            CASE WHEN k % 2 = 0 THEN 'fail' ELSE 'pass' END, false, false, 0
     FROM generate_series(11, 20000) k",
    "INSERT INTO case_state (cell_id, case_id, standing, first_seen_at, first_seen_run, last_seen_at, last_seen_run, duration_ms)
     SELECT c.id, md5('case' || k)::uuid, 'passing', now(), md5('r')::uuid, now(), md5('r')::uuid, k
     FROM cell c, generate_series(1, 60000) k",
    "VACUUM ANALYZE report_case",
    "VACUUM ANALYZE case_state",
];

#[tokio::test]
async fn a_grid_reads_what_it_shows() {
    let lab = Lab::start().await;
    let mut conn = lab.db.connect().await;
    seed_results(&mut conn).await;
    for statement in HUGE {
        conn.execute(statement).await.unwrap();
    }
    let mut main = lab.pools(0).main.acquire().await.unwrap();
    let (failed, marks) = (query(&["max(u.nth)", "FROM report_case r"]), query(&["u.nth AS", "LIMIT 1) r"]));
    let others = query(&["sum(c.seen) OVER ()"]);
    let cases = "(SELECT array_agg(md5('case' || k)::uuid) FROM generate_series(1, 200) k)";
    let cases: String = sqlx::query_scalar(AssertSqlSafe(format!("SELECT format('%L::uuid[]', {cases})")))
        .fetch_one(&mut conn)
        .await
        .unwrap();
    // The latest runs, of a day, and those of as many days.
    for (step, pages) in [(1, 45_000), (66, 60_000)] {
        let picked = format!(
            "SELECT format('%L::uuid[]', array_agg(id)), format('%L::smallint[]', array_agg(1)),
                    format('%L::int[]', array_agg((SELECT min(id) FROM cell) + n % 2)), format('%L::uuid', (array_agg(id ORDER BY id))[1]),
                    format('%L::uuid', (array_agg(id ORDER BY id DESC))[1])
             FROM (SELECT id, n FROM seeded WHERE n % {step} = 1 % {step} ORDER BY n LIMIT 60) s"
        );
        let (runs, attempts, cells, first, last): (String, String, String, String, String) =
            sqlx::query_as(AssertSqlSafe(picked)).fetch_one(&mut conn).await.unwrap();
        let asked = [&*runs, &attempts, &first, &last, "200"];
        let plan = explain(main.raw(), &failed, &asked, "force_custom_plan").await;
        plan.has_no("Seq Scan");
        // No more failures of a run than are shown, of the sixty.
        assert!(plan.rows_of("report_case") <= 300.0, "{plan}");
        plan.touches_at_most(1_500);
        let asked = [&*runs, &attempts, &cells, &cases, &first, &last];
        let plan = explain(main.raw(), &marks, &asked, "force_custom_plan").await;
        plan.reads_only_by("report_case", "report_case_history_idx");
        assert!(plan.rows_of("report_case") <= 12_000.0, "{plan}");
        plan.touches_at_most(pages);
        let plan = explain(main.raw(), &others, &[&cells, "50000", "200"], "force_custom_plan").await;
        assert!(plan.rows_of("case_state") <= 50_000.0, "{plan}");
    }
}
