//! What a worker may ask of the API, and no more: the calls of `RunnerService`.
//!
//! Every call may be repeated; all but the heartbeat repeat themselves until the API has answered, so a caller bounds
//! one by dropping it. The heartbeat does not, for its loop is the repetition.

mod blob;
#[cfg(any(test, feature = "test-support"))]
pub mod fake;
mod grpc;
mod retry;

use std::time::Duration;

use async_trait::async_trait;
use tstr_shared::artifacts::{Blob, Collected, ContentHash};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunnerId;
use tstr_shared::lease::{Fence, LeaseState, LeaseTimes, LeasedRun};
use tstr_shared::logs::{LogChunk, LogOffsets, LogSeal};
use tstr_shared::output::Output;
use tstr_shared::run::{Outcome, Reason};
use tstr_shared::runner::{NewRunner, Unfit};
use uuid::Uuid;

pub use blob::BlobData;
pub use grpc::GrpcControl;
pub(crate) use retry::{Backoff, random_fraction};

/// Why a call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The token is refused, also after its file was read again: the worker cannot go on.
    #[error("the API refuses the worker's token: {0}")]
    Unauthenticated(String),
    /// The fence is not the current one: the attempt is over, and nothing of it may be reported.
    #[error("the lease is lost: {0}")]
    LeaseLost(String),
    /// The API does not want the call, and repeating it would not help.
    #[error("the API refused: {message}")]
    Refused {
        /// The kind of refusal, where the API said it.
        code: Option<ErrorCode>,
        /// What it said.
        message: String,
    },
    /// The API did not answer; only from calls that do not repeat themselves, or not for ever.
    #[error("the API does not answer: {0}")]
    Unavailable(String),
}

/// What the API says when a runner registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The namespaces whose runs it takes: the selectors of its token.
    pub namespaces: Vec<String>,
    /// The durations that leases are kept by.
    pub times: LeaseTimes,
}

/// A request for runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The runner.
    pub runner_id: RunnerId,
    /// How many, at most.
    pub max: u32,
    /// How long the API may wait when there is none.
    pub wait: Duration,
    /// New for each claim, the same when it is repeated because its answer was lost.
    pub id: Uuid,
    /// Only what the first try was given is wanted, nothing new.
    pub only_repeat: bool,
}

/// What the API says to a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beat {
    /// The state of each lease.
    pub leases: Vec<(Fence, LeaseState)>,
    /// Somebody asked the runner to take nothing new.
    pub draining: bool,
}

/// Why and how a lease goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Why the attempt is lost; `None` when its container was never started.
    pub reason: Option<Reason>,
    /// A sentence for people.
    pub message: String,
    /// What is to be said about the log.
    pub seal: LogSeal,
}

/// The API as a worker sees it.
#[async_trait]
pub trait ControlPlane: Send + Sync + 'static {
    /// Makes the runner known; refused while a live runner of another id holds the name.
    async fn register(&self, runner: &NewRunner) -> Result<Registration, ControlError>;

    /// Takes runs; waits while there is none.
    async fn claim(&self, claim: Claim) -> Result<Vec<LeasedRun>, ControlError>;

    /// Asks for the permission to start the container (T3).
    async fn start(&self, fence: Fence) -> Result<(), ControlError>;

    /// Extends leases, and says why nothing new is taken, if that is so. Does not repeat itself.
    async fn heartbeat(&self, fences: &[Fence], unfit: Option<Unfit>, within: Duration) -> Result<Beat, ControlError>;

    /// Stores pieces of a log; answers how far the log is stored.
    async fn append_logs(&self, fence: Fence, chunks: &[LogChunk]) -> Result<LogOffsets, ControlError>;

    /// Says that the artifacts of an attempt are being collected, and finds out which of these contents the API does not have.
    async fn find_blobs(&self, fence: Fence, blobs: &[Blob]) -> Result<Vec<ContentHash>, ControlError>;

    /// Stores a content; unavailable when the API goes on saying that it cannot.
    async fn put_blob(&self, fence: Fence, data: &BlobData) -> Result<(), ControlError>;

    /// Records which files an attempt has left behind; refused as a conflict while a content is missing. Tells whether some
    /// of them may be test reports.
    async fn record_artifacts(&self, fence: Fence, collected: &Collected) -> Result<bool, ControlError>;

    /// Lets the reports among the artifacts be read; answers the outcome that they make of this one.
    async fn read_reports(&self, fence: Fence, outcome: &Outcome) -> Result<Outcome, ControlError>;

    /// Records what an attempt said about itself.
    async fn record_output(&self, fence: Fence, output: &Output) -> Result<(), ControlError>;

    /// Records how an attempt ended; when log bytes are missing it records nothing and says from where to send.
    async fn finish(&self, fence: Fence, outcome: &Outcome, seal: &LogSeal)
    -> Result<Option<LogOffsets>, ControlError>;

    /// Gives a lease back.
    async fn release(&self, fence: Fence, release: &Release) -> Result<(), ControlError>;
}
