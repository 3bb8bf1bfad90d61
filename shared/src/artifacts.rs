//! Artifacts: files that a run leaves behind, what is said of those that were not kept, and their limits.
//!
//! A file is known by its path below the folder for artifacts, and its content by its SHA-256: files of a namespace that
//! have the same content are stored once.

mod media;
mod pattern;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::media::{OPAQUE, is_text, media_type};
pub use self::pattern::{ArtifactPattern, Root, roots};
use crate::error::Invalid;
use crate::report::{Volatile, may_be_report};
use crate::run::words;
use crate::size::Bytes;

/// Where a container finds the folder for artifacts; everything in it is kept.
pub const FOLDER: &str = "/tstr/artifacts";
/// The largest file that is kept.
pub const MAX_FILE: Bytes = Bytes::mib(64);
/// The most bytes of files that are kept of an attempt.
pub const MAX_TOTAL: Bytes = Bytes::mib(256);
/// The most files that are kept of an attempt.
pub const MAX_FILES: usize = 1000;
/// The longest path of a file, in bytes.
pub const MAX_PATH: usize = 512;
/// The most steps of a path.
pub const MAX_DEPTH: usize = 16;
/// The most bytes of a content in one message on its way to the server.
pub const MAX_PIECE: usize = 1 << 20;
/// How many files a note names; the others are counted only.
pub const MAX_NAMED: usize = 5;
/// The longest sentence of a note, in bytes.
pub const MAX_DETAIL: usize = 500;

/// Which files are kept beside those in the folder for artifacts, and what is made of reports among them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Artifacts {
    /// Files of the container that are kept as well: absolute paths, in which `*` and `?` stand for characters of a name,
    /// `**` for any number of folders, `[ab]` and `{a,b}` for one of several. At most 32.
    #[cfg_attr(feature = "schema", schemars(length(max = 32), inner(length(max = 512))))]
    pub paths: Vec<String>,
    /// Whether a test report is looked for among the files.
    pub report: ReportMode,
    /// Which files are reports: patterns as in `paths`, for files of any name; a file in the folder for artifacts is
    /// `/tstr/artifacts/…`. Without them reports are found by their names and their first bytes. At most 32.
    #[cfg_attr(feature = "schema", schemars(length(max = 32), inner(length(max = 512))))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<String>,
    /// What changes from run to run in the names of cases, such as random parameters: regular expressions; what they match
    /// is left out of a case's identity. At most 20.
    #[cfg_attr(feature = "schema", schemars(length(max = 20), inner(length(max = 1024))))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volatile: Vec<String>,
}

impl Artifacts {
    /// The most patterns.
    pub const MAX_PATHS: usize = 32;

    /// Checks the patterns; each fault has its place.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        if self.paths.len() > Self::MAX_PATHS {
            invalid.add("/paths", format!("{} patterns, at most {} are allowed", self.paths.len(), Self::MAX_PATHS));
        }
        if self.reports.len() > Self::MAX_PATHS {
            let message = format!("{} patterns, at most {} are allowed", self.reports.len(), Self::MAX_PATHS);
            invalid.add("/reports", message);
        }
        for (field, patterns) in [("paths", &self.paths), ("reports", &self.reports)] {
            for (i, pattern) in patterns.iter().enumerate() {
                if let Err(fault) = ArtifactPattern::parse(pattern) {
                    invalid.add(format!("/{field}/{i}"), fault);
                }
            }
        }
        if self.report == ReportMode::None && !self.reports.is_empty() {
            invalid.add("/reports", "no report is read: report is 'none'");
        }
        if let Err(fault) = Volatile::parse(&self.volatile) {
            invalid.add("/volatile", fault);
        }
        invalid.into_result()
    }

    /// Tells whether a file at this path among the artifacts may be a report, by its name alone.
    pub fn may_be_report(&self, path: &ArtifactPath) -> bool {
        if self.report == ReportMode::None {
            return false;
        }
        if self.reports.is_empty() {
            return may_be_report(path.as_str());
        }
        let patterns = self.reports.iter().filter_map(|source| ArtifactPattern::parse(source).ok());
        let places = [format!("{FOLDER}/{path}"), format!("/{path}")];
        patterns.into_iter().any(|pattern| places.iter().any(|place| pattern.matches(place)))
    }

    /// Tells whether this says nothing but what holds anyway.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a test report is looked for among the files of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReportMode {
    /// One that is there is read.
    #[default]
    Auto,
    /// A run without a report that can be read is an error.
    Required,
    /// None is looked for.
    None,
}

