//! The containers that a guard watches over, and what is due when. Pure but for the signals, which are handed in.

use std::collections::BTreeMap;
use std::time::Duration;

use super::words::{Deadline, FREED, HELD, KILLED, Order};
use crate::process::Process;

/// How often a guard looks whether what it has killed is dead, and after suspended time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same once it is alone and only waits for its own end.
const LOOK_EVERY_ALONE: Duration = Duration::from_millis(50);

/// A signal of the guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Push {
    /// Asks a container to end.
    Term,
    /// Ends it.
    Kill,
}

/// Sends a signal to a process; tells whether it was there to get it. Without a signal it only looks.
pub(crate) trait Hand {
    fn push(&mut self, name: &str, process: Process, push: Option<Push>) -> bool;
}

/// All containers of a guard.
#[derive(Debug, Default)]
pub(crate) struct Charges {
    by_name: BTreeMap<String, Charge>,
    /// The worker is gone.
    alone: bool,
}

#[derive(Debug)]
struct Charge {
    process: Process,
    deadline: Deadline,
    asked: bool,
    killed: bool,
}

impl Charges {
    /// Does what the worker says; returns what is to be answered.
    pub(crate) fn obey(&mut self, order: Order) -> Option<String> {
        match order {
            Order::Hold { name, process, deadline } => {
                let answer = format!("{HELD} {name}");
                let known = self.by_name.entry(name);
                let charge = known.or_insert(Charge { process, deadline, asked: false, killed: false });
                if charge.process != process {
                    *charge = Charge { process, deadline, asked: false, killed: false };
                }
                charge.deadline = deadline;
                Some(answer)
            }
            Order::Extend { name, deadline } => {
                if let Some(charge) = self.by_name.get_mut(&name) {
                    charge.deadline = deadline;
                }
                None
            }
            Order::Free { name } => {
                let killed = self.by_name.remove(&name).is_some_and(|charge| charge.killed);
                Some(format!("{} {name}", if killed { KILLED } else { FREED }))
            }
        }
    }

    /// Notes that the worker is gone: nobody takes the output of its containers any more, nor their results, so they
    /// get what a container gets that was lost, and no more than they would have had.
    pub(crate) fn be_alone(&mut self, now: Duration) {
        if std::mem::replace(&mut self.alone, true) {
            return;
        }
        for charge in self.by_name.values_mut() {
            let grace = charge.deadline.kill_at.saturating_sub(charge.deadline.fence_at);
            charge.deadline.kill_at = charge.deadline.kill_at.min(now + grace);
        }
    }

    /// Does what is due.
    pub(crate) fn act(&mut self, now: Duration, hand: &mut impl Hand) {
        let alone = self.alone;
        self.by_name.retain(|name, charge| {
            let push = if now >= charge.deadline.kill_at {
                Some(Push::Kill)
            } else if alone && !charge.asked {
                charge.asked = true;
                Some(Push::Term)
            } else {
                None
            };
            let was_there = match push {
                None if !alone => return true,
                push => hand.push(name, charge.process, push),
            };
            charge.killed |= was_there && push == Some(Push::Kill);
            // What the worker still asks about is kept.
            !alone || was_there
        });
    }

    /// Tells whether there is nothing left to do.
    pub(crate) fn is_over(&self) -> bool {
        self.alone && self.by_name.is_empty()
    }

