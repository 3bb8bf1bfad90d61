//! Quarantine on a real PostgreSQL: what an entry needs, what it does, and when it does nothing.

use serde_json::json;
use tstr_api::auth::Caller;
use tstr_api::turns;
use tstr_proto::convert::read_document;
use tstr_proto::v1 as pb;
use tstr_shared::analysis::quarantine::{MAX_ENTRIES, Mode, PutQuarantine, QuarantineEntry, Ruling};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunId;
use tstr_shared::lease::Fence;
use tstr_shared::page::PageRequest;
use tstr_shared::permission::Scope;
use tstr_shared::report::{CaseId, CaseStatus};
use tstr_shared::results::{CaseFilter, NamedCase, SKIP_CASES};
use tstr_shared::run::{RetryRun, RunResult};
use tstr_tests::contract::{Worker, default, outcome};
use tstr_tests::worker;
use tstr_tests::{Lab, Stack, factory};
use uuid::Uuid;

use crate::grpc::Peer;
use crate::reports::{JUNIT, cases, names, results, running};

fn mute() -> PutQuarantine {
    PutQuarantine { mode: Mode::Mute, owner: "ada".into(), reason: "flaky".into(), until: None, days: Some(14) }
}

fn failed() -> CaseFilter {
    CaseFilter { statuses: vec![CaseStatus::Fail, CaseStatus::Error], ..CaseFilter::default() }
}

async fn put(lab: &Lab, test: &str, case: CaseId, new: PutQuarantine) -> Result<QuarantineEntry, ErrorCode> {
    let put = lab.ops().put_quarantine(&lab.admin, &default(), test, case, new).await;
    put.map_err(|error| error.code())
}

async fn listed(lab: &Lab, test: &str, in_force: Option<bool>) -> Vec<QuarantineEntry> {
    let page = PageRequest { size: 1000, token: String::new() };
    lab.ops().list_quarantine(&lab.admin, &default(), test, in_force, page).await.unwrap().items
}

/// Makes a run whose report has failures; returns it with its test and the cases that failed.
async fn with_failures(lab: &Lab, worker: &Worker) -> (RunId, String, Vec<CaseId>) {
    let fence = running(lab, worker, &[]).await;
    worker.end_with(fence, RunResult::Fail, &[("a.xml", JUNIT)]).await;
    let test = lab.get(fence.run_id).await.test_name;
    let failed = cases(lab, fence.run_id, failed()).await.into_iter().map(|case| case.case_id).collect();
    (fence.run_id, test, failed)
}

async fn again(lab: &Lab, worker: &Worker, run: RunId) -> Fence {
    let again = lab.ops().retry_run(&lab.admin, run, RetryRun::default(), None).await.unwrap().run;
    let fence = worker.started().await;
    assert_eq!(fence.run_id, again.id);
    fence
}

#[tokio::test]
async fn muted_cases_do_not_fail_a_run_and_are_shown() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let (first, test, bad) = with_failures(&lab, &worker).await;
    for case in &bad {
        let entry = put(&lab, &test, *case, mute()).await.unwrap();
        assert!(entry.in_force && entry.created_by.starts_with("token:"), "{entry:?}");
        assert_eq!((entry.until - entry.from).num_days(), 14);
    }
    let fence = again(&lab, &worker, first).await;
    let ruled = worker.end_with(fence, RunResult::Fail, &[("a.xml", JUNIT)]).await;
    assert_eq!(ruled.result, RunResult::Pass);
    assert_eq!(ruled.message.as_deref(), Some("2 cases failed, all of them muted"));
    let counts = results(&lab, fence.run_id).await.cases.unwrap();
    assert_eq!((counts.failed, counts.errors, counts.muted), (1, 1, 2));
    let shown = cases(&lab, fence.run_id, failed()).await;
    assert!(shown.len() == 2 && shown.iter().all(|case| case.muted), "{shown:?}");
    // One more failure is one that counts.
    let fence = again(&lab, &worker, first).await;
    let worse = JUNIT.replace(r#"name="adds" time="0.25"/>"#, r#"name="adds"><failure/></testcase>"#);
    assert_eq!(worker.end_with(fence, RunResult::Fail, &[("a.xml", &worse)]).await.result, RunResult::Fail);
    assert_eq!(results(&lab, fence.run_id).await.cases.unwrap().muted, 2);
    // And without one of the entries the first failures count again.
    lab.ops().delete_quarantine(&lab.admin, &default(), &test, bad[0]).await.unwrap();
    let fence = again(&lab, &worker, first).await;
    assert_eq!(worker.end_with(fence, RunResult::Fail, &[("a.xml", JUNIT)]).await.result, RunResult::Fail);
    assert_eq!(results(&lab, fence.run_id).await.ruling, Some(Ruling::NotMuted));
    lab.check().await;
}

