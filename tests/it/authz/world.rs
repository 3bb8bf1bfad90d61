//! What the table is tried on: three namespaces with things in them, and callers of all kinds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{Duration, Utc};
use serde_json::json;
use sqlx::Row as _;
use tstr_api::auth::keys::{SealingKey, SigningPair};
use tstr_api::auth::verify::Tokens;
use tstr_shared::ids::{LeaseId, RunId, TokenId};
use tstr_shared::lease::Fence;
use tstr_shared::permission::Scope;
use tstr_shared::run::RunResult;
use tstr_shared::selector::SelectorSources;
use tstr_shared::token::Token;
use tstr_tests::contract::Worker;
use tstr_tests::{Person, Stack, eventually, factory};
use uuid::Uuid;

use crate::grpc::Peer;

/// What must be there for an operation to succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Nothing,
    /// A test that may be changed.
    Test,
    /// A test of its own.
    OwnTest,
    /// A run.
    Run,
    /// A run of its own, which waits.
    OwnRun,
    /// A run that has ended.
    Finished,
    /// Runs that were made together and have ended.
    Matrix,
    /// A run that has left an artifact, and a report with a case.
    Artifact,
    /// A test with a case.
    Case,
    /// A test with a case in quarantine.
    Muted,
    /// A test that passed and failed after it.
    Turned,
    /// A runner.
    Runner,
    /// A token.
    Token,
    /// A token of its own.
    OwnToken,
    /// A run that is leased.
    Lease,
    /// A run that runs.
    Started,
}

/// What one call is about.
pub struct Target {
    pub namespace: String,
    pub test: String,
    pub run: String,
    pub runner: String,
    /// The set of runs that have ended.
    pub matrix: String,
    /// A case of the run that has left an artifact.
    pub case: String,
    pub token: String,
    pub fence: Fence,
    /// The caller's worker where it serves the namespace, else the one that does.
    pub worker: String,
    /// The caller's worker.
    pub own_worker: String,
    /// A name that nothing has.
    pub fresh: String,
    /// The name of a namespace to be made.
    pub wished: String,
}

/// The path of an artifact, and its content.
pub const ARTIFACT: &str = "artifact.txt";
/// A test report of one case.
const REPORT: &str = "<testsuite><testcase classname='c' name='n'/></testsuite>";
/// The namespace that is nowhere.
pub const NOWHERE: &str = "nowhere";

/// Somebody who calls.
pub struct Caller {
    /// The name of the column.
    pub name: &'static str,
    /// The token, as it is sent.
    pub token: Option<String>,
    /// Whether the token is valid.
    pub valid: bool,
    pub scopes: Vec<Scope>,
    /// The namespace that the call is about.
    pub target: &'static str,
    /// Whether the token sees it.
    pub sees: bool,
    worker: Option<Worker>,
}

/// The stack with its namespaces.
pub struct World {
    pub stack: Stack,
    pub admin: Person,
    pub peer: Peer,
    residents: BTreeMap<&'static str, Resident>,
    count: AtomicU32,
}

/// What is in a namespace from the beginning.
struct Resident {
    worker: Worker,
    run: String,
    finished: String,
    matrix: String,
    artifact: String,
    case: String,
    token: String,
}

const OWN: &[&str] = &["prod", "prod-made-[0-9]+"];

