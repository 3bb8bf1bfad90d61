//! What speaks for a cause: what changed before a failure, which failures are the same, which labels carry them, and since
//! when a test takes longer. Everything is computed when it is asked for, from bounded reads.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use tstr_shared::analysis::Observed;
use tstr_shared::analysis::explain_labels::CellCounts;
use tstr_shared::analysis::fingerprint::Fingerprinter;
use tstr_shared::analysis::flaky::Exclusion;
use tstr_shared::analysis::history::Moment;
use tstr_shared::causes::{
    CellDurations, DEFAULT_DAYS, FailedCase, Failure, FailureGroups, LabelAnalysis, MOST_FAILURES, MOST_GROUPS, Said,
    TestAnalysis, WhatChanged, analyse_durations, analyse_labels, changed_sentence, check_days, group, said_of_run,
    turn,
};
use tstr_shared::error::ErrorCode;
use tstr_shared::health::{CaseState, StateFilter};
use tstr_shared::ids::TestId;
use tstr_shared::labels::Labels;
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::TestsRead;
use tstr_shared::report::{CaseId, CaseKey, Repeat};

use super::Ops;
use super::compare::TURNS;
use super::testdefs::test_of;
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store;
use crate::store::Conn;
use crate::store::causes::FailureRow;
use crate::store::reports::CaseRow;

/// It compiles regular expressions.
static PRINTER: LazyLock<Fingerprinter> = LazyLock::new(Fingerprinter::new);
/// How many cells of a case are looked at.
const MOST_CELLS: i64 = 1000;

impl Ops {
    /// Compares the last pass of a test, or of a case of it, with the first failure after it: in a cell, or in the cell that
    /// began to fail last.
    pub async fn what_changed(
        &self,
        caller: &Caller,
        ns: &Namespace,
        test: &str,
        cell: Option<Labels>,
        case: Option<CaseId>,
    ) -> Result<WhatChanged> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let turns = {
            let mut conn = self.db().acquire().await?;
            let test = test_of(&mut conn, &access, test).await?;
            match case {
                Some(case) => turns_of_case(&mut conn, &access, test, cell, case).await?,
                None => turns_of_test(&mut conn, &access, test, cell.as_ref()).await?,
            }
        };
        let latest = turns.into_iter().max_by_key(|(_, (_, fail))| *fail);
        let Some((cell, (last_pass, first_fail))) = latest else {
            let what = if case.is_some() { "the case" } else { "the test" };
            return Err(gone(format!("{what} has no failure after a pass: it passes now, or no pass is on record")));
        };
        let comparison = self.compare_runs(caller, last_pass.run_id, first_fail.run_id).await.map_err(|error| {
            match error.code() {
                ErrorCode::NotFound => {
                    gone("the last pass, or the first failure after it, is no longer kept".to_owned())
                }
                _ => error,
            }
        })?;
        let sentence = changed_sentence(&comparison);
        Ok(WhatChanged { cell, last_pass, first_fail, sentence, comparison })
    }

    /// Groups the newest failures of a test by what they say.
    pub async fn failure_groups(
        &self,
        caller: &Caller,
        ns: &Namespace,
        test: &str,
        days: Option<u32>,
    ) -> Result<FailureGroups> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let days = days.unwrap_or(DEFAULT_DAYS);
        check_days(days)?;
        let _turn = TURNS.acquire().await.map_err(Error::internal)?;
        let since = Utc::now() - TimeDelta::days(days.into());
        let mut conn = self.db().acquire().await?;
        let test = test_of(&mut conn, &access, test).await?;
        let mut rows = store::causes::failures(&mut conn, &access, test, since).await?;
        drop(conn);
        let more_failures = rows.len() > MOST_FAILURES as usize;
        rows.truncate(MOST_FAILURES as usize);
        let failures = rows.len() as u64;
        let grouped = tokio::task::spawn_blocking(move || group(&PRINTER, rows.into_iter().map(failure)));
        let mut grouped = grouped.await.map_err(Error::internal)?;
        let more_groups = grouped.len().saturating_sub(MOST_GROUPS) as u64;
        grouped.truncate(MOST_GROUPS);
        let named: Vec<CaseId> = grouped.iter().flat_map(|one| one.cases.iter().copied()).collect();
        let mut conn = self.db().acquire().await?;
        let keys: HashMap<CaseId, FailedCase> = store::causes::keys(&mut conn, &access, test, &named)
            .await?
            .into_iter()
            .map(|case| (case.case_id, case))
            .collect();
        let groups = grouped.into_iter().map(|mut one| {
            one.group.cases = one.cases.iter().filter_map(|case| keys.get(case).cloned()).collect();
            one.group
        });
        Ok(FailureGroups { since, failures, more_failures, groups: groups.collect(), more_groups })
    }

    /// Looks which labels carry the failures of a test, and since when it takes longer.
    pub async fn analyse_test(
        &self,
        caller: &Caller,
        ns: &Namespace,
        test: &str,
        days: Option<u32>,
    ) -> Result<TestAnalysis> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let days = days.unwrap_or(DEFAULT_DAYS);
        check_days(days)?;
        let _turn = TURNS.acquire().await.map_err(Error::internal)?;
        let since: DateTime<Utc> = Utc::now() - TimeDelta::days(days.into());
        let mut conn = self.db().acquire().await?;
        let test = test_of(&mut conn, &access, test).await?;
        let windows = store::causes::windows(&mut conn, &access, test, None).await?;
        let entries = windows.iter().flat_map(|(_, window)| window.entries());
        let excluded: Vec<_> =
            entries.filter(|run| run.excluded == Some(Exclusion::ControlFailed)).map(|run| run.run_id).collect();
        let ended = store::causes::ended_alike(&mut conn, &access, test, since, &excluded).await?;
        drop(conn);
        let (mut cells, mut left_out) = (BTreeMap::<String, CellCounts>::new(), 0);
        for alike in ended {
            let observed = Observed::of_run(alike.result, alike.reason).filter(|_| !alike.left_out);
            let open = || CellCounts { labels: alike.cell.clone(), failed: 0, passed: 0 };
            match observed {
                Some(Observed::Pass) => {
                    cells.entry(alike.cell.canonical()).or_insert_with(open).passed += alike.runs;
                }
                Some(Observed::Fail) => {
                    cells.entry(alike.cell.canonical()).or_insert_with(open).failed += alike.runs;
                }
                Some(Observed::Skip) | None => left_out += alike.runs,
            }
        }
        let analysed = tokio::task::spawn_blocking(move || -> (LabelAnalysis, Vec<CellDurations>) {
            let cells: Vec<CellCounts> = cells.into_values().collect();
            let durations = windows.into_iter().map(|(cell, window)| analyse_durations(cell, &window, since));
            (analyse_labels(&cells, left_out), durations.collect())
        });
        let (labels, durations) = analysed.await.map_err(Error::internal)?;
        Ok(TestAnalysis { since, labels, durations })
    }
}

