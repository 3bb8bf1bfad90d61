//! Connections: how long an answer is waited for, and how a connection is given back.
//!
//! When a machine or a network goes without a word, the operating system keeps its connections for a quarter of an hour,
//! and sqlx waits as long. Here each statement has a limit, all that are under way fail at once when somebody has found
//! out that the connections are dead ([`Line::cut`]), and no connection is in the way of others for long after it was
//! given back. Whoever drops a transaction, or leaves a statement in the middle, need not care.

use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{BoxFuture, FusedFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{ConnectOptions, Connection, Describe, Either, Execute, Executor, PgConnection, PgPool, Postgres, SqlStr};
use tokio::sync::watch;
use tokio::time::timeout;

/// What the database answers, or why it did not.
type Outcome<T> = Result<T, sqlx::Error>;

/// How long a connection that is given back may take to be ready for the next one; else it is closed.
const GIVE_BACK: Duration = Duration::from_secs(5);
/// How long a connection that is held open may take to be opened, while nobody can use the others.
const OPENING: Duration = Duration::from_millis(300);
/// How long a connection that listens hears nothing before it is asked whether it lives, and how long it may take to
/// answer.
const LISTEN_QUIET: Duration = Duration::from_secs(10);
const LISTEN_ANSWER: Duration = Duration::from_secs(5);

/// What the connections of a replica have in common: where it breaks, all of them are dead.
#[derive(Debug, Clone, Default)]
pub struct Line(watch::Sender<()>);

impl Line {
    /// Lets every statement that is under way fail, on connections that were taken before now.
    pub fn cut(&self) {
        self.0.send_replace(());
    }
}

/// The connections of one purpose.
#[derive(Debug, Clone)]
pub struct Pool {
    pool: PgPool,
    /// How long a statement may take.
    limit: Duration,
    /// How many connections are held open, whether they are used or not.
    kept: u32,
    line: Line,
}

impl Pool {
    /// Lets statements on the connections of a pool take up to `limit`; [`Pool::keep_open`] holds `kept` of them open.
    pub fn new(pool: PgPool, limit: Duration, kept: u32, line: &Line) -> Self {
        Self { pool, limit, kept, line: line.clone() }
    }

    /// Takes a connection; waits for one as long as the pool says.
    pub async fn acquire(&self) -> Outcome<Conn> {
        // From before it is taken on: it may be dead by then.
        let line = self.line.0.subscribe();
        Ok(self.lent(self.pool.acquire().await?, line))
    }

    /// Takes a connection and begins a transaction.
    pub async fn begin(&self) -> Outcome<Tx> {
        let mut conn = self.acquire().await?;
        // Before the answer: it may be left in the middle.
        conn.is_open = true;
        conn.execute("BEGIN").await?;
        Ok(Tx(conn))
    }

    fn lent(&self, held: PoolConnection<Postgres>, line: watch::Receiver<()>) -> Conn {
        Conn { held: Some(held), limit: self.limit, line, is_dead: false, is_open: false, is_spoiled: false }
    }

    /// Opens as many connections as are to be held open, as far as the database gives them now.
    ///
    /// sqlx would do that by itself, but takes the places of those that it opens away from everybody for as long as the
    /// operating system tries to connect, which is two minutes where nobody answers.
    pub async fn keep_open(&self) {
        for _ in 0..self.kept {
            if self.pool.size() >= self.kept {
                return;
            }
            let idle = || Some(self.lent(self.pool.try_acquire()?, self.line.0.subscribe()));
            // While these are taken one more is opened.
            let taken: Vec<Conn> = std::iter::from_fn(idle).collect();
            // Not for long: whoever needs one meanwhile has to wait.
            let opened = timeout(OPENING, self.acquire()).await;
            drop(taken);
            if !matches!(opened, Ok(Ok(_))) {
                return;
            }
        }
    }

    /// Closes the connections that nobody uses at this moment, without asking them anything.
    pub fn close_idle(&self) {
        while let Some(mut idle) = self.pool.try_acquire() {
            idle.close_on_drop();
        }
    }

    /// Closes all connections, once nobody uses them any more.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Opens a connection that is none of the pool's. May take as long as the operating system tries.
    pub async fn connect_apart(&self) -> Outcome<Apart> {
        Ok(Apart(self.pool.connect_options().connect().await?))
    }

    /// Returns the line that its connections are on.
    pub fn line(&self) -> &Line {
        &self.line
    }
}

/// A connection that belongs to no pool, and is only asked whether it lives.
#[derive(Debug)]
pub struct Apart(PgConnection);

impl Apart {
    /// Tells whether it answers; asked again it goes on waiting for the same answer.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn answers(&mut self, within: Duration) -> Outcome<bool> {
        match timeout(within, self.0.ping()).await {
            Ok(answer) => answer.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// Ends it, and tells the database.
    pub async fn close(self) {
        // One that is dead is left to itself.
        let _ = timeout(GIVE_BACK, self.0.close()).await;
    }
}

/// A connection, taken from its pool until it is dropped.
#[derive(Debug)]
pub struct Conn {
    held: Option<PoolConnection<Postgres>>,
    limit: Duration,
    line: watch::Receiver<()>,
    /// A statement was given up: what comes next fails.
    is_dead: bool,
    /// A transaction was begun and not ended.
    is_open: bool,
    /// A statement of the transaction failed: PostgreSQL keeps nothing of it, and answers a COMMIT with no error.
    is_spoiled: bool,
}

/// A transaction; what is not committed is rolled back when it is dropped.
#[derive(Debug)]
pub struct Tx(Conn);

impl Conn {
    /// Lets a statement take this long, from now until the connection is given back.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Returns the connection itself, without limits, for tests that look at what it is set to.
    #[cfg(feature = "test-support")]
    pub fn raw(&mut self) -> &mut PgConnection {
        self.watched().conn
    }

    /// Returns the connection, and what ends a statement on it: the error comes when the answer has not come in time.
    fn watched(&mut self) -> Watched<'_> {
        let Self { held, limit, line, is_dead, is_spoiled, .. } = self;
        let limit = if *is_dead { Duration::ZERO } else { *limit };
        let overdue = async move {
            tokio::select! {
                // An error says that the replica is being taken apart.
                _ = line.changed() => lost(),
                () = tokio::time::sleep(limit) => {
                    let why = format!("there was no answer within {limit:?}");
                    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, why))
                }
            }
        };
        let conn = held.as_mut().expect("a connection is there until it is dropped");
        Watched { conn, is_dead, is_spoiled, overdue: Box::pin(overdue.fuse()) }
    }

    async fn bounded<'c, T>(
        &'c mut self,
        ask: impl FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Outcome<T>>,
    ) -> Outcome<T> {
        let Watched { conn, is_dead, is_spoiled, overdue } = self.watched();
        tokio::select! {
            biased;
            answer = ask(conn) => answer.inspect_err(|error| *is_spoiled |= is_refused(error)),
            error = overdue => {
                *is_dead = true;
                Err(error)
            }
        }
    }
}

