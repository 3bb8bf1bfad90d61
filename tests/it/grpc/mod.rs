//! The gRPC API as its clients see it: one file per service, and that it agrees with the JSON API.

mod admin;
mod agreement;
mod control;
mod data;
mod runner;
mod server;

use std::fmt::Debug;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tstr_proto::status::{DecodedProblem, decode};
use tstr_proto::v1 as pb;
use tstr_proto::v1::admin_service_client::AdminServiceClient;
use tstr_proto::v1::control_service_client::ControlServiceClient;
use tstr_proto::v1::data_service_client::DataServiceClient;
use tstr_proto::v1::identity_service_client::IdentityServiceClient;
use tstr_proto::v1::runner_service_client::RunnerServiceClient;
use tstr_shared::error::ErrorCode;
use tstr_shared::permission::Scope;
use tstr_tests::Stack;

type Sent = InterceptedService<Channel, Bearer>;

/// Somebody who calls by gRPC, with a token or without.
#[derive(Clone)]
pub struct Peer {
    pub channel: Channel,
    bearer: Bearer,
}

/// Puts the token into the metadata of each call.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl Peer {
    /// Connects to a replica.
    pub async fn connect(stack: &Stack, replica: usize, token: Option<&str>) -> Self {
        let channel = Channel::from_shared(stack.grpc_url(replica)).unwrap().connect().await.unwrap();
        Self { channel, bearer: Bearer(None) }.with_token(token)
    }

    /// Connects to the first replica with a token of these scopes for these namespaces.
    pub async fn of(stack: &Stack, scopes: &[Scope], namespaces: &[&str]) -> Self {
        Self::connect(stack, 0, Some(&stack.token(scopes, namespaces).await)).await
    }

    /// Connects to the first replica as the administrator.
    pub async fn admin(stack: &Stack) -> Self {
        Self::connect(stack, 0, Some(stack.admin_token())).await
    }

    /// The same connection with another token.
    pub fn with_token(&self, token: Option<&str>) -> Self {
        let bearer = Bearer(token.map(|token| format!("Bearer {token}").parse().unwrap()));
        Self { bearer, ..self.clone() }
    }

    fn sent(&self) -> Sent {
        InterceptedService::new(self.channel.clone(), self.bearer.clone())
    }

    pub fn control(&self) -> ControlServiceClient<Sent> {
        ControlServiceClient::new(self.sent())
    }

    pub fn data(&self) -> DataServiceClient<Sent> {
        DataServiceClient::new(self.sent())
    }

    pub fn admins(&self) -> AdminServiceClient<Sent> {
        AdminServiceClient::new(self.sent())
    }

    pub fn identity(&self) -> IdentityServiceClient<Sent> {
        IdentityServiceClient::new(self.sent())
    }

    pub fn runner(&self) -> RunnerServiceClient<Sent> {
        RunnerServiceClient::new(self.sent())
    }

    /// Returns the token as it is sent.
    pub fn bearer(&self) -> Option<MetadataValue<Ascii>> {
        self.bearer.0.clone()
    }
}

/// Returns what a call was refused with, if its status and its code are these.
#[track_caller]
pub fn refused<T: Debug>(answer: Result<Response<T>, Status>, status: Code, code: ErrorCode) -> DecodedProblem {
    let refused = answer.expect_err("the call is refused");
    let problem = decode(&refused).unwrap_or_else(|| panic!("no word of ours: {refused:?}"));
    assert_eq!((refused.code(), problem.code), (status, code), "{refused:?}");
    assert!(problem.trace_id.as_ref().is_some_and(|id| uuid::Uuid::parse_str(id).is_ok()), "{problem:?}");
    problem
}

/// A test that needs nothing.
pub fn spec(name: &str) -> pb::TestSpec {
    let run_config = pb::RunConfig { container_image: "localhost/none:1".into(), ..pb::RunConfig::default() };
    pb::TestSpec { name: name.into(), run_config: Some(run_config), ..pb::TestSpec::default() }
}

/// A request for a test of the namespace `default`.
pub fn create(spec: pb::TestSpec) -> pb::CreateTestRequest {
    pb::CreateTestRequest { namespace: "default".into(), spec: Some(spec), idempotency_key: String::new() }
}

/// A request to run a test of the namespace `default`.
pub fn trigger(test: &str) -> pb::TriggerRunRequest {
    pb::TriggerRunRequest { namespace: "default".into(), test: test.into(), ..pb::TriggerRunRequest::default() }
}
