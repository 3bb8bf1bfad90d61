//! What follows when something is lost: T6, T7, T8, and what an outage of everything does to leases.

use serde_json::json;
use tstr_shared::error::ErrorCode;
use tstr_shared::lease::LeaseState;
use tstr_shared::run::{Reason, RunResult, RunState};
use tstr_tests::Lab;

use super::{last_event, last_step};

#[tokio::test]
async fn t6_a_release_before_the_start_is_free_and_the_fifth_is_the_last() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[("/retry/on_infrastructure", json!(0))]).await;
    for n in 1..=4 {
        let fence = worker.one().await;
        worker.release(fence, None).await.unwrap();
        // Repeated, it is answered alike and counted once.
        worker.release(fence, None).await.unwrap();
        assert_eq!(last_step(&lab, run).await, json!(["leased", "queued", n, null, null]));
        let counts =
            "SELECT to_jsonb(ARRAY[attempt, infra_losses, test_retries, releases]) FROM ready WHERE run_id = $1";
        assert_eq!(lab.value(counts, run).await, json!([n, 0, 0, n]));
    }
    let fence = worker.one().await;
    worker.release(fence, None).await.unwrap();
    assert_eq!(last_step(&lab, run).await, json!(["leased", "finished", 5, "error", "never_started"]));
    let seen = lab.get(run).await;
    assert_eq!((seen.attempts.len(), seen.started_at), (5, None));
    assert!(seen.attempts[..4].iter().all(|attempt| attempt.result.is_none()));
    lab.check().await;
}

#[tokio::test]
async fn t6_the_reaper_requeues_a_lease_that_was_not_started_at_once_and_for_free() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[("/retry/on_infrastructure", json!(0)), ("/at_most_once", json!(true))]).await;
    let fence = worker.one().await;
    // Expired, but for less than the time that the reaper adds.
    lab.sql("UPDATE lease SET expires_at = clock_timestamp() - interval '2 s' WHERE run_id = $1", run).await;
    assert_eq!(lab.reap().await, 0);
    lab.lapse(run).await;
    assert_eq!(lab.reap().await, 1);
    assert_eq!(last_step(&lab, run).await, json!(["leased", "queued", 1, null, null]));
    assert_eq!(last_event(&lab, run).await["actor"], "reaper");
    assert_eq!(worker.start(fence).await, Err(ErrorCode::LeaseLost));
    assert_eq!(worker.one().await.attempt, 2);
    lab.check().await;
}

#[tokio::test]
async fn t6_a_run_that_was_started_is_not_given_back_without_saying_why() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[]).await;
    let fence = worker.started().await;
    let before = lab.rows(run).await;
    assert_eq!(worker.release(fence, None).await, Err(ErrorCode::Conflict));
    for reason in Reason::ALL.iter().filter(|reason| !reason.is_infrastructure_loss()) {
        assert_eq!(worker.release(fence, Some(*reason)).await, Err(ErrorCode::Invalid), "{reason}");
    }
    assert_eq!(lab.rows(run).await, before);
}

#[tokio::test]
async fn t6_a_fifth_release_ends_with_never_started_whatever_its_reason() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[]).await;
    for _ in 0..5 {
        let fence = worker.one().await;
        worker.release(fence, Some(Reason::DiskFull)).await.unwrap();
    }
    assert_eq!(last_step(&lab, run).await, json!(["leased", "finished", 5, "error", "never_started"]));
    let seen = lab.get(run).await;
    assert_eq!(seen.attempts[4].reason, Some(Reason::DiskFull), "the attempt keeps why");
    lab.check().await;
}

