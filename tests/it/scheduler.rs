//! The schedule: an instant makes its runs once, all or none, whoever gets there first and whoever dies on the way.

mod batches;
mod ledger;

use std::collections::{BTreeMap, BTreeSet};
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, DurationRound, Timelike, Utc};
use serde_json::json;
use tstr_api::turns;
use tstr_shared::ids::{MatrixId, RunId, TestId};
use tstr_shared::labels::Labels;
use tstr_shared::testdef::TestDef;
use tstr_tests::contract::default;
use tstr_tests::{Lab, Stack, eventually, factory};

/// A run as the schedule made it.
#[derive(Debug, sqlx::FromRow)]
struct Made {
    id: RunId,
    test_id: TestId,
    matrix_id: MatrixId,
    scheduled_at: DateTime<Utc>,
    trigger: String,
    queue_secs: i32,
    /// How long it waits in the queue at most, in seconds.
    waits: Option<f64>,
    cell: sqlx::types::Json<Labels>,
}

async fn made(lab: &Lab) -> Vec<Made> {
    let query = "SELECT r.id, r.test_id, r.matrix_id, r.scheduled_at, r.trigger, r.queue_secs, c.body->'cell' AS cell,
                        extract(epoch FROM q.expires_at - r.created_at)::float8 AS waits
                 FROM run r JOIN config c ON c.id = r.config_id LEFT JOIN ready q ON q.run_id = r.id
                 ORDER BY r.scheduled_at, r.id";
    sqlx::query_as(query).fetch_all(&mut lab.db.connect().await).await.unwrap()
}

fn scheduled(name: &str, cron: &str) -> serde_json::Value {
    factory::with(factory::test(name), "/cron_schedule", json!(cron))
}

/// A test for every minute that makes up for what it missed, so that it does not matter when a minute ends.
fn minutely(name: &str) -> serde_json::Value {
    factory::with(
        factory::with(scheduled(name, "* * * * *"), "/catch_up", json!("all")),
        "/start_deadline",
        json!("2h"),
    )
}

/// The minute that began last.
fn this_minute() -> DateTime<Utc> {
    Utc::now().duration_trunc(chrono::Duration::minutes(1)).unwrap()
}

/// A line for every hour, half an hour away from now: no instant of it is close, whenever the test runs.
fn hourly() -> (String, DateTime<Utc>) {
    let last = this_minute() - chrono::Duration::minutes(30);
    (format!("{} * * * *", last.minute()), last)
}

async fn set_next(lab: &Lab, test: Option<TestId>, at: DateTime<Utc>) {
    let only = test.map_or_else(String::new, |id| format!("WHERE test_id = '{id}'"));
    let done = lab.execute(&format!("UPDATE schedule SET next_at = '{}' {only}", at.to_rfc3339())).await.unwrap();
    assert!(done > 0, "the test is on the schedule");
}

async fn next_at(lab: &Lab, test: TestId) -> Option<DateTime<Utc>> {
    let query = sqlx::query_scalar("SELECT next_at FROM schedule WHERE test_id = $1").bind(test.0);
    query.fetch_optional(&mut lab.db.connect().await).await.unwrap()
}

