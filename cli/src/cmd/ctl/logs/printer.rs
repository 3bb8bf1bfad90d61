//! How the entries of a log are written: as bytes, as lines, or as what the API answered.

use std::collections::VecDeque;

use base64::Engine;
use chrono::{DateTime, SecondsFormat, Utc};
use tstr_shared::logs::LogEntry;

use crate::exit::{Exit, Failure, Outcome};
use crate::output::plain::Filter;
use crate::output::{json_line, yaml};

/// A line that grows beyond this is written in parts.
const MAX_PENDING: usize = 1 << 20;

/// What is written of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Its bytes.
    Bytes,
    /// Whole lines, each of one stream.
    Lines {
        /// Each with its time before it.
        stamps: bool,
    },
    /// An array of entries.
    Json,
    /// An entry a line.
    JsonLines,
    /// A list of entries.
    Yaml,
}

/// The part of a line that has come, of one stream.
#[derive(Debug, Default)]
struct Pending {
    since: Option<DateTime<Utc>>,
    bytes: Vec<u8>,
}

/// Turns entries into what is written.
#[derive(Debug)]
pub struct Printer {
    form: Form,
    filters: Option<[Filter; 2]>,
    pending: [Pending; 2],
    /// While the log so far is read: how many pieces are kept, and those.
    tail: Option<(usize, VecDeque<Vec<u8>>)>,
    since: Option<DateTime<Utc>>,
    entries: usize,
}

impl Printer {
    /// Makes a printer; `filter` takes control sequences out and tells whether colours stay.
    pub fn new(form: Form, filter: Option<bool>, tail: Option<usize>, since: Option<DateTime<Utc>>) -> Self {
        let filters = filter.map(|colours| [Filter::new(colours), Filter::new(colours)]);
        let tail = tail.map(|count| (count, VecDeque::new()));
        Self { form, filters, pending: Default::default(), tail, since, entries: 0 }
    }

    /// Tells whether pieces are kept back because only the last ones are wanted.
    pub fn is_catching_up(&self) -> bool {
        self.tail.is_some()
    }

    /// Tells whether people read what is written.
    pub fn is_for_people(&self) -> bool {
        matches!(self.form, Form::Bytes | Form::Lines { .. })
    }

    /// Takes an entry and returns what is to be written now.
    pub fn take(&mut self, entry: &LogEntry) -> Outcome<Vec<u8>> {
        if self.since.is_some_and(|since| entry.time < since) {
            return Ok(Vec::new());
        }
        let pieces = match self.form {
            Form::Bytes => vec![self.filtered(entry)?],
            Form::Lines { stamps } => {
                let bytes = self.filtered(entry)?;
                self.lines(entry, &bytes, stamps)
            }
            Form::Json | Form::JsonLines | Form::Yaml => {
                let value = serde_json::to_value(entry).unwrap_or_default();
                vec![
                    match self.form {
                        Form::Yaml => yaml(&serde_json::Value::Array(vec![value]))?,
                        _ => json_line(&value),
                    }
                    .into_bytes(),
                ]
            }
        };
        Ok(self.pass(pieces))
    }

    /// Returns what was kept back, now that the log so far has been read.
    pub fn caught_up(&mut self) -> Vec<u8> {
        let kept = self.tail.take().map(|(_, kept)| kept).unwrap_or_default();
        self.pass(kept.into())
    }

