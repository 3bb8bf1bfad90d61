//! Runners: what they are and what they do; drain and resume them.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::extract::State;
use tstr_shared::page::Page;
use tstr_shared::permission::{RunnersRead, RunnersWrite};
use tstr_shared::runner::Runner;

use super::App;
use super::body::Json;
use super::extract::{NamespacePath, PageQuery, Path, Query, RunnerPath};
use super::openapi::op;
use crate::auth::Caller;
use crate::error::Result;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let list = op::<RunnersRead>("list_runners", "Lists the runners that take runs of a namespace.");
    let get = op::<RunnersRead>("get_runner", "Returns a runner.");
    let drain = op::<RunnersWrite>("drain_runner", "Lets a runner finish what it has and take nothing new.");
    let resume = op::<RunnersWrite>("resume_runner", "Lets a drained runner take runs again.");
    ApiRouter::new()
        .api_route("/namespaces/{namespace}/runners", get_with(list_runners, list))
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

async fn get_runner(State(app): State<App>, caller: Caller, Path(at): Path<RunnerPath>) -> Result<Json<Runner>> {
    Ok(Json(app.ops.get_runner(&caller, at.runner).await?))
}

async fn drain_runner(State(app): State<App>, caller: Caller, Path(at): Path<RunnerPath>) -> Result<Json<Runner>> {
    Ok(Json(app.ops.set_runner_draining(&caller, at.runner, true).await?))
}

async fn resume_runner(State(app): State<App>, caller: Caller, Path(at): Path<RunnerPath>) -> Result<Json<Runner>> {
    Ok(Json(app.ops.set_runner_draining(&caller, at.runner, false).await?))
}
