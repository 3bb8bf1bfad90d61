//! How long artifacts are kept, and how much of them.

use chrono::{Days, NaiveDate};
use tstr_api::turns;
use tstr_shared::namespace::{Namespace, NamespaceSettings, Quotas, Retention};
use tstr_shared::run::{KeepRun, TriggerRun};
use tstr_tests::contract::default;
use tstr_tests::factory;

use super::*;

fn after(run: RunId, days: u64) -> NaiveDate {
    run.time().date_naive() + Days::new(days)
}

/// A run of the namespace that has passed and left this.
async fn left(lab: &Lab, worker: &Worker, ns: &Namespace, content: &str) -> RunId {
    let new = serde_json::from_value(factory::test("t")).unwrap();
    lab.ops().apply_test(&lab.admin, ns, new, false, None).await.unwrap();
    lab.ops().trigger(&lab.admin, ns, "t", TriggerRun::default(), None).await.unwrap();
    let fence = worker.started().await;
    worker.leave(fence, &[("a", content)]).await;
    worker.finish(fence, RunResult::Pass).await.unwrap();
    fence.run_id
}

async fn stored(lab: &Lab, ns: &Namespace) -> (u64, u64) {
    let usage = lab.ops().get_namespace(&lab.admin, ns).await.unwrap().usage;
    (usage.log_bytes, usage.artifact_bytes)
}

#[tokio::test]
async fn artifacts_go_with_the_logs_and_those_of_pinned_runs_stay() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let (goes, kept) = (left(&lab, &worker, &default(), "goes").await, left(&lab, &worker, &default(), "kept!").await);
    lab.ops().keep_run(&lab.admin, kept, KeepRun::default()).await.unwrap();
    assert_eq!(stored(&lab, &default()).await, (0, 9));
    turns::retain(lab.ops(), after(goes, 30)).await.unwrap();
    assert_eq!(read(&lab, goes, None, "a").await.unwrap(), "goes");
    let turn = turns::retain(lab.ops(), after(goes, 31)).await.unwrap();
    assert!(turn.days > 0, "{turn:?}");
    lab.check().await;
    assert_eq!(read(&lab, goes, None, "a").await, Err(ErrorCode::Expired));
    assert_eq!(listed(&lab, goes, None).await, Err(ErrorCode::Expired));
    assert_eq!(listed(&lab, goes, Some(2)).await, Err(ErrorCode::NotFound), "there never was such an attempt");
    let run = lab.get(goes).await;
    assert_eq!((run.artifacts.files, run.artifacts.bytes), (1, 4), "what there was is still told");
    assert!(run.artifacts.removed_at.is_some() && run.attempts[0].artifacts.removed_at.is_some(), "{run:?}");
    assert_eq!(
        (read(&lab, kept, None, "a").await.unwrap().as_str(), lab.get(kept).await.artifacts),
        ("kept!", files(1, 5))
    );
    assert_eq!(stored(&lab, &default()).await, (0, 5));
    // The content of the one goes, that of the other does not.
    for day in [31, 33] {
        turns::sweep_blobs(lab.ops(), after(goes, day)).await.unwrap();
    }
    assert_eq!((objects(&lab.objects).len(), read(&lab, kept, None, "a").await.unwrap().as_str()), (1, "kept!"));
    turns::retain(lab.ops(), after(goes, 4000)).await.unwrap();
    assert_eq!(read(&lab, kept, None, "a").await.unwrap(), "kept!");
    lab.ops().unkeep_run(&lab.admin, kept).await.unwrap();
    turns::retain(lab.ops(), after(goes, 4000)).await.unwrap();
    assert_eq!((read(&lab, kept, None, "a").await, stored(&lab, &default()).await), (Err(ErrorCode::NotFound), (0, 0)));
}

