//! What happens when records, uploads, sweeps and retention meet: each meeting is made to happen by locks that are held.

use bytes::Bytes;
use chrono::{Days, NaiveDate, Utc};
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tstr_api::ops::blobs::Swept;
use tstr_api::turns;
use tstr_shared::run::KeepRun;

use super::*;

fn in_days(days: u64) -> NaiveDate {
    Utc::now().date_naive() + Days::new(days)
}

/// Waits until so many statements of the lab's database wait for locks.
async fn waiting(lab: &Lab, statements: i64) {
    let mut conn = lab.db.connect().await;
    let query = "SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
                 WHERE NOT l.granted AND a.datname = current_database()";
    while sqlx::query_scalar::<_, i64>(query).fetch_one(&mut conn).await.unwrap() < statements {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_that_meets_a_day_that_is_dropped_leaves_the_contents_of_pinned_runs() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let mut runs = Vec::new();
    for content in ["kept", "goes"] {
        let fence = running(&lab, &worker).await;
        worker.leave(fence, &[("a", content)]).await;
        worker.finish(fence, RunResult::Pass).await.unwrap();
        runs.push(fence.run_id);
    }
    lab.ops().keep_run(&lab.admin, runs[0], KeepRun::default()).await.unwrap();
    let mut dropping = lab.db.connect().await;
    sqlx::query("BEGIN").execute(&mut dropping).await.unwrap();
    let day = runs[0].time().date_naive();
    let dropped: String = sqlx::query_scalar("SELECT drop_day($1, true, $2)")
        .bind(day)
        .bind(in_days(40))
        .fetch_one(&mut dropping)
        .await
        .unwrap();
    assert_eq!(dropped, "dropped");
    let sweeping = tokio::spawn({
        let ops = lab.ops().clone();
        async move { turns::sweep_blobs(&ops, in_days(40)).await.unwrap() }
    });
    // It has begun, and looks for files while their tables are another transaction's.
    waiting(&lab, 1).await;
    sqlx::query("COMMIT").execute(&mut dropping).await.unwrap();
    assert_eq!(sweeping.await.unwrap(), Swept { hidden: 1, removed: 0, failed: 0 }, "what nobody has");
    assert_eq!(turns::sweep_blobs(lab.ops(), in_days(42)).await.unwrap().removed, 1);
    assert_eq!(read(&lab, runs[0], None, "a").await.unwrap(), "kept");
    lab.check().await;
}

#[tokio::test]
async fn nothing_is_hidden_while_retention_has_its_turn() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    worker.put(fence, "unused").await.unwrap();
    let mut retaining = lab.db.connect().await;
    sqlx::query("SELECT pg_advisory_lock(7478111, 3)").execute(&mut retaining).await.unwrap();
    assert_eq!(turns::sweep_blobs(lab.ops(), in_days(2)).await.unwrap(), Swept::default());
    sqlx::query("SELECT pg_advisory_unlock(7478111, 3)").execute(&mut retaining).await.unwrap();
    assert_eq!(turns::sweep_blobs(lab.ops(), in_days(2)).await.unwrap().hidden, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_record_the_same_contents_of_yesterday_do_not_wait_for_each_other() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fences = [running(&lab, &worker).await, running(&lab, &worker).await];
    worker.put(fences[0], "one").await.unwrap();
    worker.put(fences[0], "two").await.unwrap();
    lab.execute("UPDATE blob SET used_on = used_on - 1").await.unwrap();
    // Both have read what they share before either of them may change it.
    let mut sharing = lab.db.connect().await;
    sqlx::query("BEGIN").execute(&mut sharing).await.unwrap();
    sqlx::query("SELECT FROM blob FOR SHARE").execute(&mut sharing).await.unwrap();
    let recording = fences.map(|fence| {
        let worker = worker.clone();
        tokio::spawn(async move { worker.record(fence, &[("a", "one"), ("b", "two")]).await })
    });
    waiting(&lab, 2).await;
    sqlx::query("COMMIT").execute(&mut sharing).await.unwrap();
    for recorded in recording {
        recorded.await.unwrap().unwrap();
    }
    let used: Vec<NaiveDate> =
        sqlx::query_scalar("SELECT used_on FROM blob").fetch_all(&mut lab.db.connect().await).await.unwrap();
    assert!(used.iter().all(|day| *day >= fences[0].run_id.time().date_naive()), "{used:?}");
    lab.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_swept_before_its_end_leaves_nothing() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    let content = vec![7; 200 << 10];
    let (pieces, coming) = mpsc::channel::<Bytes>(1);
    let putting = tokio::spawn({
        let (worker, said) = (worker.clone(), blob(&content));
        let coming = ReceiverStream::new(coming).map(Ok);
        async move { worker.ops.put_blob(&worker.caller, worker.id, fence, said, coming).await }
    });
    pieces.send(Bytes::copy_from_slice(&content[..100 << 10])).await.unwrap();
    let mut conn = lab.db.connect().await;
    while sqlx::query_scalar::<_, i64>("SELECT count(*) FROM blob").fetch_one(&mut conn).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    // As if a clock had jumped.
    assert_eq!(turns::sweep_blobs(lab.ops(), in_days(2)).await.unwrap(), Swept { hidden: 1, removed: 1, failed: 0 });
    pieces.send(Bytes::copy_from_slice(&content[100 << 10..])).await.unwrap();
    drop(pieces);
    assert_eq!(putting.await.unwrap().unwrap_err().code(), ErrorCode::Unavailable);
    assert_eq!(objects(&lab.objects), Vec::<String>::new());
    lab.check().await;
}

#[tokio::test]
async fn a_first_record_waits_for_no_other_day() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    worker.put(fence, "one").await.unwrap();
    let day = format!("artifact_{}", fence.run_id.time().format("%Y%m%d"));
    let others = "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                  WHERE i.inhparent = 'artifact'::regclass AND c.relname <> $1";
    let mut dropping = lab.db.connect().await;
    let others: Vec<String> = sqlx::query_scalar(others).bind(day).fetch_all(&mut dropping).await.unwrap();
    assert!(!others.is_empty());
    sqlx::query("BEGIN").execute(&mut dropping).await.unwrap();
    for other in others {
        let lock = format!("LOCK TABLE {other} IN ACCESS EXCLUSIVE MODE");
        sqlx::query(sqlx::AssertSqlSafe(lock)).execute(&mut dropping).await.unwrap();
    }
    worker.record(fence, &[("a", "one")]).await.unwrap();
    sqlx::query("COMMIT").execute(&mut dropping).await.unwrap();
    worker.record(fence, &[("b", "one")]).await.unwrap();
    assert_eq!(listed(&lab, fence.run_id, None).await.unwrap(), ["b"]);
    lab.check().await;
}