#[tokio::test]
async fn an_entry_that_has_ended_does_nothing_and_stays_in_the_list() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let (first, test, bad) = with_failures(&lab, &worker).await;
    for case in &bad {
        put(&lab, &test, *case, mute()).await.unwrap();
    }
    let statement = "UPDATE quarantine SET since = now() - interval '2 days', until = now() - interval '1 day'
                     WHERE case_id = $1::uuid";
    assert_eq!(lab.sql(statement, RunId(bad[0].0)).await, 1);
    let fence = again(&lab, &worker, first).await;
    assert_eq!(worker.end_with(fence, RunResult::Fail, &[("a.xml", JUNIT)]).await.result, RunResult::Fail);
    let muted = cases(&lab, fence.run_id, failed()).await.into_iter().filter(|case| case.muted);
    assert_eq!(muted.map(|case| case.case_id).collect::<Vec<_>>(), [bad[1]]);

    let ids = |entries: Vec<QuarantineEntry>| entries.into_iter().map(|entry| entry.case_id).collect::<Vec<_>>();
    assert_eq!(ids(listed(&lab, &test, None).await), [bad[1], bad[0]], "the newest first");
    assert_eq!(ids(listed(&lab, &test, Some(true)).await), [bad[1]]);
    assert_eq!(ids(listed(&lab, &test, Some(false)).await), [bad[0]]);
    // Adding it again renews it.
    assert!(put(&lab, &test, bad[0], mute()).await.unwrap().in_force);
    let fence = again(&lab, &worker, first).await;
    assert_eq!(worker.end_with(fence, RunResult::Fail, &[("a.xml", JUNIT)]).await.result, RunResult::Pass);
    assert_eq!(listed(&lab, &test, None).await.len(), 2);
}

#[tokio::test]
async fn a_case_that_is_to_be_skipped_and_fails_counts() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let (first, test, bad) = with_failures(&lab, &worker).await;
    for case in &bad {
        put(&lab, &test, *case, PutQuarantine { mode: Mode::Skip, ..mute() }).await.unwrap();
    }
    let fence = again(&lab, &worker, first).await;
    assert_eq!(worker.end_with(fence, RunResult::Fail, &[("a.xml", JUNIT)]).await.result, RunResult::Fail);
}

#[tokio::test]
async fn the_container_is_told_what_it_is_not_to_run() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let (first, test, bad) = with_failures(&lab, &worker).await;
    let named = async || {
        lab.ops().retry_run(&lab.admin, first, RetryRun::default(), None).await.unwrap();
        let claim = Uuid::new_v4();
        let run = worker.claim_as(claim, 1).await.remove(0);
        // A claim that is repeated tells the same.
        assert_eq!(worker.claim_again(claim).await[0].run_config, run.run_config);
        worker.start(run.fence).await.unwrap();
        worker.finish(run.fence, RunResult::Pass).await.unwrap();
        let text = run.run_config.env.get(SKIP_CASES).map(str::to_owned)?;
        let cases: Vec<NamedCase> = serde_json::from_str(&text).unwrap();
        Some(cases.into_iter().map(|case| (case.id, case.key.name)).collect::<Vec<_>>())
    };
    turns::refresh_skips(lab.ops()).await.unwrap();
    assert_eq!(named().await, None);
    put(&lab, &test, bad[0], PutQuarantine { mode: Mode::Skip, ..mute() }).await.unwrap();
    put(&lab, &test, bad[1], mute()).await.unwrap();
    turns::refresh_skips(lab.ops()).await.unwrap();
    assert_eq!(named().await, Some(vec![(bad[0], "removes".to_owned())]));
    // It is no matter of other tests, nor of runs that are stored.
    let fence = running(&lab, &worker, &[]).await;
    let other = lab.get(fence.run_id).await;
    assert_eq!(other.run_config.env.get(SKIP_CASES), None);
    worker.finish(fence, RunResult::Pass).await.unwrap();
    lab.sql("UPDATE quarantine SET until = now() WHERE case_id = $1", RunId(bad[0].0)).await;
    turns::refresh_skips(lab.ops()).await.unwrap();
    assert_eq!(named().await, None);
}

