//! Gates: what limits how many runs are under way at once, and the runs that hold or await a slot.
//!
//! Slots are given under the lock of the gate's row, groups and cells before matrices, each kind in the order of its
//! keys. A run that ends gives its slots up without a lock; the statement after it takes the locks and hands the slots
//! on, after it has ordered the cancels that follow, so that no slot goes to a run that is to end. So whoever found a gate full and parked a run has committed before the slot is looked at again, or finds it free.

use std::collections::{BTreeMap, BTreeSet};

use tstr_shared::ids::{MatrixId, RunId};
use tstr_shared::permission::TestsWrite;
use tstr_shared::run::{Reason, RunResult};
use uuid::Uuid;

use super::Conn;
use super::queue::{Enqueues, Place};
use crate::auth::access::{Access, System};
use crate::error::Result;

/// What a gate limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GateKind {
    /// A named group of a namespace.
    Group,
    /// A cell of a test.
    Cell,
    /// The cells of a matrix.
    Matrix,
}

impl GateKind {
    fn word(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Cell => "cell",
            Self::Matrix => "matrix",
        }
    }
}

/// A gate as those who pass it describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGate {
    /// Names it.
    pub key: Uuid,
    /// What it limits.
    pub kind: GateKind,
    /// Its namespace.
    pub ns_id: i32,
    /// The name of a group.
    pub name: Option<String>,
    /// How many slots it has.
    pub slots: u16,
}

