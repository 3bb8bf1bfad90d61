//! What the web UI shows at one look: the dashboard of a namespace, its timetable, its saved views, the series of a test.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, put_with};
use axum::extract::State;
use axum::response::NoContent;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use tstr_shared::dashboard::Dashboard;
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::{RunsRead, TestsRead, ViewsWrite};
use tstr_shared::series::TestSeries;
use tstr_shared::timetable::Timetable;
use tstr_shared::view::{PutView, SavedView, SavedViews};

use super::App;
use super::body::Json;
use super::cases::cell;
use super::extract::{NamespacePath, Pair, Path, Query, TestPath, flag, page};
use super::openapi::op;
use crate::auth::Caller;
use crate::error::Result;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let dashboard = op::<TestsRead>(
        "get_dashboard",
        "Says how a namespace is: what fails, what is flaky or slower, what waits, and who executes.\nIt is read from what is kept \
         up to date with each run that ends, so it costs the same whatever the number of runs.",
    );
    let timetable = op::<TestsRead>(
        "get_timetable",
        "Says when the tests of a namespace run by themselves, for up to eight days: each test with its instants, and how many \
         begin in each hour and in each minute of the hour.\nA page ends early where its tests have very many instants; counts \
         of pages add up.",
    );
    let series = op::<RunsRead>(
        "get_test_series",
        "Returns the numbers that the latest runs of a test handed over, run by run: result data and metrics.\nText that is a \
         number counts as one.",
    );
    let views =
        op::<TestsRead>("list_views", "Lists the saved views that are shared in a namespace, and those of the token.");
    let put = op::<ViewsWrite>(
        "put_view",
        "Saves a view under a name: a page of the web UI with its query. One of that name is replaced.\nA shared one needs a token \
         that may write tests. A namespace shares at most 100, and a token has at most 100 of its own there.",
    );
    let delete =
        op::<ViewsWrite>("delete_view", "Removes a view of the token, or a shared one, if there is one of that name.");
    ApiRouter::new()
        .api_route("/namespaces/{namespace}/tests/{test}/series", get_with(get_test_series, series))
        .api_route("/namespaces/{namespace}/views", get_with(list_views, views))
        .api_route("/namespaces/{namespace}/views/{view}", put_with(put_view, put).delete_with(delete_view, delete))
        .api_route("/namespaces/{namespace}/dashboard", get_with(get_dashboard, dashboard))
        .api_route("/namespaces/{namespace}/timetable", get_with(get_timetable, timetable))
        .with_path_items(|item| item.tag("tests"))
}

async fn get_dashboard(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<NamespacePath>,
) -> Result<Json<Dashboard>> {
    Ok(Json(app.ops.dashboard(&caller, &at.namespace).await?))
}

/// Which time is told.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct TimetableQuery {
    /// From the hour of this instant on; now unless it is given.
    from: Option<DateTime<Utc>>,
    /// Until this instant, at most eight days later; seven days later unless it is given.
    to: Option<DateTime<Utc>>,
    /// How many tests the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered.
    page_size: Option<u32>,
    /// The `next_page_token` of the page before.
    page_token: Option<String>,
}

async fn get_timetable(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<NamespacePath>,
    Query(query): Query<TimetableQuery>,
) -> Result<Json<Timetable>> {
    let page = page(query.page_size, query.page_token);
    Ok(Json(app.ops.timetable(&caller, &at.namespace, query.from, query.to, page).await?))
}

/// Which runs are told of.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct SeriesQuery {
    /// Runs of this cell: `key=value`. Repeated for each label of the cell.
    #[serde(default)]
    cell: Vec<Pair>,
    /// How many of the latest runs: 50 unless said, 200 at most; a larger wish is lowered.
    runs: Option<u32>,
}

async fn get_test_series(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
    Query(query): Query<SeriesQuery>,
) -> Result<Json<TestSeries>> {
    let (cell, runs) = (cell(&query.cell)?, query.runs.unwrap_or_default());
    Ok(Json(app.ops.test_series(&caller, &at.namespace, &at.test.0, cell, runs).await?))
}

async fn list_views(State(app): State<App>, caller: Caller, Path(at): Path<NamespacePath>) -> Result<Json<SavedViews>> {
    Ok(Json(app.ops.list_views(&caller, &at.namespace).await?))
}

/// Addresses a saved view.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
struct ViewPath {
    /// The name of the namespace.
    namespace: Namespace,
    /// The name of the view.
    view: String,
}

async fn put_view(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<ViewPath>,
    Json(view): Json<PutView>,
) -> Result<Json<SavedView>> {
    Ok(Json(app.ops.put_view(&caller, &at.namespace, &at.view, view).await?))
}

/// Which of two views of that name.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct ViewQuery {
    /// The one that is shared.
    #[serde(default, deserialize_with = "flag")]
    shared: bool,
}

async fn delete_view(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<ViewPath>,
    Query(query): Query<ViewQuery>,
) -> Result<NoContent> {
    app.ops.delete_view(&caller, &at.namespace, &at.view, query.shared).await?;
    Ok(NoContent)
}
