//! Result data: what a test says about itself beside passing and failing.
//!
//! A test writes files (`TSTR_OUTPUT`: [`values`], `TSTR_METRICS`: [`metrics`]) or, in the way of the original tstr,
//! records into its output ([`records`]). The parsers take any bytes, keep what they understand, and say in notes what
//! they do not and what was too much. [`Output`] puts together what an attempt said; attempts are never merged.

mod attempt;
pub mod metrics;
pub mod records;
pub mod values;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::attempt::{
    AttemptOutput, File, MAX_METRICS_BYTES, MAX_SUMMARY_BYTES, METRICS_FILE, Metric, OUTPUT_FILE, Output, Parts,
    SUMMARY_FILE,
};
use crate::run::words;

/// The most bytes of result data of an attempt: keys and values as they were written; what comes later is not read.
pub const MAX_OUTPUT_BYTES: usize = 1 << 20;
/// The most keys of an attempt.
pub const MAX_KEYS: usize = 1000;
/// The longest key.
pub const MAX_KEY: usize = 128;
/// The most notes about one file or stream; the rest is counted in the last one.
pub const MAX_OUTPUT_NOTES: usize = 100;

words!(
    /// Where something of what an attempt said about itself was found.
    OutputSource {
        /// The file of result data, `TSTR_OUTPUT`.
        Output = "output",
        /// The file of metrics, `TSTR_METRICS`.
        Metrics = "metrics",
        /// The summary, `TSTR_SUMMARY`.
        Summary = "summary",
        /// Records in the standard output.
        Stdout = "stdout",
        /// Records in the standard error.
        Stderr = "stderr",
    }
);

/// Something about result data that the one who wrote the test should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OutputNote {
    /// What it is about; absent while only one source is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<OutputSource>,
    /// What was found.
    pub message: String,
    /// The line, from 1; absent where it says nothing, and for records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// The result data of an attempt: typed values under their keys, the last one that was written under each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResultData {
    /// The values.
    pub values: BTreeMap<String, Value>,
    /// What was not understood or not kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<OutputNote>,
}

impl ResultData {
    /// Puts a value under a key, or says why not.
    fn put(&mut self, key: &str, value: Value, line: Option<u64>) {
        if !is_key(key) {
            let message =
                format!("'{}' is no key: a letter or _, then at most 127 letters, digits, _, . and -", shown(key));
            return note(&mut self.notes, message, line);
        }
        if self.values.len() >= MAX_KEYS && !self.values.contains_key(key) {
            return note(
                &mut self.notes,
                format!("'{}' is not kept: there are {MAX_KEYS} keys already", shown(key)),
                line,
            );
        }
        self.values.insert(key.to_owned(), storable(value));
    }
}

/// Tells whether a text is a key: `[A-Za-z_][A-Za-z0-9_.-]{0,127}`.
pub fn is_key(key: &str) -> bool {
    let mut bytes = key.bytes();
    key.len() <= MAX_KEY
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// Returns a value without the one character that PostgreSQL stores in no text.
fn storable(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(values) => Value::Array(values.into_iter().map(storable).collect()),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| (key.replace('\0', "\u{fffd}"), storable(value)));
            Value::Object(fields.collect())
        }
        other => other,
    }
}

/// Returns what is read of a file that may be too long, or cut already: its first lines.
fn whole_lines<'a>(bytes: &'a [u8], size: u64, notes: &mut Vec<OutputNote>) -> &'a [u8] {
    let kept = &bytes[..bytes.len().min(MAX_OUTPUT_BYTES)];
    if kept.len() as u64 >= size {
        return kept;
    }
    let end = kept.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    note(notes, format!("the file has {size} bytes, of which {end} are read: at most {MAX_OUTPUT_BYTES} are"), None);
    &kept[..end]
}

fn note(notes: &mut Vec<OutputNote>, message: impl Into<String>, line: Option<u64>) {
    if notes.len() < MAX_OUTPUT_NOTES {
        notes.push(OutputNote { source: None, message: message.into(), line });
    } else if let Some(last) = notes.last_mut() {
        let before = last.message.strip_prefix("and ").and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
        *last = OutputNote { source: None, message: format!("and {} more notes", before.unwrap_or(1) + 1), line: None };
    }
}

/// Returns the beginning of a text for a note.
fn shown(text: &str) -> String {
    let clean = crate::report::clean(text);
    clean.chars().take(40).map(|c| if c == '\n' || c == '\t' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_words() {
        for key in ["a", "_", "a.b-c_9", &"x".repeat(128)] {
            assert!(is_key(key), "{key}");
        }
        for key in ["", "9a", ".a", "a b", "ä", "a=b", &"x".repeat(129)] {
            assert!(!is_key(key), "{key}");
        }
    }

    #[test]
    fn notes_past_the_limit_are_counted() {
        let mut notes = Vec::new();
        (0..250).for_each(|n| note(&mut notes, format!("note {n}"), Some(n)));
        assert_eq!(notes.len(), MAX_OUTPUT_NOTES);
        assert_eq!(notes.last().unwrap().message, "and 151 more notes");
    }

    #[test]
    fn keys_past_the_limit_are_noted_and_known_ones_still_change() {
        let mut data = ResultData::default();
        (0..=MAX_KEYS).for_each(|n| data.put(&format!("k{n}"), n.into(), None));
        data.put("k0", "new".into(), None);
        assert_eq!((data.values.len(), data.notes.len()), (MAX_KEYS, 1));
        assert_eq!(data.values["k0"], "new");
    }

    #[test]
    fn what_cannot_be_stored_is_replaced() {
        let mut data = ResultData::default();
        data.put("a", serde_json::json!({"b\0": ["\0x"]}), None);
        assert_eq!(data.values["a"], serde_json::json!({"b\u{fffd}": ["\u{fffd}x"]}));
    }
}
