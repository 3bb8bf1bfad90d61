//! What ends a worker from inside: a token that is refused, for instance.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// The first reason why the worker cannot go on; cheap to clone, and every clone is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    reason: Mutex<Option<String>>,
    spoken: Notify,
}

impl Verdict {
    /// Says that the worker cannot go on; tells whether that is news.
    pub(crate) fn speak(&self, reason: impl Into<String>) -> bool {
        let mut known = self.0.reason.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = known.is_none();
        if is_news {
            *known = Some(reason.into());
            self.0.spoken.notify_waiters();
        }
        is_news
    }

    /// Waits until the worker cannot go on; says why.
    pub(crate) async fn heard(&self) -> String {
        loop {
            let spoken = self.0.spoken.notified();
            tokio::pin!(spoken);
            spoken.as_mut().enable();
            if let Some(reason) = self.0.reason.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                return reason;
            }
            spoken.await;
        }
    }
}
