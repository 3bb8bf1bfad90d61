//! What runs say about themselves: result data, metrics, summary.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use tstr_shared::output::AttemptOutput;
use tstr_shared::permission::RunsRead;

use super::App;
use super::body::Json;
use super::extract::{Path, Query, RunPath};
use super::openapi::op;
use crate::auth::Caller;
use crate::error::Result;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let get = op::<RunsRead>(
        "get_run_output",
        "Returns what a run said about itself: result data, metrics and a summary.\n\
         Of the latest attempt unless `attempt` says another; attempts are never merged. The summary is Markdown as the \
         test wrote it, and not to be trusted. `notes` says what was not understood or not kept.",
    );
    ApiRouter::new()
        .api_route("/runs/{run}/output", get_with(get_run_output, get))
        .with_path_items(|item| item.tag("runs"))
}

/// Of which attempt.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct OutputQuery {
    /// The attempt, from 1; the latest unless said.
    attempt: Option<u16>,
}

async fn get_run_output(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<RunPath>,
    Query(query): Query<OutputQuery>,
) -> Result<Json<AttemptOutput>> {
    Ok(Json(app.ops.run_output(&caller, at.run, query.attempt).await?))
}
