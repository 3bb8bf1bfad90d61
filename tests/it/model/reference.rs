//! The model: what a queue is, without a database. What gates are is in [`super::gates`].

use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunId;
use tstr_shared::lease::{Fence, LeaseState};
use tstr_shared::logs::{LogOffsets, Stream};
use tstr_shared::run::{Reason, RunResult};
use tstr_shared::testdef::Priority;

use super::gates::{Gate, Gated};

/// What a test is: how often it is tried again, how many cells it has, and what holds its runs back.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub on_fail: u8,
    pub on_infrastructure: u8,
    pub at_most_once: bool,
    /// More than one makes a matrix.
    pub cells: usize,
    pub max_parallel: Option<usize>,
    pub fail_fast: bool,
    pub gate: Option<Gate>,
}

impl Kind {
    /// A test without a matrix and without gates, which is tried again so often.
    pub const fn plain(on_fail: u8, on_infrastructure: u8) -> Self {
        Self {
            on_fail,
            on_infrastructure,
            at_most_once: false,
            cells: 1,
            max_parallel: None,
            fail_fast: false,
            gate: None,
        }
    }

    /// The same with a gate.
    pub const fn behind(self, gate: Gate) -> Self {
        Self { gate: Some(gate), ..self }
    }

    /// The same as a matrix.
    pub const fn times(self, cells: usize, max_parallel: Option<usize>, fail_fast: bool) -> Self {
        Self { cells, max_parallel, fail_fast, ..self }
    }
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Ready,
    Delayed,
    /// It waits for a slot of a gate, or for the time at which it meets its gates.
    Parked,
    Leased,
    Running,
    Finished,
}

#[derive(Debug)]
pub struct Run {
    pub id: RunId,
    pub kind: Kind,
    pub priority: Priority,
    pub place: Place,
    pub attempt: u16,
    pub cancel: bool,
    pub lapsed: bool,
    pub overrun: bool,
    pub waited_too_long: bool,
    /// Its time has come, and in which order with others.
    pub due: Option<usize>,
    pub gated: Gated,
    pub end: Option<(RunResult, Option<Reason>)>,
    /// The result of each attempt, the live one included.
    pub attempts: Vec<Option<RunResult>>,
    pub(super) lease: Option<usize>,
    infra_losses: u8,
    test_retries: u8,
    releases: u8,
}

#[derive(Debug)]
pub struct Lease {
    pub run: usize,
    pub worker: usize,
    pub fence: Fence,
    log: LogOffsets,
}

#[derive(Debug, Default)]
pub struct Model {
    pub runs: Vec<Run>,
    /// All that were ever given, in order.
    pub leases: Vec<Lease>,
    /// How many runs may wait, and how many may be leased.
    pub max_queued: Option<usize>,
    pub max_running: Option<usize>,
    /// How many slots the group has.
    pub group_slots: usize,
    pub(super) moments: usize,
}

pub type Answer = Result<(), ErrorCode>;
const LOST: Answer = Err(ErrorCode::LeaseLost);

impl Run {
    pub fn is_flaky(&self) -> bool {
        self.end.is_some_and(|end| end.0 == RunResult::Pass) && self.test_retries > 0
    }

    pub(super) fn finish(&mut self, result: RunResult, reason: Option<Reason>) {
        self.place = Place::Finished;
        self.end = Some((result, reason));
        self.lease = None;
    }

    fn wait(&mut self, place: Place) {
        self.place = place;
        (self.lease, self.waited_too_long, self.due) = (None, false, None);
    }

    pub(super) fn record(&mut self, result: Option<RunResult>) {
        *self.attempts.last_mut().expect("it was leased") = result;
    }

    /// The lease came back before the start (T6).
    fn released(&mut self) {
        self.releases += 1;
        match self.releases >= 5 {
            true => self.finish(RunResult::Error, Some(Reason::NeverStarted)),
            false => self.wait(Place::Ready),
        }
    }

    /// The container was lost (T7, T8, T10).
    fn lost(&mut self, reason: Reason) {
        self.record(Some(RunResult::Error));
        if self.cancel {
            self.finish(RunResult::Cancelled, Some(reason));
        } else if self.kind.at_most_once || self.infra_losses >= self.kind.on_infrastructure {
            self.finish(RunResult::Error, Some(reason));
        } else {
            self.infra_losses += 1;
            self.wait(Place::Delayed);
        }
    }
}

