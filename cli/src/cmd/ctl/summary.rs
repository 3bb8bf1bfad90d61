//! `tstr ctl summary`: how the runs of a namespace went.

use chrono::{DateTime, SecondsFormat, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tstr_shared::summary::{Figures, Interval, Rebuilt, RunCounts, Spread, Summary};

use super::{Ctl, parse};
use crate::client::Call;
use crate::exit::{Exit, Outcome};
use crate::output::{Cell, Column, Format, Look, Show, Tint, typed};

/// How many tests, runners and labels people are shown; all that are told with `-o wide`.
const SHOWN: usize = 10;

/// Flags of `summary`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    before_help = "Examples:
  tstr ctl summary                             the last seven days, day by day
  tstr ctl summary --interval hour --since 1d
  tstr ctl summary --test checkout-e2e --interval week --since 90d
  tstr ctl summary -o json
  tstr ctl summary rebuild                     count everything anew"
)]
pub struct SummaryArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// How long the intervals are
    #[arg(long, value_name = "LENGTH", default_value = "day", value_parser = interval())]
    interval: Interval,
    /// Runs scheduled since: an instant, or how long ago [default: 7d]
    #[arg(long, value_name = "WHEN", value_parser = parse::ago)]
    since: Option<DateTime<Utc>>,
    /// Runs scheduled until: an instant, or how long ago [default: now]
    #[arg(long, value_name = "WHEN", value_parser = parse::ago)]
    until: Option<DateTime<Utc>>,
    /// The runs of this test only: its id or its name
    #[arg(long, value_name = "TEST")]
    test: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count the sums behind the summary anew, from the runs that are there; others go on meanwhile
    #[command(before_help = "Examples:\n  tstr ctl summary rebuild -n shop")]
    Rebuild,
}

fn interval() -> impl TypedValueParser<Value = Interval> {
    PossibleValuesParser::new(Interval::ALL.iter().map(|one| one.word())).try_map(|word| word.parse::<Interval>())
}

/// Runs the command.
pub async fn run(ctl: &Ctl, args: SummaryArgs) -> Outcome<Exit> {
    if let Some(Command::Rebuild) = args.command {
        return rebuild(ctl).await;
    }
    let exact = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let call = Call::get(&ctl.in_ns(&["summary"]))
        .with("interval", args.interval)
        .with_some("scheduled_after", args.since.map(exact))
        .with_some("scheduled_before", args.until.map(exact))
        .with_some("test", args.test);
    let answer = ctl.client.send(&call).await?;
    if !matches!(ctl.out.format(), Format::Table | Format::Wide) {
        ctl.out.item::<Summary>(&answer)?;
        return Ok(Exit::Done);
    }
    show(ctl, &typed(&answer)?)?;
    Ok(Exit::Done)
}

async fn rebuild(ctl: &Ctl) -> Outcome<Exit> {
    let (mut done, mut from) = (Rebuilt::default(), None);
    loop {
        let body = from.map_or_else(|| json!({}), |from: DateTime<Utc>| json!({ "from": from }));
        let answer = ctl.client.send(&Call::post(&ctl.in_ns(&["summary", "rebuild"])).json(body)).await?;
        let part: Rebuilt = typed(&answer)?;
        done = Rebuilt { days: done.days + part.days, runs: done.runs + part.runs, next: None };
        match part.next {
            Some(next) => {
                ctl.out.hint(&format!("{} runs are counted, up to {}", done.runs, next.date_naive()));
                from = Some(next);
            }
            None => break,
        }
    }
    let words = format!("{} runs of {} days are counted anew", done.runs, done.days);
    ctl.out.done::<Rebuilt>(&serde_json::to_value(done).unwrap_or(Value::Null), &words)?;
    Ok(Exit::Done)
}

const COUNTS: [Column; 11] = [
    Column::new("RUNS"),
    Column::new("PASS"),
    Column::new("FAIL"),
    Column::new("ERROR"),
    Column::new("TIMED OUT"),
    Column::new("CANCELLED"),
    Column::new("FLAKY"),
    Column::new("WAIT P50"),
    Column::wide("P95"),
    Column::new("TOOK P50"),
    Column::new("P95"),
];

/// The cells of [`COUNTS`]: nothing stands where nothing was.
fn counts(counts: &RunCounts) -> Vec<Cell> {
    let some = |count: u64, tint| match count {
        0 => Cell::new("-", Tint::Dim),
        count => Cell::new(count.to_string(), tint),
    };
    vec![
        some(counts.runs, Tint::None),
        some(counts.pass, Tint::Good),
        some(counts.fail, Tint::Bad),
        some(counts.error, Tint::Warn),
        some(counts.timed_out, Tint::Bad),
        some(counts.cancelled, Tint::Dim),
        some(counts.flaky, Tint::Warn),
    ]
}

fn figures(figures: &Figures) -> Vec<Cell> {
    let both = |spread: Option<Spread>| match spread {
        Some(spread) => [spread.p50_ms, spread.p95_ms].map(|ms| Cell::plain(length(ms))),
        None => ["-", "-"].map(|none| Cell::new(none, Tint::Dim)),
    };
    let spreads = [both(figures.wait), both(figures.duration)];
    counts(&figures.counts).into_iter().chain(spreads.into_iter().flatten()).collect()
}

