//! Calls that meet: cancels, finishes and starts of the same run; pieces of a log in any order.

use std::time::Duration;

use serde_json::{Value, json};
use tstr_proto::v1 as pb;
use tstr_shared::error::ErrorCode;
use tstr_shared::permission::Scope;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::checker::Known;
use tstr_tests::{Person, factory};
use uuid::Uuid;

use crate::load::Dice;
use crate::wire::Wire;

/// How many pairs of calls meet.
const PAIRS: usize = 1000;

async fn wires(arena: &Arena, name: &str) -> Vec<Wire> {
    let admin = arena.admin();
    let issued = admin.post("/api/v1/tokens", &factory::token(&[Scope::Runner], &["default"])).await.expect(201);
    let (token, runner) = (issued["token"].as_str().unwrap(), Uuid::new_v4());
    let grpc = arena.replicas.iter().flatten().map(|replica| format!("http://{}", replica.grpc));
    let wires: Vec<Wire> = grpc.map(|url| Wire::new(&url, token, runner)).collect();
    wires[0].register(name, 100).await.unwrap();
    wires
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_44_of_two_calls_that_meet_one_wins_and_the_other_is_told() {
    let mut dice = Dice::of(44);
    let arena = Arena::start(Plan::short(0, 0)).await;
    arena.driver.register(&factory::test("t")).await;
    let (admin, wires) = (arena.admin(), wires(&arena, "racer").await);
    let (mut cancelled, mut passed) = (0, 0);
    for number in 0..PAIRS {
        let run = arena.driver.trigger("t", &format!("race-{number}")).await;
        let cancel = async |wait: Duration| {
            tokio::time::sleep(wait).await;
            admin.post(&format!("/api/v1/runs/{run}/cancel"), &json!({})).await
        };
        let wait = Duration::from_micros(dice.throw(6000));
        let there = wires[dice.throw(3) as usize].clone();
        let meet = dice.throw(3);
        // A cancel meets the claim, the start or the end of a run.
        let works = async || {
            let fence = there.claim(1, 300).await.unwrap().pop()?;
            Some((there.start(&fence).await.is_ok(), fence))
        };
        let (answer, held) = match meet {
            0 => {
                let (answer, held) = tokio::join!(cancel(wait), works());
                (answer, held.filter(|(started, _)| *started).map(|(_, fence)| fence))
            }
            1 => {
                let fence = there.claim(1, 3000).await.unwrap().pop().unwrap();
                let (answer, started) = tokio::join!(cancel(wait), there.start(&fence));
                (answer, started.is_ok().then_some(fence))
            }
            _ => {
                let (_, fence) = works().await.unwrap();
                let (answer, done) = tokio::join!(cancel(wait), there.finish(&fence, pb::RunResult::Pass, b""));
                assert_eq!(done, Ok(true), "the end of a running run stands whoever cancels it");
                (answer, None)
            }
        };
        if let Some(fence) = held {
            assert_eq!(there.finish(&fence, pb::RunResult::Pass, b"").await, Ok(true));
        }
        let truth = admin.run(&run.to_string()).await;
        match answer.status.as_u16() {
            200 | 202 => {}
            409 => drop(answer.refused(409, "conflict")),
            other => panic!("a cancel was answered with {other}: {}", answer.text()),
        }
        assert_eq!(truth["state"], "finished", "{truth}");
        match truth["result"].as_str() {
            Some("cancelled") => cancelled += 1,
            Some("pass") => passed += 1,
            other => panic!("{other:?}: {truth}"),
        }
    }
    eprintln!("{cancelled} cancels won, {passed} came too late");
    assert!(cancelled > 50 && passed > 50, "both happen: {cancelled} and {passed}");
    arena.finish(Duration::from_secs(10)).await;
}

/// Rows that belong to nothing: what each of them should belong to is not there.
async fn orphans(arena: &Arena) -> Value {
    const BELONG: [(&str, &str, &str, &str); 15] = [
        ("run", "test_id", "test", "id"),
        ("run", "ns_id", "namespace", "id"),
        ("run", "class_id", "class", "id"),
        ("run", "config_id", "config", "id"),
        ("run_end", "run_id", "run", "id"),
        ("run_event", "run_id", "run", "id"),
        ("ready", "run_id", "run", "id"),
        ("delayed", "run_id", "run", "id"),
        ("gated", "run_id", "run", "id"),
        ("lease", "run_id", "run", "id"),
        ("cancel_order", "run_id", "run", "id"),
        ("(SELECT run_id FROM attempt UNION SELECT run_id FROM log_chunk)", "run_id", "run", "id"),
        ("ledger", "test_id", "test", "id"),
        ("schedule", "test_id", "(SELECT id FROM test WHERE deleted_at IS NULL)", "id"),
        ("paused_schedule", "test_id", "(SELECT id FROM test WHERE deleted_at IS NULL)", "id"),
    ];
    let counts: Vec<String> = BELONG
        .iter()
        .map(|(of, by, to, id)| {
            format!(
                "SELECT '{of} without its {by}' AS what, count(*) AS rows FROM {of} o
                 WHERE NOT EXISTS (SELECT FROM {to} b WHERE b.{id} = o.{by})"
            )
        })
        .collect();
    let found = format!("SELECT jsonb_object_agg(what, rows) FROM ({}) t WHERE rows > 0", counts.join(" UNION ALL "));
    arena.value(&found).await
}

/// What a test's deletion meets.
const MEETS: [&str; 6] = ["a trigger", "the claim", "the start", "the end", "another deletion", "a change"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_44_a_test_that_is_deleted_while_others_work_with_it_leaves_whole_runs_and_nothing_else() {
    const EACH: usize = 80;
    let mut dice = Dice::of(45);
    let arena = Arena::start(Plan::short(0, 0)).await;
    let (admin, wires) = (arena.admin(), wires(&arena, "racer").await);
    let everywhere: Vec<Person> =
        arena.replicas.iter().flatten().map(|replica| admin.at(format!("http://{}", replica.json))).collect();
    // How often the deletion came first, and second.
    let (mut first, mut second) = ([0; 6], [0; 6]);
    for number in 0..EACH * MEETS.len() {
        let (meet, name) = (number % MEETS.len(), format!("t{number}"));
        let path = format!("/api/v1/namespaces/default/tests/{name}");
        // On a schedule that is not due now.
        let test = factory::with(factory::test(&name), "/cron_schedule", json!("0 0 1 1 *"));
        arena.driver.register(&test).await;
        let run = arena.driver.trigger(&name, &format!("{name}-first")).await.to_string();
        let there = wires[dice.throw(3) as usize].clone();
        let (here, other) = (&everywhere[dice.throw(3) as usize], &everywhere[dice.throw(3) as usize]);
        let (wait, late) = (Duration::from_micros(dice.throw(5000)), Duration::from_micros(dice.throw(5000)));
        let delete = async |person: &Person, wait: Duration| {
            tokio::time::sleep(wait).await;
            person.delete(&path).await
        };
        let works = async |fence: &pb::Fence| {
            assert_eq!(there.start(fence).await, Ok(()), "its runs stay");
            assert_eq!(there.finish(fence, pb::RunResult::Pass, b"").await, Ok(true), "its runs stay");
        };
        let claimed = async || there.claim(1, 3000).await.unwrap().pop().expect("its runs stay");
        let mut came_first = None;
        let gone = match MEETS[meet] {
            "a trigger" => {
                let mark = format!("{name}-second");
                let more = async {
                    tokio::time::sleep(late).await;
                    arena.driver.trigger_once(&name, &mark).await
                };
                let (gone, more) = tokio::join!(delete(here, wait), more);
                came_first = Some(match more {
                    Known::Done(runs) => {
                        assert_eq!(runs.len(), 1);
                        works(&claimed().await).await;
                        false
                    }
                    Known::Refused(404) => true,
                    known => panic!("{known:?}"),
                });
                works(&claimed().await).await;
                gone
            }
            "the claim" => {
                let (gone, fence) = tokio::join!(delete(here, wait), claimed());
                works(&fence).await;
                gone
            }
            "the start" => {
                let fence = claimed().await;
                let (gone, ()) = tokio::join!(delete(here, wait), works(&fence));
                gone
            }
            "the end" => {
                let fence = claimed().await;
                assert_eq!(there.start(&fence).await, Ok(()));
                let finish = there.finish(&fence, pb::RunResult::Pass, b"");
                let (gone, done) = tokio::join!(delete(here, wait), finish);
                assert_eq!(done, Ok(true), "its runs stay");
                gone
            }
            "another deletion" => {
                let (gone, again) = tokio::join!(delete(here, wait), delete(other, late));
                came_first = Some(gone.status == 204);
                works(&claimed().await).await;
                let (winner, loser) = if gone.status == 204 { (gone, again) } else { (again, gone) };
                loser.refused(404, "not_found");
                winner
            }
            _ => {
                let change = async {
                    tokio::time::sleep(late).await;
                    other.patch(&path, &json!({"annotations": {"changed": "yes"}})).await
                };
                let (gone, changed) = tokio::join!(delete(here, wait), change);
                came_first = Some(changed.status == 404);
                if changed.status == 404 {
                    changed.refused(404, "not_found");
                } else {
                    assert_eq!(changed.expect(200)["annotations"]["changed"], "yes");
                }
                works(&claimed().await).await;
                gone
            }
        };
        assert_eq!(gone.status, 204, "the deletion of {name}, which meets {}: {}", MEETS[meet], gone.text());
        match came_first {
            Some(true) => first[meet] += 1,
            Some(false) => second[meet] += 1,
            None => {}
        }
        here.get(&path).await.refused(404, "not_found");
        let told = admin.run(&run).await;
        assert_eq!((&told["state"], &told["result"]), (&json!("finished"), &json!("pass")), "{told}");
    }
    // Where one of the two must come first.
    for meet in [0, 4, 5] {
        let (what, first, second) = (MEETS[meet], first[meet], second[meet]);
        eprintln!("the deletion met {what}: {first} times it came first, {second} times second");
        assert!(first > 3 && second > 3 && first + second == EACH, "both happen with {what}: {first} and {second}");
    }
    assert_eq!(arena.count("test WHERE deleted_at IS NULL").await, 0);
    assert_eq!(orphans(&arena).await, Value::Null, "rows that belong to nothing");
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_25_pieces_of_a_log_in_any_order_and_any_number_of_times_make_the_one_log() {
    let mut dice = Dice::of(25);
    let arena = Arena::start(Plan::short(0, 0)).await;
    arena.driver.register(&factory::test("t")).await;
    let wires = wires(&arena, "shuffler").await;
    for number in 0..5 {
        arena.driver.trigger("t", &format!("log-{number}")).await;
        let fence = wires[0].claim(1, 3000).await.unwrap().pop().unwrap();
        wires[0].start(&fence).await.unwrap();
        let mut pieces: Vec<(u32, u64, Vec<u8>)> = Vec::new();
        let mut log = Vec::new();
        for seq in 0..100 {
            let bytes: Vec<u8> = (0..=dice.throw(900)).map(|_| dice.throw(256) as u8).collect();
            pieces.push((seq, log.len() as u64, bytes.clone()));
            log.extend(bytes);
        }
        let mut stored = 0;
        while stored < pieces.len() as u32 {
            // Some pieces around the end of what is stored, in any order, some of them repeats, some with other bytes.
            let from = stored.saturating_sub(3) as usize;
            let mut window: Vec<_> = pieces[from..(from + 8).min(pieces.len())].to_vec();
            dice.shuffle(&mut window);
            for (seq, offset, bytes) in window {
                let wire = &wires[dice.throw(3) as usize];
                let mut altered = bytes.clone();
                altered[0] ^= 1;
                if seq < stored && dice.throw(2) == 0 {
                    let refused = wire.append(&fence, &[(seq, offset, &altered)]).await;
                    assert_eq!(refused, Err(Some(ErrorCode::Conflict)), "other bytes for a piece that is stored");
                }
                let (next, _) = wire.append(&fence, &[(seq, offset, &bytes)]).await.unwrap();
                stored += u32::from(seq == stored);
                assert_eq!(next, stored, "nothing is stored behind a gap, and nothing twice");
                // The heartbeats of so long a run.
                assert_eq!(wire.beat(&fence).await, Ok(pb::LeaseState::Held));
            }
        }
        assert_eq!(wires[1].finish(&fence, pb::RunResult::Pass, &log).await, Ok(true));
        let read = arena.admin();
        let path = format!("/api/v1/runs/{}/logs?stream=stdout", fence.run_id);
        let answer = read.send(read.request(reqwest::Method::GET, &path).header("accept", "text/plain")).await;
        assert_eq!(answer.body, log);
    }
    arena.finish(Duration::from_secs(10)).await;
}
