//! JSON lines: an [`Event`] a line, with all that is known; for export, and for programs.

use std::io::{self, Write};

use super::Event;

/// Writes a JSON object a line.
pub struct JsonLinesWriter<W: Write> {
    out: W,
}

impl<W: Write> JsonLinesWriter<W> {
    /// Makes a writer.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// Writes a line.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, event)?;
        self.out.write_all(b"\n")
    }

    /// Returns what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}
