//! `tstr ctl quarantine`: cases are muted for a while, shown, and taken out again.

use serde_json::json;
use tstr_shared::run::RunResult;
use tstr_tests::worker::Worker;
use tstr_tests::{Ctl, Stack, factory};

use super::{NOBODY, TESTS};
use crate::reports::JUNIT;

#[tokio::test(flavor = "multi_thread")]
async fn a_case_is_muted_shown_and_taken_out_again() {
    let stack = Stack::start().await;
    let (admin, ctl) = (stack.admin(), Ctl::of(&stack));
    admin.register(&factory::test("shop")).await;
    let worker = Worker::register(&stack, 0, "w").await;
    let run = admin.trigger("shop").await.remove(0);
    let fence = worker.running().await;
    worker.end_with(fence, RunResult::Fail, &[("a.xml", JUNIT)]).await;

    let bad = ctl.run(&format!("case list {run} --status fail -o name"));
    let case = bad.done().trim();
    let added = ctl.run(&format!("quarantine add shop {case} --owner ada --reason flaky --days 14"));
    assert!(added.done().starts_with("shop > Cart > removes\tmute\tyes\tada\t") || added.out.is_empty(), "{added:?}");
    let listed = ctl.answers_as_the_api("quarantine list shop", &admin, &format!("{TESTS}/shop/quarantine")).await;
    assert_eq!((&listed[0]["case_id"], &listed[0]["in_force"]), (&json!(case), &json!(true)));
    let shown = ctl.run("quarantine list shop");
    assert!(shown.done().starts_with("shop > Cart > removes\tmute\tyes\tada\t"), "{shown:?}");
    assert_eq!(ctl.run("quarantine list shop --in-force=false").done(), "");
    ctl.run(&format!("quarantine add shop {case} --owner ada --reason flaky --days 999")).refused(2);
    ctl.run(&format!("quarantine add shop {NOBODY} --owner ada --reason flaky --days 9")).refused(3);
    ctl.run(&format!("quarantine remove shop {case}")).done();
    assert_eq!(ctl.run("quarantine list shop").done(), "");
    ctl.run(&format!("quarantine remove shop {case}")).refused(3);
}
