//! The log of one attempt: from the container's output over a spool on disk to the API, byte for byte.
//!
//! Reading never waits for the API, only for the disk: a slow server must not hold up a container. Memory stays
//! bounded whatever the output: a frame, two chunks that are being cut, and one batch on its way to the server.
//! Beyond the limit output is counted and dropped; when the disk fails, the same, and the log is incomplete.

mod cut;
mod spool;
mod upload;

use std::path::Path;

use chrono::Utc;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::warn;
use tstr_shared::lease::Fence;
use tstr_shared::logs::{LogSeal, Stream, StreamSeal};

use crate::engine::Frames;
use cut::{Cut, Cutter};
use spool::Spool;
pub(crate) use spool::{Leftover, SpoolReader};
pub(crate) use upload::Uploader;

/// How much of the beginning of the standard error is kept in memory.
const HEAD: usize = 256;

/// The reading side of a log.
#[derive(Debug)]
pub(crate) struct Recorder {
    fence: Fence,
    /// `None` once the disk has failed.
    spool: Option<Spool>,
    cutter: Cutter,
    /// How many bytes may still be kept.
    room: u64,
    streams: [Kept; 2],
    incomplete: bool,
    /// The spool failed: nothing is kept any more.
    broken: bool,
    head: Vec<u8>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: u64,
    dropped: u64,
    hash: Sha256,
}

impl Recorder {
    /// Makes the log of an attempt, with its spool in `dir`, and the side that is to be uploaded.
    ///
    /// Succeeds without a spool as well: a run is worth more than its log.
    pub(crate) async fn create(dir: &Path, fence: Fence, limit: u64) -> (Self, Option<SpoolReader>) {
        let (spool, reader) = match Spool::create(dir, fence).await {
            Ok((spool, reader)) => (Some(spool), Some(reader)),
            Err(error) => {
                warn!(run.id = %fence.run_id, error = %error, "no spool for the log of run {}: {error}", fence.run_id);
                (None, None)
            }
        };
        let incomplete = spool.is_none();
        let recorder = Self {
            fence,
            spool,
            cutter: Cutter::default(),
            room: limit,
            streams: Default::default(),
            incomplete,
            broken: false,
            head: Vec::new(),
        };
        (recorder, reader)
    }

    /// Notes on disk that the container may be started from now on.
    pub(crate) async fn mark_running(&mut self) {
        if let Some(spool) = &mut self.spool
            && let Err(error) = spool.mark_running().await
        {
            self.give_up(&error);
        }
    }

    /// Reads output until it ends.
    pub(crate) async fn record(&mut self, frames: &mut Frames) {
        let mut cuts = Vec::new();
        loop {
            let due = self.cutter.due();
            let frame = match due {
                Some(due) => tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(due) => {
                        self.cutter.tick(Instant::now(), &mut cuts);
                        self.keep(&mut cuts).await;
                        continue;
                    }
                    frame = frames.next() => frame,
                },
                None => frames.next().await,
            };
            let frame = match frame {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    let run = self.fence.run_id;
                    warn!(run.id = %run, error = %error, "the output of run {run} broke off, some of it may be lost: {error}");
                    self.incomplete = true;
                    return;
                }
                None => return,
            };
            self.take(frame.stream, &frame.data, &mut cuts);
            if !cuts.is_empty() {
                self.keep(&mut cuts).await;
            }
        }
    }

    /// Says that output was lost that nobody counted.
    pub(crate) fn note_loss(&mut self) {
        self.incomplete = true;
    }

    /// Returns the beginning of the standard error.
    pub(crate) fn stderr_head(&self) -> &[u8] {
        &self.head
    }

    /// Ends the log; returns what is to be said about the whole of it, and the spool, which is to be kept for as long
    /// as it is uploaded.
    pub(crate) async fn seal(mut self) -> (LogSeal, Option<SpoolKeeper>) {
        let mut cuts = Vec::new();
        self.cutter.finish(&mut cuts);
        self.keep(&mut cuts).await;
        if let Some(spool) = &self.spool {
            spool.complete();
        }
        let [stdout, stderr] = self.streams.map(|kept| StreamSeal {
            bytes: kept.bytes,
            dropped_bytes: kept.dropped,
            sha256: kept.hash.finalize().into(),
        });
        (LogSeal { stdout, stderr, incomplete: self.incomplete }, self.spool.map(SpoolKeeper))
    }

    fn take(&mut self, stream: Stream, data: &[u8], cuts: &mut Vec<Cut>) {
        if stream == Stream::Stderr && self.head.len() < HEAD {
            let room = HEAD - self.head.len();
            self.head.extend_from_slice(&data[..data.len().min(room)]);
        }
        let length = if self.spool.is_some() { data.len() as u64 } else { 0 };
        let kept = usize::try_from(length.min(self.room)).unwrap_or(usize::MAX);
        self.room -= kept as u64;
        self.of(stream).dropped += (data.len() - kept) as u64;
        self.cutter.push(stream, &data[..kept], Utc::now(), Instant::now(), cuts);
    }

    async fn keep(&mut self, cuts: &mut Vec<Cut>) {
        for cut in cuts.drain(..) {
            let length = cut.data.len() as u64;
            let written = match &mut self.spool {
                Some(spool) if !self.broken => spool.append(&cut).await,
                _ => {
                    self.of(cut.stream).dropped += length;
                    continue;
                }
            };
            let kept = self.of(cut.stream);
            match written {
                Ok(()) => {
                    kept.bytes += length;
                    kept.hash.update(&cut.data);
                }
                Err(error) => {
                    kept.dropped += length;
                    self.give_up(&error);
                }
            }
        }
    }

    /// Stops keeping: what follows a hole would stand at a wrong offset.
    fn give_up(&mut self, error: &std::io::Error) {
        warn!(
            run.id = %self.fence.run_id,
            error = %error,
            "the spool of run {} cannot be written, its log will be incomplete: {error}",
            self.fence.run_id
        );
        self.incomplete = true;
        self.broken = true;
        self.room = 0;
    }

    fn of(&mut self, stream: Stream) -> &mut Kept {
        match stream {
            Stream::Stdout => &mut self.streams[0],
            Stream::Stderr => &mut self.streams[1],
        }
    }
}

