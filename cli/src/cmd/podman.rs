//! `tstr podman`: Podman as the worker of a data dir runs it, to build and look at images without a registry.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use tstr_worker::podman_home::PodmanHome;

use crate::exit::Exit;
use crate::output::talk;

/// Flags of `tstr podman`.
#[derive(Debug, Clone, clap::Args)]
#[command(before_help = "Examples:
  tstr podman images
  tstr podman build -t localhost/my-test:1 ./my-test
  tstr podman --data-dir /var/lib/tstr/data -- ps --all")]
pub struct PodmanArgs {
    /// The data dir of `tstr up` [default: $XDG_DATA_HOME/tstr, or ~/.local/share/tstr]
    #[arg(long, env = "TSTR_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What Podman is told
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "ARG")]
    args: Vec<std::ffi::OsString>,
}

/// Runs the command; Podman takes the place of this process, so that its exit code is ours.
pub fn run(args: PodmanArgs) -> ExitCode {
    let error = match prepare(args) {
        Ok(mut command) => anyhow::Error::new(command.exec()).context("cannot run Podman"),
        Err(error) => error,
    };
    talk(&format!("error: {error:#}"));
    ExitCode::from(Exit::Error.code())
}

fn prepare(args: PodmanArgs) -> anyhow::Result<std::process::Command> {
    let data_dir = match args.data_dir {
        Some(data_dir) => data_dir,
        None => default_data_dir().context("there is no home directory: name a --data-dir")?,
    };
    let data_dir = data_dir.canonicalize().with_context(|| format!("there is no data dir {}", data_dir.display()))?;
    let mut command = PodmanHome::open(&data_dir)?.command();
    // Paths among the arguments are meant from where the person stands.
    if let Ok(here) = std::env::current_dir() {
        command.current_dir(here);
    }
    command.args(args.args);
    Ok(command)
}

/// Where `tstr up` keeps its data when nothing else is said.
fn default_data_dir() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    Some(base.or_else(|| Some(std::env::home_dir()?.join(".local/share")))?.join("tstr"))
}
