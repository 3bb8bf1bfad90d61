//! The board beside one that remembers nothing of what fits: it asks every class again, each time.

use std::ops::RangeInclusive;

use proptest::collection::vec;
use proptest::prelude::*;
use tstr_shared::arb;

use super::*;

/// The ids of classes and of namespaces that there are.
const CLASSES: RangeInclusive<i32> = 1..=8;
const NAMESPACES: RangeInclusive<i32> = 1..=3;
/// How many runners there are.
const RUNNERS: usize = 4;

/// What happens to the board.
#[derive(Debug, Clone)]
enum Step {
    /// Runs come into lanes.
    Add(Vec<Place>),
    /// A look at the whole queue finds some that may be news.
    Missed(Vec<Place>),
    /// A look at the whole queue, begun at an earlier time, found these lanes only.
    FoundOnly(Vec<Place>, usize),
    /// A claim that began at an earlier time took so many of the first lanes, and found the others empty.
    Claimed { runner: usize, taken: usize, further: i64, earlier: usize },
    /// A namespace holds more leases, or fewer.
    Held(i32, i64),
    /// What is idle is forgotten.
    Forget,
    /// Everything is, because the database has gone back.
    ForgetAll,
    /// A runner looks for so many runs in some of the namespaces.
    Look { runner: usize, namespaces: Vec<i32>, wanted: usize },
}

fn place() -> impl Strategy<Value = Place> {
    (CLASSES, 0..4i32, 0..60i64).prop_map(|(class, priority, seq)| at(class * 4 + priority, seq))
}

fn step() -> impl Strategy<Value = Step> {
    let places = || vec(place(), 1..5);
    let namespaces = proptest::sample::subsequence(NAMESPACES.collect::<Vec<_>>(), 1..=3);
    prop_oneof![
        4 => places().prop_map(Step::Add),
        1 => places().prop_map(Step::Missed),
        1 => (places(), 0..8usize).prop_map(|(found, earlier)| Step::FoundOnly(found, earlier)),
        3 => (0..RUNNERS, 0..4usize, 0..20i64, 0..4usize).prop_map(|(runner, taken, further, earlier)| {
            Step::Claimed { runner, taken, further, earlier }
        }),
        1 => (NAMESPACES, -2..5i64).prop_map(|(ns_id, more)| Step::Held(ns_id, more)),
        1 => Just(Step::Forget),
        1 => Just(Step::ForgetAll),
        4 => (0..RUNNERS, namespaces, 1..9usize).prop_map(|(runner, namespaces, wanted)| {
            Step::Look { runner, namespaces, wanted }
        }),
    ]
}

fn classes() -> impl Strategy<Value = Vec<Class>> {
    let count = CLASSES.count();
    (vec(arb::labels(), count), vec(NAMESPACES, count)).prop_map(|(labels, namespaces)| {
        let each = CLASSES.zip(namespaces).zip(labels);
        each.map(|((id, ns_id), labels)| Class { id, ns_id, namespace: format!("ns{ns_id}"), labels }).collect()
    })
}

fn runners() -> impl Strategy<Value = Vec<RunnerSelectors>> {
    let selectors = prop_oneof![Just(SelectorSources::default()), arb::selectors()];
    let namespaces = prop_oneof![Just(".*"), Just("ns1"), Just("ns[12]"), Just("ns3|ns2")];
    let runner = (selectors, namespaces).prop_map(|(selectors, namespaces)| RunnerSelectors {
        namespaces: vec![namespaces.into()],
        selectors,
        ..RunnerSelectors::default()
    });
    vec(runner, RUNNERS)
}

/// A lane: where its runs begin, whether it has any, and when it was added last.
#[derive(Debug, Clone, Copy)]
struct Known {
    head: i64,
    empty: bool,
    added: u64,
}

/// The board that remembers lanes and nothing else. It forgets none of them: that must not be seen.
#[derive(Debug, Default)]
struct Naive {
    lanes: BTreeMap<i32, Known>,
    held: BTreeMap<i32, i64>,
    clock: u64,
}

impl Naive {
    fn add(&mut self, places: &[Place]) -> bool {
        self.clock += 1;
        let mut news = false;
        for place in places {
            let before = self.lanes.get(&place.lane).filter(|lane| !lane.empty).map(|lane| lane.head);
            news |= before.is_none();
            let head = before.unwrap_or(place.seq).min(place.seq);
            self.lanes.insert(place.lane, Known { head, empty: false, added: self.clock });
        }
        news
    }

    /// Changes a lane, unless it was added to since.
    fn change(&mut self, lane: i32, as_of: u64, change: impl FnOnce(&mut Known)) {
        if let Some(lane) = self.lanes.get_mut(&lane).filter(|lane| lane.added <= as_of) {
            change(lane);
        }
    }