/// A connection with a statement on it.
struct Watched<'c> {
    conn: &'c mut PgConnection,
    is_dead: &'c mut bool,
    is_spoiled: &'c mut bool,
    overdue: Overdue<'c>,
}

/// Tells whether it was the database that refused a statement.
fn is_refused(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(_))
}

fn lost() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::ConnectionAborted, "the connections to the database are dead"))
}

type Overdue<'c> = Pin<Box<dyn FusedFuture<Output = sqlx::Error> + Send + 'c>>;

impl<'c> Executor<'c> for &'c mut Conn {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Outcome<Either<PgQueryResult, PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let Watched { conn, is_dead, is_spoiled, mut overdue } = self.watched();
        let mut rows = conn.fetch_many(query);
        let next = move |cx: &mut std::task::Context<'_>| match rows.poll_next_unpin(cx) {
            Poll::Pending if !overdue.is_terminated() => overdue.poll_unpin(cx).map(|error| {
                *is_dead = true;
                Some(Err(error))
            }),
            polled => {
                polled.map(|next| next.map(|answer| answer.inspect_err(|error| *is_spoiled |= is_refused(error))))
            }
        };
        stream::poll_fn(next).boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Outcome<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        self.bounded(|conn| conn.fetch_optional(query)).boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Outcome<PgStatement>>
    where
        'c: 'e,
    {
        self.bounded(|conn| conn.prepare_with(sql, parameters)).boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Outcome<Describe<Postgres>>>
    where
        'c: 'e,
    {
        self.bounded(|conn| conn.describe(sql)).boxed()
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        let Some(mut held) = self.held.take() else { return };
        if self.is_dead {
            held.close_on_drop();
            return;
        }
        let is_open = self.is_open;
        let back = async move {
            let given_back = async {
                if is_open {
                    held.execute("ROLLBACK").await?;
                }
                // What sqlx does when it is dropped, but here it is waited for: it reads what is left of an answer, and
                // looks whether the connection lives. Given up, the connection is closed and its place is free.
                held.return_to_pool().await;
                Outcome::Ok(())
            };
            if !matches!(timeout(GIVE_BACK, given_back).await, Ok(Ok(()))) {
                held.close_on_drop();
            }
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(back);
        }
    }
}

