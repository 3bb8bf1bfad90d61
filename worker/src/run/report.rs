//! Tells the API how an attempt ended, with the rest of its log.
//!
//! A result is never withheld because of a log: what cannot be handed over in two minutes, or before the API would end
//! the run for taking too long, is given up, and the log says that it is incomplete.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{error, info, warn};
use tstr_shared::error::ErrorCode;
use tstr_shared::lease::Fence;
use tstr_shared::logs::{LogOffsets, LogSeal};
use tstr_shared::run::{Outcome, Reason};

use super::Shared;
use super::logs::{Recorder, SpoolKeeper, SpoolReader, Uploader, empty_seal};
use crate::control::{Backoff, ControlError, Release};
use crate::lease::Lease;

/// How long the rest of a log may take.
const HANDOVER: Duration = Duration::from_secs(120);
/// How long it may take when the attempt is lost, and somebody waits to repeat it.
const HANDOVER_OF_A_LOSS: Duration = Duration::from_secs(10);
/// How long reporting may take once the worker is told to stop at once.
const LAST_WORDS: Duration = Duration::from_secs(15);
/// How often the API is told that bytes are lost before it is left alone with its wish.
const STUBBORN: u32 = 10;
/// The longest sentence that the API takes, in bytes.
const MAX_MESSAGE: usize = 4096;
/// How long before the API itself ends the run its end must be reported.
const BEFORE_BACKSTOP: Duration = Duration::from_secs(15);
/// An answer this fast comes from an API that was there all along.
const PROMPT: Duration = Duration::from_secs(10);

/// The log of an attempt, from the side of its upload.
pub(crate) struct Log {
    seal: LogSeal,
    upload: Option<Upload>,
    /// The spool stays until the end is reported.
    keeper: Option<SpoolKeeper>,
    /// When the rest of the log is given up so that the result still counts.
    report_by: Option<Instant>,
    /// When the API was first told, or may have been, that artifacts are being collected.
    collecting_at: Option<Instant>,
}

/// An upload at work, or at rest.
enum Upload {
    Working(JoinHandle<Uploader>),
    Resting(Box<Uploader>),
}

impl Log {
    /// Starts to upload what is spooled.
    pub(crate) fn open(shared: &Shared, fence: Fence, reader: Option<SpoolReader>) -> Self {
        let upload = reader.map(|reader| {
            let mut uploader = Uploader::new(shared.control.clone(), fence, reader);
            let listener = shared.listener();
            Upload::Working(shared.tracker.spawn(async move {
                if let Err(error) = uploader.send_all().await {
                    listener.heard(fence, &error);
                }
                uploader
            }))
        });
        Self {
            seal: LogSeal { incomplete: true, ..empty_seal() },
            upload,
            keeper: None,
            report_by: None,
            collecting_at: None,
        }
    }

    /// Sets when the API ends the run by itself (T11).
    pub(crate) fn backstop_at(&mut self, at: Instant) {
        self.report_by = at.checked_sub(BEFORE_BACKSTOP);
    }

    /// Notes that the API is told now that artifacts are being collected; returns when that was so first, from which on it
    /// counts.
    pub(crate) fn tell_collecting(&mut self) -> Instant {
        *self.collecting_at.get_or_insert_with(Instant::now)
    }

    /// Notes that the API does not end the run by itself before this.
    pub(crate) fn backstop_not_before(&mut self, at: Instant) {
        let by = at.checked_sub(BEFORE_BACKSTOP);
        self.report_by = self.report_by.map(|known| by.map_or(known, |by| by.max(known)));
    }

    /// Returns an instant, or when the end must be reported if that is sooner.
    pub(crate) fn at_most(&self, at: Instant) -> Instant {
        self.report_by.map_or(at, |by| by.min(at))
    }

    /// Ends the log; without a recorder all that is known is that it is incomplete.
    pub(crate) async fn seal(&mut self, recorder: Option<Recorder>) {
        if let Some(recorder) = recorder {
            (self.seal, self.keeper) = recorder.seal().await;
        }
    }

    /// Waits until everything is handed over or given up.
    async fn handed_over(&mut self) {
        let Some(Upload::Working(task)) = &mut self.upload else { return };
        let finished = task.await;
        match finished {
            Ok(uploader) => {
                self.seal.incomplete |= uploader.gave_up();
                self.upload = Some(Upload::Resting(Box::new(uploader)));
            }
            Err(fault) => {
                error!(error = %fault, "uploading a log failed: {fault}");
                self.seal.incomplete = true;
                self.upload = None;
            }
        }
    }

    /// Sends again from where the server misses bytes.
    async fn send_again(&mut self, missing: LogOffsets) -> Result<(), ControlError> {
        self.handed_over().await;
        let Some(Upload::Resting(uploader)) = &mut self.upload else {
            self.seal.incomplete = true;
            return Ok(());
        };
        uploader.go_to(missing).await;
        let sent = uploader.send_all().await;
        self.seal.incomplete |= uploader.gave_up();
        sent
    }

    fn give_up(&mut self) {
        self.seal.incomplete = true;
        if let Some(Upload::Working(task)) = self.upload.take() {
            task.abort();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // Of an attempt that is not reported; the upload would only be refused.
        if let Some(Upload::Working(task)) = &self.upload {
            task.abort();
        }
        drop(self.keeper.take());
    }
}

/// Reports the end of one attempt.
pub(crate) struct Report<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) lease: &'a Lease,
}

