//! Cases in real containers: what failed is named to the next one, and so is what it is not to run.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_container_finds_the_cases_that_failed_and_those_it_is_not_to_run() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let _worker = Runner::start(&stack, "w1", &[]).await;
    let script = "printf 'failed=%s\\nskip=%s\\n' \"$TSTR_FAILED_CASES\" \"$TSTR_SKIP_CASES\"
                  bad='<failure/>'; [ -z \"$TSTR_FAILED_CASES$TSTR_SKIP_CASES\" ] || bad=
                  echo \"<testsuite name='s'><testcase classname='C' name='a'/>\" >$TSTR_ARTIFACTS/r.xml
                  echo \"<testcase classname='C' name='b'>$bad</testcase></testsuite>\" >>$TSTR_ARTIFACTS/r.xml";
    let first = trigger(&admin, factory::script("t", script)).await;
    assert_eq!(finished(&admin, &first).await["result"], "fail");
    assert_eq!(log(&admin, &first, "").await, b"failed=\nskip=\n");
    let cases = admin.get(&format!("/api/v1/runs/{first}/cases?status=fail")).await.expect(200);
    let case = cases["items"][0]["case_id"].as_str().unwrap().to_owned();
    let named = format!(r#"[{{"id":"{case}","suite":["s"],"classname":"C","name":"b"}}]"#);

    let again = admin.post(&format!("/api/v1/runs/{first}/retry"), &json!({"failed_cases": true})).await.expect(201);
    let again = again["id"].as_str().unwrap();
    assert_eq!(finished(&admin, again).await["result"], "pass");
    assert_eq!(log(&admin, again, "").await, format!("failed={named}\nskip=\n").into_bytes());
    let results = admin.get(&format!("/api/v1/runs/{again}/results")).await.expect(200);
    assert_eq!(results["partial"], true, "{results}");

    let path = format!("/api/v1/namespaces/default/tests/t/quarantine/{case}");
    admin.put(&path, &json!({"owner": "ada", "reason": "hangs", "days": 1, "mode": "skip"})).await.expect(200);
    // The server hears of it within seconds.
    eventually("the case is named", Duration::from_secs(60), async || {
        let run = admin.trigger("t").await.remove(0);
        finished(&admin, &run).await;
        (log(&admin, &run, "").await == format!("failed=\nskip={named}\n").into_bytes()).then_some(())
    })
    .await;
}
