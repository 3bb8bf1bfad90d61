//! Artifacts on a real PostgreSQL: contents are stored once, files are recorded by who holds the lease, read by who sees
//! the run, kept as long as logs, and nothing of them is left when nobody needs it.

mod kept;
mod lost;
mod meetings;
mod s3;
mod swept;

use std::path::Path;

use futures_util::TryStreamExt;
use serde_json::{Value, json};
use tstr_shared::artifacts::{ArtifactNote, ArtifactPath, ArtifactSummary, Blob, NoteWhy};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunId;
use tstr_shared::lease::Fence;
use tstr_shared::permission::Scope;
use tstr_shared::run::{Reason, RunResult};
use tstr_shared::selector::SelectorSources;
use tstr_tests::Lab;
use tstr_tests::contract::{Worker, blob, forgeries};

/// The objects of a store that is a folder, by their names.
pub(crate) fn objects(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for namespace in std::fs::read_dir(folder).unwrap() {
        let namespace = namespace.unwrap();
        for object in std::fs::read_dir(namespace.path()).unwrap() {
            let name = object.unwrap().file_name();
            found.push(format!("{}/{}", namespace.file_name().display(), name.display()));
        }
    }
    found.sort();
    found
}

/// A run of the namespace `default` that runs.
async fn running(lab: &Lab, worker: &Worker) -> Fence {
    let run = lab.run_of(&[]).await;
    let fence = worker.started().await;
    assert_eq!(fence.run_id, run);
    fence
}

async fn listed(lab: &Lab, run: RunId, attempt: Option<u16>) -> Result<Vec<String>, ErrorCode> {
    let list = lab.ops().list_artifacts(&lab.admin, run, attempt).await.map_err(|error| error.code())?;
    assert_eq!((list.files as usize, list.bytes), (list.items.len(), list.items.iter().map(|one| one.bytes).sum()));
    Ok(list.items.iter().map(|one| one.path.to_string()).collect())
}

/// Reads a file as text.
async fn read(lab: &Lab, run: RunId, attempt: Option<u16>, path: &str) -> Result<String, ErrorCode> {
    let path = ArtifactPath::parse(path).unwrap();
    let read = async {
        let opened = lab.ops().open_artifact(&lab.admin, run, attempt, &path).await?;
        let part = 0..opened.artifact.bytes;
        let pieces: Vec<_> = lab.ops().read_artifact(&lab.admin, &opened, part).await?.try_collect().await?;
        Ok::<_, tstr_api::error::Error>(String::from_utf8(pieces.concat()).unwrap())
    };
    read.await.map_err(|error| error.code())
}

fn files(files: u32, bytes: u64) -> ArtifactSummary {
    ArtifactSummary { files, bytes, removed_at: None }
}

#[tokio::test]
async fn files_are_recorded_during_an_attempt_and_read_from_then_on() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    let run = fence.run_id;
    assert_eq!((listed(&lab, run, None).await.unwrap(), lab.get(run).await.artifacts), (vec![], files(0, 0)));
    assert_eq!(worker.find(fence, &["one", "two", "one"]).await.unwrap().len(), 2);
    worker.put(fence, "one").await.unwrap();
    assert_eq!(worker.find(fence, &["one", "two"]).await, Ok(vec![blob(b"two").sha256]));
    worker.put(fence, "two").await.unwrap();
    let left = [("a.txt", "one"), ("b/c.json", "two"), ("b/same.txt", "one")];
    for _ in 0..2 {
        worker.record(fence, &left).await.unwrap();
    }
    lab.check().await;
    for ended in [false, true] {
        if ended {
            worker.finish(fence, RunResult::Pass).await.unwrap();
        }
        assert_eq!(listed(&lab, run, None).await.unwrap(), ["a.txt", "b/c.json", "b/same.txt"]);
        assert_eq!(read(&lab, run, None, "b/same.txt").await.unwrap(), "one");
        assert_eq!(read(&lab, run, Some(1), "b/c.json").await.unwrap(), "two");
        for missing in ["b", "b/c", "A.TXT", "nothing"] {
            assert_eq!(read(&lab, run, None, missing).await, Err(ErrorCode::NotFound), "{missing}");
        }
        assert_eq!(listed(&lab, run, Some(2)).await, Err(ErrorCode::NotFound));
        assert_eq!(lab.get(run).await.artifacts, files(3, 9));
        lab.check().await;
    }
    let list = lab.ops().list_artifacts(&lab.admin, run, None).await.unwrap();
    let kinds: Vec<&str> = list.items.iter().map(|one| one.media_type.as_str()).collect();
    assert_eq!(kinds, ["text/plain", "application/json", "text/plain"]);
    assert_eq!(lab.get(run).await.attempts[0].artifacts, files(3, 9));
    assert_eq!(objects(&lab.objects).len(), 2, "a content is stored once");
    // Another run finds them stored.
    let fence = running(&lab, &worker).await;
    assert_eq!(worker.find(fence, &["one", "two"]).await, Ok(vec![]));
    worker.record(fence, &[("x", "two")]).await.unwrap();
    worker.finish(fence, RunResult::Fail).await.unwrap();
    assert_eq!(read(&lab, fence.run_id, None, "x").await.unwrap(), "two");
    lab.check().await;
}

