//! Reading the ledger of a schedule.

use chrono::{DateTime, Utc};
use tstr_shared::ledger::LedgerEntry;
use tstr_shared::namespace::Namespace;
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::permission::TestsRead;

use super::Ops;
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::store;

impl Ops {
    /// Lists what became of the instants of a test's schedule, the newest first.
    pub async fn list_ledger(
        &self,
        caller: &Caller,
        ns: &Namespace,
        test: &str,
        page: PageRequest,
    ) -> Result<Page<LedgerEntry>> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let mut conn = self.db().acquire().await?;
        let test = store::testdefs::find(&mut conn, &access, test, false).await?;
        let test = test.ok_or_else(|| Error::not_found("test"))?.id;
        let asked = ("ledger", ns, test);
        let before = self.0.cursor_key.read::<DateTime<Utc>>(&page, &asked)?;
        let rows = store::ledger::list(&mut conn, &access, test, before, i64::from(page.limit()) + 1).await?;
        self.0.cursor_key.page(rows, page.limit(), &asked, |entry| entry.scheduled_for)
    }
}
