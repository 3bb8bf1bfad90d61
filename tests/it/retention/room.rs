//! What is stored is counted, and new runs are refused where there is no room for them; those that are there go on.

use chrono::{Duration, Utc};
use serde_json::json;
use tstr_api::ops::storage::{Disk, Fill, StorageLimits};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::TestId;
use tstr_shared::ledger::{LedgerOutcome, LedgerReason};
use tstr_shared::logs::Stream;
use tstr_shared::namespace::Quotas;
use tstr_shared::page::PageRequest;
use tstr_shared::run::{Reason, RetryRun, RunResult, TriggerRun};
use tstr_shared::size::Bytes;
use tstr_tests::worker::Worker as StackWorker;
use tstr_tests::{Stack, eventually, factory};

use super::*;

/// Triggers, retries, or lets an instant of the schedule pass; says what came of it.
struct Tries<'a> {
    lab: &'a Lab,
    done: RunId,
    scheduled: TestId,
}

impl<'a> Tries<'a> {
    async fn new(lab: &'a Lab, done: RunId) -> Self {
        let body = factory::with(factory::test("yearly"), "/cron_schedule", json!("0 0 1 1 *"));
        Self { lab, done, scheduled: lab.test(body).await.id }
    }

    async fn trigger(&self) -> Option<ErrorCode> {
        let made = self.lab.ops().trigger(&self.lab.admin, &default(), "t", TriggerRun::default(), None).await;
        made.err().map(|error| error.code())
    }

    async fn retry(&self) -> Option<ErrorCode> {
        let made = self.lab.ops().retry_run(&self.lab.admin, self.done, RetryRun::default(), None).await;
        made.err().map(|error| error.code())
    }

    async fn instant(&self) -> (LedgerOutcome, Option<LedgerReason>) {
        let at = (Utc::now() - Duration::seconds(30)).to_rfc3339();
        let statement = format!("UPDATE schedule SET next_at = '{at}' WHERE test_id = '{}'", self.scheduled);
        assert_eq!(self.lab.execute(&statement).await.unwrap(), 1);
        turns::enqueue_due(self.lab.ops()).await.unwrap();
        let page = PageRequest::default();
        let ledger = self.lab.ops().list_ledger(&self.lab.admin, &default(), "yearly", page).await.unwrap();
        (ledger.items[0].outcome, ledger.items[0].reason)
    }

    async fn are_refused(&self, code: ErrorCode, reason: LedgerReason) {
        assert_eq!((self.trigger().await, self.retry().await), (Some(code), Some(code)));
        assert_eq!(self.instant().await, (LedgerOutcome::Skipped, Some(reason)));
    }

    async fn go_through(&self) {
        assert_eq!((self.trigger().await, self.retry().await), (None, None));
        assert_eq!(self.instant().await, (LedgerOutcome::Ran, None));
    }
}

#[tokio::test]
async fn what_is_stored_is_counted_whatever_becomes_of_it() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let short = namespace(&lab, "short", 10, 3).await;
    passed(&lab, &worker, &default(), "four").await;
    // Not before its attempt has ended.
    let run = waiting(&lab, &short).await;
    let fence = worker.started().await;
    worker.append(fence, 0, Stream::Stdout, 0, "12345").await.unwrap();
    assert_eq!(usage(&lab, &short).await, (1, 0));
    worker.release(fence, Some(Reason::RuntimeLost)).await.unwrap();
    assert_eq!(usage(&lab, &short).await, (1, 5), "an attempt that was lost has left its log");
    assert_eq!(turns::fold_usage(lab.ops()).await.unwrap(), 4);
    assert_eq!(turns::fold_usage(lab.ops()).await.unwrap(), 0);
    lab.sql("UPDATE delayed SET due = clock_timestamp() WHERE run_id = $1", run).await;
    lab.move_due().await;
    let fence = worker.started().await;
    worker.append(fence, 0, Stream::Stderr, 0, "12").await.unwrap();
    // The reaper does not know more than what is stored.
    lab.lapse(run).await;
    lab.reap().await;
    assert_eq!((lab.get(run).await.state.word(), usage(&lab, &short).await), ("finished", (1, 7)));
    lab.cancel(waiting(&lab, &short).await).await.unwrap();
    assert_eq!((usage(&lab, &short).await, usage(&lab, &default()).await), ((2, 7), (1, 4)));
    usage_is_exact(&lab).await;
    retain(&lab, after(run, 4)).await;
    assert_eq!(usage(&lab, &short).await, (2, 0));
    retain(&lab, after(run, 11)).await;
    assert_eq!((usage(&lab, &short).await, usage(&lab, &default()).await), ((0, 0), (1, 4)));
}

