//! Results by cases: reports, cases, and all of them as a report of any format.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use aide::transform::TransformOperation;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use tstr_shared::ids::RunId;
use tstr_shared::page::Page;
use tstr_shared::permission::RunsRead;
use tstr_shared::report::{CaseId, CaseStatus, Format};
use tstr_shared::results::{CaseDetail, CaseFilter, CaseResult, Results};

use super::App;
use super::body::Json;
use super::extract::{Path, Query, RunPath, page};
use super::layers::TraceId;
use super::openapi::{answering, op, response};
use crate::auth::Caller;
use crate::error::Result;

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let results = op::<RunsRead>(
        "get_results",
        "Returns what the test reports of a run say: which were read, how many cases they have, and what was wrong.\n\
         Of the latest attempt unless `attempt` says another. A run without reports has an empty list of them.",
    );
    let cases = op::<RunsRead>(
        "list_run_cases",
        "Lists the cases of a run, in the order of its reports.\n\
         Every parameter that is given must hold; of a repeated `status` any one.",
    );
    let case = op::<RunsRead>(
        "get_run_case",
        "Returns all that the reports of a run say of a case: its attempts, failures, output, properties.\n\
         More than one item where several reports have it, or one has it several times.",
    );
    let export = op::<RunsRead>(
        "export_report",
        "Writes all cases of a run as a test report: JUnit XML, CTRF, TAP 14, or a JSON object a line.",
    );
    ApiRouter::new()
        .api_route("/runs/{run}/results", get_with(get_results, results))
        .api_route("/runs/{run}/cases", get_with(list_run_cases, cases))
        .api_route("/runs/{run}/cases/{case}", get_with(get_run_case, case))
        .api_route("/runs/{run}/report", get_with(export_report, |o| documented(export(o))))
        .with_path_items(|item| item.tag("results"))
}

/// Addresses a case of a run.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
struct CasePath {
    /// The id of the run.
    run: RunId,
    /// The id of the case.
    case: CaseId,
}

/// Of which attempt.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct AttemptQuery {
    /// The attempt, from 1; the latest unless said.
    attempt: Option<u16>,
}

/// Which cases are listed.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct CasesQuery {
    /// The attempt, from 1; the latest unless said.
    attempt: Option<u16>,
    /// Cases that ended so. May be repeated.
    #[serde(default)]
    status: Vec<CaseStatus>,
    /// Part of the name, the classname, the file or the suite.
    q: Option<String>,
    /// Cases that passed after an attempt that failed, or all others.
    flaky: Option<bool>,
    /// How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered.
    page_size: Option<u32>,
    /// The `next_page_token` of the page before.
    page_token: Option<String>,
}

/// What is exported.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct ExportQuery {
    /// The attempt, from 1; the latest unless said.
    attempt: Option<u16>,
    /// The format; JUnit XML unless said.
    format: Option<Format>,
}

async fn get_results(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<RunPath>,
    Query(query): Query<AttemptQuery>,
) -> Result<Json<Results>> {
    Ok(Json(app.ops.results(&caller, at.run, query.attempt).await?))
}

async fn list_run_cases(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<RunPath>,
    Query(query): Query<CasesQuery>,
) -> Result<Json<Page<CaseResult>>> {
    let CasesQuery { attempt, status, q, flaky, page_size, page_token } = query;
    let filter = CaseFilter { attempt, statuses: status, text: q.filter(|text| !text.is_empty()), flaky };
    Ok(Json(app.ops.list_run_cases(&caller, at.run, filter, page(page_size, page_token)).await?))
}

async fn get_run_case(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<CasePath>,
    Query(query): Query<AttemptQuery>,
) -> Result<Json<Page<CaseDetail>>> {
    let items = app.ops.get_run_case(&caller, at.run, query.attempt, at.case).await?;
    Ok(Json(Page { items, next_page_token: None }))
}

async fn export_report(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<RunPath>,
    Query(query): Query<ExportQuery>,
    id: TraceId,
) -> Result<Response> {
    let format = query.format.unwrap_or(Format::Junit);
    let pieces = app.ops.export_report(&caller, at.run, query.attempt, format).await?;
    let body = Body::from_stream(pieces.map_err(move |error| {
        error.log(&id.0);
        std::io::Error::other("the report could not be written to its end")
    }));
    let (kind, ending) = media(format);
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{}.{ending}\"", at.run)) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// Returns the media type of a format, and how the name of a file ends.
fn media(format: Format) -> (&'static str, &'static str) {
    match format {
        Format::Junit => ("application/xml; charset=utf-8", "xml"),
        Format::Ctrf => ("application/json", "ctrf.json"),
        Format::Tap => ("text/plain; charset=utf-8", "tap"),
        Format::JsonLines => ("application/jsonl", "jsonl"),
    }
}

fn documented(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    let text = json_schema!({"type": "string", "description": "The report."});
    let kinds =
        ["application/xml", "application/json", "text/plain", "application/jsonl"].map(|kind| (kind, text.clone()));
    answering(operation, 200, response("The report, in the format that was asked for.", &kinds))
}
