//! From JSON to cases, one element of `results.tests` at a time.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::loose::{Any, Here, Loose, Piece, Pieces};
use crate::report::Report;
use crate::report::case::{Excerpt, Property};
use crate::report::intake::Intake;
use crate::report::limits::{MAX_DURATION_MS, MAX_MESSAGE, MAX_PROPERTIES, MAX_PROPERTY};
use crate::report::note::NoteCode;
use crate::report::number::{self, milliseconds};
use crate::report::reconcile::{Declared, reconcile};
use crate::report::text::{self, Gather};

pub(super) struct Reading<'a, 'b, 'h> {
    pub(super) intake: Intake<'a, 'b>,
    pub(super) here: &'h Here,
    has_tests: bool,
    summary: Summary,
    ignored: std::collections::BTreeSet<String>,
}

#[derive(Default)]
struct Summary {
    tests: Option<u64>,
    failed: Option<u64>,
    skipped: Option<u64>,
    pending: Option<u64>,
    other: Option<u64>,
    start: Option<f64>,
    stop: Option<f64>,
}

impl<'a, 'b, 'h> Reading<'a, 'b, 'h> {
    pub(super) fn new(intake: Intake<'a, 'b>, here: &'h Here) -> Self {
        Self { intake, here, has_tests: false, summary: Summary::default(), ignored: std::collections::BTreeSet::new() }
    }

    /// Notes, once for each, a field that is not kept.
    pub(super) fn ignore(&mut self, field: &str) {
        let field = text::cut(field, 100).0;
        if self.ignored.len() < 64 && self.ignored.insert(field.to_owned()) {
            self.intake.note(NoteCode::Ignored, format!("'{field}' is not kept"), Some(self.here.at.get()));
        }
    }

