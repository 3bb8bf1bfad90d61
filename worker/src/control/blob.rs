//! A content on its way to the API, on the worker's own disk: it can be read again when a call has to be repeated.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::spawn_blocking;
use tstr_shared::artifacts::Blob;

/// How many bytes are sent in a piece: far less than the API takes, so that a slow way is seen to be none that is blocked.
const PIECE: u64 = 256 << 10;

/// Bytes of a file that are a content.
#[derive(Debug, Clone)]
pub struct BlobData {
    /// The content.
    pub blob: Blob,
    file: Arc<File>,
    at: u64,
    read: Arc<AtomicU64>,
}

impl BlobData {
    /// Names the content that begins at this byte of a file.
    pub fn new(blob: Blob, file: Arc<File>, at: u64) -> Self {
        Self { blob, file, at, read: Arc::default() }
    }

    /// Reads the first bytes of the content, at most so many.
    pub async fn head(&self, most: u64) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        while (head.len() as u64) < most.min(self.blob.bytes) {
            head.extend_from_slice(&self.piece(head.len() as u64).await?);
        }
        head.truncate(most as usize);
        Ok(head)
    }

    /// Reads the piece that begins at this byte of the content; empty at its end.
    pub async fn piece(&self, from: u64) -> io::Result<Vec<u8>> {
        let length = self.blob.bytes.saturating_sub(from).min(PIECE);
        let (file, at) = (Arc::clone(&self.file), self.at + from);
        let read = move || {
            let mut piece = vec![0; length as usize];
            file.read_exact_at(&mut piece, at).map(|()| piece)
        };
        let piece = spawn_blocking(read).await??;
        self.read.fetch_add(length, Ordering::Relaxed);
        Ok(piece)
    }

    /// Returns how many bytes were read so far, those that were read again as well.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}
