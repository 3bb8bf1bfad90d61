//! Cases and suites while their elements are open.

use crate::report::case::{Attachment, Case, CaseAttempt, CaseKey, CaseStatus, Excerpt, Finding, Property, Suite};
use crate::report::limits::{MAX_ATTACHMENTS, MAX_ATTEMPTS, MAX_FINDINGS, MAX_PROPERTIES, MAX_PROPERTY};
use crate::report::note::Position;
use crate::report::reconcile::Counts;
use crate::report::text;

/// What both cases and suites have.
#[derive(Default)]
pub(super) struct Common {
    pub(super) properties: Vec<Property>,
    pub(super) attachments: Vec<Attachment>,
    pub(super) findings: Vec<Finding>,
    pub(super) stdout: Option<Excerpt>,
    pub(super) stderr: Option<Excerpt>,
    /// How many bytes of text there is still room for.
    pub(super) room: usize,
    /// How many properties, attachments, findings and attempts there was no room for.
    pub(super) over: u64,
    /// How many values are too long, and are cut.
    pub(super) cut: u64,
}

impl Common {
    pub(super) fn property(&mut self, name: String, value: &str) {
        let clean = text::clean(value);
        let (kept, rest) = text::cut(&clean, MAX_PROPERTY);
        self.cut += u64::from(rest > 0);
        let value = kept.to_owned();
        if name.starts_with("attachment") {
            self.attachment(value.clone());
        }
        push(&mut self.properties, Property { name, value }, MAX_PROPERTIES, &mut self.over);
    }

    pub(super) fn attachment(&mut self, path: String) {
        if !path.is_empty() && !self.attachments.iter().any(|known| known.path == path) {
            let attachment = Attachment { path, name: None, content_type: None };
            push(&mut self.attachments, attachment, MAX_ATTACHMENTS, &mut self.over);
        }
    }

    pub(super) fn finding(&mut self, finding: Finding) {
        self.used(finding.text.as_ref());
        push(&mut self.findings, finding, MAX_FINDINGS, &mut self.over);
    }

    /// Links the files that a text names.
    pub(super) fn link(&mut self, text: &Excerpt) {
        for path in attachment_paths(&text.text) {
            self.attachment(text::name(path).0);
        }
    }

    pub(super) fn output(&mut self, is_stderr: bool, text: Excerpt) {
        join(if is_stderr { &mut self.stderr } else { &mut self.stdout }, text);
    }

    pub(super) fn used(&mut self, text: Option<&Excerpt>) {
        self.room = self.room.saturating_sub(text.map_or(0, |text| text.text.len()));
    }
}

/// Adds a text to the one that stands there; what comes behind a cut is counted with it.
pub(super) fn join(slot: &mut Option<Excerpt>, text: Excerpt) {
    match slot {
        None => *slot = Some(text),
        Some(first) if first.cut_bytes > 0 || text.text.is_empty() => {
            first.cut_bytes += text.cut_bytes + text.text.len() as u64;
        }
        Some(first) => {
            first.text.push('\n');
            first.text.push_str(&text.text);
            first.cut_bytes = text.cut_bytes;
        }
    }
}

/// Returns the paths of `[[ATTACHMENT|path]]`, the convention of Jenkins.
fn attachment_paths(text: &str) -> impl Iterator<Item = &str> {
    text.split("[[ATTACHMENT|").skip(1).filter_map(|rest| rest.split_once("]]")).map(|(path, _)| path.trim())
}

pub(super) fn push<T>(list: &mut Vec<T>, item: T, limit: usize, over: &mut u64) {
    if list.len() < limit {
        list.push(item);
    } else {
        *over += 1;
    }
}

/// An open suite.
pub(super) struct OpenSuite {
    pub(super) suite: Suite,
    pub(super) common: Common,
    /// What was read of its cases and of those of suites inside of it.
    pub(super) all: Counts,
    /// Which of the report's suites it is.
    pub(super) number: u64,
    pub(super) at: Position,
}

