//! Tokens: issue, list, revoke; what they see of each other, and that a secret is shown once.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::time::Instant;
use tstr_shared::permission::Scope;
use tstr_tests::process::{command, run};
use tstr_tests::{Person, Stack, db, eventually, factory};

use super::{NOBODY, each};

const TOKENS: &str = "/api/v1/tokens";

fn id(token: &Value) -> String {
    token["record"]["id"].as_str().unwrap_or_else(|| token["id"].as_str().unwrap()).to_owned()
}

#[tokio::test]
async fn a_token_is_issued_with_a_record_and_a_secret_of_its_kind() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let before = Utc::now();
    let body = json!({"name": "ci für nächtlich", "scopes": ["data", "control"], "namespaces": ["default", "team-.*"]});
    let answer = admin.post(TOKENS, &body).await;
    let issued = answer.expect(201);
    let record = &issued["record"];
    assert_eq!(answer.header("location"), format!("{TOKENS}/{}", id(&issued)));
    assert_eq!(
        (&record["name"], &record["scopes"], &record["namespaces"]),
        (&body["name"], &body["scopes"], &body["namespaces"])
    );
    assert!(issued["token"].as_str().unwrap().starts_with("tstr_pat_ey"));
    let expires: DateTime<Utc> = record["expires_at"].as_str().unwrap().parse().unwrap();
    let days = (expires - before).num_hours();
    assert!((90 * 24 - 1..=90 * 24).contains(&days), "90 days unless said: {days} h");
    let me = admin.get("/api/v1/identity").await.expect(200);
    assert_eq!(record["issued_by"], me["token"]["id"]);
    assert_eq!(admin.get(answer.header("location")).await.expect(200)["name"], body["name"]);
    let runner = admin.post(TOKENS, &factory::token(&[Scope::Runner], &[".*"])).await.expect(201);
    assert!(runner["token"].as_str().unwrap().starts_with("tstr_run_ey"));
    // It works at once, and knows itself.
    let person = Person::new(stack.url(0), issued["token"].as_str().map(str::to_owned));
    let identity = person.get("/api/v1/identity").await.expect(200);
    assert_eq!((&identity["token"]["id"], &identity["namespaces"]), (&record["id"], &json!(["default"])));
}

#[tokio::test]
async fn a_secret_is_in_one_answer_and_nowhere_in_the_database() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let issued = admin.post(TOKENS, &factory::token(&[Scope::Data], &["canary-ns"])).await.expect(201);
    let secret = issued["token"].as_str().unwrap();
    let person = Person::new(stack.url(0), Some(secret.to_owned()));
    person.get("/api/v1/identity").await.expect(200);
    let shown = [
        admin.get(&format!("{TOKENS}/{}", id(&issued))).await,
        admin.get(&format!("{TOKENS}?include_expired&include_revoked")).await,
        person.get("/api/v1/identity").await,
        admin.delete(&format!("{TOKENS}/{}", id(&issued))).await,
        person.get("/api/v1/identity").await,
        admin.get("/metrics").await,
    ];
    let mut dump = command(db::bin_dir().join("pg_dump"));
    dump.arg("-h").arg(stack.db.socket_dir()).args(["-U", "postgres", stack.db.name()]);
    let dump = run(&mut dump);
    assert!(dump.contains("canary-ns"), "the record is in the dump");
    let key = std::fs::read_to_string(stack.key_file()).unwrap();
    let parts = [
        secret,
        secret.rsplit('.').next().unwrap(),
        secret.split('.').nth(1).unwrap(),
        stack.admin_token(),
        key.trim(),
    ];
    for text in shown.iter().map(|answer| answer.text()).chain([dump]) {
        for part in parts {
            assert!(part.len() > 20 && !text.contains(part), "a secret is in {}…", &text[..text.len().min(200)]);
        }
        assert!(!text.contains("tstr_pat_"));
    }
}

