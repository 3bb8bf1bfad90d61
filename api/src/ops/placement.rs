//! Which lanes have waiting runs, and which of them a runner may look into; both without the database.
//!
//! The board of lanes is a hint: it is filled by our own enqueues, by notifications, and every second by a look at the
//! queue. It also remembers from where on a lane has runs, so that a claim does not walk over the rows of those that
//! went before it and are not vacuumed yet. A lane that turns out to be empty keeps its place on the board.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tstr_shared::namespace::NamespacePatterns;
use tstr_shared::selector::{SelectorSources, Selectors, check_placement};

use crate::error::{Error, Result};
use crate::store::queue::{Class, Place};
use crate::store::runners::RunnerSelectors;

/// How many lanes one statement looks into.
const LANES_AT_ONCE: usize = 16;

/// A set of runners that take the same placement classes: what their tokens and labels select.
#[derive(Debug)]
pub struct Signature {
    /// Its number.
    index: usize,
    namespaces: NamespacePatterns,
    selectors: Selectors,
}

impl Signature {
    /// Returns its number.
    pub fn index(&self) -> usize {
        self.index
    }
}

/// The board of lanes, the classes, and what was matched so far.
#[derive(Debug, Default)]
pub struct Placement(Mutex<Board>);

#[derive(Debug, Default)]
struct Board {
    lanes: HashMap<i32, Lane>,
    classes: HashMap<i32, Arc<Class>>,
    /// Classes that have lanes and are not known yet.
    unknown: HashSet<i32>,
    known: HashMap<(Vec<String>, SelectorSources), usize>,
    signatures: HashMap<usize, Eligible>,
    /// The number of the next signature; none is used twice.
    next: usize,
    /// Counts additions.
    clock: u64,
    /// Turns with every look, so that namespaces that hold equally many leases take turns.
    turn: usize,
    /// Namespace to how many leases it holds: read from the database every second, and counted on in between.
    held: HashMap<i32, i64>,
}

#[derive(Debug, Clone, Copy)]
struct Lane {
    /// No run before this place is known of.
    head: i64,
    empty: bool,
    /// When the lane was added last, by the board's clock.
    added: u64,
    /// It was empty already when idle lanes were looked for last.
    idle: bool,
}

/// What a signature may look into.
#[derive(Debug)]
struct Eligible {
    signature: Arc<Signature>,
    /// Class to whether it fits; regular expressions run once for each class.
    fits: HashMap<i32, bool>,
    /// Namespace to its lanes that fit and have runs: the most pressing priority first, then the oldest head.
    lanes: BTreeMap<i32, BTreeSet<(i32, i64, i32)>>,
}

/// The lanes of one namespace that a claim is to look into, in the order in which it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    /// The namespace.
    pub ns_id: i32,
    /// Its lanes, each with the place from which on it has runs.
    pub lanes: Vec<Place>,
    /// The classes of these lanes.
    pub classes: Vec<Arc<Class>>,
    /// How many runs to take from them.
    pub share: usize,
    /// The board's time when this was put together.
    pub as_of: u64,
}

impl Candidates {
    /// Returns the class of one of its lanes.
    pub fn class_of(&self, lane: i32) -> Option<&Class> {
        self.classes.iter().find(|class| class.id == lane / 4).map(Arc::as_ref)
    }
}

impl Placement {
    fn board(&self) -> MutexGuard<'_, Board> {
        // Nothing here panics half way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes runs at these places; tells whether any lane had none before.
    pub fn add(&self, places: impl IntoIterator<Item = Place>) -> bool {
        let mut board = self.board();
        board.clock += 1;
        let now = board.clock;
        let mut news = false;
        for place in places {
            let lane = board.lanes.get(&place.lane).copied();
            let head = lane.map_or(place.seq, |lane| if lane.empty { place.seq } else { lane.head.min(place.seq) });
            news |= lane.is_none_or(|lane| lane.empty);
            board.set(place.lane, Lane { head, empty: false, added: now, idle: false });
        }
        news
    }

    /// Returns the board's time, before a look at the whole queue.
    pub fn now(&self) -> u64 {
        self.board().clock
    }

    /// Notes that a look at the whole queue found these lanes only; what was added since its beginning stays.
    pub fn found_only(&self, heads: &[Place], as_of: u64) {
        let found: HashSet<i32> = heads.iter().map(|place| place.lane).collect();
        let mut board = self.board();
        let gone: Vec<(i32, Lane)> = board
            .lanes
            .iter()
            .filter(|(lane, state)| !state.empty && state.added <= as_of && !found.contains(lane))
            .map(|(lane, state)| (*lane, Lane { empty: true, ..*state }))
            .collect();
        for (lane, state) in gone {
            board.set(lane, state);
        }
    }

