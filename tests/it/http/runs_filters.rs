//! The filters of the list of runs, each by itself and together.

use serde_json::{Value, json};
use tstr_shared::run::RunResult;
use tstr_tests::worker::Worker;
use tstr_tests::{Stack, factory};

use super::{NOBODY, RUNS, TESTS, each};

#[tokio::test]
async fn every_filter_of_the_list_of_runs_holds() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Worker::register(&stack, 0, "w").await;
    let other = Worker::register(&stack, 0, "other").await;
    let matrix = factory::with(factory::test("m"), "/matrix/labels/region", json!(["nyc", "sfo"]));
    let a = admin.register(&factory::with(factory::test("a"), "/labels/tier", json!("1"))).await;
    admin.register(&matrix).await;

    let passed = admin.trigger("a").await.remove(0);
    worker.finish(worker.running().await, RunResult::Pass).await.unwrap();
    let failed = admin.trigger("a").await.remove(0);
    other.finish(other.running().await, RunResult::Fail).await.unwrap();
    let running = admin.trigger("a").await.remove(0);
    worker.running().await;
    let leased = admin.trigger("a").await.remove(0);
    worker.next().await;
    let pair = admin.post(&format!("{TESTS}/m/runs"), &json!({})).await.expect(201);
    let [nyc, sfo] = [0, 1].map(|i| pair["runs"][i]["id"].as_str().unwrap().to_owned());

    let at = |run: &Value, field: &str| run[field].as_str().unwrap().to_owned();
    let (run_1, run_2, run_3) = (admin.run(&passed).await, admin.run(&failed).await, admin.run(&running).await);
    let a_id = a["id"].as_str().unwrap().to_owned();
    let cases: Vec<(String, Vec<&String>)> = vec![
        (String::new(), vec![&passed, &failed, &running, &leased, &nyc, &sfo]),
        ("test=a".into(), vec![&passed, &failed, &running, &leased]),
        (format!("test={a_id}"), vec![&passed, &failed, &running, &leased]),
        ("test=m".into(), vec![&nyc, &sfo]),
        ("test=nobody".into(), vec![]),
        (format!("runner={}", worker.id), vec![&passed, &running, &leased]),
        (format!("runner={}", other.id), vec![&failed]),
        (format!("runner={NOBODY}"), vec![]),
        ("state=queued".into(), vec![&nyc, &sfo]),
        ("state=leased".into(), vec![&leased]),
        ("state=running".into(), vec![&running]),
        ("state=finished&state=running".into(), vec![&passed, &failed, &running]),
        ("result=pass".into(), vec![&passed]),
        ("result=pass&result=fail".into(), vec![&passed, &failed]),
        ("result=error".into(), vec![]),
        ("state=queued&result=pass".into(), vec![]),
        ("label=tier%3D1".into(), vec![&passed, &failed, &running, &leased]),
        ("label=region%3Dsfo".into(), vec![&sfo]),
        ("label=region%3Dsfo&label=tier%3D1".into(), vec![]),
        (format!("matrix_id={}", pair["matrix_id"].as_str().unwrap()), vec![&nyc, &sfo]),
        (format!("matrix_id={}&label=region%3Dnyc", pair["matrix_id"].as_str().unwrap()), vec![&nyc]),
        (format!("matrix_id={NOBODY}"), vec![]),
        (format!("scheduled_after={}&test=a", at(&run_2, "scheduled_at")), vec![&running, &leased]),
        (format!("scheduled_before={}", at(&run_2, "scheduled_at")), vec![&passed]),
        (format!("started_after={}", at(&run_1, "started_at")), vec![&failed, &running]),
        (format!("started_before={}", at(&run_3, "started_at")), vec![&passed, &failed]),
        (format!("finished_after={}", at(&run_1, "finished_at")), vec![&failed]),
        (format!("finished_before={}", at(&run_2, "finished_at")), vec![&passed]),
        (format!("finished_after={0}&finished_before={0}", at(&run_1, "finished_at")), vec![]),
        ("finished_after=1970-01-01T00:00:00%2B00:00&result=fail&test=a&state=finished".into(), vec![&failed]),
    ];
    for (query, expected) in cases {
        let listed = admin.get(&format!("{RUNS}?{query}")).await.expect(200);
        let mut ids = each(&listed, "id");
        assert!(ids.iter().is_sorted_by(|a, b| a > b), "the latest first: {query}");
        let mut expected: Vec<_> = expected.into_iter().cloned().collect();
        ids.sort();
        expected.sort();
        assert_eq!(ids, expected, "{query}");
    }
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_is_named() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    for (query, parameter) in [
        ("status=queued", "status"),
        ("state=queued&state=lost", "state"),
        ("result=passed", "result"),
        ("label=tier", "label"),
        ("label=a%3D1&label=a%3D2", "label"),
        ("matrix_id=7", "matrix_id"),
        ("runner=w", "runner"),
        ("test=a%20b", "test"),
        ("test=a&test=b", "test"),
        ("scheduled_after=yesterday", "scheduled_after"),
        ("started_before=1", "started_before"),
        ("finished_after=", "finished_after"),
        ("page_size=many", "page_size"),
    ] {
        assert_eq!(admin.get(&format!("{RUNS}?{query}")).await.faults(), [parameter], "{query}");
    }
    // Instants at the ends of time are instants.
    for query in [
        "scheduled_after=-9999-01-01T00:00:00Z",
        "finished_before=%2B200000-01-01T00:00:00Z",
        "scheduled_before=0001-01-01T00:00:00Z",
    ] {
        let status = admin.get(&format!("{RUNS}?{query}")).await.status;
        assert!(status == 200 || status == 422, "{query}: {status}");
    }
}
