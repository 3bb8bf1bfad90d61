//! The API as far as leases go: a model of the guarded statements and of the reaper.

use tstr_shared::ids::{LeaseId, RunId};
use tstr_shared::lease::{Fence, LeaseState, LeaseTimes};
use uuid::Uuid;

use super::{Answer, Question, millis};

/// Without a sweep for so long, the reaper grants every lease a full life first.
const AMNESTY: u64 = 10_000;

pub(super) struct Run {
    pub(super) id: RunId,
    state: State,
    attempt: u16,
    /// Every fence whose container was permitted to start.
    pub(super) permitted: Vec<Fence>,
    /// Every fence whose result was taken.
    pub(super) finished: Vec<Fence>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Queued,
    Held { fence: Fence, owner: usize, running: bool, expires_at: u64, heard_at: u64 },
    Finished,
}

pub(super) struct Server {
    pub(super) runs: Vec<Run>,
    pub(super) away: bool,
    times: LeaseTimes,
    next_sweep: u64,
    last_sweep: u64,
}

impl Server {
    pub(super) fn new(runs: usize, times: LeaseTimes) -> Self {
        let run = |number| Run {
            id: RunId(Uuid::from_u128(number as u128 + 1)),
            state: State::Queued,
            attempt: 0,
            permitted: Vec::new(),
            finished: Vec::new(),
        };
        Self { runs: (0..runs).map(run).collect(), away: false, times, next_sweep: 0, last_sweep: 0 }
    }

    pub(super) fn all_finished(&self) -> bool {
        self.runs.iter().all(|run| run.state == State::Finished)
    }

    /// Gives up leases that ran out. A lost run can be taken by another at once: no pause hides an overlap.
    pub(super) fn sweep(&mut self, now: u64) {
        if self.away || now < self.next_sweep {
            return;
        }
        let amnesty = now - self.last_sweep > AMNESTY;
        (self.last_sweep, self.next_sweep) = (now, now + millis(self.times.reap_every));
        let (ttl, reap_after) = (millis(self.times.ttl), millis(self.times.reap_after));
        for run in &mut self.runs {
            if let State::Held { expires_at, .. } = &mut run.state {
                if amnesty {
                    *expires_at = (*expires_at).max(now + ttl);
                } else if *expires_at + reap_after <= now {
                    run.state = State::Queued;
                }
            }
        }
    }

    pub(super) fn answer(&mut self, worker: usize, question: &Question, now: u64) -> Option<Answer> {
        if self.away {
            return None;
        }
        let ttl = millis(self.times.ttl);
        Some(match question {
            Question::Claim { asked_at } => Answer::Claimed { fence: self.claim(worker, now), asked_at: *asked_at },
            Question::Start(fence) => {
                let run = self.run(*fence);
                let held = match &mut run.state {
                    State::Held { fence: current, running, expires_at, .. }
                        if current == fence && *expires_at > now =>
                    {
                        *running = true;
                        true
                    }
                    _ => false,
                };
                if held {
                    run.permitted.push(*fence);
                }
                Answer::Started { fence: *fence, held }
            }
            Question::Beat { fences, asked_at } => {
                let early = 3 * millis(self.times.heartbeat);
                let mut states = Vec::new();
                for run in &mut self.runs {
                    let State::Held { fence, owner, running, expires_at, heard_at } = &mut run.state else { continue };
                    if fences.contains(fence) {
                        (*expires_at, *heard_at) = (now + ttl, now);
                        states.push((*fence, LeaseState::Held));
                    } else if *owner == worker && !*running && *heard_at + early < now {
                        run.state = State::Queued;
                    }
                }
                let gone = fences.iter().filter(|fence| !states.iter().any(|(known, _)| known == *fence));
                let gone: Vec<_> = gone.map(|fence| (*fence, LeaseState::Gone)).collect();
                states.extend(gone);
                Answer::Beaten { asked_at: *asked_at, states }
            }
            Question::Finish(fence) => {
                let run = self.run(*fence);
                if matches!(run.state, State::Held { fence: current, running: true, .. } if current == *fence) {
                    run.state = State::Finished;
                    run.finished.push(*fence);
                }
                Answer::Reported(*fence)
            }
            Question::Release(fence) => {
                let run = self.run(*fence);
                if matches!(run.state, State::Held { fence: current, .. } if current == *fence) {
                    run.state = State::Queued;
                }
                Answer::Reported(*fence)
            }
        })
    }

    fn claim(&mut self, worker: usize, now: u64) -> Option<Fence> {
        let ttl = millis(self.times.ttl);
        let run = self.runs.iter_mut().find(|run| run.state == State::Queued)?;
        run.attempt += 1;
        let lease_id = LeaseId(Uuid::from_u128(run.id.0.as_u128() << 64 | u128::from(run.attempt)));
        let fence = Fence { run_id: run.id, attempt: run.attempt, lease_id };
        run.state = State::Held { fence, owner: worker, running: false, expires_at: now + ttl, heard_at: now };
        Some(fence)
    }

    pub(super) fn run(&mut self, fence: Fence) -> &mut Run {
        self.runs.iter_mut().find(|run| run.id == fence.run_id).unwrap()
    }
}
