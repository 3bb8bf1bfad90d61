//! The load that rows put on the product, and the dice that decide when something breaks.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tstr_tests::checker::{Asked, Known};
use tstr_tests::driver::{Driver, marked, runs_of};
use uuid::Uuid;

/// Random numbers that a seed repeats (SplitMix64).
pub struct Dice(u64);

impl Dice {
    /// Makes dice; `TSTR_FAULT_SEED` replaces the row's own seed. What is thrown is printed when the row fails.
    pub fn of(row: u64) -> Self {
        let seed = std::env::var("TSTR_FAULT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(row);
        eprintln!("seed {seed} (TSTR_FAULT_SEED={seed} repeats it)");
        Self(seed)
    }

    /// Throws a number below `sides`.
    pub fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    /// Puts things into another order.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.throw(last as u64 + 1) as usize);
        }
    }

    /// Throws a time between two.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        least + Duration::from_millis(self.throw((most - least).as_millis() as u64 + 1))
    }
}

/// What came of a load.
#[derive(Debug, Default)]
pub struct Made {
    /// Runs that were acknowledged.
    pub runs: Vec<Uuid>,
    /// Requests that were asked again until they were answered.
    pub repeated: usize,
    /// Requests that were given up with their outcome unknown.
    pub unknown: usize,
}

/// Runs a test `count` times, one every `pace`, as many at once as it takes; of four requests one is not repeated.
pub fn trigger(driver: &Arc<Driver>, test: &str, count: usize, pace: Duration) -> JoinHandle<Made> {
    trigger_at(driver, runs_of(test), test, count, pace)
}

/// The same for a test whose runs are made at this address.
pub fn trigger_at(driver: &Arc<Driver>, path: String, test: &str, count: usize, pace: Duration) -> JoinHandle<Made> {
    let (driver, test) = (driver.clone(), test.to_owned());
    // A second load of the same test asks for other runs, and does not repeat the first.
    let load = Uuid::new_v4().simple().to_string();
    tokio::spawn(async move {
        let mut asked = Vec::new();
        for number in 0..count {
            let (driver, path, mark) = (driver.clone(), path.clone(), format!("{test}-{number}-{}", &load[..8]));
            asked.push(tokio::spawn(async move {
                match number % 4 {
                    3 => (driver.ask(Asked::Runs, &mark, &path, &marked(&mark)).await, 0),
                    _ => driver.insist(Asked::Runs, &mark, &path, &marked(&mark)).await,
                }
            }));
            tokio::time::sleep(pace).await;
        }
        let mut made = Made::default();
        for one in asked {
            let (known, again) = one.await.unwrap();
            made.repeated += usize::from(again > 0);
            match known {
                Known::Done(runs) => made.runs.extend(runs),
                Known::Unknown => made.unknown += 1,
                Known::Refused(status) => panic!("a run of {test} was refused: {status}"),
            }
        }
        made
    })
}
