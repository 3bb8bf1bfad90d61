//! The processes that Podman leaves around: who they are, and how they are ended.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Returns our processes whose command line names a path: monitors and cleaners of containers name their run
/// directory.
pub(super) fn naming(path: &Path) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let (uid, me) = (rustix::process::geteuid().as_raw(), std::process::id());
    let wanted = path.as_os_str().as_bytes();
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let ours = entry.metadata().ok()?.uid() == uid && pid.unsigned_abs() != me;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let names = line.windows(wanted.len()).any(|part| part == wanted);
            (ours && names).then(|| Pid::from_raw(pid)).flatten()
        })
        .collect()
}

/// Ends the process that holds Podman's user namespace open between its commands.
pub(super) fn end_pause_process(run: &Path) {
    let file = run.join("libpod/tmp/pause.pid");
    let Some(pid) = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()).and_then(Pid::from_raw)
    else {
        return;
    };
    // The number may have gone to somebody else by now.
    let name = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).unwrap_or_default();
    let ours = fs::metadata(format!("/proc/{}", pid.as_raw_nonzero()))
        .is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw());
    if ours && matches!(name.trim(), "catatonit" | "podman" | "podman pause") {
        let _ = kill_process(pid, Signal::KILL);
    }
    let _ = fs::remove_file(&file);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_a_path_that_it_names() {
        let dir = tempfile::tempdir().unwrap();
        assert!(naming(dir.path()).is_empty());
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env_clear()
            .arg0_of(dir.path())
            .spawn()
            .expect("sleep is there");
        let found = naming(dir.path());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.len(), 1);
    }

    trait Arg0 {
        fn arg0_of(&mut self, path: &Path) -> &mut Self;
    }
    impl Arg0 for std::process::Command {
        fn arg0_of(&mut self, path: &Path) -> &mut Self {
            std::os::unix::process::CommandExt::arg0(self, path)
        }
    }

    #[test]
    fn a_pid_that_is_not_podmans_is_left_alone() {
        let run = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(run.path().join("libpod/tmp")).unwrap();
        let file = run.path().join("libpod/tmp/pause.pid");
        std::fs::write(&file, std::process::id().to_string()).unwrap();
        end_pause_process(run.path());
        assert!(!file.exists(), "and we are still here");
    }
}
