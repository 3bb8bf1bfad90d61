//! Nobody but the holder of the current fence moves a run; and the tables themselves refuse what must never be.

use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunId;
use tstr_shared::lease::{Fence, LeaseState};
use tstr_shared::logs::Stream;
use tstr_shared::permission::Scope;
use tstr_shared::run::{Reason, RunResult};
use tstr_tests::Lab;
use tstr_tests::contract::{Worker, forgeries};

/// Does everything that a worker can do with a fence; each must be refused with one of these codes.
async fn try_everything(lab: &Lab, run: RunId, who: &str, worker: &Worker, fence: Fence, codes: &[ErrorCode]) {
    let before = lab.rows(run).await;
    let refused = |what: &str, answer: Result<(), ErrorCode>| {
        let code = answer.expect_err(&format!("{who}: {what}"));
        assert!(codes.contains(&code), "{who}: {what}: {code:?}");
    };
    refused("start", worker.start(fence).await.map(drop));
    refused("append", worker.append(fence, 0, Stream::Stdout, 0, "x").await.map(drop));
    refused("release", worker.release(fence, None).await);
    refused("release after a loss", worker.release(fence, Some(Reason::RuntimeLost)).await);
    for result in RunResult::ALL {
        refused(result.word(), worker.finish(fence, *result).await);
    }
    match worker.ops.heartbeat(&worker.caller, worker.id, vec![fence], None).await {
        Ok(beat) => assert_eq!(beat.leases[0].1, LeaseState::Gone, "{who}"),
        Err(error) => refused("heartbeat", Err(error.code())),
    }
    assert_eq!(lab.rows(run).await, before, "{who} changed something");
}

#[tokio::test]
async fn nobody_but_the_holder_of_the_fence_moves_a_run() {
    let lab = Lab::start().await;
    let (owner, other) = (lab.worker("owner").await, lab.worker("other").await);
    let same_token = Worker::register(lab.ops(), owner.caller.clone(), "same-token", Default::default()).await;
    for start in [false, true] {
        let run = lab.run_of(&[]).await;
        let fence = if start { owner.started().await } else { owner.one().await };
        let lost = [ErrorCode::LeaseLost];
        for (what, forged) in forgeries(fence) {
            try_everything(&lab, run, what, &owner, forged, &lost).await;
        }
        try_everything(&lab, run, "another runner", &other, fence, &lost).await;
        try_everything(&lab, run, "another runner of the same token", &same_token, fence, &lost).await;
        let unknown = [ErrorCode::NotFound, ErrorCode::LeaseLost];
        let stranger = lab.caller(&[Scope::Runner], &[".*"]);
        try_everything(&lab, run, "the runner with another token", &owner.with(stranger), fence, &unknown).await;
        let foreign = lab.caller(&[Scope::Runner], &["elsewhere"]);
        try_everything(&lab, run, "a token of another namespace", &owner.with(foreign), fence, &unknown).await;
        // The holder still can.
        if !start {
            owner.start(fence).await.unwrap();
        }
        owner.finish(fence, RunResult::Pass).await.unwrap();
    }
    lab.check().await;
}

#[tokio::test]
async fn the_holder_of_an_old_fence_moves_nothing_any_more() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[]).await;
    let old = worker.started().await;
    lab.lapse(run).await;
    assert_eq!(lab.reap().await, 1);
    let lost = [ErrorCode::LeaseLost];
    // While it waits, while somebody holds it, while it runs, and after it has ended.
    let repeat = |rows: serde_json::Value| rows["attempts"][0]["reason"].as_str().map(str::to_owned);
    assert_eq!(repeat(lab.rows(run).await).as_deref(), Some("lost_worker"));
    try_late_reports(&lab, run, &worker, old, &lost).await;
    lab.sql("UPDATE delayed SET due = clock_timestamp() WHERE run_id = $1", run).await;
    lab.move_due().await;
    let new = worker.one().await;
    try_late_reports(&lab, run, &worker, old, &lost).await;
    worker.start(new).await.unwrap();
    try_late_reports(&lab, run, &worker, old, &lost).await;
    worker.finish(new, RunResult::Fail).await.unwrap();
    try_late_reports(&lab, run, &worker, old, &lost).await;
    assert_eq!(lab.get(run).await.result, Some(RunResult::Fail));
    lab.check().await;
}

