//! What clients are told, over HTTP, over gRPC and by `tstr ctl`.

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};
use tstr_shared::error::ErrorCode;
use tstr_shared::permission::Scope;
use tstr_shared::run::RunResult;
use tstr_shared::summary::{Interval, SummaryFilter};
use tstr_tests::contract::default;
use tstr_tests::worker::Worker as StackWorker;
use tstr_tests::{Ctl, Lab, Stack, eventually, factory};

use super::{digest_all, ended_at, summary};

const SUMMARY: &str = "/api/v1/namespaces/default/summary";

fn of(after: DateTime<Utc>, before: DateTime<Utc>, interval: Interval) -> SummaryFilter {
    SummaryFilter { scheduled_after: Some(after), scheduled_before: Some(before), interval: Some(interval), test: None }
}

#[tokio::test]
async fn where_nothing_ran_every_interval_is_there_with_zeros() {
    let lab = Lab::start().await;
    let told = summary(&lab, SummaryFilter::default()).await;
    assert_eq!(told.intervals.len(), 8, "seven days and today");
    assert!(told.intervals.iter().all(|one| one.figures == told.totals && one.figures.counts.runs == 0), "{told:?}");
    assert!(told.is_current && told.tests.is_empty() && told.runners.is_empty() && told.labels.is_empty());
    assert_eq!(told.totals.duration, None);
    lab.test(factory::test("idle")).await;
    let one = SummaryFilter { test: Some("idle".into()), ..SummaryFilter::default() };
    assert_eq!(summary(&lab, one).await.intervals.len(), 8);
}

#[tokio::test]
async fn intervals_of_all_lengths_add_up_and_a_test_narrows_them() {
    let lab = Lab::start().await;
    let (one, other) = (lab.test(factory::test("one")).await.id, lab.test(factory::test("other")).await.id);
    // A Sunday and the Monday after it, in UTC.
    let monday: DateTime<Utc> = Interval::Week.floor(Utc::now() - Duration::days(14));
    let runs = [
        (one, -Duration::minutes(1), "pass", 3),
        (one, Duration::zero(), "fail", 2),
        (other, Duration::minutes(59), "error", 5),
        (other, Duration::hours(30), "cancelled", 1),
    ];
    for (test, at, result, count) in runs {
        ended_at(&lab, test, monday + at, result, count).await;
    }
    assert!(!summary(&lab, SummaryFilter::default()).await.is_current);
    digest_all(&lab).await;

    let (from, to) = (monday - Duration::days(7), monday + Duration::days(7));
    let counts = |told: &tstr_shared::summary::Summary| {
        let some = told.intervals.iter().filter(|one| one.figures.counts.runs > 0);
        some.map(|one| (one.start - monday, one.figures.counts.runs)).collect::<Vec<_>>()
    };
    let hours = |n| Duration::hours(n);
    let weeks = summary(&lab, of(from, to, Interval::Week)).await;
    assert_eq!((weeks.from, weeks.to, weeks.intervals.len()), (from, to, 2));
    assert_eq!(counts(&weeks), [(hours(-168), 3), (hours(0), 8)]);
    let days = summary(&lab, of(from, to, Interval::Day)).await;
    assert_eq!(counts(&days), [(hours(-24), 3), (hours(0), 7), (hours(24), 1)]);
    let by_hour = summary(&lab, of(from, to, Interval::Hour)).await;
    assert_eq!(counts(&by_hour), [(hours(-1), 3), (hours(0), 7), (hours(30), 1)]);
    for told in [&weeks, &days, &by_hour] {
        assert_eq!(told.totals, weeks.totals);
        assert_eq!((&told.tests, &told.labels), (&weeks.tests, &weeks.labels));
        let worst: Vec<_> = told.tests.iter().map(|test| (test.test_name.as_str(), test.figures.counts.runs)).collect();
        assert_eq!(worst, [("other", 6), ("one", 5)]);
        assert_eq!((told.labels[0].key.as_str(), told.labels[0].value.as_str()), ("forged", "yes"));
    }
    let totals = weeks.totals.counts;
    assert_eq!((totals.runs, totals.pass, totals.fail, totals.error, totals.cancelled), (11, 3, 2, 5, 1));
    let took = weeks.totals.duration.unwrap();
    assert!((took.count, took.mean_ms) == (11, 4000) && took.p50_ms.abs_diff(4000) <= 62, "{took:?}");

    // Hours at the edges: only those that are asked for.
    let edge = summary(&lab, of(monday - hours(1), monday + hours(30), Interval::Hour)).await;
    assert_eq!((edge.totals.counts.runs, edge.tests[0].figures.counts.runs), (10, 5));
    let edge = summary(&lab, of(monday + Duration::seconds(1), monday + Duration::seconds(2), Interval::Hour)).await;
    assert_eq!((edge.intervals.len(), edge.totals.counts.runs), (1, 7), "times are widened to whole intervals");

    for (interval, expected) in [
        (Interval::Week, vec![(hours(-168), 3), (hours(0), 2)]),
        (Interval::Day, vec![(hours(-24), 3), (hours(0), 2)]),
        (Interval::Hour, vec![(hours(-1), 3), (hours(0), 2)]),
    ] {
        let narrowed = summary(&lab, SummaryFilter { test: Some("one".into()), ..of(from, to, interval) }).await;
        assert_eq!((counts(&narrowed), narrowed.totals.counts.runs), (expected, 5));
        assert_eq!((narrowed.tests.len(), narrowed.tests[0].figures), (1, narrowed.totals));
        assert!(narrowed.runners.is_empty() && narrowed.labels.is_empty());
    }
    // A test that was deleted is found by its id.
    lab.ops().delete_test(&lab.admin, &default(), "one", None).await.unwrap();
    let gone = SummaryFilter { test: Some(one.to_string()), ..of(from, to, Interval::Day) };
    assert_eq!(summary(&lab, gone).await.tests[0].test_name, "one");
}

