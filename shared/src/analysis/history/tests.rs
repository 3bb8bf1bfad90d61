//! Cases from run to run, one run a day.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

fn day(number: i64) -> Moment {
    let at = DateTime::from_timestamp(1_767_225_600, 0).unwrap() + TimeDelta::days(number);
    Moment { at, run_id: RunId::at(at, 7) }
}

/// Tells the runs of a case: `P`, `F`, `S`; `-` is absent from a complete report, `x` from a broken one, `p` from a
/// partial one.
fn tell(results: &str) -> Vec<Option<Told>> {
    let mut memory: Option<CaseMemory> = None;
    let mut told = Vec::new();
    for (number, result) in (0..).zip(results.chars()) {
        let (observed, coverage) = match result {
            'P' => (Some(Observed::Pass), Coverage::Complete),
            'F' => (Some(Observed::Fail), Coverage::Complete),
            'S' => (Some(Observed::Skip), Coverage::Complete),
            'x' => (None, Coverage::Broken),
            'p' => (None, Coverage::Partial),
            _ => (None, Coverage::Complete),
        };
        let (next, answer) = match (memory, observed) {
            (Some(memory), _) => memory.after(day(number), observed, coverage).unwrap(),
            (None, Some(observed)) => {
                let (memory, told) = CaseMemory::begin(day(number), observed);
                (memory, Some(told))
            }
            (None, None) => continue,
        };
        memory = Some(next);
        told.push(answer);
    }
    told
}

fn standings(results: &str) -> Vec<Option<Standing>> {
    tell(results).into_iter().map(|told| told.map(|told| told.standing)).collect()
}

fn since(first: i64, runs: u32) -> Option<Since> {
    Some(Since { first: day(first), runs })
}

#[test]
fn a_case_that_breaks_and_is_mended_says_since_when() {
    use Standing::{Fixed, New, Passing, StillFailing};
    let told = tell("PPFFFPP");
    let expected = [Passing, Passing, New, StillFailing, StillFailing, Fixed, Passing].map(Some);
    assert_eq!(standings("PPFFFPP"), expected);
    let at = |index: usize| told[index].unwrap();
    assert_eq!(at(4).since, since(2, 3));
    assert_eq!(at(4).since.unwrap().days(day(4).at), 2);
    assert_eq!((at(5).since, at(5).failed_since), (since(5, 1), since(2, 3)));
    assert_eq!((at(6).since, at(6).failed_since), (since(5, 2), None));
    assert_eq!(at(6).since.unwrap().days(day(0).at), 0, "before it began");
}

#[test]
fn a_case_that_fails_when_it_is_first_seen_is_new() {
    assert_eq!(standings("F"), [Some(Standing::New)]);
    assert_eq!(standings("SF"), [Some(Standing::Skipped), Some(Standing::New)]);
    assert_eq!(tell("S")[0].unwrap().since, None);
}

#[test]
fn skipped_and_missing_runs_do_not_interrupt_a_failure() {
    assert_eq!(standings("PFSF").last(), Some(&Some(Standing::StillFailing)));
    assert_eq!(tell("PFSF")[3].unwrap().since, since(1, 2), "the skipped run is not counted");
    assert_eq!(standings("PFx-F").last(), Some(&Some(Standing::StillFailing)));
    assert_eq!(standings("PFSP").last(), Some(&Some(Standing::Fixed)));
}

#[test]
fn a_case_is_removed_by_three_complete_reports_in_a_row() {
    use Standing::{Missing, Passing, Removed};
    let expected = [Passing, Missing, Missing, Removed, Removed].map(Some);
    assert_eq!(standings("P----"), expected);
    assert_eq!(tell("P----")[3].unwrap().since, since(1, 3));
    // A report that broke off says nothing of removal, and does not bring a removed case back.
    assert_eq!(standings("P--x--").last(), Some(&Some(Missing)));
    assert_eq!(standings("P---x").last(), Some(&Some(Removed)));
    // Nor does one that did not ask for the case.
    assert_eq!(standings("P-p--"), [Some(Passing), Some(Missing), None, Some(Missing), Some(Removed)]);
}

#[test]
fn a_removed_case_that_comes_back_starts_over() {
    assert_eq!(standings("F---F").last(), Some(&Some(Standing::New)));
    assert_eq!(tell("F---F")[4].unwrap().since, since(4, 1));
    assert_eq!(standings("F---P").last(), Some(&Some(Standing::Passing)));
}

#[test]
fn a_run_that_is_not_later_is_refused() {
    let (memory, _) = CaseMemory::begin(day(3), Observed::Pass);
    let refused = memory.after(day(3), Some(Observed::Fail), Coverage::Complete);
    assert_eq!(refused, Err(OutOfOrder { late: day(3) }));
    assert!(memory.after(day(2), None, Coverage::Complete).is_err());
}

#[test]
fn all_cases_are_followed_in_one_pass() {
    let before = ["a", "c", "d"].map(|case| (case, CaseMemory::begin(day(0), Observed::Pass).0));
    let now = [("b", Observed::Fail), ("c", Observed::Fail), ("c", Observed::Pass), ("e", Observed::Skip)];
    let told: Vec<_> = follow(before, now, day(1), Coverage::Complete)
        .map(|followed| followed.map(|one| (one.case, one.told.unwrap().standing)).unwrap())
        .collect();
    use Standing::{Missing, New, Skipped};
    assert_eq!(told, [("a", Missing), ("b", New), ("c", New), ("d", Missing), ("e", Skipped)]);
}

proptest! {
    /// The streamed answer is that of looking back over the whole history.
    #[test]
    fn what_is_told_is_what_a_look_back_finds(results in "[PFSx]{1,40}") {
        let results = format!("P{results}");
        let told = tell(&results);
        for (index, result) in results.chars().enumerate() {
            let told = told[index].unwrap();
            let executed: Vec<(i64, char)> =
                (0..).zip(results.chars()).take(index + 1).filter(|(_, one)| matches!(one, 'P' | 'F')).collect();
            let latest = executed.last().unwrap().1;
            let row: Vec<_> = executed.iter().rev().take_while(|(_, one)| *one == latest).collect();
            let expected = match result {
                'F' if row.len() > 1 => Standing::StillFailing,
                'F' => Standing::New,
                'P' if row.len() == 1 && executed.len() > 1 => Standing::Fixed,
                'P' => Standing::Passing,
                'S' => Standing::Skipped,
                _ => Standing::Missing,
            };
            prop_assert_eq!(told.standing, expected);
            if result != 'x' {
                prop_assert_eq!(told.since, since(row.last().unwrap().0, row.len() as u32));
            }
        }
    }

    #[test]
    fn following_loses_no_case_and_invents_none(
        before in proptest::collection::btree_set(0u8..30, 0..20),
        now in proptest::collection::btree_map(0u8..30, 0usize..3, 0..20),
    ) {
        let remembered = before.iter().map(|case| (*case, CaseMemory::begin(day(0), Observed::Pass).0));
        let report = now.iter().map(|(case, index)| (*case, Observed::ALL[*index]));
        let followed: Vec<u8> =
            follow(remembered, report, day(1), Coverage::Complete).map(|one| one.unwrap().case).collect();
        let expected: std::collections::BTreeSet<u8> = before.iter().chain(now.keys()).copied().collect();
        prop_assert_eq!(followed, expected.into_iter().collect::<Vec<_>>());
    }
}
