//! Events, and codes that sign in.

use proptest::option;
use proptest::prelude::*;
use tstr_shared::event::{Event, EventKind, ResetReason};
use tstr_shared::run::{RunResult, RunState};
use tstr_shared::runner::RunnerState;
use tstr_shared::session::SessionCode;

use super::{id, instant, namespace, one_of};

pub fn news() -> impl Strategy<Value = Event> {
    let run = (option::of(id()), option::of(id()), option::of("[a-z]{1,9}"), option::of(1..u16::MAX));
    let states = (option::of(one_of(RunState::ALL)), option::of(one_of(RunResult::ALL)));
    let live = [RunnerState::Live, RunnerState::Draining, RunnerState::Offline];
    let runner = (option::of(id()), option::of("[a-z]{1,9}"), option::of(proptest::sample::select(live.to_vec())));
    let said = (one_of(EventKind::ALL), option::of("[0-9-]{1,9}"), option::of(one_of(ResetReason::ALL)));
    (said, namespace(), instant(), run, states, runner).prop_map(
        |((event, id, reason), namespace, at, (run, test, test_name, attempt), (state, result), runner)| Event {
            id,
            event,
            namespace,
            at,
            run,
            test,
            test_name,
            state,
            result,
            attempt,
            runner: runner.0,
            runner_name: runner.1,
            runner_state: runner.2,
            reason,
        },
    )
}

pub fn session_code() -> impl Strategy<Value = SessionCode> {
    ("\\PC{0,9}", instant(), option::of("\\PC{1,9}")).prop_map(|(code, expires_at, link)| SessionCode {
        code,
        expires_at,
        link,
    })
}
