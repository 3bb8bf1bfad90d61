//! Looks at the process table, again and again, for processes of containers: what was alive, and when.
//!
//! A container's processes carry its run and attempt in their environment. Between two looks nothing is known, so a
//! span is never longer than what was there; whoever is judged by it was certainly alive.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::checker::{Witness, boot_nanos};

/// How often the table is looked at.
const EVERY: Duration = Duration::from_millis(25);
/// For how many looks a process is taken for one that may still become a container's.
const YOUNG: u32 = 200;

/// Watches until it is dropped.
pub struct Watcher {
    seen: Arc<Mutex<Witness>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts to watch.
    pub fn start() -> Self {
        let (seen, stop) = (Arc::new(Mutex::new(Witness::default())), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (seen, stop) = (seen.clone(), stop.clone());
            move || {
                let (mut ages, mut others) = (HashMap::new(), HashSet::new());
                while !stop.load(Ordering::Relaxed) {
                    look(&seen, &mut ages, &mut others);
                    std::thread::sleep(EVERY);
                }
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    /// Returns what was seen so far.
    pub fn witness(&self) -> Witness {
        self.seen.lock().expect("not poisoned").clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Looks once. `others` are processes that will never be a container's.
fn look(seen: &Mutex<Witness>, ages: &mut HashMap<u32, u32>, others: &mut HashSet<u32>) {
    let mut there = HashSet::new();
    for pid in pids() {
        there.insert(pid);
        if others.contains(&pid) {
            continue;
        }
        match attempt_of(Path::new(&format!("/proc/{pid}/environ"))) {
            Some((run, attempt)) => seen.lock().expect("not poisoned").note(run, attempt, boot_nanos()),
            // A runtime waits under another environment for the moment at which it becomes the container.
            None if is_runtime(pid) => {}
            None => {
                let age = ages.entry(pid).or_insert(0);
                *age += 1;
                if *age > YOUNG {
                    others.insert(pid);
                }
            }
        }
    }
    ages.retain(|pid, _| there.contains(pid));
    others.retain(|pid| there.contains(pid));
}

/// Lists the processes of the machine.
pub fn pids() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Counts the processes that belong to a run now.
pub fn processes_of(run: uuid::Uuid) -> usize {
    let of_run = |pid: &u32| attempt_of(Path::new(&format!("/proc/{pid}/environ"))).is_some_and(|(of, _)| of == run);
    pids().iter().filter(|pid| of_run(pid)).count()
}

fn is_runtime(pid: u32) -> bool {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.starts_with("runc") || name.starts_with("crun") || name.starts_with("conmon")
}

/// Reads whose a process is; `None` when it is no container's, or has ended.
fn attempt_of(environ: &Path) -> Option<(uuid::Uuid, i16)> {
    let bytes = std::fs::read(environ).ok()?;
    let value = |name: &str| {
        let mut variables = bytes.split(|byte| *byte == 0);
        variables.find_map(|variable| std::str::from_utf8(variable).ok()?.strip_prefix(name)).map(str::to_owned)
    };
    Some((value("TSTR_RUN_ID=")?.parse().ok()?, value("TSTR_ATTEMPT=")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_environment_until_it_ends() {
        let (run, watcher) = (uuid::Uuid::now_v7(), Watcher::start());
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("0.4")
            .env("TSTR_RUN_ID", run.to_string())
            .env("TSTR_ATTEMPT", "3")
            .spawn()
            .unwrap();
        child.wait().unwrap();
        let ended = boot_nanos();
        std::thread::sleep(Duration::from_millis(100));
        let span = watcher.witness().seen[&(run, 3)];
        assert!(span.to <= ended && span.to - span.from > 100_000_000, "{span:?}, ended at {ended}");
    }
}