    /// Takes over the first places of a look at the whole queue; tells whether it found any that was not known of.
    pub fn add_missed(&self, heads: impl IntoIterator<Item = Place>) -> bool {
        let missed: Vec<Place> = {
            let board = self.board();
            let known =
                |place: &Place| board.lanes.get(&place.lane).is_some_and(|lane| !lane.empty && lane.head <= place.seq);
            heads.into_iter().filter(|place| !known(place)).collect()
        };
        let any = !missed.is_empty();
        self.add(missed);
        any
    }

    /// Notes what a claim found. `taken`: the last run taken from each lane that gave any. `searched`: lanes that were
    /// walked to their end and are empty now, unless they were added to after `as_of`.
    pub fn claimed(&self, taken: &[Place], searched: &[Place], as_of: u64) {
        let mut board = self.board();
        for place in taken {
            if let Some(lane) = board.lanes.get(&place.lane).copied()
                && lane.added <= as_of
            {
                board.set(place.lane, Lane { head: lane.head.max(place.seq + 1), ..lane });
            }
        }
        for place in searched {
            if let Some(lane) = board.lanes.get(&place.lane).copied()
                && lane.added <= as_of
            {
                board.set(place.lane, Lane { empty: true, ..lane });
            }
        }
    }

    /// Forgets lanes that were empty here and already at the last call, classes that have no lanes any more, and signatures
    /// that nobody else holds: labels that no run and no runner has again must not fill the memory. What is forgotten is
    /// learned anew when it is needed.
    pub fn forget_idle(&self) {
        let mut board = self.board();
        // They are handed out under the lock only, so nobody can be about to use one that nobody holds.
        board.signatures.retain(|_, eligible| Arc::strong_count(&eligible.signature) > 1);
        let Board { known, signatures, .. } = &mut *board;
        known.retain(|_, index| signatures.contains_key(index));
        board.lanes.retain(|_, lane| !(lane.empty && std::mem::replace(&mut lane.idle, lane.empty)));
        let used: HashSet<i32> = board.lanes.keys().map(|lane| lane / 4).collect();
        board.classes.retain(|id, _| used.contains(id));
        for eligible in board.signatures.values_mut() {
            eligible.fits.retain(|id, _| used.contains(id));
        }
    }

    /// Forgets lanes and classes: their keys may belong to others now.
    pub fn forget_all(&self) {
        let mut board = self.board();
        board.lanes.clear();
        board.classes.clear();
        board.unknown.clear();
        board.held.clear();
        for eligible in board.signatures.values_mut() {
            eligible.fits.clear();
            eligible.lanes.clear();
        }
    }

    /// Returns how many signatures are known.
    pub fn signatures(&self) -> usize {
        self.board().signatures.len()
    }

    /// Returns the place of the oldest head of each priority that has runs, and how many lanes have runs that no runner
    /// takes which this replica knows.
    pub fn waiting(&self) -> (BTreeMap<i32, i64>, usize) {
        let board = self.board();
        let mut oldest = BTreeMap::new();
        let mut unserved = HashSet::new();
        for (lane, state) in board.lanes.iter().filter(|(_, state)| !state.empty) {
            let head = oldest.entry(lane % 4).or_insert(state.head);
            *head = state.head.min(*head);
            unserved.insert(*lane);
        }
        // Nearly all runners take nearly the same: the first ones leave little to look for.
        for eligible in board.signatures.values().filter(|eligible| !eligible.lanes.is_empty()) {
            if unserved.is_empty() {
                break;
            }
            for (_, _, lane) in eligible.lanes.values().flatten() {
                unserved.remove(lane);
            }
        }
        (oldest, unserved.len())
    }

    /// Takes over how many leases each namespace holds.
    pub fn set_held(&self, held: HashMap<i32, i64>) {
        self.board().held = held;
    }

    /// Counts leases that were given to a namespace, or taken from it.
    pub fn count_held(&self, ns_id: i32, more: i64) {
        *self.board().held.entry(ns_id).or_default() += more;
    }

    /// Returns the namespace of a lane whose class is known.
    pub fn namespace_of(&self, lane: i32) -> Option<i32> {
        self.board().classes.get(&(lane / 4)).map(|class| class.ns_id)
    }

    /// Returns the classes of the board that are not known yet.
    pub fn unknown_classes(&self) -> Vec<i32> {
        self.board().unknown.iter().copied().collect()
    }

    /// Adds classes; they never change.
    pub fn add_classes(&self, new: Vec<Class>) {
        let mut board = self.board();
        for class in new {
            let id = class.id;
            board.unknown.remove(&id);
            board.classes.insert(id, Arc::new(class));
            for lane in id * 4..id * 4 + 4 {
                if let Some(state) = board.lanes.get(&lane).copied() {
                    board.list(lane, None, Some(state));
                }
            }
        }
    }

