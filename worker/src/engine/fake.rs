//! A scripted engine: containers that write, wait, exit and fail as a test says.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tstr_shared::ids::RunnerId;
use tstr_shared::logs::Stream;

use super::{
    Archive, ContainerSpec, Engine, EngineAbout, EngineError, Frame, Frames, Image, Kill, LABEL_WORKER, Phase,
    Processes,
};

/// What the containers of an image do.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// What is written at once after the start.
    pub output: Vec<(Stream, Vec<u8>)>,
    /// How long the container runs by itself; `None` means until it is stopped.
    pub runs_for: Option<Duration>,
    /// How it exits by itself.
    pub exit_code: i32,
    /// It goes on after SIGTERM.
    pub ignores_term: bool,
    /// Making it fails so.
    pub create_fault: Option<EngineError>,
    /// Starting it fails so.
    pub start_fault: Option<EngineError>,
    /// The image is not there before it is pulled.
    pub must_be_pulled: bool,
    /// What can be copied out of it at its end: the archives of folders and files.
    pub archives: BTreeMap<String, Vec<u8>>,
    /// Copying begins after so long.
    pub copies_after: Duration,
    /// Copying fails so, after what the archive holds.
    pub copy_fault: Option<EngineError>,
}

impl Script {
    /// Makes the script of a container that writes a text and exits at once.
    pub fn writes(text: &str, exit_code: i32) -> Self {
        let output = vec![(Stream::Stdout, text.as_bytes().to_vec())];
        Self { output, exit_code, runs_for: Some(Duration::ZERO), ..Self::default() }
    }

    /// Makes the script of a container that runs until it is stopped.
    pub fn runs_on() -> Self {
        Self::default()
    }
}

/// The scripted engine.
#[derive(Debug, Clone, Default)]
pub struct FakeEngine(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    images: HashMap<String, Script>,
    containers: BTreeMap<String, Container>,
    specs: Vec<ContainerSpec>,
    events: Vec<String>,
    refused_removals: u32,
}

#[derive(Debug)]
struct Container {
    script: Script,
    labels: BTreeMap<String, String>,
    phase: watch::Sender<Phase>,
    output: Option<mpsc::UnboundedSender<Result<Frame, EngineError>>>,
}

impl FakeEngine {
    /// Makes an engine without images.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an image whose containers follow a script.
    #[must_use]
    pub fn with(self, reference: &str, script: Script) -> Self {
        self.lock().images.insert(reference.into(), script);
        self
    }

    /// Returns what was done, in order: `create NAME`, `start NAME`, `term NAME`, `kill NAME`, `remove NAME`.
    pub fn events(&self) -> Vec<String> {
        self.lock().events.clone()
    }

    /// Returns the names of the containers that are there.
    pub fn containers(&self) -> Vec<String> {
        self.lock().containers.keys().cloned().collect()
    }

    /// Returns what containers were asked for.
    pub fn specs(&self) -> Vec<ContainerSpec> {
        self.lock().specs.clone()
    }

    /// Leaves a running container of a worker behind, as a crashed worker does.
    pub fn leave_behind(&self, name: &str, worker: RunnerId) {
        let labels = BTreeMap::from([(LABEL_WORKER.to_owned(), worker.to_string())]);
        let (phase, _) = watch::channel(Phase::Running);
        let left = Container { script: Script::runs_on(), labels, phase, output: None };
        self.lock().containers.insert(name.into(), left);
    }

    /// Refuses to remove containers so many times.
    pub fn refuse_removals(&self, times: u32) {
        self.lock().refused_removals = times;
    }

    /// Lets the monitor of a container die.
    pub fn lose_monitor(&self, name: &str) {
        if let Some(container) = self.lock().containers.get_mut(name) {
            container.phase.send_replace(Phase::Orphaned);
            container.output = None;
        }
    }

    /// Breaks the connection to the output of a container, which goes on.
    pub fn break_output(&self, name: &str) {
        if let Some(output) = self.lock().containers.get_mut(name).and_then(|container| container.output.take()) {
            let _ = output.send(Err(EngineError::Unreachable("broken".into())));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, name: &str, code: i32) {
        if let Some(container) = self.lock().containers.get_mut(name) {
            if *container.phase.borrow() == Phase::Running {
                container.phase.send_replace(Phase::Exited { code, oom_killed: false, at: None });
            }
            container.output = None;
        }
    }

    fn watch(&self, name: &str) -> Result<watch::Receiver<Phase>, EngineError> {
        let state = self.lock();
        let container = state.containers.get(name).ok_or_else(|| EngineError::NotFound("no such container".into()))?;
        Ok(container.phase.subscribe())
    }
}

#[async_trait]
impl Engine for FakeEngine {
    async fn about(&self) -> Result<EngineAbout, EngineError> {
        Ok(EngineAbout {
            engine: "fake 1".into(),
            platform: "linux/none".into(),
            limits_enforced: tstr_shared::runner::LIMITS.map(str::to_owned).to_vec(),
            ..EngineAbout::default()
        })
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        let state = self.lock();
        let image = state.images.get(reference).filter(|script| !script.must_be_pulled);
        Ok(image.map(|_| Image { id: reference.into(), digest: Some("sha256:fake".into()), env: Vec::new() }))
    }

