//! Runs that are pinned.

use serde_json::json;
use tstr_shared::error::ErrorCode;
use tstr_shared::logs::Stream;
use tstr_shared::permission::Scope;
use tstr_shared::run::{KeepRun, RetryRun, RunFilter, RunResult};
use tstr_tests::{Ctl, Stack, factory};

use super::*;

async fn keep(lab: &Lab, run: RunId) {
    lab.ops().keep_run(&lab.admin, run, KeepRun::default()).await.expect("keep");
}

#[tokio::test]
async fn a_run_that_is_pinned_outlives_its_day_byte_for_byte() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let ns = namespace(&lab, "other", 90, 30).await;
    let kept = passed(&lab, &worker, &default(), "kept").await;
    let (goes, too) = (passed(&lab, &worker, &default(), "goes").await, passed(&lab, &worker, &ns, "too").await);
    // One with two attempts and two streams.
    let rich = lab.run_of(&[("/retry", json!({"on_fail": 1}))]).await;
    for result in [RunResult::Fail, RunResult::Pass] {
        let fence = worker.started().await;
        worker.append(fence, 0, Stream::Stdout, 0, "out").await.unwrap();
        worker.append(fence, 1, Stream::Stderr, 0, "error").await.unwrap();
        worker.finish(fence, result).await.unwrap();
    }
    keep(&lab, kept).await;
    keep(&lab, rich).await;
    let (before, run) = ((whole(&lab, kept).await, whole(&lab, rich).await), lab.get(rich).await);
    for days in [31, 91, 91, 4000] {
        retain(&lab, after(kept, days)).await;
        assert_eq!((whole(&lab, kept).await, whole(&lab, rich).await), before, "after {days} days");
    }
    assert_eq!(lab.get(rich).await, run);
    for gone in [goes, too] {
        assert_eq!(whole(&lab, gone).await[0], json!(null));
    }
    assert_eq!(listed(&lab, &default(), RunFilter::default()).await, [rich, kept]);
    assert_eq!((usage(&lab, &default()).await, usage(&lab, &ns).await), ((2, 20), (0, 0)));
    // It can be run again although all others of its day are gone.
    back_to_today(&lab).await;
    let again = lab.ops().retry_run(&lab.admin, kept, RetryRun::default(), None).await.unwrap().run;
    lab.cancel(again.id).await.unwrap();

    lab.ops().unkeep_run(&lab.admin, kept).await.unwrap();
    retain(&lab, after(kept, 91)).await;
    assert_eq!(lab.ops().get_run(&lab.admin, kept).await.err().map(|error| error.code()), Some(ErrorCode::NotFound));
    assert_eq!(whole(&lab, rich).await, before.1);
    lab.ops().unkeep_run(&lab.admin, rich).await.unwrap();
    retain(&lab, after(kept, 91)).await;
    assert!(!has_partition(&lab, "run", after(kept, 0)).await);
}

#[tokio::test]
async fn the_log_of_a_run_goes_once_it_is_no_longer_pinned() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let short = namespace(&lab, "short", 90, 3).await;
    // One day goes as a whole, of the other only what is over.
    for other in [false, true] {
        let kept = passed(&lab, &worker, &short, "kept").await;
        if other {
            passed(&lab, &worker, &default(), "stays").await;
        }
        keep(&lab, kept).await;
        retain(&lab, after(kept, 4)).await;
        assert_eq!(lab.get(kept).await.log.removed_at, None);
        lab.ops().unkeep_run(&lab.admin, kept).await.unwrap();
        retain(&lab, after(kept, 4)).await;
        assert!(lab.get(kept).await.log.removed_at.is_some());
        keep(&lab, kept).await;
        assert!(lab.get(kept).await.log.removed_at.is_some(), "what is gone does not come back");
        back_to_today(&lab).await;
    }
}

#[tokio::test]
async fn a_run_is_pinned_before_it_ends_and_twice_over() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = waiting(&lab, &default()).await;
    let note = |text: &str| KeepRun { note: Some(text.into()) };
    let first = lab.ops().keep_run(&lab.admin, run, note("why")).await.unwrap().kept.unwrap();
    assert_eq!((first.note.as_deref(), first.by.starts_with("token:")), (Some("why"), true));
    let other = lab.caller(&[Scope::Control], &["default"]);
    let second = lab.ops().keep_run(&other, run, KeepRun::default()).await.unwrap().kept.unwrap();
    assert_eq!(second, first, "a second time changes nothing");
    let third = lab.ops().keep_run(&other, run, note("better")).await.unwrap().kept.unwrap();
    assert_eq!((third.note.as_deref(), third.at, third.by), (Some("better"), first.at, first.by));
    let fence = worker.started().await;
    worker.append(fence, 0, Stream::Stdout, 0, "x").await.unwrap();
    worker.finish(fence, RunResult::Pass).await.unwrap();
    passed(&lab, &worker, &default(), "goes").await;
    retain(&lab, after(run, 91)).await;
    assert_eq!(listed(&lab, &default(), RunFilter::default()).await, [run]);
    for _ in 0..2 {
        assert_eq!(lab.ops().unkeep_run(&lab.admin, run).await.unwrap().kept, None);
    }
}

