//! The one who looks: while somebody listens on this replica, reads what is new and tells all who do.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use metrics::gauge;
use tokio::sync::broadcast;
use tstr_shared::ids::{RunnerId, TestId};
use tstr_shared::namespace::NamespacePatterns;
use tstr_shared::permission::RunsRead;
use tstr_shared::run::RunState;
use tstr_shared::runner::RunnerState;

use super::super::Ops;
use super::seats::Seats;
use crate::auth::access::{Access, System};
use crate::error::Result;
use crate::store;
use crate::store::events::{ChangedTest, Happened, Horizon, Place, RunnerMark};

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
/// For how long a change of a test may have been under way before it is seen, beside the time since the last look; and how many
/// changes are looked at.
const LATE: Duration = Duration::from_secs(60);
const MOST_CHANGES: i64 = 1000;
/// How often it is looked who does not read.
const LOOK_AT_READERS: Duration = Duration::from_secs(5);
/// How many tests wait to be summed up by name.
const MOST_TESTS: usize = 1000;
/// How many looks the slowest reader may be behind.
const BEHIND: usize = 64;

/// For how long a transaction that is under way has held up what is told.
const HELD_FOR: &str = "tstr_event_horizon_age_seconds";

/// A test with its name, or all tests, of a namespace.
#[derive(Debug, Clone)]
pub(super) struct OfNamespace {
    pub(super) ns_id: i32,
    pub(super) test: Option<(TestId, Arc<str>)>,
    /// It became healthy, flaky or broken.
    pub(super) has_new_status: bool,
}

/// A test whose runs are summed up, with when the first of them ended.
type SummedUp = (i32, TestId, Arc<str>, DateTime<Utc>);
/// A runner as it is, by the namespaces that it serves, and how it was before; none for one that is new.
type OfRunner = (NamespacePatterns, RunnerMark, Option<RunnerState>);
/// What is told again: what happened in a namespace behind one place and up to another.
pub(super) type Replay = (i32, Place, Place);

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
    /// All tests of all namespaces are to be looked at again.
    AllTests,
    /// Runners changed.
    Runners(Arc<[OfRunner]>),
    /// The database is of an earlier time than before.
    Restored { here: Place },
}

/// Where news comes together.
pub struct Hub {
    told: broadcast::Sender<Told>,
    /// Up to where everything was told; `None` while nobody listens.
    place: Mutex<Option<Place>>,
    looks: tokio::sync::Mutex<Looks>,
    seats: Seats,
    replays: Mutex<BTreeMap<Replay, Weak<[Happened]>>>,
}

/// What the one who looks remembers from one look to the next.
#[derive(Default)]
struct Looks {
    has_begun: bool,
    readers_at: Option<Instant>,
    /// Since when the horizon stands where it stands, by our clock.
    stands_since: Option<(i64, Instant)>,
    not_before: Option<Instant>,
    held_since: Option<(i64, Instant)>,
    marks_at: Option<Instant>,
    runners: Option<HashMap<RunnerId, RunnerMark>>,
    /// When the tests were changed that were lately.
    tests: Option<HashMap<TestId, DateTime<Utc>>>,
    /// Tests with runs that have ended and are not summed up yet, and up to which transaction they have to be.
    unsummed: BTreeMap<(i32, TestId), Unsummed>,
    /// Before which transactions everything has to be summed up until all tests are to be looked at again, because it is not known
    /// which ended: two at most, so that it comes to an end while ever more is told as «many».
    all_unsummed: VecDeque<i64>,
}

/// A test with runs that are not summed up.
struct Unsummed {
    txid: i64,
    name: Arc<str>,
    /// When the first of them ended.
    since: DateTime<Utc>,
}

/// What was summed up since the last look.
#[derive(Debug, PartialEq)]
enum Summed {
    Tests(Vec<SummedUp>),
    /// Also tests that are not known.
    All,
}

