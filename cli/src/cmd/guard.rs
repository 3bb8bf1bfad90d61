//! `tstr guard`: what a worker starts beside itself to end its containers when it cannot.

use std::process::ExitCode;

use crate::exit::Exit;
use crate::output::talk;

/// Runs the command.
pub fn run() -> ExitCode {
    match tstr_worker::guard::serve() {
        Ok(()) => ExitCode::from(Exit::Done.code()),
        Err(error) => {
            talk(&format!("error: {error:#}"));
            ExitCode::from(Exit::Error.code())
        }
    }
}
