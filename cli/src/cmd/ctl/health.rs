//! What is remembered between runs: how tests and cases are, since when cases fail, and what a run changed.

use clap::{Args, ValueEnum};
use serde_json::Value;
use tstr_shared::analysis::flaky::{MonitorFinding, Status};
use tstr_shared::analysis::history::{Since, Standing};
use tstr_shared::health::{CaseChange, CaseRun, CaseState, CellState, RunChanges, TestState};
use tstr_shared::ids::RunId;
use tstr_shared::report::{CaseId, CaseStatus};

use super::results::{full_name, took};
use super::{Ctl, Much, parse};
use crate::client::Call;
use crate::exit::{Exit, Outcome};
use crate::output::{Cell, Column, Format, Look, Show, Tint, typed};

/// Flags of `test status`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl test status                       all tests, with the ends of their latest runs
  tstr ctl test status --status flaky,broken
  tstr ctl test status checkout              one test, cell by cell, and why")]
pub struct StatusArgs {
    /// One test: its id or its name
    test: Option<String>,
    /// Only tests of these
    #[arg(long, value_enum, value_name = "STATUS", value_delimiter = ',', conflicts_with = "test")]
    status: Vec<StatusWord>,
}

/// A status, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusWord {
    /// No monitor says anything
    Healthy,
    /// It passes and fails without a reason that lies in its subject
    Flaky,
    /// It fails
    Broken,
}

impl StatusWord {
    fn status(self) -> Status {
        match self {
            Self::Healthy => Status::Healthy,
            Self::Flaky => Status::Flaky,
            Self::Broken => Status::Broken,
        }
    }
}

/// Where a case stands, as it is asked for.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum StandingWord {
    /// It fails, and did not before
    New,
    /// It fails, as it did before
    StillFailing,
    /// It passes, and failed before
    Fixed,
    /// It passes, as it did before
    Passing,
    /// It was not executed
    Skipped,
    /// It should be there and is not
    Missing,
    /// It has not been there for several reports
    Removed,
}

impl StandingWord {
    fn word(self) -> &'static str {
        match self {
            Self::New => Standing::New.word(),
            Self::StillFailing => Standing::StillFailing.word(),
            Self::Fixed => Standing::Fixed.word(),
            Self::Passing => Standing::Passing.word(),
            Self::Skipped => Standing::Skipped.word(),
            Self::Missing => Standing::Missing.word(),
            Self::Removed => Standing::Removed.word(),
        }
    }
}

/// Flags of `test cases`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl test cases checkout --standing new,still_failing
  tstr ctl test cases checkout --status flaky --cell region=nyc
  tstr ctl test cases checkout --slowest --limit 20")]
pub struct CasesArgs {
    /// The test: its id or its name
    test: String,
    /// Only in this cell; repeated for each of its labels
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::pair)]
    cell: Vec<(String, String)>,
    /// Only those that stand so
    #[arg(long, value_enum, value_name = "STANDING", value_delimiter = ',')]
    standing: Vec<StandingWord>,
    /// Only healthy, flaky or broken ones
    #[arg(long, value_enum, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<StatusWord>,
    /// Only cases with this text in their name, classname, file or suite
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// Those first that took longest
    #[arg(long)]
    slowest: bool,
    #[command(flatten)]
    much: Much,
}

/// Flags of `case history`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl case history checkout CASE
  tstr ctl case history checkout CASE --cell region=nyc --limit 200")]
pub struct HistoryArgs {
    /// The test: its id or its name
    test: String,
    /// The case: its id
    case: CaseId,
    /// Only in this cell; repeated for each of its labels
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::pair)]
    cell: Vec<(String, String)>,
    #[command(flatten)]
    much: Much,
}

