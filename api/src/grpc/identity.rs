//! `IdentityService`: who is calling, and codes that sign in.

use tonic::{Request, async_trait};
use tstr_proto::v1 as pb;
use tstr_proto::v1::identity_service_server::IdentityService;

use super::{Answer, Service, answer};

#[async_trait]
impl IdentityService for Service {
    async fn get_identity(&self, request: Request<pb::GetIdentityRequest>) -> Answer<pb::GetIdentityResponse> {
        answer(request, async |caller, _| Ok(self.ops.identity(&caller).await?.into())).await
    }

    async fn create_session_code(&self, request: Request<pb::CreateSessionCodeRequest>) -> Answer<pb::SessionCode> {
        answer(request, async |caller, _| Ok(self.ops.create_session_code(&caller).await?.into())).await
    }
}
