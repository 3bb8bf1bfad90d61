//! The few statistics that the analysis needs, each after its source.
//!
//! They are total: what cannot be computed (no observations, a number that is none) is `None`, or the answer that
//! claims least (a p-value of 1, an interval over everything).

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use serde::{Deserialize, Serialize};

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConfidenceInterval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Two groups of trials and how many of each failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Table {
    /// Failures in the group that is looked at.
    pub failed_with: u64,
    /// Passes in the group that is looked at.
    pub passed_with: u64,
    /// Failures outside of it.
    pub failed_without: u64,
    /// Passes outside of it.
    pub passed_without: u64,
}

impl Table {
    /// Returns how many there are in the group.
    pub fn with(&self) -> u64 {
        self.failed_with.saturating_add(self.passed_with)
    }

    /// Returns how many there are outside of it.
    pub fn without(&self) -> u64 {
        self.failed_without.saturating_add(self.passed_without)
    }

    /// Returns how many failed.
    pub fn failed(&self) -> u64 {
        self.failed_with.saturating_add(self.failed_without)
    }

    /// Returns how many there are.
    pub fn total(&self) -> u64 {
        self.with().saturating_add(self.without())
    }

    /// Returns the share of failures in the group less the share outside; `None` when one of them is empty.
    pub fn difference(&self) -> Option<f64> {
        Some(share(self.failed_with, self.with())? - share(self.failed_without, self.without())?)
    }
}

/// Returns `part / whole`; `None` when there is no whole.
pub fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Returns the complementary error function for `x ≥ 0`: a series for small `x`, Lentz's continued fraction of the
/// incomplete gamma function `Q(½, x²)` beyond (Press et al., Numerical Recipes, 3rd ed., 6.2).
fn erfc(x: f64) -> f64 {
    let t = x * x;
    if t < 1.5 {
        let (mut term, mut sum, mut odd) = (x, x, 1.0);
        while term > sum * 1e-17 {
            odd += 2.0;
            term *= 2.0 * t / odd;
            sum += term;
        }
        return 1.0 - 2.0 / PI.sqrt() * (-t).exp() * sum;
    }
    const TINY: f64 = 1e-300;
    let mut b = t + 0.5;
    let (mut c, mut d) = (1.0 / TINY, 1.0 / b);
    let mut fraction = d;
    for i in 1..500 {
        let i = f64::from(i);
        let a = -i * (i - 0.5);
        b += 2.0;
        d = 1.0 / nonzero(a * d + b, TINY);
        c = nonzero(b + a / c, TINY);
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
    }
    (-t).exp() * x / PI.sqrt() * fraction
}

fn nonzero(value: f64, tiny: f64) -> f64 {
    if value.abs() < tiny { tiny } else { value }
}

/// Returns the probability that a standard normal variable exceeds `z`; 1 for a number that is none.
pub fn normal_upper(z: f64) -> f64 {
    if z.is_nan() {
        1.0
    } else if z < 0.0 {
        1.0 - erfc(-z * FRAC_1_SQRT_2) / 2.0
    } else {
        erfc(z * FRAC_1_SQRT_2) / 2.0
    }
}