#[tokio::test]
async fn what_was_added_up_is_not_looked_at_again_though_an_old_transaction_holds_it() {
    let lab = Lab::start().await;
    let mut holder = lab.db.connect().await;
    sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ").execute(&mut holder).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM usage_delta").fetch_one(&mut holder).await.unwrap();
    let store = "INSERT INTO usage_delta (ns_id, day, runs, log_bytes) SELECT 1, '2026-01-01', 0, 1 FROM generate_series(1, $1)";
    let mut conn = lab.pools(0).main.acquire().await.unwrap();
    let conn = conn.raw();
    let mut stored = 100_000;
    sqlx::query(store).bind(100_000).execute(&mut *conn).await.unwrap();
    assert_eq!(turns::fold_usage(lab.ops()).await.unwrap(), 100_000);
    // Other tests use this server: a transaction of theirs that writes meanwhile holds back from where it is added up.
    eventually("a hundred thousand dead rows are passed over", std::time::Duration::from_secs(60), async || {
        let mut pages = Vec::new();
        sqlx::query(store).bind(1).execute(&mut *conn).await.unwrap();
        stored += 1;
        for query in ["SELECT * FROM unfolded_usage(ARRAY[1])", "SELECT fold_usage(false)"] {
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}"));
            let plan: serde_json::Value = sqlx::query_scalar(explain).fetch_one(&mut *conn).await.unwrap();
            let of = |key: &str| plan[0]["Plan"][key].as_i64().unwrap();
            pages.push(of("Shared Hit Blocks") + of("Shared Read Blocks"));
        }
        pages.iter().all(|pages| *pages < 100).then_some(())
    })
    .await;
    assert_eq!(usage(&lab, &default()).await, (0, stored));
    assert_eq!(turns::fold_usage(lab.ops()).await.unwrap(), 0);
    let still: i64 = sqlx::query_scalar("SELECT count(*) FROM usage_delta").fetch_one(&mut holder).await.unwrap();
    assert_eq!(still, seen);
    // What was restored into another server is older than all its transactions.
    lab.execute("UPDATE usage_folded SET before = '99999999999'").await.unwrap();
    sqlx::query(store).bind(5).execute(&mut *conn).await.unwrap();
    assert_eq!(usage(&lab, &default()).await, (0, stored + 5));
    assert_eq!(turns::fold_usage(lab.ops()).await.unwrap(), 5);
    assert_eq!(usage(&lab, &default()).await, (0, stored + 5));
}

#[tokio::test]
async fn a_namespace_with_too_many_bytes_of_logs_makes_no_new_runs() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let done = passed(&lab, &worker, &default(), "12345").await;
    let tries = Tries::new(&lab, done).await;
    let max = async |max_bytes| {
        let change = |old: NamespaceSettings| NamespaceSettings { quotas: Quotas { max_bytes, ..old.quotas }, ..old };
        lab.ops().update_namespace(&lab.admin, &default(), change).await.unwrap();
    };
    max(Some(6)).await;
    tries.go_through().await;
    max(Some(5)).await;
    tries.are_refused(ErrorCode::QuotaExceeded, LedgerReason::Quota).await;
    // What waits goes on, also beyond it.
    let fence = worker.started().await;
    worker.append(fence, 0, Stream::Stdout, 0, "678").await.unwrap();
    worker.finish(fence, RunResult::Pass).await.unwrap();
    assert_eq!(usage(&lab, &default()).await.1, 8);
    let refused = lab.ops().trigger(&lab.admin, &default(), "t", TriggerRun::default(), None).await.unwrap_err();
    assert!(
        refused.message().contains("8 bytes of logs and artifacts stored of at most 5 (max_bytes)"),
        "{}",
        refused.message()
    );
    max(None).await;
    tries.go_through().await;
    // Another namespace has its own.
    let other = namespace(&lab, "other", 9, 9).await;
    max(Some(0)).await;
    waiting(&lab, &other).await;
}

