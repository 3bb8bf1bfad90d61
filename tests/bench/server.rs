//! A PostgreSQL of the benchmark's own, durable like the one of `tstr up`: fsync on, synchronous_commit on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::Instant;
use tstr_tests::db::bin_dir;
use tstr_tests::process::{Process, command, make_dir, run};

use crate::cpu;

/// What `tstr up` sets (`cli/src/cmd/up/postgres.rs`), so that the figures are those of what people run.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=200",
    "shared_buffers=256MB",
    "max_wal_size=2GB",
    "wal_compression=on",
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "autovacuum_naptime=5s",
];

/// The server. Stopped when it is dropped.
pub struct Server {
    process: Process,
    dir: PathBuf,
}

impl Server {
    /// Makes a cluster and starts it. Call on the main thread: the server ends with the thread that started it.
    pub async fn start() -> Result<Self> {
        let dir = make_dir("b");
        let data = dir.join("data");
        let mut initdb = command(bin_dir().join("initdb"));
        initdb.args(["-A", "trust", "-U", "postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums", "-D"]);
        run(initdb.arg(&data));
        let mut postgres = command(bin_dir().join("postgres"));
        postgres.arg("-D").arg(&data).args(SETTINGS.iter().flat_map(|setting| ["-c", *setting]));
        postgres.arg("-c").arg(format!("unix_socket_directories={}", dir.display()));
        let server = Self { process: Process::start(postgres, dir.join("pg.log")), dir };
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Err(error) = PgConnection::connect(&server.dsn("postgres")).await {
            anyhow::ensure!(
                Instant::now() < deadline,
                "PostgreSQL did not start: {error}\n{}",
                server.process.log_text()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(server)
    }

    /// Makes an empty database.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        let mut conn = self.connect("postgres").await?;
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut conn).await?;
        Ok(())
    }

    /// Removes a database, so that sections do not fill the disk together.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        let mut conn = self.connect("postgres").await?;
        sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).execute(&mut conn).await?;
        Ok(())
    }

    /// Returns PostgreSQL's version.
    pub async fn version(&self) -> Result<String> {
        let mut conn = self.connect("postgres").await?;
        Ok(sqlx::query_scalar("SHOW server_version").fetch_one(&mut conn).await?)
    }

    /// Returns the address of a database.
    pub fn dsn(&self, database: &str) -> String {
        let socket = self.dir.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{socket}:5432/{database}")
    }

    /// Opens a connection.
    pub async fn connect(&self, database: &str) -> Result<PgConnection> {
        PgConnection::connect(&self.dsn(database)).await.with_context(|| format!("connect to {database}"))
    }

    /// Returns the folder for what belongs to this run of the benchmark.
    pub fn dir(&self) -> &PathBuf {
        &self.dir
    }

    /// Begins a command that finds a database of this server.
    pub fn client(&self, program: &str, database: &str) -> Command {
        self.client_of(bin_dir().join(program), database)
    }

    /// The same for a program that is not PostgreSQL's own.
    pub fn client_of(&self, program: impl AsRef<Path>, database: &str) -> Command {
        let mut client = command(program);
        client.env("PGHOST", &self.dir).env("PGPORT", "5432").env("PGUSER", "postgres").env("PGDATABASE", database);
        client
    }

    /// Returns the processor time that the server has used, but for these backends.
    pub fn cpu_us(&self, ignored: &[u32]) -> f64 {
        cpu::server_us(self.process.pid(), ignored)
    }

    /// Measures the processor time that the server uses per second while nobody asks for anything.
    pub async fn idle_us_per_s(&self, during: Duration) -> f64 {
        let before = self.cpu_us(&[]);
        tokio::time::sleep(during).await;
        (self.cpu_us(&[]) - before) / during.as_secs_f64()
    }

    /// Waits until no process of pgbench is connected any more, and what they used is counted.
    pub async fn wait_for_pgbench(&self, conn: &mut PgConnection) -> Result<()> {
        const LEFT: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'";
        while sqlx::query_scalar::<_, i64>(LEFT).fetch_one(&mut *conn).await? > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // They leave that view before they end, and the postmaster counts them when they have ended.
        tokio::time::sleep(Duration::from_millis(60)).await;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A fast shutdown: the smart one of SIGTERM would wait for clients.
        self.process.signal(Signal::INT);
    }
}

/// Returns the id of a connection's backend.
pub async fn backend_pid(conn: &mut PgConnection) -> Result<u32> {
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(conn).await?;
    Ok(pid.unsigned_abs())
}
