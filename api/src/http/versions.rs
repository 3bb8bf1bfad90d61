//! What tests were before.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tstr_shared::namespace::Namespace;
use tstr_shared::page::Page;
use tstr_shared::permission::TestsRead;
use tstr_shared::testdef::TestVersion;

use super::App;
use super::body::Json;
use super::extract::{Path, Query, TestPath, TestRef, page};
use super::openapi::op;
use crate::auth::Caller;
use crate::error::Result;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let list = op::<TestsRead>(
        "list_test_versions",
        "Lists the versions of a test, the newest first: when it was changed, and by whom.\n\
         The last 100 are kept. A list has no documents; a single version has.",
    );
    let get = op::<TestsRead>("get_test_version", "Returns a test as it was at a version.");
    ApiRouter::new()
        .api_route("/namespaces/{namespace}/tests/{test}/versions", get_with(list_test_versions, list))
        .api_route("/namespaces/{namespace}/tests/{test}/versions/{version}", get_with(get_test_version, get))
        .with_path_items(|item| item.tag("tests"))
}

/// Addresses a version of a test.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
struct VersionPath {
    /// The name of the namespace.
    namespace: Namespace,
    /// The test: its id or its name.
    test: TestRef,
    /// The number of the version.
    version: Number,
}

/// A number in a path.
#[derive(JsonSchema)]
#[schemars(inline, transparent)]
struct Number(i32);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

/// Which part of the versions is listed.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct VersionsQuery {
    /// How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered.
    page_size: Option<u32>,
    /// The `next_page_token` of the page before.
    page_token: Option<String>,
}

async fn list_test_versions(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
    Query(query): Query<VersionsQuery>,
) -> Result<Json<Page<TestVersion>>> {
    let page = page(query.page_size, query.page_token);
    Ok(Json(app.ops.list_test_versions(&caller, &at.namespace, &at.test.0, page).await?))
}

async fn get_test_version(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<VersionPath>,
) -> Result<Json<TestVersion>> {
    Ok(Json(app.ops.get_test_version(&caller, &at.namespace, &at.test.0, at.version.0).await?))
}
