//! From a container that has ended to its files: read from the engine's tar archives as they come, never unpacked.
//!
//! No name of an archive is used for anything but a text that is compared and reported, so none can lead anywhere; and
//! what is no ordinary file is counted, not followed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{StreamExt, TryStreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio_tar::EntryType;
use tokio_util::io::StreamReader;
use tracing::warn;
use tstr_shared::artifacts::{
    ArtifactNote, ArtifactPath, ArtifactPattern, CollectedFile, ContentHash, FOLDER, MAX_FILE, MAX_FILES, NoteWhy,
    Root, roots,
};
use tstr_shared::lease::Fence;

use super::spool::{Spool, Writing};
use crate::control::BlobData;
use crate::engine::{Archive, Engine, EngineError};

/// How much of a file is read before it is written.
const PIECE: usize = 256 << 10;
/// What an archive ends with: two empty blocks.
const END: u64 = 1024;
/// Sizes in an archive are rounded up to it.
const BLOCK: u64 = 512;

/// What is said of files that are not kept, by cause.
#[derive(Debug, Default)]
pub(super) struct Notes(BTreeMap<NoteWhy, ArtifactNote>);

impl Notes {
    pub(super) fn add(&mut self, why: NoteWhy, path: &str, bytes: u64) {
        self.of(why).add(path, bytes);
    }

    /// Says something of a cause, unless something was said.
    pub(super) fn say(&mut self, why: NoteWhy, detail: &str) {
        let note = self.of(why);
        if note.detail.is_none() {
            *note = note.clone().with_detail(detail);
        }
    }

    pub(super) fn into_list(self) -> Vec<ArtifactNote> {
        self.0.into_values().collect()
    }

    fn of(&mut self, why: NoteWhy) -> &mut ArtifactNote {
        self.0.entry(why).or_insert_with(|| ArtifactNote::new(why))
    }
}

/// The files of one attempt, as far as they are read.
#[derive(Debug)]
pub(super) struct Taking<'a> {
    dir: &'a Path,
    fence: Fence,
    /// How many bytes may still be kept.
    room: u64,
    patterns: Vec<(ArtifactPattern, bool)>,
    /// Made for the first content.
    spool: Option<Spool>,
    seen: HashSet<String>,
    pub(super) files: Vec<CollectedFile>,
    pub(super) contents: HashMap<ContentHash, BlobData>,
    pub(super) notes: Notes,
}

/// Why no more of an archive is read.
struct Broken(String);

impl<'a> Taking<'a> {
    /// Begins with nothing; at most `limit` bytes will be kept.
    pub(super) fn new(dir: &'a Path, fence: Fence, limit: u64, patterns: Vec<ArtifactPattern>, notes: Notes) -> Self {
        Self {
            dir,
            fence,
            room: limit,
            patterns: patterns.into_iter().map(|pattern| (pattern, false)).collect(),
            spool: None,
            seen: HashSet::new(),
            files: Vec::new(),
            contents: HashMap::new(),
            notes,
        }
    }

    /// Takes what there is. May be dropped at any time: what was taken by then is whole.
    pub(super) async fn take(&mut self, engine: &dyn Engine, name: &str) {
        let patterns: Vec<ArtifactPattern> = self.patterns.iter().map(|(pattern, _)| pattern.clone()).collect();
        let mut read_all = true;
        for root in roots(&patterns) {
            // What lies in the folder for artifacts is read once, with the folder.
            if root.base.strip_prefix(FOLDER).is_some_and(|rest| rest.starts_with('/')) {
                continue;
            }
            if !root.patterns.is_empty() && root.base == FOLDER {
                continue;
            }
            let archive = engine.copy_out(name, &root.base).await;
            read_all &= self.read(&root, archive).await;
        }
        if read_all {
            for (pattern, _) in self.patterns.iter().filter(|(_, matched)| !matched) {
                self.notes.add(NoteWhy::NoMatch, pattern.source(), 0);
            }
        }
    }

    /// Reads what the engine answered for a root; notes it when that is not all, and tells whether it is.
    pub(super) async fn read(&mut self, root: &Root, archive: Result<Option<Archive>, EngineError>) -> bool {
        let read = match archive {
            Ok(None) => Ok(()),
            Ok(Some(archive)) => self.read_to_end(root, archive).await,
            Err(error) => Err(Broken(error.to_string())),
        };
        if let Err(Broken(why)) = &read {
            let run = self.fence.run_id;
            warn!(run.id = %run, error = why, "the files of run {run} in {} cannot be read: {why}", root.base);
            self.notes.say(NoteWhy::Unreadable, &format!("{}: {why}", root.base));
        }
        read.is_ok()
    }

    async fn read_to_end(&mut self, root: &Root, archive: Archive) -> Result<(), Broken> {
        let mut counted = Counted { inner: StreamReader::new(archive.map_err(io::Error::other)), bytes: 0, zeros: 0 };
        let broken = |error: io::Error| Broken(error.to_string());
        let mut end = 0;
        {
            let mut archive = tokio_tar::Archive::new(&mut counted);
            let mut entries = archive.entries().map_err(broken)?;
            while let Some(entry) = entries.next().await {
                let mut entry = entry.map_err(broken)?;
                let size = entry.effective_size();
                let (kind, path) = (entry.header().entry_type(), entry.path_bytes().map_err(broken)?.into_owned());
                let mut length = size;
                if let Some(wanted) = self.wanted(root, kind, &path, size) {
                    length = self.keep(wanted, size, &mut entry).await?;
                }
                if !matches!(kind, EntryType::GNUSparse) {
                    end = entry.raw_file_position() + length.max(size).next_multiple_of(BLOCK);
                }
            }
        }
        // What comes behind the end is not looked at, but a copy that broke off has no end.
        let mut rest = [0; 8192];
        while counted.read(&mut rest).await.map_err(broken)? > 0 {}
        let is_ended = counted.bytes >= end + END && counted.zeros >= END;
        if is_ended { Ok(()) } else { Err(Broken("the copy broke off".into())) }
    }

