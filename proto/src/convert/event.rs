//! Events.

use tstr_shared::error::Invalid;
use tstr_shared::event::{Event, EventKind, ResetReason, Topic};

use super::words::Text;
use super::{instant, namespace, narrow, number, optional_id, text, time, word, words};
use crate::v1 as pb;

impl Text for EventKind {
    const ALL: &'static [Self] = EventKind::ALL;
    fn text(self) -> &'static str {
        self.word()
    }
}

impl Text for ResetReason {
    const ALL: &'static [Self] = ResetReason::ALL;
    fn text(self) -> &'static str {
        self.word()
    }
}

impl From<Event> for pb::Event {
    fn from(event: Event) -> Self {
        Self {
            id: event.id.unwrap_or_default(),
            event: event.event.word().to_owned(),
            namespace: event.namespace.to_string(),
            at: Some(time(event.at)),
            run_id: event.run.map(|id| id.to_string()).unwrap_or_default(),
            test_id: event.test.map(|id| id.to_string()).unwrap_or_default(),
            test_name: event.test_name.unwrap_or_default(),
            state: event.state.map(number).unwrap_or_default(),
            result: event.result.map(number).unwrap_or_default(),
            attempt: event.attempt.map(u32::from).unwrap_or_default(),
            runner_id: event.runner.map(|id| id.to_string()).unwrap_or_default(),
            runner_name: event.runner_name.unwrap_or_default(),
            runner_state: event.runner_state.map_or("", Text::text).to_owned(),
            reason: event.reason.map_or("", Text::text).to_owned(),
        }
    }
}

impl TryFrom<pb::Event> for Event {
    type Error = Invalid;
    fn try_from(message: pb::Event) -> Result<Self, Invalid> {
        let attempt: u16 = narrow("/attempt", message.attempt)?;
        Ok(Self {
            id: text(message.id),
            event: words::read("/event", &message.event)?,
            namespace: namespace("/namespace", &message.namespace)?,
            at: instant("/at", message.at)?,
            run: optional_id("/run_id", &message.run_id)?,
            test: optional_id("/test_id", &message.test_id)?,
            test_name: text(message.test_name),
            state: word("/state", message.state)?,
            result: word("/result", message.result)?,
            attempt: Some(attempt).filter(|attempt| *attempt > 0),
            runner: optional_id("/runner_id", &message.runner_id)?,
            runner_name: text(message.runner_name),
            runner_state: words::read_optional("/runner_state", &message.runner_state)?,
            reason: words::read_optional("/reason", &message.reason)?,
        })
    }
}

/// Reads what a stream is to be about.
///
/// # Errors
///
/// Refuses a word that is no topic.
pub fn topics(texts: &[String]) -> Result<Vec<Topic>, Invalid> {
    let read = |(i, text): (usize, &String)| {
        text.parse::<Topic>().map_err(|fault| Invalid::one(format!("/topics/{i}"), fault))
    };
    texts.iter().enumerate().map(read).collect()
}
