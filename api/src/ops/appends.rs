//! Logs as they are written: pieces that go on where a log ends.
//!
//! A replica remembers where the logs end that it has leased or written to. The next append is then one statement, which
//! reads no piece of any log: where memory is out of date it stores nothing, and the append is looked at again with what
//! is stored. So an append costs the same however long the log is and however many days are kept
//! ([ADR 0012](../../../docs/adr/0012-appends-remember-where-logs-end.md)).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tstr_shared::error::{ErrorCode, Invalid};
use tstr_shared::ids::RunnerId;
use tstr_shared::lease::{Fence, LeasedRun};
use tstr_shared::logs::{LogChunk, LogOffsets, MAX_CHUNK, Stream};
use tstr_shared::permission::RunsExecute;

use super::seals::{MAX_SEALED, Running};
use super::{Ops, own_lease};
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store;
use crate::store::claims::OwnLease;
use crate::store::logs::{LogEnd, NewPiece};
use crate::store::packing::{Packed, Packer};

/// The most bytes of pieces in one append.
const MAX_APPEND: usize = 4 << 20;
/// More bytes than this are hashed and packed beside the threads that serve calls.
const MUCH: usize = 64 << 10;
/// How many ends of logs are kept in mind at most; each takes about half a kilobyte.
const MAX_KNOWN: usize = 32_768;
/// An end is kept in mind for so long at least, while there is room, and at most for twice as long.
const FRESH: Duration = Duration::from_secs(60);

/// Where the logs end that this replica has leased or written to.
///
/// What is kept here may be out of date. The statement that uses it stores nothing then.
#[derive(Debug, Default)]
pub(super) struct KnownEnds(Mutex<Generations>);

/// Those that were used lately, and those before them, which are forgotten as a whole: nothing is ever searched through.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Fence, LogEnd>,
    old: HashMap<Fence, LogEnd>,
    since: Option<Instant>,
}

impl KnownEnds {
    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the end of a log out: two appends at once must not both go on from it.
    pub(super) fn take(&self, fence: Fence) -> Option<LogEnd> {
        let mut known = self.lock();
        known.young.remove(&fence).or_else(|| known.old.remove(&fence))
    }

    /// Notes where a log ends.
    fn put(&self, fence: Fence, end: LogEnd) {
        let mut known = self.lock();
        let now = Instant::now();
        let is_over = known.since.is_none_or(|since| now.duration_since(since) > FRESH);
        if is_over || known.young.len() >= MAX_KNOWN / 2 {
            known.old = std::mem::take(&mut known.young);
            known.since = Some(now);
        }
        known.young.insert(fence, end);
    }

    /// Notes that nothing is written yet to the logs of these leases.
    pub(super) fn begin(&self, runs: &[LeasedRun]) {
        for run in runs {
            self.put(run.fence, LogEnd::empty(run.log_limit_bytes));
        }
    }
}

