//! `AdminService`: tokens and namespaces.

use tonic::{Request, async_trait};
use tstr_proto::convert::{page, required};
use tstr_proto::v1 as pb;
use tstr_proto::v1::admin_service_server::AdminService;
use tstr_shared::namespace::NamespaceSettings;

use super::{Answer, Service, answer, key, namespace, token};
use crate::ops::tokens::TokenFilter;

#[async_trait]
impl AdminService for Service {
    async fn issue_token(&self, request: Request<pb::IssueTokenRequest>) -> Answer<pb::IssueTokenResponse> {
        answer(request, async |caller, req| {
            let key = key(&req.idempotency_key)?;
            Ok(self.ops.issue_token(&caller, req.try_into()?, key).await?.into())
        })
        .await
    }

    async fn list_tokens(&self, request: Request<pb::ListTokensRequest>) -> Answer<pb::ListTokensResponse> {
        answer(request, async |caller, req| {
            let filter = TokenFilter { include_expired: req.include_expired, include_revoked: req.include_revoked };
            Ok(self.ops.list_tokens(&caller, filter, page(req.page_size, req.page_token)?).await?.into())
        })
        .await
    }

    async fn get_token(&self, request: Request<pb::GetTokenRequest>) -> Answer<pb::GetTokenResponse> {
        answer(request, async |caller, req| {
            let token = self.ops.get_token(&caller, token(&req.id)?).await?;
            Ok(pb::GetTokenResponse { token: Some(token.into()) })
        })
        .await
    }

    async fn revoke_token(&self, request: Request<pb::RevokeTokenRequest>) -> Answer<pb::RevokeTokenResponse> {
        answer(request, async |caller, req| {
            let token = self.ops.revoke_token(&caller, token(&req.id)?).await?;
            Ok(pb::RevokeTokenResponse { token: Some(token.into()) })
        })
        .await
    }

    async fn create_namespace(
        &self,
        request: Request<pb::CreateNamespaceRequest>,
    ) -> Answer<pb::CreateNamespaceResponse> {
        answer(request, async |caller, req| {
            let key = key(&req.idempotency_key)?;
            let info = self.ops.create_namespace(&caller, req.try_into()?, key).await?;
            Ok(pb::CreateNamespaceResponse { namespace: Some(info.into()) })
        })
        .await
    }

    async fn rebuild_summary(&self, request: Request<pb::RebuildSummaryRequest>) -> Answer<pb::RebuildSummaryResponse> {
        answer(request, async |caller, req| {
            let ns = namespace(&req.namespace)?;
            Ok(self.ops.rebuild_summary(&caller, &ns, req.try_into()?).await?.into())
        })
        .await
    }

    async fn update_namespace(
        &self,
        request: Request<pb::UpdateNamespaceRequest>,
    ) -> Answer<pb::UpdateNamespaceResponse> {
        answer(request, async |caller, req| {
            let (ns, quotas) = (namespace(&req.name)?, required("/quotas", req.quotas)?);
            let retention = req.retention;
            let change = |old: NamespaceSettings| NamespaceSettings {
                quotas: quotas.into(),
                retention: retention.map_or(old.retention, Into::into),
            };
            let info = self.ops.update_namespace(&caller, &ns, change).await?;
            Ok(pb::UpdateNamespaceResponse { namespace: Some(info.into()) })
        })
        .await
    }
}
