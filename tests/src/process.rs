//! Processes of the test user: started in a clean environment, ended by id, never left behind.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};

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
    let run_dir = if geteuid().is_root() {
        let group = test_ids().1.to_string();
        command.args(["--reuid", &test_user(), "--regid", &group, "--init-groups", "--inh-caps=-all"]);
        // Root may do this for an ordinary user (`room::by_root`), whose folder is that of the session.
        std::env::var("TSTR_TEST_RUN_DIR").unwrap_or_else(|_| format!("/run/{}", test_user()))
    } else {
        std::env::var("XDG_RUNTIME_DIR").unwrap_or_default()
    };
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
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

/// Makes such a command with more variables in its environment. Only the program gets them: what is loaded before it
/// must not be loaded before those who start it, as another user.
pub fn command_in(env: &[(String, String)], program: impl AsRef<Path>) -> Command {
    if env.is_empty() {
        return command(program);
    }
    let mut command = command("/usr/bin/env");
    command.args(env.iter().map(|(name, value)| format!("{name}={value}"))).arg(program.as_ref());
    command
}

/// Puts words in front of a command, for instance those that let it enter a namespace.
pub fn behind(words: &[String], command: Command) -> Command {
    let [program, arguments @ ..] = words else { return command };
    let mut whole = Command::new(program);
    whole.args(arguments).arg(command.get_program()).args(command.get_args());
    // Commands of the test user begin with an empty environment.
    whole.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    whole.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    if let Some(dir) = command.get_current_dir() {
        whole.current_dir(dir);
    }
    whole.stdin(Stdio::null());
    whole
}

/// The ids of the test user and of its group.
pub fn test_ids() -> (u32, u32) {
    let folder = std::fs::metadata(test_dir()).expect("look at the folder of the tests");
    (std::os::unix::fs::MetadataExt::uid(&folder), std::os::unix::fs::MetadataExt::gid(&folder))
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
    if geteuid().is_root() {
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

/// A process that a test did not start itself but looks at: a worker's guard, a container's first process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub pid: u32,
    began: u64,
}

impl Seen {
    /// Looks at a process; `None` when it does not live.
    pub fn with_pid(pid: u32) -> Option<Self> {
        let fields = stat(pid)?;
        (fields[0] != "Z" && fields[0] != "X").then(|| Self { pid, began: fields[19].parse().expect("a number") })
    }

    /// Tells whether it still lives.
    pub fn is_alive(self) -> bool {
        Self::with_pid(self.pid) == Some(self)
    }

    /// Sends it a signal.
    pub fn signal(self, signal: Signal) {
        let pid = Pid::from_raw(self.pid as i32).expect("a process has an id");
        // It may have ended by itself.
        let _ = if self.is_alive() { kill_process(pid, signal) } else { Ok(()) };
    }

    /// Tells whether it leads a session of its own.
    pub fn leads_its_session(self) -> bool {
        stat(self.pid).is_some_and(|fields| fields[3] == self.pid.to_string())
    }

    /// Returns its arguments, the program first.
    pub fn arguments(self) -> Vec<String> {
        let line = std::fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    /// Returns how many bytes of memory are its own: not shared with others, and not merely mapped from a file.
    pub fn own_memory(self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("the kernel tells");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// Lists the processes that another one has started.
    pub fn children_of(parent: u32) -> Vec<Self> {
        let entries = std::fs::read_dir("/proc").expect("read /proc");
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let parent = parent.to_string();
        pids.filter(|pid| stat(*pid).is_some_and(|fields| fields[1] == parent)).filter_map(Self::with_pid).collect()
    }
}

/// Returns what the kernel says of a process, from its state on: 0 the state, 1 the parent, 3 the session, 19 its begin.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_ascii_whitespace().map(str::to_owned).collect())
}

/// Returns the time since the machine started, as `/proc/uptime` has it in a container.
pub fn uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").expect("read the time since boot");
    text.split(' ').next().and_then(|word| word.parse().ok()).expect("a number")
}
