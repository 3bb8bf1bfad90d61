//! Two runs side by side: what they were, and what came of it.
//!
//! Pure: the runs, what they said about themselves, their files and their logs come in, the difference comes out. What is
//! equal is counted or left out, so that the answer is about what differs. It is no judgement: which of the differences
//! explains a failure is for who reads it.

mod cases;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use cases::{
    CaseEnd, CaseKind, CasesComparison, ComparedCase, DifferingCases, MIN_CHANGE, MIN_CHANGE_MS, MOST_CASES,
};

use crate::analysis::diff::{LogDiff, Shown, ValueChange, configs, logs};
use crate::analysis::mask::Masker;
use crate::artifacts::{Artifact, ContentHash};
use crate::ids::RunId;
use crate::output::{Metric, Output};
use crate::run::{Run, RunResult, words};
use crate::runner::RunnerAbout;

/// How many bytes of each log are compared: the last ones.
pub const MAX_LOG_BYTES: u64 = 2 << 20;
/// How many characters of a text are shown.
const MAX_SHOWN: usize = 500;

/// How two runs differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Comparison {
    /// The one run.
    pub before: ComparedRun,
    /// The other run.
    pub after: ComparedRun,
    /// What differs in what was executed; JSON pointers into `run_config`, without its `env`.
    pub config: Vec<ValueChange>,
    /// What differs in the environment variables, by their names.
    pub env: Vec<ValueChange>,
    /// What differs in the labels, by their keys.
    pub labels: Vec<ValueChange>,
    /// What differs around the runs: `image_digest`, `runner_name`, and of what is known of the runners `version`, `engine`
    /// and `platform`.
    pub surroundings: Vec<ValueChange>,
    /// How long they took: `waited` from when they were made to the start of the latest attempt, `ran` from there to the end,
    /// in milliseconds.
    pub durations: Vec<NumberChange>,
    /// What differs in the result data, by its keys. Long texts are cut.
    pub data: Vec<DataChange>,
    /// The numbers of both, in the order of their series.
    pub metrics: Vec<MetricChange>,
    /// The files that differ.
    pub artifacts: Vec<ArtifactChange>,
    /// How many files have the same path and the same content in both.
    pub same_artifacts: u32,
    /// How the cases of their test reports differ. Absent when neither has a report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cases: Option<CasesComparison>,
    /// How the standard outputs differ when times, durations, ids, addresses and temporary paths are left aside. Absent when
    /// one of them cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogComparison>,
    /// What could not be compared, and why.
    pub notes: Vec<String>,
}

/// One of two runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ComparedRun {
    /// Names it.
    pub id: RunId,
    /// The name of its test.
    pub test_name: String,
    /// The attempt that is compared: the latest.
    pub attempt: u16,
    /// How it ended; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RunResult>,
    /// Its exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

/// A number of both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NumberChange {
    /// What it counts.
    pub name: String,
    /// Its values.
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// The values of a number in both, and how they differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Numbers {
    /// Its value in the one; absent when it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<f64>,
    /// Its value in the other; absent when it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<f64>,
    /// The other less the one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
    /// The other divided by the one; absent when that is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

/// A value of result data that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DataChange {
    /// Where it stands: a JSON pointer (RFC 6901) that begins with its key.
    #[serde(flatten)]
    pub value: ValueChange,
    /// The other less the one, where both are numbers or texts of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
    /// The other divided by the one; absent when that is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

/// A number that was measured, in both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MetricChange {
    /// What was measured.
    pub measurement: String,
    /// Which of them.
    pub tags: BTreeMap<String, String>,
    /// Which number of the measurement.
    pub field: String,
    /// Its values.
    #[serde(flatten)]
    pub numbers: Numbers,
}

words!(
    /// What became of a file.
    FileChange {
        /// Only the other run left it.
        Added = "added",
        /// Only the one run left it.
        Removed = "removed",
        /// Both left it, with other contents.
        Changed = "changed",
    }
);

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ArtifactChange {
    /// Its path.
    pub path: String,
    /// What became of it.
    pub change: FileChange,
    /// What the one run left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<FileContent>,
    /// What the other run left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<FileContent>,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileContent {
    /// How many bytes.
    pub bytes: u64,
    /// The SHA-256 of them.
    pub sha256: ContentHash,
}

/// How two standard outputs differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogComparison {
    /// How what was compared differs.
    #[serde(flatten)]
    pub diff: LogDiff,
    /// So many bytes at the beginning of the one were not compared: the last 2 MiB are.
    pub before_skipped_bytes: u64,
    /// The same of the other.
    pub after_skipped_bytes: u64,
}