impl Report<'_> {
    /// Records the outcome (T5). A server that knows of no reports takes only the one that the container's end says, `plain`.
    pub(crate) async fn finish(&self, mut outcome: Outcome, mut plain: Outcome, log: Option<Log>) {
        outcome.message = outcome.message.as_deref().map(presentable);
        plain.message = plain.message.as_deref().map(presentable);
        let run = self.lease.fence().run_id;
        match self.unless_stopped(self.try_finish(outcome.clone(), &plain, log)).await {
            Some(Ok(())) => info!(run.id = %run, result = %outcome.result, "run {run} is reported: {}", outcome.result),
            Some(Err(error)) => self.not_reported(&error),
            None => warn!(run.id = %run, "the worker stops before the end of run {run} is reported"),
        }
    }

    /// Gives the lease back (T6, and with a reason T7).
    pub(crate) async fn release(&self, reason: Option<Reason>, message: String, log: Option<Log>) {
        let message = presentable(&message);
        let run = self.lease.fence().run_id;
        let released = async {
            let mut seal = empty_seal();
            if let Some(mut log) = log {
                if reason.is_some() && tokio::time::timeout(HANDOVER_OF_A_LOSS, log.handed_over()).await.is_err() {
                    log.give_up();
                }
                seal = log.seal.clone();
            }
            self.shared.control.release(self.lease.fence(), &Release { reason, message, seal }).await
        };
        match self.unless_stopped(released).await {
            Some(Ok(())) => {}
            Some(Err(error)) => self.not_reported(&error),
            None => warn!(run.id = %run, "the worker stops before run {run} is given back"),
        }
    }

    async fn try_finish(&self, mut outcome: Outcome, plain: &Outcome, log: Option<Log>) -> Result<(), ControlError> {
        let fence = self.lease.fence();
        let Some(mut log) = log else {
            return self.shared.control.finish(fence, &outcome, &empty_seal()).await.map(|_| ());
        };
        let by = log.at_most(Instant::now() + HANDOVER);
        let late = tokio::time::timeout_at(by, log.handed_over()).await.is_err();
        let (mut until, mut patience) = (None, Backoff::default());
        loop {
            let asked = Instant::now();
            let missing = match self.shared.control.finish(fence, &outcome, &log.seal).await {
                Err(ControlError::Refused { code: Some(ErrorCode::Invalid), message })
                    if outcome.result != plain.result =>
                {
                    let run = fence.run_id;
                    warn!(run.id = %run, "the server does not take what the reports make of run {run}: {message}");
                    outcome = plain.clone();
                    continue;
                }
                answer => answer?,
            };
            let Some(missing) = missing else { return Ok(()) };
            if log.seal.incomplete {
                // It was told not to wait for these bytes.
                if patience.tries() == STUBBORN {
                    let message = "it waits for log bytes that it was told are lost".to_owned();
                    return Err(ControlError::Refused { code: None, message });
                }
                patience.wait().await;
            }
            // The two minutes are those in which the API was there: its absence takes nothing from the log.
            let was_there = late && asked.elapsed() < PROMPT;
            let until = *until.get_or_insert(if was_there { asked } else { Instant::now() + HANDOVER });
            let until = log.at_most(until);
            match tokio::time::timeout_at(until, log.send_again(missing)).await {
                Ok(sent) => sent?,
                Err(_) => {
                    let run = fence.run_id;
                    warn!(run.id = %run, "the log of run {run} could not be handed over in time and will be incomplete");
                    log.give_up();
                }
            }
        }
    }

    /// Does something, for a little while only once the worker is told to stop at once.
    async fn unless_stopped<T>(&self, step: impl Future<Output = T>) -> Option<T> {
        let too_late = async {
            self.shared.stops.stopping().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            biased;
            done = step => Some(done),
            () = too_late => None,
        }
    }

    fn not_reported(&self, error: &ControlError) {
        let run = self.lease.fence().run_id;
        match error {
            ControlError::LeaseLost(why) => {
                warn!(run.id = %run, "the end of run {run} is not wanted, the lease is lost: {why}");
            }
            ControlError::Unauthenticated(_) => self.shared.refuse(error),
            ControlError::Refused { .. } | ControlError::Unavailable(_) => {
                error!(run.id = %run, error = %error, "the end of run {run} is not taken: {error}");
            }
        }
    }
}

/// Returns a sentence as the API takes it. It may hold an engine's words or a container's, of any length and with any
/// bytes; a result is not withheld for them.
fn presentable(message: &str) -> String {
    let clean = |c: char| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
    let mut text: String = message.chars().map(clean).collect();
    if text.len() > MAX_MESSAGE {
        text.truncate(text.floor_char_boundary(MAX_MESSAGE - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_is_too_long_or_unprintable_for_the_api() {
        assert_eq!(presentable("plain, größer\nsecond line"), "plain, größer\nsecond line");
        assert_eq!(presentable("a\0b\x1b[31m"), "a\u{fffd}b\u{fffd}[31m");
        let long = presentable(&"ü\0".repeat(5000));
        assert!(long.len() <= MAX_MESSAGE && long.ends_with('…'), "{}", long.len());
    }
}
