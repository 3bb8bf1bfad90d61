//! Duration regressions: where a series of durations changed for good, by how much and how surely.
//!
//! The statistic is that of E-divisive (Matteson and James, "A Nonparametric Approach for Multiple Change Point Analysis
//! of Multivariate Data", JASA 109, 2014) with α = 1, the segments are halved one after the other, and a permutation test
//! says whether a split is more than chance. Three things are done as in practice (Daly et al., "The Use of Change Point
//! Detection to Identify Software Performance Regressions", ICPE 2020; Fleming et al., "Hunter: Using Change Point
//! Detection to Hunt for Performance Regressions", ICPE 2023): segments have a least length, so that one or two outliers
//! are no change; changes that are too small to matter are dropped and their segments joined; and the answer has the size
//! of the change. Unlike theirs, the statistic is computed on ranks, so that one absurd duration weighs no more than one
//! that is just the longest.
//!
//! The permutations are drawn from a seed: the same series has the same answer. The test takes runs as exchangeable while
//! nothing changes; where durations follow the hour of the day, ask for a larger least change.

use serde::{Deserialize, Serialize};

use super::random::SplitMix64;
use super::stats::{median, ranks};
use crate::error::Invalid;

/// How much is asked of a change.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Demands {
    /// The least number of durations on either side of a change, at least 2.
    pub min_segment: u32,
    /// The chance of a false change at each split, 0 to 1.
    pub alpha: f64,
    /// How many permutations are drawn; `alpha` cannot be below `1 / (permutations + 1)`.
    pub permutations: u32,
    /// The least relative change, 0.1 being 10 %.
    pub min_change: f64,
    /// The least change of the median, in milliseconds.
    pub min_change_ms: f64,
    /// The seed of the permutations.
    pub seed: u64,
}

impl Default for Demands {
    fn default() -> Self {
        Self { min_segment: 5, alpha: 0.01, permutations: 199, min_change: 0.1, min_change_ms: 50.0, seed: 0 }
    }
}

impl Demands {
    /// Checks the numbers.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        if self.min_segment < 2 {
            invalid.add("/min_segment", "a segment has at least 2 durations");
        }
        if self.permutations > MAX_PERMUTATIONS {
            invalid.add("/permutations", format!("at most {MAX_PERMUTATIONS} permutations are drawn"));
        }
        let least = 1.0 / (f64::from(self.permutations) + 1.0);
        if !(least <= self.alpha && self.alpha < 1.0) {
            invalid.add("/alpha", format!("with these permutations alpha is at least {least:.4}, and below 1"));
        }
        for (pointer, value) in [("/min_change", self.min_change), ("/min_change_ms", self.min_change_ms)] {
            if !(value >= 0.0 && value.is_finite()) {
                invalid.add(pointer, "the least change is a number from 0 on");
            }
        }
        invalid.into_result()
    }
}

/// The most durations that are looked at: the newest.
pub const MAX_POINTS: usize = 500;
/// The most permutations that are drawn for one split.
pub const MAX_PERMUTATIONS: u32 = 9_999;

/// A stretch of the series in which nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Segment {
    /// How many durations it has.
    pub count: u32,
    /// Their median, in milliseconds.
    pub median_ms: f64,
}

/// A change of the durations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChangePoint {
    /// The index, in the series that was given, of the first duration after the change.
    pub index: usize,
    /// The stretch before, back to the change before it.
    pub before: Segment,
    /// The stretch after, up to the next change.
    pub after: Segment,
    /// How many times as long it takes: the median of all quotients of a duration after and one before (the estimate of
    /// Hodges and Lehmann, for quotients; durations below a millisecond count as one).
    pub ratio: f64,
    /// The probability that a duration after is longer than one before, ties counted half (Vargha and Delaney's A): 0.5
    /// is no change, 1 is every one longer.
    pub superiority: f64,
    /// The p-value of the permutation test that found it.
    pub p_value: f64,
}

impl ChangePoint {
    /// Tells whether it takes longer than before.
    pub fn is_regression(&self) -> bool {
        self.ratio > 1.0
    }
}

