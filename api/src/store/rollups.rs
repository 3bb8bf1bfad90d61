//! Sums of finished runs by hour, by six hours and by day, of all runs, and by test, by runner and by label.
//!
//! Whoever changes them holds the digest's lock (`store/digest.rs`), so rows are read, added to and written back without any
//! other.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Duration, DurationRound, NaiveDate, Utc};
use tstr_shared::analysis::quantile::{Adder, Sign, Sketch};
use tstr_shared::ids::{RunnerId, TestId, lowest_at};
use tstr_shared::permission::{NamespacesWrite, RunsRead};
use uuid::Uuid;

use super::Conn;
use crate::auth::access::{Access, System};
use crate::error::Result;

/// What a sum is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dim {
    /// All runs of a namespace; its key is empty.
    All = 0,
    /// The runs of a test; its key is the test's id.
    Test = 1,
    /// The runs of a runner; its key is the runner's id.
    Runner = 2,
    /// The runs with a label; its key is `key=value`.
    Label = 3,
}

/// Which time a sum is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    /// An hour.
    Hour = 0,
    /// A day in UTC.
    Day = 1,
    /// Six hours, the quarter of a day.
    Quarter = 2,
}

impl Grain {
    /// Returns how long it is.
    pub fn length(self) -> Duration {
        Duration::hours(match self {
            Self::Hour => 1,
            Self::Quarter => 6,
            Self::Day => 24,
        })
    }

    /// Returns when the one begins that an instant is in.
    pub fn floor(self, at: DateTime<Utc>) -> DateTime<Utc> {
        at.duration_trunc(self.length()).unwrap_or(at)
    }

    /// Returns when the first one begins at an instant or after it.
    pub fn ceil(self, at: DateTime<Utc>) -> DateTime<Utc> {
        let begins = self.floor(at);
        if begins < at { begins + self.length() } else { begins }
    }
}

/// Names a sum.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The namespace.
    pub ns_id: i32,
    /// What it is of.
    pub dim: Dim,
    /// Which time.
    pub grain: Grain,
    /// When that time begins.
    pub at: DateTime<Utc>,
    /// Which one of its kind.
    pub key: String,
}

/// What is known of runs together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    /// How many passed.
    pub pass: i64,
    /// How many failed.
    pub fail: i64,
    /// How many ended with an error.
    pub error: i64,
    /// How many took too long.
    pub timed_out: i64,
    /// How many were cancelled.
    pub cancelled: i64,
    /// How many of those that passed did so after an attempt that failed.
    pub flaky: i64,
    /// How many attempts they had.
    pub attempts: i64,
    /// How long they waited to be leased first, together.
    pub wait_ms: i64,
    /// How long they took from their start to their end, together.
    pub duration_ms: i64,
    /// How long they held slots of runners, together.
    pub busy_ms: i64,
    /// How long each waited.
    pub waits: Sketch,
    /// How long each took.
    pub durations: Sketch,
}

impl Sums {
    /// Returns how many runs there were.
    pub fn runs(&self) -> i64 {
        self.pass + self.fail + self.error + self.timed_out + self.cancelled
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.count(other);
        self.waits.merge(&other.waits);
        self.durations.merge(&other.durations);
    }

    /// Adds what others count, and leaves the sketches alone.
    pub fn count(&mut self, other: &Self) {
        let Self { pass, fail, error, timed_out, cancelled, flaky, attempts, wait_ms, duration_ms, busy_ms, .. } =
            other;
        for (sum, more) in [
            (&mut self.pass, pass),
            (&mut self.fail, fail),
            (&mut self.error, error),
            (&mut self.timed_out, timed_out),
            (&mut self.cancelled, cancelled),
            (&mut self.flaky, flaky),
            (&mut self.attempts, attempts),
            (&mut self.wait_ms, wait_ms),
            (&mut self.duration_ms, duration_ms),
            (&mut self.busy_ms, busy_ms),
        ] {
            *sum = sum.saturating_add(*more);
        }
    }
}