/// Keeps the spool's file; it is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct SpoolKeeper(#[expect(dead_code, reason = "held for its drop")] Spool);

/// Returns what is to be said about a log that never began.
pub(crate) fn empty_seal() -> LogSeal {
    let nothing = StreamSeal { bytes: 0, dropped_bytes: 0, sha256: Sha256::digest([]).into() };
    LogSeal { stdout: nothing.clone(), stderr: nothing, incomplete: false }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tstr_shared::ids::{LeaseId, RunId};
    use tstr_shared::logs::LogChunk;
    use uuid::Uuid;

    use super::*;
    use crate::engine::Frame;

    fn fence() -> Fence {
        Fence { run_id: RunId(Uuid::now_v7()), attempt: 1, lease_id: LeaseId(Uuid::new_v4()) }
    }

    fn frames(list: &[(Stream, &[u8])]) -> Frames {
        let list: Vec<_> =
            list.iter().map(|(stream, data)| Ok(Frame { stream: *stream, data: data.to_vec() })).collect();
        stream::iter(list).boxed()
    }

    async fn recorded(limit: u64, list: &[(Stream, &[u8])]) -> (LogSeal, Vec<LogChunk>) {
        let dir = tempfile::tempdir().unwrap();
        let (mut recorder, reader) = Recorder::create(dir.path(), fence(), limit).await;
        recorder.record(&mut frames(list)).await;
        let (seal, _keeper) = recorder.seal().await;
        (seal, reader.unwrap().next(usize::MAX).await.unwrap())
    }

    #[tokio::test]
    async fn the_seal_says_what_was_kept() {
        let (seal, chunks) =
            recorded(1000, &[(Stream::Stdout, b"one\n"), (Stream::Stderr, b"two"), (Stream::Stdout, b"x")]).await;
        assert_eq!(chunks.len(), 3);
        assert_eq!(seal.stdout.sha256, <[u8; 32]>::from(Sha256::digest(b"one\nx")));
        assert_eq!((seal.stdout.bytes, seal.stderr.bytes, seal.incomplete), (5, 3, false));
        assert_eq!((seal.stdout.dropped_bytes, seal.stderr.dropped_bytes), (0, 0));
    }

    #[tokio::test]
    async fn the_limit_keeps_the_head_and_counts_the_rest_of_each_stream() {
        let (seal, chunks) =
            recorded(6, &[(Stream::Stdout, b"12345"), (Stream::Stderr, b"abc"), (Stream::Stdout, b"67")]).await;
        assert_eq!((seal.stdout.bytes, seal.stdout.dropped_bytes), (5, 2));
        assert_eq!((seal.stderr.bytes, seal.stderr.dropped_bytes), (1, 2));
        assert_eq!(chunks.iter().map(|c| c.data.len()).sum::<usize>(), 6);
        assert_eq!(seal.stderr.sha256, <[u8; 32]>::from(Sha256::digest(b"a")));
        assert!(!seal.incomplete, "a limit is no loss");
    }

    #[tokio::test]
    async fn without_a_spool_everything_is_counted_and_the_log_is_incomplete() {
        let (mut recorder, reader) = Recorder::create(Path::new("/nonexistent"), fence(), 1000).await;
        assert!(reader.is_none());
        recorder.record(&mut frames(&[(Stream::Stdout, b"12345")])).await;
        let (seal, _) = recorder.seal().await;
        assert!(seal.incomplete);
        assert_eq!((seal.stdout.bytes, seal.stdout.dropped_bytes), (0, 5));
        assert_eq!(seal.stdout.sha256, empty_seal().stdout.sha256);
    }
}
