//! Claims per second: through gRPC with a token, by the bare statement, and the bare INSERT beside them. What is compared
//! with what is up to the sections.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Bench;
use crate::pgbench::{Report, Script, Span};
use crate::queue::{Kept, Queue};
use crate::samples::{Done, Sample, Series, least, quantile};
use crate::server::backend_pid;

/// How long a claim waits when the queue happens to be empty; the end of a measurement waits as long at most.
const CLAIM_WAIT: Duration = Duration::from_millis(200);

/// How runs are claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Not at all: a one-row INSERT, the smallest durable transaction.
    Insert,
    /// Only the probe of one lane: the first row is taken out of the queue and put back at its end.
    Probe,
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
    /// From which queue.
    pub queue: usize,
    /// By which of its groups of runners.
    pub group: usize,
    /// How many runs a claim takes at most.
    pub max: u32,
    /// How many claim at the same time.
    pub clients: u32,
}

/// Measures claims from queues.
pub struct Claiming<'a> {
    bench: &'a Bench,
    queues: Vec<Queue>,
    scripts: Vec<Scripts>,
    insert: Script,
    idle: Vec<f64>,
}

/// What pgbench runs on a queue.
struct Scripts {
    claim: Option<Script>,
    probe: Script,
}

/// What claims used, before it is divided by them.
struct Used {
    per_s: f64,
    db: Watched,
    api_us: f64,
    kept: Kept,
    p99_ms: f64,
}

/// What the server used, and how long it was watched.
#[derive(Debug, Clone, Copy)]
struct Watched {
    us: f64,
    s: f64,
}

impl<'a> Claiming<'a> {
    /// Writes the scripts, and warms the API's connections up.
    pub async fn prepare(bench: &'a Bench, mut queues: Vec<Queue>) -> Result<Self> {
        let server = &bench.server;
        let mut scripts = Vec::new();
        for queue in &mut queues {
            let runner = queue.groups.first().and_then(|group| group.first()).context("a worker")?.id();
            // The script's order of lanes is that of the test's four cells.
            let claim = match queue.lanes.len() {
                4 => Some(Script::claim(server, &queue.database, &mut queue.conn, &queue.lanes, runner).await?),
                _ => None,
            };
            let lane = *queue.lanes.first().context("a lane")?;
            scripts.push(Scripts { claim, probe: Script::probe(server, &queue.database, lane)? });
        }
        let first = queues.first_mut().context("a queue")?;
        let insert = Script::insert(server, &first.database.clone(), &mut first.conn).await?;
        let mut claiming = Self { bench, queues, scripts, insert, idle: Vec::new() };
        for queue in 0..claiming.queues.len() {
            for group in 0..claiming.queues[queue].groups.len() {
                let clients = claiming.queues[queue].groups[group].len() as u32;
                claiming.over_grpc(Point { way: Way::Grpc, queue, group, max: 1, clients }).await?;
            }
        }
        Ok(claiming)
    }

    /// Returns the processor time per second that the server uses when nobody claims: the APIs' loops, and its own.
    pub fn idle_us_per_s(&self) -> f64 {
        least(&self.idle)
    }

    /// Measures all points once; every second round goes the other way round.
    pub async fn round(&mut self, round: usize, points: &[Point], series: &mut Series<Point>) -> Result<()> {
        self.idle.push(self.bench.server.idle_us_per_s(self.bench.plan.idle).await);
        let mut points = points.to_vec();
        if round % 2 == 1 {
            points.reverse();
        }
        for point in points {
            let sample = self.measure(point).await.with_context(|| format!("{point:?}"))?;
            series.entry(point).or_default().push(sample);
        }
        Ok(())
    }

    /// Stops the APIs and removes the databases.
    pub async fn end(self) -> Result<()> {
        for queue in self.queues {
            queue.remove(&self.bench.server).await?;
        }
        Ok(())
    }

