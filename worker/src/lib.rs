//! The worker of tstr: the program behind a runner. It claims runs and executes them in rootless Podman.
//!
//! [`start`] brings one up. From the outside in:
//!
//! | module | what it is about |
//! |---|---|
//! | [`config`] | flags and variables |
//! | [`control`] | what a worker may ask of the API, and the gRPC client that asks it |
//! | [`engine`] | what a run needs of a container engine, and Podman behind it |
//! | [`podman_home`] | a Podman of one's own: storage, configuration and service in a data directory |
//! | `agent` | register, heartbeat, claim while a slot is free, drain |
//! | `lease` | how long each lease may be trusted |
//! | `guard` | the process that ends a container when the worker cannot |
//! | `health` | whether this machine is fit to take runs: its disk, and how the last runs went |
//! | `run` | one run from the claim to its result: image, container, log, watch, report |
//! | `sweep` | after a crash: remove what was left behind, give back its leases |
//!
//! A worker knows neither the database nor the server's code.

mod agent;
mod clock;
pub mod config;
pub mod control;
pub mod engine;
pub mod guard;
mod health;
mod identity;
mod lease;
pub mod podman_home;
mod process;
mod run;
#[cfg(test)]
mod simulation;
mod start;
mod stops;
mod sweep;
mod verdict;

pub use config::{Config, LimitsMode};
#[cfg(any(test, feature = "test-support"))]
pub use start::start_with_engine;
pub use start::{Running, start};
pub use stops::Stops;
