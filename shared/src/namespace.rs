//! Namespaces: who a thing belongs to, and the patterns by which tokens see them.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::Invalid;
use crate::selector::Pattern;

/// The name of a namespace: lowercase letters, digits and inner hyphens, 1 to 63 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Namespace(
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")))] String,
);

impl Namespace {
    /// Reads a name; says what is wrong with it otherwise.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = !text.is_empty()
            && text.len() <= 63
            && text.chars().all(|c| inner(c) || c == '-')
            && text.starts_with(inner)
            && text.ends_with(inner);
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err("a namespace has 1 to 63 lowercase letters, digits and inner hyphens".to_owned())
        }
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Namespace {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The namespaces that a token sees: anchored regular expressions, at most 16.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespacePatterns(Vec<Pattern>);

impl NamespacePatterns {
    /// The most patterns that one token may carry.
    pub const MAX: usize = 16;

    /// Reads the patterns; the error names the index and the fault.
    pub fn parse<S: AsRef<str>>(sources: &[S]) -> Result<Self, (usize, String)> {
        if sources.len() > Self::MAX {
            return Err((Self::MAX, format!("at most {} namespace selectors", Self::MAX)));
        }
        let parsed = sources.iter().enumerate().map(|(i, s)| Pattern::parse(s.as_ref()).map_err(|e| (i, e)));
        parsed.collect::<Result<_, _>>().map(Self)
    }

    /// Tells whether any pattern matches the whole name.
    pub fn matches(&self, namespace: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(namespace))
    }

    /// Returns the patterns as they were written.
    pub fn sources(&self) -> Vec<String> {
        self.0.iter().map(|pattern| pattern.source().to_owned()).collect()
    }

    /// Tells whether this set can be shown to see nothing that `other` does not see.
    ///
    /// Regular expressions are compared by their text, except that `.*` contains everything and a plain name is
    /// contained where it matches; what cannot be shown counts as wider.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.iter().all(|mine| {
            other.0.iter().any(|theirs| {
                theirs.source() == ".*"
                    || theirs.source() == mine.source()
                    || (Namespace::parse(mine.source()).is_ok() && theirs.matches(mine.source()))
            })
        })
    }
}

/// A namespace with its quotas, how long it keeps things, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NamespaceInfo {
    /// The name.
    pub name: Namespace,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// The quotas.
    pub quotas: Quotas,
    /// How long its runs and their logs are kept.
    #[serde(default)]
    pub retention: Retention,
    /// How many tests it has.
    pub tests: i64,
    /// What it has stored.
    #[serde(default)]
    pub usage: Usage,
}

/// What may be changed of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamespaceSettings {
    /// The quotas.
    pub quotas: Quotas,
    /// How long its runs and their logs are kept.
    pub retention: Retention,
}

impl NamespaceSettings {
    /// Checks everything; each fault has its place in a request.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        for (place, part) in [("/quotas", self.quotas.validate()), ("/retention", self.retention.validate())] {
            if let Err(part) = part {
                invalid.add_all(place, part);
            }
        }
        invalid.into_result()
    }
}

/// What a namespace has stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Usage {
    /// How many runs are stored, those that have not finished included.
    pub runs: u64,
    /// Bytes of the logs of attempts that have ended, of both streams.
    pub log_bytes: u64,
    /// Bytes of the artifacts of attempts that have ended; a content that several files have counts with each of them.
    #[serde(default)]
    pub artifact_bytes: u64,
}

/// How long a namespace keeps its runs, in days after the day on which a run ended. Runs that are pinned stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Days after which a finished run is removed, with all that belongs to it.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 3650)))]
    pub runs_days: i32,
    /// Days after which the log and the artifacts of a finished run are removed; at most `runs_days`.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 3650)))]
    pub logs_days: i32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { runs_days: 90, logs_days: 30 }
    }
}

impl Retention {
    /// The most days.
    pub const MAX_DAYS: i32 = 3650;