#[tokio::test]
async fn each_namespace_keeps_artifacts_for_as_long_as_it_says() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.namespace("short").await;
    let short = Namespace::parse("short").unwrap();
    let change = |old| NamespaceSettings { retention: Retention { runs_days: 10, logs_days: 3 }, ..old };
    lab.ops().update_namespace(&lab.admin, &short, change).await.unwrap();
    let (stays, goes) = (left(&lab, &worker, &default(), "stays").await, left(&lab, &worker, &short, "goes").await);
    let turn = turns::retain(lab.ops(), after(goes, 4)).await.unwrap();
    assert_eq!(turn.runs, 1, "{turn:?}");
    lab.check().await;
    assert_eq!((stored(&lab, &short).await, stored(&lab, &default()).await), ((0, 0), (0, 5)));
    assert_eq!(read(&lab, goes, None, "a").await, Err(ErrorCode::Expired));
    assert_eq!(read(&lab, stays, None, "a").await.unwrap(), "stays");
    let turn = turns::retain(lab.ops(), after(goes, 11)).await.unwrap();
    assert_eq!((turn.runs, turn.is_held_up), (1, false), "{turn:?}");
    assert_eq!(read(&lab, goes, None, "a").await, Err(ErrorCode::NotFound));
    lab.check().await;
    assert_eq!((stored(&lab, &short).await, stored(&lab, &default()).await), ((0, 0), (0, 5)));
}

#[tokio::test]
async fn artifacts_count_towards_what_a_namespace_may_store() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    left(&lab, &worker, &default(), "12345").await;
    let max = async |max_bytes| {
        let change = |old: NamespaceSettings| NamespaceSettings { quotas: Quotas { max_bytes, ..old.quotas }, ..old };
        lab.ops().update_namespace(&lab.admin, &default(), change).await.unwrap();
        let made = lab.ops().trigger(&lab.admin, &default(), "t", TriggerRun::default(), None).await;
        made.map(drop).map_err(|error| error.code())
    };
    assert_eq!(max(Some(5)).await, Err(ErrorCode::QuotaExceeded));
    assert_eq!(max(Some(6)).await, Ok(()));
    // What runs is recorded all the same, and counts from its end on.
    let fence = worker.started().await;
    worker.leave(fence, &[("a", "67890")]).await;
    assert_eq!(stored(&lab, &default()).await, (0, 5));
    worker.finish(fence, RunResult::Pass).await.unwrap();
    assert_eq!((stored(&lab, &default()).await, max(Some(6)).await), ((0, 10), Err(ErrorCode::QuotaExceeded)));
    turns::fold_usage(lab.ops()).await.unwrap();
    assert_eq!((stored(&lab, &default()).await, max(Some(6)).await), ((0, 10), Err(ErrorCode::QuotaExceeded)));
}

#[tokio::test]
async fn a_server_without_a_place_for_artifacts_says_so_and_records_results() {
    let lab = Lab::start().await;
    let poor = lab.without_artifacts();
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    let worker = Worker { ops: poor.clone(), ..worker };
    assert_eq!(worker.find(fence, &[]).await, Ok(vec![]), "that it collects is heard");
    let refused = poor.find_blobs(&worker.caller, worker.id, fence, vec![blob(b"x")]).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Conflict);
    assert!(refused.message().contains("--artifacts-url"), "{}", refused.message());
    assert_eq!(worker.put(fence, "x").await, Err(ErrorCode::Conflict));
    assert_eq!(worker.record(fence, &[("a", "x")]).await, Err(ErrorCode::Conflict));
    let mut note = ArtifactNote::new(NoteWhy::NotStored).with_detail(refused.message());
    note.add("a", 1);
    worker.record_with(fence, &[], vec![note.clone()]).await.unwrap();
    worker.finish(fence, RunResult::Pass).await.unwrap();
    assert_eq!(lab.ops().list_artifacts(&lab.admin, fence.run_id, None).await.unwrap().notes, [note]);
    lab.check().await;
}
