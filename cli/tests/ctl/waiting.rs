//! `run watch` and `--wait`: the result is the exit code, whatever the connection does.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::server::{Fake, Reply, Request};
use super::{RUN, ran, run, run_json, tstr};

#[test]
fn the_result_of_the_run_is_the_exit_code() {
    for (result, exit) in [("pass", 0), ("fail", 10), ("error", 11), ("cancelled", 12), ("timed_out", 13)] {
        let fake = Fake::start(move |_, _| Reply::Json(200, run_json(RUN, "finished", Some(result))));
        let ran = run(&fake.url, &format!("run watch {RUN} -o json"));
        assert_eq!(ran.code, exit, "{result}");
        assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["result"], result);
    }
}

#[test]
fn changes_are_told_and_a_lost_connection_is_no_failure() {
    let fake = Fake::start(|request, before| match before {
        0 => Reply::Json(200, run_json(RUN, "queued", None)),
        1 => Reply::Json(200, run_json(RUN, "running", None)),
        // Three tries make one request; here two requests are lost as a whole.
        2..=4 => Reply::Lost,
        5..=7 => Reply::Busy,
        _ => {
            assert!(request.header("prefer").is_some_and(|prefer| prefer.starts_with("wait=")), "{request:?}");
            Reply::Json(200, run_json(RUN, "finished", Some("fail")))
        }
    });
    let ran = run(&fake.url, &format!("run watch {RUN}"));
    assert_eq!(ran.code, 10, "{}", ran.err);
    let told: Vec<_> = ran.err.lines().map(|line| line.rsplit_once(": ").map_or(line, |(_, words)| words)).collect();
    assert_eq!(told[0], "queued");
    assert_eq!(told[1], "running on w1");
    assert!(ran.err.contains("trying again") && ran.err.contains("connected again"), "{}", ran.err);
    assert_eq!(told.last(), Some(&"fail"));
    assert!(ran.out.contains("\tfinished\tfail\t"), "{}", ran.out);
    let waits: Vec<_> = fake.requests().iter().filter_map(|r| r.header("prefer").map(str::to_owned)).collect();
    assert_eq!((waits[0].as_str(), waits[1].as_str()), ("wait=2", "wait=25"));
}

#[test]
fn a_run_that_is_not_there_is_exit_code_3() {
    let fake = Fake::start(|_, _| super::problem(404, "not_found", "run not found"));
    assert_eq!(run(&fake.url, &format!("run watch {RUN}")).code, 3);
}

fn triggered(runs: &[Value]) -> Reply {
    Reply::Json(201, json!({"matrix_id": RUN, "runs": runs}))
}

fn ids(n: u8) -> String {
    format!("0197c1a0-0000-7000-8000-0000000000a{n}")
}

#[test]
fn of_a_matrix_all_are_waited_for_and_the_worst_counts() {
    let results = ["pass", "fail", "error"];
    let fake = Fake::start(move |request: &Request, before| match request.method.as_str() {
        "POST" => triggered(&(0..3).map(|n| run_json(&ids(n), "queued", None)).collect::<Vec<_>>()),
        _ if request.path.ends_with("/runs") => {
            let finished = if before < 4 { 1 } else { 3 };
            let run = |n: u8| match usize::from(n) < finished {
                true => run_json(&ids(n), "finished", Some(results[usize::from(n)])),
                false => run_json(&ids(n), "running", None),
            };
            Reply::Json(200, json!({"items": (0..3).rev().map(run).collect::<Vec<_>>()}))
        }
        _ => Reply::Json(200, run_json(request.path.rsplit('/').next().unwrap(), "running", None)),
    });
    let ran = run(&fake.url, "test run t --matrix region=nyc --env A=b --priority high --wait -o json");
    assert_eq!(ran.code, 10, "{}", ran.err);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    let seen: Vec<_> = told["runs"].as_array().unwrap().iter().map(|run| run["result"].as_str().unwrap()).collect();
    assert_eq!(seen, results, "in the order of the cells");
    let sent = fake.requests()[0].json();
    assert_eq!(sent, json!({"labels": {}, "env": {"A": "b"}, "matrix": {"region": "nyc"}, "priority": "high"}));
}

#[test]
fn giving_up_is_exit_code_14_and_says_how_to_go_on() {
    let fake = Fake::start(|request, _| match request.method.as_str() {
        "POST" => triggered(&[run_json(RUN, "running", None)]),
        _ => {
            std::thread::sleep(Duration::from_millis(300));
            Reply::Json(200, run_json(RUN, "running", None))
        }
    });
    let ran = run(&fake.url, "test run t --wait --wait-timeout 1s");
    assert_eq!(ran.code, 14, "{}", ran.err);
    assert!(ran.err.contains(&format!("tstr ctl run watch {RUN}")), "{}", ran.err);
}

#[test]
fn a_run_that_no_live_runner_takes_is_exit_code_15() {
    let runner = |state: &str, pattern: &str| {
        json!({"id": RUN, "name": "w", "state": state, "draining": false, "namespaces": [".*"], "accept": {"region": pattern},
            "reject": {}, "slots": 1, "slots_used": 0, "about": {}, "registered_at": "2026-03-01T10:00:00Z",
            "last_seen_at": "2026-03-01T10:00:00Z"})
    };
    let fake = Fake::start(move |request, _| match request.method.as_str() {
        "POST" => triggered(&[run_json(RUN, "queued", None)]),
        _ if request.path.ends_with("/runners") => {
            Reply::Json(200, json!({"items": [runner("live", "sfo"), runner("offline", "nyc")]}))
        }
        _ => {
            std::thread::sleep(Duration::from_millis(300));
            Reply::Json(200, run_json(RUN, "queued", None))
        }
    });
    let ran = run(&fake.url, "test run t --wait --placement-timeout 1s");
    assert_eq!(ran.code, 15, "{}", ran.err);
    assert!(ran.err.contains("no live runner takes region=nyc"), "{}", ran.err);
}

#[test]
fn an_interrupt_detaches_and_says_how_to_go_on() {
    for (signal, exit) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let fake = Fake::start(|_, before| match before {
            0 => Reply::Json(200, run_json(RUN, "running", None)),
            _ => Reply::Silence,
        });
        let mut command = tstr(&fake.url, &format!("run watch {RUN}"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        err.read_line(&mut first).unwrap();
        assert!(first.contains("running on w1"), "{first}");
        kill_process(Pid::from_child(&child), signal).unwrap();
        let mut rest = String::new();
        err.read_to_string(&mut rest).unwrap();
        let ran = ran(child.wait_with_output().unwrap());
        assert_eq!(ran.code, exit);
        assert!(rest.contains(&format!("to watch again: tstr ctl run watch {RUN}")), "{rest}");
        assert!(fake.requests().iter().all(|request| request.method == "GET"), "nothing is cancelled");
    }
}
