//! The client as a process: what it sends, what it writes where, and how it exits.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod explain;
mod logs;
mod server;
mod waiting;

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use server::{Fake, Reply, problem};

const RUN: &str = "0197c1a0-0000-7000-8000-000000000001";

/// A client in an environment of its own.
fn tstr(url: &str, line: &str) -> Command {
    let home = std::env::temp_dir().join("tstr-cli-tests-no-such-home");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tstr"));
    command.arg("ctl").args(line.split_whitespace()).env_clear().env("HOME", home).env("TSTR_TOKEN", "secret-token");
    command.env("TSTR_SERVER", url).current_dir("/").stdin(Stdio::null());
    command
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn ran(output: Output) -> Ran {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn run(url: &str, line: &str) -> Ran {
    ran(tstr(url, line).output().unwrap())
}

/// A run as the API answers it.
fn run_json(id: &str, state: &str, result: Option<&str>) -> Value {
    let mut run = json!({
        "id": id, "namespace": "default", "test_id": RUN, "test_name": "t", "matrix_id": RUN, "cell": {"region": "nyc"},
        "labels": {"region": "nyc"}, "annotations": {}, "run_config": {"container_image": "i"}, "state": state,
        "flaky": false, "cancel_requested": false, "attempt": 1, "runner_name": "w1", "priority": "normal",
        "trigger": "manual", "scheduled_at": "2026-03-01T10:00:00Z", "created_at": "2026-03-01T10:00:00Z",
        "log": {"status": "complete", "bytes": 3, "dropped_bytes": 0}, "a_field_of_tomorrow": [1],
    });
    if state == "queued" {
        run["attempt"] = json!(0);
    }
    if let Some(result) = result {
        run["result"] = json!(result);
    }
    run
}

fn test_file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    file
}

#[test]
fn every_problem_ends_with_its_exit_code() {
    for (status, code, exit) in [
        (400, "malformed", 2),
        (422, "invalid", 2),
        (401, "unauthenticated", 4),
        (403, "forbidden", 4),
        (404, "not_found", 3),
        (409, "conflict", 5),
        (412, "precondition_failed", 5),
        (413, "too_large", 2),
        (429, "quota_exceeded", 5),
        (500, "internal", 1),
        (503, "unavailable", 6),
    ] {
        let fake = Fake::start(move |_, _| problem(status, code, "the detail"));
        let ran = run(&fake.url, "identity");
        assert_eq!((ran.code, ran.out.as_str()), (exit, ""), "{code}");
        assert!(ran.err.starts_with("error: the detail\n"), "{}", ran.err);
        let tries = if status == 503 { 3 } else { 1 };
        assert_eq!(fake.requests().len(), tries, "{code}");
    }
}

#[test]
fn programs_get_the_problem_as_json() {
    let fake = Fake::start(|_, _| problem(422, "invalid", "the detail"));
    let ran = run(&fake.url, "identity -o json");
    let told: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!((told["code"].as_str(), told["errors"][0]["pointer"].as_str()), (Some("invalid"), Some("/labels/v")));
    let ran = run(&fake.url, "identity");
    assert_eq!(ran.err, "error: the detail\n  /labels/v: expected a string\n");
}

#[test]
fn nobody_at_the_address_is_exit_code_6() {
    let ran = run("http://127.0.0.1:9", "identity");
    assert_eq!(ran.code, 6);
    assert!(ran.err.contains("cannot reach http://127.0.0.1:9/") && ran.err.contains("hint: "), "{}", ran.err);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for line in
        ["nonsense", "run get not-a-uuid", "identity --server nonsense", "identity -n UPPER", "test run t --env X"]
    {
        assert_eq!(run("http://127.0.0.1:9", line).code, 2, "{line}");
    }
    assert_eq!(run("http://127.0.0.1:9", "identity --context nowhere").code, 2);
}

#[test]
fn the_token_is_sent_and_never_told() {
    let fake = Fake::start(|_, _| problem(401, "unauthenticated", "no"));
    let refused = run(&fake.url, "identity -o json");
    assert_eq!(fake.requests()[0].header("authorization"), Some("Bearer secret-token"));
    assert!(!refused.err.contains("secret-token"));
    let mut bare = tstr(&fake.url, "identity");
    let bare = ran(bare.env_remove("TSTR_TOKEN").output().unwrap());
    assert!(bare.err.contains("tstr ctl login"), "{}", bare.err);
    assert_eq!(fake.requests()[1].header("authorization"), None);
}

#[test]
fn a_list_follows_its_pages_and_is_what_the_api_answered() {
    let fake = Fake::start(|request, before| {
        let id = |n: usize| format!("0197c1a0-0000-7000-8000-00000000000{n}");
        let next = if before < 2 { json!(format!("page{}", before + 1)) } else { Value::Null };
        assert_eq!(request.path, "/api/v1/namespaces/shop/runs");
        let mut page = json!({"items": [run_json(&id(before), "finished", Some("pass"))]});
        if !next.is_null() {
            page["next_page_token"] = next;
        }
        Reply::Json(200, page)
    });
    let ran = run(&fake.url, "run list -n shop --test t --state running,finished --label a=b --all -o json");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let items: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(items.len(), 3);
    assert_eq!(items[0]["a_field_of_tomorrow"], json!([1]), "what the client does not know is kept");
    let queries: Vec<_> = fake.requests().into_iter().map(|request| request.query).collect();
    assert_eq!(queries[0], "test=t&state=running&state=finished&label=a%3Db&page_size=1000");
    assert!(queries[2].ends_with("page_token=page2"), "{queries:?}");
}

#[test]
fn a_list_ends_at_its_limit_and_says_so() {
    let fake = Fake::start(|_, _| {
        Reply::Json(200, json!({"items": [run_json(RUN, "finished", Some("fail"))], "next_page_token": "more"}))
    });
    let ran = run(&fake.url, "run list --limit 2");
    assert_eq!((ran.code, ran.out.lines().count(), fake.requests().len()), (0, 2, 2));
    assert!(ran.out.starts_with(&format!("{RUN}\tt\tregion=nyc\tfinished\tfail\tw1\t")), "{}", ran.out);
    assert!(ran.err.contains("--all"), "{}", ran.err);
}

#[test]
fn an_empty_list_is_an_empty_array_and_no_failure() {
    let fake = Fake::start(|_, _| Reply::Json(200, json!({"items": []})));
    for command in ["test list", "run list", "runner list", "token list", "namespace list"] {
        let ran = run(&fake.url, &format!("{command} -o json"));
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "[]\n", ""), "{command}");
        assert_eq!(run(&fake.url, command).out, "", "{command}");
    }
}

