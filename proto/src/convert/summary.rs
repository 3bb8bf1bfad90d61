//! Summaries.

use tstr_shared::error::Invalid;
use tstr_shared::summary::{
    Figures, RebuildSummary, Rebuilt, RunCounts, Spread, Summary, SummaryFilter, SummaryInterval, SummaryLabel,
    SummaryRunner, SummaryTest,
};

use super::run::optional_number;
use super::{id, instant, narrow, number, optional_instant, part, parts, required, required_part, text, time, word};
use crate::v1 as pb;

/// The request without its namespace, which stands beside the filter.
impl From<SummaryFilter> for pb::GetSummaryRequest {
    fn from(filter: SummaryFilter) -> Self {
        Self {
            namespace: String::new(),
            scheduled_after: filter.scheduled_after.map(time),
            scheduled_before: filter.scheduled_before.map(time),
            interval: optional_number(filter.interval),
            test: filter.test.unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::GetSummaryRequest> for SummaryFilter {
    type Error = Invalid;
    fn try_from(message: pb::GetSummaryRequest) -> Result<Self, Invalid> {
        Ok(Self {
            scheduled_after: optional_instant("/scheduled_after", message.scheduled_after)?,
            scheduled_before: optional_instant("/scheduled_before", message.scheduled_before)?,
            interval: word("/interval", message.interval)?,
            test: text(message.test),
        })
    }
}

impl From<RunCounts> for pb::RunCounts {
    fn from(counts: RunCounts) -> Self {
        let RunCounts { runs, pass, fail, error, timed_out, cancelled, flaky, attempts } = counts;
        Self { runs, pass, fail, error, timed_out, cancelled, flaky, attempts }
    }
}

impl TryFrom<pb::RunCounts> for RunCounts {
    type Error = Invalid;
    fn try_from(message: pb::RunCounts) -> Result<Self, Invalid> {
        let pb::RunCounts { runs, pass, fail, error, timed_out, cancelled, flaky, attempts } = message;
        Ok(Self { runs, pass, fail, error, timed_out, cancelled, flaky, attempts })
    }
}

impl From<Spread> for pb::Spread {
    fn from(spread: Spread) -> Self {
        let Spread { count, mean_ms, p50_ms, p95_ms } = spread;
        Self { count, mean_ms, p50_ms, p95_ms }
    }
}

impl TryFrom<pb::Spread> for Spread {
    type Error = Invalid;
    fn try_from(message: pb::Spread) -> Result<Self, Invalid> {
        let pb::Spread { count, mean_ms, p50_ms, p95_ms } = message;
        Ok(Self { count, mean_ms, p50_ms, p95_ms })
    }
}

impl From<Figures> for pb::Figures {
    fn from(figures: Figures) -> Self {
        Self {
            counts: Some(figures.counts.into()),
            wait: figures.wait.map(Into::into),
            duration: figures.duration.map(Into::into),
        }
    }
}

impl TryFrom<pb::Figures> for Figures {
    type Error = Invalid;
    fn try_from(message: pb::Figures) -> Result<Self, Invalid> {
        Ok(Self {
            counts: required_part("/counts", message.counts)?,
            wait: message.wait.map(|wait| part("/wait", wait)).transpose()?,
            duration: message.duration.map(|duration| part("/duration", duration)).transpose()?,
        })
    }
}

impl From<SummaryInterval> for pb::SummaryInterval {
    fn from(interval: SummaryInterval) -> Self {
        Self { start: Some(time(interval.start)), figures: Some(interval.figures.into()) }
    }
}

impl TryFrom<pb::SummaryInterval> for SummaryInterval {
    type Error = Invalid;
    fn try_from(message: pb::SummaryInterval) -> Result<Self, Invalid> {
        Ok(Self { start: instant("/start", message.start)?, figures: required_part("/figures", message.figures)? })
    }
}

impl From<SummaryTest> for pb::SummaryTest {
    fn from(test: SummaryTest) -> Self {
        Self { test_id: test.test_id.to_string(), test_name: test.test_name, figures: Some(test.figures.into()) }
    }
}

impl TryFrom<pb::SummaryTest> for SummaryTest {
    type Error = Invalid;
    fn try_from(message: pb::SummaryTest) -> Result<Self, Invalid> {
        Ok(Self {
            test_id: id("/test_id", &message.test_id)?,
            test_name: message.test_name,
            figures: required_part("/figures", message.figures)?,
        })
    }
}

impl From<SummaryRunner> for pb::SummaryRunner {
    fn from(runner: SummaryRunner) -> Self {
        Self {
            runner_id: runner.runner_id.to_string(),
            runner_name: runner.runner_name,
            slots: runner.slots.into(),
            counts: Some(runner.counts.into()),
            busy_ms: runner.busy_ms,
            utilisation: runner.utilisation,
        }
    }
}

impl TryFrom<pb::SummaryRunner> for SummaryRunner {
    type Error = Invalid;
    fn try_from(message: pb::SummaryRunner) -> Result<Self, Invalid> {
        Ok(Self {
            runner_id: id("/runner_id", &message.runner_id)?,
            runner_name: message.runner_name,
            slots: narrow("/slots", message.slots)?,
            counts: required_part("/counts", message.counts)?,
            busy_ms: message.busy_ms,
            utilisation: message.utilisation,
        })
    }
}

impl From<SummaryLabel> for pb::SummaryLabel {
    fn from(label: SummaryLabel) -> Self {
        Self { key: label.key, value: label.value, counts: Some(label.counts.into()) }
    }
}

impl TryFrom<pb::SummaryLabel> for SummaryLabel {
    type Error = Invalid;
    fn try_from(message: pb::SummaryLabel) -> Result<Self, Invalid> {
        Ok(Self { key: message.key, value: message.value, counts: required_part("/counts", message.counts)? })
    }
}

impl From<Summary> for pb::GetSummaryResponse {
    fn from(summary: Summary) -> Self {
        Self {
            interval: number(summary.interval),
            from: Some(time(summary.from)),
            to: Some(time(summary.to)),
            as_of: Some(time(summary.as_of)),
            is_current: summary.is_current,
            totals: Some(summary.totals.into()),
            intervals: summary.intervals.into_iter().map(Into::into).collect(),
            tests: summary.tests.into_iter().map(Into::into).collect(),
            tests_more: summary.tests_more,
            runners: summary.runners.into_iter().map(Into::into).collect(),
            runners_more: summary.runners_more,
            labels: summary.labels.into_iter().map(Into::into).collect(),
            labels_more: summary.labels_more,
        }
    }
}

impl TryFrom<pb::GetSummaryResponse> for Summary {
    type Error = Invalid;
    fn try_from(message: pb::GetSummaryResponse) -> Result<Self, Invalid> {
        Ok(Self {
            interval: required("/interval", word("/interval", message.interval)?)?,
            from: instant("/from", message.from)?,
            to: instant("/to", message.to)?,
            as_of: instant("/as_of", message.as_of)?,
            is_current: message.is_current,
            totals: required_part("/totals", message.totals)?,
            intervals: parts("/intervals", message.intervals)?,
            tests: parts("/tests", message.tests)?,
            tests_more: message.tests_more,
            runners: parts("/runners", message.runners)?,
            runners_more: message.runners_more,
            labels: parts("/labels", message.labels)?,
            labels_more: message.labels_more,
        })
    }
}

impl TryFrom<pb::RebuildSummaryRequest> for RebuildSummary {
    type Error = Invalid;
    fn try_from(message: pb::RebuildSummaryRequest) -> Result<Self, Invalid> {
        Ok(Self { from: optional_instant("/from", message.from)? })
    }
}

impl From<Rebuilt> for pb::RebuildSummaryResponse {
    fn from(rebuilt: Rebuilt) -> Self {
        Self { days: rebuilt.days, runs: rebuilt.runs, next: rebuilt.next.map(time) }
    }
}

impl TryFrom<pb::RebuildSummaryResponse> for Rebuilt {
    type Error = Invalid;
    fn try_from(message: pb::RebuildSummaryResponse) -> Result<Self, Invalid> {
        Ok(Self { days: message.days, runs: message.runs, next: optional_instant("/next", message.next)? })
    }
}
