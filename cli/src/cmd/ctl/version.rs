//! `tstr ctl test versions`, and the difference of two of them.

use serde_json::Value;
use tstr_shared::analysis::diff::{self, ValueChange};
use tstr_shared::testdef::TestVersion;

use super::{Ctl, Much};
use crate::client::Call;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Cell, Column, Tint, typed};

/// Lists the versions of a test.
pub async fn list(ctl: &Ctl, test: &str, much: &Much) -> Outcome<Exit> {
    ctl.list::<TestVersion>(&Call::get(&ctl.in_ns(&["tests", test, "versions"])), much).await
}

/// Shows what changed between two versions of a test, the latest unless the second is named; says by the exit code whether
/// anything did.
pub async fn compare(ctl: &Ctl, test: &str, before: i32, after: Option<i32>) -> Outcome<Exit> {
    let after = match after {
        Some(version) => version,
        None => {
            let test = ctl.client.send(&Call::get(&ctl.in_ns(&["tests", test]))).await?;
            let version = test.get("version").and_then(Value::as_i64).and_then(|version| i32::try_from(version).ok());
            version.ok_or_else(|| Failure::new(Exit::Error, "the server names no version of the test"))?
        }
    };
    let (before, after) = (document(ctl, test, before).await?, document(ctl, test, after).await?);
    let changes = diff::configs(&before, &after);
    let whole = serde_json::to_value(&changes).unwrap_or_default();
    if !ctl.out.documents(std::slice::from_ref(&whole), true)? {
        rows(ctl, &changes)?;
    }
    Ok(if changes.is_empty() { Exit::Done } else { Exit::Differs })
}

/// Writes changed values as a table.
pub fn rows(ctl: &Ctl, changes: &[ValueChange]) -> Outcome {
    let side = |value: &Option<Value>, tint| {
        value.as_ref().map_or(Cell::default(), |value| Cell::new(value.to_string(), tint))
    };
    let rows = changes.iter().map(|change| {
        vec![Cell::plain(&change.pointer), side(&change.before, Tint::Bad), side(&change.after, Tint::Good)]
    });
    ctl.out.rows(&[Column::new("FIELD"), Column::new("BEFORE"), Column::new("AFTER")], rows.collect())
}

async fn document(ctl: &Ctl, test: &str, version: i32) -> Outcome<Value> {
    let call = Call::get(&ctl.in_ns(&["tests", test, "versions", &version.to_string()]));
    let answer = ctl.client.send(&call).await?;
    typed::<TestVersion>(&answer)?;
    Ok(answer.get("spec").cloned().unwrap_or_default())
}
