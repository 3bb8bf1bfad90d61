//! `tstr ctl results upload`: test reports of runs that were made elsewhere.

use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use serde_json::Value;
use tstr_shared::results::MAX_UPLOAD;
use tstr_shared::run::{Run, RunResult};

use super::{Ctl, parse, text_at};
use crate::client::Call;
use crate::exit::{Exit, Failure, Outcome};

/// Flags of `results upload`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl results upload junit.xml --test checkout
  tstr ctl results upload junit.xml --test checkout --cell os=linux --revision \"$(git rev-parse HEAD)\"
  tstr ctl results upload a.xml b.xml --test checkout   two runs, one for each file

The test has to exist; where it has a matrix, --cell names all labels of one of its cells.")]
pub struct UploadArgs {
    /// The reports: JUnit XML, CTRF or TAP, each of at most 64 MiB. Each becomes a run of its own
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The test: its id or its name
    #[arg(long, value_name = "TEST")]
    test: String,
    /// A label of the cell that was run; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::pair)]
    cell: Vec<(String, String)>,
    /// A label that overrides those of the test and of the cell; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::pair)]
    label: Vec<(String, String)>,
    /// The version of what was tested
    #[arg(long, value_name = "TEXT")]
    revision: Option<String>,
    /// What the program that wrote the report came to; a failed case fails it [default: pass]
    #[arg(long, value_name = "RESULT", value_parser = parse::result())]
    result: Option<RunResult>,
    /// When it began: an instant, or a duration ago [default: as long ago as the report says it took]
    #[arg(long, value_name = "TIME", value_parser = parse::ago)]
    started_at: Option<DateTime<Utc>>,
    /// When it ended: an instant, or a duration ago [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse::ago)]
    finished_at: Option<DateTime<Utc>>,
}

/// Uploads each file.
pub async fn run(ctl: &Ctl, args: &UploadArgs) -> Outcome<Exit> {
    let mut exit = Exit::Done;
    let mut made: Vec<Value> = Vec::new();
    for file in &args.files {
        let sent = match read(file) {
            Ok(bytes) => ctl.client.send(&call(ctl, args, file).file(bytes)).await,
            Err(failure) => Err(failure),
        };
        match sent {
            Ok(run) => {
                let (id, result) = (text_at(&run, "/id"), text_at(&run, "/result"));
                ctl.out.hint(&format!("{}: the run {id}, {result}", file.display()));
                made.push(run);
            }
            // The others still have their turn.
            Err(failure) if args.files.len() > 1 && !failure.is_passing() => {
                exit = exit.worse(failure.exit());
                ctl.out.tell(&failure.about(&file.display().to_string()));
            }
            Err(failure) => return Err(failure),
        }
    }
    ctl.out.list::<Run>(&made)?;
    Ok(exit)
}

fn call(ctl: &Ctl, args: &UploadArgs, file: &Path) -> Call {
    let at = |at: Option<DateTime<Utc>>| at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
    Call::post(&ctl.in_ns(&["tests", &args.test, "results"]))
        .with_each("cell", args.cell.iter().map(parse::joined))
        .with_each("label", args.label.iter().map(parse::joined))
        .with_some("name", file.file_name().map(|name| name.to_string_lossy()))
        .with_some("revision", args.revision.as_ref())
        .with_some("result", args.result)
        .with_some("started_at", at(args.started_at))
        .with_some("finished_at", at(args.finished_at))
}

fn read(file: &Path) -> Outcome<Vec<u8>> {
    let failed = |what: String| Failure::usage(format!("{}: {what}", file.display()));
    let length = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?.len();
    if length > MAX_UPLOAD.0 {
        return Err(failed(format!("a report has at most {MAX_UPLOAD}")));
    }
    std::fs::read(file).map_err(|error| failed(error.to_string()))
}
