//! A `tstr api` as a process of its own, and workers that speak gRPC to it with a real token.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tstr_proto::v1 as pb;
use tstr_proto::v1::control_service_client::ControlServiceClient;
use tstr_proto::v1::runner_service_client::RunnerServiceClient;
use tstr_shared::permission::Scope;
use tstr_tests::process::{Process, command};
use tstr_tests::{Person, binary, factory};
use uuid::Uuid;

use crate::cpu;
use crate::server::Server;

/// The name of the test whose runs fill the queue.
pub const TEST: &str = "bench";

/// The API of one database.
pub struct Api {
    process: Process,
    admin: Person,
    grpc_url: String,
    runner_token: String,
    control_bearer: MetadataValue<Ascii>,
    channel: Channel,
}

impl Api {
    /// Starts the API on a new database, lifts the quotas, registers the test and issues a token for runners. Call on
    /// the main thread: the process ends with the thread that started it.
    pub async fn start(server: &Server, database: &str) -> Result<Self> {
        server.create_database(database).await?;
        let file = |suffix: &str| -> PathBuf { server.dir().join(format!("{database}.{suffix}")) };
        let token_file = file("token");
        let (process, json_url, grpc_url) = serve(server, database, file("log")).await?;
        let token = std::fs::read_to_string(&token_file).context("read the administrator's token")?;
        let admin = Person::new(json_url, Some(token.trim().to_owned()));
        let none = json!({"quotas": {"max_queued": null, "max_running": null}});
        admin.patch("/api/v1/namespaces/default", &none).await.expect(200);
        let matrix = json!({"labels": {"region": ["nyc", "sfo"], "network": ["public", "private"]}});
        let test = factory::with(factory::test(TEST), "/matrix", matrix);
        let test = factory::with(test, "/limits", json!({"log": "1GiB"}));
        admin.post("/api/v1/namespaces/default/tests", &test).await.expect(201);
        let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Runner], &[".*"])).await.expect(201);
        let runner_token = issued["token"].as_str().context("the token")?.to_owned();
        let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Control], &[".*"])).await.expect(201);
        let control_bearer = format!("Bearer {}", issued["token"].as_str().context("the token")?).parse()?;
        let channel = connect(&grpc_url).await?;
        Ok(Self { process, admin, grpc_url, runner_token, control_bearer, channel })
    }

    /// Starts another replica on the same database.
    pub async fn replica(&self, server: &Server, database: &str) -> Result<Self> {
        let log = server.dir().join(format!("{database}.{}.log", Uuid::new_v4().simple()));
        let (process, json_url, grpc_url) = serve(server, database, log).await?;
        let channel = connect(&grpc_url).await?;
        let (runner_token, control_bearer) = (self.runner_token.clone(), self.control_bearer.clone());
        Ok(Self { process, admin: self.admin.at(json_url), grpc_url, runner_token, control_bearer, channel })
    }

    /// Registers a test.
    pub async fn register(&self, test: &serde_json::Value) {
        self.admin.post("/api/v1/namespaces/default/tests", test).await.expect(201);
    }

    /// Runs a test now.
    pub async fn trigger_test(&self, test: &str) -> Result<()> {
        let answer = self.admin.post(&format!("/api/v1/namespaces/default/tests/{test}/runs"), &json!({})).await;
        ensure!(answer.status == 201, "a trigger was answered {}: {}", answer.status, answer.text());
        Ok(())
    }

    /// Returns somebody who triggers runs through gRPC.
    pub fn controller(&self) -> Controller {
        Controller { client: ControlServiceClient::new(self.channel.clone()), bearer: self.control_bearer.clone() }
    }

    /// Returns where it listens for workers.
    pub fn grpc_url(&self) -> &str {
        &self.grpc_url
    }

    /// Returns a token for workers.
    pub fn runner_token(&self) -> &str {
        &self.runner_token
    }

    /// Returns the administrator.
    pub fn admin(&self) -> &Person {
        &self.admin
    }

    /// Ends it at once, as a crash would.
    pub fn kill(self) {
        self.process.signal(Signal::KILL);
    }

    /// Returns the id of the process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Returns how much memory the process has, in MiB.
    pub fn resident_mib(&self) -> Result<f64> {
        cpu::resident_mib(self.process.pid())
    }

    /// Triggers the test once; returns the ids of its runs, one for each of its four placement classes.
    pub async fn trigger(&self) -> Result<Vec<Uuid>> {
        let path = format!("/api/v1/namespaces/default/tests/{TEST}/runs");
        let made = self.admin.post(&path, &json!({})).await.expect(201);
        let runs = made["runs"].as_array().context("the runs")?;
        runs.iter().map(|run| Ok(run["id"].as_str().context("an id")?.parse()?)).collect()
    }

    /// Registers a worker with a connection of its own that takes everything.
    pub async fn worker(&self, name: &str) -> Result<Worker> {
        self.worker_for(name, "").await
    }

    /// Registers a worker with a connection of its own that takes runs whose label `n` is matched; everything, when the
    /// text is empty.
    pub async fn worker_for(&self, name: &str, n: &str) -> Result<Worker> {
        let channel = connect(&self.grpc_url).await?;
        let client = RunnerServiceClient::new(channel).max_decoding_message_size(64 << 20);
        let bearer = format!("Bearer {}", self.runner_token).parse()?;
        let mut worker = Worker { client, bearer, id: Uuid::new_v4().to_string() };
        let about = pb::RunnerAbout { version: "bench".into(), ..Default::default() };
        let asked = pb::RegisterRunnerRequest {
            id: worker.id.clone(),
            name: name.into(),
            slots: 1024,
            accept: (!n.is_empty()).then(|| ("n".to_owned(), n.to_owned())).into_iter().collect(),
            about: Some(about),
            ..Default::default()
        };
        let request = worker.request(asked);
        worker.client.register_runner(request).await?;
        Ok(worker)
    }

    /// Returns the processor time that the process has used.
    pub fn cpu_us(&self) -> f64 {
        cpu::process_us(self.process.pid())
    }

    /// Stops it in order.
    pub fn stop(mut self) -> Result<()> {
        let status = self.process.terminate(Duration::from_secs(30));
        ensure!(status.success(), "the API ended with {status}:\n{}", self.process.log_text());
        Ok(())
    }
}

