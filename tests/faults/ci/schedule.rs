//! Two thousand schedules that are due in the same instant. That instants are right over years and in all zones, with
//! clocks that go forward and back, is row 37: the oracle tests of the crate of words, `shared/src/schedule/tests`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DurationRound, Timelike, Utc};
use serde_json::json;
use tstr_proto::v1 as pb;
use tstr_shared::permission::Scope;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::checker::{Expected, product};
use tstr_tests::{Person, eventually, factory};
use uuid::Uuid;

use crate::wire::Wire;

const TESTS: usize = 2000;
/// How many slots there are; the flooded namespace may have all of them.
const SLOTS: usize = 8;
/// How long a run holds its slot.
const SLOT_TIME: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_36_two_thousand_ticks_at_one_instant_make_each_run_once_and_hold_nobody_up() {
    let mut arena = Arena::start(Plan::short(0, 0)).await;
    let admin = arena.admin();
    admin.patch("/api/v1/namespaces/default", &json!({"quotas": {"max_running": null}})).await.expect(200);
    admin.post("/api/v1/namespaces", &json!({"name": "quiet"})).await.expect(201);
    // Half an hour ago, and not again for as long: nothing comes due while the tests are registered.
    let instant = Utc::now().duration_trunc(chrono::Duration::minutes(1)).unwrap() - chrono::Duration::minutes(30);
    let cron = format!("{} * * * *", instant.minute());
    let mut making = Vec::new();
    for part in 0..8 {
        let (driver, cron) = (arena.driver.clone(), cron.clone());
        making.push(tokio::spawn(async move {
            for number in (part..TESTS).step_by(8) {
                let test = factory::with(factory::test(&format!("t{number}")), "/cron_schedule", json!(cron));
                driver.register(&factory::with(test, "/start_deadline", json!("2h"))).await;
            }
        }));
    }
    for one in making {
        one.await.unwrap();
    }
    arena.driver.register_in("quiet", &factory::test("quiet")).await;
    let once = |name: String| Expected { test: name, cells: product(&[]), instants: BTreeSet::from([instant]) };
    arena.evidence.schedules = Some((0..TESTS).map(|number| once(format!("t{number}"))).collect());

    let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Runner], &[".*"])).await.expect(201);
    let (stop, worker) = (Arc::new(AtomicBool::new(false)), Uuid::new_v4());
    let token = issued["token"].as_str().unwrap().to_owned();
    let grpc: Vec<String> = arena.replicas.iter().flatten().map(|one| format!("http://{}", one.grpc)).collect();
    let working = tokio::spawn(work(grpc, token, worker, stop.clone()));
    let mut conn = arena.connect().await;
    sqlx::query("UPDATE schedule SET next_at = $1").bind(instant).execute(&mut conn).await.unwrap();
    let due = Instant::now();

    // Meanwhile the API answers, and another namespace's runs start within the time of a slot, though none is free.
    let made = "SELECT count(*) FROM run WHERE trigger = 'schedule'";
    let (mut waits, mut all_made) = (Vec::new(), None);
    let answers = look(Person::new(arena.json.url(), admin.token().map(str::to_owned)), stop.clone());
    let answers = tokio::spawn(answers);
    for number in 0..6 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        eventually("the flood has every slot", Duration::from_secs(10), async || {
            let held = "SELECT count(*) FROM lease l JOIN namespace n ON n.id = l.ns_id WHERE n.name = 'default'";
            let held: i64 = sqlx::query_scalar(held).fetch_one(&mut conn).await.unwrap();
            (held == SLOTS as i64).then_some(())
        })
        .await;
        let count: i64 = sqlx::query_scalar(made).fetch_one(&mut conn).await.unwrap();
        if count as usize == TESTS {
            all_made.get_or_insert(due.elapsed());
        }
        let body = tstr_tests::driver::marked(&format!("quiet-{number}"));
        let asked = tstr_tests::checker::Asked::Runs;
        let path = "/api/v1/namespaces/quiet/tests/quiet/runs";
        let (known, _) = arena.driver.insist(asked, &format!("quiet-{number}"), path, &body).await;
        let tstr_tests::checker::Known::Done(runs) = known else { panic!("{known:?}") };
        let leased = format!(
            "SELECT to_jsonb(extract(epoch FROM v.at - r.created_at)) FROM run_event v JOIN run r ON r.id = v.run_id
             WHERE v.run_id = '{}' AND v.state_to = 'leased'",
            runs[0]
        );
        let wait = eventually("the quiet namespace's run is leased", Duration::from_secs(10), async || {
            let query = sqlx::query_scalar::<_, serde_json::Value>(sqlx::AssertSqlSafe(leased.clone()));
            query.fetch_optional(&mut conn).await.unwrap()?.as_f64()
        })
        .await;
        waits.push(wait);
    }
    eventually("every tick has made its run", Duration::from_secs(30), async || {
        let count: i64 = sqlx::query_scalar(made).fetch_one(&mut conn).await.unwrap();
        (count as usize == TESTS).then(|| all_made.get_or_insert(due.elapsed()))?;
        Some(())
    })
    .await;
    // What waits for a slot is not what this is about: the rest is done quickly.
    stop.store(true, Ordering::Relaxed);
    let mut answers = answers.await.unwrap();
    working.await.unwrap();
    drain(&arena).await;
    answers.sort();
    let p99 = answers[answers.len() * 99 / 100];
    eprintln!(
        "all made after {all_made:?}; p99 of {} answers {p99:?}; other namespace waited {waits:.3?} s",
        answers.len()
    );
    assert!(p99 < Duration::from_secs(1), "p99 of the API's answers is {p99:?}");
    let longest = waits.iter().copied().fold(0.0, f64::max);
    let bound = (SLOT_TIME + Duration::from_millis(500)).as_secs_f64();
    assert!(longest <= bound, "another namespace's run waited {longest:.3} s for a slot of {SLOT_TIME:?}");
    arena.finish(Duration::from_secs(10)).await;
}

