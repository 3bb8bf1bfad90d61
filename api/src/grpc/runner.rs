//! `RunnerService`: what a worker speaks.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tonic::{Request, Streaming, async_trait};
use tstr_proto::convert::{id, millis, narrow, number, part, parts, required_part, text, time, unfit};
use tstr_proto::v1 as pb;
use tstr_proto::v1::runner_service_server::RunnerService;
use tstr_shared::artifacts::Collected;
use tstr_shared::error::Invalid;
use tstr_shared::logs::LogSeal;
use tstr_shared::run::Reason;

use super::{Answer, Service, answer, broken_off, wait};
use crate::error::Error;
use crate::ops::beats::Heartbeat;
use crate::ops::claims::{Claim, Release};
use crate::ops::runners::RegisteredRunner;

#[async_trait]
impl RunnerService for Service {
    async fn register_runner(&self, request: Request<pb::RegisterRunnerRequest>) -> Answer<pb::RegisterRunnerResponse> {
        answer(request, async |caller, req| Ok(self.ops.register_runner(&caller, req.try_into()?).await?.into())).await
    }

    async fn claim_runs(&self, request: Request<pb::ClaimRunsRequest>) -> Answer<pb::ClaimRunsResponse> {
        answer(request, async |caller, req| {
            let runs = self.ops.claim(&caller, req.try_into()?).await?;
            Ok(pb::ClaimRunsResponse { runs: runs.into_iter().map(Into::into).collect() })
        })
        .await
    }

    async fn start_run(&self, request: Request<pb::StartRunRequest>) -> Answer<pb::StartRunResponse> {
        answer(request, async |caller, req| {
            let (runner, fence) = (id("/runner_id", &req.runner_id)?, required_part("/fence", req.fence)?);
            let started_at = self.ops.start_run(&caller, runner, fence).await?;
            Ok(pb::StartRunResponse { started_at: Some(time(started_at)) })
        })
        .await
    }

    async fn heartbeat(&self, request: Request<pb::HeartbeatRequest>) -> Answer<pb::HeartbeatResponse> {
        answer(request, async |caller, req| {
            let (runner, fences) = (id("/runner_id", &req.runner_id)?, parts("/fences", req.fences)?);
            let unfit = unfit(&req.unfit);
            Ok(self.ops.heartbeat(&caller, runner, fences, unfit).await?.into())
        })
        .await
    }

    async fn append_logs(&self, request: Request<pb::AppendLogsRequest>) -> Answer<pb::AppendLogsResponse> {
        answer(request, async |caller, req| {
            let (runner, fence) = (id("/runner_id", &req.runner_id)?, required_part("/fence", req.fence)?);
            let next = self.ops.append_logs(&caller, runner, fence, parts("/chunks", req.chunks)?).await?;
            Ok(pb::AppendLogsResponse { next: Some(next.into()) })
        })
        .await
    }

    async fn find_blobs(&self, request: Request<pb::FindBlobsRequest>) -> Answer<pb::FindBlobsResponse> {
        answer(request, async |caller, req| {
            let (runner, fence) = (id("/runner_id", &req.runner_id)?, required_part("/fence", req.fence)?);
            let missing = self.ops.find_blobs(&caller, runner, fence, parts("/blobs", req.blobs)?).await?;
            Ok(pb::FindBlobsResponse { missing: missing.into_iter().map(|hash| hash.0.to_vec()).collect() })
        })
        .await
    }

    async fn put_blob(&self, request: Request<Streaming<pb::PutBlobRequest>>) -> Answer<pb::PutBlobResponse> {
        answer(request, async |caller, mut messages| {
            let first = messages.message().await.map_err(broken_off)?;
            let first = first.ok_or_else(|| Error::malformed("the first message names what is uploaded"))?;
            let (runner, fence) = (id("/runner_id", &first.runner_id)?, required_part("/fence", first.fence)?);
            let blob = required_part("/blob", first.blob)?;
            let begun = stream::iter(Some(Ok(Bytes::from(first.data))));
            let rest = messages.map(|message| message.map(|piece| piece.data.into()).map_err(broken_off));
            self.ops.put_blob(&caller, runner, fence, blob, begun.chain(rest)).await?;
            Ok(pb::PutBlobResponse {})
        })
        .await
    }

