//! What is read and kept at most. What is past a limit is counted and noted, never dropped silently.
//!
//! Sizes are in bytes of UTF-8. A text that is too long keeps its beginning; the report itself stays among the
//! artifacts, whole.

/// The most bytes of a report file.
pub const MAX_FILE_BYTES: u64 = 64 << 20;
/// The most cases of a report that are handed over.
pub const MAX_CASES: u64 = 200_000;
/// The most suites of a report that are handed over; their cases are, however many suites there are.
pub const MAX_SUITES: u64 = 20_000;
/// The deepest nesting of elements, of subtests, and of JSON values.
pub const MAX_DEPTH: usize = 64;
/// The most bytes of the text of a failure, of a standard output, of a standard error.
pub const MAX_TEXT: usize = 256 << 10;
/// The most bytes of all such texts of a case together.
pub const MAX_CASE_TEXT: usize = 1 << 20;
/// The most bytes of one part of a name: a suite, a classname, a name, a file. What is longer is cut, and ends in a
/// hash of the whole, so that two long names do not become one.
pub const MAX_NAME: usize = 2048;
/// The most bytes of the message or type of a failure.
pub const MAX_MESSAGE: usize = 16 << 10;
/// The most bytes of the value of a property.
pub const MAX_PROPERTY: usize = 4096;
/// The most properties of a case, of a suite, of a report.
pub const MAX_PROPERTIES: usize = 200;
/// The most attachments of a case, of a suite.
pub const MAX_ATTACHMENTS: usize = 200;
/// The most attributes of an element that are looked at.
pub const MAX_ATTRIBUTES: usize = 256;
/// The most attempts of a case.
pub const MAX_ATTEMPTS: usize = 100;
/// The most failures of one attempt.
pub const MAX_FINDINGS: usize = 50;
/// The most notes of one code that are handed over; the rest is counted.
pub const MAX_NOTES: u64 = 100;
/// The most bytes of a note's message.
pub const MAX_NOTE: usize = 1024;
/// The longest duration that is believed: 366 days, in milliseconds.
pub const MAX_DURATION_MS: u64 = 366 * 24 * 3600 * 1000;
/// The most bytes of one tag, of one text between tags, or of one JSON string that are looked at.
pub const MAX_TOKEN: usize = 1 << 20;
/// The most bytes of a line of TAP that are looked at.
pub const MAX_LINE: usize = 256 << 10;
/// The most patterns for volatile parts of a name.
pub const MAX_VOLATILE: usize = 20;

/// The limits that a caller may lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of the file; by default [`MAX_FILE_BYTES`].
    pub file_bytes: u64,
    /// The most cases; by default [`MAX_CASES`].
    pub cases: u64,
    /// The deepest nesting of elements and subtests; by default [`MAX_DEPTH`].
    pub depth: usize,
    /// The most bytes of one text; by default [`MAX_TEXT`].
    pub text: usize,
    /// The most bytes of the texts of a case together; by default [`MAX_CASE_TEXT`].
    pub case_text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: MAX_FILE_BYTES,
            cases: MAX_CASES,
            depth: MAX_DEPTH,
            text: MAX_TEXT,
            case_text: MAX_CASE_TEXT,
        }
    }
}
