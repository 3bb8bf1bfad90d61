//! Logs: JSON lines, the very bytes, parts of them, and what is still to come.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tstr_shared::lease::Fence;
use tstr_shared::logs::Stream::{Stderr, Stdout};
use tstr_shared::run::RunResult;
use tstr_tests::people::Answer;
use tstr_tests::worker::Worker;
use tstr_tests::{Person, Stack, factory};

use super::with_header;

/// A run of the test `a` that runs, and the path of its log.
async fn running(stack: &Stack, worker: &Worker) -> (Fence, String) {
    let admin = stack.admin();
    admin.put("/api/v1/namespaces/default/tests/a", &factory::test("a")).await;
    let id = admin.trigger("a").await.remove(0);
    (worker.running().await, format!("/api/v1/runs/{id}/logs"))
}

async fn raw(person: &Person, path: &str) -> Answer {
    with_header(person, Method::GET, path, ("Accept", "text/plain"), None).await
}

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "application/x-ndjson"),
        "{}",
        answer.text()
    );
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn seqs(answer: &Answer) -> Vec<u64> {
    lines(answer).iter().map(|line| line["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_log_is_told_in_lines_of_json_or_as_its_bytes() {
    let stack = Stack::start().await;
    let worker = Worker::register(&stack, 0, "w").await;
    let admin = stack.admin();
    let (fence, path) = running(&stack, &worker).await;
    assert_eq!((seqs(&admin.get(&path).await).len(), raw(&admin, &path).await.body.len()), (0, 0));
    worker
        .write(
            fence,
            &[
                (Stdout, b"one\ntwo"),
                (Stderr, "\u{e4}\0\n".as_bytes()),
                (Stdout, b"\xff\x00\x1b[31m"),
                (Stderr, b"end"),
            ],
        )
        .await;
    // A log can be read while it grows, and is the same afterwards.
    for ended in [false, true] {
        if ended {
            worker.finish(fence, RunResult::Pass).await.unwrap();
        }
        let told = lines(&admin.get(&path).await);
        let entry = |i: usize| {
            (
                told[i]["seq"].as_u64(),
                told[i]["stream"].as_str().unwrap(),
                told[i].get("data"),
                told[i].get("data_base64"),
            )
        };
        assert_eq!(entry(0), (Some(0), "stdout", Some(&json!("one\ntwo")), None));
        assert_eq!(entry(1), (Some(1), "stderr", Some(&json!("\u{e4}\0\n")), None));
        assert_eq!(entry(2), (Some(2), "stdout", None, Some(&json!("/wAbWzMxbQ=="))));
        assert_eq!(entry(3), (Some(3), "stderr", Some(&json!("end")), None));
        assert!(told.iter().all(|line| line["time"].as_str().is_some_and(|at| at.ends_with('Z'))));
        let whole = raw(&admin, &path).await;
        assert_eq!(whole.body, b"one\ntwo\xc3\xa4\0\n\xff\x00\x1b[31mend");
        assert_eq!(
            (whole.header("content-type"), whole.header("accept-ranges")),
            ("text/plain; charset=utf-8", "bytes")
        );
        assert!(
            whole.header("content-disposition").starts_with("attachment") && whole.header("vary").contains("ccept")
        );
        assert!(whole.header("content-security-policy").contains("sandbox"));
        assert_eq!(whole.header("content-length"), whole.body.len().to_string());
        assert_eq!(raw(&admin, &format!("{path}?stream=stderr")).await.body, b"\xc3\xa4\0\nend");
        assert_eq!(raw(&admin, &format!("{path}?stream=stdout")).await.body, b"one\ntwo\xff\x00\x1b[31m");
    }
}

#[tokio::test]
async fn a_part_of_the_lines_is_named_by_number_stream_and_count() {
    let stack = Stack::start().await;
    let worker = Worker::register(&stack, 0, "w").await;
    let admin = stack.admin();
    let (fence, path) = running(&stack, &worker).await;
    // More pieces than are read at once.
    let texts: Vec<_> = (0..40).map(|i| format!("{i},")).collect();
    let pieces: Vec<_> =
        texts.iter().enumerate().map(|(i, text)| (if i % 4 == 3 { Stderr } else { Stdout }, text.as_bytes())).collect();
    worker.write(fence, &pieces).await;
    worker.finish(fence, RunResult::Pass).await.unwrap();
    let all: Vec<u64> = (0..40).collect();
    let numbers = async |query: &str| seqs(&admin.get(&format!("{path}?{query}")).await);
    assert_eq!(numbers("").await, all);
    assert_eq!(numbers("after=36").await, [37, 38, 39]);
    assert_eq!(numbers("after=4294967295").await, [0; 0]);
    assert_eq!(numbers("limit=3").await, [0, 1, 2]);
    assert_eq!(numbers("after=9&limit=20").await, all[10..30]);
    assert_eq!(numbers("limit=4294967295").await, all);
    assert_eq!(numbers("stream=stderr&after=7&limit=2").await, [11, 15]);
    assert_eq!(numbers("attempt=1&follow=true").await, all);
    assert_eq!(raw(&admin, &path).await.text(), texts.concat());
    // Without line ends each stream has one line.
    assert_eq!(numbers("tail=1").await, (0..40).filter(|i| i % 4 == 3).collect::<Vec<_>>());
    assert_eq!(numbers("tail=2&attempt=1&follow=true").await, all);
    assert_eq!(numbers("tail=0").await, [0; 0]);
    assert_eq!(raw(&admin, &format!("{path}?tail=1&stream=stderr")).await.text(), "3,7,11,15,19,23,27,31,35,39,");
    assert_eq!(raw(&admin, &format!("{path}?after=37")).await.text(), "38,39,");
    for none in ["attempt=2", "attempt=65535", "attempt=0", "tail=9&attempt=2"] {
        admin.get(&format!("{path}?{none}")).await.expect(404);
    }
    for (query, parameter) in [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("after=x", "after"),
        ("attempt=65536", "attempt"),
        ("stream=stdin", "stream"),
        ("follow=perhaps", "follow"),
        ("tail=10001", "tail"),
        ("tail=-1", "tail"),
        ("tail=1&after=3", "tail"),
        ("tail=1&limit=3", "tail"),
        ("last=10", "last"),
    ] {
        assert_eq!(admin.get(&format!("{path}?{query}")).await.faults(), [parameter], "{query}");
    }
}

#[tokio::test]
async fn a_range_of_the_bytes_is_answered_and_one_beyond_them_is_not_satisfiable() {
    let stack = Stack::start().await;
    let worker = Worker::register(&stack, 0, "w").await;
    let admin = stack.admin();
    let (fence, path) = running(&stack, &worker).await;
    worker.write(fence, &[(Stdout, b"0123"), (Stderr, b"456"), (Stdout, b"789")]).await;
    let part = async |range: &str, path: &str| {
        let request = admin.request(Method::GET, path).header("Accept", "text/plain").header("Range", range);
        admin.send(request).await
    };
    for (range, body, place) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=3-", "3456789", "bytes 3-9/10"),
        ("bytes=-4", "6789", "bytes 6-9/10"),
        ("bytes=-99", "0123456789", "bytes 0-9/10"),
        ("bytes=8-99999999999999999999", "0123456789", ""),
        ("bytes=8-1000", "89", "bytes 8-9/10"),
        ("bytes=1-2,4-5", "0123456789", ""),
        ("lines=1-2", "0123456789", ""),
    ] {
        let answer = part(range, &path).await;
        assert_eq!((answer.text().as_str(), answer.header("content-range")), (body, place), "{range}");
        assert_eq!(answer.status, if place.is_empty() { 200 } else { 206 }, "{range}");
        assert_eq!(answer.header("content-length"), body.len().to_string(), "{range}");
    }
    for range in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=18446744073709551615-"] {
        let answer = part(range, &path).await;
        assert_eq!(answer.header("content-range"), "bytes */10", "{range}");
        answer.refused(416, "invalid");
    }
    assert_eq!(part("bytes=4-", &format!("{path}?stream=stdout")).await.text(), "789");
    // Lines have no bytes to count, and a range of them is ignored.
    assert_eq!(seqs(&with_header(&admin, Method::GET, &path, ("Range", "bytes=0-1"), None).await), [0, 1, 2]);
}

