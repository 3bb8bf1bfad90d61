//! The rows that take longer, or whose faults are rarer: `just faults-all`.

mod clocks;
mod database;
mod due;
mod engine;
mod flood;
mod hostile;
mod images;
mod network;
mod outage;
mod pressure;
mod races;
mod silence;
mod standby;
mod storage;
mod wild;
mod workers;
