//! What is remembered of cases, as people read it.

use chrono::{Duration, Utc};
use tstr_shared::analysis::history::Standing;
use tstr_shared::health::{CaseRun, CaseState, RunChanges, StateFilter};
use tstr_shared::ids::{RunId, TestId, lowest_at};
use tstr_shared::labels::Labels;
use tstr_shared::namespace::Namespace;
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::permission::{RunsRead, TestsRead};
use tstr_shared::report::CaseId;

use super::Ops;
use super::testdefs::test_of;
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store;
use crate::store::Conn;
use crate::store::case_reads::Place;

/// How many changes of a run are told at most.
const MOST_CHANGES: i64 = 1000;

impl Ops {
    /// Reads what a run changed among the cases of its cell.
    pub async fn run_changes(&self, caller: &Caller, run: RunId) -> Result<RunChanges> {
        let access = self.reach::<RunsRead>(caller).await?;
        let head = self.head(&access, run).await?;
        let mut conn = self.db().acquire().await?;
        let waits = !head.finished
            || store::memory::waits(&mut conn, run).await?
            || store::digest::is_undigested(&mut conn, &access, run).await?;
        let mut changes = RunChanges { told: !waits, ..RunChanges::default() };
        for counted in store::case_reads::count_changes(&mut conn, &access, run).await? {
            let place = match counted.standing {
                Standing::New => &mut changes.new,
                Standing::StillFailing => &mut changes.still_failing,
                Standing::Fixed => &mut changes.fixed,
                Standing::Missing => &mut changes.missing,
                Standing::Removed => &mut changes.removed,
                Standing::Passing | Standing::Skipped => continue,
            };
            *place = counted.count;
        }
        changes.items = store::case_reads::changes(&mut conn, &access, run, MOST_CHANGES).await?;
        Ok(changes)
    }

    /// Lists the cases of a test, each in each of its cells.
    pub async fn list_cases(
        &self,
        caller: &Caller,
        ns: &Namespace,
        test: &str,
        filter: StateFilter,
        page: PageRequest,
    ) -> Result<Page<CaseState>> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let asked = format!("test cases {ns} {test} {filter:?}");
        let after = self.0.cursor_key.read::<Place>(&page, &asked)?;
        let (access, filter, limit) = (&access, &filter, i64::from(page.limit()) + 1);
        let listed = self.read(|mut tx| async move {
            let test = test_of(&mut tx, access, test).await?;
            store::case_reads::states(&mut tx, access, test, None, filter, after, limit).await
        });
        let rows = listed.await?;
        let page = self.0.cursor_key.page(rows, page.limit(), &asked, |listed| listed.place)?;
        Ok(page.map(|listed| listed.state))
    }

    /// Reads a case of a test in each of its cells.
    pub async fn get_case(&self, caller: &Caller, ns: &Namespace, test: &str, case: CaseId) -> Result<Vec<CaseState>> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let (access, all) = (&access, &StateFilter::default());
        let found = self.read(|mut tx| async move {
            let test = test_of(&mut tx, access, test).await?;
            let rows = store::case_reads::states(&mut tx, access, test, Some(case), all, None, 1000).await?;
            if rows.is_empty() && store::case_reads::key(&mut tx, access, test, case).await?.is_none() {
                return Err(Error::not_found("case"));
            }
            Ok(rows)
        });
        Ok(found.await?.into_iter().map(|listed| listed.state).collect())
    }

    /// Lists the runs that had a case, the newest first: in all cells, or in one.
    pub async fn case_history(
        &self,
        caller: &Caller,
        ns: &Namespace,
        test: &str,
        case: CaseId,
        cell: Option<Labels>,
        page: PageRequest,
    ) -> Result<Page<CaseRun>> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let asked = format!("history {ns} {test} {case} {cell:?}");
        let before = self.0.cursor_key.read::<RunId>(&page, &asked)?;
        let (access, cell, limit) = (&access, cell.as_ref(), i64::from(page.limit()) + 1);
        let listed = self.read(|mut tx| async move {
            let test = test_of(&mut tx, access, test).await?;
            if store::case_reads::key(&mut tx, access, test, case).await?.is_none() {
                return Err(Error::not_found("case"));
            }
            history(&mut tx, access, test, case, cell, before, limit).await
        });
        let rows = listed.await?;
        self.0.cursor_key.page(rows, page.limit(), &asked, |run| run.run_id)
    }
}

/// Reads the history of a case from days that lie further and further back: most cases have been seen lately, and a statement over
/// every day that is kept takes longer to plan than to run.
async fn history(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    test: TestId,
    case: CaseId,
    cell: Option<&Labels>,
    before: Option<RunId>,
    limit: i64,
) -> Result<Vec<CaseRun>> {
    let newest = before.map_or_else(Utc::now, RunId::time);
    let mut before = before.map(|run| run.0);
    let mut runs = Vec::new();
    for days in [Some(2), Some(14), None] {
        let from = days.map(|days| lowest_at(newest - Duration::days(days)));
        let left = limit - runs.len() as i64;
        runs.extend(store::case_reads::history(conn, access, test, case, cell, (from, before), left).await?);
        if runs.len() as i64 >= limit {
            break;
        }
        before = from;
    }
    Ok(runs)
}
