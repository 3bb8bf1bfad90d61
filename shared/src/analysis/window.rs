//! The recent runs of a test in a cell, in a few bytes each: what its status is judged by, and the strip that people see.
//!
//! A run that is added twice counts once, and one that ended earlier than those that are there finds its place, so a late or
//! repeated event does no harm. The newest [`MAX_ENTRIES`] are kept.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Observed;
use super::flaky::{Exclusion, Trial};
use crate::ids::RunId;
use crate::run::RunResult;

/// How many runs are kept: as many as any of the monitors looks back.
pub const MAX_ENTRIES: usize = 100;
/// How many runs a strip shows at most.
pub const STRIP: usize = 60;

/// The first byte of what is packed; another one is not understood.
const VERSION: u8 = 1;
/// How many bytes an entry takes.
const ENTRY: usize = 39;
/// A duration from which on it is not kept: over four hours and a half.
const LONGEST: u32 = 0xff_ffff;

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it ended; kept to the millisecond.
    pub at: DateTime<Utc>,
    /// The run.
    pub run_id: RunId,
    /// How it ended.
    pub result: RunResult,
    /// What that says about the test, if anything.
    pub observed: Option<Observed>,
    /// How many attempts failed before the last one.
    pub failed_attempts: u8,
    /// How long its last attempt took, in milliseconds.
    pub duration_ms: Option<u32>,
    /// Stands for what was tested.
    pub subject: Option<u64>,
    /// Why it says nothing of flakiness.
    pub excluded: Option<Exclusion>,
}

impl Entry {
    fn moment(&self) -> (DateTime<Utc>, RunId) {
        (self.at, self.run_id)
    }
}

/// Returns what stands for a subject: the digest of an image, or a revision.
pub fn subject(text: &str) -> u64 {
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The recent runs of a cell, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window(Vec<Entry>);

impl Window {
    /// Adds a run, or puts it in the place of what was known of it.
    pub fn add(&mut self, entry: Entry) {
        let at = DateTime::from_timestamp_millis(entry.at.timestamp_millis()).unwrap_or(entry.at);
        let entry = Entry { at, duration_ms: entry.duration_ms.filter(|ms| *ms < LONGEST), ..entry };
        self.0.retain(|known| known.run_id != entry.run_id);
        let place = self.0.partition_point(|known| known.moment() < entry.moment());
        self.0.insert(place, entry);
        if self.0.len() > MAX_ENTRIES {
            self.0.remove(0);
        }
    }

    /// Returns the runs, the oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// Returns the newest run.
    pub fn newest(&self) -> Option<&Entry> {
        self.0.last()
    }

    /// Returns a letter for each of the latest runs, the newest last: `p`, `f`, `e`, `t`, `c` for the results, `r` for a
    /// pass after an attempt that failed.
    pub fn strip(&self) -> String {
        let letter = |entry: &Entry| match entry.result {
            RunResult::Pass if entry.failed_attempts > 0 => 'r',
            RunResult::Pass => 'p',
            RunResult::Fail => 'f',
            RunResult::Error => 'e',
            RunResult::TimedOut => 't',
            RunResult::Cancelled => 'c',
        };
        self.0[self.0.len().saturating_sub(STRIP)..].iter().map(letter).collect()
    }

    /// Returns the runs that say something about the test.
    pub fn trials(&self) -> Vec<Trial> {
        let trial = |entry: &Entry| {
            Some(Trial {
                run_id: entry.run_id,
                at: entry.at,
                observed: entry.observed?,
                failed_attempts: entry.failed_attempts.into(),
                subject: entry.subject.map(|subject| format!("{subject:016x}")),
                excluded: entry.excluded,
            })
        };
        self.0.iter().filter_map(trial).collect()
    }

    /// Tells whether all of them passed at the first attempt, so that no monitor can say anything.
    pub fn is_clean(&self) -> bool {
        self.0.iter().all(|entry| entry.observed.is_none_or(|it| it == Observed::Pass) && entry.failed_attempts == 0)
    }

    /// Packs the runs.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + self.0.len() * ENTRY);
        bytes.push(VERSION);
        for entry in &self.0 {
            bytes.extend(entry.at.timestamp_millis().to_be_bytes());
            bytes.extend(entry.run_id.0.as_bytes());
            bytes.push(place(RunResult::ALL, &entry.result));
            bytes.push(entry.observed.map_or(0, |it| place(Observed::ALL, &it) + 1));
            bytes.push(entry.excluded.map_or(0, |it| place(Exclusion::ALL, &it) + 1));
            bytes.push(entry.failed_attempts);
            bytes.extend(entry.duration_ms.unwrap_or(u32::MAX).to_be_bytes()[1..].iter());
            bytes.extend(entry.subject.unwrap_or(0).to_be_bytes());
        }
        bytes
    }

    /// Reads what was packed; what cannot be read is as if it had never been.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let Some((&VERSION, rest)) = bytes.split_first() else { return Self::default() };
        Self(rest.chunks_exact(ENTRY).filter_map(read).collect())
    }
}

