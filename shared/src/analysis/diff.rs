//! What differs between two runs: their logs, line by line, and their configurations, value by value.
//!
//! Logs are compared after masking times, durations, ids, addresses and temporary paths ([`super::mask`]); what is shown
//! are the lines as they were. The alignment is that of Myers ("An O(ND) Difference Algorithm and Its Variations",
//! Algorithmica 1, 1986) with the bounded search of Git's xdiff, as the crate `similar` has it: its cost is limited by the
//! number of lines and not by a clock, so the answer is the same on every machine, and for hard inputs not always the
//! shortest one. What is compared and what is shown is limited, and the answer says what was cut.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use similar::{Algorithm, DiffOp, DiffTag};

use super::mask::Masker;
use crate::error::pointer_step;
use crate::run::words;

/// How many lines of each log are compared: the first ones.
pub const MAX_LINES: usize = 100_000;

/// How much of a difference is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Equal lines around each change.
    pub context: usize,
    /// Lines in all.
    pub max_lines: usize,
    /// Characters of a line.
    pub max_chars: usize,
}

impl Default for Shown {
    fn default() -> Self {
        Self { context: 3, max_lines: 2000, max_chars: 500 }
    }
}

words!(
    /// What became of a line.
    LineChange {
        /// It is in both logs.
        Same = "same",
        /// It is only in the log before.
        Removed = "removed",
        /// It is only in the log after.
        Added = "added",
    }
);

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiffLine {
    /// What became of it.
    pub change: LineChange,
    /// The line, as it was; one that is in both logs is that of the log after.
    pub text: String,
}

/// A stretch of changes and the equal lines around them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Hunk {
    /// The number of its first line in the log before, from 1.
    pub before_line: u32,
    /// The number of its first line in the log after, from 1.
    pub after_line: u32,
    /// The lines.
    pub lines: Vec<DiffLine>,
}

/// How two logs differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogDiff {
    /// The changes, in order.
    pub hunks: Vec<Hunk>,
    /// Lines in both logs.
    pub same: u32,
    /// Lines only in the log before.
    pub removed: u32,
    /// Lines only in the log after.
    pub added: u32,
    /// Lines of the log before that were not compared.
    pub before_cut: u32,
    /// Lines of the log after that were not compared.
    pub after_cut: u32,
    /// Lines of hunks that are not shown.
    pub hidden: u32,
}

/// Compares two logs.
///
/// The memory is linear in their length. A line ends with `\n`; a `\r` before it does not count.
pub fn logs(before: &str, after: &str, masker: &Masker, shown: &Shown) -> LogDiff {
    let (before, before_cut) = lines(before);
    let (after, after_cut) = lines(after);
    // Equal lines have equal numbers, so that no line is compared twice.
    let mut numbers: HashMap<Cow<'_, str>, u32> = HashMap::new();
    let old = numbered(&before, masker, &mut numbers);
    let new = numbered(&after, masker, &mut numbers);
    let ops = similar::capture_diff_slices(Algorithm::Myers, &old, &new);
    let mut diff = LogDiff { before_cut, after_cut, ..LogDiff::default() };
    for op in &ops {
        let (tag, old, new) = op.as_tag_tuple();
        match tag {
            DiffTag::Equal => diff.same += count(old.len()),
            DiffTag::Delete | DiffTag::Insert | DiffTag::Replace => {
                diff.removed += count(old.len());
                diff.added += count(new.len());
            }
        }
    }
    let mut room = shown.max_lines;
    for ops in similar::group_diff_ops(ops, shown.context) {
        let Some(first) = ops.first() else { continue };
        let mut hunk = Hunk {
            before_line: count(first.old_range().start + 1),
            after_line: count(first.new_range().start + 1),
            lines: Vec::new(),
        };
        for line in ops.iter().flat_map(|op| lines_of(op, &before, &after)) {
            if room == 0 {
                diff.hidden += 1;
                continue;
            }
            room -= 1;
            let (change, text) = line;
            hunk.lines.push(DiffLine { change, text: text.chars().take(shown.max_chars).collect() });
        }
        if !hunk.lines.is_empty() {
            diff.hunks.push(hunk);
        }
    }
    diff
}

fn numbered<'t>(lines: &[&'t str], masker: &Masker, numbers: &mut HashMap<Cow<'t, str>, u32>) -> Vec<u32> {
    let number = |line: &'t str| {
        let next = count(numbers.len());
        *numbers.entry(masker.mask(line)).or_insert(next)
    };
    lines.iter().copied().map(number).collect()
}

/// Returns the lines that are compared and the number of those that are not.
fn lines(text: &str) -> (Vec<&str>, u32) {
    let mut lines = text.lines();
    let compared: Vec<&str> = lines.by_ref().take(MAX_LINES).collect();
    (compared, count(lines.count()))
}

fn lines_of<'t>(op: &DiffOp, before: &[&'t str], after: &[&'t str]) -> Vec<(LineChange, &'t str)> {
    let (tag, old, new) = op.as_tag_tuple();
    let told = |change, lines: &[&'t str]| lines.iter().map(|line| (change, *line)).collect::<Vec<_>>();
    match tag {
        DiffTag::Equal => told(LineChange::Same, &after[new]),
        DiffTag::Delete | DiffTag::Insert | DiffTag::Replace => {
            let mut lines = told(LineChange::Removed, &before[old]);
            lines.extend(told(LineChange::Added, &after[new]));
            lines
        }
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A value of a configuration that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ValueChange {
    /// Where it stands: a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What it was; absent when it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub before: Option<Value>,
    /// What it is; absent when it is not there any more.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub after: Option<Value>,
}

/// Reads what is there, so that `null` is a value and not an absence.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// Compares two JSON documents: the innermost values that changed, in the order of the document before and then of what
/// the one after has beyond it.
///
/// The order of an object's keys does not count. Lists are compared item by item: one that was inserted at the front
/// changes all. Numbers are equal when they are written alike (`1` is not `1.0`). Values may be nested to any depth.
pub fn configs(before: &Value, after: &Value) -> Vec<ValueChange> {
    let mut changes = Vec::new();
    // What is still to be compared, the next one last.
    let mut open = vec![(String::new(), Some(before), Some(after))];
    while let Some((pointer, before, after)) = open.pop() {
        let mut inside: Vec<(String, Option<&Value>, Option<&Value>)> = match (before, after) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => {
                let added = new.keys().filter(|key| !old.contains_key(*key));
                old.keys()
                    .chain(added)
                    .map(|key| (format!("{pointer}/{}", pointer_step(key)), old.get(key), new.get(key)))
                    .collect()
            }
            (Some(Value::Array(old)), Some(Value::Array(new))) => (0..old.len().max(new.len()))
                .map(|index| (format!("{pointer}/{index}"), old.get(index), new.get(index)))
                .collect(),
            (old, new) => {
                if old != new {
                    changes.push(ValueChange { pointer, before: old.cloned(), after: new.cloned() });
                }
                continue;
            }
        };
        inside.reverse();
        open.append(&mut inside);
    }
    changes
}

#[cfg(test)]
mod tests;
