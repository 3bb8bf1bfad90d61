//! Which label values carry the failures of a matrix.
//!
//! For each value (`os=arm`) the trials that have it are set against those that do not: a table of counts, Fisher's
//! exact test (Pearson's chi-square beyond [`stats::EXACT_MAX`] trials), the difference of the shares of failures
//! with Newcombe's interval, and a correction for the number of values that were tested, by Holm or by Benjamini and
//! Hochberg. Pairs of values are tested within each of their two values, so that a pair is named only if it fails more
//! than either of them does without the other. Nothing is claimed below the minimum sample.
//!
//! What the figures mean: trials are taken as independent. A hundred repetitions of one cell on one subject are one
//! piece of evidence and not a hundred, so give each cell once for each version of the subject if you can. And what is
//! found is an association; values that always come together cannot be told apart, and are answered as one
//! ([`LabelFinding::same_cells`]).
//!
//! Sources: [`stats`] names those of the tests; the interval is at the level `1 − α/m` of `m` values, so that all of
//! them together hold with at least `1 − α` (Bonferroni).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::stats::{self, ConfidenceInterval, Table};
use crate::error::Invalid;
use crate::labels::Labels;
use crate::run::words;

/// Trials of one cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellCounts {
    /// The labels of the cell.
    pub labels: Labels,
    /// How many trials failed.
    pub failed: u64,
    /// How many passed.
    pub passed: u64,
}

words!(
    /// How p-values are corrected for the number of values that were tested.
    Correction {
        /// Holm: the chance of one false claim or more is at most α.
        Holm = "holm",
        /// Benjamini and Hochberg: the expected share of false claims is at most α.
        BenjaminiHochberg = "benjamini_hochberg",
    }
);

words!(
    /// What can be claimed of a value.
    Claim {
        /// It carries failures: it fails more than the rest.
        Carries = "carries",
        /// It fails less than the rest.
        Spares = "spares",
        /// No difference could be shown.
        Unclear = "unclear",
        /// There are too few trials to claim anything.
        TooFew = "too_few",
    }
);

/// How much is asked of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Demands {
    /// Both the trials with the value and those without it must be at least so many.
    pub min_sample: u64,
    /// The chance of a false claim, 0 to 1.
    pub alpha: f64,
    /// How p-values are corrected.
    pub correction: Correction,
    /// Whether pairs of values are looked at.
    pub pairs: bool,
}

impl Default for Demands {
    fn default() -> Self {
        Self { min_sample: 5, alpha: 0.05, correction: Correction::Holm, pairs: true }
    }
}

impl Demands {
    /// Checks the numbers.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        if self.min_sample == 0 {
            invalid.add("/min_sample", "the minimum sample is at least 1");
        }
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            invalid.add("/alpha", "alpha is above 0 and below 1");
        }
        invalid.into_result()
    }
}

/// A label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LabelValue {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

/// What is known of a value, or of a pair of values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LabelFinding {
    /// The value, or the two of a pair.
    pub labels: Vec<LabelValue>,
    /// Other values that are in exactly the same cells and cannot be told apart from it.
    pub same_cells: Vec<LabelValue>,
    /// In how many cells it is.
    pub cells: u32,
    /// The counts with it and without it.
    pub table: Table,
    /// The share of failures with it less the share without it; absent when one of the two is empty.
    pub difference: Option<f64>,
    /// The interval of the difference.
    pub interval: ConfidenceInterval,
    /// The level of the interval, 0 to 1.
    pub level: f64,
    /// The p-value; absent below the minimum sample. That of a pair is the larger of its two tests.
    pub p_value: Option<f64>,
    /// The p-value, corrected for the number of values that were tested.
    pub adjusted_p_value: Option<f64>,
    /// What can be claimed.
    pub claim: Claim,
    /// Index, among the pairs, of one that explains it: without the cells of that pair no difference is left.
    pub through: Option<usize>,
}

/// What is known of all values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LabelReport {
    /// Single values: those that carry failures first, by the size of the difference.
    pub values: Vec<LabelFinding>,
    /// Pairs that carry failures beyond their two values.
    pub pairs: Vec<LabelFinding>,
    /// How many trials there are.
    pub trials: u64,
    /// How many of them failed.
    pub failed: u64,
    /// How many values were tested; the correction is for these.
    pub tested: u32,
    /// How many pairs were tested; the correction of pairs is for these.
    pub pairs_tested: u32,
}

