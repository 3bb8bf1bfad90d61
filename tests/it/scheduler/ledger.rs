//! The ledger: every instant that was due has its line, whatever became of it.

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use tstr_shared::ids::{MatrixId, TestId};
use tstr_shared::ledger::{LedgerEntry, LedgerOutcome, LedgerReason};
use tstr_shared::page::PageRequest;
use tstr_tests::contract::default;
use tstr_tests::worker::Worker as StackWorker;
use tstr_tests::{Lab, Stack, factory};

use super::{hourly, race, scheduled, set_next, this_minute};

/// The ledger of a test, the newest first.
async fn ledger(lab: &Lab, test: &str) -> Vec<LedgerEntry> {
    let page = PageRequest { size: 1000, token: String::new() };
    lab.ops().list_ledger(&lab.admin, &default(), test, page).await.unwrap().items
}

/// What a ledger says: the instant in hours before the last one, what became of it, and why.
fn told(entries: &[LedgerEntry], last: DateTime<Utc>) -> Vec<(i64, LedgerOutcome, Option<LedgerReason>)> {
    entries.iter().map(|entry| ((last - entry.scheduled_for).num_hours(), entry.outcome, entry.reason)).collect()
}

const RAN: (LedgerOutcome, Option<LedgerReason>) = (LedgerOutcome::Ran, None);
const SKIPPED: (LedgerOutcome, Option<LedgerReason>) = (LedgerOutcome::Skipped, Some(LedgerReason::Concurrency));
const PAUSED: (LedgerOutcome, Option<LedgerReason>) = (LedgerOutcome::Skipped, Some(LedgerReason::Paused));
const TOO_LATE: (LedgerOutcome, Option<LedgerReason>) = (LedgerOutcome::Missed, Some(LedgerReason::Deadline));
const NOT_ASKED: (LedgerOutcome, Option<LedgerReason>) = (LedgerOutcome::Missed, Some(LedgerReason::CatchUp));

#[tokio::test]
async fn an_instant_that_ran_says_how_late_and_which_runs() {
    let lab = Lab::start().await;
    let body = factory::with(scheduled("t", "0 0 1 1 *"), "/matrix", json!({"labels": {"os": ["a", "b", "c"]}}));
    let test = lab.test(body).await;
    assert_eq!(ledger(&lab, "t").await, []);
    let at = DateTime::from_timestamp_millis((Utc::now() - Duration::seconds(20)).timestamp_millis()).unwrap();
    set_next(&lab, None, at).await;
    race(&lab, 1).await;
    let entries = ledger(&lab, "t").await;
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((entry.scheduled_for, entry.outcome, entry.reason), (at, RAN.0, RAN.1));
    assert_eq!((entry.matrix_id, entry.runs, entry.instants), (Some(MatrixId::scheduled(test.id, at)), 3, 1));
    assert!((20_000..40_000).contains(&entry.late_ms.unwrap()), "{entry:?}");
    // The same instant once more, as after a clock that was set back, changes nothing.
    set_next(&lab, None, at).await;
    race(&lab, 1).await;
    assert_eq!(ledger(&lab, "t").await, entries);
}

#[tokio::test]
async fn what_was_missed_says_why() {
    let lab = Lab::start().await;
    let (cron, last) = hourly();
    for (name, catch_up, deadline, expected) in [
        ("none", "none", "12h", [NOT_ASKED, NOT_ASKED, NOT_ASKED, NOT_ASKED]),
        ("last", "last", "12h", [RAN, NOT_ASKED, NOT_ASKED, NOT_ASKED]),
        ("all", "all", "12h", [RAN, RAN, RAN, RAN]),
        ("late", "all", "100m", [RAN, RAN, TOO_LATE, TOO_LATE]),
        ("too-late", "last", "10m", [TOO_LATE, TOO_LATE, TOO_LATE, TOO_LATE]),
    ] {
        let body = factory::with(scheduled(name, &cron), "/catch_up", json!(catch_up));
        let test = lab.test(factory::with(body, "/start_deadline", json!(deadline))).await;
        set_next(&lab, Some(test.id), last - Duration::hours(3)).await;
        race(&lab, 1).await;
        let expected: Vec<_> = (0..).zip(expected).map(|(hours, (outcome, reason))| (hours, outcome, reason)).collect();
        assert_eq!(told(&ledger(&lab, name).await, last), expected, "{name}");
    }
}

