//! The one who looks: while somebody listens on this replica, reads what is new and tells all who do.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;
use tstr_shared::ids::{RunnerId, TestId};
use tstr_shared::namespace::NamespacePatterns;
use tstr_shared::permission::RunsRead;
use tstr_shared::run::RunState;

use super::super::Ops;
use crate::auth::access::{Access, System};
use crate::error::Result;
use crate::store;
use crate::store::events::{Happened, Horizon, Place, RunnerMark, TestsMark};

/// How often it is looked for what is new.
pub const EVERY: Duration = Duration::from_millis(250);
/// How many events a look tells one by one; where there are more, people see «many» and read again.
const MOST: i32 = 500;
/// How long the next look is put off after one that found too many, so that nobody reads again more often than that.
const REST: Duration = Duration::from_secs(1);
/// After how long a transaction that is under way is not waited for any more: people are told to look, and the events come later.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked how runners and tests are.
const LOOK_AT_MARKS: Duration = Duration::from_secs(2);
/// How many tests wait to be summed up by name.
const MOST_TESTS: usize = 1000;
/// How many looks the slowest reader may be behind.
const BEHIND: usize = 64;

/// A test with its name, or all tests, of a namespace.
type OfNamespace = (i32, Option<(TestId, String)>);

/// What all who listen are told.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// Runs changed.
    Runs { happened: Arc<[Happened]>, up_to: Place },
    /// More runs changed than are told one by one; with a place, all of those up to it are told by this.
    Many { up_to: Option<Place> },
    /// Tests are to be looked at again, each by its namespace, or all of a namespace. All of a look are one message, because
    /// readers may be behind by so many messages.
    Tests(Arc<[OfNamespace]>),
    /// Runners changed.
    Runners(Arc<[(NamespacePatterns, RunnerMark)]>),
    /// The database is of an earlier time than before.
    Restored { here: Place },
}

/// Where news comes together.
pub struct Hub {
    told: broadcast::Sender<Told>,
    /// Up to where everything was told; `None` while nobody listens.
    place: Mutex<Option<Place>>,
    looks: tokio::sync::Mutex<Looks>,
}

/// What the one who looks remembers from one look to the next.
#[derive(Default)]
struct Looks {
    not_before: Option<Instant>,
    held_since: Option<(i64, Instant)>,
    marks_at: Option<Instant>,
    runners: Option<HashMap<RunnerId, RunnerMark>>,
    tests: Option<HashMap<i32, TestsMark>>,
    /// Tests with runs that have ended and are not summed up yet, and up to which transaction they have to be.
    unsummed: BTreeMap<(i32, TestId), (i64, String)>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { told: broadcast::Sender::new(BEHIND), place: Mutex::default(), looks: tokio::sync::Mutex::default() }
    }
}

impl Hub {
    /// Begins to listen.
    pub(super) fn listen(&self) -> broadcast::Receiver<Told> {
        self.told.subscribe()
    }

    /// Returns how many listen.
    pub(super) fn listeners(&self) -> usize {
        self.told.receiver_count()
    }

    fn place(&self) -> std::sync::MutexGuard<'_, Option<Place>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells, and notes up to where; both at once, so that whoever asks for the place has heard what is behind it.
    fn tell_up_to(&self, told: Told, place: Place) {
        let mut noted = self.place();
        let _ = self.told.send(told);
        *noted = Some(place);
    }

    fn tell(&self, told: Told) {
        let _ = self.told.send(told);
    }
}

impl Ops {
    /// Returns the place up to which those who listen here were told everything.
    pub(super) async fn events_place(&self, access: &Access<RunsRead>) -> Result<Place> {
        if let Some(place) = *self.0.events.place() {
            return Ok(place);
        }
        let horizon = {
            let mut conn = self.db().acquire().await?;
            store::events::horizon(&mut conn, access).await?
        };
        Ok(*self.0.events.place().get_or_insert(Place::before(horizon.txid)))
    }

