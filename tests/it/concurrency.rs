//! Gates: how many runs are under way at once, by every road that runs come in and every way in which they end.

mod ends;
mod matrix;
mod policies;
mod race;
mod sweep;

use serde_json::{Value, json};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunId;
use tstr_shared::run::{Run, RunResult, TriggerRun};
use tstr_tests::contract::{Worker, default};
use tstr_tests::{Lab, factory};

/// A test with this concurrency.
fn limited(name: &str, concurrency: Value) -> Value {
    factory::with(factory::test(name), "/concurrency", concurrency)
}

/// A test of the group `shop` with this policy and limit.
fn in_group(name: &str, policy: &str, limit: u32) -> Value {
    limited(name, json!({"policy": policy, "group": "shop", "limit": limit}))
}

/// Triggers a test; a refusal is told by its code.
async fn trigger(lab: &Lab, test: &str) -> Result<Vec<RunId>, ErrorCode> {
    let made = lab.ops().trigger(&lab.admin, &default(), test, TriggerRun::default(), None).await;
    made.map(|made| made.runs.iter().map(|run| run.id).collect()).map_err(|error| error.code())
}

/// Triggers a test that makes one run.
async fn run_once(lab: &Lab, test: &str) -> RunId {
    let runs = trigger(lab, test).await.expect("trigger");
    assert_eq!(runs.len(), 1);
    runs[0]
}

/// Returns the ids of all runs that can be claimed now, and gives them back.
async fn claimable(lab: &Lab) -> Vec<RunId> {
    let query = "SELECT to_jsonb(coalesce(array_agg(run_id ORDER BY seq), '{}')) FROM ready WHERE $1 IS NOT NULL";
    serde_json::from_value(lab.value(query, RunId(uuid::Uuid::nil())).await).unwrap()
}

/// Claims, starts and ends the one run that can be claimed.
async fn pass_one(lab: &Lab, worker: &Worker, run: RunId) {
    assert_eq!(claimable(lab).await, [run]);
    let fence = worker.started().await;
    assert_eq!(fence.run_id, run);
    worker.finish(fence, RunResult::Pass).await.unwrap();
}

/// Reads a run, which was cancelled; returns why.
async fn why_cancelled(lab: &Lab, run: RunId) -> String {
    let Run { result, message, .. } = lab.get(run).await;
    assert_eq!(result, Some(RunResult::Cancelled), "run {run}");
    message.expect("a cancel that was not asked for says why")
}
