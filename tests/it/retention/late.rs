//! Runs that ended long after their day began, and schedules that catch up on a day that is just being dropped.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::Connection;
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::TestId;
use tstr_shared::run::RunState;
use tstr_tests::{eventually, factory};

use super::days::{back_by, log_of};
use super::*;

/// Lets a run have ended so many days later than it did.
async fn ended_later(lab: &Lab, run: RunId, days: i32) {
    let later = format!("UPDATE run_end SET finished_at = finished_at + interval '{days} days' WHERE run_id = $1");
    assert_eq!(lab.sql(&later, run).await, 1);
}

/// Whether the log of a run can be read.
async fn has_log(lab: &Lab, run: RunId) -> bool {
    match log_of(lab, run).await {
        Ok(log) => !log.is_empty(),
        Err(code) => {
            assert_eq!(code, ErrorCode::Expired);
            false
        }
    }
}

#[tokio::test]
async fn a_run_that_was_put_off_is_kept_for_its_time_after_its_end() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let other = passed(&lab, &worker, &default(), "other").await;
    let put_off = TriggerRun { not_before: Some(Utc::now() + Days::new(80)), ..TriggerRun::default() };
    let late = lab.ops().trigger(&lab.admin, &default(), "t", put_off, None).await.unwrap().runs[0].id;
    lab.sql("UPDATE delayed SET due = clock_timestamp() WHERE run_id = $1", late).await;
    lab.move_due().await;
    let fence = worker.started().await;
    worker.append(fence, 0, Stream::Stdout, 0, "late").await.unwrap();
    worker.finish(fence, RunResult::Pass).await.unwrap();
    ended_later(&lab, late, 80).await;
    let before = whole(&lab, late).await;

    let turn = retain(&lab, after(late, 31)).await;
    assert_eq!((turn.days, has_log(&lab, other).await, has_log(&lab, late).await), (1, false, true), "{turn:?}");
    assert_eq!(retain(&lab, after(late, 31)).await, Retained::default(), "nothing is left to be done on that day");
    retain(&lab, after(late, 91)).await;
    assert_eq!(whole(&lab, other).await[0], json!(null));
    assert_eq!(whole(&lab, late).await, before);
    assert_eq!(retain(&lab, after(late, 91)).await, Retained::default());
    assert_eq!(usage(&lab, &default()).await, (1, 4));
    retain(&lab, after(late, 110)).await;
    assert_eq!(whole(&lab, late).await, before);
    retain(&lab, after(late, 111)).await;
    assert!(!has_log(&lab, late).await, "the log is over thirty days after the end");
    assert_eq!(lab.get(late).await.state, RunState::Finished);
    retain(&lab, after(late, 170)).await;
    assert_eq!(usage(&lab, &default()).await, (1, 0));
    let turn = retain(&lab, after(late, 171)).await;
    assert_eq!((turn.days, has_partition(&lab, "run", after(late, 0)).await), (1, false), "{turn:?}");
    assert_eq!(usage(&lab, &default()).await, (0, 0));
}

#[tokio::test]
async fn what_ended_late_stays_where_only_rows_of_its_day_go() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let short = namespace(&lab, "short", 10, 3).await;
    passed(&lab, &worker, &default(), "holds the day").await;
    let (goes, late) = (passed(&lab, &worker, &short, "goes").await, passed(&lab, &worker, &short, "late").await);
    ended_later(&lab, late, 5).await;
    let again = async || {
        let query =
            "SELECT logs_swept, logs_again FROM usage u JOIN namespace n ON n.id = u.ns_id WHERE n.name = 'short'";
        let row: (bool, Option<NaiveDate>) =
            sqlx::query_as(query).fetch_one(&mut lab.db.connect().await).await.unwrap();
        row
    };
    let mut logs = Vec::new();
    for days in [4, 8, 9] {
        retain(&lab, after(late, days)).await;
        logs.push((has_log(&lab, goes).await, has_log(&lab, late).await));
        let expected = if days < 9 { (false, Some(after(late, days + 1))) } else { (true, None) };
        assert_eq!(again().await, expected, "when it is looked at again");
    }
    assert_eq!(logs, [(false, true), (false, true), (false, false)]);
    let mut runs = Vec::new();
    for days in [11, 15, 16] {
        retain(&lab, after(late, days)).await;
        runs.push(listed(&lab, &short, RunFilter::default()).await);
    }
    assert_eq!(runs, [vec![late], vec![late], vec![]]);
}

#[tokio::test]
async fn a_day_of_which_many_runs_ended_late_goes_row_by_row() {
    let lab = Lab::start().await;
    lab.quotas(None, None).await;
    let axis: Vec<_> = (0..50).map(|i| i.to_string()).collect();
    let many = factory::with(factory::test("many"), "/matrix/labels", json!({"i": axis, "j": ["1", "2", "3", "4"]}));
    lab.test(many).await;
    let mut runs = Vec::new();
    for _ in 0..6 {
        runs.extend(lab.trigger("many").await);
    }
    lab.execute("UPDATE ready SET expires_at = clock_timestamp() - interval '1 s'").await.unwrap();
    assert_eq!(turns::expire(lab.ops()).await.unwrap(), 1200);
    lab.execute("UPDATE run_end SET finished_at = finished_at + interval '5 days' WHERE run_id IN (SELECT id FROM run ORDER BY id LIMIT 1100)")
        .await
        .unwrap();
    let turn = retain(&lab, after(runs[0], 91)).await;
    assert!(turn.runs == 100 && has_partition(&lab, "run", after(runs[0], 0)).await, "{turn:?}");
    let turn = retain(&lab, after(runs[0], 96)).await;
    assert!(turn.days > 0 && !has_partition(&lab, "run", after(runs[0], 0)).await, "{turn:?}");
}

