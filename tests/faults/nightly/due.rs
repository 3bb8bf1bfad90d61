//! A hundred thousand schedules that are due in the same instant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, DurationRound, Timelike, Utc};
use serde_json::json;
use sqlx::PgConnection;
use tstr_proto::v1 as pb;
use tstr_shared::permission::Scope;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::{eventually, factory, invariants};
use uuid::Uuid;

use crate::wire::Wire;

const TESTS: i32 = 100_000;
/// How long claims may take while the scheduler is at work, of a hundred all but one.
const CLAIMED_WITHIN: Duration = Duration::from_secs(1);
/// How long it may take until all runs are made: so many a second make a build for tests, and three replicas of it.
const MADE_WITHIN: Duration = Duration::from_secs(180);

/// Registers a test, and as many more like it, none of which is due.
async fn register(arena: &Arena, conn: &mut PgConnection, cron: &str) {
    const CLONE: &str = "
        WITH first AS (SELECT * FROM test WHERE name = 'due-0'),
        made AS (
            INSERT INTO test (id, ns_id, name, doc)
            SELECT gen_random_uuid(), ns_id, 'due-' || n, (doc::jsonb || jsonb_build_object('name', 'due-' || n))::json
            FROM first, generate_series(1, $1 - 1) AS n
            RETURNING id
        )
        INSERT INTO schedule (test_id, next_at) SELECT id, 'infinity' FROM made";
    let test = factory::with(factory::test("due-0"), "/cron_schedule", json!(cron));
    arena.driver.register(&factory::with(test, "/start_deadline", json!("2h"))).await;
    sqlx::query(CLONE).bind(TESTS).execute(&mut *conn).await.unwrap();
    sqlx::query("VACUUM (ANALYZE) test, schedule").execute(conn).await.unwrap();
}

/// A worker for one namespace, which executes what it claims in no time.
async fn worker(arena: &Arena, replica: usize, namespace: &str) -> Wire {
    let admin = arena.admin();
    let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Runner], &[namespace])).await.expect(201);
    let url = format!("http://{}", arena.replicas[replica].as_ref().unwrap().grpc);
    let wire = Wire::new(&url, issued["token"].as_str().unwrap(), Uuid::new_v4());
    wire.register(namespace, 1000).await.unwrap();
    wire
}

/// Claims one run after the other until it is told to stop, or after `most` of them; returns how long each claim took.
async fn claim(wire: Wire, most: usize, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) && took.len() < most {
        let began = Instant::now();
        let Some(fence) = wire.claim(1, 1000).await.unwrap().pop() else { continue };
        took.push(began.elapsed());
        wire.start(&fence).await.unwrap();
        assert_eq!(wire.finish(&fence, pb::RunResult::Pass, b"").await, Ok(true));
    }
    took
}

/// Counts tests that have not exactly one run, and one line that says so, for the instant.
async fn wrong(conn: &mut PgConnection, at: DateTime<Utc>) -> i64 {
    const COUNT: &str = "
        SELECT count(*) FROM test t
        CROSS JOIN LATERAL (
            SELECT count(*) AS n FROM run r WHERE r.test_id = t.id AND r.scheduled_at = $1
              AND r.id >= id_floor($1) AND r.id < id_floor($1 + interval '1 millisecond')
        ) r
        CROSS JOIN LATERAL (SELECT count(*) AS n FROM ledger l WHERE l.test_id = t.id) l
        CROSS JOIN LATERAL (
            SELECT count(*) AS n FROM ledger l WHERE l.test_id = t.id AND l.scheduled_for = $1 AND l.outcome = 'ran' AND l.runs = 1
        ) ran
        WHERE t.name LIKE 'due-%' AND NOT (r.n = 1 AND l.n = 1 AND ran.n = 1)";
    sqlx::query_scalar(COUNT).bind(at).fetch_one(conn).await.unwrap()
}

fn p99(took: &mut [Duration]) -> Duration {
    took.sort();
    took[took.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_36_a_hundred_thousand_ticks_at_one_instant_are_made_in_one_sweep_and_claims_go_on() {
    let arena = Arena::start(Plan::ordinary(0, 0)).await;
    let admin = arena.admin();
    let lifted = json!({"quotas": {"max_queued": null, "max_running": null}});
    admin.patch("/api/v1/namespaces/default", &lifted).await.expect(200);
    admin.post("/api/v1/namespaces", &json!({"name": "quiet"})).await.expect(201);
    arena.driver.register_in("quiet", &factory::test("quiet")).await;
    // Half an hour ago, and not again for as long.
    let instant = Utc::now().duration_trunc(chrono::Duration::minutes(1)).unwrap() - chrono::Duration::minutes(30);
    let mut conn = arena.connect().await;
    register(&arena, &mut conn, &format!("{} * * * *", instant.minute())).await;

    let stop = Arc::new(AtomicBool::new(false));
    let busy = tokio::spawn(claim(worker(&arena, 0, "default").await, usize::MAX, stop.clone()));
    let quiet = worker(&arena, 1, "quiet").await;
    sqlx::query("UPDATE schedule SET next_at = $1").bind(instant).execute(&mut conn).await.unwrap();
    let due = Instant::now();
    let mut answers = Vec::new();
    let mut made = 0;
    while made < i64::from(TESTS) {
        assert!(due.elapsed() < MADE_WITHIN, "{made} runs were made in {MADE_WITHIN:?}");
        // Somebody else's run comes meanwhile, and is claimed at once by who waits for it.
        let waits = tokio::spawn(claim(quiet.clone(), 1, stop.clone()));
        admin.post("/api/v1/namespaces/quiet/tests/quiet/runs", &json!({})).await.expect(201);
        let triggered = Instant::now();
        waits.await.unwrap();
        answers.push(triggered.elapsed());
        made =
            sqlx::query_scalar("SELECT coalesce(sum(runs), 0)::bigint FROM ledger").fetch_one(&mut conn).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = due.elapsed();
    eventually("all tests have moved on", Duration::from_secs(5), async || {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM schedule WHERE next_at <= clock_timestamp()")
            .fetch_one(&mut conn)
            .await
            .unwrap();
        (left == 0).then_some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let mut claims = busy.await.unwrap();
    let (of_busy, of_quiet) = (p99(&mut claims), p99(&mut answers));
    let transactions = arena
        .count("(SELECT DISTINCT txid FROM run_event WHERE state_to = 'queued' AND actor LIKE '%scheduler%') t")
        .await;
    eprintln!(
        "{TESTS} ticks in {:.1} s and {transactions} transactions; p99 of {} claims of them {of_busy:?}, of {} other \
         runs from the trigger to the end {of_quiet:?}",
        took.as_secs_f64(),
        claims.len(),
        answers.len(),
    );
    assert!(claims.len() > 100 && answers.len() > 10, "{} and {} claims", claims.len(), answers.len());
    assert!(of_busy < CLAIMED_WITHIN, "p99 of {} claims is {of_busy:?}", claims.len());
    assert!(of_quiet < CLAIMED_WITHIN, "p99 of {} other runs is {of_quiet:?}", answers.len());
    assert_eq!(wrong(&mut conn, instant).await, 0, "tests without exactly one run and one line");
    assert_eq!(arena.count("run WHERE trigger = 'schedule'").await, i64::from(TESTS));
    // To execute all of them would take many minutes, and is no matter here: what they are is judged where they stand.
    invariants::check(&mut conn).await;
}
