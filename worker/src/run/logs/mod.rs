//! The log of one attempt: from the container's output over a spool on disk to the API, byte for byte.
//!
//! Reading never waits for the API, only for the disk: a slow server must not hold up a container. Memory stays
//! bounded whatever the output: a frame, two chunks that are being cut, and one batch on its way to the server.
//! Of a log that passes its limit the beginning goes into the spool at once, and the end when there is one; what was
//! between them is counted. When the disk fails, what does not fit is counted, and the log is incomplete.

mod cut;
mod spool;
mod tail;
mod upload;

use std::path::Path;

use chrono::Utc;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::warn;
use tstr_shared::lease::Fence;
use tstr_shared::logs::{LogSeal, Stream, StreamSeal};
use tstr_shared::output::ResultData;
use tstr_shared::output::records::RecordParser;

use crate::engine::Frames;
use cut::{Cut, Cutter};
use spool::Spool;
pub(crate) use spool::{Leftover, SpoolReader};
use tail::Tail;
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
    /// How many bytes may still be kept of the beginning.
    room: u64,
    /// What comes behind the beginning; the end of it will be kept.
    tail: Option<Tail>,
    streams: [Kept; 2],
    incomplete: bool,
    /// The spool failed: nothing is kept any more.
    broken: bool,
    head: Vec<u8>,
    /// What finds records in the streams: in all of them, also in what is not kept.
    records: [RecordParser; 2],
}

#[derive(Debug, Default)]
struct Kept {
    bytes: u64,
    dropped: u64,
    hash: Sha256,
}

