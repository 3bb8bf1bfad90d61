//! The way through the gates: locking them, deciding who enters, and carrying out what follows for others.
//!
//! What is decided is in [`super::admission`], which knows no database; here it is read and written down.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tstr_shared::concurrency::{ConcurrencyPolicy, Overflow, Rule};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::{MatrixId, RunId, TestId};
use tstr_shared::labels::Labels;
use tstr_shared::run::Trigger;
use tstr_shared::testdef::NewTestDef;
use uuid::Uuid;

use super::Ops;
use super::admission::{GateState, Gates, GroupGate, Known, Newcomer, Place, Plan, decide, decide_beside};
use super::enqueue::firsts;
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};
use crate::store::ends::{Close, Kind};
use crate::store::gates::{DueRun, GateKind, NewGate, Placed};
use crate::store::orders::{Order, Stands};
use crate::store::queue::{Enqueues, NewRun};
use crate::store::{self, Conn};

/// How many orders one step carries out.
const ORDERS_AT_ONCE: i64 = 500;
/// How many runs that were put off meet their gates in one step, and how many parked ones one step looks at.
const RUNS_AT_ONCE: i64 = 500;
/// How many gates one look for forgotten slots takes.
const GATES_AT_ONCE: i64 = 1000;

/// Returns the gates of a cell of a test.
pub(super) fn gates_of(def: &NewTestDef, ns_id: i32, test: TestId, cell: &Labels, trigger: Trigger) -> Gates {
    let rule = match &def.concurrency {
        Some(concurrency) => concurrency.rule(),
        None if trigger == Trigger::Schedule => Some(Rule::of_schedule(def.catch_up)),
        None => None,
    };
    let name = def.concurrency.as_ref().and_then(|concurrency| concurrency.group.as_deref());
    let group = rule.map(|rule| GroupGate {
        key: name.map_or_else(|| cell_key(test, cell), |name| group_key(ns_id, name)),
        name: name.map(Arc::from),
        rule,
    });
    // A retry is a set of its own, with one run.
    let max_parallel = def.matrix.as_ref().filter(|_| trigger != Trigger::Retry).and_then(|matrix| matrix.max_parallel);
    Gates { group, max_parallel: max_parallel.and_then(|cells| u16::try_from(cells).ok()) }
}

fn group_key(ns_id: i32, name: &str) -> Uuid {
    key_of(&[b"group", &ns_id.to_be_bytes(), name.to_ascii_lowercase().as_bytes()])
}

fn cell_key(test: TestId, cell: &Labels) -> Uuid {
    key_of(&[b"cell", test.0.as_bytes(), cell.canonical().as_bytes()])
}

fn key_of(parts: &[&[u8]]) -> Uuid {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    Uuid::from_bytes(bytes)
}

/// What stands at the gates, locked, and what is decided about the newcomers.
pub(super) struct Approach {
    gates: BTreeMap<Uuid, GateState>,
    pub(super) plan: Plan,
}

impl Approach {
    /// Decides once more, about fewer newcomers.
    pub(super) fn again(&self, runs: &[(&NewRun, &Gates)]) -> Plan {
        let newcomers: Vec<Newcomer> = runs.iter().filter_map(|(run, gates)| newcomer(run, gates)).collect();
        decide(self.gates.clone(), &newcomers)
    }
}

/// Whether all runs of a set meet their gates together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sets {
    /// They do.
    Whole,
    /// Others of the set may have met them before.
    Cut,
}

/// A run that meets its gates now; one that was put off does so later.
fn newcomer(run: &NewRun, gates: &Gates) -> Option<Newcomer> {
    let now = !gates.is_open() && run.due.is_none();
    now.then(|| Newcomer { run: run.id, set: run.matrix_id, gates: gates.clone() })
}

