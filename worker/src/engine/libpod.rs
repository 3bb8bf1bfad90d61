//! The calls that the podman-api crate gets wrong, made by hand: create, wait, and copying out of a container.
//!
//! Its create cannot ask for no-new-privileges (it sends a misspelt key), nor for the log driver `none`; its wait
//! throws the exit code away; and the end of its copies cannot be told from a connection that broke.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::UnixStream;

use super::{Archive, EngineError};

/// The version of the API; newer engines still speak it.
const BASE: &str = "http://podman/v4.3.1/libpod";
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How many pieces of a refusal are read.
const MAX_REFUSAL: usize = 16;
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

    /// Copies a file or a folder out of a container, as a tar archive. `within` is for the beginning of the answer.
    pub(super) async fn archive(&self, name: &str, path: &str, within: Duration) -> Result<Archive, EngineError> {
        let unreachable = |error: &dyn std::fmt::Display| EngineError::Unreachable(error.to_string());
        let begun = async {
            let stream = UnixStream::connect(&self.socket).await.map_err(|error| unreachable(&error))?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| unreachable(&error))?;
            let request = Request::builder()
                .uri(format!("{BASE}/containers/{name}/archive?path={}", escaped(path)))
                .header("host", "podman")
                .body(Full::new(Bytes::new()))
                .map_err(|error| EngineError::Refused(error.to_string()))?;
            let mut connection = Box::pin(connection);
            let answer = {
                let mut asked = std::pin::pin!(sender.send_request(request));
                tokio::select! {
                    answer = &mut asked => answer,
                    // It is driven by being awaited here; when it ends first, the answer says why.
                    _ = &mut connection => asked.await,
                }
            };
            let answer = answer.map_err(|error| unreachable(&error))?;
            Ok::<_, EngineError>((answer, connection, sender))
        };
        let (answer, connection, sender) = tokio::time::timeout(within, begun)
            .await
            .map_err(|_| EngineError::Unreachable(format!("no answer within {within:?}")))??;
        let (status, mut body) = (answer.status(), answer.into_body());
        let mut connection = Some(connection);
        let pieces = stream::poll_fn(move |cx| {
            let _sender = &sender;
            loop {
                if connection.as_mut().is_some_and(|open| open.as_mut().poll(cx).is_ready()) {
                    connection = None;
                }
                return match std::task::ready!(std::pin::Pin::new(&mut body).poll_frame(cx)) {
                    None => std::task::Poll::Ready(None),
                    Some(Err(error)) => std::task::Poll::Ready(Some(Err(EngineError::Unreachable(error.to_string())))),
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => std::task::Poll::Ready(Some(Ok(data))),
                        Err(_) => continue,
                    },
                };
            }
        });
        if status.is_success() {
            return Ok(pieces.boxed());
        }
        let mut text = Vec::new();
        let mut pieces = std::pin::pin!(pieces.take(MAX_REFUSAL));
        while let Ok(Some(Ok(piece))) = tokio::time::timeout(CONNECT, pieces.next()).await {
            text.extend_from_slice(&piece);
        }
        Err(refusal(status, &text))
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

/// Writes a text as a part of an address.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || b"-._~/".contains(&b) => escaped.push(char::from(b)),
            b => escaped.push_str(&format!("%{b:02X}")),
        }
    }
    escaped
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

    #[test]
    fn a_path_is_one_parameter_whatever_it_holds() {
        assert_eq!(escaped("/a b/ü&x=1?#%"), "/a%20b/%C3%BC%26x%3D1%3F%23%25");
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_an_engine_that_does_not_answer() {
        let libpod = Libpod::new("/nonexistent/podman.sock".into());
        let error = libpod.wait("x", Duration::from_secs(1)).await.unwrap_err();
        assert!(matches!(error, EngineError::Unreachable(_)), "{error}");
    }
}
