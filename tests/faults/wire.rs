//! A worker's calls over the wire, made by hand: late ones, repeated ones, and those of a worker without containers.

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tstr_proto::convert::time;
use tstr_proto::status::decode;
use tstr_proto::v1 as pb;
use tstr_proto::v1::runner_service_client::RunnerServiceClient;
use tstr_shared::error::ErrorCode;
use uuid::Uuid;

/// Puts the token into the metadata of each call.
#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Somebody who speaks as a worker.
#[derive(Clone)]
pub struct Wire {
    client: RunnerServiceClient<InterceptedService<Channel, Bearer>>,
    /// The runner it speaks for.
    pub runner: String,
}

/// What a call was refused with.
pub type Refused = Option<ErrorCode>;

fn word(status: Status) -> Refused {
    decode(&status).map(|problem| problem.code)
}

impl Wire {
    /// Prepares to speak for a runner.
    pub fn new(url: &str, token: &str, runner: Uuid) -> Self {
        let channel = Channel::from_shared(url.to_owned()).unwrap().connect_lazy();
        let bearer = Bearer(format!("Bearer {token}").parse().unwrap());
        let client = RunnerServiceClient::with_interceptor(channel, bearer);
        Self { client, runner: runner.to_string() }
    }

    /// Registers the runner with selectors and slots.
    pub async fn register(&self, name: &str, slots: u32) -> Result<(), Refused> {
        let wish =
            pb::RegisterRunnerRequest { id: self.runner.clone(), name: name.into(), slots, ..Default::default() };
        self.client.clone().register_runner(wish).await.map(drop).map_err(word)
    }

    /// Claims what comes within a time.
    pub async fn claim(&self, max: u32, wait_ms: u32) -> Result<Vec<pb::Fence>, Refused> {
        self.claim_as(Uuid::new_v4(), max, wait_ms).await
    }

    /// Claims under an id of the claim.
    pub async fn claim_as(&self, claim_id: Uuid, max: u32, wait_ms: u32) -> Result<Vec<pb::Fence>, Refused> {
        let claim_id = claim_id.to_string();
        self.ask_for(pb::ClaimRunsRequest { max, wait_ms, claim_id, ..Default::default() }).await
    }

    /// The same, and says that it is the first try with this id: nobody looks for what an earlier one was given.
    pub async fn claim_first(&self, claim_id: Uuid, max: u32, wait_ms: u32) -> Result<Vec<pb::Fence>, Refused> {
        let claim_id = claim_id.to_string();
        self.ask_for(pb::ClaimRunsRequest { max, wait_ms, claim_id, first: true, ..Default::default() }).await
    }

    async fn ask_for(&self, mut claim: pb::ClaimRunsRequest) -> Result<Vec<pb::Fence>, Refused> {
        claim.runner_id = self.runner.clone();
        let claimed = self.client.clone().claim_runs(claim).await.map_err(word)?.into_inner();
        Ok(claimed.runs.into_iter().filter_map(|run| run.fence).collect())
    }

    /// Asks for the permission to start.
    pub async fn start(&self, fence: &pb::Fence) -> Result<(), Refused> {
        let start = pb::StartRunRequest { runner_id: self.runner.clone(), fence: Some(fence.clone()) };
        self.client.clone().start_run(start).await.map(drop).map_err(word)
    }

    /// Sends a heartbeat for one lease.
    pub async fn beat(&self, fence: &pb::Fence) -> Result<pb::LeaseState, Refused> {
        let beat =
            pb::HeartbeatRequest { runner_id: self.runner.clone(), fences: vec![fence.clone()], unfit: String::new() };
        let told = self.client.clone().heartbeat(beat).await.map_err(word)?.into_inner();
        Ok(told.leases[0].state())
    }

    /// Sends a heartbeat of somebody who knows of no lease.
    pub async fn beat_with_none(&self) -> Result<(), Refused> {
        let beat = pb::HeartbeatRequest { runner_id: self.runner.clone(), ..Default::default() };
        self.client.clone().heartbeat(beat).await.map(drop).map_err(word)
    }

    /// Appends pieces to the standard output; returns where the log ends.
    pub async fn append(&self, fence: &pb::Fence, pieces: &[(u32, u64, &[u8])]) -> Result<(u32, u64), Refused> {
        let chunk = |(seq, offset, data): &(u32, u64, &[u8])| pb::LogChunk {
            seq: *seq,
            stream: pb::Stream::Stdout.into(),
            offset: *offset,
            reported_at: Some(time(chrono::Utc::now())),
            data: data.to_vec(),
            cut: 0,
        };
        let chunks = pieces.iter().map(chunk).collect();
        let append = pb::AppendLogsRequest { runner_id: self.runner.clone(), fence: Some(fence.clone()), chunks };
        let next = self.client.clone().append_logs(append).await.map_err(word)?.into_inner().next.unwrap_or_default();
        Ok((next.next_seq, next.stdout))
    }

    /// Stores a content that is small.
    pub async fn put(&self, fence: &pb::Fence, content: &[u8]) -> Result<(), Refused> {
        let put = pb::PutBlobRequest {
            runner_id: self.runner.clone(),
            fence: Some(fence.clone()),
            blob: Some(content_of(content)),
            data: content.to_vec(),
        };
        self.client.clone().put_blob(tokio_stream::iter([put])).await.map(drop).map_err(word)
    }

    /// Records files with these paths and contents.
    pub async fn record(&self, fence: &pb::Fence, files: Vec<(String, pb::Blob)>) -> Result<(), Refused> {
        let file = |(path, blob)| pb::CollectedFile { path, blob: Some(blob) };
        let record = pb::RecordArtifactsRequest {
            runner_id: self.runner.clone(),
            fence: Some(fence.clone()),
            files: files.into_iter().map(file).collect(),
            notes: Vec::new(),
        };
        self.client.clone().record_artifacts(record).await.map(drop).map_err(word)
    }

    /// Gives a lease back.
    pub async fn release(&self, fence: &pb::Fence) -> Result<(), Refused> {
        let release =
            pb::ReleaseRunRequest { runner_id: self.runner.clone(), fence: Some(fence.clone()), ..Default::default() };
        self.client.clone().release_run(release).await.map(drop).map_err(word)
    }

    /// Reports a result, with a log of these bytes on the standard output.
    pub async fn finish(&self, fence: &pb::Fence, result: pb::RunResult, log: &[u8]) -> Result<bool, Refused> {
        use sha2::{Digest, Sha256};
        let exit_code = Some(if result == pb::RunResult::Pass { 0 } else { 1 });
        let outcome = pb::Outcome { result: result.into(), exit_code, ..Default::default() };
        let seal = |bytes: &[u8]| pb::StreamSeal {
            bytes: bytes.len() as u64,
            dropped_bytes: 0,
            sha256: Sha256::digest(bytes).to_vec(),
        };
        let seal = pb::LogSeal { stdout: Some(seal(log)), stderr: Some(seal(b"")), incomplete: false };
        let finish = pb::FinishRunRequest {
            runner_id: self.runner.clone(),
            fence: Some(fence.clone()),
            outcome: Some(outcome),
            seal: Some(seal),
        };
        let answer = self.client.clone().finish_run(finish).await.map_err(word)?.into_inner();
        Ok(answer.missing_from.is_none())
    }
}

/// Names a content.
pub fn content_of(content: &[u8]) -> pb::Blob {
    let blob = tstr_tests::contract::blob(content);
    pb::Blob { sha256: blob.sha256.0.to_vec(), bytes: blob.bytes }
}
