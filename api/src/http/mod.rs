//! The JSON API over HTTP: it translates between requests and use cases, and decides nothing.
//!
//! Guarantees: every operation but those of [`PUBLIC`] and [`PUBLIC_CALLS`] needs a bearer token, or the cookie of a session, also those that nobody has written yet;
//! every answer of 400 and above is a problem document with the id under which the log knows the request.
//! Left to others: what is allowed and what happens (`ops`), listening and draining (`server`).

use aide::axum::ApiRouter;
use axum::extract::DefaultBodyLimit;
use axum::{Extension, Router, middleware};
use metrics_exporter_prometheus::PrometheusHandle;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use crate::error::Error;
use crate::ops::Ops;

mod answer;
mod artifacts;
mod boards;
mod body;
mod cases;
mod causes;
mod compare;
mod error;
mod events;
mod explain;
mod extract;
mod health;
mod identity;
mod layers;
mod logs;
mod metrics;
mod namespaces;
pub mod openapi;
mod outputs;
mod quarantine;
mod range;
mod results;
mod runners;
mod runs;
mod schemas;
mod serve;
mod sessions;
mod summary;
mod testdefs;
mod tokens;
mod uploads;
mod versions;

pub use serve::{Patience, serve};

/// What stands before the path of every versioned operation.
pub const PREFIX: &str = "/api/v1";

/// The addresses that `GET` and `HEAD` may ask for without a token. All others need one.
///
/// `/metrics` is not among them: it needs a token too, except for a peer on the server's own host.
pub const PUBLIC: &[&str] =
    &["/livez", "/readyz", "/version", "/docs", "/api/v1/openapi.json", "/api/v1/schemas/test.json"];

/// Other calls that need no token: signing in, and asking who that would be, brings its proof in the body, and signing out undoes
/// only what the caller has.
pub const PUBLIC_CALLS: &[(&str, &str)] =
    &[("POST", "/api/v1/session"), ("DELETE", "/api/v1/session"), ("POST", "/api/v1/session/preview")];

/// The longest body of a request, in bytes.
pub const MAX_BODY: usize = 1 << 20;
/// The longest path with query, in bytes.
pub const MAX_ADDRESS: usize = 8 << 10;

/// What handlers work with.
#[derive(Clone)]
pub struct App {
    /// The use cases.
    pub ops: Ops,
    /// Renders the metrics of this process.
    pub metrics: PrometheusHandle,
}

/// Builds the whole service.
///
/// Serve it with [`serve`], which tells it the peer's address: without that `/metrics` always needs a token.
pub fn router(app: App) -> Router {
    metrics::describe();
    let (routes, document) = openapi::build();
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(layers::compressible());
    // From the inside out: what stands last sees a request first.
    routes
        .fallback(async || Error::not_found("address"))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(Extension(openapi::Documents::of(&document)))
        .layer(middleware::from_fn_with_state(openapi::without_parameters(&document), layers::refuse_parameters))
        .layer(middleware::from_fn_with_state(app.clone(), layers::authenticate))
        .layer(middleware::from_fn(layers::guard))
        .layer(middleware::from_fn(layers::observe))
        .layer(compression)
        .layer(middleware::map_request(layers::accept_only_gzip))
        .with_state(app)
}

/// Returns all routes with their documentation.
fn routes() -> ApiRouter<App> {
    let versioned = ApiRouter::new()
        .merge(identity::routes())
        .merge(sessions::routes())
        .merge(namespaces::routes())
        .merge(testdefs::routes())
        .merge(versions::routes())
        .merge(boards::routes())
        .merge(runs::routes())
        .merge(events::routes())
        .merge(explain::routes())
        .merge(logs::routes())
        .merge(artifacts::routes())
        .merge(results::routes())
        .merge(cases::routes())
        .merge(quarantine::routes())
        .merge(uploads::routes())
        .merge(causes::routes())
        .merge(summary::routes())
        .merge(outputs::routes())
        .merge(compare::routes())
        .merge(runners::routes())
        .merge(tokens::routes())
        .merge(openapi::routes());
    ApiRouter::new().nest(PREFIX, versioned).merge(health::routes()).merge(metrics::routes()).merge(openapi::pages())
}