/// Finds the changes in a series of durations in milliseconds, the oldest first.
///
/// Numbers that are none, infinite or negative are passed over; beyond [`MAX_POINTS`] only the newest are looked at. The
/// time is at most `O(changes × permutations × n²)`, and for a series without a change far less, because a test stops when
/// it cannot be significant any more.
pub fn change_points(durations_ms: &[f64], demands: &Demands) -> Vec<ChangePoint> {
    let valid = durations_ms.iter().copied().enumerate().filter(|(_, ms)| ms.is_finite() && *ms >= 0.0);
    let (indices, values): (Vec<usize>, Vec<f64>) = valid.unzip();
    let from = values.len().saturating_sub(MAX_POINTS);
    let (indices, values) = (&indices[from..], &values[from..]);
    let mut splits = Vec::new();
    let mut random = SplitMix64::new(demands.seed);
    let mut open = vec![(0, values.len())];
    while let Some((start, end)) = open.pop() {
        let Some((at, p_value)) = split(&values[start..end], demands, &mut random) else { continue };
        splits.push((start + at, p_value));
        open.push((start + at, end));
        open.push((start, start + at));
    }
    splits.sort_by_key(|(at, _)| *at);
    let mut points = measured(values, &splits);
    // The smallest change goes first, because joining its segments changes those beside it.
    while let Some(weakest) = weakest(&points, demands) {
        splits.remove(weakest);
        points = measured(values, &splits);
    }
    points.into_iter().map(|point| ChangePoint { index: indices[point.index], ..point }).collect()
}

/// Returns the best split of a segment and its p-value, if it is significant.
fn split(values: &[f64], demands: &Demands, random: &mut SplitMix64) -> Option<(usize, f64)> {
    let mut ranks = ranks(values);
    let (at, statistic) = best_split(&ranks, demands.min_segment as usize)?;
    let draws = demands.permutations.min(MAX_PERMUTATIONS);
    let mut as_good = 1u32;
    for _ in 0..draws {
        if f64::from(as_good) / f64::from(draws + 1) > demands.alpha {
            return None;
        }
        random.shuffle(&mut ranks);
        // Sums of the same numbers in another order may differ in their last digits.
        let drawn = best_split(&ranks, demands.min_segment as usize).map_or(0.0, |(_, drawn)| drawn);
        as_good += u32::from(drawn >= statistic * (1.0 - 1e-9));
    }
    let p_value = f64::from(as_good) / f64::from(draws + 1);
    (p_value <= demands.alpha).then_some((at, p_value))
}

/// Returns the split with the largest statistic, and the statistic: `τ(n−τ)/n` times the energy distance of the two
/// sides. `None` when the segment is too short or all its values are equal.
fn best_split(values: &[f64], min_segment: usize) -> Option<(usize, f64)> {
    let (count, least) = (values.len(), min_segment.max(2));
    if count < 2 * least {
        return None;
    }
    let distances =
        |index: usize, others: &[f64]| -> f64 { others.iter().map(|other| (values[index] - other).abs()).sum() };
    let (mut inside_left, mut between) = (0.0, 0.0);
    let mut inside_right: f64 = (0..count).map(|index| distances(index, &values[index + 1..])).sum();
    let mut best: Option<(usize, f64)> = None;
    for at in 1..=count - least {
        // The value at − 1 goes from the right side to the left one.
        let (to_left, to_right) = (distances(at - 1, &values[..at - 1]), distances(at - 1, &values[at..]));
        inside_left += to_left;
        inside_right -= to_right;
        between += to_right - to_left;
        if at < least {
            continue;
        }
        let (left, right) = (at as f64, (count - at) as f64);
        let pairs = |side: f64| side * (side - 1.0) / 2.0;
        let distance = 2.0 * between / (left * right) - inside_left / pairs(left) - inside_right / pairs(right);
        let statistic = left * right / (left + right) * distance;
        if statistic > best.map_or(1e-9, |(_, best)| best) {
            best = Some((at, statistic));
        }
    }
    best
}

