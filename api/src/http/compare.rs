//! Two runs side by side.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use tstr_shared::compare::Comparison;
use tstr_shared::ids::RunId;
use tstr_shared::permission::RunsRead;

use super::App;
use super::body::Json;
use super::extract::Path;
use super::openapi::op;
use crate::auth::Caller;
use crate::error::Result;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let compare = op::<RunsRead>(
        "compare_runs",
        "Says how a run differs from another one.\n\
         Configuration, environment variables, labels, image and runner, durations, result data and metrics, files, and \
         the standard output line by line, without times, durations, ids, addresses and temporary paths. Of each log the \
         last 2 MiB are compared. Of both runs the latest attempt. What is equal is counted or left out, and `notes` says \
         what could not be compared.",
    );
    ApiRouter::new()
        .api_route("/runs/{run}/compare/{other}", get_with(compare_runs, compare))
        .with_path_items(|item| item.tag("runs"))
}

/// Addresses two runs.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
struct TwoRuns {
    /// The id of the one run.
    run: RunId,
    /// The id of the other run.
    other: RunId,
}

async fn compare_runs(State(app): State<App>, caller: Caller, Path(at): Path<TwoRuns>) -> Result<Json<Comparison>> {
    Ok(Json(app.ops.compare_runs(&caller, at.run, at.other).await?))
}
