//! Groups failures that are the same although their texts differ: a fingerprint of the normalised message and trace.
//!
//! Kept are the type of the error, the first lines of its message and the frames nearest to the fault, with numbers, ids,
//! times, addresses, temporary paths ([`super::mask`]), colours, line numbers and the folders of absolute paths taken out.
//! The fingerprint is SHA-256 over that text and a version, so it is the same on every machine and in every release that
//! keeps [`VERSION`]; the text itself is kept with it, so that a group can be explained. The idea is that of the issue
//! grouping of error trackers (Sentry's "fingerprint" and "stack trace parameterization").

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use regex::Regex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::history::Moment;
use super::mask::{Extent, Masker};
use crate::ids::RunId;

/// Changes whenever the normalisation does, so that fingerprints of different rules never meet.
pub const VERSION: &str = "tstr-fingerprint-1";
/// How many lines of a message count.
pub const MAX_MESSAGE_LINES: usize = 8;
/// How many frames count.
pub const MAX_FRAMES: usize = 5;
/// How many characters of a line count.
pub const MAX_LINE: usize = 300;
/// How many bytes of a message, and of a trace, are looked at.
pub const MAX_TEXT: usize = 64 * 1024;
/// How many characters an example has at most.
pub const MAX_EXAMPLE: usize = 2000;

/// Names failures that are the same: 128 bits, written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint(pub [u8; 16]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("'{text}' is no fingerprint: 32 hexadecimal digits are");
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(fault());
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| fault())?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What a report says of a failure; any of it may be empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FailureText<'t> {
    /// The type of the error, `AssertionError` say.
    pub kind: &'t str,
    /// The message.
    pub message: &'t str,
    /// The stack trace, or all that was written about the failure.
    pub trace: &'t str,
}

/// A fingerprint and the text that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// The fingerprint.
    pub fingerprint: Fingerprint,
    /// The normalised text: the kind, the message, and the frames, each on its line.
    pub normal: String,
}

/// Takes fingerprints.
#[derive(Debug, Clone)]
pub struct Fingerprinter {
    masker: Masker,
    colour: Regex,
    frame: Regex,
    python_frame: Regex,
    folders: Regex,
}

impl Default for Fingerprinter {
    fn default() -> Self {
        Self::new()
    }
}

impl Fingerprinter {
    /// Makes one. It compiles regular expressions, so keep it.
    pub fn new() -> Self {
        let compile = |pattern: &str| Regex::new(pattern).expect("the patterns are fixed, and tests compile them");
        Self {
            masker: Masker::new(Extent::Numbers),
            colour: compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])"),
            // Java and JavaScript (`at f (x.js:1:2)`), Go (`\t/x.go:1 +0x1`), Rust (`1: f`, `at src/x.rs:1:2`), gdb
            // (`#0 f`), and `x.ext:1:` at the beginning of a line as compilers and pytest write it.
            frame: compile(
                r"^\s*(?:at \S|[0-9]+: +(?:0x\S+ - )?[\w<]|#[0-9]+ +\S|\S+\.(?:go|rs|py|rb|c|cc|cpp|h|hpp|js|ts|java|kt):[0-9]+)",
            ),
            python_frame: compile(r#"^\s*File ".+", line [0-9]+"#),
            folders: compile(r#"(?:[A-Za-z]:)?[/\\](?:[^\s/\\:"'()<>]+[/\\])+"#),
        }
    }

    /// Takes the fingerprint of a failure. The time is linear in what is looked at, which is limited.
    pub fn print(&self, failure: &FailureText<'_>) -> Printed {
        let message = self.colour.replace_all(cut(failure.message, MAX_TEXT), "");
        let trace = self.colour.replace_all(cut(failure.trace, MAX_TEXT), "");
        let is_frame = |line: &&str| self.frame.is_match(line) || self.python_frame.is_match(line);
        // Without a message its place is taken by what the trace has beside its frames.
        let told = if message.trim().is_empty() { &trace } else { &message };
        let said = told.lines().filter(|line| !line.trim().is_empty() && !is_frame(line));
        let frames: Vec<&str> = trace.lines().filter(is_frame).collect();
        // Python tells the innermost call last, all others first.
        let innermost_last = frames.iter().any(|line| self.python_frame.is_match(line));
        let from = if innermost_last { frames.len().saturating_sub(MAX_FRAMES) } else { 0 };
        let mut normal = self.normal_line(failure.kind);
        for line in said.take(MAX_MESSAGE_LINES) {
            normal.push('\n');
            normal.push_str(&self.normal_line(line));
        }
        for frame in frames.iter().skip(from).take(MAX_FRAMES) {
            normal.push_str("\n  ");
            normal.push_str(&self.normal_line(&self.folders.replace_all(frame, "")));
        }
        let digest = Sha256::digest(format!("{VERSION}\0{normal}").as_bytes());
        let mut fingerprint = [0u8; 16];
        fingerprint.copy_from_slice(&digest[..16]);
        Printed { fingerprint: Fingerprint(fingerprint), normal }
    }

    /// Masks a line and makes every gap in it one space.
    fn normal_line(&self, line: &str) -> String {
        let masked = self.masker.mask(cut(line, 4 * MAX_LINE));
        let words = masked.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(" ").chars().take(MAX_LINE).collect()
    }
}

/// Returns the beginning of a text, of at most so many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A failure of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed<'t> {
    /// The run.
    pub moment: Moment,
    /// What was said.
    pub text: FailureText<'t>,
}

/// Failures that are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Their fingerprint.
    pub fingerprint: Fingerprint,
    /// The normalised text.
    pub normal: String,
    /// The message of the earliest, or its trace, as it was; at most [`MAX_EXAMPLE`] characters.
    pub example: String,
    /// The earliest run.
    pub first: Moment,
    /// The latest run.
    pub last: Moment,
    /// How many failures there are.
    pub failures: u64,
    /// The runs.
    pub runs: BTreeSet<RunId>,
}

/// Groups failures, given in any order: the group with the most runs first, then the latest.
pub fn group<'t>(printer: &Fingerprinter, failures: impl IntoIterator<Item = Failed<'t>>) -> Vec<Group> {
    let mut groups: BTreeMap<Fingerprint, Group> = BTreeMap::new();
    for Failed { moment, text } in failures {
        let Printed { fingerprint, normal } = printer.print(&text);
        let example = || {
            let told = if text.message.trim().is_empty() { text.trace } else { text.message };
            told.chars().take(MAX_EXAMPLE).collect::<String>()
        };
        let group = groups.entry(fingerprint).or_insert_with(|| Group {
            fingerprint,
            normal,
            example: example(),
            first: moment,
            last: moment,
            failures: 0,
            runs: BTreeSet::new(),
        });
        if moment < group.first {
            (group.first, group.example) = (moment, example());
        }
        group.last = group.last.max(moment);
        group.failures = group.failures.saturating_add(1);
        group.runs.insert(moment.run_id);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by(|one, other| {
        let key = |group: &Group| (group.runs.len(), group.last, group.fingerprint);
        key(other).cmp(&key(one))
    });
    groups
}

#[cfg(test)]
mod tests;