#[test]
fn a_post_is_repeated_with_its_key_and_each_command_has_its_own() {
    let fake = Fake::start(|_, before| match before % 3 {
        0 => Reply::Busy,
        1 => Reply::Lost,
        _ => Reply::Json(202, run_json(RUN, "running", None)),
    });
    let line = format!("run cancel {RUN}");
    assert_eq!(run(&fake.url, &line).code, 0);
    assert_eq!(run(&fake.url, &line).code, 0);
    let keys: Vec<_> = fake.requests().iter().map(|r| r.header("idempotency-key").unwrap().to_owned()).collect();
    assert!(keys[0] == keys[1] && keys[1] == keys[2] && keys[3] == keys[5] && keys[0] != keys[3], "{keys:?}");
    assert!(keys[0].starts_with('"') && keys[0].ends_with('"'));
}

#[test]
fn apply_sends_each_document_to_its_address_in_the_order_of_its_keys() {
    let fake = Fake::start(|_, _| {
        Reply::Json(
            200,
            json!({"change": "updated", "dry_run": false, "warnings": ["nobody takes it"],
            "diff": [{"pointer": "/run_config/args", "before": ["a"], "after": ["b"]}]}),
        )
    });
    let file = test_file("name: a\nmatrix: {labels: {z: ['1'], b: ['2']}}\n---\nname: b\n");
    let ran = run(&fake.url, &format!("test apply -f {}", file.path().display()));
    assert_eq!((ran.code, ran.out.as_str()), (0, "a\tupdated\t/run_config/args\nb\tupdated\t/run_config/args\n"));
    assert!(ran.err.contains("a: nobody takes it"), "{}", ran.err);
    let requests = fake.requests();
    assert_eq!(requests[0].line(), "PUT /api/v1/namespaces/default/tests/a");
    assert_eq!(requests[0].body, r#"{"name":"a","matrix":{"labels":{"z":["1"],"b":["2"]}}}"#);
    let one = test_file("name: a\n");
    let ran = run(&fake.url, &format!("test apply --dry-run -o json -f {}", one.path().display()));
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["change"], "updated");
    assert_eq!(fake.requests()[2].query, "dry_run=true");
}

