//! How the runs of a namespace went.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::extract::State;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use tstr_shared::permission::{NamespacesWrite, RunsRead};
use tstr_shared::summary::{Interval, RebuildSummary, Rebuilt, Summary, SummaryFilter};

use super::App;
use super::body::{Json, OptionalJson};
use super::extract::{NamespacePath, Path, Query, TestRef};
use super::openapi::op;
use crate::auth::Caller;
use crate::error::Result;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let get = op::<RunsRead>(
        "get_summary",
        "Says how the runs of a namespace went: over time, and by test, runner and label.\n\
         The time is that for which runs were scheduled, in whole intervals of UTC, at most 1000. Only runs that have \
         finished are counted.",
    );
    let rebuild = op::<NamespacesWrite>(
        "rebuild_summary",
        "Counts the sums behind the summary anew, from the runs that are there.\n\
         Runs go on meanwhile. Days of which runs were removed by retention, and those more than 399 days ago, keep what \
         they have. The answer comes after some seconds; where it says `next`, another call goes on from there. The body \
         may be left out.",
    );
    ApiRouter::new()
        .api_route("/namespaces/{namespace}/summary", get_with(get_summary, get))
        .api_route("/namespaces/{namespace}/summary/rebuild", post_with(rebuild_summary, rebuild))
        .with_path_items(|item| item.tag("runs"))
}

/// Which runs the summary is of.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct SummaryQuery {
    /// Runs scheduled from the interval of this instant on; the last seven days unless it is given.
    scheduled_after: Option<DateTime<Utc>>,
    /// Runs scheduled up to the end of the interval that this instant is in; now unless it is given.
    scheduled_before: Option<DateTime<Utc>>,
    /// How long the intervals are; a day unless it is given.
    interval: Option<Interval>,
    /// The runs of this test only: its id or its name.
    test: Option<TestRef>,
}

async fn get_summary(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<NamespacePath>,
    Query(query): Query<SummaryQuery>,
) -> Result<Json<Summary>> {
    let filter = SummaryFilter {
        scheduled_after: query.scheduled_after,
        scheduled_before: query.scheduled_before,
        interval: query.interval,
        test: query.test.map(|test| test.0),
    };
    Ok(Json(app.ops.get_summary(&caller, &at.namespace, filter).await?))
}

async fn rebuild_summary(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<NamespacePath>,
    OptionalJson(request): OptionalJson<RebuildSummary>,
) -> Result<Json<Rebuilt>> {
    Ok(Json(app.ops.rebuild_summary(&caller, &at.namespace, request).await?))
}
