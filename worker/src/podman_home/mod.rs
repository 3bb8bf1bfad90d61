//! A Podman of one's own: storage, configuration and service below a data directory, apart from any other Podman of
//! the same user.
//!
//! Nothing of the caller's environment reaches it: another HOME, XDG or CONTAINERS variable would lead it to another
//! storage. As on a machine that was started again, everything below the run directory is thrown away after a boot.

mod processes;
mod service;

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, bail};
use rustix::fs::FlockOperation;
use sha2::{Digest, Sha256};

use crate::config;
use crate::identity::private_dir;
pub use service::PodmanService;

/// Where programs are looked for, also by Podman itself.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Names of sockets end at 108 bytes. Podman and conmon put sockets with a container's id below this directory; where
/// the name is cut they do not find each other, and every container's end is noticed 20 s late (measured: 38 bytes are
/// good, 40 are not).
const MAX_RUN: usize = 36;
const SOCKET: &str = "podman.sock";

/// A Podman of one's own.
#[derive(Debug, Clone)]
pub struct PodmanHome {
    /// Storage and configuration.
    dir: PathBuf,
    /// Sockets and what does not outlive a boot; short.
    run: PathBuf,
    env: Vec<(&'static str, OsString)>,
    machine: Machine,
    /// One process at a time serves a home; others may still use it beside that one.
    lock: Option<Arc<fs::File>>,
}

/// What decides how Podman is configured here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Machine {
    runtime: &'static str,
    systemd: bool,
}

impl PodmanHome {
    /// Makes a Podman ready in `data_dir`, as a user who is not root.
    ///
    /// # Errors
    ///
    /// Says what is missing on this machine, and which Debian package has it; refuses root, and a directory that is
    /// in use.
    pub fn prepare(data_dir: impl AsRef<Path>) -> anyhow::Result<Self> {
        Self::prepare_for(data_dir.as_ref(), false)
    }

