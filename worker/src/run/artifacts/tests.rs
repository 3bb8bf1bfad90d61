//! What is taken out of hostile and of ordinary archives, and what becomes of it against a scripted API.

use std::path::Path;

use bytes::Bytes;
use futures_util::stream;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tstr_shared::artifacts::{FOLDER, MAX_FILE, MAX_FILES, Root};
use tstr_shared::ids::{LeaseId, RunId};
use tstr_shared::run::RunResult;
use uuid::Uuid;

use super::take::Taking;
use super::*;
use crate::engine::fake::{FakeEngine, Script};
use crate::engine::{Archive, EngineError};
use crate::run::tests::tar::Tar;
use crate::run::tests::{Bench, IMAGE, leased};

fn fence() -> Fence {
    Fence { run_id: RunId(Uuid::now_v7()), attempt: 1, lease_id: LeaseId(Uuid::new_v4()) }
}

fn pieces(bytes: &[u8]) -> Archive {
    let pieces: Vec<_> = bytes.chunks(700).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

/// Reads an archive of the folder for artifacts.
async fn read(dir: &Path, limit: u64, archive: Archive) -> Taken {
    let mut taking = Taking::new(dir, fence(), limit, Vec::new(), Notes::default());
    let root = Root { base: FOLDER.into(), patterns: Vec::new() };
    taking.read(&root, Ok(Some(archive))).await;
    let Taking { files, contents, notes, .. } = taking;
    Taken { files, contents: contents.into_iter().collect(), notes: notes.into_list() }
}

fn paths(files: &[CollectedFile]) -> Vec<&str> {
    files.iter().map(|file| file.path.as_str()).collect()
}

fn said(notes: &[ArtifactNote]) -> Vec<(NoteWhy, u64, u64)> {
    notes.iter().map(|note| (note.why, note.files, note.bytes)).collect()
}

#[tokio::test]
async fn only_ordinary_files_with_decent_paths_are_kept() {
    let (dir, long, deep) = (tempfile::tempdir().unwrap(), "l".repeat(600), "d/".repeat(20));
    let tar = Tar::default()
        .entry("artifacts/", b'5')
        .file("artifacts/a.txt", "one")
        .entry("artifacts/sub/", b'5')
        .file("artifacts/sub/ü b.txt", "two")
        .file("artifacts/../../../etc/passwd", "up")
        .file("artifacts/sub/../x", "up")
        .file("artifacts//etc/passwd", "absolute")
        .file("artifacts/a.txt", "again")
        .file(&format!("artifacts/{long}"), "long")
        .file(&format!("artifacts/{deep}x"), "deep")
        .file("artifacts/line\nbreak", "control")
        .says(b"artifacts/\xff\xfe", b'0', 3, b"bad")
        .entry("artifacts/symlink", b'2')
        .entry("artifacts/hard", b'1')
        .entry("artifacts/char", b'3')
        .entry("artifacts/block", b'4')
        .entry("artifacts/fifo", b'6')
        .file("/artifacts/rooted.txt", "three")
        .file("../artifacts/below.txt", "four");
    let taken = read(dir.path(), 1 << 20, pieces(&tar.end())).await;
    assert_eq!(paths(&taken.files), ["a.txt", "sub/ü b.txt", "rooted.txt", "artifacts/below.txt"]);
    assert_eq!(taken.files[0].blob.sha256, ContentHash(Sha256::digest("one").into()), "the first of a name is kept");
    let expected =
        [(NoteWhy::NotAFile, 5, 0), (NoteWhy::BadName, 7, 2 + 2 + 8 + 4 + 4 + 7 + 3), (NoteWhy::Duplicate, 1, 5)];
    assert_eq!(said(&taken.notes), expected);
    assert_eq!(taken.notes[0].paths, ["symlink", "hard", "char", "block", "fifo"]);
    assert!(Collected { files: taken.files, notes: taken.notes }.validate().is_ok());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the spool has no name");
}

#[tokio::test]
async fn what_does_not_fit_is_counted_and_the_rest_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let tar =
        Tar::default().file("a/1", "123456").file("a/2", "abcdef").file("a/3", "7890").file("a/4", "x").file("a/5", "");
    let taken = read(dir.path(), 10, pieces(&tar.end())).await;
    assert_eq!(paths(&taken.files), ["1", "3", "5"]);
    assert_eq!(said(&taken.notes), [(NoteWhy::OverLimit, 2, 7)]);

    let many = (0..10_000).fold(Tar::default(), |tar, i| tar.file(&format!("a/{i}"), "ab"));
    let taken = read(dir.path(), 1 << 20, pieces(&many.end())).await;
    assert_eq!((taken.files.len(), taken.contents.len()), (MAX_FILES, 1), "a content is spooled once");
    assert_eq!(said(&taken.notes), [(NoteWhy::TooMany, 9_000, 18_000)]);
    assert_eq!(taken.notes[0].paths.len(), 5);

    let large = usize::try_from(MAX_FILE.0).unwrap() + 1;
    let large = Tar::default().says(b"a/large", b'0', large as u64, &vec![0; large]).file("a/small", "s").end();
    let taken = read(dir.path(), u64::MAX, pieces(&large)).await;
    assert_eq!(
        (paths(&taken.files), said(&taken.notes)),
        (vec!["small"], vec![(NoteWhy::TooLarge, 1, MAX_FILE.0 + 1)])
    );
}