#[tokio::test]
async fn of_many_tests_the_worst_are_told_and_how_many_more_there_are() {
    let lab = Lab::start().await;
    let at = Utc::now() - Duration::hours(2);
    for i in 0..103 {
        let test = lab.test(factory::test(&format!("t{i:03}"))).await.id;
        ended_at(&lab, test, at, if i == 50 { "fail" } else { "pass" }, 1 + usize::from(i == 7)).await;
    }
    digest_all(&lab).await;
    let told = summary(&lab, SummaryFilter::default()).await;
    assert_eq!((told.tests.len(), told.tests_more, told.totals.counts.runs), (100, 3, 104));
    let first: Vec<_> = told.tests.iter().take(2).map(|test| test.test_name.as_str()).collect();
    assert_eq!(first, ["t050", "t007"]);
    assert_eq!(told.tests[1].figures.duration.unwrap().count, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_told_soon_after_they_ended_with_their_runner() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    admin.register(&factory::with(factory::test("a"), "/labels", json!({"region": "nyc"}))).await;
    let worker = StackWorker::register(&stack, 0, "w").await;
    for result in [RunResult::Pass, RunResult::Fail] {
        admin.trigger("a").await;
        let fence = worker.running().await;
        worker.finish(fence, result).await.unwrap();
    }
    let told = eventually("both are counted", std::time::Duration::from_secs(10), async || {
        let told = admin.get(&format!("{SUMMARY}?interval=hour")).await.expect(200);
        (told["totals"]["counts"]["runs"] == 2).then_some(told)
    });
    let told = told.await;
    let counts = &told["totals"]["counts"];
    assert_eq!((&counts["pass"], &counts["fail"], &counts["attempts"]), (&json!(1), &json!(1), &json!(2)));
    assert!(told["totals"]["wait"]["p95_ms"].is_u64(), "{told}");
    let runner = &told["runners"][0];
    assert_eq!((&runner["runner_name"], &runner["counts"]["runs"]), (&json!("w"), &json!(2)));
    assert!(runner["utilisation"].as_f64().unwrap() < 1.0, "{runner}");
    assert_eq!((&told["labels"][0]["key"], &told["labels"][0]["value"]), (&json!("region"), &json!("nyc")));
    assert_eq!((&told["tests"][0]["test_name"], &told["tests_more"]), (&json!("a"), &json!(0)));

    // The same by the command line, and counted anew.
    let ctl = Ctl::of(&stack);
    let seen: Value = serde_json::from_str(ctl.run("summary --interval week -o json").done()).unwrap();
    assert_eq!(seen["totals"], told["totals"]);
    let table = ctl.run("summary --since 1d");
    let last = table.done().lines().last().unwrap().to_owned();
    assert!(last.starts_with("all\t2\t1\t1\t"), "{last}");
    let rebuilt: Value = serde_json::from_str(ctl.run("summary rebuild -o json").done()).unwrap();
    assert_eq!(rebuilt["runs"], 2);
    let again = admin.get(&format!("{SUMMARY}?interval=hour")).await.expect(200);
    assert_eq!(again["totals"], told["totals"]);
}

#[tokio::test]
async fn what_cannot_be_told_names_its_field() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let at = |days| (Utc::now() - Duration::days(days)).to_rfc3339_opts(SecondsFormat::Secs, true);
    for (query, field) in [
        (format!("scheduled_after={}&interval=hour", at(60)), "interval"),
        (format!("scheduled_after={}", at(1001)), "interval"),
        (format!("scheduled_after={}&scheduled_before={}&interval=hour", at(410), at(409)), "interval"),
        (format!("scheduled_after={}", at(-1)), "scheduled_after"),
        (format!("scheduled_after={}&scheduled_before={}", at(1), at(2)), "scheduled_before"),
        ("interval=month".to_owned(), "interval"),
        ("scheduled_before=yesterday".to_owned(), "scheduled_before"),
        ("test=a%20b".to_owned(), "test"),
        ("since=1d".to_owned(), "since"),
    ] {
        assert_eq!(admin.get(&format!("{SUMMARY}?{query}")).await.faults(), [field], "{query}");
    }
    for query in ["test=none", "test=0197c1a0-0000-7000-8000-000000000001"] {
        let answer = admin.get(&format!("{SUMMARY}?{query}")).await;
        assert_eq!(answer.status.as_u16(), 404, "{query}");
    }
    let body = json!({"from": "soon"});
    assert_eq!(admin.post(&format!("{SUMMARY}/rebuild"), &body).await.faults(), ["/from"]);
}

