//! From how a container ended to what is reported: the mapping of CONTRACT.md 2. Pure.

use tstr_shared::run::{Outcome, Reason, RunResult};

use super::watch::Stop;

/// What the init of a container says when it cannot execute the command; the exit code is 1 then.
const INIT_FAULT: &str = "failed to exec pid1: ";
const INIT_NAME: &str = "ERROR (catatonit:";

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) code: i32,
    pub(crate) oom_killed: bool,
}

/// Returns the outcome of a container that has ended.
///
/// `stopped` says why we stopped it, if that was before its end was seen; `stderr` is the beginning of its standard
/// error.
pub(crate) fn outcome(exit: Exit, stopped: Option<Stop>, stderr: &[u8]) -> Outcome {
    let plain =
        |result| Outcome { result, reason: None, message: None, exit_code: Some(exit.code), image_digest: None };
    match stopped {
        Some(Stop::Cancel) => plain(RunResult::Cancelled),
        Some(Stop::Timeout) => plain(RunResult::TimedOut),
        // These end in no outcome at all; should one ever be asked for, the container's own end is told.
        Some(Stop::LeaseLost | Stop::Shutdown) | None => match exit.code {
            _ if exit.oom_killed => {
                let message = Some("the kernel ended the container for its use of memory".to_owned());
                Outcome { reason: Some(Reason::OomKilled), message, ..plain(RunResult::Error) }
            }
            0 => plain(RunResult::Pass),
            // Only the engine's own time-out, which is later than ours, ends a container so.
            code if code < 0 => {
                let message = Some("the container engine ended it, long after its timeout".to_owned());
                Outcome { message, exit_code: None, ..plain(RunResult::TimedOut) }
            }
            1 => match init_fault(stderr) {
                Some(fault) => {
                    let message = Some(format!("the command cannot be executed: {fault}"));
                    Outcome { reason: Some(Reason::StartFailed), message, ..plain(RunResult::Error) }
                }
                None => plain(RunResult::Fail),
            },
            // The kernel may have killed a child, and with cgroup v1 the engine never learns of it.
            137 => Outcome { message: Some(MAYBE_MEMORY.into()), ..plain(RunResult::Fail) },
            _ => plain(RunResult::Fail),
        },
    }
}

const MAYBE_MEMORY: &str = "killed, maybe out of memory";

/// Returns the outcome of an attempt whose container was never started.
pub(crate) fn not_started(reason: Reason, message: String) -> Outcome {
    Outcome {
        result: RunResult::Error,
        reason: Some(reason),
        message: Some(message),
        exit_code: None,
        image_digest: None,
    }
}

/// Returns the outcome of an attempt that was cancelled before its container was started.
pub(crate) fn cancelled_before_start() -> Outcome {
    let message = Some("cancelled before the container was started".to_owned());
    Outcome { result: RunResult::Cancelled, reason: None, message, exit_code: None, image_digest: None }
}

/// Reads what the container's init says when the command is not there or is no program: the only sign of it, for the
/// exit code 1 may be the test's own. A test that writes the same words takes only its own failure for an error.
fn init_fault(stderr: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stderr);
    let rest = text.strip_prefix(INIT_NAME)?;
    let (_, fault) = rest.split_once(INIT_FAULT)?;
    fault.lines().next().map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: i32, oom_killed: bool, stopped: Option<Stop>) -> (RunResult, Option<Reason>) {
        let outcome = outcome(Exit { code, oom_killed }, stopped, b"");
        (outcome.result, outcome.reason)
    }

    #[test]
    fn every_end_has_its_result() {
        let none: Option<Reason> = None;
        for (code, oom, stopped, expected) in [
            (0, false, None, (RunResult::Pass, none)),
            (1, false, None, (RunResult::Fail, none)),
            (125, false, None, (RunResult::Fail, none)),
            (127, false, None, (RunResult::Fail, none)),
            (137, false, None, (RunResult::Fail, none)),
            (255, false, None, (RunResult::Fail, none)),
            (137, true, None, (RunResult::Error, Some(Reason::OomKilled))),
            (0, true, None, (RunResult::Error, Some(Reason::OomKilled))),
            (-1, false, None, (RunResult::TimedOut, none)),
            (143, false, Some(Stop::Timeout), (RunResult::TimedOut, none)),
            (0, false, Some(Stop::Timeout), (RunResult::TimedOut, none)),
            (137, false, Some(Stop::Cancel), (RunResult::Cancelled, none)),
            (0, false, Some(Stop::Cancel), (RunResult::Cancelled, none)),
        ] {
            assert_eq!(of(code, oom, stopped), expected, "{code} {oom} {stopped:?}");
        }
    }

    #[test]
    fn a_kill_is_explained_as_far_as_it_can_be() {
        let killed = outcome(Exit { code: 137, oom_killed: false }, None, b"");
        assert_eq!(killed.message.unwrap(), "killed, maybe out of memory");
    }

    #[test]
    fn a_command_that_is_not_there_is_no_failure_of_the_test() {
        let exit = Exit { code: 1, oom_killed: false };
        let said = b"ERROR (catatonit:6): failed to exec pid1: No such file or directory\n";
        let missing = outcome(exit, None, said);
        assert_eq!((missing.result, missing.reason), (RunResult::Error, Some(Reason::StartFailed)));
        assert!(missing.message.unwrap().contains("No such file or directory"));
        let own = outcome(exit, None, b"my test: ERROR (catatonit:6): failed to exec pid1: x");
        assert_eq!((own.result, own.reason), (RunResult::Fail, None));
    }
}
