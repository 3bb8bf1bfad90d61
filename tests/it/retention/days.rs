//! Days that are over: whole, in part, and while others work.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use serde_json::json;
use sqlx::Connection;
use tstr_api::ops::logs::LogQuery;
use tstr_shared::error::ErrorCode;
use tstr_shared::logs::Stream;
use tstr_shared::run::{RetryRun, RunFilter, RunResult, TriggerRun};
use tstr_tests::worker::Worker as StackWorker;
use tstr_tests::{Stack, factory};

use super::*;

const TABLES: [&str; 8] = ["run", "run_end", "attempt", "run_event", "log_chunk", "artifact", "collected", "output"];

/// Reads the log of a run as far as it goes.
pub async fn log_of(lab: &Lab, run: RunId) -> Result<Vec<u8>, ErrorCode> {
    let pieces = lab.ops().read_logs(&lab.admin, run, LogQuery::default()).await.map_err(|error| error.code())?;
    let pieces: Vec<_> = pieces.try_collect().await.map_err(|error| error.code())?;
    Ok(pieces.into_iter().flat_map(|piece| piece.data.to_vec()).collect())
}

#[tokio::test]
async fn a_day_that_is_over_goes_whole_with_all_that_belongs_to_it() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let mut runs = Vec::new();
    for log in ["one", "three", ""] {
        runs.push(passed(&lab, &worker, &default(), log).await);
    }
    let day = after(runs[0], 0);
    assert_eq!(usage(&lab, &default()).await, (3, 8));
    retain(&lab, after(runs[0], 90)).await;
    assert_eq!(listed(&lab, &default(), RunFilter::default()).await.len(), 3, "the ninetieth day is not over yet");
    let done = retain(&lab, after(runs[0], 91)).await;
    assert!(done.days > 0 && done.runs == 0 && !done.is_held_up, "{done:?}");
    for table in TABLES {
        assert!(!has_partition(&lab, table, day).await, "{table}");
    }
    assert_eq!(usage(&lab, &default()).await, (0, 0));
    assert!(listed(&lab, &default(), RunFilter::default()).await.is_empty());
    let gone = runs[0];
    let code = |result: Result<_, tstr_api::error::Error>| result.err().map(|error| error.code());
    assert_eq!(code(lab.ops().get_run(&lab.admin, gone).await.map(drop)), Some(ErrorCode::NotFound));
    assert_eq!(
        code(lab.ops().retry_run(&lab.admin, gone, RetryRun::default(), None).await.map(drop)),
        Some(ErrorCode::NotFound)
    );
    assert_eq!(code(lab.ops().run_events(&lab.admin, gone).await.map(drop)), Some(ErrorCode::NotFound));
    assert_eq!(code(lab.ops().explain_run(&lab.admin, gone).await.map(drop)), Some(ErrorCode::NotFound));
    assert_eq!(log_of(&lab, gone).await, Err(ErrorCode::NotFound));
    assert_eq!(lab.cancel(gone).await.err(), Some(ErrorCode::NotFound));
    // Life goes on, with what was interned gone and made anew.
    assert_eq!(done.unused, 2, "the class and the configuration");
    back_to_today(&lab).await;
    let again = passed(&lab, &worker, &default(), "again").await;
    assert_eq!(log_of(&lab, again).await.unwrap(), b"again");
    usage_is_exact(&lab).await;
}

