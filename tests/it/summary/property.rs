//! Random sequences of what clients, workers, the reaper, the digest and a rebuild do, on a real PostgreSQL: whatever came of
//! them, the sums are those of a naive count of the runs.

use std::cell::RefCell;

use chrono::{Duration, Utc};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tstr_api::turns;
use tstr_shared::ids::{RunId, TestId};
use tstr_shared::lease::Fence;
use tstr_shared::run::{Reason, RunResult};
use tstr_shared::summary::{Interval, SummaryFilter};
use tstr_tests::contract::Worker;
use tstr_tests::{Lab, factory};

use super::{digest_all, ended_at, is_exact, rebuild, summary};

const CASES: u32 = 24;

#[derive(Debug, Clone)]
enum Op {
    Trigger {
        test: usize,
    },
    Claim {
        worker: usize,
        max: u16,
    },
    Start {
        lease: Index,
    },
    /// Also of a lease that is over, or once more.
    Finish {
        lease: Index,
        result: RunResult,
    },
    Release {
        lease: Index,
        lost: bool,
    },
    Cancel {
        run: Index,
    },
    /// The runner is not heard of any more.
    Lose {
        lease: Index,
    },
    WaitTooLong {
        run: Index,
    },
    /// Some runs ended hours ago.
    Old {
        hours: i64,
        result: RunResult,
    },
    Move,
    Digest,
    Rebuild,
}

fn op() -> impl Strategy<Value = Op> {
    let result = || prop::sample::select(RunResult::ALL);
    let any_one = || any::<Index>();
    prop_oneof![
        5 => (0..3usize).prop_map(|test| Op::Trigger { test }),
        5 => (0..2usize, 1..4u16).prop_map(|(worker, max)| Op::Claim { worker, max }),
        5 => any_one().prop_map(|lease| Op::Start { lease }),
        6 => (any_one(), result()).prop_map(|(lease, result)| Op::Finish { lease, result }),
        1 => (any_one(), any::<bool>()).prop_map(|(lease, lost)| Op::Release { lease, lost }),
        1 => any_one().prop_map(|run| Op::Cancel { run }),
        1 => any_one().prop_map(|lease| Op::Lose { lease }),
        1 => any_one().prop_map(|run| Op::WaitTooLong { run }),
        1 => (1..60i64, result()).prop_map(|(hours, result)| Op::Old { hours, result }),
        1 => Just(Op::Move),
        2 => Just(Op::Digest),
        1 => Just(Op::Rebuild),
    ]
}

struct Play<'a> {
    lab: &'a Lab,
    workers: &'a [Worker],
    tests: &'a [TestId],
    runs: Vec<RunId>,
    leases: Vec<(usize, Fence)>,
}

impl Play<'_> {
    /// Does it; what is refused is none of this test's business.
    async fn act(&mut self, op: Op) {
        let lab = self.lab;
        match op {
            Op::Trigger { test } => self.runs.extend(lab.trigger(&format!("t{test}")).await),
            Op::Claim { worker, max } => {
                let claimed = self.workers[worker].claim(max).await;
                self.leases.extend(claimed.into_iter().map(|run| (worker, run.fence)));
            }
            Op::Start { lease } => {
                if let Some((worker, fence)) = self.lease(lease) {
                    let _ = self.workers[worker].start(fence).await;
                }
            }
            Op::Finish { lease, result } => {
                if let Some((worker, fence)) = self.lease(lease) {
                    let _ = self.workers[worker].finish(fence, result).await;
                }
            }
            Op::Release { lease, lost } => {
                if let Some((worker, fence)) = self.lease(lease) {
                    let _ = self.workers[worker].release(fence, lost.then_some(Reason::RuntimeLost)).await;
                }
            }
            Op::Cancel { run } => {
                if let Some(run) = self.run(run) {
                    let _ = lab.cancel(run).await;
                }
            }
            Op::Lose { lease } => {
                if let Some((_, fence)) = self.lease(lease) {
                    let late = "UPDATE lease SET expires_at = clock_timestamp() - interval '10 s' WHERE run_id = $1";
                    lab.sql(late, fence.run_id).await;
                    lab.reap().await;
                }
            }
            Op::WaitTooLong { run } => {
                if let Some(run) = self.run(run) {
                    let late = "UPDATE ready SET expires_at = clock_timestamp() - interval '1 s' WHERE run_id = $1";
                    lab.sql(late, run).await;
                    lab.expire().await;
                }
            }
            Op::Old { hours, result } => {
                let result = if result == RunResult::Pass { RunResult::Fail } else { result };
                ended_at(lab, self.tests[0], Utc::now() - Duration::hours(hours), result.word(), 2).await;
            }
            Op::Move => {
                lab.execute("UPDATE delayed SET due = clock_timestamp() - interval '1 s'").await.unwrap();
                lab.move_due().await;
            }
            Op::Digest => {
                turns::digest(lab.ops()).await.unwrap();
            }
            Op::Rebuild => {
                rebuild(lab).await;
            }
        }
    }

    fn lease(&self, index: Index) -> Option<(usize, Fence)> {
        // The newest are the interesting ones; the older ones have ended.
        let recent = &self.leases[self.leases.len().saturating_sub(6)..];
        (!recent.is_empty()).then(|| recent[index.index(recent.len())])
    }

    fn run(&self, index: Index) -> Option<RunId> {
        let recent = &self.runs[self.runs.len().saturating_sub(6)..];
        (!recent.is_empty()).then(|| recent[index.index(recent.len())])
    }
}

#[test]
fn whatever_happens_the_sums_are_those_of_the_runs() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (lab, workers, tests) = runtime.block_on(async {
        let lab = Lab::start().await;
        let workers = vec![lab.worker("w0").await, lab.worker("w1").await];
        let mut tests = Vec::new();
        for (i, (on_fail, on_infrastructure)) in [(0, 1), (2, 0), (1, 3)].into_iter().enumerate() {
            let retry = json!({"on_fail": on_fail, "on_infrastructure": on_infrastructure});
            let body = factory::with(factory::test(&format!("t{i}")), "/retry", retry);
            let body = factory::with(body, "/labels", json!({"nth": i.to_string(), "a": "b=c"}));
            tests.push(lab.test(body).await.id);
        }
        lab.quotas(None, None).await;
        (lab, workers, tests)
    });
    let seen = RefCell::new(0);
    // What a sequence leaves behind is there for the next one, so that a shorter one would say nothing.
    let config = Config { cases: CASES, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(op(), 20..80), |ops| {
        runtime.block_on(async {
            let mut play = Play { lab: &lab, workers: &workers, tests: &tests, runs: Vec::new(), leases: Vec::new() };
            for op in ops {
                play.act(op).await;
            }
            digest_all(&lab).await;
            is_exact(&lab).await;
            rebuild(&lab).await;
            is_exact(&lab).await;
            let since = SummaryFilter {
                scheduled_after: Some(Utc::now() - Duration::days(4)),
                interval: Some(Interval::Hour),
                ..SummaryFilter::default()
            };
            let told = summary(&lab, since).await;
            let ended = lab.execute("SELECT FROM run_end").await.unwrap();
            assert_eq!(told.totals.counts.runs, ended, "I16: what is told is what has ended");
            assert_eq!(told.tests.iter().map(|test| test.figures.counts.runs).sum::<u64>(), ended);
            *seen.borrow_mut() = ended;
        });
        Ok(())
    });
    outcome.unwrap();
    assert!(*seen.borrow() > 100, "few runs have ended: {seen:?}");
}
