//! Clocks that are wrong, or are set while the product works.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, DurationRound, Timelike, Utc};
use serde_json::json;
use tstr_proto::v1 as pb;
use tstr_shared::permission::Scope;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::checker::{Expected, product};
use tstr_tests::clock::WrongClock;
use tstr_tests::postgres::Stop;
use tstr_tests::{Person, eventually, factory};
use uuid::Uuid;

use crate::load;
use crate::wire::Wire;

const HOUR: i64 = 3600;

/// Reads the database's clock.
async fn now(arena: &Arena) -> DateTime<Utc> {
    serde_json::from_value(arena.value("SELECT to_jsonb(clock_timestamp())").await).unwrap()
}

/// Lets the database go by a clock, and the replicas by others.
async fn set_up(arena: &mut Arena, clock: &WrongClock, replicas: &[WrongClock]) {
    for index in 0..3 {
        arena.kill_replica(index);
    }
    arena.pg.stop(Stop::Fast);
    arena.pg.env = clock.env();
    arena.pg.start_again();
    for index in 0..3 {
        let env = replicas.get(index).map(WrongClock::env).unwrap_or_default();
        arena.start_replica_in(index, &env).await;
    }
}

/// Waits until the minute of the database's clock is young, so that what follows happens in one minute.
async fn early_in_a_minute(arena: &Arena) -> DateTime<Utc> {
    eventually("a new minute begins", Duration::from_secs(65), async || {
        let now = now(arena).await;
        (2..15).contains(&now.second()).then_some(now)
    })
    .await
}

fn minute(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(chrono::Duration::minutes(1)).unwrap()
}

/// Lists the minutes from one instant to another, both of them included.
fn minutes(from: DateTime<Utc>, to: DateTime<Utc>) -> BTreeSet<DateTime<Utc>> {
    (0..=(to - from).num_minutes()).map(|n| from + chrono::Duration::minutes(n)).collect()
}

fn each_minute(name: &str, catch_up: &str) -> serde_json::Value {
    let test = factory::with(factory::test(name), "/cron_schedule", json!("* * * * *"));
    factory::with(factory::with(test, "/catch_up", json!(catch_up)), "/start_deadline", json!("2h"))
}

/// Nothing comes due any more.
async fn stop_schedules(arena: &Arena) {
    sqlx::query("DELETE FROM schedule").execute(&mut arena.connect().await).await.unwrap();
}

/// Passes everything that waits.
async fn pass_all(arena: &Arena, wire: &Wire) {
    while arena.count("ready").await > 0 {
        for fence in wire.claim(50, 200).await.unwrap() {
            wire.start(&fence).await.unwrap();
            assert_eq!(wire.finish(&fence, pb::RunResult::Pass, b"").await, Ok(true));
        }
    }
}