/// Says what the metrics of looking mean.
pub(super) fn describe() {
    let meaning = "For how long the transaction that is under way for longest, in any database of the server, has held up events.";
    metrics::describe_gauge!(HELD_FOR, metrics::Unit::Seconds, meaning);
    gauge!(HELD_FOR).set(0);
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            told: broadcast::Sender::new(BEHIND),
            place: Mutex::default(),
            looks: tokio::sync::Mutex::default(),
            seats: Seats::default(),
            replays: Mutex::default(),
        }
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

    /// Returns the seats of those who do.
    pub(super) fn seats(&self) -> &Seats {
        &self.seats
    }

    fn place(&self) -> MutexGuard<'_, Option<Place>> {
        lock(&self.place)
    }

    /// Returns the place up to which everything was told to somebody who has heard all of it.
    pub(super) fn place_if(&self, has_heard_all: impl FnOnce() -> bool) -> Option<Place> {
        let place = self.place();
        place.filter(|_| has_heard_all())
    }

    /// Returns what is to be told again, if somebody else is still at it.
    pub(super) fn replay(&self, replay: &Replay) -> Option<Arc<[Happened]>> {
        lock(&self.replays).get(replay).and_then(Weak::upgrade)
    }

    /// Keeps what is to be told again for others, as long as somebody is at it.
    pub(super) fn keep_replay(&self, replay: Replay, happened: Arc<[Happened]>) -> Arc<[Happened]> {
        let mut replays = lock(&self.replays);
        replays.retain(|_, kept| kept.strong_count() > 0);
        if !happened.is_empty() {
            replays.insert(replay, Arc::downgrade(&happened));
        }
        happened
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

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
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
        if looks.readers_at.is_none_or(|at| at.elapsed() >= LOOK_AT_READERS) {
            looks.readers_at = Some(Instant::now());
            hub.seats.cut_stalled();
        }
        let place = {
            let mut place = hub.place();
            if hub.listeners() == 0 {
                *place = None;
            }
            *place
        };
        let Some(place) = place else {
            *looks = Looks { readers_at: looks.readers_at, ..Looks::default() };
            gauge!(HELD_FOR).set(0);
            return Ok(());
        };
        if looks.not_before.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        looks.not_before = None;
        let mut conn = self.db().acquire().await?;
        let horizon = store::events::horizon(&mut conn, access).await?;
        gauge!(HELD_FOR).set(looks.stands_for(&horizon).as_secs_f64());
        if horizon.txid < place.txid {
            let here = Place::before(horizon.txid);
            hub.tell_up_to(Told::Restored { here }, here);
            *looks = Looks { readers_at: looks.readers_at, ..Looks::default() };
            return Ok(());
        }
        if !std::mem::replace(&mut looks.has_begun, true) {
            looks.begin(&horizon);
        }
        let happened = store::events::between(&mut conn, access, place, horizon.txid, MOST).await?;
        let up_to = Place::before(horizon.txid).max(place);
        if happened.len() >= MOST as usize {
            hub.tell_up_to(Told::Many { up_to: Some(up_to) }, up_to);
            looks.unsummed.clear();
            looks.owe_all(up_to.txid);
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
        match looks.summed_up(&horizon) {
            Summed::All => hub.tell(Told::AllTests),
            Summed::Tests(tests) if tests.is_empty() => {}
            Summed::Tests(tests) => {
                let since: Vec<_> = tests.iter().map(|(_, test, _, since)| (*test, *since)).collect();
                let fresh = store::events::with_new_status(&mut conn, access, &since).await;
                let told = tests.into_iter().map(|(ns_id, test, name, _)| OfNamespace {
                    ns_id,
                    test: Some((test, name)),
                    has_new_status: fresh.as_ref().is_ok_and(|fresh| fresh.contains(&test)),
                });
                hub.tell(Told::Tests(told.collect()));
                fresh?;
            }
        }
        if looks.marks_at.is_none_or(|at| at.elapsed() >= LOOK_AT_MARKS) {
            let now = Instant::now();
            let since = LATE + looks.marks_at.map_or(Duration::ZERO, |at| now - at);
            let runners = store::events::runner_marks(&mut conn, access).await?;
            let tests = store::events::changed_tests(&mut conn, access, since.as_secs_f64(), MOST_CHANGES).await?;
            looks.marks_at = Some(now);
            looks.compare(runners, &tests).into_iter().for_each(|told| hub.tell(told));
        }
        Ok(())
    }
}

impl Looks {
    /// Notes which tests are to be told of once their runs are summed up.
    fn note_ends(&mut self, happened: &[Happened]) {
        for one in happened.iter().filter(|one| one.state == RunState::Finished) {
            if let Some((ns_id, test, name)) = &one.of {
                let fresh = || Unsummed { txid: 0, name: name.clone(), since: one.at };
                self.unsummed.entry((*ns_id, *test)).or_insert_with(fresh).txid = one.place.txid;
            }
        }
        if self.unsummed.len() > MOST_TESTS {
            let last = self.unsummed.values().map(|unsummed| unsummed.txid).max();
            self.unsummed.clear();
            last.into_iter().for_each(|txid| self.owe_all(txid + 1));
        }
    }

