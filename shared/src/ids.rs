//! Identifiers: time-ordered UUIDs, one type per thing so that they cannot be mixed up.
//!
//! The first 48 bits of a run's id are the milliseconds since 1970 of its creation (version 7) or of the instant it
//! was scheduled for (version 8), so ids sort by time and a range of ids is a range of time.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::labels::Labels;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "db", derive(sqlx::Type), sqlx(transparent))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Makes the id of something created at `at`, with `random` bits that the caller drew.
            pub fn at(at: DateTime<Utc>, random: u128) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(millis(at), &low_ten(random)).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

id!(
    /// Names a test.
    TestId
);
id!(
    /// Names a run.
    RunId
);
id!(
    /// Names a runner; the worker behind it draws the id once and keeps it in its data directory.
    RunnerId
);
id!(
    /// Names a token; it is the `jti` claim of the token's JWT.
    TokenId
);
id!(
    /// Names the set of runs that one trigger or one scheduled instant created.
    MatrixId
);
id!(
    /// A lease's 128 random bits, new for every attempt.
    LeaseId
);

impl RunId {
    /// Derives the id of the run of `cell` that `test` owes for the instant `scheduled_for`.
    ///
    /// Equal arguments give equal ids, so the primary key of runs refuses a second run of one instant.
    pub fn scheduled(test: TestId, scheduled_for: DateTime<Utc>, cell: &Labels) -> Self {
        Self(derived(b"run", test, scheduled_for, &cell.canonical()))
    }

    /// Tells the instant in the first 48 bits of the id.
    pub fn time(self) -> DateTime<Utc> {
        time_of(self.0)
    }
}

impl MatrixId {
    /// Derives the id of the set of runs that `test` owes for the instant `scheduled_for`.
    pub fn scheduled(test: TestId, scheduled_for: DateTime<Utc>) -> Self {
        Self(derived(b"matrix", test, scheduled_for, ""))
    }

    /// Tells the instant in the first 48 bits of the id; the runs of the set have the same.
    pub fn time(self) -> DateTime<Utc> {
        time_of(self.0)
    }
}

/// Tells the instant in the first 48 bits of a version 7 or version 8 id of ours.
pub fn time_of(id: Uuid) -> DateTime<Utc> {
    let millis = (id.as_u128() >> 80) as i64;
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

/// Returns the smallest id whose time is `at`; a lower bound for ranges of ids.
pub fn lowest_at(at: DateTime<Utc>) -> Uuid {
    Uuid::from_u128(u128::from(millis(at)) << 80)
}

fn millis(at: DateTime<Utc>) -> u64 {
    // 48 bits; an instant before 1970 becomes 0.
    u64::try_from(at.timestamp_millis()).unwrap_or(0) & 0xFFFF_FFFF_FFFF
}

fn low_ten(random: u128) -> [u8; 10] {
    let bytes = random.to_be_bytes();
    let mut low = [0u8; 10];
    low.copy_from_slice(&bytes[6..]);
    low
}

fn derived(kind: &[u8], test: TestId, at: DateTime<Utc>, cell: &str) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(kind);
    hash.update(test.0.as_bytes());
    hash.update(at.timestamp_millis().to_be_bytes());
    hash.update(cell.as_bytes());
    let digest = hash.finalize();
    let mut bytes = [0u8; 16];
    bytes[..6].copy_from_slice(&millis(at).to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&digest[..10]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_scheduled_id_is_a_version_8_uuid_that_sorts_by_its_instant() {
        let test = TestId::at(at("2026-01-01T00:00:00Z"), 7);
        let cell = Labels::default();
        let early = RunId::scheduled(test, at("2026-03-01T10:00:00Z"), &cell);
        let late = RunId::scheduled(test, at("2026-03-01T10:01:00Z"), &cell);
        assert!(early < late);
        assert_eq!(early.0.get_version_num(), 8);
        assert_eq!(early.time(), at("2026-03-01T10:00:00Z"));
        assert_eq!(early, RunId::scheduled(test, at("2026-03-01T10:00:00Z"), &cell));
    }

    #[test]
    fn cells_and_tests_have_ids_of_their_own() {
        let (one, two) = (TestId::at(at("2026-01-01T00:00:00Z"), 1), TestId::at(at("2026-01-01T00:00:00Z"), 2));
        let nyc: Labels = [("region", "nyc")].into_iter().collect();
        let now = at("2026-03-01T10:00:00Z");
        let ids = [
            RunId::scheduled(one, now, &Labels::default()),
            RunId::scheduled(one, now, &nyc),
            RunId::scheduled(two, now, &nyc),
        ];
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
        assert!(ids.iter().all(|id| id.0 >= lowest_at(now)));
    }

    #[test]
    fn an_id_made_at_an_instant_is_version_7() {
        let id = RunId::at(at("2026-03-01T10:00:00.123Z"), u128::MAX);
        assert_eq!((id.0.get_version_num(), id.time()), (7, at("2026-03-01T10:00:00.123Z")));
    }
}
