//! What a run needs of a container engine.
//!
//! A container is known by its name, and so is its volume: `tstr-<run>-<attempt>`. Every call comes back: the engine
//! bounds each in time. Removing what is not there succeeds.

#[cfg(any(test, feature = "test-support"))]
pub mod fake;
mod libpod;
pub mod podman;
mod spec;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use tstr_shared::ids::RunnerId;
use tstr_shared::logs::Stream;
use tstr_shared::testdef::{Network, Resources};

pub use crate::process::Process;

/// The label that holds the run's id.
pub const LABEL_RUN: &str = "tstr.run";
/// The label that holds the attempt's number.
pub const LABEL_ATTEMPT: &str = "tstr.attempt";
/// The label that holds the id of the worker that made a container or a volume.
pub const LABEL_WORKER: &str = "tstr.worker";

/// Why the engine did not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The engine answered, and refused.
    #[error("{0}")]
    Refused(String),
    /// The engine did not answer, or not in time.
    #[error("the container engine does not answer: {0}")]
    Unreachable(String),
}

impl EngineError {
    /// Tells whether the disk of the engine is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Refused(text) if text.contains("no space left on device"))
    }
}

/// What an engine says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineAbout {
    /// The engine and its version, for instance `podman 4.3.1`.
    pub engine: String,
    /// The operating system and architecture.
    pub platform: String,
    /// The limits it enforces, of [`tstr_shared::runner::LIMITS`].
    pub limits_enforced: Vec<String>,
    /// Why it does not enforce the others.
    pub limits_note: Option<String>,
    /// How many containers it has subordinate ids for; `None` when that is not what limits it.
    pub ceiling: Option<usize>,
}

/// An image that the engine has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Names exactly this image.
    pub id: String,
    /// The digest of its manifest.
    pub digest: Option<String>,
    /// The environment variables that it sets, by name.
    pub env: Vec<String>,
}

/// A container to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSpec {
    /// Its name, and that of its volume.
    pub name: String,
    /// Its labels, and those of its volume.
    pub labels: BTreeMap<String, String>,
    /// The id of its image.
    pub image: String,
    /// Replaces the image's entrypoint when it is not empty.
    pub command: Vec<String>,
    /// Replaces the image's arguments when it is not empty.
    pub args: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Variables of the image that it must not have.
    pub unset_env: Vec<String>,
    /// What it may use.
    pub resources: Resources,
    /// What it may reach.
    pub network: Network,
    /// How long it may take from SIGTERM to SIGKILL.
    pub stop_timeout: Duration,
    /// After this time the engine ends it by itself, should the worker not live to do so.
    pub backstop: Duration,
}

/// A piece of output as the engine hands it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where it was written to.
    pub stream: Stream,
    /// What was written.
    pub data: Vec<u8>,
}

/// The output of a container; it ends when the container does, or when the connection to the engine breaks. Where the
/// engine can tell that it broke, the last item is an error: some of the output may be lost.
pub type Frames = BoxStream<'static, Result<Frame, EngineError>>;

/// The bytes of a tar archive; an error is the last item.
pub type Archive = BoxStream<'static, Result<Bytes, EngineError>>;

/// A signal to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// Asks it to end.
    Term,
    /// Ends it.
    Kill,
}

/// Where a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has not been started.
    Created,
    /// It runs.
    Running,
    /// It has ended.
    Exited {
        /// With this code.
        code: i32,
        /// The kernel ended it for its use of memory, as far as the engine can tell.
        oom_killed: bool,
        /// When, as far as the engine knows.
        at: Option<DateTime<Utc>>,
    },
    /// The program that watches it for the engine is gone: nobody will learn how it ends.
    Orphaned,
}

/// The processes of a container that has been set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processes {
    /// The first process of the container; all others end with it.
    pub init: Process,
    /// The program that watches it for the engine.
    pub monitor: Process,
}

/// A container engine.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Asks the engine who it is and what it can enforce.
    async fn about(&self) -> Result<EngineAbout, EngineError>;

    /// Looks for an image among those that the engine has.
    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError>;

    /// Pulls an image from its registry. May be given up by dropping it.
    async fn pull(&self, reference: &str) -> Result<(), EngineError>;

    /// Makes a container and its volume; returns what the engine warned of.
    async fn create(&self, spec: &ContainerSpec) -> Result<Vec<String>, EngineError>;

    /// Attaches to the output of a container; also before it is started, so that nothing is missed.
    async fn attach(&self, name: &str) -> Result<Frames, EngineError>;

    /// Returns the processes of a container whose output is attached to, which sets it up; `None` when its containers
    /// are no processes of this machine.
    async fn processes(&self, name: &str) -> Result<Option<Processes>, EngineError>;

    /// Starts a container.
    async fn start(&self, name: &str) -> Result<(), EngineError>;

    /// Waits until a container has ended, at most `within`; tells where it stands then.
    async fn wait(&self, name: &str, within: Duration) -> Result<Phase, EngineError>;

    /// Tells where a container stands.
    async fn phase(&self, name: &str) -> Result<Phase, EngineError>;

    /// Sends a signal; to send one to a container that has ended succeeds.
    async fn kill(&self, name: &str, signal: Kill) -> Result<(), EngineError>;

    /// Copies a file or a folder out of a container that has ended, as a tar archive in which every name begins with that
    /// of the file or folder. `None` when it is not there, or has nothing in it. Refused where something else stands in
    /// place of a file of result data.
    async fn copy_out(&self, name: &str, path: &str) -> Result<Option<Archive>, EngineError>;

    /// Ends and removes a container and its volume.
    async fn remove(&self, name: &str) -> Result<(), EngineError>;

    /// Returns the names of the containers and volumes that a worker made.
    async fn made_by(&self, worker: RunnerId) -> Result<Vec<String>, EngineError>;
}
