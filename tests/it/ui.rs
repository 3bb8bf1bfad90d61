//! The web UI as a server: its pages and their headers, base paths, and what is passed on to the API.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tstr_api::ui::{Config, Running, start};
use tstr_tests::events::Listener;
use tstr_tests::process::make_dir;
use tstr_tests::{Person, Stack, factory};

use crate::http::TESTS;

const PAGE: &str = "<!doctype html><base href=\"/\" /><script src=\"./assets/app-1.js\"></script>";

/// Files as the build of the UI leaves them.
fn dist() -> PathBuf {
    let dir = make_dir("d");
    std::fs::create_dir(dir.join("assets")).unwrap();
    for (name, content) in [
        ("index.html", PAGE),
        ("theme.js", "theme"),
        ("assets/app-1.js", "plain"),
        ("assets/app-1.js.br", "brotli"),
        ("assets/app-1.js.gz", "gzip"),
    ] {
        std::fs::write(dir.join(name), content).unwrap();
    }
    dir
}

async fn serve(api: &str, base: &str) -> (Running, Person) {
    let mut config = Config::new(api);
    config.addr = "127.0.0.1:0".parse().unwrap();
    config.base_path = base.parse().unwrap();
    config.files = Some(dist());
    let running = start(config).await.unwrap();
    let person = Person::new(format!("http://{}", running.addr()), None);
    (running, person)
}

#[tokio::test]
async fn pages_carry_the_policy_and_are_kept_as_long_as_they_may_be() {
    let (ui, person) = serve("http://127.0.0.1:1", "/").await;
    for path in ["/", "/ns/default/tests/a.b?tab=runs", "/assets/app-1.js", "/theme.js", "/assets/gone-2.js"] {
        let answer = person.get(path).await;
        let policy = answer.header("content-security-policy");
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "trusted-types tstr-worker"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("strict-transport-security", ""),
        ] {
            assert_eq!(answer.header(name), value, "{path}: {name}");
        }
    }
    let index = person.get("/").await;
    assert_eq!((index.text().as_str(), index.header("cache-control")), (PAGE, "no-cache"));
    let script = person.get("/assets/app-1.js").await;
    assert_eq!(script.header("cache-control"), "public, max-age=31536000, immutable");
    let packed =
        person.send(person.request(Method::GET, "/assets/app-1.js").header("accept-encoding", "br, gzip")).await;
    assert_eq!((packed.text().as_str(), packed.header("content-encoding")), ("brotli", "br"));
    assert_eq!(person.get("/assets/gone-2.js").await.status, 404);
    let json = person.send(person.request(Method::GET, "/ns/x").header("accept", "application/json")).await;
    assert_eq!(json.status, 404);
    let head = person.send(person.request(Method::HEAD, "/")).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    let safe = person.send(person.request(Method::GET, "/").header("x-forwarded-proto", "https")).await;
    assert_eq!(safe.header("strict-transport-security"), "max-age=31536000");
    assert_eq!(person.get("/livez").await.text(), "ok");
    // The API is not there, and that is said as the API says things.
    person.get("/api/v1/identity").await.expect(503)["code"].as_str().expect("a problem");
    ui.stop().await;
}

#[tokio::test]
async fn below_a_base_path_the_page_knows_where_it_is() {
    let stack = Stack::start().await;
    let (ui, person) = serve(&stack.url(0), "/tools/tstr").await;
    let index = person.get("/tools/tstr/ns/default").await;
    assert_eq!(index.text(), PAGE.replace("href=\"/\"", "href=\"/tools/tstr/\""));
    assert_eq!(person.get("/tools/tstr/assets/app-1.js").await.text(), "plain");
    let signed_in = person.post("/tools/tstr/api/v1/session", &json!({"token": stack.admin_token()})).await;
    signed_in.expect(200);
    assert!(signed_in.header("set-cookie").contains("; Path=/tools/tstr;"), "{}", signed_in.header("set-cookie"));
    // A proxy in front may have taken the base away already.
    assert_eq!(person.get("/assets/app-1.js").await.text(), "plain");
    let mut raw = TcpStream::connect(ui.addr()).await.unwrap();
    raw.write_all(b"GET /tools/tstr HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    raw.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 308") && answer.contains("\r\nlocation: /tools/tstr/\r\n"), "{answer}");
    ui.stop().await;
}

#[tokio::test]
async fn the_api_is_passed_on_with_cookies_and_nothing_is_added() {
    let stack = Stack::start().await;
    let (ui, person) = serve(&stack.url(0), "/").await;
    person.get("/api/v1/identity").await.refused(401, "unauthenticated");
    let signed_in = person.post("/api/v1/session", &json!({"token": stack.admin_token()})).await;
    signed_in.expect(200);
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    let own = format!("http://{}", ui.addr());
    let put = |origin: &str| {
        let request = person.request(Method::PUT, &format!("{TESTS}/a")).header("cookie", &cookie);
        person.send(request.header("origin", origin).json(&factory::test("a")))
    };
    put("http://evil.example").await.refused(403, "forbidden");
    put(&stack.url(0)).await.refused(403, "forbidden");
    put(&own).await.expect(201);
    let admin = person.with_token(Some(stack.admin_token().to_owned()));
    let answer = admin.get(&format!("{TESTS}?label=a%3Db&page_size=1")).await;
    answer.expect(200);
    assert!(!answer.header("x-request-id").is_empty());
    assert_eq!(admin.get("/docs").await.status, 200);
    // What is not the API's own is not reached through here, however it is written.
    for path in ["/metrics", "/api/../metrics", "/api/%2e%2e/metrics", "/api/..%2fmetrics"] {
        let mut raw = TcpStream::connect(ui.addr()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\nConnection: close\r\n\r\n");
        raw.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        raw.read_to_string(&mut answer).await.unwrap();
        assert!(!answer.contains("tstr_http_requests_total"), "{path}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 40"), "{path}: {answer}");
    }
    ui.stop().await;
}

#[tokio::test]
async fn events_go_through_as_they_come_and_hold_up_no_stop() {
    let stack = Stack::start().await;
    let (ui, person) = serve(&stack.url(0), "/").await;
    let admin = person.with_token(Some(stack.admin_token().to_owned()));
    admin.put(&format!("{TESTS}/a"), &factory::test("a")).await.expect(201);
    let mut listener = Listener::at(&admin, "default", "runs", None).await;
    listener.until("ready").await;
    let run = admin.trigger("a").await.remove(0);
    let began = Instant::now();
    assert_eq!(listener.until("run.queued").await.data["run"], run);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let began = Instant::now();
    ui.stop().await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(listener.rest().await, []);
}

#[tokio::test]
async fn a_stop_lets_requests_end_that_are_under_way() {
    // An API that answers when it is told to.
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ui, person) = serve(&format!("http://{}", api.local_addr().unwrap()), "/").await;
    let asked = tokio::spawn(async move { person.get("/api/v1/identity").await });
    let (mut under_way, _) = api.accept().await.unwrap();
    let mut request = [0; 4096];
    assert!(under_way.read(&mut request).await.unwrap() > 0);
    let mut stopping = Box::pin(ui.stop());
    assert!((&mut stopping).now_or_never().is_none(), "it waits for the request");
    under_way.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").await.unwrap();
    let (answer, ()) = tokio::join!(asked, stopping);
    let answer = answer.unwrap();
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "done"));
}
