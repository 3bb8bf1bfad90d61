//! A real PostgreSQL for the tests, started by the first that needs it, and a database of its own for each.
//!
//! A migrated template is made once and cloned; cloning takes a fraction of a second.

use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use sqlx::{Connection, PgConnection};

use crate::postgres::{self, dsn};
use crate::test_dir;

pub use crate::postgres::bin_dir;

/// A database of one test; dropped with it.
pub struct TestDb {
    name: String,
    server: PathBuf,
}

impl TestDb {
    /// Makes a database with the schema of the product.
    pub async fn new() -> Self {
        let server = server();
        let template = template(&server).await;
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        execute(&server, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self { name, server }
    }

    /// Makes an empty database.
    pub async fn empty() -> Self {
        let server = server();
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        execute(&server, &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        Self { name, server }
    }

    /// Returns its address.
    pub fn dsn(&self) -> String {
        dsn(&self.server, &self.name)
    }

    /// Returns its name, for tools of PostgreSQL.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the folder of the server's socket.
    pub fn socket_dir(&self) -> &Path {
        &self.server
    }

    /// Opens a connection.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.dsn()).await.expect("connect to the test's database")
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("make a runtime");
            runtime.block_on(execute(&server, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")));
        });
        if dropped.join().is_err() {
            eprintln!("the database {} is left behind", self.name);
        }
    }
}

/// Lets PostgreSQL refuse rows that must never be; the product does without, for its speed.
pub async fn add_checks(dsn: &str) {
    let mut conn = PgConnection::connect(dsn).await.expect("connect to the tests' database");
    sqlx::raw_sql(include_str!("checks.sql")).execute(&mut conn).await.expect("add the checks");
}

async fn execute(server: &Path, statement: &str) {
    let mut conn = PgConnection::connect(&dsn(server, "postgres")).await.expect("connect to PostgreSQL");
    sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut conn).await.expect("execute a statement");
}

/// Returns the socket's folder of the server, which the first caller starts. `./scripts/test` stops it.
fn server() -> PathBuf {
    let dir = test_dir().join("pg");
    let lock = lock("pg.lock");
    if !dir.join("postmaster.pid").exists() {
        if !dir.join("PG_VERSION").exists() {
            postgres::init(&dir);
        }
        // fsync off: the machine may crash, the tests do not care.
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c fsync=off -c max_connections=500 -c autovacuum_naptime=5s",
            dir.display()
        );
        postgres::start(&dir, &test_dir().join("pg.log"), &options);
    }
    drop(lock);
    dir
}

/// Returns the name of the migrated template, which the first caller makes.
async fn template(server: &Path) -> &'static str {
    const NAME: &str = "tstr_template";
    let _lock = lock("template.lock");
    let mut conn = PgConnection::connect(&dsn(server, "postgres")).await.expect("connect to PostgreSQL");
    let found: Option<bool> =
        sqlx::query_scalar("SELECT datistemplate FROM pg_database WHERE datname = 'tstr_template'")
            .fetch_optional(&mut conn)
            .await
            .expect("look for the template");
    if found != Some(true) {
        execute(server, "DROP DATABASE IF EXISTS tstr_template").await;
        execute(server, "CREATE DATABASE tstr_template").await;
        tstr_api::migrate(&dsn(server, NAME)).await.expect("migrate the template");
        add_checks(&dsn(server, NAME)).await;
        execute(server, "ALTER DATABASE tstr_template IS_TEMPLATE true").await;
    }
    NAME
}

fn lock(name: &str) -> std::fs::File {
    let file = std::fs::File::create(test_dir().join(name)).expect("create a lock file");
    flock(&file, FlockOperation::LockExclusive).expect("lock");
    file
}
