//! From the trigger to the start: T1, T2, T3, T4.

use serde_json::json;
use tstr_api::ops::IdempotencyKey;
use tstr_shared::error::ErrorCode;
use tstr_shared::lease::LeaseState;
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::Scope;
use tstr_shared::run::{RunResult, RunState, TriggerRun};
use tstr_shared::selector::SelectorSources;
use tstr_shared::testdef::Priority;
use tstr_tests::contract::{Worker, default};
use tstr_tests::{Lab, factory};
use uuid::Uuid;

use super::last_event;

#[tokio::test]
async fn t1_a_trigger_queues_every_cell_and_writes_an_event_each() {
    let lab = Lab::start().await;
    lab.test(factory::with(factory::test("a"), "/matrix", json!({"labels": {"os": ["x", "y"], "arch": ["p", "q"]}})))
        .await;
    let runs = lab.trigger("a").await;
    assert_eq!(runs.len(), 4);
    for run in runs {
        let seen = lab.get(run).await;
        assert_eq!((seen.state, seen.attempt, seen.attempts.len()), (RunState::Queued, 0, 0));
        let rows = lab.rows(run).await;
        assert_eq!(rows["ready"].as_array().map(Vec::len), Some(1));
        assert_eq!(
            last_event(&lab, run).await,
            json!({"state_from": null, "state_to": "queued", "attempt": 0, "lease_id": null, "result": null,
                   "reason": null, "actor": lab.admin.actor()})
        );
    }
    lab.check().await;
}

#[tokio::test]
async fn t1_a_repeated_key_answers_the_same_and_makes_nothing() {
    let lab = Lab::start().await;
    lab.test(factory::test("a")).await;
    let key = || Some(IdempotencyKey::parse("k1").unwrap());
    let ask = async |req: TriggerRun| lab.ops().trigger(&lab.admin, &default(), "a", req, key()).await;
    let first = ask(TriggerRun::default()).await.unwrap();
    let again = ask(TriggerRun::default()).await.unwrap();
    assert_eq!(first, again);
    let other = ask(TriggerRun { priority: Some(Priority::High), ..TriggerRun::default() }).await;
    assert_eq!(other.unwrap_err().code(), ErrorCode::IdempotencyMismatch);
    // Somebody else's key of the same text is another key.
    let somebody = lab.caller(&[Scope::Control], &["default"]);
    let theirs = lab.ops().trigger(&somebody, &default(), "a", TriggerRun::default(), key()).await.unwrap();
    assert_ne!(theirs.runs[0].id, first.runs[0].id);
    assert_eq!(lab.value("SELECT to_jsonb(count(*)) FROM run WHERE id <> $1", first.runs[0].id).await, 1);
}

#[tokio::test]
async fn t1_many_requests_with_one_key_at_once_make_one_run() {
    let lab = Lab::start_with(2).await;
    lab.test(factory::test("a")).await;
    let ask = |replica: usize| {
        let (ops, admin) = (lab.replica(replica).clone(), lab.admin.clone());
        tokio::spawn(async move {
            let key = Some(IdempotencyKey::parse("k1").unwrap());
            ops.trigger(&admin, &default(), "a", TriggerRun::default(), key).await.map(|made| made.runs[0].id)
        })
    };
    let asked: Vec<_> = (0..16).map(|i| ask(i % 2)).collect();
    let mut runs = Vec::new();
    for answer in asked {
        runs.push(answer.await.unwrap().unwrap());
    }
    runs.dedup();
    assert_eq!(runs.len(), 1, "everybody is told of the same run");
    assert_eq!(lab.value("SELECT to_jsonb(count(*)) FROM run WHERE $1::uuid IS NOT NULL", runs[0]).await, 1);
}

#[tokio::test]
async fn t1_a_full_queue_refuses_and_stores_nothing_not_even_the_key() {
    let lab = Lab::start().await;
    lab.test(factory::test("a")).await;
    let one = lab.trigger("a").await[0];
    lab.quotas(Some(1), None).await;
    let ask = async || {
        let key = Some(IdempotencyKey::parse("k1").unwrap());
        lab.ops().trigger(&lab.admin, &default(), "a", TriggerRun::default(), key).await
    };
    let refused = ask().await.unwrap_err();
    assert_eq!((refused.code(), refused.retry_after().is_some()), (ErrorCode::QuotaExceeded, true));
    lab.cancel(one).await.unwrap();
    ask().await.unwrap();
}

