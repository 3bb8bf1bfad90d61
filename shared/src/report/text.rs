//! Texts of reports: without what only a terminal understands, and never longer than allowed.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::case::Excerpt;
use super::limits::MAX_NAME;

const ESCAPE: u8 = 0x1b;
/// How pytest writes an escape into XML.
const WRITTEN_ESCAPE: &[u8] = b"#x1B[";
/// The longest control string (a title, a link) that is taken for one.
const MAX_CONTROL_STRING: usize = 4096;

/// Returns the text without ANSI escape sequences and without characters that XML forbids, with a line feed for every
/// end of a line.
///
/// What is left can be stored in PostgreSQL and written to XML.
pub fn clean(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|&b| is_suspect(b)) {
        return Cow::Borrowed(text);
    }
    let (mut out, mut kept, mut at) = (String::new(), 0, 0);
    while at < bytes.len() {
        if !is_suspect(bytes[at]) {
            at += 1;
            continue;
        }
        let rest = &bytes[at..];
        let (skip, instead) = match rest[0] {
            ESCAPE => (escape_length(rest), ""),
            b'\r' if rest.get(1) == Some(&b'\n') => (1, ""),
            b'\r' => (1, "\n"),
            b'#' => (written_escape_length(rest), ""),
            0xef if rest.starts_with(&[0xef, 0xbf, 0xbe]) || rest.starts_with(&[0xef, 0xbf, 0xbf]) => (3, ""),
            0xef => (0, ""),
            _ => (1, ""),
        };
        if skip == 0 {
            at += 1;
            continue;
        }
        out.push_str(&text[kept..at]);
        out.push_str(instead);
        at += skip;
        kept = at;
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[kept..]);
    Cow::Owned(out)
}

/// Tells whether something may have to be done about a byte: controls, `#`, and the lead byte of U+FFFE and U+FFFF.
fn is_suspect(byte: u8) -> bool {
    matches!(byte, 0..=8 | 11..=31 | b'#' | 0xef)
}

/// Returns how many bytes of an escape sequence stand at the beginning; of what is none, the escape alone.
fn escape_length(bytes: &[u8]) -> usize {
    match bytes.get(1) {
        Some(b'[') => 2 + sequence_length(&bytes[2..], 0x40..=0x7e).unwrap_or(0),
        Some(b']' | b'P' | b'X' | b'^' | b'_') => control_string_length(&bytes[2..]).map_or(1, |length| 2 + length),
        Some(0x20..=0x2f) => sequence_length(&bytes[1..], 0x30..=0x7e).map_or(1, |length| 1 + length),
        Some(0x30..=0x7e) => 2,
        _ => 1,
    }
}

/// Returns the length of parameters and the byte that ends them.
fn sequence_length(bytes: &[u8], last: std::ops::RangeInclusive<u8>) -> Option<usize> {
    let parameters = bytes.iter().take(64).take_while(|b| (0x20..=0x3f).contains(*b) && !last.contains(b)).count();
    bytes.get(parameters).filter(|b| last.contains(b)).map(|_| parameters + 1)
}

/// Returns the length of a string up to and with BEL or ESC `\`.
fn control_string_length(bytes: &[u8]) -> Option<usize> {
    let window = &bytes[..bytes.len().min(MAX_CONTROL_STRING)];
    window.iter().enumerate().find_map(|(at, &byte)| match byte {
        0x07 => Some(at + 1),
        ESCAPE if window.get(at + 1) == Some(&b'\\') => Some(at + 2),
        _ => None,
    })
}

fn written_escape_length(bytes: &[u8]) -> usize {
    let Some(rest) = bytes.strip_prefix(WRITTEN_ESCAPE) else { return 0 };
    let parameters = rest.iter().take_while(|b| b.is_ascii_digit() || **b == b';').count();
    match rest.get(parameters) {
        Some(b) if b.is_ascii_alphabetic() => WRITTEN_ESCAPE.len() + parameters + 1,
        _ => 0,
    }
}

/// Returns the beginning of at most `limit` bytes, and how many bytes come behind it.
pub(super) fn cut(text: &str, limit: usize) -> (&str, usize) {
    let end = text.floor_char_boundary(limit.min(text.len()));
    (&text[..end], text.len() - end)
}

/// Returns a part of a name: clean, without space around it, and when it is too long, cut and with a hash of the whole
/// behind it. Tells whether it was cut.
pub(super) fn name(text: &str) -> (String, bool) {
    let clean = clean(text);
    let text = clean.trim();
    if text.len() <= MAX_NAME {
        return (text.to_owned(), false);
    }
    let mut name = cut(text, MAX_NAME - 20).0.to_owned();
    name.push_str("…#");
    for byte in &Sha256::digest(text.as_bytes())[..8] {
        let _ = write!(name, "{byte:02x}");
    }
    (name, true)
}