impl Tx {
    /// Keeps what was done.
    ///
    /// # Errors
    /// The connection fails, and it is open whether anything is kept; or a statement of the transaction has failed before,
    /// and nothing is.
    pub async fn commit(self) -> Outcome<()> {
        if self.0.is_spoiled {
            self.rollback().await?;
            return Err(sqlx::Error::Protocol(
                "a statement of the transaction failed, so nothing of it is kept".into(),
            ));
        }
        self.end("COMMIT").await
    }

    /// Undoes what was done, now and not only when the connection is used next.
    pub async fn rollback(self) -> Outcome<()> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, word: &'static str) -> Outcome<()> {
        self.0.execute(word).await?;
        self.0.is_open = false;
        Ok(())
    }
}

impl Deref for Tx {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        &self.0
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.0
    }
}

/// Where notifications are heard.
#[derive(Debug, Clone)]
pub struct Listening {
    options: PgConnectOptions,
    wait: Duration,
    line: Line,
    /// The pool of the connection that listens now.
    pool: Arc<Mutex<Option<PgPool>>>,
}

impl Listening {
    /// Names the address, and how long is waited for a connection to it.
    pub fn new(options: PgConnectOptions, wait: Duration, line: &Line) -> Self {
        Self { options, wait, line: line.clone(), pool: Arc::default() }
    }

    fn replace_pool(&self, with: Option<PgPool>) -> Option<PgPool> {
        std::mem::replace(&mut *self.pool.lock().unwrap_or_else(PoisonError::into_inner), with)
    }

    /// Opens a connection and listens on a channel.
    pub async fn listen(&self, channel: &str) -> Outcome<Listener> {
        let line = self.line.0.subscribe();
        // A pool of its own each time: one whose connection is dead is left to itself, and is in nobody's way.
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(self.wait);
        let pool = pool.max_lifetime(None).idle_timeout(None).connect_lazy_with(self.options.clone());
        self.replace_pool(Some(pool.clone()));
        let begin = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(channel).await?;
            Ok(Listener { listener, line })
        };
        timeout(self.wait * 2, begin).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Closes the connection, once nobody listens any more.
    pub async fn close(&self) {
        if let Some(pool) = self.replace_pool(None) {
            // One that is dead is left to itself.
            let _ = timeout(GIVE_BACK, pool.close()).await;
        }
    }
}

/// A connection that hears notifications.
pub struct Listener {
    listener: PgListener,
    line: watch::Receiver<()>,
}

impl Listener {
    /// Waits for the next notification, and returns its text; `None` when some may have been missed.
    ///
    /// # Errors
    /// The connection has ended, or does not answer when it is asked.
    pub async fn next(&mut self) -> Outcome<Option<String>> {
        loop {
            let heard = {
                let mut next = pin!(timeout(LISTEN_QUIET, self.listener.try_recv()));
                tokio::select! {
                    heard = &mut next => heard,
                    _ = self.line.changed() => return Err(lost()),
                }
            };
            match heard {
                Ok(heard) => return Ok(heard?.map(|notification| notification.payload().to_owned())),
                Err(_) => {
                    // Who only listens never finds out that nobody speaks any more.
                    let answered = timeout(LISTEN_ANSWER, self.listener.execute("SELECT 1")).await;
                    answered.map_err(|_| sqlx::Error::PoolTimedOut)??;
                }
            }
        }
    }
}