#[tokio::test]
async fn t2_a_claim_makes_a_lease_with_a_fence_of_its_own() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[]).await;
    let leased = worker.claim(5).await;
    assert_eq!(leased.len(), 1);
    let fence = leased[0].fence;
    assert_eq!((fence.run_id, fence.attempt), (run, 1));
    assert!((55..=60).contains(&leased[0].ttl.as_secs()), "{:?}", leased[0].ttl);
    assert_eq!(lab.get(run).await.state, RunState::Leased);
    let event = last_event(&lab, run).await;
    assert_eq!((event["state_from"].as_str(), event["state_to"].as_str()), (Some("queued"), Some("leased")));
    assert_eq!(
        (event["attempt"].as_i64(), event["lease_id"].as_str().unwrap()),
        (Some(1), &*fence.lease_id.to_string())
    );
    assert!(event["actor"].as_str().unwrap().starts_with(&format!("runner:{}", worker.id)));
    assert!(worker.claim(5).await.is_empty(), "a leased run is not claimed again");
    // The next lease of the run has another fence in every part but the run.
    worker.release(fence, None).await.unwrap();
    let next = worker.one().await;
    assert_eq!((next.run_id, next.attempt), (run, 2));
    assert_ne!(next.lease_id, fence.lease_id);
    lab.check().await;
}

#[tokio::test]
async fn t2_a_repeated_claim_gets_the_leases_that_the_lost_answer_held() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.test(factory::test("a")).await;
    for _ in 0..5 {
        lab.trigger("a").await;
    }
    let id = Uuid::new_v4();
    let fences = |runs: Vec<tstr_shared::lease::LeasedRun>| {
        let mut fences: Vec<_> =
            runs.iter().map(|run| (run.fence.run_id, run.fence.attempt, run.fence.lease_id)).collect();
        fences.sort();
        fences
    };
    let lost = fences(worker.claim_as(id, 3).await);
    assert_eq!(lost.len(), 3);
    assert_eq!(fences(worker.claim_as(id, 3).await), lost);
    assert_eq!(fences(worker.claim_again(id).await), lost);
    assert!(worker.claim_again(Uuid::new_v4()).await.is_empty(), "who only repeats gets nothing new");
    let other = lab.worker("other").await;
    let theirs = fences(other.claim_as(id, 3).await);
    assert!(
        theirs.len() == 2 && theirs.iter().all(|fence| !lost.contains(fence)),
        "the id names a claim of one runner only"
    );
}

#[tokio::test]
async fn t2_a_claim_passes_over_what_is_not_for_it() {
    let lab = Lab::start().await;
    let taken = async |worker: &Worker| worker.claim(10).await.len();

    // Another namespace than the token's.
    lab.namespace("other").await;
    let foreign = lab.caller(&[Scope::Runner], &["other"]);
    let foreign = Worker::register(lab.ops(), foreign, "foreign", SelectorSources::default()).await;
    // Labels that it rejects, or does not accept.
    let selectors = |accept: serde_json::Value, reject: serde_json::Value| -> SelectorSources {
        serde_json::from_value(json!({"accept": accept, "reject": reject})).unwrap()
    };
    let caller = lab.caller(&[Scope::Runner], &["default"]);
    let rejects =
        Worker::register(lab.ops(), caller.clone(), "rejects", selectors(json!({}), json!({"os": "win.*"}))).await;
    let accepts = Worker::register(lab.ops(), caller, "accepts", selectors(json!({"os": "lin"}), json!({}))).await;
    lab.run_of(&[("/labels", json!({"os": "windows"}))]).await;
    lab.run_of(&[("/labels", json!({"os": "linux"}))]).await;
    assert_eq!((taken(&foreign).await, taken(&accepts).await, taken(&rejects).await), (0, 0, 1));

    // Not before its time.
    let worker = lab.worker("w").await;
    taken(&worker).await;
    lab.test(factory::test("later")).await;
    let later =
        TriggerRun { not_before: Some(chrono::Utc::now() + chrono::Duration::hours(1)), ..TriggerRun::default() };
    let run = lab.ops().trigger(&lab.admin, &default(), "later", later, None).await.unwrap().runs[0].id;
    assert_eq!((lab.move_due().await, taken(&worker).await), (0, 0));
    lab.sql("UPDATE delayed SET due = clock_timestamp() WHERE run_id = $1", run).await;
    assert_eq!(lab.move_due().await, 1);

    // Draining, and beyond the namespace's cap.
    lab.ops().set_runner_draining(&lab.admin, worker.id, true).await.unwrap();
    assert_eq!(taken(&worker).await, 0);
    lab.ops().set_runner_draining(&lab.admin, worker.id, false).await.unwrap();
    let held =
        sqlx::query_scalar("SELECT count(*)::int FROM lease").fetch_one(&mut lab.db.connect().await).await.unwrap();
    lab.quotas(None, Some(held)).await;
    assert_eq!(taken(&worker).await, 0);
    lab.quotas(None, Some(held + 1)).await;
    assert_eq!(worker.one().await.run_id, run);
    lab.check().await;
}

