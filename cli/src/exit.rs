//! How `tstr` ends: the stable exit codes, and the one error type of the client commands that carries them.

use std::fmt;

use serde_json::{Value, json};
use tstr_shared::error::{ErrorCode, FieldError, Problem};
use tstr_shared::run::RunResult;

/// The exit codes. They are documented and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or the run passed.
    Done,
    /// The tool or the server failed.
    Error,
    /// The command line or the input is wrong.
    Usage,
    /// There is no such thing.
    NotFound,
    /// Not authenticated, or not allowed.
    Denied,
    /// The state of the thing, or a precondition, forbids it.
    Conflict,
    /// The server could not be reached, or did not answer in time.
    Unreachable,
    /// The run failed.
    RunFailed,
    /// The run ended with an error of the infrastructure.
    RunErrored,
    /// The run was cancelled.
    RunCancelled,
    /// The run was timed out.
    RunTimedOut,
    /// `--wait` gave up while the run was queued or running.
    GaveUp,
    /// No runner takes the run.
    Unplaceable,
    /// `diff` found a difference.
    Differs,
    /// Interrupted by SIGINT.
    Interrupted,
    /// Interrupted by SIGTERM.
    Terminated,
}

impl Exit {
    /// Returns the number that the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Denied => 4,
            Self::Conflict => 5,
            Self::Unreachable => 6,
            Self::RunFailed => 10,
            Self::RunErrored => 11,
            Self::RunCancelled => 12,
            Self::RunTimedOut => 13,
            Self::GaveUp => 14,
            Self::Unplaceable => 15,
            Self::Differs => 20,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// Returns the code for a problem that the server answered with.
    pub fn of_problem(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Malformed | ErrorCode::Invalid | ErrorCode::TooLarge => Self::Usage,
            ErrorCode::Unauthenticated | ErrorCode::Forbidden => Self::Denied,
            ErrorCode::NotFound | ErrorCode::Expired => Self::NotFound,
            ErrorCode::Conflict
            | ErrorCode::ConcurrencyForbidden
            | ErrorCode::LeaseLost
            | ErrorCode::PreconditionFailed
            | ErrorCode::IdempotencyMismatch
            | ErrorCode::IdempotencyInProgress
            | ErrorCode::QuotaExceeded => Self::Conflict,
            ErrorCode::Unavailable | ErrorCode::StorageFull => Self::Unreachable,
            // The tool asked for something that the server does not know: one of the two is at fault, not the user.
            ErrorCode::MethodNotAllowed | ErrorCode::UnsupportedMediaType | ErrorCode::Internal => Self::Error,
        }
    }

    /// Returns the code for an answer whose body says nothing, from a proxy for instance.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Denied,
            404 | 410 => Self::NotFound,
            409 | 412 => Self::Conflict,
            400 | 413 | 422 => Self::Usage,
            502..=504 => Self::Unreachable,
            _ => Self::Error,
        }
    }

    /// Returns the code for the result of a run.
    pub fn of_result(result: RunResult) -> Self {
        match result {
            RunResult::Pass => Self::Done,
            RunResult::Fail => Self::RunFailed,
            RunResult::Error => Self::RunErrored,
            RunResult::TimedOut => Self::RunTimedOut,
            RunResult::Cancelled => Self::RunCancelled,
        }
    }

    /// Returns the worse of two: failed, timed out, errored, cannot be placed, gave up, cancelled, passed.
    ///
    /// A failure is what a test is there to find, so it outweighs what kept other cells from saying anything.
    pub fn worse(self, other: Self) -> Self {
        if other.weight() > self.weight() { other } else { self }
    }

    fn weight(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Differs => 1,
            Self::RunCancelled => 2,
            Self::GaveUp => 3,
            Self::Unplaceable => 4,
            Self::RunErrored => 5,
            Self::RunTimedOut => 6,
            Self::RunFailed => 7,
            Self::Conflict => 8,
            Self::NotFound => 9,
            Self::Usage => 10,
            Self::Denied => 11,
            Self::Unreachable => 12,
            Self::Error => 13,
            Self::Interrupted | Self::Terminated => 14,
        }
    }
}

/// Why a command did not do what it was asked for, for people, for programs and for the shell.
#[derive(Debug)]
pub struct Failure(Box<Parts>);

#[derive(Debug)]
struct Parts {
    exit: Exit,
    message: String,
    errors: Vec<FieldError>,
    hints: Vec<String>,
    problem: Option<Problem>,
    silent: bool,
}

