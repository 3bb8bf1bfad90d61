//! Whether the disk has room for the logs of new runs.

use std::io;
use std::path::PathBuf;

use tstr_shared::size::Bytes;

/// How much has to be free when nobody says how much.
const ENOUGH: u64 = 256 << 20;
/// But no more than this part of the disk.
const PART: u64 = 10;

/// The disk that a directory is on.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: PathBuf,
    /// What somebody said has to be free.
    least: Option<Bytes>,
}

/// How full it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) free: u64,
    /// Less than this is too little.
    pub(crate) least: u64,
}

impl Room {
    pub(crate) fn is_low(self) -> bool {
        self.free < self.least
    }
}

impl Disk {
    pub(crate) fn new(dir: PathBuf, least: Option<Bytes>) -> Self {
        Self { dir, least }
    }

    /// Looks how full the disk is.
    pub(crate) fn room(&self) -> io::Result<Room> {
        let seen = rustix::fs::statvfs(&self.dir)?;
        let (total, free) = (seen.f_blocks.saturating_mul(seen.f_frsize), seen.f_bavail.saturating_mul(seen.f_frsize));
        Ok(Room { free, least: self.least.map_or(ENOUGH.min(total / PART), |least| least.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_low_below_what_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let disk = |least| Disk::new(dir.path().to_owned(), least).room().unwrap();
        assert!(disk(Some(Bytes(u64::MAX))).is_low());
        assert!(!disk(Some(Bytes(0))).is_low());
        assert!(disk(None).least <= ENOUGH);
        assert!(Disk::new("/nonexistent".into(), None).room().is_err());
    }
}
