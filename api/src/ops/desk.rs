//! Desks: where claims wait, and where those that wait together are served by one statement.
//!
//! All runners that take the same classes of the same namespaces wait at one desk, in the order in which they came. When
//! runs may be there, one task looks for all of them at once; nobody else is woken. So a run that becomes ready costs one
//! look for each desk, however many runners wait, and a claim costs a part of one commit when many come together.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tstr_shared::ids::RunnerId;
use tstr_shared::lease::LeasedRun;
use tstr_shared::permission::RunsExecute;
use uuid::Uuid;

use super::Ops;
use super::configs::Handed;
use super::placement::{Candidates, Signature};
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store::claims::{Asker, ClaimFor, ClaimOf};
use crate::store::runners::Unable;
use crate::store::{self, Quota};

/// How many claims one look serves at most.
const ASKS_AT_ONCE: usize = 64;
/// How many runs one statement takes at most.
const RUNS_AT_ONCE: usize = 256;
/// How often a desk that a quota holds back looks again.
const LIMITED_LOOK_EVERY: Duration = Duration::from_millis(500);

/// Whom a desk serves: the index of a signature, and the namespaces that the tokens reach.
type Key = (usize, Vec<i32>);

/// All desks of a replica at which anybody waits. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Desks(Arc<Mutex<HashMap<Key, Arc<Desk>>>>);

/// Where the runners of one signature wait.
pub(super) struct Desk {
    key: Key,
    signature: Arc<Signature>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    asks: VecDeque<Ask>,
    next: u64,
    /// How many claims have a seat here. Changed under the lock of all desks as well.
    seats: usize,
    /// How often claims of runners that drained were to be looked for again.
    resumed: u64,
    /// A task looks at this moment.
    looking: bool,
    /// Something happened since it began.
    again: bool,
    /// It will be looked again after a while, because a quota left runs where they are.
    alarmed: bool,
}

/// A claim that waits.
struct Ask {
    number: u64,
    caller: Caller,
    access: Access<RunsExecute>,
    asker: Asker,
    /// It has waited long enough: the next look is its last.
    last: Arc<AtomicBool>,
    /// There may be an earlier try of the same claim.
    is_repeat: bool,
    state: State,
    reply: oneshot::Sender<Result<Vec<LeasedRun>>>,
}

/// What a claim that waits waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To hear what an earlier try was given: nothing is looked for before.
    Asking,
    /// For runs.
    Looking,
    /// For somebody to let its runner, which drains, take runs again.
    Draining,
}

/// A claim's seat at a desk; given up when it is dropped.
pub(super) struct Seat {
    desks: Desks,
    desk: Arc<Desk>,
    number: u64,
    last: Arc<AtomicBool>,
    /// Where the runs arrive.
    pub(super) answer: oneshot::Receiver<Result<Vec<LeasedRun>>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = self.desks.map();
        let mut queue = self.desk.queue();
        queue.asks.retain(|ask| ask.number != self.number);
        queue.seats -= 1;
        Desks::close(&mut all, &self.desk, &queue);
    }
}

impl Desks {
    fn map(&self) -> MutexGuard<'_, HashMap<Key, Arc<Desk>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<Arc<Desk>> {
        self.map().values().cloned().collect()
    }

    /// Takes a seat at a desk, which is opened where there is none.
    fn sit_down(&self, signature: &Arc<Signature>, namespaces: &[i32]) -> Arc<Desk> {
        let mut all = self.map();
        let key = (signature.index(), namespaces.to_vec());
        let open = || Desk { key: key.clone(), signature: signature.clone(), queue: Mutex::default() };
        let desk = all.entry(key.clone()).or_insert_with(|| Arc::new(open())).clone();
        desk.queue().seats += 1;
        desk
    }

    /// Forgets a desk at which nobody has a seat and nobody looks; the last one who leaves it finds that.
    fn close(all: &mut HashMap<Key, Arc<Desk>>, desk: &Desk, queue: &Queue) {
        // Only itself: one that was forgotten may have been followed by another.
        let is_open = all.get(&desk.key).is_some_and(|open| std::ptr::eq(&**open, desk));
        if queue.seats == 0 && !queue.looking && is_open {
            all.remove(&desk.key);
        }
    }

    /// Returns how many desks there are.
    pub(super) fn count(&self) -> usize {
        self.map().len()
    }
}

