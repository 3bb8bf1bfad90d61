//! Serves connections of the JSON API, and bounds how long somebody may let it wait.
//!
//! A connection over which no whole header comes for a while is closed, be it slow on purpose or only idle; one of HTTP/2
//! whose peer does not answer pings ends. Without that a few clients could keep connections, and with them memory and
//! descriptors, for ever. So is one over which a handler streams to somebody who has stopped reading ([`Patience`]).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use futures_util::StreamExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
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

/// How often it is looked whether somebody has stopped reading what is streamed, and how long that may be at a stop.
const LOOK_AT_READERS: Duration = Duration::from_secs(1);
const STALLED_AT_STOP: Duration = Duration::from_secs(2);

/// Goes with every request: lets its handler end the connection of a reader who takes nothing of what is streamed.
#[derive(Clone)]
pub struct Patience(Arc<Readers>);

struct Readers {
    began: Instant,
    /// How many streams are watched.
    open: AtomicUsize,
    /// When one of them was last asked for its next piece, and until when it has to be again, in milliseconds.
    asked: AtomicU64,
    until: AtomicU64,
}

impl Patience {
    fn new() -> Self {
        let readers = Readers {
            began: Instant::now(),
            open: AtomicUsize::new(0),
            asked: AtomicU64::new(0),
            until: AtomicU64::new(0),
        };
        Self(Arc::new(readers))
    }

    /// Ends the connection when nobody takes a piece of this answer for so long; its pieces must come more often than that.
    pub fn watch(self, answer: Response, time: Duration) -> Response {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        let watched = Watched { readers: self.0, time };
        watched.note();
        answer.map(|body| {
            let mut pieces = body.into_data_stream();
            Body::from_stream(futures_util::stream::poll_fn(move |context| {
                watched.note();
                pieces.poll_next_unpin(context)
            }))
        })
    }

    fn is_stalled(&self, is_stopping: bool) -> bool {
        let now = self.0.now();
        let limit = match is_stopping {
            false => self.0.until.load(Ordering::Relaxed),
            true => self.0.asked.load(Ordering::Relaxed) + STALLED_AT_STOP.as_millis() as u64,
        };
        self.0.open.load(Ordering::Relaxed) > 0 && now > limit
    }

    /// Waits until somebody has stopped reading.
    async fn stalled(&self, is_stopping: bool) {
        while !self.is_stalled(is_stopping) {
            tokio::time::sleep(LOOK_AT_READERS).await;
        }
    }
}

impl Readers {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A stream that is watched, as long as it is there.
struct Watched {
    readers: Arc<Readers>,
    time: Duration,
}

impl Watched {
    fn note(&self) {
        let now = self.readers.now();
        self.readers.asked.store(now, Ordering::Relaxed);
        self.readers.until.store(now + self.time.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.readers.open.fetch_sub(1, Ordering::Relaxed);
    }
}

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
    let patience = Patience::new();
    let shared = patience.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let (mut router, patience) = (router.clone(), shared.clone());
        async move {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(patience);
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
        () = patience.stalled(false) => return told_stalled(peer),
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = patience.stalled(true) => return told_stalled(peer),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, "a connection of {peer} ended: {error}");
    }
}

fn told_stalled(peer: SocketAddr) {
    tracing::debug!(%peer, "the connection of {peer} is cut: nobody reads what is streamed over it");
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
    use axum::Extension;
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

    #[tokio::test(start_paused = true)]
    async fn whoever_stops_reading_a_stream_is_cut_off_and_nobody_else_is() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let endless = async |Extension(patience): Extension<Patience>| {
            let pieces = futures_util::stream::repeat_with(|| Ok::<_, Infallible>(vec![b'x'; 64 << 10]));
            patience.watch(Response::new(Body::from_stream(pieces)), Duration::from_secs(45))
        };
        let router = Router::new().route("/", get(endless)).route("/short", get(async || "here"));
        let served = tokio::spawn(serve(listener, router, stop.clone()));
        let mut reads_nothing = TcpStream::connect(addr).await.unwrap();
        reads_nothing.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        // What fits into the buffers of the system comes; behind it the connection is gone.
        tokio::time::sleep(Duration::from_secs(120)).await;
        let mut taken = vec![0; 1 << 20];
        while matches!(reads_nothing.read(&mut taken).await, Ok(1..)) {}
        let mut other = TcpStream::connect(addr).await.unwrap();
        other.write_all(b"GET /short HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        other.read_to_end(&mut answer).await.unwrap();
        assert!(String::from_utf8_lossy(&answer).ends_with("here"));
        stop.cancel();
        served.await.unwrap();
    }
}
