//! The use cases without the loops around them: a test moves the clock by SQL and takes the turns of the loops itself.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use tokio::sync::Mutex;
use tstr_api::auth::Caller;
use tstr_api::auth::keys::SigningPair;
use tstr_api::auth::verify::Tokens;
use tstr_api::objects::Objects;
use tstr_api::ops::claims::{Claim, Release};
use tstr_api::ops::{Ops, Pools};
use tstr_api::{Config, server, turns};
use tstr_shared::artifacts::{ArtifactNote, ArtifactPath, Blob, Collected, CollectedFile, ContentHash};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::{LeaseId, RunId, RunnerId, TokenId};
use tstr_shared::lease::{Fence, LeaseState, LeaseTimes, LeasedRun};
use tstr_shared::logs::{LogChunk, LogOffsets, LogSeal, Stream};
use tstr_shared::namespace::{Namespace, NamespaceSettings, NewNamespace, Quotas, Retention};
use tstr_shared::output::Output;
use tstr_shared::permission::Scope;
use tstr_shared::run::{Outcome, Reason, Run, RunResult, TriggerRun};
use tstr_shared::runner::{NewRunner, RunnerAbout};
use tstr_shared::selector::SelectorSources;
use tstr_shared::testdef::TestDef;
use tstr_shared::token::Token;
use uuid::Uuid;

use crate::process::make_dir;
use crate::{TestDb, factory};

/// Replicas of the use cases on a database of their own; nothing happens in them unasked.
pub struct Lab {
    /// The database.
    pub db: TestDb,
    /// Somebody who may do everything but execute runs.
    pub admin: Caller,
    /// Where the contents of artifacts lie.
    pub objects: PathBuf,
    replicas: Vec<Ops>,
    pools: Vec<Pools>,
    tokens: Tokens,
    conn: Mutex<PgConnection>,
}

impl Lab {
    /// Makes one replica.
    pub async fn start() -> Self {
        Self::start_with(1).await
    }

    /// Makes replicas.
    pub async fn start_with(replicas: usize) -> Self {
        let db = TestDb::new().await;
        let tokens = Tokens::new(&[SigningPair::generate().expect("make a key")]);
        let conn = Mutex::new(db.connect().await);
        let admin = verified(&tokens, &[Scope::Admin], &[".*"]);
        let objects = make_dir("o");
        let mut lab = Self { db, admin, objects, replicas: Vec::new(), pools: Vec::new(), tokens, conn };
        for _ in 0..replicas {
            lab.add_replica().await;
        }
        lab.sweep_went_through().await;
        lab
    }

    /// Makes one more replica, with connections of its own.
    pub async fn add_replica(&mut self) -> usize {
        let pools = server::connect(&Config::new(self.db.dsn(), "no-key")).await.expect("connect");
        let ops = Ops::new(pools.clone(), self.tokens.clone(), LeaseTimes::DEFAULT, b"cursors");
        ops.keep_artifacts_in(Objects::open(&format!("file://{}", self.objects.display())).expect("a folder"));
        self.replicas.push(ops);
        self.pools.push(pools);
        self.replicas.len() - 1
    }

    /// Makes the use cases of a server that has no place for artifacts.
    pub fn without_artifacts(&self) -> Ops {
        Ops::new(self.pools[0].clone(), self.tokens.clone(), LeaseTimes::DEFAULT, b"cursors")
    }

    /// Makes those of a server that keeps artifacts elsewhere.
    pub fn with_artifacts_in(&self, objects: Objects) -> Ops {
        let ops = self.without_artifacts();
        ops.keep_artifacts_in(objects);
        ops
    }

    /// Returns the first replica.
    pub fn ops(&self) -> &Ops {
        &self.replicas[0]
    }

    /// Returns a replica.
    pub fn replica(&self, index: usize) -> &Ops {
        &self.replicas[index]
    }

    /// Returns the connections of a replica.
    pub fn pools(&self, index: usize) -> &Pools {
        &self.pools[index]
    }

    /// Makes somebody with these scopes in these namespaces.
    pub fn caller(&self, scopes: &[Scope], namespaces: &[&str]) -> Caller {
        verified(&self.tokens, scopes, namespaces)
    }

