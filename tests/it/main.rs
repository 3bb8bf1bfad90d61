//! All integration and end-to-end tests, in one binary so that it is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod architecture;
mod artifacts;
mod authz;
mod beats;
mod checker;
mod concurrency;
mod ctl;
mod desk;
mod docs;
mod explain;
mod fairness;
mod grpc;
mod guard;
mod http;
mod input;
mod limits;
mod logs;
mod migrations;
mod model;
mod openapi;
mod plans;
mod podman;
mod pooler;
mod pull;
mod queue;
mod replicas;
mod retention;
mod scheduler;
mod silence;
mod spread;
mod standby;
mod timeline;
mod transitions;
mod up;
mod vitals;