impl Desk {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a claim wait. An earlier try of it gives its place up: nobody is given twice what was wanted once.
    fn wait(&self, queue: &mut Queue, ask: Ask) {
        let earlier = |other: &&mut Ask| ask.is_repeat && other.asker.claim() == ask.asker.claim();
        match queue.asks.iter_mut().find(earlier) {
            Some(earlier) => {
                let earlier = std::mem::replace(earlier, ask);
                let _ = earlier.reply.send(Ok(Vec::new()));
            }
            None => queue.asks.push_back(ask),
        }
    }

    /// Takes the claims of one look from the front; and says how often claims were resumed before it.
    fn take(&self) -> (Vec<Ask>, u64) {
        let mut queue = self.queue();
        queue.again = false;
        let (mut wanted, mut taken, mut kept) = (0, Vec::new(), VecDeque::new());
        while taken.len() < ASKS_AT_ONCE && (taken.is_empty() || wanted < RUNS_AT_ONCE) {
            let Some(ask) = queue.asks.pop_front() else { break };
            if ask.reply.is_closed() {
                continue;
            }
            let is_looked_for = match ask.state {
                State::Looking => true,
                State::Asking => false,
                State::Draining => ask.last.load(Ordering::Acquire),
            };
            if !is_looked_for {
                kept.push_back(ask);
                continue;
            }
            wanted += ask.asker.want;
            taken.push(ask);
        }
        kept.append(&mut queue.asks);
        queue.asks = kept;
        (taken, queue.resumed)
    }

    /// Tells whether anybody waits for whom it is worth to look.
    fn has_claims(&self) -> bool {
        self.queue().asks.iter().any(|ask| ask.state == State::Looking)
    }

    /// Puts claims that got nothing back to the front, in their order. `resumed` is what was said when they were taken: a
    /// runner that drained then, and was resumed since, waits for runs. Whoever was told so looks again.
    fn put_back(&self, asks: Vec<Ask>, resumed: u64) {
        let mut queue = self.queue();
        let was_resumed = queue.resumed != resumed;
        let repeated: HashSet<_> = queue.asks.iter().filter(|ask| ask.is_repeat).map(|ask| ask.asker.claim()).collect();
        for mut ask in asks.into_iter().rev().filter(|ask| !ask.reply.is_closed()) {
            if repeated.contains(&ask.asker.claim()) {
                let _ = ask.reply.send(Ok(Vec::new()));
                continue;
            }
            if was_resumed && ask.state == State::Draining {
                ask.state = State::Looking;
            }
            queue.asks.push_front(ask);
        }
    }

    /// Takes the later tries of claims out that came while these were given runs: they are answered alike.
    fn take_repeats(&self, given: &HashMap<ClaimOf, Vec<LeasedRun>>) -> Vec<Ask> {
        let mut queue = self.queue();
        let is_given = |ask: &Ask| ask.is_repeat && given.contains_key(&ask.asker.claim());
        if !queue.asks.iter().any(is_given) {
            return Vec::new();
        }
        let (repeats, others) = std::mem::take(&mut queue.asks).into_iter().partition(is_given);
        queue.asks = others;
        Vec::from(repeats)
    }

    /// Lets the claims of runners that drained be looked for again.
    fn resume(&self) {
        let mut queue = self.queue();
        queue.resumed += 1;
        queue.asks.iter_mut().filter(|ask| ask.state == State::Draining).for_each(|ask| ask.state = State::Looking);
    }

    /// Takes the claims out that have waited long enough.
    fn take_last(&self) -> Vec<Ask> {
        let mut queue = self.queue();
        let (last, others) =
            std::mem::take(&mut queue.asks).into_iter().partition(|ask| ask.last.load(Ordering::Acquire));
        queue.asks = others;
        Vec::from(last)
    }

    /// Ends the task's work unless something happened meanwhile; tells whether it did.
    fn rest(&self) -> bool {
        let mut queue = self.queue();
        let again = std::mem::take(&mut queue.again);
        queue.looking = again;
        again
    }
}

