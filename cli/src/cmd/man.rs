//! `tstr man`: the manual, made from the same words as `--help`.

use std::path::Path;

use crate::args;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::write_all;

/// Runs the command.
pub fn run(folder: Option<&Path>) -> Outcome {
    let fault = |error: std::io::Error| Failure::new(Exit::Error, format!("cannot write the manual: {error}"));
    match folder {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(fault)?;
            clap_mangen::generate_to(args::command(), folder).map_err(fault)
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(args::command()).render(&mut page).map_err(fault)?;
            write_all(&page)
        }
    }
}
