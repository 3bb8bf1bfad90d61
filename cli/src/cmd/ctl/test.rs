//! `tstr ctl test`.

use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tstr_shared::causes::DEFAULT_DAYS;
use tstr_shared::report::CaseId;
use tstr_shared::run::{Run, Triggered};
use tstr_shared::schedule::Upcoming;
use tstr_shared::testdef::{Applied, Change, TestDef, TestSchedule};

use super::run::Waiting;
use super::wait::until_finished;
use super::{Ctl, Much, causes, health, parse, text_at, version};
use crate::client::Call;
use crate::exit::{Exit, Failure, Outcome};
use crate::input::{self, Document};
use crate::output::{Cell, Column, Format, Tint, typed};

/// Commands about tests.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create tests, or make them what the files say
    Apply(ApplyArgs),
    /// Register new tests; one whose name is taken is refused
    #[command(before_help = "Examples:
  tstr ctl test register -f test.json     a file of the original tstr will do, unchanged")]
    Register(Input),
    /// Show what `apply` would change, or what changed between two versions; exit code 20 when there is a difference
    Diff(DiffArgs),
    /// List the versions of a test: when it was changed, and by whom
    #[command(before_help = "Examples:\n  tstr ctl test versions checkout\n  tstr ctl test diff checkout 3 5")]
    Versions {
        /// The test: its id or its name
        test: String,
        #[command(flatten)]
        much: Much,
    },
    /// Say how tests are: healthy, flaky or broken, with the ends of their latest runs
    Status(health::StatusArgs),
    /// List the cases of a test: where each stands, and since when
    Cases(health::CasesArgs),
    /// List tests
    List(ListArgs),
    /// Show one test
    #[command(
        visible_alias = "view",
        before_help = "Examples:\n  tstr ctl test get checkout\n  tstr ctl test get checkout -o yaml"
    )]
    Get {
        /// The test: its id or its name
        test: String,
    },
    /// Delete tests; their runs stay
    #[command(before_help = "Examples:\n  tstr ctl test delete checkout\n  tstr ctl test delete checkout --yes")]
    Delete {
        /// The tests: ids or names
        #[arg(required = true, value_name = "TEST")]
        tests: Vec<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Let the schedule make no runs
    #[command(before_help = "Examples:\n  tstr ctl test pause checkout")]
    Pause {
        /// The test: its id or its name
        test: String,
    },
    /// Let the schedule make runs again
    #[command(before_help = "Examples:\n  tstr ctl test resume checkout")]
    Resume {
        /// The test: its id or its name
        test: String,
    },
    /// Show when a test runs next
    #[command(before_help = "Examples:\n  tstr ctl test schedule checkout --count 20")]
    Schedule {
        /// The test: its id or its name
        test: String,
        /// How many instants
        #[arg(long, value_name = "N", default_value_t = 10)]
        count: u32,
    },
    /// Run a test now, outside its schedule
    Run(RunArgs),
    /// Show what changed between the last pass and the first failure after it
    #[command(before_help = "Examples:
  tstr ctl test changed checkout
  tstr ctl test changed checkout --cell region=nyc --case 6f1c8a52-6f0e-5d3b-9a55-0d7f6d0f2d11")]
    Changed {
        /// The test: its id or its name
        test: String,
        /// In this cell; repeatable, for each of its labels [default: the cell that began to fail last]
        #[arg(long, value_name = "KEY=VALUE", value_parser = parse::pair)]
        cell: Vec<(String, String)>,
        /// Of this case instead of the whole test
        #[arg(long, value_name = "ID")]
        case: Option<CaseId>,
    },
    /// Show which failures say the same
    #[command(
        before_help = "Examples:\n  tstr ctl test failures checkout\n  tstr ctl test failures checkout --days 30 -o wide"
    )]
    Failures {
        /// The test: its id or its name
        test: String,
        /// How many days are looked back
        #[arg(long, value_name = "N", default_value_t = DEFAULT_DAYS)]
        days: u32,
    },
    /// Show which labels carry the failures, and since when it takes longer
    #[command(
        before_help = "Examples:\n  tstr ctl test analysis checkout\n  tstr ctl test analysis checkout --days 30"
    )]
    Analysis {
        /// The test: its id or its name
        test: String,
        /// How many days are looked back
        #[arg(long, value_name = "N", default_value_t = DEFAULT_DAYS)]
        days: u32,
    },
}