    /// Makes a Podman ready in `data_dir`, as root only when that is allowed.
    ///
    /// # Errors
    ///
    /// As [`PodmanHome::prepare`].
    pub fn prepare_for(data_dir: &Path, allow_root: bool) -> anyhow::Result<Self> {
        let (home, lock) = Self::find(data_dir, allow_root)?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("another process uses the Podman in {}", home.dir.display());
        }
        home.set_up()?;
        Ok(Self { lock: Some(Arc::new(lock)), ..home })
    }

    /// Opens the Podman in `data_dir` for single commands, also while another process serves it; makes it ready where
    /// nobody has yet. Takes nothing for itself: it cannot be served.
    ///
    /// # Errors
    ///
    /// As [`PodmanHome::prepare`], but for a directory in use.
    pub fn open(data_dir: impl AsRef<Path>) -> anyhow::Result<Self> {
        let (home, lock) = Self::find(data_dir.as_ref(), false)?;
        // Who serves it has set it up; what lies in its run directory is in use.
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            home.set_up()?;
        }
        Ok(home)
    }

    /// Finds out where everything is, and makes the directories.
    fn find(data_dir: &Path, allow_root: bool) -> anyhow::Result<(Self, fs::File)> {
        config::check_user(allow_root).map_err(anyhow::Error::msg)?;
        let machine = look_at_machine()?;
        let dir = config::absolute(data_dir).join("podman");
        for part in ["", "home", "home/.config", "home/.config/containers", "config", "storage", "tmp"] {
            private_dir(&dir.join(part))?;
        }
        let lock = fs::File::create(dir.join("lock")).with_context(|| format!("cannot write in {}", dir.display()))?;
        let run = choose_run_dir(&dir, config::runtime_dir().as_deref(), rustix::process::geteuid().as_raw())?;
        Ok((Self { env: environment(&dir, &run, machine), dir, run, machine, lock: None }, lock))
    }

    fn set_up(&self) -> anyhow::Result<()> {
        forget_last_boot(&self.run)?;
        self.write_config(self.machine)
    }

    /// Returns a `podman` command that works on this home, without arguments.
    pub fn command(&self) -> Command {
        self.program("podman")
    }

    /// Returns where the service's socket is.
    pub fn socket(&self) -> PathBuf {
        self.run.join(SOCKET)
    }

    /// Starts the service and waits until it answers.
    ///
    /// # Errors
    ///
    /// Fails when it does not come up; the last lines that it wrote say why.
    pub async fn serve(&self) -> anyhow::Result<PodmanService> {
        if self.lock.is_none() {
            bail!("the Podman in {} was opened for single commands only", self.dir.display());
        }
        PodmanService::start(self.clone()).await
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(find_program(name).unwrap_or_else(|| PathBuf::from(name)));
        command.env_clear().envs(self.env.iter().map(|(name, value)| (name, value))).current_dir(&self.dir);
        command
    }

    fn write_config(&self, machine: Machine) -> anyhow::Result<()> {
        let config = self.dir.join("config");
        let storage = self.dir.join("storage");
        let manager = if machine.systemd { "systemd" } else { "cgroupfs" };
        let containers = format!(
            "# Written by tstr at every start.\n\
             [containers]\nlog_driver = \"k8s-file\"\n\
             [engine]\nruntime = \"{}\"\ncgroup_manager = \"{manager}\"\nevents_logger = \"file\"\nlock_type = \"file\"\n",
            machine.runtime
        );
        let storage = format!(
            "# Written by tstr at every start.\n\
             [storage]\ndriver = \"overlay\"\ngraphroot = {0}\nrootless_storage_path = {0}\nrunroot = {1}\n",
            quoted(&storage)?,
            quoted(&self.run.join("containers"))?
        );
        let registries = "# Written by tstr once; what is changed here is kept.\n\
                          unqualified-search-registries = []\nshort-name-mode = \"enforcing\"\n";
        let files = [
            (config.join("containers.conf"), containers.as_str()),
            (config.join("storage.conf"), storage.as_str()),
            (
                self.dir.join("home/.config/containers/policy.json"),
                "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}\n",
            ),
        ];
        for (path, text) in files {
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        // A person may have put an insecure registry or a mirror there; it is only written where it is missing.
        let path = config.join("registries.conf");
        if !path.exists() {
            fs::write(&path, registries).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// Looks for what Podman needs, and how it can work here.
fn look_at_machine() -> anyhow::Result<Machine> {
    let mut missing: Vec<String> =
        [("podman", "podman"), ("newuidmap", "uidmap"), ("newgidmap", "uidmap"), ("setpriv", "util-linux")]
            .into_iter()
            .filter(|(program, _)| find_program(program).is_none())
            .map(|(program, package)| format!("{program} (package {package})"))
            .collect();
    for (program, package) in [("conmon", "conmon"), ("catatonit", "catatonit")] {
        let libexec = ["/usr/libexec/podman", "/usr/local/libexec/podman", "/usr/local/lib/podman", "/usr/lib/podman"];
        if find_program(program).is_none() && !libexec.iter().any(|dir| Path::new(dir).join(program).is_file()) {
            missing.push(format!("{program} (package {package})"));
        }
    }
    // crun refuses the older layouts of cgroups.
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let runtimes: &[&str] = if unified { &["crun", "runc"] } else { &["runc"] };
    let runtime = runtimes.iter().find(|name| find_program(name).is_some());
    if runtime.is_none() {
        missing.push(format!("{} (package {})", runtimes.join(" or "), runtimes.join(" or ")));
    }
    if !rustix::process::geteuid().is_root() {
        missing.extend(missing_subordinate_ids());
    }
    let Some(runtime) = runtime.filter(|_| missing.is_empty()) else {
        bail!("Podman cannot work on this machine, it lacks: {}", missing.join(", "));
    };
    let bus = config::runtime_dir().is_some_and(|dir| dir.join("bus").exists());
    Ok(Machine { runtime, systemd: Path::new("/run/systemd/system").exists() && bus })
}

/// Says which files grant this user no subordinate ids.
fn missing_subordinate_ids() -> Vec<String> {
    let uid = rustix::process::geteuid().as_raw();
    let name = user_name(uid);
    let granted = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.split(':').next())
            .any(|who| who == uid.to_string() || Some(who) == name.as_deref())
    };
    let who = name.clone().unwrap_or_else(|| uid.to_string());
    ["/etc/subuid", "/etc/subgid"]
        .into_iter()
        .filter(|path| !granted(path))
        .map(|path| {
            let option = if path.ends_with("subuid") { "--add-subuids" } else { "--add-subgids" };
            format!("ids of {who} in {path} (usermod {option} FIRST-LAST {who}, 65536 for each slot and as many again)")
        })
        .collect()
}

fn user_name(uid: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    })
}

/// Finds a program in the directories that Podman searches.
fn find_program(name: &str) -> Option<PathBuf> {
    PATH.split(':').map(|dir| Path::new(dir).join(name)).find(|path| path.is_file())
}

