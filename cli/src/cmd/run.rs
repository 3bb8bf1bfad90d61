//! `tstr run`: a worker. The first signal lets it finish what it has, the second stops it at once.

use tracing::{info, warn};

use super::serve::{Served, Signals};

/// Flags of `tstr run`.
#[derive(Debug, Clone, clap::Args)]
#[command(before_help = "Examples:
  tstr run --grpc-addr http://127.0.0.1:9000 --token-file runner.token
  tstr run --name build-1 --slots 4 --accept 'region=nyc|sfo' --reject gpu=yes --token-file runner.token")]
pub struct Flags {
    #[command(flatten)]
    config: tstr_worker::Config,
}

/// The flags, with those that all servers have.
pub type RunArgs = Served<Flags>;

/// Runs the command.
///
/// # Errors
/// It cannot be started, or it dies.
pub async fn run(flags: Flags) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut running = tokio::select! {
        started = tstr_worker::start(flags.config) => started?,
        name = signals.next() => {
            info!("{name}: stopped before it was started");
            return Ok(());
        }
    };
    tokio::select! {
        name = signals.next() => info!("{name}: finishing what is under way; a second signal ends it"),
        error = running.failed() => {
            let _ = running.stop().await;
            return Err(error);
        }
    }
    let stops = running.stops();
    let stop = running.stop();
    tokio::pin!(stop);
    tokio::select! {
        stopped = &mut stop => return stopped,
        name = signals.next() => warn!("{name} came a second time: stopping what is under way"),
    }
    stops.stop_now();
    tokio::select! {
        stopped = &mut stop => stopped,
        name = signals.next() => anyhow::bail!("{name} came a third time: left at once, the next start cleans up"),
    }
}
