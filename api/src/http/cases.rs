//! What is remembered between runs: how tests and cases are, since when cases fail, and what a run changed.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use tstr_shared::analysis::flaky::Status;
use tstr_shared::analysis::history::Standing;
use tstr_shared::grid::TestGrid;
use tstr_shared::health::{CaseRun, CaseState, CellState, RunChanges, StateFilter, TestState};
use tstr_shared::labels::Labels;
use tstr_shared::namespace::Namespace;
use tstr_shared::page::Page;
use tstr_shared::permission::{RunsRead, TestsRead};
use tstr_shared::report::CaseId;

use super::App;
use super::body::Json;
use super::extract::{NamespacePath, Pair, Path, Query, RunPath, TestPath, TestRef, flag, page};
use super::openapi::op;
use crate::auth::Caller;
use crate::error::Result;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let states = op::<TestsRead>(
        "list_states",
        "Lists how all tests of a namespace are: healthy, flaky or broken, with the ends of their latest runs.\n\
         A page holds up to 10000 tests.",
    );
    let cells = op::<TestsRead>(
        "list_test_cells",
        "Returns how a test is in each cell of its matrix, with what each monitor says and by which runs.",
    );
    let cases = op::<TestsRead>(
        "list_cases",
        "Lists the cases of a test, each in each of its cells: where it stands, and since which run.\n\
         Every parameter that is given must hold; of a repeated `standing` or `status` any one.",
    );
    let case = op::<TestsRead>(
        "get_case",
        "Returns how a case is in each cell, with what each monitor says and by which runs.",
    );
    let history = op::<TestsRead>("list_case_history", "Lists the runs that had a case, the newest first.");
    let grid = op::<TestsRead>(
        "get_test_grid",
        "Returns the cases of a test over its latest runs: a row for each case with a letter for each run.\nThe runs are the columns, \
         the newest last. Those cases stand first that failed in the latest run.",
    );
    let changes = op::<RunsRead>(
        "get_run_changes",
        "Returns what a run changed: cases that fail anew, still fail, are fixed, missing or removed, and since when.",
    );
    ApiRouter::new()
        .api_route("/namespaces/{namespace}/states", get_with(list_states, states))
        .api_route("/namespaces/{namespace}/tests/{test}/cells", get_with(list_test_cells, cells))
        .api_route("/namespaces/{namespace}/tests/{test}/cases", get_with(list_cases, cases))
        .api_route("/namespaces/{namespace}/tests/{test}/cases/{case}", get_with(get_case, case))
        .api_route("/namespaces/{namespace}/tests/{test}/cases/{case}/history", get_with(list_case_history, history))
        .api_route("/namespaces/{namespace}/tests/{test}/grid", get_with(get_test_grid, grid))
        .api_route("/runs/{run}/changes", get_with(get_run_changes, changes))
        .with_path_items(|item| item.tag("results"))
}

/// Addresses a case of a test.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
struct CasePath {
    /// The name of the namespace.
    namespace: Namespace,
    /// The test: its id or its name.
    test: TestRef,
    /// The id of the case.
    case: CaseId,
}

/// Which part of a list is wanted.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct StatesQuery {
    /// How many items the page holds at most: 10000 unless said; a larger wish is lowered.
    page_size: Option<u32>,
    /// The `next_page_token` of the page before.
    page_token: Option<String>,
}

/// Which cases are listed.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct CasesQuery {
    /// Cases in this cell: `key=value`. Repeated for each label of the cell.
    #[serde(default)]
    cell: Vec<Pair>,
    /// Cases that stand so. May be repeated.
    #[serde(default)]
    standing: Vec<Standing>,
    /// Healthy, flaky or broken ones. May be repeated.
    #[serde(default)]
    status: Vec<Status>,
    /// Part of the name, the classname, the file or the suite.
    q: Option<String>,
    /// Those first that took longest.
    #[serde(default, deserialize_with = "flag")]
    slowest: bool,
    /// How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered.
    page_size: Option<u32>,
    /// The `next_page_token` of the page before.
    page_token: Option<String>,
}

/// Which part of a history is listed.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    /// Runs of this cell: `key=value`. Repeated for each label of the cell.
    #[serde(default)]
    cell: Vec<Pair>,
    /// How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered.
    page_size: Option<u32>,
    /// The `next_page_token` of the page before.
    page_token: Option<String>,
}

/// How much of a grid is wanted.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct GridQuery {
    /// Runs of this cell: `key=value`. Repeated for each label of the cell.
    #[serde(default)]
    cell: Vec<Pair>,
    /// How many cases: 50 unless said, 200 at most; a larger wish is lowered.
    cases: Option<u32>,
    /// How many of the latest runs: 60 unless said, and at most; a larger wish is lowered.
    runs: Option<u32>,
}

/// Reads which cell is meant, if any.
pub(super) fn cell(pairs: &[Pair]) -> Result<Option<Labels>> {
    if pairs.is_empty() {
        return Ok(None);
    }
    Ok(Some(Pair::collect("cell", pairs)?))
}

async fn list_states(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<NamespacePath>,
    Query(query): Query<StatesQuery>,
) -> Result<Json<Page<TestState>>> {
    Ok(Json(app.ops.list_states(&caller, &at.namespace, page(query.page_size, query.page_token)).await?))
}

async fn list_test_cells(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
) -> Result<Json<Page<CellState>>> {
    let items = app.ops.test_cells(&caller, &at.namespace, &at.test.0).await?;
    Ok(Json(Page { items, next_page_token: None }))
}

async fn list_cases(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
    Query(query): Query<CasesQuery>,
) -> Result<Json<Page<CaseState>>> {
    let filter = StateFilter {
        cell: cell(&query.cell)?,
        standings: query.standing,
        statuses: query.status,
        text: query.q.filter(|text| !text.is_empty()),
        slowest: query.slowest,
    };
    let page = page(query.page_size, query.page_token);
    Ok(Json(app.ops.list_cases(&caller, &at.namespace, &at.test.0, filter, page).await?))
}

async fn get_case(State(app): State<App>, caller: Caller, Path(at): Path<CasePath>) -> Result<Json<Page<CaseState>>> {
    let items = app.ops.get_case(&caller, &at.namespace, &at.test.0, at.case).await?;
    Ok(Json(Page { items, next_page_token: None }))
}

async fn list_case_history(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<CasePath>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Page<CaseRun>>> {
    let (cell, page) = (cell(&query.cell)?, page(query.page_size, query.page_token));
    Ok(Json(app.ops.case_history(&caller, &at.namespace, &at.test.0, at.case, cell, page).await?))
}

async fn get_test_grid(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
    Query(query): Query<GridQuery>,
) -> Result<Json<TestGrid>> {
    let (cell, much) = (cell(&query.cell)?, (query.cases.unwrap_or_default(), query.runs.unwrap_or_default()));
    Ok(Json(app.ops.test_grid(&caller, &at.namespace, &at.test.0, cell, much).await?))
}

async fn get_run_changes(State(app): State<App>, caller: Caller, Path(at): Path<RunPath>) -> Result<Json<RunChanges>> {
    Ok(Json(app.ops.run_changes(&caller, at.run).await?))
}