macro_rules! sums_of {
    ($row:expr) => {
        Sums {
            pass: $row.pass,
            fail: $row.fail,
            error: $row.error,
            timed_out: $row.timed_out,
            cancelled: $row.cancelled,
            flaky: $row.flaky,
            attempts: $row.attempts,
            wait_ms: $row.wait_ms,
            duration_ms: $row.duration_ms,
            busy_ms: $row.busy_ms,
            waits: Sketch::from_bytes(&$row.waits),
            durations: Sketch::from_bytes(&$row.durations),
        }
    };
}

/// The columns of keys.
struct Columns {
    ns: Vec<i32>,
    dim: Vec<i16>,
    grain: Vec<i16>,
    at: Vec<DateTime<Utc>>,
    key: Vec<String>,
}

impl Columns {
    fn of<'a>(keys: impl Iterator<Item = &'a Key> + Clone) -> Self {
        Self {
            ns: keys.clone().map(|key| key.ns_id).collect(),
            dim: keys.clone().map(|key| key.dim as i16).collect(),
            grain: keys.clone().map(|key| key.grain as i16).collect(),
            at: keys.clone().map(|key| key.at).collect(),
            key: keys.map(|key| key.key.clone()).collect(),
        }
    }
}

/// Adds to the sums, in the order of their keys. Under the digest's lock.
pub async fn add(conn: &mut Conn, _: &Access<System>, mut more: BTreeMap<Key, Sums>) -> Result<()> {
    let keys = Columns::of(more.keys());
    let rows = sqlx::query!(
        r#"SELECT u.nth AS "nth!", r.pass, r.fail, r.error, r.timed_out, r.cancelled, r.flaky, r.attempts, r.wait_ms,
                  r.duration_ms, r.busy_ms, r.waits, r.durations
           FROM unnest($1::int[], $2::smallint[], $3::smallint[], $4::timestamptz[], $5::text[])
                WITH ORDINALITY AS u(ns_id, dim, grain, at, key, nth)
           CROSS JOIN LATERAL (
               SELECT pass, fail, error, timed_out, cancelled, flaky, attempts, wait_ms, duration_ms, busy_ms, waits, durations
               FROM rollup r
               WHERE r.ns_id = u.ns_id AND r.dim = u.dim AND r.grain = u.grain AND r.at = u.at AND r.key = u.key
               OFFSET 0) r
           ORDER BY u.nth"#,
        &keys.ns,
        &keys.dim,
        &keys.grain,
        &keys.at,
        &keys.key
    );
    let mut known = rows.fetch_all(&mut *conn).await?.into_iter().peekable();
    for (nth, sums) in (1_i64..).zip(more.values_mut()) {
        if let Some(row) = known.next_if(|row| row.nth == nth) {
            sums.add(&sums_of!(row));
        }
    }
    write(conn, &more).await
}

