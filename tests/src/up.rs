//! `tstr up` as a process: all of it on one data dir.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::people::Person;
use crate::process::{Process, command};
use crate::{binary, eventually};

/// A running `tstr up`.
pub struct Instance {
    /// The process.
    pub process: Process,
    /// What stands in the ready file.
    pub ready: Value,
    ready_file: PathBuf,
}

impl Instance {
    /// Starts it on free ports, and waits until it is ready.
    pub async fn start(data_dir: &Path, ready_file: &Path, flags: &[&str]) -> Self {
        let mut start = command(binary());
        start.args(["up", "--json-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0"]);
        start.args(["--ui-addr", "127.0.0.1:0", "--slots", "2"]).args(flags);
        start.arg("--data-dir").arg(data_dir).arg("--ready-file").arg(ready_file).env("RUST_LOG", "info");
        let log = data_dir.with_extension(format!("{}.log", uuid::Uuid::new_v4().simple()));
        let mut process = Process::start(start, log);
        let pid = u64::from(process.pid());
        let ready = eventually("all is ready", Duration::from_secs(120), async || {
            assert!(process.is_running(), "it has ended: {}", process.log_text());
            // A file that is there is whole; one of an earlier life names another process.
            let text = std::fs::read_to_string(ready_file).ok()?;
            let ready: Value = serde_json::from_str(&text).expect("the ready file is whole");
            (ready["pid"] == pid).then_some(ready)
        })
        .await;
        Self { process, ready, ready_file: ready_file.to_owned() }
    }

    /// Returns a text of the ready file.
    #[track_caller]
    pub fn text(&self, field: &str) -> &str {
        self.ready[field].as_str().unwrap_or_else(|| panic!("{field} of {}", self.ready))
    }

    /// Returns the administrator, with the token that the ready file names.
    pub fn admin(&self) -> Person {
        let token = std::fs::read_to_string(self.text("token_file")).expect("read the token");
        Person::new(self.text("api"), Some(token.trim().to_owned()))
    }

    /// Stops it as Ctrl-C does; returns what it has logged, if it ended well.
    pub fn interrupt(mut self) -> String {
        self.process.signal(Signal::INT);
        let status = self.process.wait(Duration::from_secs(60));
        let log = self.process.log_text();
        assert!(status.success(), "{status}: {log}");
        assert!(!self.ready_file.exists(), "the ready file is removed");
        log
    }
}
