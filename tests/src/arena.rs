//! The world of the fault harness: three replicas behind a balancer, a PostgreSQL and workers of their own, each worker
//! behind a network that can be bad; and everything that the checker wants to know about it.

mod end;
mod tap;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tstr_shared::permission::Scope;
use uuid::Uuid;

use crate::balancer::Balancer;
use crate::checker::{Cancel, Evidence, Snapshot, boot_nanos};
use crate::driver::Driver;
use crate::postgres::Postgres;
use crate::process::{command, make_dir, run};
use crate::replica::{Replica, artifacts, token_file};
use crate::room::Room;
use crate::runner::{Runner, Site};
use crate::sightings::Watcher;
use crate::{Person, eventually, factory};

pub use tap::Tap;

/// What a world is made of.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How many workers.
    pub workers: usize,
    /// How many runs each of them executes at once.
    pub slots: usize,
    /// The durations that leases go by: `test` or `default`.
    pub lease_times: &'static str,
}

impl Plan {
    /// A world with short lease times.
    pub const fn short(workers: usize, slots: usize) -> Self {
        Self { workers, slots, lease_times: "test" }
    }

    /// A world with the lease times of ordinary operation.
    pub const fn ordinary(workers: usize, slots: usize) -> Self {
        Self { workers, slots, lease_times: "default" }
    }
}

/// A worker, with the network between it and the API.
pub struct Post {
    /// Its process, while there is one.
    pub runner: Option<Runner>,
    /// The network to the API.
    pub link: Balancer,
    /// Its token.
    pub token: String,
    /// Names its token.
    pub token_id: Uuid,
    /// Where it is.
    pub site: Site,
    /// How it is started.
    pub flags: Vec<String>,
}

impl Post {
    /// Returns its process.
    pub fn runner(&mut self) -> &mut Runner {
        self.runner.as_mut().expect("the worker is there")
    }

    /// Returns its data directory.
    pub fn dir(&self) -> &Path {
        self.site.dir()
    }

    /// Makes a folder of the worker's before the worker does.
    pub fn make_dir(&self, name: &str) -> PathBuf {
        let dir = self.dir().join(name);
        run(command("/bin/mkdir").args(["-p", "-m", "700"]).arg(&dir));
        dir
    }

    /// Puts the store of its Podman on a disk of its own in a room, before the worker is started.
    pub fn store_on(&mut self, room: &Room, mib: u32) -> PathBuf {
        let store = self.make_dir("podman/storage");
        // What the preparation left behind holds namespaces in which the disk is not seen.
        crate::leftovers::end_processes_of(self.dir());
        room.ext4(&store, mib);
        self.site.behind = room.with_disks();
        crate::images::import_behind(&self.site.behind, self.dir());
        store
    }

    /// Kills the worker as a crash would.
    pub fn kill(&mut self) {
        self.runner().process.kill();
        self.runner = None;
    }

    /// Starts it again after its end.
    pub async fn start_again(&mut self) {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        self.runner = Some(self.site.start(&self.link.url(), &flags).await);
    }
}

/// The world.
pub struct Arena {
    /// The database server.
    pub pg: Postgres,
    /// The replicas; absent while they are down.
    pub replicas: Vec<Option<Replica>>,
    /// In front of the JSON APIs.
    pub json: Balancer,
    /// In front of the gRPC APIs, for who works without being at a post.
    pub grpc: Balancer,
    /// The workers.
    pub posts: Vec<Post>,
    /// A client that remembers.
    pub driver: Arc<Driver>,
    /// What was seen so far.
    pub evidence: Evidence,
    watcher: Watcher,
    dir: PathBuf,
    plan: Plan,
    token: String,
    /// Where processes that are gone have left their logs.
    logs: Vec<PathBuf>,
}

impl Arena {
    /// Makes a world; returns when its workers are registered.
    pub async fn start(plan: Plan) -> Self {
        let mut arena = Self::prepare(plan).await;
        arena.start_workers().await;
        arena
    }

    /// Makes a world whose workers have still to be started.
    pub async fn prepare(plan: Plan) -> Self {
        let (pg, dir) = tokio::task::spawn_blocking(|| (Postgres::start(), make_dir("f"))).await.expect("a database");
        let mut conn = PgConnection::connect(&pg.dsn("postgres")).await.expect("connect");
        sqlx::query("CREATE DATABASE tstr").execute(&mut conn).await.expect("make the database");
        let dsn = pg.dsn("tstr");
        let start = || Replica::start_on(&dsn, &dir, plan.lease_times);
        let (one, two, three) = tokio::join!(start(), start(), start());
        crate::db::add_checks(&dsn).await;
        let replicas = vec![Some(one), Some(two), Some(three)];
        let token = std::fs::read_to_string(token_file(&dir)).expect("the first start wrote a token").trim().to_owned();
        let (json, grpc) = (Balancer::start(Vec::new()).await, Balancer::start(Vec::new()).await);
        let driver = Arc::new(Driver::new(vec![json.url()], &token));
        let (watcher, evidence) = (Watcher::start(), Evidence::default());
        let mut arena = Self {
            pg,
            replicas,
            json,
            grpc,
            posts: Vec::new(),
            driver,
            evidence,
            watcher,
            dir,
            plan,
            token,
            logs: Vec::new(),
        };
        arena.point();
        arena.add_workers().await;
        arena
    }

