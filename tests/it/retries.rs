//! Running again what failed: the cells of a matrix, and the cases of a run that are named to the container.

use serde_json::{Value, json};
use tstr_api::ops::IdempotencyKey;
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::{MatrixId, RunId};
use tstr_shared::lease::LeasedRun;
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::Scope;
use tstr_shared::results::{FAILED_CASES, NamedCase};
use tstr_shared::run::{RetriedMatrix, RetryMatrix, RetryRun, RunResult, RunState, Trigger};
use tstr_tests::contract::{Worker, default};
use tstr_tests::{Lab, factory};
use uuid::Uuid;

use crate::reports::{JUNIT, results, running};

const FAILED: RetryRun = RetryRun { failed_cases: true };

async fn retry_matrix(lab: &Lab, matrix: MatrixId, req: RetryMatrix) -> Result<RetriedMatrix, ErrorCode> {
    let made = lab.ops().retry_matrix(&lab.admin, &default(), matrix, req, None).await;
    made.map_err(|error| error.code())
}

/// Claims and starts the one run that is there; returns all that its worker is told.
async fn started(worker: &Worker) -> LeasedRun {
    let run = worker.claim(1).await.pop().expect("a run is there");
    worker.start(run.fence).await.unwrap();
    run
}

fn named(run: &LeasedRun) -> Vec<String> {
    let text = run.run_config.env.get(FAILED_CASES).expect("the failed cases are named");
    let cases: Vec<NamedCase> = serde_json::from_str(text).unwrap();
    cases.into_iter().map(|case| case.key.name).collect()
}

#[tokio::test]
async fn the_cases_that_failed_are_named_to_the_container_and_the_results_are_partial() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker, &[("/run_config/env/A", json!("1")), ("/retry/on_fail", json!(0))]).await;
    worker.end_with(fence, RunResult::Fail, &[("a.xml", JUNIT)]).await;
    let first = fence.run_id;
    let made = lab.ops().retry_run(&lab.admin, first, FAILED, None).await.unwrap();
    assert_eq!((made.warnings.len(), made.run.trigger), (0, Trigger::Retry));
    let run = started(&worker).await;
    assert_eq!((run.fence.run_id, run.run_config.env.get("A")), (made.run.id, Some("1")));
    assert_eq!(named(&run), ["removes", "crashes"]);
    let text = run.run_config.env.get(FAILED_CASES).unwrap();
    let cases: Value = serde_json::from_str(text).unwrap();
    let (suite, id) = (json!(["shop"]), cases[0]["id"].clone());
    assert_eq!(cases[0], json!({"id": id, "suite": suite, "classname": "Cart", "name": "removes"}));
    // Only one of them is better now.
    let part = r#"<testsuites name="all"><testsuite name="shop"><testcase classname="Cart" name="removes"/>
                  <testcase classname="Cart" name="crashes"><failure/></testcase></testsuite></testsuites>"#;
    worker.end_with(run.fence, RunResult::Fail, &[("a.xml", part)]).await;
    assert!(results(&lab, made.run.id).await.partial && !results(&lab, first).await.partial);
    let before = lab.get(first).await;
    let after = lab.get(made.run.id).await;
    for (one, other) in [(&before.annotations, &after.annotations), (&before.labels, &after.labels)] {
        assert_eq!(one, other);
    }
    // Without being asked a retry is like the run; asked, it has what failed of that.
    lab.ops().retry_run(&lab.admin, made.run.id, RetryRun::default(), None).await.unwrap();
    let run = started(&worker).await;
    assert_eq!(named(&run), ["removes", "crashes"]);
    worker.finish(run.fence, RunResult::Pass).await.unwrap();
    lab.ops().retry_run(&lab.admin, made.run.id, FAILED, None).await.unwrap();
    assert_eq!(named(&started(&worker).await), ["crashes"]);
    lab.check().await;
}

#[tokio::test]
async fn where_no_case_failed_or_too_many_did_all_are_run_and_the_answer_says_so() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let many: String =
        (0..2000).map(|n| format!("<testcase classname='C' name='n{n}'><failure/></testcase>")).collect();
    let many = format!("<testsuite>{many}</testsuite>");
    for (files, says) in [(vec![], "no case of its reports failed"), (vec![("a.xml", &*many)], "more than 65536 bytes")]
    {
        let fence = running(&lab, &worker, &[]).await;
        worker.end_with(fence, RunResult::Fail, &files).await;
        let made = lab.ops().retry_run(&lab.admin, fence.run_id, FAILED, None).await.unwrap();
        assert!(made.warnings.len() == 1 && made.warnings[0].contains(says), "{:?}", made.warnings);
        let run = started(&worker).await;
        assert_eq!(run.run_config.env.get(FAILED_CASES), None);
        worker.finish(run.fence, RunResult::Pass).await.unwrap();
    }
}