#[tokio::test]
async fn t2_the_more_pressing_comes_first_then_the_older() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.test(factory::test("a")).await;
    let mut expected = Vec::new();
    for priority in [Priority::Low, Priority::Normal, Priority::Urgent, Priority::Normal, Priority::High] {
        let req = TriggerRun { priority: Some(priority), ..TriggerRun::default() };
        let run = lab.ops().trigger(&lab.admin, &default(), "a", req, None).await.unwrap().runs[0].id;
        expected.push((priority, expected.len(), run));
    }
    expected.sort();
    for (_, _, run) in expected {
        assert_eq!(worker.one().await.run_id, run);
    }
}

#[tokio::test]
async fn t2_a_flood_in_some_namespaces_holds_the_first_run_of_another_up_for_no_slot() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    for name in ["flood1", "flood2", "flood3", "quiet"] {
        lab.namespace(name).await;
        let ns = Namespace::parse(name).unwrap();
        let new = serde_json::from_value(factory::test("a")).unwrap();
        lab.ops().create_test(&lab.admin, &ns, new, None).await.unwrap();
    }
    let trigger = async |name: &str| {
        let ns = Namespace::parse(name).unwrap();
        lab.ops().trigger(&lab.admin, &ns, "a", TriggerRun::default(), None).await.unwrap().runs[0].id
    };
    for _ in 0..8 {
        for name in ["flood1", "flood2", "flood3"] {
            trigger(name).await;
        }
    }
    for _ in 0..6 {
        worker.one().await;
    }
    for _ in 0..2 {
        let first = trigger("quiet").await;
        let fence = worker.one().await;
        assert_eq!(fence.run_id, first, "the next slot is its");
        worker.start(fence).await.unwrap();
        worker.finish(fence, RunResult::Pass).await.unwrap();
        tstr_api::turns::refresh_lanes(lab.ops()).await.unwrap();
    }
}

#[tokio::test]
async fn t3_a_start_is_permitted_once_and_repeated_answers_the_same_instant() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[("/run_config/timeout", json!("100s")), ("/run_config/grace", json!("20s"))]).await;
    let fence = worker.one().await;
    let started = worker.start(fence).await.unwrap();
    assert_eq!(worker.start(fence).await, Ok(started));
    let seen = lab.get(run).await;
    assert_eq!((seen.state, seen.started_at), (RunState::Running, Some(started)));
    assert_eq!(lab.path(run).await, "QLR", "the repetition wrote no second event");
    let room = "SELECT to_jsonb(round(extract(epoch FROM hard_deadline - started_at))) FROM lease WHERE run_id = $1";
    assert_eq!(lab.value(room, run).await, 180, "timeout, grace and a minute");
    lab.check().await;
}

