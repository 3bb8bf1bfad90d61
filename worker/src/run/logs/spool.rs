//! A log on its way, on the worker's own disk: chunks one after another in a file that only the worker may read.
//!
//! One side appends, the other reads what has been appended, from any place. The file's name holds the fence, so that
//! a worker that crashed knows after its restart which attempts it had; it says as well whether the container may
//! have been started. What was appended by then can still be handed over.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tstr_shared::lease::Fence;
use tstr_shared::logs::{LogChunk, LogOffsets, LogSeal, MAX_CHUNK, Stream, StreamSeal};

use super::cut::Cut;

/// Stream, length and time before each chunk's bytes.
const HEADER: usize = 1 + 4 + 8;
/// Set beside the stream of a chunk before which bytes were cut out: eight bytes more of header say how many.
const BEHIND_CUT: u8 = 0x80;
const LEASED: &str = "leased";
const RUNNING: &str = "running";

/// The appending side. The file is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Spool {
    path: PathBuf,
    file: Arc<File>,
    progress: watch::Sender<Progress>,
}

/// How much there is to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Progress {
    end: u64,
    complete: bool,
}

/// The reading side.
#[derive(Debug)]
pub(crate) struct SpoolReader {
    file: Arc<File>,
    progress: watch::Receiver<Progress>,
    at: Place,
}

/// A place in a spool: a byte of the file, and what comes before it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) byte: u64,
    offsets: LogOffsets,
}

/// A spool that a worker left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leftover {
    pub(crate) path: PathBuf,
    pub(crate) fence: Fence,
    /// The container may have been started.
    pub(crate) may_have_run: bool,
}

impl Spool {
    /// Makes the spool of an attempt in `dir`.
    pub(crate) async fn create(dir: &Path, fence: Fence) -> io::Result<(Self, SpoolReader)> {
        let path = dir.join(format!("{}.{}.{}.{LEASED}", fence.run_id, fence.attempt, fence.lease_id));
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).to_owned();
        let file = spawn_blocking({
            let path = path.clone();
            move || options.open(path)
        })
        .await??;
        let file = Arc::new(file);
        let (progress, seen) = watch::channel(Progress::default());
        let reader = SpoolReader { file: Arc::clone(&file), progress: seen, at: Place::default() };
        Ok((Self { path, file, progress }, reader))
    }

    /// Notes on disk that the container may be started from now on.
    pub(crate) async fn mark_running(&mut self) -> io::Result<()> {
        let running = self.path.with_extension(RUNNING);
        tokio::fs::rename(&self.path, &running).await?;
        self.path = running;
        Ok(())
    }

    /// Returns where something beside the spool may be.
    pub(super) fn beside(&self, what: &str) -> PathBuf {
        self.path.with_extension(what)
    }

    /// Appends a chunk before which so many bytes of its stream are missing; when that fails nothing has been appended.
    pub(crate) async fn append(&mut self, cut: &Cut, missing: u64) -> io::Result<()> {
        let record = record(cut, missing);
        let (file, end, length) = (Arc::clone(&self.file), self.progress.borrow().end, record.len() as u64);
        // Off the runtime's threads: a full page cache lets a write wait for the disk.
        spawn_blocking(move || file.write_all_at(&record, end)).await??;
        self.progress.send_modify(|progress| progress.end = end + length);
        Ok(())
    }

    /// Says that nothing will be appended any more.
    pub(crate) fn complete(&self) {
        self.progress.send_modify(|progress| progress.complete = true);
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Also when the attempt was given up: what is left behind would be taken for a crash.
        self.complete();
        let _ = std::fs::remove_file(&self.path);
    }
}

impl SpoolReader {
    /// Returns what comes before the next chunk to be read.
    pub(crate) fn offsets(&self) -> LogOffsets {
        self.at.offsets
    }

