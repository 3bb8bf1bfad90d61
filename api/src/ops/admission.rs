//! Who may enter the queue: what becomes of new runs, given the runs that their gates know already.
//!
//! Pure: the caller holds the locks of the gates, hands in what they hold, and writes down what is decided. The runs
//! of one trigger or instant are a set; they are refused together, wait as one, and never take each other's place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tstr_shared::concurrency::{ConcurrencyPolicy, Overflow, Rule};
use tstr_shared::ids::{MatrixId, RunId};
use uuid::Uuid;

/// The gate of a group, or of a cell of a test, as a new run meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupGate {
    /// Names the gate.
    pub key: Uuid,
    /// The name of its group; without one it belongs to a cell of a test.
    pub name: Option<Arc<str>>,
    /// What becomes of the run when there is no room.
    pub rule: Rule,
}

impl GroupGate {
    /// Returns what it is called in sentences.
    fn what(&self) -> String {
        self.name.as_ref().map_or_else(|| "this test and cell".to_owned(), |name| format!("the group '{name}'"))
    }
}

/// The gates of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gates {
    /// Room in its group, or among the runs of its cell.
    pub group: Option<GroupGate>,
    /// How many runs of its set may be under way at once.
    pub max_parallel: Option<u16>,
}

impl Gates {
    /// Tells whether nothing holds the run back.
    pub fn is_open(&self) -> bool {
        self.group.is_none() && self.max_parallel.is_none()
    }
}

/// A run that arrives at its gates.
#[derive(Debug, Clone)]
pub struct Newcomer {
    /// The run.
    pub run: RunId,
    /// The set it belongs to.
    pub set: MatrixId,
    /// Its gates.
    pub gates: Gates,
}

/// A run that a gate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The run.
    pub run: RunId,
    /// The set it belongs to.
    pub set: MatrixId,
    /// The slot that it holds; without one it waits.
    pub slot: Option<u16>,
    /// It is being cancelled.
    pub leaving: bool,
}

/// What a gate holds.
#[derive(Debug, Clone, Default)]
pub struct GateState {
    /// How many slots there are.
    pub slots: u16,
    /// The runs that it knows, in the order in which they came.
    pub runs: Vec<Known>,
}

/// The slots that a run is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// In its group.
    pub group: Option<u16>,
    /// In its matrix.
    pub matrix: Option<u16>,
}

/// What is decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The slots of the runs that are let in or wait.
    pub places: BTreeMap<RunId, Place>,
    /// Sets that are refused, and why.
    pub refused: BTreeMap<MatrixId, String>,
    /// Runs that end because they may not wait, new ones among them, and why.
    pub dropped: BTreeMap<RunId, String>,
    /// Runs that are under way and have to end, and why.
    pub cancelled: BTreeMap<RunId, String>,
}

/// Decides about newcomers, in their order; `gates` is what the gates of their groups hold.
pub fn decide(gates: BTreeMap<Uuid, GateState>, newcomers: &[Newcomer]) -> Plan {
    decide_beside(gates, &BTreeMap::new(), newcomers)
}

/// Decides about newcomers of whose sets others may have come before; `taken` are the slots that those hold.
pub fn decide_beside(
    mut gates: BTreeMap<Uuid, GateState>,
    taken: &BTreeMap<MatrixId, BTreeSet<u16>>,
    newcomers: &[Newcomer],
) -> Plan {
    let mut plan = Plan::default();
    let mut rest = newcomers;
    while let Some(first) = rest.first() {
        let end = rest.iter().position(|one| one.set != first.set).unwrap_or(rest.len());
        let (set, behind) = rest.split_at(end);
        rest = behind;
        enter(&mut gates, taken.get(&first.set), set, &mut plan);
    }
    plan
}

/// Lets one set arrive.
fn enter(gates: &mut BTreeMap<Uuid, GateState>, taken: Option<&BTreeSet<u16>>, set: &[Newcomer], plan: &mut Plan) {
    let id = match set.first() {
        Some(first) => first.set,
        None => return,
    };
    let mut by_gate: BTreeMap<Uuid, (&GroupGate, Vec<RunId>)> = BTreeMap::new();
    for one in set {
        if let Some(gate) = &one.gates.group {
            by_gate.entry(gate.key).or_insert((gate, Vec::new())).1.push(one.run);
        }
    }
    let refusal = by_gate.values().find_map(|(gate, _)| {
        let known = gates.get(&gate.key)?;
        (gate.rule.policy == ConcurrencyPolicy::Forbid).then(|| known.forbids(id, &gate.what())).flatten()
    });
    if let Some(message) = refusal {
        plan.refused.insert(id, message);
        return;
    }
    for (key, (gate, runs)) in by_gate {
        let known = gates.entry(key).or_insert_with(|| GateState { slots: gate.rule.limit, runs: Vec::new() });
        known.take_in(id, gate, &runs, plan);
    }
    let mut free = (1..).filter(|slot| taken.is_none_or(|taken| !taken.contains(slot)));
    for one in set {
        let place = plan.places.entry(one.run).or_default();
        let passed = one.gates.group.is_none() || place.group.is_some();
        let room = one.gates.max_parallel.filter(|_| passed);
        place.matrix = room.and_then(|room| free.next().filter(|slot| *slot <= room));
    }
}

