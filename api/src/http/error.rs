//! Failed answers: problem documents of RFC 9457, made in one place.
//!
//! An [`Error`] becomes a response at once; the observing layer then adds what only it knows, the path and the trace
//! id, and writes the error to the log under that id.

use std::sync::Arc;

use aide::OperationOutput;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tstr_shared::error::{ErrorCode, Problem};

use crate::error::{Error, row};

/// The media type of a failed answer.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// An error on its way out; it travels in the response's extensions.
#[derive(Clone)]
pub(super) struct Failure {
    error: Arc<Error>,
    status: StatusCode,
}

impl Failure {
    /// Answers with another status than the error's own; only for what HTTP alone knows (416).
    pub(super) fn with_status(error: Error, status: StatusCode) -> Self {
        Self { error: Arc::new(error), status }
    }

    fn problem(&self, instance: Option<&str>, trace_id: Option<&str>) -> Problem {
        let code = self.error.code();
        Problem {
            kind: Problem::type_of(code),
            title: code.title().to_owned(),
            status: self.status.as_u16(),
            detail: self.error.message().to_owned(),
            instance: instance.map(str::to_owned),
            code,
            trace_id: trace_id.map(str::to_owned),
            errors: self.error.errors().to_vec(),
            retryable: row(code).retryable,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = StatusCode::from_u16(row(error.code()).http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::with_status(error, status)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = write(self.status.into_response(), &self.problem(None, None));
        let headers = response.headers_mut();
        if self.error.code() == ErrorCode::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(after) = self.error.retry_after() {
            let secs = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, secs.into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Failure::from(self).into_response()
    }
}

// Every operation documents the problem as its default answer: `openapi::op` does.
impl OperationOutput for Error {
    type Inner = Self;
}

/// Completes a failed answer with the path and the id of its request, and logs the error once.
///
/// An answer of 400 or above that is not ours (of the router itself) becomes a problem document too; its headers stay.
pub(super) fn finish(mut response: Response, instance: &str, trace_id: &str) -> Response {
    let status = response.status();
    let failure = match response.extensions_mut().remove::<Failure>() {
        Some(failure) => failure,
        None if status.is_client_error() || status.is_server_error() => foreign(status),
        None => return response,
    };
    failure.error.log(trace_id);
    write(response, &failure.problem(Some(instance), Some(trace_id)))
}

fn write(mut response: Response, problem: &Problem) -> Response {
    let body = serde_json::to_vec(problem).unwrap_or_default();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    response.headers_mut().insert(CONTENT_LENGTH, body.len().into());
    *response.body_mut() = body.into();
    response
}

fn foreign(status: StatusCode) -> Failure {
    let error = match status {
        StatusCode::NOT_FOUND => Error::not_found("address"),
        StatusCode::METHOD_NOT_ALLOWED => Error::new(
            ErrorCode::MethodNotAllowed,
            "this address does not know the method; `Allow` lists those it knows",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => Error::new(ErrorCode::TooLarge, "the body is larger than 1 MiB"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Error::new(ErrorCode::UnsupportedMediaType, "the content type of the body is not understood")
        }
        status if status.is_client_error() => Error::malformed("the request cannot be read"),
        status => Error::internal(anyhow::anyhow!("a handler answered {status} without a problem")),
    };
    Failure::with_status(error, status)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tstr_shared::error::Invalid;

    use super::*;

    async fn problem_of(response: Response) -> Problem {
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    #[tokio::test]
    async fn every_code_answers_its_status_and_its_type() {
        for code in ErrorCode::ALL {
            let response = finish(Error::new(code, "so it is").into_response(), "/x", "t1");
            let status = response.status();
            assert_eq!(status.as_u16(), row(code).http);
            assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
            assert_eq!(response.headers().contains_key(WWW_AUTHENTICATE), status == StatusCode::UNAUTHORIZED);
            let problem = problem_of(response).await;
            assert_eq!((problem.status, problem.code), (status.as_u16(), code));
            assert_eq!((problem.instance.as_deref(), problem.trace_id.as_deref()), (Some("/x"), Some("t1")));
        }
    }

    #[tokio::test]
    async fn an_internal_error_does_not_tell_its_source() {
        let response = finish(Error::internal(anyhow::anyhow!("secret table")).into_response(), "/x", "t1");
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert!(!String::from_utf8(body.to_vec()).unwrap().contains("secret"));
    }

    #[tokio::test]
    async fn faults_of_fields_keep_their_pointers() {
        let invalid = Invalid::one("/run_config/timeout", "too long");
        let problem = problem_of(Error::invalid(invalid.clone()).into_response()).await;
        assert_eq!(problem.errors, invalid.errors);
    }

    #[tokio::test]
    async fn an_answer_of_the_router_becomes_a_problem_and_keeps_its_headers() {
        let response = (StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET,HEAD")], "text").into_response();
        let response = finish(response, "/x", "t1");
        assert_eq!(response.headers()["allow"], "GET,HEAD");
        assert_eq!(problem_of(response).await.code, ErrorCode::MethodNotAllowed);
    }

    #[test]
    fn a_wait_is_rounded_up_to_seconds() {
        let error = Error::new(ErrorCode::QuotaExceeded, "later").with_retry_after(Duration::from_millis(1500));
        assert_eq!(error.into_response().headers()[RETRY_AFTER], "2");
    }
}