/// Where tests are read from.
#[derive(Debug, Args)]
pub struct Input {
    /// A file of YAML or JSON, a folder of them, or - for the standard input; repeatable
    #[arg(long = "file", short = 'f', required = true, value_name = "FILE", num_args = 1..)]
    files: Vec<PathBuf>,
}

/// Flags of `test diff`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl test diff -f test.yaml && echo nothing to do
  tstr ctl test diff checkout 3 5     what changed between these versions
  tstr ctl test diff checkout 3       what has changed since")]
pub struct DiffArgs {
    /// A file of YAML or JSON, a folder of them, or - for the standard input; repeatable
    #[arg(long = "file", short = 'f', required_unless_present = "test", conflicts_with = "test", value_name = "FILE", num_args = 1..)]
    files: Vec<PathBuf>,
    /// The test whose versions are compared: its id or its name
    #[arg(requires = "before")]
    test: Option<String>,
    /// The version before
    #[arg(value_name = "VERSION")]
    before: Option<i32>,
    /// The version after [default: the latest]
    #[arg(value_name = "VERSION")]
    after: Option<i32>,
}

/// Flags of `test apply`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl test apply -f test.yaml
  tstr ctl test apply -f tests/ --dry-run
  cat test.yaml | tstr ctl test apply -f -")]
pub struct ApplyArgs {
    #[command(flatten)]
    input: Input,
    /// Say what would change and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Flags of `test list`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl test list
  tstr ctl test list --label type=smoke --paused
  tstr ctl test list --query check -o json")]
pub struct ListArgs {
    /// Tests with this text in their name
    #[arg(long, short, value_name = "TEXT")]
    query: Option<String>,
    /// Tests with this label; repeatable, all must be there
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::pair)]
    label: Vec<(String, String)>,
    /// Tests with this annotation; repeatable, all must be there
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::pair)]
    annotation: Vec<(String, String)>,
    /// Tests whose schedule is paused; `--paused=false` for the others
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    paused: Option<bool>,
    #[command(flatten)]
    much: Much,
}

/// Flags of `test run`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl test run checkout
  tstr ctl test run checkout --wait       the exit code is the result
  tstr ctl test run checkout --matrix region=nyc --env LEVEL=debug
  tstr ctl test run checkout --not-before 10m --priority high

Exit code with --wait: 0 passed, 10 failed, 11 errored, 12 cancelled, 13 timed out, 14 gave up waiting,
15 no runner takes it; of several cells that of the worst, a failure being the worst of all.")]
pub struct RunArgs {
    /// The test: its id or its name
    test: String,
    /// Only the cells with this label; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::pair)]
    matrix: Vec<(String, String)>,
    /// A label over those of the test and of the cell; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::pair)]
    label: Vec<(String, String)>,
    /// An environment variable over those of the test; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::pair)]
    env: Vec<(String, String)>,
    /// The place among the runs that wait
    #[arg(long, value_parser = ["urgent", "high", "normal", "low"])]
    priority: Option<String>,
    /// Not before this: an instant, or a duration from now
    #[arg(long, value_name = "TIME", value_parser = parse::ahead)]
    not_before: Option<DateTime<Utc>>,
    #[command(flatten)]
    waiting: Waiting,
}

/// Commands about schedules; each stands below `test` too.
#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// Show when a test runs next, the same as `test schedule`
    #[command(
        before_help = "Examples:\n  tstr ctl schedule next checkout\n  tstr ctl schedule next checkout --count 20"
    )]
    Next {
        /// The test
        test: String,
        /// How many instants
        #[arg(long, value_name = "N", default_value_t = 10)]
        count: u32,
    },
    /// Let the schedule make no runs, the same as `test pause`
    #[command(before_help = "Examples:\n  tstr ctl schedule pause checkout")]
    Pause {
        /// The test
        test: String,
    },
    /// Let the schedule make runs again, the same as `test resume`
    #[command(before_help = "Examples:\n  tstr ctl schedule resume checkout")]
    Resume {
        /// The test
        test: String,
    },
}

