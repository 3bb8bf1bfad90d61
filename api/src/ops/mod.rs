//! The use cases: one method is one use case and one transaction.
//!
//! Methods decide what happens and in which order; they know nothing of HTTP or gRPC and contain no SQL. Every method
//! takes the [`Caller`]; the few that our own loops call take [`Access<System>`] instead.

mod admission;
mod appends;
pub mod artifacts;
pub mod beats;
pub mod blobs;
mod case_reads;
mod causes;
mod cells;
pub mod claims;
mod clock;
mod combine;
mod compare;
mod configs;
mod cursor;
mod dashboard;
mod desk;
pub mod digest;
mod elsewhere;
mod enqueue;
pub mod events;
mod explain;
pub mod gates;
mod grid;
mod idempotency;
mod known;
mod ledger;
mod log_tail;
pub mod logs;
pub mod memory;
mod namespaces;
mod outages;
mod outputs;
pub mod placement;
mod pulse;
mod quarantine;
mod reads;
pub mod recovery;
mod reports;
mod results;
pub mod retention;
mod retries;
pub mod rollups;
pub mod runners;
pub mod runs;
pub mod scheduling;
mod seals;
mod series;
pub mod sessions;
pub mod skips;
pub mod storage;
mod summary;
pub mod testdefs;
mod timeline;
mod timetable;
pub mod tokens;
mod uploads;
mod versions;
mod views;
pub mod vitals;
pub mod wake;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, Utc};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tstr_shared::ids::{RunnerId, TokenId};
use tstr_shared::lease::{Fence, LeaseTimes};
use tstr_shared::logs::LogOffsets;
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::{Permission, RunsExecute};
use uuid::Uuid;

pub use self::idempotency::IdempotencyKey;
use crate::auth::Caller;
use crate::auth::access::{Access, System};
use crate::auth::verify::Tokens;
use crate::error::{Error, Result};
use crate::objects::Objects;
use crate::store::claims::OwnLease;
use crate::store::namespaces::NamespaceRow;
use crate::store::{self, Listener, Listening, Pool, Tx};

/// The connections of a replica, apart by purpose so that one kind of work cannot starve another.
#[derive(Debug, Clone)]
pub struct Pools {
    /// Ordinary work.
    pub main: Pool,
    /// Claims and walks over the queue; planned for index probes only, whatever the statistics say.
    pub claim: Pool,
    /// Heartbeats, and what a request needs while it holds another connection: nobody who holds one of these waits for
    /// one of the others. They commit without waiting for the disk, a lost heartbeat is repeated.
    pub beat: Pool,
    /// Where notifications of other replicas are heard; absent where a pooler is in the way.
    pub listen: Option<Listening>,
    /// Where lists are read while it is near enough.
    pub standby: Option<Standby>,
}

/// A copy of the database that takes no writes and is a little behind.
#[derive(Debug, Clone)]
pub struct Standby {
    /// The connections to it.
    pub pool: Pool,
    /// Lists are read from it while it is not further behind than this.
    pub most_behind: Duration,
}

/// All use cases. Cheap to clone.
#[derive(Clone)]
pub struct Ops(Arc<Inner>);

struct Inner {
    pools: Pools,
    tokens: Tokens,
    times: LeaseTimes,
    cursor_key: cursor::CursorKey,
    wake: wake::Wake,
    placement: placement::Placement,
    desks: desk::Desks,
    runners: known::KnownRunners,
    configs: configs::KnownConfigs,
    /// The timeline of the database that classes and configurations were read on; empty before the first look.
    timeline: Mutex<String>,
    skips: skips::KnownSkips,
    ends: appends::KnownEnds,
    starts: combine::Combiners<(Access<RunsExecute>, OwnLease), DateTime<Utc>>,
    finishes: combine::Combiners<claims::Report, Option<LogOffsets>>,
    beats: combine::Combiners<beats::Beat, Option<beats::Heartbeat>>,
    namespaces: RwLock<NamespaceCache>,
    /// Whoever has it reads the namespaces; the others wait for what that one finds.
    namespaces_turn: tokio::sync::Mutex<()>,
    days: Mutex<HashSet<NaiveDate>>,
    seen: Mutex<Seen>,
    clock: clock::DatabaseClock,
    behind: Mutex<reads::Behind>,
    pulse: pulse::Pulse,
    closing: CancellationToken,
    storage: storage::Storage,
    pace: scheduling::Pace,
    /// Where artifacts are kept.
    objects: OnceLock<Objects>,
    /// The turns to upload their contents.
    uploads: uploads::Turns,
    /// The turns to read reports.
    readings: Semaphore,
    digest_batch: digest::Batch,
    /// Runs of which it could not be told what they changed.
    untold: memory::Failures,
    /// The turns to take in reports that people upload.
    intakes: Semaphore,
    /// How far the contents were looked at.
    blob_walk: Mutex<Uuid>,
    /// Where news for streams of events comes together.
    events: events::hub::Hub,
    /// How namespaces were at the last look.
    boards: dashboard::Boards,
    /// Where the web UI is.
    ui_url: OnceLock<String>,
    /// Wakes the loop that carries out ordered cancels.
    orders: tokio::sync::Notify,
}

