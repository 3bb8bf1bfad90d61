//! What goes wrong, in words that clients may act on.
//!
//! [`ErrorCode`] is the wire word; [`Problem`] is the body of every failed answer (RFC 9457); [`Invalid`] collects
//! the faults of one input so that all of them are reported at once.

use serde::{Deserialize, Serialize};

/// Tells what a client may do about a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request cannot be read: broken JSON, a bad page token, a bad header.
    Malformed,
    /// A field has a value that is not allowed; `errors` names each.
    Invalid,
    /// No token, or one that is expired, revoked or forged.
    Unauthenticated,
    /// The token may not do this in a namespace that it can see.
    Forbidden,
    /// There is no such thing, or the token may not see it.
    NotFound,
    /// It was there, and retention removed it.
    Expired,
    /// The state of the thing forbids it, or the name is taken.
    Conflict,
    /// The concurrency of the test, or of its group, does not let another run begin.
    ConcurrencyForbidden,
    /// The fence is not the current one: the run was given to another attempt or has finished.
    LeaseLost,
    /// `If-Match` does not name the current version.
    PreconditionFailed,
    /// The body or one part of it is larger than allowed.
    TooLarge,
    /// The idempotency key was used before with another request.
    IdempotencyMismatch,
    /// A request with the same idempotency key is still being worked on.
    IdempotencyInProgress,
    /// A quota of the namespace is used up.
    QuotaExceeded,
    /// The method is not known at this address.
    MethodNotAllowed,
    /// The content type of the body is not understood.
    UnsupportedMediaType,
    /// The server cannot answer now; the effect of a write is unknown. Repeat with the same idempotency key.
    Unavailable,
    /// The server has no room for more runs; those that it has go on. Repeat later.
    StorageFull,
    /// The server failed; the answer carries an id that its log explains.
    Internal,
}

impl ErrorCode {
    /// All codes.
    pub const ALL: [Self; 19] = [
        Self::Malformed,
        Self::Invalid,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Expired,
        Self::Conflict,
        Self::ConcurrencyForbidden,
        Self::LeaseLost,
        Self::PreconditionFailed,
        Self::TooLarge,
        Self::IdempotencyMismatch,
        Self::IdempotencyInProgress,
        Self::QuotaExceeded,
        Self::MethodNotAllowed,
        Self::UnsupportedMediaType,
        Self::Unavailable,
        Self::StorageFull,
        Self::Internal,
    ];

    /// Returns the word that stands on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Invalid => "invalid",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Expired => "expired",
            Self::Conflict => "conflict",
            Self::ConcurrencyForbidden => "concurrency_forbidden",
            Self::LeaseLost => "lease_lost",
            Self::PreconditionFailed => "precondition_failed",
            Self::TooLarge => "too_large",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::IdempotencyInProgress => "idempotency_in_progress",
            Self::QuotaExceeded => "quota_exceeded",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Unavailable => "unavailable",
            Self::StorageFull => "storage_full",
            Self::Internal => "internal",
        }
    }

    /// Finds the code of a wire word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.word() == word)
    }

    /// Tells whether the same request may succeed later without being changed.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::StorageFull | Self::IdempotencyInProgress | Self::QuotaExceeded)
    }

    /// Returns a short human title, the same for every occurrence.
    pub fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The request cannot be read",
            Self::Invalid => "A field has a value that is not allowed",
            Self::Unauthenticated => "A valid token is needed",
            Self::Forbidden => "The token may not do this",
            Self::NotFound => "Not found",
            Self::Expired => "Removed by retention",
            Self::Conflict => "The current state forbids this",
            Self::ConcurrencyForbidden => "Other runs are under way",
            Self::LeaseLost => "The lease is no longer held",
            Self::PreconditionFailed => "The version has changed",
            Self::TooLarge => "Too large",
            Self::IdempotencyMismatch => "The idempotency key belongs to another request",
            Self::IdempotencyInProgress => "The first request with this idempotency key is still running",
            Self::QuotaExceeded => "A quota is used up",
            Self::MethodNotAllowed => "Method not allowed",
            Self::UnsupportedMediaType => "Unsupported media type",
            Self::Unavailable => "Temporarily unavailable",
            Self::StorageFull => "No room for more runs",
            Self::Internal => "Internal error",
        }
    }
}

/// One fault of one field of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FieldError {
    /// Where: a JSON pointer (RFC 6901) into the body, for instance `/run_config/timeout`, or the name of a parameter.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// The body of every failed answer: a problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// A stable address that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// A short title, the same for every problem of this kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The path of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The machine-readable word for the kind of problem.
    pub code: ErrorCode,
    /// The id under which the server's log knows this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The faults of the input, each with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

impl Problem {
    /// Returns the stable address of a kind of problem.
    pub fn type_of(code: ErrorCode) -> String {
        format!("https://tstr.dev/problems/{}", code.word().replace('_', "-"))
    }
}

/// The faults of one input.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.summary())]
pub struct Invalid {
    /// Each fault with its place, in the order they were found.
    pub errors: Vec<FieldError>,
}

impl Invalid {
    /// Makes the report of a single fault.
    pub fn one(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut invalid = Self::default();
        invalid.add(pointer, detail);
        invalid
    }

    /// Notes a fault.
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
    }

    /// Notes the faults of a part, which stands at `pointer`.
    pub fn add_all(&mut self, pointer: &str, part: Invalid) {
        for error in part.errors {
            self.add(format!("{pointer}{}", error.pointer), error.detail);
        }
    }

    /// Ends the collection: `Ok` when nothing was noted.
    pub fn into_result(self) -> Result<(), Self> {
        if self.errors.is_empty() { Ok(()) } else { Err(self) }
    }

    fn summary(&self) -> String {
        match self.errors.as_slice() {
            [] => "invalid input".into(),
            [one] => format!("{}: {}", one.pointer, one.detail),
            [first, rest @ ..] => format!("{}: {} (and {} more)", first.pointer, first.detail, rest.len()),
        }
    }
}

/// Escapes one step of a JSON pointer (RFC 6901: `~` becomes `~0`, `/` becomes `~1`).
pub fn pointer_step(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

/// Finds the field in serde's text of a fault, where the place is that of the object which lacks it or has it twice.
pub fn field_of_fault(detail: &str) -> Option<&str> {
    let rest = detail.strip_prefix("missing field `").or_else(|| detail.strip_prefix("duplicate field `"))?;
    rest.strip_suffix('`')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_word_and_serializes_as_it() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_word(code.word()), Some(code));
            assert_eq!(serde_json::to_value(code).unwrap(), code.word());
        }
    }

    #[test]
    fn faults_of_a_part_carry_the_place_of_the_part() {
        let mut whole = Invalid::default();
        whole.add_all("/matrix", Invalid::one("/labels/region", "empty"));
        assert_eq!(whole.errors[0].pointer, "/matrix/labels/region");
        assert_eq!(whole.to_string(), "/matrix/labels/region: empty");
    }
}
