//! The parts of a running `tstr up`: how each is started from those before it, and how all are stopped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use chrono::{TimeDelta, Utc};
use futures_util::future::{join_all, pending, select_all};
use tokio::time::timeout;
use tracing::{error, info, warn};
use tstr_shared::duration::Seconds;
use tstr_shared::permission::Scope;
use tstr_shared::session::SessionCode;
use tstr_shared::token::{IssuedToken, MAX_EXPIRY, NewToken};
use tstr_worker::podman_home::{PodmanHome, PodmanService};

use super::client::Client;
use super::data_dir::{self, DataDir};
use super::postgres::Postgres;
use super::{Addresses, UpArgs, demo};

/// What a run under way is given to end by itself when all is stopped; then its container is stopped, and the run goes
/// back to the queue.
const DRAIN: Seconds = Seconds(10);
/// How long a part may take to stop; the workers' own limits are below it.
const STOP_LIMIT: Duration = Duration::from_secs(90);
/// A runner token with less life left is replaced at the start.
const RENEW_BEFORE: TimeDelta = TimeDelta::days(60);

/// The parts that are running. Those that were not started, or are stopped already, are empty.
#[derive(Default)]
pub struct Parts {
    postgres: Option<Postgres>,
    api: Option<tstr_api::server::Running>,
    ui: Option<tstr_api::ui::Running>,
    admin: Option<Client>,
    podman: Option<PodmanHome>,
    podman_service: Option<PodmanService>,
    workers: Vec<tstr_worker::Running>,
}

impl Parts {
    /// Starts every part in order. If it fails, or is dropped half-way, [`Self::stop`] stops what has been started.
    pub async fn start(&mut self, args: &UpArgs, dir: &DataDir) -> Result<Addresses> {
        let private_dsn = match &args.pg_dsn {
            Some(_) => None,
            None => {
                let postgres = Postgres::spawn(dir.path(), data_dir::runtime_dir().as_deref()).await?;
                let postgres = self.postgres.insert(postgres);
                postgres.ready().await?;
                info!("PostgreSQL is ready");
                Some(postgres.dsn())
            }
        };
        let dsn = private_dsn.clone().or_else(|| args.pg_dsn.clone()).context("there is a database")?;

        let token_file = dir.join("admin.token");
        let mut config = tstr_api::Config::new(dsn, dir.join("token.key"));
        config.json_addr = args.json_addr;
        config.grpc_addr = args.grpc_addr;
        config.bootstrap_token_file = Some(token_file.clone());
        config.insecure_plaintext = args.insecure_plaintext;
        let artifacts = dir.private_dir("artifacts")?;
        config.artifacts_url = Some(format!("file://{}", artifacts.display()));
        config.max_database_size = args.max_database_size;
        // The disk is ours to watch only where the database is.
        config.database_disk = self.postgres.as_ref().map(|_| (dir.path().to_path_buf(), args.min_free));
        let api = tstr_api::server::start(config).await.context("start the API")?;
        let api = self.api.insert(api);
        let json = format!("http://{}", reachable(api.json_addr()));
        let grpc = format!("http://{}", reachable(api.grpc_addr()));
        info!("the API is ready: JSON at {json}, gRPC at {grpc}");

        let ui = self.ui.insert(ui(args, &json).await?);
        let ui = format!("http://{}", reachable(ui.addr()));
        info!("the web UI is ready at {ui}");
        api.ops().show_ui_at(ui.clone());

        let admin = admin(&json, &token_file).await?;
        if args.runners > 0 || args.demo {
            self.podman = Some(PodmanHome::prepare(dir.path()).context("prepare Podman")?);
        }
        if let Some(podman) = &self.podman
            && args.runners > 0
        {
            let service = self.podman_service.insert(podman.serve().await.context("start Podman's service")?);
            let runner_token = runner_token(&admin, dir).await?;
            // Several workers share the cores.
            let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
            let slots = match args.runners {
                1 => args.slots,
                several => args.slots.or(Some((cores / usize::from(several)).max(1))),
            };
            for number in 1..=args.runners {
                let mut config = tstr_worker::Config::new(
                    grpc.clone(),
                    runner_token.clone(),
                    dir.private_dir(&format!("worker-{number}"))?,
                );
                config.name = Some(runner_name(number));
                config.slots = slots;
                config.sharers = usize::from(args.runners);
                config.limits = args.limits;
                config.podman_socket = Some(service.socket());
                config.drain_timeout = DRAIN;
                config.min_free = args.min_free;
                self.workers.push(tstr_worker::start(config).await.with_context(|| format!("start worker {number}"))?);
            }
            info!("{} worker(s) ready", self.workers.len());
        }
        self.admin = Some(admin);
        Ok(Addresses { json, grpc, ui, token_file, private_dsn })
    }

