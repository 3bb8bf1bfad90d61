//! Runs that are made like others: of one run, or of what failed of a matrix, with all cases or those that failed.

use tstr_shared::ids::{MatrixId, RunId};
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::RunsWrite;
use tstr_shared::results::{FAILED_CASES, MAX_NAMED_CASES, name_all};
use tstr_shared::run::{Retried, RetriedMatrix, RetryMatrix, RetryRun, RunResult, Trigger, Triggered};
use tstr_shared::testdef::TestDef;
use uuid::Uuid;

use super::admission::Gates;
use super::gates::{forbidden, gates_of};
use super::runs::{in_order, read};
use super::{IdempotencyKey, Ops};
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store::artifacts::Of;
use crate::store::queue::{NewConfig, NewRun};
use crate::store::retries::Source;
use crate::store::{self, Conn};

/// More cases than this are never named: each takes more than 50 bytes of what there is.
const MOST_CASES: i64 = MAX_NAMED_CASES as i64 / 50;

impl Ops {
    /// Makes a new run like a finished one.
    pub async fn retry_run(
        &self,
        caller: &Caller,
        run: RunId,
        req: RetryRun,
        key: Option<IdempotencyKey>,
    ) -> Result<Retried> {
        let reach = self.reach::<RunsWrite>(caller).await?;
        let found = {
            let mut conn = self.db().acquire().await?;
            read(&mut conn, &reach, run).await?
        };
        let access = self.enter::<RunsWrite>(caller, &found.namespace).await?;
        let once = match req == RetryRun::default() {
            true => self.once(caller, key, &("retry", run))?,
            false => self.once(caller, key, &("retry", run, &req))?,
        };
        let mut tx = self.db().begin().await?;
        if let Some(answer) = once.replay(&mut tx, &access).await? {
            return Ok(answer);
        }
        let source = store::retries::source(&mut tx, &access, run).await?.ok_or_else(|| Error::not_found("run"))?;
        if source.result.is_none() {
            return Err(Error::conflict("the run has not finished; there is nothing to retry"));
        }
        let mut again = Again { ops: self, access: &access, failed_cases: req.failed_cases, warnings: Vec::new() };
        let (_, ids, enqueued) = again.make(&mut tx, vec![source], Trigger::Retry).await?;
        let warnings = again.warnings;
        let run = ids.first().copied().ok_or_else(|| Error::internal(anyhow::anyhow!("no run was made")))?;
        let answer = Retried { run: read(&mut tx, &access, run).await?, warnings };
        once.remember(&mut tx, &access, &answer).await?;
        tx.commit().await?;
        self.announce_enqueued(enqueued);
        Ok(answer)
    }

    /// Makes a new set of runs like those of a matrix: of the cells that failed, or of all that have finished.
    pub async fn retry_matrix(
        &self,
        caller: &Caller,
        ns: &Namespace,
        matrix: MatrixId,
        req: RetryMatrix,
        key: Option<IdempotencyKey>,
    ) -> Result<RetriedMatrix> {
        let access = self.enter::<RunsWrite>(caller, ns).await?;
        let once = self.once(caller, key, &("retry_matrix", ns, matrix, &req))?;
        let mut tx = self.db().begin().await?;
        if let Some(answer) = once.replay(&mut tx, &access).await? {
            return Ok(answer);
        }
        let all = newest(store::retries::of_matrix(&mut tx, &access, matrix).await?);
        if all.is_empty() {
            return Err(Error::not_found("matrix"));
        }
        let unfinished = all.iter().filter(|source| source.result.is_none()).count();
        let left_out = format!("{unfinished} of {} runs of the matrix have not finished", all.len());
        let is_wanted = |source: &Source| match source.result {
            None => false,
            Some(RunResult::Fail | RunResult::Error | RunResult::TimedOut) => true,
            Some(RunResult::Pass | RunResult::Cancelled) => !req.only_failed,
        };
        let sources: Vec<Source> = all.into_iter().filter(is_wanted).collect();
        if sources.is_empty() {
            return Err(Error::conflict(match (unfinished, req.only_failed) {
                (0, _) => "no run of the matrix has failed; there is nothing to retry".to_owned(),
                (_, true) => format!("{left_out}, and none of the others failed"),
                (_, false) => left_out,
            }));
        }
        let mut again = Again { ops: self, access: &access, failed_cases: req.failed_cases, warnings: Vec::new() };
        if unfinished > 0 {
            again.warnings.push(format!("{left_out} and are left out"));
        }
        // A set of several runs keeps to what the matrix says of runs at once.
        let (matrix_id, ids, enqueued) = again.make(&mut tx, sources, Trigger::Manual).await?;
        let warnings = again.warnings;
        let runs = in_order(store::runs::by_ids(&mut tx, &access, &ids).await?, &ids);
        let answer = RetriedMatrix { made: Triggered { matrix_id, runs }, warnings };
        once.remember(&mut tx, &access, &answer).await?;
        tx.commit().await?;
        self.announce_enqueued(enqueued);
        Ok(answer)
    }
}

