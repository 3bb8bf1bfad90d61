//! Tests: register, read, apply, pause, schedule, list, delete.

use reqwest::Method;
use serde_json::{Value, json};
use tstr_shared::permission::Scope;
use tstr_shared::selector::SelectorSources;
use tstr_tests::worker::Worker;
use tstr_tests::{Stack, factory};

use super::{RUNS, TESTS, each, foreigner};

#[tokio::test]
async fn a_test_is_registered_read_and_deleted_and_its_runs_stay() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let made = admin.post(TESTS, &factory::test("a")).await;
    let test = made.expect(201);
    assert_eq!(made.header("location"), format!("{TESTS}/a"));
    assert_eq!((made.header("etag"), made.header("cache-control")), ("\"1\"", "no-store"));
    assert_eq!((test["namespace"].as_str(), test["version"].as_i64()), (Some("default"), Some(1)));
    // Defaults are told, durations in seconds.
    assert_eq!((&test["run_config"]["timeout"], &test["run_config"]["grace"]), (&json!("600s"), &json!("10s")));
    assert_eq!(
        (&test["priority"], &test["paused"], &test["retry"]["on_infrastructure"]),
        (&json!("normal"), &json!(false), &json!(1))
    );
    let id = test["id"].as_str().unwrap();
    for name in ["a", id] {
        let read = admin.get(&format!("{TESTS}/{name}")).await;
        assert_eq!((read.expect(200)["id"].as_str(), read.header("etag")), (Some(id), "\"1\""));
    }
    let runs = admin.trigger("a").await;

    let deleted = admin.delete(&format!("{TESTS}/a")).await;
    assert_eq!(deleted.expect(204), Value::Null);
    for name in ["a", id] {
        admin.get(&format!("{TESTS}/{name}")).await.refused(404, "not_found");
        admin.delete(&format!("{TESTS}/{name}")).await.refused(404, "not_found");
    }
    assert!(each(&admin.get(TESTS).await.expect(200), "name").is_empty());
    assert_eq!(admin.run(&runs[0]).await["test_name"], "a");
    assert_eq!(each(&admin.get(&format!("{RUNS}?test={id}")).await.expect(200), "id"), runs);
    // The name is free again, for another test.
    assert_ne!(admin.register(&factory::test("a")).await["id"].as_str(), Some(id));
}

#[tokio::test]
async fn a_name_is_taken_once_in_a_namespace_whoever_comes_first() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    stack.namespace("other").await;
    let body = factory::test("a");
    let tries = (0..8).map(|_| admin.post(TESTS, &body));
    let answers = futures_util::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.refused(409, "conflict")["detail"], "a test with this name exists in the namespace");
    }
    admin.post("/api/v1/namespaces/other/tests", &body).await.expect(201);
    // Renaming runs into the same rule.
    admin.register(&factory::test("b")).await;
    admin.patch(&format!("{TESTS}/b"), &json!({"name": "a"})).await.refused(409, "conflict");
    assert_eq!(admin.get(&format!("{TESTS}/b")).await.expect(200)["version"], 1);
}

