//! Streams of events: what a namespace's people are told of changes as they happen.
//!
//! One task of a replica looks for what is new while somebody listens here ([`hub`]), whatever the number of those who do, and
//! tells all of them over one bounded channel. Every event of a run has a place in an order that is the same on all replicas
//! and final, so a stream goes on at any of them from the place it has come to, and nothing is lost or told twice. Who does not
//! keep up is told so and cut off.

pub mod hub;

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use metrics::gauge;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::Instant;
use tstr_shared::error::ErrorCode;
use tstr_shared::event::{Event, EventKind, REPLAY_HOURS, ResetReason, Topic};
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::{RunnersRead, RunsRead, TestsRead};

use self::hub::Told;
use super::Ops;
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store;
use crate::store::events::{Happened, Place};

/// How many streams a replica keeps open.
const MOST_STREAMS: usize = 2000;
/// How many events a stream that goes on is told one by one, and how many pages are looked through for them.
const MOST_REPLAYED: usize = 1000;
const MOST_PAGES: usize = 20;
const PAGE: i32 = 500;
/// How often a stream looks whether its token still holds, and at most tells that the queue has changed.
const TICK: Duration = Duration::from_secs(1);

/// How many streams are open.
const OPEN: &str = "tstr_event_streams";

/// What somebody wants to be told.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Of which namespace.
    pub namespace: Namespace,
    /// About what; everything when it is empty.
    pub topics: Vec<Topic>,
    /// The id of the last event that was heard.
    pub last: Option<String>,
}

impl Ops {
    /// Opens a stream of events, which ends with the token, with the server, or when its reader is too slow.
    pub async fn subscribe(
        &self,
        caller: &Caller,
        wanted: Subscription,
    ) -> Result<impl Stream<Item = Event> + Send + use<>> {
        let access = self.enter::<RunsRead>(caller, &wanted.namespace).await?;
        let about = |topic| wanted.topics.is_empty() || wanted.topics.contains(&topic);
        if about(Topic::Tests) {
            self.enter::<TestsRead>(caller, &wanted.namespace).await?;
        }
        if about(Topic::Runners) {
            self.enter::<RunnersRead>(caller, &wanted.namespace).await?;
        }
        let topics: Vec<Topic> = Topic::ALL.iter().copied().filter(|topic| about(*topic)).collect();
        if self.0.events.listeners() >= MOST_STREAMS {
            let sentence = format!("{MOST_STREAMS} streams of events are open on this server already");
            return Err(Error::new(ErrorCode::QuotaExceeded, sentence).with_retry_after(Duration::from_secs(10)));
        }
        // First the ear, then the place: what happens in between is heard twice and told once.
        let heard = self.0.events.listen();
        let here = self.events_place(&access).await?;
        let mut reader = Reader {
            ops: self.clone(),
            caller: caller.clone(),
            access,
            namespace: wanted.namespace,
            topics,
            heard,
            place: here,
            waiting: VecDeque::new(),
            next_tick: Instant::now() + TICK,
            queue_told: None,
            is_queue_due: false,
            is_over: false,
            _open: Open::new(),
        };
        reader.begin(wanted.last.as_deref()).await?;
        Ok(stream::unfold(reader, |mut reader| async move { reader.next().await.map(|event| (event, reader)) }))
    }
}

/// Counts a stream as long as it is open.
struct Open;

impl Open {
    fn new() -> Self {
        gauge!(OPEN).increment(1);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        gauge!(OPEN).decrement(1);
    }
}

/// Says what the metrics of streams mean.
pub fn describe() {
    metrics::describe_gauge!(OPEN, metrics::Unit::Count, "Streams of events that are open.");
    gauge!(OPEN).set(0);
}

/// Somebody who listens.
struct Reader {
    ops: Ops,
    caller: Caller,
    access: Access<RunsRead>,
    namespace: Namespace,
    topics: Vec<Topic>,
    heard: Receiver<Told>,
    /// Everything up to here was told.
    place: Place,
    waiting: VecDeque<Event>,
    next_tick: Instant,
    queue_told: Option<Instant>,
    is_queue_due: bool,
    is_over: bool,
    _open: Open,
}

