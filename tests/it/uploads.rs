//! Results that were made elsewhere, on a real PostgreSQL: a report becomes a run that has ended, or nothing does.

use std::time::Duration;

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use futures_util::stream;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tstr_api::error::Error;
use tstr_api::ops::IdempotencyKey;
use tstr_api::turns;
use tstr_proto::v1 as pb;
use tstr_shared::analysis::quarantine::{Mode, PutQuarantine};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunId;
use tstr_shared::namespace::{Namespace, NamespaceSettings, Retention};
use tstr_shared::page::PageRequest;
use tstr_shared::permission::Scope;
use tstr_shared::results::{CaseCounts, CaseFilter, MAX_UPLOAD, Upload};
use tstr_shared::run::{Reason, Run, RunFilter, RunResult, RunState, Trigger};
use tstr_shared::summary::SummaryFilter;
use tstr_tests::contract::default;
use tstr_tests::{Lab, Stack, eventually, factory};

use crate::grpc::Peer;
use crate::reports::{GOOD, JUNIT, cases, names, results};

const RESULTS: &str = "/api/v1/namespaces/default/tests/a/results";

async fn upload_as(lab: &Lab, upload: Upload, key: Option<&str>, report: &str) -> Result<Run, Error> {
    let key = key.and_then(|key| IdempotencyKey::parse(key).ok());
    // In pieces that end where nothing ends.
    let pieces: Vec<_> = report.as_bytes().chunks(777).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    lab.ops().upload_results(&lab.admin, &default(), "a", upload, key, stream::iter(pieces)).await
}

async fn upload(lab: &Lab, upload: Upload, report: &str) -> Run {
    upload_as(lab, upload, None, report).await.unwrap()
}

/// Returns the places of the faults of an upload that is refused.
async fn faults(lab: &Lab, upload: Upload, report: &str) -> Vec<String> {
    let refused = upload_as(lab, upload, None, report).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Invalid, "{refused:?}");
    refused.errors().iter().map(|fault| fault.pointer.clone()).collect()
}

async fn stored(lab: &Lab) -> Vec<Run> {
    let page = PageRequest { size: 100, token: String::new() };
    lab.ops().list_runs(&lab.admin, &default(), RunFilter::default(), page).await.unwrap().items
}

/// Fails when anything of a run is stored.
async fn nothing_is_stored(lab: &Lab) {
    assert!(stored(lab).await.is_empty());
    for table in
        ["run", "run_end", "run_event", "report", "report_case", "judged", "undigested", "usage_delta", "idempotency"]
    {
        let query = format!("SELECT to_jsonb(count(*)) FROM {table} WHERE $1::uuid IS NOT NULL");
        let count = lab.value(&query, RunId(uuid::Uuid::nil())).await;
        assert_eq!(count, json!(0), "{table}");
    }
}