#[tokio::test]
async fn without_room_no_new_runs_are_made_and_those_under_way_are_recorded() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let done = passed(&lab, &worker, &default(), "x").await;
    let tries = Tries::new(&lab, done).await;
    let look = async |limits| {
        lab.ops().limit_storage(limits);
        turns::look_at_storage(lab.ops()).await.unwrap()
    };
    let most = |bytes| StorageLimits { max_database_size: Some(Bytes(bytes)), disk: None };
    let disk = |free| StorageLimits {
        max_database_size: None,
        disk: Some(Disk { path: "/tmp".into(), min_free: Some(Bytes(free)) }),
    };
    assert_eq!(look(most(1 << 50)).await, Fill::Room);
    tries.go_through().await;
    for (full, room) in [(most(1), most(1 << 50)), (disk(1 << 60), disk(0))] {
        assert_eq!(look(full).await, Fill::Full);
        tries.are_refused(ErrorCode::StorageFull, LedgerReason::StorageFull).await;
        // What waits is claimed and what runs is recorded.
        let fence = worker.started().await;
        worker.append(fence, 0, Stream::Stdout, 0, "on").await.unwrap();
        worker.finish(fence, RunResult::Pass).await.unwrap();
        assert_eq!(look(room).await, Fill::Room);
        tries.go_through().await;
    }
    lab.check().await;
    usage_is_exact(&lab).await;
}

#[tokio::test]
async fn the_api_says_that_it_has_no_room_and_the_metrics_how_much_there_is() {
    let stack = Stack::start_with(1, |config| config.max_database_size = Some(Bytes(1))).await;
    let admin = stack.admin();
    admin.register(&factory::test("t")).await;
    assert_eq!(turns::look_at_storage(stack.replica(0).ops()).await.unwrap(), Fill::Full);
    let refused = admin.post("/api/v1/namespaces/default/tests/t/runs", &json!({})).await;
    assert_eq!(refused.header("retry-after"), "30");
    let problem = refused.refused(503, "storage_full");
    assert_eq!(problem["retryable"], true);
    assert!(problem["detail"].as_str().unwrap().contains("of at most 1 bytes"), "{problem}");
    let metrics = admin.get("/metrics").await.text();
    for name in [
        "tstr_database_bytes ",
        "tstr_storage_full ",
        "tstr_namespace_log_bytes{namespace=\"default\"} ",
        "tstr_namespace_artifact_bytes{namespace=\"default\"} ",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    // Reading, registering and what is under way need no room.
    admin.register(&factory::test("u")).await;
    stack.replica(0).ops().limit_storage(StorageLimits::default());
    turns::look_at_storage(stack.replica(0).ops()).await.unwrap();
    let run = admin.trigger("t").await.remove(0);
    let worker = StackWorker::register(&stack, 0, "w").await;
    let fence = worker.running().await;
    worker.finish(fence, RunResult::Pass).await.unwrap();
    assert_eq!(admin.run(&run).await["result"], "pass");
}

#[tokio::test]
async fn how_long_things_are_kept_is_told_and_checked() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let path = "/api/v1/namespaces/default";
    let told = admin.get(path).await.expect(200);
    assert_eq!(told["retention"], json!({"runs_days": 90, "logs_days": 30}));
    assert_eq!(told["usage"], json!({"runs": 0, "log_bytes": 0, "artifact_bytes": 0}));
    let told = admin.patch(path, &json!({"retention": {"logs_days": 7}})).await.expect(200);
    assert_eq!(told["retention"], json!({"runs_days": 90, "logs_days": 7}));
    let told = admin.patch(path, &json!({"quotas": {"max_bytes": 9}})).await.expect(200);
    assert_eq!((&told["retention"]["logs_days"], &told["quotas"]["max_bytes"]), (&json!(7), &json!(9)));
    for (body, pointer) in [
        (json!({"retention": {"runs_days": 0}}), "/retention/runs_days"),
        (json!({"retention": {"runs_days": 3651}}), "/retention/runs_days"),
        (json!({"retention": {"logs_days": 91}}), "/retention/logs_days"),
        (json!({"retention": {"runs_days": 6}}), "/retention/logs_days"),
        (json!({"retention": {"days": 6}}), "/retention/days"),
        (json!({"quotas": {"max_bytes": -1}}), "/quotas/max_bytes"),
        (json!({"quotas": {"max_bytes": 1_u64 << 53}}), "/quotas/max_bytes"),
    ] {
        assert_eq!(admin.patch(path, &body).await.faults(), [pointer], "{body}");
    }
    assert_eq!(admin.get(path).await.expect(200), told);
    let body = json!({"name": "x", "retention": {"runs_days": 2, "logs_days": 3}});
    assert_eq!(admin.post("/api/v1/namespaces", &body).await.faults(), ["/retention/logs_days"]);
    let made = admin.post("/api/v1/namespaces", &json!({"name": "x", "retention": {"logs_days": 3}})).await.expect(201);
    assert_eq!(made["retention"], json!({"runs_days": 90, "logs_days": 3}));
}
