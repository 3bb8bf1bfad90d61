//! Runs, their attempts and events, and the requests that make or find them.

use tstr_shared::error::Invalid;
use tstr_shared::page::Page;
use tstr_shared::run::{
    Attempt, KeepRun, Kept, Outcome, Retried, RetriedMatrix, Run, RunEvent, RunFilter, TriggerRun, Triggered,
};

use super::artifacts::summary;
use super::output::{data, data_text};
use super::words::{Text, read, read_optional, write_optional};
use super::{
    Word, id, instant, labels, map, namespace, narrow, number, optional_id, optional_instant, parts, required,
    required_part, text, time, word,
};
use crate::v1 as pb;

/// Makes the number of a value that may be absent: UNSPECIFIED.
pub(super) fn optional_number<D: Word>(value: Option<D>) -> i32 {
    value.map_or(0, number)
}

impl From<Attempt> for pb::Attempt {
    fn from(attempt: Attempt) -> Self {
        Self {
            attempt: attempt.attempt.into(),
            runner_id: attempt.runner_id.to_string(),
            runner_name: attempt.runner_name,
            leased_at: Some(time(attempt.leased_at)),
            started_at: attempt.started_at.map(time),
            ended_at: attempt.ended_at.map(time),
            result: optional_number(attempt.result),
            reason: write_optional(attempt.reason),
            message: attempt.message.unwrap_or_default(),
            exit_code: attempt.exit_code,
            image_digest: attempt.image_digest.unwrap_or_default(),
            log: Some(attempt.log.into()),
            artifacts: Some(attempt.artifacts.into()),
        }
    }
}

impl TryFrom<pb::Attempt> for Attempt {
    type Error = Invalid;
    fn try_from(message: pb::Attempt) -> Result<Self, Invalid> {
        Ok(Self {
            attempt: narrow("/attempt", message.attempt)?,
            runner_id: id("/runner_id", &message.runner_id)?,
            runner_name: message.runner_name,
            leased_at: instant("/leased_at", message.leased_at)?,
            started_at: optional_instant("/started_at", message.started_at)?,
            ended_at: optional_instant("/ended_at", message.ended_at)?,
            result: word("/result", message.result)?,
            reason: read_optional("/reason", &message.reason)?,
            message: text(message.message),
            exit_code: message.exit_code,
            image_digest: text(message.image_digest),
            log: required_part("/log", message.log)?,
            artifacts: summary(message.artifacts)?,
        })
    }
}

impl From<Run> for pb::Run {
    fn from(run: Run) -> Self {
        Self {
            id: run.id.to_string(),
            namespace: run.namespace.to_string(),
            test_id: run.test_id.to_string(),
            test_name: run.test_name,
            matrix_id: run.matrix_id.to_string(),
            cell: map(run.cell),
            labels: map(run.labels),
            annotations: map(run.annotations),
            run_config: Some(run.run_config.into()),
            state: number(run.state),
            result: optional_number(run.result),
            reason: write_optional(run.reason),
            message: run.message.unwrap_or_default(),
            exit_code: run.exit_code,
            flaky: run.flaky,
            cancel_requested: run.cancel_requested,
            attempt: run.attempt.into(),
            attempts: run.attempts.into_iter().map(Into::into).collect(),
            runner_id: run.runner_id.map(|id| id.to_string()).unwrap_or_default(),
            runner_name: run.runner_name.unwrap_or_default(),
            image_digest: run.image_digest.unwrap_or_default(),
            priority: number(run.priority),
            trigger: run.trigger.text().to_owned(),
            scheduled_at: Some(time(run.scheduled_at)),
            created_at: Some(time(run.created_at)),
            leased_at: run.leased_at.map(time),
            started_at: run.started_at.map(time),
            finished_at: run.finished_at.map(time),
            log: Some(run.log.into()),
            artifacts: Some(run.artifacts.into()),
            cases: run.cases.map(Into::into),
            result_data: data_text(run.result_data),
            output_notes: run.output_notes.into_iter().map(Into::into).collect(),
            kept: run.kept.map(Into::into),
        }
    }
}

