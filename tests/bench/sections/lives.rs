//! Whole lives of runs through gRPC, from the trigger to the end, and graphile-worker on the same PostgreSQL beside them.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sqlx::PgConnection;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tstr_proto::v1 as pb;
use tstr_shared::namespace::Quotas;
use tstr_tests::factory;
use uuid::Uuid;

use super::Found;
use super::graphile::Graphile;
use crate::Bench;
use crate::api::{Api, Worker};
use crate::goals::{Bound, Goal};
use crate::samples::median;
use crate::server::backend_pid;
use crate::table::{Table, count, ratio};

/// How many cells the test of a life has: so many runs are made by one trigger.
pub const CELLS: u32 = 250;
/// How many runs a worker takes at once.
const AT_ONCE: u32 = 50;
/// How many workers live through runs.
const WORKERS: usize = 8;
/// How many trigger at the same time, so that there is always something to claim.
const TRIGGERS: usize = 2;

/// The database, its API, and what watches them.
struct Lives<'a> {
    bench: &'a Bench,
    api: Api,
    conn: PgConnection,
    workers: Vec<Worker>,
}

/// What runs of a round cost.
#[derive(Debug, Clone, Copy)]
struct Lived {
    per_s: f64,
    db_us: f64,
    api_us: f64,
}

/// What one round gave.
struct Round {
    whole: Lived,
    drained: Lived,
    quota: Lived,
    graphile: Lived,
}

/// One of the four.
type Kind = fn(&Round) -> Lived;

/// Measures.
pub async fn run(bench: &Bench) -> Result<Found> {
    let plan = &bench.plan;
    let mut lives = Lives::prepare(bench).await?;
    let graphile = Graphile::prepare(&bench.server).await?;
    // Once for the connections and plans of both.
    lives.round(2, true).await?;
    graphile.drain(&bench.server, plan.drained / 10).await?;
    let mut rounds = Vec::new();
    for round in 0..plan.rounds {
        bench.say(&format!("lives, round {} of {}", round + 1, plan.rounds));
        let others = async || {
            let cpu = bench.server.cpu_us(&[]);
            let drained = graphile.drain(&bench.server, plan.drained).await?;
            let db_us = (bench.server.cpu_us(&[]) - cpu) / f64::from(plan.drained);
            anyhow::Ok(Lived { per_s: drained.per_s, db_us, api_us: drained.node_us })
        };
        let first = if round % 2 == 1 { Some(others().await?) } else { None };
        let whole = lives.round(plan.triggers, true).await?;
        let drained = lives.round(plan.triggers, false).await?;
        lives.limit_running(Quotas::default().max_running).await;
        let quota = lives.round(plan.triggers, true).await?;
        lives.limit_running(None).await;
        let graphile = match first {
            Some(drained) => drained,
            None => others().await?,
        };
        rounds.push(Round { whole, drained, quota, graphile });
    }
    lives.api.stop()?;
    drop(lives.conn);
    bench.server.drop_database("lives").await?;
    graphile.remove(&bench.server).await?;
    Ok(report(&rounds))
}

impl<'a> Lives<'a> {
    async fn prepare(bench: &'a Bench) -> Result<Self> {
        let api = Api::start(&bench.server, "lives").await?;
        let axis = |count: u32| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        let cells = json!({"labels": {"n": axis(10), "m": axis(CELLS / 10)}});
        api.register(&factory::with(factory::test("many"), "/matrix", cells)).await;
        let mut workers = Vec::new();
        for number in 0..WORKERS {
            workers.push(api.worker(&format!("life-{number}")).await?);
        }
        let conn = bench.server.connect("lives").await?;
        Ok(Self { bench, api, conn, workers })
    }

    /// Sets how many runs may be running at the same time.
    async fn limit_running(&self, most: Option<i32>) {
        let quotas = json!({"quotas": {"max_running": most}});
        self.api.admin().patch("/api/v1/namespaces/default", &quotas).await.expect(200);
    }