/// All replicas look until nothing is due any more.
async fn race(lab: &Lab, replicas: usize) {
    let racers: Vec<_> = (0..replicas)
        .map(|i| {
            let ops = lab.replica(i).clone();
            tokio::spawn(async move { while turns::enqueue_due(&ops).await.unwrap() > 0 {} })
        })
        .collect();
    for racer in racers {
        racer.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instant_makes_its_cells_once_though_four_replicas_race_for_it() {
    let lab = Lab::start_with(4).await;
    let mut tests: BTreeMap<TestId, TestDef> = BTreeMap::new();
    for i in 0..50 {
        let matrix = json!({"labels": {"os": ["linux", "bsd"], "arch": ["a", "b"]}});
        let test = lab.test(factory::with(minutely(&format!("t{i}")), "/matrix", matrix)).await;
        tests.insert(test.id, test);
    }
    let at = this_minute();
    for _ in 0..3 {
        // The same instant becomes due again, as after a clock that was set back: its runs are there already.
        set_next(&lab, None, at).await;
        race(&lab, 4).await;
        let runs = made(&lab).await;
        let runs: Vec<_> = runs.iter().filter(|run| run.scheduled_at == at).collect();
        assert_eq!(runs.len(), 200);
        for (id, test) in &tests {
            let of_test: Vec<_> = runs.iter().filter(|run| run.test_id == *id).collect();
            let mut cells: Vec<Labels> = of_test.iter().map(|run| run.cell.0.clone()).collect();
            let mut expected = test.spec.cells().unwrap();
            cells.sort();
            expected.sort();
            assert_eq!(cells, expected, "the cells of {}", test.spec.name);
            for run in of_test {
                assert_eq!(run.id, RunId::scheduled(*id, at, &run.cell.0), "ids are derived");
                assert_eq!((run.id.0.get_version_num(), run.id.time()), (8, at));
                assert_eq!(run.matrix_id, MatrixId::scheduled(*id, at), "the runs of an instant share a matrix id");
                assert_eq!((run.trigger.as_str(), run.queue_secs), ("schedule", 60));
                assert!((59.0..61.0).contains(&run.waits.unwrap()), "a run waits for the period of its schedule");
            }
            assert!(next_at(&lab, *id).await.unwrap() > at, "the schedule has moved on");
        }
    }
    lab.check().await;
}

#[tokio::test]
async fn the_runs_of_an_instant_may_wait_as_long_as_until_the_next_one() {
    let lab = Lab::start().await;
    let (hourly, last) = hourly();
    // Once a year, and not within the next days whatever day it is.
    let yearly = (last + chrono::Duration::days(100)).format("0 0 %-d %-m *").to_string();
    for (name, cron, deadline) in
        [("hourly", hourly.as_str(), None), ("yearly", yearly.as_str(), None), ("own", hourly.as_str(), Some("90s"))]
    {
        let body = factory::with(scheduled(name, cron), "/start_deadline", json!("7d"));
        lab.test(deadline.map_or(body.clone(), |deadline| factory::with(body, "/queue_deadline", json!(deadline))))
            .await;
    }
    set_next(&lab, None, last).await;
    race(&lab, 1).await;
    let mut waits: Vec<i32> = made(&lab).await.iter().map(|run| run.queue_secs).collect();
    waits.sort_unstable();
    assert_eq!(waits, [90, 3600, 24 * 3600], "a day at most, unless the test says it");
}

#[tokio::test]
async fn missed_instants_are_made_up_for_as_the_test_says() {
    let lab = Lab::start().await;
    let (cron, last) = hourly();
    let hours = |n: i64| last - chrono::Duration::hours(n);
    for (name, catch_up, deadline, expected) in [
        ("none", "none", Some("12h"), vec![]),
        ("last", "last", Some("12h"), vec![hours(0)]),
        ("all", "all", Some("12h"), vec![hours(3), hours(2), hours(1), hours(0)]),
        // Older than the deadline: not made up for. Without one it is the period, at most an hour.
        ("late", "all", Some("100m"), vec![hours(1), hours(0)]),
        ("too-late", "last", Some("10m"), vec![]),
        ("default", "all", None, vec![hours(0)]),
    ] {
        let body = factory::with(scheduled(name, &cron), "/catch_up", json!(catch_up));
        let body = deadline.map_or(body.clone(), |deadline| factory::with(body, "/start_deadline", json!(deadline)));
        let test = lab.test(body).await;
        set_next(&lab, Some(test.id), hours(3)).await;
        race(&lab, 1).await;
        let runs = made(&lab).await;
        let instants: Vec<_> = runs.iter().filter(|run| run.test_id == test.id).map(|run| run.scheduled_at).collect();
        assert_eq!(instants, expected, "{name}");
        assert_eq!(next_at(&lab, test.id).await, Some(last + chrono::Duration::hours(1)), "{name}");
    }
    lab.check().await;
}

#[tokio::test]
async fn at_most_a_hundred_missed_instants_are_made_up_for_and_days_without_a_partition_get_one() {
    let lab = Lab::start().await;
    let (all, deadline) = (json!("all"), json!("7d"));
    let body = |name: &str, cron: &str| {
        factory::with(
            factory::with(scheduled(name, cron), "/catch_up", all.clone()),
            "/start_deadline",
            deadline.clone(),
        )
    };
    let minutely = lab.test(body("minutely", "* * * * *")).await;
    set_next(&lab, Some(minutely.id), this_minute() - chrono::Duration::hours(5)).await;
    race(&lab, 1).await;
    let runs = made(&lab).await;
    assert_eq!(runs.len(), 100);
    assert!(runs[0].scheduled_at > this_minute() - chrono::Duration::minutes(101), "the newest ones");

    let (cron, last) = hourly();
    let daily = lab.test(body("daily", &format!("{} {} * * *", last.minute(), last.hour()))).await;
    set_next(&lab, Some(daily.id), last - chrono::Duration::days(6)).await;
    race(&lab, 1).await;
    assert_eq!(made(&lab).await.iter().filter(|run| run.test_id == daily.id).count(), 7, "{cron}");
    lab.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_dies_on_the_way_loses_nothing_and_doubles_nothing() {
    let lab = Lab::start_with(3).await;
    let labels = json!({"labels": {"n": ["1", "2", "3", "4", "5", "6", "7", "8"]}});
    for i in 0..30 {
        lab.test(factory::with(minutely(&format!("t{i}")), "/matrix", labels.clone())).await;
    }
    let at = this_minute();
    set_next(&lab, None, at).await;
    // Each try dies one step later than the last one, up to the first that comes through.
    let mut deaths = 0;
    while die_after(deaths, turns::enqueue_due(lab.replica(0))).await.is_none() {
        deaths += 1;
        let runs = made(&lab).await.iter().filter(|run| run.scheduled_at == at).count();
        // When it dies while it waits for the answer to the commit, the commit may have gone through.
        assert!(runs == 0 || runs == 240, "all or none, not {runs}");
        // What it held is passed over by the next one until it is undone.
        eventually("what it began is undone", Duration::from_secs(10), async || {
            let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                        AND application_name = 'tstr-api' AND xact_start IS NOT NULL";
            let open: i64 = sqlx::query_scalar(open).fetch_one(&mut lab.db.connect().await).await.unwrap();
            (open == 0).then_some(())
        })
        .await;
    }
    assert!(deaths > 10, "it died {deaths} times only");
    race(&lab, 3).await;
    assert_eq!(made(&lab).await.iter().filter(|run| run.scheduled_at == at).count(), 240);

    // The same with connections that are cut while two others race.
    let at = at - chrono::Duration::minutes(20);
    set_next(&lab, None, at).await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'tstr-api' AND state <> 'idle'";
    let racers: Vec<_> = (0..3)
        .map(|i| {
            let ops = lab.replica(i).clone();
            // Whoever loses its connection tries again, as its loop would.
            tokio::spawn(async move { while !matches!(turns::enqueue_due(&ops).await, Ok(0)) {} })
        })
        .collect();
    for _ in 0..10 {
        lab.execute(cut).await.unwrap();
        tokio::task::yield_now().await;
    }
    for racer in racers {
        racer.await.unwrap();
    }
    // The last cut may take effect only now.
    while !matches!(turns::enqueue_due(lab.replica(0)).await, Ok(0)) {}
    let runs = made(&lab).await;
    let missed = runs.iter().filter(|run| (at..at + chrono::Duration::minutes(20)).contains(&run.scheduled_at)).count();
    assert_eq!(missed, 20 * 240, "every instant, whole");
    let mut ids: Vec<_> = runs.iter().map(|run| (run.test_id, run.scheduled_at, run.cell.0.clone())).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "no cell of an instant exists twice");
    lab.check().await;
}

/// Polls a future so often and then drops it; `None` when it was not done by then.
async fn die_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut left) = (Box::pin(future), polls);
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Pending if left == 0 => Poll::Ready(None),
            polled => polled.map(Some),
        }
    })
    .await
}

