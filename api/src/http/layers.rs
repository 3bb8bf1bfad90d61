//! What every request passes through: observation, a time limit, a net for panics, authentication.

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use aide::OperationInput;
use anyhow::anyhow;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, FORWARDED};
use axum::http::header::{HeaderName, REFERRER_POLICY, VIA, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tower_http::compression::{DefaultPredicate, Predicate};
use tracing::{Instrument, debug, field, info_span};
use tstr_shared::error::{ErrorCode, Invalid};

use super::openapi::WithoutParameters;
use super::{App, MAX_ADDRESS, PREFIX, PUBLIC, PUBLIC_CALLS, error, extract, metrics, sessions, uploads};
use crate::auth::Caller;
use crate::error::{Error, Result};

/// How long a handler may work before its answer begins. A wait that the client asked for comes on top of it.
const HANDLER_TIME: Duration = Duration::from_secs(30);

/// How long one may take that takes in a report: the largest, over a slow line.
const UPLOAD_TIME: Duration = Duration::from_secs(300);

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The id under which the log knows a request: the client's `X-Request-Id`, or a new one. Every answer carries it.
#[derive(Clone)]
pub(super) struct TraceId(pub(super) String);

impl TraceId {
    /// Takes the client's id over if it is harmless in a log.
    fn of(headers: &HeaderMap) -> Self {
        let harmless = |id: &&str| {
            (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let given = headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok()).filter(harmless);
        Self(given.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned))
    }
}

impl<S: Sync> FromRequestParts<S> for TraceId {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let id = parts.extensions.get::<Self>().cloned();
        id.ok_or_else(|| Error::internal(anyhow!("the observing layer is missing")))
    }
}

impl OperationInput for TraceId {}

/// Marks a response whose pieces must reach the client as they come.
#[derive(Clone, Copy)]
pub(super) struct Live;

/// Marks a request of a peer on this host that asks for metrics without a token.
#[derive(Clone, Copy)]
pub(super) struct LocalPeer;

/// Gives each request its id, its span and its metrics; completes failed answers; sets the headers of all answers.
pub(super) async fn observe(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let trace_id = TraceId::of(request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let path = request.uri().path().to_owned();
    let span = info_span!("http", %method, route, trace.id = trace_id.0, status = field::Empty);
    request.extensions_mut().insert(trace_id.clone());
    let work = async {
        let response = match request.uri().path_and_query() {
            Some(address) if address.as_str().len() > MAX_ADDRESS => too_long().into_response(),
            _ => next.run(request).await,
        };
        let mut response = error::finish(response, &path, &trace_id.0);
        set_headers(response.headers_mut(), &trace_id);
        let (status, took) = (response.status(), started.elapsed());
        tracing::Span::current().record("status", status.as_u16());
        debug!("{method} {route} answered {status} after {} ms", took.as_millis());
        metrics::count(&method, &route, status, took);
        response
    };
    work.instrument(span).await
}

fn too_long() -> Error {
    Error::new(ErrorCode::TooLarge, format!("the address is longer than {MAX_ADDRESS} bytes"))
}

/// Sets the headers of every answer; those that a handler has set stay.
fn set_headers(headers: &mut HeaderMap, trace_id: &TraceId) {
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(&trace_id.0) {
        headers.insert(X_REQUEST_ID, id);
    }
}

/// Ends handlers that take too long or that panic.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let wait = extract::preferred_wait(request.headers()).unwrap_or_default();
    let route = request.extensions().get::<MatchedPath>().and_then(|route| route.as_str().strip_prefix(PREFIX));
    let time = if route == Some(uploads::ROUTE) { UPLOAD_TIME } else { HANDLER_TIME };
    // A handler shares nothing that a panic could leave half changed: its transaction is rolled back.
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(time + wait, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Error::internal(anyhow!("a handler panicked")).into_response(),
        Err(_) => Error::unavailable(anyhow!("there was no answer in time")).into_response(),
    }
}

/// Lets only requests with a valid token or session pass, and those that [`PUBLIC`] and [`PUBLIC_CALLS`] name.
pub(super) async fn authenticate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    if is_public(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    if is_local_scrape(&request) {
        request.extensions_mut().insert(LocalPeer);
        return next.run(request).await;
    }
    let (method, uri) = (request.method().clone(), request.uri().clone());
    match caller(&app, request.headers(), &method, &uri).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

/// Finds out who asks. A bearer counts before a cookie, which browsers send by themselves.
async fn caller(app: &App, headers: &HeaderMap, method: &Method, uri: &Uri) -> Result<Caller> {
    match sessions::cookie(headers) {
        Some(session) if !headers.contains_key(AUTHORIZATION) => {
            let caller = app.ops.authenticate_session(session).await?;
            if !method.is_safe() {
                sessions::from_own_page(headers, uri)?;
            }
            Ok(caller)
        }
        _ => app.ops.authenticate(bearer(headers)?).await,
    }
}

/// Refuses parameters where an operation takes none; those that take some refuse the others by themselves.
pub(super) async fn refuse_parameters(
    State(without): State<WithoutParameters>,
    request: Request,
    next: Next,
) -> Response {
    let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    if !route.is_some_and(|route| without.contains(&(method, route))) {
        return next.run(request).await;
    }
    let mut invalid = Invalid::default();
    for (name, _) in form_urlencoded(request.uri().query().unwrap_or_default()) {
        invalid.add(name, "unknown parameter; this address takes none");
    }
    match invalid.into_result() {
        Ok(()) => next.run(request).await,
        Err(invalid) => Error::invalid(invalid).into_response(),
    }
}

/// Reads the pairs of a query; one that cannot be read is a parameter of that text.
fn form_urlencoded(query: &str) -> Vec<(String, String)> {
    serde_html_form::from_str(query).unwrap_or_else(|_| vec![(query.to_owned(), String::new())])
}

fn is_public(method: &Method, path: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && PUBLIC.contains(&path)
        || PUBLIC_CALLS.contains(&(method.as_str(), path))
}

/// Tells whether a request without a token asks for metrics from this very host, and not through a proxy on it.
fn is_local_scrape(request: &Request) -> bool {
    let headers = request.headers();
    let relayed = [AUTHORIZATION, FORWARDED, VIA, X_FORWARDED_FOR].iter().any(|name| headers.contains_key(name));
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let local = peer.is_some_and(|ConnectInfo(peer)| is_loopback(peer.ip()));
    request.method() == Method::GET && request.uri().path() == metrics::PATH && local && !relayed
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Reads the token. It is taken from this header only: an address ends up in logs and histories.
fn bearer(headers: &HeaderMap) -> Result<&str> {
    let fault = |message: &str| Error::new(ErrorCode::Unauthenticated, message.to_owned());
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return Err(fault("the request needs one header 'Authorization: Bearer …'"));
    };
    let value = value.to_str().map_err(|_| fault("the token has characters that no token has"))?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => Ok(token.trim()),
        _ => Err(fault("the header 'Authorization' is not of the form 'Bearer …'")),
    }
}

