//! What `tstr api` is told by flags, environment or file.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use tstr_shared::lease::LeaseTimes;
use tstr_shared::size::Bytes;

/// The settings of the API. Every flag can also be given in the environment.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// The PostgreSQL database, for instance postgres://tstr@localhost/tstr
    #[arg(long, env = "TSTR_PG_DSN", hide_env_values = true)]
    pub pg_dsn: String,

    /// Where the JSON API listens; port 0 takes a free one
    #[arg(long, env = "TSTR_JSON_ADDR", default_value_t = Config::JSON_ADDR)]
    pub json_addr: SocketAddr,

    /// Where the gRPC API listens; port 0 takes a free one
    #[arg(long, env = "TSTR_GRPC_ADDR", default_value_t = Config::GRPC_ADDR)]
    pub grpc_addr: SocketAddr,

    /// Holds the key that seals the signing keys; the same file for all replicas, readable only by them. A server that
    /// has no signing key yet makes it
    #[arg(long, env = "TSTR_KEY_FILE", default_value = "tstr.key")]
    pub key_file: PathBuf,

    /// Where the first start writes a token for the administrator; refused once there is one
    #[arg(long, env = "TSTR_BOOTSTRAP_TOKEN_FILE")]
    pub bootstrap_token_file: Option<PathBuf>,

    /// Run no schedules on this replica
    #[arg(long, env = "TSTR_NO_SCHEDULER")]
    pub no_scheduler: bool,

    /// Do not migrate the database; `tstr migrate` does it alone
    #[arg(long, env = "TSTR_NO_MIGRATE")]
    pub no_migrate: bool,

    /// The most connections to the database of this replica
    #[arg(long, env = "TSTR_PG_CONNECTIONS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(Config::PG_CONNECTIONS))]
    pub pg_connections: u32,

    /// `--pg-dsn` leads to pgbouncer in transaction mode, which knows the database three times: under its name, and with
    /// `_claim` and `_beat` behind it
    #[arg(long, env = "TSTR_PG_POOLED")]
    pub pg_pooled: bool,

    /// The way past the pooler, for notifications and migrations. Without it replicas find by looking what others do
    #[arg(long, env = "TSTR_PG_DIRECT_DSN", hide_env_values = true)]
    pub pg_direct_dsn: Option<String>,

    /// A streaming standby of the database, which lists are read from
    #[arg(long, env = "TSTR_PG_REPLICA_DSN", hide_env_values = true)]
    pub pg_replica_dsn: Option<String>,

    /// Read lists from the primary while the standby is further behind than this many seconds
    #[arg(long, env = "TSTR_PG_REPLICA_LAG_SECS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(Config::PG_REPLICA_LAG_SECS))]
    pub pg_replica_lag_secs: u32,

    /// How large the database may become, for instance 200GiB: beyond it no new runs are made, and those that are there go on
    #[arg(long, env = "TSTR_MAX_DATABASE_SIZE", value_name = "SIZE")]
    pub max_database_size: Option<Bytes>,

    /// Where artifacts are kept: file:///folder, or s3://bucket/prefix with the variables AWS_…; the same for all replicas.
    /// Without it runs keep none
    #[arg(long, env = "TSTR_ARTIFACTS_URL", value_name = "URL")]
    pub artifacts_url: Option<String>,

    /// Where people find the web UI, for the links that sign them in, for instance https://tstr.example
    #[arg(long, env = "TSTR_UI_URL", value_name = "URL")]
    pub ui_url: Option<String>,

    /// A folder of this machine's disk that the database lies on, and what is to stay free there; `tstr up` sets it
    #[arg(skip)]
    pub database_disk: Option<(PathBuf, Option<Bytes>)>,

    /// The durations that leases go by: `default` replaces a lost worker within 67 s, `test` within 7.5 s
    #[arg(long, env = "TSTR_LEASE_TIMES", default_value = "default", hide = true)]
    pub lease_times: LeaseProfile,

    /// Speak unencrypted HTTP and gRPC on addresses other than loopback
    #[arg(long, env = "TSTR_INSECURE_PLAINTEXT")]
    pub insecure_plaintext: bool,
}

/// A set of lease times by its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LeaseProfile {
    /// For ordinary operation.
    #[default]
    Default,
    /// For tests.
    Test,
}

impl LeaseProfile {
    /// Returns the durations.
    pub fn times(self) -> LeaseTimes {
        match self {
            Self::Default => LeaseTimes::DEFAULT,
            Self::Test => LeaseTimes::TEST,
        }
    }
}

