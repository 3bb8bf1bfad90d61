//! Serves connections of the JSON API, and bounds how long somebody may let it wait.
//!
//! A connection over which no whole header comes for a while is closed, be it slow on purpose or only idle; one of HTTP/2
//! whose peer does not answer pings ends. Without that a few clients could keep connections, and with them memory and
//! descriptors, for ever.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

/// Within which time the header of a request has to come.
const HEADER: Duration = Duration::from_secs(30);
/// How often a connection of HTTP/2 is asked whether somebody is there, and how long an answer may take.
const PING: Duration = Duration::from_secs(10);
/// How many requests one connection of HTTP/2 may have under way.
const STREAMS: u32 = 256;
/// How long nobody is let in when the process has no descriptors left.
const NO_ROOM: Duration = Duration::from_millis(200);

/// How a connection of HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How soon a connection that has begun to say that is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Serves until it is told to stop; returns when the requests that are under way are answered.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(STREAMS);
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(connection(builder.clone(), stream, peer, router.clone(), stop.clone()));
            }
            // Of the one that came, or of the process: either way the others are served on.
            Err(error) => {
                tracing::warn!(error = %error, "a connection cannot be accepted: {error}");
                tokio::time::sleep(NO_ROOM).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

async fn connection(
    builder: Builder<TokioExecutor>,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    stop: CancellationToken,
) {
    if !stop.run_until_cancelled(has_begun(&stream)).await.unwrap_or(false) {
        return;
    }
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let mut router = router.clone();
        async move {
            request.extensions_mut().insert(ConnectInfo(peer));
            Ok::<_, Infallible>(match router.call(request.map(Body::new)).await {
                Ok(response) => response,
                Err(never) => match never {},
            })
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, "a connection of {peer} ended: {error}");
    }
}

/// Waits until it is seen which HTTP a connection speaks, which the server below waits for without end; tells whether that
/// came in time.
async fn has_begun(stream: &TcpStream) -> bool {
    let begun = async {
        let mut words = [0; PREFACE.len()];
        loop {
            match stream.peek(&mut words).await {
                Ok(0) | Err(_) => return false,
                Ok(length) if length < words.len() && PREFACE.starts_with(&words[..length]) => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Ok(_) => return true,
            }
        }
    };
    tokio::time::timeout(HEADER, begun).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_header_that_does_not_come_ends_its_connection_and_no_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let router = Router::new().route("/", get(async || "here"));
        let served = tokio::spawn(serve(listener, router, stop.clone()));
        let mut answer = Vec::new();
        for beginning in [&b"GET / HTTP/1.1\r\nHost: x\r\n"[..], b"", b"PRI * HT"] {
            let mut slow = TcpStream::connect(addr).await.unwrap();
            slow.write_all(beginning).await.unwrap();
            // The clock goes on by itself while nobody has anything to do.
            let _ = slow.read_to_end(&mut answer).await;
            assert!(!String::from_utf8_lossy(&answer).contains("here"));
        }
        let mut quick = TcpStream::connect(addr).await.unwrap();
        quick.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        quick.read_to_end(&mut answer).await.unwrap();
        assert!(String::from_utf8_lossy(&answer).ends_with("here"));
        stop.cancel();
        served.await.unwrap();
    }

    #[tokio::test]
    async fn a_stop_lets_requests_end_that_are_under_way() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let (began, go_on) = (std::sync::Arc::new(Notify::new()), std::sync::Arc::new(Notify::new()));
        let (tells, waits) = (began.clone(), go_on.clone());
        let handler = move || async move {
            tells.notify_one();
            waits.notified().await;
            "done"
        };
        let served = tokio::spawn(serve(listener, Router::new().route("/", get(handler)), stop.clone()));
        let mut asks = TcpStream::connect(addr).await.unwrap();
        asks.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        began.notified().await;
        stop.cancel();
        go_on.notify_one();
        let mut answer = Vec::new();
        asks.read_to_end(&mut answer).await.unwrap();
        assert!(String::from_utf8_lossy(&answer).contains("done"));
        served.await.unwrap();
    }
}