#[tokio::test]
async fn what_is_recorded_replaces_what_was_and_notes_stand_beside_it() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    worker.leave(fence, &[("a", "one"), ("b", "two")]).await;
    let mut note = ArtifactNote::new(NoteWhy::TooLarge).with_detail("why");
    note.add("big.bin", 1 << 30);
    worker.record_with(fence, &[("b", "one")], vec![note.clone()]).await.unwrap();
    lab.check().await;
    let list = lab.ops().list_artifacts(&lab.admin, fence.run_id, None).await.unwrap();
    assert_eq!((list.attempt, list.files, list.bytes, list.notes), (1, 1, 3, vec![note.clone()]));
    assert_eq!(read(&lab, fence.run_id, None, "b").await.unwrap(), "one");
    // Of nothing but notes there is a record as well.
    worker.record_with(fence, &[], vec![note.clone()]).await.unwrap();
    worker.finish(fence, RunResult::Pass).await.unwrap();
    let list = lab.ops().list_artifacts(&lab.admin, fence.run_id, None).await.unwrap();
    assert_eq!((list.files, list.notes), (0, vec![note]));
    lab.check().await;
}

#[tokio::test]
async fn only_who_holds_the_lease_hands_over() {
    let lab = Lab::start().await;
    let (worker, other) = (lab.worker("w").await, lab.worker("other").await);
    let fence = running(&lab, &worker).await;
    worker.leave(fence, &[("a", "one")]).await;
    let before = lab.rows(fence.run_id).await;
    let stranger = worker.with(lab.caller(&[Scope::Runner], &[".*"]));
    let tries: Vec<_> = forgeries(fence).into_iter().map(|(what, forged)| (what, &worker, forged)).collect();
    for (what, who, fence) in
        tries.into_iter().chain([("another runner", &other, fence), ("another token", &stranger, fence)])
    {
        let lost = [ErrorCode::LeaseLost, ErrorCode::NotFound];
        for refused in [
            who.find(fence, &["x"]).await.map(drop),
            who.put(fence, "x").await,
            who.record(fence, &[("a", "one")]).await,
        ] {
            assert!(refused.is_err_and(|code| lost.contains(&code)), "{what}");
        }
    }
    assert_eq!(lab.rows(fence.run_id).await, before);
    worker.finish(fence, RunResult::Pass).await.unwrap();
    for refused in
        [worker.find(fence, &[]).await.map(drop), worker.put(fence, "one").await, worker.record(fence, &[]).await]
    {
        assert_eq!(refused, Err(ErrorCode::LeaseLost), "after the end");
    }
    assert_eq!(objects(&lab.objects).len(), 1);
    lab.check().await;
}