#[tokio::test]
async fn a_day_with_an_unfinished_run_stays_until_that_run_has_ended() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let done = passed(&lab, &worker, &default(), "done").await;
    let open = waiting(&lab, &default()).await;
    let (today, day) = (after(open, 91), after(open, 0));
    let before = whole(&lab, open).await;
    let turn = retain(&lab, today).await;
    assert_eq!(turn.runs, 1, "only the one that has finished is removed: {turn:?}");
    assert!(has_partition(&lab, "run", day).await);
    assert_eq!(listed(&lab, &default(), RunFilter::default()).await, [open]);
    assert_eq!(whole(&lab, open).await, before);
    assert_eq!(whole(&lab, done).await, json!([null, lab.rows(done).await]));
    // Nor do its logs go while it runs.
    let fence = worker.started().await;
    worker.append(fence, 0, Stream::Stdout, 0, "late").await.unwrap();
    retain(&lab, today).await;
    assert!(has_partition(&lab, "log_chunk", day).await);
    worker.append(fence, 1, Stream::Stdout, 4, "r").await.unwrap();
    worker.finish(fence, RunResult::Pass).await.unwrap();
    assert_eq!(log_of(&lab, open).await.unwrap(), b"later");
    retain(&lab, today).await;
    assert!(!has_partition(&lab, "run", day).await);
    assert_eq!(usage(&lab, &default()).await, (0, 0));
}

#[tokio::test]
async fn namespaces_keep_their_runs_for_as_long_as_each_of_them_says() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let short = namespace(&lab, "short", 10, 3).await;
    let stays = passed(&lab, &worker, &default(), "stays").await;
    let goes = passed(&lab, &worker, &short, "goes").await;
    let before = whole(&lab, stays).await;
    let turn = retain(&lab, after(goes, 10)).await;
    assert_eq!(turn.runs, 1, "the log alone: {turn:?}");
    assert_eq!((usage(&lab, &short).await, usage(&lab, &default()).await), ((1, 0), (1, 5)));
    assert_eq!(log_of(&lab, goes).await, Err(ErrorCode::Expired));
    let turn = retain(&lab, after(goes, 11)).await;
    assert_eq!((turn.runs, turn.is_held_up), (1, false), "{turn:?}");
    assert_eq!((usage(&lab, &short).await, usage(&lab, &default()).await), ((0, 0), (1, 5)));
    assert!(listed(&lab, &short, RunFilter::default()).await.is_empty());
    assert_eq!(whole(&lab, goes).await[0], json!(null));
    assert_eq!(whole(&lab, stays).await, before);
    assert_eq!(log_of(&lab, stays).await.unwrap(), b"stays");
    let turn = retain(&lab, after(goes, 11)).await;
    assert_eq!(turn, Retained::default(), "a second turn finds nothing");
    // A shorter time takes effect with the next turn.
    let change = |old| NamespaceSettings { retention: Retention { runs_days: 1, logs_days: 1 }, ..old };
    lab.ops().update_namespace(&lab.admin, &default(), change).await.unwrap();
    retain(&lab, after(goes, 2)).await;
    assert!(!has_partition(&lab, "run", after(goes, 0)).await);
}

#[tokio::test]
async fn a_namespace_without_runs_of_a_day_does_not_hold_the_day() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    namespace(&lab, "forever", 3650, 3650).await;
    let run = passed(&lab, &worker, &default(), "x").await;
    let turn = retain(&lab, after(run, 91)).await;
    assert!(turn.days > 0 && !has_partition(&lab, "run", after(run, 0)).await, "{turn:?}");
}

#[tokio::test]
async fn many_rows_go_in_batches_and_each_of_them_once() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let short = namespace(&lab, "short", 1, 1).await;
    let first = passed(&lab, &worker, &default(), "stays").await;
    let axis: Vec<_> = (0..50).map(|i| i.to_string()).collect();
    let body = factory::with(factory::test("many"), "/matrix/labels", json!({"i": axis, "j": ["1", "2", "3", "4"]}));
    let new = serde_json::from_value(body).unwrap();
    lab.ops().apply_test(&lab.admin, &short, new, false, None).await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..3 {
        let made = lab.ops().trigger(&lab.admin, &short, "many", TriggerRun::default(), None).await.unwrap();
        runs.extend(made.runs.into_iter().map(|run| run.id));
    }
    let (open, over) = runs.split_last().unwrap();
    for run in over {
        lab.cancel(*run).await.unwrap();
    }
    let turn = retain(&lab, after(first, 2)).await;
    assert_eq!((turn.runs, turn.is_held_up), (599, false), "{turn:?}");
    assert_eq!(listed(&lab, &short, RunFilter::default()).await, [*open]);
    assert_eq!(retain(&lab, after(first, 2)).await.runs, 0);
}

