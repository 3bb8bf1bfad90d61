//! Who this worker is: a random id in its data directory, which one process at a time may use.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::FlockOperation;
use tstr_shared::ids::RunnerId;
use uuid::Uuid;

/// The claim to a data directory; ends when it is dropped or the process dies.
#[derive(Debug)]
pub(crate) struct Identity {
    id: RunnerId,
    data_dir: PathBuf,
    _lock: File,
}

impl Identity {
    /// Takes the data directory; makes it, and draws an id, where there is none.
    pub(crate) fn take(data_dir: &Path) -> anyhow::Result<Self> {
        private_dir(data_dir)?;
        let path = data_dir.join("worker-id");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("another worker uses the data directory {}; give each its own by --data-dir", data_dir.display());
        }
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
        let id = match text.trim() {
            "" => {
                let fresh = Uuid::now_v7();
                file.set_len(0)?;
                file.seek(SeekFrom::Start(0))?;
                writeln!(file, "{fresh}")
                    .and_then(|()| file.sync_all())
                    .with_context(|| format!("cannot write {}", path.display()))?;
                fresh
            }
            text => text.parse().with_context(|| format!("{} does not hold an id", path.display()))?,
        };
        Ok(Self { id: RunnerId(id), data_dir: data_dir.to_owned(), _lock: file })
    }

    pub(crate) fn id(&self) -> RunnerId {
        self.id
    }

    /// Returns the directory for logs on their way, which is made where it is missing.
    pub(crate) fn spool_dir(&self) -> anyhow::Result<PathBuf> {
        let dir = self.data_dir.join("spool");
        private_dir(&dir)?;
        Ok(dir)
    }
}

/// Makes a directory that only its owner may look into, unless it is there.
pub(crate) fn private_dir(dir: &Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the directory {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_stays_and_two_workers_never_share_it() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("deep/data");
        let first = Identity::take(&home).unwrap();
        let refused = Identity::take(&home).unwrap_err().to_string();
        assert!(refused.contains("another worker uses"), "{refused}");
        let id = first.id();
        drop(first);
        assert_eq!(Identity::take(&home).unwrap().id(), id);
        std::fs::write(home.join("worker-id"), "what").unwrap();
        assert!(Identity::take(&home).is_err(), "an unreadable id is never replaced in silence");
    }
}
