//! Numbers that the runs of a test handed over, run by run: what is drawn over its history.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{RunId, TestId};
use crate::labels::Labels;
use crate::output::Metric;
use crate::run::RunResult;

/// How many runs are looked at unless it is said, and at most.
pub const RUNS: u32 = 50;
/// The most runs.
pub const MOST_RUNS: u32 = 200;
/// The most series that are told: those that most of the runs have.
pub const MOST_SERIES: usize = 100;

/// A run in a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SeriesRun {
    /// The run.
    pub run_id: RunId,
    /// Its cell.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub cell: Labels,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// How it ended.
    pub result: RunResult,
    /// How long its container ran, in milliseconds; absent where none was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// Where the numbers of a series come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SeriesSource {
    /// A number of the result data.
    ResultData,
    /// A number that was measured.
    Metric,
}

/// A number over the runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NumberSeries {
    /// Where its numbers come from.
    pub source: SeriesSource,
    /// The key of the result data, or the measurement.
    pub name: String,
    /// Which number of the measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Which of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// One for each run, in their order; null where the run has none.
    pub values: Vec<Option<f64>>,
}

/// The numbers of the latest runs of a test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestSeries {
    /// The test.
    pub test_id: TestId,
    /// Its latest runs that have ended, the earliest first.
    pub runs: Vec<SeriesRun>,
    /// The numbers, by their names; at most 100.
    pub series: Vec<NumberSeries>,
    /// How many more there are.
    pub more: u64,
}

/// What a run handed over.
#[derive(Debug, Clone)]
pub struct Handed {
    /// The run.
    pub run: SeriesRun,
    /// Its result data.
    pub data: BTreeMap<String, Value>,
    /// What it measured.
    pub metrics: Vec<Metric>,
}

impl TestSeries {
    /// Puts together what runs handed over, the earliest first.
    pub fn of(test_id: TestId, handed: Vec<Handed>) -> Self {
        type Key = (SeriesSource, String, Option<String>, BTreeMap<String, String>);
        let mut all: BTreeMap<Key, Vec<(usize, f64)>> = BTreeMap::new();
        let (count, mut runs) = (handed.len(), Vec::with_capacity(handed.len()));
        for (at, one) in handed.into_iter().enumerate() {
            let data = one.data.into_iter().filter_map(|(key, value)| {
                Some(((SeriesSource::ResultData, key, None, BTreeMap::new()), number(&value)?))
            });
            let metrics = one.metrics.into_iter().map(|metric| {
                ((SeriesSource::Metric, metric.measurement, Some(metric.field), metric.tags), metric.value)
            });
            for (key, value) in data.chain(metrics) {
                all.entry(key).or_default().push((at, value));
            }
            runs.push(one.run);
        }
        let found = all.len();
        let mut all: Vec<_> = all.into_iter().collect();
        if found > MOST_SERIES {
            // The sort keeps the order of names among those that as many runs have.
            all.sort_by_key(|(_, values)| std::cmp::Reverse(values.len()));
            all.truncate(MOST_SERIES);
        }
        // A place for each run only now: names that differ from run to run may be two hundred thousand.
        let spread = |found: Vec<(usize, f64)>| {
            let mut values = vec![None; count];
            found.into_iter().for_each(|(at, value)| values[at] = Some(value));
            values
        };
        let series =
            |((source, name, field, tags), found)| NumberSeries { source, name, field, tags, values: spread(found) };
        let series: Vec<NumberSeries> = all.into_iter().map(series).collect();
        Self { test_id, runs, more: (found - series.len()) as u64, series }
    }
}

/// Reads a number, also one that was handed over as text.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) if text.len() <= 32 => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn handed(nth: u128, data: Value, metrics: Vec<Metric>) -> Handed {
        let run = SeriesRun {
            run_id: RunId(uuid::Uuid::from_u128(nth)),
            cell: Labels::default(),
            finished_at: DateTime::UNIX_EPOCH,
            result: RunResult::Pass,
            duration_ms: None,
        };
        Handed { run, data: serde_json::from_value(data).unwrap(), metrics }
    }

    #[test]
    fn numbers_stand_under_the_runs_that_have_them() {
        let metric = Metric { measurement: "load".into(), tags: BTreeMap::new(), field: "cpu".into(), value: 0.5 };
        let series = TestSeries::of(
            TestId(uuid::Uuid::nil()),
            vec![
                handed(1, json!({"ms": 3, "who": "me", "ok": true}), Vec::new()),
                handed(2, json!({}), vec![metric]),
                handed(3, json!({"ms": "4.5", "inf": "inf"}), Vec::new()),
            ],
        );
        assert_eq!(series.runs.len(), 3);
        let told: Vec<_> = series.series.iter().map(|one| (one.name.as_str(), one.values.clone())).collect();
        assert_eq!(told, [("ms", vec![Some(3.0), None, Some(4.5)]), ("load", vec![None, Some(0.5), None])]);
    }

    #[test]
    fn of_very_many_numbers_those_are_told_that_most_runs_have() {
        let many: serde_json::Map<String, Value> = (0..150).map(|i| (format!("k{i:03}"), json!(i))).collect();
        let series = TestSeries::of(
            TestId(uuid::Uuid::nil()),
            vec![handed(1, Value::Object(many), Vec::new()), handed(2, json!({"k149": 1}), Vec::new())],
        );
        assert_eq!((series.series.len(), series.more), (MOST_SERIES, 50));
        assert_eq!((series.series[0].name.as_str(), series.series[1].name.as_str()), ("k149", "k000"));
    }
}
