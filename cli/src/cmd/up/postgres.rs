//! A PostgreSQL of one's own, run by a small supervisor over the installed `initdb` and `postgres`.
//!
//! Guarantees: it listens on one Unix socket in a folder that only this user can enter, and on no TCP port; it commits
//! durably; it ends with the process that started it, however that ends; one that an earlier `tstr up` had to leave
//! running is stopped first, after a look at whose it is. Leaves to others: schema and roles (migrations), and who may
//! use the data dir (the lock of [`super::data_dir`]).

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

/// The oldest major version whose features the queue uses.
const OLDEST: u32 = 14;
/// Only a part of the socket's file name: nothing listens on TCP.
const PORT: &str = "5432";
/// Name of the database and of the role that owns it.
const NAME: &str = "tstr";
/// What it writes before its log writer takes over.
const FIRST_WORDS: &str = "postgres-start.log";
/// A socket's path must fit into 108 bytes; this leaves room for `/.s.PGSQL.5432`.
const LONGEST_SOCKET_DIR: usize = 86;
const INITDB_LIMIT: Duration = Duration::from_secs(120);
const CLIENT_LIMIT: Duration = Duration::from_secs(30);
/// How long it may say nothing at all after its start.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to recover after a crash; it says so all the while.
const RECOVERY_LIMIT: Duration = Duration::from_secs(1800);
/// A fast shutdown writes a checkpoint, which may be large.
const FAST_STOP_LIMIT: Duration = Duration::from_secs(60);
const QUICK_STOP_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// A running private PostgreSQL.
pub struct Postgres {
    child: Child,
    programs: Programs,
    data: PathBuf,
    logs: PathBuf,
    sockets: SocketDir,
}

impl Postgres {
    /// Starts PostgreSQL on `<data_dir>/postgres`, which is made first if it does not exist; await [`Self::ready`] before
    /// use. `runtime_dir` is where the socket goes when the data dir's path is too long for one.
    ///
    /// Call it from the thread that lives as long as the process: the kernel takes PostgreSQL down when that ends.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or only in a version that cannot read the data; the data belongs to a server that
    /// does not stop; `initdb` fails.
    pub async fn spawn(data_dir: &Path, runtime_dir: Option<&Path>) -> Result<Postgres> {
        let data = data_dir.join("postgres");
        let logs = data_dir.join("logs");
        make_private_dir(&logs)?;
        let programs = Programs::find(major_of(&data)?, &data).await?;
        if !data.exists() {
            info!("creating a database in {} with PostgreSQL {}", data.display(), programs.major);
            init(&programs, &data).await?;
        }
        let data = data.canonicalize().with_context(|| format!("find {}", data.display()))?;
        end_earlier_server(&data).await?;
        let sockets = SocketDir::open(data_dir, runtime_dir)?;
        sockets.clear();
        fs::write(data.join("tstr.conf"), settings(&sockets.path, &logs)?).context("write tstr.conf")?;

        let first_words = fs::File::create(logs.join(FIRST_WORDS)).context("create postgres-start.log")?;
        // Killed without a chance to clean up, we still must not leave a server behind: the kernel sends it SIGINT then.
        // A process group of its own keeps the terminal's Ctrl-C away from it: it has to outlive the API.
        let mut command = clean_command(Path::new("setpriv"));
        command
            .args(["--pdeathsig", "INT", "--"])
            .arg(programs.bin.join("postgres"))
            .arg("-D")
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(first_words.try_clone()?)
            .stderr(first_words)
            .process_group(0);
        let child = command.spawn().context("start PostgreSQL through setpriv (Debian package util-linux)")?;
        Ok(Postgres { child, programs, data, logs, sockets })
    }

