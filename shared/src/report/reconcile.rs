//! Counts: what a report declares against what it holds.

use serde::{Deserialize, Serialize};

use super::case::{Case, CaseStatus, Repeat};

/// The counts that a suite or a report declares; absent where it does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Declared {
    /// All cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tests: Option<u64>,
    /// Cases that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<u64>,
    /// Cases with errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<u64>,
    /// Cases that were skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
    /// Cases that somebody disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<u64>,
}

/// The cases that were read. Every case is in exactly one of `passed`, `failed`, `errors`, `skipped` and `disabled`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Counts {
    /// All cases, retries that came as cases of their own included.
    pub cases: u64,
    /// Cases that passed.
    pub passed: u64,
    /// Cases that failed.
    pub failed: u64,
    /// Cases with errors.
    pub errors: u64,
    /// Cases that were skipped, but for those that are disabled.
    pub skipped: u64,
    /// Cases that somebody disabled.
    pub disabled: u64,
    /// Cases that passed after an attempt that failed; they are among those that passed.
    pub flaky: u64,
    /// Cases that are retries of a case before them.
    pub retries: u64,
    /// Cases that share their identity with a case before them, and are not known to be retries.
    pub ambiguous: u64,
}

impl Counts {
    /// Counts a case.
    pub fn add(&mut self, case: &Case) {
        self.cases += 1;
        *match (case.status, case.disabled) {
            (CaseStatus::Pass, _) => &mut self.passed,
            (CaseStatus::Fail, _) => &mut self.failed,
            (CaseStatus::Error, _) => &mut self.errors,
            (CaseStatus::Skip, false) => &mut self.skipped,
            (CaseStatus::Skip, true) => &mut self.disabled,
        } += 1;
        self.flaky += u64::from(case.flaky);
        self.retries += u64::from(case.repeat == Repeat::Retry);
        self.ambiguous += u64::from(case.repeat == Repeat::Ambiguous);
    }

    /// Adds other counts to these.
    pub fn merge(&mut self, other: &Self) {
        self.cases += other.cases;
        self.passed += other.passed;
        self.failed += other.failed;
        self.errors += other.errors;
        self.skipped += other.skipped;
        self.disabled += other.disabled;
        self.flaky += other.flaky;
        self.retries += other.retries;
        self.ambiguous += other.ambiguous;
    }
}

/// Compares what a suite declares with what was read, and returns a sentence for each count that does not fit.
///
/// Frameworks count by rules of their own, and these all fit: `own` holds the cases of the suite alone and `all` also
/// those of suites inside of it, and either may be declared; retries are counted or not; disabled cases are among the
/// tests or not, and among the skipped or not; failures and errors are told apart by other rules than ours as long as
/// their sum fits. What is declared as disabled is never taken for skipped.
pub fn reconcile(declared: &Declared, own: &Counts, all: &Counts) -> Vec<String> {
    let mut found = Vec::new();
    let mut check =
        |what: &str, declared: Option<u64>, fits: &dyn Fn(&Counts, u64) -> bool, read: &dyn Fn(&Counts) -> u64| {
            if let Some(count) = declared
                && !fits(own, count)
                && !fits(all, count)
            {
                found.push(format!("{count} {what} declared, and {} read", read(all)));
            }
        };
    check(
        "tests are",
        declared.tests,
        &|counts, count| {
            [0, counts.disabled, counts.retries, counts.disabled + counts.retries]
                .iter()
                .any(|less| count.saturating_add(*less) == counts.cases)
        },
        &|counts| counts.cases,
    );
    // Told apart by other rules, failures and errors still make the same sum.
    let sum = declared.failures.unwrap_or(0).saturating_add(declared.errors.unwrap_or(0));
    let same_sum = |counts: &Counts| sum == counts.failed + counts.errors;
    check("failures are", declared.failures, &|counts, count| count == counts.failed || same_sum(counts), &|counts| {
        counts.failed
    });
    check("errors are", declared.errors, &|counts, count| count == counts.errors || same_sum(counts), &|counts| {
        counts.errors
    });
    check(
        "skipped cases are",
        declared.skipped,
        &|counts, count| count == counts.skipped || count == counts.skipped + counts.disabled,
        &|counts| counts.skipped,
    );
    check("disabled cases are", declared.disabled, &|counts, count| count == counts.disabled, &|counts| {
        counts.disabled
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64, errors: u64, skipped: u64, disabled: u64) -> Counts {
        let cases = passed + failed + errors + skipped + disabled;
        Counts { cases, passed, failed, errors, skipped, disabled, ..Counts::default() }
    }

    fn declared(numbers: [u64; 5]) -> Declared {
        let [tests, failures, errors, skipped, disabled] = numbers.map(Some);
        Declared { tests, failures, errors, skipped, disabled }
    }

    fn says(numbers: [u64; 5], own: Counts) -> Vec<String> {
        reconcile(&declared(numbers), &own, &own)
    }

    #[test]
    fn counts_that_fit_say_nothing() {
        assert!(says([10, 2, 1, 3, 0], counts(4, 2, 1, 3, 0)).is_empty());
        assert!(reconcile(&Declared::default(), &counts(1, 1, 1, 1, 1), &counts(9, 9, 9, 9, 9)).is_empty());
        assert!(reconcile(&declared([3, 0, 0, 0, 0]), &counts(1, 0, 0, 0, 0), &counts(3, 0, 0, 0, 0)).is_empty());
        assert!(says([4, 3, 0, 0, 0], counts(1, 2, 1, 0, 0)).is_empty(), "an error may count as a failure");
        let retried = Counts { retries: 1, ..counts(3, 1, 0, 0, 0) };
        assert!(says([3, 1, 0, 0, 0], retried).is_empty());
    }

    #[test]
    fn each_count_that_does_not_fit_is_named() {
        assert_eq!(says([5, 0, 0, 0, 0], counts(4, 0, 0, 0, 0)), ["5 tests are declared, and 4 read"]);
        let all = says([9, 9, 9, 9, 9], counts(1, 1, 1, 1, 1));
        assert_eq!(all.len(), 5, "{all:?}");
        assert!(says([u64::MAX; 5], counts(1, 1, 1, 1, 1)).len() == 5);
    }

    #[test]
    fn disabled_is_not_skipped() {
        assert!(says([3, 0, 0, 1, 1], counts(1, 0, 0, 1, 1)).is_empty(), "googletest tells them apart");
        assert!(says([3, 0, 0, 2, 1], counts(1, 0, 0, 1, 1)).is_empty(), "others count the disabled ones twice");
        assert_eq!(says([2, 0, 0, 0, 1], counts(1, 0, 0, 1, 0)).len(), 2, "a skipped case is not a disabled one");
    }
}
