//! The logs of runs: as JSON lines, or as the very bytes with byte ranges; whole, in part, or followed.
//!
//! A log is never held in memory: pieces go out as they come in. When reading fails half-way the connection is
//! broken off, so that a client cannot take a part for the whole.

use std::num::NonZeroU32;

use aide::OperationInput;
use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use aide::generate::{GenContext, in_context};
use aide::openapi::{Operation, ReferenceOr};
use aide::transform::TransformOperation;
use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::header::{
    ACCEPT, ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, RANGE, VARY,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use tstr_shared::logs::{LogEntry, Stream as Channel, TailLines};
use tstr_shared::permission::RunsRead;

use super::App;
use super::extract::{Path, Query, RunPath, flag, only};
use super::layers::{Live, TraceId};
use super::openapi::{answering, header, header_parameter, op, response};
use super::range::{Wish, beyond};
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::ops::logs::{LogPiece, LogQuery};

const LINES: &str = "application/x-ndjson";
const RAW: &str = "text/plain";
const RAW_UTF8: &str = "text/plain; charset=utf-8";
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let read = op::<RunsRead>(
        "get_run_logs",
        "Returns the log of a run.\n\
         As JSON lines, one entry a line, in the order in which the worker read them; or, with `Accept: text/plain`, as \
         the bytes that the container wrote, of which `Range: bytes=…` takes a part. `follow` goes on until the run has \
         finished, through all its attempts; with `attempt`, until that one has ended. An answer that breaks off is incomplete: go on with `after` or `Range`.",
    );
    ApiRouter::new()
        .api_route("/runs/{run}/logs", get_with(get_run_logs, |operation| documented(read(operation))))
        .with_path_items(|item| item.tag("runs"))
}

/// Which part of a log is read.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct LogsQuery {
    /// The attempt, from 1; the latest unless said.
    attempt: Option<u16>,
    /// Only this stream.
    stream: Option<Channel>,
    /// Only entries behind the one with this `seq`.
    after: Option<u32>,
    /// At most so many entries, at least one.
    limit: Option<NonZeroU32>,
    /// From the last so many lines on, at most 10000: those that end last, each from its beginning. They are looked for
    /// in the last 8 MiB. Without `after` and `limit`.
    #[schemars(range(max = 10_000))]
    tail: Option<TailLines>,
    /// Go on with what is still to come, until the attempt has ended.
    #[serde(default, deserialize_with = "flag")]
    follow: bool,
}

impl From<LogsQuery> for LogQuery {
    fn from(query: LogsQuery) -> Self {
        let LogsQuery { attempt, stream, after, limit, tail, follow } = query;
        Self { attempt, stream, after, limit: limit.map(NonZeroU32::get), tail, follow }
    }
}

impl LogsQuery {
    /// Tells whether the log is asked for as one body of known length.
    fn is_sized(&self) -> bool {
        !self.follow && self.after.is_none() && self.limit.is_none() && self.tail.is_none()
    }
}

/// In which form the log is wanted.
struct Wanted {
    raw: bool,
    range: Option<Wish>,
}

impl<S: Sync> FromRequestParts<S> for Wanted {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(Self { raw: prefers_raw(&parts.headers), range: only(&parts.headers, &RANGE)?.and_then(Wish::parse) })
    }
}

impl OperationInput for Wanted {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let text = "With `Accept: text/plain`: the one part of the bytes that is wanted (RFC 9110).";
        header_parameter(ctx, operation, "Range", text, "bytes=1000-1999");
    }
}

/// Tells whether a client wants the bytes rather than JSON lines, which it gets unless it says so.
fn prefers_raw(headers: &HeaderMap) -> bool {
    let mut best = (0.0, 0.0); // the weights of lines and of raw
    for one in headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).flat_map(|list| list.split(',')) {
        let mut parts = one.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|p| p.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        match name.as_str() {
            RAW | "text/*" => best.1 = weight.max(best.1),
            LINES | "application/*" | "*/*" => best.0 = weight.max(best.0),
            _ => {}
        }
    }
    best.1 > best.0
}

async fn get_run_logs(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<RunPath>,
    Query(query): Query<LogsQuery>,
    wanted: Wanted,
    id: TraceId,
) -> Result<Response> {
    if wanted.raw && query.is_sized() {
        return sized(&app, &caller, at, query, wanted.range, id).await;
    }
    let follow = query.follow;
    let pieces = app.ops.read_logs(&caller, at.run, query.into()).await?;
    let body = if wanted.raw { flow(pieces.map_ok(|piece| piece.data), id) } else { flow(lines(pieces), id) };
    let kind = if wanted.raw { RAW_UTF8 } else { LINES };
    Ok(live(([(CONTENT_TYPE, kind), (VARY, "Accept")], body), follow))
}

