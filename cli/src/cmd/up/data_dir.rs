//! The data dir of `tstr up`: where it lies, what lies where in it, and that only one process uses it at a time.
//!
//! Secrets are files of mode 0600, folders with other people's data are of mode 0700. The data dir itself may be entered
//! by everybody, so that `ready.json` can be read by the other users of the machine.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

/// An open data dir; it is nobody else's until this value is dropped.
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Opens the data dir, which is made if it does not exist.
    ///
    /// # Errors
    /// It cannot be reached or written to, or another `tstr up` uses it.
    pub fn open(path: &Path) -> Result<DataDir> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .with_context(|| format!("create the data dir {}", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("find the data dir {}", path.display()))?;
        let lock = lock(&path)?;
        Ok(DataDir { path, _lock: lock })
    }

    /// The data dir itself, an absolute path without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A folder in it that only this user can enter.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn private_dir(&self, name: &str) -> Result<PathBuf> {
        let path = self.join(name);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.with_context(|| format!("create {}", path.display()))?;
        Ok(path)
    }
}

/// Where the data lie if nothing else is said: `$XDG_DATA_HOME/tstr`, or `~/.local/share/tstr`.
pub fn default_path() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| Some(std::env::home_dir()?.join(".local/share")));
    Ok(base.context("there is no home directory: name a --data-dir")?.join("tstr"))
}

/// Where this user's sockets may lie: `$XDG_RUNTIME_DIR`, where there is one.
pub fn runtime_dir() -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir())
}

/// Takes the lock of a data dir. The kernel gives it back when the process ends, however it ends.
fn lock(path: &Path) -> Result<File> {
    let name = path.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(&name)
        .with_context(|| format!("the data dir {} is not writable for this user", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut owner = String::new();
        let _ = file.read_to_string(&mut owner);
        bail!("the data dir {} is in use by another `tstr up`, process {}", path.display(), owner.trim());
    }
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())?;
    Ok(file)
}

/// Writes a secret to a file that only this user can read.
pub fn write_secret(path: &Path, secret: &str) -> Result<()> {
    replace(path, secret.as_bytes(), 0o600)
}

/// Puts a file in place at once and whole: a reader finds the old one, the new one, or none.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let parent = path.parent().context("a file has a folder")?;
    let mut file = tempfile::Builder::new()
        .prefix(".tstr-")
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(parent)
        .with_context(|| format!("cannot write to {}", parent.display()))?;
    file.write_all(content)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).with_context(|| format!("write {}", path.display()))?;
    Ok(())
}

/// Removes a file, if it is there.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_on_one_data_dir_is_refused_and_names_the_first() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("a/b");
        let first = DataDir::open(&path).expect("opened");
        let refusal = DataDir::open(&path).err().expect("refused").to_string();
        assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
        drop(first);
        DataDir::open(&path).expect("free again");
    }

    #[test]
    fn a_secret_is_for_its_owner_alone() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("token");
        write_secret(&path, "first").expect("written");
        write_secret(&path, "second").expect("replaced");
        assert_eq!(fs::read_to_string(&path).expect("read"), "second");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        remove(&path).expect("removed");
        remove(&path).expect("was gone already");
    }
}