/// Returns the row of a run with its gates.
pub(super) fn placed(run: &NewRun, gates: &Gates, slots: Place, at: store::queue::Place) -> Placed {
    let small = |number: u16| i16::try_from(number).unwrap_or(i16::MAX);
    let group = gates.group.as_ref();
    Placed {
        run_id: run.id.0,
        ns_id: run.ns_id,
        matrix_id: run.matrix_id.0,
        group_key: group.map(|gate| gate.key),
        group_slot: slots.group.map(small),
        rule: group
            .map(|gate| (policy_word(gate.rule.policy), small(gate.rule.depth), overflow_word(gate.rule.overflow))),
        max_parallel: gates.max_parallel.map(small),
        matrix_slot: slots.matrix.map(small),
        lane: at.lane,
        seq: at.seq,
        queue_secs: run.queue_secs,
        due: run.due,
        config_id: run.config_id,
        test_id: run.test_id.0,
    }
}

fn policy_word(policy: ConcurrencyPolicy) -> &'static str {
    match policy {
        ConcurrencyPolicy::Allow => "allow",
        ConcurrencyPolicy::Forbid => "forbid",
        ConcurrencyPolicy::Queue => "queue",
        ConcurrencyPolicy::Replace => "replace",
    }
}

fn overflow_word(overflow: Overflow) -> &'static str {
    match overflow {
        Overflow::Oldest => "oldest",
        Overflow::Newest => "newest",
    }
}

impl Ops {
    /// Locks the gates of new runs and decides which of them may enter.
    pub(super) async fn approach<P: Enqueues>(
        &self,
        conn: &mut Conn,
        access: &Access<P>,
        runs: &[(NewRun, Gates)],
    ) -> Result<Approach> {
        let newcomers: Vec<(i32, Newcomer)> =
            runs.iter().filter_map(|(run, gates)| Some((run.ns_id, newcomer(run, gates)?))).collect();
        self.meet(conn, access, &newcomers, Sets::Whole).await
    }

    async fn meet<P: Enqueues>(
        &self,
        conn: &mut Conn,
        access: &Access<P>,
        newcomers: &[(i32, Newcomer)],
        sets: Sets,
    ) -> Result<Approach> {
        if newcomers.is_empty() {
            return Ok(Approach { gates: BTreeMap::new(), plan: Plan::default() });
        }
        let mut wanted: BTreeMap<Uuid, NewGate> = BTreeMap::new();
        for (ns_id, one) in newcomers {
            if let Some(group) = &one.gates.group {
                wanted.insert(group.key, gate_of(*ns_id, group));
            }
            if let Some(slots) = one.gates.max_parallel {
                let key = one.set.0;
                wanted.insert(key, NewGate { key, kind: GateKind::Matrix, ns_id: *ns_id, name: None, slots });
            }
        }
        let wanted: Vec<NewGate> = wanted.into_values().collect();
        store::gates::lock(conn, access, &wanted).await?;
        let keys: Vec<Uuid> = wanted.iter().filter(|gate| gate.kind != GateKind::Matrix).map(|gate| gate.key).collect();
        // A statement of its own, so that it sees what was committed before the locks were given.
        let (slots, known) = store::gates::state(conn, access, &keys).await?;
        let mut gates: BTreeMap<Uuid, GateState> =
            slots.into_iter().map(|(key, slots)| (key, GateState { slots, runs: Vec::new() })).collect();
        for run in known {
            if let Some(gate) = gates.get_mut(&run.key) {
                let slot = run.slot.map(i16::unsigned_abs);
                gate.runs.push(Known { run: run.run_id, set: run.matrix_id, slot, leaving: run.leaving });
            }
        }
        let newcomers: Vec<Newcomer> = newcomers.iter().map(|(_, one)| one.clone()).collect();
        let taken = match sets {
            Sets::Whole => BTreeMap::new(),
            Sets::Cut => {
                let matrices: Vec<Uuid> =
                    wanted.iter().filter(|gate| gate.kind == GateKind::Matrix).map(|gate| gate.key).collect();
                store::gates::taken(conn, access, &matrices).await?
            }
        };
        let plan = decide_beside(gates.clone(), &taken, &newcomers);
        Ok(Approach { gates, plan })
    }

