//! What happens when records, uploads, sweeps and retention meet: each meeting is made to happen by locks that are held.

use chrono::NaiveDate;

use super::*;

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
