//! Percentiles of durations from sketches that can be added up.
//!
//! A [`Sketch`] counts durations in fixed buckets: each millisecond below [`EXACT_BELOW`] has its own, and every doubling
//! beyond is cut into 32 equal ones. A quantile is answered as the middle of its bucket, so the relative error is at most
//! 1/64 (1.6 %, [`RELATIVE_ERROR`]), for any data and after any number of merges, and it is 0 below 64 ms. That is the
//! layout of HdrHistogram (Tene) and the guarantee of DDSketch (Masson, Rim and Lee, PVLDB 12, 2019). The buckets are
//! found by integer arithmetic, so that every machine, and SQL, agrees on them.
//!
//! In a table a sketch is two arrays, buckets and counts ([`Sketch::parts`]); sketches of hours become that of a week by
//! `SELECT bucket, sum(count) FROM …, unnest(buckets, counts) AS part(bucket, count) GROUP BY bucket`, read back by
//! [`Sketch::from_parts`]. There are at most [`BUCKETS`] entries. Where SQL need not look into it, a sketch is bytes
//! ([`Sketch::to_bytes`]), which take a fifth of the room; [`Adder`] adds many of these up.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

/// Every doubling is cut into 2⁵ buckets.
const BITS: u32 = 5;
const CUTS: u64 = 1 << BITS;

/// Below so many milliseconds durations are kept exactly.
pub const EXACT_BELOW: u64 = 2 * CUTS;
/// The largest relative error of a quantile: half a bucket of a doubling that is cut into 32.
pub const RELATIVE_ERROR: f64 = 1.0 / (2 * CUTS) as f64;
/// The longest duration that has a bucket, in milliseconds (49 days); longer ones count as this one.
pub const MAX_MS: u64 = u32::MAX as u64;
/// How many buckets there are.
pub const BUCKETS: u16 = ((32 - BITS) as u16 + 1) << BITS;

/// Returns the bucket of a duration in milliseconds: the number of the doubling and its five bits after the first one.
pub fn bucket(ms: u64) -> u16 {
    let ms = ms.min(MAX_MS);
    if ms < EXACT_BELOW {
        return ms as u16;
    }
    let shift = ms.ilog2() - BITS;
    ((u64::from(shift) << BITS) + (ms >> shift)) as u16
}

/// Returns the durations of a bucket, in milliseconds; buckets that do not exist count as the last one.
pub fn durations_of(bucket: u16) -> RangeInclusive<u64> {
    let bucket = u64::from(bucket.min(BUCKETS - 1));
    if bucket < EXACT_BELOW {
        return bucket..=bucket;
    }
    let shift = (bucket >> BITS) - 1;
    let first = (bucket - (shift << BITS)) << shift;
    first..=first + (1 << shift) - 1
}

/// The distribution of durations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch {
    /// The buckets that have a count, in ascending order: sketches are read and merged far more often than recorded into.
    counts: Vec<(u16, u64)>,
}

impl Sketch {
    /// Counts a duration in milliseconds.
    pub fn record(&mut self, ms: u64) {
        self.add(bucket(ms), 1);
    }

