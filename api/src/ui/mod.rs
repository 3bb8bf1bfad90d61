//! The web UI as a server of its own: pages from files that were built beforehand, and `/api` passed on to an API.
//!
//! Guarantees: no credential is added to what is passed on; every page carries the policy of [`headers`]; a stop ends the
//! streams that go through here, so that they hold up nobody. It holds no state, so any number may run side by side.
//! Left to others: everything behind `/api`, sign-in included (the API answers the cookies itself).

mod config;
mod files;
mod forward;
mod headers;
mod pages;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::config::{BasePath, Config};
pub use self::files::Files;
use self::forward::Forward;
use self::pages::Pages;

/// How long a stop waits for requests that are under way.
const DRAIN: Duration = Duration::from_secs(10);

/// What is passed on to the API; everything else is a page.
const PASSED_ON: &[&str] = &["/api", "/docs", "/version", "/readyz"];

/// A UI that serves.
pub struct Running {
    addr: SocketAddr,
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Running {
    /// Returns where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes no more requests, ends streams, and lets the other requests under way end.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(DRAIN, self.tracker.wait()).await.is_err() {
            tracing::warn!("requests to the UI were still under way after {DRAIN:?}");
        }
    }
}

/// Starts serving; returns when it listens.
///
/// # Errors
/// A setting is wrong, the files cannot be read, or the address is taken.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    config.check()?;
    let files = match &config.files {
        Some(folder) => Some(Files::read(folder)?),
        None => Files::embedded()?,
    };
    if files.is_none() {
        tracing::warn!("this build has no web UI within it: its pages say how to build one that has");
    }
    let stop = CancellationToken::new();
    let pages = Pages::new(files, &config.base_path)?;
    let forward = Forward::new(&config.api_base_url, config.base_path.clone(), stop.clone())?;
    let listener =
        TcpListener::bind(config.addr).await.with_context(|| format!("the UI cannot listen on {}", config.addr))?;
    let addr = listener.local_addr()?;
    let site = Arc::new(Site { base_path: config.base_path, pages, forward });
    let router = Router::new().fallback(answer).with_state(site);
    let tracker = TaskTracker::new();
    tracker.spawn(crate::http::serve(listener, router, stop.clone()));
    tracing::info!("the UI listens on http://{addr}");
    Ok(Running { addr, stop, tracker })
}

/// What requests are answered with.
struct Site {
    base_path: BasePath,
    pages: Pages,
    forward: Forward,
}

async fn answer(
    State(site): State<Arc<Site>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let path = request.uri().path();
    if site.base_path.is_without_slash(path) {
        // Relative addresses of a page go by the last slash of its own.
        let at_root = format!("{}/", site.base_path.as_str());
        return headers::of_page((StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, at_root)]), request.headers());
    }
    let path = site.base_path.strip(path).to_owned();
    if path == "/livez" && matches!(*request.method(), Method::GET | Method::HEAD) {
        return "ok".into_response();
    }
    if is_passed_on(&path) {
        return site.forward.pass_on(request, peer, &path).await;
    }
    headers::of_page(site.pages.answer(request.method(), &path, request.headers()), request.headers())
}

/// Tells whether a path belongs to the API.
fn is_passed_on(path: &str) -> bool {
    PASSED_ON.iter().any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Checks an address of an API; returns its parts.
fn base_url(text: &str) -> anyhow::Result<axum::http::uri::Parts> {
    let uri: axum::http::Uri = text.parse().with_context(|| format!("--api-base-url {text} is no address"))?;
    let parts = uri.into_parts();
    match (&parts.scheme, &parts.authority) {
        (Some(scheme), Some(_)) if ["http", "https"].contains(&scheme.as_str()) => {}
        _ => bail!("--api-base-url {text} is not of the form http://host:port or https://host"),
    }
    if parts.path_and_query.as_ref().is_some_and(|path| path.query().is_some()) {
        bail!("--api-base-url {text} must not have a query");
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_api_is_passed_on() {
        for path in ["/api", "/api/", "/api/v1/runs", "/docs", "/version", "/readyz"] {
            assert!(is_passed_on(path), "{path}");
        }
        for path in ["/", "/metrics", "/apis", "/api.js", "/assets/api/v1", "//api/v1", "/ns/api"] {
            assert!(!is_passed_on(path), "{path}");
        }
    }

    #[test]
    fn the_address_of_an_api_names_a_scheme_and_a_host() {
        for good in ["http://127.0.0.1:9090", "https://tstr.example", "http://h/tools/api/"] {
            assert!(base_url(good).is_ok(), "{good}");
        }
        for bad in ["127.0.0.1:9090", "ftp://h", "/api", "http://h/?x=1", ""] {
            assert!(base_url(bad).is_err(), "{bad}");
        }
    }
}
