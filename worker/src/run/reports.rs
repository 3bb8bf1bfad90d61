//! What the test reports of an attempt make of its outcome: the API reads them among the artifacts, and says.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};
use tstr_shared::artifacts::ReportMode;
use tstr_shared::lease::LeasedRun;
use tstr_shared::run::{Outcome, Reason, RunResult};

use super::Shared;
use super::report::Log;
use crate::control::ControlError;
use crate::lease::{Lease, Signal};

/// How long reading them may take.
const READING: Duration = Duration::from_secs(240);

/// Returns the outcome that is to be reported. Without an answer it is what the container's end says, unless a report is
/// required: then nobody knows what was tested.
pub(super) async fn ruled(
    shared: &Shared,
    run: &LeasedRun,
    lease: &Lease,
    outcome: Outcome,
    may_have_reports: bool,
    log: Option<&Log>,
) -> Outcome {
    let is_required = run.report == ReportMode::Required;
    if !may_have_reports && !is_required {
        return outcome;
    }
    let fence = lease.fence();
    let until = Instant::now() + READING;
    let until = log.map_or(until, |log| log.at_most(until));
    let said = tokio::select! {
        biased;
        said = shared.control.read_reports(fence, &outcome) => said,
        _ = lease.graver_than(Signal::Cancel) => return outcome,
        () = shared.stops.stopping() => Err(ControlError::Unavailable("the worker was stopped".into())),
        () = tokio::time::sleep_until(until) => Err(ControlError::Unavailable("it took too long".into())),
    };
    let id = fence.run_id;
    match said {
        Ok(ruled) => {
            if ruled.result != outcome.result {
                let why = ruled.message.as_deref().unwrap_or_default();
                info!(run.id = %id, result = %ruled.result, "run {id} counts as {} by its reports: {why}", ruled.result);
            }
            Outcome { image_digest: outcome.image_digest, ..ruled }
        }
        Err(error) => {
            warn!(run.id = %id, error = %error, "the reports of run {id} are not read: {error}");
            shared.listener().heard(fence, &error);
            match outcome.result {
                RunResult::Pass | RunResult::Fail if is_required => Outcome {
                    result: RunResult::Error,
                    reason: Some(Reason::ReportInvalid),
                    message: Some(format!("a report is required, and none could be read: {error}")),
                    ..outcome
                },
                // People see it on the run as well.
                _ => {
                    let message = outcome.message.unwrap_or_else(|| format!("its reports were not read: {error}"));
                    Outcome { message: Some(message), ..outcome }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
