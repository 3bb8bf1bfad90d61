//! Every policy, with one slot and with more, and that a gate never holds more than it may.

use proptest::prelude::*;

use super::*;

const QUEUE: ConcurrencyPolicy = ConcurrencyPolicy::Queue;
const REPLACE: ConcurrencyPolicy = ConcurrencyPolicy::Replace;
const FORBID: ConcurrencyPolicy = ConcurrencyPolicy::Forbid;

fn key(n: u128) -> Uuid {
    Uuid::from_u128(n)
}
fn run(n: u128) -> RunId {
    RunId(key(n))
}
fn rule(policy: ConcurrencyPolicy, limit: u16) -> Rule {
    Rule { policy, limit, depth: 1, overflow: Overflow::Oldest }
}

/// A run of a set at the gate 1.
fn one(n: u128, set: u128, rule: Rule) -> Newcomer {
    let group = GroupGate { key: key(1), name: Some("shop".into()), rule };
    Newcomer { run: run(n), set: MatrixId(key(set)), gates: Gates { group: Some(group), max_parallel: None } }
}

/// Runs that the gate 1 knows: number, set, slot.
fn gate(slots: u16, runs: &[(u128, u128, Option<u16>)]) -> BTreeMap<Uuid, GateState> {
    let known = |&(n, set, slot): &(u128, u128, Option<u16>)| Known {
        run: run(n),
        set: MatrixId(key(set)),
        slot,
        leaving: false,
    };
    [(key(1), GateState { slots, runs: runs.iter().map(known).collect() })].into()
}

fn slots(plan: &Plan) -> Vec<(u128, Option<u16>)> {
    plan.places.iter().map(|(run, place)| (run.0.as_u128(), place.group)).collect()
}
fn ids(runs: &BTreeMap<RunId, String>) -> Vec<u128> {
    runs.keys().map(|run| run.0.as_u128()).collect()
}

#[test]
fn a_run_takes_the_lowest_free_slot_and_waits_behind_others() {
    let queue = rule(QUEUE, 3);
    assert_eq!(slots(&decide(BTreeMap::new(), &[one(9, 9, queue)])), [(9, Some(1))]);
    assert_eq!(slots(&decide(gate(3, &[(1, 1, Some(1)), (2, 2, Some(3))]), &[one(9, 9, queue)])), [(9, Some(2))]);
    // Somebody waits, so nobody passes by; and a limit that was lowered gives nothing out.
    assert_eq!(slots(&decide(gate(3, &[(1, 1, Some(1)), (2, 2, None)]), &[one(9, 9, queue)])), [(9, None)]);
    assert_eq!(slots(&decide(gate(1, &[(1, 1, Some(2))]), &[one(9, 9, queue)])), [(9, None)]);
}

#[test]
fn who_is_to_be_cancelled_keeps_no_slot_from_those_that_come_after_it() {
    for policy in [QUEUE, REPLACE] {
        let mut gates = gate(2, &[(1, 1, Some(1)), (2, 2, None)]);
        gates.get_mut(&key(1)).unwrap().runs[1].leaving = true;
        let plan = decide(gates, &[one(9, 9, rule(policy, 2))]);
        assert_eq!((slots(&plan), plan.cancelled.len()), (vec![(9, Some(2))], 0), "{policy:?}");
    }
}

#[test]
fn forbid_refuses_a_set_while_others_fill_the_gate() {
    let plan = decide(gate(1, &[(1, 1, Some(1))]), &[one(8, 9, rule(FORBID, 1)), one(9, 9, rule(FORBID, 1))]);
    assert_eq!((plan.refused.len(), plan.places.len()), (1, 0));
    let message = &plan.refused[&MatrixId(key(9))];
    assert!(message.contains(&run(1).to_string()), "{message}");
    // Its own runs do not forbid each other: those without a slot wait.
    let plan = decide(gate(1, &[]), &[one(8, 9, rule(FORBID, 1)), one(9, 9, rule(FORBID, 1))]);
    assert_eq!(slots(&plan), [(8, Some(1)), (9, None)]);
    let plan = decide(gate(2, &[(1, 1, Some(1))]), &[one(9, 9, rule(FORBID, 2))]);
    assert_eq!(slots(&plan), [(9, Some(2))]);
}

#[test]
fn a_full_queue_drops_the_oldest_or_the_newest() {
    let full = || gate(1, &[(1, 1, Some(1)), (2, 2, None)]);
    let plan = decide(full(), &[one(9, 9, rule(QUEUE, 1))]);
    assert_eq!((slots(&plan), ids(&plan.dropped)), (vec![(9, None)], vec![2]));
    assert!(plan.dropped[&run(2)].contains(&run(9).to_string()), "it names the run that took its place");
    let newest = Rule { overflow: Overflow::Newest, ..rule(QUEUE, 1) };
    assert_eq!(ids(&decide(full(), &[one(9, 9, newest)]).dropped), [9]);
    let deeper = Rule { depth: 2, ..newest };
    assert!(decide(full(), &[one(9, 9, deeper)]).dropped.is_empty());
    let none = Rule { depth: 0, ..rule(QUEUE, 1) };
    assert_eq!(ids(&decide(gate(1, &[(1, 1, Some(1))]), &[one(9, 9, none)]).dropped), [9]);
    assert!(decide(gate(1, &[]), &[one(9, 9, none)]).dropped.is_empty());
}

