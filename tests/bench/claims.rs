//! Claims per second: through gRPC with a token, by the bare statement, and the bare INSERT beside them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::pgbench::{Report, Script, Span};
use crate::plan::Plan;
use crate::queue::{Kept, Queue};
use crate::samples::{Done, Sample, Series, least};
use crate::server::{Server, backend_pid};

/// How long a claim waits when the queue happens to be empty; the end of a measurement waits as long at most.
const CLAIM_WAIT: Duration = Duration::from_millis(200);

/// How runs are claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Not at all: a one-row INSERT, the smallest durable transaction.
    Insert,
    /// By the product's statement alone.
    Sql,
    /// Through the API.
    Grpc,
}

/// What is measured in every round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// How.
    pub way: Way,
    /// Which queue, by its place in the plan's depths.
    pub queue: usize,
    /// How many runs a claim takes at most.
    pub max: u32,
    /// How many claim at the same time.
    pub clients: u32,
}

/// The claims' part of the benchmark.
pub struct Claims<'a> {
    server: &'a Server,
    plan: &'a Plan,
    queues: &'a mut [Queue],
    scripts: Vec<Script>,
    insert: Script,
    idle: Vec<f64>,
}

/// What claims used, before it is divided by them.
struct Used {
    per_s: f64,
    db: Watched,
    api_us: f64,
    kept: Kept,
}

/// What the server used, and how long it was watched.
#[derive(Debug, Clone, Copy)]
struct Watched {
    us: f64,
    s: f64,
}

impl<'a> Claims<'a> {
    /// Writes the scripts, and warms the API's connections up.
    pub async fn prepare(server: &'a Server, plan: &'a Plan, queues: &'a mut [Queue]) -> Result<Self> {
        let mut scripts = Vec::new();
        for queue in queues.iter() {
            let runner = queue.workers.first().context("a worker")?.id();
            scripts.push(Script::claim(server, &queue.database, &queue.lanes, runner)?);
        }
        let first = queues.first_mut().context("a queue")?;
        let insert = Script::insert(server, &first.database.clone(), &mut first.conn).await?;
        let mut claims = Self { server, plan, queues, scripts, insert, idle: Vec::new() };
        let clients = plan.claimers.last().copied().unwrap_or(1);
        for queue in 0..claims.queues.len() {
            claims.over_grpc(Point { way: Way::Grpc, queue, max: 1, clients }).await?;
        }
        Ok(claims)
    }

    /// Returns the processor time per second that the server uses when nobody claims: the APIs' loops, and its own.
    pub fn idle_us_per_s(&self) -> f64 {
        least(&self.idle)
    }

    /// Returns the points of a round; every second round goes the other way round.
    pub fn points(plan: &Plan, round: usize) -> Vec<Point> {
        let mut points = Vec::new();
        for &clients in &plan.claimers {
            points.push(Point { way: Way::Insert, queue: 0, max: 1, clients });
            for &max in &plan.at_once {
                for queue in 0..plan.depths.len() {
                    points.extend([Way::Sql, Way::Grpc].map(|way| Point { way, queue, max, clients }));
                }
            }
        }
        if round % 2 == 1 {
            points.reverse();
        }
        points
    }

    /// Measures all points once.
    pub async fn round(&mut self, round: usize, series: &mut Series<Point>) -> Result<()> {
        self.idle.push(self.server.idle_us_per_s(self.plan.idle).await);
        for point in Self::points(self.plan, round) {
            let sample = self.measure(point).await.with_context(|| format!("{point:?}"))?;
            series.entry(point).or_default().push(sample);
        }
        Ok(())
    }

    async fn measure(&mut self, point: Point) -> Result<Sample> {
        self.queues[point.queue].vacuum().await?;
        let used = match point.way {
            Way::Insert => self.inserts(point.clients).await?,
            Way::Sql => self.by_sql(point).await?,
            Way::Grpc => self.over_grpc(point).await?,
        };
        let queue = &mut self.queues[point.queue];
        let waiting = queue.count().await?;
        ensure!(
            waiting == queue.depth,
            "{waiting} runs wait where {} should: a claim lost or doubled one",
            queue.depth
        );
        let claimed = used.kept.claimed as f64;
        Ok(Sample {
            per_s: used.per_s,
            db_us: used.db.us / claimed,
            watched_s: used.db.s / claimed,
            api_us: used.api_us / claimed,
            least_depth: queue.depth.saturating_sub(used.kept.missing),
        })
    }

