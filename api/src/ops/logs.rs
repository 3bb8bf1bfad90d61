//! Logs as they are read: from the beginning, from the end, in ranges, or followed.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, Stream as Pieces};
use tokio::sync::broadcast::Receiver;
use tokio::time::Instant;
use tstr_shared::error::{ErrorCode, Invalid};
use tstr_shared::ids::RunId;
use tstr_shared::logs::{Stream, TailLines};
use tstr_shared::permission::RunsRead;

use super::Ops;
use super::log_tail::{Search, Tail};
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store;
use crate::store::log_reads::{Log, Onward, StoredChunk};

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
    /// From the last so many lines on; with neither `after` nor `limit`.
    pub tail: Option<TailLines>,
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
    /// So many bytes of its stream right before it were cut out.
    pub cut: Option<u64>,
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
/// How far back the last lines of a log are looked for. Lines are told from there, if they begin before it.
const MAX_TAIL_BYTES: u64 = 8 << 20;
/// How often a follower looks without being woken.
const LOOK_EVERY: Duration = Duration::from_millis(300);

impl Ops {
    /// Reads a log piece by piece in the order of arrival; with `follow` until the run has finished.
    pub async fn read_logs(
        &self,
        caller: &Caller,
        run: RunId,
        query: LogQuery,
    ) -> Result<impl Pieces<Item = Result<LogPiece>> + Send + use<>> {
        let access = self.reach::<RunsRead>(caller).await?;
        if query.tail.is_some() && (query.after.is_some() || query.limit.is_some()) {
            return Err(Invalid::one("tail", "the last lines are read without `after` and `limit`").into());
        }
        let head = self.head(&access, run).await?;
        // Who follows an attempt may wait for it.
        if !query.follow {
            attempt_of(&head, query.attempt)?;
        }
        self.refuse_removed(&access, run, query.attempt).await?;
        let after = query.after.map(|after| i32::try_from(after).unwrap_or(i32::MAX));
        let reader = Reader {
            ops: self.clone(),
            caller: caller.clone(),
            access,
            run,
            query,
            from: after.map_or(beginning(query.stream), |after| Onward::Seq(after, query.stream)),
            tail: query.tail,
            front: None,
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
        let attempt = attempt_of(&head, attempt)?;
        let mut conn = self.db().acquire().await?;
        let bytes = store::log_reads::size(&mut conn, &access, Log { run, attempt }, stream).await?;
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
        let log = Log { run, attempt };
        let found = match range.is_empty() {
            true => None,
            false => {
                let mut conn = self.db().acquire().await?;
                store::log_reads::find(&mut conn, &access, log, stream, range.start).await?
            }
        };
        let (from, place) = found.unwrap_or((beginning(stream), 0));
        let part = Part {
            ops: self.clone(),
            caller: caller.clone(),
            access,
            log,
            stream,
            from,
            skip: usize::try_from(range.start.saturating_sub(place)).unwrap_or(usize::MAX),
            left: range.end.saturating_sub(range.start),
            at_once: 2,
        };
        Ok(stream::try_unfold(part, |mut part| async move { Ok(part.next().await?.map(|bytes| (bytes, part))) }))
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

    pub(super) async fn head(&self, access: &Access<RunsRead>, run: RunId) -> Result<store::runs::LogHead> {
        let mut conn = self.db().acquire().await?;
        store::runs::log_head(&mut conn, access, run).await?.ok_or_else(|| Error::not_found("run"))
    }
}

/// Returns which attempt of a run is meant: the one that is asked for, or the latest, which is 0 before the first.
pub(super) fn attempt_of(head: &store::runs::LogHead, asked: Option<u16>) -> Result<u16> {
    match asked {
        Some(attempt) if attempt == 0 || attempt > head.attempt => Err(Error::not_found("attempt")),
        Some(attempt) => Ok(attempt),
        None => Ok(head.attempt),
    }
}

/// Somebody who reads a part of the bytes of a log.
struct Part {
    ops: Ops,
    caller: Caller,
    access: Access<RunsRead>,
    log: Log,
    stream: Option<Stream>,
    from: Onward,
    /// How many bytes of the next piece are left out.
    skip: usize,
    left: u64,
    /// How many pieces are read next: few for a part that is small.
    at_once: i64,
}

impl Part {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.ops.still_holds(&self.caller)?;
        let chunks = {
            let mut conn = self.ops.db().acquire().await?;
            store::log_reads::read(&mut conn, &self.access, self.log, self.from, self.at_once).await?
        };
        self.at_once = (self.at_once * 2).min(AT_ONCE);
        let mut bytes = Vec::new();
        for chunk in chunks {
            self.from = behind(&chunk, self.stream);
            let piece = chunk.body.get(std::mem::take(&mut self.skip)..).unwrap_or_default();
            let piece = &piece[..piece.len().min(usize::try_from(self.left).unwrap_or(usize::MAX))];
            self.left -= piece.len() as u64;
            bytes.extend_from_slice(piece);
        }
        if bytes.is_empty() {
            return Err(Error::internal(anyhow::anyhow!("a piece of the log is gone")));
        }
        Ok(Some(bytes.into()))
    }
}

/// Somebody who reads a log from a place on.
struct Reader {
    ops: Ops,
    caller: Caller,
    access: Access<RunsRead>,
    run: RunId,
    query: LogQuery,
    from: Onward,
    /// The last lines are wanted, and were not looked for yet.
    tail: Option<TailLines>,
    /// What is left out in front.
    front: Option<Tail>,
    left: Option<u32>,
    woken: Receiver<RunId>,
    /// An attempt was asked for: what follows it is not read.
    pinned: bool,
    buffer: std::vec::IntoIter<StoredChunk>,
    ended: bool,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<LogPiece>> {
        if self.left == Some(0) {
            return Ok(None);
        }
        loop {
            if let Some(chunk) = self.buffer.next() {
                self.from = behind(&chunk, self.query.stream);
                let chunk = match &self.front {
                    Some(front) => front.trim(chunk),
                    None => Some(chunk),
                };
                let Some(chunk) = chunk else { continue };
                self.left = self.left.map(|left| left - 1);
                let StoredChunk { seq, stream, reported_at, cut, body, .. } = chunk;
                return Ok(Some(LogPiece { seq: seq.unsigned_abs(), at: reported_at, stream, cut, data: body }));
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
            if attempt > 0
                && let Some(lines) = self.tail.take()
            {
                self.go_to_tail(attempt, lines).await?;
            }
            let chunks = {
                let (mut conn, log) = (self.ops.db().acquire().await?, Log { run: self.run, attempt });
                store::log_reads::read(&mut conn, &self.access, log, self.from, AT_ONCE).await?
            };
            if chunks.len() as i64 == AT_ONCE {
                self.ended = false;
            }
            if chunks.is_empty() && over && !self.pinned && self.query.follow {
                // Another attempt has begun: its log is numbered anew.
                self.query.attempt = Some(attempt + 1);
                self.from = beginning(self.query.stream);
                self.front = None;
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

    /// Finds where the last lines begin, from the end back.
    async fn go_to_tail(&mut self, attempt: u16, lines: TailLines) -> Result<()> {
        let (mut conn, log) = (self.ops.db().acquire().await?, Log { run: self.run, attempt });
        let (mut search, mut seq, mut start) = (Search::of(lines.get()), i32::MAX, i64::MAX);
        loop {
            let chunks = match self.query.stream {
                None => store::log_reads::read_back(&mut conn, &self.access, log, seq, AT_ONCE).await?,
                Some(stream) => {
                    store::log_reads::read_stream_back(&mut conn, &self.access, log, stream, start, AT_ONCE).await?
                }
            };
            let wants_more = chunks.iter().all(|chunk| search.look(chunk));
            if !wants_more || (chunks.len() as i64) < AT_ONCE || search.looked() >= MAX_TAIL_BYTES {
                break;
            }
            (seq, start) = (search.earliest().seq, search.earliest().start);
        }
        self.front = search.end();
        if let Some(front) = &self.front {
            self.from = match (front.first(), self.query.stream) {
                (Some(first), Some(stream)) => Onward::Start(stream, first.start),
                (Some(first), None) => Onward::Seq(first.seq - 1, None),
                (None, stream) => Onward::Seq(front.last(), stream),
            };
        }
        Ok(())
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

/// Where a log, or one stream of it, begins.
fn beginning(stream: Option<Stream>) -> Onward {
    stream.map_or(Onward::Seq(-1, None), |stream| Onward::Start(stream, 0))
}

/// Where reading goes on behind a piece.
fn behind(chunk: &StoredChunk, stream: Option<Stream>) -> Onward {
    stream.map_or(Onward::Seq(chunk.seq, None), |stream| Onward::Start(stream, chunk.start + 1))
}