#[tokio::test]
async fn where_the_list_cannot_be_read_failures_count() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let (first, test, bad) = with_failures(&lab, &worker).await;
    for case in &bad {
        put(&lab, &test, *case, mute()).await.unwrap();
    }
    let fence = again(&lab, &worker, first).await;
    worker.leave(fence, &[("a.xml", JUNIT)]).await;
    lab.execute("ALTER TABLE quarantine RENAME TO away").await.unwrap();
    assert!(worker.ruled(fence, outcome(RunResult::Fail)).await.is_err(), "nothing is told without the list");
    worker.finish(fence, RunResult::Fail).await.unwrap();
    lab.execute("ALTER TABLE away RENAME TO quarantine").await.unwrap();
    assert_eq!(lab.get(fence.run_id).await.result, Some(RunResult::Fail));
    lab.check().await;
}

#[tokio::test]
async fn a_request_names_what_it_lacks_and_only_cases_of_the_test_are_taken() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let (_, test, bad) = with_failures(&lab, &worker).await;
    let (_, other, others) = with_failures(&lab, &worker).await;
    let faults = async |new: PutQuarantine| {
        let refused = lab.ops().put_quarantine(&lab.admin, &default(), &test, bad[0], new).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Invalid);
        refused.errors().iter().map(|fault| fault.pointer.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        faults(PutQuarantine { owner: String::new(), reason: " ".into(), ..mute() }).await,
        ["/owner", "/reason"]
    );
    assert_eq!(faults(PutQuarantine { days: Some(181), ..mute() }).await, ["/days"]);
    assert_eq!(faults(PutQuarantine { days: None, ..mute() }).await, ["/until"]);
    let past = "2026-01-01T00:00:00Z".parse().ok();
    assert_eq!(faults(PutQuarantine { days: None, until: past, ..mute() }).await, ["/until"]);

    for (test, case) in
        [(&test, CaseId(Uuid::new_v4())), (&test, others[0]), (&other, bad[0]), (&"none".into(), bad[0])]
    {
        assert_eq!(put(&lab, test, case, mute()).await.err(), Some(ErrorCode::NotFound), "{test} {case}");
    }
    let gone = lab.ops().delete_quarantine(&lab.admin, &default(), &test, bad[0]).await;
    assert_eq!(gone.unwrap_err().code(), ErrorCode::NotFound);
    lab.namespace("elsewhere").await;
    let stranger = lab.caller(&[Scope::Control], &["elsewhere"]);
    let reader = lab.caller(&[Scope::Data], &["default"]);
    let code = async |caller: &Caller| {
        let put = lab.ops().put_quarantine(caller, &default(), &test, bad[0], mute()).await;
        put.unwrap_err().code()
    };
    assert_eq!((code(&stranger).await, code(&reader).await), (ErrorCode::NotFound, ErrorCode::Forbidden));
    assert!(listed(&lab, &test, None).await.is_empty());
}