    /// Makes a link that signs a browser in once; everything has to be started.
    ///
    /// # Errors
    /// The API refuses it.
    pub async fn sign_in_link(&self) -> Result<Option<String>> {
        let Some(admin) = &self.admin else { return Ok(None) };
        let made = admin.ask("/api/v1/session/codes").await?;
        Ok(serde_json::from_value::<SessionCode>(made)?.link)
    }

    /// Builds and registers the demo; everything has to be started.
    pub async fn set_up_demo(&self, dir: &DataDir) -> Result<()> {
        let podman = self.podman.as_ref().context("Podman is prepared")?;
        demo::set_up(podman, self.admin.as_ref().context("the API is started")?, dir).await
    }

    /// Resolves when a part ends without having been asked to.
    pub async fn failed(&mut self) -> anyhow::Error {
        let Parts { postgres, api, podman_service, workers, .. } = self;
        tokio::select! {
            fault = async {
                match postgres {
                    Some(postgres) => postgres.failed().await,
                    None => pending().await,
                }
            } => fault,
            fault = async {
                match api {
                    Some(api) => api.failed().await.context("the API has failed"),
                    None => pending().await,
                }
            } => fault,
            fault = async {
                match podman_service {
                    Some(service) => service.failed().await.context("Podman has failed"),
                    None => pending().await,
                }
            } => fault,
            fault = async {
                if workers.is_empty() {
                    return pending().await;
                }
                let (fault, index, _) = select_all(workers.iter_mut().map(|worker| Box::pin(worker.failed()))).await;
                fault.context(format!("worker {} has failed", index + 1))
            } => fault,
        }
    }

    /// A handle on the runs that the workers execute, which works while [`Self::stop`] waits for them.
    pub fn runs_under_way(&self) -> RunsUnderWay {
        RunsUnderWay(self.workers.iter().map(tstr_worker::Running::stops).collect())
    }

    /// Stops every part, the last started first. A part that does not stop well does not keep the others from it.
    ///
    /// # Errors
    /// The first part's that did not stop well.
    pub async fn stop(&mut self) -> Result<()> {
        let mut first = Ok(());
        let mut note = |what: &str, result: Result<()>| {
            if let Err(fault) = result {
                error!("stopping {what}: {fault:#}");
                if first.is_ok() {
                    first = Err(fault.context(format!("stop {what}")));
                }
            }
        };
        if !self.workers.is_empty() {
            info!("stopping the workers; runs under way have {} s to end", DRAIN.0);
        }
        let workers = self.workers.drain(..).map(|worker| within(STOP_LIMIT, worker.stop()));
        for result in join_all(workers).await {
            note("a worker", result);
        }
        if let Some(service) = self.podman_service.take() {
            note("Podman's service", within(STOP_LIMIT, service.stop()).await);
        }
        if let Some(ui) = self.ui.take() {
            ui.stop().await;
        }
        if let Some(api) = self.api.take() {
            note("the API", within(STOP_LIMIT, api.stop()).await);
        }
        if let Some(postgres) = self.postgres.take() {
            note("PostgreSQL", postgres.stop().await);
        }
        if first.is_ok() {
            info!("all is stopped");
        }
        first
    }

