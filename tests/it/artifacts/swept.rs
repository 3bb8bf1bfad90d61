//! Contents that nobody needs are removed with their objects, and none that somebody needs.

use chrono::{Days, NaiveDate, Utc};
use tstr_api::ops::blobs::Swept;
use tstr_api::turns;
use tstr_tests::TestDb;

use super::*;

/// Takes a turn as if it were so many days later.
async fn sweep(lab: &Lab, days: u64) -> Swept {
    let today: NaiveDate = Utc::now().date_naive() + Days::new(days);
    let swept = turns::sweep_blobs(lab.ops(), today).await.unwrap();
    lab.check().await;
    swept
}

async fn count(db: &TestDb, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&mut db.connect().await).await.unwrap()
}

#[tokio::test]
async fn a_content_goes_two_days_after_its_last_use_unless_a_file_has_it() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    worker.leave(fence, &[("a", "needed"), ("b", "replaced")]).await;
    worker.put(fence, "never recorded").await.unwrap();
    worker.record(fence, &[("a", "needed")]).await.unwrap();
    worker.finish(fence, RunResult::Pass).await.unwrap();
    assert_eq!(objects(&lab.objects).len(), 3);
    assert_eq!(sweep(&lab, 1).await, Swept::default(), "a worker may be about to record them");
    assert_eq!(sweep(&lab, 2).await, Swept { hidden: 2, removed: 0, failed: 0 });
    assert_eq!(sweep(&lab, 3).await, Swept::default(), "a database that goes back by a day may find them again");
    assert_eq!(objects(&lab.objects).len(), 3);
    assert_eq!(sweep(&lab, 4).await, Swept { hidden: 0, removed: 2, failed: 0 });
    assert_eq!(objects(&lab.objects).len(), 1);
    assert_eq!(count(&lab.db, "SELECT count(*) FROM blob").await, 1);
    assert_eq!(sweep(&lab, 4000).await, Swept::default());
    assert_eq!(read(&lab, fence.run_id, None, "a").await.unwrap(), "needed");
}

#[tokio::test]
async fn a_run_that_a_wrong_clock_has_made_keeps_its_files() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.run_of(&[]).await;
    // As if the clock had been five days ahead when the run was made.
    for statement in [
        "SELECT ensure_partitions(id_day(id) + 5, id_day(id) + 5) FROM run",
        "CREATE FUNCTION moved(id uuid) RETURNS uuid LANGUAGE sql AS $$
             SELECT (left(id_floor(date_trunc('day', now()) + interval '5 days')::text, 13) || right(id::text, 23))::uuid $$",
        "UPDATE ready SET run_id = moved(run_id)",
        "ALTER TABLE run_event DISABLE TRIGGER run_event_append_only",
        "UPDATE run_event SET run_id = moved(run_id)",
        "ALTER TABLE run_event ENABLE TRIGGER run_event_append_only",
        "UPDATE run SET id = moved(id)",
        "UPDATE usage_delta SET day = day + 5",
    ] {
        lab.execute(statement).await.unwrap();
    }
    let fence = worker.started().await;
    worker.leave(fence, &[("a", "of later days")]).await;
    worker.finish(fence, RunResult::Pass).await.unwrap();
    assert_eq!(sweep(&lab, 10).await, Swept::default());
    assert_eq!(read(&lab, fence.run_id, None, "a").await.unwrap(), "of later days");
}

