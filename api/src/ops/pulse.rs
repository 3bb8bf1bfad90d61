//! The pulse: whether connections that stand still carry anything.
//!
//! A machine that loses its power, or a network that loses a way, closes no connection. A query then waits for its limit
//! and longer, though a new connection would be answered: a standby has the address by now, or the machine is back. So a
//! connection that does nothing else is asked every few seconds. Where it is silent while a new one is answered, all
//! connections from before are taken for dead: what is under way on them fails, to be repeated, and they are closed.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Ops;
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};
use crate::store::Apart;

/// How long an answer is waited for in one turn.
const ANSWER: Duration = Duration::from_secs(3);
/// How long the connection must be silent before a new one is asked.
const SILENCE: Duration = Duration::from_secs(10);
/// How long a new connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long the old one may take once a new one has answered: where all stood still for a while, all go on together.
const LAST_CHANCE: Duration = Duration::from_millis(500);

/// The connection that is asked.
#[derive(Debug, Default)]
pub(super) struct Pulse(Mutex<Option<Felt>>);

#[derive(Debug)]
struct Felt {
    conn: Apart,
    silent_since: Option<Instant>,
}

impl Pulse {
    fn take(&self) -> Option<Felt> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, conn: Apart, silent_since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Felt { conn, silent_since });
    }

    /// Closes the connection.
    pub(super) async fn close(&self) {
        if let Some(felt) = self.take() {
            felt.conn.close().await;
        }
    }
}

impl Ops {
    /// Looks whether connections that stand still carry anything; tells whether it is to be looked again soon. Opens those
    /// that are to be kept open.
    ///
    /// # Errors
    /// The database does not answer, on old connections and on new ones.
    pub async fn feel_pulse(&self, _: &Access<System>) -> Result<bool> {
        let (pools, pulse) = (&self.0.pools, &self.0.pulse);
        let Some(Felt { mut conn, silent_since }) = pulse.take() else {
            pulse.put(self.connect_apart().await?, None);
            return Ok(false);
        };
        let asked = Instant::now();
        match conn.answers(ANSWER).await {
            Ok(true) => {
                pulse.put(conn, None);
                // Not at the same time: each waits for a connection as long as a request would.
                for pool in [&pools.beat, &pools.claim, &pools.main] {
                    pool.keep_open().await;
                }
                return Ok(false);
            }
            // It was closed, as connections are when a server stops: everybody is told of that.
            Err(_) => {
                pulse.put(self.connect_apart().await?, None);
                return Ok(false);
            }
            Ok(false) => {}
        }
        let since = silent_since.unwrap_or(asked);
        if since.elapsed() < SILENCE {
            pulse.put(conn, Some(since));
            return Ok(true);
        }
        let fresh = match self.connect_apart().await {
            Ok(fresh) => fresh,
            Err(error) => {
                pulse.put(conn, Some(since));
                return Err(error);
            }
        };
        if matches!(conn.answers(LAST_CHANCE).await, Ok(true)) {
            pulse.put(conn, None);
            return Ok(false);
        }
        metrics::counter!("tstr_pg_connections_cut_total").increment(1);
        let silent = since.elapsed().as_secs();
        tracing::error!(
            silent,
            "connections to the database were silent for {silent} s while a new one is answered: they are closed"
        );
        pools.main.line().cut();
        for pool in [&pools.main, &pools.claim, &pools.beat] {
            pool.close_idle();
        }
        pulse.put(fresh, None);
        Ok(false)
    }

    /// Opens a connection beside the pools, and waits until it has answered.
    async fn connect_apart(&self) -> Result<Apart> {
        let silent = |_| Error::unavailable(anyhow::anyhow!("no new connection was answered within {CONNECT:?}"));
        tokio::time::timeout(CONNECT, self.connected_apart()).await.map_err(silent)?
    }

    async fn connected_apart(&self) -> Result<Apart> {
        let mut conn = self.db().connect_apart().await?;
        while !conn.answers(CONNECT).await? {}
        Ok(conn)
    }
}