#[tokio::test]
async fn a_long_stretch_of_missed_instants_is_one_line() {
    let lab = Lab::start().await;
    for (name, hours, listed) in [("short", 1, false), ("long", 8, true), ("longer", 24 * 60, true)] {
        let test = lab.test(factory::with(scheduled(name, "* * * * *"), "/catch_up", json!("none"))).await;
        let first = this_minute() - Duration::hours(hours);
        set_next(&lab, Some(test.id), first).await;
        race(&lab, 1).await;
        let entries = ledger(&lab, name).await;
        let oldest = entries.last().unwrap();
        assert_eq!((oldest.scheduled_for, oldest.outcome), (first, LedgerOutcome::Missed), "{name}");
        assert_eq!((oldest.until.is_some(), oldest.instants > 1), (listed, listed), "{name}");
        if name == "long" {
            let sum: u32 = entries.iter().map(|entry| entry.instants).sum();
            let minutes = (this_minute() - first).num_minutes() as u32;
            assert!((minutes..=minutes + 2).contains(&sum), "{sum} of {minutes} instants have their line");
            assert!((101..=102).contains(&entries.len()));
            assert_eq!(oldest.until, Some(entries[entries.len() - 2].scheduled_for - Duration::minutes(1)));
        }
    }
}

#[tokio::test]
async fn what_was_skipped_says_why() {
    let lab = Lab::start().await;
    let ticks = async |test: TestId| {
        for secs in [50, 40, 30] {
            set_next(&lab, Some(test), Utc::now() - Duration::seconds(secs)).await;
            race(&lab, 1).await;
        }
    };
    let limited = |name: &str, concurrency| factory::with(scheduled(name, "0 0 1 1 *"), "/concurrency", concurrency);
    let outcomes = async |name: &str| -> Vec<_> {
        ledger(&lab, name).await.iter().map(|entry| (entry.outcome, entry.reason)).collect()
    };
    let test = lab.test(limited("forbid", json!({"policy": "forbid"}))).await;
    ticks(test.id).await;
    assert_eq!(outcomes("forbid").await, [SKIPPED, SKIPPED, RAN]);
    assert_eq!(ledger(&lab, "forbid").await[0].matrix_id, None, "no run was made");
    let test = lab.test(limited("newest", json!({"policy": "queue", "overflow": "newest"}))).await;
    ticks(test.id).await;
    assert_eq!(outcomes("newest").await, [SKIPPED, RAN, RAN]);
    let dropped = &ledger(&lab, "newest").await[0];
    assert_eq!((dropped.matrix_id.is_some(), dropped.runs), (true, 1), "its run was made and dropped");
    let test = lab.test(limited("oldest", json!({"policy": "queue"}))).await;
    ticks(test.id).await;
    assert_eq!(outcomes("oldest").await, [RAN, RAN, RAN]);

    let test = lab.test(scheduled("full", "0 0 1 1 *")).await;
    lab.quotas(Some(0), None).await;
    ticks(test.id).await;
    assert_eq!(outcomes("full").await, [(LedgerOutcome::Skipped, Some(LedgerReason::Quota)); 3]);

    let test = lab.test(scheduled("broken", "0 0 1 1 *")).await;
    lab.execute(&format!("UPDATE test SET doc = '[]' WHERE id = '{}'", test.id)).await.unwrap();
    set_next(&lab, Some(test.id), Utc::now()).await;
    race(&lab, 1).await;
    lab.execute(&format!("UPDATE test SET doc = '{}' WHERE id = '{}'", factory::test("broken"), test.id))
        .await
        .unwrap();
    assert_eq!(outcomes("broken").await, [(LedgerOutcome::Skipped, Some(LedgerReason::Unreadable))]);
    lab.check().await;
}

/// Makes it so that a test is paused since an earlier moment.
async fn paused_since(lab: &Lab, test: TestId, at: DateTime<Utc>) {
    let update = format!("UPDATE paused_schedule SET since = '{}' WHERE test_id = '{test}'", at.to_rfc3339());
    assert_eq!(lab.execute(&update).await.unwrap(), 1);
}

async fn set_paused(lab: &Lab, test: &str, paused: bool) {
    lab.ops().set_test_paused(&lab.admin, &default(), test, paused).await.unwrap();
}

