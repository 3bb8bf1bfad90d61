//! The guard itself: a process in a session of its own that hears its worker by a socket, and needs nothing else.
//!
//! It has no runtime, opens no file and talks to no engine: the first process of a container takes the whole container
//! with it, whatever state the worker, Podman or the disk are in.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::charges::{Charges, Hand, Push};
use super::words::READY;
use crate::clock::Clock;
use crate::process::Process;

/// How long an answer may take before the guard goes on without it.
const ANSWER: Duration = Duration::from_secs(1);

/// Guards the containers of the worker that started this process, and returns when that worker is gone and none of
/// them is left.
///
/// # Errors
///
/// Fails when no worker started the process.
pub fn serve() -> anyhow::Result<()> {
    let stranger = "a worker starts its guard by itself; there is nothing to do for it by hand";
    let worker = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().context(stranger)?);
    if worker.peer_addr().is_err() {
        bail!(stranger);
    }
    // What ends the worker's group or its terminal's session is not to end us.
    rustix::process::setsid().context(stranger)?;
    std::env::set_current_dir("/").context("cannot leave the current directory")?;
    guard(worker, &Clock::boottime(), &mut Hands::default()).context("the socket to the worker failed")
}

fn guard(mut worker: UnixStream, clock: &Clock, hand: &mut impl Hand) -> std::io::Result<()> {
    worker.set_write_timeout(Some(ANSWER))?;
    let (mut charges, mut unread, mut buffer) = (Charges::default(), Vec::new(), [0; 4096]);
    let mut gone = writeln!(worker, "{READY}").is_err();
    loop {
        let patience = charges.patience(clock.now());
        if gone {
            std::thread::sleep(patience.unwrap_or_default());
        } else {
            worker.set_read_timeout(patience)?;
            match worker.read(&mut buffer) {
                Ok(0) => gone = true,
                Ok(count) => {
                    unread.extend_from_slice(&buffer[..count]);
                    obey_lines(&mut charges, &mut unread, &mut worker);
                    // There may be more, and what it says comes before any deadline.
                    if count == buffer.len() {
                        continue;
                    }
                }
                Err(error) => {
                    use ErrorKind::{Interrupted, TimedOut, WouldBlock};
                    gone = !matches!(error.kind(), WouldBlock | TimedOut | Interrupted);
                }
            }
        }
        if gone {
            charges.be_alone(clock.now());
        }
        charges.act(clock.now(), hand);
        if charges.is_over() {
            return Ok(());
        }
    }
}

/// Obeys all whole lines; leaves the rest.
fn obey_lines(charges: &mut Charges, unread: &mut Vec<u8>, worker: &mut UnixStream) {
    let Some(end) = unread.iter().rposition(|byte| *byte == b'\n') else { return };
    let lines: Vec<u8> = unread.drain(..=end).collect();
    for line in String::from_utf8_lossy(&lines).lines() {
        // A line that is not understood is not answered; the worker then takes another guard.
        let answer = line.parse().ok().and_then(|order| charges.obey(order));
        if let Some(answer) = answer {
            // A worker that is frozen does not read; it asks again.
            let _ = writeln!(worker, "{answer}");
        }
    }
}

/// The real signals.
#[derive(Default)]
struct Hands {
    said: Vec<String>,
}

impl Hand for Hands {
    fn push(&mut self, name: &str, process: Process, push: Option<Push>) -> bool {
        let (signal, deed) = match push {
            None => return process.is_alive(),
            Some(Push::Term) => (Signal::TERM, "is gone, asked to end"),
            Some(Push::Kill) => (Signal::KILL, "was not heard of in time, killed"),
        };
        match process.signal(signal) {
            Ok(false) => false,
            Ok(true) => {
                self.say(format!("the worker {deed}: {name}"));
                true
            }
            Err(error) => {
                self.say(format!("cannot end {name} (process {}): {error}", process.pid()));
                true
            }
        }
    }
}