    /// Registers a runner that takes everything, with a token of its own.
    pub async fn worker(&self, name: &str) -> Worker {
        Worker::register(self.ops(), self.caller(&[Scope::Runner], &[".*"]), name, SelectorSources::default()).await
    }

    /// Registers a test in the namespace `default`.
    pub async fn test(&self, body: Value) -> TestDef {
        let new = serde_json::from_value(body).expect("a test");
        self.ops().create_test(&self.admin, &default(), new, None).await.expect("register the test").test
    }

    /// Runs a test of the namespace `default` now.
    pub async fn trigger(&self, test: &str) -> Vec<RunId> {
        let made = self.ops().trigger(&self.admin, &default(), test, TriggerRun::default(), None).await;
        made.expect("trigger").runs.iter().map(|run| run.id).collect()
    }

    /// Registers a test with these fields changed, and runs it once.
    pub async fn run_of(&self, changes: &[(&str, Value)]) -> RunId {
        let name = format!("t{}", Uuid::new_v4().simple());
        let body = factory::test(&name);
        let body = changes.iter().fold(body, |body, (pointer, value)| factory::with(body, pointer, value.clone()));
        self.test(body).await;
        self.trigger(&name).await[0]
    }

    /// Makes a namespace.
    pub async fn namespace(&self, name: &str) {
        let new = NewNamespace {
            name: Namespace::parse(name).expect("a name"),
            quotas: Quotas::default(),
            retention: Retention::default(),
        };
        self.ops().create_namespace(&self.admin, new, None).await.expect("create the namespace");
    }

    /// Sets how many runs of the namespace `default` may wait and run.
    pub async fn quotas(&self, max_queued: Option<i32>, max_running: Option<i32>) {
        let change = |old: NamespaceSettings| NamespaceSettings {
            quotas: Quotas { max_queued, max_running, ..old.quotas },
            ..old
        };
        self.ops().update_namespace(&self.admin, &default(), change).await.expect("set the quotas");
    }

    /// Reads a run.
    pub async fn get(&self, run: RunId) -> Run {
        self.ops().get_run(&self.admin, run).await.expect("read the run")
    }

    /// Cancels a run.
    pub async fn cancel(&self, run: RunId) -> Result<Run, ErrorCode> {
        self.ops().cancel_run(&self.admin, run).await.map_err(|error| error.code())
    }

    /// Says how the states of a run followed each other, a letter each: `QLRF`.
    pub async fn path(&self, run: RunId) -> String {
        let events = self.ops().run_events(&self.admin, run).await.expect("read the events");
        events.iter().map(|event| event.to.word()[..1].to_uppercase()).collect()
    }

