//! What the servers have in common: their log, their signals, and how a failure of theirs is told.

use std::future::Future;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::exit::Exit;
use crate::output::{plain, talk};

/// What is written when nobody says what.
const DEFAULT_FILTER: &str = "info,sqlx=warn,h2=warn,hyper=warn,tower=warn";

/// Flags of a server, with those that all servers have.
#[derive(Debug, Clone, Args)]
pub struct Served<T: Args> {
    #[command(flatten)]
    part: T,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common")]
struct Common {
    /// A TOML file with any of these flags; a flag and the environment outrank it
    // Read before the command line, by `configfile`; it stands here for the help.
    #[arg(long, env = "TSTR_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, trace, or `target=level,…` [default: info]
    #[arg(long, env = "TSTR_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How it is logged
    #[arg(long, env = "TSTR_LOG_FORMAT", value_enum, default_value = "auto", value_name = "FORMAT")]
    log_format: LogFormat,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people on a terminal, JSON elsewhere
    Auto,
    /// For people
    Text,
    /// An object a line
    Json,
}

/// Runs a server to its end and tells how that was.
pub fn run<T: Args, F>(args: Served<T>, part: impl FnOnce(T) -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    let outcome = start_log(&args.common).and_then(|()| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(part(args.part))
    });
    match outcome {
        Ok(()) => ExitCode::from(Exit::Done.code()),
        Err(error) => {
            talk(&plain::tame(&format!("error: {error:#}")));
            ExitCode::from(Exit::Error.code())
        }
    }
}

fn start_log(common: &Common) -> anyhow::Result<()> {
    let wanted = common.log.clone().or_else(|| crate::profile::env("RUST_LOG"));
    let filter = EnvFilter::try_new(wanted.as_deref().unwrap_or(DEFAULT_FILTER))
        .map_err(|error| anyhow::anyhow!("--log: {error}"))?;
    let is_text = match common.log_format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match is_text {
        true => log.compact().with_ansi(std::io::stderr().is_terminal()).try_init(),
        false => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}

/// The signals that end a server.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one and returns its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
