//! The working side of the queue: claims, starts and heartbeats. How leases end is in [`super::ends`].

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::types::PgInterval;
use sqlx::types::Json;
use tstr_shared::ids::{LeaseId, RunId, RunnerId, TokenId};
use tstr_shared::labels::Labels;
use tstr_shared::lease::{Fence, LeasedRun};
use tstr_shared::logs::tail_bytes;
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::{RunsExecute, RunsWrite};
use tstr_shared::run::RunResult;
use uuid::Uuid;

use super::Conn;
use super::queue::{ConfigBody, Place};
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};

/// Returns a duration as the database takes it.
pub fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}

struct ClaimRow {
    run_id: RunId,
    attempt: i16,
    lease_id: LeaseId,
    ttl_secs: f64,
    namespace: String,
    labels: Json<Labels>,
    body: Json<ConfigBody>,
}

impl ClaimRow {
    fn into_leased(self) -> Result<LeasedRun> {
        let fence = Fence { run_id: self.run_id, attempt: self.attempt.unsigned_abs(), lease_id: self.lease_id };
        leased(fence, ttl(self.ttl_secs), &self.namespace, self.labels.0, self.body.0)
    }
}

fn ttl(secs: f64) -> Duration {
    Duration::from_secs_f64(secs.max(0.0))
}

/// Puts together what a worker is told of a run that it holds.
pub fn leased(fence: Fence, ttl: Duration, namespace: &str, labels: Labels, body: ConfigBody) -> Result<LeasedRun> {
    Ok(LeasedRun {
        fence,
        ttl,
        namespace: Namespace::parse(namespace).map_err(|fault| Error::internal(anyhow::anyhow!(fault)))?,
        test_name: body.test_name,
        cell: body.cell,
        labels,
        run_config: body.run_config,
        log_limit_bytes: body.log_limit,
        log_tail_bytes: tail_bytes(body.log_limit),
        artifact_limit_bytes: body.artifact_limit,
        artifact_paths: body.artifacts.paths,
        report: body.artifacts.report,
    })
}

/// A runner that asks for runs.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The runner.
    pub runner: RunnerId,
    /// The token that it speaks with.
    pub token: TokenId,
    /// When it registered: what it takes was read then.
    pub registered_at: DateTime<Utc>,
    /// The claim's own id, by which a repeated request finds its leases.
    pub claim_id: Uuid,
    /// How many runs it wants.
    pub want: usize,
    /// Who it is, in the words of events.
    pub actor: String,
}

/// What makes a claim the same when it is tried again: who claims, with which token, and how the claim is called.
pub type ClaimOf = (RunnerId, TokenId, Uuid);

impl Asker {
    /// Returns which claim it is.
    pub fn claim(&self) -> ClaimOf {
        (self.runner, self.token, self.claim_id)
    }
}

/// Which runs are claimed, and for whom.
#[derive(Debug)]
pub struct ClaimFor<'a> {
    /// The namespace; one that the access covers.
    pub ns_id: i32,
    /// Its lanes to look into, in this order, each with the place from which on it has runs.
    pub lanes: &'a [Place],
    /// How many runs at most.
    pub max: usize,
    /// Who asks: the first is served first.
    pub askers: &'a [Asker],
    /// How long the leases live.
    pub ttl: Duration,
    /// The timeline of the database that the lanes and the namespace were read on: on another one nothing is claimed.
    pub timeline: &'a str,
}

/// A run that was claimed.
#[derive(Debug)]
pub struct Claimed {
    /// Its lease.
    pub fence: Fence,
    /// How long the lease lives from now on.
    pub ttl: Duration,
    /// Who has it.
    pub runner: RunnerId,
    /// The claim that it was given to.
    pub claim_id: Uuid,
    /// The lane that it was in.
    pub lane: i32,
    /// The key of its configuration.
    pub config_id: i64,
}

/// What a claim found.
#[derive(Debug, Default)]
pub struct Found {
    /// The runs.
    pub runs: Vec<Claimed>,
    /// The last place in each lane that gave any.
    pub last: Vec<Place>,
    /// How many of the askers may have runs now.
    pub askers: usize,
    /// How many runs these want.
    pub room: usize,
    /// The timeline that the database is on.
    pub timeline: String,
}