#[tokio::test]
async fn a_registration_warns_of_cells_that_no_runner_takes() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let warnings = |test: &Value| {
        test["warnings"].as_array().unwrap().iter().map(|w| w.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = admin.register(&factory::test("early")).await;
    assert_eq!(
        warnings(&first),
        ["no runner that takes runs of the namespace default has registered yet; runs will wait"]
    );
    let accept = [("region".to_owned(), "nyc|sfo".to_owned())].into();
    let only = SelectorSources { accept, ..SelectorSources::default() };
    Worker::register_for(&stack, 0, "w", &["default"], only).await;
    let matrix = |regions: Value| {
        factory::with(
            factory::test(&regions.to_string().replace(['[', ']', '"', ','], "")),
            "/matrix/labels/region",
            regions,
        )
    };
    assert!(warnings(&admin.register(&matrix(json!(["nyc", "sfo"]))).await).is_empty());
    assert_eq!(
        warnings(&admin.register(&matrix(json!(["nyc", "fra"]))).await),
        ["no known runner takes the cell region=fra; \
          the nearest is w: it does not accept region=fra (accept region=nyc|sfo)"]
    );
    assert_eq!(
        warnings(&admin.register(&matrix(json!(["fra", "lhr"]))).await),
        ["fra", "lhr"].map(|region| format!(
            "no known runner takes the cell region={region}; \
             the nearest is w: it does not accept region={region} (accept region=nyc|sfo)"
        ))
    );
    // Of several runners the one that fits most of the labels is named, live or not; of many cells the first ten.
    let accept = [("region".to_owned(), ".*".to_owned())].into();
    let reject = [("type".to_owned(), "load".to_owned())].into();
    Worker::register_for(&stack, 0, "nearer", &["default"], SelectorSources { accept, reject }).await;
    let body = factory::with(matrix(json!(["ber"])), "/labels", json!({"type": "load"}));
    assert_eq!(
        warnings(&admin.register(&body).await),
        ["no known runner takes the cell region=ber; the nearest is nearer: it rejects type=load (reject type=load)"]
    );
    let values: Vec<String> = (0..25).map(|n| n.to_string()).collect();
    let body = factory::with(factory::test("wide"), "/matrix/labels/type", json!(values));
    let told = warnings(&admin.register(&body).await);
    assert_eq!((told.len(), told[10].as_str()), (11, "no known runner takes 15 more cells"));
}

#[tokio::test]
async fn an_apply_creates_changes_or_leaves_a_test_and_a_dry_run_only_says_so() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let (path, body) = (format!("{TESTS}/a"), factory::test("a"));
    let dry = format!("{path}?dry_run=true");

    let foretold = admin.put(&dry, &body).await;
    assert_eq!((foretold.expect(200)["change"].as_str(), foretold.header("etag")), (Some("created"), ""));
    assert!(foretold.expect(200).get("test").is_none());
    admin.get(&path).await.refused(404, "not_found");

    let made = admin.put(&path, &body).await;
    assert_eq!(made.expect(201)["change"], "created");
    assert_eq!((made.header("location"), made.header("etag")), (path.as_str(), "\"1\""));

    let again = admin.put(&path, &body).await.expect(200);
    assert_eq!(
        (&again["change"], &again["diff"], &again["test"]["version"]),
        (&json!("unchanged"), &json!([]), &json!(1))
    );

    let other = factory::with(body, "/run_config/timeout", json!("1m"));
    let change = json!([{"pointer": "/run_config/timeout", "before": "600s", "after": "60s"}]);
    let foretold = admin.put(&dry, &other).await.expect(200);
    assert_eq!(
        (&foretold["change"], &foretold["diff"], &foretold["dry_run"]),
        (&json!("updated"), &change, &json!(true))
    );
    assert_eq!(admin.get(&path).await.expect(200)["run_config"]["timeout"], "600s");
    let changed = admin.put(&path, &other).await;
    assert_eq!((&changed.expect(200)["diff"], changed.header("etag")), (&change, "\"2\""));
    assert_eq!(admin.get(&path).await.expect(200)["run_config"]["timeout"], "60s");

    assert_eq!(admin.put(&path, &factory::test("b")).await.faults(), ["/name"]);
    assert_eq!(admin.put(&format!("{path}?dry_run=maybe"), &other).await.faults(), ["dry_run"]);
}

#[tokio::test]
async fn what_is_applied_twice_is_unchanged_to_the_last_digit_and_the_last_key() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let axes = json!({"zone": ["b", "a"], "arch": ["y", "x"], "os": ["z"]});
    let test = factory::with(factory::test("a"), "/matrix/labels", axes.clone());
    // A number that is read one off by those who are in a hurry.
    let test = factory::with(test, "/run_config/resources/cpus", json!(51.436942149974804));
    admin.put(&format!("{TESTS}/a"), &test).await.expect(201);
    let again = admin.put(&format!("{TESTS}/a"), &test).await.expect(200);
    assert_eq!((&again["change"], &again["diff"]), (&json!("unchanged"), &json!([])));
    let stored = &again["test"]["matrix"]["labels"];
    assert_eq!(stored.to_string(), axes.to_string(), "the axes keep their order");
    let patched = admin.patch(&format!("{TESTS}/a"), &json!({"paused": true})).await.expect(200);
    assert_eq!(patched["matrix"]["labels"].to_string(), axes.to_string(), "also through a patch");
}

#[tokio::test]
async fn a_paused_test_has_no_next_instant_until_it_is_resumed() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let test = admin.register(&factory::with(factory::test("a"), "/cron_schedule", json!("0 4 * * *"))).await;
    let next = test["next_run_at"].as_str().unwrap().to_owned();
    assert!(next.ends_with("T04:00:00Z"), "{next}");
    for _ in 0..2 {
        let paused = admin.post(&format!("{TESTS}/a/pause"), &json!({})).await.expect(200);
        assert_eq!((&paused["paused"], paused.get("next_run_at"), &paused["version"]), (&json!(true), None, &json!(2)));
    }
    assert_eq!(admin.get(&format!("{TESTS}/a/schedule")).await.expect(200)["paused"], true);
    admin.trigger("a").await;
    let resumed = admin.send(admin.request(Method::POST, &format!("{TESTS}/a/resume"))).await.expect(200);
    assert_eq!((&resumed["paused"], resumed["next_run_at"].as_str()), (&json!(false), Some(next.as_str())));
}

