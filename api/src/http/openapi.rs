//! The OpenAPI 3.1 document: made from the routes alone, without a configuration and without a database.
//!
//! It is checked in as `openapi/tstr.json`, so it is the same, byte for byte, whenever the same code writes it.
//! The text of an operation is the text that its users read.

use std::collections::HashSet;
use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use aide::generate::{GenContext, in_context};
use aide::openapi::{
    ApiKeyLocation, Components, Header, HeaderStyle, Info, License, MediaType, OpenApi, Operation, Parameter,
    ParameterData, ParameterSchemaOrContent, ReferenceOr, Response as ResponseDoc, Responses, SchemaObject,
    SecurityScheme, StatusCode, Tag,
};
use aide::operation::add_parameters;
use aide::scalar::Scalar;
use aide::transform::TransformOperation;
use axum::http::Method;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use bytes::Bytes;
use schemars::{Schema, json_schema};
use serde_json::json;
use tstr_shared::error::Problem;
use tstr_shared::permission::Permission;
use tstr_shared::testdef::NewTestDef;

use super::body::JSON;
use super::error::PROBLEM_JSON;
use super::{App, schemas};

/// The names of the security schemes.
const BEARER: &str = "bearer";
const SESSION: &str = "session";

const DESCRIPTION: &str = "\
Tests are container images that run on a schedule or on demand, on runners that their labels select; a test passes \
when its container exits 0.

**Errors.** Every answer of 400 and above is a problem document (RFC 9457). `code` says what a program may do about \
it, `errors` names each faulty field by a JSON pointer, `retryable` says whether the same request may succeed later, \
`trace_id` finds the request in the server's log.

**Lists** answer pages: pass `next_page_token` as `page_token` until it is absent. **Times** are RFC 3339 in UTC, \
**durations** seconds such as `900s`. Unknown fields and parameters are refused by name.

**Permissions.** `x-permission` of an operation names what the token needs. What a token may not see is answered as \
if it did not exist.";

const TAGS: [(&str, &str); 8] = [
    ("tests", "What runs: container images with a schedule, a matrix and labels."),
    ("results", "What the test reports of runs say: reports, cases, failures."),
    ("runs", "Executions of tests: trigger, watch, cancel, and read their logs and artifacts."),
    ("runners", "Where runs execute."),
    ("namespaces", "Who tests belong to, and what they may use."),
    ("tokens", "Who may call."),
    ("identity", "Who is calling."),
    ("server", "The server itself: health, version, metrics, this document."),
];

/// Returns the document.
pub fn document() -> OpenApi {
    build().1
}

/// Returns the document as it is checked in: indented, with a line feed at its end.
pub fn json() -> String {
    // The document is made of strings and maps with string keys, which always serialise.
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

/// Builds the routes and, from them, the document.
pub(super) fn build() -> (Router<App>, OpenApi) {
    in_context(|ctx| {
        ctx.schema = schemas::answers();
        ctx.schema.subschema_for::<Problem>();
    });
    let mut document = OpenApi {
        info: Info {
            title: "tstr".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: Some(DESCRIPTION.to_owned()),
            license: Some(License {
                name: "Apache License 2.0".to_owned(),
                identifier: Some("Apache-2.0".to_owned()),
                ..License::default()
            }),
            ..Info::default()
        },
        tags: TAGS.into_iter().map(tag).collect(),
        components: Some(Components {
            security_schemes: [(BEARER, bearer()), (SESSION, session())]
                .map(|(name, scheme)| (name.to_owned(), ReferenceOr::Item(scheme)))
                .into_iter()
                .collect(),
            responses: [("Problem".to_owned(), ReferenceOr::Item(problem()))].into_iter().collect(),
            ..Components::default()
        }),
        ..OpenApi::default()
    };
    let routes = super::routes().finish_api(&mut document);
    plain_paths(&mut document);
    schemas::settle(&mut document);
    (routes, document)
}

/// Writes parameters that take the rest of a path as the document writes all parameters: `{x}` instead of `{*x}`.
fn plain_paths(document: &mut OpenApi) {
    let Some(paths) = &mut document.paths else { return };
    let all = std::mem::take(&mut paths.paths);
    paths.paths = all.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
}

fn tag((name, text): (&str, &str)) -> Tag {
    Tag { name: name.to_owned(), description: Some(text.to_owned()), ..Tag::default() }
}

fn bearer() -> SecurityScheme {
    SecurityScheme::Http {
        scheme: BEARER.to_owned(),
        bearer_format: Some("JWT".to_owned()),
        description: Some("A token of tstr, in the header `Authorization: Bearer …` and nowhere else.".to_owned()),
        extensions: Default::default(),
    }
}

fn session() -> SecurityScheme {
    SecurityScheme::ApiKey {
        location: ApiKeyLocation::Cookie,
        name: "tstr_session".to_owned(),
        description: Some(
            "The cookie of a browser that has signed in; over https at the root of a host it is called `__Host-tstr`. What \
             changes something is taken only from this server's own pages."
                .to_owned(),
        ),
        extensions: Default::default(),
    }
}

fn problem() -> ResponseDoc {
    let schema = json_schema!({"$ref": "#/components/schemas/Problem"});
    let mut response = response("The request failed.", &[(PROBLEM_JSON, schema)]);
    for (name, text) in [
        ("WWW-Authenticate", "With 401: `Bearer`."),
        ("Retry-After", "When repeating makes sense: after how many seconds."),
    ] {
        response.headers.insert(name.to_owned(), ReferenceOr::Item(header(text)));
    }
    response
}

/// Documents an operation that needs the permission `P`: the first line of `text` is its summary, the rest describes it.
pub(super) fn op<P: Permission>(
    id: &'static str,
    text: &'static str,
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    move |mut operation: TransformOperation<'_>| {
        operation.inner_mut().extensions.insert("x-permission".to_owned(), P::NAME.into());
        named(operation, id, text)
    }
}

