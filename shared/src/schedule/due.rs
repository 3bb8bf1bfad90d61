//! Which instants run when a schedule is looked at, late or not.
//!
//! Guarantees: no instant is both run and missed, both lists ascend, and the work is bounded however long
//! nobody looked. Storing the answer in one transaction is left to the caller.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::{Schedule, Upcoming};

/// The most instants that one look at a schedule runs.
pub const MAX_RUNS: usize = 100;
/// The most missed instants that one look at a schedule lists.
pub const MAX_MISSED: usize = 1000;
/// An instant that is late by less than this is due now and no matter for catching up.
const ON_TIME: Duration = Duration::minutes(1);
/// As many instants as one answer can hold.
const WANTED: usize = MAX_RUNS + MAX_MISSED;
/// Too short for more than [`WANTED`] instants, which are a minute apart.
const FIRST_REACH: Duration = Duration::hours(18);

/// What happens to instants that were missed, for example because every server was down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CatchUp {
    /// Missed instants do not run.
    None,
    /// At most one instant runs: the one that is due now, else the newest that was missed.
    #[default]
    Last,
    /// The newest 100 instants run.
    All,
}

/// What a look at a schedule found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The instants to run now, ascending, at most 100.
    pub instants: Vec<DateTime<Utc>>,
    /// The newest instants that do not run, ascending, at most 1000.
    pub missed: Vec<DateTime<Utc>>,
    /// True when instants older than those in `missed` were missed too.
    pub missed_more: bool,
    /// The first instant that is still to come; `None` after the year 2099.
    pub next: Option<DateTime<Utc>>,
}

/// The newest instants up to some moment.
struct Backlog {
    instants: Vec<DateTime<Utc>>,
    has_older: bool,
    next: Option<DateTime<Utc>>,
}

impl Schedule {
    /// Returns which instants from `next_at` up to `now` run, which are missed, and what comes next.
    ///
    /// `next_at` is the `next` of the previous answer, and is an instant as it stands: it is not lost when
    /// the line or the rules of its zone have changed since. The instant that is due now, late by less than
    /// 60 s, always runs. Older ones follow `catch_up`, and only while they are late by `start_deadline` at
    /// most. When `now` is before `next_at`, nothing runs.
    #[must_use]
    pub fn due(&self, next_at: DateTime<Utc>, now: DateTime<Utc>, catch_up: CatchUp, start_deadline: Duration) -> Due {
        let Backlog { instants: mut missed, has_older, next } = self.backlog(next_at, now);
        let on_time = missed.partition_point(|instant| now - instant >= ON_TIME);
        let in_time = missed.partition_point(|instant| now - instant > start_deadline);
        let first_run = match catch_up {
            CatchUp::None => on_time,
            CatchUp::Last => in_time.max(missed.len().saturating_sub(1)),
            CatchUp::All => in_time.max(missed.len().saturating_sub(MAX_RUNS)),
        };
        // What is on time runs even when the deadline is shorter than a minute.
        let instants = missed.split_off(first_run.min(on_time));
        let unlisted = missed.len().saturating_sub(MAX_MISSED);
        missed.drain(..unlisted);
        Due { instants, missed, missed_more: has_older || unlisted > 0, next }
    }

    /// Returns the next `count` instants that make runs: those that a look at the schedule would run now, and those
    /// that come after them. What was missed for good is left out.
    ///
    /// The arguments are those of [`Schedule::due`]; without `next_at` the test is on no schedule, and the instants
    /// are those it would have.
    #[must_use]
    pub fn preview(
        &self,
        next_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        catch_up: CatchUp,
        start_deadline: Duration,
        count: usize,
    ) -> Vec<Upcoming> {
        let due = match next_at {
            None => return self.upcoming(now, count),
            Some(next_at) => self.due(next_at, now, catch_up, start_deadline),
        };
        let mut previous = next_at.map_or(now, |next_at| now.min(next_at - Duration::seconds(1)));
        let mut upcoming = Vec::new();
        let mut next = due.instants.into_iter().chain(due.next);
        while upcoming.len() < count
            && let Some(at) = next.next()
        {
            upcoming.push(self.upcoming_at(previous, at));
            previous = at;
        }
        if let Some(first_to_come) = due.next {
            upcoming.extend(self.upcoming(first_to_come, count - upcoming.len()));
        }
        upcoming
    }

    /// Returns at least the newest 1100 instants from `next_at` up to `now`, or all if there are fewer.
    fn backlog(&self, next_at: DateTime<Utc>, now: DateTime<Utc>) -> Backlog {
        let (instants, next) = self.walk(Some(next_at), now);
        if next.is_none_or(|next| next > now) {
            return Backlog { instants, has_older: false, next };
        }
        // Walking on could take millions of steps, so look for a later start, from which enough instants
        // are left but not too many. Instants are a minute apart, which gives the first guess; a start too
        // late doubles its distance, or goes half-way to one too early.
        let mut too_far = now - next_at;
        let mut too_near = Duration::zero();
        let mut reach = FIRST_REACH;
        loop {
            let (instants, next) = self.walk(self.next_after(now - reach), now);
            if next.is_some_and(|next| next <= now) {
                too_far = reach;
            } else if instants.len() < WANTED {
                too_near = reach;
            } else {
                return Backlog { instants, has_older: true, next };
            }
            reach = (too_near * 2).min(too_near + (too_far - too_near) / 2);
        }
    }

    /// Returns the instants from `first` up to `end`, at most twice as many as wanted, and the next one.
    fn walk(&self, first: Option<DateTime<Utc>>, end: DateTime<Utc>) -> (Vec<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let mut instants = Vec::new();
        let mut next = first;
        while let Some(instant) = next
            && instant <= end
            && instants.len() < 2 * WANTED
        {
            instants.push(instant);
            next = self.next_after(instant);
        }
        (instants, next)
    }
}