#[tokio::test]
async fn a_schedule_is_told_in_instants_and_words() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let test = factory::with(factory::test("a"), "/cron_schedule", json!("30 2 * * *"));
    admin.register(&factory::with(test, "/time_zone", json!("America/Toronto"))).await;
    admin.register(&factory::test("by-hand")).await;
    let path = format!("{TESTS}/a/schedule");
    let told = admin.get(&path).await.expect(200);
    assert_eq!((told["time_zone"].as_str(), told["upcoming"].as_array().unwrap().len()), (Some("America/Toronto"), 10));
    assert!(told["description"].as_str().is_some_and(|text| text.contains("02:30") || text.contains("2:30")), "{told}");
    assert_eq!(told["upcoming"][0]["at"], admin.get(&format!("{TESTS}/a")).await.expect(200)["next_run_at"]);
    let year = admin.get(&format!("{path}?count=100")).await.expect(200)["upcoming"].as_array().unwrap().clone();
    let instants: Vec<_> = year.iter().map(|one| one["at"].as_str().unwrap().to_owned()).collect();
    assert!(instants.len() == 100 && instants.is_sorted(), "{instants:?}");
    assert_eq!(admin.get(&format!("{path}?count=101")).await.faults(), ["count"]);
    assert_eq!(admin.get(&format!("{path}?count=x")).await.faults(), ["count"]);
    admin.get(&format!("{TESTS}/by-hand/schedule")).await.refused(409, "conflict");
}

#[tokio::test]
async fn tests_are_listed_by_name_and_each_filter_must_hold() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    for (name, team, tier, paused) in
        [("web-e2e", "shop", "1", false), ("api-e2e", "shop", "2", true), ("API-load", "core", "1", false)]
    {
        let test = factory::with(factory::test(name), "/labels", json!({"team": team, "tier": tier}));
        let test = factory::with(factory::with(test, "/annotations/owner", json!(team)), "/paused", json!(paused));
        admin.register(&test).await;
    }
    let names = async |query: &str| {
        let mut names = each(&admin.get(&format!("{TESTS}?{query}")).await.expect(200), "name");
        names.sort();
        names
    };
    for (query, expected) in [
        ("", &["API-load", "api-e2e", "web-e2e"][..]),
        ("q=api", &["API-load", "api-e2e"]),
        ("q=%25", &[]),
        ("label=team%3Dshop", &["api-e2e", "web-e2e"]),
        ("label=team%3Dshop&label=tier%3D1", &["web-e2e"]),
        ("annotation=owner%3Dcore", &["API-load"]),
        ("paused=true", &["api-e2e"]),
        ("paused=false&q=e2e", &["web-e2e"]),
    ] {
        assert_eq!(names(query).await, expected, "{query}");
    }
    for (query, parameter) in [
        ("label=team", "label"),
        ("label=a%3D1&label=a%3D2", "label"),
        ("annotation=%3Dx", "annotation"),
        ("paused=sometimes", "paused"),
        ("state=fail", "state"),
        ("q=a&q=b", "q"),
        ("q=%00", ""),
        ("page_size=-1", "page_size"),
    ] {
        assert_eq!(admin.get(&format!("{TESTS}?{query}")).await.faults(), [parameter], "{query}");
    }
}

#[tokio::test]
async fn a_reader_reads_tests_and_writes_none() {
    let stack = Stack::start().await;
    stack.admin().register(&factory::with(factory::test("a"), "/cron_schedule", json!("@daily"))).await;
    let reader = stack.person(&[Scope::Data], &["default"]).await;
    for path in [TESTS.to_owned(), format!("{TESTS}/a"), format!("{TESTS}/a/schedule")] {
        reader.get(&path).await.expect(200);
    }
    let a = format!("{TESTS}/a");
    let answers = [
        reader.post(TESTS, &factory::test("b")).await,
        reader.put(&a, &factory::test("a")).await,
        reader.put(&format!("{a}?dry_run=true"), &factory::test("a")).await,
        reader.patch(&a, &json!({"paused": true})).await,
        reader.delete(&a).await,
        reader.post(&format!("{a}/pause"), &json!({})).await,
        reader.post(&format!("{a}/resume"), &json!({})).await,
    ];
    for answer in answers {
        let problem = answer.refused(403, "forbidden");
        assert_eq!(problem["detail"], "tests:write needs a token with scope admin or control");
    }
    let kept = reader.get(TESTS).await.expect(200);
    assert_eq!((each(&kept, "name"), &kept["items"][0]["version"]), (vec!["a".to_owned()], &json!(1)));
}

