//! Workers as processes: the binary under test with a rootless Podman of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tstr_shared::permission::Scope;

use crate::process::{Process, Seen, behind, command, command_in, make_dir, run, write_private};
use crate::{Person, Stack, binary, eventually, images};

/// A worker process.
pub struct Runner {
    /// The process.
    pub process: Process,
    /// Its data directory.
    pub dir: PathBuf,
    /// Its name.
    pub name: String,
}

/// Where a worker is, and how it is started; can be started again on the same data directory.
pub struct Site {
    /// More variables of its environment.
    pub env: Vec<(String, String)>,
    /// Words in front of its command.
    pub behind: Vec<String>,
    dir: PathBuf,
    token_file: PathBuf,
    name: String,
}

impl Site {
    /// Prepares a worker: a data directory with the test images, and a token.
    pub async fn prepare(stack: &Stack, name: &str) -> Self {
        Self::with_token(name, &stack.token(&[Scope::Runner], &[".*"]).await)
    }

    /// Prepares a worker that has this token.
    pub fn with_token(name: &str, token: &str) -> Self {
        let dir = make_dir("w");
        let token_file = dir.join("token");
        write_private(&token_file, token);
        images::import(&dir);
        Self { env: Vec::new(), behind: Vec::new(), dir, token_file, name: name.to_owned() }
    }

    /// Returns its data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Lets its Podman speak plain HTTP to these registries, in the file that people use for that.
    pub fn trust_registries(&self, registries: &[SocketAddr]) {
        let mut text = String::from("unqualified-search-registries = []\nshort-name-mode = \"enforcing\"\n");
        for registry in registries {
            text += &format!("\n[[registry]]\nlocation = \"{registry}\"\ninsecure = true\n");
        }
        write_private(&self.dir.join("podman/config/registries.conf"), &text);
    }

    /// Starts the worker; returns when its log says that it is registered.
    pub async fn start(&self, grpc_url: &str, flags: &[&str]) -> Runner {
        let mut start = command_in(&self.env, binary());
        start.args(["run", "--grpc-addr", grpc_url, "--name", &self.name, "--data-dir"]).arg(&self.dir);
        start.arg("--token-file").arg(&self.token_file).args(flags).env("RUST_LOG", "info,tstr_worker=debug");
        let start = behind(&self.behind, start);
        let log = self.dir.join(format!("log-{}", uuid::Uuid::new_v4().simple()));
        Runner { process: Process::start(start, log), dir: self.dir.clone(), name: self.name.clone() }
    }
}

impl Runner {
    /// Prepares and starts a worker on a stack, and waits until the API knows it.
    pub async fn start(stack: &Stack, name: &str, flags: &[&str]) -> Self {
        let site = Site::prepare(stack, name).await;
        let runner = site.start(&stack.grpc_url(0), flags).await;
        runner.registered(stack).await;
        runner
    }

    /// Waits until the API lists it as live.
    pub async fn registered(&self, stack: &Stack) {
        self.registered_at(&stack.admin()).await;
    }

    /// Waits until the API that this administrator calls lists it as live, and it has said that it is registered: a name
    /// is live for a while after a crash, and a worker that was started again sweeps before it says so.
    pub async fn registered_at(&self, admin: &Person) {
        eventually(&format!("worker {} registers", self.name), Duration::from_secs(60), async || {
            if !self.process.log_text().contains("is registered for namespaces") {
                return None;
            }
            let listed = admin.get("/api/v1/namespaces/default/runners").await.expect(200);
            let mine = |one: &&Value| one["name"] == self.name.as_str() && one["state"] == "live";
            listed["items"].as_array().expect("a list").iter().find(mine).map(|_| ())
        })
        .await;
    }

    /// Lists its containers, running or not.
    pub fn containers(&self) -> Vec<String> {
        containers(&self.dir)
    }

    /// Waits until none of its containers is left: a run's container is removed while its end is reported, so a run
    /// that is seen as finished may still have one.
    pub async fn cleaned_up(&self) {
        let empty = async || self.containers().is_empty().then_some(());
        eventually(&format!("worker {} removes its containers", self.name), Duration::from_secs(30), empty).await;
    }

    /// Returns its guard, if one is there.
    pub fn guard(&self) -> Option<Seen> {
        let is_guard = |seen: &Seen| seen.arguments().get(1).is_some_and(|word| word == "guard");
        Seen::children_of(self.process.pid()).into_iter().find(is_guard)
    }

    /// Returns the first process of its only container, and the engine's monitor of it.
    pub fn container(&self) -> (Seen, Seen) {
        let names = self.containers();
        assert_eq!(names.len(), 1, "{names:?}");
        let mut inspect = command(binary());
        inspect.args(["podman", "--data-dir"]).arg(&self.dir);
        inspect.args(["--", "inspect", "--format", "{{.State.Pid}} {{.State.ConmonPid}}", &names[0]]);
        let text = run(&mut inspect);
        let mut pids = text.split_whitespace().map(|word| word.parse().expect("a process id"));
        let mut next = || Seen::with_pid(pids.next().expect("two ids")).expect("it lives");
        (next(), next())
    }

    /// Returns the service of its own Podman.
    pub fn podman_service(&self) -> Seen {
        let is_service = |seen: &Seen| seen.arguments().iter().any(|word| word == "service");
        Seen::children_of(self.process.pid()).into_iter().find(is_service).expect("it has a Podman of its own")
    }
}

/// Lists the containers in the store of a data directory.
pub fn containers(dir: &Path) -> Vec<String> {
    let mut list = command(binary());
    list.args(["podman", "--data-dir"]).arg(dir).args(["--", "ps", "-a", "--format", "{{.Names}}"]);
    run(&mut list).lines().map(str::to_owned).collect()
}
