//! Which lanes have waiting runs, and which of them a runner may look into; both without the database.
//!
//! The directory of lanes is a hint: it is filled by our own enqueues, by notifications, and every second by a look at
//! the queue. A lane that turns out to be empty is dropped from it, unless it was added again meanwhile.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use tstr_shared::namespace::NamespacePatterns;
use tstr_shared::selector::{Selectors, check_placement};

use crate::error::{Error, Result};
use crate::store::queue::Class;
use crate::store::runners::RunnerSelectors;

/// A set of runners that take the same placement classes.
#[derive(Debug)]
pub struct Signature {
    namespaces: NamespacePatterns,
    selectors: Selectors,
    /// Class to whether these runners take it; regular expressions run once for each class.
    fits: Mutex<HashMap<i32, bool>>,
}

type SignatureKey = (Vec<String>, tstr_shared::selector::SelectorSources);

/// The directory of lanes, the classes, and what was matched so far.
#[derive(Debug, Default)]
pub struct Placement {
    lanes: Mutex<Directory>,
    classes: Mutex<HashMap<i32, Arc<Class>>>,
    signatures: Mutex<HashMap<SignatureKey, Arc<Signature>>>,
}

#[derive(Debug, Default)]
struct Directory {
    /// Lane to the time of its last addition.
    lanes: BTreeMap<i32, u64>,
    /// Counts additions.
    clock: u64,
    /// Turns with every look, so that equal lanes take turns.
    turn: u64,
    /// Namespace to how many leases it holds: read from the database every second, and counted on in between.
    held: HashMap<i32, i64>,
}

/// The lanes of one namespace that a runner may look into, in the order in which it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    /// The namespace.
    pub ns_id: i32,
    /// Its lanes: the most pressing priority first.
    pub lanes: Vec<i32>,
    /// The directory's time when this was put together.
    pub as_of: u64,
}

impl Placement {
    /// Adds lanes; tells whether any was not there.
    pub fn add_lanes(&self, lanes: impl IntoIterator<Item = i32>) -> bool {
        let Ok(mut directory) = self.lanes.lock() else { return false };
        directory.clock += 1;
        let now = directory.clock;
        let mut added = false;
        for lane in lanes {
            added |= directory.lanes.insert(lane, now).is_none();
        }
        added
    }

    /// Drops lanes that were found empty, but for those that were added after `as_of`.
    pub fn drop_empty(&self, lanes: impl IntoIterator<Item = i32>, as_of: u64) {
        let Ok(mut directory) = self.lanes.lock() else { return };
        for lane in lanes {
            if directory.lanes.get(&lane).is_some_and(|added| *added <= as_of) {
                directory.lanes.remove(&lane);
            }
        }
    }

    /// Takes over how many leases each namespace holds.
    pub fn set_held(&self, held: HashMap<i32, i64>) {
        if let Ok(mut directory) = self.lanes.lock() {
            directory.held = held;
        }
    }

    /// Counts leases that were given to a namespace, or taken from it.
    pub fn count_held(&self, ns_id: i32, more: i64) {
        if let Ok(mut directory) = self.lanes.lock() {
            *directory.held.entry(ns_id).or_default() += more;
        }
    }

    /// Returns the namespace of a lane whose class is known.
    pub fn namespace_of(&self, lane: i32) -> Option<i32> {
        self.classes.lock().ok()?.get(&(lane / 4)).map(|class| class.ns_id)
    }

    /// Returns the classes of the directory that are not known yet.
    pub fn unknown_classes(&self) -> Vec<i32> {
        let (Ok(directory), Ok(classes)) = (self.lanes.lock(), self.classes.lock()) else { return Vec::new() };
        let unknown: HashSet<i32> =
            directory.lanes.keys().map(|lane| lane / 4).filter(|class| !classes.contains_key(class)).collect();
        unknown.into_iter().collect()
    }

    /// Adds classes; they never change.
    pub fn add_classes(&self, new: Vec<Class>) {
        if let Ok(mut classes) = self.classes.lock() {
            classes.extend(new.into_iter().map(|class| (class.id, Arc::new(class))));
        }
    }

    /// Returns the signature of a runner's selectors.
    pub fn signature(&self, runner: &RunnerSelectors) -> Result<Arc<Signature>> {
        let key = (runner.namespaces.clone(), runner.selectors.clone());
        let Ok(mut signatures) = self.signatures.lock() else {
            return Err(Error::internal(anyhow::anyhow!("the signatures are poisoned")));
        };
        if let Some(known) = signatures.get(&key) {
            return Ok(known.clone());
        }
        let broken = |what: String| Error::internal(anyhow::anyhow!("stored selectors do not parse: {what}"));
        let signature = Arc::new(Signature {
            namespaces: NamespacePatterns::parse(&key.0).map_err(|(_, fault)| broken(fault))?,
            selectors: Selectors::parse(&key.1).map_err(|fault| broken(fault.to_string()))?,
            fits: Mutex::default(),
        });
        signatures.insert(key, signature.clone());
        Ok(signature)
    }

