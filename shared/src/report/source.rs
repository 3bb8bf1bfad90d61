//! Bytes of a report as UTF-8 with known places: what readers read from.
//!
//! A source decodes (by byte order mark, or by the encoding that XML declares; what is not text becomes U+FFFD and is
//! counted), stops at the largest file that is allowed, and lets a filter take out what would make a parser's buffers
//! grow: a single string, text or comment may be as long as the file.

pub(super) mod json;
pub(super) mod xml;

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::note::Position;

/// How many bytes are decoded at once.
const CHUNK: usize = 16 << 10;
/// How many bytes are looked at for a byte order mark and a declared encoding.
const HEAD: usize = 1024;

/// Takes text out of a report before a parser sees it.
pub(super) trait Filter {
    /// Takes a piece and writes what is left of it.
    fn push(&mut self, text: &str, out: &mut Filtered);
}

/// Lets everything pass.
pub(super) struct Everything;

impl Filter for Everything {
    fn push(&mut self, text: &str, out: &mut Filtered) {
        out.keep(text.as_bytes());
    }
}

/// What a filter has left, and what it took out where.
#[derive(Default)]
pub(super) struct Filtered {
    bytes: Vec<u8>,
    read: usize,
    gaps: VecDeque<Gap>,
}

struct Gap {
    at: usize,
    bytes: u64,
    lines: u64,
    /// Bytes that somebody wanted to have.
    cut: u64,
    /// Bytes that stand in the output and not in the input.
    added: u64,
    /// Places that were no text, and stand in the output as U+FFFD.
    replaced: u64,
}

impl Filtered {
    /// Lets bytes pass.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes out bytes that nobody wants, such as comments.
    pub(super) fn skip(&mut self, bytes: &[u8]) {
        self.gap(bytes, false);
    }

    /// Takes out bytes because there are too many of them.
    pub(super) fn cut(&mut self, bytes: &[u8]) {
        self.gap(bytes, true);
    }

    /// Adds bytes that do not stand in the input.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.gaps.push_back(Gap { at, bytes: 0, lines: 0, cut: 0, added: bytes.len() as u64, replaced: 0 });
    }

    /// Says that what comes next was no text.
    fn replaced(&mut self) {
        let at = self.bytes.len();
        self.gaps.push_back(Gap { at, bytes: 0, lines: 0, cut: 0, added: 0, replaced: 1 });
    }

    fn gap(&mut self, bytes: &[u8], is_cut: bool) {
        if bytes.is_empty() {
            return;
        }
        let (count, lines) = (bytes.len() as u64, newlines(bytes));
        let (at, cut) = (self.bytes.len(), if is_cut { count } else { 0 });
        match self.gaps.back_mut().filter(|gap| gap.at == at && gap.added == 0 && gap.replaced == 0) {
            Some(gap) => {
                gap.bytes += count;
                gap.lines += lines;
                gap.cut += cut;
            }
            None => self.gaps.push_back(Gap { at, bytes: count, lines, cut, added: 0, replaced: 0 }),
        }
    }
}

/// Lets bytes pass until `length` reaches the limit, and cuts the rest, never inside of a character.
fn keep_up_to(bytes: &[u8], length: &mut usize, limit: usize, out: &mut Filtered) {
    let mut end = limit.saturating_sub(*length).min(bytes.len());
    while end < bytes.len() && bytes[end] & 0xc0 == 0x80 {
        end += 1;
    }
    out.keep(&bytes[..end]);
    out.cut(&bytes[end..]);
    *length += bytes.len();
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&b| b == b'\n').count() as u64
}

/// What a source has to say about the bytes, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remark {
    /// This many places were no text in the encoding, from the first one on.
    Replaced(u64, Position),
    /// An encoding is declared that nobody knows, or that the file is not in.
    Encoding(String),
    /// The file is larger than allowed.
    TooLarge,
}

pub(super) struct Source<R, F> {
    input: R,
    filter: F,
    limit: u64,
    raw: u64,
    head: Option<Vec<u8>>,
    declares: bool,
    decoder: Decoder,
    text: String,
    filtered: Filtered,
    here: Position,
    cut: u64,
    replaced: u64,
    first_replaced: Position,
    encoding: Option<String>,
    too_large: bool,
    ended: bool,
    failed: Option<io::Error>,
}

impl<R: BufRead, F: Filter> Source<R, F> {
    /// Makes a source of at most `limit` bytes; with `declares`, an XML declaration may name the encoding.
    pub(super) fn new(input: R, filter: F, limit: u64, declares: bool) -> Self {
        Self {
            input,
            filter,
            limit,
            raw: 0,
            head: Some(Vec::new()),
            declares,
            decoder: UTF_8.new_decoder(),
            text: String::new(),
            filtered: Filtered::default(),
            here: Position { line: 1, byte: 0 },
            cut: 0,
            replaced: 0,
            first_replaced: Position::default(),
            encoding: None,
            too_large: false,
            ended: false,
            failed: None,
        }
    }

    /// Returns where the next byte stands.
    pub(super) fn position(&self) -> Position {
        self.here
    }

    /// Returns how many bytes were cut out right before the next byte, since it was asked last.
    pub(super) fn take_cut(&mut self) -> u64 {
        std::mem::take(&mut self.cut)
    }

    /// Returns what there is to say when all was read.
    pub(super) fn remarks(&self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        remarks.extend(self.encoding.clone().map(Remark::Encoding));
        if self.replaced > 0 {
            remarks.push(Remark::Replaced(self.replaced, self.first_replaced));
        }
        if self.too_large {
            remarks.push(Remark::TooLarge);
        }
        remarks
    }

