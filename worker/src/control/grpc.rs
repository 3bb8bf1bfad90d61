//! The API over gRPC: the only file that knows tonic and the messages.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use futures_util::{Stream, stream};
use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tracing::{debug, error, info, warn};
use tstr_proto::convert;
use tstr_proto::status;
use tstr_proto::v1 as pb;
use tstr_proto::v1::runner_service_client::RunnerServiceClient;
use tstr_shared::artifacts::{Blob, Collected, ContentHash};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunnerId;
use tstr_shared::lease::{Fence, LeasedRun};
use tstr_shared::logs::{LogChunk, LogOffsets, LogSeal};
use tstr_shared::output::Output;
use tstr_shared::run::Outcome;
use tstr_shared::runner::{NewRunner, Unfit};

use super::{Backoff, Beat, BlobData, Claim, ControlError, ControlPlane, Registration, Release};

/// How long an ordinary call may take before it is repeated.
const CALL: Duration = Duration::from_secs(10);
/// How long a call that carries much may take.
const BULK: Duration = Duration::from_secs(30);
/// How long reading reports may take until it is asked for again.
const READING: Duration = Duration::from_secs(240);
/// How long a content may take, and a second more for each 16 KiB of it: the API waits for slow pieces, and for a turn.
const PUT: Duration = Duration::from_secs(90);
const PUT_EACH: u64 = 16 << 10;
/// A content is given up when the API says for so long that it cannot take it now.
const ILL: Duration = Duration::from_secs(30);
/// How much longer than the API is told to wait a claim may take.
const CLAIM_MARGIN: Duration = Duration::from_secs(10);
/// A thousand runs with the largest configurations.
const MAX_ANSWER: usize = 64 << 20;
/// How often an absent API is mentioned again.
const REMIND: Duration = Duration::from_secs(30);

/// The API over gRPC.
///
/// Connects when it is needed, again after a loss; a call that failed for the sake of the connection or of the server
/// is repeated after a growing, random delay.
pub struct GrpcControl {
    client: RunnerServiceClient<Channel>,
    runner_id: RunnerId,
    token_file: PathBuf,
    token: Mutex<MetadataValue<Ascii>>,
}

impl GrpcControl {
    /// Prepares a connection to `endpoint` (`http://host:port`) with the token in `token_file`; connects to nothing.
    ///
    /// # Errors
    ///
    /// Fails when the address or the token cannot be read.
    pub fn new(endpoint: &str, token_file: &Path, runner_id: RunnerId) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(endpoint.to_owned())
            .with_context(|| format!("'{endpoint}' is not an address"))?
            .user_agent(concat!("tstr-worker/", env!("CARGO_PKG_VERSION")))?
            .connect_timeout(Duration::from_secs(5))
            // A peer that is gone without a word is noticed in the time of two heartbeats.
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true)
            .tcp_nodelay(true)
            .connect_lazy();
        let client = RunnerServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER);
        let token = Mutex::new(read_token(token_file)?);
        Ok(Self { client, runner_id, token_file: token_file.to_owned(), token })
    }

    /// Makes a call once, and once more when the token was refused and its file holds another one now.
    async fn once<M, R, F>(
        &self,
        message: &M,
        within: Duration,
        call: &impl Fn(RunnerServiceClient<Channel>, Request<M>) -> F,
    ) -> Result<R, Status>
    where
        M: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let mut renewed = false;
        loop {
            let mut request = Request::new(message.clone());
            // Told to the server, which may give up then; and kept here, for the server may be gone.
            request.set_timeout(within);
            request.metadata_mut().insert("authorization", self.bearer());
            let answer = tokio::time::timeout(within, call(self.client.clone(), request))
                .await
                .unwrap_or_else(|_| Err(Status::deadline_exceeded(format!("no answer within {within:?}"))));
            match answer {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if status.code() == Code::Unauthenticated && !renewed && self.renew_token() => {
                    renewed = true
                }
                Err(status) => return Err(status),
            }
        }
    }

    /// Makes a call until the API has answered.
    async fn until_answered<M, R, F>(
        &self,
        what: &str,
        message: M,
        within: Duration,
        call: impl Fn(RunnerServiceClient<Channel>, Request<M>) -> F,
    ) -> Result<R, ControlError>
    where
        M: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        self.until_answered_or_ill(what, message, within, Duration::MAX, call).await
    }

    /// Makes a call until the API has answered, or has said for so long that it cannot.
    async fn until_answered_or_ill<M, R, F>(
        &self,
        what: &str,
        message: M,
        within: Duration,
        ill: Duration,
        call: impl Fn(RunnerServiceClient<Channel>, Request<M>) -> F,
    ) -> Result<R, ControlError>
    where
        M: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let mut backoff = Backoff::default();
        let mut said = Instant::now();
        let mut ill_since = None;
        loop {
            let status = match self.once(&message, within, &call).await {
                Ok(answer) => {
                    if backoff.tries() > 0 {
                        info!(call = what, "the API answers again after {} tries of '{what}'", backoff.tries());
                    }
                    return Ok(answer);
                }
                Err(status) => status,
            };
            match classify(&status) {
                ControlError::Unavailable(why) => {
                    if backoff.tries() == 0 || said.elapsed() > REMIND {
                        said = Instant::now();
                        warn!(call = what, error = %why, "the API does not answer '{what}', trying again: {why}");
                    }
                    // An API that is gone may come back; this one is there.
                    let is_there = status::error_code(&status).is_some();
                    if is_there && ill_since.get_or_insert_with(Instant::now).elapsed() >= ill {
                        return Err(ControlError::Unavailable(why));
                    }
                    backoff.wait().await;
                }
                terminal => return Err(terminal),
            }
        }
    }

    fn bearer(&self) -> MetadataValue<Ascii> {
        self.token.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Reads the token's file again; tells whether the token is another one now.
    fn renew_token(&self) -> bool {
        let Ok(fresh) = read_token(&self.token_file) else { return false };
        let mut token = self.token.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let differs = *token != fresh;
        if differs {
            info!("the token was refused and its file has changed: using the new one");
            *token = fresh;
        }
        differs
    }

    fn runner(&self) -> String {
        self.runner_id.to_string()
    }
}

