//! A queue of a given depth with its API, loaded by SQL, and kept at its depth while runs are claimed from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tstr_api::ops::wake::{CHANNEL, News};
use uuid::Uuid;

use crate::api::{Api, Worker};
use crate::server::{Server, backend_pid};

/// How many runs one statement loads.
const LOAD_STEP: i64 = 100_000;
/// How long the keeper waits between two looks, as long as what is claimed meanwhile is a small part of the queue.
const REFILL_EVERY: Duration = Duration::from_millis(10);
/// How long it waits otherwise.
const REFILL_SOON: Duration = Duration::from_millis(1);
/// How often the replicas are told of refilled lanes, as a replica that enqueues would do it.
const TELL_EVERY: Duration = Duration::from_millis(25);
/// How many lanes one notification names.
const LANES_TOLD: usize = 60;

/// A database with a queue.
pub struct Queue {
    /// How many runs wait.
    pub depth: u64,
    /// The name of the database.
    pub database: String,
    /// Its API.
    pub api: Api,
    /// Registered runners in groups that take the same runs, each with a connection of its own.
    pub groups: Vec<Vec<Worker>>,
    /// The lanes that the runs are in; one for each placement class of the test.
    pub lanes: Vec<i32>,
    /// A connection for upkeep between the measurements.
    pub conn: PgConnection,
    keeper: Option<Keeper>,
}

/// What a queue is to be.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// The name of its database.
    pub database: &'a str,
    /// How many runs wait.
    pub depth: u64,
    /// The placement classes that they are in; without them the four cells of the test's matrix.
    pub classes: Option<Classes>,
    /// For each group of runners the label `n` that they accept; an empty text accepts everything.
    pub groups: &'a [String],
    /// How many runners each group has.
    pub workers: usize,
}

/// Placement classes that are told apart by the label `n`, from 0 on.
#[derive(Debug, Clone, Copy)]
pub struct Classes {
    /// How many there are.
    pub count: u32,
    /// So many of the runs are in the class 1 beyond its even share, so that many can claim from it alone.
    pub more_in_one: u64,
}

impl Queue {
    /// Makes the database, starts its API, fills the queue and registers runners.
    pub async fn fill(server: &Server, shape: Shape<'_>) -> Result<Self> {
        let Shape { database, depth, .. } = shape;
        let api = Api::start(server, database).await?;
        let seeds = api.trigger().await?;
        let mut conn = server.connect(database).await?;
        sqlx::query("SET synchronous_commit = off").execute(&mut conn).await?;
        match shape.classes {
            None => load(&mut conn, &seeds, &[], (seeds.len() as u64 + 1, depth)).await?,
            Some(Classes { count, more_in_one }) => {
                // The seeds are in classes of their own, which nobody is to claim from.
                sqlx::query("DELETE FROM ready").execute(&mut conn).await?;
                let classes = make_classes(&mut conn, count).await?;
                let even = depth - more_in_one;
                load(&mut conn, &seeds, &classes, (1, even)).await?;
                load(&mut conn, &seeds, &classes[1..2], (even + 1, depth)).await?;
            }
        }
        let lanes: Vec<i32> =
            sqlx::query_scalar("SELECT DISTINCT lane FROM ready ORDER BY lane").fetch_all(&mut conn).await?;
        for statement in ["VACUUM (ANALYZE) run, ready, run_event, lease", "CHECKPOINT"] {
            sqlx::query(statement).execute(&mut conn).await?;
        }
        let mut groups = Vec::new();
        for (group, accept) in shape.groups.iter().enumerate() {
            let mut registered = Vec::new();
            for number in 0..shape.workers {
                registered.push(api.worker_for(&format!("worker-{group}-{number}"), accept).await?);
            }
            groups.push(registered);
        }
        let keeper = Some(Keeper::connect(server, database, depth).await?);
        Ok(Self { depth, database: database.into(), api, groups, lanes, conn, keeper })
    }