async fn connect(grpc_url: &str) -> Result<Channel> {
    Ok(Endpoint::from_shared(grpc_url.to_owned())?.tcp_nodelay(true).connect().await?)
}

/// Somebody who triggers runs.
#[derive(Clone)]
pub struct Controller {
    client: ControlServiceClient<Channel>,
    bearer: MetadataValue<Ascii>,
}

impl Controller {
    /// Runs a test now; returns how many runs that made.
    pub async fn trigger(&mut self, test: &str) -> Result<usize> {
        let asked = pb::TriggerRunRequest { namespace: "default".into(), test: test.into(), ..Default::default() };
        let mut request = Request::new(asked);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        let triggered = self.client.trigger_run(request).await.context("trigger a test")?.into_inner();
        ensure!(!triggered.runs.is_empty(), "a trigger made no runs");
        Ok(triggered.runs.len())
    }
}

/// Starts a process that serves a database; returns where it listens.
async fn serve(server: &Server, database: &str, log: PathBuf) -> Result<(Process, String, String)> {
    let file = |suffix: &str| server.dir().join(format!("{database}.{suffix}"));
    let mut api = command(binary());
    api.args(["api", "--json-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0", "--log-format", "json"]);
    api.arg("--key-file").arg(file("key")).arg("--bootstrap-token-file").arg(file("token"));
    // By the environment, as the address of a database should be.
    api.env("TSTR_PG_DSN", server.dsn(database));
    let mut process = Process::start(api, log);
    let (json_url, grpc_url) = addresses(&mut process).await?;
    Ok((process, json_url, grpc_url))
}

