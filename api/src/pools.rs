//! The connections of a replica: which there are, what they are set to, and which way they take to the database.
//!
//! A connection of its own to PostgreSQL sets itself up when it begins. Behind a pooler in transaction mode there is no
//! such beginning: what one client sets, another finds. There the pooler sets its connections up, apart by purpose, and
//! a replica refuses to start where it has not (docs/adr/0009-poolers-set-their-connections-up.md).

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

use crate::config::Config;
use crate::ops::{Pools, Standby};
use crate::store::{Line, Listening, Pool, housekeeping};

/// How long a request waits for a connection. A request may then wait for two locks, the one of a quota and another, each
/// for the `lock_timeout` of [`EVERYWHERE`], and is still answered within 5 s.
const ACQUIRE: Duration = Duration::from_millis(1500);
/// How long a list waits for a connection to the standby; then the primary is asked.
const ACQUIRE_STANDBY: Duration = Duration::from_secs(1);

/// How long a statement may take; the server itself gives up earlier, by its `statement_timeout`. So
/// beyond this the server is not heard any more.
const LIMIT: Duration = Duration::from_secs(35);
/// How long a statement for heartbeats may take; the server gives up earlier here as well ([`UNHURRIED`]). A worker repeats
/// its heartbeat rather than to wait any longer.
const BEAT_LIMIT: Duration = Duration::from_secs(5);

/// A setting by its name, with its value as `pg_settings` shows it; times are milliseconds.
type Setting = (&'static str, &'static str);

/// What all connections are set to.
const EVERYWHERE: &[Setting] = &[
    ("idle_in_transaction_session_timeout", "10000"),
    ("lock_timeout", "1500"),
    // Statements name their rows by key, so one plan serves all arguments; planning anew for every call, over the
    // partitions of all days, costs several times the work. Lists, whose conditions vary, ask for their own plans.
    ("plan_cache_mode", "force_generic_plan"),
    // To compile a query would cost more than any of ours takes.
    ("jit", "off"),
];
/// How long a statement may take that is none for heartbeats.
const HURRIED: Setting = ("statement_timeout", "30000");
/// A claim is an index probe; a plan that was made while the queue was empty must not become a scan of all of it.
const PROBES: &[Setting] =
    &[("statement_timeout", "30000"), ("enable_seqscan", "off"), ("enable_bitmapscan", "off"), ("enable_sort", "off")];
/// A lost heartbeat is repeated, so its commit does not wait for the disk, and it holds no leases up for long.
const UNHURRIED: &[Setting] = &[("statement_timeout", "4000"), ("synchronous_commit", "off")];
/// The standby takes no writes anyway; one that has been made a primary meanwhile shall not either.
const READING: &[Setting] = &[HURRIED, ("default_transaction_read_only", "on")];

/// When the server takes a replica for dead that says nothing any more, and what it holds is free for others: after 25 s.
/// These are for the server's end of a connection, and mean nothing on a socket of the same machine; the replica's own end
/// has the limits of each statement, and the pulse (`ops/pulse.rs`).
const UNHEARD: &[Setting] = &[
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "25000"),
    // A statement whose connection was given up ends as well, instead of holding its locks to its end.
    ("client_connection_check_interval", "2000"),
];

/// What sqlx calls the statements that it prepares, as far as they reach PostgreSQL under this name.
const OWN_NAMES: &str = "sqlx_s_";

/// Opens the connections of a replica.
pub async fn connect(config: &Config) -> anyhow::Result<Pools> {
    let (claims, beats) = ((config.pg_connections * 3 / 10).max(1), (config.pg_connections / 10).max(1));
    // One feels the pulse; without a pooler another one listens.
    let apart = if config.pg_pooled { 1 } else { 2 };
    let dsn = options(&config.pg_dsn)?;
    let line = Line::default();
    let open = async |size: u32, kept: u32, limit: Duration, purpose: &str, also: &[Setting]| {
        let settings: Vec<Setting> = [EVERYWHERE, also].concat();
        let options = match config.pg_pooled {
            true => behind_pooler(&dsn, purpose)?,
            false => dsn.clone().options(settings.iter().chain(UNHEARD).copied()),
        };
        let database = options.get_database().unwrap_or_default().to_owned();
        let pool = PgPoolOptions::new().max_connections(size).acquire_timeout(ACQUIRE);
        // Those that are held open are not given up for their age: there may be no other.
        let pool = if kept == size { pool.max_lifetime(None).idle_timeout(None) } else { pool };
        let pool = pool.connect_lazy_with(options);
        let pool = Pool::new(pool, limit, kept, &line);
        let checked = check(&pool, config.pg_pooled, &settings).await;
        checked.with_context(|| format!("the database {database:?} at --pg-dsn cannot be used"))?;
        // Those that are missing now are opened later.
        pool.keep_open().await;
        anyhow::Ok(pool)
    };
    let main = open(config.pg_connections - claims - beats - apart, 1, LIMIT, "", &[HURRIED]).await?;
    let claim = open(claims, 1, LIMIT, "_claim", PROBES).await?;
    // All of them are opened now and kept: a server that has no connections left later must not cost leases.
    let beat = open(beats, beats, BEAT_LIMIT, "_beat", UNHURRIED).await?;
    let listening = match &config.pg_direct_dsn {
        Some(dsn) => Some(options(dsn)?),
        None if config.pg_pooled => {
            tracing::info!("there is no way past the pooler: what other replicas do is looked for once a second");
            None
        }
        None => Some(dsn),
    };
    let listen = match listening {
        Some(options) => Some(listening_on(options, &line).await?),
        None => None,
    };
    let standby = config.pg_replica_dsn.as_deref().map(|dsn| standby(config, dsn, &line)).transpose()?;
    Ok(Pools { main, claim, beat, listen, standby })
}

