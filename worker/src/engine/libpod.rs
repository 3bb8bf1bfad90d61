//! The calls that the podman-api crate gets wrong, made by hand: create and wait.
//!
//! Its create cannot ask for no-new-privileges (it sends a misspelt key), nor for the log driver `none`; its wait
//! throws the exit code away.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::UnixStream;

use super::EngineError;

/// The version of the API; newer engines still speak it.
const BASE: &str = "http://podman/v4.3.1/libpod";
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const MAX_ANSWER: usize = 1 << 20;

#[derive(Debug, Clone)]
pub(super) struct Libpod {
    socket: PathBuf,
}

#[derive(Debug, Deserialize)]
pub(super) struct Created {
    #[serde(rename = "Warnings", default)]
    pub(super) warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    message: String,
    #[serde(default)]
    cause: String,
}

impl Libpod {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    pub(super) async fn create(&self, body: &Value, within: Duration) -> Result<Created, EngineError> {
        let answer = self.call(Method::POST, "/containers/create", Some(body), within).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| EngineError::Refused(format!("an answer that is not understood: {error}")))
    }

    /// Returns the process that listens at the socket, if one does.
    pub(super) async fn served_by(&self) -> Option<i32> {
        let connected = tokio::time::timeout(CONNECT, UnixStream::connect(&self.socket)).await.ok()?.ok()?;
        connected.peer_cred().ok()?.pid()
    }

    /// Waits until the container has ended; returns its exit code.
    pub(super) async fn wait(&self, name: &str, within: Duration) -> Result<i32, EngineError> {
        // The default interval of 250 ms would be most of a short test's duration.
        let path = format!("/containers/{name}/wait?condition=stopped&condition=exited&interval=20ms");
        let answer = self.call(Method::POST, &path, None, within).await?;
        let text = String::from_utf8_lossy(&answer);
        text.trim()
            .parse()
            .map_err(|_| EngineError::Refused(format!("an exit code that is not understood: {}", text.trim())))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        within: Duration,
    ) -> Result<Bytes, EngineError> {
        let unreachable = |error: &dyn std::fmt::Display| EngineError::Unreachable(error.to_string());
        let exchange = async {
            let stream = UnixStream::connect(&self.socket).await.map_err(|error| unreachable(&error))?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| unreachable(&error))?;
            let request = Request::builder()
                .method(method)
                .uri(format!("{BASE}{path}"))
                .header("host", "podman")
                .header("content-type", "application/json")
                .body(Full::new(body.map(|body| Bytes::from(body.to_string())).unwrap_or_default()))
                .map_err(|error| EngineError::Refused(error.to_string()))?;
            let talk = async move {
                let answer = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
                let status = answer.status();
                let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
                let body = body.map_err(|error| unreachable(&error))?.to_bytes();
                // The sender ends here, and with it the connection below.
                Ok::<_, EngineError>((status, body))
            };
            let (answer, _) = tokio::join!(talk, connection);
            answer
        };
        let (status, body) = tokio::time::timeout(within, exchange)
            .await
            .map_err(|_| EngineError::Unreachable(format!("no answer within {within:?}")))??;
        if status.is_success() { Ok(body) } else { Err(refusal(status, &body)) }
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> EngineError {
    let text = match serde_json::from_slice::<Fault>(body) {
        Ok(fault) if !fault.message.is_empty() => fault.message,
        Ok(fault) if !fault.cause.is_empty() => fault.cause,
        _ => format!("status {status}"),
    };
    if status == StatusCode::NOT_FOUND { EngineError::NotFound(text) } else { EngineError::Refused(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_speaks_in_the_engines_words() {
        let body = br#"{"cause":"image not known","message":"localhost/x: image not known","response":500}"#;
        let refused = refusal(StatusCode::INTERNAL_SERVER_ERROR, body);
        assert_eq!(refused, EngineError::Refused("localhost/x: image not known".into()));
        assert!(matches!(refusal(StatusCode::NOT_FOUND, b"{}"), EngineError::NotFound(_)));
        assert_eq!(refusal(StatusCode::BAD_GATEWAY, b"<html>").to_string(), "status 502 Bad Gateway");
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_an_engine_that_does_not_answer() {
        let libpod = Libpod::new("/nonexistent/podman.sock".into());
        let error = libpod.wait("x", Duration::from_secs(1)).await.unwrap_err();
        assert!(matches!(error, EngineError::Unreachable(_)), "{error}");
    }
}
