//! From the object of one test to a case.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::loose::{Loose, Piece};
use super::reader::{Reading, Test, add_text, drain, scalars};
use crate::report::case::{Attachment, Case, CaseAttempt, CaseKey, CaseStatus, Excerpt, Finding, Property};
use crate::report::intake::Place;
use crate::report::limits::{MAX_ATTACHMENTS, MAX_ATTEMPTS, MAX_DEPTH, MAX_PROPERTIES};
use crate::report::note::{NoteCode, Position};
use crate::report::number;
use crate::report::reconcile::Counts;
use crate::report::text::{self, Gather};
use crate::report::write::Own;

/// A test while its object is open.
struct OpenTest {
    key: CaseKey,
    status: Option<String>,
    raw_status: Option<String>,
    message: Option<String>,
    trace: Option<Excerpt>,
    duration_ms: Option<u64>,
    is_flaky: bool,
    retries: Option<f64>,
    attempts: Vec<CaseAttempt>,
    properties: Vec<Property>,
    attachments: Vec<Attachment>,
    line: Option<u32>,
    stdout: Option<Excerpt>,
    stderr: Option<Excerpt>,
    own: Option<Own>,
    over: u64,
    room: usize,
    at: Position,
}

impl Test<'_, '_, '_, '_> {
    pub(super) fn otherwise(self) {
        let at = Some(self.0.here.at.get());
        self.0.intake.note(NoteCode::BadStatus, "an element of 'tests' is no object, and no case", at);
    }

    pub(super) fn array<'de, A: SeqAccess<'de>>(self, values: A) -> Result<(), A::Error> {
        drain(values)?;
        self.otherwise();
        Ok(())
    }

    pub(super) fn object<'de, A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let reading = self.0;
        let mut test = OpenTest {
            key: CaseKey::default(),
            status: None,
            raw_status: None,
            message: None,
            trace: None,
            duration_ms: None,
            is_flaky: false,
            retries: None,
            attempts: Vec::new(),
            properties: Vec::new(),
            attachments: Vec::new(),
            line: None,
            stdout: None,
            stderr: None,
            own: None,
            over: 0,
            room: reading.intake.limits().case_text,
            at: reading.here.at.get(),
        };
        let outcome = test.read(reading, &mut fields);
        if let Err(error) = outcome {
            test.break_off(reading);
            return Err(error);
        }
        test.finish(reading);
        Ok(())
    }
}

impl OpenTest {
    fn read<'de, A: MapAccess<'de>>(
        &mut self,
        reading: &mut Reading<'_, '_, '_>,
        fields: &mut A,
    ) -> Result<(), A::Error> {
        while let Some(key) = fields.next_key::<String>()? {
            match key.as_str() {
                "name" => {
                    let name = reading.any(fields)?;
                    self.key.name = reading.name(name).unwrap_or_default();
                }
                "suite" => {
                    let (mut names, mut over) = (Vec::new(), 0);
                    reading.pieces(fields, |piece| match piece {
                        Piece::Value(value) if names.len() < MAX_DEPTH => names.push(value),
                        Piece::Value(_) => over += 1,
                        Piece::Begin | Piece::Field(..) => {}
                    })?;
                    self.over += over;
                    self.key.suite = names.into_iter().filter_map(|name| reading.name(name)).collect();
                }
                "filePath" => {
                    let file = reading.any(fields)?;
                    self.key.file = reading.name(file);
                }
                "testId" => {
                    let id = reading.any(fields)?;
                    self.key.test_id = reading.name(id);
                }
                "status" => self.status = reading.any(fields)?.text(),
                "rawStatus" => self.raw_status = reading.any(fields)?.text(),
                "message" => {
                    let message = reading.any(fields)?;
                    self.message = reading.message(message);
                }
                "trace" => {
                    let trace = reading.any(fields)?;
                    self.trace = reading.long_text(trace, &mut self.room);
                }
                "duration" => {
                    let duration = reading.any(fields)?;
                    self.duration_ms = reading.duration(&duration);
                }
                "flaky" | "flake" => self.is_flaky = reading.any(fields)?.is_true(),
                "retries" => self.retries = reading.any(fields)?.number(),
                "line" => self.line = reading.any(fields)?.number().filter(|n| *n >= 0.0).map(|n| n as u32),
                "stdout" => self.stdout = self.output(reading, fields)?,
                "stderr" => self.stderr = self.output(reading, fields)?,
                "attachments" => {
                    let mut found = std::mem::take(&mut self.attachments);
                    let over = &mut self.over;
                    reading.pieces(fields, |piece| attachment(&mut found, piece, over))?;
                    self.attachments = found;
                }
                "retryAttempts" => fields.next_value_seed(Attempts { test: self, reading, inner: false })?,
                "tags" => self.fields(reading, fields, "tag")?,
                "labels" => self.fields(reading, fields, "label")?,
                "parameters" => self.fields(reading, fields, "parameter")?,
                "extra" => self.fields(reading, fields, "extra")?,
                "steps" | "insights" | "screenshot" | "ai" => {
                    fields.next_value::<IgnoredAny>()?;
                    reading.here.cut.take();
                    reading.ignore(&key);
                }
                _ => {
                    let value = reading.any(fields)?;
                    reading.property(&mut self.properties, &mut self.over, &key, value);
                }
            }
        }
        Ok(())
    }

