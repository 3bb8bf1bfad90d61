//! The command line: the commands at the top level, and how flags, environment and file come together.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tstr_shared::schedule::ZONE_TABLES;

use crate::cmd;

/// Orchestrates tests that are containers: schedules them, runs them in rootless Podman, and keeps what came of them.
#[derive(Debug, Parser)]
#[command(
    name = "tstr",
    version,
    long_version = format!("{}\ntime zone tables {ZONE_TABLES}", env!("CARGO_PKG_VERSION")),
    arg_required_else_help = true,
    before_help = "Examples:
  tstr up                          all of tstr on this machine
  tstr ctl test apply -f test.yaml
  tstr ctl test run my-test --wait
  tstr ctl logs RUN -f"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What `tstr` is asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API (JSON and gRPC) with its scheduler
    #[cfg(feature = "server")]
    Api(Box<cmd::api::ApiArgs>),
    /// Serve the web UI, and pass its calls on to an API
    #[cfg(feature = "server")]
    Ui(Box<cmd::ui::UiArgs>),
    /// Run a worker: register as a runner and execute runs
    #[cfg(feature = "runner")]
    Run(Box<cmd::run::RunArgs>),
    /// Run all of tstr on this machine, with a private PostgreSQL
    #[cfg(all(feature = "server", feature = "runner"))]
    Up(Box<cmd::UpArgs>),
    /// Talk to an API: tests, runs, logs, runners, tokens
    Ctl(Box<cmd::ctl::CtlArgs>),
    /// Bring the schema of a database up to date
    #[cfg(feature = "server")]
    Migrate(cmd::migrate::MigrateArgs),
    /// Print the OpenAPI document of the JSON API
    #[cfg(feature = "server")]
    #[command(before_help = "Examples:\n  tstr openapi > openapi.json")]
    Openapi,
    /// Run Podman as the worker does, in the store of a data dir
    #[cfg(feature = "runner")]
    Podman(cmd::podman::PodmanArgs),
    /// End the containers of the worker that started this, when it cannot
    #[cfg(feature = "runner")]
    #[command(hide = true, before_help = "Examples:\n  None: a worker starts its guard by itself.")]
    Guard,
    /// Print the completion script of a shell
    #[command(before_help = "Examples:
  tstr completion bash > ~/.local/share/bash-completion/completions/tstr
  tstr completion zsh > \"${fpath[1]}/_tstr\"
  tstr completion fish > ~/.config/fish/completions/tstr.fish")]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write the pages of all commands to a folder
    #[command(before_help = "Examples:\n  tstr man | man -l -\n  tstr man /usr/local/share/man/man1")]
    Man {
        /// The folder
        folder: Option<PathBuf>,
    },
}

/// Returns the whole command line, for help, completion and manual.
pub fn command() -> clap::Command {
    hide_values(Cli::command())
}

/// Reads the command line.
///
/// # Errors
/// The usage is wrong, or help or version is asked for.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut command = command();
    #[cfg(any(feature = "server", feature = "runner"))]
    {
        command = crate::configfile::apply(command, &args, &crate::profile::env)?;
    }
    let matches = command.try_get_matches_from_mut(args)?;
    Ok(Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?.command)
}

