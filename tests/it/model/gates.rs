//! The gates of the model: groups, cells and matrices with so many slots each, and what follows from the ends of runs.
//!
//! Written from docs/adr/0004-gates-outside-of-the-queue.md and not from the code: sets of runs wait as one, slots are
//! held until a run has ended, and cancels of other runs are orders that are carried out later.

use std::collections::BTreeSet;

use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunId;
use tstr_shared::run::RunResult;
use tstr_shared::testdef::Priority;

use super::reference::{Kind, Model, Place, Run};

/// What becomes of a run for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Forbid,
    Queue { depth: usize, drops_newest: bool },
    Replace,
}

/// The gate of a test.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// It is that of the group; else each cell has one.
    pub in_group: bool,
    pub policy: Policy,
    /// How many slots the gate of a cell has.
    pub limit: usize,
}

/// What a run has to do with gates.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gated {
    /// The set it belongs to.
    pub set: usize,
    /// Which test and cell it is of.
    pub test: usize,
    pub cell: usize,
    /// It holds a slot of its group or cell, and of its matrix.
    pub has_slot: bool,
    pub has_matrix_slot: bool,
    /// It meets its gates later.
    pub put_off: bool,
    /// It is to be cancelled.
    pub ordered: bool,
    /// What follows from its end is done.
    settled: bool,
}

/// A gate by those who pass it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Group,
    Cell(usize, usize),
}

impl Run {
    fn gate(&self) -> Option<(Key, Gate)> {
        let gate = self.kind.gate?;
        Some((if gate.in_group { Key::Group } else { Key::Cell(self.gated.test, self.gated.cell) }, gate))
    }

    fn knows(&self, key: Key) -> bool {
        self.place != Place::Finished && !self.gated.put_off && self.gate().is_some_and(|(own, _)| own == key)
    }

    /// It is on its way out already.
    fn leaves(&self) -> bool {
        self.gated.ordered || self.cancel && self.place == Place::Running
    }

    /// It has a slot of every gate that it passes.
    fn is_let_in(&self) -> bool {
        (self.kind.gate.is_none() || self.gated.has_slot)
            && (self.kind.max_parallel.is_none() || self.gated.has_matrix_slot)
    }
}

impl Model {
    /// Makes a set of runs, one for each id; what waits for gates is decided at once. Tells why it is refused.
    ///
    /// The ids are those that were answered; of a refused set there are none.
    pub fn may_trigger(&self, test: usize, kind: Kind, put_off: bool) -> Result<(), ErrorCode> {
        if self.max_queued.is_some_and(|most| self.waiting() + kind.cells > most) {
            return Err(ErrorCode::QuotaExceeded);
        }
        let forbids = |cell: usize| {
            kind.gate.filter(|gate| gate.policy == Policy::Forbid).is_some_and(|gate| {
                let key = if gate.in_group { Key::Group } else { Key::Cell(test, cell) };
                self.known(key).len() >= self.slots(key, gate)
            })
        };
        if !put_off && (0..kind.cells).any(forbids) {
            return Err(ErrorCode::ConcurrencyForbidden);
        }
        Ok(())
    }

    /// Adds a set that was made.
    pub fn trigger(&mut self, ids: &[RunId], test: usize, kind: Kind, priority: Priority, put_off: bool) {
        let (set, first) = (self.moments, self.runs.len());
        self.moments += 1;
        let is_gated = kind.gate.is_some() || kind.max_parallel.is_some();
        for (cell, id) in ids.iter().enumerate() {
            let gated = Gated { set, test, cell, put_off: put_off && is_gated, ..Gated::default() };
            let place = match (is_gated, put_off) {
                (true, _) => Place::Parked,
                (false, true) => Place::Delayed,
                (false, false) => Place::Ready,
            };
            self.add(*id, kind, priority, place, gated);
        }
        if is_gated && !put_off {
            self.arrive(&(first..self.runs.len()).collect::<Vec<_>>());
        }
    }

    /// The runs that a gate knows, in the order in which they came.
    fn known(&self, key: Key) -> Vec<usize> {
        (0..self.runs.len()).filter(|run| self.runs[*run].knows(key)).collect()
    }

    fn slots(&self, key: Key, gate: Gate) -> usize {
        if key == Key::Group { self.group_slots } else { gate.limit }
    }

    fn free(&self, key: Key, gate: Gate) -> usize {
        let held = self.known(key).into_iter().filter(|run| self.runs[*run].gated.has_slot).count();
        self.slots(key, gate).saturating_sub(held)
    }