    /// Counts everything that another sketch has counted.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.is_empty() {
            self.counts.clone_from(&other.counts);
            return;
        }
        let mine = std::mem::take(&mut self.counts);
        self.counts.reserve(mine.len() + other.counts.len());
        let (mut mine, mut theirs) = (mine.into_iter().peekable(), other.counts.iter().copied().peekable());
        while let (Some(one), Some(two)) = (mine.peek().copied(), theirs.peek().copied()) {
            if one.0 <= two.0 {
                mine.next();
            }
            if two.0 <= one.0 {
                theirs.next();
            }
            self.counts.push(match one.0.cmp(&two.0) {
                Ordering::Less => one,
                Ordering::Equal => (one.0, one.1.saturating_add(two.1)),
                Ordering::Greater => two,
            });
        }
        self.counts.extend(mine);
        self.counts.extend(theirs);
    }

    /// Returns how many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Returns, in milliseconds, the duration that at least the share `q` of those counted do not exceed (the inverse
    /// of the empirical distribution; Hyndman and Fan, 1996, type 1), with an error of at most [`RELATIVE_ERROR`].
    ///
    /// `q` is held between 0 (the shortest) and 1 (the longest); `None` when nothing was counted or `q` is no number.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if q.is_nan() {
            return None;
        }
        let rank = ((self.count() as f64 * q.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut passed = 0u64;
        let reaches = |(_, count): &&(u16, u64)| {
            passed = passed.saturating_add(*count);
            passed >= rank
        };
        // Rounding of counts beyond 2⁵³ must not lead past the last bucket.
        let (bucket, _) = self.counts.iter().find(reaches).or_else(|| self.counts.last())?;
        let durations = durations_of(*bucket);
        Some((*durations.start() as f64 + *durations.end() as f64) / 2.0)
    }

    /// Returns the buckets in ascending order and the count of each, for storing.
    pub fn parts(&self) -> (Vec<i16>, Vec<i64>) {
        let stored = |(bucket, count): &(u16, u64)| (*bucket as i16, i64::try_from(*count).unwrap_or(i64::MAX));
        self.counts.iter().map(stored).unzip()
    }

    /// Makes a sketch of stored buckets and counts, in any order. Negative counts, buckets that do not exist and what has
    /// no partner are left out.
    pub fn from_parts(buckets: &[i16], counts: &[i64]) -> Self {
        let mut sketch = Self::default();
        for (bucket, count) in buckets.iter().zip(counts) {
            if let (Ok(bucket @ 0..BUCKETS), Ok(count @ 1..)) = (u16::try_from(*bucket), u64::try_from(*count)) {
                sketch.add(bucket, count);
            }
        }
        sketch
    }

    /// Returns the sketch as bytes: for each bucket in ascending order how far it is from the one before, and its count,
    /// both as numbers of seven bits a byte, the lowest first.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (mut bytes, mut last) = (Vec::with_capacity(self.counts.len() * 3), 0);
        for (bucket, count) in &self.counts {
            put(&mut bytes, u64::from(bucket - last));
            put(&mut bytes, *count);
            last = *bucket;
        }
        bytes
    }

    /// Makes a sketch of what [`Sketch::to_bytes`] has written. What is damaged ends it: what stands before is counted.
    pub fn from_bytes(mut bytes: &[u8]) -> Self {
        let (mut sketch, mut bucket) = (Self { counts: Vec::with_capacity(bytes.len() / 2) }, 0u64);
        while let (Some(step), Some(count)) = (take(&mut bytes), take(&mut bytes)) {
            bucket = bucket.saturating_add(step);
            match u16::try_from(bucket) {
                // Each bucket lies behind the one before.
                Ok(found @ 0..BUCKETS) if count > 0 && (step > 0 || sketch.counts.is_empty()) => {
                    sketch.counts.push((found, count));
                }
                _ => break,
            }
        }
        sketch
    }

    fn add(&mut self, bucket: u16, count: u64) {
        match self.counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(count),
            Err(at) => self.counts.insert(at, (bucket, count)),
        }
    }
}

/// Whether something is added or taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It is added.
    Plus = 1,
    /// It is taken away.
    Minus = -1,
}

/// Adds many stored sketches up, and takes others away: each costs what it takes to read it.
#[derive(Debug, Clone)]
pub struct Adder {
    counts: Vec<i64>,
}

impl Default for Adder {
    fn default() -> Self {
        Self { counts: vec![0; usize::from(BUCKETS)] }
    }
}

impl Adder {
    /// Adds what [`Sketch::to_bytes`] has written, or takes it away. What is damaged ends it: what stands before is counted.
    pub fn add(&mut self, mut bytes: &[u8], sign: Sign) {
        let mut bucket = 0u64;
        while let (Some(step), Some(count)) = (take(&mut bytes), take(&mut bytes)) {
            bucket = bucket.saturating_add(step);
            let Some(counted) = usize::try_from(bucket).ok().and_then(|bucket| self.counts.get_mut(bucket)) else {
                return;
            };
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            *counted = match sign {
                Sign::Plus => counted.saturating_add(count),
                Sign::Minus => counted.saturating_sub(count),
            };
        }
    }

    /// Adds what a sketch has counted.
    pub fn merge(&mut self, sketch: &Sketch) {
        for (bucket, count) in &sketch.counts {
            let counted = &mut self.counts[usize::from(*bucket)];
            *counted = counted.saturating_add_unsigned(*count);
        }
    }

    /// Returns the sketch of all that was added and not taken away.
    pub fn sum(&self) -> Sketch {
        let counts =
            (0..BUCKETS).zip(&self.counts).filter_map(|(bucket, count)| Some((bucket, u64::try_from(*count).ok()?)));
        Sketch { counts: counts.filter(|(_, count)| *count > 0).collect() }
    }
}

