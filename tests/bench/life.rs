//! Whole lives of runs through the API, how soon a waiting worker hears of a run, and what workers cost that only wait.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sqlx::PgConnection;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tstr_tests::factory;

use crate::api::{Api, Worker};
use crate::plan::Plan;
use crate::report::Table;
use crate::samples::median;
use crate::server::{Server, backend_pid};

/// How many cells the test of a life has: so many runs are made by one trigger.
const CELLS: u32 = 250;
/// How many runs a worker takes at once.
const AT_ONCE: u32 = 50;
/// How many workers live through runs.
const WORKERS: usize = 8;
/// How many claims wait on one connection.
const WAITING_ON_ONE: usize = 500;

/// Two replicas on one database.
pub struct Life {
    here: Api,
    there: Api,
    conn: PgConnection,
}

/// What a round of whole lives gave.
struct Lived {
    per_s: f64,
    db_us: f64,
    api_us: f64,
}

impl Life {
    /// Makes the database, and starts two replicas on it.
    pub async fn prepare(server: &Server) -> Result<Self> {
        let here = Api::start(server, "life").await?;
        let there = here.replica(server, "life").await?;
        let axis = |count: u32| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        let cells = json!({"labels": {"n": axis(10), "m": axis(CELLS / 10)}});
        let test = factory::with(factory::test("many"), "/matrix", cells);
        here.register(&test).await;
        here.register(&factory::test("one")).await;
        Ok(Self { here, there, conn: server.connect("life").await? })
    }

    /// Measures everything; returns Markdown.
    pub async fn measure(mut self, server: &Server, plan: &Plan) -> Result<String> {
        let mut text = String::new();
        let mut lived = Vec::new();
        for _ in 0..plan.rounds {
            lived.push(self.lives(server, plan.triggers).await?);
        }
        let mut table = Table::new(
            "Whole lives",
            &format!(
                "Runs that are triggered {CELLS} at once, claimed by {WORKERS} workers {AT_ONCE} at once, started and \
                 finished one by one, all through the API of one replica. Processor time for each run."
            ),
            &["runs/s", "PG µs", "API µs"],
        );
        let of = |read: fn(&Lived) -> f64| format!("{:.0}", median(lived.iter().map(read)));
        table.row(vec![of(|one| one.per_s), of(|one| one.db_us), of(|one| one.api_us)]);
        let _ = writeln!(text, "{}", table.into_text());

        let mut table = Table::new(
            "Wake-up",
            "From the answer of the trigger to the answer of a claim that waited, on idle replicas, in milliseconds.",
            &["claim at", "samples", "median", "99 of 100", "most"],
        );
        for (name, api) in [("the same replica", &self.here), ("another replica", &self.there)] {
            let mut waits = self.wake_ups(api, plan.wake_ups).await?;
            waits.sort_by(f64::total_cmp);
            let at = |part: f64| waits.get(((waits.len() - 1) as f64 * part).round() as usize).copied().unwrap_or(0.0);
            let ms = |value: f64| format!("{value:.2}");
            table.row(vec![name.into(), waits.len().to_string(), ms(at(0.5)), ms(at(0.99)), ms(at(1.0))]);
        }
        let _ = writeln!(text, "{}", table.into_text());

        let mut table = Table::new(
            "Workers that wait",
            "Claims that wait on one replica. PG: parts of a core that PostgreSQL uses, the loops of both replicas included.",
            &["claims", "API MiB", "API of a core", "PG of a core", "PG without them"],
        );
        table.row(self.idle(server, plan).await?);
        let _ = writeln!(text, "{}", table.into_text());
        self.here.stop()?;
        self.there.stop()?;
        Ok(text)
    }

