//! Namespaces and their quotas.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use tstr_shared::namespace::{NamespaceInfo, NewNamespace, Quotas};
use tstr_shared::page::Page;
use tstr_shared::permission::{NamespacesRead, NamespacesWrite};

use super::App;
use super::answer::Created;
use super::body::Json;
use super::extract::{Idempotency, NamespacePath, PageQuery, Path, Query};
use super::openapi::op;
use crate::auth::Caller;
use crate::error::Result;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let list = op::<NamespacesRead>("list_namespaces", "Lists the namespaces that the token sees.");
    let create = op::<NamespacesWrite>("create_namespace", "Creates a namespace.");
    let get = op::<NamespacesRead>("get_namespace", "Returns a namespace with its quotas.");
    let update = op::<NamespacesWrite>("update_namespace", "Changes a namespace.\nWhat the body leaves out stays.");
    ApiRouter::new()
        .api_route("/namespaces", get_with(list_namespaces, list).post_with(create_namespace, create))
        .api_route("/namespaces/{namespace}", get_with(get_namespace, get).patch_with(update_namespace, update))
        .with_path_items(|item| item.tag("namespaces"))
}

/// What changes in a namespace.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NamespacePatch {
    /// The quotas that change.
    #[serde(default)]
    quotas: QuotasPatch,
}

/// The quotas that change; those that are left out stay.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct QuotasPatch {
    /// The most runs that wait at once; null for no limit.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0, max = 1_000_000_000))]
    max_queued: Option<Option<i32>>,
    /// The most runs that runners hold at once; null for no limit.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0, max = 1_000_000_000))]
    max_running: Option<Option<i32>>,
}

/// Tells a null from a field that is left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<i32>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl QuotasPatch {
    fn over(&self, old: Quotas) -> Quotas {
        Quotas {
            max_queued: self.max_queued.unwrap_or(old.max_queued),
            max_running: self.max_running.unwrap_or(old.max_running),
        }
    }
}

async fn list_namespaces(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<NamespaceInfo>>> {
    Ok(Json(app.ops.list_namespaces(&caller, query.into()).await?))
}

async fn create_namespace(
    State(app): State<App>,
    caller: Caller,
    Idempotency(key): Idempotency,
    Json(new): Json<NewNamespace>,
) -> Result<Created<NamespaceInfo>> {
    Ok(Created(app.ops.create_namespace(&caller, new, key).await?))
}

async fn get_namespace(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<NamespacePath>,
) -> Result<Json<NamespaceInfo>> {
    Ok(Json(app.ops.get_namespace(&caller, &at.namespace).await?))
}

async fn update_namespace(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<NamespacePath>,
    Json(patch): Json<NamespacePatch>,
) -> Result<Json<NamespaceInfo>> {
    Ok(Json(app.ops.update_namespace(&caller, &at.namespace, |old| patch.quotas.over(old)).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_that_is_left_out_stays_and_null_lifts_it() {
        let old = Quotas { max_queued: Some(7), max_running: Some(8) };
        let patched = |text: &str| serde_json::from_str::<NamespacePatch>(text).unwrap().quotas.over(old);
        assert_eq!(patched("{}"), old);
        assert_eq!(patched(r#"{"quotas":{"max_running":9}}"#), Quotas { max_running: Some(9), ..old });
        assert_eq!(patched(r#"{"quotas":{"max_queued":null}}"#), Quotas { max_queued: None, ..old });
    }
}
