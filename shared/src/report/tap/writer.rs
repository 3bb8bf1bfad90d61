//! Writes TAP 14: suites as subtests, and what TAP has no word for in the YAML block of a test point.

use std::io::{self, Write};

use crate::report::case::{Case, CaseAttempt, CaseStatus, Finding};
use crate::report::text::clean;
use crate::report::write::{Own, whole};

/// Writes TAP 14.
///
/// Subtests are opened and closed as the cases come; a suite that comes again is a subtest again.
pub struct TapWriter<W: Write> {
    out: W,
    levels: Vec<Level>,
}

#[derive(Default)]
struct Level {
    name: String,
    points: u64,
    has_failed: bool,
}

impl<W: Write> TapWriter<W> {
    /// Begins a report.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(b"TAP version 14\n")?;
        Ok(Self { out, levels: vec![Level::default()] })
    }

    /// Writes a case, in the subtest of its suite.
    pub fn case(&mut self, case: &Case) -> io::Result<()> {
        self.enter(&case.key.suite)?;
        let is_ok = !case.status.is_failure();
        if !is_ok {
            self.levels.iter_mut().for_each(|level| level.has_failed = true);
        }
        let described = description(&case.key.name);
        self.point(is_ok, described.as_deref().unwrap_or(""))?;
        if case.status == CaseStatus::Skip {
            let reason = case.findings().first().and_then(|finding| finding.message.as_deref()).unwrap_or("");
            write!(self.out, " # SKIP {}", one_line(reason))?;
        }
        self.out.write_all(b"\n")?;
        self.block(case, described.is_none())
    }

    /// Ends the report.
    pub fn finish(mut self) -> io::Result<W> {
        self.enter(&[])?;
        let count = self.levels.first().map_or(0, |level| level.points);
        writeln!(self.out, "1..{count}")?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Closes and opens subtests until those of `path` are open.
    fn enter(&mut self, path: &[String]) -> io::Result<()> {
        let open = self.levels.iter().skip(1).map(|level| &level.name);
        let common = open.zip(path).take_while(|(open, wanted)| open == wanted).count();
        while self.levels.len() > common + 1 {
            let indent = self.indent();
            let Some(level) = self.levels.pop() else { break };
            writeln!(self.out, "{indent}1..{}", level.points)?;
            self.point(!level.has_failed, &description(&level.name).unwrap_or_default())?;
            self.out.write_all(b"\n")?;
        }
        for name in &path[common..] {
            writeln!(self.out, "{}# Subtest: {}", self.indent(), one_line(name))?;
            self.levels.push(Level { name: name.clone(), ..Level::default() });
        }
        Ok(())
    }

    fn indent(&self) -> String {
        "    ".repeat(self.levels.len() - 1)
    }

    fn point(&mut self, is_ok: bool, description: &str) -> io::Result<()> {
        let indent = self.indent();
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        level.points += 1;
        let word = if is_ok { "ok" } else { "not ok" };
        write!(self.out, "{indent}{word} {}", level.points)?;
        if description.is_empty() { Ok(()) } else { write!(self.out, " - {description}") }
    }

    fn block(&mut self, case: &Case, needs_name: bool) -> io::Result<()> {
        let earlier = case.attempts.split_last().map_or(&[][..], |(_, earlier)| earlier);
        let key = &case.key;
        let is_plain = |name: &String| one_line(name) == *name;
        let own = Own {
            suite: if key.suite.iter().all(is_plain) { Vec::new() } else { key.suite.clone() },
            classname: key.classname.clone(),
            name: needs_name.then(|| key.name.clone()),
            file: key.file.clone(),
            test_id: key.test_id.clone(),
            status: (case.status == CaseStatus::Error).then_some(CaseStatus::Error),
            flaky: case.flaky,
            disabled: case.disabled,
            assertions: case.assertions,
            findings: more_than_block(case),
            earlier: earlier.iter().map(without_texts).collect(),
            ..Own::default()
        };
        let own = own.json();
        let first = case.findings().first().filter(|_| case.status.is_failure());
        let text = first.and_then(|finding| finding.text.as_ref());
        let message = first.and_then(|finding| finding.message.as_deref());
        if own.is_none() && message.is_none() && text.is_none() && case.duration_ms.is_none() && case.line.is_none() {
            return Ok(());
        }
        let indent = self.indent();
        writeln!(self.out, "{indent}  ---")?;
        if let Some(ms) = case.duration_ms {
            writeln!(self.out, "{indent}  duration_ms: {ms}")?;
        }
        if let Some(line) = case.line {
            writeln!(self.out, "{indent}  line: {line}")?;
        }
        if let Some(message) = message {
            writeln!(self.out, "{indent}  message: {}", json(message))?;
        }
        match text.map(whole) {
            // A plain `|` is all that older parsers understand, and takes the first line's indentation for its own.
            Some(text) if !text.starts_with(' ') => {
                writeln!(self.out, "{indent}  text: |")?;
                for line in clean(&text).lines() {
                    writeln!(self.out, "{indent}    {line}")?;
                }
            }
            Some(text) => writeln!(self.out, "{indent}  text: {}", json(&text))?,
            None => {}
        }
        // Always there, so that the text of a finding is known not to be the whole block.
        writeln!(self.out, "{indent}  tstr: {}", json(own.as_deref().unwrap_or("{}")))?;
        writeln!(self.out, "{indent}  ...")
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(clean(text).as_ref()).to_string()
}

fn more_than_block(case: &Case) -> Vec<Finding> {
    match case.findings() {
        [] => Vec::new(),
        [only] if only.kind.is_none() && only.status == case.status && case.status != CaseStatus::Error => {
            // The reason stands behind a word that may end in a colon.
            let is_told = |reason: &str| one_line(reason).trim_start_matches(':').trim() == reason;
            let skip_is_told = case.status != CaseStatus::Skip || only.message.as_deref().is_none_or(is_told);
            if skip_is_told { Vec::new() } else { vec![without_text(only)] }
        }
        all => all.iter().map(without_text).collect(),
    }
}

/// A line has no room for texts.
fn without_text(finding: &Finding) -> Finding {
    Finding { text: None, ..finding.clone() }
}

fn without_texts(attempt: &CaseAttempt) -> CaseAttempt {
    let findings = attempt.findings.iter().map(without_text).collect();
    CaseAttempt { findings, stdout: None, stderr: None, ..attempt.clone() }
}

fn one_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('#', "\\#")
}

/// Returns the description of a name that a reader finds the name in again; nothing when there is none.
fn description(name: &str) -> Option<String> {
    let described = escape(name);
    let line = format!("ok 1 - {described}");
    match super::line::Line::parse(&line, true) {
        super::line::Line::Point(point)
            if point.description == name
                && point.directive.is_none()
                && !point.opens_brace
                && !name.is_empty()
                && one_line(name) == name =>
        {
            Some(described)
        }
        _ => None,
    }
}