#[tokio::test]
async fn t3_a_start_is_refused_after_expiry_and_after_a_cancel() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[]).await;
    let fence = worker.one().await;
    lab.sql("UPDATE lease SET expires_at = clock_timestamp() - interval '1 ms' WHERE run_id = $1", run).await;
    let before = lab.rows(run).await;
    assert_eq!(worker.start(fence).await, Err(ErrorCode::LeaseLost));
    assert_eq!(lab.rows(run).await, before);
    // A heartbeat brings the lease back to life, for nobody has reaped it.
    assert_eq!(worker.beat(&[fence]).await, [LeaseState::Held]);
    worker.start(fence).await.unwrap();

    // A cancel that came while it runs takes the permission back: a repeated start must not begin the container.
    lab.cancel(run).await.unwrap();
    assert_eq!(worker.start(fence).await, Err(ErrorCode::LeaseLost));
    worker.finish(fence, RunResult::Cancelled).await.unwrap();

    let run = lab.run_of(&[]).await;
    let fence = worker.one().await;
    lab.cancel(run).await.unwrap();
    let before = lab.rows(run).await;
    assert_eq!(worker.start(fence).await, Err(ErrorCode::LeaseLost));
    assert_eq!(lab.rows(run).await, before);
    lab.check().await;
}

#[tokio::test]
async fn t4_a_heartbeat_extends_exactly_the_leases_it_lists() {
    let lab = Lab::start().await;
    let (worker, other) = (lab.worker("w").await, lab.worker("other").await);
    for _ in 0..3 {
        lab.run_of(&[]).await;
    }
    let mine = [worker.started().await, worker.started().await];
    let theirs = other.started().await;
    lab.execute("UPDATE lease SET expires_at = clock_timestamp() + interval '1 s'").await.unwrap();
    let left = async |run| {
        lab.value("SELECT to_jsonb(expires_at > clock_timestamp() + interval '30 s') FROM lease WHERE run_id = $1", run)
            .await
    };
    assert_eq!(worker.beat(&[mine[0], theirs]).await, [LeaseState::Held, LeaseState::Gone]);
    assert_eq!(left(mine[0].run_id).await, true);
    assert_eq!(left(mine[1].run_id).await, false, "a lease that was not listed");
    assert_eq!(left(theirs.run_id).await, false, "a lease of another runner");
    // After its expiry too, as long as nobody has reaped it; no event is written.
    lab.sql("UPDATE lease SET expires_at = clock_timestamp() - interval '1 h' WHERE run_id = $1", mine[1].run_id).await;
    assert_eq!(worker.beat(&mine).await, [LeaseState::Held, LeaseState::Held]);
    assert_eq!(left(mine[1].run_id).await, true);
    assert_eq!(lab.path(mine[1].run_id).await, "QLR");
    worker.finish(mine[0], RunResult::Pass).await.unwrap();
    assert_eq!(worker.beat(&mine).await, [LeaseState::Gone, LeaseState::Held]);
    lab.check().await;
}

#[tokio::test]
async fn t4_a_heartbeat_says_when_a_run_is_to_be_cancelled() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[]).await;
    let fence = worker.started().await;
    assert!(lab.cancel(run).await.unwrap().cancel_requested);
    assert_eq!(worker.beat(&[fence]).await, [LeaseState::CancelRequested]);
}

#[tokio::test]
async fn t4_a_lease_that_its_live_runner_does_not_list_is_requeued_before_it_expires_unless_it_runs() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let (lost, listed, running) = (lab.run_of(&[]).await, lab.run_of(&[]).await, lab.run_of(&[]).await);
    let mut fences = Vec::new();
    for _ in 0..3 {
        fences.push(worker.one().await);
    }
    assert_eq!(fences.iter().map(|fence| fence.run_id).collect::<Vec<_>>(), [lost, listed, running]);
    worker.start(fences[2]).await.unwrap();
    worker.beat(&[fences[1]]).await;
    assert_eq!(lab.get(lost).await.state, RunState::Leased, "it may be on its way to the runner still");
    lab.execute("UPDATE lease SET leased_at = leased_at - interval '31 s', started_at = started_at").await.unwrap();
    worker.beat(&[fences[1]]).await;
    assert_eq!(lab.get(lost).await.state, RunState::Queued);
    assert_eq!(lab.get(listed).await.state, RunState::Leased);
    assert_eq!(lab.get(running).await.state, RunState::Running);
    assert_eq!(worker.one().await.run_id, lost);
}