/// Writes sums as they are.
async fn write(conn: &mut Conn, all: &BTreeMap<Key, Sums>) -> Result<()> {
    let keys = Columns::of(all.keys());
    let column = |read: &dyn Fn(&Sums) -> i64| all.values().map(read).collect::<Vec<_>>();
    sqlx::query!(
        r#"INSERT INTO rollup AS r (ns_id, dim, grain, at, key, pass, fail, error, timed_out, cancelled, flaky, attempts,
                                    wait_ms, duration_ms, busy_ms, waits, durations)
           SELECT ns_id, dim, grain, at, key, pass, fail, error, timed_out, cancelled, flaky, attempts, wait_ms, duration_ms,
                  busy_ms, waits, durations
           FROM unnest($1::int[], $2::smallint[], $3::smallint[], $4::timestamptz[], $5::text[], $6::bigint[], $7::bigint[],
                       $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[],
                       $15::bigint[], $16::bytea[], $17::bytea[])
                AS u(ns_id, dim, grain, at, key, pass, fail, error, timed_out, cancelled, flaky, attempts, wait_ms,
                     duration_ms, busy_ms, waits, durations)
           ON CONFLICT (ns_id, dim, grain, at, key) DO UPDATE
           SET pass = excluded.pass, fail = excluded.fail, error = excluded.error, timed_out = excluded.timed_out,
               cancelled = excluded.cancelled, flaky = excluded.flaky, attempts = excluded.attempts,
               wait_ms = excluded.wait_ms, duration_ms = excluded.duration_ms, busy_ms = excluded.busy_ms,
               waits = excluded.waits, durations = excluded.durations"#,
        &keys.ns,
        &keys.dim,
        &keys.grain,
        &keys.at,
        &keys.key,
        &column(&|sums| sums.pass),
        &column(&|sums| sums.fail),
        &column(&|sums| sums.error),
        &column(&|sums| sums.timed_out),
        &column(&|sums| sums.cancelled),
        &column(&|sums| sums.flaky),
        &column(&|sums| sums.attempts),
        &column(&|sums| sums.wait_ms),
        &column(&|sums| sums.duration_ms),
        &column(&|sums| sums.busy_ms),
        &all.values().map(|sums| sums.waits.to_bytes()).collect::<Vec<_>>(),
        &all.values().map(|sums| sums.durations.to_bytes()).collect::<Vec<_>>()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A stretch of sums of one grain, from one instant to before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Whether its sums count, or are to be taken away from those of another piece.
    pub sign: Sign,
    /// Which sums.
    pub grain: Grain,
    /// From when.
    pub from: DateTime<Utc>,
    /// To when.
    pub to: DateTime<Utc>,
}

/// Reads since when there are sums of six hours.
pub async fn quarters_since(conn: &mut Conn, _: &Access<RunsRead>) -> Result<DateTime<Utc>> {
    let since = sqlx::query_scalar!("SELECT since FROM rollup_since WHERE grain = 2");
    Ok(since.fetch_optional(conn).await?.unwrap_or(DateTime::<Utc>::MAX_UTC))
}

/// Reads the sums of all runs of a namespace, those of each time.
pub async fn of_all(conn: &mut Conn, access: &Access<RunsRead>, piece: Piece) -> Result<Vec<(DateTime<Utc>, Sums)>> {
    let rows = sqlx::query!(
        r#"SELECT at, pass, fail, error, timed_out, cancelled, flaky, attempts, wait_ms, duration_ms, busy_ms, waits, durations
           FROM rollup
           WHERE ns_id = $1 AND dim = 0 AND grain = $2 AND at >= $3 AND at < $4 AND key = ''
           ORDER BY at"#,
        access.namespace(),
        piece.grain as i16,
        piece.from,
        piece.to
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.at, sums_of!(row))).collect())
}

/// Reads the sums of a test, those of each of these times.
pub async fn of_test(
    conn: &mut Conn,
    access: &Access<RunsRead>,
    test: TestId,
    grain: Grain,
    times: &[DateTime<Utc>],
) -> Result<Vec<(DateTime<Utc>, Sums)>> {
    // One look at the index for each time: other tests lie between.
    let rows = sqlx::query!(
        r#"SELECT r.at, r.pass, r.fail, r.error, r.timed_out, r.cancelled, r.flaky, r.attempts, r.wait_ms, r.duration_ms,
                  r.busy_ms, r.waits, r.durations
           FROM unnest($3::timestamptz[]) AS u(at)
           CROSS JOIN LATERAL (
               SELECT at, pass, fail, error, timed_out, cancelled, flaky, attempts, wait_ms, duration_ms, busy_ms, waits,
                      durations
               FROM rollup r
               WHERE r.ns_id = $1 AND r.dim = 1 AND r.grain = $2 AND r.at = u.at AND r.key = $4
               OFFSET 0) r
           ORDER BY r.at"#,
        access.namespace(),
        grain as i16,
        times,
        test.to_string()
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.at, sums_of!(row))).collect())
}

/// What is counted of the runs of one key over some time.
#[derive(Debug, Clone)]
pub struct Counted {
    /// Which one.
    pub key: String,
    /// The sums without their sketches.
    pub sums: Sums,
    /// How many keys there are.
    pub keys: i64,
}

