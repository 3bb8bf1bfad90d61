//! People who call the JSON API, each with a token or without.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Somebody who calls.
#[derive(Clone)]
pub struct Person {
    client: reqwest::Client,
    url: String,
    token: Option<String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// What was asked, for messages.
    pub asked: String,
}

impl Person {
    /// Makes somebody who calls this server with this token.
    pub fn new(url: impl Into<String>, token: Option<String>) -> Self {
        // Without certificates to trust: reading those of the machine takes longer than most requests.
        let client = reqwest::Client::builder().tls_certs_only([]).build().expect("make a client");
        Self { client, url: url.into(), token }
    }

    /// The same person at another replica.
    pub fn at(&self, url: impl Into<String>) -> Self {
        Self { url: url.into(), ..self.clone() }
    }

    /// The same connection with another token.
    pub fn with_token(&self, token: Option<String>) -> Self {
        Self { token, ..self.clone() }
    }

    /// Returns the token.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Begins a request.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request and reads the answer; of a stream of events, which has no end, only its head.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().expect("build the request");
        let asked = format!("{} {}", request.method(), request.url().path());
        let response = self.client.execute(request).await.unwrap_or_else(|error| panic!("{asked}: {error}"));
        let (status, headers) = (response.status(), response.headers().clone());
        let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("text/event-stream") {
            return Answer { status, headers, body: Vec::new(), asked };
        }
        let body = response.bytes().await.unwrap_or_else(|error| panic!("{asked}: {error}")).to_vec();
        Answer { status, headers, body, asked }
    }

    /// Asks for a thing.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// Posts a JSON body.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Puts a JSON body.
    pub async fn put(&self, path: &str, body: &impl Serialize) -> Answer {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// Patches with a JSON body.
    pub async fn patch(&self, path: &str, body: &impl Serialize) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    /// Registers a test in the namespace `default`.
    pub async fn register(&self, test: &Value) -> Value {
        self.post("/api/v1/namespaces/default/tests", test).await.expect(201)
    }

    /// Runs a test of the namespace `default`; returns the ids of its runs.
    pub async fn trigger(&self, test: &str) -> Vec<String> {
        self.trigger_in("default", test).await
    }

    /// Runs a test of a namespace; returns the ids of its runs.
    pub async fn trigger_in(&self, namespace: &str, test: &str) -> Vec<String> {
        let triggered = self.request(Method::POST, &format!("/api/v1/namespaces/{namespace}/tests/{test}/runs"));
        let triggered = self.send(triggered).await.expect(201);
        let runs = triggered["runs"].as_array().expect("the runs").iter();
        runs.map(|run| run["id"].as_str().expect("an id").to_owned()).collect()
    }

    /// Reads a run.
    pub async fn run(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/runs/{id}")).await.expect(200)
    }

    /// Deletes a thing.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }
}

impl Answer {
    /// Returns the body as JSON, if the status is this one.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.asked, self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Returns the body as JSON.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{}: {error}: {}", self.asked, self.text()))
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns a header as text; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns the problem document, if the status is this one; fails unless it is whole.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        let problem = self.expect(status);
        let told = format!("{}: {}", self.asked, self.text());
        assert_eq!(self.header("content-type"), "application/problem+json", "{told}");
        assert_eq!(self.header("cache-control"), "no-store", "{told}");
        let code = problem["code"].as_str().expect("a code");
        let kind = format!("https://tstr.dev/problems/{}", code.replace('_', "-"));
        assert_eq!(
            (problem["type"].as_str(), problem["status"].as_u64()),
            (Some(kind.as_str()), Some(status.into())),
            "{told}"
        );
        for text in ["title", "detail"] {
            assert!(problem[text].as_str().is_some_and(|text| !text.is_empty()), "{text} of {told}");
        }
        assert!(problem["retryable"].is_boolean(), "{told}");
        let path = self.asked.split_once(' ').map(|(_, path)| path);
        assert_eq!(problem["instance"].as_str(), path, "{told}");
        assert_eq!(problem["trace_id"].as_str(), Some(self.header("x-request-id")), "{told}");
        problem
    }

    /// Returns the problem document, if status and code are these.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        let problem = self.problem(status);
        assert_eq!(problem["code"], code, "{}: {}", self.asked, self.text());
        problem
    }

    /// Returns where the faults of the input are, if it was refused as invalid.
    #[track_caller]
    pub fn faults(&self) -> Vec<String> {
        let problem = self.refused(422, "invalid");
        let errors = problem["errors"].as_array().expect("the faults");
        errors.iter().map(|fault| fault["pointer"].as_str().expect("a pointer").to_owned()).collect()
    }
}