    /// Executes a statement about one run, which is `$1`; returns how many rows it changed.
    pub async fn sql(&self, statement: &str, run: RunId) -> u64 {
        let query = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).bind(run.0);
        query
            .execute(&mut *self.conn.lock().await)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"))
            .rows_affected()
    }

    /// Executes a statement.
    pub async fn execute(&self, statement: &str) -> Result<u64, sqlx::Error> {
        let query = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()));
        Ok(query.execute(&mut *self.conn.lock().await).await?.rows_affected())
    }

    /// Reads one JSON value about one run, which is `$1`.
    pub async fn value(&self, query: &str, run: RunId) -> Value {
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned())).bind(run.0);
        query.fetch_one(&mut *self.conn.lock().await).await.expect("read a value")
    }

    /// Returns all rows of a run in all tables but what only says when it was looked at.
    pub async fn rows(&self, run: RunId) -> Value {
        self.value(
            "SELECT jsonb_build_object(
                 'lease', (SELECT jsonb_agg(to_jsonb(t)) FROM lease t WHERE run_id = $1),
                 'gated', (SELECT jsonb_agg(to_jsonb(t)) FROM gated t WHERE run_id = $1),
                 'ready', (SELECT jsonb_agg(to_jsonb(t)) FROM ready t WHERE run_id = $1),
                 'delayed', (SELECT jsonb_agg(to_jsonb(t)) FROM delayed t WHERE run_id = $1),
                 'end', (SELECT jsonb_agg(to_jsonb(t)) FROM run_end t WHERE run_id = $1),
                 'attempts', (SELECT jsonb_agg(to_jsonb(t) ORDER BY attempt) FROM attempt t WHERE run_id = $1),
                 'events', (SELECT jsonb_agg(to_jsonb(t) ORDER BY at, id) FROM run_event t WHERE run_id = $1),
                 'log', (SELECT jsonb_agg(to_jsonb(t) ORDER BY attempt, seq) FROM log_chunk t WHERE run_id = $1),
                 'artifacts', (SELECT jsonb_agg(to_jsonb(t) ORDER BY attempt, path) FROM artifact t WHERE run_id = $1),
                 'collected', (SELECT jsonb_agg(to_jsonb(t) ORDER BY attempt) FROM collected t WHERE run_id = $1),
                 'output', (SELECT jsonb_agg(to_jsonb(t) ORDER BY attempt) FROM output t WHERE run_id = $1))",
            run,
        )
        .await
    }

    /// Lets the lease of a run run out, long enough ago for the reaper.
    pub async fn lapse(&self, run: RunId) {
        let done =
            self.sql("UPDATE lease SET expires_at = clock_timestamp() - interval '10 s' WHERE run_id = $1", run).await;
        assert_eq!(done, 1, "the run is leased");
    }

    /// Lets the reaper take a turn, as if it had taken its last one in time.
    pub async fn reap(&self) -> usize {
        self.sweep_went_through().await;
        turns::reap(self.ops()).await.expect("reap")
    }

    /// Lets the reaper take a turn after nobody has swept for a while.
    pub async fn reap_after_outage(&self, secs: u32) -> usize {
        self.last_sweep_was(secs).await;
        turns::reap(self.ops()).await.expect("reap")
    }

    async fn sweep_went_through(&self) {
        self.last_sweep_was(3).await;
    }

    async fn last_sweep_was(&self, secs: u32) {
        let statement = format!("UPDATE sweep SET at = clock_timestamp() - interval '{secs} s' WHERE name = 'reaper'");
        assert_eq!(self.execute(&statement).await.expect("set the last sweep"), 1);
    }

    /// Moves delayed runs whose time has come.
    pub async fn move_due(&self) -> usize {
        turns::move_due(self.ops()).await.expect("move")
    }

    /// Ends runs that waited too long.
    pub async fn expire(&self) -> usize {
        turns::expire(self.ops()).await.expect("expire")
    }

    /// Carries out the cancels that were ordered; returns how many.
    pub async fn carry_out_orders(&self) -> usize {
        turns::carry_out_orders(self.ops()).await.expect("carry out")
    }

    /// Fails when an invariant of the contract does not hold.
    pub async fn check(&self) {
        crate::invariants::check(&mut *self.conn.lock().await).await;
    }
}

/// The namespace that every database has.
pub fn default() -> Namespace {
    Namespace::parse("default").expect("a name")
}

/// Somebody whose token was verified.
pub fn verified(tokens: &Tokens, scopes: &[Scope], namespaces: &[&str]) -> Caller {
    let now = Utc::now();
    let record = Token {
        id: TokenId(Uuid::now_v7()),
        name: "lab".into(),
        scopes: scopes.to_vec(),
        namespaces: namespaces.iter().map(|pattern| (*pattern).to_owned()).collect(),
        issued_by: None,
        created_at: now,
        expires_at: now + chrono::Duration::days(1),
        revoked_at: None,
        last_used_at: None,
    };
    tokens.verify(&tokens.sign(&record).expect("sign"), now).expect("verify")
}

/// A worker that speaks to the use cases directly. Failures are reported by their codes.
#[derive(Clone)]
pub struct Worker {
    /// Where it calls.
    pub ops: Ops,
    /// Its token.
    pub caller: Caller,
    /// Its id.
    pub id: RunnerId,
}

impl Worker {
    /// Registers a runner.
    pub async fn register(ops: &Ops, caller: Caller, name: &str, selectors: SelectorSources) -> Self {
        let id = RunnerId(Uuid::new_v4());
        let new = NewRunner { id, name: name.into(), selectors, slots: 10, about: RunnerAbout::default() };
        ops.register_runner(&caller, new).await.expect("register the runner");
        Self { ops: ops.clone(), caller, id }
    }

