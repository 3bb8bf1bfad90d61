//! The artifacts of one attempt: taken from its container when it has ended, and handed over to the API.
//!
//! A result is never withheld because of artifacts. What cannot be taken in a minute or handed over in ten, or before the
//! API would end the run for taking too long, is given up, and a note says what and why.

mod spool;
mod take;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;
use tracing::{error, info, warn};
use tstr_shared::artifacts::{ArtifactNote, ArtifactPattern, Blob, Collected, CollectedFile, ContentHash, NoteWhy};
use tstr_shared::error::ErrorCode;
use tstr_shared::lease::{Fence, LeasedRun};
use tstr_shared::output::{File, MAX_OUTPUT_BYTES, OutputNote, OutputSource, Parts};
use tstr_shared::report::{ReportKind, detect};

use self::take::{Notes, Taking};
use super::Shared;
use super::report::Log;
use crate::control::{BlobData, ControlError};
use crate::lease::{Lease, Signal};

/// How long copying out of a container may take.
const TAKING: Duration = Duration::from_secs(60);
/// After so long of it the API is told, so that it does not end the run meanwhile.
const ANNOUNCED_AFTER: Duration = Duration::from_secs(5);
/// How much time the API gives from when it is told (T11).
const GIVEN: Duration = Duration::from_secs(15 * 60);
/// How long handing over may take, and saying at the end what was handed over.
const HANDOVER: Duration = Duration::from_secs(600);
const RECORDING: Duration = Duration::from_secs(600);
/// Contents are given up when none of them got any further for so long, which is looked at so often.
const STALLED: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_secs(5);
/// How long the last may take once the worker is told to stop at once.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How many contents are sent at the same time, where they are small: over a slow way rather one of the large ones arrives
/// than half of each.
const AT_ONCE: usize = 4;
const AT_ONCE_BYTES: u64 = 32 << 20;
/// How often everything is sent again because the API has lost contents meanwhile.
const REPEATS: usize = 3;

/// What was taken from a container, on the worker's disk.
#[derive(Debug)]
pub(super) struct Taken {
    files: Vec<CollectedFile>,
    contents: BTreeMap<ContentHash, BlobData>,
    notes: Vec<ArtifactNote>,
}

impl Taken {
    /// Reads the metrics among the artifacts; all of them together are as large as the file of metrics may be.
    pub(super) async fn metric_files(&self, parts: &mut Parts) {
        let mut room = MAX_OUTPUT_BYTES as u64;
        for file in &self.files {
            let path = file.path.as_str();
            let Some(data) = self.contents.get(&file.blob.sha256) else { continue };
            // By its name alone: its content has no mark.
            if detect(path, &[]) != Some(ReportKind::Metrics) {
                continue;
            }
            match data.head(room).await {
                Ok(bytes) => {
                    room -= bytes.len() as u64;
                    parts.metric_files.push((path.to_owned(), File { bytes, size: file.blob.bytes }));
                }
                Err(error) => {
                    let message = format!("{path} is not read: {error}");
                    parts.notes.push(OutputNote { source: Some(OutputSource::Metrics), message, line: None });
                    // The others lie on the same disk.
                    return;
                }
            }
        }
    }
}

/// Takes the artifacts from a container that has ended. `None` when there is nothing to say, or the lease is lost.
pub(super) async fn collect(
    shared: &Shared,
    run: &LeasedRun,
    lease: &Lease,
    name: &str,
    log: &mut Option<Log>,
) -> Option<Taken> {
    if run.artifact_limit_bytes == 0 {
        return None;
    }
    let taken = AssertUnwindSafe(take(shared, run, lease, name, log)).catch_unwind().await;
    let taken = taken.unwrap_or_else(|_| {
        let id = run.fence.run_id;
        error!(run.id = %id, "collecting the files of run {id} failed in a way that was not thought of");
        let note = ArtifactNote::new(NoteWhy::Unreadable).with_detail("the worker failed while it collected them");
        Some(Taken { files: Vec::new(), contents: BTreeMap::new(), notes: vec![note] })
    });
    taken.filter(|taken| !taken.files.is_empty() || !taken.notes.is_empty())
}

async fn take(shared: &Shared, run: &LeasedRun, lease: &Lease, name: &str, log: &mut Option<Log>) -> Option<Taken> {
    let mut notes = Notes::default();
    let mut patterns = Vec::with_capacity(run.artifact_paths.len());
    for source in &run.artifact_paths {
        match ArtifactPattern::parse(source) {
            Ok(pattern) => patterns.push(pattern),
            // The API checks them; a newer one may know more.
            Err(fault) => {
                notes.add(NoteWhy::NoMatch, source, 0);
                notes.say(NoteWhy::NoMatch, &fault);
            }
        }
    }
    let mut taking = Taking::new(&shared.spool_dir, run.fence, run.artifact_limit_bytes, patterns, notes);
    let limit = Instant::now() + TAKING;
    let cut_short = {
        let too_late = async {
            tokio::time::sleep_until(by(log.as_ref(), Instant::now() + ANNOUNCED_AFTER)).await;
            let asked = tell(log);
            let announced = shared.control.find_blobs(run.fence, &[]);
            match tokio::time::timeout_at(by(log.as_ref(), limit), announced).await {
                Ok(Ok(_)) => extend(log, asked),
                Ok(Err(error)) => shared.listener().heard(run.fence, &error),
                Err(_) => return,
            }
            tokio::time::sleep_until(by(log.as_ref(), limit)).await;
        };
        tokio::select! {
            biased;
            () = taking.take(shared.engine.as_ref(), name) => None,
            _ = lease.graver_than(Signal::Cancel) => return None,
            () = shared.stops.stopping() => Some("the worker was stopped"),
            () = too_late => Some("copying them took too long"),
        }
    };
    if let Some(why) = cut_short {
        taking.notes.say(NoteWhy::OutOfTime, why);
    }
    let Taking { files, contents, notes, .. } = taking;
    Some(Taken { files, contents: contents.into_iter().collect(), notes: notes.into_list() })
}