/// Claims runs (T2) for runners that ask together.
pub async fn claim(conn: &mut Conn, _: &Access<RunsExecute>, claim: &ClaimFor<'_>) -> Result<Found> {
    let askers = claim.askers;
    let rows = sqlx::query_file!(
        "src/store/sql/claim.sql",
        &claim.lanes.iter().map(|place| place.lane).collect::<Vec<_>>(),
        &claim.lanes.iter().map(|place| place.seq).collect::<Vec<_>>(),
        i64::try_from(claim.max).unwrap_or(i64::MAX),
        &askers.iter().map(|asker| asker.runner.0).collect::<Vec<_>>(),
        &askers.iter().map(|asker| asker.token.0).collect::<Vec<_>>(),
        &askers.iter().map(|asker| asker.registered_at).collect::<Vec<_>>(),
        &askers.iter().map(|asker| asker.claim_id).collect::<Vec<_>>(),
        &askers.iter().map(|asker| i32::try_from(asker.want).unwrap_or(i32::MAX)).collect::<Vec<_>>(),
        &askers.iter().map(|asker| format!("runner:{} {}", asker.runner, asker.actor)).collect::<Vec<_>>(),
        interval(claim.ttl),
        claim.ns_id,
        claim.timeline,
    );
    let mut found = Found::default();
    let mut last: BTreeMap<i32, i64> = BTreeMap::new();
    for row in rows.fetch_all(conn).await? {
        found.askers = usize::try_from(row.askers).unwrap_or(0);
        found.room = usize::try_from(row.places).unwrap_or(0);
        found.timeline = row.timeline;
        let (Some(run_id), Some(runner), Some(claim_id)) = (row.run_id, row.runner_id, row.claim_id) else { continue };
        let missing = || Error::internal(anyhow::anyhow!("a claimed run lacks a column"));
        let (lane, seq) = row.lane.zip(row.seq).ok_or_else(missing)?;
        let head = last.entry(lane).or_insert(seq);
        *head = seq.max(*head);
        let (attempt, lease_id) = row.attempt.zip(row.lease_id).ok_or_else(missing)?;
        let (ttl_secs, config_id) = row.ttl_secs.zip(row.config_id).ok_or_else(missing)?;
        let fence = Fence { run_id, attempt: attempt.unsigned_abs(), lease_id };
        found.runs.push(Claimed { fence, ttl: ttl(ttl_secs), runner, claim_id, lane, config_id });
    }
    found.last = last.into_iter().map(|(lane, seq)| Place { lane, seq }).collect();
    Ok(found)
}

/// Reads configurations by their keys, each with the bytes that it has as text. They never change.
pub async fn configs(conn: &mut Conn, _: &Access<RunsExecute>, ids: &[i64]) -> Result<Vec<(i64, ConfigBody, usize)>> {
    let rows = sqlx::query!(
        r#"SELECT id, body AS "body: Json<ConfigBody>", octet_length(body::text) AS "bytes!" FROM config WHERE id = ANY($1)"#,
        ids
    );
    let rows = rows.fetch_all(conn).await?.into_iter();
    Ok(rows.map(|row| (row.id, row.body.0, usize::try_from(row.bytes).unwrap_or(0))).collect())
}

/// Returns the leases that an earlier try of the same claim was given.
pub async fn held_by_claim(
    conn: &mut Conn,
    _: &Access<RunsExecute>,
    runner: RunnerId,
    claim_id: Uuid,
) -> Result<Vec<LeasedRun>> {
    let rows = sqlx::query_file_as!(ClaimRow, "src/store/sql/held_by_claim.sql", runner.0, claim_id);
    rows.fetch_all(conn).await?.into_iter().map(ClaimRow::into_leased).collect()
}

/// Counts the leases of a namespace. Call under its quota lock.
pub async fn count_running(conn: &mut Conn, _: &Access<RunsExecute>, ns_id: i32) -> Result<i64> {
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM lease WHERE ns_id = $1"#, ns_id);
    Ok(count.fetch_one(conn).await?)
}