    /// Returns the lanes of each namespace that fit a runner and have runs, in the order in which they are looked into.
    fn fitting(&self, runner: &RunnerSelectors, classes: &[Class], namespaces: &[i32]) -> BTreeMap<i32, Vec<Place>> {
        let patterns = NamespacePatterns::parse(&runner.namespaces).unwrap();
        let selectors = Selectors::parse(&runner.selectors).unwrap();
        let mut all: BTreeMap<i32, Vec<Place>> = BTreeMap::new();
        for class in classes.iter().filter(|class| namespaces.contains(&class.ns_id)) {
            if check_placement(&patterns, &selectors, &class.namespace, &class.labels).is_err() {
                continue;
            }
            for lane in class.id * 4..class.id * 4 + 4 {
                if let Some(known) = self.lanes.get(&lane).filter(|known| !known.empty) {
                    all.entry(class.ns_id).or_default().push(at(lane, known.head));
                }
            }
        }
        for lanes in all.values_mut() {
            lanes.sort_by_key(|place| (place.lane % 4, place.seq, place.lane));
            lanes.truncate(LANES_AT_ONCE);
        }
        all
    }
}

/// Checks that what a runner was told is what the loop finds, and that it is shared out fairly.
fn compare(
    told: &[Candidates],
    fitting: &BTreeMap<i32, Vec<Place>>,
    held: &BTreeMap<i32, i64>,
    wanted: usize,
) -> Result<(), TestCaseError> {
    for one in told {
        prop_assert!(one.share > 0);
        prop_assert_eq!(Some(&one.lanes), fitting.get(&one.ns_id));
    }
    let shares: BTreeMap<i32, usize> = told.iter().map(|one| (one.ns_id, one.share)).collect();
    prop_assert_eq!(shares.len(), told.len(), "each namespace once");
    prop_assert_eq!(shares.values().sum::<usize>(), if fitting.is_empty() { 0 } else { wanted });
    let has = |ns_id: i32| held.get(&ns_id).copied().unwrap_or(0);
    for (ns_id, share) in &shares {
        for other in fitting.keys() {
            let others = has(*other) + shares.get(other).map_or(0, |share| *share as i64);
            prop_assert!(has(*ns_id) + *share as i64 <= others + 1, "{ns_id} before {other}: {shares:?}, {held:?}");
        }
    }
    let order: Vec<i64> = told.iter().map(|one| has(one.ns_id)).collect();
    prop_assert!(order.is_sorted(), "who holds the fewest is served first: {order:?}");
    Ok(())
}

proptest! {
    #[test]
    fn the_board_says_what_a_loop_over_all_classes_says(
        classes in classes(),
        runners in runners(),
        steps in vec(step(), 1..60),
    ) {
        let (placement, mut naive) = (Placement::default(), Naive::default());
        let (mut times, mut signatures) = (vec![0], BTreeMap::new());
        for step in steps {
            match step {
                Step::Add(places) => prop_assert_eq!(placement.add(places.clone()), naive.add(&places)),
                Step::Missed(places) => {
                    let known = |place: &Place| {
                        naive.lanes.get(&place.lane).is_some_and(|lane| !lane.empty && lane.head <= place.seq)
                    };
                    let missed: Vec<Place> = places.iter().filter(|place| !known(place)).copied().collect();
                    prop_assert_eq!(placement.add_missed(places), !missed.is_empty());
                    naive.add(&missed);
                }
                Step::FoundOnly(found, earlier) => {
                    let as_of = times[times.len().saturating_sub(1 + earlier)];
                    placement.found_only(&found, as_of);
                    for lane in naive.lanes.keys().copied().collect::<Vec<_>>() {
                        if !found.iter().any(|place| place.lane == lane) {
                            naive.change(lane, as_of, |lane| lane.empty = true);
                        }
                    }
                }
                Step::Claimed { runner, taken, further, earlier } => {
                    let as_of = times[times.len().saturating_sub(1 + earlier)];
                    let fitting = naive.fitting(&runners[runner], &classes, &NAMESPACES.collect::<Vec<_>>());
                    let lanes: Vec<Place> = fitting.into_values().flatten().collect();
                    let (taken, searched) = lanes.split_at(taken.min(lanes.len()));
                    let taken: Vec<Place> = taken.iter().map(|place| at(place.lane, place.seq + further)).collect();
                    placement.claimed(&taken, searched, as_of);
                    for place in taken {
                        naive.change(place.lane, as_of, |lane| lane.head = lane.head.max(place.seq + 1));
                    }
                    for place in searched {
                        naive.change(place.lane, as_of, |lane| lane.empty = true);
                    }
                }
                Step::Held(ns_id, more) => {
                    placement.count_held(ns_id, more);
                    *naive.held.entry(ns_id).or_default() += more;
                }
                Step::Forget => placement.forget_idle(),
                Step::ForgetAll => {
                    placement.forget_all();
                    naive.lanes.clear();
                    naive.held.clear();
                }
                Step::Look { runner, namespaces, wanted } => {
                    let unknown = placement.unknown_classes();
                    placement.add_classes(classes.iter().filter(|one| unknown.contains(&one.id)).cloned().collect());
                    let signature = placement.signature(&runners[runner]).unwrap();
                    let told = placement.candidates(&signature, &namespaces, wanted);
                    compare(&told, &naive.fitting(&runners[runner], &classes, &namespaces), &naive.held, wanted)?;
                    // Some are held on to, as desks do; the others may be forgotten and made anew.
                    if wanted % 2 == 0 {
                        signatures.insert(runner, signature);
                    }
                }
            }
            prop_assert_eq!(placement.now(), naive.clock);
            times.push(naive.clock);
        }
    }
}
