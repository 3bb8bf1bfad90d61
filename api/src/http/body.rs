//! The bodies of requests: read to the last byte, and every fault named by its place.
//!
//! Broken JSON is `malformed`, with line and column; a field that is unknown, missing or of the wrong type is
//! `invalid`, with its pointer. Nothing of a body is ever repeated in a log.

use std::time::Duration;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, RequestBody, SchemaObject};
use aide::operation::set_body;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use schemars::{JsonSchema, Schema, json_schema};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};
use tstr_shared::error::{ErrorCode, Invalid, field_of_fault, pointer_step};

use super::extract::only;
use super::schemas::input_schema;
use crate::error::{Error, Result};

/// The media type of JSON.
pub(super) const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// How deep arrays and objects may be nested.
const MAX_DEPTH: usize = 32;
/// Within which time a body has to come: less than a handler may take, so that it is said what is wrong.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many items an array may have.
const MAX_ITEMS: u32 = 1000;

/// A body in JSON; as an answer, 200 with a body in JSON.
pub(super) struct Json<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Error;
    async fn from_request(request: Request, state: &S) -> Result<Self> {
        expect_type(request.headers(), &[JSON])?;
        read_object(&collect(request, state).await?).map(Self)
    }
}

impl<T: JsonSchema> OperationInput for Json<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = input_schema::<T>(operation);
        document(ctx, operation, &[JSON], &schema, true);
    }
}

/// A body in JSON that may be left out.
pub(super) struct OptionalJson<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Error;
    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let headers = request.headers().clone();
        let body = collect(request, state).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        expect_type(&headers, &[JSON])?;
        read_object(&body).map(Self)
    }
}

impl<T: JsonSchema> OperationInput for OptionalJson<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = input_schema::<T>(operation);
        document(ctx, operation, &[JSON], &schema, false);
    }
}

/// A JSON merge patch (RFC 7396): an object.
pub(super) struct MergePatch(pub(super) Value);

impl<S: Send + Sync> FromRequest<S> for MergePatch {
    type Rejection = Error;
    async fn from_request(request: Request, state: &S) -> Result<Self> {
        expect_type(request.headers(), &[MERGE_PATCH, JSON])?;
        let patch: Value = read(&collect(request, state).await?)?;
        if patch.is_object() { Ok(Self(patch)) } else { Err(Invalid::one("", "a patch is an object").into()) }
    }
}

impl OperationInput for MergePatch {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = json_schema!({
            "type": "object",
            "description": "A JSON merge patch (RFC 7396): the fields to change; null brings a field's default back.",
        });
        document(ctx, operation, &[MERGE_PATCH, JSON], &schema, true);
    }
}

pub(super) fn document(
    ctx: &mut GenContext,
    operation: &mut Operation,
    types: &[&str],
    schema: &Schema,
    required: bool,
) {
    let media = |name: &&str| {
        let schema = SchemaObject { json_schema: schema.clone(), external_docs: None, example: None };
        ((*name).to_owned(), MediaType { schema: Some(schema), ..MediaType::default() })
    };
    let content = types.iter().map(media).collect();
    set_body(ctx, operation, RequestBody { content, required, ..RequestBody::default() });
}

async fn collect<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes> {
    let body = tokio::time::timeout(PATIENCE, Bytes::from_request(request, state)).await;
    let body = body.map_err(|_| Error::malformed(format!("the body did not come within {PATIENCE:?}")))?;
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Error::new(ErrorCode::TooLarge, "the body is larger than 1 MiB"),
        _ => Error::malformed("the body ended before its time"),
    })
}

pub(super) fn expect_type(headers: &HeaderMap, known: &[&str]) -> Result<()> {
    let given = only(headers, &CONTENT_TYPE)?.unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if known.iter().any(|one| one.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    let message = format!("the header 'Content-Type' must say {}", known.join(" or "));
    Err(Error::new(ErrorCode::UnsupportedMediaType, message))
}

/// Reads a document that is an object. serde would take a list of values for one, in the order of the fields.
fn read_object<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    check_shape(text)?;
    match text.trim_ascii_start().first() {
        Some(b'[') => Err(Invalid::one("", "the body is not an object").into()),
        _ => read(text),
    }
}

/// Reads a whole document of JSON.
fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    check_shape(text)?;
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|fault| {
        let inner = fault.inner();
        match inner.classify() {
            Category::Data => misfit(fault.path(), inner),
            // serde_json calls it a fault of syntax, too, when a word is wanted and a number stands there.
            Category::Syntax if serde_json::from_slice::<Value>(text).is_ok() => {
                Invalid::one(pointer(fault.path()), "not a value that this field can have").into()
            }
            Category::Syntax | Category::Eof | Category::Io => broken(inner),
        }
    })?;
    json.end().map_err(|fault| broken(&fault))?;
    Ok(value)
}

fn broken(fault: &serde_json::Error) -> Error {
    Error::malformed(format!("the body is not JSON: {fault}"))
}

fn misfit(path: &Path, fault: &serde_json::Error) -> Error {
    let text = fault.to_string();
    let detail = text.strip_suffix(&format!(" at line {} column {}", fault.line(), fault.column())).unwrap_or(&text);
    let field = field_of_fault(detail).map(|name| format!("/{}", pointer_step(name)));
    Invalid::one(pointer(path) + &field.unwrap_or_default(), detail).into()
}