    /// Waits until it answers, and creates the database if it is not there yet.
    ///
    /// # Errors
    /// It ends, or does not answer in time; the message holds its last words.
    pub async fn ready(&mut self) -> Result<()> {
        let asked_at = Instant::now();
        let mut told_at = asked_at;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("PostgreSQL did not start ({status}){}", self.last_words());
            }
            let answer = self.client("pg_isready", &["-q", "-t", "3", "-d", "postgres"]).await?;
            let limit = match answer.status.code() {
                Some(0) => break,
                Some(1) => RECOVERY_LIMIT,
                _ => SILENCE_LIMIT,
            };
            let waited = asked_at.elapsed();
            ensure!(waited < limit, "PostgreSQL does not answer after {} s{}", waited.as_secs(), self.last_words());
            if told_at.elapsed() > Duration::from_secs(5) {
                told_at = Instant::now();
                info!("waiting for PostgreSQL ({} s); after a crash it has to recover first", waited.as_secs());
            }
            sleep(POLL).await;
        }
        let query = format!("SELECT 1 FROM pg_database WHERE datname = '{NAME}'");
        let found = self.client("psql", &["-XAtq", "-d", "postgres", "-c", &query]).await?;
        if succeeded("psql", &found)?.trim().is_empty() {
            succeeded("createdb", &self.client("createdb", &["-O", NAME, NAME]).await?)?;
        }
        debug!("PostgreSQL {} is ready after {} ms", self.programs.major, asked_at.elapsed().as_millis());
        Ok(())
    }

    /// Returns the connection string of the database, for `psql` as well as for sqlx. It holds no secret.
    pub fn dsn(&self) -> String {
        let host = percent_encode(&self.sockets.path.to_string_lossy());
        format!("postgres:///{NAME}?host={host}&port={PORT}&user={NAME}")
    }

    /// Resolves when PostgreSQL ends without having been asked to, with what it said last.
    pub async fn failed(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow!("PostgreSQL ended by itself ({status}){}", self.last_words()),
            Err(error) => anyhow!(error).context("lost sight of PostgreSQL"),
        }
    }

    /// Stops PostgreSQL and waits until its last process has gone.
    ///
    /// # Errors
    /// It did not end, even though it was told to three times.
    pub async fn stop(mut self) -> Result<()> {
        for (signal, limit) in
            [(Signal::INT, FAST_STOP_LIMIT), (Signal::QUIT, QUICK_STOP_LIMIT), (Signal::KILL, QUICK_STOP_LIMIT)]
        {
            self.signal(signal);
            if timeout(limit, self.child.wait()).await.is_ok() {
                // Its log writer outlives it by a moment.
                wait_until_gone(&self.data, QUICK_STOP_LIMIT).await;
                self.sockets.remove();
                return Ok(());
            }
            warn!("PostgreSQL has not ended {} s after {signal:?}", limit.as_secs());
        }
        bail!("PostgreSQL does not end (data {})", self.data.display())
    }

    /// Tells PostgreSQL to drop everything and go, without waiting; it recovers at its next start.
    pub fn abort(&self) {
        self.signal(Signal::QUIT);
    }

    fn signal(&self, signal: Signal) {
        // No id means that it has been waited for, so the number may be somebody else's by now.
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Runs one of PostgreSQL's client programs against this server.
    async fn client(&self, program: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = clean_command(&self.programs.bin.join(program));
        command.arg("-h").arg(&self.sockets.path).args(["-p", PORT, "-U", NAME]).args(arguments);
        output(command, program, CLIENT_LIMIT).await
    }

    /// The end of what it wrote before and after its log writer took over, to be added to a message.
    fn last_words(&self) -> String {
        let newest = fs::read_dir(&self.logs)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log") && !path.ends_with(FIRST_WORDS))
            .max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
        let mut words = String::new();
        for path in [Some(self.logs.join(FIRST_WORDS)), newest].into_iter().flatten() {
            let text = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<_> = text.lines().filter(|line| !line.contains("log output")).collect();
            for line in &lines[lines.len().saturating_sub(8)..] {
                words.push_str("\n    ");
                words.push_str(line);
            }
        }
        format!("; its log is in {}, and ends:{words}", self.logs.display())
    }
}

/// An installation of PostgreSQL.
struct Programs {
    bin: PathBuf,
    major: u32,
}

