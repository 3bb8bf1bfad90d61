//! The HTTP client: one place that knows addresses, headers, retries and how a problem becomes a failure.
//!
//! Every request may be repeated: reads by nature, writes because each POST carries an `Idempotency-Key` of its own, which
//! is the same in each try. A connection that fails and an answer that says "not now" are tried three times.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, redirect};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tstr_shared::error::{ErrorCode, Problem};
use uuid::Uuid;

use crate::exit::{Exit, Failure, Outcome};
use crate::output::typed;
use crate::profile::{Profile, is_local};

/// How often a request is tried.
const TRIES: u32 = 3;
/// How long one try may take, beyond what the server was asked to wait.
const TIMEOUT: Duration = Duration::from_secs(35);
/// How long one try may take that uploads a file.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(305);
/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest that a server may ask us to wait before the next try.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);
/// The largest answer that is read as a whole.
const MAX_ANSWER: usize = 256 << 20;
/// The largest page that a server gives.
const LARGEST_PAGE: usize = 1000;
/// How a log is wanted.
const JSON_LINES: &str = "application/x-ndjson, application/jsonl, application/json;q=0.9";

/// A request to be made.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: Vec<String>,
    query: Vec<(String, String)>,
    body: Option<Value>,
    file: Option<Vec<u8>>,
    wait: Option<Duration>,
}

impl Call {
    fn new(method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(|step| (*step).to_owned()).collect();
        Self { method, path, query: Vec::new(), body: None, file: None, wait: None }
    }

    /// Makes a GET request; the path's steps are escaped.
    pub fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// Makes a POST request.
    pub fn post(path: &[&str]) -> Self {
        Self::new(Method::POST, path)
    }

    /// Makes a PUT request.
    pub fn put(path: &[&str]) -> Self {
        Self::new(Method::PUT, path)
    }

    /// Makes a PATCH request.
    pub fn patch(path: &[&str]) -> Self {
        Self::new(Method::PATCH, path)
    }

    /// Makes a DELETE request.
    pub fn delete(path: &[&str]) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Adds a parameter.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds a parameter where there is a value.
    pub fn with_some<T: ToString>(self, name: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds a parameter for each value.
    pub fn with_each<T: ToString>(self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        values.into_iter().fold(self, |call, value| call.with(name, value))
    }

    /// Adds a body.
    pub fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Adds the bytes of a file as the body.
    pub fn file(mut self, bytes: Vec<u8>) -> Self {
        self.file = Some(bytes);
        self
    }

    /// Asks the server to answer late, when there is something to tell.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }
}

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    withheld: Option<String>,
    has_token: bool,
}