#[tokio::test]
async fn a_content_is_what_was_announced_or_is_not_stored() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    let right = blob(b"content");
    let large_piece = vec![0; (1 << 20) + 1];
    let cases: [(&str, Blob, &[&[u8]], ErrorCode); 8] = [
        ("another hash", blob(b"another"), &[b"content"], ErrorCode::Invalid),
        ("shorter", right, &[b"conte"], ErrorCode::Invalid),
        ("nothing", right, &[], ErrorCode::Invalid),
        ("longer", right, &[b"content", b"!"], ErrorCode::Invalid),
        ("a piece of nothing", right, &[b"con", b"", b"tent"], ErrorCode::Invalid),
        ("another length", Blob { bytes: 8, ..right }, &[b"content"], ErrorCode::Invalid),
        ("too large", Blob { bytes: (64 << 20) + 1, ..right }, &[], ErrorCode::TooLarge),
        ("a piece that is too large", Blob { bytes: 3 << 20, ..right }, &[&large_piece], ErrorCode::TooLarge),
    ];
    for (what, said, pieces, code) in cases {
        assert_eq!(worker.put_as(fence, said, pieces).await, Err(code), "{what}");
    }
    assert_eq!(worker.record(fence, &[("a", "content")]).await, Err(ErrorCode::Conflict), "it is not stored");
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM blob").fetch_one(&mut lab.db.connect().await).await.unwrap();
    assert_eq!((rows, objects(&lab.objects)), (0, vec![]), "nothing is left of what was refused");
    for _ in 0..2 {
        worker.put_as(fence, right, &[b"", b"con", b"tent"]).await.unwrap();
    }
    assert_eq!(worker.put_as(fence, Blob { bytes: 8, ..right }, &[]).await, Err(ErrorCode::Invalid));
    worker.put_as(fence, blob(b""), &[]).await.unwrap();
    // A large one goes through in parts.
    let large: Vec<u8> = (0..13u32 << 20).map(|i| ((i * 7) >> 3) as u8).collect();
    let pieces: Vec<&[u8]> = large.chunks(1 << 20).collect();
    worker.put_as(fence, blob(&large), &pieces).await.unwrap();
    worker.record(fence, &[("a", "content"), ("empty", "")]).await.unwrap();
    assert_eq!(read(&lab, fence.run_id, None, "empty").await.unwrap(), "");
    assert_eq!(read(&lab, fence.run_id, None, "a").await.unwrap(), "content");
    let sizes: u64 = objects(&lab.objects).iter().map(|name| lab.objects.join(name).metadata().unwrap().len()).sum();
    assert_eq!(sizes, large.len() as u64 + 7);
    assert_eq!(
        worker.record(fence, &[("same", "content"), ("same", "")]).await,
        Err(ErrorCode::Invalid),
        "a path stands once"
    );
    lab.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_content_from_two_at_once_is_stored_once() {
    let lab = Lab::start_with(2).await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    for round in 0..20 {
        let content = format!("content {round}");
        let puts = (0..4).map(|i| {
            let (worker, content) = (Worker { ops: lab.replica(i % 2).clone(), ..worker.clone() }, content.clone());
            tokio::spawn(async move { worker.put(fence, &content).await })
        });
        for put in futures_util::future::join_all(puts).await {
            put.unwrap().unwrap();
        }
        worker.record(fence, &[("a", &content)]).await.unwrap();
        assert_eq!(read(&lab, fence.run_id, None, "a").await.unwrap(), content);
    }
    assert_eq!(objects(&lab.objects).len(), 20);
    lab.check().await;
}

#[tokio::test]
async fn a_run_has_no_more_bytes_than_its_test_allows() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let changes = [("/limits/artifacts", json!("5B")), ("/artifacts/paths", json!(["/tstr/out/*.xml"]))];
    lab.run_of(&changes).await;
    let leased = worker.claim(1).await.remove(0);
    assert_eq!((leased.artifact_limit_bytes, leased.artifact_paths), (5, vec!["/tstr/out/*.xml".to_owned()]));
    let fence = leased.fence;
    worker.start(fence).await.unwrap();
    worker.put(fence, "one").await.unwrap();
    worker.put(fence, "22").await.unwrap();
    worker.record(fence, &[("a", "one"), ("b", "22")]).await.unwrap();
    assert_eq!(worker.record(fence, &[("a", "one"), ("b", "one")]).await, Err(ErrorCode::TooLarge));
    assert_eq!(listed(&lab, fence.run_id, None).await.unwrap(), ["a", "b"], "a refusal changes nothing");
    lab.check().await;
}

