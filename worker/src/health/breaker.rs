//! When a worker stops taking runs because its machine breaks them. Pure.
//!
//! Several losses in a row open the breaker: nothing is taken for a time that doubles with each further failure. Then
//! one run is taken for a probe, and how that goes decides.

use std::time::Duration;

/// So many losses in a row open it.
pub(crate) const LOSSES: u32 = 3;
/// How long it stays open the first time.
const FIRST: Duration = Duration::from_secs(10);
/// The longest that it stays open.
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// The part of a pause that chance decides: workers that share a fault should not probe it together.
const SPREAD: f64 = 0.2;

/// How a run went, as far as it says something about the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Its container was executed to its end.
    Good,
    /// The machine or its engine failed it.
    Bad,
    /// It says nothing.
    None,
}

/// How many runs may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permit {
    /// As many as there are slots.
    All,
    /// One, for a probe.
    One,
    /// None before this moment.
    NotBefore(Duration),
    /// None before the probe has ended.
    Probing,
}

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing is taken for this long.
    Opened(Duration),
    /// The machine works again.
    Closed,
}

/// The breaker. `Run` tells runs apart.
#[derive(Debug)]
pub(crate) struct Breaker<Run> {
    state: State<Run>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State<Run> {
    /// All is well, but for so many losses in a row.
    Closed { losses: u32 },
    /// Nothing is taken until then; it was opened so many times in a row.
    Open { until: Duration, times: u32 },
    /// One run is taken, or was.
    Probing { run: Option<Run>, times: u32 },
}

impl<Run: Copy + PartialEq> Breaker<Run> {
    /// Makes a closed breaker that knows of `losses` in a row.
    pub(crate) fn new(losses: u32) -> Self {
        Self { state: State::Closed { losses: losses.min(LOSSES - 1) } }
    }

    /// Tells how many runs may be taken now.
    pub(crate) fn permit(&mut self, now: Duration) -> Permit {
        match self.state {
            State::Closed { .. } => Permit::All,
            State::Open { until, .. } if now < until => Permit::NotBefore(until),
            State::Open { times, .. } => {
                self.state = State::Probing { run: None, times };
                Permit::One
            }
            State::Probing { run: None, .. } => Permit::One,
            State::Probing { run: Some(_), .. } => Permit::Probing,
        }
    }

    /// Tells whether nothing is taken now, or nothing but a probe that is under way.
    pub(crate) fn is_open(&self, now: Duration) -> bool {
        match self.state {
            State::Closed { .. } | State::Probing { run: None, .. } => false,
            State::Open { until, .. } => now < until,
            State::Probing { run: Some(_), .. } => true,
        }
    }

    /// Notes that a run was taken.
    pub(crate) fn taken(&mut self, taken: Run) {
        if let State::Probing { run, .. } = &mut self.state {
            run.get_or_insert(taken);
        }
    }

    /// Notes how a run went; `chance` is from 0 to 1.
    pub(crate) fn ended(&mut self, ended: Run, sign: Sign, now: Duration, chance: f64) -> Option<Change> {
        match self.state {
            State::Closed { losses } => match sign {
                Sign::None => None,
                Sign::Good => {
                    self.state = State::Closed { losses: 0 };
                    None
                }
                Sign::Bad if losses + 1 < LOSSES => {
                    self.state = State::Closed { losses: losses + 1 };
                    None
                }
                Sign::Bad => Some(self.open(1, now, chance)),
            },
            // Runs from before say nothing about what is new.
            State::Open { .. } => None,
            State::Probing { run, times } if run == Some(ended) => match sign {
                Sign::None => {
                    self.state = State::Probing { run: None, times };
                    None
                }
                Sign::Good => {
                    self.state = State::Closed { losses: 0 };
                    Some(Change::Closed)
                }
                Sign::Bad => Some(self.open(times.saturating_add(1), now, chance)),
            },
            State::Probing { .. } => None,
        }
    }

