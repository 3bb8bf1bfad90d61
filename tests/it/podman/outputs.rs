//! Result data of real containers, from the file that a test writes to what a person reads.

use super::*;

async fn said(admin: &Person, id: &str) -> Value {
    admin.get(&format!("/api/v1/runs/{id}/output")).await.expect(200)
}

fn notes(output: &Value) -> Vec<&str> {
    output["notes"].as_array().unwrap().iter().map(|note| note["message"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_is_kept_however_a_run_ends() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let worker = Runner::start(&stack, "w1", &["--slots", "4"]).await;
    let script = |name: &str, end: &str| {
        factory::script(
            name,
            &format!(
                "printf 'name={name}\\n{{\"n\": 12}}\\n' >$TSTR_OUTPUT; printf 'm,a=b v=1\\n' >$TSTR_METRICS;
                 printf 'm,a=b v=2\\n' >$TSTR_ARTIFACTS/more.lp; printf '# {name}\\n' >$TSTR_SUMMARY; printf \"${{RECORD_START}}out:1${{RECORD_END}}\";
                 printf \"x${{RECORD_START}}err : 2${{RECORD_END}}y\" >&2; {end}"
            ),
        )
    };
    let late = |name: &str, end: &str| factory::with(script(name, end), "/run_config/timeout", json!("3s"));
    let mut runs = Vec::new();
    for (test, result) in [
        (script("passes", "exit 0"), "pass"),
        (script("fails", "exit 3"), "fail"),
        (script("asleep", "echo begun; exec sleep 600"), "cancelled"),
        (late("late", "exec sleep 600"), "timed_out"),
        (factory::with(script("bare", "exit 0"), "/limits/artifacts", json!("0B")), "pass"),
    ] {
        let name = test["name"].as_str().unwrap().to_owned();
        runs.push((trigger(&admin, test).await, name, result));
    }
    let asleep = &runs[2].0;
    eventually("it sleeps", Duration::from_secs(60), async || {
        until_state(&admin, asleep, "running").await;
        log(&admin, asleep, "").await.ends_with(b"begun\n").then_some(())
    })
    .await;
    admin.post(&format!("/api/v1/runs/{asleep}/cancel"), &json!({})).await.expect(202);
    for (id, name, result) in &runs {
        let seen = finished(&admin, id).await;
        assert_eq!(seen["result"].as_str(), Some(*result), "{seen}");
        let data = json!({"name": name, "n": 12, "out": "1", "err": "2"});
        let sum = if name == "bare" { 1.0 } else { 3.0 };
        assert_eq!(seen["result_data"], data, "{seen}");
        let expected = json!({
            "attempt": 1, "data": data, "summary": format!("# {name}\n"), "summary_cut": false, "notes": [],
            "metrics": [{"measurement": "m", "tags": {"a": "b"}, "field": "v", "value": sum}],
        });
        assert_eq!(said(&admin, id).await, expected);
    }
    // What says nothing has nothing said about it.
    let silent = trigger(&admin, factory::script("silent", "exit 0")).await;
    assert_eq!(finished(&admin, &silent).await.get("result_data"), None);
    assert_eq!(said(&admin, &silent).await["data"], json!({}));
    worker.cleaned_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_not_followed_and_what_is_too_long_is_cut() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let _worker = Runner::start(&stack, "w1", &["--slots", "2"]).await;
    let canary = make_dir("h").join("canary");
    std::fs::write(&canary, "canary=of the host\n").unwrap();
    let script = format!(
        "printf 'own=1\\n' >/tstr/own; ln -s /tstr/own $TSTR_OUTPUT; mkfifo $TSTR_METRICS; ln -s {} $TSTR_SUMMARY",
        canary.display()
    );
    let id = trigger(&admin, factory::script("links", &script)).await;
    let seen = finished(&admin, &id).await;
    assert_eq!(seen["result"], "pass", "{seen}");
    let output = said(&admin, &id).await;
    assert_eq!((&output["data"], output.get("summary")), (&json!({}), None), "{output}");
    let expected = [
        "/tstr/output is not read: a link stands in its place",
        "/tstr/metrics is not read: no ordinary file stands in its place",
        "/tstr/summary.md is not read: a link stands in its place",
    ];
    assert_eq!(notes(&output), expected);

    let script =
        "(echo a=1; printf big=; head -c 3000000 /dev/zero | tr '\\0' x) >$TSTR_OUTPUT; cp $TSTR_OUTPUT $TSTR_SUMMARY";
    let id = trigger(&admin, factory::script("long", script)).await;
    assert_eq!(finished(&admin, &id).await["result_data"], json!({"a": "1"}));
    let output = said(&admin, &id).await;
    assert_eq!((output["summary"].as_str().unwrap().len(), &output["summary_cut"]), (1 << 20, &json!(true)));
    assert!(notes(&output).iter().all(|note| note.contains("3000008 bytes")), "{:?}", notes(&output));

    // What nobody else may read is read.
    let script = "umask 077; printf 'k=v\\n' >$TSTR_OUTPUT; printf plain >$TSTR_SUMMARY";
    let id = trigger(&admin, factory::script("hidden", script)).await;
    assert_eq!(finished(&admin, &id).await["result_data"], json!({"k": "v"}));
    assert_eq!(said(&admin, &id).await["summary"], "plain");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_says_what_its_script_says() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let _worker = Runner::start(&stack, "w1", &["--slots", "1"]).await;
    let id = trigger(&admin, factory::script("outputs", include_str!("../../../examples/outputs/outputs.sh"))).await;
    let expected = json!({
        "version": "1.2.3", "log": "first line\nsecond line", "cases": 12, "ratio": 0.5, "flags": ["fast", "quiet"],
        "host": "example.org",
    });
    let seen = finished(&admin, &id).await;
    assert_eq!((&seen["result_data"], seen.get("output_notes")), (&expected, None), "{seen}");
    let output = said(&admin, &id).await;
    let numbers: Vec<_> =
        output["metrics"].as_array().unwrap().iter().map(|one| (&one["field"], &one["value"])).collect();
    assert_eq!(numbers, [(&json!("count"), &json!(15.0)), (&json!("seconds"), &json!(0.3))]);
    assert!(output["summary"].as_str().unwrap().starts_with("## 12 of 12 passed\n"));
}