    /// Ends the log: returns what is still to be written.
    pub fn end(&mut self) -> Outcome<Vec<u8>> {
        let mut pieces = Vec::new();
        for index in 0..2 {
            let held = self.filters.as_mut().map(|filters| filters[index].finish()).unwrap_or_default();
            match self.form {
                Form::Lines { stamps } => {
                    let pending = std::mem::take(&mut self.pending[index]);
                    let line = [pending.bytes, held.into_bytes()].concat();
                    if !line.is_empty() {
                        pieces.push(stamped(pending.since, &line, stamps, true));
                    }
                }
                Form::Bytes => pieces.push(held.into_bytes()),
                Form::Json | Form::JsonLines | Form::Yaml => {}
            }
        }
        pieces.retain(|piece| !piece.is_empty());
        let mut shown = self.pass(pieces);
        shown.extend_from_slice(&self.caught_up());
        match self.form {
            Form::Json if self.entries == 0 => shown.extend_from_slice(b"[]\n"),
            Form::Json => shown.extend_from_slice(b"]\n"),
            Form::Yaml if self.entries == 0 => shown.extend_from_slice(b"[]\n"),
            Form::Yaml | Form::Bytes | Form::Lines { .. } | Form::JsonLines => {}
        }
        Ok(shown)
    }

    /// Keeps pieces back while only the last ones are wanted; else joins them.
    fn pass(&mut self, pieces: Vec<Vec<u8>>) -> Vec<u8> {
        if let Some((count, kept)) = &mut self.tail {
            kept.extend(pieces);
            while kept.len() > *count {
                kept.pop_front();
            }
            return Vec::new();
        }
        let mut joined = Vec::new();
        for piece in pieces {
            if self.form == Form::Json {
                joined.push(if self.entries == 0 { b'[' } else { b',' });
            }
            self.entries += 1;
            joined.extend_from_slice(&piece);
        }
        joined
    }

    fn filtered(&mut self, entry: &LogEntry) -> Outcome<Vec<u8>> {
        let bytes = match (&entry.data, &entry.data_base64) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (None, Some(text)) => base64::prelude::BASE64_STANDARD
                .decode(text)
                .map_err(|error| Failure::new(Exit::Error, format!("entry {} is not base64: {error}", entry.seq)))?,
            (None, None) => Vec::new(),
        };
        Ok(match &mut self.filters {
            Some(filters) => filters[entry.stream.index()].feed(&bytes).into_bytes(),
            None => bytes,
        })
    }

    /// Returns the lines that an entry completes.
    fn lines(&mut self, entry: &LogEntry, bytes: &[u8], stamps: bool) -> Vec<Vec<u8>> {
        let pending = &mut self.pending[entry.stream.index()];
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let since = *pending.since.get_or_insert(entry.time);
            pending.bytes.extend_from_slice(part);
            if part.ends_with(b"\n") || pending.bytes.len() > MAX_PENDING {
                lines.push(stamped(Some(since), &pending.bytes, stamps, false));
                *pending = Pending::default();
            }
        }
        lines
    }
}