    /// Reads an object, an array or a value, piece by piece.
    pub(super) fn pieces<'de, A: MapAccess<'de>>(
        &mut self,
        fields: &mut A,
        mut take: impl FnMut(Piece<'_>),
    ) -> Result<(), A::Error> {
        fields.next_value_seed(Pieces::new(self.here, &mut take))
    }

    pub(super) fn any<'de, A: MapAccess<'de>>(&mut self, fields: &mut A) -> Result<Loose, A::Error> {
        fields.next_value_seed(Any(self.here))
    }

    pub(super) fn property(&mut self, list: &mut Vec<Property>, over: &mut u64, name: &str, value: Loose) {
        match value {
            Loose::Null => {}
            Loose::Nested => self.ignore(name),
            value => {
                let value = value.text().unwrap_or_default();
                let clean = text::clean(&value);
                let (kept, cut) = text::cut(&clean, MAX_PROPERTY);
                if cut > 0 {
                    self.intake.note(
                        NoteCode::Cut,
                        format!("{cut} bytes of '{name}' are cut"),
                        Some(self.here.at.get()),
                    );
                }
                let property = Property { name: text::name(name).0, value: kept.to_owned() };
                if list.len() < MAX_PROPERTIES { list.push(property) } else { *over += 1 }
            }
        }
    }

    pub(super) fn name(&mut self, value: Loose) -> Option<String> {
        let (name, is_cut) = text::name(&value.text()?);
        if is_cut {
            self.intake.note(NoteCode::Cut, "a name is too long, and is cut", Some(self.here.at.get()));
        }
        Some(name).filter(|name| !name.is_empty())
    }

    pub(super) fn message(&mut self, value: Loose) -> Option<String> {
        let Loose::Text(message, cut_before) = value else { return value.text() };
        let tidy = text::tidy(&message)?;
        let (kept, cut) = text::cut(&tidy, MAX_MESSAGE);
        if cut > 0 || cut_before > 0 {
            let message = format!("{} bytes of a message are cut", cut as u64 + cut_before);
            self.intake.note(NoteCode::Cut, message, Some(self.here.at.get()));
        }
        Some(kept.to_owned())
    }

    pub(super) fn long_text(&mut self, value: Loose, room: &mut usize) -> Option<Excerpt> {
        let mut gather = Gather::new(self.intake.limits().text.min(*room));
        add_text(&mut gather, value);
        self.gathered(gather, room)
    }

    pub(super) fn gathered(&mut self, gather: Gather, room: &mut usize) -> Option<Excerpt> {
        if gather.is_cut() {
            let message = "a text is too long, and its end is not kept";
            self.intake.note(NoteCode::Cut, message, Some(self.here.at.get()));
        }
        let text = gather.finish()?;
        *room = room.saturating_sub(text.text.len());
        Some(text)
    }

    pub(super) fn duration(&mut self, value: &Loose) -> Option<u64> {
        let found = value.number().and_then(milliseconds);
        if found.is_none() && *value != Loose::Null {
            let message = format!("a duration is no number from 0 to {MAX_DURATION_MS} of milliseconds");
            self.intake.note(NoteCode::BadNumber, message, Some(self.here.at.get()));
        }
        found
    }

    pub(super) fn finish(mut self, is_whole: bool) -> Report {
        if !self.has_tests && is_whole {
            self.intake.note(NoteCode::NotAReport, "there are no 'results' with 'tests'", None);
        }
        let Summary { tests, failed, skipped, pending, other, start, stop } = self.summary;
        let skipped = skipped.map(|count| count.saturating_add(pending.unwrap_or(0))).or(pending);
        let declared = Declared { tests, failures: failed, errors: other, skipped, disabled: None };
        self.intake.report.declared = declared;
        self.intake.report.duration_ms = start.zip(stop).and_then(|(start, stop)| milliseconds(stop - start));
        if is_whole && self.has_tests && self.intake.report.cases_over_limit == 0 {
            let counted = self.intake.report.counted;
            for message in reconcile(&declared, &counted, &counted) {
                self.intake.note(NoteCode::CountMismatch, format!("summary: {message}"), None);
            }
        }
        let is_whole = is_whole && self.has_tests;
        self.intake.finish(is_whole)
    }
}

pub(super) fn add_text(gather: &mut Gather, value: Loose) {
    let cut = if let Loose::Text(_, cut) = value { cut } else { 0 };
    if let Some(text) = value.text() {
        gather.push_line(&text);
        gather.skipped(cut);
    }
}

/// Takes simple values where something else was hoped for.
macro_rules! scalars {
    () => {
        fn visit_unit<E>(self) -> Result<(), E> {
            self.otherwise();
            Ok(())
        }
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            self.otherwise();
            Ok(())
        }
        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            self.otherwise();
            Ok(())
        }
        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            self.otherwise();
            Ok(())
        }
        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            self.otherwise();
            Ok(())
        }
        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            self.otherwise();
            Ok(())
        }
    };
}

pub(super) use scalars;

/// What is read of an object, and what is said when something else stands there.
macro_rules! object {
    ($name:ident, $expects:literal) => {
        pub(super) struct $name<'r, 'a, 'b, 'h>(pub(super) &'r mut Reading<'a, 'b, 'h>);

        impl<'de> DeserializeSeed<'de> for $name<'_, '_, '_, '_> {
            type Value = ();
            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
                from.deserialize_any(self)
            }
        }

        impl<'de> Visitor<'de> for $name<'_, '_, '_, '_> {
            type Value = ();
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($expects)
            }
            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<(), A::Error> {
                self.object(fields)
            }
            scalars!();
            fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<(), A::Error> {
                self.array(values)
            }
        }
    };
}

object!(Document, "a report");
object!(Results, "results");
object!(Tests, "an array of tests");
object!(Test, "a test");