#[tokio::test]
async fn each_attempt_has_a_log_of_its_own() {
    let stack = Stack::start().await;
    let worker = Worker::register(&stack, 0, "w").await;
    let admin = stack.admin();
    admin.register(&factory::with(factory::test("a"), "/retry/on_fail", json!(1))).await;
    let path = format!("/api/v1/runs/{}/logs", admin.trigger("a").await[0]);
    for text in [&b"first"[..], b"second"] {
        let fence = worker.running().await;
        worker.write(fence, &[(Stdout, text)]).await;
        worker.finish(fence, RunResult::Fail).await.unwrap();
    }
    assert_eq!(raw(&admin, &path).await.text(), "second");
    assert_eq!(raw(&admin, &format!("{path}?attempt=1")).await.text(), "first");
    assert_eq!(lines(&admin.get(&format!("{path}?attempt=1&follow=true")).await)[0]["data"], "first");
}

#[tokio::test]
async fn who_follows_sees_each_piece_as_it_comes_and_the_end_on_whichever_replica() {
    let stack = Stack::start_with(2, |_| {}).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let admin = stack.admin();
    let (fence, path) = running(&stack, &worker).await;
    let wait = Duration::from_secs(10);
    for (replica, raw) in [(0, false), (1, false), (1, true)] {
        let (fence, path) = if replica == 0 { (fence, path.clone()) } else { running(&stack, &worker).await };
        let person = admin.at(stack.url(replica));
        let request = person.request(Method::GET, &format!("{path}?follow")).header("Accept-Encoding", "gzip");
        let request = if raw { request.header("Accept", "text/plain") } else { request };
        let response = request.send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.headers()["x-accel-buffering"].to_str().unwrap()),
            (200, "no")
        );
        assert!(
            response.headers().get("content-encoding").is_none(),
            "what is followed is not held back by compression"
        );
        let mut pieces = response.bytes_stream();
        let mut seen = Vec::new();
        for text in ["one", "two", "three"] {
            worker.write(fence, &[(Stdout, text.as_bytes())]).await;
            let before = seen.len();
            while !String::from_utf8_lossy(&seen[before..]).contains(text) {
                let piece = tokio::time::timeout(wait, pieces.next()).await.expect("a piece comes while the run runs");
                seen.extend_from_slice(&piece.expect("it goes on").unwrap());
            }
        }
        worker.finish(fence, RunResult::Pass).await.unwrap();
        let end = tokio::time::timeout(wait, pieces.next()).await.expect("it ends with the run");
        assert!(end.is_none(), "{end:?}");
        if raw {
            assert_eq!(seen, b"onetwothree");
        } else {
            assert_eq!(String::from_utf8(seen).unwrap().lines().count(), 3);
        }
    }
}

