//! Artifacts: their list, their bytes, and what a browser is told about bytes that a test wrote.

use reqwest::Method;
use serde_json::json;
use tstr_shared::run::RunResult;
use tstr_tests::contract::blob;
use tstr_tests::people::Answer;
use tstr_tests::worker::Worker;
use tstr_tests::{Person, Stack, factory};

use super::{NOBODY, foreigner, with_header};

const HTML: &str = "<script>alert(1)</script>";

/// A run that has passed and left these files; returns the path of its artifacts.
async fn left(stack: &Stack, files: &[(&str, &str)]) -> String {
    let admin = stack.admin();
    admin.put("/api/v1/namespaces/default/tests/a", &factory::test("a")).await;
    let worker = Worker::register(stack, 0, &uuid::Uuid::new_v4().to_string()).await;
    let id = admin.trigger("a").await.remove(0);
    let fence = worker.running().await;
    worker.leave(fence, files).await;
    worker.finish(fence, RunResult::Pass).await.unwrap();
    format!("/api/v1/runs/{id}/artifacts")
}

async fn part(person: &Person, path: &str, range: &str) -> Answer {
    with_header(person, Method::GET, path, ("Range", range), None).await
}

#[tokio::test]
async fn the_files_of_a_run_are_listed_with_what_they_are() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let path = left(&stack, &[("shots/1.png", "png"), ("a.txt", "text"), ("report.html", HTML)]).await;
    let listed = admin.get(&path).await.expect(200);
    let hash = |content: &str| blob(content.as_bytes()).sha256.to_string();
    let item = |path: &str, content: &str, kind: &str| json!({"path": path, "bytes": content.len(), "sha256": hash(content), "media_type": kind});
    let items = [
        item("a.txt", "text", "text/plain"),
        item("report.html", HTML, "text/html"),
        item("shots/1.png", "png", "image/png"),
    ];
    assert_eq!(listed, json!({"attempt": 1, "files": 3, "bytes": 7 + HTML.len(), "items": items, "notes": []}));
    assert_eq!(admin.get(&format!("{path}?attempt=1")).await.expect(200), listed);
    admin.get(&format!("{path}?attempt=2")).await.expect(404);
    let run = admin.get(path.trim_end_matches("/artifacts")).await.expect(200);
    let summary = json!({"files": 3, "bytes": 7 + HTML.len()});
    assert_eq!((&run["artifacts"], &run["attempts"][0]["artifacts"]), (&summary, &summary));
    admin.get(&format!("{path}?attempt=x")).await.refused(422, "invalid");
    admin.get(&format!("{path}?page=1")).await.refused(422, "invalid");
}

