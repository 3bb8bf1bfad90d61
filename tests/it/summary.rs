//! Summaries: what is told of many runs is what a naive count of them gives, whatever happened and whoever looked.

mod api;
mod property;

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use sqlx::Row;
use tstr_api::ops::digest::BATCH;
use tstr_api::store::rollups::Grain;
use tstr_api::turns;
use tstr_shared::analysis::quantile::Sketch;
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::{RunId, TestId};
use tstr_shared::summary::{Interval, RebuildSummary, Rebuilt, Summary, SummaryFilter};
use tstr_tests::contract::default;
use tstr_tests::{Lab, factory};
use uuid::Uuid;

/// Names a sum: namespace, kind, grain, beginning, key.
type Key = (i32, i16, i16, DateTime<Utc>, String);

/// What is counted, in a naive way.
#[derive(Debug, Clone, Default, PartialEq)]
struct Naive {
    results: BTreeMap<String, i64>,
    flaky: i64,
    attempts: i64,
    busy_ms: i64,
    waits: Vec<u64>,
    durations: Vec<u64>,
}

/// Takes in everything that has ended.
async fn digest_all(lab: &Lab) -> usize {
    let mut all = 0;
    loop {
        match turns::digest(lab.ops()).await.expect("digest") {
            0 => return all,
            taken => all += taken,
        }
    }
}

async fn rebuild(lab: &Lab) -> Rebuilt {
    lab.ops().rebuild_summary(&lab.admin, &default(), RebuildSummary::default()).await.expect("rebuild")
}

async fn summary(lab: &Lab, filter: SummaryFilter) -> Summary {
    lab.ops().get_summary(&lab.admin, &default(), filter).await.expect("read the summary")
}

/// Counts the runs that have ended, one by one.
async fn counted(lab: &Lab) -> BTreeMap<Key, Naive> {
    let mut conn = lab.db.connect().await;
    let runs = "SELECT e.run_id, e.ns_id, e.test_id::text, e.runner_id::text, e.result, e.flaky, e.attempt, e.started_at,
                       e.finished_at, r.scheduled_at, r.created_at,
                       ARRAY(SELECT k || '=' || v FROM class c, jsonb_each_text(c.labels) l(k, v) WHERE c.id = e.class_id) AS labels,
                       (SELECT leased_at FROM attempt a WHERE a.run_id = e.run_id ORDER BY attempt LIMIT 1) AS leased_at
                FROM run_end e JOIN run r ON r.id = e.run_id";
    let held = "SELECT run_id, runner_id::text, leased_at, ended_at FROM attempt";
    let runs = sqlx::query(runs).fetch_all(&mut conn).await.expect("read the runs");
    let held: Vec<(Uuid, String, DateTime<Utc>, DateTime<Utc>)> =
        sqlx::query_as(held).fetch_all(&mut conn).await.expect("read the attempts");
    let mut all: BTreeMap<Key, Naive> = BTreeMap::new();
    let millis = |from: DateTime<Utc>, to: DateTime<Utc>| (to - from).num_milliseconds().max(0);
    for run in runs {
        let id: Uuid = run.get("run_id");
        let (scheduled_at, finished_at): (DateTime<Utc>, DateTime<Utc>) =
            (run.get("scheduled_at"), run.get("finished_at"));
        let held: Vec<_> = held.iter().filter(|(of, ..)| *of == id).collect();
        let labels: Vec<String> = run.get("labels");
        let runner: Option<String> = run.get("runner_id");
        let mut keys = vec![(0, String::new()), (1, run.get("test_id"))];
        keys.extend(labels.into_iter().map(|label| (3, label)));
        keys.extend(runner.map(|runner| (2, runner)));
        for grain in [Grain::Hour, Grain::Day, Grain::Quarter] {
            let at = grain.floor(scheduled_at);
            let of = |dim: i16, key: String| (run.get("ns_id"), dim, grain as i16, at, key);
            for (dim, key) in keys.clone() {
                let sum = all.entry(of(dim, key)).or_default();
                *sum.results.entry(run.get("result")).or_default() += 1;
                sum.flaky += i64::from(run.get::<bool, _>("flaky"));
                sum.attempts += i64::from(run.get::<i16, _>("attempt"));
                if let Some(leased_at) = run.get::<Option<DateTime<Utc>>, _>("leased_at") {
                    let since = scheduled_at.max(run.get("created_at"));
                    sum.waits.push(millis(since, leased_at).unsigned_abs());
                }
                if let Some(started_at) = run.get::<Option<DateTime<Utc>>, _>("started_at") {
                    sum.durations.push(millis(started_at, finished_at).unsigned_abs());
                }
                if dim != 2 {
                    sum.busy_ms += held.iter().map(|(_, _, from, to)| millis(*from, *to)).sum::<i64>();
                }
            }
            for (_, runner, from, to) in &held {
                all.entry(of(2, runner.clone())).or_default().busy_ms += millis(*from, *to);
            }
        }
    }
    all
}

