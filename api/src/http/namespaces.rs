//! Namespaces, their quotas, and how long they keep things.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use tstr_shared::namespace::{NamespaceInfo, NamespaceSettings, NewNamespace, Quotas, Retention};
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
    let get = op::<NamespacesRead>(
        "get_namespace",
        "Returns a namespace with its quotas, how long it keeps things, and what it has stored.",
    );
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
    /// How long things are kept, where that changes.
    #[serde(default)]
    retention: RetentionPatch,
}

impl NamespacePatch {
    fn over(&self, old: NamespaceSettings) -> NamespaceSettings {
        NamespaceSettings { quotas: self.quotas.over(old.quotas), retention: self.retention.over(old.retention) }
    }
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
    /// The most bytes of stored logs with which new runs are made; null for no limit.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>", range(min = 0, max = 9_007_199_254_740_991_i64))]
    max_bytes: Option<Option<i64>>,
}

/// The days that change; those that are left out stay.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct RetentionPatch {
    /// Days after which a finished run is removed, with all that belongs to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1, max = 3650))]
    runs_days: Option<i32>,
    /// Days after which the log of a finished run is removed; at most `runs_days`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1, max = 3650))]
    logs_days: Option<i32>,
}

impl RetentionPatch {
    fn over(&self, old: Retention) -> Retention {
        Retention {
            runs_days: self.runs_days.unwrap_or(old.runs_days),
            logs_days: self.logs_days.unwrap_or(old.logs_days),
        }
    }
}

/// Tells a null from a field that is left out.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl QuotasPatch {
    fn over(&self, old: Quotas) -> Quotas {
        Quotas {
            max_queued: self.max_queued.unwrap_or(old.max_queued),
            max_running: self.max_running.unwrap_or(old.max_running),
            max_bytes: self.max_bytes.unwrap_or(old.max_bytes),
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
    Ok(Json(app.ops.update_namespace(&caller, &at.namespace, |old| patch.over(old)).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_that_is_left_out_stays_and_null_lifts_it() {
        let old = Quotas { max_queued: Some(7), max_running: Some(8), max_bytes: Some(9) };
        let patched = |text: &str| serde_json::from_str::<NamespacePatch>(text).unwrap().quotas.over(old);
        assert_eq!(patched("{}"), old);
        assert_eq!(patched(r#"{"quotas":{"max_running":9}}"#), Quotas { max_running: Some(9), ..old });
        assert_eq!(patched(r#"{"quotas":{"max_queued":null}}"#), Quotas { max_queued: None, ..old });
        assert_eq!(patched(r#"{"quotas":{"max_bytes":null}}"#), Quotas { max_bytes: None, ..old });
    }

    #[test]
    fn days_that_are_left_out_stay() {
        let old = Retention { runs_days: 9, logs_days: 3 };
        let patched = |text: &str| serde_json::from_str::<NamespacePatch>(text).unwrap().retention.over(old);
        assert_eq!(patched("{}"), old);
        assert_eq!(patched(r#"{"retention":{"logs_days":4}}"#), Retention { logs_days: 4, ..old });
        assert!(serde_json::from_str::<NamespacePatch>(r#"{"retention":{"days":4}}"#).is_err());
    }
}
