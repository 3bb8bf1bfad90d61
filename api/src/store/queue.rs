//! The waiting side of the queue: classes, configurations, enqueueing, cancelling and expiring what waits.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::types::Json;
use tstr_shared::artifacts::{Artifacts, MAX_TOTAL};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::{MatrixId, RunId, TestId};
use tstr_shared::labels::Labels;
use tstr_shared::matrix::Matrix;
use tstr_shared::permission::{RunsExecute, RunsWrite};
use tstr_shared::run::Trigger;
use tstr_shared::schedule::CatchUp;
use tstr_shared::size::Bytes;
use tstr_shared::testdef::{Limits, NewTestDef, Priority, Retry, RunConfig};
use uuid::Uuid;

use super::Conn;
use super::gates::{Ended, Follows};
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};

/// Permissions under which runs may be put into the queue.
pub trait Enqueues {
    /// Whether they may not bring a namespace more sets of labels than it may have.
    const LIMITS_CLASSES: bool;
}
impl Enqueues for RunsWrite {
    const LIMITS_CLASSES: bool = true;
}
/// What the schedule runs was registered, with all its cells.
impl Enqueues for System {
    const LIMITS_CLASSES: bool = false;
}

/// How many sets of labels, which are placement classes, triggers may bring a namespace.
pub const MAX_CLASSES: i64 = 20_000;

/// How many bytes of configurations one statement writes, and a replica holds at once.
const CONFIG_BYTES: usize = 8 << 20;

/// Permissions under which the queue may be looked at to hand out its runs.
pub trait ServesQueue {}
impl ServesQueue for RunsExecute {}
impl ServesQueue for System {}

/// What a run executes, as it was interned.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ConfigBody {
    /// The test's name.
    pub test_name: String,
    /// The cell of the matrix.
    pub cell: Labels,
    /// The test's annotations.
    pub annotations: Labels,
    /// What the container runs with.
    pub run_config: RunConfig,
    /// How often the run is tried again.
    pub retry: Retry,
    /// Never run again after a loss of the infrastructure.
    pub at_most_once: bool,
    /// How many bytes of log are kept.
    pub log_limit: u64,
    /// How many bytes of files are kept.
    #[serde(default = "all_artifacts")]
    pub artifact_limit: u64,
    /// Which files are kept.
    #[serde(default)]
    pub artifacts: Artifacts,
    /// A bad end cancels the other cells of its matrix.
    #[serde(default)]
    pub fail_fast: bool,
}

fn all_artifacts() -> u64 {
    MAX_TOTAL.0
}

/// A [`ConfigBody`] as it is written, of a test that others need as well.
#[derive(Serialize)]
struct ConfigText<'a> {
    test_name: &'a str,
    cell: &'a Labels,
    annotations: &'a Labels,
    run_config: &'a RunConfig,
    retry: Retry,
    at_most_once: bool,
    log_limit: u64,
    // What every test has is left out, so that tests that say nothing of artifacts share their rows with those that were
    // made before there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_limit: Option<u64>,
    #[serde(skip_serializing_if = "Artifacts::is_default")]
    artifacts: &'a Artifacts,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    fail_fast: bool,
}

/// What a cell of a test executes, on its way into the table. It holds no copy of the test, which may be large and has
/// up to 256 cells.
#[derive(Debug, Clone)]
pub struct NewConfig {
    hash: [u8; 32],
    test: Arc<NewTestDef>,
    cell: Labels,
}

impl NewConfig {
    /// Names what a cell of a test executes, by the SHA-256 of its JSON.
    pub fn of(test: &Arc<NewTestDef>, cell: Labels) -> Result<Self> {
        let mut config = Self { hash: [0; 32], test: test.clone(), cell };
        let mut hashing = Hashing(Sha256::new());
        serde_json::to_writer(&mut hashing, &config.text()).map_err(Error::internal)?;
        config.hash.copy_from_slice(&hashing.0.finalize());
        Ok(config)
    }

