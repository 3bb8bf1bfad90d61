//! `tstr ctl run`.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tstr_shared::ids::{MatrixId, RunId};
use tstr_shared::run::{Run, RunEvent, RunResult, RunState};

use super::wait::{Patience, until_finished};
use super::{Ctl, Much, compare, explain, health, parse, runner, said};
use crate::client::Call;
use crate::exit::{Exit, Failure, Outcome};

/// Commands about runs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List runs, the latest first
    List(Box<ListArgs>),
    /// Show one run with its attempts
    #[command(
        visible_alias = "view",
        before_help = "Examples:\n  tstr ctl run get RUN\n  tstr ctl run get RUN -o json"
    )]
    Get {
        /// The run
        run: RunId,
    },
    /// Wait for runs to finish; the exit code says how
    Watch(WatchArgs),
    /// Cancel runs
    #[command(before_help = "Examples:
  tstr ctl run cancel RUN
  tstr ctl run list --state queued -o name | xargs tstr ctl run cancel")]
    Cancel {
        /// The runs
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<RunId>,
    },
    /// Run the same cell with the same configuration again, or what failed of a matrix
    Retry(RetryArgs),
    /// Pin runs: retention leaves them alone
    #[command(before_help = "Examples:
  tstr ctl run keep RUN --note 'the flaky login, see #12'
  tstr ctl run list --result fail -o name | xargs tstr ctl run keep")]
    Keep {
        /// The runs
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<RunId>,
        /// What they are kept for
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Let retention remove runs again
    #[command(
        before_help = "Examples:\n  tstr ctl run unkeep RUN\n  tstr ctl run list --kept -o name | xargs tstr ctl run unkeep"
    )]
    Unkeep {
        /// The runs
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<RunId>,
    },
    /// Show what a run changed among its cases: new failures, fixed ones, and since when
    #[command(before_help = "Examples:\n  tstr ctl run changes RUN\n  tstr ctl run changes RUN -o json")]
    Changes {
        /// The run
        run: RunId,
    },
    /// Say why a run waits, what it does, or why it ended as it did
    #[command(before_help = "Examples:\n  tstr ctl run explain RUN\n  tstr ctl run explain RUN -o json")]
    Explain {
        /// The run
        run: RunId,
    },
    /// Show what a run said about itself: result data, metrics, summary
    Output(said::OutputArgs),
    /// Show how a run differs from another one
    #[command(before_help = "Examples:\n  tstr ctl run compare RUN OTHER\n  tstr ctl run compare RUN OTHER -o json")]
    Compare {
        /// The one run
        run: RunId,
        /// The other run
        #[arg(value_name = "OTHER")]
        other: RunId,
    },
    /// Show the changes of a run's state: who, when, from and to what
    #[command(before_help = "Examples:\n  tstr ctl run events RUN")]
    Events {
        /// The run
        run: RunId,
    },
}

/// Flags of `run list`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl run list
  tstr ctl run list --test checkout --result fail --scheduled-after 24h
  tstr ctl run list --label region=nyc --state queued --state running -o wide
  tstr ctl run list --all -o jsonl")]
pub struct ListArgs {
    /// Runs of this test: its id or its name
    #[arg(long, value_name = "TEST")]
    test: Option<String>,
    /// Runs whose latest attempt is on this runner: its id or its name
    #[arg(long, value_name = "RUNNER")]
    runner: Option<String>,
    /// Runs in this state; repeatable
    #[arg(long, value_delimiter = ',', value_parser = parse::state())]
    state: Vec<RunState>,
    /// Runs with this result; repeatable
    #[arg(long, value_delimiter = ',', value_parser = parse::result())]
    result: Vec<RunResult>,
    /// Runs with this label; repeatable, all must be there
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::pair)]
    label: Vec<(String, String)>,
    /// Runs that were made together
    #[arg(long, value_name = "ID")]
    matrix_id: Option<MatrixId>,
    /// Runs that are pinned; `--kept=false` for the others
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    kept: Option<bool>,
    /// Scheduled after: an instant, or a duration ago
    #[arg(long, value_name = "TIME", value_parser = parse::ago)]
    scheduled_after: Option<DateTime<Utc>>,
    /// Scheduled before
    #[arg(long, value_name = "TIME", value_parser = parse::ago)]
    scheduled_before: Option<DateTime<Utc>>,
    /// Started after
    #[arg(long, value_name = "TIME", value_parser = parse::ago)]
    started_after: Option<DateTime<Utc>>,
    /// Started before
    #[arg(long, value_name = "TIME", value_parser = parse::ago)]
    started_before: Option<DateTime<Utc>>,
    /// Finished after
    #[arg(long, value_name = "TIME", value_parser = parse::ago)]
    finished_after: Option<DateTime<Utc>>,
    /// Finished before
    #[arg(long, value_name = "TIME", value_parser = parse::ago)]
    finished_before: Option<DateTime<Utc>>,
    #[command(flatten)]
    much: Much,
}