    /// Registers once more, at any replica, with other selectors.
    pub async fn register_again(&self, ops: &Ops, selectors: SelectorSources) {
        let new = NewRunner { id: self.id, name: "again".into(), selectors, slots: 10, about: RunnerAbout::default() };
        ops.register_runner(&self.caller, new).await.expect("register again");
    }

    /// Claims what is there now.
    pub async fn claim(&self, max: u16) -> Vec<LeasedRun> {
        self.claim_as(Uuid::new_v4(), max).await
    }

    /// Claims under an id of the claim.
    pub async fn claim_as(&self, claim_id: Uuid, max: u16) -> Vec<LeasedRun> {
        let claim = Claim { runner_id: self.id, max, wait: Duration::ZERO, claim_id, only_repeat: false, first: false };
        self.ops.claim(&self.caller, claim).await.expect("claim")
    }

    /// Asks only for what an earlier claim of this id was given.
    pub async fn claim_again(&self, claim_id: Uuid) -> Vec<LeasedRun> {
        let claim =
            Claim { runner_id: self.id, max: 10, wait: Duration::ZERO, claim_id, only_repeat: true, first: false };
        self.ops.claim(&self.caller, claim).await.expect("claim")
    }

    /// Claims the one run that is there.
    pub async fn one(&self) -> Fence {
        self.claim(1).await.pop().expect("a run is there").fence
    }

    /// Claims and starts the one run that is there.
    pub async fn started(&self) -> Fence {
        let fence = self.one().await;
        self.start(fence).await.expect("start");
        fence
    }

    /// Asks for the permission to start.
    pub async fn start(&self, fence: Fence) -> Result<DateTime<Utc>, ErrorCode> {
        self.ops.start_run(&self.caller, self.id, fence).await.map_err(|error| error.code())
    }

    /// Sends a heartbeat.
    pub async fn beat(&self, fences: &[Fence]) -> Vec<LeaseState> {
        let beat = self.ops.heartbeat(&self.caller, self.id, fences.to_vec(), None).await.expect("beat");
        beat.leases.iter().map(|(_, state, _)| *state).collect()
    }

    /// Reports a result; whatever was stored of the log is all of it.
    pub async fn finish(&self, fence: Fence, result: RunResult) -> Result<(), ErrorCode> {
        let missing = self.finish_with(fence, outcome(result), LogSeal::default()).await?;
        assert_eq!(missing, None);
        Ok(())
    }

    /// Reports an outcome.
    pub async fn finish_with(
        &self,
        fence: Fence,
        outcome: Outcome,
        seal: LogSeal,
    ) -> Result<Option<LogOffsets>, ErrorCode> {
        self.ops.finish_run(&self.caller, self.id, fence, outcome, seal).await.map_err(|error| error.code())
    }

    /// Gives a lease back.
    pub async fn release(&self, fence: Fence, reason: Option<Reason>) -> Result<(), ErrorCode> {
        let release = Release { reason, ..Release::default() };
        self.ops.release_run(&self.caller, self.id, fence, release).await.map_err(|error| error.code())
    }

    /// Appends a piece of log.
    pub async fn append(
        &self,
        fence: Fence,
        seq: u32,
        stream: Stream,
        offset: u64,
        text: &str,
    ) -> Result<LogOffsets, ErrorCode> {
        let chunk = LogChunk { seq, stream, offset, cut: 0, reported_at: Utc::now(), data: text.as_bytes().to_vec() };
        self.ops.append_logs(&self.caller, self.id, fence, vec![chunk]).await.map_err(|error| error.code())
    }

    /// Says that artifacts are being collected; returns which of these contents are missing.
    pub async fn find(&self, fence: Fence, contents: &[&str]) -> Result<Vec<ContentHash>, ErrorCode> {
        let blobs = contents.iter().map(|content| blob(content.as_bytes())).collect();
        self.ops.find_blobs(&self.caller, self.id, fence, blobs).await.map_err(|error| error.code())
    }

