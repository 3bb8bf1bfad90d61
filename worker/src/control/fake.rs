//! A scripted API: hands out runs, keeps logs as the real one does, and goes wrong as a test says.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tstr_shared::artifacts::{Artifacts, Blob, Collected, ContentHash};
use tstr_shared::error::ErrorCode;
use tstr_shared::lease::{Fence, LeaseState, LeaseTimes, LeasedRun};
use tstr_shared::logs::{LogChunk, LogOffsets, LogSeal, Stream};
use tstr_shared::output::Output;
use tstr_shared::run::{Outcome, RunResult};
use tstr_shared::runner::{NewRunner, Unfit};

use super::{Backoff, Beat, BlobData, Claim, ControlError, ControlPlane, Registration, Release};

/// The scripted API.
#[derive(Debug, Default)]
pub struct FakeControl {
    state: Mutex<State>,
    /// A call was answered, or a test changed something.
    changed: Notify,
    /// A test changed something: claims look again.
    told: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<LeasedRun>,
    started: HashSet<Fence>,
    finished: HashMap<Fence, (Outcome, LogSeal)>,
    released: HashMap<Fence, Release>,
    logs: HashMap<Fence, Vec<LogChunk>>,
    heartbeats: Vec<Vec<Fence>>,
    unfit: Option<Unfit>,
    cancelled: HashSet<Fence>,
    gone: HashSet<Fence>,
    lost_tails: HashMap<Fence, usize>,
    lost_bytes: HashSet<Fence>,
    blobs: HashMap<ContentHash, Vec<u8>>,
    collected: HashMap<Fence, Collected>,
    announced: HashSet<Fence>,
    outputs: HashMap<Fence, Output>,
    refuses_outputs: bool,
    keeps_no_artifacts: bool,
    hangs_on_puts: bool,
    hangs_on_records: bool,
    put_pace: Duration,
    is_store_ill: bool,
    loses_blobs: u32,
    reports_read: u32,
    /// What reading reports is answered; the outcome itself unless said.
    ruling: Option<Result<Outcome, String>>,
    away: bool,
    draining: bool,
    refuses_token: bool,
    holds_starts: bool,
}

impl FakeControl {
    /// Makes an API with nothing to do.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a run where the next claim finds it.
    pub fn queue(&self, run: LeasedRun) {
        self.change(|state| state.queue.push_back(run));
    }

    /// Goes away, or comes back.
    pub fn set_away(&self, away: bool) {
        self.change(|state| state.away = away);
    }

    /// Refuses the worker's token from now on.
    pub fn refuse_token(&self) {
        self.change(|state| state.refuses_token = true);
    }

    /// Leaves every question for the permission to start unanswered.
    pub fn hold_starts(&self, hold: bool) {
        self.change(|state| state.holds_starts = hold);
    }

    /// Asks the runner to drain, or not to.
    pub fn set_draining(&self, draining: bool) {
        self.change(|state| state.draining = draining);
    }

    /// Asks for a run to be cancelled.
    pub fn cancel(&self, fence: Fence) {
        self.change(|state| {
            state.cancelled.insert(fence);
        });
    }

    /// Gives a run to somebody else.
    pub fn take_lease_away(&self, fence: Fence) {
        self.change(|state| {
            state.gone.insert(fence);
        });
    }

    /// Loses the last chunks of a log at its next call.
    pub fn lose_log_tail(&self, fence: Fence, chunks: usize) {
        self.change(|state| {
            state.lost_tails.insert(fence, chunks);
        });
    }

    /// Takes the chunks of a log and never stores them.
    pub fn swallow_log(&self, fence: Fence) {
        self.change(|state| {
            state.lost_bytes.insert(fence);
        });
    }

    /// Refuses the contents of artifacts.
    pub fn keep_no_artifacts(&self) {
        self.change(|state| state.keeps_no_artifacts = true);
    }

    /// Leaves every upload of a content unanswered.
    pub fn hang_on_puts(&self) {
        self.change(|state| state.hangs_on_puts = true);
    }

    /// Leaves every record of artifacts unanswered.
    pub fn hang_on_records(&self) {
        self.change(|state| state.hangs_on_records = true);
    }