#[tokio::test]
async fn what_passes_while_a_test_is_paused_is_skipped() {
    let lab = Lab::start().await;
    let (cron, last) = hourly();
    let hours = |ago: std::ops::Range<i64>| ago.map(|ago| (ago, PAUSED.0, PAUSED.1)).collect::<Vec<_>>();
    // An instant that was due when it was paused, and that no scheduler had looked at, passed as well.
    let test = lab.test(scheduled("t", &cron)).await;
    set_next(&lab, Some(test.id), last - Duration::hours(3)).await;
    set_paused(&lab, "t", true).await;
    race(&lab, 1).await;
    assert_eq!(ledger(&lab, "t").await, []);
    set_paused(&lab, "t", false).await;
    let entries = ledger(&lab, "t").await;
    assert_eq!(told(&entries, last), hours(0..4));
    assert!(
        entries.iter().all(|entry| (entry.late_ms, entry.matrix_id, entry.runs, entry.instants) == (None, None, 0, 1))
    );
    // Between the last instant and now nothing has passed.
    set_paused(&lab, "t", true).await;
    set_paused(&lab, "t", false).await;
    assert_eq!(ledger(&lab, "t").await, entries);

    // It was registered as paused; it goes on because it is applied so.
    let body = scheduled("new", &cron);
    let new = lab.test(factory::with(body.clone(), "/paused", json!(true))).await;
    paused_since(&lab, new.id, last - Duration::hours(2)).await;
    let body = serde_json::from_value(body).unwrap();
    lab.ops().apply_test(&lab.admin, &default(), body, false, None).await.unwrap();
    assert_eq!(told(&ledger(&lab, "new").await, last), hours(0..3));

    // What passed until the line was changed is that of the old line.
    let test = lab.test(factory::with(scheduled("changed", &cron), "/paused", json!(true))).await;
    paused_since(&lab, test.id, last - Duration::hours(1)).await;
    let patch = json!({"cron_schedule": "0 0 1 1 *"});
    lab.ops().patch_test(&lab.admin, &default(), "changed", patch, None).await.unwrap();
    assert_eq!(told(&ledger(&lab, "changed").await, last), hours(0..2));
    set_paused(&lab, "changed", false).await;
    assert_eq!(told(&ledger(&lab, "changed").await, last), hours(0..2));

    // What is deleted does not come back.
    set_paused(&lab, "t", true).await;
    lab.ops().delete_test(&lab.admin, &default(), "t", None).await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM paused_schedule")
        .fetch_one(&mut lab.db.connect().await)
        .await
        .unwrap();
    assert_eq!(left, 0);
    lab.check().await;
}

/// Whoever changes a line while instants of it are due takes their runs away; the ledger says so.
#[tokio::test]
async fn what_is_due_by_a_line_that_is_changed_is_missed() {
    let lab = Lab::start().await;
    let (cron, last) = hourly();
    let missed = |ago: std::ops::Range<i64>| {
        ago.map(|ago| (ago, LedgerOutcome::Missed, Some(LedgerReason::CatchUp))).collect::<Vec<_>>()
    };
    for (name, patch) in [
        ("other", json!({"cron_schedule": "0 0 1 1 *"})),
        ("none", json!({"cron_schedule": null})),
        ("zone", json!({"time_zone": "Asia/Tokyo"})),
        ("pause", json!({"cron_schedule": "0 0 1 1 *", "paused": true})),
    ] {
        let test = lab.test(scheduled(name, &cron)).await;
        set_next(&lab, Some(test.id), last - Duration::hours(2)).await;
        lab.ops().patch_test(&lab.admin, &default(), name, patch, None).await.unwrap();
        assert_eq!(told(&ledger(&lab, name).await, last), missed(0..3), "{name}");
    }
    // What is changed beside the line leaves what is due alone.
    let test = lab.test(scheduled("same", &cron)).await;
    set_next(&lab, Some(test.id), last).await;
    let patch = json!({"annotations": {"owner": "somebody"}});
    lab.ops().patch_test(&lab.admin, &default(), "same", patch, None).await.unwrap();
    race(&lab, 1).await;
    let entries = ledger(&lab, "same").await;
    assert_eq!(told(&entries, last), [(0, LedgerOutcome::Ran, None)]);
    lab.check().await;
}

/// A test that could not be read when it was due has left the schedule, and comes back with any change.
#[tokio::test]
async fn a_test_that_has_left_the_schedule_comes_back_when_it_is_changed() {
    let lab = Lab::start().await;
    let test = lab.test(scheduled("t", "0 0 1 1 *")).await;
    lab.execute("DELETE FROM schedule").await.unwrap();
    let patch = json!({"annotations": {"owner": "somebody"}});
    lab.ops().patch_test(&lab.admin, &default(), "t", patch, None).await.unwrap();
    let seen = lab.ops().get_test(&lab.admin, &default(), "t").await.unwrap();
    assert_eq!(seen.next_run_at, test.next_run_at);
    assert!(seen.next_run_at.is_some());
}

