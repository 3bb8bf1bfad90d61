//! How fast runs are put into the queue, claimed and ended and logs are stored, as ratios to bare PostgreSQL on the same
//! machine in the same minute.
//!
//! `./scripts/bench` builds and runs this; docs/benchmarks.md says what is measured and keeps the results. Progress
//! goes to the standard error, the results as Markdown to the standard output. All that is started here is ended here.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "the harness fails by panicking; printing is the purpose")]

mod api;
mod claiming;
mod cpu;
mod goals;
mod pgbench;
mod plan;
mod queue;
mod samples;
mod sections;
mod server;
mod table;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use tokio::time::Instant;

use crate::plan::{Plan, Section};
use crate::sections::Found;
use crate::server::Server;

/// What all sections work with.
pub struct Bench {
    /// The PostgreSQL that is measured.
    pub server: Server,
    /// How much is measured.
    pub plan: Plan,
    begun: Instant,
}

impl Bench {
    /// Tells how far it is.
    pub fn say(&self, what: &str) {
        eprintln!("bench: {:>4.0} s  {what}", self.begun.elapsed().as_secs_f64());
    }
}

fn main() -> ExitCode {
    let outcome = Plan::from_args(std::env::args().skip(1)).map_err(anyhow::Error::msg).and_then(|plan| {
        if std::env::var_os("TSTR_TEST_DIR").is_none() {
            bail!("run this by ./scripts/bench");
        }
        // The measuring itself stays on this thread: the processes that it starts end with the thread that did.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(measure(plan))
    });
    match outcome {
        Ok(Measured { text, failed }) => {
            println!("{text}");
            if failed.is_empty() {
                return ExitCode::SUCCESS;
            }
            eprintln!("bench: these sections failed: {}", failed.join(", "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What all sections gave.
struct Measured {
    text: String,
    /// The sections that failed.
    failed: Vec<&'static str>,
}

async fn measure(plan: Plan) -> Result<Measured> {
    let begun = Instant::now();
    let load_before = load();
    let bench = Bench { server: Server::start().await?, plan, begun };
    bench.say("PostgreSQL runs");
    let version = bench.server.version().await?;
    let (mut texts, mut goals, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for section in bench.plan.sections.clone() {
        let word = section.word();
        bench.say(&format!("{word}: begins"));
        let began = Instant::now();
        let found = tokio::time::timeout(bench.plan.limit, run(section, &bench)).await;
        match found.with_context(|| format!("it was not done within {:?}", bench.plan.limit)).flatten() {
            Ok(Found { text, goals: reached }) => {
                bench.say(&format!("{word}: done in {:.0} s", began.elapsed().as_secs_f64()));
                texts.push(text);
                goals.extend(reached);
            }
            // What the others measure is good all the same.
            Err(error) => {
                bench.say(&format!("{word} FAILED: {error:#}"));
                failed.push(word);
            }
        }
    }
    let build = match (cfg!(debug_assertions), bench.plan.is_quick) {
        (false, false) => "release build".to_owned(),
        (debug, quick) => {
            let what = if debug { "DEBUG BUILD" } else { "release build" };
            format!("**{what}{}: these figures are not to be published**", if quick { ", quick run" } else { "" })
        }
    };
    let head = format!(
        "tstr {}, {build}; PostgreSQL {version}, fsync and synchronous_commit on; {} cores; medians of {} rounds; load \
         average {load_before} before, {} after; {:.0} s in all; sections: {}.",
        env!("CARGO_PKG_VERSION"),
        std::thread::available_parallelism()?,
        bench.plan.rounds,
        load(),
        begun.elapsed().as_secs_f64(),
        bench.plan.sections.iter().map(|section| section.word()).collect::<Vec<_>>().join(", "),
    );
    let text = format!("{head}\n\n{}\n{}", goals::write(&goals), texts.join("\n"));
    Ok(Measured { text, failed })
}

async fn run(section: Section, bench: &Bench) -> Result<Found> {
    match section {
        Section::Claims => sections::claims::run(bench).await,
        Section::Depth => sections::depth::run(bench).await,
        Section::Classes => sections::classes::run(bench).await,
        Section::Pinned => sections::pinned::run(bench).await,
        Section::Lives => sections::lives::run(bench).await,
        Section::Wake => sections::wake::run(bench).await,
        Section::Start => sections::start::run(bench).await,
        Section::Enqueue => sections::enqueue::run(bench).await,
        Section::Cron => sections::cron::run(bench).await,
        Section::Notify => sections::notify::run(bench).await,
        Section::Logs => sections::logs::run(bench).await,
        Section::Volume => sections::volume::run(bench).await,
        Section::Summary => sections::summary::run(bench).await,
        Section::Cases => sections::cases::run(bench).await,
        Section::Waiting => sections::waiting::run(bench).await,
    }
}

/// Returns the load average of the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