impl From<ScheduleCommand> for Command {
    fn from(command: ScheduleCommand) -> Self {
        match command {
            ScheduleCommand::Next { test, count } => Self::Schedule { test, count },
            ScheduleCommand::Pause { test } => Self::Pause { test },
            ScheduleCommand::Resume { test } => Self::Resume { test },
        }
    }
}

/// Runs a command.
pub async fn run(ctl: &Ctl, command: Command) -> Outcome<Exit> {
    match command {
        Command::Apply(args) => apply(ctl, &args.input, args.dry_run, false).await,
        Command::Register(input) => register(ctl, &input).await,
        Command::Diff(DiffArgs { test: Some(test), before: Some(before), after, .. }) => {
            version::compare(ctl, &test, before, after).await
        }
        Command::Diff(args) => apply(ctl, &Input { files: args.files }, true, true).await,
        Command::Versions { test, much } => version::list(ctl, &test, &much).await,
        Command::Status(args) => health::status(ctl, &args).await,
        Command::Cases(args) => health::cases(ctl, &args).await,
        Command::List(args) => {
            let call = Call::get(&ctl.in_ns(&["tests"]))
                .with_some("q", args.query)
                .with_each("label", args.label.iter().map(parse::joined))
                .with_each("annotation", args.annotation.iter().map(parse::joined))
                .with_some("paused", args.paused);
            ctl.list::<TestDef>(&call, &args.much).await
        }
        Command::Get { test } => ctl.item::<TestDef>(&Call::get(&ctl.in_ns(&["tests", &test]))).await,
        Command::Delete { tests, yes } => delete(ctl, &tests, yes).await,
        Command::Pause { test } => pause(ctl, &test, "pause", "paused").await,
        Command::Resume { test } => pause(ctl, &test, "resume", "resumed").await,
        Command::Schedule { test, count } => schedule(ctl, &test, count).await,
        Command::Run(args) => trigger(ctl, args).await,
        Command::Changed { test, cell, case } => causes::changed(ctl, &test, &cell, case).await,
        Command::Failures { test, days } => causes::failures(ctl, &test, days).await,
        Command::Analysis { test, days } => causes::analysis(ctl, &test, days).await,
    }
}

/// What one document came to.
struct Done {
    name: String,
    answer: Value,
    applied: Applied,
}

/// Applies every document, or asks what applying would change. One that is refused does not keep the others back.
async fn apply(ctl: &Ctl, input: &Input, dry_run: bool, is_diff: bool) -> Outcome<Exit> {
    let documents = input::read_all(&input.files)?;
    let names = documents.iter().map(Document::name).collect::<Outcome<Vec<_>>>()?;
    let (mut done, mut exit) = (Vec::new(), Exit::Done);
    for (document, name) in documents.iter().zip(names) {
        let mut call = Call::put(&ctl.in_ns(&["tests", name])).json(document.value.clone());
        if dry_run {
            call = call.with("dry_run", true);
        }
        match ctl.client.send(&call).await {
            Ok(answer) => {
                let applied = typed(&answer)?;
                done.push(Done { name: name.to_owned(), answer, applied });
            }
            Err(failure) => exit = exit.worse(refuse(ctl, document, failure)?),
        }
    }
    for one in &done {
        for warning in &one.applied.warnings {
            ctl.out.say(&format!("{}: {warning}", one.name));
        }
        if one.applied.change != Change::Unchanged {
            say_upcoming(ctl, &one.name, &one.applied.upcoming);
        }
    }
    let is_one = documents.len() == 1;
    let answers: Vec<Value> = done.iter().map(|one| one.answer.clone()).collect();
    let is_empty = answers.is_empty() && exit != Exit::Done;
    if !is_empty && !ctl.out.documents(&answers, is_one)? {
        show_applied(ctl, &done, is_diff)?;
    }
    if is_diff && done.iter().any(|one| one.applied.change != Change::Unchanged) {
        exit = exit.worse(Exit::Differs);
    }
    Ok(exit)
}

