//! Artifacts in a store that speaks the protocol of S3.

use bytes::Bytes;
use chrono::{Days, Utc};
use tstr_api::objects::Objects;
use tstr_api::ops::blobs::Swept;
use tstr_api::turns;
use tstr_shared::artifacts::{Collected, CollectedFile};
use tstr_tests::bucket::Bucket;

use super::*;

fn open(bucket: &Bucket) -> Objects {
    let settings = bucket.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Objects::open_with("s3://b/some/prefix", &settings).unwrap()
}

#[tokio::test]
async fn contents_are_written_read_in_part_and_removed() {
    let (lab, bucket) = (Lab::start().await, Bucket::start().await);
    let ops = lab.with_artifacts_in(open(&bucket));
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    let worker = Worker { ops: ops.clone(), ..worker };
    let large: Vec<u8> = (0..13u32 << 20).map(|i| ((i * 11) >> 5) as u8).collect();
    let pieces: Vec<&[u8]> = large.chunks(1 << 20).collect();
    worker.put_as(fence, blob(&large), &pieces).await.unwrap();
    worker.put(fence, "small").await.unwrap();
    worker.put(fence, "").await.unwrap();
    assert!(bucket.asked_for("partNumber=") >= 2, "what is large goes in parts");
    let names = bucket.names();
    assert!(names.len() == 3 && names.iter().all(|name| name.starts_with("some/prefix/1/")), "{names:?}");

    let file =
        |path: &str, content: &[u8]| CollectedFile { path: ArtifactPath::parse(path).unwrap(), blob: blob(content) };
    let all = vec![file("l", &large), file("s", b"small"), file("e", b"")];
    let collected = Collected { files: all, notes: vec![] };
    let _ = ops.record_artifacts(&worker.caller, worker.id, fence, collected).await.unwrap();
    worker.finish(fence, RunResult::Pass).await.unwrap();
    let bytes = async |path: &str, part: std::ops::Range<u64>| {
        let path = ArtifactPath::parse(path).unwrap();
        let opened = ops.open_artifact(&lab.admin, fence.run_id, None, &path).await.unwrap();
        let pieces = ops.read_artifact(&lab.admin, &opened, part).await.unwrap();
        pieces.try_collect::<Vec<_>>().await.unwrap().concat()
    };
    assert!(bytes("l", 0..large.len() as u64).await == large);
    assert!(bytes("l", 7_000_000..7_000_100).await == large[7_000_000..7_000_100]);
    assert_eq!((bytes("s", 1..4).await, bytes("e", 0..0).await), (b"mal".to_vec(), vec![]));

    let today = Utc::now().date_naive() + Days::new(2);
    assert_eq!(turns::sweep_blobs(&ops, today).await.unwrap(), Swept::default());
    lab.execute("DELETE FROM artifact WHERE path = 'l'").await.unwrap();
    assert_eq!(turns::sweep_blobs(&ops, today).await.unwrap(), Swept { hidden: 1, removed: 0, failed: 0 });
    let later = today + Days::new(2);
    assert_eq!(turns::sweep_blobs(&ops, later).await.unwrap(), Swept { hidden: 0, removed: 1, failed: 0 });
    assert_eq!(bucket.names().len(), 2);
}

