//! Passes requests on to the API, from the same origin as the pages, byte for byte and as they come.
//!
//! Nothing is added but who asks, by what name and scheme, and below which path (`X-Forwarded-…`): cookies and tokens go
//! through as they are, so nobody gains a right by going through here. The path is passed on as it was written.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER};
use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, Version};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;
use tstr_shared::error::{ErrorCode, Problem};

use super::config::BasePath;
use crate::http::Patience;

/// How long the API may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection is kept for the next request: less than the API keeps an idle one.
const IDLE: Duration = Duration::from_secs(15);

/// How long a request that is under way at a stop may take until its answer begins: less than the stop waits for it, so that whoever
/// asks is told, and does not find the connection broken.
const GRACE: Duration = Duration::from_secs(8);

/// How long whoever reads events may take nothing of what is sent; the API sends something every 15 seconds.
const STALLED: Duration = Duration::from_secs(45);

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What belongs to one connection and not to the request.
const OF_A_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The way to the API.
pub(super) struct Forward {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    scheme: Scheme,
    authority: Authority,
    /// What stands before every path there.
    prefix: String,
    base_path: BasePath,
    stop: CancellationToken,
}

impl Forward {
    /// Prepares the way; nothing is asked yet.
    pub(super) fn new(api_base_url: &str, base_path: BasePath, stop: CancellationToken) -> anyhow::Result<Self> {
        let parts = super::base_url(api_base_url)?;
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            anyhow::bail!("{api_base_url} is no address");
        };
        let prefix = parts.path_and_query.map(|path| path.path().trim_end_matches('/').to_owned()).unwrap_or_default();
        let mut plain = HttpConnector::new();
        plain.enforce_http(false);
        plain.set_nodelay(true);
        plain.set_connect_timeout(Some(CONNECT));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let connector = match scheme == Scheme::HTTPS {
            true => HttpsConnectorBuilder::new().with_provider_and_platform_verifier(provider)?,
            // A machine without certificates is no obstacle where none is needed.
            false => HttpsConnectorBuilder::new().with_tls_config(
                ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()?
                    .with_root_certificates(RootCertStore::empty())
                    .with_no_client_auth(),
            ),
        };
        let connector = connector.https_or_http().enable_http1().wrap_connector(plain);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(IDLE).pool_timer(TokioTimer::new());
        Ok(Self { client: builder.build(connector), scheme, authority, prefix, base_path, stop })
    }

    /// Passes a request on, for `path` below the base path, and its answer back.
    pub(super) async fn pass_on(&self, request: Request, peer: SocketAddr, path: &str) -> Response {
        let uri = match self.uri(request.uri(), path) {
            Ok(uri) => uri,
            Err(error) => {
                tracing::debug!("{path} cannot be passed on: {error}");
                return problem(path, ErrorCode::NotFound, StatusCode::NOT_FOUND, "there is no such address");
            }
        };
        let (mut parts, body) = request.into_parts();
        let patience = parts.extensions.get::<Patience>().cloned();
        introduce(&mut parts.headers, parts.uri.authority(), peer, &self.base_path);
        (parts.uri, parts.version) = (uri, Version::HTTP_11);
        let answer = tokio::select! {
            biased;
            answer = self.client.request(Request::from_parts(parts, body)) => answer,
            () = self.grace_is_over() => return unavailable(path, "the UI is stopping"),
        };
        match answer {
            Ok(answer) => self.handed_back(answer.map(Body::new), patience),
            Err(error) => {
                tracing::warn!("the API at {} does not answer: {error}", self.authority);
                unavailable(path, "the API does not answer")
            }
        }
    }

    /// Waits until it is time to stop, and for as long as requests under way may go on.
    async fn grace_is_over(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    }

    fn uri(&self, asked: &Uri, path: &str) -> Result<Uri, axum::http::Error> {
        let query = asked.query().map(|query| format!("?{query}")).unwrap_or_default();
        let path: PathAndQuery = format!("{}{path}{query}", self.prefix).parse()?;
        Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone()).path_and_query(path).build()
    }

    /// Hands an answer back; one whose pieces come as they are made ends when it is time to stop.
    fn handed_back(&self, answer: Response, patience: Option<Patience>) -> Response {
        let (mut parts, body) = answer.into_parts();
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let (is_events, is_live) =
            (kind.starts_with("text/event-stream"), parts.headers.contains_key(X_ACCEL_BUFFERING));
        drop_those_of_a_connection(&mut parts.headers);
        if !is_live {
            return Response::from_parts(parts, body);
        }
        let cut = self.stop.clone().cancelled_owned();
        let pieces = body.into_data_stream().map_err(std::io::Error::other).take_until(Box::pin(cut));
        let stop = self.stop.clone();
        // Whoever reads events comes back by itself; any other answer must not look as if it were whole.
        let end = futures_util::stream::once(async move {
            let is_cut = stop.is_cancelled() && !is_events;
            is_cut.then(|| Err(std::io::Error::other("the UI is stopping")))
        });
        let pieces = pieces.chain(end.filter_map(async |end| end));
        let answer = Response::from_parts(parts, Body::from_stream(pieces));
        match patience {
            // Other live answers may be silent for as long as they like.
            Some(patience) if is_events => patience.watch(answer, STALLED),
            _ => answer,
        }
    }
}

