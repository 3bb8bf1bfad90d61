//! Runners: places where runs execute, and what is known of them.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::RunnerId;
use crate::run::words;
use crate::selector::SelectorSources;

/// What a worker says of itself when it registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRunner {
    /// Drawn once by the worker and kept in its data directory.
    pub id: RunnerId,
    /// Unique among live runners: 1 to 128 letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// Which labels it takes.
    pub selectors: SelectorSources,
    /// How many runs it executes at once, from 1 to 1024.
    pub slots: u16,
    /// Versions and what its engine can enforce.
    pub about: RunnerAbout,
}

/// What a runner is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct RunnerAbout {
    /// The version of tstr.
    pub version: String,
    /// The engine and its version, for instance `podman 4.3.1`.
    pub engine: String,
    /// The operating system and architecture.
    pub platform: String,
    /// Limits that the engine enforces, of `memory`, `cpus` and `pids`.
    pub limits_enforced: Vec<String>,
    /// Why the other limits are not enforced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits_note: Option<String>,
}

/// The limits that a runner may be able to enforce.
pub const LIMITS: [&str; 3] = ["memory", "cpus", "pids"];

/// Whether a runner can be given runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunnerState {
    /// It was heard of lately.
    Live,
    /// It finishes what it has and takes nothing new.
    Draining,
    /// It was not heard of lately.
    Offline,
}

words!(
    /// Why a runner that is live takes nothing new until that has passed.
    Unfit {
        /// The disk that it keeps logs on has too little room.
        DiskLow = "disk_low",
        /// Its machine broke several runs in a row; one is tried now and then.
        Breaker = "breaker",
    }
);

/// A registered runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Runner {
    /// Names the runner.
    pub id: RunnerId,
    /// Its name for people.
    pub name: String,
    /// Whether it can be given runs.
    pub state: RunnerState,
    /// Somebody asked it to drain.
    pub draining: bool,
    /// Why it takes nothing new, by its last heartbeat; absent while it is fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfit: Option<Unfit>,
    /// The namespaces whose runs it takes: the selectors of its token.
    pub namespaces: Vec<String>,
    /// Labels that it takes.
    pub accept: std::collections::BTreeMap<String, String>,
    /// Labels that it refuses.
    pub reject: std::collections::BTreeMap<String, String>,
    /// How many runs it executes at once.
    pub slots: u16,
    /// How many runs it holds now.
    pub slots_used: u16,
    /// Versions and what its engine can enforce.
    pub about: RunnerAbout,
    /// When it registered last.
    pub registered_at: DateTime<Utc>,
    /// When it was last heard of.
    pub last_seen_at: DateTime<Utc>,
}

/// After how many seconds without a word a runner counts as offline, whatever the lease times.
pub const OFFLINE_AFTER_SECS: i64 = 40;

impl SelectorSources {
    /// Reads `key=pattern` pairs as the command line has them.
    pub fn from_pairs(accept: &[String], reject: &[String]) -> Result<Self, String> {
        let read = |pairs: &[String]| {
            pairs
                .iter()
                .map(|pair| match pair.split_once('=') {
                    Some((key, pattern)) => Ok((key.to_owned(), pattern.to_owned())),
                    None => Err(format!("'{pair}' is not of the form key=pattern")),
                })
                .collect::<Result<_, _>>()
        };
        Ok(Self { accept: read(accept)?, reject: read(reject)? })
    }
}