async fn wire(arena: &Arena, name: &str) -> Wire {
    let admin = arena.admin();
    let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Runner], &["default"])).await.expect(201);
    let grpc = format!("http://{}", arena.replicas[2].as_ref().unwrap().grpc);
    let wire = Wire::new(&grpc, issued["token"].as_str().unwrap(), Uuid::new_v4());
    wire.register(name, 50).await.unwrap();
    wire
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_22_workers_whose_clocks_are_wrong_and_are_set_lose_no_lease() {
    let mut arena = Arena::prepare(Plan::short(2, 2)).await;
    let clocks = [WrongClock::off_by(HOUR), WrongClock::off_by(-HOUR)];
    for (post, clock) in arena.posts.iter_mut().zip(&clocks) {
        post.site.env = clock.env();
    }
    arena.start_workers().await;
    let began = now(&arena).await;
    arena.driver.register(&factory::witness("t", "for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 1; done")).await;
    load::trigger(&arena.driver, "t", 8, Duration::from_millis(200)).await.unwrap();
    arena.running(4).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    // One is set back while its runs go on, the other forward.
    clocks[0].set(HOUR - 30);
    clocks[1].set(30 - HOUR);
    arena.settle(Duration::from_secs(60)).await;
    let off = "SELECT to_jsonb(array_agg(DISTINCT round(extract(epoch FROM k.reported_at - a.started_at) / 3600)))
               FROM log_chunk k JOIN attempt a USING (run_id, attempt)";
    assert_eq!(arena.value(off).await, json!([-1, 1]), "the workers' clocks were wrong");
    assert_eq!(
        arena.count("attempt WHERE attempt > 1 OR result IS DISTINCT FROM 'pass'").await,
        0,
        "no attempt is lost"
    );
    let ended = now(&arena).await;
    let foreign = format!(
        "attempt WHERE NOT ('{began}' <= leased_at AND leased_at <= started_at AND started_at <= ended_at
                            AND ended_at <= '{ended}' AND ended_at - started_at BETWEEN interval '8 s' AND interval '1 min')"
    );
    assert_eq!(arena.count(&foreign).await, 0, "what is stored is the database's time");
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_23_replicas_with_wrong_clocks_and_a_database_whose_clock_is_set_lose_nothing() {
    let mut arena = Arena::prepare(Plan::short(0, 0)).await;
    let (clock, wrong) = (WrongClock::off_by(0), [WrongClock::off_by(600), WrongClock::off_by(-600)]);
    set_up(&mut arena, &clock, &wrong).await;
    let replicas: Vec<String> = arena.replicas.iter().flatten().map(|one| format!("http://{}", one.json)).collect();
    // A token that lives for less than the clocks are wrong is taken by all, whoever has issued it.
    for issuer in &replicas {
        let mut wish = factory::token(&[Scope::Data], &[".*"]);
        wish["expires_in"] = json!("5m");
        let issued = arena.admin().at(issuer).post("/api/v1/tokens", &wish).await.expect(201);
        let token = issued["token"].as_str().unwrap();
        for url in &replicas {
            Person::new(url.clone(), Some(token.to_owned())).get("/api/v1/identity").await.expect(200);
        }
    }
    let mut wish = factory::token(&[Scope::Data], &[".*"]);
    wish["expires_in"] = json!("4m");
    let brief = arena.admin().post("/api/v1/tokens", &wish).await.expect(201)["token"].as_str().unwrap().to_owned();

    // A run is under way, with heartbeats at all replicas in turn, while the database's clock is set.
    arena.driver.register(&factory::test("long")).await;
    let first = early_in_a_minute(&arena).await;
    arena.driver.register(&each_minute("cron", "all")).await;
    let run = arena.driver.trigger("long", "long").await;
    let admin = arena.admin();
    let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Runner], &["default"])).await.expect(201);
    let (token, runner) = (issued["token"].as_str().unwrap(), Uuid::new_v4());
    let grpc = arena.replicas.iter().flatten().map(|one| format!("http://{}", one.grpc));
    let wires: Vec<Wire> = grpc.map(|url| Wire::new(&url, token, runner)).collect();
    wires[2].register("w", 50).await.unwrap();
    let fence = wires[0].claim(1, 5000).await.unwrap().pop().unwrap();
    assert_eq!(fence.run_id, run.to_string());
    wires[1].start(&fence).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let beats = tokio::spawn({
        let (wires, fence, over) = (wires.clone(), fence.clone(), over.clone());
        async move {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                assert_eq!(wires[count % 3].beat(&fence).await, Ok(pb::LeaseState::Held), "after {count} heartbeats");
                count += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            count
        }
    });
    tokio::time::sleep(Duration::from_secs(4)).await;
    clock.set(300);
    // Longer than a lease lives.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(now(&arena).await - Utc::now() > chrono::Duration::seconds(290), "the database's clock was set");
    let last = early_in_a_minute(&arena).await;
    let instants = minutes(minute(first) + chrono::Duration::minutes(1), minute(last));
    let made = "run WHERE trigger = 'schedule'";
    eventually("every instant has made its run", Duration::from_secs(10), async || {
        (arena.count(made).await >= instants.len() as i64).then_some(())
    })
    .await;
    stop_schedules(&arena).await;
    over.store(true, Ordering::Relaxed);
    assert!(beats.await.unwrap() > 20);
    assert_eq!(wires[0].finish(&fence, pb::RunResult::Pass, b"").await, Ok(true));
    pass_all(&arena, &wires[2]).await;
    assert_eq!(arena.count("attempt WHERE attempt > 1").await, 0, "no attempt is lost");
    for url in &replicas {
        let late = Person::new(url.clone(), Some(brief.clone()));
        late.get("/api/v1/identity").await.refused(401, "unauthenticated");
    }
    let cron = Expected { test: "cron".into(), cells: product(&[]), instants };
    arena.evidence.schedules = Some(vec![cron]);
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_38_a_thousand_instants_without_a_scheduler_are_made_up_for_as_each_test_says() {
    const EACH: usize = 17;
    let mut arena = Arena::prepare(Plan::short(0, 0)).await;
    let clock = WrongClock::off_by(0);
    set_up(&mut arena, &clock, &[]).await;
    let first = early_in_a_minute(&arena).await;
    for number in 0..EACH {
        for catch_up in ["all", "last", "none"] {
            arena.driver.register(&each_minute(&format!("{catch_up}-{number}"), catch_up)).await;
        }
    }
    for index in 0..3 {
        arena.kill_replica(index);
    }
    // Twenty minutes and more than a thousand instants go by.
    clock.set(20 * 60);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let missed = minute(first) + chrono::Duration::minutes(1);
    let last = early_in_a_minute(&arena).await;
    for index in 0..3 {
        arena.start_replica(index).await;
    }
    let every = minutes(missed, minute(last));
    assert!(every.len() * EACH * 3 > 1000, "{} instants of each test", every.len());
    let due = BTreeSet::from([minute(last)]);
    let expected = ["all", "last", "none"].into_iter().flat_map(|catch_up| {
        let instants = if catch_up == "all" { every.clone() } else { due.clone() };
        (0..EACH).map(move |number| Expected {
            test: format!("{catch_up}-{number}"),
            cells: product(&[]),
            instants: instants.clone(),
        })
    });
    let expected: Vec<Expected> = expected.collect();
    let total: usize = expected.iter().map(|one| one.instants.len()).sum();
    let made = "run WHERE trigger = 'schedule'";
    eventually("what was missed is made up for", Duration::from_secs(20), async || {
        (arena.count(made).await >= total as i64).then_some(())
    })
    .await;
    // The clock goes back over all of it: nothing is made a second time.
    clock.set(20 * 60 - HOUR);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(Utc::now() - now(&arena).await > chrono::Duration::minutes(30), "the database's clock was set back");
    assert_eq!(arena.count(made).await, total as i64);
    stop_schedules(&arena).await;
    clock.set(20 * 60);
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Every instant has its line in the ledger, made or missed.
    let lines = "SELECT to_jsonb(sum(instants)) FROM ledger";
    assert_eq!(arena.value(lines).await, json!(every.len() * EACH * 3));
    let wire = wire(&arena, "w").await;
    pass_all(&arena, &wire).await;
    arena.evidence.schedules = Some(expected);
    arena.finish(Duration::from_secs(10)).await;
}

