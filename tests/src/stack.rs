//! Replicas of the API in this process, on a database of their own.

use tstr_api::config::LeaseProfile;
use tstr_api::server::Running;
use tstr_api::{Config, server};
use tstr_shared::permission::Scope;

use crate::people::Person;
use crate::process::make_dir;
use crate::{TestDb, factory};

/// One or more replicas on one database.
pub struct Stack {
    /// The database.
    pub db: TestDb,
    replicas: Vec<Running>,
    admin: String,
    config: Config,
}

impl Stack {
    /// Starts one replica with short lease times.
    pub async fn start() -> Self {
        Self::start_with(1, |_| {}).await
    }

    /// Starts replicas that a test has changed the settings of.
    pub async fn start_with(replicas: usize, change: impl FnOnce(&mut Config)) -> Self {
        let db = TestDb::new().await;
        let dir = make_dir("s");
        let token_file = dir.join("admin.token");
        let mut config = Config::new(db.dsn(), dir.join("key"));
        config.json_addr = "127.0.0.1:0".parse().expect("an address");
        config.grpc_addr = config.json_addr;
        config.bootstrap_token_file = Some(token_file.clone());
        config.no_migrate = true;
        config.lease_times = LeaseProfile::Test;
        config.artifacts_url = Some(format!("file://{}", dir.join("artifacts").display()));
        change(&mut config);
        let mut stack = Self { db, replicas: Vec::new(), admin: String::new(), config };
        for _ in 0..replicas {
            stack.add_replica().await;
        }
        stack.admin = std::fs::read_to_string(token_file).expect("the first start wrote a token").trim().to_owned();
        stack
    }

    /// Starts one more replica.
    pub async fn add_replica(&mut self) -> usize {
        self.replicas.push(server::start(self.config.clone()).await.expect("start a replica"));
        self.replicas.len() - 1
    }

    /// Stops a replica; the others keep their numbers but for those behind it.
    pub async fn stop_replica(&mut self, index: usize) {
        self.replicas.remove(index).stop().await.expect("stop a replica");
    }

    /// Returns a replica.
    pub fn replica(&self, index: usize) -> &Running {
        &self.replicas[index]
    }

    /// Returns where the JSON API of a replica is.
    pub fn url(&self, replica: usize) -> String {
        format!("http://{}", self.replicas[replica].json_addr())
    }

    /// Returns where the gRPC API of a replica is.
    pub fn grpc_url(&self, replica: usize) -> String {
        format!("http://{}", self.replicas[replica].grpc_addr())
    }

    /// Returns the folder where the contents of artifacts lie.
    pub fn artifacts(&self) -> std::path::PathBuf {
        let url = self.config.artifacts_url.as_deref().unwrap_or_default();
        url.strip_prefix("file://").expect("a folder").into()
    }

    /// Returns the file with the key that seals the signing keys.
    pub fn key_file(&self) -> &std::path::Path {
        &self.config.key_file
    }

    /// Returns the token of the administrator.
    pub fn admin_token(&self) -> &str {
        &self.admin
    }

    /// Returns the administrator, who may do everything but execute runs.
    pub fn admin(&self) -> Person {
        Person::new(self.url(0), Some(self.admin.clone()))
    }

    /// Returns somebody without a token.
    pub fn anonymous(&self) -> Person {
        Person::new(self.url(0), None)
    }

    /// Returns somebody with a token of these scopes for these namespaces.
    pub async fn person(&self, scopes: &[Scope], namespaces: &[&str]) -> Person {
        Person::new(self.url(0), Some(self.token(scopes, namespaces).await))
    }

    /// Issues a token.
    pub async fn token(&self, scopes: &[Scope], namespaces: &[&str]) -> String {
        let issued = self.admin().post("/api/v1/tokens", &factory::token(scopes, namespaces)).await;
        issued.expect(201)["token"].as_str().expect("the secret").to_owned()
    }

    /// Creates a namespace.
    pub async fn namespace(&self, name: &str) {
        self.admin().post("/api/v1/namespaces", &serde_json::json!({"name": name})).await.expect(201);
    }
}