    /// Lets runs that were put off meet their gates when their time has come; returns how many.
    pub(super) async fn open_due(&self, access: &Access<System>) -> Result<usize> {
        let mut tx = self.db().begin().await?;
        let due = store::gates::take_due(&mut tx, access, RUNS_AT_ONCE).await?;
        if due.is_empty() {
            return Ok(0);
        }
        let newcomers: Vec<(i32, Newcomer)> = due.iter().map(|run| (run.ns_id, newcomer_of(run))).collect();
        let Plan { places, refused, mut dropped, cancelled } =
            self.meet(&mut tx, access, &newcomers, Sets::Cut).await?.plan;
        for (set, message) in refused {
            dropped.extend(due.iter().filter(|run| run.matrix_id == set).map(|run| (run.run_id, message.clone())));
        }
        let small = |slot: u16| i16::try_from(slot).unwrap_or(i16::MAX);
        let opened: Vec<_> =
            places.iter().map(|(run, place)| (*run, place.group.map(small), place.matrix.map(small))).collect();
        let places = store::gates::open(&mut tx, access, &opened).await?;
        let ended = store::gates::drop_parked(&mut tx, access, &dropped).await?;
        store::orders::add(&mut tx, access, &cancelled).await?;
        tx.commit().await?;
        self.announce(&ended, firsts(places));
        if !cancelled.is_empty() {
            self.0.orders.notify_one();
        }
        Ok(due.len())
    }

    /// Carries out the cancels that were ordered; returns how many runs it dealt with.
    pub async fn carry_out_orders(&self, access: &Access<System>) -> Result<usize> {
        let mut count = 0;
        // A run may move on between two looks; a few rounds catch it, and the next turn of the loop all others.
        for _ in 0..5 {
            let (taken, left) = self.carry_out_held(access).await?;
            count += taken;
            if left == 0 {
                break;
            }
            count += self.carry_out_waiting(access).await?;
        }
        Ok(count)
    }

    /// Deals with ordered cancels of runs that runners hold; returns how many, and how many runs wait.
    async fn carry_out_held(&self, access: &Access<System>) -> Result<(usize, usize)> {
        let orders = self.orders(access).await?;
        if orders.is_empty() {
            return Ok((0, 0));
        }
        let mut done: Vec<RunId> =
            orders.iter().filter(|order| order.stands == Stands::Ended).map(|order| order.run_id).collect();
        let running: Vec<&Order> = orders.iter().filter(|order| order.stands == Stands::Running).collect();
        if !running.is_empty() {
            let mut conn = self.db().acquire().await?;
            done.extend(store::orders::request_cancel(&mut conn, access, &running).await?);
        }
        let mut leased = Vec::new();
        let mut namespaces = Vec::new();
        for order in &orders {
            if let Stands::Leased(fence) = order.stands {
                let close = Close::new(fence, Kind::Cancelled).because(None, Some(order.message.clone()));
                leased.push(close.ordered_by(&order.actor));
                namespaces.push(order.ns_id);
            }
        }
        if !leased.is_empty() {
            let mut tx = self.db().begin().await?;
            let closed = store::ends::close_ordered(&mut tx, access, &leased, &namespaces).await?;
            tx.commit().await?;
            done.extend(closed.iter().map(|one| one.run_id));
            self.announce_closed(&closed);
        }
        self.forget_orders(access, &done).await?;
        self.0.wake.runs(done.iter().copied());
        Ok((done.len(), orders.len() - done.len()))
    }

    async fn carry_out_waiting(&self, access: &Access<System>) -> Result<usize> {
        let orders = self.orders(access).await?;
        let waiting: Vec<&Order> = orders.iter().filter(|order| order.stands == Stands::Waiting).collect();
        if waiting.is_empty() {
            return Ok(0);
        }
        let mut tx = self.0.pools.claim.begin().await?;
        let (ended, follows) = store::queue::cancel_ordered(&mut tx, access, &waiting).await?;
        tx.commit().await?;
        self.forget_orders(access, &ended).await?;
        self.announce(&ended, firsts(follows.places));
        Ok(ended.len())
    }

