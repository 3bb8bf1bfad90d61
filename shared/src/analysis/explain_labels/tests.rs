//! Matrices whose guilty value is known.

use proptest::prelude::*;

use super::*;
use crate::analysis::random::SplitMix64;

/// A matrix of three systems and four browsers, each cell executed `n` times, of which `failed` of the cell fail.
fn matrix(n: u64, failed: impl Fn(&str, &str) -> u64) -> Vec<CellCounts> {
    let mut cells = Vec::new();
    for os in ["arm", "linux", "mac"] {
        for browser in ["b1", "b2", "b3", "b4"] {
            let labels = [("os", os), ("browser", browser), ("team", "all")];
            let labels = Labels(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
            let failed = failed(os, browser);
            cells.push(CellCounts { labels, failed, passed: n - failed });
        }
    }
    cells
}

fn names(findings: &[LabelFinding], claim: Claim) -> Vec<String> {
    let of = findings.iter().filter(|finding| finding.claim == claim);
    of.map(|finding| {
        let labels = finding.labels.iter().map(|label| format!("{}={}", label.key, label.value));
        labels.collect::<Vec<_>>().join("+")
    })
    .collect()
}

#[test]
fn the_value_that_carries_the_failures_stands_first() {
    let report = explain(&matrix(10, |os, _| if os == "arm" { 5 } else { 0 }), &Demands::default());
    assert_eq!(names(&report.values, Claim::Carries), ["os=arm"]);
    assert_eq!(names(&report.values, Claim::Spares), ["os=linux", "os=mac"]);
    assert!(report.pairs.is_empty());
    let arm = &report.values[0];
    assert_eq!(arm.table, Table { failed_with: 20, passed_with: 20, failed_without: 0, passed_without: 80 });
    assert_eq!((arm.difference, arm.cells, arm.through), (Some(0.5), 4, None));
    assert!(arm.interval.low > 0.2 && arm.interval.high < 0.8 && arm.interval.low < 0.5, "{:?}", arm.interval);
    // Eight values were tested: `team=all` has nothing beside it.
    assert_eq!((report.tested, report.trials, report.failed), (7, 120, 20));
    assert!((arm.level - (1.0 - 0.05 / 7.0)).abs() < 1e-12);
    assert_eq!(names(&report.values, Claim::TooFew), ["team=all"]);
}

#[test]
fn a_pair_that_carries_the_failures_explains_its_values() {
    let guilty = |os: &str, browser: &str| if (os, browser) == ("arm", "b2") { 10 } else { 0 };
    let report = explain(&matrix(10, guilty), &Demands::default());
    assert_eq!(names(&report.pairs, Claim::Carries), ["browser=b2+os=arm"]);
    assert_eq!(names(&report.values, Claim::Carries), ["browser=b2", "os=arm"]);
    assert!(report.values[..2].iter().all(|value| value.through == Some(0)));
    let without = explain(&matrix(10, guilty), &Demands { pairs: false, ..Demands::default() });
    assert_eq!((without.pairs.len(), without.values[0].through), (0, None));
}

#[test]
fn a_value_that_fails_beyond_its_pair_is_not_explained_by_it() {
    let fails = |os: &str, browser: &str| match (os, browser) {
        ("arm", "b2") => 10,
        ("arm", _) => 4,
        _ => 0,
    };
    let report = explain(&matrix(10, fails), &Demands::default());
    assert_eq!(report.values[0].labels[0].value, "arm");
    assert_eq!(report.values[0].through, None);
}

#[test]
fn nothing_is_claimed_below_the_minimum_sample() {
    let mut cells = matrix(10, |_, _| 0);
    cells.push(CellCounts { labels: Labels([("os".into(), "bsd".into())].into()), failed: 4, passed: 0 });
    let report = explain(&cells, &Demands::default());
    assert!(names(&report.values, Claim::Carries).is_empty());
    let bsd = report.values.iter().find(|finding| finding.labels[0].value == "bsd").unwrap();
    assert_eq!((bsd.claim, bsd.p_value), (Claim::TooFew, None));
    let three = explain(&cells, &Demands { min_sample: 4, ..Demands::default() });
    assert_eq!(names(&three.values, Claim::Carries), ["os=bsd"]);
}

#[test]
fn values_of_the_same_cells_are_answered_as_one() {
    let mut cells = matrix(10, |os, _| if os == "arm" { 6 } else { 0 });
    for cell in &mut cells {
        let cpu = if cell.labels.get("os") == Some("arm") { "a64" } else { "x86" };
        cell.labels.0.insert("cpu".into(), cpu.into());
    }
    let report = explain(&cells, &Demands::default());
    assert_eq!(names(&report.values, Claim::Carries), ["cpu=a64"]);
    assert_eq!(report.values[0].same_cells, [LabelValue { key: "os".into(), value: "arm".into() }]);
}

#[test]
fn a_matrix_without_a_guilty_value_is_seldom_accused() {
    // Every cell fails with 20 %; with Holm at 5 % at most about 1 of 20 matrices may be accused of anything.
    let mut random = SplitMix64::new(11);
    let mut accused = [0u32; 2];
    for _ in 0..400 {
        let cells: Vec<_> = matrix(8, |_, _| 0)
            .into_iter()
            .map(|cell| {
                let failed = (0..8).filter(|_| random.chance(0.2)).count() as u64;
                CellCounts { failed, passed: 8 - failed, ..cell }
            })
            .collect();
        let report = explain(&cells, &Demands::default());
        accused[0] += u32::from(report.values.iter().any(|one| matches!(one.claim, Claim::Carries | Claim::Spares)));
        accused[1] += u32::from(!report.pairs.is_empty());
    }
    assert!(accused[0] <= 28 && accused[1] <= 28, "{accused:?} of 400");
}

#[test]
fn no_cells_and_absurd_counts_have_an_answer() {
    assert_eq!(explain(&[], &Demands::default()).values, []);
    let mut cells = matrix(0, |_, _| 0);
    assert!(names(&explain(&cells, &Demands::default()).values, Claim::Carries).is_empty());
    cells.iter_mut().for_each(|cell| (cell.failed, cell.passed) = (u64::MAX, u64::MAX));
    assert!(Demands::default().validate().is_ok());
    let nan = Demands { alpha: f64::NAN, min_sample: 0, ..Demands::default() };
    assert!(names(&explain(&cells, &nan).values, Claim::Carries).is_empty());
    assert_eq!(nan.validate().unwrap_err().errors.len(), 2);
}

proptest! {
    #[test]
    fn counts_add_up_and_claims_are_ordered(failures in proptest::collection::vec(0u64..=10, 12)) {
        let mut failures_of = failures.iter();
        let mut cells = matrix(10, |_, _| 0);
        for cell in &mut cells {
            let failed = *failures_of.next().unwrap();
            (cell.failed, cell.passed) = (failed, 10 - failed);
        }
        let report = explain(&cells, &Demands::default());
        for finding in &report.values {
            prop_assert_eq!(finding.table.total(), 120);
            prop_assert_eq!(finding.table.failed(), failures.iter().sum::<u64>());
            if let (Some(p), Some(adjusted)) = (finding.p_value, finding.adjusted_p_value) {
                prop_assert!((0.0..=1.0).contains(&p) && p <= adjusted && adjusted <= 1.0);
            }
            let ConfidenceInterval { low, high } = finding.interval;
            prop_assert!(finding.difference.is_none_or(|difference| low <= difference && difference <= high));
        }
        prop_assert!(report.values.windows(2).all(|pair| pair[0].claim <= pair[1].claim));
    }
}
