//! Runners.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use tstr_shared::ids::{RunnerId, TokenId};
use tstr_shared::permission::{RunnersRead, RunnersWrite, RunsExecute, TestsWrite};
use tstr_shared::runner::{NewRunner, OFFLINE_AFTER_SECS, Runner, RunnerAbout, RunnerState, Unfit};
use tstr_shared::selector::SelectorSources;

use super::Conn;
use super::claims::{Asker, interval};
use crate::auth::access::{Access, System};
use crate::error::Result;

struct RunnerRow {
    id: RunnerId,
    name: String,
    namespaces: Vec<String>,
    accept: Json<BTreeMap<String, String>>,
    reject: Json<BTreeMap<String, String>>,
    slots: i16,
    slots_used: i64,
    about: Json<RunnerAbout>,
    draining: bool,
    unfit: Option<Unfit>,
    live: bool,
    registered_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
}

impl From<RunnerRow> for Runner {
    fn from(row: RunnerRow) -> Self {
        let state = match (row.live, row.draining) {
            (false, _) => RunnerState::Offline,
            (true, true) => RunnerState::Draining,
            (true, false) => RunnerState::Live,
        };
        Self {
            id: row.id,
            name: row.name,
            state,
            draining: row.draining,
            unfit: row.unfit,
            namespaces: row.namespaces,
            accept: row.accept.0,
            reject: row.reject.0,
            slots: row.slots.unsigned_abs(),
            slots_used: u16::try_from(row.slots_used).unwrap_or(u16::MAX),
            about: row.about.0,
            registered_at: row.registered_at,
            last_seen_at: row.last_seen_at,
        }
    }
}

macro_rules! runner_query {
    ($tail:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            RunnerRow,
            r#"SELECT w.id AS "id: RunnerId", w.name, w.namespaces,
                      w.accept AS "accept: Json<BTreeMap<String, String>>",
                      w.reject AS "reject: Json<BTreeMap<String, String>>", w.slots,
                      (SELECT count(*) FROM lease l WHERE l.runner_id = w.id) AS "slots_used!",
                      w.about AS "about: Json<RunnerAbout>", w.draining, w.unfit AS "unfit: Unfit",
                      w.last_seen_at > clock_timestamp() - make_interval(secs => $1) AS "live!",
                      w.registered_at, w.last_seen_at
               FROM runner w "# + $tail,
            OFFLINE_AFTER_SECS as f64
            $(, $arg)*
        )
    };
}

/// Lists runners by id, behind `after`; the caller leaves out those that it does not see.
pub async fn list(
    conn: &mut Conn,
    _: &Access<RunnersRead>,
    after: Option<RunnerId>,
    limit: i64,
) -> Result<Vec<Runner>> {
    let rows =
        runner_query!("WHERE ($2::uuid IS NULL OR w.id > $2) ORDER BY w.id LIMIT $3", after.map(|id| id.0), limit);
    Ok(rows.fetch_all(conn).await?.into_iter().map(Runner::from).collect())
}

/// Permissions under which a single runner may be read.
pub trait ReadsRunners {}
impl ReadsRunners for RunnersRead {}
impl ReadsRunners for RunnersWrite {}

/// Reads a runner.
pub async fn get<P: ReadsRunners>(conn: &mut Conn, _: &Access<P>, id: RunnerId) -> Result<Option<Runner>> {
    let row = runner_query!("WHERE w.id = $2", id.0);
    Ok(row.fetch_optional(conn).await?.map(Runner::from))
}

/// Lets a runner drain, or take runs again.
pub async fn set_draining(conn: &mut Conn, _: &Access<RunnersWrite>, id: RunnerId, draining: bool) -> Result<()> {
    sqlx::query!("UPDATE runner SET draining = $2 WHERE id = $1", id.0, draining).execute(conn).await?;
    Ok(())
}

/// What placement must know of a runner.
#[derive(Debug, Clone, Default)]
pub struct RunnerSelectors {
    /// The selectors of its token.
    pub namespaces: Vec<String>,
    /// Labels that it takes and refuses.
    pub selectors: SelectorSources,
    /// When it registered last.
    pub registered_at: DateTime<Utc>,
}

/// Why a runner that asks may have nothing now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unable {
    /// It drains.
    Draining,
    /// It is not what it was when it asked: it registered anew, or belongs to another token.
    Changed,
}

/// Says which runners that ask may have nothing now, by runner and claim.
pub async fn unable(
    conn: &mut Conn,
    _: &Access<RunsExecute>,
    askers: &[Asker],
) -> Result<HashMap<(RunnerId, uuid::Uuid), Unable>> {
    let rows = sqlx::query!(
        r#"SELECT a.n AS "n!", w.draining AS "draining?"
           FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) WITH ORDINALITY AS a(runner_id, token_id, registered_at, n)
           LEFT JOIN runner w ON w.id = a.runner_id AND w.token_id = a.token_id AND w.registered_at = a.registered_at
           WHERE w.draining IS NOT FALSE"#,
        &askers.iter().map(|asker| asker.runner.0).collect::<Vec<_>>(),
        &askers.iter().map(|asker| asker.token.0).collect::<Vec<_>>(),
        &askers.iter().map(|asker| asker.registered_at).collect::<Vec<_>>(),
    );
    let rows = rows.fetch_all(conn).await?.into_iter();
    let named = rows.filter_map(|row| {
        let asker = askers.get(usize::try_from(row.n).ok()?.checked_sub(1)?)?;
        let why = if row.draining == Some(true) { Unable::Draining } else { Unable::Changed };
        Some(((asker.runner, asker.claim_id), why))
    });
    Ok(named.collect())
}

