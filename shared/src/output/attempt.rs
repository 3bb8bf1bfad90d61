//! What one attempt said about itself, put together from its files and its records, within the limits of an attempt.
//!
//! A file wins over records, and a record of the standard output over one of the standard error. What is too much is left
//! out with a note: an attempt that says too much loses the rest of it, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::metrics::{MAX_SERIES, MAX_TAGS, Series, is_word};
use super::{MAX_KEYS, MAX_OUTPUT_BYTES, MAX_OUTPUT_NOTES, OutputNote, OutputSource, ResultData};
use super::{is_key, metrics, note, shown, values};
use crate::error::{Invalid, pointer_step};

/// Where a container finds the file of result data.
pub const OUTPUT_FILE: &str = "/tstr/output";
/// Where a container finds the file of metrics.
pub const METRICS_FILE: &str = "/tstr/metrics";
/// Where a container finds the summary.
pub const SUMMARY_FILE: &str = "/tstr/summary.md";
/// The most bytes of a summary; what comes later is cut off.
pub const MAX_SUMMARY_BYTES: usize = 1 << 20;
/// The most bytes of all series of an attempt, each with its names and tags.
pub const MAX_METRICS_BYTES: usize = 1 << 19;
/// The most bytes of a note.
const MAX_NOTE: usize = 1000;
/// How much a name or a number of a series weighs beside its own bytes.
const WORD_WEIGHT: usize = 8;

/// A number that an attempt measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Metric {
    /// What was measured.
    pub measurement: String,
    /// Which of them: part of the number's identity from run to run.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Which number of the measurement.
    pub field: String,
    /// The number: the sum of all lines that name it.
    pub value: f64,
}

/// What an attempt said about itself beside passing and failing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Output {
    /// The result data: values under their keys, at most 1 MiB.
    pub data: BTreeMap<String, Value>,
    /// The numbers.
    pub metrics: Vec<Metric>,
    /// The summary, in Markdown, as the test wrote it: not to be trusted. Absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The summary was longer than 1 MiB, and its end is missing.
    #[serde(default)]
    pub summary_cut: bool,
    /// What was not understood or not kept, and why.
    #[serde(default)]
    pub notes: Vec<OutputNote>,
}

/// What one attempt of a run said about itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AttemptOutput {
    /// The attempt.
    pub attempt: u16,
    /// What it said.
    #[serde(flatten)]
    pub output: Output,
}

/// A file that an attempt left: its first bytes, and how many it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct File {
    /// Its bytes, or as many of them as were read.
    pub bytes: Vec<u8>,
    /// How many it has.
    pub size: u64,
}

/// What was found of an attempt.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// `TSTR_OUTPUT`.
    pub output: Option<File>,
    /// `TSTR_METRICS`.
    pub metrics: Option<File>,
    /// The artifacts that hold metrics, each with its path.
    pub metric_files: Vec<(String, File)>,
    /// `TSTR_SUMMARY`.
    pub summary: Option<File>,
    /// The records of the standard output.
    pub stdout: ResultData,
    /// The records of the standard error.
    pub stderr: ResultData,
    /// What is said of files that could not be read.
    pub notes: Vec<OutputNote>,
}

impl Output {
    /// Puts together what was found.
    pub fn of(parts: Parts) -> Self {
        let mut output = Self::default();
        let file = parts.output.map(|file| values::parse_of(&file.bytes, file.size)).unwrap_or_default();
        let mut room = MAX_OUTPUT_BYTES;
        for (source, data) in
            [(OutputSource::Output, file), (OutputSource::Stdout, parts.stdout), (OutputSource::Stderr, parts.stderr)]
        {
            output.take_data(source, data, &mut room);
        }
        let mut found = parts.metrics.map(|file| metrics::parse_of(&file.bytes, file.size)).unwrap_or_default();
        for (path, file) in parts.metric_files {
            found.merge(&path, metrics::parse_of(&file.bytes, file.size));
        }
        output.take_metrics(found);
        if let Some(file) = parts.summary {
            output.take_summary(&file);
        }
        output.notes.extend(parts.notes.into_iter().map(presentable));
        output
    }