/// Measures the changes at the given places, which are in ascending order.
fn measured(values: &[f64], splits: &[(usize, f64)]) -> Vec<ChangePoint> {
    let starts = std::iter::once(0).chain(splits.iter().map(|(at, _)| *at));
    let ends = splits.iter().skip(1).map(|(at, _)| *at).chain([values.len()]);
    let sides = starts.zip(splits).zip(ends);
    sides.map(|((start, (at, p_value)), end)| measure(&values[start..*at], &values[*at..end], *at, *p_value)).collect()
}

fn measure(before: &[f64], after: &[f64], index: usize, p_value: f64) -> ChangePoint {
    let pairs = || after.iter().flat_map(|after| before.iter().map(move |before| (*before, *after)));
    let quotients: Vec<f64> = pairs().map(|(before, after)| after.max(1.0) / before.max(1.0)).collect();
    let wins: f64 = pairs()
        .map(|(before, after)| match after.total_cmp(&before) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        })
        .sum();
    let segment = |values: &[f64]| Segment {
        count: u32::try_from(values.len()).unwrap_or(u32::MAX),
        median_ms: median(values).unwrap_or(0.0),
    };
    ChangePoint {
        index,
        before: segment(before),
        after: segment(after),
        ratio: median(&quotients).unwrap_or(1.0),
        superiority: if quotients.is_empty() { 0.5 } else { wins / quotients.len() as f64 },
        p_value,
    }
}

