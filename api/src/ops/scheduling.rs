//! The schedule: every instant makes its runs once, whichever replica gets there first.
//!
//! One transaction locks tests that are due, inserts the runs of their instants and moves the tests on. The ids of the
//! runs are derived from test, instant and cell, so even a second sweep over the same instant could add nothing.

use anyhow::Context;
use chrono::{DateTime, Utc};
use tstr_shared::ids::{MatrixId, RunId};
use tstr_shared::labels::Labels;
use tstr_shared::run::Trigger;
use tstr_shared::schedule::Schedule;
use tstr_shared::testdef::NewTestDef;

use super::Ops;
use super::enqueue::{Planned, config_of};
use crate::auth::access::{Access, System};
use crate::error::Result;
use crate::store::schedules::DueTest;
use crate::store::{self, Conn};
use tstr_shared::error::ErrorCode;

/// How many tests one transaction takes.
const BATCH: i64 = 200;

impl Ops {
    /// Makes the runs of tests that are due; returns how many tests it took, a full batch meaning that more may be due.
    pub async fn enqueue_due(&self, access: &Access<System>) -> Result<usize> {
        let mut tx = self.db().begin().await?;
        let mut due = store::schedules::lock_due(&mut tx, access, BATCH).await?;
        if due.is_empty() {
            return Ok(0);
        }
        // Quotas are locked in this order by every replica.
        due.sort_by_key(|test| test.ns_id);
        let mut planned: Vec<Planned> = Vec::new();
        for test in &due {
            // What the tests before it make waits as well, though it is not stored yet.
            let before = planned.iter().rev().take_while(|run| run.ns_id == test.ns_id).count();
            match read(test) {
                Ok(plan) => planned.extend(self.instants(&mut tx, access, test, &plan, before).await?),
                // One broken test must not hold up the others: it leaves the schedule until it is changed. A failure of
                // the database never gets here: it ends the sweep, and the next one tries again.
                Err(fault) => {
                    tracing::error!(test.id = %test.id, "test {} leaves the schedule: {fault:#}", test.id);
                    store::schedules::advance(&mut tx, access, test.id, None).await?;
                }
            }
        }
        let times: Vec<DateTime<Utc>> = planned.iter().map(|run| run.scheduled_at).collect();
        self.ensure_days(&times).await?;
        let (made, places) = self.enqueue(&mut tx, access, planned).await?;
        tx.commit().await?;
        tracing::debug!(tests = due.len(), runs = made.len(), "{} tests were due, {} runs made", due.len(), made.len());
        self.announce(&made, places);
        Ok(due.len())
    }

    /// Returns how long until the next instant of any test.
    pub async fn until_next_instant(&self, access: &Access<System>) -> Result<Option<std::time::Duration>> {
        let mut conn = self.db().acquire().await?;
        let secs = store::schedules::seconds_to_next(&mut conn, access).await?;
        Ok(secs.map(|secs| std::time::Duration::from_secs_f64(secs.clamp(0.0, 3600.0))))
    }

    async fn instants(
        &self,
        conn: &mut Conn,
        access: &Access<System>,
        test: &DueTest,
        plan: &Plan,
        before: usize,
    ) -> Result<Vec<Planned>> {
        let Plan { def, schedule, cells } = plan;
        let deadline = def.start_deadline_at(schedule, test.next_at);
        let due = schedule.due(test.next_at, test.now, def.catch_up, deadline);
        if !due.missed.is_empty() {
            let count = due.missed.len();
            tracing::warn!(test.id = %test.id, missed = count, "{count} instants of test {} were missed", test.id);
        }
        let mut planned = Vec::with_capacity(due.instants.len() * cells.len());
        for at in due.instants {
            if let Err(error) =
                self.check_queue_quota(conn, access, test.ns_id, before + planned.len() + cells.len()).await
            {
                if error.code() != ErrorCode::QuotaExceeded {
                    return Err(error);
                }
                tracing::warn!(test.id = %test.id, "test {} makes no runs for {at}: {}", test.id, error.message());
                continue;
            }
            let period = schedule.period_at(at).map_or(60, |period| period.num_seconds()).clamp(60, 24 * 3600) as i32;
            for cell in cells {
                planned.push(Planned {
                    id: RunId::scheduled(test.id, at, cell),
                    ns_id: test.ns_id,
                    test_id: test.id,
                    matrix_id: MatrixId::scheduled(test.id, at),
                    labels: def.labels.merged(cell),
                    body: config_of(def, cell),
                    priority: def.priority,
                    queue_secs: def.queue_deadline.map_or(period, |deadline| deadline.0 as i32),
                    trigger: Trigger::Schedule,
                    scheduled_at: at,
                    due: None,
                });
            }
        }
        store::schedules::advance(conn, access, test.id, due.next).await?;
        Ok(planned)
    }
}

/// What a stored test says of its instants.
struct Plan {
    def: NewTestDef,
    schedule: Schedule,
    cells: Vec<Labels>,
}

fn read(test: &DueTest) -> anyhow::Result<Plan> {
    let def: NewTestDef = serde_json::from_str(&test.doc)?;
    let schedule = def.schedule(test.id)?.context("a test on the schedule has none")?;
    let cells = def.cells()?;
    Ok(Plan { def, schedule, cells })
}