    /// Lets runs live to their end. The time runs from the first trigger on, or from the first claim, when all of them are
    /// to be triggered before.
    async fn round(&mut self, triggers: u32, from_the_trigger: bool) -> Result<Lived> {
        let total = u64::from(triggers * CELLS);
        let ignored = [backend_pid(&mut self.conn).await?];
        let server = &self.bench.server;
        let mut triggering = JoinSet::new();
        let begin = |triggering: &mut JoinSet<Result<()>>| {
            for first in 0..TRIGGERS as u32 {
                let mut controller = self.api.controller();
                triggering.spawn(async move {
                    for _ in (first..triggers).step_by(TRIGGERS) {
                        controller.trigger("many").await?;
                    }
                    Ok(())
                });
            }
        };
        if !from_the_trigger {
            begin(&mut triggering);
            all_of(&mut triggering).await?;
        }
        let (begun, db, api) = (Instant::now(), server.cpu_us(&ignored), self.api.cpu_us());
        if from_the_trigger {
            begin(&mut triggering);
        }
        let mut living = JoinSet::new();
        for worker in &self.workers {
            living.spawn(live(worker.clone(), begun));
        }
        all_of(&mut triggering).await?;
        let (mut count, mut last) = (0, begun);
        while let Some(done) = living.join_next().await {
            let (lived, ended) = done??;
            count += lived;
            last = last.max(ended);
        }
        ensure!(count == total, "{count} of {total} runs lived to their end");
        let left: i64 = sqlx::query_scalar("SELECT (SELECT count(*) FROM ready) + (SELECT count(*) FROM lease)")
            .fetch_one(&mut self.conn)
            .await?;
        ensure!(left == 0, "{left} runs are left");
        let runs = total as f64;
        Ok(Lived {
            per_s: runs / (last - begun).as_secs_f64(),
            db_us: (server.cpu_us(&ignored) - db) / runs,
            api_us: (self.api.cpu_us() - api) / runs,
        })
    }
}

async fn all_of(tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// Claims, starts and finishes runs until there have been none for a while; returns how many, and when the last ended.
async fn live(mut worker: Worker, begun: Instant) -> Result<(u64, Instant)> {
    let (mut count, mut last) = (0, begun);
    loop {
        let runs = worker.claim(AT_ONCE, Duration::from_millis(500)).await?;
        if runs.is_empty() {
            if last > begun || begun.elapsed() > Duration::from_secs(10) {
                return Ok((count, last));
            }
            continue;
        }
        count += runs.len() as u64;
        end(&worker, runs).await?;
        last = Instant::now();
    }
}

/// Starts and finishes runs, all at the same time.
pub async fn end(worker: &Worker, runs: Vec<pb::LeasedRun>) -> Result<()> {
    let mut ends = JoinSet::new();
    for run in runs {
        let mut worker = worker.clone();
        let fence = run.fence.context("a fence")?;
        ends.spawn(async move {
            worker.start(fence.clone()).await?;
            worker.finish(fence).await
        });
    }
    all_of(&mut ends).await
}

/// Returns a name that no other worker has.
pub fn fresh(name: &str) -> String {
    format!("{name}-{}", Uuid::new_v4().simple())
}

fn report(rounds: &[Round]) -> Found {
    let of = |read: &dyn Fn(&Round) -> f64| median(rounds.iter().map(read));
    let mut table = Table::new(
        "Whole lives",
        &format!(
            "Runs that do nothing, triggered {CELLS} at once by {TRIGGERS} clients, claimed by {WORKERS} workers {AT_ONCE} at \
             once, started and finished one by one: all through the gRPC of one replica. Drained: the time runs from the first \
             claim on, when all of them wait. With the quota that a namespace has by itself, fewer of them run at a time \
             than are asked for, so workers wait for each other's runs to end. graphile-worker drains jobs that do nothing, with `localQueue.size` 500. Processor \
             time for each run or job; of tstr its API, of graphile-worker its Node.js."
        ),
        &["what", "per second", "by graphile-worker", "PG µs", "API or Node.js µs"],
    );
    let kinds: [(&str, Kind); 4] = [
        ("whole lives", |round| round.whole),
        ("drained", |round| round.drained),
        ("whole lives under the default quota", |round| round.quota),
        ("graphile-worker", |round| round.graphile),
    ];
    for (name, kind) in kinds {
        table.row(vec![
            name.into(),
            count(of(&|round| kind(round).per_s)),
            ratio(of(&|round| kind(round).per_s / round.graphile.per_s)),
            count(of(&|round| kind(round).db_us)),
            count(of(&|round| kind(round).api_us)),
        ]);
    }
    let goals = vec![
        Goal::figure(
            "7",
            "whole lives through gRPC with everything on this machine",
            Bound::AtLeast(5000.0),
            of(&|round| round.whole.per_s),
            "runs/s",
        ),
        Goal::ratio(
            "gRPC",
            "whole lives per second by graphile-worker's drained jobs",
            Bound::AtLeast(0.5),
            of(&|round| round.whole.per_s / round.graphile.per_s),
        ),
    ];
    Found { text: table.into_text(), goals }
}
