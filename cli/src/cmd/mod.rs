//! The commands at the top level.

#[cfg(feature = "server")]
pub mod api;
mod completion;
pub mod ctl;
#[cfg(feature = "runner")]
mod guard;
mod man;
#[cfg(feature = "server")]
pub mod migrate;
#[cfg(feature = "server")]
mod openapi;
#[cfg(feature = "runner")]
pub mod podman;
#[cfg(feature = "runner")]
pub mod run;
#[cfg(any(feature = "server", feature = "runner"))]
mod serve;
#[cfg(feature = "server")]
pub mod ui;
#[cfg(all(feature = "server", feature = "runner"))]
mod up;

use std::process::ExitCode;

use crate::args::Command;
use crate::exit::{Exit, Outcome};

/// Flags of `tstr up`, with those that all servers have.
#[cfg(all(feature = "server", feature = "runner"))]
pub type UpArgs = serve::Served<up::UpArgs>;

/// Does what was asked for.
pub fn dispatch(command: Command) -> ExitCode {
    match command {
        #[cfg(feature = "server")]
        Command::Api(args) => serve::run(*args, api::run),
        #[cfg(feature = "server")]
        Command::Ui(args) => serve::run(*args, ui::run),
        #[cfg(feature = "runner")]
        Command::Run(args) => serve::run(*args, run::run),
        #[cfg(all(feature = "server", feature = "runner"))]
        Command::Up(args) => serve::run(*args, up::run),
        Command::Ctl(args) => ExitCode::from(ctl::run(*args).code()),
        #[cfg(feature = "server")]
        Command::Migrate(args) => serve::run(args, migrate::run),
        #[cfg(feature = "server")]
        Command::Openapi => end(openapi::run()),
        #[cfg(feature = "runner")]
        Command::Podman(args) => podman::run(args),
        #[cfg(feature = "runner")]
        Command::Guard => guard::run(),
        Command::Completion { shell } => end(completion::run(shell)),
        Command::Man { folder } => end(man::run(folder.as_deref())),
    }
}

fn end(outcome: Outcome) -> ExitCode {
    let exit = match outcome {
        Ok(()) => Exit::Done,
        Err(failure) => {
            if !failure.is_silent() {
                failure.lines().iter().for_each(|line| crate::output::talk(line));
            }
            failure.exit()
        }
    };
    ExitCode::from(exit.code())
}