    async fn pull(&self, reference: &str) -> Result<(), EngineError> {
        match self.lock().images.get_mut(reference) {
            Some(script) => {
                script.must_be_pulled = false;
                Ok(())
            }
            None => Err(EngineError::Refused(format!("{reference}: manifest unknown"))),
        }
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<Vec<String>, EngineError> {
        let mut state = self.lock();
        let script = state.images.get(&spec.image).cloned().unwrap_or_default();
        state.events.push(format!("create {}", spec.name));
        state.specs.push(spec.clone());
        if let Some(fault) = script.create_fault {
            return Err(fault);
        }
        let (phase, _) = watch::channel(Phase::Created);
        let container = Container { script, labels: spec.labels.clone(), phase, output: None };
        state.containers.insert(spec.name.clone(), container);
        Ok(Vec::new())
    }

    async fn attach(&self, name: &str) -> Result<Frames, EngineError> {
        let mut state = self.lock();
        let container =
            state.containers.get_mut(name).ok_or_else(|| EngineError::NotFound("no such container".into()))?;
        let (sender, receiver) = mpsc::unbounded_channel();
        container.output = Some(sender);
        Ok(UnboundedReceiverStream::new(receiver).boxed())
    }

    async fn processes(&self, _: &str) -> Result<Option<Processes>, EngineError> {
        Ok(None)
    }

    async fn start(&self, name: &str) -> Result<(), EngineError> {
        let (fault, ends) = {
            let mut state = self.lock();
            state.events.push(format!("start {name}"));
            let container =
                state.containers.get_mut(name).ok_or_else(|| EngineError::NotFound("no such container".into()))?;
            let fault = container.script.start_fault.clone();
            if fault.is_none() {
                container.phase.send_replace(Phase::Running);
                for (stream, data) in &container.script.output {
                    if let Some(output) = &container.output {
                        let _ = output.send(Ok(Frame { stream: *stream, data: data.clone() }));
                    }
                }
            }
            (fault, container.script.runs_for.map(|after| (after, container.script.exit_code)))
        };
        if let Some(fault) = fault {
            return Err(fault);
        }
        if let Some((after, code)) = ends {
            let (engine, name) = (self.clone(), name.to_owned());
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                engine.end(&name, code);
            });
        }
        Ok(())
    }

    async fn wait(&self, name: &str, within: Duration) -> Result<Phase, EngineError> {
        let mut phase = self.watch(name)?;
        let ended = phase.wait_for(|phase| matches!(phase, Phase::Exited { .. }));
        match tokio::time::timeout(within, ended).await {
            Ok(Ok(phase)) => return Ok(*phase),
            Ok(Err(_)) => return Err(EngineError::NotFound("no such container".into())),
            Err(_) => {}
        }
        self.phase(name).await
    }

    async fn phase(&self, name: &str) -> Result<Phase, EngineError> {
        Ok(*self.watch(name)?.borrow())
    }

    async fn kill(&self, name: &str, signal: Kill) -> Result<(), EngineError> {
        let ends = {
            let mut state = self.lock();
            let word = if signal == Kill::Term { "term" } else { "kill" };
            state.events.push(format!("{word} {name}"));
            let Some(container) = state.containers.get(name) else { return Ok(()) };
            signal == Kill::Kill || !container.script.ignores_term
        };
        if ends {
            self.end(name, if signal == Kill::Term { 143 } else { 137 });
        }
        Ok(())
    }

    async fn copy_out(&self, name: &str, path: &str) -> Result<Option<Archive>, EngineError> {
        let script = {
            let state = self.lock();
            let container = state.containers.get(name);
            let container = container.ok_or_else(|| EngineError::NotFound("no such container".into()))?;
            assert!(matches!(*container.phase.borrow(), Phase::Exited { .. }), "nothing is copied out of what runs");
            container.script.clone()
        };
        tokio::time::sleep(script.copies_after).await;
        let Some(archive) = script.archives.get(path) else { return Ok(None) };
        // In pieces that end anywhere.
        let pieces: Vec<_> = archive.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Ok(Some(stream::iter(pieces.into_iter().chain(script.copy_fault.map(Err))).boxed()))
    }

    async fn remove(&self, name: &str) -> Result<(), EngineError> {
        let mut state = self.lock();
        if let Some(left) = state.refused_removals.checked_sub(1) {
            state.refused_removals = left;
            return Err(EngineError::Unreachable("it is being removed".into()));
        }
        state.events.push(format!("remove {name}"));
        state.containers.remove(name);
        Ok(())
    }

    async fn made_by(&self, worker: RunnerId) -> Result<Vec<String>, EngineError> {
        let (state, worker) = (self.lock(), worker.to_string());
        let ours = state.containers.iter().filter(|(_, c)| c.labels.get(LABEL_WORKER) == Some(&worker));
        Ok(ours.map(|(name, _)| name.clone()).collect())
    }
}