/// Writes a duration in the unit that fits.
fn length(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..120_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        120_000..7_200_000 => format!("{}m{}s", ms / 60_000, ms % 60_000 / 1000),
        _ => format!("{}h{}m", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// Writes when an interval begins: as short as it can be told.
fn start(interval: Interval, at: DateTime<Utc>) -> String {
    match interval {
        Interval::Hour => at.format("%Y-%m-%d %H:00").to_string(),
        Interval::Day => at.format("%Y-%m-%d %a").to_string(),
        Interval::Week => at.format("%G-W%V (%m-%d)").to_string(),
    }
}

/// Shows the intervals and, apart from each other, tests, runners and labels.
fn show(ctl: &Ctl, summary: &Summary) -> Outcome {
    let most = if ctl.out.format() == Format::Wide { usize::MAX } else { SHOWN };
    let titled = |title| [&[Column::new(title)], &COUNTS[..]].concat();
    let row = |name: Cell, cells: Vec<Cell>| [vec![name], cells].concat();
    let interval = summary.interval;
    let mut rows: Vec<Vec<Cell>> = summary
        .intervals
        .iter()
        .map(|one| row(Cell::plain(start(interval, one.start)), figures(&one.figures)))
        .collect();
    rows.push(row(Cell::plain("all"), figures(&summary.totals)));
    ctl.out.rows(&titled("UTC"), rows)?;
    if !ctl.out.is_terminal() {
        // One table for programs; -o json has all of it.
        return Ok(());
    }
    if !summary.tests.is_empty() {
        let tests = summary.tests.iter().take(most);
        let rows = tests.map(|test| row(Cell::plain(&test.test_name), figures(&test.figures))).collect();
        ctl.out.line("")?;
        ctl.out.rows(&titled("TEST"), rows)?;
    }
    if !summary.runners.is_empty() {
        let columns = ["RUNNER", "RUNS", "SLOTS", "BUSY", "USED"].map(Column::new);
        let runners = summary.runners.iter().take(most).map(|runner| {
            vec![
                Cell::plain(&runner.runner_name),
                Cell::plain(runner.counts.runs.to_string()),
                Cell::plain(runner.slots.to_string()),
                Cell::plain(length(runner.busy_ms)),
                Cell::plain(format!("{:.0} %", runner.utilisation * 100.0)),
            ]
        });
        ctl.out.line("")?;
        ctl.out.rows(&columns, runners.collect())?;
    }
    if !summary.labels.is_empty() {
        let labels = summary.labels.iter().take(most);
        let name = |key: &str, value: &str| Cell::plain(format!("{key}={value}"));
        let rows = labels.map(|label| row(name(&label.key, &label.value), counts(&label.counts))).collect();
        ctl.out.line("")?;
        ctl.out.rows(&titled("LABEL")[..8], rows)?;
    }
    let hidden = |shown: usize, more: u64| (shown.saturating_sub(most) as u64).saturating_add(more);
    let more = [
        (hidden(summary.tests.len(), summary.tests_more), "tests"),
        (hidden(summary.runners.len(), summary.runners_more), "runners"),
        (hidden(summary.labels.len(), summary.labels_more), "labels"),
    ];
    let more: Vec<String> =
        more.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} more {word}")).collect();
    if !more.is_empty() {
        ctl.out.hint(&format!("{}; -o wide shows more of them", more.join(", ")));
    }
    if !summary.is_current {
        ctl.out.hint(&format!("runs that finished after {} are still to be counted", summary.as_of));
    }
    Ok(())
}

impl Show for Summary {
    const COLUMNS: &'static [Column] = &[Column::new("FROM"), Column::new("TO"), Column::new("RUNS")];

    fn name(&self) -> String {
        self.from.to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    fn row(&self, look: &Look) -> Vec<Cell> {
        let runs = self.totals.counts.runs.to_string();
        vec![Cell::plain(look.instant(self.from)), Cell::plain(look.instant(self.to)), Cell::plain(runs)]
    }
}

impl Show for Rebuilt {
    const COLUMNS: &'static [Column] = &[Column::new("DAYS"), Column::new("RUNS")];

    fn name(&self) -> String {
        self.runs.to_string()
    }

    fn row(&self, _: &Look) -> Vec<Cell> {
        vec![Cell::plain(self.days.to_string()), Cell::plain(self.runs.to_string())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short() {
        let lengths = [0, 999, 1_500, 119_999, 125_000, 7_260_000].map(length);
        assert_eq!(lengths, ["0ms", "999ms", "1.5s", "119.9s", "2m5s", "2h1m"]);
    }

    #[test]
    fn intervals_are_named_by_their_beginning() {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let named = [Interval::Hour, Interval::Day, Interval::Week].map(|interval| start(interval, at));
        assert_eq!(named, ["2026-01-01 00:00", "2026-01-01 Thu", "2026-W01 (01-01)"]);
    }
}
