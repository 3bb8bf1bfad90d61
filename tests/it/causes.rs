//! What speaks for a cause, from the rows to the answer: cases of two runs, what changed, groups of failures, labels, durations.

use serde_json::{Value, json};
use tstr_api::turns;
use tstr_proto::convert::read_document;
use tstr_proto::v1 as pb;
use tstr_shared::causes::{FailureGroups, TestAnalysis, WhatChanged};
use tstr_shared::compare::DifferingCases;
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::RunId;
use tstr_shared::labels::Labels;
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::Scope;
use tstr_shared::report::CaseId;
use tstr_shared::run::{RunResult, TriggerRun};
use tstr_tests::contract::Worker;
use tstr_tests::{Ctl, Lab, Stack, factory};

use crate::grpc::Peer;

fn ns() -> Namespace {
    Namespace::parse("default").unwrap()
}

/// A case of a report: its name, how long it took, and what stands inside of it.
fn case(name: &str, seconds: f64, inside: &str) -> String {
    format!("<testcase classname='C' name='{name}' time='{seconds}'>{inside}</testcase>")
}

fn report(cases: &[String]) -> String {
    format!("<testsuite name='s'>{}</testsuite>", cases.concat())
}

fn failed(message: &str) -> String {
    format!("<failure message='{message}'>  at a.B.c(B.java:12)</failure>")
}

struct Bench {
    lab: Lab,
    worker: Worker,
    test: String,
}

impl Bench {
    async fn new(changes: &[(&str, Value)]) -> Self {
        let lab = Lab::start().await;
        let worker = lab.worker("w").await;
        let test = changes.iter().fold(factory::test("t"), |test, (at, value)| factory::with(test, at, value.clone()));
        lab.test(test).await;
        Self { lab, worker, test: "t".to_owned() }
    }

    async fn trigger(&self) {
        self.lab.ops().trigger(&self.lab.admin, &ns(), &self.test, TriggerRun::default(), None).await.unwrap();
    }

    /// Ends a run with a report, or with none.
    async fn run(&self, result: RunResult, cases: &[String]) -> RunId {
        self.trigger().await;
        let fence = self.worker.started().await;
        match cases {
            [] => self.worker.finish(fence, result).await.unwrap(),
            cases => drop(self.worker.end_with(fence, result, &[("a.xml", &report(cases))]).await),
        }
        fence.run_id
    }

    async fn tell(&self) {
        while turns::digest(self.lab.ops()).await.unwrap() > 0 {}
        while turns::remember_run(self.lab.ops()).await.unwrap() {}
    }

    async fn changed(&self, cell: Option<Labels>, case: Option<CaseId>) -> Result<WhatChanged, (ErrorCode, String)> {
        let found = self.lab.ops().what_changed(&self.lab.admin, &ns(), &self.test, cell, case).await;
        found.map_err(|error| (error.code(), error.message().to_owned()))
    }

    async fn groups(&self) -> FailureGroups {
        self.lab.ops().failure_groups(&self.lab.admin, &ns(), &self.test, None).await.unwrap()
    }

    async fn analysis(&self) -> TestAnalysis {
        self.lab.ops().analyse_test(&self.lab.admin, &ns(), &self.test, None).await.unwrap()
    }
}

fn names(cases: &DifferingCases) -> Vec<&str> {
    cases.items.iter().map(|case| case.key.name.as_str()).collect()
}

