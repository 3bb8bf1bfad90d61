//! `tstr ctl schedule`.

use clap::Subcommand;
use tstr_shared::ledger::LedgerEntry;

use super::{Ctl, Much, test};
use crate::client::Call;
use crate::exit::{Exit, Outcome};

/// Commands about schedules.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what became of the instants of a test, the newest first
    #[command(
        before_help = "Examples:\n  tstr ctl schedule list checkout\n  tstr ctl schedule list checkout -o wide --limit 20"
    )]
    List {
        /// The test: its id or its name
        test: String,
        #[command(flatten)]
        much: Much,
    },
    #[command(flatten)]
    OfTest(test::ScheduleCommand),
}

/// Runs a command.
pub async fn run(ctl: &Ctl, command: Command) -> Outcome<Exit> {
    match command {
        Command::List { test, much } => {
            ctl.list::<LedgerEntry>(&Call::get(&ctl.in_ns(&["tests", &test, "ledger"])), &much).await
        }
        Command::OfTest(command) => test::run(ctl, command.into()).await,
    }
}