/// What is known of one of two runs.
#[derive(Debug, Clone)]
pub struct Side {
    /// The run.
    pub run: Run,
    /// Its runner, as it is registered now; `None` when nobody knows it any more.
    pub runner: Option<RunnerAbout>,
    /// What its latest attempt said about itself.
    pub output: Output,
    /// The files that its latest attempt left; `None` when they cannot be read.
    pub artifacts: Option<Vec<Artifact>>,
    /// Its standard output; `None` when it cannot be read.
    pub log: Option<LogEnd>,
}

/// The end of a standard output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogEnd {
    /// Its last bytes.
    pub text: String,
    /// How many bytes are before them.
    pub skipped: u64,
}

impl LogEnd {
    /// Makes the end of a log; when it does not begin with the log, the line that it begins within is left out.
    pub fn of(bytes: &[u8], skipped: u64) -> Self {
        let cut = match skipped {
            0 => 0,
            _ => bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1),
        };
        Self { text: String::from_utf8_lossy(&bytes[cut..]).into_owned(), skipped: skipped + cut as u64 }
    }
}

impl Comparison {
    /// Compares two runs. `notes` say what could not be read of them; their cases come compared.
    pub fn of(
        before: &Side,
        after: &Side,
        cases: Option<CasesComparison>,
        masker: &Masker,
        notes: Vec<String>,
    ) -> Self {
        let (old, new) = (&before.run, &after.run);
        let (artifacts, same_artifacts) = match (&before.artifacts, &after.artifacts) {
            (Some(old), Some(new)) => compare_files(old, new),
            _ => (Vec::new(), 0),
        };
        let log = before.log.as_ref().zip(after.log.as_ref()).map(|(old, new)| LogComparison {
            diff: logs(&old.text, &new.text, masker, &Shown { max_chars: MAX_SHOWN, ..Shown::default() }),
            before_skipped_bytes: old.skipped,
            after_skipped_bytes: new.skipped,
        });
        Self {
            before: compared(old),
            after: compared(new),
            config: configs(&config(old), &config(new)),
            env: configs(&json!(old.run_config.env), &json!(new.run_config.env)),
            labels: configs(&json!(old.labels), &json!(new.labels)),
            surroundings: configs(&surroundings(before), &surroundings(after)),
            durations: durations(old, new),
            data: compare_data(&before.output, &after.output),
            metrics: compare_metrics(&before.output.metrics, &after.output.metrics),
            artifacts,
            same_artifacts,
            cases,
            log,
            notes,
        }
    }
}

impl Numbers {
    /// Compares two values of a number.
    pub fn of(before: Option<f64>, after: Option<f64>) -> Self {
        let both = before.zip(after);
        let finite = |number: &f64| number.is_finite();
        let delta = both.map(|(old, new)| new - old).filter(finite);
        let ratio = both.filter(|(old, _)| *old != 0.0).map(|(old, new)| new / old).filter(finite);
        Self { before, after, delta, ratio }
    }
}

fn compared(run: &Run) -> ComparedRun {
    ComparedRun {
        id: run.id,
        test_name: run.test_name.clone(),
        attempt: run.attempt,
        result: run.result,
        exit_code: run.exit_code,
    }
}

fn config(run: &Run) -> Value {
    let mut config = json!(run.run_config);
    if let Value::Object(fields) = &mut config {
        fields.remove("env");
    }
    config
}

fn surroundings(side: &Side) -> Value {
    let mut known = serde_json::Map::new();
    let mut note = |name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            known.insert(name.to_owned(), value.into());
        }
    };
    note("image_digest", side.run.image_digest.as_deref());
    note("runner_name", side.run.runner_name.as_deref());
    note("version", side.runner.as_ref().map(|about| about.version.as_str()));
    note("engine", side.runner.as_ref().map(|about| about.engine.as_str()));
    note("platform", side.runner.as_ref().map(|about| about.platform.as_str()));
    Value::Object(known)
}

fn durations(before: &Run, after: &Run) -> Vec<NumberChange> {
    let waited = |run: &Run| run.started_at.map(|at| (at - run.created_at).num_milliseconds() as f64);
    let ran = |run: &Run| run.started_at.zip(run.finished_at).map(|(from, to)| (to - from).num_milliseconds() as f64);
    let change = |name: &str, of: &dyn Fn(&Run) -> Option<f64>| NumberChange {
        name: name.to_owned(),
        numbers: Numbers::of(of(before), of(after)),
    };
    vec![change("waited", &waited), change("ran", &ran)]
}

