//! What was measured: samples of rounds, their medians, and medians of ratios within a round.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use tokio::time::Instant;

/// One measurement of one point.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Claims, transactions or calls per second.
    pub per_s: f64,
    /// PostgreSQL's processor time for each, in microseconds.
    pub db_us: f64,
    /// How long the server was watched for each, in seconds.
    pub watched_s: f64,
    /// The API's processor time for each, in microseconds.
    pub api_us: f64,
    /// The fewest runs that waited meanwhile.
    pub least_depth: u64,
    /// How long 99 of 100 calls took at most, in milliseconds.
    pub p99_ms: f64,
}

/// What clients did that worked side by side: each ended with its own last answer, so their rates are added, not their
/// times.
#[derive(Debug, Clone, Copy, Default)]
pub struct Done {
    /// How much.
    pub count: u64,
    /// How much per second.
    pub per_s: f64,
}

impl Done {
    /// What one client did since then.
    pub fn since(begun: Instant, count: u64) -> Self {
        Self { count, per_s: count as f64 / begun.elapsed().as_secs_f64() }
    }
}

impl AddAssign for Done {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.per_s += other.per_s;
    }
}

/// Claims, transactions or calls per second.
pub const PER_S: fn(&Sample) -> f64 = |sample| sample.per_s;
/// PostgreSQL's processor time for each, in microseconds.
pub const DB_US: fn(&Sample) -> f64 = |sample| sample.db_us;
/// The API's.
pub const API_US: fn(&Sample) -> f64 = |sample| sample.api_us;
/// How long 99 of 100 calls took at most, in milliseconds.
pub const P99_MS: fn(&Sample) -> f64 = |sample| sample.p99_ms;

/// The samples of each point, in the order of the rounds.
pub type Series<P> = BTreeMap<P, Vec<Sample>>;

/// Takes off what the server used for others: what it uses per second when nobody asks for anything.
pub fn take_off_idle<P: Ord>(series: &mut Series<P>, idle_us_per_s: f64) {
    for sample in series.values_mut().flatten() {
        sample.db_us = (sample.db_us - idle_us_per_s * sample.watched_s).max(0.0);
    }
}

/// Returns the least of the values: of what an idle server uses, the rest is vacuum's late work for what was measured.
pub fn least(values: &[f64]) -> f64 {
    values.iter().copied().reduce(f64::min).unwrap_or(0.0)
}

/// Returns the value below which this part of all lies; sorts them.
pub fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = values.len().saturating_sub(1) as f64 * part;
    values.get(place.round() as usize).copied().unwrap_or(f64::NAN)
}

/// Returns the median over the rounds.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// Reads the samples of a series.
pub struct Reader<'a, P>(pub &'a Series<P>);

impl<P: Ord> Reader<'_, P> {
    fn samples(&self, point: &P) -> impl Iterator<Item = &Sample> {
        self.0.get(point).into_iter().flatten()
    }

    /// Returns the median of a figure.
    pub fn of(&self, point: &P, figure: fn(&Sample) -> f64) -> f64 {
        median(self.samples(point).map(figure))
    }

    /// Returns the median of the ratios of a figure of two points, each of one round: what a round had to suffer is
    /// in both halves.
    pub fn ratio(&self, over: &P, under: &P, figure: fn(&Sample) -> f64) -> f64 {
        median(self.samples(over).zip(self.samples(under)).map(|(over, under)| figure(over) / figure(under)))
    }

    /// Returns how far the samples of a figure lie apart: the largest by the least.
    pub fn spread(&self, point: &P, figure: fn(&Sample) -> f64) -> f64 {
        let (least, most) = self
            .samples(point)
            .map(figure)
            .fold((f64::INFINITY, 0.0), |(least, most): (f64, f64), x| (least.min(x), most.max(x)));
        most / least
    }

    /// Returns the least depth over all rounds.
    pub fn least_depth(&self, point: &P) -> u64 {
        self.samples(point).map(|sample| sample.least_depth).min().unwrap_or(0)
    }
}
