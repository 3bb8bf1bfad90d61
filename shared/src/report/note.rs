//! Notes: what was wrong with a report, or is not kept of it.

use serde::{Deserialize, Serialize};

/// A place in a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The line, from 1.
    pub line: u64,
    /// How many bytes come before it, counted in the text as UTF-8: in a file of another encoding, or with bytes that
    /// had to be replaced, not quite those of the file.
    pub byte: u64,
}

/// How bad a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NoteLevel {
    /// Worth knowing; nothing is lost.
    Info,
    /// Something is not kept, or was read by a guess.
    Warning,
    /// The report is not whole, or tells of a failure that is no case's.
    Error,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $level:ident;)*) => {
        /// What a note is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum NoteCode {
            $($(#[$doc])* $name,)*
        }

        impl NoteCode {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the word that stands for it in JSON.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// Returns how bad it is.
            pub fn level(self) -> NoteLevel {
                match self {
                    $(Self::$name => NoteLevel::$level,)*
                }
            }
        }
    };
}

codes! {
    /// The file is not a report of the format it was read as.
    NotAReport = "not_a_report", Error;
    /// The syntax is broken, and the rest could not be read.
    Malformed = "malformed", Error;
    /// The file ends before the report does.
    Truncated = "truncated", Error;
    /// The file is larger than allowed, and was read up to there.
    TooLarge = "too_large", Error;
    /// The nesting is deeper than allowed, and the rest was not read.
    TooDeep = "too_deep", Error;
    /// There are more cases than allowed; the rest was counted.
    TooManyCases = "too_many_cases", Error;
    /// A suite failed outside of its cases.
    SuiteFailed = "suite_failed", Error;
    /// The test run was given up.
    BailOut = "bail_out", Error;
    /// Another number of cases was planned than ran.
    PlanMismatch = "plan_mismatch", Error;
    /// The report ends inside of this case.
    Unfinished = "unfinished", Error;
    /// The counts that are declared are not those that were read.
    CountMismatch = "count_mismatch", Warning;
    /// A number cannot be understood, and is left out.
    BadNumber = "bad_number", Warning;
    /// A status is not known, or says something else than the rest of the record.
    BadStatus = "bad_status", Warning;
    /// A case has no name.
    NoName = "no_name", Warning;
    /// A text is longer than allowed, and is kept up to there.
    Cut = "cut", Warning;
    /// There are more attempts, properties, attachments or failures than allowed; the rest was counted.
    TooMany = "too_many", Warning;
    /// Bytes that are not text in the file's encoding were replaced.
    Encoding = "encoding", Warning;
    /// An entity is not one of the five that XML knows, and stands for itself.
    Entity = "entity", Warning;
    /// A document type declaration was not read.
    Doctype = "doctype", Warning;
    /// Tags do not close in the order they opened, or attributes are broken.
    BadMarkup = "bad_markup", Warning;
    /// The same identity comes more than once, and it is not known whether it is the same case.
    Ambiguous = "ambiguous", Warning;
    /// Something is not kept: an element or a field that is not known, or text where none belongs.
    Ignored = "ignored", Info;
    /// A failing case does not count as one, because it is to be done.
    Todo = "todo", Info;
}

/// Something about a report, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Note {
    /// What it is about.
    pub code: NoteCode,
    /// What was found, for people.
    pub message: String,
    /// The line of the report, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// How many bytes of the report come before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_the_word_that_serde_writes() {
        for &code in NoteCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.word());
        }
    }
}
