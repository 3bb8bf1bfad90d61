//! The end of a log that passed its limit: the last bytes of both streams, in bounded room on disk.
//!
//! Two files take turns. Chunks go into the newer one; when it holds as much as is to be kept, the older one is emptied
//! and becomes the newer. So the end is always there, and never more than twice of it. The files have no name: a crash
//! leaves nothing of them, and the log is incomplete then anyway.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tstr_shared::logs::Stream;

use super::cut::Cut;
use super::spool::{Place, read, record};

/// Keeps the last bytes of a log.
#[derive(Debug)]
pub(super) struct Tail {
    /// Where its files are made; the name is gone at once.
    path: PathBuf,
    /// How many bytes are kept.
    keeps: u64,
    older: Option<Part>,
    newer: Option<Part>,
    dropped: [u64; 2],
}

#[derive(Debug)]
struct Part {
    file: Arc<File>,
    end: u64,
    bytes: [u64; 2],
}

impl Part {
    fn make(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        std::fs::remove_file(path)?;
        Ok(Self { file: Arc::new(file), end: 0, bytes: [0; 2] })
    }

    fn holds(&self) -> u64 {
        self.bytes.iter().sum()
    }
}

impl Tail {
    /// Keeps so many bytes, at least one.
    pub(super) fn new(path: PathBuf, keeps: u64) -> Self {
        Self { path, keeps, older: None, newer: None, dropped: [0; 2] }
    }

    /// Takes a chunk. When that fails the end of the log is lost.
    pub(super) async fn append(&mut self, cut: &Cut) -> io::Result<()> {
        if self.newer.as_ref().is_none_or(|part| part.holds() >= self.keeps) {
            let older = std::mem::replace(&mut self.older, self.newer.take());
            for (count, gone) in self.dropped.iter_mut().zip(older.as_ref().map_or([0; 2], |part| part.bytes)) {
                *count += gone;
            }
            self.newer = Some(self.emptied(older).await?);
        }
        let Some(part) = &mut self.newer else { return Ok(()) };
        let (file, end, bytes) = (Arc::clone(&part.file), part.end, record(cut, 0));
        let length = bytes.len() as u64;
        // Off the runtime's threads: a full page cache lets a write wait for the disk.
        spawn_blocking(move || file.write_all_at(&bytes, end)).await??;
        part.end += length;
        part.bytes[cut.stream.index()] += cut.data.len() as u64;
        Ok(())
    }

    async fn emptied(&self, part: Option<Part>) -> io::Result<Part> {
        let path = self.path.clone();
        let make = move || match part {
            Some(Part { file, .. }) => file.set_len(0).map(|()| Part { file, end: 0, bytes: [0; 2] }),
            None => Part::make(&path),
        };
        spawn_blocking(make).await?
    }

    /// Returns how many bytes of a stream it was given.
    pub(super) fn taken(&self, stream: Stream) -> u64 {
        let held = self.older.iter().chain(&self.newer).map(|part| part.bytes[stream.index()]);
        self.dropped[stream.index()] + held.sum::<u64>()
    }

    /// Reads the end from its first chunk on.
    pub(super) fn read(self) -> TailReader {
        let held: u64 = self.older.iter().chain(&self.newer).map(Part::holds).sum();
        TailReader {
            skip: held.saturating_sub(self.keeps),
            dropped: self.dropped,
            parts: [self.older, self.newer].into_iter().flatten().collect::<Vec<_>>().into_iter(),
            part: None,
        }
    }
}

/// The end of a log as it is read.
#[derive(Debug)]
pub(super) struct TailReader {
    skip: u64,
    dropped: [u64; 2],
    parts: std::vec::IntoIter<Part>,
    part: Option<(Part, Place)>,
}

impl TailReader {
    /// Returns the next chunk that is kept.
    pub(super) async fn next(&mut self) -> io::Result<Option<Cut>> {
        loop {
            if self.part.as_ref().is_none_or(|(part, at)| at.byte >= part.end) {
                let Some(part) = self.parts.next() else { return Ok(None) };
                self.part = Some((part, Place::default()));
            }
            let Some((part, at)) = &mut self.part else { return Ok(None) };
            let (file, from, end) = (Arc::clone(&part.file), *at, part.end);
            let (mut chunks, next) = spawn_blocking(move || read(&file, from, end, 1)).await??;
            *at = next;
            let Some(chunk) = chunks.pop() else { continue };
            let cut = Cut { stream: chunk.stream, at: chunk.reported_at, data: chunk.data };
            if let Some(cut) = self.kept(cut) {
                return Ok(Some(cut));
            }
        }
    }

