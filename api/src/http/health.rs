//! Whether the server lives, whether it can serve, and which version it is.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tstr_shared::schedule::ZONE_TABLES;

use super::App;
use super::body::Json;
use super::extract::{Query, flag};
use super::openapi::public;
use crate::error::Result;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let live = public("get_livez", "Tells that the process lives.");
    let ready = public(
        "get_readyz",
        "Tells whether the server can serve.\nIt cannot while its database does not answer: 503, to be asked again.",
    );
    let version = public("get_version", "Returns the version of the server, and of its time zone tables.");
    ApiRouter::new()
        .api_route("/livez", get_with(get_livez, live))
        .api_route("/readyz", get_with(get_readyz, ready))
        .api_route("/version", get_with(get_version, version))
        .with_path_items(|item| item.tag("server"))
}

/// The health of the server.
#[derive(Serialize, JsonSchema)]
struct Health {
    /// How it is.
    status: Status,
    /// What was looked at; with `verbose` only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Serialize, JsonSchema)]
struct Check {
    /// What.
    name: &'static str,
    /// How it is.
    status: Status,
}

/// Whether something is in order.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "HealthStatus")]
enum Status {
    /// It is in order.
    Ok,
}

/// The version of the server.
#[derive(Serialize, JsonSchema)]
struct Version {
    /// The version of tstr.
    version: &'static str,
    /// The version of this interface.
    api: &'static str,
    /// The release of the IANA time zone tables by which it reads schedules.
    zone_tables: &'static str,
}

/// How much is told.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct ReadyQuery {
    /// Tell what was looked at.
    #[serde(default, deserialize_with = "flag")]
    verbose: bool,
}

async fn get_livez() -> Json<Health> {
    Json(Health { status: Status::Ok, checks: Vec::new() })
}

async fn get_readyz(State(app): State<App>, Query(query): Query<ReadyQuery>) -> Result<Json<Health>> {
    app.ops.ready().await?;
    let checks = if query.verbose { vec![Check { name: "database", status: Status::Ok }] } else { Vec::new() };
    Ok(Json(Health { status: Status::Ok, checks }))
}

async fn get_version() -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION"), api: "v1", zone_tables: ZONE_TABLES })
}