    /// Reads to the end. What there is to say of the bytes then does not hang on how far was looked ahead when the
    /// parser stopped.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        loop {
            let length = match self.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(bytes) => bytes.len(),
                Err(error) => return Err(self.take_failure().unwrap_or(error)),
            };
            self.consume(length);
        }
    }

    /// Returns the failure of the input, which parsers wrap in their own.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        self.failed.take()
    }

    pub(super) fn filter(&self) -> &F {
        &self.filter
    }

    /// Reads on until there is something to give, or the end.
    fn refill(&mut self) -> io::Result<()> {
        while self.filtered.read == self.filtered.bytes.len() && !self.ended {
            self.filtered.bytes.clear();
            self.filtered.read = 0;
            let chunk = self.next_chunk()?;
            self.decode(&chunk);
            self.pass_gaps();
        }
        Ok(())
    }

    /// Returns the next bytes; the first of them only when the encoding is known.
    fn next_chunk(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = self.head.take().unwrap_or_default();
        let is_head = self.raw == 0;
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let kind = error.kind();
                    self.failed = Some(error);
                    return Err(io::Error::new(kind, "the report cannot be read"));
                }
            };
            let room = self.limit - self.raw;
            if available.is_empty() || room == 0 {
                self.too_large = !available.is_empty();
                self.ended = true;
                break;
            }
            let take = available.len().min(CHUNK).min(usize::try_from(room).unwrap_or(CHUNK));
            chunk.extend_from_slice(&available[..take]);
            self.input.consume(take);
            self.raw += take as u64;
            if !is_head || chunk.len() >= HEAD {
                break;
            }
        }
        if is_head {
            self.choose_encoding(&mut chunk);
        }
        Ok(chunk)
    }

    fn choose_encoding(&mut self, head: &mut Vec<u8>) {
        if let Some((encoding, mark)) = Encoding::for_bom(head) {
            head.drain(..mark);
            self.decoder = encoding.new_decoder_without_bom_handling();
            return;
        }
        let encoding = match head.as_slice() {
            [b'<', 0, ..] | [b'{', 0, ..] => UTF_16LE,
            [0, b'<', ..] | [0, b'{', ..] => UTF_16BE,
            _ if self.declares => self.declared(head),
            _ => UTF_8,
        };
        self.decoder = encoding.new_decoder_without_bom_handling();
    }

    /// Returns the encoding that an XML declaration names.
    fn declared(&mut self, head: &[u8]) -> &'static Encoding {
        let Some(label) = declared_label(head) else { return UTF_8 };
        match Encoding::for_label(label.as_bytes()) {
            // The declaration could be read byte by byte, so it is not in an encoding of two bytes.
            Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => {
                self.encoding = Some(format!("'{label}' is declared, and the file is not in it; read as UTF-8"));
                UTF_8
            }
            Some(encoding) => encoding,
            None => {
                self.encoding = Some(format!("'{label}' is declared, and is not known; read as UTF-8"));
                UTF_8
            }
        }
    }

    fn decode(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            self.text.clear();
            self.text.reserve(CHUNK + 16);
            let (result, read) = self.decoder.decode_to_string_without_replacement(rest, &mut self.text, self.ended);
            rest = &rest[read..];
            self.filter.push(&self.text, &mut self.filtered);
            match result {
                DecoderResult::InputEmpty => return,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    self.filtered.replaced();
                    self.filter.push("\u{fffd}", &mut self.filtered);
                }
            }
        }
    }

    /// Counts the bytes that the reader has passed.
    fn pass(&mut self, end: usize) {
        let passed = &self.filtered.bytes[self.filtered.read..end];
        self.here.byte += passed.len() as u64;
        self.here.line += newlines(passed);
        self.filtered.read = end;
    }

    /// Counts the gaps that the reader has come to.
    fn pass_gaps(&mut self) {
        while let Some(gap) = self.filtered.gaps.front() {
            if gap.at > self.filtered.read {
                break;
            }
            self.here.byte = (self.here.byte + gap.bytes).saturating_sub(gap.added);
            self.here.line += gap.lines;
            self.cut += gap.cut;
            if gap.replaced > 0 && self.replaced == 0 {
                self.first_replaced = self.here;
            }
            self.replaced += gap.replaced;
            self.filtered.gaps.pop_front();
        }
        if self.filtered.read == self.filtered.bytes.len() {
            self.filtered.gaps.clear();
        }
    }
}

impl<R: BufRead, F: Filter> BufRead for Source<R, F> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.refill()?;
        Ok(&self.filtered.bytes[self.filtered.read..])
    }

    fn consume(&mut self, amount: usize) {
        let end = self.filtered.read + amount;
        while let Some(at) = self.filtered.gaps.front().map(|gap| gap.at).filter(|at| *at <= end) {
            self.pass(at);
            self.pass_gaps();
        }
        self.pass(end);
        self.pass_gaps();
    }
}

impl<R: BufRead, F: Filter> Read for Source<R, F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(into.len());
        into[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// Returns the encoding's name out of `<?xml … encoding="name" …?>`.
fn declared_label(head: &[u8]) -> Option<String> {
    let head = head[..head.len().min(HEAD)].trim_ascii_start().strip_prefix(b"<?xml")?;
    let end = head.windows(2).position(|pair| pair == b"?>")?;
    let text = std::str::from_utf8(&head[..end]).ok()?;
    let rest = text.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    rest[1..].split_once(quote).map(|(label, _)| label.trim().to_owned())
}