/// Counts by key over stretches of time, those with most failures first, runners by how busy they were; at most `most`.
pub async fn by_key(
    conn: &mut Conn,
    access: &Access<RunsRead>,
    dim: Dim,
    pieces: &[Piece],
    most: usize,
) -> Result<Vec<Counted>> {
    let rows = sqlx::query!(
        r#"SELECT k.key AS "key!", k.pass AS "pass!", k.fail AS "fail!", k.error AS "error!", k.timed_out AS "timed_out!",
                  k.cancelled AS "cancelled!", k.flaky AS "flaky!", k.attempts AS "attempts!", k.wait_ms AS "wait_ms!",
                  k.duration_ms AS "duration_ms!", k.busy_ms AS "busy_ms!", count(*) OVER () AS "keys!"
           FROM (SELECT r.key, sum(p.sign * r.pass)::bigint AS pass, sum(p.sign * r.fail)::bigint AS fail,
                        sum(p.sign * r.error)::bigint AS error, sum(p.sign * r.timed_out)::bigint AS timed_out,
                        sum(p.sign * r.cancelled)::bigint AS cancelled, sum(p.sign * r.flaky)::bigint AS flaky,
                        sum(p.sign * r.attempts)::bigint AS attempts, sum(p.sign * r.wait_ms)::bigint AS wait_ms,
                        sum(p.sign * r.duration_ms)::bigint AS duration_ms, sum(p.sign * r.busy_ms)::bigint AS busy_ms
                 FROM unnest($3::smallint[], $4::timestamptz[], $5::timestamptz[], $6::smallint[]) AS p(grain, low, high, sign)
                 CROSS JOIN LATERAL (
                     SELECT key, pass, fail, error, timed_out, cancelled, flaky, attempts, wait_ms, duration_ms, busy_ms
                     FROM rollup r
                     WHERE r.ns_id = $1 AND r.dim = $2 AND r.grain = p.grain AND r.at >= p.low AND r.at < p.high
                     OFFSET 0) r
                 GROUP BY r.key
                 HAVING sum(p.sign * (r.pass + r.fail + r.error + r.timed_out + r.cancelled)) > 0 OR sum(p.sign * r.busy_ms) > 0) k
           ORDER BY CASE $2::smallint WHEN 2 THEN k.busy_ms ELSE k.fail + k.error + k.timed_out END DESC,
                    k.pass + k.fail + k.error + k.timed_out + k.cancelled DESC, k.key
           LIMIT $7"#,
        access.namespace(),
        dim as i16,
        &grains(pieces),
        &pieces.iter().map(|piece| piece.from).collect::<Vec<_>>(),
        &pieces.iter().map(|piece| piece.to).collect::<Vec<_>>(),
        &pieces.iter().map(|piece| piece.sign as i16).collect::<Vec<_>>(),
        most as i64
    );
    let counted = rows.fetch_all(conn).await?.into_iter().map(|row| Counted {
        key: row.key,
        sums: Sums {
            pass: row.pass,
            fail: row.fail,
            error: row.error,
            timed_out: row.timed_out,
            cancelled: row.cancelled,
            flaky: row.flaky,
            attempts: row.attempts,
            wait_ms: row.wait_ms,
            duration_ms: row.duration_ms,
            busy_ms: row.busy_ms,
            ..Sums::default()
        },
        keys: row.keys,
    });
    Ok(counted.collect())
}

