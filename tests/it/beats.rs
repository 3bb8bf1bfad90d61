//! Heartbeats of many runners that come together are answered together, each as if it had come alone.

use std::time::Duration;

use futures_util::future::join_all;
use tstr_shared::error::ErrorCode;
use tstr_shared::lease::{Fence, LeaseState};
use tstr_shared::permission::Scope;
use tstr_shared::runner::Unfit;
use tstr_tests::Lab;
use tstr_tests::contract::{Worker, forgeries};

async fn beat(worker: &Worker, fences: &[Fence], unfit: Option<Unfit>) -> Result<Vec<LeaseState>, ErrorCode> {
    let told = worker.ops.heartbeat(&worker.caller, worker.id, fences.to_vec(), unfit).await;
    told.map(|told| told.leases.into_iter().map(|(_, state, _)| state).collect()).map_err(|error| error.code())
}

#[tokio::test]
async fn heartbeats_that_come_together_are_each_told_of_their_own_leases() {
    let lab = Lab::start().await;
    let mut workers = Vec::new();
    for number in 0..20 {
        let worker = lab.worker(&format!("w{number}")).await;
        lab.run_of(&[]).await;
        let fence = worker.started().await;
        workers.push((worker, fence));
    }
    let before = "SELECT jsonb_agg(expires_at ORDER BY run_id) FROM lease WHERE $1::uuid IS NOT NULL";
    let before = lab.value(before, workers[0].1.run_id).await;
    let cancelled = workers[3].1.run_id;
    lab.cancel(cancelled).await.unwrap();
    // Each asks for its own lease, for its neighbour's, and for forgeries of its own.
    let asks = workers.iter().enumerate().map(|(number, (worker, fence))| {
        let mut fences = vec![*fence, workers[(number + 1) % workers.len()].1];
        fences.extend(forgeries(*fence).into_iter().map(|(_, forged)| forged));
        async move { (number, beat(worker, &fences, (number == 5).then_some(Unfit::DiskLow)).await.unwrap()) }
    });
    for (number, told) in join_all(asks).await {
        let own = if number == 3 { LeaseState::CancelRequested } else { LeaseState::Held };
        assert_eq!(told[0], own, "{number}");
        assert!(told.len() > 2 && told[1..].iter().all(|state| *state == LeaseState::Gone), "{number}: {told:?}");
    }
    let after = "SELECT jsonb_agg(expires_at ORDER BY run_id) FROM lease WHERE $1::uuid IS NOT NULL";
    let after = lab.value(after, cancelled).await;
    for (before, after) in before.as_array().unwrap().iter().zip(after.as_array().unwrap()) {
        assert!(after.as_str() > before.as_str(), "{before} {after}");
    }
    let unfit = "SELECT jsonb_object_agg(name, unfit) FROM runner WHERE unfit IS NOT NULL AND $1::uuid IS NOT NULL";
    assert_eq!(lab.value(unfit, cancelled).await, serde_json::json!({"w5": "disk_low"}));
    lab.check().await;
}

#[tokio::test]
async fn a_heartbeat_with_another_ones_token_is_refused_and_its_neighbours_are_not() {
    let lab = Lab::start().await;
    let (honest, other) = (lab.worker("honest").await, lab.worker("other").await);
    lab.run_of(&[]).await;
    let fence = honest.started().await;
    let thief = honest.with(lab.caller(&[Scope::Runner], &[".*"]));
    let nobody = Worker { id: tstr_shared::ids::RunnerId(uuid::Uuid::new_v4()), ..honest.clone() };
    let fences = [fence];
    let (a, b, c, d) = tokio::join!(
        beat(&thief, &fences, None),
        beat(&honest, &fences, None),
        beat(&other, &[], None),
        beat(&nobody, &[], None)
    );
    assert_eq!((a, b), (Err(ErrorCode::NotFound), Ok(vec![LeaseState::Held])));
    assert_eq!((c, d), (Ok(vec![]), Err(ErrorCode::NotFound)));
}

#[tokio::test]
async fn leases_whose_answer_was_lost_go_back_in_the_name_of_their_own_runners() {
    let lab = Lab::start().await;
    let mut workers = Vec::new();
    for number in 0..4 {
        let worker = lab.worker(&format!("w{number}")).await;
        let run = lab.run_of(&[]).await;
        let fence = worker.one().await;
        assert_eq!(fence.run_id, run);
        workers.push((worker, fence));
    }
    lab.execute("UPDATE lease SET leased_at = leased_at - interval '1 hour'").await.unwrap();
    // The first lists its lease, the others know of none.
    let asks = workers.iter().enumerate().map(|(number, (worker, fence))| async move {
        beat(worker, if number == 0 { std::slice::from_ref(fence) } else { &[] }, None).await.unwrap()
    });
    let told = join_all(asks).await;
    assert_eq!(told[0], [LeaseState::Held]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    for (number, (worker, fence)) in workers.iter().enumerate() {
        let path = lab.path(fence.run_id).await;
        assert_eq!(path, if number == 0 { "QL" } else { "QLQ" }, "{number}");
        if number > 0 {
            let actor = "SELECT to_jsonb(actor) FROM run_event WHERE run_id = $1 AND state_from = 'leased'";
            let actor = lab.value(actor, fence.run_id).await;
            assert!(actor.as_str().unwrap().starts_with(&format!("runner:{}", worker.id)), "{actor}");
        }
    }
}
