//! What the sweep of the gates and the upkeep do: slots that nobody handed on, and gates that nobody passes any more.

use serde_json::json;
use tstr_api::turns;
use tstr_shared::ids::RunId;
use tstr_shared::run::RunResult;
use tstr_tests::{Lab, factory};
use uuid::Uuid;

use super::{claimable, in_group, limited, pass_one, run_once, trigger};

/// Gives all gates more slots behind everybody's back, as a fault would that forgets to hand free ones on.
async fn widen(lab: &Lab, slots: i16) {
    let query = "UPDATE gate SET slots = $1";
    sqlx::query(query).bind(slots).execute(&mut lab.db.connect().await).await.unwrap();
}

async fn gates(lab: &Lab) -> Vec<String> {
    let query = "SELECT to_jsonb(coalesce(array_agg(kind ORDER BY kind), '{}')) FROM gate WHERE $1 IS NOT NULL";
    serde_json::from_value(lab.value(query, RunId(Uuid::nil())).await).unwrap()
}

#[tokio::test]
async fn a_sweep_hands_on_the_slots_beside_which_runs_wait_and_leaves_the_others_alone() {
    let lab = Lab::start().await;
    lab.test(in_group("grouped", "queue", 1)).await;
    lab.test(limited("cell", json!({"policy": "queue", "depth": 5}))).await;
    let cells = json!({"labels": {"os": ["a", "b", "c"]}, "max_parallel": 1});
    lab.test(factory::with(factory::test("matrix"), "/matrix", cells)).await;
    let mut first = vec![run_once(&lab, "grouped").await, run_once(&lab, "cell").await];
    let mut second = vec![run_once(&lab, "grouped").await, run_once(&lab, "cell").await];
    let third = run_once(&lab, "cell").await;
    let matrix = trigger(&lab, "matrix").await.unwrap();
    let waiting = claimable(&lab).await;
    assert_eq!(waiting.len(), 3, "one of each gate");
    first.push(*matrix.iter().find(|run| waiting.contains(run)).expect("one of the matrix"));
    assert_eq!(turns::sweep_gates(lab.ops()).await.unwrap(), 0, "no slot is free, so nothing is handed on");
    widen(&lab, 2).await;
    assert_eq!(claimable(&lab).await.len(), 3, "nobody has noticed yet");
    assert_eq!(turns::sweep_gates(lab.ops()).await.unwrap(), 3, "one more of each gate");
    let now = claimable(&lab).await;
    second.retain(|run| now.contains(run));
    assert_eq!((now.len(), second.len()), (6, 2), "those that have waited longest");
    assert!(!now.contains(&third));
    assert_eq!(matrix.iter().filter(|run| now.contains(run)).count(), 2);
    assert_eq!(turns::sweep_gates(lab.ops()).await.unwrap(), 0, "all slots are used again");
    lab.check().await;
}

#[tokio::test]
async fn gates_that_no_run_passes_are_forgotten_and_groups_are_kept() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.test(in_group("grouped", "queue", 1)).await;
    lab.test(limited("cell", json!({"policy": "queue"}))).await;
    let cells = json!({"labels": {"os": ["a", "b"]}, "max_parallel": 2});
    lab.test(factory::with(factory::test("matrix"), "/matrix", cells)).await;
    let grouped = run_once(&lab, "grouped").await;
    pass_one(&lab, &worker, grouped).await;
    let cell = run_once(&lab, "cell").await;
    turns::keep_house(lab.ops()).await.unwrap();
    assert_eq!(gates(&lab).await, ["cell", "group"], "a run still passes the cell's");
    pass_one(&lab, &worker, cell).await;
    trigger(&lab, "matrix").await.unwrap();
    for leased in worker.claim(2).await {
        worker.start(leased.fence).await.unwrap();
        worker.finish(leased.fence, RunResult::Pass).await.unwrap();
    }
    assert_eq!(gates(&lab).await, ["cell", "group", "matrix"]);
    turns::keep_house(lab.ops()).await.unwrap();
    assert_eq!(gates(&lab).await, ["group"], "what was registered stays");
    // A gate that was forgotten is made anew by the next run, with the slots of the test.
    let (one, two) = (run_once(&lab, "cell").await, run_once(&lab, "cell").await);
    pass_one(&lab, &worker, one).await;
    pass_one(&lab, &worker, two).await;
    lab.check().await;
}
