//! When the tests of a namespace run by themselves, over some days.

use chrono::{DateTime, Utc};
use tstr_shared::namespace::Namespace;
use tstr_shared::page::PageRequest;
use tstr_shared::permission::TestsRead;
use tstr_shared::testdef::NewTestDef;
use tstr_shared::timetable::{Days, MOST_COUNTED, Timetable};

use super::Ops;
use crate::auth::Caller;
use crate::error::Result;
use crate::store;

impl Ops {
    /// Tells when the tests of a namespace run by themselves.
    pub async fn timetable(
        &self,
        caller: &Caller,
        ns: &Namespace,
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
        page: PageRequest,
    ) -> Result<Timetable> {
        let access = self.enter::<TestsRead>(caller, ns).await?;
        let asked = ("timetable", ns, from, to);
        // The next page is of the same time, also where it begins with now.
        let after = self.0.cursor_key.read::<(String, DateTime<Utc>)>(&page, &asked)?;
        let limit = page.limit() as usize;
        let mut conn = self.db().acquire().await?;
        let began = match &after {
            Some((_, began)) => *began,
            None => store::housekeeping::now(&mut conn).await?,
        };
        let mut table = Timetable::new(Days::of(from, to, began)?);
        let after = after.as_ref().map(|(name, _)| name.as_str());
        let rows = store::schedules::scheduled(&mut conn, &access, after, limit as i64 + 1).await?;
        drop(conn);
        let (mut counted, mut last) = (0, None);
        for (at, (id, name, doc)) in rows.iter().take(limit).enumerate() {
            // A document that cannot be read has no instants either.
            let test = serde_json::from_str::<NewTestDef>(doc).ok();
            if let Some((test, schedule)) =
                test.and_then(|test| test.decided_schedule(Some(*id)).map(|line| (test, line)))
            {
                counted += table.add((*id, name), &schedule, test.paused);
                tokio::task::yield_now().await;
            }
            let is_last = at + 1 == rows.len();
            last = Some(name).filter(|_| !is_last);
            if counted >= MOST_COUNTED {
                break;
            }
        }
        // One more than the page holds was read.
        if let Some(name) = last {
            table.next_page_token = Some(self.0.cursor_key.write(&(name, began), &asked)?);
        }
        Ok(table)
    }
}
