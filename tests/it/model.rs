//! The queue against a model of it: random sequences of what clients, workers, the reaper and the clock do, on a real
//! PostgreSQL, each answer compared with the model's and each end with the invariants of the contract.
//!
//! Tests have gates of all kinds, and the namespace has quotas. What sixteen do at once is in [`crowd`] and [`drain`].

mod crowd;
mod drain;
mod gates;
mod reference;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use tstr_api::turns;
use tstr_shared::ids::RunId;
use tstr_shared::lease::Fence;
use tstr_shared::logs::Stream;
use tstr_shared::run::{Reason, RunResult, RunState, TriggerRun};
use tstr_shared::testdef::Priority;
use tstr_tests::contract::{Worker, default, forgeries};
use tstr_tests::{Lab, factory};

use self::gates::{Gate, Policy};
use self::reference::{Kind, Model, Place};

const fn gate(in_group: bool, policy: Policy, limit: usize) -> Gate {
    Gate { in_group, policy, limit }
}

const QUEUE: Policy = Policy::Queue { depth: 1, drops_newest: false };

/// The tests that runs are made of: how often each is retried, and what holds its runs back.
const KINDS: [Kind; 12] = [
    Kind::plain(0, 1),
    Kind::plain(2, 0),
    Kind::plain(1, 2),
    Kind { at_most_once: true, ..Kind::plain(1, 4) },
    Kind::plain(1, 1).behind(gate(false, QUEUE, 1)),
    Kind::plain(0, 1).behind(gate(true, Policy::Queue { depth: 2, drops_newest: true }, GROUP_SLOTS)),
    Kind::plain(1, 0).behind(gate(true, Policy::Replace, GROUP_SLOTS)),
    Kind::plain(0, 1).behind(gate(true, Policy::Forbid, GROUP_SLOTS)),
    Kind::plain(1, 0).times(3, Some(2), true),
    Kind::plain(0, 1).times(3, Some(2), true).behind(gate(true, QUEUE, GROUP_SLOTS)),
    Kind::plain(0, 0).times(2, None, true).behind(gate(false, Policy::Replace, 1)),
    Kind::plain(0, 0).times(2, Some(1), false).behind(gate(false, Policy::Queue { depth: 0, drops_newest: false }, 1)),
];
/// How many slots the group has, unless somebody says otherwise.
const GROUP_SLOTS: usize = 2;
/// The one test that is patched when the group is given another number of slots.
const IN_GROUP: usize = 5;
const MAX_RUNS: usize = 20;
/// As few leases at once that the reaper's brake, which looks at shares of all leases, is never in question.
const MAX_HELD: usize = 10;

/// Returns the test of a kind as it is registered.
fn body(i: usize, kind: Kind) -> Value {
    let retry = json!({"on_fail": kind.on_fail, "on_infrastructure": kind.on_infrastructure});
    let mut body = factory::with(factory::test(&format!("kind{i}")), "/retry", retry);
    body = factory::with(body, "/at_most_once", json!(kind.at_most_once));
    body = factory::with(body, "/labels", json!({"kind": i.to_string()}));
    if kind.cells > 1 {
        let cells: Vec<String> = (0..kind.cells).map(|cell| cell.to_string()).collect();
        let matrix = json!({"labels": {"cell": cells}, "fail_fast": kind.fail_fast});
        body = factory::with(body, "/matrix", matrix);
    }
    if let Some(most) = kind.max_parallel {
        body = factory::with(body, "/matrix/max_parallel", json!(most));
    }
    let Some(gate) = kind.gate else { return body };
    let mut concurrency = match gate.policy {
        Policy::Forbid => json!({"policy": "forbid"}),
        Policy::Replace => json!({"policy": "replace"}),
        Policy::Queue { depth, drops_newest } => {
            json!({"policy": "queue", "depth": depth, "overflow": if drops_newest { "newest" } else { "oldest" }})
        }
    };
    concurrency["limit"] = json!(gate.limit);
    if gate.in_group {
        concurrency["group"] = json!("shop");
    }
    factory::with(body, "/concurrency", concurrency)
}

const WORKERS: usize = 2;

