//! Namespaces: create, read, list, change quotas.

use serde_json::json;
use tstr_shared::permission::Scope;
use tstr_tests::{Stack, factory};

use super::{each, foreigner};

const NAMESPACES: &str = "/api/v1/namespaces";

#[tokio::test]
async fn a_namespace_is_created_read_listed_and_changed() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let made = admin.post(NAMESPACES, &json!({"name": "team-a", "quotas": {"max_running": 3}})).await;
    let info = made.expect(201);
    assert_eq!(made.header("location"), format!("{NAMESPACES}/team-a"));
    let quotas = json!({"max_queued": 10000, "max_running": 3, "max_bytes": null});
    assert_eq!((&info["quotas"], &info["tests"]), (&quotas, &json!(0)));
    admin.post(&format!("{NAMESPACES}/team-a/tests"), &factory::test("a")).await.expect(201);
    assert_eq!(admin.get(&format!("{NAMESPACES}/team-a")).await.expect(200)["tests"], 1);
    assert_eq!(each(&admin.get(NAMESPACES).await.expect(200), "name"), ["default", "team-a"]);

    let patch = async |body: serde_json::Value| {
        admin.patch(&format!("{NAMESPACES}/team-a"), &body).await.expect(200)["quotas"].clone()
    };
    assert_eq!(patch(json!({})).await, json!({"max_queued": 10000, "max_running": 3, "max_bytes": null}));
    assert_eq!(
        patch(json!({"quotas": {"max_queued": null}})).await,
        json!({"max_queued": null, "max_running": 3, "max_bytes": null})
    );
    assert_eq!(
        patch(json!({"quotas": {"max_running": 0}})).await,
        json!({"max_queued": null, "max_running": 0, "max_bytes": null})
    );
    assert_eq!(
        patch(json!({"quotas": {"max_queued": 1_000_000_000}})).await,
        json!({"max_queued": 1_000_000_000, "max_running": 0, "max_bytes": null})
    );
    assert_eq!(
        admin.get(&format!("{NAMESPACES}/default")).await.expect(200)["quotas"],
        json!({"max_queued": 10000, "max_running": 50, "max_bytes": null})
    );
}

#[tokio::test]
async fn an_invalid_namespace_is_refused_and_a_name_is_taken_once() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let long = "x".repeat(64);
    for name in ["", "A", "a b", "-a", "a-", "a.b", "a/b", "ä", "a\u{0}", &long] {
        assert_eq!(admin.post(NAMESPACES, &json!({"name": name})).await.faults(), ["/name"], "{name}");
    }
    for (body, pointer) in [
        (json!({}), "/name"),
        (json!({"name": "a", "quotas": {"max_queued": -1}}), "/quotas/max_queued"),
        (json!({"name": "a", "quotas": {"max_running": 1_000_000_001}}), "/quotas/max_running"),
        (json!({"name": "a", "quotas": {"max_running": 9_999_999_999_i64}}), "/quotas/max_running"),
        (json!({"name": "a", "quotas": {"max_walking": 1}}), "/quotas/max_walking"),
        (json!({"name": "a", "tests": 7}), "/tests"),
    ] {
        assert_eq!(admin.post(NAMESPACES, &body).await.faults(), [pointer], "{body}");
    }
    for (body, pointer) in [
        (json!({"quotas": {"max_queued": -1}}), "/quotas/max_queued"),
        (json!({"quotas": {"max_running": "many"}}), "/quotas/max_running"),
        (json!({"name": "b"}), "/name"),
    ] {
        assert_eq!(admin.patch(&format!("{NAMESPACES}/default"), &body).await.faults(), [pointer], "{body}");
    }
    assert_eq!(each(&admin.get(NAMESPACES).await.expect(200), "name"), ["default"]);
    stack.namespace(&"x".repeat(63)).await;
    let taken = admin.post(NAMESPACES, &json!({"name": "default"})).await.refused(409, "conflict");
    assert_eq!(taken["detail"], "a namespace with this name exists");
}

#[tokio::test]
async fn only_an_administrator_writes_namespaces_and_only_those_its_token_covers() {
    let stack = Stack::start().await;
    for scope in [Scope::Control, Scope::Data] {
        let person = stack.person(&[scope], &[".*"]).await;
        person.get(&format!("{NAMESPACES}/default")).await.expect(200);
        person.post(NAMESPACES, &json!({"name": "mine"})).await.refused(403, "forbidden");
        person
            .patch(&format!("{NAMESPACES}/default"), &json!({"quotas": {"max_queued": null}}))
            .await
            .refused(403, "forbidden");
    }
    let local = stack.person(&[Scope::Admin], &["team-.*"]).await;
    local.post(NAMESPACES, &json!({"name": "team-b"})).await.expect(201);
    local.post(NAMESPACES, &json!({"name": "elsewhere"})).await.refused(403, "forbidden");
    // It does not learn whether the name is taken.
    let (taken, free) = (json!({"name": "default"}), json!({"name": "unknown"}));
    let taken = local.post(NAMESPACES, &taken).await.refused(403, "forbidden")["detail"]
        .as_str()
        .unwrap()
        .replace("default", "N");
    let free = local.post(NAMESPACES, &free).await.refused(403, "forbidden")["detail"]
        .as_str()
        .unwrap()
        .replace("unknown", "N");
    assert_eq!(taken, free);
    assert_eq!(each(&local.get(NAMESPACES).await.expect(200), "name"), ["team-b"]);
}

#[tokio::test]
async fn a_foreign_namespace_is_not_found_and_not_listed() {
    let stack = Stack::start().await;
    let foreigner = foreigner(&stack).await;
    assert_eq!(each(&foreigner.get(NAMESPACES).await.expect(200), "name"), ["elsewhere"]);
    let known = foreigner.get(&format!("{NAMESPACES}/default")).await.refused(404, "not_found");
    for path in ["unknown", "DEFAULT", "a%20b", "%00", "%ff"] {
        let absent = foreigner.get(&format!("{NAMESPACES}/{path}")).await.refused(404, "not_found");
        assert_eq!(absent["detail"], known["detail"], "{path}");
    }
    foreigner
        .patch(&format!("{NAMESPACES}/default"), &json!({"quotas": {"max_queued": 0}}))
        .await
        .refused(404, "not_found");
    assert_eq!(stack.admin().get(&format!("{NAMESPACES}/default")).await.expect(200)["quotas"]["max_queued"], 10000);
}
