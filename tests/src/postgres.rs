//! A PostgreSQL in a folder of its own, which can be stopped as a crash would stop it.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::process::{Seen, behind, command, command_in, make_dir, run};

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Connections are ended in order.
    Fast,
    /// As a crash: what was not written is recovered at the next start.
    Immediate,
}

/// A server; stopped when it is dropped.
pub struct Postgres {
    /// More variables of its environment, from its next start on.
    pub env: Vec<(String, String)>,
    /// Words in front of its command, from its next start on.
    pub behind: Vec<String>,
    /// More settings, `name=value` each, from its next start on.
    pub settings: Vec<String>,
    dir: PathBuf,
    /// How many connections it takes, from its next start on.
    pub max_connections: u32,
}

impl Postgres {
    /// Makes and starts a server that keeps what it says, as an operator would run it.
    pub fn start() -> Self {
        let dir = make_dir("p");
        init(&dir);
        let server = Self::at(dir);
        server.start_again();
        server
    }

    /// Names a server whose cluster is in a folder.
    pub fn at(dir: PathBuf) -> Self {
        Self { env: Vec::new(), behind: Vec::new(), settings: Vec::new(), dir, max_connections: 120 }
    }

    /// Makes and starts a standby that follows this server.
    pub fn standby(&self) -> Self {
        let dir = make_dir("q");
        run(command("/bin/chmod").arg("700").arg(&dir));
        let mut copy = command(bin_dir().join("pg_basebackup"));
        copy.args(["-U", "postgres", "-c", "fast", "-X", "stream", "-R", "-h"]).arg(&self.dir).arg("-D").arg(&dir);
        run(&mut copy);
        // The socket lies in the folder that was copied, and so does its lock.
        run(command("/bin/rm").arg("-f").arg(dir.join(".s.PGSQL.5432.lock")));
        let mut standby = Self::at(dir);
        standby.max_connections = self.max_connections;
        standby.start_again();
        standby
    }

    /// Makes a standby a primary.
    pub fn promote(&self) {
        run(command(bin_dir().join("pg_ctl")).args(["-w", "-t", "60", "promote", "-D"]).arg(&self.dir));
    }

    /// Starts it after a stop.
    pub fn start_again(&self) {
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c max_connections={} -c shared_buffers=64MB",
            self.dir.display(),
            self.max_connections
        );
        let more: String = self.settings.iter().map(|setting| format!(" -c {setting}")).collect();
        let log = self.dir.join("log");
        let status = starting(&self.dir, &log, &(options + &more), &self.env, &self.behind).status();
        assert!(status.expect("start pg_ctl").success(), "PostgreSQL did not start; see {}", log.display());
    }

    /// Starts it after a stop, on a timeline of its own, as after the restore of a backup.
    pub fn start_forked(&mut self) {
        run(command("/bin/touch").arg(self.dir.join("recovery.signal")));
        self.settings.push("restore_command=/bin/false".into());
        self.start_again();
        self.settings.pop();
    }

    /// Tells whether it runs.
    pub fn is_running(&self) -> bool {
        let pid = std::fs::read_to_string(self.dir.join("postmaster.pid")).unwrap_or_default();
        pid.lines().next().and_then(|line| line.parse().ok()).and_then(Seen::with_pid).is_some()
    }

    /// Stops it.
    pub fn stop(&self, how: Stop) {
        let mode = match how {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        run(command(bin_dir().join("pg_ctl")).args(["-w", "-t", "60", "-m", mode, "stop", "-D"]).arg(&self.dir));
    }

    /// Returns the address of a database of it.
    pub fn dsn(&self, database: &str) -> String {
        dsn(&self.dir, database)
    }

    /// Kills it as a machine would that loses its power: the server and all that it has forked.
    pub fn kill(&self) {
        let pid = std::fs::read_to_string(self.dir.join("postmaster.pid")).expect("it runs");
        let pid: u32 = pid.lines().next().and_then(|line| line.parse().ok()).expect("a process id");
        let (server, backends) = (Seen::with_pid(pid).expect("it runs"), Seen::children_of(pid));
        server.signal(Signal::KILL);
        backends.iter().for_each(|backend| backend.signal(Signal::KILL));
        while server.is_alive() || backends.iter().any(|backend| backend.is_alive()) {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Returns the folder of its socket, which is that of its cluster.
    pub fn socket_dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.dir.join("postmaster.pid").exists() {
            let mut stop = command(bin_dir().join("pg_ctl"));
            let _ = stop.args(["-w", "-t", "20", "-m", "immediate", "stop", "-D"]).arg(&self.dir).output();
        }
    }
}

/// The folder of the newest PostgreSQL's programs.
pub fn bin_dir() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").expect("Debian's PostgreSQL is installed");
    let versions = installed.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let newest = versions.max().expect("a version of PostgreSQL");
    PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"))
}

/// Makes a cluster.
pub(crate) fn init(dir: &Path) {
    run(command(bin_dir().join("initdb"))
        .args(["-A", "trust", "-U", "postgres", "-N", "-E", "UTF8", "--locale=C", "-D"])
        .arg(dir));
}

/// Starts the server of a cluster.
pub(crate) fn start(dir: &Path, log: &Path, options: &str) {
    let status = starting(dir, log, options, &[], &[]).status();
    assert!(status.expect("start pg_ctl").success(), "PostgreSQL did not start; see {}", log.display());
}

/// Makes the command that starts the server of a cluster and waits until it answers.
fn starting(dir: &Path, log: &Path, options: &str, env: &[(String, String)], words: &[String]) -> Command {
    let mut start = command_in(env, bin_dir().join("pg_ctl"));
    start.args(["-w", "-t", "60", "-D"]).arg(dir).arg("-l").arg(log).args(["-o", options, "start"]);
    let mut start = behind(words, start);
    // Its standard output is inherited by the server; reading it to its end would wait for the server's end.
    start.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    start
}

/// Returns the address of a database of the server with this socket folder.
pub(crate) fn dsn(socket_dir: &Path, database: &str) -> String {
    let socket = socket_dir.display().to_string().replace('/', "%2F");
    format!("postgres://postgres@{socket}:5432/{database}")
}
