//! Records of the original tstr: `key:value` between two bytes and two bytes, anywhere in a stream.
//!
//! ```sh
//! printf "${RECORD_START}requests:12${RECORD_END}"
//! ```
//!
//! The stream comes in chunks that may end anywhere, and has no lines. A value is a text; space around key and value
//! does not count, and the first colon ends the key. A record that is never ended is none, and neither is what stands
//! before another beginning.

use serde_json::Value;

use super::{MAX_OUTPUT_BYTES, ResultData, note, shown};

/// What stands before a record (`RECORD_START`).
pub const RECORD_START: &str = "\x1c\x1e";
/// What stands behind a record (`RECORD_END`).
pub const RECORD_END: &str = "\x1e\x1c";

const FS: u8 = 0x1c;
const RS: u8 = 0x1e;

/// Finds the records of one stream of one attempt.
///
/// Keeps at most [`MAX_OUTPUT_BYTES`]: the record that is open, and what the attempt's records have together.
#[derive(Debug, Default)]
pub struct RecordParser {
    data: ResultData,
    state: State,
    /// The inside of the record that is open.
    record: Vec<u8>,
    /// The record that is open is longer than there is room for.
    is_over: bool,
    /// Bytes of all records that were kept.
    kept: usize,
    is_full: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Outside,
    /// Outside, and FS came last.
    Begins,
    Inside,
    /// Inside, and RS came last.
    Ends,
    /// Inside, and FS came last: another record may begin.
    BeginsAgain,
}

impl RecordParser {
    /// Makes a parser for a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some(&byte) = rest.first() {
            // Outside of records, which is nearly everywhere, only one byte matters.
            if self.state == State::Outside {
                // The standard library looks for a byte in words of the processor, and for a place byte by byte.
                if !rest.contains(&FS) {
                    return;
                }
                let Some(at) = rest.iter().position(|&b| b == FS) else { return };
                rest = &rest[at + 1..];
                self.state = State::Begins;
                continue;
            }
            self.byte(byte);
            rest = &rest[1..];
        }
    }

    fn byte(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (State::Begins, RS) => State::Inside,
            (State::Begins, FS) => State::Begins,
            (State::Outside | State::Begins, _) => State::Outside,
            (State::Ends, FS) => {
                self.end();
                State::Outside
            }
            (State::BeginsAgain, RS) => {
                self.drop_open("another one begins");
                State::Inside
            }
            (State::Ends, RS) => {
                self.keep(RS);
                State::Ends
            }
            (State::BeginsAgain, FS) => {
                self.keep(FS);
                State::BeginsAgain
            }
            (State::Inside, RS) => State::Ends,
            (State::Inside, FS) => State::BeginsAgain,
            (before, _) => {
                match before {
                    State::Ends => self.keep(RS),
                    State::BeginsAgain => self.keep(FS),
                    State::Outside | State::Begins | State::Inside => {}
                }
                self.keep(byte);
                State::Inside
            }
        };
    }

    fn keep(&mut self, byte: u8) {
        if self.record.len() < MAX_OUTPUT_BYTES - self.kept {
            self.record.push(byte);
        } else {
            self.is_over = true;
        }
    }

    fn end(&mut self) {
        let record = std::mem::take(&mut self.record);
        if std::mem::take(&mut self.is_over) {
            if !std::mem::replace(&mut self.is_full, true) {
                let message = format!("records have more than {MAX_OUTPUT_BYTES} bytes: what is too long is not kept");
                note(&mut self.data.notes, message, None);
            }
            return;
        }
        self.kept += record.len();
        let text = String::from_utf8_lossy(&record);
        match text.split_once(':') {
            Some((key, value)) => self.data.put(key.trim(), Value::String(value.trim().to_owned()), None),
            None => note(&mut self.data.notes, format!("the record '{}' is not key:value", shown(&text)), None),
        }
    }

    fn drop_open(&mut self, why: &str) {
        let record = std::mem::take(&mut self.record);
        self.is_over = false;
        let text = String::from_utf8_lossy(&record[..record.len().min(200)]).into_owned();
        note(&mut self.data.notes, format!("the record '{}' is not ended: {why}", shown(&text)), None);
    }

    /// Returns what the stream said when it has ended.
    pub fn finish(mut self) -> ResultData {
        if matches!(self.state, State::Inside | State::Ends | State::BeginsAgain) {
            self.drop_open("the stream ends");
        }
        self.data
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8], piece: usize) -> ResultData {
        let mut parser = RecordParser::new();
        bytes.chunks(piece.max(1)).for_each(|chunk| parser.push(chunk));
        parser.finish()
    }

    fn record(inside: &str) -> String {
        format!("{RECORD_START}{inside}{RECORD_END}")
    }

    #[test]
    fn records_are_found_anywhere() {
        let text = format!("noise {}\nmore{}{}", record("a:1"), record(" b : x:y "), record("a:2\nlines"));
        let data = parse(text.as_bytes(), 7);
        assert_eq!(data.notes, []);
        assert_eq!(serde_json::to_value(data.values).unwrap(), serde_json::json!({"a": "2\nlines", "b": "x:y"}));
    }

    #[test]
    fn single_signs_are_bytes_like_others() {
        let text = format!("\x1c\x1c\x1ea:\x1e\x1e1\x1c2\x1c\x1c3{RECORD_END}");
        assert_eq!(parse(text.as_bytes(), 1).values["a"], "\x1e\x1e1\x1c2\x1c\x1c3");
        assert_eq!(parse(b"\x1c x \x1e\x1c\x1e", 1).notes.len(), 1);
    }

    #[test]
    fn what_is_no_record_is_said() {
        let text = format!("{RECORD_START}a:1{}{}{RECORD_START}open", record("b:2"), record("nothing"));
        let data = parse(text.as_bytes(), 1000);
        assert_eq!((data.values.len(), data.notes.len()), (1, 3), "{data:?}");
    }

    #[test]
    fn records_that_are_too_long_are_said_once_and_others_kept() {
        let big = "x".repeat(MAX_OUTPUT_BYTES);
        let text = format!("{}{}{}", record(&format!("big:{big}")), record("a:1"), record(&format!("big:{big}")));
        let data = parse(text.as_bytes(), 4096);
        assert_eq!((data.values.len(), data.notes.len()), (1, 1));
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(bytes in proptest::collection::vec(prop_oneof![Just(FS), Just(RS), Just(b':'), any::<u8>()], 0..80), piece in 1usize..9) {
            prop_assert_eq!(parse(&bytes, piece), parse(&bytes, 1000));
        }
    }
}