/// Tells why a document was refused; what would befall the others as well is returned at once.
fn refuse(ctl: &Ctl, document: &Document, failure: Failure) -> Outcome<Exit> {
    let exit = failure.exit();
    let failure = document.explain(failure);
    match exit {
        Exit::Usage | Exit::Conflict | Exit::NotFound => {
            ctl.out.tell(&failure);
            Ok(exit)
        }
        _ => Err(failure),
    }
}

/// Says when a test that was registered runs next, and what a jump of the wall clock does to that.
fn say_upcoming(ctl: &Ctl, name: &str, upcoming: &[Upcoming]) {
    if upcoming.is_empty() {
        return;
    }
    let locals: Vec<_> = upcoming.iter().map(|one| one.local.as_str()).collect();
    ctl.out.hint(&format!("{name}: runs next at {}", locals.join(", ")));
    for note in upcoming.iter().filter_map(|one| one.note.as_deref()) {
        ctl.out.hint(&format!("{name}: {note}"));
    }
}

fn show_applied(ctl: &Ctl, done: &[Done], is_diff: bool) -> Outcome {
    const CHANGES: &[Column] = &[Column::new("TEST"), Column::new("CHANGE"), Column::new("FIELDS")];
    const FIELDS: &[Column] = &[Column::new("TEST"), Column::new("FIELD"), Column::new("BEFORE"), Column::new("AFTER")];
    if ctl.out.format() == Format::Name {
        return ctl.out.text(&done.iter().map(|one| format!("{}\n", one.name)).collect::<String>());
    }
    if !is_diff {
        let rows = done.iter().map(|one| {
            let (word, tint) = match one.applied.change {
                Change::Created => ("created", Tint::Good),
                Change::Updated => ("updated", Tint::Warn),
                Change::Unchanged => ("unchanged", Tint::Dim),
            };
            let word = if one.applied.dry_run { format!("{word} (dry run)") } else { word.to_owned() };
            let fields: Vec<_> = match one.applied.change {
                Change::Updated => one.applied.diff.iter().map(|change| change.pointer.as_str()).collect(),
                Change::Created | Change::Unchanged => Vec::new(),
            };
            vec![Cell::plain(&one.name), Cell::new(word, tint), Cell::plain(fields.join(" "))]
        });
        return ctl.out.rows(CHANGES, rows.collect());
    }
    let side = |value: &Option<Value>, tint| {
        value.as_ref().map_or(Cell::default(), |value| Cell::new(value.to_string(), tint))
    };
    let rows = done.iter().flat_map(|one| {
        one.applied.diff.iter().map(move |change| {
            vec![
                Cell::plain(&one.name),
                Cell::plain(&change.pointer),
                side(&change.before, Tint::Bad),
                side(&change.after, Tint::Good),
            ]
        })
    });
    ctl.out.rows(FIELDS, rows.collect())
}

async fn register(ctl: &Ctl, input: &Input) -> Outcome<Exit> {
    let documents = input::read_all(&input.files)?;
    let (mut answers, mut exit) = (Vec::new(), Exit::Done);
    for document in &documents {
        let call = Call::post(&ctl.in_ns(&["tests"])).json(document.value.clone());
        match ctl.client.send(&call).await {
            Ok(answer) => {
                let name = text_at(&answer, "/name");
                for warning in answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    ctl.out.say(&format!("{name}: {warning}"));
                }
                let upcoming: Vec<Upcoming> = typed(&answer["upcoming"]).unwrap_or_default();
                say_upcoming(ctl, name, &upcoming);
                answers.push(answer);
            }
            Err(failure) => exit = exit.worse(refuse(ctl, document, failure)?),
        }
    }
    let is_empty = answers.is_empty() && exit != Exit::Done;
    if !is_empty && !ctl.out.documents(&answers, documents.len() == 1)? {
        ctl.out.list::<TestDef>(&answers)?;
    }
    Ok(exit)
}