/// Returns the `z` whose interval `±z` holds a standard normal variable with probability `level`, by bisection.
///
/// Levels are held between 0 and 1 − 10⁻¹⁵; one that is no number counts as 0.95.
pub fn two_sided_z(level: f64) -> f64 {
    let level = if level.is_nan() { 0.95 } else { level.clamp(0.0, 1.0 - 1e-15) };
    let tail = (1.0 - level) / 2.0;
    let (mut low, mut high) = (0.0, 10.0);
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if normal_upper(middle) > tail {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// Returns Wilson's score interval of a share (Wilson, JASA 22, 1927); 0 to 1 when there are no observations.
pub fn wilson(part: u64, whole: u64, level: f64) -> ConfidenceInterval {
    let Some(p) = share(part.min(whole), whole) else { return ConfidenceInterval { low: 0.0, high: 1.0 } };
    let (n, z) = (whole as f64, two_sided_z(level));
    let (middle, spread) = (2.0 * n * p + z * z, z * (z * z + 4.0 * n * p * (1.0 - p)).sqrt());
    let scale = 2.0 * (n + z * z);
    // At the ends the formula is exactly 0 and 1, which rounding must not miss.
    let low = if part == 0 { 0.0 } else { ((middle - spread) / scale).max(0.0) };
    let high = if part >= whole { 1.0 } else { ((middle + spread) / scale).min(1.0) };
    ConfidenceInterval { low, high }
}

/// Returns Newcombe's hybrid score interval of the difference of two shares (Newcombe, Statistics in Medicine 17,
/// 1998, method 10); −1 to 1 when one of the groups is empty.
pub fn newcombe(table: &Table, level: f64) -> ConfidenceInterval {
    let shares = (share(table.failed_with, table.with()), share(table.failed_without, table.without()));
    let (Some(p1), Some(p2)) = shares else { return ConfidenceInterval { low: -1.0, high: 1.0 } };
    let first = wilson(table.failed_with, table.with(), level);
    let second = wilson(table.failed_without, table.without(), level);
    let difference = p1 - p2;
    let low = difference - (p1 - first.low).hypot(second.high - p2);
    let high = difference + (first.high - p1).hypot(p2 - second.low);
    ConfidenceInterval { low: low.max(-1.0), high: high.min(1.0) }
}

/// Up to so many trials a table is tested exactly.
pub const EXACT_MAX: u64 = 10_000_000;

/// Returns the two-sided p-value of Fisher's exact test: the probability, both margins given, of a table that is as
/// unlikely as this one or more so (Fisher 1935; ties within 10⁻⁷ count as ties, as in R's `fisher.test`).
///
/// The probabilities are summed from the most likely table outwards, so that no factorial is needed: the time grows
/// with the square root of the number of trials. Beyond [`EXACT_MAX`] trials the answer is [`chi_square`]'s.
pub fn fisher_exact(table: &Table) -> f64 {
    if table.total() > EXACT_MAX {
        return chi_square(table);
    }
    let (row, column, total) = (table.with() as f64, table.failed() as f64, table.total() as f64);
    let lowest = (row + column - total).max(0.0);
    let highest = row.min(column);
    // The weight of the next table, relative to that of this one.
    let up = |k: f64| (row - k) * (column - k) / ((k + 1.0) * (total - row - column + k + 1.0));
    let mode = (((row + 1.0) * (column + 1.0)) / (total + 2.0)).floor().clamp(lowest, highest);
    let walk = |visit: &mut dyn FnMut(f64, f64)| {
        visit(mode, 1.0);
        let (mut k, mut weight) = (mode, 1.0);
        while k < highest && weight > 0.0 {
            weight *= up(k);
            k += 1.0;
            visit(k, weight);
        }
        (k, weight) = (mode, 1.0);
        while k > lowest && weight > 0.0 {
            k -= 1.0;
            weight /= up(k);
            visit(k, weight);
        }
    };
    let seen = table.failed_with as f64;
    let mut of_seen = 0.0;
    walk(&mut |k, weight| {
        if k == seen {
            of_seen = weight;
        }
    });
    let (mut extreme, mut all) = (0.0, 0.0);
    walk(&mut |_, weight| {
        all += weight;
        if weight <= of_seen * (1.0 + 1e-7) {
            extreme += weight;
        }
    });
    (extreme / all).min(1.0)
}

/// Returns the p-value of Pearson's chi-square test of a table, one degree of freedom and no continuity correction;
/// 1 when a margin is empty.
pub fn chi_square(table: &Table) -> f64 {
    let (a, b) = (table.failed_with as f64, table.passed_with as f64);
    let (c, d) = (table.failed_without as f64, table.passed_without as f64);
    let margins = (a + b) * (c + d) * (a + c) * (b + d);
    if margins == 0.0 {
        return 1.0;
    }
    let cross = a * d - b * c;
    let statistic = (a + b + c + d) * cross * cross / margins;
    erfc((statistic / 2.0).sqrt()).min(1.0)
}

/// Adjusts p-values by Holm's step-down method, which bounds the chance of one false claim or more (Holm 1979).
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let count = p_values.len();
    let mut adjusted = vec![1.0; count];
    let mut floor = 0.0f64;
    for (rank, index) in ascending(p_values).into_iter().enumerate() {
        floor = floor.max((count - rank) as f64 * honest(p_values[index])).min(1.0);
        adjusted[index] = floor;
    }
    adjusted
}

/// Adjusts p-values by Benjamini and Hochberg's step-up method, which bounds the expected share of false claims among
/// the claims (Benjamini and Hochberg 1995).
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let count = p_values.len();
    let mut adjusted = vec![1.0; count];
    let mut roof = 1.0f64;
    for (rank, index) in ascending(p_values).into_iter().enumerate().rev() {
        roof = roof.min(count as f64 / (rank + 1) as f64 * honest(p_values[index]));
        adjusted[index] = roof;
    }
    adjusted
}

fn honest(p_value: f64) -> f64 {
    if p_value.is_nan() { 1.0 } else { p_value.clamp(0.0, 1.0) }
}

fn ascending(p_values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| honest(p_values[*a]).total_cmp(&honest(p_values[*b])));
    order
}

/// Returns the median, the mean of the middle two for an even number; `None` without values. Numbers that are none
/// sort last.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// Returns the ranks of values from 1 on; those that are equal share the mean of their ranks.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let same = order[start..].iter().take_while(|index| values[**index] == values[order[start]]).count().max(1);
        let rank = start as f64 + (same as f64 + 1.0) / 2.0;
        order[start..start + same].iter().for_each(|index| ranks[*index] = rank);
        start += same;
    }
    ranks
}

#[cfg(test)]
mod tests;
