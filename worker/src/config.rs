//! What a worker can be told: flags, each also a variable `TSTR_…` of the environment.
//!
//! The only file of this crate that reads the environment. [`Config::check`] names every fault at once.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use tstr_shared::duration::Seconds;
use tstr_shared::runner::LIMITS;
use tstr_shared::selector::{SelectorSources, Selectors};
use tstr_shared::size::Bytes;

/// The most runs that one worker executes at once.
pub const MAX_SLOTS: usize = 1024;
/// The longest name of a runner, in bytes.
const MAX_NAME: usize = 128;

/// What to do when the engine cannot enforce limits of memory, processors or processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LimitsMode {
    /// Refuse to start.
    Require,
    /// Say so and go on.
    Warn,
}

/// How a worker is run.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// The API's gRPC address; `host:port` is enough
    #[arg(long, env = "TSTR_GRPC_ADDR", value_name = "URL", default_value = Config::GRPC_ADDR)]
    pub grpc_addr: String,

    /// The file that holds the worker's token (scope `runner`); read again when the token is refused
    #[arg(long, env = "TSTR_TOKEN_FILE", value_name = "PATH")]
    pub token_file: PathBuf,

    /// The runner's name, unique among live runners [default: the host's name]
    #[arg(long, env = "TSTR_NAME")]
    pub name: Option<String>,

    /// How many runs execute at once [default: the number of cores]
    ///
    /// Each needs 65536 subordinate ids of its own in /etc/subuid and /etc/subgid, and one such block stays free;
    /// with fewer ids the number is lowered, and the worker says so.
    #[arg(long, env = "TSTR_SLOTS", value_name = "N")]
    pub slots: Option<usize>,

    /// How many workers share the Podman service, and so its subordinate ids.
    #[arg(skip = 1_usize)]
    pub sharers: usize,

    /// Take only runs whose label KEY matches the regular expression; the key `*` stands for all other labels
    #[arg(long, env = "TSTR_ACCEPT", value_name = "KEY=REGEX", value_delimiter = '\n')]
    pub accept: Vec<String>,

    /// Refuse runs whose label KEY matches the regular expression
    #[arg(long, env = "TSTR_REJECT", value_name = "KEY=REGEX", value_delimiter = '\n')]
    pub reject: Vec<String>,

    /// The socket of a rootless Podman service [default: $XDG_RUNTIME_DIR/podman/podman.sock when it answers, else a
    /// service of its own]
    #[arg(long, env = "TSTR_PODMAN_SOCKET", value_name = "PATH")]
    pub podman_socket: Option<PathBuf>,

    /// Where the worker keeps its id, the spool of logs and its own Podman's storage; one worker per directory
    #[arg(long, env = "TSTR_DATA_DIR", value_name = "PATH", default_value_os_t = default_data_dir())]
    pub data_dir: PathBuf,

    /// What to do when the engine cannot enforce limits of memory, processors and processes
    #[arg(long, env = "TSTR_LIMITS", value_name = "MODE", default_value = "warn")]
    pub limits: LimitsMode,

    /// After SIGTERM, how long running containers may go on before they are stopped
    #[arg(long, env = "TSTR_DRAIN_TIMEOUT", value_name = "DURATION", default_value = "30s")]
    pub drain_timeout: Seconds,

    /// Run as root; containers are less well kept apart from the host then
    #[arg(long, env = "TSTR_ALLOW_ROOT")]
    pub allow_root: bool,

    /// Take nothing new while the disk of the data directory has less free than this [default: 256MiB, but at most a
    /// tenth of the disk]
    #[arg(long, env = "TSTR_MIN_FREE", value_name = "SIZE")]
    pub min_free: Option<Bytes>,

    /// How long an image may take to arrive; then the run ends as an error
    #[arg(long, env = "TSTR_PULL_TIMEOUT", value_name = "DURATION", default_value = "30m")]
    pub pull_timeout: Seconds,

    /// The program that guards containers when it is started with the argument `guard`: this one
    #[arg(skip = PathBuf::from(Config::THIS_PROGRAM))]
    pub guard_program: PathBuf,
}