#[test]
fn a_set_waits_as_one_and_its_runs_do_not_drop_each_other() {
    let set = [one(7, 9, rule(QUEUE, 1)), one(8, 9, rule(QUEUE, 1)), one(9, 9, rule(QUEUE, 1))];
    let plan = decide(gate(1, &[]), &set);
    assert_eq!((slots(&plan), ids(&plan.dropped)), (vec![(7, Some(1)), (8, None), (9, None)], vec![]));
    let plan = decide(gate(1, &[(1, 1, Some(1)), (2, 1, None), (3, 2, None), (4, 2, None)]), &set);
    assert_eq!(ids(&plan.dropped), [3, 4], "the set that waits, and not the rest of the one that has begun");
}

#[test]
fn replace_cancels_the_oldest_and_drops_those_that_wait() {
    let plan = decide(gate(1, &[(1, 1, Some(1)), (2, 2, None)]), &[one(9, 9, rule(REPLACE, 1))]);
    assert_eq!((slots(&plan), ids(&plan.dropped), ids(&plan.cancelled)), (vec![(9, None)], vec![2], vec![1]));
    assert!(plan.cancelled[&run(1)].contains(&run(9).to_string()));
    let plan = decide(gate(3, &[(1, 1, Some(1)), (2, 2, Some(2)), (3, 3, Some(3))]), &[one(9, 9, rule(REPLACE, 3))]);
    assert_eq!(ids(&plan.cancelled), [1], "no more than it needs");
    let plan = decide(gate(2, &[(1, 1, Some(1))]), &[one(9, 9, rule(REPLACE, 2))]);
    assert_eq!((slots(&plan), plan.cancelled.len()), (vec![(9, Some(2))], 0));
    // Who leaves already is not cancelled again, and makes the room.
    let mut leaving = gate(1, &[(1, 1, Some(1)), (2, 2, None)]);
    leaving.get_mut(&key(1)).unwrap().runs[0].leaving = true;
    let plan = decide(leaving, &[one(9, 9, rule(REPLACE, 1))]);
    assert_eq!((ids(&plan.cancelled), ids(&plan.dropped)), (vec![], vec![2]));
}

#[test]
fn max_parallel_gives_slots_to_those_that_passed_their_group() {
    let with = |n, key_of: u128| {
        let mut one = one(n, 9, rule(QUEUE, 1));
        one.gates.max_parallel = Some(2);
        one.gates.group.as_mut().unwrap().key = key(key_of);
        one
    };
    let plan = decide(gate(1, &[(1, 1, Some(1))]), &[with(5, 1), with(6, 2), with(7, 3), with(8, 4)]);
    let matrix: Vec<_> = plan.places.values().map(|place| (place.group, place.matrix)).collect();
    assert_eq!(matrix, [(None, None), (Some(1), Some(1)), (Some(1), Some(2)), (Some(1), None)]);
}

proptest! {
    #[test]
    fn a_gate_never_holds_more_than_it_may_and_nobody_waits_beside_a_free_slot(
        policy in prop::sample::select(vec![QUEUE, REPLACE, FORBID]), limit in 1u16..4, depth in 0u16..3,
        newest in any::<bool>(), sets in prop::collection::vec(1usize..4, 1..12),
    ) {
        let overflow = if newest { Overflow::Newest } else { Overflow::Oldest };
        let rule = Rule { policy, limit, depth, overflow };
        let mut newcomers = Vec::new();
        for (set, size) in sets.iter().enumerate() {
            for i in 0..*size {
                newcomers.push(one((set * 10 + i) as u128, 1000 + set as u128, rule));
            }
        }
        let plan = decide(BTreeMap::new(), &newcomers);
        let held: Vec<u16> = plan.places.values().filter_map(|place| place.group).collect();
        let distinct: BTreeSet<u16> = held.iter().copied().collect();
        prop_assert_eq!(distinct.len(), held.len(), "a slot is given once");
        prop_assert!(held.len() <= usize::from(limit) && held.iter().all(|slot| (1..=limit).contains(slot)));
        let waits = plan.places.iter().filter(|(run, place)| place.group.is_none() && !plan.dropped.contains_key(run));
        prop_assert!(waits.count() == 0 || held.len() == usize::from(limit), "somebody waits beside a free slot");
        for one in &newcomers {
            prop_assert!(plan.places.contains_key(&one.run) != plan.refused.contains_key(&one.set));
        }
    }
}