    /// Puts together the lanes that runners of a signature may look into, by namespace.
    ///
    /// The namespace that holds the fewest leases comes first, so that none can hold another up by a flood of runs;
    /// equals take turns. Inside one, a more pressing priority comes first and classes take turns.
    pub fn candidates(&self, signature: &Signature, namespaces: &[i32]) -> Vec<Candidates> {
        let (Ok(mut directory), Ok(classes), Ok(mut fits)) =
            (self.lanes.lock(), self.classes.lock(), signature.fits.lock())
        else {
            return Vec::new();
        };
        directory.turn += 1;
        let mut by_namespace: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for lane in directory.lanes.keys() {
            let Some(class) = classes.get(&(lane / 4)) else { continue };
            let fits = *fits.entry(class.id).or_insert_with(|| {
                check_placement(&signature.namespaces, &signature.selectors, &class.namespace, &class.labels).is_ok()
            });
            if fits && namespaces.contains(&class.ns_id) {
                by_namespace.entry(class.ns_id).or_default().push(*lane);
            }
        }
        let (turn, as_of) = (directory.turn as usize, directory.clock);
        let mut candidates: Vec<Candidates> = by_namespace
            .into_iter()
            .map(|(ns_id, mut lanes)| {
                let shift = turn % lanes.len();
                lanes.rotate_left(shift);
                lanes.sort_by_key(|lane| lane % 4);
                Candidates { ns_id, lanes, as_of }
            })
            .collect();
        if !candidates.is_empty() {
            let shift = turn % candidates.len();
            candidates.rotate_left(shift);
        }
        candidates.sort_by_key(|candidates| directory.held.get(&candidates.ns_id).copied().unwrap_or(0));
        candidates
    }
}

#[cfg(test)]
mod tests {
    use tstr_shared::labels::Labels;
    use tstr_shared::selector::SelectorSources;

    use super::*;

    fn class(id: i32, ns_id: i32, region: &str) -> Class {
        let labels: Labels = [("region", region)].into_iter().collect();
        Class { id, ns_id, namespace: format!("ns{ns_id}"), labels }
    }
    fn runner(namespace: &str, region: &str) -> RunnerSelectors {
        let accept = [("region".to_owned(), region.to_owned())].into();
        let selectors = SelectorSources { accept, ..SelectorSources::default() };
        RunnerSelectors { namespaces: vec![namespace.into()], selectors, draining: false }
    }

    #[test]
    fn a_runner_looks_only_into_lanes_that_fit_it_the_most_pressing_first() {
        let placement = Placement::default();
        placement.add_classes(vec![class(1, 1, "nyc"), class(2, 1, "sfo"), class(3, 2, "nyc"), class(4, 3, "nyc")]);
        placement.add_lanes([6, 4, 8, 12, 16]);
        let signature = placement.signature(&runner("ns[12]", "nyc")).unwrap();
        let mut found = placement.candidates(&signature, &[1, 2, 3]);
        found.sort_by_key(|candidates| candidates.ns_id);
        assert_eq!(
            found.iter().map(|c| (c.ns_id, c.lanes.clone())).collect::<Vec<_>>(),
            [(1, vec![4, 6]), (2, vec![12])]
        );
    }

    #[test]
    fn the_namespace_that_holds_the_fewest_leases_comes_first_and_equals_take_turns() {
        let placement = Placement::default();
        placement.add_classes(vec![class(1, 1, "nyc"), class(2, 2, "nyc"), class(3, 3, "nyc")]);
        placement.add_lanes([4, 8, 12]);
        let signature = placement.signature(&runner(".*", ".*")).unwrap();
        let first = || placement.candidates(&signature, &[1, 2, 3]).first().map(|candidates| candidates.ns_id).unwrap();
        let firsts: HashSet<i32> = (0..3).map(|_| first()).collect();
        assert_eq!(firsts.len(), 3);
        placement.set_held(HashMap::from([(1, 2), (2, 1)]));
        assert_eq!([first(), first()], [3, 3]);
        placement.count_held(3, 5);
        assert_eq!([first(), first()], [2, 2]);
        placement.count_held(1, -2);
        assert_eq!([first(), first()], [1, 1]);
    }

    #[test]
    fn a_lane_that_was_added_again_survives_being_found_empty() {
        let placement = Placement::default();
        placement.add_classes(vec![class(1, 1, "nyc")]);
        placement.add_lanes([4]);
        let signature = placement.signature(&runner(".*", ".*")).unwrap();
        let seen = placement.candidates(&signature, &[1]);
        placement.add_lanes([4]);
        placement.drop_empty([4], seen[0].as_of);
        assert_eq!(placement.candidates(&signature, &[1]).len(), 1);
        placement.drop_empty([4], seen[0].as_of + 1);
        assert!(placement.candidates(&signature, &[1]).is_empty());
    }

    #[test]
    fn unknown_classes_are_named_until_they_are_added() {
        let placement = Placement::default();
        placement.add_lanes([4, 5, 9]);
        let mut unknown = placement.unknown_classes();
        unknown.sort_unstable();
        assert_eq!(unknown, [1, 2]);
        placement.add_classes(vec![class(1, 1, "x"), class(2, 1, "y")]);
        assert!(placement.unknown_classes().is_empty());
    }
}