impl Client {
    /// Makes a client; connects when the first request is made.
    pub fn new(profile: &Profile) -> Outcome<Self> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &profile.token {
            let bearer = HeaderValue::from_str(&format!("Bearer {}", token.reveal()));
            let mut bearer = bearer.map_err(|_| Failure::new(Exit::Denied, "the token cannot be sent"))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        // A proxy of the environment has no business on the way to this machine.
        let builder = reqwest::Client::builder();
        let http = if is_local(&profile.server) { builder.no_proxy() } else { builder }
            .user_agent(concat!("tstr/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            // A redirect would send the token where nobody named.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(15))
            .build()
            .map_err(|error| Failure::new(Exit::Error, format!("cannot make an HTTP client: {}", causes(&error))))?;
        let (base, withheld) = (profile.server.clone(), profile.withheld.clone());
        Ok(Self { http, base, withheld, has_token: profile.token.is_some() })
    }

    /// Makes a request and returns the JSON that it is answered with; null where there is none.
    pub async fn send(&self, call: &Call) -> Outcome<Value> {
        let key = (call.method == Method::POST).then(new_key);
        let mut tries = 0;
        loop {
            tries += 1;
            let (failure, pause) = match self.try_once(call, key.as_deref()).await {
                Ok(value) => return Ok(value),
                // The thing is gone: by an earlier try whose answer was lost.
                Err((failure, _)) if tries > 1 && call.method == Method::DELETE && failure.exit() == Exit::NotFound => {
                    return Ok(Value::Null);
                }
                Err(failed) => failed,
            };
            match pause {
                Some(pause) if tries < TRIES => tokio::time::sleep(pause.max(backoff(tries))).await,
                _ => return Err(failure),
            }
        }
    }

    /// Makes a request and reads the answer as a type.
    pub async fn fetch<T: DeserializeOwned>(&self, call: &Call) -> Outcome<T> {
        typed(&self.send(call).await?)
    }

    /// Follows the pages of a list up to a number of items; tells whether there are more.
    pub async fn list(&self, call: &Call, limit: Option<usize>) -> Outcome<(Vec<Value>, bool)> {
        let size = limit.map_or(LARGEST_PAGE, |limit| limit.clamp(1, LARGEST_PAGE));
        let mut items: Vec<Value> = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = call.clone().with("page_size", size).with_some("page_token", token.take());
            let mut page = self.send(&page).await?;
            let Some(Value::Array(found)) = page.get_mut("items").map(Value::take) else {
                return Err(Failure::new(Exit::Error, "the server's answer is not a page of a list"));
            };
            items.extend(found);
            token = page.get("next_page_token").and_then(Value::as_str).map(str::to_owned);
            let is_full = limit.is_some_and(|limit| items.len() >= limit);
            if token.is_none() || is_full {
                let more = token.is_some() || limit.is_some_and(|limit| items.len() > limit);
                items.truncate(limit.unwrap_or(usize::MAX));
                return Ok((items, more));
            }
        }
    }

    /// Opens a stream of JSON lines. One try: who reads it knows where to go on.
    pub async fn stream(&self, call: &Call) -> Outcome<Response> {
        self.open(call, JSON_LINES).await
    }

    /// Opens a stream of bytes of any kind. One try.
    pub async fn bytes(&self, call: &Call) -> Outcome<Response> {
        self.open(call, "*/*").await
    }

    /// Opens a stream of events, behind the one of an id. One try.
    pub async fn events(&self, call: &Call, last: Option<&str>) -> Outcome<Response> {
        let request = self.http.request(call.method.clone(), self.url(call)).header(ACCEPT, "text/event-stream");
        self.opened(match last {
            Some(last) => request.header("last-event-id", last),
            None => request,
        })
        .await
    }

    async fn open(&self, call: &Call, accept: &'static str) -> Outcome<Response> {
        self.opened(self.http.request(call.method.clone(), self.url(call)).header(ACCEPT, accept)).await
    }

    async fn opened(&self, request: RequestBuilder) -> Outcome<Response> {
        let response = tokio::time::timeout(TIMEOUT, request.send()).await;
        let response = response.map_err(|_| self.silent())?.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refused(response).await.0) }
    }

    /// Returns the next piece of a stream, or none at its end.
    pub async fn piece(&self, response: &mut Response) -> Outcome<Option<Vec<u8>>> {
        let piece = response.chunk().await.map_err(|error| self.unreachable(&error))?;
        Ok(piece.map(|piece| piece.to_vec()))
    }

    fn url(&self, call: &Call) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut steps) = url.path_segments_mut() {
            steps.pop_if_empty().extend(["api", "v1"]).extend(&call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        url
    }

    /// Tries a request once. A failure comes with the time to wait where another try may help.
    async fn try_once(&self, call: &Call, key: Option<&str>) -> Result<Value, (Failure, Option<Duration>)> {
        let again = Some(Duration::ZERO);
        let mut request = self.http.request(call.method.clone(), self.url(call)).header(ACCEPT, "application/json");
        let time = if call.file.is_some() { UPLOAD_TIMEOUT } else { TIMEOUT };
        request = request.timeout(time + call.wait.unwrap_or_default());
        if let Some(wait) = call.wait {
            request = request.header("prefer", format!("wait={}", wait.as_secs()));
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        if let Some(file) = &call.file {
            request = request.header(CONTENT_TYPE, "application/octet-stream").body(file.clone());
        }
        let mut response = request.send().await.map_err(|error| (self.unreachable(&error), again))?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| (self.unreachable(&error), again))? {
            body.extend_from_slice(&piece);
            if body.len() > MAX_ANSWER {
                return Err((Failure::new(Exit::Error, "the server's answer is too large"), None));
            }
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|error| {
            let failure = Failure::new(Exit::Error, format!("{} does not answer with JSON: {error}", self.base));
            (failure.hint("is this the address of a tstr API?"), None)
        })
    }

    /// Makes a failure of an answer that is no success.
    async fn refused(&self, response: Response) -> (Failure, Option<Duration>) {
        let status = response.status();
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let asked = asked.map(Duration::from_secs);
        let body = response.bytes().await.unwrap_or_default();
        let failure = match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Failure::problem(problem),
            Err(_) if status.is_redirection() => {
                Failure::new(Exit::Error, format!("{} redirects elsewhere; name the right address yourself", self.base))
            }
            Err(_) => Failure::new(Exit::of_status(status.as_u16()), format!("{} answered {status}", self.base)),
        };
        let busy =
            matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT);
        let again = busy || failure.code() == Some(ErrorCode::IdempotencyInProgress);
        let pause = again.then(|| asked.unwrap_or_default()).filter(|pause| *pause <= LONGEST_RETRY_AFTER);
        (self.advise(failure), pause)
    }

    fn advise(&self, failure: Failure) -> Failure {
        match (&self.withheld, failure.exit()) {
            (Some(why), Exit::Denied) => failure.hint(why),
            (None, Exit::Denied) if !self.has_token => {
                failure.hint("no token was sent: tstr ctl login --token-stdin, or TSTR_TOKEN_FILE, or --token-file")
            }
            _ => failure,
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        if error.is_timeout() && !error.is_connect() {
            return self.silent();
        }
        let failure = Failure::new(Exit::Unreachable, format!("cannot reach {}: {}", self.base, causes(error)));
        failure.hint("does the server run there? --server or TSTR_SERVER names another")
    }

    fn silent(&self) -> Failure {
        Failure::new(Exit::Unreachable, format!("{} did not answer in time", self.base))
    }
}