/// Returns an instant, or when the end must be reported if that is sooner.
fn by(log: Option<&Log>, at: Instant) -> Instant {
    log.map_or(at, |log| log.at_most(at))
}

/// Notes that the API is told that artifacts are being collected; returns from when on it may have known. It counts from the
/// first time that it hears of it.
fn tell(log: &mut Option<Log>) -> Instant {
    log.as_mut().map_or_else(Instant::now, Log::tell_collecting)
}

/// Notes that the API knows since `asked`, or a little later, that artifacts are being collected.
fn extend(log: &mut Option<Log>, asked: Instant) {
    if let Some(log) = log {
        log.backstop_not_before(asked + GIVEN);
    }
}

/// Hands over what was taken. Returns when the API has recorded it, or it was given up; tells whether test reports may be
/// among it.
pub(super) async fn hand_over(shared: &Shared, lease: &Lease, taken: Taken, log: &mut Option<Log>) -> bool {
    let fence = lease.fence();
    let handover = Handover { shared, fence, taken: &taken };
    let lost = lease.graver_than(Signal::Cancel);
    tokio::select! {
        biased;
        may_have_reports = handover.all(log) => may_have_reports,
        _ = lost => false,
    }
}

/// One attempt's files on their way.
struct Handover<'a> {
    shared: &'a Shared,
    fence: Fence,
    taken: &'a Taken,
}

/// What is not handed over.
#[derive(Debug, Clone, Default)]
struct Withheld {
    contents: BTreeSet<ContentHash>,
    /// What was said of the first of them.
    why: Option<String>,
}

