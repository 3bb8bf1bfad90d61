//! `IdentityService`: who is calling.

use tonic::{Request, async_trait};
use tstr_proto::v1 as pb;
use tstr_proto::v1::identity_service_server::IdentityService;

use super::{Answer, Service, answer};

#[async_trait]
impl IdentityService for Service {
    async fn get_identity(&self, request: Request<pb::GetIdentityRequest>) -> Answer<pb::GetIdentityResponse> {
        answer(request, async |caller, _| Ok(self.ops.identity(&caller).await?.into())).await
    }
}