#[tokio::test]
async fn the_tests_of_a_foreign_namespace_are_not_found() {
    let stack = Stack::start().await;
    let id = stack.admin().register(&factory::test("a")).await["id"].as_str().unwrap().to_owned();
    let foreigner = foreigner(&stack).await;
    let a = format!("{TESTS}/a");
    let answers = [
        foreigner.get(TESTS).await,
        foreigner.post(TESTS, &factory::test("b")).await,
        foreigner.get(&a).await,
        foreigner.put(&a, &factory::test("a")).await,
        foreigner.patch(&a, &json!({"paused": true})).await,
        foreigner.delete(&a).await,
        foreigner.post(&format!("{a}/pause"), &json!({})).await,
        foreigner.post(&format!("{a}/resume"), &json!({})).await,
        foreigner.get(&format!("{a}/schedule")).await,
    ];
    for answer in answers {
        assert_eq!(answer.refused(404, "not_found")["detail"], "namespace not found");
    }
    // Nor is the test found by its id in a namespace that is one's own.
    foreigner.get(&format!("/api/v1/namespaces/elsewhere/tests/{id}")).await.refused(404, "not_found");
    foreigner.delete(&format!("/api/v1/namespaces/elsewhere/tests/{id}")).await.refused(404, "not_found");
    assert_eq!(stack.admin().get(&a).await.expect(200)["version"], 1);
}

#[tokio::test]
async fn a_registration_tells_when_the_test_runs_next() {
    let stack = Stack::start_with(1, |config| config.no_scheduler = true).await;
    let admin = stack.admin();
    // The second Sunday of March: the day on which 02:30 does not exist.
    let zoned = factory::with(factory::test("a"), "/time_zone", json!("America/New_York"));
    let body = factory::with(zoned, "/cron_schedule", json!("30 2 * 3 SUN#2"));
    let dry = admin.put(&format!("{TESTS}/a?dry_run=true"), &body).await.expect(200);
    let made = admin.post(TESTS, &body).await.expect(201);
    let scheduled = admin.get(&format!("{TESTS}/a/schedule?count=5")).await.expect(200);
    assert_eq!(scheduled["description"], "at 02:30 on the second Sunday of the month in March (America/New_York)");
    let upcoming = scheduled["upcoming"].as_array().unwrap();
    assert_eq!(upcoming.len(), 5);
    for one in upcoming {
        assert!(one["local"].as_str().unwrap().ends_with("T03:00:00-04:00"), "{one}");
        assert!(one["note"].as_str().unwrap().contains("02:30 does not exist on"), "{one}");
    }
    let again = admin.put(&format!("{TESTS}/a"), &body).await.expect(200);
    let patched = admin.patch(&format!("{TESTS}/a"), &json!({"priority": "high"})).await.expect(200);
    for answer in [&dry, &made, &again, &patched] {
        assert_eq!(answer["upcoming"], scheduled["upcoming"], "{answer}");
    }
    // As a dry run: of the schedule that is asked for.
    let noon = factory::with(body.clone(), "/cron_schedule", json!("0 12 * * *"));
    let dry = admin.put(&format!("{TESTS}/a?dry_run=true"), &noon).await.expect(200);
    assert_eq!(dry["upcoming"].as_array().unwrap().len(), 5);
    assert!(dry["upcoming"][0]["local"].as_str().unwrap().contains("T12:00:00-"), "{dry}");
    // Nothing where it does not run by itself, or where nobody knows yet.
    let paused = admin.patch(&format!("{TESTS}/a"), &json!({"paused": true})).await.expect(200);
    let manual = admin.post(TESTS, &factory::test("b")).await.expect(201);
    let spread = factory::with(factory::test("c"), "/cron_schedule", json!("H H * * *"));
    let undecided = admin.put(&format!("{TESTS}/c?dry_run=true"), &spread).await.expect(200);
    for answer in [&paused, &manual, &undecided] {
        assert_eq!(answer["upcoming"], json!([]), "{answer}");
    }
    let decided = admin.put(&format!("{TESTS}/c"), &spread).await.expect(201);
    assert_eq!(decided["upcoming"].as_array().unwrap().len(), 5);
}
