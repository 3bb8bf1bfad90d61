//! `tstr ctl validate`: checks tests by the rules of the server, without one.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use serde_path_to_error::Segment;
use tstr_shared::error::{Invalid, pointer_step};
use tstr_shared::testdef::NewTestDef;

use crate::exit::{Exit, Failure, Outcome};
use crate::input::{self, Document};
use crate::output::{Cell, Column, Door, Format, Tint};

/// Flags of `validate`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl validate test.yaml
  tstr ctl validate tests/ other.json
  cat test.yaml | tstr ctl validate -")]
pub struct ValidateArgs {
    /// Files, folders, or - for the standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(out: Door, args: &ValidateArgs) -> Outcome<Exit> {
    const COLUMNS: &[Column] =
        &[Column::new("TEST"), Column::new("RUNS"), Column::new("SCHEDULE"), Column::wide("FILE")];
    let documents = input::read_all(&args.files)?;
    let (mut rows, mut values, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let mut exit = Exit::Done;
    for document in &documents {
        match check(document) {
            Ok(test) => {
                let cells = test.cells().map(|cells| cells.len()).unwrap_or_default();
                let schedule =
                    test.check_schedule().ok().flatten().map(|schedule| schedule.description).unwrap_or_default();
                values.push(json!({"file": document.place, "name": test.name, "valid": true, "runs": cells, "schedule": schedule}));
                rows.push(vec![
                    Cell::new(&test.name, Tint::Good),
                    Cell::plain(cells.to_string()),
                    Cell::plain(schedule),
                    Cell::plain(&document.place),
                ]);
                names.push(test.name + "\n");
            }
            Err(failure) => {
                let name = document.value.get("name").cloned().unwrap_or(Value::Null);
                values.push(json!({"file": document.place, "name": name, "valid": false, "errors": failure.errors()}));
                out.tell(&failure);
                exit = failure.exit();
            }
        }
    }
    if !out.documents(&values, false)? {
        match out.format() {
            Format::Name => out.text(&names.concat())?,
            _ => out.rows(COLUMNS, rows)?,
        }
    }
    Ok(exit)
}

/// Checks a document as the server does.
fn check(document: &Document) -> Outcome<NewTestDef> {
    let test = read(&document.value).and_then(|test| test.validate().map(|()| test));
    test.map_err(|invalid| {
        let words = match invalid.errors.len() {
            1 => "one field is wrong".to_owned(),
            count => format!("{count} fields are wrong"),
        };
        document.explain(Failure::usage(words).with_errors(invalid.errors))
    })
}

fn read(value: &Value) -> Result<NewTestDef, Invalid> {
    serde_path_to_error::deserialize(value).map_err(|fault| {
        let pointer = fault.path().iter().filter_map(|segment| match segment {
            Segment::Map { key } => Some(format!("/{}", pointer_step(key))),
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        Invalid::one(pointer.collect::<String>(), fault.inner().to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let document = input::parse(text, "t.yaml", None).unwrap().remove(0);
        check(&document).unwrap_err().lines()
    }

    #[test]
    fn the_examples_of_the_repository_are_valid() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let files = ["heartbeat/test.yaml", "regions/test.yaml", "broken/test.yaml", "original.json"];
        let documents = input::read_all(&files.map(|file| folder.join(file))).unwrap();
        assert_eq!(documents.len(), 4);
        for document in documents {
            check(&document).unwrap_or_else(|failure| panic!("{}: {:?}", document.place, failure.lines()));
        }
    }

    #[test]
    fn every_fault_is_named_with_its_place() {
        let text = "name: a b\nrun_config: {container_image: i, timeout: 99d}\ncron_schedule: nonsense\n";
        let lines = faults(text);
        assert_eq!(lines[0], "error: t.yaml: 3 fields are wrong");
        assert!(lines[1].starts_with("  /name: ") && lines[2].starts_with("  /run_config/timeout: "), "{lines:?}");
    }

    #[test]
    fn a_place_that_only_a_registered_test_has_is_accepted_and_said_to_be_open() {
        let read = |cron: &str| {
            let text = format!("name: a\nrun_config: {{container_image: i}}\ncron_schedule: \"{cron}\"\n");
            check(&input::parse(&text, "t.yaml", None).unwrap().remove(0))
        };
        let description = read("H H(0-5) * * *").unwrap().check_schedule().unwrap().unwrap().description;
        assert_eq!(description, "H H(0-5) * * * (UTC); the place of H is decided when the test is registered");
        assert!(read("H(0-99) * * * *").is_err());
    }

    #[test]
    fn an_unknown_field_and_a_number_for_a_text_are_explained() {
        assert!(faults("name: a\nrun_config: {image: i}\n")[1].starts_with("  /run_config"));
        let lines = faults("name: a\nlabels: {v: 1}\nrun_config: {container_image: i}\n");
        assert_eq!(lines[2], "hint: /labels/v: 1 is a number in YAML; write \"1\" in quotes", "{lines:?}");
    }
}
