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
    /// How many runs to take from them.
    pub share: usize,
    /// The board's time when this was put together.
    pub as_of: u64,
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
            lanes.map(|(_, head, lane)| Place { lane: *lane, seq: *head }).collect()
        };
        shares
            .into_iter()
            .map(|(_, _, ns_id, share)| Candidates { ns_id, lanes: lanes_of(ns_id), share, as_of })
            .collect()
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
mod tests {
    use tstr_shared::labels::Labels;

    use super::*;

    fn class(id: i32, ns_id: i32, region: &str) -> Class {
        let labels: Labels = [("region", region)].into_iter().collect();
        Class { id, ns_id, namespace: format!("ns{ns_id}"), labels }
    }
    fn runner(namespace: &str, region: &str) -> RunnerSelectors {
        let accept = [("region".to_owned(), region.to_owned())].into();
        let selectors = SelectorSources { accept, ..SelectorSources::default() };
        RunnerSelectors { namespaces: vec![namespace.into()], selectors, ..RunnerSelectors::default() }
    }
    fn at(lane: i32, seq: i64) -> Place {
        Place { lane, seq }
    }
    /// Namespace, its lanes and its share.
    type Told = (i32, Vec<(i32, i64)>, usize);

    fn told(candidates: &[Candidates]) -> Vec<Told> {
        let lanes = |one: &Candidates| one.lanes.iter().map(|place| (place.lane, place.seq)).collect();
        candidates.iter().map(|one| (one.ns_id, lanes(one), one.share)).collect()
    }

    #[test]
    fn a_runner_looks_only_into_lanes_that_fit_it_the_most_pressing_first_then_the_oldest() {
        let placement = Placement::default();
        placement.add_classes(vec![class(1, 1, "nyc"), class(2, 1, "sfo"), class(3, 2, "nyc"), class(4, 3, "nyc")]);
        placement.add_classes(vec![class(5, 1, "nyc")]);
        placement.add([at(6, 10), at(4, 30), at(8, 1), at(12, 5), at(16, 2), at(22, 9), at(20, 31)]);
        let signature = placement.signature(&runner("ns[12]", "nyc")).unwrap();
        let mut found = told(&placement.candidates(&signature, &[1, 2, 3], 2));
        found.sort();
        assert_eq!(found, [(1, vec![(4, 30), (20, 31), (22, 9), (6, 10)], 1), (2, vec![(12, 5)], 1)]);
    }

    #[test]
    fn runs_are_shared_out_to_who_holds_the_fewest_and_equals_take_turns() {
        let placement = Placement::default();
        placement.add_classes(vec![class(1, 1, "nyc"), class(2, 2, "nyc"), class(3, 3, "nyc")]);
        placement.add([at(4, 0), at(8, 0), at(12, 0)]);
        let signature = placement.signature(&runner(".*", ".*")).unwrap();
        let shares = |wanted| -> BTreeMap<i32, usize> {
            placement.candidates(&signature, &[1, 2, 3], wanted).iter().map(|one| (one.ns_id, one.share)).collect()
        };
        let firsts: HashSet<i32> = (0..3).flat_map(|_| shares(1).into_keys()).collect();
        assert_eq!(firsts.len(), 3);
        placement.set_held(HashMap::from([(1, 5), (2, 1)]));
        assert_eq!(shares(1), BTreeMap::from([(3, 1)]));
        assert_eq!(shares(7), BTreeMap::from([(3, 4), (2, 3)]));
        assert_eq!(shares(12), BTreeMap::from([(1, 1), (2, 5), (3, 6)]));
        placement.count_held(3, 5);
        assert_eq!(shares(1), BTreeMap::from([(2, 1)]));
        placement.count_held(1, -5);
        assert_eq!(placement.candidates(&signature, &[1, 2, 3], 3)[0].ns_id, 1, "who holds the fewest is served first");
    }

    #[test]
    fn a_claim_moves_the_head_of_its_lane_and_what_came_meanwhile_moves_it_back() {
        let placement = Placement::default();
        placement.add_classes(vec![class(1, 1, "nyc")]);
        let signature = placement.signature(&runner(".*", ".*")).unwrap();
        let head = || told(&placement.candidates(&signature, &[1], 1)).pop().map(|one: Told| one.1[0].1);
        assert!(placement.add([at(4, 100)]), "the lane had no runs");
        assert!(!placement.add([at(4, 200)]), "it had some");
        let seen = placement.candidates(&signature, &[1], 1);
        placement.claimed(&[at(4, 150)], &[], seen[0].as_of);
        assert_eq!(head(), Some(151));
        // A run that was committed late, or came back, lies before the head.
        placement.add([at(4, 40)]);
        assert_eq!(head(), Some(40));
        // It came while a claim was under way: that claim's news is no longer the last.
        placement.claimed(&[at(4, 160)], &[], seen[0].as_of);
        assert_eq!(head(), Some(40));
    }

