//! A client that makes things and remembers what it was told: the load of the fault harness.
//!
//! Every request carries an idempotency key, made of what it asks for and its mark, so that it can be repeated until somebody answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::checker::{Asked, History, Known};

/// How long an answer may take before the client takes it for lost.
const PATIENCE: Duration = Duration::from_secs(15);

/// A client of one or more addresses of the API.
pub struct Driver {
    http: reqwest::Client,
    urls: Vec<String>,
    turn: AtomicUsize,
    token: String,
    /// Everything that was asked, and what came of it.
    pub history: History,
}

impl Driver {
    /// Makes a client; it asks the addresses in turn.
    pub fn new(urls: Vec<String>, token: impl Into<String>) -> Self {
        let http = reqwest::Client::builder()
            .tls_certs_only([])
            .timeout(PATIENCE)
            // A balancer spreads connections, not requests.
            .pool_max_idle_per_host(0)
            .build()
            .expect("make a client");
        Self { http, urls, turn: AtomicUsize::new(0), token: token.into(), history: History::default() }
    }

    /// Asks once, at the next address.
    pub async fn ask(&self, asked: Asked, mark: &str, path: &str, body: &Value) -> Known {
        let url = &self.urls[self.turn.fetch_add(1, Ordering::Relaxed) % self.urls.len()];
        let request = self.http.post(format!("{url}{path}")).bearer_auth(&self.token).json(body);
        let key = format!("{asked:?}-{}", mark.replace(' ', "-"));
        let request = request.header("Idempotency-Key", format!("\"{key}\""));
        let known = match request.send().await {
            Err(_) => Known::Unknown,
            Ok(answer) => {
                let status = answer.status().as_u16();
                // An answer that breaks off is none.
                answer.json::<Value>().await.map_or(Known::Unknown, |body| understand(status, &body))
            }
        };
        self.history.note(asked, mark, known.clone());
        known
    }

    /// Asks until it is known what came of it; returns that, and how often it had to be asked again.
    pub async fn insist(&self, asked: Asked, mark: &str, path: &str, body: &Value) -> (Known, usize) {
        for again in 0..600 {
            match self.ask(asked, mark, path, body).await {
                Known::Unknown => tokio::time::sleep(Duration::from_millis(50)).await,
                known => return (known, again),
            }
        }
        panic!("{mark} was never answered");
    }

    /// Registers a test in the namespace `default`.
    pub async fn register(&self, test: &Value) {
        self.register_in("default", test).await;
    }

    /// Registers a test in a namespace.
    pub async fn register_in(&self, namespace: &str, test: &Value) {
        let name = test["name"].as_str().expect("a test has a name");
        let path = format!("/api/v1/namespaces/{namespace}/tests");
        let (known, _) = self.insist(Asked::Test, name, &path, test).await;
        assert_eq!(known, Known::Done(Vec::new()), "the test {name} is registered");
    }

    /// Runs a test of the namespace `default` once; asks until it is known what came of it.
    pub async fn trigger(&self, test: &str, mark: &str) -> Uuid {
        match self.insist(Asked::Runs, mark, &runs_of(test), &marked(mark)).await.0 {
            Known::Done(runs) => runs[0],
            known => panic!("the run {mark} is not made: {known:?}"),
        }
    }

    /// Runs a test of the namespace `default` once; asks only once.
    pub async fn trigger_once(&self, test: &str, mark: &str) -> Known {
        self.ask(Asked::Runs, mark, &runs_of(test), &marked(mark)).await
    }
}

/// Where runs of a test of the namespace `default` are made.
pub fn runs_of(test: &str) -> String {
    format!("/api/v1/namespaces/default/tests/{test}/runs")
}

/// A request for a run that carries its mark.
pub fn marked(mark: &str) -> Value {
    json!({"env": {"MARK": mark}})
}

fn understand(status: u16, body: &Value) -> Known {
    let id = |value: &Value| value["id"].as_str().and_then(|id| id.parse().ok());
    match (status, body["code"].as_str()) {
        (201, _) => match body["runs"].as_array() {
            Some(runs) => Known::Done(runs.iter().filter_map(id).collect()),
            // A run that repeats another has its own id and a state; a test has neither runs nor a state.
            None if body["state"].is_string() => Known::Done(id(body).into_iter().collect()),
            None => Known::Done(Vec::new()),
        },
        // The first try is still under way.
        (409, Some("idempotency_in_progress")) => Known::Unknown,
        (400..500, _) => Known::Refused(status),
        _ => Known::Unknown,
    }
}
