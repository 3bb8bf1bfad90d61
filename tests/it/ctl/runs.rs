//! `tstr ctl`: runs, their logs and the runners, with a worker on real Podman.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;

use serde_json::{Value, json};
use tstr_tests::ctl::Ran;
use tstr_tests::runner::Runner;
use tstr_tests::{Ctl, Person, Stack, factory};

use super::NOBODY;

const RUNS: &str = "/api/v1/namespaces/default/runs";

async fn register(admin: &Person, name: &str, script: &str) {
    admin.register(&factory::script(name, script)).await;
}

fn ended(line: &str, child: Child) -> Ran {
    Ran::from(line, child.wait_with_output().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_run_ends_with_its_result() {
    let stack = Stack::start().await;
    let (admin, ctl) = (stack.admin(), Ctl::of(&stack));
    register(&admin, "pass", "echo hello; echo oops >&2").await;
    register(&admin, "fail", "echo first; exit 3").await;
    let late = factory::with(factory::script("late", "exec sleep 600"), "/run_config/timeout", json!("1s"));
    admin.register(&late).await;
    admin.register(&factory::test("missing")).await;

    // Nobody is there to take it yet.
    let alone = ["test run pass --wait --wait-timeout 1s", "test run pass --wait --placement-timeout 1s"];
    let [gave_up, unplaceable] = alone.map(|line| (line, ctl.start(line)));
    let gave_up = ended(gave_up.0, gave_up.1);
    assert!(gave_up.ended(14).contains("\tqueued\t"), "{gave_up:?}");
    let unplaceable = ended(unplaceable.0, unplaceable.1);
    assert!(unplaceable.ended(15).contains("\tqueued\t"), "{unplaceable:?}");
    assert!(unplaceable.err.contains("no live runner takes"), "{unplaceable:?}");

    let _worker = Runner::start(&stack, "w1", &["--slots", "4"]).await;
    let runners = ctl.answers_as_the_api("runner list", &admin, "/api/v1/namespaces/default/runners").await;
    assert_eq!((&runners[0]["name"], &runners[0]["slots"]), (&json!("w1"), &json!(4)));
    assert!(ctl.run("runner list").done().starts_with("w1\tlive\t"));

    let tests = [("pass", 0, "pass"), ("fail", 10, "fail"), ("missing", 11, "error"), ("late", 13, "timed_out")];
    let waiting = tests.map(|(test, ..)| ctl.start(&format!("test run {test} --wait -o json")));
    for ((test, code, result), child) in tests.into_iter().zip(waiting) {
        let ran = ended(test, child);
        let answer: Value = serde_json::from_str(ran.ended(code)).unwrap();
        let run = &answer["runs"][0];
        assert_eq!((run["test_name"].as_str(), run["result"].as_str()), (Some(test), Some(result)), "{answer}");
        assert!(ran.err.contains(&format!(": {result}")), "what happens is told: {ran:?}");
        // To watch what is over ends the same way.
        let id = run["id"].as_str().unwrap();
        let watched = ctl.run(&format!("run watch {id} -o json"));
        let seen = admin.run(id).await;
        assert_eq!(serde_json::from_str::<Value>(watched.ended(code)).unwrap(), seen);
        ctl.answers_as_the_api(&format!("run get {id}"), &admin, &format!("/api/v1/runs/{id}")).await;
    }
    ctl.answers_as_the_api("run list", &admin, RUNS).await;
    let failed = ctl.answers_as_the_api("run list --result fail", &admin, &format!("{RUNS}?result=fail")).await;
    assert_eq!((failed.as_array().unwrap().len(), &failed[0]["exit_code"]), (1, &json!(3)), "{failed}");
    let matrix = failed[0]["matrix_id"].as_str().unwrap();
    let row = ctl.run("run list --test fail");
    assert!(row.done().contains("\tfail\t\tfinished\tfail\tw1\t"), "{row:?}");
    assert_eq!(ctl.run(&format!("run watch --matrix-id {matrix}")).code, 10);

    for line in ["run get", "run watch", "run cancel", "logs"] {
        let missing = ctl.run(&format!("{line} {NOBODY}"));
        assert!(missing.refused(3).starts_with("error: "), "{missing:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_followed_watched_and_cancelled() {
    let stack = Stack::start().await;
    let (admin, ctl) = (stack.admin(), Ctl::of(&stack));
    let _worker = Runner::start(&stack, "w1", &["--slots", "2"]).await;
    register(&admin, "asleep", "echo begun; echo oops >&2; exec sleep 600").await;
    register(&admin, "bytes", r"printf 'a\nb\n'; printf 'no end' >&2; printf '\377\000'").await;
    let id = ctl.run("test run asleep -o json").json()["runs"][0]["id"].as_str().unwrap().to_owned();

    // The log comes while the run goes on, and ends with it; so does the watch, which says where the run is.
    let [mut watching, mut following] = [ctl.start(&format!("run watch {id}")), ctl.start(&format!("logs -f {id}"))];
    let mut told = BufReader::new(watching.stderr.take().unwrap());
    let mut talk = String::new();
    while !talk.contains("running on w1") {
        assert_ne!(told.read_line(&mut talk).unwrap(), 0, "it ended: {talk}");
    }
    let mut lines = BufReader::new(following.stdout.take().unwrap());
    let mut first = [String::new(), String::new()];
    for line in &mut first {
        lines.read_line(line).unwrap();
    }
    first.sort();
    assert_eq!(first, ["begun\n", "oops\n"]);
    assert_eq!(admin.run(&id).await["state"], "running");

    let cancelled = ctl.run(&format!("run cancel {id}"));
    assert_eq!((cancelled.code, cancelled.out.as_str()), (0, ""), "{cancelled:?}");
    assert!(cancelled.err.contains(&id), "{cancelled:?}");
    let watched = ended("run watch", watching);
    assert!(watched.ended(12).contains("\tfinished\tcancelled\tw1\t"), "{watched:?}");
    told.read_to_string(&mut talk).unwrap();
    assert!(talk.contains(": cancelled"), "{talk}");
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    let followed = ended("logs -f", following);
    assert_eq!((followed.code, rest.as_str(), followed.err.as_str()), (0, "", ""), "a log is no verdict: {followed:?}");
    ctl.run(&format!("run cancel {id}")).refused(5);

    let id = ctl.run("test run bytes --wait -o json").json()["runs"][0]["id"].as_str().unwrap().to_owned();
    let bytes = |line: &str| {
        let output = ctl.command(line).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
        output.stdout
    };
    assert_eq!(bytes(&format!("logs {id} --stream stdout")), b"a\nb\n\xff\0");
    assert_eq!(bytes(&format!("logs {id} --stream stderr")), b"no end");
    assert_eq!(bytes(&format!("logs {id}")).len(), 12);
    let answered = admin.get(&format!("/api/v1/runs/{id}/logs")).await.text();
    let entries: Vec<Value> = answered.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(ctl.run(&format!("logs {id} -o json")).json(), json!(entries));
    let lines = ctl.run(&format!("logs -f {id} -o jsonl"));
    let lines: Vec<Value> = lines.done().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, entries);
    assert!(bytes(&format!("logs {id} --stream stdout --tail 1")).starts_with(b"\xff\0"));
}
