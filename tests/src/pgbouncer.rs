//! A pgbouncer in transaction mode before a database, set up as docs/scaling.md says.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sqlx::postgres::PgConnectOptions;

use crate::process::{Process, command, make_dir, write_private};
use crate::setting;

/// A pooler; ended when it is dropped.
pub struct Pgbouncer {
    dir: PathBuf,
    process: Process,
}

impl Pgbouncer {
    /// Starts a pooler before a database, with so many connections to it for each of its three names.
    pub fn start(dsn: &str, servers: u32) -> Self {
        Self::start_with(dsn, servers, |ini| ini)
    }

    /// Starts a pooler whose configuration a test has changed.
    pub fn start_with(dsn: &str, servers: u32, change: impl FnOnce(String) -> String) -> Self {
        let dir = make_dir("b");
        write_private(&dir.join("pgbouncer.ini"), &change(configuration(&dir, dsn, servers)));
        write_private(&dir.join("users"), "\"postgres\" \"\"\n");
        let mut start = command(setting("TSTR_PGBOUNCER"));
        start.arg(dir.join("pgbouncer.ini"));
        let mut process = Process::start(start, dir.join("log"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while !dir.join(".s.PGSQL.6432").exists() {
            assert!(process.is_running() && Instant::now() < deadline, "no pooler: {}", process.log_text());
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { dir, process }
    }

    /// Returns the address of the database behind the pooler.
    pub fn dsn(&self) -> String {
        self.dsn_of("tstr")
    }

    /// Returns the address of one of the names that the pooler knows the database by.
    pub fn dsn_of(&self, database: &str) -> String {
        let socket = self.dir.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{socket}:6432/{database}")
    }

    /// Returns its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        // It would wait for its clients otherwise.
        self.process.signal(Signal::QUIT);
    }
}

/// Makes the configuration out of what the document shows: its addresses and numbers replaced, and nothing else.
fn configuration(dir: &Path, dsn: &str, servers: u32) -> String {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scaling.md")).expect("the document");
    let begin = text.find("```ini\n").expect("the document shows a configuration") + "```ini\n".len();
    let end = begin + text[begin..].find("```").expect("the end of the configuration");
    let options = PgConnectOptions::from_str(dsn).expect("an address");
    let socket = options.get_socket().expect("a socket").display();
    let database = options.get_database().expect("a database");
    let (mut ini, shown) = (String::new(), &text[begin..end]);
    for line in shown.lines().filter(|line| !line.starts_with("listen_") && !line.starts_with("auth_")) {
        let line = line.replace("host=db ", &format!("host={socket} user=postgres "));
        let line = line.replace("dbname=tstr ", &format!("dbname={database} "));
        let words = line.split(' ').map(|word| match word.starts_with("pool_size=") {
            true => format!("pool_size={servers}"),
            false => word.to_owned(),
        });
        ini += &words.collect::<Vec<_>>().join(" ");
        ini.push('\n');
    }
    let dir = dir.display();
    ini += &format!("listen_port = 6432\nunix_socket_dir = {dir}\nauth_type = trust\nauth_file = {dir}/users\n");
    ini
}