    /// Names what a run executed, with other variables of the environment.
    pub fn again(body: ConfigBody, env: Labels) -> Result<Self> {
        let matrix = body.fail_fast.then(|| Matrix { fail_fast: true, ..Matrix::default() });
        let test = NewTestDef {
            name: body.test_name,
            labels: Labels::default(),
            annotations: body.annotations,
            run_config: RunConfig { env, ..body.run_config },
            matrix,
            cron_schedule: None,
            time_zone: None,
            catch_up: CatchUp::default(),
            start_deadline: None,
            queue_deadline: None,
            concurrency: None,
            retry: body.retry,
            limits: Limits { log: Bytes(body.log_limit), artifacts: Bytes(body.artifact_limit) },
            artifacts: body.artifacts,
            at_most_once: body.at_most_once,
            priority: Priority::default(),
            paused: false,
        };
        Self::of(&Arc::new(test), body.cell)
    }

    /// Returns the hash that names it.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Returns what is read of it once it is interned.
    pub fn body(&self) -> Result<ConfigBody> {
        let text = serde_json::to_string(&self.text()).map_err(Error::internal)?;
        serde_json::from_str(&text).map_err(Error::internal)
    }

    fn text(&self) -> ConfigText<'_> {
        let test = &*self.test;
        ConfigText {
            test_name: &test.name,
            cell: &self.cell,
            annotations: &test.annotations,
            run_config: &test.run_config,
            retry: test.retry,
            at_most_once: test.at_most_once,
            log_limit: test.limits.log.0,
            artifact_limit: Some(test.limits.artifacts.0).filter(|bytes| *bytes != all_artifacts()),
            artifacts: &test.artifacts,
            fail_fast: test.matrix.as_ref().is_some_and(|matrix| matrix.fail_fast && !matrix.is_soft(&self.cell)),
        }
    }
}

/// Hashes what is written, which is then nowhere as a whole.
struct Hashing(Sha256);