#[tokio::test]
async fn pins_are_told_listed_and_checked() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::test("t")).await;
    let (kept, other) = (admin.trigger("t").await.remove(0), admin.trigger("t").await.remove(0));
    let path = format!("/api/v1/runs/{kept}/keep");
    assert_eq!(admin.post(&path, &json!({"note": "x".repeat(501)})).await.faults(), ["/note"]);
    assert_eq!(admin.post(&path, &json!({"reason": "x"})).await.faults(), ["/reason"]);
    assert!(admin.run(&kept).await.get("kept").is_none());
    let told = admin.send(admin.request(reqwest::Method::POST, &path)).await.expect(200);
    assert!(told["kept"]["at"].is_string() && told["kept"].get("note").is_none(), "{told}");
    let told = admin.post(&path, &json!({"note": "flaky"})).await.expect(200);
    assert_eq!(told["kept"]["note"], "flaky");
    assert_eq!(admin.run(&kept).await, told);
    for (filter, expected) in [("true", &kept), ("false", &other)] {
        let listed = admin.get(&format!("/api/v1/namespaces/default/runs?kept={filter}")).await.expect(200);
        let ids: Vec<_> = listed["items"].as_array().unwrap().iter().map(|run| run["id"].clone()).collect();
        assert_eq!(ids, [json!(expected)]);
    }
    // Who does not see the run cannot tell whether it is pinned, nor change that.
    let foreigner = stack.person(&[Scope::Control], &["elsewhere"]).await;
    stack.namespace("elsewhere").await;
    for verb in ["keep", "unkeep"] {
        foreigner.post(&format!("/api/v1/runs/{kept}/{verb}"), &json!({})).await.refused(404, "not_found");
    }
    let reader = stack.person(&[Scope::Data], &[".*"]).await;
    reader.post(&format!("/api/v1/runs/{kept}/unkeep"), &json!({})).await.refused(403, "forbidden");
    assert_eq!(admin.run(&kept).await, told);
    let told =
        admin.send(admin.request(reqwest::Method::POST, &format!("/api/v1/runs/{kept}/unkeep"))).await.expect(200);
    assert!(told.get("kept").is_none(), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_pins_runs_and_sets_how_long_things_are_kept() {
    let stack = Stack::start().await;
    let (admin, ctl) = (stack.admin(), Ctl::of(&stack));
    admin.register(&factory::test("t")).await;
    let (kept, other) = (admin.trigger("t").await.remove(0), admin.trigger("t").await.remove(0));
    let said = ctl.run(&format!("run keep {kept} --note why"));
    assert!(said.done().is_empty() && said.err.contains(&format!("keeping the run {kept}")), "{said:?}");
    assert_eq!(ctl.run("run list --kept -o name").done().trim(), kept);
    assert_eq!(ctl.run("run list --kept=false -o name").done().trim(), other);
    assert!(ctl.run(&format!("run get {kept}")).done().contains("why"));
    let both = ctl.run(&format!("run unkeep {kept} {other}"));
    assert!(both.done().is_empty(), "{both:?}");
    assert!(ctl.run("run list --kept -o name").done().is_empty());
    ctl.run("run keep 0197c1a0-0000-7000-8000-000000000001").refused(3);

    ctl.run("namespace create shop --runs-days 20 --logs-days 7 --max-bytes 5GiB").done();
    let shop = admin.get("/api/v1/namespaces/shop").await.expect(200);
    assert_eq!(shop["retention"], json!({"runs_days": 20, "logs_days": 7}));
    assert_eq!(shop["quotas"], json!({"max_queued": 10_000, "max_running": 50, "max_bytes": 5_u64 << 30}));
    ctl.run("namespace update shop --logs-days 20 --max-bytes none").done();
    let shop = admin.get("/api/v1/namespaces/shop").await.expect(200);
    assert_eq!((&shop["retention"]["logs_days"], &shop["quotas"]["max_bytes"]), (&json!(20), &json!(null)));
    let refused = ctl.run("namespace update shop --runs-days 5");
    assert!(refused.refused(2).contains("/retention/logs_days"), "{refused:?}");
    ctl.run("namespace update shop").refused(2);
    ctl.run("namespace update shop --max-bytes much").refused(2);
    ctl.answers_as_the_api("namespace get shop", &admin, "/api/v1/namespaces/shop").await;
}