#[tokio::test]
async fn a_token_cannot_issue_one_that_sees_or_outlives_more_than_itself() {
    let stack = Stack::start().await;
    let narrow = stack.person(&[Scope::Admin], &["team-.*", "default"]).await;
    let issue = async |namespaces: Value, expires_in: &str| {
        let body =
            json!({"name": "x", "scopes": ["admin", "control"], "namespaces": namespaces, "expires_in": expires_in});
        narrow.post(TOKENS, &body).await
    };
    for within in [json!(["default"]), json!(["team-.*"]), json!(["team-a", "default"])] {
        assert_eq!(issue(within.clone(), "1h").await.status, 201, "{within}");
    }
    for wider in [
        json!([".*"]),
        json!(["default", "other"]),
        json!(["default.*"]),
        json!(["default|other"]),
        json!(["team"]),
        json!(["Default"]),
        json!(["(?i)default"]),
    ] {
        let problem = issue(wider, "1h").await.refused(403, "forbidden");
        assert_eq!(problem["detail"], "a token cannot issue one that sees more namespaces than itself");
    }
    // factory::token is valid for a day.
    assert_eq!(issue(json!(["default"]), "23h").await.status, 201);
    issue(json!(["default"]), "25h").await.refused(403, "forbidden");
    // All scopes are an administrator's to give; nobody else gives any.
    assert_eq!(
        narrow
            .post(TOKENS, &factory::with(factory::token(&[Scope::Runner], &["default"]), "/expires_in", json!("1h")))
            .await
            .status,
        201
    );
    for scope in [Scope::Control, Scope::Data, Scope::Runner] {
        let person = stack.person(&[scope], &[".*"]).await;
        person.post(TOKENS, &factory::token(&[Scope::Data], &["default"])).await.refused(403, "forbidden");
        person.get(TOKENS).await.refused(403, "forbidden");
    }
}

#[tokio::test]
async fn an_invalid_wish_for_a_token_names_every_fault() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let token = factory::token(&[Scope::Data], &["default"]);
    let seventeen: Vec<_> = (0..17).map(|i| format!("n{i}")).collect();
    let wide: Vec<_> = (0..5).map(|i| format!("{i}{}", r"\.".repeat(127)) + "x").collect();
    for (pointer, value, fault) in [
        ("/name", json!(""), "/name"),
        ("/name", json!("x".repeat(129)), "/name"),
        ("/name", json!("a\u{0}b"), "/name"),
        ("/name", json!(7), "/name"),
        ("/scopes", json!([]), "/scopes"),
        ("/scopes", json!(["data", "data"]), "/scopes/1"),
        ("/scopes", json!(["root"]), "/scopes/0"),
        ("/scopes", json!(["runner", "data"]), "/scopes"),
        ("/namespaces", json!([]), "/namespaces"),
        ("/namespaces", json!(["ok", "("]), "/namespaces/1"),
        ("/namespaces", json!(["a\u{0}"]), "/namespaces/0"),
        ("/namespaces", json!(["a)|(.*"]), "/namespaces/0"),
        ("/namespaces", json!(["x".repeat(257)]), "/namespaces/0"),
        ("/namespaces", json!(["((a{50}){50}){50}"]), "/namespaces/0"),
        ("/namespaces", json!(seventeen), "/namespaces/16"),
        ("/expires_in", json!("0s"), "/expires_in"),
        ("/expires_in", json!("366d"), "/expires_in"),
        ("/expires_in", json!("soon"), "/expires_in"),
        ("/expires_in", json!(3600), "/expires_in"),
        ("/id", json!(NOBODY), "/id"),
        ("/expires_at", json!("2030-01-01T00:00:00Z"), "/expires_at"),
    ] {
        assert_eq!(
            admin.post(TOKENS, &factory::with(token.clone(), pointer, value.clone())).await.faults(),
            [fault],
            "{pointer} {value}"
        );
    }
    let all = json!({"name": "", "scopes": [], "namespaces": ["("], "expires_in": "0s"});
    assert_eq!(admin.post(TOKENS, &all).await.faults(), ["/name", "/scopes", "/expires_in", "/namespaces/0"]);
    assert_eq!(each(&admin.get(TOKENS).await.expect(200), "name"), ["bootstrap"]);
    // The limits themselves are allowed.
    for (pointer, value) in [
        ("/name", json!("ä".repeat(128))),
        ("/namespaces", json!(seventeen[..16])),
        ("/namespaces", json!(["x".repeat(256)])),
        ("/namespaces", json!(wide[..4])),
    ] {
        let issued = admin.post(TOKENS, &factory::with(token.clone(), pointer, value)).await.expect(201);
        let bearer = admin.with_token(issued["token"].as_str().map(str::to_owned));
        assert_eq!(bearer.get("/api/v1/identity").await.status, 200, "what is issued is also accepted: {pointer}");
    }
    assert_eq!(admin.post(TOKENS, &factory::with(token, "/namespaces", json!(wide))).await.faults(), ["/namespaces"]);
}

