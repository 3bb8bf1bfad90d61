//! What is measured, and how much of it: all, or as little as shows that the benchmark works.

use std::time::Duration;

/// A part of the benchmark that can be run by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Claims beside the bare statement and the bare INSERT.
    Claims,
    /// Claims from short and from deep queues.
    Depth,
    /// Claims where a runner fits few or many of the placement classes.
    Classes,
    /// Claims while an old transaction keeps a million dead rows.
    Pinned,
    /// Whole lives of runs, beside graphile-worker.
    Lives,
    /// How soon a waiting claim hears of a run.
    Wake,
    /// How soon the container of a queued run starts.
    Start,
    /// Many tests that are due at one instant.
    Enqueue,
    /// Replicas that share a schedule, one of which is killed.
    Cron,
    /// What notifications cost those who enqueue.
    Notify,
    /// Log lines and pieces.
    Logs,
    /// Logs of a gigabyte, and the memory that they take.
    Volume,
    /// Summaries of few and of many runs.
    Summary,
    /// How tests are, and the history of a case.
    Cases,
    /// Workers that only wait.
    Waiting,
}

impl Section {
    /// All of them, in the order in which they are run.
    pub const ALL: [Self; 15] = [
        Self::Claims,
        Self::Depth,
        Self::Classes,
        Self::Pinned,
        Self::Lives,
        Self::Wake,
        Self::Start,
        Self::Enqueue,
        Self::Cron,
        Self::Notify,
        Self::Logs,
        Self::Volume,
        Self::Summary,
        Self::Cases,
        Self::Waiting,
    ];

    /// Returns its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Claims => "claims",
            Self::Depth => "depth",
            Self::Classes => "classes",
            Self::Pinned => "pinned",
            Self::Lives => "lives",
            Self::Wake => "wake",
            Self::Start => "start",
            Self::Enqueue => "enqueue",
            Self::Cron => "cron",
            Self::Notify => "notify",
            Self::Logs => "logs",
            Self::Volume => "volume",
            Self::Summary => "summary",
            Self::Cases => "cases",
            Self::Waiting => "waiting",
        }
    }
}

/// The size of a run of the benchmark.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Shows that the benchmark works; its figures say little.
    pub is_quick: bool,
    /// What is measured.
    pub sections: Vec<Section>,
    /// How often every point is measured.
    pub rounds: usize,
    /// How long pgbench is run; it knows whole seconds only.
    pub seconds: u32,
    /// How long the API is called, as a part of that.
    pub part: f64,
    /// How long the idle server is watched in every round.
    pub idle: Duration,
    /// After this time a section gives up.
    pub limit: Duration,
    /// `claims`: how many runs wait, few and many.
    pub depths: [u64; 2],
    /// `claims`: how many claim at the same time.
    pub claimers: Vec<u32>,
    /// `depth`: how many runs wait, from few to many.
    pub depths_wide: Vec<u64>,
    /// `depth`: how many claim at the same time.
    pub claimers_wide: Vec<u32>,
    /// `classes`: how many there are.
    pub classes: u32,
    /// `classes`: how many runs wait in each.
    pub runs_of_class: u64,
    /// `classes`: how many of them a runner fits; the last fits all.
    pub fits: Vec<u32>,
    /// `pinned`: how many runs wait.
    pub pinned_depth: u64,
    /// `pinned`: how many dead rows lie before them.
    pub dead_rows: u64,
    /// `lives`: how often runs are triggered; each makes 250.
    pub triggers: u32,
    /// `lives`: how many jobs graphile-worker drains.
    pub drained: u32,
    /// `wake`: how often a waiting claim is woken.
    pub wake_ups: u32,
    /// `wake`: how often one is not told, and finds out by itself.
    pub deaf_wake_ups: u32,
    /// `start`: how many containers are started.
    pub starts: u32,
    /// `enqueue`: how many tests are due in each round.
    pub due_tests: u32,
    /// `cron`: how many tests are due at each instant.
    pub cron_tests: u32,
    /// `cron`: how many replicas share the schedule.
    pub replicas: usize,
    /// `logs`: how many write at the same time.
    pub writers: Vec<u32>,
    /// `logs`: how many lines a short log has.
    pub short_log: usize,
    /// `logs`: how many lines a long log has.
    pub long_log: usize,
    /// `volume`: the bytes of a large log.
    pub volume: u64,
    /// `summary`: how many runs there are, few and many.
    pub summed: [u64; 2],
    /// `summary`: how often it is asked for.
    pub asked: u32,
    /// `cases`: how many cases a report has.
    pub reported_cases: u64,
    /// `cases`: how many tests are told at once.
    pub shown_tests: u32,
    /// `cases`: how many rows of cases there are.
    pub told_cases: u64,
    /// `waiting`: how many claims wait at once.
    pub waiting: usize,
    /// `waiting`: how long everything is left alone before it is watched.
    pub settled: Duration,
    /// `waiting`: how long it is watched.
    pub watched: Duration,
}

