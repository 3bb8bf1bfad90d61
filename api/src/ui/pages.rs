//! The pages: which file answers an address, in which form, and how long it may be kept.
//!
//! Names below `/assets/` carry a hash of their content and are kept for ever; everything else is asked for again and
//! answered by 304 while it is the same. An address that is no file is a route of the UI and gets its one page, if whoever
//! asks can read a page; below `/assets/` it is a part of another build, and not found, which the UI takes as «reload».

use anyhow::{Context, ensure};
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::config::BasePath;
use super::files::{File, Files, INDEX};

/// How the page says which path it lies under; the path of the server is put in its place.
const BASE: &str = "<base href=\"/\"";

const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "no-cache";

/// What stands there in a build without pages.
const NOT_BUILT: &str = "<!doctype html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><base href=\"/\"><title>tstr</title></head>
<body>
<h1>This build of tstr has no web UI within it</h1>
<p>Build the UI, then tstr with it (Node.js 20 or newer is needed):</p>
<pre>./scripts/ui-build
cargo build --release --features tstr/embed-ui</pre>
<p><code>./scripts/up</code> does both. With <code>tstr ui --files ui/dist</code> this program serves a UI that was built
already. The API is here all the same: <a href=\"docs\">its documentation</a>.</p>
</body>
</html>
";

/// All pages.
pub(super) struct Pages {
    files: Option<Files>,
    /// The page that all routes begin with, which knows its base path.
    index: File,
}

impl Pages {
    /// Prepares the pages for a base path.
    pub(super) fn new(files: Option<Files>, base: &BasePath) -> anyhow::Result<Self> {
        let not_built = File {
            plain: Bytes::from_static(NOT_BUILT.as_bytes()),
            brotli: None,
            gzip: None,
            hash: "not-built".to_owned(),
            media_type: "text/html; charset=utf-8",
        };
        let index = based(files.as_ref().and_then(|files| files.get(INDEX)).unwrap_or(&not_built), base)?;
        Ok(Self { files, index })
    }

    /// Answers a request for an address below the base path.
    pub(super) fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let allow = [(ALLOW, HeaderValue::from_static("GET, HEAD"))];
            return (StatusCode::METHOD_NOT_ALLOWED, allow, "only GET and HEAD are answered here\n").into_response();
        }
        let name = path.strip_prefix('/').unwrap_or(path);
        if name != INDEX
            && let Some(file) = self.files.as_ref().and_then(|files| files.get(name))
        {
            let kept = if name.starts_with("assets/") { FOR_EVER } else { ASK_AGAIN };
            return served(file, kept, headers, "Accept-Encoding");
        }
        if name.starts_with("assets/") || !accepts_html(headers) {
            let kept = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
            return (StatusCode::NOT_FOUND, kept, "there is no such file\n").into_response();
        }
        served(&self.index, ASK_AGAIN, headers, "Accept, Accept-Encoding")
    }
}

/// Writes the base path into the page.
fn based(index: &File, base: &BasePath) -> anyhow::Result<File> {
    if base.as_str().is_empty() {
        return Ok(index.clone());
    }
    let text = std::str::from_utf8(&index.plain).with_context(|| format!("{INDEX} is no text"))?;
    ensure!(text.matches(BASE).count() == 1, "{INDEX} does not say {BASE}…>, so it works at the root only");
    Ok(index.with_content(text.replace(BASE, &format!("<base href=\"{}/\"", base.as_str()))))
}

/// Answers with a file, in the smallest form that is understood.
fn served(file: &File, kept: &'static str, headers: &HeaderMap, varies: &'static str) -> Response {
    let (content, encoding) = match (&file.brotli, &file.gzip) {
        (Some(content), _) if takes(headers, ACCEPT_ENCODING, &["br"]) => (content, Some("br")),
        (_, Some(content)) if takes(headers, ACCEPT_ENCODING, &["gzip"]) => (content, Some("gzip")),
        _ => (&file.plain, None),
    };
    let tag = format!("\"{}{}\"", file.hash, encoding.map(|word| format!("-{word}")).unwrap_or_default());
    let is_known = items(headers, IF_NONE_MATCH).any(|known| known.trim_start_matches("W/") == tag || known == "*");
    let mut response =
        if is_known { StatusCode::NOT_MODIFIED.into_response() } else { content.clone().into_response() };
    let answered = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answered.insert(ETAG, tag);
    }
    answered.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    answered.insert(VARY, HeaderValue::from_static(varies));
    answered.insert(CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    if let Some(encoding) = encoding {
        answered.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// Tells whether whoever asks can read a page; who does not say is taken to.
fn accepts_html(headers: &HeaderMap) -> bool {
    !headers.contains_key(ACCEPT) || takes(headers, ACCEPT, &["text/html", "text/*", "*/*"])
}

/// Tells whether a list header names one of these without refusing it.
fn takes(headers: &HeaderMap, name: HeaderName, wanted: &[&str]) -> bool {
    items(headers, name).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|word| wanted.iter().any(|wanted| word.eq_ignore_ascii_case(wanted)));
        named && !parts.any(|p| p.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0)))
    })
}

