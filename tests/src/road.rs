//! A road over TCP to a database that only listens on a socket, through a network that can be bad.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};

use crate::balancer::Balancer;

/// A road; it is closed when it is dropped.
pub struct Road {
    /// The network.
    pub network: Balancer,
}

impl Road {
    /// Makes a road that leads nowhere yet.
    pub async fn open() -> Self {
        Self { network: Balancer::start(Vec::new()).await }
    }

    /// Leads it to a database; returns the address that the database has at its other end.
    pub fn lead_to(&self, dsn: &str) -> String {
        let options = PgConnectOptions::from_str(dsn).expect("an address");
        let socket = options.get_socket().expect("a socket").join(".s.PGSQL.5432");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listen");
        listener.set_nonblocking(true).expect("wait for nobody");
        self.network.set(vec![listener.local_addr().expect("an address")]);
        let listener = TcpListener::from_std(listener).expect("listen");
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let socket = socket.clone();
                tokio::spawn(async move {
                    let _ = client.set_nodelay(true);
                    if let Ok(mut server) = UnixStream::connect(socket).await {
                        // Either side may end as it likes.
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        let database = options.get_database().expect("a database");
        format!("postgres://postgres@{}/{database}?sslmode=disable", self.network.addr)
    }
}
