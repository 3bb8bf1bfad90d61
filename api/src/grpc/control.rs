//! `ControlService`: writes of tests, runs and runners.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tonic::{Request, Streaming, async_trait};
use tstr_proto::convert::{document, json, read_document, required};
use tstr_proto::v1 as pb;
use tstr_proto::v1::control_service_server::ControlService;
use tstr_shared::error::Invalid;
use tstr_shared::run::{RetryMatrix, RetryRun};
use tstr_shared::testdef::NewTestDef;

use super::{Answer, Service, address, answer, broken_off, case, key, namespace, run, runner, test};
use crate::error::Error;

#[async_trait]
impl ControlService for Service {
    async fn create_test(&self, request: Request<pb::CreateTestRequest>) -> Answer<pb::CreateTestResponse> {
        answer(request, async |caller, req| {
            let (ns, key) = (namespace(&req.namespace)?, key(&req.idempotency_key)?);
            Ok(self.ops.create_test(&caller, &ns, spec(req.spec)?, key).await?.into())
        })
        .await
    }

    async fn apply_test(&self, request: Request<pb::ApplyTestRequest>) -> Answer<pb::ApplyTestResponse> {
        answer(request, async |caller, req| {
            let (ns, new) = (namespace(&req.namespace)?, spec(req.spec)?);
            Ok(self.ops.apply_test(&caller, &ns, new, req.dry_run, req.if_version).await?.into())
        })
        .await
    }

    async fn patch_test(&self, request: Request<pb::PatchTestRequest>) -> Answer<pb::PatchTestResponse> {
        answer(request, async |caller, req| {
            let (ns, patch) = (namespace(&req.namespace)?, json("/patch", required("/patch", req.patch)?)?);
            Ok(self.ops.patch_test(&caller, &ns, test(&req.test)?, patch, req.if_version).await?.into())
        })
        .await
    }

    async fn delete_test(&self, request: Request<pb::DeleteTestRequest>) -> Answer<pb::DeleteTestResponse> {
        answer(request, async |caller, req| {
            self.ops.delete_test(&caller, &namespace(&req.namespace)?, test(&req.test)?, req.if_version).await?;
            Ok(pb::DeleteTestResponse {})
        })
        .await
    }

    async fn pause_test(&self, request: Request<pb::PauseTestRequest>) -> Answer<pb::PauseTestResponse> {
        answer(request, async |caller, req| {
            let test = self.ops.set_test_paused(&caller, &namespace(&req.namespace)?, test(&req.test)?, true).await?;
            Ok(pb::PauseTestResponse { test: Some(test.into()) })
        })
        .await
    }

    async fn resume_test(&self, request: Request<pb::ResumeTestRequest>) -> Answer<pb::ResumeTestResponse> {
        answer(request, async |caller, req| {
            let test = self.ops.set_test_paused(&caller, &namespace(&req.namespace)?, test(&req.test)?, false).await?;
            Ok(pb::ResumeTestResponse { test: Some(test.into()) })
        })
        .await
    }

    async fn put_quarantine(&self, request: Request<pb::PutQuarantineRequest>) -> Answer<pb::PutQuarantineResponse> {
        answer(request, async |caller, req| {
            let (ns, case) = (namespace(&req.namespace)?, case(&req.case_id)?);
            let new = read_document("/entry", required("/entry", req.entry)?)?;
            let entry = self.ops.put_quarantine(&caller, &ns, test(&req.test)?, case, new).await?;
            Ok(pb::PutQuarantineResponse { entry: Some(document(&entry)) })
        })
        .await
    }

    async fn delete_quarantine(
        &self,
        request: Request<pb::DeleteQuarantineRequest>,
    ) -> Answer<pb::DeleteQuarantineResponse> {
        answer(request, async |caller, req| {
            let (ns, case) = (namespace(&req.namespace)?, case(&req.case_id)?);
            self.ops.delete_quarantine(&caller, &ns, test(&req.test)?, case).await?;
            Ok(pb::DeleteQuarantineResponse {})
        })
        .await
    }

    async fn put_view(&self, request: Request<pb::PutViewRequest>) -> Answer<pb::PutViewResponse> {
        answer(request, async |caller, req| {
            let view = read_document("/view", required("/view", req.view)?)?;
            let saved = self.ops.put_view(&caller, &namespace(&req.namespace)?, &req.name, view).await?;
            Ok(pb::PutViewResponse { view: Some(document(&saved)) })
        })
        .await
    }

    async fn delete_view(&self, request: Request<pb::DeleteViewRequest>) -> Answer<pb::DeleteViewResponse> {
        answer(request, async |caller, req| {
            self.ops.delete_view(&caller, &namespace(&req.namespace)?, &req.name, req.shared).await?;
            Ok(pb::DeleteViewResponse {})
        })
        .await
    }