    /// Takes so long for each piece of a content.
    pub fn slow_puts(&self, pace: Duration) {
        self.change(|state| state.put_pace = pace);
    }

    /// Cannot store contents, and says so after a while.
    pub fn be_ill(&self) {
        self.change(|state| state.is_store_ill = true);
    }

    /// Loses the contents that it has when artifacts are next recorded, so many times.
    pub fn lose_blobs(&self, times: u32) {
        self.change(|state| state.loses_blobs = times);
    }

    /// Answers this to whoever lets reports be read.
    pub fn rules(&self, ruling: Result<Outcome, String>) {
        self.change(|state| state.ruling = Some(ruling));
    }

    /// Returns how often reports were to be read.
    pub fn reports_read(&self) -> u32 {
        self.lock().reports_read
    }

    /// Returns what was recorded of the artifacts of an attempt.
    pub fn collected(&self, fence: Fence) -> Option<Collected> {
        self.lock().collected.get(&fence).cloned()
    }

    /// Returns a content.
    pub fn blob(&self, hash: ContentHash) -> Option<Vec<u8>> {
        self.lock().blobs.get(&hash).cloned()
    }

    /// Refuses what attempts say about themselves.
    pub fn refuse_outputs(&self) {
        self.change(|state| state.refuses_outputs = true);
    }

    /// Returns what an attempt said about itself.
    pub fn output(&self, fence: Fence) -> Option<Output> {
        self.lock().outputs.get(&fence).cloned()
    }

    /// Tells whether an attempt has said that it collects.
    pub fn announced(&self, fence: Fence) -> bool {
        self.lock().announced.contains(&fence)
    }

    /// Keeps only the first chunks of a log; returns how far it is stored then.
    pub fn truncate_log(&self, fence: Fence, chunks: usize) -> LogOffsets {
        let mut state = self.lock();
        let log = state.logs.entry(fence).or_default();
        log.truncate(chunks);
        offsets(log)
    }

    /// Returns what is stored of a stream.
    pub fn log(&self, fence: Fence, stream: Stream) -> Vec<u8> {
        let state = self.lock();
        let chunks = state.logs.get(&fence).into_iter().flatten();
        chunks.filter(|chunk| chunk.stream == stream).flat_map(|chunk| chunk.data.clone()).collect()
    }

    /// Returns how a run was reported to have ended.
    pub fn finished(&self, fence: Fence) -> Option<(Outcome, LogSeal)> {
        self.lock().finished.get(&fence).cloned()
    }

    /// Returns how a lease was given back.
    pub fn released(&self, fence: Fence) -> Option<Release> {
        self.lock().released.get(&fence).cloned()
    }

    /// Tells whether a run's container was permitted to start.
    pub fn started(&self, fence: Fence) -> bool {
        self.lock().started.contains(&fence)
    }

    /// Returns what each heartbeat mentioned.
    pub fn heartbeats(&self) -> Vec<Vec<Fence>> {
        self.lock().heartbeats.clone()
    }

    /// Returns why nothing new is taken, as the last heartbeat said.
    pub fn unfit(&self) -> Option<Unfit> {
        self.lock().unfit
    }

    /// Waits until something holds.
    pub async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if holds(self) {
                return;
            }
            changed.await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_waiters();
        self.told.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers as soon as the API is there, as the real client does.
    async fn answer<T>(&self, fence: Option<Fence>, answer: impl Fn(&mut State) -> T) -> Result<T, ControlError> {
        let mut backoff = Backoff::default();
        loop {
            let answer = {
                let mut state = self.lock();
                if state.refuses_token {
                    Some(Err(ControlError::Unauthenticated("revoked".into())))
                } else if state.away {
                    None
                } else if fence.is_some_and(|fence| state.gone.contains(&fence)) {
                    Some(Err(ControlError::LeaseLost("the run has another lease".into())))
                } else {
                    Some(Ok(answer(&mut state)))
                }
            };
            self.changed.notify_waiters();
            match answer {
                Some(answer) => return answer,
                None => backoff.wait().await,
            }
        }
    }
}

fn offsets(log: &[LogChunk]) -> LogOffsets {
    let mut offsets = LogOffsets { next_seq: u32::try_from(log.len()).unwrap_or(u32::MAX), ..LogOffsets::default() };
    for chunk in log {
        *offsets.of_mut(chunk.stream) += chunk.cut + chunk.data.len() as u64;
    }
    offsets
}

