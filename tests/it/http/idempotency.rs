//! `Idempotency-Key`: repeats get the first answer and have no second effect.

use reqwest::Method;
use serde_json::{Value, json};
use tstr_shared::permission::Scope;
use tstr_shared::run::RunResult;
use tstr_tests::people::Answer;
use tstr_tests::worker::Worker;
use tstr_tests::{Person, Stack, factory};

use super::{RUNS, TESTS, each, with_header};

async fn post(person: &Person, path: &str, key: &str, body: &Value) -> Answer {
    with_header(person, Method::POST, path, ("Idempotency-Key", key), Some(body)).await
}

async fn number_of(person: &Person, list: &str) -> usize {
    person.get(&format!("{list}?page_size=1000")).await.expect(200)["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_has_no_effect() {
    let stack = Stack::start_with(2, |_| {}).await;
    let admin = stack.admin();
    let there = admin.at(stack.url(1));
    // Its axes in an order that is nobody's but its author's.
    let test = factory::with(factory::test("a"), "/matrix/labels", json!({"zone": ["b"], "arch": ["x"]}));
    let made = post(&admin, TESTS, "\"create-1\"", &test).await;
    admin.patch(&format!("{TESTS}/a"), &json!({"paused": true})).await.expect(200);
    for person in [&admin, &there] {
        let again = post(person, TESTS, "\"create-1\"", &test).await;
        assert_eq!(again.text(), made.text(), "to the last byte");
        assert_eq!((again.expect(201), again.header("location")), (made.expect(201), made.header("location")));
    }
    let triggered = post(&admin, &format!("{TESTS}/a/runs"), "run-1", &json!({})).await.expect(201);
    // Quoted or bare, the key is the same.
    assert_eq!(post(&there, &format!("{TESTS}/a/runs"), "\"run-1\"", &json!({})).await.expect(201), triggered);
    assert_eq!(number_of(&admin, RUNS).await, 1);

    let worker = Worker::register(&stack, 0, "w").await;
    worker.finish(worker.running().await, RunResult::Fail).await.unwrap();
    let retry = format!("/api/v1/runs/{}/retry", triggered["runs"][0]["id"].as_str().unwrap());
    let retried = post(&admin, &retry, "retry-1", &json!({})).await.expect(201);
    assert_eq!(post(&there, &retry, "retry-1", &json!({})).await.expect(201), retried);
    assert_eq!(number_of(&admin, RUNS).await, 2);
    // The first answer also stands when the world has moved on.
    admin.delete(&format!("{TESTS}/a")).await.expect(204);
    assert_eq!(post(&admin, &format!("{TESTS}/a/runs"), "run-1", &json!({})).await.expect(201), triggered);
    // Another key, or none, is another request.
    assert_eq!(post(&admin, &retry, "retry-2", &json!({})).await.status, 201);
    assert_eq!(number_of(&admin, RUNS).await, 3);
}

#[tokio::test]
async fn a_key_belongs_to_one_request_of_one_token() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let first = post(&admin, TESTS, "key", &factory::test("a")).await.expect(201);
    for (path, body) in [
        (TESTS.to_owned(), factory::test("b")),
        (TESTS.to_owned(), factory::with(factory::test("a"), "/paused", json!(true))),
        (format!("{TESTS}/a/runs"), json!({})),
    ] {
        let problem = post(&admin, &path, "key", &body).await.refused(422, "idempotency_mismatch");
        assert_eq!(problem["retryable"], false);
    }
    // Fields in another order are the same request; what is left out and what is the default, too.
    let same =
        json!({"run_config": {"pull": "never", "container_image": "localhost/none:1", "timeout": "10m"}, "name": "a"});
    assert_eq!(post(&admin, TESTS, "key", &same).await.expect(201), first);
    // The key of another token is another key, and tells nothing of what it was used for.
    let other = stack.person(&[Scope::Control], &["default"]).await;
    post(&other, TESTS, "key", &factory::test("a")).await.refused(409, "conflict");
    post(&other, TESTS, "key", &factory::test("b")).await.expect(201);
    assert_eq!(each(&admin.get(TESTS).await.expect(200), "name"), ["a", "b"]);
    assert_eq!(number_of(&admin, RUNS).await, 0);
}