    async fn record_artifacts(
        &self,
        request: Request<pb::RecordArtifactsRequest>,
    ) -> Answer<pb::RecordArtifactsResponse> {
        answer(request, async |caller, req| {
            let (runner, fence) = (id("/runner_id", &req.runner_id)?, required_part("/fence", req.fence)?);
            let collected = Collected { files: parts("/files", req.files)?, notes: parts("/notes", req.notes)? };
            let may_have_reports = self.ops.record_artifacts(&caller, runner, fence, collected).await?;
            Ok(pb::RecordArtifactsResponse { may_have_reports })
        })
        .await
    }

    async fn read_reports(&self, request: Request<pb::ReadReportsRequest>) -> Answer<pb::ReadReportsResponse> {
        answer(request, async |caller, req| {
            let (runner, fence) = (id("/runner_id", &req.runner_id)?, required_part("/fence", req.fence)?);
            let outcome = required_part("/outcome", req.outcome)?;
            let outcome = self.ops.read_reports(&caller, runner, fence, outcome).await?;
            Ok(pb::ReadReportsResponse { outcome: Some(outcome.into()) })
        })
        .await
    }

    async fn record_output(&self, request: Request<pb::RecordOutputRequest>) -> Answer<pb::RecordOutputResponse> {
        answer(request, async |caller, req| {
            let (runner, fence) = (id("/runner_id", &req.runner_id)?, required_part("/fence", req.fence)?);
            self.ops.record_output(&caller, runner, fence, required_part("/output", req.output)?).await?;
            Ok(pb::RecordOutputResponse {})
        })
        .await
    }

    async fn finish_run(&self, request: Request<pb::FinishRunRequest>) -> Answer<pb::FinishRunResponse> {
        answer(request, async |caller, req| {
            let (runner, fence) = (id("/runner_id", &req.runner_id)?, required_part("/fence", req.fence)?);
            let (outcome, seal) = (required_part("/outcome", req.outcome)?, required_part("/seal", req.seal)?);
            let missing = self.ops.finish_run(&caller, runner, fence, outcome, seal).await?;
            Ok(pb::FinishRunResponse { missing_from: missing.map(Into::into) })
        })
        .await
    }

    async fn release_run(&self, request: Request<pb::ReleaseRunRequest>) -> Answer<pb::ReleaseRunResponse> {
        answer(request, async |caller, mut req| {
            let (runner, fence) = (id("/runner_id", &req.runner_id)?, required_part("/fence", req.fence.take())?);
            self.ops.release_run(&caller, runner, fence, req.try_into()?).await?;
            Ok(pb::ReleaseRunResponse {})
        })
        .await
    }
}

/// Says that a client's stream ended before its end, which is the client's doing or the connection's.
impl From<RegisteredRunner> for pb::RegisterRunnerResponse {
    fn from(runner: RegisteredRunner) -> Self {
        Self { id: runner.id.to_string(), namespaces: runner.namespaces, times: Some(runner.times.into()) }
    }
}

impl TryFrom<pb::ClaimRunsRequest> for Claim {
    type Error = Invalid;
    fn try_from(message: pb::ClaimRunsRequest) -> Result<Self, Invalid> {
        Ok(Self {
            runner_id: id("/runner_id", &message.runner_id)?,
            max: narrow("/max", message.max)?,
            wait: wait(message.wait_ms),
            claim_id: id("/claim_id", &message.claim_id)?,
            only_repeat: message.only_repeat,
            first: message.first,
        })
    }
}

impl From<Heartbeat> for pb::HeartbeatResponse {
    fn from(heartbeat: Heartbeat) -> Self {
        let leases = heartbeat.leases.into_iter().map(|(fence, state, ttl)| pb::LeaseStatus {
            fence: Some(fence.into()),
            state: number(state),
            ttl_ms: millis(ttl),
        });
        Self { leases: leases.collect(), draining: heartbeat.draining }
    }
}

impl TryFrom<pb::ReleaseRunRequest> for Release {
    type Error = Invalid;
    fn try_from(message: pb::ReleaseRunRequest) -> Result<Self, Invalid> {
        let reason = text(message.reason).map(|word| word.parse::<Reason>()).transpose();
        Ok(Self {
            reason: reason.map_err(|fault| Invalid::one("/reason", fault))?,
            message: text(message.message),
            // A container that was not started wrote nothing.
            seal: message.seal.map_or(Ok(LogSeal::default()), |seal| part("/seal", seal))?,
        })
    }
}
