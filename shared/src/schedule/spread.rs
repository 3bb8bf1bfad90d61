//! `H`: a place that the id of a test decides, so that tests that only mean «hourly» or «nightly» do not all run at
//! once.
//!
//! Guarantees: the same id always gives the same places; a rename does not move them; each field has a part of the
//! hash of its own, so that minute and hour do not go together; all places of a range are equally likely.

use sha2::{Digest, Sha256};

use super::field::CronField;
use crate::ids::TestId;

/// Where the `H` of a line falls.
#[derive(Debug, Clone, Copy)]
pub(super) enum Places {
    /// Nowhere: without a test there is no place, and the line must do without `H`.
    None,
    /// One number for each field, in the order in which they are written.
    At([u32; 5]),
}

impl Places {
    /// Returns the places that a test's id decides.
    pub(super) fn of(test: TestId) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"tstr schedule H");
        hash.update(test.0.as_bytes());
        let digest = hash.finalize();
        let mut parts = [0; 5];
        for (part, bytes) in parts.iter_mut().zip(digest.chunks_exact(4)) {
            *part = bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        }
        Self::At(parts)
    }

    /// Returns the places that take month and day of the week through all their values; the other fields stand at
    /// their first.
    pub(super) fn all_months_and_weekdays() -> impl Iterator<Item = Self> {
        (0..12).flat_map(|month| (0..7).map(move |weekday| Self::At([0, 0, 0, month, weekday])))
    }

    /// Returns the number of places to go on from the first of `width` places; `None` where there is no place.
    pub(super) fn within(self, field: CronField, width: u8) -> Option<u8> {
        let Self::At(parts) = self else { return None };
        let part = parts[match field {
            CronField::Minute => 0,
            CronField::Hour => 1,
            CronField::DayOfMonth => 2,
            CronField::Month => 3,
            CronField::DayOfWeek => 4,
        }];
        u8::try_from(part % u32::from(width.max(1))).ok()
    }
}