/// Returns a text clean and without empty lines before it and space behind it; nothing when nothing is left.
pub(super) fn tidy(text: &str) -> Option<Cow<'_, str>> {
    match clean(text) {
        Cow::Borrowed(text) => Some(trimmed(text)).filter(|text| !text.is_empty()).map(Cow::Borrowed),
        Cow::Owned(text) => Some(trimmed(&text).to_owned()).filter(|text| !text.is_empty()).map(Cow::Owned),
    }
}

fn trimmed(text: &str) -> &str {
    let text = text.trim_end();
    let indent = text.len() - text.trim_start().len();
    let line = text[..indent].rfind('\n').map_or(0, |at| at + 1);
    &text[line..]
}

/// Takes a text in pieces and keeps its beginning.
#[derive(Debug)]
pub(super) struct Gather {
    text: String,
    limit: usize,
    cut: u64,
}

impl Gather {
    pub(super) fn new(limit: usize) -> Self {
        Self { text: String::new(), limit, cut: 0 }
    }

    pub(super) fn push(&mut self, piece: &str) {
        // Once cut, the text does not go on: a small piece behind a gap would look as if it belonged there.
        let room = if self.cut == 0 { self.limit - self.text.len() } else { 0 };
        let (head, rest) = cut(piece, room);
        self.text.push_str(head);
        self.cut += rest as u64;
    }

    /// Counts bytes that were cut out before they came here.
    pub(super) fn skipped(&mut self, bytes: u64) {
        self.cut += bytes;
    }

    /// Adds a line, with a line feed before it where something stands already.
    pub(super) fn push_line(&mut self, line: &str) {
        if !self.text.is_empty() || self.cut > 0 {
            self.push("\n");
        }
        self.push(line);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut > 0
    }

    /// Returns what is kept, tidied; nothing when the text was empty.
    pub(super) fn finish(self) -> Option<Excerpt> {
        match (tidy(&self.text), self.cut) {
            (None, 0) => None,
            (text, cut_bytes) => Some(Excerpt { text: text.unwrap_or_default().into_owned(), cut_bytes }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_understands_is_taken_out() {
        for (text, clean_text) in [
            ("plain", "plain"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b[38;5;12mblue\x1b[K", "blue"),
            ("\x1b]0;title\x07after", "after"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1b(Bplain", "plain"),
            ("\x1bcreset", "reset"),
            ("\x1b", ""),
            ("\x1b[31", "31"),
            ("\x1b]never ended", "]never ended"),
            ("#x1B[1m#x1B[31mE  assert#x1B[0m", "E  assert"),
            ("#x1B[", "#x1B["),
            ("issue #1", "issue #1"),
            ("a\0b\x08c\u{fffe}d\u{ffff}e\u{fffd}f", "abcde\u{fffd}f"),
            ("a\r\nb\rc\td", "a\nb\nc\td"),
        ] {
            assert_eq!(clean(text), clean_text, "{text:?}");
        }
    }

    #[test]
    fn long_names_stay_apart() {
        let long = |end: &str| name(&format!("{}{end}", "é".repeat(2000)));
        let ((one, cut), (two, _)) = (long("1"), long("2"));
        assert!(cut && one != two && one.len() <= MAX_NAME);
        assert_eq!(name(" a\u{1b}[1mb "), ("ab".into(), false));
    }

    #[test]
    fn a_text_keeps_its_beginning_and_counts_the_rest() {
        let mut gather = Gather::new(10);
        ["12345678", "9é", "x"].iter().for_each(|piece| gather.push(piece));
        assert_eq!(gather.finish(), Some(Excerpt { text: "123456789".into(), cut_bytes: 3 }));
        assert_eq!(Gather::new(10).finish(), None);
        assert_eq!(tidy("\n \n  indented\n  more \n ").as_deref(), Some("  indented\n  more"));
        assert_eq!(tidy(" \n\t"), None);
    }

    proptest! {
        #[test]
        fn clean_leaves_nothing_forbidden_and_never_grows(text in "[\u{1b}\\[\\]#x1Bm;0-9\r\n\u{0}-\u{20}a-z\u{fffe}é]{0,40}") {
            let once = clean(&text).into_owned();
            let is_allowed = |c| (c >= ' ' || c == '\n' || c == '\t') && c != char::from_u32(0xfffe).unwrap();
            prop_assert!(once.chars().all(is_allowed));
            prop_assert!(clean(&once).len() <= once.len());
            prop_assert!(once.len() <= text.len());
        }
    }
}