#[derive(Debug, Clone)]
enum Op {
    Enqueue {
        kind: usize,
        later: bool,
        priority: Priority,
    },
    Claim {
        worker: usize,
        max: u16,
    },
    Start {
        lease: Index,
        by: By,
    },
    Beat {
        worker: usize,
    },
    Append {
        lease: Index,
        by: By,
        stderr: bool,
    },
    Finish {
        lease: Index,
        by: By,
        result: RunResult,
    },
    Release {
        lease: Index,
        by: By,
        reason: Option<Reason>,
    },
    Cancel {
        run: Index,
    },
    /// The lease of a run runs out.
    Lapse {
        run: Index,
    },
    /// The same, and the reaper comes at once.
    Lose {
        run: Index,
    },
    /// Timeout and grace of a run are over.
    Overrun {
        run: Index,
    },
    /// The queue deadline of a run has passed.
    WaitTooLong {
        run: Index,
    },
    /// The time of a delayed run has come.
    Due {
        run: Index,
    },
    Reap,
    Expire,
    Move,
    /// Cancels that were ordered are carried out.
    CarryOut,
    /// The group is given another number of slots.
    Limit {
        slots: usize,
    },
    /// The namespace is given other quotas.
    Quotas {
        queued: Option<u8>,
        running: Option<u8>,
    },
    /// Nobody has swept for a while.
    Outage,
}

/// Who acts on a lease.
#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    Owner,
    Other,
    Forger(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let by = || prop_oneof![12 => Just(By::Owner), 1 => Just(By::Other), 1 => (0..4u8).prop_map(By::Forger)];
    let index = any::<Index>;
    let priority = prop::sample::select(Priority::ALL.to_vec());
    let result = prop::sample::select(RunResult::ALL.to_vec());
    let losses = vec![None, None, Some(Reason::RuntimeLost), Some(Reason::WorkerCrash)];
    prop_oneof![
        8 => (0..KINDS.len(), prop::bool::weighted(0.15), priority)
            .prop_map(|(kind, later, priority)| Op::Enqueue { kind, later, priority }),
        7 => (0..WORKERS, 1..4u16).prop_map(|(worker, max)| Op::Claim { worker, max }),
        8 => (index(), by()).prop_map(|(lease, by)| Op::Start { lease, by }),
        2 => (0..WORKERS).prop_map(|worker| Op::Beat { worker }),
        3 => (index(), by(), any::<bool>()).prop_map(|(lease, by, stderr)| Op::Append { lease, by, stderr }),
        6 => (index(), by(), result).prop_map(|(lease, by, result)| Op::Finish { lease, by, result }),
        5 => (index(), by(), prop::sample::select(losses)).prop_map(|(lease, by, reason)| Op::Release { lease, by, reason }),
        3 => index().prop_map(|run| Op::Cancel { run }),
        2 => index().prop_map(|run| Op::Lapse { run }),
        3 => index().prop_map(|run| Op::Lose { run }),
        1 => index().prop_map(|run| Op::Overrun { run }),
        1 => index().prop_map(|run| Op::WaitTooLong { run }),
        4 => index().prop_map(|run| Op::Due { run }),
        3 => Just(Op::Reap),
        1 => Just(Op::Expire),
        3 => Just(Op::Move),
        4 => Just(Op::CarryOut),
        1 => (1..4usize).prop_map(|slots| Op::Limit { slots }),
        1 => (prop::option::of(1..8u8), prop::option::of(0..5u8))
            .prop_map(|(queued, running)| Op::Quotas { queued, running }),
        1 => Just(Op::Outage),
    ]
}

/// How many sequences are played, and for how long at the most.
const CASES: u32 = 200;
const LONGEST: Duration = Duration::from_secs(40);

