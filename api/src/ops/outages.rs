//! Outages: when the control test of a namespace failed on a runner. They are noted where ended runs are added to their
//! cells (`ops/cells.rs`).

use chrono::{DateTime, Utc};
use tstr_shared::ids::RunnerId;
use tstr_shared::namespace::Namespace;
use tstr_shared::outage::Outage;
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::permission::RunnersRead;

use super::Ops;
use crate::auth::Caller;
use crate::error::Result;
use crate::store;

/// For how many days it is known when a runner was broken.
pub(super) const OUTAGE_DAYS: i32 = 400;

impl Ops {
    /// Lists the outages of all runners or of one, the newest first.
    pub async fn list_outages(
        &self,
        caller: &Caller,
        ns: &Namespace,
        runner: Option<RunnerId>,
        page: PageRequest,
    ) -> Result<Page<Outage>> {
        let access = self.enter::<RunnersRead>(caller, ns).await?;
        let asked = ("outages", ns, runner);
        let after = self.0.cursor_key.read::<(DateTime<Utc>, RunnerId)>(&page, &asked)?;
        let mut conn = self.db().acquire().await?;
        let rows = store::outages::list(&mut conn, &access, runner, after, i64::from(page.limit()) + 1).await?;
        self.0.cursor_key.page(rows, page.limit(), &asked, |outage| (outage.since, outage.runner_id))
    }
}
