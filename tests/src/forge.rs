//! Tar archives as no engine writes them, and a Podman that answers with them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::process::{Process, command};
use crate::{binary, eventually};

const BLOCK: usize = 512;

/// An archive that is being forged.
#[derive(Debug, Clone, Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    /// Adds an ordinary file.
    #[must_use]
    pub fn file(self, name: &str, data: &str) -> Self {
        self.entry(name.as_bytes(), b'0', data.as_bytes())
    }

    /// Adds an entry of any kind, with a name of any bytes.
    #[must_use]
    pub fn entry(self, name: &[u8], kind: u8, data: &[u8]) -> Self {
        self.says(name, kind, format!("{:011o}", data.len()).as_bytes(), data)
    }

    /// Adds a link of some kind.
    #[must_use]
    pub fn link(self, name: &str, kind: u8, target: &str) -> Self {
        self.with(name.as_bytes(), kind, b"00000000000", b"", |header| put(header, 157, target.as_bytes()))
    }

    /// Adds an entry whose header says of its size what it likes.
    #[must_use]
    pub fn says(self, name: &[u8], kind: u8, size: &[u8], data: &[u8]) -> Self {
        self.with(name, kind, size, data, |_| {})
    }

    /// Adds an entry whose header is changed before its sum is taken.
    #[must_use]
    pub fn with(self, name: &[u8], kind: u8, size: &[u8], data: &[u8], change: impl FnOnce(&mut [u8])) -> Self {
        let mut header = [0; BLOCK];
        put(&mut header, 0, &name[..name.len().min(100)]);
        put(&mut header, 100, b"0000644");
        put(&mut header, 124, size);
        header[156] = kind;
        put(&mut header, 257, b"ustar\x0000");
        change(&mut header);
        put(&mut header, 148, b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        put(&mut header, 148, format!("{sum:06o}\0").as_bytes());
        self.raw(&header).raw(data).padded()
    }

    /// Adds records of the pax format: for the next entry (`x`) or for all that follow (`g`).
    #[must_use]
    pub fn pax(self, kind: u8, records: &[(&str, &[u8])]) -> Self {
        let mut text = Vec::new();
        for (key, value) in records {
            let record = |length: usize| [format!("{length} {key}=").as_bytes(), value, b"\n"].concat();
            let length = (0..).find(|length| record(*length).len() == *length).expect("a record has a length");
            text.extend(record(length));
        }
        self.entry(b"pax", kind, &text)
    }

    /// Adds bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Returns the archive as far as it goes.
    pub fn cut(self) -> Vec<u8> {
        self.0
    }

    /// Returns the archive with its end.
    pub fn end(self) -> Vec<u8> {
        self.raw(&[0; 2 * BLOCK]).0
    }

    fn padded(mut self) -> Self {
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }
}

fn put(header: &mut [u8], at: usize, bytes: &[u8]) {
    header[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A worker's Podman, with somebody before it who answers what is copied out of containers as he is told to.
pub struct Forger {
    /// Where the worker finds him.
    pub socket: PathBuf,
    next: Arc<Mutex<Option<Vec<u8>>>>,
    service: Process,
    task: JoinHandle<()>,
}

impl Drop for Forger {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Forger {
    /// Starts the Podman of a worker's data directory, and stands before it.
    pub async fn start(dir: &Path) -> Self {
        let (behind, socket) = (dir.join("p.sock"), dir.join("f.sock"));
        let mut serve = command(binary());
        serve.args(["podman", "--data-dir"]).arg(dir).args(["--", "system", "service", "--time", "0"]);
        serve.arg(format!("unix://{}", behind.display()));
        let service = Process::start(serve, dir.join("log-service"));
        eventually("podman listens", Duration::from_secs(60), async || UnixStream::connect(&behind).await.ok()).await;
        let listener = UnixListener::bind(&socket).expect("listen");
        std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o777)).expect("let the worker in");
        let next = Arc::<Mutex<Option<Vec<u8>>>>::default();
        let task = tokio::spawn({
            let next = Arc::clone(&next);
            async move {
                while let Ok((worker, _)) = listener.accept().await {
                    tokio::spawn(pass(worker, behind.clone(), Arc::clone(&next)));
                }
            }
        });
        Self { socket, next, service, task }
    }

    /// Answers the next copy with these bytes.
    pub fn answer(&self, archive: Vec<u8>) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(archive);
    }

    /// Tells whether what was to be answered last was asked for.
    pub fn was_asked(&self) -> bool {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Ends the service, when its worker has gone.
    pub fn stop(mut self) {
        self.service.terminate(Duration::from_secs(20));
    }
}

/// Passes a connection on, unless it begins with a copy that is to be answered.
async fn pass(mut worker: UnixStream, behind: PathBuf, next: Arc<Mutex<Option<Vec<u8>>>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match worker.read_buf(&mut head).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    let is_copy = line.starts_with("GET ") && line.contains("/archive?path=");
    let forged = if is_copy { next.lock().unwrap_or_else(PoisonError::into_inner).take() } else { None };
    // Either side may end as it likes.
    if let Some(archive) = forged {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", archive.len());
        let _ = worker.write_all(&[answer.as_bytes(), &archive].concat()).await;
        return;
    }
    if let Ok(mut podman) = UnixStream::connect(behind).await
        && podman.write_all(&head).await.is_ok()
    {
        let _ = copy_bidirectional(&mut worker, &mut podman).await;
    }
}
