//! Tests change under `If-Match`, and by merge patches.

use reqwest::Method;
use serde_json::{Value, json};
use tstr_tests::{Stack, factory};

use super::{TESTS, with_header};

#[tokio::test]
async fn a_change_of_another_version_than_the_current_is_refused() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let path = format!("{TESTS}/a");
    admin.register(&factory::test("a")).await;
    let paused = factory::with(factory::test("a"), "/paused", json!(true));
    let change = async |method: Method, tag: &str| {
        let body = if method == Method::PUT { Some(paused.clone()) } else { Some(json!({"paused": true})) };
        let body = body.filter(|_| method != Method::DELETE);
        with_header(&admin, method, &path, ("If-Match", tag), body.as_ref()).await
    };
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        for tag in ["\"2\"", "\"0\"", "W/\"1\"", "1", "\"abc\""] {
            change(method.clone(), tag).await.refused(412, "precondition_failed");
        }
        change(method, "\"1\", \"2\"").await.refused(400, "malformed");
    }
    assert_eq!(admin.get(&path).await.expect(200)["version"], 1);
    assert_eq!(change(Method::PUT, "\"1\"").await.expect(200)["test"]["version"], 2);
    assert_eq!(change(Method::PATCH, "\"2\"").await.expect(200)["version"], 2);
    assert_eq!(change(Method::PATCH, "*").await.expect(200)["version"], 2);
    change(Method::DELETE, "\"1\"").await.refused(412, "precondition_failed");
    change(Method::DELETE, "\"2\"").await.expect(204);
    // A version of a test that is not there: nothing is created.
    change(Method::PUT, "\"1\"").await.refused(412, "precondition_failed");
    change(Method::PATCH, "\"1\"").await.refused(404, "not_found");
    admin.get(&path).await.refused(404, "not_found");
}

#[tokio::test]
async fn of_changes_to_one_version_a_single_one_succeeds() {
    let stack = Stack::start_with(2, |_| {}).await;
    let admin = stack.admin();
    let path = format!("{TESTS}/a");
    admin.register(&factory::test("a")).await;
    let tries = (0..10).map(|i| {
        let (person, path) = (admin.at(stack.url(i % 2)), path.clone());
        async move {
            let body = json!({"annotations": {"by": i.to_string()}});
            with_header(&person, Method::PATCH, &path, ("If-Match", "\"1\""), Some(&body)).await
        }
    });
    let answers = futures_util::future::join_all(tries).await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(won.len(), 1);
    for lost in answers.iter().filter(|answer| answer.status != 200) {
        lost.refused(412, "precondition_failed");
    }
    let now = admin.get(&path).await.expect(200);
    assert_eq!((&now["version"], &now["annotations"]), (&json!(2), &won[0].expect(200)["annotations"]));
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_null_brings_the_default_back() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let path = format!("{TESTS}/a");
    let test = factory::with(factory::test("a"), "/labels", json!({"keep": "1", "drop": "1"}));
    admin.register(&factory::with(test, "/run_config/timeout", json!("1m"))).await;
    let patch = json!({"labels": {"drop": null, "new": "2"}, "run_config": {"timeout": null}, "priority": "high"});
    let merge = with_header(&admin, Method::PATCH, &path, ("Content-Type", "application/merge-patch+json"), None);
    assert_eq!(merge.await.refused(400, "malformed")["detail"].as_str().map(|text| text.contains("JSON")), Some(true));
    let patched = admin.patch(&path, &patch).await;
    assert_eq!(patched.header("etag"), "\"2\"");
    let patched = patched.expect(200);
    assert_eq!(patched["labels"], json!({"keep": "1", "new": "2"}));
    assert_eq!((&patched["run_config"]["timeout"], &patched["priority"]), (&json!("600s"), &json!("high")));
    assert_eq!(patched["run_config"]["container_image"], "localhost/none:1");
    // A patch that changes nothing makes no version.
    assert_eq!(admin.patch(&path, &patch).await.expect(200)["version"], 2);
    // A test can be renamed; its id stays.
    let renamed = admin.patch(&path, &json!({"name": "b"})).await.expect(200);
    assert_eq!((&renamed["id"], &renamed["version"]), (&patched["id"], &json!(3)));
    admin.get(&path).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_patch_that_leaves_no_valid_test_changes_nothing() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let path = format!("{TESTS}/a");
    admin.register(&factory::test("a")).await;
    for (patch, pointer) in [
        (json!([]), ""),
        (json!("paused"), ""),
        (json!({"name": null}), "/name"),
        (json!({"run_config": null}), "/run_config"),
        (json!({"run_config": {"container_image": "-x"}}), "/run_config/container_image"),
        (json!({"run_config": {"tiemout": "1s"}}), "/run_config/tiemout"),
        (json!({"run_config": 7}), "/run_config"),
        (json!({"id": "x"}), "/id"),
        (json!({"version": 9}), "/version"),
        (json!({"cron_schedule": "nonsense"}), "/cron_schedule"),
        (json!({"matrix": {"labels": {"a": []}}}), "/matrix/labels/a"),
    ] {
        assert_eq!(admin.patch(&path, &patch).await.faults(), [pointer], "{patch}");
    }
    let kept: Value = admin.get(&path).await.expect(200);
    assert_eq!((&kept["version"], &kept["name"]), (&json!(1), &json!("a")));
}
