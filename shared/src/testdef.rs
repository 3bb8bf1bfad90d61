//! Tests as users write them: the container, where and when it runs, and within which limits.

mod command;
mod version;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::command::Command;
pub use self::version::{MAX_VERSIONS, TestVersion};
use crate::artifacts::{Artifacts, MAX_TOTAL};
use crate::concurrency::Concurrency;
use crate::duration::Seconds;
use crate::error::{Invalid, pointer_step};
use crate::ids::TestId;
use crate::image;
use crate::labels::Labels;
use crate::matrix::Matrix;
use crate::namespace::Namespace;
use crate::schedule::{CatchUp, Checked, Schedule, ScheduleError, Upcoming};
use crate::size::Bytes;

/// The longest name of a test.
pub const MAX_NAME: usize = 128;
/// The most arguments, of `command` and `args` each.
pub const MAX_ARGS: usize = 256;
/// The longest argument or value of an environment variable, in bytes.
pub const MAX_TEXT: usize = 32 * 1024;
/// The longest sum of arguments, and of environment variables, in bytes.
pub const MAX_TEXT_SUM: usize = 128 * 1024;
/// The most environment variables.
pub const MAX_ENV: usize = 128;

/// What a container runs with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The image reference.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 512)))]
    pub container_image: String,
    /// Replaces the image's entrypoint: a list of arguments, or a string that is one argument.
    #[serde(default, skip_serializing_if = "Command::is_empty")]
    pub command: Command,
    /// Arguments; they replace the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 256)))]
    pub args: Vec<String>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub env: Labels,
    /// How long the container may run, from 1s to 24h.
    #[serde(default = "default_timeout")]
    pub timeout: Seconds,
    /// How long the container may take to end after SIGTERM before SIGKILL, at most 300s.
    #[serde(default = "default_grace")]
    pub grace: Seconds,
    /// What the container may use.
    #[serde(default)]
    pub resources: Resources,
    /// What the container may reach.
    #[serde(default)]
    pub network: Network,
    /// When the image is pulled.
    #[serde(default)]
    pub pull: Pull,
}

/// What a container may use of its host. Where the engine cannot enforce one of these, the runner says so.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// Memory, without swap; from 4MiB.
    pub memory: Bytes,
    /// Processor cores, from 0.01 to 1024.
    pub cpus: f64,
    /// Processes and threads, from 1 to 65536.
    pub pids: u32,
}

impl Default for Resources {
    fn default() -> Self {
        Self { memory: Bytes::mib(512), cpus: 1.0, pids: 256 }
    }
}

/// What a container may reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Nothing but itself.
    #[default]
    None,
    /// Hosts outside, by a network of its own; not the runner's loopback.
    Outbound,
}

/// When the image is pulled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Pull {
    /// When the runner does not have it.
    #[default]
    Missing,
    /// Before every attempt.
    Always,
    /// Never; an image that is not there is an error.
    Never,
}

/// A run's place among the waiting runs of its namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "db", derive(sqlx::Type))]
#[serde(rename_all = "snake_case")]
#[repr(i16)]
pub enum Priority {
    /// Before all others.
    Urgent = 0,
    /// Before the ordinary ones.
    High = 1,
    /// The ordinary one.
    #[default]
    Normal = 2,
    /// After all others.
    Low = 3,
}

impl Priority {
    /// All of them, the most pressing first.
    pub const ALL: [Self; 4] = [Self::Urgent, Self::High, Self::Normal, Self::Low];

    /// Returns its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// How often a run is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Extra attempts after `fail` or `timed_out`, at most 10.
    #[cfg_attr(feature = "schema", schemars(range(max = 10)))]
    pub on_fail: u8,
    /// Extra attempts after a loss of the infrastructure, at most 4.
    #[cfg_attr(feature = "schema", schemars(range(max = 4)))]
    pub on_infrastructure: u8,
}

impl Default for Retry {
    fn default() -> Self {
        Self { on_fail: 0, on_infrastructure: 1 }
    }
}

/// How much is kept of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The log of one attempt, both streams together; up to 1GiB.
    pub log: Bytes,
    /// The files of one attempt together; up to 256MiB. With 0 none are kept.
    pub artifacts: Bytes,
}

impl Default for Limits {
    fn default() -> Self {
        Self { log: Bytes::mib(64), artifacts: MAX_TOTAL }
    }
}