    /// Waits for chunks; returns the next of them, together about `most` bytes. Empty when there will be none.
    pub(crate) async fn next(&mut self, most: usize) -> io::Result<Vec<LogChunk>> {
        let from = self.at.byte;
        let Ok(progress) = self.progress.wait_for(|seen| seen.end > from || seen.complete).await.map(|seen| *seen)
        else {
            return Ok(Vec::new());
        };
        let (file, at) = (Arc::clone(&self.file), self.at);
        let (chunks, at) = spawn_blocking(move || read(&file, at, progress.end, most)).await??;
        self.at = at;
        Ok(chunks)
    }

    /// Goes to the chunk with a certain number: the first that the server does not have.
    pub(crate) async fn seek(&mut self, seq: u32) -> io::Result<()> {
        let (file, here, end) = (Arc::clone(&self.file), self.at, self.progress.borrow().end);
        let start = if seq >= here.offsets.next_seq { here } else { Place::default() };
        self.at = spawn_blocking(move || skip(&file, start, end, seq)).await??;
        Ok(())
    }
}

impl Leftover {
    /// Opens it to be read: as much as was written whole, and what is to be said about it.
    pub(crate) fn open(&self) -> io::Result<(SpoolReader, LogSeal)> {
        let file = Arc::new(File::open(&self.path)?);
        let (mut at, mut hashes, mut missing) = (Place::default(), [Sha256::new(), Sha256::new()], [0; 2]);
        // The last chunk may have been cut short with the worker's life, and a disk may have lost the end.
        while let Ok((header, next)) = header(&file, at) {
            let mut data = vec![0; header.length];
            if file.read_exact_at(&mut data, header.data_at).is_err() {
                break;
            }
            hashes[header.stream.index()].update(&data);
            missing[header.stream.index()] += header.missing;
            at = next;
        }
        let [stdout, stderr] = hashes;
        let seal = |stream, hash: Sha256| StreamSeal {
            bytes: at.offsets.of(stream) - missing[stream.index()],
            dropped_bytes: missing[stream.index()],
            sha256: hash.finalize().into(),
        };
        let seal =
            LogSeal { stdout: seal(Stream::Stdout, stdout), stderr: seal(Stream::Stderr, stderr), incomplete: true };
        let (_, progress) = watch::channel(Progress { end: at.byte, complete: true });
        Ok((SpoolReader { file, progress, at: Place::default() }, seal))
    }

    /// Finds the spools in `dir`; removes what is no spool.
    pub(crate) fn find(dir: &Path) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            match path.file_name().and_then(|name| name.to_str()).and_then(fence_of) {
                Some((fence, may_have_run)) => found.push(Self { path, fence, may_have_run }),
                None => {
                    let _ = std::fs::remove_file(&path);
                }
            }
        }
        Ok(found)
    }
}

fn fence_of(name: &str) -> Option<(Fence, bool)> {
    let mut parts = name.split('.');
    let mut next = || parts.next();
    let fence =
        Fence { run_id: next()?.parse().ok()?, attempt: next()?.parse().ok()?, lease_id: next()?.parse().ok()? };
    let may_have_run = match next()? {
        LEASED => false,
        RUNNING => true,
        _ => return None,
    };
    parts.next().is_none().then_some((fence, may_have_run))
}

/// Returns a chunk as it is written.
pub(super) fn record(cut: &Cut, missing: u64) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEADER + size_of::<u64>() + cut.data.len());
    record.push(cut.stream as u8 | if missing > 0 { BEHIND_CUT } else { 0 });
    record.extend_from_slice(&u32::try_from(cut.data.len()).unwrap_or(u32::MAX).to_le_bytes());
    record.extend_from_slice(&cut.at.timestamp_micros().to_le_bytes());
    if missing > 0 {
        record.extend_from_slice(&missing.to_le_bytes());
    }
    record.extend_from_slice(&cut.data);
    record
}