impl OpenSuite {
    pub(super) fn finish(self) -> Suite {
        let Common { properties, attachments, findings, stdout, stderr, .. } = self.common;
        Suite { properties, attachments, findings, stdout, stderr, ..self.suite }
    }
}

/// The type of a skip that says that the test is to be done: its failure does not count.
pub(super) const TODO: &str = "todo";

/// An open case.
pub(super) struct OpenCase {
    pub(super) key: CaseKey,
    pub(super) common: Common,
    /// Attempts that failed before the one that the case's own children tell of.
    pub(super) before: Vec<CaseAttempt>,
    /// Attempts that failed after it.
    pub(super) after: Vec<CaseAttempt>,
    pub(super) duration_ms: Option<u64>,
    pub(super) line: Option<u32>,
    pub(super) assertions: Option<u64>,
    /// It is said to be flaky; no attempt needs to show it.
    pub(super) is_flaky: bool,
    /// What the attributes say about the status.
    pub(super) says: Says,
    pub(super) at: Position,
}

/// What the attributes `status` and `result` say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Says {
    pub(super) status: CaseStatus,
    pub(super) is_disabled: bool,
    /// It is a word that is known.
    pub(super) is_known: bool,
}

impl Says {
    pub(super) const NOTHING: Self = Self { status: CaseStatus::Pass, is_disabled: false, is_known: true };

    pub(super) fn of(word: &str) -> Self {
        let known = |status, is_disabled| Self { status, is_disabled, is_known: true };
        match word.trim().to_ascii_lowercase().as_str() {
            "" | "run" | "completed" | "passed" | "pass" | "success" | "successful" | "succeeded" | "ok" => {
                Self::NOTHING
            }
            "failed" | "fail" | "failure" => known(CaseStatus::Fail, false),
            "error" | "errored" | "broken" => known(CaseStatus::Error, false),
            "skipped" | "skip" | "ignored" | "pending" | "todo" => known(CaseStatus::Skip, false),
            "notrun" | "suppressed" | "disabled" => known(CaseStatus::Skip, true),
            _ => Self { is_known: false, ..Self::NOTHING },
        }
    }
}

impl OpenCase {
    pub(super) fn attempt(&mut self, is_after: bool, attempt: CaseAttempt) {
        attempt.findings.iter().for_each(|finding| self.common.used(finding.text.as_ref()));
        let attempts = if is_after { &mut self.after } else { &mut self.before };
        push(attempts, attempt, MAX_ATTEMPTS / 2 - 1, &mut self.common.over);
    }

    pub(super) fn finish(self) -> Case {
        let Common { properties, attachments, findings, stdout, stderr, .. } = self.common;
        // A test that is to be done and fails, in the words of node:test.
        let is_todo = |it: &Finding| it.status == CaseStatus::Skip && it.kind.as_deref() == Some(TODO);
        let mut findings = findings;
        if findings.iter().any(is_todo) {
            findings.iter_mut().for_each(|finding| finding.status = CaseStatus::Skip);
        }
        let worst = [CaseStatus::Error, CaseStatus::Fail, CaseStatus::Skip]
            .into_iter()
            .find(|status| findings.iter().any(|finding| finding.status == *status));
        let own = worst.unwrap_or(self.says.status);
        let mut attempts = self.before;
        // A case that tells only of reruns failed before them, but does not say how.
        if own != CaseStatus::Pass || self.after.is_empty() {
            attempts.push(CaseAttempt {
                status: own,
                duration_ms: self.duration_ms,
                findings,
                stdout: None,
                stderr: None,
            });
        }
        attempts.extend(self.after);
        let status = attempts.last().map_or(own, |attempt| attempt.status);
        let failed_before = attempts.iter().any(|attempt| attempt.status.is_failure());
        Case {
            flaky: status == CaseStatus::Pass && (self.is_flaky || failed_before),
            disabled: status == CaseStatus::Skip && self.says.is_disabled,
            duration_ms: self.duration_ms,
            attempts,
            properties,
            attachments,
            line: self.line,
            assertions: self.assertions,
            stdout,
            stderr,
            ..Case::new(self.key, status)
        }
    }
}
