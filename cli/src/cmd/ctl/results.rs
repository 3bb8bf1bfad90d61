//! `tstr ctl results` and `tstr ctl case`: what the test reports of a run say.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use tstr_shared::ids::RunId;
use tstr_shared::report::{CaseAttempt, CaseId, CaseStatus, Excerpt};
use tstr_shared::results::{CaseDetail, CaseResult, ReadReport, Results};

use super::{Ctl, Much};
use crate::client::Call;
use crate::exit::{Exit, Outcome};
use crate::output::{Cell, Column, Format, Look, Show, Tint, plain, typed};

/// A format of a report, as it is asked for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ReportFormat {
    /// JUnit XML
    Junit,
    /// Common Test Report Format
    Ctrf,
    /// Test Anything Protocol 14
    Tap,
    /// A JSON object a line
    Json,
}

impl ReportFormat {
    fn word(self) -> &'static str {
        match self {
            Self::Junit => "junit",
            Self::Ctrf => "ctrf",
            Self::Tap => "tap",
            Self::Json => "json_lines",
        }
    }
}

/// How a case ended, as it is asked for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Status {
    /// It did what it should
    Pass,
    /// It did not
    Fail,
    /// It could not be judged
    Error,
    /// It was not run
    Skip,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Skip => "skip",
        }
    }
}

/// Flags of `results`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl results RUN                          the reports, and the cases that failed
  tstr ctl results RUN --format junit > a.xml   all cases as JUnit XML
  tstr ctl results RUN -o json                  the reports with all notes")]
pub struct ResultsArgs {
    /// The run
    run: RunId,
    /// The attempt, from 1 [default: the latest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    attempt: Option<u16>,
    /// Write all cases as a report
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<ReportFormat>,
}

/// Commands about cases.
#[derive(Debug, Subcommand)]
pub enum CaseCommand {
    /// List the cases of a run
    #[command(before_help = "Examples:
  tstr ctl case list RUN
  tstr ctl case list RUN --status fail,error
  tstr ctl case list RUN --q checkout -o json")]
    List {
        /// The run
        run: RunId,
        /// The attempt, from 1 [default: the latest]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        attempt: Option<u16>,
        /// Only cases that ended so
        #[arg(long, value_enum, value_name = "STATUS", value_delimiter = ',')]
        status: Vec<Status>,
        /// Only cases with this text in their name, classname, file or suite
        #[arg(long, value_name = "TEXT")]
        q: Option<String>,
        /// Only cases that passed after an attempt that failed; with =false only others
        #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
        flaky: Option<bool>,
        #[command(flatten)]
        much: Much,
    },
    /// Show all that a run's reports say of a case
    #[command(before_help = "Examples:\n  tstr ctl case get RUN CASE\n  tstr ctl case get RUN CASE -o json")]
    Get {
        /// The run
        run: RunId,
        /// The case: its id
        case: CaseId,
        /// The attempt, from 1 [default: the latest]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        attempt: Option<u16>,
    },
}

/// Shows the reports of a run, or writes them.
pub async fn results(ctl: &Ctl, args: &ResultsArgs) -> Outcome<Exit> {
    let run = args.run.to_string();
    if let Some(format) = args.format {
        let call = Call::get(&["runs", &run, "report"]).with_some("attempt", args.attempt);
        let mut response = ctl.client.bytes(&call.with("format", format.word())).await?;
        while let Some(piece) = ctl.client.piece(&mut response).await? {
            ctl.out.bytes(&piece)?;
        }
        return Ok(Exit::Done);
    }
    let answer = ctl.client.send(&Call::get(&["runs", &run, "results"]).with_some("attempt", args.attempt)).await?;
    if matches!(ctl.out.format(), Format::Json | Format::Yaml) {
        ctl.out.documents(std::slice::from_ref(&answer), true)?;
        return Ok(Exit::Done);
    }
    let results: Results = typed(&answer)?;
    let reports = answer.get("reports").and_then(Value::as_array).cloned().unwrap_or_default();
    ctl.out.list::<ReadReport>(&reports)?;
    for report in &results.reports {
        for note in &report.notes {
            let line = note.line.map(|line| format!(" (line {line})")).unwrap_or_default();
            ctl.out.hint(&format!("{}{line}: {}: {}", report.path, note.code.word(), note.message));
        }
    }
    for unread in &results.unread {
        ctl.out.hint(&format!("{} was not read: {}", unread.path, unread.why));
    }
    let Some(counts) = results.cases else {
        ctl.out.hint("no test report was found among the artifacts of the run");
        return Ok(Exit::Done);
    };
    if counts.failed + counts.errors > 0 && !ctl.out.format().is_for_programs() {
        ctl.out.line("")?;
        let call = Call::get(&["runs", &run, "cases"]).with_some("attempt", args.attempt);
        let call = call.with_each("status", ["fail", "error"]);
        ctl.list::<CaseResult>(&call, &Much::default()).await?;
    }
    Ok(Exit::Done)
}

/// Runs a command about cases.
pub async fn case(ctl: &Ctl, command: CaseCommand) -> Outcome<Exit> {
    match command {
        CaseCommand::List { run, attempt, status, q, flaky, much } => {
            let call = Call::get(&["runs", &run.to_string(), "cases"]).with_some("attempt", attempt);
            let call = call.with_some("q", q).with_some("flaky", flaky);
            let call = call.with_each("status", status.into_iter().map(Status::word));
            ctl.list::<CaseResult>(&call, &much).await
        }
        CaseCommand::Get { run, case, attempt } => {
            let call = Call::get(&["runs", &run.to_string(), "cases", &case.to_string()]);
            let answer = ctl.client.send(&call.with_some("attempt", attempt)).await?;
            let items = answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
            if ctl.out.documents(&items, false)? {
                return Ok(Exit::Done);
            }
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    ctl.out.line("")?;
                }
                tell(ctl, &typed(item)?)?;
            }
            Ok(Exit::Done)
        }
    }
}

