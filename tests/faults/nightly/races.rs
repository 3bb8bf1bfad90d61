//! Calls that meet: cancels, finishes and starts of the same run; pieces of a log in any order.

use std::time::Duration;

use serde_json::json;
use tstr_proto::v1 as pb;
use tstr_shared::error::ErrorCode;
use tstr_shared::permission::Scope;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::factory;
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
