//! Logs: append pieces, read them back, follow them.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, Stream as Pieces};
use tokio::sync::broadcast::Receiver;
use tokio::time::Instant;
use tstr_shared::error::{ErrorCode, Invalid};
use tstr_shared::ids::{RunId, RunnerId};
use tstr_shared::lease::Fence;
use tstr_shared::logs::{LogChunk, LogOffsets, MAX_CHUNK, Stream};
use tstr_shared::permission::{RunsExecute, RunsRead};

use super::{Ops, own_lease};
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store;

/// Which part of a log is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogQuery {
    /// The attempt; the latest without it.
    pub attempt: Option<u16>,
    /// One stream; both without it.
    pub stream: Option<Stream>,
    /// Pieces behind this number.
    pub after: Option<u32>,
    /// How many pieces at most.
    pub limit: Option<u32>,
    /// Go on until the run has finished, through all attempts; with `attempt`, until that one has ended.
    pub follow: bool,
}

/// A piece of a log.
#[derive(Debug, Clone)]
pub struct LogPiece {
    /// Its number within the attempt.
    pub seq: u32,
    /// When the worker read it.
    pub at: DateTime<Utc>,
    /// Its stream.
    pub stream: Stream,
    /// Its bytes.
    pub data: Bytes,
}

/// How large the log of an attempt is.
#[derive(Debug, Clone, Copy)]
pub struct LogSize {
    /// The attempt.
    pub attempt: u16,
    /// The bytes that are stored.
    pub bytes: u64,
    /// No more will come.
    pub ended: bool,
}

/// How many pieces are read at once: a few MiB of memory for each reader.
const AT_ONCE: i64 = 16;
/// The most bytes of pieces in one append.
const MAX_APPEND: usize = 4 << 20;
/// How often a follower looks without being woken.
const LOOK_EVERY: Duration = Duration::from_millis(300);

