//! Writes CTRF that matches its JSON schema. The summary comes behind the tests, because nobody counted them before.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::SPEC_VERSION;
use crate::report::case::{Attachment, Case, CaseAttempt, CaseStatus, Excerpt, Finding};
use crate::report::reconcile::Counts;
use crate::report::text::clean;
use crate::report::write::{Header, Own, whole};

/// Writes CTRF.
///
/// An error is written as `failed` with the raw status `error`. What the schema has no field for stands in
/// `extra.tstr`.
pub struct CtrfWriter<W: Write> {
    out: W,
    counted: Counts,
    header: Header,
}

impl<W: Write> CtrfWriter<W> {
    /// Begins a report.
    pub fn new(mut out: W, header: &Header) -> io::Result<Self> {
        let tool = json!({"name": "tstr", "version": env!("CARGO_PKG_VERSION")});
        write!(
            out,
            "{{\"reportFormat\":\"CTRF\",\"specVersion\":\"{SPEC_VERSION}\",\"generatedBy\":\"tstr\",\
             \"results\":{{\"tool\":{tool},\"tests\":["
        )?;
        Ok(Self { out, counted: Counts::default(), header: header.clone() })
    }

    /// Writes a case.
    pub fn case(&mut self, case: &Case) -> io::Result<()> {
        self.out.write_all(if self.counted.cases > 0 { b",\n" } else { b"\n" })?;
        self.counted.add(case);
        serde_json::to_writer(&mut self.out, &test(case)).map_err(Into::into)
    }

    /// Ends the report.
    pub fn finish(mut self) -> io::Result<W> {
        let Counts { cases, passed, failed, errors, skipped, disabled, flaky, .. } = self.counted;
        let Header { name, started_ms, ended_ms, .. } = self.header;
        let summary = json!({
            "tests": cases, "passed": passed, "failed": failed + errors, "skipped": skipped + disabled,
            "pending": 0, "other": 0, "flaky": flaky, "start": started_ms, "stop": ended_ms.max(started_ms),
        });
        write!(self.out, "\n],\"summary\":{summary}")?;
        if !name.is_empty() {
            write!(self.out, ",\"environment\":{}", json!({"reportName": clean(&name)}))?;
        }
        self.out.write_all(b"}}\n")?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn word(status: CaseStatus) -> &'static str {
    match status {
        CaseStatus::Pass => "passed",
        CaseStatus::Fail | CaseStatus::Error => "failed",
        CaseStatus::Skip => "skipped",
    }
}

/// An object of which absent fields are left out.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.into(), value.into());
    }

    fn set_some(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    fn lines(&mut self, key: &str, text: Option<&Excerpt>) {
        self.set_some(key, text.map(|text| whole(text).lines().map(Value::from).collect::<Vec<_>>()));
    }

    fn findings(&mut self, findings: &[Finding]) {
        if let [first, ..] = findings {
            self.set_some("message", first.message.as_deref());
            self.set_some("trace", first.text.as_ref().map(whole));
        }
    }

    fn own(&mut self, own: &Own) {
        self.set_some("extra", own.json().map(|json| json!({"tstr": json})));
    }
}

fn test(case: &Case) -> Value {
    let key = &case.key;
    let mut test = Object::default();
    // The schema wants a name.
    test.set("name", if key.name.is_empty() { "(no name)" } else { &key.name });
    test.set("status", word(case.status));
    test.set("duration", case.duration_ms.unwrap_or(0));
    test.set_some("testId", key.test_id.as_deref());
    test.set_some("suite", (!key.suite.is_empty()).then(|| key.suite.clone()));
    test.set_some("filePath", key.file.as_deref());
    test.set_some("line", case.line);
    test.set_some("rawStatus", (case.status == CaseStatus::Error).then_some("error"));
    test.findings(case.findings());
    let earlier = case.attempts.split_last().map_or(&[][..], |(_, earlier)| earlier);
    if !earlier.is_empty() {
        test.set("retries", earlier.len());
        test.set("retryAttempts", earlier.iter().enumerate().map(|(at, it)| attempt(at + 1, it)).collect::<Vec<_>>());
    }
    if case.flaky {
        test.set("flaky", true);
    }
    test.lines("stdout", case.stdout.as_ref());
    test.lines("stderr", case.stderr.as_ref());
    if !case.attachments.is_empty() {
        test.set("attachments", case.attachments.iter().map(attachment).collect::<Vec<_>>());
    }
    if !case.properties.is_empty() {
        let label = |name: &str| name.strip_prefix("label.").unwrap_or(name).to_owned();
        let labels = case.properties.iter().map(|it| (label(&it.name), it.value.as_str().into()));
        let labels = labels.collect::<Map<_, _>>();
        test.set("labels", labels);
    }
    test.own(&Own {
        classname: key.classname.clone(),
        name: key.name.is_empty().then(String::new),
        status: (case.status == CaseStatus::Error).then_some(CaseStatus::Error),
        disabled: case.disabled,
        no_duration: case.duration_ms.is_none(),
        assertions: case.assertions,
        findings: more_than_fields(case.status, case.findings()),
        ..Own::default()
    });
    Value::Object(test.0)
}

fn attempt(number: usize, attempt: &CaseAttempt) -> Value {
    let mut object = Object::default();
    object.set("attempt", number);
    object.set("status", word(attempt.status));
    object.set_some("duration", attempt.duration_ms);
    object.findings(&attempt.findings);
    object.lines("stdout", attempt.stdout.as_ref());
    object.lines("stderr", attempt.stderr.as_ref());
    object.own(&Own {
        status: (attempt.status == CaseStatus::Error).then_some(CaseStatus::Error),
        findings: more_than_fields(attempt.status, &attempt.findings),
        ..Own::default()
    });
    Value::Object(object.0)
}

/// Returns the findings, when a message and a trace do not say all of them.
fn more_than_fields(status: CaseStatus, findings: &[Finding]) -> Vec<Finding> {
    match findings {
        [] => Vec::new(),
        [only] if only.kind.is_none() && only.status == status && status != CaseStatus::Error => Vec::new(),
        all => all.to_vec(),
    }
}

fn attachment(attachment: &Attachment) -> Value {
    json!({
        "name": attachment.name.as_deref().unwrap_or(&attachment.path),
        "contentType": attachment.content_type.as_deref().unwrap_or("application/octet-stream"),
        "path": attachment.path,
    })
}
