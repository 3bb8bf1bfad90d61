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