impl std::io::Write for Hashing {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        self.0.update(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Keys of configurations by their hashes.
pub type ConfigIds = HashMap<[u8; 32], i64>;

/// Interns configurations, each once however often it is given; returns the key of each hash.
pub async fn intern_configs<P: Enqueues>(conn: &mut Conn, _: &Access<P>, configs: &[&NewConfig]) -> Result<ConfigIds> {
    // In the order of the hashes, so that two transactions that intern the same rows wait and do not deadlock.
    let sorted: BTreeMap<[u8; 32], &NewConfig> = configs.iter().map(|config| (config.hash, *config)).collect();
    let mut ids = known_configs(conn, &sorted.keys().map(<[u8; 32]>::as_slice).collect::<Vec<_>>()).await?;
    let (mut fresh, mut bytes) = (Vec::new(), 0);
    for config in sorted.into_values().filter(|config| !ids.contains_key(&config.hash)).collect::<Vec<_>>() {
        let text = serde_json::to_string(&config.text()).map_err(Error::internal)?;
        bytes += text.len();
        fresh.push((config, text));
        if bytes >= CONFIG_BYTES {
            ids.extend(insert_configs(conn, &fresh).await?);
            fresh.clear();
            bytes = 0;
        }
    }
    if !fresh.is_empty() {
        ids.extend(insert_configs(conn, &fresh).await?);
    }
    Ok(ids)
}

async fn insert_configs(conn: &mut Conn, fresh: &[(&NewConfig, String)]) -> Result<ConfigIds> {
    let column =
        |read: &dyn Fn(&NewTestDef) -> i32| fresh.iter().map(|(config, _)| read(&config.test)).collect::<Vec<_>>();
    let small = |read: &dyn Fn(&NewTestDef) -> u8| {
        fresh.iter().map(|(config, _)| i16::from(read(&config.test))).collect::<Vec<_>>()
    };
    let rows = sqlx::query!(
        r#"INSERT INTO config (hash, body, budget_secs, on_fail, on_infrastructure, at_most_once, log_limit, fail_fast)
           SELECT hash, body::json, budget, on_fail, on_infrastructure, at_most_once, log_limit, fail_fast
           FROM unnest($1::bytea[], $2::text[], $3::int[], $4::smallint[], $5::smallint[], $6::boolean[], $7::bigint[],
                       $8::boolean[])
                AS u(hash, body, budget, on_fail, on_infrastructure, at_most_once, log_limit, fail_fast)
           ON CONFLICT (hash) DO UPDATE SET used_on = excluded.used_on
           RETURNING hash, id"#,
        &fresh.iter().map(|(config, _)| config.hash.as_slice()).collect::<Vec<_>>() as &[&[u8]],
        &fresh.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>() as &[&str],
        &column(&|test| (test.run_config.timeout.0 + test.run_config.grace.0) as i32),
        &small(&|test| test.retry.on_fail),
        &small(&|test| test.retry.on_infrastructure),
        &fresh.iter().map(|(config, _)| config.test.at_most_once).collect::<Vec<_>>(),
        &fresh.iter().map(|(config, _)| config.test.limits.log.0 as i64).collect::<Vec<_>>(),
        &fresh.iter().map(|(config, _)| config.text().fail_fast).collect::<Vec<_>>(),
    );
    let rows = rows.fetch_all(conn).await?.into_iter();
    Ok(rows.filter_map(|row| Some((row.hash.try_into().ok()?, row.id))).collect())
}

async fn known_configs(conn: &mut Conn, hashes: &[&[u8]]) -> Result<ConfigIds> {
    let rows = sqlx::query!(
        "SELECT hash, id FROM config WHERE hash = ANY($1) AND used_on >= (now() AT TIME ZONE 'UTC')::date - $2::int",
        hashes as &[&[u8]],
        super::retention::FRESH_DAYS
    );
    let rows = rows.fetch_all(conn).await?.into_iter();
    Ok(rows.filter_map(|row| Some((row.hash.try_into().ok()?, row.id))).collect())
}

/// A placement class as it is looked for: its namespace, and the hash of its labels.
pub type ClassKey = (i32, [u8; 16]);

/// Interns placement classes; returns the key of each.
pub async fn intern_classes<P: Enqueues>(
    conn: &mut Conn,
    _: &Access<P>,
    classes: &BTreeMap<ClassKey, &Labels>,
) -> Result<HashMap<ClassKey, i32>> {
    let mut ids = known_classes(conn, classes).await?;
    let fresh: Vec<_> = classes.iter().filter(|(key, _)| !ids.contains_key(*key)).collect();
    if fresh.is_empty() {
        return Ok(ids);
    }
    let rows = sqlx::query!(
        r#"INSERT INTO class (ns_id, labels_hash, labels)
           SELECT * FROM unnest($1::int[], $2::bytea[], $3::jsonb[])
           ON CONFLICT (ns_id, labels_hash) DO UPDATE SET used_on = excluded.used_on
           RETURNING ns_id, labels_hash, id"#,
        &fresh.iter().map(|((ns, _), _)| *ns).collect::<Vec<_>>(),
        &fresh.iter().map(|((_, hash), _)| hash.to_vec()).collect::<Vec<_>>(),
        &fresh.iter().map(|(_, labels)| serde_json::json!(labels)).collect::<Vec<_>>(),
    );
    let rows = rows.fetch_all(&mut *conn).await?.into_iter();
    let made: HashMap<ClassKey, i32> =
        rows.filter_map(|row| Some(((row.ns_id, row.labels_hash.try_into().ok()?), row.id))).collect();
    ids.extend(made);
    if P::LIMITS_CLASSES {
        check_classes(conn, fresh.iter().map(|((ns, _), _)| *ns).collect()).await?;
    }
    Ok(ids)
}

/// Refuses labels that are new with every run: each set of labels is matched with every runner, and remembered.
async fn check_classes(conn: &mut Conn, namespaces: Vec<i32>) -> Result<()> {
    let over = sqlx::query_scalar!(
        r#"SELECT true AS "over!" FROM unnest($1::int[]) AS u(ns_id)
           WHERE (SELECT count(*) FROM (SELECT FROM class c WHERE c.ns_id = u.ns_id LIMIT $2::bigint + 1) c) > $2
           LIMIT 1"#,
        &namespaces,
        MAX_CLASSES
    );
    match over.fetch_optional(conn).await? {
        None => Ok(()),
        Some(_) => Err(Error::new(
            ErrorCode::QuotaExceeded,
            format!(
                "the namespace has had {MAX_CLASSES} different sets of labels, which is the most; labels place runs, and \
                 what only describes them belongs into annotations"
            ),
        )),
    }
}

async fn known_classes(conn: &mut Conn, classes: &BTreeMap<ClassKey, &Labels>) -> Result<HashMap<ClassKey, i32>> {
    let rows = sqlx::query!(
        r#"SELECT c.ns_id, c.labels_hash, c.id
           FROM unnest($1::int[], $2::bytea[]) AS u(ns_id, hash)
           JOIN class c ON c.ns_id = u.ns_id AND c.labels_hash = u.hash
           WHERE c.used_on >= (now() AT TIME ZONE 'UTC')::date - $3::int"#,
        &classes.keys().map(|(ns, _)| *ns).collect::<Vec<_>>(),
        &classes.keys().map(|(_, hash)| hash.to_vec()).collect::<Vec<_>>(),
        super::retention::FRESH_DAYS
    );
    let rows = rows.fetch_all(conn).await?.into_iter();
    Ok(rows.filter_map(|row| Some(((row.ns_id, row.labels_hash.try_into().ok()?), row.id))).collect())
}

/// A run on its way into the queue.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its id; a scheduled run's is derived, so that a second one is refused.
    pub id: RunId,
    /// Its namespace.
    pub ns_id: i32,
    /// Its test.
    pub test_id: TestId,
    /// The set it belongs to.
    pub matrix_id: MatrixId,
    /// Its placement class.
    pub class_id: i32,
    /// What it executes.
    pub config_id: i64,
    /// Its priority.
    pub priority: Priority,
    /// How long it may wait.
    pub queue_secs: i32,
    /// What made it.
    pub trigger: Trigger,
    /// The instant it is made for.
    pub scheduled_at: DateTime<Utc>,
    /// Not before this instant.
    pub due: Option<DateTime<Utc>>,
    /// It passes gates, and is put into the queue by them.
    pub gated: bool,
}

/// A run that was put into the queue.
#[derive(Debug, Clone, Copy)]
pub struct Queued {
    /// The run.
    pub id: RunId,
    /// Where it lies once its time has come.
    pub place: Place,
}

/// Puts runs into the queue (T1); returns those that were not there before.
pub async fn enqueue<P: Enqueues>(conn: &mut Conn, access: &Access<P>, runs: &[NewRun]) -> Result<Vec<Queued>> {
    let rows = sqlx::query_file!(
        "src/store/sql/enqueue.sql",
        &runs.iter().map(|run| run.id.0).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.ns_id).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.test_id.0).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.matrix_id.0).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.class_id).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.config_id).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.priority as i16).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.queue_secs).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.trigger.word()).collect::<Vec<_>>() as &[&str],
        &runs.iter().map(|run| run.scheduled_at).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.due).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &runs.iter().map(|run| run.gated).collect::<Vec<_>>(),
        access.actor(),
    );
    let rows = rows.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| Queued { id: row.id, place: Place { lane: row.lane, seq: row.seq } }).collect())
}