/// Compares the sums with what a naive count gives.
async fn is_exact(lab: &Lab) {
    let mut naive = counted(lab).await;
    let rows = sqlx::query("SELECT * FROM rollup ORDER BY ns_id, dim, grain, at, key");
    for row in rows.fetch_all(&mut lab.db.connect().await).await.expect("read the sums") {
        let number = |name: &str| row.get::<i64, _>(name);
        let key: Key = (row.get("ns_id"), row.get("dim"), row.get("grain"), row.get("at"), row.get("key"));
        let expected = naive.remove(&key).unwrap_or_else(|| panic!("nothing is to be summed up for {key:?}"));
        for result in ["pass", "fail", "error", "timed_out", "cancelled"] {
            assert_eq!(number(result), expected.results.get(result).copied().unwrap_or(0), "{result} of {key:?}");
        }
        assert_eq!((number("flaky"), number("attempts")), (expected.flaky, expected.attempts), "{key:?}");
        assert_eq!(number("busy_ms"), expected.busy_ms, "{key:?}");
        for (column, sum, values) in
            [("waits", "wait_ms", &expected.waits), ("durations", "duration_ms", &expected.durations)]
        {
            let mut sketch = Sketch::default();
            values.iter().for_each(|ms| sketch.record(*ms));
            assert_eq!(Sketch::from_bytes(&row.get::<Vec<u8>, _>(column)), sketch, "{column} of {key:?}");
            assert_eq!(number(sum), values.iter().sum::<u64>().cast_signed(), "{sum} of {key:?}");
        }
    }
    assert!(naive.is_empty(), "not summed up: {naive:?}");
}

