//! Between domain values and messages: the only place where one becomes the other.
//!
//! Outward it is `From<domain> for message` and cannot fail. Inward it is `TryFrom<message> for domain` (or `From`
//! where nothing can be wrong); the error names the field of the message by a path such as `/run_config/timeout_secs`.
//! Reading a message checks only what the wire cannot express: numbers out of range, unknown words, absent parts. The
//! rules of the domain are left to its own `validate`.
//!
//! Messages cannot tell an absent text from an empty one; both are read as absent where the domain has an `Option`.

mod admin;
mod artifacts;
mod compare;
mod event;
mod explain;
mod json;
mod lease;
mod ledger;
mod logs;
mod output;
mod results;
mod run;
mod runner;
mod summary;
mod testdef;
mod words;

#[cfg(test)]
mod arb;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use tstr_shared::error::Invalid;
use tstr_shared::labels::Labels;
use tstr_shared::namespace::Namespace;
use tstr_shared::page::PageRequest;
use uuid::Uuid;

pub use artifacts::hash;
pub use event::topics;
pub use json::{json, structure};
pub use results::{document, read_document};
pub use runner::unfit;
pub use words::{Word, number, word};

/// The first and the last second that a timestamp of protobuf can name: the years 1 to 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Makes the timestamp of an instant.
pub fn time(at: DateTime<Utc>) -> Timestamp {
    // chrono counts a leap second as nanoseconds beyond the last; the wire has no such thing.
    let nanos = at.timestamp_subsec_nanos().min(999_999_999);
    Timestamp { seconds: at.timestamp().clamp(*SECONDS.start(), *SECONDS.end()), nanos: nanos.cast_signed() }
}

/// Reads the timestamp at `place`.
///
/// # Errors
///
/// Refuses one that is absent or that lies outside of the years 1 to 9999.
pub fn instant(place: &str, stamp: Option<Timestamp>) -> Result<DateTime<Utc>, Invalid> {
    required(place, optional_instant(place, stamp)?)
}

/// Reads the timestamp at `place`, which may be absent.
///
/// # Errors
///
/// Refuses one that lies outside of the years 1 to 9999.
pub fn optional_instant(place: &str, stamp: Option<Timestamp>) -> Result<Option<DateTime<Utc>>, Invalid> {
    let Some(Timestamp { seconds, nanos }) = stamp else { return Ok(None) };
    let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000 && SECONDS.contains(&seconds));
    match nanos.and_then(|nanos| DateTime::from_timestamp(seconds, nanos)) {
        Some(at) => Ok(Some(at)),
        None => Err(Invalid::one(place, "not a timestamp of the years 1 to 9999")),
    }
}

/// Makes the milliseconds of a duration.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Insists that the field at `place` is there.
///
/// # Errors
///
/// Refuses a field that is absent.
pub fn required<T>(place: &str, field: Option<T>) -> Result<T, Invalid> {
    field.ok_or_else(|| Invalid::one(place, "must be given"))
}

/// Reads the message at `place`; its faults carry that place.
///
/// # Errors
///
/// Refuses what the message's own conversion refuses.
pub fn part<M, D: TryFrom<M, Error = Invalid>>(place: &str, message: M) -> Result<D, Invalid> {
    D::try_from(message).map_err(|inner| {
        let mut invalid = Invalid::default();
        invalid.add_all(place, inner);
        invalid
    })
}

/// Reads the message at `place`, which must be there; its faults carry that place.
///
/// # Errors
///
/// Refuses an absent message and what the message's own conversion refuses.
pub fn required_part<M, D: TryFrom<M, Error = Invalid>>(place: &str, message: Option<M>) -> Result<D, Invalid> {
    part(place, required(place, message)?)
}

/// Reads the messages at `place`; their faults carry that place and their index.
///
/// # Errors
///
/// Refuses what the messages' own conversion refuses.
pub fn parts<M, D: TryFrom<M, Error = Invalid>>(place: &str, messages: Vec<M>) -> Result<Vec<D>, Invalid> {
    messages.into_iter().enumerate().map(|(i, message)| part(&format!("{place}/{i}"), message)).collect()
}

/// Reads the id at `place`.
///
/// # Errors
///
/// Refuses a text that is no UUID.
pub fn id<T: From<Uuid>>(place: &str, text: &str) -> Result<T, Invalid> {
    match Uuid::parse_str(text) {
        Ok(id) => Ok(id.into()),
        Err(_) if text.is_empty() => Err(Invalid::one(place, "must be given")),
        Err(_) => Err(Invalid::one(place, "not a UUID")),
    }
}

/// Reads the id at `place`, which may be empty.
///
/// # Errors
///
/// Refuses a text that is neither empty nor a UUID.
pub fn optional_id<T: From<Uuid>>(place: &str, text: &str) -> Result<Option<T>, Invalid> {
    if text.is_empty() { Ok(None) } else { id(place, text).map(Some) }
}

/// Reads a number at `place` that the domain holds in a smaller type.
///
/// # Errors
///
/// Refuses a number that does not fit.
pub fn narrow<T: TryFrom<u32>>(place: &str, number: u32) -> Result<T, Invalid> {
    T::try_from(number).map_err(|_| Invalid::one(place, format!("{number} is too large")))
}

/// Reads the name of a namespace at `place`.
///
/// # Errors
///
/// Refuses what is no name of a namespace.
pub fn namespace(place: &str, text: &str) -> Result<Namespace, Invalid> {
    Namespace::parse(text).map_err(|fault| Invalid::one(place, fault))
}

/// Reads which page of a list is wanted.
///
/// # Errors
///
/// Refuses a negative size.
pub fn page(size: i32, token: String) -> Result<PageRequest, Invalid> {
    let size = u32::try_from(size).map_err(|_| Invalid::one("/page_size", "must not be negative"))?;
    Ok(PageRequest { size, token })
}

/// Reads a text that stands for nothing when it is empty.
pub fn text(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// Reads labels.
pub fn labels(map: HashMap<String, String>) -> Labels {
    map.into_iter().collect()
}

fn map(labels: Labels) -> HashMap<String, String> {
    labels.0.into_iter().collect()
}
