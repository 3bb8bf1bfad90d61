//! Faults of the database: a crash, under the lease times of ordinary operation.

use std::time::Duration;

use tstr_tests::arena::Plan;
use tstr_tests::factory;
use tstr_tests::postgres::Stop;

use crate::bulk;
use crate::load::{self, Dice};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_12_a_crash_of_postgresql_loses_nothing_that_was_acknowledged_and_no_attempt() {
    let mut dice = Dice::of(12);
    let (mut arena, bulk) = bulk::start(Plan::ordinary(2, 2)).await;
    arena.driver.register(&factory::witness("t", "for i in 1 2 3; do echo $i; sleep 0.3; done")).await;
    let load = load::trigger(&arena.driver, "t", 40, Duration::from_millis(300));
    let more = bulk::trigger(&arena, 260, Duration::from_millis(60));
    arena.running(3).await;
    for _ in 0..2 {
        tokio::time::sleep(dice.between(Duration::from_millis(500), Duration::from_millis(1500))).await;
        arena.remember().await;
        arena.pg.stop(Stop::Immediate);
        tokio::time::sleep(Duration::from_secs(5)).await;
        arena.pg.start_again();
    }
    let (made, more) = (load.await.unwrap(), more.await.unwrap());
    assert!(made.repeated > 0 && more.repeated > 0, "the crashes were noticed");
    arena.settle(Duration::from_secs(60)).await;
    assert_eq!(
        arena.count("attempt WHERE attempt > 1 OR result IS DISTINCT FROM 'pass'").await,
        0,
        "no attempt is lost"
    );
    bulk.finish(&arena).await;
    assert!(arena.count("run").await >= 200, "{made:?}, {more:?}");
    arena.finish(Duration::from_secs(10)).await;
}