/// A piece as it was sent, and as it is stored.
type Piece = (LogChunk, Packed);

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
        let pieces = pack(chunks).await?;
        let lease = own_lease(caller, &access, runner, fence);
        let end = match self.append_known(&access, &lease, pieces).await? {
            Known::Stored(end) => end,
            Known::Unsure(pieces) => self.append_looking(&access, &lease, pieces).await?,
        };
        let offsets = end.offsets;
        self.0.ends.put(fence, end);
        Ok(offsets)
    }

    /// Appends by what is remembered of the end of the log. Pieces come back when that is nothing, or is not so.
    async fn append_known(&self, access: &Access<RunsExecute>, lease: &OwnLease, pieces: Vec<Piece>) -> Result<Known> {
        let Some(mut end) = self.0.ends.take(lease.fence) else { return Ok(Known::Unsure(pieces)) };
        // What is refused is refused by a look: the lease may be lost, and that is to be said first.
        if pieces.is_empty() || fitting(&end, &pieces) < pieces.len() || refusal(&end, &pieces, 0).is_some() {
            return Ok(Known::Unsure(pieces));
        }
        let before = end.timeline.take();
        let (fresh, mut end) = go_on(end, pieces).await?;
        let stored = {
            let mut conn = self.db().acquire().await?;
            store::logs::append(&mut conn, access, lease, &fresh, before.as_deref()).await?
        };
        Ok(match stored {
            Some(timeline) => {
                self.0.wake.log(lease.fence.run_id);
                end.timeline = Some(timeline);
                Known::Stored(end)
            }
            None => Known::Unsure(fresh.into_iter().map(|piece| (piece.chunk, piece.packed)).collect()),
        })
    }

    /// Appends after a look at what is stored; returns where the log ends then.
    async fn append_looking(
        &self,
        access: &Access<RunsExecute>,
        lease: &OwnLease,
        mut pieces: Vec<Piece>,
    ) -> Result<LogEnd> {
        let fence = lease.fence;
        let mut tx = self.db().begin().await?;
        let end = store::logs::hold_end(&mut tx, access, lease).await?.ok_or_else(Error::lease_lost)?;
        let repeats = pieces.partition_point(|(chunk, _)| chunk.seq < end.offsets.next_seq);
        for (chunk, _) in pieces.drain(..repeats) {
            if !store::logs::is_stored(&mut tx, access, fence, &chunk).await? {
                return Err(Error::conflict(format!("piece {} is stored with other bytes", chunk.seq)));
            }
        }
        // Behind a gap nothing is stored, and the worker is told where to go on.
        pieces.truncate(fitting(&end, &pieces));
        if pieces.is_empty() {
            return Ok(end);
        }
        if let Some(refusal) = refusal(&end, &pieces, repeats) {
            return Err(refusal);
        }
        let (fresh, end) = go_on(end, pieces).await?;
        // It was looked at under the same locks, so nothing has to be believed.
        let stored = store::logs::append(&mut tx, access, lease, &fresh, None).await?;
        stored.ok_or_else(|| Error::internal(anyhow::anyhow!("a log went on, or its lease ended, under its lock")))?;
        tx.commit().await?;
        self.0.wake.log(fence.run_id);
        Ok(end)
    }
}

/// What became of an append by what is remembered.
enum Known {
    /// It is stored, and the log ends here now.
    Stored(LogEnd),
    /// Nothing is stored; the pieces have to be looked at with what is stored.
    Unsure(Vec<Piece>),
}

/// Returns how many of the pieces, from the first one on, go on where a log ends without a gap.
fn fitting(end: &LogEnd, pieces: &[Piece]) -> usize {
    let mut next = end.offsets;
    let fits = |(chunk, _): &&Piece| {
        let goes_on = chunk.seq == next.next_seq && chunk.offset.checked_sub(chunk.cut) == Some(next.of(chunk.stream));
        next.next_seq += 1;
        *next.of_mut(chunk.stream) = chunk.offset + chunk.data.len() as u64;
        goes_on
    };
    pieces.iter().take_while(fits).count()
}

/// Says why pieces that fit behind the end of a log must not be stored. `passed` pieces of the call came before them.
fn refusal(end: &LogEnd, pieces: &[Piece], passed: usize) -> Option<Error> {
    let mut is_cut = Stream::ALL.map(|stream| end.of(stream).cut.is_some());
    for (i, (chunk, _)) in pieces.iter().enumerate().filter(|(_, (chunk, _))| chunk.cut > 0) {
        if std::mem::replace(&mut is_cut[chunk.stream.index()], true) {
            return Some(Invalid::one(format!("/chunks/{}/cut", passed + i), "a stream is cut once").into());
        }
    }
    let bytes: u64 = pieces.iter().map(|(chunk, _)| chunk.data.len() as u64).sum();
    if end.stored() + bytes > end.limit {
        let sentence = format!("the log of an attempt of this run has at most {} bytes", end.limit);
        return Some(Error::new(ErrorCode::TooLarge, sentence));
    }
    None
}

