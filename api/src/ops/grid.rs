//! The cases of a test over its latest runs, as a grid.

use std::collections::{HashMap, HashSet};

use tstr_shared::grid::{ABSENT, CASES, MOST_CASES, MOST_RUNS, TestGrid, letter};
use tstr_shared::labels::Labels;
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::TestsRead;

use super::Ops;
use super::testdefs::test_of;
use crate::auth::Caller;
use crate::error::Result;
use crate::store;

impl Ops {
    /// Reads the cases of a test over its latest runs, in all cells or in one: at most 200 cases and 60 runs, of which 0 stands
    /// for 50 and 60.
    pub async fn test_grid(
        &self,
        caller: &Caller,
        ns: &Namespace,
        test: &str,
        cell: Option<Labels>,
        (cases, runs): (u32, u32),
    ) -> Result<TestGrid> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let cases = if cases == 0 { CASES } else { cases.min(MOST_CASES) } as usize;
        let runs = if runs == 0 { MOST_RUNS } else { runs.min(MOST_RUNS) } as usize;
        let (access, cell) = (&access, cell.as_ref());
        self.read(|mut tx| async move {
            let test_id = test_of(&mut tx, access, test).await?;
            let columns = store::grid::columns(&mut tx, access, test_id, cell, runs).await?;
            // What failed is found by the runs, so that it is there however many cases the test has.
            let mut ids = store::grid::failed(&mut tx, access, &columns, cases as i64).await?;
            let (others, mut total) = store::grid::others(&mut tx, access, &columns, cases as i64).await?;
            let known: HashSet<_> = ids.iter().copied().collect();
            ids.extend(others.into_iter().filter(|case| !known.contains(case)));
            ids.truncate(cases);
            let mut rows = store::grid::cases(&mut tx, access, test_id, &columns, &ids).await?;
            // Cases of a run that has just ended are not counted yet.
            total.count = total.count.max(rows.len() as u32);
            let mut strips: HashMap<_, Vec<char>> =
                rows.iter().map(|row| (row.case_id, vec![ABSENT; columns.len()])).collect();
            for mark in store::grid::marks(&mut tx, access, &columns, &ids).await? {
                let place = strips.get_mut(&mark.case).and_then(|strip| strip.get_mut(mark.column));
                if let Some(place) = place {
                    *place = letter(mark.status, mark.flaky, mark.muted);
                }
            }
            for row in &mut rows {
                row.strip = strips.remove(&row.case_id).unwrap_or_default().into_iter().collect();
            }
            let runs = columns.into_iter().map(|column| column.run).collect();
            let mut grid = TestGrid { test_id, runs, cases: rows, total };
            grid.order();
            Ok(grid)
        })
        .await
    }
}