#[tokio::test]
async fn a_report_becomes_a_run_that_has_finished() {
    let lab = Lab::start().await;
    lab.test(factory::with(factory::test("a"), "/labels/team", json!("web"))).await;
    let said = Upload {
        revision: Some("4f2a".into()),
        name: Some("TEST-shop.xml".into()),
        labels: [("host", "ci-7")].into_iter().collect(),
        ..Upload::default()
    };
    let run = upload(&lab, said, JUNIT).await;
    assert_eq!((run.state, run.result, run.trigger), (RunState::Finished, Some(RunResult::Fail), Trigger::Upload));
    assert_eq!((run.attempt, run.attempts.len(), run.runner_id, run.exit_code), (1, 0, None, None));
    assert_eq!(run.message.as_deref(), Some("2 of 5 cases failed"));
    assert_eq!(
        (run.image_digest.as_deref(), run.labels.text().as_str()),
        (Some("revision:4f2a"), "host=ci-7,team=web")
    );
    let counts = CaseCounts { cases: 5, passed: 2, failed: 1, errors: 1, skipped: 1, flaky: 1, muted: 0 };
    assert_eq!(run.cases, Some(counts));
    assert!(run.started_at <= run.finished_at && run.finished_at.unwrap() <= Utc::now());
    assert_eq!(lab.path(run.id).await, "QF");
    let events = lab.ops().run_events(&lab.admin, run.id).await.unwrap();
    assert!(events.iter().all(|event| event.actor.starts_with("token:")), "{events:?}");
    let told = results(&lab, run.id).await;
    assert_eq!((told.attempt, told.reports[0].path.as_str(), told.cases), (1, "TEST-shop.xml", Some(counts)));
    let all = cases(&lab, run.id, CaseFilter::default()).await;
    assert_eq!(names(&all), ["adds", "removes", "crashes", "waits", "wobbles"]);
    assert_eq!(stored(&lab).await, [Run { attempts: Vec::new(), ..lab.get(run.id).await }]);
    assert_eq!(lab.cancel(run.id).await, Err(ErrorCode::Conflict));
    lab.ops().explain_run(&lab.admin, run.id).await.unwrap();

    let good = upload(&lab, Upload::default(), GOOD).await;
    assert_eq!((good.result, good.message.as_deref()), (Some(RunResult::Pass), None));
    assert_eq!(results(&lab, good.id).await.reports[0].path, "report.xml");
    // The summary counts both.
    while turns::digest(lab.ops()).await.unwrap() > 0 {}
    let summary = lab.ops().get_summary(&lab.admin, &default(), SummaryFilter::default()).await.unwrap();
    let counts = serde_json::to_value(&summary).unwrap();
    let text = counts.to_string();
    assert!(text.contains(r#""pass":1"#) && text.contains(r#""fail":1"#), "{text}");
    turns::fold_usage(lab.ops()).await.unwrap();
    assert_eq!(lab.ops().get_namespace(&lab.admin, &default()).await.unwrap().usage.runs, 2);
    lab.check().await;
}

#[tokio::test]
async fn the_result_is_ruled_as_that_of_a_container_is() {
    let lab = Lab::start().await;
    lab.test(factory::test("a")).await;
    let failed = Upload { result: Some(RunResult::Fail), ..Upload::default() };
    assert_eq!(upload(&lab, failed.clone(), GOOD).await.result, Some(RunResult::Fail));
    let passed = Upload { result: Some(RunResult::Pass), ..Upload::default() };
    let run = upload(&lab, passed, JUNIT).await;
    assert_eq!(run.result, Some(RunResult::Fail));
    for case in cases(&lab, run.id, CaseFilter::default()).await.into_iter().filter(|case| case.status.is_failure()) {
        let (owner, reason) = ("ada".to_owned(), "flaky".to_owned());
        let new = PutQuarantine { mode: Mode::Mute, owner, reason, until: None, days: Some(1) };
        lab.ops().put_quarantine(&lab.admin, &default(), "a", case.case_id, new).await.unwrap();
    }
    let run = upload(&lab, Upload::default(), JUNIT).await;
    assert_eq!((run.result, run.cases.unwrap().muted), (Some(RunResult::Pass), 2));
    assert_eq!(upload(&lab, failed, JUNIT).await.result, Some(RunResult::Pass));
    // A report that was torn before it was uploaded says nothing certain.
    let torn = upload(&lab, Upload::default(), &GOOD[..GOOD.len() - 20]).await;
    assert_eq!((torn.result, torn.reason), (Some(RunResult::Error), Some(Reason::ReportInvalid)));
    assert!(torn.message.unwrap().contains("is not whole"));
    // It can be made again by a container, like any run.
    let again = lab.ops().retry_run(&lab.admin, run.id, Default::default(), None).await.unwrap();
    assert_eq!((again.run.state, again.run.trigger), (RunState::Queued, Trigger::Retry));
    lab.check().await;
}

#[tokio::test]
async fn a_format_is_found_by_name_or_by_first_bytes_and_another_is_named() {
    let lab = Lab::start().await;
    lab.test(factory::test("a")).await;
    let named = |name: &str| Upload { name: Some(name.to_owned()), ..Upload::default() };
    let tap = "TAP version 14\n1..2\nok 1 - first\nnot ok 2 - second\n";
    for (said, report, path) in [
        (named("out/x.tap"), tap, "out/x.tap"),
        (named("x.log"), tap, "x.log"),
        (Upload::default(), tap, "report.tap"),
        (named("x"), JUNIT, "x"),
    ] {
        let run = upload(&lab, said, report).await;
        assert_eq!((run.result, results(&lab, run.id).await.reports[0].path.as_str()), (Some(RunResult::Fail), path));
    }
    let before = stored(&lab).await.len();
    for (said, report, says) in [
        (named("notes.txt"), "so it was", "'notes.txt' is neither JUnit XML nor CTRF nor TAP"),
        (Upload::default(), "<html></html>", "the report is neither"),
        (Upload::default(), "", "the report is neither"),
        (named("a.json"), "{}", "'a.json' is neither"),
    ] {
        let refused = upload_as(&lab, said, None, report).await.unwrap_err();
        assert!(refused.code() == ErrorCode::Invalid && refused.errors()[0].detail.contains(says), "{refused:?}");
    }
    assert_eq!(stored(&lab).await.len(), before);
    assert_eq!(faults(&lab, named("../a.xml"), GOOD).await, ["/name"]);
}

#[tokio::test]
async fn a_cell_is_one_of_the_test_and_times_are_within_what_is_kept() {
    let lab = Lab::start().await;
    lab.test(factory::with(factory::test("a"), "/matrix/labels/os", json!(["linux", "bsd"]))).await;
    let of = |labels: &[(&str, &str)]| Upload { cell: labels.iter().copied().collect(), ..Upload::default() };
    let run = upload(&lab, of(&[("os", "bsd")]), GOOD).await;
    assert_eq!((run.cell.text(), run.labels.text()), ("os=bsd".to_owned(), "os=bsd".to_owned()));
    for cell in [&[][..], &[("os", "mac")], &[("os", "bsd"), ("x", "y")]] {
        assert_eq!(faults(&lab, of(cell), GOOD).await, ["/cell"]);
    }
    let set =
        |old: NamespaceSettings| NamespaceSettings { retention: Retention { runs_days: 30, logs_days: 7 }, ..old };
    lab.ops().update_namespace(&lab.admin, &default(), set).await.unwrap();
    let ago = |days: i64| Some(Utc::now() - TimeDelta::days(days));
    let at = |started_at, finished_at| Upload { started_at, finished_at, ..of(&[("os", "linux")]) };
    for (said, place) in [
        (at(None, ago(31)), "/finished_at"),
        (at(ago(31), ago(1)), "/started_at"),
        (at(None, ago(-1)), "/finished_at"),
        (at(ago(1), ago(2)), "/started_at"),
    ] {
        assert_eq!(faults(&lab, said, GOOD).await, [place]);
    }
    let (began, ended) = (ago(20), ago(19));
    let run = upload(&lab, at(began, ended), GOOD).await;
    let millis = |at: Option<chrono::DateTime<Utc>>| at.map(|at| at.timestamp_millis());
    assert_eq!((millis(run.started_at), millis(run.finished_at)), (millis(began), millis(ended)));
    assert_eq!(millis(Some(run.id.time())), millis(began), "it stands where it began");
    assert!(run.created_at > Utc::now() - TimeDelta::minutes(5));
    assert_eq!(stored(&lab).await.last().unwrap().id, run.id, "the oldest");
    // What the report says of its duration is believed, or else of its cases.
    for (report, seconds) in [
        (GOOD.replace("<testcase", r#"<testcase time="45""#), 90),
        (format!(r#"<testsuites time="5">{GOOD}</testsuites>"#), 5),
        (format!(r#"<testsuites time="999999">{GOOD}</testsuites>"#), 0),
    ] {
        let run = upload(&lab, at(None, ended), &report).await;
        assert_eq!((run.finished_at.unwrap() - run.started_at.unwrap()).num_seconds(), seconds, "{report}");
    }
    lab.check().await;
}

#[tokio::test]
async fn what_breaks_off_or_is_too_large_leaves_nothing() {
    let lab = Lab::start().await;
    lab.test(factory::test("a")).await;
    let half = Bytes::copy_from_slice(&JUNIT.as_bytes()[..300]);
    let broken = stream::iter([Ok(half), Err(Error::malformed("the body ended before its time"))]);
    let refused = lab.ops().upload_results(&lab.admin, &default(), "a", Upload::default(), None, broken).await;
    assert_eq!(refused.unwrap_err().code(), ErrorCode::Malformed);
    let piece = Bytes::from(vec![b' '; 1 << 20]);
    let pieces = (0..=MAX_UPLOAD.0 >> 20).map(|_| Ok(piece.clone())).collect::<Vec<_>>();
    let large =
        lab.ops().upload_results(&lab.admin, &default(), "a", Upload::default(), None, stream::iter(pieces)).await;
    assert_eq!(large.unwrap_err().code(), ErrorCode::TooLarge);
    nothing_is_stored(&lab).await;
}

#[tokio::test]
async fn many_cases_are_read_piece_by_piece() {
    let lab = Lab::start().await;
    lab.test(factory::test("a")).await;
    let many: String = (0..20_000).map(|n| format!("<testcase classname='C{}' name='n{n}'/>\n", n % 97)).collect();
    let run = upload(&lab, Upload::default(), &format!("<testsuite name='s'>{many}</testsuite>")).await;
    assert_eq!((run.result, run.cases.unwrap().cases), (Some(RunResult::Pass), 20_000));
    lab.check().await;
}

#[tokio::test]
async fn a_key_stores_a_report_once_and_who_may_not_learns_nothing() {
    let lab = Lab::start().await;
    lab.test(factory::test("a")).await;
    let once = upload_as(&lab, Upload::default(), Some("k"), GOOD).await.unwrap();
    assert_eq!(upload_as(&lab, Upload::default(), Some("k"), GOOD).await.unwrap(), once);
    let other = upload_as(&lab, Upload::default(), Some("k"), JUNIT).await.unwrap_err();
    assert_eq!(other.code(), ErrorCode::IdempotencyMismatch);
    assert_eq!(stored(&lab).await.len(), 1);
    // No quota of waiting runs is in the way.
    lab.quotas(Some(0), Some(0)).await;
    upload(&lab, Upload::default(), GOOD).await;

    lab.namespace("elsewhere").await;
    let (stranger, reader) = (lab.caller(&[Scope::Control], &["elsewhere"]), lab.caller(&[Scope::Data], &["default"]));
    let elsewhere = Namespace::parse("elsewhere").unwrap();
    for (caller, ns, code) in [
        (&stranger, &default(), ErrorCode::NotFound),
        (&reader, &default(), ErrorCode::Forbidden),
        (&stranger, &elsewhere, ErrorCode::NotFound),
    ] {
        let pieces = stream::iter([Ok(Bytes::from_static(GOOD.as_bytes()))]);
        let refused = lab.ops().upload_results(caller, ns, "a", Upload::default(), None, pieces).await;
        assert_eq!(refused.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn over_http_and_grpc_a_report_is_taken_and_a_broken_connection_leaves_nothing() {
    let stack = Stack::start().await;
    let (admin, peer) = (stack.admin(), Peer::admin(&stack).await);
    admin.register(&factory::test("a")).await;
    let send = async |query: &str, kind: &str, body: &str| {
        let request = admin.request(Method::POST, &format!("{RESULTS}{query}"));
        admin.send(request.header("content-type", kind).body(body.to_owned())).await
    };
    // The connection breaks in the middle of the body.
    let address = stack.url(0).replace("http://", "");
    let mut socket = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST {RESULTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{}",
        stack.admin_token(),
        JUNIT.len(),
        &JUNIT[..JUNIT.len() / 2]
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    // And in the middle of a chunk.
    let mut socket = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST {RESULTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/xml\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{}",
        stack.admin_token(),
        &JUNIT[..30]
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    drop(socket);
    let runs = || async { admin.get("/api/v1/namespaces/default/runs").await.expect(200)["items"].clone() };

    send("", "image/png", GOOD).await.refused(415, "unsupported_media_type");
    send("?cell=os", "text/plain", GOOD).await.refused(422, "invalid");
    send("?colour=red", "text/plain", GOOD).await.refused(422, "invalid");
    send("?result=error", "text/plain", GOOD).await.refused(422, "invalid");
    let problem = send("?name=x.bin", "application/octet-stream", "\u{1}\u{2}").await.refused(422, "invalid");
    assert!(problem["errors"][0]["detail"].as_str().unwrap().contains("'x.bin' is neither"), "{problem}");
    assert_eq!(runs().await, json!([]));

    let answer = send("?name=a.xml&revision=r1&cell=os%3Dlinux", "application/xml", JUNIT).await;
    let run = answer.expect(201);
    assert_eq!(answer.header("location"), format!("/api/v1/runs/{}", run["id"].as_str().unwrap()));
    assert_eq!(
        (&run["result"], &run["trigger"], &run["cell"]),
        (&json!("fail"), &json!("upload"), &json!({"os": "linux"}))
    );
    assert_eq!(run["cases"]["cases"], 5);

    let (head, tail) = JUNIT.split_at(JUNIT.len() / 3);
    let first = pb::UploadResultsRequest {
        namespace: "default".into(),
        test: "a".into(),
        data: head.into(),
        revision: "r2".into(),
        ..Default::default()
    };
    let rest = pb::UploadResultsRequest { data: tail.into(), ..Default::default() };
    let made = peer.control().upload_results(stream::iter([first, rest])).await.unwrap().into_inner().run.unwrap();
    assert_eq!((made.result(), made.trigger.as_str()), (pb::RunResult::Fail, "upload"));
    assert_eq!(made.image_digest, "revision:r2");
    let seen: Value = eventually("both are listed", Duration::from_secs(5), async || {
        let listed = runs().await;
        listed.as_array().unwrap().iter().any(|run| run["id"] == made.id.as_str()).then_some(listed)
    })
    .await;
    assert!(seen.as_array().unwrap().iter().all(|run| run["trigger"] == "upload"));
}