/// Reports that would change something. A loss that the reaper has recorded already may be reported again in vain.
async fn try_late_reports(lab: &Lab, run: RunId, worker: &Worker, fence: Fence, codes: &[ErrorCode]) {
    let before = lab.rows(run).await;
    for result in [RunResult::Pass, RunResult::Fail, RunResult::TimedOut, RunResult::Cancelled] {
        assert!(codes.contains(&worker.finish(fence, result).await.unwrap_err()));
    }
    assert!(codes.contains(&worker.start(fence).await.unwrap_err()));
    assert!(codes.contains(&worker.append(fence, 0, Stream::Stdout, 0, "x").await.unwrap_err()));
    let _ = worker.release(fence, None).await;
    let _ = worker.release(fence, Some(Reason::WorkerCrash)).await;
    assert_eq!(worker.beat(&[fence]).await, [LeaseState::Gone]);
    assert_eq!(lab.rows(run).await, before);
}

#[tokio::test]
async fn events_are_never_changed_and_never_removed() {
    let lab = Lab::start().await;
    let run = lab.run_of(&[]).await;
    let partition: String = lab
        .value("SELECT to_jsonb(tableoid::regclass::text) FROM run_event WHERE run_id = $1", run)
        .await
        .as_str()
        .unwrap()
        .into();
    for table in ["run_event", &partition] {
        for statement in [format!("UPDATE {table} SET actor = 'nobody'"), format!("DELETE FROM {table}")] {
            let refused = lab.execute(&statement).await.expect_err(&statement);
            assert!(refused.to_string().contains("append-only"), "{statement}: {refused}");
        }
    }
    assert_eq!(lab.path(run).await, "Q");
}

#[tokio::test]
async fn a_run_has_one_result_whatever_is_tried() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    let run = lab.run_of(&[]).await;
    let fence = worker.started().await;
    worker.finish(fence, RunResult::Pass).await.unwrap();
    let refused = lab.execute("INSERT INTO run_end SELECT * FROM run_end").await.expect_err("a second result");
    assert!(
        refused.as_database_error().and_then(|error| error.constraint()).is_some_and(|name| name.ends_with("_pkey"))
    );
    let before = lab.rows(run).await;
    assert_eq!(lab.cancel(run).await.unwrap_err(), ErrorCode::Conflict);
    assert_eq!(worker.finish(fence, RunResult::Fail).await, Err(ErrorCode::LeaseLost));
    assert_eq!(lab.reap().await + lab.expire().await + lab.move_due().await, 0);
    assert_eq!(lab.rows(run).await, before);
}

#[tokio::test]
async fn the_tables_refuse_what_must_never_be() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.run_of(&[]).await;
    worker.one().await;
    for (statement, constraint) in [
        ("UPDATE lease SET cancel_requested_at = clock_timestamp()", "lease_cancel_check"),
        ("UPDATE lease SET started_at = clock_timestamp()", "lease_deadline_check"),
        ("UPDATE lease SET started_at = leased_at - interval '1 s', hard_deadline = now()", "lease_order_check"),
        (
            "INSERT INTO run_end SELECT run_id, ns_id, run_id, 1, now(), 1, 'pass', NULL, NULL, 0, false, NULL, NULL, NULL,
                    NULL, 'complete', 0, 0 FROM lease",
            "run_end_pass_check",
        ),
        (
            "INSERT INTO run_end SELECT run_id, ns_id, run_id, 1, now(), 1, 'fail', NULL, NULL, 1, true, NULL, NULL, now(),
                    now(), 'complete', 0, 0 FROM lease",
            "run_end_flaky_check",
        ),
        ("INSERT INTO run_event (run_id, state_to, attempt, actor) SELECT run_id, 'finished', 1, 'x' FROM lease", "run_event_result_check"),
        ("INSERT INTO attempt SELECT run_id, 0, lease_id, runner_id, now(), NULL, now(), NULL, NULL, NULL, NULL, NULL,
                 'complete', 0, 0, NULL, 0, 0, NULL FROM lease", "attempt_number_check"),
    ] {
        let refused = lab.execute(statement).await.expect_err(statement);
        assert_eq!(refused.as_database_error().and_then(|error| error.constraint()), Some(constraint), "{refused}");
    }
}