#[tokio::test]
async fn a_file_is_given_as_its_bytes_and_in_part() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let large = "0123456789".repeat(300_000);
    let path = left(&stack, &[("a b/ü#1.txt", "0123456789"), ("large.bin", &large), ("empty", "")]).await;
    // Slashes may be escaped or not.
    for name in ["a%20b/%C3%BC%231.txt", "a%20b%2F%C3%BC%231.txt"] {
        let file = format!("{path}/{name}");
        let whole = admin.get(&file).await;
        assert_eq!((whole.status.as_u16(), whole.text().as_str()), (200, "0123456789"), "{name}");
        let tag = format!("\"{}\"", blob(b"0123456789").sha256);
        assert_eq!((whole.header("etag"), whole.header("content-length")), (tag.as_str(), "10"));
        assert_eq!(whole.header("accept-ranges"), "bytes");
        for (range, body, place) in [
            ("bytes=2-4", "234", "bytes 2-4/10"),
            ("bytes=7-", "789", "bytes 7-9/10"),
            ("bytes=-2", "89", "bytes 8-9/10"),
            ("bytes=5-99", "56789", "bytes 5-9/10"),
        ] {
            let answer = part(&admin, &file, range).await;
            assert_eq!((answer.status.as_u16(), answer.text().as_str()), (206, body), "{range}");
            assert_eq!((answer.header("content-range"), answer.header("etag")), (place, tag.as_str()), "{range}");
        }
        let beyond = part(&admin, &file, "bytes=10-").await;
        assert_eq!(beyond.header("content-range"), "bytes */10");
        beyond.refused(416, "invalid");
        // What is no single range is no wish at all.
        assert_eq!(part(&admin, &file, "bytes=0-1,3-4").await.status, 200);
        let known = with_header(&admin, Method::GET, &file, ("If-None-Match", &tag), None).await;
        assert_eq!((known.status.as_u16(), known.body.len(), known.header("etag")), (304, 0, tag.as_str()));
        let request =
            |known: &str| admin.request(Method::GET, &file).header("Range", "bytes=0-0").header("If-Range", known);
        assert_eq!(admin.send(request(&tag)).await.status, 206);
        assert_eq!(admin.send(request("\"another\"")).await.status, 200, "of another file the whole is given");
    }
    assert!(admin.get(&format!("{path}/large.bin")).await.text() == large);
    let packed =
        with_header(&admin, Method::GET, &format!("{path}/large.bin"), ("Accept-Encoding", "gzip"), None).await;
    assert_eq!((packed.header("content-encoding"), packed.body.len()), ("", large.len()), "the very bytes");
    let empty = admin.get(&format!("{path}/empty")).await;
    assert_eq!((empty.status.as_u16(), empty.header("content-length"), empty.body.len()), (200, "0", 0));
    for missing in ["none", "a%20b", "large.bin/x", "LARGE.BIN"] {
        admin.get(&format!("{path}/{missing}")).await.refused(404, "not_found");
    }
    for never in ["a/%2e%2e/b", "..%2Fx", "a%2F%2Fb", "a%00b"] {
        let answer = admin.get(&format!("{path}/{never}")).await;
        assert!([404, 422].contains(&answer.status.as_u16()), "{never}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_hostile_file_has_no_power_in_a_browser() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let files = [
        ("r.html", HTML),
        ("i.svg", "<svg onload='alert(1)'/>"),
        ("t.txt", "text"),
        ("x.bin", "\0"),
        ("s.js", "alert(1)"),
    ];
    let path = left(&stack, &files).await;
    for (name, content) in files {
        let saved = admin.get(&format!("{path}/{name}")).await;
        let kind = saved.header("content-type");
        assert!(["application/octet-stream", "text/plain; charset=utf-8"].contains(&kind), "{name}: {kind}");
        assert!(saved.header("content-disposition").starts_with(&format!("attachment; filename=\"{name}\"")), "{name}");
        assert_eq!(saved.header("content-security-policy"), "sandbox; default-src 'none'; frame-ancestors 'none'");
        let shown = admin.get(&format!("{path}/{name}?view=true")).await;
        assert!(shown.header("content-disposition").starts_with("inline"), "{name}");
        let policy = shown.header("content-security-policy");
        let most = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'";
        assert_eq!(policy, most);
        assert!(!policy.contains("script") && !policy.contains("allow"), "{policy}");
        for answer in [&saved, &shown] {
            assert_eq!(
                (answer.header("x-content-type-options"), answer.text().as_str()),
                ("nosniff", content),
                "{name}"
            );
            assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
            assert!(answer.headers.get("access-control-allow-origin").is_none());
        }
    }
    let kinds = ["r.html", "i.svg", "t.txt", "x.bin"].map(|name| format!("{path}/{name}?view=true"));
    let mut told = Vec::new();
    for path in &kinds {
        told.push(admin.get(path).await.header("content-type").to_owned());
    }
    assert_eq!(
        told,
        ["text/html; charset=utf-8", "image/svg+xml", "text/plain; charset=utf-8", "application/octet-stream"]
    );
}

#[tokio::test]
async fn a_foreign_run_has_no_files() {
    let stack = Stack::start().await;
    let path = left(&stack, &[("a", "x")]).await;
    let foreigner = foreigner(&stack).await;
    for path in
        [path.clone(), format!("{path}/a"), format!("{path}/none"), format!("/api/v1/runs/{NOBODY}/artifacts/a")]
    {
        foreigner.get(&path).await.refused(404, "not_found");
    }
    stack.anonymous().get(&format!("{path}/a")).await.refused(401, "unauthenticated");
    let writing = stack.person(&[tstr_shared::permission::Scope::Runner], &[".*"]).await;
    writing.get(&format!("{path}/a")).await.refused(403, "forbidden");
}