/// A task that looks. Where it panics, those that wait are told to ask again, and the next one may look.
struct Looking<'a>(&'a Desk);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut queue = self.0.queue();
            queue.looking = false;
            queue.asks.clear();
        }
    }
}

/// What one look gave.
#[derive(Default)]
struct Look {
    runs: Vec<Handed>,
    /// A quota left runs where they are.
    limited: bool,
    /// Runners that asked and may have nothing now.
    unable: HashMap<(RunnerId, Uuid), Unable>,
}

impl Ops {
    /// Lets a claim wait at the desk of its runner's signature. The first try is looked for at once; a later one when
    /// [`Ops::look_for`] says so, and until then it only hears what the earlier one is given.
    pub(super) fn wait_at_desk(
        &self,
        caller: &Caller,
        access: Access<RunsExecute>,
        signature: &Arc<Signature>,
        asker: Asker,
        is_first: bool,
    ) -> Seat {
        let desks = self.0.desks.clone();
        let desk = desks.sit_down(signature, access.namespaces());
        let (reply, answer) = oneshot::channel();
        let last = Arc::new(AtomicBool::new(false));
        let number = {
            let mut queue = desk.queue();
            queue.next += 1;
            let number = queue.next;
            let (caller, last) = (caller.clone(), last.clone());
            let state = if is_first { State::Looking } else { State::Asking };
            desk.wait(&mut queue, Ask { number, caller, access, asker, last, is_repeat: !is_first, state, reply });
            number
        };
        let seat = Seat { desks, desk, number, last, answer };
        if is_first {
            self.look_soon(&seat.desk);
        }
        seat
    }

    /// Lets a claim be looked for: its earlier tries were given nothing.
    pub(super) fn look_for(&self, seat: &Seat) {
        let mine = |ask: &&mut Ask| ask.number == seat.number;
        if let Some(ask) = seat.desk.queue().asks.iter_mut().find(mine) {
            ask.state = State::Looking;
        }
        self.look_soon(&seat.desk);
    }

    /// Lets the next look of a claim be its last.
    pub(super) fn wait_no_longer(&self, seat: &Seat) {
        seat.last.store(true, Ordering::Release);
        self.look_soon(&seat.desk);
    }

    /// Lets every desk look: runs became ready, or room under a quota.
    pub(super) fn look_everywhere(&self) {
        for desk in self.0.desks.all() {
            self.look_soon(&desk);
        }
    }

    /// Lets the claims of runners that were draining be looked for again.
    pub(super) fn look_for_resumed(&self) {
        for desk in self.0.desks.all() {
            desk.resume();
            self.look_soon(&desk);
        }
    }

    fn look_soon(&self, desk: &Arc<Desk>) {
        let mut queue = desk.queue();
        if queue.asks.is_empty() && !queue.looking {
            return;
        }
        queue.again = true;
        if !std::mem::replace(&mut queue.looking, true) {
            tokio::spawn(self.clone().serve(desk.clone()));
        }
    }

    /// Looks until nobody waits or nothing is there.
    async fn serve(self, desk: Arc<Desk>) {
        let _looking = Looking(&desk);
        loop {
            let served = self.serve_once(&desk).await;
            if !served && !desk.rest() {
                let mut all = self.0.desks.map();
                let queue = desk.queue();
                return Desks::close(&mut all, &desk, &queue);
            }
        }
    }