impl World {
    /// Makes the namespaces `prod`, `prod-evil` and `other`, each with tests and a worker.
    pub async fn new() -> Self {
        let stack = Stack::start().await;
        let (admin, peer) = (stack.admin(), Peer::connect(&stack, 0, None).await);
        let mut world = Self { stack, admin, peer, residents: BTreeMap::new(), count: AtomicU32::new(0) };
        for ns in ["prod", "prod-evil", "other"] {
            let quotas = json!({"max_queued": null, "max_running": null});
            world.admin.post("/api/v1/namespaces", &json!({"name": ns, "quotas": quotas})).await.expect(201);
            let tests = format!("/api/v1/namespaces/{ns}/tests");
            world
                .admin
                .post(&tests, &factory::with(factory::test("a"), "/cron_schedule", json!("0 0 1 1 *")))
                .await
                .expect(201);
            world
                .admin
                .post(&tests, &factory::with(factory::test("leased"), "/labels/role", json!("leased")))
                .await
                .expect(201);
            world.admin.post(&tests, &factory::test("b")).await.expect(201);
            let token = world.stack.token(&[Scope::Runner], &[ns]).await;
            let worker = world.worker(&token).await;
            let artifact = world.admin.trigger_in(ns, "leased").await.remove(0);
            let fence = worker.started().await;
            worker.end_with(fence, RunResult::Pass, &[(ARTIFACT, ARTIFACT), ("junit.xml", REPORT)]).await;
            let cases = world.admin.get(&format!("/api/v1/runs/{artifact}/cases")).await.expect(200);
            let case = cases["items"][0]["case_id"].as_str().unwrap().to_owned();
            let turned = factory::with(factory::test("turned"), "/labels/role", json!("leased"));
            world.admin.post(&tests, &turned).await.expect(201);
            for result in [RunResult::Pass, RunResult::Fail] {
                world.admin.trigger_in(ns, "turned").await;
                let fence = worker.started().await;
                worker.finish(fence, result).await.unwrap();
            }
            let changed = format!("{tests}/turned/changed");
            eventually("the runs are taken in", std::time::Duration::from_secs(30), async || {
                world.admin.get(&changed).await.status.is_success().then_some(())
            })
            .await;
            // From here on runs wait that the worker would take.
            let finished = world.admin.trigger_in(ns, "a").await.remove(0);
            let matrix = world.admin.run(&finished).await["matrix_id"].as_str().unwrap().to_owned();
            let resident = Resident {
                worker,
                artifact,
                matrix,
                case,
                run: world.admin.trigger_in(ns, "a").await.remove(0),
                finished,
                token: world.token(ns).await,
            };
            world.admin.post(&format!("/api/v1/runs/{}/cancel", resident.finished), &json!({})).await.expect(202);
            world.residents.insert(ns, resident);
        }
        world
    }

    fn fresh(&self) -> u32 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// Issues a token for a namespace; returns its id.
    async fn token(&self, ns: &str) -> String {
        let issued = self.admin.post("/api/v1/tokens", &factory::token(&[Scope::Data], &[ns])).await.expect(201);
        issued["record"]["id"].as_str().unwrap().to_owned()
    }

    async fn worker(&self, token: &str) -> Worker {
        let ops = self.stack.replica(0).ops();
        let caller = ops.authenticate(token).await.unwrap();
        let accept = [("role".to_owned(), "leased".to_owned())].into();
        Worker::register(ops, caller, &format!("w{}", self.fresh()), SelectorSources { accept, ..Default::default() })
            .await
    }

    /// Makes the callers: those whose tokens are none, one for each scope, and those that see other namespaces.
    /// `full` may do everything that is tried, `weak` nothing of it.
    pub async fn callers(&self, full: &[Scope], weak: Scope) -> Vec<Caller> {
        let mut callers = Vec::new();
        let issued = self.admin.post("/api/v1/tokens", &factory::token(full, &[".*"])).await.expect(201);
        let revoked = issued["token"].as_str().unwrap().to_owned();
        self.admin.delete(&format!("/api/v1/tokens/{}", issued["record"]["id"].as_str().unwrap())).await.expect(200);
        let pair = signing_pair(&self.stack).await;
        let kid = pair.kid.clone();
        let stranger = Tokens::new(&[SigningPair { kid, ..SigningPair::generate().unwrap() }]);
        let ours = Tokens::new(&[pair]);
        let expired = ours.sign(&record(full, Duration::minutes(-1))).unwrap();
        let other_key = stranger.sign(&record(full, Duration::hours(1))).unwrap();
        // The same record in time and under our key is good: it is not for anything else that those two are refused.
        let good = ours.sign(&record(full, Duration::hours(1))).unwrap();
        assert!(self.stack.replica(0).ops().authenticate(&good).await.is_ok());
        let malformed = format!("{}x", &good[..good.len() - 1]);
        for (name, token) in [
            ("none", None),
            ("malformed", Some(malformed)),
            ("expired", Some(expired)),
            ("revoked", Some(revoked)),
            ("other-key", Some(other_key)),
        ] {
            callers.push(Caller {
                name,
                token,
                valid: false,
                scopes: full.to_vec(),
                target: "prod",
                sees: true,
                worker: None,
            });
        }
        for scope in Scope::ALL {
            callers.push(self.caller(scope.word(), &[scope], OWN, "prod", true).await);
        }
        for (name, patterns, target, sees) in [
            ("own", OWN, "prod", true),
            ("all", &[".*"], "prod", true),
            ("other", OWN, "other", false),
            ("prefix", OWN, "prod-evil", false),
            ("longer", &["prod-evil"], "prod", false),
            ("case", &["PROD"], "prod", false),
            ("unknown", OWN, NOWHERE, false),
        ] {
            callers.push(self.caller(name, full, patterns, target, sees).await);
        }
        callers.push(self.caller("weak-other", &[weak], OWN, "other", false).await);
        callers.push(self.caller("weak-unknown", &[weak], OWN, NOWHERE, false).await);
        callers
    }