#[tokio::test]
async fn a_variable_of_tstr_is_still_refused_from_people() {
    let lab = Lab::start().await;
    let test = factory::with(factory::test("a"), &format!("/run_config/env/{FAILED_CASES}"), json!("[]"));
    let refused = lab.ops().create_test(&lab.admin, &default(), serde_json::from_value(test).unwrap(), None).await;
    assert_eq!(refused.unwrap_err().errors()[0].pointer, format!("/run_config/env/{FAILED_CASES}"));
}

/// Runs a matrix of four cells; returns it with the runs, of which two have failed, one has passed and one was cancelled.
async fn matrix(lab: &Lab, worker: &Worker) -> (MatrixId, Vec<RunId>) {
    let test =
        factory::with(factory::test("m"), "/matrix", json!({"labels": {"c": ["1", "2", "3", "4"]}, "max_parallel": 4}));
    lab.test(test).await;
    let runs = lab.trigger("m").await;
    lab.cancel(runs[3]).await.unwrap();
    for _ in 0..3 {
        let run = started(worker).await;
        let result = if run.cell.get("c") == Some("1") { RunResult::Pass } else { RunResult::Fail };
        worker.end_with(run.fence, result, if result == RunResult::Fail { &[("a.xml", JUNIT)] } else { &[] }).await;
    }
    (lab.get(runs[0]).await.matrix_id, runs)
}

#[tokio::test]
async fn only_the_cells_that_failed_are_run_again_as_a_set_of_their_own() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let (first, runs) = matrix(&lab, &worker).await;
    let made = retry_matrix(&lab, first, RetryMatrix { failed_cases: true, ..RetryMatrix::default() }).await.unwrap();
    let cells: Vec<_> = made.made.runs.iter().map(|run| run.cell.text()).collect();
    assert_eq!((cells, made.warnings.len()), (vec!["c=2".to_owned(), "c=3".to_owned()], 0));
    let second = made.made.matrix_id;
    assert!(
        second != first && made.made.runs.iter().all(|run| run.matrix_id == second && run.trigger == Trigger::Retry)
    );
    // A set that has not ended has nothing to be run again.
    assert_eq!(retry_matrix(&lab, second, RetryMatrix::default()).await.err(), Some(ErrorCode::Conflict));
    let one = started(&worker).await;
    assert_eq!(named(&one), ["removes", "crashes"]);
    worker.end_with(one.fence, RunResult::Fail, &[]).await;
    let third = retry_matrix(&lab, second, RetryMatrix::default()).await.unwrap();
    assert_eq!(third.made.runs.len(), 1);
    assert!(third.warnings[0].contains("1 of 2 runs of the matrix have not finished"), "{:?}", third.warnings);

    let all = retry_matrix(&lab, first, RetryMatrix { only_failed: false, ..RetryMatrix::default() }).await.unwrap();
    assert_eq!(all.made.runs.len(), runs.len());
    assert!(all.made.runs.iter().all(|run| run.state == RunState::Queued));
    lab.check().await;
}

#[tokio::test]
async fn a_key_makes_a_set_once_and_who_may_not_learns_nothing() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let (first, _) = matrix(&lab, &worker).await;
    let key = || IdempotencyKey::parse("k").ok();
    let req = RetryMatrix::default();
    let once = lab.ops().retry_matrix(&lab.admin, &default(), first, req, key()).await.unwrap();
    let again = lab.ops().retry_matrix(&lab.admin, &default(), first, req, key()).await.unwrap();
    assert_eq!(once, again);
    let other = RetryMatrix { failed_cases: true, ..req };
    let other = lab.ops().retry_matrix(&lab.admin, &default(), first, other, key()).await;
    assert_eq!(other.unwrap_err().code(), ErrorCode::IdempotencyMismatch);
    let run = once.made.runs[0].id;
    lab.cancel(run).await.unwrap();
    let key = || IdempotencyKey::parse("r").ok();
    let once = lab.ops().retry_run(&lab.admin, run, FAILED, key()).await.unwrap();
    assert_eq!(lab.ops().retry_run(&lab.admin, run, FAILED, key()).await.unwrap(), once);
    let other = lab.ops().retry_run(&lab.admin, run, RetryRun::default(), key()).await;
    assert_eq!(other.unwrap_err().code(), ErrorCode::IdempotencyMismatch);

    assert_eq!(retry_matrix(&lab, MatrixId(Uuid::now_v7()), req).await.err(), Some(ErrorCode::NotFound));
    lab.namespace("elsewhere").await;
    let (stranger, reader) = (lab.caller(&[Scope::Control], &["elsewhere"]), lab.caller(&[Scope::Data], &["default"]));
    for (caller, ns, code) in [
        (&stranger, default(), ErrorCode::NotFound),
        (&reader, default(), ErrorCode::Forbidden),
        (&stranger, Namespace::parse("elsewhere").unwrap(), ErrorCode::NotFound),
    ] {
        let refused = lab.ops().retry_matrix(caller, &ns, first, req, None).await;
        assert_eq!(refused.unwrap_err().code(), code);
    }
}
