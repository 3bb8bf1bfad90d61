//! Cases: the rows of a report, the same whatever format they came from.

use serde::{Deserialize, Serialize};

use super::identity::CaseId;
use super::limits::{MAX_ATTACHMENTS, MAX_ATTEMPTS, MAX_CASE_TEXT, MAX_PROPERTIES};
use super::reconcile::{Counts, Declared};
use super::text;

/// How a case, or one attempt of it, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "db", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum CaseStatus {
    /// It did what it should.
    Pass,
    /// It did not do what it should.
    Fail,
    /// It could not be judged: an exception, a crash, a report that ends inside of the case.
    Error,
    /// It was not run, or its result does not count.
    Skip,
}

impl CaseStatus {
    /// All statuses.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Fail, Self::Error, Self::Skip];

    /// Returns the word that stands for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Skip => "skip",
        }
    }

    /// Tells whether it is a failure or an error.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Fail | Self::Error)
    }
}

/// The parts of a case's identity, as the report has them. The cell is not among them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaseKey {
    /// The names of the suites around it, the outermost first; the name of the report as a whole is not among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suite: Vec<String>,
    /// The class, module or package, if the report says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classname: Option<String>,
    /// The name.
    pub name: String,
    /// The file that it stands in, if the report says so; part of the identity only where there is no classname.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The identity that the test itself gives the case, by a property `testId`; it stands for all other parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_id: Option<String>,
}

/// A case of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Case {
    /// The identity, derived from the test and the key.
    pub id: CaseId,
    /// The parts of the identity.
    pub key: CaseKey,
    /// Whether the identity came before in the report.
    #[serde(default, skip_serializing_if = "Repeat::is_first")]
    pub repeat: Repeat,
    /// 1, or 2, 3, … for cases that share their identity without being retries of each other.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub ordinal: u32,
    /// How it ended, in its last attempt.
    pub status: CaseStatus,
    /// It passed after at least one attempt that failed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub flaky: bool,
    /// It is skipped because somebody disabled it, not because the test decided so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disabled: bool,
    /// How long it took in milliseconds, rounded; less than half a millisecond is 0. Absent when the report does not
    /// say it, or says nonsense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Every attempt in the order of trial, at least one; the last one gave the status.
    pub attempts: Vec<CaseAttempt>,
    /// Key and value, in the order of the report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
    /// Files that belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// The line where the test stands in its file; not part of the identity, because it moves on every edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// How many assertions it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assertions: Option<u64>,
    /// The beginning of what it wrote to its standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Excerpt>,
    /// The beginning of what it wrote to its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<Excerpt>,
}

impl Case {
    /// Makes a case of one attempt, of which no more is known. Its identity is derived when it is handed over.
    pub fn new(key: CaseKey, status: CaseStatus) -> Self {
        Self {
            id: CaseId::NIL,
            key,
            repeat: Repeat::First,
            ordinal: 1,
            status,
            flaky: false,
            disabled: false,
            duration_ms: None,
            attempts: vec![CaseAttempt::new(status)],
            properties: Vec::new(),
            attachments: Vec::new(),
            line: None,
            assertions: None,
            stdout: None,
            stderr: None,
        }
    }

    /// Takes over a retry that came as a case of its own ([`Repeat::Retry`]): its attempts come behind ours, and its
    /// status is the status. At most [`MAX_ATTEMPTS`] are kept, of which the last is always one, and both together are not larger
    /// than one case may be.
    pub fn absorb(&mut self, retry: Self) {
        self.status = retry.status;
        self.flaky = retry.status == CaseStatus::Pass;
        self.duration_ms = retry.duration_ms;
        let room = MAX_ATTEMPTS.saturating_sub(self.attempts.len());
        let cut = retry.attempts.len().saturating_sub(room.max(1));
        self.attempts.truncate(MAX_ATTEMPTS - 1);
        self.attempts.extend(retry.attempts.into_iter().skip(cut));
        self.properties.extend(retry.properties);
        self.attachments.extend(retry.attachments);
        self.stdout = retry.stdout.or_else(|| self.stdout.take());
        self.stderr = retry.stderr.or_else(|| self.stderr.take());
        self.fit();
    }

    /// Cuts what is more than a case may have, however many attempts have brought it: texts of [`MAX_CASE_TEXT`] together, and
    /// as much of messages and types. Returns whether words of failures were cut, which do not count what is gone.
    pub(super) fn fit(&mut self) -> bool {
        self.properties.truncate(MAX_PROPERTIES);
        self.attachments.truncate(MAX_ATTACHMENTS);
        let (mut room, mut room_for_words, mut is_cut) = (MAX_CASE_TEXT, MAX_CASE_TEXT, false);
        let mut excerpts: Vec<&mut Option<Excerpt>> = Vec::new();
        for attempt in &mut self.attempts {
            for finding in &mut attempt.findings {
                for words in [&mut finding.message, &mut finding.kind].into_iter().flatten() {
                    let (kept, cut) = text::cut(words, room_for_words);
                    let kept = kept.len();
                    words.truncate(kept);
                    room_for_words -= kept;
                    is_cut |= cut > 0;
                }
                excerpts.push(&mut finding.text);
            }
            excerpts.extend([&mut attempt.stdout, &mut attempt.stderr]);
        }
        excerpts.extend([&mut self.stdout, &mut self.stderr]);
        for excerpt in excerpts.into_iter().flatten() {
            let (kept, cut) = text::cut(&excerpt.text, room);
            let kept = kept.len();
            excerpt.cut_bytes += cut as u64;
            excerpt.text.truncate(kept);
            room -= kept;
        }
        is_cut
    }

