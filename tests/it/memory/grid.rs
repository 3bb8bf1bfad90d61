//! The cases of a test over its latest runs.

use serde_json::Value;
use tstr_tests::{Stack, factory};

use super::*;
use crate::http::TESTS;

/// Returns the rows of a grid, as a name and a strip.
fn rows(grid: &tstr_shared::grid::TestGrid) -> Vec<(&str, &str)> {
    grid.cases.iter().map(|case| (case.key.name.as_str(), case.strip.as_str())).collect()
}

#[tokio::test]
async fn a_grid_has_a_row_for_each_case_and_a_letter_for_each_run() {
    let bench = Bench::new().await;
    let mut runs = Vec::new();
    for cases in ["a+ b- c?", "a- b+ d+", "a+ b~ d+"] {
        runs.push(bench.run(cases).await);
    }
    // One that says nothing is a column all the same.
    let fence = bench.worker.started().await;
    bench.worker.finish(fence, RunResult::Fail).await.unwrap();
    bench.tell().await;
    runs.push(fence.run_id);
    let test = bench.test().await;
    let grid = async |much| bench.lab.ops().test_grid(&bench.lab.admin, &ns(), &test, None, much).await.unwrap();
    let all = grid((0, 0)).await;
    assert_eq!(all.runs.iter().map(|run| run.run_id).collect::<Vec<_>>(), runs, "the newest last");
    assert_eq!(all.runs[3].result, RunResult::Fail);
    assert_eq!(rows(&all), [("a", "pfp."), ("b", "fpr."), ("c", "s..."), ("d", ".pp.")]);
    assert_eq!((all.total.count, all.total.more), (4, false));
    assert!(all.cases[0].last_failed_at > all.cases[1].last_failed_at);
    // What failed is told first, and of how many.
    let few = grid((1, 3)).await;
    assert_eq!((rows(&few), few.total.count, few.runs.len()), (vec![("a", "fp.")], 4, 3));
    // What retention removes is no column any more, though its cell remembers it.
    let mut conn = bench.lab.db.connect().await;
    sqlx::query("DELETE FROM run_end WHERE run_id = $1").bind(runs[3].0).execute(&mut conn).await.unwrap();
    assert_eq!(rows(&grid((2, 0)).await), [("a", "pfp"), ("b", "fpr")]);
}

#[tokio::test]
async fn a_grid_is_of_all_cells_or_of_one() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let first = lab.run_of(&[("/matrix", json!({"labels": {"region": ["nyc", "sfo"]}}))]).await;
    let test = lab.get(first).await.test_id.to_string();
    for _ in 0..2 {
        let fence = worker.started().await;
        let is_near = lab.get(fence.run_id).await.cell.0["region"] == "nyc";
        let cases = if is_near { "a+ near+" } else { "a- far+" };
        worker.end_with(fence, RunResult::Pass, &[("a.xml", &report(cases))]).await;
    }
    while turns::digest(lab.ops()).await.unwrap() > 0 {}
    while turns::remember_run(lab.ops()).await.unwrap() {}
    let grid = async |cell| lab.ops().test_grid(&lab.admin, &ns(), &test, cell, (0, 0)).await.unwrap();
    let all = grid(None).await;
    assert_eq!((all.runs.len(), all.total.count, all.cases[0].standing), (2, 3, Some(Standing::New)));
    let cell: Labels = [("region".to_owned(), "nyc".to_owned())].into_iter().collect();
    let near = grid(Some(cell.clone())).await;
    assert_eq!((near.runs.len(), &near.runs[0].cell), (1, &cell));
    assert_eq!(rows(&near), [("a", "p"), ("near", "p")]);
    assert_eq!(near.cases[0].standing, Some(Standing::Passing), "in this cell");
}

#[tokio::test]
async fn a_test_without_runs_has_an_empty_grid() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.put(&format!("{TESTS}/a"), &factory::test("a")).await.expect(201);
    let grid: Value = admin.get(&format!("{TESTS}/a/grid?runs=999&cases=999")).await.expect(200);
    assert_eq!((&grid["runs"], &grid["cases"]), (&json!([]), &json!([])));
    assert_eq!(grid["total"], json!({"count": 0, "more": false}));
    assert_eq!(admin.get(&format!("{TESTS}/a/grid?columns=1")).await.faults(), ["columns"]);
    admin.get(&format!("{TESTS}/nothing/grid")).await.refused(404, "not_found");
}