fn pointer(path: &Path) -> String {
    let steps = path.iter().filter_map(|step| match step {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{}", pointer_step(key))),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    steps.collect()
}

/// Refuses what is nested too deep or has arrays that are too long, before anything is built of it.
fn check_shape(text: &[u8]) -> Result<()> {
    let fault = |message: String| Err(Invalid::one("", message).into());
    let mut open: Vec<Option<u32>> = Vec::with_capacity(MAX_DEPTH); // for each: items of an array, none for an object
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                while bytes.next().is_some_and(|inner| *inner != b'"' && (*inner != b'\\' || bytes.next().is_some())) {}
            }
            b'[' | b'{' if open.len() == MAX_DEPTH => return fault(format!("nested deeper than {MAX_DEPTH}")),
            b'[' => open.push(Some(1)),
            b'{' => open.push(None),
            b']' | b'}' => drop(open.pop()),
            b',' => match open.last_mut() {
                Some(Some(items)) if *items == MAX_ITEMS => {
                    return fault(format!("an array of over {MAX_ITEMS} items"));
                }
                Some(Some(items)) => *items += 1,
                Some(None) | None => {}
            },
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tstr_shared::testdef::NewTestDef;

    use super::*;

    fn fault(text: &str) -> (ErrorCode, String) {
        let error = read::<NewTestDef>(text.as_bytes()).unwrap_err();
        let place = error.errors().first().map_or_else(|| error.message().to_owned(), |field| field.pointer.clone());
        (error.code(), place)
    }

    #[test]
    fn a_fault_of_a_field_is_named_by_its_pointer() {
        for (text, pointer) in [
            (r#"{"name":"a","run_config":{"container_image":"x","timeout":"soon"}}"#, "/run_config/timeout"),
            (r#"{"name":"a","run_config":{"container_image":"x","tiemout":"1s"}}"#, "/run_config/tiemout"),
            (r#"{"name":"a","run_config":{}}"#, "/run_config/container_image"),
            (r#"{"name":"a","run_config":{"container_image":"x","args":["a",7]}}"#, "/run_config/args/1"),
            (r#"{"run_config":{"container_image":"x"}}"#, "/name"),
            (r#"{"name":"a","name":"b","run_config":{"container_image":"x"}}"#, "/name"),
            (r#"{"name":"a","result":"pass","run_config":{"container_image":"x"}}"#, "/result"),
            (r#"{"name":"a","labels":{"a/b":7},"run_config":{"container_image":"x"}}"#, "/labels/a~1b"),
            (r#"{"name":"a","priority":7,"run_config":{"container_image":"x"}}"#, "/priority"),
            (r#"{"name":"a","run_config":{"container_image":"x","pull":[]}}"#, "/run_config/pull"),
            ("[]", ""),
            ("7", ""),
        ] {
            assert_eq!(fault(text), (ErrorCode::Invalid, pointer.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_detail_does_not_repeat_the_place_in_the_text() {
        let error = read::<NewTestDef>(br#"{"nme":"a"}"#).unwrap_err();
        assert!(error.errors()[0].detail.starts_with("unknown field `nme`"));
        assert!(!error.errors()[0].detail.contains("column"));
    }

    #[test]
    fn broken_json_is_told_with_line_and_column() {
        let trailing = r#"{"name":"a","run_config":{"container_image":"x"}}]"#;
        for text in ["", "{", "{\n\"name\":}", trailing, "nul", "{\"name\":\"\u{1}\"}"] {
            let (code, message) = fault(text);
            assert!(code == ErrorCode::Malformed && message.contains("column"), "{text}: {code:?} {message}");
        }
        assert_eq!(read::<Value>(b"\"\xff\"").unwrap_err().code(), ErrorCode::Malformed);
    }

    #[test]
    fn the_limits_of_shape_are_exact() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read::<Value>(nested(32).as_bytes()).is_ok());
        assert_eq!(read::<Value>(nested(33).as_bytes()).unwrap_err().code(), ErrorCode::Invalid);
        let list = |items: usize| format!(r#"{{"a":[{}],"b":[1,2]}}"#, vec!["[0,\"],\\\"\"]"; items].join(","));
        assert!(read::<Value>(list(1000).as_bytes()).is_ok());
        assert_eq!(read::<Value>(list(1001).as_bytes()).unwrap_err().code(), ErrorCode::Invalid);
    }

    #[test]
    fn the_content_type_is_compared_without_its_parameters() {
        let check =
            |value: &'static str| expect_type(&[(CONTENT_TYPE, value.parse().unwrap())].into_iter().collect(), &[JSON]);
        assert!(check("application/json").is_ok() && check("Application/JSON; charset=utf-8").is_ok());
        for other in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
            assert_eq!(check(other).unwrap_err().code(), ErrorCode::UnsupportedMediaType, "{other}");
        }
        assert!(expect_type(&HeaderMap::new(), &[JSON]).is_err());
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read::<NewTestDef>(&text);
        }
        #[test]
        fn what_json_can_say_within_the_limits_is_read(text in "\\PC{0,40}") {
            let written = serde_json::to_vec(&serde_json::json!({"a": [text]})).unwrap();
            prop_assert!(read::<Value>(&written).is_ok());
        }
    }
}