    /// Lets go of everything without waiting.
    pub fn abort(&self) {
        if let Some(postgres) = &self.postgres {
            postgres.abort();
        }
    }
}

async fn within(limit: Duration, stop: impl Future<Output = Result<()>>) -> Result<()> {
    timeout(limit, stop).await.map_err(|_| anyhow!("it takes longer than {} s", limit.as_secs()))?
}

/// The runs that were under way when it was made.
pub struct RunsUnderWay(Vec<tstr_worker::Stops>);

impl RunsUnderWay {
    /// Ends their containers now; they go back to the queue.
    pub fn end(&self) {
        self.0.iter().for_each(tstr_worker::Stops::stop_now);
    }
}

/// Starts the web UI in front of the API at `json`. A second instance on one machine, which nobody told where to listen,
/// takes a free port.
async fn ui(args: &UpArgs, json: &str) -> Result<tstr_api::ui::Running> {
    let mut config = tstr_api::ui::Config::new(json);
    config.addr = args.ui_addr.unwrap_or(tstr_api::ui::Config::ADDR);
    config.files = args.ui_files.clone();
    config.insecure_plaintext = args.insecure_plaintext;
    let is_taken = args.ui_addr.is_none() && std::net::TcpListener::bind(config.addr).is_err();
    if is_taken {
        warn!("{} is taken: the web UI takes a free port", config.addr);
        config.addr.set_port(0);
    }
    tstr_api::ui::start(config).await.context("start the web UI")
}

/// A client with the administrator's token, which the API has written at its first start.
async fn admin(json: &str, token_file: &Path) -> Result<Client> {
    let token = std::fs::read_to_string(token_file)
        .with_context(|| format!("read the administrator's token {}", token_file.display()))?;
    let admin = Client::new(json.to_owned(), token.trim().to_owned())?;
    admin.identity().await?.with_context(|| {
        format!(
            "the API refuses the administrator's token in {}, and there is another administrator: put a token of theirs \
             into that file",
            token_file.display()
        )
    })?;
    Ok(admin)
}

/// The file of the token that the workers use, issued at the first start and again when it nears its end.
async fn runner_token(admin: &Client, dir: &DataDir) -> Result<PathBuf> {
    let file = dir.join("runner.token");
    let now = Utc::now();
    if let Ok(token) = std::fs::read_to_string(&file)
        && let Some(identity) = admin.with_token(token.trim().to_owned()).identity().await?
        && identity.token.expires_at - now > RENEW_BEFORE
    {
        return Ok(file);
    }
    // No token can outlive the one that issues it.
    let issuer = admin.identity().await?.context("the API refuses the administrator's token")?;
    let longest = issuer.token.expires_at - now - TimeDelta::minutes(1);
    let wanted = NewToken {
        name: "up-runner".into(),
        scopes: vec![Scope::Runner],
        namespaces: vec![".*".into()],
        expires_in: MAX_EXPIRY.min(Seconds(u32::try_from(longest.num_seconds()).unwrap_or(0))),
    };
    let key = format!("up-runner-{}", uuid::Uuid::now_v7());
    let issued = admin.post("/api/v1/tokens", &serde_json::to_value(wanted)?, &key).await;
    let issued: IssuedToken = serde_json::from_value(issued.context("issue the runners' token")?)?;
    data_dir::write_secret(&file, &issued.token)?;
    Ok(file)
}

/// The first runner is called like the machine, the others get a number.
fn runner_name(number: u16) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "localhost",
        host => host,
    };
    if number == 1 { host.to_owned() } else { format!("{host}-{number}") }
}

/// The address under which a listener is reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_means_all_of_them_is_reached_on_this_machine() {
        let reached = |address: &str| reachable(address.parse().expect("an address")).to_string();
        assert_eq!(reached("0.0.0.0:9090"), "127.0.0.1:9090");
        assert_eq!(reached("[::]:9090"), "[::1]:9090");
        assert_eq!(reached("192.0.2.7:1"), "192.0.2.7:1");
    }
}
