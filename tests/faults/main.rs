//! Faults: what is broken while the product works, and that every invariant holds once it is left alone again.
//!
//! Not among the everyday tests: `just faults` runs the module `ci`, `just faults-all` the others as well, one row at a
//! time. The numbers of the rows, and what each of them shows, are those of `docs/faults.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bulk;
mod ci;
mod load;
mod nightly;
mod wire;