/// The SHA-256 of a content; in JSON 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash(pub [u8; 32]);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ContentHash {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("'{text}' is not a SHA-256 of 64 hexadecimal digits");
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(fault());
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| fault())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for ContentHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ContentHash {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ContentHash".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A SHA-256 in hexadecimal digits.",
            "pattern": "^[0-9a-f]{64}$",
        })
    }
}

/// A content, by its hash and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Blob {
    /// Its SHA-256.
    pub sha256: ContentHash,
    /// How many bytes it has.
    pub bytes: u64,
}

/// The path of an artifact: steps with a slash between, none of them `.` or `..`, at most 512 bytes and 16 steps, without
/// control characters. It can be joined to any folder and leads to a place below it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ArtifactPath(String);

impl ArtifactPath {
    /// Reads a path; says what is wrong with it otherwise.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_PATH {
            return Err(format!("a path has 1 to {MAX_PATH} bytes, this one has {}", text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err("a path must not hold control characters".into());
        }
        let steps: Vec<&str> = text.split('/').collect();
        if steps.len() > MAX_DEPTH {
            return Err(format!("a path has at most {MAX_DEPTH} steps, this one has {}", steps.len()));
        }
        match steps.iter().find(|step| matches!(**step, "" | "." | "..")) {
            Some(step) => Err(format!("a path must not have the step '{step}'")),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// Returns the path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns its steps, of which the last is the name of the file.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Returns the name of the file.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Tells whether this is the file at `place`, or lies in the folder there.
    pub fn is_at_or_below(&self, place: &str) -> bool {
        self.0.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ArtifactPath {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl<'de> Deserialize<'de> for ArtifactPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ArtifactPath {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ArtifactPath".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "The path of a file, with slashes; it begins with none.",
            "minLength": 1,
            "maxLength": MAX_PATH,
        })
    }
}

words!(
    /// Why files were not kept.
    NoteWhy {
        /// They are links, devices, sockets or the like, which are not followed.
        NotAFile = "not_a_file",
        /// Their paths are not UTF-8, too long or too deep, or cannot be the path of an artifact.
        BadName = "bad_name",
        /// They are larger than a file may be.
        TooLarge = "too_large",
        /// There are more of them than are kept.
        TooMany = "too_many",
        /// With them there would be more bytes than are kept.
        OverLimit = "over_limit",
        /// Another file of the same path is kept.
        Duplicate = "duplicate",
        /// Nothing was found where the test says that something is.
        NoMatch = "no_match",
        /// They could not be read from the container; there may be more than are counted.
        Unreadable = "unreadable",
        /// The time for collecting was over; there may be more than are counted.
        OutOfTime = "out_of_time",
        /// The disk of the runner had no room for them.
        NoRoom = "no_room",
        /// They could not be handed over to the server.
        NotStored = "not_stored",
    }
);

/// What is said of files that were not kept: one note for each cause, with how many there were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ArtifactNote {
    /// Why they were not kept.
    pub why: NoteWhy,
    /// How many there were.
    pub files: u64,
    /// How many bytes they have together, as far as that is known.
    pub bytes: u64,
    /// The first of them, at most five.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// What there is to say beyond that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl ArtifactNote {
    /// Makes a note of nothing yet.
    pub fn new(why: NoteWhy) -> Self {
        Self { why, files: 0, bytes: 0, paths: Vec::new(), detail: None }
    }

    /// Adds a file.
    pub fn add(&mut self, path: &str, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.paths.len() < MAX_NAMED {
            self.paths.push(presentable(path, MAX_PATH));
        }
    }

    /// Sets what there is to say beyond the counts; what is too long is cut.
    #[must_use]
    pub fn with_detail(self, detail: &str) -> Self {
        Self { detail: Some(presentable(detail, MAX_DETAIL)), ..self }
    }

    /// Returns a sentence for people.
    pub fn sentence(&self) -> String {
        let (files, bytes) = (self.files, self.bytes);
        let count = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
        let kept = format!("{count} ({bytes} bytes) not kept");
        let base = match self.why {
            NoteWhy::NotAFile => format!("{count} not kept: links, devices and the like are not followed"),
            NoteWhy::BadName => format!("{count} not kept: the path is too long, too deep, or not plain UTF-8"),
            NoteWhy::TooLarge => format!("{kept}: larger than {MAX_FILE}"),
            NoteWhy::TooMany => format!("{kept}: a run keeps {MAX_FILES} files"),
            NoteWhy::OverLimit => format!("{kept}: the run would pass its limit (limits.artifacts)"),
            NoteWhy::Duplicate => format!("{kept}: another file has the same path"),
            NoteWhy::NoMatch => "nothing was found for some of artifacts.paths".to_owned(),
            NoteWhy::Unreadable => format!("{kept}, perhaps more: the container's files could not be read to the end"),
            NoteWhy::OutOfTime => format!("{kept}, perhaps more: the time for collecting was over"),
            NoteWhy::NoRoom => format!("{kept}: the runner's disk is full"),
            NoteWhy::NotStored => format!("{kept}: they could not be handed over to the server"),
        };
        match &self.detail {
            Some(detail) => format!("{base} ({detail})"),
            None => base,
        }
    }
}

/// Returns a text without control characters, cut to so many bytes.
fn presentable(text: &str, most: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if clean.len() <= most {
        return clean;
    }
    let cut = clean.floor_char_boundary(most - '…'.len_utf8());
    format!("{}…", &clean[..cut])
}

/// A file of an attempt as its worker reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectedFile {
    /// Its path.
    pub path: ArtifactPath,
    /// Its content.
    pub blob: Blob,
}

