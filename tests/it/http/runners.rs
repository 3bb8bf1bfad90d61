//! Runners: who is listed, drain and resume.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tstr_shared::permission::Scope;
use tstr_shared::runner::Unfit;
use tstr_shared::selector::SelectorSources;
use tstr_tests::worker::Worker;
use tstr_tests::{Stack, factory};

use super::{NOBODY, each, foreigner};

const RUNNERS: &str = "/api/v1/namespaces/default/runners";

#[tokio::test]
async fn a_runner_is_listed_where_it_serves_with_what_it_takes() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    stack.namespace("other").await;
    let selectors = SelectorSources {
        accept: [("region".to_owned(), "nyc|sfo".to_owned())].into(),
        reject: [("type".to_owned(), "load".to_owned())].into(),
    };
    let everywhere = Worker::register(&stack, 0, "everywhere").await;
    let here = Worker::register_for(&stack, 0, "here", &["default"], selectors).await;
    Worker::register_for(&stack, 0, "there", &["other"], SelectorSources::default()).await;
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_eq!(sorted(each(&admin.get(RUNNERS).await.expect(200), "name")), ["everywhere", "here"]);
    let others = admin.get("/api/v1/namespaces/other/runners").await.expect(200);
    assert_eq!(sorted(each(&others, "name")), ["everywhere", "there"]);

    let runner = admin.get(&format!("/api/v1/runners/{}", here.id)).await.expect(200);
    assert_eq!(
        (&runner["state"], &runner["draining"], &runner["namespaces"]),
        (&json!("live"), &json!(false), &json!(["default"]))
    );
    assert_eq!((&runner["accept"], &runner["reject"]), (&json!({"region": "nyc|sfo"}), &json!({"type": "load"})));
    assert_eq!((&runner["slots"], &runner["slots_used"]), (&json!(10), &json!(0)));
    // It takes what its selectors say, and its slots are counted.
    admin.register(&factory::with(factory::test("a"), "/labels/region", json!("nyc"))).await;
    admin.register(&factory::with(factory::test("b"), "/labels", json!({"region": "nyc", "type": "load"}))).await;
    admin.trigger("b").await;
    let taken = admin.trigger("a").await.remove(0);
    let claimed = here.claim(5).await;
    assert_eq!(claimed.iter().map(|run| run.fence.run_id.to_string()).collect::<Vec<_>>(), [taken]);
    assert_eq!(admin.get(&format!("/api/v1/runners/{}", here.id)).await.expect(200)["slots_used"], 1);
    assert_eq!(everywhere.claim(5).await.len(), 1);
}

#[tokio::test]
async fn who_does_not_see_all_that_a_runner_serves_cannot_stop_it() {
    let stack = Stack::start().await;
    stack.namespace("other").await;
    let control = stack.person(&[Scope::Control], &["default"]).await;
    let shared = Worker::register(&stack, 0, "shared").await;
    let own = Worker::register_for(&stack, 0, "own", &["default"], SelectorSources::default()).await;
    for verb in ["drain", "resume"] {
        let call = async |id| control.post(&format!("/api/v1/runners/{id}/{verb}"), &json!({})).await;
        call(shared.id).await.refused(403, "forbidden");
        call(own.id).await.expect(200);
    }
    assert_eq!(control.get(&format!("/api/v1/runners/{}", shared.id)).await.expect(200)["draining"], false);
}

