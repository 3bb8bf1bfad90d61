//! Somebody who listens: what of all that is told concerns them, from where on, and how far they have come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::Instant;
use tstr_shared::event::{Event, EventKind, REPLAY_HOURS, ResetReason, Topic};
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::RunsRead;
use tstr_shared::runner::RunnerState;

use super::super::Ops;
use super::Subscription;
use super::hub::{OfNamespace, Told};
use super::seats::Seat;
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::Result;
use crate::store;
use crate::store::events::{Happened, Place, RunnerMark};

/// How many events a stream that goes on is told one by one, and how many pages are looked through for them.
const MOST_REPLAYED: usize = 1000;
const MOST_PAGES: usize = 20;
const PAGE: i32 = 500;
/// How often a stream looks whether its token still holds, and at most tells that the queue has changed.
const TICK: Duration = Duration::from_secs(1);
/// How often a stream on which nothing is told says how far it has come, so that going on from there costs nothing.
const SAY_WHERE: Duration = Duration::from_secs(15);

/// Somebody who listens.
pub(super) struct Reader {
    ops: Ops,
    caller: Caller,
    access: Access<RunsRead>,
    namespace: Namespace,
    topics: Vec<Topic>,
    heard: Receiver<Told>,
    /// Everything up to here was told, or waits to be.
    place: Place,
    waiting: VecDeque<Waiting>,
    next_tick: Instant,
    /// When an id was told last, and how much happened since, of which most concerns others.
    placed_at: Instant,
    passed: usize,
    queue_told: Option<Instant>,
    is_queue_due: bool,
    is_over: bool,
    _seat: Seat,
}

/// What is to be told next.
enum Waiting {
    /// An event.
    Event(Box<Event>),
    /// What happened to runs, from one of them on. All who listen share it, and their events are made one by one, so that a
    /// reader who takes his time costs no memory.
    Runs { happened: Arc<[Happened]>, next: usize },
}

impl Reader {
    /// Begins to listen to the topics that are named: says from where on is told, and what was missed before.
    pub(super) async fn begin(
        ops: &Ops,
        caller: &Caller,
        access: Access<RunsRead>,
        wanted: Subscription,
        seat: Seat,
    ) -> Result<Self> {
        // First the ear, then the place: what happens in between is heard twice and told once.
        let heard = ops.0.events.listen();
        let here = ops.events_place(&access).await?;
        let now = Instant::now();
        let mut reader = Self {
            ops: ops.clone(),
            caller: caller.clone(),
            access,
            namespace: wanted.namespace,
            topics: wanted.topics,
            heard,
            place: here,
            waiting: VecDeque::new(),
            next_tick: now + TICK,
            placed_at: now,
            passed: 0,
            queue_told: None,
            is_queue_due: false,
            is_over: false,
            _seat: seat,
        };
        reader.go_on(wanted.last.as_deref()).await?;
        Ok(reader)
    }

    async fn go_on(&mut self, last: Option<&str>) -> Result<()> {
        let (here, now) = (self.place, self.ops.0.clock.now().now);
        let Some(last) = last else {
            let id = Some(self.id(here));
            self.tell(Event { id, ..self.event(EventKind::Ready) });
            return Ok(());
        };
        let reason = match read_id(last) {
            None => ResetReason::Unknown,
            Some((_, secs)) if now.timestamp() - secs > REPLAY_HOURS * 3600 => ResetReason::TooOld,
            Some((since, _)) if since > here && self.is_of_the_future(since).await? => ResetReason::Unknown,
            Some((since, _)) => match self.missed(since, here).await? {
                Some(missed) => {
                    self.tell(self.event(EventKind::Ready));
                    self.place = since.max(here);
                    self.tell_runs(missed, 0);
                    self.look_again_at_all();
                    return Ok(());
                }
                None => ResetReason::TooMany,
            },
        };
        self.reset(reason);
        Ok(())
    }

    /// Tells whether this database has never come to a place.
    async fn is_of_the_future(&self, place: Place) -> Result<bool> {
        let mut conn = self.ops.db().acquire().await?;
        Ok(place.txid > store::events::horizon(&mut conn, &self.access).await?.next)
    }