/// Keeps the latest run of each cell, in the order of the cells' texts.
fn newest(sources: Vec<Source>) -> Vec<Source> {
    let mut kept: Vec<Source> = Vec::with_capacity(sources.len());
    for source in sources {
        match kept.iter_mut().find(|one| one.cell == source.cell) {
            Some(older) => *older = source,
            None => kept.push(source),
        }
    }
    kept.sort_by_cached_key(|source| source.cell.text());
    kept
}

/// Runs of one test on their way to be made again.
struct Again<'a> {
    ops: &'a Ops,
    access: &'a Access<RunsWrite>,
    failed_cases: bool,
    warnings: Vec<String>,
}

impl Again<'_> {
    /// Makes a run like each of these; all are of one test. `gates` says by which rules they wait for each other.
    async fn make(
        &mut self,
        conn: &mut Conn,
        sources: Vec<Source>,
        gates: Trigger,
    ) -> Result<(MatrixId, Vec<RunId>, super::enqueue::Enqueued)> {
        let (ops, access) = (self.ops, self.access);
        let now = store::housekeeping::now(conn).await?;
        ops.ensure_days(&[now]).await?;
        ops.check_room(conn, access, access.namespace(), sources.len()).await?;
        let matrix_id = MatrixId::at(now, Uuid::new_v4().as_u128());
        // The test as it is now; of one that was deleted nothing is left that could hold the runs back.
        let test = match sources.first() {
            Some(one) => store::testdefs::find(conn, access, &one.test_id.to_string(), false).await?,
            None => None,
        };
        let gates_of =
            |source: &Source, test: &TestDef| gates_of(&test.spec, source.ns_id, source.test_id, &source.cell, gates);
        let mut runs = Vec::with_capacity(sources.len());
        for source in sources {
            store::retention::touch(conn, access, source.class_id, source.config_id).await?;
            let config_id = if self.failed_cases { self.config(conn, &source).await? } else { source.config_id };
            let gates = test.as_ref().map_or_else(Gates::default, |test| gates_of(&source, test));
            let new = NewRun {
                id: RunId::at(now, Uuid::new_v4().as_u128()),
                ns_id: source.ns_id,
                test_id: source.test_id,
                matrix_id,
                class_id: source.class_id,
                config_id,
                priority: source.priority,
                queue_secs: source.queue_secs,
                trigger: Trigger::Retry,
                scheduled_at: now,
                due: None,
                gated: !gates.is_open(),
            };
            runs.push((new, gates));
        }
        let ids = runs.iter().map(|(run, _)| run.id).collect();
        let mut enqueued = ops.put(conn, access, runs).await?;
        match enqueued.refused.pop_first() {
            Some((_, message)) => Err(forbidden(message)),
            None => Ok((matrix_id, ids, enqueued)),
        }
    }

    /// Returns what a run executes that is to run only what failed in another.
    async fn config(&mut self, conn: &mut Conn, source: &Source) -> Result<i64> {
        let of = Of { run: source.run_id, attempt: source.attempt };
        let cases = store::retries::failed_cases(conn, self.access, of, MOST_CASES + 1).await?;
        let named = name_all(&cases).filter(|_| !cases.is_empty());
        if named.is_none() {
            let why = match cases.is_empty() {
                true => "no case of its reports failed".to_owned(),
                false => format!("the cases that failed take more than {MAX_NAMED_CASES} bytes"),
            };
            let run = source.run_id;
            self.warnings.push(format!("all cases of the run {run} are run again: {why}"));
        }
        let body = store::retries::config(conn, self.access, source.run_id).await?;
        let mut env = body.run_config.env.clone();
        match named {
            Some(text) => env.0.insert(FAILED_CASES.to_owned(), text),
            None => env.0.remove(FAILED_CASES),
        };
        if env == body.run_config.env {
            return Ok(source.config_id);
        }
        let config = NewConfig::again(body, env)?;
        let ids = store::queue::intern_configs(conn, self.access, &[&config]).await?;
        ids.get(&config.hash()).copied().ok_or_else(|| Error::internal(anyhow::anyhow!("an interned row is missing")))
    }
}
