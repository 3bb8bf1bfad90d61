//! Runs: trigger, list, read, wait, cancel.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tstr_shared::error::Invalid;
use tstr_shared::ids::{MatrixId, RunId, TestId};
use tstr_shared::namespace::Namespace;
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::permission::{RunsRead, RunsWrite};
use tstr_shared::run::{Run, RunEvent, RunFilter, RunState, Trigger, TriggerRun, Triggered};
use tstr_shared::testdef::{DEFAULT_QUEUE_DEADLINE, NewTestDef, check_env};
use uuid::Uuid;

use super::enqueue::{Cell, Planned, firsts};
use super::gates::{forbidden, gates_of};
use super::{IdempotencyKey, Ops};
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store::ends::{Close, Closed, Kind};
use crate::store::queue::Place;
use crate::store::runs::ReadsRuns;
use crate::store::{self, Conn};

/// The longest wait for a run's end in one request.
pub const MAX_WAIT: Duration = Duration::from_secs(30);
/// How often somebody who waits looks without being woken.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How far ahead a run may be put off.
const MAX_AHEAD: chrono::Duration = chrono::Duration::days(366);

impl Ops {
    /// Runs a test now: every cell, or those that were asked for.
    pub async fn trigger(
        &self,
        caller: &Caller,
        ns: &Namespace,
        test: &str,
        req: TriggerRun,
        key: Option<IdempotencyKey>,
    ) -> Result<Triggered> {
        let access = self.enter::<RunsWrite>(caller, ns).await?;
        let once = self.once(caller, key, &("trigger", ns, test, &req))?;
        let mut tx = self.db().begin().await?;
        if let Some(answer) = once.replay(&mut tx, &access).await? {
            return Ok(answer);
        }
        let test = store::testdefs::find(&mut tx, &access, test, false).await?;
        let test = test.ok_or_else(|| Error::not_found("test"))?;
        let now = store::housekeeping::now(&mut tx).await?;
        self.ensure_days(&[now]).await?;
        let matrix_id = MatrixId::at(now, Uuid::new_v4().as_u128());
        let planned = plan(&access, test.id, &test.spec, &req, matrix_id, now)?;
        let ids: Vec<RunId> = planned.iter().map(|run| run.id).collect();
        self.check_room(&mut tx, &access, access.namespace(), ids.len()).await?;
        let mut enqueued = self.enqueue(&mut tx, &access, planned).await?;
        if let Some((_, message)) = enqueued.refused.pop_first() {
            return Err(forbidden(message));
        }
        let runs = in_order(store::runs::by_ids(&mut tx, &access, &ids).await?, &ids);
        let answer = Triggered { matrix_id, runs };
        once.remember(&mut tx, &access, &answer).await?;
        tx.commit().await?;
        self.announce_enqueued(enqueued);
        Ok(answer)
    }

    /// Lists the runs of a namespace, the newest first.
    pub async fn list_runs(
        &self,
        caller: &Caller,
        ns: &Namespace,
        filter: RunFilter,
        page: PageRequest,
    ) -> Result<Page<Run>> {
        let access = self.enter::<RunsRead>(caller, ns).await?;
        let filter = within_history(filter);
        let asked = format!("runs {ns} {filter:?}");
        let before = self.0.cursor_key.read::<RunId>(&page, &asked)?;
        let (access, filter, limit) = (&access, &filter, i64::from(page.limit()) + 1);
        let listed = self.read(|mut tx| async move {
            let test = match &filter.test {
                None => None,
                Some(test) => match store::testdefs::find_any(&mut tx, access, test).await? {
                    Some((id, _)) => Some(id),
                    None => return Ok(Vec::new()),
                },
            };
            store::runs::list(&mut tx, access, filter, test, before, limit).await
        });
        let rows = listed.await?;
        self.0.cursor_key.page(rows, page.limit(), &asked, |run| run.id)
    }

    /// Reads a run with its attempts.
    pub async fn get_run(&self, caller: &Caller, run: RunId) -> Result<Run> {
        let access = self.reach::<RunsRead>(caller).await?;
        let mut conn = self.db().acquire().await?;
        let found = read(&mut conn, &access, run).await?;
        with_output(&mut conn, &access, found).await
    }

    /// Reads a run when it finishes, or when the time is over.
    pub async fn wait_run(&self, caller: &Caller, run: RunId, wait: Duration) -> Result<Run> {
        let deadline = Instant::now() + wait.min(MAX_WAIT);
        let mut changed = self.0.wake.watch_runs();
        loop {
            self.still_holds(caller)?;
            let access = self.reach::<RunsRead>(caller).await?;
            let now = {
                let mut conn = self.db().acquire().await?;
                let found = read(&mut conn, &access, run).await?;
                let now = Instant::now();
                if found.state == RunState::Finished || now >= deadline || self.0.closing.is_cancelled() {
                    return with_output(&mut conn, &access, found).await;
                }
                now
            };
            let look_at = deadline.min(now + LOOK_EVERY);
            loop {
                match self.0.closing.run_until_cancelled(tokio::time::timeout_at(look_at, changed.recv())).await {
                    Some(Ok(Ok(id))) if id != run => continue,
                    _ => break,
                }
            }
        }
    }

    /// Reads the events of a run.
    pub async fn run_events(&self, caller: &Caller, run: RunId) -> Result<Vec<RunEvent>> {
        let access = self.reach::<RunsRead>(caller).await?;
        let mut conn = self.db().acquire().await?;
        if store::queue::namespace_of(&mut conn, &access, run).await?.is_none() {
            return Err(Error::not_found("run"));
        }
        store::runs::events(&mut conn, &access, run).await
    }

