//! Explanations of runs, and the queue of a namespace.

use tstr_shared::error::Invalid;
use tstr_shared::explain::{
    AttemptStory, Because, Counted, Explanation, LeaseStory, PriorityDepth, QueueClass, RunnerVerdict, VerdictCount,
    Waiting,
};
use tstr_shared::page::Page;

use super::run::optional_number;
use super::words::{Text, read, read_optional, write_optional};
use super::{
    id, instant, labels, map, namespace, narrow, number, optional_instant, part, parts, required, required_part, text,
    time, word,
};
use crate::v1 as pb;

impl From<Counted> for pb::Counted {
    fn from(counted: Counted) -> Self {
        Self { count: counted.count, more: counted.more }
    }
}

impl TryFrom<pb::Counted> for Counted {
    type Error = Invalid;
    fn try_from(message: pb::Counted) -> Result<Self, Invalid> {
        Ok(Self { count: message.count, more: message.more })
    }
}

impl From<Because> for pb::Because {
    fn from(because: Because) -> Self {
        Self {
            why: because.why.text().to_owned(),
            sentence: because.sentence,
            until: because.until.map(time),
            count: because.count.map(Into::into),
            limit: because.limit,
            group: because.group.unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::Because> for Because {
    type Error = Invalid;
    fn try_from(message: pb::Because) -> Result<Self, Invalid> {
        Ok(Self {
            why: read("/why", &message.why)?,
            sentence: message.sentence,
            until: optional_instant("/until", message.until)?,
            count: message.count.map(|count| part("/count", count)).transpose()?,
            limit: message.limit,
            group: text(message.group),
        })
    }
}

impl From<RunnerVerdict> for pb::RunnerVerdict {
    fn from(verdict: RunnerVerdict) -> Self {
        Self {
            runner_id: verdict.runner_id.to_string(),
            runner_name: verdict.runner_name,
            state: verdict.state.text().to_owned(),
            verdict: verdict.verdict.text().to_owned(),
            sentence: verdict.sentence,
            key: verdict.key,
            value: verdict.value,
            pattern: verdict.pattern,
            slots_used: verdict.slots_used.into(),
            slots: verdict.slots.into(),
            last_seen_at: Some(time(verdict.last_seen_at)),
        }
    }
}

impl TryFrom<pb::RunnerVerdict> for RunnerVerdict {
    type Error = Invalid;
    fn try_from(message: pb::RunnerVerdict) -> Result<Self, Invalid> {
        Ok(Self {
            runner_id: id("/runner_id", &message.runner_id)?,
            runner_name: message.runner_name,
            state: read("/state", &message.state)?,
            verdict: read("/verdict", &message.verdict)?,
            sentence: message.sentence,
            key: message.key,
            value: message.value,
            pattern: message.pattern,
            slots_used: narrow("/slots_used", message.slots_used)?,
            slots: narrow("/slots", message.slots)?,
            last_seen_at: instant("/last_seen_at", message.last_seen_at)?,
        })
    }
}

impl From<VerdictCount> for pb::VerdictCount {
    fn from(count: VerdictCount) -> Self {
        Self { verdict: count.verdict.text().to_owned(), key: count.key, runners: count.runners }
    }
}

impl TryFrom<pb::VerdictCount> for VerdictCount {
    type Error = Invalid;
    fn try_from(message: pb::VerdictCount) -> Result<Self, Invalid> {
        Ok(Self { verdict: read("/verdict", &message.verdict)?, key: message.key, runners: message.runners })
    }
}

impl From<Waiting> for pb::Waiting {
    fn from(waiting: Waiting) -> Self {
        Self {
            since: Some(time(waiting.since)),
            deadline: waiting.deadline.map(time),
            ahead: waiting.ahead.map(Into::into),
            counts: waiting.counts.into_iter().map(Into::into).collect(),
            runners: waiting.runners.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::Waiting> for Waiting {
    type Error = Invalid;
    fn try_from(message: pb::Waiting) -> Result<Self, Invalid> {
        Ok(Self {
            since: instant("/since", message.since)?,
            deadline: optional_instant("/deadline", message.deadline)?,
            ahead: message.ahead.map(|ahead| part("/ahead", ahead)).transpose()?,
            counts: parts("/counts", message.counts)?,
            runners: parts("/runners", message.runners)?,
        })
    }
}

impl From<LeaseStory> for pb::LeaseStory {
    fn from(lease: LeaseStory) -> Self {
        Self {
            runner_id: lease.runner_id.to_string(),
            runner_name: lease.runner_name,
            attempt: lease.attempt.into(),
            leased_at: Some(time(lease.leased_at)),
            started_at: lease.started_at.map(time),
            expires_at: Some(time(lease.expires_at)),
            hard_deadline: lease.hard_deadline.map(time),
            cancel_requested_at: lease.cancel_requested_at.map(time),
        }
    }
}

impl TryFrom<pb::LeaseStory> for LeaseStory {
    type Error = Invalid;
    fn try_from(message: pb::LeaseStory) -> Result<Self, Invalid> {
        Ok(Self {
            runner_id: id("/runner_id", &message.runner_id)?,
            runner_name: message.runner_name,
            attempt: narrow("/attempt", message.attempt)?,
            leased_at: instant("/leased_at", message.leased_at)?,
            started_at: optional_instant("/started_at", message.started_at)?,
            expires_at: instant("/expires_at", message.expires_at)?,
            hard_deadline: optional_instant("/hard_deadline", message.hard_deadline)?,
            cancel_requested_at: optional_instant("/cancel_requested_at", message.cancel_requested_at)?,
        })
    }
}

impl From<AttemptStory> for pb::AttemptStory {
    fn from(story: AttemptStory) -> Self {
        Self {
            attempt: story.attempt.into(),
            runner_name: story.runner_name,
            result: optional_number(story.result),
            reason: write_optional(story.reason),
            sentence: story.sentence,
        }
    }
}

impl TryFrom<pb::AttemptStory> for AttemptStory {
    type Error = Invalid;
    fn try_from(message: pb::AttemptStory) -> Result<Self, Invalid> {
        Ok(Self {
            attempt: narrow("/attempt", message.attempt)?,
            runner_name: message.runner_name,
            result: word("/result", message.result)?,
            reason: read_optional("/reason", &message.reason)?,
            sentence: message.sentence,
        })
    }
}

impl From<Explanation> for pb::ExplainRunResponse {
    fn from(explanation: Explanation) -> Self {
        Self {
            run_id: explanation.run_id.to_string(),
            namespace: explanation.namespace.to_string(),
            test_name: explanation.test_name,
            labels: map(explanation.labels),
            state: number(explanation.state),
            as_of: Some(time(explanation.as_of)),
            summary: explanation.summary,
            reasons: explanation.reasons.into_iter().map(Into::into).collect(),
            waiting: explanation.waiting.map(Into::into),
            lease: explanation.lease.map(Into::into),
            result: optional_number(explanation.result),
            reason: write_optional(explanation.reason),
            message: explanation.message.unwrap_or_default(),
            attempts: explanation.attempts.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::ExplainRunResponse> for Explanation {
    type Error = Invalid;
    fn try_from(message: pb::ExplainRunResponse) -> Result<Self, Invalid> {
        Ok(Self {
            run_id: id("/run_id", &message.run_id)?,
            namespace: namespace("/namespace", &message.namespace)?,
            test_name: message.test_name,
            labels: labels(message.labels),
            state: required("/state", word("/state", message.state)?)?,
            as_of: instant("/as_of", message.as_of)?,
            summary: message.summary,
            reasons: parts("/reasons", message.reasons)?,
            waiting: message.waiting.map(|waiting| part("/waiting", waiting)).transpose()?,
            lease: message.lease.map(|lease| part("/lease", lease)).transpose()?,
            result: word("/result", message.result)?,
            reason: read_optional("/reason", &message.reason)?,
            message: text(message.message),
            attempts: parts("/attempts", message.attempts)?,
        })
    }
}

impl From<PriorityDepth> for pb::PriorityDepth {
    fn from(depth: PriorityDepth) -> Self {
        Self { priority: number(depth.priority), depth: Some(depth.depth.into()), oldest: Some(time(depth.oldest)) }
    }
}

impl TryFrom<pb::PriorityDepth> for PriorityDepth {
    type Error = Invalid;
    fn try_from(message: pb::PriorityDepth) -> Result<Self, Invalid> {
        Ok(Self {
            priority: word("/priority", message.priority)?.unwrap_or_default(),
            depth: required_part("/depth", message.depth)?,
            oldest: instant("/oldest", message.oldest)?,
        })
    }
}

impl From<QueueClass> for pb::QueueClass {
    fn from(class: QueueClass) -> Self {
        Self {
            labels: map(class.labels),
            depth: Some(class.depth.into()),
            priorities: class.priorities.into_iter().map(Into::into).collect(),
            oldest: class.oldest.map(time),
            delayed: Some(class.delayed.into()),
            next_due: class.next_due.map(time),
            gated: Some(class.gated.into()),
            live_runners: class.live_runners,
            known_runners: class.known_runners,
            stranded: class.stranded.map(Into::into),
        }
    }
}

impl TryFrom<pb::QueueClass> for QueueClass {
    type Error = Invalid;
    fn try_from(message: pb::QueueClass) -> Result<Self, Invalid> {
        Ok(Self {
            labels: labels(message.labels),
            depth: required_part("/depth", message.depth)?,
            priorities: parts("/priorities", message.priorities)?,
            oldest: optional_instant("/oldest", message.oldest)?,
            delayed: required_part("/delayed", message.delayed)?,
            next_due: optional_instant("/next_due", message.next_due)?,
            // A server that is older says nothing of gates.
            gated: message.gated.map(|gated| part("/gated", gated)).transpose()?.unwrap_or_default(),
            live_runners: message.live_runners,
            known_runners: message.known_runners,
            stranded: message.stranded.map(|stranded| part("/stranded", stranded)).transpose()?,
        })
    }
}

impl From<Page<QueueClass>> for pb::ListQueueResponse {
    fn from(page: Page<QueueClass>) -> Self {
        Self {
            classes: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}