fn default_timeout() -> Seconds {
    Seconds::minutes(10)
}
fn default_grace() -> Seconds {
    Seconds(10)
}

/// How long a run may wait when its test does not say it.
pub const DEFAULT_QUEUE_DEADLINE: Seconds = Seconds::hours(24);

/// A test as it is registered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewTestDef {
    /// Unique within the namespace: 1 to 128 letters, digits, `.`, `_`, `-`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,128}$")))]
    pub name: String,
    /// Labels; they decide placement.
    #[serde(default)]
    pub labels: Labels,
    /// Annotations; they only describe.
    #[serde(default)]
    pub annotations: Labels,
    /// What is executed.
    pub run_config: RunConfig,
    /// The label combinations that the test is fanned out over; without it there is one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Matrix>,
    /// When it runs by itself: five fields of a crontab, or a word such as `@daily`. `L` is the last day of the month,
    /// `FRIL` its last Friday, `TUE#3` its third Tuesday. `H` stands for a value that the test's id decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = 128)))]
    pub cron_schedule: Option<String>,
    /// The time zone of the schedule, a name of the IANA database; UTC without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Which instants are made up for that were missed while no scheduler ran.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// A missed instant older than this is not made up for; without it the schedule's period, at most 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_deadline: Option<Seconds>,
    /// How long a run may wait; after it, it ends with `queue_expired`. From 1s to 30d; without it 24h, and for
    /// scheduled runs the schedule's period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_deadline: Option<Seconds>,
    /// How many runs may be under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// How often a run is tried again.
    #[serde(default)]
    pub retry: Retry,
    /// How much is kept of a run.
    #[serde(default)]
    pub limits: Limits,
    /// Which files are kept of a run.
    #[serde(default)]
    pub artifacts: Artifacts,
    /// Never run again after a loss of the infrastructure.
    #[serde(default)]
    pub at_most_once: bool,
    /// Place among the waiting runs of the namespace.
    #[serde(default)]
    pub priority: Priority,
    /// The schedule makes no runs; triggers still do.
    #[serde(default)]
    pub paused: bool,
}

/// A test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestDef {
    /// Names the test; stays when it is renamed.
    pub id: TestId,
    /// The namespace it belongs to.
    pub namespace: Namespace,
    /// Counts the changes of the test; its `ETag`.
    pub version: i32,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// The next instant of its schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at: Option<DateTime<Utc>>,
    /// The test as it was registered.
    #[serde(flatten)]
    pub spec: NewTestDef,
}

/// A test with what its registration has to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RegisteredTest {
    /// The test.
    #[serde(flatten)]
    pub test: TestDef,
    /// What may not be as it was meant, for instance a cell that no known runner takes.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The next five instants at which it runs by itself; none while it is paused.
    #[serde(default)]
    pub upcoming: Vec<Upcoming>,
}

/// When a test runs by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestSchedule {
    /// The schedule in words.
    pub description: String,
    /// The time zone it is read in.
    pub time_zone: String,
    /// The schedule makes no runs while the test is paused.
    pub paused: bool,
    /// The next instants.
    pub upcoming: Vec<Upcoming>,
}

/// What an apply did or, as a dry run, would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The test is new.
    Created,
    /// The test differs from what was registered.
    Updated,
    /// The test is as it was registered.
    Unchanged,
}

/// The answer to an apply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Applied {
    /// What was done or would be done.
    pub change: Change,
    /// Whether this was a dry run, which stores nothing.
    pub dry_run: bool,
    /// The fields that differ, with their values before and after.
    pub diff: Vec<FieldChange>,
    /// What may not be as it was meant.
    pub warnings: Vec<String>,
    /// The next five instants at which the test runs by itself, or would after a dry run; none while it is paused, and
    /// none while nobody knows where an `H` of its schedule will fall.
    #[serde(default)]
    pub upcoming: Vec<Upcoming>,
    /// The test as it is stored now; absent where a dry run would create it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<TestDef>,
}

/// One field that an apply changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FieldChange {
    /// A JSON pointer into the test.
    pub pointer: String,
    /// The value before; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<serde_json::Value>,
    /// The value after; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<serde_json::Value>,
}