/// Counts the leases of each namespace that has any.
pub async fn held_by_namespace(conn: &mut Conn, _: &Access<System>) -> Result<Vec<(i32, i64)>> {
    let rows = sqlx::query!(r#"SELECT ns_id, count(*) AS "held!" FROM lease GROUP BY ns_id"#);
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.ns_id, row.held)).collect())
}

/// Something about a lease that its runner asks for.
#[derive(Debug, Clone)]
pub struct OwnLease {
    /// The lease.
    pub fence: Fence,
    /// The runner.
    pub runner: RunnerId,
    /// The token that it speaks with.
    pub token: TokenId,
    /// Who asks, in the words of events.
    pub actor: String,
}

/// The columns of leases, as the database takes them.
#[derive(Debug, Default)]
pub struct LeaseColumns {
    /// The runs.
    pub runs: Vec<Uuid>,
    /// The attempts.
    pub attempts: Vec<i16>,
    /// The leases.
    pub leases: Vec<Uuid>,
    /// The runners.
    pub runners: Vec<Uuid>,
    /// Their tokens.
    pub tokens: Vec<Uuid>,
    /// Who asks.
    pub actors: Vec<String>,
}

impl LeaseColumns {
    /// Takes leases apart.
    pub fn of<'a>(leases: impl IntoIterator<Item = &'a OwnLease>) -> Self {
        let mut columns = Self::default();
        for lease in leases {
            columns.runs.push(lease.fence.run_id.0);
            columns.attempts.push(lease.fence.attempt as i16);
            columns.leases.push(lease.fence.lease_id.0);
            columns.runners.push(lease.runner.0);
            columns.tokens.push(lease.token.0);
            columns.actors.push(lease.actor.clone());
        }
        columns
    }
}

/// Permits the start of containers (T3). Those that do not come back are not permitted: the fence is not current, the
/// lease is over or a cancel came. Repeated, it answers the same instants.
pub async fn start(
    conn: &mut Conn,
    access: &Access<RunsExecute>,
    asked: &[OwnLease],
) -> Result<HashMap<Fence, DateTime<Utc>>> {
    // In the order in which heartbeats and ends take leases, so that they wait for each other and do not deadlock.
    let mut asked: Vec<&OwnLease> = asked.iter().collect();
    asked.sort_by_key(|lease| lease.fence.run_id);
    let of = LeaseColumns::of(asked);
    let rows = sqlx::query!(
        r#"WITH before AS MATERIALIZED (
               SELECT l.run_id, l.started_at, a.actor
               FROM unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[])
                    AS a(run_id, attempt, lease_id, runner_id, token_id, actor)
               CROSS JOIN LATERAL (
                   SELECT l.run_id, l.started_at FROM lease l
                   WHERE l.run_id = a.run_id AND l.attempt = a.attempt AND l.lease_id = a.lease_id
                     AND l.runner_id = a.runner_id AND l.ns_id = ANY($7)
                     AND l.expires_at > clock_timestamp() AND l.cancel_requested_at IS NULL
                   FOR NO KEY UPDATE) l
               WHERE EXISTS (SELECT 1 FROM runner w WHERE w.id = a.runner_id AND w.token_id = a.token_id)),
           after AS (
               UPDATE lease l
               -- A clock that was put back must not keep the run from its start.
               SET started_at = coalesce(l.started_at, greatest(clock_timestamp(), l.leased_at)),
                   hard_deadline = coalesce(l.hard_deadline,
                                            clock_timestamp() + make_interval(secs => l.budget_secs + 60))
               FROM before b WHERE l.run_id = b.run_id
               RETURNING l.run_id, l.attempt, l.lease_id, l.started_at, b.started_at AS started_before, b.actor),
           noted AS (
               INSERT INTO run_event (run_id, state_from, state_to, attempt, lease_id, actor)
               SELECT run_id, 'leased', 'running', attempt, lease_id, actor FROM after WHERE started_before IS NULL)
           SELECT run_id AS "run_id!: RunId", attempt AS "attempt!", lease_id AS "lease_id!: LeaseId",
                  started_at AS "started_at!" FROM after"#,
        &of.runs,
        &of.attempts,
        &of.leases,
        &of.runners,
        &of.tokens,
        &of.actors,
        access.namespaces(),
    );
    let rows = rows.fetch_all(conn).await?.into_iter();
    Ok(rows
        .map(|row| {
            let (run_id, attempt, lease_id) = (row.run_id, row.attempt.unsigned_abs(), row.lease_id);
            (Fence { run_id, attempt, lease_id }, row.started_at)
        })
        .collect())
}