#[async_trait]
impl ControlPlane for FakeControl {
    async fn register(&self, _: &NewRunner) -> Result<Registration, ControlError> {
        self.answer(None, |_| Registration { namespaces: vec![".*".into()], times: LeaseTimes::TEST }).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<LeasedRun>, ControlError> {
        let deadline = tokio::time::Instant::now() + claim.wait;
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            let runs = self
                .answer(None, |state| {
                    let max = if claim.only_repeat { 0 } else { claim.max as usize };
                    let count = state.queue.len().min(max);
                    state.queue.drain(..count).collect::<Vec<_>>()
                })
                .await?;
            if !runs.is_empty() || tokio::time::timeout_at(deadline, told).await.is_err() {
                return Ok(runs);
            }
        }
    }

    async fn start(&self, fence: Fence) -> Result<(), ControlError> {
        let permitted = self
            .answer(Some(fence), |state| {
                state.started.insert(fence);
            })
            .await;
        // The permission is given; its answer may be late.
        self.until(|control| !control.lock().holds_starts).await;
        permitted
    }

    async fn heartbeat(&self, fences: &[Fence], unfit: Option<Unfit>, _: Duration) -> Result<Beat, ControlError> {
        if self.lock().away {
            return Err(ControlError::Unavailable("away".into()));
        }
        self.answer(None, |state| {
            state.heartbeats.push(fences.to_vec());
            state.unfit = unfit;
            let say = |fence: &Fence| {
                if state.gone.contains(fence) {
                    LeaseState::Gone
                } else if state.cancelled.contains(fence) && state.started.contains(fence) {
                    LeaseState::CancelRequested
                } else {
                    LeaseState::Held
                }
            };
            Beat { leases: fences.iter().map(|fence| (*fence, say(fence))).collect(), draining: state.draining }
        })
        .await
    }

    async fn append_logs(&self, fence: Fence, chunks: &[LogChunk]) -> Result<LogOffsets, ControlError> {
        self.answer(Some(fence), |state| {
            let swallows = state.lost_bytes.contains(&fence);
            let lost = state.lost_tails.remove(&fence).unwrap_or(0);
            let log = state.logs.entry(fence).or_default();
            for chunk in chunks.iter().filter(|_| !swallows) {
                // In order and without a gap, or not at all.
                if chunk.seq as usize == log.len() && offsets(log).of(chunk.stream) + chunk.cut == chunk.offset {
                    log.push(chunk.clone());
                }
            }
            log.truncate(log.len() - lost.min(log.len()));
            offsets(log)
        })
        .await
    }

    async fn find_blobs(&self, fence: Fence, blobs: &[Blob]) -> Result<Vec<ContentHash>, ControlError> {
        let missing = self
            .answer(Some(fence), |state| {
                state.announced.insert(fence);
                if state.keeps_no_artifacts && !blobs.is_empty() {
                    return None;
                }
                let missing = blobs.iter().map(|blob| blob.sha256).filter(|hash| !state.blobs.contains_key(hash));
                Some(missing.collect())
            })
            .await?;
        let message = "this server keeps no artifacts".to_owned();
        missing.ok_or(ControlError::Refused { code: Some(ErrorCode::Conflict), message })
    }

    async fn record_output(&self, fence: Fence, output: &Output) -> Result<(), ControlError> {
        let taken = self
            .answer(Some(fence), |state| {
                assert!(!state.finished.contains_key(&fence), "what is said comes before the end");
                let is_taken = !state.refuses_outputs;
                if is_taken {
                    state.outputs.insert(fence, output.clone());
                }
                is_taken
            })
            .await?;
        let refused = ControlError::Refused { code: None, message: "this server knows no such call".to_owned() };
        if taken { Ok(()) } else { Err(refused) }
    }

