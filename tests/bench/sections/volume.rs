//! Logs of a gigabyte: as fast as small ones, and in little memory on both sides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::time::Instant;
use tstr_tests::runner::Site;
use tstr_tests::{eventually, factory};
use uuid::Uuid;

use super::Found;
use super::logs::{BULK, COPY, Log, PIECE, body, claim_for_logs, copied};
use crate::Bench;
use crate::api::{Api, Worker};
use crate::cpu;
use crate::goals::{Bound, Goal};
use crate::queue::{Queue, Shape};
use crate::samples::median;
use crate::server::Server;
use crate::table::{Table, count, ratio};

/// The bytes of a small log.
const SMALL: u64 = 1_000_000;
/// How many small logs are written at most.
const MANY: u64 = 64;
/// What may be resident, in MiB.
const MOST_MIB: f64 = 128.0;

/// What a round gave, in MB/s.
struct Round {
    small: f64,
    large: f64,
    copy: f64,
}

/// Measures.
pub async fn run(bench: &Bench) -> Result<Found> {
    let plan = &bench.plan;
    let everything = [String::new()];
    let shape = Shape { database: "volume", depth: 1_000, classes: None, groups: &everything, workers: 1 };
    let mut queue = Queue::fill(&bench.server, shape).await?;
    let logs = (plan.volume / SMALL).clamp(1, MANY);
    let fences = claim_for_logs(&mut queue, logs as usize + 1).await?;
    let worker = queue.groups[0][0].clone();
    let memory = Memory::watch(queue.api.pid());
    let mut rounds = Vec::new();
    for round in 0..plan.rounds {
        bench.say(&format!("volume, round {} of {}", round + 1, plan.rounds));
        let mut figures = [0.0; 3];
        let mut order = [0, 1, 2];
        if round % 2 == 1 {
            order.reverse();
        }
        for way in order {
            for table in ["TRUNCATE log_chunk", "TRUNCATE bench_copy", "CHECKPOINT"] {
                sqlx::query(table).execute(&mut queue.conn).await?;
            }
            let begun = Instant::now();
            let bytes = match way {
                0 => {
                    for fence in &fences[1..] {
                        pour(&worker, Log::empty(fence.clone()), SMALL).await?;
                    }
                    logs * SMALL
                }
                1 => {
                    pour(&worker, Log::empty(fences[0].clone()), plan.volume).await?;
                    plan.volume
                }
                _ => {
                    copy(&bench.server, &queue.database, plan.volume).await?;
                    plan.volume
                }
            };
            figures[way] = bytes as f64 / 1e6 / begun.elapsed().as_secs_f64();
        }
        let [small, large, copy] = figures;
        rounds.push(Round { small, large, copy });
    }
    let api_mib = memory.most()?;
    sqlx::query("TRUNCATE log_chunk").execute(&mut queue.conn).await?;
    queue.remove(&bench.server).await?;
    bench.say("volume, by a real worker");
    let real = by_a_worker(bench).await?;
    Ok(report(&rounds, api_mib, &real, plan.volume))
}

/// Writes so many bytes to a log, in calls as large as the worker's.
async fn pour(worker: &Worker, mut log: Log, bytes: u64) -> Result<()> {
    let (mut worker, text) = (worker.clone(), body(PIECE));
    let mut left = bytes;
    while left > 0 {
        let pieces = pieces(&text, &mut left);
        let chunks = log.chunks(&pieces);
        worker.append(log.fence.clone(), chunks).await?;
    }
    Ok(())
}

/// Copies as many, a transaction for each call.
async fn copy(server: &Server, database: &str, bytes: u64) -> Result<()> {
    let mut conn = server.connect(database).await?;
    let (run, mut seq, mut start, mut left) = (Uuid::now_v7(), 0, 0, bytes);
    let text = body(PIECE);
    while left > 0 {
        let rows = copied(run, &mut seq, &mut start, &pieces(&text, &mut left));
        let mut copying = conn.copy_in_raw(COPY).await?;
        copying.send(rows).await?;
        copying.finish().await?;
    }
    Ok(())
}

/// Takes the pieces of one call from what is left.
fn pieces(text: &[u8], left: &mut u64) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    while *left > 0 && pieces.len() < BULK / PIECE {
        let bytes = (*left).min(PIECE as u64);
        pieces.push(text[..bytes as usize].to_vec());
        *left -= bytes;
    }
    pieces
}

/// What a real container's log took.
struct Real {
    mb_per_s: f64,
    worker_mib: f64,
    api_mib: f64,
}