    async fn trigger_run(&self, request: Request<pb::TriggerRunRequest>) -> Answer<pb::TriggerRunResponse> {
        answer(request, async |caller, mut req| {
            let (ns, key) = (namespace(&req.namespace)?, key(&req.idempotency_key)?);
            let name = std::mem::take(&mut req.test);
            Ok(self.ops.trigger(&caller, &ns, test(&name)?, req.try_into()?, key).await?.into())
        })
        .await
    }

    async fn cancel_run(&self, request: Request<pb::CancelRunRequest>) -> Answer<pb::CancelRunResponse> {
        answer(request, async |caller, req| {
            let run = self.ops.cancel_run(&caller, run(&req.run_id)?).await?;
            Ok(pb::CancelRunResponse { run: Some(run.into()) })
        })
        .await
    }

    async fn retry_run(&self, request: Request<pb::RetryRunRequest>) -> Answer<pb::RetryRunResponse> {
        answer(request, async |caller, req| {
            let (key, how) = (key(&req.idempotency_key)?, RetryRun { failed_cases: req.failed_cases });
            Ok(self.ops.retry_run(&caller, run(&req.run_id)?, how, key).await?.into())
        })
        .await
    }

    async fn retry_matrix(&self, request: Request<pb::RetryMatrixRequest>) -> Answer<pb::RetryMatrixResponse> {
        answer(request, async |caller, req| {
            let (ns, key) = (namespace(&req.namespace)?, key(&req.idempotency_key)?);
            let matrix = address("matrix", "/matrix_id", &req.matrix_id, |id| id.parse().ok())?;
            let only_failed = req.only_failed.unwrap_or(RetryMatrix::default().only_failed);
            let how = RetryMatrix { only_failed, failed_cases: req.failed_cases };
            Ok(self.ops.retry_matrix(&caller, &ns, matrix, how, key).await?.into())
        })
        .await
    }

    async fn upload_results(
        &self,
        request: Request<Streaming<pb::UploadResultsRequest>>,
    ) -> Answer<pb::UploadResultsResponse> {
        answer(request, async |caller, mut messages| {
            let first = messages.message().await.map_err(broken_off)?;
            let mut first = first.ok_or_else(|| Error::malformed("the first message says what is uploaded"))?;
            let (ns, key) = (namespace(&first.namespace)?, key(&first.idempotency_key)?);
            let begun = stream::iter(Some(Ok(Bytes::from(std::mem::take(&mut first.data)))));
            let rest = messages.map(|message| message.map(|piece| piece.data.into()).map_err(broken_off));
            let name = std::mem::take(&mut first.test);
            let pieces = begun.chain(rest);
            let run = self.ops.upload_results(&caller, &ns, test(&name)?, first.try_into()?, key, pieces).await?;
            Ok(pb::UploadResultsResponse { run: Some(run.into()) })
        })
        .await
    }

    async fn keep_run(&self, request: Request<pb::KeepRunRequest>) -> Answer<pb::KeepRunResponse> {
        answer(request, async |caller, req| {
            let id = run(&req.run_id)?;
            let run = self.ops.keep_run(&caller, id, req.into()).await?;
            Ok(pb::KeepRunResponse { run: Some(run.into()) })
        })
        .await
    }

    async fn unkeep_run(&self, request: Request<pb::UnkeepRunRequest>) -> Answer<pb::UnkeepRunResponse> {
        answer(request, async |caller, req| {
            let run = self.ops.unkeep_run(&caller, run(&req.run_id)?).await?;
            Ok(pb::UnkeepRunResponse { run: Some(run.into()) })
        })
        .await
    }

    async fn drain_runner(&self, request: Request<pb::DrainRunnerRequest>) -> Answer<pb::DrainRunnerResponse> {
        answer(request, async |caller, req| {
            let runner = self.ops.set_runner_draining(&caller, runner(&req.runner_id)?, true).await?;
            Ok(pb::DrainRunnerResponse { runner: Some(runner.into()) })
        })
        .await
    }

    async fn resume_runner(&self, request: Request<pb::ResumeRunnerRequest>) -> Answer<pb::ResumeRunnerResponse> {
        answer(request, async |caller, req| {
            let runner = self.ops.set_runner_draining(&caller, runner(&req.runner_id)?, false).await?;
            Ok(pb::ResumeRunnerResponse { runner: Some(runner.into()) })
        })
        .await
    }
}

/// Reads the test of a request; its faults have the places that they have in JSON, where the test is the whole body.
fn spec(message: Option<pb::TestSpec>) -> Result<NewTestDef, Invalid> {
    required("/spec", message)?.try_into()
}
