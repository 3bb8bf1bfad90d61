//! Concurrency: how many runs of a test, or of a named group of tests, may be under way at once, and what becomes of
//! a run for which there is no room.

use serde::{Deserialize, Serialize};

use crate::error::Invalid;
use crate::schedule::{CatchUp, MAX_RUNS};
use crate::testdef::check_name;

/// The highest limit of a group.
pub const MAX_LIMIT: u32 = 1000;
/// The deepest queue of a group.
pub const MAX_DEPTH: u32 = 1000;

/// What becomes of a run while its group has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConcurrencyPolicy {
    /// There is always room.
    Allow,
    /// The run is refused: a request is answered with `concurrency_forbidden`, an instant of the schedule is skipped.
    Forbid,
    /// The run waits for its turn.
    Queue,
    /// The oldest runs are cancelled, and the run takes their place.
    Replace,
}

/// Which run is dropped when more would wait than may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// The one that has waited longest.
    #[default]
    Oldest,
    /// The new one.
    Newest,
}

/// How many runs may be under way at once. Without it, triggered runs are not limited, and of the scheduled runs of a
/// test one at a time runs in each cell while the newest other one waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    /// What becomes of a run while there is no room.
    pub policy: ConcurrencyPolicy,
    /// Tests of the namespace that name the same group share its room, whatever the case of its letters: 1 to 128
    /// letters, digits, `.`, `_`, `-`. Without it every cell of the test has room of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,128}$")))]
    pub group: Option<String>,
    /// How many runs may be under way at once, from 1 to 1000; 1 without it. A group has the limit that was
    /// registered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1000)))]
    pub limit: Option<u32>,
    /// With `queue`: how many triggers or instants may wait, from 0 to 1000; 1 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = 1000)))]
    pub depth: Option<u32>,
    /// With `queue`: what is dropped when more would wait; `oldest` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overflow: Option<Overflow>,
}

/// A concurrency with nothing left open; `allow` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// What becomes of a run while there is no room.
    pub policy: ConcurrencyPolicy,
    /// How many runs may be under way at once.
    pub limit: u16,
    /// How many sets of runs may wait.
    pub depth: u16,
    /// What is dropped when more would wait.
    pub overflow: Overflow,
}

impl Rule {
    /// The rule for scheduled runs of a test that does not say one: one at a time, and the newest other one waits.
    /// Who asks for all missed instants gets all of them, one after the other.
    pub fn of_schedule(catch_up: CatchUp) -> Self {
        let depth = match catch_up {
            CatchUp::None | CatchUp::Last => 1,
            CatchUp::All => MAX_RUNS as u16,
        };
        Self { policy: ConcurrencyPolicy::Queue, limit: 1, depth, overflow: Overflow::Oldest }
    }
}

impl Concurrency {
    /// Returns the rule, `None` where every run is allowed.
    pub fn rule(&self) -> Option<Rule> {
        let small = |given: Option<u32>| given.map_or(1, |given| u16::try_from(given).unwrap_or(u16::MAX));
        (self.policy != ConcurrencyPolicy::Allow).then(|| Rule {
            policy: self.policy,
            limit: small(self.limit),
            depth: small(self.depth),
            overflow: self.overflow.unwrap_or_default(),
        })
    }

    /// Checks every field; reports all faults with their places.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        if let Some(Err(fault)) = self.group.as_deref().map(check_name) {
            invalid.add("/group", fault);
        }
        if let Some(limit) = self.limit.filter(|limit| !(1..=MAX_LIMIT).contains(limit)) {
            invalid.add("/limit", format!("{limit} is not from 1 to {MAX_LIMIT}"));
        }
        if let Some(depth) = self.depth.filter(|depth| *depth > MAX_DEPTH) {
            invalid.add("/depth", format!("{depth} is not from 0 to {MAX_DEPTH}"));
        }
        if self.policy != ConcurrencyPolicy::Queue {
            for (place, given) in [("/depth", self.depth.is_some()), ("/overflow", self.overflow.is_some())] {
                if given {
                    invalid.add(place, "only runs with the policy queue wait for their turn");
                }
            }
        }
        if self.policy == ConcurrencyPolicy::Allow {
            for (place, given) in [("/group", self.group.is_some()), ("/limit", self.limit.is_some())] {
                if given {
                    invalid.add(place, "the policy allow has no limit");
                }
            }
        }
        invalid.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Concurrency {
        serde_json::from_str(json).unwrap()
    }
    fn faults(json: &str) -> Vec<String> {
        match read(json).validate() {
            Ok(()) => Vec::new(),
            Err(invalid) => invalid.errors.into_iter().map(|fault| fault.pointer).collect(),
        }
    }

    #[test]
    fn a_policy_is_enough_and_limit_and_depth_are_one() {
        let rule = read(r#"{"policy": "queue"}"#).rule().unwrap();
        assert_eq!((rule.limit, rule.depth, rule.overflow), (1, 1, Overflow::Oldest));
        assert_eq!(read(r#"{"policy": "allow"}"#).rule(), None);
    }

    #[test]
    fn the_limits_are_exact() {
        for (json, expected) in [
            (r#"{"policy": "queue", "limit": 1, "depth": 0}"#, vec![]),
            (r#"{"policy": "queue", "limit": 1000, "depth": 1000, "group": "a.B-c_9", "overflow": "newest"}"#, vec![]),
            (r#"{"policy": "queue", "limit": 0, "depth": 1001}"#, vec!["/limit", "/depth"]),
            (r#"{"policy": "forbid", "limit": 1001, "group": "a b"}"#, vec!["/group", "/limit"]),
            (r#"{"policy": "queue", "group": ""}"#, vec!["/group"]),
        ] {
            assert_eq!(faults(json), expected, "{json}");
        }
    }

    #[test]
    fn what_a_policy_cannot_use_is_refused() {
        for policy in ["forbid", "replace"] {
            assert_eq!(faults(&format!(r#"{{"policy": "{policy}", "depth": 1}}"#)), ["/depth"]);
            assert_eq!(faults(&format!(r#"{{"policy": "{policy}", "overflow": "oldest"}}"#)), ["/overflow"]);
            assert!(faults(&format!(r#"{{"policy": "{policy}", "limit": 2, "group": "shop"}}"#)).is_empty());
        }
        assert_eq!(faults(r#"{"policy": "allow", "group": "shop", "limit": 2}"#), ["/group", "/limit"]);
        assert!(serde_json::from_str::<Concurrency>(r#"{"policy": "skip"}"#).is_err());
        assert!(serde_json::from_str::<Concurrency>(r#"{"group": "shop"}"#).is_err());
    }

    #[test]
    fn who_asks_for_all_missed_instants_gets_a_queue_for_them() {
        assert_eq!(Rule::of_schedule(CatchUp::Last).depth, 1);
        assert_eq!(Rule::of_schedule(CatchUp::All).depth, 100);
    }
}
