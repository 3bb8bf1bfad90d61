//! The words of tstr: types and rules that every component shares.
//!
//! Everything here is pure: no clock, no randomness, no input or output. A value of one of these types is valid
//! because it exists; what can only be judged as a whole is judged by a `validate` that names every fault at once.
//!
//! # Glossary
//!
//! | word | meaning |
//! |---|---|
//! | **test** | a container image plus a configuration; it passes when the container exits 0 ([`testdef::TestDef`]) |
//! | **run** | one requested execution of one cell of a test ([`run::Run`]) |
//! | **attempt** | one lease of a run; attempts are numbered 1, 2, … ([`run::Attempt`]) |
//! | **matrix**, **cell** | the label combinations that a test is fanned out over; one combination ([`matrix::Matrix`]) |
//! | **runner** | a registered place where runs execute; the program behind it is called the worker ([`runner::Runner`]) |
//! | **lease** | the right of one runner to execute one run, for a limited time ([`lease`]) |
//! | **fence** | what proves that a write comes from the holder of the lease ([`lease::Fence`]) |
//! | **namespace** | who a thing belongs to; tokens see namespaces ([`namespace::Namespace`]) |
//! | **label** | a key and a value that decide placement ([`labels::Labels`]) |
//! | **annotation** | a key and a value that only describe |
//! | **selector** | what a runner accepts or rejects: label key and anchored regular expression ([`selector::Selectors`]) |
//! | **gate** | what a run passes before it may be claimed: room in its concurrency group and in its matrix ([`concurrency`]) |
//! | **pin** | what makes retention leave a run alone; `keep` sets it, `unkeep` takes it away ([`run::Kept`]) |
//! | **artifact** | a file that an attempt leaves behind ([`artifacts::Artifact`]); its content is a **blob** |
//! | **ledger** | what became of every instant of a schedule ([`ledger::LedgerEntry`]) |
//! | **report**, **case** | what a test framework wrote about its tests; one of those tests ([`report`]) |
//! | **summary** | how the runs of a namespace went, from sums by the hour and the day that are kept up to date ([`summary`]) |
//! | **session** | the right of a token, kept by a browser for some hours; a **code** opens one, once ([`session`]) |
//! | **result data** | values that a test hands over beside its result ([`output`]) |
//! | **placement class** | the interned pair of namespace and labels; matching is done once per runner and class |
#![deny(missing_docs)]

pub mod analysis;
#[cfg(any(test, feature = "arbitrary"))]
pub mod arb;
pub mod artifacts;
pub mod causes;
pub mod compare;
pub mod concurrency;
pub mod dashboard;
pub mod duration;
pub mod error;
pub mod event;
pub mod explain;
pub mod grid;
pub mod health;
pub mod ids;
pub mod image;
pub mod labels;
pub mod lease;
pub mod ledger;
pub mod logs;
pub mod matrix;
pub mod namespace;
pub mod outage;
pub mod output;
pub mod page;
pub mod permission;
pub mod report;
pub mod results;
pub mod run;
pub mod runner;
pub mod schedule;
pub mod selector;
pub mod series;
pub mod session;
pub mod size;
pub mod summary;
pub mod testdef;
pub mod timetable;
pub mod token;
pub mod view;
