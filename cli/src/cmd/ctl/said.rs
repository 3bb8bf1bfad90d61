//! `tstr ctl run output`: what a run said about itself.

use clap::Args;
use serde_json::Value;
use tstr_shared::ids::RunId;
use tstr_shared::output::{AttemptOutput, Metric, OutputNote};

use super::Ctl;
use crate::client::Call;
use crate::exit::{Exit, Outcome};
use crate::output::plain::tame;
use crate::output::{Cell, Column, typed};

/// How much of a value stands in a table.
const MAX_SHOWN: usize = 200;

/// Flags of `run output`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl run output RUN             result data and metrics
  tstr ctl run output RUN --summary   the summary, in Markdown
  tstr ctl run output RUN -o json     all of it")]
pub struct OutputArgs {
    /// The run
    run: RunId,
    /// The attempt, from 1 [default: the latest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    attempt: Option<u16>,
    /// Write the summary, as the test wrote it; on a terminal without control characters
    #[arg(long)]
    summary: bool,
}

/// Shows what a run said about itself.
pub async fn run(ctl: &Ctl, args: &OutputArgs) -> Outcome<Exit> {
    let call = Call::get(&["runs", &args.run.to_string(), "output"]).with_some("attempt", args.attempt);
    let answer = ctl.client.send(&call).await?;
    let output = typed::<AttemptOutput>(&answer)?.output;
    if args.summary {
        match &output.summary {
            Some(summary) if ctl.out.is_terminal() => ctl.out.text(&tame(summary))?,
            Some(summary) => ctl.out.text(summary)?,
            None => ctl.out.hint("the run wrote no summary"),
        }
        return Ok(Exit::Done);
    }
    if ctl.out.documents(std::slice::from_ref(&answer), true)? {
        return Ok(Exit::Done);
    }
    let data = output.data.iter().map(|(key, value)| (key.clone(), shown(value)));
    let metrics = output.metrics.iter().map(|metric| (series(metric), metric.value.to_string()));
    let rows = data.chain(metrics).map(|(key, value)| vec![Cell::plain(key), Cell::plain(value)]);
    ctl.out.rows(&[Column::new("NAME"), Column::new("VALUE")], rows.collect())?;
    if let Some(summary) = &output.summary {
        ctl.out.hint(&format!("there is a summary of {} bytes: --summary shows it", summary.len()));
    }
    output.notes.iter().for_each(|note| ctl.out.hint(&note_words(note)));
    Ok(Exit::Done)
}

/// Returns a value of result data as it stands in a table: texts as they are, all else as JSON.
pub fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Returns what a number is about: `requests{code=200}.count`.
pub fn series(metric: &Metric) -> String {
    let tags: Vec<_> = metric.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let tags = if tags.is_empty() { String::new() } else { format!("{{{}}}", tags.join(",")) };
    format!("{}{tags}.{}", metric.measurement, metric.field)
}

/// Returns a note as a sentence.
pub fn note_words(note: &OutputNote) -> String {
    let source = note.source.map(|source| source.word().to_owned());
    let line = note.line.map(|line| format!("line {line}"));
    let place: Vec<_> = source.into_iter().chain(line).collect();
    if place.is_empty() { note.message.clone() } else { format!("{}: {}", place.join(", "), note.message) }
}
