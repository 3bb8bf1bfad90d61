//! The guard: a tiny process beside the worker that ends a container when the worker cannot.
//!
//! A worker that is killed or frozen cannot keep the promise that its container is dead before the lease may be given
//! to another. So before a container is started its guard knows the container's first process and when it has to be
//! dead; every answered heartbeat puts that off. When the worker's end of the socket closes, or the time comes, the
//! guard ends the container, and it ends itself with the last one. It is told apart from the worker in everything that
//! could end or stop both: it has a session of its own, and neither waits for the other.

mod charges;
mod serve;
mod words;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{debug, error, warn};

use crate::process::Process;
#[cfg(test)]
pub(crate) use charges::{Charges, Hand, Push};
pub use serve::serve;
pub(crate) use words::{Deadline, Order};
use words::{FREED, HELD, KILLED, READY};

/// How long a guard may take to begin.
const BIRTH: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// How long it may take to end when there is nothing left to guard.
const DEATH: Duration = Duration::from_secs(2);
/// How often an order is tried, each time with another guard.
const TRIES: u32 = 3;
/// How long to wait before another guard is tried.
const PAUSE: Duration = Duration::from_millis(200);
/// How many orders may wait; beyond that those that wait for an answer wait here, and the others are dropped.
const WAITING: usize = 256;

/// What the worker asks of its guard; cheap to clone, and every clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Guard(Option<mpsc::Sender<Ask>>);

/// Keeps a guard running for as long as the worker does.
#[derive(Debug)]
pub(crate) struct Keeper {
    guard: Guard,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Ask {
    Hold { name: String, process: Process, until: Duration, answer: oneshot::Sender<Result<(), String>> },
    Extend(Vec<(String, Duration)>),
    Free { name: String, answer: oneshot::Sender<bool> },
    End,
}

impl Guard {
    /// Returns the guard of containers that are no processes: it does nothing.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Lets the guard watch over a container, which is not to live longer than the grace after `until` unless that is
    /// extended. When this has succeeded the container may be started.
    ///
    /// # Errors
    ///
    /// Says why there is no guard.
    pub(crate) async fn hold(&self, name: &str, process: Process, until: Duration) -> Result<(), String> {
        let Some(asks) = &self.0 else { return Ok(()) };
        let (answer, answered) = oneshot::channel();
        let ask = Ask::Hold { name: name.to_owned(), process, until, answer };
        if asks.send(ask).await.is_ok()
            && let Ok(answer) = answered.await
        {
            return answer;
        }
        Err("the guard has been stopped".into())
    }

    /// Puts off when containers have to be dead; those that the guard does not know are passed over.
    pub(crate) fn extend(&self, trusts: Vec<(String, Duration)>) {
        if let Some(asks) = &self.0
            && asks.try_send(Ask::Extend(trusts)).is_err()
        {
            // The next heartbeat says it again, long before the time is up.
            debug!("the guard is busy, it does not hear of a heartbeat");
        }
    }

    /// Takes a container, which has ended or is not to be ended, from the guard; tells whether the guard has killed
    /// it.
    pub(crate) async fn free(&self, name: &str) -> bool {
        let Some(asks) = &self.0 else { return false };
        let (answer, answered) = oneshot::channel();
        let sent = asks.send(Ask::Free { name: name.to_owned(), answer }).await;
        sent.is_ok() && answered.await.unwrap_or(false)
    }
}

impl Keeper {
    /// Starts a guard: `program` with the argument `guard`. It kills a container `grace` after its lease can no longer
    /// be trusted.
    ///
    /// # Errors
    ///
    /// Fails when no guard can be started.
    pub(crate) async fn start(program: &Path, grace: Duration) -> anyhow::Result<Self> {
        let link = Link::open(program).await.context("the guard of the containers cannot be started")?;
        let (asks, asked) = mpsc::channel(WAITING);
        let keep = Keep { program: program.to_owned(), grace, link: Some(link), charges: BTreeMap::new() };
        Ok(Self { guard: Guard(Some(asks)), task: tokio::spawn(keep.obey(asked)) })
    }