    /// Cancels a run: at once when no container was started, else its runner is asked to end the container.
    pub async fn cancel_run(&self, caller: &Caller, run: RunId) -> Result<Run> {
        let access = self.reach::<RunsWrite>(caller).await?;
        // The run may move on between two looks; each look is one guarded statement, and a few rounds catch it.
        for _ in 0..5 {
            // Planned for index probes: a row of the queue is looked for by its place.
            let mut tx = self.0.pools.claim.begin().await?;
            let found = read(&mut tx, &access, run).await?;
            let done = match found.state {
                RunState::Finished => return Err(already_finished(&found)),
                RunState::Queued => match store::queue::cancel_waiting(&mut tx, &access, run).await? {
                    Some(follows) => Some(Closes { places: follows.places, closed: Vec::new() }),
                    None => None,
                },
                RunState::Leased => match store::claims::fence_before_start(&mut tx, &access, run).await? {
                    Some(fence) => {
                        let close = Close::new(fence, Kind::Cancelled);
                        let closed = store::ends::close(&mut tx, &access, &[close]).await?;
                        (!closed.is_empty()).then_some(Closes { places: Vec::new(), closed })
                    }
                    None => None,
                },
                RunState::Running => store::claims::request_cancel(&mut tx, &access, run).await?.then(Closes::default),
            };
            if let Some(done) = done {
                let found = read(&mut tx, &access, run).await?;
                tx.commit().await?;
                self.announce(&[run], firsts(done.places));
                self.announce_closed(&done.closed);
                return Ok(found);
            }
        }
        Err(Error::unavailable(anyhow::anyhow!("the run kept changing its state while it was cancelled")))
    }
}

/// What a cancel did.
#[derive(Default)]
struct Closes {
    /// Places of runs that were let in, because the run left its slots.
    places: Vec<Place>,
    /// The lease that ended.
    closed: Vec<Closed>,
}

/// Reads a run with its attempts.
pub(super) async fn read<P: ReadsRuns>(conn: &mut Conn, access: &Access<P>, run: RunId) -> Result<Run> {
    let found = store::runs::by_ids(conn, access, &[run]).await?.into_iter().next();
    let mut found = found.ok_or_else(|| Error::not_found("run"))?;
    found.attempts = store::runs::attempts(conn, access, run).await?;
    if let Some(last) = found.attempts.last()
        && found.state != RunState::Finished
    {
        found.log = last.log.clone();
    }
    Ok(found)
}

/// Adds to a run what its latest attempt said about itself. What never started said nothing.
async fn with_output(conn: &mut Conn, access: &Access<RunsRead>, mut run: Run) -> Result<Run> {
    if run.started_at.is_some() {
        (run.result_data, run.output_notes) = store::outputs::data(conn, access, run.id, run.attempt).await?;
    }
    Ok(run)
}

/// Brings instants that the database cannot hold to the ends of the time in which runs can be.
fn within_history(filter: RunFilter) -> RunFilter {
    let last = DateTime::from_timestamp(253_402_300_799, 0).unwrap_or(DateTime::UNIX_EPOCH);
    let within = |at: Option<DateTime<Utc>>| at.map(|at| at.clamp(DateTime::UNIX_EPOCH, last));
    RunFilter {
        scheduled_after: within(filter.scheduled_after),
        scheduled_before: within(filter.scheduled_before),
        started_after: within(filter.started_after),
        started_before: within(filter.started_before),
        finished_after: within(filter.finished_after),
        finished_before: within(filter.finished_before),
        ..filter
    }
}

fn already_finished(run: &Run) -> Error {
    let result = run.result.map_or("finished", |result| result.word());
    Error::conflict(format!("the run has finished already: {result}"))
}

pub(super) fn in_order(mut runs: Vec<Run>, ids: &[RunId]) -> Vec<Run> {
    runs.sort_by_key(|run| ids.iter().position(|id| *id == run.id));
    runs
}

fn plan(
    access: &Access<RunsWrite>,
    test_id: TestId,
    def: &NewTestDef,
    req: &TriggerRun,
    matrix_id: MatrixId,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Vec<Planned>> {
    let mut invalid = Invalid::default();
    if let Err(part) = req.labels.validate() {
        invalid.add_all("/labels", part);
    }
    if req.not_before.is_some_and(|at| at > now + MAX_AHEAD) {
        invalid.add("/not_before", "a run can be put off by a year at most");
    }
    let env = def.run_config.env.merged(&req.env);
    if let Err(part) = check_env(&env) {
        invalid.add_all("/env", part);
    }
    let cells: Vec<_> = def.cells()?.into_iter().filter(|cell| cell.contains(&req.matrix)).collect();
    if cells.is_empty() {
        invalid.add("/matrix", format!("the test has no cell with {}", req.matrix.text()));
    }
    invalid.into_result()?;
    let mut test = def.clone();
    test.run_config.env = env;
    let test = Arc::new(test);
    let mut planned = Vec::with_capacity(cells.len());
    for cell in cells {
        let gates = gates_of(def, access.namespace(), test_id, &cell, Trigger::Manual);
        let cell = Cell::new(&test, cell, &req.labels, gates)?;
        cell.labels().validate().map_err(|part| {
            let mut invalid = Invalid::default();
            invalid.add_all("/labels", part);
            invalid
        })?;
        planned.push(Planned {
            id: RunId::at(now, Uuid::new_v4().as_u128()),
            ns_id: access.namespace(),
            test_id,
            matrix_id,
            cell,
            priority: req.priority.unwrap_or(def.priority),
            queue_secs: def.queue_deadline.unwrap_or(DEFAULT_QUEUE_DEADLINE).0 as i32,
            trigger: Trigger::Manual,
            scheduled_at: now,
            due: req.not_before.filter(|at| *at > now),
        });
    }
    Ok(planned)
}