    /// Lets runs live from their trigger to their end.
    async fn lives(&mut self, server: &Server, triggers: u32) -> Result<Lived> {
        let total = u64::from(triggers * CELLS);
        let ignored = [backend_pid(&mut self.conn).await?];
        let mut workers = Vec::new();
        for number in 0..WORKERS {
            workers.push(self.here.worker(&format!("life-{number}-{}", uuid::Uuid::new_v4().simple())).await?);
        }
        let (begun, db, api) = (Instant::now(), server.cpu_us(&ignored), self.here.cpu_us());
        let mut tasks = JoinSet::new();
        for worker in workers {
            tasks.spawn(live(worker, begun));
        }
        // Two that trigger, so that there is always something to claim.
        let half = |from: u32| async move { (from..triggers).step_by(2) };
        let (first, second) = (half(0).await, half(1).await);
        let trigger = async |steps: std::iter::StepBy<std::ops::Range<u32>>| {
            for _ in steps {
                self.here.trigger_test("many").await?;
            }
            anyhow::Ok(())
        };
        tokio::try_join!(trigger(first), trigger(second))?;
        let (mut count, mut last) = (0, begun);
        while let Some(done) = tasks.join_next().await {
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
            api_us: (self.here.cpu_us() - api) / runs,
        })
    }

    async fn wake_ups(&self, at: &Api, samples: u32) -> Result<Vec<f64>> {
        let worker = at.worker(&format!("wakes-{}", uuid::Uuid::new_v4().simple())).await?;
        let mut waits = Vec::new();
        for _ in 0..samples {
            let mut claimer = worker.clone();
            let waiting = tokio::spawn(async move {
                let runs = claimer.claim(1, Duration::from_secs(10)).await?;
                anyhow::Ok((runs, Instant::now()))
            });
            // Until it surely waits.
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.here.trigger_test("one").await?;
            let triggered = Instant::now();
            let (runs, answered) = waiting.await??;
            waits.push(answered.saturating_duration_since(triggered).as_secs_f64() * 1e3);
            end(&worker, runs).await?;
        }
        Ok(waits)
    }

    async fn idle(&mut self, server: &Server, plan: &Plan) -> Result<Vec<String>> {
        let cores = async |api: &Api| {
            let (begun, db, own) = (Instant::now(), server.cpu_us(&[]), api.cpu_us());
            tokio::time::sleep(plan.idle * 3).await;
            let us = begun.elapsed().as_secs_f64() * 1e6;
            ((server.cpu_us(&[]) - db) / us, (api.cpu_us() - own) / us)
        };
        let (alone, _) = cores(&self.here).await;
        let mut claims = JoinSet::new();
        let mut waiting = 0;
        let mut connections = Vec::new();
        while waiting < plan.waiting {
            let worker = self.here.worker(&format!("idle-{waiting}-{}", uuid::Uuid::new_v4().simple())).await?;
            for _ in 0..WAITING_ON_ONE.min(plan.waiting - waiting) {
                let mut claimer = worker.clone();
                claims.spawn(async move { claimer.claim(1, Duration::from_secs(30)).await.map(|runs| runs.len()) });
                waiting += 1;
            }
            connections.push(worker);
        }
        // They have all asked once by then, and none of them asks again before the end of the measurement.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let (db, own) = cores(&self.here).await;
        let memory = self.here.resident_mib()?;
        ensure!(claims.try_join_next().is_none(), "a claim did not wait");
        claims.shutdown().await;
        let percent = |part: f64| format!("{:.1} %", part * 100.0);
        Ok(vec![waiting.to_string(), format!("{memory:.0}"), percent(own), percent(db), percent(alone)])
    }
}

/// Claims, starts and finishes runs until there have been none for a while; returns how many, and when the last ended.
async fn live(mut worker: Worker, begun: Instant) -> Result<(u64, Instant)> {
    let (mut count, mut last) = (0, begun);
    loop {
        let runs = worker.claim(AT_ONCE, Duration::from_secs(1)).await?;
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
async fn end(worker: &Worker, runs: Vec<tstr_proto::v1::LeasedRun>) -> Result<()> {
    let mut ends = JoinSet::new();
    for run in runs {
        let mut worker = worker.clone();
        let fence = run.fence.context("a fence")?;
        ends.spawn(async move {
            worker.start(fence.clone()).await?;
            worker.finish(fence).await
        });
    }
    while let Some(done) = ends.join_next().await {
        done??;
    }
    Ok(())
}
