//! News between replicas: one connection listens, a debounced task tells.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pause;
use crate::auth::access::Access;
use crate::error::Result;
use crate::ops::Ops;
use crate::ops::wake::{CHANNEL, News};

/// How long news is gathered before it is told.
const GATHER: Duration = Duration::from_millis(25);
/// How long after a look at all lanes the next one is left to the loop.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Tells the other replicas what happens here, until it is time to stop.
pub(super) async fn tell(ops: Ops, stop: CancellationToken) -> Result<()> {
    while let Some(news) = stop.run_until_cancelled(ops.wake().next_news()).await {
        // Those that are not told look by themselves after a second.
        ops.tell(&Access::system("wake"), &news).await?;
        if pause(&stop, GATHER).await {
            break;
        }
    }
    Ok(())
}

/// Hears what happens on other replicas, until it is time to stop. Ends where there is nothing to listen to: there
/// everybody finds what is new by looking.
pub(super) async fn listen(ops: Ops, stop: CancellationToken) -> Result<()> {
    stop.run_until_cancelled(hear(&ops)).await.unwrap_or(Ok(()))
}

async fn hear(ops: &Ops) -> Result<()> {
    let Some(mut listener) = ops.listener(CHANNEL).await? else { return Ok(()) };
    let mut looked: Option<Instant> = None;
    loop {
        // `None` says that the connection was lost and made again: something may have been missed.
        let news = match listener.next().await? {
            Some(text) => serde_json::from_str::<News>(&text).unwrap_or_default(),
            None => News { more: true, revoked: true, runners: true, ..News::default() },
        };
        if ops.hear(&news) && news.revoked {
            ops.refresh_revoked(&Access::system("revocations")).await?;
        }
        // A flood is no reason to look without a pause: the loop that looks each second finds the rest.
        if news.more && looked.is_none_or(|at| at.elapsed() > LOOK_AGAIN) {
            looked = Some(Instant::now());
            ops.refresh_lanes(&Access::system("lanes")).await?;
        }
    }
}