impl Programs {
    /// The newest installed version, or the one that has written `data`.
    async fn find(wanted: Option<u32>, data: &Path) -> Result<Programs> {
        let mut found = Vec::new();
        for bin in candidates().await {
            if let Some(major) = version_in(&bin).await {
                found.push(Programs { bin, major });
            }
        }
        found.sort_by_key(|programs| programs.major);
        match wanted {
            None => {
                let newest = found.pop().ok_or_else(|| {
                    anyhow!(
                        "there is no PostgreSQL server on this machine: install it (Debian: apt install postgresql)"
                    )
                })?;
                ensure!(
                    newest.major >= OLDEST,
                    "PostgreSQL {} is too old, {OLDEST} is the oldest that will do",
                    newest.major
                );
                Ok(newest)
            }
            Some(major) => {
                let installed: Vec<_> = found.iter().map(|programs| programs.major.to_string()).collect();
                let installed = if installed.is_empty() { "none".to_owned() } else { installed.join(", ") };
                found.into_iter().rfind(|programs| programs.major == major).ok_or_else(|| {
                    anyhow!(
                        "the data in {} was written by PostgreSQL {major}, and installed is: {installed}. Install that \
                         version (Debian: apt install postgresql-{major}), or carry the data over with pg_upgrade",
                        data.display()
                    )
                })
            }
        }
    }
}

/// Folders that may hold PostgreSQL's programs: Debian's, Red Hat's, what pg_config says, and PATH.
async fn candidates() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for root in ["/usr/lib/postgresql", "/usr"] {
        for entry in fs::read_dir(root).into_iter().flatten().flatten() {
            if root != "/usr" || entry.file_name().to_string_lossy().starts_with("pgsql-") {
                found.push(entry.path().join("bin"));
            }
        }
    }
    let mut pg_config = Command::new("pg_config");
    pg_config.arg("--bindir");
    if let Ok(answer) = output(pg_config, "pg_config", CLIENT_LIMIT).await {
        found.push(PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim()));
    }
    found.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    found.retain(|bin| {
        ["postgres", "initdb", "pg_isready", "psql", "createdb"].iter().all(|name| bin.join(name).is_file())
    });
    found.sort();
    found.dedup();
    found
}

/// The major version that `postgres --version` tells: `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
async fn version_in(bin: &Path) -> Option<u32> {
    let mut command = clean_command(&bin.join("postgres"));
    command.arg("--version");
    let answer = output(command, "postgres", CLIENT_LIMIT).await.ok()?;
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let version = text.split_once(") ")?.1;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The major version that wrote the data, if there are any.
fn major_of(data: &Path) -> Result<Option<u32>> {
    if !data.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(data.join("PG_VERSION"))
        .with_context(|| format!("{} is not a PostgreSQL data directory", data.display()))?;
    let major = text.trim().split('.').next().and_then(|major| major.parse().ok());
    Ok(Some(major.with_context(|| format!("{}/PG_VERSION holds no version", data.display()))?))
}

/// Makes a cluster. It takes its place by a rename, so one that was interrupted half-way is not taken for whole.
async fn init(programs: &Programs, data: &Path) -> Result<()> {
    let unfinished = data.with_extension("new");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(|| format!("remove {}", unfinished.display()))?;
    }
    // Whoever can open the socket is this user or root: `trust` adds no door. There is none at all by TCP.
    let mut command = clean_command(&programs.bin.join("initdb"));
    command.arg("-D").arg(&unfinished).args(["-U", NAME, "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"]);
    command.args(["--auth-local=trust", "--auth-host=reject"]);
    succeeded("initdb", &output(command, "initdb", INITDB_LIMIT).await?)?;
    let file = unfinished.join("postgresql.conf");
    let mut text = fs::read_to_string(&file).context("read postgresql.conf")?;
    text.push_str(
        "\n# Written anew by each `tstr up`. What stands below this line wins over it.\ninclude 'tstr.conf'\n",
    );
    fs::write(&file, text).context("write postgresql.conf")?;
    fs::rename(&unfinished, data).with_context(|| format!("put {} in its place", data.display()))
}