    /// Begins to look. Whoever came first reads what is summed up by now; which runs have ended and are not, nobody was told.
    fn begin(&mut self, horizon: &Horizon) {
        if !horizon.is_summed_up(horizon.txid) {
            self.owe_all(horizon.txid);
        }
    }

    /// Notes that all tests are to be looked at again once everything before a transaction is summed up.
    fn owe_all(&mut self, before: i64) {
        self.all_unsummed.truncate(1);
        self.all_unsummed.push_back(before);
    }

    /// Takes the tests out whose runs are summed up.
    fn summed_up(&mut self, horizon: &Horizon) -> Summed {
        let done = self.unsummed.extract_if(.., |_, unsummed| horizon.is_summed_up(unsummed.txid + 1));
        let done = done.map(|((ns_id, test), Unsummed { name, since, .. })| (ns_id, test, name, since)).collect();
        let owed = self.all_unsummed.len();
        while self.all_unsummed.front().is_some_and(|before| horizon.is_summed_up(*before)) {
            self.all_unsummed.pop_front();
        }
        if self.all_unsummed.len() < owed { Summed::All } else { Summed::Tests(done) }
    }

    /// Tells for how long a transaction that is under way has kept the horizon where it is.
    fn stands_for(&mut self, horizon: &Horizon) -> Duration {
        let is_held = horizon.txid < horizon.next;
        let (_, since) = match self.stands_since.filter(|(txid, _)| is_held && *txid == horizon.txid) {
            Some(known) => known,
            None => *self.stands_since.insert((horizon.txid, Instant::now())),
        };
        since.elapsed()
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
    fn compare(&mut self, runners: Vec<RunnerMark>, tests: &[ChangedTest]) -> Vec<Told> {
        let mut told = Vec::new();
        let runners: HashMap<_, _> = runners.into_iter().map(|mark| (mark.id, mark)).collect();
        if let Some(before) = self.runners.replace(runners.clone()) {
            let changed = runners.values().filter(|mark| before.get(&mark.id) != Some(*mark));
            let changed: Arc<[OfRunner]> = changed
                .filter_map(|mark| {
                    let was = before.get(&mark.id).map(|before| before.state);
                    Some((NamespacePatterns::parse(&mark.namespaces).ok()?, mark.clone(), was))
                })
                .collect();
            if !changed.is_empty() {
                told.push(Told::Runners(changed));
            }
        }
        let lately = tests.iter().map(|test| (test.id, test.at)).collect();
        // At the first look those count that were changed shortly before: a reader may have been there already.
        let before = self.tests.replace(lately).unwrap_or_default();
        let fresh = tests.iter().filter(|test| before.get(&test.id) != Some(&test.at));
        let changed: BTreeSet<i32> = fresh.map(|test| test.ns_id).collect();
        let is_cut = tests.len() as i64 >= MOST_CHANGES;
        match (changed.is_empty(), is_cut) {
            (true, _) => {}
            // There are more, of whatever namespaces.
            (false, true) => told.push(Told::AllTests),
            (false, false) => {
                let all = |ns_id| OfNamespace { ns_id, test: None, has_new_status: false };
                told.push(Told::Tests(changed.into_iter().map(all).collect()));
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;

    fn horizon(txid: i64, digested_before: i64, is_all_digested: bool) -> Horizon {
        Horizon { txid, next: txid, is_held: false, digested_before, is_all_digested }
    }

    fn ended(txid: i64, test: u128) -> Happened {
        Happened {
            place: Place { txid, id: 1 },
            run_id: Uuid::from_u128(1).into(),
            at: DateTime::UNIX_EPOCH,
            state: RunState::Finished,
            attempt: 1,
            result: None,
            of: Some((1, TestId(Uuid::from_u128(test)), "a".into())),
        }
    }

    /// Returns how many tests are told of by name; all of them are without.
    fn told(looks: &mut Looks, horizon: Horizon) -> usize {
        match looks.summed_up(&horizon) {
            Summed::Tests(tests) => tests.len(),
            Summed::All => ALL,
        }
    }

    const ALL: usize = usize::MAX;

    #[test]
    fn a_test_is_told_of_when_its_run_is_summed_up_also_where_nothing_comes_after_it() {
        let mut looks = Looks::default();
        looks.note_ends(&[ended(10, 1), ended(12, 2)]);
        assert_eq!(told(&mut looks, horizon(13, 10, false)), 0);
        assert_eq!(told(&mut looks, horizon(13, 11, false)), 1);
        // What is summed up goes no further than the horizon of its transaction, and stays there until another run ends.
        assert_eq!(told(&mut looks, horizon(13, 12, true)), 1);
        assert_eq!(told(&mut looks, horizon(13, 12, true)), 0);
    }

    #[test]
    fn what_nobody_was_told_by_name_is_told_once_it_is_summed_up() {
        let mut looks = Looks::default();
        looks.begin(&horizon(20, 15, false));
        assert_eq!(told(&mut looks, horizon(30, 19, false)), 0);
        assert_eq!(told(&mut looks, horizon(30, 20, false)), ALL, "runs that had ended when the first one came");
        // Where all is summed up there is nothing to tell.
        let mut looks = Looks::default();
        looks.begin(&horizon(20, 15, true));
        assert_eq!(told(&mut looks, horizon(20, 15, true)), 0);
        // More than are told one by one, again and again: it comes to an end all the same.
        looks.owe_all(30);
        looks.owe_all(40);
        looks.owe_all(50);
        assert_eq!(told(&mut looks, horizon(60, 30, false)), ALL);
        assert_eq!(told(&mut looks, horizon(60, 49, false)), 0);
        assert_eq!(told(&mut looks, horizon(60, 50, false)), ALL);
        assert_eq!(told(&mut looks, horizon(60, 60, true)), 0);
        // More tests than are kept by name.
        let many: Vec<_> = (0..=MOST_TESTS).map(|n| ended(70, n as u128)).collect();
        looks.note_ends(&many);
        assert_eq!(told(&mut looks, horizon(80, 70, false)), 0);
        assert_eq!(told(&mut looks, horizon(80, 71, false)), ALL);
    }

    #[test]
    fn a_namespace_is_told_of_whose_tests_were_changed_since_the_last_look() {
        let mut looks = Looks::default();
        let at = |secs| DateTime::from_timestamp(secs, 0).unwrap();
        let test = |id, ns_id, secs| ChangedTest { id: TestId(Uuid::from_u128(id)), ns_id, at: at(secs) };
        let mut compare = |tests: &[ChangedTest]| match looks.compare(Vec::new(), tests).pop() {
            Some(Told::Tests(tests)) => tests.iter().map(|test| test.ns_id).collect(),
            Some(Told::AllTests) => vec![-1],
            _ => Vec::new(),
        };
        assert_eq!(compare(&[test(1, 1, 10)]), [1], "somebody may have read before the first look");
        assert_eq!(compare(&[test(1, 1, 10)]), [0; 0]);
        assert_eq!(compare(&[test(2, 2, 12), test(3, 2, 11), test(1, 1, 10)]), [2]);
        assert_eq!(compare(&[test(2, 2, 12), test(1, 1, 10)]), [0; 0], "what is past is no change");
        // Whoever began earlier and ended later is seen as well.
        assert_eq!(compare(&[test(2, 2, 12), test(4, 3, 9), test(1, 1, 13)]), [1, 3]);
        let many: Vec<_> = (10..10 + MOST_CHANGES as u128).map(|id| test(id, 5, 20)).collect();
        assert_eq!(compare(&many), [-1]);
        assert_eq!(compare(&many), [0; 0]);
    }

    #[test]
    fn the_horizon_is_as_old_as_the_transaction_that_holds_it() {
        let mut looks = Looks::default();
        let held = Horizon { next: 9, ..horizon(7, 7, true) };
        assert!(looks.stands_for(&held) < Duration::from_secs(1));
        looks.stands_since = Instant::now().checked_sub(Duration::from_secs(5)).map(|at| (7, at));
        assert!(looks.stands_for(&held) >= Duration::from_secs(5));
        assert!(looks.stands_for(&Horizon { next: 9, ..horizon(8, 7, true) }) < Duration::from_secs(1), "it moved");
        looks.stands_since = Instant::now().checked_sub(Duration::from_secs(5)).map(|at| (7, at));
        assert!(looks.stands_for(&horizon(7, 7, true)) < Duration::from_secs(1), "nothing is under way");
    }
}