    /// Returns the findings of the attempt that gave the status.
    pub fn findings(&self) -> &[Finding] {
        self.attempts.last().map_or(&[], |attempt| &attempt.findings)
    }
}

/// Whether a case's identity came before in the same report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// It did not.
    #[default]
    First,
    /// It is a later attempt of the case with the same identity and ordinal, which had failed: the producer is known
    /// to write attempts as cases, or this one passed, stands in the same suite, and has more than its name.
    Retry,
    /// It did, and nobody can say whether this is another test: it has an ordinal of its own.
    Ambiguous,
}

impl Repeat {
    fn is_first(&self) -> bool {
        *self == Self::First
    }
}

/// One trial of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaseAttempt {
    /// How it ended.
    pub status: CaseStatus,
    /// How long it took in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Why it failed or was skipped; one attempt may fail several times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// The beginning of its standard output, where the report tells the attempts' apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Excerpt>,
    /// The beginning of its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<Excerpt>,
}

impl CaseAttempt {
    /// Makes an attempt of which no more is known.
    pub fn new(status: CaseStatus) -> Self {
        Self { status, duration_ms: None, findings: Vec::new(), stdout: None, stderr: None }
    }
}

/// One reason why an attempt failed or was skipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// Whether it is a failure, an error, or the reason for a skip.
    pub status: CaseStatus,
    /// The message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The type, such as the class of an exception.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The text, such as a stack trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Excerpt>,
}

impl Finding {
    /// Makes a finding with a message alone.
    pub fn new(status: CaseStatus, message: impl Into<String>) -> Self {
        Self { status, message: Some(message.into()), kind: None, text: None }
    }
}

/// The beginning of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Excerpt {
    /// What is kept.
    pub text: String,
    /// How many bytes of the report came behind it and are not kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut_bytes: u64,
}

impl From<&str> for Excerpt {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), cut_bytes: 0 }
    }
}

/// A key and a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Property {
    /// The key, as the report has it.
    pub name: String,
    /// The value.
    pub value: String,
}

/// What a property is for, by the conventions of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint<'a> {
    /// A plain value.
    Value,
    /// `attachment…`: the path or the address of a file.
    Attachment,
    /// `step…`: a step of the case; `step[status]` says how it ended.
    Step(Option<&'a str>),
    /// `url:NAME`: a link, with the name that it has without the prefix.
    Url(&'a str),
    /// `html:NAME`: a piece of HTML, which nobody may trust.
    Html(&'a str),
}

impl Property {
    /// Returns what it is for.
    pub fn hint(&self) -> Hint<'_> {
        let name = self.name.as_str();
        if let Some(rest) = name.strip_prefix("url:") {
            return Hint::Url(rest);
        }
        if let Some(rest) = name.strip_prefix("html:") {
            return Hint::Html(rest);
        }
        if let Some(rest) = name.strip_prefix("step") {
            return match rest.strip_prefix('[') {
                Some(status) => Hint::Step(status.split_once(']').map(|(status, _)| status)),
                None if rest.chars().all(|c| c.is_ascii_digit()) => Hint::Step(None),
                None => Hint::Value,
            };
        }
        match name.strip_prefix("attachment") {
            Some(_) => Hint::Attachment,
            None => Hint::Value,
        }
    }
}

/// A file that belongs to a case or a suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Attachment {
    /// Its path among the artifacts, or its address, as the report has it: nothing that may be opened unchecked.
    pub path: String,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// A suite of a report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Suite {
    /// Its name behind those of the suites around it.
    pub path: Vec<String>,
    /// Its file, if the report says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The counts that it declares.
    pub declared: Declared,
    /// What was read of its own cases, without those of suites inside of it.
    pub counted: Counts,
    /// How long it took in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// When it began, as the report says it: often without a time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// The machine, as the report says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Key and value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
    /// Files that belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// What failed outside of its cases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// The beginning of its standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Excerpt>,
    /// The beginning of its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<Excerpt>,
}

fn one() -> u32 {
    1
}
fn is_one(ordinal: &u32) -> bool {
    *ordinal == 1
}
fn is_false(flag: &bool) -> bool {
    !*flag
}
fn is_zero(count: &u64) -> bool {
    *count == 0
}