/// Counts the waiting runs of a namespace, at most up to `limit`. Call under the namespace's quota lock.
pub async fn count_queued<P: Enqueues>(conn: &mut Conn, _: &Access<P>, ns_id: i32, limit: i64) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
           FROM (SELECT 1 FROM class c
                 CROSS JOIN LATERAL (SELECT 1 FROM ready r WHERE r.lane BETWEEN c.id * 4 AND c.id * 4 + 3) r
                 WHERE c.ns_id = $1
                 UNION ALL
                 SELECT 1 FROM delayed d JOIN class c ON c.id = d.lane / 4 WHERE c.ns_id = $1
                 UNION ALL
                 SELECT 1 FROM gated g WHERE g.parked AND g.ns_id = $1
                 LIMIT $2) AS waiting"#,
        ns_id,
        limit
    );
    Ok(count.fetch_one(conn).await?)
}

/// Ends a run that waits, as cancelled (T9); `None` when it did not wait. Call in a transaction.
pub async fn cancel_waiting(conn: &mut Conn, access: &Access<RunsWrite>, run: RunId) -> Result<Option<Follows>> {
    let cancels = [(run, access.actor(), None)];
    let (ended, follows) = cancel_all(conn, access.namespaces(), &cancels, access.actor()).await?;
    Ok((!ended.is_empty()).then_some(follows))
}