impl TryFrom<pb::Run> for Run {
    type Error = Invalid;
    fn try_from(message: pb::Run) -> Result<Self, Invalid> {
        Ok(Self {
            id: id("/id", &message.id)?,
            namespace: namespace("/namespace", &message.namespace)?,
            test_id: id("/test_id", &message.test_id)?,
            test_name: message.test_name,
            matrix_id: id("/matrix_id", &message.matrix_id)?,
            cell: labels(message.cell),
            labels: labels(message.labels),
            annotations: labels(message.annotations),
            run_config: required_part("/run_config", message.run_config)?,
            state: required("/state", word("/state", message.state)?)?,
            result: word("/result", message.result)?,
            reason: read_optional("/reason", &message.reason)?,
            message: text(message.message),
            exit_code: message.exit_code,
            flaky: message.flaky,
            cancel_requested: message.cancel_requested,
            attempt: narrow("/attempt", message.attempt)?,
            attempts: parts("/attempts", message.attempts)?,
            runner_id: optional_id("/runner_id", &message.runner_id)?,
            runner_name: text(message.runner_name),
            image_digest: text(message.image_digest),
            priority: word("/priority", message.priority)?.unwrap_or_default(),
            trigger: read("/trigger", &message.trigger)?,
            scheduled_at: instant("/scheduled_at", message.scheduled_at)?,
            created_at: instant("/created_at", message.created_at)?,
            leased_at: optional_instant("/leased_at", message.leased_at)?,
            started_at: optional_instant("/started_at", message.started_at)?,
            finished_at: optional_instant("/finished_at", message.finished_at)?,
            log: required_part("/log", message.log)?,
            artifacts: summary(message.artifacts)?,
            cases: message.cases.map(Into::into),
            result_data: data("/result_data", &message.result_data)?,
            output_notes: parts("/output_notes", message.output_notes)?,
            kept: message.kept.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<Kept> for pb::Kept {
    fn from(kept: Kept) -> Self {
        Self { at: Some(time(kept.at)), by: kept.by, note: kept.note.unwrap_or_default() }
    }
}

impl TryFrom<pb::Kept> for Kept {
    type Error = Invalid;
    fn try_from(message: pb::Kept) -> Result<Self, Invalid> {
        Ok(Self { at: instant("/kept/at", message.at)?, by: message.by, note: text(message.note) })
    }
}

/// Reads what the run is kept for; the run is left to the caller.
impl From<pb::KeepRunRequest> for KeepRun {
    fn from(message: pb::KeepRunRequest) -> Self {
        Self { note: message.note }
    }
}

impl From<RunEvent> for pb::RunEvent {
    fn from(event: RunEvent) -> Self {
        Self {
            id: event.id,
            at: Some(time(event.at)),
            from: optional_number(event.from),
            to: number(event.to),
            attempt: event.attempt.into(),
            result: optional_number(event.result),
            reason: write_optional(event.reason),
            actor: event.actor,
        }
    }
}

impl TryFrom<pb::RunEvent> for RunEvent {
    type Error = Invalid;
    fn try_from(message: pb::RunEvent) -> Result<Self, Invalid> {
        Ok(Self {
            id: message.id,
            at: instant("/at", message.at)?,
            from: word("/from", message.from)?,
            to: required("/to", word("/to", message.to)?)?,
            attempt: narrow("/attempt", message.attempt)?,
            result: word("/result", message.result)?,
            reason: read_optional("/reason", &message.reason)?,
            actor: message.actor,
        })
    }
}

impl From<Outcome> for pb::Outcome {
    fn from(outcome: Outcome) -> Self {
        Self {
            result: number(outcome.result),
            reason: write_optional(outcome.reason),
            message: outcome.message.unwrap_or_default(),
            exit_code: outcome.exit_code,
            image_digest: outcome.image_digest.unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::Outcome> for Outcome {
    type Error = Invalid;
    fn try_from(message: pb::Outcome) -> Result<Self, Invalid> {
        Ok(Self {
            result: required("/result", word("/result", message.result)?)?,
            reason: read_optional("/reason", &message.reason)?,
            message: text(message.message),
            exit_code: message.exit_code,
            image_digest: text(message.image_digest),
        })
    }
}

/// Reads the part of the request that says what to run; namespace, test and idempotency key are left to the caller.
impl TryFrom<pb::TriggerRunRequest> for TriggerRun {
    type Error = Invalid;
    fn try_from(message: pb::TriggerRunRequest) -> Result<Self, Invalid> {
        Ok(Self {
            labels: labels(message.labels),
            env: labels(message.env),
            matrix: labels(message.matrix),
            // Not the default: without it the test's own priority holds.
            priority: word("/priority", message.priority)?,
            not_before: optional_instant("/not_before", message.not_before)?,
        })
    }
}

impl From<Triggered> for pb::TriggerRunResponse {
    fn from(triggered: Triggered) -> Self {
        Self { matrix_id: triggered.matrix_id.to_string(), runs: triggered.runs.into_iter().map(Into::into).collect() }
    }
}

impl From<Retried> for pb::RetryRunResponse {
    fn from(retried: Retried) -> Self {
        Self { run: Some(retried.run.into()), warnings: retried.warnings }
    }
}

impl TryFrom<pb::RetryRunResponse> for Retried {
    type Error = Invalid;
    fn try_from(message: pb::RetryRunResponse) -> Result<Self, Invalid> {
        Ok(Self { run: required_part("/run", message.run)?, warnings: message.warnings })
    }
}

impl From<RetriedMatrix> for pb::RetryMatrixResponse {
    fn from(retried: RetriedMatrix) -> Self {
        let RetriedMatrix { made: Triggered { matrix_id, runs }, warnings } = retried;
        Self { matrix_id: matrix_id.to_string(), runs: runs.into_iter().map(Into::into).collect(), warnings }
    }
}

impl TryFrom<pb::RetryMatrixResponse> for RetriedMatrix {
    type Error = Invalid;
    fn try_from(message: pb::RetryMatrixResponse) -> Result<Self, Invalid> {
        let (matrix_id, runs) = (id("/matrix_id", &message.matrix_id)?, parts("/runs", message.runs)?);
        Ok(Self { made: Triggered { matrix_id, runs }, warnings: message.warnings })
    }
}

/// Reads the conditions of a list; namespace and page are left to the caller.
impl TryFrom<pb::ListRunsRequest> for RunFilter {
    type Error = Invalid;
    fn try_from(message: pb::ListRunsRequest) -> Result<Self, Invalid> {
        Ok(Self {
            test: text(message.test),
            runner: optional_id("/runner_id", &message.runner_id)?,
            states: numbers("/states", message.states)?,
            results: numbers("/results", message.results)?,
            labels: labels(message.labels),
            matrix_id: optional_id("/matrix_id", &message.matrix_id)?,
            kept: message.kept,
            scheduled_after: optional_instant("/scheduled_after", message.scheduled_after)?,
            scheduled_before: optional_instant("/scheduled_before", message.scheduled_before)?,
            started_after: optional_instant("/started_after", message.started_after)?,
            started_before: optional_instant("/started_before", message.started_before)?,
            finished_after: optional_instant("/finished_after", message.finished_after)?,
            finished_before: optional_instant("/finished_before", message.finished_before)?,
        })
    }
}

/// Reads the numbers at `place`, none of which may be UNSPECIFIED.
pub(super) fn numbers<D: Word>(place: &str, numbers: Vec<i32>) -> Result<Vec<D>, Invalid> {
    let read = |(i, number)| {
        let place = format!("{place}/{i}");
        required(&place, word(&place, number)?)
    };
    numbers.into_iter().enumerate().map(read).collect()
}

impl From<Page<Run>> for pb::ListRunsResponse {
    fn from(page: Page<Run>) -> Self {
        Self {
            runs: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}