#[tokio::test]
async fn two_runs_are_compared_by_their_cases() {
    let bench = Bench::new(&[]).await;
    let no = failed("no");
    let same = case("same", 1.0, "");
    let before = [
        same.clone(),
        case("breaks", 0.1, ""),
        case("mended", 0.1, &no),
        case("gone", 0.1, ""),
        case("slow", 1.0, ""),
        case("short", 0.01, ""),
        case("skipped", 9.0, "<skipped/>"),
        case("still", 0.1, &no),
    ];
    let after = [
        same,
        case("breaks", 0.1, &no),
        case("mended", 0.1, ""),
        case("came", 0.1, &no),
        case("slow", 1.7, ""),
        case("short", 0.09, ""),
        case("skipped", 1.0, ""),
        case("still", 0.1, &no),
    ];
    let before = bench.run(RunResult::Pass, &before).await;
    let after = bench.run(RunResult::Pass, &after).await;
    let found = bench.lab.ops().compare_runs(&bench.lab.admin, before, after).await.unwrap().cases.unwrap();
    assert_eq!((found.before.unwrap().cases, found.after.unwrap().failed), (8, 3));
    assert_eq!(names(&found.new), ["breaks", "came"]);
    assert_eq!(names(&found.fixed), ["mended"]);
    assert_eq!((names(&found.added), names(&found.removed)), (vec!["came"], vec!["gone"]));
    assert_eq!(names(&found.durations), ["slow"], "80 ms more, or being skipped, is no change");
    assert_eq!((found.durations.items[0].before_ms, found.durations.items[0].after_ms), (Some(1000), Some(1700)));
    // Of a run without a report the cases are gone; of two there is nothing to say.
    let bare = bench.run(RunResult::Pass, &[]).await;
    let found = bench.lab.ops().compare_runs(&bench.lab.admin, before, bare).await.unwrap().cases.unwrap();
    assert_eq!((found.after, found.removed.items.len(), found.removed.more), (None, 8, 0));
    assert_eq!(bench.lab.ops().compare_runs(&bench.lab.admin, bare, bare).await.unwrap().cases, None);
}

#[tokio::test]
async fn of_each_kind_of_cases_200_are_told_and_how_many_more() {
    let bench = Bench::new(&[]).await;
    let cases = |from: u32, to: u32| (from..to).map(|n| case(&format!("n{n:04}"), 0.1, "")).collect::<Vec<_>>();
    let before = bench.run(RunResult::Pass, &cases(0, 250)).await;
    let after = bench.run(RunResult::Pass, &cases(240, 700)).await;
    let found = bench.lab.ops().compare_runs(&bench.lab.admin, before, after).await.unwrap().cases.unwrap();
    assert_eq!((found.removed.items.len(), found.removed.more), (200, 40));
    assert_eq!((found.added.items.len(), found.added.more), (200, 250));
    assert!(names(&found.added).is_sorted(), "by their names");
}

#[tokio::test]
async fn what_changed_is_told_of_a_test_and_of_a_case() {
    let bench = Bench::new(&[("/run_config/env", json!({"API_URL": "one"}))]).await;
    let (code, message) = bench.changed(None, None).await.unwrap_err();
    assert_eq!(code, ErrorCode::NotFound);
    assert!(message.contains("no failure after a pass"), "{message}");
    bench.run(RunResult::Pass, &[case("a", 0.1, ""), case("b", 0.1, "")]).await;
    let pass = bench.run(RunResult::Pass, &[case("a", 0.1, ""), case("b", 0.1, "")]).await;
    bench.tell().await;
    assert_eq!(bench.changed(None, None).await.unwrap_err().0, ErrorCode::NotFound, "it passes");
    let changed = factory::with(factory::test("t"), "/run_config/env", json!({"API_URL": "two"}));
    let changed = serde_json::from_value(changed).unwrap();
    bench.lab.ops().apply_test(&bench.lab.admin, &ns(), changed, false, None).await.unwrap();
    let fail = bench.run(RunResult::Pass, &[case("a", 0.1, &failed("no")), case("b", 0.1, "")]).await;
    bench.run(RunResult::Pass, &[case("a", 0.1, &failed("no")), case("b", 0.1, "")]).await;
    bench.tell().await;
    let found = bench.changed(None, None).await.unwrap();
    assert_eq!((found.last_pass.run_id, found.first_fail.run_id), (pass, fail), "not the second failure");
    assert_eq!(found.sentence, "env/API_URL changed");
    assert_eq!(names(&found.comparison.cases.unwrap().new), ["a"]);
    let page = tstr_shared::page::PageRequest::default();
    let cases = bench.lab.ops().list_cases(&bench.lab.admin, &ns(), "t", Default::default(), page).await.unwrap().items;
    let id = |name: &str| cases.iter().find(|case| case.key.name == name).unwrap().case_id;
    let found = bench.changed(Some(Labels::default()), Some(id("a"))).await.unwrap();
    assert_eq!((found.last_pass.run_id, found.first_fail.run_id), (pass, fail));
    assert_eq!(bench.changed(None, Some(id("b"))).await.unwrap_err().0, ErrorCode::NotFound, "it never failed");
    let nowhere: Labels = [("region", "x")].into_iter().collect();
    assert!(bench.changed(Some(nowhere), None).await.unwrap_err().1.contains("no runs in this cell"));
    let nothing = CaseId(uuid::Uuid::new_v4());
    assert_eq!(bench.changed(None, Some(nothing)).await.unwrap_err().1, "case not found");
    // A failure for which nothing changed.
    bench.run(RunResult::Pass, &[]).await;
    bench.run(RunResult::Fail, &[]).await;
    bench.tell().await;
    assert_eq!(bench.changed(None, None).await.unwrap().sentence, "nothing that tstr knows of changed");
}