#[tokio::test]
async fn t7_a_lost_run_waits_twice_as_long_after_every_attempt_but_five_minutes_at_most() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[("/retry/on_infrastructure", json!(4))]).await;
    // Attempts that were given back count as attempts: the numbers are those of leases.
    for (released, attempt, wait) in [(0, 1, 10), (1, 3, 40), (1, 5, 160), (1, 7, 300)] {
        for _ in 0..released {
            worker.release(worker.one().await, None).await.unwrap();
        }
        let fence = worker.started().await;
        assert_eq!(fence.attempt, attempt);
        lab.lapse(run).await;
        assert_eq!(lab.reap().await, 1);
        assert_eq!(last_step(&lab, run).await, json!(["running", "queued", attempt, null, "lost_worker"]));
        let due = "SELECT to_jsonb(round(extract(epoch FROM due - clock_timestamp()))) FROM delayed WHERE run_id = $1";
        let due = lab.value(due, run).await.as_f64().unwrap();
        assert!((f64::from(wait) - due).abs() <= 2.0, "attempt {attempt} waits {due} s, not {wait}");
        assert!(worker.claim(1).await.is_empty() && lab.move_due().await == 0, "it waits");
        lab.sql("UPDATE delayed SET due = clock_timestamp() WHERE run_id = $1", run).await;
        assert_eq!(lab.move_due().await, 1);
    }
    // T8: the fifth loss is one too many.
    worker.started().await;
    lab.lapse(run).await;
    lab.reap().await;
    assert_eq!(last_step(&lab, run).await, json!(["running", "finished", 8, "error", "lost_worker"]));
    assert_eq!(
        lab.get(run).await.attempts.iter().filter(|attempt| attempt.reason == Some(Reason::LostWorker)).count(),
        5
    );
    lab.check().await;
}

#[tokio::test]
async fn t7_and_t8_the_owner_reports_a_loss_itself() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    for reason in [Reason::RuntimeLost, Reason::WorkerCrash, Reason::DiskFull] {
        let run = lab.run_of(&[]).await;
        let fence = worker.started().await;
        worker.release(fence, Some(reason)).await.unwrap();
        worker.release(fence, Some(reason)).await.unwrap();
        assert_eq!(last_step(&lab, run).await, json!(["running", "queued", 1, null, reason.word()]));
        lab.sql("UPDATE delayed SET due = clock_timestamp() WHERE run_id = $1", run).await;
        lab.move_due().await;
        let fence = worker.started().await;
        worker.release(fence, Some(reason)).await.unwrap();
        assert_eq!(last_step(&lab, run).await, json!(["running", "finished", 2, "error", reason.word()]));
    }
    lab.check().await;
}

#[tokio::test]
async fn t8_a_test_that_may_run_at_most_once_is_not_run_again_after_a_loss() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let changes = [("/at_most_once", json!(true)), ("/retry/on_infrastructure", json!(4))];
    let run = lab.run_of(&changes).await;
    worker.started().await;
    lab.lapse(run).await;
    lab.reap().await;
    assert_eq!(last_step(&lab, run).await, json!(["running", "finished", 1, "error", "lost_worker"]));
    let run = lab.run_of(&changes).await;
    let fence = worker.started().await;
    worker.release(fence, Some(Reason::WorkerCrash)).await.unwrap();
    assert_eq!(last_step(&lab, run).await, json!(["running", "finished", 1, "error", "worker_crash"]));
    lab.check().await;
}

#[tokio::test]
async fn after_an_outage_every_lease_gets_a_full_life_before_any_is_reaped() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let (leased, running) = (lab.run_of(&[]).await, lab.run_of(&[("/run_config/timeout", json!("1s"))]).await);
    let (first, second) = (worker.one().await, worker.started().await);
    assert_eq!((first.run_id, second.run_id), (leased, running));
    lab.execute("UPDATE lease SET expires_at = clock_timestamp() - interval '5 min'").await.unwrap();
    // The run's own time is over as well: nobody was there to hear that it ended in time.
    lab.sql("UPDATE lease SET hard_deadline = clock_timestamp() - interval '1 min' WHERE run_id = $1", running).await;
    assert_eq!(lab.reap_after_outage(11).await, 0);
    let left =
        "SELECT to_jsonb(round(extract(epoch FROM expires_at - clock_timestamp()))) FROM lease WHERE run_id = $1";
    for run in [leased, running] {
        let left = lab.value(left, run).await.as_f64().unwrap();
        assert!((58.0..=60.0).contains(&left), "{left} s");
    }
    assert_eq!(lab.reap().await, 0, "nothing is lost by the outage itself");
    assert_eq!(worker.beat(&[first, second]).await, [LeaseState::Held, LeaseState::Held]);
    // A worker that was lost in the outage is found out as ever, and the run is tried again.
    lab.lapse(running).await;
    assert_eq!(lab.reap().await, 1);
    assert_eq!(lab.get(running).await.state, RunState::Queued);
    worker.start(first).await.unwrap();
    worker.finish(first, RunResult::Pass).await.unwrap();
    lab.check().await;
}