#[async_trait]
impl ControlPlane for GrpcControl {
    async fn register(&self, runner: &NewRunner) -> Result<Registration, ControlError> {
        let message = pb::RegisterRunnerRequest::from(runner.clone());
        let answer = self
            .until_answered("register", message, CALL, |mut client, request| async move {
                client.register_runner(request).await
            })
            .await?;
        let times = answer.times.ok_or_else(|| misunderstood("an answer without lease times"))?.into();
        Ok(Registration { namespaces: answer.namespaces, times })
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<LeasedRun>, ControlError> {
        let message = pb::ClaimRunsRequest {
            runner_id: claim.runner_id.to_string(),
            max: claim.max,
            wait_ms: u32::try_from(claim.wait.as_millis()).unwrap_or(u32::MAX),
            claim_id: claim.id.to_string(),
            only_repeat: claim.only_repeat,
            first: false,
        };
        let within = claim.wait + CLAIM_MARGIN;
        // A try whose answer was lost may have been given runs; only before it there is none.
        let first = AtomicBool::new(!claim.only_repeat);
        let answer = self
            .until_answered("claim", message, within, |mut client, mut request: Request<pb::ClaimRunsRequest>| {
                request.get_mut().first = first.swap(false, Ordering::Relaxed);
                async move { client.claim_runs(request).await }
            })
            .await?;
        let read = |run| match LeasedRun::try_from(run) {
            Ok(run) => Some(run),
            // The server takes a lease back that is never listed in a heartbeat.
            Err(fault) => {
                error!(error = %fault, "a run was handed out that this worker does not understand: {fault}");
                None
            }
        };
        Ok(answer.runs.into_iter().filter_map(read).collect())
    }

    async fn start(&self, fence: Fence) -> Result<(), ControlError> {
        let message = pb::StartRunRequest { runner_id: self.runner(), fence: Some(fence.into()) };
        self.until_answered(
            "start",
            message,
            CALL,
            |mut client, request| async move { client.start_run(request).await },
        )
        .await
        .map(|_| ())
    }

    async fn heartbeat(&self, fences: &[Fence], unfit: Option<Unfit>, within: Duration) -> Result<Beat, ControlError> {
        let fences = fences.iter().copied().map(Into::into).collect();
        let unfit = unfit.map(Unfit::word).unwrap_or_default().to_owned();
        let message = pb::HeartbeatRequest { runner_id: self.runner(), fences, unfit };
        let call = |mut client: RunnerServiceClient<Channel>, request| async move { client.heartbeat(request).await };
        let answer = self.once(&message, within, &call).await.map_err(|status| classify(&status))?;
        let mut leases = Vec::with_capacity(answer.leases.len());
        for lease in answer.leases {
            let fence: Fence =
                convert::required_part("/fence", lease.fence).map_err(|fault| misunderstood(&fault.to_string()))?;
            match convert::word("/state", lease.state) {
                Ok(Some(state)) => leases.push((fence, state)),
                // A word of a newer server: neither a confirmation nor a loss.
                Ok(None) | Err(_) => {
                    debug!(run.id = %fence.run_id, state = lease.state, "a heartbeat answered an unknown state")
                }
            }
        }
        Ok(Beat { leases, draining: answer.draining })
    }

    async fn append_logs(&self, fence: Fence, chunks: &[LogChunk]) -> Result<LogOffsets, ControlError> {
        let chunks = chunks.iter().cloned().map(Into::into).collect();
        let message = pb::AppendLogsRequest { runner_id: self.runner(), fence: Some(fence.into()), chunks };
        let answer = self
            .until_answered("append logs", message, BULK, |mut client, request| async move {
                client.append_logs(request).await
            })
            .await?;
        answer.next.map(Into::into).ok_or_else(|| misunderstood("an answer without offsets"))
    }

    async fn find_blobs(&self, fence: Fence, blobs: &[Blob]) -> Result<Vec<ContentHash>, ControlError> {
        let blobs = blobs.iter().copied().map(Into::into).collect();
        let message = pb::FindBlobsRequest { runner_id: self.runner(), fence: Some(fence.into()), blobs };
        let answer = self
            .until_answered("find blobs", message, BULK, |mut client, request| async move {
                client.find_blobs(request).await
            })
            .await?;
        let hash = |bytes| convert::hash("/missing", bytes).map_err(|fault| misunderstood(&fault.to_string()));
        answer.missing.into_iter().map(hash).collect()
    }

    async fn put_blob(&self, fence: Fence, data: &BlobData) -> Result<(), ControlError> {
        let within = PUT + Duration::from_secs(data.blob.bytes / PUT_EACH);
        let runner = self.runner();
        self.until_answered_or_ill("put blob", data.clone(), within, ILL, |mut client, request: Request<BlobData>| {
            let request = request.map(|data| pieces(runner.clone(), fence, data));
            async move { client.put_blob(request).await }
        })
        .await
        .map(|_| ())
    }

    async fn record_artifacts(&self, fence: Fence, collected: &Collected) -> Result<bool, ControlError> {
        let message = pb::RecordArtifactsRequest {
            runner_id: self.runner(),
            fence: Some(fence.into()),
            files: collected.files.iter().cloned().map(Into::into).collect(),
            notes: collected.notes.iter().cloned().map(Into::into).collect(),
        };
        self.until_answered("record artifacts", message, BULK, |mut client, request| async move {
            client.record_artifacts(request).await
        })
        .await
        .map(|answer| answer.may_have_reports)
    }

    async fn read_reports(&self, fence: Fence, outcome: &Outcome) -> Result<Outcome, ControlError> {
        let message = pb::ReadReportsRequest {
            runner_id: self.runner(),
            fence: Some(fence.into()),
            outcome: Some(outcome.clone().into()),
        };
        let answer = self
            .until_answered("read reports", message, READING, |mut client, request| async move {
                client.read_reports(request).await
            })
            .await?;
        let ruled = answer.outcome.ok_or_else(|| "no outcome".to_owned());
        let ruled = ruled.and_then(|ruled| Outcome::try_from(ruled).map_err(|fault| fault.to_string()));
        ruled.map_err(|fault| ControlError::Refused { code: None, message: format!("its answer is none: {fault}") })
    }

    async fn record_output(&self, fence: Fence, output: &Output) -> Result<(), ControlError> {
        let (runner_id, output) = (self.runner(), Some(output.clone().into()));
        let message = pb::RecordOutputRequest { runner_id, fence: Some(fence.into()), output };
        self.until_answered("record output", message, BULK, |mut client, request| async move {
            client.record_output(request).await
        })
        .await
        .map(|_| ())
    }

    async fn finish(
        &self,
        fence: Fence,
        outcome: &Outcome,
        seal: &LogSeal,
    ) -> Result<Option<LogOffsets>, ControlError> {
        let message = pb::FinishRunRequest {
            runner_id: self.runner(),
            fence: Some(fence.into()),
            outcome: Some(outcome.clone().into()),
            seal: Some(seal.clone().into()),
        };
        let answer =
            self.until_answered("finish", message, CALL, |mut client, request| async move {
                client.finish_run(request).await
            })
            .await?;
        Ok(answer.missing_from.map(Into::into))
    }

    async fn release(&self, fence: Fence, release: &Release) -> Result<(), ControlError> {
        let message = pb::ReleaseRunRequest {
            runner_id: self.runner(),
            fence: Some(fence.into()),
            reason: release.reason.map(|reason| reason.word().to_owned()).unwrap_or_default(),
            message: release.message.clone(),
            seal: Some(release.seal.clone().into()),
        };
        self.until_answered(
            "release",
            message,
            CALL,
            |mut client, request| async move { client.release_run(request).await },
        )
        .await
        .map(|_| ())
    }
}

/// Returns the messages that carry a content. They end early when it cannot be read; the API refuses it then.
fn pieces(runner_id: String, fence: Fence, data: BlobData) -> impl Stream<Item = pb::PutBlobRequest> + Send + 'static {
    let first = Some(pb::PutBlobRequest {
        runner_id,
        fence: Some(fence.into()),
        blob: Some(data.blob.into()),
        data: Vec::new(),
    });
    stream::unfold((data, 0u64, first), |(data, from, first)| async move {
        if from >= data.blob.bytes && first.is_none() {
            return None;
        }
        let piece = match data.piece(from).await {
            Ok(piece) => piece,
            Err(error) => {
                error!(error = %error, "a file that was collected cannot be read again: {error}");
                return None;
            }
        };
        let next = from + piece.len() as u64;
        Some((pb::PutBlobRequest { data: piece, ..first.unwrap_or_default() }, (data, next, None)))
    })
}