#[tokio::test]
async fn failures_are_grouped_by_what_they_say() {
    let bench = Bench::new(&[]).await;
    assert!(bench.groups().await.groups.is_empty());
    let first = bench.run(RunResult::Pass, &[case("a", 0.1, &failed("timeout after 30 s")), case("b", 0.1, "")]).await;
    let last = bench
        .run(
            RunResult::Pass,
            &[case("a", 0.1, &failed("timeout after 31 s")), case("b", 0.1, &failed("timeout after 2 s"))],
        )
        .await;
    bench.run(RunResult::Pass, &[case("a", 0.1, &failed("connection refused"))]).await;
    bench.run(RunResult::Fail, &[]).await;
    let found = bench.groups().await;
    let told: Vec<_> = found.groups.iter().map(|one| (one.message.as_str(), one.runs, one.case_count)).collect();
    let bare = found.groups[0].message.as_str();
    assert!(bare.contains("exit code"), "{bare}");
    assert_eq!(told, [(bare, 1, 0), ("connection refused", 1, 1), ("timeout after 31 s", 2, 2)]);
    let group = &found.groups[2];
    assert_eq!((group.first_seen.run_id, group.last_seen.run_id, group.occurrences), (first, last, 3));
    let mut cases: Vec<_> = group.cases.iter().map(|case| case.key.name.as_str()).collect();
    cases.sort_unstable();
    assert_eq!((cases, &group.cells), (vec!["a", "b"], &vec![Labels::default()]));
    assert_eq!((found.failures, found.more_failures, found.more_groups), (5, false, 0));
    // What is older than the days is left out.
    let older = "UPDATE run_end SET (leased_at, started_at, finished_at) = (SELECT leased_at - d, started_at - d, finished_at - d
                 FROM (VALUES (interval '20 days')) AS v(d))";
    bench.lab.execute(older).await.unwrap();
    assert!(bench.groups().await.groups.is_empty());
    assert_eq!(bench.lab.ops().failure_groups(&bench.lab.admin, &ns(), "t", Some(30)).await.unwrap().failures, 5);
}

