//! The contents of an attempt's artifacts on the worker's own disk: one after another in a file without a name, which is
//! gone with its last reader, whatever ends the worker.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use tstr_shared::artifacts::{Blob, ContentHash};
use tstr_shared::lease::Fence;

use crate::control::BlobData;

/// The spool of an attempt's contents.
#[derive(Debug)]
pub(super) struct Spool {
    file: Arc<File>,
    /// Where the next content begins.
    end: u64,
}

/// A content that is being written; dropped, it was never there.
#[derive(Debug)]
pub(super) struct Writing {
    file: Arc<File>,
    at: u64,
    bytes: u64,
    hash: Sha256,
}

impl Spool {
    /// Makes a spool in `dir`.
    pub(super) async fn create(dir: &Path, fence: Fence) -> io::Result<Self> {
        let path = dir.join(format!("{}.{}.{}.artifacts", fence.run_id, fence.attempt, fence.lease_id));
        let made = spawn_blocking(move || {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok::<_, io::Error>(file)
        });
        Ok(Self { file: Arc::new(made.await??), end: 0 })
    }

    /// Begins a content behind those that are kept.
    pub(super) fn begin(&self) -> Writing {
        Writing { file: Arc::clone(&self.file), at: self.end, bytes: 0, hash: Sha256::new() }
    }

    /// Keeps what was written.
    pub(super) fn keep(&mut self, written: Writing) -> BlobData {
        let blob = written.blob();
        self.end = written.at + blob.bytes;
        BlobData::new(blob, written.file, written.at)
    }
}

impl Writing {
    /// Appends a piece; off the runtime's threads, for a full page cache lets a write wait for the disk.
    pub(super) async fn add(mut self, piece: Vec<u8>) -> io::Result<Self> {
        let write = move || {
            self.file.write_all_at(&piece, self.at + self.bytes)?;
            self.hash.update(&piece);
            self.bytes += piece.len() as u64;
            Ok(self)
        };
        spawn_blocking(write).await?
    }

    /// Returns the content so far.
    pub(super) fn blob(&self) -> Blob {
        Blob { sha256: ContentHash(self.hash.clone().finalize().into()), bytes: self.bytes }
    }
}
