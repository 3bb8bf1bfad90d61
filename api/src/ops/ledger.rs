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
        let (access, page, keys) = (&access, &page, &self.0.cursor_key);
        let listed = self.read(|mut tx| async move {
            let test = store::testdefs::find(&mut tx, access, test, false).await?;
            let test = test.ok_or_else(|| Error::not_found("test"))?.id;
            let asked = ("ledger", ns, test);
            let before = keys.read::<DateTime<Utc>>(page, &asked)?;
            let rows = store::ledger::list(&mut tx, access, test, before, i64::from(page.limit()) + 1).await?;
            keys.page(rows, page.limit(), &asked, |entry| entry.scheduled_for)
        });
        listed.await
    }
}