    fn output<'de, A: MapAccess<'de>>(
        &mut self,
        reading: &mut Reading<'_, '_, '_>,
        fields: &mut A,
    ) -> Result<Option<Excerpt>, A::Error> {
        let mut gather = Gather::new(reading.intake.limits().text.min(self.room));
        reading.pieces(fields, |piece| {
            if let Piece::Value(value) = piece {
                add_text(&mut gather, value);
            }
        })?;
        Ok(reading.gathered(gather, &mut self.room))
    }

    /// Reads an array or an object of simple values as properties with a name in front.
    fn fields<'de, A: MapAccess<'de>>(
        &mut self,
        reading: &mut Reading<'_, '_, '_>,
        fields: &mut A,
        prefix: &str,
    ) -> Result<(), A::Error> {
        let (mut found, mut over) = (Vec::new(), 0);
        reading.pieces(fields, |piece| {
            let (name, value) = match piece {
                Piece::Begin => return,
                Piece::Field(key, value) => (Some(key.to_owned()), value),
                Piece::Value(value) => (None, value),
            };
            if found.len() < MAX_PROPERTIES { found.push((name, value)) } else { over += 1 }
        })?;
        self.over += over;
        for (name, value) in found {
            if prefix == "extra" && name.as_deref() == Some("tstr") {
                self.own = value.text().and_then(|json| Own::parse(&json));
                continue;
            }
            let name = name.map_or_else(|| prefix.to_owned(), |name| format!("{prefix}.{name}"));
            reading.property(&mut self.properties, &mut self.over, &name, value);
        }
        Ok(())
    }

    /// Keeps of a test what there was when the file broke off.
    fn break_off(mut self, reading: &mut Reading<'_, '_, '_>) {
        if self.key.name.is_empty() && self.status.is_none() {
            return;
        }
        let name = text::cut(&self.key.name, 200).0;
        reading.intake.note(NoteCode::Unfinished, format!("the report ends inside of '{name}'"), Some(self.at));
        if self.status.as_deref() != Some("failed") {
            self.status = Some("other".into());
            self.message = Some("the report ends inside of this case".into());
        }
        self.finish(reading);
    }

    fn finish(self, reading: &mut Reading<'_, '_, '_>) {
        let at = Some(self.at);
        let word = self.status.as_deref().unwrap_or("");
        let raw = self.raw_status.as_deref().unwrap_or("").to_ascii_lowercase();
        let is_error = word == "failed" && matches!(raw.as_str(), "error" | "errored" | "broken");
        let is_todo = word == "other" && raw == "todo";
        let status = match (is_error, is_todo) {
            (true, _) => Some(CaseStatus::Error),
            (false, true) => Some(CaseStatus::Skip),
            (false, false) => status(word),
        };
        let status = status.unwrap_or_else(|| {
            let message = format!("'{}' is no status of CTRF; read as an error", number::shorten(word));
            reading.intake.note(NoteCode::BadStatus, message, at);
            CaseStatus::Error
        });
        let mut properties = self.properties;
        let mut findings = Vec::new();
        let kind = self.raw_status.clone().filter(|_| word == "other");
        match (status, self.message, self.trace) {
            (_, None, None) if kind.is_none() => {}
            (CaseStatus::Pass, message, trace) => {
                for (name, text) in [("message", message), ("trace", trace.map(|trace| trace.text))] {
                    if let Some(text) = text {
                        reading.property(&mut properties, &mut 0, name, Loose::Text(text, 0));
                    }
                }
            }
            (status, message, text) => findings.push(Finding { status, message, kind, text }),
        }
        if let Some(raw) = self.raw_status
            && status != CaseStatus::Error
            && !raw.is_empty()
            && !raw.eq_ignore_ascii_case(word)
        {
            reading.property(&mut properties, &mut 0, "rawStatus", Loose::Text(raw, 0));
        }
        let mut attempts = self.attempts;
        // The list holds the attempts before the last one, or all of them.
        let holds_last = self.retries.is_some_and(|retries| (attempts.len() as f64) > retries) && !attempts.is_empty();
        let last = CaseAttempt { duration_ms: self.duration_ms, findings, ..CaseAttempt::new(status) };
        match attempts.last_mut() {
            Some(listed) if holds_last && listed.status == status => {
                listed.findings =
                    if last.findings.is_empty() { std::mem::take(&mut listed.findings) } else { last.findings };
            }
            _ => attempts.push(last),
        }
        if let Some(retries) = self.retries.filter(|retries| *retries > 0.0 && attempts.len() == 1) {
            reading.property(&mut properties, &mut 0, "retries", Loose::Number(retries, retries.to_string()));
        }
        let failed_before = attempts.iter().any(|attempt| attempt.status.is_failure());
        if self.is_flaky && status != CaseStatus::Pass {
            let message = "a case is said to be flaky, and did not pass";
            reading.intake.note(NoteCode::BadStatus, message, at);
        }
        let mut case = Case {
            flaky: status == CaseStatus::Pass && (self.is_flaky || failed_before),
            duration_ms: self.duration_ms,
            attempts,
            properties,
            attachments: self.attachments,
            line: self.line,
            stdout: self.stdout,
            stderr: self.stderr,
            ..Case::new(self.key, status)
        };
        if let Some(own) = self.own {
            own.apply(&mut case);
        }
        if self.over > 0 {
            let message = format!("a case has {} properties, attachments or attempts too many", self.over);
            reading.intake.note(NoteCode::TooMany, message, at);
        }
        reading.intake.case(case, &mut Counts::default(), Place::Elsewhere, at);
    }
}