/// Every fault of a configuration, one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Config {
    /// Where the API listens when nothing else is said.
    pub const GRPC_ADDR: &'static str = "http://127.0.0.1:9000";
    /// This program, also after its file was replaced by another.
    const THIS_PROGRAM: &'static str = "/proc/self/exe";

    /// Makes a configuration with all defaults.
    pub fn new(grpc_addr: impl Into<String>, token_file: impl Into<PathBuf>, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            grpc_addr: grpc_addr.into(),
            token_file: token_file.into(),
            name: None,
            slots: None,
            sharers: 1,
            accept: Vec::new(),
            reject: Vec::new(),
            podman_socket: None,
            data_dir: data_dir.into(),
            limits: LimitsMode::Warn,
            drain_timeout: Seconds(30),
            allow_root: false,
            min_free: None,
            pull_timeout: Seconds(30 * 60),
            guard_program: PathBuf::from(Self::THIS_PROGRAM),
        }
    }

    /// Checks everything that can be known before anything is started; reports all faults.
    ///
    /// # Errors
    ///
    /// Returns every fault, each with the flag it is about.
    pub fn check(&self) -> Result<(), Faults> {
        let mut faults = Vec::new();
        if let Err(fault) = self.endpoint() {
            faults.push(fault);
        }
        match std::fs::read_to_string(&self.token_file) {
            Ok(text) if text.trim().is_empty() => {
                faults.push(format!("--token-file {}: the file is empty", self.token_file.display()));
            }
            Ok(_) => {}
            Err(error) => faults.push(format!("--token-file {}: {error}", self.token_file.display())),
        }
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if let Some(name) = &self.name
            && !((1..=MAX_NAME).contains(&name.len()) && name.bytes().all(word))
        {
            faults.push(format!("--name '{name}': a name has 1 to {MAX_NAME} letters, digits, '.', '_', '-'"));
        }
        if let Some(slots) = self.slots
            && !(1..=MAX_SLOTS).contains(&slots)
        {
            faults.push(format!("--slots {slots} is not from 1 to {MAX_SLOTS}"));
        }
        match self.selectors() {
            Ok(sources) => {
                if let Err(invalid) = Selectors::parse(&sources) {
                    let each = invalid.errors.iter().map(|e| format!("--accept/--reject {}: {}", e.pointer, e.detail));
                    faults.extend(each);
                }
            }
            Err(fault) => faults.push(format!("--accept/--reject: {fault}")),
        }
        if let Err(fault) = check_user(self.allow_root) {
            faults.push(fault);
        }
        if faults.is_empty() { Ok(()) } else { Err(Faults(faults)) }
    }

    /// Returns the API's address with a scheme.
    pub(crate) fn endpoint(&self) -> Result<String, String> {
        let fault = |why: &str| format!("--grpc-addr {}: {why}", self.grpc_addr);
        let url = match self.grpc_addr.split_once("://") {
            Some(("http", _)) => self.grpc_addr.clone(),
            Some(_) => return Err(fault("only http:// is spoken")),
            None => format!("http://{}", self.grpc_addr),
        };
        let uri: hyper::Uri = url.parse().map_err(|error| fault(&format!("not an address ({error})")))?;
        match uri.authority() {
            Some(authority) if authority.port().is_some() && !authority.host().is_empty() => Ok(url),
            _ => Err(fault("write it as http://host:port")),
        }
    }

    /// Returns the labels that the runner takes and refuses.
    pub(crate) fn selectors(&self) -> Result<SelectorSources, String> {
        SelectorSources::from_pairs(&self.accept, &self.reject)
    }

    /// Returns the runner's name.
    pub(crate) fn runner_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| name_of_host(&rustix::system::uname().nodename().to_string_lossy()))
    }

    /// Returns how many runs execute at once, given that the engine has ids for `ceiling` of them, and what there is
    /// to say about it.
    pub(crate) fn effective_slots(&self, ceiling: Option<usize>) -> (u16, Option<String>) {
        let wanted = self.slots.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let wanted = wanted.clamp(1, MAX_SLOTS);
        let slots = ceiling.map_or(wanted, |ceiling| wanted.min(ceiling.max(1)));
        let note = (slots < wanted).then(|| {
            format!(
                "{slots} slots instead of {wanted}: each container needs 65536 subordinate ids of its own; \
                 grant more in /etc/subuid and /etc/subgid"
            )
        });
        (u16::try_from(slots).unwrap_or(u16::MAX), note)
    }
}