/// Tells what a failed call means to a worker; `Unavailable` is what may be repeated.
fn classify(status: &Status) -> ControlError {
    let message = if status.message().is_empty() { status.code().to_string() } else { status.message().to_owned() };
    let code = status::error_code(status);
    match (status.code(), code) {
        (Code::Unauthenticated, _) => ControlError::Unauthenticated(message),
        (_, Some(ErrorCode::LeaseLost)) => ControlError::LeaseLost(message),
        // The server's own word; a proxy's or the transport's is judged by the status's code below.
        (_, Some(code)) if code.is_retryable() || code == ErrorCode::Internal => ControlError::Unavailable(message),
        (_, Some(code)) => ControlError::Refused { code: Some(code), message },
        // Cancelled and unknown are what tonic says when a server went away in the middle of a call.
        (
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
            | Code::Aborted
            | Code::ResourceExhausted,
            None,
        ) => ControlError::Unavailable(message),
        (_, None) => ControlError::Refused { code: None, message },
    }
}

fn misunderstood(what: &str) -> ControlError {
    ControlError::Refused { code: None, message: format!("{what}, which this worker does not understand") }
}

fn read_token(path: &Path) -> anyhow::Result<MetadataValue<Ascii>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the token file {}", path.display()))?;
    let mut value: MetadataValue<Ascii> =
        format!("Bearer {}", text.trim()).parse().ok().with_context(|| format!("{} holds no token", path.display()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_repeating_can_cure_is_repeated() {
        let said = |code: ErrorCode, grpc| status::encode(code, grpc, "x", &[], false, None);
        let repeated = |status: &Status| matches!(classify(status), ControlError::Unavailable(_));
        assert!(repeated(&said(ErrorCode::Unavailable, Code::Unavailable)));
        assert!(repeated(&said(ErrorCode::Internal, Code::Internal)));
        assert!(repeated(&Status::unavailable("connection refused")));
        assert!(repeated(&Status::unknown("h2 protocol error")));
        assert!(repeated(&Status::deadline_exceeded("late")));
        assert!(!repeated(&said(ErrorCode::Conflict, Code::AlreadyExists)));
        assert!(!repeated(&Status::unimplemented("old server")));
        assert!(matches!(classify(&said(ErrorCode::LeaseLost, Code::FailedPrecondition)), ControlError::LeaseLost(_)));
        assert!(matches!(
            classify(&said(ErrorCode::Unauthenticated, Code::Unauthenticated)),
            ControlError::Unauthenticated(_)
        ));
    }

    #[test]
    fn a_refused_token_is_read_again_and_used_only_when_it_differs() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "one\n").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let id = RunnerId(uuid::Uuid::new_v4());
        let control = GrpcControl::new("http://127.0.0.1:1", &file, id).unwrap();
        assert!(!control.renew_token());
        std::fs::write(&file, "two\n").unwrap();
        assert!(control.renew_token());
        assert_eq!(control.bearer().to_str().unwrap(), "Bearer two");
        std::fs::remove_file(&file).unwrap();
        assert!(!control.renew_token());
    }
}