/// What differs from PostgreSQL's defaults, and why.
fn settings(sockets: &Path, logs: &Path) -> Result<String> {
    let sockets = quoted(&format!("\"{}\"", utf8(sockets)?.replace('"', "\"\"")));
    let logs = quoted(utf8(logs)?);
    Ok(format!(
        "# Written by `tstr up` at each start: put your own settings below the last line of postgresql.conf.
listen_addresses = ''
unix_socket_directories = {sockets}
unix_socket_permissions = 0700
port = {PORT}
max_connections = 200            # several API replicas with their pools may share it
# A statement locks the partitions of all days that are kept.
max_locks_per_transaction = 256
shared_buffers = 256MB
max_wal_size = 2GB
wal_compression = on
# What is acknowledged survives a power cut.
fsync = on
synchronous_commit = on
full_page_writes = on
# The queue tables turn over all the time: dead rows have to go within seconds, or claims slow down in a saw-tooth.
autovacuum_naptime = 5s
# One file for each day of the week, so that a week is kept and no more.
logging_collector = on
log_directory = {logs}
log_filename = 'postgres-%a.log'
log_rotation_age = 1d
log_rotation_size = 0
log_truncate_on_rotation = on
log_line_prefix = '%m [%p] %q%a '
log_lock_waits = on
"
    ))
}

/// Stops a server that still runs on `data`: an earlier `tstr up` was killed so hard that it could not. The caller holds
/// the lock of the data dir, so it is nobody's.
async fn end_earlier_server(data: &Path) -> Result<()> {
    let pid_file = data.join("postmaster.pid");
    let recorded = fs::read_to_string(&pid_file)
        .ok()
        .and_then(|text| text.lines().next()?.trim().parse::<i32>().ok())
        .and_then(Pid::from_raw);
    if processes_on(data).is_empty() {
        // After a restart of the machine the number may be another process's. PostgreSQL would refuse to start then,
        // for it cannot tell; we can: a server of this data works in this folder.
        if let Some(pid) = recorded
            && Path::new(&format!("/proc/{}", pid.as_raw_nonzero())).exists()
        {
            warn!("removing {}: process {} is no PostgreSQL of this folder", pid_file.display(), pid.as_raw_nonzero());
            fs::remove_file(&pid_file).with_context(|| format!("remove {}", pid_file.display()))?;
        }
        return Ok(());
    }
    warn!("a PostgreSQL of an earlier start is still running on {}; stopping it", data.display());
    if let Some(postmaster) = recorded.filter(|pid| processes_on(data).contains(pid)) {
        let _ = kill_process(postmaster, Signal::INT);
    }
    if wait_until_gone(data, FAST_STOP_LIMIT).await {
        return Ok(());
    }
    for pid in processes_on(data) {
        let _ = kill_process(pid, Signal::QUIT);
    }
    ensure!(
        wait_until_gone(data, QUICK_STOP_LIMIT).await,
        "a PostgreSQL of an earlier start does not end: processes {:?} on {}",
        processes_on(data),
        data.display()
    );
    Ok(())
}

/// The living processes of the server of `data`: each works in that folder. A zombie has no folder any more.
fn processes_on(data: &Path) -> Vec<Pid> {
    let is_ours = |proc: &Path| {
        fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd == data)
            && fs::read_to_string(proc.join("comm")).is_ok_and(|name| name.trim() == "postgres")
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<i32>().ok()?, entry.path())))
        .filter(|(_, proc)| is_ours(proc))
        .filter_map(|(id, _)| Pid::from_raw(id))
        .collect()
}

/// Waits until no process of the server is left; false if some are after `limit`.
async fn wait_until_gone(data: &Path, limit: Duration) -> bool {
    let asked_at = Instant::now();
    while !processes_on(data).is_empty() {
        if asked_at.elapsed() > limit {
            return false;
        }
        sleep(POLL).await;
    }
    true
}

/// The folder of the socket.
struct SocketDir {
    path: PathBuf,
    /// Set when the folder lies outside the data dir: the file in the data dir that names it.
    record: Option<PathBuf>,
}