#[tokio::test]
async fn a_draining_runner_keeps_what_it_has_and_gets_nothing_until_it_is_resumed() {
    let stack = Stack::start_with(2, |_| {}).await;
    let admin = stack.admin();
    let there = admin.at(stack.url(1));
    admin.register(&factory::test("a")).await;
    let worker = Worker::register(&stack, 0, "w").await;
    admin.trigger("a").await;
    let fence = worker.running().await;
    let path = format!("/api/v1/runners/{}", worker.id);

    let drained = there.send(there.request(Method::POST, &format!("{path}/drain"))).await.expect(200);
    assert_eq!((&drained["state"], &drained["draining"]), (&json!("draining"), &json!(true)));
    admin.trigger("a").await;
    assert!(worker.claim_within(1, Duration::from_millis(300)).await.is_empty());
    let beat = worker.ops.heartbeat(&worker.caller, worker.id, vec![fence], None).await.unwrap();
    assert!(beat.draining && beat.leases.len() == 1);
    worker.finish(fence, tstr_shared::run::RunResult::Pass).await.unwrap();
    assert!(worker.claim(1).await.is_empty());

    // A claim that waits is woken by the resume, made on the other replica.
    let waiting = tokio::spawn({
        let worker = worker.clone();
        async move { worker.claim_within(1, Duration::from_secs(20)).await.len() }
    });
    let resumed = there.post(&format!("{path}/resume"), &json!({})).await.expect(200);
    assert_eq!((&resumed["state"], &resumed["draining"]), (&json!("live"), &json!(false)));
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it is woken").unwrap(), 1);
}

#[tokio::test]
async fn a_runner_that_is_not_fit_is_live_and_says_why_until_it_is_fit_or_begins_anew() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Worker::register(&stack, 0, "w").await;
    let path = format!("/api/v1/runners/{}", worker.id);
    let beat = async |unfit| worker.ops.heartbeat(&worker.caller, worker.id, Vec::new(), unfit).await.map(drop);
    assert!(admin.get(&path).await.expect(200).get("unfit").is_none(), "a fit runner has no such field");
    for unfit in [Unfit::DiskLow, Unfit::Breaker] {
        beat(Some(unfit)).await.unwrap();
        let told = admin.get(&path).await.expect(200);
        assert_eq!((&told["state"], &told["unfit"]), (&json!("live"), &json!(unfit.word())));
    }
    beat(None).await.unwrap();
    assert!(admin.get(&path).await.expect(200).get("unfit").is_none());
    beat(Some(Unfit::Breaker)).await.unwrap();
    worker.register_again(&worker.ops, SelectorSources::default()).await;
    assert!(admin.get(&path).await.expect(200).get("unfit").is_none(), "a worker that starts anew is not judged yet");
}

#[tokio::test]
async fn a_reader_reads_runners_and_drains_none() {
    let stack = Stack::start().await;
    let worker = Worker::register(&stack, 0, "w").await;
    let reader = stack.person(&[Scope::Data], &["default"]).await;
    let path = format!("/api/v1/runners/{}", worker.id);
    assert_eq!(each(&reader.get(RUNNERS).await.expect(200), "name"), ["w"]);
    for verb in ["drain", "resume"] {
        reader.post(&format!("{path}/{verb}"), &json!({})).await.refused(403, "forbidden");
    }
    assert_eq!(reader.get(&path).await.expect(200)["draining"], false);
    // A worker's own token reads nothing of this.
    let runner = tstr_tests::Person::new(stack.url(0), Some(worker.token.clone()));
    runner.get(&path).await.refused(403, "forbidden");
    runner.get(RUNNERS).await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_runner_of_a_foreign_namespace_is_not_found() {
    let stack = Stack::start().await;
    let worker = Worker::register_for(&stack, 0, "w", &["default"], SelectorSources::default()).await;
    let foreigner = foreigner(&stack).await;
    let path = format!("/api/v1/runners/{}", worker.id);
    foreigner.get(RUNNERS).await.refused(404, "not_found");
    foreigner.get(&path).await.refused(404, "not_found");
    foreigner.post(&format!("{path}/drain"), &json!({})).await.refused(404, "not_found");
    foreigner.post(&format!("{path}/resume"), &json!({})).await.refused(404, "not_found");
    let admin = stack.admin();
    for bad in [NOBODY, "w", "%00"] {
        admin.get(&format!("/api/v1/runners/{bad}")).await.refused(404, "not_found");
        admin.post(&format!("/api/v1/runners/{bad}/drain"), &json!({})).await.refused(404, "not_found");
    }
    assert_eq!(admin.get(&format!("{RUNNERS}?state=live")).await.faults(), ["state"]);
    assert_eq!(admin.get(&path).await.expect(200)["draining"], false);
}
