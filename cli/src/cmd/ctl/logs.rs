//! `tstr ctl logs`: reads and follows the log of a run.
//!
//! No entry is lost and none comes twice, whatever happens to the connection: every request goes on behind the last
//! entry that was written, and what follows ends only when the run has finished and nothing is left to read.

mod printer;

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use tstr_shared::ids::RunId;
use tstr_shared::logs::{LogEntry, LogStatus, LogSummary, Stream, TailLines};
use tstr_shared::run::{Run, RunState};

use super::wait::Trouble;
use super::{Ctl, parse};
use crate::client::Call;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Format;
use printer::{Form, Printer};

/// The longest line of JSON that one entry can be.
const MAX_LINE: usize = 16 << 20;
/// A stream that says nothing for so long is opened anew: its other end may be gone.
const SILENCE: Duration = Duration::from_secs(60);
/// How often a log that is not followed is tried without getting further.
const TRIES: u32 = 4;
/// The pauses between looks at a run that has no attempt to follow.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// Flags of `tstr ctl logs`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl logs RUN                       what the run wrote, both streams in the order of arrival
  tstr ctl logs RUN -f                    follow until the run has finished
  tstr ctl logs RUN --tail 50 --timestamps
  tstr ctl logs RUN --stream stderr --attempt 1
  tstr ctl logs RUN -o jsonl              the entries as the API answers them")]
pub struct LogsArgs {
    /// The run
    run: RunId,
    /// Follow the log until the run has finished
    #[arg(long, short)]
    follow: bool,
    /// Only this stream
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STREAM")]
    stream: Vec<StreamName>,
    /// Put the time before each line
    #[arg(long)]
    timestamps: bool,
    /// The attempt, from 1 [default: the latest; with -f, each that is still to come as well]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    attempt: Option<u16>,
    /// Only the last lines
    #[arg(long, value_name = "N")]
    tail: Option<usize>,
    /// Only what was written since: an instant, or a duration ago
    #[arg(long, value_name = "TIME", value_parser = parse::ago)]
    since: Option<DateTime<Utc>>,
    /// On a terminal, do not take out control sequences
    #[arg(long)]
    raw: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StreamName {
    /// The standard output
    Stdout,
    /// The standard error
    Stderr,
}

/// Reads the log of one attempt, entry by entry.
struct Reader<'a> {
    ctl: &'a Ctl,
    run: RunId,
    stream: Option<Stream>,
    attempt: u16,
    after: Option<u32>,
    /// From which line from the end on the server is asked, until the first entry has come.
    tail: Option<usize>,
    /// The streams of which it was said where they are cut.
    told: Vec<Stream>,
    trouble: Trouble,
}

/// Runs the command.
pub async fn run(ctl: &Ctl, args: &LogsArgs) -> Outcome<Exit> {
    let form = match ctl.out.format() {
        Format::Json => Form::Json,
        Format::Jsonl => Form::JsonLines,
        Format::Yaml => Form::Yaml,
        Format::Name => return Err(Failure::usage("a log has no names: -o table, json, jsonl or yaml")),
        Format::Table | Format::Wide if args.timestamps || args.tail.is_some() => {
            Form::Lines { stamps: args.timestamps }
        }
        Format::Table | Format::Wide => Form::Bytes,
    };
    let filter = (ctl.out.is_terminal() && !args.raw).then(|| ctl.out.paints());
    // A program gets the entries that the server found; people get as many lines as they asked for.
    let kept = args.tail.filter(|_| matches!(form, Form::Bytes | Form::Lines { .. }));
    let mut printer = Printer::new(form, filter, kept, args.since);
    let stream = match args.stream.as_slice() {
        [] => None,
        [StreamName::Stdout, rest @ ..] if !rest.contains(&StreamName::Stderr) => Some(Stream::Stdout),
        [StreamName::Stderr, rest @ ..] if !rest.contains(&StreamName::Stdout) => Some(Stream::Stderr),
        _ => None,
    };
    if args.follow {
        ctl.interrupt.note(format!("the run goes on; to follow again: tstr ctl logs -f {}", args.run));
    }

    let first: Run = ctl.client.fetch(&Call::get(&["runs", &args.run.to_string()])).await?;
    let attempt = args.attempt.unwrap_or(first.attempt);
    let trouble = if args.follow { Trouble::default() } else { Trouble::up_to(TRIES) };
    // More than the server looks for are counted here.
    let tail = args.tail.filter(|lines| *lines <= TailLines::MAX as usize);
    let mut reader = Reader { ctl, run: args.run, stream, attempt, after: None, tail, told: Vec::new(), trouble };
    let last = if args.follow { reader.follow(first, args.attempt.is_some(), &mut printer).await? } else { first };
    if !args.follow && reader.attempt > 0 {
        reader.read_to_end(&mut printer).await?;
    }
    ctl.out.bytes(&printer.end()?)?;
    ctl.interrupt.forget();
    if last.attempt == 0 {
        ctl.out.hint("no attempt of this run has started, so there is no log");
    } else if let Some(log) = summary(&last, reader.attempt) {
        tell_gaps(ctl, &log, stream, &reader.told);
    }
    Ok(Exit::Done)
}

