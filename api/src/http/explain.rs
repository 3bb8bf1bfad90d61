//! Why runs wait or ended as they did, and what waits in a namespace.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use tstr_shared::explain::{Explanation, QueueClass};
use tstr_shared::page::Page;
use tstr_shared::permission::RunsRead;

use super::App;
use super::body::Json;
use super::extract::{NamespacePath, Path, Query, RunPath, page};
use super::openapi::op;
use crate::auth::Caller;
use crate::error::Result;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let explain = op::<RunsRead>(
        "explain_run",
        "Says why a run waits, what it does, or why it ended as it did.\n\
         For a run that waits: what keeps it, and for each runner that the token sees the first thing that keeps it \
         from taking the run. Every reason is a word for programs and a sentence for people.",
    );
    let queue = op::<RunsRead>(
        "list_queue",
        "Lists what waits in a namespace, by the labels that decide who can take it.\n\
         Runs are counted up to 1000 for each set of labels and priority; `more` says that there are more.",
    );
    ApiRouter::new()
        .api_route("/runs/{run}/explain", get_with(explain_run, explain))
        .api_route("/namespaces/{namespace}/queue", get_with(list_queue, queue))
        .with_path_items(|item| item.tag("runs"))
}

/// Which page of the queue is wanted.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct QueueQuery {
    /// How many items the page holds at most: 50 unless said, 100 at most; a larger wish is lowered.
    page_size: Option<u32>,
    /// The `next_page_token` of the page before.
    page_token: Option<String>,
}

async fn explain_run(State(app): State<App>, caller: Caller, Path(at): Path<RunPath>) -> Result<Json<Explanation>> {
    Ok(Json(app.ops.explain_run(&caller, at.run).await?))
}

async fn list_queue(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<NamespacePath>,
    Query(query): Query<QueueQuery>,
) -> Result<Json<Page<QueueClass>>> {
    Ok(Json(app.ops.list_queue(&caller, &at.namespace, page(query.page_size, query.page_token)).await?))
}