/// Ends runs that wait, as cancelled (T9), because it was ordered; returns those that waited. Call in a transaction.
pub async fn cancel_ordered(
    conn: &mut Conn,
    access: &Access<System>,
    orders: &[&super::orders::Order],
) -> Result<(Vec<RunId>, Follows)> {
    let namespaces: Vec<i32> = orders.iter().map(|order| order.ns_id).collect();
    let cancels: Vec<_> =
        orders.iter().map(|order| (order.run_id, order.actor.as_str(), Some(order.message.as_str()))).collect();
    cancel_all(conn, &namespaces, &cancels, access.actor()).await
}

async fn cancel_all(
    conn: &mut Conn,
    namespaces: &[i32],
    cancels: &[(RunId, &str, Option<&str>)],
    actor: &str,
) -> Result<(Vec<RunId>, Follows)> {
    let ended = sqlx::query_file_as!(
        Ended,
        "src/store/sql/cancel_waiting.sql",
        &cancels.iter().map(|(run, _, _)| run.0).collect::<Vec<_>>(),
        namespaces,
        &cancels.iter().map(|(_, actor, _)| (*actor).to_owned()).collect::<Vec<_>>(),
        &cancels.iter().map(|(_, _, message)| message.map(str::to_owned)).collect::<Vec<_>>() as &[Option<String>],
    );
    let ended = ended.fetch_all(&mut *conn).await?;
    let follows = super::gates::after_end(conn, actor, &ended).await?;
    Ok((ended.into_iter().map(|one| one.run_id).collect(), follows))
}

/// Moves runs whose time has come from `delayed` to `ready`; returns their places.
///
/// The clock is read once: a bound that may change from row to row is none that an index could stop at.
pub async fn move_due(conn: &mut Conn, _: &Access<System>, limit: i64) -> Result<Vec<Place>> {
    let places = sqlx::query_as!(
        Place,
        r#"WITH due AS MATERIALIZED (
               SELECT ctid FROM delayed
               WHERE due <= (SELECT clock_timestamp())
               ORDER BY due
               LIMIT $1
               FOR UPDATE SKIP LOCKED),
           gone AS (
               DELETE FROM delayed WHERE ctid = ANY(ARRAY(SELECT ctid FROM due))
               RETURNING run_id, lane, seq, attempt, infra_losses, test_retries, releases, queue_secs)
           INSERT INTO ready (lane, seq, run_id, attempt, infra_losses, test_retries, releases, expires_at)
           SELECT lane, seq, run_id, attempt, infra_losses, test_retries, releases,
                  clock_timestamp() + make_interval(secs => queue_secs)
           FROM gone
           RETURNING lane, seq"#,
        limit
    );
    Ok(places.fetch_all(conn).await?)
}

/// A place in the queue: where a run lies, or the walk over the queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The lane.
    pub lane: i32,
    /// The place in the lane.
    pub seq: i64,
}

/// Looks at the next `limit` waiting runs behind `from` and ends those whose queue deadline has passed (T12).
///
/// Returns where the walk stands, `None` at the end of the queue, the runs that it ended, and what follows.
pub async fn expire_walk(
    conn: &mut Conn,
    access: &Access<System>,
    from: Place,
    limit: i64,
) -> Result<(Option<Place>, Vec<RunId>, Follows)> {
    let ends = sqlx::query!(
        r#"SELECT lane, seq FROM ready
           WHERE (lane, seq) > ($1, $2)
           ORDER BY lane, seq
           OFFSET $3 LIMIT 1"#,
        from.lane,
        from.seq,
        limit - 1
    );
    let to = ends.fetch_optional(&mut *conn).await?.map(|row| Place { lane: row.lane, seq: row.seq });
    let last = to.unwrap_or(Place { lane: i32::MAX, seq: i64::MAX });
    let ended = sqlx::query_file_as!(
        Ended,
        "src/store/sql/expire_waiting.sql",
        from.lane,
        from.seq,
        last.lane,
        last.seq,
        access.actor()
    );
    let ended = ended.fetch_all(&mut *conn).await?;
    let follows = super::gates::after_end(conn, access.actor(), &ended).await?;
    Ok((to, ended.into_iter().map(|one| one.run_id).collect(), follows))
}