impl Plan {
    /// Reads the arguments.
    pub fn from_args(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut is_quick, mut sections) = (false, Vec::new());
        for arg in args {
            match arg.as_str() {
                "--quick" => is_quick = true,
                // `cargo bench` says so to every benchmark.
                "--bench" => {}
                word => match Section::ALL.into_iter().find(|section| section.word() == word) {
                    Some(section) => sections.push(section),
                    None => {
                        let known = Section::ALL.map(Section::word).join(", ");
                        return Err(format!("there is no section {word}; there are {known}"));
                    }
                },
            }
        }
        // In their own order, each once.
        sections.sort_unstable();
        sections.dedup();
        if sections.is_empty() {
            sections.extend(Section::ALL);
        }
        let plan = if is_quick { Self::quick() } else { Self::full() };
        Ok(Self { sections, ..plan })
    }

    fn full() -> Self {
        Self {
            is_quick: false,
            sections: Vec::new(),
            rounds: 5,
            seconds: 2,
            part: 1.0,
            idle: Duration::from_secs(2),
            limit: Duration::from_secs(12 * 60),
            depths: [1_000, 1_000_000],
            claimers: vec![1, 16],
            depths_wide: vec![1_000, 100_000, 1_000_000, 5_000_000],
            claimers_wide: vec![1, 16, 64],
            classes: 10_000,
            runs_of_class: 100,
            fits: vec![1, 100, 1_000, 10_000],
            pinned_depth: 100_000,
            dead_rows: 1_000_000,
            triggers: 40,
            drained: 50_000,
            wake_ups: 300,
            deaf_wake_ups: 30,
            starts: 100,
            due_tests: 20_000,
            cron_tests: 10_000,
            replicas: 3,
            writers: vec![1, 8],
            short_log: 1_000,
            long_log: 100_000,
            volume: 1_000_000_000,
            summed: [1_000_000, 10_000_000],
            asked: 500,
            reported_cases: 200_000,
            shown_tests: 10_000,
            told_cases: 10_000_000,
            waiting: 10_000,
            settled: Duration::from_secs(30),
            watched: Duration::from_secs(30),
        }
    }

    fn quick() -> Self {
        Self {
            is_quick: true,
            rounds: 1,
            seconds: 1,
            part: 0.2,
            idle: Duration::from_millis(300),
            limit: Duration::from_secs(2 * 60),
            depths: [1_000, 5_000],
            claimers: vec![1, 4],
            depths_wide: vec![1_000, 2_000, 4_000, 8_000],
            claimers_wide: vec![1, 4, 8],
            classes: 400,
            runs_of_class: 20,
            fits: vec![1, 20, 400],
            pinned_depth: 4_000,
            dead_rows: 20_000,
            triggers: 3,
            drained: 2_000,
            wake_ups: 10,
            deaf_wake_ups: 2,
            starts: 4,
            due_tests: 250,
            cron_tests: 300,
            replicas: 2,
            writers: vec![1, 2],
            long_log: 5_000,
            volume: 8_000_000,
            summed: [20_000, 220_000],
            asked: 50,
            reported_cases: 10_000,
            shown_tests: 500,
            told_cases: 100_000,
            waiting: 1_000,
            settled: Duration::from_secs(1),
            watched: Duration::from_secs(2),
            ..Self::full()
        }
    }

    /// How long the API is called for one sample.
    pub fn window(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds)).mul_f64(self.part)
    }
}
