//! Artifacts: on their way from the worker, and what is told of them.

use tstr_shared::artifacts::{
    Artifact, ArtifactList, ArtifactNote, ArtifactPath, ArtifactSummary, Artifacts, Blob, CollectedFile, ContentHash,
};
use tstr_shared::error::Invalid;

use super::words::{Text, read};
use super::{narrow, number, optional_instant, parts, required_part, text, time, word};
use crate::v1 as pb;

/// Reads the SHA-256 at `place`.
///
/// # Errors
///
/// Refuses what has not 32 bytes.
pub fn hash(place: &str, bytes: Vec<u8>) -> Result<ContentHash, Invalid> {
    let hash = <[u8; 32]>::try_from(bytes);
    hash.map(ContentHash).map_err(|bytes| Invalid::one(place, format!("{} bytes, not 32", bytes.len())))
}

fn path(place: &str, text: &str) -> Result<ArtifactPath, Invalid> {
    ArtifactPath::parse(text).map_err(|fault| Invalid::one(place, fault))
}

impl From<Artifacts> for pb::Artifacts {
    fn from(artifacts: Artifacts) -> Self {
        let Artifacts { paths, report, reports, volatile } = artifacts;
        Self { paths, report: number(report), reports, volatile }
    }
}

impl TryFrom<pb::Artifacts> for Artifacts {
    type Error = Invalid;
    fn try_from(message: pb::Artifacts) -> Result<Self, Invalid> {
        let pb::Artifacts { paths, report, reports, volatile } = message;
        Ok(Self { paths, report: word("/report", report)?.unwrap_or_default(), reports, volatile })
    }
}

impl From<Blob> for pb::Blob {
    fn from(blob: Blob) -> Self {
        Self { sha256: blob.sha256.0.to_vec(), bytes: blob.bytes }
    }
}

impl TryFrom<pb::Blob> for Blob {
    type Error = Invalid;
    fn try_from(message: pb::Blob) -> Result<Self, Invalid> {
        Ok(Self { sha256: hash("/sha256", message.sha256)?, bytes: message.bytes })
    }
}

impl From<CollectedFile> for pb::CollectedFile {
    fn from(file: CollectedFile) -> Self {
        Self { path: file.path.to_string(), blob: Some(file.blob.into()) }
    }
}

impl TryFrom<pb::CollectedFile> for CollectedFile {
    type Error = Invalid;
    fn try_from(message: pb::CollectedFile) -> Result<Self, Invalid> {
        Ok(Self { path: path("/path", &message.path)?, blob: required_part("/blob", message.blob)? })
    }
}

impl From<ArtifactNote> for pb::ArtifactNote {
    fn from(note: ArtifactNote) -> Self {
        Self {
            why: note.why.text().to_owned(),
            files: note.files,
            bytes: note.bytes,
            paths: note.paths,
            detail: note.detail.unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::ArtifactNote> for ArtifactNote {
    type Error = Invalid;
    fn try_from(message: pb::ArtifactNote) -> Result<Self, Invalid> {
        Ok(Self {
            why: read("/why", &message.why)?,
            files: message.files,
            bytes: message.bytes,
            paths: message.paths,
            detail: text(message.detail),
        })
    }
}

impl From<Artifact> for pb::Artifact {
    fn from(artifact: Artifact) -> Self {
        Self {
            path: artifact.path.to_string(),
            bytes: artifact.bytes,
            sha256: artifact.sha256.to_string(),
            media_type: artifact.media_type,
        }
    }
}

impl TryFrom<pb::Artifact> for Artifact {
    type Error = Invalid;
    fn try_from(message: pb::Artifact) -> Result<Self, Invalid> {
        Ok(Self {
            path: path("/path", &message.path)?,
            bytes: message.bytes,
            sha256: message.sha256.parse().map_err(|fault: String| Invalid::one("/sha256", fault))?,
            media_type: message.media_type,
        })
    }
}

impl From<ArtifactList> for pb::ListArtifactsResponse {
    fn from(list: ArtifactList) -> Self {
        Self {
            attempt: list.attempt.into(),
            files: list.files,
            bytes: list.bytes,
            artifacts: list.items.into_iter().map(Into::into).collect(),
            notes: list.notes.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::ListArtifactsResponse> for ArtifactList {
    type Error = Invalid;
    fn try_from(message: pb::ListArtifactsResponse) -> Result<Self, Invalid> {
        Ok(Self {
            attempt: narrow("/attempt", message.attempt)?,
            files: message.files,
            bytes: message.bytes,
            items: parts("/artifacts", message.artifacts)?,
            notes: parts("/notes", message.notes)?,
        })
    }
}

impl From<ArtifactSummary> for pb::ArtifactSummary {
    fn from(summary: ArtifactSummary) -> Self {
        Self { files: summary.files, bytes: summary.bytes, removed_at: summary.removed_at.map(time) }
    }
}

/// Reads what is told of the files that were kept; a server of the release before tells nothing.
pub(super) fn summary(message: Option<pb::ArtifactSummary>) -> Result<ArtifactSummary, Invalid> {
    let Some(message) = message else { return Ok(ArtifactSummary::default()) };
    let removed_at = optional_instant("/artifacts/removed_at", message.removed_at)?;
    Ok(ArtifactSummary { files: message.files, bytes: message.bytes, removed_at })
}
