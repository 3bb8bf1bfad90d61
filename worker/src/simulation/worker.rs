//! A worker and its guard: the real book of leases and the real charges of the guard, driven as `run` drives them.

use std::sync::Arc;
use std::time::Duration;

use tstr_shared::lease::{Fence, LeaseTimes};

use super::chance::{Chance, Way, Weather};
use super::{Answer, Flaw, Question, millis};
use crate::clock::Clock;
use crate::guard::{Charges, Deadline, Hand, Order, Push};
use crate::lease::{Lease, LeaseBook, Signal};
use crate::process::Process;
use crate::run::container_name;

/// How long a call may take before it is repeated.
const CALL: u64 = 700;

/// A container on a machine.
#[derive(Debug, Clone)]
pub(super) struct Container {
    name: String,
    pub(super) fence: Fence,
    worker: usize,
    ends_at: u64,
    ignores_term: bool,
    pub(super) end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    ByItself,
    Stopped,
}

/// All containers of all machines.
#[derive(Debug, Default)]
pub(super) struct Machines {
    pub(super) live: Vec<Container>,
    pub(super) dead: Vec<Container>,
}

impl Machines {
    /// Lets containers end: those whose time has come by themselves.
    pub(super) fn pass(&mut self, now: u64) {
        self.end(End::ByItself, |one| one.ends_at <= now);
    }

    /// Finds out how a container ended, if it has.
    pub(super) fn end_of(&self, fence: Fence) -> Option<End> {
        self.dead.iter().rev().find(|one| one.fence == fence).and_then(|one| one.end)
    }

    fn end(&mut self, how: End, which: impl Fn(&Container) -> bool) {
        let (mut ended, live) = self.live.drain(..).partition::<Vec<_>, _>(which);
        self.live = live;
        ended.iter_mut().for_each(|one| one.end = Some(how));
        self.dead.append(&mut ended);
    }

    fn signal(&mut self, name: &str, push: Push) {
        self.end(End::Stopped, |one| one.name == name && (push == Push::Kill || !one.ignores_term));
    }
}

impl Hand for Machines {
    fn push(&mut self, name: &str, _: Process, push: Option<Push>) -> bool {
        let was_there = self.live.iter().any(|one| one.name == name);
        if let Some(push) = push {
            self.signal(name, push);
        }
        was_there
    }
}

enum Step {
    Asking { permitted: bool },
    Watching { kill_at: Option<u64>, lost: bool },
    Reporting(Question),
}

struct Attempt {
    fence: Fence,
    /// None for what an earlier life left behind.
    lease: Option<Lease>,
    step: Step,
    call_at: u64,
    since: u64,
}

pub(super) struct Worker {
    number: usize,
    clock: Clock,
    times: LeaseTimes,
    flaw: Flaw,
    pub(super) alive: bool,
    pub(super) frozen: bool,
    book: Arc<LeaseBook>,
    guards: Vec<Charges>,
    attempts: Vec<Attempt>,
    /// What its disk knows of after its death.
    spool: Vec<Fence>,
    next_beat: u64,
    claim_until: u64,
    pub(super) inbox: Way<Answer>,
    pub(super) outbox: Way<Question>,
    pub(super) out: Weather,
}

