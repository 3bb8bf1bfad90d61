//! End to end on real rootless Podman: the API in this process, workers as processes, containers as they are.

mod artifacts;
mod cases;
mod outputs;
mod reports;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tstr_shared::permission::Scope;
use tstr_tests::balancer::Balancer;
use tstr_tests::process::make_dir;
use tstr_tests::replica::{Replica, token_file};
use tstr_tests::runner::{Runner, Site};
use tstr_tests::{Person, Stack, TestDb, eventually, factory};

const TESTS: &str = "/api/v1/namespaces/default/tests";

pub(crate) async fn trigger(admin: &Person, test: Value) -> String {
    let name = test["name"].as_str().unwrap().to_owned();
    admin.post(TESTS, &test).await.expect(201);
    again(admin, &name).await
}

pub(crate) async fn again(admin: &Person, name: &str) -> String {
    let runs = admin.post(&format!("{TESTS}/{name}/runs"), &json!({})).await.expect(201);
    runs["runs"][0]["id"].as_str().unwrap().to_owned()
}

pub(crate) async fn run(admin: &Person, id: &str) -> Value {
    admin.get(&format!("/api/v1/runs/{id}")).await.expect(200)
}

pub(crate) async fn until_state(admin: &Person, id: &str, state: &str) -> Value {
    eventually(&format!("run {id} is {state}"), Duration::from_secs(60), async || {
        let seen = run(admin, id).await;
        (seen["state"] == state).then_some(seen)
    })
    .await
}

pub(crate) async fn finished(admin: &Person, id: &str) -> Value {
    until_state(admin, id, "finished").await
}