/// Answers the bytes of a log as they are stored now, or a part of them.
async fn sized(
    app: &App,
    caller: &Caller,
    at: RunPath,
    query: LogsQuery,
    wish: Option<Wish>,
    id: TraceId,
) -> Result<Response> {
    let size = app.ops.log_size(caller, at.run, query.attempt, query.stream).await?;
    let part = match wish.map(|wish| wish.within(size.bytes)) {
        None => 0..size.bytes,
        Some(Some(part)) => part,
        Some(None) => return Ok(beyond("the log", size.bytes)),
    };
    let bytes = app.ops.read_log_bytes(caller, at.run, size.attempt, query.stream, part.clone()).await?;
    let headers = [
        (CONTENT_TYPE, RAW_UTF8.to_owned()),
        (VARY, "Accept".to_owned()),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (CONTENT_LENGTH, (part.end - part.start).to_string()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{}-{}.log\"", at.run, size.attempt)),
    ];
    let body = flow(bytes, id);
    if wish.is_none() {
        return Ok((headers, body).into_response());
    }
    let place = format!("bytes {}-{}/{}", part.start, part.end - 1, size.bytes);
    Ok((StatusCode::PARTIAL_CONTENT, headers, [(CONTENT_RANGE, place)], body).into_response())
}

fn live(response: impl IntoResponse, follow: bool) -> Response {
    let mut response = response.into_response();
    if follow {
        response.extensions_mut().insert(Live);
        response.headers_mut().insert(X_ACCEL_BUFFERING, axum::http::HeaderValue::from_static("no"));
    }
    response
}

/// Makes a body of a stream; a failure is logged and breaks the answer off.
fn flow(bytes: impl Stream<Item = Result<Bytes>> + Send + 'static, id: TraceId) -> Body {
    Body::from_stream(bytes.map_err(move |error| {
        error.log(&id.0);
        std::io::Error::other("the log could not be read to its end")
    }))
}

fn lines(
    pieces: impl Stream<Item = Result<LogPiece>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    pieces.map(|piece| line(piece?))
}

fn line(piece: LogPiece) -> Result<Bytes> {
    let (data, data_base64) = match std::str::from_utf8(&piece.data) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(&piece.data))),
    };
    let LogPiece { seq, at: time, stream, cut: cut_bytes, .. } = piece;
    let entry = LogEntry { seq, time, stream, cut_bytes, data, data_base64 };
    let mut text = serde_json::to_vec(&entry).map_err(Error::internal)?;
    text.push(b'\n');
    Ok(text.into())
}

fn documented(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    let entry = in_context(|ctx| ctx.schema.subschema_for::<LogEntry>());
    let bytes = json_schema!({"type": "string", "description": "The bytes, as the container wrote them."});
    let text = "The log. Of JSON lines the schema is that of one line.";
    let mut whole = response(text, &[(LINES, entry), (RAW, bytes.clone())]);
    let accepts = header("`bytes`, where parts can be asked for.");
    whole.headers.insert("Accept-Ranges".to_owned(), ReferenceOr::Item(accepts));
    let mut part = response("The part of the bytes that `Range` asked for.", &[(RAW, bytes)]);
    let place = header("Which part of how many bytes: `bytes 0-99/1234`.");
    part.headers.insert("Content-Range".to_owned(), ReferenceOr::Item(place));
    answering(answering(operation, 200, whole), 206, part)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_client_gets_json_lines_unless_it_prefers_text() {
        let raw =
            |accept: &'static str| prefers_raw(&[(ACCEPT, HeaderValue::from_static(accept))].into_iter().collect());
        for accept in ["text/plain", "TEXT/PLAIN", "text/*", "application/x-ndjson;q=0.5, text/plain;q=0.9"] {
            assert!(raw(accept), "{accept}");
        }
        for accept in ["*/*", "", "application/json", "text/html, */*;q=0.8", "text/plain, application/x-ndjson"] {
            assert!(!raw(accept), "{accept}");
        }
        assert!(!prefers_raw(&HeaderMap::new()));
    }

    #[test]
    fn bytes_that_are_no_text_are_told_in_base64() {
        let line = |data: &'static [u8]| {
            let (at, data) = (DateTime::UNIX_EPOCH, Bytes::from_static(data));
            let piece = LogPiece { seq: 1, at, stream: Channel::Stdout, cut: None, data };
            serde_json::from_slice::<LogEntry>(&super::line(piece).unwrap()).unwrap()
        };
        assert_eq!(line("ä\n\0".as_bytes()).data.as_deref(), Some("ä\n\0"));
        let binary = line(b"\xff\x00");
        assert_eq!((binary.data, binary.data_base64.as_deref()), (None, Some("/wA=")));
    }
}