    /// Checks that the days are within their bounds, and that no log outlives its run.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        for (name, days) in [("runs_days", self.runs_days), ("logs_days", self.logs_days)] {
            if !(1..=Self::MAX_DAYS).contains(&days) {
                invalid.add(format!("/{name}"), "things are kept for 1 to 3650 days");
            }
        }
        if invalid.errors.is_empty() && self.logs_days > self.runs_days {
            invalid.add("/logs_days", format!("a log is not kept longer than its run: {} days", self.runs_days));
        }
        invalid.into_result()
    }
}

/// What a namespace may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// The most runs that wait at once; null for no limit.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1_000_000_000)))]
    pub max_queued: Option<i32>,
    /// The most runs that runners hold at once; null for no limit.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1_000_000_000)))]
    pub max_running: Option<i32>,
    /// The most bytes of stored logs and artifacts with which new runs are made; null for no limit.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 9_007_199_254_740_991_i64)))]
    pub max_bytes: Option<i64>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { max_queued: Some(10_000), max_running: Some(50), max_bytes: None }
    }
}

impl Quotas {
    /// The most bytes that a quota can be: what every JSON reader takes as a whole number.
    pub const MAX_BYTES: i64 = (1 << 53) - 1;

    /// Checks that the quotas are within their bounds.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        for (name, value) in [("max_queued", self.max_queued), ("max_running", self.max_running)] {
            if value.is_some_and(|n| !(0..=1_000_000_000).contains(&n)) {
                invalid.add(format!("/{name}"), "a quota is from 0 to 1000000000, or null");
            }
        }
        if self.max_bytes.is_some_and(|n| !(0..=Self::MAX_BYTES).contains(&n)) {
            invalid.add("/max_bytes", format!("a quota of bytes is from 0 to {}, or null", Self::MAX_BYTES));
        }
        invalid.into_result()
    }
}

/// A request for a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewNamespace {
    /// The name.
    pub name: Namespace,
    /// The quotas.
    #[serde(default)]
    pub quotas: Quotas,
    /// How long its runs and their logs are kept.
    #[serde(default)]
    pub retention: Retention,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule() {
        for good in ["a", "default", "a-b", "0", &"x".repeat(63)] {
            assert!(Namespace::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a b", "ä", &"x".repeat(64)] {
            assert!(Namespace::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_log_outlives_its_run_and_all_is_within_bounds() {
        let faults = |runs_days, logs_days| match (Retention { runs_days, logs_days }).validate() {
            Ok(()) => Vec::new(),
            Err(invalid) => invalid.errors.into_iter().map(|fault| fault.pointer).collect(),
        };
        for (runs, logs) in [(1, 1), (90, 30), (3650, 3650)] {
            assert!(faults(runs, logs).is_empty(), "{runs} {logs}");
        }
        assert_eq!(faults(0, 3651), ["/runs_days", "/logs_days"]);
        assert_eq!(faults(7, 8), ["/logs_days"]);
        assert!(Quotas { max_bytes: Some(Quotas::MAX_BYTES + 1), ..Quotas::default() }.validate().is_err());
    }

    #[test]
    fn patterns_are_anchored_at_both_ends() {
        let patterns = NamespacePatterns::parse(&["prod", "team-.*"]).unwrap();
        assert!(patterns.matches("prod") && patterns.matches("team-a"));
        assert!(!patterns.matches("prod-evil") && !patterns.matches("my-prod") && !patterns.matches("PROD"));
    }

    #[test]
    fn an_alternative_cannot_escape_the_anchors() {
        let patterns = NamespacePatterns::parse(&["a|prod"]).unwrap();
        assert!(!patterns.matches("prod-evil") && !patterns.matches("ab"));
    }

    #[test]
    fn containment_is_only_granted_where_it_is_certain() {
        let parse = |s: &[&str]| NamespacePatterns::parse(s).unwrap();
        assert!(parse(&["prod"]).is_within(&parse(&["prod|test"])));
        assert!(parse(&["team-.*"]).is_within(&parse(&[".*"])));
        assert!(parse(&["team-.*"]).is_within(&parse(&["team-.*"])));
        assert!(!parse(&["team-[ab]"]).is_within(&parse(&["team-.*"])));
        assert!(!parse(&[".*"]).is_within(&parse(&["prod"])));
    }
}