impl Model {
    /// Adds a run that waits without a gate, or will meet its gates.
    pub(super) fn add(&mut self, id: RunId, kind: Kind, priority: Priority, place: Place, gated: Gated) {
        self.runs.push(Run {
            id,
            kind,
            priority,
            place,
            attempt: 0,
            cancel: false,
            lapsed: false,
            overrun: false,
            waited_too_long: false,
            due: None,
            gated,
            end: None,
            attempts: Vec::new(),
            lease: None,
            infra_losses: 0,
            test_retries: 0,
            releases: 0,
        });
    }

    /// Returns how many runs a claim gets that wants so many.
    pub fn claimable(&self, max: usize) -> usize {
        let held = self.runs.iter().filter(|run| run.lease.is_some()).count();
        let room = self.max_running.map_or(max, |most| most.saturating_sub(held));
        self.in_place(Place::Ready).count().min(max).min(room)
    }

    /// Returns how many runs wait, wherever.
    pub fn waiting(&self) -> usize {
        let waits = |run: &&Run| matches!(run.place, Place::Ready | Place::Delayed | Place::Parked);
        self.runs.iter().filter(waits).count()
    }

    pub fn in_place(&self, place: Place) -> impl Iterator<Item = usize> {
        (0..self.runs.len()).filter(move |run| self.runs[*run].place == place)
    }

    pub fn is_current(&self, lease: usize) -> bool {
        self.runs[self.leases[lease].run].lease == Some(lease)
    }

    /// The run that holds a lease, if the owner of it asks and it is the current one.
    fn held(&mut self, lease: usize, by_owner: bool) -> Option<&mut Run> {
        (by_owner && self.is_current(lease)).then(|| &mut self.runs[self.leases[lease].run])
    }

    /// A run is given to a worker (T2); returns which.
    pub fn claim(&mut self, fence: Fence, worker: usize) -> usize {
        let run = self.runs.iter().position(|run| run.id == fence.run_id).expect("a run of this play");
        assert!(self.leases.iter().all(|lease| lease.fence.lease_id != fence.lease_id), "a lease id was used before");
        self.leases.push(Lease { run, worker, fence, log: LogOffsets::default() });
        let lease = self.leases.len() - 1;
        let run = &mut self.runs[run];
        run.attempt += 1;
        assert_eq!(run.attempt, fence.attempt);
        run.attempts.push(None);
        (run.place, run.lease, run.lapsed, run.overrun) = (Place::Leased, Some(lease), false, false);
        self.leases[lease].run
    }

    pub fn leases_of(&self, worker: usize) -> impl Iterator<Item = (usize, Fence)> {
        self.leases
            .iter()
            .enumerate()
            .filter(move |(_, lease)| lease.worker == worker)
            .map(|(i, lease)| (i, lease.fence))
    }

    pub fn start(&mut self, lease: usize, by_owner: bool) -> Answer {
        let Some(run) = self.held(lease, by_owner).filter(|run| !run.lapsed && !run.cancel) else { return LOST };
        run.place = Place::Running;
        Ok(())
    }

    pub fn beat(&mut self, worker: usize) -> Vec<LeaseState> {
        let asked: Vec<usize> = self.leases_of(worker).map(|(lease, _)| lease).collect();
        let state = |lease| match self.held(lease, true) {
            None => LeaseState::Gone,
            Some(run) => {
                run.lapsed = false;
                if run.cancel { LeaseState::CancelRequested } else { LeaseState::Held }
            }
        };
        asked.into_iter().map(state).collect()
    }

    pub fn log_end(&self, lease: usize, stream: Stream) -> (u32, u64) {
        let log = self.leases[lease].log;
        (log.next_seq, log.of(stream))
    }