/// Documents an operation that needs no token.
pub(super) fn public(
    id: &'static str,
    text: &'static str,
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    move |mut operation: TransformOperation<'_>| {
        // The field of that name leaves an empty list out; the document shall say it.
        operation.inner_mut().extensions.insert("security".to_owned(), json!([]));
        named(operation, id, text)
    }
}

fn named<'t>(mut operation: TransformOperation<'t>, id: &str, text: &str) -> TransformOperation<'t> {
    let (summary, rest) = text.split_once('\n').unwrap_or((text, ""));
    let inner = operation.inner_mut();
    inner.operation_id = Some(id.to_owned());
    inner.summary = Some(summary.trim_end_matches('.').to_owned());
    inner.description = (!rest.trim().is_empty()).then(|| rest.trim().to_owned());
    let responses = inner.responses.get_or_insert_with(Responses::default);
    responses.default = Some(ReferenceOr::Reference {
        reference: "#/components/responses/Problem".to_owned(),
        summary: None,
        description: None,
    });
    operation
}

/// Documents that an operation needs a token. The extractor of the caller does so by itself.
pub(super) fn secured(mut operation: TransformOperation<'_>) -> TransformOperation<'_> {
    let either = [BEARER, SESSION].map(|name| [(name.to_owned(), Vec::new())].into_iter().collect());
    operation.inner_mut().security = either.into();
    operation
}

/// Documents an answer that is not inferred from the type of a handler.
pub(super) fn answering(
    mut operation: TransformOperation<'_>,
    status: u16,
    answer: ResponseDoc,
) -> TransformOperation<'_> {
    let responses = operation.inner_mut().responses.get_or_insert_with(Responses::default);
    responses.responses.insert(StatusCode::Code(status), ReferenceOr::Item(answer));
    operation
}

/// Describes an answer by its media types.
pub(super) fn response(text: &str, content: &[(&str, Schema)]) -> ResponseDoc {
    let media = |(name, schema): &(&str, Schema)| {
        ((*name).to_owned(), MediaType { schema: Some(plain(schema.clone())), ..MediaType::default() })
    };
    let content = content.iter().map(media).collect();
    ResponseDoc { description: text.to_owned(), content, ..ResponseDoc::default() }
}

/// Describes a header of an answer.
pub(super) fn header(text: &str) -> Header {
    Header {
        description: Some(text.to_owned()),
        style: HeaderStyle::Simple,
        required: false,
        deprecated: None,
        format: ParameterSchemaOrContent::Schema(plain(json_schema!({"type": "string"}))),
        example: None,
        examples: Default::default(),
        extensions: Default::default(),
    }
}