/// Returns the seed of this run of the tests, and prints it: `TSTR_FAULT_SEED` repeats it.
fn seed() -> u64 {
    let given = std::env::var("TSTR_FAULT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0 >> 16);
    eprintln!("seed {seed} (TSTR_FAULT_SEED={seed} repeats it)");
    seed
}

#[test]
fn the_queue_does_what_its_model_does_whatever_happens() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (lab, workers) = runtime.block_on(async {
        let lab = Lab::start().await;
        let mut workers = Vec::new();
        for i in 0..WORKERS {
            workers.push(lab.worker(&format!("w{i}")).await);
        }
        for (i, kind) in KINDS.iter().enumerate() {
            lab.test(body(i, *kind)).await;
        }
        (lab, workers)
    });
    let (accepted, played) = (RefCell::new(Vec::new()), Cell::new(0));
    let config = Config { cases: CASES, max_shrink_iters: 300, failure_persistence: None, ..Config::default() };
    let (began, mut rng) = (std::time::Instant::now(), [0; 32]);
    rng[..8].copy_from_slice(&seed().to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &rng);
    let broken = Cell::new(false);
    let outcome = TestRunner::new_with_rng(config, rng).run(&prop::collection::vec(op(), 10..80), |ops| {
        // A machine that is slow tries fewer, and says so.
        if began.elapsed() > LONGEST {
            return Ok(());
        }
        runtime.block_on(async {
            // What a sequence left behind that failed would fail the shorter ones, too.
            if broken.replace(true) {
                wipe(&lab).await;
            }
            let mut play = Play::begin(&lab, &workers).await;
            for op in ops {
                play.act(op).await;
                play.note_ends().await;
                play.compare_places().await;
            }
            play.compare().await;
            play.drain().await;
            play.compare().await;
            lab.check().await;
            accepted.borrow_mut().extend(play.model.runs.iter().map(|run| run.id));
            played.set(played.get() + 1);
            broken.set(false);
        });
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    eprintln!("{} sequences of {CASES} in {:.1} s", played.get(), began.elapsed().as_secs_f64());
    assert!(played.get() >= CASES / 4, "only {} sequences were played", played.get());
    // I9: what was accepted exists, and nothing else does.
    let mut accepted = accepted.into_inner();
    accepted.sort();
    let stored = runtime
        .block_on(lab.value("SELECT to_jsonb(array_agg(id ORDER BY id)) FROM run WHERE $1 IS NOT NULL", accepted[0]));
    assert_eq!(stored, json!(accepted));
}

/// Removes all runs as no user of the product could.
async fn wipe(lab: &Lab) {
    for statement in [
        "SET session_replication_role = replica",
        "TRUNCATE run, run_event, attempt, lease, ready, delayed, gated, cancel_order, run_end, log_chunk",
        "SET session_replication_role = DEFAULT",
    ] {
        lab.execute(statement).await.unwrap();
    }
}

/// One sequence, on the lab and on the model.
struct Play<'a> {
    lab: &'a Lab,
    workers: &'a [Worker],
    model: Model,
    /// Ends as they were first seen (I2).
    ends: Vec<(usize, Value)>,
}

impl<'a> Play<'a> {
    /// Begins a sequence, in a world in which nothing waits, with the quotas and slots that all begin with.
    async fn begin(lab: &'a Lab, workers: &'a [Worker]) -> Self {
        let mut play = Self { lab, workers, model: Model::default(), ends: Vec::new() };
        play.quotas(None, None).await;
        play.limit(GROUP_SLOTS).await;
        play
    }

    async fn quotas(&mut self, queued: Option<u8>, running: Option<u8>) {
        self.lab.quotas(queued.map(i32::from), running.map(i32::from)).await;
        (self.model.max_queued, self.model.max_running) = (queued.map(usize::from), running.map(usize::from));
    }

    async fn limit(&mut self, slots: usize) {
        let patch = json!({"concurrency": {"limit": slots}});
        let name = format!("kind{IN_GROUP}");
        self.lab.ops().patch_test(&self.lab.admin, &default(), &name, patch, None).await.expect("set the limit");
        // Who is let in by that is found by those who look for lanes.
        turns::refresh_lanes(self.lab.ops()).await.unwrap();
        self.model.set_limit(slots);
    }

    async fn act(&mut self, op: Op) {
        match op {
            Op::Enqueue { kind, later, priority } => self.enqueue(kind, later, priority).await,
            Op::Claim { worker, max } => self.claim(worker, max).await,
            Op::Start { lease, by } => {
                let Some((lease, worker, fence)) = self.pick(lease, by) else { return };
                let expected = self.model.start(lease, by == By::Owner);
                let answer = worker.start(fence).await;
                assert_eq!(answer.map(drop), expected, "start");
            }
            Op::Beat { worker } => {
                let fences: Vec<_> = self.model.leases_of(worker).map(|(_, fence)| fence).collect();
                let expected = self.model.beat(worker);
                assert_eq!(self.workers[worker].beat(&fences).await, expected, "heartbeat");
            }
            Op::Append { lease, by, stderr } => {
                let Some((lease, worker, fence)) = self.pick(lease, by) else { return };
                let stream = if stderr { Stream::Stderr } else { Stream::Stdout };
                let (seq, offset) = self.model.log_end(lease, stream);
                let expected = self.model.append(lease, by == By::Owner, stream, 3);
                assert_eq!(worker.append(fence, seq, stream, offset, "abc").await, expected, "append");
            }
            Op::Finish { lease, by, result } => {
                let Some((lease, worker, fence)) = self.pick(lease, by) else { return };
                let expected = self.model.finish(lease, by == By::Owner, result);
                assert_eq!(worker.finish(fence, result).await, expected, "finish with {result}");
            }
            Op::Release { lease, by, reason } => {
                let Some((lease, worker, fence)) = self.pick(lease, by) else { return };
                let expected = self.model.release(lease, by == By::Owner, reason);
                assert_eq!(worker.release(fence, reason).await, expected, "release for {reason:?}");
            }
            Op::Cancel { run } => {
                let Some(run) = self.pick_run(run, |_| true) else { return };
                let expected = self.model.cancel(run);
                let answer = self.lab.cancel(self.model.runs[run].id).await;
                assert_eq!(answer.map(drop), expected, "cancel");
            }
            Op::Lapse { run } => self.lapse(run).await,
            Op::Lose { run } => {
                self.lapse(run).await;
                self.reap().await;
            }
            Op::Overrun { run } => {
                let Some(run) = self.pick_run(run, |place| place == Place::Running) else { return };
                self.model.runs[run].overrun = true;
                self.set(run, "UPDATE lease SET hard_deadline = clock_timestamp() - interval '1 s' WHERE run_id = $1")
                    .await;
            }
            Op::WaitTooLong { run } => {
                let Some(run) = self.pick_run(run, |place| matches!(place, Place::Ready | Place::Parked)) else {
                    return;
                };
                self.model.runs[run].waited_too_long = true;
                let table = if self.model.runs[run].place == Place::Ready { "ready" } else { "gated" };
                let late =
                    format!("UPDATE {table} SET expires_at = clock_timestamp() - interval '1 s' WHERE run_id = $1");
                self.set(run, &late).await;
            }
            Op::Due { run } => self.due(run).await,
            Op::CarryOut => {
                let expected = self.model.carry_out();
                assert_eq!(self.lab.carry_out_orders().await, expected, "cancels carried out");
            }
            Op::Limit { slots } => self.limit(slots).await,
            Op::Quotas { queued, running } => self.quotas(queued, running).await,
            Op::Reap => self.reap().await,
            Op::Expire => {
                let expected = self.model.expire();
                assert_eq!(self.lab.expire().await, expected, "runs expired");
            }
            Op::Move => {
                let expected = self.model.move_due();
                assert_eq!(self.lab.move_due().await, expected, "runs moved");
            }
            Op::Outage => {
                self.model.amnesty();
                assert_eq!(self.lab.reap_after_outage(11).await, 0);
            }
        }
    }

    /// The time of a run has come, or that of its set.
    async fn due(&mut self, run: Index) {
        let put_off = |run: &usize| {
            let run = &self.model.runs[*run];
            run.place == Place::Delayed || run.place == Place::Parked && run.gated.put_off
        };
        let fitting: Vec<usize> = (0..self.model.runs.len()).filter(put_off).collect();
        if fitting.is_empty() {
            return;
        }
        let run = fitting[run.index(fitting.len())];
        if self.model.runs[run].place == Place::Delayed {
            self.model.fall_due(&[run]);
            self.set(run, "UPDATE delayed SET due = clock_timestamp() - interval '1 s' WHERE run_id = $1").await;
            return;
        }
        let set = self.model.runs[run].gated.set;
        let together: Vec<usize> = fitting.into_iter().filter(|one| self.model.runs[*one].gated.set == set).collect();
        self.model.fall_due(&together);
        let due = "UPDATE gated SET due = now() - interval '1 s'
                   WHERE matrix_id = (SELECT matrix_id FROM run WHERE id = $1) AND due IS NOT NULL";
        assert_eq!(
            self.lab.sql(due, self.model.runs[run].id).await,
            together.len() as u64,
            "a set is put off together"
        );
    }

    async fn lapse(&mut self, run: Index) {
        let held = |place| matches!(place, Place::Leased | Place::Running);
        let Some(run) = self.pick_run(run, held) else { return };
        self.model.runs[run].lapsed = true;
        self.lab.lapse(self.model.runs[run].id).await;
    }

    async fn reap(&mut self) {
        let expected = self.model.reap();
        assert_eq!(self.lab.reap().await, expected, "leases reaped");
    }

    async fn set(&self, run: usize, statement: &str) {
        assert_eq!(self.lab.sql(statement, self.model.runs[run].id).await, 1, "{statement}");
    }

    /// Finds the lease, who acts on it, and with which fence.
    fn pick(&self, index: Index, by: By) -> Option<(usize, Worker, Fence)> {
        let count = self.model.leases.len();
        if count == 0 {
            return None;
        }
        // The newest leases are the interesting ones; the older ones are there to be refused.
        let lease = count - 1 - index.index(count.min(6));
        let held = &self.model.leases[lease];
        Some(match by {
            By::Owner => (lease, self.workers[held.worker].clone(), held.fence),
            By::Other => (lease, self.workers[(held.worker + 1) % WORKERS].clone(), held.fence),
            By::Forger(how) => (lease, self.workers[held.worker].clone(), forgeries(held.fence)[usize::from(how)].1),
        })
    }

    fn pick_run(&self, index: Index, fits: impl Fn(Place) -> bool) -> Option<usize> {
        let fitting: Vec<usize> = (0..self.model.runs.len()).filter(|run| fits(self.model.runs[*run].place)).collect();
        (!fitting.is_empty()).then(|| fitting[index.index(fitting.len())])
    }

    async fn enqueue(&mut self, kind: usize, later: bool, priority: Priority) {
        if self.model.runs.len() + KINDS[kind].cells > MAX_RUNS {
            return;
        }
        let not_before = later.then(|| chrono::Utc::now() + chrono::Duration::hours(1));
        let req = TriggerRun { not_before, priority: Some(priority), ..TriggerRun::default() };
        let name = format!("kind{kind}");
        let made = self.lab.ops().trigger(&self.lab.admin, &default(), &name, req, None).await;
        let expected = self.model.may_trigger(kind, KINDS[kind], later);
        assert_eq!(made.as_ref().map(drop).map_err(|error| error.code()), expected, "trigger {name}");
        let Ok(made) = made else { return };
        assert_eq!(made.runs.len(), KINDS[kind].cells);
        let ids: Vec<RunId> = made.runs.iter().map(|run| run.id).collect();
        self.model.trigger(&ids, kind, KINDS[kind], priority, later);
    }

    async fn claim(&mut self, worker: usize, max: u16) {
        let held = self.model.in_place(Place::Leased).chain(self.model.in_place(Place::Running)).count();
        let max = max.min((MAX_HELD - held) as u16);
        if max == 0 {
            return;
        }
        let ready: Vec<usize> = self.model.in_place(Place::Ready).collect();
        let claimed = self.workers[worker].claim(max).await;
        assert_eq!(claimed.len(), self.model.claimable(usize::from(max)), "runs claimed");
        let taken: Vec<usize> = claimed
            .iter()
            .map(|leased| {
                let run = self.model.claim(leased.fence, worker);
                assert!(ready.contains(&run), "a run that does not wait was claimed");
                run
            })
            .collect();
        let left = ready.iter().filter(|run| !taken.contains(run)).map(|run| self.model.runs[*run].priority).min();
        let worst = taken.iter().map(|run| self.model.runs[*run].priority).max();
        assert!(left.is_none() || worst <= left, "{worst:?} was taken before {left:?}");
    }

    /// Remembers what was written of runs that have ended.
    async fn note_ends(&mut self) {
        let ended: Vec<usize> = self.model.in_place(Place::Finished).collect();
        for run in ended {
            if !self.ends.iter().any(|(known, _)| *known == run) {
                let end = self.end(run).await;
                self.ends.push((run, end));
            }
        }
    }

    async fn end(&self, run: usize) -> Value {
        let query = "SELECT jsonb_build_object('end', to_jsonb(e), 'attempts',
                         (SELECT jsonb_agg(to_jsonb(a) ORDER BY attempt) FROM attempt a WHERE a.run_id = e.run_id),
                         'event', (SELECT to_jsonb(v) FROM run_event v WHERE v.run_id = e.run_id AND state_to = 'finished'))
                     FROM run_end e WHERE run_id = $1";
        self.lab.value(query, self.model.runs[run].id).await
    }

    /// Compares where each run is.
    async fn compare_places(&self) {
        let Some(first) = self.model.runs.first() else { return };
        let ids: Vec<String> = self.model.runs.iter().map(|run| run.id.to_string()).collect();
        let query = format!(
            "SELECT jsonb_agg(CASE
                 WHEN EXISTS (SELECT FROM run_end WHERE run_id = r.id) THEN 'Finished'
                 WHEN EXISTS (SELECT FROM ready WHERE run_id = r.id) THEN 'Ready'
                 WHEN EXISTS (SELECT FROM delayed WHERE run_id = r.id) THEN 'Delayed'
                 WHEN EXISTS (SELECT FROM lease WHERE run_id = r.id AND started_at IS NULL) THEN 'Leased'
                 WHEN EXISTS (SELECT FROM lease WHERE run_id = r.id) THEN 'Running'
                 WHEN EXISTS (SELECT FROM gated WHERE run_id = r.id AND parked) THEN 'Parked' END ORDER BY r.number)
             FROM unnest('{{{}}}'::uuid[]) WITH ORDINALITY AS r(id, number) WHERE $1 IS NOT NULL",
            ids.join(",")
        );
        let expected: Vec<String> = self.model.runs.iter().map(|run| format!("{:?}", run.place)).collect();
        assert_eq!(self.lab.value(&query, first.id).await, json!(expected), "where the runs are");
    }

    /// Compares what is stored with the model.
    async fn compare(&self) {
        for run in &self.model.runs {
            let seen = self.lab.get(run.id).await;
            let state = match run.place {
                Place::Ready | Place::Delayed | Place::Parked => RunState::Queued,
                Place::Leased => RunState::Leased,
                Place::Running => RunState::Running,
                Place::Finished => RunState::Finished,
            };
            let expected =
                (state, run.attempt, run.end.map(|end| end.0), run.end.and_then(|end| end.1), run.is_flaky());
            assert_eq!((seen.state, seen.attempt, seen.result, seen.reason, seen.flaky), expected, "run {}", run.id);
            assert_eq!(seen.cancel_requested, run.cancel && run.place == Place::Running);
            let results: Vec<_> = seen.attempts.iter().map(|attempt| attempt.result).collect();
            assert_eq!(results, run.attempts, "attempts of run {}", run.id);
        }
        for (run, end) in &self.ends {
            assert_eq!(self.end(*run).await, *end, "I2: the end of a run changed");
        }
    }

    /// Brings every run to its end, as people and workers can.
    async fn drain(&mut self) {
        let ids: Vec<RunId> = self.model.runs.iter().map(|run| run.id).collect();
        for (run, id) in ids.into_iter().enumerate() {
            let expected = self.model.cancel(run);
            assert_eq!(self.lab.cancel(id).await.map(drop), expected);
        }
        let expected = self.model.carry_out();
        assert_eq!(self.lab.carry_out_orders().await, expected, "cancels carried out");
        for lease in 0..self.model.leases.len() {
            let held = &self.model.leases[lease];
            let (worker, fence) = (held.worker, held.fence);
            if self.model.is_current(lease) {
                self.model.finish(lease, true, RunResult::Cancelled).unwrap();
                self.workers[worker].finish(fence, RunResult::Cancelled).await.unwrap();
            }
        }
        assert!(self.model.runs.iter().all(|run| run.place == Place::Finished));
    }
}
