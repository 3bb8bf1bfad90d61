//! Keeps XML in pieces that a parser can buffer.
//!
//! A parser buffers a whole tag, and a whole text between two tags. What is longer than allowed is taken out of the
//! middle here, so that what the parser sees stays as well-formed as it was. Comments, processing instructions and
//! document types never reach it, and with them no entity.

use super::{Filter, Filtered, keep_up_to};
use crate::report::limits::MAX_TOKEN;

const COMMENT: &[u8] = b"<!--";
const CDATA: &[u8] = b"<![CDATA[";
const DOCTYPE: &[u8] = b"<!DOCTYPE";

pub(in crate::report) struct XmlFilter {
    state: State,
    limit: usize,
    has_doctype: bool,
}

enum State {
    /// Between tags: how long the text is so far.
    Text(usize),
    /// Behind `<`.
    Open,
    /// Behind `<!`, with what came so far, which may become one of the words above.
    Bang(Vec<u8>),
    Tag(Tag),
    /// Inside of `<![CDATA[`: how long it is, and how many `]` came last.
    CData(usize, u8),
    /// Inside of a comment: how many `-` came last.
    Comment(u8),
    /// Inside of `<?`: whether `?` came last.
    Instruction(bool),
    /// Behind what is no markup: nothing passes any more.
    Broken,
    /// Inside of a document type: open brackets, and the quote that is open.
    Doctype(u32, Option<u8>),
}

#[derive(Default)]
struct Tag {
    length: usize,
    quote: Option<u8>,
    /// It is too long: only its end is let pass.
    is_over: bool,
    /// `/` came last.
    slash: bool,
}

impl XmlFilter {
    pub(in crate::report) fn new() -> Self {
        Self::with_limit(MAX_TOKEN)
    }

    fn with_limit(limit: usize) -> Self {
        Self { state: State::Text(0), limit, has_doctype: false }
    }

    /// Tells whether there was a document type declaration.
    pub(in crate::report) fn has_doctype(&self) -> bool {
        self.has_doctype
    }

    /// Tells whether something came that is no markup. The parser was told, and sees nothing behind it.
    pub(in crate::report) fn is_broken(&self) -> bool {
        matches!(self.state, State::Broken)
    }

    /// Takes the bytes from the beginning that belong to one state; returns how many.
    fn step(&mut self, bytes: &[u8], out: &mut Filtered) -> usize {
        let limit = self.limit;
        match &mut self.state {
            State::Text(length) => {
                let end = bytes.iter().position(|&b| b == b'<').unwrap_or(bytes.len());
                keep_up_to(&bytes[..end], length, limit, out);
                if end < bytes.len() {
                    self.state = State::Open;
                    return end + 1;
                }
                end
            }
            State::Open => match bytes[0] {
                b'!' => {
                    self.state = State::Bang(b"<!".to_vec());
                    1
                }
                b'?' => {
                    out.skip(b"<?");
                    self.state = State::Instruction(false);
                    1
                }
                _ => {
                    out.keep(b"<");
                    self.state = State::Tag(Tag::default());
                    0
                }
            },
            State::Bang(seen) => {
                seen.push(bytes[0].to_ascii_uppercase());
                if seen == COMMENT {
                    out.skip(COMMENT);
                    self.state = State::Comment(0);
                } else if seen == DOCTYPE {
                    out.skip(DOCTYPE);
                    self.has_doctype = true;
                    self.state = State::Doctype(0, None);
                } else if seen == CDATA {
                    out.keep(CDATA);
                    self.state = State::CData(0, 0);
                } else if ![COMMENT, DOCTYPE, CDATA].iter().any(|word| word.starts_with(seen)) {
                    // No markup at all. The parser shall say so, and not take it for the beginning of a long comment.
                    out.add(b"<!>");
                    self.state = State::Broken;
                }
                1
            }
            State::Tag(tag) => {
                let used = tag.step(bytes, limit, out);
                if used.ended {
                    self.state = State::Text(0);
                }
                used.bytes
            }
            State::CData(length, brackets) => {
                let mut used = 0;
                for &byte in bytes {
                    if byte == b'>' && *brackets >= 2 {
                        break;
                    }
                    *brackets = if byte == b']' { (*brackets + 1).min(2) } else { 0 };
                    used += 1;
                }
                keep_up_to(&bytes[..used], length, limit, out);
                if used < bytes.len() {
                    if *length > limit {
                        // What was cut held one or both of the brackets.
                        out.add(b"]]");
                    }
                    out.keep(b">");
                    self.state = State::Text(0);
                    return used + 1;
                }
                used
            }
            State::Comment(dashes) => {
                for (at, &byte) in bytes.iter().enumerate() {
                    if byte == b'>' && *dashes >= 2 {
                        out.skip(&bytes[..=at]);
                        self.state = State::Text(0);
                        return at + 1;
                    }
                    *dashes = if byte == b'-' { (*dashes + 1).min(2) } else { 0 };
                }
                out.skip(bytes);
                bytes.len()
            }
            State::Instruction(question) => {
                for (at, &byte) in bytes.iter().enumerate() {
                    if byte == b'>' && *question {
                        out.skip(&bytes[..=at]);
                        self.state = State::Text(0);
                        return at + 1;
                    }
                    *question = byte == b'?';
                }
                out.skip(bytes);
                bytes.len()
            }
            State::Broken => {
                out.skip(bytes);
                bytes.len()
            }
            State::Doctype(depth, quote) => {
                for (at, &byte) in bytes.iter().enumerate() {
                    match (*quote, byte) {
                        (Some(open), _) if byte == open => *quote = None,
                        (Some(_), _) => {}
                        (None, b'"' | b'\'') => *quote = Some(byte),
                        (None, b'[') => *depth += 1,
                        (None, b']') => *depth = depth.saturating_sub(1),
                        (None, b'>') if *depth == 0 => {
                            out.skip(&bytes[..=at]);
                            self.state = State::Text(0);
                            return at + 1;
                        }
                        (None, _) => {}
                    }
                }
                out.skip(bytes);
                bytes.len()
            }
        }
    }
}

