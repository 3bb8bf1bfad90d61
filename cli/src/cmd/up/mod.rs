//! `tstr up`: everything on one machine, in one process, with a PostgreSQL of its own.
//!
//! It starts PostgreSQL, the API with its scheduler, the web UI, and the workers in this order, each only when the one before is
//! ready, and stops them in the other order. Guarantees: when it has ended, by signal or by fault, no process and no
//! container is left; all state is in the data dir, and a second start finds it. A second signal ends the runs that are
//! still under way, a third one drops everything at once, and the next start cleans up.

mod client;
mod data_dir;
mod demo;
mod parts;
mod postgres;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};
use tstr_shared::size::Bytes;
use tstr_worker::LimitsMode;

use data_dir::DataDir;
use parts::Parts;

/// Runs everything on this machine: a private PostgreSQL, the API, the web UI, and workers on rootless Podman.
#[derive(Debug, Clone, clap::Args)]
#[command(before_help = "Examples:
  tstr up --demo
  tstr up --data-dir ./data --json-addr 127.0.0.1:0 --grpc-addr 127.0.0.1:0 --ready-file ready.json
  tstr up --pg-dsn postgres://tstr@localhost/tstr --runners 2 --slots 4")]
pub struct UpArgs {
    /// Where everything is kept [default: $XDG_DATA_HOME/tstr, or ~/.local/share/tstr]
    #[arg(long, env = "TSTR_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Use this PostgreSQL instead of a private one under the data dir
    #[arg(long, env = "TSTR_PG_DSN", value_name = "URL", hide_env_values = true)]
    pub pg_dsn: Option<String>,

    /// Where the JSON API listens; port 0 takes a free one
    #[arg(long, env = "TSTR_JSON_ADDR", value_name = "ADDR", default_value = "127.0.0.1:9090")]
    pub json_addr: SocketAddr,

    /// Where the gRPC API listens; port 0 takes a free one
    #[arg(long, env = "TSTR_GRPC_ADDR", value_name = "ADDR", default_value = "127.0.0.1:9000")]
    pub grpc_addr: SocketAddr,

    /// Where the web UI listens; port 0 takes a free one [default: 127.0.0.1:8000, or a free port where that is taken]
    #[arg(long, env = "TSTR_UI_ADDR", value_name = "ADDR")]
    pub ui_addr: Option<SocketAddr>,

    /// Serve the web UI from this folder, as its build leaves it in ui/dist, instead of the one that is built in
    #[arg(long, env = "TSTR_UI_FILES", value_name = "DIR")]
    pub ui_files: Option<PathBuf>,

    /// Speak unencrypted HTTP and gRPC on addresses other than loopback
    #[arg(long, env = "TSTR_INSECURE_PLAINTEXT")]
    pub insecure_plaintext: bool,

    /// How many workers to start; each appears as a runner
    #[arg(long, env = "TSTR_RUNNERS", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=64))]
    pub runners: u16,

    /// How many runs each worker executes at the same time [default: the cores, shared out among the workers]
    #[arg(long, env = "TSTR_SLOTS", value_name = "N")]
    pub slots: Option<usize>,

    /// What to do where this machine cannot enforce limits of memory, processors and processes
    #[arg(long, env = "TSTR_LIMITS", value_enum, default_value_t = LimitsMode::Warn)]
    pub limits: LimitsMode,

    /// Make no new runs while the disk of the data dir has less free than this [default: 512MiB, but at most a tenth of the
    /// disk]
    #[arg(long, env = "TSTR_MIN_FREE", value_name = "SIZE")]
    pub min_free: Option<Bytes>,

    /// How large the database may become: beyond it no new runs are made, and those that are there go on
    #[arg(long, env = "TSTR_MAX_DATABASE_SIZE", value_name = "SIZE")]
    pub max_database_size: Option<Bytes>,

    /// Build the demo images and register the demo tests, where they are missing
    #[arg(long, env = "TSTR_DEMO")]
    pub demo: bool,

    /// Written when all is ready, removed when it stops [default: <data-dir>/ready.json]
    #[arg(long, env = "TSTR_READY_FILE", value_name = "PATH")]
    pub ready_file: Option<PathBuf>,

    /// How the printed hints call this program; `scripts/up` sets it.
    #[arg(long, env = "TSTR_COMMAND", hide = true)]
    pub command: Option<String>,
}

