//! Results that were made elsewhere: the bytes of one report, which become a run that has ended.

use aide::OperationInput;
use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use tstr_shared::permission::RunsWrite;
use tstr_shared::results::Upload;
use tstr_shared::run::{Run, RunResult};

use super::App;
use super::answer::Created;
use super::body::{JSON, document, expect_type};
use super::extract::{Idempotency, Pair, Path, Query, TestPath};
use super::openapi::op;
use crate::auth::Caller;
use crate::error::{Error, Result};

/// The route of uploads, behind the prefix; they may take longer than other requests.
pub(super) const ROUTE: &str = "/namespaces/{namespace}/tests/{test}/results";

/// What a body may be said to be.
const TYPES: [&str; 5] = ["application/octet-stream", "application/xml", "text/xml", JSON, "text/plain"];

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let upload = op::<RunsWrite>(
        "upload_results",
        "Stores a test report of a run that was made elsewhere.\n\
         The body is one report, JUnit XML, CTRF or TAP, of at most 64 MiB. The answer is a run that has finished: it failed \
         when a case failed that is not muted, or the report says so otherwise. A report that cannot be read as a whole makes \
         it an error.",
    );
    ApiRouter::new().api_route(ROUTE, post_with(upload_results, upload)).with_path_items(|item| item.tag("results"))
}

/// The bytes of a report, as they come.
struct Report(Body);

impl<S: Send + Sync> FromRequest<S> for Report {
    type Rejection = Error;
    async fn from_request(request: Request, _: &S) -> Result<Self> {
        expect_type(request.headers(), &TYPES)?;
        Ok(Self(request.into_body()))
    }
}

impl OperationInput for Report {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = json_schema!({"description": "The report."});
        document(ctx, operation, &TYPES, &schema, true);
    }
}

/// What is said of results beside their report.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct UploadQuery {
    /// A label of the cell that was run: `key=value`. May be repeated; a test with a matrix needs all of a cell.
    #[serde(default)]
    cell: Vec<Pair>,
    /// A label that overrides those of the test and of the cell: `key=value`. May be repeated.
    #[serde(default)]
    label: Vec<Pair>,
    /// What the program that wrote the report came to, `pass` or `fail`; `pass` unless said. A failed case fails it.
    result: Option<RunResult>,
    /// The name of the file, by which its format is found; its first bytes tell it otherwise.
    name: Option<String>,
    /// When it began; as long before its end as the report says it took, unless said.
    started_at: Option<DateTime<Utc>>,
    /// When it ended; now unless said.
    finished_at: Option<DateTime<Utc>>,
    /// The version of what was tested.
    revision: Option<String>,
}

async fn upload_results(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<TestPath>,
    Query(query): Query<UploadQuery>,
    Idempotency(key): Idempotency,
    Report(body): Report,
) -> Result<Created<Run>> {
    let upload = Upload {
        cell: Pair::collect("cell", &query.cell)?,
        labels: Pair::collect("label", &query.label)?,
        result: query.result,
        name: query.name,
        started_at: query.started_at,
        finished_at: query.finished_at,
        revision: query.revision,
    };
    let pieces = body.into_data_stream().map_err(|_| Error::malformed("the body ended before its time"));
    Ok(Created(app.ops.upload_results(&caller, &at.namespace, &at.test.0, upload, key, pieces).await?))
}
