//! The schema, brought up to date without holding everybody up.
//!
//! Most migrations need a table for themselves for a moment. While one waits for that behind somebody who reads for long,
//! all who come after it wait too, so it does not wait for long: it gives up, lets the others go first, and tries again. So
//! it does when it needs several tables and somebody else took them in another order.
//! Migrations are applied one by one, each in a transaction of its own; what was applied stays.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use sqlx::PgConnection;
use sqlx::migrate::{Migrate, MigrateError, Migrator};
use tokio::time::Instant;

use super::error::{is_deadlock, is_lock_timeout};

/// How long a migration waits for a lock, and with it those who come behind it.
const LOCK: &str = "2s";
/// How long it then lets the others go first.
const PAUSE: Duration = Duration::from_secs(3);
/// How long it is tried.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often it is looked who is in the way.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Applies the migrations that are missing. `aside` is another connection, by which it is found out who is in the way.
///
/// # Errors
/// A migration fails, or somebody was in the way for five minutes.
pub async fn migrate(conn: &mut PgConnection, aside: &mut PgConnection) -> anyhow::Result<()> {
    let mut migrator = sqlx::migrate!("../migrations");
    // One replica at a time. Whoever has the turn may need long, so this is waited for without a limit.
    conn.lock().await.context("take the turn to migrate")?;
    migrator.set_locking(false);
    // The next release may have migrated already: this one still runs on its schema, and may have to be started again.
    migrator.set_ignore_missing(true);
    let outcome = apply_all(&migrator, conn, aside).await;
    conn.unlock().await.context("give the turn to migrate back")?;
    outcome
}

async fn apply_all(migrator: &Migrator, conn: &mut PgConnection, aside: &mut PgConnection) -> anyhow::Result<()> {
    let pid = sqlx::query_scalar!(r#"SELECT pg_backend_pid() AS "pid!""#).fetch_one(&mut *conn).await?;
    for one in migrator.iter() {
        // What makes an index beside those who write waits for all of them; given up it would leave half an index behind.
        let limit = if one.no_tx { "0" } else { LOCK };
        sqlx::query!("SELECT set_config('lock_timeout', $1, false)", limit).fetch_one(&mut *conn).await?;
        let began = Instant::now();
        loop {
            let (applied, in_the_way) = watched(migrator.run_direct(Some(one.version), conn, false), aside, pid).await;
            let error = match applied {
                Ok(()) => break,
                Err(MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _))
                    if is_lock_timeout(&cause) || is_deadlock(&cause) =>
                {
                    cause
                }
                Err(error) => return Err(error.into()),
            };
            let what = format!("migration {} waits for {}", one.version, in_the_way.as_deref().unwrap_or("somebody"));
            if began.elapsed() > PATIENCE {
                return Err(anyhow::Error::from(error).context(what));
            }
            tracing::warn!("{what}; it lets others go first and tries again");
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Waits for a migration; says who was in its way when it was looked at last.
async fn watched(
    apply: impl Future<Output = Result<(), MigrateError>>,
    aside: &mut PgConnection,
    pid: i32,
) -> (Result<(), MigrateError>, Option<String>) {
    let (mut apply, mut in_the_way) = (pin!(apply), None);
    loop {
        match tokio::time::timeout(LOOK_EVERY, &mut apply).await {
            Ok(applied) => return (applied, in_the_way),
            // Not to know it is no reason to fail.
            Err(_) => in_the_way = blockers(aside, pid).await.ok().filter(|names| !names.is_empty()).or(in_the_way),
        }
    }
}

/// Names those that a connection waits for, and since when their transactions last.
async fn blockers(conn: &mut PgConnection, pid: i32) -> Result<String, sqlx::Error> {
    let names = sqlx::query_scalar!(
        r#"SELECT format('the connection %s (%s of %s, %s, in a transaction for %s s)', a.pid,
                         coalesce(nullif(a.application_name, ''), a.backend_type), coalesce(a.usename, 'the server'),
                         a.state, extract(epoch FROM clock_timestamp() - a.xact_start)::int) AS "name!"
           FROM unnest(pg_blocking_pids($1)) AS b(pid) JOIN pg_stat_activity a ON a.pid = b.pid
           ORDER BY a.xact_start"#,
        pid
    );
    Ok(names.fetch_all(conn).await?.join(" and "))
}
