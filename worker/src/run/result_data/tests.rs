//! What is read of the files and the records of containers that end in all ways, and what becomes of it.

use tokio::time::Instant;
use tstr_shared::duration::Seconds;
use tstr_shared::logs::Stream;
use tstr_shared::run::RunResult;

use super::*;
use crate::engine::fake::{FakeEngine, Script};
use crate::run::tests::tar::Tar;
use crate::run::tests::{Bench, IMAGE, leased};

fn archive(path: &str, content: &str) -> (String, Vec<u8>) {
    (path.to_owned(), Tar::default().file(path.rsplit('/').next().unwrap(), content).end())
}

/// A container that says something in all ways.
fn says(script: Script) -> Script {
    let archives = [
        archive(OUTPUT_FILE, "version=1.2\n{\"cases\": 12}\n"),
        archive(METRICS_FILE, "requests,code=200 count=3i\n"),
        archive(SUMMARY_FILE, "# All well\n"),
    ];
    let output = vec![
        (Stream::Stdout, b"no line \x1c\x1everd".to_vec()),
        (Stream::Stderr, b"\x1c\x1eseen:stderr\x1e\x1c".to_vec()),
        (Stream::Stdout, b"ict:good\x1e\x1c\x1c\x1eversion:old\x1e\x1c".to_vec()),
    ];
    Script { archives: archives.into(), output, ..script }
}

fn bench(script: Script) -> Bench {
    Bench::new(FakeEngine::new().with(IMAGE, script))
}

fn exits(code: i32) -> Script {
    Script { exit_code: code, runs_for: Some(Duration::ZERO), ..Script::default() }
}

fn said(bench: &Bench, fence: Fence) -> Output {
    bench.control.output(fence).unwrap_or_else(|| panic!("nothing was recorded"))
}

fn is_all(output: &Output) {
    let data = serde_json::to_value(&output.data).unwrap();
    let expected = serde_json::json!({"version": "1.2", "cases": 12, "verdict": "good", "seen": "stderr"});
    assert_eq!((data, output.metrics.len()), (expected, 1));
    assert_eq!((output.summary.as_deref(), output.summary_cut), (Some("# All well\n"), false));
    assert_eq!(output.notes, []);
}

#[tokio::test(start_paused = true)]
async fn what_was_said_is_handed_over_before_the_end_is_told_however_a_container_ended() {
    for (code, result) in [(0, RunResult::Pass), (3, RunResult::Fail)] {
        let bench = bench(says(exits(code)));
        let mut run = leased(IMAGE);
        run.artifact_limit_bytes = if code == 0 { 0 } else { run.artifact_limit_bytes };
        let fence = run.fence;
        assert_eq!(bench.outcome(run).await.0.result, result);
        is_all(&said(&bench, fence));
        bench.cleaned_up(fence).await;
        bench.stop().await;
    }
    let bench = bench(says(Script::runs_on()));
    let mut late = leased(IMAGE);
    late.run_config.timeout = Seconds(5);
    let (late_fence, cancelled) = (late.fence, bench.running(leased(IMAGE)).await);
    assert_eq!(bench.outcome(late).await.0.result, RunResult::TimedOut);
    bench.control.cancel(cancelled);
    bench.control.until(|control| control.finished(cancelled).is_some()).await;
    assert_eq!(bench.control.finished(cancelled).unwrap().0.result, RunResult::Cancelled);
    is_all(&said(&bench, late_fence));
    is_all(&said(&bench, cancelled));
    bench.stop().await;
}

