//! Podman behind the [`Engine`] trait: the only file that knows the podman-api crate.
//!
//! The crate has no time-outs and some gaps. Every call is bounded here; create and wait go through [`super::libpod`].
//! Its errors are turned into text at once, for cloning one of them may never end.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use podman_api::conn::TtyChunk;
use podman_api::models::InspectContainerState;
use podman_api::opts::{
    ContainerAttachOpts, ContainerDeleteOpts, ContainerListFilter, ContainerListOpts, PullOpts, VolumeCreateOpts,
    VolumeListFilter, VolumeListOpts,
};
use podman_api::{Error, Podman as Api};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};
use tracing::warn;
use tstr_shared::artifacts::FOLDER;
use tstr_shared::ids::RunnerId;
use tstr_shared::logs::Stream;
use tstr_shared::output::{METRICS_FILE, OUTPUT_FILE, SUMMARY_FILE};

use super::libpod::Libpod;
use super::spec::{self, Host, VOLUME_AT};
use super::{
    Archive, ContainerSpec, Engine, EngineAbout, EngineError, Frame, Frames, Image, Kill, LABEL_WORKER, Phase, Process,
    Processes,
};

/// How long a question may take.
const ASK: Duration = Duration::from_secs(30);
/// How long making, starting or removing a container may take on a busy machine.
const ACT: Duration = Duration::from_secs(120);
/// How long an image may take to arrive when nobody says how long.
const PULL: Duration = Duration::from_secs(30 * 60);
/// The directory for artifacts inside a container's volume.
const ARTIFACTS: &str = "artifacts";

/// The files of result data, of which each is copied by itself.
const RESULT_FILES: [&str; 3] = [OUTPUT_FILE, METRICS_FILE, SUMMARY_FILE];

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Nothing,
    File,
    /// Something that is not copied.
    Other(&'static str),
}

/// Podman, by its socket.
#[derive(Debug)]
pub struct Podman {
    api: Api,
    libpod: Libpod,
    host: OnceLock<Host>,
    pull: Duration,
    /// Where the volumes of the containers are, by the names of the containers.
    volumes: Mutex<HashMap<String, PathBuf>>,
}

impl Podman {
    /// Makes a handle; talks to nobody.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        let socket = socket.into();
        let (api, libpod) = (Api::unix(&socket), Libpod::new(socket));
        Self { api, libpod, host: OnceLock::new(), pull: PULL, volumes: Mutex::default() }
    }

    /// Says how long an image may take to arrive.
    #[must_use]
    pub fn pull_within(self, pull: Duration) -> Self {
        Self { pull, ..self }
    }

    /// Tells whether a Podman service answers at a socket.
    pub async fn answers_at(socket: &Path) -> bool {
        let api = Api::unix(socket);
        matches!(tokio::time::timeout(Duration::from_secs(5), api.ping()).await, Ok(Ok(_)))
    }

    async fn host(&self) -> Result<&Host, EngineError> {
        if let Some(host) = self.host.get() {
            return Ok(host);
        }
        self.about().await?;
        self.host.get().ok_or_else(|| EngineError::Refused("podman says nothing of its host".into()))
    }

    fn volumes(&self) -> std::sync::MutexGuard<'_, HashMap<String, PathBuf>> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether the folder for artifacts of a container is known to have nothing in it. To copy nothing out of a
    /// container takes Podman most of the time of a short test.
    async fn has_no_artifacts(&self, name: &str) -> bool {
        let Some(volume) = self.volumes().get(name).cloned() else { return false };
        tokio::task::spawn_blocking(move || is_empty(&volume.join(ARTIFACTS)).unwrap_or(false)).await.unwrap_or(false)
    }

    /// Looks what stands in place of one of the files of result data; `None` when that is not known. Podman would need much
    /// longer to say that there is nothing, and would follow a link.
    async fn stands_at(&self, name: &str, path: &str) -> Option<Stands> {
        let file = Some(path).filter(|path| RESULT_FILES.contains(path))?.strip_prefix(VOLUME_AT)?.strip_prefix('/')?;
        let place = self.volumes().get(name)?.join(file);
        tokio::task::spawn_blocking(move || match statat(CWD, &place, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Some(Stands::File),
                FileType::Directory => Some(Stands::Other("a folder")),
                FileType::Symlink => Some(Stands::Other("a link")),
                _ => Some(Stands::Other("no ordinary file")),
            },
            Err(rustix::io::Errno::NOENT) => Some(Stands::Nothing),
            Err(_) => None,
        })
        .await
        .ok()?
    }

    async fn inspect(&self, name: &str) -> Result<InspectContainerState, EngineError> {
        let container = self.api.containers().get(name);
        let found = within(ASK, container.inspect()).await?;
        found.state.ok_or_else(|| EngineError::Refused("podman says nothing of the container's state".into()))
    }

    /// Makes the volume with the directory for artifacts in it.
    async fn create_volume(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let labels = spec.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let opts = VolumeCreateOpts::builder().name(&spec.name).labels(labels).build();
        let volume = within(ASK, self.api.volumes().create(&opts)).await?;
        // Podman gives the volume's content to the container's user when it starts (option U), so whoever that is may
        // write here. Copying through the API instead would cost 90 ms a run.
        match volume.mountpoint.map(PathBuf::from) {
            Some(place) => {
                self.volumes().insert(spec.name.clone(), place.clone());
                if let Err(error) = tokio::fs::create_dir(place.join(ARTIFACTS)).await {
                    warn!(container = spec.name, error = %error, "cannot make the directory for artifacts: {error}");
                }
            }
            None => warn!(container = spec.name, "podman does not say where a volume is: no directory for artifacts"),
        }
        Ok(())
    }
}