    /// Runs of one set meet their gates.
    fn arrive(&mut self, set: &[usize]) {
        let keys: BTreeSet<Key> = set.iter().filter_map(|run| Some(self.runs[*run].gate()?.0)).collect();
        for key in keys {
            let own: Vec<usize> =
                set.iter().copied().filter(|run| self.runs[*run].gate().is_some_and(|(own, _)| own == key)).collect();
            self.arrive_at(key, &own);
        }
        for run in set {
            self.enter_matrix(*run);
        }
    }

    fn arrive_at(&mut self, key: Key, own: &[usize]) {
        let Some((_, gate)) = self.runs[own[0]].gate() else { return };
        let set = self.runs[own[0]].gated.set;
        let others: Vec<usize> = self.known(key).into_iter().filter(|run| !own.contains(run)).collect();
        let waiting = |model: &Self| -> Vec<usize> {
            let waits = |run: &usize| !model.runs[*run].gated.has_slot && model.runs[*run].place != Place::Finished;
            others.iter().copied().filter(waits).collect()
        };
        // Who is to be cancelled waits for no slot any more.
        let queue = |model: &Self| waiting(model).iter().any(|run| !model.runs[*run].gated.ordered);
        if gate.policy == Policy::Replace {
            let wanted = own.len().min(self.slots(key, gate));
            if queue(self) || self.free(key, gate) < wanted {
                for run in waiting(self) {
                    if self.runs[run].gated.set != set {
                        self.drop_run(run);
                    }
                }
                let under_way = others.iter().copied().filter(|run| self.runs[*run].gated.has_slot);
                let (leaving, staying): (Vec<usize>, Vec<usize>) = under_way.partition(|run| self.runs[*run].leaves());
                let lacking = wanted.saturating_sub(self.free(key, gate) + leaving.len());
                let victims = staying.into_iter().filter(|run| self.runs[*run].gated.set != set).take(lacking);
                for run in victims.collect::<Vec<_>>() {
                    self.runs[run].gated.ordered = true;
                }
            }
        }
        let room = if queue(self) { 0 } else { self.free(key, gate) };
        for run in own.iter().take(room) {
            self.runs[*run].gated.has_slot = true;
            self.let_in(*run);
        }
        if let Policy::Queue { depth, drops_newest } = gate.policy
            && room == 0
        {
            self.cut(key, set, own, depth, drops_newest);
        }
    }

    /// No more sets wait than may; one of which a run is under way is not among them.
    fn cut(&mut self, key: Key, set: usize, own: &[usize], depth: usize, drops_newest: bool) {
        let known = self.known(key);
        let begun: BTreeSet<usize> =
            known.iter().filter(|run| self.runs[**run].gated.has_slot).map(|run| self.runs[*run].gated.set).collect();
        let mut sets: Vec<usize> = Vec::new();
        for run in known.iter().filter(|run| !own.contains(run)).chain(own) {
            let of = self.runs[*run].gated.set;
            if !begun.contains(&of) && !sets.contains(&of) {
                sets.push(of);
            }
        }
        let over = sets.len().saturating_sub(depth);
        if over == 0 {
            return;
        }
        let victims = if depth == 0 || drops_newest { vec![set] } else { sets[..over].to_vec() };
        for run in known {
            if !self.runs[run].gated.has_slot && victims.contains(&self.runs[run].gated.set) {
                self.drop_run(run);
            }
        }
    }

    /// A run that waits is dropped: nothing follows, for it holds no slot.
    fn drop_run(&mut self, run: usize) {
        self.runs[run].finish(RunResult::Cancelled, None);
        self.runs[run].gated.settled = true;
    }

    fn enter_matrix(&mut self, run: usize) {
        let Some(most) = self.runs[run].kind.max_parallel else { return };
        if self.runs[run].place == Place::Finished
            || self.runs[run].kind.gate.is_some() && !self.runs[run].gated.has_slot
        {
            return;
        }
        if self.matrix_holders(self.runs[run].gated.set) < most {
            self.runs[run].gated.has_matrix_slot = true;
            self.let_in(run);
        }
    }

    fn matrix_holders(&self, set: usize) -> usize {
        let holds = |run: &&Run| run.gated.set == set && run.gated.has_matrix_slot && run.place != Place::Finished;
        self.runs.iter().filter(holds).count()
    }

    fn let_in(&mut self, run: usize) {
        if self.runs[run].is_let_in() {
            self.runs[run].place = Place::Ready;
        }
    }