/// What the ledger says of each instant of a test: a line for itself, or a part of a line for a stretch of them.
async fn told_of(arena: &Arena, test: &str) -> Vec<(DateTime<Utc>, String)> {
    let lines = format!(
        "SELECT jsonb_agg(jsonb_build_array(l.scheduled_for, coalesce(l.until, l.scheduled_for), l.instants,
                                            concat_ws(' ', l.outcome, l.reason)) ORDER BY l.scheduled_for)
         FROM ledger l JOIN test t ON t.id = l.test_id WHERE t.name = '{test}'"
    );
    let lines: Vec<(DateTime<Utc>, DateTime<Utc>, usize, String)> =
        serde_json::from_value(arena.value(&lines).await).unwrap();
    let mut told = Vec::new();
    for (from, to, instants, word) in lines {
        let stretch = minutes(from, to);
        assert_eq!(stretch.len(), instants, "the line from {from} to {to} of {test} counts its instants");
        told.extend(stretch.into_iter().map(|at| (at, word.clone())));
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_38_of_hundreds_of_missed_instants_no_more_than_a_hundred_are_made_up_for_and_each_is_told_once() {
    const CAP: usize = 100;
    const AWAY: i64 = 5 * HOUR;
    let mut arena = Arena::prepare(Plan::short(0, 0)).await;
    let clock = WrongClock::off_by(0);
    set_up(&mut arena, &clock, &[]).await;
    let first = early_in_a_minute(&arena).await;
    // Nothing holds them back but what they ask for: how many come at once is how many are made.
    for (name, catch_up, deadline) in
        [("all", "all", "7d"), ("recent", "all", "1h"), ("last", "last", "7d"), ("none", "none", "7d")]
    {
        let test = factory::with(each_minute(name, catch_up), "/start_deadline", json!(deadline));
        arena.driver.register(&factory::with(test, "/concurrency", json!({"policy": "allow"}))).await;
    }
    for index in 0..3 {
        arena.kill_replica(index);
    }
    clock.set(AWAY);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let last = minute(early_in_a_minute(&arena).await);
    for index in 0..3 {
        arena.start_replica(index).await;
    }
    let every: Vec<_> = minutes(minute(first) + chrono::Duration::minutes(1), last).into_iter().collect();
    assert!(every.len() >= 3 * CAP, "{} instants were missed", every.len());
    // Of each test: how many of the newest instants run, and why the others do not. An instant is late by some seconds
    // more than by whole minutes, so of those of an hour that were missed the oldest is too late.
    let policies = [
        ("all", CAP, "missed catch_up"),
        ("recent", 60, "missed deadline"),
        ("last", 1, "missed catch_up"),
        ("none", 1, "missed catch_up"),
    ];
    let made = "run WHERE trigger = 'schedule'";
    let total: usize = policies.iter().map(|(_, ran, _)| ran).sum();
    eventually("what was missed is made up for", Duration::from_secs(20), async || {
        (arena.count(made).await >= total as i64).then_some(())
    })
    .await;
    // Whatever a second look would make is made by now.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(minute(now(&arena).await), last, "no other instant has come meanwhile");
    stop_schedules(&arena).await;
    assert_eq!(arena.count(made).await, total as i64, "nothing beyond the cap, and nothing twice");
    let mut expected = Vec::new();
    for (name, ran, why) in policies {
        let (missed, run) = every.split_at(every.len() - ran);
        let wanted = missed.iter().map(|at| (*at, why.to_owned()));
        let wanted: Vec<_> = wanted.chain(run.iter().map(|at| (*at, "ran".to_owned()))).collect();
        let told = told_of(&arena, name).await;
        let wrong = wanted.iter().zip(&told).find(|(wanted, told)| wanted != told);
        assert_eq!(
            (told.len(), wrong),
            (every.len(), None),
            "of {name} every instant is told once, and what became of it"
        );
        let instants = run.iter().copied().collect();
        expected.push(Expected { test: name.into(), cells: product(&[]), instants });
    }
    let wire = wire(&arena, "w").await;
    pass_all(&arena, &wire).await;
    arena.evidence.schedules = Some(expected);
    arena.finish(Duration::from_secs(10)).await;
}