    async fn add_workers(&mut self) {
        let admin = self.admin();
        let mut sites = Vec::new();
        for number in 1..=self.plan.workers {
            let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Runner], &[".*"])).await.expect(201);
            let token = issued["token"].as_str().expect("the secret").to_owned();
            let id = issued["record"]["id"].as_str().and_then(|id| id.parse().ok()).expect("the token's id");
            let (name, secret) = (format!("w{number}"), token.clone());
            sites.push((tokio::task::spawn_blocking(move || Site::with_token(&name, &secret)), token, id));
        }
        for (site, token, token_id) in sites {
            let link = Balancer::start(Vec::new()).await;
            let flags = ["--slots".to_owned(), self.plan.slots.to_string(), "--drain-timeout".into(), "5s".into()];
            let site = site.await.expect("prepare a worker");
            self.posts.push(Post { runner: None, link, token, token_id, site, flags: flags.to_vec() });
        }
        self.point();
    }

    /// Lets the worker at a post call the API at another address, on which the harness listens.
    pub async fn link_at(&mut self, post: usize, address: &str) {
        self.posts[post].link = Balancer::start_at(address, Vec::new()).await;
        self.point();
    }

    /// Starts the workers; returns when they are registered.
    pub async fn start_workers(&mut self) {
        let admin = self.admin();
        for post in &mut self.posts {
            post.start_again().await;
        }
        for post in &self.posts {
            post.runner.as_ref().expect("it was started").registered_at(&admin).await;
        }
    }

    /// Tells the balancers which replicas there are.
    fn point(&self) {
        self.json.set(self.replicas.iter().flatten().map(|one| one.json).collect());
        for link in self.posts.iter().map(|post| &post.link).chain([&self.grpc]) {
            link.set(self.replicas.iter().flatten().map(|one| one.grpc).collect());
        }
    }

    /// Kills a replica as a crash would.
    pub fn kill_replica(&mut self, index: usize) {
        let mut replica = self.replicas[index].take().expect("the replica is there");
        replica.process.kill();
        self.logs.push(replica.process.log.clone());
        self.point();
    }

    /// Asks a replica to stop, and waits; the balancers find out for themselves.
    pub async fn stop_replica(&mut self, index: usize, within: Duration) {
        let mut replica = self.replicas[index].take().expect("the replica is there");
        self.logs.push(replica.process.log.clone());
        let (status, replica) = tokio::task::spawn_blocking(move || (replica.process.terminate(within), replica))
            .await
            .expect("wait for the replica");
        assert!(status.success(), "{status}: {}", replica.process.log_text());
        self.point();
    }

    /// Starts a replica in the place of one that is gone.
    pub async fn start_replica(&mut self, index: usize) {
        let dsn = self.dsn();
        self.start_replica_on(index, &dsn).await;
    }

    /// The same, with another road to the database.
    pub async fn start_replica_on(&mut self, index: usize, dsn: &str) {
        self.replicas[index] = Some(Replica::start_on(dsn, &self.dir, self.plan.lease_times).await);
        self.point();
    }

    /// The same, with more variables in its environment.
    pub async fn start_replica_in(&mut self, index: usize, env: &[(String, String)]) {
        let (dsn, times) = (self.dsn(), self.plan.lease_times);
        self.replicas[index] = Some(Replica::start_in(&dsn, &self.dir, times, env).await);
        self.point();
    }

    /// Returns the address of the database.
    pub fn dsn(&self) -> String {
        self.pg.dsn("tstr")
    }

    /// Opens a connection to the database.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.dsn()).await.expect("connect to the database")
    }

    /// Returns the administrator.
    pub fn admin(&self) -> Person {
        Person::new(self.json.url(), Some(self.token.clone()))
    }

    /// Returns the administrator's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Returns the file with the key that seals the signing keys.
    pub fn key_file(&self) -> PathBuf {
        self.dir.join("key")
    }

    /// Returns the file with the administrator's token.
    pub fn token_file(&self) -> PathBuf {
        token_file(&self.dir)
    }

    /// Returns the folder with the contents of artifacts.
    pub fn artifacts(&self) -> PathBuf {
        artifacts(&self.dir)
    }

    /// Reads one JSON value.
    pub async fn value(&self, query: &str) -> Value {
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned()));
        let value: Option<Value> = query.fetch_one(&mut self.connect().await).await.expect("read a value");
        value.unwrap_or(Value::Null)
    }

    /// Counts the rows that a query finds.
    pub async fn count(&self, from: &str) -> i64 {
        self.value(&format!("SELECT to_jsonb(count(*)) FROM {from}")).await.as_i64().expect("a number")
    }

    /// Reads what a run came to: its end, and how each attempt ended, by whom it was executed and when.
    pub async fn story(&self, run: Uuid) -> Value {
        self.value(&format!(
            "SELECT jsonb_build_object(
                 'state', (SELECT state FROM runs WHERE run_id = '{run}'),
                 'result', (SELECT result FROM run_end WHERE run_id = '{run}'),
                 'reason', (SELECT reason FROM run_end WHERE run_id = '{run}'),
                 'attempt', (SELECT attempt FROM run_end WHERE run_id = '{run}'),
                 'attempts', (SELECT jsonb_agg(jsonb_build_object(
                         'attempt', attempt, 'lease_id', lease_id, 'runner_id', a.runner_id, 'runner', w.name,
                         'result', result, 'reason', reason, 'exit_code', exit_code, 'log', log_status,
                         'stdout', stdout_bytes, 'dropped', stdout_dropped, 'cuts', log_detail->'cuts',
                         'ended', extract(epoch FROM ended_at)) ORDER BY attempt)
                     FROM attempt a JOIN runner w ON w.id = a.runner_id WHERE run_id = '{run}'))"
        ))
        .await
    }

    /// Reads what is told of the worker at a post.
    pub async fn told_of(&self, post: usize) -> Value {
        let (listed, name) = (self.admin().get("/api/v1/namespaces/default/runners").await.expect(200), post + 1);
        let name = format!("w{name}");
        let found = listed["items"].as_array().expect("a list").iter().find(|one| one["name"] == name.as_str());
        found.cloned().unwrap_or_default()
    }

    /// Waits until the worker at a post says that it takes nothing new for this reason, or that it is fit.
    pub async fn says_unfit(&self, post: usize, why: Option<&str>) {
        eventually(&format!("the worker at post {post} says {why:?}"), Duration::from_secs(60), async || {
            (self.told_of(post).await["unfit"].as_str() == why).then_some(())
        })
        .await;
    }

    /// Waits until as many runs as this are running.
    pub async fn running(&self, least: i64) {
        eventually(&format!("{least} runs are running"), Duration::from_secs(60), async || {
            (self.count("lease WHERE started_at IS NOT NULL").await >= least).then_some(())
        })
        .await;
    }

    /// Waits until a run is running; returns the place of its worker among the posts.
    pub async fn held_by(&self, run: Uuid) -> usize {
        self.holder(run, "the run is running", "l.started_at IS NOT NULL").await
    }

    /// Waits until a run is leased and nothing of it has started; returns the place of its worker among the posts.
    pub async fn prepared_by(&self, run: Uuid) -> usize {
        self.holder(run, "the run is leased", "l.started_at IS NULL").await
    }

    async fn holder(&self, run: Uuid, what: &str, so: &str) -> usize {
        let query = format!(
            "SELECT (SELECT to_jsonb(w.name) FROM lease l JOIN runner w ON w.id = l.runner_id
                     WHERE l.run_id = '{run}' AND {so})"
        );
        let name =
            eventually(what, Duration::from_secs(60), async || self.value(&query).await.as_str().map(str::to_owned))
                .await;
        name.trim_start_matches('w').parse::<usize>().expect("workers are numbered") - 1
    }

    /// Cancels a running run; its container is to be dead within `bound`.
    pub async fn cancel(&mut self, run: Uuid, bound: Duration) {
        self.admin().post(&format!("/api/v1/runs/{run}/cancel"), &serde_json::json!({})).await.expect(202);
        let bound = i64::try_from(bound.as_nanos()).expect("a short time");
        self.evidence.cancels.push(Cancel { run, answered: boot_nanos(), bound });
    }

    /// Keeps what the database holds now, so that the checker sees what was changed later.
    pub async fn remember(&mut self) {
        let snapshot = Snapshot::take(&mut self.connect().await).await;
        self.evidence.snapshots.push(snapshot);
    }

    /// Waits until nothing waits or runs any more.
    pub async fn settle(&self, within: Duration) {
        let live = "(SELECT 1 FROM ready UNION ALL SELECT 1 FROM delayed UNION ALL SELECT 1 FROM lease
                     UNION ALL SELECT 1 FROM gated UNION ALL SELECT 1 FROM cancel_order) t";
        let deadline = tokio::time::Instant::now() + within;
        while self.count(live).await > 0 {
            if tokio::time::Instant::now() > deadline {
                let left = self.value("SELECT jsonb_agg(to_jsonb(r)) FROM runs r WHERE state <> 'finished'").await;
                panic!("after {within:?} there are still runs: {left}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Tells when anything of an attempt was seen last; `None` when it was never seen.
    pub fn last_seen(&self, run: Uuid, attempt: i16) -> Option<i64> {
        self.watcher.witness().seen.get(&(run, attempt)).map(|span| span.to)
    }
}