impl GateState {
    /// Says why a new set is refused, if it is: others fill the gate.
    fn forbids(&self, set: MatrixId, what: &str) -> Option<String> {
        let others: Vec<_> = self.runs.iter().filter(|known| known.set != set).collect();
        let first = others.first()?;
        (others.len() >= usize::from(self.slots)).then(|| match others.len() {
            1 => format!("run {} of {what} is under way, and its concurrency forbids another", first.run),
            count => format!("{count} runs of {what} are under way, and its concurrency forbids more"),
        })
    }

    fn take_in(&mut self, set: MatrixId, gate: &GroupGate, runs: &[RunId], plan: &mut Plan) {
        match gate.rule.policy {
            ConcurrencyPolicy::Replace => self.make_room(set, runs, &gate.what(), plan),
            ConcurrencyPolicy::Allow | ConcurrencyPolicy::Forbid | ConcurrencyPolicy::Queue => {}
        }
        let mut free = self.free_slots();
        let mut enters = false;
        for run in runs {
            let slot = free.next();
            enters |= slot.is_some();
            self.runs.push(Known { run: *run, set, slot, leaving: false });
            plan.places.insert(*run, Place { group: slot, matrix: None });
        }
        if gate.rule.policy == ConcurrencyPolicy::Queue && !enters {
            self.cut_queue(set, gate, runs, plan);
        }
    }

    /// Somebody waits for a slot. Who is to be cancelled does not: no slot is handed to it, and nobody hands one on when
    /// it ends.
    fn is_waited_for(&self) -> bool {
        self.runs.iter().any(|known| known.slot.is_none() && !known.leaving)
    }

    /// The slots that new runs may take: none while others wait for them.
    fn free_slots(&self) -> impl Iterator<Item = u16> + use<> {
        let taken: BTreeSet<u16> = self.runs.iter().filter_map(|known| known.slot).collect();
        let room = if self.is_waited_for() { 0 } else { usize::from(self.slots).saturating_sub(taken.len()) };
        (1..=self.slots).filter(move |slot| !taken.contains(slot)).take(room)
    }

    /// Cancels others, the oldest first, until the new runs have room. Those that wait make way at once.
    fn make_room(&mut self, set: MatrixId, runs: &[RunId], what: &str, plan: &mut Plan) {
        let Some(new) = runs.first() else { return };
        let wanted = runs.len().min(usize::from(self.slots));
        if !self.is_waited_for() && self.free_slots().count() >= wanted {
            return;
        }
        let message = format!("replaced by run {new} of {what}");
        let waiting = |known: &Known| known.set != set && known.slot.is_none();
        plan.drop_all(self.runs.iter().filter(|known| waiting(known)).map(|known| known.run), &message);
        self.runs.retain(|known| !waiting(known));
        let leaving = self.runs.iter().filter(|known| known.leaving).count();
        let lacking = wanted.saturating_sub(self.free_slots().count() + leaving);
        for known in self.runs.iter_mut().filter(|known| known.set != set && !known.leaving).take(lacking) {
            known.leaving = true;
            plan.cancelled.insert(known.run, message.clone());
        }
    }

    /// Drops sets until no more wait than may. A set of which a run is under way does not count: its turn has come.
    fn cut_queue(&mut self, set: MatrixId, gate: &GroupGate, runs: &[RunId], plan: &mut Plan) {
        let depth = usize::from(gate.rule.depth);
        let begun: BTreeSet<MatrixId> =
            self.runs.iter().filter(|known| known.slot.is_some()).map(|known| known.set).collect();
        let mut waiting: Vec<MatrixId> = Vec::new();
        for known in &self.runs {
            if !begun.contains(&known.set) && !waiting.contains(&known.set) {
                waiting.push(known.set);
            }
        }
        let over = waiting.len().saturating_sub(depth);
        let new = runs.first().map(ToString::to_string).unwrap_or_default();
        let (victims, message): (Vec<MatrixId>, String) = match gate.rule.overflow {
            _ if over == 0 => return,
            _ if depth == 0 => (vec![set], format!("runs of {} are under way, and none may wait", gate.what())),
            Overflow::Newest => (vec![set], format!("{depth} of {} wait already, which is the most", gate.what())),
            Overflow::Oldest => (
                waiting.into_iter().take(over).collect(),
                format!("replaced in the queue by run {new} of {}", gate.what()),
            ),
        };
        let dropped = |known: &Known| known.slot.is_none() && victims.contains(&known.set);
        plan.drop_all(self.runs.iter().filter(|known| dropped(known)).map(|known| known.run), &message);
        self.runs.retain(|known| !dropped(known));
    }
}

impl Plan {
    fn drop_all(&mut self, runs: impl Iterator<Item = RunId>, message: &str) {
        self.dropped.extend(runs.map(|run| (run, message.to_owned())));
    }
}

#[cfg(test)]
mod tests;
