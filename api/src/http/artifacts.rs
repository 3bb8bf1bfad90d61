//! The artifacts of runs: their list, and each as its bytes, whole or in part.
//!
//! They were written by tests, so nothing in them is trusted: a browser saves them, or shows them without scripts, without
//! the network and as if they came from elsewhere. The bytes go out as they come in; when reading fails half-way the
//! connection is broken off.

use std::ops::Range;

use aide::OperationInput;
use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use aide::generate::GenContext;
use aide::openapi::{Operation, ReferenceOr};
use aide::transform::TransformOperation;
use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName, IF_NONE_MATCH, IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use tstr_shared::artifacts::{Artifact, ArtifactList, ArtifactPath, ContentHash, OPAQUE, is_text};
use tstr_shared::ids::RunId;
use tstr_shared::permission::RunsRead;

use super::App;
use super::body::Json;
use super::extract::{Path, Query, RunPath, flag, only};
use super::layers::{Live, TraceId};
use super::openapi::{answering, header, header_parameter, op, response};
use super::range::{Wish, beyond};
use crate::auth::Caller;
use crate::error::Result;

/// What a browser may do with a file that it saves.
const SAVED: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";
/// What it may do with one that it shows: look like itself, and nothing else.
const SHOWN: &str = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'";
/// What a page could make use of: it is shown as text.
const USED_BY_PAGES: [&str; 2] = ["text/css", "text/javascript"];
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let list = op::<RunsRead>(
        "list_artifacts",
        "Lists the files that a run left behind, by their paths.\n\
         Of the latest attempt unless `attempt` says another. `notes` says what was not kept, and why.",
    );
    let get = op::<RunsRead>(
        "get_artifact",
        "Returns a file that a run left behind.\n\
         `Range: bytes=…` takes a part. The answer is to be saved, as text or as bytes; with `view` it has the media type \
         that the file's name suggests and is to be shown, without scripts and without access to anything.",
    );
    ApiRouter::new()
        .api_route("/runs/{run}/artifacts", get_with(list_artifacts, list))
        .api_route("/runs/{run}/artifacts/{*artifact}", get_with(get_artifact, |o| documented(get(o))))
        .with_path_items(|item| item.tag("runs"))
}

/// Addresses a file of a run.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
struct ArtifactAddress {
    /// The id of the run.
    run: RunId,
    /// The path of the file; its slashes may be escaped or not.
    artifact: ArtifactPath,
}

/// Which files are listed.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// The attempt, from 1; the latest unless said.
    attempt: Option<u16>,
}

/// How a file is wanted.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct FileQuery {
    /// The attempt, from 1; the latest unless said.
    attempt: Option<u16>,
    /// To be shown by a browser instead of saved.
    #[serde(default, deserialize_with = "flag")]
    view: bool,
}

async fn list_artifacts(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<RunPath>,
    Query(query): Query<ListQuery>,
) -> Result<Json<ArtifactList>> {
    Ok(Json(app.ops.list_artifacts(&caller, at.run, query.attempt).await?))
}

async fn get_artifact(
    State(app): State<App>,
    caller: Caller,
    Path(at): Path<ArtifactAddress>,
    Query(query): Query<FileQuery>,
    wanted: Wanted,
    id: TraceId,
) -> Result<Response> {
    let opened = app.ops.open_artifact(&caller, at.run, query.attempt, &at.artifact).await?;
    let (tag, size) = (tag(opened.artifact.sha256), opened.artifact.bytes);
    if wanted.is_known(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
    }
    let (part, is_part) = match wanted.range(&tag).map(|wish| wish.within(size)) {
        None => (0..size, false),
        Some(Some(part)) => (part, true),
        Some(None) => return Ok(beyond("the file", size)),
    };
    let pieces = app.ops.read_artifact(&caller, &opened, part.clone()).await?;
    let body = Body::from_stream(pieces.map_err(move |error| {
        error.log(&id.0);
        std::io::Error::other("the file could not be read to its end")
    }));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    describe(headers, &opened.artifact, query.view);
    measure(headers, &part, is_part, size);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    if is_part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    // Its length and its tag are those of the very bytes.
    response.extensions_mut().insert(Live);
    Ok(response)
}

fn tag(sha256: ContentHash) -> String {
    format!("\"{sha256}\"")
}

