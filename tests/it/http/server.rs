//! The server itself: what is public, what every answer carries, and what no route understands.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tstr_api::http::{MAX_BODY, PUBLIC};
use tstr_shared::permission::Scope;
use tstr_tests::people::Answer;
use tstr_tests::{Person, Stack, factory};

use super::{TESTS, with_header};

async fn send(person: &Person, method: Method, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> Answer {
    person.send(person.request(method, path).header("Content-Type", kind).body(body)).await
}

#[tokio::test]
async fn what_is_public_needs_no_token_and_everything_else_does() {
    let stack = Stack::start().await;
    let anonymous = stack.anonymous();
    for path in PUBLIC {
        let answer = anonymous.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.body.is_empty()), (200, false), "{path}");
        assert_eq!(anonymous.send(anonymous.request(Method::HEAD, path)).await.status, 200, "{path}");
    }
    for (method, path) in [
        (Method::GET, "/api/v1/identity"),
        (Method::GET, "/nothing/here"),
        (Method::GET, "/"),
        (Method::GET, "/livez/"),
        (Method::POST, "/livez"),
        (Method::OPTIONS, "/docs"),
        (Method::DELETE, "/api/v1/openapi.json"),
        (Method::GET, "/api/v1/identity?token=x&access_token=x"),
    ] {
        let answer = anonymous.send(anonymous.request(method.clone(), path)).await;
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{method} {path}");
        answer.refused(401, "unauthenticated");
    }
}

#[tokio::test]
async fn the_server_tells_its_health_and_its_version() {
    let stack = Stack::start().await;
    let anonymous = stack.anonymous();
    assert_eq!(anonymous.get("/livez").await.expect(200), json!({"status": "ok"}));
    assert_eq!(anonymous.get("/readyz").await.expect(200), json!({"status": "ok"}));
    let verbose = anonymous.get("/readyz?verbose").await.expect(200);
    assert_eq!(verbose, json!({"status": "ok", "checks": [{"name": "database", "status": "ok"}]}));
    let version = anonymous.get("/version").await.expect(200);
    assert_eq!(
        version,
        json!({"version": env!("CARGO_PKG_VERSION"), "api": "v1", "zone_tables": tstr_shared::schedule::ZONE_TABLES})
    );
    assert_eq!(anonymous.get("/readyz?loud").await.faults(), ["loud"]);
    let document: Value = anonymous.get("/api/v1/openapi.json").await.expect(200);
    assert_eq!(document["info"]["version"], version["version"]);
    let schema = anonymous.get("/api/v1/schemas/test.json").await;
    assert_eq!(
        (schema.header("content-type"), &schema.expect(200)["title"]),
        ("application/schema+json", &json!("A test of tstr"))
    );
    let docs = anonymous.get("/docs").await;
    assert!(docs.header("content-type").starts_with("text/html") && docs.text().contains("api/v1/openapi.json"));
    assert!(docs.header("content-security-policy").starts_with("default-src 'none'"));
}

