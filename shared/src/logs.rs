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

    /// Returns its place in [`Self::ALL`], and wherever there is one thing for each stream.
    pub fn index(self) -> usize {
        match self {
            Self::Stdout => 0,
            Self::Stderr => 1,
        }
    }

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

/// The most bytes of a log's limit that are kept for its end.
const MAX_TAIL: u64 = 4 << 20;

/// Returns how many bytes of a log's limit are kept for its end, when it passes the limit: a quarter, at most 4 MiB.
pub fn tail_bytes(limit: u64) -> u64 {
    (limit / 4).min(MAX_TAIL)
}

/// How many lines of the end of a log are read: at most 10 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
#[serde(try_from = "u32")]
pub struct TailLines(u32);

impl TailLines {
    /// The most lines.
    pub const MAX: u32 = 10_000;

    /// Returns the number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for TailLines {
    type Error = String;
    fn try_from(lines: u32) -> Result<Self, String> {
        match lines <= Self::MAX {
            true => Ok(Self(lines)),
            false => Err(format!("{lines} is more than {} lines", Self::MAX)),
        }
    }
}

/// A piece of a log on its way from the worker to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// The chunk's number among all chunks of the attempt, from 0, without gaps.
    pub seq: u32,
    /// The stream it belongs to.
    pub stream: Stream,
    /// How many bytes of the stream come before it, those that were cut out included.
    pub offset: u64,
    /// How many bytes of the stream right before it were cut out of the log; a stream is cut once.
    pub cut: u64,
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
    /// Where the standard output goes on: the bytes that are stored, and those that were cut out before them.
    pub stdout: u64,
    /// Where the standard error goes on.
    pub stderr: u64,
}

impl LogOffsets {
    /// Returns where a stream goes on.
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
    /// Bytes that the container wrote and that were cut out for the limit, or lost; not stored.
    pub dropped_bytes: u64,
    /// SHA-256 over the bytes that were sent, in their order; zeros say nothing, and are compared with nothing.
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
    /// The log passed its limit: its beginning and its end are stored, and what was between them was counted.
    Truncated,
    /// Bytes were lost, or what is stored is not what the runner sent.
    Incomplete,
}

/// Where bytes were taken out of a stream because its log passed the limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogCut {
    /// The stream.
    pub stream: Stream,
    /// How many bytes of the stream come before the cut.
    pub offset: u64,
    /// How many bytes of the stream were taken out.
    pub bytes: u64,
}

/// What a run tells of its log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Where bytes were taken out for the limit, at most once in each stream; known when the attempt has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<LogCut>,
    /// What is wrong with the log, when it is not only that bytes are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
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
    /// So many bytes of the stream right before this entry were taken out, because the log passed its limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_bytes: Option<u64>,
    /// The text, when it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The bytes in base64 (RFC 4648, with padding), when they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_a_limit_is_for_the_end_of_the_log_and_never_more_than_4_mib() {
        assert_eq!(
            [0, 3, 4, 4096, 16 << 20, 64 << 20, 1 << 30].map(tail_bytes),
            [0, 0, 1, 1024, 4 << 20, 4 << 20, 4 << 20]
        );
    }

    #[test]
    fn at_most_ten_thousand_lines_of_the_end_are_read() {
        assert_eq!([0, 10_000].map(|lines| TailLines::try_from(lines).unwrap().get()), [0, 10_000]);
        assert_eq!(TailLines::try_from(10_001).unwrap_err(), "10001 is more than 10000 lines");
        assert!(serde_json::from_str::<TailLines>("10001").is_err());
    }

    #[test]
    fn what_is_not_there_to_be_told_of_a_log_is_left_out() {
        let plain = LogSummary::default();
        assert_eq!(serde_json::to_string(&plain).unwrap(), r#"{"status":"open","bytes":0,"dropped_bytes":0}"#);
        assert_eq!(serde_json::from_str::<LogSummary>(&serde_json::to_string(&plain).unwrap()).unwrap(), plain);
    }
}