    /// Stores a content.
    pub async fn put(&self, fence: Fence, content: &str) -> Result<(), ErrorCode> {
        let pieces: Vec<&[u8]> = content.as_bytes().chunks(1 << 20).collect();
        self.put_as(fence, blob(content.as_bytes()), &pieces).await
    }

    /// Stores a content in pieces, under the hash and the length that are said.
    pub async fn put_as(&self, fence: Fence, said: Blob, pieces: &[&[u8]]) -> Result<(), ErrorCode> {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let pieces = futures_util::stream::iter(pieces);
        self.ops.put_blob(&self.caller, self.id, fence, said, pieces).await.map_err(|error| error.code())
    }

    /// Records files: their paths and contents.
    pub async fn record(&self, fence: Fence, files: &[(&str, &str)]) -> Result<(), ErrorCode> {
        self.record_with(fence, files, Vec::new()).await
    }

    /// Records files, and what is said of others.
    pub async fn record_with(
        &self,
        fence: Fence,
        files: &[(&str, &str)],
        notes: Vec<ArtifactNote>,
    ) -> Result<(), ErrorCode> {
        let file = |(path, content): &(&str, &str)| CollectedFile {
            path: ArtifactPath::parse(path).expect("a path"),
            blob: blob(content.as_bytes()),
        };
        let collected = Collected { files: files.iter().map(file).collect(), notes };
        self.ops.record_artifacts(&self.caller, self.id, fence, collected).await.map(drop).map_err(|error| error.code())
    }

    /// Lets the reports among the recorded files be read; returns what they make of an outcome.
    pub async fn ruled(&self, fence: Fence, outcome: Outcome) -> Result<Outcome, ErrorCode> {
        self.ops.read_reports(&self.caller, self.id, fence, outcome).await.map_err(|error| error.code())
    }

    /// Ends an attempt that leaves files, as a worker does; returns what was reported.
    pub async fn end_with(&self, fence: Fence, result: RunResult, files: &[(&str, &str)]) -> Outcome {
        self.leave(fence, files).await;
        let ruled = self.ruled(fence, outcome(result)).await.expect("read the reports");
        let missing = self.finish_with(fence, ruled.clone(), LogSeal::default()).await.expect("finish");
        assert_eq!(missing, None);
        ruled
    }

    /// Records what an attempt says about itself.
    pub async fn say(&self, fence: Fence, output: &Output) -> Result<(), ErrorCode> {
        let said = self.ops.record_output(&self.caller, self.id, fence, output.clone()).await;
        said.map_err(|error| error.code())
    }

    /// Stores and records files.
    pub async fn leave(&self, fence: Fence, files: &[(&str, &str)]) {
        for (_, content) in files {
            self.put(fence, content).await.expect("store a content");
        }
        self.record(fence, files).await.expect("record the files");
    }

    /// The same runner with another token.
    pub fn with(&self, caller: Caller) -> Self {
        Self { caller, ..self.clone() }
    }
}

/// Names a content.
pub fn blob(content: &[u8]) -> Blob {
    Blob { sha256: ContentHash(Sha256::digest(content).into()), bytes: content.len() as u64 }
}

/// An outcome that a worker may report for a result.
pub fn outcome(result: RunResult) -> Outcome {
    let exit_code = match result {
        RunResult::Pass => Some(0),
        RunResult::Fail => Some(1),
        RunResult::Error | RunResult::TimedOut | RunResult::Cancelled => None,
    };
    let reason = (result == RunResult::Error).then_some(Reason::StartFailed);
    Outcome { result, reason, message: None, exit_code, image_digest: None }
}

/// Fences that look like a fence and are not it.
pub fn forgeries(fence: Fence) -> Vec<(&'static str, Fence)> {
    vec![
        ("another lease id", Fence { lease_id: LeaseId(Uuid::new_v4()), ..fence }),
        ("the attempt before", Fence { attempt: fence.attempt.saturating_sub(1), ..fence }),
        ("the attempt after", Fence { attempt: fence.attempt + 1, ..fence }),
        ("another run", Fence { run_id: RunId(Uuid::now_v7()), ..fence }),
    ]
}
