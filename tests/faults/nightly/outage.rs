//! The longest absence of the database that is promised to cost nothing.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::factory;
use tstr_tests::postgres::Stop;

use crate::load::{self, Dice};

/// P7: so long may the API or the database be away without an attempt being lost.
const AWAY: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_12_a_database_that_is_away_for_thirty_seconds_costs_no_attempt() {
    let mut dice = Dice::of(30);
    let arena = Arena::start(Plan::ordinary(3, 2)).await;
    // They begin before the outage, write all through it, and end after it.
    let script = "for i in $(seq 50); do echo $i; sleep 1; done";
    arena.driver.register(&factory::witness("t", script)).await;
    load::trigger(&arena.driver, "t", 6, Duration::ZERO).await.unwrap();
    arena.running(6).await;
    // Anywhere between two heartbeats.
    sleep(dice.between(Duration::ZERO, Duration::from_secs(10))).await;
    let gone = Instant::now();
    arena.pg.stop(Stop::Immediate);
    sleep_until(gone + AWAY).await;
    arena.pg.start_again();
    arena.settle(Duration::from_secs(90)).await;
    assert_eq!(arena.count("run_end WHERE result = 'pass' AND attempt = 1 AND log_status = 'complete'").await, 6);
    assert_eq!(arena.count("attempt").await, 6, "no attempt is lost");
    arena.finish(Duration::from_secs(10)).await;
}
