//! A database that goes without a word: connections that stand and carry nothing any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::Executor;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tstr_api::config::LeaseProfile;
use tstr_shared::lease::{Fence, LeaseState};
use tstr_shared::run::RunResult;
use tstr_tests::balancer::{Road as Way, Weather};
use tstr_tests::road::Road;
use tstr_tests::worker::Worker;
use tstr_tests::{Lab, Person, Stack, eventually, factory};

/// How long somebody waits for an answer before he asks again, as a worker does.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than there are connections for heartbeats.
const LEASES: usize = 4;

/// What somebody does again and again, whatever comes of it; counts how often it succeeded.
fn again_and_again<F, T>(tasks: &mut JoinSet<()>, act: F) -> Arc<AtomicUsize>
where
    F: Fn() -> T + Send + 'static,
    T: Future<Output = bool> + Send + 'static,
{
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tasks.spawn(async move {
        loop {
            let succeeded = timeout(PATIENCE, act()).await.unwrap_or(false);
            counted.fetch_add(usize::from(succeeded), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    count
}

async fn beats(worker: Worker, fence: Fence) -> bool {
    match worker.ops.heartbeat(&worker.caller, worker.id, vec![fence], None).await {
        Ok(beat) => {
            assert_eq!(beat.leases[0].1, LeaseState::Held);
            true
        }
        Err(_) => false,
    }
}

async fn triggers(admin: Person) -> bool {
    admin.post("/api/v1/namespaces/default/tests/a/runs", &serde_json::json!({})).await.status == 201
}

/// Claims a run and executes it, as far as the database answers.
async fn executes(worker: Worker) -> bool {
    let claim = tstr_api::ops::claims::Claim {
        runner_id: worker.id,
        max: 1,
        wait: Duration::from_secs(2),
        claim_id: uuid::Uuid::new_v4(),
        only_repeat: false,
        first: true,
    };
    let Ok(runs) = worker.ops.claim(&worker.caller, claim).await else { return false };
    let Some(run) = runs.first() else { return false };
    worker.start(run.fence).await.is_ok() && worker.finish(run.fence, RunResult::Pass).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_dead_without_a_word_are_given_up_and_cost_no_attempt() {
    let road = Road::open().await;
    let mut stack = Stack::start_with(1, |config| {
        config.lease_times = LeaseProfile::Default;
        config.pg_dsn = road.lead_to(&config.pg_dsn);
    })
    .await;
    let (admin, none) = (stack.admin(), serde_json::json!({"quotas": {"max_queued": null, "max_running": null}}));
    admin.patch("/api/v1/namespaces/default", &none).await.expect(200);
    admin.register(&factory::test("a")).await;
    let (holder, other) = (Worker::register(&stack, 0, "holder").await, Worker::register(&stack, 0, "other").await);
    let mut held = Vec::new();
    for _ in 0..LEASES {
        admin.trigger("a").await;
        held.push(holder.running().await);
    }
    // Slow enough that somebody waits for an answer on every connection that is used.
    let slow = Way::Slow(Duration::from_millis(5), Duration::from_millis(10));
    road.network.set_weather(Weather { to_server: slow, to_client: slow });
    let mut tasks = JoinSet::new();
    let mut counts = Vec::new();
    for fence in held.iter().copied() {
        let holder = holder.clone();
        counts.push(again_and_again(&mut tasks, move || beats(holder.clone(), fence)));
    }
    counts.push(again_and_again(&mut tasks, {
        let admin = admin.clone();
        move || triggers(admin.clone())
    }));
    for _ in 0..3 {
        let other = other.clone();
        counts.push(again_and_again(&mut tasks, move || executes(other.clone())));
    }
    let look = || counts.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>();
    // Everybody succeeds within three seconds.
    let all_succeed = async || {
        let before = look();
        tokio::time::sleep(Duration::from_secs(3)).await;
        look().iter().zip(&before).all(|(now, before)| now > before)
    };
    assert!(all_succeed().await, "{:?}", look());

    road.network.strand();
    let stranded = Instant::now();
    while !all_succeed().await {
        assert!(stranded.elapsed() < Duration::from_secs(30), "not everybody succeeds again: {:?}", look());
    }
    eprintln!("everybody succeeds again within {:?}", stranded.elapsed());
    // Those that nobody has used meanwhile are found out as well.
    eventually("the dead connections are closed", Duration::from_secs(25), async || {
        admin.get("/metrics").await.text().contains("tstr_pg_connections_cut_total 1").then_some(())
    })
    .await;
    assert!(all_succeed().await, "{:?}", look());
    tasks.shutdown().await;
    for fence in held {
        holder.finish(fence, RunResult::Pass).await.unwrap();
    }
    let mut conn = stack.db.connect().await;
    let lost: i64 =
        sqlx::query_scalar("SELECT count(*) FROM attempt WHERE attempt > 1").fetch_one(&mut conn).await.unwrap();
    assert_eq!(lost, 0, "no attempt is lost");
    // Nothing is left that would hold the stop up.
    timeout(Duration::from_secs(20), stack.stop_replica(0)).await.expect("it stops");
}

#[tokio::test]
async fn a_transaction_that_a_statement_failed_in_cannot_be_said_to_be_kept() {
    let lab = Lab::start().await;
    let main = &lab.pools(0).main;
    let mut tx = main.begin().await.unwrap();
    tx.execute("CREATE TABLE made ()").await.unwrap();
    assert!(tx.execute("SELECT 1 / 0").await.is_err());
    // PostgreSQL itself answers this COMMIT without an error.
    let error = tx.commit().await.unwrap_err();
    assert!(error.to_string().contains("nothing of it is kept"), "{error}");
    let mut tx = main.begin().await.unwrap();
    assert!(sqlx::query("SELECT 1 / 0").fetch_optional(&mut *tx).await.is_err());
    assert!(tx.commit().await.is_err());
    let mut tx = main.begin().await.unwrap();
    tx.execute("CREATE TABLE made ()").await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_statement_has_a_limit_and_whoever_leaves_one_in_the_middle_holds_no_connection_up() {
    let lab = Lab::start().await;
    let beat = &lab.pools(0).beat;
    let mut conn = beat.acquire().await.unwrap();
    conn.set_limit(Duration::from_millis(300));
    let asked = Instant::now();
    let error = conn.execute("SELECT pg_sleep(20)").await.unwrap_err();
    assert!(error.to_string().contains("no answer within 300ms"), "{error}");
    assert!(conn.execute("SELECT 1").await.is_err(), "what comes next would hear the answer to this");
    assert!(asked.elapsed() < Duration::from_secs(3));
    drop(conn);
    // All connections there are, each left in the middle.
    let mut all = Vec::new();
    for _ in 0..2 {
        let mut conn = beat.acquire().await.unwrap();
        assert!(timeout(Duration::from_millis(200), conn.execute("SELECT pg_sleep(20)")).await.is_err());
        all.push(conn);
    }
    assert!(beat.acquire().await.is_err(), "there are no more");
    drop(all);
    eventually("both places are free again", Duration::from_secs(10), async || {
        let both = (beat.acquire().await.ok()?, beat.acquire().await.ok()?);
        drop(both);
        Some(())
    })
    .await;
    let mut tx = beat.begin().await.unwrap();
    tx.execute("CREATE TABLE left_behind ()").await.unwrap();
    drop(tx);
    let left = "SELECT to_regclass('left_behind') IS NOT NULL OR EXISTS (
                    SELECT FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%')";
    let mut own = lab.db.connect().await;
    eventually("the transaction is rolled back", Duration::from_secs(5), async || {
        let left: bool = sqlx::query_scalar(left).fetch_one(&mut own).await.unwrap();
        (!left).then_some(())
    })
    .await;
}