impl Handover<'_> {
    async fn all(&self, log: &mut Option<Log>) -> bool {
        let until = Instant::now() + HANDOVER;
        for _ in 0..=REPEATS {
            let Some(withheld) = self.send(log, until).await else { return false };
            match self.record(log.as_ref(), &self.collected(&withheld)).await {
                Some(Ok(may_have_reports)) => {
                    self.say(&withheld);
                    return may_have_reports;
                }
                Some(Err(ControlError::Refused { code: Some(ErrorCode::Conflict), .. })) if Instant::now() < until => {}
                Some(Err(ControlError::Refused { message, .. })) => {
                    return self.record_nothing(log.as_ref(), &message).await;
                }
                Some(Err(error)) => {
                    self.shared.listener().heard(self.fence, &error);
                    return false;
                }
                None => return false,
            }
        }
        self.record_nothing(log.as_ref(), "the server lost them again and again").await
    }

    /// Records that nothing was handed over, and why; there are no reports then.
    async fn record_nothing(&self, log: Option<&Log>, why: &str) -> bool {
        let nothing = self.nothing(why);
        if self.record(log, &self.collected(&nothing)).await.is_some() {
            self.say(&nothing);
        }
        false
    }

    /// Sends the contents that the API does not have; `None` when the lease is lost.
    async fn send(&self, log: &mut Option<Log>, until: Instant) -> Option<Withheld> {
        let blobs: Vec<Blob> = self.taken.contents.values().map(|data| data.blob).collect();
        if blobs.is_empty() {
            return Some(Withheld::default());
        }
        let asked = tell(log);
        let late = by(log.as_ref(), until);
        let missing = tokio::select! {
            biased;
            missing = self.shared.control.find_blobs(self.fence, &blobs) => missing,
            () = self.shared.stops.stopping() => return Some(self.nothing("the worker was stopped")),
            () = tokio::time::sleep_until(late) => return Some(self.nothing("the server did not answer in time")),
        };
        let missing = match missing {
            Ok(missing) => missing,
            Err(ControlError::Refused { message, .. }) => return Some(self.nothing(&message)),
            Err(error) => {
                self.shared.listener().heard(self.fence, &error);
                return None;
            }
        };
        extend(log, asked);
        let late = by(log.as_ref(), until);
        let mut withheld = Withheld { contents: missing.into_iter().collect(), why: None };
        let mut wanted: Vec<&BlobData> =
            withheld.contents.iter().filter_map(|hash| self.taken.contents.get(hash)).collect();
        // The smallest at the end, where they are taken from.
        wanted.sort_by_key(|data| std::cmp::Reverse(data.blob.bytes));
        let (mut sent, mut under_way) = (FuturesUnordered::new(), 0);
        let stalled = self.stalled();
        tokio::pin!(stalled);
        loop {
            while sent.len() < AT_ONCE
                && let Some(data) =
                    wanted.pop_if(|data| sent.is_empty() || under_way + data.blob.bytes <= AT_ONCE_BYTES)
            {
                under_way += data.blob.bytes;
                sent.push(self.put(data));
            }
            let next = tokio::select! {
                biased;
                next = sent.next() => next,
                () = self.shared.stops.stopping() => {
                    withheld.why.get_or_insert("the worker was stopped".into());
                    None
                }
                () = tokio::time::sleep_until(late) => {
                    withheld.why.get_or_insert("handing them over took too long".into());
                    None
                }
                () = &mut stalled => {
                    withheld.why.get_or_insert_with(|| format!("none of them was taken within {STALLED:?}"));
                    None
                }
            };
            let Some((blob, outcome)) = next else { return Some(withheld) };
            under_way -= blob.bytes;
            match outcome {
                Ok(()) => {
                    withheld.contents.remove(&blob.sha256);
                }
                Err(Unsent::Refused(why)) => {
                    withheld.why.get_or_insert(why);
                }
                // Where one is not taken the others are not either, and each would be tried for as long.
                Err(Unsent::Unavailable(why)) => {
                    withheld.why.get_or_insert(why);
                    return Some(withheld);
                }
                Err(Unsent::Terminal(error)) => {
                    self.shared.listener().heard(self.fence, &error);
                    return None;
                }
            }
        }
    }

    /// Waits until no content gets any further.
    async fn stalled(&self) {
        let read = || self.taken.contents.values().map(BlobData::bytes_read).sum::<u64>();
        let (mut known, mut moved_at) = (read(), Instant::now());
        while moved_at.elapsed() < STALLED {
            tokio::time::sleep(LOOK).await;
            let now = read();
            if now != known {
                (known, moved_at) = (now, Instant::now());
            }
        }
    }

    async fn put(&self, data: &BlobData) -> (Blob, Result<(), Unsent>) {
        let outcome = match self.shared.control.put_blob(self.fence, data).await {
            Ok(()) => Ok(()),
            Err(terminal @ (ControlError::LeaseLost(_) | ControlError::Unauthenticated(_))) => {
                Err(Unsent::Terminal(terminal))
            }
            Err(ControlError::Refused { message, .. }) => Err(Unsent::Refused(message)),
            Err(ControlError::Unavailable(message)) => Err(Unsent::Unavailable(message)),
        };
        (data.blob, outcome)
    }

    /// Says to the API what was handed over; `None` when it does not answer, or not in time to report the end.
    async fn record(&self, log: Option<&Log>, collected: &Collected) -> Option<Result<bool, ControlError>> {
        let too_late = async {
            self.shared.stops.stopping().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        let run = self.fence.run_id;
        let late = by(log, Instant::now() + RECORDING);
        let recorded = self.shared.control.record_artifacts(self.fence, collected);
        let recorded = tokio::time::timeout_at(late, recorded);
        let recorded = tokio::select! {
            biased;
            recorded = recorded => recorded.ok(),
            () = too_late => None,
        };
        match &recorded {
            None => warn!(run.id = %run, "the server did not answer what became of the files of run {run}"),
            Some(Err(error)) => {
                warn!(run.id = %run, error = %error, "the files of run {run} are not recorded: {error}")
            }
            Some(Ok(_)) => {}
        }
        recorded
    }

    /// Returns what is recorded when these contents are not handed over.
    fn collected(&self, withheld: &Withheld) -> Collected {
        let (lost, files): (Vec<_>, Vec<_>) =
            self.taken.files.iter().cloned().partition(|file| withheld.contents.contains(&file.blob.sha256));
        let mut notes = self.taken.notes.clone();
        if !lost.is_empty() {
            let mut note = ArtifactNote::new(NoteWhy::NotStored);
            for file in &lost {
                note.add(file.path.as_str(), file.blob.bytes);
            }
            notes.push(note.with_detail(withheld.why.as_deref().unwrap_or("the server does not have them")));
        }
        Collected { files, notes }
    }

    /// Returns that nothing is handed over.
    fn nothing(&self, why: &str) -> Withheld {
        Withheld { contents: self.taken.contents.keys().copied().collect(), why: Some(why.to_owned()) }
    }

    fn say(&self, withheld: &Withheld) {
        let (run, collected) = (self.fence.run_id, self.collected(withheld));
        let (files, bytes) = (collected.files.len(), collected.bytes());
        info!(run.id = %run, files, bytes, "run {run} left {files} files with {bytes} bytes");
        for note in &collected.notes {
            info!(run.id = %run, why = %note.why, "of the files of run {run}, {}", note.sentence());
        }
    }
}

/// Why a content was not taken.
enum Unsent {
    Refused(String),
    /// The API is there, and cannot take it.
    Unavailable(String),
    /// No call will be answered otherwise any more.
    Terminal(ControlError),
}

#[cfg(test)]
mod tests;