#[tokio::test]
async fn a_store_that_is_busy_is_asked_again_and_one_that_is_ill_is_told_of() {
    let (lab, bucket) = (Lab::start().await, Bucket::start().await);
    let ops = lab.with_artifacts_in(open(&bucket));
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    let worker = Worker { ops: ops.clone(), ..worker };
    bucket.refuse(2);
    worker.put(fence, "in the end").await.unwrap();
    worker.record(fence, &[("a", "in the end")]).await.unwrap();
    bucket.set_ill(true);
    assert_eq!(worker.put(fence, "never").await, Err(ErrorCode::Unavailable));
    let path = ArtifactPath::parse("a").unwrap();
    let opened = ops.open_artifact(&lab.admin, fence.run_id, None, &path).await.unwrap();
    let refused = ops.read_artifact(&lab.admin, &opened, 0..5).await.map(drop);
    assert_eq!(refused.unwrap_err().code(), ErrorCode::Unavailable);
    // Nothing that was not stored is found, and its row is swept with its object.
    assert_eq!(worker.record(fence, &[("b", "never")]).await, Err(ErrorCode::Conflict));
    let today = Utc::now().date_naive() + Days::new(2);
    assert_eq!(turns::sweep_blobs(&ops, today).await.unwrap(), Swept { hidden: 1, removed: 0, failed: 1 });
    bucket.set_ill(false);
    lab.execute("UPDATE blob SET tried_at = tried_at - interval '5 min'").await.unwrap();
    assert_eq!(turns::sweep_blobs(&ops, today).await.unwrap(), Swept { hidden: 0, removed: 1, failed: 0 });
    // An upload that is refused in the middle leaves no parts behind.
    let large = vec![7; 12 << 20];
    let pieces: Vec<&[u8]> = large.chunks(1 << 20).collect();
    let wrong = Blob { sha256: blob(b"x").sha256, bytes: large.len() as u64 };
    assert_eq!(worker.put_as(fence, wrong, &pieces).await, Err(ErrorCode::Invalid));
    assert_eq!((bucket.open_uploads(), bucket.names().len()), (0, 1));
    worker.finish(fence, RunResult::Pass).await.unwrap();
    lab.check().await;
}

#[tokio::test]
async fn an_object_that_appears_after_its_upload_has_failed_is_swept() {
    let (lab, bucket) = (Lab::start().await, Bucket::start().await);
    let ops = lab.with_artifacts_in(open(&bucket));
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    let worker = Worker { ops: ops.clone(), ..worker };
    bucket.set_late(true);
    assert_eq!(worker.put(fence, "late").await, Err(ErrorCode::Unavailable));
    bucket.set_late(false);
    bucket.appear();
    assert_eq!(bucket.names().len(), 1);
    worker.leave(fence, &[("a", "late")]).await;
    let today = Utc::now().date_naive() + Days::new(2);
    assert_eq!(turns::sweep_blobs(&ops, today).await.unwrap(), Swept { hidden: 1, removed: 1, failed: 0 });
    assert_eq!(bucket.names().len(), 1, "the one that a file has");
    worker.finish(fence, RunResult::Pass).await.unwrap();
    lab.check().await;
}

#[tokio::test]
async fn a_sweep_gives_a_store_up_that_does_not_answer() {
    let (lab, bucket) = (Lab::start().await, Bucket::start().await);
    let ops = lab.with_artifacts_in(open(&bucket));
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    let worker = Worker { ops: ops.clone(), ..worker };
    for i in 0..100 {
        worker.put(fence, &format!("unused {i}")).await.unwrap();
    }
    let days = |days| Utc::now().date_naive() + Days::new(days);
    assert_eq!(turns::sweep_blobs(&ops, days(2)).await.unwrap().hidden, 100);
    bucket.set_ill(true);
    assert_eq!(turns::sweep_blobs(&ops, days(4)).await.unwrap(), Swept { hidden: 0, removed: 0, failed: 5 });
    bucket.set_ill(false);
    lab.execute("UPDATE blob SET tried_at = tried_at - interval '5 min'").await.unwrap();
    assert_eq!(turns::sweep_blobs(&ops, days(4)).await.unwrap(), Swept { hidden: 0, removed: 100, failed: 0 });
    assert!(bucket.names().is_empty());
}

#[tokio::test]
async fn a_reader_may_take_longer_than_any_call() {
    let bucket = Bucket::start().await;
    let objects = open(&bucket);
    let content = Bytes::from(vec![7; 100]);
    objects.write("x").finish(content.clone()).await.unwrap();
    let release = bucket.hold_halves();
    let mut pieces = objects.read("x", 0..100).await.unwrap().unwrap();
    let first = pieces.try_next().await.unwrap().unwrap();
    assert_eq!(first.len(), 50);
    // A minute later.
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    tokio::time::resume();
    release.notify_one();
    assert_eq!(pieces.try_next().await.unwrap().unwrap().len(), 50);
    assert_eq!(pieces.try_next().await.unwrap(), None);
    assert_eq!(bucket.asked_for("GET"), 1);
}