async fn delete(ctl: &Ctl, tests: &[String], yes: bool) -> Outcome<Exit> {
    ctl.confirm(yes, &format!("Delete {} from the namespace {}?", tests.join(", "), ctl.ns()))?;
    for test in tests {
        ctl.client.send(&Call::delete(&ctl.in_ns(&["tests", test]))).await?;
        match ctl.out.format() {
            Format::Name => ctl.out.line(test)?,
            _ => ctl.out.hint(&format!("deleted {test}")),
        }
    }
    Ok(Exit::Done)
}

async fn pause(ctl: &Ctl, test: &str, verb: &str, done: &str) -> Outcome<Exit> {
    let answer = ctl.client.send(&Call::post(&ctl.in_ns(&["tests", test, verb]))).await?;
    let words = format!("{done} the schedule of {}", text_at(&answer, "/name"));
    ctl.out.done::<TestDef>(&answer, &words).map(|()| Exit::Done)
}

async fn schedule(ctl: &Ctl, test: &str, count: u32) -> Outcome<Exit> {
    let answer = ctl.client.send(&Call::get(&ctl.in_ns(&["tests", test, "schedule"])).with("count", count)).await?;
    if ctl.out.documents(std::slice::from_ref(&answer), true)? {
        return Ok(Exit::Done);
    }
    let schedule: TestSchedule = typed(&answer)?;
    let paused = if schedule.paused { "; paused, so no runs are made" } else { "" };
    ctl.out.hint(&format!("{} ({}){paused}", schedule.description, schedule.time_zone));
    let upcoming = answer["upcoming"].as_array().cloned().unwrap_or_default();
    ctl.out.list::<Upcoming>(&upcoming).map(|()| Exit::Done)
}

async fn trigger(ctl: &Ctl, args: RunArgs) -> Outcome<Exit> {
    let pairs = |flag: &str, pairs: &[(String, String)]| {
        parse::object(pairs).map_err(|fault| Failure::usage(format!("--{flag}: {fault}")))
    };
    let mut body = json!({
        "labels": pairs("label", &args.label)?,
        "env": pairs("env", &args.env)?,
        "matrix": pairs("matrix", &args.matrix)?,
    });
    if let Some(priority) = &args.priority {
        body["priority"] = json!(priority);
    }
    if let Some(at) = args.not_before {
        body["not_before"] = json!(at.to_rfc3339_opts(SecondsFormat::Millis, true));
    }
    let mut answer = ctl.client.send(&Call::post(&ctl.in_ns(&["tests", &args.test, "runs"])).json(body)).await?;
    let triggered: Triggered = typed(&answer)?;
    let Some(Value::Array(runs)) = answer.get_mut("runs").map(Value::take) else {
        return Err(Failure::new(Exit::Error, "the server's answer holds no runs"));
    };
    if !args.waiting.wait {
        show_triggered(ctl, answer, runs)?;
        match triggered.runs.as_slice() {
            [run] => ctl.out.hint(&format!("watch it: tstr ctl run watch {}", run.id)),
            _ => ctl.out.hint(&format!(
                "watch them: tstr ctl run watch -n {} --matrix-id {}",
                ctl.ns(),
                triggered.matrix_id
            )),
        }
        return Ok(Exit::Done);
    }
    let ending = until_finished(ctl, runs, args.waiting.patience()).await?;
    // The verdict stands, whether or not anybody reads the rest.
    let _ = show_triggered(ctl, answer, ending.runs);
    Ok(ending.exit)
}

/// Writes the answer to a trigger with its runs as they are now.
fn show_triggered(ctl: &Ctl, mut answer: Value, runs: Vec<Value>) -> Outcome {
    answer["runs"] = Value::Array(runs);
    if ctl.out.documents(std::slice::from_ref(&answer), true)? {
        return Ok(());
    }
    ctl.out.list::<Run>(answer["runs"].as_array().map(Vec::as_slice).unwrap_or_default())
}
