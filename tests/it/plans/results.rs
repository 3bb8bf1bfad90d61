//! What is asked of results, over many days: it costs what it tells, not what is kept.

use super::*;

/// Seeds two cells of a test with runs of ten cases over forty days, and sums of two hundred tests over eight days.
pub(super) async fn seed_results(conn: &mut PgConnection) {
    const STATEMENTS: [&str; 11] = [
        "SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date - 41, (now() AT TIME ZONE 'UTC')::date + 1)",
        "INSERT INTO cell (ns_id, test_id, labels_hash, labels, strip)
         SELECT 1, md5('t')::uuid, decode(md5(n::text), 'hex'), jsonb_build_object('n', n::text), repeat('pf', 30)
         FROM generate_series(1, 2) n",
        "INSERT INTO case_key (case_id, ns_id, test_id, suite, name)
         SELECT md5('case' || n)::uuid, 1, md5('t')::uuid, '[]', 'case ' || n FROM generate_series(1, 10) n",
        "CREATE TEMPORARY TABLE seeded AS
         SELECT (substr(id_floor(now() - make_interval(mins => n * 14))::text, 1, 14) || '7' || substr(gen_random_uuid()::text, 16))::uuid AS id,
                now() - make_interval(mins => n * 14) AS at, n
         FROM generate_series(1, 4000) n",
        "INSERT INTO run_end (run_id, ns_id, test_id, class_id, finished_at, attempt, result, flaky, log_status, log_bytes,
                              log_dropped, leased_at, started_at)
         SELECT id, 1, md5('t')::uuid, 1, at, 1, 'pass', false, 'complete', 0, 0, at, at FROM seeded",
        "INSERT INTO report_case (run_id, case_id, cell_id, attempt, report, place, ordinal, status, flaky, muted, failed_attempts)
         SELECT s.id, md5('case' || k)::uuid, (SELECT min(id) FROM cell) + s.n % 2, 1, 0, k, 1, 'pass', false, false, 0
         FROM seeded s, generate_series(1, 10) k",
        "INSERT INTO rollup
         SELECT 1, 1, g.grain, date_trunc(CASE g.grain WHEN 0 THEN 'hour' ELSE 'day' END, now(), 'UTC') - h * g.long,
                'test-' || t, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, '', ''
         FROM (VALUES (0, interval '1 hour', 191), (1, interval '1 day', 8)) AS g(grain, long, most)
         CROSS JOIN LATERAL generate_series(0, g.most) h, generate_series(1, 200) t",
        "VACUUM ANALYZE report_case",
        "VACUUM ANALYZE run_end",
        "VACUUM ANALYZE cell",
        "VACUUM ANALYZE rollup",
    ];
    for statement in STATEMENTS {
        conn.execute(statement).await.unwrap();
    }
}

#[tokio::test]
async fn a_history_of_a_case_reads_what_it_tells() {
    let lab = Lab::start().await;
    let mut conn = lab.db.connect().await;
    seed_results(&mut conn).await;
    let history = query(&["h.run_id", "JOIN run_end e", "ORDER BY h.run_id DESC"]);
    let mut main = lab.pools(0).main.acquire().await.unwrap();
    let arguments = |from: &'static str| {
        let case = "md5('case3')::uuid";
        [case, "NULL", "51", "md5('t')::uuid", "ARRAY[1]", "NULL", from]
    };
    let recent = "id_floor(now() - interval '2 days')";
    // All of it is forty days, of which each costs its two indexes a few pages.
    for (from, pages) in [(recent, 60), ("NULL", 1_000)] {
        let plan = explain(main.raw(), &history, &arguments(from), "force_custom_plan").await;
        plan.touches_at_most(pages);
    }
}

#[tokio::test]
async fn a_summary_looks_at_each_sum_of_its_time_once() {
    let lab = Lab::start().await;
    let mut conn = lab.db.connect().await;
    seed_results(&mut conn).await;
    let pieces = [
        "ARRAY[0, 1]::smallint[]",
        "ARRAY[date_trunc('day', now(), 'UTC') - interval '7 days', date_trunc('day', now(), 'UTC') - interval '7 days']",
        "ARRAY[date_trunc('day', now(), 'UTC') - interval '7 days' + interval '6 hours', now()]",
    ];
    let [grains, low, high] = pieces;
    let tests: Vec<String> = (1..=100).map(|n| format!("'test-{n}'")).collect();
    let tests = &*format!("ARRAY[{}]", tests.join(","));
    let (keys, sketches) = (query(&["FROM rollup r", "HAVING"]), query(&["SELECT key, waits, durations"]));
    for mode in MODES {
        let mut main = lab.pools(0).main.acquire().await.unwrap();
        let signs = "ARRAY[-1, 1]::smallint[]";
        // Six hours and eight days of two hundred tests.
        for (what, arguments) in [
            (&keys, vec!["1", "1::smallint", grains, low, high, signs, "100"]),
            (&sketches, vec!["1", grains, low, high, tests, signs]),
        ] {
            let plan = explain(main.raw(), what, &arguments, mode).await;
            plan.reads_only_by("rollup", "rollup_pkey");
            assert_eq!(plan.rows_of("rollup"), 2_800.0, "{plan}");
            plan.touches_at_most(3_200);
        }
        // Each row is not compared with each test.
        let plan = explain(main.raw(), &sketches, &["1", grains, low, high, tests, signs], mode).await;
        assert!(plan.nodes.iter().any(|node| node.kind == "Hash Join"), "{plan}");
    }
}
