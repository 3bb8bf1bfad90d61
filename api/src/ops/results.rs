//! Results by cases, as people read them: reports, cases, and all of them as a report of any format.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{Stream, stream};
use tstr_shared::ids::RunId;
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::permission::RunsRead;
use tstr_shared::report::{CaseId, Counts, Format, Header, Writer};
use tstr_shared::results::{CaseDetail, CaseFilter, CaseResult, Results};

use super::Ops;
use super::logs::attempt_of;
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store;
use crate::store::artifacts::Of;
use crate::store::results::{Place, Stored};

/// How many cases, and of about how many bytes, are read at once for an export.
const EXPORT_CASES: i64 = 500;
const EXPORT_BYTES: i64 = 1 << 20;
/// From so many bytes on, no more of a case is told: an answer over gRPC is to be smaller than four MiB.
const CASE_BYTES: i64 = 1 << 20;

impl Ops {
    /// Reads what the reports of an attempt say, of the latest without one.
    pub async fn results(&self, caller: &Caller, run: RunId, attempt: Option<u16>) -> Result<Results> {
        let (access, of) = self.results_of(caller, run, attempt).await?;
        let mut conn = self.db().acquire().await?;
        let found = store::results::of_attempt(&mut conn, &access, of).await?;
        Ok(found.unwrap_or_else(|| Results { attempt: of.attempt, ..Results::default() }))
    }

    /// Lists cases of an attempt, in the order of its reports.
    pub async fn list_run_cases(
        &self,
        caller: &Caller,
        run: RunId,
        filter: CaseFilter,
        page: PageRequest,
    ) -> Result<Page<CaseResult>> {
        let (access, of) = self.results_of(caller, run, filter.attempt).await?;
        let asked = format!("cases {run} {} {filter:?}", of.attempt);
        let after = self.0.cursor_key.read::<Place>(&page, &asked)?;
        let mut conn = self.db().acquire().await?;
        let limit = i64::from(page.limit()) + 1;
        let rows = store::results::list(&mut conn, &access, of, &filter, after, limit).await?;
        self.0.cursor_key.page(rows, page.limit(), &asked, |case| (case.report, case.place))
    }

    /// Reads all that the reports of an attempt say of a case: once for each report that has it, and each time that it comes
    /// there without being a retry. Of one that comes again and again the first two MiB or so are told.
    pub async fn get_run_case(
        &self,
        caller: &Caller,
        run: RunId,
        attempt: Option<u16>,
        case: CaseId,
    ) -> Result<Vec<CaseDetail>> {
        let (access, of) = self.results_of(caller, run, attempt).await?;
        let mut conn = self.db().acquire().await?;
        let stored = store::results::case(&mut conn, &access, of, case, CASE_BYTES).await?;
        if stored.is_empty() {
            return Err(Error::not_found("case"));
        }
        let detail = |Stored { report, muted, row, .. }| {
            Ok(CaseDetail { run_id: run, attempt: of.attempt, report, muted, case: row.into_case()? })
        };
        stored.into_iter().map(detail).collect()
    }

    /// Writes all cases of an attempt as a report, piece by piece.
    pub async fn export_report(
        &self,
        caller: &Caller,
        run: RunId,
        attempt: Option<u16>,
        format: Format,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let (access, of) = self.results_of(caller, run, attempt).await?;
        let mut conn = self.db().acquire().await?;
        let found = store::results::of_attempt(&mut conn, &access, of).await?;
        let Some(cases) = found.and_then(|results| results.cases) else {
            return Err(Error::not_found("report"));
        };
        let about = self.get_run(caller, run).await?;
        let millis = |at: Option<DateTime<Utc>>| at.map_or(0, |at| at.timestamp_millis().unsigned_abs());
        let totals = Counts {
            cases: cases.cases,
            passed: cases.passed,
            failed: cases.failed,
            errors: cases.errors,
            skipped: cases.skipped,
            flaky: cases.flaky,
            ..Counts::default()
        };
        let header = Header {
            name: about.test_name,
            started_ms: millis(about.started_at),
            ended_ms: millis(about.finished_at),
            totals: Some(totals),
        };
        let written = Written::default();
        let writer = Some(Writer::new(format, written.clone(), &header).map_err(Error::internal)?);
        let export = Export { ops: self.clone(), caller: caller.clone(), access, of, after: None, writer, written };
        Ok(stream::try_unfold(export, |mut export| async { Ok(export.next().await?.map(|piece| (piece, export))) }))
    }

    async fn results_of(&self, caller: &Caller, run: RunId, attempt: Option<u16>) -> Result<(Access<RunsRead>, Of)> {
        let access = self.reach::<RunsRead>(caller).await?;
        let head = self.head(&access, run).await?;
        Ok((access, Of { run, attempt: attempt_of(&head, attempt)? }))
    }
}

/// What a writer has written and nobody has taken yet; clones are the same.
#[derive(Debug, Default, Clone)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A report that is being written.
struct Export {
    ops: Ops,
    caller: Caller,
    access: Access<RunsRead>,
    of: Of,
    after: Option<Place>,
    /// Absent at the end.
    writer: Option<Writer<Written>>,
    written: Written,
}

impl Export {
    /// Writes on; `None` behind the end.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(mut writer) = self.writer.take() else { return Ok(None) };
        self.ops.still_holds(&self.caller)?;
        let rows = {
            let mut conn = self.ops.db().acquire().await?;
            store::results::whole(&mut conn, &self.access, self.of, self.after, EXPORT_CASES, EXPORT_BYTES).await?
        };
        match rows.last() {
            None => {
                writer.finish().map_err(Error::internal)?;
            }
            Some(last) => {
                self.after = Some(last.at);
                for stored in rows {
                    writer.case(&stored.row.into_case()?).map_err(Error::internal)?;
                }
                self.writer = Some(writer);
            }
        }
        Ok(Some(self.written.take()))
    }
}