    async fn inserts(&mut self, clients: u32) -> Result<Used> {
        let script = self.insert.clone();
        let (report, _, db) = self.pgbench(0, &script, clients).await?;
        let kept = Kept { claimed: report.transactions as u64, missing: 0 };
        Ok(Used { per_s: report.per_s, db, api_us: 0.0, kept })
    }

    async fn by_sql(&mut self, point: Point) -> Result<Used> {
        let script = self.scripts[point.queue].at_once(point.max);
        let (report, kept, db) = self.pgbench(point.queue, &script, point.clients).await?;
        let per_transaction = kept.claimed as f64 / report.transactions;
        Ok(Used { per_s: report.per_s * per_transaction, db, api_us: 0.0, kept })
    }

    /// Runs a script for a time, and before that once for each client, so that connecting and planning, which the API
    /// does once and keeps, can be taken off.
    async fn pgbench(&mut self, queue: usize, script: &Script, clients: u32) -> Result<(Report, Kept, Watched)> {
        let (once, before, connecting) = self.pgbench_for(queue, script, clients, Span::Once).await?;
        let (report, kept, all) = self.pgbench_for(queue, script, clients, Span::Seconds(self.plan.seconds)).await?;
        let rest = 1.0 - once.transactions / report.transactions;
        // The first transactions are taken off on both sides of the division.
        let without = |all: f64, connecting: f64| (all - connecting).max(0.0) / rest.max(f64::EPSILON);
        let db = Watched { us: without(all.us, connecting.us), s: without(all.s, connecting.s) };
        let missing = kept.missing.max(before.missing);
        Ok((report, Kept { missing, ..kept }, db))
    }

    async fn pgbench_for(
        &mut self,
        queue: usize,
        script: &Script,
        clients: u32,
        span: Span,
    ) -> Result<(Report, Kept, Watched)> {
        let keeping = self.queues[queue].keep()?;
        let ignored = [keeping.pid, backend_pid(&mut self.queues[queue].conn).await?];
        let (begun, cpu) = (Instant::now(), self.server.cpu_us(&ignored));
        let report = script.run(self.server, clients, span).await?;
        self.server.wait_for_pgbench(&mut self.queues[queue].conn).await?;
        let used = Watched { us: self.server.cpu_us(&ignored) - cpu, s: begun.elapsed().as_secs_f64() };
        let kept = self.queues[queue].end(keeping).await?;
        Ok((report, kept, used))
    }

    async fn over_grpc(&mut self, point: Point) -> Result<Used> {
        let queue = &mut self.queues[point.queue];
        let keeping = queue.keep()?;
        let ignored = [keeping.pid, backend_pid(&mut queue.conn).await?];
        let window = self.plan.window();
        let (begun, cpu, api) = (Instant::now(), self.server.cpu_us(&ignored), queue.api.cpu_us());
        let mut claimers = JoinSet::new();
        for worker in queue.workers.iter().take(point.clients as usize) {
            let mut worker = worker.clone();
            claimers.spawn(async move {
                let mut claimed = 0;
                while begun.elapsed() < window {
                    claimed += worker.claim(point.max, CLAIM_WAIT).await?.len() as u64;
                }
                anyhow::Ok(Done::since(begun, claimed))
            });
        }
        ensure!(claimers.len() == point.clients as usize, "there are only {} workers", claimers.len());
        let mut all = Done::default();
        while let Some(done) = claimers.join_next().await {
            all += done??;
        }
        let db = Watched { us: self.server.cpu_us(&ignored) - cpu, s: begun.elapsed().as_secs_f64() };
        let api_us = queue.api.cpu_us() - api;
        let kept = queue.end(keeping).await?;
        ensure!(
            kept.claimed == all.count,
            "the API gave out {} runs, and {} leases were made",
            all.count,
            kept.claimed
        );
        Ok(Used { per_s: all.per_s, db, api_us, kept })
    }
}
