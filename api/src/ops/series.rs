//! Numbers that the runs of a test handed over, run by run.

use tstr_shared::labels::Labels;
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::RunsRead;
use tstr_shared::series::{MOST_RUNS, RUNS, TestSeries};

use super::Ops;
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::store;

impl Ops {
    /// Reads the numbers of the latest runs of a test, of one cell if it is given; 50 runs where `runs` is 0, at most 200.
    pub async fn test_series(
        &self,
        caller: &Caller,
        ns: &Namespace,
        test: &str,
        cell: Option<Labels>,
        runs: u32,
    ) -> Result<TestSeries> {
        let access = self.enter::<RunsRead>(caller, ns).await?;
        let limit = i64::from(if runs == 0 { RUNS } else { runs.min(MOST_RUNS) });
        let (access, cell) = (&access, cell.as_ref());
        self.read(|mut tx| async move {
            let found = store::testdefs::find_any(&mut tx, access, test).await?;
            let (test, _) = found.ok_or_else(|| Error::not_found("test"))?;
            let mut handed = store::series::handed(&mut tx, access, test, cell, limit).await?;
            handed.reverse();
            Ok(TestSeries::of(test, handed))
        })
        .await
    }
}