#[tokio::test]
async fn an_archive_that_lies_or_breaks_off_gives_what_was_whole() {
    let dir = tempfile::tempdir().unwrap();
    let whole = Tar::default().file("a/1", "one").file("a/2", "two");
    let lying = whole.clone().says(b"a/3", b'0', 1 << 20, b"short").end();
    let taken = read(dir.path(), 1 << 30, pieces(&lying)).await;
    assert_eq!((paths(&taken.files), said(&taken.notes)), (vec!["1", "2"], vec![(NoteWhy::Unreadable, 1, 1 << 20)]));
    let unended = read(dir.path(), 1 << 20, pieces(&whole.0)).await;
    assert_eq!((paths(&unended.files), said(&unended.notes)), (vec!["1", "2"], vec![(NoteWhy::Unreadable, 0, 0)]));
    let torn = pieces(&whole.0).chain(stream::iter([Err(EngineError::Unreachable("torn".into()))])).boxed();
    let torn = read(dir.path(), 1 << 20, torn).await;
    assert_eq!((torn.files.len(), torn.notes[0].why), (2, NoteWhy::Unreadable));
    assert!(torn.notes[0].detail.as_ref().unwrap().contains("torn"), "{:?}", torn.notes);
    let zeros = Tar::default().says(b"a/zeros", b'0', 4096, &[0; 4096]);
    let taken = read(dir.path(), 1 << 20, pieces(&zeros.0)).await;
    assert_eq!((taken.files.len(), taken.notes.len()), (1, 1), "zeros of a file are no end");
}

#[tokio::test]
async fn without_a_disk_files_are_counted() {
    let nowhere = Path::new("/nonexistent");
    let taken = read(nowhere, 1 << 20, pieces(&Tar::default().file("a/1", "one").file("a/2", "two").end())).await;
    assert_eq!((taken.files.len(), said(&taken.notes)), (0, vec![(NoteWhy::NoRoom, 2, 6)]));
}

/// Names of all kinds.
const NAMES: &str = "(artifacts/)?[a./\u{e4}\\x01-\\x7f]{0,40}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_archive_does_harm(
        names in prop::collection::vec(NAMES, 0..8),
        kinds in prop::collection::vec(any::<u8>(), 8),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let entries = names.iter().zip(&kinds);
        let tar = entries.fold(Tar::default(), |tar, (name, kind)| {
            let kind = if kind % 2 == 0 { b'0' } else { *kind };
            tar.says(name.as_bytes(), kind, name.len() as u64, name.as_bytes())
        });
        let whole = tar.end();
        let mut bytes = whole.clone();
        for (at, byte) in &flips {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(whole.len()));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let taken = runtime.block_on(read(dir.path(), 60, pieces(&bytes)));
        let untouched = flips.is_empty();
        for file in &taken.files {
            prop_assert!(taken.contents.contains_key(&file.blob.sha256));
            let is_true = names.iter().any(|name| file.blob.sha256 == ContentHash(Sha256::digest(name).into()));
            prop_assert!(is_true || !untouched, "{file:?}");
        }
        prop_assert!(taken.files.iter().map(|file| file.blob.bytes).sum::<u64>() <= 60);
        if cut.is_some() && untouched {
            prop_assert!(taken.notes.iter().any(|note| note.why == NoteWhy::Unreadable), "{:?}", taken.notes);
        }
        let collected = Collected { files: taken.files, notes: taken.notes };
        prop_assert!(collected.validate().is_ok(), "{collected:?}");
    }
}

