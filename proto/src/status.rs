//! Failures on the wire: the server encodes a problem into a status, the worker decodes it.
//!
//! The problem travels as the rich error model of gRPC has it: `grpc-status-details-bin` holds a `google.rpc.Status`
//! whose details hold a [`Problem`](crate::v1::Problem). A status stands in the headers of an answer, which clients
//! limit to 8 KiB or little more; texts are therefore shortened, and of very many faults only the first are told.

use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};
use tstr_shared::error::{ErrorCode, FieldError};

use crate::v1 as pb;

/// The longest message, in bytes; percent-encoding may triple it.
const MAX_MESSAGE: usize = 768;
/// The longest place of a fault, in bytes.
const MAX_POINTER: usize = 256;
/// The longest text of a fault, in bytes.
const MAX_DETAIL: usize = 512;
/// The most bytes of all faults together; base64 adds a third.
const MAX_ERRORS: usize = 2048;

const PROBLEM: &str = "tstr.v1.Problem";

/// `google.rpc.Status`, which the well-known types of prost do not include.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// What a server said about a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedProblem {
    /// The machine-readable word for the kind of problem.
    pub code: ErrorCode,
    /// What happened this time.
    pub message: String,
    /// The faults of the input, each with its place.
    pub errors: Vec<FieldError>,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// The id under which the server's log knows the request.
    pub trace_id: Option<String>,
}

/// Makes the status of a failure.
pub fn encode(
    code: ErrorCode,
    grpc: Code,
    message: &str,
    errors: &[FieldError],
    retryable: bool,
    trace_id: Option<&str>,
) -> Status {
    let message = shortened(message, MAX_MESSAGE);
    let problem = pb::Problem {
        code: code.word().to_owned(),
        errors: within_limits(errors),
        retryable,
        trace_id: trace_id.unwrap_or_default().to_owned(),
    };
    let any = Any { type_url: format!("type.googleapis.com/{PROBLEM}"), value: problem.encode_to_vec() };
    let rich = RpcStatus { code: grpc.into(), message: message.clone(), details: vec![any] };
    Status::with_details(grpc, message, rich.encode_to_vec().into())
}

/// Returns what the server said about a failure.
///
/// `None` when the status is not the word of a tstr server, for instance because the connection broke, or when the
/// server knows a kind of problem that this version does not; only the status's own code tells something then.
pub fn decode(status: &Status) -> Option<DecodedProblem> {
    let rich = RpcStatus::decode(status.details()).ok()?;
    let any = rich.details.iter().find(|any| any.type_url.rsplit('/').next() == Some(PROBLEM))?;
    let problem = pb::Problem::decode(any.value.as_slice()).ok()?;
    let errors = problem.errors.into_iter().map(|fault| FieldError { pointer: fault.pointer, detail: fault.detail });
    Some(DecodedProblem {
        code: ErrorCode::from_word(&problem.code)?,
        message: status.message().to_owned(),
        errors: errors.collect(),
        retryable: problem.retryable,
        trace_id: Some(problem.trace_id).filter(|id| !id.is_empty()),
    })
}

/// Returns the server's word for the kind of problem; `None` as [`decode`] does.
pub fn error_code(status: &Status) -> Option<ErrorCode> {
    decode(status).map(|problem| problem.code)
}

/// Returns the first faults as far as there is room, and how many more there are.
fn within_limits(errors: &[FieldError]) -> Vec<pb::FieldError> {
    let mut room = MAX_ERRORS;
    let mut told = Vec::new();
    for fault in errors {
        let fault = pb::FieldError {
            pointer: shortened(&fault.pointer, MAX_POINTER),
            detail: shortened(&fault.detail, MAX_DETAIL),
        };
        let Some(rest) = room.checked_sub(fault.encoded_len()) else { break };
        room = rest;
        told.push(fault);
    }
    if told.len() < errors.len() {
        let detail = format!("and {} more", errors.len() - told.len());
        told.push(pb::FieldError { pointer: String::new(), detail });
    }
    told
}

/// Returns a text of at most `bytes` bytes, with an ellipsis where it was cut.
fn shortened(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes.saturating_sub('…'.len_utf8()));
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fault(pointer: &str, detail: &str) -> FieldError {
        FieldError { pointer: pointer.into(), detail: detail.into() }
    }

    /// Sends a status through the headers of an answer, as it travels; also returns their size.
    fn sent(status: Status) -> (Status, usize) {
        let mut headers = status.into_http::<()>().into_parts().0.headers;
        let size = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        headers.remove("content-type");
        (Status::from_header_map(&headers).unwrap(), size)
    }

    #[test]
    fn every_code_arrives_with_its_words() {
        for code in ErrorCode::ALL {
            let errors = [fault("/name", "must be given"), fault("/labels/a~1b", "ünsinn")];
            let status = encode(code, Code::Aborted, "größer, 100 % \n", &errors, true, Some("t-1"));
            let (status, _) = sent(status);
            assert_eq!(status.code(), Code::Aborted);
            assert_eq!(error_code(&status), Some(code));
            let expected = DecodedProblem {
                code,
                message: "größer, 100 % \n".into(),
                errors: errors.to_vec(),
                retryable: true,
                trace_id: Some("t-1".into()),
            };
            assert_eq!(decode(&status), Some(expected));
        }
    }

    #[test]
    fn what_no_tstr_server_said_has_no_code() {
        assert_eq!(decode(&Status::unavailable("connection refused")), None);
        assert_eq!(decode(&Status::with_details(Code::Internal, "x", vec![0xFF, 1, 2].into())), None);
        let other = Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".into(), value: Vec::new() };
        let rich = RpcStatus { code: 14, message: String::new(), details: vec![other] };
        assert_eq!(decode(&Status::with_details(Code::Internal, "x", rich.encode_to_vec().into())), None);
    }

    #[test]
    fn very_many_faults_are_counted_instead_of_told() {
        let errors: Vec<_> =
            (0..1000).map(|i| fault(&format!("/args/{i}"), "an argument must not hold a NUL")).collect();
        let (status, size) = sent(encode(ErrorCode::Invalid, Code::InvalidArgument, "x", &errors, false, None));
        let told = decode(&status).unwrap().errors;
        assert!(told.len() > 20 && size < 8192, "{} faults in {size} bytes", told.len());
        assert_eq!(told.last().unwrap().detail, format!("and {} more", 1001 - told.len()));
    }

    proptest! {
        #[test]
        fn a_status_fits_into_the_headers_that_clients_take(
            message in "\\PC{0,2000}",
            errors in prop::collection::vec(("\\PC{0,900}", "\\PC{0,900}"), 0..20),
        ) {
            let errors: Vec<_> = errors.iter().map(|(pointer, detail)| fault(pointer, detail)).collect();
            let trace = "0198f7a0-0000-7000-8000-000000000000";
            let (status, size) = sent(encode(ErrorCode::Invalid, Code::InvalidArgument, &message, &errors, false, Some(trace)));
            prop_assert!(size < 8192, "{size} bytes");
            prop_assert!(decode(&status).is_some());
        }
    }
}
