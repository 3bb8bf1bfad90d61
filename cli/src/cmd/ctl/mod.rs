//! `tstr ctl`: the client commands. Each talks to the API alone; none knows a database or a container.

mod artifact;
mod causes;
mod compare;
mod context;
mod dashboard;
mod events;
mod explain;
mod health;
mod identity;
mod interrupt;
mod logs;
mod namespace;
mod parse;
mod quarantine;
mod results;
mod run;
mod runner;
mod said;
mod schedule;
mod show;
mod sign_in;
mod summary;
mod test;
mod token;
mod upload;
mod validate;
mod version;
mod wait;

use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::client::{Call, Client};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Colour, Door, Format, Show, plain};
use crate::profile::{self, Files, Profile, env};
use interrupt::Interrupt;

/// Flags and commands of `tstr ctl`.
#[derive(Debug, Args)]
pub struct CtlArgs {
    #[command(flatten)]
    connection: profile::Flags,
    #[command(flatten)]
    writing: Writing,
    #[command(subcommand)]
    command: Command,
}

/// How answers are written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
struct Writing {
    /// How answers are written [env: TSTR_OUTPUT] [default: table]
    #[arg(long, short, global = true, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
    /// When colours are used [default: auto]
    #[arg(long, global = true, value_enum, value_name = "WHEN", hide_possible_values = true)]
    color: Option<Colour>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tests: apply, list, run, pause, delete
    #[command(subcommand)]
    Test(test::Command),
    /// Runs: list, watch, cancel, retry
    #[command(subcommand)]
    Run(run::Command),
    /// The log of a run
    Logs(logs::LogsArgs),
    /// The files that a run left behind: list, download
    #[command(subcommand)]
    Artifact(artifact::Command),
    /// What the test reports of a run say
    Results(results::ResultsArgs),
    /// Cases of test reports: list, get
    #[command(subcommand)]
    Case(results::CaseCommand),
    /// Cases whose failure does not count for a while: list, add, remove
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// How a namespace is, at one look
    #[command(before_help = "Examples:\n  tstr ctl dashboard\n  tstr ctl dashboard -n shop -o json")]
    Dashboard,
    /// What changes in the namespace, as it happens
    Events(events::EventsArgs),
    /// What waits, and who could take it
    Queue(explain::QueueArgs),
    /// How the runs went: over time, and by test, runner and label
    Summary(summary::SummaryArgs),
    /// Schedules: what became of their instants, what runs next, pause, resume
    #[command(subcommand)]
    Schedule(schedule::Command),
    /// Runners: list, drain, resume
    #[command(subcommand)]
    Runner(runner::Command),
    /// Tokens: issue, list, revoke
    #[command(subcommand)]
    Token(token::Command),
    /// Namespaces and their quotas
    #[command(subcommand)]
    Namespace(namespace::Command),
    /// Who am I, and which namespaces do I see
    #[command(visible_alias = "whoami")]
    Identity,
    /// Print a link that signs a browser in to the web UI, once
    SignIn(sign_in::SignInArgs),
    /// Check tests without a server
    Validate(validate::ValidateArgs),
    /// Keep a token for a server
    Login(context::LoginArgs),
    /// Forget the token that was kept
    Logout,
    /// Named servers with their namespace and token
    #[command(subcommand)]
    Context(context::Command),
}

/// What the client commands work with.
#[derive(Debug)]
pub struct Ctl {
    /// Where and who.
    pub profile: Profile,
    /// The way to the server.
    pub client: Client,
    /// The way to the person.
    pub out: Door,
    /// What is said when the person interrupts.
    pub interrupt: Arc<Interrupt>,
}

/// How much of a list is wanted.
#[derive(Debug, Clone, Args)]
pub struct Much {
    /// The most items
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All items
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl Default for Much {
    fn default() -> Self {
        Self { limit: 100, all: false }
    }
}

impl Much {
    /// Returns the most items; `None` for all.
    fn limit(&self) -> Option<usize> {
        (!self.all).then_some(self.limit as usize)
    }
}

impl Ctl {
    /// Lists all pages, up to the limit.
    pub async fn list<T: Show>(&self, call: &Call, much: &Much) -> Outcome<Exit> {
        let (items, more) = self.client.list(call, much.limit()).await?;
        self.out.list::<T>(&items)?;
        if more {
            self.out.hint(&format!("the first {} are shown; --limit N or --all shows more", items.len()));
        }
        Ok(Exit::Done)
    }

    /// Gets one thing and writes it.
    pub async fn item<T: Show>(&self, call: &Call) -> Outcome<Exit> {
        self.out.item::<T>(&self.client.send(call).await?)?;
        Ok(Exit::Done)
    }