#[tokio::test]
async fn a_summary_is_told_to_those_who_read_runs_and_rebuilt_by_administrators_of_the_namespace() {
    let lab = Lab::start().await;
    lab.namespace("other").await;
    let reader = lab.caller(&[Scope::Data], &["default"]);
    let control = lab.caller(&[Scope::Control], &["default"]);
    let foreign = lab.caller(&[Scope::Admin], &["other"]);
    let runner = lab.caller(&[Scope::Runner], &[".*"]);
    let get = async |caller| {
        let told = lab.ops().get_summary(caller, &default(), SummaryFilter::default()).await;
        told.map(drop).map_err(|error| error.code())
    };
    assert_eq!(get(&reader).await, Ok(()));
    assert_eq!(get(&foreign).await, Err(ErrorCode::NotFound));
    assert_eq!(get(&runner).await, Err(ErrorCode::Forbidden));
    let rebuild = async |caller| {
        let done = lab.ops().rebuild_summary(caller, &default(), Default::default()).await;
        done.map(drop).map_err(|error| error.code())
    };
    assert_eq!(rebuild(&control).await, Err(ErrorCode::Forbidden));
    assert_eq!(rebuild(&foreign).await, Err(ErrorCode::NotFound));
    assert_eq!(rebuild(&lab.admin).await, Ok(()));
    // A test of another namespace is none of this one.
    let new = serde_json::from_value(factory::test("hidden")).unwrap();
    let ns = tstr_shared::namespace::Namespace::parse("other").unwrap();
    let hidden = lab.ops().create_test(&lab.admin, &ns, new, None).await.unwrap().test.id;
    let filter = SummaryFilter { test: Some(hidden.to_string()), ..SummaryFilter::default() };
    let told = lab.ops().get_summary(&lab.admin, &default(), filter).await;
    assert_eq!(told.map(drop).map_err(|error| error.code()), Err(ErrorCode::NotFound));
}