    /// Runs that were put off and whose time has come meet their gates, sets after each other.
    pub fn open_due(&mut self) -> usize {
        let put_off = |run: &usize| self.runs[*run].gated.put_off && self.runs[*run].place == Place::Parked;
        let mut due: Vec<usize> =
            (0..self.runs.len()).filter(put_off).filter(|run| self.runs[*run].due.is_some()).collect();
        due.sort_by_key(|run| (self.runs[*run].due, *run));
        let count = due.len();
        for set in due
            .chunk_by(|one, other| self.runs[*one].gated.set == self.runs[*other].gated.set)
            .map(<[usize]>::to_vec)
            .collect::<Vec<_>>()
        {
            let of = self.runs[set[0]].gated.set;
            // Nothing but a cancel is left for a run that is forbidden now.
            let forbidden = set.iter().any(|run| {
                self.runs[*run].gate().is_some_and(|(key, gate)| {
                    let others = self.known(key).into_iter().filter(|run| self.runs[*run].gated.set != of).count();
                    gate.policy == Policy::Forbid && others >= self.slots(key, gate)
                })
            });
            for run in &set {
                (self.runs[*run].gated.put_off, self.runs[*run].due) = (false, None);
                if forbidden {
                    self.drop_run(*run);
                }
            }
            if !forbidden {
                self.arrive(&set);
            }
        }
        count
    }

    /// What follows from the ends that nothing followed from yet, which were one transaction: first orders, then slots.
    pub fn follow(&mut self) {
        let is_new = |run: &usize| self.runs[*run].place == Place::Finished && !self.runs[*run].gated.settled;
        let ended: Vec<usize> = (0..self.runs.len()).filter(is_new).collect();
        for run in &ended {
            self.runs[*run].gated.settled = true;
            let (result, _) = self.runs[*run].end.expect("it has ended");
            if !self.runs[*run].kind.fail_fast || matches!(result, RunResult::Pass | RunResult::Cancelled) {
                continue;
            }
            let set = self.runs[*run].gated.set;
            for sibling in self.runs.iter_mut().filter(|one| one.gated.set == set && one.place != Place::Finished) {
                sibling.gated.ordered = true;
            }
        }
        let keys: BTreeSet<Key> = ended
            .iter()
            .filter(|run| self.runs[**run].gated.has_slot)
            .filter_map(|run| Some(self.runs[*run].gate()?.0))
            .collect();
        let mut matrices: BTreeSet<usize> = ended
            .iter()
            .filter(|run| self.runs[**run].gated.has_matrix_slot)
            .map(|run| self.runs[*run].gated.set)
            .collect();
        for key in keys {
            matrices.extend(self.hand_on(key));
        }
        for set in matrices {
            let of_set: Vec<usize> = (0..self.runs.len())
                .filter(|run| self.runs[*run].gated.set == set && self.runs[*run].place == Place::Parked)
                .filter(|run| !self.runs[*run].gated.ordered && !self.runs[*run].gated.put_off)
                .collect();
            for run in of_set {
                self.enter_matrix(run);
            }
        }
    }

    /// Free slots of a gate go to those who wait for them; returns the sets of those that meet their matrix next.
    fn hand_on(&mut self, key: Key) -> Vec<usize> {
        let mut sets = Vec::new();
        for run in self.known(key) {
            let Some((_, gate)) = self.runs[run].gate() else { continue };
            let waits = !self.runs[run].gated.has_slot && !self.runs[run].gated.ordered;
            if waits && self.free(key, gate) > 0 {
                self.runs[run].gated.has_slot = true;
                self.let_in(run);
                if self.runs[run].place == Place::Parked {
                    sets.push(self.runs[run].gated.set);
                }
            }
        }
        sets
    }

    /// The group is given another number of slots.
    pub fn set_limit(&mut self, slots: usize) {
        self.group_slots = slots;
        for set in self.hand_on(Key::Group) {
            let of_set: Vec<usize> = (0..self.runs.len())
                .filter(|run| self.runs[*run].gated.set == set && self.runs[*run].place == Place::Parked)
                .filter(|run| !self.runs[*run].gated.ordered && !self.runs[*run].gated.put_off)
                .collect();
            for run in of_set {
                self.enter_matrix(run);
            }
        }
    }

    /// Carries out the cancels that were ordered; returns how many runs were dealt with.
    pub fn carry_out(&mut self) -> usize {
        let ordered: Vec<usize> = (0..self.runs.len()).filter(|run| self.runs[*run].gated.ordered).collect();
        for place in [Place::Finished, Place::Running, Place::Leased, Place::Ready] {
            for run in &ordered {
                let run = &mut self.runs[*run];
                let here = match run.place {
                    Place::Parked | Place::Delayed => Place::Ready,
                    other => other,
                };
                if !run.gated.ordered || here != place {
                    continue;
                }
                run.gated.ordered = false;
                match place {
                    Place::Running => run.cancel = true,
                    Place::Leased => {
                        run.record(Some(RunResult::Cancelled));
                        run.finish(RunResult::Cancelled, None);
                    }
                    Place::Ready => run.finish(RunResult::Cancelled, None),
                    Place::Parked | Place::Delayed | Place::Finished => {}
                }
            }
            self.follow();
        }
        ordered.len()
    }
}
