//! The ledger of a schedule.

use tstr_shared::error::Invalid;
use tstr_shared::ledger::LedgerEntry;
use tstr_shared::page::Page;

use super::words::Text;
use super::{instant, optional_id, optional_instant, time, words};
use crate::v1 as pb;

impl From<LedgerEntry> for pb::LedgerEntry {
    fn from(entry: LedgerEntry) -> Self {
        Self {
            scheduled_for: Some(time(entry.scheduled_for)),
            outcome: entry.outcome.text().to_owned(),
            reason: entry.reason.map_or("", Text::text).to_owned(),
            late_ms: entry.late_ms,
            matrix_id: entry.matrix_id.map(|id| id.to_string()).unwrap_or_default(),
            runs: entry.runs,
            until: entry.until.map(time),
            instants: entry.instants,
            noted_at: Some(time(entry.noted_at)),
        }
    }
}

impl TryFrom<pb::LedgerEntry> for LedgerEntry {
    type Error = Invalid;
    fn try_from(message: pb::LedgerEntry) -> Result<Self, Invalid> {
        Ok(Self {
            scheduled_for: instant("/scheduled_for", message.scheduled_for)?,
            outcome: words::read("/outcome", &message.outcome)?,
            reason: words::read_optional("/reason", &message.reason)?,
            late_ms: message.late_ms,
            matrix_id: optional_id("/matrix_id", &message.matrix_id)?,
            runs: message.runs,
            until: optional_instant("/until", message.until)?,
            instants: message.instants,
            noted_at: instant("/noted_at", message.noted_at)?,
        })
    }
}

impl From<Page<LedgerEntry>> for pb::ListLedgerResponse {
    fn from(page: Page<LedgerEntry>) -> Self {
        Self {
            entries: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}
