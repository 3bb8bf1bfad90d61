//! Writing cases as a report: one writer for every format, a case at a time.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::case::{Case, CaseAttempt, CaseStatus, Excerpt, Finding};
use super::ctrf::CtrfWriter;
use super::jsonl::JsonLinesWriter;
use super::junit::JunitWriter;
use super::limits::{MAX_ATTEMPTS, MAX_DEPTH, MAX_FINDINGS};
use super::reconcile::Counts;
use super::tap::TapWriter;
use super::{Event, Format, text};

/// The property that says that a case is flaky where no attempt shows it.
pub(super) const FLAKY_PROPERTY: &str = "tstr.flaky";

/// What a written report says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Its name, such as that of the test.
    pub name: String,
    /// When the run began, in milliseconds since 1970.
    pub started_ms: u64,
    /// When it ended.
    pub ended_ms: u64,
    /// The counts of all cases to come, where they are known: JUnit has them at its beginning.
    pub totals: Option<Counts>,
}

/// Writes cases as a report, without keeping any: cases of one suite should come together, and retries that came as
/// cases should have been taken over by the case that they repeat ([`Case::absorb`]).
///
/// What a format has no place for, it leaves out: JUnit an attempt that passed before the last one, TAP the texts of
/// attempts before the last one, properties and attachments. Identity, status, and whether a case is flaky or disabled
/// come through every format, and are read as they were written.
pub enum Writer<W: Write> {
    /// Writes JUnit XML.
    Junit(JunitWriter<W>),
    /// Writes CTRF.
    Ctrf(CtrfWriter<W>),
    /// Writes TAP 14.
    Tap(TapWriter<W>),
    /// Writes a JSON object a line.
    JsonLines(JsonLinesWriter<W>),
}

impl<W: Write> Writer<W> {
    /// Begins a report.
    pub fn new(format: Format, out: W, header: &Header) -> io::Result<Self> {
        Ok(match format {
            Format::Junit => Self::Junit(JunitWriter::new(out, header)?),
            Format::Ctrf => Self::Ctrf(CtrfWriter::new(out, header)?),
            Format::Tap => Self::Tap(TapWriter::new(out)?),
            Format::JsonLines => Self::JsonLines(JsonLinesWriter::new(out)),
        })
    }

    /// Writes a case.
    pub fn case(&mut self, case: &Case) -> io::Result<()> {
        match self {
            Self::Junit(writer) => writer.case(case),
            Self::Ctrf(writer) => writer.case(case),
            Self::Tap(writer) => writer.case(case),
            Self::JsonLines(writer) => writer.event(&Event::Case(Box::new(case.clone()))),
        }
    }

    /// Ends the report, and returns what it was written to.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Junit(writer) => writer.finish(),
            Self::Ctrf(writer) => writer.finish(),
            Self::Tap(writer) => writer.finish(),
            Self::JsonLines(writer) => writer.finish(),
        }
    }
}

/// Returns a text for a format that cannot say that it is cut.
pub(super) fn whole(excerpt: &Excerpt) -> std::borrow::Cow<'_, str> {
    match excerpt.cut_bytes {
        0 => excerpt.text.as_str().into(),
        cut => format!("{}\n[{cut} more bytes are not kept]", excerpt.text).into(),
    }
}

/// What CTRF and TAP have no field for, as tstr writes it into a field of its own and reads it again.
///
/// It travels as JSON in one string, so that a reader's limit for strings bounds it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Own {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) suite: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) classname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) test_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<CaseStatus>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) flaky: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) disabled: bool,
    /// The case does not say how long it took.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) no_duration: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) assertions: Option<u64>,
    /// The findings of the last attempt, where the format has no place for all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) findings: Vec<Finding>,
    /// The attempts before the last one, where the format has no place for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) earlier: Vec<CaseAttempt>,
}

impl Own {
    /// Returns the JSON; nothing when there is nothing to say.
    pub(super) fn json(&self) -> Option<String> {
        (*self != Self::default()).then(|| serde_json::to_string(self).ok()).flatten()
    }

    /// Reads the JSON; nothing when it is not what tstr writes.
    pub(super) fn parse(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Puts what was read into a case. Anybody can write such a field, so nothing in it is trusted more than elsewhere.
    pub(super) fn apply(self, case: &mut Case) {
        let name = |text: String| Some(text::name(&text).0).filter(|text| !text.is_empty());
        if !self.suite.is_empty() {
            case.key.suite = self.suite.into_iter().take(MAX_DEPTH).filter_map(name).collect();
        }
        case.key.classname = self.classname.and_then(name).or(case.key.classname.take());
        case.key.name = self.name.map_or_else(|| std::mem::take(&mut case.key.name), |text| text::name(&text).0);
        case.key.file = self.file.and_then(name).or(case.key.file.take());
        case.key.test_id = self.test_id.and_then(name).or(case.key.test_id.take());
        case.assertions = self.assertions.or(case.assertions);
        if self.no_duration {
            case.duration_ms = None;
        }
        if let Some(status) = self.status
            && status.is_failure() == case.status.is_failure()
        {
            // A failure may be an error; nothing makes a pass of it.
            case.status = status;
            case.attempts.iter_mut().next_back().into_iter().for_each(|last| last.status = status);
        }
        case.disabled |= self.disabled && case.status == CaseStatus::Skip;
        if let Some(last) = case.attempts.last_mut()
            && !self.findings.is_empty()
        {
            let text = last.findings.first_mut().and_then(|finding| finding.text.take());
            last.findings = self.findings.into_iter().take(MAX_FINDINGS).map(clean_finding).collect();
            if let Some(first) = last.findings.first_mut() {
                first.text = first.text.take().or(text);
            }
        }
        let earlier = self.earlier.into_iter().take(MAX_ATTEMPTS - 1).map(|attempt| CaseAttempt {
            findings: attempt.findings.into_iter().take(MAX_FINDINGS).map(clean_finding).collect(),
            stdout: None,
            stderr: None,
            ..attempt
        });
        case.attempts.splice(0..0, earlier);
        let failed_before = case.attempts.iter().any(|attempt| attempt.status.is_failure());
        case.flaky = case.status == CaseStatus::Pass && (case.flaky || self.flaky || failed_before);
    }
}

fn clean_finding(finding: Finding) -> Finding {
    let clean = |text: String| text::clean(&text).into_owned();
    Finding {
        message: finding.message.map(clean),
        kind: finding.kind.map(clean),
        text: finding.text.map(|text| Excerpt { text: clean(text.text), ..text }),
        ..finding
    }
}