/// Locks gates until the transaction ends, and makes those that are missing. A group keeps the slots that were
/// registered for it; all others have those that are given here.
pub async fn lock<P: Enqueues>(conn: &mut Conn, _: &Access<P>, gates: &[NewGate]) -> Result<()> {
    sqlx::query!(
        r#"INSERT INTO gate (key, kind, ns_id, name, slots)
           SELECT key, kind, ns_id, name, slots
           FROM unnest($1::uuid[], $2::text[], $3::int[], $4::text[], $5::smallint[]) AS u(key, kind, ns_id, name, slots)
           ORDER BY kind = 'matrix', key
           ON CONFLICT (key) DO UPDATE SET slots = EXCLUDED.slots
           WHERE gate.kind <> 'group' AND gate.slots <> EXCLUDED.slots"#,
        &gates.iter().map(|gate| gate.key).collect::<Vec<_>>(),
        &gates.iter().map(|gate| gate.kind.word().to_owned()).collect::<Vec<_>>(),
        &gates.iter().map(|gate| gate.ns_id).collect::<Vec<_>>(),
        &gates.iter().map(|gate| gate.name.clone()).collect::<Vec<_>>() as &[Option<String>],
        &gates.iter().map(|gate| gate.slots as i16).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Sets the slots of a group or of the cells of a test as they were registered, and hands out those that are new.
/// Returns the places of runs that were let in.
pub async fn set_slots(conn: &mut Conn, _: &Access<TestsWrite>, gates: &[NewGate]) -> Result<Vec<Place>> {
    let changed = sqlx::query_scalar!(
        r#"INSERT INTO gate (key, kind, ns_id, name, slots)
           SELECT key, kind, ns_id, name, slots
           FROM unnest($1::uuid[], $2::text[], $3::int[], $4::text[], $5::smallint[]) AS u(key, kind, ns_id, name, slots)
           WHERE kind = 'group' OR EXISTS (SELECT FROM gate g WHERE g.key = u.key)
           ORDER BY key
           ON CONFLICT (key) DO UPDATE SET slots = EXCLUDED.slots WHERE gate.slots <> EXCLUDED.slots
           RETURNING key"#,
        &gates.iter().map(|gate| gate.key).collect::<Vec<_>>(),
        &gates.iter().map(|gate| gate.kind.word().to_owned()).collect::<Vec<_>>(),
        &gates.iter().map(|gate| gate.ns_id).collect::<Vec<_>>(),
        &gates.iter().map(|gate| gate.name.clone()).collect::<Vec<_>>() as &[Option<String>],
        &gates.iter().map(|gate| gate.slots as i16).collect::<Vec<_>>(),
    );
    let changed = changed.fetch_all(&mut *conn).await?;
    lock_all(conn, &changed, &[]).await?;
    promote(conn, changed, Vec::new()).await
}

/// A run that the gate of a group or cell knows.
#[derive(Debug)]
pub struct KnownRun {
    /// The gate.
    pub key: Uuid,
    /// The run.
    pub run_id: RunId,
    /// The set it belongs to.
    pub matrix_id: MatrixId,
    /// The slot that it holds; without one it waits.
    pub slot: Option<i16>,
    /// It is being cancelled.
    pub leaving: bool,
}

/// Reads how many slots gates have, and the runs that they know in the order in which they came. Call under their locks.
pub async fn state<P: Enqueues>(
    conn: &mut Conn,
    _: &Access<P>,
    keys: &[Uuid],
) -> Result<(BTreeMap<Uuid, u16>, Vec<KnownRun>)> {
    let slots = sqlx::query!("SELECT key, slots FROM gate WHERE key = ANY($1)", keys).fetch_all(&mut *conn).await?;
    let known = sqlx::query_as!(
        KnownRun,
        r#"SELECT g.group_key AS "key!", g.run_id AS "run_id: RunId", g.matrix_id AS "matrix_id: MatrixId",
                  g.group_slot AS slot,
                  EXISTS (SELECT FROM cancel_order o WHERE o.run_id = g.run_id)
                  OR EXISTS (SELECT FROM lease l WHERE l.run_id = g.run_id AND l.cancel_requested_at IS NOT NULL)
                      AS "leaving!"
           FROM gated g
           WHERE g.group_key = ANY($1) AND g.due IS NULL
           ORDER BY g.group_key, g.seq"#,
        keys
    );
    let slots = slots.into_iter().map(|row| (row.key, row.slots.unsigned_abs())).collect();
    Ok((slots, known.fetch_all(conn).await?))
}

/// Reads which slots of matrices are taken. Call under their locks.
pub async fn taken<P: Enqueues>(
    conn: &mut Conn,
    _: &Access<P>,
    matrices: &[Uuid],
) -> Result<BTreeMap<MatrixId, BTreeSet<u16>>> {
    let rows = sqlx::query!(
        r#"SELECT matrix_id AS "matrix_id: MatrixId", matrix_slot AS "slot!"
           FROM gated WHERE matrix_id = ANY($1) AND matrix_slot IS NOT NULL"#,
        matrices
    );
    let mut taken: BTreeMap<MatrixId, BTreeSet<u16>> = BTreeMap::new();
    for row in rows.fetch_all(conn).await? {
        taken.entry(row.matrix_id).or_default().insert(row.slot.unsigned_abs());
    }
    Ok(taken)
}

/// A run and the slots that it is given.
#[derive(Debug, Clone, Default)]
pub struct Placed {
    /// The run.
    pub run_id: Uuid,
    /// Its namespace.
    pub ns_id: i32,
    /// The set it belongs to.
    pub matrix_id: Uuid,
    /// The gate of its group or cell.
    pub group_key: Option<Uuid>,
    /// The slot there.
    pub group_slot: Option<i16>,
    /// Its policy, how many may wait and what is dropped, where it has such a gate.
    pub rule: Option<(&'static str, i16, &'static str)>,
    /// How many runs of its set may be under way at once.
    pub max_parallel: Option<i16>,
    /// The slot there.
    pub matrix_slot: Option<i16>,
    /// Its lane in the queue.
    pub lane: i32,
    /// Its place in the lane.
    pub seq: i64,
    /// How long it may wait.
    pub queue_secs: i32,
    /// It meets its gates only then.
    pub due: Option<chrono::DateTime<chrono::Utc>>,
    /// What it executes.
    pub config_id: i64,
    /// Its test.
    pub test_id: Uuid,
}

/// Lets runs into the queue that have their slots, and parks the others. Returns the places of runs that were let in.
pub async fn settle<P: Enqueues>(conn: &mut Conn, _: &Access<P>, runs: &[Placed]) -> Result<Vec<Place>> {
    let places = sqlx::query_file_as!(
        Place,
        "src/store/sql/settle.sql",
        &runs.iter().map(|run| run.run_id).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.ns_id).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.matrix_id).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.group_key).collect::<Vec<_>>() as &[Option<Uuid>],
        &runs.iter().map(|run| run.group_slot).collect::<Vec<_>>() as &[Option<i16>],
        &runs.iter().map(|run| run.rule.map(|rule| rule.0.to_owned())).collect::<Vec<_>>() as &[Option<String>],
        &runs.iter().map(|run| run.rule.map(|rule| rule.1)).collect::<Vec<_>>() as &[Option<i16>],
        &runs.iter().map(|run| run.rule.map(|rule| rule.2.to_owned())).collect::<Vec<_>>() as &[Option<String>],
        &runs.iter().map(|run| run.max_parallel).collect::<Vec<_>>() as &[Option<i16>],
        &runs.iter().map(|run| run.matrix_slot).collect::<Vec<_>>() as &[Option<i16>],
        &runs.iter().map(|run| run.lane).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.seq).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.queue_secs).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.due).collect::<Vec<_>>() as &[Option<chrono::DateTime<chrono::Utc>>],
        &runs.iter().map(|run| run.config_id).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.test_id).collect::<Vec<_>>(),
    );
    Ok(places.fetch_all(conn).await?)
}