/// Tells all of a case to a person.
fn tell(ctl: &Ctl, detail: &CaseDetail) -> Outcome {
    let case = &detail.case;
    let line = |text: String| say(ctl, &text);
    let flags = [(case.flaky, "flaky"), (detail.muted, "muted"), (case.disabled, "disabled")];
    let flags: String = flags.iter().filter(|(is, _)| *is).map(|(_, word)| format!(", {word}")).collect();
    line(full_name(&case.key))?;
    line(format!("{}{flags}, {}; {}", case.status.word(), took(case.duration_ms), detail.report))?;
    for property in &case.properties {
        line(format!("{} = {}", property.name, property.value))?;
    }
    for attachment in &case.attachments {
        line(format!("attachment {}", attachment.path))?;
    }
    let several = case.attempts.len() > 1;
    for (n, attempt) in case.attempts.iter().enumerate() {
        if several {
            line(format!("\nattempt {}: {}, {}", n + 1, attempt.status.word(), took(attempt.duration_ms)))?;
        }
        attempt_of(ctl, attempt)?;
    }
    output(ctl, "standard output", case.stdout.as_ref())?;
    output(ctl, "standard error", case.stderr.as_ref())
}

fn attempt_of(ctl: &Ctl, attempt: &CaseAttempt) -> Outcome {
    for finding in &attempt.findings {
        let kind = finding.kind.as_deref().map(|kind| format!(" {kind}")).unwrap_or_default();
        let message = finding.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        say(ctl, &format!("{}{kind}{message}", finding.status.word()))?;
        if let Some(text) = &finding.text {
            say(ctl, &text.text)?;
        }
    }
    output(ctl, "standard output", attempt.stdout.as_ref())?;
    output(ctl, "standard error", attempt.stderr.as_ref())
}

fn output(ctl: &Ctl, title: &str, excerpt: Option<&Excerpt>) -> Outcome {
    let Some(excerpt) = excerpt else { return Ok(()) };
    let cut = if excerpt.cut_bytes > 0 { format!(" ({} bytes more)", excerpt.cut_bytes) } else { String::new() };
    say(ctl, &format!("\n{title}{cut}:\n{}", excerpt.text))
}

/// Writes what a test wrote: nothing in it may do anything to a terminal.
fn say(ctl: &Ctl, text: &str) -> Outcome {
    ctl.out.line(&plain::tame(text))
}

/// Returns a case's name behind what it stands in.
pub(super) fn full_name(key: &tstr_shared::report::CaseKey) -> String {
    let mut parts = key.suite.clone();
    parts.extend(key.classname.clone().or_else(|| key.file.clone()).filter(|class| key.suite.last() != Some(class)));
    parts.push(key.name.clone());
    parts.join(" > ")
}

fn took(ms: Option<u64>) -> String {
    match ms {
        None => "-".to_owned(),
        Some(ms) if ms < 1000 => format!("{ms}ms"),
        Some(ms) => format!("{:.1}s", ms as f64 / 1000.0),
    }
}

impl Show for ReadReport {
    const COLUMNS: &'static [Column] = &[
        Column::new("REPORT"),
        Column::new("FORMAT"),
        Column::wide("PRODUCER"),
        Column::new("CASES"),
        Column::new("PASSED"),
        Column::new("FAILED"),
        Column::new("ERRORS"),
        Column::new("SKIPPED"),
        Column::new("FLAKY"),
        Column::new("VALID"),
    ];

    fn name(&self) -> String {
        self.path.clone()
    }

    fn row(&self, _: &Look) -> Vec<Cell> {
        let counts = &self.counted;
        let bad = |count: u64| Cell::new(count.to_string(), if count > 0 { Tint::Bad } else { Tint::None });
        let plain = |count: u64| Cell::plain(count.to_string());
        let valid = if self.valid { Cell::plain("yes") } else { Cell::new("no", Tint::Warn) };
        vec![
            Cell::plain(&self.path),
            Cell::plain(self.format.word()),
            Cell::plain(self.producer.clone().unwrap_or_default()),
            plain(counts.cases),
            plain(counts.passed),
            bad(counts.failed),
            bad(counts.errors),
            plain(counts.skipped + counts.disabled),
            plain(counts.flaky),
            valid,
        ]
    }
}

impl Show for CaseResult {
    const COLUMNS: &'static [Column] =
        &[Column::new("STATUS"), Column::new("CASE"), Column::new("TOOK"), Column::wide("ID"), Column::new("MESSAGE")];

    fn name(&self) -> String {
        self.case_id.to_string()
    }

    fn row(&self, _: &Look) -> Vec<Cell> {
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
        let number = if self.ordinal > 1 { format!(" #{}", self.ordinal) } else { String::new() };
        let first = self.message.as_deref().and_then(|text| text.lines().next()).unwrap_or_default();
        vec![
            Cell::new(format!("{}{flag}", self.status.word()), tint),
            Cell::plain(format!("{}{number}", full_name(&self.key))),
            Cell::plain(took(self.duration_ms)),
            Cell::plain(self.case_id.to_string()),
            Cell::plain(first.chars().take(80).collect::<String>()),
        ]
    }
}
