//! Connections to the database that carry nothing any more, and say nothing of it.

use std::time::Duration;

use tstr_tests::arena::{Arena, Plan};
use tstr_tests::factory;
use tstr_tests::road::Road;

use crate::load;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_48_connections_to_the_database_that_are_dead_without_a_word_cost_no_attempt() {
    let mut arena = Arena::prepare(Plan::ordinary(2, 2)).await;
    let mut roads = Vec::new();
    for index in 0..3 {
        let road = Road::open().await;
        let dsn = road.lead_to(&arena.dsn());
        arena.kill_replica(index);
        arena.start_replica_on(index, &dsn).await;
        roads.push(road);
    }
    arena.start_workers().await;
    arena.driver.register(&factory::witness("t", "for i in 1 2 3; do echo $i; sleep 0.5; done")).await;
    let load = load::trigger(&arena.driver, "t", 40, Duration::from_millis(250));
    arena.running(3).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    arena.remember().await;
    for road in &roads {
        road.network.strand();
    }
    load.await.unwrap();
    arena.settle(Duration::from_secs(90)).await;
    assert_eq!(
        arena.count("attempt WHERE attempt > 1 OR result IS DISTINCT FROM 'pass'").await,
        0,
        "no attempt is lost"
    );
    arena.finish(Duration::from_secs(10)).await;
}
