//! `max_parallel`, `fail_fast` and `soft_fail`.

use serde_json::{Value, json};
use tstr_shared::ids::RunId;
use tstr_shared::lease::LeaseState;
use tstr_shared::run::{Reason, RunResult, RunState, TriggerRun};
use tstr_tests::contract::{Worker, default};
use tstr_tests::{Lab, factory};

use super::{claimable, trigger, why_cancelled};

const CELLS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A test with five cells.
fn matrix(name: &str, rest: Value) -> Value {
    let mut matrix = json!({"labels": {"os": CELLS}});
    matrix.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    factory::with(factory::test(name), "/matrix", matrix)
}

async fn start_all(worker: &Worker) -> Vec<tstr_shared::lease::Fence> {
    let mut fences = Vec::new();
    for leased in worker.claim(10).await {
        worker.start(leased.fence).await.unwrap();
        fences.push(leased.fence);
    }
    fences
}

#[tokio::test]
async fn no_more_cells_are_under_way_than_max_parallel_says() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.test(matrix("t", json!({"max_parallel": 2}))).await;
    let (one, two) = (trigger(&lab, "t").await.unwrap(), trigger(&lab, "t").await.unwrap());
    let mut seen: Vec<RunId> = Vec::new();
    while seen.len() < 10 {
        let fences = start_all(&worker).await;
        // Each of the two matrices has a limit of its own.
        for set in [&one, &two] {
            let count = fences.iter().filter(|fence| set.contains(&fence.run_id)).count();
            assert!((1..=2).contains(&count), "{count} cells of a matrix at once");
        }
        lab.check().await;
        for fence in &fences {
            worker.finish(*fence, RunResult::Pass).await.unwrap();
            lab.check().await;
        }
        seen.extend(fences.iter().map(|fence| fence.run_id));
    }
    let mut expected: Vec<RunId> = one.into_iter().chain(two).collect();
    expected.sort();
    seen.sort();
    assert_eq!(seen, expected, "every cell ran once");
}

#[tokio::test]
async fn a_cell_passes_its_group_and_then_its_matrix() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let body = matrix("t", json!({"max_parallel": 2}));
    lab.test(factory::with(body, "/concurrency", json!({"policy": "queue", "group": "g", "limit": 3}))).await;
    let (one, two) = (trigger(&lab, "t").await.unwrap(), trigger(&lab, "t").await.unwrap());
    let mut done = 0;
    while done < 10 {
        let held = claimable(&lab).await;
        assert!((1..=3).contains(&held.len()));
        for set in [&one, &two] {
            assert!(held.iter().filter(|run| set.contains(run)).count() <= 2);
        }
        lab.check().await;
        let fence = worker.started().await;
        worker.finish(fence, RunResult::Pass).await.unwrap();
        done += 1;
    }
    lab.check().await;
    // A parked cell that holds a slot of its group gives it up when it is cancelled.
    let set = trigger(&lab, "t").await.unwrap();
    let other = trigger(&lab, "t").await.unwrap();
    lab.cancel(set[2]).await.unwrap();
    lab.check().await;
    assert_eq!(claimable(&lab).await, [set[0], set[1]]);
    lab.cancel(set[3]).await.unwrap();
    lab.cancel(set[4]).await.unwrap();
    assert_eq!(claimable(&lab).await, [set[0], set[1], other[0]]);
    lab.check().await;
}

#[tokio::test]
async fn the_first_cell_that_fails_cancels_the_others() {
    for result in [RunResult::Fail, RunResult::Error, RunResult::TimedOut] {
        let lab = Lab::start().await;
        let worker = lab.worker("w").await;
        lab.test(matrix("t", json!({"max_parallel": 3, "fail_fast": true}))).await;
        let other = trigger(&lab, "t").await.unwrap();
        for run in &other {
            lab.cancel(*run).await.unwrap();
        }
        let runs = trigger(&lab, "t").await.unwrap();
        let fences = start_all(&worker).await;
        assert_eq!(fences.len(), 3);
        // One passes, its slot lets a fourth in; it is leased. The second fails.
        worker.finish(fences[0], RunResult::Pass).await.unwrap();
        worker.one().await;
        worker.finish(fences[1], result).await.unwrap();
        assert!(claimable(&lab).await.is_empty(), "the slot is not given to a cell that is to be cancelled");
        assert_eq!(lab.carry_out_orders().await, 3);
        assert_eq!(worker.beat(&[fences[2]]).await, [LeaseState::CancelRequested]);
        worker.finish(fences[2], RunResult::Cancelled).await.unwrap();
        let mut cells = Vec::new();
        for run in &runs {
            let seen = lab.get(*run).await;
            assert_eq!(seen.state, RunState::Finished);
            if seen.result == Some(RunResult::Cancelled) {
                let why = why_cancelled(&lab, *run).await;
                assert!(why.contains(&fences[1].run_id.to_string()) && why.contains(result.word()), "{why}");
                assert!(why.contains("cell os="), "{why}");
                cells.push(seen.cell);
            }
        }
        assert_eq!(cells.len(), 3);
        assert_eq!(lab.carry_out_orders().await, 0);
        lab.check().await;
    }
}