#[tokio::test]
async fn a_repeat_of_a_token_or_a_namespace_makes_no_second_one_and_stores_no_secret() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let (tokens, namespaces) = ("/api/v1/tokens", "/api/v1/namespaces");
    let body = factory::token(&[Scope::Data], &["default"]);
    let issued = post(&admin, tokens, "t", &body).await.expect(201);
    assert_eq!(post(&admin, tokens, "t", &body).await.expect(201), issued);
    assert_eq!(number_of(&admin, tokens).await, 2);
    post(&admin, tokens, "t", &factory::token(&[Scope::Control], &["default"]))
        .await
        .refused(422, "idempotency_mismatch");
    let mut conn = stack.db.connect().await;
    let stored: Vec<String> =
        sqlx::query_scalar("SELECT response::text FROM idempotency").fetch_all(&mut conn).await.unwrap();
    assert!(stored.len() == 1 && !stored[0].contains("tstr_"), "{stored:?}");
    // What was revoked since is answered, and is still revoked.
    admin.delete(&format!("{tokens}/{}", issued["record"]["id"].as_str().unwrap())).await.expect(200);
    let again = post(&admin, tokens, "t", &body).await.expect(201);
    let person = admin.with_token(again["token"].as_str().map(str::to_owned));
    person.get("/api/v1/identity").await.refused(401, "unauthenticated");

    let made = post(&admin, namespaces, "n", &json!({"name": "team-a"})).await.expect(201);
    assert_eq!(post(&admin, namespaces, "n", &json!({"name": "team-a"})).await.expect(201), made);
    post(&admin, namespaces, "m", &json!({"name": "team-a"})).await.refused(409, "conflict");
}

#[tokio::test]
async fn a_refused_request_leaves_its_key_free() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    post(&admin, TESTS, "key", &factory::with(factory::test("a"), "/cron_schedule", json!("x")))
        .await
        .refused(422, "invalid");
    post(&admin, TESTS, "key", &factory::test("a")).await.expect(201);
    post(&admin, &format!("{TESTS}/nobody/runs"), "run", &json!({})).await.refused(404, "not_found");
    post(&admin, &format!("{TESTS}/a/runs"), "run", &json!({})).await.expect(201);
    post(&admin, TESTS, "again", &factory::test("a")).await.refused(409, "conflict");
    post(&admin, TESTS, "again", &factory::test("b")).await.expect(201);
}

#[tokio::test]
async fn of_ten_repeats_at_once_one_has_an_effect() {
    let stack = Stack::start_with(2, |_| {}).await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let at_once = async |path: &str, key: &str, body: &Value| {
        let tries = (0..10).map(|i| {
            let (person, path, key, body) = (admin.at(stack.url(i % 2)), path.to_owned(), key.to_owned(), body.clone());
            async move { post(&person, &path, &key, &body).await }
        });
        let answers = futures_util::future::join_all(tries).await;
        // Who comes while the first is at work may be told to wait; then the answer is the same.
        let mut told = Vec::new();
        for answer in answers {
            if answer.status == 409 {
                assert_eq!(answer.refused(409, "idempotency_in_progress")["retryable"], true);
            } else {
                told.push(answer.expect(201));
            }
        }
        told.push(post(&admin, path, key, body).await.expect(201));
        assert!(told.len() > 1 && told.iter().all(|one| *one == told[0]), "{told:?}");
    };
    at_once(&format!("{TESTS}/a/runs"), "run", &json!({"env": {"A": "1"}})).await;
    assert_eq!(number_of(&admin, RUNS).await, 1);
    at_once(TESTS, "create", &factory::test("b")).await;
    assert_eq!(number_of(&admin, TESTS).await, 2);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let long = "k".repeat(256);
    for key in ["", "\"\"", "\"open", "a b", "\"a\"b\"", "\"a\\x\"", "ä", &long] {
        post(&admin, TESTS, key, &factory::test("a")).await.refused(400, "malformed");
    }
    assert_eq!(number_of(&admin, TESTS).await, 0);
    let twice = admin.request(Method::POST, TESTS).header("Idempotency-Key", "a").header("Idempotency-Key", "b");
    admin.send(twice.json(&factory::test("a"))).await.refused(400, "malformed");
    post(&admin, TESTS, &"k".repeat(255), &factory::test("a")).await.expect(201);
}
