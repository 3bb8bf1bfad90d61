//! What the integration and end-to-end tests stand on: a real PostgreSQL with a database of its own for each test,
//! API replicas in this process or as processes of their own, people with tokens, and workers on rootless Podman.
//!
//! `./scripts/test` prepares the machine and says in the environment where things are: `TSTR_TEST_DIR`,
//! `TSTR_TEST_USER`, `TSTR_BIN`, `TSTR_PGBOUNCER`. Without them a test fails with that advice; none is skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

pub mod arena;
pub mod balancer;
pub mod bucket;
pub mod checker;
pub mod clock;
pub mod contract;
pub mod ctl;
pub mod db;
pub mod driver;
pub mod events;
pub mod factory;
pub mod forge;
pub mod images;
pub mod invariants;
pub mod leftovers;
pub mod people;
pub mod pgbouncer;
pub mod postgres;
pub mod process;
pub mod registry;
pub mod replica;
pub mod road;
pub mod room;
pub mod runner;
pub mod sightings;
pub mod stack;
pub mod up;
pub mod worker;

pub use contract::Lab;
pub use ctl::Ctl;
pub use db::TestDb;
pub use people::Person;
pub use stack::Stack;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

/// Reads a variable that `./scripts/test` sets.
fn setting(name: &str) -> String {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => panic!("{name} is not set; run the tests by ./scripts/test (or ./scripts/test test FILTER…)"),
    }
}

/// The folder for everything that tests leave on disk; it belongs to the test user.
pub fn test_dir() -> PathBuf {
    PathBuf::from(setting("TSTR_TEST_DIR"))
}

/// The binary under test.
pub fn binary() -> PathBuf {
    PathBuf::from(setting("TSTR_BIN"))
}

/// The user that PostgreSQL, Podman and the binary run as.
pub fn test_user() -> String {
    setting("TSTR_TEST_USER")
}

/// Looks every 20 ms until `look` gives something; fails after `within`, saying what was waited for.
pub async fn eventually<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {within:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