    /// Looks for what is new and tells it; does nothing while nobody listens.
    pub async fn tell_events(&self, access: &Access<System>) -> Result<()> {
        let hub = &self.0.events;
        let mut looks = hub.looks.lock().await;
        let place = {
            let mut place = hub.place();
            if hub.listeners() == 0 {
                *place = None;
            }
            *place
        };
        let Some(place) = place else {
            *looks = Looks::default();
            return Ok(());
        };
        if looks.not_before.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        looks.not_before = None;
        let mut conn = self.db().acquire().await?;
        let horizon = store::events::horizon(&mut conn, access).await?;
        if horizon.txid < place.txid {
            let here = Place::before(horizon.txid);
            hub.tell_up_to(Told::Restored { here }, here);
            *looks = Looks::default();
            return Ok(());
        }
        let happened = store::events::between(&mut conn, access, place, horizon.txid, MOST).await?;
        let up_to = Place::before(horizon.txid).max(place);
        if happened.len() >= MOST as usize {
            hub.tell_up_to(Told::Many { up_to: Some(up_to) }, up_to);
            looks.unsummed.clear();
            looks.not_before = Some(Instant::now() + REST);
        } else if !happened.is_empty() {
            looks.note_ends(&happened);
            hub.tell_up_to(Told::Runs { happened: happened.into(), up_to }, up_to);
        } else {
            *hub.place() = Some(up_to);
        }
        if looks.is_held_too_long(&horizon) {
            hub.tell(Told::Many { up_to: None });
        }
        let summed_up = looks.summed_up(&horizon);
        if !summed_up.is_empty() {
            hub.tell(Told::Tests(summed_up.into()));
        }
        if looks.marks_at.is_none_or(|at| at.elapsed() >= LOOK_AT_MARKS) {
            looks.marks_at = Some(Instant::now());
            let runners = store::events::runner_marks(&mut conn, access).await?;
            let tests = store::events::tests_marks(&mut conn, access).await?;
            looks.compare(runners, tests).into_iter().for_each(|told| hub.tell(told));
        }
        Ok(())
    }
}

impl Looks {
    /// Notes which tests are to be told of once their runs are summed up.
    fn note_ends(&mut self, happened: &[Happened]) {
        for one in happened.iter().filter(|one| one.state == RunState::Finished) {
            if let Some((ns_id, test, name)) = &one.of {
                self.unsummed.insert((*ns_id, *test), (one.place.txid, name.clone()));
            }
        }
        while self.unsummed.len() > MOST_TESTS {
            self.unsummed.pop_first();
        }
    }

    /// Takes the tests out whose runs are summed up.
    fn summed_up(&mut self, horizon: &Horizon) -> Vec<OfNamespace> {
        let before = horizon.digested_before;
        let done = self.unsummed.extract_if(.., |_, (txid, _)| *txid < before);
        done.map(|((ns_id, test), (_, name))| (ns_id, Some((test, name)))).collect()
    }

    /// Tells whether events wait for a transaction that is under way for too long; again after as long.
    fn is_held_too_long(&mut self, horizon: &Horizon) -> bool {
        match self.held_since {
            Some((txid, since)) if horizon.is_held && txid == horizon.txid => {
                let is_long = since.elapsed() >= PATIENCE;
                if is_long {
                    self.held_since = Some((txid, Instant::now()));
                }
                is_long
            }
            _ => {
                self.held_since = horizon.is_held.then(|| (horizon.txid, Instant::now()));
                false
            }
        }
    }

    /// Finds what is other than at the last look; the first look finds nothing.
    fn compare(&mut self, runners: Vec<RunnerMark>, tests: Vec<TestsMark>) -> Vec<Told> {
        let mut told = Vec::new();
        let runners: HashMap<_, _> = runners.into_iter().map(|mark| (mark.id, mark)).collect();
        if let Some(before) = self.runners.replace(runners.clone()) {
            let changed = runners.values().filter(|mark| before.get(&mark.id) != Some(*mark));
            let changed: Arc<[_]> = changed
                .filter_map(|mark| Some((NamespacePatterns::parse(&mark.namespaces).ok()?, mark.clone())))
                .collect();
            if !changed.is_empty() {
                told.push(Told::Runners(changed));
            }
        }
        let tests: HashMap<_, _> = tests.into_iter().map(|mark| (mark.ns_id, mark)).collect();
        if let Some(before) = self.tests.replace(tests.clone()) {
            let changed = tests.values().filter(|mark| before.get(&mark.ns_id) != Some(*mark));
            let changed: Arc<[_]> = changed.map(|mark| (mark.ns_id, None)).collect();
            if !changed.is_empty() {
                told.push(Told::Tests(changed));
            }
        }
        told
    }
}