/// Reads the chunks from a place to an end, together about `most` bytes; also returns the place behind them.
pub(super) fn read(file: &File, mut at: Place, end: u64, most: usize) -> io::Result<(Vec<LogChunk>, Place)> {
    let (mut chunks, mut size) = (Vec::new(), 0);
    while at.byte < end && size < most {
        let (header, next) = header(file, at)?;
        let mut data = vec![0; header.length];
        file.read_exact_at(&mut data, header.data_at)?;
        size += data.len() + HEADER;
        chunks.push(LogChunk {
            seq: at.offsets.next_seq,
            stream: header.stream,
            offset: at.offsets.of(header.stream) + header.missing,
            cut: header.missing,
            reported_at: header.at,
            data,
        });
        at = next;
    }
    Ok((chunks, at))
}

fn skip(file: &File, mut at: Place, end: u64, seq: u32) -> io::Result<Place> {
    while at.byte < end && at.offsets.next_seq < seq {
        at = header(file, at)?.1;
    }
    Ok(at)
}

struct Header {
    stream: Stream,
    at: DateTime<Utc>,
    length: usize,
    /// How many bytes of the stream are missing before it.
    missing: u64,
    data_at: u64,
}

/// Reads the header at a place; also returns the place behind its chunk.
fn header(file: &File, at: Place) -> io::Result<(Header, Place)> {
    let mut bytes = [0; HEADER];
    file.read_exact_at(&mut bytes, at.byte)?;
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "the spool is broken");
    let word = bytes[0] & !BEHIND_CUT;
    let stream = Stream::ALL.into_iter().find(|stream| *stream as u8 == word).ok_or_else(broken)?;
    let (length, micros) = bytes[1..].split_at(4);
    let length = u32::from_le_bytes(length.try_into().map_err(|_| broken())?) as usize;
    let micros = i64::from_le_bytes(micros.try_into().map_err(|_| broken())?);
    if length == 0 || length > MAX_CHUNK {
        return Err(broken());
    }
    let (mut missing, mut data_at) = (0, at.byte + HEADER as u64);
    if bytes[0] & BEHIND_CUT != 0 {
        let mut count = [0; size_of::<u64>()];
        file.read_exact_at(&mut count, data_at)?;
        missing = u64::from_le_bytes(count);
        data_at += count.len() as u64;
    }
    let mut next = Place { byte: data_at + length as u64, offsets: at.offsets };
    next.offsets.next_seq += 1;
    *next.offsets.of_mut(stream) += missing + length as u64;
    let at = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    Ok((Header { stream, at, length, missing, data_at }, next))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tstr_shared::ids::{LeaseId, RunId};
    use uuid::Uuid;

    use super::*;

    fn fence() -> Fence {
        Fence { run_id: RunId(Uuid::now_v7()), attempt: 3, lease_id: LeaseId(Uuid::new_v4()) }
    }

    fn cut(stream: Stream, text: &str) -> Cut {
        Cut { stream, at: DateTime::from_timestamp_millis(5).unwrap(), data: text.into() }
    }

    #[tokio::test]
    async fn chunks_are_read_from_any_number_on() {
        let dir = tempfile::tempdir().unwrap();
        let (mut spool, mut reader) = Spool::create(dir.path(), fence()).await.unwrap();
        for (stream, text) in [(Stream::Stdout, "ab"), (Stream::Stderr, "c"), (Stream::Stdout, "def")] {
            spool.append(&cut(stream, text), 0).await.unwrap();
        }
        let chunks = reader.next(1 << 20).await.unwrap();
        let seen: Vec<_> = chunks.iter().map(|c| (c.seq, c.stream, c.offset, c.data.as_slice())).collect();
        assert_eq!(
            seen,
            [(0, Stream::Stdout, 0, &b"ab"[..]), (1, Stream::Stderr, 0, b"c"), (2, Stream::Stdout, 2, b"def")]
        );
        assert_eq!(reader.offsets(), LogOffsets { next_seq: 3, stdout: 5, stderr: 1 });
        reader.seek(1).await.unwrap();
        assert_eq!(reader.offsets(), LogOffsets { next_seq: 1, stdout: 2, stderr: 0 });
        assert_eq!(reader.next(1).await.unwrap().len(), 1, "at most about what was asked for");
        reader.seek(3).await.unwrap();
        spool.complete();
        assert!(reader.next(1).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn behind_a_cut_chunks_stand_at_the_true_place_of_their_stream() {
        let dir = tempfile::tempdir().unwrap();
        let (mut spool, mut reader) = Spool::create(dir.path(), fence()).await.unwrap();
        for (stream, text, missing) in [(Stream::Stdout, "ab", 0), (Stream::Stdout, "cd", 7), (Stream::Stderr, "e", 1)]
        {
            spool.append(&cut(stream, text), missing).await.unwrap();
        }
        let chunks = reader.next(1 << 20).await.unwrap();
        let seen: Vec<_> = chunks.iter().map(|c| (c.offset, c.cut, c.data.as_slice())).collect();
        assert_eq!(seen, [(0, 0, &b"ab"[..]), (9, 7, b"cd"), (1, 1, b"e")]);
        assert_eq!(reader.offsets(), LogOffsets { next_seq: 3, stdout: 11, stderr: 2 });
        reader.seek(1).await.unwrap();
        assert_eq!(reader.offsets(), LogOffsets { next_seq: 1, stdout: 2, stderr: 0 });
        assert_eq!(reader.next(1 << 20).await.unwrap(), chunks[1..]);
        std::mem::forget(spool);
        let (_, seal) = Leftover::find(dir.path()).unwrap().remove(0).open().unwrap();
        assert_eq!((seal.stdout.bytes, seal.stdout.dropped_bytes, seal.stderr.bytes), (4, 7, 1));
        assert_eq!(seal.stdout.sha256, <[u8; 32]>::from(Sha256::digest("abcd")));
    }

    #[tokio::test]
    async fn a_spool_is_private_and_gone_when_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let (mut spool, _reader) = Spool::create(dir.path(), fence()).await.unwrap();
        spool.mark_running().await.unwrap();
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap()).collect();
        assert_eq!(left[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(spool);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_crash_leaves_the_fence_and_whether_the_container_may_have_run() {
        let dir = tempfile::tempdir().unwrap();
        let (leased, running) = (fence(), fence());
        let (first, _a) = Spool::create(dir.path(), leased).await.unwrap();
        let (mut second, _b) = Spool::create(dir.path(), running).await.unwrap();
        second.mark_running().await.unwrap();
        std::mem::forget((first, second));
        std::fs::write(dir.path().join("rubbish"), "x").unwrap();
        let mut found = Leftover::find(dir.path()).unwrap();
        found.sort_by_key(|left| left.may_have_run);
        let seen: Vec<_> = found.iter().map(|left| (left.fence, left.may_have_run)).collect();
        assert_eq!(seen, [(leased, false), (running, true)]);
        assert!(!dir.path().join("rubbish").exists());
    }

    #[tokio::test]
    async fn what_a_crash_left_is_read_up_to_the_last_whole_chunk() {
        let dir = tempfile::tempdir().unwrap();
        let (mut spool, _reader) = Spool::create(dir.path(), fence()).await.unwrap();
        for (stream, text) in [(Stream::Stdout, "ab"), (Stream::Stderr, "c"), (Stream::Stdout, "def")] {
            spool.append(&cut(stream, text), 0).await.unwrap();
        }
        let whole = std::fs::metadata(&spool.path).unwrap().len();
        std::mem::forget(spool);
        let left = Leftover::find(dir.path()).unwrap().remove(0);
        for (length, stdout, chunks) in [(whole, "abdef", 3), (whole - 1, "ab", 2), (whole - 10, "ab", 2), (3, "", 0)] {
            File::options().write(true).open(&left.path).unwrap().set_len(length).unwrap();
            let (mut reader, seal) = left.open().unwrap();
            assert!(seal.incomplete);
            assert_eq!(seal.stdout.bytes, stdout.len() as u64);
            assert_eq!(seal.stdout.sha256, <[u8; 32]>::from(Sha256::digest(stdout)));
            assert_eq!(reader.next(usize::MAX).await.unwrap().len(), chunks);
            assert!(reader.next(usize::MAX).await.unwrap().is_empty());
        }
    }
}
