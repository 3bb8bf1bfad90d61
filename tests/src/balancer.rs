//! A small TCP balancer that can also be a bad network: each connection goes to the next upstream that answers, and
//! what it carries can be delayed or held up, in each direction by itself.
//!
//! A closed direction carries nothing, neither bytes nor the end of the connection: what was sent meanwhile arrives
//! when it is opened again, as TCP repeats what a network has lost. Nobody needs any rights for it, unlike for a packet
//! filter in a network namespace, and a test that is killed leaves no rule behind.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

/// How many pieces one direction of a connection holds before it takes no more.
const ON_THE_WAY: usize = 256;

/// What one direction of a network does to what it carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Road {
    /// It carries everything at once.
    #[default]
    Open,
    /// It carries everything later, by a time between these.
    Slow(Duration, Duration),
    /// It carries nothing.
    Closed,
}

/// What a network does in both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// From those who connect.
    pub to_server: Road,
    /// To them.
    pub to_client: Road,
}

impl Weather {
    /// Nothing passes.
    pub const PARTITION: Self = Self { to_server: Road::Closed, to_client: Road::Closed };
}

/// The weather, and which connections are beyond it.
#[derive(Debug, Clone, Copy, Default)]
struct Network {
    weather: Weather,
    /// Connections that were made before this one carry nothing any more.
    stranded: usize,
}

/// A balancer; ends when it is dropped.
pub struct Balancer {
    /// Where it listens.
    pub addr: SocketAddr,
    upstreams: Arc<Mutex<Vec<SocketAddr>>>,
    network: watch::Sender<Network>,
    /// How many connections were made.
    made: Arc<AtomicUsize>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
    task: JoinHandle<()>,
}

impl Balancer {
    /// Starts a balancer in front of these addresses.
    pub async fn start(upstreams: Vec<SocketAddr>) -> Self {
        Self::start_at("127.0.0.1:0", upstreams).await
    }

    /// Starts a balancer that listens at an address.
    pub async fn start_at(at: &str, upstreams: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind(at).await.expect("listen");
        let addr = listener.local_addr().expect("an address");
        let upstreams = Arc::new(Mutex::new(upstreams));
        let connections = Arc::new(Mutex::new(Vec::new()));
        let (network, seen) = watch::channel(Network::default());
        let made = Arc::new(AtomicUsize::new(0));
        let (shared, kept, turn) = (upstreams.clone(), connections.clone(), made.clone());
        let task = tokio::spawn(async move {
            loop {
                // A process may have as many files as it may for a moment; whoever connects waits.
                let Ok((client, _)) = listener.accept().await else {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                };
                let mut order = shared.lock().expect("not poisoned").clone();
                let number = turn.fetch_add(1, Ordering::Relaxed);
                if !order.is_empty() {
                    let first = number % order.len();
                    order.rotate_left(first);
                }
                let connection = tokio::spawn(forward(client, order, seen.clone(), number));
                let mut kept = kept.lock().expect("not poisoned");
                kept.retain(|one: &AbortHandle| !one.is_finished());
                kept.push(connection.abort_handle());
            }
        });
        Self { addr, upstreams, network, made, connections, task }
    }

    /// Puts other addresses behind it; connections that stand are left alone.
    pub fn set(&self, upstreams: Vec<SocketAddr>) {
        *self.upstreams.lock().expect("not poisoned") = upstreams;
    }

    /// Changes what the network does, also to connections that stand.
    pub fn set_weather(&self, weather: Weather) {
        self.network.send_modify(|network| network.weather = weather);
    }

    /// Leaves all connections half open: they stand and carry nothing any more, while new ones are as before.
    pub fn strand(&self) {
        let made = self.made.load(Ordering::Relaxed);
        self.network.send_modify(|network| network.stranded = made);
    }

    /// Tells how many connections were made to it so far.
    pub fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    /// Takes everything away from behind it, and breaks the connections that stand.
    pub fn cut(&self) {
        self.set(Vec::new());
        self.connections.lock().expect("not poisoned").drain(..).for_each(|one| one.abort());
    }

    /// Returns its address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(client: TcpStream, upstreams: Vec<SocketAddr>, network: watch::Receiver<Network>, number: usize) {
    for upstream in upstreams {
        if let Ok(server) = TcpStream::connect(upstream).await {
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            // Either side may end as it likes: that is what the tests are about.
            tokio::join!(
                carry(from_client, to_server, network.clone(), number, |weather| weather.to_server),
                carry(from_server, to_client, network, number, |weather| weather.to_client),
            );
            return;
        }
    }
}

/// Carries one direction of a connection to its end.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut network: watch::Receiver<Network>,
    number: usize,
    road: fn(&Weather) -> Road,
) {
    let (send, mut arrive) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let seen = network.clone();
    let read = async move {
        loop {
            let mut piece = vec![0; 16 * 1024];
            let length = from.read(&mut piece).await.unwrap_or(0);
            piece.truncate(length);
            let due = Instant::now() + delay(road(&seen.borrow().weather));
            // The end travels as an empty piece.
            if send.send((due, piece)).await.is_err() || length == 0 {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = arrive.recv().await {
            tokio::time::sleep_until(due).await;
            let passes = |network: &Network| number >= network.stranded && road(&network.weather) != Road::Closed;
            if network.wait_for(passes).await.is_err() {
                return;
            }
            if piece.is_empty() || to.write_all(&piece).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

fn delay(road: Road) -> Duration {
    match road {
        Road::Open | Road::Closed => Duration::ZERO,
        Road::Slow(least, most) => {
            let random = uuid::Uuid::new_v4().as_bytes()[0];
            least + most.saturating_sub(least).mul_f64(f64::from(random) / 255.0)
        }
    }
}
