//! What handlers take from a request: the caller, the path, the query, headers. Each part documents itself.
//!
//! Every refusal is an [`Error`] that names the field, parameter or header. A path that names nothing that could
//! exist (a run that is no UUID) is answered like one that names nothing that does: not found. Bodies: `body`.

use std::time::Duration;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::Operation;
use aide::operation::{ParamLocation, add_parameters, parameters_from_schema};
use aide::transform::TransformOperation;
use anyhow::anyhow;
use axum::extract::FromRequestParts;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::http::header::{HeaderName, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::de::value::{self, MapDeserializer};
use serde::{Deserialize, Deserializer};
use serde_path_to_error::Segment;
use tstr_shared::error::{ErrorCode, Invalid, field_of_fault};
use tstr_shared::ids::{RunId, RunnerId, TokenId};
use tstr_shared::labels::{Labels, check_key, check_value};
use tstr_shared::namespace::Namespace;
use tstr_shared::page::PageRequest;
use tstr_shared::testdef::check_name;

use super::openapi::{header_parameter, secured};
use super::schemas::input_schema;
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::ops::IdempotencyKey;
use crate::ops::runs::MAX_WAIT;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Error::new(ErrorCode::Unauthenticated, "a token is needed"))
    }
}

impl OperationInput for Caller {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        let _ = secured(TransformOperation::new(operation));
    }
}

/// The parameters of the path.
pub(super) struct Path<T>(pub(super) T);

/// Addresses something of a namespace.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct NamespacePath {
    /// The name of the namespace.
    pub(super) namespace: Namespace,
}

/// Addresses a test.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct TestPath {
    /// The name of the namespace.
    pub(super) namespace: Namespace,
    /// The test: its id or its name.
    pub(super) test: TestRef,
}

/// Addresses a run.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct RunPath {
    /// The id of the run.
    pub(super) run: RunId,
}

/// Addresses a runner.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct RunnerPath {
    /// The id of the runner.
    pub(super) runner: RunnerId,
}

/// Addresses a token.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct TokenPath {
    /// The id of the token.
    pub(super) token: TokenId,
}

/// The id or the name of a test; what could be neither is refused.
#[derive(JsonSchema)]
#[schemars(inline, transparent)]
pub(super) struct TestRef(
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9._-]+$"))] pub(super) String,
);

impl<'de> Deserialize<'de> for TestRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        check_name(&text).map_err(serde::de::Error::custom)?;
        Ok(Self(text))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let pairs = axum::extract::Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let axum::extract::Path(pairs) = pairs.map_err(undecoded)?;
        let pairs: MapDeserializer<'_, _, value::Error> = MapDeserializer::new(pairs.into_iter());
        serde_path_to_error::deserialize(pairs).map(Self).map_err(|fault| no_such(key_of(fault.path())))
    }
}

impl<T: JsonSchema> OperationInput for Path<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = input_schema::<T>(operation);
        let parameters = parameters_from_schema(ctx, schema, ParamLocation::Path);
        add_parameters(ctx, operation, parameters);
    }
}

fn undecoded(rejection: PathRejection) -> Error {
    match rejection {
        PathRejection::FailedToDeserializePathParams(fault) => match fault.into_kind() {
            ErrorKind::InvalidUtf8InPathParam { key } => no_such(Some(&key)),
            other => Error::internal(anyhow!("{other}")),
        },
        other => Error::internal(anyhow!("{other}")),
    }
}

fn no_such(key: Option<&str>) -> Error {
    let things = ["namespace", "test", "version", "run", "artifact", "runner", "token", "case"];
    match key {
        Some("matrix_id") => Error::not_found("matrix"),
        // Where a path has two runs, this is the second.
        Some("other") => Error::not_found("run"),
        key => Error::not_found(things.into_iter().find(|thing| Some(*thing) == key).unwrap_or("address")),
    }
}

/// Returns the parameter that a fault lies in.
fn key_of(path: &serde_path_to_error::Path) -> Option<&str> {
    path.iter().find_map(|step| match step {
        Segment::Map { key } => Some(key.as_str()),
        Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => None,
    })
}

/// The parameters of the query.
///
/// A parameter may stand several times where its field is a list. That, and refusing unknown parameters by name, is
/// why this reads with `serde_html_form` (what axum-extra's `Query` wraps) and not with axum's `Query`.
pub(super) struct Query<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

impl<T: JsonSchema> OperationInput for Query<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = input_schema::<T>(operation);
        let parameters = parameters_from_schema(ctx, schema, ParamLocation::Query);
        add_parameters(ctx, operation, parameters);
    }
}