/// Lists the first run of every lane that has any, by skipping from one lane to the next along the index.
pub async fn heads(conn: &mut Conn, _: &Access<System>) -> Result<Vec<Place>> {
    let heads = sqlx::query_as!(
        Place,
        r#"WITH RECURSIVE head AS (
               (SELECT lane, seq FROM ready ORDER BY lane, seq LIMIT 1)
               UNION ALL
               SELECT n.lane, n.seq
               FROM head h
               CROSS JOIN LATERAL (
                   SELECT r.lane, r.seq FROM ready r WHERE r.lane > h.lane ORDER BY r.lane, r.seq LIMIT 1
               ) n)
           SELECT lane AS "lane!", seq AS "seq!" FROM head"#
    );
    Ok(heads.fetch_all(conn).await?)
}

/// A placement class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Its key.
    pub id: i32,
    /// Its namespace.
    pub ns_id: i32,
    /// That namespace's name.
    pub namespace: String,
    /// Its labels.
    pub labels: Labels,
}

/// Reads classes by their keys.
pub async fn classes<P: ServesQueue>(conn: &mut Conn, _: &Access<P>, ids: &[i32]) -> Result<Vec<Class>> {
    let rows = sqlx::query!(
        r#"SELECT c.id, c.ns_id, n.name AS namespace, c.labels AS "labels: Json<Labels>"
           FROM class c JOIN namespace n ON n.id = c.ns_id
           WHERE c.id = ANY($1)"#,
        ids
    );
    let classes = rows.fetch_all(conn).await?.into_iter();
    Ok(classes
        .map(|row| Class { id: row.id, ns_id: row.ns_id, namespace: row.namespace, labels: row.labels.0 })
        .collect())
}

/// Returns the namespace of a run that the access covers.
pub async fn namespace_of<P>(conn: &mut Conn, access: &Access<P>, run: RunId) -> Result<Option<i32>> {
    let row =
        sqlx::query_scalar!("SELECT ns_id FROM run WHERE id = $1 AND ns_id = ANY($2)", run.0, access.namespaces());
    Ok(row.fetch_optional(conn).await?)
}

/// Ids as the database takes them.
pub fn uuids(ids: &[RunId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_executes_is_written_as_it_is_read_and_named_by_its_hash() {
        let matrix = serde_json::json!({"labels": {"os": ["a", "b"]}, "fail_fast": true});
        let test = serde_json::json!({
            "name": "t", "annotations": {"owner": "me"}, "retry": {"on_fail": 2}, "at_most_once": true, "matrix": matrix,
            "run_config": {"container_image": "i", "args": ["x"], "env": {"A": "1"}}, "limits": {"log": "1MiB", "artifacts": "2MiB"},
            "artifacts": {"paths": ["/tstr/x"]}
        });
        let test: Arc<NewTestDef> = Arc::new(serde_json::from_value(test).unwrap());
        let cells = test.cells().unwrap();
        let configs: Vec<_> = cells.iter().map(|cell| NewConfig::of(&test, cell.clone()).unwrap()).collect();
        for (config, cell) in configs.iter().zip(&cells) {
            let text = serde_json::to_string(&config.text()).unwrap();
            assert_eq!(config.hash().as_slice(), Sha256::digest(text.as_bytes()).as_slice());
            let expected = ConfigBody {
                test_name: "t".into(),
                cell: cell.clone(),
                annotations: test.annotations.clone(),
                run_config: test.run_config.clone(),
                retry: test.retry,
                at_most_once: true,
                log_limit: 1 << 20,
                artifact_limit: 2 << 20,
                artifacts: test.artifacts.clone(),
                fail_fast: true,
            };
            assert_eq!(serde_json::from_str::<ConfigBody>(&text).unwrap(), expected);
            let env = expected.run_config.env.clone();
            assert_eq!(NewConfig::again(expected, env).unwrap().hash(), config.hash());
        }
        assert_ne!(configs[0].hash(), configs[1].hash());
        // The two cells and this test hold it; there is no copy.
        assert_eq!(Arc::strong_count(&test), 3);
    }
}