/// Documents a header of the request.
pub(super) fn header_parameter(ctx: &mut GenContext, operation: &mut Operation, name: &str, text: &str, example: &str) {
    let parameter_data = ParameterData {
        name: name.to_owned(),
        description: Some(text.to_owned()),
        required: false,
        deprecated: None,
        format: ParameterSchemaOrContent::Schema(plain(json_schema!({"type": "string"}))),
        example: Some(example.into()),
        examples: Default::default(),
        explode: None,
        extensions: Default::default(),
    };
    add_parameters(ctx, operation, [Parameter::Header { parameter_data, style: HeaderStyle::Simple }]);
}

fn plain(json_schema: Schema) -> SchemaObject {
    SchemaObject { json_schema, external_docs: None, example: None }
}

/// The operations that take no parameter in the query, by method and route.
pub(super) type WithoutParameters = Arc<HashSet<(Method, String)>>;

/// Finds the operations that take no parameter in the query.
pub(super) fn without_parameters(document: &OpenApi) -> WithoutParameters {
    let paths = document.paths.iter().flat_map(|paths| paths.iter());
    let items = paths.filter_map(|(path, item)| Some((path, item.as_item()?)));
    let each = items.flat_map(|(path, item)| item.iter().map(move |(method, operation)| (method, path, operation)));
    let is_query = |parameter: &ReferenceOr<Parameter>| matches!(parameter.as_item(), Some(Parameter::Query { .. }));
    let none = each.filter(|(_, _, operation)| !operation.parameters.iter().any(is_query));
    let key = |(method, path, _): (&str, &String, &Operation)| {
        Some((Method::from_bytes(method.to_ascii_uppercase().as_bytes()).ok()?, path.clone()))
    };
    Arc::new(none.filter_map(key).collect())
}

/// The documents that the server hands out, written once.
#[derive(Clone)]
pub(super) struct Documents {
    openapi: Bytes,
    test_schema: Bytes,
    pages: Bytes,
}

impl Documents {
    /// Writes the documents.
    pub(super) fn of(document: &OpenApi) -> Self {
        let test_schema = schemas::standalone::<NewTestDef>("A test of tstr");
        // The address is relative, so that the page works below any path.
        let pages = Scalar::new("api/v1/openapi.json").with_title("tstr API").html();
        Self {
            openapi: serde_json::to_vec(document).unwrap_or_default().into(),
            test_schema: serde_json::to_vec(&test_schema).unwrap_or_default().into(),
            pages: pages.into(),
        }
    }
}

/// Returns the routes of the documents that programs read.
pub(super) fn routes() -> ApiRouter<App> {
    let openapi = public("get_openapi", "Returns this document.");
    let openapi_doc = response("An OpenAPI 3.1 document.", &[(JSON, json_schema!({"type": "object"}))]);
    let schema = public("get_test_schema", "Returns the JSON Schema of a test as users write it, for editors.");
    let schema_doc = response("A JSON Schema.", &[(SCHEMA_JSON, json_schema!({"type": "object"}))]);
    ApiRouter::new()
        .api_route("/openapi.json", get_with(get_openapi, |o| answering(openapi(o), 200, openapi_doc)))
        .api_route("/schemas/test.json", get_with(get_schema, |o| answering(schema(o), 200, schema_doc)))
        .with_path_items(|item| item.tag("server"))
}

const SCHEMA_JSON: &str = "application/schema+json";

/// Returns the route of the pages that people read.
pub(super) fn pages() -> ApiRouter<App> {
    let docs = public("get_docs", "Shows this document to people.");
    let html = json_schema!({"type": "string"});
    let page = response("A web page that needs nothing from elsewhere.", &[("text/html", html)]);
    ApiRouter::new()
        .api_route("/docs", get_with(get_docs, |o| answering(docs(o), 200, page)))
        .with_path_items(|item| item.tag("server"))
}

async fn get_openapi(Extension(documents): Extension<Documents>) -> Response {
    ([(CONTENT_TYPE, JSON)], documents.openapi).into_response()
}

async fn get_schema(Extension(documents): Extension<Documents>) -> Response {
    ([(CONTENT_TYPE, SCHEMA_JSON)], documents.test_schema).into_response()
}

async fn get_docs(Extension(documents): Extension<Documents>) -> Response {
    // The page carries its script and style within itself and may call nothing but this server.
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; \
                  font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    ([(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, policy)], documents.pages).into_response()
}

#[cfg(test)]
mod tests;