fn query<T: DeserializeOwned>(text: &str) -> Result<T> {
    if text.contains("%00") {
        return Err(Invalid::one("", "a parameter must not hold a NUL").into());
    }
    let form = serde_html_form::Deserializer::from_bytes(text.as_bytes());
    serde_path_to_error::deserialize(form).map_err(|fault| {
        let detail = fault.inner().to_string();
        let name = key_of(fault.path()).or_else(|| field_of_fault(&detail)).unwrap_or_default().to_owned();
        Invalid::one(name, detail).into()
    })
}

/// Reads a parameter that may stand without a value: `?verbose`.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        other => Err(serde::de::Error::custom(format!("'{other}' is neither true nor false"))),
    }
}

/// Reads the two parameters that all lists know.
pub(super) fn page(size: Option<u32>, token: Option<String>) -> PageRequest {
    PageRequest { size: size.unwrap_or_default(), token: token.unwrap_or_default() }
}

/// The parameters of a list without filters.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered.
    page_size: Option<u32>,
    /// The `next_page_token` of the page before.
    page_token: Option<String>,
}

impl From<PageQuery> for PageRequest {
    fn from(query: PageQuery) -> Self {
        page(query.page_size, query.page_token)
    }
}

/// One label as a parameter: `key=value`.
#[derive(JsonSchema)]
#[schemars(inline, transparent)]
pub(super) struct Pair(#[schemars(regex(pattern = "^[^=]+=.*$"))] String);

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (key, value) = text.split_once('=').ok_or_else(|| serde::de::Error::custom("write key=value"))?;
        check_key(key).and_then(|()| check_value(value)).map_err(serde::de::Error::custom)?;
        Ok(Self(text))
    }
}

impl Pair {
    /// Collects the values of the parameter `name`; a key must not be asked for with two values.
    pub(super) fn collect(name: &str, pairs: &[Self]) -> Result<Labels> {
        let mut labels = Labels::default();
        for (key, value) in pairs.iter().filter_map(|pair| pair.0.split_once('=')) {
            if labels.0.insert(key.to_owned(), value.to_owned()).is_some_and(|other| other != value) {
                return Err(Invalid::one(name, format!("'{key}' cannot have two values")).into());
            }
        }
        Ok(labels)
    }
}

/// The header `Idempotency-Key`.
pub(super) struct Idempotency(pub(super) Option<IdempotencyKey>);

impl<S: Sync> FromRequestParts<S> for Idempotency {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let Some(value) = only(&parts.headers, &IDEMPOTENCY_KEY)? else { return Ok(Self(None)) };
        let key =
            unquoted(value).ok_or_else(|| Error::malformed("the header 'Idempotency-Key' is not a quoted string"))?;
        IdempotencyKey::parse(&key).map(|key| Self(Some(key)))
    }
}

impl OperationInput for Idempotency {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let text = "Makes repeating safe: within 24 hours the same key with the same body gets the first answer \
                    again. A string in quotes (or bare), 1 to 255 visible ASCII characters.";
        header_parameter(ctx, operation, "Idempotency-Key", text, "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"");
    }
}

/// Reads a structured-field string (RFC 8941), or takes a bare token as it is.
fn unquoted(value: &str) -> Option<String> {
    let Some(rest) = value.strip_prefix('"') else { return (!value.contains('"')).then(|| value.to_owned()) };
    let (mut text, mut chars) = (String::new(), rest.strip_suffix('"')?.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => text.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            c => text.push(c),
        }
    }
    Some(text)
}

/// The header `If-Match`: the version that the caller means to change; none where any is meant.
pub(super) struct IfMatch(pub(super) Option<i32>);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        match only(&parts.headers, &IF_MATCH)? {
            None | Some("*") => Ok(Self(None)),
            Some(list) if list.contains(',') => {
                Err(Error::malformed("the header 'If-Match' names more than one version"))
            }
            // A tag that we never gave out, or a weak one, matches no version.
            Some(tag) => match tag.strip_prefix('"').and_then(|t| t.strip_suffix('"')).and_then(|t| t.parse().ok()) {
                Some(version) => Ok(Self(Some(version))),
                None => {
                    Err(Error::new(ErrorCode::PreconditionFailed, "the header 'If-Match' names no version of this"))
                }
            },
        }
    }
}

impl OperationInput for IfMatch {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let text = "The `ETag` that was read; if the test has changed since, the answer is 412 and nothing is done.";
        header_parameter(ctx, operation, "If-Match", text, "\"3\"");
    }
}

/// The header `Prefer: wait=…` (RFC 7240): how long the answer may be held back.
pub(super) struct Prefer(pub(super) Option<Duration>);

impl<S: Sync> FromRequestParts<S> for Prefer {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(Self(preferred_wait(&parts.headers)))
    }
}