    /// Looks once for the claims in front; tells whether it is worth to go on at once.
    async fn serve_once(&self, desk: &Arc<Desk>) -> bool {
        let (asks, resumed) = desk.take();
        let asks = self.refuse_revoked(asks);
        if asks.is_empty() {
            return false;
        }
        metrics::counter!("tstr_claim_looks_total").increment(1);
        let look = match self.look(desk, &asks).await {
            Ok(look) => look,
            Err(error) => {
                tracing::warn!("a look into the queue failed: {error}");
                for ask in asks {
                    let _ = ask.reply.send(Err(Error::unavailable(anyhow::anyhow!("a look failed: {error}"))));
                }
                return desk.has_claims();
            }
        };
        if look.limited && !std::mem::replace(&mut desk.queue().alarmed, true) {
            let (ops, desk) = (self.clone(), desk.clone());
            tokio::spawn(async move {
                tokio::time::sleep(LIMITED_LOOK_EVERY).await;
                desk.queue().alarmed = false;
                ops.look_soon(&desk);
            });
        }
        let served = !look.runs.is_empty();
        // Whoever may have nothing makes room in front for those behind.
        let moved = !look.unable.is_empty();
        let claims: HashMap<_, _> =
            asks.iter().map(|ask| ((ask.asker.runner, ask.asker.claim_id), ask.asker.claim())).collect();
        let mut given: HashMap<ClaimOf, Vec<LeasedRun>> = HashMap::new();
        let (waited, now) = (metrics::histogram!("tstr_queue_wait_seconds"), self.0.clock.now().now);
        for one in look.runs {
            if one.run.fence.attempt == 1 {
                let wait = now - one.run.fence.run_id.time();
                waited.record(wait.num_milliseconds().max(0) as f64 / 1000.0);
            }
            if let Some(claim) = claims.get(&(one.runner, one.claim_id)) {
                given.entry(*claim).or_default().push(one.run);
            }
        }
        for repeat in desk.take_repeats(&given) {
            let runs = given.get(&repeat.asker.claim()).cloned().unwrap_or_default();
            let _ = repeat.reply.send(Ok(runs));
        }
        let mut unserved = Vec::new();
        for mut ask in asks {
            let asker = (ask.asker.runner, ask.asker.claim_id);
            match (given.remove(&ask.asker.claim()), look.unable.get(&asker)) {
                // A claimer that has gone meanwhile is given the same when it repeats its claim.
                (Some(runs), _) => drop(ask.reply.send(Ok(runs))),
                (None, _) if ask.last.load(Ordering::Acquire) => drop(ask.reply.send(Ok(Vec::new()))),
                (None, Some(Unable::Draining)) => {
                    ask.state = State::Draining;
                    unserved.push(ask);
                }
                // It has registered anew, and must be asked again what it takes.
                (None, Some(Unable::Changed)) => {
                    self.0.runners.forget(ask.asker.runner);
                    drop(ask.reply.send(Ok(Vec::new())));
                }
                (None, None) => unserved.push(ask),
            }
        }
        desk.put_back(unserved, resumed);
        if !served && !moved {
            // Nothing was there for those in front, so there is nothing for those behind them either.
            for ask in desk.take_last() {
                let _ = ask.reply.send(Ok(Vec::new()));
            }
        }
        (served || moved) && desk.has_claims()
    }

    fn refuse_revoked(&self, asks: Vec<Ask>) -> Vec<Ask> {
        let mut good = Vec::with_capacity(asks.len());
        for ask in asks {
            match self.still_holds(&ask.caller) {
                Ok(()) => good.push(ask),
                Err(error) => drop(ask.reply.send(Err(error))),
            }
        }
        good
    }

    async fn look(&self, desk: &Desk, asks: &[Ask]) -> Result<Look> {
        let mut look = Look::default();
        let Some(access) = asks.first().map(|ask| &ask.access) else { return Ok(look) };
        let mut askers: Vec<Asker> = asks.iter().map(|ask| ask.asker.clone()).collect();
        let mut full = HashSet::new();
        loop {
            // From before the board is read: on another timeline than its lanes nothing is claimed by them.
            let timeline = self.learn_classes(access).await?;
            let wanted: usize = askers.iter().map(|asker| asker.want).sum();
            let open: Vec<i32> = access.namespaces().iter().copied().filter(|ns| !full.contains(ns)).collect();
            let candidates = self.0.placement.candidates(&desk.signature, &open, wanted.min(RUNS_AT_ONCE));
            for from in &candidates {
                let taken = match self.take(access, &askers, from, &timeline, &mut look).await {
                    Ok(taken) => taken,
                    // Those that have something are told of it; the others wait on.
                    Err(error) if !look.runs.is_empty() => {
                        tracing::warn!("a look for runs ends early: {error}");
                        return Ok(look);
                    }
                    Err(error) => return Err(error),
                };
                if taken.limited {
                    full.insert(from.ns_id);
                }
                self.0.placement.count_held(from.ns_id, taken.runs.len() as i64);
                for one in &taken.runs {
                    if let Some(asker) =
                        askers.iter_mut().find(|a| a.runner == one.runner && a.claim_id == one.claim_id)
                    {
                        asker.want = asker.want.saturating_sub(1);
                    }
                }
                askers.retain(|asker| asker.want > 0 && !look.unable.contains_key(&(asker.runner, asker.claim_id)));
                look.runs.extend(taken.runs);
            }
            // Every round gives runs, finds lanes empty, finds a namespace full, or finds askers that may have nothing. Full
            // namespaces are left out of the next one: what they cannot have goes to others.
            if askers.is_empty() || candidates.is_empty() {
                return Ok(look);
            }
        }
    }