/// Lets a container write so many bytes, and a real worker hand them over.
async fn by_a_worker(bench: &Bench) -> Result<Real> {
    let bytes = bench.plan.volume;
    let api = Api::start(&bench.server, "volume_real").await?;
    let line = "a line of a log, as a test writes it, and not a short one: 70 bytes it has";
    let test = factory::script("flood", &format!("yes '{line}' | head -c {bytes}"));
    let test = factory::with(test, "/limits", json!({"log": "1GiB"}));
    let test = factory::with(test, "/run_config/timeout", json!("300s"));
    api.register(&test).await;
    let site = Site::with_token("flood", api.runner_token());
    let mut runner = site.start(api.grpc_url(), &["--slots", "1"]).await;
    runner.registered_at(api.admin()).await;
    let (of_worker, of_api) = (Memory::watch(runner.process.pid()), Memory::watch(api.pid()));
    let begun = Instant::now();
    let run = api.admin().trigger("flood").await.pop().context("a run")?;
    let ended = eventually("the flood ends", Duration::from_secs(300), async || {
        let run = api.admin().run(&run).await;
        (run["state"] == "finished").then_some(run)
    });
    let ended = ended.await;
    let took = begun.elapsed();
    let log = &ended["log"];
    ensure!(ended["result"] == "pass" && log["bytes"] == bytes && log["status"] == "complete", "it ended as {ended}");
    let real = Real {
        mb_per_s: bytes as f64 / 1e6 / took.as_secs_f64(),
        worker_mib: of_worker.most()?,
        api_mib: of_api.most()?,
    };
    let status = runner.process.terminate(Duration::from_secs(60));
    ensure!(status.success(), "the worker ended with {status}:\n{}", runner.process.log_text());
    api.stop()?;
    bench.server.drop_database("volume_real").await?;
    Ok(real)
}

/// Watches how much memory a process has.
struct Memory {
    stop: Arc<AtomicBool>,
    watch: std::thread::JoinHandle<f64>,
}

impl Memory {
    fn watch(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let watch = std::thread::spawn(move || {
            let mut most = 0.0_f64;
            while !asked.load(Ordering::Relaxed) {
                most = most.max(cpu::resident_mib(pid).unwrap_or(0.0));
                std::thread::sleep(Duration::from_millis(20));
            }
            most
        });
        Self { stop, watch }
    }

    /// Returns the most that there was, in MiB.
    fn most(self) -> Result<f64> {
        self.stop.store(true, Ordering::Relaxed);
        let most = self.watch.join().ok().context("the watch")?;
        ensure!(most > 0.0, "the process was not there");
        Ok(most)
    }
}

fn report(rounds: &[Round], api_mib: f64, real: &Real, bytes: u64) -> Found {
    let of = |read: &dyn Fn(&Round) -> f64| median(rounds.iter().map(read));
    let mb = bytes as f64 / 1e6;
    let mut table = Table::new(
        "Logs by volume",
        "One writer, calls of 2 MiB. COPY is a transaction with the same bytes for each call.",
        &["a log of", "gRPC MB/s", "COPY MB/s", "gRPC / COPY", "by logs of 1 MB"],
    );
    table.row(vec!["1 MB".into(), count(of(&|round| round.small)), "–".into(), "–".into(), "1.00".into()]);
    table.row(vec![
        format!("{mb:.0} MB"),
        count(of(&|round| round.large)),
        count(of(&|round| round.copy)),
        ratio(of(&|round| round.large / round.copy)),
        ratio(of(&|round| round.large / round.small)),
    ]);
    let mut memory = Table::new(
        "Memory under a log",
        &format!(
            "The most that was resident while {mb:.0} MB were written; the worker's is a real one with a real container."
        ),
        &["writer", "MB/s from the trigger to the end", "API MiB", "worker MiB"],
    );
    memory.row(vec!["gRPC client".into(), "–".into(), count(api_mib), "–".into()]);
    memory.row(vec!["worker".into(), count(real.mb_per_s), count(real.api_mib), count(real.worker_mib)]);
    let goals = vec![
        Goal::ratio(
            "gRPC",
            format!("a log of {mb:.0} MB by COPY of the same bytes, MB/s"),
            Bound::AtLeast(0.5),
            of(&|round| round.large / round.copy),
        ),
        Goal::ratio(
            "gRPC",
            format!("flat in volume: MB/s of logs of 1 MB by that of one of {mb:.0} MB"),
            Bound::AtMost(1.1),
            of(&|round| round.small / round.large),
        ),
        Goal::figure("gRPC", "memory of the API meanwhile", Bound::AtMost(MOST_MIB), api_mib.max(real.api_mib), "MiB"),
        Goal::figure("worker", "memory of the worker meanwhile", Bound::AtMost(MOST_MIB), real.worker_mib, "MiB"),
    ];
    Found { text: [table, memory].map(Table::into_text).join("\n"), goals }
}