    pub(crate) fn guard(&self) -> Guard {
        self.guard.clone()
    }

    /// Lets go of the guard, which ends by itself when there is nothing left to guard.
    pub(crate) async fn stop(self) {
        if let Some(asks) = &self.guard.0 {
            let _ = asks.send(Ask::End).await;
        }
        if let Err(fault) = self.task.await {
            error!(error = %fault, "the task that kept the guard failed: {fault}");
        }
    }
}

/// The task that speaks to the guard.
struct Keep {
    program: PathBuf,
    grace: Duration,
    link: Option<Link>,
    /// Kept here as well, for the next guard.
    charges: BTreeMap<String, (Process, Duration)>,
}

impl Keep {
    async fn obey(mut self, mut asked: mpsc::Receiver<Ask>) {
        loop {
            let ask = tokio::select! {
                biased;
                ask = asked.recv() => ask,
                () = lost(&mut self.link) => {
                    warn!("the guard of the containers has ended by itself: starting another");
                    self.let_go().await;
                    self.take_another().await;
                    continue;
                }
            };
            match ask {
                Some(Ask::Hold { name, process, until, answer }) => {
                    self.charges.insert(name.clone(), (process, until));
                    let order = self.hold_order(&name, process, until);
                    let held = self.ask(&order, &[HELD], &name).await.map(|_| ());
                    if held.is_err() {
                        self.charges.remove(&name);
                    }
                    let _ = answer.send(held.map_err(|error| format!("the container cannot be guarded: {error}")));
                }
                Some(Ask::Extend(trusts)) => self.extend(trusts).await,
                Some(Ask::Free { name, answer }) => {
                    // What is not held was freed before, or never started.
                    let known = self.charges.remove(&name).is_some();
                    let order = Order::Free { name: name.clone() };
                    let killed =
                        known && matches!(self.ask(&order, &[FREED, KILLED], &name).await.as_deref(), Ok(KILLED));
                    let _ = answer.send(killed);
                }
                Some(Ask::End) | None => break,
            }
        }
        if let Some(link) = self.link.take() {
            link.end(self.charges.is_empty()).await;
        }
    }

    async fn extend(&mut self, trusts: Vec<(String, Duration)>) {
        let mut lines = String::new();
        for (name, until) in trusts {
            let deadline = self.deadline(until);
            let Some(charge) = self.charges.get_mut(&name) else { continue };
            charge.1 = until;
            lines += &format!("{}\n", Order::Extend { name, deadline });
        }
        let said = match &mut self.link {
            _ if lines.is_empty() => return,
            Some(link) => link.say(&lines).await,
            None => Err(io::Error::other("there is none")),
        };
        if let Err(error) = said {
            warn!(error = %error, "the guard of the containers does not hear: {error}; starting another");
            self.let_go().await;
            self.take_another().await;
        }
    }

