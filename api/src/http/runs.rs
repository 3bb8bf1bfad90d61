//! Runs: trigger, list, read, wait, cancel, retry, pin.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::extract::State;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use tstr_shared::ids::{MatrixId, RunnerId};
use tstr_shared::namespace::Namespace;
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::permission::{RunsRead, RunsWrite};
use tstr_shared::run::{
    KeepRun, Retried, RetriedMatrix, RetryMatrix, RetryRun, Run, RunEvent, RunFilter, RunResult, RunState, TriggerRun,
    Triggered,
};

use super::App;
use super::answer::{Accepted, Created, Waited};
use super::body::{Json, OptionalJson};
use super::extract::{Idempotency, NamespacePath, Pair, Path, Prefer, Query, RunPath, TestPath, TestRef, page};
use super::openapi::op;
use crate::auth::Caller;
use crate::error::Result;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let trigger = op::<RunsWrite>(
        "trigger_run",
        "Runs a test now, outside its schedule.\n\
         Makes one run for each cell of the matrix, or for those that `matrix` selects. The body may be left out.",
    );
    let list = op::<RunsRead>(
        "list_runs",
        "Lists the runs of a namespace, the latest first.\n\
         Every parameter that is given must hold; of a repeated `state` or `result` any one.",
    );
    let get =
        op::<RunsRead>("get_run", "Returns a run with its attempts; waits for its end where `Prefer` asks for it.");
    let cancel = op::<RunsWrite>(
        "cancel_run",
        "Cancels a run.\nA run that waits ends at once; one that runs ends when its runner has ended the container.",
    );
    let retry = op::<RunsWrite>(
        "retry_run",
        "Makes a new run of the same cell with the same configuration.\n\
         The body may be left out. With `failed_cases` the cases that failed are named to the container.",
    );
    let again = op::<RunsWrite>(
        "retry_matrix",
        "Makes new runs of those cells of a matrix that failed.\n\
         The body may be left out. The new runs are a set of their own; cells that have not finished are left out.",
    );
    let keep = op::<RunsWrite>(
        "keep_run",
        "Pins a run: retention leaves it alone, with its attempts, events and logs.\n\
         The body may be left out. A run that is pinned already stays so; a note replaces an earlier one.",
    );
    let unkeep = op::<RunsWrite>("unkeep_run", "Lets retention remove a run again.");
    let events =
        op::<RunsRead>("list_run_events", "Returns the changes of a run's state: who, when, from and to what.");
    ApiRouter::new()
        .api_route("/namespaces/{namespace}/tests/{test}/runs", post_with(trigger_run, trigger))
        .api_route("/namespaces/{namespace}/runs", get_with(list_runs, list))
        .api_route("/runs/{run}", get_with(get_run, get))
        .api_route("/runs/{run}/cancel", post_with(cancel_run, cancel))
        .api_route("/runs/{run}/retry", post_with(retry_run, retry))
        .api_route("/namespaces/{namespace}/matrices/{matrix_id}/retry", post_with(retry_matrix, again))
        .api_route("/runs/{run}/keep", post_with(keep_run, keep))
        .api_route("/runs/{run}/unkeep", post_with(unkeep_run, unkeep))
        .api_route("/runs/{run}/events", get_with(list_run_events, events))
        .with_path_items(|item| item.tag("runs"))
}

/// Addresses runs that were made together.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
struct MatrixPath {
    /// The name of the namespace.
    namespace: Namespace,
    /// The id of the set.
    matrix_id: MatrixId,
}

