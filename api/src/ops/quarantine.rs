//! Quarantine: cases of a test whose failure does not count for a while, or that are not to be run.
//!
//! What an entry does is decided where reports are read: `shared/src/analysis/quarantine.rs`.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use tstr_shared::analysis::quarantine::{MAX_ENTRIES, PutQuarantine, QuarantineEntry};
use tstr_shared::error::ErrorCode;
use tstr_shared::namespace::Namespace;
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::permission::{TestsRead, TestsWrite};
use tstr_shared::report::CaseId;

use super::Ops;
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::store;

impl Ops {
    /// Lists the entries of a test, the newest first: all, those that are in force, or the others.
    pub async fn list_quarantine(
        &self,
        caller: &Caller,
        ns: &Namespace,
        test: &str,
        in_force: Option<bool>,
        page: PageRequest,
    ) -> Result<Page<QuarantineEntry>> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let asked = ("quarantine", ns, test, in_force);
        let after = self.0.cursor_key.read::<(DateTime<Utc>, CaseId)>(&page, &asked)?;
        let mut conn = self.db().acquire().await?;
        let test = store::testdefs::find(&mut conn, &access, test, false).await?;
        let test = test.ok_or_else(|| Error::not_found("test"))?;
        let now = store::housekeeping::now(&mut conn).await?;
        // There are so few that all are read for each page.
        let all = store::quarantine::list(&mut conn, &access, test.id, now).await?;
        let place = |entry: &QuarantineEntry| (entry.from, entry.case_id);
        let is_behind = |entry: &QuarantineEntry| {
            after.is_none_or(|(from, case)| (Reverse(entry.from), entry.case_id) > (Reverse(from), case))
        };
        let is_wanted = |entry: &QuarantineEntry| in_force.is_none_or(|wish| wish == entry.in_force);
        let wanted = all.into_iter().filter(|entry| is_behind(entry) && is_wanted(entry));
        let rows = wanted.take(page.limit() as usize + 1).collect();
        self.0.cursor_key.page(rows, page.limit(), &asked, place)
    }

    /// Puts a case in quarantine, from now on; an entry that it has is replaced.
    pub async fn put_quarantine(
        &self,
        caller: &Caller,
        ns: &Namespace,
        test: &str,
        case: CaseId,
        new: PutQuarantine,
    ) -> Result<QuarantineEntry> {
        let access = self.enter::<TestsWrite>(caller, ns).await?;
        let mut tx = self.db().begin().await?;
        // Locked, so that no two requests count the same room.
        let test = store::testdefs::find(&mut tx, &access, test, true).await?;
        let test = test.ok_or_else(|| Error::not_found("test"))?;
        let now = store::housekeeping::now(&mut tx).await?;
        let entry = new.entry(case, now)?;
        let key = store::case_reads::key(&mut tx, &access, test.id, case).await?;
        let key = key.ok_or_else(|| Error::not_found("case"))?;
        if store::quarantine::count_others(&mut tx, &access, test.id, case).await? >= MAX_ENTRIES {
            let sentence = format!("the test has {MAX_ENTRIES} cases in quarantine, which is the most; remove some");
            return Err(Error::new(ErrorCode::QuotaExceeded, sentence));
        }
        store::quarantine::put(&mut tx, &access, test.id, &entry).await?;
        tx.commit().await?;
        Ok(store::quarantine::told(entry, key, access.actor().to_owned(), now))
    }

    /// Takes a case out of quarantine.
    pub async fn delete_quarantine(&self, caller: &Caller, ns: &Namespace, test: &str, case: CaseId) -> Result<()> {
        let access = self.enter::<TestsWrite>(caller, ns).await?;
        let mut tx = self.db().begin().await?;
        let test = store::testdefs::find(&mut tx, &access, test, false).await?;
        let test = test.ok_or_else(|| Error::not_found("test"))?;
        if !store::quarantine::remove(&mut tx, &access, test.id, case).await? {
            return Err(Error::not_found("case in quarantine"));
        }
        tx.commit().await?;
        Ok(())
    }
}
