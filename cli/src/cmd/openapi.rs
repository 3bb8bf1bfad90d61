//! `tstr openapi`: the document of the JSON API, as it is checked in.

use crate::exit::Outcome;
use crate::output::write_all;

/// Runs the command.
pub fn run() -> Outcome {
    let document = tstr_api::http::openapi::json();
    write_all(document.trim_end().as_bytes())?;
    write_all(b"\n")
}