    fn open(&mut self, times: u32, now: Duration, chance: f64) -> Change {
        let pause = FIRST.saturating_mul(1 << (times - 1).min(16)).min(LONGEST);
        let pause = pause.mul_f64(1.0 - SPREAD * chance.clamp(0.0, 1.0));
        self.state = State::Open { until: now + pause, times };
        Change::Opened(pause)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn opened() -> Breaker<u32> {
        let mut breaker = Breaker::new(0);
        assert_eq!(breaker.ended(1, Sign::Bad, secs(0), 0.0), None);
        assert_eq!(breaker.ended(2, Sign::Bad, secs(0), 0.0), None);
        assert_eq!(breaker.ended(3, Sign::Bad, secs(0), 0.0), Some(Change::Opened(secs(10))));
        breaker
    }

    #[test]
    fn three_losses_in_a_row_open_it() {
        let mut breaker = opened();
        assert_eq!(breaker.permit(secs(9)), Permit::NotBefore(secs(10)));
        assert!(breaker.is_open(secs(9)) && !breaker.is_open(secs(10)));
        assert_eq!(breaker.permit(secs(10)), Permit::One);
    }

    #[test]
    fn a_run_that_goes_well_forgives_the_losses_before_it() {
        let mut breaker = Breaker::new(0);
        for (run, sign) in
            [(1, Sign::Bad), (2, Sign::Bad), (3, Sign::Good), (4, Sign::Bad), (5, Sign::None), (6, Sign::Bad)]
        {
            assert_eq!(breaker.ended(run, sign, secs(0), 0.0), None);
        }
        assert_eq!(breaker.permit(secs(0)), Permit::All);
        assert!(breaker.ended(7, Sign::Bad, secs(0), 0.0).is_some(), "what says nothing forgives nothing");
    }

    #[test]
    fn one_run_is_the_probe_and_decides() {
        let mut breaker = opened();
        assert_eq!(breaker.permit(secs(10)), Permit::One);
        breaker.taken(9);
        assert_eq!(breaker.permit(secs(11)), Permit::Probing);
        assert!(breaker.is_open(secs(11)), "of others nothing is taken");
        assert_eq!(breaker.ended(4, Sign::Good, secs(12), 0.0), None, "not the probe");
        assert_eq!(breaker.permit(secs(12)), Permit::Probing);
        assert_eq!(breaker.ended(9, Sign::Good, secs(13), 0.0), Some(Change::Closed));
        assert_eq!(breaker.permit(secs(13)), Permit::All);
        assert_eq!(breaker.ended(10, Sign::Bad, secs(14), 0.0), None, "it begins to count anew");
    }

    #[test]
    fn a_probe_that_says_nothing_is_followed_by_another() {
        let mut breaker = opened();
        breaker.permit(secs(10));
        breaker.taken(9);
        assert_eq!(breaker.ended(9, Sign::None, secs(11), 0.0), None);
        assert_eq!(breaker.permit(secs(11)), Permit::One);
    }

    #[test]
    fn the_pause_doubles_up_to_five_minutes() {
        let (mut breaker, mut now, mut pauses) = (opened(), secs(10), vec![10]);
        for run in 100..107 {
            assert_eq!(breaker.permit(now), Permit::One);
            breaker.taken(run);
            let Some(Change::Opened(pause)) = breaker.ended(run, Sign::Bad, now, 0.0) else { panic!("it opens") };
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300, 300]);
    }

    #[test]
    fn chance_makes_a_pause_shorter_and_never_longer() {
        let mut breaker = Breaker::new(LOSSES);
        assert_eq!(breaker.ended(1, Sign::Bad, secs(0), 1.0), Some(Change::Opened(secs(8))));
    }

    #[test]
    fn a_crash_before_the_start_counts_but_does_not_open_it() {
        let mut breaker = Breaker::<u32>::new(7);
        assert_eq!(breaker.permit(secs(0)), Permit::All);
        assert!(breaker.ended(1, Sign::Bad, secs(0), 0.0).is_some());
    }

    proptest! {
        #[test]
        fn it_never_stays_shut_for_good_and_never_lets_two_probe(
            steps in prop::collection::vec((0u32..3, 0u64..400, 0.0f64..1.0), 1..80),
        ) {
            let (mut breaker, mut now, mut next, mut out) = (Breaker::new(0), secs(0), 0u32, Vec::new());
            for (sign, pause, chance) in steps {
                now += secs(pause);
                match breaker.permit(now) {
                    Permit::All | Permit::One => {
                        next += 1;
                        breaker.taken(next);
                        out.push(next);
                    }
                    Permit::NotBefore(until) => prop_assert!(until > now && until <= now + LONGEST),
                    Permit::Probing => prop_assert!(!out.is_empty(), "nobody is left to end the probe"),
                }
                let sign = [Sign::Good, Sign::Bad, Sign::None][sign as usize];
                if !out.is_empty() {
                    breaker.ended(out.remove(0), sign, now, chance);
                }
            }
        }
    }
}
