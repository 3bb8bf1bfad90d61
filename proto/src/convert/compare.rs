//! Two runs side by side.

use serde_json::Value;
use tstr_shared::analysis::diff::{DiffLine, Hunk, LineChange, LogDiff, ValueChange};
use tstr_shared::compare::{
    ArtifactChange, ComparedRun, Comparison, DataChange, FileContent, LogComparison, MetricChange, NumberChange,
    Numbers,
};
use tstr_shared::error::Invalid;

use super::results::{document, read_document};
use super::run::optional_number;
use super::words::{Text, read};
use super::{id, json, narrow, part, parts, required_part, word};
use crate::v1 as pb;

impl From<ValueChange> for pb::FieldChange {
    fn from(change: ValueChange) -> Self {
        Self { pointer: change.pointer, before: change.before.map(json::value), after: change.after.map(json::value) }
    }
}

impl TryFrom<pb::FieldChange> for ValueChange {
    type Error = Invalid;
    fn try_from(message: pb::FieldChange) -> Result<Self, Invalid> {
        Ok(Self {
            pointer: message.pointer,
            before: message.before.map(|before| json::read("/before", before)).transpose()?,
            after: message.after.map(|after| json::read("/after", after)).transpose()?,
        })
    }
}

impl From<ComparedRun> for pb::ComparedRun {
    fn from(run: ComparedRun) -> Self {
        Self {
            id: run.id.to_string(),
            test_name: run.test_name,
            attempt: run.attempt.into(),
            result: optional_number(run.result),
            exit_code: run.exit_code,
        }
    }
}

impl TryFrom<pb::ComparedRun> for ComparedRun {
    type Error = Invalid;
    fn try_from(message: pb::ComparedRun) -> Result<Self, Invalid> {
        Ok(Self {
            id: id("/id", &message.id)?,
            test_name: message.test_name,
            attempt: narrow("/attempt", message.attempt)?,
            result: word("/result", message.result)?,
            exit_code: message.exit_code,
        })
    }
}

impl From<Numbers> for pb::Numbers {
    fn from(numbers: Numbers) -> Self {
        let Numbers { before, after, delta, ratio } = numbers;
        Self { before, after, delta, ratio }
    }
}

impl From<pb::Numbers> for Numbers {
    fn from(message: pb::Numbers) -> Self {
        let pb::Numbers { before, after, delta, ratio } = message;
        Self { before, after, delta, ratio }
    }
}

impl From<NumberChange> for pb::NumberChange {
    fn from(change: NumberChange) -> Self {
        Self { name: change.name, numbers: Some(change.numbers.into()) }
    }
}

impl From<pb::NumberChange> for NumberChange {
    fn from(message: pb::NumberChange) -> Self {
        Self { name: message.name, numbers: message.numbers.unwrap_or_default().into() }
    }
}

impl From<DataChange> for pb::DataChange {
    fn from(change: DataChange) -> Self {
        // As text: a number of the wire would lose the digits of integers.
        let text = |value: Option<Value>| value.map(|value| value.to_string());
        let DataChange { value: ValueChange { pointer, before, after }, delta, ratio } = change;
        Self { pointer, before: text(before), after: text(after), delta, ratio }
    }
}

impl TryFrom<pb::DataChange> for DataChange {
    type Error = Invalid;
    fn try_from(message: pb::DataChange) -> Result<Self, Invalid> {
        let value = |place: &str, text: Option<String>| -> Result<Option<Value>, Invalid> {
            let read = text.map(|text| serde_json::from_str(&text)).transpose();
            read.map_err(|fault| Invalid::one(place, format!("not JSON: {fault}")))
        };
        let (before, after) = (value("/before", message.before)?, value("/after", message.after)?);
        let value = ValueChange { pointer: message.pointer, before, after };
        Ok(Self { value, delta: message.delta, ratio: message.ratio })
    }
}

impl From<MetricChange> for pb::MetricChange {
    fn from(change: MetricChange) -> Self {
        Self {
            measurement: change.measurement,
            tags: change.tags.into_iter().collect(),
            field: change.field,
            numbers: Some(change.numbers.into()),
        }
    }
}

impl From<pb::MetricChange> for MetricChange {
    fn from(message: pb::MetricChange) -> Self {
        Self {
            measurement: message.measurement,
            tags: message.tags.into_iter().collect(),
            field: message.field,
            numbers: message.numbers.unwrap_or_default().into(),
        }
    }
}

impl From<FileContent> for pb::FileContent {
    fn from(content: FileContent) -> Self {
        Self { bytes: content.bytes, sha256: content.sha256.to_string() }
    }
}

impl TryFrom<pb::FileContent> for FileContent {
    type Error = Invalid;
    fn try_from(message: pb::FileContent) -> Result<Self, Invalid> {
        let sha256 = message.sha256.parse().map_err(|fault: String| Invalid::one("/sha256", fault))?;
        Ok(Self { bytes: message.bytes, sha256 })
    }
}

