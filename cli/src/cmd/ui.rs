//! `tstr ui`: serves the web UI, and passes `/api` on to an API elsewhere, until a signal comes.

use tracing::info;

use super::serve::{Served, Signals};

/// Flags of `tstr ui`.
#[derive(Debug, Clone, clap::Args)]
#[command(before_help = "Examples:
  tstr ui --api-base-url http://127.0.0.1:9090
  tstr ui --addr 0.0.0.0:8000 --insecure-plaintext --base-path /tools/tstr --api-base-url https://tstr-api.example")]
pub struct Flags {
    #[command(flatten)]
    config: tstr_api::ui::Config,
}

/// The flags, with those that all servers have.
pub type UiArgs = Served<Flags>;

/// Runs the command.
///
/// # Errors
/// It cannot be started.
pub async fn run(flags: Flags) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let running = tstr_api::ui::start(flags.config).await?;
    let name = signals.next().await;
    info!("{name}: stopping");
    tokio::select! {
        () = running.stop() => Ok(()),
        name = signals.next() => anyhow::bail!("{name} came a second time: stopped at once"),
    }
}