fn items(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|list| list.split(',')).map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::files::tests::files;
    use super::*;

    const PAGE: &str = "<head><base href=\"/\" /><script src=\"./theme.js\"></script></head>";

    fn pages(base: &str) -> Pages {
        let given = [
            (INDEX, PAGE),
            ("theme.js", "theme"),
            ("assets/a-1.js", "plain"),
            ("assets/a-1.js.br", "brotli"),
            ("assets/a-1.js.gz", "gzip"),
        ];
        Pages::new(Some(files(&given).unwrap()), &base.parse().unwrap()).unwrap()
    }

    fn ask(pages: &Pages, path: &str, headers: &[(HeaderName, &str)]) -> Response {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        pages.answer(&Method::GET, path, &headers)
    }

    fn header(response: &Response, name: HeaderName) -> &str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    async fn text(response: Response) -> String {
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_smallest_form_that_is_understood_is_answered() {
        let pages = pages("/");
        for (accepted, encoding, content) in [
            ("gzip, deflate, br, zstd", "br", "brotli"),
            ("gzip;q=1.0, br;q=0", "gzip", "gzip"),
            ("identity", "", "plain"),
            ("", "", "plain"),
        ] {
            let answer = ask(&pages, "/assets/a-1.js", &[(ACCEPT_ENCODING, accepted)]);
            assert_eq!(header(&answer, CONTENT_ENCODING), encoding, "{accepted}");
            assert_eq!(header(&answer, CACHE_CONTROL), FOR_EVER);
            assert_eq!(header(&answer, VARY), "Accept-Encoding");
            assert_eq!(text(answer).await, content);
        }
    }

    #[tokio::test]
    async fn a_route_gets_the_page_and_a_missing_part_of_a_build_does_not() {
        let pages = pages("/");
        for accept in ["text/html,application/xhtml+xml;q=0.9", "*/*"] {
            let answer = ask(&pages, "/ns/shop/runs/x.y", &[(ACCEPT, accept)]);
            assert_eq!((answer.status(), header(&answer, CACHE_CONTROL)), (StatusCode::OK, ASK_AGAIN));
            assert_eq!(text(answer).await, PAGE);
        }
        assert_eq!(text(ask(&pages, "/index.html", &[])).await, PAGE);
        for (path, accept) in
            [("/assets/gone-2.js", "*/*"), ("/assets/gone-2.js", "text/html"), ("/x", "application/json")]
        {
            assert_eq!(ask(&pages, path, &[(ACCEPT, accept)]).status(), StatusCode::NOT_FOUND, "{path} {accept}");
        }
        let posted = pages.answer(&Method::POST, "/", &HeaderMap::new());
        assert_eq!((posted.status(), header(&posted, ALLOW)), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
    }

    #[tokio::test]
    async fn what_is_known_is_not_sent_again() {
        let pages = pages("/");
        let tag = header(&ask(&pages, "/theme.js", &[]), ETAG).to_owned();
        for (known, status) in [(tag.as_str(), 304), (&format!("\"x\", W/{tag}"), 304), ("\"x\"", 200)] {
            assert_eq!(ask(&pages, "/theme.js", &[(IF_NONE_MATCH, known)]).status(), status, "{known}");
        }
    }

    #[tokio::test]
    async fn the_page_knows_the_path_that_it_lies_under() {
        let below = pages("/tools/tstr");
        let answer = ask(&below, "/", &[]);
        assert_ne!(header(&answer, ETAG), header(&ask(&pages("/"), "/", &[]), ETAG));
        assert_eq!(text(answer).await, PAGE.replace("href=\"/\"", "href=\"/tools/tstr/\""));
        let without = files(&[(INDEX, "<html>")]).unwrap();
        assert!(Pages::new(Some(without), &"/a".parse().unwrap()).is_err());
    }

    #[tokio::test]
    async fn a_build_without_a_ui_says_how_to_get_one() {
        let pages = Pages::new(None, &BasePath::default()).unwrap();
        let answer = ask(&pages, "/ns/a", &[(ACCEPT, "text/html")]);
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(text(answer).await.contains("scripts/ui-build"));
        assert_eq!(ask(&pages, "/assets/a.js", &[]).status(), StatusCode::NOT_FOUND);
    }
}