#[tokio::test]
async fn metrics_among_the_artifacts_are_added_to_those_of_the_file() {
    let long = format!("a v=10\n# {}\na v=100\n", "x".repeat(MAX_OUTPUT_BYTES));
    let artifacts = Tar::default()
        .entry("artifacts/", b'5')
        .file("artifacts/one.lp", "a v=1\nb v=2\nno\n")
        .file("artifacts/sub/two.INFLUX", "a v=1\n")
        .file("artifacts/long.lp", &long)
        .file("artifacts/none.txt", "a v=1000\n")
        .end();
    let archives = [archive(METRICS_FILE, "a v=1\n"), (tstr_shared::artifacts::FOLDER.to_owned(), artifacts)];
    let bench = bench(Script { archives: archives.into(), ..exits(0) });
    let run = leased(IMAGE);
    let fence = run.fence;
    bench.outcome(run).await;
    let output = said(&bench, fence);
    let sums: Vec<_> = output.metrics.iter().map(|one| (one.measurement.as_str(), one.value)).collect();
    assert_eq!(sums, [("a", 13.0), ("b", 2.0)]);
    let notes: Vec<_> = output.notes.iter().map(|note| (note.message.as_str(), note.line)).collect();
    let fault = "one.lp: a measurement and its fields, with a space between them, are expected";
    assert_eq!(notes[0], (fault, Some(3)));
    assert!(notes[1].0.starts_with("long.lp: the file has ") && notes.len() == 2, "{notes:?}");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_of_nothing() {
    let run = leased(IMAGE);
    let (fence, bench) = (run.fence, bench(exits(0)));
    bench.outcome(run).await;
    assert!(bench.control.output(fence).is_none());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn records_are_found_in_what_the_log_does_not_keep() {
    let mut noise = vec![b'x'; 1 << 20];
    noise.extend_from_slice(b"\x1c\x1elate:1\x1e\x1c");
    noise.extend(vec![b'x'; 1 << 20]);
    let bench = bench(Script { output: vec![(Stream::Stdout, noise)], ..exits(0) });
    let mut run = leased(IMAGE);
    (run.log_limit_bytes, run.log_tail_bytes) = (1000, 100);
    let fence = run.fence;
    bench.outcome(run).await;
    assert_eq!(said(&bench, fence).data["late"], "1");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_file_is_not_followed_and_said() {
    let archives = [
        (OUTPUT_FILE.to_owned(), Tar::default().entry("output", b'2').end()),
        (METRICS_FILE.to_owned(), Tar::default().entry("metrics", b'3').end()),
        (SUMMARY_FILE.to_owned(), Tar::default().entry("summary.md/", b'5').file("summary.md/x", "x").end()),
    ];
    let bench = bench(Script { archives: archives.into(), ..exits(0) });
    let run = leased(IMAGE);
    let fence = run.fence;
    assert_eq!(bench.outcome(run).await.0.result, RunResult::Pass);
    let output = said(&bench, fence);
    let notes: Vec<_> = output.notes.iter().map(|note| note.message.as_str()).collect();
    let expected = [
        "/tstr/output is not read: a link stands in its place",
        "/tstr/metrics is not read: no ordinary file stands in its place",
        "/tstr/summary.md is not read: a folder stands in its place",
    ];
    assert_eq!((output.data.len(), output.metrics.len(), output.summary), (0, 0, None));
    assert_eq!(notes, expected);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn files_that_are_too_long_are_cut_and_said() {
    let long = format!("a=1\nbig={}", "x".repeat(3 << 20));
    let archives = [archive(OUTPUT_FILE, &long), archive(SUMMARY_FILE, &long)];
    let bench = bench(Script { archives: archives.into(), ..exits(0) });
    let run = leased(IMAGE);
    let fence = run.fence;
    bench.outcome(run).await;
    let output = said(&bench, fence);
    assert_eq!(output.data.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!((output.summary.map(|summary| summary.len()), output.summary_cut), (Some(1 << 20), true));
    let size = long.len().to_string();
    assert!(
        output.notes.len() == 2 && output.notes.iter().all(|note| note.message.contains(&size)),
        "{:?}",
        output.notes
    );
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn archives_that_break_off_leave_a_note() {
    let whole = Tar::default().file("output", &"a=1\n".repeat(1000)).end();
    for cut in [0, 100, 600] {
        let bench = bench(Script { archives: [(OUTPUT_FILE.to_owned(), whole[..cut].to_vec())].into(), ..exits(0) });
        let run = leased(IMAGE);
        let fence = run.fence;
        bench.outcome(run).await;
        let output = said(&bench, fence);
        assert_eq!((output.data.len(), output.notes.len()), (0, 1), "{cut}: {output:?}");
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_waits_for_no_file_that_does_not_come() {
    let bench = bench(Script { copies_after: Duration::from_secs(3600), ..says(exits(0)) });
    let mut run = leased(IMAGE);
    run.artifact_limit_bytes = 0;
    let (fence, began) = (run.fence, Instant::now());
    assert_eq!(bench.outcome(run).await.0.result, RunResult::Pass);
    assert!(began.elapsed() < TAKING + Duration::from_secs(5), "{:?}", began.elapsed());
    let output = said(&bench, fence);
    assert_eq!((output.data.len(), output.notes.len()), (3, 1), "the records are there: {output:?}");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_take_it_gets_the_result() {
    let bench = bench(says(exits(0)));
    bench.control.refuse_outputs();
    let run = leased(IMAGE);
    let fence = run.fence;
    assert_eq!(bench.outcome(run).await.0.result, RunResult::Pass);
    assert!(bench.control.output(fence).is_none());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_says_nothing() {
    let bench = bench(says(Script::runs_on()));
    let fence = bench.running(leased(IMAGE)).await;
    bench.control.take_lease_away(fence);
    bench.cleaned_up(fence).await;
    assert!(bench.control.output(fence).is_none());
    bench.stop().await;
}