/// Refuses root unless it is allowed.
pub(crate) fn check_user(allow_root: bool) -> Result<(), String> {
    if rustix::process::geteuid().is_root() && !allow_root {
        return Err("a worker does not run as root, for its containers would be less well kept apart from the host; \
                    use an ordinary user, or say --allow-root"
            .into());
    }
    Ok(())
}

/// Returns the limits that a runner is expected to enforce, in words.
pub(crate) fn limits_in_words() -> String {
    LIMITS.join(", ")
}

/// Returns `$XDG_RUNTIME_DIR`, where there is one.
pub(crate) fn runtime_dir() -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute())
}

/// Makes a path absolute, without asking the file system about it.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn default_data_dir() -> PathBuf {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let data = data.or_else(|| std::env::home_dir().map(|home| home.join(".local/share")));
    data.unwrap_or_else(|| PathBuf::from("/var/lib")).join("tstr/runner")
}

fn name_of_host(host: &str) -> String {
    let name: String = host
        .chars()
        .take(MAX_NAME)
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
        .collect();
    if name.is_empty() { "runner".into() } else { name }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        config: Config,
    }

    fn config(addr: &str) -> Config {
        Config::new(addr, "/nonexistent/token", "/nonexistent/data")
    }

    #[test]
    fn an_address_needs_no_scheme() {
        assert_eq!(config("127.0.0.1:9000").endpoint(), Ok("http://127.0.0.1:9000".into()));
        assert_eq!(config("http://[::1]:9000").endpoint(), Ok("http://[::1]:9000".into()));
        for bad in ["https://x:1", "ftp://x:1", "x", "", "http://", "http://x", ":9000", "a b:1"] {
            assert!(config(bad).endpoint().is_err(), "{bad}");
        }
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let mut config = config("nowhere");
        config.name = Some("a b".into());
        config.slots = Some(0);
        config.accept = vec!["region".into()];
        config.allow_root = true;
        let faults = config.check().unwrap_err();
        let flags = ["--grpc-addr", "--token-file", "--name", "--slots", "--accept"];
        assert_eq!(faults.0.len(), flags.len(), "{faults}");
        for flag in flags {
            assert!(faults.to_string().contains(flag), "{flag} in {faults}");
        }
        config.accept = vec!["region=(".into()];
        assert!(config.check().unwrap_err().to_string().contains("region"), "a broken pattern is named");
    }

    #[test]
    fn few_subordinate_ids_lower_the_slots_and_say_so() {
        let mut config = config("x:1");
        config.slots = Some(40);
        assert_eq!(config.effective_slots(None), (40, None));
        let (slots, note) = config.effective_slots(Some(31));
        assert_eq!(slots, 31);
        assert!(note.unwrap().contains("31 slots instead of 40"));
        assert_eq!(config.effective_slots(Some(0)).0, 1);
    }

    #[test]
    fn flags_repeat_and_keep_commas() {
        let args = ["tstr", "--token-file", "t", "--accept", "a=x{1,2}", "--accept", "b=y", "--drain-timeout", "1m"];
        let cli = Cli::try_parse_from(args).unwrap();
        assert_eq!(cli.config.accept, ["a=x{1,2}", "b=y"]);
        assert_eq!((cli.config.drain_timeout, cli.config.limits), (Seconds(60), LimitsMode::Warn));
        assert!(cli.config.data_dir.is_absolute());
    }

    #[test]
    fn a_hosts_name_becomes_a_runners_name() {
        assert_eq!(name_of_host("büro 1.lan"), "b-ro-1.lan");
        assert_eq!(name_of_host(""), "runner");
    }
}
