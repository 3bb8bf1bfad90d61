//! Results that were made elsewhere: what is said of them beside their report.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::artifacts::ArtifactPath;
use crate::error::Invalid;
use crate::labels::Labels;
use crate::run::RunResult;
use crate::size::Bytes;

/// The largest report.
pub const MAX_UPLOAD: Bytes = Bytes::mib(64);
/// The most characters of a revision.
pub const MAX_REVISION: usize = 200;
/// So far ahead of the server a client's clock may be; what it says is taken for now.
const AHEAD: TimeDelta = TimeDelta::seconds(60);

/// Results that were made elsewhere, without their report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upload {
    /// The cell of the matrix that was run.
    pub cell: Labels,
    /// Labels that override those of the test and of the cell.
    pub labels: Labels,
    /// What the program that wrote the report came to, pass or fail; pass unless said. A failed case fails it.
    pub result: Option<RunResult>,
    /// The name of the file, by which its format is found; its first bytes tell it otherwise.
    pub name: Option<String>,
    /// When it began; as long before its end as the report says it took, unless said.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended; now unless said.
    pub finished_at: Option<DateTime<Utc>>,
    /// The version of what was tested.
    pub revision: Option<String>,
}

impl Upload {
    /// Checks it at an instant, for a namespace that keeps runs for so many days.
    pub fn validate(&self, now: DateTime<Utc>, runs_days: i32) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        for (place, labels) in [("/cell", &self.cell), ("/labels", &self.labels)] {
            if let Err(part) = labels.validate() {
                invalid.add_all(place, part);
            }
        }
        if self.result.is_some_and(|result| !matches!(result, RunResult::Pass | RunResult::Fail)) {
            invalid.add("/result", "must be pass or fail");
        }
        if let Some(Err(fault)) = self.name.as_deref().map(ArtifactPath::parse) {
            invalid.add("/name", fault);
        }
        if self.revision.as_ref().is_some_and(|revision| {
            !(1..=MAX_REVISION).contains(&revision.chars().count()) || revision.contains(char::is_control)
        }) {
            invalid.add(
                "/revision",
                format!("a revision has 1 to {MAX_REVISION} characters, none of them a control character"),
            );
        }
        let finished_at = self.finished_at.unwrap_or(now);
        if finished_at > now + AHEAD {
            invalid.add("/finished_at", "must not be in the future");
        }
        if self.started_at.is_some_and(|at| at > finished_at) {
            invalid.add("/started_at", "must not be after finished_at");
        }
        let oldest = now - TimeDelta::days(runs_days.into());
        for (place, at) in [("/finished_at", Some(finished_at)), ("/started_at", self.started_at)] {
            if at.is_some_and(|at| at < oldest) {
                invalid.add(place, format!("the namespace keeps runs for {runs_days} days (runs_days)"));
            }
        }
        invalid.into_result()
    }

    /// Returns when it ended.
    pub fn ended(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.finished_at.unwrap_or(now).min(now)
    }

    /// Returns when it began, as far as that is known before the report was read.
    pub fn began(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let ended = self.ended(now);
        self.started_at.map_or(ended, |at| at.min(ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_place() {
        let now: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().unwrap();
        let faults = |upload: Upload| -> Vec<String> {
            let checked = upload.validate(now, 30);
            checked.err().into_iter().flat_map(|invalid| invalid.errors).map(|fault| fault.pointer).collect()
        };
        let at = |minutes: i64| Some(now + TimeDelta::minutes(minutes));
        assert!(faults(Upload::default()).is_empty());
        assert!(faults(Upload { finished_at: at(1), ..Upload::default() }).is_empty(), "clocks differ");
        assert_eq!(faults(Upload { finished_at: at(2), ..Upload::default() }), ["/finished_at"]);
        assert_eq!(faults(Upload { started_at: at(1), finished_at: at(0), ..Upload::default() }), ["/started_at"]);
        assert_eq!(faults(Upload { started_at: at(-31 * 1440), ..Upload::default() }), ["/started_at"]);
        assert_eq!(faults(Upload { finished_at: at(-31 * 1440), ..Upload::default() }), ["/finished_at"]);
        assert_eq!(faults(Upload { result: Some(RunResult::TimedOut), ..Upload::default() }), ["/result"]);
        for bad in ["", "a\nb", &"x".repeat(MAX_REVISION + 1)] {
            assert_eq!(faults(Upload { revision: Some(bad.to_owned()), ..Upload::default() }), ["/revision"]);
        }
        assert_eq!(faults(Upload { name: Some("../x.xml".into()), ..Upload::default() }), ["/name"]);
        let labels: Labels = [("bad key", "x")].into_iter().collect();
        assert_eq!(faults(Upload { cell: labels, ..Upload::default() }), ["/cell/bad key"]);
    }

    #[test]
    fn a_clock_that_is_ahead_makes_no_run_of_the_future() {
        let now: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().unwrap();
        let ahead = Some(now + TimeDelta::seconds(30));
        let upload = Upload { started_at: ahead, finished_at: ahead, ..Upload::default() };
        assert_eq!((upload.began(now), upload.ended(now)), (now, now));
    }
}
