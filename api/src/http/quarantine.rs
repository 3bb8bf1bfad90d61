//! Quarantine: cases of a test whose failure does not count for a while, or that are not to be run.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, put_with};
use axum::extract::State;
use axum::response::NoContent;
use schemars::JsonSchema;
use serde::Deserialize;
use tstr_shared::analysis::quarantine::{PutQuarantine, QuarantineEntry};
use tstr_shared::namespace::Namespace;
use tstr_shared::page::Page;
use tstr_shared::permission::{TestsRead, TestsWrite};
use tstr_shared::report::CaseId;

use super::App;
use super::body::Json;
use super::extract::{Path, Query, TestPath, TestRef, page};
use super::openapi::op;
use crate::auth::Caller;
use crate::error::Result;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let list = op::<TestsRead>(
        "list_quarantine",
        "Lists the cases of a test that are or were in quarantine, the newest entry first.\n\
         An entry that has ended stays until it is removed.",
    );
    let put = op::<TestsWrite>(
        "put_quarantine",
        "Puts a case in quarantine, from now on.\n\
         The failure of a muted case does not fail a run; it is recorded all the same. A case that is to be skipped is \
         named to the container. An entry that the case has is replaced. The case must have been in a report of the test.",
    );
    let delete = op::<TestsWrite>("delete_quarantine", "Takes a case out of quarantine.");
    ApiRouter::new()
        .api_route("/namespaces/{namespace}/tests/{test}/quarantine", get_with(list_quarantine, list))
        .api_route(
            "/namespaces/{namespace}/tests/{test}/quarantine/{case}",
            put_with(put_quarantine, put).delete_with(delete_quarantine, delete),
        )
        .with_path_items(|item| item.tag("results"))
}

/// Addresses a case of a test.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
struct TestCasePath {
    /// The name of the namespace.
    namespace: Namespace,
    /// The test: its id or its name.
    test: TestRef,
    /// The id of the case.
    case: CaseId,
}

/// Which entries are listed.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct QuarantineQuery {
    /// Entries that hold now, or the others.
    in_force: Option<bool>,
    /// How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered.
    page_size: Option<u32>,
    /// The `next_page_token` of the page before.
    page_token: Option<String>,
}

async fn list_quarantine(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
    Query(query): Query<QuarantineQuery>,
) -> Result<Json<Page<QuarantineEntry>>> {
    let QuarantineQuery { in_force, page_size, page_token } = query;
    let page = page(page_size, page_token);
    Ok(Json(app.ops.list_quarantine(&caller, &at.namespace, &at.test.0, in_force, page).await?))
}

async fn put_quarantine(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestCasePath>,
    Json(new): Json<PutQuarantine>,
) -> Result<Json<QuarantineEntry>> {
    Ok(Json(app.ops.put_quarantine(&caller, &at.namespace, &at.test.0, at.case, new).await?))
}

async fn delete_quarantine(State(app): State<App>, caller: Caller, Path(at): Path<TestCasePath>) -> Result<NoContent> {
    app.ops.delete_quarantine(&caller, &at.namespace, &at.test.0, at.case).await?;
    Ok(NoContent)
}