/// What was used since the last flush.
#[derive(Default)]
struct Seen {
    tokens: HashSet<TokenId>,
    runners: HashSet<RunnerId>,
}

#[derive(Default)]
struct NamespaceCache {
    rows: Arc<Vec<NamespaceRow>>,
    /// From before they were read.
    read_at: Option<Instant>,
    /// When they could not be read the last time.
    failed_at: Option<Instant>,
    /// How often they were changed here.
    changes: u64,
}

/// How many starts, or ends, of runs one transaction carries at most.
const MOST_COMBINED: usize = 64;
/// How many such transactions go on at the same time.
const COMBINED_AT_ONCE: usize = 2;
/// How long a replica trusts its list of namespaces.
const NAMESPACES_FRESH: Duration = Duration::from_secs(2);

impl Ops {
    /// Puts the use cases together. `cursor_secret` must be the same on all replicas.
    pub fn new(pools: Pools, tokens: Tokens, times: LeaseTimes, cursor_secret: &[u8]) -> Self {
        Self(Arc::new(Inner {
            pools,
            tokens,
            times,
            cursor_key: cursor::CursorKey::new(cursor_secret),
            wake: wake::Wake::default(),
            placement: placement::Placement::default(),
            desks: desk::Desks::default(),
            runners: known::KnownRunners::default(),
            configs: configs::KnownConfigs::default(),
            timeline: Mutex::default(),
            skips: skips::KnownSkips::default(),
            ends: appends::KnownEnds::default(),
            starts: combine::Combiners::new(MOST_COMBINED, COMBINED_AT_ONCE),
            finishes: combine::Combiners::new(MOST_COMBINED, COMBINED_AT_ONCE),
            beats: combine::Combiners::new(beats::MOST, COMBINED_AT_ONCE).gathering(beats::GATHER),
            namespaces: RwLock::default(),
            namespaces_turn: tokio::sync::Mutex::default(),
            days: Mutex::default(),
            seen: Mutex::default(),
            clock: clock::DatabaseClock::default(),
            behind: Mutex::default(),
            pulse: pulse::Pulse::default(),
            closing: CancellationToken::new(),
            storage: storage::Storage::default(),
            pace: scheduling::Pace::default(),
            objects: OnceLock::new(),
            uploads: uploads::Turns::default(),
            readings: Semaphore::new(reports::READINGS_AT_ONCE),
            digest_batch: digest::Batch::default(),
            untold: memory::Failures::default(),
            intakes: Semaphore::new(elsewhere::INTAKES_AT_ONCE),
            blob_walk: Mutex::default(),
            events: events::hub::Hub::default(),
            boards: dashboard::Boards::default(),
            ui_url: OnceLock::new(),
            orders: tokio::sync::Notify::new(),
        }))
    }

    /// Turns a bearer into a caller.
    pub async fn authenticate(&self, bearer: &str) -> Result<Caller> {
        let caller = self.0.tokens.verify(bearer, self.0.clock.now())?;
        self.note_used(&caller);
        Ok(caller)
    }

    fn note_used(&self, caller: &Caller) {
        if let Ok(mut seen) = self.0.seen.lock() {
            seen.tokens.insert(caller.token_id());
        }
    }

    /// Refuses a caller whose token was revoked or has expired since its request began. For requests that last.
    fn still_holds(&self, caller: &Caller) -> Result<()> {
        self.0.tokens.still_holds(caller, self.0.clock.now())
    }

    /// Tells whether this replica can serve: the database answers and takes writes.
    pub async fn ready(&self) -> Result<()> {
        let mut conn = self.db().acquire().await?;
        match store::housekeeping::check(&mut conn).await? {
            true => Ok(()),
            false => Err(Error::unavailable(anyhow::anyhow!("the database is read-only"))),
        }
    }

    /// Begins to stop: whoever waits is answered now.
    pub fn close(&self) {
        self.0.closing.cancel();
    }

    /// Closes the connections, once nobody uses them any more.
    pub async fn disconnect(&self) {
        let pools = &self.0.pools;
        tokio::join!(pools.main.close(), pools.claim.close(), pools.beat.close(), self.0.pulse.close());
        if let Some(listen) = &pools.listen {
            listen.close().await;
        }
        if let Some(standby) = &pools.standby {
            standby.pool.close().await;
        }
    }