/// Returns the smallest of the changes that are too small to matter.
fn weakest(points: &[ChangePoint], demands: &Demands) -> Option<usize> {
    // A change to half is as large as one to the double.
    let size = |point: &ChangePoint| point.ratio.max(1.0 / point.ratio) - 1.0;
    let small = |point: &ChangePoint| {
        let moved = (point.after.median_ms - point.before.median_ms).abs();
        !(size(point) >= demands.min_change && moved >= demands.min_change_ms)
    };
    let smallest = points.iter().enumerate().filter(|(_, point)| small(point));
    smallest.min_by(|(_, one), (_, other)| size(one).total_cmp(&size(other))).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::reference;

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() <= 1e-9 * expected.abs().max(1.0)
    }

    /// Durations around a level, spread by ±`spread`, with one in fifty ten times as long.
    fn noisy(levels: &[(usize, f64)], spread: f64, seed: u64) -> Vec<f64> {
        let mut random = SplitMix64::new(seed);
        let mut one = |level: f64| {
            let outlier = if random.chance(0.02) { 10.0 } else { 1.0 };
            level * outlier * (1.0 + spread * (random.unit() + random.unit() - 1.0))
        };
        levels.iter().flat_map(|(count, level)| std::iter::repeat_n(*level, *count)).map(&mut one).collect()
    }

    #[test]
    fn the_statistic_and_the_effect_are_those_of_the_reference() {
        let reference = reference::load();
        for case in reference["change_point"].as_array().unwrap() {
            let values: Vec<f64> = reference::of(&case["values"]);
            let (at, statistic) = best_split(&ranks(&values), 5).unwrap();
            assert_eq!(at as u64, case["at"].as_u64().unwrap());
            assert!(close(statistic, case["statistic"].as_f64().unwrap()), "{statistic}");
            let effect = measure(&values[..at], &values[at..], at, 0.0);
            assert!(close(effect.ratio, case["ratio"].as_f64().unwrap()), "{}", effect.ratio);
            assert!(close(effect.superiority, case["superiority"].as_f64().unwrap()), "{}", effect.superiority);
        }
    }

    #[test]
    fn a_regression_and_its_repair_are_found_where_they_are() {
        let series = noisy(&[(30, 1000.0), (20, 1400.0), (25, 1000.0)], 0.1, 1);
        let points = change_points(&series, &Demands::default());
        assert_eq!(points.iter().map(|point| point.index).collect::<Vec<_>>(), [30, 50], "{points:?}");
        assert!(points[0].is_regression() && !points[1].is_regression());
        assert!((1.3..1.5).contains(&points[0].ratio) && points[0].superiority > 0.9, "{points:?}");
        assert_eq!((points[0].p_value, points[0].before.count, points[0].after.count), (0.005, 30, 20));
        assert_eq!(change_points(&series, &Demands::default()), points, "the same seed, the same answer");
    }

    #[test]
    fn a_few_outliers_are_no_change() {
        let mut series = noisy(&[(40, 1000.0)], 0.1, 2);
        series[38..].fill(90_000.0);
        assert_eq!(change_points(&series, &Demands::default()), []);
        series.extend([90_000.0; 4]);
        assert_eq!(change_points(&series, &Demands::default())[0].index, 38);
    }

    #[test]
    fn changes_that_do_not_matter_are_not_told() {
        let small = noisy(&[(40, 1000.0), (40, 1050.0)], 0.02, 3);
        assert_eq!(change_points(&small, &Demands::default()), []);
        assert_eq!(
            change_points(&small, &Demands { min_change: 0.01, min_change_ms: 1.0, ..Demands::default() }).len(),
            1
        );
        let short = noisy(&[(40, 10.0), (40, 20.0)], 0.02, 3);
        assert_eq!(change_points(&short, &Demands::default()), [], "ten milliseconds are below the least change");
    }

    #[test]
    fn steps_that_are_small_one_by_one_are_told_as_one() {
        let steps = noisy(&[(40, 1000.0), (20, 1090.0), (40, 1190.0)], 0.01, 5);
        let every = change_points(&steps, &Demands { min_change: 0.05, ..Demands::default() });
        assert_eq!(every.iter().map(|point| point.index).collect::<Vec<_>>(), [40, 60]);
        let points = change_points(&steps, &Demands::default());
        assert_eq!(points.len(), 1, "{points:?}");
        assert!((1.15..1.2).contains(&points[0].ratio), "{points:?}");
    }

    #[test]
    fn noise_is_seldom_taken_for_a_change_and_a_change_seldom_for_noise() {
        let any = Demands { min_change: 0.0, min_change_ms: 0.0, ..Demands::default() };
        let false_alarms =
            (0..200).filter(|seed| !change_points(&noisy(&[(60, 1000.0)], 0.3, *seed), &any).is_empty()).count();
        assert!(false_alarms <= 8, "{false_alarms} of 200");
        let found = (0..60).filter(|seed| {
            let series = noisy(&[(30, 1000.0), (10, 1300.0)], 0.15, *seed);
            let points = change_points(&series, &Demands::default());
            points.len() == 1 && (29..=31).contains(&points[0].index)
        });
        let found = found.count();
        assert!(found >= 57, "{found} of 60");
    }

    #[test]
    fn what_is_no_duration_is_passed_over_and_short_series_have_no_change() {
        assert_eq!(change_points(&[], &Demands::default()), []);
        assert_eq!(change_points(&[1.0; 9], &Demands::default()), []);
        assert_eq!(change_points(&[1000.0; 400], &Demands::default()), []);
        let mut series = noisy(&[(20, 1000.0), (20, 3000.0)], 0.1, 4);
        series.splice(5..5, [f64::NAN, f64::INFINITY, -1.0]);
        assert_eq!(change_points(&series, &Demands::default())[0].index, 23);
    }

    #[test]
    fn demands_that_cannot_be_met_are_refused() {
        assert!(Demands::default().validate().is_ok());
        let bad =
            Demands { alpha: 0.001, min_segment: 1, min_change: f64::NAN, permutations: 99, ..Demands::default() };
        let pointers: Vec<_> = bad.validate().unwrap_err().errors.into_iter().map(|error| error.pointer).collect();
        assert_eq!(pointers, ["/min_segment", "/alpha", "/min_change"]);
        let series = noisy(&[(20, 1000.0), (20, 3000.0)], 0.1, 4);
        assert_eq!(change_points(&series, &bad), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_numbers_have_an_answer(series in proptest::collection::vec(any::<f64>(), 0..60)) {
            let demands = Demands { min_change: 0.0, ..Demands::default() };
            let points = change_points(&series, &demands);
            prop_assert!(points.windows(2).all(|pair| pair[0].index < pair[1].index));
            prop_assert!(points.iter().all(|point| point.p_value <= 0.01 && point.index < series.len()));
        }
    }
}