    async fn caller(
        &self,
        name: &'static str,
        scopes: &[Scope],
        patterns: &[&str],
        target: &'static str,
        sees: bool,
    ) -> Caller {
        let token = self.stack.token(scopes, patterns).await;
        let worker = if scopes == [Scope::Runner] { Some(self.worker(&token).await) } else { None };
        Caller { name, token: Some(token), valid: true, scopes: scopes.to_vec(), target, sees, worker }
    }

    /// Makes what a call needs.
    pub async fn target(&self, need: Need, caller: &Caller) -> Target {
        let (ns, n, nobody) = (caller.target, self.fresh(), Uuid::now_v7());
        let resident = self.residents.get(ns);
        let own_worker = caller.worker.as_ref().map_or(nobody, |worker| worker.id.0).to_string();
        let worker = match (caller.sees, resident) {
            (true, _) => own_worker.clone(),
            (false, Some(resident)) => resident.worker.id.to_string(),
            (false, None) => nobody.to_string(),
        };
        let mut target = Target {
            namespace: ns.to_owned(),
            test: "a".to_owned(),
            run: nobody.to_string(),
            runner: resident.map_or(nobody, |resident| resident.worker.id.0).to_string(),
            matrix: nobody.to_string(),
            case: nobody.to_string(),
            token: nobody.to_string(),
            fence: Fence { run_id: RunId(nobody), attempt: 1, lease_id: LeaseId(Uuid::new_v4()) },
            worker,
            own_worker,
            fresh: format!("fresh-{n}"),
            wished: format!("{ns}-made-{n}"),
        };
        let Some(resident) = resident else { return target };
        match need {
            Need::Nothing | Need::Runner => {}
            Need::Test => target.test = "b".to_owned(),
            Need::Run => target.run.clone_from(&resident.run),
            Need::Artifact => {
                target.run.clone_from(&resident.artifact);
                target.case.clone_from(&resident.case);
                target.test = "leased".to_owned();
            }
            Need::Matrix => target.matrix.clone_from(&resident.matrix),
            Need::Case | Need::Muted => {
                target.test = "leased".to_owned();
                target.case.clone_from(&resident.case);
                if need == Need::Muted {
                    let path = format!("/api/v1/namespaces/{ns}/tests/leased/quarantine/{}", resident.case);
                    self.admin.put(&path, &json!({"owner": "a", "reason": "b", "days": 1})).await.expect(200);
                }
            }
            Need::Turned => target.test = "turned".to_owned(),
            Need::Finished => target.run.clone_from(&resident.finished),
            Need::Token => target.token.clone_from(&resident.token),
            Need::OwnTest => {
                target.test = format!("own-{n}");
                self.admin
                    .post(&format!("/api/v1/namespaces/{ns}/tests"), &factory::test(&target.test))
                    .await
                    .expect(201);
            }
            Need::OwnRun => target.run = self.admin.trigger_in(ns, "a").await.remove(0),
            Need::OwnToken => target.token = self.token(ns).await,
            Need::Lease | Need::Started => {
                self.admin.trigger_in(ns, "leased").await;
                let holder = caller.worker.as_ref().filter(|_| caller.sees).unwrap_or(&resident.worker);
                target.fence = holder.one().await;
                if need == Need::Started {
                    holder.start(target.fence).await.unwrap();
                }
            }
        }
        target
    }
}

/// Opens the signing key of a stack, as its servers do.
pub async fn signing_pair(stack: &Stack) -> SigningPair {
    let mut conn = stack.db.connect().await;
    let row = sqlx::query("SELECT kid, public_key, sealed_key FROM signing_key").fetch_one(&mut conn).await.unwrap();
    let (kid, public, sealed): (String, Vec<u8>, Vec<u8>) = (row.get(0), row.get(1), row.get(2));
    let private = SealingKey::read(stack.key_file()).unwrap().open(&kid, &sealed).unwrap();
    SigningPair { kid, public, private }
}

fn record(scopes: &[Scope], valid_for: Duration) -> Token {
    let now = Utc::now();
    Token {
        id: TokenId(Uuid::now_v7()),
        name: "signed by hand".into(),
        scopes: scopes.to_vec(),
        namespaces: vec![".*".into()],
        issued_by: None,
        created_at: now - Duration::hours(1),
        expires_at: now + valid_for,
        revoked_at: None,
        last_used_at: None,
    }
}
