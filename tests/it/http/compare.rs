//! Two runs side by side, from the rows to the answer.

use serde_json::{Value, json};
use tstr_shared::logs::Stream;
use tstr_shared::output::Output;
use tstr_shared::permission::Scope;
use tstr_shared::run::RunResult;
use tstr_tests::worker::Worker;
use tstr_tests::{Stack, factory};

use super::TESTS;
use crate::outputs::something;

/// A run that writes, leaves and says something.
async fn ran(stack: &Stack, worker: &Worker, label: &str, log: &[u8], files: &[(&str, &str)], count: f64) -> String {
    let admin = stack.admin();
    let test = factory::with(factory::test("a"), "/labels", json!({"team": label}));
    let test = factory::with(test, "/run_config/env", json!({"LEVEL": label}));
    admin.put(&format!("{TESTS}/a"), &test).await;
    let id = admin.trigger("a").await.remove(0);
    let fence = worker.running().await;
    let pieces = log.chunks(200_000).map(|piece| (Stream::Stdout, piece));
    let pieces: Vec<_> = pieces.chain([(Stream::Stderr, b"not compared".as_slice())]).collect();
    worker.write(fence, &pieces).await;
    worker.leave(fence, files).await;
    let mut said: Output = something(label);
    said.metrics[0].value = count;
    worker.say(fence, &said).await.unwrap();
    let result = if label == "x" { RunResult::Pass } else { RunResult::Fail };
    worker.finish(fence, result).await.unwrap();
    id
}

fn at<'a>(found: &'a Value, pointer: &str) -> &'a Value {
    found.pointer(pointer).unwrap_or_else(|| panic!("{pointer} of {found}"))
}

#[tokio::test]
async fn what_differs_between_two_runs_is_told() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Worker::register(&stack, 0, "w").await;
    let old = b"2026-01-01T00:00:00Z begun\nsame\nold\n";
    let before = ran(&stack, &worker, "x", old, &[("a", "one"), ("b", "two"), ("same", "s")], 2.0).await;
    let new = b"2027-02-03T04:05:06Z begun\nsame\nnew\n";
    let after = ran(&stack, &worker, "y", new, &[("a", "other"), ("c", "three"), ("same", "s")], 3.0).await;
    let found = admin.get(&format!("/api/v1/runs/{before}/compare/{after}")).await.expect(200);
    assert_eq!((at(&found, "/before/id"), at(&found, "/after/id")), (&json!(before), &json!(after)));
    assert_eq!((at(&found, "/before/result"), at(&found, "/after/result")), (&json!("pass"), &json!("fail")));
    assert_eq!(found["config"], json!([]));
    assert_eq!(found["env"], json!([{"pointer": "/LEVEL", "before": "x", "after": "y"}]));
    assert_eq!(found["labels"], json!([{"pointer": "/team", "before": "x", "after": "y"}]));
    assert_eq!(found["data"], json!([{"pointer": "/word", "before": "x", "after": "y"}]));
    let metric = json!({"measurement": "requests", "tags": {"code": "200"}, "field": "count",
                        "before": 2.0, "after": 3.0, "delta": 1.0, "ratio": 1.5});
    assert_eq!(found["metrics"], json!([metric]));
    let files: Vec<_> =
        found["artifacts"].as_array().unwrap().iter().map(|one| (&one["path"], &one["change"])).collect();
    let expected = [("a", "changed"), ("b", "removed"), ("c", "added")].map(|(path, what)| (json!(path), json!(what)));
    assert_eq!(files, expected.iter().map(|(path, what)| (path, what)).collect::<Vec<_>>());
    assert_eq!((&found["same_artifacts"], &found["notes"]), (&json!(1), &json!([])));
    let log = &found["log"];
    assert_eq!((&log["same"], &log["removed"], &log["added"]), (&json!(2), &json!(1), &json!(1)), "{log}");
    let ran: Vec<_> = found["durations"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(ran, ["waited", "ran"]);
    // With itself it differs in nothing.
    let same = admin.get(&format!("/api/v1/runs/{after}/compare/{after}")).await.expect(200);
    for part in ["config", "env", "labels", "surroundings", "data", "artifacts"] {
        assert_eq!(same[part], json!([]), "{part}");
    }
    assert_eq!(at(&same, "/log/hunks"), &json!([]));
}

#[tokio::test]
async fn of_a_long_log_the_end_is_compared() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Worker::register(&stack, 0, "w").await;
    let long = [b"first\n".as_slice(), &b"line\n".repeat(600_000), b"last of the one\n"].concat();
    let before = ran(&stack, &worker, "x", &long, &[], 1.0).await;
    let after = ran(&stack, &worker, "y", b"line\nlast of the other\n", &[], 1.0).await;
    let found = admin.get(&format!("/api/v1/runs/{before}/compare/{after}")).await.expect(200);
    let skipped = at(&found, "/log/before_skipped_bytes").as_u64().unwrap();
    assert!(skipped >= long.len() as u64 - (2 << 20) && skipped < long.len() as u64 - (2 << 20) + 5, "{skipped}");
    assert_eq!(at(&found, "/log/after_skipped_bytes"), &json!(0));
}

#[tokio::test]
async fn only_who_sees_both_runs_compares_them() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    stack.namespace("shop").await;
    admin.register(&factory::test("a")).await;
    admin.post("/api/v1/namespaces/shop/tests", &factory::test("a")).await.expect(201);
    let mine = admin.trigger("a").await.remove(0);
    let theirs = admin.trigger_in("shop", "a").await.remove(0);
    // Runs that have not begun are compared by what they are to be.
    let found = admin.get(&format!("/api/v1/runs/{mine}/compare/{theirs}")).await.expect(200);
    assert_eq!((at(&found, "/before/attempt"), &found["config"]), (&json!(0), &json!([])));
    let me = stack.person(&[Scope::Data], &["default"]).await;
    me.get(&format!("/api/v1/runs/{mine}/compare/{mine}")).await.expect(200);
    for (one, other) in [(&mine, &theirs), (&theirs, &mine)] {
        me.get(&format!("/api/v1/runs/{one}/compare/{other}")).await.refused(404, "not_found");
    }
    me.get(&format!("/api/v1/runs/{mine}/compare/x")).await.refused(404, "not_found");
}
