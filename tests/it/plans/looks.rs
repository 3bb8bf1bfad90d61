//! Looks at what waits, for people: they follow the queue's index and end at their limit.

use super::*;

#[tokio::test]
async fn a_look_at_what_waits_ends_at_its_limit() {
    let lab = Lab::start().await;
    let mut conn = lab.db.connect().await;
    seed_ready(&mut conn, 100_000).await;
    analyze(&mut conn).await;
    // The last of its lane, behind five hundred.
    let run: String = sqlx::query_scalar("SELECT format('%L', run_id) FROM ready ORDER BY lane, seq DESC LIMIT 1")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    let place = query(&["before_it"]);
    let page = query(&["generate_series(0, 3) AS p(priority)"]);
    for mode in MODES {
        let mut main = lab.pools(0).main.acquire().await.unwrap();
        let plan = explain(main.raw(), &place, &[&run, "ARRAY[1]", "101"], mode).await;
        plan.reads_only_by("ready", "ready_pkey");
        assert!(plan.rows_of("ready") <= 110.0, "more than the limit was counted:\n{plan}");
        plan.touches_at_most(300);

        // Eleven classes, of each lane no more than the limit and its head.
        let plan = explain(main.raw(), &page, &["1", "0", "ARRAY[]::int[]", "11", "101"], mode).await;
        plan.reads_only_by("ready", "ready_pkey");
        plan.touches_at_most(3_500);
    }
}

#[tokio::test]
async fn which_tests_were_changed_is_looked_up_and_not_counted() {
    let lab = Lab::start().await;
    let mut conn = lab.db.connect().await;
    let seed = "INSERT INTO test (id, ns_id, name, doc, updated_at)
                SELECT gen_random_uuid(), 1, 'seeded-' || n, '{}', now() - n * interval '10 s' FROM generate_series(1, 20000) n";
    conn.execute(seed).await.unwrap();
    conn.execute("UPDATE test SET deleted_at = now() WHERE name IN ('seeded-5000', 'seeded-6000')").await.unwrap();
    conn.execute("VACUUM ANALYZE test").await.unwrap();
    let changed = query(&["greatest(updated_at, deleted_at) > now()"]);
    for mode in MODES {
        let mut main = lab.pools(0).main.acquire().await.unwrap();
        let plan = explain(main.raw(), &changed, &["62", "1000"], mode).await;
        plan.reads_only_by("test", "test_changed_idx");
        assert!(plan.rows_of("test") <= 10.0, "{plan}");
        plan.touches_at_most(30);
    }
}
