//! Puts a replica together: connections, keys, use cases, both listeners and the loops; and stops it in order.

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::server::TcpIncoming;
use tstr_shared::permission::Scope;
use tstr_shared::token::{MAX_EXPIRY, NewToken};

use crate::auth::access::Access;
use crate::auth::keys::{SealingKey, SigningPair};
use crate::auth::verify::Tokens;
use crate::config::Config;
use crate::objects::Objects;
use crate::ops::Ops;
use crate::ops::storage::{Disk, StorageLimits};
pub use crate::pools::connect;
use crate::store::Pool;
use crate::store::tokens::SealedPair;
use crate::{background, grpc, http, store, telemetry};

/// How long a stop waits for requests that are under way.
const DRAIN: Duration = Duration::from_secs(25);

/// A replica that serves.
pub struct Running {
    json_addr: SocketAddr,
    grpc_addr: SocketAddr,
    ops: Ops,
    stop: CancellationToken,
    tracker: TaskTracker,
    failures: mpsc::Receiver<anyhow::Error>,
}

impl Running {
    /// Returns where the JSON API listens.
    pub fn json_addr(&self) -> SocketAddr {
        self.json_addr
    }

    /// Returns where the gRPC API listens.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc_addr
    }

    /// Returns the use cases, for tests that run in this process.
    pub fn ops(&self) -> &Ops {
        &self.ops
    }

    /// Waits until a part dies; says why.
    pub async fn failed(&mut self) -> anyhow::Error {
        self.failures.recv().await.unwrap_or_else(|| anyhow!("the API has stopped"))
    }

    /// Takes no more requests, answers those that are under way, and ends the loops.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.ops.close();
        self.tracker.close();
        if tokio::time::timeout(DRAIN, self.tracker.wait()).await.is_err() {
            tracing::warn!("requests were still under way after {DRAIN:?}");
        }
        self.ops.disconnect().await;
        Ok(())
    }
}

/// Brings the schema of a database up to date.
///
/// # Errors
/// The database cannot be reached, a migration fails, or somebody holds a lock that one needs for five minutes.
pub async fn migrate(pg_dsn: &str) -> anyhow::Result<()> {
    let options = PgConnectOptions::from_str(pg_dsn).context("--pg-dsn is not a PostgreSQL address")?;
    let options = options.application_name("tstr-migrate");
    let connect = async || options.connect().await.context("cannot reach PostgreSQL");
    let (mut conn, mut aside) = (connect().await?, connect().await?);
    let outcome = store::migrate::migrate(&mut conn, &mut aside).await.context("cannot migrate the database");
    // Nothing is lost with them.
    let _ = (conn.close().await, aside.close().await);
    outcome
}

/// Starts a replica; returns when it serves.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    config.check()?;
    let pools = connect(&config).await?;
    check_database(&pools.main).await?;
    if !config.no_migrate {
        // On a connection of its own: migrations hold a lock of the session, and may take their time.
        migrate(config.direct_dsn()).await?;
    }
    let pairs = signing_pairs(&pools.main, &config.key_file).await?;
    let secret = pairs.first().map(|pair| pair.private.clone()).ok_or_else(|| anyhow!("there is no signing key"))?;
    let tokens = Tokens::new(&pairs);
    let ops = Ops::new(pools, tokens, config.lease_times.times(), &secret);
    let disk = config.database_disk.clone().map(|(path, min_free)| Disk { path, min_free });
    match &config.artifacts_url {
        Some(url) => ops.keep_artifacts_in(Objects::open(url).context("--artifacts-url")?),
        None => tracing::warn!("no artifacts are kept: --artifacts-url is not given"),
    }
    if let Some(url) = &config.ui_url {
        ops.show_ui_at(url.clone());
    }
    ops.limit_storage(StorageLimits { max_database_size: config.max_database_size, disk });
    ops.refresh_revoked(&Access::system("bootstrap")).await?;
    ops.keep_house(&Access::system("bootstrap")).await?;
    if let Some(path) = &config.bootstrap_token_file {
        bootstrap(&ops, path).await?;
    }

    let json =
        TcpListener::bind(config.json_addr).await.with_context(|| format!("cannot listen on {}", config.json_addr))?;
    let rpc =
        TcpListener::bind(config.grpc_addr).await.with_context(|| format!("cannot listen on {}", config.grpc_addr))?;
    let (json_addr, grpc_addr) = (json.local_addr()?, rpc.local_addr()?);

    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    let (died, failures) = mpsc::channel(4);
    background::start(&ops, &tracker, &stop, config.no_scheduler);
    tracker.spawn(upkeep(stop.clone()));

    let app = http::App { ops: ops.clone(), metrics: telemetry::metrics() };
    tracker.spawn(http::serve(json, http::router(app), stop.clone()));

    let routes = grpc::routes(ops.clone());
    let stopping = stop.clone();
    tracker.spawn(async move {
        let served = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(10)))
            .http2_keepalive_timeout(Some(Duration::from_secs(10)))
            .max_concurrent_streams(Some(1024))
            .add_routes(routes)
            .serve_with_incoming_shutdown(TcpIncoming::from(rpc).with_nodelay(Some(true)), stopping.cancelled_owned())
            .await;
        if let Err(error) = served {
            let _ = died.send(anyhow!(error).context("the gRPC API died")).await;
        }
    });
    tracing::info!("the JSON API listens on http://{json_addr}, the gRPC API on http://{grpc_addr}");
    Ok(Running { json_addr, grpc_addr, ops, stop, tracker, failures })
}