/// Puts the time before a line. A last line without an end stays without one, unless it has a time.
fn stamped(since: Option<DateTime<Utc>>, line: &[u8], stamps: bool, is_last: bool) -> Vec<u8> {
    let mut shown = Vec::new();
    if stamps {
        let since = since.map(|since| since.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default();
        shown.extend_from_slice(since.as_bytes());
        shown.push(b' ');
    }
    shown.extend_from_slice(line);
    if stamps && is_last {
        shown.push(b'\n');
    }
    shown
}

#[cfg(test)]
mod tests {
    use tstr_shared::logs::Stream;

    use super::*;

    fn entry(seq: u32, stream: Stream, data: &str) -> LogEntry {
        let time = "2026-03-01T10:00:00Z".parse::<DateTime<Utc>>().unwrap() + chrono::Duration::seconds(i64::from(seq));
        LogEntry { seq, time, stream, cut_bytes: None, data: Some(data.to_owned()), data_base64: None }
    }

    fn print(mut printer: Printer, entries: &[LogEntry]) -> String {
        let mut shown = Vec::new();
        for entry in entries {
            shown.extend(printer.take(entry).unwrap());
        }
        shown.extend(printer.end().unwrap());
        String::from_utf8(shown).unwrap()
    }

    fn mixed() -> Vec<LogEntry> {
        use Stream::{Stderr, Stdout};
        vec![
            entry(0, Stdout, "one\ntw"),
            entry(1, Stderr, "err\n"),
            entry(2, Stdout, "o\nthree\n"),
            entry(3, Stderr, "end"),
        ]
    }

    #[test]
    fn bytes_come_in_the_order_of_arrival() {
        assert_eq!(print(Printer::new(Form::Bytes, None, None, None), &mixed()), "one\ntwerr\no\nthree\nend");
    }

    #[test]
    fn bytes_that_are_no_text_stay_as_they_are() {
        let mut printer = Printer::new(Form::Bytes, None, None, None);
        let binary = LogEntry { data: None, data_base64: Some("/wD+".into()), ..entry(0, Stream::Stdout, "") };
        assert_eq!(printer.take(&binary).unwrap(), [0xff, 0, 0xfe]);
        let broken = LogEntry { data_base64: Some("!".into()), ..binary };
        assert!(printer.take(&broken).is_err());
    }

    #[test]
    fn lines_are_whole_and_have_the_time_of_their_beginning() {
        let expected = "2026-03-01T10:00:00.000Z one\n2026-03-01T10:00:01.000Z err\n2026-03-01T10:00:00.000Z two\n\
                        2026-03-01T10:00:02.000Z three\n2026-03-01T10:00:03.000Z end\n";
        assert_eq!(print(Printer::new(Form::Lines { stamps: true }, None, None, None), &mixed()), expected);
        assert_eq!(
            print(Printer::new(Form::Lines { stamps: false }, None, None, None), &mixed()),
            "one\nerr\ntwo\nthree\nend"
        );
    }

    #[test]
    fn the_tail_is_the_last_lines_and_then_all_that_follows() {
        let lines = Form::Lines { stamps: false };
        assert_eq!(print(Printer::new(lines, None, Some(2), None), &mixed()), "three\nend");
        assert_eq!(print(Printer::new(lines, None, Some(0), None), &mixed()), "");
        let mut printer = Printer::new(lines, None, Some(1), None);
        assert!(printer.is_catching_up());
        assert!(mixed().iter().all(|entry| printer.take(entry).unwrap().is_empty()));
        assert_eq!(printer.caught_up(), b"three\n");
        assert_eq!(printer.take(&entry(4, Stream::Stderr, " of it\n")).unwrap(), b"end of it\n");
        assert_eq!(print(Printer::new(Form::JsonLines, None, Some(1), None), &mixed()).lines().count(), 1);
    }

    #[test]
    fn what_is_older_is_left_out() {
        let since = Some(mixed()[2].time);
        assert_eq!(print(Printer::new(Form::Bytes, None, None, since), &mixed()), "o\nthree\nend");
    }

    #[test]
    fn programs_get_entries() {
        let json = print(Printer::new(Form::Json, None, None, None), &mixed());
        assert_eq!(serde_json::from_str::<Vec<LogEntry>>(&json).unwrap(), mixed());
        let lines = print(Printer::new(Form::JsonLines, None, None, None), &mixed());
        assert_eq!(
            lines.lines().map(|line| serde_json::from_str::<LogEntry>(line).unwrap()).collect::<Vec<_>>(),
            mixed()
        );
        let yaml = print(Printer::new(Form::Yaml, None, None, None), &mixed());
        assert_eq!(serde_saphyr::from_str::<Vec<LogEntry>>(&yaml).unwrap(), mixed());
        assert_eq!(print(Printer::new(Form::Json, None, None, None), &[]), "[]\n");
    }

    #[test]
    fn on_a_terminal_each_stream_is_filtered_by_itself() {
        let entries = [
            entry(0, Stream::Stdout, "a\x1b]0;ti"),
            entry(1, Stream::Stderr, "err\x1b[2J"),
            entry(2, Stream::Stdout, "tle\x07b\x1b[31m"),
        ];
        assert_eq!(print(Printer::new(Form::Bytes, Some(true), None, None), &entries), "aerrb\x1b[31m\x1b[0m");
        assert_eq!(print(Printer::new(Form::Bytes, None, None, None), &entries[1..2]), "err\x1b[2J");
    }
}