impl NewTestDef {
    /// Checks every field; reports all faults with their places.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        if let Err(fault) = check_name(&self.name) {
            invalid.add("/name", fault);
        }
        for (place, labels) in [("/labels", &self.labels), ("/annotations", &self.annotations)] {
            if let Err(part) = labels.validate() {
                invalid.add_all(place, part);
            }
        }
        if let Err(part) = self.run_config.validate() {
            invalid.add_all("/run_config", part);
        }
        if let Err(part) = self.cells() {
            invalid.add_all("", part);
        }
        if let Err(fault) = self.check_schedule() {
            invalid.add(format!("/{}", fault.field()), fault.to_string());
        }
        if let Some(Err(part)) = self.concurrency.as_ref().map(Concurrency::validate) {
            invalid.add_all("/concurrency", part);
        }
        if self.cron_schedule.is_none() && self.time_zone.is_some() {
            invalid.add("/time_zone", "a time zone needs a cron_schedule");
        }
        let mut within = |place: &str, value: Seconds, low: u32, high: u32, words: &str| {
            if !(low..=high).contains(&value.0) {
                invalid.add(place, format!("{value} is not {words}"));
            }
        };
        if let Some(deadline) = self.queue_deadline {
            within("/queue_deadline", deadline, 1, 30 * 86_400, "from 1s to 30d");
        }
        if let Some(deadline) = self.start_deadline {
            within("/start_deadline", deadline, 1, 7 * 86_400, "from 1s to 7d");
        }
        if self.retry.on_fail > 10 {
            invalid.add("/retry/on_fail", format!("{} is not from 0 to 10", self.retry.on_fail));
        }
        if self.retry.on_infrastructure > 4 {
            invalid.add("/retry/on_infrastructure", format!("{} is not from 0 to 4", self.retry.on_infrastructure));
        }
        if self.limits.log.0 > 1 << 30 {
            invalid.add("/limits/log", format!("{} is over 1GiB", self.limits.log));
        }
        if self.limits.artifacts > MAX_TOTAL {
            invalid.add("/limits/artifacts", format!("{} is over {MAX_TOTAL}", self.limits.artifacts));
        }
        if let Err(part) = self.artifacts.validate() {
            invalid.add_all("/artifacts", part);
        }
        invalid.into_result()
    }

    /// Returns the cells of the matrix; one empty cell without a matrix. Labels of test and cell together obey the limits.
    pub fn cells(&self) -> Result<Vec<Labels>, Invalid> {
        let Some(matrix) = &self.matrix else { return Ok(vec![Labels::default()]) };
        let cells = matrix.cells().map_err(|part| {
            let mut invalid = Invalid::default();
            invalid.add_all("/matrix", part);
            invalid
        })?;
        for cell in &cells {
            if let Err(part) = self.labels.merged(cell).validate() {
                let mut invalid = Invalid::default();
                invalid.add_all("/matrix", part);
                return Err(invalid);
            }
        }
        Ok(cells)
    }

    /// Returns the parsed schedule, if the test has one. The id of the test decides where `H` falls.
    pub fn schedule(&self, id: TestId) -> Result<Option<Schedule>, ScheduleError> {
        let zone = self.time_zone.as_deref();
        self.cron_schedule.as_deref().map(|spec| Schedule::parse_for(id, spec, zone)).transpose()
    }

    /// Returns the parsed schedule of a test that may have no id yet; nothing where an `H` waits for one, or where the
    /// schedule is refused.
    pub fn decided_schedule(&self, id: Option<TestId>) -> Option<Schedule> {
        match id {
            Some(id) => self.schedule(id).ok().flatten(),
            None => Schedule::parse(self.cron_schedule.as_deref()?, self.time_zone.as_deref()).ok(),
        }
    }

    /// Checks the schedule of a test that may have no id yet, and says what it means.
    pub fn check_schedule(&self) -> Result<Option<Checked>, ScheduleError> {
        self.cron_schedule.as_deref().map(|spec| Schedule::check(spec, self.time_zone.as_deref())).transpose()
    }

    /// Returns how old a missed instant may be to be made up for: what the test says, else the period of its schedule
    /// at that instant, at most an hour.
    pub fn start_deadline_at(&self, schedule: &Schedule, at: DateTime<Utc>) -> chrono::Duration {
        let hour = chrono::Duration::hours(1);
        match self.start_deadline {
            Some(deadline) => chrono::Duration::seconds(i64::from(deadline.0)),
            None => schedule.period_at(at).unwrap_or(hour).min(hour),
        }
    }
}

