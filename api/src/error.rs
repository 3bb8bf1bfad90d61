//! One error for the whole API crate, and the one table of what each code means on each transport.
//!
//! An [`Error`] answers three questions: what may the client do (`code`), what may the client read (`message`), and
//! what must we see (`source`). The source never leaves the server.

use std::time::Duration;

use tstr_shared::error::{ErrorCode, FieldError, Invalid};

/// The result of everything that can fail towards a client.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure on its way to a client.
#[derive(Debug)]
pub struct Error {
    code: ErrorCode,
    message: String,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    source: Option<anyhow::Error>,
}

/// What a code means on each transport.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The HTTP status.
    pub http: u16,
    /// The gRPC code.
    pub grpc: tonic::Code,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

/// The table: code to HTTP status, gRPC code and whether to retry.
pub fn row(code: ErrorCode) -> Row {
    use tonic::Code;
    let (http, grpc) = match code {
        ErrorCode::Malformed => (400, Code::InvalidArgument),
        ErrorCode::Invalid => (422, Code::InvalidArgument),
        ErrorCode::Unauthenticated => (401, Code::Unauthenticated),
        ErrorCode::Forbidden => (403, Code::PermissionDenied),
        ErrorCode::NotFound => (404, Code::NotFound),
        ErrorCode::Expired => (410, Code::NotFound),
        ErrorCode::Conflict => (409, Code::FailedPrecondition),
        ErrorCode::ConcurrencyForbidden => (409, Code::FailedPrecondition),
        ErrorCode::LeaseLost => (409, Code::FailedPrecondition),
        ErrorCode::PreconditionFailed => (412, Code::FailedPrecondition),
        ErrorCode::TooLarge => (413, Code::InvalidArgument),
        ErrorCode::IdempotencyMismatch => (422, Code::InvalidArgument),
        ErrorCode::IdempotencyInProgress => (409, Code::Aborted),
        ErrorCode::QuotaExceeded => (429, Code::ResourceExhausted),
        ErrorCode::MethodNotAllowed => (405, Code::Unimplemented),
        ErrorCode::UnsupportedMediaType => (415, Code::InvalidArgument),
        ErrorCode::Unavailable => (503, Code::Unavailable),
        ErrorCode::StorageFull => (503, Code::ResourceExhausted),
        ErrorCode::Internal => (500, Code::Internal),
    };
    Row { http, grpc, retryable: code.is_retryable() }
}

impl Error {
    /// Makes a failure with the sentence that the client reads.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), errors: Vec::new(), retry_after: None, source: None }
    }

    /// Says that there is no such thing, or that the caller may not see it.
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("{what} not found"))
    }

    /// Says that the state of a thing forbids the request.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Conflict, message)
    }

    /// Says that the request cannot be read.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Malformed, message)
    }

    /// Names every field that has a value which is not allowed.
    pub fn invalid(invalid: Invalid) -> Self {
        Self { errors: invalid.errors.clone(), ..Self::new(ErrorCode::Invalid, invalid.to_string()) }
    }

    /// Says that the fence is not the current one.
    pub fn lease_lost() -> Self {
        Self::new(ErrorCode::LeaseLost, "the lease of this run is no longer held by this attempt")
    }

    /// Says that the server cannot answer now.
    pub fn unavailable(source: impl Into<anyhow::Error>) -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            source: Some(source.into()),
            ..Self::new(ErrorCode::Unavailable, "the server cannot answer now; repeat the request")
        }
    }

    /// Says that the server failed; the client reads nothing of why.
    pub fn internal(source: impl Into<anyhow::Error>) -> Self {
        Self { source: Some(source.into()), ..Self::new(ErrorCode::Internal, "the server failed to answer") }
    }

    /// Returns the failure of a batch as one for each of its calls; what we see of its cause goes with the first.
    pub fn to_each<T>(self, calls: usize) -> Vec<Result<T>> {
        let copy = || Self {
            code: self.code,
            message: self.message.clone(),
            errors: self.errors.clone(),
            retry_after: self.retry_after,
            source: None,
        };
        let mut each: Vec<Result<T>> = (1..calls).map(|_| Err(copy())).collect();
        each.insert(0, Err(self));
        each
    }

    /// Adds words to what we see, not to what the client reads.
    pub fn context(mut self, words: &'static str) -> Self {
        self.source = self.source.map(|source| source.context(words));
        self
    }

    /// Sets when the client may try again.
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Returns what the client may act on.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Returns what the client reads.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the faults of single fields.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// Returns when the client may try again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns what only we see.
    pub fn source(&self) -> Option<&anyhow::Error> {
        self.source.as_ref()
    }

    /// Writes what only we see into the log, under the id that the client was given.
    pub fn log(&self, trace_id: &str) {
        if let Some(source) = &self.source {
            match self.code {
                ErrorCode::Internal => {
                    tracing::error!(trace.id = trace_id, error = format!("{source:#}"), "request failed")
                }
                _ => tracing::warn!(
                    trace.id = trace_id,
                    error = format!("{source:#}"),
                    "request refused: {}",
                    self.message
                ),
            }
        }
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::invalid(invalid)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source:#}"),
            None => Ok(()),
        }
    }
}

/// For loops that log a failure; answers to clients are made from the parts.
impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_status_of_its_class() {
        for code in ErrorCode::ALL {
            let row = row(code);
            assert!((400..=599).contains(&row.http));
            let is_ours = matches!(code, ErrorCode::Internal | ErrorCode::Unavailable | ErrorCode::StorageFull);
            assert_eq!(row.http >= 500, is_ours);
        }
    }

    #[test]
    fn an_internal_error_tells_the_client_nothing() {
        let error = Error::internal(anyhow::anyhow!("password is hunter2"));
        assert!(!error.message().contains("hunter2"));
    }
}
