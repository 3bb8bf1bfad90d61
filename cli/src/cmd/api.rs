//! `tstr api`: serves the JSON and the gRPC API until a signal comes.

use tracing::info;

use super::serve::{Served, Signals};

/// Flags of `tstr api`.
#[derive(Debug, Clone, clap::Args)]
#[command(before_help = "Examples:
  tstr api --pg-dsn postgres://tstr@localhost/tstr --bootstrap-token-file admin.token
  tstr api --config /etc/tstr/server.toml")]
pub struct Flags {
    #[command(flatten)]
    config: tstr_api::Config,
}

/// The flags, with those that all servers have.
pub type ApiArgs = Served<Flags>;

/// Runs the command.
///
/// # Errors
/// It cannot be started, or a part of it dies.
pub async fn run(flags: Flags) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut running = tokio::select! {
        started = tstr_api::server::start(flags.config) => started?,
        name = signals.next() => {
            info!("{name}: stopped before it was started");
            return Ok(());
        }
    };
    let outcome = tokio::select! {
        name = signals.next() => {
            info!("{name}: stopping");
            Ok(())
        }
        error = running.failed() => Err(error),
    };
    tokio::select! {
        stopped = running.stop() => outcome.and(stopped),
        name = signals.next() => anyhow::bail!("{name} came a second time: stopped at once"),
    }
}