impl RunConfig {
    /// Makes a configuration that runs an image with all defaults.
    pub fn of_image(image: impl Into<String>) -> Self {
        Self {
            container_image: image.into(),
            command: Command::default(),
            args: Vec::new(),
            env: Labels::default(),
            timeout: default_timeout(),
            grace: default_grace(),
            resources: Resources::default(),
            network: Network::default(),
            pull: Pull::default(),
        }
    }

    /// Checks every field; reports all faults with their places.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        if let Err(fault) = image::check(&self.container_image) {
            invalid.add("/container_image", fault);
        }
        for (place, list) in [("/command", &self.command.0), ("/args", &self.args)] {
            check_args(&mut invalid, place, list);
        }
        if self.command.0.first().is_some_and(String::is_empty) {
            invalid.add("/command/0", "a command must not be empty");
        }
        if let Err(part) = check_env(&self.env) {
            invalid.add_all("/env", part);
        }
        if !(1..=86_400).contains(&self.timeout.0) {
            invalid.add("/timeout", format!("{} is not from 1s to 24h", self.timeout));
        }
        if self.grace.0 > 300 {
            invalid.add("/grace", format!("{} is over 300s", self.grace));
        }
        let resources = &self.resources;
        if !(Bytes::mib(4)..=Bytes(1 << 44)).contains(&resources.memory) {
            invalid.add("/resources/memory", format!("{} is not from 4MiB to 16384GiB", resources.memory));
        }
        if !(0.01..=1024.0).contains(&resources.cpus) {
            invalid.add("/resources/cpus", format!("{} is not from 0.01 to 1024", resources.cpus));
        }
        if !(1..=65_536).contains(&resources.pids) {
            invalid.add("/resources/pids", format!("{} is not from 1 to 65536", resources.pids));
        }
        invalid.into_result()
    }
}

/// Checks a test's name.
pub fn check_name(name: &str) -> Result<(), String> {
    let fits = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if fits { Ok(()) } else { Err(format!("a name has 1 to {MAX_NAME} letters, digits, '.', '_', '-'")) }
}

/// Checks environment variables: names, sizes, and that none is reserved.
pub fn check_env(env: &Labels) -> Result<(), Invalid> {
    let mut invalid = Invalid::default();
    if env.0.len() > MAX_ENV {
        invalid.add("", format!("{} variables, at most {MAX_ENV} are allowed", env.0.len()));
    }
    let sum: usize = env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if sum > MAX_TEXT_SUM {
        invalid.add("", format!("{sum} bytes together, at most {MAX_TEXT_SUM} are allowed"));
    }
    for (name, value) in env.iter() {
        let place = format!("/{}", pointer_step(name));
        let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        let fits = (1..=128).contains(&name.len())
            && name.bytes().next().is_some_and(first)
            && name.bytes().all(|b| first(b) || b.is_ascii_digit());
        if !fits {
            invalid
                .add(&place, "a variable's name has 1 to 128 letters, digits and '_' and does not begin with a digit");
        }
        if name.starts_with("TSTR_") {
            invalid.add(&place, "names that begin with TSTR_ are reserved");
        }
        if value.len() > MAX_TEXT {
            invalid.add(&place, format!("{} bytes, at most {MAX_TEXT} are allowed", value.len()));
        }
        if value.contains(['\0', '\n']) {
            invalid.add(&place, "a value must not hold a NUL or a line break");
        }
    }
    invalid.into_result()
}

fn check_args(invalid: &mut Invalid, place: &str, list: &[String]) {
    if list.len() > MAX_ARGS {
        invalid.add(place, format!("{} arguments, at most {MAX_ARGS} are allowed", list.len()));
    }
    if list.iter().map(String::len).sum::<usize>() > MAX_TEXT_SUM {
        invalid.add(place, format!("over {MAX_TEXT_SUM} bytes together"));
    }
    for (i, arg) in list.iter().enumerate() {
        if arg.len() > MAX_TEXT {
            invalid.add(format!("{place}/{i}"), format!("{} bytes, at most {MAX_TEXT} are allowed", arg.len()));
        }
        if arg.contains('\0') {
            invalid.add(format!("{place}/{i}"), "an argument must not hold a NUL");
        }
    }
}

#[cfg(test)]
mod tests;
