//! A process of this machine, told apart from a later one that has its number.

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

/// A process that was seen alive: its number, and when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pid: Pid,
    /// In the kernel's ticks since boot.
    began: u64,
}

impl Process {
    /// Returns the process that has a number now, if one lives.
    pub fn with_pid(pid: i64) -> Option<Self> {
        let pid = number(i32::try_from(pid).ok()?)?;
        let seen = look(pid)?;
        seen.lives.then_some(Self { pid, began: seen.began })
    }

    /// Returns a process that somebody else saw.
    pub(crate) fn known(pid: i32, began: u64) -> Option<Self> {
        Some(Self { pid: number(pid)?, began })
    }

    pub(crate) fn pid(self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    pub(crate) fn began(self) -> u64 {
        self.began
    }

    /// Tells whether it lives; one that only waits to be collected does not.
    pub fn is_alive(self) -> bool {
        look(self.pid).is_some_and(|seen| seen.lives && seen.began == self.began)
    }

    /// Sends a signal; tells whether the process was there to get it.
    ///
    /// # Errors
    ///
    /// Fails when the kernel does not permit it.
    pub fn signal(self, signal: Signal) -> io::Result<bool> {
        // The handle is taken first: what it is for when the look finds our process is our process.
        let sent = match pidfd_open(self.pid, PidfdFlags::empty()) {
            Ok(handle) if self.is_alive() => pidfd_send_signal(&handle, signal),
            Err(Errno::NOSYS) if self.is_alive() => kill_process(self.pid, signal),
            Ok(_) | Err(Errno::NOSYS | Errno::SRCH | Errno::INVAL) => return Ok(false),
            Err(error) => Err(error),
        };
        match sent {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Takes a number for a process's; none stands for several processes, and the first is never one of ours.
fn number(pid: i32) -> Option<Pid> {
    if pid > 1 { Pid::from_raw(pid) } else { None }
}

struct Seen {
    lives: bool,
    began: u64,
}

fn look(pid: Pid) -> Option<Seen> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name stands in brackets and may hold anything, brackets as well.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let lives = !matches!(fields.next()?, "Z" | "X");
    // The 22nd field; the one just read was the third.
    let began = fields.nth(18)?.parse().ok()?;
    Some(Seen { lives, began })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_known_until_it_ends() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::with_pid(i64::from(child.id())).unwrap();
        assert!(process.is_alive());
        assert!(process.signal(Signal::KILL).unwrap());
        // Not collected yet, and dead all the same.
        while process.is_alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!process.signal(Signal::KILL).unwrap());
        assert_eq!(Process::with_pid(i64::from(child.id())), None);
    }

    #[test]
    fn another_process_with_the_same_number_is_left_alone() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::with_pid(i64::from(child.id())).unwrap();
        let earlier = Process::known(process.pid(), process.began() - 1).unwrap();
        assert!(!earlier.is_alive() && !earlier.signal(Signal::KILL).unwrap());
        assert!(process.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn no_number_stands_for_all_processes_or_the_first() {
        for pid in [-1, 0, 1] {
            assert_eq!((Process::known(pid, 0), Process::with_pid(pid.into())), (None, None), "{pid}");
        }
        assert_eq!(Process::with_pid(i64::from(i32::MAX)), None);
        assert_eq!(Process::with_pid(i64::MAX), None);
    }
}
