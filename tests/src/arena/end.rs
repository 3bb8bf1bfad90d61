//! The end of a world: everything comes to rest, everybody goes home, and the checker looks at what is left.

use std::time::{Duration, Instant};

use serde_json::json;
use tstr_shared::permission::Scope;
use uuid::Uuid;

use super::Arena;
use crate::checker::{self, Asked, Known, Seen, Summary};
use crate::leftovers::{left_behind, left_mounted};
use crate::{Person, factory};

/// How many lines are shown of what a worker said last that failed.
const LAST_LINES: usize = 20;

impl Arena {
    /// Waits until everything has ended, stops the workers, and fails when an invariant does not hold.
    pub async fn finish(mut self, within: Duration) {
        let began = Instant::now();
        self.settle(within).await;
        let settled = began.elapsed();
        self.remember().await;
        self.ask_as_a_stranger().await;
        self.ask_for_sums().await;
        let mut leftovers = Vec::new();
        for post in &mut self.posts {
            let dir = post.site.dir().to_owned();
            leftovers.extend(left_mounted(&dir));
            if let Some(mut runner) = post.runner.take() {
                self.logs.push(runner.process.log.clone());
                let ended = tokio::task::spawn_blocking(move || {
                    (runner.process.terminate(Duration::from_secs(40)), runner.process.log_text())
                });
                let (status, log) = ended.await.expect("wait for the worker");
                if !status.success() {
                    let last = log.lines().rev().take(LAST_LINES).collect::<Vec<_>>();
                    let last: Vec<&str> = last.into_iter().rev().collect();
                    leftovers.push(format!(
                        "the worker in {} ended with {status}:\n{}",
                        dir.display(),
                        last.join("\n")
                    ));
                }
            }
            leftovers.extend(left_behind(&dir));
        }
        let key = std::fs::read_to_string(self.dir.join("key")).unwrap_or_default().trim().to_owned();
        let tokens = [&self.token].into_iter().chain(self.posts.iter().map(|post| &post.token));
        // The last part of a token proves the rest of it.
        let proofs = tokens.filter_map(|token| token.rsplit('.').next().map(str::to_owned));
        let mut evidence = std::mem::take(&mut self.evidence);
        evidence.secrets.extend(proofs.chain([key]).filter(|secret| secret.len() >= 8));
        self.logs.extend(self.replicas.iter().flatten().map(|replica| replica.process.log.clone()));
        for log in &self.logs {
            let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
            evidence.texts.push((log.display().to_string(), text));
        }
        evidence.history = Some(self.driver.history.clone());
        evidence.witness = self.watcher.witness();
        evidence.leftovers = Some(leftovers);
        checker::check(&mut self.connect().await, &evidence).await;
        let (done, refused, unknown) = self.driver.history.counts();
        eprintln!(
            "all invariants hold; at rest {:.1} s after the last fault; {} runs, {} attempts, {} of them lost; \
             {done} requests answered, {refused} refused, {unknown} unknown",
            settled.as_secs_f64(),
            self.count("run").await,
            self.count("attempt").await,
            self.count("attempt WHERE reason = 'lost_worker'").await,
        );
    }

    /// Asks what the namespaces have stored.
    async fn ask_for_sums(&mut self) {
        let listed = self.admin().get("/api/v1/namespaces?page_size=100").await.expect(200);
        let number = |value: &serde_json::Value| value.as_i64().expect("a number");
        self.evidence.summaries.extend(listed["items"].as_array().expect("a list").iter().map(|one| Summary {
            namespace: one["name"].as_str().expect("a name").to_owned(),
            runs: number(&one["usage"]["runs"]),
            log_bytes: number(&one["usage"]["log_bytes"]),
            artifact_bytes: number(&one["usage"]["artifact_bytes"]),
        }));
    }

    /// Looks at the API with the eyes of somebody who may see another namespace only.
    async fn ask_as_a_stranger(&mut self) {
        let admin = self.admin();
        admin.post("/api/v1/namespaces", &json!({"name": "stranger"})).await.expect(201);
        self.driver.register_in("stranger", &factory::test("theirs")).await;
        let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Control], &["stranger"])).await.expect(201);
        let token = issued["token"].as_str().expect("the secret").to_owned();
        let stranger = Person::new(self.json.url(), Some(token));
        let mut runs: Vec<Uuid> = Vec::new();
        for namespace in ["default", "stranger"] {
            let answer = stranger.get(&format!("/api/v1/namespaces/{namespace}/runs")).await;
            if answer.status == 200 {
                let listed = answer.expect(200);
                let ids = listed["items"].as_array().expect("a list").iter();
                runs.extend(ids.filter_map(|run| run["id"].as_str()?.parse::<Uuid>().ok()));
            }
        }
        let made = self.driver.history.requests().into_iter().filter(|request| request.asked == Asked::Runs);
        let known = made.filter_map(|request| match request.known {
            Known::Done(runs) => runs.first().copied(),
            Known::Refused(_) | Known::Unknown => None,
        });
        for run in known.take(5) {
            for path in ["", "/logs", "/events", "/artifacts"] {
                let answer = stranger.get(&format!("/api/v1/runs/{run}{path}")).await;
                if answer.status.is_success() {
                    runs.push(run);
                }
                self.evidence.texts.push((format!("the answer to {}", answer.asked), answer.text()));
            }
        }
        self.evidence.seen.push(Seen { who: "a stranger".into(), may_see: vec!["stranger".into()], runs });
    }
}