/// Writes a number, seven bits a byte.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads a number that [`put`] has written; `None` at the end, and where there is none.
fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0u64, 0);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::reference;

    fn sketch(durations: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        durations.iter().for_each(|ms| sketch.record(*ms));
        sketch
    }

    /// Durations of every order of size.
    fn durations() -> impl Strategy<Value = u64> {
        (0u32..33, any::<u64>()).prop_map(|(bits, random)| random & ((1u64 << bits) - 1))
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut next = 0;
        for number in 0..BUCKETS {
            let durations = durations_of(number);
            assert_eq!(*durations.start(), next, "bucket {number}");
            assert_eq!((bucket(*durations.start()), bucket(*durations.end())), (number, number));
            next = durations.end() + 1;
        }
        assert_eq!(next, MAX_MS + 1);
        assert_eq!((bucket(u64::MAX), durations_of(u16::MAX)), (BUCKETS - 1, durations_of(BUCKETS - 1)));
        assert_eq!(BUCKETS, 896);
    }

    #[test]
    fn quantiles_are_those_of_numpy_within_the_error() {
        let reference = reference::load();
        let durations: Vec<u64> = reference::of(&reference["quantile"]["durations"]);
        let sketch = sketch(&durations);
        let cases: Vec<(f64, f64)> = reference::of(&reference["quantile"]["inverted_cdf"]);
        for (q, exact) in cases {
            let found = sketch.quantile(q).unwrap();
            assert!((found - exact).abs() <= exact * RELATIVE_ERROR, "{q}: {found} is not {exact}");
        }
    }

    #[test]
    fn what_is_not_there_has_no_quantile() {
        assert_eq!(Sketch::default().quantile(0.5), None);
        assert_eq!(sketch(&[1]).quantile(f64::NAN), None);
        assert_eq!((sketch(&[1, 2]).quantile(-1.0), sketch(&[1, 2]).quantile(9.0)), (Some(1.0), Some(2.0)));
    }

    #[test]
    fn damaged_parts_are_left_out_and_counts_do_not_overflow() {
        let read = Sketch::from_parts(&[3, -1, 900, 4, 5, 3], &[2, 1, 1, -7, 0, i64::MAX]);
        assert_eq!(read.parts(), (vec![3], vec![i64::MAX]));
        let mut twice = read.clone();
        twice.merge(&read);
        twice.merge(&read);
        assert_eq!((twice.count(), twice.quantile(1.0)), (u64::MAX, Some(3.0)));
    }

    #[test]
    fn damaged_bytes_do_no_harm() {
        let good = sketch(&[3, 3, 70_000]).to_bytes();
        for end in 0..good.len() {
            assert!(Sketch::from_bytes(&good[..end]).count() < 3);
        }
        for bad in [&[0xff; 40][..], &[0x80, 0x80], &[5, 0, 1, 1], &[0x84, 0x07, 1]] {
            assert_eq!(Sketch::from_bytes(bad).count(), 0, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_quantile_is_off_by_at_most_the_relative_error(
            mut values in vec(durations(), 1..300), q in 0.0..=1.0f64,
        ) {
            let found = sketch(&values).quantile(q).unwrap();
            values.sort_unstable();
            let rank = ((values.len() as f64 * q).ceil() as usize).max(1);
            let exact = values[rank - 1] as f64;
            prop_assert!((found - exact).abs() <= exact * RELATIVE_ERROR, "{found} is not {exact}");
            prop_assert!(exact >= EXACT_BELOW as f64 || found == exact);
        }

        #[test]
        fn a_merge_is_the_sketch_of_both(one in vec(durations(), 0..50), other in vec(durations(), 0..50)) {
            let mut merged = sketch(&one);
            merged.merge(&sketch(&other));
            prop_assert_eq!(&merged, &sketch(&[one, other].concat()));
            let (buckets, counts) = merged.parts();
            prop_assert_eq!(Sketch::from_parts(&buckets, &counts), merged.clone());
            prop_assert_eq!(Sketch::from_bytes(&merged.to_bytes()), merged.clone());
            let mut adder = Adder::default();
            adder.add(&merged.to_bytes(), Sign::Plus);
            adder.add(&merged.to_bytes(), Sign::Plus);
            let mut twice = merged.clone();
            twice.merge(&merged);
            prop_assert_eq!(&adder.sum(), &twice);
            adder.add(&merged.to_bytes(), Sign::Minus);
            prop_assert_eq!(&adder.sum(), &merged);
            adder.merge(&merged);
            prop_assert_eq!(adder.sum(), twice);
        }
    }
}