fn summary(run: &Run, attempt: u16) -> Option<LogSummary> {
    let listed = run.attempts.iter().find(|one| one.attempt == attempt).map(|one| one.log.clone());
    listed.or_else(|| (run.attempt == attempt).then(|| run.log.clone()))
}

/// Says what is missing of the log, but for the cuts that were told where they are.
fn tell_gaps(ctl: &Ctl, log: &LogSummary, stream: Option<Stream>, told: &[Stream]) {
    for cut in &log.cuts {
        if stream.is_none_or(|wanted| wanted == cut.stream) && !told.contains(&cut.stream) {
            let (bytes, word, offset) = (cut.bytes, cut.stream.word(), cut.offset);
            ctl.out
                .say(&format!("the log passed its limit: {bytes} bytes of {word} were taken out at its byte {offset}"));
        }
    }
    match (log.status, &log.message) {
        (LogStatus::Truncated, _) if log.cuts.is_empty() => {
            ctl.out
                .say(&format!("the log passed its limit: {} more bytes were written and not kept", log.dropped_bytes));
        }
        (LogStatus::Incomplete, Some(message)) => ctl.out.say(&format!("the log is incomplete: {message}")),
        (LogStatus::Incomplete, None) => ctl.out.say("the log is incomplete: bytes were lost on the way to the server"),
        (LogStatus::Open | LogStatus::Complete | LogStatus::Truncated, _) => {}
    }
}