/// Reduces `Accept-Encoding` to what the compression can do: a header that refuses everything would else turn an
/// answer into a 406 after the work was done.
pub(super) async fn accept_only_gzip(mut request: Request) -> Request {
    let headers = request.headers_mut();
    let wants = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|list| {
        list.split(',').any(|one| {
            let mut parts = one.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
            named && !parts.any(|p| p.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0)))
        })
    });
    headers.remove(ACCEPT_ENCODING);
    if wants {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    request
}

/// Says which answers are compressed: large ones that nobody follows.
pub(super) fn compressible() -> impl Predicate {
    let followed = |_: StatusCode, _: Version, _: &HeaderMap, ext: &Extensions| ext.get::<Live>().is_none();
    DefaultPredicate::new().and(followed)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_token_is_read_from_one_bearer_header() {
        for good in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(bearer(&headers(&[("authorization", good)])).unwrap(), "abc", "{good}");
        }
        for bad in ["", "abc", "Bearer", "Bearer ", "Basic abc", "Bearerabc"] {
            let error = bearer(&headers(&[("authorization", bad)])).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unauthenticated, "{bad}");
        }
        assert!(bearer(&HeaderMap::new()).is_err());
        assert!(bearer(&headers(&[("authorization", "Bearer a"), ("authorization", "Bearer b")])).is_err());
    }

    #[test]
    fn only_reading_the_listed_addresses_is_public() {
        assert!(is_public(&Method::GET, "/livez") && is_public(&Method::HEAD, "/version"));
        assert!(is_public(&Method::POST, "/api/v1/session") && is_public(&Method::DELETE, "/api/v1/session"));
        for (method, path) in [
            (Method::POST, "/livez"),
            (Method::GET, "/livez/"),
            (Method::GET, "//livez"),
            (Method::GET, "/livez/../api/v1/tokens"),
            (Method::GET, "/metrics"),
            (Method::GET, "/api/v1/identity"),
            (Method::GET, "/api/v1/session"),
            (Method::POST, "/api/v1/session/codes"),
            (Method::OPTIONS, "/docs"),
        ] {
            assert!(!is_public(&method, path), "{method} {path}");
        }
    }

    #[test]
    fn metrics_are_open_to_this_host_only_and_not_through_a_proxy() {
        let asks = |peer: Option<&str>, path: &str, header: Option<&'static str>| {
            let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
            if let Some(peer) = peer {
                request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer.parse().unwrap()));
            }
            if let Some(header) = header {
                request.headers_mut().insert(HeaderName::from_static(header), HeaderValue::from_static("x"));
            }
            is_local_scrape(&request)
        };
        for peer in ["127.0.0.1:5", "[::1]:5", "[::ffff:127.0.0.1]:5"] {
            assert!(asks(Some(peer), "/metrics", None), "{peer}");
        }
        assert!(!asks(None, "/metrics", None));
        assert!(!asks(Some("10.0.0.1:5"), "/metrics", None));
        assert!(!asks(Some("127.0.0.1:5"), "/api/v1/identity", None));
        for header in ["x-forwarded-for", "forwarded", "via", "authorization"] {
            assert!(!asks(Some("127.0.0.1:5"), "/metrics", Some(header)), "{header}");
        }
    }

    #[test]
    fn an_id_that_could_forge_a_log_line_is_replaced() {
        assert_eq!(TraceId::of(&headers(&[("x-request-id", "abc-1.2_3")])).0, "abc-1.2_3");
        for bad in ["", "a b", "a\"b", &"x".repeat(129)] {
            assert_ne!(TraceId::of(&headers(&[("x-request-id", bad)])).0, bad);
        }
    }

    #[tokio::test]
    async fn no_accept_encoding_can_refuse_every_answer() {
        for (given, left) in [
            ("gzip, br", Some("gzip")),
            ("br;q=1, GZIP;q=0.5", Some("gzip")),
            ("gzip;q=0, identity;q=0", None),
            ("identity;q=0", None),
            ("br", None),
        ] {
            let request = Request::builder().header(ACCEPT_ENCODING, given).body(Body::empty()).unwrap();
            let request = accept_only_gzip(request).await;
            assert_eq!(request.headers().get(ACCEPT_ENCODING).map(|v| v.to_str().unwrap()), left, "{given}");
        }
    }
}
