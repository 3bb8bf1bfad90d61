//! TAP, the Test Anything Protocol, versions 13 and 14, to be read from a standard output.
//!
//! - A subtest (indented by four spaces) is a suite; its name is that of its `# Subtest` comment, or that of the line
//!   with a brace, or the number that the test point behind it will have. That test point only sums the subtest up, and
//!   is a case of its own only where it says more: it failed and nothing in it did, or there was nothing in it.
//! - `# SKIP` is a skip. A test point with `# TODO` that fails is a skip as well, with a note.
//! - A plan that does not fit and `Bail out!` are errors of the report.
//! - A time behind the description (`in 12ms`, `# time=12ms`) is the duration, and no part of the name. So is
//!   `duration_ms` in a YAML block.
//! - Comments behind a test point that failed are its text, together with its YAML block.
//! - A place in a YAML block (`at`, `location`) is never part of the identity: only tests that fail have one.
//! - Lines that are no TAP are counted, and not kept.

mod line;
mod reader;
mod writer;
mod yaml;

use std::io::{self, BufRead};

pub use writer::TapWriter;

use super::intake::Intake;
use super::limits::MAX_LINE;
use super::note::NoteCode;
use super::source::{Everything, Remark, Source};
use super::{Format, ReadOptions, Report, Sink};
use line::Line;
use reader::Reader;

/// Reads a report in TAP. Fails only when `input` does.
pub fn read(input: impl BufRead, options: &ReadOptions, sink: &mut Sink<'_>) -> io::Result<Report> {
    let mut source = Source::new(input, Everything, options.limits.file_bytes, false);
    let mut reader = Reader::new(Intake::new(Format::Tap, options, sink));
    let mut line = Vec::new();
    while reader.wants_more() {
        let at = source.position();
        let cut = match next_line(&mut source, &mut line) {
            Ok(Some(cut)) => cut,
            Ok(None) => break,
            Err(error) => return Err(source.take_failure().unwrap_or(error)),
        };
        if cut > 0 {
            reader.intake.note(NoteCode::Cut, format!("a line is too long: {cut} bytes of it are not read"), Some(at));
        }
        let valid = std::str::from_utf8(&line).unwrap_or_else(|error| {
            // Only where a line was cut inside of a character.
            std::str::from_utf8(&line[..error.valid_up_to()]).unwrap_or("")
        });
        reader.line(valid, at);
    }
    let at = source.position();
    if !reader.intake.is_stopped() {
        source.drain()?;
    }
    let remarks = source.remarks();
    reader.intake.remarks(&remarks);
    Ok(reader.finish(at, remarks.contains(&Remark::TooLarge)))
}

/// Tells whether a line is one that only TAP has.
pub(super) fn is_line(line: &str) -> bool {
    match Line::parse(line, true) {
        Line::Version(_) | Line::Plan { .. } | Line::Point(_) | Line::BailOut(_) => true,
        Line::Subtest(_) | Line::Comment(_) | Line::Pragma | Line::BraceEnd | Line::Other => false,
    }
}

/// Reads a line without its end into `line`; returns how many bytes of it were too many, or nothing at the end.
fn next_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<u64>> {
    line.clear();
    let (mut cut, mut is_begun) = (0, false);
    loop {
        let available = source.fill_buf()?;
        if available.is_empty() {
            return Ok(is_begun.then_some(cut));
        }
        is_begun = true;
        let end = available.iter().position(|&b| b == b'\n');
        let piece = &available[..end.unwrap_or(available.len())];
        let kept = piece.len().min(MAX_LINE - line.len());
        line.extend_from_slice(&piece[..kept]);
        cut += (piece.len() - kept) as u64;
        let used = piece.len() + usize::from(end.is_some());
        source.consume(used);
        if end.is_some() {
            return Ok(Some(cut));
        }
    }
}
