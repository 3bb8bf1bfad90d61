//! `tstr ctl results upload` and `run retry`: what is run again, and what ran elsewhere.

use serde_json::json;
use tstr_shared::run::RunResult;
use tstr_tests::worker::Worker;
use tstr_tests::{Ctl, Stack, factory};

use super::file;
use crate::reports::{GOOD, JUNIT};

#[tokio::test(flavor = "multi_thread")]
async fn each_file_becomes_a_run_and_one_that_is_none_does_not_stop_the_others() {
    let stack = Stack::start().await;
    let (admin, ctl) = (stack.admin(), Ctl::of(&stack));
    admin.register(&factory::test("shop")).await;
    file(&ctl, "a.xml", JUNIT);
    file(&ctl, "b.xml", GOOD);
    file(&ctl, "c.txt", "nothing");
    let sent = ctl.run("results upload a.xml b.xml --test shop --revision r1 --finished-at 1h -o json");
    let made = sent.json();
    let told = |n: usize| (made[n]["result"].clone(), made[n]["trigger"].clone(), made[n]["image_digest"].clone());
    assert_eq!(told(0), (json!("fail"), json!("upload"), json!("revision:r1")));
    assert_eq!(told(1), (json!("pass"), json!("upload"), json!("revision:r1")));
    assert_eq!(sent.err, "", "{sent:?}");
    let shown = ctl.run(&format!("results {}", made[0]["id"].as_str().unwrap()));
    assert!(shown.done().contains("a.xml\tjunit\t5\t"), "{shown:?}");
    let some = ctl.run("results upload c.txt b.xml --test shop -o json");
    assert!(some.code == 2 && some.err.contains("'c.txt' is neither"), "{some:?}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&some.out).unwrap().as_array().unwrap().len(), 1);
    let talk = ctl.run("results upload b.xml --test shop");
    assert!(talk.err.starts_with("b.xml: the run ") && talk.done().contains("\tpass\t"), "{talk:?}");
    ctl.run("results upload nowhere.xml --test shop").refused(2);
    ctl.run("results upload a.xml --test nobody").refused(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_of_a_matrix_is_run_again() {
    let stack = Stack::start().await;
    let (admin, ctl) = (stack.admin(), Ctl::of(&stack));
    admin.register(&factory::with(factory::test("m"), "/matrix/labels/c", json!(["1", "2"]))).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let runs = admin.trigger("m").await;
    for _ in 0..2 {
        let run = worker.next().await;
        worker.start(run.fence).await.unwrap();
        let result = if run.cell.get("c") == Some("1") { RunResult::Pass } else { RunResult::Fail };
        worker.end_with(run.fence, result, if result == RunResult::Fail { &[("a.xml", JUNIT)] } else { &[] }).await;
    }
    let matrix = admin.run(&runs[0]).await["matrix_id"].as_str().unwrap().to_owned();
    let again = ctl.run(&format!("run retry --matrix-id {matrix} --failed-cases -o json")).json();
    assert_eq!((again.as_array().unwrap().len(), &again[0]["cell"]), (1, &json!({"c": "2"})));
    let text = again[0]["run_config"]["env"]["TSTR_FAILED_CASES"].as_str().unwrap();
    assert!(text.contains(r#""name":"removes""#), "{text}");
    let warned = ctl.run(&format!("run retry {} --failed-cases -o json", runs[0]));
    assert_eq!(warned.json()["cell"], json!({"c": "1"}));
    assert!(warned.err.contains("no case of its reports failed"), "{warned:?}");
    let all = ctl.run(&format!("run retry --matrix-id {matrix} --all-cells -o json")).json();
    assert_eq!(all.as_array().unwrap().len(), 2);
}