/// Makes runs that ended at an instant as if they had done so then: of a test, with a result.
async fn ended_at(lab: &Lab, test: TestId, at: DateTime<Utc>, result: &str, count: usize) {
    let ids: Vec<Uuid> = (0..count).map(|_| RunId::at(at, Uuid::new_v4().as_u128()).0).collect();
    let mut conn = lab.db.connect().await;
    let made = "WITH made AS (SELECT ensure_partitions(($2::timestamptz AT TIME ZONE 'UTC')::date,
                                                      ($2::timestamptz AT TIME ZONE 'UTC')::date)),
         class AS (INSERT INTO class (ns_id, labels, labels_hash)
                   SELECT ns_id, '{\"forged\": \"yes\"}', decode(md5('forged'), 'hex') FROM test WHERE id = $3
                   ON CONFLICT (ns_id, labels_hash) DO UPDATE SET used_on = excluded.used_on RETURNING id)
         SELECT made.*, class.id FROM made, class WHERE cardinality($1::uuid[]) > 0 AND $4 <> ''";
    let class: i32 = {
        let row = sqlx::query(made).bind(&ids).bind(at).bind(test.0).bind(result).fetch_one(&mut conn).await;
        row.expect("make the class").get("id")
    };
    for statement in [
        "INSERT INTO run (id, ns_id, test_id, matrix_id, class_id, config_id, priority, seq, queue_secs, trigger, scheduled_at,
                          created_at, created_by)
         SELECT u.id, t.ns_id, t.id, u.id, $5, 1, 2, 0, 1, 'manual', $2, $2, 'forged' FROM unnest($1::uuid[]) AS u(id), test t
         WHERE t.id = $3 AND $4 <> ''",
        "INSERT INTO run_end (run_id, ns_id, test_id, class_id, finished_at, attempt, result, flaky, log_status, log_bytes,
                              log_dropped, leased_at, started_at)
         SELECT u.id, t.ns_id, t.id, $5, $2::timestamptz + interval '5 s', 0, $4, false, 'complete', 0, 0, NULL,
                $2::timestamptz + interval '1 s'
         FROM unnest($1::uuid[]) AS u(id), test t WHERE t.id = $3",
        "INSERT INTO undigested (run_id)
         SELECT id FROM unnest($1::uuid[]) id WHERE $2::timestamptz IS NOT NULL AND $3::uuid IS NOT NULL AND $4 <> '' AND $5::int > 0",
    ] {
        let query = sqlx::query(statement).bind(&ids).bind(at).bind(test.0).bind(result).bind(class);
        query.execute(&mut conn).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

#[tokio::test]
async fn replicas_that_take_in_at_once_count_nothing_twice() {
    let lab = Lab::start_with(3).await;
    let test = lab.test(factory::test("t")).await.id;
    let now = Utc::now() - Duration::hours(1);
    ended_at(&lab, test, now, "pass", 3 * BATCH + 7).await;
    loop {
        let turns = (0..3).map(|i| turns::digest(lab.replica(i)));
        let taken: usize =
            futures_util::future::join_all(turns).await.into_iter().map(|taken| taken.expect("digest")).sum();
        if taken == 0 {
            break;
        }
        assert!(taken <= 3 * BATCH, "{taken}");
    }
    is_exact(&lab).await;
    let told = summary(&lab, SummaryFilter::default()).await;
    assert_eq!((told.totals.counts.runs, told.is_current), (3 * BATCH as u64 + 7, true));
}

#[tokio::test]
async fn a_batch_that_fails_is_taken_in_later_as_a_whole() {
    let lab = Lab::start().await;
    let test = lab.test(factory::test("t")).await.id;
    ended_at(&lab, test, Utc::now() - Duration::hours(1), "fail", 5).await;
    lab.execute("ALTER TABLE rollup RENAME TO away").await.unwrap();
    turns::digest(lab.ops()).await.unwrap_err();
    lab.execute("ALTER TABLE away RENAME TO rollup").await.unwrap();
    assert_eq!(digest_all(&lab).await, 5);
    is_exact(&lab).await;
}

#[tokio::test]
async fn runs_that_cannot_be_taken_in_do_not_hold_up_the_others() {
    let lab = Lab::start().await;
    let [good, bad] = [lab.test(factory::test("good")).await.id, lab.test(factory::test("bad")).await.id];
    let hour = Utc::now() - Duration::hours(1);
    ended_at(&lab, good, hour, "pass", 40).await;
    ended_at(&lab, bad, hour, "fail", 2).await;
    ended_at(&lab, good, hour, "fail", 30).await;
    // What no row of ours can hold.
    let refuse = format!("ALTER TABLE rollup ADD CONSTRAINT refused CHECK (key <> '{bad}') NOT VALID");
    lab.execute(&refuse).await.unwrap();
    assert_eq!(digest_all(&lab).await, 72);
    let told = summary(&lab, SummaryFilter::default()).await;
    assert_eq!((told.totals.counts.runs, told.is_current), (70, true));
    // Once the cause is gone, the sums are counted anew from the runs.
    lab.execute("ALTER TABLE rollup DROP CONSTRAINT refused").await.unwrap();
    rebuild(&lab).await;
    is_exact(&lab).await;
}

#[tokio::test]
async fn a_run_that_ends_in_a_transaction_that_lasts_is_not_forgotten() {
    let lab = Lab::start().await;
    let test = lab.test(factory::test("t")).await.id;
    let hour = Utc::now() - Duration::hours(1);
    ended_at(&lab, test, hour, "pass", 1).await;
    // It was there before, and commits after others were taken in.
    let mut slow = lab.db.connect().await;
    let mut slow = sqlx::Connection::begin(&mut slow).await.unwrap();
    sqlx::query("DELETE FROM undigested").execute(&mut *slow).await.unwrap();
    sqlx::query("INSERT INTO undigested (run_id) SELECT run_id FROM run_end").execute(&mut *slow).await.unwrap();
    let late = lab.test(factory::test("u")).await.id;
    ended_at(&lab, late, hour, "fail", BATCH).await;
    ended_at(&lab, late, hour, "fail", 3).await;
    // The row that the slow one has removed holds a turn up; the sums are right whenever it ends.
    let digest = turns::digest(lab.ops());
    let (taken, ()) = tokio::join!(digest, async {
        slow.commit().await.unwrap();
    });
    taken.unwrap();
    digest_all(&lab).await;
    is_exact(&lab).await;
}

#[tokio::test]
async fn a_rebuild_mends_sums_and_leaves_days_alone_of_which_runs_were_removed() {
    let lab = Lab::start().await;
    let test = lab.test(factory::test("t")).await.id;
    let now = Utc::now();
    for (days, result) in [(0, "pass"), (1, "fail"), (5, "timed_out"), (40, "error")] {
        ended_at(&lab, test, now - Duration::days(days) - Duration::minutes(90), result, 3).await;
    }
    digest_all(&lab).await;
    is_exact(&lab).await;
    // Wrong, missing, and of a day that has no run.
    lab.execute("UPDATE rollup SET pass = pass + 7, waits = '' WHERE dim = 0").await.unwrap();
    lab.execute("DELETE FROM rollup WHERE dim = 3").await.unwrap();
    lab.execute("UPDATE rollup SET at = at + interval '1 day' WHERE dim = 1 AND at < now() - interval '3 days'")
        .await
        .unwrap();
    let done = rebuild(&lab).await;
    assert_eq!((done.runs, done.next), (12, None));
    is_exact(&lab).await;
    // Runs that have ended and were not taken in are not counted twice.
    ended_at(&lab, test, now - Duration::minutes(90), "pass", 4).await;
    rebuild(&lab).await;
    digest_all(&lab).await;
    is_exact(&lab).await;
    assert_eq!(rebuild(&lab).await.runs, 16);
    // The previous release tells of no end.
    ended_at(&lab, test, now - Duration::minutes(90), "fail", 2).await;
    lab.execute("DELETE FROM undigested").await.unwrap();
    assert_eq!(rebuild(&lab).await.runs, 18);
    is_exact(&lab).await;

    let since = SummaryFilter { scheduled_after: Some(now - Duration::days(60)), ..SummaryFilter::default() };
    let before = summary(&lab, since.clone()).await;
    assert_eq!(before.totals.counts.runs, 18);
    // Forty days are over.
    lab.execute("UPDATE namespace SET runs_days = 10, logs_days = 1").await.unwrap();
    turns::retain(lab.ops(), now.date_naive()).await.unwrap();
    assert_eq!(rebuild(&lab).await.runs, 15);
    let after = summary(&lab, since).await;
    assert_eq!((after.totals, after.intervals), (before.totals, before.intervals), "sums outlive their runs");
}

#[tokio::test]
async fn a_rebuild_goes_on_from_where_a_call_has_ended() {
    let lab = Lab::start().await;
    let test = lab.test(factory::test("t")).await.id;
    let hour = Interval::Hour.floor(Utc::now()) - Duration::days(2);
    ended_at(&lab, test, hour - Duration::minutes(1), "pass", 1).await;
    ended_at(&lab, test, hour, "pass", 2).await;
    digest_all(&lab).await;
    let from = RebuildSummary { from: Some(hour + Duration::minutes(5)) };
    let done = lab.ops().rebuild_summary(&lab.admin, &default(), from).await.unwrap();
    assert_eq!((done.runs, done.next), (2, None));
    is_exact(&lab).await;
}

#[tokio::test]
async fn hours_are_forgotten_after_400_days_and_days_stay() {
    let lab = Lab::start().await;
    let test = lab.test(factory::test("t")).await.id;
    let old = Utc::now() - Duration::days(402);
    ended_at(&lab, test, old, "pass", 2).await;
    ended_at(&lab, test, Utc::now() - Duration::days(398), "pass", 1).await;
    digest_all(&lab).await;
    turns::keep_house(lab.ops()).await.unwrap();
    let (after, before) = (Some(old - Duration::hours(1)), Some(old + Duration::hours(1)));
    let of = |interval| SummaryFilter {
        scheduled_after: after,
        scheduled_before: before,
        interval: Some(interval),
        test: None,
    };
    let refused = lab.ops().get_summary(&lab.admin, &default(), of(Interval::Hour)).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Invalid, "it would look as if nothing had been executed");
    assert_eq!(summary(&lab, of(Interval::Day)).await.totals.counts.runs, 2);
    assert_eq!(summary(&lab, of(Interval::Day)).await.tests[0].figures.counts.runs, 2);
    let left = lab.execute("SELECT FROM rollup WHERE grain = 0 AND dim = 0").await.unwrap();
    assert_eq!(left, 1);
}
