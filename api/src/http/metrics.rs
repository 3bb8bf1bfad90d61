//! The metrics of this process, for Prometheus, and those of HTTP itself.

use std::time::Duration;

use ::metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Extension;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::json_schema;
use tstr_shared::error::ErrorCode;
use tstr_shared::permission::MetricsRead;

use super::App;
use super::layers::LocalPeer;
use super::openapi::{answering, op, response, secured};
use crate::auth::Caller;
use crate::error::{Error, Result};

/// Where the metrics are.
pub(super) const PATH: &str = "/metrics";

const REQUESTS: &str = "tstr_http_requests_total";
const DURATION: &str = "tstr_http_request_duration_seconds";

/// Says what the metrics of HTTP mean.
pub(super) fn describe() {
    crate::ops::events::describe();
    describe_counter!(REQUESTS, Unit::Count, "Requests over HTTP by method, route and status.");
    describe_histogram!(DURATION, Unit::Seconds, "Time from a request over HTTP to the head of its answer.");
}

/// Counts one request. Routes, not paths: the number of series must not grow with what clients ask for.
pub(super) fn count(method: &Method, route: &str, status: StatusCode, took: Duration) {
    let method = match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "OTHER",
    };
    let labels = [("method", method.to_owned()), ("route", route.to_owned())];
    histogram!(DURATION, &labels).record(took.as_secs_f64());
    let [method, route] = labels;
    counter!(REQUESTS, &[method, route, ("status", status.as_str().to_owned())]).increment(1);
}

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let get = op::<MetricsRead>(
        "get_metrics",
        "Returns the metrics of this process in the text format of Prometheus.\nA peer on the server's own host needs no token.",
    );
    let text = response("The metrics.", &[("text/plain", json_schema!({"type": "string"}))]);
    ApiRouter::new()
        .api_route(PATH, get_with(get_metrics, |o| answering(secured(get(o)), 200, text)))
        .with_path_items(|item| item.tag("server"))
}

async fn get_metrics(
    State(app): State<App>,
    caller: Option<Extension<Caller>>,
    local: Option<Extension<LocalPeer>>,
) -> Result<Response> {
    match (caller, local) {
        (Some(Extension(caller)), _) => {
            let _granted = caller.may_globally::<MetricsRead>()?;
        }
        (None, Some(Extension(LocalPeer))) => {}
        (None, None) => return Err(Error::new(ErrorCode::Unauthenticated, "a token is needed")),
    }
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render()).into_response())
}
