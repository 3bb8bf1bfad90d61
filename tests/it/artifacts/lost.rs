//! What becomes of contents whose objects are gone although the database says that they are there, and the other way round;
//! and how much may be uploaded that no file has.

use chrono::{Days, NaiveDate, Utc};
use tstr_api::ops::blobs::Swept;
use tstr_api::turns;

use super::*;

fn in_days(days: u64) -> NaiveDate {
    Utc::now().date_naive() + Days::new(days)
}

/// The rows of contents: how many are found, and how many there are.
async fn rows(lab: &Lab) -> (i64, i64) {
    let counted = sqlx::query_as("SELECT count(stored_at), count(*) FROM blob");
    counted.fetch_one(&mut lab.db.connect().await).await.unwrap()
}

#[tokio::test]
async fn a_content_whose_object_is_gone_is_stored_again_by_the_next_run_that_leaves_it() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let first = running(&lab, &worker).await;
    worker.leave(first, &[("a", "content")]).await;
    worker.finish(first, RunResult::Pass).await.unwrap();
    let name = objects(&lab.objects).remove(0);
    std::fs::remove_file(lab.objects.join(&name)).unwrap();
    let path = ArtifactPath::parse("a").unwrap();
    for _ in 0..2 {
        let opened = lab.ops().open_artifact(&lab.admin, first.run_id, None, &path).await.unwrap();
        let refused = lab.ops().read_artifact(&lab.admin, &opened, 0..7).await.map(drop).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::NotFound);
        assert!(refused.message().contains("the bytes of this artifact are lost"), "{}", refused.message());
    }
    let second = running(&lab, &worker).await;
    assert_eq!(worker.find(second, &["content"]).await.unwrap().len(), 1, "it is wanted again");
    worker.leave(second, &[("a", "content")]).await;
    worker.finish(second, RunResult::Pass).await.unwrap();
    assert_eq!(read(&lab, second.run_id, None, "a").await.unwrap(), "content");
    // The row of what is lost stays for as long as a file has it, and so does the object, where it turns up again.
    turns::sweep_blobs(lab.ops(), in_days(5)).await.unwrap();
    assert_eq!(rows(&lab).await, (1, 2));
    std::fs::write(lab.objects.join(&name), "content").unwrap();
    assert_eq!(turns::sweep_blobs(lab.ops(), in_days(9)).await.unwrap(), Swept::default());
    assert_eq!(read(&lab, first.run_id, None, "a").await.unwrap(), "content");
}

#[tokio::test]
async fn no_more_is_uploaded_for_an_attempt_than_its_files_may_need() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.run_of(&[("/limits/artifacts", json!("20KiB"))]).await;
    let fence = worker.started().await;
    // All but what two small contents and a larger one count.
    let most = 2 * (20 << 10) + (64 << 20);
    let left = 2 * (16 << 10) + (40 << 10);
    lab.sql(&format!("UPDATE lease SET uploaded_bytes = {} WHERE run_id = $1", most - left), fence.run_id).await;
    worker.put(fence, "one").await.unwrap();
    worker.put(fence, "two").await.unwrap();
    worker.put(fence, "two").await.unwrap();
    // What was refused, and is not there, does not count.
    let wrong = Blob { bytes: 40 << 10, ..blob(b"x") };
    for _ in 0..3 {
        assert_eq!(worker.put_as(fence, wrong, &[&[7; 40 << 10]]).await, Err(ErrorCode::Invalid));
    }
    worker.put(fence, &"x".repeat(40 << 10)).await.unwrap();
    assert_eq!(worker.put(fence, "three").await, Err(ErrorCode::TooLarge));
    assert_eq!((rows(&lab).await, objects(&lab.objects).len()), ((3, 3), 3));
    worker.record(fence, &[("a", "one")]).await.unwrap();
    worker.finish(fence, RunResult::Pass).await.unwrap();
    lab.check().await;
}