pub(super) fn drain<'de, A: SeqAccess<'de>>(mut values: A) -> Result<(), A::Error> {
    while values.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

impl Document<'_, '_, '_, '_> {
    fn otherwise(self) {}

    fn array<'de, A: SeqAccess<'de>>(self, values: A) -> Result<(), A::Error> {
        drain(values)
    }

    fn object<'de, A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let reading = self.0;
        while let Some(key) = fields.next_key::<String>()? {
            match key.as_str() {
                "results" => fields.next_value_seed(Results(reading))?,
                "reportFormat" => {
                    if reading.any(&mut fields)?.text().as_deref() != Some("CTRF") {
                        let at = Some(reading.here.at.get());
                        reading.intake.note(NoteCode::NotAReport, "'reportFormat' is not CTRF", at);
                    }
                }
                "specVersion" => {
                    let version = reading.any(&mut fields)?.text().unwrap_or_default();
                    if !version.starts_with("0.") && !version.starts_with("1.") {
                        let at = Some(reading.here.at.get());
                        let message = format!("version '{}' is not known; read as 1.0", number::shorten(&version));
                        reading.intake.note(NoteCode::Ignored, message, at);
                    }
                }
                "generatedBy" => {
                    let name = reading.any(&mut fields)?;
                    let name = reading.name(name);
                    reading.intake.report.producer = reading.intake.report.producer.take().or(name);
                }
                "reportId" | "runId" | "timestamp" => {
                    let value = reading.any(&mut fields)?;
                    let mut list = std::mem::take(&mut reading.intake.report.properties);
                    reading.property(&mut list, &mut 0, &key, value);
                    reading.intake.report.properties = list;
                }
                other => {
                    fields.next_value::<IgnoredAny>()?;
                    reading.ignore(other);
                }
            }
        }
        Ok(())
    }
}

impl Results<'_, '_, '_, '_> {
    fn otherwise(self) {}

    fn array<'de, A: SeqAccess<'de>>(self, values: A) -> Result<(), A::Error> {
        drain(values)
    }

    fn object<'de, A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let reading = self.0;
        while let Some(key) = fields.next_key::<String>()? {
            match key.as_str() {
                "tests" => fields.next_value_seed(Tests(reading))?,
                "tool" => {
                    let (mut name, mut version) = (None, None);
                    reading.pieces(&mut fields, |piece| match piece {
                        Piece::Field("name", value) => name = value.text(),
                        Piece::Field("version", value) => version = value.text(),
                        Piece::Begin | Piece::Field(..) | Piece::Value(_) => {}
                    })?;
                    let tool = name.into_iter().chain(version).collect::<Vec<_>>().join(" ");
                    reading.intake.report.producer = Some(text::name(&tool).0).filter(|tool| !tool.is_empty());
                }
                "summary" => {
                    let mut summary = std::mem::take(&mut reading.summary);
                    reading.pieces(&mut fields, |piece| {
                        let Piece::Field(key, value) = piece else { return };
                        let count = value.number().filter(|n| *n >= 0.0 && n.fract() == 0.0).map(|n| n as u64);
                        match key {
                            "tests" => summary.tests = count,
                            "failed" => summary.failed = count,
                            "skipped" => summary.skipped = count,
                            "pending" => summary.pending = count,
                            "other" => summary.other = count,
                            "start" => summary.start = value.number(),
                            "stop" => summary.stop = value.number(),
                            _ => {}
                        }
                    })?;
                    reading.summary = summary;
                }
                "environment" => {
                    let mut found = Vec::new();
                    reading.pieces(&mut fields, |piece| match piece {
                        Piece::Field(key, value) if found.len() < MAX_PROPERTIES => found.push((key.to_owned(), value)),
                        Piece::Begin | Piece::Field(..) | Piece::Value(_) => {}
                    })?;
                    let mut list = std::mem::take(&mut reading.intake.report.properties);
                    for (key, value) in found {
                        if key == "reportName" {
                            reading.intake.report.name = value.clone().text().map(|name| text::name(&name).0);
                        }
                        reading.property(&mut list, &mut 0, &key, value);
                    }
                    reading.intake.report.properties = list;
                }
                other => {
                    fields.next_value::<IgnoredAny>()?;
                    reading.ignore(other);
                }
            }
        }
        Ok(())
    }
}

impl Tests<'_, '_, '_, '_> {
    fn otherwise(self) {}

    fn object<'de, A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn array<'de, A: SeqAccess<'de>>(self, mut tests: A) -> Result<(), A::Error> {
        self.0.has_tests = true;
        while tests.next_element_seed(Test(self.0))?.is_some() {
            if self.0.intake.is_stopped() {
                return Err(A::Error::custom("nobody wants more"));
            }
        }
        Ok(())
    }
}