impl Ops {
    /// Stores pieces of a log that go on where it ends; pieces that are stored already are passed over.
    ///
    /// A piece behind the end is refused with nothing stored; the answer to a repeat says where the log ends.
    pub async fn append_logs(
        &self,
        caller: &Caller,
        runner: RunnerId,
        fence: Fence,
        chunks: Vec<LogChunk>,
    ) -> Result<LogOffsets> {
        let access = self.reach::<RunsExecute>(caller).await?;
        check_chunks(&chunks)?;
        let mut tx = self.db().begin().await?;
        let lease = own_lease(caller, &access, runner, fence);
        let end = store::logs::hold_end(&mut tx, &access, &lease).await?.ok_or_else(Error::lease_lost)?;
        let mut next = end.offsets;
        let mut fresh = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            if chunk.seq < next.next_seq {
                if !store::logs::is_stored(&mut tx, &access, fence, &chunk).await? {
                    let sentence = format!("piece {} is stored with other bytes", chunk.seq);
                    return Err(Error::conflict(sentence));
                }
                continue;
            }
            if chunk.seq != next.next_seq || chunk.offset != next.of(chunk.stream) {
                // A gap: nothing is stored, and the worker is told where to go on.
                break;
            }
            next.next_seq += 1;
            *next.of_mut(chunk.stream) += chunk.data.len() as u64;
            fresh.push(chunk);
        }
        if next.stdout + next.stderr > end.limit {
            let sentence = format!("the log of an attempt of this run has at most {} bytes", end.limit);
            return Err(Error::new(ErrorCode::TooLarge, sentence));
        }
        if !fresh.is_empty() {
            store::logs::append(&mut tx, &access, fence, &fresh).await?;
            tx.commit().await?;
            self.0.wake.log(fence.run_id);
        }
        Ok(next)
    }

    /// Reads a log piece by piece in the order of arrival; with `follow` until the run has finished.
    pub async fn read_logs(
        &self,
        caller: &Caller,
        run: RunId,
        query: LogQuery,
    ) -> Result<impl Pieces<Item = Result<LogPiece>> + Send + use<>> {
        let access = self.reach::<RunsRead>(caller).await?;
        self.head(&access, run).await?;
        self.refuse_removed(&access, run, query.attempt).await?;
        let reader = Reader {
            ops: self.clone(),
            caller: caller.clone(),
            access,
            run,
            query,
            after: query.after.map_or(-1, |after| i32::try_from(after).unwrap_or(i32::MAX)),
            left: query.limit.filter(|limit| *limit > 0),
            woken: self.0.wake.watch_logs(),
            pinned: query.attempt.is_some(),
            buffer: Vec::new().into_iter(),
            ended: false,
        };
        Ok(stream::try_unfold(
            reader,
            |mut reader| async move { Ok(reader.next().await?.map(|piece| (piece, reader))) },
        ))
    }

    /// Says how large the log of an attempt is.
    pub async fn log_size(
        &self,
        caller: &Caller,
        run: RunId,
        attempt: Option<u16>,
        stream: Option<Stream>,
    ) -> Result<LogSize> {
        let access = self.reach::<RunsRead>(caller).await?;
        let head = self.head(&access, run).await?;
        self.refuse_removed(&access, run, attempt).await?;
        let attempt = attempt.unwrap_or(head.attempt);
        let mut conn = self.db().acquire().await?;
        let lengths = store::logs::lengths(&mut conn, &access, run, attempt, stream).await?;
        let bytes = lengths.into_iter().map(|(_, length)| length).sum();
        Ok(LogSize { attempt, bytes, ended: head.finished || attempt < head.attempt })
    }

    /// Reads a range of the bytes of an attempt's log: of one stream, or of both in the order of arrival.
    pub async fn read_log_bytes(
        &self,
        caller: &Caller,
        run: RunId,
        attempt: u16,
        stream: Option<Stream>,
        range: Range<u64>,
    ) -> Result<impl Pieces<Item = Result<Bytes>> + Send + use<>> {
        let access = self.reach::<RunsRead>(caller).await?;
        self.head(&access, run).await?;
        let lengths = {
            let mut conn = self.db().acquire().await?;
            store::logs::lengths(&mut conn, &access, run, attempt, stream).await?
        };
        // The pieces that the range touches, each with the bytes to leave out at its front and to take of it.
        let mut place = 0;
        let mut wanted = Vec::new();
        for (seq, length) in lengths {
            let (from, to) = (range.start.max(place), range.end.min(place + length));
            if from < to {
                wanted.push((seq, (from - place) as usize, (to - from) as usize));
            }
            place += length;
        }
        let wanted = wanted.into_iter().collect::<std::collections::VecDeque<_>>();
        let state = (self.clone(), caller.clone(), access, wanted);
        Ok(stream::try_unfold(state, move |(ops, caller, access, mut wanted)| async move {
            let Some((first, _, _)) = wanted.front().copied() else { return Ok(None) };
            ops.still_holds(&caller)?;
            let mut conn = ops.db().acquire().await?;
            let chunks = store::logs::read(&mut conn, &access, run, attempt, stream, first - 1, AT_ONCE).await?;
            drop(conn);
            let mut bytes = Vec::new();
            for chunk in chunks {
                match wanted.front().copied() {
                    Some((seq, skip, take)) if seq == chunk.seq => {
                        bytes.extend_from_slice(&chunk.body[skip..skip + take]);
                        wanted.pop_front();
                    }
                    _ => break,
                }
            }
            if bytes.is_empty() {
                return Err(Error::internal(anyhow::anyhow!("a piece of the log is gone")));
            }
            Ok(Some((Bytes::from(bytes), (ops, caller, access, wanted))))
        }))
    }

    /// Refuses to read a log that retention has removed: it must not be taken for one that was empty.
    async fn refuse_removed(&self, access: &Access<RunsRead>, run: RunId, attempt: Option<u16>) -> Result<()> {
        let mut conn = self.db().acquire().await?;
        match store::runs::log_removed_at(&mut conn, access, run, attempt).await? {
            Some(at) => {
                let sentence = format!("the log was removed by retention on {}", at.date_naive());
                Err(Error::new(ErrorCode::Expired, sentence))
            }
            None => Ok(()),
        }
    }

    async fn head(&self, access: &Access<RunsRead>, run: RunId) -> Result<store::runs::LogHead> {
        let mut conn = self.db().acquire().await?;
        store::runs::log_head(&mut conn, access, run).await?.ok_or_else(|| Error::not_found("run"))
    }
}