/// What the client commands return.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Makes a failure of the tool itself.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Parts { exit, message, errors: Vec::new(), hints: Vec::new(), problem: None, silent: false }))
    }

    /// Makes a failure of wrong usage.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Makes the failure for a problem that the server answered with.
    pub fn problem(problem: Problem) -> Self {
        let mut failure = Self::new(Exit::of_problem(problem.code), problem.detail.clone());
        failure.0.errors.clone_from(&problem.errors);
        failure.0.problem = Some(problem);
        failure
    }

    /// Makes the failure for a standard output that nobody reads any more: there is nobody to tell.
    pub fn closed_pipe() -> Self {
        let mut failure = Self::new(Exit::Done, "the standard output was closed");
        failure.0.silent = true;
        failure
    }

    /// Adds faults of the input, each with its place.
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Adds a sentence about what may help.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// Puts words before the message, for instance the file that it is about.
    pub fn about(mut self, what: &str) -> Self {
        self.0.message = format!("{what}: {}", self.0.message);
        self
    }

    /// Returns the exit code.
    pub fn exit(&self) -> Exit {
        self.0.exit
    }

    /// Returns the problem's code, when it was the server that failed the request.
    pub fn code(&self) -> Option<ErrorCode> {
        self.0.problem.as_ref().map(|problem| problem.code)
    }

    /// Returns the faults of the input.
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// Tells whether the same request may succeed later.
    pub fn is_passing(&self) -> bool {
        self.0.exit == Exit::Unreachable
    }

    /// Tells whether nothing is to be printed.
    pub fn is_silent(&self) -> bool {
        self.0.silent
    }

    /// Returns the lines for people: the message, each fault with its place, the hints.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("error: {}", self.0.message)];
        lines.extend(self.0.errors.iter().map(|error| match error.pointer.as_str() {
            "" => format!("  {}", error.detail),
            pointer => format!("  {pointer}: {}", error.detail),
        }));
        lines.extend(self.0.hints.iter().map(|hint| format!("hint: {hint}")));
        lines
    }

    /// Returns the problem document for programs; for a failure of the tool, one of the same form.
    pub fn document(&self) -> Value {
        match &self.0.problem {
            Some(problem) => serde_json::to_value(problem).unwrap_or_default(),
            None => json!({
                "type": "about:blank",
                "title": "The command failed",
                "detail": self.0.message,
                "errors": self.0.errors,
                "exit_code": self.0.exit.code(),
            }),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(code: ErrorCode) -> Problem {
        Problem {
            kind: Problem::type_of(code),
            title: code.title().into(),
            status: 422,
            detail: "two fields".into(),
            instance: None,
            code,
            trace_id: None,
            errors: vec![FieldError { pointer: "/run_config/timeout".into(), detail: "too long".into() }],
            retryable: false,
        }
    }

    /// The whole table: a change here is a change of the documented interface.
    #[test]
    fn every_problem_has_its_documented_exit_code() {
        let codes: Vec<_> = ErrorCode::ALL.iter().map(|code| (code.word(), Exit::of_problem(*code).code())).collect();
        assert_eq!(
            codes,
            [
                ("malformed", 2),
                ("invalid", 2),
                ("unauthenticated", 4),
                ("forbidden", 4),
                ("not_found", 3),
                ("expired", 3),
                ("conflict", 5),
                ("concurrency_forbidden", 5),
                ("lease_lost", 5),
                ("precondition_failed", 5),
                ("too_large", 2),
                ("idempotency_mismatch", 5),
                ("idempotency_in_progress", 5),
                ("quota_exceeded", 5),
                ("method_not_allowed", 1),
                ("unsupported_media_type", 1),
                ("unavailable", 6),
                ("storage_full", 6),
                ("internal", 1),
            ]
        );
    }

    #[test]
    fn every_result_has_its_documented_exit_code() {
        let codes: Vec<_> = RunResult::ALL.iter().map(|result| Exit::of_result(*result).code()).collect();
        assert_eq!(codes, [0, 10, 11, 13, 12]);
        let others = [Exit::GaveUp, Exit::Unplaceable, Exit::Differs, Exit::Interrupted, Exit::Terminated];
        assert_eq!(others.map(Exit::code), [14, 15, 20, 130, 143]);
    }

    #[test]
    fn the_worst_cell_decides_and_a_failure_is_the_worst() {
        let order = [
            Exit::Done,
            Exit::RunCancelled,
            Exit::GaveUp,
            Exit::Unplaceable,
            Exit::RunErrored,
            Exit::RunTimedOut,
            Exit::RunFailed,
        ];
        for (i, worse) in order.iter().enumerate() {
            for better in &order[..=i] {
                assert_eq!(worse.worse(*better), *worse);
                assert_eq!(better.worse(*worse), *worse);
            }
        }
    }

    #[test]
    fn a_problem_is_told_with_each_field() {
        let failure = Failure::problem(problem(ErrorCode::Invalid)).hint("read the docs");
        assert_eq!(failure.lines(), ["error: two fields", "  /run_config/timeout: too long", "hint: read the docs"]);
        assert_eq!(failure.document()["code"], "invalid");
        assert_eq!(failure.exit().code(), 2);
    }

    #[test]
    fn a_failure_of_the_tool_has_a_document_of_the_same_form() {
        let document = Failure::new(Exit::Unreachable, "no route").document();
        assert_eq!(document["detail"], "no route");
        assert_eq!(document["exit_code"], 6);
    }
}