    async fn measure(&mut self, point: Point) -> Result<Sample> {
        self.queues[point.queue].vacuum().await?;
        let used = match point.way {
            Way::Insert => self.without_leases(0, self.insert.clone(), point.clients).await?,
            Way::Probe => {
                self.without_leases(point.queue, self.scripts[point.queue].probe.clone(), point.clients).await?
            }
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
            p99_ms: used.p99_ms,
        })
    }

    async fn without_leases(&mut self, queue: usize, script: Script, clients: u32) -> Result<Used> {
        let (report, _, db) = self.pgbench(queue, &script, clients).await?;
        let kept = Kept { claimed: report.transactions as u64, missing: 0 };
        Ok(Used { per_s: report.per_s, db, api_us: 0.0, kept, p99_ms: f64::NAN })
    }

    async fn by_sql(&mut self, point: Point) -> Result<Used> {
        let script = self.scripts[point.queue].claim.as_ref().context("a queue with four lanes")?.at_once(point.max);
        let (report, kept, db) = self.pgbench(point.queue, &script, point.clients).await?;
        let per_transaction = kept.claimed as f64 / report.transactions;
        Ok(Used { per_s: report.per_s * per_transaction, db, api_us: 0.0, kept, p99_ms: f64::NAN })
    }

    /// Runs a script for a time, and before that once for each client, so that connecting and planning, which the API
    /// does once and keeps, can be taken off.
    async fn pgbench(&mut self, queue: usize, script: &Script, clients: u32) -> Result<(Report, Kept, Watched)> {
        let (once, before, connecting) = self.pgbench_for(queue, script, clients, Span::Once).await?;
        let (report, kept, all) =
            self.pgbench_for(queue, script, clients, Span::Seconds(self.bench.plan.seconds)).await?;
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
        let (begun, cpu) = (Instant::now(), self.bench.server.cpu_us(&ignored));
        let report = script.run(&self.bench.server, clients, span).await?;
        self.bench.server.wait_for_pgbench(&mut self.queues[queue].conn).await?;
        let used = Watched { us: self.bench.server.cpu_us(&ignored) - cpu, s: begun.elapsed().as_secs_f64() };
        let kept = self.queues[queue].end(keeping).await?;
        Ok((report, kept, used))
    }

    async fn over_grpc(&mut self, point: Point) -> Result<Used> {
        let queue = &mut self.queues[point.queue];
        let keeping = queue.keep()?;
        let ignored = [keeping.pid, backend_pid(&mut queue.conn).await?];
        let window = self.bench.plan.window();
        let (begun, cpu, api) = (Instant::now(), self.bench.server.cpu_us(&ignored), queue.api.cpu_us());
        let mut claimers = JoinSet::new();
        let group = queue.groups.get(point.group).context("a group of workers")?;
        for worker in group.iter().take(point.clients as usize) {
            let mut worker = worker.clone();
            claimers.spawn(async move {
                let (mut claimed, mut took) = (0, Vec::new());
                while begun.elapsed() < window {
                    let asked = Instant::now();
                    claimed += worker.claim(point.max, CLAIM_WAIT).await?.len() as u64;
                    took.push(asked.elapsed().as_secs_f64() * 1e3);
                }
                anyhow::Ok((Done::since(begun, claimed), took))
            });
        }
        ensure!(claimers.len() == point.clients as usize, "there are only {} workers", claimers.len());
        let (mut all, mut took) = (Done::default(), Vec::new());
        while let Some(done) = claimers.join_next().await {
            let (done, times) = done??;
            all += done;
            took.extend(times);
        }
        let db = Watched { us: self.bench.server.cpu_us(&ignored) - cpu, s: begun.elapsed().as_secs_f64() };
        let api_us = queue.api.cpu_us() - api;
        let kept = queue.end(keeping).await?;
        ensure!(
            kept.claimed == all.count,
            "the API gave out {} runs, and {} leases were made",
            all.count,
            kept.claimed
        );
        Ok(Used { per_s: all.per_s, db, api_us, kept, p99_ms: quantile(&mut took, 0.99) })
    }
}