    /// Returns the path that an entry of an archive is kept under; `None` when it is not kept, which is noted.
    fn wanted(&mut self, root: &Root, kind: EntryType, path: &[u8], size: u64) -> Option<ArtifactPath> {
        // Neither a folder nor what is said of the entries that follow is a file that could be missed.
        if matches!(kind, EntryType::Directory | EntryType::XGlobalHeader) {
            return None;
        }
        let text = String::from_utf8_lossy(path);
        // The first step of the archive's paths stands for what was asked for, whatever it is called.
        let below = text.trim_start_matches("./").trim_start_matches('/');
        let below = below.split_once('/').map(|(_, below)| below).unwrap_or_default();
        let whole = if below.is_empty() { root.base.clone() } else { format!("{}/{below}", root.base) };
        for (pattern, matched) in &mut self.patterns {
            *matched = *matched || pattern.matches(&whole);
        }
        let kept_as = root.kept_as(below).map(|path| if path.is_empty() { whole } else { path })?;
        if !matches!(kind, EntryType::Regular | EntryType::Continuous) {
            self.notes.add(NoteWhy::NotAFile, &kept_as, 0);
            return None;
        }
        let is_text = std::str::from_utf8(path).is_ok();
        let Some(parsed) = ArtifactPath::parse(&kept_as).ok().filter(|_| is_text) else {
            self.notes.add(NoteWhy::BadName, &kept_as, size);
            return None;
        };
        if self.seen.contains(&kept_as) {
            self.notes.add(NoteWhy::Duplicate, &kept_as, size);
            return None;
        }
        match self.fits(size) {
            Ok(()) => Some(parsed),
            Err(why) => {
                self.notes.add(why, &kept_as, size);
                None
            }
        }
    }

    /// Tells whether one more file of this size is kept.
    fn fits(&self, size: u64) -> Result<(), NoteWhy> {
        if size > MAX_FILE.0 {
            Err(NoteWhy::TooLarge)
        } else if self.files.len() >= MAX_FILES {
            Err(NoteWhy::TooMany)
        } else if size > self.room {
            Err(NoteWhy::OverLimit)
        } else {
            Ok(())
        }
    }

    /// Reads a file, and keeps it when it is whole; returns how long it was.
    async fn keep<R: AsyncRead + Unpin>(
        &mut self,
        path: ArtifactPath,
        size: u64,
        entry: &mut R,
    ) -> Result<u64, Broken> {
        let begun = self.spool().await.map(|spool| spool.begin());
        let mut writing = begun.inspect_err(|error| self.no_room(error)).ok();
        let mut length = 0;
        loop {
            let mut piece = Vec::with_capacity(PIECE.min(usize::try_from(size).unwrap_or(PIECE) + 1));
            let read = (&mut *entry).take(PIECE as u64).read_to_end(&mut piece).await;
            let read = read.map_err(|error| {
                self.notes.add(NoteWhy::Unreadable, path.as_str(), size);
                Broken(error.to_string())
            })?;
            if read == 0 {
                break;
            }
            length += read as u64;
            // It may be longer than its header says; it is read to its end then, and counted only.
            if self.fits(length).is_err() {
                writing = None;
            }
            if let Some(so_far) = writing.take() {
                match so_far.add(piece).await {
                    Ok(longer) => writing = Some(longer),
                    Err(error) => self.no_room(&error),
                }
            }
        }
        if length < size {
            self.notes.add(NoteWhy::Unreadable, path.as_str(), size);
            return Err(Broken("the copy broke off within a file".into()));
        }
        match (self.fits(length), writing) {
            (Ok(()), Some(written)) => self.note_kept(path, written),
            (Ok(()), None) => self.notes.add(NoteWhy::NoRoom, path.as_str(), length),
            (Err(why), _) => self.notes.add(why, path.as_str(), length),
        }
        Ok(length)
    }

    fn note_kept(&mut self, path: ArtifactPath, written: Writing) {
        let blob = written.blob();
        self.room = self.room.saturating_sub(blob.bytes);
        if let Some(spool) = &mut self.spool
            && !self.contents.contains_key(&blob.sha256)
        {
            self.contents.insert(blob.sha256, spool.keep(written));
        }
        self.seen.insert(path.as_str().to_owned());
        self.files.push(CollectedFile { path, blob });
    }

    async fn spool(&mut self) -> io::Result<&mut Spool> {
        let spool = match self.spool.take() {
            Some(spool) => spool,
            None => Spool::create(self.dir, self.fence).await?,
        };
        Ok(self.spool.insert(spool))
    }

    fn no_room(&mut self, error: &io::Error) {
        let run = self.fence.run_id;
        warn!(run.id = %run, error = %error, "a file of run {run} cannot be spooled: {error}");
        self.notes.say(NoteWhy::NoRoom, &error.to_string());
    }
}

/// Counts what is read, and with how many zeros it ends.
struct Counted<R> {
    inner: R,
    bytes: u64,
    zeros: u64,
}

impl<R: AsyncRead + Unpin> AsyncRead for Counted<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        let new = &buf.filled()[before..];
        self.bytes += new.len() as u64;
        self.zeros = match new.iter().rposition(|byte| *byte != 0) {
            Some(last) => (new.len() - 1 - last) as u64,
            None => self.zeros + new.len() as u64,
        };
        read
    }
}