/// Reads how long the runs of these tests waited and took, over stretches of time.
pub async fn sketches(
    conn: &mut Conn,
    access: &Access<RunsRead>,
    pieces: &[Piece],
    tests: &[String],
) -> Result<HashMap<String, (Sketch, Sketch)>> {
    let rows = sqlx::query!(
        r#"SELECT p.sign AS "sign!", r.key, r.waits, r.durations
           FROM unnest($2::smallint[], $3::timestamptz[], $4::timestamptz[], $6::smallint[]) AS p(grain, low, high, sign)
           CROSS JOIN LATERAL (
               SELECT key, waits, durations
               FROM rollup r
               WHERE r.ns_id = $1 AND r.dim = 1 AND r.grain = p.grain AND r.at >= p.low AND r.at < p.high
               OFFSET 0) r
           -- Not = ANY: in a prepared statement that compares each row with each test.
           WHERE r.key IN (SELECT unnest($5::text[]))"#,
        access.namespace(),
        &grains(pieces),
        &pieces.iter().map(|piece| piece.from).collect::<Vec<_>>(),
        &pieces.iter().map(|piece| piece.to).collect::<Vec<_>>(),
        tests,
        &pieces.iter().map(|piece| piece.sign as i16).collect::<Vec<_>>()
    );
    let mut found: HashMap<String, (Adder, Adder)> = HashMap::new();
    for row in rows.fetch_all(conn).await? {
        let (waits, durations) = found.entry(row.key).or_default();
        let sign = if row.sign < 0 { Sign::Minus } else { Sign::Plus };
        waits.add(&row.waits, sign);
        durations.add(&row.durations, sign);
    }
    Ok(found.into_iter().map(|(key, (waits, durations))| (key, (waits.sum(), durations.sum()))).collect())
}

fn grains(pieces: &[Piece]) -> Vec<i16> {
    pieces.iter().map(|piece| piece.grain as i16).collect()
}

/// Reads the names of tests, deleted ones among them.
pub async fn test_names(conn: &mut Conn, access: &Access<RunsRead>, tests: &[Uuid]) -> Result<HashMap<Uuid, String>> {
    let rows =
        sqlx::query!("SELECT id, name FROM test WHERE id = ANY($1) AND ns_id = ANY($2)", tests, access.namespaces());
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.id, row.name)).collect())
}

/// Reads the names of runners and how many slots they have.
pub async fn runner_names(
    conn: &mut Conn,
    _: &Access<RunsRead>,
    runners: &[RunnerId],
) -> Result<HashMap<RunnerId, (String, i16)>> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: RunnerId", name, slots FROM runner WHERE id = ANY($1)"#,
        &runners.iter().map(|id| id.0).collect::<Vec<_>>()
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.id, (row.name, row.slots))).collect())
}

/// Reads the ids of the runs of a namespace that have ended and were taken in, of a stretch of ids. Under the digest's lock and
/// in one snapshot: a run is either there, or still to be taken in, and then it will be added.
pub async fn taken_in(
    conn: &mut Conn,
    access: &Access<NamespacesWrite>,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!(
        r#"SELECT run_id FROM run_end
           WHERE run_id >= $2 AND run_id < $3 AND ns_id = $1 AND run_id NOT IN (SELECT run_id FROM undigested)"#,
        access.namespace(),
        lowest_at(from),
        lowest_at(to)
    );
    Ok(ids.fetch_all(conn).await?)
}

/// Holds retention off a day until the transaction ends; tells whether all runs of the day are still there.
pub async fn hold_day(conn: &mut Conn, access: &Access<NamespacesWrite>, day: NaiveDate) -> Result<bool> {
    // In a statement before, so that the next one sees what was removed while this one waited.
    sqlx::query!("SELECT lock_day($1, false)", day).fetch_one(&mut *conn).await?;
    let removed = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM runs_removed WHERE ns_id = $1 AND before > $2) AS "removed!""#,
        access.namespace(),
        day
    );
    Ok(!removed.fetch_one(conn).await?)
}

/// Returns the first day with a run of a namespace, or with a sum of one, that is at most `days` days ago.
pub async fn first_day(
    conn: &mut Conn,
    access: &Access<NamespacesWrite>,
    days: i32,
) -> Result<Option<(NaiveDate, NaiveDate)>> {
    let row = sqlx::query!(
        r#"SELECT greatest(least((SELECT id_day(id) FROM run WHERE ns_id = $1 ORDER BY id LIMIT 1),
                                 (SELECT (at AT TIME ZONE 'UTC')::date FROM rollup
                                  WHERE ns_id = $1 AND dim = 0 AND grain = 1 ORDER BY at LIMIT 1)),
                           (clock_timestamp() AT TIME ZONE 'UTC')::date - $2::int) AS first,
                  (clock_timestamp() AT TIME ZONE 'UTC')::date AS "today!""#,
        access.namespace(),
        days
    );
    let row = row.fetch_one(conn).await?;
    Ok(row.first.map(|first| (first, row.today)))
}