/// Somebody who reads a log from a place on.
struct Reader {
    ops: Ops,
    caller: Caller,
    access: Access<RunsRead>,
    run: RunId,
    query: LogQuery,
    after: i32,
    left: Option<u32>,
    woken: Receiver<RunId>,
    /// An attempt was asked for: what follows it is not read.
    pinned: bool,
    buffer: std::vec::IntoIter<store::logs::StoredChunk>,
    ended: bool,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<LogPiece>> {
        if self.left == Some(0) {
            return Ok(None);
        }
        loop {
            if let Some(chunk) = self.buffer.next() {
                self.after = chunk.seq;
                self.left = self.left.map(|left| left - 1);
                let (seq, at) = (chunk.seq.unsigned_abs(), chunk.reported_at);
                return Ok(Some(LogPiece { seq, at, stream: chunk.stream, data: chunk.body }));
            }
            if self.ended {
                return Ok(None);
            }
            self.ops.still_holds(&self.caller)?;
            // Whether it has ended is read before the pieces: what was stored before the end is then seen for certain.
            let head = self.ops.head(&self.access, self.run).await?;
            if self.query.attempt.is_none() && head.attempt > 0 {
                self.query.attempt = Some(head.attempt);
            }
            let attempt = self.query.attempt.unwrap_or(0);
            let over = attempt > 0 && attempt < head.attempt;
            // A run that has finished may have later attempts that were not read yet.
            self.ended = !self.query.follow || if self.pinned { head.finished || over } else { head.finished && !over };
            let chunks = {
                let mut conn = self.ops.db().acquire().await?;
                let (run, stream) = (self.run, self.query.stream);
                store::logs::read(&mut conn, &self.access, run, attempt, stream, self.after, AT_ONCE).await?
            };
            if chunks.len() as i64 == AT_ONCE {
                self.ended = false;
            }
            if chunks.is_empty() && over && !self.pinned && self.query.follow {
                // Another attempt has begun: its log is numbered anew.
                self.query.attempt = Some(attempt + 1);
                self.after = -1;
                self.ended = false;
                continue;
            }
            if chunks.is_empty() && !self.ended {
                if self.ops.0.closing.is_cancelled() {
                    // Not the end of the log: the reader must see that, and come back.
                    return Err(Error::new(
                        ErrorCode::Unavailable,
                        "this server is stopping; read on from the last piece",
                    ));
                }
                self.sleep().await;
            }
            self.buffer = chunks.into_iter();
        }
    }

    async fn sleep(&mut self) {
        let until = Instant::now() + LOOK_EVERY;
        loop {
            match self.ops.0.closing.run_until_cancelled(tokio::time::timeout_at(until, self.woken.recv())).await {
                Some(Ok(Ok(run))) if run != self.run => continue,
                _ => return,
            }
        }
    }
}

fn check_chunks(chunks: &[LogChunk]) -> Result<()> {
    let mut invalid = Invalid::default();
    for (i, chunk) in chunks.iter().enumerate() {
        if chunk.data.is_empty() || chunk.data.len() > MAX_CHUNK {
            invalid.add(format!("/chunks/{i}/data"), format!("a piece has 1 to {MAX_CHUNK} bytes"));
        }
        if i > 0 && chunk.seq != chunks[i - 1].seq.wrapping_add(1) {
            invalid.add(format!("/chunks/{i}/seq"), "pieces are numbered without gaps");
        }
        if i32::try_from(chunk.seq).is_err() || i64::try_from(chunk.offset).is_err() {
            invalid.add(format!("/chunks/{i}"), "the number or the offset is too large");
        }
    }
    invalid.into_result()?;
    if chunks.iter().map(|chunk| chunk.data.len()).sum::<usize>() > MAX_APPEND {
        return Err(Error::new(ErrorCode::TooLarge, "the pieces of one call have at most 4 MiB together"));
    }
    Ok(())
}