    /// Tells whether the attempt said nothing at all.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty() && self.metrics.is_empty() && self.summary.is_none() && self.notes.is_empty()
    }

    fn take_data(&mut self, source: OutputSource, data: ResultData, room: &mut usize) {
        let ResultData { values, mut notes } = data;
        for (key, value) in values {
            if self.data.contains_key(&key) {
                continue;
            }
            let weight = key.len() + weight(&value);
            if self.data.len() >= MAX_KEYS {
                note(&mut notes, format!("'{}' is not kept: there are {MAX_KEYS} keys already", shown(&key)), None);
            } else if weight > *room {
                let message =
                    format!("'{}' is not kept: result data has at most {MAX_OUTPUT_BYTES} bytes", shown(&key));
                note(&mut notes, message, None);
            } else {
                *room -= weight;
                self.data.insert(key, value);
            }
        }
        self.take_notes(source, notes);
    }

    fn take_metrics(&mut self, found: metrics::Metrics) {
        let mut notes = found.notes;
        let (mut room, mut left_out) = (MAX_METRICS_BYTES, 0usize);
        for (Series { measurement, tags, field }, value) in found.values {
            let metric = Metric { measurement, tags, field, value };
            match room.checked_sub(metric.weight()) {
                Some(rest) => {
                    room = rest;
                    self.metrics.push(metric);
                }
                None => left_out += 1,
            }
        }
        if left_out > 0 {
            let message = format!(
                "{left_out} series are not kept: with their names and tags they have more than {MAX_METRICS_BYTES} bytes"
            );
            note(&mut notes, message, None);
        }
        self.take_notes(OutputSource::Metrics, notes);
    }

    fn take_summary(&mut self, file: &File) {
        let mut notes = Vec::new();
        let kept = &file.bytes[..file.bytes.len().min(MAX_SUMMARY_BYTES)];
        let is_cut = (kept.len() as u64) < file.size;
        // A character in two pieces at a cut is no fault of the one who wrote it.
        let whole = match std::str::from_utf8(kept) {
            Err(fault) if is_cut && fault.error_len().is_none() => &kept[..fault.valid_up_to()],
            _ => kept,
        };
        let mut text = String::from_utf8_lossy(whole).replace('\0', "\u{fffd}");
        if text.as_bytes() != whole {
            note(&mut notes, "bytes that are no text were replaced", None);
        }
        let length = text.floor_char_boundary(MAX_SUMMARY_BYTES);
        self.summary_cut = is_cut || length < text.len();
        text.truncate(length);
        if self.summary_cut {
            let message = format!("the summary has {} bytes, of which {length} are kept", file.size);
            note(&mut notes, message, None);
        }
        self.summary = Some(text).filter(|text| !text.trim().is_empty());
        self.take_notes(OutputSource::Summary, notes);
    }

    fn take_notes(&mut self, source: OutputSource, notes: Vec<OutputNote>) {
        self.notes.extend(notes.into_iter().map(|note| presentable(OutputNote { source: Some(source), ..note })));
    }

    /// Checks what a worker hands over.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        if self.data.len() > MAX_KEYS {
            invalid.add("/data", format!("at most {MAX_KEYS} keys"));
        }
        for (key, value) in &self.data {
            let place = format!("/data/{}", pointer_step(key));
            if !is_key(key) {
                invalid.add(place, "the name is no key: a letter or _, then at most 127 letters, digits, _, . and -");
            } else if has_nul(value) {
                invalid.add(place, "holds the character U+0000");
            }
        }
        if self.data.iter().map(|(key, value)| key.len() + weight(value)).sum::<usize>() > MAX_OUTPUT_BYTES {
            invalid.add("/data", format!("at most {MAX_OUTPUT_BYTES} bytes"));
        }
        self.check_metrics(&mut invalid);
        if let Some(summary) = &self.summary {
            if summary.len() > MAX_SUMMARY_BYTES {
                invalid.add("/summary", format!("at most {MAX_SUMMARY_BYTES} bytes"));
            } else if summary.contains('\0') {
                invalid.add("/summary", "holds the character U+0000");
            }
        }
        if self.notes.len() > MAX_OUTPUT_NOTES * (OutputSource::ALL.len() + 1) {
            invalid.add("/notes", format!("at most {MAX_OUTPUT_NOTES} of each source"));
        }
        for (i, note) in self.notes.iter().enumerate() {
            if note.message.len() > MAX_NOTE || note.message.contains('\0') {
                invalid.add(format!("/notes/{i}/message"), format!("at most {MAX_NOTE} bytes, without U+0000"));
            }
        }
        invalid.into_result()
    }

    fn check_metrics(&self, invalid: &mut Invalid) {
        if self.metrics.len() > MAX_SERIES {
            invalid.add("/metrics", format!("at most {MAX_SERIES} series"));
        }
        if self.metrics.iter().map(Metric::weight).sum::<usize>() > MAX_METRICS_BYTES {
            invalid.add("/metrics", format!("at most {MAX_METRICS_BYTES} bytes"));
        }
        let mut seen = BTreeSet::new();
        for (i, metric) in self.metrics.iter().enumerate() {
            let place = format!("/metrics/{i}");
            let mut words =
                [&metric.measurement, &metric.field].into_iter().chain(metric.tags.iter().flat_map(|(k, v)| [k, v]));
            if !words.all(|word| is_word(word)) {
                invalid.add(place, "names and tags have 1 to 256 bytes, without control characters");
            } else if metric.tags.len() > MAX_TAGS {
                invalid.add(format!("{place}/tags"), format!("at most {MAX_TAGS} tags"));
            } else if !metric.value.is_finite() {
                invalid.add(format!("{place}/value"), "not a finite number");
            } else if !seen.insert((&metric.measurement, &metric.tags, &metric.field)) {
                invalid.add(place, "the same series stands twice");
            }
        }
    }
}