/// Places pieces behind the end of a log, and says where it ends with them.
async fn go_on(mut end: LogEnd, pieces: Vec<Piece>) -> Result<(Vec<NewPiece>, LogEnd)> {
    let hashes = [Running::resume(&end.stdout)?, Running::resume(&end.stderr)?];
    let mut fresh = Vec::with_capacity(pieces.len());
    for (chunk, packed) in pieces {
        let (before, place) = (end.offsets.of(chunk.stream), end.stored());
        let of = end.of_mut(chunk.stream);
        if chunk.cut > 0 {
            of.cut = Some((before, chunk.cut));
        }
        of.stored += chunk.data.len() as u64;
        let cut = of.cut;
        end.offsets.next_seq += 1;
        *end.offsets.of_mut(chunk.stream) = chunk.offset + chunk.data.len() as u64;
        fresh.push(NewPiece { chunk, packed, place, cut, sha256_state: None });
    }
    let fresh = hash(fresh, hashes).await?;
    for piece in fresh.iter().filter(|piece| piece.sha256_state.is_some()) {
        end.of_mut(piece.chunk.stream).sha256_state.clone_from(&piece.sha256_state);
    }
    Ok((fresh, end))
}

/// Packs the bytes of pieces.
async fn pack(chunks: Vec<LogChunk>) -> Result<Vec<(LogChunk, Packed)>> {
    let bytes = chunks.iter().map(|chunk| chunk.data.len()).sum();
    aside(bytes, move || {
        let mut packer = Packer::default();
        let pack = |chunk: LogChunk| {
            let packed = packer.pack(&chunk.data);
            (chunk, packed)
        };
        chunks.into_iter().map(pack).collect()
    })
    .await
}

/// Goes on with the hashes of both streams, and notes on the last piece of each how far they have come.
async fn hash(mut pieces: Vec<NewPiece>, mut hashes: [Running; 2]) -> Result<Vec<NewPiece>> {
    let bytes = pieces.iter().map(|piece| piece.chunk.data.len()).sum();
    aside(bytes, move || {
        for piece in &pieces {
            hashes[piece.chunk.stream.index()].update(&piece.chunk.data);
        }
        for stream in Stream::ALL {
            if let Some(last) = pieces.iter_mut().rev().find(|piece| piece.chunk.stream == stream) {
                last.sha256_state = hashes[stream.index()].state();
            }
        }
        pieces
    })
    .await
}

/// Does what takes the longer the more bytes there are; much of it where it holds up no call.
async fn aside<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if bytes <= MUCH {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
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
        // Sums of offsets and lengths must fit the database's numbers: nobody could end such a lease.
        if i32::try_from(chunk.seq).is_err() || chunk.offset > MAX_SEALED - MAX_CHUNK as u64 {
            invalid.add(format!("/chunks/{i}"), "the number or the offset is too large");
        }
        if chunk.cut > chunk.offset {
            invalid.add(format!("/chunks/{i}/cut"), "more bytes are cut out than come before the piece");
        }
    }
    invalid.into_result()?;
    if chunks.iter().map(|chunk| chunk.data.len()).sum::<usize>() > MAX_APPEND {
        return Err(Error::new(ErrorCode::TooLarge, "the pieces of one call have at most 4 MiB together"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tstr_shared::ids::{LeaseId, RunId};
    use uuid::Uuid;

    use super::*;

    fn fence(number: u128) -> Fence {
        Fence { run_id: RunId(Uuid::from_u128(number)), attempt: 1, lease_id: LeaseId(Uuid::from_u128(number)) }
    }

    #[test]
    fn what_is_kept_in_mind_is_bounded_and_the_latest_of_it() {
        let known = KnownEnds::default();
        let all = 3 * MAX_KNOWN as u128;
        for number in 0..all {
            known.put(fence(number), LogEnd::empty(number as u64));
        }
        let held = {
            let known = known.lock();
            known.young.len() + known.old.len()
        };
        assert!((MAX_KNOWN / 2..=MAX_KNOWN).contains(&held), "{held}");
        for number in all - MAX_KNOWN as u128 / 2..all {
            assert_eq!(known.take(fence(number)).map(|end| end.limit), Some(number as u64), "of {all}");
            assert!(known.take(fence(number)).is_none(), "taken twice");
        }
        assert!(known.take(fence(0)).is_none());
    }
}