    async fn orders(&self, access: &Access<System>) -> Result<Vec<Order>> {
        let mut conn = self.db().acquire().await?;
        store::orders::read(&mut conn, access, ORDERS_AT_ONCE).await
    }

    async fn forget_orders(&self, access: &Access<System>, runs: &[RunId]) -> Result<()> {
        let mut conn = self.db().acquire().await?;
        store::orders::forget(&mut conn, access, runs).await
    }

    /// Waits until cancels are ordered in this replica.
    pub async fn orders_come(&self) {
        self.0.orders.notified().await;
    }

    /// Ends parked runs whose queue deadline has passed (T12); returns how many.
    pub(super) async fn expire_parked(&self, access: &Access<System>) -> Result<usize> {
        let mut tx = self.db().begin().await?;
        let (ended, follows) = store::gates::expire_parked(&mut tx, access, RUNS_AT_ONCE).await?;
        tx.commit().await?;
        self.announce(&ended, firsts(follows.places));
        if follows.ordered {
            self.0.orders.notify_one();
        }
        Ok(ended.len())
    }

    /// Looks for free slots that runs wait for all the same, which there should be none of; returns how many it let in.
    /// One replica at a time.
    pub async fn sweep_gates(&self, access: &Access<System>, every: std::time::Duration) -> Result<usize> {
        let mut tx = self.db().begin().await?;
        let turn = store::housekeeping::begin_sweep(&mut tx, access, "gates", every, every * 100).await?;
        if turn == store::housekeeping::Sweep::NotNow {
            return Ok(0);
        }
        let places = store::gates::promote_stuck(&mut tx, access, GATES_AT_ONCE).await?;
        tx.commit().await?;
        if !places.is_empty() {
            tracing::warn!("{} runs waited beside free slots of their gates", places.len());
        }
        let count = places.len();
        self.announce_places(firsts(places));
        Ok(count)
    }
}

/// Returns the gates of a test whose slots a registration sets.
pub(super) fn registered_gates(def: &NewTestDef, ns_id: i32, test: TestId) -> Result<Vec<NewGate>> {
    let gates = |cell: &Labels| gates_of(def, ns_id, test, cell, Trigger::Schedule).group;
    let mut found: BTreeMap<Uuid, NewGate> = BTreeMap::new();
    for cell in def.cells()? {
        if let Some(group) = gates(&cell) {
            found.insert(group.key, gate_of(ns_id, &group));
        }
    }
    Ok(found.into_values().collect())
}

fn gate_of(ns_id: i32, group: &GroupGate) -> NewGate {
    let kind = if group.name.is_some() { GateKind::Group } else { GateKind::Cell };
    NewGate { key: group.key, kind, ns_id, name: group.name.as_deref().map(str::to_owned), slots: group.rule.limit }
}

/// Says why a trigger is refused.
pub(super) fn forbidden(message: String) -> Error {
    Error::new(ErrorCode::ConcurrencyForbidden, message)
}

fn newcomer_of(run: &DueRun) -> Newcomer {
    let policy = match run.policy.as_deref() {
        Some("forbid") => ConcurrencyPolicy::Forbid,
        Some("replace") => ConcurrencyPolicy::Replace,
        _ => ConcurrencyPolicy::Queue,
    };
    let overflow = if run.overflow.as_deref() == Some("newest") { Overflow::Newest } else { Overflow::Oldest };
    let positive = |number: i16| number.unsigned_abs();
    let group = run.group_key.map(|key| GroupGate {
        key,
        name: run.name.as_deref().map(Arc::from),
        rule: Rule {
            policy,
            overflow,
            limit: run.slots.map_or(1, positive).max(1),
            depth: run.depth.map_or(1, positive),
        },
    });
    let set: MatrixId = run.matrix_id;
    Newcomer { run: run.run_id, set, gates: Gates { group, max_parallel: run.max_parallel.map(positive) } }
}