impl OperationInput for Prefer {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let text = "`wait=30` holds the answer back until the run has finished, at most so many seconds (up to 30). \
                    The answer then carries `Preference-Applied`.";
        header_parameter(ctx, operation, "Prefer", text, "wait=30");
    }
}

/// Reads how long a client is ready to wait; a longer wish than is granted is lowered. A preference that is not understood is ignored, as RFC 7240 wants it.
pub(super) fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let lists = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let wait = lists.flat_map(|list| list.split(',')).find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
    })?;
    Some(Duration::from_secs(wait.parse().ok()?).min(MAX_WAIT))
}

/// Returns the value of a header that may stand once.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>> {
    let mut values = headers.get_all(name).iter();
    match (values.next().map(HeaderValue::to_str), values.next()) {
        (None, _) => Ok(None),
        (Some(Ok(value)), None) => Ok(Some(value.trim())),
        (Some(Ok(_)), Some(_)) => Err(Error::malformed(format!("the header '{name}' stands twice"))),
        (Some(Err(_)), _) => Err(Error::malformed(format!("the header '{name}' has characters beyond ASCII"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Filter {
        #[serde(default)]
        state: Vec<tstr_shared::run::RunState>,
        #[serde(default)]
        label: Vec<String>,
        page_size: Option<u32>,
        #[serde(default, deserialize_with = "flag")]
        verbose: bool,
    }

    fn fault(text: &str) -> (String, String) {
        let error = query::<Filter>(text).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Invalid, "{text}");
        (error.errors()[0].pointer.clone(), error.errors()[0].detail.clone())
    }

    #[test]
    fn a_parameter_may_be_repeated() {
        let filter: Filter =
            query("state=queued&label=a%3D1&state=running&label=b%3Dx%26y&page_size=7&verbose").unwrap();
        assert_eq!(filter.state.len(), 2);
        assert_eq!(filter.label, ["a=1", "b=x&y"]);
        assert_eq!((filter.page_size, filter.verbose), (Some(7), true));
    }

    #[test]
    fn a_fault_names_its_parameter() {
        assert_eq!(fault("token=abc").0, "token");
        assert_eq!(fault("state=queued&state=lost").0, "state");
        assert_eq!(fault("page_size=-1").0, "page_size");
        assert_eq!(fault("page_size=1&page_size=2").0, "page_size");
        assert!(fault("q=%00").1.contains("NUL"));
    }

    #[test]
    fn labels_are_pairs_and_do_not_contradict_each_other() {
        let pairs = |text: &str| -> Vec<Pair> { text.split('&').map(|p| Pair(p.to_owned())).collect() };
        assert_eq!(Pair::collect("label", &pairs("a=1&b=x=y&a=1")).unwrap().text(), "a=1,b=x=y");
        assert_eq!(Pair::collect("label", &pairs("a=1&a=2")).unwrap_err().errors()[0].pointer, "label");
    }

    #[test]
    fn an_idempotency_key_is_a_quoted_string_or_a_bare_token() {
        for (written, meant) in [("\"abc\"", Some("abc")), ("abc", Some("abc")), (r#""a\"b\\""#, Some(r#"a"b\"#))] {
            assert_eq!(unquoted(written).as_deref(), meant, "{written}");
        }
        for bad in ["\"abc", "abc\"", "\"a\"b\"", r#""a\x""#, "\"abc\";p=1", "\"", r#""a\""#] {
            assert_eq!(unquoted(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_wait_is_bounded_and_nonsense_is_ignored() {
        let wait = |value: &'static str| {
            preferred_wait(&[(PREFER, HeaderValue::from_static(value))].into_iter().collect())
                .map(|wait| wait.as_secs())
        };
        assert_eq!(wait("wait=30"), Some(30));
        assert_eq!(wait("respond-async, Wait=\"5\"; x=y"), Some(5));
        assert_eq!(wait("wait=100000"), Some(30));
        assert_eq!((wait("wait"), wait("wait=-1"), wait("return=minimal")), (None, None, None));
    }

    #[tokio::test]
    async fn if_match_reads_a_version_and_matches_nothing_else() {
        let read = async |value: &str| {
            let (mut parts, ()) = axum::http::Request::builder().header(IF_MATCH, value).body(()).unwrap().into_parts();
            IfMatch::from_request_parts(&mut parts, &()).await.map(|version| version.0).map_err(|error| error.code())
        };
        assert_eq!(read("\"3\"").await, Ok(Some(3)));
        assert_eq!(read("*").await, Ok(None));
        for other in ["W/\"3\"", "3", "\"abc\"", "\"99999999999\""] {
            assert_eq!(read(other).await, Err(ErrorCode::PreconditionFailed), "{other}");
        }
        assert_eq!(read("\"3\", \"4\"").await, Err(ErrorCode::Malformed));
    }
}