fn compare_data(before: &Output, after: &Output) -> Vec<DataChange> {
    let changes = configs(&json!(before.data), &json!(after.data)).into_iter().map(|change| {
        let number = |value: &Option<Value>| match value {
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.trim().parse::<f64>().ok().filter(|number| number.is_finite()),
            _ => None,
        };
        let Numbers { delta, ratio, .. } = Numbers::of(number(&change.before), number(&change.after));
        let ValueChange { pointer, before, after } = change;
        DataChange { value: ValueChange { pointer, before: before.map(cut), after: after.map(cut) }, delta, ratio }
    });
    changes.collect()
}

/// Cuts long texts; what holds others is shown as the text of its JSON when that is long.
fn cut(value: Value) -> Value {
    let text = match &value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
        Value::Null | Value::Bool(_) | Value::Number(_) => return value,
    };
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => Value::String(format!("{}…", &text[..at])),
        None => value,
    }
}

fn compare_metrics(before: &[Metric], after: &[Metric]) -> Vec<MetricChange> {
    let mut series: BTreeMap<_, (Option<f64>, Option<f64>)> = BTreeMap::new();
    for metric in before {
        series.entry((&metric.measurement, &metric.tags, &metric.field)).or_default().0 = Some(metric.value);
    }
    for metric in after {
        series.entry((&metric.measurement, &metric.tags, &metric.field)).or_default().1 = Some(metric.value);
    }
    let changes = series.into_iter().map(|((measurement, tags, field), (before, after))| MetricChange {
        measurement: measurement.clone(),
        tags: tags.clone(),
        field: field.clone(),
        numbers: Numbers::of(before, after),
    });
    changes.collect()
}