#[async_trait]
impl Engine for Podman {
    async fn about(&self) -> Result<EngineAbout, EngineError> {
        let info = within(ASK, self.api.info()).await?;
        let host = info.host.ok_or_else(|| EngineError::Refused("podman says nothing of its host".into()))?;
        let version = info.version.and_then(|version| version.version).unwrap_or_default();
        let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
        let rootless = host.security.and_then(|security| security.rootless).unwrap_or(false);
        let controllers = host.cgroup_controllers.unwrap_or_default();
        let unified = host.cgroup_version.as_deref() == Some("v2");
        let has = |name: &str| (unified || !rootless) && controllers.iter().any(|controller| controller == name);
        let known = Host {
            memory: has("memory"),
            cpus: has("cpu"),
            pids: has("pids"),
            own_users: rootless || subordinate_ids_of_root(),
            pasta: major >= 5,
        };
        let enforced = [("memory", known.memory), ("cpus", known.cpus), ("pids", known.pids)];
        let (there, missing): (Vec<_>, Vec<_>) = enforced.into_iter().partition(|(_, is_there)| *is_there);
        let words = |list: &[(&str, bool)]| list.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let limits_note = (!missing.is_empty()).then(|| {
            let why = if rootless && !unified {
                "rootless Podman cannot limit these with cgroup v1; only per-process limits are in force".to_owned()
            } else {
                format!("the cgroup controllers that Podman may use are: {}", controllers.join(", "))
            };
            format!("not enforced: {}; {why}", words(&missing))
        });
        let ceiling = rootless.then(|| {
            let ids = |map: Option<Vec<podman_api::models::IdMap>>| -> i64 {
                map.unwrap_or_default().iter().map(|range| range.size.unwrap_or(0)).sum()
            };
            let (uids, gids) = host.id_mappings.map_or((0, 0), |maps| (ids(maps.uidmap), ids(maps.gidmap)));
            let blocks = usize::try_from(uids.min(gids)).unwrap_or(0) / spec::USERNS_SIZE as usize;
            blocks.saturating_sub(1)
        });
        let _ = self.host.set(known);
        Ok(EngineAbout {
            engine: format!("podman {version}"),
            platform: format!("{}/{}", host.os.unwrap_or_default(), host.arch.unwrap_or_default()),
            limits_enforced: there.iter().map(|(name, _)| (*name).to_owned()).collect(),
            limits_note,
            ceiling,
        })
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        match within(ASK, self.api.images().get(reference).inspect()).await {
            Ok(image) => {
                let env = image.config.and_then(|config| config.env).unwrap_or_default();
                let names = env.iter().map(|pair| pair.split('=').next().unwrap_or_default().to_owned()).collect();
                let id = image.id.ok_or_else(|| EngineError::Refused("podman names an image without an id".into()))?;
                Ok(Some(Image { id, digest: image.digest, env: names }))
            }
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn pull(&self, reference: &str) -> Result<(), EngineError> {
        let opts = PullOpts::builder().reference(reference).quiet(true).build();
        let images = self.api.images();
        let pulling = async {
            let mut reports = images.pull(&opts);
            while let Some(report) = reports.next().await {
                let report = report.map_err(said)?;
                // Failures come with status 200, as one of the lines.
                if let Some(error) = report.error {
                    return Err(EngineError::Refused(error));
                }
            }
            Ok(())
        };
        let refusal = || EngineError::Refused(format!("the image did not arrive within {:?}", self.pull));
        tokio::time::timeout(self.pull, pulling).await.unwrap_or_else(|_| Err(refusal()))
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<Vec<String>, EngineError> {
        let body = spec::create_body(spec, self.host().await?);
        self.create_volume(spec).await?;
        let created = self.libpod.create(&body, ACT).await?;
        Ok(created.warnings.unwrap_or_default())
    }

    async fn attach(&self, name: &str) -> Result<Frames, EngineError> {
        let opts = ContainerAttachOpts::builder().stdout(true).stderr(true).build();
        let container = self.api.containers().get(name);
        let before =
            self.libpod.served_by().await.ok_or_else(|| EngineError::Unreachable("no service is there".into()))?;
        let output = within(ACT, container.attach(&opts)).await?;
        let frames = output.filter_map(|chunk| {
            std::future::ready(match chunk {
                Ok(TtyChunk::StdOut(data)) => Some(Ok(Frame { stream: Stream::Stdout, data })),
                Ok(TtyChunk::StdErr(data)) => Some(Ok(Frame { stream: Stream::Stderr, data })),
                Ok(TtyChunk::StdIn(_)) => None,
                Err(error) => Some(Err(EngineError::Unreachable(error.to_string()))),
            })
        });
        // A service that dies closes the connection just as one whose container has ended does; only that it is
        // another one afterwards, or none, tells the two apart.
        let libpod = self.libpod.clone();
        let end = futures_util::stream::once(async move {
            let after = libpod.served_by().await;
            (after != Some(before))
                .then(|| Err(EngineError::Unreachable("the service that passed the output on is gone".into())))
        });
        let frames = frames.chain(end.filter_map(std::future::ready));
        Ok(frames.boxed())
    }

    async fn processes(&self, name: &str) -> Result<Option<Processes>, EngineError> {
        let state = self.inspect(name).await?;
        let process = |pid: Option<i64>| pid.and_then(Process::with_pid);
        match (process(state.pid), process(state.conmon_pid)) {
            (Some(init), Some(monitor)) => Ok(Some(Processes { init, monitor })),
            (None, _) => Err(EngineError::Refused("podman names no process of the container".into())),
            (_, None) => Err(EngineError::Refused("podman names no monitor of the container".into())),
        }
    }

    async fn start(&self, name: &str) -> Result<(), EngineError> {
        within(ACT, self.api.containers().get(name).start(None)).await.or_else(|error| unless_status(304, error))
    }

    async fn wait(&self, name: &str, at_most: Duration) -> Result<Phase, EngineError> {
        match tokio::time::timeout(at_most, self.libpod.wait(name, at_most + ASK)).await {
            Err(_) => self.phase(name).await,
            Ok(Err(error)) => Err(error),
            Ok(Ok(code)) => match self.phase(name).await? {
                exited @ Phase::Exited { .. } => Ok(exited),
                // Not yet noted by the engine; its wait knew the code all the same.
                Phase::Created | Phase::Running | Phase::Orphaned => {
                    Ok(Phase::Exited { code, oom_killed: false, at: None })
                }
            },
        }
    }

    async fn phase(&self, name: &str) -> Result<Phase, EngineError> {
        let state = self.inspect(name).await?;
        Ok(match state.status.as_deref().unwrap_or_default() {
            "exited" | "stopped" => exited(&state),
            "created" | "configured" | "initialized" => Phase::Created,
            // Podman goes on saying «running» when the monitor that would tell it otherwise has died.
            _ if state.conmon_pid.is_some_and(|pid| pid > 0 && Process::with_pid(pid).is_none()) => {
                // The monitor may have ended in good order since the container was looked at.
                let again = self.inspect(name).await?;
                match again.status.as_deref() {
                    Some("exited" | "stopped") => exited(&again),
                    _ => Phase::Orphaned,
                }
            }
            _ => Phase::Running,
        })
    }

    async fn kill(&self, name: &str, signal: Kill) -> Result<(), EngineError> {
        let word = match signal {
            Kill::Term => "TERM",
            Kill::Kill => "KILL",
        };
        match within(ASK, self.api.containers().get(name).send_signal(word)).await {
            Err(EngineError::Refused(text)) if text.contains("can only kill running containers") => Ok(()),
            Err(EngineError::NotFound(_)) => Ok(()),
            answer => answer,
        }
    }

    async fn copy_out(&self, name: &str, path: &str) -> Result<Option<Archive>, EngineError> {
        if path == FOLDER && self.has_no_artifacts(name).await {
            return Ok(None);
        }
        match self.stands_at(name, path).await {
            Some(Stands::Nothing) => return Ok(None),
            Some(Stands::Other(what)) => return Err(EngineError::Refused(format!("{what} stands in its place"))),
            Some(Stands::File) | None => {}
        }
        match self.libpod.archive(name, path, ACT).await {
            Ok(archive) => Ok(Some(archive)),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn remove(&self, name: &str) -> Result<(), EngineError> {
        self.volumes().remove(name);
        let opts = ContainerDeleteOpts::builder().force(true).volumes(true).timeout(0).build();
        let container = self.api.containers().get(name);
        let mut outcome = Ok(());
        for pause in [200, 500, 1000, 0] {
            outcome = match within(ACT, container.delete(&opts)).await {
                Ok(()) | Err(EngineError::NotFound(_)) => Ok(()),
                Err(error) => Err(error),
            };
            if outcome.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        // By force this also removes a container that still holds the volume, which is how one is got rid of whose
        // monitor has died.
        match within(ACT, self.api.volumes().get(name).remove()).await {
            Ok(()) => Ok(()),
            Err(EngineError::NotFound(_)) => outcome,
            Err(error) => outcome.and(Err(error)),
        }
    }

    async fn made_by(&self, worker: RunnerId) -> Result<Vec<String>, EngineError> {
        let (key, value) = (LABEL_WORKER.to_owned(), worker.to_string());
        let opts = ContainerListOpts::builder()
            .all(true)
            .filter([ContainerListFilter::LabelKeyVal(key.clone(), value.clone())])
            .build();
        let containers = within(ASK, self.api.containers().list(&opts)).await?;
        let opts = VolumeListOpts::builder().filter([VolumeListFilter::LabelKeyVal(key, value)]).build();
        let volumes = within(ASK, self.api.volumes().list(&opts)).await?;
        let mut names: Vec<String> = containers.into_iter().filter_map(|c| c.names).flatten().collect();
        names.extend(volumes.into_iter().map(|volume| volume.name));
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}

/// Tells whether a folder has nothing in it; what a container put in its place is not followed.
fn is_empty(folder: &Path) -> rustix::io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(CWD, folder, flags, Mode::empty())?;
    for entry in Dir::read_from(folder)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn exited(state: &InspectContainerState) -> Phase {
    Phase::Exited {
        code: state.exit_code.unwrap_or(-1),
        oom_killed: state.oom_killed.unwrap_or(false),
        at: state.finished_at,
    }
}

/// Bounds a call in time and turns its error into ours.
async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, Error>>) -> Result<T, EngineError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(said),
        Err(_) => Err(EngineError::Unreachable(format!("no answer within {limit:?}"))),
    }
}

/// Turns an error into ours. By value: to clone one of them may recurse for ever.
fn said(error: Error) -> EngineError {
    match error {
        Error::Fault { code, message } if code.as_u16() == 404 => EngineError::NotFound(once(&message)),
        Error::Fault { code, message } if code.as_u16() == 304 => {
            EngineError::Refused("status 304".to_owned() + &message)
        }
        Error::Fault { code: _, message } => EngineError::Refused(once(&message)),
        Error::SerdeJsonError(error) => EngineError::Refused(format!("an answer that is not understood: {error}")),
        other => EngineError::Unreachable(other.to_string()),
    }
}

/// Takes a certain status for success.
fn unless_status(status: u16, error: EngineError) -> Result<(), EngineError> {
    match &error {
        EngineError::Refused(text) if text.starts_with(&format!("status {status}")) => Ok(()),
        _ => Err(error),
    }
}

/// Returns a fault's text without the cause, which podman-api appends although Podman's message ends with it.
fn once(text: &str) -> String {
    let repeated = text.match_indices(": ").find(|(at, colon)| text[..*at].ends_with(&text[at + colon.len()..]));
    match repeated {
        Some((at, _)) => text[..at].to_owned(),
        None => text.to_owned(),
    }
}

/// Tells whether root may give ranges of ids to containers: Podman takes those of the user `containers`.
fn subordinate_ids_of_root() -> bool {
    ["/etc/subuid", "/etc/subgid"].iter().all(|path| {
        std::fs::read_to_string(path).is_ok_and(|text| text.lines().any(|line| line.starts_with("containers:")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_repeats_the_message_is_dropped() {
        assert_eq!(once("localhost/x: image not known: image not known"), "localhost/x: image not known");
        assert_eq!(once("no such volume: x: other"), "no such volume: x: other");
        assert_eq!(once("plain"), "plain");
        assert_eq!(once(""), "");
    }

    #[test]
    fn only_a_folder_that_is_one_is_known_to_be_empty() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, link) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(is_empty(&folder).unwrap() && is_empty(&link).is_err() && is_empty(&dir.path().join("c")).is_err());
        std::fs::write(folder.join(".hidden"), "").unwrap();
        assert!(!is_empty(&folder).unwrap());
    }

    #[tokio::test]
    async fn nobody_answers_at_a_socket_that_is_not_there() {
        assert!(!Podman::answers_at(Path::new("/nonexistent/podman.sock")).await);
        let error = Podman::new("/nonexistent/podman.sock").about().await.unwrap_err();
        assert!(matches!(error, EngineError::Unreachable(_)), "{error}");
    }
}