/// Shows how all tests are, or one cell by cell.
pub async fn status(ctl: &Ctl, args: &StatusArgs) -> Outcome<Exit> {
    if let Some(test) = &args.test {
        let answer = ctl.client.send(&Call::get(&ctl.in_ns(&["tests", test, "cells"]))).await?;
        let items = answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        ctl.out.list::<CellState>(&items)?;
        for item in &items {
            let cell: CellState = typed(item)?;
            let name = if cell.cell.is_empty() { String::new() } else { format!("{}: ", cell.cell.text()) };
            for finding in cell.findings.iter().filter(|finding| finding.state.active) {
                ctl.out.hint(&format!("{name}{}", finding.sentence()));
            }
        }
        if items.is_empty() {
            ctl.out.hint("no run of the test has ended yet");
        }
        return Ok(Exit::Done);
    }
    let (mut items, _) = ctl.client.list(&Call::get(&ctl.in_ns(&["states"])), None).await?;
    if !args.status.is_empty() {
        let wanted: Vec<&str> = args.status.iter().map(|word| word.status().word()).collect();
        items.retain(|item| item["status"].as_str().is_some_and(|status| wanted.contains(&status)));
    }
    ctl.out.list::<TestState>(&items)?;
    Ok(Exit::Done)
}

/// Lists the cases of a test.
pub async fn cases(ctl: &Ctl, args: &CasesArgs) -> Outcome<Exit> {
    let call = Call::get(&ctl.in_ns(&["tests", &args.test, "cases"]));
    let call = call.with_each("cell", args.cell.iter().map(parse::joined)).with_some("q", args.q.as_ref());
    let call = call.with_each("standing", args.standing.iter().map(|word| word.word()));
    let call = call.with_each("status", args.status.iter().map(|word| word.status().word()));
    let call = call.with_some("slowest", args.slowest.then_some(true));
    ctl.list::<CaseState>(&call, &args.much).await
}

/// Lists the runs that had a case.
pub async fn history(ctl: &Ctl, args: &HistoryArgs) -> Outcome<Exit> {
    let call = Call::get(&ctl.in_ns(&["tests", &args.test, "cases", &args.case.to_string(), "history"]));
    ctl.list::<CaseRun>(&call.with_each("cell", args.cell.iter().map(parse::joined)), &args.much).await
}

/// Shows what a run changed.
pub async fn changes(ctl: &Ctl, run: RunId) -> Outcome<Exit> {
    let answer = ctl.client.send(&Call::get(&["runs", &run.to_string(), "changes"])).await?;
    if matches!(ctl.out.format(), Format::Json | Format::Yaml) {
        ctl.out.documents(std::slice::from_ref(&answer), true)?;
        return Ok(Exit::Done);
    }
    let changes: RunChanges = typed(&answer)?;
    let items = answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    ctl.out.list::<CaseChange>(&items)?;
    if !changes.told {
        ctl.out.hint("the run has not ended, or was not looked at yet; ask again in a moment");
    } else if items.is_empty() {
        ctl.out.hint("nothing changed, as far as test reports tell");
    }
    Ok(Exit::Done)
}

fn status_cell(status: Status) -> Cell {
    let tint = match status {
        Status::Healthy => Tint::Good,
        Status::Flaky => Tint::Warn,
        Status::Broken => Tint::Bad,
    };
    Cell::new(status.word(), tint)
}

fn standing_cell(standing: Standing) -> Cell {
    let tint = match standing {
        Standing::New | Standing::StillFailing => Tint::Bad,
        Standing::Fixed | Standing::Passing => Tint::Good,
        Standing::Missing | Standing::Removed => Tint::Warn,
        Standing::Skipped => Tint::Dim,
    };
    Cell::new(standing.word(), tint)
}

fn runs(since: Option<Since>) -> String {
    since.map(|since| since.runs.to_string()).unwrap_or_default()
}

fn why(findings: &[MonitorFinding]) -> String {
    let active = findings.iter().filter(|finding| finding.state.active);
    active.map(|finding| finding.monitor.as_str()).collect::<Vec<_>>().join(", ")
}

impl Show for TestState {
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME"),
        Column::new("STATUS"),
        Column::new("LAST"),
        Column::new("CELL"),
        Column::new("LATEST RUNS"),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        // Of several cells the worst, and how many there are.
        let worst = self.cells.iter().max_by_key(|cell| cell.status);
        let cell = match (self.cells.len(), worst) {
            (0 | 1, _) | (_, None) => String::new(),
            (count, Some(cell)) => format!("{} of {count}", cell.cell.text()),
        };
        let strip = worst.map(|cell| cell.strip.clone()).unwrap_or_default();
        vec![
            Cell::plain(&self.name),
            status_cell(self.status),
            Cell::plain(look.age_of(self.last_at)),
            Cell::plain(cell),
            Cell::plain(strip),
        ]
    }
}