    /// Stops the API and removes the database.
    pub async fn remove(self, server: &Server) -> Result<()> {
        self.api.stop()?;
        drop((self.conn, self.keeper));
        server.drop_database(&self.database).await
    }

    /// Removes dead rows, so that every measurement begins with the same tables.
    pub async fn vacuum(&mut self) -> Result<()> {
        sqlx::query("VACUUM ready, lease").execute(&mut self.conn).await?;
        Ok(())
    }

    /// Begins to put back what is claimed.
    pub fn keep(&mut self) -> Result<Keeping> {
        let keeper = self.keeper.take().ok_or_else(|| anyhow::anyhow!("the queue is being kept already"))?;
        let stop = Arc::new(AtomicBool::new(false));
        Ok(Keeping { pid: keeper.pid, task: tokio::spawn(keeper.run(stop.clone())), stop })
    }

    /// Puts back the rest and ends the keeping; tells how much was claimed.
    pub async fn end(&mut self, keeping: Keeping) -> Result<Kept> {
        keeping.stop.store(true, Ordering::Relaxed);
        let (keeper, kept) = keeping.task.await??;
        self.keeper = Some(keeper);
        Ok(kept)
    }

    /// Returns how many runs wait.
    pub async fn count(&mut self) -> Result<u64> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM ready").fetch_one(&mut self.conn).await?;
        Ok(count.unsigned_abs())
    }
}

/// Makes placement classes that are told apart by the label `n`.
async fn make_classes(conn: &mut PgConnection, count: u32) -> Result<Vec<i32>> {
    const MAKE: &str = "
        INSERT INTO class (ns_id, labels_hash, labels)
        SELECT (SELECT min(ns_id) FROM class), decode(md5(n::text), 'hex'), jsonb_build_object('n', n::text)
        FROM generate_series(0, $1 - 1) AS n
        RETURNING id";
    Ok(sqlx::query_scalar(MAKE).bind(i32::try_from(count)?).fetch_all(conn).await?)
}

/// Clones the seeds as the waiting runs of these numbers, in the classes of the seeds or evenly in the given ones. What
/// follows is `enqueue.sql` without its look for duplicates.
async fn load(conn: &mut PgConnection, seeds: &[Uuid], classes: &[i32], (first, last): (u64, u64)) -> Result<()> {
    const LOAD: &str = "
        WITH seed AS (
            SELECT r.*, row_number() OVER (ORDER BY r.class_id) - 1 AS place FROM run r WHERE r.id = ANY($1)
        ),
        new AS MATERIALIZED (
            -- Ids of version 7, a thousand to the millisecond, the last of them now.
            SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - ($3 - n) / 1000), 12, '0')
                    || '7' || lpad(to_hex(n % 1000), 3, '0') || '8' || substr(md5(n::text), 1, 15))::uuid AS id,
                   s.ns_id, s.test_id, s.matrix_id, s.config_id, s.priority, s.queue_secs, s.trigger, s.scheduled_at,
                   s.created_by,
                   CASE WHEN cardinality($4::int[]) > 0 THEN ($4::int[])[1 + n % cardinality($4::int[])]
                        ELSE s.class_id END AS class_id,
                   ((extract(epoch FROM clock_timestamp()) * 1000)::bigint << 20)
                   | (nextval('ready_seq') & 1048575) AS seq
            FROM generate_series($2::bigint, $3::bigint) AS n
            JOIN seed s ON s.place = n % (SELECT count(*) FROM seed)
        ),
        made AS (
            INSERT INTO run (id, ns_id, test_id, matrix_id, class_id, config_id, priority, seq, queue_secs, trigger,
                             scheduled_at, created_by)
            SELECT id, ns_id, test_id, matrix_id, class_id, config_id, priority, seq, queue_secs, trigger,
                   scheduled_at, created_by
            FROM new
        ),
        noted AS (
            INSERT INTO run_event (run_id, state_to, attempt, actor) SELECT id, 'queued', 0, created_by FROM new
        )
        INSERT INTO ready (lane, seq, run_id, expires_at, config_id)
        SELECT class_id * 4 + priority, seq, id, now() + interval '1 day', config_id FROM new";
    let (mut next, depth) = (i64::try_from(first)?, i64::try_from(last)?);
    while next <= depth {
        let last = depth.min(next + LOAD_STEP - 1);
        sqlx::query(LOAD).bind(seeds).bind(next).bind(last).bind(classes).execute(&mut *conn).await?;
        next = last + 1;
    }
    let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM ready").fetch_one(conn).await?;
    ensure!(waiting == depth, "{waiting} runs wait where {depth} should");
    Ok(())
}