/// More values than this are answered, but their pairs are not looked at.
pub const MAX_VALUES_FOR_PAIRS: usize = 64;

/// Finds the label values that carry the failures.
///
/// The time is `O(values × cells)`, and `O(values² × cells)` with pairs. A key that a cell lacks is no value.
pub fn explain(cells: &[CellCounts], demands: &Demands) -> LabelReport {
    let values = values_of(cells);
    let all: BTreeSet<usize> = (0..cells.len()).collect();
    let mut singles: Vec<(LabelFinding, &BTreeSet<usize>)> = Vec::new();
    for (cells_with, labels) in &values {
        let table = table(cells, cells_with, &all);
        let mut labels = labels.iter().cloned();
        let Some(first) = labels.next() else { continue };
        singles.push((finding(vec![first], labels.collect(), cells_with.len(), table), cells_with));
    }
    let tested =
        judge(singles.iter_mut().map(|(finding, _)| finding), demands, |finding| stats::fisher_exact(&finding.table));
    let (pairs, pairs_tested) = match demands.pairs && singles.len() <= MAX_VALUES_FOR_PAIRS {
        true => pairs(cells, &singles, demands),
        false => (Vec::new(), 0),
    };
    for (single, cells_with) in &mut singles {
        single.through = pairs.iter().position(|(pair, cells_of_pair)| {
            let rest: BTreeSet<usize> = all.difference(cells_of_pair).copied().collect();
            let left = table(cells, cells_with, &rest);
            single.claim == Claim::Carries
                && pair.labels.iter().any(|label| single.labels.contains(label) || single.same_cells.contains(label))
                && !carries(&left, demands.alpha)
        });
    }
    let total = table(cells, &all, &all);
    let mut values: Vec<LabelFinding> = singles.into_iter().map(|(finding, _)| finding).collect();
    values.sort_by(order);
    let pairs = pairs.into_iter().map(|(finding, _)| finding).collect();
    LabelReport { values, pairs, trials: total.with(), failed: total.failed_with, tested, pairs_tested }
}

/// Returns the values by the cells that they are in; values of the same cells stand together.
fn values_of(cells: &[CellCounts]) -> Vec<(BTreeSet<usize>, Vec<LabelValue>)> {
    let mut cells_of: BTreeMap<LabelValue, BTreeSet<usize>> = BTreeMap::new();
    for (index, cell) in cells.iter().enumerate() {
        for (key, value) in cell.labels.iter() {
            let label = LabelValue { key: key.to_owned(), value: value.to_owned() };
            cells_of.entry(label).or_default().insert(index);
        }
    }
    let mut by_cells: BTreeMap<BTreeSet<usize>, Vec<LabelValue>> = BTreeMap::new();
    for (label, cells) in cells_of {
        by_cells.entry(cells).or_default().push(label);
    }
    let mut values: Vec<_> = by_cells.into_iter().collect();
    values.sort_by(|one, other| one.1.cmp(&other.1));
    values
}

/// Counts, among the cells of `within`, those of `inside` against the others.
fn table(cells: &[CellCounts], inside: &BTreeSet<usize>, within: &BTreeSet<usize>) -> Table {
    let mut table = Table::default();
    for index in within {
        let CellCounts { failed, passed, .. } = cells[*index];
        let (failures, passes) = match inside.contains(index) {
            true => (&mut table.failed_with, &mut table.passed_with),
            false => (&mut table.failed_without, &mut table.passed_without),
        };
        *failures = failures.saturating_add(failed);
        *passes = passes.saturating_add(passed);
    }
    table
}

fn finding(labels: Vec<LabelValue>, same_cells: Vec<LabelValue>, cells: usize, table: Table) -> LabelFinding {
    LabelFinding {
        labels,
        same_cells,
        cells: u32::try_from(cells).unwrap_or(u32::MAX),
        table,
        difference: table.difference(),
        interval: ConfidenceInterval { low: -1.0, high: 1.0 },
        level: 0.0,
        p_value: None,
        adjusted_p_value: None,
        claim: Claim::TooFew,
        through: None,
    }
}