    async fn put_blob(&self, fence: Fence, data: &BlobData) -> Result<(), ControlError> {
        let mut bytes = Vec::new();
        let pace = self.lock().put_pace;
        while (bytes.len() as u64) < data.blob.bytes {
            tokio::time::sleep(pace).await;
            let piece = data.piece(bytes.len() as u64).await;
            let broken = |error: std::io::Error| ControlError::Refused { code: None, message: error.to_string() };
            bytes.extend_from_slice(&piece.map_err(broken)?);
        }
        assert_eq!(ContentHash(Sha256::digest(&bytes).into()), data.blob.sha256, "what is sent is what was announced");
        self.until(|control| !control.lock().hangs_on_puts).await;
        if self.lock().is_store_ill {
            tokio::time::sleep(Duration::from_secs(30)).await;
            return Err(ControlError::Unavailable("the store is ill".into()));
        }
        self.answer(Some(fence), |state| {
            state.blobs.insert(data.blob.sha256, bytes.clone());
        })
        .await
    }

    async fn record_artifacts(&self, fence: Fence, collected: &Collected) -> Result<bool, ControlError> {
        self.until(|control| {
            let state = control.lock();
            // What it has lost it says at once.
            !state.hangs_on_records || state.loses_blobs > 0
        })
        .await;
        let is_whole = self
            .answer(Some(fence), |state| {
                assert!(!state.finished.contains_key(&fence), "artifacts are recorded before the end");
                if state.loses_blobs > 0 {
                    state.loses_blobs -= 1;
                    state.blobs.clear();
                }
                let is_whole = collected.files.iter().all(|file| state.blobs.contains_key(&file.blob.sha256));
                if is_whole {
                    assert!(collected.validate().is_ok(), "{collected:?}");
                    state.collected.insert(fence, collected.clone());
                }
                is_whole
            })
            .await?;
        self.changed.notify_waiters();
        let message = "contents are missing".to_owned();
        match is_whole {
            true => Ok(collected.files.iter().any(|file| Artifacts::default().may_be_report(&file.path))),
            false => Err(ControlError::Refused { code: Some(ErrorCode::Conflict), message }),
        }
    }

    async fn read_reports(&self, fence: Fence, outcome: &Outcome) -> Result<Outcome, ControlError> {
        let ruled = self
            .answer(Some(fence), |state| {
                assert!(!state.finished.contains_key(&fence), "reports are read before the end");
                state.reports_read += 1;
                state.ruling.clone()
            })
            .await?;
        match ruled {
            None => Ok(outcome.clone()),
            Some(Ok(ruled)) => Ok(ruled),
            Some(Err(message)) => Err(ControlError::Refused { code: None, message }),
        }
    }

    async fn finish(
        &self,
        fence: Fence,
        outcome: &Outcome,
        seal: &LogSeal,
    ) -> Result<Option<LogOffsets>, ControlError> {
        let missing = self
            .answer(Some(fence), |state| {
                // As the API's guard has it: what was not started can only be an error.
                if !state.started.contains(&fence) && outcome.result != RunResult::Error {
                    return Err(ErrorCode::Conflict);
                }
                if outcome.message.as_ref().is_some_and(|message| message.len() > 4096 || message.contains('\0')) {
                    return Err(ErrorCode::Invalid);
                }
                let log = state.logs.entry(fence).or_default();
                let stored = offsets(log);
                let bytes =
                    |stream| log.iter().filter(|c| c.stream == stream).map(|c| c.data.len() as u64).sum::<u64>();
                let complete = Stream::ALL.into_iter().all(|stream| bytes(stream) == seal.of(stream).bytes);
                if !complete && !seal.incomplete {
                    return Ok(Some(stored));
                }
                if state.finished.insert(fence, (outcome.clone(), seal.clone())).is_some() {
                    return Err(ErrorCode::Conflict);
                }
                Ok(None)
            })
            .await?;
        self.changed.notify_waiters();
        missing.map_err(|code| ControlError::Refused { code: Some(code), message: "not a possible end".into() })
    }

    async fn release(&self, fence: Fence, release: &Release) -> Result<(), ControlError> {
        let released = self
            .answer(Some(fence), |state| {
                let fits = release.reason.is_some() || !state.started.contains(&fence);
                if fits {
                    state.released.insert(fence, release.clone());
                }
                fits
            })
            .await?;
        let message = "the container was started; say what became of it".to_owned();
        if released { Ok(()) } else { Err(ControlError::Refused { code: Some(ErrorCode::Conflict), message }) }
    }
}
