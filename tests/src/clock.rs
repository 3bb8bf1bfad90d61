//! Wall clocks that are wrong, for processes that are started with them: libfaketime before the C library. Clocks that
//! count, by which leases and timers go, are left alone, as they are on a machine whose wall clock somebody sets.

use std::path::PathBuf;

use crate::process::{make_dir, write_private};

/// A clock that is off by some seconds; it can be set while processes go by it.
pub struct WrongClock {
    file: PathBuf,
}

impl WrongClock {
    /// Makes a clock.
    pub fn off_by(secs: i64) -> Self {
        let clock = Self { file: make_dir("k").join("clock") };
        clock.set(secs);
        clock
    }

    /// Sets it; processes see that within a second.
    pub fn set(&self, secs: i64) {
        write_private(&self.file, &format!("{secs:+}\n"));
    }

    /// Returns what a process must have in its environment to go by it.
    pub fn env(&self) -> Vec<(String, String)> {
        let file = self.file.display().to_string();
        let pairs = [
            ("LD_PRELOAD", library()),
            ("FAKETIME_TIMESTAMP_FILE", file),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }
}

fn library() -> String {
    let folders = std::fs::read_dir("/usr/lib").expect("read /usr/lib");
    let found = folders.flatten().map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let found = found.into_iter().find(|path| path.is_file());
    found.expect("libfaketime is installed: ./scripts/test setup").display().to_string()
}
