//! Logs on their way from the worker, and what is told of them.

use tstr_shared::error::Invalid;
use tstr_shared::logs::{LogChunk, LogCut, LogOffsets, LogSeal, LogSummary, StreamSeal};

use super::words::{Text, read};
use super::{instant, number, optional_instant, part, required, time, word};
use crate::v1 as pb;

impl From<LogSummary> for pb::LogSummary {
    fn from(log: LogSummary) -> Self {
        Self {
            status: log.status.text().to_owned(),
            bytes: log.bytes,
            dropped_bytes: log.dropped_bytes,
            removed_at: log.removed_at.map(time),
            cuts: log.cuts.into_iter().map(Into::into).collect(),
            message: log.message.unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::LogSummary> for LogSummary {
    type Error = Invalid;
    fn try_from(message: pb::LogSummary) -> Result<Self, Invalid> {
        Ok(Self {
            status: read("/status", &message.status)?,
            bytes: message.bytes,
            dropped_bytes: message.dropped_bytes,
            removed_at: optional_instant("/removed_at", message.removed_at)?,
            cuts: cuts(message.cuts)?,
            message: Some(message.message).filter(|message| !message.is_empty()),
        })
    }
}

fn cuts(list: Vec<pb::LogCut>) -> Result<Vec<LogCut>, Invalid> {
    list.into_iter().enumerate().map(|(i, cut)| part(&format!("/cuts/{i}"), cut)).collect()
}

impl From<LogCut> for pb::LogCut {
    fn from(cut: LogCut) -> Self {
        Self { stream: number(cut.stream), offset: cut.offset, bytes: cut.bytes }
    }
}

impl TryFrom<pb::LogCut> for LogCut {
    type Error = Invalid;
    fn try_from(message: pb::LogCut) -> Result<Self, Invalid> {
        Ok(Self {
            stream: required("/stream", word("/stream", message.stream)?)?,
            offset: message.offset,
            bytes: message.bytes,
        })
    }
}

impl From<LogChunk> for pb::LogChunk {
    fn from(chunk: LogChunk) -> Self {
        Self {
            seq: chunk.seq,
            stream: number(chunk.stream),
            offset: chunk.offset,
            reported_at: Some(time(chunk.reported_at)),
            data: chunk.data,
            cut: chunk.cut,
        }
    }
}

impl TryFrom<pb::LogChunk> for LogChunk {
    type Error = Invalid;
    fn try_from(message: pb::LogChunk) -> Result<Self, Invalid> {
        Ok(Self {
            seq: message.seq,
            stream: required("/stream", word("/stream", message.stream)?)?,
            offset: message.offset,
            reported_at: instant("/reported_at", message.reported_at)?,
            data: message.data,
            cut: message.cut,
        })
    }
}

impl From<LogOffsets> for pb::LogOffsets {
    fn from(offsets: LogOffsets) -> Self {
        Self { next_seq: offsets.next_seq, stdout: offsets.stdout, stderr: offsets.stderr }
    }
}

impl From<pb::LogOffsets> for LogOffsets {
    fn from(message: pb::LogOffsets) -> Self {
        Self { next_seq: message.next_seq, stdout: message.stdout, stderr: message.stderr }
    }
}

impl From<StreamSeal> for pb::StreamSeal {
    fn from(seal: StreamSeal) -> Self {
        Self { bytes: seal.bytes, dropped_bytes: seal.dropped_bytes, sha256: seal.sha256.to_vec() }
    }
}

impl TryFrom<pb::StreamSeal> for StreamSeal {
    type Error = Invalid;
    fn try_from(message: pb::StreamSeal) -> Result<Self, Invalid> {
        let sha256 = <[u8; 32]>::try_from(message.sha256)
            .map_err(|bytes| Invalid::one("/sha256", format!("{} bytes, not 32", bytes.len())))?;
        Ok(Self { bytes: message.bytes, dropped_bytes: message.dropped_bytes, sha256 })
    }
}

impl From<LogSeal> for pb::LogSeal {
    fn from(seal: LogSeal) -> Self {
        Self { stdout: Some(seal.stdout.into()), stderr: Some(seal.stderr.into()), incomplete: seal.incomplete }
    }
}

impl TryFrom<pb::LogSeal> for LogSeal {
    type Error = Invalid;
    /// Reads a seal; a stream that is absent wrote nothing.
    fn try_from(message: pb::LogSeal) -> Result<Self, Invalid> {
        let read = |place, seal: Option<_>| seal.map_or(Ok(StreamSeal::default()), |seal| part(place, seal));
        Ok(Self {
            stdout: read("/stdout", message.stdout)?,
            stderr: read("/stderr", message.stderr)?,
            incomplete: message.incomplete,
        })
    }
}
