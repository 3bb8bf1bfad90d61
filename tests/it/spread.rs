//! Schedules as they are shown and as they happen: the same instants, also where `H` spreads them.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, DurationRound, Timelike, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use tstr_api::turns;
use tstr_shared::ids::TestId;
use tstr_tests::contract::default;
use tstr_tests::{Lab, Stack, eventually, factory};

use crate::http::TESTS;

fn scheduled(name: &str, cron: &str) -> Value {
    factory::with(factory::test(name), "/cron_schedule", json!(cron))
}

fn instants(schedule: &Value) -> Vec<DateTime<Utc>> {
    let upcoming = schedule["upcoming"].as_array().expect("instants").iter();
    upcoming.map(|one| one["at"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn h_falls_where_the_id_says_and_a_rename_does_not_move_it() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let mut minutes = BTreeSet::new();
    for n in 0..40 {
        let test = admin.register(&scheduled(&format!("t{n}"), "H * * * *")).await;
        let next: DateTime<Utc> = test["next_run_at"].as_str().unwrap().parse().unwrap();
        assert!(next > Utc::now() && next < Utc::now() + chrono::Duration::hours(1));
        minutes.insert(next.minute());
    }
    assert!(minutes.len() > 15, "forty tests spread over the hour: {minutes:?}");

    let test = admin.register(&scheduled("nightly", "H H(1-4) * * *")).await;
    let told = admin.get(&format!("{TESTS}/nightly/schedule")).await.expect(200);
    let before = instants(&told);
    assert_eq!(before[0], test["next_run_at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap());
    assert!(before.iter().all(|at| (1..=4).contains(&at.hour()) && at.time() == before[0].time()), "{before:?}");
    assert_eq!(told["description"], format!("at {} every day (UTC)", before[0].format("%H:%M")));
    admin.patch(&format!("{TESTS}/nightly"), &json!({"name": "renamed", "priority": "high"})).await.expect(200);
    let renamed = admin.get(&format!("{TESTS}/renamed/schedule")).await.expect(200);
    assert_eq!(instants(&renamed), before);
    // Another test of the same line has places of its own; of ten not all are the same.
    let mut times = BTreeSet::new();
    for n in 0..10 {
        let test = admin.register(&scheduled(&format!("n{n}"), "H H(1-4) * * *")).await;
        times.insert(test["next_run_at"].as_str().unwrap()[11..].to_owned());
    }
    assert!(times.len() > 5, "{times:?}");
    let stepped = admin.register(&scheduled("stepped", "H/15 * * * *")).await;
    let first: DateTime<Utc> = stepped["next_run_at"].as_str().unwrap().parse().unwrap();
    let told = instants(&admin.get(&format!("{TESTS}/stepped/schedule?count=5")).await.expect(200));
    let expected: Vec<_> = (0..5).map(|n| first + chrono::Duration::minutes(15 * n)).collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn before_a_test_is_registered_its_h_has_no_place_and_that_is_said() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let (path, body) = (format!("{TESTS}/a"), scheduled("a", "H 3 * * *"));
    let words = json!("the place of H in cron_schedule is decided when the test is registered");
    let foretold = admin.put(&format!("{path}?dry_run=true"), &body).await.expect(200);
    assert!(foretold["warnings"].as_array().unwrap().contains(&words), "{foretold}");
    let made = admin.put(&path, &body).await.expect(201);
    assert!(!made["warnings"].as_array().unwrap().contains(&words), "{made}");
    // Once it has its place, a dry run has nothing to say.
    let again = admin.put(&format!("{path}?dry_run=true"), &scheduled("a", "H 4 * * *")).await.expect(200);
    assert!(!again["warnings"].as_array().unwrap().contains(&words), "{again}");
    let plain = admin.put(&format!("{TESTS}/b?dry_run=true"), &scheduled("b", "30 4 * * *")).await.expect(200);
    assert!(!plain["warnings"].as_array().unwrap().contains(&words), "{plain}");

    for bad in [
        "H(0-99) * * * *",
        "H/0 * * * *",
        "H(5) * * * *",
        "0 0 H(1-31) * *",
        "0 0 31 H *",
        "Hour * * * *",
        "H( * * * *",
    ] {
        assert_eq!(admin.post(TESTS, &scheduled("bad", bad)).await.faults(), ["/cron_schedule"], "{bad}");
        assert_eq!(admin.patch(&path, &json!({"cron_schedule": bad})).await.faults(), ["/cron_schedule"], "{bad}");
    }
    assert_eq!(admin.get(&path).await.expect(200)["cron_schedule"], "H 3 * * *");
    let unsupported = admin.send(admin.request(Method::GET, &format!("{path}/schedule?count=101"))).await;
    assert_eq!(unsupported.faults(), ["count"]);
}

/// Reads when the runs of a test were scheduled for.
async fn ran(lab: &Lab, test: TestId) -> Vec<DateTime<Utc>> {
    let query = sqlx::query_scalar("SELECT DISTINCT scheduled_at FROM run WHERE test_id = $1 ORDER BY 1").bind(test.0);
    query.fetch_all(&mut lab.db.connect().await).await.unwrap()
}

#[tokio::test]
async fn the_preview_is_what_the_scheduler_does() {
    let lab = Lab::start().await;
    lab.quotas(None, None).await;
    let this_minute = Utc::now().duration_trunc(chrono::Duration::minutes(1)).unwrap();
    for (n, (cron, zone, catch_up, deadline)) in [
        ("*/20 * * * *", "UTC", "all", Some("7d")),
        ("H * * * *", "UTC", "all", Some("7d")),
        ("H/15 H/2 * * *", "Asia/Kolkata", "all", Some("7d")),
        ("30 2 * * *", "America/Toronto", "all", Some("7d")),
        ("H H * * *", "Europe/Paris", "last", Some("7d")),
        ("H/7 * * * *", "Australia/Lord_Howe", "none", None),
        ("5,25,45 * * * MON-SUN", "UTC", "last", None),
        ("*/30 * * * *", "UTC", "all", Some("100m")),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("t{n}");
        let body = factory::with(scheduled(&name, cron), "/time_zone", json!(zone));
        let body = factory::with(body, "/catch_up", json!(catch_up));
        let body = deadline.map_or(body.clone(), |deadline| factory::with(body, "/start_deadline", json!(deadline)));
        let test = lab.test(body).await;
        // Nobody has looked since a day and a half.
        let schedule = test.spec.schedule(test.id).unwrap().unwrap();
        let due = schedule.next_after(this_minute - chrono::Duration::hours(36)).unwrap();
        lab.execute(&format!("UPDATE schedule SET next_at = '{}' WHERE test_id = '{}'", due.to_rfc3339(), test.id))
            .await
            .unwrap();
        // No instant may come between the look at the preview and that of the scheduler.
        let preview = eventually("no instant is close", Duration::from_secs(10), async || {
            let preview = lab.ops().test_schedule(&lab.admin, &default(), &name, 100).await.unwrap().upcoming;
            let close = Utc::now()..Utc::now() + chrono::Duration::seconds(2);
            (!preview.iter().any(|one| close.contains(&one.at))).then_some(preview)
        })
        .await;
        let preview: Vec<DateTime<Utc>> = preview.into_iter().map(|one| one.at).collect();
        turns::enqueue_due(lab.ops()).await.unwrap();
        let ran = ran(&lab, test.id).await;
        assert_eq!(preview[..ran.len()], ran, "{cron} {zone} {catch_up}");
        // What is stored now is the instant that the preview has next.
        let next = lab.ops().get_test(&lab.admin, &default(), &name).await.unwrap().next_run_at;
        assert_eq!(next, preview.get(ran.len()).copied().or(next), "{cron} {zone} {catch_up}");
        assert!(next.unwrap() > this_minute, "{cron}");
        let after = lab.ops().test_schedule(&lab.admin, &default(), &name, 20).await.unwrap().upcoming;
        let after: Vec<_> = after.into_iter().map(|one| one.at).collect();
        let rest = &preview[ran.len().min(preview.len())..];
        let shared = rest.len().min(after.len());
        assert_eq!(rest[..shared], after[..shared], "{cron} {zone} {catch_up}");
        assert!(shared > 0 || ran.len() == 100, "{cron}");
    }
}