/// Tests the findings that have enough trials, corrects for their number, and returns it.
fn judge<'a>(
    findings: impl Iterator<Item = &'a mut LabelFinding>,
    demands: &Demands,
    test: impl Fn(&LabelFinding) -> f64,
) -> u32 {
    let enough = |table: &Table| table.with().min(table.without()) >= demands.min_sample.max(1);
    let mut tested: Vec<&mut LabelFinding> = findings.filter(|finding| enough(&finding.table)).collect();
    let p_values: Vec<f64> = tested.iter().map(|finding| test(finding)).collect();
    let adjusted = match demands.correction {
        Correction::Holm => stats::holm(&p_values),
        Correction::BenjaminiHochberg => stats::benjamini_hochberg(&p_values),
    };
    let level = 1.0 - demands.alpha / tested.len().max(1) as f64;
    for (index, finding) in tested.iter_mut().enumerate() {
        finding.level = level;
        finding.interval = stats::newcombe(&finding.table, level);
        (finding.p_value, finding.adjusted_p_value) = (Some(p_values[index]), Some(adjusted[index]));
        finding.claim = match finding.difference {
            Some(difference) if adjusted[index] < demands.alpha && difference > 0.0 => Claim::Carries,
            Some(difference) if adjusted[index] < demands.alpha && difference < 0.0 => Claim::Spares,
            Some(_) | None => Claim::Unclear,
        };
    }
    u32::try_from(tested.len()).unwrap_or(u32::MAX)
}

fn carries(table: &Table, alpha: f64) -> bool {
    table.difference().is_some_and(|difference| difference > 0.0) && stats::fisher_exact(table) < alpha
}

/// Tests, of every two values that meet, whether their cells fail more than the rest of the one and of the other.
fn pairs(
    cells: &[CellCounts],
    singles: &[(LabelFinding, &BTreeSet<usize>)],
    demands: &Demands,
) -> (Vec<(LabelFinding, BTreeSet<usize>)>, u32) {
    let all: BTreeSet<usize> = (0..cells.len()).collect();
    let mut found: Vec<(LabelFinding, BTreeSet<usize>, [Table; 2])> = Vec::new();
    for (index, (one, cells_of_one)) in singles.iter().enumerate() {
        for (other, cells_of_other) in &singles[index + 1..] {
            let both: BTreeSet<usize> = cells_of_one.intersection(cells_of_other).copied().collect();
            // Where one lies within the other there is no pair, but the one alone.
            if both.is_empty() || both.len() == cells_of_one.len() || both.len() == cells_of_other.len() {
                continue;
            }
            let labels = vec![one.labels[0].clone(), other.labels[0].clone()];
            let within = [table(cells, &both, cells_of_one), table(cells, &both, cells_of_other)];
            found.push((finding(labels, Vec::new(), both.len(), table(cells, &both, &all)), both, within));
        }
    }
    // The two tests of a pair must both hold, so the larger p-value is that of the pair (intersection-union test).
    let enough = |table: &Table| table.with().min(table.without()) >= demands.min_sample.max(1);
    found.retain(|(_, _, within)| within.iter().all(enough));
    let larger: BTreeMap<Vec<LabelValue>, f64> = found
        .iter()
        .map(|(finding, _, [one, other])| {
            let more = |table: &Table| table.difference().is_some_and(|difference| difference > 0.0);
            let p =
                if more(one) && more(other) { stats::fisher_exact(one).max(stats::fisher_exact(other)) } else { 1.0 };
            (finding.labels.clone(), p)
        })
        .collect();
    let tested = judge(found.iter_mut().map(|(finding, ..)| finding), demands, |finding| {
        larger.get(&finding.labels).copied().unwrap_or(1.0)
    });
    found.retain(|(finding, ..)| finding.claim == Claim::Carries);
    found.sort_by(|one, other| order(&one.0, &other.0));
    (found.into_iter().map(|(finding, both, _)| (finding, both)).collect(), tested)
}

/// What carries failures first, by the difference; then what spares, then what is unclear, then what is too little.
fn order(one: &LabelFinding, other: &LabelFinding) -> std::cmp::Ordering {
    let size = |finding: &LabelFinding| finding.difference.unwrap_or(0.0);
    one.claim
        .cmp(&other.claim)
        .then_with(|| size(other).total_cmp(&size(one)))
        .then_with(|| one.labels.cmp(&other.labels))
}

#[cfg(test)]
mod tests;
