//! How much is measured: all of it, or as little as shows that the benchmark works.

use std::time::Duration;

/// The size of a run of the benchmark.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Shows that the benchmark works; its figures say little.
    pub is_quick: bool,
    /// How often every point is measured.
    pub rounds: usize,
    /// How many runs wait.
    pub depths: Vec<u64>,
    /// How many claim at the same time.
    pub claimers: Vec<u32>,
    /// How many runs a claim takes at most.
    pub at_once: Vec<u32>,
    /// How many write logs at the same time.
    pub writers: Vec<u32>,
    /// How many lines a short log has.
    pub short_log: usize,
    /// How many lines a long log has.
    pub long_log: usize,
    /// How long pgbench is run; it knows whole seconds only.
    pub seconds: u32,
    /// How long the API is called, as a part of that.
    pub part: f64,
    /// How long the idle server is watched in every round.
    pub idle: Duration,
    /// How often runs are triggered for whole lives; each makes 250.
    pub triggers: u32,
    /// How often a waiting claim is woken.
    pub wake_ups: u32,
    /// How many claims wait at once.
    pub waiting: usize,
    /// After this time the benchmark gives up.
    pub limit: Duration,
}

impl Plan {
    /// Reads the arguments.
    pub fn from_args(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut is_quick = false;
        for arg in args {
            match arg.as_str() {
                "--quick" => is_quick = true,
                // `cargo bench` says so to every benchmark.
                "--bench" => {}
                other => return Err(format!("there is no argument {other}; usage: scripts/bench [--quick]")),
            }
        }
        Ok(if is_quick { Self::quick() } else { Self::full() })
    }

    fn full() -> Self {
        Self {
            is_quick: false,
            rounds: 5,
            depths: vec![1_000, 1_000_000],
            claimers: vec![1, 8, 16],
            at_once: vec![1, 50],
            writers: vec![1, 8],
            short_log: 1_000,
            long_log: 100_000,
            seconds: 2,
            part: 1.0,
            idle: Duration::from_secs(2),
            triggers: 40,
            wake_ups: 300,
            waiting: 10_000,
            limit: Duration::from_secs(12 * 60 - 20),
        }
    }

    fn quick() -> Self {
        Self {
            is_quick: true,
            rounds: 2,
            depths: vec![1_000, 50_000],
            claimers: vec![1, 8],
            long_log: 20_000,
            seconds: 1,
            part: 0.3,
            idle: Duration::from_secs(1),
            triggers: 4,
            wake_ups: 20,
            waiting: 1_000,
            limit: Duration::from_secs(3 * 60),
            ..Self::full()
        }
    }

    /// How long the API is called for one sample.
    pub fn window(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds)).mul_f64(self.part)
    }
}