#[tokio::test]
async fn what_an_upload_left_that_came_to_no_end_is_removed_and_one_under_way_is_not() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    worker.put(fence, "whole").await.unwrap();
    // As if the server had been killed between the end of the object and its being found.
    lab.execute("UPDATE blob SET stored_at = NULL").await.unwrap();
    assert_eq!(worker.find(fence, &["whole"]).await.unwrap().len(), 1);
    assert_eq!(worker.record(fence, &[("a", "whole")]).await, Err(ErrorCode::Conflict));
    worker.leave(fence, &[("a", "whole")]).await;
    assert_eq!(objects(&lab.objects).len(), 2);
    assert_eq!(sweep(&lab, 1).await, Swept::default());
    assert_eq!(sweep(&lab, 2).await, Swept { hidden: 1, removed: 1, failed: 0 }, "it was never found");
    assert_eq!(objects(&lab.objects).len(), 1);
    assert_eq!(read(&lab, fence.run_id, None, "a").await.unwrap(), "whole");
    // As if it had been killed between the removal of an object and that of its row.
    worker.put(fence, "gone").await.unwrap();
    lab.execute("UPDATE blob SET stored_at = NULL WHERE bytes = 4").await.unwrap();
    let gone = objects(&lab.objects).into_iter().find(|name| name.contains(&blob(b"gone").sha256.to_string()));
    std::fs::remove_file(lab.objects.join(gone.unwrap())).unwrap();
    assert_eq!(sweep(&lab, 2).await, Swept { hidden: 1, removed: 1, failed: 0 });
    assert_eq!(count(&lab.db, "SELECT count(*) FROM blob").await, 1);
}

#[tokio::test]
async fn an_object_that_cannot_be_removed_keeps_its_row() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    worker.put(fence, "stuck").await.unwrap();
    let name = objects(&lab.objects).remove(0);
    // A folder in its place cannot be removed as a file.
    std::fs::remove_file(lab.objects.join(&name)).unwrap();
    std::fs::create_dir_all(lab.objects.join(&name).join("x")).unwrap();
    assert_eq!(sweep(&lab, 2).await, Swept { hidden: 1, removed: 0, failed: 0 });
    assert_eq!(sweep(&lab, 4).await, Swept { hidden: 0, removed: 0, failed: 1 });
    assert_eq!(count(&lab.db, "SELECT count(*) FROM blob WHERE stored_at IS NULL").await, 1);
    std::fs::remove_dir_all(lab.objects.join(&name)).unwrap();
    assert_eq!(sweep(&lab, 4).await, Swept::default(), "it is left to the replica that began to remove it");
    lab.execute("UPDATE blob SET tried_at = tried_at - interval '5 min'").await.unwrap();
    assert_eq!(sweep(&lab, 4).await, Swept { hidden: 0, removed: 1, failed: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sweep_takes_nothing_away_from_who_records_it_meanwhile() {
    let lab = Lab::start_with(2).await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    let mut kept = 0;
    for round in 0..60 {
        let content = format!("content {round}");
        worker.put(fence, &content).await.unwrap();
        // Of long ago, and no file has it: a sweep of today may take it.
        lab.execute(
            "UPDATE blob b SET used_on = used_on - 3 WHERE NOT EXISTS (SELECT FROM artifact a WHERE a.blob = b.key)",
        )
        .await
        .unwrap();
        let sweeping = tokio::spawn({
            let ops = lab.replica(1).clone();
            async move {
                tokio::time::sleep(std::time::Duration::from_micros(100 * round)).await;
                turns::sweep_blobs(&ops, Utc::now().date_naive()).await.unwrap()
            }
        });
        let recorded = worker.record(fence, &[("a", &content)]).await;
        sweeping.await.unwrap();
        match recorded {
            Ok(()) => {
                assert_eq!(read(&lab, fence.run_id, None, "a").await.unwrap(), content);
                kept += 1;
            }
            Err(code) => {
                assert_eq!(code, ErrorCode::Conflict);
                // It is told, and sent again.
                worker.leave(fence, &[("a", &content)]).await;
                assert_eq!(read(&lab, fence.run_id, None, "a").await.unwrap(), content);
            }
        }
        lab.check().await;
    }
    assert!(kept > 0, "the two have met");
}

#[tokio::test]
async fn contents_go_with_the_last_run_that_had_them() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    worker.leave(fence, &[("a", "x")]).await;
    worker.finish(fence, RunResult::Pass).await.unwrap();
    let today = fence.run_id.time().date_naive() + Days::new(91);
    let retained = turns::retain(lab.ops(), today).await.unwrap();
    assert!(retained.days > 0, "{retained:?}");
    assert_eq!(sweep(&lab, 91).await, Swept { hidden: 1, removed: 0, failed: 0 });
    assert_eq!(sweep(&lab, 93).await, Swept { hidden: 0, removed: 1, failed: 0 });
    assert!(objects(&lab.objects).is_empty());
}