/// A run that was put off and whose time has come.
#[derive(Debug)]
pub struct DueRun {
    /// The run.
    pub run_id: RunId,
    /// Its namespace.
    pub ns_id: i32,
    /// The set it belongs to.
    pub matrix_id: MatrixId,
    /// The gate of its group or cell.
    pub group_key: Option<Uuid>,
    /// The group's name.
    pub name: Option<String>,
    /// What becomes of it when there is no room.
    pub policy: Option<String>,
    /// How many sets may wait.
    pub depth: Option<i16>,
    /// What is dropped when more would wait.
    pub overflow: Option<String>,
    /// How many runs of its set may be under way at once.
    pub max_parallel: Option<i16>,
    /// How many slots its group or cell has.
    pub slots: Option<i16>,
}

/// Takes runs that were put off and whose time has come, whole sets after each other.
pub async fn take_due(conn: &mut Conn, _: &Access<System>, limit: i64) -> Result<Vec<DueRun>> {
    let rows = sqlx::query_as!(
        DueRun,
        r#"SELECT d.run_id AS "run_id: RunId", d.ns_id, d.matrix_id AS "matrix_id: MatrixId", d.group_key, g.name AS "name?",
                  d.policy, d.depth, d.overflow, d.max_parallel, g.slots AS "slots?"
           FROM gated d
           LEFT JOIN gate g ON g.key = d.group_key
           WHERE d.due <= (SELECT clock_timestamp())
           ORDER BY d.due, d.matrix_id, d.seq
           LIMIT $1
           FOR UPDATE OF d SKIP LOCKED"#,
        limit
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Lets runs that were put off meet their gates: run, slot of the group, slot of the matrix. Call under their locks.
pub async fn open(
    conn: &mut Conn,
    _: &Access<System>,
    runs: &[(RunId, Option<i16>, Option<i16>)],
) -> Result<Vec<Place>> {
    let places = sqlx::query_file_as!(
        Place,
        "src/store/sql/open.sql",
        &runs.iter().map(|run| run.0.0).collect::<Vec<_>>(),
        &runs.iter().map(|run| run.1).collect::<Vec<_>>() as &[Option<i16>],
        &runs.iter().map(|run| run.2).collect::<Vec<_>>() as &[Option<i16>],
    );
    Ok(places.fetch_all(conn).await?)
}

/// Ends parked runs that may not wait, as cancelled; returns those that it ended.
pub async fn drop_parked<P: Enqueues>(
    conn: &mut Conn,
    access: &Access<P>,
    runs: &BTreeMap<RunId, String>,
) -> Result<Vec<RunId>> {
    let ended = end_parked(conn, access.actor(), runs, RunResult::Cancelled, None).await?;
    // Dropped runs hold no slot of a group, so there is nothing to hand on.
    Ok(ended.into_iter().map(|one| one.run_id).collect())
}

/// Ends parked runs whose queue deadline has passed (T12); returns them, and what follows.
pub async fn expire_parked(conn: &mut Conn, access: &Access<System>, limit: i64) -> Result<(Vec<RunId>, Follows)> {
    let late = sqlx::query!(
        r#"SELECT g.run_id AS "run_id: RunId", r.queue_secs
           FROM (SELECT run_id FROM gated WHERE parked AND expires_at < (SELECT clock_timestamp()) LIMIT $1) g
           CROSS JOIN LATERAL (SELECT queue_secs FROM run WHERE id = g.run_id OFFSET 0) r"#,
        limit
    );
    let late = late.fetch_all(&mut *conn).await?.into_iter();
    let late: BTreeMap<RunId, String> =
        late.map(|row| (row.run_id, format!("the run waited {}s for other runs to end", row.queue_secs))).collect();
    if late.is_empty() {
        return Ok((Vec::new(), Follows::default()));
    }
    let ended = end_parked(conn, access.actor(), &late, RunResult::Error, Some(Reason::QueueExpired)).await?;
    let follows = after_end(conn, access.actor(), &ended).await?;
    Ok((ended.into_iter().map(|one| one.run_id).collect(), follows))
}

async fn end_parked(
    conn: &mut Conn,
    actor: &str,
    runs: &BTreeMap<RunId, String>,
    result: RunResult,
    reason: Option<Reason>,
) -> Result<Vec<Ended>> {
    let ended = sqlx::query_file_as!(
        Ended,
        "src/store/sql/end_parked.sql",
        &runs.keys().map(|run| run.0).collect::<Vec<_>>(),
        &runs.values().cloned().collect::<Vec<_>>(),
        result.word(),
        reason.map(Reason::word),
        actor
    );
    Ok(ended.fetch_all(conn).await?)
}

/// A run that ended, and the slots that it left.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) run_id: RunId,
    pub(super) group_key: Option<Uuid>,
    pub(super) matrix_key: Option<Uuid>,
    pub(super) fails_siblings: bool,
}

/// What follows from the ends of runs.
#[derive(Debug, Default)]
pub struct Follows {
    /// Places of runs that were let in, because slots became free.
    pub places: Vec<Place>,
    /// Other runs are to be cancelled.
    pub ordered: bool,
}

/// Does what follows from the ends of runs, in their transaction: orders the cancelling of the other cells where a
/// matrix fails fast, and then hands on the slots that became free.
pub(super) async fn after_end(conn: &mut Conn, actor: &str, ended: &[Ended]) -> Result<Follows> {
    let groups: Vec<Uuid> = ended.iter().filter_map(|one| one.group_key).collect();
    let matrices: Vec<Uuid> = ended.iter().filter_map(|one| one.matrix_key).collect();
    // The locks before the orders, as those who let runs replace others take them.
    lock_all(conn, &groups, &matrices).await?;
    let failed: Vec<Uuid> = ended.iter().filter(|one| one.fails_siblings).map(|one| one.run_id.0).collect();
    let ordered = match failed.is_empty() {
        true => 0,
        false => {
            let orders = sqlx::query_file!("src/store/sql/order_siblings.sql", &failed, actor);
            orders.execute(&mut *conn).await?.rows_affected()
        }
    };
    Ok(Follows { places: promote(conn, groups, matrices).await?, ordered: ordered > 0 })
}

/// Hands free slots of these gates, which are locked by [`lock_all`], on to the runs that wait for them. Returns the places
/// of runs that were let in.
async fn promote(conn: &mut Conn, groups: Vec<Uuid>, mut matrices: Vec<Uuid>) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    if !groups.is_empty() {
        let moved = sqlx::query_file!("src/store/sql/promote_group.sql", &groups).fetch_all(&mut *conn).await?;
        matrices.extend(moved.iter().filter(|run| run.parked).map(|run| run.matrix_id));
        let entered = moved.iter().filter(|run| !run.parked);
        places.extend(entered.map(|run| Place { lane: run.lane, seq: run.seq }));
    }
    if !matrices.is_empty() {
        let moved = sqlx::query_file_as!(Place, "src/store/sql/promote_matrix.sql", &matrices);
        places.extend(moved.fetch_all(&mut *conn).await?);
    }
    Ok(places)
}

