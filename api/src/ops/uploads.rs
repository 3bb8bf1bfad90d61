//! Contents of artifacts on their way from workers into the store.
//!
//! The bytes are never held as a whole, and never looked into: they are joined to parts, counted and hashed. Who sends
//! little pieces, or none, takes nothing from others: the pieces are not kept, and a turn is taken only once bytes have come,
//! kept only while they go on coming, and there are more turns than one namespace is given.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tstr_shared::artifacts::{Blob, ContentHash, MAX_FILE, MAX_PIECE};
use tstr_shared::error::{ErrorCode, Invalid};
use tstr_shared::ids::RunnerId;
use tstr_shared::lease::Fence;
use tstr_shared::permission::RunsExecute;
use tstr_shared::size::Bytes as Size;

use super::{Ops, own_lease};
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::objects::Unfinished;
use crate::store;
use crate::store::blobs::{BlobKey, Ended};
use crate::store::claims::OwnLease;

/// How many contents a replica takes at the same time, and how many of them for one namespace: each holds two of the store's
/// parts in memory.
const AT_ONCE: usize = 8;
const AT_ONCE_OF_ONE: usize = 4;
/// How long an upload waits for its turn.
const TURN: Duration = Duration::from_secs(60);
/// How long it waits for its next piece.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many bytes must come in a second, over the whole of it, once `PATIENCE` has passed.
const LEAST_RATE: f64 = (16 << 10) as f64;
/// So many bytes must be there, where there are so many, before a turn is asked for.
const FIRST: usize = 64 << 10;
/// How much more than twice the limit of its files may be uploaded for an attempt: files that are not recorded in the end,
/// and uploads that broke off.
const SPARE: u64 = 64 << 20;

/// The turns to upload contents.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    of: Mutex<HashMap<i32, Arc<Semaphore>>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_ONCE)), of: Mutex::default() }
    }
}

impl Turns {
    /// Waits for a turn of a namespace.
    async fn take(&self, ns_id: i32) -> Result<[OwnedSemaphorePermit; 2]> {
        let of_one = {
            let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(of.entry(ns_id).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE_OF_ONE))))
        };
        let turn = async {
            Ok::<_, tokio::sync::AcquireError>([
                of_one.acquire_owned().await?,
                Arc::clone(&self.all).acquire_owned().await?,
            ])
        };
        let turn = tokio::time::timeout(TURN, turn).await;
        turn.map_err(|_| Error::unavailable(anyhow::anyhow!("too many uploads at once")))?.map_err(Error::internal)
    }
}

/// Why a content is not stored.
struct Failed {
    error: Error,
    /// Its object may be there all the same, or appear later.
    may_appear: bool,
}

impl From<Unfinished> for Failed {
    fn from(Unfinished { error, may_appear }: Unfinished) -> Self {
        Self { error, may_appear }
    }
}

impl Ops {
    /// Stores a content for the namespace of a lease, unless it is there.
    pub async fn put_blob(
        &self,
        caller: &Caller,
        runner: RunnerId,
        fence: Fence,
        blob: Blob,
        pieces: impl Stream<Item = Result<Bytes>> + Send,
    ) -> Result<()> {
        let access = self.reach::<RunsExecute>(caller).await?;
        if blob.bytes > MAX_FILE.0 {
            return Err(Error::new(ErrorCode::TooLarge, format!("a file has at most {MAX_FILE}")));
        }
        let lease = own_lease(caller, &access, runner, fence);
        let mut conn = self.db().acquire().await?;
        let uploading = store::blobs::uploading(&mut conn, &access, &lease).await?.ok_or_else(Error::lease_lost)?;
        let part = self.objects()?.part();
        let found = store::blobs::find(&mut conn, &access, uploading.ns_id, &[blob.sha256]).await?;
        drop(conn);
        if let Some(stored) = found.first() {
            return if stored.blob == blob { Ok(()) } else { Err(differs()) };
        }
        let mut intake = Intake::new(blob, part, pieces);
        intake.fill(FIRST).await?;
        let turn = self.0.uploads.take(uploading.ns_id).await?;
        let most = uploading.limit.saturating_mul(2).saturating_add(SPARE);
        let mut conn = self.db().acquire().await?;
        let begun = store::blobs::begin_upload(&mut conn, &access, &lease, blob, most).await?;
        let Some(key) = begun else {
            store::blobs::uploading(&mut conn, &access, &lease).await?.ok_or_else(Error::lease_lost)?;
            let sentence = format!("for an attempt of this run at most {} are uploaded", Size(most));
            return Err(Error::new(ErrorCode::TooLarge, sentence));
        };
        drop(conn);
        // A call that is dropped from here on leaves a row without an end, by which its object is found.
        let uploaded = self.upload(key, intake).await;
        drop(turn);
        if let Err(Failed { error, may_appear }) = uploaded {
            if !may_appear {
                self.discard(&access, &lease, key).await;
            }
            return Err(error);
        }
        let mut conn = self.db().acquire().await?;
        let ended = store::blobs::end_upload(&mut conn, &access, key).await?;
        drop(conn);
        match ended {
            Ended::Found => Ok(()),
            Ended::Second => {
                self.discard(&access, &lease, key).await;
                Ok(())
            }
            Ended::Swept => {
                // The sweep may have been there before the object was.
                self.discard(&access, &lease, key).await;
                Err(Error::unavailable(anyhow::anyhow!("the upload was swept before its end")))
            }
        }
    }

