//! Every way in which a run ends gives its slot to the next one, and every way back to the queue keeps it.

use serde_json::json;
use tstr_shared::ids::RunId;
use tstr_shared::run::{Reason, RunResult};
use tstr_tests::contract::Worker;
use tstr_tests::{Lab, factory};

use super::{claimable, in_group, run_once};

/// A group with one slot, a run that has it and one that waits.
async fn waiting(changes: &[(&str, serde_json::Value)]) -> (Lab, Worker, RunId, RunId) {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let body = in_group("t", "queue", 1);
    lab.test(changes.iter().fold(body, |body, (at, value)| factory::with(body, at, value.clone()))).await;
    let (first, second) = (run_once(&lab, "t").await, run_once(&lab, "t").await);
    assert_eq!(claimable(&lab).await, [first]);
    (lab, worker, first, second)
}

async fn is_let_in(lab: &Lab, run: RunId, how: &str) {
    assert_eq!(claimable(lab).await, [run], "{how}");
    lab.check().await;
}

#[tokio::test]
async fn a_result_frees_the_slot_whatever_it_is() {
    for result in RunResult::ALL {
        let (lab, worker, _, second) = waiting(&[]).await;
        let fence = worker.started().await;
        assert!(claimable(&lab).await.is_empty());
        worker.finish(fence, *result).await.unwrap();
        is_let_in(&lab, second, result.word()).await;
    }
}

#[tokio::test]
async fn a_cancel_frees_the_slot_wherever_the_run_stands() {
    let (lab, _, first, second) = waiting(&[]).await;
    lab.cancel(first).await.unwrap();
    is_let_in(&lab, second, "queued").await;

    let (lab, worker, first, second) = waiting(&[]).await;
    worker.one().await;
    lab.cancel(first).await.unwrap();
    is_let_in(&lab, second, "leased").await;

    let (lab, worker, first, second) = waiting(&[]).await;
    let fence = worker.started().await;
    lab.cancel(first).await.unwrap();
    assert!(claimable(&lab).await.is_empty(), "its container may still run");
    worker.finish(fence, RunResult::Cancelled).await.unwrap();
    is_let_in(&lab, second, "running").await;

    let (lab, _, first, second) = waiting(&[]).await;
    lab.cancel(second).await.unwrap();
    is_let_in(&lab, first, "the one that waits").await;
}

#[tokio::test]
async fn a_queue_deadline_frees_the_slot() {
    let (lab, _, first, second) = waiting(&[]).await;
    assert_eq!(
        lab.sql("UPDATE ready SET expires_at = clock_timestamp() - interval '1 s' WHERE run_id = $1", first).await,
        1
    );
    assert_eq!(lab.expire().await, 1);
    is_let_in(&lab, second, "expired").await;
}

#[tokio::test]
async fn a_worker_that_is_lost_for_good_frees_the_slot() {
    let retry = ("/retry", json!({"on_infrastructure": 0}));
    let (lab, worker, first, second) = waiting(std::slice::from_ref(&retry)).await;
    worker.started().await;
    lab.lapse(first).await;
    assert_eq!(lab.reap().await, 1);
    is_let_in(&lab, second, "reaped").await;

    let (lab, worker, first, second) = waiting(&[]).await;
    worker.started().await;
    assert_eq!(
        lab.sql("UPDATE lease SET hard_deadline = clock_timestamp() - interval '1 s' WHERE run_id = $1", first).await,
        1
    );
    assert_eq!(lab.reap().await, 1);
    is_let_in(&lab, second, "backstop").await;

    let (lab, worker, _, second) = waiting(std::slice::from_ref(&retry)).await;
    let fence = worker.started().await;
    worker.release(fence, Some(Reason::RuntimeLost)).await.unwrap();
    is_let_in(&lab, second, "released for good").await;

    let (lab, worker, first, second) = waiting(&[]).await;
    for _ in 0..4 {
        worker.release(worker.one().await, None).await.unwrap();
        assert_eq!(claimable(&lab).await, [first], "a run that goes back keeps its slot");
    }
    worker.release(worker.one().await, None).await.unwrap();
    is_let_in(&lab, second, "never started").await;
}

#[tokio::test]
async fn another_attempt_keeps_the_slot() {
    let (lab, worker, first, second) = waiting(&[("/retry", json!({"on_fail": 1}))]).await;
    worker.finish(worker.started().await, RunResult::Fail).await.unwrap();
    assert_eq!(claimable(&lab).await, [first]);
    worker.started().await;
    lab.lapse(first).await;
    assert_eq!(lab.reap().await, 1);
    assert!(claimable(&lab).await.is_empty(), "it backs off, and nobody takes its place");
    lab.check().await;
    assert_eq!(
        lab.sql("UPDATE delayed SET due = clock_timestamp() - interval '1 s' WHERE run_id = $1", first).await,
        1
    );
    assert_eq!(lab.move_due().await, 1);
    worker.finish(worker.started().await, RunResult::Fail).await.unwrap();
    is_let_in(&lab, second, "the last attempt").await;
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_keeps_the_slot_and_the_last_one_frees_it() {
    let (lab, worker, first, second) = waiting(&[]).await;
    for round in 1..=5 {
        assert_eq!(worker.one().await.run_id, first);
        assert_eq!(
            lab.sql("UPDATE lease SET leased_at = leased_at - interval '5 min' WHERE run_id = $1", first).await,
            1
        );
        worker.beat(&[]).await;
        assert_eq!(claimable(&lab).await, [if round == 5 { second } else { first }]);
    }
}