#[tokio::test]
async fn the_label_that_carries_the_failures_is_found_and_too_few_runs_are_said_to_be() {
    let bench = Bench::new(&[("/matrix", json!({"labels": {"region": ["nyc", "sfo"]}}))]).await;
    let round = async |how: &dyn Fn(&str) -> RunResult| {
        bench.trigger().await;
        for _ in 0..2 {
            let fence = bench.worker.started().await;
            bench.worker.finish(fence, how(&bench.lab.get(fence.run_id).await.cell.0["region"])).await.unwrap();
        }
    };
    round(&|_| RunResult::Pass).await;
    bench.tell().await;
    let few = bench.analysis().await;
    assert!(few.labels.sentence.starts_with("not enough runs"), "{}", few.labels.sentence);
    assert!(few.durations.iter().all(|cell| cell.sentence == "not enough runs: 1 passed, 10 are needed"));
    for _ in 0..9 {
        round(&|region| if region == "sfo" { RunResult::Fail } else { RunResult::Pass }).await;
    }
    round(&|_| RunResult::Error).await;
    bench.tell().await;
    let found = bench.analysis().await;
    let expected = "region=sfo carries the failures: 9 of 10 runs failed with it, 0 of 10 without it";
    assert_eq!((found.labels.sentence.as_str(), found.labels.left_out), (expected, 2));
    let told: Vec<_> = found.durations.iter().map(|one| (one.cell.text(), one.runs, one.changes.len())).collect();
    assert_eq!(told, [("region=nyc".to_owned(), 10, 0), ("region=sfo".to_owned(), 1, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_causes_are_told_alike_by_json_by_grpc_and_to_people() {
    let stack = Stack::start().await;
    let (admin, ctl) = (stack.admin(), Ctl::of(&stack));
    admin.register(&factory::test("a")).await;
    let worker = tstr_tests::worker::Worker::register(&stack, 0, "w").await;
    for result in [RunResult::Pass, RunResult::Fail] {
        admin.trigger("a").await;
        let fence = worker.running().await;
        worker.finish(fence, result).await.unwrap();
    }
    let tests = "/api/v1/namespaces/default/tests";
    let changed = tstr_tests::eventually("the runs are taken in", std::time::Duration::from_secs(30), async || {
        let answer = admin.get(&format!("{tests}/a/changed")).await;
        answer.status.is_success().then(|| answer.expect(200))
    });
    let changed = changed.await;
    let peer = Peer::of(&stack, &[Scope::Data], &["default"]).await;
    let mut data = peer.data();
    let (namespace, test) = ("default".to_owned(), "a".to_owned());
    let asked = pb::GetWhatChangedRequest { namespace: namespace.clone(), test: test.clone(), ..Default::default() };
    let message = data.get_what_changed(asked).await.unwrap().into_inner().changed.unwrap();
    let told: WhatChanged = read_document("/changed", message).unwrap();
    assert_eq!(serde_json::to_value(&told).unwrap(), changed);
    let asked = pb::ListFailureGroupsRequest { namespace: namespace.clone(), test: test.clone(), days: 14 };
    let message = data.list_failure_groups(asked).await.unwrap().into_inner().failures.unwrap();
    let told: FailureGroups = read_document("/failures", message).unwrap();
    let json = admin.get(&format!("{tests}/a/failures?days=14")).await.expect(200);
    assert_eq!(serde_json::to_value(&told.groups).unwrap(), json["groups"]);
    let asked = pb::AnalyseTestRequest { namespace, test, days: 14 };
    let message = data.analyse_test(asked).await.unwrap().into_inner().analysis.unwrap();
    let told: TestAnalysis = read_document("/analysis", message).unwrap();
    let json = admin.get(&format!("{tests}/a/analysis?days=14")).await.expect(200);
    assert_eq!(serde_json::to_value(&told.labels).unwrap(), json["labels"]);

    let shown = ctl.run("test changed a");
    assert!(shown.done().contains("result\tpass\tfail"), "{shown:?}");
    assert!(shown.err.contains("nothing that tstr knows of changed"), "{shown:?}");
    let shown = ctl.run("test failures a");
    assert!(shown.done().contains("exit code 1"), "{shown:?}");
    let shown = ctl.run("test analysis a");
    assert!(shown.done().contains("not enough runs: 1 passed, 10 are needed"), "{shown:?}");
    ctl.run("test changed b").refused(3);

    admin.get(&format!("{tests}/a/failures?days=91")).await.refused(422, "invalid");
    let problem = admin.get(&format!("{tests}/a/analysis?days=0")).await.refused(422, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], json!("/days"), "{problem}");
    admin.get(&format!("{tests}/a/changed?cell=x")).await.refused(422, "invalid");
    admin.get(&format!("{tests}/b/failures")).await.refused(404, "not_found");
    stack.namespace("shop").await;
    let other = stack.person(&[Scope::Data], &["shop"]).await;
    let runner = stack.person(&[Scope::Runner], &["default"]).await;
    for path in ["changed", "failures", "analysis"] {
        other.get(&format!("{tests}/a/{path}")).await.refused(404, "not_found");
        runner.get(&format!("{tests}/a/{path}")).await.refused(403, "forbidden");
        let id = admin.get(&format!("{tests}/a")).await.expect(200)["id"].as_str().unwrap().to_owned();
        let theirs = format!("/api/v1/namespaces/shop/tests/{id}/{path}");
        other.get(&theirs).await.refused(404, "not_found");
    }
}
