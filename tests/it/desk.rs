//! Claims that wait together: who is served, by what, and what is left for others.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use sqlx::Executor;
use tokio::task::JoinSet;
use tstr_api::ops::claims::Claim;
use tstr_shared::ids::RunId;
use tstr_shared::selector::SelectorSources;
use tstr_tests::worker::Worker;
use tstr_tests::{Stack, eventually, factory};

const LONG: Duration = Duration::from_secs(20);

/// Registers the test `a` in the namespace `default`, which may have any number of runs.
async fn prepared(replicas: usize) -> Stack {
    let stack = Stack::start_with(replicas, |_| {}).await;
    let admin = stack.admin();
    let none = json!({"quotas": {"max_queued": null, "max_running": null}});
    admin.patch("/api/v1/namespaces/default", &none).await.expect(200);
    admin.register(&factory::test("a")).await;
    stack
}

fn waits(worker: &Worker, max: u16) -> tokio::task::JoinHandle<Vec<RunId>> {
    let worker = worker.clone();
    tokio::spawn(async move { worker.claim_within(max, LONG).await.iter().map(|run| run.fence.run_id).collect() })
}

#[tokio::test]
async fn as_many_claims_as_there_are_runs_are_served_and_the_others_go_on_waiting() {
    let stack = prepared(2).await;
    let admin = stack.admin();
    let mut workers = Vec::new();
    for i in 0..40 {
        workers.push(Worker::register(&stack, i % 2, &format!("w{i}")).await);
    }
    let mut waiting = JoinSet::new();
    for worker in workers {
        waiting.spawn(async move {
            worker.claim_within(1, LONG).await.iter().map(|run| run.fence.run_id).collect::<Vec<_>>()
        });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut made = BTreeSet::new();
    for _ in 0..25 {
        made.extend(admin.trigger("a").await.iter().map(|id| id.parse::<RunId>().unwrap()));
    }
    let mut given = Vec::new();
    while given.len() < 25 {
        let runs = tokio::time::timeout(LONG / 2, waiting.join_next()).await.expect("a claim is served");
        given.extend(runs.unwrap().unwrap());
    }
    assert_eq!((given.len(), given.into_iter().collect::<BTreeSet<_>>()), (25, made));
    assert_eq!(waiting.len(), 15);
    assert!(waiting.try_join_next().is_none(), "nobody is sent away early");
}

#[tokio::test]
async fn a_claimer_that_has_gone_takes_no_run_with_it() {
    let stack = prepared(1).await;
    let (gone, here) = (Worker::register(&stack, 0, "gone").await, Worker::register(&stack, 0, "here").await);
    let first = waits(&gone, 1);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let second = waits(&here, 1);
    tokio::time::sleep(Duration::from_millis(200)).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let made = stack.admin().trigger("a").await;
    let given = tokio::time::timeout(LONG / 2, second).await.expect("it is served").unwrap();
    assert_eq!(given.iter().map(RunId::to_string).collect::<Vec<_>>(), made);
}

#[tokio::test]
async fn claims_that_want_many_share_what_is_there_in_the_order_in_which_they_came() {
    let stack = prepared(1).await;
    let (early, late) = (Worker::register(&stack, 0, "early").await, Worker::register(&stack, 0, "late").await);
    let matrix = json!({"labels": {"n": (0..30).map(|n| n.to_string()).collect::<Vec<_>>()}});
    stack.admin().register(&factory::with(factory::test("many"), "/matrix", matrix)).await;
    let first = waits(&early, 20);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let second = waits(&late, 20);
    tokio::time::sleep(Duration::from_millis(200)).await;
    // All cells are ready in one moment: the one who came first gets all that it wants.
    stack.admin().trigger("many").await;
    let took = async |waiting: tokio::task::JoinHandle<Vec<RunId>>| {
        tokio::time::timeout(LONG / 2, waiting).await.expect("it is served").unwrap().len()
    };
    assert_eq!((took(first).await, took(second).await), (20, 10));
}

#[tokio::test]
async fn a_runner_that_registers_anew_is_given_nothing_that_only_fitted_it_before() {
    let stack = prepared(2).await;
    let labels = json!({"region": "nyc"});
    stack.admin().register(&factory::with(factory::test("nyc"), "/labels", labels)).await;
    let worker = Worker::register(&stack, 0, "w").await;
    assert!(worker.claim(1).await.is_empty(), "now the first replica knows it");
    let waiting = waits(&worker, 1);
    tokio::time::sleep(Duration::from_millis(200)).await;
    // It registers at the other replica, and takes only another region from now on.
    let accept = [("region".to_owned(), "sfo".to_owned())].into();
    let selectors = SelectorSources { accept, ..SelectorSources::default() };
    worker.register_again(stack.replica(1).ops(), selectors).await;
    stack.admin().trigger("nyc").await;
    assert!(tokio::time::timeout(LONG / 2, waiting).await.expect("it is answered").unwrap().is_empty());
    assert!(worker.claim_within(1, Duration::from_millis(1500)).await.is_empty());
    let other = Worker::register(&stack, 0, "other").await;
    assert_eq!(other.claim(1).await.len(), 1, "the run is still there");
}

#[tokio::test]
async fn a_run_that_is_committed_late_is_found_behind_those_that_overtook_it() {
    let stack = prepared(1).await;
    let admin = stack.admin();
    let worker = Worker::register(&stack, 0, "w").await;
    // A transaction takes its run's place in the queue, and is slow to commit.
    let slow = admin.trigger("a").await.remove(0);
    let mut late = stack.db.connect().await;
    let place = "CREATE TABLE kept AS SELECT * FROM ready; DELETE FROM ready";
    late.execute(place).await.unwrap();
    late.execute("BEGIN; INSERT INTO ready SELECT * FROM kept").await.unwrap();
    for _ in 0..20 {
        admin.trigger("a").await;
        assert_eq!(worker.claim_within(1, LONG).await.len(), 1);
    }
    late.execute("COMMIT").await.unwrap();
    let found = eventually("the late one is found", LONG, async || worker.claim(1).await.pop()).await;
    assert_eq!(found.fence.run_id.to_string(), slow);
}

/// Makes a namespace that may have so many runs under way, with a test, and runs it.
async fn namespace_with_runs(stack: &Stack, name: &str, max_running: u32, runs: usize) {
    let admin = stack.admin();
    let quotas = json!({"max_queued": null, "max_running": max_running});
    admin.post("/api/v1/namespaces", &json!({"name": name, "quotas": quotas})).await.expect(201);
    admin.post(&format!("/api/v1/namespaces/{name}/tests"), &factory::test("a")).await.expect(201);
    for _ in 0..runs {
        admin.trigger_in(name, "a").await;
    }
}

#[tokio::test]
async fn a_namespace_at_its_quota_leaves_its_share_to_others() {
    let stack = prepared(1).await;
    for (name, quota, runs) in [("stopped", 0, 1), ("small", 1, 3), ("large", 5, 5)] {
        namespace_with_runs(&stack, name, quota, runs).await;
    }
    let worker = Worker::register(&stack, 0, "w").await;
    // One at a time: whoever holds the fewest leases would be asked first, and two of them may have no more.
    let mut given = Vec::new();
    for _ in 0..6 {
        given.extend(worker.claim(1).await.into_iter().map(|run| run.namespace.to_string()));
    }
    given.sort();
    assert_eq!(given, ["large", "large", "large", "large", "large", "small"]);
    assert!(worker.claim(1).await.is_empty());
}

#[tokio::test]
async fn a_quota_that_holds_claims_back_is_looked_at_twice_a_second_whatever_happens() {
    let stack = prepared(1).await;
    namespace_with_runs(&stack, "stopped", 0, 1).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let waiting = waits(&worker, 1);
    // Each of these lets the desk look, and finds the quota again.
    for _ in 0..40 {
        stack.admin().trigger_in("stopped", "a").await;
    }
    let looks = async || {
        let text = stack.admin().get("/metrics").await.text();
        let line = text.lines().find(|line| line.starts_with("tstr_claim_looks_total")).expect("looks are counted");
        line.rsplit(' ').next().and_then(|count| count.parse::<f64>().ok()).expect("a number")
    };
    let before = looks().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let more = looks().await - before;
    // Twice a second, and what the loops of the replica cause.
    assert!((1.0..=20.0).contains(&more), "{more} looks in three seconds");
    waiting.abort();
}

#[tokio::test]
async fn a_claim_whose_time_is_over_is_answered_behind_any_number_that_wait_longer() {
    let stack = prepared(1).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let mut waiting = JoinSet::new();
    for _ in 0..150 {
        let worker = worker.clone();
        waiting.spawn(async move { worker.claim_within(1, LONG).await.len() });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answered = tokio::time::timeout(LONG / 4, worker.claim_within(1, Duration::ZERO)).await;
    assert!(answered.expect("it is answered when its time is over").is_empty());
    assert!(waiting.try_join_next().is_none(), "the others go on waiting");
}

#[tokio::test]
async fn what_runners_looked_for_is_forgotten_once_nobody_looks_for_it() {
    let stack = prepared(1).await;
    let ops = stack.replica(0).ops().clone();
    for number in 0..30 {
        let accept = [("region".to_owned(), format!("r{number}"))].into();
        let selectors = SelectorSources { accept, ..SelectorSources::default() };
        let worker = Worker::register_for(&stack, 0, &format!("w{number}"), &[".*"], selectors).await;
        assert!(worker.claim(1).await.is_empty());
    }
    let [runners, sets, _] = ops.remembered();
    assert_eq!((runners, sets), (30, 30));
    // A desk is closed by its last look, which may end a little after its last claim.
    eventually("no desk is left", LONG, async || (ops.remembered()[2] == 0).then_some(())).await;
    // One waits meanwhile: what it looks for stays.
    let worker = Worker::register(&stack, 0, "w").await;
    let waiting = waits(&worker, 1);
    eventually("it waits", LONG, async || (ops.remembered()[2] == 1).then_some(())).await;
    ops.forget_idle(Duration::ZERO);
    assert_eq!(ops.remembered(), [0, 1, 1]);
    stack.admin().trigger("a").await;
    assert_eq!(waiting.await.unwrap().len(), 1);
    eventually("all is forgotten", LONG, async || {
        ops.forget_idle(Duration::ZERO);
        (ops.remembered() == [0, 0, 0]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_is_tried_again_while_the_first_try_waits_is_given_the_runs_once() {
    let stack = prepared(1).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let claim_id = uuid::Uuid::new_v4();
    let tries = |first| {
        let worker = worker.clone();
        let claim = Claim { runner_id: worker.id, max: 2, wait: LONG, claim_id, only_repeat: false, first };
        tokio::spawn(async move { worker.ops.claim(&worker.caller, claim).await.unwrap() })
    };
    let first = tries(true);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let second = tries(false);
    // The first one gives its place up, also where nobody hears the answer any more.
    assert!(tokio::time::timeout(LONG / 2, first).await.expect("it is answered").unwrap().is_empty());
    let matrix = json!({"labels": {"n": ["1", "2", "3", "4", "5"]}});
    stack.admin().register(&factory::with(factory::test("many"), "/matrix", matrix)).await;
    stack.admin().trigger("many").await;
    assert_eq!(tokio::time::timeout(LONG / 2, second).await.expect("it is served").unwrap().len(), 2);
    let held: i64 =
        sqlx::query_scalar("SELECT count(*) FROM lease").fetch_one(&mut stack.db.connect().await).await.unwrap();
    assert_eq!(held, 2, "what was wanted once is given once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_claims_at_once_read_the_namespaces_once() {
    const CLAIMS: usize = 5_000;
    let stack = prepared(1).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let mut own = stack.db.connect().await;
    // Whoever reads this table reads all of it.
    let mut reads = async || -> i64 {
        own.execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
        let scans = "SELECT seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = 'namespace'";
        sqlx::query_scalar(scans).fetch_one(&mut own).await.unwrap()
    };
    // What a backend has counted is told when it has been idle for ten seconds, at the latest.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let before = reads().await;
    let mut claims = JoinSet::new();
    for _ in 0..CLAIMS {
        let worker = worker.clone();
        claims.spawn(async move {
            let (runner_id, claim_id) = (worker.id, uuid::Uuid::new_v4());
            let claim =
                Claim { runner_id, max: 1, wait: Duration::from_millis(10), claim_id, only_repeat: false, first: true };
            worker.ops.claim(&worker.caller, claim).await.map(|runs| runs.len())
        });
    }
    while let Some(done) = claims.join_next().await {
        assert_eq!(done.unwrap().unwrap(), 0);
    }
    tokio::time::sleep(Duration::from_secs(12)).await;
    let read = reads().await - before;
    assert!(read < 200, "the namespaces were read {read} times");
}
