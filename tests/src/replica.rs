//! Replicas of the API as processes, which can be killed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{Process, command_in};
use crate::{TestDb, binary, eventually};

/// A replica in a process of its own.
pub struct Replica {
    /// The process.
    pub process: Process,
    /// Where the JSON API listens.
    pub json: SocketAddr,
    /// Where the gRPC API listens.
    pub grpc: SocketAddr,
}

impl Replica {
    /// Starts a replica with short lease times; returns when it serves. `dir` holds the key and the first token.
    pub async fn start(db: &TestDb, dir: &Path) -> Self {
        Self::start_on(&db.dsn(), dir, "test").await
    }

    /// Starts a replica on any database, with these lease times.
    pub async fn start_on(dsn: &str, dir: &Path, lease_times: &str) -> Self {
        Self::start_in(dsn, dir, lease_times, &[]).await
    }

    /// The same, with more variables in its environment.
    pub async fn start_in(dsn: &str, dir: &Path, lease_times: &str, env: &[(String, String)]) -> Self {
        let mut start = command_in(env, binary());
        start.args(["api", "--json-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0", "--lease-times", lease_times]);
        start.arg("--key-file").arg(dir.join("key")).arg("--bootstrap-token-file").arg(token_file(dir));
        start.env("TSTR_PG_DSN", dsn).env("RUST_LOG", "info");
        start.env("TSTR_ARTIFACTS_URL", format!("file://{}", artifacts(dir).display()));
        let log = dir.join(format!("api-{}.log", uuid::Uuid::new_v4().simple()));
        let mut process = Process::start(start, log);
        let (json, grpc) = eventually("a replica serves", Duration::from_secs(30), async || {
            assert!(process.is_running(), "the replica has ended: {}", process.log_text());
            addresses(&process.log_text())
        })
        .await;
        Self { process, json, grpc }
    }
}

/// Where replicas keep artifacts.
pub fn artifacts(dir: &Path) -> PathBuf {
    dir.join("artifacts")
}

/// Where the first replica writes the administrator's token.
pub fn token_file(dir: &Path) -> PathBuf {
    dir.join("admin.token")
}

/// Reads the addresses from the line that a replica logs when it serves.
fn addresses(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line = log.lines().find(|line| line.contains("the JSON API listens on"))?;
    let mut found = line.split("http://").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ':'))).unwrap_or(rest.len());
        rest[..end].parse().ok()
    });
    Some((found.next()?, found.next()?))
}
