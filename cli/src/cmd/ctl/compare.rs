//! `tstr ctl run compare`: how two runs differ.

use serde_json::Value;
use tstr_shared::analysis::diff::{Hunk, LineChange, ValueChange};
use tstr_shared::compare::{
    ArtifactChange, CaseEnd, CasesComparison, ComparedCase, Comparison, DifferingCases, FileContent, Numbers,
};
use tstr_shared::ids::RunId;
use tstr_shared::output::Metric;

use super::results::full_name;
use super::said::{series, shown};
use super::{Ctl, show as cells};
use crate::client::Call;
use crate::exit::{Exit, Outcome};
use crate::output::plain::one_line;
use crate::output::{Cell, Column, Tint, typed};

const COLUMNS: &[Column] =
    &[Column::new("WHAT"), Column::new("BEFORE"), Column::new("AFTER"), Column::new("DELTA"), Column::new("RATIO")];

/// Shows how a run differs from another one.
pub async fn run(ctl: &Ctl, before: RunId, after: RunId) -> Outcome<Exit> {
    let call = Call::get(&["runs", &before.to_string(), "compare", &after.to_string()]);
    let answer = ctl.client.send(&call).await?;
    if ctl.out.documents(std::slice::from_ref(&answer), true)? {
        return Ok(Exit::Done);
    }
    show(ctl, &typed(&answer)?)?;
    Ok(Exit::Done)
}

/// Shows a comparison to people.
pub fn show(ctl: &Ctl, found: &Comparison) -> Outcome {
    ctl.out.rows(COLUMNS, rows(found))?;
    if let Some(log) = &found.log {
        let text: String = log.diff.hunks.iter().flat_map(lines).collect();
        ctl.out.text(&text)?;
        if log.before_skipped_bytes + log.after_skipped_bytes > 0 {
            ctl.out.hint("of long logs only the last 2 MiB were compared");
        }
        let more = log.diff.hidden;
        if more > 0 {
            ctl.out.hint(&format!("{more} more lines of the logs differ or stand beside what does"));
        }
    }
    found.notes.iter().for_each(|note| ctl.out.hint(note));
    for (word, cases) in found.cases.iter().flat_map(kinds) {
        if cases.more > 0 {
            ctl.out.hint(&format!("{} more cases: {word}", cases.more));
        }
    }
    Ok(())
}

fn rows(found: &Comparison) -> Vec<Vec<Cell>> {
    let (old, new) = (&found.before, &found.after);
    let mut rows = Vec::new();
    if old.result != new.result {
        rows.push(row("result", cells::result_cell(old.result), cells::result_cell(new.result), None));
    }
    for (part, changes) in
        [("", &found.config), ("env", &found.env), ("labels", &found.labels), ("", &found.surroundings)]
    {
        rows.extend(changes.iter().map(|change| changed(part, change, None)));
    }
    for change in &found.durations {
        if change.numbers.before != change.numbers.after {
            rows.push(measured(&format!("{} ms", change.name), &change.numbers));
        }
    }
    for change in &found.data {
        let numbers = Numbers { delta: change.delta, ratio: change.ratio, ..Numbers::default() };
        rows.push(changed("data", &change.value, Some(&numbers)));
    }
    for change in found.metrics.iter().filter(|change| change.numbers.before != change.numbers.after) {
        let metric = Metric {
            measurement: change.measurement.clone(),
            tags: change.tags.clone(),
            field: change.field.clone(),
            value: 0.0,
        };
        rows.push(measured(&series(&metric), &change.numbers));
    }
    rows.extend(found.artifacts.iter().map(file));
    for (word, cases) in found.cases.iter().flat_map(kinds) {
        rows.extend(cases.items.iter().map(|one| case(word, one)));
    }
    rows
}

/// Returns the cases of each kind that differ, with what is said of them.
fn kinds(cases: &CasesComparison) -> [(&'static str, &DifferingCases); 5] {
    [
        ("new failure", &cases.new),
        ("fixed", &cases.fixed),
        ("added", &cases.added),
        ("removed", &cases.removed),
        ("duration", &cases.durations),
    ]
}

fn case(word: &str, case: &ComparedCase) -> Vec<Cell> {
    let what = format!("case {word}: {}", full_name(&case.key));
    if word == "duration" {
        let ms = |ms: Option<u64>| ms.map(|ms| ms as f64);
        return measured(&format!("{what} ms"), &Numbers::of(ms(case.before_ms), ms(case.after_ms)));
    }
    let side = |end: Option<CaseEnd>| match end {
        Some(CaseEnd::Pass) => Cell::new("pass", Tint::Good),
        Some(CaseEnd::Fail) => Cell::new("fail", Tint::Bad),
        Some(CaseEnd::Skip) => Cell::new("skip", Tint::Dim),
        None => Cell::default(),
    };
    row(&what, side(case.before), side(case.after), None)
}

fn row(what: &str, before: Cell, after: Cell, numbers: Option<&Numbers>) -> Vec<Cell> {
    let number = |of: fn(&Numbers) -> Option<f64>| Cell::plain(numbers.and_then(of).map(words).unwrap_or_default());
    vec![Cell::plain(what), before, after, number(|numbers| numbers.delta), number(|numbers| numbers.ratio)]
}

fn changed(part: &str, change: &ValueChange, numbers: Option<&Numbers>) -> Vec<Cell> {
    let side =
        |value: &Option<Value>, tint| value.as_ref().map_or(Cell::default(), |value| Cell::new(shown(value), tint));
    let what = format!("{part}{}", change.pointer);
    row(what.trim_start_matches('/'), side(&change.before, Tint::Bad), side(&change.after, Tint::Good), numbers)
}

fn measured(what: &str, numbers: &Numbers) -> Vec<Cell> {
    let side = |value: Option<f64>| Cell::plain(value.map(words).unwrap_or_default());
    row(what, side(numbers.before), side(numbers.after), Some(numbers))
}

fn file(change: &ArtifactChange) -> Vec<Cell> {
    let side = |content: Option<FileContent>| {
        let words = content.map(|content| format!("{} bytes, {:.12}", content.bytes, content.sha256.to_string()));
        Cell::plain(words.unwrap_or_default())
    };
    row(&format!("artifact {}", change.path), side(change.before), side(change.after), None)
}

/// Returns a number with at most four digits behind the point.
fn words(number: f64) -> String {
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Returns the lines of a hunk as `diff -u` has them.
fn lines(hunk: &Hunk) -> Vec<String> {
    let head = format!("@@ -{} +{} @@\n", hunk.before_line, hunk.after_line);
    let lines = hunk.lines.iter().map(|line| {
        let sign = match line.change {
            LineChange::Same => ' ',
            LineChange::Removed => '-',
            LineChange::Added => '+',
        };
        format!("{sign}{}\n", one_line(&line.text))
    });
    std::iter::once(head).chain(lines).collect()
}
