//! Reads the output of a container in a task of its own, so that nothing that happens to the run holds it up.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use super::logs::Recorder;
use crate::engine::Frames;

/// The output of one attempt.
#[derive(Debug)]
pub(crate) struct Output {
    tracker: TaskTracker,
    reading: Option<Reading>,
    /// The recorder, between two readings.
    idle: Option<Recorder>,
}

#[derive(Debug)]
struct Reading {
    task: JoinHandle<Recorder>,
    stop: CancellationToken,
}

impl Output {
    /// Starts to read.
    pub(crate) fn read(tracker: &TaskTracker, recorder: Recorder, frames: Frames) -> Self {
        let mut output = Self { tracker: tracker.clone(), reading: None, idle: Some(recorder) };
        output.resume(frames);
        output
    }

    /// Waits until there is nothing more to read.
    pub(crate) async fn ended(&mut self) {
        let Some(reading) = &mut self.reading else { return };
        let finished = (&mut reading.task).await;
        self.reading = None;
        match finished {
            Ok(recorder) => self.idle = Some(recorder),
            Err(fault) => error!(error = %fault, "reading the output of a container failed: {fault}"),
        }
    }

    /// Tells whether there may be more to read.
    pub(crate) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Notes that some output was missed.
    pub(crate) fn note_loss(&mut self) {
        if let Some(recorder) = &mut self.idle {
            recorder.note_loss();
        }
    }

    /// Reads on from a new connection, after the last one ended.
    pub(crate) fn resume(&mut self, mut frames: Frames) {
        let Some(mut recorder) = self.idle.take() else { return };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = self.tracker.spawn(async move {
            tokio::select! {
                () = recorder.record(&mut frames) => {}
                () = stopped.cancelled() => recorder.note_loss(),
            }
            recorder
        });
        self.reading = Some(Reading { task, stop });
    }

    /// Ends reading, after waiting for what is still on its way; returns the recorder unless it is lost.
    pub(crate) async fn close(mut self, patience: Duration) -> Option<Recorder> {
        if tokio::time::timeout(patience, self.ended()).await.is_err() {
            if let Some(reading) = &self.reading {
                reading.stop.cancel();
            }
            self.ended().await;
        }
        self.idle.take()
    }
}