/// Runs everything until a signal comes or a part fails.
///
/// # Errors
/// A part cannot be started, fails, or cannot be stopped; every part is stopped in any case.
pub async fn run(args: UpArgs) -> Result<()> {
    ensure!(
        !rustix::process::geteuid().is_root(),
        "`tstr up` does not run as root: PostgreSQL refuses to, and containers should not. scripts/up runs it as the user \
         tstr; or run it as any ordinary user"
    );
    // Before anything else, so that a signal during the start also leaves nothing behind.
    let mut signals = Signals::listen()?;
    let wanted = args.data_dir.clone().map_or_else(data_dir::default_path, Ok)?;
    let dir = DataDir::open(&wanted)?;
    let ready_file = match &args.ready_file {
        Some(path) => std::path::absolute(path)?,
        None => dir.join("ready.json"),
    };
    // One that a killed process has left would lie.
    data_dir::remove(&ready_file)?;

    let mut parts = Parts::default();
    let started = tokio::select! {
        biased;
        name = signals.next() => {
            info!("{name}: stopping before all was started");
            None
        }
        started = serve(&args, &dir, &ready_file, &mut parts) => Some(started),
    };
    let outcome = match started {
        None => Ok(()),
        Some(Err(fault)) => Err(fault),
        Some(Ok(())) => tokio::select! {
            name = signals.next() => {
                info!("{name}: stopping");
                Ok(())
            }
            fault = parts.failed() => {
                error!("a part has failed, stopping all others: {fault:#}");
                Err(fault)
            }
        },
    };
    if let Err(fault) = data_dir::remove(&ready_file) {
        warn!("{fault:#}");
    }
    let runs = parts.runs_under_way();
    if outcome.is_err() {
        // What is broken will not take their results.
        runs.end();
    }
    let mut stop = Box::pin(parts.stop());
    let stopped = tokio::select! {
        stopped = &mut stop => stopped,
        name = signals.next() => {
            warn!("{name} came a second time: ending the runs that are under way; a third drops everything");
            runs.end();
            tokio::select! {
                stopped = &mut stop => stopped,
                name = signals.next() => {
                    drop(stop);
                    parts.abort();
                    bail!("{name} came a third time: everything was dropped, the next start cleans up");
                }
            }
        }
    };
    // The first fault is the one that explains the rest.
    outcome.and(stopped)
}

/// Starts all parts, and tells that they are ready.
async fn serve(args: &UpArgs, dir: &DataDir, ready_file: &Path, parts: &mut Parts) -> Result<()> {
    let addresses = parts.start(args, dir).await?;
    if args.demo
        && let Err(fault) = parts.set_up_demo(dir).await
    {
        // The demo is an extra: what people run here matters more.
        error!("the demo could not be set up, everything else runs: {fault:#}");
    }
    let mut ready = json!({
        "api": addresses.json,
        "grpc": addresses.grpc,
        "ui": addresses.ui,
        "token_file": addresses.token_file,
        "namespace": "default",
        "data_dir": dir.path(),
        "pid": std::process::id(),
    });
    if let Some(dsn) = &addresses.private_dsn {
        ready["pg_dsn"] = dsn.as_str().into();
    }
    let text = serde_json::to_string_pretty(&ready)? + "\n";
    data_dir::replace(ready_file, text.as_bytes(), 0o644).context("write the ready file")?;
    let link = parts.sign_in_link().await.unwrap_or_else(|fault| {
        warn!("there is no link to sign in with: {fault:#}");
        None
    });
    announce(args, dir, &addresses, link.as_deref());
    Ok(())
}

/// Where the started parts are found.
pub struct Addresses {
    json: String,
    grpc: String,
    ui: String,
    token_file: PathBuf,
    private_dsn: Option<String>,
}

/// Tells the person who typed `tstr up` where everything is.
fn announce(args: &UpArgs, dir: &DataDir, addresses: &Addresses, link: Option<&str>) {
    let Addresses { json, grpc, ui, token_file, private_dsn } = addresses;
    let command = args.command.as_deref().unwrap_or("tstr");
    let postgres = private_dsn.as_deref().unwrap_or("the one of --pg-dsn");
    let sign_in = match link {
        Some(link) => format!(
            "Sign in to the web UI (once, within 10 minutes; `{command} ctl sign-in` makes another link):\n\n  {link}\n\n"
        ),
        None => String::new(),
    };
    let text = format!(
        "
tstr is up.

  web UI      {ui}
  JSON API    {json}   (docs: {json}/docs)
  gRPC API    {grpc}
  PostgreSQL  {postgres}
  data        {data}
  token       {token}   (may do everything; keep it)

{sign_in}In another terminal:

  export TSTR_SERVER={json} TSTR_TOKEN_FILE={quoted}
  {command} ctl run list

Ctrl-C stops everything; the next start finds it again.

",
        data = dir.path().display(),
        token = token_file.display(),
        quoted = shell_quoted(&token_file.to_string_lossy()),
    );
    // Nobody may be reading any more; that is no reason to stop.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// A word as a shell reads it back.
fn shell_quoted(text: &str) -> String {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+@%:,".contains(c)) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The signals that end `tstr up`.
struct Signals {
    streams: [(&'static str, Signal); 3],
}

impl Signals {
    fn listen() -> Result<Signals> {
        let listen = |kind| signal(kind).context("listen for signals");
        Ok(Signals {
            streams: [
                ("SIGINT", listen(SignalKind::interrupt())?),
                ("SIGTERM", listen(SignalKind::terminate())?),
                ("SIGHUP", listen(SignalKind::hangup())?),
            ],
        })
    }

    /// Waits for the next one and returns its name.
    async fn next(&mut self) -> &'static str {
        let [(int_name, int), (term_name, term), (hup_name, hup)] = &mut self.streams;
        tokio::select! {
            _ = int.recv() => int_name,
            _ = term.recv() => term_name,
            _ = hup.recv() => hup_name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_hint_can_be_pasted_into_a_shell() {
        assert_eq!(shell_quoted("/var/lib/tstr/admin.token"), "/var/lib/tstr/admin.token");
        assert_eq!(shell_quoted("/it's mine"), r"'/it'\''s mine'");
    }
}