/// Which runs are listed.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct RunsQuery {
    /// Runs of this test: its id or its name.
    test: Option<TestRef>,
    /// Runs whose latest attempt is on this runner.
    runner: Option<RunnerId>,
    /// Runs in this state. May be repeated.
    #[serde(default)]
    state: Vec<RunState>,
    /// Runs with this result. May be repeated.
    #[serde(default)]
    result: Vec<RunResult>,
    /// Runs that have this label: `key=value`. May be repeated; all must be there.
    #[serde(default)]
    label: Vec<Pair>,
    /// Runs that were made together.
    matrix_id: Option<MatrixId>,
    /// Runs that are pinned, or are not.
    kept: Option<bool>,
    /// Runs scheduled after this instant.
    scheduled_after: Option<DateTime<Utc>>,
    /// Runs scheduled before this instant.
    scheduled_before: Option<DateTime<Utc>>,
    /// Runs started after this instant.
    started_after: Option<DateTime<Utc>>,
    /// Runs started before this instant.
    started_before: Option<DateTime<Utc>>,
    /// Runs finished after this instant.
    finished_after: Option<DateTime<Utc>>,
    /// Runs finished before this instant.
    finished_before: Option<DateTime<Utc>>,
    /// How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered.
    page_size: Option<u32>,
    /// The `next_page_token` of the page before.
    page_token: Option<String>,
}

impl RunsQuery {
    fn split(self) -> Result<(RunFilter, PageRequest)> {
        let filter = RunFilter {
            test: self.test.map(|test| test.0),
            runner: self.runner,
            states: self.state,
            results: self.result,
            labels: Pair::collect("label", &self.label)?,
            matrix_id: self.matrix_id,
            kept: self.kept,
            scheduled_after: self.scheduled_after,
            scheduled_before: self.scheduled_before,
            started_after: self.started_after,
            started_before: self.started_before,
            finished_after: self.finished_after,
            finished_before: self.finished_before,
        };
        Ok((filter, page(self.page_size, self.page_token)))
    }
}

async fn trigger_run(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
    Idempotency(key): Idempotency,
    OptionalJson(request): OptionalJson<TriggerRun>,
) -> Result<Created<Triggered>> {
    Ok(Created(app.ops.trigger(&caller, &at.namespace, &at.test.0, request, key).await?))
}

async fn list_runs(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<NamespacePath>,
    Query(query): Query<RunsQuery>,
) -> Result<Json<Page<Run>>> {
    let (filter, page) = query.split()?;
    Ok(Json(app.ops.list_runs(&caller, &at.namespace, filter, page).await?))
}

async fn get_run(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<RunPath>,
    Prefer(wait): Prefer,
) -> Result<Waited<Run>> {
    let run = match wait {
        None => app.ops.get_run(&caller, at.run).await?,
        Some(wait) => app.ops.wait_run(&caller, at.run, wait).await?,
    };
    Ok(Waited(wait, run))
}

async fn cancel_run(State(app): State<App>, caller: Caller, Path(at): Path<RunPath>) -> Result<Accepted<Run>> {
    Ok(Accepted(app.ops.cancel_run(&caller, at.run).await?))
}

async fn retry_run(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<RunPath>,
    Idempotency(key): Idempotency,
    OptionalJson(request): OptionalJson<RetryRun>,
) -> Result<Created<Retried>> {
    Ok(Created(app.ops.retry_run(&caller, at.run, request, key).await?))
}

async fn retry_matrix(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<MatrixPath>,
    Idempotency(key): Idempotency,
    OptionalJson(request): OptionalJson<RetryMatrix>,
) -> Result<Created<RetriedMatrix>> {
    Ok(Created(app.ops.retry_matrix(&caller, &at.namespace, at.matrix_id, request, key).await?))
}

async fn keep_run(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<RunPath>,
    OptionalJson(request): OptionalJson<KeepRun>,
) -> Result<Json<Run>> {
    Ok(Json(app.ops.keep_run(&caller, at.run, request).await?))
}

async fn unkeep_run(State(app): State<App>, caller: Caller, Path(at): Path<RunPath>) -> Result<Json<Run>> {
    Ok(Json(app.ops.unkeep_run(&caller, at.run).await?))
}

async fn list_run_events(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<RunPath>,
) -> Result<Json<Page<RunEvent>>> {
    let items = app.ops.run_events(&caller, at.run).await?;
    Ok(Json(Page { items, next_page_token: None }))
}