fn gone(message: String) -> Error {
    Error::new(ErrorCode::NotFound, message)
}

/// A cell, its last pass and the first failure after it.
type Turn = (Labels, (Moment, Moment));

async fn turns_of_test(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    test: TestId,
    cell: Option<&Labels>,
) -> Result<Vec<Turn>> {
    let windows = store::causes::windows(conn, access, test, cell).await?;
    if windows.is_empty() && cell.is_some() {
        return Err(gone("the test has no runs in this cell".to_owned()));
    }
    Ok(windows.into_iter().filter_map(|(cell, window)| Some((cell, turn(&window)?))).collect())
}

async fn turns_of_case(
    conn: &mut Conn,
    access: &Access<TestsRead>,
    test: TestId,
    cell: Option<Labels>,
    case: CaseId,
) -> Result<Vec<Turn>> {
    let filter = StateFilter { cell, ..StateFilter::default() };
    let listed = store::case_reads::states(conn, access, test, Some(case), &filter, None, MOST_CELLS).await?;
    if listed.is_empty() {
        return Err(Error::not_found("case"));
    }
    let turn = |state: CaseState| {
        let (last_pass, first_fail) = (state.last_pass?, state.since?.first);
        // Since then it passes, where it does not fail.
        let fails = state.last_fail.is_some_and(|last| last >= first_fail) && first_fail > last_pass;
        fails.then_some((state.cell, (last_pass, first_fail)))
    };
    Ok(listed.into_iter().filter_map(|listed| turn(listed.state)).collect())
}

/// Makes the failure that is grouped of its row.
fn failure(row: FailureRow) -> Failure {
    let (moment, cell) = (row.moment, row.cell);
    let Some((case, status)) = row.case else {
        let (message, said) = said_of_run(row.run_message.as_deref(), row.exit_code, row.result.word());
        return Failure { moment, cell, case: None, message, said: Some(said) };
    };
    let message = row.message.unwrap_or_else(|| "it says nothing".to_owned());
    let said = row.detail.and_then(|detail| {
        let key = CaseKey { suite: Vec::new(), classname: None, name: String::new(), file: None, test_id: None };
        let whole = CaseRow {
            id: case,
            key,
            repeat: Repeat::First,
            ordinal: 1,
            status,
            flaky: false,
            failed_attempts: 0,
            duration_ms: None,
            message: None,
            detail: Some(detail),
        };
        // One that cannot be unpacked is grouped by its first words.
        let whole = whole.into_case().ok()?;
        let finding = whole.findings().first()?;
        Some(Said {
            kind: finding.kind.clone().unwrap_or_default(),
            message: finding.message.clone().unwrap_or_default(),
            trace: finding.text.as_ref().map(|text| text.text.clone()).unwrap_or_default(),
        })
    });
    Failure { moment, cell, case: Some(case), message, said }
}