#[tokio::test]
async fn a_sweep_that_would_end_many_leases_at_once_waits_one_life_first() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let mut runs = Vec::new();
    for _ in 0..40 {
        runs.push(lab.run_of(&[]).await);
    }
    assert_eq!(worker.claim(40).await.len(), 40);
    // A quarter of them, and not more than ten, is an ordinary loss.
    for run in &runs[..10] {
        lab.lapse(*run).await;
    }
    assert_eq!(lab.reap().await, 10);
    // Half of what is left is not: the fault may be ours.
    for run in &runs[10..25] {
        lab.lapse(*run).await;
    }
    assert_eq!(lab.reap().await, 0);
    let live = "SELECT to_jsonb(expires_at > clock_timestamp() + interval '50 s') FROM lease WHERE run_id = $1";
    assert_eq!(lab.value(live, runs[10]).await, true);
    // But once only: who has not come back by then is lost.
    for run in &runs[10..25] {
        lab.lapse(*run).await;
    }
    assert_eq!(lab.reap().await, 15);
    lab.check().await;
}

#[tokio::test]
async fn a_clock_that_is_put_back_keeps_no_run_from_its_start_or_its_end_and_no_lease_from_the_reaper() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let (early, late) = (lab.run_of(&[]).await, lab.run_of(&[]).await);
    let (first, second) = (worker.one().await, worker.started().await);
    assert_eq!((first.run_id, second.run_id), (early, late));
    // All this was written an hour from now.
    let ahead = "UPDATE lease SET leased_at = leased_at + interval '1 h', started_at = started_at + interval '1 h',
                                  expires_at = expires_at + interval '1 h'";
    lab.execute(ahead).await.unwrap();
    lab.execute("UPDATE sweep SET at = at + interval '1 h'").await.unwrap();
    worker.start(first).await.unwrap();
    assert_eq!(worker.beat(&[first, second]).await, [LeaseState::Held, LeaseState::Held]);
    worker.finish(first, RunResult::Pass).await.unwrap();
    worker.finish(second, RunResult::Fail).await.unwrap();
    for run in [early, late] {
        let run = lab.get(run).await;
        assert_eq!(run.state, RunState::Finished);
        assert!(run.leased_at <= run.started_at && run.started_at <= run.finished_at, "{run:?}");
    }
    // The next sweep takes it for an outage, and those after it go on as ever.
    let lost = lab.run_of(&[]).await;
    worker.started().await;
    assert_eq!(tstr_api::turns::reap(lab.ops()).await.unwrap(), 0);
    lab.lapse(lost).await;
    assert_eq!(lab.reap().await, 1);
    lab.check().await;
}

#[tokio::test]
async fn one_sweep_ends_all_that_were_lost_together() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.quotas(None, None).await;
    let axis = |count: u32| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    let cells = json!({"labels": {"a": axis(24), "b": axis(10)}});
    lab.run_of(&[("/matrix", cells)]).await;
    let mut held = 0;
    while held < 240 {
        held += worker.claim(240 - held as u16).await.len();
    }
    // The brake has held them up once already.
    lab.execute("UPDATE lease SET expires_at = clock_timestamp() - interval '10 s'").await.unwrap();
    assert_eq!(lab.reap().await, 0);
    lab.execute("UPDATE lease SET expires_at = clock_timestamp() - interval '10 s'").await.unwrap();
    assert_eq!(lab.reap().await, 240);
    lab.check().await;
}

#[tokio::test]
async fn a_lease_that_cannot_be_ended_keeps_the_reaper_from_no_other() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let (stuck, lost) = (lab.run_of(&[]).await, lab.run_of(&[]).await);
    assert_eq!(worker.claim(2).await.len(), 2);
    lab.execute(&format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN IF NEW.run_id = '{stuck}' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$"
    ))
    .await
    .unwrap();
    lab.execute("CREATE TRIGGER refuse BEFORE INSERT ON attempt FOR EACH ROW EXECUTE FUNCTION refuse()").await.unwrap();
    for run in [stuck, lost] {
        lab.lapse(run).await;
    }
    assert_eq!(lab.reap().await, 1);
    assert_eq!(lab.get(lost).await.state, RunState::Queued);
    // Nor does its trouble look like an outage.
    assert_eq!(lab.get(stuck).await.state, RunState::Leased);
    lab.execute("DROP TRIGGER refuse ON attempt").await.unwrap();
    assert_eq!(lab.reap().await, 1);
    lab.check().await;
}