/// A container that leaves two files in the folder for artifacts.
fn leaves_files(script: Script) -> Script {
    let tar = Tar::default().entry("artifacts/", b'5').file("artifacts/a.txt", "one").file("artifacts/b/c.txt", "two");
    Script { archives: [(FOLDER.to_owned(), tar.end())].into(), ..script }
}

fn bench(script: Script) -> Bench {
    Bench::new(FakeEngine::new().with(IMAGE, script))
}

/// Returns what was recorded: the paths, and what was noted.
fn recorded(bench: &Bench, fence: Fence) -> (Vec<String>, Vec<(NoteWhy, u64, u64)>) {
    let collected = bench.control.collected(fence).unwrap_or_else(|| panic!("nothing was recorded"));
    (paths(&collected.files).into_iter().map(str::to_owned).collect(), said(&collected.notes))
}

const BOTH: [&str; 2] = ["a.txt", "b/c.txt"];

fn both() -> (Vec<String>, Vec<(NoteWhy, u64, u64)>) {
    (BOTH.map(str::to_owned).to_vec(), Vec::new())
}

fn neither(why: NoteWhy) -> (Vec<String>, Vec<(NoteWhy, u64, u64)>) {
    (Vec::new(), vec![(why, 2, 6)])
}

#[tokio::test(start_paused = true)]
async fn files_are_handed_over_before_the_end_is_told_however_a_container_ended() {
    for (code, result) in [(0, RunResult::Pass), (3, RunResult::Fail)] {
        let bench = bench(leaves_files(Script::writes("x", code)));
        let run = leased(IMAGE);
        let fence = run.fence;
        assert_eq!(bench.outcome(run).await.0.result, result);
        assert_eq!(recorded(&bench, fence), both());
        assert_eq!(bench.control.blob(ContentHash(Sha256::digest("two").into())).unwrap(), b"two");
        bench.cleaned_up(fence).await;
        bench.stop().await;
    }
    let bench = bench(leaves_files(Script::runs_on()));
    let mut late = leased(IMAGE);
    late.run_config.timeout = tstr_shared::duration::Seconds(5);
    let (late_fence, cancelled) = (late.fence, bench.running(leased(IMAGE)).await);
    assert_eq!(bench.outcome(late).await.0.result, RunResult::TimedOut);
    bench.control.cancel(cancelled);
    bench.control.until(|control| control.finished(cancelled).is_some()).await;
    assert_eq!(bench.control.finished(cancelled).unwrap().0.result, RunResult::Cancelled);
    assert_eq!((recorded(&bench, late_fence), recorded(&bench, cancelled)), (both(), both()));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_of_nothing() {
    let mut unwanted = leased(IMAGE);
    unwanted.artifact_limit_bytes = 0;
    for (run, script) in [(leased(IMAGE), Script::default()), (unwanted, leaves_files(Script::default()))] {
        let (fence, bench) = (run.fence, bench(Script { runs_for: Some(Duration::ZERO), ..script }));
        bench.outcome(run).await;
        assert!(bench.control.collected(fence).is_none() && !bench.control.announced(fence));
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_hands_over_nothing() {
    let bench = bench(leaves_files(Script::runs_on()));
    let fence = bench.running(leased(IMAGE)).await;
    bench.control.take_lease_away(fence);
    bench.cleaned_up(fence).await;
    assert!(bench.control.collected(fence).is_none());
    let slow = leaves_files(Script { copies_after: Duration::from_secs(30), ..Script::writes("x", 0) });
    let second = self::bench(slow);
    let fence = second.running(leased(IMAGE)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    second.control.take_lease_away(fence);
    second.cleaned_up(fence).await;
    assert!(second.control.collected(fence).is_none() && second.control.finished(fence).is_none());
    bench.stop().await;
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn patterns_take_files_from_elsewhere() {
    let mut script = leaves_files(Script::writes("x", 0));
    let out = Tar::default()
        .entry("out/", b'5')
        .file("out/junit.xml", "<a/>")
        .file("out/sub/b.xml", "<b/>")
        .file("out/c.bin", "c");
    script.archives.insert("/tstr/out".into(), out.entry("out/link.xml", b'2').end());
    script.archives.insert("/tstr/one.json".into(), Tar::default().file("one.json", "{}").end());
    let bench = bench(script);
    let mut run = leased(IMAGE);
    run.artifact_paths =
        ["/tstr/out/**/*.xml", "/tstr/one.json", "/tstr/none/*.txt", "/tstr/artifacts/*.txt"].map(str::to_owned).into();
    let fence = run.fence;
    bench.outcome(run).await;
    let (files, notes) = recorded(&bench, fence);
    assert_eq!(files, ["a.txt", "b/c.txt", "tstr/out/junit.xml", "tstr/out/sub/b.xml", "tstr/one.json"]);
    assert_eq!(notes, [(NoteWhy::NotAFile, 1, 0), (NoteWhy::NoMatch, 1, 0)]);
    assert_eq!(bench.control.collected(fence).unwrap().notes[1].paths, ["/tstr/none/*.txt"]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_result_waits_for_no_copy_that_does_not_end() {
    let bench = bench(leaves_files(Script { copies_after: Duration::from_secs(3600), ..Script::writes("x", 0) }));
    let (run, began) = (leased(IMAGE), Instant::now());
    let fence = run.fence;
    assert_eq!(bench.outcome(run).await.0.result, RunResult::Pass);
    assert!(began.elapsed() < TAKING + Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(bench.control.announced(fence), "the API knows what the run waits for");
    assert_eq!(recorded(&bench, fence), (Vec::new(), vec![(NoteWhy::OutOfTime, 0, 0)]));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_fails_leaves_what_was_read_and_a_note() {
    let fault = Some(EngineError::Unreachable("gone".into()));
    let bench = bench(Script { copy_fault: fault, ..leaves_files(Script::writes("x", 0)) });
    let run = leased(IMAGE);
    let fence = run.fence;
    assert_eq!(bench.outcome(run).await.0.result, RunResult::Pass);
    assert_eq!(recorded(&bench, fence), (both().0, vec![(NoteWhy::Unreadable, 0, 0)]));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_keeps_no_artifacts_gets_the_result_and_a_note() {
    let bench = bench(leaves_files(Script::writes("x", 0)));
    bench.control.keep_no_artifacts();
    let run = leased(IMAGE);
    let fence = run.fence;
    assert_eq!(bench.outcome(run).await.0.result, RunResult::Pass);
    assert_eq!(recorded(&bench, fence), neither(NoteWhy::NotStored));
    assert!(bench.control.collected(fence).unwrap().notes[0].detail.is_some());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn uploads_that_hang_are_given_up() {
    let bench = bench(leaves_files(Script::writes("x", 0)));
    bench.control.hang_on_puts();
    let (run, began) = (leased(IMAGE), Instant::now());
    let fence = run.fence;
    assert_eq!(bench.outcome(run).await.0.result, RunResult::Pass);
    assert_eq!(recorded(&bench, fence), neither(NoteWhy::NotStored));
    assert!(began.elapsed() < STALLED + 2 * LOOK, "all at the same time: {:?}", began.elapsed());
    bench.stop().await;
}

/// A container that leaves so many files of so many bytes.
fn leaves(files: usize, bytes: usize) -> Script {
    let tar = (0..files).fold(Tar::default(), |tar, i| {
        let content: Vec<u8> = (0..bytes).map(|at| ((at * (i + 7)) >> 3) as u8).collect();
        tar.says(format!("artifacts/{i}").as_bytes(), b'0', bytes as u64, &content)
    });
    Script { archives: [(FOLDER.to_owned(), tar.end())].into(), ..Script::writes("x", 0) }
}

#[tokio::test(start_paused = true)]
async fn a_slow_way_is_used_for_as_long_as_there_is_time() {
    let bench = bench(leaves(6, 2 << 20));
    bench.control.slow_puts(Duration::from_secs(25));
    let (run, began) = (leased(IMAGE), Instant::now());
    let fence = run.fence;
    assert_eq!(bench.outcome(run).await.0.result, RunResult::Pass);
    let (files, notes) = recorded(&bench, fence);
    assert_eq!((files.len(), notes), (6, vec![]));
    assert!(began.elapsed() > Duration::from_secs(380), "{:?}", began.elapsed());
    bench.stop().await;
    // Large ones go one after the other: what arrived counts, where there is not time for all.
    let bench = self::bench(leaves(3, 24 << 20));
    bench.control.slow_puts(Duration::from_secs(5));
    let run = leased(IMAGE);
    let fence = run.fence;
    assert_eq!(bench.outcome(run).await.0.result, RunResult::Pass);
    assert_eq!((recorded(&bench, fence).0.len(), said(&bench.control.collected(fence).unwrap().notes).len()), (1, 1));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn where_one_content_cannot_be_stored_the_others_are_not_tried() {
    let bench = bench(leaves(40, 100));
    bench.control.be_ill();
    let (run, began) = (leased(IMAGE), Instant::now());
    let fence = run.fence;
    assert_eq!(bench.outcome(run).await.0.result, RunResult::Pass);
    assert_eq!(recorded(&bench, fence), (Vec::new(), vec![(NoteWhy::NotStored, 40, 4000)]));
    assert_eq!(bench.control.collected(fence).unwrap().notes[0].detail.as_deref(), Some("the store is ill"));
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_before_the_server_ends_the_run_whatever_becomes_of_its_files() {
    let bench = bench(leaves(1, 1 << 20));
    // They are sent twice, and the server is told of it each time; it counts from the first.
    bench.control.slow_puts(Duration::from_secs(60));
    bench.control.lose_blobs(1);
    bench.control.hang_on_records();
    let (mut run, began) = (leased(IMAGE), Instant::now());
    run.run_config.timeout = tstr_shared::duration::Seconds(5);
    let fence = run.fence;
    assert_eq!(bench.outcome(run).await.0.result, RunResult::Pass);
    assert!(bench.control.collected(fence).is_none());
    let took = began.elapsed();
    assert!(took > Duration::from_secs(800) && took < GIVEN, "{took:?}");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn contents_that_the_server_lost_are_sent_again_but_not_for_ever() {
    for (losses, expected) in [(1, both()), (3, both()), (100, neither(NoteWhy::NotStored))] {
        let bench = bench(leaves_files(Script::writes("x", 0)));
        bench.control.lose_blobs(losses);
        let run = leased(IMAGE);
        let fence = run.fence;
        assert_eq!(bench.outcome(run).await.0.result, RunResult::Pass);
        assert_eq!(recorded(&bench, fence), expected, "{losses}");
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_that_goes_away_gets_the_files_or_a_note_and_the_result() {
    for (minutes, expected) in [(1, both()), (12, neither(NoteWhy::NotStored))] {
        let bench = bench(leaves_files(Script { copies_after: Duration::from_secs(4), ..Script::writes("x", 0) }));
        // One that the API would not end for its time meanwhile.
        let mut run = leased(IMAGE);
        run.run_config.timeout = tstr_shared::duration::Seconds(3600);
        let fence = bench.running(run).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        bench.control.set_away(true);
        tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
        bench.control.set_away(false);
        bench.control.until(|control| control.finished(fence).is_some()).await;
        assert_eq!(bench.control.finished(fence).unwrap().0.result, RunResult::Pass);
        assert_eq!(recorded(&bench, fence), expected, "{minutes}");
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_stopped_says_what_it_has() {
    let bench = bench(leaves_files(Script { copies_after: Duration::from_secs(30), ..Script::writes("x", 0) }));
    let fence = bench.running(leased(IMAGE)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let began = Instant::now();
    bench.stops.stop_now();
    bench.control.until(|control| control.finished(fence).is_some()).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(recorded(&bench, fence), (Vec::new(), vec![(NoteWhy::OutOfTime, 0, 0)]));
    bench.stop().await;
}
