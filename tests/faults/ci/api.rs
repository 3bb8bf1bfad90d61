//! Faults of replicas: killed, restarted, killed between the commit and the reply; requests that come twice; tokens
//! that are revoked; bodies that ask for too much.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tstr_proto::v1 as pb;
use tstr_shared::error::ErrorCode;
use tstr_shared::permission::Scope;
use tstr_tests::arena::{Arena, Plan, Tap};
use tstr_tests::checker::{Asked, Known};
use tstr_tests::driver::{marked, runs_of};
use tstr_tests::{Person, eventually, factory};
use uuid::Uuid;

use crate::bulk;
use crate::load::{self, Dice};
use crate::wire::Wire;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_01_replicas_are_killed_while_runs_are_made_leased_and_finished() {
    let mut dice = Dice::of(1);
    let (mut arena, bulk) = bulk::start(Plan::short(2, 2)).await;
    arena.driver.register(&factory::witness("t", "sleep 0.2")).await;
    let load = load::trigger(&arena.driver, "t", 60, Duration::from_millis(250));
    let more = bulk::trigger(&arena, 180, Duration::from_millis(80));
    for _ in 0..5 {
        let index = dice.throw(3) as usize;
        // Frozen first, for longer than the balancer needs to come round to it: it is killed with requests in its hands.
        arena.replicas[index].as_ref().unwrap().process.signal(Signal::STOP);
        tokio::time::sleep(Duration::from_millis(900)).await;
        arena.kill_replica(index);
        tokio::time::sleep(dice.between(Duration::from_millis(200), Duration::from_millis(800))).await;
        arena.start_replica(index).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
    let (made, more) = (load.await.unwrap(), more.await.unwrap());
    assert!(made.repeated + made.unknown > 0 && more.repeated + more.unknown > 0, "the kills were noticed");
    arena.settle(Duration::from_secs(60)).await;
    assert_eq!(arena.count("attempt WHERE reason = 'lost_worker'").await, 0, "the death of a replica loses no lease");
    bulk.finish(&arena).await;
    assert!(arena.count("run").await >= 200, "{made:?}, {more:?}");
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_02_replicas_are_restarted_one_by_one_under_load() {
    let (mut arena, bulk) = bulk::start(Plan::short(2, 2)).await;
    arena.driver.register(&factory::witness("t", "sleep 0.2")).await;
    let load = load::trigger(&arena.driver, "t", 50, Duration::from_millis(250));
    let more = bulk::trigger(&arena, 170, Duration::from_millis(75));
    // And as many requests that only look; a client that repeats what was not answered sees no failure.
    let (url, token) = (arena.json.url(), arena.token().to_owned());
    let looks = tokio::spawn(async move {
        let http = reqwest::Client::builder().tls_certs_only([]).pool_max_idle_per_host(0).build().unwrap();
        let (mut answered, mut repeated) = (0, 0);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(14) {
            let request = http.get(format!("{url}/api/v1/namespaces/default/runs?page_size=5")).bearer_auth(&token);
            let status = match request.send().await {
                Ok(answer) => Some(answer.status().as_u16()),
                Err(_) => None,
            };
            match status {
                Some(200) => answered += 1,
                None | Some(503) => repeated += 1,
                Some(other) => panic!("a request that only looks was answered with {other}"),
            }
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        (answered, repeated)
    });
    for index in 0..3 {
        let began = Instant::now();
        arena.stop_replica(index, Duration::from_secs(30)).await;
        eprintln!("replica {index} drained in {:.1} s", began.elapsed().as_secs_f64());
        arena.start_replica(index).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (made, more, (answered, repeated)) = (load.await.unwrap(), more.await.unwrap(), looks.await.unwrap());
    assert!(answered > 30, "{answered} looks were answered, {repeated} repeated");
    arena.settle(Duration::from_secs(60)).await;
    assert_eq!(arena.count("attempt WHERE attempt > 1").await, 0, "no attempt is lost");
    assert_eq!(arena.count("run_end WHERE result = 'pass'").await as usize, arena.count("run").await as usize);
    assert!(made.runs.len() + made.unknown == 50 && more.runs.len() + more.unknown == 170, "{made:?}, {more:?}");
    bulk.finish(&arena).await;
    assert!(arena.count("run").await >= 200, "{made:?}, {more:?}");
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_03_a_replica_is_killed_between_the_commit_and_the_reply() {
    let mut arena = Arena::start(Plan::short(1, 2)).await;
    arena.driver.register(&factory::witness("t", "true")).await;
    let tap = Tap::start(&arena.pg).await;
    for round in 0..5 {
        // All requests go to the replica behind the tap.
        for index in 0..3 {
            arena.kill_replica(index);
        }
        arena.start_replica_on(0, &tap.dsn("tstr")).await;
        let mark = format!("unheard-{round}");
        tap.arm(&mark);
        let driver = arena.driver.clone();
        let asked = tokio::spawn({
            let (driver, mark) = (driver.clone(), mark.clone());
            async move { driver.trigger_once("t", &mark).await }
        });
        tokio::time::timeout(Duration::from_secs(10), tap.sprung()).await.expect("the commit is seen");
        let stored = arena
            .value(
                "SELECT jsonb_agg(r.id) FROM run r JOIN config c ON c.id = r.config_id WHERE r.trigger = 'manual'
                    AND c.body->'run_config'->'env'->>'MARK' LIKE 'unheard-%'",
            )
            .await;
        assert_eq!(stored.as_array().unwrap().len(), round + 1, "it has committed");
        arena.kill_replica(0);
        assert_eq!(asked.await.unwrap(), Known::Unknown, "the client does not know");
        for index in 0..3 {
            arena.start_replica(index).await;
        }
        // Asked again with the same key it is told what there is.
        let run = driver.trigger("t", &mark).await;
        assert!(stored.as_array().unwrap().contains(&json!(run.to_string())), "{run} is of {stored}");
    }
    arena.settle(Duration::from_secs(60)).await;
    assert_eq!(arena.count("run").await, 5);
    arena.finish(Duration::from_secs(10)).await;
}

/// Lets all requests go to one replica, which is behind a tap, and lets the tap spring at a transaction that carries this.
async fn only_behind(arena: &mut Arena, tap: &Tap, trap: &[u8]) {
    for index in 0..3 {
        arena.kill_replica(index);
    }
    arena.start_replica_on(0, &tap.dsn("tstr")).await;
    tap.arm(trap);
}

/// Waits until the tap has sprung; the replica dies before it hears of its commit, and three others take its place.
async fn dies_unheard(arena: &mut Arena, tap: &Tap, run: Uuid) -> Value {
    tokio::time::timeout(Duration::from_secs(10), tap.sprung()).await.expect("the commit is seen");
    let lease = arena.value(&format!("SELECT to_jsonb(l) FROM lease l WHERE run_id = '{run}'")).await;
    arena.kill_replica(0);
    for index in 0..3 {
        arena.start_replica(index).await;
    }
    lease
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_03_a_replica_is_killed_between_the_commit_of_a_claim_and_the_reply() {
    let mut arena = Arena::prepare(Plan::short(1, 1)).await;
    arena.driver.register(&factory::test("t")).await;
    arena.driver.register(&factory::witness("real", "echo begun")).await;
    let tap = Tap::start(&arena.pg).await;
    let issued =
        arena.admin().post("/api/v1/tokens", &factory::token(&[Scope::Runner], &["default"])).await.expect(201);
    let wire = Wire::new(&arena.grpc.url(), issued["token"].as_str().unwrap(), Uuid::new_v4());
    wire.register("by-hand", 10).await.unwrap();

    // Who repeats its claim gets what it was given, and nothing else; three times.
    for round in 0..3 {
        let claim = Uuid::new_v4();
        only_behind(&mut arena, &tap, claim.as_bytes()).await;
        let runs = [
            arena.driver.trigger("t", &format!("a-{round}")).await,
            arena.driver.trigger("t", &format!("b-{round}")).await,
        ];
        let asked = tokio::spawn({
            let wire = wire.clone();
            async move { wire.claim_first(claim, 2, 5000).await }
        });
        let lease = dies_unheard(&mut arena, &tap, runs[0]).await;
        assert_eq!(lease["claim_id"], json!(claim), "it has committed: {lease}");
        assert_eq!(asked.await.unwrap(), Err(None), "the claimer does not know");
        let given = wire.claim_as(claim, 2, 5000).await.unwrap();
        let stored = "SELECT jsonb_agg(jsonb_build_array(run_id, attempt, lease_id) ORDER BY run_id) FROM lease";
        assert_eq!(json!(sorted(&given)), arena.value(stored).await, "what was stored is what is given");
        assert_eq!(sorted(&given).iter().map(|fence| fence.0.clone()).collect::<Vec<_>>(), ids(&runs));
        assert_eq!(sorted(&wire.claim_as(claim, 2, 5000).await.unwrap()), sorted(&given), "and again");
        assert_eq!(wire.claim(2, 0).await, Ok(Vec::new()), "another claim gets nothing of it");
        for fence in given {
            wire.start(&fence).await.unwrap();
            assert_eq!(wire.finish(&fence, pb::RunResult::Pass, b"").await, Ok(true));
        }
    }
    assert_eq!(arena.count("attempt").await, 6, "each run had one attempt");

    // Nobody repeats the claim: whoever made it says that it knows of no lease, and the run comes back for free.
    let claim = Uuid::new_v4();
    only_behind(&mut arena, &tap, claim.as_bytes()).await;
    let run = arena.driver.trigger("t", "unheard").await;
    let asked = tokio::spawn({
        let wire = wire.clone();
        async move { wire.claim_first(claim, 1, 5000).await }
    });
    let lost = dies_unheard(&mut arena, &tap, run).await;
    assert_eq!(asked.await.unwrap(), Err(None), "the claimer does not know");
    let fence = eventually("the run is given once more", Duration::from_secs(10), async || {
        wire.beat_with_none().await.unwrap();
        wire.claim(1, 200).await.unwrap().pop()
    })
    .await;
    assert_eq!((fence.run_id.as_str(), fence.attempt), (run.to_string().as_str(), 2));
    assert_ne!(json!(fence.lease_id), lost["lease_id"], "a fence of its own");
    wire.start(&fence).await.unwrap();
    assert_eq!(wire.finish(&fence, pb::RunResult::Pass, b"").await, Ok(true));
    let free = format!("attempt WHERE run_id = '{run}' AND attempt = 1 AND started_at IS NULL AND result IS NULL");
    assert_eq!(arena.count(&free).await, 1, "nothing was executed, and nothing failed");

    // A worker with containers, which repeats its claims: the run begins once.
    arena.start_workers().await;
    only_behind(&mut arena, &tap, b"INSERT INTO lease").await;
    let run = arena.driver.trigger("real", "real").await;
    let lost = dies_unheard(&mut arena, &tap, run).await;
    arena.settle(Duration::from_secs(30)).await;
    let story = arena.story(run).await;
    assert_eq!(story["result"], "pass", "{story}");
    let attempts = story["attempts"].as_array().unwrap();
    assert_eq!(attempts[0]["lease_id"], lost["lease_id"], "the lease that nobody heard of: {story}");
    let started = format!("attempt WHERE run_id = '{run}' AND started_at IS NOT NULL");
    assert_eq!(arena.count(&started).await, 1, "it was executed once: {story}");
    assert_eq!(arena.count("run").await, 8);
    arena.finish(Duration::from_secs(10)).await;
}

fn ids(runs: &[Uuid]) -> Vec<String> {
    let mut ids: Vec<String> = runs.iter().map(ToString::to_string).collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_24_every_request_comes_twice_and_ten_at_once() {
    let arena = Arena::start(Plan::short(0, 0)).await;
    arena.driver.register(&factory::test("t")).await;
    let (driver, admin) = (arena.driver.clone(), arena.admin());
    // Ten at once, each mark twice, at all replicas.
    let mut asked = Vec::new();
    for number in 0..50 {
        for _ in 0..2 {
            let driver = driver.clone();
            asked.push(tokio::spawn(async move { driver.trigger("t", &format!("twice-{number}")).await }));
        }
        if asked.len() >= 10 {
            for pair in std::mem::take(&mut asked).chunks_mut(2) {
                let [one, other] = pair else { panic!("pairs") };
                assert_eq!(one.await.unwrap(), other.await.unwrap(), "the same request, the same answer");
            }
        }
    }
    // The same key for something else is refused, and has no effect.
    let other = json!({"env": {"MARK": "twice-0", "MORE": "1"}});
    let known = driver.ask(Asked::Runs, "twice-0", &runs_of("t"), &other).await;
    assert_eq!(known, Known::Refused(422));
    assert_eq!(arena.count("run").await, 50);

    let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Runner], &["default"])).await.expect(201);
    let token = issued["token"].as_str().unwrap();
    let runner = Uuid::new_v4();
    let grpc = |index: usize| format!("http://{}", arena.replicas[index].as_ref().unwrap().grpc);
    let wires: Vec<Wire> = (0..3).map(|index| Wire::new(&grpc(index), token, runner)).collect();
    for wire in &wires {
        wire.register("twice", 10).await.unwrap();
    }
    let mut finished = 0;
    while finished < 50 {
        let claim = Uuid::new_v4();
        let mine = wires[0].claim_as(claim, 10, 1000).await.unwrap();
        assert_eq!(sorted(&wires[1].claim_as(claim, 10, 1000).await.unwrap()), sorted(&mine), "a repeated claim");
        assert!(!mine.is_empty());
        for fence in mine {
            let (one, other) = (&wires[1], &wires[2]);
            let (a, b) = tokio::join!(one.start(&fence), other.start(&fence));
            assert_eq!((a, b), (Ok(()), Ok(())));
            let (a, b) = tokio::join!(one.append(&fence, &[(0, 0, b"once")]), other.append(&fence, &[(0, 0, b"once")]));
            assert_eq!((a, b), (Ok((1, 4)), Ok((1, 4))), "a repeated piece");
            assert_eq!(one.append(&fence, &[(0, 0, b"ONCE")]).await, Err(Some(ErrorCode::Conflict)));
            let pass = pb::RunResult::Pass;
            let (a, b) = tokio::join!(one.finish(&fence, pass, b"once"), other.finish(&fence, pass, b"once"));
            assert_eq!((a, b), (Ok(true), Ok(true)), "a repeated finish");
            assert_eq!(one.append(&fence, &[(0, 0, b"once")]).await, Err(Some(ErrorCode::LeaseLost)), "a late piece");
            finished += 1;
        }
    }
    // A retry of a finished run, twice.
    let run = driver.trigger("t", "twice-0").await;
    let retry = format!("/api/v1/runs/{run}/retry");
    let (one, _) = driver.insist(Asked::Retry, "again", &retry, &json!({})).await;
    let (other, _) = driver.insist(Asked::Retry, "again", &retry, &json!({})).await;
    assert_eq!(one, other);
    for fence in wires[0].claim(1, 1000).await.unwrap() {
        wires[0].start(&fence).await.unwrap();
        assert_eq!(wires[0].finish(&fence, pb::RunResult::Pass, b"").await, Ok(true));
    }
    assert_eq!((arena.count("run").await, arena.count("attempt").await), (51, 51));
    arena.finish(Duration::from_secs(10)).await;
}

fn sorted(fences: &[pb::Fence]) -> Vec<(String, u32, String)> {
    let mut sorted: Vec<_> =
        fences.iter().map(|fence| (fence.run_id.clone(), fence.attempt, fence.lease_id.clone())).collect();
    sorted.sort();
    sorted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_39_a_matrix_without_measure_is_refused_before_it_is_multiplied_out() {
    let mut arena = Arena::start(Plan::short(0, 0)).await;
    let axis = |values: usize| (0..values).map(|n| format!("v{n}")).collect::<Vec<_>>();
    let axes = |count: usize, values: usize| -> Value {
        let axes: serde_json::Map<String, Value> = (0..count).map(|n| (format!("a{n}"), json!(axis(values)))).collect();
        json!({ "labels": axes })
    };
    let matrices = [
        ("2^63 cells", axes(63, 2)),
        ("64^8 cells", axes(8, 64)),
        ("257 cells", json!({"labels": {"a": axis(257)}})),
        ("16 times 17 cells", json!({"labels": {"a": axis(16), "b": axis(17)}})),
        ("an empty axis", json!({"labels": {"a": []}})),
        ("a hundred axes", axes(100, 1)),
        (
            "an include of 300",
            json!({"labels": {}, "include": axis(300).iter().map(|v| json!({"a": v})).collect::<Vec<_>>()}),
        ),
        ("no cell at all", json!({"labels": {"a": ["x"]}, "exclude": [{"a": "x"}]})),
        ("axes that are numbers", json!({"labels": {"a": 7}})),
    ];
    let admin = arena.admin();
    admin.get("/readyz").await.expect(200);
    for (what, matrix) in matrices {
        // The quickest of three: that the machine has something else to do is no cost of the product.
        let mut quickest = Duration::MAX;
        for replica in 0..3 {
            let there = admin.at(format!("http://{}", arena.replicas[replica].as_ref().unwrap().json));
            let test = factory::with(factory::test("huge"), "/matrix", matrix.clone());
            let began = Instant::now();
            let answer = there.post("/api/v1/namespaces/default/tests", &test).await;
            quickest = quickest.min(began.elapsed());
            assert_eq!(answer.status, 422, "{what}: {}", answer.text());
        }
        assert!(quickest < Duration::from_millis(50), "{what} was refused after {quickest:?}");
    }
    for replica in arena.replicas.iter_mut().flatten() {
        assert!(replica.process.is_running());
    }
    assert_eq!((arena.count("test").await, arena.count("run").await), (0, 0));
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_41_tokens_are_revoked_while_they_are_used() {
    let mut arena = Arena::start(Plan::short(2, 1)).await;
    arena.driver.register(&factory::witness("t", "[ $TSTR_ATTEMPT -ge 2 ] || sleep 60")).await;
    let admin = arena.admin();
    // A user's token is refused by every replica within five seconds.
    let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Control], &["default"])).await.expect(201);
    let user = Person::new(arena.json.url(), issued["token"].as_str().map(str::to_owned));
    let everywhere: Vec<Person> =
        arena.replicas.iter().flatten().map(|replica| user.at(format!("http://{}", replica.json))).collect();
    for person in &everywhere {
        person.get("/api/v1/identity").await.expect(200);
    }
    admin.delete(&format!("/api/v1/tokens/{}", issued["record"]["id"].as_str().unwrap())).await;
    let revoked = Instant::now();
    for person in &everywhere {
        eventually("the user is refused", Duration::from_secs(6), async || {
            (person.get("/api/v1/identity").await.status == 401).then_some(())
        })
        .await;
    }
    assert!(revoked.elapsed() < Duration::from_secs(5), "refused everywhere after {:?}", revoked.elapsed());

    // A worker's: it ends its container and itself, and another worker takes the run.
    let run = arena.driver.trigger("t", "handed over").await;
    let holder = arena.held_by(run).await;
    eventually("its container is seen", Duration::from_secs(10), async || arena.last_seen(run, 1)).await;
    admin.delete(&format!("/api/v1/tokens/{}", arena.posts[holder].token_id)).await;
    let revoked = tstr_tests::checker::boot_nanos();
    let mut gone = arena.posts[holder].runner.take().unwrap();
    let status = tokio::task::spawn_blocking(move || gone.process.wait(Duration::from_secs(20))).await.unwrap();
    assert!(!status.success(), "a worker whose token is revoked fails");
    let last = arena.last_seen(run, 1).unwrap();
    let late = Duration::from_nanos(u64::try_from((last - revoked).max(0)).unwrap());
    assert!(late < Duration::from_secs(8), "its container lived on for {late:?}");
    arena.settle(Duration::from_secs(45)).await;
    let story = arena.story(run).await;
    assert_eq!((&story["result"], &story["attempt"]), (&json!("pass"), &json!(2)), "{story}");
    assert_ne!(story["attempts"][0]["runner"], story["attempts"][1]["runner"], "{story}");
    // It may come back with a new token.
    let driver: Arc<_> = arena.driver.clone();
    let made = driver.ask(Asked::Runs, "after", &runs_of("t"), &marked("after")).await;
    let Known::Done(runs) = made else { panic!("{made:?}") };
    let holder = arena.held_by(runs[0]).await;
    assert_eq!(json!(format!("w{}", holder + 1)), story["attempts"][1]["runner"], "the other one works on");
    arena.cancel(runs[0], Duration::from_secs(6)).await;
    arena.finish(Duration::from_secs(20)).await;
}
