//! Many at once: whoever enqueues, finishes, cancels and loses, a group never holds more than its limit, and in the end
//! nobody is left waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tstr_api::turns;
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunId;
use tstr_shared::run::{Reason, RunResult, TriggerRun};
use tstr_tests::contract::{Worker, default};
use tstr_tests::{Lab, factory};

use super::limited;

const RACERS: usize = 16;
const LIMIT: u32 = 3;
const ROUNDS: u64 = 6;

/// A small generator, so that a failure can be played again.
#[derive(Clone)]
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_never_holds_more_than_its_limit_and_nobody_is_left_waiting() {
    let lab = Arc::new(Lab::start_with(2).await);
    let group = |policy: &str, rest: serde_json::Value| {
        let mut body = json!({"policy": policy, "group": "g", "limit": LIMIT});
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        body
    };
    lab.test(limited("deep", group("queue", json!({"depth": 1000})))).await;
    lab.test(limited("shallow", group("queue", json!({"depth": 2})))).await;
    lab.test(limited("replace", group("replace", json!({})))).await;
    lab.test(limited("forbid", group("forbid", json!({})))).await;
    let matrix = json!({"labels": {"n": ["1", "2", "3", "4"]}, "max_parallel": 2, "fail_fast": true});
    lab.test(factory::with(limited("matrix", group("queue", json!({"depth": 1000}))), "/matrix", matrix)).await;
    for round in 0..ROUNDS {
        let made = Arc::new(AtomicUsize::new(0));
        let mut racers = Vec::new();
        for i in 0..RACERS {
            let worker = lab.worker(&format!("w{round}-{i}")).await;
            let dice = Dice(round * 1000 + i as u64);
            racers.push(tokio::spawn(race(lab.clone(), worker, dice, i, made.clone())));
        }
        for racer in racers {
            racer.await.unwrap();
        }
        // Whoever waits now is let in by those who end, and by nobody else.
        let worker = lab.worker(&format!("last{round}")).await;
        loop {
            turns::carry_out_orders(lab.ops()).await.unwrap();
            lab.execute("UPDATE delayed SET due = clock_timestamp() - interval '1 s'").await.unwrap();
            lab.move_due().await;
            lab.check().await;
            turns::refresh_lanes(lab.ops()).await.unwrap();
            let leased = worker.claim(8).await;
            if leased.is_empty() {
                break;
            }
            for one in leased {
                worker.start(one.fence).await.unwrap();
                worker.finish(one.fence, RunResult::Pass).await.unwrap();
            }
        }
        let left = lab
            .value(
                "SELECT to_jsonb(count(*)) FROM run r WHERE NOT EXISTS (SELECT FROM run_end e WHERE e.run_id = r.id)
                 AND $1 IS NOT NULL",
                RunId(uuid::Uuid::nil()),
            )
            .await;
        assert_eq!(left, json!(0), "round {round}: runs are left waiting");
        assert!(made.load(Ordering::Relaxed) > RACERS, "round {round}");
        assert!(most_at_once(&lab).await <= LIMIT.into(), "round {round}");
    }
}

/// The most runs that were held at one moment, by the times of their leases.
async fn most_at_once(lab: &Lab) -> u64 {
    let query = "SELECT to_jsonb(coalesce(max(held), 0)) FROM (
                     SELECT sum(step) OVER (ORDER BY at, step) AS held FROM (
                         SELECT leased_at AS at, 1 AS step FROM attempt UNION ALL SELECT ended_at, -1 FROM attempt) s) h
                 WHERE $1 IS NOT NULL";
    lab.value(query, RunId(uuid::Uuid::nil())).await.as_u64().unwrap()
}

async fn race(lab: Arc<Lab>, worker: Worker, mut dice: Dice, i: usize, made: Arc<AtomicUsize>) {
    let ops = lab.replica(i % 2).clone();
    let tests = ["deep", "deep", "shallow", "replace", "forbid", "matrix"];
    let mut mine: Vec<RunId> = Vec::new();
    for _ in 0..12 {
        match dice.roll(8) {
            0..=3 => {
                let test = tests[dice.roll(tests.len() as u64) as usize];
                match ops.trigger(&lab.admin, &default(), test, TriggerRun::default(), None).await {
                    Ok(triggered) => {
                        made.fetch_add(triggered.runs.len(), Ordering::Relaxed);
                        mine.extend(triggered.runs.iter().map(|run| run.id));
                    }
                    Err(error) => assert_eq!(error.code().word(), "concurrency_forbidden", "{error}"),
                }
            }
            4 => {
                if let Some(run) = mine.pop() {
                    // It may have ended.
                    let done = ops.cancel_run(&lab.admin, run).await.map_err(|error| error.code());
                    assert!(matches!(done, Ok(_) | Err(ErrorCode::Conflict)), "{done:?}");
                }
            }
            5 => drop(turns::carry_out_orders(&ops).await.unwrap()),
            _ => turns::refresh_lanes(&ops).await.unwrap(),
        }
        for leased in worker.claim(1 + dice.roll(2) as u16).await {
            if dice.roll(8) == 0 {
                let back = worker.release(leased.fence, None).await;
                assert!(matches!(back, Ok(()) | Err(ErrorCode::LeaseLost)), "{back:?}");
                continue;
            }
            let fence = leased.fence;
            // Whoever was cancelled meanwhile has lost its lease, and there is nothing to end.
            match (dice.roll(6), worker.start(fence).await) {
                (_, Err(code)) => assert_eq!(code, ErrorCode::LeaseLost),
                (0, Ok(_)) => worker.release(fence, Some(Reason::DiskFull)).await.unwrap(),
                (1, Ok(_)) => worker.finish(fence, RunResult::Fail).await.unwrap(),
                (_, Ok(_)) => {
                    tokio::task::yield_now().await;
                    worker.finish(fence, RunResult::Pass).await.unwrap();
                }
            }
        }
    }
}