#[tokio::test]
async fn a_list_shows_what_is_valid_and_more_where_asked_for() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let issue = async |name: &str, expires_in: &str| {
        let body = json!({"name": name, "scopes": ["data"], "namespaces": ["default"], "expires_in": expires_in});
        id(&admin.post(TOKENS, &body).await.expect(201))
    };
    let revoked = issue("revoked", "1h").await;
    issue("valid", "1h").await;
    issue("expired", "1s").await;
    admin.delete(&format!("{TOKENS}/{revoked}")).await.expect(200);
    let names = async |query: &str| each(&admin.get(&format!("{TOKENS}?{query}")).await.expect(200), "name");
    eventually("the token expires", Duration::from_secs(5), async || {
        (names("").await == ["valid", "bootstrap"]).then_some(())
    })
    .await;
    assert_eq!(names("include_expired=true").await, ["expired", "valid", "bootstrap"]);
    assert_eq!(names("include_revoked=true").await, ["valid", "revoked", "bootstrap"]);
    assert_eq!(names("include_expired&include_revoked").await, ["expired", "valid", "revoked", "bootstrap"]);
    assert_eq!(names("include_expired=false").await, ["valid", "bootstrap"]);
    assert_eq!(admin.get(&format!("{TOKENS}?include_all")).await.faults(), ["include_all"]);
    let record = admin.get(&format!("{TOKENS}/{revoked}")).await.expect(200);
    assert!(record["revoked_at"].is_string(), "{record}");
}

#[tokio::test]
async fn a_revoked_token_is_refused_on_every_replica_within_five_seconds() {
    let stack = Stack::start_with(2, |_| {}).await;
    let admin = stack.admin();
    let issued = admin.post(TOKENS, &factory::token(&[Scope::Data], &["default"])).await.expect(201);
    let person = Person::new(stack.url(0), issued["token"].as_str().map(str::to_owned));
    let there = person.at(stack.url(1));
    assert_eq!(
        (person.get("/api/v1/identity").await.status, there.get("/api/v1/identity").await.status),
        (reqwest::StatusCode::OK, reqwest::StatusCode::OK)
    );
    let path = format!("{TOKENS}/{}", id(&issued));
    let revoked = admin.delete(&path).await.expect(200);
    let revoked_at = Instant::now();
    person.get("/api/v1/identity").await.refused(401, "unauthenticated");
    eventually("the other replica refuses it", Duration::from_secs(5), async || {
        (there.get("/api/v1/identity").await.status == 401).then_some(())
    })
    .await;
    assert!(revoked_at.elapsed() < Duration::from_secs(5));
    // Once revoked, the time stays.
    assert_eq!(admin.delete(&path).await.expect(200)["revoked_at"], revoked["revoked_at"]);
}

#[tokio::test]
async fn an_administrator_sees_and_revokes_only_tokens_that_see_no_more_than_its_own() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let local = stack.person(&[Scope::Admin], &["default"]).await;
    let issue = async |namespaces: &[&str]| {
        id(&admin.post(TOKENS, &factory::token(&[Scope::Data], namespaces)).await.expect(201))
    };
    let (mine, both, foreign) =
        (issue(&["default"]).await, issue(&["default", "other"]).await, issue(&["other"]).await);
    let seen: Vec<String> = each(&local.get(TOKENS).await.expect(200), "id");
    assert!(seen.contains(&mine) && !seen.contains(&both) && !seen.contains(&foreign) && seen.len() == 2, "{seen:?}");
    let absent = local.get(&format!("{TOKENS}/{NOBODY}")).await.refused(404, "not_found");
    for hidden in [both, foreign] {
        let path = format!("{TOKENS}/{hidden}");
        assert_eq!(local.get(&path).await.refused(404, "not_found")["detail"], absent["detail"]);
        local.delete(&path).await.refused(404, "not_found");
        assert!(admin.get(&path).await.expect(200).get("revoked_at").is_none());
    }
    assert!(local.delete(&format!("{TOKENS}/{mine}")).await.expect(200)["revoked_at"].is_string());
    // One may end one's own token; it is the last thing it does.
    let me = local.get("/api/v1/identity").await.expect(200);
    local.delete(&format!("{TOKENS}/{}", id(&me["token"]))).await.expect(200);
    local.get("/api/v1/identity").await.refused(401, "unauthenticated");
}
