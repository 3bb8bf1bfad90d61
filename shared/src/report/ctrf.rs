//! CTRF, the Common Test Report Format: JSON, as version 1.0 of its schema has it, and as older reporters wrote it.
//!
//! `other` is read as an error: something happened that is neither a pass nor a failure. `pending` is a skip, and so is
//! `other` with the `rawStatus` `todo`, as Jest's reporter has it. A test's
//! `testId` is its explicit identity; its older `id` is a property only, because reporters made it up for every run.
//! Fields that are no case's (`steps`, `insights`, `baseline`, `screenshot`, …) are noted and not kept.

mod loose;
mod open_test;
mod reader;
mod writer;

use std::cell::Cell;
use std::io::{self, BufRead, Read};

use serde::de::DeserializeSeed;

pub use writer::CtrfWriter;

use super::intake::Intake;
use super::limits::MAX_DEPTH;
use super::note::{NoteCode, Position};
use super::source::json::JsonFilter;
use super::source::{Filter, Remark, Source};
use super::{Format, ReadOptions, Report, Sink};
use loose::Here;
use reader::{Document, Reading};

/// The version of the specification that is written.
pub const SPEC_VERSION: &str = "1.0.0";

/// Reads a report in CTRF. Fails only when `input` does.
pub fn read(input: impl BufRead, options: &ReadOptions, sink: &mut Sink<'_>) -> io::Result<Report> {
    let mut source = Source::new(input, JsonFilter::new(), options.limits.file_bytes, false);
    let here = Here { at: Cell::new(source.position()), cut: Cell::new(0) };
    let mut reading = Reading::new(Intake::new(Format::Ctrf, options, sink), &here);
    let mut json = serde_json::Deserializer::from_reader(Tracked { source: &mut source, here: &here });
    let outcome = Document(&mut reading).deserialize(&mut json).and_then(|()| json.end());
    drop(json);
    if let Some(failure) = source.take_failure() {
        return Err(failure);
    }
    // The mark of what is too deep is the last that a parser sees; what stands before it was an error of another kind.
    let is_at_end = match source.fill_buf() {
        Ok(bytes) => bytes.is_empty(),
        Err(error) => return Err(source.take_failure().unwrap_or(error)),
    };
    if !reading.intake.is_stopped() {
        source.drain()?;
    }
    let is_too_deep = is_at_end && source.filter().is_too_deep();
    let remarks = source.remarks();
    let is_cut = remarks.contains(&Remark::TooLarge);
    reading.intake.remarks(&remarks);
    if let Err(error) = &outcome
        && !(is_cut && error.is_eof())
        && !reading.intake.is_stopped()
    {
        let (code, message) = match error.classify() {
            _ if is_too_deep => (NoteCode::TooDeep, format!("values are nested deeper than {MAX_DEPTH}")),
            serde_json::error::Category::Eof => (NoteCode::Truncated, error.to_string()),
            _ => (NoteCode::Malformed, error.to_string()),
        };
        reading.intake.note(code, message, Some(here.at.get()));
    }
    Ok(reading.finish(outcome.is_ok() && !is_cut))
}

/// Tells where the parser is.
struct Tracked<'a, R, F> {
    source: &'a mut Source<R, F>,
    here: &'a Here,
}

impl<R: BufRead, F: Filter> Read for Tracked<'_, R, F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.source.fill_buf()?;
        let before = self.source.position();
        let count = self.source.read(into)?;
        // Not the source's own: that may have passed what is left out behind these bytes, or not yet.
        let lines = into[..count].iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.here.at.set(Position { line: before.line + lines, byte: before.byte + count as u64 });
        self.here.cut.set(self.here.cut.get() + self.source.take_cut());
        Ok(count)
    }
}
