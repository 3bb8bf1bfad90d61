//! Where the bytes of artifacts lie: a folder, or a store that speaks the protocol of S3.
//!
//! Guarantees: what was finished is there after a crash, as far as the store keeps its own promises; a folder is synced.
//! Every call comes back within a time, and whoever writes is told whether an object may be there all the same. Left to
//! others: which objects there are and who may read them.

use std::fmt;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, RetryConfig};
use tokio::task::JoinSet;

use crate::error::{Error, Result};

/// What an upload holds in memory before it is sent: the smallest part that S3 takes; and before it is written to a folder.
const PART: usize = 5 << 20;
const FOLDER_PART: usize = 1 << 20;
/// How long one call to the store may take, and how long a reader waits for the next bytes.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to reach it.
const CONNECT: Duration = Duration::from_secs(10);

/// A place for objects.
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// What stands before each name.
    prefix: String,
    /// The folder, where it is one.
    folder: Option<PathBuf>,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({}, {})", self.store, self.prefix)
    }
}

impl Objects {
    /// Opens the place that an address names: `file:///folder`, which is made where it is missing, or `s3://bucket/prefix`.
    /// Keys, region and endpoint of S3 come from the variables `AWS_…`.
    pub fn open(url: &str) -> anyhow::Result<Self> {
        Self::open_with(url, &[])
    }

    /// Opens it with settings of S3 beside those of the environment, by the names of object_store: `aws_endpoint`.
    pub fn open_with(url: &str, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        if let Some(folder) = url.strip_prefix("file://") {
            ensure!(folder.starts_with('/'), "'{url}' is no folder; write file:///folder");
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(folder).with_context(|| format!("cannot make the folder {folder}"))?;
            let store = LocalFileSystem::new_with_prefix(folder).with_context(|| format!("cannot use {folder}"))?;
            let folder = std::fs::canonicalize(folder)?;
            return Ok(Self { store: Arc::new(store), prefix: String::new(), folder: Some(folder) });
        }
        let Some(rest) = url.strip_prefix("s3://") else { bail!("'{url}' is neither file:///… nor s3://…") };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        ensure!(!bucket.is_empty(), "'{url}' names no bucket; write s3://bucket/prefix");
        // Who waits for us is answered in time, and tries again.
        let retry = RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(20), ..RetryConfig::default() };
        // An object is read for as long as its reader takes, and each call has a bound of its own. The client's bound of
        // silence would count a reader's pauses as well.
        let client = ClientOptions::new().with_timeout_disabled().with_connect_timeout(CONNECT);
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry);
        builder = builder.with_client_options(client);
        for (name, value) in settings {
            builder = builder.with_config(name.parse().with_context(|| format!("no setting {name}"))?, *value);
        }
        let store = builder.build().with_context(|| format!("cannot use the bucket {bucket}"))?;
        Ok(Self { store: Arc::new(store), prefix: prefix.trim_matches('/').to_owned(), folder: None })
    }

    fn path(&self, name: &str) -> Path {
        match self.prefix.as_str() {
            "" => Path::from(name),
            prefix => Path::from(format!("{prefix}/{name}")),
        }
    }

    /// Returns how many bytes the parts of an upload have, but for the last.
    pub fn part(&self) -> usize {
        if self.folder.is_some() { FOLDER_PART } else { PART }
    }

    /// Begins to write an object; nobody sees it before it is finished.
    pub fn write(&self, name: &str) -> Upload {
        Upload {
            store: Arc::clone(&self.store),
            path: self.path(name),
            multipart: None,
            sending: JoinSet::new(),
            file: self.folder.as_ref().map(|folder| folder.join(name)),
        }
    }

    /// Reads a part of an object; `None` when it is not there.
    pub async fn read(&self, name: &str, range: Range<u64>) -> Result<Option<BoxStream<'static, Result<Bytes>>>> {
        if range.is_empty() {
            return Ok(Some(futures_util::stream::empty().boxed()));
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let path = self.path(name);
        match tokio::time::timeout(PATIENCE, self.store.get_opts(&path, options)).await {
            Ok(Ok(found)) => Ok(Some(unless_silent(found.into_stream()))),
            Ok(Err(object_store::Error::NotFound { .. })) => Ok(None),
            Ok(Err(error)) => Err(Error::unavailable(error)),
            Err(_) => Err(silent()),
        }
    }

    /// Removes an object; to remove what is not there succeeds.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        if let Some(folder) = &self.folder {
            // What a server that was killed had written so far, under the first name that was free.
            let _ = tokio::fs::remove_file(folder.join(format!("{name}#1"))).await;
        }
        match tokio::time::timeout(PATIENCE, self.store.delete(&path)).await {
            Ok(Ok(()) | Err(object_store::Error::NotFound { .. })) => Ok(()),
            Ok(Err(error)) => Err(Error::unavailable(error)),
            Err(_) => Err(silent()),
        }
    }
}

/// An object that is being written. Dropped before its end it leaves nothing that could be read.
///
/// It holds the one part that is on its way.
pub struct Upload {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// Once it is known that one part is not all.
    multipart: Option<Box<dyn MultipartUpload>>,
    sending: JoinSet<object_store::Result<()>>,
    file: Option<PathBuf>,
}

/// Why an object was not finished.
#[derive(Debug)]
pub struct Unfinished {
    /// What went wrong.
    pub error: Error,
    /// It may be there all the same, or appear later.
    pub may_appear: bool,
}