/// Asks for the cancelling of a run that runs (T10); tells whether it runs.
pub async fn request_cancel(conn: &mut Conn, access: &Access<RunsWrite>, run: RunId) -> Result<bool> {
    let done = sqlx::query!(
        r#"UPDATE lease
           SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()), cancelled_by = coalesce(cancelled_by, $3)
           WHERE run_id = $1 AND ns_id = ANY($2) AND started_at IS NOT NULL"#,
        run.0,
        access.namespaces(),
        access.actor()
    );
    Ok(done.execute(conn).await?.rows_affected() == 1)
}

/// Returns the fence of a run that is leased and not yet started, so that a cancel can end it.
pub async fn fence_before_start(conn: &mut Conn, access: &Access<RunsWrite>, run: RunId) -> Result<Option<Fence>> {
    let row = sqlx::query!(
        r#"SELECT attempt, lease_id AS "lease_id: LeaseId" FROM lease
           WHERE run_id = $1 AND ns_id = ANY($2) AND started_at IS NULL"#,
        run.0,
        access.namespaces()
    );
    let row = row.fetch_optional(conn).await?;
    Ok(row.map(|row| Fence { run_id: run, attempt: row.attempt.unsigned_abs(), lease_id: row.lease_id }))
}

/// A lease that the reaper must look at.
#[derive(Debug)]
pub struct Lapsed {
    /// Its fence.
    pub fence: Fence,
    /// Its namespace.
    pub ns_id: i32,
    /// Its time ran out, not only its lease.
    pub past_hard_deadline: bool,
}

/// Counts the leases: those that ran out, and all.
pub async fn count_lapsed(conn: &mut Conn, _: &Access<System>, reap_after: Duration) -> Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE expires_at + $1 < clock_timestamp()) AS "lapsed!", count(*) AS "all!" FROM lease"#,
        interval(reap_after)
    );
    let row = row.fetch_one(conn).await?;
    Ok((row.lapsed, row.all))
}

/// Finds leases that ran out, or whose run went beyond its time.
pub async fn lapsed(conn: &mut Conn, _: &Access<System>, reap_after: Duration, limit: i64) -> Result<Vec<Lapsed>> {
    let rows = sqlx::query!(
        r#"SELECT run_id AS "run_id: RunId", attempt, lease_id AS "lease_id: LeaseId", ns_id,
                  coalesce(hard_deadline < clock_timestamp(), false) AS "past_hard_deadline!"
           FROM lease
           WHERE expires_at + $1 < clock_timestamp() OR hard_deadline < clock_timestamp()
           ORDER BY expires_at
           LIMIT $2"#,
        interval(reap_after),
        limit
    );
    Ok(rows
        .fetch_all(conn)
        .await?
        .into_iter()
        .map(|row| Lapsed {
            fence: Fence { run_id: row.run_id, attempt: row.attempt.unsigned_abs(), lease_id: row.lease_id },
            ns_id: row.ns_id,
            past_hard_deadline: row.past_hard_deadline,
        })
        .collect())
}

/// Returns how the attempt of a fence ended, so that a repeated report is answered like the first.
pub async fn ended_attempt(
    conn: &mut Conn,
    access: &Access<RunsExecute>,
    runner: RunnerId,
    fence: Fence,
) -> Result<Option<Option<RunResult>>> {
    let row = sqlx::query_scalar!(
        r#"SELECT a.result AS "result: RunResult" FROM attempt a
           JOIN run r ON r.id = a.run_id
           WHERE a.run_id = $1 AND a.attempt = $2 AND a.lease_id = $3 AND a.runner_id = $4 AND r.ns_id = ANY($5)"#,
        fence.run_id.0,
        fence.attempt as i16,
        fence.lease_id.0,
        runner.0,
        access.namespaces()
    );
    Ok(row.fetch_optional(conn).await?)
}
