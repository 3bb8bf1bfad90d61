//! `tstr completion`: the completion script of a shell.

use clap_complete::Shell;

use crate::args;
use crate::exit::Outcome;
use crate::output::write_all;

/// Runs the command.
pub fn run(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "tstr", &mut script);
    write_all(&script)
}
