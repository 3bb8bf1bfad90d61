//! The gRPC edge: the five services, and the door in front of them.
//!
//! The door is closed by default: a call passes it with a valid token, or because its service stands in
//! [`PUBLIC_SERVICES`]; a service that does not exist is refused like one that does. A handler reads its message,
//! calls one use case of `ops` and writes the answer; [`answer`] is the only place where a failure becomes a status.
//! Listening, draining and keep-alive are left to the server.

mod admin;
mod control;
mod data;
mod identity;
mod runner;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{Request as HttpRequest, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response as HttpResponse;
use futures_util::FutureExt;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::metadata::MetadataValue;
use tonic::service::Routes;
use tonic::{Code, Extensions, Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tracing::{Instrument, debug, info_span};
use tstr_proto::convert;
use tstr_proto::v1::admin_service_server::{self, AdminServiceServer};
use tstr_proto::v1::control_service_server::{self, ControlServiceServer};
use tstr_proto::v1::data_service_server::{self, DataServiceServer};
use tstr_proto::v1::identity_service_server::{self, IdentityServiceServer};
use tstr_proto::v1::runner_service_server::{self, RunnerServiceServer};
use tstr_shared::error::{ErrorCode, Invalid};
use tstr_shared::ids::{RunId, RunnerId, TokenId};
use tstr_shared::namespace::Namespace;
use tstr_shared::report::CaseId;
use tstr_shared::testdef::check_name;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{Error, Result, row};
use crate::ops::{IdempotencyKey, Ops};

/// The services that anybody may call.
pub const PUBLIC_SERVICES: &[&str] =
    &["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// The services that need a token, and whose health is told.
pub const SERVICES: &[&str] = &[
    runner_service_server::SERVICE_NAME,
    control_service_server::SERVICE_NAME,
    data_service_server::SERVICE_NAME,
    admin_service_server::SERVICE_NAME,
    identity_service_server::SERVICE_NAME,
];

/// The largest message of a client, in bytes, before and after it is unpacked.
pub const MAX_MESSAGE: usize = 4 << 20;

/// The longest that a call waits for something to happen; a longer wish is lowered to it.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// How long a call may take until its answer begins: a full wait, and as much again for the work.
const CALL_TIME: Duration = MAX_WAIT.saturating_mul(2);

/// How long a call may take that uploads a content: the largest, over a slow line.
const UPLOAD_TIME: Duration = Duration::from_secs(300);
/// The calls that upload, and the one that waits for its turn and reads what was uploaded.
const UPLOADS: &[&str] =
    &["/tstr.v1.RunnerService/PutBlob", "/tstr.v1.RunnerService/ReadReports", "/tstr.v1.ControlService/UploadResults"];

/// What a handler answers.
type Answer<T> = std::result::Result<Response<T>, Status>;

/// The handlers of all services.
#[derive(Clone)]
struct Service {
    ops: Ops,
}

/// The id under which the log knows a call; a failed answer carries it.
#[derive(Debug, Clone)]
struct TraceId(String);

/// Returns all services behind the door: those of tstr, health and reflection.
pub fn routes(ops: Ops) -> Routes {
    let service = Service { ops: ops.clone() };
    macro_rules! server {
        ($server:ident) => {
            $server::new(service.clone())
                .accept_compressed(Gzip)
                .send_compressed(Gzip)
                .max_decoding_message_size(MAX_MESSAGE)
        };
    }
    let set = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tstr_proto::DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = Routes::new(health())
        .add_service(set().build_v1().expect("the descriptors were made by the build"))
        .add_service(set().build_v1alpha().expect("the descriptors were made by the build"))
        .add_service(server!(RunnerServiceServer))
        .add_service(server!(ControlServiceServer))
        .add_service(server!(DataServiceServer))
        .add_service(server!(AdminServiceServer))
        .add_service(server!(IdentityServiceServer));
    let door = routes.into_axum_router().layer(from_fn_with_state(ops, authenticate)).layer(from_fn(observe));
    Routes::from(door).prepare()
}

/// Makes the health service: everything is served as long as the server listens.
fn health() -> HealthServer<HealthService> {
    let reporter = HealthReporter::new();
    for name in SERVICES {
        // Nobody else holds the reporter, so that its lock is free and the call ends at once.
        tokio::task::unconstrained(reporter.set_service_status(name, ServingStatus::Serving)).now_or_never();
    }
    HealthServer::new(HealthService::from_health_reporter(reporter)).max_decoding_message_size(MAX_MESSAGE)
}

/// Gives each call its id and its span; ends those that take too long or panic.
async fn observe(mut request: HttpRequest, next: Next) -> HttpResponse {
    let trace_id = TraceId(Uuid::new_v4().to_string());
    let call = request.uri().path().to_owned();
    request.extensions_mut().insert(trace_id.clone());
    let span = info_span!("grpc", call, trace.id = trace_id.0);
    let time = if UPLOADS.contains(&call.as_str()) { UPLOAD_TIME } else { CALL_TIME };
    let work = async {
        // A handler shares nothing that a panic could leave half changed: its transaction is rolled back.
        let handler = AssertUnwindSafe(next.run(request)).catch_unwind();
        let mut response = match tokio::time::timeout(time, handler).await {
            Ok(Ok(response)) => complete(response, &trace_id),
            Ok(Err(_)) => refuse(&Error::internal(anyhow::anyhow!("a handler panicked")), &trace_id),
            Err(_) => refuse(&Error::unavailable(anyhow::anyhow!("there was no answer in time")), &trace_id),
        };
        if let Ok(id) = HeaderValue::from_str(&trace_id.0) {
            response.headers_mut().insert("x-request-id", id);
        }
        debug!("{call} answered");
        response
    };
    work.instrument(span).await
}

/// Lets only calls with a valid token pass, and those of [`PUBLIC_SERVICES`].
async fn authenticate(State(ops): State<Ops>, mut request: HttpRequest, next: Next) -> HttpResponse {
    if is_public(request.uri().path()) {
        return next.run(request).await;
    }
    let caller = match bearer(request.headers()) {
        Ok(token) => ops.authenticate(token).await,
        Err(error) => Err(error),
    };
    match (caller, trace_id(request.extensions())) {
        (Ok(caller), _) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        (Err(error), trace_id) => refuse(&error, &trace_id),
    }
}

/// Tells whether a path `/service/method` names a service that anybody may call.
fn is_public(path: &str) -> bool {
    let service = path.strip_prefix('/').and_then(|rest| rest.split_once('/')).map(|(service, _)| service);
    service.is_some_and(|service| PUBLIC_SERVICES.contains(&service))
}

/// Reads the token of a call.
fn bearer(headers: &HeaderMap) -> Result<&str> {
    let fault = |message: &str| Error::new(ErrorCode::Unauthenticated, message);
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return Err(fault("the call needs one 'authorization: Bearer …' in its metadata"));
    };
    let value = value.to_str().map_err(|_| fault("the token has characters that no token has"))?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => Ok(token.trim()),
        _ => Err(fault("'authorization' is not of the form 'Bearer …'")),
    }
}

/// Lets `work` answer a call that has passed the door, and turns its failure into a status.
async fn answer<M, R>(request: Request<M>, work: impl AsyncFnOnce(Caller, M) -> Result<R>) -> Answer<R> {
    let (_, extensions, message) = request.into_parts();
    let trace_id = trace_id(&extensions);
    let answered = match extensions.get::<Caller>().cloned() {
        Some(caller) => work(caller, message).await,
        None => Err(Error::internal(anyhow::anyhow!("a call came in beside the door"))),
    };
    answered.map(Response::new).map_err(|error| status(&error, &trace_id))
}

fn trace_id(extensions: &Extensions) -> TraceId {
    extensions.get::<TraceId>().cloned().unwrap_or_else(|| TraceId(String::new()))
}

/// Makes the status of a failure, and writes into the log what the client does not read.
fn status(error: &Error, trace_id: &TraceId) -> Status {
    error.log(&trace_id.0);
    let row = row(error.code());
    let mut status = tstr_proto::status::encode(
        error.code(),
        row.grpc,
        error.message(),
        error.errors(),
        row.retryable,
        Some(&trace_id.0),
    );
    if let Some(after) = error.retry_after() {
        // How gRPC says Retry-After (its proposal A6, client retries).
        status.metadata_mut().insert("grpc-retry-pushback-ms", MetadataValue::from(convert::millis(after)));
    }
    status
}

/// Turns an answer with which tonic itself refused a message into one of ours; ours all carry details.
fn complete(response: HttpResponse, trace_id: &TraceId) -> HttpResponse {
    let status = Status::from_header_map(response.headers()).filter(|status| status.details().is_empty());
    let error = match status.as_ref().map(Status::code) {
        Some(Code::OutOfRange | Code::ResourceExhausted) => {
            Error::new(ErrorCode::TooLarge, format!("the message is larger than {MAX_MESSAGE} bytes"))
        }
        // tonic calls it internal when a client's bytes are no message, which is no fault of the server.
        Some(Code::Internal) => Error::malformed("the message cannot be read"),
        _ => return response,
    };
    refuse(&error, trace_id)
}

fn refuse(error: &Error, trace_id: &TraceId) -> HttpResponse {
    status(error, trace_id).into_http()
}

// What a request addresses: a name that nothing could have is answered like one that nothing has, as in HTTP's paths.

/// Reads the namespace that a request addresses.
fn namespace(name: &str) -> Result<Namespace> {
    address("namespace", "/namespace", name, |name| Namespace::parse(name).ok())
}

/// Reads the id or the name of the test that a request addresses.
fn test(name: &str) -> Result<&str> {
    address("test", "/test", name, |name| check_name(name).is_ok().then_some(name))
}

/// Reads the id of the run that a request addresses.
fn run(id: &str) -> Result<RunId> {
    address("run", "/run_id", id, |id| id.parse().ok())
}

/// Reads the id of the runner that a request addresses.
fn runner(id: &str) -> Result<RunnerId> {
    address("runner", "/runner_id", id, |id| id.parse().ok())
}

/// Reads the id of the case that a request addresses.
fn case(id: &str) -> Result<CaseId> {
    address("case", "/case_id", id, |id| id.parse().ok())
}

/// Reads the id of the token that a request addresses.
fn token(id: &str) -> Result<TokenId> {
    address("token", "/id", id, |id| id.parse().ok())
}

fn address<'a, T>(thing: &str, place: &str, name: &'a str, read: impl FnOnce(&'a str) -> Option<T>) -> Result<T> {
    match read(name) {
        Some(address) => Ok(address),
        None if name.is_empty() => Err(Invalid::one(place, "must be given").into()),
        None => Err(Error::not_found(thing)),
    }
}

/// Reads the idempotency key of a request, which may be empty.
fn key(key: &str) -> Result<Option<IdempotencyKey>> {
    if key.is_empty() { Ok(None) } else { IdempotencyKey::parse(key).map(Some) }
}

/// Says that a client's messages ended before their time.
fn broken_off(status: Status) -> Error {
    Error::unavailable(anyhow::anyhow!("the upload broke off: {status}"))
}

/// Reads how long a call waits.
fn wait(ms: u32) -> Duration {
    Duration::from_millis(ms.into()).min(MAX_WAIT)
}

#[cfg(test)]
mod tests;
