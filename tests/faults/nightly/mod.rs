//! The rows that take longer, or whose faults are rarer: `just faults-all`.

mod database;
mod network;
mod outage;
mod races;
