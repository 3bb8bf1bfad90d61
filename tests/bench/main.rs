//! How fast runs are claimed and logs are stored, as ratios to bare PostgreSQL on the same machine in the same minute.
//!
//! `./scripts/bench` builds and runs this; docs/benchmarks.md says what is measured and keeps the results. Progress
//! goes to the standard error, the results as Markdown to the standard output. All that is started here is ended here.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "the harness fails by panicking; printing is the purpose")]

mod api;
mod claims;
mod cpu;
mod life;
mod logs;
mod pgbench;
mod plan;
mod queue;
mod report;
mod samples;
mod server;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use tokio::time::Instant;

use crate::claims::Claims;
use crate::life::Life;
use crate::logs::Logs;
use crate::plan::Plan;
use crate::queue::Queue;
use crate::samples::{Series, take_off_idle};
use crate::server::Server;

fn main() -> ExitCode {
    let outcome = Plan::from_args(std::env::args().skip(1)).map_err(anyhow::Error::msg).and_then(|plan| {
        if std::env::var_os("TSTR_TEST_DIR").is_none() {
            bail!("run this by ./scripts/bench");
        }
        // The measuring itself stays on this thread: the processes that it starts end with the thread that did.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let limit = plan.limit;
        let measured = runtime.block_on(async { tokio::time::timeout(limit, measure(&plan)).await });
        measured.with_context(|| format!("the benchmark was not done within {limit:?}"))?
    });
    match outcome {
        Ok(results) => {
            println!("{results}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(plan: &Plan) -> Result<String> {
    let begun = Instant::now();
    let say = |what: &str| eprintln!("bench: {:>4.0} s  {what}", begun.elapsed().as_secs_f64());
    let load_before = load();
    say("starting PostgreSQL");
    let server = Server::start().await?;
    let mut queues = Vec::new();
    let workers = plan.claimers.iter().chain(&plan.writers).copied().max().unwrap_or(1) as usize;
    for depth in &plan.depths {
        say(&format!("filling a queue with {depth} runs"));
        queues.push(Queue::fill(&server, *depth, workers).await?);
    }

    let mut claimed = Series::new();
    let mut claims = Claims::prepare(&server, plan, &mut queues).await?;
    for round in 0..plan.rounds {
        say(&format!("claims, round {} of {}", round + 1, plan.rounds));
        claims.round(round, &mut claimed).await?;
    }
    let idle_us_per_s = claims.idle_us_per_s();
    take_off_idle(&mut claimed, idle_us_per_s);

    while queues.len() > 1 {
        queues.pop().context("a queue")?.api.stop()?;
    }
    let mut queue = queues.pop().context("a queue")?;
    let mut logged = Series::new();
    let mut logs = Logs::prepare(&server, plan, &mut queue).await?;
    for round in 0..plan.rounds {
        say(&format!("logs, round {} of {}", round + 1, plan.rounds));
        logs.round(round, &mut logged).await?;
    }
    take_off_idle(&mut logged, logs.idle_us_per_s());
    drop(logs);
    let version: String = sqlx::query_scalar("SHOW server_version").fetch_one(&mut queue.conn).await?;
    queue.api.stop()?;
    say("whole lives, wake-ups, and workers that wait");
    let lived = Life::prepare(&server).await?.measure(&server, plan).await?;
    say("done");

    let build = match (cfg!(debug_assertions), plan.is_quick) {
        (false, false) => "release build".to_owned(),
        (debug, quick) => {
            let what = if debug { "DEBUG BUILD" } else { "release build" };
            format!("**{what}{}: these figures are not to be published**", if quick { ", quick run" } else { "" })
        }
    };
    let head = format!(
        "tstr {}, {build}; PostgreSQL {version}, fsync and synchronous_commit on; {} cores; medians of {} rounds of \
         {} s; load average {load_before} before, {} after; {:.0} s in all. With both APIs idle PostgreSQL uses {:.1} ms of \
         processor time per second, which is taken off.",
        env!("CARGO_PKG_VERSION"),
        std::thread::available_parallelism()?,
        plan.rounds,
        plan.window().as_secs_f64(),
        load(),
        begun.elapsed().as_secs_f64(),
        idle_us_per_s / 1000.0,
    );
    Ok(format!("{head}\n\n{}\n{}\n{lived}", report::claims(plan, &claimed), report::logs(plan, &logged)))
}

/// Returns the load average of the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