    /// Reads what happened after a place and up to here; `None` when it is too much. A place ahead of here was given by another
    /// replica: what lies between is heard and left out. Those who go on from the same place share what was read: after a
    /// restart all come at once.
    async fn missed(&self, since: Place, here: Place) -> Result<Option<Arc<[Happened]>>> {
        let replay = (self.access.namespace(), since, here);
        if let Some(missed) = self.ops.0.events.replay(&replay) {
            return Ok(Some(missed));
        }
        let (mut missed, mut from) = (Vec::new(), since);
        for _ in 0..MOST_PAGES {
            if from >= here {
                return Ok(Some(missed.into()));
            }
            let mut conn = self.ops.db().acquire().await?;
            let page = store::events::between_for(&mut conn, &self.access, from, here.txid, PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            from = page.last().map_or(here, |last| last.place);
            missed.extend(page.into_iter().filter(|one| one.of.is_some()));
            if missed.len() > MOST_REPLAYED {
                return Ok(None);
            }
            if is_last {
                return Ok(Some(self.ops.0.events.keep_replay(replay, missed.into())));
            }
        }
        Ok(None)
    }

    /// Returns the next event; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.take_waiting() {
                if event.id.is_some() {
                    (self.placed_at, self.passed) = (Instant::now(), 0);
                }
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            let (ops, tick) = (self.ops.clone(), self.next_tick);
            let heard = tokio::select! {
                biased;
                () = ops.0.closing.cancelled() => return None,
                () = tokio::time::sleep_until(tick) => None,
                heard = self.heard.recv() => Some(heard),
            };
            match heard {
                None => {
                    self.next_tick = Instant::now() + TICK;
                    if self.ops.still_holds(&self.caller).is_err() {
                        return None;
                    }
                    self.tell_queue(false);
                    self.say_where();
                }
                Some(Ok(told)) => self.hear(&told),
                Some(Err(RecvError::Lagged(_))) => {
                    self.reset(ResetReason::TooSlow);
                    self.is_over = true;
                }
                Some(Err(RecvError::Closed)) => return None,
            }
        }
    }

    fn take_waiting(&mut self) -> Option<Event> {
        loop {
            let one = match self.waiting.front_mut()? {
                Waiting::Event(_) => None,
                Waiting::Runs { happened, next } => {
                    let one = happened.get(*next).cloned();
                    *next += 1;
                    one
                }
            };
            if let Some(one) = one {
                match self.of_run(&one) {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            if let Waiting::Event(event) = self.waiting.pop_front()? {
                return Some(*event);
            }
        }
    }

    fn hear(&mut self, told: &Told) {
        match told {
            Told::Runs { happened, up_to } => {
                let told = self.place;
                let first = happened.partition_point(|one| one.place <= told);
                self.passed += happened.len() - first;
                self.tell_runs(happened.clone(), first);
                self.place = self.place.max(*up_to);
            }
            Told::Many { up_to } => {
                self.place = self.place.max(up_to.unwrap_or_default());
                if self.is_about(Topic::Runs) {
                    let id = up_to.map(|place| self.id(place));
                    self.tell(Event { id, ..self.event(EventKind::RunMany) });
                }
                match up_to {
                    Some(_) => self.passed += MOST_REPLAYED,
                    // Tests are told of when their runs were, and that is held up.
                    None => self.tell_test(None),
                }
                self.tell_queue(true);
            }
            Told::Tests(tests) => {
                let here = self.access.namespace();
                tests.iter().filter(|one| one.ns_id == here).for_each(|one| self.tell_test(Some(one)));
            }
            Told::AllTests => self.tell_test(None),
            Told::Runners(runners) if self.is_about(Topic::Runners) => {
                let here = self.namespace.clone();
                let mine = runners.iter().filter(|(namespaces, ..)| namespaces.matches(here.as_str()));
                mine.for_each(|(_, mark, was)| self.tell_runner(mark, *was));
            }
            Told::Runners(_) => {}
            Told::Restored { here } => {
                self.place = *here;
                self.reset(ResetReason::Restored);
            }
        }
    }

    /// Tells what of this happened in the namespace, from one place of the list on.
    fn tell_runs(&mut self, happened: Arc<[Happened]>, next: usize) {
        if !happened.iter().skip(next).any(|one| self.is_mine(one)) {
            return;
        }
        if self.is_about(Topic::Runs) {
            self.waiting.push_back(Waiting::Runs { happened, next });
        }
        self.tell_queue(true);
    }

    fn is_mine(&self, happened: &Happened) -> bool {
        happened.of.as_ref().is_some_and(|(ns_id, ..)| *ns_id == self.access.namespace())
    }

    fn of_run(&self, happened: &Happened) -> Option<Event> {
        let (_, test, name) = happened.of.as_ref().filter(|_| self.is_mine(happened))?;
        let kind = EventKind::of_run(happened.state, happened.result);
        Some(Event {
            id: Some(self.id(happened.place)),
            run: Some(happened.run_id),
            test: Some(*test),
            test_name: Some(name.to_string()),
            state: Some(happened.state),
            result: happened.result,
            attempt: u16::try_from(happened.attempt).ok().filter(|attempt| *attempt > 0),
            ..Event::new(kind, self.namespace.clone(), happened.at)
        })
    }

    /// Tells that a test is to be looked at again, or all of them; and that it became flaky or is so no more.
    fn tell_test(&mut self, one: Option<&OfNamespace>) {
        if !self.is_about(Topic::Tests) {
            return;
        }
        let has_new_status = one.is_some_and(|one| one.has_new_status);
        let kinds = [Some(EventKind::TestStateChanged), has_new_status.then_some(EventKind::TestFlakyChanged)];
        for kind in kinds.into_iter().flatten() {
            let test = one.and_then(|one| one.test.as_ref());
            let (test, test_name) = test.map(|(id, name)| (*id, name.to_string())).unzip();
            self.tell(Event { test, test_name, ..self.event(kind) });
        }
    }

    /// Tells how a runner is, and that it was lost where it was not about to leave.
    fn tell_runner(&mut self, mark: &RunnerMark, was: Option<RunnerState>) {
        let is_lost = mark.state == RunnerState::Offline && was == Some(RunnerState::Live);
        let kinds = [Some(EventKind::RunnerStateChanged), is_lost.then_some(EventKind::RunnerLost)];
        for kind in kinds.into_iter().flatten() {
            let (runner, runner_name, runner_state) = (Some(mark.id), Some(mark.name.clone()), Some(mark.state));
            self.tell(Event { runner, runner_name, runner_state, ..self.event(kind) });
        }
    }

    /// Tells that the queue has changed: now, or with the next tick if that was told just now.
    fn tell_queue(&mut self, has_changed: bool) {
        self.is_queue_due |= has_changed && self.is_about(Topic::Queue);
        if self.is_queue_due && self.queue_told.is_none_or(|at| at.elapsed() >= TICK) {
            self.tell(self.event(EventKind::QueueChanged));
            (self.is_queue_due, self.queue_told) = (false, Some(Instant::now()));
        }
    }

    /// Says how far the stream has come, where it was not said for long or much has happened since.
    fn say_where(&mut self) {
        if self.placed_at.elapsed() < SAY_WHERE && self.passed < MOST_REPLAYED {
            return;
        }
        // Nothing waits to be told, and where nothing is unheard either, all up to the place of the one who looks concerned others.
        if let Some(place) = self.ops.0.events.place_if(|| self.heard.is_empty()) {
            self.place = self.place.max(place);
        }
        let id = Some(self.id(self.place));
        self.tell(Event { id, ..self.event(EventKind::Here) });
    }

    fn look_again_at_all(&mut self) {
        self.tell_test(None);
        if self.is_about(Topic::Runners) {
            self.tell(self.event(EventKind::RunnerStateChanged));
        }
        self.tell_queue(true);
    }

    fn reset(&mut self, reason: ResetReason) {
        self.waiting.clear();
        let id = Some(self.id(self.place));
        self.tell(Event { id, reason: Some(reason), ..self.event(EventKind::Reset) });
    }

    fn tell(&mut self, event: Event) {
        self.waiting.push_back(Waiting::Event(Box::new(event)));
    }

    fn event(&self, kind: EventKind) -> Event {
        Event::new(kind, self.namespace.clone(), self.ops.0.clock.now().now)
    }

    fn is_about(&self, topic: Topic) -> bool {
        self.topics.contains(&topic)
    }

    /// Writes a place as the id of an event, with the time by which it is told how old it is.
    fn id(&self, place: Place) -> String {
        format!("{}-{}-{}", place.txid, place.id, self.ops.0.clock.now().now.timestamp())
    }
}

/// Reads the id of an event: its place, and when it was told.
fn read_id(text: &str) -> Option<(Place, i64)> {
    let mut numbers = text.split('-').map(|number| number.parse::<i64>().ok().filter(|number| *number >= 0));
    let (txid, id, secs) = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some((Place { txid, id }, secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_place_and_a_time_and_nothing_else() {
        assert_eq!(read_id("12-3-1700000000"), Some((Place { txid: 12, id: 3 }, 1_700_000_000)));
        for bad in ["", "12", "12-3", "12-3-x", "12-3-4-5", "-1-3-4", "99999999999999999999-1-1", "12- 3-4"] {
            assert_eq!(read_id(bad), None, "{bad}");
        }
    }
}
