//! Sixteen at once, against gates and quotas: what each of them was answered is one history, and that history is one that
//! somebody could have made alone.
//!
//! The events of the database are the order of it. Each answer has its event while it was waited for, each event has an
//! answer or a cause; and played in their order by the rules of the model, they never break a limit and end as stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use tstr_api::turns;
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::{LeaseId, RunId};
use tstr_shared::lease::Fence;
use tstr_shared::permission::Scope;
use tstr_shared::run::{Reason, RunResult, RunState, TriggerRun};
use tstr_shared::selector::SelectorSources;
use tstr_tests::Lab;
use tstr_tests::checker::{self, Evidence};
use tstr_tests::contract::{Worker, default};
use uuid::Uuid;

use super::gates::Policy;
use super::reference::Kind;
use super::{KINDS, body, seed};

const CLAIMERS: usize = 16;
/// How often each of them does something and claims.
const TURNS: usize = 40;
const MAX_QUEUED: usize = 12;
const MAX_RUNNING: usize = 6;
/// How far the clocks of two processes on one machine may be apart.
const SAME_MOMENT: chrono::Duration = chrono::Duration::milliseconds(1);

/// What somebody was told to have been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Did {
    Made {
        run: RunId,
        kind: usize,
        set: usize,
        cell: usize,
    },
    Claimed(Fence),
    Started(Fence),
    Finished(Fence, RunResult),
    Released(Fence, Option<Reason>),
    /// It is over.
    Cancelled(RunId),
    /// It will be, by whoever executes it.
    CancelAsked(RunId),
}

/// An answer, and between which moments it was waited for.
#[derive(Debug, Clone, Copy)]
struct Answer {
    did: Did,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

#[derive(Default)]
struct History {
    answers: Mutex<Vec<Answer>>,
    refused: Mutex<BTreeMap<String, usize>>,
}

impl History {
    fn note(&self, from: DateTime<Utc>, did: Did) {
        self.answers.lock().unwrap().push(Answer { did, from, to: Utc::now() });
    }

    fn refuse(&self, code: ErrorCode) {
        *self.refused.lock().unwrap().entry(code.word().to_owned()).or_default() += 1;
    }
}

/// Random numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

/// One of those who do things at once.
struct Claimer {
    lab: Arc<Lab>,
    history: Arc<History>,
    worker: Worker,
    dice: Dice,
    made: Vec<RunId>,
    /// Numbers its sets apart from those of others.
    sets: usize,
}

impl Claimer {
    async fn live(mut self) {
        for _ in 0..TURNS {
            match self.dice.roll(12) {
                0..=5 => self.trigger().await,
                6 => self.cancel().await,
                7 => drop(turns::carry_out_orders(&self.worker.ops).await.unwrap()),
                8 => {
                    let due = "UPDATE delayed SET due = clock_timestamp() - interval '1 s'";
                    self.lab.execute(due).await.unwrap();
                    turns::move_due(&self.worker.ops).await.unwrap();
                }
                _ => turns::refresh_lanes(&self.worker.ops).await.unwrap(),
            }
            self.work().await;
        }
    }

    async fn trigger(&mut self) {
        let (kind, from) = (self.dice.roll(KINDS.len() as u64) as usize, Utc::now());
        let name = format!("kind{kind}");
        match self.worker.ops.trigger(&self.lab.admin, &default(), &name, TriggerRun::default(), None).await {
            Ok(made) => {
                self.sets += 1;
                for (cell, run) in made.runs.iter().enumerate() {
                    self.made.push(run.id);
                    self.history.note(from, Did::Made { run: run.id, kind, set: self.sets, cell });
                }
            }
            Err(error) => {
                let expected = [ErrorCode::QuotaExceeded, ErrorCode::ConcurrencyForbidden];
                assert!(expected.contains(&error.code()), "{error}");
                self.history.refuse(error.code());
            }
        }
    }