fn options(dsn: &str) -> anyhow::Result<PgConnectOptions> {
    Ok(PgConnectOptions::from_str(dsn)?.application_name("tstr-api"))
}

/// Addresses the connections of one purpose at a pooler; it knows the database once for each.
fn behind_pooler(dsn: &PgConnectOptions, purpose: &str) -> anyhow::Result<PgConnectOptions> {
    let database = dsn.get_database().ok_or_else(|| anyhow!("--pg-dsn names no database"))?;
    // pgbouncer refuses this parameter, and nothing here reads numbers as text.
    Ok(dsn.clone().database(&format!("{database}{purpose}")).extra_float_digits(None))
}

/// Finds out whether a connection that listens can be opened. Nothing but LISTEN is said on it, so nothing is set.
async fn listening_on(options: PgConnectOptions, line: &Line) -> anyhow::Result<Listening> {
    let options = options.options(UNHEARD.iter().copied());
    let conn = tokio::time::timeout(ACQUIRE, options.connect()).await.map_err(anyhow::Error::from);
    let conn = conn.and_then(|conn| Ok(conn?)).context("the database that notifications come from cannot be used")?;
    conn.close().await?;
    Ok(Listening::new(options, ACQUIRE, line))
}

/// Prepares the connections to the standby. It may be away, also now: then the primary is asked.
fn standby(config: &Config, dsn: &str, line: &Line) -> anyhow::Result<Standby> {
    let options = options(dsn)?.options([EVERYWHERE, READING, UNHEARD].concat());
    let pool = PgPoolOptions::new().max_connections((config.pg_connections / 2).max(1));
    let pool = pool.acquire_timeout(ACQUIRE_STANDBY).connect_lazy_with(options);
    let pool = Pool::new(pool, LIMIT, 0, line);
    Ok(Standby { pool, most_behind: Duration::from_secs(config.pg_replica_lag_secs.into()) })
}

/// Refuses connections that are not what they must be: their settings, and who keeps prepared statements.
async fn check(pool: &Pool, pooled: bool, settings: &[Setting]) -> anyhow::Result<()> {
    // A server that begins just now gets a second chance.
    let first = match pool.begin().await {
        Err(sqlx::Error::PoolTimedOut) => pool.begin().await,
        first => first,
    };
    let mut tx = first.context("cannot reach PostgreSQL")?;
    const ADVICE: &str = "--pg-pooled needs pgbouncer 1.21 or newer in transaction mode with max_prepared_statements \
                          above 0 (docs/scaling.md)";
    let name = match housekeeping::own_name(&mut tx).await {
        Ok(name) => name,
        // The statement of another client has the name already, or this one was prepared elsewhere.
        Err(error) if pooled && housekeeping::is_statement_mix_up(&error) => bail!("{ADVICE}: {error}"),
        Err(error) => return Err(error.into()),
    };
    let is_ours = name.as_deref().is_some_and(|name| name.starts_with(OWN_NAMES));
    match (pooled, is_ours) {
        (true, true) => bail!("prepared statements reach PostgreSQL under our names; {ADVICE}"),
        (false, false) => bail!("there is a pooler in between; say --pg-pooled (docs/scaling.md)"),
        (true, false) | (false, true) => {}
    }
    let (names, values): (Vec<String>, Vec<String>) =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).unzip();
    let differ = housekeeping::differing(&mut tx, &names, &values).await?;
    ensure!(
        differ.is_empty(),
        "its connections are not set as they must be; the pooler's connect_query is to set {} (docs/scaling.md)",
        differ.join(", ")
    );
    Ok(())
}