    /// Gives an order; when the guard does not answer, to another one.
    async fn ask(&mut self, order: &Order, answers: &'static [&str], name: &str) -> io::Result<String> {
        let mut failed = None;
        for _ in 0..TRIES {
            if self.link.is_none() {
                self.take_another().await;
            }
            let Some(link) = &mut self.link else { continue };
            match link.ask(order, answers, name).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    warn!(error = %error, "the guard of the containers does not answer: {error}");
                    failed = Some(error);
                    self.let_go().await;
                }
            }
        }
        Err(failed.unwrap_or_else(|| io::Error::other("no guard can be started")))
    }

    /// Starts a guard that knows what the one before it knew.
    async fn take_another(&mut self) {
        let begun = async {
            let mut link = Link::open(&self.program).await?;
            for (name, (process, until)) in &self.charges {
                link.ask(&self.hold_order(name, *process, *until), &[HELD], name).await?;
            }
            Ok::<_, io::Error>(link)
        };
        match begun.await {
            Ok(link) => self.link = Some(link),
            Err(error) => {
                error!(error = %error, "no guard can be started for the containers: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn let_go(&mut self) {
        if let Some(mut link) = self.link.take() {
            // One that does not answer is of no use, and two would disagree.
            let _ = link.child.start_kill();
            let _ = timeout(DEATH, link.child.wait()).await;
        }
    }

    fn deadline(&self, until: Duration) -> Deadline {
        Deadline { fence_at: until, kill_at: until + self.grace }
    }

    fn hold_order(&self, name: &str, process: Process, until: Duration) -> Order {
        Order::Hold { name: name.to_owned(), process, deadline: self.deadline(until) }
    }
}

/// A guard at the other end of a socket.
struct Link {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
    child: Child,
}

impl Link {
    async fn open(program: &Path) -> io::Result<Self> {
        let (ours, its) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (read, write) = UnixStream::from_std(ours)?.into_split();
        let child = Command::new(program)
            .arg0("tstr")
            .arg("guard")
            // Nothing of it is needed, and nothing should tie the guard to our directories.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(its)))
            .stdout(Stdio::null())
            .spawn()?;
        let mut link = Self { lines: BufReader::new(read).lines(), write, child };
        match timeout(BIRTH, link.lines.next_line()).await {
            Ok(Ok(Some(line))) if line == READY => Ok(link),
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) => Err(io::Error::other("it does not begin")),
            Err(_) => {
                let _ = link.child.start_kill();
                Err(io::Error::other(format!("it does not begin within {BIRTH:?}")))
            }
        }
    }

    async fn say(&mut self, lines: &str) -> io::Result<()> {
        timeout(ANSWER, self.write.write_all(lines.as_bytes())).await.map_err(|_| silent())?
    }

    /// Gives an order; returns the first word of the answer.
    async fn ask(&mut self, order: &Order, answers: &'static [&str], name: &str) -> io::Result<String> {
        self.say(&format!("{order}\n")).await?;
        let answered = async {
            while let Some(line) = self.lines.next_line().await? {
                if let Some((word, whose)) = line.split_once(' ')
                    && whose == name
                    && answers.contains(&word)
                {
                    return Ok(word.to_owned());
                }
            }
            Err(io::Error::other("it has ended"))
        };
        timeout(ANSWER, answered).await.map_err(|_| silent())?
    }

    /// Closes the socket, by which the guard ends; waits for that unless it still has something to do.
    async fn end(self, idle: bool) {
        let Self { lines, write, mut child } = self;
        drop((lines, write));
        if !idle {
            warn!("the guard goes on until the last container has ended");
        } else if timeout(DEATH, child.wait()).await.is_err() {
            warn!("the guard does not end: killing it");
            let _ = child.start_kill();
            let _ = timeout(DEATH, child.wait()).await;
        }
    }
}

/// Waits until the guard closes its end of the socket.
async fn lost(link: &mut Option<Link>) {
    match link {
        // Whatever it says unasked is the answer to a question that nobody waits for any more.
        Some(link) => while let Ok(Some(_)) = link.lines.next_line().await {},
        None => std::future::pending().await,
    }
}

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {ANSWER:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_processes_there_is_nothing_to_guard() {
        let guard = Guard::none();
        let process = Process::with_pid(i64::from(std::process::id())).unwrap();
        assert_eq!(guard.hold("a", process, Duration::ZERO).await, Ok(()));
        guard.extend(vec![("a".into(), Duration::ZERO)]);
        assert!(!guard.free("a").await);
    }

    #[tokio::test]
    async fn a_program_that_is_no_guard_is_not_taken_for_one() {
        for program in ["/bin/true", "/nonexistent"] {
            let error = Keeper::start(Path::new(program), Duration::from_secs(1)).await.unwrap_err();
            assert!(error.to_string().contains("guard"), "{error}");
        }
    }
}
