//! What an attempt says about itself: three files, read from its container when it has ended, and the records that were
//! found in its output while it ran; put together and handed over to the API.
//!
//! A result is never withheld because of it: what cannot be read or handed over in time is given up.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;
use tokio_tar::EntryType;
use tokio_util::io::StreamReader;
use tracing::{error, info, warn};
use tstr_shared::lease::Fence;
use tstr_shared::output::{
    File, MAX_OUTPUT_BYTES, METRICS_FILE, OUTPUT_FILE, Output, OutputNote, OutputSource, Parts, ResultData,
    SUMMARY_FILE,
};

use super::Shared;
use super::artifacts::Taken;
use super::report::Log;
use crate::engine::{Archive, Engine, EngineError};
use crate::lease::{Lease, Signal};

/// How long reading the files may take.
const TAKING: Duration = Duration::from_secs(30);
/// How long handing over may take.
const HANDOVER: Duration = Duration::from_secs(600);
/// How long it may take once the worker is told to stop at once.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How much of a file is read: as much as is kept, and a byte more.
const MOST: u64 = MAX_OUTPUT_BYTES as u64 + 1;

/// Reads the files of a container that has ended, and puts them beside its records. `None` when the lease is lost.
pub(super) async fn collect(
    shared: &Shared,
    lease: &Lease,
    name: &str,
    until: Instant,
    records: [ResultData; 2],
) -> Option<Parts> {
    caught(lease.fence(), find(shared, lease, name, until, records)).await
}

/// Puts together what was found, and the metrics among the artifacts; `None` when that says nothing.
pub(super) async fn put_together(fence: Fence, mut parts: Parts, taken: Option<&Taken>) -> Option<Output> {
    let output = async {
        if let Some(taken) = taken {
            taken.metric_files(&mut parts).await;
        }
        Some(Output::of(parts)).filter(|output| !output.is_empty())
    };
    caught(fence, output).await
}

/// Whatever a test wrote, its result is told.
async fn caught<T>(fence: Fence, said: impl Future<Output = Option<T>>) -> Option<T> {
    AssertUnwindSafe(said).catch_unwind().await.unwrap_or_else(|_| {
        let run = fence.run_id;
        error!(run.id = %run, "reading what run {run} said about itself failed in a way that was not thought of");
        None
    })
}

async fn find(shared: &Shared, lease: &Lease, name: &str, until: Instant, records: [ResultData; 2]) -> Option<Parts> {
    let [stdout, stderr] = records;
    let mut parts = Parts { stdout, stderr, ..Parts::default() };
    let cut_short = tokio::select! {
        biased;
        () = take(shared.engine.as_ref(), name, lease.fence(), &mut parts) => None,
        _ = lease.graver_than(Signal::Cancel) => return None,
        () = shared.stops.stopping() => Some("the worker was stopped"),
        () = tokio::time::sleep_until(until) => Some("reading them took too long"),
    };
    if let Some(why) = cut_short {
        let message = format!("some of the files of result data are not read: {why}");
        parts.notes.push(OutputNote { source: None, message, line: None });
    }
    Some(parts)
}

/// Reads the files one by one. May be dropped at any time: what was read by then is whole.
async fn take(engine: &dyn Engine, name: &str, fence: Fence, parts: &mut Parts) {
    for (source, path) in [
        (OutputSource::Output, OUTPUT_FILE),
        (OutputSource::Metrics, METRICS_FILE),
        (OutputSource::Summary, SUMMARY_FILE),
    ] {
        let read = match engine.copy_out(name, path).await {
            Ok(None) => Ok(None),
            Ok(Some(archive)) => read(archive).await.map(Some),
            Err(error) => Err(match error {
                EngineError::Refused(why) | EngineError::NotFound(why) | EngineError::Unreachable(why) => why,
            }),
        };
        match read {
            Ok(file) => match source {
                OutputSource::Output => parts.output = file,
                OutputSource::Metrics => parts.metrics = file,
                OutputSource::Summary | OutputSource::Stdout | OutputSource::Stderr => parts.summary = file,
            },
            Err(why) => {
                let run = fence.run_id;
                warn!(run.id = %run, error = why, "{path} of run {run} is not read: {why}");
                let message = format!("{path} is not read: {why}");
                parts.notes.push(OutputNote { source: Some(source), message, line: None });
            }
        }
    }
}

/// Reads the beginning of the one file that an archive holds. Nothing is followed, and nothing is unpacked.
async fn read(archive: Archive) -> Result<File, String> {
    let reader = StreamReader::new(archive.map_err(std::io::Error::other));
    let mut archive = tokio_tar::Archive::new(reader);
    let mut entries = archive.entries().map_err(|error| error.to_string())?;
    while let Some(entry) = entries.next().await {
        let mut entry = entry.map_err(|error| error.to_string())?;
        let what = match entry.header().entry_type() {
            EntryType::XGlobalHeader => continue,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let size = entry.effective_size();
                let mut bytes = Vec::new();
                let read = (&mut entry).take(MOST).read_to_end(&mut bytes).await;
                read.map_err(|error| error.to_string())?;
                if (bytes.len() as u64) < size.min(MOST) {
                    return Err("the copy broke off".to_owned());
                }
                return Ok(File { size: size.max(bytes.len() as u64), bytes });
            }
            EntryType::Directory => "a folder",
            EntryType::Symlink | EntryType::Link => "a link",
            _ => "no ordinary file",
        };
        return Err(format!("{what} stands in its place"));
    }
    Err("the copy broke off".to_owned())
}

/// Hands over what an attempt said. Returns when the API has recorded it, or it was given up.
pub(super) async fn hand_over(shared: &Shared, lease: &Lease, output: &Output, until: Instant) {
    let fence = lease.fence();
    let run = fence.run_id;
    let too_late = async {
        shared.stops.stopping().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    let recorded = tokio::select! {
        biased;
        recorded = shared.control.record_output(fence, output) => recorded,
        _ = lease.graver_than(Signal::Cancel) => return,
        () = tokio::time::sleep_until(until) => {
            return warn!(run.id = %run, "the server did not take in time what run {run} said about itself");
        }
        () = too_late => {
            return warn!(run.id = %run, "the worker stops before the server has what run {run} said about itself");
        }
    };
    match recorded {
        Ok(()) => {
            let (keys, series) = (output.data.len(), output.metrics.len());
            info!(run.id = %run, keys, series, "run {run} said {keys} values and {series} numbers about itself");
        }
        Err(error) => {
            warn!(run.id = %run, error = %error, "what run {run} said about itself is not recorded: {error}");
            shared.listener().heard(fence, &error);
        }
    }
}

/// Returns until when reading the files may take from now on.
pub(super) fn taken_until(log: Option<&Log>) -> Instant {
    at_most(log, TAKING)
}

/// Returns until when handing over may take from now on.
pub(super) fn handed_over_until(log: Option<&Log>) -> Instant {
    at_most(log, HANDOVER)
}

fn at_most(log: Option<&Log>, time: Duration) -> Instant {
    let until = Instant::now() + time;
    log.map_or(until, |log| log.at_most(until))
}

#[cfg(test)]
mod tests;
