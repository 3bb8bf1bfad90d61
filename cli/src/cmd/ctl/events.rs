//! `tstr ctl events`: what changes in a namespace, as it happens. A lost connection is taken up where it broke off.

use clap::Args;
use serde_json::Value;
use tstr_shared::event::{Event, EventKind, Topic};

use super::Ctl;
use crate::client::{Call, backoff};
use crate::exit::{Exit, Outcome};
use crate::output::{Format, typed};

/// How often in a row a connection may fail.
const TRIES: u32 = 5;

/// Flags of `events`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl events
  tstr ctl events --topics runs -o jsonl
  tstr ctl events --topics runs,queue --limit 10")]
pub struct EventsArgs {
    /// What they are about; repeatable [default: everything]
    #[arg(long, value_name = "TOPIC", value_delimiter = ',', value_parser = ["runs", "tests", "runners", "queue"])]
    topics: Vec<String>,
    /// Go on behind the event of this id
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Runs the command.
pub async fn run(ctl: &Ctl, args: EventsArgs) -> Outcome<Exit> {
    let topics =
        if args.topics.is_empty() { Topic::ALL.iter().map(|one| one.word().to_owned()).collect() } else { args.topics };
    let call = Call::get(&["events"]).with("namespace", ctl.ns()).with("topics", topics.join(","));
    let (mut last, mut left, mut tries) = (args.after, args.limit, 0);
    loop {
        let failure = match ctl.client.events(&call, last.as_deref()).await {
            Ok(mut response) => {
                let mut lines = Lines::default();
                loop {
                    let piece = match ctl.client.piece(&mut response).await {
                        Ok(Some(piece)) => piece,
                        Ok(None) => break None,
                        Err(failure) => break Some(failure),
                    };
                    for line in lines.take(&piece) {
                        tries = 0;
                        let data = match line {
                            // Also where nothing is told: from there on the next stream goes on.
                            Line::Id(id) => {
                                last = Some(id);
                                continue;
                            }
                            Line::Data(data) => data,
                        };
                        let told: Value = serde_json::from_str(&data).unwrap_or_default();
                        // A newer server may tell of more than is known here.
                        let Ok(event) = typed::<Event>(&told) else { continue };
                        last = event.id.clone().or(last);
                        // That the stream has begun is of no interest here.
                        if event.event == EventKind::Ready {
                            continue;
                        }
                        show(ctl, &told, &event)?;
                        left = left.map(|left| left - 1);
                        if left == Some(0) {
                            return Ok(Exit::Done);
                        }
                    }
                }
            }
            Err(failure) => Some(failure),
        };
        tries += 1;
        match failure {
            Some(failure) if tries > TRIES || failure.exit() != Exit::Unreachable => return Err(failure),
            _ => tokio::time::sleep(backoff(tries)).await,
        }
    }
}

fn show(ctl: &Ctl, told: &Value, event: &Event) -> Outcome {
    match ctl.out.format() {
        Format::Json | Format::Jsonl => return ctl.out.line(&told.to_string()),
        Format::Yaml => return ctl.out.documents(std::slice::from_ref(told), true).map(drop),
        Format::Table | Format::Wide | Format::Name => {}
    }
    let subject = event.run.map(|run| run.to_string()).or(event.runner_name.clone()).unwrap_or_default();
    let result = event.result.map(|result| result.to_string()).unwrap_or_default();
    let test = event.test_name.clone().unwrap_or_default();
    let words = [event.at.format("%FT%TZ").to_string(), event.event.to_string(), test, subject, result];
    ctl.out.line(words.join("\t").trim_end())
}

/// A line of what is streamed.
#[derive(Debug, PartialEq)]
enum Line {
    /// How far the stream has come with the data that stands before it, or behind.
    Id(String),
    Data(String),
}

/// Takes data and ids out of what is streamed; comments and the rest are left.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn take(&mut self, piece: &[u8]) -> Vec<Line> {
        self.0.extend_from_slice(piece);
        let mut found = Vec::new();
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).into_owned();
            found.extend(match line.trim_end().split_once(':') {
                Some(("data", data)) => Some(Line::Data(data.trim_start().to_owned())),
                Some(("id", id)) => Some(Line::Id(id.trim_start().to_owned())),
                _ => None,
            });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_found_wherever_the_stream_is_cut() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b":\n\nevent: a\nda"), []);
        let data = |text: &str| Line::Data(text.to_owned());
        assert_eq!(lines.take(b"ta: {\"x\":1}\n\ndata: {}\n"), [data("{\"x\":1}"), data("{}")]);
        assert_eq!(lines.take(b"id: 7-1-9\n\n"), [Line::Id("7-1-9".into())], "an id stands alone as well");
    }
}