    pub fn append(
        &mut self,
        lease: usize,
        by_owner: bool,
        stream: Stream,
        bytes: u64,
    ) -> Result<LogOffsets, ErrorCode> {
        if self.held(lease, by_owner).is_none() {
            return Err(ErrorCode::LeaseLost);
        }
        let log = &mut self.leases[lease].log;
        log.next_seq += 1;
        *log.of_mut(stream) += bytes;
        Ok(*log)
    }

    pub fn finish(&mut self, lease: usize, by_owner: bool, result: RunResult) -> Answer {
        let Some(run) = self.held(lease, by_owner) else {
            let repeated = by_owner && self.recorded(lease) == Some(result);
            return if repeated { Ok(()) } else { LOST };
        };
        if run.place == Place::Leased && result != RunResult::Error {
            return Err(ErrorCode::Conflict);
        }
        run.record(Some(result));
        let failed = matches!(result, RunResult::Fail | RunResult::TimedOut);
        if failed && run.test_retries < run.kind.on_fail && !run.cancel {
            run.test_retries += 1;
            run.wait(Place::Ready);
        } else {
            run.finish(result, (result == RunResult::Error).then_some(Reason::StartFailed));
        }
        self.follow();
        Ok(())
    }

    /// What is recorded of an attempt that has ended.
    fn recorded(&self, lease: usize) -> Option<RunResult> {
        let lease = &self.leases[lease];
        self.runs[lease.run].attempts[usize::from(lease.fence.attempt) - 1]
    }

    pub fn release(&mut self, lease: usize, by_owner: bool, reason: Option<Reason>) -> Answer {
        let Some(run) = self.held(lease, by_owner) else {
            let repeated = by_owner && matches!(self.recorded(lease), None | Some(RunResult::Error));
            return if repeated { Ok(()) } else { LOST };
        };
        match (run.place, reason) {
            (Place::Running, None) => return Err(ErrorCode::Conflict),
            (Place::Running, Some(reason)) => run.lost(reason),
            _ => run.released(),
        }
        self.follow();
        Ok(())
    }

    pub fn cancel(&mut self, run: usize) -> Answer {
        let run = &mut self.runs[run];
        match run.place {
            Place::Finished => return Err(ErrorCode::Conflict),
            Place::Running => run.cancel = true,
            Place::Leased => {
                run.record(Some(RunResult::Cancelled));
                run.finish(RunResult::Cancelled, None);
            }
            Place::Ready | Place::Delayed | Place::Parked => run.finish(RunResult::Cancelled, None),
        }
        self.follow();
        Ok(())
    }

    pub fn reap(&mut self) -> usize {
        let mut count = 0;
        for run in self.runs.iter_mut().filter(|run| run.lease.is_some()) {
            if run.overrun {
                run.record(Some(RunResult::TimedOut));
                run.finish(RunResult::TimedOut, Some(Reason::ServerBackstop));
            } else if !run.lapsed {
                continue;
            } else if run.place == Place::Running {
                run.lost(Reason::LostWorker);
            } else {
                run.released();
            }
            count += 1;
        }
        self.follow();
        count
    }

    /// After an outage every lease has a full life, and more time than that to run.
    pub fn amnesty(&mut self) {
        for run in &mut self.runs {
            (run.lapsed, run.overrun) = (false, false);
        }
    }

    /// Those that can be claimed first; what is parked is looked at when what followed from their ends is done.
    pub fn expire(&mut self) -> usize {
        self.expire_in(Place::Ready) + self.expire_in(Place::Parked)
    }

    fn expire_in(&mut self, place: Place) -> usize {
        let late = self.runs.iter_mut().filter(|run| run.place == place && run.waited_too_long);
        let count = late.map(|run| run.finish(RunResult::Error, Some(Reason::QueueExpired))).count();
        self.follow();
        count
    }

    /// Notes that the time of runs has come.
    pub fn fall_due(&mut self, runs: &[usize]) {
        self.moments += 1;
        for run in runs {
            self.runs[*run].due = Some(self.moments);
        }
    }

    /// Those that were put off meet their gates; then others are moved that have none, or have passed them.
    pub fn move_due(&mut self) -> usize {
        let opened = self.open_due();
        let due = self.runs.iter_mut().filter(|run| run.place == Place::Delayed && run.due.is_some());
        opened + due.map(|run| run.wait(Place::Ready)).count()
    }
}
