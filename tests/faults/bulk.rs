//! Runs in bulk beside those in containers: they are made like all others and have nothing to execute, and a worker
//! without containers takes them, which repeats each call until it is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;
use tstr_proto::v1 as pb;
use tstr_shared::error::ErrorCode;
use tstr_shared::permission::Scope;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::factory;
use uuid::Uuid;

use crate::load::{self, Made};
use crate::wire::{Refused, Wire};

/// The namespace of these runs. What is claimed for it is claimed by nobody else, and the other way round.
const NAMESPACE: &str = "bulk";
/// How many of them are worked on at once, each on a connection of its own.
const HANDS: usize = 4;
/// How long a call may take before it is taken for lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// What each of them writes.
const LOG: &[u8] = b"done\n";

/// A worker without containers.
pub struct Bulk {
    stop: Arc<AtomicBool>,
    repeated: Arc<AtomicUsize>,
    hands: Vec<JoinHandle<usize>>,
}

/// Makes a world whose workers leave bulk runs to the one without containers, which works as well.
pub async fn start(plan: Plan) -> (Arena, Bulk) {
    let mut arena = Arena::prepare(plan).await;
    for post in &mut arena.posts {
        post.flags.extend(["--reject".to_owned(), "bulk=.*".to_owned()]);
    }
    arena.start_workers().await;
    let admin = arena.admin();
    admin.post("/api/v1/namespaces", &json!({"name": NAMESPACE})).await.expect(201);
    let test = factory::with(factory::test("bulk"), "/labels", json!({"bulk": "yes"}));
    arena.driver.register_in(NAMESPACE, &test).await;
    let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Runner], &[NAMESPACE])).await.expect(201);
    let (token, runner) = (issued["token"].as_str().expect("the secret"), Uuid::new_v4());
    let (stop, repeated) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut hands = Vec::new();
    for _ in 0..HANDS {
        let wire = Wire::new(&arena.grpc.url(), token, runner);
        if hands.is_empty() {
            wire.register("bulk", 1000).await.expect("register the worker");
        }
        hands.push(tokio::spawn(Hand { wire, repeated: repeated.clone() }.work(stop.clone())));
    }
    (arena, Bulk { stop, repeated, hands })
}

/// Makes `count` bulk runs, one every `pace`.
pub fn trigger(arena: &Arena, count: usize, pace: Duration) -> JoinHandle<Made> {
    load::trigger_at(&arena.driver, format!("/api/v1/namespaces/{NAMESPACE}/tests/bulk/runs"), "bulk", count, pace)
}

impl Bulk {
    /// Stops to work, once there is nothing left; fails unless every bulk run that there is has passed in its first
    /// attempt. Returns how many there are.
    pub async fn finish(self, arena: &Arena) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let mut done = 0;
        for hand in self.hands {
            done += hand.await.expect("no call of the worker was refused");
        }
        let made = format!("run r JOIN namespace n ON n.id = r.ns_id WHERE n.name = '{NAMESPACE}'");
        let made = arena.count(&made).await;
        let passed = "run_end e JOIN namespace n ON n.id = e.ns_id
                      WHERE e.result = 'pass' AND e.attempt = 1 AND e.log_status = 'complete' AND n.name";
        assert_eq!(arena.count(&format!("{passed} = '{NAMESPACE}'")).await, made, "a run of the bulk was lost");
        assert_eq!(done as i64, made, "what was executed is what was made");
        eprintln!("{made} runs in bulk, {} calls of their worker were repeated", self.repeated.load(Ordering::Relaxed));
        done
    }
}

/// Works on one run after the other.
struct Hand {
    wire: Wire,
    repeated: Arc<AtomicUsize>,
}

impl Hand {
    async fn work(self, stop: Arc<AtomicBool>) -> usize {
        let (wire, mut done) = (&self.wire, 0);
        while !stop.load(Ordering::Relaxed) {
            // The same claim until it is answered: what it was given meanwhile is not lost.
            let claim = Uuid::new_v4();
            for fence in self.until_answered("a claim", || wire.claim_as(claim, 2, 500)).await {
                self.until_answered("a start", || wire.start(&fence)).await;
                self.until_answered("a piece", || wire.append(&fence, &[(0, 0, LOG)])).await;
                let finish = || wire.finish(&fence, pb::RunResult::Pass, LOG);
                assert!(self.until_answered("an end", finish).await, "the log is there");
                done += 1;
            }
        }
        done
    }

    /// Calls until somebody answers; a refusal is nothing that repeats would change.
    async fn until_answered<T, F>(&self, what: &str, call: impl Fn() -> F) -> T
    where
        F: Future<Output = Result<T, Refused>>,
    {
        for _ in 0..600 {
            match tokio::time::timeout(PATIENCE, call()).await.unwrap_or(Err(None)) {
                Ok(answer) => return answer,
                Err(None | Some(ErrorCode::Unavailable)) => {
                    self.repeated.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(Some(code)) => panic!("{what} was refused: {code:?}"),
            }
        }
        panic!("{what} was never answered");
    }
}
