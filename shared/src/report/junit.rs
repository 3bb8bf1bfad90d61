//! JUnit XML, which has no specification, and is written by every framework in a dialect of its own.
//!
//! The reader takes `testsuites` or a bare `testsuite` as root, suites inside of suites, and cases anywhere; what is a
//! retry in Surefire's and nextest's words (`flakyFailure`, `rerunError`, …) becomes an attempt. Its rules:
//!
//! - Elements and attributes that are not known are noted, and what stands inside of unknown elements is read.
//! - A case without a child passed, unless its `status` or `result` says otherwise (googletest's `notrun` is skipped
//!   and disabled). Children win over attributes; an error wins over a failure, a failure over a skip
//!   — but where a skip of the type `todo` stands beside a failure, the failure does not count.
//! - Attributes of a case that have no place in [`Case`](super::Case) become properties `@NAME`.
//! - A file without a case element (`testcase@file`) has that of the nearest suite with one.
//! - Tags that do not match are matched as well as they can be; a case that is open when the file ends is an error.

mod builders;
mod elements;
mod reader;
mod writer;

use std::io::{self, BufRead};

use quick_xml::events::Event as Xml;

pub use writer::JunitWriter;

use super::intake::Intake;
use super::note::NoteCode;
use super::source::xml::XmlFilter;
use super::source::{Remark, Source};
use super::{Format, ReadOptions, Report, Sink};
use reader::Reader;

/// Reads a report in JUnit XML. Fails only when `input` does.
pub fn read(input: impl BufRead, options: &ReadOptions, sink: &mut Sink<'_>) -> io::Result<Report> {
    let source = Source::new(input, XmlFilter::new(), options.limits.file_bytes, true);
    let mut xml = quick_xml::Reader::from_reader(source);
    let config = xml.config_mut();
    config.check_end_names = false;
    config.allow_unmatched_ends = true;
    config.allow_dangling_amp = true;

    let mut reader = Reader::new(Intake::new(Format::Junit, options, sink));
    let mut buffer = Vec::new();
    let mut broken = None;
    while reader.wants_more() {
        buffer.clear();
        // What is left out before the next tag is passed first, so that the place is that of the tag.
        if let Err(error) = xml.get_mut().fill_buf() {
            return Err(xml.get_mut().take_failure().unwrap_or(error));
        }
        let at = xml.get_ref().position();
        let event = xml.read_event_into(&mut buffer);
        let cut = xml.get_mut().take_cut();
        match event {
            Ok(Xml::Start(tag)) => {
                reader.open(&tag, cut, at);
            }
            Ok(Xml::Empty(tag)) => {
                if reader.open(&tag, cut, at) {
                    reader.close_last(at);
                }
            }
            Ok(Xml::End(tag)) => reader.close(tag.local_name().as_ref(), at),
            Ok(Xml::Text(text)) => reader.text(&text.into_inner(), cut, at),
            Ok(Xml::CData(text)) => reader.text(&text.into_inner(), cut, at),
            Ok(Xml::GeneralRef(name)) => reader.reference(&name.into_inner(), cut, at),
            Ok(Xml::Comment(_) | Xml::Decl(_) | Xml::PI(_) | Xml::DocType(_)) => {}
            Ok(Xml::Eof) => break,
            Err(error) => {
                broken = Some(error.to_string());
                break;
            }
        }
    }
    let source = xml.get_mut();
    if let Some(failure) = source.take_failure() {
        return Err(failure);
    }
    let at = source.position();
    let at_end = source.fill_buf()?.is_empty() && !source.filter().is_broken();
    if !reader.intake.is_stopped() {
        source.drain()?;
    }
    let remarks = source.remarks();
    if source.filter().has_doctype() {
        reader.intake.note(NoteCode::Doctype, "the document type declaration is not read, nor are its entities", None);
    }
    let is_cut = remarks.contains(&Remark::TooLarge);
    reader.intake.remarks(&remarks);
    if let Some(error) = &broken
        && !(is_cut && at_end)
    {
        let code = if at_end { NoteCode::Truncated } else { NoteCode::Malformed };
        reader.intake.note(code, error, Some(at));
    }
    Ok(reader.finish(at, is_cut || broken.is_some()))
}