fn compare_files(before: &[Artifact], after: &[Artifact]) -> (Vec<ArtifactChange>, u32) {
    let contents = |files: &[Artifact]| -> BTreeMap<String, FileContent> {
        let content = |file: &Artifact| FileContent { bytes: file.bytes, sha256: file.sha256 };
        files.iter().map(|file| (file.path.to_string(), content(file))).collect()
    };
    let (old, new) = (contents(before), contents(after));
    let (mut changes, mut same) = (Vec::new(), 0);
    for path in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let (before, after) = (old.get(path).copied(), new.get(path).copied());
        let change = match (before, after) {
            (Some(old), Some(new)) if old == new => {
                same += 1;
                continue;
            }
            (Some(_), Some(_)) => FileChange::Changed,
            (Some(_), None) => FileChange::Removed,
            (None, _) => FileChange::Added,
        };
        changes.push(ArtifactChange { path: path.clone(), change, before, after });
    }
    (changes, same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::diff::LineChange;
    use crate::analysis::mask::Extent;
    use crate::artifacts::ArtifactPath;

    fn side(changes: Value) -> Side {
        let mut run = json!({
            "id": uuid::Uuid::nil(), "namespace": "default", "test_id": uuid::Uuid::nil(), "test_name": "t",
            "matrix_id": uuid::Uuid::nil(), "cell": {}, "labels": {"a": "1"}, "annotations": {},
            "run_config": {"container_image": "i", "env": {"K": "1"}}, "state": "finished", "result": "pass",
            "flaky": false, "cancel_requested": false, "attempt": 1, "priority": "normal", "trigger": "manual",
            "scheduled_at": "2026-01-01T00:00:00Z", "created_at": "2026-01-01T00:00:00Z",
            "started_at": "2026-01-01T00:00:01Z", "finished_at": "2026-01-01T00:00:03Z",
            "image_digest": "sha256:1", "runner_name": "w",
            "log": {"status": "complete", "bytes": 0, "dropped_bytes": 0},
        });
        for (key, value) in changes.as_object().unwrap() {
            run[key] = value.clone();
        }
        let about = RunnerAbout { version: "1".into(), engine: "podman 4".into(), ..RunnerAbout::default() };
        Side {
            run: serde_json::from_value(run).unwrap(),
            runner: Some(about),
            output: Output::default(),
            artifacts: Some(Vec::new()),
            log: Some(LogEnd::default()),
        }
    }

    fn compare(before: &Side, after: &Side) -> Comparison {
        Comparison::of(before, after, None, &Masker::new(Extent::TimesAndIds), Vec::new())
    }

    fn pointers(changes: &[ValueChange]) -> Vec<&str> {
        let mut pointers: Vec<_> = changes.iter().map(|change| change.pointer.as_str()).collect();
        pointers.sort_unstable();
        pointers
    }

    #[test]
    fn equal_runs_differ_in_nothing() {
        let same = compare(&side(json!({})), &side(json!({})));
        assert!(
            same.config.is_empty() && same.env.is_empty() && same.labels.is_empty() && same.surroundings.is_empty()
        );
        assert!(same.data.is_empty() && same.artifacts.is_empty() && same.log.unwrap().diff.hunks.is_empty());
        assert_eq!(same.durations[1].numbers, Numbers::of(Some(2000.0), Some(2000.0)));
    }

    #[test]
    fn what_differs_is_told_in_its_place() {
        let before = side(json!({}));
        let mut after = side(json!({
            "run_config": {"container_image": "j", "env": {"K": "2", "L": "3"}}, "labels": {"b": "1"},
            "image_digest": "sha256:2", "finished_at": "2026-01-01T00:00:04Z",
        }));
        after.runner = None;
        let found = compare(&before, &after);
        assert_eq!(pointers(&found.config), ["/container_image"]);
        assert_eq!(pointers(&found.env), ["/K", "/L"]);
        assert_eq!(pointers(&found.labels), ["/a", "/b"]);
        assert_eq!(pointers(&found.surroundings), ["/engine", "/image_digest", "/version"]);
        let ran = found.durations.iter().find(|one| one.name == "ran").unwrap().numbers;
        assert_eq!((ran.delta, ran.ratio), (Some(1000.0), Some(1.5)));
    }

    #[test]
    fn numbers_tell_how_much() {
        let mut sides = [side(json!({})), side(json!({}))];
        let metric =
            |field: &str, value| Metric { measurement: "m".into(), tags: BTreeMap::new(), field: field.into(), value };
        sides[0].output.metrics = vec![metric("a", 2.0), metric("b", 0.0), metric("c", f64::MAX)];
        sides[1].output.metrics = vec![metric("c", -f64::MAX), metric("b", 1.0), metric("a", 3.0), metric("d", 1.0)];
        sides[0].output.data = [("n", json!(4)), ("t", json!("2.5")), ("w", json!("x")), ("same", json!(1))]
            .map(|(k, v)| (k.to_owned(), v))
            .into();
        sides[1].output.data =
            [("n", json!(6)), ("t", json!("5")), ("w", json!("y".repeat(10_000))), ("same", json!(1))]
                .map(|(k, v)| (k.to_owned(), v))
                .into();
        let found = compare(&sides[0], &sides[1]);
        let metrics: Vec<_> =
            found.metrics.iter().map(|one| (one.field.as_str(), one.numbers.delta, one.numbers.ratio)).collect();
        let expected =
            [("a", Some(1.0), Some(1.5)), ("b", Some(1.0), None), ("c", None, Some(-1.0)), ("d", None, None)];
        assert_eq!(metrics, expected);
        let data: Vec<_> = found.data.iter().map(|one| (one.value.pointer.as_str(), one.delta, one.ratio)).collect();
        assert_eq!(data, [("/n", Some(2.0), Some(1.5)), ("/t", Some(2.5), Some(2.0)), ("/w", None, None)]);
        assert_eq!(found.data[2].value.after.as_ref().unwrap().as_str().unwrap().chars().count(), 501);
    }

    #[test]
    fn files_are_told_by_their_contents() {
        let file = |path: &str, byte: u8| Artifact {
            path: ArtifactPath::parse(path).unwrap(),
            bytes: 1,
            sha256: ContentHash([byte; 32]),
            media_type: "text/plain".into(),
        };
        let mut sides = [side(json!({})), side(json!({}))];
        sides[0].artifacts = Some(vec![file("gone", 1), file("same", 1), file("other", 1)]);
        sides[1].artifacts = Some(vec![file("new", 1), file("same", 1), file("other", 2)]);
        let found = compare(&sides[0], &sides[1]);
        let told: Vec<_> = found.artifacts.iter().map(|one| (one.path.as_str(), one.change.word())).collect();
        assert_eq!(told, [("gone", "removed"), ("new", "added"), ("other", "changed")]);
        assert_eq!(found.same_artifacts, 1);
        sides[1].artifacts = None;
        assert!(compare(&sides[0], &sides[1]).artifacts.is_empty(), "what cannot be read is not told to be gone");
    }

    #[test]
    fn logs_are_aligned_without_their_times() {
        let mut sides = [side(json!({})), side(json!({}))];
        sides[0].log = Some(LogEnd::of(b"2026-01-01T00:00:00Z begun\nok\nold\n", 0));
        sides[1].log = Some(LogEnd::of(b"2027-02-02T01:02:03Z begun\nok\nnew\n", 0));
        let log = compare(&sides[0], &sides[1]).log.unwrap();
        assert_eq!((log.diff.same, log.diff.removed, log.diff.added), (2, 1, 1));
        let changed: Vec<_> = log.diff.hunks[0]
            .lines
            .iter()
            .filter(|line| line.change != LineChange::Same)
            .map(|line| &line.text)
            .collect();
        assert_eq!(changed, ["old", "new"]);
        let end = LogEnd::of(b"half a line\nwhole\n", 100);
        assert_eq!((end.text.as_str(), end.skipped), ("whole\n", 112));
    }
}
