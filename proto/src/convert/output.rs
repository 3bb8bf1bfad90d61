//! What attempts say about themselves: result data, metrics, summaries, and the notes about them.

use std::collections::BTreeMap;

use serde_json::Value;
use tstr_shared::error::Invalid;
use tstr_shared::output::{AttemptOutput, Metric, Output, OutputNote};

use super::words::{read_optional, write_optional};
use super::{narrow, parts, required_part};
use crate::v1 as pb;

/// Makes the text of result data: a JSON object, or nothing. A `Struct` of the wire would lose the digits of integers.
pub(super) fn data_text(data: BTreeMap<String, Value>) -> String {
    match data.is_empty() {
        true => String::new(),
        false => Value::Object(data.into_iter().collect()).to_string(),
    }
}

/// Reads the text of result data at `place`.
pub(super) fn data(place: &str, text: &str) -> Result<BTreeMap<String, Value>, Invalid> {
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    serde_json::from_str(text).map_err(|fault| Invalid::one(place, format!("not a JSON object: {fault}")))
}

impl From<OutputNote> for pb::OutputNote {
    fn from(note: OutputNote) -> Self {
        Self { source: write_optional(note.source), message: note.message, line: note.line }
    }
}

impl TryFrom<pb::OutputNote> for OutputNote {
    type Error = Invalid;
    fn try_from(message: pb::OutputNote) -> Result<Self, Invalid> {
        let source = read_optional("/source", &message.source)?;
        Ok(Self { source, message: message.message, line: message.line })
    }
}

impl From<Metric> for pb::Metric {
    fn from(metric: Metric) -> Self {
        let Metric { measurement, tags, field, value } = metric;
        Self { measurement, tags: tags.into_iter().collect(), field, value }
    }
}

impl From<pb::Metric> for Metric {
    fn from(message: pb::Metric) -> Self {
        let pb::Metric { measurement, tags, field, value } = message;
        Self { measurement, tags: tags.into_iter().collect(), field, value }
    }
}

impl From<Output> for pb::Output {
    fn from(output: Output) -> Self {
        Self {
            data: data_text(output.data),
            metrics: output.metrics.into_iter().map(Into::into).collect(),
            summary: output.summary,
            summary_cut: output.summary_cut,
            notes: output.notes.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::Output> for Output {
    type Error = Invalid;
    fn try_from(message: pb::Output) -> Result<Self, Invalid> {
        Ok(Self {
            data: data("/data", &message.data)?,
            metrics: message.metrics.into_iter().map(Into::into).collect(),
            summary: message.summary,
            summary_cut: message.summary_cut,
            notes: parts("/notes", message.notes)?,
        })
    }
}

impl From<AttemptOutput> for pb::GetRunOutputResponse {
    fn from(said: AttemptOutput) -> Self {
        Self { attempt: said.attempt.into(), output: Some(said.output.into()) }
    }
}

impl TryFrom<pb::GetRunOutputResponse> for AttemptOutput {
    type Error = Invalid;
    fn try_from(message: pb::GetRunOutputResponse) -> Result<Self, Invalid> {
        Ok(Self { attempt: narrow("/attempt", message.attempt)?, output: required_part("/output", message.output)? })
    }
}
