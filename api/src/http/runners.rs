//! Runners: what they are and what they do, and when they were broken; drain and resume them.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use tstr_shared::ids::RunnerId;
use tstr_shared::outage::Outage;
use tstr_shared::page::Page;
use tstr_shared::permission::{RunnersRead, RunnersWrite};
use tstr_shared::runner::Runner;

use super::App;
use super::body::Json;
use super::extract::{NamespacePath, PageQuery, Path, Query, RunnerPath, page};
use super::openapi::op;
use crate::auth::Caller;
use crate::error::Result;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let list = op::<RunnersRead>("list_runners", "Lists the runners that take runs of a namespace.");
    let outages = op::<RunnersRead>(
        "list_outages",
        "Lists when the control test of a namespace failed on a runner, the newest first.",
    );
    let get = op::<RunnersRead>("get_runner", "Returns a runner.");
    let drain = op::<RunnersWrite>("drain_runner", "Lets a runner finish what it has and take nothing new.");
    let resume = op::<RunnersWrite>("resume_runner", "Lets a drained runner take runs again.");
    ApiRouter::new()
        .api_route("/namespaces/{namespace}/runners", get_with(list_runners, list))
        .api_route("/namespaces/{namespace}/outages", get_with(list_outages, outages))
        .api_route("/runners/{runner}", get_with(get_runner, get))
        .api_route("/runners/{runner}/drain", post_with(drain_runner, drain))
        .api_route("/runners/{runner}/resume", post_with(resume_runner, resume))
        .with_path_items(|item| item.tag("runners"))
}

async fn list_runners(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<NamespacePath>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Runner>>> {
    Ok(Json(app.ops.list_runners(&caller, Some(&at.namespace), query.into()).await?))
}

/// Which outages.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct OutageQuery {
    /// Those of this runner.
    runner: Option<RunnerId>,
    /// How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered.
    page_size: Option<u32>,
    /// The `next_page_token` of the page before.
    page_token: Option<String>,
}

async fn list_outages(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<NamespacePath>,
    Query(query): Query<OutageQuery>,
) -> Result<Json<Page<Outage>>> {
    let OutageQuery { runner, page_size, page_token } = query;
    Ok(Json(app.ops.list_outages(&caller, &at.namespace, runner, page(page_size, page_token)).await?))
}

async fn get_runner(State(app): State<App>, caller: Caller, Path(at): Path<RunnerPath>) -> Result<Json<Runner>> {
    Ok(Json(app.ops.get_runner(&caller, at.runner).await?))
}

async fn drain_runner(State(app): State<App>, caller: Caller, Path(at): Path<RunnerPath>) -> Result<Json<Runner>> {
    Ok(Json(app.ops.set_runner_draining(&caller, at.runner, true).await?))
}

async fn resume_runner(State(app): State<App>, caller: Caller, Path(at): Path<RunnerPath>) -> Result<Json<Runner>> {
    Ok(Json(app.ops.set_runner_draining(&caller, at.runner, false).await?))
}
