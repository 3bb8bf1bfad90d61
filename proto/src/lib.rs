//! The gRPC messages of tstr, and their conversions to and from the words of `tstr-shared`.
//!
//! Messages are generated from `tstr/v1/*.proto`. [`convert`] is the only place where a message becomes a domain
//! value or the other way round; [`status`] does the same for failures.

/// The generated messages, clients and servers of package `tstr.v1`.
#[expect(clippy::all, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("tstr.v1");
}

pub mod convert;
pub mod status;

/// The encoded descriptors of all services and messages, for gRPC reflection and for tests that walk the operations.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