#[test]
fn what_is_registered_says_when_it_runs_next() {
    let local = |day| json!({"at": "2026-03-08T07:00:00Z", "local": format!("2026-03-{day}T03:00:00-04:00")});
    let noted = json!({"at": "2026-03-08T07:00:00Z", "local": "2026-03-08T03:00:00-04:00", "note": "runs at 03:00"});
    let upcoming = json!([local("07"), noted]);
    let told = ["a: runs next at 2026-03-07T03:00:00-04:00, 2026-03-08T03:00:00-04:00", "a: runs at 03:00"];
    let file = test_file("name: a\n");
    let path = file.path().display().to_string();
    for (line, change, is_told) in [
        (format!("test apply -f {path}"), "created", true),
        (format!("test apply -f {path}"), "updated", true),
        (format!("test apply -f {path}"), "unchanged", false),
        (format!("test apply -o json -f {path}"), "created", false),
        (format!("test register -f {path}"), "created", true),
    ] {
        let upcoming = upcoming.clone();
        let fake = Fake::start(move |_, _| {
            Reply::Json(
                201,
                json!({"name": "a", "change": change, "dry_run": false, "diff": [], "warnings": [], "upcoming": upcoming}),
            )
        });
        let ran = run(&fake.url, &line);
        for words in told {
            assert_eq!(ran.err.lines().any(|line| line == words), is_told, "{line} ({change}): {}", ran.err);
        }
    }
}

#[test]
fn diff_is_exit_code_20_when_there_is_one() {
    let file = test_file("name: a\n");
    let line = format!("test diff -f {}", file.path().display());
    for (change, exit) in [("created", 20), ("updated", 20), ("unchanged", 0)] {
        let fake = Fake::start(move |_, _| {
            Reply::Json(200, json!({"change": change, "dry_run": true, "diff": [], "warnings": []}))
        });
        assert_eq!(run(&fake.url, &line).code, exit, "{change}");
        assert_eq!(fake.requests()[0].query, "dry_run=true");
    }
}

#[test]
fn what_one_document_is_refused_for_does_not_keep_the_others_back() {
    let fake = Fake::start(|request, _| match request.path.ends_with("/a") {
        true => problem(422, "invalid", "one field"),
        false => Reply::Json(201, json!({"change": "created", "dry_run": false, "diff": [], "warnings": []})),
    });
    let file = test_file("name: a\nlabels: {v: 1}\n---\nname: b\n");
    let ran = run(&fake.url, &format!("test apply -f {}", file.path().display()));
    assert_eq!((ran.code, ran.out.as_str()), (2, "b\tcreated\t\n"));
    assert!(ran.err.contains("(document 1): one field"), "{}", ran.err);
    assert!(ran.err.contains("hint: /labels/v: 1 is a number in YAML; write \"1\" in quotes"), "{}", ran.err);
}