/// Reads the selectors of a runner that belongs to the caller's token.
pub async fn selectors(conn: &mut Conn, access: &Access<RunsExecute>, id: RunnerId) -> Result<Option<RunnerSelectors>> {
    let row = sqlx::query!(
        r#"SELECT namespaces, accept AS "accept: Json<BTreeMap<String, String>>",
                  reject AS "reject: Json<BTreeMap<String, String>>", registered_at
           FROM runner WHERE id = $1 AND token_id = $2"#,
        id.0,
        access.token_id().map(|id| id.0)
    );
    Ok(row.fetch_optional(conn).await?.map(|row| RunnerSelectors {
        namespaces: row.namespaces,
        selectors: SelectorSources { accept: row.accept.0, reject: row.reject.0 },
        registered_at: row.registered_at,
    }))
}

/// Permissions under which it may be told which runners take something.
pub trait SeesFleet {}
impl SeesFleet for RunnersRead {}
impl SeesFleet for TestsWrite {}

/// How many runners are looked at to say which of them take something.
const MAX_FLEET: i64 = 10_000;

/// Reads all runners, live or not, those that were heard of last first; the caller leaves out those that may not be
/// told of.
pub async fn fleet<P: SeesFleet>(conn: &mut Conn, _: &Access<P>) -> Result<Vec<Runner>> {
    let rows = runner_query!("ORDER BY w.last_seen_at DESC, w.id LIMIT $2", MAX_FLEET);
    Ok(rows.fetch_all(conn).await?.into_iter().map(Runner::from).collect())
}

/// The runner, other than `id`, that holds the name and was heard of within a lease's life.
pub async fn live_holder_of_name(
    conn: &mut Conn,
    _: &Access<RunsExecute>,
    name: &str,
    id: RunnerId,
    within_secs: f64,
) -> Result<Option<RunnerId>> {
    let held = sqlx::query_scalar!(
        r#"SELECT id AS "id: RunnerId" FROM runner
           WHERE name = $1 AND id <> $2 AND last_seen_at > clock_timestamp() - make_interval(secs => $3)
           LIMIT 1"#,
        name,
        id.0,
        within_secs
    );
    Ok(held.fetch_optional(conn).await?)
}

/// Takes the lock under which a name is given to a runner, until the transaction ends.
pub async fn lock_name(conn: &mut Conn, _: &Access<RunsExecute>, name: &str) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 7478114))", name).execute(conn).await?;
    Ok(())
}

/// Inserts a runner or brings it up to date. A runner stays with the token that it first came with while it is live;
/// `None` when it belongs to another one.
pub async fn register(
    conn: &mut Conn,
    access: &Access<RunsExecute>,
    new: &NewRunner,
    namespaces: &[String],
    within_secs: f64,
) -> Result<Option<RunnerId>> {
    let token: Option<TokenId> = access.token_id();
    let row = sqlx::query_scalar!(
        r#"INSERT INTO runner (id, name, token_id, namespaces, accept, reject, slots, about)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
           ON CONFLICT (id) DO UPDATE
           SET name = EXCLUDED.name, token_id = EXCLUDED.token_id, namespaces = EXCLUDED.namespaces,
               accept = EXCLUDED.accept, reject = EXCLUDED.reject, slots = EXCLUDED.slots, about = EXCLUDED.about,
               unfit = NULL, registered_at = clock_timestamp(), last_seen_at = clock_timestamp()
           WHERE runner.token_id = EXCLUDED.token_id
              OR runner.last_seen_at < clock_timestamp() - make_interval(secs => $9)
           RETURNING id AS "id: RunnerId""#,
        new.id.0,
        new.name,
        token.map(|id| id.0),
        namespaces,
        Json(&new.selectors.accept) as _,
        Json(&new.selectors.reject) as _,
        new.slots as i16,
        Json(&new.about) as _,
        within_secs
    );
    Ok(row.fetch_optional(conn).await?)
}

/// Notes whether a runner is fit to take runs.
pub async fn set_unfit(
    conn: &mut Conn,
    access: &Access<RunsExecute>,
    id: RunnerId,
    unfit: Option<Unfit>,
) -> Result<()> {
    let (token, unfit) = (access.token_id().map(|id| id.0), unfit.map(Unfit::word));
    let noted = sqlx::query!("UPDATE runner SET unfit = $3 WHERE id = $1 AND token_id = $2", id.0, token, unfit);
    noted.execute(conn).await?;
    Ok(())
}

/// Notes that runners were heard of, where that was noted last longer than `after` ago.
pub async fn touch(conn: &mut Conn, _: &Access<System>, ids: &[RunnerId], after: Duration) -> Result<()> {
    let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
    sqlx::query!(
        "UPDATE runner SET last_seen_at = clock_timestamp() WHERE id = ANY($1) AND last_seen_at < clock_timestamp() - $2::interval",
        &ids,
        interval(after)
    )
    .execute(conn)
    .await?;
    Ok(())
}