    /// Asks whether something that cannot be undone is meant; where nobody can be asked, `--yes` has to stand.
    pub fn confirm(&self, yes: bool, question: &str) -> Outcome {
        if yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Err(Failure::usage(format!("{question} Nobody can be asked here: say --yes")));
        }
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "{} [y/N] ", plain::one_line(question));
        let _ = err.flush();
        drop(err);
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        match read {
            Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes" | "Yes") => Ok(()),
            _ => Err(Failure::new(Exit::Error, "nothing was done")),
        }
    }

    /// Returns the namespace.
    pub fn ns(&self) -> &str {
        &self.profile.namespace
    }

    /// Returns the steps of a path inside the namespace.
    pub fn in_ns<'a>(&'a self, steps: &[&'a str]) -> Vec<&'a str> {
        let mut path = vec!["namespaces", self.ns()];
        path.extend(steps);
        path
    }
}

/// Runs a client command and returns the exit code.
pub fn run(args: CtlArgs) -> Exit {
    let colour = args.writing.color.unwrap_or_default();
    // Until the configuration is read, the flag alone says how a failure is told.
    let early = Door::open(args.writing.output.unwrap_or(Format::Table), colour, &env);
    let files = match Files::read(&env) {
        Ok(files) => files,
        Err(failure) => return end(early, Err(failure)),
    };
    let format = match format(args.writing.output, &files) {
        Ok(format) => format,
        Err(failure) => return end(early, Err(failure)),
    };
    let out = Door::open(format, colour, &env);
    let interrupt = Interrupt::listen();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(out, Err(Failure::new(Exit::Error, format!("cannot start: {error}")))),
    };
    end(out, runtime.block_on(dispatch(args, out, files, interrupt)))
}

fn end(out: Door, outcome: Outcome<Exit>) -> Exit {
    outcome.unwrap_or_else(|failure| {
        out.tell(&failure);
        failure.exit()
    })
}

fn format(flag: Option<Format>, files: &Files) -> Outcome<Format> {
    let named = match (flag, env("TSTR_OUTPUT")) {
        (Some(format), _) => Some(format),
        // Inside of a test the variable names the file for result data.
        (None, Some(word)) if word.starts_with('/') => None,
        (None, Some(word)) => {
            let format = <Format as clap::ValueEnum>::from_str(&word, false);
            Some(format.map_err(|_| Failure::usage(format!("TSTR_OUTPUT: '{word}' is no format")))?)
        }
        (None, None) => None,
    };
    Ok(named.or(files.user.output).or(files.system.output).unwrap_or(Format::Table))
}

async fn dispatch(args: CtlArgs, out: Door, files: Files, interrupt: Arc<Interrupt>) -> Outcome<Exit> {
    // These need no server, or are there to name one.
    let command = match args.command {
        Command::Validate(validate) => return validate::run(out, &validate),
        Command::Logout => return context::logout(out, &args.connection, &files),
        Command::Context(command) => return context::run(out, &args.connection, &files, command),
        Command::Login(login) => return context::login(out, &args.connection, &files, &interrupt, &login).await,
        other => other,
    };
    let profile = profile::resolve(&args.connection, &env, &files)?;
    let ctl = Ctl { client: Client::new(&profile)?, profile, out, interrupt };
    match command {
        Command::Test(command) => test::run(&ctl, command).await,
        Command::Run(command) => run::run(&ctl, command).await,
        Command::Logs(args) => logs::run(&ctl, &args).await,
        Command::Artifact(command) => artifact::run(&ctl, command).await,
        Command::Results(args) => results::results(&ctl, &args).await,
        Command::Case(command) => results::case(&ctl, command).await,
        Command::Quarantine(command) => quarantine::run(&ctl, command).await,
        Command::Dashboard => dashboard::run(&ctl).await,
        Command::Events(args) => events::run(&ctl, args).await,
        Command::Queue(args) => explain::queue(&ctl, &args).await,
        Command::Summary(args) => summary::run(&ctl, args).await,
        Command::Runner(command) => runner::run(&ctl, command).await,
        Command::Schedule(command) => schedule::run(&ctl, command).await,
        Command::Token(command) => token::run(&ctl, command).await,
        Command::Namespace(command) => namespace::run(&ctl, command).await,
        Command::Identity => identity::run(&ctl).await,
        Command::SignIn(args) => sign_in::run(&ctl, args).await,
        Command::Validate(_) | Command::Login(_) | Command::Logout | Command::Context(_) => Ok(Exit::Done),
    }
}

/// Returns a text of an answer, for messages.
fn text_at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
