//! `logs`: nothing is lost and nothing comes twice.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::server::{Fake, Reply, Request};
use super::{RUN, run, run_json};

fn entry(seq: u32, stream: &str, data: &str) -> String {
    format!("{}\n", json!({"seq": seq, "time": "2026-03-01T10:00:00Z", "stream": stream, "data": data}))
}

fn entries(seqs: std::ops::Range<u32>) -> Vec<u8> {
    seqs.map(|seq| entry(seq, "stdout", &format!("line {seq}\n"))).collect::<String>().into_bytes()
}

fn expected(count: u32) -> String {
    (0..count).map(|seq| format!("line {seq}\n")).collect()
}

fn after(request: &Request) -> u32 {
    let pairs = request.query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(name, _)| *name == "after").map_or(0, |(_, seq)| seq.parse::<u32>().unwrap() + 1)
}

fn is_log(request: &Request) -> bool {
    request.path.ends_with("/logs")
}

#[test]
fn what_is_followed_survives_lost_connections() {
    let asked = AtomicU32::new(0);
    let fake = Fake::start(move |request, _| {
        if !is_log(request) {
            let is_over = asked.load(Ordering::SeqCst) >= 6;
            let (state, result) = if is_over { ("finished", Some("pass")) } else { ("running", None) };
            return Reply::Json(200, run_json(RUN, state, result));
        }
        let from = after(request);
        match asked.fetch_add(1, Ordering::SeqCst) {
            // Breaks off between two entries, in the middle of one, before any, and ends well although more is to come.
            0 => Reply::Broken(entries(0..5)),
            1 => {
                let mut bytes = entries(from..from + 4);
                bytes.truncate(bytes.len() - 9);
                Reply::Broken(bytes)
            }
            2 | 3 => Reply::Lost,
            4 => Reply::Stream(entries(from.saturating_sub(2)..12)),
            _ if request.query.contains("follow") => Reply::Stream(entries(from..15)),
            // What came between the end of the stream and the end of the run.
            _ => Reply::Stream(entries(from..20)),
        }
    });
    let ran = run(&fake.url, &format!("logs {RUN} -f"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.out, expected(20), "{}", ran.err);
    assert!(ran.err.contains("trying again") && ran.err.contains("connected again"), "{}", ran.err);
}

#[test]
fn a_log_that_is_not_followed_is_read_to_its_end_or_fails() {
    let fake = Fake::start(|request, before| match before {
        0 => Reply::Json(200, run_json(RUN, "finished", Some("pass"))),
        1 => Reply::Broken(entries(0..3)),
        _ => Reply::Stream(entries(after(request)..6)),
    });
    let ran = run(&fake.url, &format!("logs {RUN}"));
    assert_eq!((ran.code, ran.out), (0, expected(6)));
    let fake = Fake::start(|_, before| match before {
        0 => Reply::Json(200, run_json(RUN, "finished", Some("pass"))),
        1 => Reply::Broken(entries(0..3)),
        _ => Reply::Lost,
    });
    let ran = run(&fake.url, &format!("logs {RUN}"));
    assert_eq!((ran.code, ran.out), (6, expected(3)));
}

#[test]
fn every_attempt_is_followed() {
    let with_attempt = |state: &str, result: Option<&str>, attempt: u16| {
        let mut run = run_json(RUN, state, result);
        run["attempt"] = json!(attempt);
        Reply::Json(200, run)
    };
    let fake = Fake::start(move |request, before| match (is_log(request), request.query.contains("attempt=2")) {
        (true, false) => {
            Reply::Stream(if after(request) == 0 { entry(0, "stdout", "first\n").into() } else { Vec::new() })
        }
        (true, true) => {
            Reply::Stream(if after(request) == 0 { entry(0, "stdout", "second\n").into() } else { Vec::new() })
        }
        (false, _) => match before {
            0 => with_attempt("queued", None, 0),
            1 => with_attempt("running", None, 1),
            2..=6 => with_attempt("queued", None, 1),
            7..=9 => with_attempt("running", None, 2),
            _ => with_attempt("finished", Some("pass"), 2),
        },
    });
    let ran = run(&fake.url, &format!("logs {RUN} -f"));
    assert_eq!((ran.code, ran.out.as_str()), (0, "first\nsecond\n"), "{}", ran.err);
    assert!(ran.err.contains("attempt 2 begins"), "{}", ran.err);
}

#[test]
fn a_run_without_an_attempt_has_no_log() {
    let fake = Fake::start(|_, _| Reply::Json(200, run_json(RUN, "queued", None)));
    let ran = run(&fake.url, &format!("logs {RUN}"));
    assert_eq!((ran.code, ran.out.as_str(), fake.requests().len()), (0, "", 1));
    assert!(ran.err.contains("no attempt of this run has started"), "{}", ran.err);
    assert_eq!(run(&fake.url, &format!("logs {RUN} -o json")).out, "[]\n");
}

#[test]
fn streams_tails_times_and_entries() {
    let fake = Fake::start(|request, _| match is_log(request) {
        false => Reply::Json(200, run_json(RUN, "finished", Some("pass"))),
        true => Reply::Stream([entry(0, "stdout", "a\nb\n"), entry(1, "stderr", "\u{1b}[2Jc\n")].concat().into()),
    });
    let logs = |flags: &str| run(&fake.url, &format!("logs {RUN} {flags}")).out;
    assert_eq!(logs(""), "a\nb\n\u{1b}[2Jc\n", "what is piped is what was written");
    assert_eq!(logs("--tail 2"), "b\n\u{1b}[2Jc\n");
    assert_eq!(logs("--tail 1 --timestamps"), "2026-03-01T10:00:00.000Z \u{1b}[2Jc\n");
    assert_eq!(logs("--tail 1 -f"), "\u{1b}[2Jc\n");
    assert_eq!(logs("-o jsonl").lines().count(), 2);
    assert_eq!(serde_json::from_str::<Vec<Value>>(&logs("-o json")).unwrap()[1]["stream"], "stderr");
    logs("--stream stderr --attempt 1");
    assert_eq!(fake.requests().last().unwrap().query, "attempt=1&stream=stderr");
    // The server looks for the last lines; as many as it does not look for are found here.
    logs("--tail 2");
    assert_eq!(fake.requests().last().unwrap().query, "attempt=1&tail=2");
    assert_eq!(logs("--tail 10001"), "a\nb\n\u{1b}[2Jc\n");
    assert_eq!(fake.requests().last().unwrap().query, "attempt=1");
}

#[test]
fn a_cut_is_told_where_it_is_and_what_is_wrong_with_a_log_at_its_end() {
    let reply = |log: Value| {
        move |request: &Request, _| match is_log(request) {
            false => {
                let mut run = run_json(RUN, "finished", Some("pass"));
                run["log"] = log.clone();
                Reply::Json(200, run)
            }
            true => {
                let cut = json!({"seq": 1, "time": "2026-03-01T10:00:00Z", "stream": "stdout", "cut_bytes": 7, "data": "b\n"});
                Reply::Stream(format!("{}{cut}\n", entry(0, "stdout", "a\n")).into())
            }
        }
    };
    let cuts = json!([{"stream": "stdout", "offset": 2, "bytes": 7}, {"stream": "stderr", "offset": 5, "bytes": 3}]);
    let fake = Fake::start(reply(json!({"status": "truncated", "bytes": 9, "dropped_bytes": 10, "cuts": cuts})));
    let ran = run(&fake.url, &format!("logs {RUN}"));
    assert_eq!((ran.code, ran.out.as_str()), (0, "a\nb\n"));
    assert_eq!(
        ran.err,
        "7 bytes of stdout were taken out here: the log passed its limit\n\
         the log passed its limit: 3 bytes of stderr were taken out at its byte 5\n"
    );
    let ran = run(&fake.url, &format!("logs {RUN} -o jsonl"));
    assert!(ran.out.contains("\"cut_bytes\":7"), "{}", ran.out);
    let altered = json!({"status": "incomplete", "bytes": 4, "dropped_bytes": 0, "message": "it was altered"});
    let fake = Fake::start(reply(altered));
    let ran = run(&fake.url, &format!("logs {RUN}"));
    assert!(ran.err.ends_with("the log is incomplete: it was altered\n"), "{}", ran.err);
}