#[tokio::test]
async fn who_collects_has_fifteen_minutes_to_report() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let room = "SELECT to_jsonb(ARRAY[extract(epoch FROM hard_deadline - clock_timestamp()),
                                      extract(epoch FROM clock_timestamp() - collecting_at)]) FROM lease WHERE run_id = $1";
    let seconds = |value: Value| [value[0].as_f64(), value[1].as_f64()];
    lab.run_of(&[("/run_config/timeout", json!("60s"))]).await;
    let fence = worker.one().await;
    // Before the start nothing has a deadline.
    worker.find(fence, &[]).await.unwrap();
    assert_eq!(seconds(lab.value(room, fence.run_id).await)[0], None);
    worker.start(fence).await.unwrap();
    lab.sql("UPDATE lease SET collecting_at = NULL WHERE run_id = $1", fence.run_id).await;
    let [before, _] = seconds(lab.value(room, fence.run_id).await);
    assert!(before.unwrap() < 200.0, "{before:?}");
    worker.find(fence, &[]).await.unwrap();
    let [moved, began] = seconds(lab.value(room, fence.run_id).await);
    assert!((880.0..=900.0).contains(&moved.unwrap()) && began.unwrap() < 20.0, "{moved:?} {began:?}");
    // Saying it again gives no more.
    let past = "UPDATE lease SET collecting_at = collecting_at - interval '10 min',
                                 hard_deadline = hard_deadline - interval '10 min' WHERE run_id = $1";
    lab.sql(past, fence.run_id).await;
    worker.find(fence, &["x"]).await.unwrap();
    let [left, began] = seconds(lab.value(room, fence.run_id).await);
    assert!(left.unwrap() < 300.0 && began.unwrap() >= 600.0, "{left:?} {began:?}");
    // A deadline that is later anyway stays.
    lab.sql("UPDATE lease SET hard_deadline = clock_timestamp() + interval '2 h' WHERE run_id = $1", fence.run_id)
        .await;
    worker.find(fence, &[]).await.unwrap();
    assert!(seconds(lab.value(room, fence.run_id).await)[0].unwrap() > 7000.0);
    lab.check().await;
}

#[tokio::test]
async fn an_attempt_that_is_lost_keeps_what_it_had_recorded() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let first = running(&lab, &worker).await;
    worker.leave(first, &[("first", "one")]).await;
    lab.lapse(first.run_id).await;
    assert_eq!(lab.reap().await, 1);
    lab.check().await;
    lab.sql("UPDATE delayed SET due = clock_timestamp() WHERE run_id = $1", first.run_id).await;
    lab.move_due().await;
    let second = worker.started().await;
    assert_eq!((second.run_id, second.attempt), (first.run_id, 2));
    assert_eq!(worker.record(first, &[]).await, Err(ErrorCode::LeaseLost));
    worker.leave(second, &[("second", "two2")]).await;
    worker.release(second, Some(Reason::RuntimeLost)).await.unwrap();
    let run = lab.get(first.run_id).await;
    assert_eq!((run.attempts[0].artifacts, run.attempts[1].artifacts), (files(1, 3), files(1, 4)));
    assert_eq!(listed(&lab, run.id, Some(1)).await.unwrap(), ["first"]);
    assert_eq!(read(&lab, run.id, Some(1), "first").await.unwrap(), "one");
    assert_eq!(read(&lab, run.id, Some(2), "second").await.unwrap(), "two2");
    lab.check().await;
}

#[tokio::test]
async fn namespaces_share_no_content_and_see_no_file_of_each_other() {
    let lab = Lab::start().await;
    lab.namespace("other").await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker).await;
    worker.leave(fence, &[("a", "secret")]).await;
    worker.finish(fence, RunResult::Pass).await.unwrap();
    let foreigner = lab.caller(&[Scope::Data, Scope::Control], &["other"]);
    let path = ArtifactPath::parse("a").unwrap();
    let refused = lab.ops().list_artifacts(&foreigner, fence.run_id, None).await.map(drop);
    assert_eq!(refused.unwrap_err().code(), ErrorCode::NotFound);
    let refused = lab.ops().open_artifact(&foreigner, fence.run_id, None, &path).await.map(drop);
    assert_eq!(refused.unwrap_err().code(), ErrorCode::NotFound);
    // That a content is stored elsewhere is not told, and it is stored again.
    let ns = tstr_shared::namespace::Namespace::parse("other").unwrap();
    let new = serde_json::from_value(tstr_tests::factory::test("t")).unwrap();
    lab.ops().create_test(&lab.admin, &ns, new, None).await.unwrap();
    lab.ops().trigger(&lab.admin, &ns, "t", Default::default(), None).await.unwrap();
    let caller = lab.caller(&[Scope::Runner], &["other"]);
    let there = Worker::register(lab.ops(), caller, "there", SelectorSources::default()).await;
    let elsewhere = there.started().await;
    assert_eq!(there.find(elsewhere, &["secret"]).await.unwrap().len(), 1);
    assert_eq!(there.record(elsewhere, &[("a", "secret")]).await, Err(ErrorCode::Conflict));
    there.leave(elsewhere, &[("a", "secret")]).await;
    let names = objects(&lab.objects);
    let folders: Vec<&str> = names.iter().filter_map(|name| name.split_once('/')).map(|(folder, _)| folder).collect();
    assert!(names.len() == 2 && folders[0] != folders[1], "{names:?}");
    lab.check().await;
}
