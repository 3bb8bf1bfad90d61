//! The few calls that `tstr up` makes to the API it has started itself.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tstr_shared::error::Problem;
use tstr_shared::token::Identity;

/// A caller of the JSON API with one token.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    /// A client of the API at `base` (`http://…`).
    ///
    /// # Errors
    /// The system has no certificates or no randomness.
    pub fn new(base: String, token: String) -> Result<Client> {
        // A proxy of the environment has no business between the parts of one process.
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        Ok(Client { http, base, token })
    }

    /// The same API, called with another token.
    pub fn with_token(&self, token: String) -> Client {
        Client { token, ..self.clone() }
    }

    /// Returns what stands at `path`, or nothing if the answer is 404.
    pub async fn find(&self, path: &str) -> Result<Option<Value>> {
        match self.send(Method::GET, path, None, None).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            answer => accepted(&format!("GET {path}"), answer).map(Some),
        }
    }

    /// Tells whether the token is good for anything: who it belongs to, or nothing if the API refuses it.
    pub async fn identity(&self) -> Result<Option<Identity>> {
        match self.send(Method::GET, "/api/v1/identity", None, None).await? {
            (StatusCode::UNAUTHORIZED, _) => Ok(None),
            answer => Ok(Some(serde_json::from_value(accepted("GET /api/v1/identity", answer)?)?)),
        }
    }

    /// Puts `body` at `path`.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        accepted(&format!("PUT {path}"), self.send(Method::PUT, path, Some(body), None).await?)
    }

    /// Posts `body` to `path`. Repeated with the same key, it has its effect once.
    pub async fn post(&self, path: &str, body: &Value, idempotency_key: &str) -> Result<Value> {
        accepted(&format!("POST {path}"), self.send(Method::POST, path, Some(body), Some(idempotency_key)).await?)
    }

    /// Asks `path` to do what needs nothing more said.
    pub async fn ask(&self, path: &str) -> Result<Value> {
        accepted(&format!("POST {path}"), self.send(Method::POST, path, None, None).await?)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        idempotency_key: Option<&str>,
    ) -> Result<(StatusCode, Vec<u8>)> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(key) = idempotency_key {
            // A string of RFC 8941, in its quotes.
            request = request.header("idempotency-key", format!("\"{key}\""));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(|| format!("call the API at {}", self.base))?;
        Ok((answer.status(), answer.bytes().await?.to_vec()))
    }
}

/// The body of a good answer, or what the problem document of another says.
fn accepted(call: &str, (status, body): (StatusCode, Vec<u8>)) -> Result<Value> {
    if status.is_success() {
        return Ok(if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? });
    }
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => {
            let faults: String =
                problem.errors.iter().map(|fault| format!("; {}: {}", fault.pointer, fault.detail)).collect();
            bail!("{call} was refused ({status}): {}{faults}", problem.detail)
        }
        Err(_) => bail!("{call} was refused ({status}): {}", String::from_utf8_lossy(&body)),
    }
}
