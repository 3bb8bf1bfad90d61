//! Sends a spool to the API: in order, in batches, again from wherever the server says bytes are missing.

use std::sync::Arc;

use tracing::{debug, error};
use tstr_shared::lease::Fence;
use tstr_shared::logs::LogOffsets;

use super::SpoolReader;
use crate::control::{Backoff, ControlError, ControlPlane};

/// About how many bytes go into one call.
const BATCH: usize = 2 << 20;

/// The uploading side of a log.
pub(crate) struct Uploader {
    control: Arc<dyn ControlPlane>,
    fence: Fence,
    reader: SpoolReader,
    /// The log cannot be handed over any more; the run is reported without it.
    gave_up: bool,
}

impl Uploader {
    pub(crate) fn new(control: Arc<dyn ControlPlane>, fence: Fence, reader: SpoolReader) -> Self {
        Self { control, fence, reader, gave_up: false }
    }

    /// Sends what there is and what is still to come, until all of a complete spool is stored.
    ///
    /// # Errors
    ///
    /// Returns the terminal errors: a lost lease, a refused token. Anything else that cannot be cured gives the log
    /// up, which is no error of the run.
    pub(crate) async fn send_all(&mut self) -> Result<(), ControlError> {
        // Grows while the server takes the calls and stores nothing.
        let mut patience = Backoff::default();
        while !self.gave_up {
            let before = self.reader.offsets();
            let chunks = match self.reader.next(BATCH).await {
                Ok(chunks) if chunks.is_empty() => return Ok(()),
                Ok(chunks) => chunks,
                Err(fault) => {
                    self.give_up(&fault.to_string());
                    break;
                }
            };
            let expected = self.reader.offsets();
            match self.control.append_logs(self.fence, &chunks).await {
                Ok(stored) if stored == expected => patience = Backoff::default(),
                Ok(stored) => {
                    debug!(run.id = %self.fence.run_id, ?stored, ?expected, "the server wants another part of the log");
                    if stored.next_seq <= before.next_seq {
                        patience.wait().await;
                    }
                    self.go_to(stored).await;
                }
                Err(terminal @ (ControlError::LeaseLost(_) | ControlError::Unauthenticated(_))) => {
                    return Err(terminal);
                }
                Err(refusal) => self.give_up(&refusal.to_string()),
            }
        }
        Ok(())
    }

    /// Goes to where the server misses bytes.
    pub(crate) async fn go_to(&mut self, missing: LogOffsets) {
        if let Err(fault) = self.reader.seek(missing.next_seq).await {
            self.give_up(&fault.to_string());
        } else if self.reader.offsets() != missing {
            // The server counts other bytes than we wrote: no chunk of ours fits where it goes on.
            let (ours, theirs) = (self.reader.offsets(), missing);
            self.give_up(&format!("the server has {theirs:?} where the spool has {ours:?}"));
        }
    }

    /// Tells whether the log was given up.
    pub(crate) fn gave_up(&self) -> bool {
        self.gave_up
    }

    fn give_up(&mut self, why: &str) {
        let run = self.fence.run_id;
        error!(run.id = %run, "the log of run {run} cannot be handed over and will be incomplete: {why}");
        self.gave_up = true;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use tstr_shared::ids::{LeaseId, RunId};
    use tstr_shared::logs::Stream;
    use uuid::Uuid;

    use super::super::Recorder;
    use super::*;
    use crate::control::fake::FakeControl;
    use crate::engine::Frame;

    async fn spooled(dir: &std::path::Path, fence: Fence, lines: usize) -> (SpoolReader, impl Sized, Vec<u8>) {
        let (mut recorder, reader) = Recorder::create(dir, fence, u64::MAX, 0).await;
        let frames: Vec<_> = (0..lines)
            .map(|i| Frame {
                stream: if i % 7 == 0 { Stream::Stderr } else { Stream::Stdout },
                data: format!("line {i}\n").into_bytes(),
            })
            .collect();
        let stdout = frames.iter().filter(|f| f.stream == Stream::Stdout).flat_map(|f| f.data.clone()).collect();
        recorder.record(&mut stream::iter(frames.into_iter().map(Ok)).boxed()).await;
        let (_, keeper) = recorder.seal().await;
        (reader.unwrap(), keeper, stdout)
    }

    fn fence() -> Fence {
        Fence { run_id: RunId(Uuid::now_v7()), attempt: 1, lease_id: LeaseId(Uuid::new_v4()) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_lost_the_tail_gets_it_again() {
        let (dir, fence, control) = (tempfile::tempdir().unwrap(), fence(), Arc::new(FakeControl::new()));
        let (reader, _keeper, stdout) = spooled(dir.path(), fence, 300).await;
        control.lose_log_tail(fence, 5);
        let mut uploader = Uploader::new(control.clone(), fence, reader);
        uploader.send_all().await.unwrap();
        assert_eq!(control.log(fence, Stream::Stdout), stdout);
        assert!(!uploader.gave_up());
    }

    #[tokio::test(start_paused = true)]
    async fn sending_from_an_offset_repeats_only_what_is_missing() {
        let (dir, fence, control) = (tempfile::tempdir().unwrap(), fence(), Arc::new(FakeControl::new()));
        let (reader, _keeper, stdout) = spooled(dir.path(), fence, 100).await;
        let mut uploader = Uploader::new(control.clone(), fence, reader);
        uploader.send_all().await.unwrap();
        let missing = control.truncate_log(fence, 3);
        uploader.go_to(missing).await;
        uploader.send_all().await.unwrap();
        assert_eq!(control.log(fence, Stream::Stdout), stdout);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_counts_other_bytes_is_not_argued_with() {
        let (dir, fence, control) = (tempfile::tempdir().unwrap(), fence(), Arc::new(FakeControl::new()));
        let (reader, _keeper, _) = spooled(dir.path(), fence, 10).await;
        let mut uploader = Uploader::new(control, fence, reader);
        uploader.go_to(LogOffsets { next_seq: 1, stdout: 77, stderr: 0 }).await;
        assert!(uploader.gave_up());
        uploader.send_all().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_lease_ends_the_upload() {
        let (dir, fence, control) = (tempfile::tempdir().unwrap(), fence(), Arc::new(FakeControl::new()));
        let (reader, _keeper, _) = spooled(dir.path(), fence, 10).await;
        control.take_lease_away(fence);
        let error = Uploader::new(control, fence, reader).send_all().await.unwrap_err();
        assert!(matches!(error, ControlError::LeaseLost(_)));
    }
}
