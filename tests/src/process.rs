//! Processes of the test user: started in a clean environment, ended by id, never left behind.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{test_dir, test_user};

/// The home of the test user.
pub fn home() -> PathBuf {
    let passwd = std::fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
    let line = passwd.lines().find(|line| line.starts_with(&format!("{}:", test_user())));
    let fields: Vec<&str> = line.expect("the test user exists").split(':').collect();
    PathBuf::from(fields[5])
}

/// Makes a command that runs as the test user, ends with this process, and sees nothing of our environment.
pub fn command(program: impl AsRef<Path>) -> Command {
    let program = program.as_ref();
    let mut command = Command::new("setpriv");
    if rustix::process::geteuid().is_root() {
        command.args(["--reuid", &test_user(), "--regid", &test_user(), "--init-groups", "--inh-caps=-all"]);
    }
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    let run_dir = if rustix::process::geteuid().is_root() {
        format!("/run/{}", test_user())
    } else {
        std::env::var("XDG_RUNTIME_DIR").unwrap_or_default()
    };
    command
        .env_clear()
        .env("HOME", home())
        .env("USER", test_user())
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("XDG_RUNTIME_DIR", run_dir)
        .env("RUST_BACKTRACE", "0")
        .current_dir(test_dir())
        .stdin(Stdio::null());
    command
}

/// Runs a command of the test user to its end; fails with what it printed when it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().expect("start the command");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Runs a command to its end whatever comes of it.
pub fn try_run(command: &mut Command) -> Output {
    command.output().expect("start the command")
}

/// Makes a folder of the test user below the folder of the tests; the name is short, for sockets lie in it.
pub fn make_dir(hint: &str) -> PathBuf {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let dir = test_dir().join(format!("{hint}{}", &id[..8]));
    run(command("/bin/mkdir").arg(&dir));
    dir
}

/// Writes a private file of the test user.
pub fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).expect("write a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(path, mode).expect("make it private");
    if rustix::process::geteuid().is_root() {
        let parent = std::fs::metadata(path.parent().expect("it lies in a folder")).expect("read the folder");
        let (uid, gid) = (std::os::unix::fs::MetadataExt::uid(&parent), std::os::unix::fs::MetadataExt::gid(&parent));
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("hand it over");
    }
}

/// Returns the processes that have to do with a folder, each with its command line: by their arguments or environment,
/// by the folder they work in, and containers by what they have mounted.
pub fn naming(dir: &Path) -> Vec<String> {
    let (name, needle) = (dir.display().to_string(), dir.as_os_str().as_encoded_bytes());
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").expect("read /proc").flatten() {
        let path = process.path();
        if process.file_name().to_str().is_none_or(|name| name.parse::<u32>().is_err()) {
            continue;
        }
        // One that has just ended, or is somebody else's, cannot be read.
        let holds = |file: &str| {
            let content = std::fs::read(path.join(file)).unwrap_or_default();
            content.windows(needle.len()).any(|part| part == needle)
        };
        let works_there = std::fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
        if works_there || ["cmdline", "environ", "mountinfo"].iter().any(|file| holds(file)) {
            let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            found.push(format!("{} {}", process.file_name().display(), line.replace(&name, "DIR")));
        }
    }
    found
}

/// A process that a test started; killed when it is dropped.
pub struct Process {
    child: Child,
    /// Where its standard error goes.
    pub log: PathBuf,
    what: String,
}

impl Process {
    /// Starts a command in the background, its output in `log`.
    pub fn start(mut command: Command, log: PathBuf) -> Self {
        let file = std::fs::File::create(&log).expect("create the log");
        command.stdout(file.try_clone().expect("share the log")).stderr(file).process_group(0);
        let what = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        Self { child, log, what }
    }

    /// Returns its id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a process has an id");
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }

    /// Tells whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("look at the process").is_none()
    }

    /// Waits for its end; fails with its log when it takes longer.
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("look at the process") {
                return status;
            }
            assert!(Instant::now() < deadline, "{} did not end within {within:?}:\n{}", self.what, self.log_text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks it to end and waits.
    pub fn terminate(&mut self, within: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(within)
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait(Duration::from_secs(10));
    }

    /// Returns what it has printed.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            // A short time to end in order: a worker removes its containers.
            self.signal(Signal::TERM);
            let deadline = Instant::now() + Duration::from_secs(15);
            while self.is_running() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}", self.what, self.log_text());
        }
    }
}