#[tokio::test]
async fn a_server_whose_database_is_gone_lives_and_is_not_ready() {
    // The database is reached by way of a link, which the test takes away.
    let link = tstr_tests::process::make_dir("l").join("pg");
    let stack = Stack::start_with(1, |config| {
        let socket = config.pg_dsn.split_once('@').unwrap().1.split_once(':').unwrap().0.to_owned();
        std::os::unix::fs::symlink(socket.replace("%2F", "/"), &link).unwrap();
        config.pg_dsn = config.pg_dsn.replace(&socket, &link.display().to_string().replace('/', "%2F"));
    })
    .await;
    let (anonymous, admin) = (stack.anonymous(), stack.admin());
    let socket = std::fs::read_link(&link).unwrap();
    std::fs::remove_file(&link).unwrap();
    let mut conn = stack.db.connect().await;
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(others).execute(&mut conn).await.unwrap();

    let unready = anonymous.get("/readyz").await;
    let problem = unready.refused(503, "unavailable");
    assert_eq!(unready.header("retry-after"), "1");
    assert_eq!(problem["detail"], "the server cannot answer now; repeat the request");
    assert_eq!(admin.get(TESTS).await.refused(503, "unavailable")["retryable"], true);
    assert_eq!(anonymous.get("/livez").await.status, 200);
    std::os::unix::fs::symlink(&socket, &link).unwrap();
    tstr_tests::eventually("it is ready again", Duration::from_secs(15), async || {
        (anonymous.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    admin.get(TESTS).await.expect(200);
}

#[tokio::test]
async fn metrics_are_open_on_the_host_and_else_an_administrators() {
    let stack = Stack::start().await;
    let (anonymous, admin) = (stack.anonymous(), stack.admin());
    admin.register(&factory::test("a-name-that-no-metric-has")).await;
    admin.get(&format!("{TESTS}/a-name-that-no-metric-has")).await.expect(200);
    for answer in [anonymous.get("/metrics").await, admin.get("/metrics").await] {
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, "text/plain; version=0.0.4; charset=utf-8")
        );
        let text = answer.text();
        let counted = r#"tstr_http_requests_total{method="GET",route="/api/v1/namespaces/{namespace}/tests/{test}",status="200"} 1"#;
        assert!(text.contains(counted), "{text}");
        assert!(!text.contains("a-name-that-no-metric-has"), "routes are counted, not addresses");
    }
    // Behind a proxy every peer looks local.
    for header in ["Forwarded", "X-Forwarded-For", "Via"] {
        with_header(&anonymous, Method::GET, "/metrics", (header, "192.0.2.1"), None)
            .await
            .refused(401, "unauthenticated");
    }
    stack.person(&[Scope::Control, Scope::Data], &[".*"]).await.get("/metrics").await.refused(403, "forbidden");
}

#[tokio::test]
async fn what_no_route_understands_is_a_problem_of_its_kind() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    for path in [
        "/",
        "/nothing",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v2/identity",
        "/api/v1/identity/",
        "//api/v1/identity",
        "/api/v1/namespaces/default/tests/a/b",
    ] {
        assert_eq!(admin.get(path).await.refused(404, "not_found")["detail"], "address not found", "{path}");
    }
    for (method, path, allow) in [
        (Method::POST, "/api/v1/identity", "GET,HEAD"),
        (Method::PUT, TESTS, "GET,HEAD,POST"),
        (Method::GET, "/api/v1/namespaces/default/tests/a/pause", "POST"),
        (Method::TRACE, "/livez", "GET,HEAD"),
    ] {
        let answer = admin.send(admin.request(method, path)).await;
        assert_eq!(answer.header("allow"), allow, "{path}");
        answer.refused(405, "method_not_allowed");
    }
    let long = format!("/api/v1/identity?{}", "a".repeat(9000));
    assert_eq!(admin.get(&long).await.refused(413, "too_large")["detail"], "the address is longer than 8192 bytes");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_by_what_is_wrong_with_it() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let json = "application/json";
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/yaml", ""]
    {
        send(&admin, Method::POST, TESTS, kind, "{}").await.refused(415, "unsupported_media_type");
    }
    admin.send(admin.request(Method::POST, TESTS).body("{}")).await.refused(415, "unsupported_media_type");
    let whole = factory::test("a").to_string();
    for broken in [
        "",
        "{",
        "{\"name\":}",
        "nul",
        "\u{feff}{}",
        &whole.repeat(2),
        "{'name': 'a'}",
        &format!("{whole},"),
        &whole[..whole.len() - 1],
    ] {
        let problem = send(&admin, Method::POST, TESTS, json, broken.to_owned()).await.refused(400, "malformed");
        assert!(problem["detail"].as_str().unwrap().contains("line"), "{broken}: {problem}");
    }
    send(&admin, Method::POST, TESTS, json, b"{\"name\": \"\xff\"}".to_vec()).await.refused(400, "malformed");
    // The limit is exact: padded with blanks, a body of 1 MiB is read, and one byte more is not.
    let padded = |size: usize| format!("{whole}{}", " ".repeat(size - whole.len()));
    send(&admin, Method::POST, TESTS, json, padded(MAX_BODY + 1)).await.refused(413, "too_large");
    send(&admin, Method::POST, TESTS, "application/json; charset=utf-8", padded(MAX_BODY)).await.expect(201);
    // A body of which nobody says how long it is.
    let endless = futures_util::stream::iter((0..40).map(|_| Ok::<_, std::io::Error>(vec![b' '; 65536])));
    send(&admin, Method::POST, TESTS, json, reqwest::Body::wrap_stream(endless)).await.refused(413, "too_large");
    // Shapes that would cost more than they are worth.
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for heavy in [nested(33), nested(100_000), format!("[{}]", ["1"; 1001].join(","))] {
        assert_eq!(send(&admin, Method::POST, TESTS, json, heavy).await.faults(), [""]);
    }
    assert_eq!(admin.get(TESTS).await.expect(200)["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn every_answer_carries_the_id_of_its_request_and_closes_what_browsers_leave_open() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    for (path, status) in [("/api/v1/identity", 200), ("/nothing", 404), ("/api/v1/namespaces?x=1", 422)] {
        let answer = with_header(&admin, Method::GET, path, ("X-Request-Id", "deploy-7.a_B"), None).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-request-id")), (status, "deploy-7.a_B"));
        for (name, value) in
            [("cache-control", "no-store"), ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")]
        {
            assert_eq!(answer.header(name), value, "{path}");
        }
        assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{path}");
        assert!(answer.headers.get("access-control-allow-origin").is_none(), "{path}");
    }
    let long = "x".repeat(129);
    for forged in ["a b", "a\"b", "<script>", &long] {
        let answer = with_header(&admin, Method::GET, "/nothing", ("X-Request-Id", forged), None).await;
        answer.refused(404, "not_found");
        assert_eq!(uuid::Uuid::parse_str(answer.header("x-request-id")).unwrap().get_version_num(), 4, "{forged}");
    }
    let first = admin.get("/api/v1/identity").await.header("x-request-id").to_owned();
    assert_ne!(first, admin.get("/api/v1/identity").await.header("x-request-id"));
}

#[tokio::test]
async fn who_asks_only_for_the_head_gets_it() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    for path in ["/api/v1/identity", TESTS, &format!("{TESTS}/a")] {
        let head = admin.send(admin.request(Method::HEAD, path)).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-type"), "application/json", "{path}");
    }
    let missing = admin.send(admin.request(Method::HEAD, "/nothing")).await;
    assert_eq!((missing.status.as_u16(), missing.body.len()), (404, 0));
}

#[tokio::test]
async fn an_identity_is_told_to_whoever_has_one() {
    let stack = Stack::start().await;
    stack.namespace("team-a").await;
    for scope in Scope::ALL {
        let person = stack.person(&[scope], &["team-.*", "nowhere"]).await;
        let identity = person.get("/api/v1/identity").await.expect(200);
        assert_eq!(identity["token"]["scopes"], json!([scope.word()]));
        assert_eq!(
            (&identity["token"]["namespaces"], &identity["namespaces"]),
            (&json!(["team-.*", "nowhere"]), &json!(["team-a"]))
        );
    }
}

#[tokio::test]
async fn an_unknown_parameter_is_refused_by_name_at_every_address() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let document = serde_json::to_value(tstr_api::http::openapi::document()).unwrap();
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{namespace}", "default").replace("{test}", "a");
        let path =
            ["{run}", "{runner}", "{token}", "{case}"].iter().fold(path, |path, id| path.replace(id, super::NOBODY));
        for method in item.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = admin.send(admin.request(method.clone(), &format!("{path}?surprise=1"))).await;
            assert_eq!(answer.status, 422, "{method} {path}: {}", answer.text());
            assert_eq!(answer.faults(), ["surprise"], "{method} {path}");
            asked += 1;
        }
    }
    assert!(asked > 30);
}