/// Puts tests on the schedule that were due at this instant.
async fn due_at(lab: &Lab, prefix: &str, count: i32, at: DateTime<Utc>) {
    let test = factory::with(factory::test("t"), "/cron_schedule", json!("0 0 1 1 *"));
    let test = factory::with(test, "/start_deadline", json!("7d"));
    let statement = format!(
        "WITH made AS (
             INSERT INTO test (id, ns_id, name, doc) SELECT gen_random_uuid(), 1, '{prefix}' || n, '{test}'
             FROM generate_series(1, {count}) n RETURNING id)
         INSERT INTO schedule (test_id, next_at) SELECT id, '{}' FROM made",
        at.to_rfc3339()
    );
    assert_eq!(lab.execute(&statement).await.unwrap(), u64::from(count.unsigned_abs()));
}

/// The tests whose name begins so that have runs.
async fn made(lab: &Lab, prefix: &str) -> Vec<TestId> {
    let query =
        "SELECT t.id FROM test t JOIN run r ON r.test_id = t.id WHERE t.name LIKE $1 || '%' AND r.trigger = 'schedule'";
    sqlx::query_scalar(query).bind(prefix).fetch_all(&mut lab.db.connect().await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_leaves_a_day_that_is_being_dropped_and_others_do_not_wait() {
    /// Far below the seconds for which the drop tries; also on a machine that is busy.
    const LONGEST: Duration = Duration::from_millis(1500);
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let keep = |old| NamespaceSettings { retention: Retention { runs_days: 1, logs_days: 1 }, ..old };
    lab.ops().update_namespace(&lab.admin, &default(), keep).await.unwrap();
    let (today, old) = (Utc::now(), Utc::now() - Days::new(5));
    passed(&lab, &worker, &default(), "old").await;
    back_by(&lab, 5).await;
    // More than one transaction takes.
    due_at(&lab, "old", 120, old).await;
    due_at(&lab, "new", 1, Utc::now()).await;
    let mut reader = lab.db.connect().await;
    let mut reading = reader.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM run").execute(&mut *reading).await.unwrap();
    let turn = tokio::spawn({
        let ops = lab.ops().clone();
        async move { turns::retain(&ops, today.date_naive()).await.unwrap() }
    });
    // Other tests share the server.
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7478115 AND granted
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("the drop has begun", Duration::from_secs(10), async || {
        let held: i64 = sqlx::query_scalar(locks).fetch_one(&mut lab.db.connect().await).await.unwrap();
        (held > 0).then_some(())
    })
    .await;
    let begun = Instant::now();
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(turns::enqueue_due(lab.ops()).await.unwrap());
    }
    let took = begun.elapsed();
    assert!(!turn.is_finished(), "the drop was over in {took:?}");
    assert_eq!(taken, [1, 0, 0]);
    assert_eq!((made(&lab, "new").await.len(), made(&lab, "old").await.len()), (1, 0));
    assert!(took < LONGEST, "three looks took {took:?}");
    reading.commit().await.unwrap();
    let turn = turn.await.unwrap();
    assert!(turn.days > 0 || turn.is_held_up, "{turn:?}");
    while turns::enqueue_due(lab.ops()).await.unwrap() > 0 {}
    let mut tests = made(&lab, "old").await;
    tests.sort();
    tests.dedup();
    assert_eq!(tests.len(), 120, "each is made up for once the day is free");
    lab.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_gives_way_to_a_schedule_that_catches_up() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = passed(&lab, &worker, &default(), "old").await;
    back_by(&lab, 100).await;
    let day = after(run, 0) - Days::new(100);
    let mut conn = lab.db.connect().await;
    // As `hold_day` does, and as a replica of the release before.
    for hold in [
        format!("SELECT pg_advisory_xact_lock_shared(7478115, date '{day}' - date '1970-01-01')"),
        format!("LOCK TABLE run_{} IN ROW EXCLUSIVE MODE", day.format("%Y%m%d")),
    ] {
        let mut catching_up = conn.begin().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(hold)).execute(&mut *catching_up).await.unwrap();
        let begun = Instant::now();
        let turn = turns::retain(lab.ops(), after(run, 0)).await.unwrap();
        assert!(turn.is_held_up && turn.days == 0, "{turn:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "it tried for {:?}", begun.elapsed());
        catching_up.rollback().await.unwrap();
    }
    let turn = turns::retain(lab.ops(), after(run, 0)).await.unwrap();
    assert!(turn.days == 1 && !turn.is_held_up, "{turn:?}");
}
