//! The board by hand, and beside a loop over everything.

mod naive;

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
