//! P10: a namespace that floods delays the first run of another by one slot time at the most, with every slot taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tstr_api::config::LeaseProfile;
use tstr_shared::run::RunResult;
use tstr_tests::worker::Worker;
use tstr_tests::{Stack, eventually, factory, invariants};

const FLOOD: usize = 10_000;
const CELLS: usize = 250;
const SLOTS: usize = 8;
/// How long a run holds its slot. All begin together, so that for nearly as long no slot becomes free.
const SLOT_TIME: Duration = Duration::from_millis(600);
/// What a claim may take beyond that, on a busy machine.
const CLAIM: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_ten_thousand_runs_delays_another_namespace_by_one_slot_time_though_no_slot_is_free() {
    let stack = Stack::start_with(2, |config| config.lease_times = LeaseProfile::Default).await;
    let admin = stack.admin();
    for name in ["flood", "quiet"] {
        stack.namespace(name).await;
        admin.patch(&format!("/api/v1/namespaces/{name}"), &json!({"quotas": {"max_running": null}})).await.expect(200);
    }
    let values = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
    let axes = json!({"a": values(CELLS / 10), "b": values(10)});
    let flood = factory::with(factory::test("flood"), "/matrix/labels", axes);
    admin.post("/api/v1/namespaces/flood/tests", &flood).await.expect(201);
    admin.post("/api/v1/namespaces/quiet/tests", &factory::test("quiet")).await.expect(201);
    for _ in 0..FLOOD / CELLS {
        assert_eq!(admin.trigger_in("flood", "flood").await.len(), CELLS);
    }

    let (stop, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut slots = Vec::new();
    for slot in 0..SLOTS {
        let worker = Worker::register(&stack, slot % 2, &format!("w{slot}")).await;
        slots.push(tokio::spawn(work(worker, stop.clone(), taken.clone())));
    }
    let mut conn = stack.db.connect().await;
    let mut waits = Vec::new();
    for _ in 0..6 {
        // Every slot is taken by the flood, and as many as there are have just been.
        let held = "SELECT count(*) FROM lease l JOIN namespace n ON n.id = l.ns_id
                    WHERE n.name = 'flood' AND l.started_at IS NOT NULL";
        eventually("the flood has every slot", Duration::from_secs(20), async || {
            let held: i64 = sqlx::query_scalar(held).fetch_one(&mut conn).await.unwrap();
            (held == SLOTS as i64).then_some(())
        })
        .await;
        let run = admin.trigger_in("quiet", "quiet").await.remove(0);
        let waited = "SELECT extract(epoch FROM l.at - q.at)::float8 FROM run_event q, run_event l
                      WHERE q.run_id = $1 AND q.state_from IS NULL AND l.run_id = $1 AND l.state_to = 'leased'";
        let run: uuid::Uuid = run.parse().unwrap();
        let waited = eventually("the quiet namespace gets a slot", Duration::from_secs(10), async || {
            sqlx::query_scalar::<_, f64>(waited).bind(run).fetch_optional(&mut conn).await.unwrap()
        })
        .await;
        waits.push(waited);
    }
    stop.store(true, Ordering::Relaxed);
    for slot in slots {
        slot.await.unwrap();
    }
    let longest = waits.iter().copied().fold(0.0, f64::max);
    eprintln!("waited {waits:.3?} s for a slot of {SLOT_TIME:?}, of {} runs", taken.load(Ordering::Relaxed));
    assert!(longest <= (SLOT_TIME + CLAIM).as_secs_f64(), "waited {waits:.3?} s for a slot of {SLOT_TIME:?}");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM ready").fetch_one(&mut conn).await.unwrap();
    assert!(left > FLOOD as i64 / 2, "it was a flood to the end: {left} wait");
    invariants::check(&mut conn).await;
}

/// One slot: takes the next run, holds it for its time, and so on.
async fn work(worker: Worker, stop: Arc<AtomicBool>, taken: Arc<AtomicUsize>) {
    while !stop.load(Ordering::Relaxed) {
        for run in worker.claim_within(1, Duration::from_secs(5)).await {
            worker.start(run.fence).await.unwrap();
            taken.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(SLOT_TIME).await;
            worker.finish(run.fence, RunResult::Pass).await.unwrap();
        }
    }
}