fn status(word: &str) -> Option<CaseStatus> {
    match word {
        "passed" => Some(CaseStatus::Pass),
        "failed" => Some(CaseStatus::Fail),
        "skipped" | "pending" => Some(CaseStatus::Skip),
        "other" => Some(CaseStatus::Error),
        _ => None,
    }
}

fn attachment(list: &mut Vec<Attachment>, piece: Piece<'_>, over: &mut u64) {
    let name = |value: Loose| value.text().map(|text| text::name(&text).0).filter(|text| !text.is_empty());
    match piece {
        Piece::Begin if list.len() < MAX_ATTACHMENTS => {
            list.push(Attachment { path: String::new(), name: None, content_type: None });
        }
        Piece::Begin => *over += 1,
        // Past the limit the last one would be overwritten.
        Piece::Field(..) if *over > 0 => {}
        Piece::Field(key, value) => {
            let Some(last) = list.last_mut() else { return };
            match key {
                "path" => last.path = name(value).unwrap_or_default(),
                "name" => last.name = name(value),
                "contentType" => last.content_type = name(value),
                _ => {}
            }
        }
        Piece::Value(_) => {}
    }
}

/// Reads `retryAttempts`, and each of its elements.
struct Attempts<'t, 'r, 'a, 'b, 'h> {
    test: &'t mut OpenTest,
    reading: &'r mut Reading<'a, 'b, 'h>,
    inner: bool,
}

impl Attempts<'_, '_, '_, '_, '_> {
    fn otherwise(self) {
        self.test.over += 1;
    }
}

impl<'de> DeserializeSeed<'de> for Attempts<'_, '_, '_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Attempts<'_, '_, '_, '_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of attempts")
    }
    scalars!();
    fn visit_seq<A: SeqAccess<'de>>(self, mut attempts: A) -> Result<(), A::Error> {
        if self.inner {
            return drain(attempts);
        }
        while attempts
            .next_element_seed(Attempts { test: &mut *self.test, reading: &mut *self.reading, inner: true })?
            .is_some()
        {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let (test, reading) = (self.test, self.reading);
        let mut attempt = CaseAttempt::new(CaseStatus::Error);
        let (mut message, mut trace, mut own) = (None, None, None);
        while let Some(key) = fields.next_key::<String>()? {
            match key.as_str() {
                "status" => {
                    let word = reading.any(&mut fields)?.text().unwrap_or_default();
                    attempt.status = status(&word).unwrap_or(CaseStatus::Error);
                }
                "duration" => {
                    let duration = reading.any(&mut fields)?;
                    attempt.duration_ms = reading.duration(&duration);
                }
                "message" => {
                    let text = reading.any(&mut fields)?;
                    message = reading.message(text);
                }
                "trace" => {
                    let text = reading.any(&mut fields)?;
                    trace = reading.long_text(text, &mut test.room);
                }
                "stdout" => attempt.stdout = test.output(reading, &mut fields)?,
                "stderr" => attempt.stderr = test.output(reading, &mut fields)?,
                "attachments" => {
                    let mut found = std::mem::take(&mut test.attachments);
                    let over = &mut test.over;
                    reading.pieces(&mut fields, |piece| attachment(&mut found, piece, over))?;
                    test.attachments = found;
                }
                "extra" => {
                    reading.pieces(&mut fields, |piece| {
                        if let Piece::Field("tstr", value) = piece {
                            own = value.text().and_then(|json| Own::parse(&json));
                        }
                    })?;
                }
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                    reading.here.cut.take();
                }
            }
        }
        if message.is_some() || trace.is_some() {
            attempt.findings.push(Finding { status: attempt.status, message, kind: None, text: trace });
        }
        if let Some(own) = own {
            let mut case = Case { attempts: vec![attempt], ..Case::new(CaseKey::default(), CaseStatus::Fail) };
            case.status = case.attempts[0].status;
            own.apply(&mut case);
            attempt = case.attempts.pop().unwrap_or(CaseAttempt::new(CaseStatus::Error));
        }
        if test.attempts.len() < MAX_ATTEMPTS {
            test.attempts.push(attempt)
        } else {
            test.over += 1
        }
        Ok(())
    }
}
