//! A small TCP balancer: each connection goes to the next upstream that answers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};

/// A balancer; ends when it is dropped.
pub struct Balancer {
    /// Where it listens.
    pub addr: SocketAddr,
    upstreams: Arc<Mutex<Vec<SocketAddr>>>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
    task: JoinHandle<()>,
}

impl Balancer {
    /// Starts a balancer in front of these addresses.
    pub async fn start(upstreams: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let addr = listener.local_addr().expect("an address");
        let upstreams = Arc::new(Mutex::new(upstreams));
        let connections: Arc<Mutex<Vec<AbortHandle>>> = Arc::default();
        let (shared, open, turn) = (upstreams.clone(), connections.clone(), AtomicUsize::new(0));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut order = shared.lock().expect("not poisoned").clone();
                if !order.is_empty() {
                    let first = turn.fetch_add(1, Ordering::Relaxed) % order.len();
                    order.rotate_left(first);
                }
                let connection = tokio::spawn(forward(client, order)).abort_handle();
                open.lock().expect("not poisoned").push(connection);
            }
        });
        Self { addr, upstreams, connections, task }
    }

    /// Takes everything away from behind it, and breaks the connections that stand.
    pub fn cut(&self) {
        self.set(Vec::new());
        self.connections.lock().expect("not poisoned").drain(..).for_each(|connection| connection.abort());
    }

    /// Puts other addresses behind it; connections that stand are left alone.
    pub fn set(&self, upstreams: Vec<SocketAddr>) {
        *self.upstreams.lock().expect("not poisoned") = upstreams;
    }
}

async fn forward(mut client: TcpStream, upstreams: Vec<SocketAddr>) {
    for upstream in upstreams {
        if let Ok(mut server) = TcpStream::connect(upstream).await {
            // Either side may end as it likes: that is what the tests are about.
            let _ = copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
