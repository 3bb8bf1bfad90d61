//! Sessions: signing in and out, codes, which requests with a cookie are believed, and when a session ends.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row as _;
use tstr_shared::permission::Scope;
use tstr_tests::people::Answer;
use tstr_tests::{Person, Stack, eventually, factory};

use super::TESTS;

const SESSION: &str = "/api/v1/session";
const CODES: &str = "/api/v1/session/codes";
const IDENTITY: &str = "/api/v1/identity";

/// Signs in; returns the cookie as a browser sends it.
async fn sign_in(person: &Person, body: &Value) -> String {
    let answer = person.post(SESSION, body).await;
    answer.expect(200);
    let cookie = answer.header("set-cookie");
    cookie.split(';').next().expect("a cookie").to_owned()
}

async fn with_cookie(
    person: &Person,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Answer {
    let mut request = person.request(method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    person
        .send(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
}

#[tokio::test]
async fn signing_in_answers_who_one_is_and_sets_a_cookie_that_fits_the_place() {
    let stack = Stack::start().await;
    let (admin, nobody) = (stack.admin(), stack.anonymous());
    let body = json!({"token": stack.admin_token()});
    let signed_in = nobody.post(SESSION, &body).await;
    let identity = admin.get(IDENTITY).await.expect(200);
    assert_eq!(signed_in.expect(200)["token"]["id"], identity["token"]["id"]);
    assert_eq!(signed_in.expect(200)["namespaces"], identity["namespaces"]);
    assert_eq!(signed_in.header("cache-control"), "no-store");
    for (forwarded, name, rest) in [
        (&[][..], "tstr_session", "Path=/; Max-Age=AGE; HttpOnly; SameSite=Lax"),
        (&[("x-forwarded-proto", "https")], "__Host-tstr", "Path=/; Max-Age=AGE; HttpOnly; SameSite=Lax; Secure"),
        (
            &[("x-forwarded-proto", "https"), ("x-forwarded-prefix", "/tools/tstr")],
            "tstr_session",
            "Path=/tools/tstr; Max-Age=AGE; HttpOnly; SameSite=Lax; Secure",
        ),
        (&[("x-forwarded-prefix", "/tools")], "tstr_session", "Path=/tools; Max-Age=AGE; HttpOnly; SameSite=Lax"),
    ] {
        let answer = with_cookie(&nobody, Method::POST, SESSION, forwarded, Some(&body)).await;
        answer.expect(200);
        let (cookie, attributes) = answer.header("set-cookie").split_once("; ").unwrap();
        assert!(cookie.starts_with(&format!("{name}=tstr_ses_")), "{cookie}");
        assert!(!cookie.contains(stack.admin_token()), "the token is not in the cookie");
        let (path, age) = attributes.split_once("Max-Age=").unwrap();
        let (age, others) = age.split_once(';').unwrap();
        assert!((43_100..=43_200).contains(&age.parse::<u32>().unwrap()), "{attributes}");
        assert_eq!(format!("{path}Max-Age=AGE;{others}"), rest);
        // What it was set by, it is read by.
        let headers = [forwarded, &[("cookie", cookie)]].concat();
        with_cookie(&nobody, Method::GET, IDENTITY, &headers, None).await.expect(200);
    }
    let out = nobody.delete(SESSION).await;
    assert_eq!(
        (out.status.as_u16(), out.header("set-cookie").contains("tstr_session=; Path=/; Max-Age=0")),
        (204, true)
    );
}

#[tokio::test]
async fn what_signs_nobody_in_is_refused() {
    let stack = Stack::start().await;
    let nobody = stack.anonymous();
    for bad in ["nonsense", "", "tstr_pat_x.y.z"] {
        nobody.post(SESSION, &json!({"token": bad})).await.refused(401, "unauthenticated");
        nobody.post(SESSION, &json!({"code": bad})).await.refused(401, "unauthenticated");
    }
    assert_eq!(nobody.post(SESSION, &json!({"token": "a", "code": "b"})).await.faults(), ["/code"]);
    assert_eq!(nobody.post(SESSION, &json!({})).await.faults(), [""]);
    assert_eq!(nobody.post(SESSION, &json!({"token": "a", "scopes": []})).await.faults(), ["/scopes"]);
    let runner = stack.token(&[Scope::Runner], &[".*"]).await;
    nobody.post(SESSION, &json!({"token": runner})).await.refused(403, "forbidden");
    // A page of another site cannot sign its visitor in, as itself least of all.
    let body = json!({"token": stack.admin_token()});
    for header in [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")] {
        let answer = with_cookie(&nobody, Method::POST, SESSION, &[header], Some(&body)).await;
        answer.refused(403, "forbidden");
    }
    let form = nobody.request(Method::POST, SESSION).header("content-type", "text/plain").body(body.to_string());
    nobody.send(form).await.refused(415, "unsupported_media_type");
    nobody.get(SESSION).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_cookie_reads_everything_and_changes_only_from_our_own_pages() {
    let stack = Stack::start().await;
    let nobody = stack.anonymous();
    let cookie = sign_in(&nobody, &json!({"token": stack.admin_token()})).await;
    let cookie = ("cookie", cookie.as_str());
    let own = format!("http://{}", stack.replica(0).json_addr());
    with_cookie(&nobody, Method::GET, TESTS, &[cookie], None).await.expect(200);
    let cross = [cookie, ("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")];
    with_cookie(&nobody, Method::GET, TESTS, &cross, None).await.expect(200);

    let put = async |name: &str, headers: &[(&str, &str)]| {
        with_cookie(&nobody, Method::PUT, &format!("{TESTS}/{name}"), headers, Some(&factory::test(name))).await
    };
    for refused in [
        &[cookie][..],
        &cross,
        &[cookie, ("origin", "null")],
        &[cookie, ("sec-fetch-site", "same-site")],
        &[cookie, ("sec-fetch-site", "none")],
        &[cookie, ("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")],
        &[cookie, ("origin", "http://127.0.0.1:1")],
    ] {
        let problem = put("a", refused).await.refused(403, "forbidden");
        assert!(problem["detail"].as_str().unwrap().contains("Sec-Fetch-Site"), "{problem}");
    }
    for method in [Method::POST, Method::DELETE, Method::PATCH] {
        let answer = with_cookie(&nobody, method, &format!("{TESTS}/a"), &[cookie], None).await;
        answer.refused(403, "forbidden");
    }
    put("a", &[cookie, ("origin", &own)]).await.expect(201);
    put("b", &[cookie, ("sec-fetch-site", "same-origin")]).await.expect(201);
    let behind = [cookie, ("origin", "https://tstr.example"), ("x-forwarded-host", "tstr.example")];
    put("c", &behind).await.expect(201);
    // A bearer is not concerned, and counts before a cookie.
    let admin = stack.admin();
    with_cookie(&admin, Method::PUT, &format!("{TESTS}/d"), &cross, Some(&factory::test("d"))).await.expect(201);
    let bad = admin.with_token(Some("nonsense".into()));
    with_cookie(&bad, Method::GET, TESTS, &[cookie], None).await.refused(401, "unauthenticated");
    // A session is no bearer, and a token no session.
    let value = cookie.1.split_once('=').unwrap().1.to_owned();
    admin.with_token(Some(value)).get(TESTS).await.refused(401, "unauthenticated");
    let forged = format!("tstr_session={}", stack.admin_token());
    with_cookie(&nobody, Method::GET, TESTS, &[("cookie", &forged)], None).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_session_sees_what_its_token_sees_and_ends_with_it_on_every_replica() {
    let stack = Stack::start_with(2, |_| {}).await;
    stack.namespace("shop").await;
    let admin = stack.admin();
    let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Data], &["shop"])).await.expect(201);
    let nobody = stack.anonymous();
    let cookie = sign_in(&nobody, &json!({"token": issued["token"]})).await;
    let at = |replica: usize| nobody.at(stack.url(replica));
    let own = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
    for replica in [0, 1] {
        let seen = with_cookie(&at(replica), Method::GET, IDENTITY, &own, None).await.expect(200);
        assert_eq!(seen["namespaces"], json!(["shop"]));
        with_cookie(&at(replica), Method::GET, TESTS, &own, None).await.refused(404, "not_found");
    }
    let path = "/api/v1/namespaces/shop/tests/a";
    with_cookie(&at(1), Method::PUT, path, &own, Some(&factory::test("a"))).await.refused(403, "forbidden");
    let id = issued["record"]["id"].as_str().unwrap();
    admin.delete(&format!("/api/v1/tokens/{id}")).await.expect(200);
    with_cookie(&at(0), Method::GET, IDENTITY, &own, None).await.refused(401, "unauthenticated");
    eventually("the other replica refuses it as well", Duration::from_secs(5), async || {
        let answer = with_cookie(&at(1), Method::GET, IDENTITY, &own, None).await;
        (answer.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_issued_from_a_session_may_outlive_it_but_not_its_token() {
    let stack = Stack::start().await;
    let nobody = stack.anonymous();
    let cookie = sign_in(&nobody, &json!({"token": stack.admin_token()})).await;
    let own = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
    let mut wanted = factory::token(&[Scope::Data], &[".*"]);
    wanted["expires_in"] = json!("30d");
    with_cookie(&nobody, Method::POST, "/api/v1/tokens", &own, Some(&wanted)).await.expect(201);
    // And no session makes another.
    with_cookie(&nobody, Method::POST, CODES, &own, None).await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_code_works_once_whichever_replicas_are_asked() {
    let stack = Stack::start_with(2, |config| config.ui_url = Some("https://tstr.example/ui/".into())).await;
    let reader = stack.person(&[Scope::Data], &["default"]).await;
    for _ in 0..5 {
        let made = reader.send(reader.request(Method::POST, CODES)).await.expect(200);
        let code = made["code"].as_str().unwrap();
        assert_eq!(made["link"], format!("https://tstr.example/ui/signin#code={code}"));
        let body = json!({"code": code});
        let nobody = stack.anonymous();
        let (here, there) = (nobody.at(stack.url(0)), nobody.at(stack.url(1)));
        let (one, two) = tokio::join!(here.post(SESSION, &body), there.post(SESSION, &body));
        let mut statuses = [one.status.as_u16(), two.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401]);
        let signed_in = if one.status == 200 { one } else { two };
        assert_eq!(signed_in.expect(200)["namespaces"], json!(["default"]));
        here.post(SESSION, &body).await.refused(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_link_says_whose_session_it_opens_before_it_does() {
    const PREVIEW: &str = "/api/v1/session/preview";
    let stack = Stack::start().await;
    let reader = stack.person(&[Scope::Data], &["default"]).await;
    let own = reader.get(IDENTITY).await.expect(200);
    let made = reader.send(reader.request(Method::POST, CODES)).await.expect(200);
    let (nobody, body) = (stack.anonymous(), json!({"code": made["code"]}));
    for _ in 0..2 {
        let seen = nobody.post(PREVIEW, &body).await;
        assert_eq!(seen.expect(200)["token"]["id"], own["token"]["id"]);
        assert_eq!((seen.expect(200)["namespaces"][0].as_str(), seen.header("set-cookie")), (Some("default"), ""));
    }
    let other = with_cookie(&nobody, Method::POST, PREVIEW, &[("origin", "http://evil.example")], Some(&body)).await;
    other.refused(403, "forbidden");
    // It was not used up by being looked at; once it was, there is nothing to see.
    sign_in(&nobody, &body).await;
    nobody.post(PREVIEW, &body).await.refused(401, "unauthenticated");
    nobody.post(PREVIEW, &json!({"code": "tstr_code_x"})).await.refused(401, "unauthenticated");
    nobody.post(PREVIEW, &json!({"token": "nonsense"})).await.refused(401, "unauthenticated");
    assert_eq!(nobody.post(PREVIEW, &json!({})).await.faults(), [""]);
    let runner = stack.token(&[Scope::Runner], &[".*"]).await;
    nobody.post(PREVIEW, &json!({"token": runner})).await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_code_is_kept_as_a_hash_and_ends_with_its_time_and_its_token() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Data], &["default"])).await.expect(201);
    let reader = admin.with_token(issued["token"].as_str().map(str::to_owned));
    let make = async || reader.send(reader.request(Method::POST, CODES)).await;
    let code = async || make().await.expect(200)["code"].as_str().unwrap().to_owned();
    let first = code().await;
    let mut conn = stack.db.connect().await;
    let rows = sqlx::query("SELECT session_code::text AS row FROM session_code").fetch_all(&mut conn).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert!(!rows[0].get::<String, _>("row").contains(&first["tstr_code_".len()..]), "the code itself is not there");
    sqlx::query("UPDATE session_code SET expires_at = now()").execute(&mut conn).await.unwrap();
    stack.anonymous().post(SESSION, &json!({"code": first})).await.refused(401, "unauthenticated");
    // Those that are over make room.
    for _ in 0..20 {
        make().await.expect(200);
    }
    make().await.refused(429, "quota_exceeded");
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM session_code").fetch_one(&mut conn).await.unwrap();
    assert_eq!(kept, 20);
    sqlx::query("DELETE FROM session_code").execute(&mut conn).await.unwrap();
    let last = code().await;
    let id = issued["record"]["id"].as_str().unwrap();
    admin.delete(&format!("/api/v1/tokens/{id}")).await.expect(200);
    stack.anonymous().post(SESSION, &json!({"code": last})).await.refused(401, "unauthenticated");
}