    /// Writes the object of a content, and checks it meanwhile.
    async fn upload(
        &self,
        key: BlobKey,
        mut intake: Intake<impl Stream<Item = Result<Bytes>> + Send>,
    ) -> std::result::Result<(), Failed> {
        let objects = self.objects().map_err(|error| Failed { error, may_appear: false })?;
        let mut upload = objects.write(&key.object());
        let checked = async {
            while !intake.is_whole() {
                intake.fill(intake.size).await?;
                if !intake.is_whole() {
                    upload.add(intake.take().await?).await?;
                }
            }
            intake.end().await
        };
        match checked.await {
            Ok(last) => Ok(upload.finish(last).await?),
            Err(error) => Err(Failed { error, may_appear: !upload.abort().await }),
        }
    }

    /// Removes what an upload made that nobody finds. What cannot be removed now is swept later.
    async fn discard(&self, access: &Access<RunsExecute>, lease: &OwnLease, key: BlobKey) {
        let removed = async {
            self.objects()?.remove(&key.object()).await?;
            let mut conn = self.db().acquire().await?;
            store::blobs::forget_upload(&mut conn, access, lease, key).await
        };
        if let Err(error) = removed.await {
            tracing::warn!("the object {} is swept later: {error}", key.object());
        }
    }
}

/// A content that comes in pieces, joined to parts.
struct Intake<S> {
    blob: Blob,
    /// How large a part is.
    size: usize,
    pieces: Pin<Box<S>>,
    /// No piece has come yet: the first may be empty, for it names the content.
    is_new: bool,
    /// What is left of the last piece.
    rest: Bytes,
    part: Vec<u8>,
    hash: Sha256,
    /// How many bytes have come.
    count: u64,
    /// How long pieces were waited for.
    waited: Duration,
}

impl<S: Stream<Item = Result<Bytes>> + Send> Intake<S> {
    fn new(blob: Blob, size: usize, pieces: S) -> Self {
        Self {
            blob,
            size,
            pieces: Box::pin(pieces),
            is_new: true,
            rest: Bytes::new(),
            part: Vec::new(),
            hash: Sha256::new(),
            count: 0,
            waited: Duration::ZERO,
        }
    }

    /// Tells whether all bytes are there, the last of them in the part.
    fn is_whole(&self) -> bool {
        self.count == self.blob.bytes && self.rest.is_empty()
    }

    /// Waits until the part has so many bytes, or all that there are.
    async fn fill(&mut self, goal: usize) -> Result<()> {
        while self.part.len() < goal && !self.is_whole() {
            if self.rest.is_empty() {
                self.rest = self.piece().await?.ok_or_else(differs)?;
            }
            if self.part.capacity() == 0 {
                let bytes = usize::try_from(self.blob.bytes).unwrap_or(self.size);
                self.part.reserve_exact(self.size.min(bytes));
            }
            let some = self.rest.split_to(self.rest.len().min(self.size - self.part.len()));
            self.part.extend_from_slice(&some);
        }
        Ok(())
    }

    /// Waits for a piece; `None` at the end.
    async fn piece(&mut self) -> Result<Option<Bytes>> {
        let allowed = PATIENCE + Duration::from_secs_f64(self.count as f64 / LEAST_RATE);
        let began = Instant::now();
        let piece = tokio::time::timeout(allowed.saturating_sub(self.waited).min(PATIENCE), self.pieces.next()).await;
        self.waited += began.elapsed();
        let piece = piece.map_err(|_| Error::unavailable(anyhow::anyhow!("the pieces come too slowly")))?;
        let Some(piece) = piece.transpose()? else { return Ok(None) };
        if piece.is_empty() && !self.is_new {
            return Err(Invalid::one("/data", "a piece has at least one byte").into());
        }
        if piece.len() > MAX_PIECE {
            return Err(Error::new(ErrorCode::TooLarge, "a piece has at most 1 MiB"));
        }
        self.is_new = false;
        self.count += piece.len() as u64;
        if self.count > self.blob.bytes { Err(differs()) } else { Ok(Some(piece)) }
    }

