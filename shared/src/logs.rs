//! Logs: bytes of two streams, in chunks that know their place.
//!
//! Within a stream the bytes are exact and addressed by their offset; across the two streams chunks are numbered in
//! the order in which they arrived at the worker.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A stream of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "db", derive(sqlx::Type))]
#[serde(rename_all = "snake_case")]
#[repr(i16)]
pub enum Stream {
    /// The standard output.
    Stdout = 1,
    /// The standard error.
    Stderr = 2,
}

impl Stream {
    /// Both streams.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// Returns the word that stands for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The most bytes of one chunk on the wire.
pub const MAX_CHUNK: usize = 256 * 1024;

/// A piece of a log on its way from the worker to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// The chunk's number among all chunks of the attempt, from 0, without gaps.
    pub seq: u32,
    /// The stream it belongs to.
    pub stream: Stream,
    /// How many bytes of the stream come before it.
    pub offset: u64,
    /// When the worker read its first byte, by the worker's clock; for display only.
    pub reported_at: DateTime<Utc>,
    /// The bytes, at least one and at most [`MAX_CHUNK`].
    pub data: Vec<u8>,
}

/// How far a log has been stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogOffsets {
    /// The number of the next chunk.
    pub next_seq: u32,
    /// Bytes of the standard output that are stored.
    pub stdout: u64,
    /// Bytes of the standard error that are stored.
    pub stderr: u64,
}

impl LogOffsets {
    /// Returns the bytes stored of a stream.
    pub fn of(&self, stream: Stream) -> u64 {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }

    /// Returns the place of a stream's count.
    pub fn of_mut(&mut self, stream: Stream) -> &mut u64 {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

/// What a worker says about the whole of one stream when the run ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamSeal {
    /// Bytes that were sent to the server.
    pub bytes: u64,
    /// Bytes that the container wrote beyond the limit, or that were lost; not stored.
    pub dropped_bytes: u64,
    /// SHA-256 over the bytes that were sent.
    pub sha256: [u8; 32],
}

/// What a worker says about the whole log when the run ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogSeal {
    /// The standard output.
    pub stdout: StreamSeal,
    /// The standard error.
    pub stderr: StreamSeal,
    /// Bytes were lost between container and worker, or could not be handed over: do not wait for them.
    pub incomplete: bool,
}

impl LogSeal {
    /// Returns the seal of a stream.
    pub fn of(&self, stream: Stream) -> &StreamSeal {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }
}

/// Whether all that the container wrote is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "db", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum LogStatus {
    /// The attempt has not ended: more may come.
    #[default]
    Open,
    /// Every byte is stored.
    Complete,
    /// The log passed its limit; the rest was counted and dropped.
    Truncated,
    /// Bytes were lost.
    Incomplete,
}

/// What a run tells of its log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogSummary {
    /// Whether all that the container wrote is stored.
    pub status: LogStatus,
    /// Bytes that are stored, of both streams.
    pub bytes: u64,
    /// Bytes that were written by the container and not stored.
    pub dropped_bytes: u64,
    /// When retention removed the bytes that had been stored; absent while they can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<DateTime<Utc>>,
}

/// A piece of a log as it is answered. Bytes that are not UTF-8 stand in `data_base64`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogEntry {
    /// The entry's number within its attempt; pass it as `after` to go on behind it.
    pub seq: u32,
    /// When the worker read it.
    pub time: DateTime<Utc>,
    /// The stream it belongs to.
    pub stream: Stream,
    /// The text, when it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The bytes in base64 (RFC 4648, with padding), when they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
}
