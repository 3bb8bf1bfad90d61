//! The door and what is public: reflection, health, calls without a token, messages that are too large.

use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
use tstr_api::grpc::{MAX_MESSAGE, PUBLIC_SERVICES, SERVICES};
use tstr_proto::v1 as pb;
use tstr_shared::error::ErrorCode;
use tstr_tests::Stack;

use super::{Peer, create, refused, spec};

#[tokio::test]
async fn reflection_lists_every_service_and_describes_it_to_anybody() {
    let stack = Stack::start().await;
    let peer = Peer::connect(&stack, 0, None).await;
    let asked = |message| ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let mut requests = vec![asked(MessageRequest::ListServices(String::new()))];
    requests.extend(SERVICES.iter().map(|name| asked(MessageRequest::FileContainingSymbol((*name).to_owned()))));
    let mut client = ServerReflectionClient::new(peer.channel.clone());
    let mut answers = client.server_reflection_info(tokio_stream::iter(requests)).await.unwrap().into_inner();
    let mut next = async || -> ServerReflectionResponse { answers.message().await.unwrap().unwrap() };
    let Some(MessageResponse::ListServicesResponse(listed)) = next().await.message_response else { panic!("no list") };
    let names: Vec<_> = listed.service.iter().map(|service| service.name.as_str()).collect();
    for name in SERVICES.iter().chain(["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"].iter()) {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
    for name in SERVICES {
        let Some(MessageResponse::FileDescriptorResponse(file)) = next().await.message_response else {
            panic!("{name}")
        };
        assert!(!file.file_descriptor_proto.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn health_is_told_to_anybody() {
    let stack = Stack::start().await;
    let mut health = HealthClient::new(Peer::connect(&stack, 0, None).await.channel);
    for service in SERVICES.iter().chain([&""]) {
        let answer = health.check(HealthCheckRequest { service: (*service).to_owned() }).await.unwrap();
        assert_eq!(answer.into_inner().status, 1, "{service} serves");
    }
    let unknown = health.check(HealthCheckRequest { service: "tstr.v1.Nothing".into() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn nobody_without_a_token_gets_past_the_door_whatever_it_calls() {
    let stack = Stack::start().await;
    let (anonymous, admin) = (Peer::connect(&stack, 0, None).await, Peer::admin(&stack).await);
    for peer in [anonymous.clone(), anonymous.with_token(Some("tstr_pat_x")), anonymous.with_token(Some(""))] {
        let answer = peer.identity().get_identity(pb::GetIdentityRequest {}).await;
        let problem = refused(answer, Code::Unauthenticated, ErrorCode::Unauthenticated);
        assert!(!problem.retryable && problem.errors.is_empty());
    }
    // A service that does not exist is closed like one that does.
    for (peer, code) in [(&anonymous, Code::Unauthenticated), (&admin, Code::Unimplemented)] {
        let mut client = tonic::client::Grpc::new(peer.channel.clone());
        for path in ["/tstr.v1.Nothing/Get", "/tstr.v1.DataService/Nothing", "/grpc.health.v1.Health2/Check"] {
            client.ready().await.unwrap();
            let mut request = tonic::Request::new(Vec::new());
            peer.bearer().map(|token| request.metadata_mut().insert("authorization", token));
            let answer = client.unary(request, path.parse().unwrap(), crate::authz::raw::Raw).await;
            assert_eq!(answer.map(|_| ()).unwrap_err().code(), code, "{path}");
        }
    }
    for public in PUBLIC_SERVICES {
        assert!(!SERVICES.contains(public), "{public}");
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_or_none_is_refused_and_the_connection_goes_on() {
    let stack = Stack::start().await;
    let peer = Peer::admin(&stack).await;
    let large = pb::TestSpec { name: "x".repeat(MAX_MESSAGE), ..spec("a") };
    refused(peer.control().create_test(create(large)).await, Code::InvalidArgument, ErrorCode::TooLarge);
    // Packed it is small, and it is what it is when it is unpacked.
    let mut packed = peer.control().send_compressed(tonic::codec::CompressionEncoding::Gzip);
    let bomb = pb::TestSpec { name: "x".repeat(8 * MAX_MESSAGE), ..spec("a") };
    refused(packed.create_test(create(bomb)).await, Code::InvalidArgument, ErrorCode::TooLarge);
    let mut client = tonic::client::Grpc::new(peer.channel.clone());
    client.ready().await.unwrap();
    let mut broken = tonic::Request::new(vec![0xFF, 0xFF, 0xFF]);
    broken.metadata_mut().insert("authorization", peer.bearer().unwrap());
    let path = "/tstr.v1.DataService/GetTest".parse().unwrap();
    refused(client.unary(broken, path, crate::authz::raw::Raw).await, Code::InvalidArgument, ErrorCode::Malformed);
    peer.control().create_test(create(spec("a"))).await.unwrap();
}

#[tokio::test]
async fn very_many_faults_fit_into_the_answer() {
    let stack = Stack::start().await;
    let peer = Peer::admin(&stack).await;
    let args = (0..250).map(|i| format!("\0{i}")).collect();
    let run_config = pb::RunConfig { container_image: "no image".repeat(60), args, ..pb::RunConfig::default() };
    let many = pb::TestSpec { name: "a b ü".repeat(300), run_config: Some(run_config), ..spec("a") };
    let problem = refused(peer.control().create_test(create(many)).await, Code::InvalidArgument, ErrorCode::Invalid);
    assert!(problem.errors.len() > 10, "{problem:?}");
    assert!(problem.errors.last().unwrap().detail.starts_with("and "), "{problem:?}");
}