impl Worker {
    pub(super) fn new(number: usize, clock: Clock, times: LeaseTimes, flaw: Flaw) -> Self {
        Self {
            number,
            book: LeaseBook::new(clock.clone(), times),
            clock,
            times,
            flaw,
            alive: true,
            frozen: false,
            guards: vec![Charges::default()],
            attempts: Vec::new(),
            spool: Vec::new(),
            next_beat: 0,
            claim_until: 0,
            inbox: Way::new(),
            outbox: Way::new(),
            out: Weather::default(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.alive && self.attempts.is_empty() && self.guards.len() == 1
    }

    /// Dies on the spot; what it had on its disk stays.
    pub(super) fn kill(&mut self) {
        if std::mem::replace(&mut self.alive, false) {
            self.frozen = false;
            self.spool.extend(self.attempts.drain(..).map(|attempt| attempt.fence));
            self.inbox.forget();
            if let Some(guard) = self.guards.last_mut() {
                guard.be_alone(self.clock.now());
            }
        }
    }

    /// Comes back: ends what it left behind before it says anything.
    pub(super) fn restart(&mut self, machines: &mut Machines) {
        if std::mem::replace(&mut self.alive, true) {
            return;
        }
        let number = self.number;
        machines.end(End::Stopped, |one| one.worker == number);
        self.book = LeaseBook::new(self.clock.clone(), self.times);
        self.guards.push(Charges::default());
        let now = millis(self.clock.now());
        let left = self.spool.drain(..).map(|fence| Attempt {
            fence,
            lease: None,
            step: Step::Reporting(Question::Release(fence)),
            call_at: now,
            since: now,
        });
        self.attempts.extend(left);
    }

    /// Lets the guards do what is due: no state of the worker holds them up.
    pub(super) fn guard(&mut self, machines: &mut Machines) {
        let now = self.clock.now();
        self.guards.iter_mut().for_each(|guard| guard.act(now, machines));
        self.guards.retain(|guard| !guard.is_over());
    }

    /// Lives for a moment.
    pub(super) fn live(&mut self, machines: &mut Machines, chance: &mut Chance) {
        if !self.alive || self.frozen {
            return;
        }
        // A worker that wakes up does things in any order.
        let first = chance.next() % 3;
        for turn in 0..3 {
            match (first + turn) % 3 {
                0 => self.hear(chance),
                1 => self.speak(chance),
                _ => self.go_on(machines, chance),
            }
        }
    }

    fn hear(&mut self, chance: &mut Chance) {
        let now = self.clock.now();
        for answer in self.inbox.arrived(millis(now)) {
            match answer {
                Answer::Claimed { fence, asked_at } => {
                    self.claim_until = 0;
                    let Some(fence) = fence else { continue };
                    // The answer to a claim is taken once; the client of a call takes the first of two as well.
                    if self.attempts.iter().any(|attempt| attempt.fence == fence) || chance.happens(20) {
                        continue;
                    }
                    let lease = Some(self.book.enter(fence, asked_at));
                    let (step, now) = (Step::Asking { permitted: false }, millis(now));
                    self.attempts.push(Attempt { fence, lease, step, call_at: now, since: now });
                    self.next_beat = now;
                }
                Answer::Started { fence, held: true } => {
                    if let Some(Attempt { step: Step::Asking { permitted }, .. }) = self.attempt(fence) {
                        *permitted = true;
                    }
                }
                Answer::Started { fence, held: false } => {
                    self.attempts
                        .retain(|one| one.fence != fence || !matches!(one.step, Step::Asking { permitted: false }));
                }
                Answer::Beaten { asked_at, states } => {
                    let asked_at = if self.flaw == Flaw::TrustFromTheAnswer { now } else { asked_at };
                    self.book.answered(asked_at, &states);
                    for (fence, until) in self.book.trusts() {
                        let name = container_name(fence);
                        let deadline = self.deadline(until);
                        self.tell(Order::Extend { name, deadline });
                    }
                }
                Answer::Reported(fence) => {
                    self.attempts.retain(|one| one.fence != fence || !matches!(one.step, Step::Reporting(_)));
                }
            }
        }
    }

    fn speak(&mut self, chance: &mut Chance) {
        let (now, at) = (self.clock.now(), millis(self.clock.now()));
        if at >= self.next_beat {
            self.next_beat = at + millis(self.times.heartbeat);
            let fences = self.book.fences();
            self.outbox.send(at, Question::Beat { fences, asked_at: now }, self.out, chance);
        }
        if self.attempts.len() < 2 && at >= self.claim_until {
            self.claim_until = at + CALL;
            self.outbox.send(at, Question::Claim { asked_at: now }, self.out, chance);
        }
    }

    fn go_on(&mut self, machines: &mut Machines, chance: &mut Chance) {
        let now = millis(self.clock.now());
        let mut attempts = std::mem::take(&mut self.attempts);
        attempts.retain_mut(|attempt| self.step(attempt, now, machines, chance));
        self.attempts = attempts;
    }

    /// Takes one attempt further; tells whether it goes on.
    fn step(&mut self, attempt: &mut Attempt, now: u64, machines: &mut Machines, chance: &mut Chance) -> bool {
        let fence = attempt.fence;
        let (signal, trusted) = match &attempt.lease {
            Some(lease) => (lease.signal(), lease.trusted_for().is_some()),
            None => (Signal::Held, false),
        };
        match &mut attempt.step {
            Step::Asking { .. } if signal == Signal::Lost => return false,
            Step::Asking { permitted } if !*permitted && self.flaw != Flaw::StartWithoutPermission => {
                if now >= attempt.call_at {
                    attempt.call_at = now + CALL;
                    self.outbox.send(now, Question::Start(fence), self.out, chance);
                }
            }
            Step::Asking { .. } if !trusted && self.flaw != Flaw::StartUntrusted => {
                return now < attempt.since + 4 * millis(self.times.self_fence);
            }
            Step::Asking { .. } => {
                let until = match self.flaw {
                    Flaw::StartUntrusted => self.clock.now() + self.times.self_fence,
                    _ => attempt.lease.as_ref().and_then(Lease::trusted_until).unwrap_or_default(),
                };
                let process = Process::known(2, 0).unwrap();
                let (name, deadline) = (container_name(fence), self.deadline(until));
                self.tell(Order::Hold { name: name.clone(), process, deadline });
                machines.live.push(Container {
                    name,
                    fence,
                    worker: self.number,
                    ends_at: now + chance.between(100, 8000),
                    ignores_term: chance.happens(500),
                    end: None,
                });
                attempt.step = Step::Watching { kill_at: None, lost: false };
            }
            Step::Watching { kill_at, lost } => {
                let name = container_name(fence);
                if machines.end_of(fence).is_some() {
                    let killed = self.tell(Order::Free { name }).is_some_and(|answer| answer.starts_with("killed"));
                    if *lost {
                        return false;
                    }
                    let is_lost = killed && self.flaw != Flaw::BelieveTheEnd;
                    let report = if is_lost { Question::Release(fence) } else { Question::Finish(fence) };
                    attempt.step = Step::Reporting(report);
                } else if !*lost && (signal == Signal::Lost || (!trusted && self.flaw != Flaw::StartUntrusted)) {
                    *lost = true;
                    *kill_at = Some(now + millis(self.times.fence_grace));
                    if let Some(lease) = &attempt.lease {
                        lease.forget();
                    }
                    machines.signal(&name, Push::Term);
                } else if kill_at.is_some_and(|at| at <= now) {
                    machines.signal(&name, Push::Kill);
                }
            }
            Step::Reporting(report) => {
                if now >= attempt.call_at {
                    attempt.call_at = now + CALL;
                    let report = report.clone();
                    self.outbox.send(now, report, self.out, chance);
                }
            }
        }
        true
    }

    fn attempt(&mut self, fence: Fence) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|attempt| attempt.fence == fence)
    }

    fn deadline(&self, until: Duration) -> Deadline {
        Deadline { fence_at: until, kill_at: until + self.times.fence_grace }
    }

    fn tell(&mut self, order: Order) -> Option<String> {
        match self.flaw {
            Flaw::NoGuard => None,
            _ => self.guards.last_mut()?.obey(order),
        }
    }
}
