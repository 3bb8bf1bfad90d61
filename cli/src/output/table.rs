//! Tables for people, and the same as tab-separated values.

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{Color, ColumnConstraint, ContentArrangement, Table, presets};

use super::plain::one_line;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The word above it.
    pub title: &'static str,
    /// It is shown only by `-o wide`.
    pub is_wide: bool,
}

impl Column {
    /// Makes a column that is always shown.
    pub const fn new(title: &'static str) -> Self {
        Self { title, is_wide: false }
    }

    /// Makes a column that only `-o wide` shows.
    pub const fn wide(title: &'static str) -> Self {
        Self { title, is_wide: true }
    }
}

/// What a cell's colour says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tint {
    /// Nothing.
    #[default]
    None,
    /// All is well.
    Good,
    /// Something is wrong.
    Bad,
    /// Something needs a look.
    Warn,
    /// It is going on.
    Busy,
    /// It matters less.
    Dim,
}

/// A cell of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tint: Tint,
}

impl Cell {
    /// Makes a cell; control characters are taken out of its text.
    pub fn new(text: impl AsRef<str>, tint: Tint) -> Self {
        Self { text: one_line(text.as_ref()), tint }
    }

    /// Makes a cell without a colour.
    pub fn plain(text: impl AsRef<str>) -> Self {
        Self::new(text, Tint::None)
    }
}

/// How values are shown: to people now, or exactly.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// The time that ages count to.
    pub now: DateTime<Utc>,
    /// Times and durations are exact, and nothing is left out: the output is no terminal.
    pub exact: bool,
}

impl Look {
    /// Shows an instant in the past as its age, an instant to come as the time until then.
    pub fn age(&self, at: DateTime<Utc>) -> String {
        if self.exact {
            return at.to_rfc3339_opts(SecondsFormat::Millis, true);
        }
        let seconds = (self.now - at).num_seconds();
        if seconds < 0 { format!("in {}", coarse(-seconds)) } else { coarse(seconds) }
    }

    /// Shows an instant that may not have come.
    pub fn age_of(&self, at: Option<DateTime<Utc>>) -> String {
        at.map(|at| self.age(at)).unwrap_or_default()
    }

    /// Shows an instant both exactly and as an age, where there is room.
    pub fn instant(&self, at: DateTime<Utc>) -> String {
        let exact = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        if self.exact {
            return exact;
        }
        let age = self.age(at);
        if age.starts_with("in ") { format!("{exact} ({age})") } else { format!("{exact} ({age} ago)") }
    }

    /// Shows how long something took, or takes so far.
    pub fn took(&self, from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> String {
        let Some(from) = from else { return String::new() };
        let millis = (to.unwrap_or(self.now) - from).num_milliseconds().max(0);
        if self.exact || millis < 60_000 {
            return format!("{}.{}s", millis / 1000, millis % 1000 / 100);
        }
        coarse(millis / 1000)
    }
}

/// Shows seconds by their two largest units.
fn coarse(seconds: i64) -> String {
    let two = |high: i64, high_unit: &str, low: i64, low_unit: &str| match low {
        0 => format!("{high}{high_unit}"),
        _ => format!("{high}{high_unit}{low}{low_unit}"),
    };
    match seconds {
        ..60 => format!("{seconds}s"),
        60..600 => two(seconds / 60, "m", seconds % 60, "s"),
        600..3_600 => format!("{}m", seconds / 60),
        3_600..36_000 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        36_000..86_400 => format!("{}h", seconds / 3_600),
        86_400..864_000 => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Writes rows: aligned under titles, or `exact`, which is tab-separated and without titles.
pub fn rows(columns: &[Column], rows: Vec<Vec<Cell>>, wide: bool, exact: bool, paints: bool) -> String {
    let shown = |index: usize| wide || columns.get(index).is_none_or(|column| !column.is_wide);
    let keep = |row: Vec<Cell>| row.into_iter().enumerate().filter(|(i, _)| shown(*i)).map(|(_, cell)| cell).collect();
    let rows: Vec<Vec<Cell>> = rows.into_iter().map(keep).collect();
    if exact {
        return tabbed(rows);
    }
    if rows.is_empty() {
        return String::new();
    }
    let titles = columns.iter().enumerate().filter(|(i, _)| shown(*i)).map(|(_, column)| column.title);
    aligned(Some(titles.map(|title| Cell::new(title, Tint::Dim)).collect()), rows, paints)
}

/// Writes what is told of one thing; facts without a value are left out for people.
pub fn facts(facts: Vec<(&'static str, Cell)>, exact: bool, paints: bool) -> String {
    let row = |(word, cell): (&str, Cell)| vec![Cell::new(word, Tint::Dim), cell];
    if exact {
        return tabbed(facts.into_iter().map(row).collect());
    }
    aligned(None, facts.into_iter().filter(|(_, cell)| !cell.text.is_empty()).map(row).collect(), paints)
}

fn tabbed(rows: Vec<Vec<Cell>>) -> String {
    let line = |row: Vec<Cell>| row.into_iter().map(|cell| cell.text).collect::<Vec<_>>().join("\t") + "\n";
    rows.into_iter().map(line).collect()
}

fn aligned(titles: Option<Vec<Cell>>, rows: Vec<Vec<Cell>>, paints: bool) -> String {
    let paint = |cell: Cell| {
        let styled = comfy_table::Cell::new(cell.text);
        match cell.tint {
            _ if !paints => styled,
            Tint::None => styled,
            Tint::Good => styled.fg(Color::Green),
            Tint::Bad => styled.fg(Color::Red),
            Tint::Warn => styled.fg(Color::Yellow),
            Tint::Busy => styled.fg(Color::Cyan),
            Tint::Dim => styled.fg(Color::DarkGrey),
        }
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).force_no_tty();
    if paints {
        table.enforce_styling();
    }
    // The titles are a row like the others: a header of the library's own would be set apart by a line.
    table.add_rows(titles.into_iter().chain(rows).map(|row| row.into_iter().map(paint).collect::<Vec<_>>()));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short_for_people_and_exact_for_programs() {
        let now: DateTime<Utc> = "2026-03-01T10:00:00Z".parse().unwrap();
        let people = Look { now, exact: false };
        let ago = |seconds: i64| people.age(now - chrono::Duration::seconds(seconds));
        assert_eq!([ago(0), ago(59), ago(61), ago(120), ago(3_599)], ["0s", "59s", "1m1s", "2m", "59m"]);
        assert_eq!([ago(3_660), ago(36_000), ago(90_000), ago(8_640_000)], ["1h1m", "10h", "1d1h", "100d"]);
        assert_eq!(ago(-90), "in 1m30s");
        assert_eq!(Look { exact: true, ..people }.age(now), "2026-03-01T10:00:00.000Z");
        assert_eq!(people.took(Some(now - chrono::Duration::milliseconds(1_250)), None), "1.2s");
        assert_eq!(people.took(None, None), "");
    }
}
