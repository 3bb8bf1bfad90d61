//! Against SciPy and statsmodels, and at the edges.

use proptest::prelude::*;

use super::*;
use crate::analysis::reference::{load, of};

/// Equal to ten digits, or both next to nothing.
fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-10 * expected.abs() || (found - expected).abs() <= 1e-14
}

fn table([failed_with, passed_with, failed_without, passed_without]: [u64; 4]) -> Table {
    Table { failed_with, passed_with, failed_without, passed_without }
}

#[test]
fn the_normal_distribution_is_that_of_scipy() {
    let reference = load();
    for (z, expected) in of::<(f64, f64)>(&reference["normal_upper"]) {
        let found = normal_upper(z);
        assert!((found / expected - 1.0).abs() < 1e-12, "{z}: {found} is not {expected}");
    }
    for (level, expected) in of::<(f64, f64)>(&reference["two_sided_z"]) {
        assert!(close(two_sided_z(level), expected), "{level}: {} is not {expected}", two_sided_z(level));
    }
    assert_eq!(normal_upper(f64::NAN), 1.0);
    assert!(two_sided_z(f64::NAN) > 1.9 && two_sided_z(1.0).is_finite() && two_sided_z(-1.0) < 1e-12);
}

#[test]
fn the_intervals_are_those_of_statsmodels() {
    let reference = load();
    for (part, whole, level, low, high) in of::<(u64, u64, f64, f64, f64)>(&reference["wilson"]) {
        let found = wilson(part, whole, level);
        assert!(close(found.low, low) && close(found.high, high), "{part}/{whole} at {level}: {found:?}");
    }
    for (a, b, c, d, level, low, high) in of::<(u64, u64, u64, u64, f64, f64, f64)>(&reference["newcombe"]) {
        let found = newcombe(&table([a, b, c, d]), level);
        assert!(close(found.low, low) && close(found.high, high), "{a} {b} {c} {d} at {level}: {found:?}");
    }
}

#[test]
fn the_tests_of_tables_are_those_of_scipy() {
    let reference = load();
    for (a, b, c, d, expected) in of::<(u64, u64, u64, u64, f64)>(&reference["fisher"]) {
        let found = fisher_exact(&table([a, b, c, d]));
        assert!((found - expected).abs() <= 1e-9 * expected, "{a} {b} {c} {d}: {found} is not {expected}");
    }
    for (a, b, c, d, expected) in of::<(u64, u64, u64, u64, f64)>(&reference["chi_square"]) {
        let found = chi_square(&table([a, b, c, d]));
        assert!((found - expected).abs() <= 1e-9 * expected, "{a} {b} {c} {d}: {found} is not {expected}");
    }
}

#[test]
fn the_corrections_are_those_of_statsmodels() {
    let reference = load();
    let p_values: Vec<Vec<f64>> = of(&reference["p_values"]);
    for (name, correct) in [("holm", holm as fn(&[f64]) -> Vec<f64>), ("benjamini_hochberg", benjamini_hochberg)] {
        for (p_values, expected) in p_values.iter().zip(of::<Vec<f64>>(&reference[name])) {
            let found = correct(p_values);
            assert!(found.iter().zip(&expected).all(|(found, expected)| close(*found, *expected)), "{name}: {found:?}");
        }
        assert_eq!(correct(&[]), [0.0; 0]);
        assert_eq!(correct(&[f64::NAN, 0.001]), [1.0, 0.002], "a number that is none is no evidence");
    }
}

#[test]
fn ranks_and_medians_are_those_of_scipy_and_numpy() {
    for (values, expected, middle) in of::<(Vec<f64>, Vec<f64>, f64)>(&load()["ranks"]) {
        assert_eq!((ranks(&values), median(&values)), (expected, Some(middle)));
    }
    assert_eq!((ranks(&[]), median(&[])), (vec![], None));
    assert_eq!(ranks(&[f64::NAN, 1.0, f64::NAN]), [2.0, 1.0, 3.0]);
}

#[test]
fn empty_and_absurd_tables_claim_nothing() {
    for empty in [table([0; 4]), table([0, 0, 3, 4]), table([3, 4, 0, 0])] {
        assert_eq!((fisher_exact(&empty), chi_square(&empty), empty.difference()), (1.0, 1.0, None));
        assert_eq!(newcombe(&empty, 0.95), ConfidenceInterval { low: -1.0, high: 1.0 });
    }
    assert_eq!(wilson(0, 0, 0.95), ConfidenceInterval { low: 0.0, high: 1.0 });
    assert_eq!(wilson(9, 3, 0.95).high, 1.0);
    let huge = table([u64::MAX; 4]);
    assert!((0.0..=1.0).contains(&fisher_exact(&huge)) && newcombe(&huge, 0.95).low <= 0.0);
}

#[test]
fn the_exact_test_goes_over_into_the_approximation() {
    // Just below the limit the two agree; the time is that of some thousand steps.
    let large = table([1_000_500, 3_999_500, 998_000, 4_002_000]);
    let (exact, approximate) = (fisher_exact(&large), chi_square(&large));
    assert!((exact / approximate - 1.0).abs() < 0.01, "{exact} {approximate}");
    assert!(large.total() == EXACT_MAX);
}

proptest! {
    #[test]
    fn a_difference_lies_in_its_interval(counts in any::<[u16; 4]>(), level in 0.01..0.9999f64) {
        let table = table(counts.map(u64::from));
        let ConfidenceInterval { low, high } = newcombe(&table, level);
        prop_assert!((-1.0..=1.0).contains(&low) && (-1.0..=1.0).contains(&high));
        prop_assert!(table.difference().is_none_or(|difference| low <= difference && difference <= high));
        prop_assert!((0.0..=1.0).contains(&fisher_exact(&table)));
    }

    #[test]
    fn an_exact_test_does_not_care_which_group_is_which(counts in any::<[u8; 4]>()) {
        let [a, b, c, d] = counts.map(u64::from);
        let p = fisher_exact(&table([a, b, c, d]));
        for other in [[c, d, a, b], [b, a, d, c], [a, c, b, d]] {
            prop_assert!((fisher_exact(&table(other)) - p).abs() <= 1e-9 * p.max(1e-300));
        }
    }
}
