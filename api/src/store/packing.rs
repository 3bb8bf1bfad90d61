//! How the bytes of a piece of log are stored: packed where that pays, else as they are.
//!
//! Packed is one zstd frame at level 1, which was measured to take the least of disk, write-ahead log and processor
//! together ([ADR 0008](../../../docs/adr/0008-logs-packed-and-sealed-by-the-api.md)). The length of what was packed
//! has a column of its own: sizes, offsets and ranges are told without unpacking anything.

use anyhow::{Context, ensure};
use bytes::Bytes;
use zstd::bulk::Compressor;

use crate::error::{Error, Result};

/// Fewer bytes than this are stored as they are: a frame has a head of its own, and a row of a table anyway.
const LEAST: usize = 256;
const LEVEL: i32 = 1;

/// The bytes of a piece as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// What stands in the row.
    pub body: Vec<u8>,
    /// How many bytes that is when it is unpacked; absent when it is not packed.
    pub raw_bytes: Option<i32>,
}

/// Packs pieces; keeps the memory that this takes from one to the next.
#[derive(Default)]
pub struct Packer(Option<Compressor<'static>>);

impl Packer {
    /// Packs a piece, if it becomes smaller by an eighth at least.
    pub fn pack(&mut self, data: &[u8]) -> Packed {
        let packed = if data.len() < LEAST { None } else { self.compress(data) };
        match packed.filter(|packed| packed.len() <= data.len() - data.len() / 8) {
            Some(body) => Packed { body, raw_bytes: i32::try_from(data.len()).ok() },
            None => Packed { body: data.to_vec(), raw_bytes: None },
        }
    }

    /// A piece that cannot be packed is no worse off than one that does not become smaller.
    fn compress(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        if self.0.is_none() {
            self.0 = Compressor::new(LEVEL).ok();
        }
        self.0.as_mut()?.compress(data).ok()
    }
}

/// Returns the bytes of a piece from what stands in its row.
pub(super) fn unpack(body: Vec<u8>, raw_bytes: Option<i32>) -> Result<Bytes> {
    let Some(raw_bytes) = raw_bytes else { return Ok(body.into()) };
    let unpack = || {
        let length = usize::try_from(raw_bytes)?;
        let bytes = zstd::bulk::decompress(&body, length)?;
        ensure!(bytes.len() == length, "{} bytes instead of {length}", bytes.len());
        Ok(Bytes::from(bytes))
    };
    unpack().context("a stored piece of a log cannot be unpacked").map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that nothing makes smaller.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        (0..length).map(|_| next()).collect()
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_to_the_same_bytes(
            part in prop::collection::vec(any::<u8>(), 1..300),
            times in 1usize..800,
        ) {
            let (data, mut packer) = (part.repeat(times), Packer::default());
            for _ in 0..2 {
                let packed = packer.pack(&data);
                prop_assert!(packed.body.len() <= data.len());
                prop_assert_eq!(packed.raw_bytes.is_some(), packed.body.len() < data.len());
                prop_assert_eq!(unpack(packed.body, packed.raw_bytes).unwrap(), &data);
            }
        }
    }

    #[test]
    fn only_what_becomes_smaller_is_packed() {
        let mut packer = Packer::default();
        let text = "a line of a log, as a test writes it\n".repeat(1000);
        let packed = packer.pack(text.as_bytes());
        assert!(packed.body.len() < text.len() / 50 && packed.raw_bytes == Some(37_000), "{}", packed.body.len());
        for data in [noise(256 << 10), noise(4096), b"short\n".repeat(40), vec![b'x']] {
            assert_eq!(packer.pack(&data), Packed { body: data, raw_bytes: None });
        }
    }

    #[test]
    fn a_body_that_is_not_what_its_row_says_is_no_log() {
        let packed = Packer::default().pack(&[b'a'; 5000]);
        for (body, length) in
            [(packed.body.clone(), 4999), (packed.body.clone(), 5001), (b"rubbish".to_vec(), 5000), (packed.body, -1)]
        {
            assert!(unpack(body, Some(length)).is_err(), "{length}");
        }
    }
}