impl Hands {
    /// Says something once, to where the worker writes its log.
    fn say(&mut self, what: String) {
        if !self.said.contains(&what) {
            let stderr = std::io::stderr();
            let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
            // Whoever reads it may be frozen as well, and nothing may hold the next deed up.
            if matches!(poll(&mut ready, Some(&Timespec::default())), Ok(1)) {
                let _ = writeln!(&stderr, "tstr guard: {what}");
            }
            self.said.push(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command};

    use super::*;
    use crate::guard::words::{Deadline, Order};

    fn sleeper() -> (Child, Process) {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        let process = Process::with_pid(i64::from(child.id())).unwrap();
        (child, process)
    }

    fn in_a_thread() -> (std::thread::JoinHandle<()>, BufReader<UnixStream>) {
        let (ours, its) = UnixStream::pair().unwrap();
        let thread = std::thread::spawn(move || guard(its, &Clock::boottime(), &mut Hands::default()).unwrap());
        let mut ours = BufReader::new(ours);
        let mut line = String::new();
        ours.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        (thread, ours)
    }

    fn ask(guard: &mut BufReader<UnixStream>, order: &Order) -> String {
        writeln!(guard.get_mut(), "{order}").unwrap();
        let mut line = String::new();
        guard.read_line(&mut line).unwrap();
        line
    }

    fn in_millis(fence: u64, kill: u64) -> Deadline {
        let now = Clock::boottime().now();
        Deadline { fence_at: now + Duration::from_millis(fence), kill_at: now + Duration::from_millis(kill) }
    }

    #[test]
    fn a_silent_workers_container_is_killed_at_its_deadline() {
        let (mut child, process) = sleeper();
        let (thread, mut guard) = in_a_thread();
        let since = std::time::Instant::now();
        let order = Order::Hold { name: "a".into(), process, deadline: in_millis(100, 300) };
        assert_eq!(ask(&mut guard, &order), "held a\n");
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        assert!(since.elapsed() >= Duration::from_millis(290), "{:?}", since.elapsed());
        assert_eq!(ask(&mut guard, &Order::Free { name: "a".into() }), "killed a\n");
        drop(guard);
        thread.join().unwrap();
    }

    #[test]
    fn a_dead_workers_container_is_ended_and_the_guard_with_it() {
        let (mut child, process) = sleeper();
        let (thread, mut guard) = in_a_thread();
        ask(&mut guard, &Order::Hold { name: "a".into(), process, deadline: in_millis(60_000, 61_000) });
        drop(guard);
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
        thread.join().unwrap();
    }

    #[test]
    fn a_container_that_was_given_free_outlives_the_guard() {
        let (mut child, process) = sleeper();
        let (thread, mut guard) = in_a_thread();
        ask(&mut guard, &Order::Hold { name: "a".into(), process, deadline: in_millis(50, 100) });
        assert_eq!(ask(&mut guard, &Order::Free { name: "a".into() }), "freed a\n");
        drop(guard);
        thread.join().unwrap();
        std::thread::sleep(Duration::from_millis(150));
        assert!(process.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn what_the_worker_has_said_is_heard_before_any_deadline() {
        let (mut child, process) = sleeper();
        let (ours, its) = UnixStream::pair().unwrap();
        let mut orders = format!("{}\n", Order::Hold { name: "a".into(), process, deadline: in_millis(0, 0) });
        // More than one read takes: a guard that was frozen finds this when it is woken.
        for _ in 0..500 {
            orders += &format!("{}\n", Order::Extend { name: "b".into(), deadline: in_millis(0, 0) });
        }
        orders += &format!("{}\n", Order::Extend { name: "a".into(), deadline: in_millis(60_000, 61_000) });
        orders += &format!("{}\n", Order::Free { name: "a".into() });
        (&ours).write_all(orders.as_bytes()).unwrap();
        let thread = std::thread::spawn(move || guard(its, &Clock::boottime(), &mut Hands::default()).unwrap());
        let lines: Vec<String> = BufReader::new(&ours).lines().take(3).map(Result::unwrap).collect();
        assert_eq!(lines, ["ready", "held a", "freed a"]);
        drop(ours);
        thread.join().unwrap();
        assert!(process.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