    #[test]
    fn a_lane_found_empty_is_left_out_until_it_is_added_to_again() {
        let placement = Placement::default();
        placement.add_classes(vec![class(1, 1, "nyc")]);
        placement.add([at(4, 7)]);
        let signature = placement.signature(&runner(".*", ".*")).unwrap();
        let seen = placement.candidates(&signature, &[1], 1);
        placement.add([at(4, 8)]);
        placement.claimed(&[], &[at(4, 7)], seen[0].as_of);
        assert_eq!(placement.candidates(&signature, &[1], 1).len(), 1, "something was added while it was searched");
        placement.claimed(&[], &[at(4, 7)], seen[0].as_of + 1);
        assert!(placement.candidates(&signature, &[1], 1).is_empty());
        assert!(placement.add([at(4, 3)]));
        assert_eq!(told(&placement.candidates(&signature, &[1], 1)), [(1, vec![(4, 3)], 1)]);
    }

    #[test]
    fn labels_that_no_run_has_any_more_are_forgotten_and_learned_anew() {
        let placement = Placement::default();
        let signature = placement.signature(&runner(".*", ".*")).unwrap();
        placement.add_classes((1..=1000).map(|id| class(id, 1, "nyc")).collect());
        placement.add((1..=1000).map(|id| at(id * 4, 1)));
        let gone: Vec<Place> = (2..=1000).map(|id| at(id * 4, 1)).collect();
        placement.claimed(&[], &gone, u64::MAX);
        let sizes = || {
            let board = placement.board();
            (board.lanes.len(), board.classes.len(), board.signatures[&signature.index].fits.len())
        };
        placement.forget_idle();
        assert_eq!(sizes(), (1000, 1000, 1000), "they may come back soon");
        placement.add([at(8, 5)]);
        placement.claimed(&[], &[at(8, 5)], u64::MAX);
        placement.forget_idle();
        assert_eq!(sizes(), (2, 2, 2), "one has runs, one had some meanwhile");
        placement.add([at(12, 9)]);
        assert_eq!(placement.unknown_classes(), [3]);
        placement.add_classes(vec![class(3, 1, "nyc")]);
        assert_eq!(told(&placement.candidates(&signature, &[1], 1))[0].1, [(4, 1), (12, 9)]);
    }

    #[test]
    fn signatures_that_nobody_holds_are_forgotten_and_those_of_others_are_not_mixed_up() {
        let placement = Placement::default();
        placement.add_classes(vec![class(1, 1, "nyc"), class(2, 1, "sfo")]);
        placement.add([at(4, 1), at(8, 1)]);
        let nyc = placement.signature(&runner(".*", "nyc")).unwrap();
        for number in 0..100 {
            placement.signature(&runner(".*", &format!("r{number}"))).unwrap();
        }
        assert_eq!(placement.signatures(), 101);
        placement.forget_idle();
        assert_eq!((placement.signatures(), placement.board().known.len()), (1, 1));
        let sfo = placement.signature(&runner(".*", "sfo")).unwrap();
        assert!(Arc::ptr_eq(&nyc, &placement.signature(&runner(".*", "nyc")).unwrap()), "it is still known");
        assert_eq!(told(&placement.candidates(&nyc, &[1], 1)), [(1, vec![(4, 1)], 1)]);
        assert_eq!(told(&placement.candidates(&sfo, &[1], 1)), [(1, vec![(8, 1)], 1)]);
        drop((nyc, sfo));
        placement.forget_idle();
        assert_eq!((placement.signatures(), placement.board().known.len()), (0, 0));
    }

    #[test]
    fn lanes_that_a_look_at_the_whole_queue_does_not_find_are_empty() {
        let placement = Placement::default();
        placement.add_classes(vec![class(1, 1, "nyc"), class(2, 1, "nyc"), class(3, 1, "nyc")]);
        let signature = placement.signature(&runner(".*", ".*")).unwrap();
        placement.add([at(4, 1), at(8, 2)]);
        let before = placement.now();
        placement.add([at(12, 3)]);
        placement.found_only(&[at(8, 2)], before);
        assert_eq!(told(&placement.candidates(&signature, &[1], 1))[0].1, [(8, 2), (12, 3)]);
    }

    #[test]
    fn unknown_classes_are_named_until_they_are_added_and_then_looked_into() {
        let placement = Placement::default();
        let signature = placement.signature(&runner(".*", "x")).unwrap();
        placement.add([at(4, 1), at(5, 1), at(9, 1)]);
        let mut unknown = placement.unknown_classes();
        unknown.sort_unstable();
        assert_eq!(unknown, [1, 2]);
        assert!(placement.candidates(&signature, &[1], 1).is_empty());
        placement.add_classes(vec![class(1, 1, "x"), class(2, 1, "y")]);
        assert!(placement.unknown_classes().is_empty());
        assert_eq!(told(&placement.candidates(&signature, &[1], 1)), [(1, vec![(4, 1), (5, 1)], 1)]);
    }
}
