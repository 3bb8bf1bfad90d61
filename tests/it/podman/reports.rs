//! Test reports of real containers, from the file that a test writes to the cases and the change that a person reads.

use super::*;

/// Writes a report with a case for each word: its name, and how it ended.
fn writes(name: &str, cases: &[(&str, &str)], end: &str) -> Value {
    let inside = |how: &str| match how {
        "fail" => "<failure message=\"it did not\"/>",
        "flaky" => "<flakyFailure message=\"at first\"/>",
        _ => "",
    };
    let cases: String = cases
        .iter()
        .map(|(case, how)| format!("<testcase classname=\"Shop\" name=\"{case}\">{}</testcase>", inside(how)))
        .collect();
    factory::script(name, &format!("echo '<testsuite name=\"s\">{cases}</testsuite>' >$TSTR_ARTIFACTS/r.xml; {end}"))
}

async fn items(admin: &Person, path: &str) -> Vec<Value> {
    admin.get(path).await.expect(200)["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_decides_the_result_and_is_kept_however_the_run_ends() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Runner::start(&stack, "w1", &["--slots", "4"]).await;
    let late =
        factory::with(writes("late", &[("opens", "pass")], "exec sleep 600"), "/run_config/timeout", json!("3s"));
    let required = |test: Value| factory::with(test, "/artifacts", json!({"report": "required"}));
    let expected = [
        (writes("good", &[("opens", "pass"), ("closes", "flaky")], "exit 0"), "pass", Some((2, 0))),
        (writes("bad", &[("opens", "pass"), ("closes", "fail")], "exit 0"), "fail", Some((2, 1))),
        (writes("worse", &[("opens", "pass")], "exit 3"), "fail", Some((1, 0))),
        (late, "timed_out", Some((1, 0))),
        (required(factory::script("none", "exit 0")), "error", None),
        (required(writes("there", &[("opens", "pass")], "exit 0")), "pass", Some((1, 0))),
    ];
    let mut runs = Vec::new();
    for (test, result, counts) in expected {
        runs.push((trigger(&admin, test).await, result, counts));
    }
    for (id, result, counts) in &runs {
        let seen = finished(&admin, id).await;
        assert_eq!(seen["result"].as_str(), Some(*result), "{seen}");
        let told = seen["cases"].as_object().map(|it| (it["cases"].as_u64().unwrap(), it["failed"].as_u64().unwrap()));
        assert_eq!(told, *counts, "{seen}");
    }
    assert_eq!(finished(&admin, &runs[4].0).await["reason"], "report_invalid");
    let flaky = items(&admin, &format!("/api/v1/runs/{}/cases?flaky=true", runs[0].0)).await;
    assert_eq!((flaky.len(), &flaky[0]["key"]["name"]), (1, &json!("closes")));
    let exported = admin.get(&format!("/api/v1/runs/{}/report?format=tap", runs[1].0)).await.text();
    assert!(exported.starts_with("TAP version 14") && exported.contains("not ok 2"), "{exported}");
    worker.cleaned_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_comes_and_goes_is_told_with_the_run_it_began_in() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let _worker = Runner::start(&stack, "w1", &["--slots", "1"]).await;
    let first = trigger(&admin, writes("door", &[("opens", "pass"), ("closes", "pass")], "exit 0")).await;
    finished(&admin, &first).await;
    let mut ids = Vec::new();
    for how in ["fail", "fail", "pass"] {
        let test = writes("door", &[("opens", "pass"), ("closes", how)], "exit 0");
        admin.put(&format!("{TESTS}/door"), &test).await.expect(200);
        let id = again(&admin, "door").await;
        finished(&admin, &id).await;
        ids.push(id);
    }
    let changes = async |id: &str| {
        eventually("the run is looked at", Duration::from_secs(20), async || {
            let changes = admin.get(&format!("/api/v1/runs/{id}/changes")).await.expect(200);
            (changes["told"] == true).then_some(changes)
        })
        .await
    };
    let still = changes(&ids[1]).await;
    assert_eq!((&still["still_failing"], still["items"].as_array().unwrap().len()), (&json!(1), 1), "{still}");
    assert_eq!(still["items"][0]["since"]["first"]["run_id"], json!(ids[0]));
    let fixed = changes(&ids[2]).await;
    assert_eq!((&fixed["fixed"], &fixed["items"][0]["key"]["name"]), (&json!(1), &json!("closes")), "{fixed}");
    let cells = items(&admin, &format!("{TESTS}/door/cells")).await;
    // One script always passed and the other always failed: that is no contradiction.
    assert_eq!((&cells[0]["strip"], &cells[0]["status"]), (&json!("pffp"), &json!("healthy")), "{cells:?}");
    let cases = items(&admin, &format!("{TESTS}/door/cases?standing=fixed")).await;
    let case = cases[0]["case_id"].as_str().unwrap();
    let history = items(&admin, &format!("{TESTS}/door/cases/{case}/history")).await;
    let told: Vec<&str> = history.iter().map(|run| run["status"].as_str().unwrap()).collect();
    assert_eq!(told, ["pass", "fail", "fail", "pass"]);
}
