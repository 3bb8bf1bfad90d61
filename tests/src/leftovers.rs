//! What should be gone and is not, once a worker has nothing to do or has ended: processes, spools, containers, and what
//! containers had mounted and the networks that they had.
//!
//! What rootless Podman mounts is seen in its own namespaces of mounts only, so the tables of all processes are read.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::runner::containers;
use crate::sightings::pids;

/// How long what belongs to a container or a worker may take to be gone after it.
const LAST_STEPS: Duration = Duration::from_secs(10);

/// Finds what containers of a worker have mounted now, and the networks that they have.
pub fn mounted(dir: &Path) -> Vec<String> {
    let of = [dir.to_owned(), run_dir(dir)];
    let mounts = mounted_below(&of).into_iter().map(|at| format!("the mount {}", at.display()));
    let networks = networks_of(&of[1]).into_iter().map(|at| format!("the network {}", at.display()));
    mounts.chain(networks).collect()
}

/// Finds what of that is still there when a worker has nothing to execute: a container is removed after its end.
pub fn left_mounted(dir: &Path) -> Vec<String> {
    let deadline = Instant::now() + LAST_STEPS;
    loop {
        let found = mounted(dir);
        if found.is_empty() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Finds what a worker that has ended left behind.
pub fn left_behind(dir: &Path) -> Vec<String> {
    let deadline = Instant::now() + LAST_STEPS;
    while !processes_of(dir).is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
    let processes = processes_of(dir).into_iter();
    let mut found: Vec<String> = processes.map(|(pid, arguments)| format!("the process {pid}: {arguments}")).collect();
    let spool = std::fs::read_dir(dir.join("spool")).into_iter().flatten().flatten();
    found.extend(spool.map(|entry| format!("the spool {}", entry.path().display())));
    found.extend(left_mounted(dir));
    found.extend(containers(dir).into_iter().map(|name| format!("the container {name}")));
    // To ask Podman leaves the process behind that holds its namespaces.
    end_processes_of(dir);
    found
}

/// Kills the processes that have to do with a folder.
pub fn end_processes_of(dir: &Path) {
    for (pid, _) in processes_of(dir) {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Lists the processes that name a folder in their arguments or their environment, or work in it.
fn processes_of(dir: &Path) -> Vec<(u32, String)> {
    let wanted = dir.display().to_string();
    let mut found = Vec::new();
    for pid in pids().into_iter().filter(|pid| *pid != std::process::id()) {
        let read = |file: &str| {
            String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()).into_owned()
        };
        let cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        let arguments = read("cmdline").replace('\0', " ");
        if arguments.contains(&wanted) || read("environ").contains(&wanted) || cwd.starts_with(dir) {
            found.push((pid, arguments));
        }
    }
    found
}

/// Returns where the Podman of a data directory keeps what does not outlive a boot; that may lie elsewhere, for names of
/// sockets are short.
fn run_dir(dir: &Path) -> PathBuf {
    let settings = std::fs::read_to_string(dir.join("podman/config/storage.conf")).unwrap_or_default();
    let line = settings.lines().find_map(|line| line.strip_prefix("runroot = "));
    let run = line.and_then(|path| Path::new(path.trim_matches('"')).parent());
    run.map_or_else(|| dir.join("podman/run"), Path::to_owned)
}

/// Lists the names under which networks of containers are kept.
fn networks_of(run: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(run.join("netns")).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Lists what containers have mounted below folders, in whichever namespace.
fn mounted_below(dirs: &[PathBuf]) -> BTreeSet<PathBuf> {
    let tables = pids().into_iter().filter_map(|pid| std::fs::read(format!("/proc/{pid}/mountinfo")).ok());
    let places = tables.flat_map(|table| places_in(&table));
    places.filter(|at| is_of_a_container(at) && dirs.iter().any(|dir| at.starts_with(dir))).collect()
}

/// Reads from a table of mounts where they are.
fn places_in(table: &[u8]) -> Vec<PathBuf> {
    let lines = table.split(|byte| *byte == b'\n');
    lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4)).map(unescaped).collect()
}

/// Reads a path in which blanks and the like stand as three octal digits.
fn unescaped(text: &[u8]) -> PathBuf {
    let (mut path, mut rest) = (Vec::new(), text);
    while let [first, more @ ..] = rest {
        let digits = more.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                path.push(byte);
                rest = &more[3..];
            }
            None => {
                path.push(*first);
                rest = more;
            }
        }
    }
    PathBuf::from(OsString::from_vec(path))
}

/// Tells the root of a container, its shared memory and its network from what Podman mounts for itself, and from small
/// disks of the harness.
fn is_of_a_container(at: &Path) -> bool {
    let mut names = at.components().rev().map(|part| part.as_os_str().as_bytes());
    matches!(
        (names.next(), names.next(), names.next()),
        (Some(b"merged"), Some(_), Some(b"overlay"))
            | (Some(b"shm"), Some(b"userdata"), Some(_))
            | (Some(_), Some(b"netns"), _)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_containers_mount_is_told_from_everything_else() {
        let table = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
50 40 254:0 /w/podman/storage/overlay /w/podman/storage/overlay rw - ext4 /dev/vda rw
51 50 0:50 / /w\\0401/podman/storage/overlay/f00/merged rw - overlay overlay rw
52 50 0:51 / /w/podman/storage/overlay-containers/f00/userdata/shm rw - tmpfs shm rw
53 50 0:4 net:[4026532] /run/x/netns/netns-1 rw - nsfs nsfs rw
54 50 7:0 / /w/podman/storage rw - ext4 /dev/loop0 rw
55 50 0:60 / /w/spool rw - tmpfs tmpfs rw
";
        let found: Vec<PathBuf> = places_in(table.as_bytes()).into_iter().filter(|at| is_of_a_container(at)).collect();
        let wanted = [
            "/w 1/podman/storage/overlay/f00/merged",
            "/w/podman/storage/overlay-containers/f00/userdata/shm",
            "/run/x/netns/netns-1",
        ];
        assert_eq!(found, wanted.map(PathBuf::from));
    }
}