impl Recorder {
    /// Makes the log of an attempt, with its spool in `dir`, and the side that is to be uploaded. At most `limit` bytes
    /// are kept, of which `tail` are for the end.
    ///
    /// Succeeds without a spool as well: a run is worth more than its log.
    pub(crate) async fn create(dir: &Path, fence: Fence, limit: u64, tail: u64) -> (Self, Option<SpoolReader>) {
        let (spool, reader) = match Spool::create(dir, fence).await {
            Ok((spool, reader)) => (Some(spool), Some(reader)),
            Err(error) => {
                warn!(run.id = %fence.run_id, error = %error, "no spool for the log of run {}: {error}", fence.run_id);
                (None, None)
            }
        };
        let incomplete = spool.is_none();
        let tail = tail.min(limit);
        let recorder = Self {
            fence,
            cutter: Cutter::default(),
            room: limit - tail,
            tail: spool.as_ref().filter(|_| tail > 0).map(|spool| Tail::new(spool.beside("tail"), tail)),
            spool,
            streams: Default::default(),
            incomplete,
            broken: false,
            head: Vec::new(),
            records: Default::default(),
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

    /// Returns the records that were found in the streams. Call when the output has ended.
    pub(crate) fn take_records(&mut self) -> [ResultData; 2] {
        std::mem::take(&mut self.records).map(RecordParser::finish)
    }

    /// Ends the log; returns what is to be said about the whole of it, and the spool, which is to be kept for as long
    /// as it is uploaded.
    pub(crate) async fn seal(mut self) -> (LogSeal, Option<SpoolKeeper>) {
        let mut cuts = Vec::new();
        self.cutter.finish(&mut cuts);
        self.keep(&mut cuts).await;
        if let Some(tail) = self.tail.take() {
            self.keep_tail(tail).await;
        }
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
        self.records[stream.index()].push(data);
        self.cutter.push(stream, data, Utc::now(), Instant::now(), cuts);
    }

    async fn keep(&mut self, cuts: &mut Vec<Cut>) {
        for mut cut in cuts.drain(..) {
            let length = cut.data.len();
            let rest = cut.data.split_off(length.min(usize::try_from(self.room).unwrap_or(usize::MAX)));
            self.room -= cut.data.len() as u64;
            let (stream, at) = (cut.stream, cut.at);
            if !cut.data.is_empty() {
                self.spool(&cut, 0).await;
            }
            if !rest.is_empty() {
                self.keep_for_later(&Cut { stream, at, data: rest }).await;
            }
        }
    }

    /// Writes a chunk into the spool, before which so many bytes of its stream were cut out.
    async fn spool(&mut self, cut: &Cut, missing: u64) {
        let written = match &mut self.spool {
            Some(spool) if !self.broken => spool.append(cut, missing).await,
            _ => {
                self.of(cut.stream).dropped += cut.data.len() as u64;
                return;
            }
        };
        let kept = self.of(cut.stream);
        match written {
            Ok(()) => {
                kept.bytes += cut.data.len() as u64;
                kept.hash.update(&cut.data);
            }
            Err(error) => {
                kept.dropped += cut.data.len() as u64;
                self.give_up(&error);
            }
        }
    }

    /// Keeps a chunk behind the beginning, as long as it may be of the end.
    async fn keep_for_later(&mut self, cut: &Cut) {
        match &mut self.tail {
            Some(tail) => {
                if let Err(error) = tail.append(cut).await {
                    self.of(cut.stream).dropped += cut.data.len() as u64;
                    self.give_up(&error);
                }
            }
            None => self.of(cut.stream).dropped += cut.data.len() as u64,
        }
    }

    /// Writes the end of the log behind its beginning.
    async fn keep_tail(&mut self, tail: Tail) {
        let taken = Stream::ALL.map(|stream| tail.taken(stream));
        let before = Stream::ALL.map(|stream| self.of(stream).bytes);
        let (mut reader, mut told) = (tail.read(), [false; 2]);
        loop {
            match reader.next().await {
                Ok(Some(cut)) => {
                    let is_first = !std::mem::replace(&mut told[cut.stream.index()], true);
                    let missing = if is_first { reader.dropped(cut.stream) } else { 0 };
                    self.spool(&cut, missing).await;
                }
                Ok(None) => break,
                Err(error) => {
                    self.give_up(&error);
                    break;
                }
            }
        }
        for stream in Stream::ALL {
            let kept = self.of(stream);
            // What was not written was cut out, or lost with the disk.
            kept.dropped = taken[stream.index()] - (kept.bytes - before[stream.index()]);
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
        // Behind a hole there is no end to be kept.
        if let Some(tail) = self.tail.take() {
            for stream in Stream::ALL {
                self.of(stream).dropped += tail.taken(stream);
            }
        }
    }

    fn of(&mut self, stream: Stream) -> &mut Kept {
        &mut self.streams[stream.index()]
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

    async fn recorded((limit, tail): (u64, u64), list: &[(Stream, &[u8])]) -> (LogSeal, Vec<LogChunk>) {
        let dir = tempfile::tempdir().unwrap();
        let (mut recorder, reader) = Recorder::create(dir.path(), fence(), limit, tail).await;
        recorder.record(&mut frames(list)).await;
        let (seal, _keeper) = recorder.seal().await;
        (seal, reader.unwrap().next(usize::MAX).await.unwrap())
    }

    #[tokio::test]
    async fn the_seal_says_what_was_kept() {
        let (seal, chunks) =
            recorded((1000, 100), &[(Stream::Stdout, b"one\n"), (Stream::Stderr, b"two"), (Stream::Stdout, b"x")])
                .await;
        assert_eq!(chunks.len(), 3);
        assert_eq!(seal.stdout.sha256, <[u8; 32]>::from(Sha256::digest(b"one\nx")));
        assert_eq!((seal.stdout.bytes, seal.stderr.bytes, seal.incomplete), (5, 3, false));
        assert_eq!((seal.stdout.dropped_bytes, seal.stderr.dropped_bytes), (0, 0));
    }

    #[tokio::test]
    async fn the_limit_keeps_the_head_and_counts_the_rest_of_each_stream() {
        let (seal, chunks) =
            recorded((6, 0), &[(Stream::Stdout, b"12345"), (Stream::Stderr, b"abc"), (Stream::Stdout, b"67")]).await;
        assert_eq!((seal.stdout.bytes, seal.stdout.dropped_bytes), (5, 2));
        assert_eq!((seal.stderr.bytes, seal.stderr.dropped_bytes), (1, 2));
        assert_eq!(chunks.iter().map(|c| c.data.len()).sum::<usize>(), 6);
        assert_eq!(seal.stderr.sha256, <[u8; 32]>::from(Sha256::digest(b"a")));
        assert!(!seal.incomplete, "a limit is no loss");
    }

    fn bytes(chunks: &[LogChunk], stream: Stream) -> Vec<u8> {
        chunks.iter().filter(|c| c.stream == stream).flat_map(|c| c.data.clone()).collect()
    }

    #[tokio::test]
    async fn of_a_log_that_passes_its_limit_the_beginning_and_the_end_are_kept() {
        let text: Vec<u8> = (0..3000).map(|i| b'a' + (i % 26) as u8).collect();
        let frames: Vec<_> = text.chunks(70).map(|part| (Stream::Stdout, part)).collect();
        let (seal, chunks) = recorded((1000, 250), &frames).await;
        assert_eq!(bytes(&chunks, Stream::Stdout), [&text[..750], &text[2750..]].concat());
        assert_eq!((seal.stdout.bytes, seal.stdout.dropped_bytes, seal.incomplete), (1000, 2000, false));
        assert_eq!(seal.stdout.sha256, <[u8; 32]>::from(Sha256::digest([&text[..750], &text[2750..]].concat())));
        let cuts: Vec<_> = chunks.iter().filter(|c| c.cut > 0).map(|c| (c.offset, c.cut)).collect();
        assert_eq!(cuts, [(2750, 2000)], "one cut, at its true place");
        let mut next = 0;
        for chunk in &chunks {
            assert_eq!(chunk.offset, next + chunk.cut);
            next = chunk.offset + chunk.data.len() as u64;
        }
        assert_eq!(next, 3000);
    }

    #[tokio::test]
    async fn a_log_up_to_its_limit_is_kept_whole() {
        let text = b"0123456789".repeat(100);
        for limit in [1000, 1001, 5000] {
            let frames: Vec<_> = text.chunks(70).map(|part| (Stream::Stderr, part)).collect();
            let (seal, chunks) = recorded((limit, 250), &frames).await;
            assert_eq!(bytes(&chunks, Stream::Stderr), text);
            assert_eq!((seal.stderr.bytes, seal.stderr.dropped_bytes), (1000, 0));
            assert!(chunks.iter().all(|c| c.cut == 0));
        }
    }

    #[tokio::test]
    async fn each_stream_is_cut_once_and_counted_for_itself() {
        // 30 bytes of each by turns, a chunk each; the beginning ends inside of the standard error's second.
        let parts: Vec<_> = (0..20).map(|i| (Stream::ALL[i % 2], vec![b'a' + i as u8; 30])).collect();
        let frames: Vec<_> = parts.iter().map(|(stream, data)| (*stream, data.as_slice())).collect();
        let (seal, chunks) = recorded((180, 80), &frames).await;
        let all =
            |stream| -> Vec<u8> { parts.iter().filter(|(s, _)| *s == stream).flat_map(|(_, d)| d.clone()).collect() };
        let (stdout, stderr) = (all(Stream::Stdout), all(Stream::Stderr));
        // The end are the last 80 bytes of both: 20 of the third last chunk, and the last two.
        assert_eq!(bytes(&chunks, Stream::Stdout), [&stdout[..60], &stdout[270..]].concat());
        assert_eq!(bytes(&chunks, Stream::Stderr), [&stderr[..40], &stderr[250..]].concat());
        assert_eq!((seal.stdout.bytes, seal.stdout.dropped_bytes), (90, 210));
        assert_eq!((seal.stderr.bytes, seal.stderr.dropped_bytes), (90, 210));
        let cuts: Vec<_> = chunks.iter().filter(|c| c.cut > 0).map(|c| (c.stream, c.offset, c.cut)).collect();
        assert_eq!(cuts, [(Stream::Stderr, 250, 210), (Stream::Stdout, 270, 210)]);
    }

    #[tokio::test]
    async fn a_stream_of_which_nothing_is_in_the_end_is_counted() {
        let quiet = (Stream::Stderr, &[b'e'; 40][..]);
        let loud = (Stream::Stdout, &[b'o'; 200][..]);
        let (seal, chunks) = recorded((100, 50), &[loud, quiet, loud]).await;
        assert_eq!((seal.stderr.bytes, seal.stderr.dropped_bytes), (0, 40));
        assert_eq!((seal.stdout.bytes, seal.stdout.dropped_bytes), (100, 300));
        assert_eq!(chunks.last().map(|c| (c.offset, c.cut)), Some((350, 300)));
    }

    #[tokio::test]
    async fn without_a_spool_everything_is_counted_and_the_log_is_incomplete() {
        let (mut recorder, reader) = Recorder::create(Path::new("/nonexistent"), fence(), 1000, 100).await;
        assert!(reader.is_none());
        recorder.record(&mut frames(&[(Stream::Stdout, b"12345")])).await;
        let (seal, _) = recorder.seal().await;
        assert!(seal.incomplete);
        assert_eq!((seal.stdout.bytes, seal.stdout.dropped_bytes), (0, 5));
        assert_eq!(seal.stdout.sha256, empty_seal().stdout.sha256);
    }
}