    /// Returns the signature of a runner's selectors.
    pub fn signature(&self, runner: &RunnerSelectors) -> Result<Arc<Signature>> {
        let key = (runner.namespaces.clone(), runner.selectors.clone());
        let mut board = self.board();
        if let Some(known) = board.known.get(&key).and_then(|index| board.signatures.get(index)) {
            return Ok(known.signature.clone());
        }
        let broken = |what: String| Error::internal(anyhow::anyhow!("stored selectors do not parse: {what}"));
        let index = board.next;
        let signature = Arc::new(Signature {
            index,
            namespaces: NamespacePatterns::parse(&key.0).map_err(|(_, fault)| broken(fault))?,
            selectors: Selectors::parse(&key.1).map_err(|fault| broken(fault.to_string()))?,
        });
        board.next += 1;
        board.known.insert(key, index);
        let eligible = Eligible { signature: signature.clone(), fits: HashMap::new(), lanes: BTreeMap::new() };
        board.signatures.insert(index, eligible);
        let lanes: Vec<(i32, Lane)> = board.lanes.iter().map(|(lane, state)| (*lane, *state)).collect();
        let Board { signatures, classes, .. } = &mut *board;
        if let Some(eligible) = signatures.get_mut(&index) {
            for (lane, state) in lanes {
                eligible.list(classes, lane, None, Some(state));
            }
        }
        Ok(signature)
    }

    /// Shares `wanted` runs out among the namespaces whose runs these runners may take, and says where to find them.
    ///
    /// Each run goes to the namespace that then holds the fewest leases, so that none can hold another up by a flood of
    /// runs; equals take turns. Inside one, the more pressing priority comes first and then the older head.
    pub fn candidates(&self, signature: &Signature, namespaces: &[i32], wanted: usize) -> Vec<Candidates> {
        let mut board = self.board();
        board.turn = board.turn.wrapping_add(1);
        let (turn, as_of) = (board.turn, board.clock);
        let Some(eligible) = board.signatures.get(&signature.index) else { return Vec::new() };
        let with_runs: Vec<i32> = eligible.lanes.keys().copied().filter(|ns| namespaces.contains(ns)).collect();
        let count = with_runs.len();
        let mut shares: BTreeSet<(i64, usize, i32, usize)> = with_runs
            .into_iter()
            .enumerate()
            .map(|(i, ns)| (board.held.get(&ns).copied().unwrap_or(0), (i + turn) % count, ns, 0))
            .collect();
        for _ in 0..wanted {
            let Some((held, place, ns, share)) = shares.pop_first() else { break };
            shares.insert((held + 1, place, ns, share + 1));
        }
        let mut shares: Vec<_> = shares.into_iter().filter(|(.., share)| *share > 0).collect();
        shares.sort_by_key(|(held, place, _, share)| (*held - *share as i64, *place));
        let lanes_of = |ns: i32| {
            let lanes = eligible.lanes.get(&ns).into_iter().flatten().take(LANES_AT_ONCE);
            let known = |lane: i32| board.classes.get(&(lane / 4)).cloned();
            lanes.filter_map(|(_, head, lane)| Some((Place { lane: *lane, seq: *head }, known(*lane)?))).unzip()
        };
        let found = shares.into_iter().map(|(_, _, ns_id, share)| {
            let (lanes, classes) = lanes_of(ns_id);
            Candidates { ns_id, lanes, classes, share, as_of }
        });
        found.collect()
    }
}

impl Board {
    fn set(&mut self, lane: i32, state: Lane) {
        let before = self.lanes.insert(lane, state);
        self.list(lane, before, Some(state));
    }

    /// Brings the lists of all signatures up to date with a lane.
    fn list(&mut self, lane: i32, before: Option<Lane>, after: Option<Lane>) {
        if !self.classes.contains_key(&(lane / 4)) {
            self.unknown.insert(lane / 4);
            return;
        }
        for eligible in self.signatures.values_mut() {
            eligible.list(&self.classes, lane, before, after);
        }
    }
}

impl Eligible {
    fn list(&mut self, classes: &HashMap<i32, Arc<Class>>, lane: i32, before: Option<Lane>, after: Option<Lane>) {
        let Some(class) = classes.get(&(lane / 4)) else { return };
        let fits = *self.fits.entry(class.id).or_insert_with(|| {
            let Signature { namespaces, selectors, .. } = &*self.signature;
            check_placement(namespaces, selectors, &class.namespace, &class.labels).is_ok()
        });
        if !fits {
            return;
        }
        let listed = |state: Lane| (!state.empty).then_some((lane % 4, state.head, lane));
        let (before, after) = (before.and_then(listed), after.and_then(listed));
        if before == after {
            return;
        }
        let lanes = self.lanes.entry(class.ns_id).or_default();
        if let Some(before) = before {
            lanes.remove(&before);
        }
        if let Some(after) = after {
            lanes.insert(after);
        }
        if lanes.is_empty() {
            self.lanes.remove(&class.ns_id);
        }
    }
}

#[cfg(test)]
mod tests;