    /// Claims from the lanes of one namespace, under its quota.
    async fn take(
        &self,
        access: &Access<RunsExecute>,
        askers: &[Asker],
        from: &Candidates,
        timeline: &str,
        look: &mut Look,
    ) -> Result<Taken> {
        if askers.is_empty() {
            return Ok(Taken::default());
        }
        let rows = self.namespace_rows(false).await?;
        let row = rows.iter().find(|row| row.reference.id == from.ns_id);
        let claim =
            |max| ClaimFor { ns_id: from.ns_id, lanes: &from.lanes, max, askers, ttl: self.0.times.ttl, timeline };
        let Some(cap) = row.and_then(|row| row.quotas.max_running) else {
            let mut conn = self.0.pools.claim.acquire().await?;
            let found = store::claims::claim(&mut conn, access, &claim(from.share)).await?;
            if found.askers < askers.len() {
                look.unable.extend(store::runners::unable(&mut conn, access, askers).await?);
            }
            drop(conn);
            self.note(from, from.share, timeline, &found);
            return Ok(Taken { runs: self.hand_out(access, timeline, from, found.runs).await?, limited: false });
        };
        let mut tx = self.0.pools.claim.begin().await?;
        store::lock_quota(&mut tx, Quota::Running, from.ns_id).await?;
        let running = store::claims::count_running(&mut tx, access, from.ns_id).await?;
        let room = usize::try_from(i64::from(cap) - running).unwrap_or(0);
        if room == 0 {
            look.limited = true;
            return Ok(Taken { limited: true, ..Taken::default() });
        }
        let max = from.share.min(room);
        let found = store::claims::claim(&mut tx, access, &claim(max)).await?;
        if found.askers < askers.len() {
            look.unable.extend(store::runners::unable(&mut tx, access, askers).await?);
        }
        tx.commit().await?;
        self.note(from, max, timeline, &found);
        let limited = room < from.share && found.runs.len() == room;
        look.limited |= limited;
        Ok(Taken { runs: self.hand_out(access, timeline, from, found.runs).await?, limited })
    }

    /// Tells the board what a statement found.
    fn note(&self, from: &Candidates, max: usize, timeline: &str, found: &store::claims::Found) {
        if found.timeline != timeline {
            return self.forget_timeline(&found.timeline);
        }
        // With fewer than there was room for, every lane was walked to its end.
        let searched = if found.runs.len() < max.min(found.room) { from.lanes.as_slice() } else { &[] };
        self.0.placement.claimed(&found.last, searched, from.as_of);
    }

    /// Learns the classes of new lanes; returns the timeline that all of them were read on.
    async fn learn_classes(&self, access: &Access<RunsExecute>) -> Result<String> {
        let timeline = self.learn_timeline().await?;
        let unknown = self.0.placement.unknown_classes();
        if !unknown.is_empty() {
            let mut conn = self.0.pools.claim.acquire().await?;
            let classes = store::queue::classes(&mut conn, access, &unknown).await?;
            self.remember(&timeline, || self.0.placement.add_classes(classes));
        }
        Ok(timeline)
    }
}

/// What one statement took.
#[derive(Default)]
struct Taken {
    runs: Vec<Handed>,
    /// The namespace's quota left runs where they are.
    limited: bool,
}

#[cfg(test)]
mod tests;