/// Flags of `run watch`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl run watch RUN
  tstr ctl run watch --matrix-id ID       all runs that were made together
  tstr ctl run watch RUN --timeout 10m    gives up after ten minutes, with exit code 14

Exit code: 0 passed, 10 failed, 11 errored, 12 cancelled, 13 timed out; of several runs that of the worst.
A lost connection is resumed. Ctrl-C detaches and leaves the run alone.")]
pub struct WatchArgs {
    /// The runs
    #[arg(value_name = "RUN", required_unless_present = "matrix_id")]
    runs: Vec<RunId>,
    /// All runs that were made together
    #[arg(long, value_name = "ID", conflicts_with = "runs")]
    matrix_id: Option<MatrixId>,
    /// Give up after so long
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    timeout: Option<Duration>,
}

/// Flags of `run retry`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl run retry RUN --wait
  tstr ctl run retry RUN --failed-cases      names the cases that failed to the container
  tstr ctl run retry --matrix-id ID --wait   the cells that failed, of all runs that were made together")]
pub struct RetryArgs {
    /// The run
    #[arg(value_name = "RUN", required_unless_present = "matrix_id")]
    run: Option<RunId>,
    /// The cells that failed, of all runs that were made together
    #[arg(long, value_name = "ID", conflicts_with = "run")]
    matrix_id: Option<MatrixId>,
    /// All cells that have finished, not only those that failed
    #[arg(long, requires = "matrix_id")]
    all_cells: bool,
    /// Name the cases that failed to the container (TSTR_FAILED_CASES), so that it can run them alone
    #[arg(long)]
    failed_cases: bool,
    #[command(flatten)]
    waiting: Waiting,
}

/// How to wait for what was just made.
#[derive(Debug, Clone, Copy, Args)]
pub struct Waiting {
    /// Wait for the end; the exit code says how it was (see `run watch`)
    #[arg(long)]
    pub wait: bool,
    /// Give up waiting after so long, with exit code 14
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, requires = "wait")]
    wait_timeout: Option<Duration>,
    /// Give up on a run that no live runner takes after so long, with exit code 15
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, requires = "wait", default_value = "60s")]
    placement_timeout: Duration,
}

impl Waiting {
    /// Returns how long to wait.
    pub fn patience(&self) -> Patience {
        Patience { total: self.wait_timeout, placement: Some(self.placement_timeout) }
    }
}

/// Runs a command.
pub async fn run(ctl: &Ctl, command: Command) -> Outcome<Exit> {
    match command {
        Command::List(args) => list(ctl, *args).await,
        Command::Get { run } => ctl.item::<Run>(&Call::get(&["runs", &run.to_string()])).await,
        Command::Watch(args) => watch(ctl, args).await,
        Command::Cancel { runs } => each(ctl, &runs, "cancelling", |id| Call::post(&["runs", id, "cancel"])).await,
        Command::Keep { runs, note } => {
            let body = note.map_or_else(|| json!({}), |note| json!({"note": note}));
            each(ctl, &runs, "keeping", |id| Call::post(&["runs", id, "keep"]).json(body.clone())).await
        }
        Command::Unkeep { runs } => {
            each(ctl, &runs, "no longer keeping", |id| Call::post(&["runs", id, "unkeep"])).await
        }
        Command::Retry(args) => retry(ctl, args).await,
        Command::Changes { run } => health::changes(ctl, run).await,
        Command::Explain { run } => explain::explain(ctl, run).await,
        Command::Compare { run, other } => compare::run(ctl, run, other).await,
        Command::Output(args) => said::run(ctl, &args).await,
        Command::Events { run } => {
            let answer = ctl.client.send(&Call::get(&["runs", &run.to_string(), "events"])).await?;
            let items = answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
            ctl.out.list::<RunEvent>(&items).map(|()| Exit::Done)
        }
    }
}

