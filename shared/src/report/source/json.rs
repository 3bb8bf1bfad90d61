//! Keeps JSON in pieces that a parser can buffer, and mends what JavaScript writes and Rust refuses.
//!
//! A parser buffers a whole string, and refuses a file for half a surrogate pair in one of its names. What is longer
//! than allowed is taken out of a string's end here, never inside of an escape, and half a pair becomes U+FFFD.

use super::{Filter, Filtered, keep_up_to};
use crate::report::limits::{MAX_DEPTH, MAX_TOKEN};

/// The most bytes of a number.
const MAX_NUMBER: usize = 400;

pub(in crate::report) struct JsonFilter {
    state: State,
    limit: usize,
    /// How long the string or number is so far.
    length: usize,
    /// How many arrays and objects are open.
    depth: usize,
}

enum State {
    Outside,
    String,
    /// Inside of a string, with an escape that is not complete, or is the first half of a pair.
    Escape(Vec<u8>),
    /// Behind what is nested too deep: nothing passes any more.
    TooDeep,
}

impl JsonFilter {
    pub(in crate::report) fn new() -> Self {
        Self::with_limit(MAX_TOKEN)
    }

    fn with_limit(limit: usize) -> Self {
        Self { state: State::Outside, limit, length: 0, depth: 0 }
    }

    /// Tells whether values are nested deeper than allowed. The parser was told by what is no JSON.
    pub(in crate::report) fn is_too_deep(&self) -> bool {
        matches!(self.state, State::TooDeep)
    }

    fn step(&mut self, bytes: &[u8], out: &mut Filtered) -> usize {
        match &mut self.state {
            State::Outside => {
                let mut kept = 0;
                for (at, &byte) in bytes.iter().enumerate() {
                    if byte == b'"' {
                        out.keep(&bytes[kept..=at]);
                        (self.state, self.length) = (State::String, 0);
                        return at + 1;
                    }
                    match byte {
                        b'[' | b'{' => self.depth += 1,
                        b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                        _ => {}
                    }
                    if self.depth > MAX_DEPTH {
                        out.keep(&bytes[kept..at]);
                        out.add(b"!");
                        self.state = State::TooDeep;
                        return at;
                    }
                    self.length = if byte.is_ascii_digit() { self.length + 1 } else { 0 };
                    if self.length > MAX_NUMBER {
                        out.keep(&bytes[kept..at]);
                        out.cut(&bytes[at..=at]);
                        kept = at + 1;
                    }
                }
                out.keep(&bytes[kept..]);
                bytes.len()
            }
            State::String => {
                let end = bytes.iter().position(|b| matches!(b, b'"' | b'\\')).unwrap_or(bytes.len());
                keep_up_to(&bytes[..end], &mut self.length, self.limit, out);
                match bytes.get(end) {
                    Some(b'"') => {
                        out.keep(b"\"");
                        (self.state, self.length) = (State::Outside, 0);
                        end + 1
                    }
                    Some(_) => {
                        self.state = State::Escape(vec![b'\\']);
                        end + 1
                    }
                    None => end,
                }
            }
            State::TooDeep => {
                out.skip(bytes);
                bytes.len()
            }
            State::Escape(seen) => {
                let mut seen = std::mem::take(seen);
                seen.push(bytes[0]);
                self.escape(seen, out)
            }
        }
    }

    /// Takes one more byte of an escape; returns 0 when that byte does not belong to it.
    fn escape(&mut self, mut seen: Vec<u8>, out: &mut Filtered) -> usize {
        self.state = State::String;
        match seen.len() {
            2 if seen[1] != b'u' => self.whole(&seen, out),
            6 => match unit(&seen) {
                Some(0xd800..=0xdbff) => self.state = State::Escape(seen),
                Some(0xdc00..=0xdfff) => self.half(&seen, out),
                _ => self.whole(&seen, out),
            },
            7 if seen[6] != b'\\' => {
                self.half(&seen[..6], out);
                return 0;
            }
            8 if seen[7] != b'u' => {
                self.half(&seen[..6], out);
                self.whole(&seen[6..], out);
            }
            12 => match unit(&seen[6..]) {
                Some(0xdc00..=0xdfff) => self.whole(&seen, out),
                second => {
                    self.half(&seen[..6], out);
                    let second_half = seen.split_off(6);
                    match second {
                        Some(0xd800..=0xdbff) => self.state = State::Escape(second_half),
                        _ => self.whole(&second_half, out),
                    }
                }
            },
            _ => self.state = State::Escape(seen),
        }
        1
    }

    fn whole(&mut self, escape: &[u8], out: &mut Filtered) {
        if self.length < self.limit {
            out.keep(escape);
        } else {
            out.cut(escape);
        }
        self.length += escape.len();
    }

    fn half(&mut self, escape: &[u8], out: &mut Filtered) {
        if self.length < self.limit {
            out.skip(escape);
            out.add(b"\\ufffd");
        } else {
            out.cut(escape);
        }
        self.length += escape.len();
    }
}

/// Returns the number of `\uXXXX`.
fn unit(escape: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(escape.get(2..6)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

impl Filter for JsonFilter {
    fn push(&mut self, text: &str, out: &mut Filtered) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let used = self.step(rest, out);
            rest = &rest[used..];
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read as _};

    use proptest::prelude::*;

    use super::*;
    use crate::report::source::Source;

    fn filter(input: &str, limit: usize) -> String {
        let reader = BufReader::with_capacity(3, input.as_bytes());
        let mut source = Source::new(reader, JsonFilter::with_limit(limit), u64::MAX, false);
        let mut text = String::new();
        source.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn half_a_pair_becomes_a_replacement_and_whole_ones_stay() {
        for (input, output) in [
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\ude00x""#, r#""\ufffdx""#),
            (r#""\ud83d\n""#, r#""\ufffd\n""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\u0041""#, r#""\ufffd\u0041""#),
            (r#""\\ud83d\"" "#, r#""\\ud83d\"" "#),
        ] {
            assert_eq!(filter(input, 100), output, "{input}");
        }
    }

    #[test]
    fn long_strings_and_numbers_are_cut() {
        assert_eq!(filter(r#"{"a":"123456789012","b":1}"#, 5), r#"{"a":"12345","b":1}"#);
        assert_eq!(filter(r#"["1234\n\n\n\"x"]"#, 5), r#"["1234\n"]"#);
        assert_eq!(filter(&"1".repeat(1000), 5).len(), MAX_NUMBER);
    }

    proptest! {
        #[test]
        fn strings_stay_strings(text in "(\\\\u[dD][89c-f]00|\\\\u00e9|\\\\n|[a-zé]){0,20}", limit in 0usize..40) {
            let out = filter(&format!("\"{text}\""), limit);
            prop_assert!(serde_json::from_str::<String>(&out).is_ok(), "{}", out);
        }
    }
}