#[tokio::test]
async fn logs_go_before_runs_and_the_api_says_so() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("t")).await;
    let worker = StackWorker::register(&stack, 0, "w").await;
    let mut ids = Vec::new();
    for log in [&b"hello"[..], b""] {
        ids.push(admin.trigger("t").await.remove(0));
        let fence = worker.running().await;
        if !log.is_empty() {
            worker.write(fence, &[(Stream::Stdout, log)]).await;
        }
        worker.finish(fence, RunResult::Pass).await.unwrap();
    }
    let (spoken, silent) = (&ids[0], &ids[1]);
    let run: RunId = spoken.parse().unwrap();
    assert!(admin.run(spoken).await["log"].get("removed_at").is_none());
    let turn = turns::retain(stack.replica(0).ops(), after(run, 31)).await.unwrap();
    assert!(turn.days > 0, "{turn:?}");
    let told = admin.run(spoken).await;
    for log in [&told["log"], &told["attempts"][0]["log"]] {
        assert_eq!((&log["status"], &log["bytes"]), (&json!("complete"), &json!(5)), "{told}");
        assert!(log["removed_at"].is_string(), "{told}");
    }
    let listed = admin.get("/api/v1/namespaces/default/runs").await.expect(200);
    let with = |id: &str| listed["items"].as_array().unwrap().iter().find(|run| run["id"] == id).unwrap().clone();
    assert_eq!(with(spoken)["log"], told["log"]);
    assert!(with(silent)["log"].get("removed_at").is_none(), "it never had one");
    for (accept, query) in [("*/*", ""), ("text/plain", ""), ("*/*", "?follow=true"), ("text/plain", "?attempt=1")] {
        let request = admin.request(reqwest::Method::GET, &format!("/api/v1/runs/{spoken}/logs{query}"));
        let problem = admin.send(request.header("Accept", accept)).await.refused(410, "expired");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("the log was removed by retention on 2"), "{detail}");
        assert_eq!(problem["retryable"], false);
    }
    assert_eq!(admin.get(&format!("/api/v1/runs/{silent}/logs")).await.status, 200);
    assert_eq!(admin.get(&format!("/api/v1/runs/{spoken}/logs?attempt=2")).await.status, 404);
    let space = admin.get("/api/v1/namespaces/default").await.expect(200);
    assert_eq!(space["usage"], json!({"runs": 2, "log_bytes": 0, "artifact_bytes": 0}));
    // A retry has a log of its own.
    turns::keep_house(stack.replica(0).ops()).await.unwrap();
    let again = admin.post(&format!("/api/v1/runs/{spoken}/retry"), &json!({})).await.expect(201);
    let fence = worker.running().await;
    worker.write(fence, &[(Stream::Stdout, b"anew")]).await;
    worker.finish(fence, RunResult::Pass).await.unwrap();
    let id = again["id"].as_str().unwrap();
    assert!(admin.get(&format!("/api/v1/runs/{id}/logs")).await.text().contains("anew"));
    assert!(admin.run(id).await["log"].get("removed_at").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_may_take_a_turn_at_once() {
    let lab = Lab::start_with(2).await;
    let worker = lab.worker("w").await;
    let short = namespace(&lab, "short", 10, 3).await;
    let mut last = passed(&lab, &worker, &default(), "stays").await;
    for _ in 0..20 {
        last = passed(&lab, &worker, &short, "goes").await;
    }
    for today in [after(last, 4), after(last, 11), after(last, 91)] {
        let turns = (0..2).map(|i| {
            let ops = lab.replica(i).clone();
            tokio::spawn(async move { turns::retain(&ops, today).await.unwrap() })
        });
        for turn in futures_util::future::join_all(turns).await {
            turn.unwrap();
        }
        // Where the two were in each other's way something may be left, for the next turn.
        retain(&lab, today).await;
        lab.check().await;
    }
    assert_eq!((usage(&lab, &short).await, usage(&lab, &default()).await), ((0, 0), (0, 0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_that_waits_for_a_long_reader_holds_nobody_up() {
    /// Far below the seconds for which the reader reads; a try to drop waits for 100 ms.
    const LONGEST: Duration = Duration::from_millis(1500);
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let old = passed(&lab, &worker, &default(), "old").await;
    // The runs go back a hundred days, so that the real day is not the one that is dropped.
    back_by(&lab, 100).await;
    let mut reader = lab.db.connect().await;
    let mut reading = reader.begin().await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM run").fetch_one(&mut *reading).await.unwrap();
    assert_eq!(seen, 1);
    let turn = tokio::spawn({
        let ops = lab.ops().clone();
        let today = after(old, 0);
        async move { turns::retain(&ops, today).await.unwrap() }
    });
    let (mut longest, mut rounds) = (Duration::ZERO, 0);
    while !turn.is_finished() {
        let begun = Instant::now();
        passed(&lab, &worker, &default(), "new").await;
        longest = longest.max(begun.elapsed());
        rounds += 1;
    }
    let turn = turn.await.unwrap();
    assert!(turn.is_held_up && has_partition(&lab, "run", after(old, 0) - Days::new(100)).await, "{turn:?}");
    assert!(longest < LONGEST, "a run waited for {longest:?}");
    assert!(rounds > 10, "only {rounds} runs went through meanwhile");
    reading.commit().await.unwrap();
    let turn = turns::retain(lab.ops(), after(old, 0)).await.unwrap();
    assert!(turn.days == 1 && !turn.is_held_up, "{turn:?}");
    assert_eq!(usage(&lab, &default()).await.0, rounds);
    usage_is_exact(&lab).await;
    lab.check().await;
}

/// Moves all runs to partitions of so many days before, and their ends as well.
pub async fn back_by(lab: &Lab, days: i32) {
    let moved = format!(
        "CREATE FUNCTION moved(id uuid) RETURNS uuid LANGUAGE sql AS $$
             SELECT (left(id_floor(to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)
                                   - interval '{days} days')::text, 13) || right(id::text, 23))::uuid $$"
    );
    lab.execute(&moved).await.unwrap();
    lab.execute(&format!("SELECT ensure_partitions(id_day(id) - {days}, id_day(id) - {days}) FROM run")).await.unwrap();
    for (table, id) in [
        ("run", "id"),
        ("run_end", "run_id"),
        ("attempt", "run_id"),
        ("log_chunk", "run_id"),
        ("artifact", "run_id"),
        ("collected", "run_id"),
        ("output", "run_id"),
    ] {
        lab.execute(&format!("UPDATE {table} SET {id} = moved({id})")).await.unwrap();
    }
    let earlier = ["leased_at", "started_at", "finished_at"].map(|at| format!("{at} = {at} - interval '{days} days'"));
    lab.execute(&format!("UPDATE run_end SET {}", earlier.join(", "))).await.unwrap();
    lab.execute("ALTER TABLE run_event DISABLE TRIGGER run_event_append_only").await.unwrap();
    lab.execute("UPDATE run_event SET run_id = moved(run_id)").await.unwrap();
    lab.execute("ALTER TABLE run_event ENABLE TRIGGER run_event_append_only").await.unwrap();
    lab.execute(&format!("UPDATE usage_delta SET day = day - {days}")).await.unwrap();
    lab.execute(&format!("UPDATE usage SET day = day - {days}")).await.unwrap();
}
