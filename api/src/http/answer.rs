//! Answers that succeed: a status, a body in JSON, and the headers that belong to it. Each documents itself.

use std::time::Duration;

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, ReferenceOr, Response as ResponseDoc, SchemaObject, StatusCode as Code};
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use tstr_shared::namespace::NamespaceInfo;
use tstr_shared::run::{Retried, RetriedMatrix, Run, Triggered};
use tstr_shared::testdef::{Applied, Change, RegisteredTest, TestDef};
use tstr_shared::token::IssuedToken;

use super::PREFIX;
use super::body::{JSON, Json};
use super::openapi::header;

type Inferred = Vec<(Option<Code>, ResponseDoc)>;

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: JsonSchema> OperationOutput for Json<T> {
    type Inner = T;
    fn operation_response(ctx: &mut GenContext, _: &mut Operation) -> Option<ResponseDoc> {
        let json_schema = ctx.schema.subschema_for::<T>();
        let described = ctx.resolve_schema(&json_schema).get("description").and_then(|text| text.as_str());
        let description = described.unwrap_or("The answer.").to_owned();
        let schema = SchemaObject { json_schema, external_docs: None, example: None };
        let content = [(JSON.to_owned(), MediaType { schema: Some(schema), ..MediaType::default() })];
        Some(ResponseDoc { description, content: content.into_iter().collect(), ..ResponseDoc::default() })
    }
    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Inferred {
        inferred::<T>(ctx, operation, 200)
    }
}

fn inferred<T: JsonSchema>(ctx: &mut GenContext, operation: &mut Operation, status: u16) -> Inferred {
    let response = Json::<T>::operation_response(ctx, operation);
    response.into_iter().map(|response| (Some(Code::Code(status)), response)).collect()
}

/// Documents a header of the successful answers.
fn with_header(mut answers: Inferred, name: &str, text: &str) -> Inferred {
    for (_, answer) in &mut answers {
        answer.headers.insert(name.to_owned(), ReferenceOr::Item(header(text)));
    }
    answers
}

/// Something that has an address of its own.
pub(super) trait Located {
    /// Returns the path of the thing.
    fn location(&self) -> String;
}

impl Located for TestDef {
    fn location(&self) -> String {
        format!("{PREFIX}/namespaces/{}/tests/{}", self.namespace, self.spec.name)
    }
}

impl Located for RegisteredTest {
    fn location(&self) -> String {
        self.test.location()
    }
}

impl Located for NamespaceInfo {
    fn location(&self) -> String {
        format!("{PREFIX}/namespaces/{}", self.name)
    }
}

impl Located for Run {
    fn location(&self) -> String {
        format!("{PREFIX}/runs/{}", self.id)
    }
}

impl Located for Triggered {
    /// The one run, or the list of them.
    fn location(&self) -> String {
        match self.runs.as_slice() {
            [] => format!("{PREFIX}/runs"),
            [run] => run.location(),
            [run, ..] => format!("{PREFIX}/namespaces/{}/runs?matrix_id={}", run.namespace, self.matrix_id),
        }
    }
}

impl Located for Retried {
    fn location(&self) -> String {
        self.run.location()
    }
}

impl Located for RetriedMatrix {
    fn location(&self) -> String {
        self.made.location()
    }
}

impl Located for IssuedToken {
    fn location(&self) -> String {
        format!("{PREFIX}/tokens/{}", self.record.id)
    }
}

/// 201 with the new thing and its `Location`.
pub(super) struct Created<T>(pub(super) T);

impl<T: Serialize + Located> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, [(LOCATION, self.0.location())], Json(self.0)).into_response()
    }
}

impl<T: JsonSchema> OperationOutput for Created<T> {
    type Inner = T;
    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<ResponseDoc> {
        Json::<T>::operation_response(ctx, operation)
    }
    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Inferred {
        with_header(inferred::<T>(ctx, operation, 201), "Location", "The path of what was created.")
    }
}

/// 202: the request is noted, its effect is still to come.
pub(super) struct Accepted<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self.0)).into_response()
    }
}

impl<T: JsonSchema> OperationOutput for Accepted<T> {
    type Inner = T;
    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<ResponseDoc> {
        Json::<T>::operation_response(ctx, operation)
    }
    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Inferred {
        inferred::<T>(ctx, operation, 202)
    }
}

/// Something whose changes are counted.
pub(super) trait Versioned {
    /// Returns the version, if the thing is stored.
    fn version(&self) -> Option<i32>;
}

impl Versioned for Json<TestDef> {
    fn version(&self) -> Option<i32> {
        Some(self.0.version)
    }
}

impl Versioned for Json<RegisteredTest> {
    fn version(&self) -> Option<i32> {
        Some(self.0.test.version)
    }
}

impl Versioned for Created<RegisteredTest> {
    fn version(&self) -> Option<i32> {
        Some(self.0.test.version)
    }
}

impl Versioned for Put {
    fn version(&self) -> Option<i32> {
        self.0.test.as_ref().map(|test| test.version)
    }
}

/// Adds the version as `ETag`.
pub(super) struct Tagged<R>(pub(super) R);

impl<R: IntoResponse + Versioned> IntoResponse for Tagged<R> {
    fn into_response(self) -> Response {
        let tag = self.0.version().and_then(|version| HeaderValue::from_str(&format!("\"{version}\"")).ok());
        let mut response = self.0.into_response();
        tag.map(|tag| response.headers_mut().insert(ETAG, tag));
        response
    }
}

impl<R: OperationOutput> OperationOutput for Tagged<R> {
    type Inner = R::Inner;
    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<ResponseDoc> {
        R::operation_response(ctx, operation)
    }
    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Inferred {
        with_header(R::inferred_responses(ctx, operation), "ETag", "The version of the test, for `If-Match`.")
    }
}

/// The answer to an apply: 201 where it created the test, else 200.
pub(super) struct Put(pub(super) Applied);

impl IntoResponse for Put {
    fn into_response(self) -> Response {
        match &self.0.test {
            Some(test) if self.0.change == Change::Created && !self.0.dry_run => {
                (StatusCode::CREATED, [(LOCATION, test.location())], Json(self.0)).into_response()
            }
            _ => Json(self.0).into_response(),
        }
    }
}

impl OperationOutput for Put {
    type Inner = Applied;
    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<ResponseDoc> {
        Json::<Applied>::operation_response(ctx, operation)
    }
    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Inferred {
        let mut answers = Json::<Applied>::inferred_responses(ctx, operation);
        answers.extend(Created::<Applied>::inferred_responses(ctx, operation));
        answers
    }
}

/// 200 with a body for which the server may have waited as long as the client was ready to.
pub(super) struct Waited<T>(pub(super) Option<Duration>, pub(super) T);

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

impl<T: Serialize> IntoResponse for Waited<T> {
    fn into_response(self) -> Response {
        match self.0 {
            None => Json(self.1).into_response(),
            Some(wait) => ([(PREFERENCE_APPLIED, format!("wait={}", wait.as_secs()))], Json(self.1)).into_response(),
        }
    }
}

impl<T: JsonSchema> OperationOutput for Waited<T> {
    type Inner = T;
    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<ResponseDoc> {
        Json::<T>::operation_response(ctx, operation)
    }
    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Inferred {
        let text = "The preference that was honoured, for instance `wait=30`.";
        with_header(inferred::<T>(ctx, operation, 200), "Preference-Applied", text)
    }
}