/// Replaces all sums of a namespace of a time. Under the digest's lock.
pub async fn replace(
    conn: &mut Conn,
    access: &Access<NamespacesWrite>,
    grain: Grain,
    at: DateTime<Utc>,
    all: &BTreeMap<Key, Sums>,
) -> Result<()> {
    sqlx::query!(
        "DELETE FROM rollup WHERE ns_id = $1 AND dim = ANY('{0,1,2,3}') AND grain = $2 AND at = $3",
        access.namespace(),
        grain as i16,
        at
    )
    .execute(&mut *conn)
    .await?;
    if all.is_empty() { Ok(()) } else { write(conn, all).await }
}

/// Adds up the hours of what begins at a time, of a namespace. Under the digest's lock.
pub async fn hours_of(
    conn: &mut Conn,
    access: &Access<NamespacesWrite>,
    grain: Grain,
    from: DateTime<Utc>,
) -> Result<BTreeMap<Key, Sums>> {
    let rows = sqlx::query!(
        r#"SELECT dim, key, pass, fail, error, timed_out, cancelled, flaky, attempts, wait_ms, duration_ms, busy_ms, waits,
                  durations
           FROM rollup
           WHERE ns_id = $1 AND dim = ANY('{0,1,2,3}') AND grain = 0 AND at >= $2 AND at < $3"#,
        access.namespace(),
        from,
        from + grain.length()
    );
    let mut added: BTreeMap<Key, Sums> = BTreeMap::new();
    for row in rows.fetch_all(conn).await? {
        let dim = match row.dim {
            0 => Dim::All,
            1 => Dim::Test,
            2 => Dim::Runner,
            _ => Dim::Label,
        };
        let sums = sums_of!(row);
        let key = Key { ns_id: access.namespace(), dim, grain, at: from, key: row.key };
        added.entry(key).or_default().add(&sums);
    }
    Ok(added)
}

/// Notes that runs of a day were removed, of these namespaces: a rebuild leaves the sums of the day alone.
pub async fn note_removed(conn: &mut Conn, _: &Access<System>, day: NaiveDate, namespaces: &[i32]) -> Result<()> {
    sqlx::query!(
        r#"INSERT INTO runs_removed AS r (ns_id, before)
           SELECT ns_id, $2::date + 1 FROM unnest($1::int[]) AS u(ns_id) ORDER BY ns_id
           ON CONFLICT (ns_id) DO UPDATE SET before = excluded.before WHERE r.before < excluded.before"#,
        namespaces,
        day
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes sums of hours and of six hours that are older than so many days, at most `limit` of each namespace and kind; returns how many.
pub async fn prune(conn: &mut Conn, _: &Access<System>, days: i32, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        r#"DELETE FROM rollup
           WHERE ctid = ANY(ARRAY(
               SELECT r.tid
               FROM namespace n
               CROSS JOIN generate_series(0, 3) AS d(dim)
               CROSS JOIN (VALUES (0), (2)) AS g(grain)
               CROSS JOIN LATERAL (
                   SELECT ctid AS tid FROM rollup
                   WHERE ns_id = n.id AND dim = d.dim::smallint AND grain = g.grain::smallint
                     AND at < date_trunc('day', clock_timestamp(), 'UTC') - make_interval(days => $1)
                   ORDER BY at
                   LIMIT $2) r))"#,
        days,
        limit
    );
    Ok(done.execute(conn).await?.rows_affected())
}

/// Lets everything that is read in a transaction be of one instant. The first thing in it.
pub async fn begin_reading(conn: &mut Conn) -> Result<()> {
    sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(conn).await?;
    Ok(())
}