impl Reader<'_> {
    /// Writes what comes until the run has finished, or the one attempt that is wanted.
    async fn follow(&mut self, mut run: Run, only_one: bool, printer: &mut Printer) -> Outcome<Run> {
        loop {
            if self.attempt == 0 || run.attempt < self.attempt {
                // The attempt that is wanted has not begun.
                if run.state == RunState::Finished {
                    return Ok(run);
                }
                tokio::time::sleep(LOOK_EVERY / 2).await;
            } else {
                if printer.is_catching_up() {
                    self.read_to_end(printer).await?;
                    self.ctl.out.bytes(&printer.caught_up())?;
                }
                if run.state != RunState::Finished && run.attempt == self.attempt {
                    self.pass(true, printer).await?;
                }
            }
            run = self.look().await?;
            if self.attempt == 0 {
                self.attempt = run.attempt;
            }
            let is_over = run.state == RunState::Finished || run.attempt > self.attempt;
            if !is_over || self.attempt == 0 || run.attempt < self.attempt {
                // The attempt goes on, or it is still to come.
                tokio::time::sleep(LOOK_EVERY / 2).await;
                continue;
            }
            // Nothing can be added any more, so what is read now is all of it.
            self.read_to_end(printer).await?;
            if only_one || run.attempt == self.attempt {
                return Ok(run);
            }
            self.attempt += 1;
            (self.after, self.tail) = (None, None);
            self.told.clear();
            self.ctl.out.say(&format!("attempt {} begins", self.attempt));
        }
    }

    /// Writes everything that there is now.
    async fn read_to_end(&mut self, printer: &mut Printer) -> Outcome {
        while !self.pass(false, printer).await? {}
        Ok(())
    }

    /// Looks at the run, however long the server takes to come back.
    async fn look(&mut self) -> Outcome<Run> {
        loop {
            match self.ctl.client.fetch(&Call::get(&["runs", &self.run.to_string()])).await {
                Ok(run) => return Ok(run),
                Err(failure) => self.trouble.pause_or_fail(self.ctl, failure, None).await?,
            }
        }
    }

    /// Opens the stream once and writes what it gives. Tells whether it ended as it should; a connection that is lost is
    /// paused for and is no failure.
    async fn pass(&mut self, follow: bool, printer: &mut Printer) -> Outcome<bool> {
        match self.stream(follow, printer).await {
            Ok(()) => Ok(true),
            Err(failure) => self.trouble.pause_or_fail(self.ctl, failure, None).await.map(|()| false),
        }
    }

    async fn stream(&mut self, follow: bool, printer: &mut Printer) -> Outcome {
        let stream = self.stream.map(Stream::word);
        let mut call = Call::get(&["runs", &self.run.to_string(), "logs"])
            .with("attempt", self.attempt)
            .with_some("stream", stream)
            .with_some("after", self.after)
            .with_some("tail", self.tail);
        if follow {
            call = call.with("follow", true);
        }
        let client = &self.ctl.client;
        let mut response = client.stream(&call).await?;
        let mut buffer: Vec<u8> = Vec::new();
        loop {
            let Ok(piece) = tokio::time::timeout(SILENCE, client.piece(&mut response)).await else {
                let words = "the log stream said nothing for a minute";
                return if follow { Ok(()) } else { Err(Failure::new(Exit::Unreachable, words)) };
            };
            let Some(piece) = piece? else { break };
            self.trouble.is_over(self.ctl);
            let searched = buffer.len();
            buffer.extend_from_slice(&piece);
            let Some(end) = buffer[searched..].iter().rposition(|byte| *byte == b'\n') else {
                if buffer.len() > MAX_LINE {
                    return Err(Failure::new(Exit::Error, "an entry of the log is too long"));
                }
                continue;
            };
            let rest = buffer.split_off(searched + end + 1);
            let shown = self.take(&buffer, printer)?;
            self.ctl.out.bytes(&shown)?;
            buffer = rest;
        }
        if buffer.is_empty() {
            Ok(())
        } else {
            Err(Failure::new(Exit::Unreachable, "the log stream ended in mid-entry"))
        }
    }

    /// Takes whole lines and returns what is to be written. An entry that was taken before is left out.
    fn take(&mut self, lines: &[u8], printer: &mut Printer) -> Outcome<Vec<u8>> {
        let mut shown = Vec::new();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            let entry: LogEntry = serde_json::from_slice(line).map_err(|_| {
                // A server that fails in mid-stream has no other place to say so.
                match serde_json::from_slice(line) {
                    Ok(problem) => Failure::problem(problem),
                    Err(error) => Failure::new(Exit::Error, format!("an entry of the log cannot be read: {error}")),
                }
            })?;
            if self.after.is_some_and(|after| entry.seq <= after) {
                continue;
            }
            (self.after, self.tail) = (Some(entry.seq), None);
            if let Some(bytes) = entry.cut_bytes
                && printer.is_for_people()
                && !printer.is_catching_up()
            {
                self.ctl.out.bytes(&std::mem::take(&mut shown))?;
                let word = entry.stream.word();
                self.ctl.out.say(&format!("{bytes} bytes of {word} were taken out here: the log passed its limit"));
                self.told.push(entry.stream);
            }
            shown.extend_from_slice(&printer.take(&entry)?);
        }
        Ok(shown)
    }
}
