//! The rows that take longer, or whose faults are rarer: `just faults-all`.

mod database;
mod network;
mod pressure;
mod races;
