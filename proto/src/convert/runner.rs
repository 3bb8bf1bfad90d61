//! Runners: what a worker says of itself, and what is known of it.

use tstr_shared::error::Invalid;
use tstr_shared::page::Page;
use tstr_shared::runner::{NewRunner, Runner, RunnerAbout, Unfit};
use tstr_shared::selector::SelectorSources;

use super::words::{Text, read};
use super::{id, instant, narrow, text, time};
use crate::v1 as pb;

impl From<RunnerAbout> for pb::RunnerAbout {
    fn from(about: RunnerAbout) -> Self {
        Self {
            version: about.version,
            engine: about.engine,
            platform: about.platform,
            limits_enforced: about.limits_enforced,
            limits_note: about.limits_note.unwrap_or_default(),
        }
    }
}

impl From<pb::RunnerAbout> for RunnerAbout {
    fn from(message: pb::RunnerAbout) -> Self {
        Self {
            version: message.version,
            engine: message.engine,
            platform: message.platform,
            limits_enforced: message.limits_enforced,
            limits_note: text(message.limits_note),
        }
    }
}

impl From<NewRunner> for pb::RegisterRunnerRequest {
    fn from(new: NewRunner) -> Self {
        Self {
            id: new.id.to_string(),
            name: new.name,
            accept: new.selectors.accept.into_iter().collect(),
            reject: new.selectors.reject.into_iter().collect(),
            slots: new.slots.into(),
            about: Some(new.about.into()),
        }
    }
}

impl TryFrom<pb::RegisterRunnerRequest> for NewRunner {
    type Error = Invalid;
    fn try_from(message: pb::RegisterRunnerRequest) -> Result<Self, Invalid> {
        Ok(Self {
            id: id("/id", &message.id)?,
            name: message.name,
            selectors: SelectorSources {
                accept: message.accept.into_iter().collect(),
                reject: message.reject.into_iter().collect(),
            },
            slots: narrow("/slots", message.slots)?,
            about: message.about.map(Into::into).unwrap_or_default(),
        })
    }
}

impl From<Runner> for pb::Runner {
    fn from(runner: Runner) -> Self {
        Self {
            id: runner.id.to_string(),
            name: runner.name,
            state: runner.state.text().to_owned(),
            draining: runner.draining,
            namespaces: runner.namespaces,
            accept: runner.accept.into_iter().collect(),
            reject: runner.reject.into_iter().collect(),
            slots: runner.slots.into(),
            slots_used: runner.slots_used.into(),
            about: Some(runner.about.into()),
            registered_at: Some(time(runner.registered_at)),
            last_seen_at: Some(time(runner.last_seen_at)),
            unfit: runner.unfit.map(Unfit::word).unwrap_or_default().to_owned(),
        }
    }
}

impl TryFrom<pb::Runner> for Runner {
    type Error = Invalid;
    fn try_from(message: pb::Runner) -> Result<Self, Invalid> {
        Ok(Self {
            id: id("/id", &message.id)?,
            name: message.name,
            state: read("/state", &message.state)?,
            draining: message.draining,
            unfit: unfit(&message.unfit),
            namespaces: message.namespaces,
            accept: message.accept.into_iter().collect(),
            reject: message.reject.into_iter().collect(),
            slots: narrow("/slots", message.slots)?,
            slots_used: narrow("/slots_used", message.slots_used)?,
            about: message.about.map(Into::into).unwrap_or_default(),
            registered_at: instant("/registered_at", message.registered_at)?,
            last_seen_at: instant("/last_seen_at", message.last_seen_at)?,
        })
    }
}

/// Reads why a runner takes nothing new. A word that is not known here says nothing: it comes from a newer release, and
/// neither a heartbeat nor a list may fail for it.
pub fn unfit(word: &str) -> Option<Unfit> {
    Unfit::from_word(word)
}

impl From<Page<Runner>> for pb::ListRunnersResponse {
    fn from(page: Page<Runner>) -> Self {
        Self {
            runners: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}
