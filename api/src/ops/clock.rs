//! What time it is for the database, without asking it each time.
//!
//! Replicas whose own clocks are wrong must not judge by them: a token that one of them has just issued would be of the
//! future to another, or over. The database is asked now and then, and from there the time is counted by a clock that
//! nobody sets. It never goes back: where somebody sets the database's back, tokens that were issued before would be of
//! the future, and the workers that have them would end.

use std::sync::RwLock;
use std::time::Instant;

use chrono::{DateTime, Utc};

/// The database's clock as a replica knows it; the replica's own until it has asked.
#[derive(Debug, Default)]
pub(super) struct DatabaseClock {
    asked: RwLock<Option<(DateTime<Utc>, Instant)>>,
}

impl DatabaseClock {
    /// Notes what the database's clock showed just now.
    pub(super) fn set(&self, shown: DateTime<Utc>) {
        if let Ok(mut asked) = self.asked.write()
            && asked.is_none_or(|(before, then)| shown > before + then.elapsed())
        {
            *asked = Some((shown, Instant::now()));
        }
    }

    /// Tells the time.
    pub(super) fn now(&self) -> DateTime<Utc> {
        match self.asked.read().map(|asked| *asked) {
            Ok(Some((shown, then))) => shown + then.elapsed(),
            Ok(None) | Err(_) => Utc::now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_counted_from_what_the_database_said_last() {
        let clock = DatabaseClock::default();
        let own = Utc::now();
        assert!((clock.now() - own).abs() < chrono::Duration::seconds(5), "nobody was asked yet");
        for hours in [-1, 0, 1] {
            let shown = own + chrono::Duration::hours(hours);
            clock.set(shown);
            let (first, second) = (clock.now(), clock.now());
            assert!(first >= shown && second >= first && second < shown + chrono::Duration::seconds(5));
        }
        clock.set(own);
        assert!(clock.now() > own + chrono::Duration::minutes(59), "it does not go back");
    }
}
