//! What speaks for a cause: what changed, which failures are the same, which labels carry them, since when it takes longer.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use tstr_shared::causes::{FailureGroups, TestAnalysis, WhatChanged};
use tstr_shared::permission::TestsRead;
use tstr_shared::report::CaseId;

use super::App;
use super::body::Json;
use super::extract::{Pair, Path, Query, TestPath};
use super::openapi::op;
use crate::auth::Caller;
use crate::error::Result;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let changed = op::<TestsRead>(
        "get_what_changed",
        "Says what changed between the last pass and the first failure after it.\n\
         Of a test, or of a case of it, in a cell; without `cell` in the cell that began to fail last. Both runs are compared \
         as by `compare_runs`. Not found while there is no failure after a pass, or when one of the runs is no longer kept.",
    );
    let failures = op::<TestsRead>(
        "list_failure_groups",
        "Groups the failures of a test that say the same.\n\
         Failed cases of runs, and failed runs without one, the newest 5000 of the last `days`. Times, numbers, ids, \
         addresses and temporary paths make no difference.",
    );
    let analysis = op::<TestsRead>(
        "analyse_test",
        "Says which label values carry the failures of a test, and since when it takes longer.\n\
         Labels by the newest 5000 runs of the last `days`, durations by the last 100 runs of each cell.",
    );
    ApiRouter::new()
        .api_route("/namespaces/{namespace}/tests/{test}/changed", get_with(get_what_changed, changed))
        .api_route("/namespaces/{namespace}/tests/{test}/failures", get_with(list_failure_groups, failures))
        .api_route("/namespaces/{namespace}/tests/{test}/analysis", get_with(analyse_test, analysis))
        .with_path_items(|item| item.tag("results"))
}

/// Of what it is asked.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct ChangedQuery {
    /// In this cell: `key=value`. Repeated for each label of the cell.
    #[serde(default)]
    cell: Vec<Pair>,
    /// Of this case instead of the whole test.
    case: Option<CaseId>,
}

/// How far is looked back.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct DaysQuery {
    /// Runs that ended in the last so many days: 14 unless said, from 1 to 90.
    days: Option<u32>,
}

async fn get_what_changed(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
    Query(query): Query<ChangedQuery>,
) -> Result<Json<WhatChanged>> {
    let cell = super::cases::cell(&query.cell)?;
    Ok(Json(app.ops.what_changed(&caller, &at.namespace, &at.test.0, cell, query.case).await?))
}

async fn list_failure_groups(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
    Query(query): Query<DaysQuery>,
) -> Result<Json<FailureGroups>> {
    Ok(Json(app.ops.failure_groups(&caller, &at.namespace, &at.test.0, query.days).await?))
}

async fn analyse_test(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
    Query(query): Query<DaysQuery>,
) -> Result<Json<TestAnalysis>> {
    Ok(Json(app.ops.analyse_test(&caller, &at.namespace, &at.test.0, query.days).await?))
}