/// The metrics recorder wants to be called now and then, or its histograms grow.
async fn upkeep(stop: CancellationToken) {
    let metrics = telemetry::metrics();
    while stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(5))).await.is_some() {
        metrics.run_upkeep();
    }
}

/// Refuses servers that are too old; warns of settings under which an acknowledged run could be lost.
async fn check_database(pool: &Pool) -> anyhow::Result<()> {
    let mut conn = pool.acquire().await?;
    let settings = store::housekeeping::settings(&mut conn).await?;
    if settings.version < 140_000 {
        bail!("PostgreSQL 14 or newer is needed, this is {}", settings.version / 10_000);
    }
    for (name, value) in [
        ("fsync", &settings.fsync),
        ("full_page_writes", &settings.full_page_writes),
        ("synchronous_commit", &settings.synchronous_commit),
    ] {
        if value == "off" {
            tracing::warn!("PostgreSQL runs with {name}=off: a crash of it can lose runs that were acknowledged");
        }
    }
    Ok(())
}

/// Reads the signing keys; a server that has none yet makes one, and the key file if it is missing.
async fn signing_pairs(pool: &Pool, key_file: &Path) -> anyhow::Result<Vec<SigningPair>> {
    let access = Access::system("bootstrap");
    let mut tx = pool.begin().await?;
    store::tokens::lock_bootstrap(&mut tx, &access).await?;
    let stored = store::tokens::signing_keys(&mut tx, &access).await?;
    let key = match (key_file.exists(), stored.is_empty()) {
        (true, _) => SealingKey::read(key_file)?,
        (false, true) => SealingKey::create(key_file)?,
        (false, false) => bail!(
            "the key file {} is missing; it was made when this database was first used, and without it no token can be \
             checked or issued",
            key_file.display()
        ),
    };
    if stored.is_empty() {
        let pair = SigningPair::generate()?;
        let sealed_key = key.seal(&pair.kid, &pair.private)?;
        let row = SealedPair { kid: pair.kid.clone(), public_key: pair.public.clone(), sealed_key };
        store::tokens::insert_signing_key(&mut tx, &access, &row).await?;
        tx.commit().await?;
        return Ok(vec![pair]);
    }
    let open = |row: SealedPair| match key.open(&row.kid, &row.sealed_key) {
        Some(private) => Ok(SigningPair { kid: row.kid, public: row.public_key, private }),
        None => Err(anyhow!("the key file {} is not the one of this database", key_file.display())),
    };
    stored.into_iter().map(open).collect()
}

/// Writes a token for the administrator, unless the file holds a good one. Refused once there is an administrator.
async fn bootstrap(ops: &Ops, path: &Path) -> anyhow::Result<()> {
    if let Ok(text) = std::fs::read_to_string(path)
        && ops.accepts(text.trim()).await?
    {
        return Ok(());
    }
    let access = Access::system("bootstrap");
    let Some(mut turn) = ops.begin_bootstrap(&access).await? else {
        tracing::info!(
            "{} holds no valid token and an administrator's token exists; issue another with `tstr ctl token issue`",
            path.display()
        );
        return Ok(());
    };
    let new = NewToken {
        name: "bootstrap".into(),
        scopes: vec![Scope::Admin, Scope::Control, Scope::Data],
        namespaces: vec![".*".into()],
        expires_in: MAX_EXPIRY,
    };
    let issued = ops.issue_first_token(&mut turn, &access, new).await?;
    // The file first: a token on record whose secret nobody has would lock the administrator out for good, while a file
    // whose token is not on record is written again at the next start.
    write_private(path, &issued.token).with_context(|| format!("cannot write the token to {}", path.display()))?;
    turn.commit().await?;
    tracing::info!("a token for the administrator is in {}", path.display());
    Ok(())
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let _ = std::fs::remove_file(&fresh);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    std::io::Write::write_all(&mut file, format!("{text}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(fresh, path)
}