    /// Returns the part, which is hashed.
    async fn take(&mut self) -> Result<Bytes> {
        let part = Bytes::from(std::mem::take(&mut self.part));
        // Beside the threads that serve calls: a megabyte takes milliseconds.
        let (data, so_far) = (part.clone(), std::mem::take(&mut self.hash));
        let hashed = tokio::task::spawn_blocking(move || so_far.chain_update(&data));
        self.hash = hashed.await.map_err(Error::internal)?;
        Ok(part)
    }

    /// Returns the last part, if nothing comes behind it and the content is the one that was announced.
    async fn end(&mut self) -> Result<Bytes> {
        while self.piece().await?.is_some() {}
        let last = self.take().await?;
        let sha256 = ContentHash(std::mem::take(&mut self.hash).finalize().into());
        if sha256 == self.blob.sha256 { Ok(last) } else { Err(differs()) }
    }
}

fn differs() -> Error {
    Invalid::one("/blob", "the bytes are not those that were announced").into()
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn content(bytes: &[u8]) -> Blob {
        Blob { sha256: ContentHash(Sha256::digest(bytes).into()), bytes: bytes.len() as u64 }
    }

    #[tokio::test]
    async fn little_pieces_are_joined_and_not_kept() {
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        // Each of them would hold a whole allocation.
        let (held, all) = (Arc::new(()), bytes.clone());
        let counted = Arc::clone(&held);
        let pieces = stream::iter(0..all.len()).map(move |i| {
            let piece = Piece { bytes: vec![all[i]; 1], _held: Arc::clone(&counted) };
            Ok(Bytes::from_owner(piece))
        });
        let mut intake = Intake::new(content(&bytes), 40_000, pieces);
        let mut parts = Vec::new();
        while !intake.is_whole() {
            intake.fill(40_000).await.unwrap();
            assert!(Arc::strong_count(&held) <= 3, "the pieces are gone");
            assert!(intake.part.capacity() <= 40_000);
            if !intake.is_whole() {
                parts.push(intake.take().await.unwrap());
            }
        }
        parts.push(intake.end().await.unwrap());
        assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), [40_000, 40_000, 20_000]);
        assert!(parts.concat() == bytes);
    }

    struct Piece {
        bytes: Vec<u8>,
        _held: Arc<()>,
    }

    impl AsRef<[u8]> for Piece {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }

    #[tokio::test]
    async fn a_piece_has_bytes_but_for_the_first() {
        let put = async |pieces: &[&'static [u8]]| {
            let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece))).collect();
            let mut intake = Intake::new(content(b"content"), 5, stream::iter(pieces));
            while !intake.is_whole() {
                intake.fill(5).await?;
                if !intake.is_whole() {
                    intake.take().await?;
                }
            }
            intake.end().await
        };
        assert_eq!(put(&[b"", b"con", b"tent"]).await.unwrap(), Bytes::from_static(b"nt"));
        let refused: [&[&'static [u8]]; 3] = [&[b"con", b"", b"tent"], &[b"content", b""], &[b"", b"", b"content"]];
        for pieces in refused {
            assert_eq!(put(pieces).await.unwrap_err().code(), ErrorCode::Invalid);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_trickles_is_given_up_and_who_is_slow_is_not() {
        let bytes = vec![7; 2 << 20];
        for (every, is_taken) in [(Duration::from_secs(1), true), (Duration::from_secs(29), false)] {
            let pieces = stream::iter(bytes.chunks(32 << 10).map(Bytes::copy_from_slice).collect::<Vec<_>>());
            let pieces = pieces.then(move |piece| async move {
                tokio::time::sleep(every).await;
                Ok(piece)
            });
            let began = Instant::now();
            let mut intake = Intake::new(content(&bytes), 4 << 20, pieces);
            let filled = intake.fill(4 << 20).await;
            match is_taken {
                true => filled.unwrap(),
                false => {
                    assert_eq!(filled.unwrap_err().code(), ErrorCode::Unavailable);
                    assert!(began.elapsed() < 2 * PATIENCE, "{:?}", began.elapsed());
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_namespace_leaves_turns_for_others() {
        let turns = Turns::default();
        let mut taken = Vec::new();
        for _ in 0..AT_ONCE_OF_ONE {
            taken.push(turns.take(1).await.unwrap());
        }
        assert_eq!(turns.take(1).await.unwrap_err().code(), ErrorCode::Unavailable);
        let began = Instant::now();
        taken.push(turns.take(2).await.unwrap());
        assert_eq!(began.elapsed(), Duration::ZERO);
        taken.clear();
        drop(turns.take(1).await.unwrap());
    }
}
