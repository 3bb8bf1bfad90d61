//! Where lists are read: from a standby while it is near enough to the primary, else from the primary.
//!
//! Only lists go there. What decides something, a single thing that is read, and what a request reads of its own writes
//! come from the primary. How far the standby is behind is measured without anybody's clock but ours: we note how far
//! the primary has written, and look when the standby has replayed that.
//!
//! Places are compared only where both are of the same history of the same database. A server that was a primary for a
//! while and is made a standby again has gone its own way: it stands at a place that its new primary will reach as well,
//! with other contents. What is not told apart are two copies that were both made a primary of their own, each once.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use tokio::time::timeout;

use super::{Ops, Standby};
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};
use crate::store::housekeeping::{History, LogPlace};
use crate::store::{self, Tx};

/// How long a standby may take to answer; then the primary is asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many notes of the primary are kept: one each second, so as many seconds of lag can be told.
const MOST_MARKS: usize = 600;

/// How far a standby is behind.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// How far the primary had written, and when that was looked at; only what the standby has not reached yet.
    marks: VecDeque<(Instant, i64)>,
    /// Which log the marks are places of.
    history: Option<History>,
    /// All that was written up to this instant is on the standby.
    reached: Option<Instant>,
}

impl Behind {
    /// Notes how far the primary has written.
    fn note_written(&mut self, at: Instant, written: LogPlace) {
        if self.history.replace(written.history) != Some(written.history) {
            self.marks.clear();
            self.lose();
        }
        if self.marks.len() == MOST_MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back((at, written.bytes));
    }

    /// Notes how far the standby has replayed; asked for after the last note of the primary. It is lost where it has
    /// replayed another log.
    fn note_replayed(&mut self, replayed: LogPlace) {
        if self.history != Some(replayed.history) {
            return self.lose();
        }
        while let Some((at, written)) = self.marks.front().copied()
            && written <= replayed.bytes
        {
            self.reached = Some(at);
            self.marks.pop_front();
        }
    }

    /// Forgets what the standby had: it does not answer, or is none any more.
    fn lose(&mut self) {
        self.reached = None;
    }

    /// Returns how far it is behind; `None` while that is not known.
    fn by(&self, now: Instant) -> Option<Duration> {
        self.reached.map(|at| now.saturating_duration_since(at))
    }
}

impl Ops {
    /// Reads a list in a transaction of its own. Whatever goes wrong on the standby, the primary is asked: a list is
    /// never worse off for there being a standby.
    pub(super) async fn read<T, F>(&self, work: impl Fn(Tx) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        if let Some(standby) = self.near_standby() {
            let read = timeout(PATIENCE, async { work(standby.pool.begin().await?).await });
            match read.await.unwrap_or_else(|_| Err(Error::unavailable(anyhow::anyhow!("the standby is slow")))) {
                Ok(found) => {
                    counter!("tstr_list_reads_total", "from" => "replica").increment(1);
                    return Ok(found);
                }
                Err(error) if store::error::is_unavailable(&error) => {
                    tracing::warn!("the primary is asked instead of the standby: {error}");
                    self.behind().lose();
                }
                // What is not there may be newer than the standby.
                Err(_) => {}
            }
        }
        counter!("tstr_list_reads_total", "from" => "primary").increment(1);
        work(self.db().begin().await?).await
    }

    /// Looks how far the standby is behind. Does nothing where there is none.
    pub async fn watch_standby(&self, access: &Access<System>) -> Result<()> {
        let Some(standby) = &self.0.pools.standby else { return Ok(()) };
        let at = Instant::now();
        let written = {
            let mut conn = self.0.pools.beat.acquire().await?;
            store::housekeeping::written(&mut conn, access).await?
        };
        self.behind().note_written(at, written);
        let replayed = timeout(PATIENCE, async {
            let mut conn = standby.pool.acquire().await?;
            store::housekeeping::replayed(&mut conn, access).await
        });
        match replayed.await {
            Ok(Ok(Some(replayed))) => self.behind().note_replayed(replayed),
            // It does not answer, or it is a primary now and goes its own way.
            Ok(Ok(None) | Err(_)) | Err(_) => self.behind().lose(),
        }
        let by = self.behind().by(Instant::now());
        let usable = by.is_some_and(|by| by <= standby.most_behind);
        gauge!("tstr_pg_replica_usable").set(if usable { 1.0 } else { 0.0 });
        gauge!("tstr_pg_replica_lag_seconds").set(by.map_or(f64::NAN, |by| by.as_secs_f64()));
        Ok(())
    }

    fn near_standby(&self) -> Option<&Standby> {
        let standby = self.0.pools.standby.as_ref()?;
        let by = self.behind().by(Instant::now())?;
        (by <= standby.most_behind).then_some(standby)
    }

    fn behind(&self) -> MutexGuard<'_, Behind> {
        self.0.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(bytes: i64) -> LogPlace {
        LogPlace { history: History { system: 7, timeline: 1 }, bytes }
    }

    #[test]
    fn a_standby_that_has_another_log_is_not_near_however_far_it_is() {
        let at = Instant::now();
        let mut behind = Behind::default();
        behind.note_written(at, place(100));
        for (system, timeline) in [(7, 2), (8, 1)] {
            behind.note_replayed(LogPlace { history: History { system, timeline }, bytes: 1_000 });
            assert_eq!(behind.by(at), None, "{system} {timeline}");
        }
        behind.note_replayed(place(100));
        assert!(behind.by(at).is_some());
        // A new primary has begun a history of its own: what was reached of the old one does not count.
        behind.note_written(at, LogPlace { history: History { system: 7, timeline: 2 }, bytes: 90 });
        assert_eq!(behind.by(at), None);
        behind.note_replayed(place(2_000));
        assert_eq!(behind.by(at), None);
    }

    #[test]
    fn a_standby_is_behind_by_the_age_of_what_it_has_reached() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut behind = Behind::default();
        assert_eq!(behind.by(at(0)), None, "nothing is known before it was looked at");
        behind.note_written(at(0), place(100));
        behind.note_replayed(place(90));
        assert_eq!(behind.by(at(0)), None);
        behind.note_written(at(1), place(200));
        behind.note_replayed(place(150));
        assert_eq!(behind.by(at(1)), Some(Duration::from_secs(1)), "it has what was written a second ago");
        // A primary at rest: the standby has all of it, however long ago it was written.
        for secs in 2..50 {
            behind.note_written(at(secs), place(200));
            behind.note_replayed(place(200));
        }
        assert_eq!(behind.by(at(49)), Some(Duration::ZERO));
        // It stops replaying, and nobody looks any more: it ages either way.
        behind.note_written(at(50), place(300));
        behind.note_replayed(place(299));
        assert_eq!(behind.by(at(60)), Some(Duration::from_secs(11)));
        behind.lose();
        assert_eq!(behind.by(at(60)), None);
        behind.note_replayed(place(300));
        assert_eq!(behind.by(at(60)), Some(Duration::from_secs(10)));
    }

    #[test]
    fn one_that_is_far_behind_costs_no_memory() {
        let mut behind = Behind::default();
        for written in 0..10_000 {
            behind.note_written(Instant::now(), place(written));
        }
        assert_eq!(behind.marks.len(), MOST_MARKS);
    }
}
