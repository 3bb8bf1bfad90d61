//! Many workers at once: 16 claimers on two replicas drain 2 000 runs of 20 classes and three priorities while they
//! fail, give back and are cancelled at random.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tstr_api::config::LeaseProfile;
use tstr_shared::ids::RunId;
use tstr_shared::permission::Scope;
use tstr_shared::run::{RunResult, TriggerRun};
use tstr_shared::selector::SelectorSources;
use tstr_shared::testdef::Priority;
use tstr_tests::contract::{Worker, default};
use tstr_tests::{Stack, eventually, factory, invariants};

const RUNS: usize = 2_000;
const CLASSES: usize = 20;
const CLAIMERS: usize = 16;

/// A small generator, so that a failure can be played again.
struct Dice(u64);

impl Dice {
    /// Returns a number below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

/// What the claimers see of each other.
#[derive(Default)]
struct Board {
    /// Who holds a run now; a second holder is a failure.
    held: Mutex<HashMap<RunId, usize>>,
    /// Results that were acknowledged, but for those that another attempt may follow.
    results: Mutex<HashMap<RunId, RunResult>>,
    done: AtomicUsize,
}

impl Board {
    fn take(&self, run: RunId, worker: usize) {
        let before = self.held.lock().unwrap().insert(run, worker);
        assert_eq!(before, None, "run {run} is held by two at once");
    }

    fn give_up(&self, run: RunId) {
        self.held.lock().unwrap().remove(&run);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_claimers_on_two_replicas_drain_the_queue_without_losing_or_doubling_a_run() {
    let stack = Stack::start_with(2, |config| config.lease_times = LeaseProfile::Default).await;
    let ops = stack.replica(0).ops().clone();
    let caller = |token: String| async { ops.authenticate(&{ token }).await.unwrap() };
    let admin = caller(stack.admin_token().to_owned()).await;
    let classes: Vec<String> = (0..CLASSES).map(|i| i.to_string()).collect();
    let body = factory::with(factory::test("all"), "/matrix", json!({"labels": {"class": classes}}));
    let body = factory::with(body, "/retry", json!({"on_fail": 1}));
    ops.create_test(&admin, &default(), serde_json::from_value(body).unwrap(), None).await.unwrap();

    let board = Arc::new(Board::default());
    let mut claimers = Vec::new();
    for i in 0..CLAIMERS {
        let ops = stack.replica(i % 2).ops().clone();
        let caller = ops.authenticate(&stack.token(&[Scope::Runner], &[".*"]).await).await.unwrap();
        let worker = Worker::register(&ops, caller, &format!("w{i}"), SelectorSources::default()).await;
        claimers.push(tokio::spawn(claim_on(worker, i, board.clone())));
    }
    let mut runs = Vec::new();
    let mut dice = Dice(1);
    for round in 0..RUNS / CLASSES {
        let priority = [Priority::Urgent, Priority::Normal, Priority::Low][round % 3];
        let req = TriggerRun { priority: Some(priority), ..TriggerRun::default() };
        let replica = stack.replica(round % 2).ops();
        let made = replica.trigger(&admin, &default(), "all", req, None).await.unwrap();
        runs.extend(made.runs.iter().map(|run| run.id));
        // Somebody changes their mind about a run, whatever became of it meanwhile.
        let unlucky = runs[dice.roll(runs.len() as u64) as usize];
        let _ = replica.cancel_run(&admin, unlucky).await;
    }
    let mut conn = stack.db.connect().await;
    let ended = eventually("every run ends", Duration::from_secs(90), async || {
        let ended: Vec<(RunId, RunResult)> =
            sqlx::query_as("SELECT run_id, result FROM run_end").fetch_all(&mut conn).await.unwrap();
        (ended.len() >= RUNS).then_some(ended)
    })
    .await;
    board.done.store(1, Ordering::Relaxed);
    for claimer in claimers {
        claimer.await.unwrap();
    }
    // I9: exactly those that were asked for, each with the result that its claimer was acknowledged.
    let ended: HashMap<RunId, RunResult> = ended.into_iter().collect();
    assert!(ended.len() == RUNS && runs.iter().all(|run| ended.contains_key(run)));
    let results = board.results.lock().unwrap().clone();
    assert!(results.iter().all(|(run, result)| ended[run] == *result), "an acknowledged result is the one stored");
    for result in [RunResult::Pass, RunResult::Fail, RunResult::Cancelled] {
        assert!(ended.values().any(|one| *one == result), "there is a {result}");
    }
    invariants::check(&mut conn).await;
    let most: i64 = sqlx::query_scalar(MOST_HELD).fetch_one(&mut conn).await.unwrap();
    assert!(most <= 50, "{most} runs of the namespace were held at once, of at most 50 (I15)");
}

/// The most leases that were held at one moment: each attempt counts from its lease to its end.
const MOST_HELD: &str = "SELECT max(held)::bigint FROM
    (SELECT sum(step) OVER (ORDER BY at, step) AS held FROM
        (SELECT leased_at AS at, 1 AS step FROM attempt UNION ALL SELECT ended_at, -1 FROM attempt) s) h";

/// Claims and ends runs until the board says that all is done.
async fn claim_on(worker: Worker, me: usize, board: Arc<Board>) {
    let mut dice = Dice(1000 + me as u64);
    while board.done.load(Ordering::Relaxed) == 0 {
        let claim = tstr_api::ops::claims::Claim {
            runner_id: worker.id,
            max: 1 + dice.roll(4) as u16,
            wait: Duration::from_millis(500),
            claim_id: uuid::Uuid::new_v4(),
            only_repeat: false,
            first: false,
        };
        let leased = worker.ops.claim(&worker.caller, claim).await.unwrap();
        for run in &leased {
            board.take(run.fence.run_id, me);
        }
        for run in leased {
            let (fence, id) = (run.fence, run.fence.run_id);
            // Given up before the call: once it is answered, somebody else may hold the run already. A cancel may have
            // ended the lease at any moment; then, and only then, a call is refused.
            if dice.roll(8) == 0 {
                board.give_up(id);
                let _ = worker.release(fence, None).await;
                continue;
            }
            if worker.start(fence).await.is_err() {
                board.give_up(id);
                continue;
            }
            let result = match dice.roll(10) {
                0 | 1 => RunResult::Fail,
                2 => RunResult::TimedOut,
                3 => RunResult::Cancelled,
                _ => RunResult::Pass,
            };
            board.give_up(id);
            worker.finish(fence, result).await.expect("who runs it can end it");
            if !matches!(result, RunResult::Fail | RunResult::TimedOut) {
                let before = board.results.lock().unwrap().insert(id, result);
                assert_eq!(before, None, "a second result was acknowledged");
            }
        }
    }
}