#[tokio::test]
async fn a_paused_test_makes_nothing_and_goes_on_with_the_next_instant() {
    let lab = Lab::start().await;
    let (cron, last) = hourly();
    let paused = lab.test(factory::with(scheduled("paused", &cron), "/paused", json!(true))).await;
    assert_eq!((next_at(&lab, paused.id).await, paused.next_run_at), (None, None));
    let test = lab.test(scheduled("test", &cron)).await;
    set_next(&lab, Some(test.id), last).await;
    lab.ops().set_test_paused(&lab.admin, &default(), "test", true).await.unwrap();
    race(&lab, 1).await;
    assert_eq!(made(&lab).await.len(), 0);
    let resumed = lab.ops().set_test_paused(&lab.admin, &default(), "test", false).await.unwrap();
    let next = Some(last + chrono::Duration::hours(1));
    assert_eq!(resumed.next_run_at, next, "what was missed meanwhile is not made up for");
    race(&lab, 1).await;
    assert_eq!(made(&lab).await.len(), 0);
    // A deleted one makes nothing either.
    set_next(&lab, Some(test.id), last).await;
    lab.ops().delete_test(&lab.admin, &default(), "test", None).await.unwrap();
    race(&lab, 1).await;
    assert_eq!(made(&lab).await.len(), 0);
}