    /// Returns how long the guard may wait; `None` means until the worker says something.
    pub(crate) fn patience(&self, now: Duration) -> Option<Duration> {
        let next = self.by_name.values().map(|charge| charge.deadline.kill_at.saturating_sub(now)).min()?;
        // At least now and then, for timers stand still while the machine is suspended.
        let most = if self.alone { LOOK_EVERY_ALONE } else { LOOK_EVERY };
        Some(if next.is_zero() { most } else { next.min(most) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct World {
        dead: Vec<String>,
        pushed: Vec<(String, Push)>,
        /// Nothing ends at once.
        sluggish: bool,
    }

    impl Hand for World {
        fn push(&mut self, name: &str, _: Process, push: Option<Push>) -> bool {
            if self.dead.iter().any(|dead| dead == name) {
                return false;
            }
            if let Some(push) = push {
                self.pushed.push((name.to_owned(), push));
                if push == Push::Kill && !self.sluggish {
                    self.dead.push(name.to_owned());
                }
            }
            true
        }
    }

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn deadline(fence: u64) -> Deadline {
        Deadline { fence_at: secs(fence), kill_at: secs(fence + 1) }
    }

    fn holding(names: &[&str], fence: u64) -> Charges {
        let mut charges = Charges::default();
        for name in names {
            let process = Process::known(100, 1).unwrap();
            let order = Order::Hold { name: (*name).into(), process, deadline: deadline(fence) };
            assert_eq!(charges.obey(order), Some(format!("held {name}")));
        }
        charges
    }

    fn free(charges: &mut Charges, name: &str) -> String {
        charges.obey(Order::Free { name: name.into() }).unwrap()
    }

    #[test]
    fn nothing_is_done_before_the_deadline_and_the_kill_at_it() {
        let (mut charges, mut world) = (holding(&["a"], 10), World::default());
        charges.act(Duration::from_millis(10_999), &mut world);
        assert!(world.pushed.is_empty());
        assert_eq!(charges.patience(Duration::from_millis(10_700)), Some(Duration::from_millis(300)));
        charges.act(secs(11), &mut world);
        assert_eq!(world.pushed, [("a".into(), Push::Kill)]);
        assert_eq!(free(&mut charges, "a"), "killed a");
    }

    #[test]
    fn a_heartbeat_puts_the_deadline_off() {
        let (mut charges, mut world) = (holding(&["a"], 10), World::default());
        assert_eq!(charges.obey(Order::Extend { name: "a".into(), deadline: deadline(20) }), None);
        charges.act(secs(15), &mut world);
        assert!(world.pushed.is_empty());
        assert_eq!(free(&mut charges, "a"), "freed a");
        charges.act(secs(30), &mut world);
        assert!(world.pushed.is_empty() && charges.patience(secs(30)).is_none());
    }

    #[test]
    fn a_container_that_ended_by_itself_was_not_killed() {
        let (mut charges, mut world) = (holding(&["a"], 10), World::default());
        world.dead.push("a".into());
        charges.act(secs(12), &mut world);
        assert_eq!(free(&mut charges, "a"), "freed a");
    }

    #[test]
    fn what_does_not_die_is_killed_again() {
        let (mut charges, mut world) = (holding(&["a"], 10), World { sluggish: true, ..World::default() });
        charges.act(secs(11), &mut world);
        assert_eq!(charges.patience(secs(11)), Some(LOOK_EVERY));
        charges.act(secs(12), &mut world);
        assert_eq!(world.pushed.len(), 2);
    }

    #[test]
    fn without_a_worker_containers_end_soon_and_the_guard_with_them() {
        let (mut charges, mut world) = (holding(&["a", "b"], 40), World::default());
        free(&mut charges, "b");
        charges.be_alone(secs(5));
        charges.be_alone(secs(6));
        charges.act(secs(5), &mut world);
        charges.act(Duration::from_millis(5_500), &mut world);
        assert_eq!(world.pushed, [("a".into(), Push::Term)]);
        assert!(!charges.is_over());
        charges.act(secs(6), &mut world);
        assert_eq!(world.pushed.last(), Some(&("a".into(), Push::Kill)));
        charges.act(secs(7), &mut world);
        assert!(charges.is_over());
    }

    #[test]
    fn without_a_worker_the_deadline_is_never_later() {
        let (mut charges, mut world) = (holding(&["a"], 10), World::default());
        charges.be_alone(Duration::from_millis(10_800));
        charges.act(secs(11), &mut world);
        assert_eq!(world.pushed, [("a".into(), Push::Kill)]);
    }

    #[test]
    fn a_guard_without_charges_ends_with_its_worker() {
        let mut charges = holding(&["a"], 10);
        free(&mut charges, "a");
        assert!(!charges.is_over());
        charges.be_alone(secs(1));
        assert!(charges.is_over());
    }
}
