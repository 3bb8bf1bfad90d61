//! Outages: times during which a runner is known to be broken.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::RunnerId;

/// A time during which the control test of a namespace failed on a runner. What other tests did there meanwhile says nothing
/// of whether they are flaky or broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Outage {
    /// The runner.
    pub runner_id: RunnerId,
    /// Its name.
    pub runner_name: String,
    /// When the first run of the control test that failed was taken by the runner.
    pub since: DateTime<Utc>,
    /// When the control test failed last; absent once the outage has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<DateTime<Utc>>,
    /// When the control test passed again, or failed for the last time before a day without a run of it; absent as long as
    /// the outage goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}
