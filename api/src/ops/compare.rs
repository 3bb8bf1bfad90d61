//! Two runs side by side: everything is read as whoever asks would read it, and compared beside the threads that serve calls.

use std::sync::LazyLock;

use futures_util::TryStreamExt;
use tokio::sync::Semaphore;
use tstr_shared::analysis::mask::{Extent, Masker};
use tstr_shared::compare::{CasesComparison, Comparison, LogEnd, MAX_LOG_BYTES, Side};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunId;
use tstr_shared::logs::Stream;
use tstr_shared::permission::RunsRead;

use super::Ops;
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::store;
use crate::store::artifacts::Of;

/// It compiles regular expressions.
static MASKER: LazyLock<Masker> = LazyLock::new(|| Masker::new(Extent::TimesAndIds));
/// How many comparisons are under way at once; each takes a processor for up to a second.
pub(super) static TURNS: Semaphore = Semaphore::const_new(2);

impl Ops {
    /// Compares a run with another one.
    pub async fn compare_runs(&self, caller: &Caller, run: RunId, other: RunId) -> Result<Comparison> {
        let mut notes = Vec::new();
        let _turn = TURNS.acquire().await.map_err(Error::internal)?;
        let before = self.side(caller, run, "the one run", &mut notes).await?;
        let after = self.side(caller, other, "the other run", &mut notes).await?;
        let cases = self.cases_of(caller, &before, &after, &mut notes).await?;
        let compare = move || Comparison::of(&before, &after, cases, &MASKER, notes);
        let compared = tokio::task::spawn_blocking(compare).await;
        compared.map_err(Error::internal)
    }

    /// Reads what is known of a run; notes what cannot be read.
    async fn side(&self, caller: &Caller, id: RunId, which: &str, notes: &mut Vec<String>) -> Result<Side> {
        let run = self.get_run(caller, id).await?;
        let attempt = Some(run.attempt).filter(|attempt| *attempt > 0);
        let runner = match run.runner_id {
            // It may be gone, or serve only namespaces that the caller does not see by now.
            Some(runner) => self.get_runner(caller, runner).await.ok().map(|runner| runner.about),
            None => None,
        };
        let output = self.run_output(caller, id, attempt).await?.output;
        let artifacts = match self.list_artifacts(caller, id, attempt).await {
            Ok(list) => Some(list.items),
            Err(error) => unreadable(error, which, notes)?,
        };
        let log = match self.stdout_end(caller, id, attempt).await {
            Ok(log) => Some(log),
            Err(error) => unreadable(error, which, notes)?,
        };
        Ok(Side { run, runner, output, artifacts, log })
    }

    /// Compares the cases of two runs in the database, however many there are; nothing where neither has any.
    async fn cases_of(
        &self,
        caller: &Caller,
        before: &Side,
        after: &Side,
        notes: &mut Vec<String>,
    ) -> Result<Option<CasesComparison>> {
        let (old, new) = (&before.run, &after.run);
        if old.cases.is_none() && new.cases.is_none() {
            return Ok(None);
        }
        if old.test_id != new.test_id {
            notes.push("the runs are of two tests, so no case of the one is a case of the other".to_owned());
        }
        let access = self.reach::<RunsRead>(caller).await?;
        let [one, other] = [old, new].map(|run| Of { run: run.id, attempt: run.attempt });
        let mut conn = self.db().acquire().await?;
        let mut compared = CasesComparison { before: old.cases, after: new.cases, ..CasesComparison::default() };
        for found in store::results::differing(&mut conn, &access, one, other).await? {
            let place = compared.of_kind(found.kind);
            place.items.push(found.case);
            place.more = found.all.saturating_sub(place.items.len() as u64);
        }
        Ok(Some(compared))
    }

    async fn stdout_end(&self, caller: &Caller, run: RunId, attempt: Option<u16>) -> Result<LogEnd> {
        let size = self.log_size(caller, run, attempt, Some(Stream::Stdout)).await?;
        let from = size.bytes.saturating_sub(MAX_LOG_BYTES);
        let pieces = self.read_log_bytes(caller, run, size.attempt, Some(Stream::Stdout), from..size.bytes).await?;
        let pieces: Vec<_> = std::pin::pin!(pieces).try_collect().await?;
        Ok(LogEnd::of(&pieces.concat(), from))
    }
}

/// Notes that something is gone; any other fault is one of the comparison.
fn unreadable<T>(error: Error, which: &str, notes: &mut Vec<String>) -> Result<Option<T>> {
    match error.code() {
        ErrorCode::Expired => {
            notes.push(format!("of {which} {}", error.message()));
            Ok(None)
        }
        _ => Err(error),
    }
}
