//! `tstr ctl test changed`, `failures` and `analysis`: what speaks for a cause.

use tstr_shared::analysis::explain_labels::{Claim, LabelFinding};
use tstr_shared::causes::{FailureGroup, FailureGroups, TestAnalysis, WhatChanged};
use tstr_shared::report::CaseId;

use super::results::full_name;
use super::{Ctl, compare, parse};
use crate::client::Call;
use crate::exit::{Exit, Outcome};
use crate::output::{Cell, Column, Tint, typed};

const GROUPS: &[Column] = &[
    Column::new("LAST SEEN"),
    Column::new("FIRST SEEN"),
    Column::new("RUNS"),
    Column::new("CASES"),
    Column::new("CELLS"),
    Column::new("MESSAGE"),
    Column::wide("CASE"),
    Column::wide("FINGERPRINT"),
];

const LABELS: &[Column] = &[
    Column::new("LABEL"),
    Column::new("CLAIM"),
    Column::new("FAILED WITH"),
    Column::new("OF"),
    Column::new("FAILED WITHOUT"),
    Column::new("OF"),
];

const DURATIONS: &[Column] = &[Column::new("CELL"), Column::new("PASSED"), Column::new("DURATION")];

/// Shows what changed between the last pass and the first failure after it.
pub async fn changed(ctl: &Ctl, test: &str, cell: &[(String, String)], case: Option<CaseId>) -> Outcome<Exit> {
    let call = Call::get(&ctl.in_ns(&["tests", test, "changed"]))
        .with_each("cell", cell.iter().map(parse::joined))
        .with_some("case", case);
    let answer = ctl.client.send(&call).await?;
    if ctl.out.documents(std::slice::from_ref(&answer), true)? {
        return Ok(Exit::Done);
    }
    let found: WhatChanged = typed(&answer)?;
    let look = ctl.out.look();
    let (pass, fail) = (found.last_pass, found.first_fail);
    let cell = if found.cell.is_empty() { String::new() } else { format!("{}: ", found.cell.text()) };
    ctl.out.hint(&format!(
        "{cell}{} passed {}, {} failed {}",
        pass.run_id,
        look.instant(pass.at),
        fail.run_id,
        look.instant(fail.at)
    ));
    ctl.out.hint(&found.sentence);
    compare::show(ctl, &found.comparison)?;
    Ok(Exit::Done)
}

/// Shows the failures of a test that say the same.
pub async fn failures(ctl: &Ctl, test: &str, days: u32) -> Outcome<Exit> {
    let answer = ctl.client.send(&Call::get(&ctl.in_ns(&["tests", test, "failures"])).with("days", days)).await?;
    if ctl.out.documents(std::slice::from_ref(&answer), true)? {
        return Ok(Exit::Done);
    }
    let found: FailureGroups = typed(&answer)?;
    ctl.out.rows(GROUPS, found.groups.iter().map(|group| row(ctl, group)).collect())?;
    if found.more_failures {
        ctl.out.hint(&format!("the newest {} failures were looked at; there are more", found.failures));
    }
    if found.more_groups > 0 {
        ctl.out.hint(&format!("{} more groups are not shown", found.more_groups));
    }
    Ok(Exit::Done)
}

fn row(ctl: &Ctl, group: &FailureGroup) -> Vec<Cell> {
    let look = ctl.out.look();
    let cells: Vec<String> = group.cells.iter().map(|cell| cell.text()).filter(|text| !text.is_empty()).collect();
    let case = group.cases.first().map(|case| full_name(&case.key)).unwrap_or_default();
    vec![
        Cell::plain(look.age(group.last_seen.at)),
        Cell::plain(look.age(group.first_seen.at)),
        Cell::plain(group.runs.to_string()),
        Cell::plain(group.case_count.to_string()),
        Cell::plain(cells.join(" ")),
        Cell::new(group.message.lines().next().unwrap_or_default(), Tint::Bad),
        Cell::plain(case),
        Cell::plain(group.fingerprint.to_string()),
    ]
}

/// Shows which labels carry the failures of a test, and since when it takes longer.
pub async fn analysis(ctl: &Ctl, test: &str, days: u32) -> Outcome<Exit> {
    let answer = ctl.client.send(&Call::get(&ctl.in_ns(&["tests", test, "analysis"])).with("days", days)).await?;
    if ctl.out.documents(std::slice::from_ref(&answer), true)? {
        return Ok(Exit::Done);
    }
    let found: TestAnalysis = typed(&answer)?;
    let report = &found.labels.report;
    ctl.out.hint(&found.labels.sentence);
    if !report.values.is_empty() {
        ctl.out.rows(LABELS, report.pairs.iter().chain(&report.values).map(label).collect())?;
    }
    let duration = |one: &tstr_shared::causes::CellDurations| {
        let tint = match one.changes.last() {
            Some(last) if last.change.is_regression() => Tint::Bad,
            Some(_) => Tint::Good,
            None => Tint::Dim,
        };
        let cell = one.cell.text();
        vec![Cell::plain(cell), Cell::plain(one.runs.to_string()), Cell::new(&one.sentence, tint)]
    };
    ctl.out.rows(DURATIONS, found.durations.iter().map(duration).collect())?;
    Ok(Exit::Done)
}

fn label(finding: &LabelFinding) -> Vec<Cell> {
    let words: Vec<String> = finding.labels.iter().map(|label| format!("{}={}", label.key, label.value)).collect();
    let tint = match finding.claim {
        Claim::Carries => Tint::Bad,
        Claim::Spares => Tint::Good,
        Claim::Unclear | Claim::TooFew => Tint::Dim,
    };
    let (table, number) = (&finding.table, |count: u64| Cell::plain(count.to_string()));
    vec![
        Cell::plain(words.join(" ")),
        Cell::new(finding.claim.word(), tint),
        number(table.failed_with),
        number(table.with()),
        number(table.failed_without),
        number(table.without()),
    ]
}