struct Used {
    bytes: usize,
    ended: bool,
}

impl Tag {
    fn step(&mut self, bytes: &[u8], limit: usize, out: &mut Filtered) -> Used {
        let mut kept_from = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            if !self.is_over && self.length + (at - kept_from) >= limit && byte.is_ascii() {
                out.keep(&bytes[kept_from..at]);
                // The value that is open ends here.
                if let Some(quote) = self.quote {
                    out.add(&[quote]);
                }
                self.is_over = true;
                kept_from = at;
            }
            match (self.quote, byte) {
                (None, b'>') => {
                    match (self.is_over, self.slash) {
                        (true, true) => {
                            out.cut(&bytes[kept_from..at]);
                            out.add(b"/");
                        }
                        (true, false) => out.cut(&bytes[kept_from..at]),
                        (false, _) => out.keep(&bytes[kept_from..at]),
                    }
                    out.keep(b">");
                    return Used { bytes: at + 1, ended: true };
                }
                (None, b'"' | b'\'') => self.quote = Some(byte),
                (Some(quote), _) if quote == byte => self.quote = None,
                _ => {}
            }
            self.slash = byte == b'/';
        }
        let rest = &bytes[kept_from..];
        if self.is_over {
            out.cut(rest);
        } else {
            self.length += rest.len();
            out.keep(rest);
        }
        Used { bytes: bytes.len(), ended: false }
    }
}

impl Filter for XmlFilter {
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
    use crate::report::note::Position;
    use crate::report::source::Source;

    fn filter(input: &str, limit: usize, piece: usize) -> (String, u64) {
        let (text, cut, at) = raw(input, limit, piece);
        assert_eq!(at.byte, input.len() as u64, "{input}");
        assert_eq!(at.line, 1 + input.matches('\n').count() as u64);
        (text, cut)
    }

    fn raw(input: &str, limit: usize, piece: usize) -> (String, u64, Position) {
        let reader = BufReader::with_capacity(piece, input.as_bytes());
        let mut source = Source::new(reader, XmlFilter::with_limit(limit), u64::MAX, true);
        let mut text = String::new();
        source.read_to_string(&mut text).unwrap();
        let at = source.position();
        (text, source.take_cut(), at)
    }

    #[test]
    fn what_is_short_passes_unchanged() {
        let xml = "<a b='>'><![CDATA[ ]] > ]]]><c d=\"'\"/>text &amp; more</a>\n";
        assert_eq!(filter(xml, 100, 7), (xml.into(), 0));
    }

    #[test]
    fn what_no_one_reads_is_taken_out() {
        let xml = "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b \"]>\"> ]><!-- - -- <x> --><a><!----></a>";
        assert_eq!(filter(xml, 100, 3), ("<a></a>".into(), 0));
    }

    #[test]
    fn what_is_too_long_is_cut_and_stays_well_formed() {
        assert_eq!(filter("<a>123456789012345</a>", 10, 4), ("<a>1234567890</a>".into(), 5));
        assert_eq!(filter("<a>ééééééé</a>", 5, 64), ("<a>ééé</a>".into(), 8));
        assert_eq!(filter("<a><![CDATA[123456789012]]></a>", 10, 4).0, "<a><![CDATA[1234567890]]></a>");
        assert_eq!(filter("<a bb='123456789012' c='1'/>", 10, 4), ("<a bb='1234'/>".into(), 16));
        assert_eq!(filter("<abcdefghijklmn>", 10, 64).0, "<abcdefghij>");
    }

    proptest! {
        #[test]
        fn any_text_is_taken_in_any_pieces(text in "[<>!\\[\\]\\-?/'\"CDATADOCTYPE a\né&;]{0,60}", piece in 1usize..9) {
            let whole = raw(&text, 8, 2000);
            prop_assert!(whole.0.len() <= text.len() + 8);
            // The head of a file is read at once; with it in front, pieces are pieces.
            let behind = format!("{}{text}", "<!--                            -->".repeat(40));
            prop_assert_eq!(raw(&behind, 8, piece).0, whole.0);
        }
    }
}