/// Takes the values of the environment out of all help: some are secrets.
fn hide_values(mut command: clap::Command) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, hide_values);
    }
    command.mut_args(|arg| arg.hide_env_values(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(line: &str) -> Option<clap::error::ErrorKind> {
        parse(line.split_whitespace().map(OsString::from)).err().map(|error| error.kind())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn the_documented_commands_exist() {
        let id = "0197c1a0-0000-7000-8000-000000000001";
        for line in [
            "tstr ctl test apply -f a.yaml b.yaml -f - --dry-run",
            "tstr ctl test register -f a.json",
            "tstr ctl test diff -f a.yaml",
            "tstr ctl test diff x 3 5",
            "tstr ctl test diff x 3",
            "tstr ctl test versions x --limit 5",
            "tstr ctl test list --label a=b --label c=d --paused -o wide --limit 5",
            "tstr ctl test list --paused=false --all",
            "tstr ctl test get x",
            "tstr ctl test view x",
            "tstr ctl test delete x y --yes",
            "tstr ctl test pause x",
            "tstr ctl test resume x",
            "tstr ctl test schedule x --count 3",
            "tstr ctl test run x --matrix a=b --label c=d --env E=f --priority high --wait --wait-timeout 5m -n shop",
            "tstr ctl test changed x --cell a=b --cell c=d --case ID",
            "tstr ctl test failures x --days 30",
            "tstr ctl test analysis x --days 30",
            "tstr ctl run list --test x --state queued,running --result fail --scheduled-after 1h",
            "tstr ctl run get ID",
            "tstr ctl run watch ID --timeout 5m",
            "tstr ctl run watch --matrix-id ID",
            "tstr ctl run cancel ID",
            "tstr ctl run retry ID --wait",
            "tstr ctl run retry ID --failed-cases",
            "tstr ctl run retry --matrix-id ID --all-cells --failed-cases --wait -n shop",
            "tstr ctl run keep ID ID --note n",
            "tstr ctl run unkeep ID",
            "tstr ctl run list --kept",
            "tstr ctl run list --kept=false",
            "tstr ctl run events ID",
            "tstr ctl run explain ID",
            "tstr ctl run compare ID ID",
            "tstr ctl run output ID",
            "tstr ctl run output ID --summary --attempt 1",
            "tstr ctl dashboard",
            "tstr ctl events --topics runs,queue --after 1-2-3 --limit 5",
            "tstr ctl queue --all -o wide",
            "tstr ctl queue --why ID",
            "tstr ctl summary",
            "tstr ctl summary --interval week --since 90d --until 1d --test x -o json",
            "tstr ctl summary rebuild -n shop",
            "tstr ctl schedule next x --count 3",
            "tstr ctl schedule pause x",
            "tstr ctl schedule resume x",
            "tstr ctl logs ID -f --stream stdout,stderr --timestamps --attempt 1 --tail 5 --since 5m --raw",
            "tstr ctl artifact list ID --attempt 1",
            "tstr ctl artifact download ID",
            "tstr ctl artifact download ID a.txt shots --dir out --attempt 1 --force",
            "tstr ctl results ID --attempt 1",
            "tstr ctl results ID --format junit",
            "tstr ctl results upload a.xml b.xml --test x --cell a=b --label c=d --revision r --result fail -n shop",
            "tstr ctl results upload a.xml --test x --started-at 1h --finished-at 2026-03-01T10:00:00Z",
            "tstr ctl case list ID --status fail,error --q x --flaky --limit 5",
            "tstr ctl case get ID ID",
            "tstr ctl case history x ID --cell a=b",
            "tstr ctl test status --status flaky,broken",
            "tstr ctl test status x",
            "tstr ctl test cases x --cell a=b --standing new,still_failing --status flaky --q y --slowest",
            "tstr ctl run changes ID",
            "tstr ctl quarantine list x --in-force=false --limit 5",
            "tstr ctl quarantine add x ID --owner a --reason b --days 14 --mode skip",
            "tstr ctl quarantine add x ID --owner a --reason b --until 2026-04-01T00:00:00Z",
            "tstr ctl quarantine remove x ID ID",
            "tstr ctl schedule list x --limit 5",
            "tstr ctl runner list",
            "tstr ctl runner get x",
            "tstr ctl runner drain x",
            "tstr ctl runner resume x",
            "tstr ctl token issue x --scope data --scope control --namespaces .* --expires-in 30d --out f",
            "tstr ctl token list --include-expired --include-revoked",
            "tstr ctl token get ID",
            "tstr ctl token revoke ID --yes",
            "tstr ctl namespace list",
            "tstr ctl namespace get x",
            "tstr ctl namespace create x --max-queued 5",
            "tstr ctl namespace update x --max-running none --max-bytes 5GiB",
            "tstr ctl namespace update x --runs-days 30 --logs-days 7",
            "tstr ctl identity",
            "tstr ctl whoami --server http://h --token-file f --context c",
            "tstr ctl sign-in --ui http://h",
            "tstr ctl validate a.yaml",
            "tstr ctl login --token-stdin",
            "tstr ctl logout",
            "tstr ctl context list",
            "tstr ctl context use x",
            "tstr ctl context set x --server http://h",
            "tstr ctl context delete x",
            "tstr completion bash",
            "tstr man",
        ] {
            assert_eq!(fails(&line.replace("ID", id)), None, "{line}");
        }
    }

    #[test]
    fn usage_is_checked_before_anything_is_done() {
        use clap::error::ErrorKind;
        assert_eq!(fails("tstr --version"), Some(ErrorKind::DisplayVersion));
        assert_eq!(fails("tstr ctl nonsense"), Some(ErrorKind::InvalidSubcommand));
        assert_eq!(fails("tstr ctl run get no-uuid"), Some(ErrorKind::ValueValidation));
        assert_eq!(fails("tstr ctl test apply"), Some(ErrorKind::MissingRequiredArgument));
        assert_eq!(fails("tstr ctl results"), Some(ErrorKind::MissingRequiredArgument));
        assert_eq!(fails("tstr ctl results upload a.xml"), Some(ErrorKind::MissingRequiredArgument));
        assert_eq!(fails("tstr ctl run retry"), Some(ErrorKind::MissingRequiredArgument));
        assert_eq!(fails("tstr ctl run watch"), Some(ErrorKind::MissingRequiredArgument));
        assert_eq!(fails("tstr ctl test run x --wait-timeout 5m"), Some(ErrorKind::MissingRequiredArgument));
        assert_eq!(
            fails("tstr ctl quarantine add x 0197c1a0-0000-7000-8000-000000000001 --owner a --reason b"),
            Some(ErrorKind::MissingRequiredArgument)
        );
        assert_eq!(fails("tstr ctl run list --state lost"), Some(ErrorKind::InvalidValue));
        assert_eq!(fails("tstr ctl --token abc identity"), Some(ErrorKind::UnknownArgument));
    }

    /// Every command that does something begins its help with examples.
    #[test]
    fn every_help_begins_with_examples() {
        fn walk(command: &clap::Command, path: &str, without: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name());
            let has_own = command.get_subcommands().next().is_none();
            let help = command.get_before_help().map(ToString::to_string).unwrap_or_default();
            if has_own && !help.starts_with("Examples:\n") {
                without.push(path.clone());
            }
            command.get_subcommands().for_each(|sub| walk(sub, &path, without));
        }
        let mut without = Vec::new();
        walk(&command(), "", &mut without);
        assert_eq!(without, [" tstr ctl identity", " tstr ctl logout"], "these need none");
    }
}