/// Waits until the API says where it listens.
async fn addresses(process: &mut Process) -> Result<(String, String)> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let log = process.log_text();
        let url = |of: &str| -> Option<String> {
            let rest = log.split_once(of)?.1;
            let rest = &rest[rest.find("http://")?..];
            Some(rest[..rest.find([',', '"', '\n'])?].to_owned())
        };
        if let (Some(json), Some(grpc)) = (url("the JSON API listens on"), url("the gRPC API on")) {
            return Ok((json, grpc));
        }
        ensure!(process.is_running() && Instant::now() < deadline, "the API did not start:\n{log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A registered runner.
#[derive(Clone)]
pub struct Worker {
    client: RunnerServiceClient<Channel>,
    bearer: MetadataValue<Ascii>,
    id: String,
}

impl Worker {
    /// Returns the runner's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The same connection in the name of another runner of the same token.
    pub fn with_id(&self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self.clone() }
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }

    /// Claims up to `max` runs.
    pub async fn claim(&mut self, max: u32, wait: Duration) -> Result<Vec<pb::LeasedRun>> {
        let wish = pb::ClaimRunsRequest {
            runner_id: self.id.clone(),
            max,
            wait_ms: u32::try_from(wait.as_millis())?,
            claim_id: Uuid::new_v4().to_string(),
            only_repeat: false,
            first: true,
        };
        let request = self.request(wish);
        Ok(self.client.claim_runs(request).await.context("claim runs")?.into_inner().runs)
    }

    /// Says that the runner lives, and has no leases.
    pub async fn beat(&mut self) -> Result<()> {
        let asked = pb::HeartbeatRequest { runner_id: self.id.clone(), ..Default::default() };
        let request = self.request(asked);
        self.client.heartbeat(request).await.context("send a heartbeat")?;
        Ok(())
    }

    /// Starts a run.
    pub async fn start(&mut self, fence: pb::Fence) -> Result<()> {
        let asked = pb::StartRunRequest { runner_id: self.id.clone(), fence: Some(fence) };
        let request = self.request(asked);
        self.client.start_run(request).await.context("start a run")?;
        Ok(())
    }

    /// Finishes a run that passed and wrote nothing.
    pub async fn finish(&mut self, fence: pb::Fence) -> Result<()> {
        let empty = || Some(pb::StreamSeal { sha256: Sha256::digest([]).to_vec(), ..Default::default() });
        let outcome = pb::Outcome { exit_code: Some(0), ..pb::Outcome::default() };
        let asked = pb::FinishRunRequest {
            runner_id: self.id.clone(),
            fence: Some(fence),
            outcome: Some(pb::Outcome { result: pb::RunResult::Pass.into(), ..outcome }),
            seal: Some(pb::LogSeal { stdout: empty(), stderr: empty(), incomplete: false }),
        };
        let request = self.request(asked);
        let missing = self.client.finish_run(request).await.context("finish a run")?.into_inner().missing_from;
        ensure!(missing.is_none(), "bytes of an empty log are missing");
        Ok(())
    }

    /// Appends pieces to a log; returns the number of the next piece.
    pub async fn append(&mut self, fence: pb::Fence, chunks: Vec<pb::LogChunk>) -> Result<u32> {
        let pieces = pb::AppendLogsRequest { runner_id: self.id.clone(), fence: Some(fence), chunks };
        let request = self.request(pieces);
        let answer = self.client.append_logs(request).await.context("append to a log")?.into_inner();
        Ok(answer.next.context("the answer says where the log ends")?.next_seq)
    }
}

/// Makes the use cases on a database that an API has made, in this process.
pub async fn use_cases(server: &Server, database: &str) -> Result<tstr_api::ops::Ops> {
    let pools = tstr_api::server::connect(&tstr_api::Config::new(server.dsn(database), "no-key")).await?;
    let tokens = tstr_api::auth::verify::Tokens::new(&[tstr_api::auth::keys::SigningPair::generate()?]);
    let times = tstr_shared::lease::LeaseTimes::DEFAULT;
    Ok(tstr_api::ops::Ops::new(pools, tokens, times, b"cursors"))
}