/// Works like a worker whose runs each hold a slot for a time.
async fn work(grpc: Vec<String>, token: String, runner: Uuid, stop: Arc<AtomicBool>) {
    let wires: Vec<Wire> = grpc.iter().map(|url| Wire::new(url, &token, runner)).collect();
    wires[0].register("all", SLOTS as u32).await.unwrap();
    let free = Arc::new(tokio::sync::Semaphore::new(SLOTS));
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        let slot = free.clone().acquire_owned().await.unwrap();
        turn += 1;
        let wire = wires[turn % wires.len()].clone();
        let Some(fence) = wire.claim(1, 500).await.unwrap_or_default().pop() else { continue };
        tokio::spawn(async move {
            wire.start(&fence).await.unwrap();
            tokio::time::sleep(SLOT_TIME).await;
            assert_eq!(wire.finish(&fence, pb::RunResult::Pass, b"").await, Ok(true));
            drop(slot);
        });
    }
    let _ = free.acquire_many(SLOTS as u32).await.unwrap();
}

/// Asks again and again; returns how long each answer took.
async fn look(admin: Person, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        for path in
            ["/api/v1/namespaces/default/runs?page_size=10", "/api/v1/namespaces/quiet/tests", "/api/v1/identity"]
        {
            let began = Instant::now();
            admin.get(path).await.expect(200);
            took.push(began.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    took
}

/// Ends what still waits as fast as it goes.
async fn drain(arena: &Arena) {
    let queued = "SELECT coalesce(jsonb_agg(run_id), '[]') FROM ready";
    let runs: Vec<Uuid> = serde_json::from_value(arena.value(queued).await).unwrap();
    let admin = arena.admin();
    let mut ended = Vec::new();
    for part in runs.chunks(runs.len() / 8 + 1) {
        let (admin, part) = (admin.clone(), part.to_vec());
        ended.push(tokio::spawn(async move {
            for run in part {
                let answer = admin.post(&format!("/api/v1/runs/{run}/cancel"), &json!({})).await;
                assert!(answer.status.is_success(), "{}", answer.text());
            }
        }));
    }
    for one in ended {
        one.await.unwrap();
    }
}
