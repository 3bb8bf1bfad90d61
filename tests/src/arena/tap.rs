//! A tap on the line between a replica and PostgreSQL: it springs when a transaction that carried a certain text has
//! committed and its replica has not yet heard of it.
//!
//! The reply to that `COMMIT` is withheld for ever, so that the replica can be killed between the two: what it had
//! promised is stored, and nobody was told. No code of the product knows of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::postgres::Postgres;

/// How PostgreSQL says that a transaction has committed.
const COMMITTED: &[u8] = b"COMMIT\0";

/// The tap; the line is down once it is dropped.
pub struct Tap {
    addr: SocketAddr,
    trap: Arc<Trap>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Trap {
    text: Mutex<Option<Vec<u8>>>,
    sprung: Notify,
}

impl Tap {
    /// Puts a tap in front of a server.
    pub async fn start(pg: &Postgres) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let addr = listener.local_addr().expect("an address");
        let (trap, socket) = (Arc::new(Trap::default()), pg.socket_dir().join(".s.PGSQL.5432"));
        let shared = trap.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(tapped(client, socket.clone(), shared.clone()));
            }
        });
        Self { addr, trap, task }
    }

    /// Returns the address of a database behind it.
    pub fn dsn(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}?sslmode=disable", self.addr)
    }

    /// Sets the trap for a transaction that carries this text, or these bytes.
    pub fn arm(&self, text: impl AsRef<[u8]>) {
        *self.trap.text.lock().expect("not poisoned") = Some(text.as_ref().to_vec());
    }

    /// Waits until such a transaction has committed.
    pub async fn sprung(&self) {
        self.trap.sprung.notified().await;
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn tapped(client: TcpStream, socket: PathBuf, trap: Arc<Trap>) {
    let Ok(server) = UnixStream::connect(socket).await else { return };
    let _ = client.set_nodelay(true);
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // The transaction that is under way on this connection carries the text.
    let marked = AtomicBool::new(false);
    let asks = async {
        let mut tail = Vec::new();
        let mut piece = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = from_client.read(&mut piece).await {
            tail.extend_from_slice(&piece[..length]);
            let wanted = trap.text.lock().expect("not poisoned").clone();
            if wanted.is_some_and(|text| holds(&tail, &text)) {
                *trap.text.lock().expect("not poisoned") = None;
                marked.store(true, Ordering::SeqCst);
            }
            // The text may lie across two pieces.
            tail.drain(..tail.len().saturating_sub(256));
            if to_server.write_all(&piece[..length]).await.is_err() {
                break;
            }
        }
        let _ = to_server.shutdown().await;
    };
    let answers = async {
        let mut piece = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = from_server.read(&mut piece).await {
            if marked.load(Ordering::SeqCst) && holds(&piece[..length], COMMITTED) {
                trap.sprung.notify_one();
                std::future::pending::<()>().await;
            }
            if to_client.write_all(&piece[..length]).await.is_err() {
                break;
            }
        }
        let _ = to_client.shutdown().await;
    };
    // When one side has ended there is nothing left to carry: a replica that was killed ends the whole connection.
    tokio::select! {
        () = asks => {}
        () = answers => {}
    }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
