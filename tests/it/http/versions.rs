//! What tests were before: kept with each change, read, bounded, and forgotten with a deleted test's history.

use serde_json::{Value, json};
use tstr_api::turns;
use tstr_shared::permission::Scope;
use tstr_tests::{Person, Stack, factory};

use super::TESTS;

async fn numbers(admin: &Person, query: &str) -> (Vec<i64>, Value) {
    let listed = admin.get(&format!("{TESTS}/a/versions{query}")).await.expect(200);
    let numbers = listed["items"].as_array().unwrap().iter().map(|one| one["version"].as_i64().unwrap()).collect();
    (numbers, listed["next_page_token"].clone())
}

#[tokio::test]
async fn every_change_keeps_what_was() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let first = factory::with(factory::test("a"), "/matrix", json!({"labels": {"z": ["1"], "b": ["2"]}}));
    admin.register(&first).await;
    let path = format!("{TESTS}/a");
    let second = factory::with(first.clone(), "/labels", json!({"team": "b"}));
    admin.put(&path, &second).await.expect(200);
    admin.put(&path, &second).await.expect(200);
    admin.patch(&path, &json!({"annotations": {"owner": "x"}})).await.expect(200);
    admin.patch(&path, &json!({"annotations": {"owner": "x"}})).await.expect(200);
    admin.post(&format!("{path}/pause"), &json!({})).await.expect(200);
    admin.post(&format!("{path}/pause"), &json!({})).await.expect(200);
    assert_eq!(numbers(&admin, "").await.0, [4, 3, 2, 1], "what changes nothing is no version");
    assert_eq!(admin.get(&path).await.expect(200)["version"], 4);

    let version = async |n: i32| admin.get(&format!("{path}/versions/{n}")).await.expect(200);
    let one = version(1).await;
    assert_eq!((&one["version"], &one["spec"]["name"]), (&json!(1), &json!("a")));
    assert_eq!(one["spec"]["matrix"]["labels"].as_object().unwrap().keys().collect::<Vec<_>>(), ["z", "b"]);
    assert_eq!(version(2).await["spec"]["labels"], json!({"team": "b"}));
    assert_eq!(version(3).await["spec"]["annotations"], json!({"owner": "x"}));
    let four = version(4).await;
    assert_eq!(four["spec"]["paused"], true);
    assert!(four["changed_by"].as_str().unwrap().starts_with("token:"), "{four}");
    let listed = admin.get(&format!("{path}/versions")).await.expect(200);
    assert!(listed["items"].as_array().unwrap().iter().all(|one| one.get("spec").is_none()), "{listed}");
    for missing in ["0", "5", "-1", "x", "99999999999"] {
        admin.get(&format!("{path}/versions/{missing}")).await.refused(404, "not_found");
    }
    admin.get(&format!("{TESTS}/b/versions")).await.refused(404, "not_found");
}

#[tokio::test]
async fn versions_are_paged_and_a_hundred_are_kept() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    for n in 2..=103 {
        admin.patch(&format!("{TESTS}/a"), &json!({"annotations": {"n": n.to_string()}})).await.expect(200);
    }
    let (mut seen, mut token) = numbers(&admin, "?page_size=60").await;
    assert_eq!(seen.len(), 60);
    while let Some(next) = token.as_str() {
        let (more, then) = numbers(&admin, &format!("?page_size=60&page_token={next}")).await;
        seen.extend(more);
        token = then;
    }
    assert_eq!(seen, (4..=103).rev().collect::<Vec<i64>>());
    admin.get(&format!("{TESTS}/a/versions/3")).await.refused(404, "not_found");
}

#[tokio::test]
async fn who_does_not_see_the_test_sees_no_versions() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let elsewhere = stack.person(&[Scope::Data], &["elsewhere"]).await;
    for path in ["versions", "versions/1"] {
        elsewhere.get(&format!("{TESTS}/a/{path}")).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn versions_of_a_deleted_test_go_with_its_history() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    for name in ["a", "stays"] {
        admin.register(&factory::test(name)).await;
    }
    admin.delete(&format!("{TESTS}/a")).await.expect(204);
    admin.get(&format!("{TESTS}/a/versions")).await.refused(404, "not_found");
    let mut conn = stack.db.connect().await;
    let mut kept = async |days: i32| -> i64 {
        let earlier =
            "UPDATE test SET deleted_at = clock_timestamp() - make_interval(days => $1) WHERE deleted_at IS NOT NULL";
        sqlx::query(earlier).bind(days).execute(&mut conn).await.unwrap();
        turns::keep_house(stack.replica(0).ops()).await.unwrap();
        sqlx::query_scalar("SELECT count(*) FROM test_version").fetch_one(&mut conn).await.unwrap()
    };
    assert_eq!(kept(89).await, 2);
    assert_eq!(kept(91).await, 1);
    assert_eq!(numbers_of(&admin, "stays").await, 1);
}

async fn numbers_of(admin: &Person, test: &str) -> usize {
    admin.get(&format!("{TESTS}/{test}/versions")).await.expect(200)["items"].as_array().unwrap().len()
}