impl Reader {
    /// Says from where on the stream tells, and what was missed before.
    async fn begin(&mut self, last: Option<&str>) -> Result<()> {
        let (here, now) = (self.place, self.ops.0.clock.now().now);
        let Some(last) = last else {
            let id = Some(self.id(here));
            self.waiting.push_back(Event { id, ..self.event(EventKind::Ready) });
            return Ok(());
        };
        let reason = match read_id(last) {
            None => ResetReason::Unknown,
            Some((_, secs)) if now.timestamp() - secs > REPLAY_HOURS * 3600 => ResetReason::TooOld,
            Some((since, _)) if since > here && self.is_of_the_future(since).await? => ResetReason::Unknown,
            Some((since, _)) => match self.missed(since, here).await? {
                Some(missed) => {
                    self.waiting.push_back(self.event(EventKind::Ready));
                    self.place = since.max(here);
                    missed.iter().for_each(|happened| self.tell_run(happened));
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
    /// replica: what lies between is heard and left out.
    async fn missed(&self, since: Place, here: Place) -> Result<Option<Vec<Happened>>> {
        let (mut missed, mut from) = (Vec::new(), since);
        for _ in 0..MOST_PAGES {
            if from >= here {
                return Ok(Some(missed));
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
                return Ok(Some(missed));
            }
        }
        Ok(None)
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
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
                }
                Some(Ok(told)) => self.take(&told),
                Some(Err(RecvError::Lagged(_))) => {
                    self.reset(ResetReason::TooSlow);
                    self.is_over = true;
                }
                Some(Err(RecvError::Closed)) => return None,
            }
        }
    }

    fn take(&mut self, told: &Told) {
        match told {
            Told::Runs { happened, up_to } => {
                let told = self.place;
                happened.iter().filter(|one| one.place > told).for_each(|one| self.tell_run(one));
                self.place = self.place.max(*up_to);
            }
            Told::Many { up_to } => {
                self.place = self.place.max(up_to.unwrap_or_default());
                if self.is_about(Topic::Runs) {
                    let id = up_to.map(|place| self.id(place));
                    self.waiting.push_back(Event { id, ..self.event(EventKind::RunMany) });
                }
                self.tell_queue(true);
                self.tell_test(None);
            }
            Told::Tests(tests) => {
                let here = self.access.namespace();
                tests.iter().filter(|(ns_id, _)| *ns_id == here).for_each(|(_, test)| self.tell_test(test.as_ref()));
            }
            Told::Runners(runners) if self.is_about(Topic::Runners) => {
                for (namespaces, mark) in runners.iter() {
                    if namespaces.matches(self.namespace.as_str()) {
                        let event = self.event(EventKind::RunnerStateChanged);
                        let (runner, runner_name, runner_state) =
                            (Some(mark.id), Some(mark.name.clone()), Some(mark.state));
                        self.waiting.push_back(Event { runner, runner_name, runner_state, ..event });
                    }
                }
            }
            Told::Runners(_) => {}
            Told::Restored { here } => {
                self.place = *here;
                self.reset(ResetReason::Restored);
            }
        }
    }

    fn tell_run(&mut self, happened: &Happened) {
        let Some((ns_id, test, name)) = &happened.of else { return };
        if *ns_id != self.access.namespace() {
            return;
        }
        if self.is_about(Topic::Runs) {
            let event =
                Event::new(EventKind::of_run(happened.state, happened.result), self.namespace.clone(), happened.at);
            self.waiting.push_back(Event {
                id: Some(self.id(happened.place)),
                run: Some(happened.run_id),
                test: Some(*test),
                test_name: Some(name.clone()),
                state: Some(happened.state),
                result: happened.result,
                attempt: u16::try_from(happened.attempt).ok().filter(|attempt| *attempt > 0),
                ..event
            });
        }
        self.tell_queue(true);
    }

    fn tell_test(&mut self, test: Option<&(tstr_shared::ids::TestId, String)>) {
        if self.is_about(Topic::Tests) {
            let (id, name) = test.cloned().unzip();
            let event = self.event(EventKind::TestStateChanged);
            self.waiting.push_back(Event { test: id, test_name: name, ..event });
        }
    }

    /// Tells that the queue has changed: now, or with the next tick if that was told just now.
    fn tell_queue(&mut self, has_changed: bool) {
        self.is_queue_due |= has_changed && self.is_about(Topic::Queue);
        if self.is_queue_due && self.queue_told.is_none_or(|at| at.elapsed() >= TICK) {
            self.waiting.push_back(self.event(EventKind::QueueChanged));
            (self.is_queue_due, self.queue_told) = (false, Some(Instant::now()));
        }
    }

    fn look_again_at_all(&mut self) {
        self.tell_test(None);
        if self.is_about(Topic::Runners) {
            self.waiting.push_back(self.event(EventKind::RunnerStateChanged));
        }
        self.tell_queue(true);
    }

    fn reset(&mut self, reason: ResetReason) {
        self.waiting.clear();
        let id = Some(self.id(self.place));
        self.waiting.push_back(Event { id, reason: Some(reason), ..self.event(EventKind::Reset) });
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
