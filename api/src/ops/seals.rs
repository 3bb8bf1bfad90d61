//! The seal of a log: what the worker says of the whole of it, held against what is stored.
//!
//! With each append the state of SHA-256 over each stream is stored beside its last piece. At the end that state is
//! finished and compared: no byte of the log is read again, however long it is
//! ([ADR 0008](../../../docs/adr/0008-logs-packed-and-sealed-by-the-api.md)). A log that is not what was sealed is
//! `incomplete` and says so; the result of the run is taken all the same.

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};
use tracing::error;
use tstr_shared::error::Invalid;
use tstr_shared::lease::Fence;
use tstr_shared::logs::{LogCut, LogSeal, Stream};

use crate::error::{Error, Result};
use crate::store::ends::{Close, LogDetail};
use crate::store::logs::{LogEnd, StreamEnd};

/// More bytes than a log can ever have, and few enough that sums of them fit.
pub(super) const MAX_SEALED: u64 = 1 << 60;
/// A seal with this hash says nothing of the bytes.
const SILENT: [u8; 32] = [0; 32];

/// SHA-256 over a stream as far as it is stored; says nothing once a release that kept no state has stored a piece.
#[derive(Debug, Clone)]
pub(super) struct Running(Option<Sha256>);

impl Running {
    /// Goes on where a stream ends.
    pub(super) fn resume(end: &StreamEnd) -> Result<Self> {
        let Some(state) = &end.sha256_state else { return Ok(Self((end.stored == 0).then(Sha256::new))) };
        let unreadable = || Error::internal(anyhow::anyhow!("the state of a log's hash cannot be read"));
        let state = SerializedState::<Sha256>::try_from(state.as_slice()).map_err(|_| unreadable())?;
        Sha256::deserialize(&state).map(|hash| Self(Some(hash))).map_err(|_| unreadable())
    }

    /// Adds the bytes that follow.
    pub(super) fn update(&mut self, data: &[u8]) {
        if let Some(hash) = &mut self.0 {
            hash.update(data);
        }
    }

    /// Returns the state to go on from.
    pub(super) fn state(&self) -> Option<Vec<u8>> {
        self.0.as_ref().map(|hash| hash.serialize().to_vec())
    }
}

/// Refuses a seal that no log can have.
pub(super) fn check(seal: &LogSeal) -> Result<()> {
    let mut invalid = Invalid::default();
    for stream in Stream::ALL {
        let part = seal.of(stream);
        for (field, number) in [("bytes", part.bytes), ("dropped_bytes", part.dropped_bytes)] {
            if number > MAX_SEALED {
                invalid.add(format!("/seal/{}/{field}", stream.word()), format!("{number} is more than any log has"));
            }
        }
    }
    Ok(invalid.into_result()?)
}

/// Tells whether bytes of a sealed log are still to come.
pub(super) fn is_short(seal: &LogSeal, end: &LogEnd) -> bool {
    Stream::ALL.into_iter().any(|stream| end.of(stream).stored < seal.of(stream).bytes)
}

/// Adds the seal to the end of a lease; what did not arrive counts as dropped, so that stored and dropped add up.
pub(super) fn sealed(close: Close, fence: Fence, seal: &LogSeal, end: &LogEnd) -> Close {
    let (mut seal, mut detail) = (seal.clone(), LogDetail::default());
    // Bytes that are missing are no news; only of a log that is said to be whole the hash must fit.
    let altered: Vec<&str> = match seal.incomplete {
        true => Vec::new(),
        false => Stream::ALL.into_iter().filter(|stream| is_altered(&seal, end, *stream)).map(Stream::word).collect(),
    };
    if !altered.is_empty() {
        let (run, attempt, streams) = (fence.run_id, fence.attempt, altered.join(" and "));
        error!(run.id = %run, "the log of run {run}, attempt {attempt}, is not what its runner sealed: {streams}");
        metrics::counter!("tstr_log_seal_mismatches_total").increment(1);
        detail.message = Some(format!("what is stored of {streams} is not what the runner sent"));
        seal.incomplete = true;
    }
    for stream in Stream::ALL {
        let stored = end.of(stream);
        let part = match stream {
            Stream::Stdout => &mut seal.stdout,
            Stream::Stderr => &mut seal.stderr,
        };
        part.dropped_bytes += part.bytes.saturating_sub(stored.stored);
        let cut = stored.cut.map_or(0, |(_, bytes)| bytes);
        part.dropped_bytes = part.dropped_bytes.max(cut);
        detail.cuts.extend(stored.cut.map(|(offset, bytes)| LogCut { stream, offset, bytes }));
        if !seal.incomplete && part.dropped_bytes > cut {
            // A worker that keeps no end cuts there.
            let (offset, bytes) = (end.offsets.of(stream), part.dropped_bytes - cut);
            detail.cuts.push(LogCut { stream, offset, bytes });
        }
    }
    let close = close.with_seal(&seal).with_stored(end.stdout.stored, end.stderr.stored);
    if detail == LogDetail::default() { close } else { close.with_detail(detail) }
}

fn is_altered(seal: &LogSeal, end: &LogEnd, stream: Stream) -> bool {
    let said = seal.of(stream).sha256;
    if said == SILENT {
        return false;
    }
    match Running::resume(end.of(stream)) {
        Ok(Running(Some(hash))) => hash.finalize().as_slice() != said,
        // Stored in part by a release that kept no state: it is taken at its word, as that release did.
        Ok(Running(None)) => false,
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn end_of(running: &Running, stored: u64) -> StreamEnd {
        StreamEnd { stored, cut: None, sha256_state: running.state() }
    }

    proptest! {
        #[test]
        fn the_hash_goes_on_from_any_place(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
            let (mut end, mut stored) = (StreamEnd::default(), 0);
            for piece in &pieces {
                let mut running = Running::resume(&end).unwrap();
                running.update(piece);
                stored += piece.len() as u64;
                end = end_of(&running, stored);
            }
            let hash = Running::resume(&end).unwrap().0.unwrap().finalize();
            prop_assert_eq!(hash, Sha256::digest(pieces.concat()));
        }
    }

    /// Rows hold states of this form; a library that writes another one must not be taken without reading these.
    #[test]
    fn a_state_has_the_form_that_rows_have() {
        let mut running = Running::resume(&StreamEnd::default()).unwrap();
        running.update(&b"0123456789abcdef".repeat(5));
        let state = running.state().unwrap();
        let hex: String = state.iter().map(|byte| format!("{byte:02x}")).collect();
        // Eight words and the number of whole blocks; then how many bytes wait, and those.
        let (words, blocks) = ("6cdf5cba92516b0eb51c816b0f96a781070d93998e5b8557d9df6f3757e08e75", "0100000000000000");
        let waiting = "30313233343536373839616263646566";
        assert_eq!(hex, format!("{words}{blocks}10{waiting}{}", "00".repeat(47)));
        assert!(
            Running::resume(&StreamEnd { sha256_state: Some(state[1..].to_vec()), ..StreamEnd::default() }).is_err()
        );
    }

    #[test]
    fn pieces_without_a_state_are_compared_with_nothing() {
        let old = StreamEnd { stored: 5, cut: None, sha256_state: None };
        assert!(Running::resume(&old).unwrap().state().is_none());
    }
}
