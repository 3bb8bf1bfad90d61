//! What slows a queue down is seen before it does.

use std::time::Duration;

use serde_json::json;
use sqlx::Executor;
use tstr_api::turns;
use tstr_shared::permission::Scope;
use tstr_shared::selector::SelectorSources;
use tstr_shared::testdef::Priority;
use tstr_tests::Lab;
use tstr_tests::contract::Worker;

#[tokio::test]
async fn a_forgotten_transaction_runs_that_nobody_takes_and_long_waits_are_seen() {
    let lab = Lab::start().await;
    let calm = turns::take_vitals(lab.ops()).await.unwrap();
    assert!(calm.database.oldest_snapshot_secs < 1.0, "{calm:?}");
    assert_eq!((calm.unserved, calm.waits_ms.iter().map(|(_, wait)| wait).sum::<i64>()), (0, 0), "{calm:?}");

    let mut forgotten = lab.db.connect().await;
    forgotten.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM ready LIMIT 1").await.unwrap();
    let served = lab.run_of(&[("/labels", json!({"region": "nyc"})), ("/priority", json!("high"))]).await;
    lab.run_of(&[("/labels", json!({"region": "mars"}))]).await;
    let takes = SelectorSources { accept: [("region".into(), "nyc".into())].into(), ..SelectorSources::default() };
    let worker = Worker::register(lab.ops(), lab.caller(&[Scope::Runner], &[".*"]), "w", takes).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    // A look makes the classes known that the runs have.
    turns::refresh_lanes(lab.ops()).await.unwrap();
    let seen = turns::take_vitals(lab.ops()).await.unwrap();
    assert!((1.0..60.0).contains(&seen.database.oldest_snapshot_secs), "{seen:?}");
    assert_eq!(seen.unserved, 2, "no runner is known yet: {seen:?}");
    for (priority, wait) in &seen.waits_ms {
        let waits = matches!(priority, Priority::High | Priority::Normal);
        assert_eq!((1_000..60_000).contains(wait), waits, "{seen:?}");
        assert_eq!(*wait == 0, !waits, "{seen:?}");
    }
    assert_eq!(worker.claim(5).await.iter().map(|run| run.fence.run_id).collect::<Vec<_>>(), [served]);
    let seen = turns::take_vitals(lab.ops()).await.unwrap();
    assert_eq!(seen.unserved, 1, "{seen:?}");
    assert_eq!(seen.waits_ms[Priority::High as usize].1, 0, "{seen:?}");
}