impl Show for CellState {
    const COLUMNS: &'static [Column] = &[
        Column::new("CELL"),
        Column::new("STATUS"),
        Column::new("SINCE"),
        Column::new("LAST"),
        Column::new("WHY"),
        Column::new("LATEST RUNS"),
    ];

    fn name(&self) -> String {
        self.cell.text()
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        vec![
            Cell::plain(if self.cell.is_empty() { "-".to_owned() } else { self.cell.text() }),
            status_cell(self.status),
            Cell::plain(look.age_of(self.changed_at)),
            Cell::plain(look.age_of(self.last_at)),
            Cell::plain(why(&self.findings)),
            Cell::plain(&self.strip),
        ]
    }
}

impl Show for CaseState {
    const COLUMNS: &'static [Column] = &[
        Column::new("STANDING"),
        Column::new("CASE"),
        Column::new("CELL"),
        Column::new("SINCE"),
        Column::new("RUNS"),
        Column::new("STATUS"),
        Column::new("TOOK"),
        Column::wide("WHY"),
        Column::wide("ID"),
    ];

    fn name(&self) -> String {
        self.case_id.to_string()
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        let since = self.absent.or(self.since);
        vec![
            standing_cell(self.standing),
            Cell::plain(full_name(&self.key)),
            Cell::plain(self.cell.text()),
            Cell::plain(look.age_of(since.map(|since| since.first.at))),
            Cell::plain(runs(since)),
            status_cell(self.status),
            Cell::plain(took(self.duration_ms)),
            Cell::plain(why(&self.findings)),
            Cell::plain(self.case_id.to_string()),
        ]
    }
}

impl Show for CaseChange {
    const COLUMNS: &'static [Column] = &[
        Column::new("STANDING"),
        Column::new("CASE"),
        Column::new("SINCE RUN"),
        Column::new("RUNS"),
        Column::new("DAYS"),
        Column::wide("ID"),
    ];

    fn name(&self) -> String {
        self.case_id.to_string()
    }

    fn row(&self, _: &Look) -> Vec<Cell> {
        // Of what is mended, since when it had failed says more.
        let since = self.failed_since.or(self.since);
        vec![
            standing_cell(self.standing),
            Cell::plain(full_name(&self.key)),
            Cell::plain(since.map(|since| since.first.run_id.to_string()).unwrap_or_default()),
            Cell::plain(runs(since)),
            Cell::plain(self.days.to_string()),
            Cell::plain(self.case_id.to_string()),
        ]
    }
}

impl Show for CaseRun {
    const COLUMNS: &'static [Column] = &[
        Column::new("RUN"),
        Column::new("STATUS"),
        Column::new("CELL"),
        Column::new("ENDED"),
        Column::new("TOOK"),
        Column::wide("IMAGE"),
        Column::new("MESSAGE"),
    ];

    fn name(&self) -> String {
        self.run_id.to_string()
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        let tint = match self.status {
            CaseStatus::Pass if self.flaky => Tint::Warn,
            CaseStatus::Pass => Tint::Good,
            CaseStatus::Fail | CaseStatus::Error if self.muted => Tint::Dim,
            CaseStatus::Fail | CaseStatus::Error => Tint::Bad,
            CaseStatus::Skip => Tint::Dim,
        };
        let flag = if self.flaky {
            " flaky"
        } else if self.muted {
            " muted"
        } else {
            ""
        };
        let first = self.message.as_deref().and_then(|text| text.lines().next()).unwrap_or_default();
        vec![
            Cell::plain(self.run_id.to_string()),
            Cell::new(format!("{}{flag}", self.status.word()), tint),
            Cell::plain(self.cell.text()),
            Cell::plain(look.age(self.finished_at)),
            Cell::plain(took(self.duration_ms)),
            Cell::plain(self.image_digest.clone().unwrap_or_default()),
            Cell::plain(first.chars().take(80).collect::<String>()),
        ]
    }
}