/// Everything that a worker reports of the artifacts of an attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// The files.
    pub files: Vec<CollectedFile>,
    /// What is said of those that are not among them.
    pub notes: Vec<ArtifactNote>,
}

impl Collected {
    /// Returns how many bytes the files have together.
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.blob.bytes))
    }

    /// Tells whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.notes.is_empty()
    }

    /// Checks the numbers, and that no path stands twice.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        if self.files.len() > MAX_FILES {
            invalid.add("/files", format!("{} files, at most {MAX_FILES} are kept", self.files.len()));
        }
        let mut seen = BTreeSet::new();
        for (i, file) in self.files.iter().enumerate() {
            if file.blob.bytes > MAX_FILE.0 {
                invalid.add(format!("/files/{i}/blob/bytes"), format!("{} is over {MAX_FILE}", file.blob.bytes));
            }
            if !seen.insert(&file.path) {
                invalid.add(format!("/files/{i}/path"), "the path stands twice");
            }
        }
        if self.notes.len() > NoteWhy::ALL.len() {
            invalid.add("/notes", format!("{} notes, at most one for each cause", self.notes.len()));
        }
        for (i, note) in self.notes.iter().enumerate() {
            let mut texts =
                note.paths.iter().map(|path| (path, MAX_PATH)).chain(note.detail.iter().map(|d| (d, MAX_DETAIL)));
            let fits = |(text, most): (&String, usize)| text.len() <= most && !text.contains('\0');
            if note.paths.len() > MAX_NAMED || !texts.all(fits) {
                invalid.add(format!("/notes/{i}"), "a text is too long, or there are too many");
            }
            if note.files > i64::MAX as u64 || note.bytes > i64::MAX as u64 {
                invalid.add(format!("/notes/{i}"), "a number is too large");
            }
        }
        invalid.into_result()
    }
}

/// A file that a run left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Artifact {
    /// Its path below the folder for artifacts; of a file from elsewhere, its path in the container without the first
    /// slash.
    pub path: ArtifactPath,
    /// How many bytes it has.
    pub bytes: u64,
    /// The SHA-256 of its content.
    pub sha256: ContentHash,
    /// What it seems to be, by its name.
    pub media_type: String,
}

/// The artifacts of one attempt of a run, by their paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ArtifactList {
    /// The attempt; 0 before the first.
    pub attempt: u16,
    /// How many files there are.
    pub files: u32,
    /// How many bytes they have together.
    pub bytes: u64,
    /// The files.
    pub items: Vec<Artifact>,
    /// What is said of files that were not kept.
    pub notes: Vec<ArtifactNote>,
}

/// What a run, or an attempt, tells of its artifacts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ArtifactSummary {
    /// How many files were kept.
    pub files: u32,
    /// How many bytes they have together.
    pub bytes: u64,
    /// When retention removed them; absent while they can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests;
