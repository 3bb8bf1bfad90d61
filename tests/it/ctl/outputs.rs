//! `tstr ctl run output`: what a run said about itself, to people and to programs.

use serde_json::{Value, json};
use tstr_shared::output::Output;
use tstr_shared::run::RunResult;
use tstr_tests::worker::Worker;
use tstr_tests::{Ctl, Stack, factory};

use super::NOBODY;
use crate::outputs::something;

async fn ran(stack: &Stack, output: Option<&Output>) -> String {
    let admin = stack.admin();
    admin.put("/api/v1/namespaces/default/tests/a", &factory::test("a")).await;
    let worker = Worker::register(stack, 0, &uuid::Uuid::new_v4().to_string()).await;
    let id = admin.trigger("a").await.remove(0);
    let fence = worker.running().await;
    if let Some(output) = output {
        worker.say(fence, output).await.unwrap();
    }
    worker.finish(fence, RunResult::Pass).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_programs_read_what_a_run_said() {
    let stack = Stack::start().await;
    let ctl = Ctl::of(&stack);
    let id = ran(&stack, Some(&something("all well"))).await;
    let shown = ctl.run(&format!("run output {id}"));
    let expected = "large\t9007199254740993\nlist\t[1.5,null]\nword\tall well\nrequests{code=200}.count\t0.1\n";
    assert_eq!(shown.done(), expected, "{shown:?}");
    assert!(shown.err.contains("--summary") && shown.err.contains("stderr, line 7: no key"), "{shown:?}");
    assert_eq!(ctl.run(&format!("run output {id} --summary")).done(), "# all well\n");
    let whole: Value = serde_json::from_str(ctl.run(&format!("run output {id} -o json")).done()).unwrap();
    assert_eq!((&whole["attempt"], &whole["data"]["word"]), (&json!(1), &json!("all well")));
    assert_eq!(
        whole["metrics"],
        json!([{"measurement": "requests", "tags": {"code": "200"}, "field": "count", "value": 0.1}])
    );
    let run = ctl.run(&format!("run get {id}"));
    assert!(run.done().contains("word=all well") && run.done().contains("stderr, line 7: no key"), "{run:?}");
    let other = ran(&stack, Some(&something("not well"))).await;
    let compared = ctl.run(&format!("run compare {id} {other}"));
    assert!(compared.done().contains("data/word\tall well\tnot well\t\t\n"), "{compared:?}");
    let whole: Value = serde_json::from_str(ctl.run(&format!("run compare {id} {other} -o json")).done()).unwrap();
    assert_eq!(whole["after"]["id"], json!(other));
    // Of a run that said nothing there is nothing to show.
    let silent = ran(&stack, None).await;
    assert_eq!(ctl.run(&format!("run output {silent}")).done(), "");
    assert_eq!(ctl.run(&format!("run output {silent} --summary")).done(), "");
    ctl.run(&format!("run output {NOBODY}")).refused(3);
}