/// Chooses the run directory: below the home where its sockets fit, else a short one that depends on the home.
fn choose_run_dir(dir: &Path, runtime_dir: Option<&Path>, uid: u32) -> anyhow::Result<PathBuf> {
    let hash: String =
        Sha256::digest(dir.as_os_str().as_bytes())[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let candidates = [
        Some(dir.join("run")),
        runtime_dir.map(|runtime| runtime.join(format!("tstr-{hash}"))),
        Some(PathBuf::from(format!("/tmp/tstr-{uid}-{hash}"))),
    ];
    let fits = |run: &PathBuf| run.as_os_str().len() <= MAX_RUN;
    let run = candidates.into_iter().flatten().find(fits).context("no directory is short enough for a socket")?;
    private_dir(&run)?;
    // In /tmp somebody else may have been here first.
    let found = fs::symlink_metadata(&run).with_context(|| format!("cannot look at {}", run.display()))?;
    if !found.is_dir() || found.uid() != uid || found.mode() & 0o022 != 0 {
        bail!("{} belongs to somebody else, or others may write to it", run.display());
    }
    Ok(run)
}

/// Throws away what an earlier boot left in the run directory: Podman tells a boot from its absence.
fn forget_last_boot(run: &Path) -> anyhow::Result<()> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mark = run.join("boot-id");
    if fs::read_to_string(&mark).unwrap_or_default() == boot {
        return Ok(());
    }
    for entry in fs::read_dir(run)? {
        let path = entry?.path();
        let removed =
            if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("cannot remove {}, left from before the last boot", path.display()))?;
    }
    fs::write(&mark, boot).with_context(|| format!("cannot write {}", mark.display()))
}

fn environment(dir: &Path, run: &Path, machine: Machine) -> Vec<(&'static str, OsString)> {
    let config = dir.join("config");
    let mut env: Vec<(&'static str, OsString)> = vec![
        ("PATH", PATH.into()),
        ("HOME", dir.join("home").into()),
        ("XDG_RUNTIME_DIR", run.into()),
        ("TMPDIR", dir.join("tmp").into()),
        ("CONTAINERS_CONF", config.join("containers.conf").into()),
        ("CONTAINERS_STORAGE_CONF", config.join("storage.conf").into()),
        ("CONTAINERS_REGISTRIES_CONF", config.join("registries.conf").into()),
    ];
    if machine.systemd
        && let Some(runtime) = config::runtime_dir()
    {
        let mut bus = OsString::from("unix:path=");
        bus.push(runtime.join("bus"));
        env.push(("DBUS_SESSION_BUS_ADDRESS", bus));
    }
    env
}

/// Returns a path as a string of TOML.
fn quoted(path: &Path) -> anyhow::Result<String> {
    match path.to_str() {
        Some(text) if !text.contains(['"', '\\', '\n']) => Ok(format!("\"{text}\"")),
        _ => bail!("the path {} cannot be written into Podman's configuration", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deep_home_gets_a_short_run_dir_of_its_own() {
        let base = tempfile::tempdir().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let near = choose_run_dir(&base.path().join("podman"), None, uid).unwrap();
        assert_eq!(near, base.path().join("podman/run"));
        let deep = base.path().join("x".repeat(90)).join("podman");
        let short = choose_run_dir(&deep, Some(base.path()), uid).unwrap();
        assert!(short.starts_with(base.path()) && short.as_os_str().len() <= MAX_RUN, "{short:?}");
        let other = choose_run_dir(&base.path().join("y".repeat(90)), Some(base.path()), uid).unwrap();
        assert_ne!(short, other);
    }

    #[test]
    fn a_run_dir_of_somebody_else_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        assert!(choose_run_dir(&base.path().join("podman"), None, uid + 1).is_err());
    }

    #[test]
    fn a_home_is_opened_while_it_is_in_use_but_prepared_only_once() {
        // Root, or a machine without Podman, is refused before any of this; elsewhere it must hold.
        let dir = tempfile::tempdir().unwrap();
        let Ok(first) = PodmanHome::prepare(dir.path()) else { return };
        assert!(PodmanHome::prepare(dir.path()).unwrap_err().to_string().contains("another process uses"));
        let opened = PodmanHome::open(dir.path()).unwrap();
        assert_eq!(opened.socket(), first.socket());
        assert!(opened.lock.is_none());
        drop(first);
        let _opened_before = PodmanHome::open(dir.path()).unwrap();
        assert!(PodmanHome::prepare(dir.path()).is_ok(), "an open home keeps nobody out");
    }

    #[test]
    fn a_boot_empties_the_run_dir() {
        let run = tempfile::tempdir().unwrap();
        forget_last_boot(run.path()).unwrap();
        fs::create_dir(run.path().join("libpod")).unwrap();
        forget_last_boot(run.path()).unwrap();
        assert!(run.path().join("libpod").exists());
        fs::write(run.path().join("boot-id"), "another").unwrap();
        forget_last_boot(run.path()).unwrap();
        assert!(!run.path().join("libpod").exists());
    }

    #[test]
    fn nothing_of_the_callers_environment_is_handed_on() {
        let machine = Machine { runtime: "runc", systemd: false };
        let env = environment(Path::new("/d/podman"), Path::new("/r"), machine);
        let names: Vec<_> = env.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            [
                "PATH",
                "HOME",
                "XDG_RUNTIME_DIR",
                "TMPDIR",
                "CONTAINERS_CONF",
                "CONTAINERS_STORAGE_CONF",
                "CONTAINERS_REGISTRIES_CONF"
            ]
        );
    }
}