#[tokio::test]
async fn a_soft_cell_a_cancelled_one_and_one_that_is_tried_again_cancel_nobody() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let body = matrix("t", json!({"fail_fast": true, "soft_fail": [{"os": "a"}]}));
    lab.test(factory::with(body, "/retry", json!({"on_fail": 1}))).await;
    let runs = trigger(&lab, "t").await.unwrap();
    let fences = start_all(&worker).await;
    let of = |run: RunId| *fences.iter().find(|fence| fence.run_id == run).unwrap();
    // Cell b fails and is tried again; c is cancelled; a fails twice and may.
    worker.finish(of(runs[1]), RunResult::Fail).await.unwrap();
    worker.finish(of(runs[2]), RunResult::Cancelled).await.unwrap();
    worker.finish(of(runs[0]), RunResult::Error).await.unwrap();
    assert_eq!(lab.carry_out_orders().await, 0);
    // Its second failure counts.
    let again = worker.started().await;
    assert_eq!(again.run_id, runs[1]);
    worker.finish(again, RunResult::Fail).await.unwrap();
    assert_eq!(lab.carry_out_orders().await, 2);
    for run in [runs[3], runs[4]] {
        worker.finish(of(run), RunResult::Cancelled).await.unwrap();
        assert!(why_cancelled(&lab, run).await.contains("cell os=b"));
    }
    lab.check().await;
}

#[tokio::test]
async fn cells_that_expire_or_are_lost_fail_their_matrix_too() {
    let lab = Lab::start().await;
    lab.test(matrix("t", json!({"fail_fast": true, "max_parallel": 2}))).await;
    let runs = trigger(&lab, "t").await.unwrap();
    let late = "UPDATE ready SET expires_at = clock_timestamp() - interval '1 s' WHERE run_id = $1";
    assert_eq!(lab.sql(late, runs[0]).await, 1);
    assert_eq!(lab.expire().await, 1);
    assert_eq!(lab.carry_out_orders().await, 4);
    let runs = trigger(&lab, "t").await.unwrap();
    let late = "UPDATE gated SET expires_at = clock_timestamp() - interval '1 s' WHERE run_id = $1";
    assert_eq!(lab.sql(late, runs[4]).await, 1);
    assert_eq!(lab.expire().await, 1);
    assert_eq!(lab.carry_out_orders().await, 4);
    assert!(claimable(&lab).await.is_empty());
    lab.check().await;
}

#[tokio::test]
async fn sets_that_were_put_off_are_let_in_whole_although_they_meet_their_gates_in_parts() {
    let lab = Lab::start().await;
    let axis = |name: &str| (0..16).map(|n| format!("{name}{n}")).collect::<Vec<_>>();
    let cells = json!({"labels": {"a": axis("a"), "b": axis("b")}, "max_parallel": 3});
    lab.test(factory::with(factory::test("t"), "/matrix", cells)).await;
    let later = TriggerRun { not_before: Some(chrono::Utc::now() + chrono::Duration::hours(1)), ..Default::default() };
    for _ in 0..2 {
        lab.ops().trigger(&lab.admin, &default(), "t", later.clone(), None).await.unwrap();
    }
    // A run that was lost waits for its next attempt meanwhile.
    let other = lab.run_of(&[]).await;
    let worker = lab.worker("w").await;
    let fence = worker.started().await;
    assert_eq!(fence.run_id, other);
    worker.release(fence, Some(Reason::RuntimeLost)).await.unwrap();
    lab.execute("UPDATE delayed SET due = clock_timestamp() - interval '1 s'").await.unwrap();
    lab.execute("UPDATE gated SET due = clock_timestamp() - interval '1 s'").await.unwrap();
    // 512 cells are more than meet their gates in one turn.
    while lab.move_due().await > 0 {}
    assert_eq!(claimable(&lab).await.len(), 2 * 3 + 1);
    lab.check().await;
    for _ in 0..20 {
        let fence = worker.started().await;
        worker.finish(fence, RunResult::Pass).await.unwrap();
    }
    lab.check().await;
}

#[tokio::test]
async fn a_run_that_comes_before_ordered_cancels_are_carried_out_waits_beside_no_free_slot() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let gate = json!({"policy": "queue", "group": "g", "limit": 1, "depth": 5});
    lab.test(factory::with(matrix("t", json!({"fail_fast": true})), "/concurrency", gate.clone())).await;
    lab.test(factory::with(factory::test("other"), "/concurrency", gate)).await;
    let runs = trigger(&lab, "t").await.unwrap();
    let fence = worker.started().await;
    worker.finish(fence, RunResult::Fail).await.unwrap();
    assert!(claimable(&lab).await.is_empty(), "the others are to be cancelled");
    let other = trigger(&lab, "other").await.unwrap();
    assert_eq!(claimable(&lab).await, other, "nobody else wants the slot");
    lab.check().await;
    assert_eq!(lab.carry_out_orders().await, runs.len() - 1);
    lab.check().await;
}