impl Upload {
    /// Adds a part of [`Objects::part`] bytes that is not the last, once the one before it has arrived.
    pub async fn add(&mut self, part: Bytes) -> Result<()> {
        if self.multipart.is_none() {
            self.multipart = Some(within(self.store.put_multipart(&self.path)).await?);
        }
        self.arrived().await?;
        if let Some(multipart) = &mut self.multipart {
            self.sending.spawn(multipart.put_part(part.into()));
        }
        Ok(())
    }

    async fn arrived(&mut self) -> Result<()> {
        match tokio::time::timeout(PATIENCE, self.sending.join_next()).await {
            Ok(None) => Ok(()),
            Ok(Some(arrived)) => arrived.map_err(Error::internal)?.map_err(Error::unavailable),
            Err(_) => Err(silent()),
        }
    }

    /// Ends the object with its last part, or its only one; it can be read from now on.
    pub async fn finish(mut self, last: Bytes) -> std::result::Result<(), Unfinished> {
        let uncertain = |error| Unfinished { error, may_appear: true };
        if self.multipart.is_none() {
            within(self.store.put(&self.path, last.into())).await.map_err(uncertain)?;
        } else {
            let sent = async {
                self.add(last).await?;
                self.arrived().await
            };
            if let Err(error) = sent.await {
                return Err(Unfinished { error, may_appear: !self.abort().await });
            }
            if let Some(multipart) = &mut self.multipart
                && let Err(error) = within(multipart.complete()).await
            {
                self.abort().await;
                return Err(uncertain(error));
            }
        }
        let Some(file) = self.file else { return Ok(()) };
        let synced = tokio::task::spawn_blocking(move || sync(&file)).await;
        let synced = synced.map_err(Error::internal).and_then(|synced| synced.map_err(Error::unavailable));
        synced.map_err(|error| Unfinished { error, may_appear: false })
    }

    /// Gives the object up; tells whether nothing of it is left for certain.
    pub async fn abort(mut self) -> bool {
        self.sending.shutdown().await;
        match &mut self.multipart {
            // What cannot be cleaned up is found by its name later.
            Some(multipart) => matches!(tokio::time::timeout(PATIENCE, multipart.abort()).await, Ok(Ok(()))),
            None => true,
        }
    }
}

/// Waits until a file, and its name in its folder, are on the disk.
fn sync(file: &std::path::Path) -> std::io::Result<()> {
    std::fs::File::open(file)?.sync_all()?;
    match file.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Ends a stream with a failure once nothing comes although it is waited for.
fn unless_silent(pieces: BoxStream<'static, object_store::Result<Bytes>>) -> BoxStream<'static, Result<Bytes>> {
    let next = |mut pieces: BoxStream<'static, object_store::Result<Bytes>>| async {
        // What is there is taken also when its reader comes late.
        let piece = tokio::time::timeout(PATIENCE, pieces.try_next()).await.map_err(|_| silent())?;
        Ok(piece.map_err(Error::unavailable)?.map(|piece| (piece, pieces)))
    };
    futures_util::stream::try_unfold(pieces, next).boxed()
}

async fn within<T>(call: impl Future<Output = object_store::Result<T>>) -> Result<T> {
    tokio::time::timeout(PATIENCE, call).await.map_err(|_| silent())?.map_err(Error::unavailable)
}

fn silent() -> Error {
    Error::unavailable(anyhow::anyhow!("the store of artifacts did not answer within {PATIENCE:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(objects: &Objects, name: &str, range: Range<u64>) -> Vec<u8> {
        objects.read(name, range).await.unwrap().unwrap().try_collect::<Vec<_>>().await.unwrap().concat()
    }

    #[tokio::test]
    async fn an_object_of_a_folder_is_whole_or_not_there() {
        let dir = std::env::temp_dir().join(format!("tstr-objects-{}", uuid::Uuid::new_v4()));
        let objects = Objects::open(&format!("file://{}", dir.display())).unwrap();
        for size in [0, 10, PART + 3, 3 * PART] {
            let name = format!("1/x-{size}");
            let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let mut upload = objects.write(&name);
            let (parts, last) = bytes.split_at(size.saturating_sub(1) / objects.part() * objects.part());
            for part in parts.chunks(objects.part()) {
                upload.add(Bytes::copy_from_slice(part)).await.unwrap();
            }
            assert!(objects.read(&name, 0..1).await.unwrap().is_none(), "not before its end");
            upload.finish(Bytes::copy_from_slice(last)).await.unwrap();
            let size = size as u64;
            assert!(read(&objects, &name, 0..size).await == bytes);
            if size > 5 {
                assert!(read(&objects, &name, 3..5).await == bytes[3..5]);
            }
            objects.remove(&name).await.unwrap();
            objects.remove(&name).await.unwrap();
        }
        let mut given_up = objects.write("1/y");
        for _ in 0..3 {
            given_up.add(Bytes::from(vec![0; FOLDER_PART])).await.unwrap();
        }
        assert!(given_up.abort().await, "nothing is left for certain");
        assert!(objects.read("1/y", 0..1).await.unwrap().is_none());
        // Of one that is dropped in the middle, as by a crash, nothing stays once its name is removed.
        let mut killed = objects.write("1/z");
        for _ in 0..3 {
            killed.add(Bytes::from(vec![0; FOLDER_PART])).await.unwrap();
        }
        std::mem::forget(killed);
        objects.remove("1/z").await.unwrap();
        assert_eq!(std::fs::read_dir(dir.join("1")).unwrap().count(), 0);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn an_address_is_a_folder_or_a_bucket() {
        for bad in ["", "/srv", "file://srv", "s3://", "s3:///x", "http://h/x", "gs://b"] {
            assert!(Objects::open(bad).is_err(), "{bad}");
        }
    }
}