#[tokio::test]
async fn a_full_queue_refuses_an_instant_whole_and_the_schedule_moves_on() {
    let lab = Lab::start().await;
    let (cron, last) = hourly();
    let labels = json!({"labels": {"n": ["1", "2", "3", "4"]}});
    let mut tests = Vec::new();
    for i in 0..5 {
        let body = factory::with(scheduled(&format!("t{i}"), &cron), "/matrix", labels.clone());
        tests.push(lab.test(factory::with(body, "/catch_up", json!("last"))).await);
    }
    // Ten may wait, and each instant makes four.
    lab.quotas(Some(10), None).await;
    set_next(&lab, None, last).await;
    race(&lab, 1).await;
    let runs = made(&lab).await;
    assert_eq!(runs.len(), 8, "two instants fit, and no part of a third");
    let of = |test: &TestDef| runs.iter().filter(|run| run.test_id == test.id).count();
    assert!(tests.iter().all(|test| [0, 4].contains(&of(test))));
    let refused = tests.iter().find(|test| of(test) == 0).unwrap();
    for test in &tests {
        assert_eq!(
            next_at(&lab, test.id).await,
            Some(last + chrono::Duration::hours(1)),
            "refused instants are not tried again"
        );
    }
    // Room that was made is used by the next instant.
    for run in &runs {
        lab.cancel(run.id).await.unwrap();
    }
    set_next(&lab, Some(refused.id), last).await;
    race(&lab, 1).await;
    assert_eq!(made(&lab).await.len(), 12);
    lab.check().await;
}

#[tokio::test]
async fn a_test_that_cannot_be_read_leaves_the_schedule_and_stops_no_other() {
    let lab = Lab::start().await;
    let mut good = Vec::new();
    let mut broken = Vec::new();
    for (i, doc) in [
        None,
        Some(r#"{"nonsense": true}"#.to_owned()),
        Some("[]".to_owned()),
        None,
        Some(scheduled("t", "61 * * * *").to_string()),
        Some(factory::with(scheduled("t", "* * * * *"), "/time_zone", json!("Mars/Base")).to_string()),
        Some(factory::with(scheduled("t", "* * * * *"), "/matrix", json!({"labels": {"a": []}})).to_string()),
        Some(factory::test("no-schedule").to_string()),
        None,
    ]
    .into_iter()
    .enumerate()
    {
        let test = lab.test(minutely(&format!("t{i}"))).await.id;
        match doc {
            None => good.push(test),
            Some(doc) => {
                lab.execute(&format!("UPDATE test SET doc = '{doc}' WHERE id = '{test}'")).await.unwrap();
                broken.push(test);
            }
        }
    }
    set_next(&lab, None, this_minute()).await;
    race(&lab, 1).await;
    let runs = made(&lab).await;
    assert!(good.iter().all(|test| runs.iter().any(|run| run.test_id == *test)));
    for test in broken {
        assert_eq!(next_at(&lab, test).await, None);
    }
    lab.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_meet_in_two_namespaces_do_not_wait_for_each_other_in_a_circle() {
    let lab = Lab::start_with(2).await;
    lab.namespace("other").await;
    // The first 100, which one replica takes, are of one namespace and then the other; the rest the other way round.
    let at = this_minute() - chrono::Duration::minutes(1);
    let statement = format!(
        "WITH made AS (
             INSERT INTO test (id, ns_id, name, doc)
             SELECT gen_random_uuid(), CASE WHEN n <= 50 OR n > 150 THEN 1 ELSE 2 END, 't' || lpad(n::text, 3, '0'), '{}'
             FROM generate_series(1, 200) n RETURNING id, name)
         INSERT INTO schedule (test_id, next_at) SELECT id, timestamptz '{}' + substr(name, 2)::int * interval '1 ms' FROM made",
        minutely("t"),
        at.to_rfc3339(),
    );
    assert_eq!(lab.execute(&statement).await.unwrap(), 200);
    race(&lab, 2).await;
    let tests: BTreeSet<TestId> = made(&lab).await.iter().map(|run| run.test_id).collect();
    assert_eq!(tests.len(), 200);
}

#[tokio::test]
async fn a_due_test_runs_without_anybody_asking() {
    let stack = Stack::start_with(2, |_| {}).await;
    let admin = stack.admin();
    admin.post("/api/v1/namespaces/default/tests", &scheduled("a", "* * * * *")).await.expect(201);
    let mut conn = stack.db.connect().await;
    sqlx::query("UPDATE schedule SET next_at = date_trunc('minute', clock_timestamp())")
        .execute(&mut conn)
        .await
        .unwrap();
    let run = eventually("the schedule makes a run", Duration::from_secs(20), async || {
        let runs = admin.get("/api/v1/namespaces/default/runs").await.expect(200);
        runs["items"].as_array().unwrap().first().cloned()
    })
    .await;
    assert_eq!(run["trigger"], "schedule");
}
