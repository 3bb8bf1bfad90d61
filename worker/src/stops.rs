//! How a worker is told to stop: first to take nothing new, then to end what runs.

use tokio_util::sync::CancellationToken;

/// The two steps of stopping; cheap to clone, and every clone is the same.
#[derive(Debug, Clone, Default)]
pub struct Stops {
    drain: CancellationToken,
    now: CancellationToken,
}

impl Stops {
    /// Takes nothing new from now on; what runs goes on.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Ends what runs, too, without waiting any longer.
    pub fn stop_now(&self) {
        self.drain.cancel();
        self.now.cancel();
    }

    pub(crate) async fn draining(&self) {
        self.drain.cancelled().await;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.now.is_cancelled()
    }

    pub(crate) async fn stopping(&self) {
        self.now.cancelled().await;
    }
}
