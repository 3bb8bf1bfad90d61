//! What slows a queue down before anybody notices, as metrics: a transaction that was forgotten, dead rows, a full queue of
//! notifications, runs that nobody takes.

use metrics::gauge;
use tstr_shared::testdef::Priority;

use super::Ops;
use crate::auth::access::{Access, System};
use crate::error::Result;
use crate::store;
use crate::store::housekeeping::Vitals;

/// Where the milliseconds begin in a place of the queue.
const MILLIS: u32 = 20;

/// What was seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Of the database.
    pub database: Vitals,
    /// Each priority, and how many milliseconds the oldest of its runs has waited that may be claimed.
    pub waits_ms: Vec<(Priority, i64)>,
    /// How many lanes have runs that no runner takes which this replica knows.
    pub unserved: usize,
}

impl Ops {
    /// Looks at the database and at the board of lanes, sets the metrics, and returns what was seen.
    pub async fn take_vitals(&self, access: &Access<System>) -> Result<Seen> {
        let vitals = {
            let mut conn = self.db().acquire().await?;
            store::housekeeping::vitals(&mut conn, access).await?
        };
        gauge!("tstr_pg_oldest_snapshot_seconds").set(vitals.oldest_snapshot_secs);
        gauge!("tstr_pg_retained_wal_bytes").set(vitals.retained_wal_bytes as f64);
        gauge!("tstr_pg_notification_queue_ratio").set(vitals.notifications);
        gauge!("tstr_queue_dead_rows").set(vitals.dead_rows as f64);
        gauge!("tstr_placement_classes").set(vitals.classes as f64);
        let (oldest, unserved) = self.0.placement.waiting();
        gauge!("tstr_queue_unserved_lanes").set(unserved as f64);
        let wait = |priority: Priority| {
            let wait = oldest.get(&(priority as i32)).map_or(0, |seq| vitals.now_ms - (seq >> MILLIS));
            (priority, wait.max(0))
        };
        let waits_ms: Vec<(Priority, i64)> = Priority::ALL.into_iter().map(wait).collect();
        for (priority, wait) in &waits_ms {
            gauge!("tstr_queue_oldest_wait_seconds", "priority" => priority.word()).set(*wait as f64 / 1000.0);
        }
        Ok(Seen { database: vitals, waits_ms, unserved })
    }
}