async fn list(ctl: &Ctl, args: ListArgs) -> Outcome<Exit> {
    let at = |at: Option<DateTime<Utc>>| at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
    let runner = match &args.runner {
        Some(runner) => Some(runner::find(ctl, runner).await?),
        None => None,
    };
    let call = Call::get(&ctl.in_ns(&["runs"]))
        .with_some("test", args.test)
        .with_some("runner", runner)
        .with_each("state", args.state)
        .with_each("result", args.result)
        .with_each("label", args.label.iter().map(parse::joined))
        .with_some("matrix_id", args.matrix_id)
        .with_some("kept", args.kept)
        .with_some("scheduled_after", at(args.scheduled_after))
        .with_some("scheduled_before", at(args.scheduled_before))
        .with_some("started_after", at(args.started_after))
        .with_some("started_before", at(args.started_before))
        .with_some("finished_after", at(args.finished_after))
        .with_some("finished_before", at(args.finished_before));
    ctl.list::<Run>(&call, &args.much).await
}

async fn watch(ctl: &Ctl, args: WatchArgs) -> Outcome<Exit> {
    let runs = match args.matrix_id {
        Some(id) => {
            let (mut runs, _) = ctl.client.list(&Call::get(&ctl.in_ns(&["runs"])).with("matrix_id", id), None).await?;
            if runs.is_empty() {
                return Err(Failure::new(
                    Exit::NotFound,
                    format!("no run of the namespace {} has this matrix id", ctl.ns()),
                ));
            }
            // The list has the latest first; the cells were made in the other order.
            runs.reverse();
            runs
        }
        None => {
            let mut runs = Vec::new();
            for id in &args.runs {
                runs.push(ctl.client.send(&Call::get(&["runs", &id.to_string()])).await?);
            }
            runs
        }
    };
    let is_one = args.matrix_id.is_none() && runs.len() == 1;
    let ending = until_finished(ctl, runs, Patience { total: args.timeout, placement: None }).await?;
    // The verdict stands, whether or not anybody reads the rest.
    let _ = match ending.runs.as_slice() {
        [one] if is_one => {
            if ctl.out.documents(std::slice::from_ref(one), true)? {
                Ok(())
            } else {
                ctl.out.list::<Run>(&ending.runs)
            }
        }
        runs => ctl.out.list::<Run>(runs),
    };
    Ok(ending.exit)
}

/// Asks for the same of each run; `doing` begins the sentence that says it was done.
async fn each(ctl: &Ctl, runs: &[RunId], doing: &str, call: impl Fn(&str) -> Call) -> Outcome<Exit> {
    let mut exit = Exit::Done;
    for id in runs {
        match ctl.client.send(&call(&id.to_string())).await {
            Ok(answer) => ctl.out.done::<Run>(&answer, &format!("{doing} the run {id}"))?,
            // The others still have their turn.
            Err(failure) if runs.len() > 1 && !failure.is_passing() => {
                exit = exit.worse(failure.exit());
                ctl.out.tell(&failure.about(&format!("run {id}")));
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(exit)
}

async fn retry(ctl: &Ctl, args: RetryArgs) -> Outcome<Exit> {
    let failed_cases = args.failed_cases;
    let (call, is_one) = match (args.run, args.matrix_id) {
        (Some(run), _) => {
            let call = Call::post(&["runs", &run.to_string(), "retry"]);
            (if failed_cases { call.json(json!({"failed_cases": true})) } else { call }, true)
        }
        (None, Some(matrix)) => {
            let body = json!({"only_failed": !args.all_cells, "failed_cases": failed_cases});
            (Call::post(&ctl.in_ns(&["matrices", &matrix.to_string(), "retry"])).json(body), false)
        }
        (None, None) => return Err(Failure::usage("name a run, or --matrix-id")),
    };
    let mut made = ctl.client.send(&call).await?;
    for warning in made.get("warnings").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        ctl.out.say(warning);
    }
    let runs = match made.get_mut("runs").map(Value::take) {
        Some(Value::Array(runs)) => runs,
        _ => vec![made],
    };
    if !args.waiting.wait {
        match runs.as_slice() {
            [one] if is_one => ctl.out.item::<Run>(one)?,
            runs => ctl.out.list::<Run>(runs)?,
        }
        return Ok(Exit::Done);
    }
    let ending = until_finished(ctl, runs, args.waiting.patience()).await?;
    let _ = match ending.runs.as_slice() {
        [one] if is_one => ctl.out.item::<Run>(one),
        runs => ctl.out.list::<Run>(runs),
    };
    Ok(ending.exit)
}