    /// Opens a connection that listens on a channel; `None` where no way leads past the pooler.
    pub async fn listener(&self, channel: &str) -> Result<Option<Listener>> {
        let Some(listening) = &self.0.pools.listen else { return Ok(None) };
        Ok(Some(listening.listen(channel).await?))
    }

    /// Takes the turn to make the first administrator's token; `None` when there is one already.
    pub async fn begin_bootstrap(&self, access: &Access<System>) -> Result<Option<Tx>> {
        let mut tx = self.db().begin().await?;
        store::tokens::lock_bootstrap(&mut tx, access).await?;
        let found = store::tokens::has_admin(&mut tx, access).await?;
        Ok((!found).then_some(tx))
    }

    /// Returns the durations that leases go by.
    pub fn lease_times(&self) -> LeaseTimes {
        self.0.times
    }

    /// Returns what wakes those who wait.
    pub fn wake(&self) -> &wake::Wake {
        &self.0.wake
    }

    fn db(&self) -> &Pool {
        &self.0.pools.main
    }

    /// Proves a permission in one namespace.
    async fn enter<P: Permission>(&self, caller: &Caller, ns: &Namespace) -> Result<Access<P>> {
        let find = |rows: &[NamespaceRow]| rows.iter().find(|row| row.reference.name == ns.as_str()).cloned();
        let mut found = find(&self.namespace_rows(false).await?);
        if found.is_none() && caller.namespaces().matches(ns.as_str()) {
            // It may be newer than the list.
            found = find(&self.namespace_rows(true).await?);
        }
        caller.may::<P>(found.as_ref().map(|row| &row.reference))
    }

    /// Proves a permission in all namespaces that the caller sees.
    async fn reach<P: Permission>(&self, caller: &Caller) -> Result<Access<P>> {
        let rows = self.namespace_rows(false).await?;
        let all: Vec<_> = rows.iter().map(|row| row.reference.clone()).collect();
        caller.may_in_any::<P>(&all)
    }

    async fn namespace_rows(&self, fresh: bool) -> Result<Arc<Vec<NamespaceRow>>> {
        let asked = Instant::now();
        let known = || {
            let cache = self.0.namespaces.read().unwrap_or_else(PoisonError::into_inner);
            let is_good = |at: Instant| if fresh { at >= asked } else { at.elapsed() < NAMESPACES_FRESH };
            cache.read_at.is_some_and(is_good).then(|| cache.rows.clone())
        };
        if let Some(rows) = known() {
            return Ok(rows);
        }
        // Thousands may ask at once, and the connections are those that heartbeats need.
        let _turn = self.0.namespaces_turn.lock().await;
        if let Some(rows) = known() {
            return Ok(rows);
        }
        let changes = {
            let cache = self.0.namespaces.read().unwrap_or_else(PoisonError::into_inner);
            // Nobody waits for as many failures as there were people before him.
            if cache.failed_at.is_some_and(|at| at >= asked) {
                return Err(Error::unavailable(anyhow::anyhow!("the namespaces could not be read")));
            }
            cache.changes
        };
        let began = Instant::now();
        let read = async {
            let mut conn = self.0.pools.beat.acquire().await?;
            store::namespaces::all(&mut conn).await
        };
        let read = read.await;
        let mut cache = self.0.namespaces.write().unwrap_or_else(PoisonError::into_inner);
        let rows = Arc::new(read.inspect_err(|_| cache.failed_at = Some(Instant::now()))?);
        if cache.changes == changes {
            (cache.rows, cache.read_at) = (rows.clone(), Some(began));
        }
        Ok(rows)
    }

    fn forget_namespaces(&self) {
        if let Ok(mut cache) = self.0.namespaces.write() {
            cache.read_at = None;
            cache.changes += 1;
        }
    }

    /// Makes sure that runs of these instants have a partition to lie in.
    async fn ensure_days(&self, instants: &[DateTime<Utc>]) -> Result<()> {
        // Retention may have dropped a day that is over since it was seen.
        let lasting = Utc::now().date_naive() - chrono::Duration::days(1);
        let missing: Vec<NaiveDate> = {
            let Ok(days) = self.0.days.lock() else { return Ok(()) };
            let is_there = |day: &NaiveDate| *day >= lasting && days.contains(day);
            instants.iter().map(|at| at.date_naive()).filter(|day| !is_there(day)).collect()
        };
        for day in missing {
            let mut conn = self.0.pools.beat.acquire().await?;
            store::housekeeping::ensure_partitions(&mut conn, day, day).await?;
            if let Ok(mut days) = self.0.days.lock() {
                days.insert(day);
            }
        }
        Ok(())
    }
}

/// Names a lease by its fence and by who says that it is theirs.
fn own_lease(caller: &Caller, access: &Access<RunsExecute>, runner: RunnerId, fence: Fence) -> OwnLease {
    OwnLease { fence, runner, token: caller.token_id(), actor: format!("runner:{runner} {}", access.actor()) }
}
