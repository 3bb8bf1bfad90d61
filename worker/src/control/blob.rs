//! A content on its way to the API, on the worker's own disk: it can be read again when a call has to be repeated.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tstr_shared::artifacts::{Blob, MAX_PIECE};

/// Bytes of a file that are a content.
#[derive(Debug, Clone)]
pub struct BlobData {
    /// The content.
    pub blob: Blob,
    file: Arc<File>,
    at: u64,
}

impl BlobData {
    /// Names the content that begins at this byte of a file.
    pub fn new(blob: Blob, file: Arc<File>, at: u64) -> Self {
        Self { blob, file, at }
    }

    /// Reads the piece that begins at this byte of the content; empty at its end.
    pub async fn piece(&self, from: u64) -> io::Result<Vec<u8>> {
        let length = self.blob.bytes.saturating_sub(from).min(MAX_PIECE as u64);
        let (file, at) = (Arc::clone(&self.file), self.at + from);
        let read = move || {
            let mut piece = vec![0; usize::try_from(length).unwrap_or(MAX_PIECE)];
            file.read_exact_at(&mut piece, at).map(|()| piece)
        };
        spawn_blocking(read).await?
    }
}
