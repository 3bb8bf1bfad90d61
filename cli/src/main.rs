//! `tstr`: one binary that holds every part of tstr, and the client that talks to them.
//!
//! `tstr ctl` and what it needs know the API alone. The server and the worker are linked by the features `server` and
//! `runner`, and named only in `cmd/{api,run,guard,up,migrate,openapi,podman}`.

mod args;
mod client;
mod cmd;
#[cfg(any(feature = "server", feature = "runner"))]
mod configfile;
mod exit;
mod input;
mod output;
mod profile;

use std::process::ExitCode;

fn main() -> ExitCode {
    match args::parse(std::env::args_os()) {
        Ok(command) => cmd::dispatch(command),
        Err(error) => {
            // Help and version are data, all else is talk; clap tells them apart.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
        }
    }
}
