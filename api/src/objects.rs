//! Where the bytes of artifacts lie: a folder, or a store that speaks the protocol of S3.
//!
//! Guarantees: what was finished is there after a crash, as far as the store keeps its own promises; a folder is synced.
//! Every call comes back within a time. Left to others: which objects there are and who may read them.

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
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, RetryConfig};
use tokio::io::AsyncWriteExt;

use crate::error::{Error, Result};

/// What an upload holds in memory before it is sent: the smallest part that S3 takes; and before it is written to a folder.
const PART: usize = 5 << 20;
const FOLDER_PART: usize = 1 << 20;
/// How long one call to the store may take.
const PATIENCE: Duration = Duration::from_secs(30);

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
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry);
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

    /// Begins to write an object; nobody sees it before it is finished.
    pub fn write(&self, name: &str) -> Upload {
        let part = if self.folder.is_some() { FOLDER_PART } else { PART };
        let writer = BufWriter::with_capacity(Arc::clone(&self.store), self.path(name), part).with_max_concurrency(1);
        Upload { writer, file: self.folder.as_ref().map(|folder| folder.join(name)) }
    }

    /// Reads a part of an object.
    pub async fn read(&self, name: &str, range: Range<u64>) -> Result<BoxStream<'static, Result<Bytes>>> {
        if range.is_empty() {
            return Ok(futures_util::stream::empty().boxed());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let found = within(self.store.get_opts(&self.path(name), options)).await?;
        Ok(found.into_stream().map_err(failed).boxed())
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
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => Err(silent()),
        }
    }
}

/// An object that is being written. Dropped before its end it leaves nothing that could be read.
pub struct Upload {
    writer: BufWriter,
    file: Option<PathBuf>,
}

impl Upload {
    /// Adds bytes.
    pub async fn add(&mut self, bytes: Bytes) -> Result<()> {
        within(self.writer.put(bytes)).await
    }

    /// Ends the object; it can be read from now on.
    pub async fn finish(mut self) -> Result<()> {
        let ended = tokio::time::timeout(PATIENCE, self.writer.shutdown()).await.map_err(|_| silent())?;
        ended.map_err(Error::unavailable)?;
        match self.file {
            Some(file) => tokio::task::spawn_blocking(move || sync(&file))
                .await
                .map_err(Error::internal)?
                .map_err(Error::unavailable),
            None => Ok(()),
        }
    }

    /// Gives the object up.
    pub async fn abort(mut self) {
        // What cannot be cleaned up is found by its name later.
        let _ = tokio::time::timeout(PATIENCE, self.writer.abort()).await;
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

async fn within<T>(call: impl Future<Output = object_store::Result<T>>) -> Result<T> {
    tokio::time::timeout(PATIENCE, call).await.map_err(|_| silent())?.map_err(failed)
}

fn silent() -> Error {
    Error::unavailable(anyhow::anyhow!("the store of artifacts did not answer within {PATIENCE:?}"))
}

fn failed(error: object_store::Error) -> Error {
    match error {
        // The database says that it is there.
        object_store::Error::NotFound { .. } => Error::internal(error),
        error => Error::unavailable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(objects: &Objects, name: &str, range: Range<u64>) -> Vec<u8> {
        objects.read(name, range).await.unwrap().try_collect::<Vec<_>>().await.unwrap().concat()
    }

    #[tokio::test]
    async fn an_object_of_a_folder_is_whole_or_not_there() {
        let dir = std::env::temp_dir().join(format!("tstr-objects-{}", uuid::Uuid::new_v4()));
        let objects = Objects::open(&format!("file://{}", dir.display())).unwrap();
        for size in [0, 10, PART + 3, 3 * PART] {
            let name = format!("1/x-{size}");
            let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let mut upload = objects.write(&name);
            for piece in bytes.chunks(1 << 20) {
                upload.add(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            assert!(objects.read(&name, 0..1).await.is_err(), "not before its end");
            upload.finish().await.unwrap();
            let size = size as u64;
            assert!(read(&objects, &name, 0..size).await == bytes);
            if size > 5 {
                assert!(read(&objects, &name, 3..5).await == bytes[3..5]);
            }
            objects.remove(&name).await.unwrap();
            objects.remove(&name).await.unwrap();
        }
        let mut given_up = objects.write("1/y");
        given_up.add(Bytes::from(vec![0; PART + 1])).await.unwrap();
        given_up.abort().await;
        assert!(objects.read("1/y", 0..1).await.is_err());
        // Of one that is dropped in the middle, as by a crash, nothing stays once its name is removed.
        let mut killed = objects.write("1/z");
        killed.add(Bytes::from(vec![0; PART + 1])).await.unwrap();
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
