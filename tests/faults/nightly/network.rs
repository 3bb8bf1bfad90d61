//! Networks that lose one direction, are slow, or leave connections half open.

use std::time::{Duration, Instant};

use serde_json::json;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::balancer::{Road, Weather};
use tstr_tests::checker::boot_nanos;
use tstr_tests::room::{Room, by_root};
use tstr_tests::{eventually, factory};

use crate::load;

/// Within this time a dead peer is found out, for the connection is asked after 10 s of silence and may take as long to
/// answer.
const DEAD_PEER: Duration = Duration::from_secs(20);
/// What a new connection and a repeated call may take on a busy machine.
const BUSY: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_09_a_worker_that_is_heard_but_hears_nothing_gives_its_run_up() {
    let arena = Arena::start(Plan::short(2, 1)).await;
    arena.driver.register(&factory::witness("t", "[ $TSTR_ATTEMPT -ge 2 ] || sleep 40")).await;
    let run = arena.driver.trigger("t", "the one").await;
    let holder = arena.held_by(run).await;
    eventually("its container is seen", Duration::from_secs(10), async || arena.last_seen(run, 1)).await;
    // Its words arrive, the answers do not.
    arena.posts[holder].link.set_weather(Weather { to_client: Road::Closed, ..Weather::default() });
    let cut = boot_nanos();
    arena.settle(Duration::from_secs(45)).await;
    let (story, last) = (arena.story(run).await, arena.last_seen(run, 1).unwrap());
    assert_eq!((&story["result"], &story["attempts"][0]["reason"]), (&json!("pass"), &json!("lost_worker")), "{story}");
    // The claim of the deaf worker may be given the run as well: it comes back, for nobody mentions that lease.
    let (first, last_one) = (&story["attempts"][0], story["attempts"].as_array().unwrap().last().unwrap());
    assert_ne!(first["runner"], last_one["runner"], "{story}");
    let lived = (last - cut) as f64 / 1e9;
    assert!(lived < 6.0, "its container lived on for {lived:.2} s");
    arena.posts[holder].link.set_weather(Weather::default());
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_11_a_slow_network_and_half_open_connections_lose_no_attempt() {
    let arena = Arena::start(Plan::ordinary(2, 2)).await;
    arena.driver.register(&factory::witness("t", "for i in 1 2 3; do echo $i; sleep 0.3; done")).await;
    let slow = Road::Slow(Duration::from_millis(400), Duration::from_millis(600));
    for post in &arena.posts {
        post.link.set_weather(Weather { to_server: slow, to_client: slow });
    }
    load::trigger(&arena.driver, "t", 12, Duration::from_millis(200)).await.unwrap();
    arena.settle(Duration::from_secs(90)).await;
    for post in &arena.posts {
        post.link.set_weather(Weather::default());
    }
    arena.driver.register(&factory::witness("u", "for i in 1 2 3 4 5; do echo $i; sleep 0.5; done")).await;
    let load = load::trigger(&arena.driver, "u", 12, Duration::from_millis(500));
    arena.running(3).await;
    let wall = arena.value("SELECT to_jsonb(clock_timestamp())").await;
    let before: Vec<usize> = arena.posts.iter().map(|post| post.link.made()).collect();
    let stranded = Instant::now();
    for post in &arena.posts {
        post.link.strand();
    }
    for (post, before) in arena.posts.iter().zip(before) {
        eventually("a worker finds out that its peer is dead", DEAD_PEER + BUSY, async || {
            (post.link.made() > before).then_some(())
        })
        .await;
        eprintln!("a dead peer was found out after {:.1} s", stranded.elapsed().as_secs_f64());
    }
    load.await.unwrap();
    arena.settle(Duration::from_secs(60)).await;
    // What the API heard first of each worker after that; what it was just hearing then does not count.
    let heard = format!(
        "SELECT jsonb_object_agg(name, secs) FROM (
             SELECT w.name, extract(epoch FROM min(v.at) - {wall}::timestamptz) AS secs
             FROM run_event v JOIN attempt a USING (run_id, attempt) JOIN runner w ON w.id = a.runner_id
             WHERE v.at > {wall}::timestamptz + interval '2 s' GROUP BY w.name) t",
        wall = format!("'{}'", wall.as_str().unwrap())
    );
    let heard = arena.value(&heard).await;
    eprintln!("work went on after {heard} s");
    for post in ["w1", "w2"] {
        let secs = heard[post].as_f64().unwrap_or_else(|| panic!("{post} was heard of again: {heard}"));
        assert!(secs <= (DEAD_PEER + BUSY).as_secs_f64(), "{post} went on after {secs:.1} s");
    }
    assert_eq!(
        arena.count("attempt WHERE attempt > 1 OR result IS DISTINCT FROM 'pass'").await,
        0,
        "no attempt is lost"
    );
    arena.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_10_a_network_that_loses_three_packets_of_ten_loses_no_run_and_no_byte() {
    if by_root(row_10_a_network_that_loses_three_packets_of_ten_loses_no_run_and_no_byte) {
        return;
    }
    let mut arena = Arena::prepare(Plan::ordinary(2, 2)).await;
    let mut roads = Vec::new();
    for post in 0..2 {
        let room = Room::open();
        let cable = room.cable();
        arena.link_at(post, &format!("{}:0", cable.here)).await;
        arena.posts[post].site.behind = room.with_network();
        roads.push((room, cable));
    }
    arena.start_workers().await;
    for (room, cable) in &roads {
        room.spoil(cable, 30, 256);
    }
    let chatty = "for i in 1 2 3 4; do head -c 4000 /dev/urandom | base64; sleep 0.5; done";
    arena.driver.register(&factory::witness("t", chatty)).await;
    load::trigger(&arena.driver, "t", 16, Duration::from_millis(500)).await.unwrap();
    arena.settle(Duration::from_secs(240)).await;
    let lost: Vec<u64> = roads.iter().map(|(room, _)| room.lost()).collect();
    eprintln!("packets lost: {lost:?}");
    assert!(lost.iter().all(|lost| *lost > 50), "the networks were bad: {lost:?}");
    assert_eq!(
        arena.count("attempt WHERE attempt > 1 OR result IS DISTINCT FROM 'pass'").await,
        0,
        "no attempt is lost"
    );
    assert_eq!(arena.count("attempt WHERE log_status <> 'complete'").await, 0, "no byte is lost");
    for (room, cable) in &roads {
        room.mend(cable);
    }
    arena.finish(Duration::from_secs(10)).await;
}