/// Locks groups and cells, and then the matrices together with those whose cells wait for a slot of them: these meet
/// their matrix next, and a matrix that was locked later would be locked out of order.
async fn lock_all(conn: &mut Conn, groups: &[Uuid], matrices: &[Uuid]) -> Result<()> {
    lock_known(conn, groups).await?;
    let mut all = matrices.to_vec();
    if !groups.is_empty() {
        let next = sqlx::query_scalar!(
            r#"SELECT DISTINCT matrix_id FROM gated
               WHERE group_key = ANY($1) AND group_slot IS NULL AND max_parallel IS NOT NULL AND due IS NULL"#,
            groups
        );
        all.extend(next.fetch_all(&mut *conn).await?);
    }
    lock_known(conn, &all).await
}

/// Locks gates. A statement of its own: the next one must see what was committed before the locks were given.
async fn lock_known(conn: &mut Conn, keys: &[Uuid]) -> Result<()> {
    if !keys.is_empty() {
        sqlx::query!("SELECT key FROM gate WHERE key = ANY($1) ORDER BY key FOR UPDATE", keys).fetch_all(conn).await?;
    }
    Ok(())
}

/// Hands on free slots for which runs wait all the same. There are none unless something went wrong.
pub async fn promote_stuck(conn: &mut Conn, _: &Access<System>, limit: i64) -> Result<Vec<Place>> {
    let groups = sqlx::query_scalar!(
        r#"SELECT DISTINCT w.group_key AS "key!"
           FROM gated w JOIN gate g ON g.key = w.group_key
           WHERE w.parked AND w.group_slot IS NULL AND w.due IS NULL
             AND NOT EXISTS (SELECT FROM cancel_order o WHERE o.run_id = w.run_id)
             AND g.slots > (SELECT count(*) FROM gated h WHERE h.group_key = g.key AND h.group_slot IS NOT NULL)
           LIMIT $1"#,
        limit
    );
    let groups = groups.fetch_all(&mut *conn).await?;
    let matrices = sqlx::query_scalar!(
        r#"SELECT DISTINCT w.matrix_id
           FROM gated w JOIN gate g ON g.key = w.matrix_id
           WHERE w.parked AND w.max_parallel IS NOT NULL AND w.matrix_slot IS NULL AND w.due IS NULL
             AND (w.group_key IS NULL OR w.group_slot IS NOT NULL)
             AND NOT EXISTS (SELECT FROM cancel_order o WHERE o.run_id = w.run_id)
             AND g.slots > (SELECT count(*) FROM gated h WHERE h.matrix_id = g.key AND h.matrix_slot IS NOT NULL)
           LIMIT $1"#,
        limit
    );
    let matrices = matrices.fetch_all(&mut *conn).await?;
    lock_all(conn, &groups, &matrices).await?;
    promote(conn, groups, matrices).await
}

/// Forgets gates that no run passes; groups stay, they hold what was registered.
pub async fn forget_empty(conn: &mut Conn, _: &Access<System>, limit: i64) -> Result<u64> {
    let locked = sqlx::query_scalar!(
        r#"SELECT g.key FROM gate g
           WHERE g.kind <> 'group'
             AND NOT EXISTS (SELECT FROM gated r WHERE r.group_key = g.key)
             AND NOT EXISTS (SELECT FROM gated r WHERE r.matrix_id = g.key)
           LIMIT $1
           FOR UPDATE SKIP LOCKED"#,
        limit
    );
    let locked = locked.fetch_all(&mut *conn).await?;
    // Looked at again under the locks: a run may have come meanwhile.
    let done = sqlx::query!(
        r#"DELETE FROM gate g
           WHERE g.key = ANY($1)
             AND NOT EXISTS (SELECT FROM gated r WHERE r.group_key = g.key)
             AND NOT EXISTS (SELECT FROM gated r WHERE r.matrix_id = g.key)"#,
        &locked
    );
    Ok(done.execute(conn).await?.rows_affected())
}
