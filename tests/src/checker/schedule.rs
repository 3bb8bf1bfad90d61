//! I10: every instant of a schedule made exactly the cells of its matrix, once, and no other instant made anything.
//!
//! The instants come from the caller, who has them from an oracle; the product of the matrix is taken here.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Violation;

/// A cell, as label and value.
pub type Cell = BTreeMap<String, String>;

/// What a test with a schedule is to have made.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The test's name.
    pub test: String,
    /// Its cells; one without labels when it has no matrix.
    pub cells: BTreeSet<Cell>,
    /// The instants that were to make runs.
    pub instants: BTreeSet<DateTime<Utc>>,
}

/// Multiplies axes out.
pub fn product(axes: &[(&str, &[&str])]) -> BTreeSet<Cell> {
    let mut cells = vec![Cell::new()];
    for (key, values) in axes {
        cells = cells
            .iter()
            .flat_map(|cell| values.iter().map(move |value| (cell, value)))
            .map(|(cell, value)| cell.iter().map(|(k, v)| (k.clone(), v.clone())).chain([pair(key, value)]).collect())
            .collect();
    }
    cells.into_iter().collect()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

pub(super) async fn violations(conn: &mut PgConnection, expected: &[Expected]) -> Vec<Violation> {
    let rows: Vec<(String, DateTime<Utc>, Uuid, Value)> = sqlx::query_as(
        "SELECT t.name, r.scheduled_at, r.id, coalesce(c.body::jsonb->'cell', '{}')
         FROM run r JOIN test t ON t.id = r.test_id JOIN config c ON c.id = r.config_id
         WHERE r.trigger = 'schedule'",
    )
    .fetch_all(&mut *conn)
    .await
    .expect("read the scheduled runs");
    let mut made: BTreeMap<(String, DateTime<Utc>), BTreeMap<Cell, Vec<Uuid>>> = BTreeMap::new();
    for (test, at, run, cell) in rows {
        let cell: Cell = serde_json::from_value(cell).expect("a cell is labels");
        made.entry((test, at)).or_default().entry(cell).or_default().push(run);
    }
    let mut found = Vec::new();
    let nothing = BTreeMap::new();
    for one in expected {
        for at in &one.instants {
            let cells = made.get(&(one.test.clone(), *at)).unwrap_or(&nothing);
            let missing: Vec<&Cell> = one.cells.iter().filter(|cell| !cells.contains_key(*cell)).collect();
            let other: Vec<&Cell> = cells.keys().filter(|cell| !one.cells.contains(*cell)).collect();
            let twice: Vec<_> = cells.iter().filter(|(_, runs)| runs.len() > 1).collect();
            if !(missing.is_empty() && other.is_empty() && twice.is_empty()) {
                let row = format!("{} at {at}: missing {missing:?}, not of it {other:?}, twice {twice:?}", one.test);
                found.push(Violation::new("I10", "an instant makes its cells once, all or none", vec![row]));
            }
        }
    }
    for ((test, at), cells) in &made {
        let is_due = expected.iter().any(|one| one.test == *test && one.instants.contains(at));
        if !is_due {
            let row = format!("{test} at {at}: {:?}", cells.values().flatten().collect::<Vec<_>>());
            found.push(Violation::new("I10", "nothing is made at an instant that is none", vec![row]));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_has_every_combination_once() {
        assert_eq!(product(&[]).len(), 1);
        assert_eq!(product(&[("a", &["1", "2"]), ("b", &["x", "y", "z"])]).len(), 6);
        assert_eq!(product(&[("a", &[])]).len(), 0);
    }
}