impl From<ArtifactChange> for pb::ArtifactChange {
    fn from(change: ArtifactChange) -> Self {
        Self {
            path: change.path,
            change: change.change.text().to_owned(),
            before: change.before.map(Into::into),
            after: change.after.map(Into::into),
        }
    }
}

impl TryFrom<pb::ArtifactChange> for ArtifactChange {
    type Error = Invalid;
    fn try_from(message: pb::ArtifactChange) -> Result<Self, Invalid> {
        Ok(Self {
            path: message.path,
            change: read("/change", &message.change)?,
            before: message.before.map(|content| part("/before", content)).transpose()?,
            after: message.after.map(|content| part("/after", content)).transpose()?,
        })
    }
}

impl From<DiffLine> for pb::DiffLine {
    fn from(line: DiffLine) -> Self {
        Self { change: line.change.text().to_owned(), text: line.text }
    }
}

impl TryFrom<pb::DiffLine> for DiffLine {
    type Error = Invalid;
    fn try_from(message: pb::DiffLine) -> Result<Self, Invalid> {
        Ok(Self { change: read::<LineChange>("/change", &message.change)?, text: message.text })
    }
}

impl From<Hunk> for pb::Hunk {
    fn from(hunk: Hunk) -> Self {
        let lines = hunk.lines.into_iter().map(Into::into).collect();
        Self { before_line: hunk.before_line, after_line: hunk.after_line, lines }
    }
}

impl TryFrom<pb::Hunk> for Hunk {
    type Error = Invalid;
    fn try_from(message: pb::Hunk) -> Result<Self, Invalid> {
        let lines = parts("/lines", message.lines)?;
        Ok(Self { before_line: message.before_line, after_line: message.after_line, lines })
    }
}

impl From<LogComparison> for pb::LogComparison {
    fn from(log: LogComparison) -> Self {
        Self {
            hunks: log.diff.hunks.into_iter().map(Into::into).collect(),
            same: log.diff.same,
            removed: log.diff.removed,
            added: log.diff.added,
            before_cut: log.diff.before_cut,
            after_cut: log.diff.after_cut,
            hidden: log.diff.hidden,
            before_skipped_bytes: log.before_skipped_bytes,
            after_skipped_bytes: log.after_skipped_bytes,
        }
    }
}

impl TryFrom<pb::LogComparison> for LogComparison {
    type Error = Invalid;
    fn try_from(message: pb::LogComparison) -> Result<Self, Invalid> {
        let diff = LogDiff {
            hunks: parts("/hunks", message.hunks)?,
            same: message.same,
            removed: message.removed,
            added: message.added,
            before_cut: message.before_cut,
            after_cut: message.after_cut,
            hidden: message.hidden,
        };
        let (before_skipped_bytes, after_skipped_bytes) = (message.before_skipped_bytes, message.after_skipped_bytes);
        Ok(Self { diff, before_skipped_bytes, after_skipped_bytes })
    }
}

impl From<Comparison> for pb::CompareRunsResponse {
    fn from(found: Comparison) -> Self {
        fn all<A: Into<B>, B>(items: Vec<A>) -> Vec<B> {
            items.into_iter().map(Into::into).collect()
        }
        Self {
            before: Some(found.before.into()),
            after: Some(found.after.into()),
            config: all(found.config),
            env: all(found.env),
            labels: all(found.labels),
            surroundings: all(found.surroundings),
            durations: all(found.durations),
            data: all(found.data),
            metrics: all(found.metrics),
            artifacts: all(found.artifacts),
            same_artifacts: found.same_artifacts,
            cases: found.cases.as_ref().map(document),
            log: found.log.map(Into::into),
            notes: found.notes,
        }
    }
}

impl TryFrom<pb::CompareRunsResponse> for Comparison {
    type Error = Invalid;
    fn try_from(message: pb::CompareRunsResponse) -> Result<Self, Invalid> {
        Ok(Self {
            before: required_part("/before", message.before)?,
            after: required_part("/after", message.after)?,
            config: parts("/config", message.config)?,
            env: parts("/env", message.env)?,
            labels: parts("/labels", message.labels)?,
            surroundings: parts("/surroundings", message.surroundings)?,
            durations: message.durations.into_iter().map(Into::into).collect(),
            data: parts("/data", message.data)?,
            metrics: message.metrics.into_iter().map(Into::into).collect(),
            artifacts: parts("/artifacts", message.artifacts)?,
            same_artifacts: message.same_artifacts,
            cases: message.cases.map(|cases| read_document("/cases", cases)).transpose()?,
            log: message.log.map(|log| part("/log", log)).transpose()?,
            notes: message.notes,
        })
    }
}