#[tokio::test]
async fn a_long_pause_is_a_hundred_lines_and_one() {
    let lab = Lab::start().await;
    for (name, hours) in [("long", 8), ("longer", 24 * 60)] {
        let test = lab.test(factory::with(scheduled(name, "* * * * *"), "/paused", json!(true))).await;
        let first = this_minute() - Duration::hours(hours);
        paused_since(&lab, test.id, first).await;
        let newest = this_minute();
        set_paused(&lab, name, false).await;
        let entries = ledger(&lab, name).await;
        assert_eq!(entries.len(), 101, "{name}");
        // Also the minute that has just begun.
        assert!(entries[0].scheduled_for >= newest, "{name}");
        assert!(entries.iter().all(|entry| (entry.outcome, entry.reason) == PAUSED), "{name}");
        let oldest = entries.last().unwrap();
        assert_eq!(oldest.scheduled_for, first, "{name}");
        assert_eq!(oldest.until, Some(entries[99].scheduled_for - Duration::minutes(1)), "{name}");
        let sum: u32 = entries.iter().map(|entry| entry.instants).sum();
        let minutes = (this_minute() - first).num_minutes() as u32;
        // Of a very long stretch it is told how many it has at least.
        assert!(
            name == "longer" && sum >= 1000 || (minutes..=minutes + 1).contains(&sum),
            "{name}: {sum} of {minutes}"
        );
    }
}

#[tokio::test]
async fn the_metrics_tell_how_late_instants_are_and_how_long_runs_wait() {
    let stack = Stack::start_with(1, |config| config.no_scheduler = true).await;
    let admin = stack.admin();
    admin.register(&scheduled("t", "0 0 1 1 *")).await;
    let mut conn = stack.db.connect().await;
    let tick = "UPDATE schedule SET next_at = date_trunc('milliseconds', clock_timestamp()) - interval '20 s'";
    sqlx::query(tick).execute(&mut conn).await.unwrap();
    tstr_api::turns::enqueue_due(stack.replica(0).ops()).await.unwrap();
    let worker = StackWorker::register(&stack, 0, "w").await;
    worker.running().await;
    let text = admin.get("/metrics").await.text();
    for name in ["tstr_schedule_lateness_seconds", "tstr_queue_wait_seconds"] {
        for line in [
            format!("{name}_bucket{{le=\"15\"}} 0"),
            format!("{name}_bucket{{le=\"300\"}} 1"),
            format!("{name}_count 1"),
        ] {
            assert!(text.lines().any(|told| told == line), "{line} in {text}");
        }
    }
}

#[tokio::test]
async fn the_ledger_is_read_in_pages_and_old_lines_are_forgotten() {
    let stack = Stack::start_with(1, |config| config.no_scheduler = true).await;
    let admin = stack.admin();
    admin.register(&scheduled("t", "0 0 1 1 *")).await;
    let mut conn = stack.db.connect().await;
    // The loops of the replica forget what is old at any moment, so what is read in pages is not.
    let note = |age: &str| {
        format!(
            "INSERT INTO ledger (test_id, scheduled_for, ns_id, outcome, reason, noted_at)
             SELECT id, '2026-01-01'::timestamptz + n * interval '1 day', ns_id, 'missed', 'deadline',
                    clock_timestamp() - n * interval '{age}' FROM test, generate_series(0, 4) n"
        )
    };
    sqlx::query(sqlx::AssertSqlSafe(note("1 second"))).execute(&mut conn).await.unwrap();
    let path = "/api/v1/namespaces/default/tests/t/ledger";
    let first = admin.get(&format!("{path}?page_size=2")).await.expect(200);
    let token = first["next_page_token"].as_str().unwrap();
    let second = admin.get(&format!("{path}?page_size=9&page_token={token}")).await.expect(200);
    let items = |page: &serde_json::Value| page["items"].as_array().unwrap().clone();
    let times: Vec<_> =
        items(&first).into_iter().chain(items(&second)).map(|item| item["scheduled_for"].clone()).collect();
    let days = [5, 4, 3, 2, 1].map(|day| json!(format!("2026-01-0{day}T00:00:00Z")));
    assert_eq!((times, &second["next_page_token"]), (days.to_vec(), &json!(null)));
    admin.get("/api/v1/namespaces/default/tests/none/ledger").await.refused(404, "not_found");
    let lab = Lab::start().await;
    let test = lab.test(scheduled("t", "0 0 1 1 *")).await;
    lab.execute(&format!("{} WHERE test.id = '{}'", note("30 days"), test.id)).await.unwrap();
    tstr_api::turns::keep_house(lab.ops()).await.unwrap();
    assert_eq!(ledger(&lab, "t").await.len(), 3, "90 days are kept");
}