/// Draws an idempotency key, in the form of a structured-field string.
fn new_key() -> String {
    format!("\"{}\"", Uuid::new_v4())
}

/// Returns how long to wait after the `tries`th try that failed: a quarter of a second, doubling, at most 15 seconds.
pub fn backoff(tries: u32) -> Duration {
    let base = Duration::from_millis(250) * 2u32.pow(tries.saturating_sub(1).min(6));
    // Half of it is drawn by lot, so that many clients do not come back at once.
    let lot = u32::from(Uuid::new_v4().as_bytes()[0]);
    (base / 2 + base * lot / 512).min(Duration::from_secs(15))
}

/// Returns the innermost cause, which is what people understand: `connection refused`, not `error sending request`.
fn causes(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::parse_server;

    fn client(server: &str) -> Client {
        let server = parse_server(server).unwrap();
        Client::new(&Profile { server, namespace: "default".into(), token: None, withheld: None }).unwrap()
    }

    #[test]
    fn steps_of_a_path_cannot_become_other_paths() {
        let call = Call::get(&["namespaces", "a/../b", "tests", "x y?z#ü"]).with("label", "k=a&b");
        let url = client("http://h:1/base").url(&call);
        assert_eq!(
            url.as_str(),
            "http://h:1/base/api/v1/namespaces/a%2F..%2Fb/tests/x%20y%3Fz%23%C3%BC?label=k%3Da%26b"
        );
    }

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        for tries in 1..40 {
            let pause = backoff(tries);
            assert!(pause >= Duration::from_millis(125) && pause <= Duration::from_secs(15), "{tries}: {pause:?}");
        }
        assert!(backoff(6) >= Duration::from_secs(4));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_unreachable_and_says_why() {
        // Port 9 of this machine: nobody listens there, and the answer is a refusal at once.
        let failure = client("http://127.0.0.1:9").send(&Call::get(&["identity"])).await.unwrap_err();
        assert_eq!(failure.exit(), Exit::Unreachable);
        assert!(failure.to_string().contains("refused"), "{failure}");
    }
}
