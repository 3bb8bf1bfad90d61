//! What time it is for the database, without asking it each time.
//!
//! Replicas whose own clocks are wrong must not judge by them: a token that one of them has just issued would be of the
//! future to another, or over. The database is asked now and then, and from there the time is counted by a clock that
//! nobody sets.
//!
//! Somebody may set the database's. What was issued before it was set back must not be of the future afterwards, or the
//! workers that have it would end; so what has begun is told by the highest time that the clock has shown. What is over
//! is told by the time that it shows now: one that was ahead for a moment must not end tokens for good.

use std::sync::RwLock;
use std::time::Instant;

use chrono::{DateTime, Utc};

use crate::auth::verify::Time;

/// The database's clock as a replica knows it; the replica's own until it has asked.
#[derive(Debug, Default)]
pub(super) struct DatabaseClock {
    asked: RwLock<Option<(Time, Instant)>>,
}

impl DatabaseClock {
    /// Notes what the database's clock showed just now.
    pub(super) fn set(&self, shown: DateTime<Utc>) {
        if let Ok(mut asked) = self.asked.write() {
            let highest = asked.map_or(shown, |(before, then)| shown.max(before.highest + then.elapsed()));
            *asked = Some((Time { now: shown, highest }, Instant::now()));
        }
    }

    /// Tells the time.
    pub(super) fn now(&self) -> Time {
        match self.asked.read().map(|asked| *asked) {
            Ok(Some((Time { now, highest }, then))) => {
                let since = then.elapsed();
                Time { now: now + since, highest: highest + since }
            }
            Ok(None) | Err(_) => Utc::now().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::*;

    fn is_about(time: DateTime<Utc>, wanted: DateTime<Utc>) -> bool {
        time >= wanted && time < wanted + Duration::seconds(5)
    }

    #[test]
    fn the_time_is_counted_from_what_the_database_said_last() {
        let clock = DatabaseClock::default();
        let own = Utc::now();
        assert!(is_about(clock.now().now, own) && is_about(clock.now().highest, own), "nobody was asked yet");
        for hours in [-1, 0, 1] {
            let shown = own + Duration::hours(hours);
            clock.set(shown);
            let (first, second) = (clock.now(), clock.now());
            assert!(second.now >= first.now && is_about(second.now, shown) && is_about(second.highest, shown));
        }
    }

    #[test]
    fn a_clock_that_was_ahead_for_a_moment_shows_the_right_time_again() {
        let clock = DatabaseClock::default();
        let own = Utc::now();
        for shown in [own, own + Duration::days(400), own] {
            clock.set(shown);
        }
        assert!(is_about(clock.now().now, own), "what is over is told by what it shows");
        assert!(is_about(clock.now().highest, own + Duration::days(400)), "what has begun stays so");
    }
}
