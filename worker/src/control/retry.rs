//! How long to wait before a call is repeated.

use std::time::Duration;

const BASE: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(5);
/// What a heartbeat may lose by waiting: less than what is left of a lease after the outage that it has to survive.
const URGENT_CAP: Duration = Duration::from_secs(1);

/// Growing delays with full jitter: a random time up to 0.1 s, 0.2 s, 0.4 s … at most 5 s.
///
/// Full jitter, because many workers lose the same API in the same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    tries: u32,
    cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { tries: 0, cap: CAP }
    }
}

impl Backoff {
    /// Returns delays of at most a second, for what cannot wait.
    pub(crate) fn urgent() -> Self {
        Self { cap: URGENT_CAP, ..Self::default() }
    }

    /// Returns the next delay.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let ceiling = BASE.saturating_mul(1 << self.tries.min(16)).min(self.cap);
        self.tries = self.tries.saturating_add(1);
        // A floor of a tenth keeps an unlucky row of draws from hammering the API.
        ceiling.mul_f64(0.1 + 0.9 * random_fraction())
    }

    /// Waits for the next delay.
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.next_delay()).await;
    }

    /// Tells how often a delay was asked for.
    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }
}

/// Returns a random number from 0 to 1, from the bits that a version 4 UUID gets from the operating system.
pub(crate) fn random_fraction() -> f64 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    f64::from(u32::try_from(high >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_from_a_tenth_of_a_second_to_five_seconds() {
        let mut backoff = Backoff::default();
        let delays: Vec<_> = (0..100).map(|_| backoff.next_delay()).collect();
        assert!(delays[0] <= BASE && delays.iter().all(|d| *d <= CAP && *d >= BASE / 10));
        assert!(delays[20..].iter().any(|d| *d > Duration::from_secs(3)), "{delays:?}");
        assert!(delays[20..].windows(2).any(|pair| pair[0] != pair[1]), "delays are spread");
    }
}