impl Config {
    const JSON_ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
    const GRPC_ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9000);

    /// Fewer are not enough for requests, claims, heartbeats, notifications and the pulse, one each.
    const PG_CONNECTIONS: RangeInclusive<i64> = 5..=1000;
    const PG_REPLICA_LAG_SECS: RangeInclusive<i64> = 1..=600;

    /// Makes the settings for a database and a key file, all else as by default.
    pub fn new(pg_dsn: impl Into<String>, key_file: impl Into<PathBuf>) -> Self {
        Self {
            pg_dsn: pg_dsn.into(),
            json_addr: Self::JSON_ADDR,
            grpc_addr: Self::GRPC_ADDR,
            key_file: key_file.into(),
            bootstrap_token_file: None,
            no_scheduler: false,
            no_migrate: false,
            pg_connections: 20,
            pg_pooled: false,
            pg_direct_dsn: None,
            pg_replica_dsn: None,
            pg_replica_lag_secs: 10,
            max_database_size: None,
            artifacts_url: None,
            ui_url: None,
            database_disk: None,
            lease_times: LeaseProfile::Default,
            insecure_plaintext: false,
        }
    }

    /// Returns the address of the database past a pooler, if there is one.
    pub fn direct_dsn(&self) -> &str {
        self.pg_direct_dsn.as_deref().unwrap_or(&self.pg_dsn)
    }

    /// Checks the settings; reports all faults at once.
    pub fn check(&self) -> anyhow::Result<()> {
        let mut faults = Vec::new();
        let dsns = [
            ("--pg-dsn", Some(&self.pg_dsn)),
            ("--pg-direct-dsn", self.pg_direct_dsn.as_ref()),
            ("--pg-replica-dsn", self.pg_replica_dsn.as_ref()),
        ];
        for (flag, dsn) in dsns.into_iter().filter_map(|(flag, dsn)| Some((flag, dsn?))) {
            match dsn.parse::<sqlx::postgres::PgConnectOptions>() {
                Err(error) => faults.push(format!("{flag} is not a PostgreSQL address: {error}")),
                Ok(options) if flag == "--pg-dsn" && self.pg_pooled && options.get_database().is_none() => {
                    faults.push(
                        "--pg-dsn must name the database, for --pg-pooled puts _claim and _beat behind it".to_owned(),
                    );
                }
                Ok(_) => {}
            }
        }
        // Whoever makes the settings himself has not passed the command line.
        for (flag, number, range) in [
            ("--pg-connections", self.pg_connections, Self::PG_CONNECTIONS),
            ("--pg-replica-lag-secs", self.pg_replica_lag_secs, Self::PG_REPLICA_LAG_SECS),
        ] {
            if !range.contains(&i64::from(number)) {
                faults.push(format!("{flag} {number} is not from {} to {}", range.start(), range.end()));
            }
        }
        if let Some(url) = &self.artifacts_url
            && !url.starts_with("file:///")
            && !url.starts_with("s3://")
        {
            faults.push(format!("--artifacts-url {url} is neither file:///… nor s3://…"));
        }
        if let Some(url) = &self.ui_url
            && !url.starts_with("http://")
            && !url.starts_with("https://")
        {
            faults.push(format!("--ui-url {url} is neither http://… nor https://…"));
        }
        match (self.pg_pooled, &self.pg_direct_dsn) {
            (false, Some(_)) => faults.push("--pg-direct-dsn is of no use without --pg-pooled".to_owned()),
            (true, None) if !self.no_migrate => faults.push(
                "--pg-pooled needs --pg-direct-dsn to migrate the database, or --no-migrate and `tstr migrate` past the \
                 pooler"
                    .to_owned(),
            ),
            (true, _) | (false, None) => {}
        }
        for (flag, addr) in [("--json-addr", self.json_addr), ("--grpc-addr", self.grpc_addr)] {
            if !addr.ip().is_loopback() && !self.insecure_plaintext {
                faults.push(format!(
                    "{flag} {addr} is not loopback and would be unencrypted; put a TLS proxy in front of a loopback \
                     address, or say --insecure-plaintext"
                ));
            }
        }
        if self.json_addr == self.grpc_addr && self.json_addr.port() != 0 {
            faults.push("--json-addr and --grpc-addr must differ".to_owned());
        }
        anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_reported_at_once() {
        let addr = "0.0.0.0:9000".parse().unwrap();
        let config = Config {
            json_addr: addr,
            grpc_addr: addr,
            artifacts_url: Some("/srv".into()),
            ..Config::new("not an address", "key")
        };
        let text = config.check().unwrap_err().to_string();
        assert!(
            text.contains("--pg-dsn") && text.contains("--insecure-plaintext") && text.contains("must differ"),
            "{text}"
        );
        assert!(text.contains("--artifacts-url"), "{text}");
        assert!(Config::new("postgres://localhost/x", "key").check().is_ok());
    }

    #[test]
    fn numbers_are_checked_whoever_has_set_them() {
        let fault = |pg_connections, pg_replica_lag_secs| {
            let config = Config { pg_connections, pg_replica_lag_secs, ..Config::new("postgres://localhost/x", "key") };
            config.check().err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(fault(5, 1), "");
        assert_eq!(
            fault(4, 0),
            "--pg-connections 4 is not from 5 to 1000\n--pg-replica-lag-secs 0 is not from 1 to 600"
        );
        assert!(fault(1001, 10).contains("--pg-connections 1001"));
    }

    #[test]
    fn a_pooler_needs_a_way_past_it_or_somebody_else_who_migrates() {
        let pooled = |change: &dyn Fn(&mut Config)| {
            let mut config = Config { pg_pooled: true, ..Config::new("postgres://localhost/x", "key") };
            change(&mut config);
            config.check().err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(pooled(&|_| {}).contains("--no-migrate"));
        assert_eq!(pooled(&|config| config.no_migrate = true), "");
        assert_eq!(pooled(&|config| config.pg_direct_dsn = Some("postgres://db/x".into())), "");
        let useless = pooled(&|config| {
            config.pg_pooled = false;
            config.pg_direct_dsn = Some("postgres://db/x".into());
        });
        assert!(useless.contains("--pg-direct-dsn"), "{useless}");
        let nameless = pooled(&|config| {
            config.no_migrate = true;
            config.pg_dsn = "postgres://localhost".into();
            config.pg_replica_dsn = Some("nowhere".into());
        });
        assert!(nameless.contains("must name the database") && nameless.contains("--pg-replica-dsn"), "{nameless}");
    }
}