#[tokio::test]
async fn a_list_has_an_end_and_its_pages_hold_each_entry_once() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let fence = running(&lab, &worker, &[]).await;
    let many: String = (0..=MAX_ENTRIES).map(|n| format!("<testcase classname='C' name='n{n:04}'/>")).collect();
    worker.end_with(fence, RunResult::Pass, &[("a.xml", &format!("<testsuite>{many}</testsuite>"))]).await;
    let test = lab.get(fence.run_id).await;
    let statement = "INSERT INTO quarantine (test_id, case_id, ns_id, mode, owner, reason, until, created_by)
                     SELECT test_id, case_id, ns_id, 'mute', 'a', 'b', now() + interval '1 day', 'x'
                     FROM case_key WHERE test_id = $1 AND name <> 'n0000'";
    assert_eq!(lab.sql(statement, RunId(test.test_id.0)).await, MAX_ENTRIES as u64);
    let find = async |text: &str| {
        let filter = CaseFilter { text: Some(text.to_owned()), ..CaseFilter::default() };
        cases(&lab, fence.run_id, filter).await[0].case_id
    };
    assert_eq!(put(&lab, &test.test_name, find("n0000").await, mute()).await.err(), Some(ErrorCode::QuotaExceeded));
    put(&lab, &test.test_name, find("n0007").await, mute()).await.expect("one that is there is replaced");

    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = PageRequest { size: 300, token };
        let page = lab.ops().list_quarantine(&lab.admin, &default(), &test.test_name, None, page).await.unwrap();
        assert!(page.items.len() <= 300);
        seen.extend(page.items.into_iter().map(|entry| entry.case_id));
        let Some(next) = page.next_page_token else { break };
        token = next;
    }
    assert_eq!((seen.len(), seen[0]), (MAX_ENTRIES, find("n0007").await));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), MAX_ENTRIES);
    assert_eq!(names(&cases(&lab, fence.run_id, failed()).await), [""; 0]);
}

#[tokio::test]
async fn json_and_grpc_tell_the_same_of_an_entry() {
    let stack = Stack::start().await;
    let (admin, peer) = (stack.admin(), Peer::admin(&stack).await);
    admin.register(&factory::test("a")).await;
    let worker = worker::Worker::register(&stack, 0, "w").await;
    let run = admin.trigger("a").await.remove(0);
    let fence = worker.running().await;
    worker.end_with(fence, RunResult::Fail, &[("a.xml", JUNIT)]).await;
    let cases = admin.get(&format!("/api/v1/runs/{run}/cases?status=fail")).await.expect(200);
    let case_id = cases["items"][0]["case_id"].as_str().unwrap().to_owned();
    let list = "/api/v1/namespaces/default/tests/a/quarantine";
    let one = format!("{list}/{case_id}");
    admin.put(&one, &json!({"owner": "a", "reason": "b", "days": 0})).await.refused(422, "invalid");
    admin.put(&one, &json!({"owner": "a", "reason": "b", "weeks": 1})).await.refused(422, "invalid");
    admin
        .put(&format!("{list}/nonsense"), &json!({"owner": "a", "reason": "b", "days": 1}))
        .await
        .refused(404, "not_found");

    let (namespace, test) = ("default".to_owned(), "a".to_owned());
    let fields = json!({"owner": "ada", "reason": "ü", "days": 3, "mode": "skip"});
    let serde_json::Value::Object(fields) = fields else { panic!("an object") };
    let asked = pb::PutQuarantineRequest {
        namespace: namespace.clone(),
        test: test.clone(),
        case_id: case_id.clone(),
        entry: Some(tstr_proto::convert::structure(fields)),
    };
    let answer = peer.control().put_quarantine(asked).await.unwrap().into_inner();
    let told: QuarantineEntry = read_document("/entry", answer.entry.unwrap()).unwrap();
    assert_eq!((told.mode, told.owner.as_str(), told.key.name.as_str()), (Mode::Skip, "ada", "removes"));
    let listed = admin.get(&format!("{list}?in_force=true")).await.expect(200);
    assert_eq!(listed["items"], json!([told]));
    let asked = pb::ListQuarantineRequest { namespace: namespace.clone(), test: test.clone(), ..Default::default() };
    let mut answer = peer.data().list_quarantine(asked).await.unwrap().into_inner();
    assert_eq!(read_document::<QuarantineEntry>("/e", answer.entries.remove(0)).unwrap(), told);
    let asked = pb::DeleteQuarantineRequest { namespace, test, case_id };
    peer.control().delete_quarantine(asked).await.unwrap();
    assert_eq!(admin.get(list).await.expect(200)["items"], json!([]));
    admin.delete(&one).await.refused(404, "not_found");
}
