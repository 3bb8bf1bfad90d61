//! Writes JUnit XML that GitLab and Jenkins read, and our own reader without loss.

use std::io::{self, Write};

use crate::report::case::{Case, CaseAttempt, CaseStatus, Excerpt, Finding, Hint, Repeat};
use crate::report::text::clean;
use crate::report::write::{FLAKY_PROPERTY, Header, whole};

/// Writes JUnit XML.
///
/// Suites are opened and closed as the cases come; a suite that comes again is opened again. Attempts are written in
/// the words of Surefire and nextest.
pub struct JunitWriter<W: Write> {
    out: W,
    open: Vec<String>,
}

impl<W: Write> JunitWriter<W> {
    /// Begins a report.
    pub fn new(mut out: W, header: &Header) -> io::Result<Self> {
        out.write_all(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites")?;
        let mut writer = Self { out, open: Vec::new() };
        if !header.name.is_empty() {
            writer.attribute("name", &header.name)?;
        }
        if let Some(totals) = &header.totals {
            for (name, count) in [
                ("tests", totals.cases),
                ("failures", totals.failed),
                ("errors", totals.errors),
                ("skipped", totals.skipped + totals.disabled),
                ("disabled", totals.disabled),
            ] {
                writer.attribute(name, &count.to_string())?;
            }
        }
        if header.ended_ms > header.started_ms {
            writer.attribute("time", &seconds(header.ended_ms - header.started_ms))?;
        }
        writer.out.write_all(b">\n")?;
        Ok(writer)
    }

    /// Writes a case, in its suite.
    pub fn case(&mut self, case: &Case) -> io::Result<()> {
        // A case stands in a suite, even if in one without a name.
        let nameless = [String::new()];
        if case.repeat == Repeat::Ambiguous
            && let Some((_, around)) = self.open.clone().split_last()
        {
            // In the same suite it could be taken for a retry.
            self.enter(around)?;
        }
        self.enter(if case.key.suite.is_empty() { &nameless } else { &case.key.suite })?;
        self.out.write_all(b"<testcase")?;
        self.attribute("name", &case.key.name)?;
        self.optional("classname", case.key.classname.as_deref())?;
        self.optional("file", case.key.file.as_deref())?;
        self.optional("line", case.line.map(|line| line.to_string()).as_deref())?;
        self.optional("assertions", case.assertions.map(|count| count.to_string()).as_deref())?;
        self.optional("time", case.duration_ms.map(seconds).as_deref())?;
        if case.disabled {
            self.attribute("status", "notrun")?;
        }
        self.out.write_all(b">")?;
        self.properties(case)?;
        self.attempts(case)?;
        self.text("system-out", case.stdout.as_ref())?;
        self.text("system-err", case.stderr.as_ref())?;
        self.out.write_all(b"</testcase>\n")
    }

    /// Ends the report.
    pub fn finish(mut self) -> io::Result<W> {
        self.enter(&[])?;
        self.out.write_all(b"</testsuites>\n")?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Closes and opens suites until those of `path` are open.
    fn enter(&mut self, path: &[String]) -> io::Result<()> {
        let common = self.open.iter().zip(path).take_while(|(open, wanted)| open == wanted).count();
        for _ in self.open.drain(common..) {
            self.out.write_all(b"</testsuite>\n")?;
        }
        for name in &path[common..] {
            self.out.write_all(b"<testsuite")?;
            self.attribute("name", name)?;
            self.out.write_all(b">\n")?;
            self.open.push(name.clone());
        }
        Ok(())
    }

    fn properties(&mut self, case: &Case) -> io::Result<()> {
        let own = [
            case.key.test_id.as_deref().map(|id| ("testId", id)),
            (case.flaky && !case.attempts.iter().any(|attempt| attempt.status.is_failure()))
                .then_some((FLAKY_PROPERTY, "true")),
        ];
        let written = |name: &str| name == FLAKY_PROPERTY || name == "testId";
        let known = case.properties.iter().filter(|property| !written(&property.name));
        let known: Vec<_> = known.map(|property| (property.name.as_str(), property.value.as_str())).collect();
        let marked = case.stdout.iter().chain(&case.stderr).map(|text| text.text.as_str());
        let marked: Vec<_> = marked.filter(|text| text.contains("[[ATTACHMENT|")).collect();
        let attachments = case.attachments.iter().map(|attachment| attachment.path.as_str()).filter(|path| {
            let is_property = |p: &&crate::report::Property| p.hint() == Hint::Attachment && p.value == *path;
            !case.properties.iter().any(|property| is_property(&property))
                && !marked.iter().any(|text| text.contains(&format!("[[ATTACHMENT|{path}]]")))
        });
        let all = own.into_iter().flatten().chain(known).chain(attachments.map(|path| ("attachment", path)));
        let all: Vec<_> = all.collect();
        if all.is_empty() {
            return Ok(());
        }
        self.out.write_all(b"<properties>")?;
        for (name, value) in all {
            self.out.write_all(b"<property")?;
            self.attribute("name", name)?;
            self.attribute("value", value)?;
            self.out.write_all(b"/>")?;
        }
        self.out.write_all(b"</properties>")
    }

    fn attempts(&mut self, case: &Case) -> io::Result<()> {
        let failed = |attempt: &&CaseAttempt| attempt.status.is_failure();
        let Some((last, earlier)) = case.attempts.split_last() else {
            return self.findings(&CaseAttempt::new(case.status));
        };
        if !last.status.is_failure() {
            for attempt in earlier.iter().filter(failed) {
                self.retried("flaky", attempt)?;
            }
            return self.findings(last);
        }
        let mut all = case.attempts.iter().filter(failed);
        if let Some(first) = all.next() {
            self.findings(first)?;
        }
        all.try_for_each(|attempt| self.retried("rerun", attempt))
    }

    /// Writes the children of a case that tell of one attempt.
    fn findings(&mut self, attempt: &CaseAttempt) -> io::Result<()> {
        let Some(rank) = rank(attempt.status) else { return Ok(()) };
        let mut is_told = false;
        for finding in &attempt.findings {
            // A finding that is worse than the status would become the status.
            let status = if self::rank(finding.status) > Some(rank) { attempt.status } else { finding.status };
            let Some(element) = element(status) else { continue };
            is_told |= status == attempt.status;
            self.finding(element, finding, None, |_| Ok(()))?;
        }
        match element(attempt.status) {
            Some(element) if !is_told => write!(self.out, "<{element}/>"),
            _ => Ok(()),
        }
    }

    fn retried(&mut self, prefix: &str, attempt: &CaseAttempt) -> io::Result<()> {
        let element = format!("{prefix}{}", if attempt.status == CaseStatus::Error { "Error" } else { "Failure" });
        let empty = Finding { status: attempt.status, message: None, kind: None, text: None };
        let first = attempt.findings.first().unwrap_or(&empty);
        self.finding(&element, first, attempt.duration_ms, |writer| {
            // There is one element for an attempt, so that more findings stand in its text.
            for finding in attempt.findings.iter().skip(1) {
                for text in finding.message.as_deref().into_iter().chain(finding.text.as_ref().map(|t| t.text.as_str()))
                {
                    escape(&mut writer.out, &format!("\n{text}"), false)?;
                }
            }
            writer.text("system-out", attempt.stdout.as_ref())?;
            writer.text("system-err", attempt.stderr.as_ref())
        })
    }

    fn finding(
        &mut self,
        element: &str,
        finding: &Finding,
        duration_ms: Option<u64>,
        inside: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        write!(self.out, "<{element}")?;
        self.optional("message", finding.message.as_deref())?;
        self.optional("type", finding.kind.as_deref())?;
        self.optional("time", duration_ms.map(seconds).as_deref())?;
        self.out.write_all(b">")?;
        if let Some(text) = &finding.text {
            escape(&mut self.out, &whole(text), false)?;
        }
        inside(self)?;
        write!(self.out, "</{element}>")
    }

    fn text(&mut self, element: &str, text: Option<&Excerpt>) -> io::Result<()> {
        let Some(text) = text else { return Ok(()) };
        write!(self.out, "<{element}>")?;
        escape(&mut self.out, &whole(text), false)?;
        write!(self.out, "</{element}>")
    }

    fn attribute(&mut self, name: &str, value: &str) -> io::Result<()> {
        write!(self.out, " {name}=\"")?;
        escape(&mut self.out, value, true)?;
        self.out.write_all(b"\"")
    }

    fn optional(&mut self, name: &str, value: Option<&str>) -> io::Result<()> {
        value.map_or(Ok(()), |value| self.attribute(name, value))
    }
}

fn element(status: CaseStatus) -> Option<&'static str> {
    match status {
        CaseStatus::Pass => None,
        CaseStatus::Fail => Some("failure"),
        CaseStatus::Error => Some("error"),
        CaseStatus::Skip => Some("skipped"),
    }
}

/// Orders what wins over what among the children of a case; a pass has none.
fn rank(status: CaseStatus) -> Option<u8> {
    match status {
        CaseStatus::Pass => None,
        CaseStatus::Skip => Some(1),
        CaseStatus::Fail => Some(2),
        CaseStatus::Error => Some(3),
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// Writes a text with everything escaped that XML would take for something else.
fn escape(out: &mut impl Write, text: &str, in_attribute: bool) -> io::Result<()> {
    let text = clean(text);
    let mut kept = 0;
    for (at, byte) in text.bytes().enumerate() {
        let instead: &[u8] = match byte {
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            b'&' => b"&amp;",
            b'"' if in_attribute => b"&quot;",
            // As they are, they would be read as spaces.
            b'\n' if in_attribute => b"&#10;",
            b'\t' if in_attribute => b"&#9;",
            _ => continue,
        };
        out.write_all(&text.as_bytes()[kept..at])?;
        out.write_all(instead)?;
        kept = at + 1;
    }
    out.write_all(&text.as_bytes()[kept..])
}