/// Says who asks, by what name and scheme, and below which path. What a proxy in front has said stays.
fn introduce(headers: &mut HeaderMap, authority: Option<&Authority>, peer: SocketAddr, base_path: &BasePath) {
    drop_those_of_a_connection(headers);
    let named = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let host = headers.remove(HOST).or(named);
    if let Some(host) = host {
        headers.entry(X_FORWARDED_HOST).or_insert(host);
    }
    headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    match HeaderValue::from_str(base_path.as_str()) {
        Ok(path) if !path.is_empty() => headers.insert(X_FORWARDED_PREFIX, path),
        _ => headers.remove(X_FORWARDED_PREFIX),
    };
    let before: Vec<&str> = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let ip = peer.ip().to_canonical().to_string();
    let all = before.into_iter().chain([ip.as_str()]).collect::<Vec<_>>().join(", ");
    if let Ok(all) = HeaderValue::from_str(&all) {
        headers.insert(X_FORWARDED_FOR, all);
    }
}

fn drop_those_of_a_connection(headers: &mut HeaderMap) {
    let lists = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> =
        lists.flat_map(|list| list.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    named.iter().for_each(|name| drop(headers.remove(name)));
    OF_A_CONNECTION.iter().for_each(|name| drop(headers.remove(*name)));
}

fn unavailable(path: &str, detail: &str) -> Response {
    let mut response = problem(path, ErrorCode::Unavailable, StatusCode::SERVICE_UNAVAILABLE, detail);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Answers as the API does where it cannot itself.
fn problem(path: &str, code: ErrorCode, status: StatusCode, detail: &str) -> Response {
    let problem = Problem {
        kind: Problem::type_of(code),
        title: code.title().to_owned(),
        status: status.as_u16(),
        detail: detail.to_owned(),
        instance: Some(path.to_owned()),
        code,
        trace_id: None,
        errors: Vec::new(),
        retryable: code.is_retryable(),
    };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn introduced(given: &[(&'static str, &str)], base: &str) -> HeaderMap {
        let mut headers: HeaderMap =
            given.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect();
        introduce(&mut headers, None, "192.0.2.7:5".parse().unwrap(), &base.parse().unwrap());
        headers
    }

    #[test]
    fn who_asks_is_passed_on_and_what_belongs_to_the_connection_is_not() {
        let headers = introduced(
            &[("host", "tstr.example"), ("connection", "keep-alive, x-own"), ("x-own", "1"), ("cookie", "a=b")],
            "/tools",
        );
        let seen = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(seen("x-forwarded-host"), Some("tstr.example"));
        assert_eq!(seen("x-forwarded-proto"), Some("http"));
        assert_eq!(seen("x-forwarded-prefix"), Some("/tools"));
        assert_eq!(seen("x-forwarded-for"), Some("192.0.2.7"));
        assert_eq!(seen("cookie"), Some("a=b"));
        assert_eq!((seen("host"), seen("connection"), seen("x-own"), seen("authorization")), (None, None, None, None));
    }

    #[test]
    fn what_the_proxy_in_front_has_said_stays() {
        let headers = introduced(
            &[
                ("host", "127.0.0.1:8000"),
                ("x-forwarded-host", "tstr.example"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-for", "203.0.113.1"),
                ("x-forwarded-prefix", "/made-up"),
            ],
            "/",
        );
        let seen = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!((seen("x-forwarded-host"), seen("x-forwarded-proto")), (Some("tstr.example"), Some("https")));
        assert_eq!((seen("x-forwarded-for"), seen("x-forwarded-prefix")), (Some("203.0.113.1, 192.0.2.7"), None));
    }

    #[test]
    fn the_path_is_passed_on_as_it_was_written() {
        let stop = CancellationToken::new();
        let forward = Forward::new("http://api:9090/below/", BasePath::default(), stop).unwrap();
        let uri = |asked: &str| {
            let asked: Uri = asked.parse().unwrap();
            forward.uri(&asked, asked.path()).unwrap().to_string()
        };
        assert_eq!(uri("/api/v1/runs?q=a%20b&x="), "http://api:9090/below/api/v1/runs?q=a%20b&x=");
        assert_eq!(uri("/api/%2e%2e/metrics"), "http://api:9090/below/api/%2e%2e/metrics");
        assert_eq!(uri("/api/../metrics"), "http://api:9090/below/api/../metrics");
    }
}