impl Metric {
    fn weight(&self) -> usize {
        let tags: usize = self.tags.iter().map(|(key, value)| key.len() + value.len() + 2 * WORD_WEIGHT).sum();
        self.measurement.len() + self.field.len() + tags + 3 * WORD_WEIGHT
    }
}

/// Returns how much a value weighs: about as many bytes as were needed to write it, so that no value that was written in
/// so many bytes becomes much larger on its way.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(number) => number.to_string().len(),
        Value::String(text) => text_weight(text),
        Value::Array(items) => 2 + items.iter().map(|item| weight(item) + 1).sum::<usize>(),
        Value::Object(fields) => {
            2 + fields.iter().map(|(key, item)| text_weight(key) + weight(item) + 4).sum::<usize>()
        }
    }
}

/// Characters that JSON writes in six bytes weigh as much.
fn text_weight(text: &str) -> usize {
    text.len() + 5 * text.bytes().filter(|b| *b < 0x20 && !b"\n\r\t".contains(b)).count()
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(key, item)| key.contains('\0') || has_nul(item)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Returns a note that is neither too long nor unprintable, whatever an engine said.
fn presentable(note: OutputNote) -> OutputNote {
    let mut message = note.message.replace(|c: char| c.is_control(), "\u{fffd}");
    message.truncate(message.floor_char_boundary(MAX_NOTE));
    OutputNote { message, ..note }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::output::records::RecordParser;

    fn file(text: impl AsRef<[u8]>) -> Option<File> {
        let bytes = text.as_ref().to_vec();
        Some(File { size: bytes.len() as u64, bytes })
    }

    fn records(pairs: &[(&str, &str)]) -> ResultData {
        let mut parser = RecordParser::new();
        for (key, value) in pairs {
            parser.push(format!("\x1c\x1e{key}:{value}\x1e\x1c").as_bytes());
        }
        parser.finish()
    }

    #[test]
    fn a_file_wins_over_records_and_stdout_over_stderr() {
        let output = Output::of(Parts {
            output: file("a=file\n{\"n\": 1}\n"),
            stdout: records(&[("a", "out"), ("b", "out")]),
            stderr: records(&[("a", "err"), ("b", "err"), ("c", "err")]),
            ..Parts::default()
        });
        assert_eq!(serde_json::to_value(&output.data).unwrap(), json!({"a": "file", "n": 1, "b": "out", "c": "err"}));
        assert_eq!(output.notes, []);
        assert_eq!(output.validate(), Ok(()));
    }

    #[test]
    fn notes_say_where_they_come_from() {
        let output = Output::of(Parts {
            output: file("nonsense\n"),
            metrics: file("m v=x\n"),
            metric_files: Vec::new(),
            summary: file(b"\xff"),
            stdout: records(&[("9", "x")]),
            stderr: records(&[("8", "x")]),
            notes: vec![OutputNote { source: None, message: "a\0b".repeat(1000), line: None }],
        });
        let sources: Vec<_> = output.notes.iter().map(|note| note.source.map(OutputSource::word)).collect();
        let expected = ["output", "stdout", "stderr", "metrics", "summary"].map(Some);
        assert_eq!(sources, [expected.as_slice(), &[None]].concat());
        assert_eq!(output.validate(), Ok(()));
    }

    #[test]
    fn an_attempt_that_says_too_much_loses_the_rest_of_it() {
        let most = MAX_OUTPUT_BYTES - 100;
        let output = Output::of(Parts {
            output: file(format!("big={}\n", "x".repeat(most))),
            stdout: records(&[("late", &"y".repeat(200)), ("small", "z")]),
            summary: file("é".repeat(MAX_SUMMARY_BYTES)),
            ..Parts::default()
        });
        assert_eq!(output.data.keys().map(String::as_str).collect::<Vec<_>>(), ["big", "small"]);
        assert_eq!((output.summary.as_ref().map(String::len), output.summary_cut), (Some(MAX_SUMMARY_BYTES), true));
        let said: Vec<_> = output.notes.iter().map(|note| (note.source.unwrap().word(), &note.message[..12])).collect();
        assert_eq!(said, [("stdout", "'late' is no"), ("summary", "the summary ")]);
        assert_eq!(output.validate(), Ok(()));
    }

    #[test]
    fn a_file_of_which_only_the_beginning_was_read_is_cut_at_a_line() {
        let part = |text: &str| Some(File { bytes: text.into(), size: 5_000_000 });
        let parts =
            Parts { output: part("a=1\nb=2"), metrics: part("m v=1\nm v=1"), summary: part("x"), ..Parts::default() };
        let output = Output::of(parts);
        assert_eq!(serde_json::to_value(&output.data).unwrap(), json!({"a": "1"}));
        assert_eq!((output.metrics[0].value, output.summary_cut, output.notes.len()), (1.0, true, 3));
        assert!(output.notes.iter().all(|note| note.message.contains("5000000")), "{:?}", output.notes);
        let torn = Output::of(Parts { summary: Some(File { bytes: b"a\xc3".to_vec(), size: 9 }), ..Parts::default() });
        assert_eq!((torn.summary.as_deref(), torn.notes.len()), (Some("a"), 1), "half a character is no fault");
    }

    #[test]
    fn many_series_with_long_tags_are_bounded_together() {
        let tags: String = (0..20).map(|n| format!(",t{n}={}", "v".repeat(250))).collect();
        let fields: Vec<String> = (0..500).map(|n| format!("f{n}=1")).collect();
        let output = Output::of(Parts { metrics: file(format!("m{tags} {}\n", fields.join(","))), ..Parts::default() });
        assert!(output.metrics.len() > 50 && output.metrics.len() < 200, "{}", output.metrics.len());
        assert!(output.notes[0].message.ends_with("bytes"), "{:?}", output.notes);
        assert_eq!(output.validate(), Ok(()));
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_its_place() {
        let metric = Metric { measurement: "m".into(), tags: BTreeMap::new(), field: "f".into(), value: 1.0 };
        let with = |change: fn(&mut Output)| {
            let mut output = Output { metrics: vec![metric.clone()], ..Output::default() };
            change(&mut output);
            output.validate().unwrap_err().errors[0].pointer.clone()
        };
        assert_eq!(with(|o| drop(o.data.insert("a/b".into(), json!(1)))), "/data/a~1b");
        assert_eq!(with(|o| drop(o.data.insert("a".into(), json!({"x": ["\0"]})))), "/data/a");
        assert_eq!(with(|o| drop(o.data.insert("a".into(), json!("x".repeat(MAX_OUTPUT_BYTES))))), "/data");
        assert_eq!(with(|o| o.data = (0..=MAX_KEYS).map(|n| (format!("k{n}"), json!(n))).collect()), "/data");
        assert_eq!(with(|o| o.metrics[0].value = f64::NAN), "/metrics/0/value");
        assert_eq!(with(|o| o.metrics[0].field = "\n".into()), "/metrics/0");
        assert_eq!(with(|o| o.metrics.push(o.metrics[0].clone())), "/metrics/1");
        assert_eq!(with(|o| o.summary = Some("\0".into())), "/summary");
        assert_eq!(with(|o| o.summary = Some("x".repeat(MAX_SUMMARY_BYTES + 1))), "/summary");
        let note = |message: String| vec![OutputNote { source: None, message, line: None }];
        let long = Output { notes: note("x".repeat(2000)), ..Output::default() };
        assert_eq!(long.validate().unwrap_err().errors[0].pointer, "/notes/0/message");
    }

    proptest! {
        #[test]
        fn whatever_was_written_can_be_handed_over(
            output in proptest::collection::vec(any::<u8>(), 0..200),
            metrics in "[a-c,= 0-9\n]{0,80}",
            summary in proptest::collection::vec(any::<u8>(), 0..50),
            stdout in proptest::collection::vec(prop_oneof![Just(0x1cu8), Just(0x1e), Just(b':'), any::<u8>()], 0..80),
            size in 0u64..400,
        ) {
            let mut parser = RecordParser::new();
            parser.push(&stdout);
            let some = |bytes: Vec<u8>| Some(File { size: size.max(bytes.len() as u64), bytes });
            let parts = Parts {
                output: some(output),
                metrics: some(metrics.into_bytes()),
                summary: some(summary),
                stdout: parser.finish(),
                ..Parts::default()
            };
            let output = Output::of(parts);
            prop_assert_eq!(output.validate(), Ok(()));
            let json = serde_json::to_string(&output).unwrap();
            prop_assert!(serde_json::from_str::<Output>(&json).is_ok());
        }
    }
}