#[test]
fn what_cannot_be_undone_needs_a_yes_where_nobody_can_be_asked() {
    let fake = Fake::start(|_, _| Reply::Json(200, json!({})));
    for line in ["test delete a".to_owned(), format!("token revoke {RUN}")] {
        let ran = run(&fake.url, &line);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains("--yes"), "{}", ran.err);
    }
    assert_eq!(fake.requests().len(), 0);
    assert_eq!(run(&fake.url, "test delete a b --yes").code, 0);
    assert_eq!(fake.requests()[1].line(), "DELETE /api/v1/namespaces/default/tests/b");
}

#[test]
fn a_token_alone_is_written_to_the_standard_output() {
    let record = json!({"id": RUN, "name": "ci", "scopes": ["data"], "namespaces": ["default"],
        "created_at": "2026-03-01T10:00:00Z", "expires_at": "2026-06-01T10:00:00Z"});
    let answer = json!({"token": "tstr_pat_x", "record": record});
    let fake = Fake::start(move |_, _| Reply::Json(201, answer.clone()));
    let ran = run(&fake.url, "token issue ci --scope data,control --expires-in 30d");
    assert_eq!((ran.code, ran.out.as_str()), (0, "tstr_pat_x\n"));
    let sent = fake.requests()[0].json();
    let wanted =
        json!({"name": "ci", "scopes": ["data", "control"], "namespaces": ["default"], "expires_in": "2592000s"});
    assert_eq!(sent, wanted);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let ran = run(&fake.url, &format!("token issue ci --scope data --out {}", path.display()));
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert!(!ran.err.contains("tstr_pat_x"));
    assert_eq!(std::fs::read_to_string(path).unwrap(), "tstr_pat_x\n");
}

#[test]
fn a_login_is_checked_kept_used_and_forgotten() {
    let identity = json!({"token": {"id": RUN, "name": "me", "scopes": ["data"], "namespaces": [".*"],
        "created_at": "2026-03-01T10:00:00Z", "expires_at": "2026-06-01T10:00:00Z"}, "namespaces": ["default"]});
    let fake = Fake::start(move |request, _| match request.header("authorization") {
        Some("Bearer good") => Reply::Json(200, identity.clone()),
        _ => problem(401, "unauthenticated", "no"),
    });
    let home = tempfile::tempdir().unwrap();
    let client = |line: &str, stdin: &str| {
        let mut command = tstr(&fake.url, line);
        command.env("HOME", home.path()).env_remove("TSTR_TOKEN").stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin.as_bytes()).unwrap();
        ran(child.wait_with_output().unwrap())
    };
    assert_eq!(client("login --token-stdin", "bad\n").code, 4);
    assert_eq!(client("whoami", "").code, 4, "a bad token is not kept");
    let login = client("login --token-stdin", "good\n");
    assert_eq!(login.code, 0, "{}", login.err);
    assert!(login.err.contains("as 'me'") && !login.err.contains("good"), "{}", login.err);
    assert_eq!(client("whoami -o name", "").out, "me\n");
    let contexts = client("context list -o json", "").out;
    assert!(contexts.contains("\"has_token\": true") && !contexts.contains("good"), "{contexts}");
    assert_eq!(client("logout", "").code, 0);
    assert_eq!(client("whoami", "").code, 4);
}

#[test]
fn validate_needs_no_server() {
    let good = test_file("name: a\nrun_config: {container_image: i}\ncron_schedule: '*/5 * * * *'\n");
    let ran = run("http://127.0.0.1:9", &format!("validate {} -o json", good.path().display()));
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, told[0]["valid"].as_bool(), told[0]["runs"].as_u64()), (0, Some(true), Some(1)));
    let bad = test_file("name: a\nrun_config: {container_image: i, timeout: 99d}\n");
    let ran = run("http://127.0.0.1:9", &format!("validate {}", bad.path().display()));
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("/run_config/timeout"), "{}", ran.err);
}

#[test]
fn a_name_cannot_reach_another_address() {
    let fake = Fake::start(|_, _| problem(404, "not_found", "test not found"));
    run(&fake.url, "test get ../../tokens?x=1");
    assert_eq!(fake.requests()[0].line(), "GET /api/v1/namespaces/default/tests/..%2F..%2Ftokens%3Fx=1");
}