/// Puts claimed runs back at the end of their lanes, so that the queue keeps its depth.
struct Keeper {
    conn: PgConnection,
    pid: u32,
    depth: u64,
}

/// A keeper at work. Its backend's time is not the claims'.
pub struct Keeping {
    /// The id of its backend.
    pub pid: u32,
    stop: Arc<AtomicBool>,
    task: JoinHandle<Result<(Keeper, Kept)>>,
}

/// What a keeper saw.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kept {
    /// How many runs were claimed.
    pub claimed: u64,
    /// The most that were missing at once.
    pub missing: u64,
}

impl Keeper {
    async fn connect(server: &Server, database: &str, depth: u64) -> Result<Self> {
        let mut conn = server.connect(database).await?;
        sqlx::query("SET synchronous_commit = off").execute(&mut conn).await?;
        let pid = backend_pid(&mut conn).await?;
        Ok(Self { conn, pid, depth })
    }

    async fn run(mut self, stop: Arc<AtomicBool>) -> Result<(Self, Kept)> {
        let mut kept = Kept::default();
        let mut told = Instant::now();
        let mut untold = BTreeMap::new();
        loop {
            let is_last = stop.load(Ordering::Relaxed);
            let found = self.put_back(&mut untold).await?;
            kept.claimed += found;
            kept.missing = kept.missing.max(found);
            if !untold.is_empty() && (is_last || told.elapsed() >= TELL_EVERY) {
                self.tell(std::mem::take(&mut untold)).await?;
                told = Instant::now();
            }
            if is_last {
                return Ok((self, kept));
            }
            tokio::time::sleep(if found * 20 < self.depth { REFILL_EVERY } else { REFILL_SOON }).await;
        }
    }

    /// Puts claimed runs back; notes the first place in each lane.
    async fn put_back(&mut self, first: &mut BTreeMap<i32, i64>) -> Result<u64> {
        const PUT_BACK: &str = "
            WITH gone AS (DELETE FROM lease RETURNING run_id, lane, config_id)
            INSERT INTO ready (lane, seq, run_id, expires_at, config_id)
            SELECT lane,
                   ((extract(epoch FROM clock_timestamp()) * 1000)::bigint << 20) | (nextval('ready_seq') & 1048575),
                   run_id, now() + interval '1 day', config_id
            FROM gone
            RETURNING lane, seq";
        let places: Vec<(i32, i64)> = sqlx::query_as(PUT_BACK).fetch_all(&mut self.conn).await?;
        for (lane, seq) in &places {
            let known = first.entry(*lane).or_insert(*seq);
            *known = (*known).min(*seq);
        }
        Ok(places.len() as u64)
    }

    async fn tell(&mut self, lanes: BTreeMap<i32, i64>) -> Result<()> {
        // A lane that had runs all the time needs no news, and of many lanes nearly all had: what is left out is found by
        // the replica's own look at the queue, as it is of those that a notification has no room for.
        let lanes = lanes.into_iter().take(LANES_TOLD).collect();
        let news = News { lanes, ..News::default() };
        let notify = format!("NOTIFY {CHANNEL}, '{}'", serde_json::to_string(&news)?);
        sqlx::query(AssertSqlSafe(notify)).execute(&mut self.conn).await?;
        Ok(())
    }
}
