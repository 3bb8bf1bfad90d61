//! The results as Markdown, to be pasted into docs/benchmarks.md.

use std::fmt::Write;

/// A table in the making.
pub struct Table(String);

impl Table {
    /// Begins a table.
    pub fn new(title: &str, note: &str, heads: &[&str]) -> Self {
        let mut text = format!("### {title}\n\n{note}\n\n");
        let _ = writeln!(text, "| {} |", heads.join(" | "));
        let _ = writeln!(text, "|{}", "--:|".repeat(heads.len()));
        Self(text)
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        let _ = writeln!(self.0, "| {} |", cells.join(" | "));
    }

    /// Ends it.
    pub fn into_text(self) -> String {
        self.0
    }
}

/// Writes a count with thin groups: 12 345, or 3.5 when it is small.
pub fn count(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// Writes a whole number the same way.
pub fn whole(value: u64) -> String {
    if value < 100 { value.to_string() } else { count(value as f64) }
}

/// Writes a ratio.
pub fn ratio(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "–".into() }
}

/// Writes a time in milliseconds.
pub fn millis(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "–".into() }
}
