//! `tstr ctl quarantine`: cases whose failure does not count for a while, or that are not to be run.

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use tstr_shared::analysis::quarantine::{Mode, QuarantineEntry};
use tstr_shared::report::CaseId;

use super::results::full_name;
use super::{Ctl, Much, parse};
use crate::client::Call;
use crate::exit::{Exit, Outcome};
use crate::output::{Cell, Column, Look, Show, Tint};

/// Commands about quarantine.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the cases of a test that are or were in quarantine, the newest entry first
    #[command(
        before_help = "Examples:\n  tstr ctl quarantine list checkout\n  tstr ctl quarantine list checkout --in-force -o wide"
    )]
    List {
        /// The test: its id or its name
        test: String,
        /// Only entries that hold now; with =false only those that have ended
        #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
        in_force: Option<bool>,
        #[command(flatten)]
        much: Much,
    },
    /// Put a case in quarantine, from now on; replaces an entry that it has
    Add(AddArgs),
    /// Take cases out of quarantine
    #[command(before_help = "Examples:\n  tstr ctl quarantine remove checkout CASE")]
    Remove {
        /// The test: its id or its name
        test: String,
        /// The cases: their ids
        #[arg(required = true, value_name = "CASE")]
        cases: Vec<CaseId>,
    },
}

/// Flags of `quarantine add`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl case list RUN --status fail -o name
  tstr ctl quarantine add checkout CASE --owner ada --reason 'flaky since #12' --days 14
  tstr ctl quarantine add checkout CASE --owner ada --reason 'hangs' --until 2026-04-01T00:00:00Z --mode skip")]
pub struct AddArgs {
    /// The test: its id or its name
    test: String,
    /// The case: its id
    case: CaseId,
    /// Who looks after it
    #[arg(long, value_name = "NAME")]
    owner: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how many days from now, 1 to 180
    #[arg(long, value_name = "N", required_unless_present = "until", conflicts_with = "until")]
    days: Option<u32>,
    /// Until when: an instant, or a duration from now
    #[arg(long, value_name = "TIME", value_parser = parse::ahead)]
    until: Option<DateTime<Utc>>,
    /// What is done with it
    #[arg(long, value_enum, value_name = "MODE", default_value_t = ModeArg::Mute)]
    mode: ModeArg,
}

/// What is done with a case, as it is asked for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ModeArg {
    /// It is run, and its failure does not fail the run
    Mute,
    /// The container is told not to run it
    Skip,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Mute => Self::Mute,
            ModeArg::Skip => Self::Skip,
        }
    }
}

/// Runs a command.
pub async fn run(ctl: &Ctl, command: Command) -> Outcome<Exit> {
    match command {
        Command::List { test, in_force, much } => {
            let call = Call::get(&ctl.in_ns(&["tests", &test, "quarantine"])).with_some("in_force", in_force);
            ctl.list::<QuarantineEntry>(&call, &much).await
        }
        Command::Add(args) => add(ctl, args).await,
        Command::Remove { test, cases } => {
            for case in cases {
                let path = ["tests", &test, "quarantine", &case.to_string()];
                ctl.client.send(&Call::delete(&ctl.in_ns(&path))).await?;
                ctl.out.say(&format!("the case {case} is out of quarantine"));
            }
            Ok(Exit::Done)
        }
    }
}

async fn add(ctl: &Ctl, args: AddArgs) -> Outcome<Exit> {
    let mut body = json!({"mode": Mode::from(args.mode), "owner": args.owner, "reason": args.reason});
    if let Some(days) = args.days {
        body["days"] = json!(days);
    }
    if let Some(until) = args.until {
        body["until"] = json!(until.to_rfc3339_opts(SecondsFormat::Millis, true));
    }
    let path = ["tests", &args.test, "quarantine", &args.case.to_string()];
    let answer = ctl.client.send(&Call::put(&ctl.in_ns(&path)).json(body)).await?;
    let words = format!("the case {} is in quarantine", args.case);
    ctl.out.done::<QuarantineEntry>(&answer, &words).map(|()| Exit::Done)
}

impl Show for QuarantineEntry {
    const COLUMNS: &'static [Column] = &[
        Column::new("CASE"),
        Column::new("MODE"),
        Column::new("IN FORCE"),
        Column::new("OWNER"),
        Column::new("UNTIL"),
        Column::wide("SINCE"),
        Column::wide("BY"),
        Column::wide("ID"),
        Column::new("REASON"),
    ];

    fn name(&self) -> String {
        self.case_id.to_string()
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        let in_force = if self.in_force { Cell::plain("yes") } else { Cell::new("no", Tint::Dim) };
        vec![
            Cell::plain(full_name(&self.key)),
            Cell::plain(self.mode.word()),
            in_force,
            Cell::plain(&self.owner),
            Cell::plain(look.age(self.until)),
            Cell::plain(look.age(self.from)),
            Cell::plain(&self.created_by),
            Cell::plain(self.case_id.to_string()),
            Cell::plain(&self.reason),
        ]
    }
}
