//! Many runs that are due at once are made in many short transactions, and an instant of a test in one.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tstr_api::turns;
use tstr_shared::ids::MatrixId;
use tstr_shared::ledger::LedgerOutcome;
use tstr_shared::page::PageRequest;
use tstr_tests::contract::default;
use tstr_tests::{Lab, factory};

use super::{minutely, race, set_next, this_minute};

/// About how many runs a transaction makes.
const ABOUT: usize = 1_000;

/// A test with so many cells, that is due in a year again.
fn wide(name: &str, cells: usize) -> Value {
    // An axis has 64 values at most.
    let columns = cells.div_ceil(64);
    let axis = |values: usize| (0..values).map(|n| n.to_string()).collect::<Vec<_>>();
    let test = factory::with(minutely(name), "/cron_schedule", json!("0 0 1 1 *"));
    factory::with(test, "/matrix", json!({"labels": {"n": axis(cells / columns), "m": axis(columns)}}))
}

async fn count(lab: &Lab, of: &str) -> i64 {
    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {of}")));
    query.fetch_one(&mut lab.db.connect().await).await.unwrap()
}

/// How many runs each transaction made, of each set that it made anything of.
async fn transactions(lab: &Lab) -> Vec<BTreeMap<MatrixId, i64>> {
    let query = "SELECT v.txid::text, r.matrix_id, count(*) FROM run r JOIN run_event v ON v.run_id = r.id AND v.state_to = 'queued'
                 GROUP BY 1, 2";
    let rows: Vec<(String, MatrixId, i64)> =
        sqlx::query_as(query).fetch_all(&mut lab.db.connect().await).await.unwrap();
    let mut found: BTreeMap<String, BTreeMap<MatrixId, i64>> = BTreeMap::new();
    for (transaction, set, runs) in rows {
        found.entry(transaction).or_default().insert(set, runs);
    }
    found.into_values().collect()
}

#[tokio::test]
async fn a_transaction_makes_a_thousand_runs_and_cuts_no_instant() {
    let lab = Lab::start().await;
    lab.quotas(None, None).await;
    for i in 0..30 {
        lab.test(wide(&format!("t{i}"), 90)).await;
    }
    lab.test(wide("widest", 256)).await;
    set_next(&lab, None, this_minute()).await;
    race(&lab, 1).await;
    let made = transactions(&lab).await;
    let sizes: Vec<i64> = made.iter().map(|sets| sets.values().sum()).collect();
    assert!(sizes.iter().all(|runs| *runs <= ABOUT as i64), "{sizes:?}");
    let all: i64 = sizes.iter().sum();
    assert_eq!(all, 30 * 90 + 256);
    assert!(made.len() <= 4, "no more transactions than it takes: {sizes:?}");
    let sets: Vec<_> = made.iter().flat_map(|sets| sets.iter()).collect();
    assert!(sets.iter().all(|(_, runs)| [90, 256].contains(*runs)) && sets.len() == 31, "{sets:?}");
    lab.check().await;
}

#[tokio::test]
async fn many_instants_of_one_test_are_made_up_for_in_parts_each_with_its_line() {
    let lab = Lab::start().await;
    lab.quotas(None, None).await;
    let test = lab.test(factory::with(wide("t", 40), "/cron_schedule", json!("* * * * *"))).await;
    let instants = 99;
    set_next(&lab, None, this_minute() - chrono::Duration::minutes(instants - 1)).await;
    let mut looks = 0;
    while turns::enqueue_due(lab.ops()).await.unwrap() > 0 {
        looks += 1;
    }
    assert!((4..=5).contains(&looks), "about 4 000 runs in {looks} transactions");
    let made = transactions(&lab).await;
    assert!(
        made.iter().all(|sets| sets.values().sum::<i64>() <= ABOUT as i64 && sets.values().all(|runs| *runs == 40))
    );
    let mut sets: Vec<MatrixId> = made.iter().flat_map(|sets| sets.keys().copied()).collect();
    let page = PageRequest { size: 1000, token: String::new() };
    let ledger = lab.ops().list_ledger(&lab.admin, &default(), "t", page).await.unwrap().items;
    // A minute may have ended meanwhile.
    assert!((instants..instants + 2).contains(&(ledger.len() as i64)), "{}", ledger.len());
    assert!(ledger.iter().all(|entry| entry.outcome == LedgerOutcome::Ran && entry.runs == 40), "{ledger:?}");
    let mut lines: Vec<_> = ledger.iter().map(|entry| MatrixId::scheduled(test.id, entry.scheduled_for)).collect();
    sets.sort();
    lines.sort();
    assert_eq!(sets, lines);
    // What they execute is there once, however many instants there are.
    assert_eq!(count(&lab, "config").await, 40);
    lab.check().await;
}

#[tokio::test]
async fn what_a_batch_leaves_is_taken_by_another_replica_at_once() {
    let lab = Lab::start_with(2).await;
    for i in 0..200 {
        lab.test(wide(&format!("t{i}"), 1)).await;
    }
    let at = this_minute();
    let noted = format!("ledger WHERE scheduled_for = '{}'", at.to_rfc3339());
    set_next(&lab, None, at).await;
    let mut conn = lab.db.connect().await;
    // One that hangs with the first tests.
    let mut hanging = sqlx::Connection::begin(&mut conn).await.unwrap();
    sqlx::query("SELECT FROM schedule ORDER BY next_at LIMIT 50 FOR UPDATE").execute(&mut *hanging).await.unwrap();
    race(&lab, 2).await;
    assert_eq!(count(&lab, &noted).await, 150);
    hanging.rollback().await.unwrap();
    race(&lab, 2).await;
    assert_eq!(count(&lab, &noted).await, 200);
    lab.check().await;
}