/// Says what the bytes are, and what may be done with them.
fn describe(headers: &mut HeaderMap, artifact: &Artifact, view: bool) {
    let media = artifact.media_type.as_str();
    let (kind, disposition, policy) = match (view, is_text(media)) {
        (true, _) if USED_BY_PAGES.contains(&media) => ("text/plain; charset=utf-8".to_owned(), "inline", SHOWN),
        (true, true) => (format!("{media}; charset=utf-8"), "inline", SHOWN),
        (true, false) => (media.to_owned(), "inline", SHOWN),
        (false, true) => ("text/plain; charset=utf-8".to_owned(), "attachment", SAVED),
        (false, false) => (OPAQUE.to_owned(), "attachment", SAVED),
    };
    let disposition = format!("{disposition}; {}", file_name(artifact.path.name()));
    for (name, value) in [(CONTENT_TYPE, kind), (CONTENT_DISPOSITION, disposition)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
        (ACCEPT_RANGES, "bytes"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Says which bytes follow.
fn measure(headers: &mut HeaderMap, part: &Range<u64>, is_part: bool, size: u64) {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
    if is_part && let Ok(place) = HeaderValue::from_str(&format!("bytes {}-{}/{size}", part.start, part.end - 1)) {
        headers.insert(CONTENT_RANGE, place);
    }
}

/// Writes the name that a file is saved under (RFC 6266): for those who read only ASCII, and as it is.
fn file_name(name: &str) -> String {
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let mut escaped = String::new();
    for byte in name.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => escaped.push(char::from(b)),
            b => escaped.push_str(&format!("%{b:02X}")),
        }
    }
    format!("filename=\"{plain}\"; filename*=UTF-8''{escaped}")
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || " -._+=@()".contains(c)
}

/// What a client has, and which part it wants.
struct Wanted {
    range: Option<Wish>,
    if_range: Option<String>,
    if_none_match: Option<String>,
}

impl Wanted {
    /// Tells whether the client has it already.
    fn is_known(&self, tag: &str) -> bool {
        let Some(tags) = &self.if_none_match else { return false };
        tags.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == "*" || one == tag)
    }

    /// Returns the part that is wanted; none when it was of something else.
    fn range(&self, tag: &str) -> Option<Wish> {
        self.range.filter(|_| self.if_range.as_ref().is_none_or(|known| known == tag))
    }
}

impl<S: Sync> FromRequestParts<S> for Wanted {
    type Rejection = crate::error::Error;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let headers = &parts.headers;
        let text = |name: &HeaderName| Ok::<_, crate::error::Error>(only(headers, name)?.map(str::to_owned));
        Ok(Self {
            range: only(headers, &RANGE)?.and_then(Wish::parse),
            if_range: text(&IF_RANGE)?,
            if_none_match: text(&IF_NONE_MATCH)?,
        })
    }
}

impl OperationInput for Wanted {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let text = "The one part of the bytes that is wanted (RFC 9110).";
        header_parameter(ctx, operation, "Range", text, "bytes=1000-1999");
        let text = "The `ETag` that the client has; if the file is that one, the answer is 304.";
        header_parameter(ctx, operation, "If-None-Match", text, "\"3b1f…\"");
    }
}

fn documented(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    let bytes = json_schema!({"type": "string", "format": "binary", "description": "The bytes of the file."});
    let kinds = [(OPAQUE, bytes.clone()), ("text/plain", bytes.clone())];
    let mut whole = response("The file. With `view` it has the media type that its name suggests.", &kinds);
    for (name, text) in
        [("ETag", "The SHA-256 of the content, in quotes."), ("Accept-Ranges", "`bytes`: parts can be asked for.")]
    {
        whole.headers.insert(name.to_owned(), ReferenceOr::Item(header(text)));
    }
    let mut part = response("The part of the bytes that `Range` asked for.", &[(OPAQUE, bytes)]);
    let place = header("Which part of how many bytes: `bytes 0-99/1234`.");
    part.headers.insert("Content-Range".to_owned(), ReferenceOr::Item(place));
    let same = response("The client has it already.", &[]);
    answering(answering(answering(operation, 200, whole), 206, part), 304, same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_can_use_what_is_shown() {
        let shown = |name: &str| {
            let media_type = tstr_shared::artifacts::media_type(name).to_owned();
            let (path, sha256) = (ArtifactPath::parse(name).unwrap(), ContentHash([0; 32]));
            let mut headers = HeaderMap::new();
            describe(&mut headers, &Artifact { path, bytes: 0, sha256, media_type }, true);
            assert!(headers[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("frame-ancestors 'none'"), "{name}");
            headers[CONTENT_TYPE].to_str().unwrap().to_owned()
        };
        for name in ["a.js", "a.mjs", "a.css", "a.txt"] {
            assert_eq!(shown(name), "text/plain; charset=utf-8", "{name}");
        }
        assert_eq!(shown("a.html"), "text/html; charset=utf-8");
    }

    #[test]
    fn a_name_is_told_in_ascii_and_as_it_is() {
        assert_eq!(file_name("a b.xml"), "filename=\"a b.xml\"; filename*=UTF-8''a%20b.xml");
        assert_eq!(file_name("ä\"\\;.x"), "filename=\"____.x\"; filename*=UTF-8''%C3%A4%22%5C%3B.x");
    }

    #[test]
    fn a_part_is_given_of_what_the_client_has_and_the_whole_is_not_given_twice() {
        let wanted = |if_range: Option<&str>, if_none_match: Option<&str>| Wanted {
            range: Some(Wish::From(1)),
            if_range: if_range.map(str::to_owned),
            if_none_match: if_none_match.map(str::to_owned),
        };
        assert!(wanted(None, None).range("\"a\"").is_some() && wanted(Some("\"a\""), None).range("\"a\"").is_some());
        assert!(wanted(Some("\"b\""), None).range("\"a\"").is_none());
        for known in ["\"a\"", "W/\"a\"", "\"x\", \"a\"", "*"] {
            assert!(wanted(None, Some(known)).is_known("\"a\""), "{known}");
        }
        assert!(!wanted(None, Some("\"b\"")).is_known("\"a\"") && !wanted(None, None).is_known("\"a\""));
    }
}
