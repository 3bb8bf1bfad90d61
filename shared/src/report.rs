//! Test reports: what the test frameworks wrote, read into cases, and cases written as reports again.
//!
//! The readers ([`junit::read`], [`ctrf::read`], [`tap::read`]) take any bytes. They never panic and never fail for
//! what the bytes say: they hand over every case as soon as it is complete ([`Event::Case`]), and say in notes
//! ([`Event::Note`], with line and byte) what was broken, cut, replaced or not understood. Nothing is dropped silently:
//! what is not kept is counted. A file that ends too early gives the cases until there, and an error note.
//!
//! Memory is bounded whatever the file holds ([`limits`]): one case at a time, texts up to a limit, and for each case
//! that was read some tens of bytes, to know it again when it is repeated.
//!
//! What this leaves to others: reading files and storing rows, the meaning of results for a run, flakiness over runs,
//! and cells: a case's identity ([`CaseId`]) does not hold the cell, so that its history can be read per cell and
//! across cells.

mod case;
pub mod ctrf;
mod detect;
mod identity;
mod intake;
pub mod jsonl;
pub mod junit;
pub mod limits;
mod note;
mod number;
mod reconcile;
mod source;
pub mod tap;
#[cfg(test)]
mod tests;
mod text;
mod write;

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

pub use case::{Attachment, Case, CaseAttempt, CaseKey, CaseStatus, Excerpt, Finding, Hint, Property, Repeat, Suite};
pub use detect::{DETECT_BYTES, ReportKind, detect, may_be_report, sniff};
pub use identity::{CaseId, Volatile};
pub use limits::Limits;
pub use note::{Note, NoteCode, NoteLevel, Position};
pub use reconcile::{Counts, Declared, reconcile};
pub use text::clean;
pub use write::{Header, Writer};

use crate::ids::TestId;

/// A format of test reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JUnit XML, in every dialect that is known.
    Junit,
    /// Common Test Report Format, JSON.
    Ctrf,
    /// Test Anything Protocol, version 13 or 14.
    Tap,
    /// One JSON object a line, as [`jsonl`] writes them; for export.
    JsonLines,
}

impl Format {
    /// Returns the word that stands for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Junit => "junit",
            Self::Ctrf => "ctrf",
            Self::Tap => "tap",
            Self::JsonLines => "json_lines",
        }
    }
}

impl std::str::FromStr for Format {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        let all = [Self::Junit, Self::Ctrf, Self::Tap, Self::JsonLines];
        let found = all.into_iter().find(|format| format.word() == word);
        found.ok_or_else(|| format!("'{word}' is none of junit, ctrf, tap, json_lines"))
    }
}

/// What a reader hands over, in the order of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A case is complete.
    Case(Box<Case>),
    /// A suite has ended; its cases came before it.
    Suite(Box<Suite>),
    /// Something was wrong or is not kept.
    Note(Note),
}

/// Takes what a reader hands over; to break stops the reader.
pub type Sink<'a> = dyn FnMut(Event) -> ControlFlow<()> + 'a;

/// How a report is read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// The test whose run wrote the report: part of every case's identity.
    pub test: TestId,
    /// What is left out of the parts of an identity.
    pub volatile: Volatile,
    /// What is read and kept at most.
    pub limits: Limits,
}

impl ReadOptions {
    /// Makes the options for a test without volatile parts and with the usual limits.
    pub fn new(test: TestId) -> Self {
        Self { test, volatile: Volatile::default(), limits: Limits::default() }
    }
}

/// What is known of a report when it was read to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its format.
    pub format: Format,
    /// The name that the report gives itself, if any; part of no identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tool that wrote it, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<String>,
    /// How long all of it took, in milliseconds, as the report says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Key and value of the report as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
    /// The counts that it declares for the whole.
    pub declared: Declared,
    /// The cases that were read and handed over.
    pub counted: Counts,
    /// Suites that were read.
    pub suites: u64,
    /// Cases past [`Limits::cases`]: counted, and not handed over.
    pub cases_over_limit: u64,
    /// It was read to its end, and the end was where it belongs.
    pub complete: bool,
    /// How many notes there are of each code, those that were not handed over because there were too many included.
    pub notes: BTreeMap<NoteCode, u64>,
}

impl Report {
    fn new(format: Format) -> Self {
        Self {
            format,
            name: None,
            producer: None,
            duration_ms: None,
            properties: Vec::new(),
            declared: Declared::default(),
            counted: Counts::default(),
            suites: 0,
            cases_over_limit: 0,
            complete: false,
            notes: BTreeMap::new(),
        }
    }

    /// Tells whether something is wrong with the report as a whole, which no case shows: it is not whole, a suite
    /// failed outside of its cases, or the run was given up. A quarantine must not hide such a thing.
    pub fn has_errors(&self) -> bool {
        !self.complete || self.notes.keys().any(|code| code.level() == NoteLevel::Error)
    }
}

/// Reads a report of any format.
///
/// Fails only when `input` does. [`Format::JsonLines`] is for export, and is refused as not being a report.
pub fn read(format: Format, input: impl BufRead, options: &ReadOptions, sink: &mut Sink<'_>) -> io::Result<Report> {
    match format {
        Format::Junit => junit::read(input, options, sink),
        Format::Ctrf => ctrf::read(input, options, sink),
        Format::Tap => tap::read(input, options, sink),
        Format::JsonLines => {
            let mut intake = intake::Intake::new(Format::JsonLines, options, sink);
            intake.note(NoteCode::NotAReport, "JSON lines are written, and not read as a report", None);
            Ok(intake.finish(false))
        }
    }
}