    async fn cancel(&mut self) {
        if self.made.is_empty() {
            return;
        }
        let run = self.made.swap_remove(self.dice.roll(self.made.len() as u64) as usize);
        let from = Utc::now();
        match self.worker.ops.cancel_run(&self.lab.admin, run).await {
            Ok(seen) if seen.state == RunState::Finished => self.history.note(from, Did::Cancelled(run)),
            Ok(_) => self.history.note(from, Did::CancelAsked(run)),
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::Conflict, "{error}");
                self.history.refuse(error.code());
            }
        }
    }

    /// Claims, and ends what it gets in one way or another; returns how many it got.
    async fn work(&mut self) -> usize {
        let (max, from) = (1 + self.dice.roll(3) as u16, Utc::now());
        let leased = self.worker.claim(max).await;
        let fences: Vec<Fence> = leased.iter().map(|run| run.fence).collect();
        for fence in &fences {
            self.history.note(from, Did::Claimed(*fence));
        }
        // Others are to find the slots taken.
        tokio::time::sleep(Duration::from_millis(self.dice.roll(16))).await;
        for fence in &fences {
            let from = Utc::now();
            if self.dice.roll(6) == 0 {
                let done = self.worker.release(*fence, None).await;
                self.ended(from, done, Did::Released(*fence, None));
                continue;
            }
            match self.worker.start(*fence).await {
                Ok(_) => self.history.note(from, Did::Started(*fence)),
                // It was cancelled meanwhile.
                Err(code) => {
                    assert_eq!(code, ErrorCode::LeaseLost);
                    continue;
                }
            }
            tokio::time::sleep(Duration::from_millis(self.dice.roll(16))).await;
            let from = Utc::now();
            if self.dice.roll(5) == 0 {
                let done = self.worker.release(*fence, Some(Reason::RuntimeLost)).await;
                assert_eq!(done, Ok(()), "who runs it can give it up");
                self.ended(from, done, Did::Released(*fence, Some(Reason::RuntimeLost)));
                continue;
            }
            let result = [RunResult::Pass, RunResult::Pass, RunResult::Fail, RunResult::TimedOut, RunResult::Error]
                [self.dice.roll(5) as usize];
            let done = self.worker.finish(*fence, result).await;
            assert_eq!(done, Ok(()), "who runs it can end it");
            self.ended(from, done, Did::Finished(*fence, result));
        }
        fences.len()
    }

    fn ended(&self, from: DateTime<Utc>, done: Result<(), ErrorCode>, did: Did) {
        match done {
            Ok(()) => self.history.note(from, did),
            Err(code) => assert_eq!(code, ErrorCode::LeaseLost, "{did:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sixteen_do_at_once_behind_gates_and_quotas_is_a_history_of_the_model() {
    let (seed, began) = (seed(), std::time::Instant::now());
    let (lab, history) = (Arc::new(Lab::start_with(2).await), Arc::new(History::default()));
    for (i, kind) in KINDS.iter().enumerate() {
        lab.test(body(i, *kind)).await;
    }
    lab.quotas(Some(MAX_QUEUED as i32), Some(MAX_RUNNING as i32)).await;
    let claimer = async |i: usize| {
        let (ops, caller) = (lab.replica(i % 2), lab.caller(&[Scope::Runner], &[".*"]));
        let worker = Worker::register(ops, caller, &format!("w{i}"), SelectorSources::default()).await;
        let dice = Dice(seed.wrapping_add(i as u64 * 7919));
        Claimer { lab: lab.clone(), history: history.clone(), worker, dice, made: Vec::new(), sets: i << 32 }
    };
    let mut crowd = Vec::new();
    for i in 0..CLAIMERS {
        crowd.push(tokio::spawn(claimer(i).await.live()));
    }
    for one in crowd {
        one.await.unwrap();
    }
    // Whoever is left is let in by those who end, and by nobody else.
    let mut last = claimer(CLAIMERS).await;
    loop {
        let orders = turns::carry_out_orders(lab.ops()).await.unwrap();
        let due = lab.execute("UPDATE delayed SET due = clock_timestamp() - interval '1 s'").await.unwrap();
        lab.move_due().await;
        lab.check().await;
        turns::refresh_lanes(lab.ops()).await.unwrap();
        if last.work().await == 0 && orders == 0 && due == 0 {
            break;
        }
    }
    let mut conn = lab.db.connect().await;
    checker::check(&mut conn, &Evidence { leftovers: Some(Vec::new()), ..Evidence::default() }).await;
    let events = sqlx::query_as(
        "SELECT id, at, run_id, state_from, state_to, attempt, lease_id, result, reason FROM run_event ORDER BY at, id",
    );
    let events: Vec<Event> = events.fetch_all(&mut conn).await.unwrap();
    let ends: Vec<(RunId, String, Option<String>, i16, bool)> =
        sqlx::query_as("SELECT run_id, result, reason, attempt, flaky FROM run_end")
            .fetch_all(&mut conn)
            .await
            .unwrap();
    let answers = history.answers.lock().unwrap().clone();
    eprintln!(
        "{} answers, {} events, {} runs in {:.1} s; refused: {:?}",
        answers.len(),
        events.len(),
        ends.len(),
        began.elapsed().as_secs_f64(),
        history.refused.lock().unwrap()
    );
    let judge = Judge::new(&answers);
    judge.real_time(&events);
    judge.limits(&events);
    judge.totals(&events, &ends);
    // It was worth looking at: the limits were met, and every way to end was taken.
    for word in ["pass", "fail", "error", "timed_out", "cancelled"] {
        assert!(ends.iter().any(|end| end.1 == word), "no run ended with {word}");
    }
    for code in ["concurrency_forbidden", "conflict", "quota_exceeded"] {
        assert!(history.refused.lock().unwrap().contains_key(code), "nothing was refused as {code}");
    }
}

/// A row of the history in the database.
#[derive(Debug, sqlx::FromRow)]
struct Event {
    #[expect(dead_code, reason = "shown when something is wrong")]
    id: i64,
    at: DateTime<Utc>,
    run_id: RunId,
    state_from: Option<String>,
    state_to: String,
    attempt: i16,
    lease_id: Option<Uuid>,
    result: Option<String>,
    reason: Option<String>,
}

/// What a run is by the model, and what was asked of it.
#[derive(Debug, Clone, Copy)]
struct Known {
    kind: Kind,
    test: usize,
    set: usize,
    cell: usize,
}

struct Judge<'a> {
    answers: &'a [Answer],
    runs: BTreeMap<RunId, Known>,
    /// Somebody asked for the cancel, and was told that it will be or is done.
    cancelled: BTreeSet<RunId>,
    ends: BTreeMap<LeaseId, Did>,
}

impl<'a> Judge<'a> {
    fn new(answers: &'a [Answer]) -> Self {
        let mut judge = Self { answers, runs: BTreeMap::new(), cancelled: BTreeSet::new(), ends: BTreeMap::new() };
        for answer in answers {
            match answer.did {
                Did::Made { run, kind, set, cell } => {
                    let known = Known { kind: KINDS[kind], test: kind, set, cell };
                    assert!(judge.runs.insert(run, known).is_none(), "run {run} was made twice");
                }
                Did::Cancelled(run) | Did::CancelAsked(run) => drop(judge.cancelled.insert(run)),
                Did::Finished(fence, _) | Did::Released(fence, _) => {
                    let twice = judge.ends.insert(fence.lease_id, answer.did);
                    assert_eq!(twice, None, "a lease ended twice");
                }
                Did::Claimed(_) | Did::Started(_) => {}
            }
        }
        judge
    }

    /// Each answer has its event, between its question and itself; and nothing happened that nobody asked for.
    fn real_time(&self, events: &[Event]) {
        let mut by: BTreeMap<(RunId, Option<Uuid>, &str), Vec<&Event>> = BTreeMap::new();
        for event in events {
            let kind = match (event.state_from.as_deref(), event.state_to.as_str()) {
                (None, "queued") => "made",
                (Some("queued"), "leased") => "claimed",
                (Some("leased"), "running") => "started",
                (Some("running"), _) | (Some("leased"), "queued") => "ended",
                (Some("leased" | "queued"), "finished") => "called off",
                other => panic!("{other:?}: {event:?}"),
            };
            let lease = event.lease_id.filter(|_| !matches!(kind, "made" | "called off"));
            by.entry((event.run_id, lease, kind)).or_default().push(event);
        }
        for answer in self.answers {
            let key = match answer.did {
                Did::Made { run, .. } => (run, None, "made"),
                Did::Claimed(fence) => (fence.run_id, Some(fence.lease_id.0), "claimed"),
                Did::Started(fence) => (fence.run_id, Some(fence.lease_id.0), "started"),
                Did::Finished(fence, _) | Did::Released(fence, Some(_)) => {
                    (fence.run_id, Some(fence.lease_id.0), "ended")
                }
                Did::Released(fence, None) => {
                    let lease = Some(fence.lease_id.0);
                    // The last of too many.
                    let key = (fence.run_id, lease, "ended");
                    if by.contains_key(&key) { key } else { (fence.run_id, None, "called off") }
                }
                Did::Cancelled(run) => (run, None, "called off"),
                Did::CancelAsked(_) => continue,
            };
            let found = by.remove(&key).unwrap_or_else(|| panic!("{answer:?} left no event"));
            assert_eq!(found.len(), 1, "{answer:?} happened more than once: {found:?}");
            let at = found[0].at;
            let (from, to) = (answer.from - SAME_MOMENT, answer.to + SAME_MOMENT);
            assert!(from <= at && at <= to, "{answer:?} happened at {at}, when nobody waited for it");
        }
        // What is left nobody was answered: only the server's own cancels are such.
        for ((run, _, kind), events) in by {
            assert_eq!(kind, "called off", "run {run}: nobody was told of {events:?}");
            let known = self.runs[&run];
            let may = self.may_be_ordered(known)
                || matches!(known.kind.gate.map(|gate| gate.policy), Some(Policy::Queue { .. }));
            assert!(may && events[0].result.as_deref() == Some("cancelled"), "run {run}: {events:?}");
        }
    }

    /// Others may have it cancelled: who replaces it, or a cell that fails.
    fn may_be_ordered(&self, known: Known) -> bool {
        let replaced = known.kind.gate.is_some_and(|gate| {
            gate.policy == Policy::Replace
                || gate.in_group
                    && KINDS.iter().any(|one| one.gate.is_some_and(|g| g.in_group && g.policy == Policy::Replace))
        });
        replaced || known.kind.fail_fast
    }

    /// Played one after the other, the events never take more than there is.
    fn limits(&self, events: &[Event]) {
        // From its first lease to its end a run has the slots of its gates.
        let mut gates: BTreeMap<(Option<usize>, usize), BTreeSet<RunId>> = BTreeMap::new();
        let (mut matrices, mut leased): (BTreeMap<usize, BTreeSet<RunId>>, BTreeSet<RunId>) = Default::default();
        let (mut waiting, mut most) = (BTreeSet::new(), [0; 4]);
        for event in events {
            let (run, known) = (event.run_id, self.runs[&event.run_id]);
            let key =
                known.kind.gate.map(|gate| if gate.in_group { (None, 0) } else { (Some(known.test), known.cell) });
            match event.state_to.as_str() {
                "leased" => {
                    leased.insert(run);
                    waiting.remove(&run);
                    assert!(leased.len() <= MAX_RUNNING, "{} runs are leased at {}", leased.len(), event.at);
                    if let (Some(key), Some(gate)) = (key, known.kind.gate) {
                        let held = gates.entry(key).or_default();
                        held.insert(run);
                        most[1] = most[1].max(held.len());
                        assert!(held.len() <= gate.limit, "{held:?} pass a gate of {} at {}", gate.limit, event.at);
                    }
                    if let Some(limit) = known.kind.max_parallel {
                        let held = matrices.entry(known.set).or_default();
                        held.insert(run);
                        most[2] = most[2].max(held.len());
                        assert!(held.len() <= limit, "{held:?} of a matrix of {limit} at {}", event.at);
                    }
                }
                "finished" => {
                    leased.remove(&run);
                    waiting.remove(&run);
                    key.and_then(|key| gates.get_mut(&key)).map(|held| held.remove(&run));
                    matrices.get_mut(&known.set).map(|held| held.remove(&run));
                }
                "queued" => {
                    leased.remove(&run);
                    if event.state_from.is_none() {
                        waiting.insert(run);
                        // Those that came back are let in whatever the quota says, and are not counted here.
                        assert!(waiting.len() <= MAX_QUEUED, "{} runs wait at {}", waiting.len(), event.at);
                    }
                }
                _ => {}
            }
            most[0] = most[0].max(leased.len());
            most[3] = most[3].max(waiting.len());
        }
        eprintln!(
            "at once: {} leased, {} behind a gate, {} of a matrix, {} waiting",
            most[0], most[1], most[2], most[3]
        );
        assert!(most[0] == MAX_RUNNING && most[1] == 2 && most[2] == 2, "the limits were never met: {most:?}");
    }

    /// Played by the rules of the model, what each attempt came to gives the result that is stored.
    fn totals(&self, events: &[Event], ends: &[(RunId, String, Option<String>, i16, bool)]) {
        let mut plays: BTreeMap<RunId, Play> = BTreeMap::new();
        for event in events {
            let known = self.runs[&event.run_id];
            let play = plays.entry(event.run_id).or_default();
            let orderable = self.may_be_ordered(known) || self.cancelled.contains(&event.run_id);
            play.take(event, known.kind, orderable, event.lease_id.and_then(|id| self.ends.get(&LeaseId(id)).copied()));
        }
        assert_eq!(plays.len(), self.runs.len(), "exactly what was made is there");
        assert_eq!(ends.len(), self.runs.len(), "every run ends once");
        for (run, result, reason, attempt, flaky) in ends {
            let play = &plays[run];
            let expected = play.end.clone().unwrap_or_else(|| panic!("run {run} has no end in its events"));
            assert_eq!((result, reason), (&expected.0, &expected.1), "run {run}");
            assert_eq!((*attempt, *flaky), (play.attempt, result == "pass" && play.test_retries > 0), "run {run}");
        }
        let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
        for play in plays.values() {
            let (result, _) = play.end.as_ref().expect("looked at before");
            counts.entry(result).or_default()[0] += 1;
        }
        for (_, result, ..) in ends {
            counts.entry(result).or_default()[1] += 1;
        }
        eprintln!("results by the model and as stored: {}", json!(counts));
        assert!(counts.values().all(|[model, stored]| model == stored), "{counts:?}");
    }
}

/// One run by the rules of the model.
#[derive(Debug, Default)]
struct Play {
    attempt: i16,
    infra_losses: u8,
    test_retries: u8,
    releases: u8,
    end: Option<(String, Option<String>)>,
}

impl Play {
    fn take(&mut self, event: &Event, kind: Kind, may_be_cancelled: bool, did: Option<Did>) {
        assert_eq!(self.end, None, "something happened after the end: {event:?}");
        let over = event.state_to == "finished";
        match (event.state_from.as_deref(), did) {
            (None, _) => {}
            (Some("queued"), _) if !over => self.attempt += 1,
            (Some("leased"), _) if event.state_to == "running" => {}
            (Some("leased"), Some(Did::Released(_, None))) => {
                self.releases += 1;
                assert_eq!(over, self.releases >= 5, "{event:?} after {self:?}");
            }
            (Some("running"), Some(Did::Finished(_, result))) => {
                let failed = matches!(result, RunResult::Fail | RunResult::TimedOut);
                match over {
                    true => {
                        assert_eq!(event.result.as_deref(), Some(result.word()), "{event:?}");
                        let used_up = self.test_retries >= kind.on_fail;
                        assert!(!failed || used_up || may_be_cancelled, "it was to be tried again: {event:?} {self:?}");
                    }
                    false => {
                        assert!(failed && self.test_retries < kind.on_fail, "{event:?} after {self:?}");
                        self.test_retries += 1;
                    }
                }
            }
            (Some("running"), Some(Did::Released(_, Some(_)))) => match over {
                true if event.result.as_deref() == Some("cancelled") => assert!(may_be_cancelled, "{event:?}"),
                true => {
                    assert_eq!(event.result.as_deref(), Some("error"), "{event:?}");
                    let used_up = kind.at_most_once || self.infra_losses >= kind.on_infrastructure;
                    assert!(used_up, "it was to be tried again: {event:?} {self:?}");
                }
                false => {
                    assert!(!kind.at_most_once && self.infra_losses < kind.on_infrastructure, "{event:?} {self:?}");
                    self.infra_losses += 1;
                }
            },
            // Called off; whether by somebody who may is looked at with the answers.
            (Some("queued" | "leased"), _) => {
                assert_eq!(event.result.as_deref(), Some("cancelled"), "{event:?}");
            }
            (Some(other), did) => panic!("{other}: {event:?}, {did:?}"),
        }
        if over {
            self.end = Some((event.result.clone().expect("an end has a result"), event.reason.clone()));
        }
        assert!(event.attempt == self.attempt, "{event:?} after {self:?}");
    }
}