#[tokio::test]
async fn who_follows_a_run_that_waits_sees_it_from_its_first_byte() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("a")).await;
    let id = admin.trigger("a").await.remove(0);
    let (person, path) = (admin.clone(), format!("/api/v1/runs/{id}/logs?follow=true"));
    let following = tokio::spawn(async move { person.get(&path).await });
    let worker = Worker::register(&stack, 0, "w").await;
    let fence = worker.running().await;
    worker.write(fence, &[(Stderr, b"x"), (Stdout, b"y")]).await;
    worker.finish(fence, RunResult::Pass).await.unwrap();
    let told = tokio::time::timeout(Duration::from_secs(10), following).await.expect("it ends").unwrap();
    assert_eq!(seqs(&told), [0, 1]);
    // A run that is cancelled before it ran has an empty log, and its followers an end.
    let id = admin.trigger("a").await.remove(0);
    let (person, path) = (admin.clone(), format!("/api/v1/runs/{id}/logs?follow=true"));
    let following = tokio::spawn(async move { person.get(&path).await });
    admin.post(&format!("/api/v1/runs/{id}/cancel"), &json!({})).await.expect(202);
    let told = tokio::time::timeout(Duration::from_secs(10), following).await.expect("it ends").unwrap();
    assert_eq!(seqs(&told), [0; 0]);
}

#[tokio::test]
async fn a_large_answer_is_compressed_and_is_the_same() {
    let stack = Stack::start().await;
    let worker = Worker::register(&stack, 0, "w").await;
    let admin = stack.admin();
    let (fence, path) = running(&stack, &worker).await;
    let piece: Vec<u8> = (0..262_144u32).map(|i| b'a' + (i / 97 % 26) as u8).collect();
    let pieces: Vec<_> = (0..8).map(|_| (Stdout, piece.as_slice())).collect();
    worker.write(fence, &pieces).await;
    let plain = raw(&admin, &path).await;
    assert_eq!(plain.body.len(), 8 * 262_144);
    assert_eq!(plain.body, piece.repeat(8));
    let request =
        admin.request(Method::GET, &path).header("Accept", "text/plain").header("Accept-Encoding", "br, gzip");
    let packed = admin.send(request).await;
    assert_eq!((packed.header("content-encoding"), &packed.body[..2]), ("gzip", &[0x1f, 0x8b][..]));
    assert!(packed.body.len() < plain.body.len() / 10);
}
