//! Tests: register, apply, change, pause, and when they run next.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::extract::State;
use axum::response::NoContent;
use schemars::JsonSchema;
use serde::Deserialize;
use tstr_shared::error::Invalid;
use tstr_shared::ledger::LedgerEntry;
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::permission::{TestsRead, TestsWrite};
use tstr_shared::testdef::{NewTestDef, RegisteredTest, TestDef, TestSchedule};

use super::App;
use super::answer::{Created, Put, Tagged};
use super::body::{Json, MergePatch};
use super::extract::{Idempotency, IfMatch, NamespacePath, Pair, Path, Query, TestPath, flag, page};
use super::openapi::op;
use crate::auth::Caller;
use crate::error::Result;
use crate::ops::testdefs::TestFilter;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let list = op::<TestsRead>("list_tests", "Lists the tests of a namespace, in the order of their names.");
    let create = op::<TestsWrite>(
        "create_test",
        "Registers a test.\n`warnings` of the answer say what may not be as it was meant.",
    );
    let get = op::<TestsRead>("get_test", "Returns a test.");
    let apply = op::<TestsWrite>(
        "apply_test",
        "Creates a test or makes it what the body says.\n\
         Fields that are left out get their defaults. `dry_run` answers what would change and changes nothing. The \
         name in the body must be that of the path.",
    );
    let patch = op::<TestsWrite>("patch_test", "Changes some fields of a test.");
    let delete = op::<TestsWrite>("delete_test", "Deletes a test.\nIts runs stay.");
    let pause = op::<TestsWrite>("pause_test", "Pauses the schedule of a test.\nTriggers still make runs.");
    let resume = op::<TestsWrite>("resume_test", "Resumes the schedule of a test.");
    let schedule = op::<TestsRead>("get_test_schedule", "Tells when a test runs next, in words and instants.");
    let ledger = op::<TestsRead>(
        "list_ledger",
        "Lists what became of the instants of a test's schedule, the newest first.\n\
         Every instant that was due is here: it ran, it was skipped, or it was missed.",
    );
    ApiRouter::new()
        .api_route("/namespaces/{namespace}/tests", get_with(list_tests, list).post_with(create_test, create))
        .api_route(
            "/namespaces/{namespace}/tests/{test}",
            get_with(get_test, get)
                .put_with(apply_test, apply)
                .patch_with(patch_test, patch)
                .delete_with(delete_test, delete),
        )
        .api_route("/namespaces/{namespace}/tests/{test}/pause", post_with(pause_test, pause))
        .api_route("/namespaces/{namespace}/tests/{test}/resume", post_with(resume_test, resume))
        .api_route("/namespaces/{namespace}/tests/{test}/schedule", get_with(get_test_schedule, schedule))
        .api_route("/namespaces/{namespace}/tests/{test}/ledger", get_with(list_ledger, ledger))
        .with_path_items(|item| item.tag("tests"))
}

/// Which tests are listed.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct TestsQuery {
    /// Tests with this text in their name.
    q: Option<String>,
    /// Tests that have this label: `key=value`. May be repeated; all must be there.
    #[serde(default)]
    label: Vec<Pair>,
    /// Tests that have this annotation: `key=value`. May be repeated; all must be there.
    #[serde(default)]
    annotation: Vec<Pair>,
    /// Tests whose schedule is paused, or is not.
    paused: Option<bool>,
    /// How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered.
    page_size: Option<u32>,
    /// The `next_page_token` of the page before.
    page_token: Option<String>,
}

impl TestsQuery {
    fn split(self) -> Result<(TestFilter, PageRequest)> {
        let labels = Pair::collect("label", &self.label)?;
        let annotations = Pair::collect("annotation", &self.annotation)?;
        let filter = TestFilter { q: self.q, labels, annotations, paused: self.paused };
        Ok((filter, page(self.page_size, self.page_token)))
    }
}

/// How a test is applied.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct ApplyQuery {
    /// Answer what would change and change nothing.
    #[serde(default, deserialize_with = "flag")]
    dry_run: bool,
}

/// How much of a schedule is told.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct ScheduleQuery {
    /// How many instants: 10 unless said, 100 at most.
    #[schemars(range(max = 100))]
    count: Option<u32>,
}

/// Which part of a ledger is listed.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct LedgerQuery {
    /// How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered.
    page_size: Option<u32>,
    /// The `next_page_token` of the page before.
    page_token: Option<String>,
}

async fn list_tests(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<NamespacePath>,
    Query(query): Query<TestsQuery>,
) -> Result<Json<Page<TestDef>>> {
    let (filter, page) = query.split()?;
    Ok(Json(app.ops.list_tests(&caller, &at.namespace, filter, page).await?))
}

async fn create_test(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<NamespacePath>,
    Idempotency(key): Idempotency,
    Json(new): Json<NewTestDef>,
) -> Result<Tagged<Created<RegisteredTest>>> {
    Ok(Tagged(Created(app.ops.create_test(&caller, &at.namespace, new, key).await?)))
}

async fn get_test(State(app): State<App>, caller: Caller, Path(at): Path<TestPath>) -> Result<Tagged<Json<TestDef>>> {
    Ok(Tagged(Json(app.ops.get_test(&caller, &at.namespace, &at.test.0).await?)))
}

async fn apply_test(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
    Query(query): Query<ApplyQuery>,
    IfMatch(version): IfMatch,
    Json(new): Json<NewTestDef>,
) -> Result<Tagged<Put>> {
    if new.name != at.test.0 {
        return Err(Invalid::one("/name", "must be the name in the path").into());
    }
    Ok(Tagged(Put(app.ops.apply_test(&caller, &at.namespace, new, query.dry_run, version).await?)))
}

async fn patch_test(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
    IfMatch(version): IfMatch,
    MergePatch(patch): MergePatch,
) -> Result<Tagged<Json<RegisteredTest>>> {
    Ok(Tagged(Json(app.ops.patch_test(&caller, &at.namespace, &at.test.0, patch, version).await?)))
}

async fn delete_test(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    app.ops.delete_test(&caller, &at.namespace, &at.test.0, version).await?;
    Ok(NoContent)
}

async fn pause_test(State(app): State<App>, caller: Caller, Path(at): Path<TestPath>) -> Result<Tagged<Json<TestDef>>> {
    Ok(Tagged(Json(app.ops.set_test_paused(&caller, &at.namespace, &at.test.0, true).await?)))
}

async fn resume_test(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
) -> Result<Tagged<Json<TestDef>>> {
    Ok(Tagged(Json(app.ops.set_test_paused(&caller, &at.namespace, &at.test.0, false).await?)))
}

async fn get_test_schedule(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
    Query(query): Query<ScheduleQuery>,
) -> Result<Json<TestSchedule>> {
    let count = query.count.unwrap_or(10);
    Ok(Json(app.ops.test_schedule(&caller, &at.namespace, &at.test.0, count).await?))
}

async fn list_ledger(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
    Query(query): Query<LedgerQuery>,
) -> Result<Json<Page<LedgerEntry>>> {
    let page = page(query.page_size, query.page_token);
    Ok(Json(app.ops.list_ledger(&caller, &at.namespace, &at.test.0, page).await?))
}