impl SocketDir {
    /// `<data_dir>/pg`; or, where that path would be too long or no host name, a private folder elsewhere whose name is kept in the
    /// data dir, so that it is found again after a crash.
    fn open(data_dir: &Path, runtime_dir: Option<&Path>) -> Result<SocketDir> {
        let near = data_dir.join("pg");
        // libpq takes a comma for the end of a host, however it is written.
        if near.as_os_str().len() <= LONGEST_SOCKET_DIR && !near.as_os_str().as_encoded_bytes().contains(&b',') {
            make_private_dir(&near)?;
            return Ok(SocketDir { path: near, record: None });
        }
        let record = data_dir.join("pg-socket-dir");
        if let Ok(text) = fs::read_to_string(&record) {
            let path = PathBuf::from(text.trim());
            if is_private_dir(&path) {
                return Ok(SocketDir { path, record: Some(record) });
            }
        }
        let mut parents = vec![Path::new("/tmp")];
        parents
            .extend(runtime_dir.filter(|dir| dir.as_os_str().len() < LONGEST_SOCKET_DIR - 12 && is_private_dir(dir)));
        let parent = parents.pop().unwrap_or(Path::new("/tmp"));
        let path = tempfile::Builder::new()
            .prefix("tstr-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .with_context(|| format!("make a folder for PostgreSQL's socket in {}", parent.display()))?
            .keep();
        fs::write(&record, utf8(&path)?).with_context(|| format!("write {}", record.display()))?;
        Ok(SocketDir { path, record: Some(record) })
    }

    /// Removes what a killed server has left. Its successor would take a number in the lock file for a living server
    /// as long as any process has it, be it a stranger or a zombie.
    fn clear(&self) {
        for name in [format!(".s.PGSQL.{PORT}"), format!(".s.PGSQL.{PORT}.lock")] {
            let _ = fs::remove_file(self.path.join(name));
        }
    }

    fn remove(&self) {
        if let Some(record) = &self.record {
            let _ = fs::remove_dir_all(&self.path);
            let _ = fs::remove_file(record);
        }
    }
}

/// Makes a folder of mode 0700, if it does not exist, and refuses one that others can enter.
fn make_private_dir(path: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("create {}", path.display()))?;
    ensure!(is_private_dir(path), "{} must be a folder of this user with mode 0700", path.display());
    Ok(())
}

fn is_private_dir(path: &Path) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|data| data.is_dir() && data.uid() == geteuid().as_raw() && data.mode() & 0o077 == 0)
}

/// A command without our environment: PGHOST, PGOPTIONS and their like would change what it does.
fn clean_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/");
    command
}

async fn output(mut command: Command, name: &str, limit: Duration) -> Result<Output> {
    let run = command.stdin(Stdio::null()).kill_on_drop(true).output();
    timeout(limit, run)
        .await
        .with_context(|| format!("{name} did not end within {} s", limit.as_secs()))?
        .with_context(|| format!("run {name}"))
}

/// What a program wrote, if it ended well.
fn succeeded(name: &str, output: &Output) -> Result<String> {
    if !output.status.success() {
        bail!("{name} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn utf8(path: &Path) -> Result<&str> {
    let text = path.to_str().with_context(|| format!("the path {} is not UTF-8", path.display()))?;
    ensure!(!text.contains(['\n', '\r']), "the path {text:?} holds a line break");
    Ok(text)
}

/// A value in the quotes of postgresql.conf.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// `+` as well: sqlx reads it as a space, libpq does not.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_odd_characters_survive_the_connection_string_and_the_settings() {
        assert_eq!(percent_encode("/a b/c&d+e'é"), "/a%20b/c%26d%2Be%27%C3%A9");
        let text = settings(Path::new("/it's, \"mine\""), Path::new("/logs")).expect("utf-8");
        assert!(text.contains(r#"unix_socket_directories = '"/it''s, ""mine"""'"#), "{text}");
    }

    #[test]
    fn a_long_data_dir_gets_its_socket_in_a_private_folder_that_is_found_again() {
        let root = tempfile::tempdir().expect("a folder");
        let data_dir = root.path().join("x".repeat(100));
        make_private_dir(&data_dir).expect("made");
        let first = SocketDir::open(&data_dir, None).expect("opened");
        assert!(first.path.as_os_str().len() <= LONGEST_SOCKET_DIR && is_private_dir(&first.path));
        let second = SocketDir::open(&data_dir, None).expect("opened again");
        assert_eq!(first.path, second.path);
        second.remove();
        assert!(!first.path.exists());
    }

    #[test]
    fn a_folder_that_holds_something_else_is_no_data_directory() {
        let root = tempfile::tempdir().expect("a folder");
        assert!(major_of(root.path()).is_err());
        fs::write(root.path().join("PG_VERSION"), "15\n").expect("written");
        assert_eq!(major_of(root.path()).expect("read"), Some(15));
        assert_eq!(major_of(&root.path().join("absent")).expect("read"), None);
    }
}