fn place<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|it| it == one).unwrap_or(0) as u8
}

fn read(bytes: &[u8]) -> Option<Entry> {
    let number = |range: std::ops::Range<usize>| bytes[range].iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    let nth = |all: u8| usize::from(all).checked_sub(1);
    let duration = number(28..31) as u32;
    Some(Entry {
        at: DateTime::from_timestamp_millis(number(0..8) as i64)?,
        run_id: RunId(Uuid::from_slice(&bytes[8..24]).ok()?),
        result: *RunResult::ALL.get(usize::from(bytes[24]))?,
        observed: nth(bytes[25]).and_then(|n| Observed::ALL.get(n)).copied(),
        excluded: nth(bytes[26]).and_then(|n| Exclusion::ALL.get(n)).copied(),
        failed_attempts: bytes[27],
        duration_ms: (duration < LONGEST).then_some(duration),
        subject: Some(number(31..39)).filter(|subject| *subject != 0),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let words = (0..RunResult::ALL.len(), 0..=Observed::ALL.len(), 0..=Exclusion::ALL.len());
        let numbers = (0u8..3, proptest::option::of(0u32..LONGEST), proptest::option::of(1u64..));
        (0i64..50, 0u128..40, words, numbers).prop_map(|(at, run, words, (failed_attempts, duration_ms, subject))| {
            Entry {
                at: DateTime::from_timestamp_millis(at * 1000).unwrap(),
                run_id: RunId(Uuid::from_u128(run)),
                result: RunResult::ALL[words.0],
                observed: words.1.checked_sub(1).map(|n| Observed::ALL[n]),
                excluded: words.2.checked_sub(1).map(|n| Exclusion::ALL[n]),
                failed_attempts,
                duration_ms,
                subject,
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(entries in proptest::collection::vec(entry(), 0..150)) {
            let mut window = Window::default();
            entries.into_iter().for_each(|entry| window.add(entry));
            prop_assert!(window.entries().len() <= MAX_ENTRIES);
            prop_assert!(window.entries().is_sorted_by_key(Entry::moment));
            prop_assert_eq!(Window::from_bytes(&window.to_bytes()), window);
        }

        #[test]
        fn the_order_in_which_runs_are_told_does_not_matter(
            entries in proptest::collection::vec(entry(), 0..40), seed: u64,
        ) {
            // Of each run there is one end.
            let mut once: Vec<Entry> = Vec::new();
            for entry in entries {
                if once.iter().all(|known| known.run_id != entry.run_id) {
                    once.push(entry);
                }
            }
            let told = |entries: &[Entry]| {
                let mut window = Window::default();
                entries.iter().chain(entries).for_each(|entry| window.add(entry.clone()));
                window
            };
            let in_order = told(&once);
            let length = once.len().max(1);
            once.rotate_left((seed % length as u64) as usize);
            once.reverse();
            prop_assert_eq!(told(&once), in_order);
        }

        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Window::from_bytes(&bytes).strip();
        }
    }

    #[test]
    fn a_strip_shows_the_latest_and_what_was_retried() {
        let mut window = Window::default();
        for (n, result) in [(0, RunResult::Fail), (1, RunResult::Pass), (2, RunResult::TimedOut), (3, RunResult::Pass)]
        {
            window.add(Entry {
                at: DateTime::from_timestamp_millis(n).unwrap(),
                run_id: RunId(Uuid::from_u128(n as u128)),
                result,
                observed: None,
                failed_attempts: u8::from(n == 3),
                duration_ms: None,
                subject: None,
                excluded: None,
            });
        }
        assert_eq!(window.strip(), "fptr");
    }
}
