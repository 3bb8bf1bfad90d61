//! Results by cases.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tstr_shared::error::Invalid;
use tstr_shared::report::CaseKey;
use tstr_shared::results::{CaseCounts, CaseResult, Upload};

use super::json::{json, structure};
use super::run::optional_number;
use super::{id, labels, map, narrow, number, optional_instant, required, text, time, word};
use crate::v1 as pb;

/// Makes the message of an answer that is a document: what the JSON API answers, as it is.
pub fn document<T: Serialize>(value: &T) -> prost_types::Struct {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::Object(fields)) => structure(fields),
        _ => prost_types::Struct::default(),
    }
}

/// Reads the document at `place`.
///
/// # Errors
///
/// Refuses one that is not what was asked for.
pub fn read_document<T: DeserializeOwned>(place: &str, message: prost_types::Struct) -> Result<T, Invalid> {
    serde_json::from_value(json(place, message)?).map_err(|fault| Invalid::one(place, fault.to_string()))
}

/// Says what is uploaded; namespace, test, key and bytes are left to the caller.
impl From<Upload> for pb::UploadResultsRequest {
    fn from(upload: Upload) -> Self {
        Self {
            cell: map(upload.cell),
            labels: map(upload.labels),
            result: optional_number(upload.result),
            name: upload.name.unwrap_or_default(),
            started_at: upload.started_at.map(time),
            finished_at: upload.finished_at.map(time),
            revision: upload.revision.unwrap_or_default(),
            ..Self::default()
        }
    }
}

impl TryFrom<pb::UploadResultsRequest> for Upload {
    type Error = Invalid;
    fn try_from(message: pb::UploadResultsRequest) -> Result<Self, Invalid> {
        Ok(Self {
            cell: labels(message.cell),
            labels: labels(message.labels),
            result: word("/result", message.result)?,
            name: text(message.name),
            started_at: optional_instant("/started_at", message.started_at)?,
            finished_at: optional_instant("/finished_at", message.finished_at)?,
            revision: text(message.revision),
        })
    }
}

impl From<CaseCounts> for pb::CaseCounts {
    fn from(counts: CaseCounts) -> Self {
        let CaseCounts { cases, passed, failed, errors, skipped, flaky, muted } = counts;
        Self { cases, passed, failed, errors, skipped, flaky, muted }
    }
}

impl From<pb::CaseCounts> for CaseCounts {
    fn from(message: pb::CaseCounts) -> Self {
        let pb::CaseCounts { cases, passed, failed, errors, skipped, flaky, muted } = message;
        Self { cases, passed, failed, errors, skipped, flaky, muted }
    }
}

impl From<CaseKey> for pb::CaseKey {
    fn from(key: CaseKey) -> Self {
        Self {
            suite: key.suite,
            classname: key.classname.unwrap_or_default(),
            name: key.name,
            file: key.file.unwrap_or_default(),
            test_id: key.test_id.unwrap_or_default(),
        }
    }
}

impl From<pb::CaseKey> for CaseKey {
    fn from(message: pb::CaseKey) -> Self {
        Self {
            suite: message.suite,
            classname: text(message.classname),
            name: message.name,
            file: text(message.file),
            test_id: text(message.test_id),
        }
    }
}

impl From<CaseResult> for pb::CaseResult {
    fn from(case: CaseResult) -> Self {
        Self {
            case_id: case.case_id.to_string(),
            key: Some(case.key.into()),
            report: case.report.into(),
            place: case.place,
            ordinal: case.ordinal,
            status: number(case.status),
            flaky: case.flaky,
            muted: case.muted,
            failed_attempts: case.failed_attempts.into(),
            duration_ms: case.duration_ms,
            message: case.message.unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::CaseResult> for CaseResult {
    type Error = Invalid;
    fn try_from(message: pb::CaseResult) -> Result<Self, Invalid> {
        Ok(Self {
            case_id: id("/case_id", &message.case_id)?,
            key: required("/key", message.key)?.into(),
            report: narrow("/report", message.report)?,
            place: message.place,
            ordinal: message.ordinal,
            status: required("/status", word("/status", message.status)?)?,
            flaky: message.flaky,
            muted: message.muted,
            failed_attempts: narrow("/failed_attempts", message.failed_attempts)?,
            duration_ms: message.duration_ms,
            message: text(message.message),
        })
    }
}
