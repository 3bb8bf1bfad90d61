//! The stateless API of tstr: JSON and gRPC over PostgreSQL, with scheduler and reaper in every replica.
//!
//! ```text
//!   http/   grpc/   background/     translate or wake; decide nothing
//!        └────┬────┘
//!            ops/                   one method = one use case = one transaction
//!             │
//!           store/ + migrations/    the only SQL
//! ```
//! `auth` proves who may do what; `error` says what went wrong on either transport; `objects` holds the bytes of
//! artifacts; `ui` serves the web UI and knows nothing of the rest but how to listen; `pools` opens the connections; `server` puts it all together.

pub mod auth;
mod background;
pub mod config;
pub mod error;
pub mod grpc;
pub mod http;
pub mod objects;
pub mod ops;
mod pools;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod ui;

#[cfg(feature = "test-support")]
pub use background::turns;
pub use config::Config;
pub use server::migrate;
