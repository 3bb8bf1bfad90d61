//! What was to be reached, and what was: one table at the end of a run.

use crate::table::{Table, count, ratio};

/// On which side of the bound the figure has to be.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

/// A goal with what was measured.
#[derive(Debug, Clone)]
pub struct Goal {
    /// Where it comes from: a row of the queue's goals, or a benchmark of its own.
    pub row: &'static str,
    /// What is measured.
    pub what: String,
    /// What was to be reached.
    pub bound: Bound,
    /// What was.
    pub measured: f64,
    /// What the figures count; empty for ratios.
    pub unit: &'static str,
}

impl Goal {
    /// Makes one whose figure is a ratio.
    pub fn ratio(row: &'static str, what: impl Into<String>, bound: Bound, measured: f64) -> Self {
        Self { row, what: what.into(), bound, measured, unit: "" }
    }

    /// Makes one whose figure has a unit.
    pub fn figure(row: &'static str, what: impl Into<String>, bound: Bound, measured: f64, unit: &'static str) -> Self {
        Self { row, what: what.into(), bound, measured, unit }
    }

    fn number(&self, value: f64) -> String {
        match self.unit {
            "" => ratio(value),
            unit => format!("{} {unit}", count(value)),
        }
    }

    /// Says whether it was reached, and by how much it was missed.
    fn verdict(&self) -> String {
        let (reached, off) = match self.bound {
            Bound::AtMost(most) => (self.measured <= most, self.measured / most - 1.0),
            Bound::AtLeast(least) => (self.measured >= least, 1.0 - self.measured / least),
        };
        match (reached, self.measured.is_finite()) {
            (_, false) => "not measured".into(),
            (true, true) => "met".into(),
            (false, true) => format!("**missed by {:.0} %**", (off * 100.0).max(1.0)),
        }
    }
}

/// Writes the goals of all sections that were run.
pub fn write(goals: &[Goal]) -> String {
    let mut table = Table::new(
        "Goals",
        "The rows are those of the design's table of goals; the others are the benchmarks that were asked for beside it.",
        &["row", "what", "goal", "measured", "verdict"],
    );
    for goal in goals {
        let bound = match goal.bound {
            Bound::AtMost(most) => format!("≤ {}", goal.number(most)),
            Bound::AtLeast(least) => format!("≥ {}", goal.number(least)),
        };
        table.row(vec![goal.row.into(), goal.what.clone(), bound, goal.number(goal.measured), goal.verdict()]);
    }
    table.into_text()
}
