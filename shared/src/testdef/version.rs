//! What a test was before: every change of its document is kept for a while.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::NewTestDef;

/// How many versions of a test are kept; the oldest go first.
pub const MAX_VERSIONS: u16 = 100;

/// A test as it was from one change to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestVersion {
    /// Counts the changes of the test, as its `version` does. Versions that are not kept any more are missing.
    pub version: i32,
    /// When it became so.
    pub changed_at: DateTime<Utc>,
    /// Who made it so: `token:<id>`; absent when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// The test as it was. Lists leave this out.
    #[cfg_attr(feature = "schema", schemars(with = "Option<TestSpec>"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<NewTestDef>,
}

/// A test as it was registered.
// The same as `NewTestDef`, as an answer: what is sent keeps its name in the description of the API.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "it stands for the schema alone")]
struct TestSpec {
    #[serde(flatten)]
    spec: NewTestDef,
}