/// The bytes of one stream, or of both in the order of arrival.
pub(crate) async fn log(admin: &Person, id: &str, query: &str) -> Vec<u8> {
    let path = format!("/api/v1/runs/{id}/logs{query}");
    let answer = admin.send(admin.request(reqwest::Method::GET, &path).header("accept", "text/plain")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.body
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn results_follow_the_container() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Runner::start(&stack, "w1", &["--slots", "2"]).await;

    let pass = trigger(&admin, factory::script("pass", "echo hello; echo oops >&2")).await;
    let seen = finished(&admin, &pass).await;
    assert_eq!((seen["result"].as_str(), seen["exit_code"].as_i64()), (Some("pass"), Some(0)), "{seen}");
    assert_eq!(seen["runner_name"], "w1");
    assert_eq!(seen["log"], json!({"status": "complete", "bytes": 11, "dropped_bytes": 0}));
    assert_eq!(log(&admin, &pass, "?stream=stdout").await, b"hello\n");
    assert_eq!(log(&admin, &pass, "?stream=stderr").await, b"oops\n");

    let fail = trigger(&admin, factory::script("fail", "echo first; exit 3")).await;
    let seen = finished(&admin, &fail).await;
    assert_eq!((seen["result"].as_str(), seen["exit_code"].as_i64()), (Some("fail"), Some(3)), "{seen}");

    let missing =
        factory::with(factory::test("missing"), "/run_config/container_image", json!("localhost/not-there:1"));
    let missing = trigger(&admin, missing).await;
    let seen = finished(&admin, &missing).await;
    assert_eq!((seen["result"].as_str(), seen["reason"].as_str()), (Some("error"), Some("image_not_found")), "{seen}");
    assert_eq!(seen["attempt"], 1);

    let broken = factory::with(factory::script("broken", ""), "/run_config/command", json!(["/no/such/program"]));
    let broken = trigger(&admin, broken).await;
    let seen = finished(&admin, &broken).await;
    assert_eq!((seen["result"].as_str(), seen["reason"].as_str()), (Some("error"), Some("start_failed")), "{seen}");

    // A container that ends at once after much output loses none of it.
    let quick = trigger(&admin, factory::script("quick", "seq 1 1000000; exit 7")).await;
    let seen = finished(&admin, &quick).await;
    assert_eq!((seen["result"].as_str(), seen["exit_code"].as_i64()), (Some("fail"), Some(7)), "{seen}");
    let expected: String = (1..=1_000_000).map(|n| format!("{n}\n")).collect();
    assert_eq!(sha256(&log(&admin, &quick, "?stream=stdout").await), sha256(expected.as_bytes()));
    worker.cleaned_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timeout_and_cancel_end_the_container() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Runner::start(&stack, "w1", &["--slots", "3"]).await;

    let sleeper = |name: &str| factory::script(name, "echo begun; exec sleep 1000");
    let deaf = factory::script("deaf", "trap '' TERM; echo begun; while :; do sleep 1; done");
    let late = factory::with(sleeper("late"), "/run_config/timeout", json!("2s"));
    let late = trigger(&admin, late).await;
    let asleep = trigger(&admin, sleeper("asleep")).await;
    let deaf = trigger(&admin, deaf).await;

    for id in [&asleep, &deaf] {
        until_state(&admin, id, "running").await;
        eventually("its log begins", Duration::from_secs(10), async || {
            (!log(&admin, id, "").await.is_empty()).then_some(())
        })
        .await;
        let answer = admin.post(&format!("/api/v1/runs/{id}/cancel"), &json!({})).await.expect(202);
        assert_eq!(answer["cancel_requested"], true);
    }
    let seen = finished(&admin, &late).await;
    assert_eq!(seen["result"], "timed_out", "{seen}");
    assert_eq!(log(&admin, &late, "").await, b"begun\n");
    for id in [&asleep, &deaf] {
        let seen = finished(&admin, id).await;
        assert_eq!(seen["result"], "cancelled", "{seen}");
    }
    // What waits is cancelled at once, and never starts.
    admin.post(TESTS, &factory::with(sleeper("far"), "/labels", json!({}))).await.expect(201);
    let far = admin.post(&format!("{TESTS}/far/runs"), &json!({"not_before": "2099-01-01T00:00:00Z"})).await;
    assert_eq!(far.problem(422)["errors"][0]["pointer"], "/not_before");
    worker.cleaned_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_binary_output_arrives_byte_for_byte() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let _worker = Runner::start(&stack, "w1", &["--slots", "1"]).await;
    let roomy = |test| factory::with(test, "/limits/log", json!("256MiB"));

    let line = roomy(factory::script("line", "head -c 52428800 /dev/zero | tr '\\0' x"));
    let line = trigger(&admin, line).await;
    let seen = finished(&admin, &line).await;
    assert_eq!((seen["result"].as_str(), seen["log"]["bytes"].as_i64()), (Some("pass"), Some(52_428_800)), "{seen}");
    let bytes = log(&admin, &line, "").await;
    assert!(bytes.len() == 52_428_800 && bytes.iter().all(|byte| *byte == b'x'));

    let much = roomy(factory::script("much", "seq 1 20000000 | head -c 104857600"));
    let much = trigger(&admin, much).await;
    let seen = finished(&admin, &much).await;
    assert_eq!((seen["result"].as_str(), seen["log"]["status"].as_str()), (Some("pass"), Some("complete")), "{seen}");
    let mut expected = Vec::with_capacity(104_857_700);
    for n in 1u64.. {
        expected.extend_from_slice(n.to_string().as_bytes());
        expected.push(b'\n');
        if expected.len() >= 104_857_600 {
            expected.truncate(104_857_600);
            break;
        }
    }
    assert_eq!(sha256(&log(&admin, &much, "?stream=stdout").await), sha256(&expected));

    let binary = factory::script("binary", "head -c 3000000 /dev/urandom | tee /tmp/x; sha256sum /tmp/x >&2");
    let binary = trigger(&admin, binary).await;
    assert_eq!(finished(&admin, &binary).await["result"], "pass");
    let sum: String =
        sha256(&log(&admin, &binary, "?stream=stdout").await).iter().map(|b| format!("{b:02x}")).collect();
    assert!(String::from_utf8(log(&admin, &binary, "?stream=stderr").await).unwrap().starts_with(&sum));

    // Beyond its limit a log is cut and the rest counted; the run goes on to its end.
    let cut = factory::with(factory::script("cut", "seq 1 500000; exit 4"), "/limits/log", json!("1MiB"));
    let cut = trigger(&admin, cut).await;
    let seen = finished(&admin, &cut).await;
    let produced: u64 = (1..=500_000u64).map(|n| n.to_string().len() as u64 + 1).sum();
    assert_eq!((seen["exit_code"].as_i64(), seen["log"]["status"].as_str()), (Some(4), Some("truncated")), "{seen}");
    assert_eq!(seen["log"]["bytes"].as_u64().unwrap() + seen["log"]["dropped_bytes"].as_u64().unwrap(), produced);
    let all: Vec<u8> = (1..=500_000u64).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    let stored = log(&admin, &cut, "?stream=stdout").await;
    let (head, tail) = stored.split_at(768 << 10);
    assert!(all.starts_with(head) && all.ends_with(tail) && tail.len() > 200 << 10, "{} bytes at the end", tail.len());
    assert_eq!(
        seen["log"]["cuts"][0],
        json!({"stream": "stdout", "offset": 768 << 10, "bytes": all.len() - stored.len()})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_sees_its_run_and_nothing_of_the_host() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let _worker = Runner::start(&stack, "w1", &["--slots", "1"]).await;
    let test = factory::script(
        "env",
        "env | sort; id -u; cat /proc/self/status | grep -E 'Cap(Eff|Bnd)|NoNewPrivs'; \
        touch /here 2>/dev/null && echo writable; echo a=1 >\"$TSTR_OUTPUT\" && echo output; ls /sys/class/net",
    );
    let test = factory::with(test, "/labels", json!({"region": "nyc"}));
    let test = factory::with(test, "/run_config/env", json!({"MINE": "yes"}));
    let id = trigger(&admin, test).await;
    let seen = finished(&admin, &id).await;
    assert_eq!(seen["result"], "pass", "{seen}");
    let text = String::from_utf8(log(&admin, &id, "?stream=stdout").await).unwrap();
    let has = |line: &str| text.lines().any(|l| l == line);
    assert!(has(&format!("TSTR_RUN_ID={id}")) && has("TSTR_ATTEMPT=1") && has("TSTR_TEST=env"), "{text}");
    assert!(has("TSTR_NAMESPACE=default") && has("TSTR_LABEL_REGION=nyc") && has("MINE=yes"), "{text}");
    assert!(has("output") && !has("writable"), "{text}");
    assert!(text.contains("CapEff:\t0000000000000000") && text.contains("NoNewPrivs:\t1"), "{text}");
    assert!(text.lines().any(|l| l == "lo") && !text.contains("eth0") && !text.contains("tap0"), "{text}");
    for secret in ["XDG_RUNTIME_DIR", "TSTR_TOKEN", "RUST_LOG", "TSTR_BIN", "TSTR_DATA"] {
        assert!(!text.contains(secret), "{secret} is in the container: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_one_queue_by_their_selectors() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let one = Runner::start(&stack, "one", &["--slots", "2", "--accept", "region=nyc", "--accept", "type=.*"]).await;
    let two = Runner::start(&stack, "two", &["--slots", "2", "--reject", "region=nyc"]).await;
    let test = factory::with(
        factory::script("where", "sleep 0.2"),
        "/matrix/labels",
        json!({"region": ["nyc", "sfo"], "n": ["1"]}),
    );
    let test = factory::with(test, "/matrix/labels", json!({"region": ["nyc", "sfo"], "type": ["a", "b", "c"]}));
    admin.post(TESTS, &test).await.expect(201);
    let runs = admin.post(&format!("{TESTS}/where/runs"), &json!({})).await.expect(201);
    for made in runs["runs"].as_array().unwrap() {
        let seen = finished(&admin, made["id"].as_str().unwrap()).await;
        let expected = if made["cell"]["region"] == "nyc" { "one" } else { "two" };
        assert_eq!((seen["result"].as_str(), seen["runner_name"].as_str()), (Some("pass"), Some(expected)), "{seen}");
    }
    drop((one, two));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_is_replaced_by_another_and_leaves_no_container() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let site = Site::prepare(&stack, "doomed").await;
    let mut doomed = site.start(&stack.grpc_url(0), &["--slots", "1"]).await;
    doomed.registered(&stack).await;
    let id =
        trigger(&admin, factory::script("long", "echo attempt $TSTR_ATTEMPT; [ $TSTR_ATTEMPT = 2 ] || exec sleep 600"))
            .await;
    until_state(&admin, &id, "running").await;
    let other = Runner::start(&stack, "other", &["--slots", "1"]).await;
    doomed.process.kill();
    let seen = finished(&admin, &id).await;
    assert_eq!(
        (seen["result"].as_str(), seen["attempt"].as_i64(), seen["runner_name"].as_str()),
        (Some("pass"), Some(2), Some("other")),
        "{seen}"
    );
    assert_eq!(seen["attempts"][0]["reason"], "lost_worker");
    assert_eq!(log(&admin, &id, "").await, b"attempt 2\n");
    // Started again, it sweeps what it left behind and works on.
    let doomed = site.start(&stack.grpc_url(0), &["--slots", "1"]).await;
    doomed.registered(&stack).await;
    eventually("the container is swept", Duration::from_secs(20), async || {
        doomed.containers().is_empty().then_some(())
    })
    .await;
    drop(other);
    let id = again(&admin, "long").await;
    until_state(&admin, &id, "running").await;
    admin.post(&format!("/api/v1/runs/{id}/cancel"), &json!({})).await.expect(202);
    assert_eq!(finished(&admin, &id).await["runner_name"], "doomed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_finishes_what_it_has() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let mut worker = Runner::start(&stack, "w1", &["--slots", "1", "--drain-timeout", "30s"]).await;
    let id = trigger(&admin, factory::script("short", "echo begun; sleep 2; echo done")).await;
    until_state(&admin, &id, "running").await;
    let status = worker.process.terminate(Duration::from_secs(40));
    assert!(status.success(), "{status}: {}", worker.process.log_text());
    let seen = finished(&admin, &id).await;
    assert_eq!((seen["result"].as_str(), seen["attempt"].as_i64()), (Some("pass"), Some(1)), "{seen}");
    assert_eq!(log(&admin, &id, "").await, b"begun\ndone\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_done_when_a_stopped_worker_has_waited_long_enough_is_handed_over() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let mut worker = Runner::start(&stack, "w1", &["--slots", "1", "--drain-timeout", "2s"]).await;
    let id = trigger(&admin, factory::script("long", "[ $TSTR_ATTEMPT -ge 2 ] || sleep 60; echo done")).await;
    until_state(&admin, &id, "running").await;
    let begun = Instant::now();
    let status = worker.process.terminate(Duration::from_secs(30));
    let took = begun.elapsed();
    assert!(
        status.success() && took >= Duration::from_secs(2),
        "{status} after {took:?}: {}",
        worker.process.log_text()
    );
    assert!(worker.containers().is_empty(), "its container is left");
    // It says so itself: nobody has to wait until its lease runs out.
    let seen = admin.get(&format!("/api/v1/runs/{id}")).await.expect(200);
    assert_eq!(
        (seen["state"].as_str(), seen["attempts"][0]["reason"].as_str()),
        (Some("queued"), Some("runtime_lost")),
        "{seen}"
    );
    let _other = Runner::start(&stack, "w2", &["--slots", "1"]).await;
    let seen = finished(&admin, &id).await;
    assert_eq!((seen["result"].as_str(), seen["attempt"].as_i64()), (Some("pass"), Some(2)), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_arrives_while_the_run_runs() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let _worker = Runner::start(&stack, "w1", &["--slots", "1"]).await;
    let id = trigger(&admin, factory::script("slow", "echo one; sleep 3; echo two >&2; sleep 1; echo three")).await;
    let path = format!("/api/v1/runs/{id}/logs?follow=true");
    let followed = admin.get(&path);
    let early = eventually("the first line arrives", Duration::from_secs(30), async || {
        let seen = log(&admin, &id, "").await;
        (!seen.is_empty()).then_some(seen)
    });
    let (followed, early) = tokio::join!(followed, early);
    assert_eq!(early, b"one\n");
    let lines: Vec<Value> = followed.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> = lines.iter().map(|l| (l["stream"].as_str().unwrap(), l["data"].as_str().unwrap())).collect();
    assert_eq!(seen, [("stdout", "one\n"), ("stderr", "two\n"), ("stdout", "three\n")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replica_costs_no_attempt() {
    let (db, dir) = (TestDb::new().await, make_dir("a"));
    let mut replicas = vec![Replica::start(&db, &dir).await];
    replicas.push(Replica::start(&db, &dir).await);
    replicas.push(Replica::start(&db, &dir).await);
    let json = Balancer::start(replicas.iter().map(|one| one.json).collect()).await;
    let grpc = Balancer::start(replicas.iter().map(|one| one.grpc).collect()).await;
    let token = std::fs::read_to_string(token_file(&dir)).unwrap().trim().to_owned();
    let admin = Person::new(format!("http://{}", json.addr), Some(token));
    let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Runner], &[".*"])).await.expect(201);
    let site = Site::with_token("w1", issued["token"].as_str().unwrap());
    let worker = site.start(&format!("http://{}", grpc.addr), &["--slots", "2"]).await;
    worker.registered_at(&admin).await;

    let test = factory::script("slow", "for i in 1 2 3 4 5 6; do echo line $i; sleep 0.5; done");
    admin.post(TESTS, &test).await.expect(201);
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(again(&admin, "slow").await);
    }
    until_state(&admin, &runs[0], "running").await;
    // One is killed as a crash would, another is stopped in order; the third goes on alone.
    let mut killed = replicas.remove(0);
    killed.process.kill();
    json.set(replicas.iter().map(|one| one.json).collect());
    grpc.set(replicas.iter().map(|one| one.grpc).collect());
    // A new person: the old one's connection died with the replica, and it retries nothing.
    let admin = Person::new(format!("http://{}", json.addr), admin.token().map(str::to_owned));
    until_state(&admin, &runs[1], "finished").await;
    let mut stopped = replicas.remove(0);
    json.set(replicas.iter().map(|one| one.json).collect());
    grpc.set(replicas.iter().map(|one| one.grpc).collect());
    assert!(stopped.process.terminate(Duration::from_secs(40)).success(), "{}", stopped.process.log_text());
    let admin = Person::new(format!("http://{}", json.addr), admin.token().map(str::to_owned));
    let expected: String = (1..=6).map(|i| format!("line {i}\n")).collect();
    for id in &runs {
        let seen = finished(&admin, id).await;
        assert_eq!((seen["result"].as_str(), seen["attempt"].as_i64()), (Some("pass"), Some(1)), "{seen}");
        assert_eq!(log(&admin, id, "").await, expected.as_bytes());
    }
}