    /// Leaves out what is more than is kept; where that ends inside of a chunk, up to the next line of it.
    fn kept(&mut self, mut cut: Cut) -> Option<Cut> {
        let length = cut.data.len();
        let skip = usize::try_from(self.skip).unwrap_or(usize::MAX).min(length);
        self.skip -= skip as u64;
        let line_end = cut.data[skip..].iter().position(|byte| *byte == b'\n').filter(|_| 0 < skip && skip < length);
        let skip = skip + line_end.map_or(0, |end| end + 1);
        self.dropped[cut.stream.index()] += skip as u64;
        cut.data.drain(..skip);
        Some(cut).filter(|cut| !cut.data.is_empty())
    }

    /// Returns how many bytes of a stream are left out; known once the first chunk that is kept was read.
    pub(super) fn dropped(&self, stream: Stream) -> u64 {
        self.dropped[stream.index()]
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    async fn kept(keeps: u64, list: &[(Stream, Vec<u8>)]) -> (Vec<(Stream, Vec<u8>)>, [u64; 2]) {
        let dir = tempfile::tempdir().unwrap();
        let mut tail = Tail::new(dir.path().join("tail"), keeps);
        for (stream, data) in list {
            tail.append(&Cut { stream: *stream, at: DateTime::UNIX_EPOCH, data: data.clone() }).await.unwrap();
            let held: u64 = tail.older.iter().chain(&tail.newer).map(Part::holds).sum();
            assert!(held <= 2 * (keeps + 64), "{held} bytes are held for {keeps}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "its files have no name");
        let taken = Stream::ALL.map(|stream| tail.taken(stream));
        for stream in Stream::ALL {
            let given: usize = list.iter().filter(|(s, _)| *s == stream).map(|(_, data)| data.len()).sum();
            assert_eq!(taken[stream.index()], given as u64);
        }
        let (mut reader, mut told) = (tail.read(), Vec::new());
        while let Some(cut) = reader.next().await.unwrap() {
            told.push((cut.stream, cut.data));
        }
        (told, Stream::ALL.map(|stream| reader.dropped(stream)))
    }

    proptest! {
        #[test]
        fn the_last_bytes_of_both_streams_are_kept_and_the_others_counted(
            list in prop::collection::vec((any::<bool>(), prop::collection::vec(1u8..9, 1..64)), 0..60),
            keeps in 1u64..400,
        ) {
            let list: Vec<_> = list.into_iter().map(|(err, data)| (Stream::ALL[usize::from(err)], data)).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (told, dropped) = runtime.block_on(kept(keeps, &list));
            let all: usize = list.iter().map(|(_, data)| data.len()).sum();
            let told_bytes: usize = told.iter().map(|(_, data)| data.len()).sum();
            prop_assert_eq!(told_bytes as u64, keeps.min(all as u64));
            for stream in Stream::ALL {
                let of = |list: &[(Stream, Vec<u8>)]| -> Vec<u8> {
                    list.iter().filter(|(s, _)| *s == stream).flat_map(|(_, data)| data.clone()).collect()
                };
                let given = of(&list);
                prop_assert_eq!(&given[dropped[stream.index()] as usize..], of(&told));
            }
        }
    }

    #[tokio::test]
    async fn the_end_begins_with_a_line_where_it_has_one() {
        let list = [(Stream::Stdout, b"12345\nabc\n".to_vec()), (Stream::Stdout, b"def".to_vec())];
        assert_eq!(kept(9, &list).await, (vec![(Stream::Stdout, b"abc\n".to_vec()), list[1].clone()], [6, 0]));
        assert_eq!(kept(3, &list).await, (vec![list[1].clone()], [10, 0]));
        assert_eq!(kept(13, &list).await, (list.to_vec(), [0, 0]), "nothing was left out");
    }
}
